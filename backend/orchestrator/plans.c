/* Plans: what persons do with them. Invariants: plans.h. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/act_internal.h"
#include "backend/vault/vault.h"
#include <string.h>

enum { HOUR_MS = 3600 * 1000, NAME_MAX_BYTES = 128, REASON_MAX = 1000 };

struct plans *plans_new(const struct plans_rooms *rooms, plans_event *event, void *arg,
                        struct error *e)
{
    struct plans *p = xcalloc(1, sizeof *p);
    p->rooms = *rooms;
    p->preparer = (struct orch_preparer){.loop = rooms->loop, .prov = rooms->prov};
    p->event = event;
    p->arg = arg;
    p->limits = (struct plans_limits){conf_int(rooms->conf, "plans", "", "medium_points"),
                                      conf_int(rooms->conf, "plans", "", "high_points"),
                                      conf_int(rooms->conf, "plans", "", "many_targets")};
    p->step_ms = (uint64_t)conf_int(rooms->conf, "plans", "", "step_seconds") * 1000;
    p->verify_ms = (uint64_t)conf_int(rooms->conf, "plans", "", "verify_seconds") * 1000;
    if (act__load(p, e) == ERR_OK)
        return p;
    plans_free(p);
    return NULL;
}

void plans_close(struct plans *p)
{
    if (!p)
        return;
    p->closed = true;
    orch__prepare_drop(&p->preparer); /* their steps are settled by the next start (A4) */
    for (struct plan *plan = p->first; plan; plan = plan->next) {
        conn_cancel(plan->call); /* its outcome is settled by the next start (A4) */
        plan->call = NULL;
        loop_timer_free(plan->timer);
        plan->timer = NULL;
        if (plan->resolving) {
            struct error e = {0};
            err_set(&e, ERR_CLOSED, "the console is stopping");
            plan->resolving(plan->resolving_arg, NULL, &e);
            plan->resolving = NULL;
        }
    }
}

void plans_free(struct plans *p)
{
    if (!p)
        return;
    BUG_IF(p->writes);
    while (p->first) {
        struct plan *plan = p->first;
        p->first = plan->next;
        act__free(plan);
    }
    free(p);
}

/* ---- answers */

struct asked {
    plans_done *done;
    void *arg;
    char *text;
};

static struct asked *asked_new(plans_done *done, void *arg)
{
    struct asked *a = xcalloc(1, sizeof *a);
    a->done = done;
    a->arg = arg;
    return a;
}

static void asked_answer(struct asked *a, const struct plan *plan, const struct error *e)
{
    a->done(a->arg, e->code == ERR_OK ? plan->doc : NULL, e);
    free(a->text);
    free(a);
}

static void answer(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    (void)seq;
    plan->deciding = false;
    asked_answer(arg, plan, e);
}

static void refuse(plans_done *done, void *arg, const struct error *e)
{
    done(arg, NULL, e);
}

static struct plan *find(struct plans *p, const char *id)
{
    struct plan *plan = p->first;
    while (plan && strcmp(plan->id, id) != 0)
        plan = plan->next;
    return plan;
}

/* A plan that is not over and that nobody decides on at this moment; NULL with *e. */
static struct plan *take(struct plans *p, const char *id, struct error *e)
{
    struct plan *plan = find(p, id);
    if (!plan) {
        struct plan *old = act__read(p, id, e);
        if (old)
            err_set(e, ERR_INVALID, "the plan is %s", act__state(old));
        if (old)
            act__free(old);
    } else if (plan->deciding) {
        err_set(e, ERR_BUSY, "the plan is being decided on");
        plan = NULL;
    }
    return plan;
}

static void put_who(json_t *to, const struct plans_who *who)
{
    json_puts(to, "user", who->user);
    json_puts(to, "session", who->session);
    json_puts(to, "role", who->role);
    if (who->name && *who->name) {
        size_t len = strlen(who->name);
        json_put(to, "name", json_text(who->name, len < NAME_MAX_BYTES ? len : NAME_MAX_BYTES));
    }
}

/* ---- proposing */

static void forget_closed(struct plans *p)
{
    enum { KEEP = 64 };
    size_t n = 0;
    for (struct plan **at = &p->first; *at;) {
        struct plan *plan = *at;
        const char *state = json_str(plan->doc, "state", "");
        bool over = !plan->alive && !plan->deciding && !plan->running &&
                    (strcmp(state, "done") == 0 || strcmp(state, "failed") == 0 ||
                     strcmp(state, "rejected") == 0 || strcmp(state, "withdrawn") == 0 ||
                     strcmp(state, "expired") == 0);
        if (over && ++n > KEEP && !p->writes) {
            *at = plan->next;
            p->count--;
            act__free(plan);
        } else {
            at = &plan->next;
        }
    }
}

static void expired(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    (void)seq, (void)e, (void)arg;
    plan->deciding = false;
}

/* What expired is over: said once, when somebody proposes something new. */
static void close_expired(struct plans *p)
{
    for (struct plan *plan = p->first; plan; plan = plan->next) {
        const struct prov_edge permit = {plan->entry, "permit", -1};
        if (plan->deciding || !act__state_is(plan, "expired") ||
            strcmp(json_str(plan->doc, "state", ""), "expired") == 0)
            continue;
        json_t *payload = json_object();
        json_puts(payload, "what", "end");
        json_puts(payload, "state", "expired");
        json_puts(payload, "why", "it was not run in time");
        plan->deciding = true;
        act__log(plan, "step", "backend", payload, &permit, 1, expired, NULL);
    }
}

static void proposed(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    struct plans *p = plan->owner;
    answer(plan, seq, e, arg);
    if (e->code == ERR_OK) {
        act__previews(plan);
    } else if (e->code != ERR_CLOSED) {
        struct plan **at = &p->first;
        while (*at != plan)
            at = &(*at)->next;
        *at = plan->next;
        p->count--;
        act__free(plan);
    }
}

/* No secret may stand in a plan: the log would not keep it, and the plan would not be whole. */
static bool holds_secret(const json_t *core)
{
    json_t *clean = pol_scrub(core);
    bool same = json_equal(clean, core);
    json_decref(clean);
    return !same;
}

static json_t *body_of(struct plans *p, const char *id, json_t *core, json_t *pins,
                       const json_t *facts, const struct plans_who *who)
{
    json_t *body = json_object(), *risk = plans_risk(core, facts, &p->limits), *by = json_object();
    const char *rank = json_str(risk, "risk", "high");
    int64_t now = clock_real_ms();
    json_puts(body, "id", id);
    json_put(body, "core", json_incref(core));
    json_put(body, "pins", json_incref(pins));
    json_puts(body, "risk", rank);
    json_put(body, "risk_reasons", json_incref(json_object_get(risk, "reasons")));
    json_puti(body, "needed", strcmp(rank, "high") == 0 ? 2 : 1);
    put_who(by, who);
    json_put(body, "by", by);
    json_puts(body, "from", who->from ? who->from : "hand");
    json_puti(body, "at", now);
    json_puti(body, "expires_at",
              now + conf_int(p->rooms.conf, "plans", "", "expire_hours") * HOUR_MS);
    json_decref(risk);
    return body;
}

void plans_propose(struct plans *p, const json_t *given, const struct plans_who *who,
                   int64_t question, plans_done *done, void *arg)
{
    struct error e = {0};
    json_t *core = plans_parse(given, &e), *pins = NULL, *facts = NULL, *body = NULL;
    char id[33], hash[65];
    close_expired(p);
    forget_closed(p);
    if (core && holds_secret(core))
        err_set(&e, ERR_INVALID, "the plan holds a secret: name it by reference, secret:NAME");
    else if (core && p->closed)
        err_set(&e, ERR_CLOSED, "the console is stopping");
    else if (core && plans_waiting(p) >= ACT_OPEN)
        err_set(&e, ERR_OVERLOADED, "%d plans wait for somebody", ACT_OPEN);
    if (e.code == ERR_OK)
        act__tools_check(p, core, &pins, &facts, &e);
    if (e.code == ERR_OK) {
        vault_id(id);
        body = body_of(p, id, core, pins, facts, who);
        act__hash(body, hash, &e);
    }
    if (e.code == ERR_OK) {
        struct plan *plan = act__new(p, id);
        json_t *payload = json_object();
        const struct prov_edge from = {question, "propose", -1};
        plan->next = p->first;
        p->first = plan;
        p->count++;
        plan->deciding = true;
        json_puts(payload, "hash", hash);
        json_put(payload, "body", json_incref(body));
        act__log(plan, "plan", who->role, payload, &from, question >= 0, proposed,
                 asked_new(done, arg));
    } else {
        refuse(done, arg, &e);
    }
    json_decref(core);
    json_decref(pins);
    json_decref(facts);
    json_decref(body);
}

/* ---- persons */

char *plans_statement(const char *id, const char *hash)
{
    return xasprintf("mcp-console approval\nplan %s\nhash %s\n", id, hash);
}

static bool has_person(const struct conf *conf, const char *name)
{
    const char *names[64];
    size_t n = conf_names(conf, "person", names, 64);
    for (size_t i = 0; i < n && i < 64; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

/* Who it is, as far as that can be known on one machine: the owner of a key that signed, or the
 * system user that the console runs as. A key whose person is that user is the same person. */
static char *identity(struct plans *p, const struct plan *plan, const struct plans_who *who,
                      struct error *e)
{
    uint8_t key[VAULT_KEY], signature[VAULT_SIGNATURE];
    if (!who->person)
        return xasprintf("user:%s", who->user);
    if (!who->signature || !has_person(p->rooms.conf, who->person)) {
        err_set(e, ERR_DENIED,
                who->signature ? "no [person] of the configuration is named %.60s"
                               : "%.60s approves by a signature",
                who->person);
        return NULL;
    }
    const char *text = conf_str(p->rooms.conf, "person", who->person, "public_key"),
               *user = conf_str(p->rooms.conf, "person", who->person, "user");
    char *statement = plans_statement(plan->id, json_str(plan->doc, "hash", ""));
    bool ok = vault_unbase64(text, strlen(text), key, sizeof key) == sizeof key &&
              vault_unbase64(who->signature, strlen(who->signature), signature, sizeof signature) ==
                  sizeof signature &&
              vault_signature_ok(key, statement, strlen(statement), signature);
    free(statement);
    if (!ok) {
        err_set(e, ERR_DENIED, "that is no signature of this plan by the key of %.60s",
                who->person);
        return NULL;
    }
    return *user ? xasprintf("user:%s", user) : xasprintf("key:%s", who->person);
}

static enum err may_approve(const struct plan *plan, const char *hash, const char *who,
                            struct error *e)
{
    const json_t *row;
    size_t i;
    if (!act__state_is(plan, "proposed"))
        return err_set(e, ERR_INVALID, "the plan is %s", act__state(plan));
    if (strcmp(hash, json_str(plan->doc, "hash", "")) != 0)
        return err_set(e, ERR_INVALID, "the plan has another hash than what was approved");
    json_array_foreach(json_object_get(plan->doc, "approvals"), i, row)
    {
        if (strcmp(json_str(row, "who", ""), who) == 0)
            return err_set(e, ERR_DENIED,
                           "%.100s approved it already: it needs two different persons, by system "
                           "user or by a key of [person]",
                           who);
    }
    return ERR_OK;
}

static void decide(struct plan *plan, const char *decision, const char *identity_text,
                   const char *reason, const struct plans_who *who, struct asked *asked)
{
    const struct prov_edge edge = {plan->entry, "approve", -1};
    json_t *payload = json_object();
    json_puts(payload, "decision", decision);
    json_puts(payload, "who", identity_text);
    put_who(payload, who);
    if (who->person && who->signature) {
        json_puts(payload, "person", who->person);
        json_puts(payload, "key",
                  conf_str(plan->owner->rooms.conf, "person", who->person, "public_key"));
        json_puts(payload, "signature", who->signature);
    }
    if (reason)
        json_puts(payload, "reason", reason);
    plan->deciding = true;
    act__log(plan, "approval", who->role, payload, &edge, 1, answer, asked);
}

void plans_approve(struct plans *p, const char *id, const char *hash, const struct plans_who *who,
                   plans_done *done, void *arg)
{
    struct error e = {0};
    struct plan *plan = take(p, id, &e);
    char *name = plan ? identity(p, plan, who, &e) : NULL;
    if (name && may_approve(plan, hash, name, &e) == ERR_OK)
        decide(plan, "approve", name, NULL, who, asked_new(done, arg));
    else
        refuse(done, arg, &e);
    free(name);
}

static bool reason_ok(const char *reason, struct error *e)
{
    if (reason && *reason && strlen(reason) <= REASON_MAX)
        return true;
    err_set(e, ERR_INVALID, "a reason is a text of at most %d bytes", REASON_MAX);
    return false;
}

void plans_reject(struct plans *p, const char *id, const char *reason, const struct plans_who *who,
                  plans_done *done, void *arg)
{
    struct error e = {0};
    struct plan *plan = take(p, id, &e);
    if (plan && !act__state_is(plan, "proposed") && !act__state_is(plan, "approved")) {
        err_set(&e, ERR_INVALID, "the plan is %s", act__state(plan));
        plan = NULL;
    }
    if (plan && reason_ok(reason, &e)) {
        char *name = xasprintf("user:%s", who->user);
        decide(plan, "reject", name, reason, who, asked_new(done, arg));
        free(name);
    } else {
        refuse(done, arg, &e);
    }
}

/* ---- running */

/* Where all is done and nothing was undone only the end is missing, which going on writes. */
static bool may_go_on(const struct plan *plan)
{
    bool some = false, undo = false;
    for (size_t i = 0; act__step(plan, i); i++) {
        const json_t *step = act__step(plan, i);
        const char *state = json_str(step, "state", "");
        bool failed = strcmp(state, "failed") == 0;
        if (strcmp(state, "done") != 0 && strcmp(state, "waiting") != 0 &&
            (!failed || json_flag(step, "ran", true)))
            return false;
        some |= strcmp(state, "done") != 0;
        undo |= json_object_get(step, "undo") != NULL;
    }
    return some || !undo;
}

static enum err may_run(struct plan *plan, struct error *e)
{
    struct plans *p = plan->owner;
    json_t *pins = NULL, *facts = NULL;
    act__previews_end(plan);
    bool stopped = act__state_is(plan, "stopped");
    if (!act__state_is(plan, "approved") && !stopped)
        err_set(e, ERR_INVALID, "the plan is %s%s", act__state(plan),
                act__state_is(plan, "proposed") ? ": it is to be approved first" : "");
    else if (stopped && !may_go_on(plan))
        err_set(e, ERR_INVALID, "a step failed or was undone: it cannot go on, only be closed");
    else if (stopped && clock_real_ms() > json_int(plan->doc, "expires_at", 0))
        err_set(e, ERR_INVALID, "its approvals have expired");
    else if (plan->alive || plan->running)
        err_set(e, ERR_BUSY, "the plan is looked at");
    else if (conn_killed(p->rooms.conn))
        err_set(e, ERR_DENIED, "the kill switch is on");
    else
        act__tools_check(p, plan->doc, &pins, &facts, e);
    for (size_t i = 0; e->code == ERR_OK && act__step(plan, i); i++)
        if (!json_equal(json_array_get(pins, i), json_object_get(act__step(plan, i), "pins")))
            err_set(e, ERR_DENIED, "step %zu: a definition changed since it was approved", i + 1);
    json_decref(pins);
    json_decref(facts);
    return e->code;
}

static void run_logged(struct plan *plan, int64_t seq, const struct error *e, void *arg)
{
    bool undo = plan->undoing;
    answer(plan, seq, e, arg);
    if (e->code != ERR_OK) {
        plan->running = plan->alive = plan->undoing = false;
        act__span_end(plan, err_name(e->code));
    } else if (undo) {
        act__undo(plan);
    } else {
        act__run_next(plan);
    }
}

static void begin(struct plan *plan, const struct plans_who *who, bool undo, struct asked *asked)
{
    struct prov_edge edges[ACT_APPROVALS + 1];
    size_t n = 0;
    json_t *payload = json_object(), *run = json_object();
    edges[n++] = (struct prov_edge){plan->entry, "permit", -1};
    for (size_t i = 0; i < plan->approval_count; i++)
        edges[n++] = (struct prov_edge){plan->approvals[i], "permit", -1};
    put_who(run, who);
    json_puti(run, "at", clock_real_ms());
    json_put(run, "undo", json_boolean(undo));
    json_puts(payload, "what", "run");
    json_put(payload, "run", run);
    act__span_begin(plan, undo);
    plan->deciding = plan->running = plan->alive = true;
    plan->undoing = undo;
    plan->wanted_stop = plan->again_now = false;
    act__log(plan, "step", who->role, payload, edges, n, run_logged, asked);
}

void plans_run(struct plans *p, const char *id, const struct plans_who *who, plans_done *done,
               void *arg)
{
    struct error e = {0};
    struct plan *plan = take(p, id, &e);
    if (plan && may_run(plan, &e) == ERR_OK)
        begin(plan, who, false, asked_new(done, arg));
    else
        refuse(done, arg, &e);
}

static void end_by_hand(struct plan *plan, const char *state, const char *why,
                        const struct plans_who *who, struct asked *asked)
{
    const struct prov_edge permit = {plan->entry, "permit", -1};
    json_t *payload = json_object(), *by = json_object();
    put_who(by, who);
    json_puts(payload, "what", "end");
    json_puts(payload, "state", state);
    json_puts(payload, "why", why);
    json_put(payload, "by", by);
    plan->deciding = true;
    act__previews_end(plan);
    plan->alive = false;
    act__log(plan, "step", who->role, payload, &permit, 1, answer, asked);
}

void plans_stop(struct plans *p, const char *id, const char *reason, const struct plans_who *who,
                plans_done *done, void *arg)
{
    struct error e = {0};
    struct plan *plan = find(p, id);
    if (plan && plan->running) {
        char *why = xasprintf("stopped by %.64s%s%.200s", who->user, reason ? ": " : "",
                              reason ? reason : "");
        act__run_stop(plan, why);
        free(why);
        done(arg, plan->doc, &e);
        return;
    }
    plan = take(p, id, &e);
    if (plan && (act__state_is(plan, "proposed") || act__state_is(plan, "approved"))) {
        end_by_hand(plan, "withdrawn", reason ? reason : "", who, asked_new(done, arg));
        return;
    }
    if (plan)
        err_set(&e, ERR_INVALID, "the plan is %s: there is nothing to stop", act__state(plan));
    refuse(done, arg, &e);
}

void plans_halt(struct plans *p, const char *why)
{
    for (struct plan *plan = p->first; plan; plan = plan->next)
        if (plan->running)
            act__run_stop(plan, why);
}

/* ---- what nobody knows */

static bool is_unknown(const json_t *step)
{
    return strcmp(json_str(step, "state", ""), "unknown") == 0 ||
           strcmp(json_str(step, "undo", ""), "unknown") == 0;
}

static void resolve_step(struct plan *plan, const char *outcome, size_t at,
                         const struct plans_who *who, struct asked *asked)
{
    const struct prov_edge edges[2] = {{plan->entry, "permit", -1},
                                       {plan->step_entry[at], "call", -1}};
    json_t *payload = json_object(), *by = json_object();
    put_who(by, who);
    json_puts(payload, "what", "resolve");
    json_puti(payload, "step", (int64_t)at);
    json_puts(payload, "outcome", strcmp(outcome, "done") == 0 ? "done" : "waiting");
    json_put(payload, "by", by);
    plan->deciding = true;
    act__log(plan, "step", who->role, payload, edges, plan->step_entry[at] >= 0 ? 2 : 1, answer,
             asked);
}

void plans_resolve(struct plans *p, const char *id, const char *outcome, int64_t at,
                   const struct plans_who *who, plans_done *done, void *arg)
{
    struct error e = {0};
    struct plan *plan = take(p, id, &e);
    bool stands = plan && !plan->running && !plan->alive &&
                  (act__state_is(plan, "stopped") || act__state_is(plan, "unknown"));
    bool close = strcmp(outcome, "close") == 0, undo = strcmp(outcome, "undo") == 0;
    const json_t *step = stands && at >= 0 && at < ACT_STEPS ? act__step(plan, (size_t)at) : NULL;
    if (plan && !stands)
        err_set(&e, ERR_INVALID, "the plan is %s", act__state(plan));
    else if (stands && undo && act__state_is(plan, "unknown"))
        err_set(&e, ERR_INVALID, "say first what is the case with the step that is unknown");
    else if (stands && undo && conn_killed(p->rooms.conn))
        err_set(&e, ERR_DENIED, "the kill switch is on");
    else if (stands && !close && !undo && (!step || !is_unknown(step)))
        err_set(&e, ERR_INVALID, "that step is not unknown");
    else if (stands && strcmp(outcome, "verify") == 0 && !json_object_get(step, "verify"))
        err_set(&e, ERR_INVALID, "the step has no verification: look at the system yourself");
    if (!plan || e.code != ERR_OK)
        refuse(done, arg, &e);
    else if (close)
        end_by_hand(plan, "failed", "closed by hand", who, asked_new(done, arg));
    else if (undo)
        begin(plan, who, true, asked_new(done, arg));
    else if (strcmp(outcome, "verify") == 0)
        act__verify_asked(plan, (size_t)at, done, arg);
    else
        resolve_step(plan, outcome, (size_t)at, who, asked_new(done, arg));
}

/* ---- reading */

size_t plans_waiting(const struct plans *p)
{
    size_t n = 0;
    for (const struct plan *plan = p->first; plan; plan = plan->next)
        n += act__state_is(plan, "proposed") || act__state_is(plan, "approved") ||
             act__state_is(plan, "unknown") || act__state_is(plan, "stopped");
    return n;
}

static json_t *shown(const struct plan *plan)
{
    json_t *doc = json_deep_copy(plan->doc), *step;
    size_t i;
    json_puts(doc, "state", act__state(plan));
    json_array_foreach(json_object_get(doc, "steps"), i, step) json_object_del(step, "pins");
    return doc;
}

json_t *plans_get(struct plans *p, const char *id, struct error *e)
{
    struct plan *plan = find(p, id), *old = plan ? NULL : act__read(p, id, e);
    json_t *doc = plan || old ? shown(plan ? plan : old) : NULL;
    if (old)
        act__free(old);
    return doc;
}

void plans_look(struct plans *p, const char *id)
{
    const int64_t old_ms = conf_int(p->rooms.conf, "plans", "", "preview_seconds") * 1000;
    struct plan *plan = find(p, id);
    if (!plan || p->closed || plan->deciding || plan->alive || plan->running ||
        !(act__state_is(plan, "proposed") || act__state_is(plan, "approved")))
        return;
    for (size_t i = 0; act__step(plan, i); i++) {
        const json_t *step = act__step(plan, i);
        if (json_object_get(step, "preview") &&
            clock_real_ms() - json_int(step, "before_at", 0) >= old_ms) {
            act__previews(plan);
            return;
        }
    }
}

struct listing {
    char id[512][33];
    int64_t row[512];
    size_t count, limit;
};

static bool take_row(void *arg, const struct store_row *row)
{
    struct listing *l = arg;
    l->row[l->count] = store_int(row, 0);
    snprintf(l->id[l->count], sizeof *l->id, "%s", store_text(row, 1));
    return ++l->count < l->limit;
}

json_t *plans_list(struct plans *p, int64_t before, size_t limit, struct error *e)
{
    static const char *const DROP[] = {"arguments", "verify",   "rollback",  "preview",
                                       "text",      "observed", "undo_text", "before"};
    struct listing *l = xcalloc(1, sizeof *l);
    json_t *rows = NULL, *step;
    l->limit = limit < 512 ? limit : 512;
    enum err code =
        store_query(store_reader(p->rooms.store), e, take_row, l,
                    "SELECT rowid, id FROM plans WHERE rowid < ? ORDER BY rowid DESC LIMIT 512",
                    "i", before < 0 ? INT64_MAX : before);
    if (code == ERR_OK)
        rows = json_array();
    for (size_t i = 0, s; rows && i < l->count; i++) {
        json_t *doc = plans_get(p, l->id[i], NULL);
        if (!doc)
            continue;
        json_puti(doc, "rowid", l->row[i]);
        json_array_foreach(json_object_get(doc, "steps"), s, step)
        {
            for (size_t d = 0; d < sizeof DROP / sizeof *DROP; d++)
                json_object_del(step, DROP[d]);
        }
        json_array_append_new(rows, doc);
    }
    free(l);
    return rows;
}
