/* Subcommand flows: the ways in which questions can be answered, one of them, whether a file is
 * one. */
#include "tui/cli_internal.h"
#include <stdlib.h>
#include <string.h>

const char *cli__flows_words(struct cli *c, int argc, char **argv)
{
    c->action = argc ? argv[0] : "list";
    c->text = argc > 1 ? argv[1] : NULL;
    bool list = strcmp(c->action, "list") == 0, show = strcmp(c->action, "show") == 0;
    if (!list && !show && strcmp(c->action, "check") != 0)
        return "the actions are list, show and check";
    if (!list && !c->text)
        return show ? "it takes a flow's name" : "it takes a file";
    if (c->dot && !show)
        return "--dot is for show";
    return argc > (list ? 1 : 2) ? "too many words" : NULL;
}

static int list(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_flows_list, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        printf("%-16s %6s %5s %-4s %-5s %s\n", "FLOW", "MODELS", "NODES", "OWN", "USUAL", "ABOUT");
        json_array_foreach(json_object_get(answer, "flows"), i, row)
        {
            cli__cell(json_str(row, "name", ""), 16);
            printf(" %6lld %5lld %-4s %-5s ", (long long)json_int(row, "models", 0),
                   (long long)json_int(row, "nodes", 0),
                   json_flag(row, "own", false) ? "yes" : "no",
                   json_flag(row, "usual", false) ? "yes" : "no");
            cli__put(json_str(row, "about", ""), false);
            putchar('\n');
        }
    }
    json_array_foreach(json_object_get(answer, "wrong"), i, row)
        cli_complain("%s", json_str(row, "text", ""));
    if (json_array_size(json_object_get(answer, "wrong")))
        status = EXIT_FAILED;
    json_decref(answer);
    return status;
}

static void put_node(const json_t *node)
{
    printf("  ");
    cli__cell(json_str(node, "id", ""), 16);
    cli__cell(json_str(node, "kind", ""), 10);
    cli__cell(json_str(node, "role", ""), 13);
    cli__put(json_str(node, "model", ""), false);
    putchar('\n');
}

static void put_edge(const json_t *edge)
{
    printf("  ");
    cli__put(json_str(edge, "from", ""), false);
    printf(" -> ");
    cli__put(json_str(edge, "to", ""), false);
    if (*json_str(edge, "when", "")) {
        printf("  when ");
        cli__put(json_str(edge, "when", ""), false);
    }
    putchar('\n');
}

static void put_whole(const json_t *answer)
{
    size_t i;
    json_t *one;
    const json_t *flow = json_object_get(answer, "flow");
    cli__put(json_str(answer, "name", ""), false);
    printf(": ");
    cli__put(json_str(answer, "about", ""), false);
    printf("\nnodes\n");
    json_array_foreach(json_object_get(flow, "nodes"), i, one) put_node(one);
    printf("edges\n");
    json_array_foreach(json_object_get(flow, "edges"), i, one) put_edge(one);
}

static int show(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "name", c->text);
    json_t *answer = cli__call(bus, WIRE_flows_get, params, &status);
    if (answer && c->dot)
        cli__put(json_str(answer, "dot", ""), true);
    else if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        put_whole(answer);
    json_decref(answer);
    return status;
}

static int check(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    char *text = cli__read_file(c->text, &status);
    if (!text)
        return status;
    const char *base = strrchr(c->text, '/');
    json_t *params = json_object();
    json_puts(params, "file", base ? base + 1 : c->text);
    json_puts(params, "text", text);
    free(text);
    cli__wait_settled(bus, 0); /* whose tools a node may name */
    json_t *answer = cli__call(bus, WIRE_flows_check, params, &status);
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        const json_t *flow = json_object_get(answer, "flow");
        cli__put(c->text, false);
        printf(": a flow of %zu nodes and %zu edges\n",
               json_array_size(json_object_get(flow, "nodes")),
               json_array_size(json_object_get(flow, "edges")));
    }
    json_decref(answer);
    return status;
}

int cli__flows(struct cli *c, struct busc *bus)
{
    if (strcmp(c->action, "list") == 0)
        return list(c, bus);
    return strcmp(c->action, "show") == 0 ? show(c, bus) : check(c, bus);
}
