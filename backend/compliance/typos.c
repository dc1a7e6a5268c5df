/* Key words that are mistyped, on purpose or not: letters inside the word in another order, one
 * left out, or one doubled; with accents, or digits for letters. The first letter and the last
 * stay, so that "forgot" is not taken for "forget", nor "ignored" for "ignore". */
#include "backend/base/text.h"
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

enum { KEY_LETTERS = 20, TYPED_LEAST = 5, FIRST = 64 };

struct key {
    const char *text; /* borrowed */
    uint32_t letter[KEY_LETTERS];
    size_t count;
    struct key *next;
};

struct pol_typos {
    struct key *by_first[FIRST];
    struct key keys[];
};

/* The letter that an accented one, or a digit in its place, stands for. */
static uint32_t plain(uint32_t cp)
{
    static const char digits[] = "013457", letters[] = "oieast";
    static const char accented[] = "aaaaaaaceeeeiiii nooooo ouuuuy y"; /* from U+00E0 */
    const char *digit = cp < 0x80 && cp ? strchr(digits, (int)cp) : NULL;
    if (digit)
        return (uint32_t)letters[digit - digits];
    return cp >= 0xe0 && cp <= 0xff && accented[cp - 0xe0] != ' ' ? (uint32_t)accented[cp - 0xe0]
                                                                  : cp;
}

static size_t letters_of(const char *word, size_t len, uint32_t *letter)
{
    size_t count = 0;
    for (size_t i = 0; i < len;) {
        if (count == KEY_LETTERS)
            return 0;
        i += text_decode(word + i, len - i, &letter[count]);
        letter[count] = plain(letter[count]);
        count++;
    }
    return count;
}

struct pol_typos *pol__typos_new(const char *const *words, size_t n)
{
    struct pol_typos *t = xcalloc(1, sizeof *t + n * sizeof *t->keys);
    for (size_t i = 0; i < n; i++) {
        struct key *k = &t->keys[i];
        k->text = words[i];
        k->count = letters_of(words[i], strlen(words[i]), k->letter);
        BUG_IF(k->count <= TYPED_LEAST);
        k->next = t->by_first[k->letter[0] % FIRST];
        t->by_first[k->letter[0] % FIRST] = k;
    }
    return t;
}

void pol__typos_free(struct pol_typos *t)
{
    free(t);
}

/* The same letters, in whatever order. */
static bool is_shuffled(const uint32_t *typed, const uint32_t *key, size_t n)
{
    uint32_t used = 0;
    for (size_t i = 0; i < n; i++) {
        size_t j = 0;
        while (j < n && (key[j] != typed[i] || used >> j & 1))
            j++;
        if (j == n)
            return false;
        used |= UINT32_C(1) << j;
    }
    return true;
}

/* Is `longer` the other with one letter more? `doubled`: only one beside its like. */
static bool has_one_more(const uint32_t *longer, const uint32_t *shorter, size_t n, bool doubled)
{
    size_t at = 0;
    while (at < n && longer[at] == shorter[at])
        at++;
    if (at == 0 || (doubled && longer[at] != longer[at - 1]))
        return false;
    return memcmp(longer + at + 1, shorter + at, (n - at) * sizeof *longer) == 0;
}

const char *pol__typos_mend(const struct pol_typos *t, const char *word, size_t len)
{
    uint32_t typed[KEY_LETTERS], first;
    if (len < TYPED_LEAST)
        return NULL;
    text_decode(word, len, &first);
    first = plain(first);
    const struct key *k = t->by_first[first % FIRST];
    size_t n = k ? letters_of(word, len, typed) : 0;
    for (; n >= TYPED_LEAST && k; k = k->next) {
        if (k->letter[0] != first || k->letter[k->count - 1] != typed[n - 1])
            continue;
        if (n == k->count ? is_shuffled(typed, k->letter, n)
            : n + 1 == k->count
                ? has_one_more(k->letter, typed, n, false)
                : n == k->count + 1 && has_one_more(typed, k->letter, k->count, true))
            return k->text;
    }
    return NULL;
}
