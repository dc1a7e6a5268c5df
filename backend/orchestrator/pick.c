/* A tool's worth for a question is a sum: how its description fits by words and by vectors, then by
 * concepts, which count less, then a little for a system or a thing that the question names.
 * Whoever speaks of another one of that sort than the question names loses by it. */
#include "backend/orchestrator/pick.h"
#include "backend/orchestrator/names.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double BY_WORDS = 0.5, BY_VECTORS = 0.6, BY_CONCEPTS = 0.45, BY_CLUES = 0.35;
static const double NAMED = 0.15, GIVEN = 0.3, FOUND = 0.25;
/* A further look is for what clues speak of so much, and is worth so much at least. */
static const double CLUE = 0.35, FURTHER = 0.45;
/* So well is a tool about just what was found, and so well has it to be about what was asked. */
static const double JUST_THAT = 0.6, ASKED_TOO = 0.4;
/* Another one than is asked for; one of a kind of which another fits more. */
static const double OTHER = 0.5, SIBLING = 0.6;
/* What fits no better fits by chance; what fits so much worse than the best is about other things,
 * the more so where a tool has all words of the question. */
static const double FLOOR = 0.15, SHARE = 0.42, SHARE_OF_WORDS = 0.25, ENOUGH = 0.6,
                    ALL_WORDS = 0.75;
/* Where most words are not of operations work a tool's description has to fit so well by words or
 * by vectors: "what does the ticket cost" is no question about the cloud's bill. */
static const double UNDERSTOOD = 0.4, FIT_WORDS = 0.3, FIT_VECTORS = 0.24;
/* Each further tool of a name that was chosen, and one that speaks of the same, is worth less. */
static const double AGAIN = 0.75, ALIKE = 0.12;
/* What was asked for and none of those that were chosen speaks of makes one that does worth more.
 */
static const double UNSERVED = 0.3, UNSERVED_NEAR = 0.15;
/* Where a tool says what it is for: its name and title; its description; whom it belongs to. */
static const double IN_NAME = 1, IN_TEXT = 0.7, IN_CONNECTOR = 0.5;

struct one {
    double clue; /* how well it serves the clues, 0..1 */
    bool found;  /* clues name its system */
    char *text;  /* that know_fit reads */
    double told[CONCEPTS_MOST];
    size_t met, parts; /* of the connector's name, in the question */
    size_t given;      /* arguments whose value the question names */
    bool other;        /* it is of another host than the question names */
};

struct choosing {
    const struct pick_for *by;
    const struct pick_tool *tools;
    size_t n;
    struct concepts *concepts;
    double asked[CONCEPTS_MOST], wanted[CONCEPTS_MOST], clued[CONCEPTS_MOST];
    struct one *ones;
    struct pick *picks;
};

/* ---- what a tool says of itself */

static bool is_own(const struct conn_tool *t)
{
    return strcmp(t->connector, CONN_OWN_NAME) == 0 || strcmp(t->connector, "host") == 0;
}

static void add_part(void *arg, const char *word, size_t len)
{
    buf_addf(arg, "%.*s ", (int)len, word);
}

static void add_values(struct buf *to, const json_t *arguments)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)arguments, key, value) if (json_is_string(value))
        buf_addf(to, " %.80s", json_string_value(value));
}

/* What a question is to fit: also the system's name, which who asks often says ("redis-cache"), and
 * the parts of getPodLogs. The caller frees. */
static char *described(const struct pick_tool *tool)
{
    const struct conn_tool *t = tool->as;
    struct buf text = {0};
    buf_addf(&text, "%s. ", is_own(t) ? "" : t->connector);
    concepts_words(t->name, add_part, &text);
    buf_addf(&text, ". %s. %s", t->title ? t->title : "", t->description ? t->description : "");
    add_values(&text, tool->arguments);
    return buf_take(&text);
}

static void tells(struct concepts *c, const struct conn_tool *t, double told[CONCEPTS_MOST])
{
    if (t->description)
        concepts_read(c, t->description, IN_TEXT, told);
    if (!is_own(t))
        concepts_read(c, t->connector, IN_CONNECTOR, told);
    concepts_read(c, t->name, IN_NAME, told);
    if (t->title)
        concepts_read(c, t->title, IN_NAME, told);
}

/* ---- names */

struct naming {
    const struct choosing *c;
    struct one *one;
    const char *in; /* a text in which names are looked for */
    bool any, stands;
};

/* The word stands in the question, or is of what it asks about. */
static void meet_part(void *arg, const char *word, size_t len)
{
    struct naming *n = arg;
    double said[CONCEPTS_MOST] = {0};
    char part[NAME_LONGEST + 1];
    snprintf(part, sizeof part, "%.*s", (int)len, word);
    bool met = name_stands(part, strlen(part), n->c->by->question);
    concepts_read(n->c->concepts, part, 1, said);
    for (size_t i = 0; i < CONCEPTS_MOST && !met; i++)
        met = said[i] > 0 && n->c->asked[i] >= 1;
    n->one->parts++;
    n->one->met += met;
}

/* web-03, ns1: one of several; not p95, which is a word. */
static bool one_of_many(struct concepts *concepts, const char *name, size_t len)
{
    double said[CONCEPTS_MOST] = {0};
    char whole[NAME_LONGEST + 1];
    if (!len || len > NAME_LONGEST || !isdigit((unsigned char)name[len - 1]) ||
        !isalpha((unsigned char)*name) || strcspn(name, "/.:") < len)
        return false;
    snprintf(whole, sizeof whole, "%.*s", (int)len, name);
    concepts_read(concepts, whole, 1, said);
    for (size_t i = 0; i < CONCEPTS_MOST; i++)
        if (said[i] > 0)
            return strpbrk(whole, "-_") != NULL;
    return true;
}

static void look_for(void *arg, const char *name, size_t len)
{
    struct naming *n = arg;
    if (!one_of_many(n->c->concepts, name, len))
        return;
    n->any = true;
    n->stands = n->stands || name_stands(name, len, n->in);
}

/* The question names one of many (web-03), and the tool belongs to another. */
static bool of_another(const struct choosing *c, const struct conn_tool *t)
{
    struct naming n = {.c = c, .in = t->connector};
    names_in(c->by->question, look_for, &n);
    return n.any && !n.stands && one_of_many(c->concepts, t->connector, strlen(t->connector));
}

/* A value that the question names, or that begins with a name of it (checkout of checkout-6f7d). */
static void value_of(void *arg, const char *word, size_t len)
{
    struct naming *n = arg;
    n->stands = n->stands || (len > 2 && name_stands(word, len, n->in));
}

static size_t given_by(const struct choosing *c, const json_t *arguments)
{
    const char *key;
    json_t *value;
    size_t given = 0;
    json_object_foreach((json_t *)arguments, key, value)
    {
        const char *text = json_string_value(value);
        struct naming n = {.in = text};
        if (!text)
            continue;
        names_in(c->by->question, value_of, &n);
        given += n.stands || (strlen(text) > 2 && name_stands(text, strlen(text), c->by->question));
    }
    return given;
}

/* Another tool of the name, or of the same connectors' family, has more of what is named. */
static bool has_better_sibling(const struct choosing *c, size_t i)
{
    const struct conn_tool *t = c->tools[i].as;
    for (size_t j = 0; j < c->n; j++) {
        const struct conn_tool *o = c->tools[j].as;
        if (j == i || strcmp(o->name, t->name) != 0)
            continue;
        bool elsewhere = strcmp(o->connector, t->connector) != 0;
        if (elsewhere ? c->ones[j].met * c->ones[i].parts > c->ones[i].met * c->ones[j].parts
                      : c->ones[j].given > c->ones[i].given)
            return true;
    }
    return false;
}

/* ---- worth */

static void find_name(void *arg, const char *word, size_t len)
{
    struct naming *n = arg;
    double said[CONCEPTS_MOST] = {0};
    char part[NAME_LONGEST + 1];
    snprintf(part, sizeof part, "%.*s", (int)len, word);
    if (len < 3 || isdigit((unsigned char)*word) || !name_stands(word, len, n->in))
        return;
    concepts_read(n->c->concepts, part, 1, said);
    bool common = false; /* "errors", "cpu" are no names */
    for (size_t i = 0; i < CONCEPTS_MOST; i++)
        common = common || said[i] > 0;
    n->stands = n->stands || !common;
}

/* The first answers name this tool's system: "orders" for pg-orders. */
static bool is_found(const struct choosing *c, const struct conn_tool *t)
{
    struct naming n = {.c = c, .in = c->by->clues};
    if (!is_own(t))
        concepts_words(t->connector, find_name, &n);
    return n.stands;
}

static void read_tools(struct choosing *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct conn_tool *t = c->tools[i].as;
        struct one *one = &c->ones[i];
        one->text = described(&c->tools[i]);
        tells(c->concepts, t, one->told);
        if (!is_own(t))
            concepts_words(t->connector, meet_part, &(struct naming){.c = c, .one = one});
        one->other = !is_own(t) && of_another(c, t);
        one->given = given_by(c, c->tools[i].arguments);
        one->clue = c->by->clues ? concepts_met(c->clued, one->told) : 0;
        one->found = c->by->clues && is_found(c, t);
    }
}

static void weigh(struct choosing *c, const double *const fit[2])
{
    bool strange = concepts_share(c->concepts, c->by->question) < UNDERSTOOD;
    for (size_t i = 0; i < c->n; i++) {
        const struct one *one = &c->ones[i];
        struct pick *p = &c->picks[i];
        double given = one->given > 2 ? 2 : (double)one->given;
        *p = (struct pick){.tool = i, .fit = {fit[0][i], fit[1][i]}};
        p->concept = concepts_met(c->wanted, one->told);
        p->total = BY_WORDS * p->fit[0] + BY_VECTORS * p->fit[1] + BY_CONCEPTS * p->concept;
        if (one->parts)
            p->total += NAMED * (double)one->met / (double)one->parts;
        p->total += GIVEN * given / 2;
        p->total += BY_CLUES * one->clue + (one->found ? FOUND : 0);
        p->total *= one->other ? OTHER : 1;
        p->total *= has_better_sibling(c, i) ? SIBLING : 1;
        if (strange && p->fit[0] < FIT_WORDS && p->fit[1] < FIT_VECTORS)
            p->total = 0;
    }
}

static double alike(const double a[CONCEPTS_MOST], const double b[CONCEPTS_MOST])
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < CONCEPTS_MOST; i++) {
        ab += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* What it is worth to speak of something that was asked for and that none of those that were chosen
 * serves: itself, or of what is looked at for it. */
static double serves_more(const struct choosing *c, size_t i, const bool served[CONCEPTS_MOST])
{
    const double *told = c->ones[i].told;
    bool own[CONCEPTS_MOST] = {false};
    double more = 0;
    concepts_served(c->concepts, c->asked, told, own);
    for (size_t r = 0; r < CONCEPTS_MOST; r++)
        if (own[r] && !served[r])
            more = fmax(more, told[r] > 0 ? UNSERVED : UNSERVED_NEAR);
    return more;
}

/* What was found leads to it: names its system or what it is called with, or is what a tool of the
 * system that told it, or a tool that is about just that, tells more of. */
static bool is_further(const struct choosing *c, size_t i)
{
    const struct one *one = &c->ones[i];
    if (is_own(c->tools[i].as) && !c->tools[i].filled)
        return false; /* what these measure the first look has chosen, and would differ by a moment
                       */
    if (one->clue < CLUE)
    return one->found && c->picks[i].concept >= CLUE;
    return one->found || c->tools[i].near || c->tools[i].filled ||
           (one->clue >= JUST_THAT && c->picks[i].concept >= ASKED_TOO);
}

/* Beside those that were chosen; 0: it is not taken. */
static double worth(const struct choosing *c, size_t i, const struct pick *chosen, size_t n,
                    const bool served[CONCEPTS_MOST], double floor)
{
    double value = c->picks[i].total, most = 0;
    if (n)
        value += serves_more(c, i, served);
    if (value < floor || c->picks[i].total < FLOOR)
        return 0;
    if (c->by->clues && !is_further(c, i))
        return 0;
    for (size_t j = 0; j < n; j++) {
        const struct pick_tool *other = &c->tools[chosen[j].tool];
        most = fmax(most, alike(c->ones[i].told, c->ones[chosen[j].tool].told));
        if (strcmp(other->as->name, c->tools[i].as->name) == 0)
            value *= AGAIN;
    }
    return value - ALIKE * most;
}

static size_t choose(const struct choosing *c, size_t max, struct pick *out)
{
    double best = 0, words = 0;
    for (size_t i = 0; i < c->n; i++) {
        best = fmax(best, c->picks[i].total);
        words = fmax(words, c->picks[i].fit[0]);
    }
    double floor = (SHARE + SHARE_OF_WORDS * words) * best;
    if (c->by->clues)
        floor = FURTHER;
    else if (words < ALL_WORDS)
        floor = fmin(ENOUGH, floor);
    size_t taken = 0;
    bool *used = xcalloc(c->n + 1, sizeof *used), served[CONCEPTS_MOST] = {false};
    for (size_t i = 0; i < c->n; i++)
        if (c->tools[i].taken)
            concepts_served(c->concepts, c->asked, c->ones[i].told, served);
    while (taken < max) {
        size_t at = c->n;
        double most = 0;
        for (size_t i = 0; i < c->n; i++) {
            double value =
                used[i] || c->tools[i].taken ? 0 : worth(c, i, out, taken, served, floor);
            if (value > most) {
                most = value;
                at = i;
            }
        }
        if (at == c->n)
            break;
        used[at] = true;
        concepts_served(c->concepts, c->asked, c->ones[at].told, served);
        out[taken++] = c->picks[at];
    }
    free(used);
    return taken;
}

size_t pick_tools(const struct know *know, struct concepts *concepts, const struct pick_for *by,
                  const struct pick_tool *tools, size_t n, size_t max, struct pick *out)
{
    struct choosing c = {.by = by, .tools = tools, .n = n, .concepts = concepts};
    const char **texts = xcalloc(n + 1, sizeof *texts);
    double *fit[2] = {xcalloc(n + 1, sizeof(double)), xcalloc(n + 1, sizeof(double))};
    c.ones = xcalloc(n + 1, sizeof *c.ones);
    c.picks = xcalloc(n + 1, sizeof *c.picks);
    concepts_read(concepts, by->question, 1, c.asked);
    concepts_follow(concepts, c.asked, c.wanted);
    if (by->clues) {
        double named[CONCEPTS_MOST] = {0};
        concepts_read(concepts, by->clues, 1, named);
        concepts_precise(named);
        concepts_follow(concepts, named, c.clued);
    }
    read_tools(&c);
    for (size_t i = 0; i < n; i++)
        texts[i] = c.ones[i].text;
    for (int way = 0; way < 2; way++)
        know_fit(know, (enum know_way)way, by->question, texts, n, fit[way]);
    weigh(&c, (const double *const[2]){fit[0], fit[1]});
    size_t taken = choose(&c, max, out);
    for (size_t i = 0; i < n; i++)
        free(c.ones[i].text);
    free(c.ones);
    free(c.picks);
    free(texts);
    free(fit[0]);
    free(fit[1]);
    return taken;
}
