/* Planning: which passages fit a question, and running the tools that do (look.c).
 *
 * Each way (lexical, vector) makes its own choice; a tool that both chose runs once. Source numbers
 * are given once for the whole trace, so that every answer cites the same thing by the same number.
 */
#include "backend/base/text.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* A runbook that speaks of less of the question is about something else. */
static const double COVER_FLOOR = 0.45;

/* ---- sources */

struct orch_source *orch__source_new(struct trace *t, const char *kind, char *ref)
{
    if (t->source_count == ORCH_SOURCES) {
        free(ref);
        return NULL;
    }
    struct orch_source *s = &t->sources[t->source_count++];
    char *id = xasprintf("%zu", t->source_count);
    memcpy(s->id, id, strlen(id) + 1);
    free(id);
    s->kind = kind;
    s->ref = ref;
    s->entry = -1;
    s->fit[0] = s->fit[1] = -1;
    return s;
}

struct orch_source *orch__source_at(struct trace *t, size_t number, const char *kind, char *ref)
{
    while (number && t->source_count + 1 < number && number <= ORCH_SOURCES)
        orch__source_new(t, kind, NULL);
    if (!number || number > t->source_count || t->sources[number - 1].ref)
        return orch__source_new(t, kind, ref);
    t->sources[number - 1].ref = ref;
    return &t->sources[number - 1];
}

/* What a tool found, in the language of the question; NULL if it says nothing in that language. */
char *orch__findings_in(const char *lang, const json_t *data)
{
    struct buf text = {0};
    size_t i;
    json_t *finding;
    if (strcmp(lang, "en") == 0)
        return NULL; /* the tool's own text */
    json_array_foreach(json_object_get(data, "findings"), i, finding)
    {
        const char *said = json_str(finding, lang, "");
        if (*said)
            buf_addf(&text, "%s%s", text.len ? "\n" : "", said);
    }
    if (text.len)
        return buf_take(&text);
    buf_release(&text);
    return NULL;
}

/* whole: bytes of the text before it was cut; 0: as many as it has. */
void orch__fill_source(struct trace *t, struct orch_source *s, const char *text, size_t whole,
                       const json_t *data, int64_t entry)
{
    size_t len = strlen(text), at = 0;
    s->text = len <= ORCH_SOURCE_BYTES
                  ? xstrdup(text)
                  : xasprintf("%.*s\n[cut: %zu of %zu bytes; entry %lld of the log has all]",
                              (int)ORCH_SOURCE_BYTES, text, (size_t)ORCH_SOURCE_BYTES,
                              whole > len ? whole : len, (long long)entry);
    char *marked = NULL;
    s->steers = orch__untrusted(t, s->kind, s->ref, s->text, entry, &marked);
    if (marked) {
        free(s->text);
        s->text = marked;
    }
    s->data = data ? orch__untrusted_data(t, s->kind, s->ref, data, entry, &s->steers) : NULL;
    s->entry = entry;
    json_t *doc = json_object(), *all = json_object_get(t->doc, "sources");
    json_puts(doc, "id", s->id);
    json_puts(doc, "kind", s->kind);
    json_puts(doc, "ref", s->ref);
    json_put(doc, "text", json_text(s->text, strlen(s->text)));
    json_t *chart = data ? orch__chart(data) : NULL;
    if (chart)
        json_put(doc, "chart", chart);
    /* tools answer in any order; the list is in the order of the numbers */
    for (const struct orch_source *other = t->sources; other < s; other++)
        at += other->text != NULL;
    json_array_insert_new(all, at, doc);
}

static struct orch_source *find_passage(struct trace *t, const char *ref)
{
    for (size_t i = 0; i < t->source_count; i++) {
        if (strcmp(t->sources[i].kind, "runbook") == 0 && strcmp(t->sources[i].ref, ref) == 0)
            return &t->sources[i];
    }
    return NULL;
}

/* BM25 has no upper bound: x / (x + 8) maps a good hit near 0.6. */
static double fit_of(enum know_way way, double score)
{
    return way == KNOW_LEXICAL ? score / (score + 8) : score;
}

/* What a search found, best first, and behind it the steps of the best document. */
/* A runbook about one product is not for who did not name it: "mem?" is no question about Redis. */
static bool of_other_product(const char *document, const char *question)
{
    static const char *const products[][3] = {{"redis", "redis", "редис"},
                                              {"postgres", "postgres", "постгрес"},
                                              {"nginx", "nginx", "нжинкс"},
                                              {"kubernetes", "kube", "кубер"},
                                              {"docker", "docker", "докер"}};
    const char *name = strrchr(document, '/') ? strrchr(document, '/') + 1 : document;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        if (strncmp(name, products[i][0], strlen(products[i][0])) == 0)
            return !strcasestr(question, products[i][1]) && !strstr(question, products[i][2]);
    }
    return false;
}

/* What is searched by: words, and vectors of the built-in kind or (by, in dense) of a model. */
struct search {
    enum know_way way;
    const char *query;
    bool from_tools; /* the query is made of what they found */
    struct know_dense *dense;
    const struct orch_embed *by;
};

/* What a model finds near the question need not share its words, if it stands out. */
static const double NEAR = 0.35;

static bool speaks_of(const struct know *k, const struct search *s, const struct know_passage *p)
{
    if (s->dense && p->score >= NEAR)
        return true;
    return know_cover(k, s->query, p->id) >= COVER_FLOOR;
}

static size_t find_passages(const struct trace *t, const struct search *s,
                            struct know_passage *found)
{
    const struct know *k = orch__know(t);
    /* a section of steps counts a little less than the passage that led to it */
    static const double STEPS_SHARE = 0.9;
    size_t max = (size_t)conf_int(t->orch->rooms.conf, "copilot", "", "passages");
    max = max > ORCH_PASSAGES ? ORCH_PASSAGES : max;
    size_t n = 0, hits = s->dense ? know_dense_search(s->dense, s->by->vectors, t->lang, found, max)
                                  : know_search(k, s->way, s->query, t->lang, found, max);
    for (size_t i = 0; i < hits; i++) {
        if (speaks_of(k, s, &found[i]) && !of_other_product(found[i].document, s->query))
            found[n++] = found[i];
    }
    if (!n)
        return 0;
    struct know_passage steps[ORCH_PASSAGES];
    size_t more = know_steps(k, found[0].id, steps, ORCH_PASSAGES);
    for (size_t i = 0; i < more && n < ORCH_PASSAGES; i++) {
        bool known = false;
        for (size_t j = 0; j < n; j++)
            known = known || found[j].id == steps[i].id;
        steps[i].score = found[0].score * STEPS_SHARE;
        if (!known)
            found[n++] = steps[i];
    }
    return n;
}

static json_t *passage_doc(const struct know_passage *p, const char *ref)
{
    char score[32], hex[2 * VAULT_HASH + 1];
    uint8_t hash[VAULT_HASH];
    snprintf(score, sizeof score, "%.4f", p->score);
    vault_sha256(p->text, strlen(p->text), NULL, 0, hash);
    text_hex(hash, sizeof hash, hex);
    json_t *doc = json_object();
    json_puts(doc, "ref", ref);
    json_puts(doc, "score", score);
    json_puts(doc, "sha256", hex);
    return doc;
}

/* What a search comes from: the question, the one before it that it leans on, what tools found. */
static void search_parents(const struct trace *t, const struct search *s, double fit,
                           struct orch_edges *to)
{
    orch__edge(to, t->question_entry, "retrieve", fit);
    orch__edge(to, t->recalled, "recall", -1);
    if (s->dense)
        orch__edge(to, s->by->entry, "call", -1);
    for (size_t i = 0; s->from_tools && i < t->tool_count; i++)
        if (t->tools[i].source)
            orch__edge(to, t->tools[i].source->entry, "retrieve", fit);
}

/* instead: why it is the built-in vectors and not the model's; or NULL. */
static void retrieve(struct trace *t, const struct search *s, const char *instead)
{
    enum know_way way = s->way;
    const char *by = way == KNOW_LEXICAL ? "bm25" : s->dense ? s->by->by : "vectors";
    size_t stage = orch__stage_begin(t, "retrieve", by);
    struct know_passage found[ORCH_PASSAGES];
    size_t n = find_passages(t, s, found);
    json_t *payload = json_object(), *passages = json_array();
    char *refs[ORCH_PASSAGES];
    for (size_t i = 0; i < n; i++) {
        refs[i] = xasprintf("%s#%s", found[i].document, found[i].heading);
        json_array_append_new(passages, passage_doc(&found[i], refs[i]));
    }
    json_puts(payload, "way", way == KNOW_LEXICAL ? "lexical" : "vector");
    json_puts(payload, "by", s->dense ? s->by->by : "builtin");
    if (instead)
        json_puts(payload, "instead", instead);
    json_puts(payload, "query", s->query);
    json_put(payload, "passages", passages);
    double fit = n ? fit_of(way, found[0].score) : -1;
    struct orch_edges from = {.count = 0};
    search_parents(t, s, fit, &from);
    int64_t entry = orch__log(t, "retrieval", "backend", &from, payload, NULL, NULL, NULL, NULL);
    t->retrievals[t->retrieval_count].entry = entry;
    t->retrievals[t->retrieval_count].way = way;
    t->retrievals[t->retrieval_count++].fit = fit;
    bool steers = false;
    for (size_t i = 0; i < n; i++) {
        struct orch_source *source = find_passage(t, refs[i]);
        if (source) {
            free(refs[i]);
        } else {
            source = orch__source_new(t, "runbook", refs[i]);
            if (source)
                orch__fill_source(t, source, found[i].text, 0, NULL, entry);
        }
        steers = steers || (source && source->steers);
        if (source && fit_of(way, found[i].score) > source->fit[way])
            source->fit[way] = fit_of(way, found[i].score);
    }
    json_t *note = say(NULL, SAY_PASSAGES, "n", n);
    if (instead)
        note = say(note, SAY_BUILTIN_VECTORS, "t", instead);
    if (steers)
        note = say(note, SAY_ONE_STEERS, "");
    orch__stage_ends(t, stage, "done", note);
}

/* ---- running tools */

/* What the tools found over a limit, as words to search by: what leads, else every topic. "" if all
 * is well. The caller frees. */
static char *complaints(const struct trace *t)
{
    struct buf lead = {0}, all = {0};
    for (size_t i = 0; i < t->tool_count; i++) {
        size_t j;
        json_t *f;
        json_array_foreach(
            json_object_get(t->tools[i].source ? t->tools[i].source->data : NULL, "findings"), j, f)
        {
            const char *severity = json_str(f, "severity", "ok");
            if (strcmp(severity, "warn") != 0 && strcmp(severity, "fail") != 0)
                continue;
            struct buf *to = json_flag(f, "lead", false) ? &lead : &all;
            if (to->len < 200)
                buf_addf(to, "%s ", json_str(f, "topic", ""));
        }
    }
    char *words = buf_take(lead.len ? &lead : &all);
    buf_release(&lead);
    buf_release(&all);
    return words;
}

/* The runbooks for what turned out bad are wanted too, whatever the question's words were. */
static void answer_models(struct trace *t)
{
    char *bad = complaints(t);
    if (*bad) {
        retrieve(t, &(struct search){.way = KNOW_LEXICAL, .query = bad, .from_tools = true}, NULL);
        retrieve(t, &(struct search){.way = KNOW_VECTOR, .query = bad, .from_tools = true}, NULL);
    }
    free(bad);
    orch__engine_start(t);
}

static void begin_steps(struct trace *t, size_t first);

static void tools_over(struct trace *t)
{
    for (size_t i = 0; i < t->tool_count; i++) {
        if (!t->tools[i].ended)
            return;
    }
    if (t->phase != TRACE_TOOLS || t->vector.under_way)
        return;
    size_t first = t->tool_count;
    if (!orch__look_further(t)) {
        answer_models(t);
        return;
    }
    begin_steps(t, first);
    tools_over(t); /* all of them may be in the log of an earlier run */
}

static void step_failed(struct orch_tool_step *s, const char *why)
{
    s->ended = true;
    orch__stage_end(s->trace, s->stage, "failed", why);
}

/* A result on its way to the log. */
struct finding {
    struct orch_tool_step *step;
    bool answered, ok;
    char *text, *said, *instead, *why; /* said: what is told of its findings, or NULL */
    size_t bytes;
    json_t *data;
};

static void finding_free(struct finding *f)
{
    free(f->text);
    free(f->said);
    free(f->instead);
    free(f->why);
    json_decref(f->data);
    free(f);
}

static void step_over(struct finding *f, int64_t entry)
{
    struct orch_tool_step *s = f->step;
    struct trace *t = s->trace;
    s->ended = true;
    if (f->answered && s->source) { /* models and screens see no secrets */
        const char *plain = f->said ? f->said : f->text;
        char *text = pol_scrub_text(plain);
        json_t *data = f->data ? pol_scrub(f->data) : NULL;
        orch__fill_source(t, s->source, text ? text : plain, f->said ? 0 : f->bytes, data, entry);
        json_decref(data);
        free(text);
    }
    const char *state = f->ok ? "done" : "failed", *note = f->ok ? (f->instead ? f->instead : "")
                                                           : f->answered
                                                               ? "the tool reports an error"
                                                               : f->why;
    if (s->source && s->source->steers) {
        json_t *words = *note ? say(NULL, SAY_TEXT, "t", note) : NULL;
        orch__stage_ends(t, s->stage, state, say(words, SAY_STEERS, "t", s->source->steers));
    } else {
        orch__stage_end(t, s->stage, state, note);
    }
    tools_over(t);
}

static void finding_ready(void *arg, const struct orch_ready *ready)
{
    struct finding *f = arg;
    struct orch_tool_step *s = f->step;
    struct trace *t = s->trace;
    t->writes--;
    if (ready->error.code != ERR_OK) {
        if (t->phase == TRACE_TOOLS)
            orch__fail(t, &ready->error);
    } else {
        char *actor = xasprintf("tool:%s/%s", s->connector, s->tool);
        struct orch_edges from = {.count = 0};
        orch__edge(&from, s->call_entry, "call", -1);
        int64_t entry = orch__log_ready(t, "tool.result", actor, &from, ready);
        free(actor);
        if (!s->ended) /* else it was stopped meanwhile */
            step_over(f, entry);
    }
    finding_free(f);
    orch__settle(t);
}

/* No source has more than a small part of it: the rest need not be held, nor read for secrets. */
static char *enough(const char *text)
{
    enum { SEEN = 4 * ORCH_SOURCE_BYTES };
    return strlen(text) <= SEEN ? xstrdup(text) : xasprintf("%.*s", (int)SEEN, text);
}

static void on_result(void *arg, const struct conn_result *r)
{
    struct orch_tool_step *s = arg;
    struct trace *t = s->trace;
    struct finding *f = xcalloc(1, sizeof *f);
    s->call = NULL;
    f->step = s;
    f->answered = r->error.code == ERR_OK;
    f->ok = f->answered && !r->is_error;
    f->text = enough(r->text);
    f->bytes = r->text_bytes;
    f->said = f->answered ? orch__findings_in(t->lang, r->data) : NULL;
    f->data = json_incref((json_t *)r->data);
    f->why = f->answered ? NULL : xstrdup(err_words(&r->error));
    f->instead =
        r->taken_over_by ? xasprintf("answered by %s, its alternative", r->taken_over_by) : NULL;
    json_t *payload = json_object();
    json_puts(payload, "connector", s->connector);
    json_puts(payload, "tool", s->tool);
    json_puti(payload, "call", s->call_entry);
    json_put(payload, "ok", json_boolean(f->ok));
    json_puti(payload, "elapsed_us", r->elapsed_us);
    if (s->recording)
        json_put(payload, "recorded", json_true());
    if (r->taken_over_by)
        json_puts(payload, "taken_over_by", r->taken_over_by);
    if (f->answered)
        orch_put_result(payload, "content", r);
    else
        json_puts(payload, "error", f->why);
    t->writes++;
    orch_prepare(t->orch, payload, NULL, finding_ready, f);
}

static void on_call_logged(void *arg, int64_t seq, const struct error *e)
{
    struct orch_tool_step *s = arg;
    struct trace *t = s->trace;
    t->writes--;
    if (t->phase != TRACE_TOOLS) {
        orch__settle(t);
        return;
    }
    if (e->code != ERR_OK) {
        orch__fail(t, e);
        return;
    }
    (void)seq;
    if (s->recording) {
        orch__recorded_answer(s->recording, on_result, s);
        return;
    }
    struct error why = {0};
    struct conn_call_options options = {
        .limit_ms = (uint64_t)conf_int(t->orch->rooms.conf, "copilot", "", "tool_time_limit_ms"),
        .parent = tel_span_context(t->span)};
    s->call = conn_call(t->orch->rooms.conn, s->connector, s->tool, s->arguments, &options,
                        on_result, s, &why);
    if (!s->call) {
        step_failed(s, err_words(&why));
        tools_over(t);
        orch__settle(t);
    }
}

/* What a step was chosen by: the question, and what was found by then. */
static void step_parents(const struct orch_tool_step *s, struct orch_edges *to)
{
    const struct trace *t = s->trace;
    orch__edge(to, t->question_entry, "plan", s->fit[0] > s->fit[1] ? s->fit[0] : s->fit[1]);
    orch__edge(to, t->recalled, "recall", -1);
    for (size_t i = 0; i < t->tool_count; i++)
        if (t->tools[i].look < s->look && t->tools[i].clue)
            orch__edge(to, t->tools[i].source->entry, "plan", -1);
}

/* The steps from that one on. What the log has of an earlier run is not called. */
static void begin_steps(struct trace *t, size_t first)
{
    for (size_t i = first; i < t->tool_count; i++) {
        struct orch_tool_step *s = &t->tools[i];
        char *label = xasprintf("%s/%s", s->connector, s->tool);
        s->stage = orch__stage_begin(t, "tools", label);
        s->source = orch__source_new(t, "tool", label);
        if (s->source) {
            s->source->fit[0] = s->fit[0];
            s->source->fit[1] = s->fit[1];
        }
        if (s->source && orch__recall_step(s))
            continue;
        json_t *payload = json_object();
        json_puts(payload, "connector", s->connector);
        json_puts(payload, "tool", s->tool);
        json_put(payload, "arguments", json_incref(s->arguments));
        char why[96];
        snprintf(why, sizeof why, "%sfit lexical %.2f, vector %.2f",
                 s->look ? "by what was found; " : "", s->fit[0] < 0 ? 0 : s->fit[0],
                 s->fit[1] < 0 ? 0 : s->fit[1]);
        json_puts(payload, "why", why);
        if (s->recording)
            json_put(payload, "recorded", json_true());
        struct orch_edges from = {.count = 0};
        step_parents(s, &from);
        t->writes++;
        s->call_entry =
            orch__log(t, "tool.call", t->actor, &from, payload, on_call_logged, s, NULL, NULL);
    }
}

void orch__tools_cancel(struct trace *t)
{
    orch__embed_cancel(&t->vector);
    for (size_t i = 0; i < t->tool_count; i++) {
        struct orch_tool_step *s = &t->tools[i];
        if (s->call)
            conn_cancel(s->call);
        s->call = NULL;
        if (!s->ended)
            step_failed(s, "stopped");
    }
}

static void describe_search(struct trace *t)
{
    for (size_t i = 0; i < t->tool_count; i++)
        buf_addf(&t->looked_at, "%s%s/%s", i ? ", " : "", t->tools[i].connector, t->tools[i].tool);
    if (t->tool_count)
        buf_adds(&t->looked_at, "; ");
    size_t n = know_documents(orch__know(t));
    if (strcmp(t->lang, "ru") == 0)
        buf_addf(&t->looked_at, "инструкции (%zu)", n);
    else
        buf_addf(&t->looked_at, "%zu runbooks", n);
}

/* Connectors that could not be asked: an answer without them says so in its trace. */
static json_t *without_absent(struct trace *t, json_t *note)
{
    struct buf absent = {0};
    json_t *rows = conn_list(t->orch->rooms.conn), *row;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        const char *state = json_str(row, "state", "");
        if (strcmp(state, "starting") != 0 && strcmp(state, "fail") != 0)
            continue;
        buf_addf(&absent, "%s%s (%s)", absent.len ? ", " : "", json_str(row, "name", ""), state);
    }
    json_decref(rows);
    if (absent.len)
        note = say(note, SAY_WITHOUT, "s", absent.data);
    buf_release(&absent);
    return note;
}

/* "Why?", "а сейчас?": a question of small words only is about the one before it, unless it asks
 * what can be asked. */
static void follow_up(struct trace *t)
{
    char *stems = know_stems(t->asked);
    bool letters = false;
    for (const char *p = t->asked; *p; p++)
        letters = letters || isalpha((unsigned char)*p) || (*p & 0x80);
    bool refers =
        !*stems && letters && !strcasestr(t->asked, "help") && !strcasestr(t->asked, "you");
    free(stems);
    json_t *turns = refers ? orch__earlier(t) : NULL;
    size_t n = json_array_size(turns);
    const char *before = n ? json_str(json_array_get(turns, n - 1), "question", "") : "";
    if (*before && strlen(before) + strlen(t->asked) < ORCH_MAX_QUESTION) {
        char *whole = xasprintf("%s %s", t->asked, before);
        t->recalled = orch__turn_entry(t, json_array_get(turns, n - 1), "question");
        free(t->asked);
        t->asked = whole;
    }
    json_decref(turns);
}

static void on_question_vector(struct orch_embed *m)
{
    struct trace *t = m->trace;
    struct search s = {.way = KNOW_VECTOR, .query = t->asked, .by = m};
    const char *why = m->failure;
    if (t->phase != TRACE_TOOLS)
        return;
    if (!why)
        s.dense = orch__passages(t->orch, &why);
    if (s.dense && know_dense_length(s.dense) != m->dimensions) {
        s.dense = NULL;
        why = "the question's vector is of another length than the passages'";
    }
    retrieve(t, &s, why);
    tools_over(t);
}

/* By words at once; by vectors too, unless a model is to make the question's. */
static void search_runbooks(struct trace *t)
{
    const char *why = NULL, *asked = t->asked;
    retrieve(t, &(struct search){.way = KNOW_LEXICAL, .query = asked}, NULL);
    if (!t->know && orch__passages(t->orch, &why)) {
        t->vector.trace = t;
        t->vector.then = on_question_vector;
        orch__embed_texts(&t->vector, &asked, 1, 0);
    } else {
        retrieve(t, &(struct search){.way = KNOW_VECTOR, .query = asked}, why);
        tools_over(t);
    }
}

void orch__plan(struct trace *t)
{
    size_t stage = orch__stage_begin(t, "plan", "choose tools");
    struct buf read_as = {0};
    orch__untrusted(t, "question", "", t->question, t->question_entry, NULL);
    char *corrected = know_correct(t->orch->rooms.know, t->question, &read_as);
    t->asked = corrected ? corrected : xstrdup(t->question);
    follow_up(t);
    orch__look(t);
    orch__wish(t);
    describe_search(t);
    json_t *note =
        t->tool_count == 1 ? say(NULL, SAY_TOOL, "") : say(NULL, SAY_TOOLS, "n", t->tool_count);
    if (corrected)
        note = say(note, SAY_READ_AS, "s", read_as.data);
    buf_release(&read_as);
    if (!t->recorded)
        note = without_absent(t, note);
    orch__stage_ends(t, stage, "done", note);
    t->phase = TRACE_TOOLS;
    begin_steps(t, 0);
    search_runbooks(t);
}
