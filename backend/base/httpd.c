/* The HTTP server. See D1 to D4 of httpd.h.
 *
 *      reading --whole--> asked --reply--> writing --all out--> reading the next, or closing
 *                         asked --begin--> streaming --end--> writing
 *
 * What is wrong with a request is answered, and the connection closed then. */
#include "backend/base/httpd.h"
#include "backend/base/text.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AGAIN_MS = 1000 };

struct connection {
    struct connection *next;
    struct httpd *server;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *timer;
    struct buf in, out;
    size_t sent;
    struct httpd__head head;
    struct httpd__chunks chunks;
    struct buf body;             /* of chunks that came */
    struct httpd_request *asked; /* or NULL */
    bool told_continue;
    bool last;    /* close behind what is in out */
    bool closing; /* all is sent: what still comes is thrown away until the peer closes */
    bool streaming, chunked, doomed;
    bool early; /* more came while an answer is under way: its end cannot be seen any more */
};
struct httpd_request {
    struct connection *from; /* NULL: gone */
    char method[16], path[512];
    char *head, *value; /* as it came; the field that was asked for last */
    char *also;         /* lines of the answer's header, or NULL */
    struct buf body;
    loop_fn *gone;
    void *gone_arg;
};
struct httpd {
    struct loop *loop;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *again;
    struct connection *connections;
    int count;
    bool ending;
    size_t body_max;
    httpd_fn *fn;
    void *arg;
    char address[64];
};

/* ---- the head of a request ---- */

static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] <= ' ' || s[i] > '~' || strchr("()<>@,;:\\\"/[]?={}", s[i]))
            return false;
    return len > 0;
}

static bool is(const char *s, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(s, word, len) == 0;
}

static int take_field(const char *line, size_t len, struct httpd__head *out)
{
    const char *colon = memchr(line, ':', len);
    if (!colon || !is_token(line, (size_t)(colon - line)))
        return 400;
    size_t name = (size_t)(colon - line);
    const char *value = colon + 1, *end = line + len;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t n = (size_t)(end - value);
    for (const char *c = value; c < end; c++)
        if ((unsigned char)*c < ' ' && *c != '\t')
            return 400;
    if (is(line, name, "content-length")) {
        if (out->body >= 0 || n == 0 || n > 15 || strspn(value, "0123456789") < n)
            return 400; /* two lengths are how requests are smuggled */
        out->body = strtoll(value, NULL, 10);
    } else if (is(line, name, "transfer-encoding")) {
        if (out->chunked)
            return 400;
        if (!is(value, n, "chunked"))
            return 501;
        out->chunked = true;
    } else if (is(line, name, "connection")) {
        out->keep &= !is(value, n, "close");
    } else if (is(line, name, "expect")) {
        out->continues = is(value, n, "100-continue");
    } else if (is(line, name, "host")) {
        if (out->hosted) /* which one was meant is how filters are passed */
            return 400;
        out->hosted = true;
    }
    return 200;
}

static int take_request_line(const char *line, size_t len, struct httpd__head *out)
{
    const char *path = memchr(line, ' ', len);
    if (!path || !is_token(line, (size_t)(path - line)))
        return 400;
    size_t method = (size_t)(path++ - line);
    const char *version = memchr(path, ' ', len - method - 1);
    if (!version || version == path)
        return 400;
    size_t n = (size_t)(version++ - path), left = len - method - n - 2;
    for (size_t i = 0; i < n; i++)
        if (path[i] <= ' ' || path[i] > '~')
            return 400;
    if (left != 8 || memcmp(version, "HTTP/", 5) != 0)
        return 400;
    if (memcmp(version, "HTTP/1.", 7) != 0)
        return 505;
    if (n >= sizeof out->path)
        return 414;
    if (method >= sizeof out->method)
        return 501;
    memcpy(out->method, line, method);
    memcpy(out->path, path, n);
    out->old = version[7] == '0';
    out->keep = !out->old;
    return 200;
}

int httpd__head_read(const char *bytes, size_t len, struct httpd__head *out)
{
    const char *at = bytes, *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end)
        return len > HTTPD_HEAD_MAX ? 431 : 0;
    *out = (struct httpd__head){.len = (size_t)(end - bytes) + 4, .body = -1};
    if (out->len > HTTPD_HEAD_MAX)
        return 431;
    if (memchr(bytes, '\0', out->len))
        return 400;
    for (int line = 0; at < end + 2; line++) {
        const char *next = memmem(at, (size_t)(end + 2 - at), "\r\n", 2);
        size_t n = (size_t)(next - at);
        int status = line ? take_field(at, n, out) : take_request_line(at, n, out);
        if (status != 200)
            return status;
        at = next + 2;
    }
    if (out->chunked && (out->body >= 0 || out->old)) /* what its length is depends on who reads */
        return 400;
    if (out->body < 0)
        out->body = 0;
    return 200;
}

const char *httpd__field(const char *head, const char *name, size_t *len)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
         line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        const char *value = line + n + 1, *end = strstr(line, "\r\n");
        while (*value == ' ' || *value == '\t')
            value++;
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        *len = (size_t)(end - value);
        return value;
    }
    return NULL;
}

/* ---- connections ---- */

static void listen_again(void *arg)
{
    struct httpd *h = arg;
    loop_watch_set(h->watch, h->count < HTTPD_CONNECTIONS ? LOOP_READ : 0);
}

static void drop(struct connection *c)
{
    struct httpd *h = c->server;
    for (struct connection **at = &h->connections; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    h->count--;
    struct httpd_request *asked = c->asked;
    loop_watch_free(c->watch);
    loop_timer_free(c->timer);
    close(c->fd);
    buf_release(&c->in);
    buf_release(&c->out);
    buf_release(&c->body);
    free(c);
    listen_again(h);
    if (!asked)
        return;
    asked->from = NULL;
    if (asked->gone && !h->ending)
        asked->gone(asked->gone_arg); /* may free it */
}

/* What the connection waits for: D2, and the end of a peer that waits for its answer. */
static void watch(struct connection *c)
{
    int events = c->out.len ? LOOP_WRITE : 0;
    if (c->asked ? c->asked->gone && !c->early : !c->out.len)
        events |= LOOP_READ;
    loop_watch_set(c->watch, events);
}

/* False if the connection is gone. */
static bool write_on(struct connection *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch(c);
            return true;
        }
        if (n <= 0) {
            drop(c);
            return false;
        }
        c->sent += (size_t)n;
        if (c->streaming && !c->doomed) /* D4 */
            loop_timer_start(c->timer, HTTPD_REQUEST_MS, 0);
    }
    buf_clear(&c->out);
    c->sent = 0;
    if (c->streaming && !c->doomed)
        loop_timer_stop(c->timer);
    else if (c->last) { /* closed with bytes unread, it would be reset, and the answer lost */
        c->closing = true;
        shutdown(c->fd, SHUT_WR);
        loop_timer_start(c->timer, HTTPD_REQUEST_MS, 0);
    }
    watch(c);
    return true;
}

static const char *words(int status)
{
    static const struct {
        int status;
        const char *words;
    } all[] = {{100, "Continue"},
               {200, "OK"},
               {202, "Accepted"},
               {204, "No Content"},
               {400, "Bad Request"},
               {401, "Unauthorized"},
               {403, "Forbidden"},
               {404, "Not Found"},
               {405, "Method Not Allowed"},
               {406, "Not Acceptable"},
               {409, "Conflict"},
               {413, "Content Too Large"},
               {414, "URI Too Long"},
               {415, "Unsupported Media Type"},
               {421, "Misdirected Request"},
               {422, "Unprocessable Content"},
               {429, "Too Many Requests"},
               {431, "Request Header Fields Too Large"},
               {500, "Internal Server Error"},
               {501, "Not Implemented"},
               {503, "Service Unavailable"},
               {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].status == status)
            return all[i].words;
    return "Unknown";
}

static void answer(struct connection *c, int status, const char *type, const char *headers,
                   const void *body, size_t len)
{
    buf_addf(&c->out, "HTTP/1.1 %d %s\r\n", status, words(status));
    if (type)
        buf_addf(&c->out, "Content-Type: %s\r\n", type);
    if (status != 204)
        buf_addf(&c->out, "Content-Length: %zu\r\n", len);
    buf_addf(&c->out, "%s%sX-Content-Type-Options: nosniff\r\n\r\n", headers,
             c->last ? "Connection: close\r\n" : "");
    buf_add(&c->out, body, len);
    loop_timer_start(c->timer, c->last ? HTTPD_REQUEST_MS : HTTPD_IDLE_MS, 0);
}

static void refuse(struct connection *c, int status)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%s\n", words(status));
    c->last = true;
    answer(c, status, "text/plain; charset=utf-8", "", text, (size_t)n);
    write_on(c);
}

static void ask(struct connection *c)
{
    struct httpd_request *r = xcalloc(1, sizeof *r);
    size_t body = (size_t)c->head.body;
    r->from = c;
    memcpy(r->method, c->head.method, sizeof r->method);
    memcpy(r->path, c->head.path, sizeof r->path);
    r->head = xstrndup(c->in.data, c->head.len);
    if (c->head.chunked) {
        r->body = c->body;
        c->body = (struct buf){0};
        c->chunks = (struct httpd__chunks){0};
    }
    buf_add(&r->body, c->in.data + c->head.len, body);
    buf_drop(&c->in, c->head.len + body);
    c->asked = r;
    c->last = !c->head.keep || c->in.len; /* requests ahead of an answer are not waited for */
    c->told_continue = c->early = false;
    loop_timer_stop(c->timer);
    loop_watch_set(c->watch, 0);
    c->server->fn(c->server->arg, r);
}

/* What came of the chunks goes from behind the head to the body. */
static int take_chunks(struct connection *c)
{
    size_t used, from = c->head.len;
    int status = httpd__chunks_read(&c->chunks, c->in.data + from, c->in.len - from,
                                    c->server->body_max, &used, &c->body);
    memmove(c->in.data + from, c->in.data + from + used, c->in.len - from - used + 1);
    c->in.len -= used;
    return status;
}

/* What has come so far; false if no more can be done with it now. */
static bool take(struct connection *c)
{
    int status = httpd__head_read(c->in.len ? c->in.data : "", c->in.len, &c->head);
    if (status == 0)
        return true;
    if (status == 200 && (uint64_t)c->head.body > c->server->body_max)
        status = 413;
    if (status != 200) {
        refuse(c, status);
        return false;
    }
    status = c->head.chunked                                   ? take_chunks(c)
             : c->in.len - c->head.len >= (size_t)c->head.body ? 200
                                                               : 0;
    if (status != 0 && status != 200) {
        refuse(c, status);
        return false;
    }
    if (status == 200) {
        ask(c);
        return false;
    }
    if (c->head.continues && !c->told_continue) {
        c->told_continue = true;
        buf_adds(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        return write_on(c);
    }
    return true;
}

static void read_on(struct connection *c)
{
    char bytes[4096];
    for (;;) {
        ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) {
            drop(c);
            return;
        }
        if (c->in.len == 0) /* the time of one request runs from its first byte */
            loop_timer_start(c->timer, HTTPD_REQUEST_MS, 0);
        buf_add(&c->in, bytes, (size_t)n);
        if (!take(c))
            return;
    }
}

/* Of a peer that waits for its answer. What it sends ahead stays in the kernel. */
static bool still_there(struct connection *c)
{
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN && errno != EWOULDBLOCK))
        return false;
    c->early = n > 0;
    watch(c);
    return true;
}

static void on_ready(void *arg, int events)
{
    struct connection *c = arg;
    if (c->closing) {
        char bytes[4096];
        if (recv(c->fd, bytes, sizeof bytes, 0) <= 0 && errno != EINTR)
            drop(c);
    } else if (c->asked && (events & LOOP_READ) && !still_there(c)) {
        drop(c);
    } else if (c->out.len) {
        if (events & LOOP_WRITE)
            write_on(c);
    } else if (!c->asked && (events & LOOP_READ)) {
        read_on(c);
    }
}

static void on_late(void *arg)
{
    drop(arg);
}

static void on_peer(void *arg, int events)
{
    struct httpd *h = arg;
    (void)events;
    while (h->count < HTTPD_CONNECTIONS) {
        int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) { /* no descriptors left: later again */
                loop_watch_set(h->watch, 0);
                loop_timer_start(h->again, AGAIN_MS, 0);
                return;
            }
            break;
        }
        struct connection *c = xcalloc(1, sizeof *c);
        c->server = h;
        c->fd = fd;
        c->watch = loop_watch_new(h->loop, fd, LOOP_READ, on_ready, c);
        c->timer = loop_timer_new(h->loop, on_late, c);
        loop_timer_start(c->timer, HTTPD_REQUEST_MS, 0);
        c->next = h->connections;
        h->connections = c;
        h->count++;
    }
    listen_again(h);
}

/* ---- requests ---- */

const char *httpd_method(const struct httpd_request *r)
{
    return r->method;
}

const char *httpd_path(const struct httpd_request *r)
{
    return r->path;
}

const struct buf *httpd_body(const struct httpd_request *r)
{
    return &r->body;
}

const char *httpd_header(struct httpd_request *r, const char *name)
{
    size_t len;
    const char *value = httpd__field(r->head, name, &len);
    free(r->value);
    r->value = value ? xstrndup(value, len) : NULL;
    return r->value;
}

void httpd_also(struct httpd_request *r, const char *headers)
{
    BUG_IF(r->also);
    r->also = xstrdup(headers);
}

void httpd_on_gone(struct httpd_request *r, loop_fn *fn, void *arg)
{
    r->gone = fn;
    r->gone_arg = arg;
    if (r->from)
        watch(r->from);
}

static struct connection *request_free(struct httpd_request *r)
{
    struct connection *c = r->from;
    if (c)
        c->asked = NULL;
    buf_release(&r->body);
    if (r->head) /* it may hold a token */
        explicit_bzero(r->head, strlen(r->head));
    if (r->value)
        explicit_bzero(r->value, strlen(r->value));
    free(r->head);
    free(r->value);
    free(r->also);
    free(r);
    return c;
}

void httpd_reply(struct httpd_request *r, int status, const char *type, const char *headers,
                 const void *body, size_t len)
{
    char *all = xasprintf("%s%s", r->also ? r->also : "", headers);
    struct connection *c = request_free(r);
    if (c) {
        answer(c, status, type, all, body, len);
        write_on(c);
    }
    free(all);
}

/* ---- answers piece by piece ---- */

void httpd_begin(struct httpd_request *r, int status, const char *type, const char *headers)
{
    struct connection *c = r->from;
    if (!c)
        return;
    c->streaming = true;
    c->chunked = !c->head.old;
    c->last |= c->head.old;
    buf_addf(&c->out,
             "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s%s%s%sX-Content-Type-Options: "
             "nosniff\r\n\r\n",
             status, words(status), type, c->chunked ? "Transfer-Encoding: chunked\r\n" : "",
             r->also ? r->also : "", headers, c->last ? "Connection: close\r\n" : "");
    loop_timer_start(c->timer, HTTPD_REQUEST_MS, 0);
    watch(c);
}

void httpd_write(struct httpd_request *r, const void *bytes, size_t len)
{
    struct connection *c = r->from;
    if (!c || !len)
        return;
    if (c->doomed || c->out.len - c->sent > HTTPD_UNSENT) { /* D4; ends from the loop */
        c->doomed = true;
        loop_timer_start(c->timer, 0, 0);
        return;
    }
    if (!c->out.len)
        loop_timer_start(c->timer, HTTPD_REQUEST_MS, 0);
    if (c->chunked)
        buf_addf(&c->out, "%zx\r\n", len);
    buf_add(&c->out, bytes, len);
    if (c->chunked)
        buf_adds(&c->out, "\r\n");
    watch(c);
}

void httpd_end(struct httpd_request *r)
{
    struct connection *c = request_free(r);
    if (!c)
        return;
    c->streaming = false;
    if (c->chunked)
        buf_adds(&c->out, "0\r\n\r\n");
    loop_timer_start(c->timer, c->last ? HTTPD_REQUEST_MS : HTTPD_IDLE_MS, 0);
    write_on(c);
}

/* ---- listening ---- */

union any_address {
    struct sockaddr all;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool read_port(const char *text, uint16_t *out)
{
    char *end;
    long value = strtol(text, &end, 10);
    *out = (uint16_t)value;
    return *text >= '0' && *text <= '9' && !*end && value >= 0 && value <= 65535;
}

/* An IPv4 address, or an IPv6 one in brackets, a colon, a port. */
static socklen_t read_address(const char *text, union any_address *out, bool *loopback)
{
    char host[64];
    uint16_t port;
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || !len || len >= sizeof host || !read_port(colon + 1, &port))
        return 0;
    memcpy(host, text, len);
    host[len] = '\0';
    *out = (union any_address){0};
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        if (inet_pton(AF_INET6, host + 1, &out->v6.sin6_addr) != 1)
            return 0;
        *loopback = IN6_IS_ADDR_LOOPBACK(&out->v6.sin6_addr);
        return sizeof out->v6;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons(port);
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &out->v4.sin_addr) != 1)
        return 0;
    *loopback = ntohl(out->v4.sin_addr.s_addr) >> 24 == 127;
    return sizeof out->v4;
}

static void write_address(struct httpd *h)
{
    union any_address at;
    char host[INET6_ADDRSTRLEN] = "";
    socklen_t len = sizeof at;
    if (getsockname(h->fd, &at.all, &len) != 0)
        return;
    if (at.all.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof host);
        snprintf(h->address, sizeof h->address, "[%s]:%u", host, ntohs(at.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof host);
        snprintf(h->address, sizeof h->address, "%s:%u", host, ntohs(at.v4.sin_port));
    }
}

struct httpd *httpd_new(struct loop *l, const struct httpd_options *o, httpd_fn *fn, void *arg,
                        struct error *e)
{
    enum { BACKLOG = 64 };
    union any_address at;
    bool loopback = false;
    socklen_t len = read_address(o->address, &at, &loopback);
    if (!len) {
        err_set(e, ERR_CONFIG, "%s is no address with a port, as in 127.0.0.1:8095", o->address);
        return NULL;
    }
    if (!loopback && !o->remote) {
        err_set(e, ERR_DENIED, "%s is reachable from other machines, which must be allowed",
                o->address);
        return NULL;
    }
    int on = 1, fd = socket(at.all.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, &at.all, len) != 0 || listen(fd, BACKLOG) != 0) {
        err_set(e, ERR_UNREACHABLE, "cannot listen on %s: %s", o->address, strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    struct httpd *h = xcalloc(1, sizeof *h);
    *h = (struct httpd){.loop = l, .fd = fd, .body_max = o->body_max, .fn = fn, .arg = arg};
    h->watch = loop_watch_new(l, fd, LOOP_READ, on_peer, h);
    h->again = loop_timer_new(l, listen_again, h);
    write_address(h);
    return h;
}

void httpd_free(struct httpd *h)
{
    if (!h)
        return;
    h->ending = true;
    while (h->connections)
        drop(h->connections);
    loop_watch_free(h->watch);
    loop_timer_free(h->again);
    close(h->fd);
    free(h);
}

const char *httpd_address(const struct httpd *h)
{
    return h->address;
}
