/* The difference of two JSON values as people read it: their lines, pretty, in the unified form
 * (without its header), by a longest common subsequence. */
#include "backend/connectors/registry_types.h"
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 1500, CONTEXT = 3, OUT_MAX = 64 << 10 };

struct lines {
    char *text;
    const char *at[LINES_MAX];
    size_t count;
    bool cut; /* there are more: only the first are compared */
};

static void split(const json_t *value, struct lines *l)
{
    l->text = value ? json_dumps(value, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    l->count = 0;
    l->cut = false;
    for (char *at = l->text; at && *at;) {
        char *nl = strchr(at, '\n');
        if (l->count == LINES_MAX) {
            l->cut = true;
            break;
        }
        l->at[l->count++] = at;
        if (nl)
            *nl = '\0';
        at = nl ? nl + 1 : NULL;
    }
}

static void put_line(struct buf *out, char mark, const char *line)
{
    if (out->len < OUT_MAX)
        buf_addf(out, "%c%.500s\n", mark, line);
}

struct walk {
    const struct lines *a, *b;
    const uint16_t *table; /* [(i) * (b->count + 1) + j]: the longest from there on */
};

static uint16_t longest(const struct walk *w, size_t i, size_t j)
{
    return w->table[i * (w->b->count + 1) + j];
}

static char step(const struct walk *w, size_t i, size_t j)
{
    if (i < w->a->count && j < w->b->count && strcmp(w->a->at[i], w->b->at[j]) == 0)
        return ' ';
    if (i < w->a->count && (j == w->b->count || longest(w, i + 1, j) >= longest(w, i, j + 1)))
        return '-';
    return '+';
}

static void write_steps(const struct walk *w, struct buf *out)
{
    size_t most = w->a->count + w->b->count, n = 0, i = 0, j = 0;
    char *kind = xcalloc(most + 1, 1);
    const char **line = xcalloc(most + 1, sizeof *line);
    while (i < w->a->count || j < w->b->count) {
        kind[n] = step(w, i, j);
        line[n] = kind[n] == '+' ? w->b->at[j] : w->a->at[i];
        i += kind[n] != '+';
        j += kind[n] != '-';
        n++;
    }
    bool gap = false;
    for (size_t k = 0; k < n; k++) {
        bool near = false;
        size_t from = k > CONTEXT ? k - CONTEXT : 0, to = k + CONTEXT < n ? k + CONTEXT : n - 1;
        for (size_t m = from; m <= to && !near; m++)
            near = kind[m] != ' ';
        if (near)
            put_line(out, kind[k], line[k]);
        else if (!gap)
            put_line(out, '@', "@");
        gap = !near;
    }
    free(kind);
    free(line);
}

void conn__diff(const json_t *before, const json_t *after, struct buf *out)
{
    struct lines *l = xcalloc(2, sizeof *l);
    split(before, &l[0]);
    split(after, &l[1]);
    size_t width = l[1].count + 1;
    uint16_t *table = xcalloc((l[0].count + 1) * width, sizeof *table);
    for (size_t i = l[0].count; i-- > 0;) {
        for (size_t j = l[1].count; j-- > 0;) {
            uint16_t down = table[(i + 1) * width + j], right = table[i * width + j + 1];
            table[i * width + j] = strcmp(l[0].at[i], l[1].at[j]) == 0
                                       ? (uint16_t)(table[(i + 1) * width + j + 1] + 1)
                                       : (down > right ? down : right);
        }
    }
    struct walk w = {&l[0], &l[1], table};
    write_steps(&w, out);
    if (l[0].cut || l[1].cut || out->len >= OUT_MAX)
        buf_adds(out, "@ there is more\n");
    free(table);
    free(l[0].text);
    free(l[1].text);
    free(l);
}
