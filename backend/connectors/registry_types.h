/* The registry's own structures, shared by registry.c, calls.c and listing.c only. */
#ifndef CONNECTORS_REGISTRY_TYPES_H
#define CONNECTORS_REGISTRY_TYPES_H

#include "backend/base/breaker.h"
#include "backend/connectors/internal.h"

struct conn__tool {
    char *name, *title, *description, *qualified;
    json_t *schema, *output_schema, *annotations; /* or NULL */
    enum conn_level level;
    enum conn_pin pin;
    bool listed;        /* by tools_allow and tools_deny */
    json_t *definition; /* as it was given, and its hash; hex */
    char *hash;
};

enum conn__pin_mode { CONN__PIN_AUTO, CONN__PIN_ASK, CONN__PIN_OFF };

enum { CONN_PAST = 50 };
struct conn__past { /* a call that ended */
    int64_t at;     /* real ms of its end */
    char tool[CONN_MAX_NAME + 1], error[sizeof((struct error *)0)->detail];
    bool ok;
    int64_t elapsed_us;
};

struct conn {
    struct conn_registry *registry;
    struct conn *next;
    const struct conn_ops *ops;
    void *self;
    char *name, *region, *allowed_regions, *owner, *data, *about;
    char *tools_allow, *tools_deny, *alternative, *ca_file;
    enum conn__pin_mode pin_mode;
    struct breaker breaker;
    bool taken_over;   /* the last call that came went to the alternative */
    char *fingerprint; /* of its section, to see whether a new configuration changes it; or NULL */
    enum conn_level level;
    bool enabled;
    uint64_t timeout_ms, check_ms;

    enum conn_state state;
    bool running; /* ops->start was called, and neither stop nor a conn__down came since */
    bool up;      /* answers calls */
    char *version, *protocol;
    struct conn__tool *tools;
    size_t tool_count;
    struct conn__tool *incoming; /* between tools_begin and tools_end */
    size_t incoming_count;

    struct loop_timer *check_timer, *check_limit, *restart_timer;
    bool checking;
    bool in_phase; /* the first check was made: R4 */
    uint64_t check_started_ms;
    unsigned check_failures; /* in a row */
    unsigned attempts;       /* starts in a row that did not last */
    uint64_t up_since_ms, restart_at_ms;
    uint64_t starts;
    struct tel_history checks, calls; /* latencies in ms */
    char last_error[256];
    int64_t last_error_at, last_success_at; /* real ms, 0: never */
    int64_t certificate_expires_at;         /* real ms, 0: not known */
    char *sign_in_url;                      /* in CONN_SIGN_IN, or NULL */

    struct conn_call *running_calls;
    size_t call_count;
    struct conn__past *past; /* a ring of CONN_PAST, NULL before the first call */
    uint64_t past_count;
};

struct conn_registry {
    struct conn_setup setup;
    struct loop *loop;
    struct conn *first;
    bool started, closing, killed;
    json_t *pins;      /* pins.c */
    json_t *pins_lost; /* {connector: true} */
    bool pins_damaged, pins_dirty;
    char *pins_words; /* why approvals are lost, or NULL */
    struct loop_timer *pins_timer;
    json_t *switches; /* {name: enabled} where a person said otherwise than the configuration */
    bool switches_damaged;
    struct conn *next_ones;        /* reload.c: what is to be swapped in, first the next */
    struct loop_timer *swap_timer; /* or NULL */
    uint64_t swap_since_ms;
    char *swapping; /* the one that is coming up; or NULL */
};

struct conn_call {
    struct conn *conn;
    struct conn_call *next;
    struct conn_call_options options; /* idempotency is owned */
    char *tool;
    bool probe;             /* lets the breaker know */
    const char *instead_of; /* name of the connector whose call this took over; owned; or NULL */
    bool acts;              /* the tool needs more than CONN_READ */
    uint64_t limit_ms;
    conn_done *done;
    void *arg;
    struct loop_timer *timer; /* the time limit; after the end, the delivery on the next turn */
    uint64_t started_ns;
    struct tel_span *span; /* until it ended */
    bool ended;            /* the kind has reported, or the limit passed */
    bool timed_out;
    struct error error;
    bool is_error;
    char *text;
    size_t text_bytes; /* 0: text is not cut */
    json_t *data, *content;
    int64_t elapsed_us;
};

/* The tool may be called as far as itself goes: its pin and the lists. */
bool conn__tool_callable(const struct conn__tool *t);
/* registry.c */
struct conn *conn__find(const struct conn_registry *r, const char *name);
void conn__failed(struct conn *c, enum err code, const char *why); /* notes last_error */
/* calls.c: ends every call of c with the error; done runs on later turns. */
void conn__calls_fail(struct conn *c, enum err code, const char *why);
const struct conn__tool *conn__tool_find(const struct conn *c, const char *name);
/* pins.c */
json_t *conn__definition_of(const struct conn_definition *d);
void conn__pins_open(struct conn_registry *r);
void conn__pins_close(struct conn_registry *r);
void conn__pins_lost(struct conn *c); /* notes that, where the file is damaged: P2 */
/* Why tools of connectors wait that were approved once; NULL: none do. */
const char *conn__pins_words(const struct conn_registry *r);
void conn__pins_judge(struct conn *c, struct conn__tool *tools, size_t n);
bool conn__listed(const struct conn *c, const char *tool);
/* A file of $STATE/connectors; an empty object if there is none, or it is damaged. */
json_t *conn__state_read(const struct conn_registry *r, const char *name, bool *damaged);
enum err conn__state_write(const struct conn_registry *r, const char *name, const json_t *value,
                           struct error *e);
/* diff.c: appends the lines of either value (NULL: nothing) that differ, marked - and +, with some
 * around them; "@" stands for those left out. Bounded. */
void conn__diff(const json_t *before, const json_t *after, struct buf *out);
/* reload.c */
char *conn__fingerprint(const struct conf *conf, const char *name);
void conn__reload_free(struct conn_registry *r);
/* registry.c, for reload.c */
void conn__start_now(struct conn *c);
void conn__stop_now(struct conn *c, const char *why, bool orderly);
void conn__free_one(struct conn *c);
void conn__calls_drop(struct conn *c); /* frees them; for conn_free: done is told first (C2) */

#endif
