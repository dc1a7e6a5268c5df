/* The worth of a text's parts in tokens, learnt from reported usage. */
#include "backend/gateway/learn.h"
#include "backend/base/text.h"
#include <math.h>
#include <string.h>

enum {
    MIDDLE_WORD = 4,
    LONG_WORD = 7,
    CYR_WORD = 6,
    SWEEPS = 30,
    SWEEPS_LOADED = 300,
    TRUSTING = 10,
    LEAST_SHARE = 4,
    AROUND = 64
};
static const double KEPT = 0.995; /* of what was learnt, with each new text: about 200 count */
static const double NOISE = 0.03; /* of a text's tokens, relative */
static const double GRAIN = 0.2;  /* and per token, as of counts: short texts teach less */
static const double WIDTH = 1.5;  /* how far from its prior a worth may well be, in priors */
static const double FAR =
    0.15; /* error, relative to the larger, from which on a text counts for less */
static const double LARGEST = 1e15;

static const struct {
    const char *name;
    enum gw__script script;
    double prior;
} features[] = {
#define FEATURE(id, script, prior) {#id, GW__SCRIPT_##script, prior},
#include "backend/gateway/features.def"
#undef FEATURE
};

/* ---- what of a text counts */

enum kind { SMALL, CAPITAL, CYRILLIC, IDEOGRAPH, DIGIT, SIGN, BLANK, LINE, OTHER };

static enum kind kind_of(uint32_t cp)
{
    if (cp & TEXT_BAD)
        return OTHER;
    if (cp < 0x80)
        return cp >= 'a' && cp <= 'z'     ? SMALL
               : cp >= 'A' && cp <= 'Z'   ? CAPITAL
               : cp >= '0' && cp <= '9'   ? DIGIT
               : cp == '\n' || cp == '\r' ? LINE
               : cp <= ' '                ? BLANK
                                          : SIGN;
    if (cp >= 0xc0 && cp < 0x250)
        return SMALL;
    if (cp >= 0x400 && cp < 0x530)
        return CYRILLIC;
    bool ideograph = (cp >= 0x3040 && cp < 0xa4d0) || (cp >= 0xac00 && cp < 0xd7b0) ||
                     (cp >= 0xf900 && cp < 0xfb00) || (cp >= 0x20000 && cp < 0x32000);
    return ideograph ? IDEOGRAPH : OTHER;
}

static const enum gw__script scripts[] = {
    [SMALL] = GW__SCRIPT_LATIN,   [CAPITAL] = GW__SCRIPT_LATIN, [CYRILLIC] = GW__SCRIPT_CYRILLIC,
    [IDEOGRAPH] = GW__SCRIPT_CJK, [DIGIT] = GW__SCRIPT_DIGITS,  [SIGN] = GW__SCRIPT_SIGNS,
    [BLANK] = GW__SCRIPT_SPACE,   [LINE] = GW__SCRIPT_SPACE,    [OTHER] = GW__SCRIPT_OTHER,
};

struct walk {
    double *count;
    enum kind before; /* the character before this one */
    uint32_t cp;      /* it */
    size_t word;      /* Latin letters of the present word */
    size_t cyrillic;  /* Cyrillic ones */
    bool mixed;       /* it touches a digit */
    size_t digits, blanks;
    bool line; /* white space that has had a line end */
};

static bool is_letter(enum kind k)
{
    return k == SMALL || k == CAPITAL;
}

static void word_end(struct walk *w, enum kind k)
{
    double letters = (double)w->word;
    if (w->word && (w->mixed || k == DIGIT)) {
        w->count[GW__F_MIXED] += letters;
    } else if (w->word) {
        w->count[GW__F_WORD]++;
        w->count[GW__F_LETTER] += letters;
        w->count[GW__F_MIDDLE] += w->word > MIDDLE_WORD ? letters - MIDDLE_WORD : 0;
        w->count[GW__F_LONG] += w->word > LONG_WORD ? letters - LONG_WORD : 0;
    }
    w->word = 0;
    w->mixed = k == DIGIT;
}

static void latin(struct walk *w, enum kind k)
{
    if (!is_letter(k) || (k == CAPITAL && w->before == SMALL))
        word_end(w, k);
    if (!is_letter(k))
        return;
    w->word++;
    w->count[GW__F_CAPITAL] += k == CAPITAL && w->before == CAPITAL;
}

static void space(struct walk *w, enum kind k)
{
    if (k == BLANK) {
        w->blanks++;
        return;
    }
    if (k == LINE) {
        if (!w->line)
            w->count[w->before == SIGN ? GW__F_SIGN_LINE : GW__F_LINE]++;
        w->line = true;
    } else if (w->blanks > 1) {
        w->count[w->line ? GW__F_INDENT : GW__F_GAP]++;
        w->count[GW__F_BLANK] += (double)w->blanks;
    }
    if (k != LINE)
        w->line = false;
    w->blanks = 0;
}

static void step(struct walk *w, enum kind k, uint32_t cp)
{
    latin(w, k);
    space(w, k);
    w->count[GW__F_CYR_WORD] += k == CYRILLIC && w->before != CYRILLIC;
    w->count[GW__F_CYR_LETTER] += k == CYRILLIC;
    w->cyrillic = k == CYRILLIC ? w->cyrillic + 1 : 0;
    w->count[GW__F_CYR_LONG] += w->cyrillic > CYR_WORD;
    w->count[GW__F_IDEOGRAPH] += k == IDEOGRAPH;
    w->count[GW__F_OTHER] += k == OTHER;
    if (k == DIGIT)
        w->count[GW__F_DIGITS] += w->digits++ % 3 == 0;
    else
        w->digits = 0;
    if (k == SIGN)
        w->count[w->before != SIGN ? GW__F_SIGN
                 : w->cp != cp     ? GW__F_SIGN_MORE
                                   : GW__F_SIGN_SAME]++;
    w->before = k;
    w->cp = cp;
}

void gw__features_add(struct gw__features *f, const char *text, size_t len)
{
    struct walk w = {.count = f->count, .before = BLANK, .cp = ' '};
    for (size_t i = 0; i < len;) {
        if (w.before == SMALL && text[i] >= 'a' && text[i] <= 'z') { /* most of most texts */
            size_t from = i;
            while (i < len && text[i] >= 'a' && text[i] <= 'z')
                i++;
            w.word += i - from;
            f->bytes[GW__SCRIPT_LATIN] += (double)(i - from);
            continue;
        }
        uint32_t cp;
        size_t n = text_decode(text + i, len - i, &cp);
        enum kind k = kind_of(cp);
        f->bytes[scripts[k]] += (double)n;
        step(&w, k, cp);
        i += n;
    }
    word_end(&w, BLANK);
}

/* ---- what it is worth */

void gw__learner_init(struct gw__learner *l)
{
    *l = (struct gw__learner){.turns = 0};
    for (int i = 0; i < GW__FEATURES; i++)
        l->worth[i] = features[i].prior;
}

double gw__learner_tokens(const struct gw__learner *l, const struct gw__features *f)
{
    double sum = 0;
    for (int i = 0; i < GW__FEATURES; i++)
        sum += l->worth[i] * f->count[i];
    return sum;
}

/* The least squares with priors and without negative worths: each worth in turn is set to its best
 * with the others held, until none moves. The equations are positive definite, so this converges;
 * it goes on where the text before left it, so a few sweeps a text are enough. */
static void solve(struct gw__learner *l, int sweeps)
{
    double moved = 1;
    for (int sweep = 0; sweep < sweeps && moved > 1e-5; sweep++) {
        moved = 0;
        for (int i = 0; i < GW__FEATURES; i++) {
            double prior = features[i].prior, held = 1 / (WIDTH * WIDTH * prior * prior);
            double sum = l->b[i] + held * prior;
            for (int j = 0; j < GW__FEATURES; j++)
                sum -= j == i ? 0 : l->a[i][j] * l->worth[j];
            double worth = fmax(0, sum / (l->a[i][i] + held));
            moved = fmax(moved, fabs(worth - l->worth[i]) / prior);
            l->worth[i] = worth;
        }
    }
}

/* No tokenizer takes a quarter of what is usual, or more tokens than there are bytes. */
static bool is_plausible(const struct gw__features *f, double tokens)
{
    double usual = 0, bytes = 0;
    for (int i = 0; i < GW__FEATURES; i++)
        usual += features[i].prior * f->count[i];
    for (int s = 0; s < GW__SCRIPTS; s++)
        bytes += f->bytes[s];
    return tokens > usual / LEAST_SHARE && tokens < bytes + AROUND;
}

void gw__learner_learn(struct gw__learner *l, const struct gw__features *f, double tokens)
{
    if (tokens <= 0 || !is_plausible(f, tokens))
        return;
    double estimate = gw__learner_tokens(l, f), scale = fmax(tokens, estimate);
    double error = fabs(estimate - tokens) / scale;
    double weight = 1 / (NOISE * NOISE * scale * scale + GRAIN * scale);
    if (l->turns >= TRUSTING && error > FAR)
        weight *= FAR / error;
    for (int i = 0; i < GW__FEATURES; i++) {
        for (int j = 0; j < GW__FEATURES; j++)
            l->a[i][j] = KEPT * l->a[i][j] + weight * f->count[i] * f->count[j];
        l->b[i] = KEPT * l->b[i] + weight * f->count[i] * tokens;
    }
    solve(l, SWEEPS);
    for (int s = 0; s < GW__SCRIPTS; s++) {
        l->seen[s] = KEPT * l->seen[s] + f->bytes[s];
        l->tokens[s] *= KEPT;
    }
    for (int i = 0; i < GW__FEATURES; i++)
        l->tokens[features[i].script] += l->worth[i] * f->count[i];
}

void gw__learner_judge(struct gw__learner *l, double estimate, double reported)
{
    l->turns++;
    tel_record(&l->error, fabs(estimate - reported) / reported);
}

double gw__learner_bytes(const struct gw__learner *l, enum gw__script s)
{
    return l->seen[s] >= 1 && l->tokens[s] > 0 ? l->seen[s] / l->tokens[s] : 0;
}

/* ---- kept over restarts */

static void put(json_t *list, double value)
{
    json_array_append_new(list, json_real(value));
}

json_t *gw__learner_save(const struct gw__learner *l)
{
    json_t *saved = json_object(), *names = json_array(), *a = json_array(), *b = json_array(),
           *scripts_ = json_array(), *errors = json_array();
    for (int i = 0; i < GW__FEATURES; i++) {
        json_array_append_new(names, json_string(features[i].name));
        for (int j = i; j < GW__FEATURES; j++)
            put(a, l->a[i][j]);
        put(b, l->b[i]);
    }
    for (int s = 0; s < GW__SCRIPTS; s++) {
        put(scripts_, l->seen[s]);
        put(scripts_, l->tokens[s]);
    }
    double kept[TEL_HISTORY];
    size_t n = tel_values(&l->error, kept);
    for (size_t i = 0; i < n; i++)
        put(errors, kept[i]);
    json_puti(saved, "turns", l->turns);
    json_put(saved, "features", names);
    json_put(saved, "a", a);
    json_put(saved, "b", b);
    json_put(saved, "scripts", scripts_);
    json_put(saved, "errors", errors);
    return saved;
}

/* The list's number at i, or NAN where none of use stands. */
static double number(const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    double x = json_is_number(value) ? json_number_value(value) : NAN;
    return x >= 0 && x < LARGEST ? x : NAN;
}

static bool read_equations(struct gw__learner *l, const json_t *saved)
{
    const json_t *names = json_object_get(saved, "features"), *a = json_object_get(saved, "a"),
                 *b = json_object_get(saved, "b");
    bool fine = json_array_size(names) == GW__FEATURES;
    size_t at = 0;
    for (size_t i = 0; fine && i < GW__FEATURES; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        fine = name && strcmp(name, features[i].name) == 0;
        for (size_t j = i; j < GW__FEATURES; j++)
            l->a[i][j] = l->a[j][i] = number(a, at++);
        l->b[i] = number(b, i);
        for (size_t j = i; j < GW__FEATURES; j++)
            fine = fine && !isnan(l->a[i][j]);
        fine = fine && !isnan(l->b[i]);
    }
    /* what no texts give is no least squares */
    for (size_t i = 0; fine && i < GW__FEATURES; i++)
        for (size_t j = 0; fine && j < i; j++)
            fine = l->a[i][j] * l->a[i][j] <= l->a[i][i] * l->a[j][j] * (1 + 1e-6);
    return fine;
}

bool gw__learner_load(struct gw__learner *l, const json_t *saved)
{
    gw__learner_init(l);
    const json_t *kept = json_object_get(saved, "scripts"),
                 *errors = json_object_get(saved, "errors");
    bool fine = read_equations(l, saved);
    for (size_t s = 0; fine && s < GW__SCRIPTS; s++) {
        l->seen[s] = number(kept, 2 * s);
        l->tokens[s] = number(kept, 2 * s + 1);
        fine = !isnan(l->seen[s]) && !isnan(l->tokens[s]);
    }
    size_t n = json_array_size(errors);
    fine = fine && n <= TEL_HISTORY;
    for (size_t i = 0; fine && i < n; i++) {
        fine = !isnan(number(errors, i));
        tel_record(&l->error, number(errors, i));
    }
    l->turns = json_int(saved, "turns", -1);
    if (!fine || l->turns < 0 || l->turns > INT32_MAX) {
        gw__learner_init(l);
        return false;
    }
    solve(l, SWEEPS_LOADED);
    return true;
}
