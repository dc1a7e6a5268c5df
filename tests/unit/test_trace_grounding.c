/* What the arbitration pane says of an answer's grounds: what nothing supports, and what disagrees.
 */
#include "backend/base/json.h"
#include "tui/tui.h"
#include "views/trace_claims.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char TRACE[] =
    "{\"grounding\": {\"assessed\": 5, \"supported\": 4, \"contradicted\": 1, \"sentences\": "
    "[{\"text\": "
    "\"It is up.\", \"state\": \"contradicted\"}], \"conflicts\": ["
    "{\"text\": \"a1\", \"with\": \"a2\", \"against\": \"2\", \"model\": \"\", \"stands\": "
    "\"there\"},"
    "{\"text\": \"b1\", \"with\": \"b2\", \"against\": \"3\", \"model\": \"\", \"stands\": "
    "\"here\"},"
    "{\"text\": \"c1\", \"with\": \"c2\", \"against\": \"4\", \"model\": \"\", \"stands\": \"\"},"
    "{\"text\": \"d1\", \"with\": \"d2\", \"against\": \"\", \"model\": \"bob\", \"stands\": \"\"},"
    "{\"text\": \"e1\", \"with\": \"e2\", \"against\": \"\", \"model\": \"\", \"stands\": \"\"}]}}";

static void conflicts_say_who_stands(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"of 5 sentences",
                                        "a source says otherwise",
                                        "[2] is the better source",
                                        "it stands against [3]",
                                        "sources disagree: [4]",
                                        "models disagree: bob",
                                        "the answer contradicts itself"};
    struct error e = {0};
    json_t *trace = json_read(TRACE, strlen(TRACE), 4096, 8, &e);
    struct tui_text *t = tui_text_new();
    trace_grounding_text(t, trace);
    char *plain = tui_text_plain(t), *at = plain;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        at = strstr(at, WORDS[i]);
        if (!at)
            fail_msg("%s is not behind the others in\n%s", WORDS[i], plain);
    }
    for (const char *c = "abcde"; *c; c++) {
        char one[] = {*c, '1', '\0'}, other[] = {*c, '2', '\0'};
        assert_true(strstr(plain, one) && strstr(plain, one) < strstr(plain, other));
    }
    free(plain);
    tui_text_free(t);
    json_decref(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(conflicts_say_who_stands)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
