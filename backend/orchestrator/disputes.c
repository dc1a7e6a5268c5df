/* Answers against each other and against sources, claim by claim. */
#include "backend/orchestrator/disputes.h"
#include "backend/orchestrator/arbitrate.h"
#include <stdlib.h>
#include <string.h>

enum {
    MOST_DISPUTED = 8,
    MOST_CLAIMS = 96, /* of all comparisons together */
    CLAIM_BYTES = 400 /* of a claim in the trace */
};
/* From here on a contradiction is acted on (claims.h); so much of a claim a source has to have. */
static const double SURE = 0.7, SUPPORTS = 0.6;

struct orch_reading {
    struct claims_reader *reader, *own;
    const struct know *know;
    const struct orch_answer *answers;
    struct claims **said; /* by answer */
    size_t answer_count;
    const struct gw_source *sources;
    struct claims **read; /* by source, NULL: not yet */
    size_t source_count;
};

struct orch_reading *orch_reading_new(struct claims_reader *reader, const struct know *k,
                                      const struct orch_answer *answers, size_t n,
                                      const struct gw_source *sources, size_t source_count)
{
    struct orch_reading *r = xcalloc(1, sizeof *r);
    r->own = reader ? NULL : claims_reader_new();
    r->reader = reader ? reader : r->own;
    r->know = k;
    r->answers = answers;
    r->answer_count = n;
    r->sources = sources;
    r->source_count = source_count;
    r->said = xcalloc(n + 1, sizeof *r->said);
    for (size_t i = 0; i < n; i++)
        r->said[i] = claims_read(r->reader, answers[i].text, strlen(answers[i].text));
    r->read = xcalloc(source_count + 1, sizeof *r->read);
    return r;
}

void orch_reading_free(struct orch_reading *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->answer_count; i++)
        claims_free(r->said[i]);
    for (size_t i = 0; i < r->source_count; i++)
        claims_free(r->read[i]);
    free(r->said);
    free(r->read);
    claims_reader_free(r->own);
    free(r);
}

/* A source's claims, read when they are asked for. */
static const struct claims *source_claims(const struct orch_reading *r, size_t i)
{
    if (!r->read[i])
        r->read[i] = claims_read(r->reader, r->sources[i].text, strlen(r->sources[i].text));
    return r->read[i];
}

static bool is_tool(const struct gw_source *s)
{
    return strcmp(s->kind, "tool") == 0;
}

static bool cites_any(const struct orch_reading *r, const struct claims *c, size_t i)
{
    for (size_t s = 0; s < r->source_count; s++)
        if (claims_cites(c, i, r->sources[s].id))
            return true;
    return false;
}

/* Whether a tool's result says otherwise, and none says the same. */
static bool refuted(const struct orch_reading *r, const struct claims *c, size_t i,
                    char why[CLAIMS_WHY])
{
    bool cites = cites_any(r, c, i), against = false;
    for (size_t s = 0; s < r->source_count; s++) {
        struct claims_support x;
        if (!is_tool(&r->sources[s]) || (cites && !claims_cites(c, i, r->sources[s].id)))
            continue;
        claims_support(c, i, source_claims(r, s), &x);
        if (x.covered >= SUPPORTS && x.met == x.numbers && !x.contradicted)
            return false;
        if (x.contradicted && !against) {
            against = true;
            memcpy(why, x.why, CLAIMS_WHY);
        }
    }
    return against;
}

size_t orch_reading_refuted(const struct orch_reading *r, size_t answer, size_t *claims,
                            char why[CLAIMS_WHY])
{
    const struct claims *c = r->said[answer];
    size_t found = 0;
    *claims = 0;
    why[0] = 0;
    for (size_t i = 0; i < claims_count(c); i++) {
        char words[CLAIMS_WHY];
        ++*claims;
        if (!refuted(r, c, i, words))
            continue;
        if (!found++)
            memcpy(why, words, sizeof words);
    }
    return found;
}

bool orch_reading_number(const struct orch_reading *r, size_t source, const char *sentence,
                         size_t len)
{
    struct claims *c = claims_read(r->reader, sentence, len);
    bool met = claims_count(c) > 0;
    for (size_t i = 0; i < claims_count(c) && met; i++) {
        struct claims_support x;
        claims_support(c, i, source_claims(r, source), &x);
        met = x.met == x.numbers;
    }
    claims_free(c);
    return met;
}

/* Whether the source that a claim cites says it: a tool's, for what is to settle a dispute. */
static bool supported(const struct orch_reading *r, const struct claims *c, size_t i, bool by_tool)
{
    for (size_t s = 0; s < r->source_count; s++) {
        struct claims_support x;
        if (!claims_cites(c, i, r->sources[s].id) || (by_tool && !is_tool(&r->sources[s])))
            continue;
        claims_support(c, i, source_claims(r, s), &x);
        if (x.met == x.numbers && !x.contradicted && (x.numbers || x.covered >= SUPPORTS))
            return true;
    }
    return false;
}

static json_t *claim_json(const struct claims *c, int i)
{
    if (i < 0)
        return json_null();
    size_t len;
    const char *s = claims_text(c, (size_t)i, &len);
    len = len < CLAIM_BYTES ? len : CLAIM_BYTES;
    while (len && ((unsigned char)s[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    return json_text(s, len);
}

static void add_disputed(const struct orch_reading *r, size_t a, size_t b,
                         const struct claims_pair *p, json_t *disputed)
{
    if (json_array_size(disputed) >= MOST_DISPUTED)
        return;
    json_t *x = claim_json(r->said[a], p->a), *y = claim_json(r->said[b], p->b);
    char *text = xasprintf("%s: %s / %s: %s", r->answers[a].model, json_string_value(x),
                           r->answers[b].model, json_string_value(y));
    json_array_append_new(disputed, json_text(text, strlen(text)));
    free(text);
    json_decref(x);
    json_decref(y);
}

void orch_reading_compare(const struct orch_reading *r, size_t a, size_t b, json_t *claims,
                          json_t *disputed)
{
    struct claims_result result;
    const struct claims *x = r->said[a], *y = r->said[b];
    claims_compare(r->know, x, y, &result);
    for (size_t i = 0; i < result.count && json_array_size(claims) < MOST_CLAIMS; i++) {
        struct claims_pair *p = &result.pairs[i];
        const char *settled = "";
        if (p->verdict == CLAIMS_CONTRADICTS) {
            size_t ia = (size_t)p->a, ib = (size_t)p->b;
            bool both = supported(r, x, ia, false) && supported(r, y, ib, false);
            bool first = !both && supported(r, x, ia, true);
            bool second = !both && !first && supported(r, y, ib, true);
            settled = first ? "a" : second ? "b" : "";
            if (both)
                p->verdict = CLAIMS_UNDETERMINED, p->why[0] = 0;
            else if (p->score >= SURE)
                add_disputed(r, a, b, p, disputed);
        }
        json_t *pair = json_object(), *models = json_array();
        json_array_append_new(models, json_string(r->answers[a].model));
        json_array_append_new(models, json_string(r->answers[b].model));
        json_put(pair, "models", models);
        json_put(pair, "a", claim_json(x, p->a));
        json_put(pair, "b", claim_json(y, p->b));
        json_puts(pair, "verdict", claims_verdict_names[p->verdict]);
        json_put(pair, "score", json_real(p->score));
        json_put(pair, "why", json_text(p->why, strlen(p->why)));
        json_puts(pair, "settled", settled);
        json_array_append_new(claims, pair);
    }
    claims_result_release(&result);
}
