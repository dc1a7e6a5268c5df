/* Shared between loop.c, pool.c, proc.c and http.c only. */
#ifndef BASE_INTERNAL_H
#define BASE_INTERNAL_H

#include "backend/base/buf.h"
#include "backend/base/loop.h"
#include <curl/curl.h>
#include <pthread.h>

/* A list of pointers that may shrink while it is walked: removing leaves NULL, and slots__pack
 * closes the gaps when nobody walks. What is added during a walk is appended. */
struct slots {
    void **at;
    size_t len, cap;
    bool gaps;
};
void slots__add(struct slots *s, void *item);
void slots__remove(struct slots *s, const void *item);
void slots__pack(struct slots *s);

struct loop_posted {
    loop_fn *fn;
    void *arg;
};
struct loop_posts {
    struct loop_posted *at;
    size_t len, cap;
};

struct pool;
struct loop {
    CURLM *multi;
    pthread_mutex_t lock; /* guards posts, quit and ended; nothing else is shared */
    struct loop_posts posts;
    bool quit, ended;
    struct loop_timer **heap; /* by deadline, then by order of starting */
    size_t heap_len, heap_cap;
    uint64_t timer_order;
    struct slots watches;         /* struct loop_watch */
    struct curl_waitfd *wait_fds; /* as many as wait_cap */
    struct loop_watch **wait_for; /* the watch of each entry of wait_fds, NULL once freed */
    size_t wait_len, wait_cap;
    struct slots procs; /* struct proc */
    int guard_fd;       /* to the guard of proc_guard.c; -1: none */
    pid_t guard_pid;
    struct slots calls; /* struct http_call */
    struct pool *pool;  /* NULL until the first job */
};

/* Wakes the loop; any thread. */
void loop__wake(struct loop *l);

/* pool.c */
bool pool__deliver(struct loop *l); /* runs done of finished jobs; true if there were any */
void pool__free(struct loop *l);

/* proc.c */
void proc__kill_all(struct loop *l); /* so that reaping one after the other does not take long */

/* proc_guard.c: a small process that outlives this one by a moment and kills the groups that it
 * left behind, also after a kill -9. Started with the first child. */
void guard__add(struct loop *l, pid_t group);
void guard__remove(struct loop *l, pid_t group); /* before its leader is reaped */
void guard__stop(struct loop *l);

/* http.c */
void http__turn(struct loop *l); /* moves transfers on and delivers what they brought */

#endif
