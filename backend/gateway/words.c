/* Words, stems, topics, numbers and trigrams of a text, as sets of hashes.
 *
 * The stemmer only strips endings from a short list. It is there to bring the forms of one word
 * together within one answer, and is allowed to be wrong. */
#include "backend/base/hash.h"
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 48, STEM_MIN = 3 };

static const char stop_words[] =
    "a an the is are was were be been am do does did have has had of in on at to from by for with "
    "and or but if then than that this these those it its i me my we our you your he she they what "
    "which who when where why how can could will would should may might must there here as into "
    "about over under any all some much many more most please tell show give now today just right "
    "up out so too very еще ещё и в во на с со у к ко о об от до по за из для при это этот эта эти "
    "этого этой этом как что чего чем кто где когда почему зачем какой какая какие каков сколько "
    "ли же бы а но или если то так там тут здесь я мы вы он она они мой моя наш наша мне нам есть "
    "был была было были сейчас сегодня пожалуйста покажи скажи дай очень уже только";
static const char negations[] = "no not none never without cannot can't isn't aren't doesn't don't "
                                "wasn't не нет ни никогда без нельзя";

static const char *const topics[][2] = {
#define TOPIC(name, words, related) {name " " words, related},
#include "backend/gateway/topics.def"
#undef TOPIC
};
enum { TOPICS = sizeof topics / sizeof *topics };
_Static_assert(sizeof topics / sizeof *topics <= GW__TOPICS_MAX, "a topic is a bit of 32");

/* Longest first: the first ending that leaves enough is stripped. */
static const char *const endings_en[] = {"ness", "ing", "ied", "ies", "ly", "ed",
                                         "es",   "'s",  "s",   "e",   "y"};
static const char *const endings_ru[] = {
    "иями", "ается", "ется", "ются", "ится", "ями", "ами", "иях", "ого", "его", "ому", "ему",
    "ыми",  "ими",   "ях",   "ах",   "ов",   "ев",  "ей",  "ой",  "ый",  "ий",  "ая",  "яя",
    "ое",   "ее",    "ые",   "ие",   "ых",   "их",  "ую",  "юю",  "ом",  "ем",  "ам",  "ям",
    "ет",   "ют",    "ут",   "ит",   "ат",   "ят",  "ть",  "ла",  "ло",  "ли",  "ия",  "ии",
    "а",    "я",     "о",    "е",    "и",    "ы",   "у",   "ю",   "ь",   "й"};

void gw__words_release(struct gw__words *w)
{
    free(w->at);
    *w = (struct gw__words){0};
}

static size_t place(const struct gw__words *w, uint64_t hash)
{
    size_t low = 0, high = w->len;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (w->at[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool gw__words_have(const struct gw__words *w, uint64_t hash)
{
    size_t i = place(w, hash);
    return i < w->len && w->at[i] == hash;
}

static void words_put(struct gw__words *w, uint64_t hash)
{
    size_t i = place(w, hash);
    if (i < w->len && w->at[i] == hash)
        return;
    if (w->len == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 16;
        w->at = xrealloc(w->at, w->cap * sizeof *w->at);
    }
    memmove(w->at + i + 1, w->at + i, (w->len - i) * sizeof *w->at);
    w->at[i] = hash;
    w->len++;
}

size_t gw__words_common(const struct gw__words *a, const struct gw__words *b)
{
    size_t n = 0;
    for (size_t i = 0, j = 0; i < a->len && j < b->len;) {
        if (a->at[i] == b->at[j]) {
            n++;
            i++;
            j++;
        } else if (a->at[i] < b->at[j]) {
            i++;
        } else {
            j++;
        }
    }
    return n;
}

double gw__words_alike(const struct gw__words *a, const struct gw__words *b)
{
    size_t common = gw__words_common(a, b), all = a->len + b->len - common;
    return all ? (double)common / (double)all : 1;
}

/* The lower case of a letter or digit, 0 for anything else. */
static uint32_t letter(uint32_t cp)
{
    if (cp & TEXT_BAD)
        return 0;
    if (cp >= 'A' && cp <= 'Z')
        return cp + 32;
    if ((cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9'))
        return cp;
    if (cp >= 0x410 && cp <= 0x42f)
        return cp + 0x20;
    if (cp == 0x401 || cp == 0x451)
        return 0x435; /* the letter yo is written both ways */
    if (cp < 0xc0 || (cp >= 0x2000 && cp < 0x2c00) || (cp >= 0x3000 && cp < 0x3040) || cp >= 0xfe00)
        return 0;
    return cp;
}

static bool is_cyrillic(const char *word)
{
    return (unsigned char)word[0] == 0xd0 || (unsigned char)word[0] == 0xd1;
}

/* Bytes of the stem of a lower-case word. */
static size_t stem(const char *word, size_t len)
{
    bool ru = is_cyrillic(word);
    const char *const *endings = ru ? endings_ru : endings_en;
    size_t n = ru ? sizeof endings_ru / sizeof *endings_ru : sizeof endings_en / sizeof *endings_en;
    size_t least = ru ? 2 * STEM_MIN : STEM_MIN;
    if (!ru && len > 2 && word[len - 1] == 's' && word[len - 2] == 's')
        return len;
    for (size_t i = 0; i < n; i++) {
        size_t cut = strlen(endings[i]);
        if (len >= least + cut && memcmp(word + len - cut, endings[i], cut) == 0)
            return len - cut;
    }
    return len;
}

typedef void word_fn(void *arg, const char *word, size_t len);

/* Calls fn with each word in lower case. */
static void each_word(const char *text, word_fn *fn, void *arg)
{
    char word[WORD_MAX + 8];
    size_t used = 0, len = strlen(text);
    for (size_t i = 0; i <= len;) {
        uint32_t cp = 0;
        size_t n = text_decode(text + i, len - i, &cp);
        uint32_t low = n ? letter(cp) : 0;
        if (!low && used && cp == '\'' && letter((unsigned char)text[i + 1]))
            low = '\'';
        if (low && used < WORD_MAX)
            used += text_encode(low, word + used);
        if (!low && used) {
            fn(arg, word, used);
            used = 0;
        }
        i += n ? n : 1;
    }
}

struct gather {
    const struct gw__words *stop;
    struct gw__words *out;
};

static void gather(void *arg, const char *word, size_t len)
{
    struct gather *g = arg;
    uint64_t hash = hash_bytes(HASH_START, word, stem(word, len));
    if (!g->stop || !gw__words_have(g->stop, hash))
        words_put(g->out, hash);
}

void gw__lexicon_init(struct gw__lexicon *x)
{
    *x = (struct gw__lexicon){0};
    each_word(stop_words, gather, &(struct gather){NULL, &x->stop});
    each_word(negations, gather, &(struct gather){NULL, &x->negation});
    for (size_t i = 0; i < TOPICS; i++)
        each_word(topics[i][0], gather, &(struct gather){NULL, &x->topic[i]});
}

void gw__lexicon_release(struct gw__lexicon *x)
{
    gw__words_release(&x->stop);
    gw__words_release(&x->negation);
    for (size_t i = 0; i < TOPICS; i++)
        gw__words_release(&x->topic[i]);
}

void gw__words_of(const struct gw__lexicon *x, const char *text, struct gw__words *out)
{
    each_word(text, gather, &(struct gather){&x->stop, out});
}

static uint32_t related_to(const struct gw__lexicon *x, size_t topic)
{
    struct gw__words names = {0};
    each_word(topics[topic][1], gather, &(struct gather){NULL, &names});
    uint32_t bits = 0;
    for (size_t i = 0; names.len && i < TOPICS; i++)
        if (gw__words_common(&names, &x->topic[i]))
            bits |= 1u << i;
    gw__words_release(&names);
    return bits;
}

uint32_t gw__topics_of(const struct gw__lexicon *x, const struct gw__words *w, bool related)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < TOPICS; i++)
        if (gw__words_common(w, &x->topic[i]))
            bits |= 1u << i | (related ? related_to(x, i) : 0);
    return bits;
}

void gw__words_special(const struct gw__lexicon *x, const struct gw__words *w,
                       struct gw__words *out)
{
    for (size_t i = 0; i < w->len; i++)
        if (!gw__words_have(&x->topic[0], w->at[i]))
            words_put(out, w->at[i]);
}

struct count {
    const struct gw__words *set;
    size_t n;
};

static void count(void *arg, const char *word, size_t len)
{
    struct count *c = arg;
    c->n += gw__words_have(c->set, hash_bytes(HASH_START, word, stem(word, len)));
}

size_t gw__negations(const struct gw__lexicon *x, const char *text)
{
    struct count c = {&x->negation, 0};
    each_word(text, count, &c);
    return c.n;
}

static void join(void *arg, const char *word, size_t len)
{
    buf_add(arg, word, len);
    buf_addc(arg, ' ');
}

char *gw__plain_words(const char *text)
{
    struct buf words = {0};
    each_word(text, join, &words);
    return words.len ? buf_take(&words) : xstrdup("");
}

bool gw__same_words(const char *a, const char *b)
{
    struct buf x = {0}, y = {0};
    each_word(a, join, &x);
    each_word(b, join, &y);
    bool same = x.len == y.len && (!x.len || memcmp(x.data, y.data, x.len) == 0);
    buf_release(&x);
    buf_release(&y);
    return same;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

void gw__numbers_of(const char *text, struct gw__words *out)
{
    char number[WORD_MAX];
    for (const char *p = text; *p;) {
        if (!is_digit(*p)) {
            p++;
            continue;
        }
        size_t used = 0;
        for (; is_digit(*p) || ((*p == '.' || *p == ',') && is_digit(p[1])); p++)
            if (used < sizeof number)
                number[used++] = *p == ',' ? '.' : *p;
        words_put(out, hash_bytes(HASH_START, number, used));
    }
}

void gw__trigrams(const char *text, float out[GW__DIM])
{
    memset(out, 0, GW__DIM * sizeof *out);
    uint32_t window[3] = {' ', ' ', ' '};
    size_t len = strlen(text);
    for (size_t i = 0; i <= len;) {
        uint32_t cp = 0;
        size_t n = text_decode(text + i, len - i, &cp);
        uint32_t low = n ? letter(cp) : 0;
        i += n ? n : 1;
        if (!low && window[2] == ' ')
            continue;
        window[0] = window[1];
        window[1] = window[2];
        window[2] = low ? low : ' ';
        if (window[1] == ' ')
            continue; /* a word's first letter alone says nothing */
        uint64_t h = hash_bytes(HASH_START, window, sizeof window);
        out[h % GW__DIM] += h & 1u << 31 ? -1.0f : 1.0f;
    }
    double sum = 0;
    for (size_t i = 0; i < GW__DIM; i++)
        sum += (double)out[i] * (double)out[i];
    for (size_t i = 0; sum > 0 && i < GW__DIM; i++)
        out[i] = (float)((double)out[i] / sqrt(sum));
}

double gw__cosine(const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < GW__DIM; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}
