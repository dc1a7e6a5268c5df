/* The lines of a file or of standard input, for the subcommands that answer each of them. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void bad_line(const struct cli *c, size_t number, const char *what)
{
    if (!c->json) {
        cli_complain("line %zu: %s", number, what);
        return;
    }
    json_t *out = json_object();
    json_puti(out, "line", (int64_t)number);
    json_puts(out, "error", what);
    cli__print_json_line(out);
    json_decref(out);
}

char *cli__id_text(const json_t *id)
{
    return json_is_string(id) ? xstrdup(json_string_value(id)) : json_write(id);
}

/* One line without its end; true if it was more than there is room for. */
static bool next_line(FILE *in, size_t most, struct buf *line, bool *last)
{
    bool over = false;
    int ch;
    buf_clear(line);
    while ((ch = getc_unlocked(in)) != EOF && ch != '\n') {
        over = over || line->len >= most;
        if (!over)
            buf_addc(line, (char)ch);
    }
    *last = ch == EOF;
    return over;
}

static size_t take_all(const struct cli *c, FILE *in, size_t most, cli__line *take, void *arg)
{
    static const char MARK[] = "\xef\xbb\xbf"; /* some editors begin a file with it */
    struct buf line = {0};
    size_t bad = 0;
    bool last = false;
    for (size_t number = 1; !last; number++) {
        bool over = next_line(in, most, &line, &last), marked = false;
        while (line.len && line.data[line.len - 1] == '\r')
            line.data[--line.len] = '\0';
        if (number == 1 && line.len >= 3)
            marked = memcmp(line.data, MARK, 3) == 0;
        const char *text = line.len ? line.data + (marked ? 3 : 0) : "";
        size_t len = line.len - (marked ? 3 : 0);
        char *large = over ? xasprintf("it is longer than %zu MiB", most >> 20) : NULL;
        const char *wrong = over ? large : len ? take(arg, number, text, len) : NULL;
        if (wrong)
            bad_line(c, number, wrong);
        bad += wrong != NULL;
        free(large);
    }
    buf_release(&line);
    return bad;
}

int cli__lines(const struct cli *c, size_t most, cli__line *take, void *arg)
{
    bool piped = strcmp(c->file, "-") == 0;
    FILE *in = piped ? stdin : fopen(c->file, "re");
    if (!in) {
        cli_complain("%s: %s", c->file, strerror(errno));
        return EXIT_FAILED;
    }
    size_t bad = take_all(c, in, most, take, arg);
    int status = bad ? EXIT_FAILED : EXIT_DONE;
    if (ferror(in)) {
        cli_complain("%s: %s", c->file, strerror(errno));
        status = EXIT_FAILED;
    }
    if (!piped)
        fclose(in);
    return cli_flush(status);
}
