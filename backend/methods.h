/* What the files with methods share. */
#ifndef BACKEND_METHODS_H
#define BACKEND_METHODS_H

#include "backend/internal.h"

/* Every handler of wire.def that the bus does not answer itself. */
#define WIRE(id, name, role, mutates, params, result, help) bus_handler on_##id;
#include "backend/bus/wire.def"
#undef WIRE

/* Parameters: false when the call was answered with an error. */
bool method_limit(struct bus_call *c, const char *key, int64_t otherwise, int64_t min, int64_t max,
                  int64_t *out);
bool method_text(struct bus_call *c, const char *key, bool required,
                 const char **out); /* NULL when absent */
/* Replies with the result (taken), or fails with e when it is NULL. */
void method_answer(struct bus_call *c, json_t *result, const struct error *e);
/* {key: rows, more}: rows, of which limit + 1 were asked for, are taken; `more` if there are so
 * many, and then one at the far end is left out. */
enum method_end { METHOD_LAST, METHOD_FIRST };
json_t *method_page(const char *key, json_t *rows, int64_t limit, enum method_end far);

/* Adds {severity, source, text} to the alerts of a status. severity: "warn" or "fail". */
void method_alert(json_t *alerts, const char *severity, const char *source, const char *text);

bool method_is_withheld(struct backend *b, const json_t *entry);

#endif
