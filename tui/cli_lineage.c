/* `mcp-console evidence lineage`: what an answer derives from, as a tree, JSON or Graphviz; the
 * audit. */
#include "tui/cli_internal.h"
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 40, AUDIT_MS = 24 * 3600 * 1000 };

struct edge {
    size_t from, to; /* indexes of nodes */
    const char *transform;
    double confidence; /* -1: unknown */
};

struct graph {
    const json_t *nodes;
    struct edge *edges;
    size_t edge_count, root;
    bool down, ascii;
    bool *seen;
};

/* ---- the graph, from its JSON ---- */

static size_t index_of(const json_t *nodes, int64_t seq)
{
    size_t low = 0, high = json_array_size(nodes);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (json_int(json_array_get(nodes, mid), "id", -1) < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void read_graph(const json_t *answer, struct graph *g)
{
    const json_t *edges = json_object_get(answer, "edges"), *one;
    size_t i, n;
    g->nodes = json_object_get(answer, "nodes");
    n = json_array_size(g->nodes);
    g->edges = xcalloc(json_array_size(edges) + 1, sizeof *g->edges);
    g->seen = xcalloc(n + 1, sizeof *g->seen);
    g->root = index_of(g->nodes, json_int(answer, "root", -1));
    json_array_foreach(edges, i, one)
    {
        const json_t *confidence = json_object_get(one, "confidence");
        struct edge *e = &g->edges[g->edge_count];
        e->from = index_of(g->nodes, json_int(one, "from", -1));
        e->to = index_of(g->nodes, json_int(one, "to", -1));
        e->transform = json_str(one, "transform", "");
        e->confidence = json_is_number(confidence) ? json_number_value(confidence) : -1;
        g->edge_count += e->from < n && e->to < n;
    }
}

/* ---- the tree ---- */

static void put_node(const struct graph *g, size_t at)
{
    const json_t *node = json_array_get(g->nodes, at);
    const char *type = json_str(node, "type", ""), *label = json_str(node, "label", "");
    printf("%lld ", (long long)json_int(node, "id", -1));
    cli__put(type, false);
    putchar(' ');
    cli__put(json_str(node, "actor", ""), false);
    if (strcmp(type, label) != 0) {
        fputs("  ", stdout);
        cli__put(label, false);
    }
    if (json_flag(node, "erased", false))
        fputs("  (erased)", stdout);
}

static void put_parts(const struct graph *g, size_t at, const char *prefix)
{
    const json_t *part;
    size_t i;
    json_array_foreach(json_object_get(json_array_get(g->nodes, at), "parts"), i, part)
    {
        printf("%s%s ", prefix, g->ascii ? "*" : "\u00b7");
        cli__put(json_str(part, "document", ""), false);
        fputs(" # ", stdout);
        cli__put(json_str(part, "heading", ""), false);
        printf("  %.2f  %.16s\n", json_number_value(json_object_get(part, "score")),
               json_str(part, "hash", ""));
    }
}

static void put_tree(struct graph *g, size_t at, const char *prefix, int depth);

static void put_branch(struct graph *g, const struct edge *e, bool last, const char *prefix,
                       int depth)
{
    size_t next = g->down ? e->to : e->from;
    const char *fork = g->ascii ? (last ? "`- " : "|- ") : last ? "\u2514\u2500 " : "\u251c\u2500 ";
    printf("%s%s%s", prefix, fork, *e->transform ? e->transform : "?");
    if (e->confidence >= 0)
        printf(" %.2f", e->confidence);
    fputs(": ", stdout);
    put_node(g, next);
    if (g->seen[next] || depth == DEEPEST) {
        puts(g->seen[next] ? "  (above)" : "  (deeper: ask for this one)");
        return;
    }
    putchar('\n');
    char *deeper = xasprintf("%s%s", prefix, last ? "   " : g->ascii ? "|  " : "\u2502  ");
    put_tree(g, next, deeper, depth + 1);
    free(deeper);
}

static void put_tree(struct graph *g, size_t at, const char *prefix, int depth)
{
    size_t last = g->edge_count;
    g->seen[at] = true;
    put_parts(g, at, prefix);
    for (size_t i = 0; i < g->edge_count; i++)
        if ((g->down ? g->edges[i].from : g->edges[i].to) == at)
            last = i;
    for (size_t i = 0; i < g->edge_count && last < g->edge_count; i++)
        if ((g->down ? g->edges[i].from : g->edges[i].to) == at)
            put_branch(g, &g->edges[i], i == last, prefix, depth);
}

static void put_audit(const json_t *audit)
{
    const json_t *problem;
    size_t i;
    json_array_foreach(json_object_get(audit, "problems"), i, problem)
    {
        printf("problem at entry %lld: ", (long long)json_int(problem, "seq", -1));
        cli__put(json_str(problem, "text", ""), false);
        putchar('\n');
    }
}

static void print_tree(const json_t *answer, struct graph *g)
{
    const json_t *audit = json_object_get(answer, "audit");
    bool rest = false;
    put_node(g, g->root);
    putchar('\n');
    put_tree(g, g->root, "", 0);
    for (size_t i = 0; i < json_array_size(g->nodes); i++) {
        if (g->seen[i])
            continue;
        if (!rest)
            puts("not reached from there:");
        rest = true;
        put_node(g, i);
        putchar('\n');
    }
    printf("%s: %lld nodes, %lld edges%s\n",
           json_flag(audit, "ok", false) ? "lineage whole" : "LINEAGE BROKEN",
           (long long)json_int(audit, "nodes", 0), (long long)json_int(audit, "edges", 0),
           json_flag(answer, "truncated", false) ? " (there are more)" : "");
    put_audit(audit);
}

/* ---- Graphviz ---- */

static void put_quoted(const char *text)
{
    char *clean = text_cleaned(text, TEXT_ONE_LINE);
    for (const char *p = clean; *p; p++) {
        if (*p == '"' || *p == '\\')
            putchar('\\');
        putchar(*p);
    }
    free(clean);
}

static void print_dot(const struct graph *g)
{
    puts("digraph lineage {\n  rankdir=BT;\n  node [shape=box, fontname=\"sans-serif\"];");
    for (size_t i = 0; i < json_array_size(g->nodes); i++) {
        const json_t *node = json_array_get(g->nodes, i);
        const char *type = json_str(node, "type", ""), *label = json_str(node, "label", "");
        printf("  n%lld [label=\"%lld ", (long long)json_int(node, "id", -1),
               (long long)json_int(node, "id", -1));
        put_quoted(type);
        fputs("\\n", stdout);
        put_quoted(json_str(node, "actor", ""));
        if (strcmp(type, label) != 0) {
            fputs("\\n", stdout);
            put_quoted(label);
        }
        printf("\"%s%s];\n", json_flag(node, "erased", false) ? ", style=dashed" : "",
               i == g->root ? ", penwidth=2" : "");
    }
    for (size_t i = 0; i < g->edge_count; i++) {
        const struct edge *e = &g->edges[i];
        printf("  n%lld -> n%lld [label=\"",
               (long long)json_int(json_array_get(g->nodes, e->from), "id", -1),
               (long long)json_int(json_array_get(g->nodes, e->to), "id", -1));
        put_quoted(e->transform);
        if (e->confidence >= 0)
            printf(" %.2f", e->confidence);
        puts("\"];");
    }
    puts("}");
}

/* ---- the command ---- */

static int audit(struct cli *c, struct busc *bus)
{
    struct error e = {0};
    json_t *params = json_object();
    json_put(params, "audit", json_true());
    json_puti(params, "from", c->from);
    json_t *report = busc_wait(bus, WIRE_evidence_lineage, params, AUDIT_MS, &e);
    if (!report)
        return cli_error(&e);
    bool ok = json_flag(report, "ok", false);
    if (c->json) {
        cli__print_json(report);
    } else {
        printf("%s: %lld entries in %lld ms\nproved ", ok ? "lineage whole" : "LINEAGE BROKEN",
               (long long)json_int(report, "entries", 0),
               (long long)json_int(report, "elapsed_ms", 0));
        cli__put(json_str(report, "proved", ""), false);
        putchar('\n');
        put_audit(report);
    }
    json_decref(report);
    return ok ? EXIT_DONE : EXIT_TAMPERED;
}

int cli__lineage(struct cli *c, struct busc *bus)
{
    struct graph g = {.down = c->down, .ascii = cli__ascii()};
    int status = EXIT_DONE;
    if (c->audit)
        return audit(c, bus);
    json_t *params = json_object();
    json_puts(params, "id", c->text);
    json_puts(params, "direction", c->down ? "down" : "up");
    json_t *answer = cli__call(bus, WIRE_evidence_lineage, params, &status);
    if (!answer)
        return status;
    read_graph(answer, &g);
    if (c->json)
        cli__print_json(answer);
    else if (c->dot)
        print_dot(&g);
    else
        print_tree(answer, &g);
    if (!json_flag(json_object_get(answer, "audit"), "ok", false))
        status = EXIT_TAMPERED;
    free(g.edges);
    free(g.seen);
    json_decref(answer);
    return status;
}
