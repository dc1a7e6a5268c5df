/* `mcp-console eval SET`: golden sets asked of several ways to answer, side by side. */
#include "tui/cli_internal.h"
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    VARIANTS = 8,
    SET_BYTES = 700000,
    BASELINE_BYTES = 32 << 20,
    END_MS = 60000, /* the answers that are under way */
    LONGEST_S = 86400,
    USUAL_S = 3600
};

/* Takes one option; NULL, or what is wrong with it. */
static const char *take(struct cli *c, int option)
{
    struct cli_eval *o = &c->eval;
    char *end;
    int64_t seconds;
    switch (option) {
    case 'v':
        o->variants = optarg;
        return NULL;
    case 'm':
        o->models = optarg;
        return NULL;
    case 'b':
        o->baseline = optarg;
        return NULL;
    case 'k':
        o->keep = true;
        return NULL;
    case 'p':
        return cli__whole(optarg, 1, 8, &o->parallel) ? NULL : "it takes 1 to 8";
    case 's':
        return cli__whole(optarg, 0, (int64_t)1 << 52, &o->seed) ? NULL : "it takes a whole number";
    case 'f':
        o->fail_below = strtod(optarg, &end);
        return *optarg && !*end && o->fail_below >= 0 && o->fail_below <= 100
                   ? NULL
                   : "it takes a score, 0 to 100";
    case 'M':
        o->missed = true;
        return NULL;
    case 'L':
        o->list = true;
        return NULL;
    case 'S':
        o->show = optarg;
        return NULL;
    case 't':
        if (!cli__whole(optarg, 1, LONGEST_S, &seconds))
            return "it takes 1 to 86400 seconds";
        c->timeout_ms = (uint64_t)seconds * 1000;
        return NULL;
    default:
        c->json = true;
        return NULL;
    }
}

int cli__eval_options(struct cli *c, int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"json", no_argument, NULL, 'j'},          {"variants", required_argument, NULL, 'v'},
        {"models", required_argument, NULL, 'm'},  {"baseline", required_argument, NULL, 'b'},
        {"save-baseline", no_argument, NULL, 'k'}, {"parallel", required_argument, NULL, 'p'},
        {"seed", required_argument, NULL, 's'},    {"fail-below", required_argument, NULL, 'f'},
        {"missed", no_argument, NULL, 'M'},        {"list", no_argument, NULL, 'L'},
        {"show", required_argument, NULL, 'S'},    {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},          {0}};
    c->eval = (struct cli_eval){.parallel = 1, .seed = 1};
    c->timeout_ms = USUAL_S * 1000;
    int status = cli__options(c, argc, argv, OPTIONS, take);
    if (status != EXIT_DONE)
        return status;
    bool reads = c->eval.list || c->eval.show;
    if (argc - optind != !reads)
        return cli__usage(c,
                          reads ? "too many words" : "it takes one set: a file, or a built-in one");
    c->file = reads ? NULL : argv[optind];
    return EXIT_DONE;
}

/* ---- the order */

/* The variants of --variants, or the usual ones; those that name no models get those of --models.
 */
static json_t *variants_of(const struct cli *c)
{
    char *all = xstrdup(c->eval.variants ? c->eval.variants : "single,arbitrate"), *rest = all;
    json_t *out = json_array();
    for (char *one; (one = strsep(&rest, ","));) {
        char *whole_one = c->eval.models && !strchr(one, '/')
                              ? xasprintf("%s/%s", one, c->eval.models)
                              : xstrdup(one);
        json_array_append_new(out, json_text(whole_one, strlen(whole_one)));
        free(whole_one);
    }
    free(all);
    return out;
}

/* The name of a set in a file: "sets/disk.jsonl" is "disk". The caller frees. */
static char *name_of(const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t len = strlen(base);
    if (len > 6 && strcmp(base + len - 6, ".jsonl") == 0)
        len -= 6;
    return xstrndup(base, len < 64 ? len : 64);
}

/* Of a variant of an earlier result what drift is measured by. */
static json_t *variant_before(const json_t *v)
{
    static const char *const KEYS[] = {"case", "score", "classes"};
    json_t *out = json_object(), *rows = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(v, "rows"), i, row)
    {
        json_t *less = json_object();
        for (size_t k = 0; k < sizeof KEYS / sizeof *KEYS; k++)
            if (json_object_get(row, KEYS[k]))
                json_object_set(less, KEYS[k], json_object_get(row, KEYS[k]));
        json_array_append_new(rows, less);
    }
    json_puts(out, "variant", json_str(v, "variant", ""));
    json_puts(out, "centroid", json_str(v, "centroid", ""));
    json_put(out, "rows", rows);
    return out;
}

/* What --json printed of an earlier run; NULL: *status is set. */
static json_t *baseline_of(const char *path, int *status)
{
    static const char *const KEYS[] = {"run", "at", "sha256"};
    struct error e = {0};
    char *text = cli__read_text(path, BASELINE_BYTES, status);
    json_t *whole = text ? json_read(text, strlen(text), BASELINE_BYTES, 16, &e) : NULL, *v;
    json_t *out = json_object(), *variants = json_array();
    size_t i;
    for (i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        json_puts(out, KEYS[i], json_str(whole, KEYS[i], ""));
    json_array_foreach(json_object_get(whole, "variants"), i, v)
        json_array_append_new(variants, variant_before(v));
    if (whole && !json_array_size(variants))
        err_set(&e, ERR_INVALID, "%s is no result of an evaluation", path);
    json_put(out, "variants", variants);
    json_decref(whole);
    free(text);
    if (e.code != ERR_OK)
        *status = cli_error(&e);
    if (*status == EXIT_DONE)
        return out;
    json_decref(out);
    return NULL;
}

/* NULL: *status is set. */
static json_t *order(const struct cli *c, int *status)
{
    json_t *params = json_object();
    bool file = access(c->file, F_OK) == 0 || strpbrk(c->file, "/.");
    char *name = name_of(c->file), *text = file ? cli__read_text(c->file, SET_BYTES, status) : NULL;
    json_t *baseline = c->eval.baseline ? baseline_of(c->eval.baseline, status) : NULL;
    json_puts(params, "name", file ? name : c->file);
    if (text)
        json_put(params, "set", json_text(text, strlen(text)));
    if (baseline)
        json_put(params, "baseline", baseline);
    json_put(params, "variants", variants_of(c));
    json_puti(params, "parallel", c->eval.parallel);
    json_puti(params, "seed", c->eval.seed);
    json_put(params, "keep", json_boolean(c->eval.keep));
    free(name);
    free(text);
    if (*status == EXIT_DONE)
        return params;
    json_decref(params);
    return NULL;
}

/* ---- waiting */

static void count(const json_t *data)
{
    bool ended = strcmp(json_str(data, "state", ""), "running") != 0;
    fprintf(stderr, "\r%lld of %lld%s", (long long)json_int(data, "done", 0),
            (long long)json_int(data, "total", 0), ended ? "\n" : "");
}

static json_t *result_of(struct busc *bus, const char *run, int *status)
{
    json_t *params = json_object();
    json_puts(params, "run", run);
    return cli__call(bus, WIRE_eval_show, params, status);
}

/* ---- printing */

static double percent(double part, double whole_)
{
    return whole_ > 0 ? 100 * part / whole_ : 0;
}

static void print_variant(const json_t *v, int width)
{
    const json_t *score = json_object_get(v, "score"), *cost = json_object_get(v, "cost");
    printf("  ");
    cli__cell(json_str(v, "variant", ""), width);
    printf(" %5.1f  %5.1f..%-5.1f  %4lld/%-4lld  %3.0f%%  %4lld  %4.0f%%  %6.0f %6.0f  %9lld  ",
           100 * json_num(score, "value", 0), 100 * json_num(score, "low", 0),
           100 * json_num(score, "high", 0), (long long)json_int(v, "met", 0),
           (long long)json_int(v, "expected", 0),
           percent(json_num(v, "cited", 0), json_num(v, "citations", 0)),
           (long long)json_int(v, "contradictory", 0),
           percent(json_num(v, "unsupported", 0), json_num(v, "sentences", 0)),
           json_num(v, "elapsed_p50_ms", 0), json_num(v, "elapsed_p95_ms", 0),
           (long long)json_int(v, "input_tokens", 0) + (long long)json_int(v, "output_tokens", 0));
    cli__put(json_str(cost, "amount", "unknown"), false);
    putchar(' ');
    cli__put(json_str(cost, "currency", ""), false);
    int64_t written = json_int(v, "contradictory_written", 0);
    if (written > json_int(v, "contradictory", 0))
        printf("  %lld contradictory as written", (long long)written);
    if (json_int(v, "failed", 0))
        printf("  %lld failed", (long long)json_int(v, "failed", 0));
    putchar('\n');
}

static void print_comparison(const json_t *one)
{
    const json_t *d = json_object_get(one, "difference"), *w = json_object_get(one, "win_rate"),
                 *k = json_object_get(one, "contradictory");
    printf("  ");
    cli__put(json_str(one, "variant", ""), false);
    printf(" against ");
    cli__put(json_str(one, "against", ""), false);
    printf(": score %+.1f (%+.1f..%+.1f), wins %.0f%% (%.0f..%.0f%%), contradictory answers "
           "%+.1f%% (%+.1f..%+.1f%%)\n",
           100 * json_num(d, "value", 0), 100 * json_num(d, "low", 0), 100 * json_num(d, "high", 0),
           100 * json_num(w, "value", 0), 100 * json_num(w, "low", 0), 100 * json_num(w, "high", 0),
           100 * json_num(k, "value", 0), 100 * json_num(k, "low", 0),
           100 * json_num(k, "high", 0));
}

static void print_number(const char *name, const json_t *v)
{
    if (json_is_number(v))
        printf(", %s %.3f", name, json_number_value(v));
    else
        printf(", %s -", name);
}

static void print_drift(const json_t *result)
{
    const json_t *baseline = json_object_get(result, "baseline");
    json_t *one, *why;
    size_t i, j;
    json_array_foreach(json_object_get(result, "drift"), i, one)
    {
        const json_t *score = json_object_get(one, "score");
        printf("  since %.16s ", json_str(baseline, "at", ""));
        cli__put(json_str(one, "variant", ""), false);
        printf(": score %.1f -> %.1f", 100 * json_num(score, "before", 0),
               100 * json_num(score, "now", 0));
        print_number("centroid", json_object_get(one, "centroid"));
        print_number("safety classes", json_object_get(one, "classes"));
        if (json_flag(one, "alert", false))
            printf("  ALERT:");
        json_array_foreach(json_object_get(one, "why"), j, why)
        {
            putchar(' ');
            cli__put(json_string_value(why), false);
        }
        putchar('\n');
    }
}

static void print_statements(const json_t *row, const char *key, const char *what)
{
    size_t i;
    json_t *text;
    json_array_foreach(json_object_get(row, key), i, text)
    {
        printf("    %s: ", what);
        cli__put(json_string_value(text), false);
        putchar('\n');
    }
}

/* What each case lacked. */
static void print_missed(const json_t *v)
{
    size_t i;
    json_t *row;
    printf("\n");
    cli__put(json_str(v, "variant", ""), false);
    putchar('\n');
    json_array_foreach(json_object_get(v, "rows"), i, row)
    {
        if (json_num(row, "score", 0) >= 1 && !json_int(row, "unsupported", 0))
            continue;
        printf("  ");
        cli__put(json_str(row, "case", ""), false);
        printf(": %.0f, trace %s\n", 100 * json_num(row, "score", 0),
               json_str(row, "trace_id", ""));
        print_statements(row, "missed", "not said");
        print_statements(row, "contradicted", "contradicted");
        print_statements(row, "forbidden", "said, and must not be");
        if (json_int(row, "unsupported", 0))
            printf("    unsupported: %lld of %lld sentences\n",
                   (long long)json_int(row, "unsupported", 0),
                   (long long)json_int(row, "sentences", 0));
    }
}

static void print_result(const json_t *result, bool missed)
{
    const json_t *variants = json_object_get(result, "variants");
    size_t i;
    json_t *one;
    int width = 8;
    json_array_foreach((json_t *)variants, i, one)
    {
        int its = (int)strlen(json_str(one, "variant", ""));
        width = its > width ? its : width;
    }
    cli__put(json_str(result, "name", ""), false);
    long long cases = json_int(result, "cases", 0), scored = json_int(result, "scored", cases);
    if (scored < cases)
        printf(": %lld of %lld cases, ", scored, cases);
    else
        printf(": %lld cases, ", cases);
    printf("%s, run %s, entry %lld, seed %lld\n\n", json_str(result, "state", ""),
           json_str(result, "run", ""), (long long)json_int(result, "entry", 0),
           (long long)json_int(result, "seed", 0));
    printf("  %-*s score  95%%             met   cited contr unsup  p50 ms p95 ms     tokens  "
           "cost\n",
           width, "variant");
    json_array_foreach((json_t *)variants, i, one) print_variant(one, width);
    json_array_foreach(json_object_get(result, "comparisons"), i, one) print_comparison(one);
    print_drift(result);
    for (i = 0; missed && i < json_array_size(variants); i++)
        print_missed(json_array_get(variants, i));
}

/* What a script is told: a variant is worse than was asked for, or it has drifted. */
static int judged(const struct cli *c, const json_t *result)
{
    int status = strcmp(json_str(result, "state", ""), "done") == 0 ? EXIT_DONE : EXIT_FAILED;
    size_t i;
    json_t *one;
    if (*json_str(result, "error", ""))
        cli_complain("%s", json_str(result, "error", ""));
    json_array_foreach(json_object_get(result, "variants"), i, one)
    {
        double score = 100 * json_num(json_object_get(one, "score"), "value", 0);
        if (score < c->eval.fail_below) {
            cli_complain("%s: %.1f is below %.1f", json_str(one, "variant", ""), score,
                         c->eval.fail_below);
            status = EXIT_FAILED;
        }
    }
    json_array_foreach(json_object_get(result, "drift"), i, one)
    {
        if (json_flag(one, "alert", false))
            status = EXIT_FAILED;
    }
    return status;
}

static int finish(struct cli *c, json_t *result, int status)
{
    if (result && c->json)
        cli__print_json(result);
    else if (result)
        print_result(result, c->eval.missed);
    if (result)
        status = judged(c, result);
    json_decref(result);
    return status;
}

static int run(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    struct cli__wait w = {.event = "eval",
                          .key = "run",
                          .look = WIRE_eval_show,
                          .stop = WIRE_eval_stop,
                          .limit_ms = c->timeout_ms,
                          .end_ms = END_MS,
                          .told = isatty(STDERR_FILENO) ? count : NULL};
    json_t *params = order(c, &status);
    if (!params)
        return status;
    cli__wait_begin(bus, &w);
    json_t *begun = cli__call(bus, WIRE_eval_run, params, &status);
    if (!begun)
        return status;
    w.id = json_str(begun, "run", "");
    json_t *result = cli__wait_end(bus, &w, &status);
    if (!result && busc_interrupted(bus)) /* the backend ends it, and keeps what was scored */
        fprintf(stderr, "  what was scored: mcp-console eval --show %s\n", w.id);
    status = finish(c, result, status);
    json_decref(begun);
    return status;
}

static int list(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *page = cli__call(bus, WIRE_eval_list, NULL, &status), *one, *v;
    size_t i, j;
    if (page && c->json)
        cli__print_json(page);
    json_array_foreach(c->json ? NULL : json_object_get(page, "sets"), i, one)
    {
        printf("built in: ");
        cli__put(json_str(one, "name", ""), false);
        putchar('\n');
    }
    json_array_foreach(c->json ? NULL : json_object_get(page, "runs"), i, one)
    {
        printf("%s  %.16s  ", json_str(one, "run", "-"), json_str(one, "at", ""));
        cli__put(json_str(one, "name", json_str(one, "error", "")), false);
        printf("%s", json_flag(one, "kept", false) ? " (baseline)" : "");
        if (strcmp(json_str(one, "state", "done"), "done") != 0)
            printf(" (%s)", json_str(one, "state", ""));
        json_array_foreach(json_object_get(one, "variants"), j, v)
        {
            printf("  ");
            cli__put(json_str(v, "variant", ""), false);
            printf(" %.1f", 100 * json_num(json_object_get(v, "score"), "value", 0));
        }
        putchar('\n');
    }
    json_decref(page);
    return status;
}

int cli__eval(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    if (c->eval.list)
        return list(c, bus);
    if (!c->eval.show)
        return run(c, bus);
    json_t *result = result_of(bus, c->eval.show, &status);
    return finish(c, result, status);
}
