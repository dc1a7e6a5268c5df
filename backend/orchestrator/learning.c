/* Learning from outcomes (docs/learning.md): which model does well with which kind of question. Off
 * by default; what it learns is a proposal, and a person accepts it.
 *
 *   verdicts, thumbs -> outcomes -> shares (bandit.h) -> proposal -> accepted: an entry -> order of
 *                                                                    the models that are asked
 * Invariants
 * N1 Nothing changes who is asked but weights that a person accepted, and a question that names its
 *    models is asked of those.
 * N2 An outcome is of a trace, a model and a source once: who rates again changes it. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/orchestrator/bandit.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

/* Outcomes are counted in quarters: a person's word is a whole one. */
enum { THUMB = 4, VERDICT = 1, WHOLE = 4, KIND_MOST = 32, THOUSAND = 1000 };

static const struct {
    const char *name, *words;
} kinds[] = {
#define KIND(name, words) {name, words},
#include "backend/orchestrator/kinds.def"
};
static const char OTHER[] = "other";

static const char *kind_of(const char *question)
{
    size_t len = strlen(question), at, end;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (const char *w = kinds[i].words; *w; w += strcspn(w, "|"), w += *w == '|') {
            char word[64];
            size_t n = strcspn(w, "|");
            BUG_IF(n >= sizeof word);
            memcpy(word, w, n);
            word[n] = '\0';
            if (text_find(question, len, 0, word, &at, &end))
                return kinds[i].name;
        }
    return OTHER;
}

static bool learns(const struct orch *o)
{
    return strcmp(conf_str(o->rooms.conf, "learning", "", "bandit"), "propose") == 0;
}

enum err orch__outcome_insert(struct store_db *db, const struct orch_outcome *out, struct error *e)
{
    return store_exec(db, e,
                      "INSERT INTO outcomes(trace_id, model, source, kind, good, bad, at) "
                      "VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(trace_id, model, source) DO UPDATE "
                      "SET good = excluded.good, bad = excluded.bad, at = excluded.at",
                      "ssssiii", out->trace_id, out->model, out->source, out->kind, out->good,
                      out->bad, clock_real_ms());
}

size_t orch__outcomes_of(const struct trace *t, struct orch_outcome out[ORCH_OUTCOMES])
{
    size_t n = 0, answers = 0;
    for (size_t i = 0; i < t->candidate_count; i++)
        answers += t->candidates[i].state == CAND_DONE && !t->candidates[i].internal;
    if (!learns(t->orch) || answers < 2 || !t->verdict.answered || *t->eval)
        return 0;
    for (size_t i = 0; i < t->candidate_count && n < ORCH_OUTCOMES; i++) {
        const struct orch_candidate *c = &t->candidates[i];
        if (c->state != CAND_DONE || c->internal)
            continue;
        bool won = (int)i == t->verdict.winner;
        out[n] = (struct orch_outcome){.source = "verdict",
                                       .kind = kind_of(t->question),
                                       .good = won ? VERDICT : 0,
                                       .bad = won ? 0 : VERDICT};
        snprintf(out[n].trace_id, sizeof out[n].trace_id, "%s", t->id);
        snprintf(out[n++].model, sizeof out->model, "%s", c->model->name);
    }
    return n;
}

/* ---- thumbs */

struct rating {
    struct orch_outcome outcome;
    orch_rated *done;
    void *arg;
};

static enum err insert_rating(struct store_db *db, void *arg, struct error *e)
{
    const struct rating *r = arg;
    return orch__outcome_insert(db, &r->outcome, e);
}

static void on_rated(void *arg, int64_t seq, const struct error *e)
{
    struct rating *r = arg;
    r->done(r->arg, seq, e);
    free(r);
}

enum err orch_rate(struct orch *o, const char *trace_id, bool good, const char *actor,
                   orch_rated *done, void *arg, struct error *e)
{
    int64_t answer = store_scalar(store_reader(o->rooms.store), -1,
                                  "SELECT max(seq) FROM entries WHERE trace_id = ? AND type = "
                                  "'answer'",
                                  "s", trace_id);
    if (answer < 0)
        return err_set(e, ERR_NOT_FOUND, "trace %.64s has no answer", trace_id);
    json_t *doc = orch_trace(o, trace_id, e);
    if (!doc)
        return e->code;
    const char *model = json_str(json_object_get(doc, "verdict"), "winner", "");
    struct rating *r = xcalloc(1, sizeof *r);
    r->outcome = (struct orch_outcome){.source = "thumb",
                                       .kind = kind_of(json_str(doc, "question", "")),
                                       .good = good ? THUMB : 0,
                                       .bad = good ? 0 : THUMB};
    snprintf(r->outcome.trace_id, sizeof r->outcome.trace_id, "%s", trace_id);
    snprintf(r->outcome.model, sizeof r->outcome.model, "%s", model);
    r->done = done;
    r->arg = arg;
    json_t *payload = json_object();
    json_put(payload, "good", json_boolean(good));
    json_put(payload, "model", json_text(model, strlen(model)));
    json_puts(payload, "kind", r->outcome.kind);
    const struct prov_edge edge = {answer, "rate", -1};
    const struct prov_entry entry = {.type = "rating",
                                     .actor = actor,
                                     .trace_id = trace_id,
                                     .parents = &edge,
                                     .parent_count = 1,
                                     .payload = payload};
    prov_append(o->rooms.prov, &entry, on_rated, r, insert_rating, r);
    json_decref(payload);
    json_decref(doc);
    return ERR_OK;
}

/* ---- what was learnt */

struct learnt {
    char kind[KIND_MOST];
    char models[BANDIT_ARMS][ORCH_OUTCOME_MODEL];
    struct bandit_arm arms[BANDIT_ARMS];
    double shares[BANDIT_ARMS];
    int64_t accepted[BANDIT_ARMS]; /* of a thousand, -1: none */
    size_t count, best;
    int64_t quarters, decided; /* outcomes; and how many there were when somebody decided last */
    char action[16];           /* what was decided, "" nothing */
    bool proposed;
};

static bool take_arm(void *arg, const struct store_row *row)
{
    struct learnt *l = arg;
    size_t i = l->count++;
    snprintf(l->models[i], sizeof l->models[i], "%s", store_text(row, 0));
    l->arms[i] =
        (struct bandit_arm){(double)store_int(row, 1) / WHOLE, (double)store_int(row, 2) / WHOLE};
    l->quarters += store_int(row, 1) + store_int(row, 2);
    l->accepted[i] = store_int(row, 3);
    return l->count < BANDIT_ARMS;
}

static bool take_decision(void *arg, const struct store_row *row)
{
    struct learnt *l = arg;
    snprintf(l->action, sizeof l->action, "%s", store_text(row, 0));
    l->decided = store_int(row, 1);
    return false;
}

static enum err read_kind(struct orch *o, const char *kind, struct learnt *l, struct error *e)
{
    struct store_db *db = store_reader(o->rooms.store);
    *l = (struct learnt){.decided = 0};
    snprintf(l->kind, sizeof l->kind, "%s", kind);
    if (store_query(db, e, take_arm, l,
                    "SELECT o.model, sum(o.good), sum(o.bad), ifnull(w.weight, -1) FROM outcomes o "
                    "LEFT JOIN learnt_weights w ON w.kind = o.kind AND w.model = o.model "
                    "WHERE o.kind = ? GROUP BY o.model ORDER BY count(*) DESC, o.model",
                    "s", kind) != ERR_OK ||
        store_query(db, e, take_decision, l,
                    "SELECT action, quarters FROM learnt_decisions WHERE kind = ?", "s",
                    kind) != ERR_OK)
        return e->code;
    if (!l->count)
        return ERR_OK;
    bandit_shares(l->arms, l->count, l->shares);
    int64_t most = -1;
    size_t used = 0;
    for (size_t i = 0; i < l->count; i++) {
        l->best = l->shares[i] > l->shares[l->best] ? i : l->best;
        if (l->accepted[i] > most) {
            most = l->accepted[i];
            used = i;
        }
    }
    const struct conf *c = o->rooms.conf;
    bool enough = l->quarters >= WHOLE * conf_int(c, "learning", "", "outcomes") && l->count > 1;
    bool sure = l->shares[l->best] >= conf_num(c, "learning", "", "sure");
    bool fresh = !*l->action || l->quarters > l->decided;
    l->proposed = learns(o) && enough && sure && fresh && (most < 0 || used != l->best);
    return ERR_OK;
}

static json_t *kind_doc(const struct learnt *l)
{
    json_t *doc = json_object(), *models = json_array();
    json_puts(doc, "kind", l->kind);
    json_put(doc, "outcomes", json_real((double)l->quarters / WHOLE));
    for (size_t i = 0; i < l->count; i++) {
        json_t *one = json_object();
        json_puts(one, "model", l->models[i]);
        json_put(one, "good", json_real(l->arms[i].good));
        json_put(one, "bad", json_real(l->arms[i].bad));
        json_put(one, "share", json_real(l->shares[i]));
        json_put(one, "accepted",
                 l->accepted[i] < 0 ? json_null() : json_real((double)l->accepted[i] / THOUSAND));
        json_array_append_new(models, one);
    }
    json_put(doc, "models", models);
    json_puts(doc, "decided", l->action);
    json_put(doc, "proposed", json_boolean(l->proposed));
    return doc;
}

json_t *orch_learning(struct orch *o, struct error *e)
{
    json_t *doc = json_object(), *list = json_array();
    struct learnt *l = xcalloc(1, sizeof *l);
    enum err code = ERR_OK;
    size_t n = sizeof kinds / sizeof *kinds;
    for (size_t i = 0; i <= n && code == ERR_OK; i++) {
        code = read_kind(o, i < n ? kinds[i].name : OTHER, l, e);
        if (code == ERR_OK && l->count)
            json_array_append_new(list, kind_doc(l));
    }
    free(l);
    json_puts(doc, "bandit", conf_str(o->rooms.conf, "learning", "", "bandit"));
    json_put(doc, "kinds", list);
    if (code == ERR_OK)
        return doc;
    json_decref(doc);
    return NULL;
}

/* ---- a person decides: takes what is proposed or refuses it; where nothing is, may take back what
 * was accepted */

struct decision {
    struct learnt l;
    bool accept;
    orch_rated *done;
    void *arg;
};

static enum err write_decision(struct store_db *db, void *arg, struct error *e)
{
    const struct decision *d = arg;
    enum err code = store_exec(db, e,
                               "INSERT INTO learnt_decisions(kind, action, quarters) VALUES(?, ?, "
                               "?) ON CONFLICT(kind) DO UPDATE SET action = excluded.action, "
                               "quarters = excluded.quarters",
                               "ssi", d->l.kind, d->accept ? "accept" : "reject", d->l.quarters);
    if (code != ERR_OK || (!d->accept && d->l.proposed))
        return code;
    code = store_exec(db, e, "DELETE FROM learnt_weights WHERE kind = ?", "s", d->l.kind);
    for (size_t i = 0; i < d->l.count && code == ERR_OK && d->accept; i++)
        code = store_exec(db, e, "INSERT INTO learnt_weights(kind, model, weight) VALUES(?, ?, ?)",
                          "ssi", d->l.kind, d->l.models[i],
                          (int64_t)(d->l.shares[i] * THOUSAND + 0.5));
    return code;
}

static void on_decided(void *arg, int64_t seq, const struct error *e)
{
    struct decision *d = arg;
    d->done(d->arg, seq, e);
    free(d);
}

static bool has_weights(const struct learnt *l)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->accepted[i] >= 0)
            return true;
    return false;
}

enum err orch_learning_decide(struct orch *o, const char *kind, bool accept, const char *actor,
                              orch_rated *done, void *arg, struct error *e)
{
    struct decision *d = xcalloc(1, sizeof *d);
    d->accept = accept;
    d->done = done;
    d->arg = arg;
    if (read_kind(o, kind, &d->l, e) == ERR_OK && !d->l.proposed && (accept || !has_weights(&d->l)))
        err_set(e, ERR_NOT_FOUND, "nothing is proposed%s for questions of the kind %.31s",
                accept ? "" : " and nothing accepted", kind);
    if (e->code != ERR_OK) {
        free(d);
        return e->code;
    }
    json_t *payload = kind_doc(&d->l);
    json_puts(payload, "action", accept ? "accept" : d->l.proposed ? "reject" : "take back");
    const struct prov_entry entry = {.type = "learning", .actor = actor, .payload = payload};
    prov_append(o->rooms.prov, &entry, on_decided, d, write_decision, d);
    json_decref(payload);
    return ERR_OK;
}

/* ---- what follows from it */

void orch__order_learnt(const struct orch *o, const char *question, const char **names, size_t n)
{
    int64_t weight[ORCH_MODELS];
    if (!learns(o) || n > ORCH_MODELS)
        return;
    for (size_t i = 0; i < n; i++)
        weight[i] = store_scalar(store_reader(o->rooms.store), -1,
                                 "SELECT weight FROM learnt_weights WHERE kind = ? AND model = ?",
                                 "ss", kind_of(question), names[i]);
    for (size_t i = 1; i < n; i++) /* those without one stay behind, in their order */
        for (size_t j = i; j > 0 && weight[j] > weight[j - 1]; j--) {
            const char *name = names[j];
            int64_t w = weight[j];
            names[j] = names[j - 1];
            weight[j] = weight[j - 1];
            names[j - 1] = name;
            weight[j - 1] = w;
        }
}
