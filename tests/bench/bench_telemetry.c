/* What telling costs: a count, a span that nobody takes and one that is exported, a scrape. One
 * line of JSON each; times are medians of rounds. */
#include "backend/base/clock.h"
#include "backend/telemetry/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 21, TIMES = 5000, METHODS = 60 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void count(struct tel *t)
{
    for (int i = 0; i < TIMES; i++)
        tel_add(t, TEL_model_tokens, 1, TEL_LABELS("model-10", "input"));
}

/* With as many attributes as a call of a model has. */
static void spans(struct tel *t)
{
    for (int i = 0; i < TIMES; i++) {
        struct tel_span *s = tel_span_begin(t, NULL, TEL_CLIENT, "chat %s", "some-model");
        for (int k = 0; k < 6; k++)
            tel_span_text(s, "gen_ai.request.model", "some-model");
        for (int k = 0; k < 8; k++)
            tel_span_int(s, "gen_ai.usage.input_tokens", i);
        tel_span_end(s);
        free(tel__span_take(t));
    }
}

static void scrape(struct tel *t)
{
    struct buf out = {0};
    tel_exposition(t, false, &out);
    buf_release(&out);
}

static void measure(struct tel *t, const char *what, void (*fn)(struct tel *t), double each,
                    const char *unit)
{
    double took[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t began = clock_mono_ns();
        fn(t);
        took[i] = (double)(clock_mono_ns() - began) / each;
    }
    qsort(took, ROUNDS, sizeof *took, ascending);
    printf("{\"name\": \"%s\", \"value\": %.3f, \"unit\": \"%s\"}\n", what, took[ROUNDS / 2], unit);
}

int main(void)
{
    struct tel *t = tel_new();
    char name[32];
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        tel_add(t, TEL_model_tokens, 1, TEL_LABELS(name, "input"));
    }
    for (int i = 0; i < METHODS; i++) {
        snprintf(name, sizeof name, "method.%d", i);
        tel_observe(t, TEL_bus_duration, 0.01, TEL_LABELS(name));
    }
    measure(t, "a count", count, TIMES, "ns");
    measure(t, "a span that nobody takes", spans, TIMES * 1e3, "us");
    t->keeps = true;
    measure(t, "a span that is exported", spans, TIMES * 1e3, "us");
    measure(t, "a scrape of 60 histograms", scrape, 1e3, "us");
    tel_free(t);
    return 0;
}
