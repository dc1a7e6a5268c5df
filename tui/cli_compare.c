/* `mcp-console compare`: pairs of texts, a line each, by what they claim. */
#include "tui/cli_internal.h"
#include <errno.h>
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
    size_t line, bad;
};

/* A line that is no pair: its number and what is wrong with it. */
static void complain(struct comparing *g, const char *what)
{
    g->bad++;
    if (!g->c->json) {
        cli_complain("line %zu: %s", g->line, what);
        return;
    }
    json_t *out = json_object();
    json_puti(out, "line", (int64_t)g->line);
    json_puts(out, "error", what);
    cli__print_json_line(out);
    json_decref(out);
}

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
        char *name = json_is_string(id) ? xstrdup(json_string_value(id)) : json_write(id);
        cli__put(name, false);
        printf("\t%s\t%.3f\t", verdict, json_num(result, "score", 0));
        cli__put(first_why(result, verdict), false);
        putchar('\n');
        free(name);
    }
    json_decref(result);
    json_decref(id);
}

static void take_json(struct comparing *g, const char *line, size_t len)
{
    struct error e = {0};
    json_t *object = json_read(line, len, LINE_MOST, DEPTH, &e);
    json_t *id = json_object_get(object, "id"), *a = json_object_get(object, "a"),
           *b = json_object_get(object, "b");
    if (!object)
        complain(g, err_words(&e));
    else if (!json_is_string(a) || !json_is_string(b) ||
             !(json_is_string(id) || json_is_integer(id)))
        complain(g, "it has no id, a and b that are texts");
    else
        answer(g, json_incref(id), json_string_value(a), json_string_length(a),
               json_string_value(b), json_string_length(b));
    json_decref(object);
}

static void take_line(struct comparing *g, const char *line, size_t len)
{
    g->line++;
    while (len && line[len - 1] == '\r')
        len--;
    if (!len || (g->line == 1 && len == 6 && memcmp(line, "id\ta\tb", 6) == 0))
        return; /* nothing, or the names of the columns */
    if (*line == '{') {
        take_json(g, line, len);
        return;
    }
    const char *a = memchr(line, '\t', len), *end = line + len;
    const char *b = a ? memchr(a + 1, '\t', (size_t)(end - a - 1)) : NULL;
    if (!b || memchr(b + 1, '\t', (size_t)(end - b - 1)))
        complain(g, "it is neither id, a and b with tabs between nor a JSON object");
    else
        answer(g, json_text(line, (size_t)(a - line)), a + 1, (size_t)(b - a - 1), b + 1,
               (size_t)(end - b - 1));
}

static enum err take_lines(struct comparing *g, FILE *in, struct error *e)
{
    struct buf line = {0};
    bool over = false;
    for (int ch; (ch = getc_unlocked(in)) != EOF;) {
        if (ch != '\n') {
            over = over || line.len >= LINE_MOST;
            if (!over)
                buf_addc(&line, (char)ch);
            continue;
        }
        if (over) {
            g->line++;
            complain(g, "it is longer than 1 MiB");
        } else {
            take_line(g, line.len ? line.data : "", line.len);
        }
        buf_clear(&line);
        over = false;
    }
    if (line.len && !over) {
        take_line(g, line.data, line.len);
    } else if (over) {
        g->line++;
        complain(g, "it is longer than 1 MiB");
    }
    buf_release(&line);
    return ferror(in) ? err_set_errno(e, "cannot read", g->c->file) : ERR_OK;
}

int cli_compare_run(struct cli *c, const struct cli_comparer *with)
{
    struct error e = {0};
    bool piped = strcmp(c->file, "-") == 0;
    FILE *in = piped ? stdin : fopen(c->file, "re");
    if (!in) {
        err_set_errno(&e, "cannot open", c->file);
        return cli_error(&e);
    }
    struct comparing g = {.c = c, .with = with, .comparer = with->begin()};
    enum err code = take_lines(&g, in, &e);
    with->end(g.comparer);
    if (!piped)
        fclose(in);
    int status = code != ERR_OK ? cli_error(&e) : g.bad ? EXIT_FAILED : EXIT_DONE;
    return cli_flush(status);
}
