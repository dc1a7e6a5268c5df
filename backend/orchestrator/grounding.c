/* Sentence by sentence: read into claims, held against each source's claims. */
#include "backend/orchestrator/arbitrate.h"
#include "backend/orchestrator/grounding_internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    SENTENCE_BYTES = 400,   /* of a sentence in the trace */
    DATA_BYTES = 16 * 1024, /* of what a tool's data gives to read */
    DATA_DEPTH = 6
};
static const double SUPPORTS = 0.6;

static const char *const STATES[] = {"", "supported", "contradicted", "unsupported"};

int orch_unsupported_find(const char *name)
{
    static const char *const NAMES[] = {"note", "flag", "remove"};
    for (int i = 0; i < 3; i++)
        if (strcmp(NAMES[i], name) == 0)
            return i;
    return -1;
}

/* ---- sources */

/* A tool's data as fields, so that what an answer takes from there is found. */
/* What is said in one language more (findings have both) stands in that of the answer, under no
 * name.
 */
static bool is_language(const char *name)
{
    return strcmp(name, "en") == 0 || strcmp(name, "ru") == 0;
}

static void add_data(struct buf *out, const char *name, const json_t *value, bool russian,
                     int depth)
{
    const char *key;
    json_t *v;
    size_t i;
    if (depth == DATA_DEPTH || out->len > DATA_BYTES)
        return;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, v) add_data(out, key, v, russian, depth + 1);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, v) add_data(out, name, v, russian, depth + 1);
    } else if (json_is_string(value) && is_language(name)) {
        if ((strcmp(name, "ru") == 0) == russian)
            buf_addf(out, "\n%s", json_string_value(value));
    } else if (json_is_string(value)) {
        buf_addf(out, "\n%s: %s", name, json_string_value(value));
    } else if (json_is_integer(value)) {
        buf_addf(out, "\n%s: %lld", name, (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        buf_addf(out, "\n%s: %.6g", name, json_real_value(value));
    }
}

static struct claims *read_source(struct claims_reader *reader, const struct gw_source *s,
                                  bool russian)
{
    struct buf text = {0};
    const char *heading = strrchr(s->ref, '#');
    buf_adds(&text, s->text);
    if (heading) /* a section's sentences are about what its heading names */
        buf_addf(&text, "\n%s", heading + 1);
    if (s->data)
        add_data(&text, "", s->data, russian, 0);
    struct claims *c = claims_read(reader, text.data ? text.data : "", text.len);
    buf_release(&text);
    return c;
}

/* ---- a sentence */

/* A text without what quoting adds or changes: marks of quotations, white space, the backslashes of
 * Markdown, square brackets made round. The caller frees. */
static char *plain(const char *text, size_t len)
{
    static const char *const MARKS[] = {
        "\xe2\x80\x9c", "\xe2\x80\x9d", "\xc2\xab", "\xc2\xbb", "\"", "`", "\\"};
    struct buf out = {0};
    for (size_t at = 0; at < len;) {
        size_t mark = 0;
        bool may = strchr("\xe2\xc2\"`\\", text[at]) != NULL;
        for (size_t i = 0; may && i < sizeof MARKS / sizeof *MARKS && !mark; i++) {
            size_t n = strlen(MARKS[i]);
            mark = at + n <= len && strncmp(text + at, MARKS[i], n) == 0 ? n : 0;
        }
        char c = text[at];
        if (mark) {
            at += mark;
            continue;
        }
        if (isspace((unsigned char)c))
            c = ' ';
        if (c != ' ' || (out.len && out.data[out.len - 1] != ' '))
            buf_addc(&out, c == '[' ? '(' : c == ']' ? ')' : c);
        at++;
    }
    return buf_take(&out);
}

static bool is_part(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80);
}

/* Whether a source says all of it word for word. */
static bool stands_in(const char *source, const char *said, size_t len)
{
    for (const char *at = source; (at = strstr(at, said)); at++)
        if ((at == source || !is_part(at[-1]) || !is_part(*said)) &&
            (!is_part(at[len]) || !is_part(said[len - 1])))
            return true;
    return false;
}

static char *plain_source(const struct gw_source *s, bool *json)
{
    char *data = s->data ? json_write(s->data) : NULL;
    struct buf reworded = {0};
    if (strcmp(s->kind, "tool") == 0)
        gw_reworded(s, &reworded);
    char *all =
        xasprintf("%s\n%s\n%s", s->text, data ? data : "", reworded.len ? reworded.data : "");
    buf_release(&reworded);
    char *out = plain(all, strlen(all));
    *json = strcmp(s->kind, "tool") == 0 && (data || *s->text == '{' || *s->text == '[');
    free(all);
    free(data);
    return out;
}

/* A leaf of a tool's JSON, "nodes 2.state: down": the last name of its path and the value stand
 * there. */
static bool is_leaf_of(const char *source, const char *said, size_t len)
{
    const char *colon = memmem(said, len, ": ", 2);
    if (!colon)
        return false;
    size_t path = (size_t)(colon - said), from = path;
    while (path && (isdigit((unsigned char)said[path - 1]) || said[path - 1] == ' '))
        path--; /* the number of an item */
    for (from = path; from && said[from - 1] != '.' && said[from - 1] != ' ';)
        from--;
    if (from == path || path - from == len)
        return false;
    char *name = xstrndup(said + from, path - from), *value = xstrdup(colon + 2);
    bool both =
        *value && stands_in(source, name, strlen(name)) && stands_in(source, value, strlen(value));
    free(name);
    free(value);
    return both;
}

/* The sources that a sentence quotes: without its marks, full stop and the dots of a cut. */
static uint32_t quotes(const struct grounding *g, const struct grounding__sentence *s)
{
    enum { LEAST = 6 };
    char *said = plain(s->at, s->len);
    size_t len = strlen(said);
    uint32_t set = 0;
    for (bool more = true; more && len;) {
        size_t digits = 0;
        more = strchr(" .", said[len - 1]) != NULL;
        if (more) {
            len--;
        } else if (said[len - 1] == ')') {
            while (digits + 2 < len && isdigit((unsigned char)said[len - 2 - digits]))
                digits++;
            more = digits && said[len - 2 - digits] == '(';
            len -= more ? digits + 2 : 0;
        } else if (len > 3 && strncmp(said + len - 3, "\xe2\x80\xa6", 3) == 0) {
            more = true;
            len -= 3;
        }
    }
    said[len] = '\0';
    for (size_t k = 0; k < g->source_count && len >= LEAST; k++)
        if (stands_in(g->plain[k], said, len) || (g->json[k] && is_leaf_of(g->plain[k], said, len)))
            set |= 1U << k;
    free(said);
    return set;
}

static bool is_tool(const struct grounding *g, size_t k)
{
    return strcmp(g->sources[k].kind, "tool") == 0;
}

/* What says a claim of a sentence, and whether a tool that the sentence cites says otherwise. */
struct said_by {
    uint32_t by;
    bool denied;
};

/* What a tool says otherwise is kept: of one that is cited, else of the first. */
static void hear(struct grounding *g, struct grounding__sentence *s, size_t i, size_t k,
                 struct said_by *out)
{
    struct claims_support x;
    bool cited = (s->cites & 1U << k) != 0;
    claims_support(s->claims, i, g->read[k], &x);
    bool over = !x.contradicted && claims_overstates(s->claims, i, g->read[k], &x);
    if (x.covered >= SUPPORTS && x.met == x.numbers && !x.contradicted) {
        out->by |= 1U << k;
        return;
    }
    if (!x.contradicted || !is_tool(g, k) ||
        (!over && claims_apart(s->claims, i, g->read[k], x.against, x.why)))
        return;
    /* A tool that it does not cite has to speak of the same. */
    if (!cited && !over && !claims_about_one(s->claims, i, g->read[k], x.against, x.why))
        return;
    out->denied = out->denied || cited;
    if (*s->why && (!cited || s->cites & 1U << s->source))
        return;
    memcpy(s->why, x.why, sizeof s->why);
    s->source = (int)k;
    s->quote = claims_text(g->read[k], x.against, &s->quote_len);
}

/* The sources that may bear out a sentence: of what it cites, if that are tools alone, no runbook.
 * What one says in general is not how it is. */
static uint32_t may_support(const struct grounding *g, const struct grounding__sentence *s)
{
    uint32_t tools = 0;
    for (size_t k = 0; k < g->source_count; k++)
        tools |= is_tool(g, k) ? 1U << k : 0;
    return s->cites && !(s->cites & ~tools) ? tools : UINT32_MAX;
}

/* Without the sources of which the sentence leaves out how much: "/ is full" of "/ is full to 32%".
 */
static uint32_t quoted_whole(const struct grounding *g, const struct grounding__sentence *s,
                             uint32_t by)
{
    for (size_t k = 0; k < g->source_count; k++) {
        struct claims_support x;
        for (size_t i = 0; i < claims_count(s->claims) && by & 1U << k; i++)
            if (claims_overstates(s->claims, i, g->read[k], &x))
                by &= ~(1U << k);
    }
    return by;
}

static void assess(struct grounding *g, struct grounding__sentence *s)
{
    bool any = false, all = true, denied = false;
    uint32_t may = may_support(g, s);
    s->by = quoted_whole(g, s, quotes(g, s) & may);
    if (s->by) {
        s->state = GROUNDING__SUPPORTED;
        return;
    }
    for (size_t i = 0; i < claims_count(s->claims); i++) {
        struct said_by said = {.by = 0};
        if (!claims_assessable(s->claims, i))
            continue;
        any = true;
        for (size_t k = 0; k < g->source_count; k++)
            hear(g, s, i, k, &said);
        said.by &= may;
        s->by |= said.by;
        all = all && said.by;
        denied = denied || (said.denied && !(said.by & s->cites));
    }
    s->state = !any      ? GROUNDING__NOT_ASSESSED
               : denied  ? GROUNDING__CONTRADICTED
               : all     ? GROUNDING__SUPPORTED
               : *s->why ? GROUNDING__CONTRADICTED
                         : GROUNDING__UNSUPPORTED;
    if (s->state == GROUNDING__CONTRADICTED) {
        s->by = denied ? 0 : s->by;
        return;
    }
    *s->why = 0;
    s->source = -1;
    s->quote = NULL;
}

static uint32_t cited(const struct grounding *g, const char *text, size_t len)
{
    uint32_t set = 0;
    char *copy = xstrndup(text, len);
    for (size_t k = 0; k < g->source_count; k++)
        if (orch_cites(copy, g->sources[k].id))
            set |= 1U << k;
    free(copy);
    return set;
}

/* The first line of the table that a row stands in. */
static const char *head_of(const struct grounding *g, const char *row)
{
    const char *head = row;
    while (head > g->answer) {
        const char *line = head - 1; /* the end of the line before */
        while (line > g->answer && line[-1] != '\n')
            line--;
        if (line[strspn(line, " \t")] != '|')
            break;
        head = line;
    }
    return head;
}

/* A row of a table: each value is claimed under its head. False: it is the head, or a rule. */
static bool take_row(struct grounding *g, struct grounding__sentence *s, const char *line)
{
    const char *head = head_of(g, line), *row = line + strspn(line, " \t");
    if (head == line || strspn(row, "|-: \t") >= strcspn(row, "\n"))
        return false;
    s->at = row;
    s->len = strcspn(row, "\n");
    while (s->len && strchr(" \t\r", row[s->len - 1]))
        s->len--;
    s->row = true;
    char *table = xasprintf("%.*s\n|---|\n%.*s", (int)strcspn(head, "\n"), head, (int)s->len, row);
    s->claims = claims_read(g->reader, table, strlen(table));
    free(table);
    return true;
}

static void take_sentence(void *arg, const char *text, size_t len)
{
    struct grounding *g = arg;
    if (g->count == GROUNDING__SENTENCES)
        return;
    const char *line = text;
    while (line > g->answer && line[-1] != '\n')
        line--;
    if (*line == '#' || text[len - 1] == ':')
        return; /* headings, lines that lead in a list */
    struct grounding__sentence *s = &g->sentences[g->count];
    *s = (struct grounding__sentence){.at = text, .len = len, .source = -1, .other = -1};
    if (line[strspn(line, " \t")] == '|') {
        bool first = line != g->row;
        g->row = line;
        if (!first || !take_row(g, s, line))
            return;
    } else {
        s->claims = claims_read(g->reader, text, len);
    }
    s->cites = cited(g, s->at, s->len);
    if (!s->cites) /* the marks at the end of an item are of all of it */
        s->cites = cited(g, text, strcspn(text, "\n"));
    assess(g, s);
    s->marked = orch_marked(s->at, s->len);
    if (s->state == GROUNDING__NOT_ASSESSED)
        claims_free(s->claims);
    else
        g->count++;
}

/* ---- what comes of it */

json_t *grounding__ids(const struct grounding *g, uint32_t set)
{
    json_t *list = json_array();
    for (size_t k = 0; k < g->source_count; k++)
        if (set & 1U << k)
            json_array_append_new(list, json_text(g->sources[k].id, strlen(g->sources[k].id)));
    return list;
}

json_t *grounding__head(const char *text, size_t len)
{
    size_t n = len < SENTENCE_BYTES ? len : SENTENCE_BYTES;
    while (n && n < len && ((unsigned char)text[n] & 0xC0) == 0x80)
        n--; /* not within a character */
    return json_text(text, n);
}

static json_t *doc_of(const struct grounding *g, const struct orch_grounding *out)
{
    json_t *doc = json_object(), *list = json_array();
    for (size_t i = 0; i < g->count; i++) {
        const struct grounding__sentence *s = &g->sentences[i];
        json_t *one = json_object();
        json_put(one, "text", grounding__head(s->at, s->len));
        json_puts(one, "state", STATES[s->state]);
        json_put(one, "sources", grounding__ids(g, s->by));
        json_put(one, "cites", grounding__ids(g, s->cites));
        json_put(one, "why", json_text(s->why, strlen(s->why)));
        json_array_append_new(list, one);
    }
    json_puti(doc, "assessed", (int64_t)out->assessed);
    json_puti(doc, "supported", (int64_t)out->supported);
    json_puti(doc, "contradicted", (int64_t)out->contradicted);
    json_puti(doc, "unsupported", (int64_t)out->unsupported);
    json_puti(doc, "removed", (int64_t)out->removed);
    json_puti(doc, "disputed", (int64_t)out->disputed);
    json_put(doc, "sentences", list);
    return doc;
}

static void read_sources(struct grounding *g, const struct gw_source *sources, size_t count,
                         const char *const *about, bool russian)
{
    g->sources = sources;
    g->about = about;
    g->source_count = count < GROUNDING__SOURCES ? count : GROUNDING__SOURCES;
    for (size_t k = 0; k < g->source_count; k++) {
        g->read[k] = read_source(g->reader, &sources[k], russian);
        g->plain[k] = plain_source(&sources[k], &g->json[k]);
        orch_standing_of(&sources[k], about ? about[k] : NULL, &g->standing[k]);
    }
}

static void release(struct grounding *g)
{
    for (size_t i = 0; i < g->count; i++)
        claims_free(g->sentences[i].claims);
    for (size_t k = 0; k < g->source_count; k++) {
        claims_free(g->read[k]);
        free(g->plain[k]);
    }
    free(g);
}

static void add_up(const struct grounding *g, struct orch_grounding *out)
{
    for (size_t i = 0; i < g->count; i++) {
        const struct grounding__sentence *s = &g->sentences[i];
        out->assessed++;
        out->supported += s->state == GROUNDING__SUPPORTED;
        out->contradicted += s->state == GROUNDING__CONTRADICTED;
        out->unsupported += s->state == GROUNDING__UNSUPPORTED;
        out->disputed += s->told && s->mark != ORCH_MARK_REFUTED;
    }
}

static struct grounding *grounding_new(struct claims_reader *reader, const char *answer,
                                       const struct gw_source *sources, size_t count,
                                       const char *const *about, bool russian)
{
    enum { HEAD = 64 * 1024 };
    struct grounding *g = xcalloc(1, sizeof *g);
    g->reader = reader;
    g->answer = answer;
    read_sources(g, sources, count, about, russian);
    if (strlen(answer) <= HEAD)
        know_sentences(answer, take_sentence, g);
    return g;
}

void orch_ground(struct claims_reader *reader, const char *answer, const struct gw_source *sources,
                 size_t count_of_sources, const struct orch_ground_how *how,
                 struct orch_grounding *out)
{
    struct claims_reader *own = reader ? NULL : claims_reader_new();
    struct grounding *g = grounding_new(reader ? reader : own, answer, sources, count_of_sources,
                                        how->about, how->russian);
    *out = (struct orch_grounding){0};
    g->conflicts = json_array();
    grounding__conflicts(g, how);
    add_up(g, out);
    grounding__rewrite(g, how, out);
    out->doc = doc_of(g, out);
    json_put(out->doc, "conflicts", g->conflicts);
    release(g);
    claims_reader_free(own);
}

size_t orch_self_contradictions(struct claims_reader *reader, const char *answer,
                                const struct gw_source *sources, size_t count_of_sources)
{
    struct claims_reader *own = reader ? NULL : claims_reader_new();
    struct grounding *g =
        grounding_new(reader ? reader : own, answer, sources, count_of_sources, NULL, false);
    size_t n = grounding__against_itself(g);
    release(g);
    claims_reader_free(own);
    return n;
}

void orch_grounding_release(struct orch_grounding *g)
{
    json_decref(g->doc);
    free(g->text);
    *g = (struct orch_grounding){0};
}
