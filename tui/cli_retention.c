/* `mcp-console retention status|run|erase|hold|holds|release|acts`. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG_MS = 24 * 3600 * 1000 };

/* ---- arguments */

static bool take_range(struct cli_retention *r, const char *text)
{
    char *end;
    errno = 0;
    r->first = strtoll(text, &end, 10);
    if (end == text || *end != '-' || r->first < 0)
        return false;
    const char *second = end + 1;
    r->last = strtoll(second, &end, 10);
    return *second >= '0' && *second <= '9' && !*end && errno == 0 && r->last >= r->first;
}

static const char *take_option(struct cli *c, int option)
{
    struct cli_retention *r = &c->retention;
    switch (option) {
    case 'j':
        c->json = true;
        return NULL;
    case 't':
        r->trace = optarg;
        return NULL;
    case 's':
        r->session = optarg;
        return NULL;
    case 'u':
        r->subject = optarg;
        return NULL;
    case 'r':
        r->ranged = true;
        return take_range(r, optarg) ? NULL : "it takes two numbers of entries, as 10-20";
    case 'a':
        r->all = true;
        return NULL;
    case 'R':
        r->reason = optarg;
        return NULL;
    case 'b':
        r->basis = optarg;
        return NULL;
    case 'n':
        r->dry_run = true;
        return NULL;
    case 'y':
        r->yes = true;
        return NULL;
    default:
        r->confirm_clock = true;
        return NULL;
    }
}

static int check(struct cli *c, int words, char **word)
{
    const struct cli_retention *r = &c->retention;
    bool erase = strcmp(c->action, "erase") == 0, hold = strcmp(c->action, "hold") == 0,
         run = strcmp(c->action, "run") == 0, release = strcmp(c->action, "release") == 0;
    int scopes = (r->trace != NULL) + (r->session != NULL) + (r->subject != NULL) + r->ranged;
    bool named = release || strcmp(c->action, "acts") == 0;
    if (words > (named ? 2 : 1) || (release && words != 2))
        return cli__usage(c, release ? "release takes the id of a hold" : "too many words");
    c->text = words == 2 ? word[1] : NULL;
    if ((erase && (scopes != 1 || r->all)) || (hold && scopes + r->all != 1))
        return cli__usage(
            c, erase ? "erase takes one of --subject, --trace, --session, --range"
                     : "hold takes one of --subject, --trace, --session, --range, --all");
    if (!erase && !hold && (scopes || r->all))
        return cli__usage(c, "that option is for erase and hold");
    if ((erase || hold || release) != (r->reason != NULL))
        return cli__usage(c, r->reason ? "--reason is for erase, hold and release"
                                       : "--reason is missing: it stays in the log");
    if ((r->yes && !erase) || (r->basis && !erase) || (r->dry_run && !erase && !run) ||
        (r->confirm_clock && !run))
        return cli__usage(c, "that option is for another action");
    return EXIT_DONE;
}

int cli__retention_options(struct cli *c, int argc, char **argv)
{
    static const struct option OPTIONS[] = {{"json", no_argument, NULL, 'j'},
                                            {"trace", required_argument, NULL, 't'},
                                            {"session", required_argument, NULL, 's'},
                                            {"subject", required_argument, NULL, 'u'},
                                            {"range", required_argument, NULL, 'r'},
                                            {"all", no_argument, NULL, 'a'},
                                            {"reason", required_argument, NULL, 'R'},
                                            {"basis", required_argument, NULL, 'b'},
                                            {"dry-run", no_argument, NULL, 'n'},
                                            {"yes", no_argument, NULL, 'y'},
                                            {"confirm-clock", no_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static const char *const ACTIONS[] = {"status", "run",     "erase", "hold",
                                          "holds",  "release", "acts"};
    int status = cli__options(c, argc, argv, OPTIONS, take_option);
    if (status != EXIT_DONE)
        return status;
    c->action = optind < argc ? argv[optind] : "";
    for (size_t i = 0; i < sizeof ACTIONS / sizeof *ACTIONS; i++)
        if (strcmp(c->action, ACTIONS[i]) == 0)
            return check(c, argc - optind, argv + optind);
    return cli__usage(c, "the actions are status, run, erase, hold, holds, release and acts");
}

/* ---- printing */

static void put_line(const char *name, const char *text)
{
    cli__cell(name, 14);
    cli__put(text, false);
    putchar('\n');
}

static int print_status(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_retention_status, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        const json_t *clock = json_object_get(answer, "clock"),
                     *acts = json_object_get(answer, "acts");
        json_array_foreach(json_object_get(answer, "classes"), i, row)
        {
            long long days = json_int(row, "days", 0);
            cli__cell(json_str(row, "class", ""), 14);
            if (days)
                printf("%lld days, ", days);
            else
                printf("for ever, ");
            cli__put(json_str(row, "oldest", ""), false);
            puts(*json_str(row, "oldest", "") ? " is the oldest" : "none is stored");
        }
        printf("personal data %lld days, if that is shorter\n",
               (long long)json_int(answer, "personal_days", 0));
        cli__cell("job", 14);
        printf("%s%s, last run ",
               *json_str(answer, "daily_at", "") ? "daily at " : "on demand only",
               json_str(answer, "daily_at", ""));
        cli__put(json_str(answer, "last_run", "never"), false);
        puts(json_flag(answer, "overdue", false) ? ", overdue" : "");
        if (*json_str(answer, "error", ""))
            put_line("last error", json_str(answer, "error", ""));
        if (!json_flag(clock, "trusted", true))
            printf("clock         %lld days ahead: nothing is erased until it is confirmed\n",
                   (long long)json_int(clock, "days_ahead", 0));
        printf("holds         %lld in force\n", (long long)json_int(answer, "holds", 0));
        printf("acts          %lld drafted, %lld with empty fields, in ",
               (long long)json_int(acts, "drafted", 0), (long long)json_int(acts, "incomplete", 0));
        cli__put(json_str(acts, "folder", ""), false);
        putchar('\n');
    }
    json_decref(answer);
    return status;
}

static void print_counts(const char *what, const json_t *counts)
{
    const char *name;
    json_t *n;
    cli__cell(what, 14);
    json_object_foreach((json_t *)counts, name, n)
    {
        cli__put(name, false);
        printf(" %lld  ", (long long)json_integer_value(n));
    }
    putchar('\n');
}

static void print_report(const json_t *report)
{
    bool dry = json_flag(report, "dry_run", false);
    const json_t *held = json_object_get(report, "held");
    printf("%lld payloads %s erased, %lld bytes\n", (long long)json_int(report, "erased", 0),
           dry ? "would be" : "were", (long long)json_int(report, "bytes", 0));
    if (json_int(report, "erased", 0)) {
        print_counts("classes", json_object_get(report, "classes"));
        print_counts("personal data", json_object_get(report, "tags"));
    }
    if (json_int(held, "count", 0))
        print_counts("held back by", json_object_get(held, "holds"));
    if (json_int(report, "governance", 0))
        printf("%lld payloads of the log's own keeping stay\n",
               (long long)json_int(report, "governance", 0));
    if (json_int(report, "under_way", 0))
        printf("%lld payloads belong to an answer under way and stay: try again later\n",
               (long long)json_int(report, "under_way", 0));
    if (json_int(report, "damaged", 0))
        printf("%lld payloads are not as they were logged and stay as evidence: see `evidence "
               "verify`\n",
               (long long)json_int(report, "damaged", 0));
    if (json_int(report, "unreadable", 0))
        printf("%lld payloads could not be opened: whether they mention the subject is not known\n",
               (long long)json_int(report, "unreadable", 0));
    if (!dry && json_int(report, "erased", 0)) {
        put_line("act", json_str(report, "act", ""));
        if (json_array_size(json_object_get(report, "missing")))
            printf("%14s%zu fields of the act are empty: set [operator] or fill them in\n", "",
                   json_array_size(json_object_get(report, "missing")));
        puts(json_flag(report, "scrubbed", false)
                 ? "their keys are destroyed and their bytes are gone from the database's files"
                 : "their keys are destroyed; the files are cleaned later, somebody was reading");
    }
}

static int run_job(struct cli *c, struct busc *bus)
{
    struct error e = {0};
    json_t *params = json_object();
    json_put(params, "dry_run", json_boolean(c->retention.dry_run));
    json_put(params, "confirm_clock", json_boolean(c->retention.confirm_clock));
    json_t *report = busc_wait(bus, WIRE_retention_run, params, LONG_MS, &e);
    if (!report)
        return cli_error(&e);
    if (c->json)
        cli__print_json(report);
    else
        print_report(report);
    json_decref(report);
    return EXIT_DONE;
}

/* ---- erase */

static json_t *scope_params(const struct cli_retention *r)
{
    json_t *params = json_object();
    if (r->trace)
        json_puts(params, "trace", r->trace);
    if (r->session)
        json_puts(params, "session", r->session);
    if (r->subject)
        json_puts(params, "subject", r->subject);
    if (r->ranged) {
        json_puti(params, "first", r->first);
        json_puti(params, "last", r->last);
    }
    if (r->all)
        json_put(params, "all", json_true());
    json_puts(params, "reason", r->reason);
    if (r->basis)
        json_puts(params, "basis", r->basis);
    return params;
}

static void print_list(const json_t *report)
{
    json_t *row;
    size_t i;
    printf("%8s  %-24s  %-16s %s\n", "SEQ", "TIME", "TYPE", "TRACE");
    json_array_foreach(json_object_get(report, "list"), i, row)
    {
        printf("%8lld  ", (long long)json_int(row, "seq", -1));
        cli__cell(json_str(row, "at", ""), 26);
        cli__cell(json_str(row, "type", ""), 17);
        cli__put(json_str(row, "trace_id", ""), false);
        putchar('\n');
    }
    if ((int64_t)i < json_int(report, "erased", 0))
        printf("and %lld more\n", (long long)json_int(report, "erased", 0) - (long long)i);
}

/* Asked once, with no as the default. */
static bool agreed(int64_t count)
{
    char answer[16] = "";
    printf("Erase %lld payloads? They cannot be brought back. [y/N] ", (long long)count);
    fflush(stdout);
    if (!fgets(answer, sizeof answer, stdin))
        return false;
    return *answer == 'y' || *answer == 'Y';
}

static json_t *call_erase(struct cli *c, struct busc *bus, bool dry_run, int *status)
{
    struct error e = {0};
    json_t *params = scope_params(&c->retention);
    json_put(params, "dry_run", json_boolean(dry_run));
    json_t *report = busc_wait(bus, WIRE_retention_erase, params, LONG_MS, &e);
    if (!report)
        *status = cli_error(&e);
    return report;
}

/* Shows what would go and asks; true if it is to go. */
static bool confirm(struct cli *c, struct busc *bus, int *status)
{
    json_t *plan = call_erase(c, bus, true, status);
    if (!plan)
        return false;
    int64_t count = json_int(plan, "erased", 0);
    bool asks = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO), go = c->retention.yes && count;
    if (c->json && (c->retention.dry_run || !count)) {
        cli__print_json(plan);
    } else if (!c->json) {
        if (count)
            print_list(plan);
        print_report(plan);
    }
    json_decref(plan);
    if (c->retention.dry_run || !count || go)
        return go && !c->retention.dry_run;
    if (asks)
        return agreed(count);
    cli_complain("nothing was erased: say --yes where nobody can be asked");
    *status = EXIT_USAGE;
    return false;
}

static int erase(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    if (!confirm(c, bus, &status))
        return status;
    json_t *report = call_erase(c, bus, false, &status), *text;
    size_t i;
    if (report && c->json) {
        cli__print_json(report);
    } else if (report) {
        print_report(report);
        json_array_foreach(json_object_get(report, "deadlines"), i, text)
        {
            printf("%s", i ? "              " : "152-FZ        ");
            cli__put(json_string_value(text), false);
            putchar('\n');
        }
    }
    json_decref(report);
    return status;
}

/* ---- holds, acts */

static int set_hold(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_retention_hold, scope_params(&c->retention), &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        put_line("hold", json_str(answer, "id", ""));
    json_decref(answer);
    return status;
}

static int release(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "id", c->text);
    json_puts(params, "reason", c->retention.reason);
    json_t *answer = cli__call(bus, WIRE_retention_release, params, &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        put_line("released", json_str(answer, "id", ""));
    json_decref(answer);
    return status;
}

static int list_holds(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_retention_holds, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(json_object_get(answer, "holds"));
    } else if (answer) {
        printf("%-14s%-10s%-26s%-9s%s\n", "HOLD", "STATE", "SET", "ON", "WHAT, WHY");
        json_array_foreach(json_object_get(answer, "holds"), i, row)
        {
            bool over = json_is_integer(json_object_get(row, "released"));
            cli__cell(json_str(row, "id", ""), 14);
            cli__cell(over ? "released" : "in force", 10);
            cli__cell(json_str(row, "at", ""), 26);
            cli__cell(json_str(row, "kind", ""), 9);
            cli__put(json_str(row, "value", ""), false);
            fputs(*json_str(row, "value", "") ? ": " : "", stdout);
            cli__put(json_str(row, "reason", ""), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

static int acts(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object(), *row;
    size_t i;
    if (c->text)
        json_puts(params, "id", c->text);
    json_t *answer = cli__call(bus, WIRE_retention_acts, params, &status);
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer && c->text) {
        const char *text = json_str(answer, "text", NULL);
        cli__put(text ? text : "its files are gone: three years are over, or somebody took them\n",
                 true);
    } else if (answer) {
        printf("%-18s%-26s%-10s%s\n", "ACT", "TIME", "BY", "STATE");
        json_array_foreach(json_object_get(answer, "acts"), i, row)
        {
            const json_t *done = json_object_get(row, "done");
            cli__cell(json_str(row, "act", ""), 18);
            cli__cell(json_str(row, "at", ""), 26);
            cli__cell(json_str(row, "kind", ""), 10);
            if (json_is_integer(done))
                printf("logged as entry %lld\n", (long long)json_integer_value(done));
            else
                puts("not finished");
        }
    }
    json_decref(answer);
    return status;
}

int cli__retention(struct cli *c, struct busc *bus)
{
    static const struct {
        const char *name;
        int (*run)(struct cli *c, struct busc *bus);
    } actions[] = {
        {"status", print_status}, {"run", run_job},     {"erase", erase}, {"hold", set_hold},
        {"holds", list_holds},    {"release", release}, {"acts", acts}};
    for (size_t i = 0;; i++)
        if (strcmp(c->action, actions[i].name) == 0)
            return actions[i].run(c, bus);
}
