/* Flows and their conditions: what is read, what is refused and how that is told. */
#include "backend/orchestrator/flow.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int holds(const char *text, const struct condition_values *v)
{
    struct error e = {0};
    struct condition *c = condition_read(text, &e);
    if (!c)
        print_error("%s\n", e.detail);
    assert_non_null(c);
    int holds = condition_holds(c, v);
    condition_free(c);
    return holds;
}

static void a_condition_has_three_values(void **state)
{
    (void)state;
    struct condition_values v = {.known[VAR_CONFIDENCE] = true,
                                 .number[VAR_CONFIDENCE] = 0.5,
                                 .known[VAR_VERDICT] = true,
                                 .text[VAR_VERDICT] = "diverge"};
    assert_int_equal(holds("confidence < 0.6", &v), 1);
    assert_int_equal(holds("confidence >= .5", &v), 1);
    assert_int_equal(holds("confidence == 0.50", &v), 1);
    assert_int_equal(holds("confidence > -1 and confidence != 0.5", &v), 0);
    assert_int_equal(holds("0.4 < confidence", &v), 1);
    assert_int_equal(holds("verdict == 'diverge'", &v), 1);
    assert_int_equal(holds("verdict != \"agree\"", &v), 1);
    assert_int_equal(holds("not (verdict == 'agree' or confidence > 0.9)", &v), 1);
    /* and binds closer than or */
    assert_int_equal(holds("confidence < 1 or confidence < 1 and confidence > 1", &v), 1);
    assert_int_equal(holds("(confidence < 1 or confidence < 1) and confidence > 1", &v), 0);
    /* nothing is known of the risk */
    assert_int_equal(holds("risk > 0.5", &v), -1);
    assert_int_equal(holds("not risk > 0.5", &v), -1);
    assert_int_equal(holds("risk > 0.5 or confidence < 1", &v), 1);
    assert_int_equal(holds("risk > 0.5 and confidence > 1", &v), 0);
    assert_int_equal(holds("risk > 0.5 and confidence < 1", &v), -1);
}

static void a_wrong_condition_says_where(void **state)
{
    (void)state;
    static const char *const WRONG[][2] = {
        {"", "a number, a text or a variable is expected"},
        {"confidence", "a comparison"},
        {"confidnce > 1", "did you mean \"confidence\""},
        {"confidence > 'x'", "a number is compared with a text"},
        {"verdict > 'agree'", "texts are only equal or not"},
        {"verdict == 'agreed'", "verdict is never \"agreed\""},
        {"verdict == 'agree diverge'", "verdict is never"},
        {"verdict == ''", "verdict is never"},
        {"verdict == 'agree", "a text does not end"},
        {"1 < 2", "one side is to be a variable"},
        {"(risk > 1", "a ) is expected"},
        {"risk > 1 risk > 2", "\"and\" or \"or\" is expected"},
        {"risk > 1.2.3", "a number"},
        {"risk > 0x10", "\"and\" or \"or\" is expected"},
        {"not", "a number, a text or a variable is expected"},
        {"((((((((((((((((((risk > 1))))))))))))))))))", "nested too deeply"},
    };
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        struct error e = {0};
        assert_null(condition_read(WRONG[i][0], &e));
        assert_int_equal(e.code, ERR_INVALID);
        if (!strstr(e.detail, WRONG[i][1]))
            print_error("%s: %s\n", WRONG[i][0], e.detail);
        assert_non_null(strstr(e.detail, WRONG[i][1]));
        assert_non_null(strstr(e.detail, "at byte "));
    }
    char *many = xstrdup("risk > 1");
    for (int i = 0; i < 60; i++) {
        char *more = xasprintf("%s or risk > 1", many);
        free(many);
        many = more;
    }
    assert_null(condition_read(many, NULL));
    free(many);
}

static const char *no_model(void *arg, const char *name)
{
    (void)arg;
    return strcmp(name, "builtin/lexical") == 0 ? NULL : "no model is named so";
}

static const char *no_tool(void *arg, const char *pattern)
{
    (void)arg;
    return strncmp(pattern, "host/", 5) == 0 ? NULL : "no connector is named so";
}

static const struct flow_known KNOWN = {no_model, no_tool, NULL};

#define LOOK "{'id':'look','kind':'look'},"
#define MODEL "{'id':'m','kind':'model','model':'chosen:0'},"
#define END "{'id':'end','kind':'end'}"
#define CHAIN "{'from':'look','to':'m'},{'from':'m','to':'end'}"
#define FLOW(nodes, edges) "{'name':'x','about':'a','nodes':[" nodes "],'edges':[" edges "]}"

static struct flow *read_it(const char *text, struct error *e)
{
    char *json = xstrdup(text);
    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p == '~' ? '\'' : *p;
    struct flow *f = flow_read("flows/x.json", json, strlen(json), &KNOWN, e);
    free(json);
    return f;
}

static void a_flow_is_read(void **state)
{
    (void)state;
    struct error e = {0};
    struct flow *f = read_it(
        "{'name':'x','about':'a','limits':{'time_ms':5000,'tokens':100},'nodes':[" LOOK
        "{'id':'m','kind':'model','role':'critic','model':'builtin/lexical','tools':['host/*'],"
        "'steps':3,'token_budget':50,'time_limit_ms':10,'optional':true,'side':'B'},"
        "{'id':'n','kind':'model','model':'chosen:2','join':'first'},"
        "{'id':'v','kind':'vote','samples':2,'join':'any'}," END
        "],'edges':[{'from':'look','to':'m'},"
        "{'from':'look','to':'n'},{'from':'m','to':'v'},{'from':'n','to':'v','when':'risk > 0.5 "
        "and "
        "verdict == ~agree~'},{'from':'n','to':'end','when':'else'},{'from':'v','to':'end'}]}",
        &e);
    if (!f)
        print_error("%s\n", e.detail);
    assert_non_null(f);
    assert_string_equal(f->name, "x");
    assert_int_equal(f->time_ms, 5000);
    assert_int_equal(f->tokens, 100);
    assert_int_equal(f->models, 3);
    assert_int_equal(f->node_count, 5);
    const struct flow_node *n = &f->nodes[1];
    assert_string_equal(n->role, "critic");
    assert_string_equal(n->prompt, "critic");
    assert_string_equal(n->model, "builtin/lexical");
    assert_int_equal(n->chosen, -1);
    assert_int_equal(n->side, 'B');
    assert_true(n->optional);
    assert_int_equal(n->tool_count, 1);
    assert_int_equal(n->steps, 3);
    assert_int_equal(f->nodes[2].join, FLOW_FIRST);
    assert_int_equal(f->nodes[3].samples, 2);
    assert_non_null(f->edges[3].condition);
    assert_true(f->edges[4].otherwise);
    struct buf dot = {0};
    flow_dot(f, &dot);
    assert_non_null(
        strstr(dot.data, "\"n\" -> \"v\" [label=\"risk > 0.5 and verdict == 'agree'\"]"));
    buf_release(&dot);
    flow_free(f);
}

static const char *const WRONG_FLOWS[][2] = {
    {"[]", "an object is expected"},
    {"{", "flows/x.json: "},
    {"{'name':'y','about':'a'}", "a flow of the name y has to be in a file of the name y.json"},
    {"{'name':'x'}", "about: say in a sentence"},
    {"{'name':'x','about':'a','node':[]}", "did you mean \"nodes\""},
    {FLOW("", ""), "nodes is a list of 3"},
    {FLOW(LOOK MODEL END, ""), "edges is a list of 2"},
    {FLOW(LOOK MODEL "{'id':'m','kind':'end'}", CHAIN), "node m: there are two nodes of that id"},
    {FLOW(LOOK "{'id':'m','kind':'modal','model':'chosen:0'}," END, CHAIN),
     "node m: no kind is named \"modal\"; did you mean \"model\""},
    {FLOW(LOOK "{'id':'m','kind':'model'}," END, CHAIN), "node m: say which model"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'gpt'}," END, CHAIN),
     "node m: no model is named so"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:4'}," END, CHAIN),
     "node m: of the models chosen"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:0','role':'critique'}," END, CHAIN),
     "node m: no role is named \"critique\"; did you mean \"critic\""},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:0','prompt':'x'}," END, CHAIN),
     "node m: no prompt is named"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:0','tools':['none/x']}," END, CHAIN),
     "node m: no connector is named so"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:0','tools':['x']}," END, CHAIN),
     "node m: tools are CONNECTOR/TOOL"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:0','steps':99}," END, CHAIN),
     "node m: steps is a number from 0 to 16"},
    {FLOW(LOOK "{'id':'m','kind':'model','model':'chosen:0','samples':2}," END, CHAIN),
     "node m: samples says nothing"},
    {FLOW("{'id':'look','kind':'look','model':'chosen:0'}," MODEL END, CHAIN),
     "node look: model says nothing"},
    {FLOW(LOOK MODEL "{'id':'End!','kind':'end'}", CHAIN), "node 3: id is"},
    {FLOW(LOOK MODEL END, "{'from':'look','to':'m'},{'from':'m','to':'ende'}"),
     "edge m -> ende: no node is named \"ende\"; did you mean \"end\""},
    {FLOW(LOOK MODEL END, CHAIN ",{'from':'m','to':'end'}"), "there are two such edges"},
    {FLOW(LOOK MODEL END, "{'from':'look','to':'m'},{'from':'m','to':'end','when':'rsk > 1'}"),
     "edge m -> end: when: no variable is named \"rsk\"; did you mean \"risk\""},
    {FLOW(LOOK MODEL END, "{'from':'look','to':'m'},{'from':'m','to':'end','when':'risk > 1'}"),
     "node m: a dead end where no condition holds"},
    {FLOW(LOOK MODEL "{'id':'n','kind':'model','model':'chosen:0'}",
          "{'from':'look','to':'m'},{'from':'m','to':'n'}"),
     "there is no node of kind end"},
    {FLOW(MODEL "{'id':'n','kind':'model','model':'chosen:0'}," END,
          "{'from':'m','to':'n'},{'from':'n','to':'end'}"),
     "begins with one node of kind look"},
    {FLOW(LOOK MODEL "{'id':'n','kind':'model','model':'chosen:0'}," END,
          CHAIN ",{'from':'look','to':'n'}"),
     "node n: a dead end"},
    {FLOW(LOOK MODEL "{'id':'n','kind':'model','model':'chosen:0'}," END,
          CHAIN ",{'from':'n','to':'end'}"),
     "node n: nothing leads to it"},
    {FLOW(LOOK MODEL "{'id':'n','kind':'model','model':'chosen:0'}," END,
          CHAIN ",{'from':'m','to':'n'},{'from':'n','to':'m'}"),
     "node m: it is part of a cycle"},
    {FLOW(LOOK MODEL END,
          "{'from':'look','to':'m'},{'from':'look','to':'end'},{'from':'m','to':'end'}"),
     "node end: what only looked has no answer yet"},
    {FLOW(LOOK MODEL "{'id':'c','kind':'critique'}," END,
          "{'from':'look','to':'m'},{'from':'m','to':'c'},{'from':'c','to':'end'}"),
     "node c: only a comparison leads to a critique"},
};

static void a_wrong_flow_is_refused_with_its_node(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof WRONG_FLOWS / sizeof *WRONG_FLOWS; i++) {
        struct error e = {0};
        struct flow *f = read_it(WRONG_FLOWS[i][0], &e);
        if (f || !strstr(e.detail, WRONG_FLOWS[i][1]))
            print_error("%s\n  %s, in place of %s\n", WRONG_FLOWS[i][0], f ? "read" : e.detail,
                        WRONG_FLOWS[i][1]);
        assert_null(f);
        assert_int_equal(e.code, ERR_CONFIG);
        assert_non_null(strstr(e.detail, WRONG_FLOWS[i][1]));
        assert_non_null(strstr(e.detail, "flows/x.json"));
    }
}

static void put(const char *dir, const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

/* Takes all, as they were read before. */
static void read_again(const char *dir, struct flows *all)
{
    struct error e = {0};
    const struct flow *f = flows_find(all, "single", &e);
    /* what is wrong now stays what it was, for whom has it even longer */
    uint64_t stamp = flows_stamp(dir);
    struct flow *held = flow_hold(f);
    put(dir, "single.json", "{\"name\":\"single\"}");
    assert_true(flows_stamp(dir) != stamp);
    struct flows *again = flows_load(dir, NULL, all, &e);
    json_t *changed = flows_changed(all, again);
    assert_int_equal(json_array_size(changed), 0);
    json_decref(changed);
    flows_free(all);
    assert_string_equal(flows_find(again, "single", &e)->about, "mine");
    assert_int_equal(again->wrong_count, 2);
    assert_true(again->kept[1]);
    assert_non_null(strstr(again->wrong[1].detail, "single.json: about"));
    /* gone: the built-in one is back */
    char *single = xasprintf("%s/single.json", dir);
    unlink(single);
    free(single);
    all = flows_load(dir, NULL, again, &e);
    changed = flows_changed(again, all);
    assert_int_equal(json_array_size(changed), 1);
    json_decref(changed);
    flows_free(again);
    assert_false(flows_find(all, "single", &e)->own);
    flows_free(all);
    assert_string_equal(held->about, "mine");
    flow_free(held);
}

static void own_flows_stand_in_the_place_of_built_in_ones(void **state)
{
    (void)state;
    static const char *const BUILT_IN[] = {"single", "dual", "arbitrate", "council", "vote"};
    struct error e = {0};
    struct flows *all = flows_load(NULL, NULL, NULL, &e);
    assert_non_null(all);
    assert_int_equal(all->wrong_count, 0);
    for (size_t i = 0; i < sizeof BUILT_IN / sizeof *BUILT_IN; i++)
        assert_non_null(flows_find(all, BUILT_IN[i], &e));
    assert_null(flows_find(all, "none", &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    flows_free(all);

    char *dir = xasprintf("%s/mcpc-flows-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    put(dir, "single.json",
        "{\"name\":\"single\",\"about\":\"mine\",\"nodes\":[{\"id\":\"l\",\"kind\":\"look\"},"
        "{\"id\":\"m\",\"kind\":\"model\",\"model\":\"chosen:1\"},{\"id\":\"e\",\"kind\":\"end\"}],"
        "\"edges\":[{\"from\":\"l\",\"to\":\"m\"},{\"from\":\"m\",\"to\":\"e\"}]}");
    put(dir, "arbitrate.json", "{\"name\":\"arbitrate\",");
    put(dir, ".hidden.json", "{");
    put(dir, "notes.txt", "{");
    e = (struct error){0};
    all = flows_load(dir, NULL, NULL, &e);
    assert_non_null(all);
    const struct flow *f = flows_find(all, "single", &e);
    assert_non_null(f);
    assert_true(f->own);
    assert_string_equal(f->about, "mine");
    assert_int_equal(f->models, 2);
    /* a wrong one of its own takes the built-in one's place too: nobody runs what they did not mean
     */
    assert_null(flows_find(all, "arbitrate", &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_int_equal(all->wrong_count, 1);
    assert_false(all->kept[0]);

    read_again(dir, all);
    static const char *const FILES[] = {"single.json", "arbitrate.json", ".hidden.json",
                                        "notes.txt"};
    for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
        char *path = xasprintf("%s/%s", dir, FILES[i]);
        unlink(path);
        free(path);
    }
    rmdir(dir);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_condition_has_three_values),
        cmocka_unit_test(a_wrong_condition_says_where),
        cmocka_unit_test(a_flow_is_read),
        cmocka_unit_test(a_wrong_flow_is_refused_with_its_node),
        cmocka_unit_test(own_flows_stand_in_the_place_of_built_in_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
