/* The event loop of the backend thread, its timers, descriptors, worker pool, child processes and
 * HTTP calls. It waits in one place, libcurl's multi poll.
 *
 * Invariants
 * L1 Everything but loop_post and loop_quit is called on the loop's thread only.
 * L2 Callbacks run on the loop's thread, never inside the call that registered them.
 * L3 After _free or _cancel of a thing none of its callbacks runs again.
 * L4 A worker's function owns only its argument; it touches no room's state. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "backend/base/errors.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;
typedef void loop_fn(void *arg);

struct loop *loop_new(void); /* NULL when the system has no descriptors left */
/* Ends the worker pool (queued jobs are dropped, with done called by their cancelled flag), kills
 * child processes, cancels HTTP calls. */
void loop_free(struct loop *l);
/* Runs until loop_quit; may be run again afterwards. Timers and watches are to be freed before
 * loop_free; child processes and HTTP calls that are still there are freed with the loop. */
void loop_run(struct loop *l);
/* From any thread, also from a signal-free callback; idempotent. */
void loop_quit(struct loop *l);
/* From any thread: fn(arg) runs on the loop, in the order posted. False after loop_quit was
 * handled: then nothing runs and the caller keeps arg. */
bool loop_post(struct loop *l, loop_fn *fn, void *arg);

/* Timers */
struct loop_timer;
struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg);
void loop_timer_start(struct loop_timer *t, uint64_t after_ms, uint64_t repeat_ms); /* 0: once */
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t); /* NULL is fine; may be called in its own callback */

/* Descriptors; events are CURL_WAIT_POLLIN-like: 1 readable, 4 writable. */
enum { LOOP_READ = 1, LOOP_WRITE = 4 };
struct loop_watch;
typedef void loop_watch_fn(void *arg, int events);
struct loop_watch *loop_watch_new(struct loop *l, int fd, int events, loop_watch_fn *fn, void *arg);
void loop_watch_set(struct loop_watch *w, int events);
void loop_watch_free(struct loop_watch *w); /* does not close the descriptor */

/* Worker pool (two threads): work(arg) on a worker, then done(arg, cancelled) on the loop. When the
 * loop ends first, done still runs (on the loop's thread, inside loop_free) with cancelled true if
 * work never ran. */
typedef void loop_done_fn(void *arg, bool cancelled);
void loop_work(struct loop *l, loop_fn *work, loop_done_fn *done, void *arg);

/* Child processes: own process group, PR_SET_PDEATHSIG SIGKILL, all descriptors but 0, 1, 2 closed,
 * signals reset. */
struct proc;
struct proc_ops {
    void (*output)(void *arg, const char *bytes, size_t len); /* standard output */
    void (*errors)(void *arg, const char *bytes, size_t len); /* standard error */
    void (*exited)(void *arg,
                   int status); /* wait status, after both pipes ended or 200 ms later; last call */
};
struct proc_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* NULL-terminated "K=V" added to the environment, or NULL */
    const char *cwd;         /* or NULL */
    bool only_env;           /* env is the whole environment: nothing of this process's own */
};
/* NULL with *e set if it cannot be started. */
struct proc *proc_start(struct loop *l, const struct proc_options *o, const struct proc_ops *ops,
                        void *arg, struct error *e);
/* Queues bytes for its standard input; ERR_TOO_BIG beyond 32 MiB unsent, ERR_CLOSED when it is
 * gone. */
enum err proc_write(struct proc *p, const void *bytes, size_t len);
/* Stops reading its standard output, or goes on; what was read already may still be delivered in
 * this turn of the loop. While stopped the child waits once its pipe is full. */
void proc_pause(struct proc *p, bool paused);
pid_t proc_pid(const struct proc *p);
/* Does not block: closes its input, SIGTERM to the group after half of grace_ms, SIGKILL after all
 * of it. */
void proc_close(struct proc *p, uint64_t grace_ms);
/* Kills the group at once, reaps, frees. No callback runs any more. */
void proc_free(struct proc *p);

/* HTTP over libcurl: only http and https, connections are used again, for five minutes at most: a
 * certificate is looked at that often. TLS is always verified; what fails there ends in CERTIFICATE
 * with the reason, or in CONFIG if ca_file cannot be read. Redirects are
 * not followed: the caller sees the status and the header Location. A request other than GET and
 * HEAD is never sent twice: if a connection turns out dead, the call ends in CLOSED or PROTOCOL. */
struct http_call;
struct http_options {
    const char *method; /* "GET" if NULL */
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated, or NULL */
    const void *body;           /* copied */
    size_t body_len;
    uint64_t connect_ms, total_ms; /* 0: 5 s and no limit */
    uint64_t silence_ms;           /* longest time without a byte, from the start on; 0: none */
    size_t max_bytes;              /* of the answer's body; TOO_BIG beyond; 0: no limit */
    bool no_local;    /* DENIED if the name leads to loopback or a link-local address: for addresses
                         that a peer has named */
    bool certificate; /* see http_cert_expires_at */
    const char *ca_file; /* PEM file of authorities that are trusted in the place of the system's;
                            NULL or "": the system's */
    bool ca_besides;     /* ... besides the system's: for another host than the file is meant for */
};
struct http_ops {
    /* status and content type are known; called once before data, as soon as the head is there;
     * may be NULL */
    void (*head)(void *arg, long status, const char *content_type);
    bool (*data)(void *arg, const char *bytes,
                 size_t len); /* false: stop, done gets ERR_CANCELLED */
    void (*done)(void *arg, const struct error *e,
                 long status); /* last call; frees the call itself */
};
struct http_call *http_start(struct loop *l, const struct http_options *o,
                             const struct http_ops *ops, void *arg, struct error *e);
/* A header of the response, in head, data and done only; NULL if it has none of that name. */
const char *http_header(const struct http_call *c, const char *name);
/* Every header of that name, at most 16, in their order; returns how many. In head, data and done
 * only. */
size_t http_header_each(const struct http_call *c, const char *name,
                        void (*fn)(void *arg, const char *value), void *arg);
/* What the header Retry-After asks for, as seconds or as a date (RFC 9110, section 10.2.3): ms from
 * now on, 0 for what has passed; -1: there is none, or it is neither. In head, data and done only.
 */
int64_t http_retry_after_ms(const struct http_call *c);
/* When the first certificate of the server's chain expires (real ms); 0: not known, or no TLS. With
 * the option `certificate`; in head, data and done only. */
int64_t http_cert_expires_at(const struct http_call *c);
/* No callback runs any more; the connection is closed at once. */
void http_cancel(struct http_call *c);

#endif
