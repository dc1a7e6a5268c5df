/* A trace as a file. */
#ifndef TRACE_EXPORT_H
#define TRACE_EXPORT_H

#include "views/common.h"

/* The whole trace as Markdown; foreign text as text_clean leaves it. */
void trace_markdown(const json_t *trace, struct buf *out);
/* Asks for a file and writes the trace, as JSON where its name ends in .json, else as Markdown;
 * made anew, for its owner alone. kept: a place of the view's for the trace until then; it releases
 * it. */
void trace_export_ask(json_t **kept, const json_t *trace);

#endif
