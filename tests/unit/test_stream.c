/* The parsers of server-sent events and JSON lines: the same events in any cutting. */
#include "backend/base/sse.h"
#include "backend/gateway/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool note(void *arg, const char *event, const char *data, size_t len)
{
    buf_addf(arg, "<%s:%.*s>", event, (int)len, data);
    return true;
}

/* Feeds text in pieces of `step` bytes and gives what came out, to be freed. */
static char *events(const char *text, size_t len, size_t step, bool sse)
{
    struct buf out = {0};
    struct sse s = {.max = GW__LINE_MAX};
    struct gw__lines l = {0};
    for (size_t i = 0; i < len; i += step) {
        size_t n = len - i < step ? len - i : step;
        char *piece = malloc(n); /* its own memory, so that reading beyond it is seen */
        memcpy(piece, text + i, n);
        if (sse)
            assert_int_equal(sse_feed(&s, piece, n, note, &out), ERR_OK);
        else
            assert_int_equal(gw__lines_feed(&l, piece, n, note, &out), ERR_OK);
        free(piece);
    }
    if (!sse)
        assert_int_equal(gw__lines_end(&l, note, &out), ERR_OK);
    sse_release(&s);
    gw__lines_release(&l);
    return buf_take(&out);
}

static void check(const char *text, bool sse, const char *expected)
{
    size_t len = strlen(text);
    for (size_t step = 1; step <= len; step++) {
        char *got = events(text, len, step, sse);
        assert_string_equal(got, expected);
        free(got);
    }
}

static void events_in_any_cutting(void **state)
{
    (void)state;
    check("data: a\n\ndata:b\n\n", true, "<message:a><message:b>");
    check("data: a\r\n\r\ndata:  b\r\n\r\n", true, "<message:a><message: b>");
    check("data: a\r\rdata: b\r\r", true, "<message:a><message:b>");
    check("\xef\xbb\xbf"
          "data: bom\n\n",
          true, "<message:bom>");
    check(": hello\ndata: x\n: y\ndata: z\nid: 4\nretry: 3\n\n", true, "<message:x\nz>");
    check("event: error\ndata\ndata:\n\ndata: n\n\n", true, "<error:\n><message:n>");
    check("event: lonely\n\ndata: cut off", true, "");
    check("data: x\n\nevent: e\ndata: never ended\n", true, "<message:x>");
    check("datax: 1\nDATA: 2\n\n\n\n", true, "");
    check("\r\n\n\r data: x\n\ndata: y\n\n", true, "<message:y>");
}

static void lines_in_any_cutting(void **state)
{
    (void)state;
    check("{1}\n{2}\n", false, "<line:{1}><line:{2}>");
    check("\xef\xbb\xbf{1}\r\n\r\n \n{2}", false, "<line:{1}><line:{2}>");
    check("\n\n\n", false, "");
    check("a\rb\n", false, "<line:a\rb>");
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    struct sse s = {.max = GW__LINE_MAX};
    struct gw__lines l = {0};
    char *chunk = malloc(1 << 16);
    memset(chunk, 'x', 1 << 16);
    enum err code = ERR_OK;
    for (int i = 0; i < 17 && code == ERR_OK; i++)
        code = sse_feed(&s, chunk, 1 << 16, note, &out);
    assert_int_equal(code, ERR_TOO_BIG);
    sse_release(&s);
    for (code = gw__lines_feed(&l, chunk, 1 << 16, note, &out); code == ERR_OK;)
        code = gw__lines_feed(&l, chunk, 1 << 16, note, &out);
    assert_int_equal(code, ERR_TOO_BIG);
    assert_true(l.line.len <= GW__LINE_MAX);
    gw__lines_release(&l);
    /* Many data lines of one event. */
    code = ERR_OK;
    for (int i = 0; i < 20 && code == ERR_OK; i++) {
        code = sse_feed(&s, "data:", 5, note, &out);
        if (code == ERR_OK)
            code = sse_feed(&s, chunk, 1 << 16, note, &out);
        if (code == ERR_OK)
            code = sse_feed(&s, "\n", 1, note, &out);
    }
    assert_int_equal(code, ERR_TOO_BIG);
    sse_release(&s);
    assert_null(out.data);
    free(chunk);
}

static bool note_id(void *arg, const char *event, const char *data, size_t len)
{
    const struct sse *s = ((void **)arg)[0];
    buf_addf(((void **)arg)[1], "<%s:%.*s:%s:%d>", event, (int)len, data,
             s->id.len ? s->id.data : "", (int)s->retry_ms);
    return true;
}

static void ids_and_retry_are_kept(void **state)
{
    (void)state;
    static const char text[] = "id: 1\nretry: 500\ndata:\n\n" /* a priming event */
                               "data: a\n\n"                  /* the id stays */
                               "id: 2\n\n"                    /* also of an event without data */
                               "data: b\n\n"
                               "id: 3\0x\nretry: 1e3\ndata: c\n\n" /* neither is one */
                               "id\ndata: d\n\n"                   /* an empty id takes it back */
                               "id: 9\ndata: cut";
    for (size_t step = 1; step < sizeof text; step++) {
        struct sse s = {.max = 100};
        struct buf out = {0};
        void *both[2] = {&s, &out};
        for (size_t i = 0; i < sizeof text - 1; i += step)
            sse_feed(&s, text + i, step < sizeof text - 1 - i ? step : sizeof text - 1 - i, note_id,
                     both);
        assert_string_equal(out.data, "<message::1:500><message:a:1:500><message:b:2:500>"
                                      "<message:c:2:500><message:d::500>");
        sse_release(&s);
        buf_release(&out);
    }
}

static bool stop_at_once(void *arg, const char *event, const char *data, size_t len)
{
    (void)event, (void)data, (void)len;
    sse_release(arg); /* as a call that ends inside its own callback does */
    memset(arg, 0xa5, sizeof(struct sse));
    return false;
}

static void a_receiver_may_end_it(void **state)
{
    (void)state;
    struct sse *s = calloc(1, sizeof *s);
    s->max = 100;
    assert_int_equal(sse_feed(s, "data: a\n\ndata: b\n\n", 18, stop_at_once, s), ERR_CANCELLED);
    for (size_t i = 0; i < sizeof *s; i++)
        assert_int_equal(((unsigned char *)s)[i], 0xa5); /* it was not touched again */
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_in_any_cutting), cmocka_unit_test(ids_and_retry_are_kept),
        cmocka_unit_test(lines_in_any_cutting),  cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(a_receiver_may_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
