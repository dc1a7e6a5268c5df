/* conf.h: what is read, and how mistakes are named. */
#include "backend/base/buf.h"
#include "backend/base/conf.h"
#include "backend/base/embed.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/test-conf-XXXXXX";
static char file[64];

static void write_conf(const char *text, size_t len)
{
    FILE *f = fopen(file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
}

static struct conf *load(const char *text)
{
    struct error e = {0};
    write_conf(text, strlen(text));
    struct conf *c = conf_load(file, &e);
    if (!c)
        fail_msg("%s", e.detail);
    return c;
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof file, "%s/t.conf", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static void defaults_come_from_the_table(void **state)
{
    (void)state;
    struct conf *c = conf_load(NULL, NULL);
    assert_non_null(c);
    assert_string_equal(conf_path(c), "");
    assert_string_equal(conf_str(c, "console", "", "role"), "operator");
    assert_int_equal(conf_int(c, "copilot", "", "time_limit_ms"), 20000);
    assert_true(conf_num(c, "arbitration", "", "divergence_threshold") == 0.35);
    assert_true(conf_flag(c, "console", "", "mouse"));
    assert_string_equal(conf_where(c, "console", "", "role"), "default");
    assert_string_equal(conf_str(c, "model", "nobody", "region"), "");
    assert_string_equal(conf_str(c, "model", "nobody", "kind"), "");
    assert_int_equal(conf_names(c, "model", NULL, 0), 0);
    conf_free(c);
    conf_free(NULL);
}

static void values_keep_their_line(void **state)
{
    (void)state;
    struct conf *c = load("\xef\xbb\xbf# comment\n; another\n\n[console]\r\n"
                          "role = reviewer   ; a reason\n"
                          "  environment =  prod-ru1  \n"
                          "\tmouse=off\n"
                          "[model \"local\"] ; here\n"
                          "kind: ollama\n"
                          "url = http://127.0.0.1:11434/a;b#c\n"
                          "[arbitration]\nw_safety = 0.25\n"
                          "[model \"second/x\"]\nkind=builtin\nkey = env:MY_KEY\ncontext = 4096");
    char where[100];
    assert_string_equal(conf_str(c, "console", "", "role"), "reviewer");
    snprintf(where, sizeof where, "%s:5", file);
    assert_string_equal(conf_where(c, "console", "", "role"), where);
    assert_string_equal(conf_str(c, "console", "", "environment"), "prod-ru1");
    assert_false(conf_flag(c, "console", "", "mouse"));
    assert_string_equal(conf_str(c, "model", "local", "kind"), "ollama");
    assert_string_equal(conf_str(c, "model", "local", "url"), "http://127.0.0.1:11434/a;b#c");
    assert_true(conf_num(c, "arbitration", "", "w_safety") == 0.25);
    assert_string_equal(conf_str(c, "model", "second/x", "key"), "env:MY_KEY");
    assert_int_equal(conf_int(c, "model", "second/x", "context"), 4096);
    snprintf(where, sizeof where, "%s:16", file);
    assert_string_equal(conf_where(c, "model", "second/x", "context"), where);
    const char *names[1];
    assert_int_equal(conf_names(c, "model", names, 1), 2);
    assert_string_equal(names[0], "local");
    conf_free(c);
}

/* Text of a file and what its problem must say after "FILE:". */
static const struct {
    const char *text, *problem;
} mistakes[] = {
    {"[model \"local\"]\nkind = ollama\nmodle = x\n",
     "3: unknown key \"modle\" in [model \"local\"]; did you mean \"model\"?"},
    {"[console]\nquite_unlike = x\n", "2: unknown key \"quite_unlike\" in [console]"},
    {"\n[konsole]\n", "2: unknown section [konsole]; did you mean [console]?"},
    {"[zzzzzzzzzz]\n", "1: unknown section [zzzzzzzzzz]"},
    {"[console]\nrole = admin\n",
     "2: role = admin must be one of operator|reviewer|demo, in [console]"},
    {"[console]\nrole = operator|reviewer\n",
     "2: role = operator|reviewer must be one of operator|reviewer|demo, in [console]"},
    {"[console]\nrole =\n", "2: role =  must be one of operator|reviewer|demo, in [console]"},
    {"[console]\nmouse = maybe\n", "2: mouse = maybe must be yes or no, in [console]"},
    {"[copilot]\ntime_limit_ms = 20s\n",
     "2: time_limit_ms = 20s must be a whole number from 100 to 3600000, in [copilot]"},
    {"[copilot]\ntime_limit_ms = 99999999999999999999\n",
     "2: time_limit_ms = 99999999999999999999 must be a whole number from 100 to 3600000, in "
     "[copilot]"},
    {"[copilot]\npassages = -1\n",
     "2: passages = -1 must be a whole number from 0 to 64, in [copilot]"},
    {"[copilot]\npassages =\n", "2: passages =  must be a whole number from 0 to 64, in [copilot]"},
    {"[arbitration]\nw_safety = 0,3\n",
     "2: w_safety = 0,3 must be a number from 0 to 1, in [arbitration]"},
    {"[arbitration]\nw_safety = nan\n",
     "2: w_safety = nan must be a number from 0 to 1, in [arbitration]"},
    {"[arbitration]\nw_safety = 1.5\n",
     "2: w_safety = 1.5 must be a number from 0 to 1, in [arbitration]"},
    {"[model \"a\"]\nurl = x\n", "1: [model \"a\"] needs kind = ..."},
    {"[model \"a\"]\n", "1: [model \"a\"] needs kind = ..."},
    {"[model \"a\"]\nkind=builtin\n[model \"a\"]\n",
     "3: [model \"a\"] is there twice, first in line 1"},
    {"[console]\n[console]\n", "2: [console] is there twice, first in line 1"},
    {"[console]\ntheme=dark\ntheme=light\n", "3: theme is there twice in [console]"},
    {"[model]\n", "1: [model] needs a name: [model \"name\"]"},
    {"[console \"x\"]\n", "1: [console] takes no name: [console]"},
    {"theme = dark\n", "1: theme stands before the first [section]"},
    {"[console]\njust words\n", "2: neither a comment, a [section] nor key = value"},
    {"[console\n", "1: a section is [kind] or [kind \"name\"]"},
    {"[console] theme = dark\n", "1: a section is [kind] or [kind \"name\"]"},
    {"[model \"\"]\n", "1: a section is [kind] or [kind \"name\"]"},
    {"[model \"a b\"]\n", "1: a section is [kind] or [kind \"name\"]"},
    {"[model \"a]\n", "1: a section is [kind] or [kind \"name\"]"},
    {"[model \"0123456789012345678901234567890123456789\"]\n",
     "1: a section is [kind] or [kind \"name\"]"},
    {"[console]\ntheme = \x1b[31m\n", "2: a control character (byte 0x1B)"},
    {"[model \"a\"]\nkind=openai\nurl=https://u:pw@host/\n",
     "3: url holds a literal secret before the @"},
    {"[connector \"a\"]\nkind=mcp-stdio\nenv = TOKEN=abc\n",
     "3: env takes names of variables, or NAME=secret:X, never their values"},
    {"[connector \"a\"]\nkind=mcp-stdio\nenv = A B=secret:x C=secret:../y\n",
     "3: env takes names of variables, or NAME=secret:X, never their values"},
};

static void mistakes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct error e = {0};
        char want[400];
        write_conf(mistakes[i].text, strlen(mistakes[i].text));
        assert_null(conf_load(file, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        int n = snprintf(want, sizeof want, "%s:%s", file, mistakes[i].problem);
        if (strncmp(e.detail, want, (size_t)n) != 0)
            fail_msg("want \"%s\", got \"%s\"", want, e.detail);
    }
}

static void secrets_are_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const keys[] = {"sk-1234567890", "env:", "env:1X", "env:A B", "MY_KEY"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[200];
        struct error e = {0};
        int n = snprintf(text, sizeof text, "[model \"a\"]\nkind = openai\nkey = %s\n", keys[i]);
        write_conf(text, (size_t)n);
        assert_null(conf_load(file, &e));
        assert_non_null(strstr(e.detail, ":3: key holds a literal secret"));
        assert_null(strstr(e.detail, "1234567890"));
    }
}

static void long_lines_are_refused_not_cut(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "[connector \"a\"]\nkind = mcp-stdio\ncommand = ");
    for (int i = 0; i < 4000; i++)
        buf_addc(&b, 'x');
    struct conf *c = load(b.data);
    assert_int_equal(strlen(conf_str(c, "connector", "a", "command")), 4000);
    conf_free(c);
    for (int i = 0; i < 5000; i++)
        buf_addc(&b, 'y');
    struct error e = {0};
    write_conf(b.data, b.len);
    assert_null(conf_load(file, &e));
    assert_non_null(strstr(e.detail, ":3: the line is longer than"));
    buf_clear(&b);
    buf_add(&b, "[console]\nthe\0me", 16);
    write_conf(b.data, b.len);
    e = (struct error){0};
    assert_null(conf_load(file, &e));
    assert_non_null(strstr(e.detail, ":2: a control character (byte 0x00)"));
    buf_clear(&b);
    for (int i = 0; i < (1 << 20) / 16 + 1; i++)
        buf_adds(&b, "# 3456789012345\n");
    write_conf(b.data, b.len);
    e = (struct error){0};
    assert_null(conf_load(file, &e));
    assert_non_null(strstr(e.detail, "the file is larger"));
    buf_release(&b);
}

static void missing_files_and_folders(void **state)
{
    (void)state;
    struct error e = {0};
    assert_null(conf_load("/nonexistent/x.conf", &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    e = (struct error){0};
    assert_null(conf_load(folder, &e));
    assert_int_equal(e.code, ERR_IO);
}

static void the_shipped_file_is_right(void **state)
{
    (void)state;
    struct conf *c = load(embed_conf[0].data);
    assert_string_equal(conf_str(c, "connector", "host", "region"), "local");
    conf_free(c);
}

static void the_environment_wins(void **state)
{
    (void)state;
    setenv("MCP_CONSOLE_CONSOLE_THEME", "light", 1);
    setenv("MCP_CONSOLE_COPILOT_MAX_TOOLS", "2", 1);
    setenv("MCP_CONSOLE_CONSOLE_CURRENCY", "", 1);
    setenv("MCP_CONSOLE_MODEL_REGION", "US", 1);
    struct conf *c = load("[console]\ntheme = mono\n[model \"a\"]\nkind = builtin\n");
    assert_string_equal(conf_str(c, "console", "", "theme"), "light");
    assert_string_equal(conf_where(c, "console", "", "theme"), "MCP_CONSOLE_CONSOLE_THEME");
    assert_int_equal(conf_int(c, "copilot", "", "max_tools"), 2);
    assert_string_equal(conf_str(c, "console", "", "currency"), "RUB");
    assert_string_equal(conf_str(c, "model", "a", "region"), "");
    conf_free(c);
    setenv("MCP_CONSOLE_CONSOLE_ROLE", "root", 1);
    struct error e = {0};
    assert_null(conf_load(NULL, &e));
    assert_string_equal(
        e.detail, "MCP_CONSOLE_CONSOLE_ROLE: role = root must be one of operator|reviewer|demo");
    unsetenv("MCP_CONSOLE_CONSOLE_THEME");
    unsetenv("MCP_CONSOLE_COPILOT_MAX_TOOLS");
    unsetenv("MCP_CONSOLE_CONSOLE_CURRENCY");
    unsetenv("MCP_CONSOLE_MODEL_REGION");
    unsetenv("MCP_CONSOLE_CONSOLE_ROLE");
}

static void folders_follow_xdg(void **state)
{
    (void)state;
    struct error e = {0};
    setenv("XDG_CONFIG_HOME", folder, 1);
    char *dir = conf_dir();
    assert_non_null(strstr(dir, folder));
    free(dir);
    char *found = conf_find("named.conf");
    assert_string_equal(found, "named.conf");
    free(found);
    setenv("XDG_CONFIG_HOME", "relative", 1);
    setenv("HOME", "/home/nobody-here", 1);
    dir = conf_dir();
    assert_string_equal(dir, "/home/nobody-here/.config/mcp-console");
    free(dir);
    char *deep = xasprintf("%s/a/b/state//", folder);
    char *made = conf_state_dir(deep, &e);
    assert_non_null(made);
    struct stat st;
    assert_int_equal(stat(made, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(made[strlen(made) - 1], 'e');
    char *again = conf_state_dir(made, &e);
    assert_string_equal(again, made);
    write_conf("", 0);
    assert_null(conf_state_dir(file, &e));
    assert_int_equal(e.code, ERR_IO);
    char *below = xasprintf("%s/x", file);
    assert_null(conf_state_dir(below, &e));
    rmdir(made);
    char *parent = xasprintf("%s/a/b", folder);
    rmdir(parent);
    parent[strlen(parent) - 2] = '\0';
    rmdir(parent);
    free(parent);
    free(below);
    free(again);
    free(made);
    free(deep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(values_keep_their_line),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(secrets_are_refused_and_not_repeated),
        cmocka_unit_test(long_lines_are_refused_not_cut),
        cmocka_unit_test(missing_files_and_folders),
        cmocka_unit_test(the_shipped_file_is_right),
        cmocka_unit_test(the_environment_wins),
        cmocka_unit_test(folders_follow_xdg),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
