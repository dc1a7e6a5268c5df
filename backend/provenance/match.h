/* Private to the log: whether a payload mentions somebody. Pure. */
#ifndef PROV_MATCH_H
#define PROV_MATCH_H

#include "backend/base/buf.h"
#include <stdbool.h>

/* A text to look for: without regard to case, accents (ё as е, й as и), how wide a space is, and
 * escapes of JSON at any depth; a number of seven digits and more also however it is grouped, and
 * with 8 or +7 before it. */
struct prov__match {
    struct buf needle, digits; /* digits: "" if the text is no number */
    struct buf folded;         /* working memory */
};
enum { PROV__SUBJECT_MAX = 1024 };
/* False if nothing can be looked for: fewer than three characters that count, or over 1024 bytes.
 */
bool prov__match_init(struct prov__match *m, const char *text);
void prov__match_release(struct prov__match *m);
/* text: JSON. What stands in it encoded otherwise (base64, compressed) is not found. */
bool prov__match_find(struct prov__match *m, const char *text, size_t len);

#endif
