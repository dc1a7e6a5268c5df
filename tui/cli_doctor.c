/* `score` and `doctor`: how the console stands to the rules, and what it lacks. */
#include "tui/cli_internal.h"
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { CALL_MS = 30000 };

int cli__score(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    /* "the chain verifies" is a control: verify now, so that it is not left open */
    json_t *wait = json_object();
    json_put(wait, "wait", json_true());
    json_decref(busc_wait(bus, WIRE_evidence_verify, wait, CALL_MS, NULL));
    json_t *answer = cli__call(bus, WIRE_score_get, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        const json_t *counts = json_object_get(answer, "counts");
        printf("%lld of 100: %lld pass, %lld warn, %lld fail, %lld not assessed\n\n",
               (long long)json_int(answer, "score", 0), (long long)json_int(counts, "pass", 0),
               (long long)json_int(counts, "warn", 0), (long long)json_int(counts, "fail", 0),
               (long long)json_int(counts, "not_assessed", 0));
        json_array_foreach(json_object_get(answer, "controls"), i, row)
        {
            cli__cell(json_str(row, "status", ""), 14);
            cli__cell(json_str(row, "title", ""), 44);
            putchar(' ');
            cli__put(json_str(row, "law", ""), false);
            printf("\n%14s", "");
            cli__put(json_str(row, "reason", ""), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

/* ---- doctor */

static void add_check(json_t *checks, const char *name, bool ok, const char *text, const char *hint)
{
    json_t *check = json_object();
    json_puts(check, "name", name);
    json_puts(check, "status", ok ? "ok" : "warn");
    json_puts(check, "text", text);
    json_puts(check, "hint", ok ? "" : hint);
    json_array_append_new(checks, check);
}

static void check_terminal(json_t *checks)
{
    const char *term = getenv("TERM"), *locale = setlocale(LC_CTYPE, NULL);
    bool dumb = !term || !*term || strcmp(term, "dumb") == 0;
    add_check(checks, "terminal", !dumb,
              dumb ? "TERM is not set or dumb: only the subcommands work" : term,
              "set TERM, for example TERM=xterm-256color");
    bool wide = text_width_cp(0x416) == 1 && MB_CUR_MAX > 1;
    add_check(checks, "locale", wide, locale ? locale : "",
              "set LC_ALL=C.UTF-8; until then the console draws in ASCII");
    add_check(checks, "colours", true,
              getenv("NO_COLOR") && *getenv("NO_COLOR") ? "off by NO_COLOR"
                                                        : "as the terminal has them",
              "");
}

int cli__doctor(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    struct error e = {0};
    json_t *checks = json_array(), *row;
    size_t i;
    check_terminal(checks);
    json_t *hello = busc_wait(bus, WIRE_connectors_settled, NULL, CALL_MS, &e);
    if (hello) {
        cli__wait_settled(bus, 0);
        json_t *answer = cli__call(bus, WIRE_doctor_run, NULL, &status);
        json_array_extend(checks, json_object_get(answer, "checks"));
        json_decref(answer);
    } else {
        char *text = xasprintf("%s%s%s", err_text(e.code), e.detail[0] ? ": " : "", e.detail);
        add_check(checks, "backend", false, text, err_hint(e.code));
        json_puts(json_array_get(checks, json_array_size(checks) - 1), "status", "fail");
        free(text);
    }
    json_decref(hello);
    json_array_foreach(checks, i, row)
    {
        if (strcmp(json_str(row, "status", ""), "fail") == 0)
            status = EXIT_FAILED;
    }
    if (c->json) {
        cli__print_json(checks);
    } else {
        json_array_foreach(checks, i, row)
        {
            cli__cell(json_str(row, "status", ""), 6);
            cli__cell(json_str(row, "name", ""), 26);
            cli__put(json_str(row, "text", ""), false);
            putchar('\n');
            if (*json_str(row, "hint", "")) {
                printf("%6swhat to do: ", "");
                cli__put(json_str(row, "hint", ""), false);
                putchar('\n');
            }
        }
    }
    json_decref(checks);
    return status;
}
