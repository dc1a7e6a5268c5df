/* The runs of an HTTP connector: sign in, ask, read on a worker, ask on, shape on a worker, answer.
 *
 * Invariants
 * R1 A run is in rest->runs exactly while its call is under way here. One whose call was cancelled
 *    while a worker has it is `orphan`: the worker's end frees it, and nothing else touches it.
 * R2 rest lives until the connector is freed and no run is left on a worker (refs).
 * R3 A token is for the hosts of the configuration only; it stands in headers, never in a text, and
 * is wiped when it is replaced or freed. */
#include "backend/connectors/rest.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum err conn__http_error(long status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429 ? ERR_REFUSED
                                                                           : ERR_UPSTREAM;
}

enum { SCOPES = 2, TOKEN_MAX = 8192, RETRY_MAX_S = 3600, ERROR_BYTES = 4096 };
/* A sign-in is renewed after this time, or sooner when it is refused (Keystone's last a day). */
static const uint64_t TOKEN_MS = 6ULL * 3600 * 1000;

enum stage { STAGE_ASK, STAGE_LOGIN, STAGE_SHAPE };

struct run {
    struct rest *rest;
    struct conn_call *call; /* NULL: a probe of start or check, or orphan */
    struct run *next;
    const struct rest_tool *tool; /* NULL: a probe */
    json_t *arguments, *answers;
    struct rest_ask ask;
    struct http_call *http;
    struct buf body;
    enum stage stage;
    bool orphan, working, signed_again, starting, versioning;
    unsigned asks;
    uint64_t began_ns;
    int64_t now_ms;
    struct host_out out;
    struct error error; /* of reading the body */
};

struct rest {
    struct conn *conn;
    const struct rest_kind *kind;
    const void *own;
    void (*free_own)(void *own);
    unsigned refs; /* R2 */
    bool running;
    char *base[REST_BASES];
    char *account, *user, *project, *token_header, *token_ref, *password_ref, *file;
    struct vault_text secret, password;
    char *token[SCOPES];
    uint64_t token_at_ms[SCOPES];
    uint64_t not_before_ms; /* A5 */
    struct run *runs;
};

/* ---- secrets and settings */

static void wipe_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static void unref(struct rest *r)
{
    if (--r->refs)
        return;
    for (int i = 0; i < REST_BASES; i++)
        free(r->base[i]);
    for (int i = 0; i < SCOPES; i++)
        wipe_free(r->token[i]);
    free(r->account);
    free(r->user);
    free(r->project);
    free(r->token_header);
    free(r->file);
    free(r->token_ref);
    free(r->password_ref);
    vault_text_wipe(&r->secret);
    vault_text_wipe(&r->password);
    if (r->free_own)
        r->free_own((void *)r->own);
    free(r);
}

/* A secret stands in the configuration as a reference only. */
static enum err check_reference(struct rest *r, const struct conf *conf, const char *key, char **at,
                                struct error *e)
{
    const char *name = conn__name(r->conn), *said = conf_str(conf, "connector", name, key);
    *at = xstrdup(said);
    if (!*said || vault_is_reference(said))
        return ERR_OK;
    return err_set(e, ERR_CONFIG, "%s: %s is a reference to a secret, as secret:NAME",
                   conf_where(conf, "connector", name, key), key);
}

/* Fetches what the references name; it may have changed since the last start. */
static enum err fetch_secrets(struct rest *r, struct error *e)
{
    vault_text_wipe(&r->secret);
    vault_text_wipe(&r->password);
    if (*r->token_ref && conn__secret(r->conn, r->token_ref, &r->secret, e) != ERR_OK)
        return e->code;
    if (*r->password_ref && conn__secret(r->conn, r->password_ref, &r->password, e) != ERR_OK)
        return e->code;
    if (r->secret.len > TOKEN_MAX || (r->secret.text && strpbrk(r->secret.text, "\r\n")))
        return err_set(e, ERR_CONFIG, "the token has line breaks or is too long");
    return ERR_OK;
}

/* It signs in before it asks: an access token is for the first scope only. */
static bool signs_in(const struct rest *r, int scope)
{
    return r->kind->login && r->password.text && (!r->secret.text || scope > 0);
}

/* The header that says who asks; NULL: none. The caller wipes. */
static char *auth_header(const struct rest *r, int scope)
{
    if (signs_in(r, scope))
        return r->token[scope] ? xasprintf("%s%s", r->kind->signed_header, r->token[scope]) : NULL;
    if (r->secret.text && *r->token_header)
        return xasprintf("%s: %s", r->token_header, r->secret.text);
    if (r->secret.text)
        return xasprintf("%s%s",
                         r->kind->token_header ? r->kind->token_header : "Authorization: Bearer ",
                         r->secret.text);
    return r->password.text && !r->kind->login ? rest__basic(r->user, r->password.text) : NULL;
}

/* A1: an address without a query, a fragment or a user; one slash less at its end. */
static enum err read_base(struct rest *r, const struct conf *conf, enum rest_base which,
                          const char *key, const char *otherwise, struct error *e)
{
    const char *name = conn__name(r->conn), *said = conf_str(conf, "connector", name, key);
    if (!*said)
        said = otherwise ? otherwise : "";
    bool http = strncmp(said, "http://", 7) == 0 || strncmp(said, "https://", 8) == 0;
    if (*said && (!http || strpbrk(said, "?#@ ")))
        return err_set(e, ERR_CONFIG,
                       "%s: %s is an http or https address without a user, a query or a fragment",
                       conf_where(conf, "connector", name, key), key);
    if (!*said && which == REST_URL && !*r->file)
        return err_set(e, ERR_CONFIG, "[connector \"%s\"]: url is missing", name);
    size_t len = strlen(said);
    while (len && said[len - 1] == '/')
        len--;
    r->base[which] = xstrndup(said, len);
    return ERR_OK;
}

struct rest *rest__make(struct conn *c, const struct conf *conf, const struct rest_kind *kind,
                        const void *own, void (*free_own)(void *own), struct error *e)
{
    static const char *const keys[REST_BASES] = {"url", "identity_url", "compute_url"};
    const char *name = conn__name(c),
               *defaults[] = {kind->url, kind->identity_url, kind->compute_url};
    struct rest *r = xcalloc(1, sizeof *r);
    *r = (struct rest){
        .conn = c, .kind = kind, .own = own, .free_own = free_own, .refs = 1, .running = false};
    r->account = xstrdup(conf_str(conf, "connector", name, "account"));
    r->user = xstrdup(conf_str(conf, "connector", name, "user"));
    r->project = xstrdup(conf_str(conf, "connector", name, "project"));
    r->token_header = xstrdup(conf_str(conf, "connector", name, "token_header"));
    r->file = xstrdup(kind->file ? conf_str(conf, "connector", name, "file") : "");
    bool fine = check_reference(r, conf, "token", &r->token_ref, e) == ERR_OK &&
                check_reference(r, conf, "password", &r->password_ref, e) == ERR_OK;
    if (fine && strpbrk(r->token_header, ": \r\n\t")) {
        err_set(e, ERR_CONFIG, "%s: token_header is the name of a header",
                conf_where(conf, "connector", name, "token_header"));
        fine = false;
    }
    for (int i = 0; i < REST_BASES && fine; i++)
        fine = read_base(r, conf, (enum rest_base)i, keys[i], defaults[i], e) == ERR_OK;
    if (fine)
        return r;
    r->free_own = NULL; /* stays the caller's on failure */
    unref(r);
    return NULL;
}

static struct rest_view view_of(const struct run *run)
{
    const struct rest *r = run->rest;
    return (struct rest_view){
        .account = r->account,
        .user = r->user,
        .project = r->project,
        .password = run->stage == STAGE_LOGIN && r->password.text ? r->password.text : "",
        .now_ms = run->now_ms,
        .own = r->own};
}

/* ---- runs */

static void ask_release(struct rest_ask *ask)
{
    if (ask->path.data)
        explicit_bzero(ask->path.data, ask->path.len);
    buf_release(&ask->path);
    json_decref(ask->body);
    *ask = (struct rest_ask){0};
}

static void run_unlink(struct run *run)
{
    struct run **at = &run->rest->runs;
    while (*at && *at != run)
        at = &(*at)->next;
    if (*at)
        *at = run->next;
}

static void run_free(struct run *run)
{
    struct rest *r = run->rest;
    run_unlink(run);
    http_cancel(run->http);
    ask_release(&run->ask);
    buf_release(&run->body);
    json_decref(run->arguments);
    json_decref(run->answers);
    if (run->out.data)
        host__out_release(&run->out);
    free(run);
    unref(r);
}

/* Nobody waits for it any more. */
static void run_drop(struct run *run)
{
    run->call = NULL;
    if (run->working) {
        run_unlink(run);
        run->orphan = true;
    } else {
        run_free(run);
    }
}

static struct run *run_new(struct rest *r, const struct rest_tool *tool)
{
    struct run *run = xcalloc(1, sizeof *run);
    run->rest = r;
    run->tool = tool;
    run->answers = json_array();
    run->began_ns = clock_mono_ns();
    run->now_ms = clock_real_ms();
    run->next = r->runs;
    r->runs = run;
    r->refs++;
    return run;
}

static void run_fail(struct run *run, enum err code, const char *why)
{
    struct rest *r = run->rest;
    if (run->call) {
        conn__call_fail(run->call, code, why);
    } else if (run->starting) {
        r->running = false;
        run_free(run);
        conn__down(r->conn, code, why);
        return;
    } else {
        conn__checked(r->conn, 0, code, why);
    }
    run_free(run);
}

static void run_on(struct run *run);

enum err rest__next_path(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                         bool *more, struct error *e)
{
    (void)v;
    (void)arguments;
    (void)e;
    *more = json_array_size(answers) == 0;
    if (*more)
        buf_adds(&ask->path, t->own);
    return ERR_OK;
}

/* ---- what a worker does (A3) */

static void read_work(void *arg)
{
    struct run *run = arg;
    json_t *answer = json_read(run->body.data ? run->body.data : "", run->body.len, REST_MAX_BODY,
                               REST_MAX_DEPTH, &run->error);
    if (answer)
        json_array_append_new(run->answers, answer);
}

/* The file in place of a peer; a special one or a directory is refused. */
static void file_work(void *arg)
{
    struct run *run = arg;
    const char *path = run->rest->file;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_set_errno(&run->error, "reading", path);
        return;
    }
    char block[65536];
    ssize_t n = 0;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        err_set(&run->error, ERR_INVALID, "%s is no plain file", path);
    while (run->error.code == ERR_OK && (n = read(fd, block, sizeof block)) > 0) {
        buf_add(&run->body, block, (size_t)n);
        if (run->body.len > REST_MAX_BODY)
            err_set(&run->error, ERR_TOO_BIG, "%s is larger than 16 MiB", path);
    }
    if (n < 0)
        err_set_errno(&run->error, "reading", path);
    close(fd);
    if (run->error.code == ERR_OK)
        read_work(run);
}

static void shape_work(void *arg)
{
    struct run *run = arg;
    struct rest_view v = view_of(run);
    host__out_init(&run->out);
    run->tool->shape(&v, run->tool, run->arguments, run->answers, &run->out);
}

static void shape_done(void *arg, bool cancelled)
{
    struct run *run = arg;
    run->working = false;
    if (run->orphan) {
        run_free(run);
    } else if (cancelled) {
        run_fail(run, ERR_CLOSED, "the console is stopping");
    } else if (run->out.error.code != ERR_OK) {
        run_fail(run, run->out.error.code, run->out.error.detail);
    } else {
        char *text = host__out_text(&run->out);
        if (strlen(text) > REST_MAX_TEXT) {
            size_t at = REST_MAX_TEXT;
            while (at > 0 && text[at] != '\n')
                at--;
            text[at] = '\0';
        }
        conn__call_done(run->call, false, text, json_incref(run->out.data));
        run_free(run);
    }
}

static void start_shaping(struct run *run)
{
    run->working = true;
    run->stage = STAGE_SHAPE;
    loop_work(conn__loop(run->rest->conn), shape_work, shape_done, run);
}

/* ---- answers */

/* The peer's words of an error, clean and short; NULL: none. */
static char *error_words(const struct run *run)
{
    static const char *const usual[] = {"/error/message", "/error", "/message", "/msg", "/detail"};
    struct error e;
    struct buf words = {0};
    json_t *answer = json_read(run->body.data ? run->body.data : "", run->body.len, ERROR_BYTES * 4,
                               REST_MAX_DEPTH, &e);
    bool found = answer && run->rest->kind->words && run->rest->kind->words(answer, &words);
    for (size_t i = 0; answer && !found && i < sizeof usual / sizeof *usual; i++) {
        const json_t *at = rest__at(answer, usual[i]);
        found = json_is_string(at) && json_string_length(at) > 0;
        if (found)
            rest__words(at, 160, &words);
    }
    if (!found && run->body.len && run->body.len < 200 &&
        !memchr(run->body.data, '<', run->body.len))
        buf_add(&words, run->body.data, run->body.len); /* plain text, as proxies answer */
    json_decref(answer);
    char *clean = words.len ? text_cleaned(words.data, TEXT_ONE_LINE) : NULL;
    buf_release(&words);
    return clean;
}

/* Seconds of Retry-After, at most an hour; 1 if it says nothing. */
static int64_t retry_after(const struct http_call *http)
{
    int64_t ms = http_retry_after_ms(http);
    int64_t seconds = ms / 1000;
    return seconds < 1 ? 1 : seconds < RETRY_MAX_S ? seconds : RETRY_MAX_S;
}

static void forget_tokens(struct rest *r)
{
    for (int i = 0; i < SCOPES; i++) {
        wipe_free(r->token[i]);
        r->token[i] = NULL;
    }
}

/* A status that is no success. */
static void refused(struct run *run, long status)
{
    struct rest *r = run->rest;
    bool get = !run->ask.method || strcmp(run->ask.method, "GET") == 0;
    if (status == 401 && run->stage == STAGE_ASK && signs_in(r, run->ask.scope) && get &&
        !run->signed_again) {
        run->signed_again = true; /* A4: the sign-in ran out */
        forget_tokens(r);
        run_on(run);
        return;
    }
    char *said = error_words(run), *why;
    const char *colon = said ? ": " : "", *words = said ? said : "";
    if (status == 429) {
        int64_t seconds = retry_after(run->http);
        r->not_before_ms = clock_mono_ms() + (uint64_t)seconds * 1000;
        why = xasprintf("429: too many requests; again in %lld s%s%s", (long long)seconds, colon,
                        words);
    } else {
        why = xasprintf("%ld%s%s%s", status,
                        status == 401   ? ": the token, or the user and password, are not accepted"
                        : status == 403 ? ": not allowed with this token or user"
                                        : "",
                        colon, words);
    }
    free(said);
    run->http = NULL;
    if (run->call && run->stage == STAGE_ASK &&
        (status == 400 || status == 404 || status == 409 ||
         status == 422)) { /* the arguments' fault */
        char *clean = text_cleaned(why, TEXT_ONE_LINE);
        conn__call_done(run->call, true, clean, NULL);
        run_free(run);
    } else {
        run_fail(run, status == 429 ? ERR_OVERLOADED : conn__http_error(status), why);
    }
    free(why);
}

static bool keep_token(struct run *run)
{
    struct rest *r = run->rest;
    const char *token = http_header(run->http, r->kind->login_header);
    int scope = run->ask.scope;
    if (!token || !*token || strlen(token) > TOKEN_MAX || strpbrk(token, "\r\n"))
        return false;
    wipe_free(r->token[scope]);
    r->token[scope] = xstrdup(token);
    r->token_at_ms[scope] = clock_mono_ms();
    return true;
}

/* A probe that needs no JSON is over with its status. */
static bool probe_is_over(struct run *run)
{
    struct rest *r = run->rest;
    if (run->tool || run->versioning)
        return false;
    if (run->starting && r->kind->about) {
        run->versioning = true;
        run_on(run);
    } else if (run->starting) {
        conn__up(r->conn, NULL, NULL);
        run_free(run);
    } else {
        conn__checked(r->conn, (double)(clock_mono_ns() - run->began_ns) / 1e6, ERR_OK, NULL);
        run_free(run);
    }
    return true;
}

static void read_done(void *arg, bool cancelled)
{
    struct run *run = arg;
    run->working = false;
    buf_release(&run->body);
    if (run->orphan) {
        run_free(run);
    } else if (cancelled) {
        run_fail(run, ERR_CLOSED, "the console is stopping");
    } else if (run->error.code != ERR_OK) {
        bool file = *run->rest->file != '\0';
        char *why = xasprintf(
            "%s%s", file ? "" : "the answer is no JSON that can be read: ", run->error.detail);
        run_fail(run, file ? run->error.code : ERR_PROTOCOL, why);
        free(why);
    } else if (!probe_is_over(run)) {
        run_on(run);
    }
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct run *run = arg;
    buf_add(&run->body, bytes, len);
    return true;
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct run *run = arg;
    struct rest *r = run->rest;
    if (e->code != ERR_OK) {
        run->http = NULL;
        run_fail(run, e->code, e->detail);
        return;
    }
    int64_t expires = http_cert_expires_at(run->http);
    if (expires) /* a connection that was used before tells none */
        conn__certificate(r->conn, expires);
    if (status < 200 || status > 299) {
        refused(run, status);
        return;
    }
    bool login = run->stage == STAGE_LOGIN, kept = !login || keep_token(run);
    run->http = NULL;
    if (login) {
        buf_release(&run->body);
        if (kept)
            run_on(run);
        else
            run_fail(run, ERR_PROTOCOL, "the sign-in brought no token");
        return;
    }
    if (probe_is_over(run))
        return;
    if (!run->body.len && run->ask.method && strcmp(run->ask.method, "GET") != 0)
        buf_adds(&run->body, "{}"); /* what was done needs no words */
    run->working = true;
    loop_work(conn__loop(r->conn), read_work, read_done, run);
}

/* ---- asking */

/* A1: libcurl would take "." and ".." out of the path, and so ask for another thing. */
static bool has_dot_segment(const char *path)
{
    size_t len = strcspn(path, "?");
    for (size_t at = 0; at < len; at++) {
        size_t n = 0;
        while (at + n < len && path[at + n] != '/')
            n++;
        if ((n == 1 && path[at] == '.') || (n == 2 && path[at] == '.' && path[at + 1] == '.'))
            return true;
        at += n;
    }
    return false;
}

static void send_ask(struct run *run)
{
    struct rest *r = run->rest;
    const struct rest_ask *ask = &run->ask;
    static const struct http_ops ops = {.data = on_data, .done = on_done};
    if (++run->asks > REST_MAX_ASKS) {
        run_fail(run, ERR_TOO_BIG, "the answer needs too many requests");
        return;
    }
    if (has_dot_segment(ask->path.data ? ask->path.data : "")) {
        run_fail(run, ERR_INVALID, "an argument makes a path with . or ..");
        return;
    }
    if (*r->file) {
        run->working = true;
        loop_work(conn__loop(r->conn), file_work, read_done, run);
        return;
    }
    if (!*r->base[ask->base]) {
        run_fail(run, ERR_CONFIG, "an address that this needs is not configured");
        return;
    }
    char *url = xasprintf("%s%s", r->base[ask->base], ask->path.data ? ask->path.data : "");
    char *body = ask->body ? json_write(ask->body) : NULL;
    char *auth = run->stage == STAGE_ASK ? auth_header(r, ask->scope) : NULL;
    const char *headers[4];
    size_t n = 0;
    headers[n++] = "Accept: application/json";
    if (body)
        headers[n++] = "Content-Type: application/json";
    if (auth)
        headers[n++] = auth;
    headers[n] = NULL;
    struct error e = {0};
    buf_release(&run->body);
    run->http = http_start(conn__loop(r->conn),
                           &(struct http_options){.method = ask->method,
                                                  .url = url,
                                                  .headers = headers,
                                                  .body = body,
                                                  .body_len = body ? strlen(body) : 0,
                                                  .total_ms = 120000,
                                                  .max_bytes = REST_MAX_BODY,
                                                  .certificate = true,
                                                  .ca_file = conn__ca_file(r->conn)},
                           &ops, run, &e);
    wipe_free(auth);
    wipe_free(body);
    free(url);
    if (!run->http)
        run_fail(run, e.code, e.detail);
}

/* The request that comes next, into run->ask; false: nothing is missing any more, or *e. */
static bool next_ask(struct run *run, bool *more, struct error *e)
{
    const struct rest_kind *kind = run->rest->kind;
    struct rest_view v = view_of(run);
    ask_release(&run->ask);
    *more = true;
    if (run->tool)
        return run->tool->next(&v, run->tool, run->arguments, run->answers, &run->ask, more, e) ==
                   ERR_OK &&
               *more;
    buf_adds(&run->ask.path, run->versioning ? kind->about : kind->check);
    return true;
}

static void version_is_known(struct run *run)
{
    struct rest *r = run->rest;
    const json_t *at =
        rest__at(json_array_get(run->answers, 0), r->kind->version_at ? r->kind->version_at : "");
    char *version = json_is_string(at) ? rest__name(at) : NULL;
    conn__up(r->conn, version, NULL);
    free(version);
    run_free(run);
}

static void run_on(struct run *run)
{
    struct rest *r = run->rest;
    bool more = true;
    struct error e = {0};
    if (run->versioning && json_array_size(run->answers)) {
        version_is_known(run);
        return;
    }
    run->stage = STAGE_ASK;
    if (!next_ask(run, &more, &e)) {
        if (e.code != ERR_OK)
            run_fail(run, e.code, e.detail);
        else
            start_shaping(run);
        return;
    }
    int scope = run->ask.scope;
    bool signs = signs_in(r, scope) && (run->tool || r->kind->check_signs);
    bool old = r->token[scope] && clock_mono_ms() - r->token_at_ms[scope] > TOKEN_MS;
    if (signs && (!r->token[scope] || old)) {
        ask_release(&run->ask);
        run->stage = STAGE_LOGIN;
        struct rest_view v = view_of(run);
        r->kind->login(&v, scope, &run->ask);
        run->ask.scope = scope;
    }
    send_ask(run);
}

/* ---- the connector */

static void probe(struct rest *r, bool starting)
{
    struct run *run = run_new(r, NULL);
    run->starting = starting;
    run_on(run);
}

void rest__start(void *self)
{
    struct rest *r = self;
    r->running = true;
    conn__tools_begin(r->conn);
    for (size_t i = 0; i < r->kind->tool_count; i++) {
        const struct rest_tool *t = &r->kind->tools[i];
        struct error e = {0};
        json_t *schema = json_read(t->schema, strlen(t->schema), 65536, 16, &e);
        BUG_IF(!schema);
        const struct conn_definition d = {.name = t->name,
                                          .title = t->title,
                                          .description = t->description,
                                          .input_schema = schema,
                                          .read_only = !t->acts};
        conn__tools_add(r->conn, &d);
    }
    conn__tools_end(r->conn);
    struct error e = {0};
    if (fetch_secrets(r, &e) == ERR_OK) {
        probe(r, true);
    } else {
        r->running = false;
        conn__down(r->conn, e.code, e.detail);
    }
}

void rest__stop(void *self, bool orderly)
{
    struct rest *r = self;
    (void)orderly;
    r->running = false;
    while (r->runs)
        run_drop(r->runs);
}

void rest__free(void *self)
{
    struct rest *r = self;
    rest__stop(r, false);
    unref(r);
}

enum err rest__call(void *self, struct conn_call *call, const char *tool, const json_t *arguments,
                    struct error *e)
{
    struct rest *r = self;
    const struct rest_tool *t = NULL;
    for (size_t i = 0; i < r->kind->tool_count && !t; i++)
        t = strcmp(r->kind->tools[i].name, tool) == 0 ? &r->kind->tools[i] : NULL;
    if (!t)
        return err_set(e, ERR_NOT_FOUND, "there is no tool %s", tool);
    uint64_t now = clock_mono_ms();
    uint64_t wait_s = now < r->not_before_ms ? (r->not_before_ms - now) / 1000 + 1 : 0;
    if (wait_s) /* A5 */
        return err_set(e, ERR_OVERLOADED, "%s asked not to be asked for another %llu s",
                       conn__name(r->conn), (unsigned long long)wait_s);
    struct run *run = run_new(r, t);
    run->arguments = json_deep_copy(arguments);
    struct rest_view v = view_of(run);
    bool more = true;
    enum err code = t->next(&v, t, run->arguments, run->answers, &run->ask, &more, e);
    if (code != ERR_OK) { /* what the arguments lack is told at once */
        run_free(run);
        return code;
    }
    run->call = call;
    run_on(run);
    return ERR_OK;
}

void rest__cancel(void *self, struct conn_call *call)
{
    struct rest *r = self;
    for (struct run *run = r->runs; run; run = run->next) {
        if (run->call == call) {
            run_drop(run);
            return;
        }
    }
}

void rest__check(void *self)
{
    struct rest *r = self;
    uint64_t now = clock_mono_ms();
    for (const struct run *run = r->runs; run; run = run->next) {
        if (!run->tool)
            return; /* an earlier one is still waited for */
    }
    if (now < r->not_before_ms)
        conn__checked(r->conn, 0, ERR_OVERLOADED, "it asked not to be asked so often");
    else
        probe(r, false);
}

void rest__describe(void *self, json_t *into)
{
    const struct rest *r = self;
    json_puts(into, "url", r->base[REST_URL]);
}
