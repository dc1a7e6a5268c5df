/* say.c: sentences as data, in English, in another language, and of forms that nobody makes. */
#include "backend/base/say.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *translated(const char *text)
{
    if (strcmp(text, "%s has the higher composite, %s against %s") == 0)
        return "%2$s > %3$s: %1$s";
    if (strcmp(text, "unsafe: %s") == 0)
        return "небезопасно: %s";
    return strcmp(text, "safe") == 0 ? "безопасно" : text;
}

static void as_text(void **state)
{
    (void)state;
    struct buf ru = {0};
    json_t *name = say(NULL, SAY_TEXT, "s", "a/100%s");
    json_t *words = say(NULL, SAY_HIGHER, "lss", name, "0.82", "0.74");
    words = say(words, SAY_AGREE, "ff", 0.184, 0.35);
    words = say(words, SAY_OF, "sl", "guard", say(NULL, SAY_SAFE, ""));
    words = say(words, SAY_UNSAFE_FOR, "t", "safe");
    words = say(words, SAY_VOTED, "nn", (size_t)2, (size_t)3);
    char *english = say_english(words);
    assert_string_equal(english, "a/100%s has the higher composite, 0.82 against 0.74; the answers "
                                 "agree (D 0.18, threshold 0.35); guard: safe; unsafe: safe; "
                                 "2 of 3 agree");
    assert_true(say_text(words, translated, &ru));
    assert_string_equal(ru.data, "0.82 > 0.74: a/100%s; the answers agree (D 0.18, threshold "
                                 "0.35); guard: безопасно; небезопасно: безопасно; 2 of 3 agree");
    json_t *holder = json_object();
    say_put(holder, "note", words);
    assert_string_equal(json_str(holder, "note", ""), english);
    assert_int_equal(json_array_size(json_object_get(holder, "note_words")), 5);
    json_decref(holder);
    buf_release(&ru);
    free(english);
}

/* What a newer backend, or a hostile one, may send: then the text beside it counts. */
static void other_forms(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "null",
        "[]",
        "{}",
        "[1]",
        "[{\"code\": \"NEWER\", \"values\": []}]",
        "[{\"code\": \"VOTED\", \"values\": [1]}]",
        "[{\"code\": \"VOTED\", \"values\": [1, \"x\"]}]",
        "[{\"code\": \"VOTED\"}]",
        "[{\"code\": \"OF\", \"values\": [\"a\", 3]}]",
        "[{\"code\": \"TEXT\", \"values\": [[{\"code\": \"TEXT\", \"values\": [[{\"code\": "
        "\"TEXT\", \"values\": [[{\"code\": \"TEXT\", \"values\": [[{\"code\": \"SAFE\"}]]}]]}]]}]]"
        "}]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf out = {0};
        json_t *sentences = json_loads(wrong[i], JSON_DECODE_ANY, NULL);
        assert_non_null(sentences);
        buf_adds(&out, "x");
        assert_false(say_text(sentences, NULL, &out));
        assert_string_equal(out.data, "x");
        json_decref(sentences);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_text), cmocka_unit_test(other_forms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
