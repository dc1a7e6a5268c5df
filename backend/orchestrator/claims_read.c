/* Text into claims, claims into tokens. What the tokens say together (numbers with their units,
 * negation) is claims_said.c's. */
#include "backend/base/text.h"
#include "backend/orchestrator/claims_internal.h"
#include <stdlib.h>
#include <string.h>

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool ascii_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Bytes of a letter at s: ASCII, or a character beyond it that is no punctuation; 0: none. */
static size_t letter(const char *s, size_t len)
{
    if (!len || (unsigned char)*s < 0x80)
        return len && ascii_letter(*s) ? 1 : 0;
    uint32_t cp;
    size_t n = text_decode(s, len, &cp);
    bool is = cp < TEXT_BAD && cp >= 0xC0 && cp != 0xD7 && cp != 0xF7 &&
              !(cp >= 0x2000 && cp <= 0x2BFF) && !(cp >= 0x3000 && cp <= 0x303F) &&
              !(cp >= 0xE000 && cp <= 0xF8FF);
    return is ? n : 0;
}

/* ---- tokens */

struct reading {
    struct claims_reader *r;
    struct claims *c;
    struct claims__claim *claim;
    uint16_t phrase, clause;
    bool in_phrase;
};

static struct claims__token *add_token(struct reading *g, const char *at, size_t len,
                                       enum claims__kind kind)
{
    struct claims *c = g->c;
    if (g->claim->tokens == CLAIMS__TOKENS)
        return NULL;
    if (c->token_count == c->token_cap) {
        c->token_cap *= 2;
        c->tokens = xrealloc(c->tokens, c->token_cap * sizeof *c->tokens);
    }
    struct claims__token *t = &c->tokens[c->token_count++];
    *t = (struct claims__token){.at = (uint32_t)(at - c->text),
                                .len = (uint16_t)(len < 4096 ? len : 4096),
                                .kind = (uint8_t)kind,
                                .number = -1};
    bool says = kind == CLAIMS__WORD || kind == CLAIMS__NAME || kind == CLAIMS__NUMBER;
    if (says && !g->in_phrase)
        g->phrase++;
    if (kind != CLAIMS__CITE)
        g->in_phrase = says;
    if (kind == CLAIMS__BREAK)
        g->clause++;
    t->phrase = g->phrase;
    t->clause = g->clause;
    g->claim->tokens++;
    return t;
}

/* Anna, Иванов: one capital and small letters. */
static bool is_proper(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    if (len > 2 && ascii_letter(s[0]) && s[0] <= 'Z')
        return s[1] >= 'a' && s[1] <= 'z';
    return len > 4 && p[0] == 0xD0 && p[1] >= 0x90 && p[1] <= 0xAF &&
           (p[2] == 0xD1 || (p[2] == 0xD0 && p[3] >= 0xB0));
}

/* A word at s, of len bytes there; folded: in lower case. */
static void add_folded(struct reading *g, const char *s, size_t len, const char *folded, size_t n)
{
    if (n > 2 && folded[n - 2] == '\'' && folded[n - 1] == 's')
        n -= 2;
    const struct claims__claim *k = g->claim;
    const struct claims__token *before = k->tokens ? &g->c->tokens[k->token + k->tokens - 1] : NULL;
    enum claims__kind kind = CLAIMS__WORD;
    const struct claims__lexeme *lexeme = claims__lexeme(g->r, folded, n);
    const struct claims__word *word = lexeme->role;
    uint64_t roles = word ? word->roles : 0;
    bool alone = k->len == len; /* "up" is all that is said */
    bool field = before && before->kind == CLAIMS__BREAK && strchr(":=", g->c->text[before->at]);
    bool said_of = alone || field ||
                   (before && (before->copula || before->kind == CLAIMS__NEGATE ||
                               (before->meaning && (before->meaning->roles & CLAIMS__TURNS))));
    if ((roles & CLAIMS__NEGATES) || (n > 3 && memcmp(folded + n - 3, "n't", 3) == 0))
        kind = CLAIMS__NEGATE;
    else if (roles & CLAIMS__JOINS)
        kind = CLAIMS__BREAK;
    else if ((roles & CLAIMS__COPULA) ||
             (!(roles & CLAIMS__SPEAKS) && !(said_of && (roles & CLAIMS__STATE)) && lexeme->stop))
        kind = CLAIMS__STOP;
    bool proper =
        before && before->kind != CLAIMS__BREAK && kind == CLAIMS__WORD && is_proper(s, len);
    struct claims__token *t = add_token(g, s, len, kind); /* before may have moved */
    if (!t)
        return;
    t->meaning = word;
    t->copula = (roles & CLAIMS__COPULA) != 0;
    claims__word_put(g->c, t, folded, n, lexeme);
    t->light = t->light || (roles & CLAIMS__SAYS_LITTLE);
    t->proper = proper;
}

static void add_word(struct reading *g, const char *s, size_t len)
{
    char folded[CLAIMS__FOLDED];
    size_t n = claims__fold(s, len, folded);
    add_folded(g, s, len, folded, n);
}

/* read-only, non-empty */
static bool is_one_word(const char *s, size_t len)
{
    return (len > 5 && memcmp(s + len - 5, "-only", 5) == 0) ||
           (len > 4 && s[3] == '-' && (*s | 32) == 'n' && (s[1] | 32) == 'o' && (s[2] | 32) == 'n');
}

static void add_joined(struct reading *g, const char *s, size_t len)
{
    char folded[CLAIMS__FOLDED];
    size_t n = claims__fold(s, len, folded), used = 0;
    for (size_t i = 0; i < n; i++)
        if (folded[i] != '-')
            folded[used++] = folded[i];
    add_folded(g, s, len, folded, used);
}

static void add_name(struct reading *g, const char *s, size_t len)
{
    char folded[CLAIMS__FOLDED];
    size_t n = claims__fold(s, len, folded);
    struct claims__token *t = add_token(g, s, len, CLAIMS__NAME);
    if (!t)
        return;
    t->meaning = claims__word(g->r, folded, n); /* GiB */
    claims__name_meaning(g->r, g->c, t, folded, n);
}

static bool in_name(char c)
{
    return digit(c) || ascii_letter(c) || strchr("._-/@", c) != NULL;
}

/* "node A": a capital that stands alone is a name. At the beginning of a claim it may be an
 * article: there another one has to stand in the claim. */
static bool is_letter_name(const struct reading *g, const char *s)
{
    const char *begin = g->c->text + g->claim->at, *end = begin + g->claim->len;
    if (*s < 'A' || *s > 'Z' || *s == 'I')
        return false;
    if (g->claim->tokens)
        return s > begin + 1 && !(s[-2] >= 'A' && s[-2] <= 'Z'); /* not where all is capitals */
    for (const char *p = s + 2; p < end; p++)
        if (*p >= 'A' && *p <= 'Z' && *p != 'I' && p[-1] == ' ' &&
            !(p[-2] >= 'A' && p[-2] <= 'Z') &&
            (p + 1 >= end || !(ascii_letter(p[1]) || digit(p[1]))))
            return true;
    return false;
}

/* A word or a name at s; its bytes. */
static size_t take_word(struct reading *g, const char *s, size_t len)
{
    size_t n = 0, step, slashes = 0, hyphens = 0;
    bool marked = false, lower = false, camel = false;
    while (n < len) {
        if ((step = letter(s + n, len - n)) > 0) {
            camel = camel || (lower && s[n] >= 'A' && s[n] <= 'Z');
            lower = s[n] >= 'a' && s[n] <= 'z';
            n += step;
            continue;
        }
        bool more = n + 1 < len && (digit(s[n + 1]) || letter(s + n + 1, len - n - 1));
        if (digit(s[n]) || s[n] == '_' || ((s[n] == '.' || s[n] == '@') && more))
            marked = true;
        else if (s[n] == '/' && more)
            slashes++;
        else if (s[n] == '-' && more)
            hyphens++;
        else if (!(s[n] == '\'' && more))
            break;
        lower = false;
        n++;
    }
    if (len - n >= 4 && memcmp(s + n, "\xE2\x80\x99", 3) == 0 && letter(s + n + 3, 1)) {
        n += 3;
        while (n < len && (step = letter(s + n, len - n)) > 0)
            n += step;
    }
    if (marked || camel || (n == 1 && is_letter_name(g, s)) || (slashes && s[0] == '/')) {
        add_name(g, s, n);
    } else if (hyphens == 1 && is_one_word(s, n)) {
        add_joined(g, s, n);
    } else if (slashes || hyphens) {
        for (size_t from = 0, i = 0; i <= n; i++) {
            if (i < n && s[i] != '-' && s[i] != '/')
                continue;
            if (i > from)
                add_word(g, s + from, i - from);
            from = i + 1;
        }
    } else {
        add_word(g, s, n);
    }
    return n;
}

static void add_number(struct reading *g, const char *s, size_t len, const struct claims__number *n)
{
    struct claims *c = g->c;
    if (g->claim->numbers == CLAIMS__NUMBERS)
        return;
    struct claims__token *t = add_token(g, s, len, CLAIMS__NUMBER);
    if (!t)
        return;
    if (c->number_count == c->number_cap) {
        c->number_cap *= 2;
        c->numbers = xrealloc(c->numbers, c->number_cap * sizeof *c->numbers);
    }
    t->number = (int16_t)g->claim->numbers++;
    c->numbers[c->number_count] = *n;
    c->numbers[c->number_count++].token = (uint16_t)(g->claim->tokens - 1);
}

/* What begins with a digit: a number, or a name (10.0.0.1, 5xx, 1.2.3). */
static size_t take_digits(struct reading *g, const char *s, size_t len, bool literal)
{
    struct claims__number number;
    size_t used = claims__number_read(s, len, &number);
    size_t run = 0, dots = 0;
    while (run < len && in_name(s[run])) {
        dots += s[run] == '.' && run + 1 < len && digit(s[run + 1]);
        run++;
    }
    while (run && strchr(".-/", s[run - 1]))
        run--;
    bool ends = used && (used >= len ||
                         (!digit(s[used]) && !letter(s + used, len - used) && s[used] != '_'));
    bool dotted = dots >= 2 && number.unit != CLAIMS__DATE;
    if (ends && !dotted && !literal) {
        add_number(g, s, used, &number);
        return used;
    }
    if (!run)
        run = used ? used : 1;
    add_name(g, s, run);
    return run;
}

static size_t take_path(struct reading *g, const char *s, size_t len)
{
    size_t n = 1;
    while (n < len && in_name(s[n]))
        n++;
    while (n > 1 && strchr(".-", s[n - 1]))
        n--;
    add_name(g, s, n);
    return n;
}

static size_t take_citation(struct reading *g, const char *s, size_t len)
{
    enum { LONGEST = 8 };
    size_t n = 1;
    while (n < len && n < LONGEST && (digit(s[n]) || ascii_letter(s[n])))
        n++;
    if (n == 1 || n >= len || s[n] != ']' || !digit(s[n - 1]))
        return 0;
    add_token(g, s, n + 1, CLAIMS__CITE);
    return n + 1;
}

/* "<none>" in a table, "<b>": its words say nothing of what stands around it. */
static size_t take_bracketed(struct reading *g, const char *s, size_t len)
{
    enum { LONGEST = 24 };
    size_t n = 1;
    while (n < len && n < LONGEST && (ascii_letter(s[n]) || s[n] == '/'))
        n++;
    if (n == 1 || n >= len || s[n] != '>')
        return 0;
    add_name(g, s, n + 1);
    return n + 1;
}

static void add_sign(struct reading *g, const char *s, size_t len)
{
    struct claims__token *t = add_token(g, s, len, CLAIMS__STOP);
    if (t)
        t->meaning = claims__word(g->r, s, len);
}

static void read_tokens(struct reading *g, const char *s, size_t len)
{
    bool code = false;
    for (size_t i = 0, n; i < len && g->claim->tokens < CLAIMS__TOKENS; i += n) {
        const char *at = s + i;
        size_t left = len - i;
        bool fresh = i == 0 || strchr(" \t(`\"'|=", s[i - 1]);
        struct claims__number number;
        code = *at == '`' ? !code : code; /* a command's figures are no figures of the machine */
        if (*at == '[' && (n = take_citation(g, at, left)) > 0)
            continue;
        if (*at == '<' && (n = take_bracketed(g, at, left)) > 0)
            continue;
        bool money = *at == '$' || *at == '\xE2' || *at == '\xC2';
        if (digit(*at) || (money && claims__number_read(at, left, &number)))
            n = take_digits(g, at, left, code);
        else if (*at == '/' && fresh && (left == 1 || at[1] == ' ' || in_name(at[1])))
            n = take_path(g, at, left);
        else if (letter(at, left))
            n = take_word(g, at, left);
        else {
            uint32_t cp;
            n = text_decode(at, left, &cp);
            n = n ? n : 1;
            bool dash = *at == '-' && left > 1 && at[1] == ' ' && i > 0 && s[i - 1] == ' ';
            if (strchr(",;():|=", *at) || dash || cp == 0x2014 || cp == 0x2013)
                add_token(g, at, n, CLAIMS__BREAK);
            else if (strchr("<>~", *at) || cp == 0x2248 || cp == 0x2264 || cp == 0x2265)
                add_sign(g, at, n);
        }
    }
}

/* ---- claims */

struct splitting {
    struct claims_reader *r;
    struct claims *c;
    const char *fence_seen; /* up to here fences were counted */
    bool fenced;
    struct buf *rows; /* of tables: claims that are made of them, a line each */
    const char *head; /* of the table being read, or NULL */
    size_t head_len;
};

static void note_words(struct claims *c, struct claims__claim *k)
{
    for (uint32_t i = 0; i < k->tokens; i++) {
        const struct claims__token *t = &c->tokens[k->token + i];
        if (t->kind != CLAIMS__WORD && t->kind != CLAIMS__NAME)
            continue;
        k->words |= 1ULL << (t->hash >> 58);
        k->rows |= t->sense ? t->sense->rows : 0;
    }
}

/* The tokens before the colon of a field, 0: it is none. */
static uint16_t key_of(const struct claims *c, const struct claims__claim *k)
{
    enum { LONGEST = 6 };
    size_t words = 0;
    for (uint32_t i = 0; i < k->tokens && i < LONGEST; i++) {
        const struct claims__token *t = &c->tokens[k->token + i];
        char mark = c->text[t->at];
        if (t->kind == CLAIMS__BREAK)
            return words && (mark == ':' || mark == '=') && i + 1 < k->tokens ? (uint16_t)i : 0;
        if (t->copula || t->kind == CLAIMS__NEGATE)
            return 0;
        words += t->kind == CLAIMS__WORD || t->kind == CLAIMS__NAME;
    }
    return 0;
}

static void add_claim(struct splitting *p, const char *s, size_t len, bool open)
{
    struct claims *c = p->c;
    while (len && strchr(" \t\r*_", *s))
        s++, len--;
    while (len && strchr(" \t\r*_", s[len - 1]))
        len--;
    if (!len || c->count == CLAIMS__CLAIMS)
        return;
    if (c->count == c->cap) {
        c->cap *= 2;
        c->claims = xrealloc(c->claims, c->cap * sizeof *c->claims);
    }
    struct claims__claim *k = &c->claims[c->count];
    *k = (struct claims__claim){.at = (uint32_t)(s - c->text),
                                .len = (uint32_t)len,
                                .token = (uint32_t)c->token_count,
                                .number = (uint32_t)c->number_count,
                                .code = p->fenced};
    struct reading g = {.r = p->r, .c = c, .claim = k};
    read_tokens(&g, s, len);
    k->open = open || s[len - 1] == '?' || s[len - 1] == ':';
    k->key = key_of(c, k);
    claims__said(p->r, c, k);
    note_words(c, k);
    c->count++;
}

/* Where the second of two sides begins that are set against each other; 0: it is one claim. */
static size_t joint_at(const char *s, size_t len, size_t *skip)
{
    static const struct {
        char text[24];
        uint8_t len;
    } JOINTS[] = {
#define JOINT(text) {text, sizeof text - 1}
        JOINT("; "),     JOINT(", but "),       JOINT(" but "),      JOINT(", while "),
        JOINT(", а "),   JOINT(", но "),        JOINT(", однако "),  JOINT(", whereas "),
        JOINT(", yet "), JOINT(", тогда как "), JOINT(", however "),
#undef JOINT
    };
    enum { LEAST = 8 };
    for (size_t i = LEAST; i + LEAST < len; i++) {
        if (s[i] != ',' && s[i] != ';' && (s[i] != ' ' || s[i + 1] != 'b'))
            continue;
        for (size_t j = 0; j < sizeof JOINTS / sizeof *JOINTS; j++) {
            size_t n = JOINTS[j].len;
            if (i + n < len && memcmp(s + i, JOINTS[j].text, n) == 0) {
                *skip = n;
                return i;
            }
        }
    }
    return 0;
}

static void add_sides(struct splitting *p, const char *s, size_t len, bool open)
{
    size_t skip, at;
    while (!p->fenced && (at = joint_at(s, len, &skip)) > 0) {
        add_claim(p, s, at, open);
        s += at + skip;
        len -= at + skip;
    }
    add_claim(p, s, len, open);
}

/* Counts fences up to a sentence. */
static void count_fences(struct splitting *p, const char *upto)
{
    while (p->fence_seen < upto) {
        const char *line = p->fence_seen;
        size_t n = strspn(line, " \t");
        if (strncmp(line + n, "```", 3) == 0 || strncmp(line + n, "~~~", 3) == 0)
            p->fenced = !p->fenced;
        const char *end = strchr(line, '\n');
        if (!end || end >= upto)
            break;
        p->fence_seen = end + 1;
    }
}

/* The cell of a table's row at *at, which goes on behind its bar; trimmed. */
static const char *cell(const char **at, const char *end, size_t *len)
{
    const char *s = *at, *stop = s;
    while (stop < end && *stop != '|')
        stop++;
    *at = stop < end ? stop + 1 : end;
    while (s < stop && strchr(" \t`*", *s))
        s++;
    while (stop > s && strchr(" \t`*", stop[-1]))
        stop--;
    *len = (size_t)(stop - s);
    return s;
}

/* "| web-1 | 95% |" below "| host | CPU |" says "web-1 CPU: 95%". */
static void take_row(struct splitting *p, const char *row, size_t len)
{
    const char *at = row + 1, *end = row + len, *head = p->head + 1,
               *head_end = p->head + p->head_len;
    size_t first_len, n, h;
    enum { LONGEST = 1024 };
    const char *first = cell(&at, end, &first_len);
    cell(&head, head_end, &h);
    while (at < end) {
        const char *value = cell(&at, end, &n), *name = cell(&head, head_end, &h);
        if (n && h && first_len + h + n < LONGEST && p->rows->len < CLAIMS__TEXT)
            buf_addf(p->rows, "%.*s %.*s: %.*s\n", (int)first_len, first, (int)h, name, (int)n,
                     value);
    }
}

static void take_sentence(void *arg, const char *s, size_t len)
{
    struct splitting *p = arg;
    count_fences(p, s);
    if (len > 2 && *s == '|' && !p->fenced) {
        bool rule = strspn(s, "|-: \t") >= len;
        if (!p->head)
            p->head = s, p->head_len = len;
        else if (!rule)
            take_row(p, s, len);
        return;
    }
    p->head = NULL;
    const char *line = s;
    while (line > p->c->text && line[-1] != '\n')
        line--;
    line += strspn(line, " \t");
    add_sides(p, s, len, *line == '#' && !p->fenced);
}

static void take_made(void *arg, const char *s, size_t len)
{
    add_claim(arg, s, len, false);
}

static struct claims *read_text(struct claims_reader *r, const char *text, size_t len)
{
    struct claims *c = xcalloc(1, sizeof *c);
    struct buf rows = {0};
    c->users = 1;
    c->text = xcalloc(1, len + 1);
    for (size_t i = 0; i < len; i++)
        c->text[i] = text[i] ? text[i] : ' ';
    c->len = len;
    c->cap = 4;
    c->claims = xcalloc(c->cap, sizeof *c->claims);
    c->token_cap = c->number_cap = 16;
    c->tokens = xcalloc(c->token_cap, sizeof *c->tokens);
    c->numbers = xcalloc(c->number_cap, sizeof *c->numbers);
    buf_reserve(&c->stems, 256);
    struct splitting p = {.r = r, .c = c, .fence_seen = c->text, .rows = &rows};
    know_sentences(c->text, take_sentence, &p);
    if (rows.len) { /* their text stands behind the rest, so that all claims have one home */
        c->text = xrealloc(c->text, len + rows.len + 2);
        memcpy(c->text + len, "\n", 1);
        memcpy(c->text + len + 1, rows.data, rows.len + 1);
        p.fenced = false;
        know_sentences(c->text + len + 1, take_made, &p);
    }
    buf_release(&rows);
    return c;
}

struct claims *claims_read(struct claims_reader *r, const char *text, size_t len)
{
    len = len < CLAIMS__TEXT ? len : CLAIMS__TEXT;
    uint64_t key = claims__hash(text, len);
    for (size_t i = 0; i < CLAIMS__KEPT && r->kept[i]; i++) {
        struct claims *c = r->kept[i];
        if (c->key == key && c->len == len && memcmp(c->text, text, len) == 0) {
            c->users++;
            return c;
        }
    }
    struct claims *c = read_text(r, text, len);
    c->key = key;
    if (len <= CLAIMS__KEPT_TEXT) {
        claims_free(r->kept[r->next]);
        c->users++;
        r->kept[r->next] = c;
        r->next = (r->next + 1) % CLAIMS__KEPT;
    }
    return c;
}

void claims_free(struct claims *c)
{
    if (!c || --c->users)
        return;
    free(c->text);
    free(c->claims);
    free(c->tokens);
    free(c->numbers);
    buf_release(&c->stems);
    free(c);
}

size_t claims_count(const struct claims *c)
{
    return c->count;
}

const char *claims_text(const struct claims *c, size_t i, size_t *len)
{
    BUG_IF(i >= c->count);
    *len = c->claims[i].len;
    return c->text + c->claims[i].at;
}

/* Whether a claim has marks, and the one of id among them. */
static bool has_marks(const struct claims *c, size_t i, const char *id, bool *found)
{
    size_t n = strlen(id);
    bool any = false;
    for (uint32_t k = 0; k < c->claims[i].tokens; k++) {
        const struct claims__token *t = &c->tokens[c->claims[i].token + k];
        any = any || t->kind == CLAIMS__CITE;
        *found = *found || (t->kind == CLAIMS__CITE && t->len == n + 2 &&
                            memcmp(c->text + t->at + 1, id, n) == 0);
    }
    return any;
}

bool claims_cites(const struct claims *c, size_t i, const char *id)
{
    BUG_IF(i >= c->count);
    bool found = false;
    for (size_t k = i; k < c->count; k++) {
        uint32_t at = c->claims[k].at;
        if (k > i && (at < c->claims[k - 1].at ||
                      memchr(c->text + c->claims[k - 1].at, '\n', at - c->claims[k - 1].at)))
            break;
        if (has_marks(c, k, id, &found))
            break;
    }
    return found;
}
