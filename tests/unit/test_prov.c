/* The log: P1..P4 of provenance.h, C1..C4 of chain.c, R1..R3 of verify.c. */
#include "backend/base/text.h"
#include "backend/provenance/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The disk: bytes until it is full. Stands in front of the C library's function. */
static int64_t room = INT64_MAX;

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at);
ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    if (__atomic_load_n(&room, __ATOMIC_RELAXED) < (int64_t)len) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, len, at);
}

static void set_room(int64_t bytes)
{
    __atomic_store_n(&room, bytes, __ATOMIC_RELAXED);
}

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *report;
    int pending;
    void (*then)(struct world *w);
    const char *sql[2];
    int64_t at; /* of the byte that is changed */
    char *bytes;
    size_t len;
    int64_t seq;
    int accepted;
};

static void open_world(struct world *w)
{
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = w->store ? vault_open(w->dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    if (!w->prov)
        fail_msg("%s: %s", err_name(e.code), e.detail);
}

/* crash: no session.seal, as if the process had ended; what is queued is still written. */
static void close_world(struct world *w, bool crash)
{
    if (!crash)
        prov_close(w->prov);
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
    w->prov = NULL;
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = xasprintf("%s/mcpc-prov-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    open_world(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    set_room(INT64_MAX);
    if (w->prov)
        close_world(w, false);
    char *command = xasprintf("rm -rf '%s'", w->dir);
    int rc = system(command);
    json_decref(w->report);
    free(command);
    free(w->dir);
    free(w);
    return rc;
}

struct ack {
    struct world *world;
    int64_t given, seq;
    struct error error;
    bool visible;
};

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct ack *a = arg;
    struct world *w = a->world;
    a->seq = seq;
    a->error = *e;
    a->visible = store_scalar(store_reader(w->store), 0,
                              "SELECT 1 FROM entries e JOIN payloads p USING(seq) WHERE seq = ?",
                              "i", seq) == 1;
    if (--w->pending == 0) {
        if (w->then)
            w->then(w);
        else
            loop_quit(w->loop);
    }
}

static const char trace[] = "0123456789abcdef0123456789abcdef";

static void append(struct world *w, struct ack *a, const char *type, const char *trace_id,
                   int64_t parent, store_op *also)
{
    json_t *payload = json_pack("{s:s, s:i}", "text", "что с диском? \"\\\n\x01", "n", 1);
    const char *tags[] = {"email", NULL};
    struct prov_entry entry = {.type = type,
                               .actor = "model:builtin/\"лекс\"",
                               .trace_id = trace_id,
                               .conversation = trace_id,
                               .parents = &(struct prov_edge){parent, "call", 250},
                               .parent_count = parent != -1,
                               .pii_tags = trace_id ? tags : NULL,
                               .payload = payload};
    *a = (struct ack){.world = w};
    w->pending++;
    a->given = prov_append(w->prov, &entry, acked, a, also, w);
    json_decref(payload);
}

static void append_many(struct world *w, struct ack *acks, int n)
{
    for (int i = 0; i < n; i++)
        append(w, &acks[i], i % 2 ? "config" : "question", i % 3 ? trace : NULL, i ? i : -1, NULL);
}

static void verified(void *arg, json_t *report)
{
    struct world *w = arg;
    json_decref(w->report);
    w->report = report;
    loop_quit(w->loop);
}

static void verify(struct world *w)
{
    prov_verify_start(w->prov, 0, NULL, verified, w);
}

static bool has_problem(const json_t *report, const char *code)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(report, "problems"), i,
                       one) if (strcmp(json_str(one, "code", ""), code) == 0) return true;
    return false;
}

static void assert_good(const json_t *report)
{
    if (!json_flag(report, "ok", false)) {
        char *text = json_write(report);
        fail_msg("%s", text);
    }
}

static void test_append(void **state) /* P1, P2 */
{
    enum { N = 3000 }; /* several slices, several groups */
    struct world *w = *state;
    struct ack *acks = xcalloc(N, sizeof *acks);
    struct prov_state before, after;
    prov_state(w->prov, &before);
    assert_int_equal(before.size, 0);
    append_many(w, acks, N);
    prov_state(w->prov, &before);
    assert_int_equal(before.size, 0); /* nothing is durable yet */
    w->then = verify;
    loop_run(w->loop);
    for (int i = 0; i < N; i++) {
        assert_int_equal(acks[i].error.code, ERR_OK);
        assert_int_equal(acks[i].given, i + 1); /* behind session.start */
        assert_int_equal(acks[i].seq, i + 1);
        assert_true(acks[i].visible);
    }
    assert_good(w->report);
    prov_state(w->prov, &after);
    assert_int_equal(after.size, N + 1);
    assert_int_equal(after.state, PROV_INTACT);
    assert_int_equal(after.verified, N + 1);
    assert_int_equal(json_int(w->report, "checked", 0), N + 1);
    assert_int_equal(json_int(w->report, "payloads_checked", 0), N + 1);
    assert_string_equal(json_str(w->report, "root", ""), after.root);
    assert_string_equal(json_str(w->report, "head", ""), after.head);
    free(acks);
}

static void check_canonical(const json_t *one)
{
    const char *entry = json_str(one, "entry", "");
    /* The stored bytes are the canonical form of what they say. */
    struct buf again = {0};
    json_t *value = json_loads(entry, 0, NULL);
    assert_int_equal(jcs_write(value, &again), ERR_OK);
    assert_string_equal(again.data, entry);
    assert_string_equal(json_str(json_object_get(value, "pii_tags"), "x", ""), "");
    const json_t *edge = json_array_get(json_object_get(value, "parents"), 0);
    assert_int_equal(json_integer_value(json_array_get(edge, 0)), 4);
    assert_string_equal(json_string_value(json_array_get(edge, 1)), "call");
    assert_int_equal(json_integer_value(json_array_get(edge, 2)), 250);
    const json_t *told = json_array_get(json_object_get(one, "edges"), 0);
    assert_int_equal(json_int(told, "seq", -1), 4);
    assert_string_equal(json_str(told, "transform", ""), "call");
    assert_true(json_real_value(json_object_get(told, "confidence")) == 0.25);
    buf_release(&again);
    json_decref(value);
}

static void test_read(void **state)
{
    struct world *w = *state;
    struct ack acks[10];
    struct error e = {0};
    append_many(w, acks, 10);
    loop_run(w->loop);
    struct prov_filter f = {.before = -1, .after = -1, .limit = 100};
    json_t *rows = prov_list(w->prov, &f, &e);
    assert_int_equal(json_array_size(rows), 11);
    const json_t *row = json_array_get(rows, 0);
    assert_int_equal(json_int(row, "seq", -1), 10);
    assert_string_equal(json_str(row, "type", ""), "config");
    assert_string_equal(json_str(row, "actor", ""), "model:builtin/\"лекс\"");
    json_decref(rows);
    f.type = "question";
    f.trace_id = trace;
    rows = prov_list(w->prov, &f, &e);
    assert_int_equal(json_array_size(rows), 3); /* acks 2, 4, 8 */
    json_decref(rows);
    f = (struct prov_filter){.before = -1, .after = 3, .limit = 2};
    rows = prov_list(w->prov, &f, &e);
    assert_int_equal(json_int(json_array_get(rows, 0), "seq", -1), 4);
    assert_int_equal(json_array_size(rows), 2);
    json_decref(rows);
    f = (struct prov_filter){
        .before = 3, .after = -1, .session = prov_session(w->prov), .limit = 9};
    rows = prov_list(w->prov, &f, &e);
    assert_int_equal(json_array_size(rows), 3);
    json_decref(rows);
    json_t *one = prov_get(w->prov, 5, true, &e);
    const char *entry = json_str(one, "entry", "");
    uint8_t hash[VAULT_HASH];
    char hex[65];
    vault_sha256(entry, strlen(entry), NULL, 0, hash);
    text_hex(hash, VAULT_HASH, hex);
    assert_string_equal(json_str(one, "hash", ""), hex);
    assert_string_equal(json_str(json_object_get(one, "payload"), "text", ""),
                        "что с диском? \"\\\n\x01");
    check_canonical(one);
    json_decref(one);
    assert_null(prov_get(w->prov, 11, true, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    json_t *payload = prov_payload(w->prov, 0, &e);
    assert_string_equal(json_str(payload, "version", ""), MCPC_VERSION);
    json_decref(payload);
}

static void test_refused(void **state) /* P3 */
{
    struct world *w = *state;
    struct ack acks[3];
    append(w, &acks[0], "question", "not an id", -1, NULL);
    append(w, &acks[1], "question", NULL, 1, NULL); /* its own seq */
    append(w, &acks[2], "question", NULL, 0, NULL);
    assert_int_equal(acks[0].given, -1);
    assert_int_equal(acks[1].given, -1);
    assert_int_equal(acks[2].given, 1);
    struct ack bad = {.world = w};
    struct prov_entry entry = {.type = "answer", .actor = "backend"};
    entry.payload = json_pack("{s:I}", "n", (json_int_t)1 << 60); /* no JCS */
    w->pending++;
    assert_int_equal(prov_append(w->prov, &entry, acked, &bad, NULL, NULL), -1);
    json_decref(entry.payload);
    w->then = verify;
    loop_run(w->loop);
    assert_int_equal(acks[0].error.code, ERR_INVALID);
    assert_int_equal(acks[1].error.code, ERR_INVALID);
    assert_int_equal(acks[2].error.code, ERR_OK);
    assert_int_equal(bad.error.code, ERR_INVALID);
    assert_good(w->report);
}

static enum err refuse(struct store_db *db, void *arg, struct error *e)
{
    (void)db;
    (void)arg;
    return err_set(e, ERR_DENIED, "not this one");
}

static struct ack late;

static void append_late(struct world *w)
{
    w->then = verify;
    append(w, &late, "config", NULL, 1, NULL);
}

static void test_failure(void **state) /* P2, C2, C3 */
{
    struct world *w = *state;
    struct ack acks[5];
    for (int i = 0; i < 5; i++)
        append(w, &acks[i], "question", NULL, -1, i == 2 ? refuse : NULL);
    w->then = append_late;
    loop_run(w->loop);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(acks[i].error.code, i < 2 ? ERR_OK : ERR_DENIED);
        assert_int_equal(acks[i].seq, i + 1);
    }
    assert_int_equal(late.error.code, ERR_OK);
    assert_int_equal(late.seq, 3); /* the number is used again */
    assert_good(w->report);
    assert_int_equal(json_int(w->report, "size", 0), 4);
}

static void make_room(struct world *w)
{
    set_room(INT64_MAX);
    append_late(w);
}

static void test_full_disk_at_start(void **state) /* C4 */
{
    struct world *w = *state;
    struct ack acks[2];
    set_room(0); /* before session.start could be written */
    append(w, &acks[0], "question", NULL, -1, NULL);
    append(w, &acks[1], "question", NULL, -1, NULL);
    w->then = make_room;
    loop_run(w->loop);
    assert_int_equal(acks[0].error.code, ERR_NO_SPACE);
    assert_int_equal(acks[1].error.code, ERR_NO_SPACE);
    assert_int_equal(late.error.code, ERR_INVALID); /* its parent 1 was never written */
    close_world(w, false);
    open_world(w);
    w->then = NULL;
    append(w, &late, "config", NULL, -1, NULL);
    w->then = verify;
    loop_run(w->loop);
    assert_int_equal(late.error.code, ERR_OK);
    assert_good(w->report);
}

static void verify_when_sealed(void *arg)
{
    struct world *w = arg;
    static const char sql[] = "SELECT count(*) FROM entries WHERE type = 'session.seal'";
    if (w->pending == 0 && store_scalar(store_reader(w->store), 0, sql, "") == 2) {
        w->pending = 1;
        verify(w);
    }
}

static void nothing(struct world *w)
{
    (void)w;
}

static void test_sessions(void **state)
{
    struct world *w = *state;
    struct ack acks[5];
    struct error e = {0};
    append_many(w, acks, 5); /* 0 start, 1..5 */
    close_world(w, true);
    open_world(w); /* 6 start */
    append_many(w, acks, 2);
    close_world(w, false);
    open_world(w);
    prov_on_change(w->prov, verify_when_sealed, w);
    append_many(w, acks, 1);
    w->then = nothing;
    loop_run(w->loop);
    assert_good(w->report);
    struct prov_filter f = {.before = -1, .after = 0, .type = "session.seal", .limit = 10};
    json_t *rows = prov_list(w->prov, &f, &e);
    assert_int_equal(json_array_size(rows), 2);
    const char *reasons[2];
    json_t *payloads[2];
    for (size_t i = 0; i < 2; i++) {
        payloads[i] = prov_payload(w->prov, json_int(json_array_get(rows, i), "seq", 0), &e);
        reasons[i] = json_str(payloads[i], "reason", "");
    }
    int found = strcmp(reasons[0], "found unsealed") == 0 ? 0 : 1;
    assert_string_equal(reasons[found], "found unsealed");
    assert_string_equal(reasons[!found], "closed");
    assert_int_equal(json_int(payloads[found], "first", -1), 0);
    assert_int_equal(json_int(payloads[found], "entries", -1), 6);
    assert_int_equal(json_int(payloads[!found], "first", -1), 6);
    assert_non_null(strstr(json_str(w->report, "proved", ""), "2 session seals agree"));
    json_decref(payloads[0]);
    json_decref(payloads[1]);
    json_decref(rows);
}

static void test_projection(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    struct buf sealed = {0};
    char session[33];
    memcpy(session, prov_session(w->prov), sizeof session);
    json_t *value = json_pack("{s:s}", "question", "кто я?");
    assert_int_equal(prov_seal(w->prov, value, &sealed), ERR_OK);
    assert_null(memmem(sealed.data, sealed.len, "question", 8));
    json_t *back = prov_unseal(w->prov, session, sealed.data, sealed.len, &e);
    assert_true(json_equal(value, back));
    json_decref(back);
    close_world(w, false);
    open_world(w);
    back = prov_unseal(w->prov, session, sealed.data, sealed.len, &e);
    assert_true(json_equal(value, back));
    json_decref(back);
    sealed.data[30] ^= 1;
    assert_null(prov_unseal(w->prov, session, sealed.data, sealed.len, &e));
    assert_int_equal(e.code, ERR_TAMPERED);
    assert_null(prov_unseal(w->prov, session, sealed.data, 3, &e));
    sealed.data[30] ^= 1;
    assert_null(prov_unseal(w->prov, trace, sealed.data, sealed.len, &e)); /* another session's */
    assert_int_equal(e.code, ERR_TAMPERED);
    json_decref(value);
    buf_release(&sealed);
}

/* ---- tampering ---- */

static enum err run_sql(struct store_db *db, void *arg, struct error *e)
{
    struct world *w = arg;
    enum err code = store_exec(db, e, w->sql[0], "");
    return code == ERR_OK && w->sql[1] ? store_exec(db, e, w->sql[1], "") : code;
}

static void sql_ran(void *arg, const struct error *e)
{
    struct world *w = arg;
    if (e->code != ERR_OK)
        fail_msg("%s", e->detail);
    verify(w);
}

static void tamper(struct world *w)
{
    store_write(w->store, run_sql, sql_ran, w);
}

static const struct {
    const char *sql[2], *code;
} tamperings[] = {
    {{"UPDATE entries SET leaf = zeroblob(32) WHERE seq = 1"}, "leaf"},
    {{"UPDATE payloads SET sealed = zeroblob(60) WHERE seq = 1"}, "payload_changed"},
    {{"DELETE FROM payloads WHERE seq = 2"}, "payload_missing"},
    {{"UPDATE payloads SET sealed = (SELECT sealed FROM payloads WHERE seq = 3) WHERE seq = 1"},
     "payload_changed"},
    {{"INSERT INTO tree VALUES(1, 7, 0, zeroblob(32))"}, "tail"},
    {{"INSERT INTO tree VALUES(1, 8, 0, zeroblob(32))"}, "tail"},
    {{"UPDATE entries SET ts = ts + 1 WHERE seq = 1"}, "columns"},
    {{"UPDATE entries SET type = 'answer' WHERE seq = 1"}, "columns"},
    {{"UPDATE entries SET trace_id = NULL WHERE seq = 2"}, "columns"},
    {{"UPDATE tree_head SET size = size + 1"}, "tail"},
    {{"UPDATE tree_head SET head = zeroblob(32)"}, "head"},
    {{"DELETE FROM payloads WHERE seq = 3", "DELETE FROM entries WHERE seq = 3"}, "missing"},
    {{"DELETE FROM payloads WHERE seq >= 5", "DELETE FROM entries WHERE seq >= 5"}, "tail"},
    {{"UPDATE entries SET entry = o.entry, leaf = o.leaf, type = o.type, ts = o.ts,"
      " trace_id = o.trace_id FROM entries o"
      " WHERE o.seq = 5 - entries.seq AND entries.seq IN (2, 3)"},
     "seq"},
    {{"INSERT INTO entries SELECT 11, entry, leaf, ts, session, type, trace_id FROM entries"
      " WHERE seq = 3"},
     "tail"},
    {{"INSERT INTO entries SELECT -1, entry, leaf, ts, session, type, trace_id FROM entries"
      " WHERE seq = 3"},
     "extra"},
    {{"UPDATE data_keys SET wrap = zeroblob(72)"}, "key"},
};

static void test_tampering(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < sizeof tamperings / sizeof *tamperings; i++) {
        struct ack acks[8];
        append_many(w, acks, 8);
        w->sql[0] = tamperings[i].sql[0];
        w->sql[1] = tamperings[i].sql[1];
        w->then = tamper;
        loop_run(w->loop);
        assert_false(json_flag(w->report, "ok", true));
        if (!has_problem(w->report, tamperings[i].code)) {
            char *text = json_write(w->report);
            fail_msg("%s: wanted %s, got %s", tamperings[i].sql[0], tamperings[i].code, text);
        }
        struct prov_state now;
        prov_state(w->prov, &now);
        assert_int_equal(now.state, PROV_BROKEN);
        tear_down(state);
        set_up(state);
        w = *state;
    }
}

/* Each byte of each entry of a small log is changed in turn, and its leaf with it, as somebody
 * would who knows the format; and changed back. */
static enum err put_entry(struct store_db *db, void *arg, struct error *e)
{
    struct world *w = arg;
    uint8_t leaf[VAULT_HASH];
    prov__leaf(w->bytes, w->len, leaf);
    return store_exec(db, e, "UPDATE entries SET entry = ?, leaf = ? WHERE seq = ?", "bbi",
                      (const void *)w->bytes, w->len, (const void *)leaf, sizeof leaf, w->seq);
}

static bool take_bytes(void *arg, const struct store_row *row)
{
    struct world *w = arg;
    const void *bytes = store_blob(row, 0, &w->len);
    free(w->bytes);
    w->bytes = xcalloc(1, w->len + 1);
    memcpy(w->bytes, bytes, w->len);
    return false;
}

/* Every byte; some, where threads are looked at, which are the same for each of them. */
#ifdef __SANITIZE_THREAD__
enum { FLIP_STEP = 7 };
#else
enum { FLIP_STEP = 1 };
#endif

static void flip_next(struct world *w);

static void flip_checked(void *arg, json_t *report)
{
    struct world *w = arg;
    w->accepted += json_flag(report, "ok", true);
    json_decref(report);
    w->bytes[w->at] ^= 0x04;
    w->at += FLIP_STEP;
    flip_next(w);
}

static void flipped(void *arg, const struct error *e)
{
    struct world *w = arg;
    assert_int_equal(e->code, ERR_OK);
    prov_verify_start(w->prov, 0, NULL, flip_checked, w);
}

static void restored(void *arg, const struct error *e)
{
    struct world *w = arg;
    assert_int_equal(e->code, ERR_OK);
    w->seq++;
    w->at = 0;
    w->len = 0;
    flip_next(w);
}

static void flip_next(struct world *w)
{
    if (w->at >= (int64_t)w->len && w->len) {
        store_write(w->store, put_entry, restored, w);
        return;
    }
    if (w->at == 0 && w->seq < 3) /* behind them is the epoch that the first change began */
        store_query(store_reader(w->store), NULL, take_bytes, w,
                    "SELECT entry FROM entries WHERE seq = ?", "i", w->seq);
    if (w->len == 0) { /* all are done; whole again */
        verify(w);
        return;
    }
    w->bytes[w->at] ^= 0x04;
    store_write(w->store, put_entry, flipped, w);
}

static void test_every_byte(void **state)
{
    struct world *w = *state;
    struct ack acks[2];
    append_many(w, acks, 2);
    w->then = flip_next;
    loop_run(w->loop);
    assert_int_equal(w->seq, 3);
    assert_int_equal(w->accepted, 0);
    assert_good(w->report);
    free(w->bytes);
}

static void test_tail_cut_while_closed(void **state) /* C5: goes on behind in a new epoch */
{
    struct world *w = *state;
    struct ack acks[8];
    append_many(w, acks, 8);
    w->sql[0] = "DELETE FROM payloads WHERE seq >= 6";
    w->sql[1] = "DELETE FROM entries WHERE seq >= 6";
    w->then = tamper;
    loop_run(w->loop);
    close_world(w, true);
    open_world(w);
    struct prov_state now;
    prov_state(w->prov, &now);
    assert_int_equal(now.state, PROV_BROKEN);
    w->then = verify;
    append(w, &late, "config", NULL, -1, NULL);
    loop_run(w->loop);
    assert_int_equal(late.error.code, ERR_OK);
    assert_int_equal(late.seq, 11); /* 9 is epoch.start, 10 the new session.start */
    assert_false(json_flag(w->report, "ok", true));
    assert_true(has_problem(w->report, "missing"));
    prov_state(w->prov, &now);
    assert_int_equal(now.state, PROV_BROKEN);
    assert_int_equal(now.epoch, 2);
    assert_int_equal(now.base, 9);
    const json_t *epochs = json_object_get(w->report, "epochs");
    assert_int_equal(json_array_size(epochs), 2);
    assert_false(json_flag(json_array_get(epochs, 0), "intact", true));
    assert_true(json_flag(json_array_get(epochs, 1), "intact", false));
}

static void never(void *arg, json_t *report)
{
    (void)arg;
    json_decref(report);
    fail();
}

static void cancel_at_once(struct world *w)
{
    prov_verify_cancel(prov_verify_start(w->prov, 0, NULL, never, w));
    prov_verify_start(w->prov, 0, NULL, never, w); /* ended by prov_free */
    loop_quit(w->loop);
}

static void test_cancel(void **state) /* R3 */
{
    struct world *w = *state;
    struct ack *acks = xcalloc(3000, sizeof *acks);
    append_many(w, acks, 3000);
    w->then = cancel_at_once;
    loop_run(w->loop);
    free(acks);
}

static void verify_part(struct world *w)
{
    prov_verify_start(w->prov, 2500, NULL, verified, w);
}

static void test_part(void **state)
{
    struct world *w = *state;
    struct prov_state now;
    struct ack *acks = xcalloc(3000, sizeof *acks);
    append_many(w, acks, 3000);
    w->then = verify_part;
    loop_run(w->loop);
    assert_good(w->report);
    assert_int_equal(json_int(w->report, "checked", 0), 3001 - 2048);
    prov_state(w->prov, &now);
    assert_int_equal(now.state, PROV_UNCHECKED);
    assert_string_equal(json_str(w->report, "root", ""), now.root);
    free(acks);
}

/* The verifier that was written from docs/evidence-format.md alone, in another language. */
static int peer(struct world *w, const char *options)
{
    char *command = xasprintf("python3 tests/peers/verify_log.py '%s/console.db' %s >'%s/report'",
                              w->dir, options, w->dir);
    int status = system(command);
    free(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_peer(void **state)
{
    struct world *w = *state;
    struct ack *acks = xcalloc(1500, sizeof *acks);
    struct prov_state now;
    if (access("tests/peers/verify_log.py", R_OK) != 0 || system("python3 -c ''") != 0)
        skip();
    append_many(w, acks, 1500);
    loop_run(w->loop);
    free(acks);
    prov_state(w->prov, &now);
    char *noted =
        xasprintf("--size %lld --head %s --root %s", (long long)now.size, now.head, now.root);
    assert_int_equal(peer(w, noted), 0); /* beside the running console */
    close_world(w, false);
    assert_int_equal(peer(w, noted), 0);
    char *last = noted + strlen(noted) - 1;
    *last = *last == '0' ? '1' : '0'; /* another digit of the root */
    assert_int_equal(peer(w, noted), 4);
    free(noted);
    open_world(w);
    w->sql[0] = "UPDATE payloads SET sealed = zeroblob(70) WHERE seq = 700";
    store_write(w->store, run_sql, NULL, w);
    close_world(w, false);
    assert_int_equal(peer(w, ""), 4);
    open_world(w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_append),     TEST(test_read),
        TEST(test_refused),    TEST(test_failure),
        TEST(test_sessions),   TEST(test_full_disk_at_start),
        TEST(test_projection), TEST(test_tampering),
        TEST(test_every_byte), TEST(test_tail_cut_while_closed),
        TEST(test_cancel),     TEST(test_part),
        TEST(test_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
