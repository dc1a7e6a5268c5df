/* cost.h: exact money, and the ledger in a real database. */
#include "backend/base/clock.h"
#include "backend/cost/cost.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* tokens_in * price_in + tokens_out * price_out, prices per million. */
static int64_t amount(int64_t in, int64_t nano_in, int64_t out, int64_t nano_out)
{
    const struct cost_part parts[] = {{in, nano_in}, {out, nano_out}};
    int64_t nano = -1;
    assert_true(cost_total(parts, 2, 1000000, &nano));
    return nano;
}

static void amounts_are_exact(void **state)
{
    (void)state;
    assert_true(amount(1000000, 150000000, 0, 0) == 150000000);
    assert_true(amount(1, 150000000, 0, 0) == 150);
    assert_true(amount(1, 499999, 0, 0) == 0);
    assert_true(amount(1, 500000, 0, 0) == 1); /* half up */
    assert_true(amount(3, 12500000000, 7, 50000000000) == 387500);
    assert_true(amount(0, 5, 0, 5) == 0);
    assert_true(amount(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX) == INT64_MAX);
}

static void money_is_written_short(void **state)
{
    (void)state;
    static const struct {
        int64_t nano;
        const char *text;
    } rows[] = {
        {0, "0.00"},
        {41200000000, "41.20"},
        {123000, "0.000123"},
        {1, "0.000000001"},
        {1500000000, "1.50"},
        {1505000000, "1.505"},
        {-1500000000, "-1.50"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[32];
        cost_format(rows[i].nano, out);
        assert_string_equal(out, rows[i].text);
    }
}

/* The ledger */

struct bench {
    char dir[32];
    struct loop *loop;
    struct store *store;
    struct cost *cost;
    int pending;
};

static int open_bench(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    struct error e = {0};
    snprintf(b->dir, sizeof b->dir, "/tmp/test-cost-XXXXXX");
    if (!mkdtemp(b->dir))
        return -1;
    b->loop = loop_new();
    b->store = store_open(b->loop, b->dir, false, &e);
    if (!b->store) {
        print_error("%s\n", e.detail);
        return -1;
    }
    b->cost = cost_new(b->store);
    *state = b;
    return 0;
}

static int close_bench(void **state)
{
    struct bench *b = *state;
    cost_free(b->cost);
    store_close(b->store);
    store_free(b->store);
    loop_free(b->loop);
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", b->dir);
    int result = system(command);
    free(b);
    return result;
}

struct write {
    struct bench *bench;
    struct cost_line *line;
};

static enum err write_line(struct store_db *db, void *arg, struct error *e)
{
    return cost_insert(db, ((struct write *)arg)->line, e);
}

static void written(void *arg, const struct error *e)
{
    struct write *w = arg;
    assert_int_equal(e->code, ERR_OK);
    cost_line_free(w->line);
    if (--w->bench->pending == 0)
        loop_quit(w->bench->loop);
    free(w);
}

static void insert(struct bench *b, struct cost_line line)
{
    struct write *w = xcalloc(1, sizeof *w);
    w->bench = b;
    w->line = cost_line_copy(&line);
    b->pending++;
    store_write(b->store, write_line, written, w);
}

static const struct cost_line plain = {.trace_id = "t1",
                                       .model = "m1",
                                       .provider = "p1",
                                       .connector = "",
                                       .currency = "RUB",
                                       .price_version = "config",
                                       .outcome = "ok",
                                       .energy_mj = -1,
                                       .first_token_ms = -1};

static const json_t *item(const json_t *o, const char *key, size_t i)
{
    return json_array_get(json_object_get(o, key), i);
}

static void an_empty_ledger_has_zeros(void **state)
{
    struct bench *b = *state;
    struct error e = {0};
    json_t *s = cost_summary(b->cost, "RUB", 7, &e);
    assert_non_null(s);
    assert_int_equal(json_array_size(json_object_get(s, "by_day")), 7);
    assert_int_equal(json_array_size(json_object_get(s, "by_model")), 0);
    assert_string_equal(json_str(json_object_get(s, "today"), "amount", ""), "0.00");
    assert_int_equal(json_int(json_object_get(s, "total"), "calls", -1), 0);
    json_decref(s);
    json_t *lines = cost_ledger(b->cost, -1, 10, &e);
    assert_int_equal(json_array_size(lines), 0);
    json_decref(lines);
}

static void fill(struct bench *b)
{
    int64_t now = clock_real_ms(), day = 86400000;
    struct cost_line l = plain;
    l.at = now;
    l.priced = true;
    l.amount_nano = 1500000000;
    l.input_tokens = 100;
    l.output_tokens = 20;
    insert(b, l);
    l.at = now - 2 * day;
    l.amount_nano = 500000001;
    l.estimated = true;
    insert(b, l);
    l.at = now - 30 * day; /* outside the window */
    insert(b, l);
    l = plain;
    l.at = now;
    l.model = "m2";
    l.outcome = "cancelled";
    l.input_tokens = -7;
    insert(b, l); /* unknown price */
    l.priced = true;
    l.currency = "USD";
    l.amount_nano = 20000000;
    l.output_tokens = INT64_MAX;
    insert(b, l);
    loop_run(b->loop);
}

static void totals_are_right(void **state)
{
    struct bench *b = *state;
    struct error e = {0};
    fill(b);
    json_t *s = cost_summary(b->cost, "RUB", 7, &e);
    assert_non_null(s);
    const json_t *today = json_object_get(s, "today"), *total = json_object_get(s, "total");
    assert_string_equal(json_str(today, "amount", ""), "1.50");
    assert_int_equal(json_int(today, "calls", 0), 3);
    assert_int_equal(json_int(today, "unknown", 0), 1);
    assert_int_equal(json_int(today, "input_tokens", 0), 100);
    assert_true(json_int(today, "output_tokens", 0) == 1000000000020);
    assert_string_equal(json_str(total, "amount", ""), "2.000000001");
    assert_int_equal(json_int(total, "calls", 0), 4);
    assert_int_equal(json_int(total, "estimated", 0), 1);
    assert_int_equal(json_array_size(json_object_get(s, "by_day")), 7);
    assert_int_equal(json_int(item(s, "by_day", 4), "calls", -1), 1);
    assert_int_equal(json_int(item(s, "by_day", 5), "calls", -1), 0);
    assert_string_equal(json_str(item(s, "by_day", 6), "amount", ""), "1.50");
    char day[16];
    clock_local_day(clock_real_ms(), day);
    assert_string_equal(json_str(item(s, "by_day", 6), "day", ""), day);
    const json_t *first = item(s, "by_model", 0), *second = item(s, "by_model", 1);
    assert_string_equal(json_str(first, "model", ""), "m1");
    assert_string_equal(json_str(first, "amount", ""), "2.000000001");
    assert_true(json_num(first, "share", 0) == 1.0);
    assert_string_equal(json_str(first, "share_of", ""), "amount");
    assert_int_equal(json_int(second, "calls", 0), 2);
    assert_int_equal(json_int(second, "unknown", 0), 1);
    assert_int_equal(json_int(second, "elsewhere", 0), 1); /* its amount here is no zero */
    assert_int_equal(json_int(first, "elsewhere", -1), 0);
    assert_string_equal(json_str(second, "amount", ""), "0.00");
    assert_string_equal(json_str(item(s, "by_outcome", 0), "outcome", ""), "cancelled");
    assert_int_equal(json_int(item(s, "by_outcome", 1), "calls", 0), 2);
    const json_t *usd = item(s, "other_currencies", 0);
    assert_string_equal(json_str(usd, "currency", ""), "USD");
    assert_string_equal(json_str(usd, "amount", ""), "0.02");
    assert_int_equal(json_int(usd, "calls", 0), 1);
    json_decref(s);
    s = cost_summary(b->cost, "EUR", 0, &e);
    assert_int_equal(json_array_size(json_object_get(s, "by_day")), 1);
    assert_string_equal(json_str(item(s, "by_model", 0), "share_of", ""), "tokens");
    assert_int_equal(json_array_size(json_object_get(s, "other_currencies")), 2);
    json_decref(s);
}

static void amounts_that_overflow_a_sum_are_summed(void **state)
{
    struct bench *b = *state;
    struct error e = {0};
    struct cost_line l = plain;
    l.at = clock_real_ms();
    l.priced = true;
    l.currency = "XTS";
    l.amount_nano = INT64_MAX;
    for (int i = 0; i < 3; i++)
        insert(b, l);
    loop_run(b->loop);
    json_t *s = cost_summary(b->cost, "XTS", 1, &e);
    assert_non_null(s);
    assert_string_equal(json_str(json_object_get(s, "total"), "amount", ""),
                        "27670116110.564327421");
    json_decref(s);
}

static void the_ledger_is_paged_from_the_newest(void **state)
{
    struct bench *b = *state;
    struct error e = {0};
    struct cost_line l = plain;
    l.at = 1700000000000; /* outside what the next test sums up */
    l.model = "bad \xff name";
    l.first_token_ms = 12;
    l.entry = 77;
    l.session = "s1";
    l.flow = "answer";
    l.input_tokens = 9;
    l.cached_tokens = 8;
    l.cache_write_tokens = 7;
    l.output_tokens = 6;
    l.reasoning_tokens = 5;
    l.attempt = 2;
    l.queued_ms = 4;
    l.energy_mj = 3500;
    l.error = "TIMEOUT";
    insert(b, l);
    loop_run(b->loop);
    json_t *page = cost_ledger(b->cost, -1, 1, &e);
    assert_int_equal(json_array_size(page), 1);
    const json_t *line = json_array_get(page, 0);
    assert_true(json_is_null(json_object_get(line, "amount")));
    assert_int_equal(json_int(line, "entry", 0), 77);
    assert_int_equal(json_int(line, "first_token_ms", 0), 12);
    static const struct {
        const char *name;
        int64_t value;
    } counts[] = {{"input_tokens", 9},  {"cached_tokens", 8},    {"cache_write_tokens", 7},
                  {"output_tokens", 6}, {"reasoning_tokens", 5}, {"attempt", 2},
                  {"queued_ms", 4}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        assert_int_equal(json_int(line, counts[i].name, -1), counts[i].value);
    assert_string_equal(json_str(line, "session", ""), "s1");
    assert_string_equal(json_str(line, "project", "-"), "");
    assert_string_equal(json_str(line, "flow", ""), "answer");
    assert_string_equal(json_str(line, "error", ""), "TIMEOUT");
    assert_string_equal(json_str(line, "source", ""), "reported");
    assert_true(json_num(line, "energy_j", 0) == 3.5);
    assert_string_equal(json_str(line, "model", ""), "bad \xef\xbf\xbd name");
    int64_t id = json_int(line, "id", 0);
    json_decref(page);
    page = cost_ledger(b->cost, id, 2, &e);
    assert_int_equal(json_array_size(page), 2);
    assert_true(json_int(json_array_get(page, 0), "id", 0) == id - 1);
    assert_string_equal(json_str(json_array_get(page, 0), "amount", ""), "9223372036.854775807");
    json_decref(page);
}

/* A database of before the totals by day: the lines are there, the totals and what came later are
 * not. */
static enum err make_old(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    static const char *const undo[] = {"DROP TABLE ledger_days",
                                       "DROP TABLE IF EXISTS answer_counts",
                                       "DROP TABLE IF EXISTS checkpoints",
                                       "DROP TABLE IF EXISTS epochs",
                                       "DROP TABLE IF EXISTS erased",
                                       "DROP TABLE IF EXISTS holds",
                                       "DROP TABLE IF EXISTS plans",
                                       "DROP TABLE IF EXISTS kill_state",
                                       "DROP TABLE IF EXISTS erasures",
                                       "DROP TABLE IF EXISTS retention_state",
                                       "DROP INDEX IF EXISTS ledger_entry",
                                       "DROP TABLE IF EXISTS cosignatures",
                                       "DROP TABLE IF EXISTS witnessed",
                                       "DROP TABLE IF EXISTS bundles",
                                       "DROP TABLE IF EXISTS passage_vectors",
                                       "DROP INDEX ledger_session",
                                       "DROP INDEX ledger_project",
                                       "ALTER TABLE ledger DROP COLUMN session",
                                       "ALTER TABLE ledger DROP COLUMN project",
                                       "ALTER TABLE ledger DROP COLUMN flow",
                                       "ALTER TABLE ledger DROP COLUMN cached_tokens",
                                       "ALTER TABLE ledger DROP COLUMN cache_write_tokens",
                                       "ALTER TABLE ledger DROP COLUMN reasoning_tokens",
                                       "ALTER TABLE ledger DROP COLUMN error",
                                       "ALTER TABLE ledger DROP COLUMN attempt",
                                       "ALTER TABLE ledger DROP COLUMN queued_ms",
                                       "ALTER TABLE ledger DROP COLUMN energy_mj",
                                       "DROP TABLE budget_warnings",
                                       "DROP TABLE IF EXISTS conversations",
                                       "DROP TABLE IF EXISTS passage_vectors",
                                       "DROP TABLE IF EXISTS outcomes",
                                       "DROP TABLE IF EXISTS learnt_weights",
                                       "DROP TABLE IF EXISTS learnt_decisions",
                                       "DROP TABLE IF EXISTS signing_keys",
                                       "DROP TABLE tree",
                                       "DROP INDEX sessions_first",
                                       "CREATE INDEX entries_session ON entries(session)",
                                       "CREATE TABLE tree(level INTEGER NOT NULL,"
                                       " idx INTEGER NOT NULL, hash BLOB NOT NULL,"
                                       " PRIMARY KEY(level, idx)) STRICT, WITHOUT ROWID",
                                       "PRAGMA user_version=1"};
    enum err code = ERR_OK;
    for (size_t i = 0; i < sizeof undo / sizeof *undo && code == ERR_OK; i++)
        code = store_exec(db, e, undo[i], "");
    return code;
}

static void made_old(void *arg, const struct error *e)
{
    assert_int_equal(e->code, ERR_OK);
    loop_quit(arg);
}

static void an_older_ledger_gets_the_same_totals(void **state)
{
    struct bench *b = *state;
    struct error e = {0};
    json_t *before = cost_summary(b->cost, "RUB", 60, &e);
    assert_true(json_int(json_object_get(before, "total"), "calls", 0) > 5);
    store_write(b->store, make_old, made_old, b->loop);
    loop_run(b->loop);
    assert_null(cost_summary(b->cost, "RUB", 60, &e));
    cost_free(b->cost);
    store_close(b->store);
    store_free(b->store);
    b->store = store_open(b->loop, b->dir, false, &e);
    assert_non_null(b->store);
    b->cost = cost_new(b->store);
    json_t *after = cost_summary(b->cost, "RUB", 60, &e);
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest money[] = {
        cmocka_unit_test(amounts_are_exact),
        cmocka_unit_test(money_is_written_short),
    };
    const struct CMUnitTest ledger[] = {
        cmocka_unit_test(an_empty_ledger_has_zeros),
        cmocka_unit_test(totals_are_right),
        cmocka_unit_test(amounts_that_overflow_a_sum_are_summed),
        cmocka_unit_test(the_ledger_is_paged_from_the_newest),
        cmocka_unit_test(an_older_ledger_gets_the_same_totals),
    };
    int failed = cmocka_run_group_tests(money, NULL, NULL);
    return failed + cmocka_run_group_tests(ledger, open_bench, close_bench);
}
