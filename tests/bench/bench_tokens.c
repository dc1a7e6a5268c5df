/* What tokens cost: texts counted, sources made to fit a budget; by an estimate, and by ranks that
 * are made here of the runbooks. One line of JSON each; times are medians of rounds, of the
 * processor. */
#include "backend/base/embed.h"
#include "backend/gateway/count.h"
#include "backend/gateway/fit.h"
#include "tests/unit/bpe.h"
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 21, JOINED = 2000, SOURCES_MOST = 24, OUTPUT = 1024, KIB = 1024 };

static struct buf runbooks;

/* Of this thread: what else the machine does is not counted. */
static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tell(const char *what, const char *how, double *took)
{
    qsort(took, ROUNDS, sizeof *took, ascending);
    printf("{\"name\": \"%s, %s\", \"value\": %.3f, \"unit\": \"ms\"}\n", what, how,
           took[ROUNDS / 2]);
}

static void count(const struct gw *g, const char *model)
{
    double took[ROUNDS];
    char *text = xstrndup(runbooks.data, 64 * KIB);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t began = now_ns();
        gw_count_tokens(g, model, text);
        took[i] = (double)(now_ns() - began) / 1e6;
    }
    tell("64 KiB counted", model, took);
    free(text);
}

static void fit(const struct gw *g, const char *model, size_t sources, size_t bytes)
{
    struct gw_fit_part parts[SOURCES_MOST];
    char *texts[SOURCES_MOST], what[64];
    double took[ROUNDS];
    for (size_t i = 0; i < sources; i++) {
        struct buf text = {0};
        size_t from = i * 4801 % (runbooks.len / 2);
        while (text.len < bytes)
            buf_add(&text, runbooks.data + from,
                    bytes - text.len < runbooks.len - from ? bytes - text.len
                                                           : runbooks.len - from);
        parts[i] = (struct gw_fit_part){"1", buf_take(&text), 0.5, NULL, NULL, false};
    }
    const struct gw_fit_ask ask = {
        model, "",      "why is the disk full, and what is to be done about it?",
        parts, sources, OUTPUT};
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t began = now_ns();
        json_decref(gw_fit(g, &ask, texts));
        took[i] = (double)(now_ns() - began) / 1e6;
        for (size_t j = 0; j < sources; j++)
            free(texts[j]);
    }
    snprintf(what, sizeof what, "%zu sources of %zu KiB made to fit 4096 tokens", sources,
             bytes / KIB);
    tell(what, model, took);
    for (size_t i = 0; i < sources; i++)
        free((char *)parts[i].text);
}

static void on_tick(void *arg)
{
    loop_quit(arg);
}

static void wait_for_ranks(struct loop *l, const struct gw *g)
{
    struct loop_timer *tick = loop_timer_new(l, on_tick, l);
    for (const struct gw__model *m = gw__find(g, "ranks"); !gw__count_ranks(m);) {
        loop_timer_start(tick, 10, 0);
        loop_run(l);
    }
    loop_timer_free(tick);
}

int main(void)
{
    char ranks[] = "/tmp/mcpc-bench-XXXXXX", conf_file[] = "/tmp/mcpc-bench-XXXXXX";
    struct error e = {0};
    unsetenv("MODEL_BACKENDS");
    for (const struct embed_file *f = embed_runbooks; f->name; f++)
        buf_add(&runbooks, f->data, f->size);
    char *file = bpe_train(runbooks.data, runbooks.len, GW__SPLIT_CL100K, JOINED);
    FILE *f = fdopen(mkstemp(ranks), "w");
    fputs(file, f);
    fclose(f);
    f = fdopen(mkstemp(conf_file), "w");
    fprintf(f,
            "[model \"estimate\"]\nkind = openai\nurl = http://127.0.0.1:9\nmodel = x\n"
            "[model \"ranks\"]\nkind = openai\nurl = http://127.0.0.1:9\nmodel = x\nranks = %s\n"
            "splitter = cl100k\n",
            ranks);
    fclose(f);
    struct loop *l = loop_new();
    struct conf *conf = conf_load(conf_file, &e);
    struct gw *g = conf ? gw_new(l, conf, &e) : NULL;
    if (!g) {
        fprintf(stderr, "%s\n", e.detail);
        return 1;
    }
    wait_for_ranks(l, g);
    static const char *const models[] = {"estimate", "ranks"};
    for (size_t i = 0; i < 2; i++) {
        count(g, models[i]);
        fit(g, models[i], 6, 4 * KIB);
        fit(g, models[i], SOURCES_MOST, 16 * KIB);
        fit(g, models[i], 1, KIB * KIB);
    }
    gw_free(g);
    conf_free(conf);
    loop_free(l);
    unlink(ranks);
    unlink(conf_file);
    buf_release(&runbooks);
    free(file);
    return 0;
}
