/* Plans and the log: entries are appended here, applied when they are durable, and replayed after a
 * restart by the same function (A5). */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/act_internal.h"
#include "backend/vault/vault.h"
#include <string.h>

struct act_write {
    struct act_write *next;
    struct plan *plan;
    const char *type; /* a literal */
    json_t *payload;
    act_then *then;
    void *arg;
    enum { ROW_KEEP, ROW_NEW, ROW_CLOSE } row;
    char id[33];
    int64_t at;
};

enum err act__hash(const json_t *body, char hex[65], struct error *e)
{
    struct buf text = {0};
    uint8_t hash[VAULT_HASH];
    enum err code = jcs_write(body, &text);
    if (code == ERR_OK) {
        vault_sha256(text.data, text.len, NULL, 0, hash);
        text_hex(hash, sizeof hash, hex);
    } else {
        err_set(e, ERR_INVALID, "the plan holds a number that cannot be kept exactly");
    }
    buf_release(&text);
    return code;
}

/* ---- the doc */

json_t *act__step(const struct plan *plan, size_t step)
{
    return json_array_get(json_object_get(plan->doc, "steps"), step);
}

static bool closes(const char *state)
{
    static const char *const OVER[] = {"done", "failed", "rejected", "withdrawn", "expired"};
    for (size_t i = 0; i < sizeof OVER / sizeof *OVER; i++)
        if (strcmp(OVER[i], state) == 0)
            return true;
    return false;
}

static void apply_plan(struct plan *plan, const json_t *payload, int64_t seq)
{
    static const char *const MEMBERS[] = {"risk", "risk_reasons", "needed",    "by",
                                          "from", "at",           "expires_at"};
    const json_t *body = json_object_get(payload, "body"), *core = json_object_get(body, "core");
    char hash[65] = "";
    json_t *step;
    size_t i;
    plan->entry = seq;
    json_puts(plan->doc, "id", plan->id);
    json_puts(plan->doc, "hash", json_str(payload, "hash", ""));
    for (i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++)
        if (json_object_get(body, MEMBERS[i]))
            json_put(plan->doc, MEMBERS[i], json_deep_copy(json_object_get(body, MEMBERS[i])));
    json_puts(plan->doc, "title", json_str(core, "title", ""));
    json_puts(plan->doc, "reason", json_str(core, "reason", ""));
    json_puts(plan->doc, "on_failure", json_str(core, "on_failure", "stop"));
    json_puti(plan->doc, "canary_wait_s", json_int(core, "canary_wait_s", 0));
    json_t *steps = json_deep_copy(json_object_get(core, "steps"));
    json_put(plan->doc, "steps", steps ? steps : json_array());
    json_array_foreach(json_object_get(plan->doc, "steps"), i, step)
    {
        json_puts(step, "state", "waiting");
        const json_t *pin = json_array_get(json_object_get(body, "pins"), i);
        json_put(step, "pins", pin ? json_deep_copy(pin) : json_object());
    }
    bool whole = act__hash(body, hash, NULL) == ERR_OK &&
                 strcmp(hash, json_str(payload, "hash", "")) == 0 &&
                 strcmp(json_str(body, "id", ""), plan->id) == 0;
    json_puts(plan->doc, "state", whole ? "proposed" : "failed");
    if (!whole)
        json_puts(plan->doc, "why", "its entry does not have the hash that it says");
}

static void apply_approval(struct plan *plan, const json_t *payload, int64_t seq)
{
    json_t *row = json_deep_copy(payload);
    json_object_del(row, "hash");
    json_object_del(row, "plan");
    json_puti(row, "entry", seq);
    if (strcmp(json_str(payload, "decision", ""), "approve") != 0) {
        json_put(plan->doc, "rejected", row);
        json_puts(plan->doc, "state", "rejected");
        return;
    }
    json_t *approvals = json_object_get(plan->doc, "approvals");
    json_array_append_new(approvals, row);
    if (plan->approval_count < ACT_APPROVALS)
        plan->approvals[plan->approval_count++] = seq;
    if ((int64_t)json_array_size(approvals) >= json_int(plan->doc, "needed", INT64_MAX))
        json_puts(plan->doc, "state", "approved");
}

static void copy_members(json_t *to, const json_t *from, const char *const *names)
{
    for (size_t i = 0; names[i]; i++) {
        const json_t *value = json_object_get(from, names[i]);
        if (value)
            json_put(to, names[i], json_deep_copy(value));
    }
}

/* How many steps are in that state, or being undone is; *step: the last of them. */
static size_t with_state(struct plan *plan, const char *state, size_t *step)
{
    size_t n = 0;
    for (size_t i = 0; i < ACT_STEPS && act__step(plan, i); i++) {
        const json_t *s = act__step(plan, i);
        if (strcmp(json_str(s, "state", ""), state) == 0 ||
            strcmp(json_str(s, "undo", ""), state) == 0) {
            *step = i;
            n++;
        }
    }
    return n;
}

static void apply_step(struct plan *plan, const json_t *payload, int64_t seq)
{
    static const char *const RESULT[] = {"text", "elapsed_ms", "ran", "taken", NULL},
                             *const VERIFY[] = {"verified", "observed", "tries", NULL},
                             *const BEFORE[] = {"before", NULL},
                             *const END[] = {"state", "why", "undone", NULL},
                             *const RUN[] = {"run", NULL};
    const char *what = json_str(payload, "what", ""), *outcome = json_str(payload, "outcome", "");
    int64_t at = json_int(payload, "step", -1);
    json_t *step = at >= 0 ? act__step(plan, (size_t)at) : NULL;
    if (step && at < ACT_STEPS && strcmp(what, "preview") != 0)
        plan->step_entry[at] = seq;
    if (strcmp(what, "run") == 0) {
        copy_members(plan->doc, payload, RUN);
        json_object_del(plan->doc, "why");
        json_puts(plan->doc, "state", "running");
        plan->run_entry = seq;
    } else if (strcmp(what, "end") == 0) {
        copy_members(plan->doc, payload, END);
    } else if (step && strcmp(what, "preview") == 0) {
        copy_members(step, payload, BEFORE);
        json_puti(step, "before_at", json_int(payload, "at", 0));
    } else if (step && strcmp(what, "call") == 0) {
        json_puts(step, "state", "running");
        json_put(step, "started_at", json_integer(json_int(payload, "at", 0)));
    } else if (step && strcmp(what, "result") == 0) {
        copy_members(step, payload, RESULT);
        json_puts(step, "state", outcome);
    } else if (step && strcmp(what, "verify") == 0) {
        copy_members(step, payload, VERIFY);
        if (*outcome)
            json_puts(step, "state", outcome);
    } else if (step && strcmp(what, "resolve") == 0) {
        bool undo = strcmp(json_str(step, "undo", ""), "unknown") == 0,
             done = strcmp(outcome, "done") == 0;
        if (undo)
            json_puts(step, "undo", done ? "done" : "failed");
        json_puts(step, "state", undo && done ? "undone" : undo ? "done" : outcome);
    }
    size_t unknown;
    if (strcmp(json_str(plan->doc, "state", ""), "unknown") == 0 && strcmp(what, "end") != 0 &&
        !with_state(plan, "unknown", &unknown))
        json_puts(plan->doc, "state", "stopped");
}

static void apply_rollback(struct plan *plan, const json_t *payload)
{
    int64_t at = json_int(payload, "step", -1);
    json_t *step = at >= 0 ? act__step(plan, (size_t)at) : NULL;
    const char *outcome = json_str(payload, "outcome", "");
    if (!step)
        return;
    if (strcmp(json_str(payload, "what", ""), "call") == 0) {
        json_puts(step, "undo", "running");
        return;
    }
    json_puts(step, "undo", outcome);
    json_puts(step, "undo_text", json_str(payload, "text", ""));
    if (strcmp(outcome, "done") == 0)
        json_puts(step, "state", "undone");
}

void act__apply(struct plan *plan, const char *type, const json_t *payload, int64_t seq)
{
    if (strcmp(type, "plan") == 0)
        apply_plan(plan, payload, seq);
    else if (strcmp(type, "approval") == 0)
        apply_approval(plan, payload, seq);
    else if (strcmp(type, "step") == 0)
        apply_step(plan, payload, seq);
    else
        apply_rollback(plan, payload);
    json_array_append_new(json_object_get(plan->doc, "entries"), json_integer(seq));
}

const char *act__state(const struct plan *plan)
{
    const char *state = json_str(plan->doc, "state", "failed");
    bool waits = strcmp(state, "proposed") == 0 || strcmp(state, "approved") == 0;
    return waits && clock_real_ms() > json_int(plan->doc, "expires_at", 0) ? "expired" : state;
}

bool act__state_is(const struct plan *plan, const char *state)
{
    return strcmp(act__state(plan), state) == 0;
}

void act__tell(struct plan *plan)
{
    if (plan->owner->event && !plan->owner->closed)
        plan->owner->event(plan->owner->arg, plan->doc);
}

/* ---- appending */

static enum err write_row(struct store_db *db, void *arg, struct error *e)
{
    const struct act_write *w = arg;
    if (w->row == ROW_NEW)
        return store_exec(db, e, "INSERT INTO plans(id, at, open) VALUES(?, ?, 1)", "si", w->id,
                          w->at);
    if (w->row == ROW_CLOSE)
        return store_exec(db, e, "UPDATE plans SET open = 0 WHERE id = ?", "s", w->id);
    return ERR_OK;
}

static void written(void *arg, int64_t seq, const struct error *e)
{
    struct act_write *w = arg;
    struct plan *plan = w->plan;
    struct plans *p = plan->owner;
    struct error why = *e;
    p->writes--;
    if (e->code == ERR_OK)
        act__apply(plan, w->type, w->payload, seq);
    if (why.code == ERR_OK && p->closed) /* the connectors may be gone already */
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (e->code == ERR_OK)
        act__tell(plan);
    if (w->then)
        w->then(plan, seq, &why, w->arg);
    json_decref(w->payload);
    free(w);
}

/* What every entry of a plan says besides. */
static struct act_write *write_new(struct plan *plan, const char *type, json_t *payload,
                                   act_then *then, void *arg)
{
    struct act_write *w = xcalloc(1, sizeof *w);
    *w = (struct act_write){
        .plan = plan, .type = type, .payload = payload, .then = then, .arg = arg};
    w->at = clock_real_ms();
    memcpy(w->id, plan->id, sizeof w->id);
    json_puts(payload, "plan", plan->id);
    json_puti(payload, "at", w->at);
    if (strcmp(type, "plan") != 0)
        json_puts(payload, "hash", json_str(plan->doc, "hash", ""));
    bool end = strcmp(json_str(payload, "what", ""), "end") == 0;
    if (strcmp(type, "plan") == 0)
        w->row = ROW_NEW;
    else if ((end && closes(json_str(payload, "state", ""))) ||
             strcmp(json_str(payload, "decision", ""), "reject") == 0)
        w->row = ROW_CLOSE;
    return w;
}

int64_t act__log(struct plan *plan, const char *type, const char *actor, json_t *payload,
                 const struct prov_edge *parents, size_t parent_count, act_then *then, void *arg)
{
    struct act_write *w = write_new(plan, type, payload, then, arg);
    const char *tags[9];
    char *text = json_write(payload);
    tags[pol_pii_tags(text, tags, 8)] = NULL;
    free(text);
    struct prov_entry entry = {.type = type,
                               .actor = actor,
                               .trace_id = plan->id,
                               .pii_tags = tags,
                               .parents = parents,
                               .parent_count = parent_count,
                               .payload = payload};
    plan->owner->writes++;
    return prov_append(plan->owner->rooms.prov, &entry, written, w, write_row, w);
}

/* An entry that waits until its payload is ready. */
struct act_whole {
    struct act_write *write; /* its payload is without the result: that may be large */
    struct prov_edge parents[ACT_APPROVALS + 3];
    size_t parent_count;
};

static void whole_ready(void *arg, const struct orch_ready *ready)
{
    struct act_whole *h = arg;
    struct act_write *w = h->write;
    if (ready->error.code == ERR_OK) {
        struct prov_entry entry = {.type = w->type,
                                   .actor = "backend",
                                   .trace_id = w->id,
                                   .pii_tags = ready->tags,
                                   .parents = h->parents,
                                   .parent_count = h->parent_count,
                                   .prepared = ready->payload};
        prov_append(w->plan->owner->rooms.prov, &entry, written, w, write_row, w);
    } else {
        written(w, -1, &ready->error);
    }
    free(h);
}

void act__log_result(struct plan *plan, const char *type, json_t *payload,
                     const struct conn_result *r, const struct prov_edge *parents,
                     size_t parent_count, act_then *then)
{
    bool more =
        r && r->error.code == ERR_OK &&
        (r->data || (r->content && !json_is_string(r->content)) || strlen(r->text) > ACT_TEXT);
    if (!more) {
        act__log(plan, type, "backend", payload, parents, parent_count, then, NULL);
        return;
    }
    struct act_whole *h = xcalloc(1, sizeof *h);
    BUG_IF(parent_count > sizeof h->parents / sizeof *h->parents);
    h->write = write_new(plan, type, payload, then, NULL);
    h->write->payload = json_deep_copy(payload);
    memcpy(h->parents, parents, parent_count * sizeof *parents);
    h->parent_count = parent_count;
    plan->owner->writes++;
    orch_put_result(payload, "content", r);
    orch__prepare(&plan->owner->preparer, payload, NULL, whole_ready, h);
}

/* ---- reading */

struct plan *act__new(struct plans *p, const char *id)
{
    struct plan *plan = xcalloc(1, sizeof *plan);
    plan->owner = p;
    snprintf(plan->id, sizeof plan->id, "%s", id);
    plan->doc = json_object();
    json_puts(plan->doc, "id", id);
    json_puts(plan->doc, "state", "failed");
    json_put(plan->doc, "approvals", json_array());
    json_put(plan->doc, "entries", json_array());
    plan->entry = plan->run_entry = plan->at_entry = -1;
    for (size_t i = 0; i < ACT_STEPS; i++)
        plan->step_entry[i] = -1;
    return plan;
}

void act__free(struct plan *plan)
{
    loop_timer_free(plan->timer);
    act__span_end(plan, "_OTHER");
    json_decref(plan->doc);
    free(plan->stop_why);
    free(plan);
}

struct seqs {
    int64_t seq[4096];
    char type[4096][12];
    size_t count;
};

static bool take_seq(void *arg, const struct store_row *row)
{
    struct seqs *s = arg;
    s->seq[s->count] = store_int(row, 0);
    snprintf(s->type[s->count], sizeof *s->type, "%s", store_text(row, 1));
    return ++s->count < sizeof s->seq / sizeof *s->seq;
}

struct plan *act__read(struct plans *p, const char *id, struct error *e)
{
    struct seqs *s = xcalloc(1, sizeof *s);
    struct plan *plan = NULL;
    enum err code = store_query(store_reader(p->rooms.store), e, take_seq, s,
                                "SELECT seq, type FROM entries WHERE trace_id = ? AND type IN"
                                " ('plan', 'approval', 'step', 'rollback') ORDER BY seq",
                                "s", id);
    if (code == ERR_OK && (!s->count || strcmp(s->type[0], "plan") != 0))
        code = err_set(e, ERR_NOT_FOUND, "there is no plan %s", id);
    if (code == ERR_OK)
        plan = act__new(p, id);
    for (size_t i = 0; plan && i < s->count; i++) {
        json_t *payload = prov_payload(p->rooms.prov, s->seq[i], NULL);
        if (payload) {
            act__apply(plan, s->type[i], payload, s->seq[i]);
        } else { /* erased or damaged: what it said is not known, so nothing follows from it */
            json_puts(plan->doc, "state", "failed");
            json_puts(plan->doc, "why", "an entry of it was erased or cannot be read");
            i = s->count;
        }
        json_decref(payload);
    }
    free(s);
    return plan;
}

struct ids {
    char at[ACT_OPEN][33];
    size_t count;
};

static bool take_id(void *arg, const struct store_row *row)
{
    struct ids *ids = arg;
    snprintf(ids->at[ids->count], sizeof *ids->at, "%s", store_text(row, 0));
    return ++ids->count < ACT_OPEN;
}

/* What a console that ended left running: its step is unknown, its run is over. */
static void settle(struct plan *plan)
{
    static const char WHY[] = "the console ended while it ran";
    size_t at = 0;
    const struct prov_edge permit = {plan->entry, "permit", -1};
    bool open = with_state(plan, "running", &at) > 0; /* may have run (A4) */
    if (open) {
        const json_t *step = act__step(plan, at);
        bool undo = strcmp(json_str(step, "undo", ""), "running") == 0;
        struct prov_edge both[2] = {permit, {plan->step_entry[at], "undo", -1}};
        json_t *payload = json_object();
        json_puts(payload, "what", "result");
        json_puti(payload, "step", (int64_t)at);
        json_puts(payload, "outcome", "unknown");
        json_puts(payload, "text", WHY);
        act__log(plan, undo ? "rollback" : "step", "backend", payload, both, undo ? 2 : 1, NULL,
                 NULL);
    }
    json_t *end = json_object();
    json_puts(end, "what", "end");
    json_puts(end, "state", open ? "unknown" : "stopped");
    json_puts(end, "why", WHY);
    act__log(plan, "step", "backend", end, &permit, 1, NULL, NULL);
}

enum err act__load(struct plans *p, struct error *e)
{
    struct ids *ids = xcalloc(1, sizeof *ids);
    enum err code =
        store_query(store_reader(p->rooms.store), e, take_id, ids,
                    "SELECT id FROM plans WHERE open = 1 ORDER BY rowid DESC LIMIT 256", "");
    for (size_t i = ids->count; code == ERR_OK && i-- > 0;) {
        struct error why = {0};
        struct plan *plan = act__read(p, ids->at[i], &why);
        if (!plan)
            continue;
        plan->next = p->first;
        p->first = plan;
        p->count++;
        if (strcmp(json_str(plan->doc, "state", ""), "running") == 0)
            settle(plan);
    }
    free(ids);
    return code;
}
