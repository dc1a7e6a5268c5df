/* Requests and their token budgets, counted by the provider's own tokenizer (GW-4): tokenizers that
 * are trained here play providers that the console has the ranks of, and such that it learns. */
#include "backend/base/embed.h"
#include "backend/gateway/count.h"
#include "backend/gateway/fit.h"
#include "tests/unit/bpe.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

enum { TOKENIZERS = 3, TURNS = 100, LEARNT = 50, SOURCES = 8, OUTPUT = 1024, TEMPLATE = 4 };
static const char instructions[] =
    "You are the copilot of an operations console. Answer the operator's question from the "
    "numbered sources below and from nothing else. End every sentence with the number of its "
    "source, like [2].\n";

static struct tokenizer {
    const char *splitter, *lang; /* of the runbooks that it is trained on; "": both */
    size_t joined;
    char path[32];
    struct gw__ranks *ranks;
} tokenizers[TOKENIZERS] = {{.splitter = "cl100k", .lang = "/en/", .joined = 600},
                            {.splitter = "qwen", .lang = "/ru/", .joined = 900},
                            {.splitter = "o200k", .lang = "", .joined = 0}};
static struct loop *loop;
static struct gw *g;
static struct buf english, russian;

static unsigned seed = 1;

static size_t dice(size_t sides)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % sides;
}

/* ---- providers */

static void train(struct tokenizer *t, FILE *conf)
{
    struct error e = {0};
    const struct buf *from = strcmp(t->lang, "/ru/") == 0 ? &russian : &english;
    enum gw__splitter s = gw__splitter_named(t->splitter, "");
    char *file = bpe_train(from->data, from->len / 2, s, t->joined);
    snprintf(t->path, sizeof t->path, "/tmp/mcpc-limits-XXXXXX");
    FILE *f = fdopen(mkstemp(t->path), "w");
    fputs(file, f);
    fclose(f);
    t->ranks = gw__ranks_parse(file, strlen(file), s, &e);
    if (!t->ranks)
        fail_msg("%s", e.detail);
    free(file);
    for (int exact = 0; exact < 2; exact++)
        for (int64_t budget = 1024; budget <= 4096; budget *= 4) {
            fprintf(conf,
                    "[model \"%s-%d-%d\"]\nkind = openai\nurl = http://127.0.0.1:9/v1\nmodel = x\n"
                    "token_budget = %d\n",
                    t->splitter, exact, (int)budget, (int)budget);
            if (exact)
                fprintf(conf, "ranks = %s\nsplitter = %s\n", t->path, t->splitter);
        }
}

static void on_tick(void *arg)
{
    loop_quit(arg);
}

static void wait_for_ranks(void)
{
    struct loop_timer *tick = loop_timer_new(loop, on_tick, loop);
    for (size_t i = 0; i < g->count; i++) {
        for (int n = 0; n < 500 && g->models[i]->count->file && !gw__count_ranks(g->models[i]);
             n++) {
            loop_timer_start(tick, 10, 0);
            loop_run(loop);
        }
    }
    loop_timer_free(tick);
}

static int open_models(void **state)
{
    (void)state;
    char path[] = "/tmp/mcpc-limits-XXXXXX";
    struct error e = {0};
    unsetenv("MODEL_BACKENDS");
    for (const struct embed_file *f = embed_runbooks; f->name; f++)
        buf_add(strstr(f->name, "/ru/") ? &russian : &english, f->data, f->size);
    FILE *f = fdopen(mkstemp(path), "w");
    for (size_t i = 0; i < TOKENIZERS; i++)
        train(&tokenizers[i], f);
    fclose(f);
    loop = loop_new();
    struct conf *conf = conf_load(path, &e);
    g = conf ? gw_new(loop, conf, &e) : NULL;
    conf_free(conf);
    unlink(path);
    if (!g)
        fail_msg("%s", e.detail);
    wait_for_ranks();
    return 0;
}

static int close_models(void **state)
{
    (void)state;
    gw_free(g);
    loop_free(loop);
    for (size_t i = 0; i < TOKENIZERS; i++) {
        gw__ranks_free(tokenizers[i].ranks);
        unlink(tokenizers[i].path);
    }
    buf_release(&english);
    buf_release(&russian);
    return 0;
}

/* ---- requests */

/* Whole lines of the runbooks; the second half, which no tokenizer was trained on, too. */
static char *any_lines(size_t most)
{
    const struct buf *from = dice(2) ? &english : &russian;
    size_t at = dice(from->len - most);
    const char *line = strchr(from->data + at, '\n') + 1, *end = line + dice(most);
    return xstrndup(line, end > line ? (size_t)(strchr(end, '\n') - line) : 0);
}

/* Whatever a tool may print. */
static char *any_output(size_t most)
{
    struct buf text = {0};
    for (size_t size = dice(most); text.len < size;)
        buf_addf(&text, "{\"mount\": \"/var/%zx\", \"used\": %zu.%zu, \"ok\": %s}\n", dice(1 << 20),
                 dice(100), dice(10), dice(9) ? "true" : "false, \"error\": \"disk is full\"");
    return text.len ? buf_take(&text) : xstrdup("");
}

struct turn {
    struct tokenizer *provider;
    const struct gw__model *m;
    char *texts[SOURCES];
    struct buf system, user;
    bool shortened;
};

static void add_sources(struct turn *turn, const char *question)
{
    struct gw_fit_part parts[SOURCES];
    char *frames[SOURCES], *gone[SOURCES];
    for (size_t i = 0; i < SOURCES; i++) {
        char *text = dice(3) ? any_lines(100 + dice(2400)) : any_output(100 + dice(2400));
        frames[i] = xasprintf("[%zu] runbook en/disk-full.md\n<<<0123456789abcdef\n"
                              "\n>>>0123456789abcdef\n",
                              i);
        gone[i] = xasprintf("[%zu left out]\n", i);
        parts[i] = (struct gw_fit_part){"1",       text,    (double)dice(100) / 100,
                                        frames[i], gone[i], i == SOURCES - 1};
    }
    char *fixed = xasprintf("%sQuestion: %s\n", instructions, question);
    const struct gw_fit_ask ask = {turn->m->pub.name, fixed, question, parts, SOURCES, OUTPUT};
    json_t *report = gw_fit(g, &ask, turn->texts);
    turn->shortened = json_int(report, "dropped", 0) > 0;
    json_decref(report);
    buf_adds(&turn->system, instructions);
    for (size_t i = 0; i < SOURCES; i++) {
        const char *middle = strstr(frames[i], "\n\n") + 1;
        if (*turn->texts[i])
            buf_addf(&turn->user, "%.*s%s%s", (int)(middle - frames[i]), frames[i], turn->texts[i],
                     middle);
        else
            buf_adds(&turn->user, gone[i]);
        free((char *)parts[i].text);
        free(frames[i]);
        free(gone[i]);
        free(turn->texts[i]);
    }
    buf_addf(&turn->user, "Question: %s\n", question);
    free(fixed);
}

static int64_t truly(const struct tokenizer *t, const struct buf *text)
{
    return text->len ? gw__ranks_count(t->ranks, text->data, text->len) : 0;
}

/* The provider writes until it is done, it has no more room, or it is stopped; some obey nothing.
 */
static void answer(const struct turn *turn, struct gw__try *t)
{
    bool obeys = dice(10) > 0, goes_on = true;
    int64_t wants = dice(5) ? 50 + (int64_t)dice(600) : INT64_MAX, said = 0;
    while (said < wants && goes_on) {
        char *more = any_lines(200);
        for (size_t at = 0, n; more[at] && goes_on; at += n) {
            n = 1 + strcspn(more + at + 1, " \n"); /* tokens begin with a blank */
            said += gw__ranks_count(turn->provider->ranks, more + at, n);
            goes_on = !obeys || said <= t->max_output;
            if (goes_on)
                buf_add(&t->text, more + at, n);
            goes_on = goes_on && !gw__budget_over(t);
        }
        free(more);
    }
}

/* A request and its answer; whether both had room, by the provider's count. */
static bool turn_fits(struct tokenizer *provider, const struct gw__model *m, bool *shortened)
{
    struct turn turn = {.provider = provider, .m = m};
    struct error e = {0};
    add_sources(&turn, "Why is the disk full, and what is to be done about it?");
    const struct gw_message messages[] = {{.role = "system", .content = turn.system.data},
                                          {.role = "user", .content = turn.user.data}};
    const struct gw_request r = {
        .messages = messages, .message_count = 2, .max_output_tokens = OUTPUT};
    struct gw__try t = {.g = g,
                        .m = m,
                        .r = &r,
                        .max_output = OUTPUT,
                        .reasoning_tokens = -1,
                        .input_tokens = 3 + 2 * TEMPLATE + truly(provider, &turn.system) +
                                        truly(provider, &turn.user)};
    if (gw__budget_begin(&t, &e) != ERR_OK)
        fail_msg("%s", e.detail);
    answer(&turn, &t);
    t.output_tokens = truly(provider, &t.text);
    gw__count_learn(&t);
    bool fits = t.input_tokens + t.output_tokens <= m->pub.token_budget;
    *shortened = turn.shortened;
    buf_release(&t.text);
    buf_release(&turn.system);
    buf_release(&turn.user);
    return fits;
}

static void requests_stay_under_their_limit(void **state)
{
    (void)state;
    for (size_t i = 0; i < g->count; i++) {
        const struct gw__model *m = g->models[i];
        struct tokenizer *provider = NULL;
        for (size_t j = 0; j < TOKENIZERS; j++)
            if (strncmp(m->pub.name, tokenizers[j].splitter, strlen(tokenizers[j].splitter)) == 0)
                provider = &tokenizers[j];
        if (!provider)
            continue; /* a built-in one */
        bool exact = gw__count_ranks(m) != NULL, shortened;
        size_t under = 0, short_ones = 0, early = 0;
        for (int n = exact ? LEARNT : 0; n < LEARNT; n++)
            early += turn_fits(provider, m, &shortened);
        for (int n = 0; n < TURNS; n++) {
            under += turn_fits(provider, m, &shortened);
            short_ones += shortened;
        }
        print_message("%s: %zu of %d under the limit, %zu shortened%s\n", m->pub.name, under, TURNS,
                      short_ones, exact ? "" : ", learnt");
        if (!exact)
            print_message("  while it learnt: %zu of %d\n", early, LEARNT);
        assert_true(under * 100 >= TURNS * 98);
        assert_true(short_ones > TURNS / 4);
        json_t *row = gw_tokens_of_model(g, m->pub.name);
        assert_string_equal(json_str(row, "method", ""), exact ? "exact" : "learned");
        json_decref(row);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_stay_under_their_limit),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
