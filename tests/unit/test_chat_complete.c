/* Tab in the chat's input line: words of a command, and P1..P3 of chat_complete.h against a server
 * that answers when the test says so. */
#include "tests/unit/tui_screen.h"
#include "views/chat_commands.h"
#include "views/chat_words.h"

struct asked {
    enum wire_method method;
    json_t *params;
    busc_reply *fn;
};
static struct world {
    struct chat_commands commands;
    struct tui_input input;
    struct asked asked[16];
    size_t count;
} w;

struct chat_commands *chat_commands_of(void *view)
{
    return &((struct world *)view)->commands;
}
struct tui_input *chat_commands_input(void *view)
{
    return &((struct world *)view)->input;
}
void tui_call(void *self, enum wire_method m, json_t *params, busc_reply *fn)
{
    assert_ptr_equal(self, &w);
    assert_true(w.count < sizeof(w.asked) / sizeof(w.asked[0]));
    w.asked[w.count++] = (struct asked){m, params, fn};
}
void tui_dirty(void)
{
}
void tui_say(const char *format, ...)
{
    (void)format;
}

/* The oldest question is answered; what it was is compared first. */
static void reply(enum wire_method m, const char *has, const char *text)
{
    assert_true(w.count > 0);
    struct asked one = w.asked[0];
    memmove(w.asked, w.asked + 1, --w.count * sizeof(w.asked[0]));
    assert_int_equal(one.method, m);
    char *params = one.params ? json_dumps(one.params, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (has && !(params && strstr(params, has)))
        fail_msg("%s is not in %s", has, params ? params : "nothing");
    free(params);
    json_decref(one.params);
    json_t *result = text ? json_loads(text, 0, NULL) : NULL;
    const struct error e = {.code = text ? ERR_OK : ERR_NOT_FOUND};
    assert_true(!text || result);
    one.fn(&w, result, &e);
    json_decref(result);
}

static const char ARGUMENTS[] =
    "[{\"name\":\"city\",\"description\":\"which\"},{\"name\":\"day\"},{\"name\":\"words\"}]";

static void servers(void)
{
    reply(
        WIRE_connectors_list, NULL,
        "{\"connectors\":[{\"name\":\"w\",\"kind\":\"mcp-http\"},{\"name\":\"h\",\"kind\":\"host\"}"
        ",{\"name\":\"gone\",\"kind\":\"mcp-stdio\"}]}");
    char *row = xasprintf("{\"name\":\"w\",\"prompts\":[{\"name\":\"weather\",\"arguments\":%s},"
                          "{\"name\":\"bad name\"},{\"name\":\"week\",\"arguments\":[]}]}",
                          ARGUMENTS);
    reply(WIRE_connectors_get, "\"w\"", row);
    reply(WIRE_connectors_get, "\"gone\"", NULL);
    free(row);
}

static void type(const char *text)
{
    tui_input_insert(&w.input, text, strlen(text));
    chat_complete_typed(&w);
}

static bool tab(void)
{
    return chat_complete_action(&w, ACTION_COMPLETE);
}

static void assert_line(const char *want)
{
    assert_string_equal(tui_input_text(&w.input), want);
}

static void assert_items(const char *want)
{
    struct buf have = {0};
    const json_t *one;
    size_t i;
    json_array_foreach(w.commands.complete.items, i, one)
    {
        buf_addf(&have, "%s%s", i ? " | " : "", json_str(one, "text", ""));
    }
    assert_string_equal(have.data ? have.data : "", want);
    buf_release(&have);
}

static int setup(void **state)
{
    (void)state;
    memset(&w, 0, sizeof(w));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < w.count; i++)
        json_decref(w.asked[i].params);
    chat_complete_release(&w.commands.complete);
    tui_input_release(&w.input);
    return 0;
}

static void assert_words(const char *typed, const char *want)
{
    json_t *arguments = json_loads(ARGUMENTS, 0, NULL);
    json_t *values = chat_words_values(arguments, typed);
    char *text = json_dumps(values, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, want);
    free(text);
    json_decref(values);
    json_decref(arguments);
}

static void words_as_a_shell(void **state)
{
    (void)state;
    assert_words("", "{}");
    assert_words(" Omsk  today", "{\"city\":\"Omsk\",\"day\":\"today\"}");
    assert_words(" Omsk today all the rest", /* the last takes the rest, as it is */
                 "{\"city\":\"Omsk\",\"day\":\"today\",\"words\":\"all the rest\"}");
    assert_words(" \"New York\" today", "{\"city\":\"New York\",\"day\":\"today\"}");
    assert_words(" day=today Omsk x", "{\"city\":\"Omsk\",\"day\":\"today\",\"words\":\"x\"}");
    assert_words(" words=\"a \\\"b\\\" \\\\\" Omsk",
                 "{\"city\":\"Omsk\",\"words\":\"a \\\"b\\\" \\\\\"}");
    assert_words(" other=1 city=", "{\"day\":\"other=1\"}");
    assert_words(" a b c=d \"open e",
                 "{\"city\":\"a\",\"day\":\"b\",\"words\":\"c=d \\\"open e\"}");
    struct buf quoted = {0};
    chat_words_quote(&quoted, "a \"b\" \\", false);
    char *typed = xasprintf("city=%s", quoted.data);
    assert_words(typed, "{\"city\":\"a \\\"b\\\" \\\\\"}");
    free(typed);
    buf_release(&quoted);
}

#define OWN                                                                                       \
    "/answer | /decline | /prompts | /model | /flow | /dual | /prompt | /conversations | /new | " \
    "/fork | /export | /compare | /retry | /edit | /stop | /release | /good | /bad"

static void commands_and_prompts(void **state)
{
    (void)state;
    type("/");
    assert_true(tab());
    assert_items(OWN); /* P1 */
    servers();
    assert_items(OWN " | /w:weather | /w:week");
    type("w");
    assert_items("/w:weather | /w:week");
    assert_true(tab());
    assert_line("/w:we");
    assert_true(tab()); /* no further beginning: the first, the second */
    assert_true(tab());
    assert_true(chat_complete_action(&w, ACTION_SEND));
    assert_line("/w:week"); /* it takes nothing: Enter may follow */
    assert_false(chat_complete_action(&w, ACTION_SEND));
    tui_input_set(&w.input, "/wea"); /* by its own name too */
    assert_true(tab());
    assert_line("/w:weather ");
    tui_input_set(&w.input, "/etc is full");
    assert_false(tab());
    tui_input_set(&w.input, "why?");
    assert_false(tab());
}

static void names_then_values(void **state)
{
    (void)state;
    type("/w:weather ");
    assert_true(tab());
    servers();
    assert_items("city= | day= | words=");
    reply(WIRE_prompts_complete, "\"argument\":\"city\"",
          "{\"values\":[\"Omsk\",\"New York\"],\"more\":false}");
    assert_items("city= | day= | words= | Omsk | \"New York\"");
    type("d"); /* a name: nobody is asked */
    assert_int_equal(w.count, 0);
    assert_true(tab());
    assert_line("/w:weather day=");
    reply(WIRE_prompts_complete, "\"argument\":\"day\"", "{\"values\":[\"today\",\"Tuesday\"]}");
    assert_items("day=today | day=Tuesday");
    type("to");
    assert_items("day=today"); /* narrowed before the server says so */
    assert_true(tab());
    assert_line("/w:weather day=to"); /* P1: not before it is known */
    reply(WIRE_prompts_complete, "\"value\":\"to\"", "{\"values\":[\"today\"]}");
    assert_line("/w:weather day=today ");
    assert_true(tab());
    reply(WIRE_prompts_complete, "{\"day\":\"today\"},\"connector\":\"w\"", "{\"values\":[]}");
    assert_items("city= | words=");
}

static void late_answers_are_dropped(void **state)
{
    (void)state;
    type("/w:weather city=N");
    assert_true(tab());
    servers();
    assert_int_equal(w.count, 1);
    type("e");
    type("w");
    assert_int_equal(w.count, 1); /* P2 */
    reply(WIRE_prompts_complete, "\"value\":\"N\"", "{\"values\":[\"Nowhere\"]}");
    assert_items(""); /* dropped, and nothing was typed for the person: P3 */
    assert_line("/w:weather city=New");
    reply(WIRE_prompts_complete, "\"value\":\"New\"", "{\"values\":[\"New York\"]}");
    assert_line("/w:weather city=New");
    assert_items("city=\"New York\"");
    assert_true(tab());
    assert_line("/w:weather city=\"New York\" ");
    /* Another argument's answer does not stand in. */
    type("day=");
    assert_true(tab());
    reply(WIRE_prompts_complete, "\"argument\":\"day\"", NULL);
    assert_line("/w:weather city=\"New York\" day=");
    assert_false(w.commands.complete.open); /* the server knows nothing */
    /* Closed while it is asked: the answer opens nothing. */
    type("x");
    assert_true(tab());
    assert_true(chat_complete_action(&w, ACTION_BACK));
    reply(WIRE_prompts_complete, "\"value\":\"x\"", "{\"values\":[\"xy\"]}");
    assert_false(w.commands.complete.open);
    assert_line("/w:weather city=\"New York\" day=x");
}

static void what_a_server_proposes_is_bounded(void **state)
{
    (void)state;
    type("/w:weather city=");
    assert_true(tab());
    servers();
    struct buf values = {0};
    buf_adds(&values, "{\"values\":[1,null,\"\",\"a\\nb\\u001b[31m\"");
    for (int i = 0; i < 2000; i++)
        buf_addf(&values, ",\"v%d\"", i);
    buf_addf(&values, ",\"%0*d\"]}", 5000, 0);
    reply(WIRE_prompts_complete, NULL, values.data);
    buf_release(&values);
    assert_int_equal(json_array_size(w.commands.complete.items), 500);
    assert_true(chat_complete_action(&w, ACTION_HISTORY_NEXT));
    assert_true(chat_complete_action(&w, ACTION_SEND));
    assert_line("/w:weather city=\"a\nb[31m\" "); /* no control character came in */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_as_a_shell),
        cmocka_unit_test_setup_teardown(commands_and_prompts, setup, teardown),
        cmocka_unit_test_setup_teardown(names_then_values, setup, teardown),
        cmocka_unit_test_setup_teardown(late_answers_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_server_proposes_is_bounded, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
