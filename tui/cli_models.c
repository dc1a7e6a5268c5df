/* Subcommand models: those that are configured, whether the server of one is well, and what it has.
 */
#include "tui/cli_internal.h"
#include <stdlib.h>
#include <string.h>

enum { ASK_MS = 65000 }; /* longer than the backend waits for a server */

const char *cli__models_words(struct cli *c, int argc, char **argv)
{
    c->action = argc ? argv[0] : "list";
    c->text = argc > 1 ? argv[1] : NULL;
    bool list = strcmp(c->action, "list") == 0;
    if (!list && strcmp(c->action, "check") != 0 && strcmp(c->action, "available") != 0)
        return "the actions are list, check and available";
    if (!list && !c->text)
        return "it takes a model's name";
    return argc > (list ? 1 : 2) ? "too many words" : NULL;
}

static void put_count(const json_t *row, const char *key, int width)
{
    if (json_is_integer(json_object_get(row, key)))
        printf(" %*lld", width, (long long)json_int(row, key, 0));
    else
        printf(" %*s", width, "-");
}

static int list(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_chat_models, NULL, &status), *row;
    const json_t *rows = json_object_get(answer, "models");
    size_t i;
    if (answer && c->json) {
        cli__print_json(rows);
    } else if (answer) {
        printf("%-28s %-10s %-20s %-6s %9s %-9s %s\n", "MODEL", "KIND", "PROVIDER", "REGION",
               "CONTEXT", "BREAKER", "USUAL");
        json_array_foreach(rows, i, row)
        {
            cli__cell(json_str(row, "name", ""), 28);
            putchar(' ');
            cli__cell(json_str(row, "kind", ""), 10);
            putchar(' ');
            cli__cell(json_str(row, "provider", ""), 20);
            putchar(' ');
            cli__cell(json_str(row, "region", ""), 6);
            put_count(row, "context", 9);
            printf(" %-9s %s\n", json_str(json_object_get(row, "state"), "breaker", "-"),
                   json_flag(row, "usual", false) ? "yes" : "no");
        }
    }
    json_decref(answer);
    return status;
}

static json_t *ask(const struct cli *c, struct busc *bus, enum wire_method m, int *status)
{
    struct error e = {0};
    json_t *params = json_object();
    json_puts(params, "name", c->text);
    json_t *answer = busc_wait(bus, m, params, ASK_MS, &e);
    if (!answer)
        *status = cli_error(&e);
    return answer;
}

static int check(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = ask(c, bus, WIRE_models_check, &status);
    const json_t *listed = json_object_get(answer, "listed");
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        cli__put(json_str(answer, "model", ""), false);
        printf(": answers, %lld ms; %s\n", (long long)json_int(answer, "elapsed_ms", 0),
               json_is_true(listed)    ? "the model is there"
               : json_is_false(listed) ? "its server does not list the model"
                                       : "its server lists no models");
    }
    if (json_is_false(listed))
        status = EXIT_FAILED;
    json_decref(answer);
    return status;
}

static int available(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = ask(c, bus, WIRE_models_available, &status), *row;
    const json_t *rows = json_object_get(answer, "available");
    size_t i;
    if (answer && c->json) {
        cli__print_json(rows);
    } else if (answer) {
        printf("%-40s %9s %14s %s\n", "MODEL", "CONTEXT", "BYTES", "TITLE");
        json_array_foreach(rows, i, row)
        {
            cli__cell(json_str(row, "name", ""), 40);
            put_count(row, "context", 9);
            put_count(row, "bytes", 14);
            putchar(' ');
            cli__put(json_str(row, "title", ""), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

int cli__models(struct cli *c, struct busc *bus)
{
    if (strcmp(c->action, "list") == 0)
        return list(c, bus);
    return strcmp(c->action, "check") == 0 ? check(c, bus) : available(c, bus);
}
