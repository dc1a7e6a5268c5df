/* `mcp-console compare`: pairs of texts, a line each, by what they claim. */
#include "tui/cli_internal.h"
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 1024 * 1024, DEPTH = 4 };

const char *cli__compare_words(struct cli *c, int argc, char **argv)
{
    if (argc != 1)
        return "it takes one file, or - for standard input";
    c->file = argv[0];
    return NULL;
}

int cli__compare(struct cli *c, struct busc *bus)
{
    (void)c;
    (void)bus;
    return EXIT_FAILED; /* cli_compare_run is called in its place */
}

bool cli_wants_compare(const struct cli *c)
{
    return c->command->run == cli__compare;
}

struct comparing {
    const struct cli *c;
    const struct cli_comparer *with;
    struct backend_comparer *comparer;
    struct error why; /* with the last line */
};

static const char *first_why(const json_t *result, const char *verdict)
{
    size_t i;
    json_t *pair;
    json_array_foreach(json_object_get(result, "claims"), i, pair)
    {
        if (strcmp(json_str(pair, "verdict", ""), verdict) == 0 && *json_str(pair, "why", ""))
            return json_str(pair, "why", "");
    }
    return "";
}

/* Takes id. */
static void answer(struct comparing *g, json_t *id, const char *a, size_t a_len, const char *b,
                   size_t b_len)
{
    json_t *result = g->with->compare(g->comparer, a, a_len, b, b_len);
    if (g->c->json) {
        json_t *out = json_object();
        json_put(out, "id", json_incref(id));
        json_object_update(out, result);
        cli__print_json_line(out);
        json_decref(out);
    } else {
        const char *verdict = json_str(result, "verdict", "");
        char *name = cli__id_text(id);
        cli__put(name, false);
        printf("\t%s\t%.3f\t", verdict, json_num(result, "score", 0));
        cli__put(first_why(result, verdict), false);
        putchar('\n');
        free(name);
    }
    json_decref(result);
    json_decref(id);
}

static const char *take_json(struct comparing *g, const char *line, size_t len)
{
    json_t *object = json_read(line, len, LINE_MOST, DEPTH, &g->why);
    json_t *id = json_object_get(object, "id"), *a = json_object_get(object, "a"),
           *b = json_object_get(object, "b");
    const char *wrong = NULL;
    if (!object)
        wrong = err_words(&g->why);
    else if (!json_is_string(a) || !json_is_string(b) ||
             !(json_is_string(id) || json_is_integer(id)))
        wrong = "it has no id, a and b that are texts";
    else
        answer(g, json_incref(id), json_string_value(a), json_string_length(a),
               json_string_value(b), json_string_length(b));
    json_decref(object);
    return wrong;
}

static const char *take_line(void *arg, size_t number, const char *line, size_t len)
{
    struct comparing *g = arg;
    if (number == 1 && len == 6 && memcmp(line, "id\ta\tb", 6) == 0)
        return NULL; /* the names of the columns */
    if (*line == '{')
        return take_json(g, line, len);
    const char *a = memchr(line, '\t', len), *end = line + len;
    const char *b = a ? memchr(a + 1, '\t', (size_t)(end - a - 1)) : NULL;
    if (!b || memchr(b + 1, '\t', (size_t)(end - b - 1)))
        return "it is neither id, a and b with tabs between nor a JSON object";
    answer(g, json_text(line, (size_t)(a - line)), a + 1, (size_t)(b - a - 1), b + 1,
           (size_t)(end - b - 1));
    return NULL;
}

int cli_compare_run(struct cli *c, const struct cli_comparer *with)
{
    struct comparing g = {.c = c, .with = with, .comparer = with->begin()};
    int status = cli__lines(c, LINE_MOST, take_line, &g);
    with->end(g.comparer);
    return status;
}
