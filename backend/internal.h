/* The backend's thread and what its files share. All of it belongs to the backend's thread but
 * `lock`ed members. */
#ifndef BACKEND_INTERNAL_H
#define BACKEND_INTERNAL_H

#include "backend/backend.h"
#include "backend/base/conf.h"
#include "backend/base/httpd.h"
#include "backend/bus/bus.h"
#include "backend/compliance/compliance.h"
#include "backend/connectors/connectors.h"
#include "backend/cost/budget.h"
#include "backend/eval/eval.h"
#include "backend/gateway/gateway.h"
#include "backend/knowledge/knowledge.h"
#include "backend/orchestrator/orchestrator.h"
#include "backend/orchestrator/plans.h"
#include "backend/provenance/provenance.h"
#include "backend/provenance/retention.h"
#include "backend/provenance/witness.h"
#include "backend/store/store.h"
#include "backend/telemetry/telemetry.h"
#include "backend/vault/vault.h"
#include <pthread.h>

/* What the scorecard counts in the log and the ledger. Both only grow, so each assessment counts
 * what came since the last; a verification of the log begins from nothing again. */
struct score_tally {
    int64_t seq, line; /* the last counted */
    int64_t outputs, results, calls, starts, seals;
    bool counted;
    int64_t lines, lines_chained;
};

struct backend {
    pthread_t thread;
    pthread_mutex_t lock;  /* guards the next four */
    bool ended, abandoned; /* the thread is over; nobody joins it, it frees this itself */
    struct error error;
    struct loop *loop;
    char *config_path, *state_option, *role_option, *address;
    struct vault_pass *pass, *new_pass; /* or NULL */
    struct vault_text secret;           /* for vault.set, or empty */
    struct key_wait *key_waits;         /* methods of keys, until no key is being replaced */
    struct loop_timer *key_timer;

    char *state_dir;
    struct conf *conf;
    struct conf *conn_conf; /* of the connectors, after they were reloaded; or NULL */
    struct loop_timer *reload_timer;
    int64_t conf_stamp;        /* of the file as it was last looked at */
    uint64_t flows_stamp;      /* of the directory of own flows, likewise */
    struct error reload_error; /* why the last one was refused */
    struct bus *bus;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    struct prov_asker *asker;     /* NULL: no witnesses are configured */
    struct prov_witness *witness; /* NULL until it is needed */
    struct httpd *witness_server; /* NULL: it does not listen */
    struct error witness_warning; /* why it does not, where it should */
    char *served_address;         /* of the server for agents beside this; NULL: none */
    struct error served_error;    /* why there is none */
    struct tel *tel;
    struct observe *observe; /* observe.c; NULL until it is started */
    struct cost *cost;
    struct cost_budgets *budgets;
    struct gw *gw;
    struct conn_registry *conn;
    struct orch *orch;
    struct evals *evals; /* freed behind the store: its write may be under way */
    struct plans *plans;
    struct kill *kill;
    enum bus_level max_level;
    char *level_option;
    struct retention *retention;
    struct know *know;
    struct error know_warning; /* what of the runbooks could not be read */
    struct loop_timer *tick, *status_timer, *stop_timer;
    uint64_t started_ms;
    enum bus_role max_role;
    char *last_status;  /* the status last told, so that nothing is told twice */
    json_t *last_score; /* statuses last logged */
    struct score_tally tally;
    json_t *verify_report; /* the last of the whole log, or of a part with problems; or NULL */
    int64_t verify_entry;  /* of the last one that was logged, -1: none */
    struct verify_wait *verify_waits; /* oldest first */
    struct prov_verify *verify;
    struct daily *daily;         /* daily.c; NULL: no daily bundles */
    struct prov_verify *rolling; /* methods_verify.c: in the background, or NULL */
    struct loop_timer *rolling_timer;
    int64_t rolling_checked, rolling_size, told_epoch;
    struct exports *exports;      /* methods_export.c */
    struct sample *samples;       /* sampling.c: under way */
    struct model_ask *model_asks; /* methods_models.c: under way */
    bool score_due, stopping;
    bool stop_indexing; /* read by a worker, atomically */
    int64_t told_size;
    unsigned drain_steps; /* since stop */
};

/* Waits for the thread to have made it. Any thread. */
struct loop *backend__loop(struct backend *b);
/* learnt.c: what the gateway learnt of tokens; written if it is new, on a worker or `now`. */
void backend__learnt_read(struct backend *b);
void backend__learnt_write(struct backend *b, bool now);
/* served.c: `serving` of status.get; null if no server for agents was asked for. */
json_t *backend__served(const struct backend *b);
/* methods.c, methods_log.c: on_<id> for every row of wire.def */
extern bus_handler *const backend__handlers[WIRE_COUNT];
json_t *backend__status(struct backend *b);
/* For the demo role: take the texts out of a trace, out of the stages of one, out of a connector's
 * row or description, out of a status. */
void backend__withhold(json_t *trace);
void backend__withhold_text(json_t *object, const char *key);
void backend__withhold_stages(json_t *stages);
void backend__withhold_connector(json_t *row);
/* scan.c: `steers` in the row: how what its server says (any JSON, or NULL) tries to steer a model;
 * in each tool's row: its own words. */
void backend__mark_steering(json_t *row, const json_t *said);
void backend__mark_tools(json_t *tools);
void backend__withhold_status(json_t *status);
void backend__withhold_checks(json_t *checks); /* of doctor.run */
/* Tells an event to everybody, to the demo role a copy from which something is withheld. */
void backend__tell(struct backend *b, const char *type, json_t *data,
                   void (*withhold_from)(json_t *));
/* Tells clients the status and the score soon if they changed; cheap, may be called often. */
void backend__changed(struct backend *b);
/* Verifies the log from entry `from` on as it is now: joins a running verification of the same
 * entries, otherwise begins when the running one is over. given: checkpoints kept elsewhere that
 * are to be checked too, or NULL. chain: without the payloads. done (may be NULL) gets the report,
 * borrowed; NULL if the console stops first. */
typedef void verify_done(void *arg, const json_t *report);
struct verify_given {
    const char *checkpoints;
    const char *witnesses; /* vkeys of those who are to have cosigned them, or NULL */
};
void backend__verify(struct backend *b, int64_t from, bool chain, const struct verify_given *given,
                     const char *actor, verify_done *done, void *arg);
void backend__verify_forget(struct backend *b); /* at stop */
enum { VERIFY_KNOWN = -1 };                     /* as `from`: behind what was verified last */
/* A report is in: what the score, the status and the log make of it. actor NULL: nobody asked. */
void backend__verified(struct backend *b, json_t *report, const char *actor);
/* methods_verify.c: when the next one in the background begins; full: one has just ended. */
void backend__rolling_start(struct backend *b, bool full);
void backend__rolling_stop(struct backend *b);
void backend__epoch_tell(struct backend *b, const struct prov_state *chain);
void backend__keys_forget(struct backend *b); /* at stop */

/* methods_export.c: bundles. Makes one with what the console says of itself; of the options only
 * what is chosen, scope, payloads and actor are the caller's. bundle is the callee's. */
struct prov_bundle;
struct prov_bundle_options;
typedef void backend_bundled(void *arg, struct prov_bundle *bundle, const struct error *e);
void backend__bundle(struct backend *b, const struct prov_bundle_options *o, backend_bundled *done,
                     void *arg);
void backend__exports_start(struct backend *b);
void backend__exports_free(struct backend *b);
/* daily.c: after the exports began, and before they end. */
void backend__daily_start(struct backend *b);
void backend__daily_free(struct backend *b);
/* Why the last one could not be made; NULL: it could. */
const struct error *backend__daily_error(const struct backend *b);
/* sbom.c: a bill of materials, CycloneDX 1.6; reads all libraries: on a worker. */
json_t *backend__sbom(void);

/* score.c */
/* Endpoints in use: [{name, what, region, allowed, data, level, owner}]. */
json_t *backend__endpoints(struct backend *b);
json_t *backend__scorecard(struct backend *b);
void backend__score_recount(struct backend *b);
void backend__score_tell(struct backend *b); /* event and entry, if it changed */

/* selftools.c: the tools of the console itself, as connector "console" */
void backend__add_selftools(struct backend *b);
/* Appends a finding; takes en and ru. */
void backend__finding(json_t *findings, const char *severity, const char *topic, char *en,
                      char *ru);
/* What a tool answers with: takes the references of findings and of figures, which go under key. */
enum err backend__tool_answer(json_t *findings, json_t *figures, const char *key, json_t **data,
                              char **text);
/* A figure as Russian writes it: "0,00". The caller frees. */
char *backend__figure_ru(const char *figure);
/* selftools_about.c */
enum err backend__call_models(void *arg, const json_t *arguments, json_t **data, char **text,
                              struct error *e);
enum err backend__call_verdict(void *arg, const json_t *arguments, json_t **data, char **text,
                               struct error *e);
enum err backend__call_help(void *arg, const json_t *arguments, json_t **data, char **text,
                            struct error *e);

/* retention.c: the job, acts, what is asked. done gets the report of prov_erase, with act_entry,
 * files and missing if an act was written; or NULL and e. */
typedef void retention_done(void *arg, json_t *report, const struct error *e);
struct retention_order {
    const char *actor;
    bool dry_run, confirm_clock;
};
enum err backend__retention_open(struct backend *b, struct error *e);
void backend__retention_stop(struct backend *b); /* whoever waits is told */
void backend__retention_free(struct backend *b);
/* ERR_BUSY, INVALID (the clock is not to be trusted). */
enum err backend__retention_run(struct backend *b, const struct retention_order *order,
                                retention_done *done, void *arg, struct error *e);
enum err backend__retention_erase(struct backend *b, const struct prov_erasing *o,
                                  retention_done *done, void *arg, struct error *e);
struct prov_retention *backend__retention(const struct backend *b);
int64_t backend__retention_days(const struct backend *b, enum prov_class class); /* 0: for ever */
json_t *backend__retention_status(const struct backend *b);
/* {acts, folder}, or with id {row, document, missing, text}; NULL with *e. */
json_t *backend__retention_acts(const struct backend *b, const char *id, struct error *e);
const char *backend__retention_alert(const struct backend *b, char text[160]); /* or NULL */
void backend__retention_facts(const struct backend *b, struct pol_facts *f);
/* methods_witness.c: witnesses of this log, and being one */
enum err backend__witness_start(struct backend *b, struct error *e);
void backend__witness_close(struct backend *b); /* at stop */
void backend__witness_free(struct backend *b);
void backend__witness_status(struct backend *b, json_t *status, json_t *alerts);

/* methods_models.c: those who wait for a model's server are told that the console stops. */
void backend__models_stop(struct backend *b);
/* methods_mcp.c: what connectors ask and tell */
extern const struct conn_host backend__mcp_host;
/* sampling.c: conn_host.sample; and at stop, before connectors and models end */
struct conn_sample;
void backend__sample(void *arg, const char *connector, const json_t *params,
                     struct conn_sample *from);
void backend__samples_stop(struct backend *b);
/* methods_plans.c: plans and the kill switch */
double backend__alerts(void *arg); /* how many there are, a warning as a half */
void backend__user(char out[64]);  /* the system user that the console runs as */
enum err backend__plans_start(struct backend *b, struct error *e);
void backend__plans_status(struct backend *b, json_t *status);

/* methods_connectors.c: watches the configuration file; takes what the registry tells for the log
 */
void backend__reload_start(struct backend *b);
void backend__reload_stop(struct backend *b);
void backend__conn_told(void *arg, const char *type, const char *name, const json_t *data);
/* spending.c: open makes the cost room and reads prices; start makes the budgets and has the
 * gateway ask them. ERR_CONFIG names file or setting. */
enum err backend__spending_open(struct backend *b, struct error *e);
enum err backend__spending_start(struct backend *b, struct error *e);
void backend__spending_status(struct backend *b, json_t *alerts);
/* lost.c: right after that; calls that a crash cut short get their lines. */
void backend__lost_find(struct backend *b);
/* observe.c: metrics and traces for other systems. Close: no port any more; flush: what is left is
 * sent at once, and pending while that is under way. */
enum err backend__observe_start(struct backend *b, struct error *e);
/* Another [telemetry]; fresh must live until the next one. apply: else it is only looked at.
 * *changed: it is another one than before. ERR_CONFIG and what a token may have: nothing changed.
 */
enum err backend__observe_reload(struct backend *b, const struct conf *fresh, bool apply,
                                 bool *changed, struct error *e);
void backend__observe_close(struct backend *b);
void backend__observe_flush(struct backend *b);
bool backend__observe_pending(const struct backend *b);
void backend__observe_free(struct backend *b);
void backend__observe_status(struct backend *b, json_t *alerts); /* adds its own */
/* Where metrics are read; NULL with *e: why not. And why the last request to the collector failed.
 */
const char *backend__observe_address(const struct backend *b, struct error *e);
void backend__observe_collector(const struct backend *b, struct error *e);
void backend__observe_alerts(struct backend *b, const json_t *alerts); /* counts all of them */
/* token.c: as backend_token_new, on the backend's thread. */
struct backend_token *backend__token_make(struct backend *b, const char *reference,
                                          struct error *e);
/* doctor.c */
json_t *backend__doctor(struct backend *b);

/* Appends an entry with one parent (or NULL) and the kinds of personal data found in its payload,
 * which is taken. Returns its number, as prov_append does. */
int64_t backend__log_tagged(struct backend *b, const char *type, const char *actor, json_t *payload,
                            const struct prov_edge *parent, prov_done *done, void *arg);

#endif
