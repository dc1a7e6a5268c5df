/* Questions whose console is killed in the midst, in a process of its own, and those that go on
 * with them (resume.c): what is in the log is not asked again. */
#include "tests/unit/flow_harness.h"

/* Two models: ada answers at once, bob as `says` says. */
static void write_two(const char *path, const char *says, int minutes)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fprintf(
        f,
        "[model \"ada\"]\nkind = openai\nurl = %s/v1\nmodel = ada,say=Ada%%20says%%20so%%20[1].\n"
        "[model \"bob\"]\nkind = openai\nurl = %s/v1\nmodel = bob,%s\n[copilot]\n"
        "models = ada bob\nresume_minutes = %d\n",
        mock.url, mock.url, says, minutes);
    fclose(f);
}

/* A council whose console is killed while its critic, bob, is asked. */
static void kill_council(const char *dir, const char *path)
{
    json_decref(mock_ask(&mock, "/mock/reset", "{}"));
    kill_at("test_resume", dir, path, "council", "bob", 1);
    assert_int_equal(asked("ada"), 1);
}

static void assert_resumes(struct console *c, int64_t count)
{
    json_t *resumed = call(c, WIRE_chat_resume, "{}");
    assert_int_equal(json_int(resumed, "resumed", -1), count);
    json_decref(resumed);
}

static void what_a_killed_console_left_is_gone_on_with(void **state)
{
    (void)state;
    char *dir = new_dir(), *path = xasprintf("%s/mcp-console.conf", dir);
    write_two(path, "first=15000", 15);
    kill_council(dir, path);
    /* not where that is off */
    write_two(path, "say=Ada%20is%20right%20[1].", 0);
    struct console c = console_start(dir, path, "operator");
    assert_resumes(&c, 0);
    json_t *trace = first_trace(&c);
    assert_string_equal(json_str(trace, "state", ""), "stopped");
    json_decref(trace);
    console_stop(&c, true);

    write_two(path, "say=Ada%20is%20right%20[1].", 15);
    c = console_start(dir, path, "operator");
    assert_resumes(&c, 1);
    trace = ended_trace(&c);
    assert_string_equal(json_str(trace, "state", ""), "done");
    assert_int_equal(json_int(trace, "resumed", 0), 1);
    assert_state(trace, "guardian", "done");
    /* the draft and the tools' results were in the log: ada is asked for the synthesis only */
    assert_int_equal(asked("ada"), 2);
    assert_int_equal(entries_of(&c, trace, "model.output", "node", "strategist"), 1);
    assert_int_equal(entries_of(&c, trace, "tool.call", "tool", "disks"), 1);
    assert_resumes(&c, 0);
    assert_lineage(&c);
    json_decref(trace);
    free(path);
    console_stop(&c, false);
}

/* What was logged of an agent's steps is not asked and not called again. */
static void an_agent_goes_on_with_its_steps(void **state)
{
    (void)state;
    static const char *const MODELS[][2] = {{"doer", "say=The%20disks%20are%20fine%20[1]."},
                                            {NULL, NULL}};
    static const char *const FLOWS[][2] = {{"agent", AGENT("'host/disks','host/load'", "")},
                                           {NULL, NULL}};
    struct console c = start(MODELS, FLOWS);
    char *dir = c.dir, *path = xasprintf("%s/mcp-console.conf", dir);
    console_stop(&c, true);
    json_decref(mock_ask(&mock, "/mock/script", "[\"tools=2,args=%7B%7D\",\"first=15000\"]"));
    kill_at("test_resume", dir, path, "agent", "doer", 2);
    c = console_start(dir, path, "operator");
    assert_resumes(&c, 1);
    json_t *trace = ended_trace(&c);
    assert_string_equal(json_str(trace, "answer", ""), "The disks are fine [1].");
    assert_int_equal(asked("doer"), 3);
    assert_int_equal(entries_of(&c, trace, "tool.call", "node", "m"), 2);
    assert_int_equal(entries_of(&c, trace, "tool.result", "node", "m"), 2);
    char *before = system_of("doer", 1), *after = system_of("doer", 2);
    assert_non_null(strstr(after, "\"tool_call_id\""));
    assert_non_null(strstr(after, "<<<")); /* with the words of the results, as before */
    assert_true(strlen(before) == strlen(after));
    assert_lineage(&c);
    json_decref(trace);
    free(before);
    free(after);
    free(path);
    console_stop(&c, false);
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc == 4)
        be_killed(argv[1], argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_killed_console_left_is_gone_on_with),
        cmocka_unit_test(an_agent_goes_on_with_its_steps),
    };
    return cmocka_run_group_tests(tests, mock_up, mock_down);
}
