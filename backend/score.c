/* Facts of the system's own state for the scorecard. Compliance itself is pure; this file asks. */
#include "backend/base/clock.h"
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

enum { MAX_ENDPOINTS = 128, RECENT = 8 };

struct recent {
    int64_t seq[RECENT];
    size_t n;
};

static bool take_recent(void *arg, const struct store_row *row)
{
    struct recent *r = arg;
    r->seq[r->n++] = store_int(row, 0);
    return r->n < RECENT;
}

static bool take_type(void *arg, const struct store_row *row)
{
    struct score_tally *t = arg;
    const char *type = store_text(row, 0);
    const struct {
        const char *type;
        int64_t *count;
    } counted[] = {{"model.output", &t->outputs}, {"critique", &t->outputs},
                   {"tool.result", &t->results},  {"tool.call", &t->calls},
                   {"session.start", &t->starts}, {"session.seal", &t->seals}};
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++)
        if (strcmp(type, counted[i].type) == 0)
            *counted[i].count += store_int(row, 1);
    if (store_int(row, 2) > t->seq)
        t->seq = store_int(row, 2);
    return true;
}

static bool take_lines(void *arg, const struct store_row *row)
{
    struct score_tally *t = arg;
    t->lines += store_int(row, 0);
    t->lines_chained += store_int(row, 1);
    if (store_int(row, 2) > t->line)
        t->line = store_int(row, 2);
    return true;
}

void backend__score_recount(struct backend *b)
{
    b->tally = (struct score_tally){.seq = -1, .counted = true};
}

/* False when it cannot be read: then what was counted is not known. */
static bool tally_move(struct backend *b)
{
    struct score_tally *t = &b->tally;
    struct store_db *db = store_reader(b->store);
    if (!t->counted)
        backend__score_recount(b);
    if (store_query(db, NULL, take_type, t,
                    "SELECT type, count(*), max(seq) FROM entries WHERE seq > ? GROUP BY "
                    "type",
                    "i", t->seq) == ERR_OK &&
        store_query(db, NULL, take_lines, t,
                    "SELECT count(*), sum(EXISTS(SELECT 1 FROM entries WHERE seq = l.entry AND "
                    "type IN ('model.call', 'sample', 'embedding'))), max(id) FROM ledger AS l "
                    "WHERE id > ? AND attempt = 1",
                    "i", t->line) == ERR_OK)
        return true;
    backend__score_recount(b);
    return false;
}

static void log_facts(struct backend *b, struct pol_facts *f, struct recent *recent)
{
    struct prov_state chain;
    const struct score_tally *t = &b->tally;
    prov_state(b->prov, &chain);
    bool known = tally_move(b);
    f->chain_size = chain.size;
    f->chain_problems = b->verify_report ? json_int(b->verify_report, "problem_count", -1) : -1;
    f->chain_checked = b->verify_report ? json_int(b->verify_report, "checked", -1) : -1;
    f->chain_checked_at = chain.checked_at ? chain.checked_at : -1;
    f->verify_entry = b->verify_entry;
    /* Every call leaves a line in the ledger or a result in the log; each must lead back to an
     * entry that was written before the call was made. */
    f->model_calls = known ? t->outputs : -1;
    f->model_calls_in_ledger = known ? t->lines : -1;
    f->actions = known ? t->results + t->lines : -1;
    f->actions_chained =
        known ? (t->results < t->calls ? t->results : t->calls) + t->lines_chained : -1;
    struct store_db *db = store_reader(b->store);
    f->answers = store_scalar(db, -1, "SELECT answers FROM answer_counts", "");
    f->answers_with_sources = store_scalar(db, -1, "SELECT cited FROM answer_counts", "");
    f->sessions = known && t->starts > 0 ? t->starts - 1 : -1;
    f->sessions_sealed = known ? t->seals : -1;
    f->personal_data_entries = -1;
    /* Only seqs to cite: fewer of them say nothing wrong. */
    store_query(store_reader(b->store), NULL, take_recent, recent,
                "SELECT seq FROM entries WHERE type IN ('tool.call', 'model.call') ORDER BY seq "
                "DESC LIMIT 8",
                "");
    f->recent_entries = recent->seq;
    f->recent_count = recent->n;
}

static void system_facts(struct backend *b, struct pol_facts *f)
{
    struct stat st;
    struct statvfs vfs;
    struct timex tx = {0};
    f->now = clock_real_ms();
    f->key_present = 1; /* the vault is open, or the backend had not started */
    f->key_permissions_ok = vault_permissions_ok(b->vault, NULL);
    f->state_permissions_ok = stat(b->state_dir, &st) == 0 ? (st.st_mode & 077) == 0 : -1;
    f->disk_free_percent = statvfs(b->state_dir, &vfs) == 0 && vfs.f_blocks
                               ? (int64_t)(vfs.f_bavail * 100 / vfs.f_blocks)
                               : -1;
    int clock = adjtimex(&tx);
    f->clock_synchronised = clock < 0 ? -1 : clock != TIME_ERROR && !(tx.status & STA_UNSYNC);
    backend__retention_facts(b, f);
    f->secrets_in_config = 0; /* conf_load refuses a file that holds one */
    f->notice_number_set = -1;
}

/* Replaces the row's array of data categories by one text: "metrics logs". */
static void join_data(json_t *row)
{
    struct buf text = {0};
    size_t i;
    json_t *word;
    json_array_foreach(json_object_get(row, "data"), i, word)
        buf_addf(&text, "%s%s", i ? " " : "", json_string_value(word));
    json_puts(row, "data", text.data ? text.data : "");
    buf_release(&text);
}

/* Endpoints in use: connectors that are enabled, and the models that answer. Strings belong to
 * `rows`. */
static size_t endpoint_facts(struct backend *b, const json_t *rows, struct pol_endpoint *out)
{
    size_t i, n = 0;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (n == MAX_ENDPOINTS || strcmp(json_str(row, "state", ""), "disabled") == 0)
            continue;
        join_data(row);
        out[n++] = (struct pol_endpoint){.name = json_str(row, "name", ""),
                                         .what = "connector",
                                         .region = json_str(row, "region", ""),
                                         .allowed = json_str(row, "allowed_regions", ""),
                                         .data = json_str(row, "data", ""),
                                         .level = json_str(row, "level", "read"),
                                         .owner = json_str(row, "owner", "")};
    }
    for (size_t m = 0; m < gw_count(b->gw) && n < MAX_ENDPOINTS; m++) {
        const struct gw_model *model = gw_model(b->gw, m);
        out[n++] = (struct pol_endpoint){.name = model->name,
                                         .what = "model",
                                         .region = model->region,
                                         .allowed = "",
                                         .data = model->builtin ? "questions" : "",
                                         .level = "read",
                                         .owner = model->builtin ? "this console" : ""};
    }
    if (*conf_str(b->conf, "telemetry", "", "otlp") && n < MAX_ENDPOINTS)
        out[n++] =
            (struct pol_endpoint){.name = "telemetry",
                                  .what = "collector",
                                  .region = conf_str(b->conf, "telemetry", "", "otlp_region"),
                                  .allowed = "",
                                  .data = "metrics traces",
                                  .level = "read",
                                  .owner = ""};
    return n;
}

json_t *backend__endpoints(struct backend *b)
{
    struct pol_endpoint endpoints[MAX_ENDPOINTS];
    json_t *rows = conn_list(b->conn), *out = json_array();
    size_t n = endpoint_facts(b, rows, endpoints);
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_object();
        json_puts(one, "name", endpoints[i].name);
        json_puts(one, "what", endpoints[i].what);
        json_puts(one, "region", endpoints[i].region);
        json_puts(one, "allowed", endpoints[i].allowed);
        json_puts(one, "data", endpoints[i].data);
        json_puts(one, "level", endpoints[i].level);
        json_puts(one, "owner", endpoints[i].owner);
        json_array_append_new(out, one);
    }
    json_decref(rows);
    return out;
}

struct history {
    json_t *out;
};

static bool take_score(void *arg, const struct store_row *row)
{
    struct history *h = arg;
    char at[CLOCK_TEXT];
    json_t *point = json_object();
    clock_format(store_int(row, 0), at);
    json_puts(point, "at", at);
    json_puti(point, "score", store_int(row, 1));
    json_array_insert_new(h->out, 0, point);
    return true;
}

json_t *backend__scorecard(struct backend *b)
{
    struct pol_endpoint endpoints[MAX_ENDPOINTS];
    struct recent recent = {.n = 0};
    struct pol_facts f = {0};
    json_t *rows = conn_list(b->conn);
    log_facts(b, &f, &recent);
    system_facts(b, &f);
    const struct orch_safety_state *safety = orch_safety(b->orch);
    f.safety_rules = safety->rules;
    f.safety_judge = safety->judge;
    f.safety_unjudged = (int64_t)safety->unjudged;
    f.safety_entries = safety->entries;
    f.safety_entry_count = safety->entry_count;
    f.endpoints = endpoints;
    f.endpoint_count = endpoint_facts(b, rows, endpoints);
    json_t *card = pol_scorecard(&f);
    json_decref(rows);
    char at[CLOCK_TEXT];
    clock_format(f.now, at);
    json_puts(card, "assessed_at", at);
    struct history h = {json_array()};
    bool read =
        store_query(store_reader(b->store), NULL, take_score, &h,
                    "SELECT at, score FROM scores ORDER BY at DESC LIMIT 120", "") == ERR_OK;
    json_put(card, "history", read ? json_incref(h.out) : json_null());
    json_decref(h.out);
    return card;
}

/* ---- what changed since it was last logged */

static json_t *statuses(const json_t *card)
{
    json_t *out = json_object(), *control;
    size_t i;
    json_array_foreach(json_object_get(card, "controls"), i, control)
        json_puts(out, json_str(control, "id", ""), json_str(control, "status", ""));
    return out;
}

struct score_row {
    int64_t at, score;
};

static enum err insert_score(struct store_db *db, void *arg, struct error *e)
{
    struct score_row *r = arg;
    return store_exec(db, e, "INSERT OR REPLACE INTO scores (at, score) VALUES (?, ?)", "ii", r->at,
                      r->score);
}

static void score_logged(void *arg, int64_t seq, const struct error *e)
{
    (void)seq;
    (void)e;
    free(arg);
}

void backend__score_tell(struct backend *b)
{
    json_t *card = backend__scorecard(b), *now = statuses(card);
    if (b->last_score && json_equal(b->last_score, now)) {
        json_decref(now);
        json_decref(card);
        return;
    }
    json_decref(b->last_score);
    b->last_score = now;
    json_t *payload = json_object();
    struct score_row *r = xcalloc(1, sizeof *r);
    r->at = clock_real_ms();
    r->score = json_int(card, "score", 0);
    json_puti(payload, "score", r->score);
    json_put(payload, "controls", json_incref(now));
    struct prov_entry entry = {.type = "score", .actor = "backend", .payload = payload};
    prov_append(b->prov, &entry, score_logged, r, insert_score, r);
    json_decref(payload);
    json_object_del(card, "controls");
    bus_event(b->bus, "score", card);
    json_decref(card);
}
