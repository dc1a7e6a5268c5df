/* The worker pool: two threads, started with the first job.
 *
 * 1 A job is in exactly one of: the queue, a worker's hands, the finished list.
 * 2 done runs on the loop's thread only: in a turn, or inside loop_free.
 * 3 Workers take no signals: those are the main thread's. */
#include "backend/base/internal.h"
#include <signal.h>
#include <stdlib.h>

enum { WORKERS = 2 };

struct job {
    struct job *next;
    loop_fn *work;
    loop_done_fn *done;
    void *arg;
};
struct jobs { /* a queue */
    struct job *first, **last;
};

struct pool {
    struct loop *loop;
    pthread_t threads[WORKERS];
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t more;
    struct jobs queued, finished;
    bool stop;
};

static void jobs_init(struct jobs *q)
{
    *q = (struct jobs){.last = &q->first};
}

static void jobs_push(struct jobs *q, struct job *j)
{
    j->next = NULL;
    *q->last = j;
    q->last = &j->next;
}

static struct job *jobs_shift(struct jobs *q)
{
    struct job *j = q->first;
    if (j && !(q->first = j->next))
        q->last = &q->first;
    return j;
}

static struct job *jobs_take_all(struct jobs *q)
{
    struct job *j = q->first;
    jobs_init(q);
    return j;
}

static void *worker(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && !p->queued.first)
            pthread_cond_wait(&p->more, &p->lock);
        if (p->stop)
            break;
        struct job *j = jobs_shift(&p->queued);
        pthread_mutex_unlock(&p->lock);
        j->work(j->arg);
        pthread_mutex_lock(&p->lock);
        bool first = !p->finished.first;
        jobs_push(&p->finished, j);
        if (first)
            loop__wake(p->loop);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static struct pool *pool_new(struct loop *l)
{
    struct pool *p = xcalloc(1, sizeof *p);
    p->loop = l;
    jobs_init(&p->queued);
    jobs_init(&p->finished);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    for (int i = 0; i < WORKERS; i++)
        if (pthread_create(&p->threads[i], NULL, worker, p))
            BUG("no memory for a worker thread");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return p;
}

void loop_work(struct loop *l, loop_fn *work, loop_done_fn *done, void *arg)
{
    if (!l->pool)
        l->pool = pool_new(l);
    struct pool *p = l->pool;
    struct job *j = xcalloc(1, sizeof *j);
    *j = (struct job){.work = work, .done = done, .arg = arg};
    pthread_mutex_lock(&p->lock);
    jobs_push(&p->queued, j);
    pthread_cond_signal(&p->more);
    pthread_mutex_unlock(&p->lock);
}

/* Takes one of the lists of the pool and runs its callbacks. */
static bool run_done(struct pool *p, struct jobs *list, bool cancelled)
{
    pthread_mutex_lock(&p->lock);
    struct job *j = jobs_take_all(list);
    pthread_mutex_unlock(&p->lock);
    bool any = j;
    for (struct job *next; j; j = next) {
        next = j->next;
        if (j->done)
            j->done(j->arg, cancelled);
        free(j);
    }
    return any;
}

bool pool__deliver(struct loop *l)
{
    return l->pool && run_done(l->pool, &l->pool->finished, false);
}

void pool__free(struct loop *l)
{
    struct pool *p = l->pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(p->threads[i], NULL);
    /* A callback may hand in another job: it is dropped in the same way. */
    while (run_done(p, &p->finished, false) || run_done(p, &p->queued, true))
        continue;
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
    l->pool = NULL;
}
