/* Words, stop words and stems of English and Russian text. */
#include "backend/base/text.h"
#include "backend/knowledge/internal.h"
#include <libstemmer.h>
#include <stdlib.h>
#include <string.h>

/* Sorted by bytes, for bsearch. Words that carry no subject; "no" and "not" are among them here and
 * kept by know_stems, where they matter. */
static const char *const stop_words[] = {
    "a",       "about",   "after",     "again",    "all",        "also",       "am",
    "an",      "and",     "another",   "any",      "anybody",    "anyone",     "anything",
    "are",     "aren",    "around",    "as",       "at",         "be",         "because",
    "been",    "before",  "being",     "between",  "both",       "but",        "by",
    "can",     "cannot",  "could",     "couldn",   "d",          "did",        "didn",
    "do",      "does",    "doesn",     "doing",    "don",        "done",       "during",
    "each",    "either",  "every",     "everyone", "everything", "few",        "for",
    "from",    "get",     "gets",      "getting",  "give",       "go",         "goes",
    "going",   "got",     "had",       "has",      "have",       "having",     "he",
    "help",    "her",     "here",      "him",      "his",        "how",        "i",
    "if",      "in",      "into",      "is",       "isn",        "it",         "its",
    "itself",  "just",    "keep",      "keeps",    "know",       "let",        "like",
    "ll",      "m",       "make",      "many",     "may",        "me",         "might",
    "more",    "most",    "much",      "must",     "my",         "need",       "no",
    "nor",     "not",     "now",       "of",       "off",        "on",         "once",
    "one",     "or",      "other",     "our",      "out",        "over",       "own",
    "per",     "please",  "re",        "s",        "same",       "say",        "says",
    "see",     "shall",   "she",       "should",   "shouldn",    "show",       "so",
    "some",    "someone", "something", "still",    "such",       "suddenly",   "t",
    "tell",    "than",    "that",      "the",      "their",      "them",       "then",
    "there",   "these",   "they",      "thing",    "things",     "this",       "those",
    "through", "to",      "too",       "until",    "up",         "us",         "use",
    "very",    "want",    "was",       "wasn",     "we",         "were",       "what",
    "whats",   "when",    "where",     "whether",  "which",      "while",      "who",
    "whom",    "whose",   "why",       "will",     "with",       "without",    "won",
    "would",   "wouldn",  "yes",       "yet",      "you",        "your",       "а",
    "без",     "бы",      "бывает",    "был",      "была",       "были",       "было",
    "быть",    "в",       "вам",       "вами",     "вас",        "ваш",        "вашего",
    "вдруг",   "ведь",    "весь",      "во",       "вот",        "все",        "всего",
    "всем",    "всеми",   "всех",      "вы",       "где",        "да",         "даже",
    "делать",  "для",     "до",        "его",      "ее",         "ей",         "ему",
    "если",    "есть",    "еще",       "ж",        "же",         "за",         "здесь",
    "и",       "из",      "или",       "им",       "их",         "к",          "как",
    "какая",   "какие",   "какого",    "какое",    "какой",      "какому",     "какую",
    "ко",      "когда",   "кого",      "кому",     "которая",    "которое",    "которые",
    "который", "которых", "кто",       "куда",     "ли",         "либо",       "лишь",
    "меня",    "мне",     "много",     "мною",     "может",      "можешь",     "можно",
    "мой",     "моя",     "мы",        "на",       "над",        "надо",       "нам",
    "нами",    "нас",     "наш",       "наша",     "нашего",     "нашей",      "нашем",
    "наши",    "не",      "него",      "нее",      "ней",        "нет",        "ни",
    "ними",    "них",     "но",        "ну",       "нужно",      "о",          "об",
    "один",    "одна",    "он",        "она",      "они",        "оно",        "опять",
    "от",      "откуда",  "очень",     "по",       "под",        "подскажи",   "пожалуйста",
    "пока",    "покажи",  "показать",  "понять",   "после",      "посмотреть", "посмотри",
    "потом",   "потому",  "почему",    "почти",    "при",        "про",        "раз",
    "с",       "сам",     "сами",      "свой",     "сделать",    "себе",       "себя",
    "сейчас",  "скажи",   "сколько",   "снова",    "со",         "совсем",     "стал",
    "стала",   "стали",   "стало",     "так",      "такая",      "также",      "такие",
    "такого",  "такое",   "такой",     "такую",    "там",        "те",         "тебя",
    "тем",     "теперь",  "то",        "тогда",    "того",       "тоже",       "той",
    "том",     "тому",    "тот",       "тут",      "ты",         "у",          "уже",
    "узнать",  "хоть",    "хотя",      "чего",     "чей",        "чем",        "чему",
    "через",   "что",     "чтоб",      "чтобы",    "эта",        "эти",        "этим",
    "этих",    "это",     "этого",     "этой",     "этом",       "этому",      "этот",
    "эту",     "я",
};

struct key { /* a word without a NUL behind it */
    const char *s;
    size_t len;
};

static int compare_stop(const void *key, const void *element)
{
    const struct key *k = key;
    const char *word = *(const char *const *)element;
    int order = strncmp(k->s, word, k->len);
    return order != 0 ? order : word[k->len] == '\0' ? 0 : -1;
}

bool know__is_stop(const char *word, size_t len)
{
    struct key key = {word, len};
    return bsearch(&key, stop_words, sizeof stop_words / sizeof *stop_words, sizeof *stop_words,
                   compare_stop) != NULL;
}

void know__each_stop(know__word_fn *fn, void *arg)
{
    enum { LEAST = 8 }; /* bytes: shorter ones are too near to each other */
    for (size_t i = 0; i < sizeof stop_words / sizeof *stop_words; i++) {
        if (strlen(stop_words[i]) >= LEAST)
            know__words(stop_words[i], strlen(stop_words[i]), fn, arg);
    }
}

/* Lower case of Latin and Cyrillic letters (Unicode blocks Latin-1, Latin Extended-A, Cyrillic and
 * its supplement); ё becomes е, as Russian texts write both. */
static uint32_t lower(uint32_t cp)
{
    if (cp < 0x80)
        return cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    if (cp >= 0xC0 && cp <= 0xDE && cp != 0xD7)
        return cp + 32;
    if (cp == 0x178)
        return 0xFF;
    if ((cp >= 0x139 && cp <= 0x148) || (cp >= 0x179 && cp <= 0x17E))
        return (cp & 1) != 0 ? cp + 1 : cp;
    if (cp >= 0x100 && cp <= 0x177 && cp != 0x130 && cp != 0x131 && cp != 0x138)
        return cp | 1;
    if (cp == 0x401 || cp == 0x451)
        return 0x435;
    if (cp >= 0x400 && cp <= 0x40F)
        return cp + 0x50;
    if (cp >= 0x410 && cp <= 0x42F)
        return cp + 0x20;
    if ((cp >= 0x460 && cp <= 0x481) || (cp >= 0x48A && cp <= 0x4BF) ||
        (cp >= 0x4D0 && cp <= 0x52F))
        return cp | 1;
    return cp;
}

static bool is_digit(uint32_t cp)
{
    return cp >= '0' && cp <= '9';
}

/* Letters and digits: coarse beyond Latin and Cyrillic, where only a boundary is needed. */
static bool is_word(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 'a' && cp <= 'z') || (cp >= 'A' && cp <= 'Z') || is_digit(cp);
    if (cp >= TEXT_BAD || cp < 0xC0 || cp == 0xD7 || cp == 0xF7)
        return false;
    return !((cp >= 0x2000 && cp <= 0x2BFF) || (cp >= 0x3000 && cp <= 0x303F) ||
             (cp >= 0xE000 && cp <= 0xF8FF) || cp >= 0xFE00);
}

static bool is_mark(uint32_t cp)
{
    return cp >= 0x300 && cp <= 0x36F;
}

struct word {
    char bytes[KNOW__WORD_MAX];
    size_t len;
    uint32_t last;
    bool too_long, latin, cyrillic, digits;
};

static void word_add(struct word *w, uint32_t cp)
{
    char utf8[4] = {(char)cp};
    size_t n = cp < 0x80 ? 1 : text_encode(cp, utf8);
    if (w->len + n > sizeof w->bytes) {
        w->too_long = true;
        return;
    }
    memcpy(w->bytes + w->len, utf8, n);
    w->len += n;
    w->last = cp;
    w->digits |= is_digit(cp);
    w->cyrillic |= cp >= 0x400 && cp <= 0x52F;
    w->latin |= !is_digit(cp) && cp < 0x250;
}

static void word_mark(struct word *w, uint32_t mark)
{
    if (mark == 0x306 && w->last == 0x438 && w->len >= 2) { /* и and a breve is й */
        w->len -= 2;
        word_add(w, 0x439);
    }
}

static void word_end(struct word *w, know__word_fn *fn, void *arg)
{
    if (w->len > 0 && !w->too_long) {
        enum know__script script = w->digits || w->latin == w->cyrillic ? KNOW__OTHER
                                   : w->cyrillic                        ? KNOW__CYRILLIC
                                                                        : KNOW__LATIN;
        fn(arg, w->bytes, w->len, script);
    }
    w->len = 0;
    w->last = 0;
    w->too_long = w->latin = w->cyrillic = w->digits = false;
}

void know__words(const char *text, size_t len, know__word_fn *fn, void *arg)
{
    struct word w = {0};
    size_t i = 0;
    while (i < len) {
        uint32_t cp = (unsigned char)text[i];
        size_t n = 1;
        if (cp >= 0x80)
            n = text_decode(text + i, len - i, &cp);
        BUG_IF(n == 0);
        bool inner = (cp == '.' || cp == ',') && is_digit(w.last) && i + n < len &&
                     is_digit((unsigned char)text[i + n]);
        if (is_mark(cp))
            word_mark(&w, cp);
        else if (is_word(cp) || inner)
            word_add(&w, lower(cp));
        else
            word_end(&w, fn, arg);
        i += n;
    }
    word_end(&w, fn, arg);
}

void know__stemmer_init(struct know__stemmer *s)
{
    s->english = sb_stemmer_new("english", "UTF_8");
    s->russian = sb_stemmer_new("russian", "UTF_8");
    BUG_IF(s->english == NULL || s->russian == NULL);
}

void know__stemmer_release(struct know__stemmer *s)
{
    sb_stemmer_delete(s->english);
    sb_stemmer_delete(s->russian);
}

const char *know__stem(struct know__stemmer *s, const char *word, size_t len,
                       enum know__script script, size_t *stem_len)
{
    *stem_len = len;
    if (script == KNOW__OTHER)
        return word;
    struct sb_stemmer *stemmer = script == KNOW__CYRILLIC ? s->russian : s->english;
    const sb_symbol *stem = sb_stemmer_stem(stemmer, (const sb_symbol *)word, (int)len);
    BUG_IF(stem == NULL);
    int n = sb_stemmer_length(stemmer);
    if (n <= 0 || n > KNOW__WORD_MAX)
        return word;
    *stem_len = (size_t)n;
    return (const char *)stem;
}

struct stems {
    struct know__stemmer *stemmer;
    know__stem_fn *fn;
    void *arg;
};

static void on_word(void *arg, const char *word, size_t len, enum know__script script)
{
    struct stems *s = arg;
    if (know__is_stop(word, len))
        return;
    size_t n;
    const char *stem = know__stem(s->stemmer, word, len, script, &n);
    s->fn(s->arg, stem, n);
}

void know__stems(struct know__stemmer *s, const char *text, size_t len, know__stem_fn *fn,
                 void *arg)
{
    struct stems stems = {s, fn, arg};
    know__words(text, len, on_word, &stems);
}

struct joined {
    struct know__stemmer stemmer;
    struct buf out;
};

static bool negates(const char *word, size_t len)
{
    static const char *const words[] = {"no", "not", "nor", "cannot", "without",
                                        "не", "нет", "ни",  "без"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && memcmp(words[i], word, len) == 0)
            return true;
    return false;
}

static void join_word(void *arg, const char *word, size_t len, enum know__script script)
{
    struct joined *j = arg;
    if (know__is_stop(word, len) && !negates(word, len))
        return;
    size_t n;
    const char *stem = know__stem(&j->stemmer, word, len, script, &n);
    if (j->out.len > 0)
        buf_addc(&j->out, ' ');
    buf_add(&j->out, stem, n);
}

char *know_stems(const char *text)
{
    struct joined j = {0};
    know__stemmer_init(&j.stemmer);
    know__words(text, strlen(text), join_word, &j);
    know__stemmer_release(&j.stemmer);
    return buf_take(&j.out);
}

struct know_words {
    struct know__stemmer stemmer;
    struct know__ideas ideas;
};

struct know_words *know_words_new(void)
{
    struct know_words *w = xcalloc(1, sizeof *w);
    know__stemmer_init(&w->stemmer);
    know__ideas_init(&w->ideas, &w->stemmer);
    return w;
}

void know_words_free(struct know_words *w)
{
    if (w == NULL)
        return;
    know__ideas_release(&w->ideas);
    know__stemmer_release(&w->stemmer);
    free(w);
}

const char *know_words_stem(struct know_words *w, const char *word, size_t len, size_t *stem_len)
{
    bool latin = len > 0 && len <= KNOW__WORD_MAX, cyrillic = latin;
    for (size_t i = 0; i < len && (latin || cyrillic); i++) {
        bool high = (unsigned char)word[i] >= 0x80;
        latin = latin && word[i] >= 'a' && word[i] <= 'z';
        cyrillic = cyrillic && high;
    }
    return know__stem(&w->stemmer, word, len,
                      latin      ? KNOW__LATIN
                      : cyrillic ? KNOW__CYRILLIC
                                 : KNOW__OTHER,
                      stem_len);
}

const int16_t *know_words_ideas(const struct know_words *w, const char *stem, size_t len)
{
    return know__ideas_of(&w->ideas, stem, len);
}

bool know_words_alike(const int16_t *a, const int16_t *b)
{
    for (size_t i = 0; a != NULL && b != NULL && i < KNOW__IDEAS_PER_STEM && a[i] >= 0; i++)
        for (size_t j = 0; j < KNOW__IDEAS_PER_STEM && b[j] >= 0; j++)
            if (a[i] == b[j])
                return true;
    return false;
}

bool know_words_stop(const char *word, size_t len)
{
    return know__is_stop(word, len);
}
