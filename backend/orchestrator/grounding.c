/* Sentence by sentence: read into claims, held against each source's claims. */
#include "backend/orchestrator/grounding.h"
#include "backend/orchestrator/arbitrate.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SENTENCES = 96,
    MOST_SOURCES = 32,
    SENTENCE_BYTES = 400,   /* of a sentence in the trace */
    DATA_BYTES = 16 * 1024, /* of what a tool's data gives to read */
    DATA_DEPTH = 6
};
static const double SUPPORTS = 0.6;

enum state { NOT_ASSESSED, SUPPORTED, CONTRADICTED, UNSUPPORTED };
static const char *const STATES[] = {"", "supported", "contradicted", "unsupported"};

struct sentence {
    const char *at;
    size_t len;
    enum state state;
    uint32_t by, cites; /* sources, a bit each */
    char why[CLAIMS_WHY];
};
struct grounding {
    struct claims_reader *reader;
    const char *answer;
    const struct gw_source *sources;
    struct claims *read[MOST_SOURCES];
    char *plain[MOST_SOURCES]; /* their texts as plain() has them */
    bool json[MOST_SOURCES];   /* a tool's, with JSON in it */
    size_t source_count;
    struct sentence sentences[MOST_SENTENCES];
    size_t count;
};

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
static void add_data(struct buf *out, const char *name, const json_t *value, int depth)
{
    const char *key;
    json_t *v;
    size_t i;
    if (depth == DATA_DEPTH || out->len > DATA_BYTES)
        return;
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, v) add_data(out, key, v, depth + 1);
    } else if (json_is_array(value)) {
        json_array_foreach(value, i, v) add_data(out, name, v, depth + 1);
    } else if (json_is_string(value)) {
        buf_addf(out, "\n%s: %s", name, json_string_value(value));
    } else if (json_is_integer(value)) {
        buf_addf(out, "\n%s: %lld", name, (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        buf_addf(out, "\n%s: %.6g", name, json_real_value(value));
    }
}

static struct claims *read_source(struct claims_reader *reader, const struct gw_source *s)
{
    struct buf text = {0};
    const char *heading = strrchr(s->ref, '#');
    buf_adds(&text, s->text);
    if (heading) /* a section's sentences are about what its heading names */
        buf_addf(&text, "\n%s", heading + 1);
    if (s->data)
        add_data(&text, "", s->data, 0);
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
        for (size_t i = 0; i < sizeof MARKS / sizeof *MARKS && !mark; i++) {
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
    char *all = data ? xasprintf("%s\n%s", s->text, data) : xstrdup(s->text);
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
static uint32_t quotes(const struct grounding *g, const struct sentence *s)
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

static void assess(struct grounding *g, struct sentence *s)
{
    s->by = quotes(g, s);
    if (s->by) {
        s->state = SUPPORTED;
        return;
    }
    struct claims *c = claims_read(g->reader, s->at, s->len);
    bool any = false, all = true;
    for (size_t i = 0; i < claims_count(c); i++) {
        if (!claims_assessable(c, i))
            continue;
        bool found = false;
        any = true;
        for (size_t k = 0; k < g->source_count; k++) {
            struct claims_support x;
            claims_support(c, i, g->read[k], &x);
            if (x.covered >= SUPPORTS && x.met == x.numbers && !x.contradicted) {
                found = true;
                s->by |= 1U << k;
            } else if (x.contradicted && strcmp(g->sources[k].kind, "tool") == 0 && !*s->why) {
                memcpy(s->why, x.why, sizeof s->why);
            }
        }
        all = all && found;
    }
    claims_free(c);
    s->state = !any ? NOT_ASSESSED : all ? SUPPORTED : *s->why ? CONTRADICTED : UNSUPPORTED;
    if (s->state != CONTRADICTED)
        *s->why = 0;
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

static void take_sentence(void *arg, const char *text, size_t len)
{
    struct grounding *g = arg;
    if (g->count == MOST_SENTENCES)
        return;
    const char *line = text;
    while (line > g->answer && line[-1] != '\n')
        line--;
    if (*line == '#' || text[len - 1] == ':' || *text == '|')
        return; /* headings, lines that lead in a list; of tables the whole is not one's sentence */
    struct sentence *s = &g->sentences[g->count];
    *s = (struct sentence){.at = text, .len = len};
    s->cites = cited(g, text, len);
    if (!s->cites) /* the marks at the end of an item are of all of it */
        s->cites = cited(g, text, strcspn(text, "\n"));
    assess(g, s);
    g->count += s->state != NOT_ASSESSED;
}

/* ---- what comes of it */

static json_t *ids(const struct grounding *g, uint32_t set)
{
    json_t *list = json_array();
    for (size_t k = 0; k < g->source_count; k++)
        if (set & 1U << k)
            json_array_append_new(list, json_text(g->sources[k].id, strlen(g->sources[k].id)));
    return list;
}

static json_t *doc_of(const struct grounding *g, const struct orch_grounding *out)
{
    json_t *doc = json_object(), *list = json_array();
    for (size_t i = 0; i < g->count; i++) {
        const struct sentence *s = &g->sentences[i];
        json_t *one = json_object();
        size_t len = s->len < SENTENCE_BYTES ? s->len : SENTENCE_BYTES;
        while (len && len < s->len && ((unsigned char)s->at[len] & 0xC0) == 0x80)
            len--; /* not within a character */
        json_put(one, "text", json_text(s->at, len));
        json_puts(one, "state", STATES[s->state]);
        json_put(one, "sources", ids(g, s->by));
        json_put(one, "cites", ids(g, s->cites));
        json_put(one, "why", json_text(s->why, strlen(s->why)));
        json_array_append_new(list, one);
    }
    json_puti(doc, "assessed", (int64_t)out->assessed);
    json_puti(doc, "supported", (int64_t)out->supported);
    json_puti(doc, "contradicted", (int64_t)out->contradicted);
    json_puti(doc, "unsupported", (int64_t)out->unsupported);
    json_puti(doc, "removed", (int64_t)out->removed);
    json_put(doc, "sentences", list);
    return doc;
}

static char *flagged(const struct grounding *g, bool russian)
{
    struct buf text = {0};
    const char *from = g->answer;
    for (size_t i = 0; i < g->count; i++) {
        const struct sentence *s = &g->sentences[i];
        if (s->state == SUPPORTED)
            continue;
        buf_add(&text, from, (size_t)(s->at + s->len - from));
        from = s->at + s->len;
        buf_adds(&text, s->state == CONTRADICTED
                            ? (russian ? " (источник говорит иное)" : " (a source says otherwise)")
                            : (russian ? " (не подтверждено)" : " (unsupported)"));
    }
    buf_adds(&text, from);
    return buf_take(&text);
}

/* Whether only marks of a list are left of a line. */
static bool is_bare(const char *line, size_t len)
{
    size_t n = strspn(line, " \t>*+-0123456789.)");
    return n >= len;
}

static char *without(const struct grounding *g)
{
    struct buf text = {0}, lines = {0};
    const char *from = g->answer;
    for (size_t i = 0; i < g->count; i++) {
        const struct sentence *s = &g->sentences[i];
        if (s->state == SUPPORTED)
            continue;
        buf_add(&text, from, (size_t)(s->at - from));
        buf_addc(&text, '\x01'); /* where a sentence was; no answer has one */
        from = s->at + s->len;
        from += *from == ' ';
    }
    buf_adds(&text, from);
    for (const char *line = text.data; *line;) {
        size_t len = strcspn(line, "\n"), next = len + (line[len] == '\n');
        struct buf kept = {0};
        bool cut = memchr(line, '\x01', len) != NULL;
        for (size_t i = 0; i < len; i++)
            if (line[i] != '\x01')
                buf_addc(&kept, line[i]);
        if (!cut || !is_bare(kept.data ? kept.data : "", kept.len)) {
            buf_add(&lines, kept.data ? kept.data : "", kept.len);
            buf_add(&lines, line + len, next - len);
        }
        buf_release(&kept);
        line += next;
    }
    buf_release(&text);
    return buf_take(&lines);
}

static void rewrite(const struct grounding *g, bool russian, enum orch_unsupported how,
                    struct orch_grounding *out)
{
    size_t bad = out->assessed - out->supported;
    bool cites = false;
    for (size_t k = 0; k < g->source_count && !cites; k++)
        cites = orch_cites(g->answer, g->sources[k].id);
    if (!bad || !cites || how == ORCH_NOTE)
        return;
    if (how == ORCH_REMOVE && out->supported && !strchr(g->answer, '\x01')) {
        out->text = without(g);
        out->removed = bad;
    } else {
        out->text = flagged(g, russian);
    }
}

void orch_ground(struct claims_reader *reader, const char *answer, bool russian,
                 const struct gw_source *sources, size_t count, enum orch_unsupported how,
                 struct orch_grounding *out)
{
    enum { HEAD = 64 * 1024 };
    struct grounding *g = xcalloc(1, sizeof *g);
    struct claims_reader *own = reader ? NULL : claims_reader_new();
    *out = (struct orch_grounding){0};
    g->reader = reader ? reader : own;
    g->answer = answer;
    g->sources = sources;
    g->source_count = count < MOST_SOURCES ? count : MOST_SOURCES;
    for (size_t k = 0; k < g->source_count; k++) {
        g->read[k] = read_source(g->reader, &sources[k]);
        g->plain[k] = plain_source(&sources[k], &g->json[k]);
    }
    if (strlen(answer) <= HEAD)
        know_sentences(answer, take_sentence, g);
    for (size_t i = 0; i < g->count; i++) {
        enum state state = g->sentences[i].state;
        out->assessed++;
        out->supported += state == SUPPORTED;
        out->contradicted += state == CONTRADICTED;
        out->unsupported += state == UNSUPPORTED;
    }
    rewrite(g, russian, how, out);
    out->doc = doc_of(g, out);
    for (size_t k = 0; k < g->source_count; k++) {
        claims_free(g->read[k]);
        free(g->plain[k]);
    }
    claims_reader_free(own);
    free(g);
}

void orch_grounding_release(struct orch_grounding *g)
{
    json_decref(g->doc);
    free(g->text);
    *g = (struct orch_grounding){0};
}
