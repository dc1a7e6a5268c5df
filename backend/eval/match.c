/* Statements against answers: names, numbers, stems and negation; and claims (claims.h). */
#include "backend/eval/match.h"
#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "backend/knowledge/knowledge.h"
#include "backend/orchestrator/claims.h"
#include "backend/orchestrator/marks.h"
#include "backend/orchestrator/standing.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES = 65536, WORDS = 512, NAMES = 16, NUMBERS = 64, SENTENCES = 1024, DIGITS = 40 };
static const double AGAINST_COVER = 0.75;
/* Of a statement's claim what a sentence has to say. */
static const double SURE_COVER = 0.8;

struct numbers {
    char at[NUMBERS][DIGITS];
    size_t count;
};

struct line {
    char *stems;       /* cut into words */
    const char **word; /* sorted, each once, without those of names */
    size_t count;
    char *text;         /* in lower case */
    char *names[NAMES]; /* hosts, paths, pods, versions: "web-03", "/var/log" */
    size_t name_count;
    struct numbers numbers;
    bool negated, none, marked; /* none: "errors: 0" */
    struct claims *claims;
};

struct eval_said {
    struct claims_reader *reader;
    struct line *lines;
    size_t count, marked;
};

/* ---- numbers */

/* Digits with points or commas between. A comma before three digits divides thousands,
 * unless a nought stands before it. */
static void number_normal(const char *from, size_t len, char out[DIGITS])
{
    size_t n = 0;
    bool point = false;
    for (size_t i = 0; i < len && n + 1 < DIGITS; i++) {
        size_t digits = strspn(from + i + 1, "0123456789");
        bool thousands = from[i] == ',' && digits == 3 && from[0] != '0';
        if (isdigit((unsigned char)from[i])) {
            out[n++] = from[i];
        } else if (!thousands) {
            point = true;
            out[n++] = '.';
        }
    }
    while (point && n && out[n - 1] == '0')
        n--;
    if (n && out[n - 1] == '.')
        n--;
    out[n] = '\0';
    size_t noughts = strspn(out, "0");
    if (noughts && isdigit((unsigned char)out[noughts]))
        memmove(out, out + noughts, strlen(out + noughts) + 1);
}

static bool has_number(const struct numbers *n, const char *one)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->at[i], one) == 0)
            return true;
    return false;
}

static void numbers_of(const char *text, struct numbers *out)
{
    bool in_word = false;
    for (const char *p = text; *p && out->count < NUMBERS;) {
        size_t mark = *p == '[' ? strspn(p + 1, "0123456789") : 0;
        if (mark && p[1 + mark] == ']') {
            p += mark + 2;
            continue;
        }
        if (!isdigit((unsigned char)*p) || in_word) {
            in_word = isalnum((unsigned char)*p) || *p == '_' || (*p & 0x80);
            p++;
            continue;
        }
        size_t len = strspn(p, "0123456789");
        while ((p[len] == '.' || p[len] == ',') && isdigit((unsigned char)p[len + 1]))
            len += 1 + strspn(p + len + 1, "0123456789");
        number_normal(p, len, out->at[out->count]);
        if (!has_number(out, out->at[out->count]))
            out->count++;
        p += len;
    }
}

bool eval_numbers_in(const char *text, const char *source)
{
    struct numbers said = {.count = 0}, there = {.count = 0};
    numbers_of(text, &said);
    if (!said.count)
        return true;
    size_t missing = said.count;
    /* a source may hold more numbers than fit: it is read in pieces */
    for (const char *p = source; *p && missing;) {
        size_t len = strlen(p), keep = len < 1024 ? len : 1024;
        while (keep < len && keep > 512 && !isspace((unsigned char)p[keep]))
            keep--;
        char *piece = xstrndup(p, keep);
        there.count = 0;
        numbers_of(piece, &there);
        free(piece);
        for (size_t i = 0; i < said.count; i++) {
            if (*said.at[i] && has_number(&there, said.at[i])) {
                said.at[i][0] = '\0';
                missing--;
            }
        }
        p += keep;
    }
    return !missing;
}

/* ---- words */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "No" before a number word or a name negates as well as "not" does; what counts is whether there
 * is an odd number of them. */
static bool is_negation(const char *word, size_t len)
{
    static const char *const WORDS_[] = {"not",     "no",    "never",   "cannot", "without",
                                         "neither", "nor",   "none",    "не",     "нет",
                                         "без",     "никто", "никогда", "ничего", "нельзя"};
    for (size_t i = 0; i < sizeof WORDS_ / sizeof *WORDS_; i++)
        if (strlen(WORDS_[i]) == len && strncasecmp(word, WORDS_[i], len) == 0)
            return true;
    return len > 3 && strncasecmp(word + len - 3, "n't", 3) == 0;
}

/* "not after" and "not only" bound, they do not deny. */
static bool bounds(const char *behind)
{
    static const char *const WORDS_[] = {" after ", " before ", " only ",  " later ",
                                         " позже ", " ранее ",  " только "};
    for (size_t i = 0; i < sizeof WORDS_ / sizeof *WORDS_; i++)
        if (strncasecmp(behind, WORDS_[i], strlen(WORDS_[i])) == 0)
            return true;
    return false;
}

static bool negated(const char *text, bool *none)
{
    unsigned n = 0;
    *none = false;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " \t\n,.;:!?()\"");
        n += len && is_negation(p, len) && !bounds(p + len);
        bool part = p > text && strchr(".,", p[-1]); /* of 6.8.0 */
        if (len == 1 && *p == '0' && p[len] != '.' && p[len] != ',' && !part) {
            n++;
            *none = true;
        }
        p += len + (p[len] != '\0');
    }
    return n % 2 == 1;
}

/* A word that names one thing: letters, and a digit or one of _./: among them, or a hyphen beside
 * one or two letters ("vpn-b"); not "warm-cache", not "256Mi". */
static bool is_name(const char *word, size_t len)
{
    size_t letters = 0, digits = 0, joints = 0, dashes = 0, part = 0, shortest = len;
    for (size_t i = 0; i < len; i++) {
        letters += isalpha((unsigned char)word[i]) != 0 || (word[i] & 0x80);
        digits += isdigit((unsigned char)word[i]) != 0;
        joints += strchr("_./:@", word[i]) != NULL;
        dashes += word[i] == '-';
        part = word[i] == '-' ? 0 : part + 1;
        if (i + 1 == len || word[i + 1] == '-')
            shortest = part < shortest ? part : shortest;
    }
    return len > 1 && letters && (digits || joints || dashes > 1 || (dashes && shortest < 3)) &&
           !(digits && !joints && !dashes && isdigit((unsigned char)word[0]));
}

/* Takes the names out of a text: what is left, in lower case, is for the caller to free. */
static char *take_names(struct line *l, const char *text)
{
    struct buf left = {0};
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " \t\n,;()\"'`[]="), n = len;
        while (n && strchr(".:!?", p[n - 1]))
            n--;
        if (is_name(p, n) && l->name_count < NAMES)
            l->names[l->name_count++] = xstrndup(p, n);
        else
            buf_add(&left, p, len);
        p += len;
        if (*p)
            buf_addc(&left, *p++);
    }
    return buf_take(&left);
}

/* Bytes of a space inside a number: "48 210", also with one that does not break. */
static size_t space_at(const char *p)
{
    static const char *const SPACES[] = {" ", "\xc2\xa0", "\xe2\x80\xaf"};
    for (size_t i = 0; i < sizeof SPACES / sizeof *SPACES; i++) {
        size_t n = strlen(SPACES[i]);
        if (strncmp(p, SPACES[i], n) == 0 && strspn(p + n, "0123456789") == 3)
            return n;
    }
    return 0;
}

/* The text with such numbers in one: three digits each behind one to three. The caller frees. */
static char *joined(const char *text)
{
    struct buf out = {0};
    for (const char *p = text; *p;) {
        size_t len = strspn(p, "0123456789"), space = len && len <= 3 ? space_at(p + len) : 0;
        buf_add(&out, p, len ? len : 1);
        p += len ? len : 1;
        while (space) {
            buf_add(&out, p + space, 3);
            p += space + 3;
            space = space_at(p);
        }
    }
    return buf_take(&out);
}

/* Quotation marks, dashes and arrows are spaces. */
static bool is_sign(uint32_t cp)
{
    return cp == 0xab || cp == 0xbb || (cp >= 0x2010 && cp <= 0x201f) ||
           (cp >= 0x2190 && cp <= 0x21ff);
}

static char *lower(const char *text)
{
    struct buf out = {0};
    size_t len = strlen(text), n;
    for (size_t at = 0; at < len; at += n) {
        char bytes[4];
        uint32_t cp = text_fold(text + at, len - at, &n);
        if (is_sign(cp))
            buf_addc(&out, ' ');
        else if (cp & TEXT_BAD)
            buf_addc(&out, text[at]);
        else
            buf_add(&out, bytes, text_encode(cp, bytes));
    }
    return buf_take(&out);
}

static void line_make(struct claims_reader *r, struct line *l, const char *text)
{
    char *whole = joined(text);
    l->claims = claims_read(r, whole, strlen(whole));
    l->text = lower(whole);
    free(whole);
    char *left = take_names(l, l->text);
    l->stems = know_stems(left);
    l->word = xcalloc(WORDS, sizeof *l->word);
    char *rest = l->stems;
    for (char *word; l->count < WORDS && (word = strsep(&rest, " "));)
        if (*word && !is_negation(word, strlen(word)) && !isdigit((unsigned char)*word))
            l->word[l->count++] = word;
    qsort(l->word, l->count, sizeof *l->word, by_text);
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++)
        if (!kept || strcmp(l->word[kept - 1], l->word[i]) != 0)
            l->word[kept++] = l->word[i];
    l->count = kept;
    numbers_of(left, &l->numbers);
    l->negated = negated(left, &l->none);
    free(left);
}

static void line_release(struct line *l)
{
    for (size_t i = 0; i < l->name_count; i++)
        free(l->names[i]);
    claims_free(l->claims);
    free(l->text);
    free(l->stems);
    free(l->word);
}

static void add_line(struct eval_said *s, const char *text, bool marked)
{
    if (s->count == SENTENCES)
        return;
    line_make(s->reader, &s->lines[s->count], text);
    s->lines[s->count++].marked = marked;
}

static void take_sentence(void *arg, const char *sentence, size_t len)
{
    struct eval_said *s = arg;
    size_t at, mark, quote;
    bool marked = orch_marked(sentence, len);
    s->marked += marked;
    if (orch_mark_find(sentence, len, &at, &mark)) {
        const char *said = orch_mark_quote(sentence + at, mark, &quote);
        char *own =
            xasprintf("%.*s%.*s", (int)at, sentence, (int)(len - at - mark), sentence + at + mark);
        char *other = xstrndup(said, quote);
        add_line(s, own, true);
        if (quote)
            add_line(s, other, true);
        free(own);
        free(other);
    } else {
        char *text = xstrndup(sentence, len);
        add_line(s, text, marked);
        free(text);
    }
}

struct claims_reader *eval_said_reader(const struct eval_said *s)
{
    return s->reader;
}

size_t eval_marked(const struct eval_said *s)
{
    return s->marked;
}

struct eval_said *eval_said_new(const char *answer)
{
    struct eval_said *s = xcalloc(1, sizeof *s);
    s->reader = claims_reader_new();
    s->lines = xcalloc(SENTENCES, sizeof *s->lines);
    char *text = xstrndup(answer, ANSWER_BYTES);
    know_sentences(text, take_sentence, s);
    free(text);
    return s;
}

void eval_said_free(struct eval_said *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        line_release(&s->lines[i]);
    claims_reader_free(s->reader);
    free(s->lines);
    free(s);
}

/* ---- comparing */

static bool has_word(const struct line *l, const char *word)
{
    return bsearch(&word, l->word, l->count, sizeof *l->word, by_text) != NULL;
}

/* Share of the statement's stems; 1 of one that has only names and numbers. */
static double cover(const struct line *of, const struct line *l)
{
    size_t met = 0;
    for (size_t i = 0; i < of->count; i++)
        met += has_word(l, of->word[i]);
    return of->count ? (double)met / (double)of->count : 1;
}

/* Every name of the statement stands there whole: "web-1" is not in "web-12". */
static bool names_met(const struct line *of, const struct line *l)
{
    for (size_t i = 0; i < of->name_count; i++) {
        const char *name = of->names[i], *at = l->text;
        size_t len = strlen(name);
        bool there = false;
        while (!there && (at = strstr(at, name))) {
            bool before = at == l->text || !(isalnum((unsigned char)at[-1]) || at[-1] == '-');
            there = before && !(isalnum((unsigned char)at[len]) || at[len] == '-');
            at++;
        }
        if (!there)
            return false;
    }
    return true;
}

static bool numbers_met(const struct line *of, const struct line *l)
{
    for (size_t i = 0; i < of->numbers.count; i++)
        if (!has_number(&l->numbers, of->numbers.at[i]))
            return false;
    return true;
}

/* Whether the sentence's claims deny one of the statement's, or say all of them. */
static enum eval_stand claimed(const struct line *l, const struct line *of)
{
    bool all = claims_count(of->claims) > 0, denied = false;
    for (size_t i = 0; i < claims_count(of->claims); i++) {
        struct claims_support one;
        claims_support(of->claims, i, l->claims, &one);
        bool apart =
            one.contradicted && claims_apart(of->claims, i, l->claims, one.against, one.why);
        denied = denied || (one.contradicted && !apart);
        all = all && !apart;
        all = all && one.covered >= SURE_COVER && one.met == one.numbers;
    }
    return denied ? EVAL_CONTRADICTED : all ? EVAL_MET : EVAL_MISSING;
}

/* One sentence against the statement, whose names it has. */
static enum eval_stand stand_of(const struct line *l, const struct line *of, double least)
{
    double share = cover(of, l);
    if (orch_words_apart(of->text, strlen(of->text), l->text, strlen(l->text)))
        return EVAL_MISSING; /* one is of staging, the other of production */
    bool same = l->negated == of->negated, numbers = numbers_met(of, l);
    if (!numbers && share < AGAINST_COVER)
        return EVAL_MISSING;
    enum eval_stand claims = claimed(l, of);
    if (numbers && claims != EVAL_CONTRADICTED && same && share >= least)
        return EVAL_MET;
    if (numbers && claims == EVAL_MET && (same || !l->none))
        return EVAL_MET;
    bool denied = claims == EVAL_CONTRADICTED;
    return share >= AGAINST_COVER && (denied || (numbers && !same)) ? EVAL_CONTRADICTED
                                                                    : EVAL_MISSING;
}

enum eval_stand eval_stands(const struct eval_said *s, const char *statement, double least,
                            bool disputed)
{
    struct line of = {.count = 0};
    enum eval_stand best = EVAL_MISSING;
    line_make(s->reader, &of, statement);
    for (size_t i = 0; i < s->count && best != EVAL_MET; i++) {
        if ((s->lines[i].marked && !disputed) || !names_met(&of, &s->lines[i]))
            continue;
        enum eval_stand one = stand_of(&s->lines[i], &of, least);
        best = one != EVAL_MISSING ? one : best;
    }
    line_release(&of);
    return best;
}
