/* Prompt injection: text that tries to steer the model that reads it. Pure; English, Russian, and
 * the commonest turns of German, French and Spanish.
 *
 * A text is looked at for words (inject.def), for structure (marks of chat templates and tool
 * calls, text that nobody sees, addresses that carry data away), and once more after it was
 * decoded: base64, hexadecimal, escapes, tag characters, variation selectors, rot13, backwards,
 * letter by letter. What is found near by adds up: score = the highest, over every 2 KiB, of 1 -
 * product over the classes of (1 - the greatest weight of the class).
 *
 * Invariants
 * J1 What is found is a hint, never a permission: nothing becomes allowed by a low score.
 * J2 The work is linear in the text; decoded text is at most INJECT_DECODED bytes and is not
 * decoded again. */
#ifndef COMPLIANCE_INJECT_H
#define COMPLIANCE_INJECT_H

#include "backend/base/json.h"
#include "backend/compliance/compliance.h"
#include <stdbool.h>
#include <stddef.h>

enum pol_inject_class {
#define CLASS(id, name) POL_INJECT_##id,
#include "backend/compliance/inject.def"
    POL_INJECT_CLASSES
};
const char *pol_inject_class_name(enum pol_inject_class c);

enum { INJECT_FOUND = 24, INJECT_DECODED = 65536 };
/* A text is an injection from this score on. */
#define POL_INJECTED 0.5

struct pol_injections { /* zeroed: nothing was found */
    double score;       /* 0 .. 1 */
    size_t count;       /* the rest is counted in the score only */
    struct pol_injection {
        enum pol_inject_class cls;
        double weight;       /* 0 .. 1 */
        size_t from, to;     /* bytes of the text; of decoded text: where the code stands */
        char what[POL_WHAT]; /* the words it was found by; foreign text */
    } at[INJECT_FOUND];
};

/* The rules, ready for use. It never changes, so any thread may use it. */
struct pol_injector;
struct pol_injector *pol_injector_new(void);
void pol_injector_free(struct pol_injector *f);
/* The text may hold any bytes. */
void pol_inject(const struct pol_injector *f, const char *text, size_t len,
                struct pol_injections *out);
/* "severe" from a weight of 0.8, "moderate" from 0.5, else "low" */
const char *pol_inject_severity(double weight);
/* The name of the class that weighs most; something was found. */
const char *pol_injection_heaviest(const struct pol_injections *found);
/* [{class, severity, weight, from, to, words}]; the caller owns. */
json_t *pol_injections_json(const struct pol_injections *found);

#endif
