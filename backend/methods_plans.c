/* The methods of plans and of the kill switch. */
#include "backend/methods.h"
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct who { /* who asks, as far as it is known: the process's own user is at the other end */
    struct plans_who who;
    char user[64];
};

void backend__user(char out[64])
{
    struct passwd entry, *found = NULL;
    char room[4096];
    if (getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found)
        snprintf(out, 64, "%s", found->pw_name);
    else
        snprintf(out, 64, "%lu", (unsigned long)geteuid());
}

static void who_asks(struct bus_call *c, struct who *w)
{
    const json_t *p = bus_params(c);
    backend__user(w->user);
    w->who = (struct plans_who){.role = bus_role_name(bus_session(c)->role),
                                .session = bus_session(c)->id,
                                .user = w->user,
                                .name = json_str(p, "name", NULL),
                                .person = json_str(p, "person", NULL),
                                .signature = json_str(p, "signature", NULL),
                                .from = json_str(p, "from", "hand")};
}

/* False when the call was answered. */
static bool has_level(struct bus_call *c, enum bus_level least)
{
    struct error e = {0};
    if (bus_session(c)->level >= least)
        return true;
    err_set(&e, ERR_DENIED, "%s needs the level %s; this session has %s",
            wire_row(bus_method(c))->name, bus_level_name(least),
            bus_level_name(bus_session(c)->level));
    bus_fail(c, &e);
    return false;
}

static json_t *with_statement(json_t *plan)
{
    char *statement =
        plan ? plans_statement(json_str(plan, "id", ""), json_str(plan, "hash", "")) : NULL;
    if (plan)
        json_puts(plan, "statement", statement);
    free(statement);
    return plan;
}

static void answer_plan(void *arg, const json_t *plan, const struct error *e)
{
    method_answer(arg, plan ? with_statement(json_deep_copy(plan)) : NULL, e);
}

static void answer_status(void *arg, const json_t *status, const struct error *e)
{
    method_answer(arg, status ? json_deep_copy(status) : NULL, e);
}

void on_plans_propose(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct who w;
    int64_t entry;
    if (!has_level(c, BUS_RECOMMEND) || !method_limit(c, "entry", -1, -1, INT64_MAX, &entry))
        return;
    who_asks(c, &w);
    plans_propose(b->plans, json_object_get(bus_params(c), "plan"), &w.who, entry, answer_plan, c);
}

void on_plans_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t before, limit;
    struct error e = {0};
    if (!method_limit(c, "before", -1, -1, INT64_MAX, &before) ||
        !method_limit(c, "limit", 100, 1, 500, &limit))
        return;
    json_t *rows = plans_list(b->plans, before, (size_t)limit + 1, &e);
    method_answer(c, rows ? method_page("plans", rows, limit, METHOD_LAST) : NULL, &e);
}

void on_plans_get(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id;
    struct error e = {0};
    if (!method_text(c, "id", true, &id))
        return;
    json_t *plan = plans_get(b->plans, id, &e);
    if (plan && bus_session(c)->role == BUS_OPERATOR && bus_session(c)->level >= BUS_RECOMMEND)
        plans_look(b->plans, id);
    method_answer(c, with_statement(plan), &e);
}

void on_plans_approve(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id, *hash;
    struct who w;
    if (!has_level(c, BUS_EXECUTE) || !method_text(c, "id", true, &id) ||
        !method_text(c, "hash", true, &hash))
        return;
    who_asks(c, &w);
    plans_approve(b->plans, id, hash, &w.who, answer_plan, c);
}

void on_plans_reject(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id, *reason;
    struct who w;
    if (!method_text(c, "id", true, &id) || !method_text(c, "reason", true, &reason))
        return;
    who_asks(c, &w);
    plans_reject(b->plans, id, reason, &w.who, answer_plan, c);
}

void on_plans_run(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id;
    struct who w;
    if (!has_level(c, BUS_EXECUTE) || !method_text(c, "id", true, &id))
        return;
    who_asks(c, &w);
    plans_run(b->plans, id, &w.who, answer_plan, c);
}

void on_plans_stop(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id, *reason;
    struct who w;
    if (!method_text(c, "id", true, &id) || !method_text(c, "reason", false, &reason))
        return;
    who_asks(c, &w);
    plans_stop(b->plans, id, reason, &w.who, answer_plan, c);
}

void on_plans_resolve(struct bus_call *c, void *arg)
{
    static const char *const OUTCOMES[] = {"verify", "close", "done", "not_done", "undo"};
    struct backend *b = arg;
    const char *id, *outcome;
    struct who w;
    struct error e = {0};
    int64_t step;
    size_t at = 0;
    if (!method_text(c, "id", true, &id) || !method_text(c, "outcome", true, &outcome) ||
        !method_limit(c, "step", -1, -1, INT64_MAX, &step))
        return;
    while (at < 5 && strcmp(OUTCOMES[at], outcome) != 0)
        at++;
    if (at == 5) {
        err_set(&e, ERR_INVALID, "outcome is verify, done, not_done, undo or close");
        bus_fail(c, &e);
        return;
    }
    if (!has_level(c, at < 2 ? BUS_RECOMMEND : BUS_EXECUTE))
        return;
    who_asks(c, &w);
    plans_resolve(b->plans, id, outcome, step, &w.who, answer_plan, c);
}

/* ---- the kill switch */

void on_kill_set(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *reason;
    struct who w;
    if (!method_text(c, "reason", false, &reason))
        return;
    who_asks(c, &w);
    kill_set(b->kill, true, reason && *reason ? reason : "no reason was given", &w.who,
             answer_status, c);
}

void on_kill_clear(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *reason;
    struct who w;
    if (!method_text(c, "reason", true, &reason))
        return;
    who_asks(c, &w);
    kill_set(b->kill, false, reason, &w.who, answer_status, c);
}

void on_kill_status(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *status = kill_status(b->kill);
    if (bus_session(c)->role < BUS_REVIEWER) {
        json_puts(status, "by", "");
        json_puts(status, "reason", "");
    }
    bus_reply(c, status);
}

/* ---- start, status */

static void on_plan(void *arg, const json_t *plan)
{
    struct backend *b = arg;
    json_t *copy = with_statement(json_deep_copy(plan));
    bus_event_for(b->bus, BUS_REVIEWER, BUS_OPERATOR, "plan", copy);
    json_decref(copy);
    backend__changed(b);
}

static size_t stop_all(void *arg, bool on)
{
    struct backend *b = arg;
    size_t ended = conn_kill(b->conn, on);
    if (on && b->plans)
        plans_halt(b->plans, "the kill switch");
    return ended;
}

static void on_kill_changed(void *arg)
{
    struct backend *b = arg;
    if (b->kill)
        backend__changed(b);
}

static bool may_lift(void *arg)
{
    const struct backend *b = arg;
    return b->max_role >= BUS_OPERATOR;
}

enum err backend__plans_start(struct backend *b, struct error *e)
{
    const struct plans_rooms rooms = {.loop = b->loop,
                                      .store = b->store,
                                      .conf = b->conf,
                                      .prov = b->prov,
                                      .conn = b->conn,
                                      .tel = b->tel};
    const struct kill_rooms kill = {.loop = b->loop,
                                    .store = b->store,
                                    .prov = b->prov,
                                    .state_dir = b->state_dir,
                                    .stop = stop_all,
                                    .changed = on_kill_changed,
                                    .may_lift = may_lift,
                                    .arg = b};
    if (!(b->kill = kill_new(&kill, e)))
        return e->code;
    b->plans = plans_new(&rooms, on_plan, b, e);
    return b->plans ? ERR_OK : e->code;
}

void backend__plans_status(struct backend *b, json_t *status)
{

    json_puti(status, "plans", b->plans ? (int64_t)plans_waiting(b->plans) : 0);
    json_put(status, "kill", kill_status(b->kill));
}
