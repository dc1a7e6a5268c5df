/* What is told of a call to telemetry, by the span that it leaves: what the answer says of itself
 * through each API, and that foreign names are names. */
#include "backend/gateway/internal.h"
#include "backend/telemetry/internal.h"
#include "tests/unit/gateway_harness.h"

static void on_done(void *arg, const struct gw_result *r)
{
    (void)arg;
    assert_int_equal(r->error.code, ERR_OK);
    loop_quit(w.loop);
}

/* The JSON of the only span; the caller frees. */
static char *span_of_call(const char *model, struct tel *t)
{
    static const struct gw_ops ops = {.done = on_done};
    const struct gw_message message = {.role = "user", .content = "Disk?"};
    const struct gw_request r = {.question = "Disk?",
                                 .lang = "en",
                                 .messages = &message,
                                 .message_count = 1,
                                 .max_output_tokens = 64};
    struct error e;
    assert_non_null(gw_start(w.g, model, &r, &ops, NULL, &e));
    loop_run(w.loop);
    struct tel__ended *ended = tel__span_take(t);
    assert_non_null(ended);
    char *json = xstrndup(ended->json, ended->len);
    free(ended);
    return json;
}

static bool tells(const char *span, const char *key, const char *value)
{
    char *want = xasprintf("\"key\":\"%s\",\"value\":{\"stringValue\":\"%s\"}", key, value);
    bool found = strstr(span, want) != NULL;
    free(want);
    return found;
}

static void answers_say_which_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *model, *id, *served;
    } rows[] = {{"o", "chatcmpl-mock", "fine"},
                {"whole", "chatcmpl-mock", NULL}, /* one object, which names no model there */
                {"a", "msg_mock", "fine"},
                {"l", NULL, "fine"}}; /* Ollama has no ids */
    struct tel *t = tel_new();
    t->keeps = true;
    open_world("[model \"o\"]\nkind = openai\nurl = %s/v1\nmodel = fine\n"
               "[model \"whole\"]\nkind = openai\nurl = %s/v1\nmodel = whole=1\n"
               "[model \"a\"]\nkind = anthropic\nurl = %s/v1\nmodel = fine\nkey = env:HOME\n"
               "[model \"l\"]\nkind = ollama\nurl = %s\nmodel = fine\n");
    gw_set_telemetry(w.g, t, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *span = span_of_call(rows[i].model, t);
        bool has_id = strstr(span, "gen_ai.response.id") != NULL;
        if (has_id != (rows[i].id != NULL) ||
            (rows[i].id && !tells(span, "gen_ai.response.id", rows[i].id)) ||
            (rows[i].served && !tells(span, "gen_ai.response.model", rows[i].served)))
            fail_msg("%s: %s", rows[i].model, span);
        free(span);
    }
    gw_set_telemetry(w.g, NULL, false);
    close_world();
    tel_free(t);
}

static void foreign_names_are_names(void **state)
{
    (void)state;
    static const struct {
        const char *id, *kept;
    } rows[] = {{"chatcmpl-8a/b:c_1", "chatcmpl-8a/b:c_1"},
                {"", ""},
                {"two words", ""},
                {"ключ", ""},
                {"a\tb", ""},
                {"\x1b[31m", ""}};
    char longest[GW__NAME_MAX + 1];
    memset(longest, 'x', sizeof longest);
    longest[GW__NAME_MAX] = '\0';
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        bool last = i == sizeof rows / sizeof *rows;
        struct gw__try *t = xcalloc(1, sizeof *t);
        json_t *answer = json_object();
        json_puts(answer, "id", last ? longest : rows[i].id);
        json_puti(answer, "model", 7);
        gw__told_response(t, answer);
        assert_string_equal(t->response_id, last ? "" : rows[i].kept);
        assert_string_equal(t->response_model, "");
        json_puts(answer, "id", "another");
        gw__told_response(t, answer); /* the first one stays */
        assert_string_equal(t->response_id, last || !*rows[i].kept ? "another" : rows[i].kept);
        json_decref(answer);
        free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_say_which_they_are),
        cmocka_unit_test(foreign_names_are_names),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
