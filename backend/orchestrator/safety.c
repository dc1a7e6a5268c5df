/* The safety filter around the models: a question is judged before anything is looked up for it or
 * asked of a model, an answer and a critique before they are shown. The rules judge
 * (compliance/hazards.def), and where one is configured a judge: a guard model or a moderation
 * endpoint.
 *
 *   text -> rules -> severe: blocked
 *                 -> else a judge, if there is one: model.call durable -> gw_start -> read
 *        -> safety, if it acted or a judge was asked -> `then`
 *
 * Invariants
 * Y1 A check ends once: in `then`, or in orch__check_cancel, after which there is no `then`.
 * Y2 A text that is severe is in no event, no trace and no answer. Where a judge judges answers,
 * neither is one that it has not judged, but for a judge that cannot be asked under `unsure =
 * pass`. Y3 What the filter does is an entry `safety`, written before what follows from it, with
 * the ledger lines of the judge. */
#include "backend/base/text.h"
#include "backend/compliance/inject.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { VERDICT_TOKENS = 64, REPLY_MAX = 256 << 10, REPLY_DEPTH = 8, WINDOW = 4096, OVERLAP = 1024 };

/* ---- configuration */

static enum err wrong(const struct conf *c, const char *key, struct error *e, const char *what)
{
    return err_set(e, ERR_CONFIG, "%s: [safety]: %s: %s", conf_where(c, "safety", "", key), key,
                   what);
}

enum err orch__safety_read(struct orch *o, struct error *e)
{
    struct orch_safety *s = &o->safety;
    const struct conf *c = o->rooms.conf;
    const char *name = conf_str(c, "safety", "", "model");
    const char *judges = conf_str(c, "safety", "", "judges");
    const char *severe = conf_str(c, "safety", "", "severe");
    if (!pol_hazards_read(severe, &s->severe, NULL))
        return wrong(c, "severe", e, "categories are S1 to S14, with spaces between");
    if (*name) {
        s->judge = gw_find(o->rooms.gw, name);
        if (!s->judge)
            return wrong(c, "model", e, "there is no such model");
        if (s->judge->builtin)
            return wrong(c, "model", e, "the built-in models judge nothing");
    }
    s->endpoint = s->judge && strcmp(s->judge->kind, "moderation") == 0;
    s->judges[POL_QUESTION] = s->judge && strcmp(judges, "answers") != 0;
    s->judges[POL_ANSWER] = s->judge && strcmp(judges, "questions") != 0;
    s->unsure_blocks = strcmp(conf_str(c, "safety", "", "unsure"), "block") == 0;
    s->limit_ms = (uint64_t)conf_int(c, "safety", "", "time_limit_ms");
    if (conf_flag(c, "safety", "", "filter"))
        s->filter = pol_filter_new();
    const char *injection = conf_str(c, "safety", "", "injection");
    if (strcmp(injection, "no") != 0)
        s->injector = pol_injector_new();
    s->injection_removes = strcmp(injection, "remove") == 0;
    s->state.rules = s->filter != NULL;
    s->state.judge = s->judge ? s->judge->name : NULL;
    return ERR_OK;
}

/* ---- what was found, in the log and the trace */

static enum pol_direction direction_of(const struct orch_check *k)
{
    return k->candidate ? POL_ANSWER : POL_QUESTION;
}

/* What the trace and the log say of a check. */
static json_t *finding_of(const struct orch_check *k, const char *action, const char *failure)
{
    json_t *o = json_object();
    json_puts(o, "of", k->of);
    if (k->candidate)
        json_puts(o, "model", k->candidate->model->name);
    json_puts(o, "action", action);
    json_puts(o, "judge", k->judged ? k->trace->orch->safety.judge->name : "");
    json_puts(o, "failure", failure ? failure : "");
    json_put(o, "found", pol_moderation_json(&k->found));
    return o;
}

static int64_t log_action(struct orch_check *k, const char *action, const char *failure,
                          const struct gw_spent *spent)
{
    struct trace *t = k->trace;
    struct orch_edges from = {.count = 0};
    orch__edge(&from, k->subject, "moderate", -1);
    if (k->judged)
        orch__edge(&from, k->call_entry, "call", -1);
    const struct orch_payer payer = {.cost = t->orch->rooms.cost,
                                     .trace_id = t->id,
                                     .session = prov_session(t->orch->rooms.prov),
                                     .project =
                                         conf_str(t->orch->rooms.conf, "console", "", "project"),
                                     .flow = "safety",
                                     .model = t->orch->safety.judge,
                                     .entry = k->call_entry};
    return orch__log_spent(t, "safety", "backend", &from, finding_of(k, action, failure),
                           spent ? orch_spent_new(spent, &payer, NULL) : NULL);
}

static void note_in_trace(const struct orch_check *k, const char *action, const char *failure)
{
    json_t *doc = k->trace->doc, *list = json_object_get(doc, "safety");
    if (!list) {
        list = json_array();
        json_put(doc, "safety", list);
    }
    json_array_append_new(list, finding_of(k, action, failure));
}

/* "blocked by the safety filter: S9 indiscriminate weapons". */
static char *blocked_words(const struct orch_check *k, const char *failure)
{
    struct buf b = {0};
    buf_addf(&b, "the safety filter blocked the %s: ", k->of);
    size_t named = 0;
    for (size_t i = 0; i < k->found.count; i++)
        if (k->found.at[i].severity == POL_SEVERE) {
            const struct pol_hazard *h = pol_hazard(k->found.at[i].id);
            buf_addf(&b, "%s%s %s", named++ ? ", " : "", h->id, h->name);
        }
    if (!named)
        buf_addf(&b, "%s did not judge it (%s)", k->trace->orch->safety.judge->name, failure);
    return buf_take(&b);
}

/* Keeps count. seq: the entry of the log, -1 none. */
static void count(struct orch_safety_state *s, const struct orch_check *k, bool blocked,
                  const char *failure, int64_t seq)
{
    if (blocked)
        s->blocked++;
    else if (k->found.count)
        s->flagged++;
    else if (!failure)
        s->passed++;
    if (failure) {
        s->unjudged++;
        err_set(&s->last, ERR_UPSTREAM, "%s", failure);
        if (s->entry_count == ORCH_SAFETY_ENTRIES)
            memmove(s->entries, s->entries + 1, --s->entry_count * sizeof *s->entries);
        s->entries[s->entry_count++] = seq;
    } else if (k->judged) {
        s->last.code = ERR_OK;
    }
}

const struct orch_safety_state *orch_safety(const struct orch *o)
{
    return &o->safety.state;
}

const char *orch_safety_refuses(const struct orch *o, const char *text, bool answer)
{
    struct pol_moderation m;
    if (!o->safety.filter)
        return NULL;
    pol_moderate(o->safety.filter, text, answer ? POL_ANSWER : POL_QUESTION, &m);
    for (size_t i = 0; i < m.count; i++)
        if (m.at[i].severity == POL_SEVERE)
            return pol_hazard(m.at[i].id)->name;
    return NULL;
}

/* ---- a check */

static void conclude(struct orch_check *k, const struct gw_spent *spent, const char *failure)
{
    struct trace *t = k->trace;
    bool blocked = k->found.worst == POL_SEVERE || (failure && t->orch->safety.unsure_blocks);
    bool acted = blocked || failure || k->found.count;
    const char *action = blocked          ? "blocked"
                         : failure        ? "unchecked"
                         : k->found.count ? "flagged"
                                          : "passed";
    char *why = failure ? text_cleaned(failure, TEXT_ONE_LINE) : NULL;
    k->under_way = false;
    k->call = NULL;
    free(k->text);
    k->text = NULL;
    if (k->judged)
        orch__stage_end(t, k->stage, failure ? "failed" : "done", why ? why : action);
    int64_t seq = acted || k->judged ? log_action(k, action, why, spent) : -1;
    if (acted)
        note_in_trace(k, action, why);
    count(&t->orch->safety.state, k, blocked, why, seq);
    free(k->words);
    k->words = blocked ? blocked_words(k, why) : NULL;
    free(why);
    k->then(k, blocked);
}

/* Adds what the judge replied; false: it is not understood. */
static bool take_reply(struct orch_check *k, const char *text)
{
    const struct orch_safety *s = &k->trace->orch->safety;
    struct pol_moderation said;
    bool ok;
    if (s->endpoint) {
        json_t *reply = json_read(text, strlen(text), REPLY_MAX, REPLY_DEPTH, NULL);
        ok = reply && pol_moderation_read(reply, s->severe, &said);
        json_decref(reply);
    } else {
        ok = pol_guard_read(text, s->severe, &said);
    }
    if (ok)
        pol_moderation_add(&k->found, &said);
    return ok;
}

static void on_judge_done(void *arg, const struct gw_result *r)
{
    struct orch_check *k = arg;
    struct trace *t = k->trace;
    const char *failure = NULL;
    if (r->error.code != ERR_OK)
        failure = err_words(&r->error);
    else if (!take_reply(k, r->text))
        failure = "its reply is no verdict";
    conclude(k, r->spent, failure);
    orch__settle(t);
}

static void on_judge_logged(void *arg, int64_t seq, const struct error *e)
{
    static const struct gw_ops ops = {.done = on_judge_done};
    struct orch_check *k = arg;
    struct trace *t = k->trace;
    const struct orch_safety *s = &t->orch->safety;
    struct error why = *e;
    (void)seq;
    t->writes--;
    if (!k->under_way) {
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e);
        return;
    }
    struct gw_message messages[2] = {{.role = "user", .content = t->question}};
    if (k->candidate)
        messages[1] = (struct gw_message){.role = "assistant", .content = k->text};
    char traceparent[TEL_TRACEPARENT];
    bool traced = orch__traceparent(t, k->stage, traceparent);
    struct gw_request r = {.task = GW_ANSWER,
                           .session = prov_session(t->orch->rooms.prov),
                           .project = conf_str(t->orch->rooms.conf, "console", "", "project"),
                           .trace_id = t->id,
                           .traceparent = traced ? traceparent : NULL,
                           .question = k->text,
                           .lang = t->lang,
                           .messages = messages,
                           .message_count = k->candidate ? 2 : 1,
                           .looked_at = "",
                           .max_output_tokens = VERDICT_TOKENS,
                           .connect_ms = s->limit_ms,
                           .first_token_ms = s->limit_ms,
                           .silence_ms = s->limit_ms,
                           .total_ms = s->limit_ms};
    int64_t tokens = gw_estimate_tokens(t->question) + gw_estimate_tokens(k->text);
    if (s->judge->context > 0 && tokens > s->judge->context)
        /* a server would cut the text and judge the rest of it */
        err_set(&why, ERR_TOO_BIG, "the text is longer than its context");
    else
        k->call = gw_start(t->orch->rooms.gw, s->judge->name, &r, &ops, k, &why);
    if (!k->call) {
        const struct gw_spent none = {
            .at = {{.model = s->judge, .outcome = "error", .code = why.code, .first_token_ms = -1}},
            .count = 1};
        conclude(k, &none, err_words(&why));
    }
    orch__settle(t);
}

static void ask_judge(struct orch_check *k)
{
    struct trace *t = k->trace;
    const struct gw_model *m = t->orch->safety.judge;
    k->judged = true;
    k->stage = orch__stage_begin(t, "safety", m->name);
    json_t *payload = json_object();
    json_puts(payload, "model", m->name);
    json_puts(payload, "provider", m->provider);
    json_puts(payload, "region", m->region);
    json_puts(payload, "task", "moderate");
    json_puts(payload, "of", k->of);
    json_puti(payload, "input_tokens",
              gw_estimate_tokens(t->question) + (k->candidate ? gw_estimate_tokens(k->text) : 0));
    json_puti(payload, "max_tokens", VERDICT_TOKENS);
    struct orch_edges from = {.count = 0};
    orch__edge(&from, t->question_entry, "ask", -1);
    if (k->candidate)
        orch__edge(&from, k->subject, "moderate", -1);
    char *actor = xasprintf("model:%s", m->name);
    t->writes++;
    k->call_entry =
        orch__log(t, "model.call", actor, &from, payload, on_judge_logged, k, NULL, NULL);
    free(actor);
}

void orch__check(struct orch_check *k, const char *text)
{
    const struct orch_safety *s = &k->trace->orch->safety;
    enum pol_direction direction = direction_of(k);
    BUG_IF(k->under_way);
    k->under_way = true;
    k->judged = false;
    k->found = (struct pol_moderation){.worst = POL_NONE};
    k->text = xstrdup(text);
    if (s->filter)
        pol_moderate(s->filter, text, direction, &k->found);
    if (k->found.worst != POL_SEVERE && s->judges[direction])
        ask_judge(k);
    else
        conclude(k, NULL, NULL);
}

void orch__check_cancel(struct orch_check *k)
{
    if (!k->under_way)
        return;
    k->under_way = false;
    orch__stage_end(k->trace, k->stage, "failed", "stopped");
    if (k->call) {
        struct gw_spent spent = {.count = 0};
        gw_cancel(k->call, &spent);
        k->call = NULL;
        log_action(k, "cancelled", NULL, &spent);
        gw_spent_release(&spent);
    }
}

void orch__check_release(struct orch_check *k)
{
    free(k->text);
    free(k->words);
}

/* ---- answers that are not whole */

void orch__check_part(struct orch_candidate *c)
{
    const struct orch_safety *s = &c->trace->orch->safety;
    struct orch_check part = {.trace = c->trace, .candidate = c, .of = "answer"};
    if (!c->text.len)
        return;
    if (s->judges[POL_ANSWER]) { /* Y2: nobody has judged it, and nobody has seen it */
        buf_clear(&c->text);
        return;
    }
    if (s->filter)
        pol_moderate(s->filter, c->text.data, POL_ANSWER, &part.found);
    if (part.found.worst != POL_SEVERE)
        return;
    part.subject = c->output_entry;
    count(&c->trace->orch->safety.state, &part, true, NULL,
          log_action(&part, "blocked", NULL, NULL));
    note_in_trace(&part, "blocked", NULL);
    buf_clear(&c->text);
}

bool orch__may_tell(struct orch_candidate *c, size_t end)
{
    const struct orch_safety *s = &c->trace->orch->safety;
    if (s->judges[POL_ANSWER] || c->held)
        return false;
    if (!s->filter)
        return true;
    struct pol_moderation found;
    size_t len = end - c->judged;
    char *part = xstrndup(c->text.data + c->judged, len);
    size_t start = pol_sentence_start(part, len);
    pol_moderate(s->filter, part, POL_ANSWER, &found);
    if (found.worst == POL_SEVERE) { /* in a sentence that goes on there may be an excuse to come */
        part[start] = '\0';
        pol_moderate(s->filter, part, POL_ANSWER, &found);
        c->held = found.worst == POL_SEVERE || len > WINDOW;
        free(part);
        return false;
    }
    if (len - start > WINDOW) /* no sentence: a look at it stays bounded */
        start = len - OVERLAP;
    c->judged += start;
    free(part);
    return true;
}
