/* The tables of claims.def by stem, and how two words stand to each other. */
#include "backend/base/hash.h"
#include "backend/base/text.h"
#include "backend/orchestrator/claims_internal.h"
#include <stdlib.h>
#include <string.h>

enum row_kind {
    ROW_SAME,
    ROW_KIND,
    ROW_LIVING,
    ROW_OPPOSITE,
    ROW_OUTCOME,
    ROW_SIDES,
    ROW_ONE_OF,
    ROW_TOPICS
};
struct row {
    enum row_kind kind;
    const char *words[4]; /* left, right, and what implies them */
};
#define SAME(words) {ROW_SAME, {words, "", "", ""}},
#define KIND(kind, members) {ROW_KIND, {kind, "", members, ""}},
#define LIVING(kind, members) {ROW_LIVING, {kind, "", members, ""}},
#define OPPOSITE(words, opposites) {ROW_OPPOSITE, {words, opposites, "", ""}},
#define OUTCOME(words, opposites) {ROW_OUTCOME, {words, opposites, "", ""}},
#define SIDES(words, opposites) {ROW_SIDES, {words, opposites, "", ""}},
#define IMPLIED(words, opposites, imply, other) {ROW_OPPOSITE, {words, opposites, imply, other}},
#define ONE_OF(values) {ROW_ONE_OF, {values, "", "", ""}},
#define TOPICS(values) {ROW_TOPICS, {values, "", "", ""}},
static const struct row ROWS[] = {
#include "backend/orchestrator/claims.def"
};
#undef SAME
#undef KIND
#undef LIVING
#undef OPPOSITE
#undef OUTCOME
#undef SIDES
#undef IMPLIED
#undef ONE_OF
#undef TOPICS
enum { LEXEMES = 2048 }; /* a power of two */
enum { ROW_COUNT = sizeof ROWS / sizeof *ROWS };

uint64_t claims__hash(const char *s, size_t len)
{
    uint64_t h = hash_bytes(HASH_START, s, len);
    h ^= h >> 32;
    return h ? h : 1;
}

static struct claims__sense *slot_of(struct claims__sense *senses, size_t slots, uint64_t hash)
{
    size_t i = hash & (slots - 1);
    while (senses[i].count && senses[i].hash != hash)
        i = (i + 1) & (slots - 1);
    return &senses[i];
}

const struct claims__sense *claims__sense(const struct claims_reader *r, uint64_t hash)
{
    const struct claims__sense *s = slot_of(r->senses, r->slots, hash);
    return s->count ? s : NULL;
}

static void put_place(struct claims_reader *r, uint64_t hash, struct claims__place place)
{
    struct claims__sense *s = slot_of(r->senses, r->slots, hash);
    for (size_t i = 0; i < s->count; i++) {
        if (s->at[i].row == place.row && s->at[i].side == place.side) {
            s->at[i].implied = s->at[i].implied && place.implied;
            return;
        }
    }
    if (s->count == CLAIMS__ROWS_EACH)
        return;
    if (!s->count)
        r->used++;
    s->hash = hash;
    s->rows |= 1ULL << (place.row & 63);
    s->at[s->count++] = place;
    BUG_IF(r->used * 2 > r->slots);
}

/* Lower case of Latin and Cyrillic letters, whatever the locale. */
static uint32_t lower(uint32_t cp)
{
    if ((cp >= 'A' && cp <= 'Z') || (cp >= 0xC0 && cp <= 0xDE && cp != 0xD7) ||
        (cp >= 0x410 && cp <= 0x42F))
        return cp + 32;
    if (cp == 0x401 || cp == 0x451)
        return 0x435; /* both write е for ё */
    return cp >= 0x400 && cp <= 0x40F ? cp + 0x50 : cp == 0x2019 ? '\'' : cp;
}

size_t claims__fold(const char *s, size_t len, char out[CLAIMS__FOLDED])
{
    size_t used = 0;
    for (size_t i = 0, n; i < len && used + 4 < CLAIMS__FOLDED; i += n) {
        uint32_t cp;
        n = text_decode(s + i, len - i, &cp);
        if (!n)
            break;
        if (cp != 0x301 && cp < TEXT_BAD) /* a stress mark is no letter */
            used += text_encode(lower(cp), out + used);
    }
    return used;
}

/* ошибок and ошибки, узел and узлы: the vowel that comes and goes is left out of all stems. */
static size_t without_fleeting(const char *stem, size_t len, char out[64])
{
    memcpy(out, stem, len);
    if (len < 8 || len > 60)
        return len;
    const char *vowel = stem + len - 4, *last = stem + len - 2;
    bool fleeting = memcmp(vowel, "о", 2) == 0 || memcmp(vowel, "е", 2) == 0;
    bool ends = memcmp(last, "к", 2) == 0 || memcmp(last, "н", 2) == 0 ||
                memcmp(last, "л", 2) == 0 || memcmp(last, "ц", 2) == 0 || memcmp(last, "р", 2) == 0;
    if (!fleeting || !ends)
        return len;
    memcpy(out + len - 4, last, 2);
    return len - 2;
}

/* The stem that is compared. */
static size_t stem_of(struct claims_reader *r, const char *folded, size_t len, char out[64])
{
    size_t n;
    const char *stem = know_words_stem(r->words, folded, len, &n);
    return without_fleeting(stem, n, out);
}

/* Words of a list between spaces; a bar goes on to the next side. */
static void put_words(struct claims_reader *r, size_t row, const char *list, size_t side,
                      bool implied)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " |");
        if (n) {
            char folded[CLAIMS__FOLDED], stem[64];
            size_t len = claims__fold(p, n, folded);
            size_t stem_len = stem_of(r, folded, len, stem);
            put_place(r, claims__hash(stem, stem_len),
                      (struct claims__place){(uint16_t)row, (uint8_t)side, implied});
        }
        p += n;
        side += *p == '|';
        p += *p != 0;
    }
}

/* ---- what words do */

static const struct {
    uint64_t role;
    const char *words;
} ROLES[] = {
#define ROLE(role, words) {CLAIMS__##role, words},
#include "backend/orchestrator/claims_roles.def"
#undef ROLE
};

static struct claims__word *role_slot(const struct claims_reader *r, uint64_t hash)
{
    size_t i = hash & (r->role_slots - 1);
    while (r->roles[i].hash && r->roles[i].hash != hash)
        i = (i + 1) & (r->role_slots - 1);
    return &r->roles[i];
}

const struct claims__word *claims__word(const struct claims_reader *r, const char *folded,
                                        size_t len)
{
    const struct claims__word *w = role_slot(r, claims__hash(folded, len));
    return w->hash ? w : NULL;
}

static void put_role(void *arg, const char *words, uint64_t role, int value)
{
    struct claims_reader *r = arg;
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        char folded[CLAIMS__FOLDED];
        size_t len = claims__fold(p, n, folded);
        uint64_t hash = claims__hash(folded, len);
        struct claims__word *w = role_slot(r, hash);
        r->role_count += !w->hash;
        BUG_IF(r->role_count * 2 > r->role_slots);
        w->hash = hash;
        w->roles |= role;
        if (value)
            w->value = (int16_t)value;
        p += n + (p[n] == ' ');
    }
}

struct claims_reader *claims_reader_new(void)
{
    struct claims_reader *r = xcalloc(1, sizeof *r);
    r->words = know_words_new();
    r->lexemes = xcalloc(LEXEMES, sizeof *r->lexemes);
    r->slots = 16384;
    r->senses = xcalloc(r->slots, sizeof *r->senses);
    r->role_slots = 2048;
    r->roles = xcalloc(r->role_slots, sizeof *r->roles);
    for (size_t i = 0; i < sizeof ROLES / sizeof *ROLES; i++)
        put_role(r, ROLES[i].words, ROLES[i].role, 0);
    claims__number_words(put_role, r);
    claims__share_words(put_role, r);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &ROWS[i];
        put_words(r, i, row->words[0], 0, false);
        put_words(r, i, row->words[1], 1, false);
        put_words(r, i, row->words[2], 0, true);
        put_words(r, i, row->words[3], 1, true);
    }
    return r;
}

void claims_reader_free(struct claims_reader *r)
{
    if (!r)
        return;
    know_words_free(r->words);
    for (size_t i = 0; i < CLAIMS__KEPT; i++)
        claims_free(r->kept[i]);
    free(r->lexemes);
    free(r->senses);
    free(r->roles);
    free(r);
}

/* Words that say little by themselves. */
static bool is_light(const char *w, size_t len)
{
    static const char *const WORDS[] = {
        "have",  "get",     "wear",   "make",   "do",     "go",   "take",    "show",  "use",
        "there", "group",   "thing",  "way",    "side",   "lot",  "number",  "bunch", "some",
        "sever", "other",   "anoth",  "variou", "two",    "one",  "current", "now",   "still",
        "also",  "then",    "see",    "seem",   "appear", "look", "come",    "time",  "veri",
        "just",  "onli",    "сейчас", "уж",     "так",    "очен", "эт",      "котор", "имеет",
        "есть",  "находит", "мог",    "момент"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strlen(WORDS[i]) == len && memcmp(WORDS[i], w, len) == 0)
            return true;
    return false;
}

/* un-, in-, dis-, non-, не-: the same word denied. Asked of nearly every two words that differ, so
 * what cannot be is seen first. */
static const struct {
    char text[8];
    uint8_t len, least; /* of the word that is denied */
} PREFIXES[] = {{"un", 2, 3},  {"in", 2, 6},  {"im", 2, 6}, {"ir", 2, 6}, {"dis", 3, 3},
                {"non", 3, 3}, {"mis", 3, 5}, {"не", 4, 3}, {"без", 6, 3}};

static bool may_deny(const char *stem, size_t len)
{
    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++)
        if (len > PREFIXES[i].len && memcmp(stem, PREFIXES[i].text, PREFIXES[i].len) == 0)
            return true;
    return len > 7 && memcmp(stem + len - 4, "less", 4) == 0;
}

static bool denied_by_prefix(const char *a, size_t a_len, const char *b, size_t b_len)
{
    enum { LONGEST = 6, DEEPER = 2 }; /* the stemmer may have cut one of them deeper */
    if (a_len < b_len) {
        const char *s = a;
        a = b, b = s;
        size_t n = a_len;
        a_len = b_len, b_len = n;
    }
    if (b_len < 3 || a_len > b_len + LONGEST + DEEPER)
        return false;
    for (size_t i = 0; i < sizeof PREFIXES / sizeof *PREFIXES; i++) {
        size_t n = PREFIXES[i].len;
        if (a[0] != PREFIXES[i].text[0] || a_len <= n || b_len < PREFIXES[i].least ||
            a[n] != b[0] || memcmp(a, PREFIXES[i].text, n) != 0)
            continue;
        size_t rest = a_len - n, least = rest < b_len ? rest : b_len;
        size_t apart = rest > b_len ? rest - b_len : b_len - rest;
        if (least >= 3 && apart <= (least > 5 ? DEEPER : 0) && memcmp(a + n, b, least) == 0)
            return true;
    }
    return false;
}

/* -less against -ful and the bare word. */
static bool denied_by_ending(const char *a, size_t a_len, const char *b, size_t b_len)
{
    bool less_a = a_len > 7 && memcmp(a + a_len - 4, "less", 4) == 0;
    bool less_b = b_len > 7 && memcmp(b + b_len - 4, "less", 4) == 0;
    if (less_a == less_b)
        return false;
    size_t root = (less_a ? a_len : b_len) - 4, other = less_a ? b_len : a_len;
    return other >= root && other - root <= 3 && memcmp(a, b, root) == 0;
}

static void lexeme_of(struct claims_reader *r, const char *folded, size_t len, uint64_t hash,
                      struct claims__lexeme *x, char stem[64])
{
    const struct claims__word *role = role_slot(r, hash);
    size_t n = len <= 60 ? stem_of(r, folded, len, stem) : 0;
    const char *s = n ? stem : folded;
    n = n ? n : len;
    *x = (struct claims__lexeme){.hash = hash,
                                 .role = role->hash ? role : NULL,
                                 .stem_hash = claims__hash(s, n),
                                 .ideas = know_words_ideas(r->words, s, n),
                                 .stop = know_words_stop(folded, len),
                                 .light = is_light(s, n)};
    x->sense = claims__sense(r, x->stem_hash);
    x->stem_at = s;
    x->may_deny = may_deny(s, n);
    x->len = (uint8_t)len;
    x->stem_len = (uint8_t)n;
}

const struct claims__lexeme *claims__lexeme(struct claims_reader *r, const char *folded, size_t len)
{
    uint64_t hash = claims__hash(folded, len);
    struct claims__lexeme *x = &r->lexemes[hash & (LEXEMES - 1)];
    if (x->hash == hash && x->len == len && memcmp(x->word, folded, len) == 0)
        return x;
    lexeme_of(r, folded, len, hash, &r->one, r->one_stem);
    if (len > sizeof x->word || r->one.stem_len > sizeof x->stem)
        return &r->one;
    *x = r->one;
    memcpy(x->word, folded, len);
    memcpy(x->stem, r->one.stem_at, x->stem_len);
    x->stem_at = x->stem;
    return x;
}

/* The texts of a token's word and stem. */
static void put_texts(struct claims *c, struct claims__token *t, const char *folded, size_t len,
                      const char *stem, size_t n)
{
    t->word = (uint32_t)c->stems.len;
    t->word_len = (uint16_t)len;
    buf_add(&c->stems, folded, len);
    t->stem = (uint32_t)c->stems.len;
    t->stem_len = (uint16_t)n;
    buf_add(&c->stems, stem, n);
}

void claims__word_put(struct claims *c, struct claims__token *t, const char *folded, size_t len,
                      const struct claims__lexeme *x)
{
    put_texts(c, t, folded, len, x->stem_at, x->stem_len);
    t->hash = x->stem_hash;
    t->sense = x->sense;
    t->may_deny = x->may_deny;
    t->ideas = t->kind == CLAIMS__WORD ? x->ideas : NULL;
    t->light = t->kind == CLAIMS__WORD && x->light;
}

/* A name is compared as it is. */
void claims__name_meaning(struct claims_reader *r, struct claims *c, struct claims__token *t,
                          const char *folded, size_t len)
{
    put_texts(c, t, folded, len, folded, len);
    t->hash = claims__hash(folded, len);
    t->sense = claims__sense(r, t->hash);
}

/* What claims.def says of two words. */
static enum claims__relation by_rows(const struct claims__sense *x, const struct claims__sense *y)
{
    enum claims__relation found = CLAIMS__NONE;
    for (size_t i = 0; i < x->count; i++) {
        for (size_t j = 0; j < y->count; j++) {
            const struct claims__place *p = &x->at[i], *q = &y->at[j];
            if (p->row != q->row)
                continue;
            enum row_kind kind = ROWS[p->row].kind;
            if (p->implied && q->implied)
                continue; /* two things of a kind, or two hints */
            bool kinds = kind == ROW_KIND || kind == ROW_LIVING;
            if (p->side == q->side && kinds && p->implied != q->implied)
                found = CLAIMS__WIDER;
            else if (p->side == q->side)
                return CLAIMS__NEAR;
            else if (found == CLAIMS__NONE && (kind == ROW_OPPOSITE || kind == ROW_OUTCOME ||
                                               kind == ROW_SIDES || kind == ROW_ONE_OF))
                found = CLAIMS__OPPOSED;
        }
    }
    return found;
}

static enum claims__relation relation(const struct claims *a, const struct claims__token *x,
                                      const struct claims *b, const struct claims__token *y)
{
    bool names = x->kind == CLAIMS__NAME || y->kind == CLAIMS__NAME;
    enum claims__relation found = x->sense && y->sense && (x->sense->rows & y->sense->rows)
                                      ? by_rows(x->sense, y->sense)
                                      : CLAIMS__NONE;
    if (found != CLAIMS__NONE || names)
        return found; /* CrashLoopBackOff is a word as well */
    const char *s = a->stems.data + x->stem, *t = b->stems.data + y->stem;
    if ((x->may_deny || y->may_deny) && (denied_by_prefix(s, x->stem_len, t, y->stem_len) ||
                                         denied_by_ending(s, x->stem_len, t, y->stem_len)))
        return CLAIMS__OPPOSED;
    return know_words_alike(x->ideas, y->ideas) ? CLAIMS__ALIKE : CLAIMS__NONE;
}

enum claims__relation claims__relation(const struct claims *a, const struct claims__token *x,
                                       const struct claims *b, const struct claims__token *y)
{
    if (x->hash == y->hash || (x->kind != y->kind && x->word_len == y->word_len &&
                               memcmp(a->stems.data + x->word, b->stems.data + y->word,
                                      x->word_len) == 0)) /* CoreDNS and coredns */
        return CLAIMS__SAME;
    return relation(a, x, b, y);
}

bool claims__is_living(const struct claims__sense *s)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (ROWS[s->at[i].row].kind == ROW_LIVING)
            return true;
    return false;
}

int claims__outcome(const struct claims__sense *s)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (ROWS[s->at[i].row].kind == ROW_OUTCOME)
            return s->at[i].side ? -1 : 1;
    return 0;
}

bool claims__two_sides(const struct claims__sense *x, const struct claims__sense *y)
{
    for (size_t i = 0; x && y && i < x->count; i++)
        for (size_t j = 0; j < y->count; j++)
            if (x->at[i].row == y->at[j].row && x->at[i].side != y->at[j].side &&
                ROWS[x->at[i].row].kind == ROW_SIDES)
                return true;
    return false;
}

bool claims__other_topic(const struct claims__sense *x, const struct claims__sense *y)
{
    for (size_t i = 0; x && y && i < x->count; i++)
        for (size_t j = 0; j < y->count; j++)
            if (x->at[i].row == y->at[j].row && x->at[i].side != y->at[j].side &&
                ROWS[x->at[i].row].kind == ROW_TOPICS)
                return true;
    return false;
}

bool claims__is_topic(const struct claims__sense *s)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (ROWS[s->at[i].row].kind == ROW_TOPICS)
            return true;
    return false;
}

double claims__grade(enum claims__relation r)
{
    switch (r) {
    case CLAIMS__SAME:
        return 1;
    case CLAIMS__NEAR:
    case CLAIMS__WIDER:
        return 0.85;
    case CLAIMS__ALIKE:
        return 0.6;
    default:
        return 0;
    }
}
