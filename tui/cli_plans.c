/* `mcp-console plans ...` and `mcp-console kill on|off|status`. */
#include "backend/base/conf.h"
#include "tui/cli_internal.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SETTLE_MS = 5000,
    POLL_US = 50000,
    PREVIEW_MS = 5000,
    KILL_TEXT = 1024,
    CALL_LONG_MS = 30000,
    LIFT_MS = 10000
};

/* ---- arguments */

static const char *take_option(struct cli *c, int option)
{
    switch (option) {
    case 'j':
        c->json = true;
        return NULL;
    case 'r':
        c->plans.reason = optarg;
        return *optarg ? NULL : "it takes a text that is not empty";
    case 'n':
        c->plans.name = optarg;
        return NULL;
    case 'p':
        c->plans.person = optarg;
        return NULL;
    case 's':
        c->plans.signature = optarg;
        return NULL;
    default:
        return cli__whole(optarg, 1, INT64_MAX, &c->plans.step) ? NULL
                                                                : "it takes a number from 1 on";
    }
}

static int check_kill(struct cli *c, int words)
{
    bool off = strcmp(c->action, "off") == 0;
    if (words != 1 || (!off && strcmp(c->action, "on") != 0 && strcmp(c->action, "status") != 0))
        return cli__usage(c, "it takes on, off or status");
    if (off && !c->plans.reason)
        return cli__usage(c, "off takes --reason: it stays in the log");
    return EXIT_DONE;
}

static int check_plans(struct cli *c, int words, char **word)
{
    static const char *const ACTIONS[] = {"list",   "show", "statement", "propose", "approve",
                                          "reject", "run",  "stop",      "resolve"};
    size_t at = 0;
    while (at < 9 && strcmp(ACTIONS[at], c->action) != 0)
        at++;
    if (at == 9)
        return cli__usage(c,
                          "the actions are list, show, statement, propose, approve, reject, run, "
                          "stop and resolve");
    bool resolve = at == 8;
    if (words != (at == 0 ? 1 : resolve ? 3 : 2))
        return cli__usage(c, at == 0   ? "too many words"
                             : at == 3 ? "it takes a file with a plan"
                             : resolve
                                 ? "it takes a plan's id, and verify, done, not_done, undo or close"
                                 : "it takes a plan's id");
    c->text = at ? word[1] : NULL;
    c->plans.outcome = resolve ? word[2] : NULL;
    if (at == 5 && !c->plans.reason)
        return cli__usage(c, "reject takes --reason: it stays in the log");
    if (!c->plans.person != !c->plans.signature)
        return cli__usage(c, "--person and --signature stand together");
    return EXIT_DONE;
}

int cli__plans_options(struct cli *c, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"json", no_argument, NULL, 'j'},
                                            {"reason", required_argument, NULL, 'r'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"person", required_argument, NULL, 'p'},
                                            {"signature", required_argument, NULL, 's'},
                                            {"step", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int status = cli__options(c, argc, argv, OPTIONS, take_option);
    if (status != EXIT_DONE)
        return status;
    c->action = optind < argc ? argv[optind] : "";
    return c->command->run == cli__kill ? check_kill(c, argc - optind)
                                        : check_plans(c, argc - optind, argv + optind);
}

/* ---- printing */

static void print_line(const char *name, const char *text)
{
    if (!*text)
        return;
    cli__cell(name, 14);
    cli__put(text, false);
    putchar('\n');
}

static void print_call(const char *name, const json_t *call)
{
    if (!call)
        return;
    char *arguments = json_write(json_object_get(call, "arguments"));
    char *text = xasprintf("%s/%s %s", json_str(call, "connector", ""), json_str(call, "tool", ""),
                           arguments);
    print_line(name, text);
    free(text);
    free(arguments);
}

static void print_step(const json_t *step, size_t at)
{
    char title[64];
    const json_t *verify = json_object_get(step, "verify");
    snprintf(title, sizeof title, "step %zu", at + 1);
    putchar('\n');
    cli__cell(title, 14);
    cli__put(json_str(step, "state", ""), false);
    putchar('\n');
    print_line("  target", json_str(step, "target", ""));
    print_call("  call", step);
    print_line("  expected", json_str(step, "expect", ""));
    print_line("  now", json_str(step, "before", ""));
    print_line("  afterwards", json_str(step, "effect", ""));
    print_call("  verification", verify);
    if (verify) {
        char *check = json_write(json_object_get(verify, "check"));
        print_line("  check", check);
        free(check);
    }
    if (json_object_get(step, "rollback"))
        print_call("  rollback", json_object_get(step, "rollback"));
    else
        print_line("  rollback", "none");
    print_line("  answer", json_str(step, "text", ""));
    print_line("  observed", json_str(step, "observed", ""));
    print_line("  undone", json_str(step, "undo", ""));
}

static void print_plan(const json_t *plan)
{
    const json_t *row;
    size_t i;
    print_line("plan", json_str(plan, "id", ""));
    print_line("hash", json_str(plan, "hash", ""));
    print_line("title", json_str(plan, "title", ""));
    print_line("reason", json_str(plan, "reason", ""));
    print_line("state", json_str(plan, "state", ""));
    print_line("", json_str(plan, "why", ""));
    print_line("risk", json_str(plan, "risk", ""));
    json_array_foreach(json_object_get(plan, "risk_reasons"), i, row)
        print_line("", json_string_value(row));
    cli__cell("approvals", 14);
    printf("%zu of %lld\n", json_array_size(json_object_get(plan, "approvals")),
           (long long)json_int(plan, "needed", 0));
    json_array_foreach(json_object_get(plan, "approvals"), i, row)
        print_line("", json_str(row, "who", ""));
    json_array_foreach(json_object_get(plan, "steps"), i, row) print_step(row, i);
}

static void print_list(const json_t *plans)
{
    const json_t *plan;
    size_t i;
    printf("%-32s %-10s %-8s %s\n", "ID", "STATE", "RISK", "TITLE");
    json_array_foreach((json_t *)plans, i, plan)
    {
        cli__cell(json_str(plan, "id", ""), 33);
        cli__cell(json_str(plan, "state", ""), 11);
        cli__cell(json_str(plan, "risk", ""), 9);
        cli__put(json_str(plan, "title", ""), false);
        putchar('\n');
    }
}

/* ---- plans */

static json_t *plan_get(struct cli *c, struct busc *bus, const char *id, int *status)
{
    (void)c;
    json_t *params = json_object();
    json_puts(params, "id", id);
    return cli__call(bus, WIRE_plans_get, params, status);
}

static bool looks(const json_t *plan)
{
    const json_t *step;
    size_t i;
    json_array_foreach(json_object_get(plan, "steps"), i, step)
    {
        if (json_object_get(step, "preview") && !json_object_get(step, "before"))
            return true;
    }
    return false;
}

/* Waits while it runs, or while it is looked what there is before; takes plan, gives it anew. */
static json_t *settle(struct cli *c, struct busc *bus, json_t *plan, int *status)
{
    uint64_t until = clock_mono_ms() + PREVIEW_MS;
    while (plan && (strcmp(json_str(plan, "state", ""), "running") == 0 ||
                    (looks(plan) && clock_mono_ms() < until))) {
        usleep(POLL_US);
        json_t *next = plan_get(c, bus, json_str(plan, "id", ""), status);
        json_decref(plan);
        plan = next;
    }
    return plan;
}

static json_t *read_plan(struct cli *c, int *status)
{
    struct error e = {0};
    char *text = cli__read_file(c->text, status);
    json_t *plan = text ? json_read(text, strlen(text), 1 << 19, 24, &e) : NULL;
    if (text && !plan)
        *status = cli_error(&e);
    free(text);
    return plan;
}

static json_t *params_of(struct cli *c)
{
    json_t *params = json_object();
    json_puts(params, "id", c->text);
    if (c->plans.name)
        json_puts(params, "name", c->plans.name);
    if (c->plans.reason)
        json_puts(params, "reason", c->plans.reason);
    return params;
}

static json_t *approve(struct cli *c, struct busc *bus, int *status)
{
    json_t *plan = plan_get(c, bus, c->text, status);
    if (!plan)
        return NULL;
    json_t *params = params_of(c);
    json_object_del(params, "reason");
    json_puts(params, "hash", json_str(plan, "hash", ""));
    if (c->plans.person) {
        json_puts(params, "person", c->plans.person);
        json_puts(params, "signature", c->plans.signature);
    }
    json_decref(plan);
    return cli__call(bus, WIRE_plans_approve, params, status);
}

static json_t *act(struct cli *c, struct busc *bus, int *status)
{
    static const struct {
        const char *action;
        enum wire_method method;
    } SIMPLE[] = {{"reject", WIRE_plans_reject},
                  {"run", WIRE_plans_run},
                  {"stop", WIRE_plans_stop},
                  {"resolve", WIRE_plans_resolve}};
    if (strcmp(c->action, "show") == 0 || strcmp(c->action, "statement") == 0)
        return plan_get(c, bus, c->text, status);
    if (strcmp(c->action, "approve") == 0)
        return approve(c, bus, status);
    cli__wait_settled(bus, SETTLE_MS); /* the rest needs the connectors */
    if (strcmp(c->action, "propose") == 0) {
        json_t *plan = read_plan(c, status), *params = plan ? json_object() : NULL;
        if (!plan)
            return NULL;
        json_put(params, "plan", plan);
        json_puts(params, "from", "file");
        if (c->plans.name)
            json_puts(params, "name", c->plans.name);
        return cli__call(bus, WIRE_plans_propose, params, status);
    }
    json_t *params = params_of(c);
    if (c->plans.outcome)
        json_puts(params, "outcome", c->plans.outcome);
    if (c->plans.outcome && c->plans.step)
        json_puti(params, "step", c->plans.step - 1);
    for (size_t i = 0; i < 4; i++)
        if (strcmp(SIMPLE[i].action, c->action) == 0)
            return cli__call(bus, SIMPLE[i].method, params, status);
    json_decref(params);
    return NULL;
}

int cli__plans(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    bool list = strcmp(c->action, "list") == 0;
    json_t *answer = list ? cli__call(bus, WIRE_plans_list, NULL, &status)
                          : settle(c, bus, act(c, bus, &status), &status);
    if (!answer)
        return status ? status : EXIT_FAILED;
    const json_t *shown = list ? json_object_get(answer, "plans") : answer;
    if (strcmp(c->action, "statement") == 0)
        cli__put(json_str(answer, "statement", ""), true);
    else if (c->json)
        cli__print_json(shown);
    else if (list)
        print_list(shown);
    else
        print_plan(shown);
    bool ran = strcmp(c->action, "run") == 0 || c->plans.outcome;
    const char *state = json_str(answer, "state", "");
    if (ran && !list && (strcmp(state, "failed") == 0 || strcmp(state, "unknown") == 0) &&
        !(c->plans.outcome && strcmp(c->plans.outcome, "close") == 0))
        status = EXIT_FAILED;
    json_decref(answer);
    return status;
}

/* ---- the kill switch */

static int print_kill(const struct cli *c, const json_t *status)
{
    bool on = json_flag(status, "on", false);
    if (c->json) {
        cli__print_json(status);
        return EXIT_DONE;
    }
    if (!on) {
        puts("off");
        return EXIT_DONE;
    }
    fputs("on: ", stdout);
    cli__put(json_str(status, "reason", ""), false);
    fputs(" (", stdout);
    cli__put(json_str(status, "by", ""), false);
    puts(")");
    return EXIT_DONE;
}

/* Another console holds the state directory: it is asked by the file KILL.lift, and answers by
 * removing that, after KILL if it lifts. NULL with *e. */
static json_t *ask_to_lift(const struct cli *c, struct error *e)
{
    char *dir = conf_state_dir(c->plans.state, e);
    if (!dir)
        return NULL;
    char *lift = xasprintf("%s/KILL.lift", dir), *path = xasprintf("%s/KILL", dir);
    char *text = xasprintf("%.500s\n", c->plans.reason);
    struct stat st;
    json_t *answer = NULL;
    enum err code = ERR_OK;
    if (lstat(path, &st) == 0)
        code = conf_write_file(dir, "KILL.lift", text, strlen(text), e);
    for (int waited = 0; code == ERR_OK && lstat(lift, &st) == 0; waited++) {
        if (waited * (POLL_US / 1000) >= LIFT_MS) {
            unlink(lift);
            code = err_set(e, ERR_TIMEOUT, "the console that runs does not answer");
        }
        usleep(POLL_US);
    }
    if (code == ERR_OK && lstat(path, &st) == 0)
        code = err_set(e, ERR_DENIED, "the console that runs refuses to lift it");
    if (code == ERR_OK) {
        answer = json_object();
        json_put(answer, "on", json_false());
    }
    free(text);
    free(path);
    free(lift);
    free(dir);
    return answer;
}

int cli__kill(struct cli *c, struct busc *bus)
{
    struct error e = {0};
    bool off = strcmp(c->action, "off") == 0;
    json_t *params = off ? json_object() : NULL;
    if (off)
        json_puts(params, "reason", c->plans.reason);
    json_t *answer =
        busc_wait(bus, off ? WIRE_kill_clear : WIRE_kill_status, params, CALL_LONG_MS, &e);
    if (!answer && !off && e.code == ERR_LOCKED) { /* a console runs, and it keeps the file there */
        answer = json_object();
        json_put(answer, "on", json_false());
    }
    if (!answer && off && e.code == ERR_LOCKED)
        answer = ask_to_lift(c, &e);
    int status = answer ? print_kill(c, answer) : cli_error(&e);
    json_decref(answer);
    return status;
}

/* The file is the switch: it works while a console holds the state directory, and when none runs.
 */
bool cli_kill_file(struct cli *c, const char *state, int *status)
{
    struct error e = {0};
    c->plans.state = state;
    if (c->command->run != cli__kill || strcmp(c->action, "off") == 0)
        return false;
    char *dir = conf_state_dir(state, &e);
    if (!dir) {
        *status = cli_error(&e);
        return true;
    }
    bool on = strcmp(c->action, "on") == 0;
    char *path = xasprintf("%s/KILL", dir);
    if (on && access(path, F_OK) != 0) {
        char *text = xasprintf("%.500s\n", c->plans.reason ? c->plans.reason : "kill on");
        conf_write_file(dir, "KILL", text, strlen(text), &e);
        free(text);
    }
    struct stat st;
    bool there = lstat(path, &st) == 0;
    *status = e.code == ERR_OK ? EXIT_DONE : cli_error(&e);
    if (there && e.code == ERR_OK) {
        json_t *answer = json_object();
        char text[KILL_TEXT + 1] = "";
        FILE *f = S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
        size_t n = f ? fread(text, 1, KILL_TEXT, f) : 0;
        if (f)
            fclose(f);
        while (n && text[n - 1] == '\n')
            n--;
        char *by = xasprintf("uid %lu", (unsigned long)st.st_uid);
        json_put(answer, "on", json_true());
        json_put(answer, "reason", json_text(text, n));
        json_puts(answer, "by", by);
        *status = cli_flush(print_kill(c, answer));
        json_decref(answer);
        free(by);
    }
    free(path);
    free(dir);
    return on || there || e.code != ERR_OK;
}
