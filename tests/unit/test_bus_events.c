/* Starting, events, and the end of the bus, over real nng: B1 and B4 of backend/bus/bus.h. */
#include "tests/unit/bus_server.h"

/* Starting. */

struct got {
    int replies;
    enum err code;
    char detail[256];
};

static void on_reply(void *arg, const json_t *result, const struct error *e)
{
    struct got *g = arg;
    (void)result;
    g->replies++;
    g->code = e->code;
    snprintf(g->detail, sizeof g->detail, "%s", e->detail);
}

static void dispatch_until(struct busc *c, const int *count, int enough)
{
    uint64_t until = clock_mono_ms() + 10000;
    while (*count < enough && clock_mono_ms() < until) {
        struct pollfd ready = {.fd = busc_fd(c), .events = POLLIN};
        poll(&ready, 1, 100);
        busc_dispatch(c);
    }
    assert_int_equal(*count, enough);
}

static void now_ready(struct server *s, void *arg)
{
    bus_set_environment(s->bus, "other", BUS_REVIEWER);
    bus_ready(s->bus, arg);
}

static void requests_wait_until_the_backend_is_ready(void **state)
{
    (void)state;
    struct server s = {.not_ready = true};
    struct got got = {0}, denied = {0};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    busc_call(c, WIRE_status_get, NULL, on_reply, &got);
    busc_call(c, WIRE_cost_summary, NULL, on_reply, &got);
    busc_call(c, WIRE_chat_ask, NULL, on_reply, &denied);
    for (int i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){0, 2000000}, NULL);
        busc_dispatch(c);
    }
    assert_int_equal(got.replies, 0);
    assert_false(json_flag(busc_hello(c), "ready", true));
    on_server(&s, now_ready, NULL);
    dispatch_until(c, &got.replies, 2);
    dispatch_until(c, &denied.replies, 1);
    assert_int_equal(got.code, ERR_OK);
    assert_int_equal(denied.code, ERR_DENIED); /* by the role that came with the configuration */
    busc_free(c);
    server_stop(&s);
}

static void a_start_that_failed_fails_every_request(void **state)
{
    (void)state;
    struct server s = {.not_ready = true};
    struct got got = {0};
    struct error e, *why = &(struct error){ERR_LOCKED, "pid 7"};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    busc_call(c, WIRE_status_get, NULL, on_reply, &got);
    while (!busc_hello(c))
        busc_dispatch(c);
    on_server(&s, now_ready, why);
    dispatch_until(c, &got.replies, 1);
    assert_int_equal(got.code, ERR_LOCKED);
    assert_string_equal(got.detail, "pid 7");
    assert_null(busc_wait(c, WIRE_session_ping, NULL, 5000, &e));
    assert_int_equal(e.code, ERR_LOCKED);
    struct busc *late = busc_new(s.address, "test", NULL, NULL); /* its hello fails already */
    assert_null(busc_wait(late, WIRE_status_get, NULL, 5000, &e));
    assert_int_equal(e.code, ERR_LOCKED);
    busc_free(late);
    busc_free(c);
    server_stop(&s);
}

/* Events. */

struct seen {
    int events, resyncs;
    int64_t last;
    bool disorder;
};

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct seen *v = arg;
    int64_t n = json_int(data, "n", -1);
    v->disorder = v->disorder || strcmp(type, "tick") || at <= 0 || (v->events && n != v->last + 1);
    v->last = n;
    v->events++;
}

static void on_resync(void *arg)
{
    ((struct seen *)arg)->resyncs++;
}

struct ticks {
    int from, count;
};

static void emit(struct server *s, void *arg)
{
    struct ticks *t = arg;
    for (int i = 0; i < t->count; i++) {
        json_t *data = json_object();
        json_puti(data, "n", t->from + i);
        bus_event(s->bus, "tick", data);
        json_decref(data);
    }
}

static void wait_for_polls(void)
{
    nanosleep(&(struct timespec){0, 30000000}, NULL);
}

static void events_come_in_order(void **state)
{
    (void)state;
    struct server s = {0};
    struct seen seen = {0};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    on_server(&s, emit, &(struct ticks){0, 10}); /* between hello and the first poll */
    busc_events(c, on_event, on_resync, &seen);
    dispatch_until(c, &seen.events, 10);
    for (int i = 0; i < 50; i++)
        on_server(&s, emit, &(struct ticks){10 + 60 * i, 60});
    dispatch_until(c, &seen.events, 3010);
    assert_false(seen.disorder);
    assert_int_equal(seen.resyncs, 0);
    assert_true(busc_live(c));
    assert_true(busc_latency_ms(c) >= 0 && busc_latency_ms(c) < 1000);
    busc_free(c);
    server_stop(&s);
}

static void who_falls_behind_is_told(void **state)
{
    (void)state;
    struct server s = {0};
    struct seen seen = {0};
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    on_server(&s, emit, &(struct ticks){0, BUS_RING + 1});
    busc_events(c, on_event, on_resync, &seen);
    dispatch_until(c, &seen.resyncs, 1);
    assert_int_equal(seen.events, 0);
    wait_for_polls();
    on_server(&s, emit, &(struct ticks){5000, 3});
    dispatch_until(c, &seen.events, 3);
    assert_int_equal(seen.resyncs, 1);
    assert_int_equal(seen.last, 5002);

    /* A cursor of another run, below or above, is answered at once. */
    struct error e;
    for (int i = 0; i < 2; i++) {
        json_t *p = json_object();
        json_puti(p, "after", i ? INT64_MAX : 12);
        json_puti(p, "wait_ms", 60000);
        json_t *r = busc_wait(c, WIRE_events_next, p, 5000, &e);
        assert_true(json_flag(r, "resync", false));
        json_decref(r);
    }
    busc_free(c);
    server_stop(&s);
}

static void a_poll_has_a_limit(void **state)
{
    (void)state;
    struct server s = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    json_t *p = json_object();
    json_puti(p, "after", json_int(busc_hello(c), "cursor", 0));
    json_puti(p, "wait_ms", 30);
    uint64_t before = clock_mono_ms();
    json_t *r = busc_wait(c, WIRE_events_next, p, 5000, &e);
    assert_in_range(clock_mono_ms() - before, 29, 2000);
    assert_int_equal(json_array_size(json_object_get(r, "events")), 0);
    assert_false(json_flag(r, "resync", true));
    json_decref(r);
    static const char *const bad[] = {"{}", "{\"after\":\"x\"}", "{\"after\":1,\"max\":0}",
                                      "{\"after\":1,\"wait_ms\":60001}"};
    for (size_t i = 0; i < 4; i++) {
        assert_null(busc_wait(c, WIRE_events_next, json_loads(bad[i], 0, NULL), 5000, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
    busc_free(c);
    server_stop(&s);
}

static void hold_polls(struct busc *c, int count, struct got *got)
{
    for (int i = 0; i < count; i++) {
        json_t *p = json_object();
        json_puti(p, "after", json_int(busc_hello(c), "cursor", 0));
        json_puti(p, "wait_ms", 60000);
        busc_call(c, WIRE_events_next, p, on_reply, got);
    }
}

static void a_thousand_polls_are_held_and_woken(void **state)
{
    (void)state;
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    hold_polls(c, 1000, &got);
    json_t *r = busc_wait(c, WIRE_status_get, NULL, 5000, &e); /* there is room beside them */
    assert_non_null(r);
    json_decref(r);
    assert_int_equal(got.replies, 0);
    on_server(&s, emit, &(struct ticks){0, 1});
    dispatch_until(c, &got.replies, 1000);
    assert_int_equal(got.code, ERR_OK);
    busc_free(c);
    server_stop(&s);
}

static void polls_beyond_the_bound_do_not_shut_others_out(void **state)
{
    (void)state;
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    while (!busc_hello(c))
        busc_dispatch(c);
    hold_polls(c, 1200, &got);
    json_t *r = busc_wait(c, WIRE_status_get, NULL, 5000, &e);
    assert_non_null(r);
    json_decref(r);
    assert_true(got.replies >= 1200 - 1024 && got.replies < 400); /* the oldest gave way */
    busc_free(c);
    server_stop(&s);
}

/* The end. */

/* Stops with 200 polls and a call that its handler holds; returns how long it took. */
static uint64_t stop_with_held_requests(void)
{
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e));
    hold_polls(c, 200, &got);
    json_t *p = json_object();
    json_puts(p, "text", "hold");
    busc_call(c, WIRE_chat_ask, p, on_reply, &got); /* its handler answers after the end */
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e));
    uint64_t before = clock_mono_ms();
    server_stop(&s);
    uint64_t took = clock_mono_ms() - before;
    dispatch_until(c, &got.replies, 201);
    assert_int_equal(got.code, ERR_CLOSED);
    assert_null(busc_wait(c, WIRE_status_get, NULL, 100, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    busc_free(c);
    return took;
}

static void stopping_answers_who_waits(void **state)
{
    (void)state;
    uint64_t best = UINT64_MAX; /* of five, for a machine that is busy */
    for (int i = 0; i < 5 && best >= 50; i++) {
        uint64_t took = stop_with_held_requests();
        best = took < best ? took : best;
    }
    assert_in_range(best, 0, 49);
}

static void free_bus(struct server *s, void *arg)
{
    (void)arg;
    bus_free(s->bus);
    s->bus = NULL;
}

static void the_bus_may_end_before_its_loop(void **state)
{
    (void)state;
    struct server s = {0};
    struct got got = {0};
    struct error e;
    server_start(&s);
    struct busc *c = busc_new(s.address, "test", NULL, NULL);
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e));
    hold_polls(c, 40, &got);
    json_decref(busc_wait(c, WIRE_status_get, NULL, 5000, &e)); /* behind them: they are there */
    for (int i = 0; i < 40; i++)
        busc_call(c, WIRE_status_get, NULL, on_reply, &got);
    on_server(&s, free_bus, NULL);
    struct pollfd ready = {.fd = busc_fd(c), .events = POLLIN};
    for (uint64_t until = clock_mono_ms() + 100; clock_mono_ms() < until;) {
        poll(&ready, 1, 10);
        busc_dispatch(c);
    }
    assert_true(got.replies >= 40); /* those that were there; the rest waits for a new peer */
    busc_free(c);
    server_stop(&s);
}

static void a_client_may_come_first_and_leave_at_any_time(void **state)
{
    (void)state;
    struct server s = {0};
    struct error e = {0};
    struct busc *lonely = busc_new("inproc://nobody", "test", NULL, &e);
    assert_non_null(lonely);
    busc_call(lonely, WIRE_status_get, NULL, on_reply, NULL);
    assert_null(busc_wait(lonely, WIRE_status_get, NULL, 30, &e));
    assert_int_equal(e.code, ERR_TIMEOUT);
    busc_free(lonely);

    struct busc *early = busc_new("inproc://test-bus-early", "test", NULL, &e);
    nanosleep(&(struct timespec){0, 30000000}, NULL);
    s.max_role = BUS_OPERATOR;
    snprintf(s.address, sizeof s.address, "inproc://test-bus-early");
    pthread_create(&s.thread, NULL, serve, &s);
    json_t *r = busc_wait(early, WIRE_status_get, NULL, 5000, &e);
    assert_non_null(r);
    json_decref(r);
    struct got got = {0};
    hold_polls(early, 50, &got);
    for (int i = 0; i < 50; i++)
        busc_call(early, WIRE_status_get, NULL, on_reply, &got);
    busc_free(early); /* with all of them under way */
    struct busc *next = busc_new(s.address, "test", NULL, &e);
    r = busc_wait(next, WIRE_status_get, NULL, 5000, &e);
    assert_non_null(r);
    json_decref(r);
    busc_free(next);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_wait_until_the_backend_is_ready),
        cmocka_unit_test(a_start_that_failed_fails_every_request),
        cmocka_unit_test(events_come_in_order),
        cmocka_unit_test(who_falls_behind_is_told),
        cmocka_unit_test(a_poll_has_a_limit),
        cmocka_unit_test(a_thousand_polls_are_held_and_woken),
        cmocka_unit_test(polls_beyond_the_bound_do_not_shut_others_out),
        cmocka_unit_test(stopping_answers_who_waits),
        cmocka_unit_test(the_bus_may_end_before_its_loop),
        cmocka_unit_test(a_client_may_come_first_and_leave_at_any_time),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    bus_library_end();
    return failed;
}
