/* evidence.search: filters and texts over the whole log, piece by piece. */
#include "backend/methods.h"
#include "backend/provenance/search.h"
#include <stdlib.h>
#include <string.h>

struct asked {
    struct backend *backend;
    struct bus_call *call;
    bool payloads;
};

static void answer(void *arg, json_t *result, const struct error *e)
{
    struct asked *a = arg;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(result, "entries"), i, entry)
    {
        if (json_object_get(entry, "match") && method_is_withheld(a->backend, entry))
            json_object_del(entry, "match");
    }
    if (result)
        json_put(result, "payloads", json_boolean(a->payloads));
    method_answer(a->call, result ? json_incref(result) : NULL, e);
    free(a);
}

static bool take_types(struct bus_call *c, struct prov_search *s)
{
    const json_t *list = json_object_get(bus_params(c), "types");
    struct error e = {0};
    size_t i;
    json_t *type;
    const char *one;
    if (!method_text(c, "type", false, &one))
        return false;
    if (one)
        s->types[s->type_count++] = one;
    if (list && !json_is_array(list))
        err_set(&e, ERR_INVALID, "types is a list of texts");
    json_array_foreach(list, i, type)
    {
        if (!json_is_string(type) || s->type_count == PROV_SEARCH_TYPES)
            err_set(&e, ERR_INVALID, "types is a list of at most %d texts", PROV_SEARCH_TYPES);
        else
            s->types[s->type_count++] = json_string_value(type);
    }
    if (e.code == ERR_OK)
        return true;
    bus_fail(c, &e);
    return false;
}

static int by_seq(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The entries that a control of the scorecard cites as it is now. NULL with *e: NOT_FOUND. */
static int64_t *cited(struct backend *b, const char *control, size_t *n, struct error *e)
{
    int64_t *seqs = NULL;
    size_t i, k;
    json_t *card = backend__scorecard(b), *row, *seq;
    json_array_foreach(json_object_get(card, "controls"), i, row)
    {
        if (strcmp(json_str(row, "id", ""), control) != 0)
            continue;
        const json_t *evidence = json_object_get(row, "evidence");
        seqs = xcalloc(json_array_size(evidence) + 1, sizeof *seqs);
        json_array_foreach(evidence, k, seq)
        {
            if (json_is_integer(seq))
                seqs[(*n)++] = json_integer_value(seq);
        }
        qsort(seqs, *n, sizeof *seqs, by_seq);
    }
    json_decref(card);
    if (!seqs)
        err_set(e, ERR_NOT_FOUND, "there is no control %s", control);
    return seqs;
}

static bool take_params(struct bus_call *c, struct prov_search *s, const char **control)
{
    int64_t limit;
    struct error e = {0};
    if (!method_limit(c, "before", -1, -1, INT64_MAX, &s->before) ||
        !method_limit(c, "after", -1, -1, INT64_MAX, &s->after) ||
        !method_limit(c, "since", -1, -1, INT64_MAX / 2, &s->since) ||
        !method_limit(c, "until", -1, -1, INT64_MAX / 2, &s->until) ||
        !method_limit(c, "limit", 100, 1, 1000, &limit) ||
        !method_text(c, "session", false, &s->session) ||
        !method_text(c, "trace_id", false, &s->trace_id) ||
        !method_text(c, "actor", false, &s->actor) || !method_text(c, "text", false, &s->text) ||
        !method_text(c, "control", false, control) || !take_types(c, s))
        return false;
    s->limit = (size_t)limit;
    s->oldest_first = json_object_get(bus_params(c), "after") && s->before < 0;
    if (s->text && strlen(s->text) > PROV_SEARCH_TEXT) {
        err_set(&e, ERR_INVALID, "text is at most %d bytes", PROV_SEARCH_TEXT);
        bus_fail(c, &e);
        return false;
    }
    return true;
}

void on_evidence_search(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct prov_search s = {0};
    const char *control;
    struct error e = {0};
    if (!take_params(c, &s, &control))
        return;
    int64_t *seqs = control ? cited(b, control, &s.seq_count, &e) : NULL;
    if (control && !seqs) {
        bus_fail(c, &e);
        return;
    }
    s.seqs = seqs;
    s.only_seqs = control != NULL;
    s.payloads = bus_session(c)->role >= BUS_REVIEWER;
    struct asked *a = xcalloc(1, sizeof *a);
    *a = (struct asked){b, c, s.payloads};
    prov_search(b->prov, &s, answer, a);
    free(seqs);
}
