/* The lineage of an answer as a drawing: SVG without scripts, styled by report.css.
 *
 * A node's layer is one below its lowest parent's; within a layer nodes stand below the middle of
 * their parents. Wide layers go on in further rows. */
#include "backend/provenance/bundle_report.h"

#include <stdlib.h>
#include <string.h>

enum { WIDE = 188, HIGH = 46, GAP_X = 18, GAP_Y = 40, COLUMNS = 6, MARGIN = 8, LABEL = 25 };

struct place {
    int layer, row, column;
    double wish; /* where in its layer it would stand, 0..1 */
    int x, y;
};

struct drawing {
    const struct report__node *nodes;
    size_t n;
    struct place place[REPORT__DRAWN];
    int rows, columns;
};

static int find(const struct drawing *d, int64_t seq)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->nodes[i].seq == seq)
            return (int)i;
    return -1;
}

/* Parents come first, so one pass is enough. */
static int set_layers(struct drawing *d)
{
    int most = 0;
    for (size_t i = 0; i < d->n; i++) {
        for (size_t k = 0; k < d->nodes[i].parent_count; k++) {
            int parent = find(d, d->nodes[i].parent[k].seq);
            if (parent >= 0 && d->place[parent].layer >= d->place[i].layer)
                d->place[i].layer = d->place[parent].layer + 1;
        }
        if (d->place[i].layer > most)
            most = d->place[i].layer;
    }
    return most + 1;
}

static void set_wish(struct drawing *d, size_t i)
{
    double sum = 0;
    int known = 0;
    for (size_t k = 0; k < d->nodes[i].parent_count; k++) {
        int parent = find(d, d->nodes[i].parent[k].seq);
        if (parent < 0)
            continue;
        sum += d->place[parent].x; /* all are of one width */
        known++;
    }
    d->place[i].wish = known ? sum / known : 0;
}

/* A layer's nodes by where they want to stand; then rows of at most COLUMNS. */
static void set_places(struct drawing *d, int layers)
{
    int width = d->columns * (WIDE + GAP_X) - GAP_X, row = 0;
    for (int layer = 0; layer < layers; layer++) {
        size_t of[REPORT__DRAWN], n = 0;
        for (size_t i = 0; i < d->n; i++) {
            if (d->place[i].layer != layer)
                continue;
            set_wish(d, i);
            size_t at = n++;
            while (at > 0 && d->place[of[at - 1]].wish > d->place[i].wish) {
                of[at] = of[at - 1];
                at--;
            }
            of[at] = i;
        }
        for (size_t i = 0; i < n; i++) {
            size_t first = i / COLUMNS * COLUMNS,
                   in_row = n - first < COLUMNS ? n - first : COLUMNS;
            int used = (int)in_row * (WIDE + GAP_X) - GAP_X;
            struct place *p = &d->place[of[i]];
            p->row = row + (int)(i / COLUMNS);
            p->column = (int)(i % COLUMNS);
            p->x = MARGIN + (width - used) / 2 + p->column * (WIDE + GAP_X);
            p->y = MARGIN + p->row * (HIGH + GAP_Y);
        }
        row += (int)((n + COLUMNS - 1) / COLUMNS);
    }
    d->rows = row;
}

static void set_columns(struct drawing *d, int layers)
{
    for (int layer = 0; layer < layers; layer++) {
        int n = 0;
        for (size_t i = 0; i < d->n; i++)
            n += d->place[i].layer == layer;
        if (n > d->columns)
            d->columns = n > COLUMNS ? COLUMNS : n;
    }
}

static void draw_edge(const struct drawing *d, size_t from, size_t to, const char *transform,
                      int confidence, struct buf *out)
{
    const struct place *a = &d->place[from], *b = &d->place[to];
    int x1 = a->x + WIDE / 2, y1 = a->y + HIGH, x2 = b->x + WIDE / 2, y2 = b->y;
    int bend = y2 - y1 > 2 * GAP_Y ? GAP_Y : (y2 - y1) / 2;
    buf_addf(out, "<path class=\"edge\" d=\"M%d %dC%d %d %d %d %d %d\"><title>%lld to %lld", x1, y1,
             x1, y1 + bend, x2, y2 - bend, x2, y2, (long long)d->nodes[from].seq,
             (long long)d->nodes[to].seq);
    if (*transform) {
        buf_adds(out, ": ");
        report__str(out, transform);
    }
    if (confidence >= 0)
        buf_addf(out, ", confidence %d.%03d", confidence / 1000, confidence % 1000);
    buf_adds(out, "</title></path>\n");
}

static const char *class_of(const char *type)
{
    static const struct {
        const char *prefix, *class;
    } classes[] = {{"question", "ask"},   {"tool.", "tool"},    {"retrieval", "source"},
                   {"summary", "source"}, {"model.", "model"},  {"critique", "model"},
                   {"verdict", "judge"},  {"answer", "answer"}, {"stop", "stop"}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strncmp(type, classes[i].prefix, strlen(classes[i].prefix)) == 0)
            return classes[i].class;
    return "other";
}

static void draw_words(struct buf *out, const char *words)
{
    size_t len = strlen(words), end = 0, letters = 0;
    while (end < len && letters < LABEL) {
        do
            end++;
        while (end < len && ((unsigned char)words[end] & 0xc0) == 0x80);
        letters++;
    }
    report__text(out, words, end);
    if (end < len)
        buf_adds(out, "\xe2\x80\xa6");
}

static void draw_node(const struct drawing *d, size_t i, struct buf *out)
{
    const struct report__node *n = &d->nodes[i];
    const struct place *p = &d->place[i];
    buf_addf(out, "<a href=\"#e%lld\"><g class=\"node %s\"><title>%lld ", (long long)n->seq,
             class_of(n->type), (long long)n->seq);
    report__str(out, n->type);
    buf_adds(out, " by ");
    report__str(out, n->actor);
    buf_addf(out,
             "</title><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>"
             "<text x=\"%d\" y=\"%d\" class=\"kind\">",
             p->x, p->y, WIDE, HIGH, p->x + 10, p->y + 19);
    report__str(out, n->type);
    buf_addf(out, "</text><text x=\"%d\" y=\"%d\" class=\"seq\">%lld</text>", p->x + WIDE - 10,
             p->y + 19, (long long)n->seq);
    buf_addf(out, "<text x=\"%d\" y=\"%d\" class=\"words\">", p->x + 10, p->y + 36);
    draw_words(out, n->label ? n->label : n->actor);
    buf_adds(out, "</text></g></a>\n");
}

void report__graph(const struct report__node *nodes, size_t n, struct buf *out)
{
    struct drawing *d = xcalloc(1, sizeof *d);
    d->nodes = nodes;
    d->n = n;
    d->columns = 1;
    BUG_IF(n > REPORT__DRAWN);
    int layers = set_layers(d);
    set_columns(d, layers);
    set_places(d, layers);
    int width = 2 * MARGIN + d->columns * (WIDE + GAP_X) - GAP_X;
    int height = 2 * MARGIN + d->rows * (HIGH + GAP_Y) - GAP_Y;
    buf_addf(out,
             "<svg class=\"lineage\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" "
             "aria-label=\"Lineage of an answer\">\n",
             width, height, width, height);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < nodes[i].parent_count; k++) {
            int parent = find(d, nodes[i].parent[k].seq);
            if (parent >= 0)
                draw_edge(d, (size_t)parent, i, nodes[i].parent[k].transform,
                          nodes[i].parent[k].confidence, out);
        }
    for (size_t i = 0; i < n; i++)
        draw_node(d, i, out);
    buf_adds(out, "</svg>\n");
    free(d);
}
