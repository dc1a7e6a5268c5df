/* What foreign tools print, as statements that stand alone. */
#include "backend/base/buf.h"
#include "backend/gateway/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void join(void *arg, const char *text, size_t len, const char *raw, size_t raw_len)
{
    assert_true(raw_len > 0 && raw != NULL);
    buf_addf(arg, "%.*s\n", (int)len, text);
}

static void statements_are(const char *text, const char *want)
{
    struct buf got = {0};
    gw__statements(text, strlen(text), join, &got);
    assert_string_equal(got.data ? got.data : "", want);
    buf_release(&got);
}

static void rows_have_the_names_of_their_columns(void **state)
{
    (void)state;
    statements_are("Filesystem      Size  Used Avail Use% Mounted on\n"
                   "/dev/vda1        50G   48G  1.1G  98% /\n",
                   "Filesystem: /dev/vda1, Size: 50G, Used: 48G, Avail: 1.1G, Use%: 98%, "
                   "Mounted on: /\n");
    statements_are("NAME      READY   STATUS             RESTARTS       AGE\n"
                   "web-7f9   0/1     CrashLoopBackOff   12 (3m ago)    5h\n"
                   "db-0      1/1     Running            -              9d\n"
                   "\n2 rows\n",
                   "NAME: web-7f9, READY: 0/1, STATUS: CrashLoopBackOff, RESTARTS: 12 (3m ago), "
                   "AGE: 5h\nNAME: db-0, READY: 1/1, STATUS: Running, AGE: 9d\n2 rows\n");
    statements_are(" pid | state  | query\n-----+--------+-------\n 411 | active | SELECT 1\n",
                   "pid: 411, state: active, query: SELECT 1\n");
    statements_are("| host | full |\n|------|------|\n| a-1  | 97%  |\n", "host: a-1, full: 97%\n");
    statements_are("PID USER COMMAND\n  7 root sshd: -D [listener] 0 of 10\n",
                   "PID: 7, USER: root, COMMAND: sshd: -D [listener] 0 of 10\n");
}

static void what_is_no_table_stays_as_it_is(void **state)
{
    (void)state;
    statements_are("Everything Is Fine\nNothing To Do\n", "Everything Is Fine\nNothing To Do\n");
    statements_are("web 12\ndb 9\n", "web 12\ndb 9\n");
    statements_are("2026-03-02 10:00 ERROR no route\n----\n", "2026-03-02 10:00 ERROR no route\n");
    statements_are("Time Level Message\n10:03:21 importer cannot write\n",
                   "Time Level Message\n10:03:21 importer cannot write\n");
    statements_are("", "");
}

static void fields_take_those_below_them(void **state)
{
    (void)state;
    statements_are("Name:   web-7f9\n"
                   "Containers:\n"
                   "  app:\n"
                   "    Last State:   Terminated\n"
                   "      Reason:     OOMKilled\n"
                   "      Exit Code:  137\n"
                   "    Limits:\n"
                   "      memory:  256Mi\n"
                   "Events:\n"
                   "  Type     Reason   Message\n"
                   "  ----     ------   -------\n"
                   "  Warning  BackOff  restarting failed container\n",
                   "Name:   web-7f9\n"
                   "Last State:   Terminated, Reason:     OOMKilled, Exit Code:  137\n"
                   "Limits: memory:  256Mi\n"
                   "Type: Warning, Reason: BackOff, Message: restarting failed container\n");
}

static void a_list_of_its_own_is_not_told_by_halves(void **state)
{
    (void)state;
    statements_are("app:\n  Image:  a\n  Port:   80\n  Host:   h\n  Ready:  no\n",
                   "Image:  a\nPort:   80\nHost:   h\nReady:  no\n");
}

static void trouble_is_what_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        bool trouble;
    } CASES[] = {{"pod exited with exit code 137", true},
                 {"2026-03-02T10:00:01Z INFO retrying is disabled, no error", false},
                 {"level=info msg=\"0 errors\"", false},
                 {"FATAL cannot open /data", true},
                 {"errors: 0", false},
                 {"used 97%", true}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if ((gw__trouble(CASES[i].line, strlen(CASES[i].line)) > 0) != CASES[i].trouble)
            fail_msg("%s", CASES[i].line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_the_names_of_their_columns),
        cmocka_unit_test(what_is_no_table_stays_as_it_is),
        cmocka_unit_test(fields_take_those_below_them),
        cmocka_unit_test(a_list_of_its_own_is_not_told_by_halves),
        cmocka_unit_test(trouble_is_what_says_so),
    };
    return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
