/* Flows of shapes that nobody ships: many who are heard by one, two comparisons and two critiques
 * beside each other. */
#include "tests/unit/flow_harness.h"

/* A flow's text: nodes m0 to mN-1 between look and a synthesizer. The caller frees. */
static char *wide(size_t n)
{
    struct buf nodes = {0}, edges = {0};
    for (size_t i = 0; i < n; i++) {
        buf_addf(&nodes, "{'id':'m%zu','kind':'model','model':'ada'},", i);
        buf_addf(&edges, "{'from':'look','to':'m%zu'},{'from':'m%zu','to':'s'},", i, i);
    }
    char *text = xasprintf("{'name':'wide','about':'x','nodes':[{'id':'look','kind':'look'},%s"
                           "{'id':'s','kind':'model','model':'bob','role':'synthesizer'},"
                           "{'id':'end','kind':'end'}],'edges':[%s{'from':'s','to':'end'}]}",
                           nodes.data, edges.data);
    buf_release(&nodes);
    buf_release(&edges);
    return text;
}

static void one_hears_as_many_as_there_are(void **state)
{
    (void)state;
    enum { MANY = 20 };
    static const char *const MODELS[][2] = {
        {"ada", "say=Ada%20says%20so%20[1]."}, {"bob", "say=All%20say%20so%20[1]."}, {NULL, NULL}};
    char *text = wide(MANY);
    const char *const flows[][2] = {{"wide", text}, {NULL, NULL}};
    struct console c = start(MODELS, flows);
    json_t *trace = by(&c, "wide");
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_string_equal(json_str(trace, "answer", ""), "All say so [1].");
    char *told = system_of("bob", 0);
    assert_non_null(told);
    for (int i = 0; i < MANY; i++) {
        char line[32];
        snprintf(line, sizeof line, "m%d wrote:", i);
        assert_non_null(strstr(told, line));
    }
    free(told);
    free(text);
    json_decref(trace);
    console_stop(&c, false);
}

#define TWO_MEET(x, a, b)                                                \
    "{'id':'" x "','kind':'compare'},{'id':'" x "t','kind':'critique'}," \
    "{'id':'" a "','kind':'model','model':'" a "'},{'id':'" b "','kind':'model','model':'" b "'}"
#define TWO_EDGES(x, a, b)                                                                     \
    "{'from':'look','to':'" a "'},{'from':'look','to':'" b "'},{'from':'" a "','to':'" x "'}," \
    "{'from':'" b "','to':'" x "'},{'from':'" x "','to':'" x "t'},{'from':'" x "t','to':'last'}"

/* Each meets with its own other, whichever critique comes first. */
static void two_critiques_stand_beside_each_other(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {
        {"ada", "say=The%20root%20disk%20is%20at%2091%25%20[1].,first=100"},
        {"bob", "say=Nothing%20measured%20concerns%20storage%20at%20all%20[1].,first=100"},
        {"cyd", "say=Restart%20the%20database%20and%20look%20again%20[2].,first=150"},
        {"dan", "say=The%20backup%20of%20Tuesday%20took%20all%20the%20room%20[3].,first=150"},
        {NULL, NULL}};
    static const char *const FLOWS[][2] = {
        {"pairs",
         "{'name':'pairs','about':'x','limits':{'time_ms':4000},'nodes':[{'id':'look',"
         "'kind':'look'}," TWO_MEET("x", "ada", "bob") "," TWO_MEET(
             "y", "cyd",
             "dan") ","
                    "{'id':'last','kind':'compare'},{'id':'end','kind':'end'}],'edges':[" TWO_EDGES(
                        "x", "ada", "bob") "," TWO_EDGES("y", "cyd",
                                                         "dan") ","
                                                                "{'from':'last','to':'end'}]}"},
        {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    json_t *trace = by(&c, "pairs");
    static const char *const DONE[] = {"x", "xt", "y", "yt", "last", "end"};
    assert_string_equal(json_str(trace, "state", ""), "done");
    for (size_t i = 0; i < sizeof DONE / sizeof *DONE; i++)
        assert_state(trace, DONE[i], "done");
    const json_t *critiques = json_object_get(trace, "critiques"), *one;
    static const char *const OTHER[][2] = {
        {"ada", "bob"}, {"bob", "ada"}, {"cyd", "dan"}, {"dan", "cyd"}};
    assert_int_equal(json_array_size(critiques), 4);
    size_t i;
    json_array_foreach((json_t *)critiques, i, one)
    {
        for (size_t k = 0; k < 4; k++)
            if (strcmp(json_str(one, "model", ""), OTHER[k][0]) == 0)
                assert_string_equal(json_str(one, "of", ""), OTHER[k][1]);
    }
    for (size_t k = 0; k < 4; k++)
        assert_int_equal(asked(OTHER[k][0]), 2);
    json_decref(trace);
    console_stop(&c, false);
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_hears_as_many_as_there_are),
        cmocka_unit_test(two_critiques_stand_beside_each_other),
    };
    return cmocka_run_group_tests(tests, mock_up, mock_down);
}
