/* Slips of the keyboard: a word that nothing here knows, one or two letters from a word of
 * operations work, is read as that word. */
#include "backend/base/text.h"
#include "backend/knowledge/internal.h"
#include <stdlib.h>
#include <string.h>

enum { LETTERS_MAX = 24, SHORT = 4, LONG = 8 };

struct letters {
    uint32_t at[LETTERS_MAX];
    size_t n;
};

/* False if the word is too long, or holds a digit. */
static bool spell(const char *word, size_t len, struct letters *out)
{
    out->n = 0;
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        i += text_decode(word + i, len - i, &cp);
        if (out->n == LETTERS_MAX || (cp >= '0' && cp <= '9') || cp == '.')
            return false;
        out->at[out->n++] = cp;
    }
    return true;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
static unsigned distance(const struct letters *a, const struct letters *b)
{
    unsigned d[LETTERS_MAX + 1][LETTERS_MAX + 1];
    for (size_t i = 0; i <= a->n; i++) {
        for (size_t j = 0; j <= b->n; j++) {
            if (!i || !j) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (a->at[i - 1] != b->at[j - 1]));
            if (i > 1 && j > 1 && a->at[i - 1] == b->at[j - 2] && a->at[i - 2] == b->at[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[a->n][b->n];
}

struct correcting {
    const struct know *k;
    struct know__stemmer stemmer;
    struct buf *text, *notes;
    bool changed;
};

struct nearest {
    struct letters word;
    unsigned most; /* letters that may differ */
    char best[KNOW__WORD_MAX * 4];
};

static void try_word(void *arg, const char *word, size_t len, enum know__script script)
{
    (void)script;
    struct nearest *n = arg;
    struct letters other;
    if (n->most == 0 || len >= sizeof n->best || !spell(word, len, &other) || !other.n)
        return;
    bool swap = other.n == n->word.n;
    if ((n->word.n <= SHORT && !swap) || other.at[0] != n->word.at[0])
        return;
    unsigned d = distance(&n->word, &other);
    /* with four letters only a swap is plain: one other letter makes another word */
    if (n->word.n <= SHORT && (d != 1 || memcmp(other.at, n->word.at, sizeof *other.at) != 0 ||
                               other.at[1] == n->word.at[1] || other.at[2] == n->word.at[2]))
        return;
    if (d > 0 && d <= n->most) {
        n->most = d - 1; /* only a nearer one is better */
        memcpy(n->best, word, len);
        n->best[len] = '\0';
    }
}

static bool known(struct correcting *c, const char *word, size_t len, enum know__script script)
{
    size_t n;
    if (know__is_stop(word, len))
        return true;
    const char *stem = know__stem(&c->stemmer, word, len, script, &n);
    return know__map_find(&c->k->stems, stem, n) != KNOW__NONE ||
           know__map_find(&c->k->ideas.stems, stem, n) != KNOW__NONE;
}

static void take_word(void *arg, const char *word, size_t len, enum know__script script)
{
    struct correcting *c = arg;
    struct nearest near = {.best = ""};
    if (script != KNOW__OTHER && !known(c, word, len, script) && spell(word, len, &near.word) &&
        near.word.n >= SHORT) {
        near.most = near.word.n >= LONG ? 2 : 1;
        know__each_word(try_word, &near);
    }
    if (c->text->len)
        buf_addc(c->text, ' ');
    if (near.best[0]) {
        buf_adds(c->text, near.best);
        buf_addf(c->notes, "%s%.*s as %s", c->changed ? ", " : "", (int)len, word, near.best);
        c->changed = true;
    } else {
        buf_add(c->text, word, len);
    }
}

char *know_correct(const struct know *k, const char *question, struct buf *notes)
{
    struct buf text = {0};
    struct correcting c = {.k = k, .text = &text, .notes = notes};
    know__stemmer_init(&c.stemmer);
    know__words(question, strlen(question), take_word, &c);
    know__stemmer_release(&c.stemmer);
    if (c.changed)
        return buf_take(&text);
    buf_release(&text);
    return NULL;
}
