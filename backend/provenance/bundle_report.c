/* report.html: a bundle for the eye. One file, no script, nothing loaded from elsewhere; what it
 * shows of others is made visible and escaped. It leaves things out where a page would be too long,
 * and says so; the files beside it are whole. */
#include "backend/provenance/bundle_report.h"

#include "backend/base/clock.h"
#include "backend/base/embed.h"
#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

enum { ROWS = 2000, SHOWN = 400, PAYLOAD_MOST = 6 * 1024, GRAPHS = 8 };

void report__text(struct buf *out, const char *text, size_t len)
{
    struct buf clean = {0};
    text_clean(text, len, 0, &clean);
    for (size_t i = 0; i < clean.len; i++) {
        switch (clean.data[i]) {
        case '&':
            buf_adds(out, "&amp;");
            break;
        case '<':
            buf_adds(out, "&lt;");
            break;
        case '>':
            buf_adds(out, "&gt;");
            break;
        case '"':
            buf_adds(out, "&quot;");
            break;
        case '\'':
            buf_adds(out, "&#39;");
            break;
        default:
            buf_addc(out, clean.data[i]);
        }
    }
    buf_release(&clean);
}

void report__str(struct buf *out, const char *text)
{
    report__text(out, text, strlen(text));
}

/* ---- what is read of the entries and payloads ---- */

struct row {
    struct report__node node;
    char ts[CLOCK_TEXT], hash[2 * VAULT_HASH + 1];
    struct bundle__payload payload;
    bool has_payload;
};

struct page {
    const struct bundle__report *r;
    struct buf *out;
    struct row *rows; /* of the first entries, as many as are shown */
    size_t count;
};

static char *unquoted(struct prov__text text) /* checked by the scanner, in JSON form */
{
    json_t *value = json_loadb(text.at - 1, text.len + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    char *copy = xstrdup(json_is_string(value) ? json_string_value(value) : "");
    json_decref(value);
    return copy;
}

/* A few words of a payload: what one looks for when one looks for this entry. */
static char *label_of(const struct bundle__payload *p)
{
    static const char *const keys[] = {"text",  "tool",  "query", "winner",
                                       "model", "route", "reason"};
    char *label = NULL;
    if (p->state > BUNDLE__ATTESTED)
        return NULL;
    json_t *value = json_read(p->plain.at, p->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    for (size_t i = 0; value && !label && i < sizeof keys / sizeof *keys; i++)
        if (*json_str(value, keys[i], ""))
            label = xstrdup(json_str(value, keys[i], ""));
    json_decref(value);
    for (char *c = label; c && *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
    return label;
}

static void read_row(struct row *row, struct prov__text entry)
{
    struct prov__header h;
    uint8_t hash[VAULT_HASH];
    BUG_IF(prov__entry_read(entry.at, entry.len, &h) != NULL);
    vault_sha256(entry.at, entry.len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, row->hash);
    clock_format(h.ts, row->ts);
    row->node.seq = h.seq;
    snprintf(row->node.type, sizeof row->node.type, "%.*s", (int)h.type.len, h.type.at);
    memcpy(row->node.trace_id, h.trace_id, sizeof row->node.trace_id);
    row->node.actor = unquoted(h.actor);
    row->node.parent_count = h.parent_count;
    for (size_t i = 0; i < h.parent_count; i++) {
        row->node.parent[i].seq = h.parents[i];
        row->node.parent[i].confidence = h.confidences[i];
        snprintf(row->node.parent[i].transform, sizeof row->node.parent[i].transform, "%.*s",
                 (int)h.transforms[i].len, h.transforms[i].at);
    }
}

static void read_rows(struct page *p)
{
    const struct bundle__entries *entries = p->r->entries;
    struct prov__text rest = p->r->payloads, line;
    p->count = entries->count < ROWS ? entries->count : ROWS;
    p->rows = xcalloc(p->count + 1, sizeof *p->rows);
    for (size_t i = 0; i < p->count; i++) {
        struct row *row = &p->rows[i];
        read_row(row, entries->text[i]);
        row->has_payload =
            bundle__line(&rest, &line) && bundle__payload_read(line.at, line.len, &row->payload);
        if (row->has_payload)
            row->node.label = label_of(&row->payload);
    }
}

/* ---- parts of the page ---- */

static void put_head(struct page *p)
{
    struct buf *out = p->out;
    buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "style-src 'unsafe-inline'\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n<title>Evidence: ");
    report__str(out, json_str(p->r->predicate, "scope", ""));
    buf_adds(out, "</title>\n<style>\n");
    for (const struct embed_file *f = embed_bundle; f->name; f++)
        if (strstr(f->name, ".css"))
            buf_add(out, f->data, f->size);
    buf_adds(out, "</style>\n</head>\n<body>\n");
}

static void put_field(struct buf *out, const char *name, const char *value, const char *class)
{
    buf_addf(out, "<div><dt>%s</dt><dd class=\"%s\">", name, class);
    report__str(out, value);
    buf_adds(out, "</dd></div>\n");
}

static void put_number(struct buf *out, const char *name, int64_t value)
{
    buf_addf(out, "<div><dt>%s</dt><dd>%lld</dd></div>\n", name, (long long)value);
}

/* What the last verification of the whole log said. */
static void put_verification(struct page *p)
{
    const json_t *v = json_object_get(p->r->predicate, "verification");
    if (!json_is_object(v)) {
        buf_adds(p->out,
                 "<p class=\"verdict none\"><b>Log not verified</b> The console had not yet "
                 "verified its whole log when this was made.</p>\n");
        return;
    }
    bool ok = json_flag(v, "ok", false);
    buf_addf(
        p->out,
        "<p class=\"verdict %s\"><b>%s</b> At export the console's last verification of its log: "
        "%lld of %lld entries checked, %lld problems.</p>\n",
        ok ? "good" : "bad", ok ? "Log intact" : "Log not intact",
        (long long)json_int(v, "checked", 0), (long long)json_int(v, "size", 0),
        (long long)json_int(v, "problem_count", 0));
}

static void put_summary(struct page *p)
{
    struct buf *out = p->out;
    const json_t *d = p->r->predicate, *entries = json_object_get(d, "entries");
    const json_t *states = json_object_get(d, "payloads"), *trees = json_object_get(d, "trees"),
                 *tree;
    size_t i;
    char line[VAULT_LABEL];
    buf_adds(out, "<header>\n<p class=\"kicker\">mcp-console evidence bundle</p>\n<h1>");
    report__str(out, json_str(d, "scope", ""));
    buf_adds(out, "</h1>\n");
    put_verification(p);
    buf_adds(out, "</header>\n<section>\n<h2>What this is</h2>\n<dl>\n");
    put_field(out, "Made", json_str(d, "created", ""), "");
    put_field(out, "By", json_str(d, "exporter", ""), "");
    put_field(out, "Environment", json_str(d, "environment", ""), "");
    put_field(out, "Console", json_str(json_object_get(d, "tool"), "version", ""), "");
    put_number(out, "Entries", json_int(entries, "count", 0));
    put_number(out, "First entry", json_int(entries, "first", 0));
    put_number(out, "Last entry", json_int(entries, "last", 0));
    for (i = 0; i < 4; i++) {
        char *name = xasprintf("Payloads %s", bundle__states[i]);
        if (json_int(states, bundle__states[i], 0))
            put_number(out, name, json_int(states, bundle__states[i], 0));
        free(name);
    }
    json_array_foreach(trees, i, tree)
    {
        char *log = xasprintf("%s, signed over %lld entries", json_str(tree, "origin", ""),
                              (long long)json_int(tree, "size", 0));
        put_field(out, "Log", log, "wide mono");
        put_field(out, "Root", json_str(tree, "root", ""), "wide mono");
        free(log);
    }
    prov__vkey_write(&p->r->keys->at[p->r->keys->count - 1].vkey, line);
    put_field(out, "Verifier key", line, "wide mono");
    buf_adds(out, "</dl>\n</section>\n");
}

static void put_list(struct buf *out, const char *title, const json_t *list)
{
    size_t i;
    json_t *text;
    buf_addf(out, "<div>\n<h3>%s</h3>\n<ul>\n", title);
    json_array_foreach((json_t *)list, i, text)
    {
        buf_adds(out, "<li>");
        report__str(out, json_is_string(text) ? json_string_value(text) : "");
        buf_adds(out, "</li>\n");
    }
    buf_adds(out, "</ul>\n</div>\n");
}

static void put_claims(struct page *p)
{
    buf_adds(p->out, "<section>\n<h2>What it proves</h2>\n<div class=\"two\">\n");
    put_list(p->out, "Proved", json_object_get(p->r->predicate, "proves"));
    put_list(p->out, "Not proved", json_object_get(p->r->predicate, "does_not_prove"));
    buf_adds(p->out, "</div>\n</section>\n");
}

/* The nodes of a trace; how many there are, which may be more than are drawn. */
static size_t trace_nodes(const struct page *p, const char *trace, struct report__node *nodes)
{
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->rows[i].node.trace_id, trace) != 0)
            continue;
        if (n < REPORT__DRAWN)
            nodes[n] = p->rows[i].node;
        n++;
    }
    return n;
}

static bool seen_before(const struct page *p, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(p->rows[k].node.trace_id, p->rows[i].node.trace_id) == 0)
            return true;
    return false;
}

static void put_lineage(struct page *p)
{
    struct report__node *nodes = xcalloc(REPORT__DRAWN, sizeof *nodes);
    size_t drawn = 0, left = 0;
    buf_adds(p->out, "<section>\n<h2>Lineage</h2>\n");
    for (size_t i = 0; i < p->count; i++) {
        const char *trace = p->rows[i].node.trace_id;
        if (!*trace || (i && strcmp(p->rows[i - 1].node.trace_id, trace) == 0) || seen_before(p, i))
            continue;
        if (drawn == GRAPHS) {
            left++;
            continue;
        }
        size_t n = trace_nodes(p, trace, nodes);
        drawn++;
        buf_addf(p->out,
                 "<figure>\n<figcaption>Trace <code>%s</code>, %zu entries%s</figcaption>\n", trace,
                 n, n > REPORT__DRAWN ? "; the first 80 are drawn" : "");
        report__graph(nodes, n > REPORT__DRAWN ? REPORT__DRAWN : n, p->out);
        buf_adds(p->out, "</figure>\n");
    }
    if (!drawn)
        buf_adds(p->out, "<p class=\"none\">No entry of this bundle belongs to an answer.</p>\n");
    if (left)
        buf_addf(p->out, "<p class=\"none\">%zu more are not drawn; lineage.json has them.</p>\n",
                 left);
    buf_adds(p->out, "</section>\n");
    free(nodes);
}

static void put_parents(struct buf *out, const struct report__node *n)
{
    for (size_t i = 0; i < n->parent_count; i++) {
        buf_addf(out, "%s<a href=\"#e%lld\">%lld</a> ", i ? ", " : "", (long long)n->parent[i].seq,
                 (long long)n->parent[i].seq);
        report__str(out, n->parent[i].transform);
        if (n->parent[i].confidence >= 0)
            buf_addf(out, " %d.%02d", n->parent[i].confidence / 1000,
                     n->parent[i].confidence % 1000 / 10);
    }
}

static void put_entries(struct page *p)
{
    struct buf *out = p->out;
    size_t all = p->r->entries->count;
    buf_adds(out,
             "<section>\n<h2>Entries</h2>\n<table>\n<thead><tr><th class=\"n\">No.</th><th>Time "
             "(UTC)</th><th>Type</th><th>Actor</th><th>Derives "
             "from</th><th>Payload</th><th>SHA-256</th></tr></thead>\n"
             "<tbody>\n");
    for (size_t i = 0; i < p->count; i++) {
        const struct row *r = &p->rows[i];
        const char *state = r->has_payload ? bundle__states[r->payload.state] : "";
        buf_addf(out, "<tr id=\"e%lld\"><td class=\"n\">%lld</td><td>%.19s</td><td>",
                 (long long)r->node.seq, (long long)r->node.seq, r->ts);
        report__str(out, r->node.type);
        buf_adds(out, "</td><td>");
        report__str(out, r->node.actor);
        buf_adds(out, "</td><td>");
        put_parents(out, &r->node);
        if (i < SHOWN && r->has_payload && r->payload.state <= BUNDLE__ATTESTED)
            buf_addf(out, "</td><td><a href=\"#p%lld\">%s</a>", (long long)r->node.seq, state);
        else
            buf_addf(out, "</td><td class=\"%s\">%s", state, state);
        buf_addf(out, "</td><td class=\"mono\">%.16s</td></tr>\n", r->hash);
    }
    buf_adds(out, "</tbody>\n</table>\n");
    if (all > p->count)
        buf_addf(out, "<p class=\"none\">%zu more entries are in entries.jsonl.</p>\n",
                 all - p->count);
    buf_adds(out, "</section>\n");
}

static void put_payload(struct buf *out, const struct row *r)
{
    json_t *value =
        json_read(r->payload.plain.at, r->payload.plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;
    size_t len = text ? strlen(text) : 0, cut = len > PAYLOAD_MOST ? PAYLOAD_MOST : len;
    buf_addf(out, "<article id=\"p%lld\">\n<h3><a href=\"#e%lld\">%lld</a> ",
             (long long)r->node.seq, (long long)r->node.seq, (long long)r->node.seq);
    report__str(out, r->node.type);
    buf_adds(out, " <small>");
    report__str(out, r->node.actor);
    buf_adds(out, "</small></h3>\n<pre>");
    report__text(out, text ? text : "", cut);
    buf_adds(out, "</pre>\n");
    if (cut < len)
        buf_addf(out, "<p class=\"none\">%zu more bytes are in payloads.jsonl.</p>\n", len - cut);
    buf_adds(out, "</article>\n");
    free(text);
    json_decref(value);
}

static void put_payloads(struct page *p)
{
    size_t shown = 0;
    buf_adds(p->out, "<section class=\"payloads\">\n<h2>Payloads</h2>\n");
    for (size_t i = 0; i < p->count && i < SHOWN; i++) {
        const struct row *r = &p->rows[i];
        if (!r->has_payload || r->payload.state > BUNDLE__ATTESTED)
            continue;
        put_payload(p->out, r);
        shown++;
    }
    if (!shown)
        buf_adds(p->out, "<p class=\"none\">No payload is disclosed in this bundle.</p>\n");
    else if (p->r->entries->count > SHOWN)
        buf_adds(p->out, "<p class=\"none\">Later payloads are in payloads.jsonl.</p>\n");
    buf_adds(p->out, "</section>\n");
}

static void put_erasures(struct page *p)
{
    bool any = false;
    for (size_t i = 0; i < p->count; i++) {
        const struct row *r = &p->rows[i];
        if (!r->has_payload || r->payload.state != BUNDLE__ERASED)
            continue;
        if (!any)
            buf_adds(p->out, "<section>\n<h2>Erased</h2>\n<ul>\n");
        any = true;
        buf_addf(p->out, "<li>The payload of entry %lld was erased, as entry %lld says.</li>\n",
                 (long long)r->node.seq, (long long)r->payload.erase_entry);
    }
    if (any)
        buf_adds(p->out, "</ul>\n</section>\n");
}

static void put_controls(struct page *p)
{
    struct buf *out = p->out;
    const json_t *list = json_object_get(p->r->controls, "controls"), *control;
    size_t i;
    buf_adds(out,
             "<section>\n<h2>Controls</h2>\n<p>As the console assessed itself when this was made");
    if (json_is_integer(json_object_get(p->r->controls, "score")))
        buf_addf(out, ": %lld of 100", (long long)json_int(p->r->controls, "score", 0));
    buf_adds(out,
             ".</p>\n<table>\n<thead><tr><th>Status</th><th>Control</th><th>Found</th><th>Law</th>"
             "</tr></thead>\n<tbody>\n");
    json_array_foreach((json_t *)list, i, control)
    {
        const char *status = json_str(control, "status", "");
        buf_adds(out, "<tr><td><span class=\"pill ");
        for (const char *c = status; *c; c++)
            buf_addc(out, *c >= 'a' && *c <= 'z' ? *c : '-');
        buf_adds(out, "\">");
        report__str(out, status);
        buf_adds(out, "</span></td><td>");
        report__str(out, json_str(control, "title", ""));
        buf_adds(out, "</td><td>");
        report__str(out, json_str(control, "reason", ""));
        buf_adds(out, "</td><td>");
        report__str(out, json_str(control, "law", ""));
        buf_adds(out, "</td></tr>\n");
    }
    buf_adds(out, "</tbody>\n</table>\n</section>\n");
}

static void put_policy(struct page *p)
{
    struct buf *out = p->out;
    const json_t *sections = json_object_get(p->r->policy, "settings");
    const char *section, *key;
    json_t *keys, *value;
    buf_adds(out, "<section>\n<h2>Settings in force</h2>\n<dl class=\"settings\">\n");
    json_object_foreach((json_t *)sections, section, keys)
    {
        json_object_foreach(keys, key, value)
        {
            buf_adds(out, "<div><dt>");
            report__str(out, section);
            buf_adds(out, " ");
            report__str(out, key);
            buf_adds(out, "</dt><dd>");
            report__str(out, json_is_string(value) ? json_string_value(value) : "");
            buf_adds(out, "</dd></div>\n");
        }
    }
    buf_adds(out, "</dl>\n</section>\n");
}

static void put_verify(struct page *p)
{
    struct buf *out = p->out;
    buf_adds(out,
             "<section>\n<h2>How to check it</h2>\n<p>README.md in this bundle says how, with "
             "<code>openssl</code> and a few lines of any language. With the console: "
             "<code>mcp-console evidence verify --bundle FILE --key KEYFILE</code>. This page is "
             "the file whose hash the signed statement names; it proves nothing by its looks."
             "</p>\n<h3>The checkpoint</h3>\n<pre>");
    report__str(out, p->r->note);
    buf_adds(out, "</pre>\n</section>\n</body>\n</html>\n");
}

void bundle__report(const struct bundle__report *r, struct buf *out)
{
    struct page p = {.r = r, .out = out};
    read_rows(&p);
    put_head(&p);
    put_summary(&p);
    put_claims(&p);
    put_lineage(&p);
    put_entries(&p);
    put_erasures(&p);
    put_payloads(&p);
    put_controls(&p);
    put_policy(&p);
    put_verify(&p);
    for (size_t i = 0; i < p.count; i++) {
        free(p.rows[i].node.actor);
        free(p.rows[i].node.label);
    }
    free(p.rows);
}
