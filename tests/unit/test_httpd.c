/* The HTTP server: D1 to D4 of httpd.h, and the head of a request. */
#include "backend/base/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { BODY_MAX = 1000, PEERS = 70 };

struct world {
    struct loop *loop;
    struct httpd *server;
    struct httpd_request *held; /* of the path /hold */
    unsigned port;
    pthread_t thread; /* of the loop */
    int asked, gone;
};

static void on_gone(void *arg)
{
    struct world *w = arg;
    struct httpd_request *r = w->held;
    w->held = NULL;
    httpd_end(r); /* D3 */
    __atomic_add_fetch(&w->gone, 1, __ATOMIC_RELAXED);
}

/* /stream: three pieces and the end. /flood: more than a peer is waited for to take. /open: stays.
 */
static void stream(struct world *w, struct httpd_request *r)
{
    static char much[65536];
    const char *header = httpd_header(r, "x-test");
    httpd_begin(r, 200, "text/event-stream", "X-More: yes\r\n");
    httpd_write(r, header ? header : "none", header ? strlen(header) : 4);
    if (strcmp(httpd_path(r), "/stream") == 0) {
        httpd_write(r, "two", 3);
        httpd_write(r, "", 0);
        httpd_end(r);
        return;
    }
    w->held = r;
    httpd_on_gone(r, on_gone, w);
    for (int i = 0; i < 400 && strcmp(httpd_path(r), "/flood") == 0; i++)
        httpd_write(r, much, sizeof much);
}

static void on_request(void *arg, struct httpd_request *r)
{
    struct world *w = arg;
    struct buf text = {0};
    w->asked++;
    buf_addf(&text, "%s %s %zu", httpd_method(r), httpd_path(r), httpd_body(r)->len);
    if (strcmp(httpd_path(r), "/stream") == 0 || strcmp(httpd_path(r), "/flood") == 0 ||
        strcmp(httpd_path(r), "/open") == 0)
        stream(w, r);
    else if (strcmp(httpd_path(r), "/hold") == 0)
        w->held = r;
    else
        httpd_reply(r, 200, "text/plain", "", text.data, text.len);
    buf_release(&text);
}

static void *turn(void *arg)
{
    struct world *w = arg;
    loop_run(w->loop);
    return NULL;
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct httpd_options o = {.address = "127.0.0.1:0", .body_max = BODY_MAX};
    struct error e = {0};
    w->loop = loop_new();
    w->server = httpd_new(w->loop, &o, on_request, w, &e);
    if (!w->server)
        fail_msg("%s", e.detail);
    w->port = (unsigned)strtoul(strrchr(httpd_address(w->server), ':') + 1, NULL, 10);
    pthread_create(&w->thread, NULL, turn, w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    loop_quit(w->loop);
    pthread_join(w->thread, NULL);
    httpd_free(w->server);
    if (w->held) /* D3 */
        httpd_reply(w->held, 200, "text/plain", "", "late", 4);
    loop_free(w->loop);
    free(w);
    return 0;
}

/* ---- a peer ---- */

static int dial(const struct world *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)w->port)};
    struct timeval limit = {.tv_sec = 15};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void put(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        assert_true(n > 0);
        text += n;
        len -= (size_t)n;
    }
}

/* Until the server closes, or `end` has come. */
static char *get(int fd, const char *end)
{
    struct buf text = {0};
    char bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        buf_add(&text, bytes, (size_t)n);
        if (end && strstr(text.data, end))
            break;
    }
    return buf_take(&text);
}

static void expect(const struct world *w, const char *request, const char *status)
{
    int fd = dial(w);
    put(fd, request, strlen(request));
    char *answer = get(fd, NULL);
    char *line = xasprintf("HTTP/1.1 %s", status);
    if (strncmp(answer, line, strlen(line)) != 0)
        fail_msg("%s\nin place of %s for\n%s", answer, status, request);
    free(line);
    free(answer);
    close(fd);
}

/* ---- tests ---- */

static void answers(void **state)
{
    struct world *w = *state;
    expect(w, "GET / HTTP/1.0\r\n\r\n", "200 OK");
    expect(w, "POST /a HTTP/1.1\r\nConnection: close\r\ncontent-length: 3\r\n\r\nabc", "200 OK");
    assert_int_equal(w->asked, 2);
    int fd = dial(w); /* one connection, a request after the other, byte by byte */
    for (int i = 0; i < 3; i++) {
        static const char text[] = "POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345";
        for (size_t at = 0; at < sizeof text - 1; at++)
            put(fd, text + at, 1);
        char *answer = get(fd, "POST /b 5");
        assert_non_null(strstr(answer, "Content-Length: 9\r\n"));
        assert_null(strstr(answer, "Connection: close"));
        free(answer);
    }
    close(fd);
    fd = dial(w); /* who waits to be told to go on is told so */
    put(fd, "POST /c HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", 62);
    char *answer = get(fd, "\r\n\r\n");
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n");
    free(answer);
    put(fd, "ok", 2);
    answer = get(fd, "POST /c 2");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    free(answer);
    close(fd);
}

#define CHUNKS "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

static void takes_chunks(void **state)
{
    struct world *w = *state;
    static const char text[] =
        "POST /b HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "3\r\nabc\r\n00A;name=\"value\"\r\n0123456789\r\n0\r\nName: value\r\n\r\n";
    for (int whole = 0; whole < 2; whole++) {
        int fd = dial(w);
        for (int i = 0; i < 3; i++) { /* the connection stays */
            for (size_t at = 0; at < sizeof text - 1 && !whole; at++)
                put(fd, text + at, 1);
            if (whole)
                put(fd, text, sizeof text - 1);
            char *answer = get(fd, "POST /b 13");
            assert_non_null(strstr(answer, "POST /b 13"));
            assert_null(strstr(answer, "Connection: close"));
            free(answer);
        }
        close(fd);
    }
    /* up to the limit, however small the pieces; an extension or a trailer is not kept */
    struct buf request = {0};
    buf_adds(&request, "POST /c HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: "
                       "chunked\r\n\r\n");
    for (int i = 0; i < BODY_MAX; i++)
        buf_adds(&request, "1;an-extension-as-long-as-the-header-may-be\r\nx\r\n");
    buf_adds(&request, "0\r\n");
    struct buf over = {0};
    buf_add(&over, request.data, request.len);
    for (int i = 0; i < 200; i++)
        buf_adds(&over, "Trailer: it goes on and on, in lines that are not too long\r\n");
    buf_adds(&request, "\r\n");
    expect(w, request.data, "200 OK");
    expect(w, over.data, "431");
    buf_release(&request);
    buf_release(&over);
}

static void refuses(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *request, *status;
    } all[] = {
        {"\r\n\r\n", "400"},
        {"GET\r\n\r\n", "400"},
        {"GET /\r\n\r\n", "400"},
        {"GET  / HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/2.0\r\n\r\n", "505"},
        {"GET / HTCP/1.1\r\n\r\n", "400"},
        {"G\001T / HTTP/1.1\r\n\r\n", "400"},
        {"GET /\t HTTP/1.1\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nname : x\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\n folded: x\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\na: x\ny\r\n\r\n", "400"},
        {"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "400"},
        {"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", "400"},
        {"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", "413"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
         "400"},
        {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: "
         "chunked\r\n\r\n0\r\n\r\n",
         "400"},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {CHUNKS "3\nabc\r\n0\r\n\r\n", "400"},
        {CHUNKS "-3\r\nabc\r\n0\r\n\r\n", "400"},
        {CHUNKS "0x3\r\nabc\r\n0\r\n\r\n", "400"},
        {CHUNKS "\r\nabc\r\n0\r\n\r\n", "400"},
        {CHUNKS "3\r\nabcd\r\n0\r\n\r\n", "400"},
        {CHUNKS "3\r\nabc\n0\r\n\r\n", "400"},
        {CHUNKS "0\r\na\001b: c\r\n\r\n", "400"},
        {CHUNKS "3e9\r\n", "413"}, /* 1001 */
        {CHUNKS "1\r\na\r\n3e8\r\n", "413"},
        {CHUNKS "ffffffffffffffff1\r\n", "413"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZ / HTTP/1.1\r\n\r\n", "501"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        expect(w, all[i].request, all[i].status);
    char *path = xcalloc(1, 9000), *request;
    memset(path, 'a', 3000);
    request = xasprintf("GET /%s HTTP/1.1\r\n\r\n", path);
    expect(w, request, "414");
    free(request);
    memset(path, 'a', 8999);
    request = xasprintf("GET / HTTP/1.1\r\nX: %s\r\n\r\n", path);
    expect(w, request, "431");
    free(request);
    free(path);
    assert_int_equal(w->asked, 0); /* D1 */
}

/* D2: what is sent ahead of an answer gets none, and the connection ends. */
static void one_at_a_time(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    static const char two[] = "GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
    put(fd, two, sizeof two - 1);
    char *answer = get(fd, NULL);
    assert_non_null(strstr(answer, "GET /1 0"));
    assert_non_null(strstr(answer, "Connection: close"));
    assert_null(strstr(answer, "GET /2 0"));
    free(answer);
    close(fd);
}

/* More peers than there is room for, all of them silent: those who say something get an answer as
 * soon as there is room. */
static void many(void **state)
{
    struct world *w = *state;
    int fds[PEERS];
    for (int i = 0; i < PEERS; i++)
        fds[i] = dial(w);
    for (int i = 0; i < 20; i++)
        close(fds[i]);
    expect(w, "GET / HTTP/1.0\r\n\r\n", "200 OK");
    for (int i = 20; i < PEERS; i++)
        close(fds[i]);
}

/* D3: the peer goes, or the server, before the answer is there. */
static void answers_nobody(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    put(fd, "GET /hold HTTP/1.1\r\n\r\n", 22);
    for (int i = 0; i < 500 && !__atomic_load_n(&w->asked, __ATOMIC_RELAXED); i++)
        usleep(10000);
    close(fd);
    expect(w, "GET / HTTP/1.0\r\n\r\n", "200 OK"); /* tear_down replies */
}

static void streams(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    static const char ask[] = "GET /stream HTTP/1.1\r\nX-Test:  a b \r\n\r\n";
    for (int i = 0; i < 2; i++) { /* the connection stays */
        put(fd, ask, sizeof ask - 1);
        char *answer = get(fd, "0\r\n\r\n");
        assert_non_null(strstr(answer, "Transfer-Encoding: chunked\r\n"));
        assert_non_null(strstr(answer, "X-More: yes\r\n"));
        assert_non_null(strstr(answer, "\r\n\r\n3\r\na b\r\n3\r\ntwo\r\n0\r\n\r\n"));
        free(answer);
    }
    close(fd);
    fd = dial(w); /* who knows no chunks reads to the end */
    put(fd, "GET /stream HTTP/1.0\r\n\r\n", 24);
    char *answer = get(fd, NULL);
    assert_null(strstr(answer, "chunked"));
    assert_non_null(strstr(answer, "\r\n\r\nnonetwo"));
    free(answer);
    close(fd);
}

static void wait_gone(struct world *w, int n)
{
    for (int i = 0; i < 500 && __atomic_load_n(&w->gone, __ATOMIC_RELAXED) < n; i++)
        usleep(10000);
    assert_int_equal(__atomic_load_n(&w->gone, __ATOMIC_RELAXED), n);
}

/* A stream's peer goes, or takes nothing (D4). */
static void streams_end(void **state)
{
    struct world *w = *state;
    int fd = dial(w);
    put(fd, "GET /open HTTP/1.1\r\n\r\n", 22);
    char *answer = get(fd, "none");
    free(answer);
    assert_int_equal(__atomic_load_n(&w->gone, __ATOMIC_RELAXED), 0);
    close(fd);
    wait_gone(w, 1);
    fd = dial(w);
    put(fd, "GET /flood HTTP/1.1\r\n\r\n", 23);
    wait_gone(w, 2);
    close(fd);
}

static void addresses(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *address;
        enum err code;
    } all[] = {{"0.0.0.0:0", ERR_DENIED},
               {"[::]:0", ERR_DENIED},
               {"10.0.0.1:0", ERR_DENIED},
               {"127.0.0.1", ERR_CONFIG},
               {"127.0.0.1:", ERR_CONFIG},
               {":8095", ERR_CONFIG},
               {"127.0.0.1:-1", ERR_CONFIG},
               {"127.0.0.1:65536", ERR_CONFIG},
               {"example.com:80", ERR_CONFIG},
               {"[::1:80", ERR_CONFIG},
               {"", ERR_CONFIG},
               {"[127.0.0.1]:0", ERR_CONFIG}};
    struct loop *l = loop_new();
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct httpd_options o = {.address = all[i].address, .body_max = BODY_MAX};
        struct error e = {0};
        assert_null(httpd_new(l, &o, on_request, w, &e));
        if (e.code != all[i].code)
            fail_msg("%s: %s", all[i].address, err_name(e.code));
    }
    struct httpd_options taken = {.address = httpd_address(w->server), .body_max = BODY_MAX};
    struct error e = {0};
    assert_null(httpd_new(l, &taken, on_request, w, &e));
    assert_int_equal(e.code, ERR_UNREACHABLE);
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(takes_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(addresses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
