/* A try and its token budget: what its answer may take, and where it ends when it would take more.
 *
 * The limit that the provider is asked for is what the input leaves; a provider that does not obey,
 * or counts otherwise, is stopped here: at the end of a sentence shortly before the limit, else
 * before the piece that would go beyond it. */
#include "backend/gateway/count.h"
#include <string.h>

enum { LEAST_ANSWER = 16, TAIL = 48, TAIL_SHARE = 4 };

int64_t gw__budget_of(const struct gw__model *m, const struct gw_request *r)
{
    int64_t own = m->pub.token_budget;
    return r->token_budget > 0 && r->token_budget < own ? r->token_budget : own;
}

enum err gw__budget_begin(struct gw__try *t, struct error *e)
{
    t->room = -1;
    if (t->m->pub.builtin || !t->r->message_count)
        return ERR_OK;
    int64_t budget = gw__budget_of(t->m, t->r);
    double input = (double)gw__input_estimate(t->m, t->r) * (1 + gw__count_error(t->m));
    t->room = budget - (int64_t)input;
    if (t->room < LEAST_ANSWER)
        return err_set(e, ERR_TOO_BIG,
                       "%s: the question with its instructions and sources takes about %lld of the "
                       "%lld tokens that a request may take, so no answer has room; ask in fewer "
                       "words, or raise token_budget of this model",
                       t->m->pub.name, (long long)input, (long long)budget);
    if (t->max_output <= 0 || t->room < t->max_output)
        t->max_output = t->room;
    return ERR_OK;
}

/* Counts what came up to the last blank once; the rest anew each time. */
static double tally(const struct gw__model *m, struct gw__tally *so_far, const struct buf *text)
{
    size_t cut = text->len;
    while (cut > so_far->counted && text->data[cut - 1] != ' ' && text->data[cut - 1] != '\n')
        cut--;
    if (cut > so_far->counted) {
        so_far->tokens += gw__count_text(m, text->data + so_far->counted, cut - so_far->counted);
        so_far->counted = cut;
    }
    return so_far->tokens + gw__count_text(m, text->data + cut, text->len - cut);
}

static bool ends_sentence(const struct buf *text)
{
    static const char *const ends[] = {".", "!", "?", "\n", ". ", "! ", "? ", "…", "。"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t len = strlen(ends[i]);
        if (text->len > len && memcmp(text->data + text->len - len, ends[i], len) == 0)
            return true;
    }
    return false;
}

bool gw__budget_over(struct gw__try *t)
{
    /* a token is a byte at least */
    if (t->room < 0 || t->text.len + t->reasoning.len + TAIL < (size_t)t->room)
        return false;
    double said = (double)t->hidden_tokens;
    if (t->text.len)
        said += tally(t->m, &t->text_tally, &t->text);
    if (t->reasoning.len)
        said += tally(t->m, &t->reasoning_tally, &t->reasoning);
    double room = (double)t->room, tail = room / TAIL_SHARE < TAIL ? room / TAIL_SHARE : TAIL;
    double next = said - t->said < tail ? said - t->said : tail; /* what comes is as long again */
    t->said = said;
    t->over_budget = said + next > room || (said >= room - tail && ends_sentence(&t->text));
    return t->over_budget;
}
