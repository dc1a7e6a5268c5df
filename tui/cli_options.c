/* What the subcommands' options have in common: reading them, usage and --help. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 79 };

/* A usage breaks before an option and behind an alternative, never within brackets. */
static size_t part_of(const char *text)
{
    size_t n = 0;
    for (int depth = 0; text[n]; n++) {
        if (!depth && n && (text[n - 1] == '|' || (text[n] == ' ' && strchr("[-|", text[n + 1]))))
            return n;
        depth += (text[n] == '[') - (text[n] == ']');
    }
    return n;
}

static void print_usage(const struct cli *c, FILE *out)
{
    size_t column = (size_t)fprintf(out, "usage: mcp-console ");
    const size_t indent = column;
    for (const char *text = c->command->usage; *text;) {
        size_t n = part_of(text);
        if (column + n > WIDTH && column > indent) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
            n -= *text == ' ';
            text += *text == ' ';
        }
        fprintf(out, "%.*s", (int)n, text);
        column += n;
        text += n;
    }
    fputc('\n', out);
}

/* The lines of the whole help that are of this command. */
static void print_lines(const char *name)
{
    size_t len = strlen(name);
    bool its = false;
    for (const char *at = cli_help(), *end; *at; at = *end ? end + 1 : end) {
        end = strchrnul(at, '\n');
        if (strncmp(at, "   ", 3) != 0)
            its = strncmp(at + 2, name, len) == 0 && (at[2 + len] == ' ' || at[2 + len] == '\n');
        if (its)
            printf("%.*s\n", (int)(end - at), at);
    }
}

/* What the reader of options returns then: -1, or that it could not be written. */
static int help(const struct cli *c)
{
    print_usage(c, stdout);
    print_lines(c->command->name);
    int status = cli_flush(EXIT_DONE);
    return status ? status : -1;
}

int cli__usage(const struct cli *c, const char *what)
{
    fprintf(stderr, "mcp-console %s: %s\n", c->command->name, what);
    print_usage(c, stderr);
    return EXIT_USAGE;
}

/* Commands that read their options by one table take only those that their usage names; a usage
 * that ends in "..." names none. */
static bool is_named(const char *usage, const struct option *option)
{
    char *name = option->val == 'o' ? xstrdup("-o ") : xasprintf("--%s", option->name);
    const char *at = strstr(usage, "...") ? usage : strstr(usage, name);
    size_t len = strlen(name);
    while (at && at != usage && option->val != 'o' &&
           strchr("abcdefghijklmnopqrstuvwxyz-", at[len]))
        at = strstr(at + len, name);
    free(name);
    return at;
}

static int bad_value(const struct cli *c, const char *option, const char *why)
{
    char *clean = text_cleaned(optarg ? optarg : "", TEXT_ONE_LINE | TEXT_ASCII);
    char *what = xasprintf("--%s %s: %s", option, clean, why);
    int status = cli__usage(c, what);
    free(what);
    free(clean);
    return status;
}

int cli__options(struct cli *c, int argc, char **argv, const struct option *options,
                 cli__taker *take)
{
    size_t at;
    optind = 0;
    for (int o; (o = getopt_long(argc, argv, ":o:", options, NULL)) != -1;) {
        if (o == 'h')
            return help(c);
        if (o == '?' || o == ':') {
            cli_bad_option(o, argv);
            return cli__usage(c, "see the options below");
        }
        for (at = 0; options[at].val != o;)
            at++;
        if (!is_named(c->command->usage, &options[at])) {
            cli_complain("there is no option `-%s%s`", o == 'o' ? "" : "-",
                         o == 'o' ? "o" : options[at].name);
            return cli__usage(c, "see the options below");
        }
        const char *why = take(c, o);
        if (why)
            return bad_value(c, options[at].name, why);
    }
    return EXIT_DONE;
}

bool cli__whole(const char *text, int64_t least, int64_t most, int64_t *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    *out = value;
    return *text && !*end && errno == 0 && value >= least && value <= most;
}

bool cli__is_id(const char *text)
{
    return strlen(text) == 32 && strspn(text, "0123456789abcdef") == 32;
}
