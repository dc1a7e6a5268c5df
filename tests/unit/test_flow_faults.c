/* Flows whose parts fail: killed in nodes of each kind, stopped in each, models without an end,
 * tools that hang, budgets that end, many nodes, many questions. Each ends, and its lineage is
 * whole. */
#include "tests/unit/flow_harness.h"

/* First the author, then each judge: the mock is asked once for each node. */
#define JUDGED                                                                                   \
    "{'name':'judged','about':'x','nodes':[{'id':'look','kind':'look'},"                         \
    "{'id':'one','kind':'model','model':'chosen:0'},"                                            \
    "{'id':'two','kind':'model','model':'chosen:1'},"                                            \
    "{'id':'vote','kind':'vote','join':'all'},"                                                  \
    "{'id':'both','kind':'compare'},{'id':'talk','kind':'critique'},"                            \
    "{'id':'check','kind':'verify','model':'chosen:0'},"                                         \
    "{'id':'guard','kind':'guard','model':'chosen:1'},{'id':'end','kind':'end'}],"               \
    "'edges':[{'from':'look','to':'one'},{'from':'look','to':'two'},{'from':'one','to':'vote'}," \
    "{'from':'two','to':'vote'},{'from':'one','to':'both'},{'from':'two','to':'both'},"          \
    "{'from':'vote','to':'both'},"                                                               \
    "{'from':'both','to':'talk'},{'from':'talk','to':'check'},{'from':'check','to':'guard'},"    \
    "{'from':'guard','to':'end'}]}"

static const char *const TWO[][2] = {{"ada", "say=The%20disk%20is%20full%20[1]."},
                                     {"bob", "say=Nothing%20grows%20here%20at%20all%20[1]."},
                                     {NULL, NULL}};
static const char *const FLOWS[][2] = {{"judged", JUDGED}, {NULL, NULL}};

/* The mock answers so many requests, and the next one hangs. */
static void hang_after(size_t quick)
{
    struct buf lines = {0};
    buf_adds(&lines, "[");
    for (size_t i = 0; i < quick; i++)
        buf_addf(&lines, "\"say=Answer%%20%zu%%20of%%20this%%20disk%%20[1].\",", i);
    buf_adds(&lines, "\"first=15000\"]");
    json_decref(mock_ask(&mock, "/mock/reset", "{}"));
    json_decref(mock_ask(&mock, "/mock/script", lines.data));
    buf_release(&lines);
}

static void until_asked(size_t times)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (asked("") < times && clock_mono_ms() < until)
        usleep(3000);
    assert_int_equal(asked(""), times);
}

/* Models speak in six places: two answers, two critiques, a verifier, a guardian. */
enum { PLACES = 6 };

static void a_flow_is_stopped_in_each_node(void **state)
{
    (void)state;
    struct console c = start(TWO, FLOWS);
    for (size_t i = 0; i < PLACES; i++) {
        hang_after(i);
        json_decref(
            call(&c, WIRE_chat_ask, "{\"text\": \"is the disk full?\", \"flow\": \"judged\"}"));
        until_asked(i + 1 < 2 ? 2 : i == 2 ? 4 : i + 1);
        json_decref(call(&c, WIRE_chat_stop, "{}"));
        json_t *trace = ended_trace(&c), *n;
        size_t at;
        assert_string_equal(json_str(trace, "state", ""), "stopped");
        json_array_foreach(json_object_get(trace, "nodes"), at, n)
        {
            const char *is = json_str(n, "state", "");
            assert_true(strcmp(is, "waiting") && strcmp(is, "running"));
        }
        json_decref(trace);
    }
    assert_lineage(&c);
    console_stop(&c, false);
}

static void a_flow_killed_where_it_judges_is_gone_on_with(void **state)
{
    (void)state;
    static const size_t ASKED[] = {4, 6}; /* in a critique, and in the guard behind the verifier */
    for (size_t i = 0; i < sizeof ASKED / sizeof *ASKED; i++) {
        struct console c = start(TWO, FLOWS);
        char *dir = c.dir, *path = xasprintf("%s/mcp-console.conf", dir);
        console_stop(&c, true);
        hang_after(ASKED[i] - 1);
        kill_at("test_flow_faults", dir, path, "judged", "", ASKED[i]);
        c = console_start(dir, path, "operator");
        json_decref(call(&c, WIRE_chat_resume, "{}"));
        json_t *trace = ended_trace(&c);
        assert_string_equal(json_str(trace, "state", ""), "done");
        assert_int_equal(json_int(trace, "resumed", 0), 1);
        assert_state(trace, "guard", "done");
        /* only what hung was asked again, and the critique beside it if it was on its way */
        assert_in_range(asked(""), PLACES + 1, i ? PLACES + 1 : PLACES + 2);
        assert_lineage(&c);
        json_decref(trace);
        free(path);
        console_stop(&c, false);
    }
}

#define LONG_TALK                                                                                  \
    "{'name':'talk','about':'x','nodes':[{'id':'look','kind':'look'},{'id':'m','kind':'model',"    \
    "'model':'chosen:0','time_limit_ms':300},{'id':'n','kind':'model','model':'chosen:1'},"        \
    "{'id':'both','kind':'compare'},{'id':'end','kind':'end'}],'edges':[{'from':'look','to':'m'}," \
    "{'from':'look','to':'n'},{'from':'m','to':'both'},{'from':'n','to':'both'},"                  \
    "{'from':'both','to':'end'}]}"

static void a_model_without_an_end_ends(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"endless", "forever=1,rate=2000"}, {"bob", "say=All%20is%20well%20[1]."}, {NULL, NULL}};
    static const char *const TALK[][2] = {{"talk", LONG_TALK}, {NULL, NULL}};
    struct console c = start(MODELS, TALK);
    json_t *trace = by(&c, "talk");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_state(trace, "m", "failed");
    assert_string_equal(json_str(json_object_get(trace, "verdict"), "winner", ""), "bob");
    assert_lineage(&c);
    json_decref(trace);
    console_stop(&c, false);
}

static void a_tool_that_hangs_ends(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"doer", "tools=1,args=%7B%22ms%22:60000%7D,say=It%20did%20not%20answer."}, {NULL, NULL}};
    static const char *const AGENTS[][2] = {{"agent", AGENT("'box/sleep'", "")}, {NULL, NULL}};
    also = "tool_time_limit_ms = 400\n[connector \"box\"]\nkind = mcp-stdio\nread_tools = sleep\n"
           "command = python3 tests/peers/mcp_server.py\n";
    struct console c = start(MODELS, AGENTS);
    also = "";
    uint64_t until = clock_mono_ms() + WAIT_MS;
    for (bool up = false; !up && clock_mono_ms() < until; usleep(10000)) {
        json_t *row = call(&c, WIRE_connectors_get, "{\"name\":\"box\"}");
        up = strcmp(json_str(row, "state", ""), "ok") == 0;
        json_decref(row);
    }
    json_t *trace = by(&c, "agent");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_int_equal(entries_of(&c, trace, "tool.call", "node", "m"), 1);
    char *told = system_of("doer", 1);
    assert_non_null(strstr(told, "The call failed"));
    free(told);
    assert_lineage(&c);
    json_decref(trace);
    console_stop(&c, false);
}

/* A council whose first draft took all there was. */
static void a_budget_ends_in_the_middle(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {{"ada", "say=All%20is%20well%20[1].,in=900,out=200"},
                                            {NULL, NULL}};
    static const char *const COUNCIL[][2] = {
        {"short", "{'name':'short','about':'x','limits':{'tokens':1000},'nodes':[{'id':'look',"
                  "'kind':'look'},{'id':'draft','kind':'model','role':'strategist','model':"
                  "'chosen:0'},{'id':'critic','kind':'model','role':'critic','model':'chosen:0'},"
                  "{'id':'whole','kind':'model','role':'synthesizer','model':'chosen:0'},{'id':"
                  "'check','kind':'verify','model':'chosen:0'},{'id':'end','kind':'end'}],'edges':["
                  "{'from':'look','to':'draft'},{'from':'draft','to':'critic'},{'from':'critic',"
                  "'to':'whole'},{'from':'draft','to':'whole'},{'from':'whole','to':'check'},"
                  "{'from':'check','to':'end'}]}"},
        {NULL, NULL}};
    struct console c = start(MODELS, COUNCIL);
    json_t *trace = by(&c, "short");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_state(trace, "draft", "done");
    assert_state(trace, "critic", "skipped");
    assert_string_equal(json_str(node(trace, "critic"), "note", ""), "the flow's tokens are spent");
    assert_string_equal(json_str(trace, "answer", ""), "All is well [1].");
    assert_lineage(&c);
    json_decref(trace);
    console_stop(&c, false);
}

/* look, a row of models that read each other, end: as many nodes as a flow may have. */
static char *chain_of(size_t nodes)
{
    struct buf b = {0};
    buf_adds(&b, "{'name':'chain','about':'x','nodes':[{'id':'look','kind':'look'}");
    for (size_t i = 0; i + 2 < nodes; i++)
        buf_addf(&b, ",{'id':'n%zu','kind':'model','role':'%s','model':'builtin/lexical'}", i,
                 !i      ? "answerer"
                 : i % 2 ? "critic"
                         : "synthesizer");
    buf_adds(&b, ",{'id':'end','kind':'end'}],'edges':[{'from':'look','to':'n0'}");
    for (size_t i = 0; i + 3 < nodes; i++) {
        buf_addf(&b, ",{'from':'n%zu','to':'n%zu'}", i, i + 1);
        if (i % 2 == 0 && i + 4 < nodes)
            buf_addf(&b, ",{'from':'n%zu','to':'n%zu'}", i, i + 2);
    }
    buf_addf(&b, ",{'from':'n%zu','to':'end'}]}", nodes - 3);
    return buf_take(&b);
}

static void a_hundred_nodes_run(void **state)
{
    (void)state;
    char *text = chain_of(100);
    const char *const CHAIN[][2] = {{"chain", text}, {NULL, NULL}};
    struct console c = start(NO_MODELS, CHAIN);
    json_t *trace = by(&c, "chain");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_int_equal(json_array_size(json_object_get(trace, "nodes")), 100);
    assert_state(trace, "n97", "done");
    assert_int_equal(entries_of(&c, trace, "model.output", "model", "builtin/lexical"), 98);
    assert_lineage(&c);
    json_decref(trace);
    console_stop(&c, false);
    free(text);
}

/* Several questions by one flow do not meet. */
static void questions_at_once_keep_apart(void **state)
{
    (void)state;
    enum { ASKED = 3 };
    struct console c = start(NO_MODELS, NULL);
    json_t *accepted[ASKED];
    for (size_t i = 0; i < ASKED; i++)
        accepted[i] =
            busc_wait(c.bus, WIRE_chat_ask,
                      json_pack("{s:s,s:s}", "text",
                                i % 2 ? "which process eats memory?" : "is the disk full?", "flow",
                                "council"),
                      WAIT_MS, NULL);
    for (size_t i = 0; i < ASKED; i++) {
        json_t *trace = NULL;
        uint64_t until = clock_mono_ms() + WAIT_MS;
        do {
            json_decref(trace);
            usleep(3000);
            trace =
                busc_wait(c.bus, WIRE_traces_get,
                          json_pack("{s:O}", "trace_id", json_object_get(accepted[i], "trace_id")),
                          WAIT_MS, NULL);
        } while (!strcmp(json_str(trace, "state", ""), "running") && clock_mono_ms() < until);
        assert_string_equal(json_str(trace, "state", ""), "done");
        assert_state(trace, "guardian", "done");
        assert_non_null(strstr(json_str(trace, "answer", ""), i % 2 ? "memory" : "full"));
        json_decref(trace);
        json_decref(accepted[i]);
    }
    assert_lineage(&c);
    console_stop(&c, false);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc == 4)
        be_killed(argv[1], argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flow_is_stopped_in_each_node),
        cmocka_unit_test(a_flow_killed_where_it_judges_is_gone_on_with),
        cmocka_unit_test(a_model_without_an_end_ends),
        cmocka_unit_test(a_tool_that_hangs_ends),
        cmocka_unit_test(a_budget_ends_in_the_middle),
        cmocka_unit_test(a_hundred_nodes_run),
        cmocka_unit_test(questions_at_once_keep_apart),
    };
    return cmocka_run_group_tests(tests, mock_up, mock_down);
}
