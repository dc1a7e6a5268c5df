/* Forms: fields made from a JSON schema, filled by a person, given back as a JSON object.
 *
 * Of a schema (JSON Schema 2020-12, as MCP's tools and elicitations use it) a form knows: type
 * object with properties, required, title, description, default; of a property type string, number,
 * integer, boolean, enum, enumNames, oneOf and anyOf with const and title, arrays of these,
 * minimum, maximum, minLength, maxLength, minItems, maxItems, and the formats email, uri, date,
 * date-time. Anything else is typed as JSON. What a form lets through is checked again by whoever
 * gets it. Titles and descriptions are foreign text. */
#ifndef TUI_FORM_H
#define TUI_FORM_H

#include "tui/input.h"

enum { TUI_FORM_FIELDS = 64, TUI_FORM_OPTIONS = 256 };

struct tui_form_options {
    const char *title;
    struct tui_text *about; /* shown above the fields; taken; may be NULL */
    const json_t *schema;   /* NULL: no fields */
    const json_t *initial;  /* an object: what the fields begin with, over the defaults; or NULL */
    const char *submit;     /* what the last row says: _("call"), _("answer") */
    /* Once: with the object, or with NULL when the user left. May open the next form. */
    void (*answer)(void *arg, const json_t *value);
    void *arg;
};
/* Opens a form over the panes; one that is open already is left first. */
void tui_form_open(const struct tui_form_options *o);
/* Leaves the open form if it has this arg; its answer is not called. For views that close. */
void tui_form_drop(const void *arg);

/* ---- the fields, for the form and its tests */
enum form_kind {
    FORM_TEXT,
    FORM_NUMBER,
    FORM_INTEGER,
    FORM_FLAG,
    FORM_CHOICE,
    FORM_CHOICES, /* any number of the options */
    FORM_LINES,   /* an array, one element a line */
    FORM_JSON
};
struct form_option {
    json_t *value;
    char *title;
    bool marked; /* FORM_CHOICES */
};
struct form_field {
    char *name, *title, *about;
    enum form_kind kind;
    bool required;
    json_t *schema;
    struct form_option *options;
    size_t option_count;
    long chosen; /* FORM_CHOICE: an option; FORM_FLAG: 0 no, 1 yes; FORM_CHOICES: where the cursor
                    is; -1: nothing */
    struct tui_input input;
    char bad[120]; /* why the value is not right; empty: it is, or was not checked yet */
};
struct form_fields {
    struct form_field *fields;
    size_t count;
    size_t left_out; /* properties beyond TUI_FORM_FIELDS */
};
void form_fields_init(struct form_fields *f, const json_t *schema, const json_t *initial);
void form_fields_release(struct form_fields *f);
/* The object as typed; each field's `bad` is set. NULL if any is bad, *first is the first of them.
 * The caller owns it. */
json_t *form_fields_value(struct form_fields *f, size_t *first);
/* Moves a choice or flag on (1) or back (-1), around; a field that may be empty passes by that. */
void form_field_turn(struct form_field *f, int step);
/* Marks or unmarks the option under the cursor (FORM_CHOICES). */
void form_field_mark(struct form_field *f);

#endif
