/* `scan`: prompt injection in the lines of a file, without a console. */
#include "tui/cli_internal.h"
#include <errno.h>
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
    long number;
    bool records, decided; /* the lines are objects {id, text}: the first one says so */
    int status;
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
    char *words = json_is_string(id) ? xstrdup(json_string_value(id)) : json_write(id);
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

static void bad_line(struct scan *s, const char *what)
{
    json_t *o = json_object();
    s->status = EXIT_FAILED;
    json_puti(o, "line", s->number);
    json_puts(o, "error", what);
    if (s->c->json)
        cli__print_json_line(o);
    else
        cli_complain("line %ld: %s", s->number, what);
    json_decref(o);
}

static void take_line(struct scan *s, const char *line, size_t len)
{
    struct error e = {0};
    json_t *o = *line == '{' ? json_read(line, len, LINE_MOST, DEPTH, &e) : NULL;
    const json_t *text = json_object_get(o, "text");
    if (!s->decided)
        s->records = json_is_string(text);
    s->decided = true;
    if (!s->records)
        answer_line(s, json_integer(s->number), line, len);
    else if (json_is_string(text))
        answer_line(s,
                    json_object_get(o, "id") ? json_incref(json_object_get(o, "id"))
                                             : json_integer(s->number),
                    json_string_value(text), json_string_length(text));
    else
        bad_line(s, o ? "it has no `text`" : "it is no JSON object as the first line is");
    json_decref(o);
}

int cli_scan_run(struct cli *c, cli_scan *scan)
{
    struct scan s = {.c = c, .scan = scan, .status = EXIT_DONE};
    bool piped = strcmp(c->file, "-") == 0;
    FILE *in = piped ? stdin : fopen(c->file, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    if (!in) {
        cli_complain("%s: %s", c->file, strerror(errno));
        return EXIT_FAILED;
    }
    while ((n = getline(&line, &cap, in)) >= 0) {
        size_t len = (size_t)n;
        s.number++;
        while (len && (line[len - 1] == '\n' || line[len - 1] == '\r'))
            line[--len] = '\0';
        if (len > LINE_MOST)
            bad_line(&s, "it is longer than 4 MiB");
        else if (len)
            take_line(&s, line, len);
    }
    if (ferror(in)) {
        cli_complain("%s: %s", c->file, strerror(errno));
        s.status = EXIT_FAILED;
    }
    free(line);
    if (!piped)
        fclose(in);
    return cli_flush(s.status);
}
