/* Vectors of a model in the place of the built-in ones: the runbooks' are made once and kept, the
 * question's each time, and whatever goes wrong the built-in ones do. Cites V1 to V3 of
 * orchestrator/vectors.h and W1 to W3 of orchestrator/passages.c. */
#include "tests/unit/console_harness.h"
#include "tests/unit/mock_harness.h"
#include <math.h>
#include <sqlite3.h>

static struct mock_peer peer;

static int start_peer(void **state)
{
    (void)state;
    unsetenv("MODEL_BACKENDS");
    return mock_start(&peer, NULL) ? 0 : -1;
}

static int stop_peer(void **state)
{
    (void)state;
    return mock_stop(&peer);
}

/* A console whose model of embeddings is the mock's `name`; dir NULL: a new one. */
static struct console embedding(char *dir, const char *name, const char *knowledge,
                                const char *model)
{
    char *path;
    dir = dir ? dir : new_dir();
    path = xasprintf("%s/c.conf", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "[knowledge]\nembedding = e\n%s\n[model \"e\"]\nkind = openai\nurl = %s/v1\n"
            "model = %s\nregion = RU\nretries = 0\nprice_in = 10\nprice_out = 0\n%s\n",
            knowledge, peer.url, name, model);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    struct console c = console_start(dir, path, "operator");
    free(path);
    return c;
}

/* The doctor's row of the vectors, once it has these words. */
static void wait_for(struct console *c, const char *status, const char *words)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    char *last = NULL;
    for (;;) {
        json_t *checks = call(c, WIRE_doctor_run, NULL), *row;
        size_t i;
        bool found = false;
        json_array_foreach(json_object_get(checks, "checks"), i, row)
        {
            if (strcmp(json_str(row, "name", ""), "runbook vectors") != 0)
                continue;
            free(last);
            last = xstrdup(json_str(row, "text", ""));
            found = strstr(last, words) && strcmp(json_str(row, "status", ""), status) == 0;
        }
        json_decref(checks);
        if (found)
            break;
        if (clock_mono_ms() > until)
            fail_msg("%s", last ? last : "no such row");
        usleep(5000);
    }
    free(last);
}

static const json_t *stage_of(const json_t *trace, const char *name, const char *label)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(trace, "stages"), i, s)
    {
        if (strcmp(json_str(s, "name", ""), name) == 0 &&
            (!label || strcmp(json_str(s, "label", ""), label) == 0))
            return s;
    }
    return NULL;
}

static bool has_source(const json_t *trace, const char *words)
{
    size_t i;
    const json_t *s;
    json_array_foreach(json_object_get(trace, "sources"), i, s)
    {
        if (strstr(json_str(s, "ref", ""), words))
            return true;
    }
    return false;
}

static int64_t asked_of_mock(void)
{
    json_t *all = mock_ask(&peer, "/mock/count", NULL);
    int64_t n = json_int(all, "requests", -1);
    json_decref(all);
    return n;
}

static void verified(struct console *c)
{
    json_t *report = call(c, WIRE_evidence_verify, "{\"wait\": true}");
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
}

/* Asks until the passages have their vectors; the caller owns the trace. */
static json_t *asked_by_vectors(struct console *c, const char *question)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    for (;;) {
        json_t *trace = ask(c, question);
        if (stage_of(trace, "retrieve", "e"))
            return trace;
        json_decref(trace);
        assert_true(clock_mono_ms() < until);
        usleep(20000);
    }
}

/* Lines of the ledger with that outcome; each has tokens, the passages' a price. */
static size_t embedding_lines(struct console *c, const char *outcome)
{
    json_t *ledger = call(c, WIRE_cost_ledger, "{\"limit\":100}"), *line;
    size_t i, lines = 0;
    json_array_foreach(json_object_get(ledger, "lines"), i, line)
    {
        if (strcmp(json_str(line, "flow", ""), "embedding") != 0 ||
            strcmp(json_str(line, "outcome", ""), outcome) != 0)
            continue;
        lines++;
        assert_true(json_int(line, "input_tokens", 0) > 0);
        assert_true(json_is_string(json_object_get(line, "amount")));
    }
    json_decref(ledger);
    return lines;
}

/* W2, W3, V3: what words alone do not find is found; nothing is paid for twice. */
static void passages_are_embedded_once(void **state)
{
    (void)state;
    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    struct console c = embedding(NULL, "dimensions=256", "", "");
    json_t *trace = asked_by_vectors(&c, "glorp exhausted?");
    assert_string_equal(json_str(stage_of(trace, "embed", "e"), "state", ""), "done");
    assert_non_null(stage_of(trace, "retrieve", "e"));
    assert_true(has_source(trace, "inodes-exhausted"));
    json_decref(trace);
    int batches = count_entries(&c, "embedding");
    assert_true(batches >= 4 && batches % 2 == 0);
    /* The question's and the answers', which are compared by them; those of one more question's
     * answers, if the vectors came while it was answered. */
    size_t more = embedding_lines(&c, "ok") - (size_t)batches / 2;
    assert_true(more == 2 || more == 3);
    verified(&c);
    console_stop(&c, true);

    int64_t before = asked_of_mock();
    c = embedding(c.dir, "dimensions=256", "", "");
    trace = ask(&c, "glorp exhausted?");
    assert_non_null(stage_of(trace, "retrieve", "e"));
    assert_true(has_source(trace, "inodes-exhausted"));
    json_decref(trace);
    assert_int_equal(count_entries(&c, "embedding"), batches);
    assert_int_equal(asked_of_mock(), before + 2); /* the question's and the answers' */
    console_stop(&c, false);
}

/* W3: another model, all anew, and the first one's go. */
static void another_model_begins_anew(void **state)
{
    (void)state;
    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    struct console c = embedding(NULL, "dimensions=256", "", "");
    json_decref(asked_by_vectors(&c, "disk?"));
    int batches = count_entries(&c, "embedding");
    console_stop(&c, true);
    c = embedding(c.dir, "dimensions=64", "", "");
    json_decref(asked_by_vectors(&c, "disk?"));
    assert_int_equal(count_entries(&c, "embedding"), 2 * batches);
    usleep(200000);
    char *path = xasprintf("%s/console.db", c.dir);
    console_stop(&c, true);
    sqlite3 *db;
    sqlite3_stmt *q;
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT count(DISTINCT maker), max(length(vector)) "
                                        "FROM passage_vectors",
                                        -1, &q, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(q), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(q, 0), 1);
    assert_int_equal(sqlite3_column_int(q, 1), 64);
    sqlite3_finalize(q);
    sqlite3_close(db);
    free(path);
    nftw(c.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(c.dir);
}

/* W1, V1: what cannot be had is replaced, and the trace says so. */
static void the_built_in_ones_stand_in(void **state)
{
    (void)state;
    struct console c = embedding(NULL, "status=500", "", "");
    wait_for(&c, "warn", "HTTP 500");
    json_t *trace = ask(&c, "is the disk full?");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_true(has_source(trace, "disk-full"));
    const json_t *stage = stage_of(trace, "retrieve", "vectors");
    assert_non_null(stage);
    assert_non_null(strstr(json_str(stage, "note", ""), "built-in vectors: e: HTTP 500"));
    json_decref(trace);
    verified(&c);
    console_stop(&c, false);

    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    c = embedding(NULL, "dimensions=256", "embedding_ms = 150\n", "");
    json_decref(asked_by_vectors(&c, "is the disk full?"));
    assert_true(mock_script(&peer, "[\"hang\"]"));
    trace = ask(&c, "is the disk full?");
    assert_string_equal(json_str(trace, "state", ""), "done");
    stage = stage_of(trace, "embed", "e");
    assert_string_equal(json_str(stage, "state", ""), "failed");
    assert_string_equal(json_str(stage, "note", ""), "it was too late");
    assert_true(json_int(stage, "ms", 0) >= 150);
    assert_true(has_source(trace, "disk-full"));
    assert_int_equal(embedding_lines(&c, "dropped"), 1);
    json_decref(trace);
    assert_true(mock_script(&peer, "[\"dimensions=8\"]"));
    trace = ask(&c, "is the disk full?");
    assert_non_null(
        strstr(json_str(stage_of(trace, "retrieve", "vectors"), "note", ""), "another length"));
    json_decref(trace);
    verified(&c);
    console_stop(&c, false);
}

/* The last stage of that name. */
static const json_t *last_stage(const json_t *trace, const char *name, size_t *count)
{
    size_t i;
    const json_t *s, *found = NULL;
    *count = 0;
    json_array_foreach(json_object_get(trace, "stages"), i, s)
    {
        if (strcmp(json_str(s, "name", ""), name) != 0)
            continue;
        found = s;
        ++*count;
    }
    return found;
}

/* Answers are compared by the model's vectors; without them, in time, by the built-in ones. */
static void answers_are_compared_by_them(void **state)
{
    (void)state;
    size_t stages, compares;
    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    struct console c = embedding(NULL, "dimensions=256", "embedding_ms = 1000\n", "");
    json_t *trace = asked_by_vectors(&c, "is the disk full?");
    const json_t *embed = last_stage(trace, "embed", &stages);
    const json_t *compare = last_stage(trace, "compare", &compares);
    assert_int_equal(stages, 1 + compares);
    assert_string_equal(json_str(embed, "state", ""), "done");
    assert_true(json_int(embed, "start_ms", 0) <= json_int(compare, "start_ms", -1));
    double D = json_num(json_object_get(trace, "verdict"), "D", -1);
    assert_true(D >= 0 && D <= 1);
    json_decref(trace);
    assert_true(mock_script(&peer, "[\"dimensions=256\", \"hang\"]"));
    trace = ask(&c, "is the disk full?");
    assert_string_equal(json_str(trace, "state", ""), "done");
    embed = last_stage(trace, "embed", &stages);
    assert_true(stages >= 2);
    double other = json_num(json_object_get(trace, "verdict"), "D", -1);
    assert_true(other >= 0 && fabs(other - D) > 1e-6); /* of other vectors */
    json_decref(trace);
    verified(&c);
    console_stop(&c, false);
}

/* A vote waits for them before it counts; where they do not come it counts without, in time. */
static void votes_are_counted_by_them(void **state)
{
    (void)state;
    size_t stages, votes;
    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    struct console c = embedding(NULL, "dimensions=256", "embedding_ms = 1000\n", "");
    json_decref(asked_by_vectors(&c, "is the disk full?"));
    for (int hangs = 0; hangs < 2; hangs++) {
        if (hangs)
            assert_true(mock_script(&peer, "[\"dimensions=256\", \"hang\"]"));
        json_t *trace =
            ask_with(&c, json_pack("{s:s,s:s}", "text", "is the disk full?", "flow", "vote"));
        assert_string_equal(json_str(trace, "state", ""), "done");
        assert_string_equal(json_str(json_object_get(trace, "verdict"), "route", ""), "vote");
        const json_t *embed = last_stage(trace, "embed", &stages);
        assert_non_null(last_stage(trace, "vote", &votes));
        assert_true(stages >= 2); /* the question's, the answers' */
        assert_string_equal(json_str(embed, "state", ""), hangs ? "failed" : "done");
        json_decref(trace);
    }
    verified(&c);
    console_stop(&c, false);
}

/* A stop ends the exchange; a console that stops while a batch is under way logs what it took. */
static void stops_end_it(void **state)
{
    (void)state;
    json_decref(mock_ask(&peer, "/mock/reset", "{}"));
    struct console c = embedding(NULL, "hang", "", "");
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (count_entries(&c, "embedding") == 0 && clock_mono_ms() < until)
        usleep(5000);
    usleep(100000);
    console_stop(&c, true);
    c = embedding(c.dir, "dimensions=256", "embedding_ms = 60000\n", "");
    assert_int_equal(count_entries(&c, "embedding") >= 2, 1);
    json_decref(asked_by_vectors(&c, "is the disk full?"));
    assert_true(mock_script(&peer, "[\"hang\"]"));
    int calls = count_entries(&c, "model.output");
    json_t *accepted = call(&c, WIRE_chat_ask, "{\"text\":\"is the disk filling up?\"}");
    usleep(300000);
    char *params = xasprintf("{\"trace_id\":\"%s\"}", json_str(accepted, "trace_id", ""));
    json_decref(call(&c, WIRE_chat_stop, params));
    json_t *trace = call(&c, WIRE_traces_get, params);
    while (strcmp(json_str(trace, "state", ""), "running") == 0 && clock_mono_ms() < until) {
        json_decref(trace);
        trace = call(&c, WIRE_traces_get, params);
    }
    assert_string_equal(json_str(trace, "state", ""), "stopped");
    assert_string_equal(json_str(stage_of(trace, "embed", "e"), "note", ""), "stopped");
    assert_int_equal(count_entries(&c, "model.output"), calls + 1);
    json_decref(trace);
    json_decref(accepted);
    free(params);
    verified(&c);
    console_stop(&c, false);
}

static void what_cannot_embed_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {{"nobody", "there is no such model"},
                                           {"builtin/vector", "built-in vectors are used"},
                                           {"a", "its API has no embeddings"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *dir = new_dir(), *path = xasprintf("%s/c.conf", dir), detail[256];
        FILE *f = fopen(path, "w");
        fprintf(f,
                "[knowledge]\nembedding = %s\n[model \"a\"]\nkind = anthropic\n"
                "url = http://127.0.0.1:1\nmodel = m\n",
                wrong[i][0]);
        fclose(f);
        assert_int_equal(chmod(path, 0600), 0);
        struct console c = console_start(dir, path, "operator");
        assert_int_equal(refused(&c, WIRE_status_get, NULL, detail), ERR_CONFIG);
        assert_non_null(strstr(detail, wrong[i][1]));
        console_stop(&c, false);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passages_are_embedded_once),   cmocka_unit_test(another_model_begins_anew),
        cmocka_unit_test(the_built_in_ones_stand_in),   cmocka_unit_test(stops_end_it),
        cmocka_unit_test(answers_are_compared_by_them), cmocka_unit_test(votes_are_counted_by_them),
        cmocka_unit_test(what_cannot_embed_is_refused),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
