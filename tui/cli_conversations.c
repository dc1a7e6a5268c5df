/* `mcp-console conversations list|show|export|release`. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *take(struct cli *c, int option)
{
    switch (option) {
    case 'j':
        c->json = true;
        return NULL;
    case 'F':
        c->force = true;
        return NULL;
    case 't':
        c->text = optarg;
        return NULL;
    case 'o':
        c->output = optarg;
        return NULL;
    case 'f':
        c->what = optarg;
        return NULL;
    default:
        return cli__whole(optarg, 1, 200, &c->limit) ? NULL : "it takes 1 to 200";
    }
}

int cli__conversations_options(struct cli *c, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"json", no_argument, NULL, 'j'},         {"limit", required_argument, NULL, 'l'},
        {"text", required_argument, NULL, 't'},   {"format", required_argument, NULL, 'f'},
        {"output", required_argument, NULL, 'o'}, {"force", no_argument, NULL, 'F'},
        {"help", no_argument, NULL, 'h'},         {0}};
    int status = cli__options(c, argc, argv, OPTIONS, take);
    if (status != EXIT_DONE)
        return status;
    argc -= optind, argv += optind;
    c->action = argc ? argv[0] : "list";
    bool list = strcmp(c->action, "list") == 0, show = strcmp(c->action, "show") == 0,
         export = strcmp(c->action, "export") == 0, release = strcmp(c->action, "release") == 0;
    if (!list && !show && !export && !release)
        return cli__usage(c, "the actions are list, show, export and release");
    if (argc > (list ? 1 : 2) || (!list && argc < 2))
        return cli__usage(c, list      ? "too many words"
                             : release ? "it takes a trace's id"
                                       : "it takes a conversation's id");
    if (!list)
        c->conversation = argv[1];
    if (!list && !cli__is_id(c->conversation))
        return cli__usage(c, "an id is 32 hex digits");
    if ((c->text && !list) || ((c->what || c->output || c->force) && !export))
        return cli__usage(c, c->text ? "--text is for list"
                                     : "--format, -o and --force are for export");
    if (c->what && strcmp(c->what, "markdown") != 0 && strcmp(c->what, "json") != 0)
        return cli__usage(c, "--format is markdown or json");
    return EXIT_DONE;
}

/* All pages of a search until there are enough; a list is one page. NULL: *status is set. */
static json_t *rows(struct cli *c, struct busc *bus, int *status)
{
    json_t *all = json_array();
    int64_t before = -1;
    do {
        json_t *params = json_object();
        if (c->text)
            json_puts(params, "text", c->text);
        if (before >= 0)
            json_puti(params, "before", before);
        json_puti(params, "limit", c->limit - (int64_t)json_array_size(all));
        json_t *page = cli__call(bus, WIRE_chat_conversations, params, status);
        json_array_extend(all, json_object_get(page, "conversations"));
        before = json_int(page, "next", -1);
        json_decref(page);
    } while (*status == EXIT_DONE && before >= 0 && (int64_t)json_array_size(all) < c->limit);
    if (*status == EXIT_DONE)
        return all;
    json_decref(all);
    return NULL;
}

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *all = rows(c, bus, &status), *row;
    size_t i;
    if (all && c->json)
        cli__print_json(all);
    if (c->json || !all) {
        json_decref(all);
        return status;
    }
    json_array_foreach(all, i, row)
    {
        printf("%s  %.16s  %4lld  ", json_str(row, "conversation", ""), json_str(row, "at", ""),
               (long long)json_int(row, "turns", 0));
        cli__put(json_str(row, "title", ""), false);
        if (json_object_get(row, "parent"))
            printf("  (forked from %.8s)", json_str(row, "parent", ""));
        putchar('\n');
        if (json_object_get(row, "match")) {
            printf("%36s", "... ");
            cli__put(json_str(row, "match", ""), false);
            putchar('\n');
        }
    }
    json_decref(all);
    return status;
}

static int show(struct cli *c, struct busc *bus)
{
    enum { TURNS = 200 };
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "conversation", c->conversation);
    json_puti(params, "limit", TURNS);
    json_t *answer = cli__call(bus, WIRE_chat_history, params, &status), *turn;
    const json_t *turns = json_object_get(answer, "turns");
    size_t i;
    if (answer && !json_array_size(turns)) {
        struct error e = {0};
        err_set(&e, ERR_NOT_FOUND, "no conversation %s", c->conversation);
        status = cli_error(&e);
    } else if (answer && c->json) {
        cli__print_json(turns);
    } else if (answer) {
        if (json_flag(answer, "more", false))
            printf("(only the last %d turns; export has all)\n\n", TURNS);
        json_array_foreach((json_t *)turns, i, turn)
        {
            printf("%s%s  ", i ? "\n" : "", json_str(turn, "at", ""));
            cli__put(json_str(turn, "question", ""), false);
            printf("\n\n");
            cli__put(json_str(turn, "answer", ""), true);
            putchar('\n');
            if (*json_str(turn, "error", "")) {
                printf("%s: ", json_str(turn, "state", ""));
                cli__put(json_str(turn, "error", ""), false);
                putchar('\n');
            }
        }
    }
    json_decref(answer);
    return status;
}

/* Writes what must not be read by others; an existing file only where that was asked for. */
static int write_file(const struct cli *c, const char *text)
{
    struct error e = {0};
    int fd = open(c->output, O_WRONLY | O_CREAT | O_CLOEXEC | (c->force ? O_TRUNC : O_EXCL), 0600);
    size_t len = strlen(text), at = 0;
    bool wrong = fd < 0 || (c->force && fchmod(fd, 0600) != 0);
    while (!wrong && at < len) {
        ssize_t n = write(fd, text + at, len - at);
        if (n < 0 && errno == EINTR)
            continue;
        wrong = n < 0;
        at += n > 0 ? (size_t)n : 0;
    }
    if (wrong)
        err_set_errno(&e, "cannot write", c->output);
    if (fd >= 0 && close(fd) != 0 && !wrong)
        err_set_errno(&e, "cannot write", c->output);
    return e.code ? cli_error(&e) : EXIT_DONE;
}

static int export(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puts(params, "conversation", c->conversation);
    json_puts(params, "format", c->what ? c->what : c->json ? "json" : "markdown");
    json_t *answer = cli__call(bus, WIRE_chat_export, params, &status);
    const char *text = json_str(answer, "text", "");
    if (answer && c->output) {
        status = write_file(c, text);
        if (status == EXIT_DONE)
            fprintf(stderr, "mcp-console: %lld turns are in %s; entry %lld\n",
                    (long long)json_int(answer, "turns", 0), c->output,
                    (long long)json_int(answer, "entry", 0));
    } else if (answer) {
        fputs(text, stdout); /* clean already */
        putchar('\n');
    }
    json_decref(answer);
    return status;
}

static json_t *trace_of(const struct cli *c)
{
    json_t *params = json_object();
    json_puts(params, "trace_id", c->conversation);
    return params;
}

/* Gives out an answer that is withheld, and prints it. */
static int release(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *done = cli__call(bus, WIRE_chat_release, trace_of(c), &status);
    json_t *trace = done ? cli__call(bus, WIRE_traces_get, trace_of(c), &status) : NULL;
    if (trace && c->json) {
        json_object_set(done, "answer", json_object_get(trace, "answer"));
        cli__print_json(done);
    } else if (trace) {
        cli__put(json_str(trace, "answer", ""), true);
        putchar('\n');
    }
    json_decref(done);
    json_decref(trace);
    return status;
}

int cli__conversations(struct cli *c, struct busc *bus)
{
    return strcmp(c->action, "list") == 0     ? list(c, bus)
           : strcmp(c->action, "show") == 0   ? show(c, bus)
           : strcmp(c->action, "export") == 0 ? export(c, bus)
                                              : release(c, bus);
}
