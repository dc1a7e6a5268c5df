/* What a run came to, earlier runs, and what is told of drift. */
#include "backend/base/clock.h"
#include "backend/eval/internal.h"
#include <stdlib.h>
#include <string.h>

enum { LOOK_BACK = 500 }; /* runs that are looked through for a baseline */

/* ---- variants */

void eval__variant_release(struct eval__variant *v)
{
    free(v->name);
    free(v->flow);
    for (size_t i = 0; i < v->model_count; i++)
        free(v->models[i]);
    json_decref(v->rows);
    eval_centroid_free(v->centroid);
    *v = (struct eval__variant){0};
}

enum err eval__variant_read(const char *text, struct eval__variant *v, struct error *e)
{
    const char *slash = strchr(text, '/');
    *v = (struct eval__variant){.name = xstrdup(text)};
    v->flow = slash ? xstrndup(text, (size_t)(slash - text)) : xstrdup(text);
    bool good = strlen(text) <= 4 * EVAL_NAME && *v->flow;
    for (const char *p = slash ? slash + 1 : NULL; p && good;) {
        size_t len = strcspn(p, "+");
        good = len > 0 && v->model_count < EVAL_MODELS;
        if (good)
            v->models[v->model_count++] = xstrndup(p, len);
        p = p[len] ? p + len + 1 : NULL;
    }
    if (good)
        return ERR_OK;
    eval__variant_release(v);
    return err_set(e, ERR_INVALID,
                   "\"%.64s\" is no variant: flow, or flow/model+model of at most %d", text,
                   EVAL_MODELS);
}

/* ---- results */

static json_t *models_doc(const struct eval__variant *v)
{
    json_t *models = json_array();
    for (size_t i = 0; i < v->model_count; i++)
        json_array_append_new(models, json_text(v->models[i], strlen(v->models[i])));
    return models;
}

/* The rows that were scored, in the order of the cases. Of a run that ended early the same cases
 * for every variant: those that all of them have. */
static json_t *scored(const struct eval__run *r, const struct eval__variant *v)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < json_array_size(r->cases); i++) {
        bool all = true;
        for (size_t j = 0; j < r->variant_count; j++)
            all = all && json_is_object(json_array_get(r->variants[j].rows, i));
        if (all)
            json_array_append(rows, json_array_get(v->rows, i));
    }
    return rows;
}

static json_t *variant_doc(const struct eval__run *r, const struct eval__variant *v)
{
    json_t *rows = scored(r, v), *doc = eval_summary(rows, r->seed);
    char *centroid = eval_centroid_text(v->centroid);
    json_puts(doc, "variant", v->name);
    json_puts(doc, "flow", v->flow);
    json_put(doc, "models", models_doc(v));
    json_puts(doc, "centroid", centroid);
    json_put(doc, "rows", rows);
    free(centroid);
    return doc;
}

static json_t *comparisons_of(const json_t *variants, uint64_t seed)
{
    json_t *out = json_array();
    const json_t *first = json_array_get(variants, 0);
    for (size_t i = 1; i < json_array_size(variants); i++) {
        const json_t *one = json_array_get(variants, i);
        json_t *doc =
            eval_compare(json_object_get(one, "rows"), json_object_get(first, "rows"), seed);
        json_puts(doc, "variant", json_str(one, "variant", ""));
        json_puts(doc, "against", json_str(first, "variant", ""));
        json_array_append_new(out, doc);
    }
    return out;
}

static json_t *drift_of(const struct eval__run *r, const json_t *variants)
{
    json_t *out = json_array(), *was, *one;
    size_t i, j;
    bool same = strcmp(json_str(r->baseline, "sha256", ""), r->sha256) == 0;
    json_array_foreach((json_t *)variants, i, one)
    {
        json_array_foreach(json_object_get(r->baseline, "variants"), j, was)
        {
            if (strcmp(json_str(was, "variant", ""), json_str(one, "variant", "")) == 0) {
                json_array_append_new(out, eval_drift(was, one, same));
                break;
            }
        }
    }
    return out;
}

static json_t *baseline_doc(const json_t *baseline)
{
    if (!baseline)
        return json_null();
    json_t *doc = json_object();
    const json_t *entry = json_object_get(baseline, "entry");
    json_puts(doc, "run", json_str(baseline, "run", ""));
    json_puts(doc, "at", json_str(baseline, "at", ""));
    json_puts(doc, "sha256", json_str(baseline, "sha256", ""));
    json_put(doc, "entry", json_is_integer(entry) ? json_incref((json_t *)entry) : json_null());
    return doc;
}

json_t *eval__result(const struct eval__run *r)
{
    json_t *doc = json_object(), *variants = json_array();
    for (size_t i = 0; i < r->variant_count; i++)
        json_array_append_new(variants, variant_doc(r, &r->variants[i]));
    json_puts(doc, "run", r->id);
    json_puts(doc, "name", r->name);
    json_puts(doc, "sha256", r->sha256);
    json_puts(doc, "at", r->at);
    json_puts(doc, "state", r->state);
    if (r->failed.code != ERR_OK)
        json_puts(doc, "error", err_words(&r->failed));
    json_puti(doc, "cases", (int64_t)json_array_size(r->cases));
    json_puti(doc, "scored",
              (int64_t)json_array_size(json_object_get(json_array_get(variants, 0), "rows")));
    json_puti(doc, "seed", (int64_t)r->seed);
    json_puti(doc, "resamples", EVAL_RESAMPLES);
    json_put(doc, "kept", json_boolean(r->keep && r->failed.code == ERR_OK));
    json_put(doc, "comparisons", comparisons_of(variants, r->seed));
    json_put(doc, "baseline", baseline_doc(r->baseline));
    json_put(doc, "drift", drift_of(r, variants));
    json_put(doc, "variants", variants);
    return doc;
}

char *eval__alert(const json_t *result)
{
    struct buf line = {0};
    size_t i, j;
    json_t *one, *why;
    json_array_foreach(json_object_get(result, "drift"), i, one)
    {
        if (!json_flag(one, "alert", false))
            continue;
        buf_addf(&line, "%s%s: ", line.len ? "; " : "", json_str(one, "variant", ""));
        json_array_foreach(json_object_get(one, "why"), j, why)
            buf_addf(&line, "%s%s", j ? ", " : "", json_string_value(why));
    }
    char *drifted = buf_take(&line),
         *text = *drifted ? xasprintf("answers to the set %s have moved since its baseline (%s)",
                                      json_str(result, "name", ""), drifted)
                          : xstrdup("");
    free(drifted);
    return text;
}

/* ---- earlier runs */

/* short_one: without rows and centroids, which are nearly all of it: a hundred whole ones would
 * hold up the loop. */
static json_t *result_at(struct evals *ev, int64_t seq, bool short_one, struct error *e)
{
    static const char *const LONG[] = {"variants.rows", "variants.centroid"};
    static const struct json_members shorter = {LONG, 2, true};
    json_t *payload = prov_payload_members(ev->rooms.prov, seq, short_one ? &shorter : NULL, e);
    if (payload)
        json_puti(payload, "entry", seq);
    return payload;
}

static bool take_seq(void *arg, const struct store_row *row)
{
    json_array_append_new(arg, json_integer(store_int(row, 0)));
    return true;
}

/* Entries of runs, newest first. */
static json_t *entries(struct evals *ev, int64_t before, size_t limit, struct error *e)
{
    json_t *seqs = json_array();
    enum err code = store_query(
        store_reader(ev->rooms.store), e, take_seq, seqs,
        "SELECT seq FROM entries WHERE type = 'eval' AND seq < ? ORDER BY seq DESC LIMIT ?", "ii",
        before < 0 ? INT64_MAX : before, (int64_t)limit);
    if (code == ERR_OK)
        return seqs;
    json_decref(seqs);
    return NULL;
}

json_t *eval__baseline(struct evals *ev, const char *name)
{
    json_t *seqs = entries(ev, -1, LOOK_BACK, NULL), *found = NULL, *seq;
    size_t i;
    json_array_foreach(seqs, i, seq)
    {
        json_t *result = result_at(ev, json_integer_value(seq), true, NULL);
        if (!found && json_flag(result, "kept", false) &&
            strcmp(json_str(result, "name", ""), name) == 0)
            found = result_at(ev, json_integer_value(seq), false, NULL);
        json_decref(result);
        if (found)
            break;
    }
    json_decref(seqs);
    return found;
}

json_t *eval__progress(const struct eval__run *r)
{
    json_t *doc = json_object();
    json_puts(doc, "run", r->id);
    json_puts(doc, "name", r->name);
    json_puts(doc, "state", "running"); /* until its entry is durable */
    json_puti(doc, "done", (int64_t)r->done);
    json_puti(doc, "total", (int64_t)(json_array_size(r->cases) * r->variant_count));
    return doc;
}

json_t *evals_get(struct evals *ev, const char *id, struct error *e)
{
    if (ev->run && strcmp(ev->run->id, id) == 0)
        return eval__progress(ev->run);
    int64_t seq =
        store_scalar(store_reader(ev->rooms.store), -1,
                     "SELECT max(seq) FROM entries WHERE trace_id = ? AND type = 'eval'", "s", id);
    if (seq >= 0)
        return result_at(ev, seq, false, e);
    err_set(e, ERR_NOT_FOUND, "no run %.64s", id);
    return NULL;
}

json_t *evals_running(const struct evals *ev)
{
    return ev->run ? eval__progress(ev->run) : NULL;
}

json_t *evals_list(struct evals *ev, int64_t before, size_t limit, struct error *e)
{
    json_t *seqs = entries(ev, before, limit, e), *out, *seq, *variant;
    size_t i, j;
    if (!seqs)
        return NULL;
    out = json_array();
    json_array_foreach(seqs, i, seq)
    {
        struct error why = {0};
        json_t *result = result_at(ev, json_integer_value(seq), true, &why);
        if (!result) { /* erased, or it cannot be opened: said, not left out */
            result = json_object();
            json_puti(result, "entry", json_integer_value(seq));
            json_puts(result, "error", err_words(&why));
        }
        json_array_foreach(json_object_get(result, "variants"), j, variant)
        {
            json_object_del(variant, "rows");
            json_object_del(variant, "centroid");
        }
        json_array_append_new(out, result);
    }
    json_decref(seqs);
    return out;
}

const char *evals_alert(struct evals *ev)
{
    if (!ev->alert) {
        json_t *newest = entries(ev, -1, 1, NULL);
        int64_t seq = json_integer_value(json_array_get(newest, 0));
        json_t *result = json_array_size(newest) ? result_at(ev, seq, true, NULL) : NULL;
        ev->alert = eval__alert(result);
        json_decref(result);
        json_decref(newest);
    }
    return ev->alert;
}
