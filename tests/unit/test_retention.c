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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const int64_t DAY = 86400000;
static int64_t clock_off_days;

/* The machine's clock, set wrong for this program's own code, not for the libraries that wait by
 * it. Stands in front of the C library's function. */
extern const char __executable_start, etext;
int clock_gettime(clockid_t id, struct timespec *ts)
{
    const char *caller = __builtin_return_address(0);
    long rc = syscall(SYS_clock_gettime, id, ts);
    if (id == CLOCK_REALTIME && caller >= &__executable_start && caller < &etext)
        ts->tv_sec += (time_t)(clock_off_days * 86400);
    return (int)rc;
}

static const char MARKER[] = "Иван Петрович Маркеров";

struct world {
    const char *sql; /* first: `exec` gets its address */
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
    w->pending = 0;
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

static void release(struct world *w, const char *id)
{
    w->pending = 1;
    prov_hold_release(w->r, id, "closed", "operator", on_hold, w);
    if (w->pending) /* a refusal comes at once */
        loop_run(w->loop);
}

static void on_written(void *arg, const struct error *e)
{
    struct world *w = arg;
    w->error = *e;
    loop_quit(w->loop);
}

static enum err exec(struct store_db *db, void *arg, struct error *e)
{
    const char *const *sql = arg;
    return store_exec(db, e, *sql, "");
}

/* What somebody does who can write the database. */
static void change(struct world *w, const char *sql)
{
    w->sql = sql;
    store_write(w->store, exec, on_written, w);
    loop_run(w->loop);
    if (w->error.code != ERR_OK)
        fail_msg("%s", w->error.detail);
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
            answer = append(w, "question", T1, MARKER, NULL);
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

/* Q2: each class by its own days, personal data by the shorter; what governs the log stays. */
static void test_windows(void **state)
{
    struct world *w = *state;
    int64_t personal = append(w, "tool.call", NULL, "a", "email"),
            telemetry = append(w, "tool.call", NULL, "b", NULL),
            dialogue = append(w, "question", T2, "c", NULL),
            kept = append(w, "verify", NULL, "d", NULL);
    struct prov_erasing o = by(PROV_BY_WINDOW, NULL);
    o.days[PROV_DIALOGUE] = 10;
    o.days[PROV_TELEMETRY] = 5;
    o.personal_days = 2;
    static const struct {
        int64_t days, erased;
    } steps[] = {{0, 0}, {1, 0}, {3, 1}, {6, 1}, {9, 0}, {11, 1}, {40000, 0}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        o.now = clock_real_ms() + steps[i].days * DAY + 3600000;
        o.dry_run = true;
        erase(w, &o);
        assert_int_equal(reported(w, "erased"), steps[i].erased);
        assert_true(json_is_null(json_object_get(w->report, "request")));
        o.dry_run = false;
        erase(w, &o);
        assert_int_equal(reported(w, "erased"), steps[i].erased);
        erase(w, &o);
        assert_int_equal(reported(w, "erased"), 0);
    }
    assert_false(opens(w, personal) || opens(w, telemetry) || opens(w, dialogue));
    assert_true(opens(w, kept) && opens(w, 0)); /* operation_days is 0: for ever */
    assert_true(verify(w));
}

/* Q2: what a clock in the past dated does not go before its neighbours, what one in the future
 * dated stays until then and stops nothing. */
static void test_wrong_clock(void **state)
{
    struct world *w = *state;
    struct prov_erasing o = by(PROV_BY_WINDOW, NULL);
    int64_t now = clock_real_ms(), seq[4];
    static const int64_t off[] = {0, -365, 100, 0};
    o.days[PROV_DIALOGUE] = 10;
    for (size_t i = 0; i < 4; i++) {
        clock_off_days = off[i];
        seq[i] = append(w, "question", NULL, "text", NULL);
    }
    clock_off_days = 0;
    o.now = now + 3600000;
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 0);
    o.now = now + 11 * DAY;
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 3);
    assert_true(opens(w, seq[2]));
    o.now = now + 111 * DAY;
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 1);
    assert_false(opens(w, seq[2]));
}

/* Q2: nor does it go before its time when nothing of its type stands in front of it. */
static void test_early_clock(void **state)
{
    struct world *w = *state;
    struct prov_erasing o = by(PROV_BY_WINDOW, NULL);
    int64_t now = clock_real_ms();
    append(w, "verify", NULL, "the session begins", NULL);
    clock_off_days = -365;
    int64_t seq = append(w, "question", NULL, "text", "email");
    clock_off_days = 0;
    o.days[PROV_DIALOGUE] = 10;
    o.personal_days = 5;
    static const struct {
        int64_t days, erased;
    } steps[] = {{1, 0}, {4, 0}, {6, 1}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_true(opens(w, seq));
        o.now = now + steps[i].days * DAY + 3600000;
        erase(w, &o);
        assert_int_equal(reported(w, "erased"), steps[i].erased);
    }
    assert_false(opens(w, seq));
}

/* By subject: however it is written; the request's own text goes when all is done. */
static void test_subject(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    int64_t hits[] = {append(w, "question", T1, MARKER, NULL),
                      append(w, "question", T1,
                             "спросил ИВАН  петровичъ, то есть иван\nПЕТРОВИЧ маркеров", NULL),
                      append(w, "question", T1, "{\"who\":\"\\u0418ван Петрович Маркеров\"}",
                             NULL)},
            misses[] = {append(w, "question", T2, "Иван Петров", NULL),
                        append(w, "question", T2, "Маркеров", NULL)};
    struct prov_erasing o = by(PROV_BY_SUBJECT, "Иван Петрович МАРКЕРОВ");
    o.code = "subject";
    o.reason = "asked for by иван петрович маркеров";
    assert_int_equal(prov_erase(w->r, &o, on_report, w, &e), ERR_INVALID);
    o.reason = "letter 17";
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 3);
    for (size_t i = 0; i < 3; i++)
        assert_false(opens(w, hits[i]));
    for (size_t i = 0; i < 2; i++)
        assert_true(opens(w, misses[i]));
    int64_t request = reported(w, "request");
    assert_true(opens(w, request));
    json_t *result = json_object(), *report = json_incref(w->report);
    prov_erase_finish(w->r, report, result, on_hold, w);
    loop_run(w->loop);
    assert_non_null(w->result);
    json_decref(result);
    json_decref(report);
    reopen(w);
    assert_false(opens(w, request));
    assert_non_null(strstr(w->error.detail, "erased on "));
    assert_true(verify(w));
    erase(w, &o); /* nobody mentions the subject any more */
    assert_int_equal(reported(w, "erased"), 0);
}

/* R2, H1: a hold stops both ways of erasing, over restarts; a subject's covers the whole trace. */
static void test_holds(void **state)
{
    struct world *w = *state;
    int64_t named = append(w, "question", T1, MARKER, NULL),
            beside = append(w, "question", T1, "the same trace", NULL),
            other = append(w, "question", T2, "another", NULL);
    char *subject = hold(w, PROV_BY_SUBJECT, "маркеров");
    int64_t entry = json_int(w->result, "entry", -1);
    char *trace = hold(w, PROV_BY_TRACE, T2);
    struct prov_erasing o = by(PROV_BY_RANGE, NULL);
    o.scope.last = other;
    for (int round = 0; round < 2; round++) {
        erase(w, &o);
        const json_t *held = json_object_get(w->report, "held");
        assert_int_equal(json_int(json_object_get(held, "holds"), subject, 0), 2);
        assert_int_equal(json_int(json_object_get(held, "holds"), trace, 0), 1);
        assert_true(opens(w, named) && opens(w, beside) && opens(w, other));
        reopen(w);
    }
    json_t *holds = prov_holds(w->r, true);
    assert_int_equal(json_array_size(holds), 2);
    assert_string_equal(json_str(json_array_get(holds, 1), "value", ""), "маркеров");
    json_decref(holds);
    assert_int_equal(store_scalar(store_reader(w->store), -1,
                                  "SELECT count(*) FROM holds WHERE value LIKE '%маркеров%'", ""),
                     0); /* H2 */
    release(w, subject);
    assert_int_equal(w->error.code, ERR_OK);
    release(w, subject);
    assert_int_equal(w->error.code, ERR_NOT_FOUND);
    erase(w, &o);
    assert_false(opens(w, named) || opens(w, beside));
    assert_true(opens(w, other));
    reopen(w);
    assert_false(opens(w, entry)); /* the name went with the hold */
    assert_int_equal(prov_holds_count(w->r), 1);
    assert_true(verify(w));
    free(subject);
    free(trace);
}

/* R2: a hold that cannot be read holds everything. */
static void test_hold_unreadable(void **state)
{
    struct world *w = *state;
    int64_t question = append(w, "question", T1, "something", NULL);
    char *id = hold(w, PROV_BY_SUBJECT, "маркеров");
    int64_t entry = json_int(w->result, "entry", -1);
    char *sql =
        xasprintf("UPDATE payloads SET sealed = zeroblob(80) WHERE seq = %lld", (long long)entry);
    change(w, sql);
    reopen(w);
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 0);
    assert_true(opens(w, question));
    free(sql);
    free(id);
}

/* X1: a hold that is asked for while an erasure searches still counts. */
static void test_hold_in_time(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    int64_t question = append(w, "question", T1, "something", NULL);
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    struct prov_scope scope = {.kind = PROV_BY_TRACE, .text = T1};
    assert_int_equal(prov_erase(w->r, &o, on_report, w, &e), ERR_OK);
    assert_int_equal(prov_erase(w->r, &o, on_report, w, &e), ERR_BUSY); /* R5 */
    prov_hold_set(w->r, &scope, "in time", "operator", NULL, NULL);
    loop_run(w->loop);
    assert_non_null(w->report);
    assert_int_equal(reported(w, "erased"), 0);
    assert_true(opens(w, question));
}

/* R3: what was changed stays, as evidence. */
static void test_damaged(void **state)
{
    struct world *w = *state;
    int64_t question = append(w, "question", T1, "something", NULL);
    append(w, "question", T1, "whole", NULL);
    change(w, "UPDATE payloads SET sealed = zeroblob(length(sealed)) WHERE seq = 1");
    assert_int_equal(question, 1);
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    erase(w, &o);
    assert_int_equal(reported(w, "erased"), 1);
    assert_int_equal(reported(w, "damaged"), 1);
    assert_false(verify(w));
    assert_string_equal(
        json_str(json_array_get(json_object_get(w->report, "problems"), 0), "code", ""),
        "payload_changed");
}

static bool has_problem(const struct world *w, int64_t seq, const char *code)
{
    size_t i;
    json_t *problem;
    json_array_foreach(json_object_get(w->report, "problems"), i,
                       problem) if (json_int(problem, "seq", -1) == seq &&
                                    strcmp(json_str(problem, "code", ""), code) == 0) return true;
    return false;
}

/* E1: a payload that somebody took away is not made good by a line in the table; one that is put
 * back is found. */
static void test_forged(void **state)
{
    struct world *w = *state;
    int64_t question = append(w, "question", T1, "something", NULL),
            other = append(w, "question", T2, "something else", NULL);
    struct bytes sealed = sealed_of(w, question);
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    erase(w, &o);
    int64_t entry = json_integer_value(json_array_get(json_object_get(w->report, "entries"), 0));
    assert_true(verify(w));
    char *take = xasprintf("DELETE FROM payloads WHERE seq = %lld", (long long)other),
         *claim =
             xasprintf("INSERT INTO erased VALUES(%lld, %lld)", (long long)other, (long long)entry),
         *back = xasprintf("INSERT INTO payloads VALUES(%lld, zeroblob(64))", (long long)question);
    change(w, take);
    change(w, claim);
    assert_false(verify(w));
    assert_true(has_problem(w, other, "payload_missing"));
    change(w, back);
    assert_false(verify(w));
    assert_true(has_problem(w, entry, "erase"));
    free(take);
    free(claim);
    free(back);
    free(sealed.data);
}

/* An erasure whose act was never logged is taken up again, with all that it did. */
static void test_resume(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    append(w, "question", T1, "one", NULL);
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    erase(w, &o);
    char *act = xstrdup(json_str(w->report, "act", ""));
    int64_t late = append(w, "question", T1, "two", NULL);
    reopen(w);
    assert_true(prov_erase_resume(w->r, on_report, w, &e));
    loop_run(w->loop);
    assert_string_equal(json_str(w->report, "act", ""), act);
    assert_int_equal(reported(w, "erased"), 2);
    assert_int_equal(json_array_size(json_object_get(w->report, "entries")), 2);
    assert_false(opens(w, late));
    json_t *result = json_object(), *report = json_incref(w->report);
    prov_erase_finish(w->r, report, result, on_hold, w);
    loop_run(w->loop);
    json_decref(result);
    json_decref(report);
    assert_false(prov_erase_resume(w->r, on_report, w, &e));
    assert_int_equal(e.code, ERR_OK);
    json_t *acts = prov_erasures(w->r);
    assert_int_equal(json_array_size(acts), 1);
    assert_true(json_is_integer(json_object_get(json_array_get(acts, 0), "done")));
    json_decref(acts);
    free(act);
}

/* More than a batch; X2: the console may end in the middle. */
static void test_many(void **state)
{
    enum { MANY = 1300 };
    struct world *w = *state;
    struct error e = {0};
    json_t *payload = json_object();
    json_puts(payload, "text", "much");
    struct prov_entry entry = {
        .type = "question", .actor = "operator", .trace_id = T1, .payload = payload};
    for (int i = 0; i < MANY; i++)
        prov_append(w->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
    append(w, "question", T2, "last", NULL);
    struct prov_erasing o = by(PROV_BY_TRACE, T1);
    assert_int_equal(prov_erase(w->r, &o, on_report, w, &e), ERR_OK);
    reopen(w); /* nothing was waited for */
    if (prov_erase_resume(w->r, on_report, w, &e))
        loop_run(w->loop);
    else
        erase(w, &o);
    assert_int_equal(reported(w, "erased"), MANY);
    assert_int_equal(json_array_size(json_object_get(w->report, "ranges")), 3);
    assert_true(verify(w));
    assert_int_equal(json_int(json_object_get(w->report, "erased"), "count", 0), MANY);
}

/* ---- parts */

static void test_match(void **state)
{
    static const struct {
        const char *subject, *text;
        bool found;
    } cases[] = {{"Фёдор Ёлкин", "\"ФЕДОР  ЕЛКИН\"", true},
                 {"андрей", "\"АНДРЕЙ\"", true},
                 {"José Núñez", "\"jose nunez\"", true},
                 {"ivan@example.org", "\"<IVAN@Example.ORG>\"", true},
                 {"+7 (912) 345-67-89", "\"тел. 8 912 345 67 89\"", true},
                 {"89123456789", "\"+7-912-345-67-89\"", true},
                 {"89123456789", "\"8912345678\"", false},
                 {"a \"quoted\" name", "\"A \\\"quoted\\\" name\"", true},
                 {"Иван", "\"\\\\u0438\\\\u0432\\\\u0430\\\\u043d\"", true},
                 {"Иван Петров", "\"Иван\\nПетров\"", true},
                 {"Иван Петров", "\"Иван, Петров\"", false},
                 {"мария", "\"Мари\\u00adя\"", true}};
    (void)state;
    struct prov__match m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(prov__match_init(&m, cases[i].subject));
        if (prov__match_find(&m, cases[i].text, strlen(cases[i].text)) != cases[i].found)
            fail_msg("%s in %s", cases[i].subject, cases[i].text);
        prov__match_release(&m);
    }
    static const char *const refused[] = {"", "  ", "ab", " a b "};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(prov__match_init(&m, refused[i]));
        prov__match_release(&m);
    }
}

static void test_ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]",         "{}", "[[1]]", "[[2,1]]", "[[-1,2]]", "[[1,2],[2,3]]", "[[5,6],[1,2]]",
        "[[1,\"2\"]]"};
    size_t count;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *value = json_loads(bad[i], 0, NULL);
        assert_null(prov__ranges_read(value, &count));
        json_decref(value);
    }
    const int64_t seqs[] = {0, 1, 2, 5, 7, 8};
    json_t *written = prov__ranges_write(seqs, 6);
    struct prov__range *ranges = prov__ranges_read(written, &count);
    assert_int_equal(count, 3);
    assert_true(ranges[0].first == 0 && ranges[0].last == 2 && ranges[1].first == 5 &&
                ranges[1].last == 5 && ranges[2].first == 7 && ranges[2].last == 8);
    json_decref(written);
    free(ranges);
}

/* Every field that order 179 asks for is named when it is missing, and no act says that it is
 * signed. */
static void test_act(void **state)
{
    (void)state;
    const struct prov_operator full = {.name = "ООО «Ромашка»",
                                       .address = "Москва",
                                       .inn = "7707083893",
                                       .processor = "",
                                       .system = "mcp-console",
                                       .responsible = "Петров П. П.",
                                       .position = "администратор"},
                               empty = {"", "", "", "", "", "", ""};
    json_t *report =
        json_loads("{\"act\":\"a1\",\"request\":7,\"by\":\"operator\",\"reason\":\"why\","
                   "\"at\":\"2026-11-27T00:00:00.000Z\",\"erased\":1,\"bytes\":10,"
                   "\"scope\":{\"kind\":\"subject\",\"subject\":\"Иванов\"},"
                   "\"classes\":{\"dialogue\":1},\"tags\":{\"phone\":1},"
                   "\"entries\":[8],\"ranges\":[[1,1]],\"keys\":{\"punctured\":1},"
                   "\"scrubbed\":true}",
                   0, NULL);
    json_t *act = prov_act(&full, report), *missing = prov_act_missing(act);
    assert_int_equal(json_array_size(missing), 0);
    json_decref(missing);
    char *text = prov_act_text(act);
    assert_non_null(strstr(text, "Иванов"));
    assert_non_null(strstr(text, "номер телефона"));
    assert_non_null(strstr(text, "без подписи"));
    assert_non_null(strstr(text, "не подтверждает уничтожение"));
    free(text);
    static const char *const fields[] = {"subject", "categories", "carriers", "system",
                                         "method",  "reason",     "date",     "processor"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *copy = json_deep_copy(act);
        json_object_del(json_object_get(copy, "act"), fields[i]);
        missing = prov_act_missing(copy);
        assert_int_equal(json_array_size(missing), 1);
        assert_string_equal(json_string_value(json_array_get(missing, 0)), fields[i]);
        json_decref(missing);
        json_decref(copy);
    }
    json_decref(act);
    act = prov_act(&empty, report);
    assert_true(json_array_size(json_object_get(act, "missing")) >= 5);
    json_decref(act);
    json_decref(report);
}

/* Every type has a class; what is not known never expires. */
static void test_classes(void **state)
{
    (void)state;
    assert_int_equal(prov_class_of("question"), PROV_DIALOGUE);
    assert_int_equal(prov_class_of("tool.result"), PROV_TELEMETRY);
    assert_int_equal(prov_class_of("session.start"), PROV_OPERATION);
    assert_int_equal(prov_class_of("session.seal"), PROV_GOVERNANCE);
    assert_int_equal(prov_class_of("of.a.newer.version"), PROV_GOVERNANCE);
}

int main(void)
{
#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_trace),           WITH_WORLD(test_windows),
        WITH_WORLD(test_wrong_clock),     WITH_WORLD(test_early_clock),
        WITH_WORLD(test_subject),         WITH_WORLD(test_holds),
        WITH_WORLD(test_hold_unreadable), WITH_WORLD(test_hold_in_time),
        WITH_WORLD(test_damaged),         WITH_WORLD(test_forged),
        WITH_WORLD(test_resume),          WITH_WORLD(test_many),
        cmocka_unit_test(test_match),     cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_act),       cmocka_unit_test(test_classes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
