/* What says otherwise than a sentence that sources support: other sources, other sentences of the
 * answer, other models. */
#include "backend/orchestrator/grounding_internal.h"
#include <stdlib.h>
#include <string.h>

/* From here on a contradiction is acted on (claims.h). */
static const double SURE = 0.7;
enum { MOST_CONFLICTS = 32 };

/* Claims that contradict each other: where they stand. */
struct clash {
    size_t claim, against;
    char why[CLAIMS_WHY];
};

static bool of_one_thing(const struct claims *c, size_t i, const struct claims *d, size_t j,
                         const char *why)
{
    size_t a, b;
    const char *x = claims_text(c, i, &a), *y = claims_text(d, j, &b);
    return claims_about_one(c, i, d, j, why) && !claims_rows(c, i, d, j) &&
           !orch_words_apart(x, a, y, b);
}

static bool clashes(const struct claims *c, const struct claims *d, struct clash *out)
{
    for (size_t i = 0; i < claims_count(c); i++) {
        struct claims_support x;
        if (!claims_assessable(c, i))
            continue;
        claims_support(c, i, d, &x);
        if (!x.contradicted || claims_apart(c, i, d, x.against, x.why) ||
            claims_fluctuates(c, i, d, x.against, x.why) ||
            !of_one_thing(c, i, d, x.against, x.why))
            continue;
        *out = (struct clash){.claim = i, .against = x.against};
        memcpy(out->why, x.why, sizeof out->why);
        return true;
    }
    return false;
}

static bool is_tool(const struct gw_source *s)
{
    return strcmp(s->kind, "tool") == 0;
}

/* Whether only what somebody wrote supports a sentence, or nothing: an instruction, mostly, or what
 * is so in general. It is in conflict with how it is where both name the same thing. */
static bool is_general(const struct grounding *g, const struct grounding__sentence *s)
{
    for (size_t k = 0; k < g->source_count; k++)
        if (s->by & 1U << k && is_tool(&g->sources[k]))
            return false;
    return true;
}

static bool is_command(const struct grounding__sentence *s)
{
    return memchr(s->at, '`', s->len) != NULL;
}

static const char *about(const struct grounding *g, size_t k)
{
    return g->about ? g->about[k] : NULL;
}

/* Whether all sources of a set are of other things than source k. */
static bool all_apart(const struct grounding *g, uint32_t set, size_t k)
{
    for (size_t i = 0; i < g->source_count; i++)
        if (set & 1U << i &&
            !orch_sources_apart(&g->sources[i], about(g, i), &g->sources[k], about(g, k)))
            return false;
    return set != 0;
}

/* How source k stands to the best of a set. */
static enum orch_stands stands_to(const struct grounding *g, uint32_t set, size_t k)
{
    enum orch_stands best = ORCH_FIRST_MEASURED;
    bool any = false;
    for (size_t i = 0; i < g->source_count; i++) {
        if (!(set & 1U << i))
            continue;
        enum orch_stands one = orch_stands(&g->standing[k], &g->standing[i]);
        if (one == ORCH_SECOND || !any || (one == ORCH_OPEN && best != ORCH_SECOND))
            best = one;
        any = true;
    }
    return best;
}

static void add_conflict(struct grounding *g, const struct grounding__sentence *s, int source,
                         const char *model, const char *with, size_t with_len, const char *why,
                         const char *stands, bool told)
{
    json_t *one = json_object();
    if (json_array_size(g->conflicts) >= MOST_CONFLICTS) {
        json_decref(one);
        return;
    }
    json_put(one, "text", grounding__head(s->at, s->len));
    json_put(one, "sources", grounding__ids(g, s->by));
    json_puts(one, "against", source < 0 ? "" : g->sources[source].id);
    json_puts(one, "model", model ? model : "");
    json_put(one, "with", grounding__head(with, with_len));
    json_put(one, "why", json_text(why, strlen(why)));
    json_puts(one, "stands", stands);
    json_put(one, "told", json_boolean(told));
    json_array_append_new(g->conflicts, one);
}

static bool elsewhere(const struct grounding *g, const struct grounding__sentence *s, size_t k)
{
    struct clash x;
    for (size_t j = 0; j < g->count; j++)
        if (g->sentences[j].by & 1U << k && &g->sentences[j] != s &&
            clashes(s->claims, g->sentences[j].claims, &x))
            return true;
    return false;
}

/* Source k says otherwise than a sentence that others support. */
static void against_source(struct grounding *g, struct grounding__sentence *s, size_t k,
                           const struct clash *x, bool tell)
{
    enum orch_stands stands = stands_to(g, s->by, k);
    size_t len;
    const char *with = claims_text(g->read[k], x->against, &len);
    bool here = stands == ORCH_SECOND;
    add_conflict(g, s, (int)k, NULL, with, len, x->why,
                 here                  ? "here"
                 : stands == ORCH_OPEN ? ""
                                       : "there",
                 tell && !here);
    if (here || (s->told && (s->mark != ORCH_MARK_OPEN || stands == ORCH_OPEN)))
        return;
    s->told = tell;
    s->mark = stands == ORCH_OPEN          ? ORCH_MARK_OPEN
              : stands == ORCH_FIRST_NEWER ? ORCH_MARK_NEWER
                                           : ORCH_MARK_MEASURED;
    s->source = (int)k;
    s->quote = with;
    s->quote_len = len;
    s->elsewhere = elsewhere(g, s, k);
}

static void against_sources(struct grounding *g, struct grounding__sentence *s, bool tell)
{
    bool general = is_general(g, s);
    if (general && is_command(s))
        return;
    for (size_t k = 0; k < g->source_count; k++) {
        struct clash x;
        if (s->by & 1U << k || !is_tool(&g->sources[k]) || !clashes(s->claims, g->read[k], &x))
            continue;
        if ((general || all_apart(g, s->by, k)) &&
            !claims_share_name(s->claims, x.claim, g->read[k], x.against))
            continue;
        against_source(g, s, k, &x, tell);
    }
}

/* Both ways: what one of them leaves out is no contradiction of the other. */
static bool two_clash(const struct grounding *g, size_t i, size_t j, struct clash *x)
{
    const struct grounding__sentence *a = &g->sentences[i], *b = &g->sentences[j];
    if (a->by & b->by || !clashes(a->claims, b->claims, x))
        return false;
    bool general = is_general(g, a) != is_general(g, b);
    if ((general && !claims_share_name(a->claims, x->claim, b->claims, x->against)) ||
        (is_general(g, a) && is_command(a)) || (is_general(g, b) && is_command(b)))
        return false;
    bool there = !a->by || !b->by; /* where each stands in a source: those have to clash */
    for (size_t k = 0; k < g->source_count; k++) {
        struct clash y;
        if (!(b->by & 1U << k))
            continue;
        if (all_apart(g, a->by, k) &&
            !claims_share_name(a->claims, x->claim, b->claims, x->against))
            return false;
        there = there || clashes(a->claims, g->read[k], &y);
    }
    return there;
}

size_t grounding__against_itself(const struct grounding *g)
{
    size_t found = 0;
    for (size_t j = 1; j < g->count; j++) {
        bool against = false;
        for (size_t i = 0; i < j && !against && !g->sentences[j].marked; i++) {
            struct clash x;
            against = !g->sentences[i].marked && two_clash(g, i, j, &x);
        }
        found += against;
    }
    return found;
}

/* What no source decides: the one that has none is told of, or the later one. */
static void against_itself(struct grounding *g, bool tell)
{
    for (size_t j = 1; j < g->count; j++) {
        for (size_t i = 0; i < j; i++) {
            struct grounding__sentence *a = &g->sentences[i], *b = &g->sentences[j];
            struct clash x;
            if (a->marked || b->marked || a->source >= 0 || b->source >= 0 ||
                !two_clash(g, i, j, &x))
                continue;
            struct grounding__sentence *s = b->by && !a->by ? a : b, *other = s == a ? b : a;
            add_conflict(g, s, -1, NULL, other->at, other->len, x.why, "", tell);
            s->told = tell;
            s->mark = ORCH_MARK_OPEN;
            s->other = (int)(s == a ? j : i);
            s->quote = claims_text(other->claims, s == a ? x.against : x.claim, &s->quote_len);
        }
    }
}

/* Contradictions of another model that no source settles. */
static void against_models(struct grounding *g, const json_t *claims, bool tell)
{
    size_t n;
    json_t *pair;
    json_array_foreach((json_t *)claims, n, pair)
    {
        const char *a = json_str(pair, "a", ""), *b = json_str(pair, "b", "");
        const json_t *models = json_object_get(pair, "models"), *who = json_array_get(models, 1);
        if (strcmp(json_str(pair, "verdict", ""), "contradicts") != 0 || !*a || strcmp(a, b) == 0 ||
            json_num(pair, "score", 0) < SURE || *json_str(pair, "settled", ""))
            continue;
        for (size_t i = 0; i < g->count; i++) {
            struct grounding__sentence *s = &g->sentences[i];
            if (s->marked || s->source >= 0 || s->other >= 0 || s->model ||
                !memmem(s->at, s->len, a, strlen(a)))
                continue;
            s->model = json_is_string(who) ? json_string_value(who) : "";
            add_conflict(g, s, -1, s->model, b, strlen(b), json_str(pair, "why", ""), "", tell);
            s->told = tell;
            s->mark = ORCH_MARK_OPEN;
            s->quote = b;
            s->quote_len = strlen(b);
            break;
        }
    }
}

void grounding__conflicts(struct grounding *g, const struct orch_ground_how *how)
{
    for (size_t i = 0; i < g->count; i++) {
        struct grounding__sentence *s = &g->sentences[i];
        if (s->state == GROUNDING__CONTRADICTED && !s->marked) {
            s->told = how->unsupported != ORCH_NOTE;
            s->mark = ORCH_MARK_REFUTED;
        } else if (s->by && !s->marked) {
            against_sources(g, s, how->conflicts);
        }
    }
    against_itself(g, how->conflicts);
    against_models(g, how->claims, how->conflicts);
}
