/* HTTP calls, against a small server in this program on loopback. */
#include "backend/base/buf.h"
#include "backend/base/clock.h"
#include "backend/base/loop.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The server: a thread per connection; the path says how it behaves. */

struct server {
    pthread_t thread;
    int fd;
    unsigned port;
    atomic_int closed_by_peer; /* connections that the client ended while /watched went on */
};
struct connection {
    struct server *server;
    int fd;
};

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static bool put(int fd, const char *text)
{
    size_t len = strlen(text);
    return send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void respond(struct connection *c, const char *path, const char *request)
{
    static const char chunked[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n";
    if (!strncmp(path, "/stream ", 8)) {
        put(c->fd, chunked);
        for (int i = 0; i < 5; i++) {
            put(c->fd, i % 2 ? "3\r\nodd\r\n" : "4\r\neven\r\n");
            sleep_ms(10);
        }
        put(c->fd, "0\r\n\r\n");
    } else if (!strncmp(path, "/cut ", 5)) {
        put(c->fd, chunked);
        put(c->fd, "4\r\npart\r\n");
    } else if (!strncmp(path, "/nothing ", 9)) {
        return;
    } else if (!strncmp(path, "/garbage ", 9)) {
        put(c->fd, "SSH-2.0-server\r\n\r\n");
    } else if (!strncmp(path, "/waiting ", 9)) { /* a head, and for a long time nothing more */
        put(c->fd, chunked);
        char byte;
        (void)!recv(c->fd, &byte, 1, 0);
    } else if (!strncmp(path, "/silence ", 9)) {
        put(c->fd, chunked);
        put(c->fd, "4\r\npart\r\n");
        char byte;
        (void)!recv(c->fd, &byte, 1, 0); /* until the client goes */
    } else if (!strncmp(path, "/endless ", 9) || !strncmp(path, "/watched ", 9)) {
        put(c->fd, chunked);
        while (put(c->fd, "4\r\nmore\r\n"))
            sleep_ms(1);
        if (path[1] == 'w')
            atomic_fetch_add(&c->server->closed_by_peer, 1);
    } else if (!strncmp(path, "/500 ", 5)) {
        put(c->fd,
            "HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nbroken");
    } else if (!strncmp(path, "/empty ", 7)) {
        put(c->fd, "HTTP/1.1 204 No Content\r\n\r\n");
    } else if (!strncmp(path, "/redirect ", 10)) {
        put(c->fd, "HTTP/1.1 302 Found\r\nLocation: /500\r\nContent-Length: 0\r\n\r\n");
    } else { /* the request itself comes back */
        struct buf out = {0};
        buf_addf(&out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(request),
                 request);
        put(c->fd, out.data);
        buf_release(&out);
    }
}

static void *converse(void *arg)
{
    struct connection *c = arg;
    struct buf in = {0};
    char bytes[4096];
    for (ssize_t n; (n = recv(c->fd, bytes, sizeof bytes, 0)) > 0;) {
        buf_add(&in, bytes, (size_t)n);
        const char *end = strstr(in.data, "\r\n\r\n"), *path = strchr(in.data, ' ');
        const char *length = strcasestr(in.data, "Content-Length: ");
        size_t body = length && length < end ? strtoul(length + 16, NULL, 10) : 0;
        if (!end || !path || in.len < (size_t)(end + 4 - in.data) + body)
            continue;
        respond(c, path + 1, in.data);
        break;
    }
    buf_release(&in);
    shutdown(c->fd, SHUT_RDWR);
    close(c->fd);
    free(c);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct server *s = arg;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        struct connection *c = malloc(sizeof *c);
        pthread_t thread;
        *c = (struct connection){s, fd};
        pthread_create(&thread, NULL, converse, c);
        pthread_detach(thread);
    }
    return NULL;
}

static int server_setup(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s->fd, (struct sockaddr *)&address, len) || listen(s->fd, 64) ||
        getsockname(s->fd, (struct sockaddr *)&address, &len))
        return -1;
    s->port = ntohs(address.sin_port);
    *state = s;
    return pthread_create(&s->thread, NULL, accept_all, s);
}

static int server_teardown(void **state)
{
    struct server *s = *state;
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    free(s);
    return 0;
}

/* The client. */

struct answer {
    struct loop *loop;
    struct http_call *call;
    struct answer *other; /* cancelled by this one's first data */
    int heads, datas, dones;
    int *open; /* calls that are to end before the loop does */
    long status, head_status;
    char type[64];
    struct buf body;
    struct error error;
    bool stop_at_head, stop_at_data, cancel_at_data, restart, disorder;
    char *url;
};

static const struct http_ops ops;

static void finished(struct answer *a)
{
    if (--*a->open == 0)
        loop_quit(a->loop);
}

static void on_head(void *arg, long status, const char *type)
{
    struct answer *a = arg;
    a->disorder = a->disorder || a->heads || a->datas;
    a->heads++;
    a->head_status = status;
    snprintf(a->type, sizeof a->type, "%s", type);
    if (a->stop_at_head) {
        http_cancel(a->call);
        a->call = NULL;
        finished(a);
    }
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct answer *a = arg;
    a->disorder = a->disorder || !a->heads || a->dones;
    a->datas++;
    buf_add(&a->body, bytes, len);
    if (a->other && a->other->call) {
        http_cancel(a->other->call);
        a->other->call = NULL;
        finished(a->other);
    }
    if (a->cancel_at_data) {
        http_cancel(a->call);
        a->call = NULL;
        finished(a);
        return true;
    }
    return !a->stop_at_data;
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct answer *a = arg;
    a->disorder = a->disorder || a->dones;
    a->dones++;
    a->error = *e;
    a->status = status;
    a->call = NULL;
    if (a->restart) { /* a call from inside a callback */
        a->restart = false;
        a->dones = a->heads = a->datas = 0;
        a->call = http_start(a->loop, &(struct http_options){.url = a->url}, &ops, a, NULL);
        assert_non_null(a->call);
        return;
    }
    finished(a);
}

static const struct http_ops ops = {on_head, on_data, on_done};

static void begin(struct answer *a, struct loop *l, int *open, const struct server *s,
                  const char *path, struct http_options o)
{
    a->loop = l;
    a->open = open;
    ++*open;
    a->url = xasprintf("http://127.0.0.1:%u%s", s->port, path);
    o.url = a->url;
    a->call = http_start(l, &o, &ops, a, &a->error);
    assert_non_null(a->call);
    assert_int_equal(a->heads + a->dones, 0); /* L2 */
}

static void answer_release(struct answer *a)
{
    assert_false(a->disorder);
    buf_release(&a->body);
    free(a->url);
}

/* One call from start to end. */
static void ask(struct answer *a, void **state, const char *path, struct http_options o)
{
    int open = 0;
    struct loop *l = loop_new();
    begin(a, l, &open, *state, path, o);
    loop_run(l);
    loop_free(l);
}

static void a_stream_arrives_in_pieces(void **state)
{
    struct answer a = {0};
    ask(&a, state, "/stream", (struct http_options){0});
    assert_int_equal(a.error.code, ERR_OK);
    assert_string_equal(a.body.data, "evenoddevenoddeven");
    assert_int_equal(a.status, 200);
    assert_int_equal(a.head_status, 200);
    assert_string_equal(a.type, "text/event-stream");
    assert_true(a.datas > 1);
    assert_int_equal(a.heads, 1);
    answer_release(&a);
}

static void a_post_carries_headers_and_body(void **state)
{
    struct answer a = {0};
    char body[] = "{\"a\": 1}";
    const char *headers[] = {"Content-Type: application/json", "X-Test: yes", NULL};
    int open = 0;
    struct loop *l = loop_new();
    begin(&a, l, &open, *state, "/echo",
          (struct http_options){
              .method = "POST", .headers = headers, .body = body, .body_len = strlen(body)});
    memset(body, 'x', sizeof body); /* it was copied */
    headers[1] = NULL;
    loop_run(l);
    loop_free(l);
    assert_int_equal(a.error.code, ERR_OK);
    assert_ptr_equal(strstr(a.body.data, "POST /echo HTTP/1.1\r\n"), a.body.data);
    assert_non_null(strstr(a.body.data, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(a.body.data, "\r\nX-Test: yes\r\n"));
    assert_null(strcasestr(a.body.data, "Expect:"));
    assert_non_null(strstr(a.body.data, "\r\n\r\n{\"a\": 1}"));
    answer_release(&a);
}

static void methods_are_as_asked(void **state)
{
    static const char *const methods[] = {"GET", "DELETE", "PUT", "POST"};
    for (size_t i = 0; i < 4; i++) {
        struct answer a = {0};
        ask(&a, state, "/echo",
            (struct http_options){
                .method = methods[i], .body = i > 1 ? "b" : NULL, .body_len = i > 1});
        assert_int_equal(a.error.code, ERR_OK);
        assert_ptr_equal(strstr(a.body.data, methods[i]), a.body.data);
        answer_release(&a);
    }
}

static void a_status_is_not_an_error(void **state)
{
    struct answer a = {0}, b = {0}, c = {0};
    ask(&a, state, "/500", (struct http_options){0});
    assert_int_equal(a.error.code, ERR_OK);
    assert_int_equal(a.status, 500);
    assert_string_equal(a.body.data, "broken");
    ask(&b, state, "/empty", (struct http_options){0});
    assert_int_equal(b.heads, 1);
    assert_int_equal(b.datas, 0);
    assert_int_equal(b.status, 204);
    ask(&c, state, "/redirect", (struct http_options){0}); /* not followed */
    assert_int_equal(c.status, 302);
    answer_release(&a), answer_release(&b), answer_release(&c);
}

static void a_head_is_told_before_any_byte(void **state)
{
    struct answer a = {.stop_at_head = true};
    ask(&a, state, "/waiting", (struct http_options){.silence_ms = 5000});
    assert_int_equal(a.heads, 1);
    assert_int_equal(a.head_status, 200);
    assert_int_equal(a.dones, 0);
    answer_release(&a);
}

static void an_answer_has_its_limit(void **state)
{
    struct answer a = {0}, b = {0};
    ask(&a, state, "/endless", (struct http_options){.max_bytes = 1000});
    assert_int_equal(a.error.code, ERR_TOO_BIG);
    assert_true(a.body.len <= 1000);
    ask(&b, state, "/stream", (struct http_options){.max_bytes = 18});
    assert_int_equal(b.error.code, ERR_OK);
    answer_release(&a), answer_release(&b);
}

static void an_address_of_a_peer_does_not_lead_here(void **state)
{
    struct answer a = {0};
    ask(&a, state, "/echo", (struct http_options){.no_local = true});
    assert_int_equal(a.error.code, ERR_DENIED);
    assert_int_equal(a.heads, 0);
    answer_release(&a);
}

static void what_breaks_is_named(void **state)
{
    static const struct {
        const char *path;
        enum err code;
        const char *body;
    } rows[] = {{"/cut", ERR_PROTOCOL, "part"},
                {"/nothing", ERR_PROTOCOL, NULL},
                {"/garbage", ERR_PROTOCOL, NULL}};
    for (size_t i = 0; i < 3; i++) {
        struct answer a = {0};
        ask(&a, state, rows[i].path, (struct http_options){0});
        assert_int_equal(a.error.code, rows[i].code);
        assert_true(a.error.detail[0]); /* in libcurl's words */
        assert_int_equal(a.dones, 1);
        if (rows[i].body)
            assert_string_equal(a.body.data, rows[i].body);
        else
            assert_null(a.body.data);
        answer_release(&a);
    }
}

static void silence_and_length_are_bounded(void **state)
{
    struct answer a = {0}, b = {0};
    uint64_t before = clock_mono_ms();
    ask(&a, state, "/silence", (struct http_options){.silence_ms = 80});
    assert_in_range(clock_mono_ms() - before, 80, 3000);
    assert_int_equal(a.error.code, ERR_TIMEOUT);
    assert_string_equal(a.error.detail, "nothing arrived for 80 ms");
    assert_string_equal(a.body.data, "part");
    before = clock_mono_ms();
    ask(&b, state, "/endless", (struct http_options){.total_ms = 400, .silence_ms = 250});
    assert_in_range(clock_mono_ms() - before, 390, 5000); /* it was not silent */
    assert_int_equal(b.error.code, ERR_TIMEOUT);
    answer_release(&a), answer_release(&b);
}

static void nobody_there_is_unreachable(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* bound, but it does not listen */
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    struct answer a = {0};
    struct server nobody = {.port = ntohs(address.sin_port)};
    void *there = &nobody;
    ask(&a, &there, "/", (struct http_options){0});
    assert_int_equal(a.error.code, ERR_UNREACHABLE);
    assert_non_null(strstr(a.error.detail, "Failed to connect"));
    assert_int_equal(a.status, 0);
    assert_int_equal(a.heads, 0);
    answer_release(&a);
    close(fd);
}

/* A listener whose queue is full lets the next one wait for ever. */
static void connecting_has_a_limit(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0), fill[8];
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    for (int i = 0; i < 8; i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fill[i], (struct sockaddr *)&address, len);
    }
    struct answer a = {0};
    struct server full = {.port = ntohs(address.sin_port)};
    void *there = &full;
    uint64_t before = clock_mono_ms();
    ask(&a, &there, "/", (struct http_options){.connect_ms = 100});
    assert_in_range(clock_mono_ms() - before, 95, 3000);
    assert_int_equal(a.error.code, ERR_UNREACHABLE);
    assert_non_null(strcasestr(a.error.detail, "time")); /* ... was reached, ... timed out */
    answer_release(&a);
    for (int i = 0; i < 8; i++)
        close(fill[i]);
    close(fd);
}

static void only_http_is_spoken(void **state)
{
    (void)state;
    static const char *const urls[] = {"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x", "",
                                       "127.0.0.1:80"};
    struct loop *l = loop_new();
    for (size_t i = 0; i < 5; i++) {
        struct error e = {0};
        assert_null(http_start(l, &(struct http_options){.url = urls[i]}, &ops, NULL, &e));
        assert_int_equal(e.code, ERR_CONFIG);
    }
    struct error e = {0};
    const char *const split[] = {"X: a\r\nY: b", NULL};
    struct http_options o = {.url = "http://127.0.0.1/", .headers = split};
    assert_null(http_start(l, &o, &ops, NULL, &e));
    assert_int_equal(e.code, ERR_INVALID);
    loop_free(l);
}

static void wait_closed(struct server *s, int count)
{
    for (int i = 0; i < 500 && s->closed_by_peer < count; i++)
        sleep_ms(10);
    assert_int_equal(s->closed_by_peer, count);
}

static void a_call_stops_mid_stream(void **state)
{
    struct server *s = *state;
    int before = s->closed_by_peer;
    struct answer refused = {.stop_at_data = true}, cancelled = {.cancel_at_data = true};
    ask(&refused, state, "/watched", (struct http_options){0});
    assert_int_equal(refused.error.code, ERR_CANCELLED);
    assert_int_equal(refused.dones, 1);
    assert_int_equal(refused.datas, 1);
    ask(&cancelled, state, "/watched", (struct http_options){0});
    assert_int_equal(cancelled.dones, 0); /* L3 */
    assert_int_equal(cancelled.datas, 1);
    wait_closed(s, before + 2); /* the connections are closed, not left to run on */
    answer_release(&refused), answer_release(&cancelled);
}

static void calls_may_end_and_start_others(void **state)
{
    struct answer first = {.restart = true}, second = {0}, third = {0};
    int open = 0;
    struct loop *l = loop_new();
    begin(&first, l, &open, *state, "/500", (struct http_options){0});
    begin(&second, l, &open, *state, "/endless", (struct http_options){0});
    begin(&third, l, &open, *state, "/stream", (struct http_options){0});
    third.other = &second;
    loop_run(l);
    loop_free(l);
    assert_int_equal(first.dones, 1);
    assert_string_equal(first.body.data, "brokenbroken");
    assert_int_equal(second.dones, 0);
    assert_string_equal(third.body.data, "evenoddevenoddeven");
    answer_release(&first), answer_release(&second), answer_release(&third);
}

static void many_streams_run_side_by_side(void **state)
{
    enum { N = 50 };
    struct answer answers[N] = {0};
    int open = 0;
    struct loop *l = loop_new();
    uint64_t before = clock_mono_ms();
    for (int i = 0; i < N; i++)
        begin(&answers[i], l, &open, *state, "/stream", (struct http_options){0});
    loop_run(l);
    assert_true(clock_mono_ms() - before < 50 * 50); /* not one behind the other */
    for (int i = 0; i < N; i++) {
        assert_string_equal(answers[i].body.data, "evenoddevenoddeven");
        answer_release(&answers[i]);
    }
    loop_free(l);
}

static void on_quit(void *arg)
{
    loop_quit(arg);
}

static void the_loop_ends_quickly_with_calls(void **state)
{
    struct answer answers[10] = {0};
    int open = 1; /* so that the calls do not end the loop */
    struct loop *l = loop_new();
    for (int i = 0; i < 10; i++)
        begin(&answers[i], l, &open, *state, i % 2 ? "/endless" : "/silence",
              (struct http_options){0});
    struct loop_timer *t = loop_timer_new(l, on_quit, l);
    loop_timer_start(t, 50, 0);
    loop_run(l);
    loop_timer_free(t);
    uint64_t before = clock_mono_ms();
    loop_free(l);
    assert_true(clock_mono_ms() - before < 300);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(answers[i].dones, 0);
        answer_release(&answers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_arrives_in_pieces),
        cmocka_unit_test(a_post_carries_headers_and_body),
        cmocka_unit_test(methods_are_as_asked),
        cmocka_unit_test(a_status_is_not_an_error),
        cmocka_unit_test(a_head_is_told_before_any_byte),
        cmocka_unit_test(an_answer_has_its_limit),
        cmocka_unit_test(an_address_of_a_peer_does_not_lead_here),
        cmocka_unit_test(what_breaks_is_named),
        cmocka_unit_test(silence_and_length_are_bounded),
        cmocka_unit_test(nobody_there_is_unreachable),
        cmocka_unit_test(connecting_has_a_limit),
        cmocka_unit_test(only_http_is_spoken),
        cmocka_unit_test(a_call_stops_mid_stream),
        cmocka_unit_test(calls_may_end_and_start_others),
        cmocka_unit_test(many_streams_run_side_by_side),
        cmocka_unit_test(the_loop_ends_quickly_with_calls),
    };
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
