/* The loop and its worker pool: L1 to L4 of backend/base/loop.h. */
#include "backend/base/clock.h"
#include "backend/base/loop.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void on_quit(void *arg)
{
    loop_quit(arg);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Posts. */

struct posts {
    struct loop *loop;
    int next[4]; /* of each thread, the number that must come now */
    bool disorder;
    int left;
};
struct post {
    struct posts *all;
    int thread, number;
};
enum { POSTS = 20000 };

static void on_post(void *arg)
{
    struct post *p = arg;
    if (p->all->next[p->thread]++ != p->number)
        p->all->disorder = true;
    if (--p->all->left == 0)
        loop_quit(p->all->loop);
    free(p);
}

static void *poster(void *arg)
{
    struct post *first = arg;
    for (int i = 0; i < POSTS; i++) {
        struct post *p = malloc(sizeof *p);
        *p = (struct post){first->all, first->thread, i};
        if (!loop_post(p->all->loop, on_post, p))
            abort();
    }
    return NULL;
}

static void posts_of_four_threads_keep_their_order(void **state)
{
    (void)state;
    struct posts all = {.loop = loop_new(), .left = 4 * POSTS};
    pthread_t threads[4];
    struct post first[4];
    for (int i = 0; i < 4; i++) {
        first[i] = (struct post){&all, i, 0};
        pthread_create(&threads[i], NULL, poster, &first[i]);
    }
    loop_run(all.loop);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_false(all.disorder);
    assert_int_equal(all.left, 0);
    loop_free(all.loop);
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void posts_end_with_quit(void **state)
{
    (void)state;
    int ran = 0;
    struct loop *l = loop_new();
    assert_true(loop_post(l, count, &ran));
    loop_quit(l);
    loop_quit(l);
    assert_true(loop_post(l, count, &ran)); /* quit was asked for but not handled yet */
    loop_run(l);
    assert_int_equal(ran, 2);
    assert_false(loop_post(l, count, &ran));
    loop_quit(l); /* nothing left to quit */
    struct loop_timer *t = loop_timer_new(l, on_quit, l);
    loop_timer_start(t, 1, 0);
    loop_run(l); /* again, until the timer ends it */
    assert_int_equal(ran, 2);
    loop_timer_free(t);
    loop_free(l);
}

static void *quit_later(void *arg)
{
    sleep_ms(20);
    loop_quit(arg);
    return NULL;
}

static void quit_from_another_thread_wakes_the_loop(void **state)
{
    (void)state;
    struct loop *l = loop_new();
    pthread_t thread;
    uint64_t before = clock_mono_ms();
    pthread_create(&thread, NULL, quit_later, l);
    loop_run(l);
    pthread_join(thread, NULL);
    assert_in_range(clock_mono_ms() - before, 15, 1000);
    loop_free(l);
}

/* Timers. */

struct ticks {
    struct loop *loop;
    struct loop_timer *timer, *other;
    int fired, other_fired, limit;
    char order[8];
    size_t order_len;
    uint64_t at_ms;
};

static void order_a(void *arg)
{
    struct ticks *t = arg;
    t->order[t->order_len++] = 'a';
}

static void order_b(void *arg)
{
    struct ticks *t = arg;
    t->order[t->order_len++] = 'b';
}

static void order_c(void *arg)
{
    struct ticks *t = arg;
    t->order[t->order_len++] = 'c';
    loop_quit(t->loop);
}

static void timers_fire_in_order_and_not_early(void **state)
{
    (void)state;
    struct ticks t = {.loop = loop_new()};
    struct loop_timer *c = loop_timer_new(t.loop, order_c, &t);
    struct loop_timer *a = loop_timer_new(t.loop, order_a, &t);
    struct loop_timer *b = loop_timer_new(t.loop, order_b, &t);
    uint64_t before = clock_mono_ns();
    loop_timer_start(c, 30, 0);
    loop_timer_start(b, 20, 0);
    loop_timer_start(a, 10, 0);
    loop_run(t.loop);
    assert_true(clock_mono_ns() - before >= 30 * 1000000u);
    assert_string_equal(t.order, "abc");
    loop_timer_free(a);
    loop_timer_free(b);
    loop_timer_free(c);
    loop_timer_free(NULL);
    loop_free(t.loop);
}

static void on_repeat(void *arg)
{
    struct ticks *t = arg;
    if (++t->fired == 5) {
        loop_timer_free(t->timer); /* in its own callback */
        t->timer = NULL;
        loop_timer_stop(t->other);
        loop_timer_start(t->other, 20, 0);
    }
}

static void on_other(void *arg)
{
    struct ticks *t = arg;
    t->other_fired++;
    loop_quit(t->loop);
}

static void a_repeating_timer_is_freed_in_its_callback(void **state)
{
    (void)state;
    struct ticks t = {.loop = loop_new()};
    t.timer = loop_timer_new(t.loop, on_repeat, &t);
    t.other = loop_timer_new(t.loop, on_other, &t);
    loop_timer_start(t.timer, 2, 2);
    loop_timer_start(t.other, 60000, 0);
    loop_run(t.loop);
    assert_int_equal(t.fired, 5);
    assert_int_equal(t.other_fired, 1);
    loop_timer_free(t.other);
    loop_free(t.loop);
}

static void on_again(void *arg)
{
    struct ticks *t = arg;
    if (++t->fired < 100000)
        loop_timer_start(t->timer, 0, 0);
}

static void a_timer_of_zero_does_not_starve_posts(void **state)
{
    (void)state;
    struct ticks t = {.loop = loop_new()};
    t.timer = loop_timer_new(t.loop, on_again, &t);
    loop_timer_start(t.timer, 0, 0);
    pthread_t thread;
    pthread_create(&thread, NULL, quit_later, t.loop);
    loop_run(t.loop);
    pthread_join(thread, NULL);
    assert_in_range(t.fired, 2, 99999); /* a starved loop runs all of them in one turn */
    loop_timer_free(t.timer);
    loop_free(t.loop);
}

static void many_timers_in_any_order(void **state)
{
    (void)state;
    enum { N = 500 };
    int fired = 0;
    struct loop *l = loop_new();
    struct loop_timer *timers[N], *last = loop_timer_new(l, on_quit, l);
    unsigned seed = 1;
    for (int i = 0; i < N; i++) {
        timers[i] = loop_timer_new(l, count, &fired);
        seed = seed * 1103515245u + 12345u;
        loop_timer_start(timers[i], seed / 65536 % 50, 0);
    }
    for (int i = 0; i < N; i += 2)
        loop_timer_stop(timers[i]);
    loop_timer_start(last, 60, 0);
    loop_run(l);
    assert_int_equal(fired, N / 2);
    for (int i = 0; i < N; i++)
        loop_timer_free(timers[i]);
    loop_timer_free(last);
    loop_free(l);
}

/* Descriptors. */

struct pair {
    struct loop *loop;
    struct loop_watch *a, *b;
    int calls, events;
    bool freed_other;
};

static void on_either(void *arg, int events)
{
    struct pair *p = arg;
    p->calls++;
    p->events |= events;
    loop_watch_free(p->a); /* both were ready: the other must not be called any more (L3) */
    loop_watch_free(p->b);
    p->a = p->b = NULL;
    loop_quit(p->loop);
}

static void a_freed_watch_is_not_called(void **state)
{
    (void)state;
    struct pair p = {.loop = loop_new()};
    int x[2], y[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, x), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, y), 0);
    assert_int_equal(write(x[1], "1", 1), 1);
    assert_int_equal(write(y[1], "1", 1), 1);
    p.a = loop_watch_new(p.loop, x[0], LOOP_READ, on_either, &p);
    p.b = loop_watch_new(p.loop, y[0], LOOP_READ, on_either, &p);
    loop_run(p.loop);
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.events, LOOP_READ);
    close(x[0]), close(x[1]), close(y[0]), close(y[1]);
    loop_free(p.loop);
}

static void on_ready(void *arg, int events)
{
    struct pair *p = arg;
    p->calls++;
    p->events |= events;
    loop_quit(p->loop);
}

static void a_hang_up_is_readable(void **state)
{
    (void)state;
    struct pair p = {.loop = loop_new()};
    int x[2];
    assert_int_equal(pipe(x), 0);
    p.a = loop_watch_new(p.loop, x[0], 0, on_ready, &p);
    close(x[1]);
    struct loop_timer *t = loop_timer_new(p.loop, on_quit, p.loop);
    loop_timer_start(t, 20, 0);
    loop_run(p.loop); /* nothing is wanted of it: no call, and no busy turning */
    assert_int_equal(p.calls, 0);
    loop_watch_set(p.a, LOOP_READ);
    loop_run(p.loop);
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.events, LOOP_READ);
    loop_watch_free(p.a);
    loop_timer_free(t);
    close(x[0]);
    loop_free(p.loop);
}

/* The pool. */

struct work {
    struct loop *loop;
    atomic_int worked;
    int done, cancelled, total;
    long ms;
    pthread_t loop_thread;
    bool wrong_thread;
};

static void do_work(void *arg)
{
    struct work *w = arg;
    sleep_ms(w->ms);
    atomic_fetch_add(&w->worked, 1);
}

static void on_done(void *arg, bool cancelled)
{
    struct work *w = arg;
    w->wrong_thread = w->wrong_thread || !pthread_equal(pthread_self(), w->loop_thread);
    w->done++;
    w->cancelled += cancelled;
    if (w->done == w->total)
        loop_quit(w->loop);
}

static void jobs_run_on_workers(void **state)
{
    (void)state;
    struct work w = {.loop = loop_new(), .total = 200, .loop_thread = pthread_self()};
    for (int i = 0; i < w.total; i++)
        loop_work(w.loop, do_work, on_done, &w);
    assert_int_equal(w.done, 0); /* L2 */
    loop_run(w.loop);
    assert_int_equal(w.worked, 200);
    assert_int_equal(w.done, 200);
    assert_int_equal(w.cancelled, 0);
    assert_false(w.wrong_thread);
    loop_free(w.loop);
}

static void the_end_waits_for_running_jobs_only(void **state)
{
    (void)state;
    struct work w = {.loop = loop_new(), .ms = 50, .loop_thread = pthread_self()};
    for (int i = 0; i < 100; i++)
        loop_work(w.loop, do_work, on_done, &w);
    sleep_ms(10);
    uint64_t before = clock_mono_ms();
    loop_free(w.loop);
    assert_true(clock_mono_ms() - before < 1000); /* not 100 jobs of 50 ms */
    assert_int_equal(w.done, 100);
    assert_int_equal(w.worked + w.cancelled, 100);
    assert_true(w.cancelled >= 90);
    assert_false(w.wrong_thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posts_of_four_threads_keep_their_order),
        cmocka_unit_test(posts_end_with_quit),
        cmocka_unit_test(quit_from_another_thread_wakes_the_loop),
        cmocka_unit_test(timers_fire_in_order_and_not_early),
        cmocka_unit_test(a_repeating_timer_is_freed_in_its_callback),
        cmocka_unit_test(a_timer_of_zero_does_not_starve_posts),
        cmocka_unit_test(many_timers_in_any_order),
        cmocka_unit_test(a_freed_watch_is_not_called),
        cmocka_unit_test(a_hang_up_is_readable),
        cmocka_unit_test(jobs_run_on_workers),
        cmocka_unit_test(the_end_waits_for_running_jobs_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
