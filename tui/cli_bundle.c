/* `mcp-console evidence export` and `evidence verify --bundle`. */
#include "tui/cli_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXPORT_MS = 10 * 60 * 1000, READ_MS = 60000, PIECE = 1024 * 1024, LINE = 4096 };
enum { BUNDLE_MOST = 256 * 1024 * 1024 };

/* ---- export ---- */

static json_t *export_params(const struct cli *c)
{
    json_t *params = json_object();
    if (c->session)
        json_puts(params, "session", c->session);
    if (c->trace)
        json_puts(params, "trace_id", c->trace);
    if (c->control)
        json_puts(params, "control", c->control);
    if (c->range) {
        json_puti(params, "from", c->from);
        json_puti(params, "to", c->to);
    }
    json_put(params, "payloads", json_boolean(!c->no_payloads));
    return params;
}

static enum err write_all(int fd, const uint8_t *bytes, size_t len, const char *path,
                          struct error *e)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set_errno(e, "cannot write", path);
        bytes += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

/* The bundle piece by piece into a file. */
static enum err fetch(struct busc *bus, const json_t *made, int fd, const char *path,
                      struct error *e)
{
    int64_t at = 0, size = json_int(made, "size", 0);
    uint8_t *piece = xcalloc(1, PIECE);
    enum err code = ERR_OK;
    for (bool end = false; !end && code == ERR_OK;) {
        json_t *params = json_object();
        json_puts(params, "id", json_str(made, "id", ""));
        json_puti(params, "offset", at);
        json_t *answer = busc_wait(bus, WIRE_evidence_export_read, params, READ_MS, e);
        if (!answer) {
            code = e->code;
            break;
        }
        int64_t n = text_unbase64(json_str(answer, "data", ""), piece, PIECE);
        end = json_flag(answer, "eof", true);
        if (n < 0 || (n == 0 && !end))
            code = err_set(e, ERR_PROTOCOL, "a piece of the bundle is not in form");
        else
            code = write_all(fd, piece, (size_t)n, path, e);
        at += n;
        json_decref(answer);
    }
    free(piece);
    if (code == ERR_OK && at != size)
        code = err_set(e, ERR_PROTOCOL, "the bundle has %lld bytes, not %lld", (long long)at,
                       (long long)size);
    return code;
}

/* Gives the new file its name: whole, and over another one only if that is wanted. */
static enum err put_in_place(const char *fresh, const char *path, bool force, struct error *e)
{
    struct stat st;
    int failed =
        force ? rename(fresh, path) : renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE);
    if (failed && !force && (errno == EINVAL || errno == ENOSYS)) /* a file system without that */
        failed = lstat(path, &st) == 0 ? (errno = EEXIST, -1) : rename(fresh, path);
    if (failed && errno == EEXIST)
        return err_set(e, ERR_INVALID, "%s is there already: --force writes over it", path);
    return failed ? err_set_errno(e, "cannot make", path) : ERR_OK;
}

static enum err save(struct cli *c, struct busc *bus, const json_t *made, struct error *e)
{
    char *fresh = xasprintf("%s.%d.new", c->output, (int)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err code = fd < 0 ? err_set_errno(e, "cannot make", fresh) : ERR_OK;
    if (code == ERR_OK)
        code = fetch(bus, made, fd, fresh, e);
    if (code == ERR_OK && fsync(fd) != 0)
        code = err_set_errno(e, "cannot sync", fresh);
    if (fd >= 0 && close(fd) != 0 && code == ERR_OK)
        code = err_set_errno(e, "cannot write", fresh);
    if (code == ERR_OK)
        code = put_in_place(fresh, c->output, c->force, e);
    if (code != ERR_OK && fd >= 0)
        unlink(fresh);
    free(fresh);
    return code;
}

int cli__export(struct cli *c, struct busc *bus)
{
    struct error e = {0};
    struct stat st;
    if (!c->force && lstat(c->output, &st) == 0) { /* before anything is made and logged */
        err_set(&e, ERR_INVALID, "%s is there already: --force writes over it", c->output);
        return cli_error(&e);
    }
    json_t *made = busc_wait(bus, WIRE_evidence_export, export_params(c), EXPORT_MS, &e);
    if (!made)
        return cli_error(&e);
    int status = EXIT_DONE;
    if (save(c, bus, made, &e) != ERR_OK) {
        status = cli_error(&e);
    } else if (c->json) {
        json_object_del(made, "id");
        json_puts(made, "file", c->output);
        cli__print_json(made);
    } else {
        cli__put(c->output, false);
        printf(": %lld entries, %lld bytes, logged by entry %lld\nstatement ",
               (long long)json_int(made, "entries", 0), (long long)json_int(made, "size", 0),
               (long long)json_int(made, "entry", -1));
        cli__put(json_str(made, "sha256", ""), false);
        putchar('\n');
    }
    json_decref(made);
    return status;
}

/* ---- verify --bundle ---- */

bool cli_wants_bundle(const struct cli *c)
{
    return c->bundle != NULL;
}

static enum err read_file(const char *path, size_t most, struct buf *out, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, "cannot open", path);
    enum err code = ERR_OK;
    for (;;) {
        buf_reserve(out, PIECE);
        ssize_t n = read(fd, out->data + out->len, PIECE);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            code = err_set_errno(e, "cannot read", path);
        if (n <= 0)
            break;
        out->len += (size_t)n;
        if (out->len > most) {
            code = err_set(e, ERR_TOO_BIG, "%s has more than %zu bytes", path, most);
            break;
        }
    }
    buf_addc(out, '\0'); /* so that it ends as a text */
    out->len--;
    close(fd);
    return code;
}

/* The first line of a file with a verifier key. */
static enum err read_key(const char *path, struct buf *out, struct error *e)
{
    enum err code = read_file(path, LINE, out, e);
    size_t len = code == ERR_OK ? strcspn(out->data, "\r\n") : 0;
    if (code == ERR_OK && len == 0)
        code = err_set(e, ERR_INVALID, "%s holds no verifier key", path);
    if (code == ERR_OK)
        out->data[len] = '\0';
    return code;
}

static void print_texts(const char *before, const json_t *list)
{
    json_t *item;
    size_t i;
    json_array_foreach((json_t *)list, i, item)
    {
        const char *member = json_str(item, "member", "");
        printf("%s", before);
        if (*member) {
            cli__put(member, false);
            printf(": ");
        }
        cli__put(json_is_string(item) ? json_string_value(item) : json_str(item, "text", ""),
                 false);
        putchar('\n');
    }
}

static void print_report(const json_t *report)
{
    const json_t *payloads = json_object_get(report, "payloads"),
                 *problems = json_object_get(report, "problems");
    bool ok = json_flag(report, "ok", false), intact = json_flag(report, "intact", false);
    printf("%s: %lld entries, %lld payloads disclosed, %lld withheld, %lld erased\n",
           ok       ? "good"
           : intact ? "not compared"
                    : "TAMPERED",
           (long long)json_int(report, "entries", 0),
           (long long)json_int(payloads, "disclosed", 0) +
               (long long)json_int(payloads, "attested", 0),
           (long long)json_int(payloads, "withheld", 0),
           (long long)json_int(payloads, "erased", 0));
    printf("made    ");
    cli__put(json_str(report, "created", ""), false);
    printf("\nscope   ");
    cli__put(json_str(report, "scope", ""), false);
    putchar('\n');
    json_t *keys = json_object_get(report, "keys");
    if (json_array_size(keys)) {
        printf("key     ");
        cli__put(json_string_value(json_array_get(keys, json_array_size(keys) - 1)), false);
        printf("%s\n", json_flag(report, "pinned", false) ? " (the one that was given)"
                                                          : " (from the bundle)");
    }
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(report, "cosigned"), i, one)
    {
        printf("witness ");
        cli__put(json_str(one, "witness", ""), false);
        printf(", %lld entries, ", (long long)json_int(one, "size", 0));
        cli__put(json_str(one, "at", ""), false);
        printf("%s\n", json_flag(one, "given", false) ? " (a key that was given)"
                                                      : " (its key is from the bundle)");
    }
    printf("proved  ");
    cli__put(json_str(report, "proved", ""), false);
    putchar('\n');
    print_texts("note    ", json_object_get(report, "warnings"));
    print_texts("problem ", problems);
    long long more = json_int(report, "problem_count", 0) - (long long)json_array_size(problems);
    if (more > 0)
        printf("and %lld more problems\n", more);
}

int cli_bundle_run(struct cli *c, cli_bundle_verify *verify)
{
    struct error e = {0};
    struct buf bytes = {0}, key = {0};
    int status = EXIT_DONE;
    char *notes = c->checkpoint ? cli__read_checkpoints(c->checkpoint, &status) : NULL;
    char *witnesses =
        c->witness && status == EXIT_DONE ? cli__read_file(c->witness, &status) : NULL;
    if (status == EXIT_DONE && ((c->key && read_key(c->key, &key, &e) != ERR_OK) ||
                                read_file(c->bundle, BUNDLE_MOST, &bytes, &e) != ERR_OK))
        status = cli_error(&e);
    if (status == EXIT_DONE) {
        json_t *report = verify(bytes.data, bytes.len, c->key ? key.data : NULL, notes, witnesses);
        if (c->json)
            cli__print_json(report);
        else
            print_report(report);
        if (!json_flag(report, "ok", false))
            status = json_flag(report, "intact", false) ? EXIT_FAILED : EXIT_TAMPERED;
        json_decref(report);
    }
    buf_release(&bytes);
    buf_release(&key);
    free(notes);
    free(witnesses);
    return cli_flush(status);
}
