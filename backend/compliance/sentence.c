/* A text sentence by sentence: where terms stand in it. The matching that the rules of hazards and
 * of prompt injection share (moderate.c, inject.c). */
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

enum { BEHIND = 8 }; /* words that a term of `leads` has at most */

struct walk {
    const struct pol_terms *terms;
    const struct pol_signs *signs;
    struct pol_hit *hit;                    /* of the word that is looked at */
    pol_lists ended[POL_SENTENCE + BEHIND]; /* leads of which a term ends right before the word */
    size_t clause;                          /* of the word from which on it is capitals */
    struct pol_sentence s;
};

static size_t words_in(const char *text, size_t len)
{
    size_t n = 1;
    for (size_t i = 0; i < len; i++)
        n += text[i] == ' ';
    return n;
}

static void found_term(void *arg, size_t list, size_t len)
{
    struct walk *w = arg;
    struct pol_hit *h = w->hit;
    pol_lists one = (pol_lists)1 << list;
    size_t n = words_in(h->text, len);
    h->lists |= one;
    if (len > h->len) {
        h->len = len;
        h->last = h->word + n - 1;
    }
    if ((one & w->signs->leads) && n <= BEHIND)
        w->ended[h->word + n] |= one;
}

static void look_at(struct walk *w, const char *p, size_t word)
{
    struct pol_hit *h = &w->s.hits[w->s.count];
    *h = (struct pol_hit){.word = word, .last = word, .text = p};
    w->hit = h;
    pol__terms_each(w->terms, p, found_term, w);
    unsigned flags = w->s.words ? w->s.words[word].flags : 0;
    w->clause = flags & POL_WORD_SHOUTS ? word : w->clause;
    h->clause = w->clause;
    h->lists |= flags & POL_WORD_QUOTED ? w->signs->quoted : 0;
    h->lists |= flags & POL_WORD_SHOUTS ? w->signs->shouted : 0;
    if (!h->lists)
        return;
    h->len = h->len ? h->len : strcspn(p, " ");
    h->opens = word == 0 || (flags & POL_WORD_OPENS);
    h->behind = w->ended[word];
    w->s.count++;
}

void pol__sentences(const struct pol_terms *terms, const struct pol_words *words,
                    const struct pol_signs *signs, pol_judge *judge, void *arg)
{
    struct walk *w = xcalloc(1, sizeof *w);
    *w = (struct walk){.terms = terms, .signs = signs, .s.words = words->at};
    size_t word = 0;
    for (const char *p = words->text.data ? words->text.data : ""; *p; p++) {
        look_at(w, p, word++);
        p = strchr(p, ' ');
        bool ends = p[1] == '\n';
        if (!ends && word < POL_SENTENCE)
            continue;
        w->s.words_count = word;
        if (w->s.count)
            judge(arg, &w->s);
        memset(w->ended, 0, sizeof w->ended);
        if (w->s.words) /* a filter without looks at words has none */
            w->s.words += word;
        word = w->s.count = w->clause = 0;
        p += ends;
    }
    w->s.words_count = word;
    if (w->s.count)
        judge(arg, &w->s);
    free(w);
}

bool pol__is_near(const struct pol_sentence *s, pol_lists lists, size_t from, size_t to)
{
    for (size_t i = 0; i < s->count && s->hits[i].word <= to; i++)
        if (s->hits[i].word >= from && (s->hits[i].lists & lists))
            return true;
    return false;
}

void pol__say_terms(const struct pol_sentence *s, pol_lists lists, size_t from, size_t to,
                    char what[POL_WHAT])
{
    const struct pol_hit *before = NULL;
    size_t len = 0;
    for (size_t i = from; i <= to && lists; i++) {
        const struct pol_hit *h = &s->hits[i];
        if (!(h->lists & lists))
            continue;
        lists &= ~h->lists;
        if (before && h->word <= before->last && h->last <= before->last)
            continue; /* within the term that was just said */
        const char *gap = !before ? "" : h->word == before->last + 1 ? " " : " ... ";
        if (len + strlen(gap) + h->len + 1 > POL_WHAT)
            break;
        memcpy(what + len, gap, strlen(gap));
        len += strlen(gap);
        memcpy(what + len, h->text, h->len);
        len += h->len;
        before = h;
    }
    what[len] = '\0';
}
