/* The trace's document, its stages, its entries and its projection in the store. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const SIDES[] = {"promptA", "promptB"};

/* Who was asked to answer, and how, where the question said so: {models?, flow?, exchanges?,
 * promptA?, promptB?}; else NULL. */
static json_t *choice_of(const struct orch_ask *ask)
{
    json_t *choice = json_object(), *models = json_array();
    for (size_t i = 0; i < ask->model_count; i++)
        json_array_append_new(models, json_text(ask->models[i], strlen(ask->models[i])));
    if (ask->model_count)
        json_put(choice, "models", json_incref(models));
    json_decref(models);
    if (ask->flow)
        json_puts(choice, "flow", ask->flow);
    if (ask->exchanges)
        json_puti(choice, "exchanges", ask->exchanges);
    for (size_t i = 0; i < 2; i++)
        if (ask->prompts[i])
            json_put(choice, SIDES[i], json_text(ask->prompts[i], strlen(ask->prompts[i])));
    if (json_object_size(choice))
        return choice;
    json_decref(choice);
    return NULL;
}

struct trace *orch__trace_new(struct orch *o, const struct orch_ask *ask)
{
    struct trace *t = xcalloc(1, sizeof *t);
    char at[CLOCK_TEXT];
    t->orch = o;
    orch__told_begin(t);
    if (ask->conversation)
        memcpy(t->conversation, ask->conversation, 32);
    else
        vault_id(t->conversation);
    for (size_t i = 0; ask->actor[i] && i + 1 < sizeof t->actor; i++)
        t->actor[i] = ask->actor[i];
    t->user = xstrdup_or_null(ask->user);
    snprintf(t->session, sizeof t->session, "%s", ask->session ? ask->session : "");
    t->question = pol_scrub_text(ask->text);
    if (!t->question)
        t->question = xstrdup(ask->text);
    t->lang = text_is_russian(ask->text) ? "ru" : "en";
    t->started_ms = clock_mono_ms();
    t->verdict.winner = -1;
    clock_format(clock_real_ms(), at);
    t->doc = json_object();
    json_puts(t->doc, "trace_id", t->id);
    json_puts(t->doc, "conversation", t->conversation);
    json_puts(t->doc, "at", at);
    json_puts(t->doc, "question", t->question);
    json_puts(t->doc, "lang", t->lang);
    json_puts(t->doc, "state", "running");
    json_puts(t->doc, "answer", "");
    json_put(t->doc, "sources", json_array());
    json_put(t->doc, "candidates", json_array());
    json_put(t->doc, "critiques", json_array());
    json_put(t->doc, "verdict", json_null());
    json_put(t->doc, "usage", json_null());
    json_put(t->doc, "stages", json_array());
    json_put(t->doc, "entries", json_array());
    json_puti(t->doc, "elapsed_ms", 0);
    if (ask->again)
        json_puts(t->doc, "again", ask->again);
    json_t *choice = choice_of(ask);
    if (choice)
        json_put(t->doc, "choice", choice);
    t->question_entry = t->recalled = -1;
    orch__recorded_begin(t, ask);
    return t;
}

void orch__trace_free(struct trace *t)
{
    loop_timer_free(t->timer);
    orch__told_end(t);
    free(t->user);
    json_decref(t->recorded);
    know_free(t->know);
    for (size_t i = 0; i < t->tool_count; i++) {
        free(t->tools[i].connector);
        free(t->tools[i].tool);
        free(t->tools[i].title);
        json_decref(t->tools[i].arguments);
    }
    for (size_t i = 0; i < t->source_count; i++) {
        free(t->sources[i].ref);
        free(t->sources[i].text);
        json_decref(t->sources[i].data);
    }
    for (size_t i = 0; i < t->candidate_count; i++) {
        buf_release(&t->candidates[i].text);
        buf_release(&t->candidates[i].revised);
        orch__prompts_release(&t->candidates[i]);
        buf_release(&t->candidates[i].told);
        orch__check_release(&t->candidates[i].check);
        json_decref(t->candidates[i].route);
        orch__agent_free(t->candidates[i].agent);
        buf_release(&t->candidates[i].mine);
        buf_release(&t->candidates[i].other);
    }
    flow_free(t->flow);
    for (size_t i = 0; i < t->node_count; i++)
        buf_release(&t->nodes[i].said);
    for (size_t i = 0; i < ORCH_MODELS; i++)
        json_decref(t->routes[i]);
    json_decref(t->risk);
    json_decref(t->memo);
    free(t->unsafe);
    free(t->prompts[0]);
    free(t->prompts[1]);
    for (size_t i = 0; i < t->chosen_count; i++)
        free(t->chosen[i]);
    if (t->accepting)
        orch__store_trace_free(t->accepting->projection);
    free(t->accepting);
    orch__check_release(&t->check);
    orch__embed_release(&t->vector);
    buf_release(&t->looked_at);
    orch__embed_release(&t->near);
    json_decref(t->verdict.disputed);
    json_decref(t->verdict.claims);
    json_decref(t->doc);
    free(t->question);
    free(t->asked);
    free(t);
}

size_t orch__stage_begin(struct trace *t, const char *name, const char *label)
{
    json_t *stages = json_object_get(t->doc, "stages"), *stage = json_object();
    json_puts(stage, "name", name);
    json_puts(stage, "label", label);
    json_puti(stage, "start_ms", (int64_t)(clock_mono_ms() - t->started_ms));
    json_puti(stage, "ms", 0);
    json_puts(stage, "state", "running");
    json_puts(stage, "note", "");
    json_array_append_new(stages, stage);
    orch__told_stage(t, json_array_size(stages) - 1, name, label);
    orch__tell(t, "stage");
    return json_array_size(stages) - 1;
}

void orch__stage_ends(struct trace *t, size_t stage, const char *state, json_t *sentences)
{
    char *note = say_english(sentences);
    json_t *s = json_array_get(json_object_get(t->doc, "stages"), stage);
    if (json_array_size(sentences))
        json_put(s, "note_words", json_incref(sentences));
    orch__stage_end(t, stage, state, note);
    json_decref(sentences);
    free(note);
}

void orch__stage_end(struct trace *t, size_t stage, const char *state, const char *note)
{
    json_t *s = json_array_get(json_object_get(t->doc, "stages"), stage);
    int64_t now = (int64_t)(clock_mono_ms() - t->started_ms);
    json_puti(s, "ms", now - json_int(s, "start_ms", now));
    json_puts(s, "state", state);
    json_puts(s, "note", note ? note : "");
    orch__told_stage_end(t, stage, json_str(s, "name", ""), state, json_int(s, "ms", 0));
    orch__tell(t, "stage");
}

void orch__without_outputs(json_t *doc)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(doc, "candidates"), i, one) json_object_del(one, "text");
    json_array_foreach(json_object_get(doc, "nodes"), i, one)
        json_object_del(json_object_get(one, "run"), "text");
}

void orch__tell(struct trace *t, const char *type)
{
    struct orch *o = t->orch;
    bool running = strcmp(json_str(t->doc, "state", ""), "running") == 0;
    if (!o->event || (*t->eval && (running || strcmp(type, "turn") != 0))) /* of those, the end */
        return;
    json_puti(t->doc, "elapsed_ms", (int64_t)(clock_mono_ms() - t->started_ms));
    json_t *data;
    if (strcmp(type, "stage") == 0) {
        data = json_object();
        json_puts(data, "trace_id", t->id);
        json_puts(data, "state", json_str(t->doc, "state", ""));
        json_put(data, "stages", json_deep_copy(json_object_get(t->doc, "stages")));
    } else {
        data = json_deep_copy(t->doc);
        orch__withhold_hide(data);
        if (!*t->eval) /* who scores it reads what models wrote */
            orch__without_outputs(data);
    }
    o->event(o->event_arg, type, data);
    json_decref(data);
}

static void tags_of(const json_t *payload, const char **tags)
{
    char *text = json_write(payload);
    size_t n = pol_pii_tags(text, tags, 8);
    tags[n] = NULL;
    free(text);
}

void orch__edge(struct orch_edges *to, int64_t seq, const char *transform, double confidence)
{
    for (size_t i = 0; i < to->count; i++)
        if (to->at[i].seq == seq)
            return;
    if (seq < 0 || to->count == ORCH_PARENTS)
        return;
    int per_mille = confidence < 0 ? -1 : confidence > 1 ? 1000 : (int)(confidence * 1000 + 0.5);
    to->at[to->count++] = (struct prov_edge){seq, transform, per_mille};
}

static void on_logged(void *arg, int64_t seq, const struct error *e)
{
    struct trace *t = arg;
    (void)seq;
    t->writes--;
    if (e->code != ERR_OK)
        orch__fail(t, e);
    orch__settle(t);
}

/* Completes an entry with what is the trace's. */
static int64_t append(struct trace *t, struct prov_entry *entry, const struct orch_edges *parents,
                      prov_done *done, void *arg, store_op *also, void *also_arg)
{
    if (!done) {
        done = on_logged;
        arg = t;
        t->writes++;
    }
    entry->trace_id = t->id;
    entry->conversation = t->conversation;
    entry->parents = parents ? parents->at : NULL;
    entry->parent_count = parents ? parents->count : 0;
    int64_t seq = prov_append(t->orch->rooms.prov, entry, done, arg, also, also_arg);
    if (seq >= 0)
        json_array_append_new(json_object_get(t->doc, "entries"), json_integer(seq));
    return seq;
}

struct spending {
    struct trace *trace;
    struct orch_spent *spent;
};

static void on_spent_logged(void *arg, int64_t seq, const struct error *e)
{
    struct spending *d = arg;
    struct trace *t = d->trace;
    (void)seq;
    orch_spent_free(d->spent);
    free(d);
    t->writes--;
    if (e->code != ERR_OK && t->phase < TRACE_ENDING)
        orch__fail(t, e);
    else
        orch__settle(t);
}

int64_t orch__log_spent(struct trace *t, const char *type, const char *actor,
                        const struct orch_edges *parents, json_t *payload, struct orch_spent *spent)
{
    struct spending *d = xcalloc(1, sizeof *d);
    *d = (struct spending){.trace = t, .spent = spent};
    t->writes++;
    return orch__log(t, type, actor, parents, payload, on_spent_logged, d,
                     spent ? orch_spent_insert : NULL, spent);
}

int64_t orch__log_ready(struct trace *t, const char *type, const char *actor,
                        const struct orch_edges *parents, const struct orch_ready *ready)
{
    struct prov_entry entry = {
        .type = type, .actor = actor, .pii_tags = ready->tags, .prepared = ready->payload};
    return append(t, &entry, parents, NULL, NULL, NULL, NULL);
}

int64_t orch__log(struct trace *t, const char *type, const char *actor,
                  const struct orch_edges *parents, json_t *payload, prov_done *done, void *arg,
                  store_op *also, void *also_arg)
{
    const char *tags[9];
    tags_of(payload, tags);
    struct prov_entry entry = {.type = type, .actor = actor, .pii_tags = tags, .payload = payload};
    int64_t seq = append(t, &entry, parents, done, arg, also, also_arg);
    json_decref(payload);
    return seq;
}

/* ---- the projection: one row a trace, its document sealed like a payload */

struct stored_trace {
    char id[33], conversation[33], session[33];
    const char *state;
    int64_t at;
    char *choice;       /* as JSON, or NULL */
    bool claims, cites; /* an answer that says something of the world; it cites a source */
    struct orch_outcome outcomes[ORCH_OUTCOMES];
    size_t outcome_count;
    struct buf sealed;
};

void *orch__store_trace_arg(struct trace *t, const char *state)
{
    struct stored_trace *s = xcalloc(1, sizeof *s);
    memcpy(s->id, t->id, sizeof s->id);
    if (!*t->eval) /* what an evaluation asks is nobody's conversation, and counts as no answer */
        memcpy(s->conversation, t->conversation, sizeof s->conversation);
    memcpy(s->session, prov_session(t->orch->rooms.prov), sizeof s->session);
    s->state = state;
    s->choice = orch__choice_text(t->doc);
    if (strcmp(state, "done") == 0 && t->verdict.winner >= 0 && !*t->eval) {
        /* a built-in model that cites nothing says that it has no answer */
        s->cites = t->verdict.answered;
        s->claims = s->cites || !t->candidates[t->verdict.winner].model->builtin;
        s->outcome_count = orch__outcomes_of(t, s->outcomes);
    }
    if (clock_parse(json_str(t->doc, "at", ""), &s->at) < 0)
        s->at = clock_real_ms();
    json_puts(t->doc, "state",
              state); /* in the row; for everybody else not before it is durable (O1) */
    if (prov_seal(t->orch->rooms.prov, t->doc, &s->sealed) != ERR_OK)
        buf_clear(&s->sealed);
    json_puts(t->doc, "state", "running");
    return s;
}

/* It stands in the open: a prompt in a person's own words is sealed with the turn, and not in it.
 */
char *orch__choice_text(const json_t *turn)
{
    json_t *choice = json_copy(json_object_get(turn, "choice"));
    for (size_t i = 0; i < 2; i++)
        if (!flow_prompt(json_str(choice, SIDES[i], "")))
            json_object_del(choice, SIDES[i]);
    char *text = choice ? json_write(choice) : NULL;
    json_decref(choice);
    return text;
}

/* A turn more of its conversation, which is the one spoken in last; what it chose is what the next
 * one is asked with. */
static enum err count_turn(struct store_db *db, const struct stored_trace *s, struct error *e)
{
    return store_exec(db, e,
                      "INSERT INTO conversations(id, first, last, turns, touched, choice) "
                      "SELECT conversation, rowid, rowid, 1,"
                      " (SELECT ifnull(max(touched), 0) + 1 FROM conversations), ?2 "
                      "FROM traces WHERE trace_id = ?1 ON CONFLICT(id) DO UPDATE SET "
                      "first = ifnull(first, excluded.first), last = excluded.last, "
                      "turns = turns + 1, touched = excluded.touched, choice = excluded.choice",
                      "ss", s->id, s->choice);
}

enum err orch__store_trace(struct store_db *db, void *arg, struct error *e)
{
    struct stored_trace *s = arg;
    if (s->claims) {
        enum err counted =
            store_exec(db, e, "UPDATE answer_counts SET answers = answers + 1, cited = cited + ?",
                       "i", (int64_t)s->cites);
        if (counted != ERR_OK)
            return counted;
    }
    enum err code = store_exec(
        db, e,
        "INSERT INTO traces (trace_id, conversation, at, state, session, sealed) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (trace_id) DO UPDATE SET state = excluded.state, "
        "session = excluded.session, sealed = excluded.sealed",
        "ssissb", s->id, *s->conversation ? s->conversation : NULL, s->at, s->state, s->session,
        s->sealed.data, s->sealed.len);
    for (size_t i = 0; i < s->outcome_count && code == ERR_OK; i++)
        code = orch__outcome_insert(db, &s->outcomes[i], e);
    /* its question's row comes first, and once */
    bool first = strcmp(s->state, "running") == 0 && *s->conversation;
    return code == ERR_OK && first ? count_turn(db, s, e) : code;
}

void orch__store_trace_free(void *arg)
{
    struct stored_trace *s = arg;
    if (!s)
        return;
    buf_release(&s->sealed);
    free(s->choice);
    free(s);
}

void orch__candidate_doc(struct orch_candidate *c, const char *state)
{
    json_puts(c->doc, "state", state);
    json_put(c->doc, "text", json_text(c->text.data ? c->text.data : "", c->text.len));
}
