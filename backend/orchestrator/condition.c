/* Reading and evaluating conditions. An expression is kept as a tree in an array: what a node needs
 * stands before it. */
#include "backend/orchestrator/condition.h"
#include "backend/base/text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 96, DEPTH = 16, WORD = 64 };

enum kind { NUMBER, TEXT };
static const struct {
    const char *name;
    enum kind kind;
    const char *words;
} VARIABLES[VAR_COUNT] = {
#define VARIABLE(id, name, kind, words, about) {name, kind, words},
#include "backend/orchestrator/variables.def"
#undef VARIABLE
};

enum op { OP_OR, OP_AND, OP_NOT, OP_EQ, OP_NE, OP_LE, OP_GE, OP_LT, OP_GT };
static const char *const SIGNS[] = {"==", "!=", "<=", ">=", "<", ">"}; /* from OP_EQ on */

struct operand {
    enum kind kind;
    int variable; /* -1: a constant */
    double number;
    char text[WORD];
};

struct node {
    enum op op;
    size_t left, right; /* nodes, for or, and, not */
    struct operand a, b;
};

struct condition {
    struct node *at;
    size_t count; /* the last node is the whole */
};

struct reader {
    struct condition *c;
    const char *text, *p;
    struct error *e;
    unsigned depth;
};

const char *condition_name(enum condition_variable v)
{
    return VARIABLES[v].name;
}

bool condition_is_text(enum condition_variable v)
{
    return VARIABLES[v].kind == TEXT;
}

static bool wrong(struct reader *r, const char *what)
{
    if (r->e && r->e->code == ERR_OK)
        err_set(r->e, ERR_INVALID, "%s, at byte %zu of \"%.120s\"", what,
                (size_t)(r->p - r->text) + 1, r->text);
    return false;
}

static void blanks(struct reader *r)
{
    while (*r->p == ' ' || *r->p == '\t')
        r->p++;
}

static size_t word_length(const char *p)
{
    size_t n = 0;
    if (!isalpha((unsigned char)*p) && *p != '_')
        return 0;
    while (isalnum((unsigned char)p[n]) || p[n] == '_')
        n++;
    return n;
}

static bool take_word(struct reader *r, const char *word)
{
    blanks(r);
    size_t n = strlen(word);
    if (word_length(r->p) != n || strncmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

static bool take_variable(struct reader *r, size_t n, struct operand *out)
{
    char name[WORD] = "";
    const char *names[VAR_COUNT];
    memcpy(name, r->p, n < WORD - 1 ? n : WORD - 1);
    for (int i = 0; i < VAR_COUNT; i++) {
        names[i] = VARIABLES[i].name;
        if (strlen(names[i]) == n && strncmp(names[i], r->p, n) == 0) {
            *out = (struct operand){.kind = VARIABLES[i].kind, .variable = i};
            r->p += n;
            return true;
        }
    }
    const char *near = text_nearest(name, names, VAR_COUNT);
    char what[192];
    snprintf(what, sizeof what, "no variable is named \"%s\"%s%s%s", name,
             near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return wrong(r, what);
}

static bool take_quoted(struct reader *r, struct operand *out)
{
    const char *end = strchr(r->p + 1, *r->p);
    if (!end)
        return wrong(r, "a text does not end");
    size_t n = (size_t)(end - r->p) - 1;
    if (n >= WORD)
        return wrong(r, "a text is too long");
    *out = (struct operand){.kind = TEXT, .variable = -1};
    memcpy(out->text, r->p + 1, n);
    r->p = end + 1;
    return true;
}

/* Digits with at most one point: what strtod takes besides (hex, inf, an exponent) is none. */
static bool take_number(struct reader *r, struct operand *out)
{
    size_t n = *r->p == '-', digits = 0, points = 0;
    for (; isdigit((unsigned char)r->p[n]) || r->p[n] == '.'; n++) {
        points += r->p[n] == '.';
        digits += r->p[n] != '.';
    }
    if (!digits || points > 1 || n > 24)
        return wrong(r, "a number, a text or a variable is expected");
    *out = (struct operand){.kind = NUMBER, .variable = -1};
    double whole = 0, share = 1;
    bool behind = false;
    for (const char *p = r->p + (*r->p == '-'); p < r->p + n; p++) {
        behind = behind || *p == '.';
        if (*p == '.')
            continue;
        share = behind ? share / 10 : share;
        whole = behind ? whole + (*p - '0') * share : whole * 10 + (*p - '0');
    }
    out->number = *r->p == '-' ? -whole : whole;
    r->p += n;
    return true;
}

static bool take_operand(struct reader *r, struct operand *out)
{
    blanks(r);
    size_t n = word_length(r->p);
    if (n)
        return take_variable(r, n, out);
    return *r->p == '\'' || *r->p == '"' ? take_quoted(r, out) : take_number(r, out);
}

static bool may_be(const char *words, const char *word)
{
    size_t n = strlen(word);
    if (!n || strchr(word, ' '))
        return false;
    for (const char *p = words; (p = strstr(p, word)) != NULL; p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static bool add(struct reader *r, struct node node, size_t *at)
{
    if (r->c->count == NODES)
        return wrong(r, "the condition is too long");
    *at = r->c->count++;
    r->c->at[*at] = node;
    return true;
}

static bool take_comparison(struct reader *r, size_t *at)
{
    struct node n = {.op = OP_OR};
    if (!take_operand(r, &n.a))
        return false;
    blanks(r);
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS && n.op == OP_OR; i++) {
        if (strncmp(r->p, SIGNS[i], strlen(SIGNS[i])) == 0) {
            n.op = (enum op)(OP_EQ + i);
            r->p += strlen(SIGNS[i]);
        }
    }
    if (n.op == OP_OR)
        return wrong(r, "a comparison (==, !=, <, <=, >, >=) is expected");
    if (!take_operand(r, &n.b))
        return false;
    if (n.a.kind != n.b.kind)
        return wrong(r, "a number is compared with a text");
    if (n.a.kind == TEXT && n.op != OP_EQ && n.op != OP_NE)
        return wrong(r, "texts are only equal or not");
    const struct operand *var = n.a.variable >= 0 ? &n.a : &n.b;
    const struct operand *word = n.a.variable >= 0 ? &n.b : &n.a;
    if (var->variable < 0)
        return wrong(r, "one side is to be a variable");
    if (n.a.kind == TEXT && word->variable < 0 &&
        !may_be(VARIABLES[var->variable].words, word->text)) {
        char what[192];
        snprintf(what, sizeof what, "%s is never \"%s\"", VARIABLES[var->variable].name,
                 word->text);
        return wrong(r, what);
    }
    return add(r, n, at);
}

static bool take_or(struct reader *r, size_t *at);

static bool take_not(struct reader *r, size_t *at)
{
    bool taken;
    if (++r->depth > DEPTH)
        return wrong(r, "the condition is nested too deeply");
    if (take_word(r, "not")) {
        struct node n = {.op = OP_NOT};
        taken = take_not(r, &n.left) && add(r, n, at);
    } else if (blanks(r), *r->p == '(') {
        r->p++;
        taken = take_or(r, at);
        blanks(r);
        if (taken && *r->p != ')')
            taken = wrong(r, "a ) is expected");
        r->p += taken;
    } else {
        taken = take_comparison(r, at);
    }
    r->depth--;
    return taken;
}

static bool take_and(struct reader *r, size_t *at)
{
    if (!take_not(r, at))
        return false;
    while (take_word(r, "and")) {
        struct node n = {.op = OP_AND, .left = *at};
        if (!take_not(r, &n.right) || !add(r, n, at))
            return false;
    }
    return true;
}

static bool take_or(struct reader *r, size_t *at)
{
    if (!take_and(r, at))
        return false;
    while (take_word(r, "or")) {
        struct node n = {.op = OP_OR, .left = *at};
        if (!take_and(r, &n.right) || !add(r, n, at))
            return false;
    }
    return true;
}

struct condition *condition_read(const char *text, struct error *e)
{
    struct error own = {0};
    struct reader r = {.c = xcalloc(1, sizeof *r.c), .text = text, .p = text, .e = e ? e : &own};
    size_t whole;
    *r.e = (struct error){0};
    r.c->at = xcalloc(NODES, sizeof *r.c->at);
    bool read = strlen(text) <= CONDITION_BYTES || wrong(&r, "the condition is too long");
    read = read && take_or(&r, &whole);
    blanks(&r);
    if (read && *r.p)
        read = wrong(&r, "\"and\" or \"or\" is expected");
    if (!read) {
        condition_free(r.c);
        return NULL;
    }
    r.c->at = xrealloc(r.c->at, r.c->count * sizeof *r.c->at);
    return r.c;
}

void condition_free(struct condition *c)
{
    if (c)
        free(c->at);
    free(c);
}

static int compare(const struct node *n, const struct condition_values *v)
{
    const struct operand *sides[2] = {&n->a, &n->b};
    double number[2];
    const char *text[2];
    for (int i = 0; i < 2; i++) {
        int var = sides[i]->variable;
        if (var >= 0 && !v->known[var])
            return -1;
        number[i] = var < 0 ? sides[i]->number : v->number[var];
        text[i] = var < 0 ? sides[i]->text : v->text[var] ? v->text[var] : "";
    }
    if (n->a.kind == TEXT)
        return (strcmp(text[0], text[1]) == 0) == (n->op == OP_EQ);
    double a = number[0], b = number[1];
    switch (n->op) {
    case OP_EQ:
        return !(a < b) && !(a > b);
    case OP_NE:
        return a < b || a > b;
    case OP_LE:
        return a <= b;
    case OP_GE:
        return a >= b;
    case OP_LT:
        return a < b;
    default:
        return a > b;
    }
}

int condition_holds(const struct condition *c, const struct condition_values *v)
{
    int value[NODES] = {0};
    for (size_t i = 0; i < c->count; i++) {
        const struct node *n = &c->at[i];
        int a = n->op <= OP_NOT ? value[n->left] : 0;
        int b = n->op <= OP_AND ? value[n->right] : 0;
        if (n->op == OP_OR)
            value[i] = a == 1 || b == 1 ? 1 : a == 0 && b == 0 ? 0 : -1;
        else if (n->op == OP_AND)
            value[i] = a == 0 || b == 0 ? 0 : a == 1 && b == 1 ? 1 : -1;
        else if (n->op == OP_NOT)
            value[i] = a < 0 ? -1 : !a;
        else
            value[i] = compare(n, v);
    }
    return value[c->count - 1];
}
