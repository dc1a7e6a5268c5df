/* The lineage of the entry at hand as a tree: what it derives from, what follows from it. Parents
 * are earlier entries, so the smaller seq of an edge is the parent whichever way it is told. */
#include "views/evidence.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MAX = 2000, DEPTH_MAX = 60 };
enum { COL_TREE, COL_TRANSFORM, COL_CONFIDENCE, COL_LABEL, COL_ENTRY };
static const struct tui_column columns[] = {{"", -18, false, 0},
                                            {"by", 11, false, 2},
                                            {"conf.", 4, true, 3},
                                            {"what", -24, false, 4},
                                            {"entry", 8, true, 1}};

static size_t tree_count(void *arg)
{
    return ((struct evidence *)arg)->tree.count;
}

static const char *tree_id(void *arg, size_t row)
{
    return ((struct evidence *)arg)->tree.node[row].id;
}

static void tree_shape(const struct evidence_node *n, struct buf *out)
{
    for (int d = 1; d < n->depth; d++)
        buf_addf(out, "%s ", n->more >> d & 1 ? tui_glyph(GLYPH_VRULE) : " ");
    if (n->depth)
        buf_addf(out, "%s ", tui_glyph(n->last ? GLYPH_CORNER : GLYPH_TEE_RIGHT));
}

static void tree_cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    const struct evidence *v = arg;
    const struct evidence_node *n = &v->tree.node[row];
    const char *word = json_str(n->doc, "type", json_str(n->doc, "heading", ""));
    *role = n->heading ? ROLE_DIM : n->seq == v->seq ? ROLE_STRONG : ROLE_TEXT;
    if (n->heading && column == COL_TREE)
        buf_adds(out, n->heading);
    if (n->heading)
        return;
    if (column == COL_TREE) {
        tree_shape(n, out);
        buf_adds(out, *word ? word : json_str(n->doc, "document", "-"));
        if (n->again)
            buf_addf(out, " (%s)", _("above"));
    } else if (column == COL_TRANSFORM) {
        *role = ROLE_DIM;
        const json_t *score = json_object_get(n->doc, "score"); /* of a passage: no confidence */
        if (json_is_number(score))
            buf_addf(out, _("score %.3g"), json_number_value(score));
        else
            buf_adds(out, n->transform ? n->transform : "");
    } else if (column == COL_CONFIDENCE && n->confidence >= 0) {
        buf_addf(out, "%d.%02d", n->confidence / 1000, n->confidence % 1000 / 10);
    } else if (column == COL_LABEL) {
        *role = ROLE_FOREIGN;
        buf_adds(out, json_str(n->doc, "label", json_str(n->doc, "document", "")));
    } else if (column == COL_ENTRY && n->seq >= 0) {
        buf_addf(out, "%lld", (long long)n->seq);
    }
}

static bool tree_draw(void *arg, size_t row, int column, struct tui_area a)
{
    const struct evidence *v = arg;
    const struct evidence_node *n = &v->tree.node[row];
    const json_t *gone = json_object_get(n->doc, "erased");
    if (column != COL_LABEL || !(json_is_true(gone) || json_is_integer(gone)))
        return false;
    tui_put_state(a, 0, 0, "erased", true);
    return true;
}

static void tree_copy(void *arg, size_t row, struct buf *out)
{
    const struct evidence_node *n = &((struct evidence *)arg)->tree.node[row];
    buf_adds(out, json_str(n->doc, "hash", n->id));
}

static const struct tui_list_ops list_ops = {.count = tree_count,
                                             .cell = tree_cell,
                                             .draw = tree_draw,
                                             .id = tree_id,
                                             .fixed = true,
                                             .copy = tree_copy};

void evidence_tree_open(struct evidence *v)
{
    v->tree.list = tui_list_new(columns, sizeof(columns) / sizeof(columns[0]), &list_ops, v);
}

void evidence_tree_release(struct evidence *v)
{
    tui_list_free(v->tree.list);
    free(v->tree.node);
    v->tree = (struct evidence_tree){0};
}

/* ---- from nodes and edges to lines */

static struct evidence_node *add(struct evidence *v)
{
    struct evidence_tree *t = &v->tree;
    if (t->count == t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 64;
        t->node = xrealloc(t->node, t->capacity * sizeof(*t->node));
    }
    struct evidence_node *n = &t->node[t->count];
    *n = (struct evidence_node){.seq = -1, .confidence = -1};
    snprintf(n->id, sizeof(n->id), "%zu", t->count++);
    return n;
}

static const json_t *node_doc(const struct evidence *v, int64_t seq)
{
    size_t i;
    const json_t *doc;
    json_array_foreach(json_object_get(v->lineage.result, "nodes"), i, doc)
    {
        if (json_int(doc, "id", -1) == seq)
            return doc;
    }
    return NULL;
}

static bool shown(const struct evidence *v, int64_t seq)
{
    for (size_t i = 0; i < v->tree.count; i++)
        if (v->tree.node[i].seq == seq)
            return true;
    return false;
}

/* The other end of an edge seen from seq, -1: it is not on that side. */
static int64_t other_end(const json_t *edge, int64_t seq, bool down)
{
    int64_t a = json_int(edge, "from", -1), b = json_int(edge, "to", -1);
    int64_t parent = a < b ? a : b, child = a < b ? b : a;
    return down ? (parent == seq ? child : -1) : child == seq ? parent : -1;
}

/* What a retrieval found; siblings: there are lines behind them at the same depth. */
static void add_parts(struct evidence *v, const json_t *doc, int depth, uint64_t more,
                      bool siblings)
{
    size_t i, n = json_array_size(json_object_get(doc, "parts"));
    const json_t *part;
    json_array_foreach(json_object_get(doc, "parts"), i, part)
    {
        struct evidence_node *line = add(v);
        line->doc = part;
        line->depth = depth;
        line->last = i + 1 == n && !siblings;
        line->more = more;
    }
}

static size_t neighbours(const struct evidence *v, int64_t seq, bool down)
{
    const json_t *edges = json_object_get(v->lineage.result, "edges"), *edge;
    size_t i, n = 0;
    json_array_foreach(edges, i, edge) n += other_end(edge, seq, down) >= 0;
    return n;
}

/* The neighbours of seq on one side, each with its own below it. */
static void add_side(struct evidence *v, int64_t seq, bool down, int depth, uint64_t more)
{
    const json_t *edges = json_object_get(v->lineage.result, "edges"), *edge;
    size_t i, left = neighbours(v, seq, down);
    if (depth > DEPTH_MAX)
        return;
    json_array_foreach(edges, i, edge)
    {
        int64_t next = other_end(edge, seq, down);
        if (next < 0 || v->tree.count >= NODES_MAX)
            continue;
        bool again = shown(v, next), last = --left == 0;
        struct evidence_node *line = add(v);
        const json_t *sure = json_object_get(edge, "confidence");
        line->seq = next;
        line->doc = node_doc(v, next);
        line->transform = json_str(edge, "transform", NULL);
        line->confidence = json_is_number(sure) ? (int)(json_number_value(sure) * 1000 + 0.5) : -1;
        line->depth = depth;
        line->last = last;
        line->more = more;
        line->again = again;
        if (again)
            continue;
        uint64_t below = last ? more : more | UINT64_C(1) << depth;
        if (!down)
            add_parts(v, node_doc(v, next), depth + 1, below, neighbours(v, next, down) > 0);
        add_side(v, next, down, depth + 1, below);
    }
}

void evidence_tree_set(struct evidence *v)
{
    v->tree.count = 0;
    if (v->lineage.result) {
        struct evidence_node *line = add(v);
        line->seq = v->seq;
        line->doc = node_doc(v, v->seq);
        add_parts(v, node_doc(v, v->seq), 1, 0, false);
        size_t at = v->tree.count;
        add(v)->heading = _("derives from");
        add_side(v, v->seq, false, 1, 0);
        if (v->tree.count == at + 1)
            v->tree.node[at].heading = _("derives from nothing");
        at = v->tree.count;
        add(v)->heading = _("leads to");
        add_side(v, v->seq, true, 1, 0);
        if (v->tree.count == at + 1)
            v->tree.node[at].heading = _("leads to nothing yet");
    }
    tui_list_changed(v->tree.list);
    tui_list_to_end(v->tree.list, false);
}

int64_t evidence_tree_selected(const struct evidence *v)
{
    long row = tui_list_selected(v->tree.list);
    return row >= 0 ? v->tree.node[row].seq : -1;
}

/* ---- drawing */

static void draw_audit(const struct evidence *v, struct tui_area a, int y)
{
    const json_t *audit = json_object_get(v->lineage.result, "audit"), *problem;
    size_t nodes = json_array_size(json_object_get(v->lineage.result, "nodes"));
    size_t problems = json_array_size(json_object_get(audit, "problems"));
    if (!json_is_object(audit))
        return;
    int x = tui_put_state(a, y, 0, json_flag(audit, "ok", false) ? "ok" : "broken", false) + 1;
    if (problems) {
        problem = json_array_get(json_object_get(audit, "problems"), 0);
        tui_put(a, y, x, -1, ROLE_FAIL, json_str(problem, "text", json_str(problem, "code", "-")));
        return;
    }
    x += tui_putf(a, y, x, -1, ROLE_DIM,
                  _n("%zu entry: no cycle, no orphan, no hash missing",
                     "%zu entries: no cycle, no orphan, no hash missing", nodes),
                  nodes) +
         2;
    if (json_flag(v->lineage.result, "truncated", false))
        tui_put(a, y, x, -1, ROLE_WARN, _("cut: there are more"));
}

void evidence_tree_draw(struct evidence *v, struct tui_area a, bool focused)
{
    tui_put(a, 0, 0, -1, v->on_tree ? ROLE_TITLE_FOCUS : ROLE_TITLE, _(" lineage "));
    v->tree_top = a.y + 2;
    v->tree_left = a.x;
    if (v->lineage.error)
        tui_put(a, 1, 1, -1, ROLE_DIM, v->lineage.error);
    else if (!v->lineage.result)
        tui_put(a, 1, 1, -1, ROLE_DIM, _("Waiting for the lineage."));
    else
        draw_audit(v, tui_sub(a, 1, 1, 1, a.width - 1), 0);
    tui_list_draw(v->tree.list, tui_sub(a, 2, 0, a.height - 2, a.width), focused, false);
}
