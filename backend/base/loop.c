/* The loop: posts, timers, descriptors.
 *
 * One turn: posts; finished jobs; timers that are due; wait; descriptors that are ready; HTTP
 * transfers. 1 A watch that is freed leaves wait_for at once, so that an event that was already
 * polled for it is dropped (L3). 2 A timer's deadline is set before its callback runs: the callback
 * may stop, start or free it. 3 A timer that is started by a timer's callback waits for the next
 * turn, so that one of 0 ms cannot starve the rest. 4 A post that was accepted runs: those left
 * when quit is handled run before loop_run returns. */
#include "backend/base/clock.h"
#include "backend/base/internal.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_IN_HEAP = -1 };

struct loop_timer {
    struct loop *loop;
    loop_fn *fn;
    void *arg;
    uint64_t due_ns, repeat_ns, order;
    ssize_t index;
};

struct loop_watch {
    struct loop *loop;
    loop_watch_fn *fn;
    void *arg;
    int fd, events;
};

void slots__add(struct slots *s, void *item)
{
    if (s->len == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->at = xrealloc(s->at, s->cap * sizeof *s->at);
    }
    s->at[s->len++] = item;
}

void slots__remove(struct slots *s, const void *item)
{
    for (size_t i = 0; i < s->len; i++)
        if (s->at[i] == item) {
            s->at[i] = NULL;
            s->gaps = true;
            return;
        }
}

void slots__pack(struct slots *s)
{
    if (!s->gaps)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < s->len; i++)
        if (s->at[i])
            s->at[kept++] = s->at[i];
    s->len = kept;
    s->gaps = false;
}

static void slots_release(struct slots *s)
{
    free(s->at);
    *s = (struct slots){0};
}

struct loop *loop_new(void)
{
    /* Counted by libcurl and safe between threads; 0.6 ms the first time. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        return NULL;
    CURLM *multi = curl_multi_init();
    if (!multi) {
        curl_global_cleanup();
        return NULL;
    }
    struct loop *l = xcalloc(1, sizeof *l);
    l->multi = multi;
    l->guard_fd = -1;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void loop__wake(struct loop *l)
{
    curl_multi_wakeup(l->multi);
}

/* Posts. */

bool loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    pthread_mutex_lock(&l->lock);
    bool open = !l->ended;
    if (open) {
        struct loop_posts *p = &l->posts;
        if (p->len == p->cap) {
            p->cap = p->cap ? 2 * p->cap : 64;
            p->at = xrealloc(p->at, p->cap * sizeof *p->at);
        }
        p->at[p->len++] = (struct loop_posted){fn, arg};
        if (p->len == 1) /* otherwise the wake-up of the first one is still to be handled */
            loop__wake(l);
    }
    pthread_mutex_unlock(&l->lock);
    return open;
}

void loop_quit(struct loop *l)
{
    pthread_mutex_lock(&l->lock);
    if (!l->ended) {
        l->quit = true;
        loop__wake(l);
    }
    pthread_mutex_unlock(&l->lock);
}

/* Runs what was posted before; *quit tells whether loop_quit was called. With `end` no more posts
 * are taken afterwards. */
static bool posts_run(struct loop *l, bool end)
{
    pthread_mutex_lock(&l->lock);
    struct loop_posts taken = l->posts;
    bool quit = l->quit;
    l->posts = (struct loop_posts){0};
    if (end) {
        l->ended = true;
        l->quit = false;
    }
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < taken.len; i++)
        taken.at[i].fn(taken.at[i].arg);
    free(taken.at);
    return quit;
}

/* Timers: a binary heap. */

static bool timer_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->index = (ssize_t)i;
}

static void heap_up(struct loop *l, size_t i, struct loop_timer *t)
{
    while (i > 0 && timer_before(t, l->heap[(i - 1) / 2])) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    heap_put(l, i, t);
}

static void heap_down(struct loop *l, size_t i, struct loop_timer *t)
{
    for (size_t child; (child = 2 * i + 1) < l->heap_len; i = child) {
        if (child + 1 < l->heap_len && timer_before(l->heap[child + 1], l->heap[child]))
            child++;
        if (!timer_before(l->heap[child], t))
            break;
        heap_put(l, i, l->heap[child]);
    }
    heap_put(l, i, t);
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    struct loop_timer *t = xcalloc(1, sizeof *t);
    *t = (struct loop_timer){.loop = l, .fn = fn, .arg = arg, .index = NOT_IN_HEAP};
    return t;
}

static void timer_insert(struct loop_timer *t, uint64_t due_ns)
{
    struct loop *l = t->loop;
    if (l->heap_len == l->heap_cap) {
        l->heap_cap = l->heap_cap ? 2 * l->heap_cap : 16;
        l->heap = xrealloc(l->heap, l->heap_cap * sizeof *l->heap);
    }
    t->due_ns = due_ns;
    t->order = l->timer_order++;
    heap_up(l, l->heap_len++, t);
}

void loop_timer_start(struct loop_timer *t, uint64_t after_ms, uint64_t repeat_ms)
{
    loop_timer_stop(t);
    t->repeat_ns = repeat_ms * 1000000;
    timer_insert(t, clock_mono_ns() + after_ms * 1000000);
}

void loop_timer_stop(struct loop_timer *t)
{
    struct loop *l = t->loop;
    if (t->index == NOT_IN_HEAP)
        return;
    size_t hole = (size_t)t->index;
    struct loop_timer *last = l->heap[--l->heap_len];
    t->index = NOT_IN_HEAP;
    if (last == t)
        return;
    if (hole > 0 && timer_before(last, l->heap[(hole - 1) / 2]))
        heap_up(l, hole, last);
    else
        heap_down(l, hole, last);
}

void loop_timer_free(struct loop_timer *t)
{
    if (!t)
        return;
    loop_timer_stop(t);
    free(t);
}

static void timers_run(struct loop *l)
{
    uint64_t now = clock_mono_ns(), before = l->timer_order;
    while (l->heap_len && l->heap[0]->due_ns <= now && l->heap[0]->order < before) {
        struct loop_timer *t = l->heap[0];
        loop_timer_stop(t);
        if (t->repeat_ns) { /* late by more than a period: the missed ones are left out */
            uint64_t due = t->due_ns + t->repeat_ns;
            timer_insert(t, due > now ? due : now + t->repeat_ns);
        }
        t->fn(t->arg);
    }
}

/* Milliseconds until the next timer, rounded up so that none fires early. */
static int timers_wait_ms(const struct loop *l)
{
    enum { LONGEST_MS = 60000 };
    if (!l->heap_len)
        return LONGEST_MS;
    uint64_t now = clock_mono_ns(), due = l->heap[0]->due_ns;
    if (due <= now)
        return 0;
    uint64_t ms = (due - now + 999999) / 1000000;
    return ms < LONGEST_MS ? (int)ms : LONGEST_MS;
}

/* Descriptors. */

struct loop_watch *loop_watch_new(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg)
{
    struct loop_watch *w = xcalloc(1, sizeof *w);
    *w = (struct loop_watch){.loop = l, .fn = fn, .arg = arg, .fd = fd, .events = events};
    slots__add(&l->watches, w);
    return w;
}

void loop_watch_set(struct loop_watch *w, int events)
{
    w->events = events;
}

void loop_watch_free(struct loop_watch *w)
{
    if (!w)
        return;
    struct loop *l = w->loop;
    slots__remove(&l->watches, w);
    for (size_t i = 0; i < l->wait_len; i++)
        if (l->wait_for[i] == w)
            l->wait_for[i] = NULL;
    free(w);
}

static void watches_gather(struct loop *l)
{
    slots__pack(&l->watches);
    if (l->watches.len > l->wait_cap) {
        l->wait_cap = l->watches.cap;
        l->wait_fds = xrealloc(l->wait_fds, l->wait_cap * sizeof *l->wait_fds);
        l->wait_for = xrealloc(l->wait_for, l->wait_cap * sizeof *l->wait_for);
    }
    l->wait_len = 0;
    for (size_t i = 0; i < l->watches.len; i++) {
        struct loop_watch *w = l->watches.at[i];
        if (!w->events) /* a hang-up would be reported all the same, again and again */
            continue;
        l->wait_fds[l->wait_len] = (struct curl_waitfd){.fd = w->fd, .events = (short)w->events};
        l->wait_for[l->wait_len++] = w;
    }
}

static void watches_run(struct loop *l)
{
    for (size_t i = 0; i < l->wait_len; i++) {
        int events = l->wait_fds[i].revents & (LOOP_READ | LOOP_WRITE);
        struct loop_watch *w = l->wait_for[i];
        if (events && w && w->events)
            w->fn(w->arg, events);
    }
    l->wait_len = 0;
}

/* The turn. */

void loop_run(struct loop *l)
{
    sigset_t pipe_signal; /* a write to a child that is gone shall be EPIPE, not a signal */
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    pthread_mutex_lock(&l->lock);
    l->ended = false;
    pthread_mutex_unlock(&l->lock);
    while (!posts_run(l, false)) {
        pool__deliver(l);
        timers_run(l);
        watches_gather(l);
        CURLMcode code =
            curl_multi_poll(l->multi, l->wait_fds, (unsigned)l->wait_len, timers_wait_ms(l), NULL);
        BUG_IF(code != CURLM_OK);
        watches_run(l);
        http__turn(l);
    }
    posts_run(l, true);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    pool__free(l);
    posts_run(l, true);
    proc__kill_all(l);
    for (size_t i = 0; i < l->procs.len; i++)
        if (l->procs.at[i])
            proc_free(l->procs.at[i]);
    for (size_t i = 0; i < l->calls.len; i++)
        if (l->calls.at[i])
            http_cancel(l->calls.at[i]);
    guard__stop(l);
    slots_release(&l->procs);
    slots_release(&l->calls);
    slots_release(&l->watches);
    free(l->wait_fds);
    free(l->wait_for);
    free(l->heap);
    curl_multi_cleanup(l->multi);
    curl_global_cleanup();
    pthread_mutex_destroy(&l->lock);
    free(l);
}
