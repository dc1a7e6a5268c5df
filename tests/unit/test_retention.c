/* Retention: R1..R5 of retention.h, E1 of erased.c, Q1, Q2 of select.c, H1, H2 of hold.c, X1, X2 of
 * erase.c. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/retain.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t DAY = 86400000;
static const char MARKER[] = "Иван Петрович Маркеров";

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    struct prov_retention *r;
    json_t *report; /* of an erasure or a verification */
    json_t *result; /* of a hold */
    struct error error;
    int64_t seq;
    int pending;
};

static void redact(json_t *doc, const char *const *types, size_t count)
{
    for (size_t i = 0; i < count; i++)
        json_puts(doc, types[i], "[erased]");
}

static void open_world(struct world *w)
{
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = w->store ? vault_open(w->dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    w->r = w->prov ? prov_retention_new(w->prov, redact, &e) : NULL;
    if (!w->r)
        fail_msg("%s: %s", err_name(e.code), e.detail);
}

static void close_world(struct world *w)
{
    prov_close(w->prov);
    store_close(w->store);
    store_free(w->store);
    prov_retention_free(w->r);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
}

static void reopen(struct world *w)
{
    close_world(w);
    open_world(w);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = xasprintf("%s/mcpc-retention-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    open_world(w);
    *state = w;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close_world(w);
    json_decref(w->report);
    json_decref(w->result);
    nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w->dir);
    free(w);
    return 0;
}

/* ---- doing things and waiting for them */

static void on_appended(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    w->error = *e;
    w->seq = seq;
    loop_quit(w->loop);
}

static int64_t append(struct world *w, const char *type, const char *trace, const char *text,
                      const char *tag)
{
    const char *tags[] = {tag, NULL};
    json_t *payload = json_object();
    json_puts(payload, "text", text);
    struct prov_entry entry = {.type = type,
                               .actor = "operator",
                               .trace_id = trace,
                               .pii_tags = tag ? tags : NULL,
                               .payload = payload};
    prov_append(w->prov, &entry, on_appended, w, NULL, NULL);
    json_decref(payload);
    loop_run(w->loop);
    assert_int_equal(w->error.code, ERR_OK);
    return w->seq;
}

static void on_report(void *arg, json_t *report, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->report);
    w->report = json_incref(report);
    w->error = *e;
    loop_quit(w->loop);
}

static struct prov_erasing by(int kind, const char *text)
{
    return (struct prov_erasing){.scope = {.kind = (unsigned)kind, .text = text},
                                 .code = "request",
                                 .reason = "a test",
                                 .basis = "none",
                                 .by = "operator"};
}

static void erase(struct world *w, const struct prov_erasing *o)
{
    struct error e = {0};
    if (prov_erase(w->r, o, on_report, w, &e) != ERR_OK)
        fail_msg("%s: %s", err_name(e.code), e.detail);
    loop_run(w->loop);
    if (!w->report)
        fail_msg("%s: %s", err_name(w->error.code), w->error.detail);
}

static void on_verified(void *arg, json_t *report)
{
    struct world *w = arg;
    json_decref(w->report);
    w->report = report;
    loop_quit(w->loop);
}

static bool verify(struct world *w)
{
    prov_verify_start(w->prov, 0, NULL, on_verified, w);
    loop_run(w->loop);
    return json_flag(w->report, "ok", false);
}

static void on_hold(void *arg, json_t *result, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->result);
    w->result = json_incref(result);
    w->error = *e;
    loop_quit(w->loop);
}

static char *hold(struct world *w, int kind, const char *text)
{
    struct prov_scope scope = {.kind = (unsigned)kind, .text = text};
    prov_hold_set(w->r, &scope, "a case", "operator", on_hold, w);
    loop_run(w->loop);
    assert_non_null(w->result);
    return xstrdup(json_str(w->result, "id", ""));
}

static void on_written(void *arg, const struct error *e)
{
    struct world *w = arg;
    w->error = *e;
    loop_quit(w->loop);
}

static enum err exec(struct store_db *db, void *arg, struct error *e)
{
    return store_exec(db, e, arg, "");
}

static void change(struct world *w, const char *sql)
{
    store_write(w->store, exec, on_written, w);
    (void)sql;
}

static bool opens(struct world *w, int64_t seq)
{
    json_t *payload = prov_payload(w->prov, seq, &w->error);
    bool open = payload != NULL;
    json_decref(payload);
    return open;
}

static int64_t reported(const struct world *w, const char *key)
{
    return json_int(w->report, key, -1);
}

/* ---- the bytes in the files */

struct bytes {
    uint8_t *data;
    size_t len;
};

static bool take_bytes(void *arg, const struct store_row *row)
{
    struct bytes *b = arg;
    const void *blob = store_blob(row, 0, &b->len);
    b->data = xcalloc(1, b->len + 1);
    memcpy(b->data, blob, b->len);
    return false;
}

static struct bytes sealed_of(struct world *w, int64_t seq)
{
    struct bytes b = {0};
    store_query(store_reader(w->store), NULL, take_bytes, &b,
                "SELECT sealed FROM payloads WHERE seq = ?", "i", seq);
    assert_non_null(b.data);
    return b;
}

static struct bytes wrap_of(struct world *w)
{
    struct bytes b = {0};
    store_query(store_reader(w->store), NULL, take_bytes, &b,
                "SELECT wrap FROM data_keys WHERE session = ?", "s", prov_session(w->prov));
    assert_non_null(b.data);
    return b;
}

static bool in_file(const struct world *w, const char *name, const struct bytes *b)
{
    bool found = false;
    char *path = xasprintf("%s/%s", w->dir, name);
    struct buf text = {0};
    char part[65536];
    size_t n;
    FILE *f = fopen(path, "re");
    while (f && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&text, part, n);
    if (f)
        fclose(f);
    if (text.len >= b->len) /* the first bytes will do: they are random */
        found = memmem(text.data, text.len, b->data, b->len < 24 ? b->len : 24) != NULL;
    buf_release(&text);
    free(path);
    return found;
}

static bool in_files(const struct world *w, const struct bytes *b)
{
    return in_file(w, "console.db", b) || in_file(w, "console.db-wal", b);
}

/* ---- what goes, what stays */

static const char T1[] = "11111111111111111111111111111111",
                  T2[] = "22222222222222222222222222222222";

/* R1: by trace; the bytes and the old keys are in no file; everything else opens; the log verifies
 * and says who erased what. */
static void test_trace(void **state)
{
    struct world *w = *state;
    int64_t question = append(w, "question", T1, MARKER, "phone"),
            other = append(w, "question", T2, "disk full", NULL),
            answer = append(w, "answer", T1, MARKER, NULL);
    struct bytes sealed = sealed_of(w, question), wrap = wrap_of(w), stays = sealed_of(w, other);
    assert_true(in_files(w, &sealed) && in_files(w, &wrap));
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 2);
    assert_true(json_flag(w->report, "scrubbed", false));
    assert_int_equal(json_int(json_object_get(w->report, "keys"), "punctured", 0), 2);
    assert_int_equal(json_int(json_object_get(w->report, "tags"), "phone", 0), 1);
    assert_false(in_files(w, &sealed) || in_files(w, &wrap));
    assert_true(in_files(w, &stays));
    assert_false(opens(w, question) || opens(w, answer));
    assert_non_null(strstr(w->error.detail, "erased on "));
    assert_non_null(strstr(w->error.detail, "a test"));
    assert_true(opens(w, other));
    int64_t later = append(w, "question", T2, "memory full", NULL);
    assert_true(opens(w, later));
    assert_true(verify(w));
    const json_t *erased = json_object_get(w->report, "erased");
    assert_int_equal(json_int(erased, "count", 0), 2);
    assert_int_equal(json_int(erased, "claimed", -1), 0);
    assert_string_equal(
        json_str(json_array_get(json_object_get(erased, "entries"), 0), "reason", ""), "a test");
    reopen(w);
    assert_false(opens(w, question));
    assert_true(opens(w, other) && opens(w, later));
    assert_true(verify(w));
    free(sealed.data);
    free(wrap.data);
    free(stays.data);
}

int main(void)
{
    (void)change;
    (void)hold;
    (void)DAY;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_trace, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
