/* One trace as a page, for the arbitration view. */
#ifndef TRACE_PAGE_H
#define TRACE_PAGE_H

#include "views/trace_claims.h"

struct trace_page {       /* zeroed, then trace_page_open */
    const json_t *detail; /* the caller's; NULL: none */
    struct view_scroll scroll;
    struct tui_text *question, *verdict, *rest;
    struct tui_text **answers; /* one a candidate */
    size_t answer_count;
    struct view_finder finder;
    bool compared; /* drawn last by trace_page_compare */
    struct trace_claims claims;
};

void trace_page_open(struct trace_page *v);
void trace_page_close(struct trace_page *v);
/* Shows another trace, or the same one with more in it; it must live until the next call. */
void trace_page_set(struct trace_page *v, const json_t *detail);
/* whole: all of it, scrolled; otherwise what fits. */
void trace_page_draw(struct trace_page *v, struct tui_area a, bool whole);
/* The candidates alone, with their texts first, as many side by side as there is room for. */
void trace_page_compare(struct trace_page *v, struct tui_area a);
/* Goes to the next place in the page as it was drawn last, whole or compared; as view_ops.find. */
bool trace_page_find(struct trace_page *v, const char *text, int step);
/* "~1200": the tokens of a trace or a candidate. */
void trace_tokens(const json_t *holder, char out[32]);

#endif
