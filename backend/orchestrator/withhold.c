/* Answers that wait for a person ([risk] person, withhold; docs/risk.md).
 *
 * H1 From when the score, with what the answers may add to it, can reach the threshold, nothing
 * that models write for the question leaves this room: not as it streams, not in its document, not
 *    when it is stopped.
 * H2 What is withheld is in the log and, sealed, in the trace's row, so that it is so after a
 *    restart too; whoever reads the document gets a notice in its place.
 * H3 Only orch_release gives it out, for an operator, and not before the entry is durable that says
 *    who did it. No text of a model or a tool leads there.
 *
 * `withheld` of the document: {state: pending|withheld|released, score, why, answer: only here
 * inside, by, user, at}. */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

static const char *state_of(const json_t *doc)
{
    return json_str(json_object_get(doc, "withheld"), "state", "");
}

static bool is_hidden(const json_t *doc)
{
    return strcmp(state_of(doc), "pending") == 0 || strcmp(state_of(doc), "withheld") == 0;
}

void orch__withhold_begin(struct trace *t)
{
    const struct conf *c = t->orch->rooms.conf;
    double most = orch__risk_most(t), person = conf_num(c, "risk", "", "person");
    if (*t->eval || most < person || is_hidden(t->doc) || !conf_flag(c, "risk", "", "withhold"))
        return;
    json_t *withheld = json_object();
    json_puts(withheld, "state", "pending");
    json_put(t->doc, "withheld", withheld);
}

bool orch__withholds(const struct trace *t)
{
    return is_hidden(t->doc);
}

/* What stands in the place of the answer. The caller frees. */
static char *notice(const struct trace *t, const char *why)
{
    double score = json_num(json_object_get(t->doc, "risk"), "score", 0);
    return xasprintf(strcmp(t->lang, "ru") == 0
                         ? "Ответ удержан: его риск %.2f (больше всего добавляет: %s). Его читают "
                           "после того, как человек его выпустит: /release."
                         : "This answer is withheld: its risk is %.2f (mostly: %s). It is read "
                           "once a person has released it: /release.",
                     score, why);
}

static void hold_back(struct trace *t, const char *text)
{
    json_t *withheld = json_object_get(t->doc, "withheld");
    const json_t *risk = json_object_get(t->doc, "risk");
    const char *why = orch__risk_mostly(risk);
    char *words = notice(t, why);
    json_puts(withheld, "state", "withheld");
    json_put(withheld, "score", json_incref(json_object_get(risk, "score")));
    json_puts(withheld, "why", why);
    json_put(withheld, "answer", json_text(text, strlen(text)));
    json_puts(t->doc, "answer", words);
    free(words);
}

bool orch__withhold(struct trace *t, const char *text)
{
    if (!is_hidden(t->doc))
        return false;
    if (json_flag(json_object_get(t->doc, "risk"), "person", false)) {
        hold_back(t, text);
        return true;
    }
    json_object_del(t->doc, "withheld"); /* the answers did not add enough */
    return false;
}

bool orch__withhold_partial(struct trace *t, const char *text)
{
    if (!is_hidden(t->doc))
        return false;
    hold_back(t, text);
    return true;
}

/* What quotes the answer, or those it was made of. */
void orch__withhold_hide(json_t *doc)
{
    size_t i;
    json_t *one;
    if (!is_hidden(doc))
        return;
    json_object_del(json_object_get(doc, "withheld"), "answer");
    json_array_foreach(json_object_get(doc, "candidates"), i, one) json_puts(one, "text", "");
    json_array_foreach(json_object_get(doc, "nodes"), i, one) json_object_del(one, "run");
    json_put(doc, "critiques", json_array());
    one = json_object_get(doc, "verdict");
    if (json_is_object(one)) {
        json_put(one, "disputed", json_array());
        json_put(one, "claims", json_array());
    }
    json_object_del(json_object_get(doc, "grounding"), "sentences");
}

struct looking {
    struct orch *orch;
    bool hidden;
};

static bool take_state(void *arg, const struct store_row *row)
{
    static const char *const STATE[] = {"withheld.state"};
    static const struct json_members wanted = {STATE, 1, false};
    struct looking *l = arg;
    json_t *doc = orch__stored(l->orch, row, &wanted);
    l->hidden = is_hidden(doc);
    json_decref(doc);
    return false;
}

/* Asked for each row that a search finds: of the document only that is read. */
bool orch_is_withheld(struct orch *o, const char *trace_id)
{
    struct looking l = {.orch = o};
    return store_query(store_reader(o->rooms.store), NULL, take_state, &l,
                       "SELECT rowid, trace_id, session, sealed, at FROM traces WHERE trace_id = ?",
                       "s", trace_id) != ERR_OK ||
           l.hidden;
}

/* ---- a person releases it */

struct release {
    struct orch *orch;
    char id[33];
    char session[33];
    json_t *doc;
    struct buf before, sealed; /* the row as it was read, and as it is to be */
    orch_rated *done;
    void *arg;
};

static void release_free(struct release *r)
{
    json_decref(r->doc);
    buf_release(&r->before);
    buf_release(&r->sealed);
    free(r);
}

static bool take_sealed(void *arg, const struct store_row *row)
{
    size_t len = 0;
    const void *sealed = store_blob(row, 0, &len);
    buf_add(arg, sealed, len);
    return false;
}

/* What was erased meanwhile does not come back: only the row that was read is written. */
static enum err write_released(struct store_db *db, void *arg, struct error *e)
{
    const struct release *r = arg;
    struct buf now = {0};
    enum err code = store_query(db, e, take_sealed, &now,
                                "SELECT sealed FROM traces WHERE trace_id = ?", "s", r->id);
    bool same = now.len == r->before.len && now.len && !memcmp(now.data, r->before.data, now.len);
    buf_release(&now);
    if (code != ERR_OK)
        return code;
    if (!same)
        return err_set(e, ERR_BUSY, "trace %s was changed in the meantime; try again", r->id);
    return store_exec(db, e, "UPDATE traces SET session = ?, sealed = ? WHERE trace_id = ?", "sbs",
                      r->session, r->sealed.data, r->sealed.len, r->id);
}

static void on_released(void *arg, int64_t seq, const struct error *e)
{
    struct release *r = arg;
    struct orch *o = r->orch;
    for (struct trace *t = o->traces; t && e->code == ERR_OK; t = t->next) {
        if (strcmp(t->id, r->id) != 0) /* still here: its last write was a moment ago */
            continue;
        json_put(t->doc, "answer", json_incref(json_object_get(r->doc, "answer")));
        json_put(t->doc, "withheld", json_incref(json_object_get(r->doc, "withheld")));
    }
    if (e->code == ERR_OK && o->event) {
        orch__without_outputs(r->doc);
        o->event(o->event_arg, "turn", r->doc);
    }
    r->done(r->arg, seq, e);
    release_free(r);
}

static void note_who(json_t *doc, const char *actor, const char *user)
{
    json_t *withheld = json_object_get(doc, "withheld");
    char at[CLOCK_TEXT];
    clock_format(clock_real_ms(), at);
    json_put(doc, "answer", json_incref(json_object_get(withheld, "answer")));
    json_object_del(withheld, "answer");
    json_puts(withheld, "state", "released");
    json_puts(withheld, "by", actor);
    json_puts(withheld, "user", user);
    json_puts(withheld, "at", at);
}

/* The row's bytes are read first: a document that is newer than they are is not written. */
static struct release *release_new(struct orch *o, const char *trace_id, struct error *e)
{
    struct release *r = xcalloc(1, sizeof *r);
    r->orch = o;
    snprintf(r->id, sizeof r->id, "%s", trace_id);
    snprintf(r->session, sizeof r->session, "%s", prov_session(o->rooms.prov));
    if (store_query(store_reader(o->rooms.store), e, take_sealed, &r->before,
                    "SELECT sealed FROM traces WHERE trace_id = ?", "s", trace_id) == ERR_OK)
        r->doc = orch__trace_whole(o, trace_id, e);
    const json_t *withheld = json_object_get(r->doc, "withheld");
    if (r->doc && strcmp(state_of(r->doc), "withheld") == 0 &&
        json_is_string(json_object_get(withheld, "answer")))
        return r;
    if (r->doc)
        err_set(e, ERR_NOT_FOUND, "trace %.64s has no answer that is withheld", trace_id);
    release_free(r);
    return NULL;
}

enum err orch_release(struct orch *o, const char *trace_id, const char *actor, const char *user,
                      orch_rated *done, void *arg, struct error *e)
{
    struct release *r = release_new(o, trace_id, e);
    if (!r)
        return e->code;
    const json_t *withheld = json_object_get(r->doc, "withheld");
    int64_t answer = store_scalar(store_reader(o->rooms.store), -1,
                                  "SELECT max(seq) FROM entries WHERE trace_id = ? AND type IN "
                                  "('answer', 'stop')",
                                  "s", trace_id);
    json_t *payload = json_object();
    json_puts(payload, "by", actor);
    json_puts(payload, "user", user);
    json_put(payload, "score", json_incref(json_object_get(withheld, "score")));
    json_puts(payload, "why", json_str(withheld, "why", ""));
    r->done = done;
    r->arg = arg;
    note_who(r->doc, actor, user);
    json_object_del(r->doc, "rowid");
    if (answer < 0 || prov_seal(o->rooms.prov, r->doc, &r->sealed) != ERR_OK) {
        err_set(e, ERR_NOT_FOUND, "trace %.64s has no answer that can be given out", trace_id);
        json_decref(payload);
        release_free(r);
        return e->code;
    }
    const struct prov_edge edge = {answer, "release", -1};
    const struct prov_entry entry = {.type = "release",
                                     .actor = actor,
                                     .trace_id = trace_id,
                                     .parents = &edge,
                                     .parent_count = 1,
                                     .payload = payload};
    prov_append(o->rooms.prov, &entry, on_released, r, write_released, r);
    json_decref(payload);
    return ERR_OK;
}
