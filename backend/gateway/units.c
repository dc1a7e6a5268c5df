/* What the sources offer to quote: findings of tools, lines of foreign tools, steps and sentences
 * of runbooks. */
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNITS_MAX = 400, /* of one answer */
    PER_SOURCE = 64,
    SOURCE_BYTES = 64 << 10, /* read of one source's text */
    FINDING_MAX = 400,       /* characters */
    LINE_MAX_ = 200,
    STEP_MAX = 500
};

/* A finding that says what the others come to stands first. */
static const double LEAD = 100;
/* Of lines of foreign tools: beside words that were asked for, and fit, which give up to 1 each. */
static const double TROUBLE = 0.6, HEAD = 0.5, CALM = 0.2;

/* Sections of a runbook that are known by name: do their list items tell what to do, and how soon?
 */
static const struct section {
    const char *en, *ru;
    bool steps;
    double weight;
    int order;
} sections[] = {
    {"look first", "посмотреть сначала", true, 0.15, 0},
    {"mend", "исправить", true, 0.1, 2},
    {"afterwards", "после", true, -0.1, 3},
    {"symptoms", "симптомы", false, 0, 1},
    {"likely causes", "вероятные причины", false, 0.1, 1},
};
static const struct section other_section = {"", "", true, 0, 1};

struct collecting {
    struct gw__units *u;
    const struct gw__lexicon *x;
    const struct gw_request *r;
    size_t source;
    uint32_t topics; /* of the source as a whole */
    size_t count;    /* of this source */
    bool russian;
    bool judged, lead, told;       /* the finding that is being added */
    const struct section *section; /* of the runbook */
    double weight;                 /* of the line that is being added */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The section that a heading, or the last part of a path of headings, names. */
static const struct section *section_of(const char *heading, size_t len)
{
    char *name = xstrndup(heading, len);
    const char *last = name;
    for (const char *p = name; *p; p++)
        if (*p == '#' || *p == '>')
            last = p + 1;
    const struct section *found = &other_section;
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (gw__same_words(last, sections[i].en) || gw__same_words(last, sections[i].ru))
            found = &sections[i];
    free(name);
    return found;
}

static const struct gw_source *source_of(const struct collecting *c)
{
    return &c->r->sources[c->source];
}

/* The figure at s, which is no part of a name (sda1); 0: there is none. */
static size_t figure_at(const char *s, const char *text)
{
    bool in_name = s > text && (isalpha((unsigned char)s[-1]) || (s[-1] & 0x80));
    return in_name || !isdigit((unsigned char)*s) ? 0 : strspn(s, "0123456789.,");
}

/* The same but for its figures. */
static bool same_but_figures(const char *a, const char *b)
{
    const char *x = a, *y = b;
    while (true) {
        x += figure_at(x, a);
        y += figure_at(y, b);
        if (*x != *y || !*x)
            return *x == *y;
        x++;
        y++;
    }
}

/* Two tools of one system measured the same a moment apart: the first one's figures are told. */
static bool told_already(const struct collecting *c, const struct gw__unit *unit, const char *text)
{
    const char *ref = c->r->sources[unit->source].ref, *own = source_of(c)->ref;
    size_t n = strcspn(ref, "/");
    return unit->kind == GW__FINDING && unit->source != c->source && n == strcspn(own, "/") &&
           strncmp(ref, own, n) == 0 && same_but_figures(unit->text, text);
}

/* Two sources that say the same make one sentence with both marks. */
static bool merged(struct collecting *c, enum gw__unit_kind kind, const char *text)
{
    for (size_t i = 0; i < c->u->len; i++) {
        struct gw__unit *unit = &c->u->at[i];
        if (unit->kind == kind && strcmp(unit->text, text) != 0 && told_already(c, unit, text))
            return true;
        if (unit->kind != kind || strcmp(unit->text, text) != 0)
            continue;
        char *mark = xasprintf("[%s]", source_of(c)->id);
        if (!strstr(unit->marks, mark) && strlen(unit->marks) < 24) {
            char *both = xasprintf("%s%s", unit->marks, mark);
            free(unit->marks);
            unit->marks = both;
        }
        free(mark);
        return true;
    }
    return false;
}

/* What speaks of trouble comes first, the head of a table last. */
static double line_weight(const char *line, size_t len)
{
    return gw__table_head(line, len) ? -HEAD
           : gw__calm(line, len)     ? -CALM
                                     : TROUBLE * gw__trouble(line, len);
}

static void add(struct collecting *c, enum gw__unit_kind kind, int severity, uint32_t topics,
                const char *text, size_t len)
{
    static const size_t most[] = {FINDING_MAX, LINE_MAX_, STEP_MAX, STEP_MAX};
    struct buf quoted = {0};
    bool markdown = kind == GW__STEP || kind == GW__PROSE;
    if (c->count >= PER_SOURCE || c->u->len >= UNITS_MAX ||
        !gw__quote(text, len, most[kind], markdown ? GW__MARKDOWN : GW__PLAIN, &quoted) ||
        merged(c, kind, quoted.data)) {
        buf_release(&quoted);
        return;
    }
    if (c->u->len == c->u->cap) {
        c->u->cap = c->u->cap ? c->u->cap * 2 : 32;
        c->u->at = xrealloc(c->u->at, c->u->cap * sizeof *c->u->at);
    }
    struct gw__unit *unit = &c->u->at[c->u->len++];
    *unit = (struct gw__unit){.kind = kind,
                              .source = c->source,
                              .severity = severity,
                              .text = buf_take(&quoted),
                              .weight = markdown           ? c->section->weight
                                        : c->lead          ? LEAD
                                        : kind == GW__LINE ? c->weight
                                                           : 0,
                              .order = markdown ? c->section->order : 0,
                              .judged = c->judged,
                              .told = c->told,
                              .marks = xasprintf("[%s]", source_of(c)->id)};
    gw__words_of(c->x, unit->text, &unit->words);
    unit->topics = topics | gw__topics_of(c->x, &unit->words, false);
    c->count++;
}

static uint32_t topics_of_text(const struct gw__lexicon *x, const char *text)
{
    struct gw__words words = {0};
    gw__words_of(x, text, &words);
    uint32_t topics = gw__topics_of(x, &words, false);
    gw__words_release(&words);
    return topics;
}

static bool add_findings(struct collecting *c)
{
    const json_t *findings = json_object_get(source_of(c)->data, "findings"), *finding;
    if (!json_is_array(findings))
        return false;
    size_t i;
    json_array_foreach(findings, i, finding)
    {
        const char *severity = json_str(finding, "severity", "ok");
        const char *en = json_str(finding, "en", ""), *ru = json_str(finding, "ru", "");
        const char *text = (c->russian && *ru) || !*en ? ru : en;
        c->judged = json_flag(finding, "judged", false);
        c->lead = json_flag(finding, "lead", false);
        c->told = json_flag(finding, "told", false);
        int rank = strcmp(severity, "fail") == 0 ? 2 : strcmp(severity, "warn") == 0 ? 1 : 0;
        add(c, GW__FINDING, rank, topics_of_text(c->x, json_str(finding, "topic", "")), text,
            strlen(text));
    }
    return i > 0;
}

static void add_line(void *arg, const char *line, size_t len, const char *raw, size_t raw_len)
{
    struct collecting *c = arg;
    size_t letters = 0;
    for (size_t i = 0; i < len && letters < 3; i++)
        letters += (unsigned char)line[i] >= 0x80 || (line[i] >= '0' && line[i] <= '9') ||
                   (line[i] >= 'A' && line[i] <= 'z');
    c->weight = line_weight(raw, raw_len);
    if (letters >= 3)
        add(c, GW__LINE, 0, c->topics, line, len);
}

typedef void line_fn(void *arg, const char *line, size_t len);

static void each_line(const char *text, line_fn *fn, void *arg)
{
    for (const char *end = text + strnlen(text, SOURCE_BYTES); text < end;) {
        const char *stop = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((stop ? stop : end) - text);
        fn(arg, text, n);
        text += n + 1;
    }
}

static void add_trouble(void *arg, const char *line, size_t len, const char *raw, size_t raw_len)
{
    struct collecting *c = arg;
    if (c->count < PER_SOURCE / 2 && gw__trouble(raw, raw_len) > 0)
        add_line(c, line, len, raw, raw_len);
}

static bool many_lines(const char *text)
{
    size_t n = 0;
    for (const char *p = text; n < PER_SOURCE && (p = strchr(p, '\n')); p++)
        n++;
    return n == PER_SOURCE;
}

static void add_tool(struct collecting *c)
{
    const struct gw_source *s = source_of(c);
    if (add_findings(c))
        return;
    if (!gw__structured(s, add_line, c)) {
        size_t len = strnlen(s->text, SOURCE_BYTES);
        if (many_lines(s->text)) /* what matters may stand behind those that are read */
            gw__statements(s->text, len, add_trouble, c);
        gw__statements(s->text, len, add_line, c);
    }
}

/* Bytes of a list item's mark at the start of a line ("- ", "12. "), 0 if it is none. */
static size_t item_mark(const char *line, size_t len)
{
    size_t i = 0;
    while (i < len && is_blank(line[i]))
        i++;
    if (i + 1 < len && strchr("-*+", line[i]) && is_blank(line[i + 1]))
        return i + 2;
    size_t digits = 0;
    while (i + digits < len && line[i + digits] >= '0' && line[i + digits] <= '9')
        digits++;
    size_t end = i + digits;
    if (digits && digits < 4 && end + 1 < len && (line[end] == '.' || line[end] == ')') &&
        is_blank(line[end + 1]))
        return end + 2;
    return 0;
}

struct blocks { /* the list item or paragraph that is being read */
    struct collecting *c;
    struct buf text;
    bool item, fence;
};

static void end_block(struct blocks *b)
{
    if (b->text.len)
        add(b->c, b->item && b->c->section->steps ? GW__STEP : GW__PROSE, 0, b->c->topics,
            b->text.data, b->text.len);
    buf_clear(&b->text);
    b->item = false;
}

/* A line of a fenced block becomes a code span of the step that it belongs to. */
static void code_line(struct blocks *b, const char *line, size_t len)
{
    while (len && is_blank(*line)) {
        line++;
        len--;
    }
    if (len && !memchr(line, '`', len) && *line != '#')
        buf_addf(&b->text, "%s`%.*s`", b->text.len ? " " : "", (int)len, line);
}

static void block_line(void *arg, const char *line, size_t len)
{
    struct blocks *b = arg;
    while (len && is_blank(line[len - 1]))
        len--;
    size_t indent = 0;
    while (indent < len && is_blank(line[indent]))
        indent++;
    if (len - indent >= 3 && strncmp(line + indent, "```", 3) == 0) {
        b->fence = !b->fence;
        return;
    }
    if (b->fence) {
        code_line(b, line, len);
        return;
    }
    size_t mark = item_mark(line, len);
    if (indent == len || line[indent] == '#' || line[indent] == '|') {
        if (!b->item || indent < len)
            end_block(b);
        if (indent < len && line[indent] == '#')
            b->c->section = section_of(line, len);
        return; /* a blank line does not end an item: its code may follow */
    }
    if (mark || (b->item && !indent))
        end_block(b);
    if (mark)
        b->item = true;
    if (b->text.len)
        buf_addc(&b->text, ' ');
    size_t from = mark ? mark : indent;
    buf_add(&b->text, line + from, len - from);
}

static void add_runbook(struct collecting *c)
{
    struct blocks b = {.c = c};
    c->section = section_of(source_of(c)->ref, strlen(source_of(c)->ref));
    each_line(source_of(c)->text, block_line, &b);
    end_block(&b);
    buf_release(&b.text);
}

void gw__units_collect(struct gw__units *u, const struct gw__lexicon *x, const struct gw_request *r)
{
    for (size_t i = 0; i < r->source_count; i++) {
        struct collecting c = {.u = u,
                               .x = x,
                               .r = r,
                               .source = i,
                               .topics = topics_of_text(x, r->sources[i].ref),
                               .russian = gw__russian(r)};
        if (strcmp(r->sources[i].kind, "runbook") == 0)
            add_runbook(&c);
        else
            add_tool(&c);
    }
}

void gw__units_release(struct gw__units *u)
{
    for (size_t i = 0; i < u->len; i++) {
        free(u->at[i].text);
        free(u->at[i].marks);
        free(u->at[i].vector);
        gw__words_release(&u->at[i].words);
    }
    free(u->at);
    *u = (struct gw__units){0};
}
