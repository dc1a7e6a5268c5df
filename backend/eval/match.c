/* Statements against answers: stems, numbers, negation. */
#include "backend/eval/match.h"
#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include "backend/knowledge/knowledge.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_BYTES = 65536, WORDS = 512, NAMES = 16, NUMBERS = 64, SENTENCES = 1024, DIGITS = 40 };
static const double MET_COVER = 0.6, AGAINST_COVER = 0.75;

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
    bool negated;
};

struct eval_said {
    struct line *lines;
    size_t count;
};

/* ---- numbers */

/* Digits with points, commas or spaces between. A comma before three digits divides thousands,
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
        } else if (!thousands && from[i] != ' ') {
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

/* "48 210": three digits behind a space, behind at most three, go on with the number. */
static bool spaced(const char *p, size_t len)
{
    return (len < 4 || p[len - 4] == ' ') && p[len] == ' ' &&
           strspn(p + len + 1, "0123456789") == 3;
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
        while (len <= 3 + 4 * 4 && spaced(p, len))
            len += 4;
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

static bool negated(const char *text)
{
    unsigned n = 0;
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " \t\n,.;:!?()\"");
        n += len && is_negation(p, len) && !bounds(p + len);
        p += len + (p[len] != '\0');
    }
    return n % 2 == 1;
}

/* A word that names one thing: letters, and a digit or one of -_./: between them; not a word with
 * a hyphen alone ("warm-up"), not "n/a". */
static bool is_name(const char *word, size_t len)
{
    size_t letters = 0, digits = 0, joints = 0, dashes = 0;
    for (size_t i = 0; i < len; i++) {
        letters += isalpha((unsigned char)word[i]) != 0 || (word[i] & 0x80);
        digits += isdigit((unsigned char)word[i]) != 0;
        joints += strchr("_./:@", word[i]) != NULL;
        dashes += word[i] == '-';
    }
    return len > 1 && letters && (digits || joints || dashes > 1) &&
           !(digits && !joints && !dashes && isdigit((unsigned char)word[0])); /* "256Mi" */
}

/* Takes the names out of a text: what is left, in lower case, is for the caller to free. */
static char *take_names(struct line *l, const char *text)
{
    struct buf left = {0};
    for (const char *p = text; *p;) {
        size_t len = strcspn(p, " \t\n,;()\"'`«»“”[]="), n = len;
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

static char *lower(const char *text)
{
    struct buf out = {0};
    size_t len = strlen(text), n;
    for (size_t at = 0; at < len; at += n) {
        char bytes[4];
        uint32_t cp = text_fold(text + at, len - at, &n);
        if (cp & TEXT_BAD)
            buf_addc(&out, text[at]);
        else
            buf_add(&out, bytes, text_encode(cp, bytes));
    }
    return buf_take(&out);
}

static void line_make(struct line *l, const char *text)
{
    l->text = lower(text);
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
    l->negated = negated(left);
    free(left);
}

static void line_release(struct line *l)
{
    for (size_t i = 0; i < l->name_count; i++)
        free(l->names[i]);
    free(l->text);
    free(l->stems);
    free(l->word);
}

static void take_sentence(void *arg, const char *sentence, size_t len)
{
    struct eval_said *s = arg;
    if (s->count == SENTENCES)
        return;
    char *text = xstrndup(sentence, len);
    line_make(&s->lines[s->count], text);
    s->count++;
    free(text);
}

struct eval_said *eval_said_new(const char *answer)
{
    struct eval_said *s = xcalloc(1, sizeof *s);
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

enum eval_stand eval_stands(const struct eval_said *s, const char *statement)
{
    struct line of = {.count = 0};
    bool met = false, against = false;
    line_make(&of, statement);
    for (size_t i = 0; i < s->count && !met; i++) {
        const struct line *l = &s->lines[i];
        if (!names_met(&of, l) || !numbers_met(&of, l))
            continue;
        double share = cover(&of, l);
        bool same = l->negated == of.negated;
        met = share >= MET_COVER && same;
        against = against || (share >= AGAINST_COVER && !same);
    }
    line_release(&of);
    return met ? EVAL_MET : against ? EVAL_CONTRADICTED : EVAL_MISSING;
}
