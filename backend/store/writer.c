/* The one writer: what is queued becomes one transaction on a worker.
 *
 * Invariants
 * W1 Only one group is in flight at any time, so writes keep their order (S2).
 * W2 queue and state are guarded by the lock; items of a group in flight belong to the worker until
 *    state is FINISHED, then to the loop's thread.
 * W3 done callbacks run on the loop's thread, never under the lock.
 *
 *      IDLE --add--> QUEUED --worker--> RUNNING --worker--> FINISHED --loop--> DELIVERING
 *        ^             ^  '---- store_free: DETACHED <----------'----------------'   |
 *        '-------------'---------------- the loop, all done callbacks have run ------'
 *
 * The loop's callback frees what is DETACHED. Writers wait for their callbacks, and then write
 * again: so the next group begins behind all of them, and one sync serves what they add. Only if as
 * much as a sync is worth waits already, it begins before. */
#include "backend/store/internal.h"

#include <pthread.h>
#include <stdlib.h>

enum { GROUP = 1000 }; /* most writes in one transaction: bounds how long a worker is held */
enum { ENOUGH = 64 };  /* as many writes take the processor as long as a fast disk takes to sync */

struct item {
    struct item *next;
    store_op *op; /* NULL: a scrub */
    store_op *end;
    bool refused; /* before it was queued; error says why */
    store_done *done;
    void *arg;
    struct error error;
};

struct list {
    struct item *first, **end;
};

struct store__writer {
    struct loop *loop;
    struct store_db *db;
    pthread_mutex_t lock;
    pthread_cond_t finished;
    struct list queue;
    size_t queued;
    struct item *group;
    enum { IDLE, QUEUED, RUNNING, FINISHED, DELIVERING, DETACHED } state;
    bool ended; /* no more jobs: the loop ends, or the store is being freed */
};

static void list_init(struct list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static bool alone(const struct item *item)
{
    return !item->op && !item->refused;
}

/* The next items of the queue, at most GROUP; a scrub goes alone. */
static struct item *take(struct store__writer *w)
{
    struct list *list = &w->queue;
    struct item *first = list->first, *last = first;
    size_t n = 1;
    for (; n < GROUP && last && !alone(last) && last->next && !alone(last->next); n++)
        last = last->next;
    if (last) {
        w->queued -= n;
        list->first = last->next;
        if (!list->first)
            list->end = &list->first;
        last->next = NULL;
    }
    return first;
}

static enum err apply(struct store_db *db, struct item *item)
{
    item->error = (struct error){0};
    enum err code = item->op(db, item->arg, &item->error);
    item->error.code = code;
    return code;
}

/* The end of a transaction, by the last write that has one. NULL, or the write that failed. */
static struct item *apply_end(struct store_db *db, struct item *group)
{
    struct item *last = NULL;
    for (struct item *i = group; i; i = i->next)
        if (!i->refused && i->end)
            last = i;
    enum err code = last ? last->end(db, last->arg, &last->error) : ERR_OK;
    if (last)
        last->error.code = code;
    return code == ERR_OK ? NULL : last;
}

static void fail_all(struct item *group, const struct error *e)
{
    for (struct item *i = group; i; i = i->next)
        if (!i->refused)
            i->error = *e;
}

static void write_single(struct store_db *db, struct item *item)
{
    struct error e = {0};
    if (store__begin(db, &e) != ERR_OK) {
        item->error = e;
        return;
    }
    if (apply(db, item) == ERR_OK && item->end)
        item->error.code = item->end(db, item->arg, &item->error);
    if (item->error.code == ERR_OK && store__commit(db, &e) != ERR_OK)
        item->error = e;
    if (item->error.code != ERR_OK)
        store__rollback(db);
}

/* One transaction for all; if an op fails, one for each. */
static void write_group(struct store_db *db, struct item *group)
{
    struct error e = {0};
    if (group && alone(group)) {
        store__scrub(db, &group->error);
        return;
    }
    if (store__begin(db, &e) != ERR_OK) {
        fail_all(group, &e);
        return;
    }
    struct item *bad = NULL;
    for (struct item *i = group; i && !bad; i = i->next)
        if (!i->refused && apply(db, i) != ERR_OK)
            bad = i;
    if (!bad)
        bad = apply_end(db, group);
    if (!bad) {
        if (store__commit(db, &e) != ERR_OK) {
            store__rollback(db);
            fail_all(group, &e);
        }
        return;
    }
    store__rollback(db);
    for (struct item *i = group; i; i = i->next)
        if (!i->refused)
            write_single(db, i);
}

static void deliver(struct item *group)
{
    while (group) {
        struct item *next = group->next;
        if (group->done)
            group->done(group->arg, &group->error);
        free(group);
        group = next;
    }
}

static void work(void *arg)
{
    struct store__writer *w = arg;
    pthread_mutex_lock(&w->lock);
    bool mine = w->state == QUEUED;
    if (mine) {
        w->state = RUNNING;
        w->group = take(w);
    }
    pthread_mutex_unlock(&w->lock);
    if (!mine)
        return;
    write_group(w->db, w->group);
    pthread_mutex_lock(&w->lock);
    w->state = FINISHED;
    pthread_cond_signal(&w->finished);
    pthread_mutex_unlock(&w->lock);
}

static void release(struct store__writer *w)
{
    pthread_cond_destroy(&w->finished);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void worked(void *arg, bool cancelled)
{
    struct store__writer *w = arg;
    pthread_mutex_lock(&w->lock);
    struct item *group = w->group;
    bool detached = w->state == DETACHED;
    w->group = NULL;
    w->ended |= cancelled;
    bool early = !detached && !w->ended && w->queued >= ENOUGH;
    if (!detached)
        w->state = early ? QUEUED : DELIVERING;
    pthread_mutex_unlock(&w->lock);
    if (early)
        loop_work(w->loop, work, worked, w);
    deliver(group);
    if (early)
        return;
    pthread_mutex_lock(&w->lock);
    detached = w->state == DETACHED; /* by a callback, too */
    bool more = !detached && !w->ended && w->queue.first;
    if (!detached)
        w->state = more ? QUEUED : IDLE;
    pthread_mutex_unlock(&w->lock);
    if (detached)
        release(w);
    else if (more)
        loop_work(w->loop, work, worked, w);
}

struct store__writer *store__writer_new(struct loop *l, struct store_db *db)
{
    struct store__writer *w = xcalloc(1, sizeof *w);
    w->loop = l;
    w->db = db;
    list_init(&w->queue);
    BUG_IF(pthread_mutex_init(&w->lock, NULL) != 0);
    BUG_IF(pthread_cond_init(&w->finished, NULL) != 0);
    return w;
}

void store__writer_add(struct store__writer *w, store_op *op, store_op *end, store_done *done,
                       void *arg, const struct error *refused)
{
    struct item *item = xcalloc(1, sizeof *item);
    item->op = op;
    item->end = end;
    item->refused = refused != NULL;
    item->done = done;
    item->arg = arg;
    if (refused)
        item->error = *refused;
    pthread_mutex_lock(&w->lock);
    *w->queue.end = item;
    w->queue.end = &item->next;
    w->queued++;
    bool start = w->state == IDLE && !w->ended;
    if (start)
        w->state = QUEUED;
    pthread_mutex_unlock(&w->lock);
    if (start)
        loop_work(w->loop, work, worked, w);
}

void store__writer_free(struct store__writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    while (w->state == RUNNING)
        pthread_cond_wait(&w->finished, &w->lock);
    bool pending = w->state != IDLE; /* the loop still holds a callback for us */
    if (pending)
        w->state = DETACHED;
    struct item *group = w->group;
    w->group = NULL;
    pthread_mutex_unlock(&w->lock);
    deliver(group);
    /* Callbacks may have added more; nobody else touches the queue now. */
    while ((group = take(w))) {
        write_group(w->db, group);
        deliver(group);
    }
    if (!pending)
        release(w);
}
