/* `mcp-console witness list|logs|key|serve|cosign|request`. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static void put_number(const json_t *value, int width)
{
    char text[32] = "-";
    if (json_is_integer(value))
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
    cli__cell(text, width);
}

/* ---- list, logs, key */

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object(), *row;
    bool finding = false;
    size_t i;
    json_put(params, "wait", json_boolean(c->wait));
    json_t *answer = cli__call(bus, WIRE_witness_list, params, &status);
    const json_t *rows = json_object_get(answer, "witnesses");
    json_array_foreach((json_t *)rows, i, row) finding |=
        json_is_object(json_object_get(row, "finding"));
    if (finding)
        status = EXIT_TAMPERED;
    else if (c->wait && json_int(answer, "cosigned", 0) < json_int(answer, "quorum", 0))
        status = EXIT_FAILED;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        printf("%lld of %zu cosigned the newest checkpoint; %lld are wanted\n\n",
               (long long)json_int(answer, "cosigned", 0), json_array_size(rows),
               (long long)json_int(answer, "quorum", 0));
        printf("%-10s %-20s %10s %-25s %s\n", "STATE", "NAME", "SIZE", "AT", "LAST ERROR");
        json_array_foreach((json_t *)rows, i, row)
        {
            cli__cell(json_str(row, "state", ""), 11);
            cli__cell(json_str(row, "name", ""), 20);
            putchar(' ');
            put_number(json_object_get(row, "size"), -10);
            putchar(' ');
            cli__cell(json_str(row, "at", "-"), 26);
            cli__put(json_str(row, "last_error", ""), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

static int logs(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_witness_logs, NULL, &status), *row;
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        printf("%10s %-25s %-16s %s\n", "SIZE", "AT", "ROOT", "ORIGIN");
        json_array_foreach(json_object_get(answer, "logs"), i, row)
        {
            put_number(json_object_get(row, "size"), -10);
            putchar(' ');
            cli__cell(json_str(row, "at", ""), 26);
            cli__cell(json_str(row, "root", ""), 16);
            putchar(' ');
            cli__put(json_str(row, "origin", ""), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

/* Prints one member of the answer, or all of it as JSON. */
static int print_text(struct cli *c, struct busc *bus, enum wire_method m, json_t *params,
                      const char *member)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, m, params, &status);
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        const char *text = json_str(answer, member, "");
        size_t len = strlen(text);
        cli__put(text, true);
        if (!len || text[len - 1] != '\n')
            putchar('\n');
    }
    json_decref(answer);
    return status;
}

static int key(struct cli *c, struct busc *bus)
{
    return print_text(c, bus, WIRE_witness_key, json_object(), "key");
}

static int request(struct cli *c, struct busc *bus)
{
    json_t *params = json_object();
    json_puti(params, "from", c->from);
    return print_text(c, bus, WIRE_witness_request, params, "text");
}

/* ---- cosign */

char *cli__read_file(const char *path, int *status)
{
    return cli__read_text(path, 256 * 1024, status);
}

char *cli__read_text(const char *path, size_t most, int *status)
{
    struct error e = {0};
    struct buf text = {0};
    char chunk[4096];
    size_t n;
    FILE *in = fopen(path, "re");
    while (in && text.len <= most && (n = fread(chunk, 1, sizeof chunk, in)) > 0)
        buf_add(&text, chunk, n);
    if (!in || ferror(in))
        err_set(&e, err_from_errno(errno), "%s: %s", path, strerror(errno));
    else if (text.len > most || (text.len && memchr(text.data, '\0', text.len)))
        err_set(&e, ERR_INVALID, "%s is no text of at most %zu bytes", path, most);
    if (in)
        fclose(in);
    if (e.code == ERR_OK)
        return buf_take(&text);
    buf_release(&text);
    *status = cli_error(&e);
    return NULL;
}

/* The body of add-checkpoint: the file may be one, or a checkpoint alone, with the lines before it
 * in the proof's file; without that it is a log's first. */
static char *make_request(struct cli *c, int *status)
{
    char *note = cli__read_file(c->file, status), *proof = NULL, *whole = NULL;
    if (note && c->proof)
        proof = cli__read_file(c->proof, status);
    if (note && strncmp(note, "old ", 4) == 0 && !c->proof)
        return note;
    if (note && (proof || !c->proof)) {
        size_t len = proof ? strlen(proof) : 0;
        while (len && proof[len - 1] == '\n')
            len--;
        whole = xasprintf("%.*s\n\n%s", proof ? (int)len : 5, proof ? proof : "old 0", note);
    }
    free(note);
    free(proof);
    return whole;
}

static int cosign(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    char *log = c->log ? cli__read_file(c->log, &status) : NULL;
    char *text = status == EXIT_DONE ? make_request(c, &status) : NULL;
    if (text) {
        json_t *params = json_object();
        json_puts(params, "request", text);
        if (log)
            json_puts(params, "log", log);
        status = print_text(c, bus, WIRE_witness_cosign, params, "note");
    }
    free(log);
    free(text);
    return status;
}

/* ---- serve */

static void print_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    const struct cli *c = arg;
    char time[CLOCK_TEXT];
    if (strcmp(type, "witness") != 0)
        return;
    clock_format(at, time);
    if (c->json) {
        json_t *line = json_deep_copy(data);
        json_puts(line, "time", time);
        char *text = json_dumps(line, JSON_ENSURE_ASCII);
        puts(text ? text : "");
        free(text);
        json_decref(line);
    } else {
        printf("%s  %lld  ", time, (long long)json_int(data, "status", 0));
        printf("%lld -> %lld  ", (long long)json_int(data, "old", -1),
               (long long)json_int(data, "size", -1));
        cli__put(json_str(data, "origin", ""), false);
        printf("  ");
        cli__put(json_str(data, "reason", ""), false);
        putchar('\n');
    }
    fflush(stdout);
}

static int serve(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    if (c->listen)
        json_puts(params, "listen", c->listen);
    if (c->remote)
        json_put(params, "remote", json_true());
    busc_events(bus, print_event, NULL, c);
    json_t *answer = cli__call(bus, WIRE_witness_serve, params, &status);
    if (!answer)
        return status;
    if (c->json) {
        char *text = json_dumps(answer, JSON_ENSURE_ASCII);
        puts(text ? text : "");
        free(text);
    } else {
        printf("listening at http://%s, key ", json_str(answer, "listen", ""));
        cli__put(json_str(answer, "key", ""), false);
        putchar('\n');
    }
    json_decref(answer);
    fflush(stdout);
    while (!busc_interrupted(bus) && !ferror(stdout)) {
        struct pollfd at = {.fd = busc_fd(bus), .events = POLLIN};
        if (poll(&at, 1, 1000) > 0)
            busc_dispatch(bus);
    }
    return status;
}

/* ---- */

static const struct {
    const char *name;
    int (*run)(struct cli *c, struct busc *bus);
    bool file;
} actions[] = {{"list", list, false},   {"logs", logs, false},    {"key", key, false},
               {"serve", serve, false}, {"cosign", cosign, true}, {"request", request, false}};
enum { ACTIONS = sizeof actions / sizeof *actions };

const char *cli__witness_words(struct cli *c, int argc, char **argv)
{
    size_t at = 0;
    c->action = argc ? argv[0] : "";
    while (at < ACTIONS && strcmp(c->action, actions[at].name) != 0)
        at++;
    if (at == ACTIONS)
        return "the actions are list, logs, key, serve, cosign and request";
    if (argc != (actions[at].file ? 2 : 1))
        return actions[at].file ? "it takes the file of a checkpoint" : "too many words";
    c->file = argc == 2 ? argv[1] : NULL;
    if ((c->log || c->proof) && !actions[at].file)
        return "--log and --proof are for cosign";
    if (c->wait && actions[at].run != list)
        return "--wait is for list";
    if ((c->listen || c->remote) && actions[at].run != serve)
        return "--listen and --remote are for serve";
    return NULL;
}

int cli__witness(struct cli *c, struct busc *bus)
{
    for (size_t i = 0;; i++)
        if (strcmp(c->action, actions[i].name) == 0)
            return actions[i].run(c, bus);
}
