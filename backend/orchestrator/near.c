/* Vectors of the answers that are compared, where a model of [knowledge] embedding makes them: they
 * are asked for before the comparison, which waits for them no longer than embedding_ms. A model
 * that has not given the vectors of the runbooks is not asked. */
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 8192 }; /* of a text that is sent */

static char *head_of(char *text)
{
    size_t len = strnlen(text, HEAD_BYTES);
    while (text[len] && len && ((unsigned char)text[len] & 0xC0) == 0x80)
        len--; /* not within a character */
    text[len] = '\0';
    if (len)
        return text;
    free(text);
    return xstrdup("-"); /* it cites nothing; APIs take no empty text */
}

static void on_vectors(struct orch_embed *m)
{
    struct trace *t = m->trace;
    struct orch_node *n = m->arg;
    if (t->phase != TRACE_MODELS || n->state != NODE_RUNNING)
        return;
    if (n->as->kind == FLOW_COMPARE)
        orch__compare_now(n);
    else if (n->as->kind == FLOW_CRITIQUE)
        orch__critiques_conclude(t);
    orch__engine_step(t); /* a vote counts there */
    orch__settle(t);
}

bool orch__near_ask(struct orch_node *n)
{
    struct trace *t = n->trace;
    struct gw_source sources[ORCH_SOURCES];
    char *texts[ORCH_EMBED_TEXTS];
    size_t count = t->compared_count, given = orch__given_sources(t, sources);
    const char *why;
    if (count < 2 || t->late || !orch__passages(t->orch, &why))
        return false; /* no model is named, or its passages' vectors have not come yet */
    BUG_IF(2 * count > ORCH_EMBED_TEXTS);
    for (size_t i = 0; i < count; i++) {
        const char *answer = t->compared[i]->text.data;
        texts[i] = head_of(orch_compared(answer));
        texts[count + i] = head_of(orch_cited(answer, sources, given));
    }
    orch__embed_release(&t->near);
    t->near_node = n;
    t->near_count = count;
    memcpy(t->near_of, t->compared, count * sizeof *t->near_of);
    t->near = (struct orch_embed){.trace = t, .then = on_vectors, .arg = n};
    orch__embed_texts(&t->near, (const char *const *)texts, 2 * count, 0);
    for (size_t i = 0; i < 2 * count; i++)
        free(texts[i]);
    return true;
}

void orch__near_give_up(struct trace *t)
{
    struct orch_node *n = t->near.arg;
    if (!t->near.under_way)
        return;
    orch__embed_cancel(&t->near);
    if (n->as->kind == FLOW_COMPARE)
        orch__compare_now(n);
}

bool orch__near_asked(const struct orch_node *n, size_t count)
{
    return n->trace->near_node == n && n->trace->near_count == count;
}

bool orch__near_take(const struct trace *t, struct orch_candidate *const *of, size_t count,
                     struct orch_near *out)
{
    if (!t->near.vectors || t->near.count != 2 * t->near_count || !count)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < t->near_count && t->near_of[at] != of[i])
            at++;
        if (at == t->near_count)
            return false;
        out->answers[i] = t->near.vectors + at * t->near.dimensions;
        out->grounds[i] = t->near.vectors + (t->near_count + at) * t->near.dimensions;
    }
    out->vectors = (struct orch_vectors){out->answers, out->grounds, t->near.dimensions};
    return true;
}
