/* Lineage: G1..G3 of lineage.h over logs made for it, and over a real console's answers. */
#include "backend/provenance/lineage.h"
#include "tests/unit/console_harness.h"

/* ---- a log made for it ---- */

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *result;
    struct error error;
    const char *sql;
    int pending;
};

static int set_up(void **state)
{
    struct error e = {0};
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = new_dir();
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = vault_open(w->dir, true, &e);
    w->prov = prov_open(w->loop, w->store, w->vault, &e);
    assert_non_null(w->prov);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    prov_close(w->prov);
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
    nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    json_decref(w->result);
    free(w->dir);
    free(w);
    return 0;
}

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    (void)seq;
    assert_int_equal(e->code, ERR_OK);
    if (--w->pending == 0)
        loop_quit(w->loop);
}

static const char one[] = "0123456789abcdef0123456789abcdef",
                  two[] = "1123456789abcdef0123456789abcdef";

static int64_t append(struct world *w, const char *type, const char *trace, const char *payload,
                      const struct prov_edge *parents, size_t n)
{
    struct prov_entry entry = {.type = type,
                               .actor = "backend",
                               .trace_id = trace,
                               .parents = parents,
                               .parent_count = n,
                               .payload = json_loads(payload, 0, NULL)};
    w->pending++;
    int64_t seq = prov_append(w->prov, &entry, acked, w, NULL, NULL);
    json_decref(entry.payload);
    return seq;
}

static void lineaged(void *arg, json_t *result, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->result);
    w->result = result;
    w->error = *e;
    loop_quit(w->loop);
}

static const json_t *audit(struct world *w)
{
    if (w->pending)
        loop_run(w->loop);
    prov_lineage_audit(w->prov, 0, -1, lineaged, w);
    loop_run(w->loop);
    assert_non_null(w->result);
    return w->result;
}

static bool has_problem(const json_t *report, int64_t seq, const char *words)
{
    size_t i;
    const json_t *problem;
    json_array_foreach(json_object_get(report, "problems"), i, problem)
    {
        if (json_int(problem, "seq", -1) == seq && strstr(json_str(problem, "text", ""), words))
            return true;
    }
    return false;
}

/* question 1, tool.call 2, tool.result 3, retrieval 4, model.call 5, model.output 6, verdict 7,
 * answer 8; all is as it must be. */
static void append_answer(struct world *w, const char *trace)
{
    int64_t q = append(w, "question", trace, "{\"text\":\"what?\"}", NULL, 0);
    const struct prov_edge plan = {q, "plan", 700}, call = {q + 1, "call", -1},
                           search = {q, "retrieve", 610};
    const struct prov_edge given[] = {
        {q, "ask", -1}, {q + 2, "ground", 700}, {q + 3, "ground", 610}};
    const struct prov_edge made = {q + 4, "generate", -1};
    const struct prov_edge judged[] = {{q + 5, "compare", 820}, {q, "conclude", -1}};
    const struct prov_edge chosen[] = {{q + 6, "choose", 820}, {q + 5, "adopt", 820}};
    append(w, "tool.call", trace, "{\"connector\":\"host\",\"tool\":\"disk\"}", &plan, 1);
    append(w, "tool.result", trace, "{\"ok\":true,\"content\":\"full\"}", &call, 1);
    append(
        w, "retrieval", trace,
        "{\"way\":\"lexical\",\"query\":\"disk\",\"passages\":[{\"ref\":\"disk.md#Full\",\"score\":"
        "\"4.2000\",\"sha256\":"
        "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}]}",
        &search, 1);
    append(w, "model.call", trace, "{\"model\":\"m\"}", given, 3);
    append(w, "model.output", trace, "{\"text\":\"it is full\"}", &made, 1);
    append(w, "verdict", trace, "{\"verdict\":{\"route\":\"single\"}}", judged, 2);
    append(w, "answer", trace, "{\"text\":\"it is  \\n full\"}", chosen, 2);
}

static void test_whole(void **state) /* G1, G2, G3 */
{
    struct world *w = *state;
    append_answer(w, one);
    append_answer(w, two);
    const json_t *report = audit(w);
    assert_true(json_flag(report, "ok", false));
    assert_int_equal(json_int(report, "entries", -1), 17);
    assert_int_equal(json_int(report, "answers", -1), 2);
    assert_int_equal(json_int(report, "chunks", -1), 2);
    assert_int_equal(json_int(report, "edges", -1), 22);
    assert_non_null(strstr(json_str(report, "proved", ""), "each of 2 answers"));
}

static void test_orphans(void **state) /* G2 */
{
    struct world *w = *state;
    append_answer(w, one); /* 1 to 8 */
    int64_t bare = append(w, "answer", one, "{}", NULL, 0);
    const struct prov_edge stolen[] = {{7, "choose", 820}, {6, "adopt", 820}};
    int64_t other = append(w, "answer", two, "{}", stolen, 2); /* of another trace */
    const struct prov_edge wrong[] = {{7, "adopt", 820}, {6, "choose", 820}};
    int64_t turned = append(w, "answer", one, "{}", wrong, 2);
    const struct prov_edge half[] = {{7, "choose", 820}};
    int64_t no_text = append(w, "answer", one, "{}", half, 1);
    int64_t by_hand = append(w, "tool.call", NULL, "{}", NULL, 0);
    int64_t unasked = append(w, "tool.call", one, "{}", NULL, 0);
    const json_t *report = audit(w);
    assert_false(json_flag(report, "ok", true));
    assert_true(has_problem(report, bare, "an orphan"));
    assert_true(has_problem(report, other, "an orphan"));
    assert_true(has_problem(report, turned, "an orphan"));
    assert_true(has_problem(report, no_text, "\"adopt\""));
    assert_false(has_problem(report, no_text, "\"choose\""));
    assert_false(has_problem(report, by_hand, ""));
    assert_true(has_problem(report, unasked, "an orphan"));
    assert_false(has_problem(report, 8, ""));
}

static void test_hashes(void **state) /* G3 */
{
    struct world *w = *state;
    append_answer(w, one);
    const struct prov_edge search = {1, "retrieve", -1};
    int64_t none = append(w, "retrieval", one, "{\"passages\":[{\"ref\":\"a#b\"}]}", &search, 1);
    int64_t bad = append(w, "retrieval", one, "{\"passages\":[{\"sha256\":\"E3B0\"}]}", &search, 1);
    int64_t silent = append(w, "retrieval", one, "{}", &search, 1);
    const json_t *report = audit(w);
    assert_true(has_problem(report, none, "no hash"));
    assert_true(has_problem(report, bad, "no hash"));
    assert_true(has_problem(report, silent, "does not say"));
    assert_int_equal(json_int(report, "problem_count", -1), 3);
}

static enum err tamper(struct store_db *db, void *arg, struct error *e)
{
    struct world *w = arg;
    (void)e;
    return w->sql[0] == 'D' ? store_exec(db, e, "DELETE FROM payloads WHERE seq = 3", "") ||
                                  store_exec(db, e, "DELETE FROM entries WHERE seq = 3", "")
                            : store_exec(db, e, "DELETE FROM payloads WHERE seq = 4", "");
}

static void tampered(void *arg, const struct error *e)
{
    struct world *w = arg;
    assert_int_equal(e->code, ERR_OK);
    loop_quit(w->loop);
}

static void test_removed(void **state) /* G1, G3 */
{
    struct world *w = *state;
    append_answer(w, one);
    loop_run(w->loop);
    w->sql = "P";
    store_write(w->store, tamper, tampered, w);
    loop_run(w->loop);
    assert_true(has_problem(audit(w), 4, "payload of a retrieval"));
    w->sql = "D";
    store_write(w->store, tamper, tampered, w);
    loop_run(w->loop);
    const json_t *report = audit(w);
    assert_true(has_problem(report, 3, "are not there"));
    assert_true(has_problem(report, 5, "derives from 3, which is not there"));
}

/* ---- graphs ---- */

static const json_t *graph(struct world *w, struct prov_lineage what)
{
    if (w->pending)
        loop_run(w->loop);
    prov_lineage(w->prov, &what, lineaged, w);
    loop_run(w->loop);
    return w->result;
}

static const json_t *node(const json_t *graph_, int64_t seq)
{
    size_t i;
    const json_t *one_;
    json_array_foreach(json_object_get(graph_, "nodes"), i, one_)
    {
        if (json_int(one_, "id", -1) == seq)
            return one_;
    }
    return NULL;
}

static size_t nodes(const json_t *g)
{
    return json_array_size(json_object_get(g, "nodes"));
}

static size_t edges(const json_t *g)
{
    return json_array_size(json_object_get(g, "edges"));
}

static void test_graph(void **state)
{
    struct world *w = *state;
    append_answer(w, one); /* 1 to 8 */
    append_answer(w, two);
    const json_t *g = graph(w, (struct prov_lineage){.seq = 8, .up = true, .texts = true});
    assert_int_equal(json_int(g, "root", -1), 8);
    assert_int_equal(nodes(g), 8);
    assert_int_equal(edges(g), 11);
    assert_true(json_flag(json_object_get(g, "audit"), "ok", false));
    assert_string_equal(json_str(node(g, 8), "label", ""), "it is full");
    assert_string_equal(json_str(node(g, 8), "transform_type", ""), "choose");
    assert_int_equal(strlen(json_str(node(g, 8), "hash", "")), 64);
    const json_t *part = json_array_get(json_object_get(node(g, 4), "parts"), 0);
    assert_string_equal(json_str(part, "document", ""), "disk.md");
    assert_string_equal(json_str(part, "heading", ""), "Full");
    assert_true(json_number_value(json_object_get(part, "score")) == 4.2);
    /* Without texts: kinds only. */
    g = graph(w, (struct prov_lineage){.trace_id = one, .up = true});
    assert_int_equal(json_int(g, "root", -1), 8);
    assert_int_equal(nodes(g), 8);
    assert_string_equal(json_str(node(g, 8), "label", ""), "answer");
    assert_null(json_object_get(node(g, 4), "parts"));
    /* Down: what derives from the tool's call, and nothing beside it. */
    g = graph(w, (struct prov_lineage){.seq = 2, .down = true});
    assert_int_equal(json_int(g, "root", -1), 2);
    assert_null(node(g, 1));
    assert_null(node(g, 4));
    assert_non_null(node(g, 3));
    assert_non_null(node(g, 8));
    assert_int_equal(nodes(g), 6); /* 2 3 5 6 7 8 */
    g = graph(w, (struct prov_lineage){.seq = 5, .up = true, .down = true});
    assert_int_equal(nodes(g), 8);
    assert_null(graph(w, (struct prov_lineage){.seq = 999, .up = true}));
    assert_int_equal(w->error.code, ERR_NOT_FOUND);
    assert_null(graph(w, (struct prov_lineage){.trace_id = "00112233445566778899aabbccddeeff"}));
    assert_int_equal(w->error.code, ERR_NOT_FOUND);
}

static void test_truncated(void **state)
{
    enum { N = PROV_LINEAGE_NODES + 500 };
    struct world *w = *state;
    int64_t last = append(w, "config", NULL, "{}", NULL, 0);
    for (int i = 1; i < N; i++) {
        const struct prov_edge parent = {last, "call", -1};
        last = append(w, "config", NULL, "{}", &parent, 1);
    }
    const json_t *g = graph(w, (struct prov_lineage){.seq = last, .up = true});
    assert_true(json_flag(g, "truncated", false));
    assert_int_equal(nodes(g), PROV_LINEAGE_NODES);
    assert_int_equal(edges(g), PROV_LINEAGE_NODES - 1); /* none leads out of the graph */
    g = graph(w, (struct prov_lineage){.seq = 1, .down = true});
    assert_int_equal(nodes(g), PROV_LINEAGE_AHEAD + 1);
}

static void test_closed(void **state)
{
    struct world *w = *state;
    append_answer(w, one);
    loop_run(w->loop);
    prov_lineage(w->prov, &(struct prov_lineage){.seq = 8, .up = true}, lineaged, w);
    prov_lineage_audit(w->prov, 0, -1, lineaged, w);
    prov__lineages_free(w->prov); /* as prov_free does */
    assert_int_equal(w->error.code, ERR_CLOSED);
    assert_null(w->result);
}

/* ---- a real console ---- */

static bool leads_to(const json_t *g, int64_t from, const char *type)
{
    const json_t *here = node(g, from), *edge;
    if (here && strcmp(json_str(here, "type", ""), type) == 0)
        return true;
    size_t i;
    json_array_foreach(json_object_get(g, "edges"), i, edge)
    {
        if (json_int(edge, "to", -1) == from && leads_to(g, json_int(edge, "from", -1), type))
            return true;
    }
    return false;
}

static json_t *lineage_of(struct console *c, const char *id)
{
    json_t *params = json_object();
    json_puts(params, "id", id);
    json_t *g = busc_wait(c->bus, WIRE_evidence_lineage, params, WAIT_MS, NULL);
    assert_non_null(g);
    return g;
}

static double confidence(const json_t *g, int64_t to, const char *transform)
{
    size_t i;
    const json_t *edge;
    json_array_foreach(json_object_get(g, "edges"), i, edge)
    {
        if (json_int(edge, "to", -1) == to &&
            strcmp(json_str(edge, "transform", ""), transform) == 0)
            return json_number_value(json_object_get(edge, "confidence"));
    }
    return -1;
}

static void check_answer(struct console *c, const char *question, char id[33])
{
    size_t i;
    const json_t *entry, *candidate;
    json_t *trace = ask(c, question);
    assert_string_equal(json_str(trace, "state", ""), "done");
    json_t *g = lineage_of(c, json_str(trace, "trace_id", ""));
    int64_t root = json_int(g, "root", -1);
    assert_string_equal(json_str(node(g, root), "type", ""), "answer");
    assert_true(json_flag(json_object_get(g, "audit"), "ok", false));
    json_array_foreach(json_object_get(trace, "entries"), i, entry)
        assert_non_null(node(g, json_integer_value(entry)));
    static const char *const kinds[] = {"question",   "retrieval",    "tool.result",
                                        "model.call", "model.output", "verdict"};
    for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!leads_to(g, root, kinds[i]))
            fail_msg("%s: the answer does not lead to a %s", question, kinds[i]);
    json_array_foreach(json_object_get(trace, "candidates"), i, candidate)
    {
        if (!json_flag(candidate, "chosen", false))
            continue;
        double composite = json_number_value(json_object_get(candidate, "composite"));
        assert_true(confidence(g, root, "adopt") - composite < 0.001);
        assert_true(composite - confidence(g, root, "adopt") < 0.001);
    }
    snprintf(id, 33, "%s", json_str(trace, "trace_id", ""));
    json_decref(g);
    json_decref(trace);
}

static void test_console(void **state)
{
    (void)state;
    char *dir = new_dir(), id[33];
    struct console c = console_start(dir, NULL, "operator");
    check_answer(&c, "is the disk filling up?", id);
    check_answer(&c, "which process eats memory?", id);
    check_answer(&c, "что с памятью?", id);
    json_t *report = call(&c, WIRE_evidence_lineage, "{\"audit\": true}");
    if (!json_flag(report, "ok", false))
        fail_msg("%s", json_write(report));
    assert_int_equal(json_int(report, "answers", -1), 3);
    assert_true(json_int(report, "chunks", 0) > 0);
    json_decref(report);
    assert_int_equal(refused(&c, WIRE_evidence_lineage, "{\"id\": \"12x\"}", NULL), ERR_INVALID);
    assert_int_equal(refused(&c, WIRE_evidence_lineage, "{\"id\": 99999}", NULL), ERR_NOT_FOUND);
    assert_int_equal(
        refused(&c, WIRE_evidence_lineage, "{\"id\": 1, \"direction\": \"left\"}", NULL),
        ERR_INVALID);
    console_stop(&c, true);
    c = console_start(dir, NULL, "demo"); /* who reads no texts */
    json_t *g = lineage_of(&c, id);
    char *text = json_write(g);
    assert_non_null(strstr(text, "\"answer\""));
    assert_null(strstr(text, "памят"));
    free(text);
    json_decref(g);
    console_stop(&c, false);
}

/* "Why?" leans on the question before it, and says so. */
static void test_recall(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *first = ask(&c, "is the disk filling up?"), *params = json_object();
    json_puts(params, "text", "why?");
    json_puts(params, "conversation", json_str(first, "conversation", ""));
    json_t *accepted = busc_wait(c.bus, WIRE_chat_ask, params, WAIT_MS, NULL);
    assert_non_null(accepted);
    int64_t asked = json_int(accepted, "entry", -1);
    const char *id = json_str(accepted, "trace_id", "");
    json_t *g = NULL;
    for (int i = 0; i < 1000; i++) {
        json_decref(g);
        g = lineage_of(&c, id);
        if (strcmp(json_str(node(g, json_int(g, "root", -1)), "type", ""), "answer") == 0)
            break;
        usleep(10000);
    }
    int64_t before = json_integer_value(json_array_get(json_object_get(first, "entries"), 0));
    assert_non_null(node(g, before));
    assert_non_null(node(g, asked));
    json_decref(g);
    json_decref(accepted);
    json_decref(first);
    console_stop(&c, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_orphans, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hashes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_graph, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_truncated, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closed, set_up, tear_down),
        cmocka_unit_test(test_console),
        cmocka_unit_test(test_recall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
