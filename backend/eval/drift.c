/* Centroids of answers, and what moved since a baseline. */
#include "backend/eval/drift.h"
#include "backend/base/text.h"
#include "backend/knowledge/knowledge.h"
#include "backend/vault/vault.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct eval_centroid {
    double sum[KNOW_DIM];
    size_t count;
};

struct eval_centroid *eval_centroid_new(void)
{
    return xcalloc(1, sizeof(struct eval_centroid));
}

void eval_centroid_free(struct eval_centroid *c)
{
    free(c);
}

void eval_centroid_add(struct eval_centroid *c, const char *answer)
{
    float v[KNOW_DIM];
    know_embed(NULL, answer, v);
    for (size_t i = 0; i < KNOW_DIM; i++)
        c->sum[i] += (double)v[i];
    c->count++;
}

char *eval_centroid_text(const struct eval_centroid *c)
{
    double most = 0;
    int8_t cells[KNOW_DIM];
    for (size_t i = 0; i < KNOW_DIM; i++)
        most = fmax(most, fabs(c->sum[i]));
    if (!(most > 0))
        return xstrdup("");
    for (size_t i = 0; i < KNOW_DIM; i++)
        cells[i] = (int8_t)lround(c->sum[i] / most * 127);
    char *text = xcalloc(1, sizeof cells / 3 * 4 + 8);
    vault_base64(cells, sizeof cells, text);
    return text;
}

/* False: it is none. */
static bool cells_of(const json_t *variant, int8_t cells[KNOW_DIM])
{
    return text_unbase64(json_str(variant, "centroid", ""), (uint8_t *)cells, KNOW_DIM) == KNOW_DIM;
}

/* 1 - cosine; below 0: one of them has no centroid. */
static double shift_of(const json_t *before, const json_t *now)
{
    int8_t a[KNOW_DIM], b[KNOW_DIM];
    double dot = 0, aa = 0, bb = 0;
    if (!cells_of(before, a) || !cells_of(now, b))
        return -1;
    for (size_t i = 0; i < KNOW_DIM; i++) {
        dot += a[i] * b[i];
        aa += a[i] * a[i];
        bb += b[i] * b[i];
    }
    return aa > 0 && bb > 0 ? fmax(0, 1 - dot / sqrt(aa * bb)) : -1;
}

/* Share of the answers in which a class was found; NULL: in which none was. */
static double share_of(const json_t *rows, const char *name)
{
    size_t n = json_array_size(rows), met = 0, j;
    for (size_t i = 0; i < n; i++) {
        const json_t *classes = json_object_get(json_array_get(rows, i), "classes"), *one;
        bool has = !name && !json_array_size(classes);
        json_array_foreach((json_t *)classes, j, one)
        {
            has = has || (name && json_is_string(one) && strcmp(json_string_value(one), name) == 0);
        }
        met += has;
    }
    return n ? (double)met / (double)n : 0;
}

static void names_into(json_t *names, const json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *classes = json_object_get(json_array_get(rows, i), "classes"), *one;
        size_t j;
        json_array_foreach((json_t *)classes, j, one)
        {
            if (json_is_string(one) && json_object_size(names) < 256)
                json_put(names, json_string_value(one), json_true());
        }
    }
}

static double classes_shift(const json_t *before, const json_t *now)
{
    json_t *names = json_object(), *one;
    const char *name;
    names_into(names, before);
    names_into(names, now);
    double sum = fabs(share_of(before, NULL) - share_of(now, NULL));
    json_object_foreach(names, name, one)
    {
        sum += fabs(share_of(before, name) - share_of(now, name));
    }
    json_decref(names);
    return sum / 2;
}

/* The sums of the scores over the cases that both have; returns how many those are. */
static size_t common(const json_t *before, const json_t *now, double sums[2])
{
    json_t *scores = json_object();
    size_t n = 0;
    sums[0] = sums[1] = 0;
    for (size_t i = 0; i < json_array_size(before); i++) {
        const json_t *row = json_array_get(before, i), *score = json_object_get(row, "score");
        if (json_is_number(score))
            json_object_set(scores, json_str(row, "case", ""), (json_t *)score);
    }
    for (size_t i = 0; i < json_array_size(now); i++) {
        const json_t *row = json_array_get(now, i);
        const json_t *was = json_object_get(scores, json_str(row, "case", ""));
        if (!was)
            continue;
        n++;
        sums[0] += json_number_value(was);
        sums[1] += json_num(row, "score", 0);
    }
    json_decref(scores);
    return n;
}

static json_t *moved(json_t *why, const char *name, double by)
{
    if (by >= EVAL_DRIFT_ALERT)
        json_array_append_new(why, json_string(name));
    return by < 0 ? json_null() : json_real(by);
}

json_t *eval_drift(const json_t *before, const json_t *now, bool same_set)
{
    const json_t *rows[] = {json_object_get(before, "rows"), json_object_get(now, "rows")};
    json_t *doc = json_object(), *score = json_object(), *why = json_array();
    double sums[2];
    size_t n = common(rows[0], rows[1], sums);
    double fell = sums[0] > 0 ? (sums[0] - sums[1]) / sums[0] : 0;
    json_puts(doc, "variant", json_str(now, "variant", ""));
    json_puti(doc, "cases", (int64_t)n);
    json_put(score, "before", n ? json_real(sums[0] / (double)n) : json_null());
    json_put(score, "now", n ? json_real(sums[1] / (double)n) : json_null());
    json_put(score, "change", n ? json_real(-fell) : json_null());
    json_decref(moved(why, "score", fell < 0 ? 0 : fell));
    json_put(doc, "score", score);
    json_put(doc, "centroid", moved(why, "centroid", same_set ? shift_of(before, now) : -1));
    json_put(doc, "classes",
             moved(why, "classes", same_set ? classes_shift(rows[0], rows[1]) : -1));
    json_put(doc, "alert", json_boolean(json_array_size(why) > 0));
    json_put(doc, "why", why);
    return doc;
}
