/* `mcp-console connectors`: list, check, tools, call, restart, enable, disable, trust, login. */
#include "tui/cli_internal.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOGIN_MS = 10 * 60000, PASTE_MS = 200, CHECK_MS = 6000, POLL_MS = 50 };

static const struct action {
    const char *name;
    int least, most; /* words behind it */
    enum wire_method method;
} ACTIONS[] = {
    {"list", 0, 0, WIRE_connectors_list},       {"check", 0, 1, WIRE_connectors_check},
    {"tools", 0, 1, WIRE_connectors_get},       {"call", 2, 3, WIRE_tools_call},
    {"restart", 1, 1, WIRE_connectors_restart}, {"enable", 1, 1, WIRE_connectors_enable},
    {"disable", 1, 1, WIRE_connectors_disable}, {"trust", 1, 2, WIRE_connectors_trust},
    {"drift", 1, 1, WIRE_connectors_drift},     {"login", 1, 1, WIRE_connectors_login},
    {"logout", 1, 1, WIRE_connectors_logout},
};
enum { ACTION_TOTAL = sizeof ACTIONS / sizeof *ACTIONS };

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; i < ACTION_TOTAL; i++)
        if (strcmp(ACTIONS[i].name, name) == 0)
            return &ACTIONS[i];
    return NULL;
}

const char *cli__connectors_words(struct cli *c, int argc, char **argv)
{
    static char *alone[] = {"list"};
    if (argc == 0)
        argc = 1, argv = alone;
    c->action = argv[0];
    const struct action *a = find_action(c->action);
    if (!a)
        return "the actions are list, check, tools, call, restart, enable, disable, trust, drift, "
               "login and logout";
    if (argc - 1 < a->least)
        return a->least == 2 ? "it takes a connector, a tool and its arguments as JSON"
                             : "it takes a connector's name";
    if (argc - 1 > a->most)
        return "too many words";
    c->connector = argc > 1 ? argv[1] : NULL;
    c->tool = argc > 2 ? argv[2] : NULL;
    c->text = argc > 3 ? argv[3] : "{}";
    return NULL;
}

/* ---- list ---- */

static void put_row(const json_t *row)
{
    char latency[32] = "-", tools[32];
    if (json_is_number(json_object_get(row, "latency_ms")))
        snprintf(latency, sizeof latency, "%.1f ms", json_num(row, "latency_ms", 0));
    snprintf(tools, sizeof tools, "%lld", (long long)json_int(row, "tools", 0));
    cli__cell(json_str(row, "state", ""), 11);
    cli__cell(json_str(row, "name", ""), 20);
    putchar(' ');
    cli__cell(json_str(row, "kind", ""), 12);
    putchar(' ');
    cli__cell(tools, -6);
    putchar(' ');
    cli__cell(latency, -10);
    putchar(' ');
    cli__cell(json_str(row, "level", ""), 11);
    const char *certificate = json_str(row, "cert_state", "");
    if (strcmp(certificate, "soon") == 0)
        printf("(certificate: %lld days left) ", (long long)json_int(row, "cert_days_left", 0));
    if (strcmp(certificate, "expired") == 0)
        printf("(certificate: expired) ");
    cli__put(json_str(row, "last_error", ""), false);
    putchar('\n');
}

static void put_rows(const struct cli *c, const json_t *rows)
{
    const json_t *row;
    size_t i;
    if (c->json) {
        cli__print_json(rows);
        return;
    }
    printf("%-10s %-20s %-12s %6s %10s %-10s %s\n", "STATE", "NAME", "KIND", "TOOLS", "LATENCY",
           "LEVEL", "LAST ERROR");
    json_array_foreach(rows, i, row) put_row(row);
}

/* The rows, of one connector alone if it is named; NULL after the error was printed. */
static json_t *fetch(struct cli *c, struct busc *bus, int *status)
{
    json_t *answer = cli__call(bus, WIRE_connectors_list, NULL, status), *row;
    if (!answer)
        return NULL;
    json_t *rows = json_array();
    size_t i;
    json_array_foreach(json_object_get(answer, "connectors"), i, row)
    {
        if (!c->connector || strcmp(json_str(row, "name", ""), c->connector) == 0)
            json_array_append(rows, row);
    }
    json_decref(answer);
    if (c->connector && !json_array_size(rows)) {
        json_decref(rows);
        cli_complain("no connector is named \"%s\"", c->connector);
        *status = EXIT_USAGE;
        return NULL;
    }
    return rows;
}

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *rows = fetch(c, bus, &status);
    if (rows)
        put_rows(c, rows);
    json_decref(rows);
    return status;
}

/* ---- check: asks each, and waits until it has answered or failed ---- */

static int64_t checked_at(const json_t *row)
{
    int64_t good = json_int(row, "last_success_at", 0), bad = json_int(row, "last_error_at", 0);
    return good > bad ? good : bad;
}

static bool waits(const json_t *before, const json_t *now)
{
    const char *state = json_str(now, "state", "");
    return strcmp(state, "disabled") != 0 && checked_at(now) <= checked_at(before);
}

static int check(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *before = fetch(c, bus, &status), *rows = NULL;
    size_t i, n = json_array_size(before);
    for (i = 0; i < n; i++) {
        json_t *params = json_object();
        json_puts(params, "name", json_str(json_array_get(before, i), "name", ""));
        json_decref(busc_wait(bus, WIRE_connectors_check, params, CHECK_MS, NULL));
    }
    uint64_t until = clock_mono_ms() + CHECK_MS;
    for (bool again = before != NULL; again;) {
        json_decref(rows);
        rows = fetch(c, bus, &status);
        again = false;
        for (i = 0; rows && i < n; i++)
            again |= waits(json_array_get(before, i), json_array_get(rows, i));
        if (!rows || clock_mono_ms() > until)
            break;
        if (again)
            usleep(POLL_MS * 1000);
    }
    for (i = 0; i < json_array_size(rows); i++) {
        const char *state = json_str(json_array_get(rows, i), "state", "");
        if (strcmp(state, "ok") != 0 && strcmp(state, "disabled") != 0)
            status = EXIT_FAILED;
    }
    if (rows)
        put_rows(c, rows);
    json_decref(before);
    json_decref(rows);
    return status;
}

/* ---- tools ---- */

static void add_tools(json_t *out, const json_t *connector)
{
    static const char *const copied[] = {"name",         "qualified", "title",
                                         "input_schema", "pinned",    "steers"};
    const json_t *tool;
    size_t i;
    json_array_foreach(json_object_get(connector, "tools"), i, tool)
    {
        json_t *row = json_object();
        json_puts(row, "connector", json_str(connector, "name", ""));
        for (size_t k = 0; k < sizeof copied / sizeof *copied; k++) {
            json_t *value = json_object_get(tool, copied[k]);
            if (value)
                json_put(row, copied[k], json_incref(value));
        }
        json_puts(
            row, "level",
            json_str(tool, "level", json_flag(tool, "read_only", false) ? "read" : "execute"));
        json_array_append_new(out, row);
    }
}

static void put_tools(const json_t *tools)
{
    const json_t *row;
    size_t i;
    printf("%-20s %-32s %-9s %s\n", "CONNECTOR", "TOOL", "LEVEL", "TITLE");
    json_array_foreach(tools, i, row)
    {
        cli__cell(json_str(row, "connector", ""), 20);
        putchar(' ');
        cli__cell(json_str(row, "name", ""), 32);
        putchar(' ');
        cli__cell(json_str(row, "level", ""), 10);
        cli__put(json_str(row, "title", ""), false);
        if (*json_str(row, "steers", ""))
            printf("  (its words try to steer a model: %s)", json_str(row, "steers", ""));
        putchar('\n');
    }
}

static int tools(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *rows = fetch(c, bus, &status), *out = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        json_t *params = json_object();
        json_puts(params, "name", json_str(row, "name", ""));
        json_t *one = cli__call(bus, WIRE_connectors_get, params, &status);
        add_tools(out, one);
        json_decref(one);
        const char *state = json_str(row, "state", "");
        if (strcmp(state, "ok") != 0 && strcmp(state, "disabled") != 0)
            fprintf(stderr, "mcp-console: connector %s is %s\n", json_str(row, "name", ""), state);
    }
    if (rows && c->json)
        cli__print_json(out);
    else if (rows)
        put_tools(out);
    json_decref(rows);
    json_decref(out);
    return status;
}

/* ---- call ---- */

static int call(struct cli *c, struct busc *bus)
{
    json_error_t bad;
    struct error e = {0};
    json_t *arguments = json_loads(c->text, JSON_REJECT_DUPLICATES, &bad);
    if (!json_is_object(arguments)) {
        json_decref(arguments);
        cli_complain("the arguments are no JSON object%s%s", *bad.text ? ": " : "", bad.text);
        return EXIT_USAGE;
    }
    json_t *params = json_object();
    json_puts(params, "connector", c->connector);
    json_puts(params, "tool", c->tool);
    json_put(params, "arguments", arguments);
    json_t *answer = busc_wait(bus, WIRE_tools_call, params, c->timeout_ms, &e);
    if (!answer)
        return cli_error(&e);
    int status = json_flag(answer, "ok", false) ? EXIT_DONE : EXIT_FAILED;
    if (c->json) {
        cli__print_json(answer);
    } else {
        cli__put(json_str(answer, "text", ""), true);
        putchar('\n');
    }
    json_decref(answer);
    return status;
}

/* ---- login: shows the address, takes what is pasted, or waits for the browser ---- */

static bool signs_in(struct cli *c, struct busc *bus, int *status)
{
    json_t *rows = fetch(c, bus, status);
    const char *state = json_str(json_array_get(rows, 0), "state", "fail");
    bool waits = strcmp(state, "sign-in") == 0 || strcmp(state, "starting") == 0;
    json_decref(rows);
    return waits;
}

/* What came back, from standard input; NULL: nothing yet. */
static char *pasted(bool *open)
{
    struct pollfd in = {STDIN_FILENO, POLLIN, 0};
    char line[8192];
    if (!*open || poll(&in, 1, PASTE_MS) < 1)
        return NULL;
    if (!fgets(line, sizeof line, stdin)) {
        *open = false;
        return NULL;
    }
    line[strcspn(line, "\r\n")] = 0;
    return *line ? xstrdup(line) : NULL;
}

static int login_end(struct cli *c, struct busc *bus)
{
    uint64_t until = clock_mono_ms() + LOGIN_MS;
    bool open = true;
    int status = EXIT_DONE;
    while (signs_in(c, bus, &status) && status == EXIT_DONE) {
        char *code = pasted(&open);
        if (code) {
            json_t *params = json_object();
            json_puts(params, "name", c->connector);
            json_puts(params, "code", code);
            json_decref(cli__call(bus, WIRE_connectors_login, params, &status));
            free(code);
        } else if (!open) {
            usleep(PASTE_MS * 1000);
        }
        if (clock_mono_ms() > until || busc_interrupted(bus)) {
            cli_complain("nobody signed in");
            return EXIT_FAILED;
        }
    }
    return status;
}

static int login(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "name", c->connector);
    json_t *answer = cli__call(bus, WIRE_connectors_login, params, &status);
    if (!answer)
        return status;
    if (c->json) {
        cli__print_json(answer);
    } else if (!json_flag(answer, "done", false)) {
        puts("Open this address in a browser on any machine:\n");
        cli__put(json_str(answer, "url", ""), false);
        if (*json_str(answer, "user_code", "")) {
            fputs("\n\nThe code to type there: ", stdout);
            cli__put(json_str(answer, "user_code", ""), false);
        }
        puts("\n\nThen paste the code, or the address that the browser ended at, and press Enter."
             "\nNothing is needed if the browser runs on this machine.");
    }
    fflush(stdout);
    if (!json_flag(answer, "done", false))
        status = login_end(c, bus);
    if (status == EXIT_DONE && !c->json)
        printf("signed in to %s\n", c->connector);
    json_decref(answer);
    return status;
}

/* ---- drift and trust ---- */

static void put_drift(const json_t *answer)
{
    const json_t *tool;
    size_t i;
    json_array_foreach(json_object_get(answer, "tools"), i, tool)
    {
        cli__put(json_str(tool, "tool", ""), false);
        printf("  %s\n", json_str(tool, "pin", ""));
        cli__put(json_str(tool, "difference", ""), true);
        putchar('\n');
    }
}

static int drift(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "name", c->connector);
    json_t *answer = cli__call(bus, WIRE_connectors_drift, params, &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        put_drift(answer);
    json_decref(answer);
    return status;
}

static int trust(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "name", c->connector);
    if (c->tool)
        json_puts(params, "tool", c->tool);
    json_t *answer = cli__call(bus, WIRE_connectors_trust, params, &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        printf("%lld definitions are trusted as they are now\n",
               (long long)json_int(answer, "tools", 0));
    json_decref(answer);
    return status;
}

/* ---- the rest: one method with the name ---- */

static int simple(struct cli *c, struct busc *bus, const struct action *a)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "name", c->connector);
    json_t *answer = cli__call(bus, a->method, params, &status);
    if (answer && c->json)
        cli__print_json(answer);
    json_decref(answer);
    return status;
}

int cli__connectors(struct cli *c, struct busc *bus)
{
    const struct action *a = find_action(c->action);
    cli__wait_settled(bus, c->timeout_ms);
    switch (a->method) {
    case WIRE_connectors_list:
        return list(c, bus);
    case WIRE_connectors_check:
        return check(c, bus);
    case WIRE_connectors_get:
        return tools(c, bus);
    case WIRE_tools_call:
        return call(c, bus);
    case WIRE_connectors_drift:
        return drift(c, bus);
    case WIRE_connectors_trust:
        return trust(c, bus);
    case WIRE_connectors_login:
        return login(c, bus);
    default:
        return simple(c, bus, a);
    }
}
