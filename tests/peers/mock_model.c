/* A model server with exact control, for tests and figures: one thread, epoll, no wait that a plan
 * does not ask for. It speaks OpenAI's chat, Ollama's, Anthropic's Messages, embeddings, lists of
 * models, moderation, and an exchange of tokens, on the loopback.
 *
 * It prints its port on the first line and ends when standard input does. What it does with a
 * request is said by the model's name, by the script, or by the path (mock_plan.h; `mock_model
 * --help` lists the words).
 *
 *   POST /mock/script  what the next requests get, in order: a list of lines, or of {behave, model,
 * path, times}; a line with a model, or a part of a path, waits for such a request GET  /mock/count
 * {requests, connections, open, now, most, cancels, tokens, statuses, models, keys, oauth} GET /log
 * each request: {model, path, said, headers, body, status, tokens, usage, disconnected, *_ns} POST
 * /mock/reset   forgets all of these
 *
 * usage: mock_model [--no-log] [FILE of the hostile text]
 */
#include "tests/peers/mock_count.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, AHEAD = 256 << 10, HEAD_MAX = 64 << 10, BODY_MAX = 64 << 20 };

/* ---- a request */

static bool ends_with(const char *path, const char *end)
{
    size_t a = strlen(path), b = strlen(end);
    return a >= b && strcmp(path + a - b, end) == 0;
}

static void answer_control(struct conn *c, const char *path, const char *body, size_t len)
{
    json_t *reply = NULL;
    if (strcmp(path, "/mock/count") == 0) {
        reply = count_json();
    } else if (strcmp(path, "/mock/script") == 0) {
        json_t *items = json_read(body, len, BODY_MAX, 16, NULL);
        for (size_t i = 0; i < json_array_size(items); i++)
            script_add(json_array_get(items, i));
        json_decref(items);
        reply = json_pack("{s:I}", "lines", (json_int_t)mock.script_len);
    } else if (strcmp(path, "/mock/reset") == 0) {
        forget();
        reply = json_object();
    } else {
        reply = json_array();
        for (size_t i = 0; i < mock.log_len; i++)
            json_array_append_new(reply, entry_json(mock.log[i]));
    }
    char *text = json_write(reply);
    plan_init(&c->plan);
    talk_whole(c, "application/json", text, strlen(text));
    free(text);
    json_decref(reply);
}

static json_t *headers_of(const char *head)
{
    json_t *headers = json_object();
    for (const char *line = strchr(head, '\n'); line && line[1] != '\r' && line[1];
         line = strchr(line + 1, '\n')) {
        const char *from = line + 1, *colon = strchr(from, ':'), *end = strpbrk(from, "\r\n");
        if (!colon || !end || colon > end)
            continue;
        char *name = xstrndup(from, (size_t)(colon - from));
        for (char *p = name; *p; p++)
            *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        for (colon++; *colon == ' ';)
            colon++;
        json_put(headers, name, json_text(colon, (size_t)(end - colon)));
        free(name);
    }
    return headers;
}

/* The key that came with a request. */
static const char *key_of(const json_t *headers)
{
    const char *auth = json_str(headers, "authorization", "");
    const char *space = strchr(auth, ' ');
    return space ? space + 1 : json_str(headers, "x-api-key", json_str(headers, "api-key", ""));
}

static void entry_begin(struct conn *c, const char *path, json_t *headers)
{
    struct mock_entry *e = xcalloc(1, sizeof *e);
    struct model_count *m = count_of(json_str(c->body, "model", ""));
    *e = (struct mock_entry){.model = xstrdup(m->name),
                             .path = xstrdup(path),
                             .headers = headers,
                             .began = clock_mono_ns()};
    e->key = xstrdup(key_of(headers));
    e->kept = !mock.no_log && mock.log_len < LOG_MAX;
    c->e = e;
    mock.requests++;
    m->requests++;
    if (++m->now > m->most)
        m->most = m->now;
    if (++mock.now > mock.most)
        mock.most = mock.now;
    if (*e->key)
        count_up(mock.keys, e->key);
    if (!e->kept)
        return;
    e->body = c->body ? json_incref(c->body) : NULL;
    if (mock.log_len == mock.log_cap) {
        mock.log_cap = mock.log_cap ? 2 * mock.log_cap : 256;
        mock.log = xrealloc(mock.log, mock.log_cap * sizeof *mock.log);
    }
    mock.log[mock.log_len++] = e;
}

/* Path words, then the script's line or else the model's name. */
static void plan_for(struct conn *c, const char *path)
{
    plan_init(&c->plan);
    if (strncmp(path, "/@", 2) == 0) {
        char *line = xstrndup(path + 2, strcspn(path + 2, "/"));
        plan_read(&c->plan, line);
        free(line);
    }
    char *line = script_take(c->e->model, path);
    if (!line)
        line = xstrdup(c->e->model);
    plan_read(&c->plan, line);
    if (c->plan
            .chaos) { /* a usage of its own for each request, so that none is taken for another */
        uint64_t n = (uint64_t)mock.requests;
        const char *fault = plan_chance((uint64_t)c->plan.chaos, n, c->plan.faulty);
        c->plan.in = (int64_t)(10 + n % 9973);
        c->plan.out = (int64_t)(5 + n % 4999);
        c->plan.cached = (int64_t)(n % 7);
        c->plan.cache_write = (int64_t)(n % 3);
        plan_read(&c->plan, fault);
        c->plan.cached = mock_least(c->plan.cached, c->plan.in);
        c->plan.cache_write = mock_least(c->plan.cache_write, c->plan.in - c->plan.cached);
        char *both = xasprintf("%s,%s", line, fault);
        free(line);
        line = both;
    }
    c->e->said = line;
}

static void check_key(struct conn *c)
{
    struct plan *p = &c->plan;
    const char *key = c->e->key;
    if ((*p->key && strcmp(p->key, key) != 0) || (p->oauth && !other_token_fits(key)))
        p->status = 401;
    if (*p->limit_key && strcmp(p->limit_key, key) == 0) {
        p->status = 429;
        p->retry = p->retry < 0 ? 1 : p->retry;
    }
}

static enum mock_api api_of(const char *path)
{
    if (strstr(path, "/api/"))
        return API_OLLAMA;
    return ends_with(path, "/messages") ? API_ANTHROPIC : API_OPENAI;
}

/* A request that was read whole. */
static void begin(struct conn *c, const char *path, const char *head, const char *body, size_t len)
{
    if (strncmp(path, "/mock/", 6) == 0 || strcmp(path, "/log") == 0) {
        answer_control(c, path, body, len);
        return;
    }
    json_decref(c->body);
    c->body = json_read(body, len, BODY_MAX, 64, NULL);
    entry_begin(c, path, headers_of(head));
    plan_for(c, path);
    check_key(c);
    c->api = api_of(path);
    c->stream = json_flag(c->body, "stream", c->api == API_OLLAMA) && !c->plan.whole;
    c->wants_usage = json_flag(json_object_get(c->body, "stream_options"), "include_usage", false);
    c->body_bytes = c->events = c->token = c->thought = c->block_index = 0;
    c->block = 0;
    c->text_at = 0;
    c->token_base = 0;
    mock_text(c, &mock.hostile);
    c->phase = c->plan.hang ? MOCK_HOLD : MOCK_HEAD;
    c->due = c->e->began + (uint64_t)c->plan.head * 1000000;
    c->hurry = !c->plan.hang;
    if (c->plan.drop) {
        c->close = true;
        talk_over(c);
    }
    if (ends_with(path, "/oauth") && c->plan.status == 200 && !c->plan.hang && !c->plan.drop)
        other_token(c, body);
}

/* ---- the answer */

static void answer_error(struct conn *c)
{
    const char *kind = c->plan.body;
    if (strcmp(kind, "plain") == 0) {
        talk_whole(c, "text/plain", "upstream is\nbeing mended", 24);
        return;
    }
    if (strcmp(kind, "html") == 0) {
        talk_whole(c, "text/html", "<html><body>bad gateway</body></html>", 37);
        return;
    }
    if (strcmp(kind, "empty") == 0) {
        talk_whole(c, "", "", 0);
        return;
    }
    char *words = strcmp(kind, "hostile") == 0 ? xasprintf("no, since %s", mock.hostile.data)
                  : c->plan.echo_key
                      ? xasprintf("bad key %s", json_str(c->e->headers, "authorization", c->e->key))
                  : c->plan.status == 429 ? xstrdup("too many requests")
                                          : xasprintf("broken in the mock with %lld\n\x1b[31m",
                                                      (long long)c->plan.status);
    struct buf b = shape_error(c, words);
    talk_whole(c, "application/json", b.data, b.len);
    buf_release(&b);
    free(words);
}

/* The text at once: for what is no stream. */
static struct buf whole_text(struct conn *c)
{
    struct buf all = {0};
    size_t len;
    buf_adds(&all, "");
    for (const char *piece; (piece = mock_next(c, &len)), len && c->token < 1 << 20; c->token++)
        buf_add(&all, piece, len);
    return all;
}

static void answer_whole(struct conn *c)
{
    struct buf text = whole_text(c);
    c->thought = c->plan.think;
    c->e->tokens = c->token + c->thought;
    struct buf b = shape_whole(c, text.data, text.len);
    talk_whole(c, "application/json", b.data, b.len);
    buf_release(&b);
    buf_release(&text);
}

static void answer_begins(struct conn *c)
{
    const char *path = c->e->path;
    if (c->plan.status != 200)
        answer_error(c);
    else if (strcmp(c->plan.type, "html") == 0)
        talk_whole(c, "text/html", "<html><body>login please</body></html>", 38);
    else if (ends_with(path, "/embeddings") || ends_with(path, "/api/embed"))
        other_embeddings(c, c->api == API_OLLAMA);
    else if (ends_with(path, "/moderations"))
        other_moderations(c);
    else if (ends_with(path, "/api/tags"))
        other_tags(c);
    else if (ends_with(path, "/models"))
        other_models(c, json_object_get(c->e->headers, "anthropic-version") != NULL);
    else if (ends_with(path, "/api/version"))
        talk_whole(c, "application/json", "{\"version\":\"0.0-mock\"}", 22);
    else if (ends_with(path, "/health") || ends_with(path, "/ready"))
        talk_whole(c, "application/json", "{\"status\":\"ok\"}", 15);
    else if (!c->stream)
        answer_whole(c);
    else {
        talk_head(c, c->api == API_OLLAMA ? "application/x-ndjson" : "text/event-stream", -1);
        c->phase = MOCK_TOKENS;
        c->due = clock_mono_ns() + (uint64_t)c->plan.first * 1000000;
    }
}

/* What the plan wants to go wrong before the next token. False when it did. */
static bool token_allowed(struct conn *c)
{
    const struct plan *p = &c->plan;
    if (p->stall == c->token) {
        c->phase = MOCK_HOLD;
        c->hurry = p->beat > 0;
    } else if (p->cut_tokens == c->token) {
        talk_cut(c);
    } else if (p->nonsense_at == c->token) {
        talk_event(c, NULL, "{oops");
        talk_finish(c);
    } else if (p->error_at == c->token) {
        char *words = strcmp(p->body, "hostile") == 0
                          ? xasprintf("it fell over: %s", mock.hostile.data)
                          : xstrdup("the card fell out");
        shape_stream_error(c, words);
        free(words);
        talk_finish(c);
    } else if (p->long_line) {
        char *line = xcalloc((size_t)p->long_line + 1, 1);
        memset(line, 'x', (size_t)p->long_line);
        talk_event(c, NULL, line);
        free(line);
        talk_finish(c);
    } else {
        return true;
    }
    return false;
}

static void answer_goes_on(struct conn *c)
{
    const struct plan *p = &c->plan;
    if (!token_allowed(c))
        return;
    if (!c->token_base) {
        c->token_base = c->e->first = clock_mono_ns();
        shape_begin(c);
        if (c->phase == MOCK_LAST)
            return;
    }
    if (c->thought < p->think) {
        const char *piece = !p->think_tag ? "secret plan "
                            : c->thought  ? "plan "
                                          : "<think>secret ";
        shape_piece(c, piece, strlen(piece), !p->think_tag);
        c->thought++;
        if (p->think_tag && c->thought == p->think && c->phase != MOCK_LAST)
            shape_piece(c, "</think>", 8, false);
    } else {
        size_t len;
        const char *piece = mock_next(c, &len);
        if (!len) {
            c->phase = MOCK_TAIL;
            return;
        }
        shape_piece(c, piece, len, false);
        c->token++;
    }
    c->e->tokens = c->token + c->thought;
    c->due = c->token_base + (uint64_t)c->e->tokens * plan_interval_ns(p);
    if (p->pause_at == c->token && p->pause) {
        c->due += (uint64_t)p->pause * 1000000;
        c->token_base += (uint64_t)p->pause * 1000000;
    }
}

static void answer_ends(struct conn *c)
{
    if (shape_calls(c) && !shape_tools(c))
        return;
    shape_end(c);
    if (c->phase == MOCK_LAST)
        return;
    if (c->plan.cut >= 0) /* beyond the whole body */
        talk_cut(c);
    else if (c->plan.linger)
        c->phase = MOCK_HOLD;
    else
        talk_finish(c);
    c->hurry = false;
}

/* ---- connections */

static void watch(struct conn *c, int events)
{
    events |= EPOLLRDHUP;
    if (c->watched == events)
        return;
    struct epoll_event ev = {.events = (uint32_t)events, .data.ptr = c};
    epoll_ctl(mock.epoll, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &ev);
    c->watched = events;
}

static void shut(struct conn *c)
{
    if (c->gone)
        return;
    if (c->e)
        entry_over(c, c->phase != MOCK_LAST || c->sent < c->out.len);
    if (c->reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
                   sizeof(struct linger));
    close(c->fd);
    c->gone = true;
}

static void read_requests(struct conn *c);

static void flush(struct conn *c)
{
    bool full = false;
    while (!c->gone && c->sent < c->out.len && !full && clock_mono_ns() >= c->write_due) {
        size_t n = c->out.len - c->sent;
        if (c->plan.write > 0 && (size_t)c->plan.write < n)
            n = (size_t)c->plan.write;
        ssize_t did = send(c->fd, c->out.data + c->sent, n, MSG_NOSIGNAL);
        full = did < 0 && errno == EAGAIN;
        if (did < 0 && !full)
            shut(c);
        if (did > 0)
            c->sent += (size_t)did;
        if (did > 0 && c->plan.gap)
            c->write_due = clock_mono_ns() + (uint64_t)c->plan.gap * 1000;
    }
    if (c->gone)
        return;
    if (c->sent == c->out.len) {
        buf_clear(&c->out);
        c->sent = 0;
    }
    if (c->phase == MOCK_LAST && !c->out.len) {
        if (c->e)
            entry_over(c, false);
        c->phase = MOCK_IDLE;
        c->write_due = 0;
        if (c->close)
            shut(c);
    }
    if (!c->gone)
        watch(c, (c->read_due ? 0 : EPOLLIN) | (full ? EPOLLOUT : 0));
}

static void advance(struct conn *c)
{
    while (!c->gone && c->hurry && c->out.len - c->sent < AHEAD && clock_mono_ns() >= c->due) {
        if (c->phase == MOCK_HEAD) {
            answer_begins(c);
        } else if (c->phase == MOCK_TOKENS) {
            answer_goes_on(c);
        } else if (c->phase == MOCK_TAIL) {
            answer_ends(c);
        } else if (c->phase == MOCK_HOLD) {
            const char *beat = c->api == API_OLLAMA ? "\n" : ": still there\n\n";
            talk_emit(c, beat, strlen(beat));
            c->due = clock_mono_ns() + (uint64_t)c->plan.beat * 1000000;
        } else {
            c->hurry = false;
        }
    }
    flush(c);
    if (!c->gone && c->phase == MOCK_IDLE && c->in.len)
        read_requests(c);
}

static int64_t number_after(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    return at ? strtol(at + strlen(name), NULL, 10) : 0;
}

/* The request at the front of what came, if it is there and whole. */
static void read_requests(struct conn *c)
{
    if (c->phase != MOCK_IDLE || !c->in.len)
        return;
    const char *end = memmem(c->in.data, c->in.len, "\r\n\r\n", 4);
    if (!end) {
        if (c->in.len > HEAD_MAX)
            shut(c);
        return;
    }
    size_t head_len = (size_t)(end - c->in.data) + 4;
    char *head = xstrndup(c->in.data, head_len);
    int64_t body_len = number_after(head, "\r\ncontent-length:");
    char *path = strchr(head, ' ')
                     ? xstrndup(strchr(head, ' ') + 1, strcspn(strchr(head, ' ') + 1, " ?\r"))
                     : xstrdup("/");
    const char *slow = strncmp(path, "/@", 2) == 0 ? strstr(path, "slow_read=") : NULL;
    if (body_len > BODY_MAX) {
        shut(c);
    } else if (c->in.len >= head_len + (size_t)body_len) {
        char *body = xstrndup(c->in.data + head_len, (size_t)body_len);
        buf_drop(&c->in, head_len + (size_t)body_len);
        c->read_due = 0;
        c->close = strcasestr(head, "\r\nconnection: close\r\n") != NULL;
        begin(c, path, head, body, (size_t)body_len);
        free(body);
        advance(c);
    } else if (slow) {
        c->plan.slow_read = strtol(slow + 10, NULL, 10);
        c->read_due = clock_mono_ns() + 20000000;
        watch(c, 0);
    }
    free(path);
    free(head);
}

static void on_readable(struct conn *c)
{
    static char bytes[1 << 16];
    size_t want = c->in.len ? sizeof bytes : 4096;
    if (c->read_due)
        want = (size_t)mock_least((int64_t)sizeof bytes, 1 + c->plan.slow_read / 50);
    ssize_t n = recv(c->fd, bytes, want, 0);
    if (n > 0) {
        buf_add(&c->in, bytes, (size_t)n);
        read_requests(c);
    } else if (n == 0 || errno != EAGAIN) {
        shut(c);
    }
}

static void on_connection(void)
{
    int fd = accept4(mock.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), yes = 1;
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct conn *c = xcalloc(1, sizeof *c);
    c->fd = fd;
    c->next = mock.conns;
    mock.conns = c;
    mock.connections++;
    watch(c, EPOLLIN);
}

static void conns_sweep(void)
{
    for (struct conn **at = &mock.conns; *at;) {
        struct conn *c = *at;
        if (!c->gone) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        buf_release(&c->in);
        buf_release(&c->out);
        buf_release(&c->text);
        json_decref(c->body);
        free(c);
    }
}

/* When something is to be done next; 0: nothing waits for time. */
static uint64_t next_due(void)
{
    uint64_t due = 0;
    for (const struct conn *c = mock.conns; c; c = c->next) {
        uint64_t mine[3] = {0};
        if (c->hurry && c->out.len - c->sent < AHEAD)
            mine[0] = c->due + 1;
        if (c->out.len > c->sent && c->write_due && !(c->watched & EPOLLOUT))
            mine[1] = c->write_due;
        mine[2] = c->read_due;
        for (int i = 0; i < 3; i++)
            if (mine[i] && (!due || mine[i] < due))
                due = mine[i];
    }
    return due;
}

static void serve(void)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        uint64_t due = next_due(), now = clock_mono_ns(), left = due > now ? due - now : 0;
        struct timespec wait = {.tv_sec = (time_t)(left / 1000000000u),
                                .tv_nsec = (long)(left % 1000000000u)};
        int n = epoll_pwait2(mock.epoll, events, EVENTS, due ? &wait : NULL, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            char byte;
            if (c == (void *)&mock.listener)
                on_connection();
            else if (!c && read(0, &byte, 1) <= 0)
                return;
            else if (c && !c->gone && events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) &&
                     !(events[i].events & EPOLLIN && c->phase == MOCK_IDLE))
                shut(c);
            else if (c && !c->gone && events[i].events & EPOLLIN)
                on_readable(c);
        }
        now = clock_mono_ns();
        for (struct conn *c = mock.conns; c; c = c->next) {
            if (!c->gone && c->read_due && c->read_due <= now) {
                on_readable(c);
                c->read_due = c->read_due ? now + 20000000 : 0;
            }
            if (!c->gone && (c->hurry || c->out.len > c->sent))
                advance(c);
        }
        conns_sweep();
    }
}

static int listen_anywhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    mock.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (mock.listener < 0 || bind(mock.listener, (struct sockaddr *)&at, sizeof at) ||
        listen(mock.listener, 1024) || getsockname(mock.listener, (struct sockaddr *)&at, &len))
        return -1;
    mock.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &mock.listener},
                       in = {.events = EPOLLIN};
    epoll_ctl(mock.epoll, EPOLL_CTL_ADD, mock.listener, &ev);
    epoll_ctl(mock.epoll, EPOLL_CTL_ADD, 0, &in);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    mock.statuses = json_object();
    mock.keys = json_object();
    buf_adds(&mock.hostile, "");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            plan_help();
            return 0;
        }
        if (strcmp(argv[i], "--no-log") == 0) {
            mock.no_log = true;
            continue;
        }
        FILE *f = fopen(argv[i], "r");
        char bytes[4096];
        for (size_t n; f && (n = fread(bytes, 1, sizeof bytes, f));)
            buf_add(&mock.hostile, bytes, n);
        if (!f || fclose(f)) {
            perror(argv[i]);
            return 1;
        }
    }
    if (listen_anywhere()) {
        perror("mock_model");
        return 1;
    }
    serve();
    return 0;
}
