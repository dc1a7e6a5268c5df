/* Themes: the built-in ones are whole; mistakes are named with file, line and role. */
#include "backend/base/embed.h"
#include "tui/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const roles[] = {
#define ROLE(id, help) #id,
#include "tui/roles.def"
#undef ROLE
};

/* A whole theme in which one role's line is another, or (NULL) is missing. */
static char *theme_with(const char *role, const char *line)
{
    struct buf b = {0};
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        bool other = role && !strcmp(roles[i], role);
        if (other && line)
            buf_addf(&b, "%s\n", line);
        else if (!other)
            buf_addf(&b, "%s = 250 16 | white black | bold # a comment\n", roles[i]);
    }
    return buf_take(&b);
}

static void expect_error(const char *role, const char *line, const char *part)
{
    struct tui__theme t = {0};
    struct error e = {0};
    char *text = theme_with(role, line);
    assert_int_equal(tui__theme_parse("my.theme", text, strlen(text), &t, &e), ERR_CONFIG);
    if (!strstr(e.detail, part))
        fail_msg("`%s` does not say `%s`", e.detail, part);
    assert_non_null(strstr(e.detail, "my.theme"));
    free(text);
}

static void builtin_ones(void **state)
{
    static const char *const names[] = {"dark", "light", "high-contrast", "mono"};
    (void)state;
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tui__theme t;
        struct error e = {0};
        if (tui__theme_load(names[i], &t, &e))
            fail_msg("%s", e.detail);
        assert_string_equal(tui__theme_next(names[i]), names[(i + 1) % 4]);
    }
}

static void parts(void **state)
{
    struct tui__theme t = {0};
    struct error e = {0};
    char *text = theme_with("OK", "OK = 114 - bold | green - | underline");
    (void)state;
    assert_int_equal(tui__theme_parse("my.theme", text, strlen(text), &t, &e), ERR_OK);
    assert_int_equal(t.roles[ROLE_OK][DEPTH_256].fg, 114);
    assert_int_equal(t.roles[ROLE_OK][DEPTH_256].bg, 16); /* TEXT's */
    assert_int_equal(t.roles[ROLE_OK][DEPTH_256].attrs, A_BOLD);
    assert_int_equal(t.roles[ROLE_OK][DEPTH_8].fg, COLOR_GREEN);
    assert_int_equal(t.roles[ROLE_OK][DEPTH_NONE].attrs, A_UNDERLINE);
    free(text);
}

static void mistakes(void **state)
{
    (void)state;
    expect_error("WARN", NULL, "WARN is missing");
    expect_error("WARN", "WARM = 1 2 | red black |", "nearest is WARN");
    expect_error("WARN", "WARN = 256 2 | red black |", "256");
    expect_error("WARN", "WARN = 1 2 | 9 black |", "`9`");
    expect_error("WARN", "WARN = 1 2 blink | red black |", "`blink`");
    expect_error("WARN", "WARN = 1 | red black |", "two colours");
    expect_error("WARN", "WARN = 1 2", "three parts");
    expect_error("WARN", "WARN 1 2 | red black |", "`=`");
    expect_error("TEXT", NULL, "TEXT");
    expect_error("WARN", "WARN = 1 2 blink | red black |", ":11:");
}

static void unknown(void **state)
{
    struct tui__theme t;
    struct error e = {0};
    (void)state;
    assert_int_equal(tui__theme_load("nope", &t, &e), ERR_CONFIG);
    assert_non_null(strstr(e.detail, "dark"));
    assert_int_equal(tui__theme_load("../dark", &t, &e), ERR_CONFIG);
    assert_int_equal(tui__theme_load("", &t, &e), ERR_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(builtin_ones), cmocka_unit_test(parts),
                                       cmocka_unit_test(mistakes), cmocka_unit_test(unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
