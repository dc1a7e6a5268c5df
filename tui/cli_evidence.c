/* `mcp-console evidence list|show|verify|report|checkpoint|proof`; cli_bundle.c has `export`,
 * cli_lineage.c `lineage`. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object(), *row;
    size_t i;
    json_puti(params, "limit", c->limit);
    json_puti(params, "before", c->before);
    json_puti(params, "after", c->after);
    if (c->type)
        json_puts(params, "type", c->type);
    if (c->trace)
        json_puts(params, "trace_id", c->trace);
    json_t *answer = cli__call(bus, WIRE_evidence_list, params, &status);
    json_t *rows = json_object_get(answer, "entries");
    if (answer && c->json) {
        cli__print_json(rows);
    } else if (answer) {
        printf("%8s  %-24s  %-16s %-26s %s\n", "SEQ", "TIME", "TYPE", "ACTOR", "HASH");
        json_array_foreach(rows, i, row)
        {
            printf("%8lld  ", (long long)json_int(row, "seq", -1));
            cli__cell(json_str(row, "ts", ""), 26);
            cli__cell(json_str(row, "type", ""), 17);
            cli__cell(json_str(row, "actor", ""), 27);
            cli__cell(json_str(row, "hash", ""), 16);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

static int show(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puti(params, "seq", c->seq);
    json_put(params, "payload", json_true());
    json_t *answer = cli__call(bus, WIRE_evidence_get, params, &status);
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        static const char *const FIELDS[] = {"ts",       "type",         "actor", "session",
                                             "trace_id", "conversation", "hash",  "leaf"};
        printf("%-14s %lld\n", "seq", (long long)json_int(answer, "seq", -1));
        for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
            const char *value = json_str(answer, FIELDS[i], "");
            if (!*value)
                continue;
            printf("%-14s ", FIELDS[i]);
            cli__put(value, false);
            putchar('\n');
        }
        const json_t *payload = json_object_get(answer, "payload");
        if (payload) {
            char *text = json_dumps(payload, JSON_INDENT(2));
            puts("payload");
            cli__put(text ? text : "", true);
            putchar('\n');
            free(text);
        } else {
            printf("%-14s ", "payload");
            cli__put(json_str(answer, "payload_error", "none"), false);
            putchar('\n');
        }
    }
    json_decref(answer);
    return status;
}

/* ---- verify */

char *cli__read_checkpoints(const char *path, int *status)
{
    enum { MOST = 512 * 1024 };
    struct error e = {0};
    struct buf text = {0};
    char chunk[4096];
    size_t n;
    FILE *in = fopen(path, "re");
    while (in && (n = fread(chunk, 1, sizeof chunk, in)) > 0) {
        buf_add(&text, chunk, n);
        if (text.len > 2 * MOST)
            buf_drop(&text, text.len - MOST);
    }
    if (!in || ferror(in)) {
        err_set(&e, err_from_errno(errno), "%s: %s", path, strerror(errno));
        *status = cli_error(&e);
    }
    if (in)
        fclose(in);
    if (text.len > MOST) {
        buf_drop(&text, text.len - MOST);
        const char *sign = strstr(text.data, "\n\xe2\x80\x94 ");
        const char *next = sign ? strstr(sign, "\n\n") : NULL;
        buf_drop(&text, next ? (size_t)(next + 2 - text.data) : 0);
    }
    char *all = buf_take(&text);
    if (*status == EXIT_DONE && !*all) {
        err_set(&e, ERR_INVALID, "%s is empty", path);
        *status = cli_error(&e);
    }
    return all;
}

/* Which payloads are not there because the log says so. */
static void print_erased(const json_t *erased)
{
    json_t *one;
    size_t i;
    json_array_foreach(json_object_get(erased, "entries"), i, one)
    {
        printf("erased %lld payloads by entry %lld on ", (long long)json_int(one, "count", 0),
               (long long)json_int(one, "entry", -1));
        cli__put(json_str(one, "at", ""), false);
        fputs(*json_str(one, "reason", "") ? ": " : "", stdout);
        cli__put(json_str(one, "reason", ""), false);
        putchar('\n');
    }
    long long more = json_int(erased, "entry_count", 0) - (long long)i;
    if (more > 0)
        printf("and by %lld more erase entries\n", more);
}

static void print_problems(const json_t *report)
{
    const json_t *problem;
    size_t i;
    json_array_foreach(json_object_get(report, "problems"), i, problem)
    {
        if (json_int(problem, "seq", -1) < 0)
            printf("problem: ");
        else
            printf("problem at entry %lld: ", (long long)json_int(problem, "seq", -1));
        cli__put(json_str(problem, "text", ""), false);
        putchar('\n');
    }
    long long more = json_int(report, "problem_count", 0) - (long long)i;
    if (more > 0)
        printf("and %lld more problems\n", more);
}

static void print_epochs(const json_t *report)
{
    const json_t *epochs = json_object_get(report, "epochs"), *epoch, *zone;
    size_t i, k;
    if (json_array_size(epochs) < 2)
        return;
    json_array_foreach(epochs, i, epoch)
    {
        long long base = json_int(epoch, "base", 0);
        printf("epoch %lld: entries %lld to %lld, %s\n", (long long)json_int(epoch, "epoch", 0),
               base, base + (long long)json_int(epoch, "size", 0) - 1,
               json_flag(epoch, "intact", false) ? "intact" : "NOT INTACT");
        json_array_foreach(json_object_get(epoch, "quarantined"), k, zone)
            printf("  quarantined: %lld to %lld (%s)\n", (long long)json_int(zone, "from", -1),
                   (long long)json_int(zone, "to", -1), json_str(zone, "code", ""));
    }
}

static void print_report(const json_t *report)
{
    printf("%s: %lld of %lld entries checked in %lld ms\n",
           json_flag(report, "ok", false) ? "intact" : "TAMPERED",
           (long long)json_int(report, "checked", 0), (long long)json_int(report, "size", 0),
           (long long)json_int(report, "elapsed_ms", 0));
    printf("head   ");
    cli__put(json_str(report, "head", ""), false);
    printf("\nroot   ");
    cli__put(json_str(report, "root", ""), false);
    printf("\nproved ");
    cli__put(json_str(report, "proved", ""), false);
    putchar('\n');
    print_epochs(report);
    print_problems(report);
    print_erased(json_object_get(report, "erased"));
}

/* What was found when the epoch began in which the log goes on; that may be just now. */
static void print_forensics(struct busc *bus, int64_t epoch)
{
    enum { WAIT_MS = 10000, TRIES = 40 };
    static const struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    json_t *answer = NULL;
    for (int i = 0; epoch > 1 && i < TRIES; i++) {
        json_decref(answer);
        answer = busc_wait(bus, WIRE_evidence_report, json_object(), WAIT_MS, NULL);
        if (json_int(json_object_get(answer, "report"), "epoch", 0) >= epoch)
            break;
        nanosleep(&pause, NULL);
    }
    if (answer) {
        putchar('\n');
        cli__put(json_str(answer, "text", ""), true);
    }
    json_decref(answer);
}

static int verify(struct cli *c, struct busc *bus)
{
    enum { LONG_MS = 24 * 3600 * 1000 };
    struct error e = {0};
    int status = EXIT_DONE;
    const char *file = c->from_file ? c->from_file : c->checkpoint;
    char *given = file ? cli__read_checkpoints(file, &status) : NULL;
    char *keys = c->witness && status == EXIT_DONE ? cli__read_file(c->witness, &status) : NULL;
    if (status != EXIT_DONE) {
        free(given);
        free(keys);
        return status;
    }
    json_t *params = json_object();
    json_puti(params, "from", c->from);
    json_put(params, "wait", json_true());
    json_put(params, "behind", json_boolean(c->from_file));
    json_put(params, "chain", json_boolean(c->chain));
    if (given)
        json_puts(params, "checkpoints", given);
    if (keys)
        json_puts(params, "witnesses", keys);
    free(given);
    free(keys);
    json_t *report = busc_wait(bus, WIRE_evidence_verify, params, LONG_MS, &e);
    if (!report)
        return cli_error(&e);
    bool ok = json_flag(report, "ok", false);
    if (c->json)
        cli__print_json(report);
    else
        print_report(report);
    if (!ok && !c->json)
        print_forensics(bus, json_int(report, "epoch", 1));
    json_decref(report);
    return ok ? EXIT_DONE : EXIT_TAMPERED;
}

static int report(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_evidence_report, json_object(), &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        cli__put(json_str(answer, "text", ""), true);
    json_decref(answer);
    return status;
}

/* ---- checkpoint, proof */

static json_t *sign(struct busc *bus, bool wait, int *status)
{
    json_t *params = json_object();
    json_put(params, "wait", json_boolean(wait)); /* for witnesses */
    return cli__call(bus, WIRE_evidence_checkpoint, params, status);
}

static int checkpoint(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = sign(bus, true, &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        cli__put(json_str(answer, "cosigned", json_str(answer, "note", "")), true);
    json_decref(answer);
    return status;
}

static json_t *call_proof(struct cli *c, struct busc *bus, int *status)
{
    json_t *params = json_object();
    json_puti(params, "seq", c->seq);
    return cli__call(bus, WIRE_evidence_proof, params, status);
}

/* What no checkpoint covers yet gets one, if the role may sign. */
static int proof(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = call_proof(c, bus, &status);
    if (answer && json_is_null(json_object_get(answer, "checkpoint"))) {
        json_decref(answer);
        answer = sign(bus, false, &status);
        if (answer) {
            json_decref(answer);
            answer = call_proof(c, bus, &status);
        }
    }
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        cli__put(json_str(answer, "text", ""), true);
    json_decref(answer);
    return status;
}

int cli__evidence(struct cli *c, struct busc *bus)
{
    static const struct {
        const char *name;
        int (*run)(struct cli *c, struct busc *bus);
    } actions[] = {{"list", list},
                   {"show", show},
                   {"verify", verify},
                   {"checkpoint", checkpoint},
                   {"proof", proof},
                   {"export", cli__export},
                   {"lineage", cli__lineage},
                   {"report", report}};
    for (size_t i = 0;; i++)
        if (strcmp(c->action, actions[i].name) == 0)
            return actions[i].run(c, bus);
}
