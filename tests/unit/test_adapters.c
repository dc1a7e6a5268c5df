/* What the adapters of the model APIs send and understand, beside plain text: tools, JSON,
 * thinking, keys and tokens, forms of providers; and that a new provider is configuration only.
 * Against the mock (tests/peers/mock_model.c). */
#include "backend/base/clock.h"
#include "tests/unit/gateway_harness.h"

#define KEY "k-0123456789abcdef"

struct run {
    struct gw_call *call;
    struct buf text, reasoning;
    struct error error;
    struct gw_usage usage;
    json_t *calls, *raw, *thinking;
    char finish[16];
    size_t dones, *left;
};

static void on_delta(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    buf_add(&run->text, text, len);
}

static void on_reasoning(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    buf_add(&run->reasoning, text, len);
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct run *run = arg;
    run->dones++;
    run->error = r->error;
    run->usage = r->usage;
    run->calls = json_deep_copy(r->tool_calls);
    run->thinking = json_deep_copy(r->thinking);
    run->raw = json_deep_copy(r->spent->at[r->spent->count - 1].raw_usage);
    snprintf(run->finish, sizeof run->finish, "%s", r->finish_reason);
    assert_string_equal(r->text, run->text.data ? run->text.data : "");
    assert_string_equal(r->reasoning, run->reasoning.data ? run->reasoning.data : "");
    if (!run->left || --*run->left == 0)
        loop_quit(w.loop);
}

static const struct gw_ops ops = {.delta = on_delta, .reasoning = on_reasoning, .done = on_done};

static void release(struct run *run)
{
    buf_release(&run->text);
    buf_release(&run->reasoning);
    json_decref(run->calls);
    json_decref(run->raw);
    json_decref(run->thinking);
}

/* One model "m" whose section holds these lines; %s in them is the mock's address. */
static void open_model(const char *lines)
{
    char *text = xasprintf("[model \"m\"]\nretries = 0\n%s", lines);
    open_world(text);
    free(text);
}

static struct run ask(const struct gw_request *r)
{
    struct run run = {0};
    struct error e = {0};
    run.call = gw_start(w.g, "m", r, &ops, &run, &e);
    if (!run.call) {
        run.error = e;
        return run;
    }
    loop_run(w.loop);
    assert_int_equal(run.dones, 1);
    return run;
}

/* The same in a world of its own. */
static struct run ask_once(const char *lines, const struct gw_request *r)
{
    open_model(lines);
    struct run run = ask(r);
    close_world();
    return run;
}

static struct gw_request request(void)
{
    return (struct gw_request){.question = "Disk?", .lang = "en", .max_output_tokens = 64};
}

static void fine(const struct run *run)
{
    if (run->error.code)
        fail_msg("%s: %s", err_name(run->error.code), run->error.detail);
}

static void failed(struct run *run, enum err code, const char *words)
{
    if (run->error.code != code || !strstr(run->error.detail, words))
        fail_msg("%s: %s", err_name(run->error.code), run->error.detail);
    release(run);
}

/* What the mock was sent last; the caller owns it. */
static json_t *sent(void)
{
    json_t *log = mock_ask(&peer, "/log", NULL);
    json_t *last = json_incref(json_array_get(log, json_array_size(log) - 1));
    json_decref(log);
    assert_non_null(last);
    return last;
}

/* A member of the body that was sent last, as text; "" if there is none. */
static void sends(const char *member, const char *text)
{
    json_t *entry = sent();
    const json_t *value = json_object_get(json_object_get(entry, "body"), member);
    char *is = value ? json_write(value) : xstrdup("");
    assert_string_equal(is, text);
    free(is);
    json_decref(entry);
}

static void sends_header(const char *name, const char *text)
{
    json_t *entry = sent();
    assert_string_equal(json_str(json_object_get(entry, "headers"), name, ""), text);
    json_decref(entry);
}

static json_t *two_tools(void)
{
    return json_loads("[{\"name\":\"disk\",\"description\":\"Free space\",\"parameters\":"
                      "{\"type\":\"object\",\"properties\":{\"path\":{\"type\":\"string\"}}}},"
                      "{\"name\":\"load\",\"description\":\"Load\"}]",
                      0, NULL);
}

static const char *const apis[] = {"kind = openai\nurl = %s/v1\n", "kind = ollama\nurl = %s\n",
                                   "kind = anthropic\nurl = %s/v1\n"};
enum { APIS = 3 };

static struct run ask_api(size_t api, const char *model, const struct gw_request *r)
{
    char *lines = xasprintf("%smodel = %s\n", apis[api], model);
    struct run run = ask_once(lines, r);
    free(lines);
    return run;
}

/* ---- tools */

static void tools_are_called(void **state)
{
    (void)state;
    static const char *const behave[] = {
        "tools=2",         "tools=2,tool_piece=1",    "tools=2,interleave=1,tool_piece=3",
        "tools=2,whole=1", "tools=2,chunk=1,write=1", "tools=2,text=fine"};
    for (size_t i = 0; i < APIS * 6; i++) {
        struct gw_request r = request();
        json_t *tools = two_tools();
        r.tools = tools;
        struct run run = ask_api(i % APIS, behave[i / APIS], &r);
        fine(&run);
        assert_string_equal(run.finish, "tool_calls");
        assert_int_equal(json_array_size(run.calls), 2);
        for (size_t k = 0; k < 2; k++) {
            const json_t *call = json_array_get(run.calls, k);
            const json_t *arguments = json_object_get(call, "arguments");
            assert_string_equal(json_str(call, "name", ""), k ? "load" : "disk");
            assert_string_equal(json_str(arguments, "path", ""), "/var/л\"og");
            assert_int_equal(json_int(arguments, "n", -1), k);
            assert_true(*json_str(call, "id", "") != '\0');
        }
        assert_true(i / APIS == 5 ? run.text.len > 0 : run.text.len == 0);
        release(&run);
        json_decref(tools);
    }
}

static void bad_arguments_are_an_error(void **state)
{
    (void)state;
    struct gw_request r = request();
    json_t *tools = two_tools();
    r.tools = tools;
    struct run run = ask_api(0, "tools=1,bad_args=1", &r);
    failed(&run, ERR_PROTOCOL, "its call of disk are no JSON object");
    run = ask_api(2, "tools=1,bad_args=1", &r);
    failed(&run, ERR_PROTOCOL, "its call of disk are no JSON object");
    run = ask_api(0, "tools=1,args=[1]", &r);
    failed(&run, ERR_PROTOCOL, "no JSON object");
    run = ask_api(0, "tools=33", &r);
    failed(&run, ERR_TOO_BIG, "32 tools");
    json_decref(tools);
}

/* A turn with two calls and their results. */
static struct run ask_results(const char *lines)
{
    json_t *calls = json_loads("[{\"id\":\"a\",\"name\":\"disk\",\"arguments\":{\"path\":\"/\"}},"
                               "{\"id\":\"b\",\"name\":\"load\",\"arguments\":{}}]",
                               0, NULL);
    const struct gw_message messages[] = {
        {.role = "system", .content = "Be terse."},
        {.role = "user", .content = "Disk?"},
        {.role = "assistant", .content = "", .tool_calls = calls},
        {.role = "tool", .content = "{\"free\":1}", .tool_call_id = "a"},
        {.role = "tool", .content = "low", .tool_call_id = "b"}};
    struct gw_request r = request();
    json_t *tools = two_tools();
    r.tools = tools;
    r.messages = messages;
    r.message_count = 5;
    r.tool_choice = "disk";
    struct run run = ask_once(lines, &r);
    fine(&run);
    json_decref(tools);
    json_decref(calls);
    return run;
}

static void results_go_back(void **state)
{
    (void)state;
    struct run run = ask_results("kind = openai\nurl = %s/v1\nmodel = x\n");
    release(&run);
    sends("messages",
          "[{\"role\":\"system\",\"content\":\"Be terse.\"},{\"role\":\"user\",\"content\":\"Disk?"
          "\"},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"a\",\"type\":"
          "\"function\",\"function\":{\"name\":\"disk\",\"arguments\":\"{\\\"path\\\":\\\"/"
          "\\\"}\"}},{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"load\","
          "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"content\":\"{\\\"free\\\":1}\",\"tool_"
          "call_id\":\"a\"},{\"role\":\"tool\",\"content\":\"low\",\"tool_call_id\":\"b\"}]");
    sends("tool_choice", "{\"type\":\"function\",\"function\":{\"name\":\"disk\"}}");
    run = ask_results("kind = ollama\nurl = %s\nmodel = x\n");
    release(&run);
    sends("messages",
          "[{\"role\":\"system\",\"content\":\"Be terse.\"},{\"role\":\"user\",\"content\":\"Disk?"
          "\"},{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":"
          "\"disk\",\"arguments\":{\"path\":\"/\"}}},{\"function\":{\"name\":\"load\","
          "\"arguments\":{}}}]},{\"role\":\"tool\",\"content\":\"{\\\"free\\\":1}\",\"tool_"
          "name\":\"disk\"},{\"role\":\"tool\",\"content\":\"low\",\"tool_name\":\"load\"}]");
    run = ask_results("kind = anthropic\nurl = %s/v1\nmodel = x\n");
    release(&run);
    sends("system", "\"Be terse.\"");
    sends("messages",
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Disk?\"}]},{\"role\":"
          "\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"disk\","
          "\"input\":{\"path\":\"/\"}},{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"load\","
          "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_"
          "id\":\"a\",\"content\":\"{\\\"free\\\":1}\"},{\"type\":\"tool_result\",\"tool_use_"
          "id\":\"b\",\"content\":\"low\"}]}]");
    sends("tool_choice", "{\"type\":\"tool\",\"name\":\"disk\"}");
    run = ask_results("kind = openai\nurl = %s/v1\nmodel = x\ntools = functions\n");
    release(&run);
    sends("messages",
          "[{\"role\":\"system\",\"content\":\"Be terse.\"},{\"role\":\"user\",\"content\":\"Disk?"
          "\"},{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{\"name\":\"disk\","
          "\"arguments\":{\"path\":\"/\"}}},{\"role\":\"function\",\"content\":\"{\\\"free\\\":"
          "1}\",\"name\":\"disk\"},{\"role\":\"assistant\",\"content\":\"\",\"function_call\":{"
          "\"name\":\"load\",\"arguments\":{}}},{\"role\":\"function\",\"content\":\"{"
          "\\\"result\\\":\\\"low\\\"}\",\"name\":\"load\"}]");
    sends("function_call", "{\"name\":\"disk\"}");
}

/* ---- JSON */

static void json_is_asked_for_and_checked(void **state)
{
    (void)state;
#define SCHEMA "{\"type\":\"object\",\"required\":[\"disk\"]}"
    static const struct {
        const char *kind, *member, *without, *with;
    } forms[] = {
        {"kind = openai\nurl = %s/v1\n", "response_format", "{\"type\":\"json_object\"}",
         "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":" SCHEMA "}}"},
        {"kind = deepseek\nurl = %s\n", "response_format", "{\"type\":\"json_object\"}",
         "{\"type\":\"json_object\"}"},
        {"kind = lmstudio\nurl = %s/v1\n", "response_format",
         "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":{\"type\":"
         "\"object\"}}}",
         "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\"schema\":" SCHEMA "}}"},
        {"kind = triton\nurl = %s/v1\n", "response_format", "", ""},
        {"kind = ollama\nurl = %s\n", "format", "\"json\"", SCHEMA},
        {"kind = anthropic\nurl = %s/v1\n", "output_config", "",
         "{\"format\":{\"type\":\"json_schema\",\"schema\":" SCHEMA "}}"},
    };
    json_t *schema = json_loads(SCHEMA, 0, NULL);
    for (size_t i = 0; i < 2 * sizeof forms / sizeof *forms; i++) {
        struct gw_request r = request();
        r.json_mode = true;
        r.json_schema = i % 2 ? schema : NULL;
        char *lines = xasprintf("%smodel = text=json\n", forms[i / 2].kind);
        struct run run = ask_once(lines, &r);
        fine(&run);
        assert_string_equal(run.text.data, "{\"disk\": 93.5}");
        sends(forms[i / 2].member, i % 2 ? forms[i / 2].with : forms[i / 2].without);
        release(&run);
        free(lines);
    }
    sends("system", "");
    for (size_t i = 0; i < APIS; i++) {
        struct gw_request r = request();
        r.json_mode = true;
        struct run run = ask_api(i, "ok", &r);
        failed(&run, ERR_PROTOCOL, "no JSON object");
        run = ask_api(i, "length", &r); /* it could not finish: not the model's fault */
        fine(&run);
        assert_string_equal(run.finish, "length");
        release(&run);
    }
    json_decref(schema);
}

/* ---- thinking */

static void thinking_is_kept_apart(void **state)
{
    (void)state;
    static const char *const behave[] = {"think=3,chunk=1,write=1", "think=3,think_tag=1",
                                         "think=3,think_tag=1,chunk=1,write=1"};
    struct gw_request r = request();
    for (size_t i = 0; i < APIS * 3; i++) {
        if (i % APIS == 2 && i / APIS) /* Anthropic's come in blocks */
            continue;
        struct run run = ask_api(i % APIS, behave[i / APIS], &r);
        fine(&run);
        assert_string_equal(run.text.data, ANSWER);
        assert_string_equal(run.reasoning.data, i / APIS ? "secret plan plan "
                                                         : "secret plan secret plan secret plan ");
        release(&run);
    }
    static const struct {
        const char *say, *text, *reasoning;
    } texts[] = {
        {"%0A <think>a<b</thin></think>%0A%0AIt is.", "It is.", "a<b</thin>"},
        {"<think>never ends</th", "", "never ends</th"},
        {"<thin ice", "<thin ice", ""},
        {"<th", "<th", ""},
        {"%0A%0A", "\n\n", ""},
        {"No <think>x</think>", "No <think>x</think>", ""},
        {"<think></think>x", "x", ""},
    };
    for (size_t i = 0; i < 2 * sizeof texts / sizeof *texts; i++) {
        char *model = xasprintf("say=%s,piece=%d", texts[i / 2].say, i % 2 ? 1 : 1000);
        struct run run = ask_api(i / 2 % 2, model, &r);
        fine(&run);
        assert_string_equal(run.text.data ? run.text.data : "", texts[i / 2].text);
        assert_string_equal(run.reasoning.data ? run.reasoning.data : "", texts[i / 2].reasoning);
        release(&run);
        free(model);
    }
}

/* The content of the second message that was sent last; the caller frees. */
static char *sent_back(void)
{
    json_t *entry = sent();
    const json_t *list = json_object_get(json_object_get(entry, "body"), "messages");
    char *text = json_write(json_object_get(json_array_get(list, 1), "content"));
    json_decref(entry);
    return text;
}

/* The tool's result goes back to a model of that name with what `first` brought. */
static void answer_tool(const char *model, const struct run *first, const json_t *tools)
{
    const struct gw_message messages[] = {
        {.role = "user", .content = "Disk?"},
        {.role = "assistant",
         .content = first->text.data,
         .tool_calls = first->calls,
         .thinking = first->thinking},
        {.role = "tool", .content = "low", .tool_call_id = "toolu_0"}};
    struct gw_request r = request();
    r.tools = tools;
    r.messages = messages;
    r.message_count = 3;
    struct run run = ask_api(2, model, &r);
    fine(&run);
    release(&run);
}

/* What a model thought before it called tools goes back to it unchanged, and to no other one. */
static void thinking_goes_back(void **state)
{
    (void)state;
    static const char *const behave[] = {"think=2,sign=1,tools=1,text=fine",
                                         "think=2,sign=1,tools=1,text=fine,chunk=1,write=1",
                                         "think=2,sign=1,tools=1,text=fine,whole=1"};
    struct gw_request r = request();
    json_t *tools = two_tools();
    r.tools = tools;
    for (size_t i = 0; i < 3; i++) {
        struct run run = ask_api(2, behave[i], &r);
        fine(&run);
        char *content = json_write(json_object_get(run.thinking, "content"));
        char *expected = xasprintf(
            "[{\"type\":\"thinking\",\"thinking\":\"%s\",\"signature\":\"c2lnbmVk\"},{\"type\":"
            "\"redacted_thinking\",\"data\":\"aGlkZGVu\"},{\"type\":\"text\",\"text\":\"%s\"},{"
            "\"type\":\"tool_use\",\"id\":\"toolu_0\",\"name\":\"disk\",\"input\":{\"path\":"
            "\"/var/л\\\"og\",\"n\":0}}]",
            i == 2 ? "secret plan " : "secret plan secret plan ", run.text.data);
        assert_string_equal(content, expected);
        answer_tool(behave[i], &run, tools);
        char *back = sent_back();
        assert_string_equal(back, content);
        free(back);
        answer_tool("text=fine", &run, tools); /* another model */
        back = sent_back();
        assert_null(strstr(back, "thinking"));
        assert_non_null(strstr(back, "tool_use"));
        free(back);
        release(&run);
        free(content);
        free(expected);
    }
    struct gw_request plain = request();
    struct run run = ask_api(2, "think=2,sign=1", &plain);
    fine(&run);
    assert_null(run.thinking); /* no tool is called */
    release(&run);
    json_decref(tools);
}

/* Other APIs want it back as a member, each by its name. */
static void thinking_goes_back_by_its_name(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *member;
    } forms[] = {{"kind = deepseek\nurl = %s/v1\n", "reasoning_content"},
                 {"kind = vllm\nurl = %s/v1\n", "reasoning"},
                 {"kind = ollama\nurl = %s\n", "thinking"},
                 {"kind = generic\nurl = %s/v1\nthinking_name = mind\n", "mind"},
                 {"kind = generic\nurl = %s/v1\n", NULL}};
    struct gw_request r = request();
    json_t *tools = two_tools();
    r.tools = tools;
    for (size_t i = 0; i < 2 * sizeof forms / sizeof *forms; i++) {
        char *lines = xasprintf("%smodel = think=%zu,tools=1\n", forms[i / 2].lines, i % 2 * 2);
        struct run run = ask_once(lines, &r);
        fine(&run);
        const struct gw_message messages[] = {
            {.role = "user", .content = "Disk?"},
            {.role = "assistant", .content = "", .tool_calls = run.calls, .thinking = run.thinking},
            {.role = "tool", .content = "low", .tool_call_id = "call_0"}};
        struct gw_request next = request();
        next.tools = tools;
        next.messages = messages;
        next.message_count = 3;
        struct run second = ask_once(lines, &next);
        fine(&second);
        release(&second);
        json_t *entry = sent();
        const json_t *list = json_object_get(json_object_get(entry, "body"), "messages");
        const json_t *back = json_array_get(list, 1);
        if (forms[i / 2].member)
            assert_string_equal(json_str(back, forms[i / 2].member, "?"),
                                i % 2 ? "secret plan secret plan " : "");
        else
            assert_int_equal(json_object_size(back), 3);
        json_decref(entry);
        release(&run);
        free(lines);
    }
    json_decref(tools);
}

/* ---- forms of providers */

static void usage_is_read_in_each_form(void **state)
{
    (void)state;
    static const char *const models[] = {"in=100,out=40,cached=60,reasoning=9",
                                         "in=100,out=40,cached=60,reasoning=9,form=deepseek",
                                         "in=100,out=40,cached=60,reasoning=9,form=groq"};
    struct gw_request r = request();
    for (size_t i = 0; i < 3; i++) {
        struct run run = ask_api(0, models[i], &r);
        fine(&run);
        assert_int_equal(run.usage.input_tokens, 100);
        assert_int_equal(run.usage.cached_tokens, 60);
        assert_int_equal(run.usage.output_tokens, 40);
        assert_int_equal(run.usage.reasoning_tokens, 9);
        assert_false(run.usage.estimated);
        assert_int_equal(json_int(run.raw, "prompt_tokens", -1), 100);
        release(&run);
    }
    struct run run = ask_api(2, "in=100,out=40,cached=60,cache_write=10", &r);
    fine(&run);
    assert_int_equal(run.usage.input_tokens, 100);
    assert_int_equal(run.usage.cached_tokens, 60);
    assert_int_equal(run.usage.cache_write_tokens, 10);
    assert_int_equal(run.usage.output_tokens, 40);
    assert_int_equal(json_int(run.raw, "input_tokens", -1), 30);
    release(&run);
    run = ask_api(2, "cut_tokens=2", &r); /* what the beginning says of the output is no count */
    assert_int_equal(run.error.code, ERR_UPSTREAM);
    assert_true(run.usage.estimated && run.usage.input_tokens == 31);
    assert_null(json_object_get(run.raw, "output_tokens"));
    release(&run);
}

static void anthropic_streams_and_fails(void **state)
{
    (void)state;
    static const char *const good[] = {"ok", "chunk=1,write=1", "crlf", "whole=1", "eol=cr"};
    struct gw_request r = request();
    for (size_t i = 0; i < 5; i++) {
        struct run run = ask_api(2, good[i], &r);
        fine(&run);
        assert_string_equal(run.text.data, ANSWER);
        assert_string_equal(run.finish, "stop");
        release(&run);
    }
    sends("max_tokens", "64");
    sends_header("anthropic-version", "2023-06-01");
    struct run run = ask_api(2, "length", &r);
    assert_string_equal(run.finish, "length");
    release(&run);
    run = ask_api(2, "finish=refusal", &r);
    failed(&run, ERR_UPSTREAM, "filter");
    run = ask_api(2, "status=529", &r);
    failed(&run, ERR_OVERLOADED, "HTTP 529");
    run = ask_api(2, "error", &r);
    failed(&run, ERR_UPSTREAM, "the card fell out");
    run = ask_api(2, "nonsense", &r);
    failed(&run, ERR_PROTOCOL, "{oops");
    run = ask_api(2, "nodone", &r);
    failed(&run, ERR_UPSTREAM, "cut before its end");
    run = ask_api(2, "html", &r);
    failed(&run, ERR_PROTOCOL, "no stream of events");
    run = ask_api(0, "finish=content_filter", &r);
    failed(&run, ERR_UPSTREAM, "content filter");
    run = ask_api(0, "finish=insufficient_system_resource", &r);
    failed(&run, ERR_UPSTREAM, "resources");
}

static void keys_and_names_have_the_providers_form(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *header, *value, *model;
    } forms[] = {
        {"kind = groq\nurl = %s/v1\nmodel = q\n", "authorization", "Bearer " KEY, "\"q\""},
        {"kind = yandexgpt\nurl = %s/v1\nmodel = yandexgpt/latest\nfolder = b1g\n", "authorization",
         "Api-Key " KEY, "\"gpt://b1g/yandexgpt/latest\""},
        {"kind = yandexgpt\nurl = %s/v1\nmodel = gpt://b2/y\n", "authorization", "Api-Key " KEY,
         "\"gpt://b2/y\""},
        {"kind = anthropic\nurl = %s/v1\nmodel = q\n", "x-api-key", KEY, "\"q\""},
        {"kind = openai\nurl = %s/v1\nmodel = q\nauth = x-api-key\n", "x-api-key", KEY, "\"q\""},
    };
    struct gw_request r = request();
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char *lines = xasprintf("%skey = env:MOCK_KEY\n", forms[i].lines);
        struct run run = ask_once(lines, &r);
        fine(&run);
        sends_header(forms[i].header, forms[i].value);
        sends("model", forms[i].model);
        release(&run);
        free(lines);
    }
    sends("max_completion_tokens", "");
    sends("max_tokens", "64");
    struct run run = ask_once("kind = groq\nurl = %s/v1\nmodel = q\n", &r);
    fine(&run);
    sends("max_completion_tokens", "64");
    release(&run);
    run = ask_once("kind = anthropic\nurl = %s/v1\nmodel = status=401,echo_key=1\n"
                   "key = env:MOCK_KEY\n",
                   &r);
    assert_null(strstr(run.error.detail, KEY));
    failed(&run, ERR_UPSTREAM, "bad key ****");
}

/* A provider that no table knows: its key, its paths, its limit, more members of its own. */
static void a_new_provider_is_configuration_only(void **state)
{
    (void)state;
    struct gw_request r = request();
    r.json_mode = true;
    struct run run =
        ask_once("kind = generic\nurl = %s\nmodel = text=json\nkey = env:MOCK_KEY\nauth = api-key\n"
                 "json = object\nlimit_name = max_new_tokens\nchat_path = /odd/v9/completions\n"
                 "extra = {\"temperature\": 0.5, \"stream_options\": {\"more\": 1}}\n",
                 &r);
    fine(&run);
    assert_string_equal(run.text.data, "{\"disk\": 93.5}");
    release(&run);
    json_t *entry = sent();
    assert_string_equal(json_str(entry, "path", ""), "/odd/v9/completions");
    json_decref(entry);
    sends_header("authorization", "Api-Key " KEY);
    sends("max_new_tokens", "64");
    sends("temperature", "0.5");
    sends("stream_options", "{\"include_usage\":true,\"more\":1}");
    sends("response_format", "{\"type\":\"json_object\"}");
}

static void refused(const char *lines, const char *words)
{
    char path[] = "/tmp/mcpc-adapters-XXXXXX";
    struct error e = {0};
    FILE *f = fdopen(mkstemp(path), "w");
    fprintf(f, "[model \"m\"]\n%s\n", lines);
    fclose(f);
    struct conf *conf = conf_load(path, &e);
    struct loop *l = loop_new();
    struct gw *g = conf ? gw_new(l, conf, &e) : NULL;
    assert_null(g);
    if (!strstr(e.detail, words))
        fail_msg("%s", e.detail);
    conf_free(conf);
    loop_free(l);
    unlink(path);
}

static void wrong_forms_are_refused(void **state)
{
    (void)state;
#define M "model = m\nurl = http://h/\n"
    refused("kind = deepsek\n" M, "did you mean \"deepseek\"");
    refused("kind = openai\n" M "extra = [1]\n", "extra: not a JSON object");
    refused("kind = openai\n" M "extra = {\"messages\": []}\n", "this console's own");
    refused("kind = openai\n" M "chat_path = x\n", "chat_path: a path begins with /");
    refused("kind = openai\n" M "auth = basic\n", "auth");
    refused("kind = openai\n" M "auth = exchange\n", "token_url");
    refused("kind = yandexgpt\n" M, "set folder");
    refused("kind = openai\nmodel = m\n", "url");
}

/* ---- tokens */

#define GIGA \
    "kind = gigachat\nurl = %s/v1\ntoken_url = %s/oauth\nkey = env:MOCK_KEY\nmodel = oauth=1\n"

static int64_t counted(const char *name)
{
    json_t *count = mock_ask(&peer, "/mock/count", NULL);
    const json_t *value = json_object_get(count, name);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    json_decref(count);
    return n;
}

static size_t exchanges(void)
{
    json_t *log = mock_ask(&peer, "/log", NULL), *entry;
    size_t i, n = 0;
    json_array_foreach(log, i, entry) n += strstr(json_str(entry, "path", ""), "/oauth") != NULL;
    json_decref(log);
    return n;
}

static void tokens_are_got_once(void **state)
{
    (void)state;
    struct gw_request r = request();
    struct run runs[6] = {0};
    struct error e = {0};
    size_t left = 6;
    open_model(GIGA);
    for (size_t i = 0; i < 6; i++) {
        runs[i].left = &left;
        runs[i].call = gw_start(w.g, "m", &r, &ops, &runs[i], &e);
        assert_non_null(runs[i].call);
    }
    loop_run(w.loop);
    for (size_t i = 0; i < 6; i++) {
        fine(&runs[i]);
        assert_string_equal(runs[i].text.data, ANSWER);
        release(&runs[i]);
    }
    struct run run = ask(&r);
    fine(&run);
    release(&run);
    assert_int_equal(exchanges(), 1);
    assert_int_equal(counted("requests"), 8);
    json_t *log = mock_ask(&peer, "/log", NULL);
    const json_t *headers = json_object_get(json_array_get(log, 0), "headers");
    assert_string_equal(json_str(headers, "authorization", ""), "Basic " KEY);
    const char *id = json_str(headers, "rquid", "");
    assert_true(strlen(id) == 36 && id[14] == '4' && id[8] == '-');
    json_decref(log);
    sends_header("authorization", "Bearer mock-token-1");
    close_world();
}

static void tokens_end_and_are_renewed(void **state)
{
    (void)state;
    struct gw_request r = request();
    /* half a minute is near the end already: used, and renewed meanwhile */
    open_model("kind = gigachat\nurl = %s/v1\ntoken_url = %s/@expires=30/oauth\n"
               "key = env:MOCK_KEY\nmodel = oauth=1,first=30\n");
    for (size_t i = 0; i < 2; i++) {
        struct run run = ask(&r);
        fine(&run);
        release(&run);
    }
    assert_true(exchanges() >= 2);
    close_world();
}

static void tokens_that_are_refused(void **state)
{
    (void)state;
    struct gw_request r = request();
    open_model(GIGA);
    struct run run = ask(&r);
    fine(&run);
    release(&run);
    assert_true(mock_script(&peer, "[{\"behave\":\"status=401\",\"path\":\"/chat\"}]"));
    run = ask(&r); /* refused once: a new one is got, and the answer comes */
    fine(&run);
    assert_string_equal(run.text.data, ANSWER);
    release(&run);
    assert_int_equal(exchanges(), 2);
    assert_true(mock_script(&peer, "[{\"behave\":\"status=401\",\"path\":\"/chat\",\"times\":2}]"));
    run = ask(&r);
    failed(&run, ERR_UPSTREAM, "HTTP 401");
    assert_true(mock_script(&peer, "[{\"behave\":\"status=401\",\"path\":\"/chat\"},"
                                   "{\"behave\":\"status=500\",\"path\":\"/oauth\"}]"));
    run = ask(&r);
    failed(&run, ERR_UPSTREAM, "no token from");
    close_world();
    open_model(GIGA);
    assert_true(mock_script(&peer, "[{\"behave\":\"status=401,echo_key=1\",\"path\":\"/oauth\"}]"));
    run = ask(&r);
    assert_null(strstr(run.error.detail, KEY));
    failed(&run, ERR_UPSTREAM, "HTTP 401");
    /* one that waits for a token may be cancelled */
    struct gw_spent spent;
    struct error e = {0};
    struct run other = {0};
    assert_true(mock_script(&peer, "[{\"behave\":\"hang\",\"path\":\"/oauth\"}]"));
    other.call = gw_start(w.g, "m", &r, &ops, &other, &e);
    assert_non_null(other.call);
    gw_cancel(other.call, &spent);
    assert_int_equal(spent.count, 1);
    assert_int_equal(gw_spent_usage(&spent).input_tokens, 0); /* nothing was sent */
    gw_spent_release(&spent);
    close_world();
}

int main(void)
{
    setenv("MOCK_KEY", KEY, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tools_are_called),
        cmocka_unit_test(bad_arguments_are_an_error),
        cmocka_unit_test(results_go_back),
        cmocka_unit_test(json_is_asked_for_and_checked),
        cmocka_unit_test(thinking_is_kept_apart),
        cmocka_unit_test(thinking_goes_back),
        cmocka_unit_test(thinking_goes_back_by_its_name),
        cmocka_unit_test(usage_is_read_in_each_form),
        cmocka_unit_test(anthropic_streams_and_fails),
        cmocka_unit_test(keys_and_names_have_the_providers_form),
        cmocka_unit_test(a_new_provider_is_configuration_only),
        cmocka_unit_test(wrong_forms_are_refused),
        cmocka_unit_test(tokens_are_got_once),
        cmocka_unit_test(tokens_end_and_are_renewed),
        cmocka_unit_test(tokens_that_are_refused),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
