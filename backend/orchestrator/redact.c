/* What erasing payloads takes out of a trace's document, which repeats them. */
#include "backend/orchestrator/orchestrator.h"

#include <string.h>

struct redaction {
    json_t *doc;
    const char *const *types;
    size_t count;
    const char *mark; /* what stands instead */
};

static bool gone(const struct redaction *r, const char *type)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->types[i], type) == 0)
            return true;
    return false;
}

static void blank(const struct redaction *r, json_t *object, const char *key)
{
    const json_t *text = json_object_get(object, key);
    if (json_is_string(text) && json_string_length(text))
        json_puts(object, key, r->mark);
    else if (json_is_array(text) && json_array_size(text))
        json_put(object, key, json_array());
}

/* A text that stands there as data too. */
static void blank_said(const struct redaction *r, json_t *object, const char *key,
                       const char *words)
{
    blank(r, object, key);
    json_object_del(object, words);
}

static void blank_all(const struct redaction *r, const char *list, const char *const *keys,
                      size_t key_count)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(r->doc, list), i, one) for (size_t k = 0; k < key_count; k++)
        blank(r, one, keys[k]);
}

/* The steps that say what was looked for and found. */
static void blank_steps(const struct redaction *r)
{
    size_t i;
    json_t *stage;
    json_array_foreach(json_object_get(r->doc, "stages"), i, stage)
    {
        const char *name = json_str(stage, "name", "");
        if (strcmp(name, "plan") == 0 || strcmp(name, "tools") == 0 || strcmp(name, "embed") == 0 ||
            strcmp(name, "retrieve") == 0) {
            blank(r, stage, "label");
            blank_said(r, stage, "note", "note_words");
        }
    }
}

/* The words by which the safety filter found something are words of what it judged. */
static void blank_safety(const struct redaction *r)
{
    size_t i, n;
    json_t *entry, *found;
    json_array_foreach(json_object_get(r->doc, "safety"), i, entry)
        json_array_foreach(json_object_get(entry, "found"), n, found) blank(r, found, "what");
}

static void blank_injections(const struct redaction *r)
{
    size_t i, n;
    json_t *row, *found;
    json_array_foreach(json_object_get(r->doc, "injections"), i, row)
    {
        blank(r, row, "ref");
        json_array_foreach(json_object_get(row, "findings"), n, found) blank(r, found, "words");
    }
}

static void note_types(const struct redaction *r)
{
    json_t *erased = json_object_get(r->doc, "erased");
    if (!erased) {
        erased = json_array();
        json_put(r->doc, "erased", erased);
    }
    for (size_t i = 0; i < r->count; i++) {
        bool known = false;
        size_t at;
        json_t *type;
        json_array_foreach(erased, at, type) known |=
            strcmp(json_string_value(type), r->types[i]) == 0;
        if (!known)
            json_array_append_new(erased, json_string(r->types[i]));
    }
}

void orch_redact(json_t *doc, const char *const *types, size_t count)
{
    static const char *const texts[] = {"text", "error"}, *const changes[] = {"text", "added",
                                                                              "dropped"};
    static const char *const sources[] = {"text", "ref"}, *const refuted[] = {"refuted_why"};
    bool russian = strcmp(json_str(doc, "lang", ""), "ru") == 0;
    struct redaction r = {doc, types, count, russian ? "[удалено]" : "[erased]"};
    bool output = gone(&r, "model.output"), answer = gone(&r, "answer") || gone(&r, "stop");
    if (gone(&r, "question")) {
        blank(&r, doc, "question");
        json_object_del(json_object_get(doc, "choice"), "promptA");
        json_object_del(json_object_get(doc, "choice"), "promptB");
    }
    if (answer) {
        blank(&r, json_object_get(doc, "withheld"), "answer");
        blank(&r, doc, "answer");
        blank(&r, doc, "error");
    }
    if (output)
        blank_all(&r, "candidates", texts, sizeof texts / sizeof *texts);
    size_t i;
    json_t *node;
    json_array_foreach(json_object_get(doc, "nodes"), i, node)
    {
        if (output)
            for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
                blank(&r, json_object_get(node, "run"), texts[k]);
        if (output || answer || gone(&r, "tool.call") || gone(&r, "tool.result"))
            blank_said(&r, node, "note", "note_words");
    }
    if (output || gone(&r, "critique"))
        blank_all(&r, "critiques", changes, sizeof changes / sizeof *changes);
    if (output || answer || gone(&r, "critique") || gone(&r, "verdict")) {
        blank_said(&r, json_object_get(doc, "verdict"), "reason", "reason_words");
        blank(&r, json_object_get(doc, "verdict"), "disputed");
        blank(&r, json_object_get(doc, "verdict"), "claims");
    }
    if (output || answer || gone(&r, "critique") || gone(&r, "tool.result") ||
        gone(&r, "retrieval")) { /* why one is contradicted has a source's words */
        blank(&r, json_object_get(doc, "grounding"), "sentences");
        blank(&r, json_object_get(doc, "grounding"), "conflicts");
        blank_all(&r, "candidates", refuted, 1);
    }
    if (gone(&r, "tool.call") || gone(&r, "tool.result") || gone(&r, "retrieval")) {
        blank_all(&r, "sources", sources, sizeof sources / sizeof *sources);
        blank_steps(&r);
    }
    if (gone(&r, "question") || output || answer || gone(&r, "critique") || gone(&r, "safety"))
        blank_safety(&r);
    if (gone(&r, "question") || gone(&r, "tool.result") || gone(&r, "retrieval") ||
        gone(&r, "safety"))
        blank_injections(&r);
    note_types(&r);
    if (strcmp(json_str(doc, "state", ""), "running") == 0) /* of a run that was cut off */
        json_puts(doc, "state", "stopped");
}
