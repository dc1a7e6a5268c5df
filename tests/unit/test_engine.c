/* Flows as they run: who speaks after whom, what each is given, which edges are taken, what is
 * cancelled, and what stays when something fails. */
#include "tests/unit/flow_harness.h"

/* The condition of an edge of the flow, taken or not; NULL: there is none. */
static const char *condition_of(const json_t *trace, const char *from, const char *to)
{
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(trace, "edges"), i, e)
    {
        if (strcmp(json_str(e, "from", ""), from) == 0 && strcmp(json_str(e, "to", ""), to) == 0)
            return json_str(e, "when", NULL);
    }
    return NULL;
}

static void a_council_drafts_criticises_and_verifies(void **state)
{
    (void)state;
    struct console c = start(NO_MODELS, NULL);
    json_t *trace = by(&c, "council");
    static const char *const DONE[] = {"look",     "strategist", "critic", "synthesizer",
                                       "verifier", "guardian",   "end"};
    assert_string_equal(json_str(trace, "state", ""), "done");
    for (size_t i = 0; i < sizeof DONE / sizeof *DONE; i++)
        assert_state(trace, DONE[i], "done");
    assert_state(trace, "reviser", "skipped");
    assert_string_equal(json_str(json_object_get(trace, "verdict"), "route", ""), "roles");
    /* internal turns are in the trace, and no answers beside the answer */
    assert_int_equal(json_array_size(json_object_get(trace, "candidates")), 1);
    assert_non_null(json_object_get(node(trace, "strategist"), "run"));
    assert_true(*json_str(json_object_get(node(trace, "critic"), "run"), "text", ""));
    assert_true(strstr(json_str(trace, "answer", ""), "[1]") != NULL);
    /* each call leads back to what it was given */
    json_t *draft = entry_of(&c, trace, "model.output", "strategist");
    json_t *call = entry_of(&c, trace, "model.call", "critic"), *parent;
    assert_non_null(draft);
    assert_non_null(call);
    assert_string_equal(json_str(json_object_get(call, "payload"), "task", ""), "critic");
    bool handed = false;
    size_t i;
    json_array_foreach(json_object_get(call, "parents"), i, parent)
    {
        int64_t seq =
            json_is_integer(parent) ? json_integer_value(parent) : json_int(parent, "seq", -1);
        handed |= seq == json_int(draft, "seq", -2);
    }
    assert_true(handed);
    json_decref(draft);
    json_decref(call);
    assert_true(took(trace, "verifier", "guardian"));
    assert_false(took(trace, "verifier", "reviser"));
    assert_string_equal(condition_of(trace, "verifier", "reviser"),
                        "verdict == 'revise' and confidence < 0.8");
    assert_string_equal(condition_of(trace, "verifier", "guardian"), "else");
    assert_string_equal(condition_of(trace, "look", "strategist"), "");
    assert_null(condition_of(trace, "guardian", "look"));
    json_decref(trace);
    console_stop(&c, false);
}

static void an_exchange_goes_there_and_back_as_often_as_asked(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {{"ada", "say=Ada%20says%20so%20[1]."},
                                            {"bob", "say=Bob%20doubts%20it%20[1]."},
                                            {NULL, NULL}};
    struct console c = start(MODELS, NULL);
    json_t *trace = ask_with(&c, json_pack("{s:s,s:s,s:s,s:s,s:s,s:i}", "text",
                                           "is the disk filling up?", "modelA", "ada", "modelB",
                                           "bob", "promptA", "Count everything twice.", "promptB",
                                           "nuclear_mode", "exchanges", 2));
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_string_equal(json_str(trace, "flow", ""), "dual");
    static const char *const DONE[] = {"a0", "b1", "a1", "b2", "a2", "end"};
    for (size_t i = 0; i < sizeof DONE / sizeof *DONE; i++)
        assert_state(trace, DONE[i], "done");
    assert_state(trace, "b3", "skipped");
    assert_string_equal(json_str(trace, "answer", ""), "Ada says so [1].");
    assert_int_equal(json_array_size(json_object_get(trace, "candidates")), 1);
    char *first = system_of("ada", 0), *second = system_of("bob", 0), *third = system_of("ada", 1);
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_non_null(strstr(first, "Count everything twice."));
    assert_null(strstr(first, "Bob doubts it"));
    assert_non_null(strstr(second, "Assume that the other answer is wrong"));
    assert_non_null(strstr(second, "Ada says so"));
    assert_non_null(strstr(third, "Bob doubts it"));
    free(first);
    free(second);
    free(third);
    json_decref(trace);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"exchanges\": 5}", NULL),
                     ERR_INVALID);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"modelA\": \"ada\"}", NULL),
                     ERR_INVALID);
    console_stop(&c, false);
}

static void a_vote_ends_when_enough_agree(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"one", "say=The%20disk%20is%20fine%20[1]."},
        {"two", "say=The%20disk%20is%20fine%20[1]."},
        {"late", "say=The%20disk%20is%20fine%20[1].,first=15000"},
        {NULL, NULL}};
    struct console c = start(MODELS, NULL);
    uint64_t before = clock_mono_ms();
    json_t *trace = by(&c, "vote");
    assert_true(clock_mono_ms() - before < 10000);
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_string_equal(json_str(json_object_get(trace, "verdict"), "route", ""), "vote");
    assert_state(trace, "s1", "done");
    assert_state(trace, "s2", "done");
    assert_state(trace, "s3", "cancelled");
    assert_state(trace, "s4", "skipped");
    assert_string_equal(json_str(node(trace, "vote"), "note", ""), "2 of 2 agree");
    /* what was cancelled is in the log */
    json_t *cut = entry_of(&c, trace, "model.output", "s3");
    assert_non_null(cut);
    assert_string_equal(json_str(json_object_get(cut, "payload"), "outcome", ""), "cancelled");
    json_decref(cut);
    json_decref(trace);
    console_stop(&c, false);
}

static void a_split_vote_asks_more(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"one", "say=The%20root%20disk%20is%20at%2091%25%20[1]."},
        {"two", "say=Nothing%20measured%20concerns%20storage%20at%20all%20[1]."},
        {"three", "say=Restart%20the%20database%20and%20look%20again%20[2]."},
        {NULL, NULL}};
    struct console c = start(MODELS, NULL);
    json_t *trace = by(&c, "vote");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_true(took(trace, "vote", "s4"));
    assert_state(trace, "s5", "done");
    assert_state(trace, "recount", "done");
    assert_string_equal(json_str(node(trace, "recount"), "note", ""), "2 of 5 agree");
    json_decref(trace);
    console_stop(&c, false);
}

#define NODES                                                                               \
    "'nodes':[{'id':'look','kind':'look'},{'id':'draft','kind':'model','model':'chosen:0'," \
    "'role':'strategist'},{'id':'check','kind':'verify','model':'chosen:1'},{'id':'mend',"  \
    "'kind':'model','role':'synthesizer','model':'chosen:0'},{'id':'end','kind':'end'}]"

static void what_fails_leaves_the_best_there_is(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"good", "say=All%20is%20well%20[1]."}, {"bad", "status=400"}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {
        {"mend", "{'name':'mend','about':'x'," NODES
                 ",'edges':[{'from':'look','to':'draft'},{'from':'draft','to':'check'},"
                 "{'from':'check','to':'mend','when':'verdict == ~revise~'},{'from':'check','to':"
                 "'end','when':'else'},{'from':'mend','to':'end'}]}"},
        {"lost", "{'name':'lost','about':'x','nodes':[{'id':'look','kind':'look'},{'id':'draft',"
                 "'kind':'model','model':'chosen:0'},{'id':'more','kind':'model','model':"
                 "'chosen:1','role':'synthesizer'},{'id':'end','kind':'end'}],'edges':[{'from':"
                 "'look','to':'draft'},{'from':'draft','to':'more'},{'from':'more','to':'end'}]}"},
        {"wrong", "{'name':'wrong','about':'x'}"},
        {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    /* a model that judges and fails leaves the rules' verdict */
    json_t *trace = by(&c, "mend");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_state(trace, "check", "done");
    json_decref(trace);
    /* the end is not reached, and yet there is an answer */
    trace = by(&c, "lost");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_state(trace, "more", "failed");
    assert_state(trace, "end", "skipped");
    assert_string_equal(json_str(trace, "answer", ""), "All is well [1].");
    json_decref(trace);
    char detail[256];
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"flow\": \"wrong\"}", detail),
                     ERR_CONFIG);
    assert_non_null(strstr(detail, "wrong.json: nodes is a list"));
    console_stop(&c, false);
}

static void a_model_that_verifies_sends_it_back(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"author", "say=All%20is%20well%20[1]."},
        {"judge", "say=**VERDICT:%20revise**%0ANo%20source%20says%20well."},
        {NULL, NULL}};
    static const char *const FLOWS[][2] = {
        {"mend", "{'name':'mend','about':'x'," NODES
                 ",'edges':[{'from':'look','to':'draft'},{'from':'draft','to':'check'},"
                 "{'from':'check','to':'mend','when':'verdict == ~revise~'},{'from':'check','to':"
                 "'end','when':'else'},{'from':'mend','to':'end'}]}"},
        {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_t *trace = by(&c, "mend");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_true(took(trace, "check", "mend"));
    assert_state(trace, "mend", "done");
    char *told = system_of("author", 1);
    assert_non_null(told);
    assert_non_null(strstr(told, "No source says well."));
    assert_non_null(strstr(told, "check wrote:"));
    free(told);
    json_decref(trace);
    console_stop(&c, false);
}

static void limits_end_what_is_late(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"quick", "say=All%20is%20well%20[1]."}, {"slow", "first=15000"}, {NULL, NULL}};
#define TWO(limits, node)                                                                         \
    "'about':'x'," limits "'nodes':[{'id':'look','kind':'look'},{'id':'one','kind':'model',"      \
    "'model':'chosen:0'},{'id':'two','kind':'model','model':'chosen:1','role':'synthesizer'" node \
    "},{'id':'end','kind':'end'}],'edges':[{'from':'look','to':'one'},{'from':'one',"             \
    "'to':'two'},{'from':'two','to':'end'}]}"
    static const char *const FLOWS[][2] = {
        {"node", "{'name':'node'," TWO("", ",'time_limit_ms':300")},
        {"whole", "{'name':'whole'," TWO("'limits':{'time_ms':700},", "")},
        {"tokens", "{'name':'tokens'," TWO("'limits':{'tokens':1},", "")},
        {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    for (size_t i = 0; FLOWS[i][0]; i++) {
        static const char *const ENDS[] = {"failed", "cancelled", "skipped"};
        uint64_t before = clock_mono_ms();
        json_t *trace = by(&c, FLOWS[i][0]);
        assert_true(clock_mono_ms() - before < 9000);
        assert_string_equal(json_str(trace, "state", ""), "done");
        assert_state(trace, "two", ENDS[i]);
        assert_string_equal(json_str(trace, "answer", ""), "All is well [1].");
        json_decref(trace);
    }
    console_stop(&c, false);
}

static void what_a_guard_holds_unsafe_says_so(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"author", "say=Run%20it%20at%20once%20[1]."},
        {"guard", "say=VERDICT:%20unsafe%0AIt%20does%20not%20say%20what."},
        {NULL, NULL}};
    static const char *const FLOWS[][2] = {
        {"held", "{'name':'held','about':'x','nodes':[{'id':'look','kind':'look'},{'id':'m','kind':"
                 "'model','model':'chosen:0'},{'id':'g','kind':'guard','model':'chosen:1'},{'id':"
                 "'end','kind':'end'}],'edges':[{'from':'look','to':'m'},{'from':'m','to':'g'},"
                 "{'from':'g','to':'end'}]}"},
        {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_t *trace = by(&c, "held");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_non_null(strstr(json_str(trace, "answer", ""), "The Guardian holds this answer unsafe"));
    assert_non_null(strstr(json_str(node(trace, "g"), "note", ""), "the model says unsafe"));
    json_decref(trace);
    console_stop(&c, false);
}

static void the_demo_role_sees_nodes_without_words(void **state)
{
    (void)state;
    struct console c = start(NO_MODELS, NULL);
    json_t *trace = by(&c, "council");
    struct busc *demo = busc_new(c.address, "demo", "demo", NULL);
    json_t *seen =
        busc_wait(demo, WIRE_traces_get,
                  json_pack("{s:s}", "trace_id", json_str(trace, "trace_id", "")), WAIT_MS, NULL);
    assert_non_null(seen);
    assert_state(seen, "critic", "done");
    assert_null(json_object_get(node(seen, "critic"), "run"));
    json_decref(seen);
    json_decref(trace);
    busc_free(demo);
    console_stop(&c, false);
}

static void a_flow_can_be_stopped(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {{"slow", "first=15000"}, {NULL, NULL}};
    struct console c = start(MODELS, NULL);
    json_t *accepted = call(&c, WIRE_chat_ask,
                            "{\"text\": \"is the disk filling up?\", \"flow\": "
                            "\"council\"}");
    const char *id = json_str(accepted, "trace_id", "");
    json_t *trace = NULL;
    uint64_t until = clock_mono_ms() + WAIT_MS;
    do {
        json_decref(trace);
        usleep(5000);
        trace =
            busc_wait(c.bus, WIRE_traces_get, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL);
        assert_true(clock_mono_ms() < until);
    } while (strcmp(json_str(node(trace, "strategist"), "state", ""), "running") != 0);
    json_decref(trace);
    json_decref(call(&c, WIRE_chat_stop, "{}"));
    do {
        usleep(5000);
        trace =
            busc_wait(c.bus, WIRE_traces_get, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL);
        if (strcmp(json_str(trace, "state", ""), "running") != 0)
            break;
        json_decref(trace);
    } while (clock_mono_ms() < until);
    assert_string_equal(json_str(trace, "state", ""), "stopped");
    assert_state(trace, "strategist", "cancelled");
    assert_state(trace, "critic", "skipped");
    json_decref(trace);
    json_decref(accepted);
    console_stop(&c, false);
}

static void a_model_calls_tools_and_speaks_again(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"doer", "tools=2,args=%7B%7D,say=The%20disks%20are%20fine%20[1]."}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("'host/disks','host/load'", "")},
                                           {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_t *trace = by(&c, "agent");
    if (strcmp(json_str(trace, "state", ""), "done") != 0)
        print_error("%s\n", json_str(trace, "error", ""));
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_string_equal(json_str(trace, "answer", ""), "The disks are fine [1].");
    assert_int_equal(entries_of(&c, trace, "tool.call", "node", "m"), 2);
    assert_int_equal(entries_of(&c, trace, "model.output", "node", "m"), 2);
    /* what they brought is a source like every other, and stands between lines of its own */
    char *told = system_of("doer", 1);
    assert_non_null(told);
    assert_non_null(strstr(told, "\"tool_call_id\""));
    assert_non_null(strstr(told, "<<<"));
    free(told);
    assert_lineage(&c);
    json_decref(trace);
    console_stop(&c, false);
}

static void a_model_gets_no_tool_that_its_node_does_not_name(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"doer", "tools=1,args=%7B%7D,say=Nothing%20more%20[1]."}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("'host/none*'", "")}, {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_t *refuse = busc_wait(c.bus, WIRE_flows_list, NULL, WAIT_MS, NULL);
    json_decref(refuse);
    json_t *trace = by(&c, "agent");
    assert_int_equal(entries_of(&c, trace, "tool.call", "node", "m"), 0);
    assert_true(says(json_object_get(trace, "stages"), "no tool is named so"));
    json_decref(trace);
    console_stop(&c, false);
}

static void an_agents_steps_end(void **state)
{
    (void)state;
    /* a model that would go on for ever: chat after chat asks for tools again */
    static const char *const MODELS[][2] = {{"doer", "tools=1,args=%7B%7D"}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("'host/disks'", ",'steps':1")},
                                           {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_t *trace = by(&c, "agent");
    assert_string_equal(json_str(trace, "state", ""), "done");
    char *last = system_of("doer", 1);
    assert_non_null(last);
    free(last);
    assert_null(system_of("doer", 2));
    json_decref(trace);
    console_stop(&c, false);
}

static void what_would_change_something_is_proposed_and_not_done(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"doer",
         "tools=1,args=%7B%22key%22:%22a%22%2C%22value%22:%221%22%7D,say=A%20plan%20waits."},
        {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("'box/set'", "")}, {NULL, NULL}};
    char *values = new_dir(), *set = xasprintf("%s/a", values);
    char *more = xasprintf("[console]\nlevel = execute\n[connector \"box\"]\nkind = mcp-stdio\n"
                           "level = execute\nread_tools = get\n"
                           "command = python3 tests/peers/acting_server.py %s\n",
                           values);
    also = more;
    struct console c = start(MODELS, FLOWS);
    also = "";
    bool up = false;
    for (int i = 0; i < 1000 && !up; i++) {
        json_t *row = call(&c, WIRE_connectors_get, "{\"name\":\"box\"}");
        up = strcmp(json_str(row, "state", ""), "ok") == 0;
        json_decref(row);
        usleep(10000);
    }
    assert_true(up);
    json_t *trace = by(&c, "agent");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_int_equal(entries_of(&c, trace, "tool.call", "node", "m"), 0);
    assert_true(access(set, F_OK) != 0);
    json_t *plans = call(&c, WIRE_plans_list, "{}");
    assert_int_equal(json_array_size(json_object_get(plans, "plans")), 1);
    json_decref(plans);
    char *told = system_of("doer", 1);
    assert_non_null(told);
    assert_non_null(strstr(told, "Nothing was done"));
    free(told);
    json_decref(trace);
    console_stop(&c, false);
    nftw(values, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(more);
    free(set);
    free(values);
}

static void the_risk_says_which_flow(void **state)
{
    (void)state;
    struct console c = start(NO_MODELS, NULL);
    json_t *trace = by(&c, "risk");
    assert_string_equal(json_str(trace, "state", ""), "done");
    double low = json_num(json_object_get(trace, "risk"), "before", -1);
    assert_true(low >= 0 && low < 0.3);
    assert_string_equal(json_str(trace, "flow", ""), "single");
    assert_true(json_flag(trace, "by_risk", false));
    json_decref(trace);
    trace = ask_with(&c, json_pack("{s:s,s:s}", "text",
                                   "may I drop the orders table in production?", "flow", "risk"));
    assert_string_equal(json_str(trace, "flow", ""), "arbitrate");
    json_decref(trace);
    trace = ask_with(&c, json_pack("{s:s,s:s}", "text",
                                   "may I run rm -rf / on the production database server?", "flow",
                                   "risk"));
    assert_string_equal(json_str(trace, "flow", ""), "council");
    assert_string_equal(json_str(trace, "state", ""), "done");
    json_decref(trace);
    console_stop(&c, false);
}

static double value_of(const json_t *trace, const char *feature)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(json_object_get(trace, "risk"), "features"), i, f)
    {
        if (strcmp(json_str(f, "name", ""), feature) == 0)
            return json_num(f, "value", -1);
    }
    return -1;
}

/* A model that says another thing each time, and alerts of the console, are part of the risk; one
 * answer is no vote. */
static void what_wavers_and_what_is_wrong_here_are_risks(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {{"ada", "say=All%20is%20well%20[1]."}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"broken", "{'name':'broken'"}, {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_decref(mock_ask(&mock, "/mock/script",
                         "[\"say=The%20disk%20is%20fine%20[1].\","
                         "\"say=It%20fills%20in%20three%20hours%20[1].\"]"));
    json_t *trace = by(&c, "dual");
    double wavers = value_of(trace, "volatility"), wrong = value_of(trace, "anomalies");
    assert_true(wavers > 0.5 && wavers <= 1);
    assert_true(wrong > 0.1); /* broken.json is an alert */
    json_decref(trace);
    trace = by(&c, "single");
    assert_true(value_of(trace, "volatility") < 0.01);
    json_decref(trace);
    console_stop(&c, false);
    c = start(NO_MODELS, NULL);
    trace = ask_with(&c, json_pack("{s:s,s:s,s:[s]}", "text", "is the disk filling up?", "flow",
                                   "vote", "models", "builtin/lexical"));
    assert_string_equal(json_str(node(trace, "vote"), "note", ""),
                        "one answer: nothing to vote on");
    assert_string_equal(json_str(json_object_get(trace, "verdict"), "route", ""), "single");
    assert_state(trace, "s2", "skipped");
    json_decref(trace);
    console_stop(&c, false);
}

/* From there on models get no tools, and nothing is proposed. */
static void in_the_sandbox_models_call_nothing(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"doer", "tools=2,args=%7B%7D,say=The%20disks%20are%20fine%20[1]."}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("'host/disks','host/load'", "")},
                                           {NULL, NULL}};
    also = "[risk]\nsandbox = 0\n";
    struct console c = start(MODELS, FLOWS);
    also = "";
    json_t *trace = by(&c, "agent");
    assert_true(json_flag(json_object_get(trace, "risk"), "sandbox", false));
    assert_int_equal(entries_of(&c, trace, "tool.call", "node", "m"), 0);
    char *told = system_of("doer", 0);
    assert_non_null(told);
    assert_null(strstr(told, "What tools answer stands between"));
    free(told);
    json_decref(trace);
    console_stop(&c, false);
}

static json_t *trace_of(struct console *c, const char *id)
{
    json_t *trace =
        busc_wait(c->bus, WIRE_traces_get, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL);
    assert_non_null(trace);
    return trace;
}

struct heard {
    bool ended, told;
};

static void hear(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct heard *h = arg;
    (void)at;
    h->told = h->told || says(data, "Xylophone");
    h->ended =
        h->ended || (strcmp(type, "turn") == 0 && strcmp(json_str(data, "state", ""), "done") == 0);
}

/* The log gives nothing of it out either. */
static void assert_hidden(struct console *c, const json_t *trace)
{
    size_t i, hidden = 0;
    json_t *seq;
    json_array_foreach(json_object_get(trace, "entries"), i, seq)
    {
        json_t *entry = busc_wait(c->bus, WIRE_evidence_get,
                                  json_pack("{s:O,s:b}", "seq", seq, "payload", 1), WAIT_MS, NULL);
        hidden += strstr(json_str(entry, "payload_error", ""), "withheld") != NULL;
        assert_true(strcmp(json_str(entry, "type", ""), "answer") || !says(entry, "Xylophone"));
        json_decref(entry);
    }
    assert_true(hidden >= 2); /* the outputs and the answer */
}

/* Nothing of it is told, stored in the open or found, until an operator gives it out; a restart
 * changes nothing of that. */
static void an_answer_waits_for_a_person(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {{"ada", "say=Xylophone%20first%20[1]."}, {NULL, NULL}};
    also = "[risk]\nperson = 0.5\n";
    struct console c = start(MODELS, NULL);
    also = "";
    struct heard h = {0};
    busc_events(c.bus, hear, NULL, &h);
    json_t *trace =
        ask_with(&c, json_pack("{s:s,s:s}", "text", "may I run rm -rf / on the production server?",
                               "flow", "council"));
    char *id = xstrdup(json_str(trace, "trace_id", ""));
    assert_string_equal(json_str(json_object_get(trace, "withheld"), "state", ""), "withheld");
    assert_non_null(strstr(json_str(trace, "answer", ""), "This answer is withheld"));
    assert_false(says(trace, "Xylophone"));
    json_decref(trace);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!h.ended && clock_mono_ms() < until) {
        busc_dispatch(c.bus);
        usleep(1000);
    }
    assert_true(h.ended);
    assert_false(h.told); /* nor as it was written */
    char *dir = c.dir, *path = xasprintf("%s/mcp-console.conf", dir);
    console_stop(&c, true);
    c = console_start(dir, path, "operator");
    trace = trace_of(&c, id);
    assert_false(says(trace, "Xylophone"));
    assert_hidden(&c, trace);
    json_t *found = call(&c, WIRE_evidence_search, "{\"text\": \"Xylophone\"}");
    assert_false(says(found, "Xylophone first"));
    json_decref(found);
    json_decref(trace);
    struct busc *reviewer = busc_new(c.address, "reviewer", "reviewer", NULL);
    struct error e = {0};
    assert_null(
        busc_wait(reviewer, WIRE_chat_release, json_pack("{s:s}", "trace_id", id), WAIT_MS, &e));
    assert_int_equal(e.code, ERR_DENIED);
    busc_free(reviewer);
    json_t *done =
        busc_wait(c.bus, WIRE_chat_release, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL);
    assert_true(json_int(done, "entry", -1) > 0);
    json_decref(done);
    trace = trace_of(&c, id);
    assert_non_null(strstr(json_str(trace, "answer", ""), "Xylophone first"));
    assert_string_equal(json_str(json_object_get(trace, "withheld"), "by", ""), "operator");
    assert_int_equal(entries_of(&c, trace, "release", "by", "operator"), 1);
    assert_null(
        busc_wait(c.bus, WIRE_chat_release, json_pack("{s:s}", "trace_id", id), WAIT_MS, NULL));
    assert_lineage(&c);
    json_decref(trace);
    free(id);
    free(path);
    console_stop(&c, false);
}

static void write_flow(const char *name, const char *text)
{
    char *path = xasprintf("%s/mcp-console/flows/%s.json", getenv("XDG_CONFIG_HOME"), name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    for (const char *p = text; *p; p++)
        fputc(*p == '\'' ? '"' : *p, f);
    fclose(f);
    free(path);
}

static bool alert_says(struct console *c, const char *words)
{
    json_t *status = call(c, WIRE_status_get, "{}"), *alert;
    bool found = false;
    size_t i;
    json_array_foreach(json_object_get(status, "alerts"), i, alert) found =
        found || strstr(json_str(alert, "text", ""), words);
    json_decref(status);
    return found;
}

/* What is under way goes on by its flow, the next question takes the new one; a wrong file leaves
 * the former one, and says so. */
static void flows_are_read_again(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"quick", "say=Quick%20[1]."}, {"slow", "say=Slow%20[1].,first=700"}, {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("", "")}, {NULL, NULL}};
#define MINE(model, more)                                                                      \
    "{'name':'agent','about':'x','nodes':[{'id':'look','kind':'look'},{'id':'m','kind':'" more \
    "','model':'" model "'},{'id':'end','kind':'end'}],'edges':[{'from':'look','to':'m'},"     \
    "{'from':'m','to':'end'}]}"
    struct console c = start(MODELS, FLOWS);
    json_decref(call(&c, WIRE_flows_list, "{}")); /* it is up, and has read them */
    write_flow("agent", MINE("slow", "model"));
    json_t *read = call(&c, WIRE_connectors_reload, "{}");
    assert_int_equal(json_array_size(json_object_get(read, "flows")), 1);
    json_decref(read);
    json_decref(call(&c, WIRE_chat_ask, "{\"text\": \"is the disk full?\", \"flow\": \"agent\"}"));
    write_flow("agent", MINE("quick", "model"));
    json_decref(call(&c, WIRE_connectors_reload, "{}"));
    json_t *slow = ended_trace(&c), *quick = by(&c, "agent");
    assert_string_equal(json_str(node(slow, "m"), "model", ""), "slow");
    assert_string_equal(json_str(slow, "state", ""), "done");
    assert_string_equal(json_str(node(quick, "m"), "model", ""), "quick");
    json_decref(slow);
    json_decref(quick);
    assert_false(alert_says(&c, "agent.json"));
    write_flow("agent", MINE("quick", "nonsense"));
    json_decref(call(&c, WIRE_connectors_reload, "{}"));
    assert_true(alert_says(&c, "agent.json: node m: no kind is named \"nonsense\""));
    assert_true(alert_says(&c, "what the file was before stays"));
    quick = by(&c, "agent");
    assert_string_equal(json_str(node(quick, "m"), "model", ""), "quick");
    json_decref(quick);
    console_stop(&c, false);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_council_drafts_criticises_and_verifies),
        cmocka_unit_test(an_exchange_goes_there_and_back_as_often_as_asked),
        cmocka_unit_test(a_vote_ends_when_enough_agree),
        cmocka_unit_test(a_split_vote_asks_more),
        cmocka_unit_test(what_fails_leaves_the_best_there_is),
        cmocka_unit_test(a_model_that_verifies_sends_it_back),
        cmocka_unit_test(limits_end_what_is_late),
        cmocka_unit_test(what_a_guard_holds_unsafe_says_so),
        cmocka_unit_test(the_demo_role_sees_nodes_without_words),
        cmocka_unit_test(a_flow_can_be_stopped),
        cmocka_unit_test(a_model_calls_tools_and_speaks_again),
        cmocka_unit_test(a_model_gets_no_tool_that_its_node_does_not_name),
        cmocka_unit_test(an_agents_steps_end),
        cmocka_unit_test(what_would_change_something_is_proposed_and_not_done),
        cmocka_unit_test(the_risk_says_which_flow),
        cmocka_unit_test(flows_are_read_again),
        cmocka_unit_test(an_answer_waits_for_a_person),
        cmocka_unit_test(in_the_sandbox_models_call_nothing),
        cmocka_unit_test(what_wavers_and_what_is_wrong_here_are_risks),
    };
    return cmocka_run_group_tests(tests, mock_up, mock_down);
}
