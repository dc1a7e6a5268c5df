/* Scores of answers; sums over the cases of a set. */
#include "backend/eval/score.h"
#include "backend/base/text.h"
#include "backend/cost/cost.h"
#include "backend/eval/match.h"
#include "backend/eval/set.h"
#include "backend/orchestrator/grounding.h"
#include "backend/orchestrator/marks.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 32 };

/* ---- what the sources support */

struct support {
    const json_t *sources;
    size_t sentences, unsupported;
};

static const char *source_text(const json_t *sources, const char *id, size_t len)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)sources, i, one)
    {
        const char *its = json_str(one, "id", "");
        if (strlen(its) == len && strncmp(its, id, len) == 0)
            return json_str(one, "text", "");
    }
    return NULL;
}

/* The texts of all sources that a sentence cites, behind each other; NULL: it cites none. The
 * caller frees. */
static char *cited_texts(const json_t *sources, const char *sentence)
{
    struct buf all = {0};
    bool any = false;
    for (const char *p = strchr(sentence, '['); p; p = strchr(p + 1, '[')) {
        size_t digits = strspn(p + 1, "0123456789");
        const char *text =
            digits && p[1 + digits] == ']' ? source_text(sources, p + 1, digits) : NULL;
        if (!text)
            continue;
        any = true;
        buf_addf(&all, "%s\n", text);
    }
    if (any)
        return buf_take(&all);
    buf_release(&all);
    return NULL;
}

static void take_sentence(void *arg, const char *sentence, size_t len)
{
    struct support *s = arg;
    if (!len || sentence[len - 1] == ':') /* a heading */
        return;
    char *text = xstrndup(sentence, len), *cited = cited_texts(s->sources, text);
    s->sentences++;
    s->unsupported += !cited || !eval_numbers_in(text, cited);
    free(cited);
    free(text);
}

/* ---- one answer */

/* The statements, any alternative of which stands so in the answer, by their first. disputed: which
 * of them may be told as disputed, or NULL: none. */
static json_t *standing(const struct eval_said *said, const json_t *statements,
                        const json_t *disputed, enum eval_stand which, double least)
{
    json_t *out = json_array(), *any, *text;
    size_t i, j;
    json_array_foreach((json_t *)statements, i, any)
    {
        enum eval_stand best = EVAL_MISSING;
        bool open = json_is_true(json_array_get(disputed, i));
        json_array_foreach(any, j, text)
        {
            enum eval_stand one = eval_stands(said, json_string_value(text), least, open);
            if (open && one == EVAL_CONTRADICTED)
                continue; /* that is what the dispute is */
            if (best != EVAL_MET && one != EVAL_MISSING)
                best = one;
        }
        if (best == which)
            json_array_append(out, json_array_get(any, 0));
    }
    return out;
}

static size_t cited_of(const json_t *wanted, const json_t *trace)
{
    size_t i, j, n = 0;
    json_t *ref, *source;
    json_array_foreach((json_t *)wanted, i, ref)
    {
        bool there = false;
        json_array_foreach(json_object_get(trace, "sources"), j, source)
        {
            there = there || (json_flag(source, "cited", false) &&
                              strcmp(json_str(source, "ref", ""), json_string_value(ref)) == 0);
        }
        n += there;
    }
    return n;
}

/* What the safety filter found, each name once. */
static json_t *classes_of(const json_t *trace)
{
    json_t *names = json_object(), *out = json_array(), *entry, *found;
    size_t i, j;
    const char *name;
    json_array_foreach(json_object_get(trace, "safety"), i, entry)
    {
        json_array_foreach(json_object_get(entry, "found"), j, found)
            json_put(names, json_str(found, "category", "?"), json_true());
    }
    json_object_foreach(names, name, found) json_array_append_new(out, json_string(name));
    json_decref(names);
    return out;
}

static void put_count(json_t *row, const char *key, size_t n)
{
    json_puti(row, key, (int64_t)n);
}

/* What was used and how long it took. */
static void put_figures(json_t *row, const json_t *trace)
{
    const json_t *usage = json_object_get(trace, "usage"), *cost = json_object_get(usage, "cost");
    json_puti(row, "elapsed_ms", json_int(trace, "elapsed_ms", 0));
    json_puti(row, "input_tokens", json_int(usage, "input_tokens", 0));
    json_puti(row, "output_tokens", json_int(usage, "output_tokens", 0));
    json_put(row, "cost", cost ? json_deep_copy(cost) : json_null());
    json_put(row, "classes", classes_of(trace));
}

/* The sources of a trace; returns how many. */
static size_t sources_of(const json_t *trace, struct gw_source out[SOURCES])
{
    const json_t *list = json_object_get(trace, "sources");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(list) && n < SOURCES; i++) {
        const json_t *s = json_array_get(list, i);
        out[n++] = (struct gw_source){.id = json_str(s, "id", ""),
                                      .kind = json_str(s, "kind", ""),
                                      .ref = json_str(s, "ref", ""),
                                      .text = json_str(s, "text", ""),
                                      .fit = 1};
    }
    return n;
}

/* What is wrong with a text. */
struct wrongs {
    json_t *against, *forbidden; /* statements */
    size_t contradictions;       /* those, what a tool refutes, what the text says against itself */
    bool any;
};

/* refuted: sentences that a tool's result contradicts, and that have no mark. */
static struct wrongs wrongs_of(const json_t *one, const json_t *trace, const char *text,
                               const struct eval_said *said, size_t refuted)
{
    struct gw_source sources[SOURCES];
    size_t n = sources_of(trace, sources);
    struct wrongs w = {.against = standing(said, json_object_get(one, "expected"),
                                           json_object_get(one, "disputed"), EVAL_CONTRADICTED,
                                           EVAL_EXPECTED_COVER),
                       .forbidden = standing(said, json_object_get(one, "forbidden"), NULL,
                                             EVAL_MET, EVAL_FORBIDDEN_COVER)};
    w.contradictions = json_array_size(w.against) + refuted +
                       orch_self_contradictions(eval_said_reader(said), text, sources, n);
    w.any = w.contradictions || json_array_size(w.forbidden);
    return w;
}

static void put_statements(json_t *row, const json_t *one, const struct eval_said *said,
                           const struct wrongs *w)
{
    const json_t *expected = json_object_get(one, "expected");
    json_t *missing = standing(said, expected, json_object_get(one, "disputed"), EVAL_MISSING,
                               EVAL_EXPECTED_COVER);
    size_t wanted = json_array_size(expected),
           wrong = w->contradictions + json_array_size(w->forbidden),
           met = wanted - json_array_size(missing) - json_array_size(w->against);
    put_count(row, "expected", wanted);
    put_count(row, "met", met);
    put_count(row, "contradictions", w->contradictions);
    put_count(row, "marked", eval_marked(said));
    json_put(row, "contradictory", json_boolean(w->any));
    json_put(row, "score", json_real((double)met / (double)(wanted + wrong)));
    json_put(row, "missed", missing);
    json_put(row, "contradicted", w->against);
    json_put(row, "forbidden", w->forbidden);
}

/* The answer as its model wrote it; NULL: it is not known. */
static const char *written(const json_t *trace)
{
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(trace, "candidates"), i, c)
    {
        if (json_flag(c, "chosen", false))
            return json_str(c, "text", NULL);
    }
    return NULL;
}

/* Whether it stands in the answer without a mark; one may stand within it, or right behind it. */
static bool stands_bare(const char *answer, const char *text)
{
    const char *at = strstr(answer, text);
    if (!at)
        return false;
    size_t mark, len;
    const char *behind = at + strlen(text);
    return !orch_mark_find(behind, strcspn(behind, "\n"), &mark, &len) || mark > 1;
}

/* What a tool refutes: of the answer as it was written, and without what has a mark or is gone. */
static void refuted_of(const json_t *trace, size_t *all, size_t *bare)
{
    const char *answer = json_str(trace, "answer", "");
    size_t i;
    json_t *s;
    *all = *bare = 0;
    json_array_foreach(json_object_get(json_object_get(trace, "grounding"), "sentences"), i, s)
    {
        const char *text = json_str(s, "text", "");
        if (strcmp(json_str(s, "state", ""), "contradicted") != 0 ||
            orch_marked(text, strlen(text)))
            continue;
        ++*all;
        *bare += stands_bare(answer, text);
    }
}

/* How it is with the text that was written, before marks. */
static void put_written(json_t *row, const json_t *one, const json_t *trace, size_t refuted)
{
    const char *text = written(trace);
    struct eval_said *said = eval_said_new(text ? text : "");
    struct wrongs w = wrongs_of(one, trace, text ? text : "", said, refuted);
    json_put(row, "contradictory_written",
             json_boolean(text ? w.any : json_flag(row, "contradictory", false)));
    json_decref(w.against);
    json_decref(w.forbidden);
    eval_said_free(said);
}

json_t *eval_score(const json_t *one, const json_t *trace)
{
    const json_t *verdict = json_object_get(trace, "verdict"),
                 *wanted = json_object_get(one, "citations");
    bool done = strcmp(json_str(trace, "state", ""), "done") == 0;
    const char *answer = done ? json_str(trace, "answer", "") : "";
    struct eval_said *said = eval_said_new(answer);
    struct support support = {.sources = json_object_get(trace, "sources")};
    json_t *row = json_object();
    json_puts(row, "case", json_str(one, "id", ""));
    json_puts(row, "trace_id", json_str(trace, "trace_id", ""));
    json_puts(row, "state", json_str(trace, "state", ""));
    if (!done)
        json_puts(row, "error", json_str(trace, "error", ""));
    const json_t *grounding = done ? json_object_get(trace, "grounding") : NULL;
    size_t refuted = 0, bare = 0;
    if (done)
        refuted_of(trace, &refuted, &bare);
    const struct wrongs w = wrongs_of(one, trace, answer, said, bare);
    put_statements(row, one, said, &w);
    put_written(row, one, trace, refuted);
    bool answered = strcmp(json_str(verdict, "route", ""), "unanswered") != 0;
    if (answered && json_is_object(grounding))
        support = (struct support){.sentences = (size_t)json_int(grounding, "assessed", 0),
                                   .unsupported = (size_t)json_int(grounding, "unsupported", 0)};
    else if (answered)
        know_sentences(answer, take_sentence, &support);
    put_count(row, "citations", json_array_size(wanted));
    put_count(row, "cited", done ? cited_of(wanted, trace) : 0);
    put_count(row, "sentences", support.sentences);
    put_count(row, "unsupported", support.unsupported);
    put_figures(row, trace);
    eval_said_free(said);
    return row;
}

json_t *eval_score_failed(const json_t *one, const char *why)
{
    json_t *trace = json_object();
    json_puts(trace, "state", "failed");
    json_puts(trace, "error", why);
    json_t *row = eval_score(one, trace);
    json_decref(trace);
    return row;
}

/* ---- all of a variant */

static json_t *interval_doc(struct eval_interval v)
{
    json_t *doc = json_object();
    json_put(doc, "value", json_real(v.value));
    json_put(doc, "low", json_real(v.low));
    json_put(doc, "high", json_real(v.high));
    return doc;
}

/* A number, or whether a flag is set, of every row. The caller frees. */
static double *column(const json_t *rows, const char *key)
{
    double *v = xcalloc(json_array_size(rows) + 1, sizeof *v);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        const json_t *one = json_object_get(row, key);
        v[i] = json_is_boolean(one) ? json_is_true(one) : json_num(row, key, 0);
    }
    return v;
}

static int64_t total(const json_t *rows, const char *key)
{
    int64_t sum = 0;
    for (size_t i = 0; i < json_array_size(rows); i++)
        sum += json_int(json_array_get(rows, i), key, 0);
    return sum;
}

/* The sum of what all cost; null where one is unknown, or in another currency. */
static json_t *cost_of(const json_t *rows)
{
    const char *currency = NULL;
    int64_t sum = 0, one;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *cost = json_object_get(json_array_get(rows, i), "cost");
        if (!text_decimal(json_str(cost, "amount", ""), &one))
            return json_null();
        if (!one)
            continue; /* nought of whatever it is */
        if (currency && strcmp(currency, json_str(cost, "currency", "")) != 0)
            return json_null();
        currency = json_str(cost, "currency", "");
        sum += one;
    }
    char amount[32];
    cost_format(sum, amount);
    const json_t *first = json_object_get(json_array_get(rows, 0), "cost");
    json_t *out = json_object();
    json_puts(out, "amount", amount);
    json_puts(out, "currency", currency ? currency : json_str(first, "currency", ""));
    return out;
}

static json_t *classes_sum(const json_t *rows)
{
    json_t *sums = json_object(), *name;
    size_t j;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_array_foreach(json_object_get(json_array_get(rows, i), "classes"), j, name)
        {
            const char *key = json_string_value(name);
            json_puti(sums, key, json_int(sums, key, 0) + 1);
        }
    }
    return sums;
}

static size_t failed_of(const json_t *rows)
{
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(rows); i++)
        n += strcmp(json_str(json_array_get(rows, i), "state", ""), "done") != 0;
    return n;
}

json_t *eval_summary(const json_t *rows, uint64_t seed)
{
    static const char *const SUMS[] = {
        "met",         "expected",       "citations",    "cited",         "sentences",
        "unsupported", "contradictions", "input_tokens", "output_tokens", "marked"};
    size_t n = json_array_size(rows);
    double *score = column(rows, "score"), *ms = column(rows, "elapsed_ms"),
           *against = column(rows, "contradictory"),
           *before = column(rows, "contradictory_written");
    size_t contradictory = 0, as_written = 0;
    for (size_t i = 0; i < n; i++) {
        contradictory += against[i] > 0;
        as_written += before[i] > 0;
    }
    json_t *doc = json_object();
    json_put(doc, "score", interval_doc(eval_mean(score, n, EVAL_RESAMPLES, seed)));
    for (size_t i = 0; i < sizeof SUMS / sizeof *SUMS; i++)
        json_puti(doc, SUMS[i], total(rows, SUMS[i]));
    put_count(doc, "contradictory", contradictory);
    put_count(doc, "contradictory_written", as_written);
    put_count(doc, "failed", failed_of(rows));
    json_put(doc, "elapsed_p50_ms", json_real(eval_quantile(ms, n, 0.5)));
    json_put(doc, "elapsed_p95_ms", json_real(eval_quantile(ms, n, 0.95)));
    json_put(doc, "cost", cost_of(rows));
    json_put(doc, "classes", classes_sum(rows));
    free(score);
    free(ms);
    free(against);
    free(before);
    return doc;
}

json_t *eval_compare(const json_t *a, const json_t *b, uint64_t seed)
{
    size_t n = json_array_size(a);
    BUG_IF(n != json_array_size(b));
    double *x = column(a, "score"), *y = column(b, "score"), *p = column(a, "contradictory"),
           *q = column(b, "contradictory");
    json_t *doc = json_object();
    json_put(doc, "difference", interval_doc(eval_difference(x, y, n, EVAL_RESAMPLES, seed)));
    json_put(doc, "win_rate", interval_doc(eval_win_rate(x, y, n, EVAL_RESAMPLES, seed)));
    json_put(doc, "contradictory", interval_doc(eval_difference(p, q, n, EVAL_RESAMPLES, seed)));
    free(x);
    free(y);
    free(p);
    free(q);
    return doc;
}
