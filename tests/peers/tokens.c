/* Token counts as the console makes them, for tokens.test. usage: tokens RANKS SPLITTER reads lines
 * of JSON strings and writes for each the list of its tokens; tokens RANKS SPLITTER FILE... makes
 * turns of the files' texts and fails if the estimate does not learn what these ranks make of them.
 */
#include "backend/gateway/tokens.h"
#include "backend/base/buf.h"
#include "backend/gateway/learn.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(void *arg, uint32_t rank)
{
    struct buf *out = arg;
    buf_addf(out, "%s%u", out->len > 1 ? "," : "", rank);
}

static bool answer(const struct gw__ranks *ranks, const char *line)
{
    json_t *text = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct buf out = {0};
    if (!json_is_string(text))
        return false;
    size_t len = json_string_length(text);
    buf_addc(&out, '[');
    gw__ranks_each(ranks, json_string_value(text), len, add, &out);
    buf_addc(&out, ']');
    puts(out.data);
    buf_release(&out);
    json_decref(text);
    return true;
}

/* ---- how well the estimate learns what these ranks report */

static uint32_t seed = 1;

static size_t any(size_t n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % n;
}

/* Some of a file, cut anywhere between characters. */
static void add_some(struct buf *to, char **files, size_t n, size_t most)
{
    const char *text = files[any(n)];
    size_t len = strlen(text), from = any(len), size = 100 + any(most);
    while (from < len && ((unsigned char)text[from] & 0xc0) == 0x80)
        from++;
    size_t end = from + size < len ? from + size : len;
    while (end < len && ((unsigned char)text[end] & 0xc0) == 0x80)
        end++;
    buf_add(to, text + from, end - from);
}

enum { CALL, PROMPT, ANSWER, KINDS }; /* of an estimate */

static double relative(double estimate, double count)
{
    return fabs(estimate - count) / count;
}

/* A turn: a question with one to eight sources, and an answer; the errors of its estimates. */
static void turn(const struct gw__ranks *ranks, struct gw__learner *l, char **files, size_t n,
                 double errors[KINDS])
{
    enum { TEMPLATE = 3 };
    struct buf asked = {0}, answered = {0};
    struct gw__features in = {.count = {0}}, out = {.count = {0}};
    for (size_t i = 1 + any(8); i; i--)
        add_some(&asked, files, n, 2400);
    add_some(&answered, files, n, 2000);
    in.count[GW__F_REQUEST] = in.count[GW__F_MESSAGE] = 1;
    gw__features_add(&in, asked.data, asked.len);
    gw__features_add(&out, answered.data, answered.len);
    double estimate_in = gw__learner_tokens(l, &in), estimate_out = gw__learner_tokens(l, &out);
    double count_in = (double)(gw__ranks_count(ranks, asked.data, asked.len) + 2 * TEMPLATE);
    double count_out = (double)gw__ranks_count(ranks, answered.data, answered.len);
    gw__learner_judge(l, estimate_in + estimate_out, count_in + count_out);
    gw__learner_learn(l, &in, count_in);
    gw__learner_learn(l, &out, count_out);
    buf_release(&asked);
    buf_release(&answered);
    errors[CALL] = relative(estimate_in + estimate_out, count_in + count_out);
    errors[PROMPT] = relative(estimate_in, count_in);
    errors[ANSWER] = relative(estimate_out, count_out);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool learn(const struct gw__ranks *ranks, char **files, size_t n)
{
    enum { FIRST = 50, TURNS = 400 };
    static const char *const kinds[] = {"calls", "prompts", "answers"};
    static const double bounds[] = {0.05, 0.06, 0.12}; /* short texts are of few words */
    struct gw__learner l;
    double errors[KINDS][TURNS], of_turn[KINDS];
    bool fine = true;
    gw__learner_init(&l);
    for (int i = 0; i < FIRST + TURNS; i++) {
        turn(ranks, &l, files, n, of_turn);
        for (int kind = 0; i >= FIRST && kind < KINDS; kind++)
            errors[kind][i - FIRST] = of_turn[kind];
    }
    printf("error of the learnt estimate after %d turns, of %d:", FIRST, TURNS);
    for (int kind = 0; kind < KINDS; kind++) {
        qsort(errors[kind], TURNS, sizeof *errors[kind], by_size);
        double p50 = errors[kind][TURNS / 2], p95 = errors[kind][TURNS * 95 / 100];
        printf(" %s p50 %.1f%% p95 %.1f%%%s", kinds[kind], 100 * p50, 100 * p95,
               kind + 1 < KINDS ? "," : "\n");
        fine = fine && p95 < bounds[kind];
    }
    return fine;
}

static char *read_file(const char *path)
{
    struct buf text = {0};
    char part[4096];
    FILE *f = fopen(path, "r");
    for (size_t got; f && (got = fread(part, 1, sizeof part, f)) > 0;)
        buf_add(&text, part, got);
    if (f)
        fclose(f);
    return buf_take(&text);
}

int main(int argc, char **argv)
{
    struct error e = {0};
    if (argc < 3)
        return 2;
    struct gw__ranks *ranks = gw__ranks_load(argv[1], gw__splitter_named(argv[2], ""), &e);
    char *line = NULL;
    size_t cap = 0, n = (size_t)argc - 3;
    bool fine = ranks != NULL;
    if (!fine)
        fprintf(stderr, "%s\n", e.detail);
    char **files = xcalloc(n + 1, sizeof *files);
    for (size_t i = 0; i < n; i++)
        files[i] = read_file(argv[3 + i]);
    if (fine && n)
        fine = learn(ranks, files, n);
    while (fine && !n && getline(&line, &cap, stdin) > 0)
        fine = answer(ranks, line);
    for (size_t i = 0; i < n; i++)
        free(files[i]);
    free(files);
    free(line);
    gw__ranks_free(ranks);
    return !fine;
}
