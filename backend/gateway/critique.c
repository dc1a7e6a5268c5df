/* GW_CRITIQUE: two answers over the same sources become one. A sentence stays if a source that it
 * cites supports it; what the other answer says and this one does not is added on the same terms.
 *
 * Supported means: some unit of the cited source has most of the sentence's words, the source has
 * all of its numbers, and both negate or neither does. That is a test of words, not of meaning. */
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

#define COVERED 0.6    /* share of a sentence's words that its source must have */
#define SAME_CLAIM 0.6 /* Jaccard of two sentences that make one claim */

enum {
    CLAIMS_MAX = 64,
    MEASURED_MAX = 8,
    STEPS_MAX = 6,
    CLAIM_MAX = 600,
    FAULTS_MAX = 8,
    LEFT_MAX = 6,
    TEXT_MAX = 64 << 10
};

struct claim {
    char *text;  /* quoted anew, without its marks */
    char *marks; /* those of the sources that support it */
    struct gw__words words;
    const struct gw__unit *unit; /* that supports it */
    bool aside;                  /* told as what nobody asked for */
};

struct judging {
    const struct gw_request *r;
    struct gw__lexicon lexicon;
    struct gw__units units;    /* in the language of the request */
    struct gw__words *numbers; /* by source */
    struct claim claims[CLAIMS_MAX];
    size_t len;
    bool aside;                /* below the heading of what nobody asked for */
    bool doubted;              /* a source that is cited does not support its sentence */
    struct gw__pieces *faults; /* sentences that nothing supports, or NULL: nobody asks for them */
};

/* A mark "[id]" of a source at s: its index and length. */
static bool mark_of(const struct judging *j, const char *s, size_t *source, size_t *len)
{
    if (*s != '[')
        return false;
    for (size_t i = 0; i < j->r->source_count; i++) {
        size_t n = strlen(j->r->sources[i].id);
        if (strncmp(s + 1, j->r->sources[i].id, n) == 0 && s[1 + n] == ']') {
            *source = i;
            *len = n + 2;
            return true;
        }
    }
    return false;
}

/* The unit of a source that holds most of the words; NULL if none holds enough. */
static const struct gw__unit *support(const struct judging *j, size_t source, const char *text,
                                      const struct gw__words *words)
{
    struct gw__words numbers = {0};
    gw__numbers_of(text, &numbers);
    bool known = gw__words_common(&numbers, &j->numbers[source]) == numbers.len;
    gw__words_release(&numbers);
    const struct gw__unit *best = NULL;
    double most = 0;
    char mark[64];
    snprintf(mark, sizeof mark, "[%s]", j->r->sources[source].id);
    for (size_t i = 0; known && i < j->units.len; i++) {
        const struct gw__unit *u = &j->units.at[i];
        if (!strstr(u->marks, mark))
            continue;
        double share = (double)gw__words_common(words, &u->words) / (double)words->len;
        if (share >= COVERED && share > most &&
            gw__negations(&j->lexicon, text) % 2 == gw__negations(&j->lexicon, u->text) % 2) {
            most = share;
            best = u;
        }
    }
    return best;
}

/* True if the claim was made already: of the same unit, or in the same words and numbers. */
static bool covered(const struct judging *j, const struct claim *claim, const char *text)
{
    bool found = false;
    for (size_t i = 0; i < j->len && !found; i++) {
        const struct claim *other = &j->claims[i];
        struct gw__words mine = {0}, theirs = {0};
        gw__numbers_of(text, &mine);
        gw__numbers_of(other->text, &theirs);
        bool numbers = mine.len == theirs.len && gw__words_common(&mine, &theirs) == mine.len;
        found = gw__words_alike(&claim->words, &other->words) >= SAME_CLAIM &&
                (numbers || claim->unit == other->unit);
        gw__words_release(&mine);
        gw__words_release(&theirs);
    }
    return found;
}

/* A quoted line without the quotation marks that gw__render puts around it again. */
static char *unquoted(char *text)
{
    static const char *const pairs[][2] = {{"“", "”"}, {"«", "»"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t open = strlen(pairs[i][0]), close = strlen(pairs[i][1]), len = strlen(text);
        while (len > open + close && text[len - 1] == '.')
            len--;
        if (len > open + close && strncmp(text, pairs[i][0], open) == 0 &&
            strncmp(text + len - close, pairs[i][1], close) == 0) {
            memmove(text, text + open, len - open - close);
            text[len - open - close] = '\0';
        }
    }
    return text;
}

/* Judges one sentence without its marks; sources are those it cites. */
static void judge(struct judging *j, const struct buf *sentence, const bool *cited)
{
    struct buf quoted = {0}, marks = {0};
    struct claim claim = {0};
    if (j->len == CLAIMS_MAX ||
        !gw__quote(sentence->data, sentence->len, CLAIM_MAX, GW__MARKDOWN, &quoted))
        goto out;
    gw__words_of(&j->lexicon, quoted.data, &claim.words);
    if (!claim.words.len)
        goto out;
    for (size_t i = 0; i < j->r->source_count; i++) {
        const struct gw__unit *u = cited[i] ? support(j, i, quoted.data, &claim.words) : NULL;
        j->doubted |= cited[i] && !u && !gw__is_frame(quoted.data);
        if (!u)
            continue;
        claim.unit = u;
        buf_addf(&marks, "[%s]", j->r->sources[i].id);
    }
    if (marks.len && !covered(j, &claim, quoted.data)) {
        claim.text = unquoted(buf_take(&quoted));
        claim.marks = buf_take(&marks);
        claim.aside = j->aside && claim.unit->kind == GW__FINDING;
        j->claims[j->len++] = claim;
        claim.words = (struct gw__words){0};
    } else if (!marks.len && j->faults && j->faults->len < FAULTS_MAX &&
               !gw__is_frame(quoted.data)) {
        gw__pieces_add(j->faults, buf_take(&quoted));
    }
out:
    gw__words_release(&claim.words);
    buf_release(&quoted);
    buf_release(&marks);
}

static bool ends_sentence(const char *line, size_t at)
{
    if (!strchr(".!?", line[at]) || line[at] == '\0')
        return false;
    size_t next = at + 1;
    while (line[next] == ' ' || line[next] == '[')
        next +=
            line[next] == '[' ? strcspn(line + next, "]") + (strchr(line + next, ']') != NULL) : 1;
    if (line[next] == '\0')
        return true;
    unsigned char c = (unsigned char)line[next];
    return line[at + 1] == ' ' && ((c >= 'A' && c <= 'Z') || c == 0xd0 || c == '`' || c == '"');
}

/* Takes marks at *at (with the spaces before them) into cited. */
static void take_marks(const struct judging *j, const char *line, size_t *at, bool *cited)
{
    size_t source, len;
    for (;;) {
        size_t spaces = strspn(line + *at, " ");
        if (!mark_of(j, line + *at + spaces, &source, &len))
            return;
        cited[source] = true;
        *at += spaces + len;
    }
}

/* Where the marks at the end of a line begin, if they are its only ones; then they are the source
 * of all its sentences. */
static size_t closing_marks(const struct judging *j, const char *line, bool *cited)
{
    size_t n = strlen(line), from = 0;
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        if (line[i] != ' ' && line[i] != '[')
            continue;
        take_marks(j, line, &at, cited);
        if (at == i)
            continue;
        if (!from)
            from = i;
        size_t rest = at + strspn(line + at, " .!?");
        if (line[rest] != '\0')
            from = n; /* there are more sentences behind */
        i = at - 1;
    }
    return from && from < n ? from : 0;
}

static void judge_line(struct judging *j, const char *line)
{
    bool *cited = xcalloc(j->r->source_count + 1, sizeof *cited);
    struct buf sentence = {0};
    bool code = false;
    line += strspn(line, " \t");
    size_t number = strspn(line, "0123456789");
    if ((*line == '-' || *line == '*' || *line == '+') && line[1] == ' ')
        line += 2;
    else if (number && (line[number] == '.' || line[number] == ')') && line[number + 1] == ' ')
        line += number + 2;
    size_t closing = closing_marks(j, line, cited);
    if (closing) {
        buf_add(&sentence, line, closing);
        judge(j, &sentence, cited);
        goto out;
    }
    memset(cited, 0, j->r->source_count * sizeof *cited);
    for (size_t i = 0; line[i];) {
        if (line[i] == '`')
            code = !code;
        size_t before = i;
        if (!code && !(i && line[i - 1] == '\\'))
            take_marks(j, line, &i, cited);
        if (i != before)
            continue;
        buf_addc(&sentence, line[i]);
        if (!code && ends_sentence(line, i)) {
            i++;
            take_marks(j, line, &i, cited);
            judge(j, &sentence, cited);
            buf_clear(&sentence);
            memset(cited, 0, j->r->source_count * sizeof *cited);
            continue;
        }
        i++;
    }
    if (sentence.len)
        judge(j, &sentence, cited);
out:
    buf_release(&sentence);
    free(cited);
}

static void judge_answer(struct judging *j, const char *text)
{
    size_t len = text ? strnlen(text, TEXT_MAX) : 0;
    for (size_t at = 0; at < len;) {
        size_t n = strcspn(text + at, "\n");
        n = n > len - at ? len - at : n;
        char *line = xstrndup(text + at, n);
        size_t end = strlen(line);
        if (end && line[end - 1] == ':')
            j->aside = gw__is_besides(line);
        if (*line != '#' && strncmp(line, "```", 3) != 0)
            judge_line(j, line);
        free(line);
        at += n + 1;
    }
}

static void learn_numbers(struct judging *j)
{
    j->numbers = xcalloc(j->r->source_count + 1, sizeof *j->numbers);
    for (size_t i = 0; i < j->r->source_count; i++) {
        const struct gw_source *s = &j->r->sources[i];
        char *data = s->data ? json_write(s->data) : xstrdup("");
        gw__numbers_of(s->text, &j->numbers[i]);
        gw__numbers_of(data, &j->numbers[i]);
        free(data);
    }
}

/* Measurements as they were given; as many steps as an answer over them may have, those to look at
 * first. */
static void render(const struct judging *j, struct gw__pieces *out)
{
    struct gw__line lines[MEASURED_MAX + STEPS_MAX];
    size_t n = 0, measured = 0, steps = 0;
    for (size_t i = 0; i < j->len && measured < MEASURED_MAX; i++) {
        const struct claim *c = &j->claims[i];
        if (c->unit->kind >= GW__STEP)
            continue;
        measured++;
        lines[n] = gw__line_of(&j->units, c->unit);
        lines[n].aside = c->aside;
        lines[n].text = c->text;
        lines[n++].marks = c->marks;
    }
    size_t most = gw__steps_wanted(j->r, lines, measured);
    for (int order = 0; order <= GW__LAST_ORDER; order++) {
        for (size_t i = 0; i < j->len && steps < most && steps < STEPS_MAX; i++) {
            const struct claim *c = &j->claims[i];
            if (c->unit->kind < GW__STEP || c->unit->order != order)
                continue;
            steps++;
            lines[n] = gw__line_of(&j->units, c->unit);
            lines[n].text = c->text;
            lines[n++].marks = c->marks;
        }
    }
    gw__render(j->r, lines, n, out);
}

static struct judging *judging_new(const struct gw_request *r)
{
    struct judging *j = xcalloc(1, sizeof *j);
    j->r = r;
    gw__lexicon_init(&j->lexicon);
    gw__units_collect(&j->units, &j->lexicon, r);
    learn_numbers(j);
    return j;
}

static void judging_free(struct judging *j)
{
    for (size_t i = 0; i < j->len; i++) {
        free(j->claims[i].text);
        free(j->claims[i].marks);
        gw__words_release(&j->claims[i].words);
    }
    for (size_t i = 0; i < j->r->source_count; i++)
        gw__words_release(&j->numbers[i]);
    free(j->numbers);
    gw__units_release(&j->units);
    gw__lexicon_release(&j->lexicon);
    free(j);
}

static void add_lines(const char *text, struct gw__pieces *out)
{
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\n");
        n += text[n] == '\n';
        gw__pieces_add(out, xstrndup(text, n));
    }
}

void gw__critique(const struct gw_request *r, struct gw__pieces *out)
{
    struct gw__pieces faults = {0};
    struct judging *j = judging_new(r);
    j->faults = &faults;
    judge_answer(j, r->mine);
    bool sound = j->len && !faults.len && !j->doubted;
    size_t mine = j->len;
    j->faults = NULL;
    j->aside = false;
    judge_answer(j, r->other);
    if (sound && j->len == mine) /* nothing is wrong with it, and nothing is to be added */
        add_lines(r->mine, out);
    else
        render(j, out);
    gw__pieces_release(&faults);
    judging_free(j);
}

/* ---- GW_REVIEW: what is wrong with an answer. What it leaves out stands there as sentences with
 * their sources, so that who mends it can take them over. */

/* A finding over its limit that the answer says nothing of. */
static bool left_out(const struct judging *j, const struct gw__unit *u)
{
    struct claim said = {.words = u->words, .unit = u};
    if (u->kind != GW__FINDING || u->severity == 0)
        return false;
    for (size_t i = 0; i < j->len; i++)
        if (j->claims[i].unit == u)
            return false;
    return !covered(j, &said, u->text);
}

/* What this model would have said of measurements that the answer does not say: claims behind the
 * first `from`. */
static void judge_own(struct judging *j, bool vectors)
{
    struct gw__pieces own = {0};
    struct buf text = {0};
    gw__compose(j->r, vectors, &own);
    for (size_t i = 0; i < own.len; i++)
        buf_adds(&text, own.at[i]);
    judge_answer(j, text.data);
    buf_release(&text);
    gw__pieces_release(&own);
}

static void add_left(struct gw__pieces *out, const char *before, const char *text,
                     const char *marks)
{
    size_t len = strlen(text);
    len -= len && text[len - 1] == '.';
    gw__pieces_add(out, xasprintf("%s- %.*s %s.\n", before, (int)len, text, marks));
}

void gw__review(const struct gw_request *r, bool vectors, struct gw__pieces *out)
{
    static const char *const words[][2] = {
        {"Nothing that it cites supports:", "Ничто из указанного не подтверждает:"},
        {"It leaves out:", "Упущено:"},
        {"Every statement stands in its source, and nothing over a limit is left out.",
         "Каждое утверждение есть в своём источнике, и ничто за пределами нормы не упущено."}};
    struct gw__pieces faults = {0};
    struct judging *j = judging_new(r);
    bool russian = gw__russian(r);
    size_t left = 0;
    const struct gw__unit *told[LEFT_MAX] = {NULL};
    j->faults = &faults;
    judge_answer(j, r->other);
    for (size_t i = 0; i < faults.len; i++)
        gw__pieces_add(out, xasprintf("%s%s- %s\n", i ? "" : words[0][russian], i ? "" : "\n\n",
                                      faults.at[i]));
    char *heading = xasprintf("%s%s\n\n", faults.len ? "\n" : "", words[1][russian]);
    for (size_t i = 0; i < j->units.len && left < LEFT_MAX; i++) {
        const struct gw__unit *u = &j->units.at[i];
        if (!left_out(j, u))
            continue;
        told[left] = u;
        add_left(out, left++ ? "" : heading, u->text, u->marks);
    }
    size_t said = j->len, over = left;
    j->faults = NULL;
    j->aside = false;
    judge_own(j, vectors);
    for (size_t i = said; i < j->len && left < LEFT_MAX; i++) {
        const struct claim *c = &j->claims[i];
        bool twice = c->unit->kind >= GW__STEP; /* steps are for who answers to choose */
        for (size_t k = 0; k < over && !twice; k++)
            twice = told[k] == c->unit;
        if (!twice)
            add_left(out, left++ ? "" : heading, c->text, c->marks);
    }
    free(heading);
    if (!faults.len && !left)
        gw__pieces_add(out, xasprintf("%s\n", words[2][russian]));
    gw__pieces_release(&faults);
    judging_free(j);
}
