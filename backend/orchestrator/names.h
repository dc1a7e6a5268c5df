/* What looks like the name of a thing in a text: a pod, a host, a path, an address; no times,
 * dates, figures, nor addresses of pages. */
#ifndef ORCH_NAMES_H
#define ORCH_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_LONGEST = 100 };

/* Calls fn with each name, in the text's order, as it is written; valid in the callback only. */
typedef void name_fn(void *arg, const char *name, size_t len);
void names_in(const char *text, name_fn *fn, void *arg);

/* Whether the name stands in the text, on its own or as a part of a longer one (web in web-7f9c,
 * orders in pg-orders), letters of either case. */
bool name_stands(const char *name, size_t len, const char *text);

#endif
