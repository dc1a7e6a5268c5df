/* MCP on a child process's standard input and output: one JSON-RPC message a line.
 *
 * Invariants
 * S1 Everything the child makes us keep is bounded: lines (max_message), noise, stderr.
 * S3 A large line is parsed on a worker; until that is done nothing else is read, so messages stay
 * in order, and `later` holds at most what one turn of the loop read. S2 The child's group ends
 * with the run, or at the latest with this process (proc.c, proc_guard.c). */
#include "backend/connectors/mcp_frame.h"
#include "backend/connectors/mcp_wire.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { CLOSE_GRACE_MS = 150 /* the whole console stops in under 300 ms */ };

/* A large line on its way through a worker. */
struct parsing {
    struct stdio *stdio; /* NULL: the run is over */
    struct loop *loop;
    struct buf line;
    json_t *message;
};

struct stdio {
    struct mcp *mcp;
    struct conn *conn;
    char *command, *cwd;
    char **argv;
    char *env; /* as configured */
    struct proc *proc;
    struct mcp_frame frame;
    struct parsing *parsing; /* or NULL */
    struct buf later;
    struct conn__tail errors;
    bool stopped; /* asked to end: what it still says is not reported (W1) */
};

static void wipe_environment(char **env)
{
    for (size_t i = 0; env && env[i]; i++) {
        explicit_bzero(env[i], strlen(env[i]));
        free(env[i]);
    }
    free(env);
}

/* The next word of a list of names, cut off; NULL at the end. What is too long is passed over. */
static const char *next_word(const char **names, char word[256])
{
    while (**names) {
        *names += strspn(*names, " \t,;");
        size_t len = strcspn(*names, " \t,;");
        const char *at = *names;
        *names += len;
        if (len && len < 256) {
            memcpy(word, at, len);
            word[len] = '\0';
            return word;
        }
    }
    return NULL;
}

/* NAME hands on this process's own variable; NAME=secret:X is a secret by reference. */
static enum err check_environment(const char *names, struct error *e)
{
    char word[256];
    while (next_word(&names, word)) {
        const char *value = strchr(word, '=');
        if (value && (value == word || !vault_is_reference(value + 1)))
            return err_set(e, ERR_CONFIG,
                           "env: write NAME, or NAME=secret:X, NAME=env:X, NAME=credential:X");
    }
    return ERR_OK;
}

/* Made for each start, and wiped when the child has it. NULL with *e: a secret is not to be had. */
static char **environment(struct conn *c, const char *names, struct error *e)
{
    static const char *const always[] = {"PATH", "HOME", "LANG", "TERM"};
    enum { MOST = 64 };
    char **env = xcalloc(MOST + 1, sizeof *env), word[256];
    size_t n = 0;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        if (getenv(always[i]))
            env[n++] = xasprintf("%s=%s", always[i], getenv(always[i]));
    }
    while (n < MOST && next_word(&names, word)) {
        char *value = strchr(word, '=');
        struct vault_text secret = {0};
        if (!value && getenv(word)) {
            env[n++] = xasprintf("%s=%s", word, getenv(word));
        } else if (value) {
            if (conn__secret(c, value + 1, &secret, e) != ERR_OK) {
                wipe_environment(env);
                return NULL;
            }
            *value = '\0';
            env[n++] = xasprintf("%s=%s", word, secret.text);
            vault_text_wipe(&secret);
        }
    }
    return env;
}

static void stdio_free(void *arg);

static void *stdio_make(struct mcp *m, struct conn *c, const struct conf *conf, struct error *e)
{
    const char *name = conn__name(c);
    struct stdio *s = xcalloc(1, sizeof *s);
    s->mcp = m;
    s->conn = c;
    s->command = xstrdup(conf_str(conf, "connector", name, "command"));
    s->cwd = xstrdup(conf_str(conf, "connector", name, "cwd"));
    int64_t most = conf_int(conf, "connector", name, "max_message");
    s->frame.max = most < 65536 ? 65536 : most > (256 << 20) ? 256 << 20 : (size_t)most;
    s->env = xstrdup(conf_str(conf, "connector", name, "env"));
    struct error why = {0};
    const char *key = "env";
    if (check_environment(s->env, &why) == ERR_OK) {
        key = "command";
        s->argv = mcp__split_command(s->command, &why);
    }
    if (!s->argv) {
        const char *where = conf_where(conf, "connector", name, key);
        err_set(e, ERR_CONFIG, "%s: connector \"%s\": %s: %s", where, name, key, why.detail);
        stdio_free(s);
        return NULL;
    }
    return s;
}

static enum err stdio_send(void *arg, const struct mcp_outgoing *o)
{
    struct stdio *s = arg;
    if (!s->proc)
        return ERR_CLOSED;
    char *text = json_write(o->message); /* compact: no new line inside, since JSON escapes them */
    size_t len = strlen(text);
    text[len] = '\n'; /* in the place of the NUL: one write, one line */
    enum err code = proc_write(s->proc, text, len + 1);
    free(text);
    return code;
}

static void stdio_cancel(void *arg, int64_t id)
{
    (void)arg; /* a late answer is the core's to drop */
    (void)id;
}

static bool on_message(void *arg, const json_t *message)
{
    struct stdio *s = arg;
    return mcp__message(s->mcp, message);
}

static bool on_noise(void *arg, const char *line, size_t len)
{
    struct stdio *s = arg;
    return mcp__noise(s->mcp, line, len);
}

static void release_run(struct stdio *s)
{
    struct proc *p = s->proc;
    s->proc = NULL;
    if (s->parsing)
        s->parsing->stdio = NULL;
    s->parsing = NULL;
    buf_release(&s->frame.held);
    buf_release(&s->later);
    proc_free(p);
}

static void went_wrong(struct stdio *s, enum err code, const char *why)
{
    if (!s->stopped)
        mcp__down(s->mcp, code, why);
    release_run(s);
}

/* ---- large lines (S3) */

static void parse_work(void *arg)
{
    struct parsing *p = arg;
    p->message = mcp__frame_parse(p->line.data, p->line.len);
}

static void parsing_free_work(void *arg)
{
    struct parsing *p = arg;
    json_decref(p->message); /* millions of values: not on the loop either */
    p->message = NULL;
}

static void parsing_freed(void *arg, bool cancelled)
{
    struct parsing *p = arg;
    (void)cancelled;
    json_decref(p->message);
    buf_release(&p->line);
    free(p);
}

static void feed(struct stdio *s, const char *bytes, size_t len);

static void parse_done(void *arg, bool cancelled)
{
    static const struct mcp_frame_ops ops = {.message = on_message, .noise = on_noise};
    struct parsing *p = arg;
    struct stdio *s = p->stdio;
    bool on = false;
    if (s)
        s->parsing = NULL; /* also of a run that was stopped meanwhile: p goes */
    if (s && !cancelled && !s->stopped)
        on = mcp__frame_deliver(p->message, p->line.data, p->line.len, &ops, s);
    if (cancelled)
        parsing_freed(p, true);
    else
        loop_work(p->loop, parsing_free_work, parsing_freed, p);
    if (!on || !s->proc)
        return;
    struct buf later = s->later;
    s->later = (struct buf){0};
    proc_pause(s->proc, false);
    feed(s, later.data, later.len);
    buf_release(&later);
}

static bool on_large(void *arg, struct buf *line)
{
    struct stdio *s = arg;
    struct parsing *p = xcalloc(1, sizeof *p);
    p->stdio = s;
    p->loop = conn__loop(s->conn);
    p->line = *line;
    s->parsing = p;
    proc_pause(s->proc, true);
    loop_work(p->loop, parse_work, parse_done, p);
    return true;
}

/* One line at a time, so that what stands behind a large one waits for it. */
static void feed(struct stdio *s, const char *bytes, size_t len)
{
    static const struct mcp_frame_ops ops = {
        .message = on_message, .noise = on_noise, .large = on_large};
    const struct proc *run = s->proc;
    while (len && s->proc == run && !s->stopped && !s->parsing) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) + 1 : len;
        if (mcp__frame_feed(&s->frame, bytes, part, &ops, s) != ERR_OK) {
            char *why =
                xasprintf("it wrote a line longer than max_message, %zu bytes", s->frame.max);
            went_wrong(s, ERR_TOO_BIG, why);
            free(why);
            return;
        }
        bytes += part;
        len -= part;
    }
    if (len && s->proc == run && s->parsing)
        buf_add(&s->later, bytes, len);
}

static void on_output(void *arg, const char *bytes, size_t len)
{
    struct stdio *s = arg;
    if (s->parsing)
        buf_add(&s->later, bytes, len);
    else
        feed(s, bytes, len);
}

static void on_errors(void *arg, const char *bytes, size_t len)
{
    struct stdio *s = arg;
    conn__tail_feed(&s->errors, bytes, len);
}

static void on_exited(void *arg, int status)
{
    char *why = WIFSIGNALED(status)
                    ? xasprintf("its process was ended by signal %d", WTERMSIG(status))
                    : xasprintf("its process ended with status %d", WEXITSTATUS(status));
    went_wrong(arg, ERR_CLOSED, why);
    free(why);
}

static void stdio_start(void *arg)
{
    static const struct proc_ops ops = {
        .output = on_output, .errors = on_errors, .exited = on_exited};
    struct stdio *s = arg;
    struct error e = {0};
    release_run(s);
    s->stopped = false;
    conn__tail_mark(&s->errors); /* an error names this run's stderr only */
    char **env = environment(s->conn, s->env, &e);
    if (!env) {
        mcp__down(s->mcp, e.code, e.detail);
        return;
    }
    struct proc_options options = {.argv = (const char *const *)s->argv,
                                   .env = (const char *const *)env,
                                   .only_env = true,
                                   .cwd = *s->cwd ? s->cwd : NULL};
    s->proc = proc_start(conn__loop(s->conn), &options, &ops, s, &e);
    wipe_environment(env);
    if (s->proc)
        mcp__up(s->mcp);
    else
        mcp__down(s->mcp, e.code, e.detail);
}

static void stdio_stop(void *arg, bool orderly)
{
    struct stdio *s = arg;
    s->stopped = true;
    if (orderly && s->proc) /* the process stays until it ends, or until stdio_free */
        proc_close(s->proc, CLOSE_GRACE_MS);
    else
        release_run(s);
}

static void stdio_free(void *arg)
{
    struct stdio *s = arg;
    release_run(s);
    conn__tail_release(&s->errors);
    free(s->env);
    free(s->argv);
    free(s->command);
    free(s->cwd);
    free(s);
}

static void stdio_describe(void *arg, json_t *into)
{
    const struct stdio *s = arg;
    json_puts(into, "command", s->command);
    json_put(into, "stderr", conn__tail_json(&s->errors));
}

static void stdio_last_words(void *arg, struct buf *out)
{
    struct stdio *s = arg;
    conn__tail_flush(&s->errors);
    if (!s->errors.fresh)
        return;
    buf_adds(out, "stderr: ");
    conn__tail_last(&s->errors, 3, out);
}

static const struct mcp_wire_ops wire = {.make = stdio_make,
                                         .start = stdio_start,
                                         .send = stdio_send,
                                         .cancel = stdio_cancel,
                                         .stop = stdio_stop,
                                         .free = stdio_free,
                                         .describe = stdio_describe,
                                         .last_words = stdio_last_words};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return mcp__make(&wire, c, conf, e);
}

const struct conn_ops conn__mcp_ops = {.kind = "mcp-stdio", .make = make, MCP_CONN_OPS};
