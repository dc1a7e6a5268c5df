/* What is read without a tree is what the tree holds: every event that the quick way takes,
 * whatever was done to it, is valid JSON with the same text and with nothing that an adapter looks
 * for. */
#include "backend/base/json.h"
#include "backend/gateway/quick.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct sample {
    const struct gw__quick *table;
    const char *json, *text; /* text NULL: the long way */
};

#define CHUNK(delta, rest)                                                               \
    "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":17,\"model\":\"m\"," \
    "\"choices\":[{\"index\":0,\"delta\":" delta rest "}]}"

static const struct sample samples[] = {
    {gw__quick_openai, CHUNK("{\"content\":\"disk\"}", ",\"finish_reason\":null"), "disk"},
    {gw__quick_openai,
     CHUNK("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", ",\"logprobs\":null"), ""},
    {gw__quick_openai, CHUNK("{\"content\":\"\\u0434\\u0438\\n\\\"\\/\"}", ""), "ди\n\"/"},
    {gw__quick_openai, CHUNK("{\"content\":\"диск\"}", ""), "диск"},
    {gw__quick_openai, CHUNK("{\"content\":null}", ""), ""},
    {gw__quick_openai, " { \"choices\" : [ { \"delta\" : { \"content\" : \"a\" } } ] } ", "a"},
    {gw__quick_openai, CHUNK("{\"content\":\"a\",\"tool_calls\":[]}", ",\"index\":1"),
     NULL}, /* a member twice */
    {gw__quick_openai, CHUNK("{\"content\":\"a\",\"content\":\"b\"}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"a\"}", ",\"finish_reason\":\"stop\""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"a\",\"reasoning_content\":\"b\"}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"a\",\"tool_calls\":[{\"index\":0}]}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":7}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"\\ud83d\\ude00\"}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"\\u0000\"}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"a\x01\"}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"\xff\"}", ""), NULL},
    {gw__quick_openai, CHUNK("{}", ""), NULL},
    {gw__quick_openai, CHUNK("{\"content\":\"a\"}", "") "x", NULL},
    {gw__quick_openai, "{\"choices\":[],\"usage\":{\"prompt_tokens\":1}}", NULL},
    {gw__quick_openai,
     "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":1}}", NULL},
    {gw__quick_openai, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"error\":\"no\"}", NULL},
    {gw__quick_openai, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"message\":\"no\"}", NULL},
    {gw__quick_openai,
     "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"created\":99999999999999999999}", NULL},
    {gw__quick_openai, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"created\":1e999}", NULL},
    {gw__quick_openai, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"created\":01}", NULL},
    {gw__quick_openai,
     "{\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}", NULL},
    {gw__quick_openai, "[DONE]", NULL},
    {gw__quick_openai, "", NULL},
    {gw__quick_ollama,
     "{\"model\":\"m\",\"created_at\":\"t\",\"message\":{\"role\":\"assistant\",\"content\":\"a "
     "b\"},\"done\":false}",
     "a b"},
    {gw__quick_ollama, "{\"message\":{\"content\":\"a\"},\"done\":true}", NULL},
    {gw__quick_ollama, "{\"message\":{\"content\":\"a\"}}", NULL},
    {gw__quick_ollama, "{\"message\":{\"content\":\"a\",\"thinking\":\"b\"},\"done\":false}", NULL},
    {gw__quick_ollama, "{\"error\":\"no\"}", NULL},
    {gw__quick_anthropic,
     "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":"
     "\"a\"}}",
     "a"},
    {gw__quick_anthropic,
     "{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"thinking_delta\","
     "\"text\":\"a\"}}",
     NULL},
    {gw__quick_anthropic, "{\"type\":\"message_stop\"}", NULL},
};
enum { SAMPLES = sizeof samples / sizeof *samples };

/* What the long way finds: the text, or NULL if it is no such event. */
static const char *by_tree(const struct gw__quick *table, const json_t *root)
{
    const json_t *part =
        table == gw__quick_ollama ? json_object_get(root, "message")
        : table == gw__quick_anthropic
            ? json_object_get(root, "delta")
            : json_object_get(json_array_get(json_object_get(root, "choices"), 0), "delta");
    return json_str(part, table == gw__quick_anthropic ? "text" : "content", "");
}

/* Reads both ways; the quick text as a string of its own, or NULL. */
static char *both(const struct gw__quick *table, const char *json, size_t size)
{
    struct buf own = {0};
    const char *text;
    size_t len;
    char *copy = xcalloc(size + 1, 1),
         *out = NULL; /* without a NUL behind it a read too far is found */
    memcpy(copy, json, size);
    char *exact = xrealloc(copy, size ? size : 1);
    if (gw__quick_read(table, exact, size, &own, &text, &len)) {
        out = xstrndup(text, len);
        assert_int_equal(strlen(out), len);
        struct error e = {0};
        json_t *root = json_read(exact, size, 1 << 20, 32, &e);
        if (!root)
            fail_msg("%.*s: %s", (int)size, json, e.detail);
        assert_string_equal(out, by_tree(table, root));
        const json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
        assert_string_equal(json_str(choice, "finish_reason", ""), "");
        assert_false(json_is_object(json_object_get(root, "usage")));
        assert_int_equal(
            json_array_size(json_object_get(json_object_get(choice, "delta"), "tool_calls")), 0);
        assert_string_equal(json_str(json_object_get(choice, "delta"), "reasoning_content", ""),
                            "");
        assert_false(json_flag(root, "done", false));
        json_decref(root);
    }
    free(exact);
    buf_release(&own);
    return out;
}

static void what_is_taken_is_what_the_tree_holds(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        char *text = both(samples[i].table, samples[i].json, strlen(samples[i].json));
        if (!text != !samples[i].text)
            fail_msg("%s: %s", samples[i].json, text ? "taken" : "refused");
        if (text)
            assert_string_equal(text, samples[i].text);
        free(text);
    }
}

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Every sample cut at every place, and changed at random: bytes replaced, removed, repeated. */
static void no_change_deceives_it(void **state)
{
    (void)state;
    static const char bytes[] = "{}[]\",:\\u0nte 1-.\x80\xd0";
    uint64_t x = 88172645463325252u;
    size_t taken = 0;
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t size = strlen(samples[i].json);
        for (size_t cut = 0; cut < size; cut++) {
            char *text = both(samples[i].table, samples[i].json, cut);
            assert_true(!text || samples[i].json[cut] == ' ' || samples[i].json[cut] == 'x');
            free(text);
        }
        for (int round = 0; round < 4000; round++) {
            char changed[1024];
            size_t n = size;
            memcpy(changed, samples[i].json, size);
            for (uint64_t edits = 1 + next(&x) % 3; edits && n > 2 && n < 1000; edits--) {
                size_t at = next(&x) % n, len = 1 + next(&x) % 12;
                uint64_t kind = next(&x) % 3;
                if (kind == 0) {
                    changed[at] = bytes[next(&x) % (sizeof bytes - 1)];
                } else if (kind == 1 && at + len < n) {
                    memmove(changed + at, changed + at + len, n - at - len);
                    n -= len;
                } else if (at + len < n) {
                    memmove(changed + at + len, changed + at, n - at);
                    n += len;
                }
            }
            char *text = both(samples[i].table, changed, n);
            taken += text != NULL;
            free(text);
        }
    }
    assert_in_range(taken, 1000, SAMPLES * 4000); /* else nothing was compared */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_taken_is_what_the_tree_holds),
        cmocka_unit_test(no_change_deceives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
