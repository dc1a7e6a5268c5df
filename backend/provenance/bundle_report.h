/* Private to bundles: what the files of report.html share. */
#ifndef PROV_BUNDLE_REPORT_H
#define PROV_BUNDLE_REPORT_H

#include "backend/provenance/bundle_parts.h"

/* Appends foreign text: made visible where it could act (base/text.h), then escaped for HTML. */
void report__text(struct buf *out, const char *text, size_t len);
void report__str(struct buf *out, const char *text);

struct report__node { /* an entry, as it is drawn */
    int64_t seq;
    char type[48], trace_id[33];
    char *actor, *label; /* label: a few words of its payload, or NULL */
    size_t parent_count;
    struct {
        int64_t seq;
        char transform[24]; /* "": not known */
        int confidence;     /* per mille, -1: not known */
    } parent[PROV__PARENTS];
};
/* Appends an SVG of these nodes, which are of one trace: layers from top to bottom, an edge from
 * each parent that is among them. n is up to REPORT__DRAWN. */
enum { REPORT__DRAWN = 80 };
void report__graph(const struct report__node *nodes, size_t n, struct buf *out);

#endif
