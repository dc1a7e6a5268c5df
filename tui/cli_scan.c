/* `scan`: prompt injection in the lines of a file, without a console. */
#include "tui/cli_internal.h"
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 4 << 20, DEPTH = 16 };

bool cli_wants_scan(const struct cli *c)
{
    return c->command->run == cli__scan;
}

const char *cli__scan_words(struct cli *c, int argc, char **argv)
{
    c->file = argc == 1 ? argv[0] : NULL;
    return c->file ? NULL : "it takes a file, or - for standard input";
}

int cli__scan(struct cli *c, struct busc *bus)
{
    (void)c;
    (void)bus;
    return EXIT_FAILED; /* cli_scan_run takes its place */
}

struct scan {
    struct cli *c;
    cli_scan *scan;
    bool records, decided; /* the lines are objects {id, text}: the first one says so */
};

static void print_findings(const char *id, const json_t *answer)
{
    size_t i;
    json_t *f;
    printf("%s %.2f ", json_flag(answer, "injection", false) ? "yes" : "no ",
           json_num(answer, "score", 0));
    cli__put(id, false);
    json_array_foreach(json_object_get(answer, "findings"), i, f)
    {
        printf("%s%s: ", i ? "; " : "  ", json_str(f, "class", ""));
        cli__put(json_str(f, "words", ""), false);
    }
    putchar('\n');
}

static void answer_line(struct scan *s, json_t *id, const char *text, size_t len)
{
    json_t *answer = s->scan(text, len), *whole = json_object();
    char *words = cli__id_text(id);
    json_put(whole, "id", id);
    json_object_update(whole, answer);
    if (s->c->json)
        cli__print_json_line(whole);
    else
        print_findings(words, answer);
    free(words);
    json_decref(answer);
    json_decref(whole);
}

static const char *take_line(void *arg, size_t number, const char *line, size_t len)
{
    struct scan *s = arg;
    json_t *o = *line == '{' ? json_read(line, len, LINE_MOST, DEPTH, NULL) : NULL;
    json_t *text = json_object_get(o, "text"), *id = json_object_get(o, "id");
    const char *wrong = NULL;
    if (!s->decided)
        s->records = json_is_string(text);
    s->decided = true;
    if (!s->records)
        answer_line(s, json_integer((json_int_t)number), line, len);
    else if (json_is_string(text))
        answer_line(s, id ? json_incref(id) : json_integer((json_int_t)number),
                    json_string_value(text), json_string_length(text));
    else
        wrong = o ? "it has no `text`" : "it is no JSON object as the first line is";
    json_decref(o);
    return wrong;
}

int cli_scan_run(struct cli *c, cli_scan *scan)
{
    struct scan s = {.c = c, .scan = scan};
    return cli__lines(c, LINE_MOST, take_line, &s);
}
