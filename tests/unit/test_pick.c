/* Which tools a question gets, out of a room full of them, in both languages. */
#include "backend/orchestrator/names.h"
#include "backend/orchestrator/pick.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const struct embed_file embed_runbooks[];

struct room {
    struct know *know;
    struct concepts *concepts;
};

#define TOOL(of, called, says)                                                                     \
    {                                                                                              \
        .connector = of, .name = called, .description = says, .level = CONN_READ, .callable = true \
    }
static const struct conn_tool TOOLS[] = {
    TOOL("kube", "getPodStatus", "Phase, restarts and last termination of a pod"),
    TOOL("kube", "getPodLogs", "Output of a pod's containers"),
    TOOL("kube", "list_namespaces", "Namespaces of the cluster"),
    TOOL("kube", "rollout_history", "Revisions of a deployment"),
    TOOL("kube", "horizontal_autoscalers", "Target and current utilisation, replicas"),
    TOOL("ssh-app-1", "df", "File systems: size, used, mount points"),
    TOOL("ssh-app-2", "df", "File systems: size, used, mount points"),
    TOOL("ssh-app-3", "df", "File systems: size, used, mount points"),
    TOOL("pg-main", "activity", "Sessions and their transactions"),
    TOOL("pg-main", "lock_waits", "Who waits for whom"),
    TOOL("pg-main", "replicas", "How far each standby is behind"),
    TOOL("edge", "x509", "Subject, issuer and last day of what the front doors present"),
    TOOL("metrics", "percentiles", "p50, p95 and p99 by route and hour"),
    TOOL("ci", "deployments", "What was rolled out when, and by whom"),
    TOOL("bank", "invoices", "Bills of the provider by month"),
    TOOL("office", "printers", "Toner of the printers"),
};
enum { TOOLS_COUNT = sizeof TOOLS / sizeof *TOOLS, MOST = 4 };

static size_t pick(const struct room *r, const struct pick_for *by, struct pick out[MOST])
{
    struct pick_tool tools[TOOLS_COUNT] = {{0}};
    for (size_t i = 0; i < TOOLS_COUNT; i++)
        tools[i].as = &TOOLS[i];
    return pick_tools(r->know, r->concepts, by, tools, TOOLS_COUNT, MOST, out);
}

static bool has(const struct pick *picks, size_t n, const char *tool)
{
    for (size_t i = 0; i < n; i++) {
        const struct conn_tool *t = &TOOLS[picks[i].tool];
        char *name = xasprintf("%s/%s", t->connector, t->name);
        bool same = strcmp(name, tool) == 0;
        free(name);
        if (same)
            return true;
    }
    return false;
}

static void missed(const char *question, const char *tool, const struct pick *picks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        print_message("%s/%s %.2f: %.2f, %.2f, %.2f\n", TOOLS[picks[i].tool].connector,
                      TOOLS[picks[i].tool].name, picks[i].total, picks[i].fit[0], picks[i].fit[1],
                      picks[i].concept);
    fail_msg("%s: no %s", question, tool);
}

static void looks_where_one_looks(void **state)
{
    static const struct {
        const char *question, *tools[2], *not ;
    } CASES[] = {
        {"why does the payments pod crash?",
         {"kube/getPodStatus", "kube/getPodLogs"},
         "bank/invoices"},
        {"почему падает под payments?",
         {"kube/getPodStatus", "kube/getPodLogs"},
         "office/printers"},
        {"requests hang, waiting for the database",
         {"pg-main/lock_waits", "pg-main/activity"},
         "edge/x509"},
        {"запросы к базе висят", {"pg-main/lock_waits", "pg-main/activity"}, "edge/x509"},
        {"is the certificate about to expire?", {"edge/x509"}, "ssh-app-1/df"},
        {"не протух ли сертификат?", {"edge/x509"}, "bank/invoices"},
        {"checkout got slower today, what changed?",
         {"metrics/percentiles", "ci/deployments"},
         "office/printers"},
        {"оформление стало медленнее, что изменилось?",
         {"metrics/percentiles", "ci/deployments"},
         "office/printers"},
        {"does the autoscaler still add replicas?", {"kube/horizontal_autoscalers"}, "edge/x509"},
        {"почему вырос счёт за облако?", {"bank/invoices"}, "kube/getPodLogs"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct pick picks[MOST];
        size_t n = pick(*state, &(struct pick_for){.question = CASES[i].question}, picks);
        for (size_t j = 0; j < 2 && CASES[i].tools[j]; j++)
            if (!has(picks, n, CASES[i].tools[j]))
                missed(CASES[i].question, CASES[i].tools[j], picks, n);
        if (has(picks, n, CASES[i].not ))
            fail_msg("%s: %s", CASES[i].question, CASES[i].not );
    }
}

static void takes_the_host_that_is_named_and_not_three_alike(void **state)
{
    struct pick picks[MOST];
    size_t n = pick(*state, &(struct pick_for){.question = "is the disk of app-2 full?"}, picks);
    assert_true(n > 0 && has(picks, 1, "ssh-app-2/df"));
    assert_false(has(picks, n, "ssh-app-1/df") || has(picks, n, "ssh-app-3/df"));
}

static void takes_nothing_for_what_is_not_of_operations(void **state)
{
    static const char *const QUESTIONS[] = {"what does a ticket to Oslo cost?",
                                            "who wrote that novel about whales",
                                            "сколько стоит билет на поезд до Твери?", "bananas"};
    struct pick picks[MOST];
    for (size_t i = 0; i < sizeof QUESTIONS / sizeof *QUESTIONS; i++)
        assert_int_equal(pick(*state, &(struct pick_for){.question = QUESTIONS[i]}, picks), 0);
}

static void a_recording_that_was_made_of_the_thing_is_taken(void **state)
{
    const struct room *r = *state;
    struct pick picks[1];
    struct pick_tool tools[2] = {{.as = &TOOLS[1]}, {.as = &TOOLS[1]}};
    json_t *other = json_object(), *asked = json_object();
    json_puts(other, "pod", "cart-5d9c-x1");
    json_puts(asked, "pod", "payments-7f9c-k2");
    tools[0].arguments = other;
    tools[1].arguments = asked;
    assert_int_equal(pick_tools(r->know, r->concepts,
                                &(struct pick_for){.question = "errors in the payments-7f9c pod?"},
                                tools, 2, 1, picks),
                     1);
    assert_int_equal(picks[0].tool, 1);
    json_decref(other);
    json_decref(asked);
}

/* A lock that the first answers name leads to the sessions of the database that they name. */
static void looks_further_by_what_was_found(void **state)
{
    const struct room *r = *state;
    struct pick_tool tools[TOOLS_COUNT] = {{0}};
    struct pick first[2], more[2];
    struct pick_for by = {.question = "requests time out, waiting for a connection of the pool"};
    for (size_t i = 0; i < TOOLS_COUNT; i++)
        tools[i].as = &TOOLS[i];
    assert_int_equal(pick_tools(r->know, r->concepts, &by, tools, TOOLS_COUNT, 1, first), 1);
    tools[first[0].tool].taken = true;
    by.clues = "all is well\n";
    assert_int_equal(pick_tools(r->know, r->concepts, &by, tools, TOOLS_COUNT, 2, more), 0);
    by.clues = "main: sessions blocked by the lock of pid 20388\n";
    size_t n = pick_tools(r->know, r->concepts, &by, tools, TOOLS_COUNT, 2, more);
    assert_true(n > 0 && !has(more, n, "office/printers") && !has(more, n, "edge/x509"));
    for (size_t i = 0; i < n; i++)
        assert_string_equal(TOOLS[more[i].tool].connector, "pg-main");
}

static void join(void *arg, const char *s, size_t len)
{
    buf_addf(arg, "%.*s ", (int)len, s);
}

static void words_and_names_are_told_apart(void **state)
{
    (void)state;
    struct buf words = {0}, names = {0};
    concepts_words("getPodLogs OOMKilled Ёлка p95", join, &words);
    assert_string_equal(words.data, "getpodlogs get pod logs oomkilled oom killed елка p95 ");
    names_in("is web-03 (10.0.0.7) at 14:02 on 2026-03-02 full? see https://x.org/a, /var/log: 98% "
             "CrashLoop 3x nginx",
             join, &names);
    assert_string_equal(names.data, "web-03 10.0.0.7 /var/log CrashLoop ");
    assert_true(name_stands("orders", 6, "pg-orders/activity"));
    assert_true(name_stands("WEB", 3, "web-7f9c"));
    assert_false(name_stands("web-0", 5, "web-03"));
    assert_false(name_stands("order", 5, "orders"));
    buf_release(&words);
    buf_release(&names);
}

static int make(void **state)
{
    struct room *r = xcalloc(1, sizeof *r);
    r->know = know_new(embed_runbooks, "", NULL, NULL);
    r->concepts = concepts_new();
    *state = r;
    return 0;
}

static int drop(void **state)
{
    struct room *r = *state;
    know_free(r->know);
    concepts_free(r->concepts);
    free(r);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks_where_one_looks),
        cmocka_unit_test(takes_the_host_that_is_named_and_not_three_alike),
        cmocka_unit_test(takes_nothing_for_what_is_not_of_operations),
        cmocka_unit_test(a_recording_that_was_made_of_the_thing_is_taken),
        cmocka_unit_test(looks_further_by_what_was_found),
        cmocka_unit_test(words_and_names_are_told_apart),
    };
    return cmocka_run_group_tests_name("pick", tests, make, drop);
}
