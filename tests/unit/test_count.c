/* Tokens through the gateway: what providers report is learnt and kept, ranks are read and make
 * counts exact, budgets bound requests. Against the mock of tests/peers/mock_model.c. */
#include "backend/gateway/count.h"
#include "backend/gateway/fit.h"
#include "tests/unit/mock_harness.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct mock_peer peer;
static char conf_file[64], ranks_file[64];

static void write_ranks(void)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    snprintf(ranks_file, sizeof ranks_file, "/tmp/mcpc-cl100k-XXXXXX");
    FILE *f = fdopen(mkstemp(ranks_file), "w");
    for (unsigned i = 0; i < 256; i++)
        fprintf(f, "%c%c== %u\n", digits[i >> 2], digits[(i & 3) << 4], i);
    fclose(f);
}

static void write_conf(const char *model, const char *more)
{
    FILE *f = fopen(conf_file, "w");
    fprintf(f, "[model \"m\"]\nkind = openai\nurl = %s/v1\nmodel = %s\n%s\n", peer.url, model,
            more);
    fclose(f);
}

static int start_peer(void **state)
{
    (void)state;
    unsetenv("MODEL_BACKENDS");
    snprintf(conf_file, sizeof conf_file, "/tmp/mcpc-count-XXXXXX");
    close(mkstemp(conf_file));
    write_ranks();
    return mock_start(&peer, NULL) ? 0 : -1;
}

static int stop_peer(void **state)
{
    (void)state;
    unlink(conf_file);
    unlink(ranks_file);
    return mock_stop(&peer);
}

struct run {
    struct loop *loop;
    struct gw *g;
    struct error error;
    struct gw_usage usage;
    bool over_budget;
    char finish[16];
    struct buf text;
};

static struct run open_run(void)
{
    struct run run = {.loop = loop_new()};
    struct error e = {0};
    struct conf *conf = conf_load(conf_file, &e);
    run.g = conf ? gw_new(run.loop, conf, &e) : NULL;
    if (!run.g)
        fail_msg("%s", e.detail);
    conf_free(conf);
    return run;
}

static void close_run(struct run *run)
{
    buf_release(&run->text);
    gw_free(run->g);
    loop_free(run->loop);
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct run *run = arg;
    run->error = r->error;
    run->usage = r->usage;
    run->over_budget = r->over_budget;
    snprintf(run->finish, sizeof run->finish, "%s", r->finish_reason);
    buf_clear(&run->text);
    buf_adds(&run->text, r->text);
    loop_quit(run->loop);
}

static const struct gw_ops ops = {.done = on_done};

static int64_t budget; /* of the next call; 0: the model's */

static enum err call(struct run *run, const char *text, int64_t limit)
{
    const struct gw_message message = {.role = "user", .content = text};
    const struct gw_request r = {.question = "?",
                                 .lang = "en",
                                 .messages = &message,
                                 .message_count = 1,
                                 .max_output_tokens = limit,
                                 .token_budget = budget};
    run->error = (struct error){0};
    if (gw_start(run->g, "m", &r, &ops, run, &run->error))
        loop_run(run->loop);
    return run->error.code;
}

static const char *const parts[] = {"disk ",     "диск ",           "93.5% ",
                                    "/var/log ", "{\"used\": 1}, ", "\n"};

static char *any_text(unsigned seed)
{
    struct buf text = {0};
    for (size_t n = 30 + seed * 37 % 200; n; n--)
        buf_adds(&text, parts[(seed = seed * 1103515245 + 12345) >> 16 & 3 ? n % 6 : n % 5]);
    return buf_take(&text);
}

/* Turns with a provider that counts twice what is usual. */
static void teach(struct run *run, unsigned turns)
{
    for (unsigned i = 0; i < turns; i++) {
        char *text = any_text(i), script[128];
        struct gw__learner usual;
        struct gw__features f = {.count = {[GW__F_REQUEST] = 1, [GW__F_MESSAGE] = 1}};
        gw__learner_init(&usual);
        gw__features_add(&f, text, strlen(text));
        snprintf(script, sizeof script, "[\"in=%d,out=6,say=Disk is full.\"]",
                 (int)(2 * gw__learner_tokens(&usual, &f)));
        assert_true(mock_script(&peer, script));
        assert_int_equal(call(run, text, 100), ERR_OK);
        assert_false(run->usage.estimated);
        free(text);
    }
}

static double p95_of(struct run *run, const char *method, int64_t turns)
{
    json_t *row = gw_tokens_of_model(run->g, "m");
    assert_string_equal(json_str(row, "method", ""), method);
    assert_int_equal(json_int(row, "turns", -1), turns);
    double p95 = json_num(row, "p95", -1);
    json_decref(row);
    return p95;
}

static void reports_are_learnt_and_kept(void **state)
{
    (void)state;
    write_conf("ok", "");
    struct run run = open_run();
    char *text = any_text(7);
    int64_t before = gw_count_tokens(run.g, "m", text);
    assert_true(p95_of(&run, "prior", 0) < 0);
    assert_false(gw_learnt_anew(run.g));
    teach(&run, 60);
    int64_t after = gw_count_tokens(run.g, "m", text);
    assert_in_range(after, before * 185 / 100, before * 215 / 100);
    double p95 = p95_of(&run, "learned", 60);
    assert_true(p95 > 0 && p95 < 1);
    assert_true(gw_learnt_anew(run.g));
    assert_false(gw_learnt_anew(run.g));
    json_t *kept = gw_learnt(run.g);
    close_run(&run);

    run = open_run();
    gw_learn_from(run.g, kept);
    assert_in_range(gw_count_tokens(run.g, "m", text), after * 98 / 100, after * 102 / 100);
    assert_true(p95_of(&run, "learned", 60) == p95);
    close_run(&run);

    /* another model behind the name is another tokenizer */
    write_conf("other", "");
    run = open_run();
    gw_learn_from(run.g, kept);
    assert_int_equal(gw_count_tokens(run.g, "m", text), before);
    gw_learn_from(run.g, NULL);
    json_puti(kept, "version", 2);
    gw_learn_from(run.g, kept);
    assert_true(p95_of(&run, "prior", 0) < 0);
    close_run(&run);
    json_decref(kept);
    free(text);
}

static void what_is_not_reported_teaches_nothing(void **state)
{
    (void)state;
    static const char *const silent[] = {"nousage", "error", "429", "zero"};
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++) {
        write_conf(silent[i], "");
        struct run run = open_run();
        call(&run, "Disk?", 100);
        assert_true(p95_of(&run, "prior", 0) < 0);
        assert_false(gw_learnt_anew(run.g));
        json_t *kept = gw_learnt(run.g);
        assert_int_equal(json_object_size(json_object_get(kept, "models")), 0);
        json_decref(kept);
        close_run(&run);
    }
}

static void on_tick(void *arg)
{
    loop_quit(arg);
}

/* Runs the loop until the ranks were read. */
static void read_ranks(struct run *run, const char *method)
{
    struct loop_timer *tick = loop_timer_new(run->loop, on_tick, run->loop);
    for (int i = 0; i < 500; i++) {
        json_t *row = gw_tokens_of_model(run->g, "m");
        bool there =
            *json_str(row, "error", "") || strcmp(json_str(row, "method", ""), method) == 0;
        json_decref(row);
        if (there)
            break;
        loop_timer_start(tick, 10, 0);
        loop_run(run->loop);
    }
    loop_timer_free(tick);
}

static void ranks_make_counts_exact(void **state)
{
    (void)state;
    char more[128];
    snprintf(more, sizeof more, "ranks = %s\n", ranks_file); /* the name says cl100k */
    write_conf("ok", more);
    struct run run = open_run();
    read_ranks(&run, "exact");
    assert_int_equal(gw_count_tokens(run.g, "m", "Disk is full."), 13);
    assert_int_equal(gw_count_tokens(run.g, "m", ""), 0);
    assert_int_equal(gw_count_tokens(run.g, "m", NULL), 0);
    /* what is learnt then is what the template adds: here 40 tokens */
    for (unsigned i = 0; i < 60; i++) {
        char *text = any_text(i), script[64];
        snprintf(script, sizeof script, "[\"in=%zu,out=13,say=Disk is full.\"]", strlen(text) + 40);
        assert_true(mock_script(&peer, script));
        assert_int_equal(call(&run, text, 100), ERR_OK);
        free(text);
    }
    assert_true(p95_of(&run, "exact", 60) < 0.05);
    struct gw__try t = {.m = run.g->models[run.g->count - 1]};
    const struct gw_message message = {.role = "user", .content = "0123456789"};
    const struct gw_request r = {.messages = &message, .message_count = 1};
    assert_in_range(gw__input_estimate(t.m, &r), 45, 52);
    close_run(&run);
}

static void ranks_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    write_conf("ok", "ranks = /nowhere/o200k.tiktoken\n");
    struct run run = open_run();
    read_ranks(&run, "exact");
    json_t *row = gw_tokens_of_model(run.g, "m");
    assert_string_equal(json_str(row, "method", ""), "prior");
    assert_non_null(strstr(json_str(row, "error", ""), "/nowhere/o200k.tiktoken"));
    json_decref(row);
    assert_true(gw_count_tokens(run.g, "m", "Disk is full.") > 2);
    close_run(&run);
    /* closed while a worker reads */
    run = open_run();
    close_run(&run);
    write_conf("ok", "ranks = /nowhere/some.tiktoken\n");
    struct loop *l = loop_new();
    struct error e = {0};
    struct conf *conf = conf_load(conf_file, &e);
    assert_null(gw_new(l, conf, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.detail, "splitter"));
    conf_free(conf);
    loop_free(l);
}

/* ---- budgets */

static void an_answer_ends_within_the_budget(void **state)
{
    (void)state;
    write_conf("forever=1,piece=0", "token_budget = 256\n");
    struct run run = open_run();
    /* a provider that obeys no limit is stopped, and that is no error */
    assert_int_equal(call(&run, "Disk?", 0), ERR_OK);
    assert_string_equal(run.finish, "length");
    assert_true(run.over_budget && run.usage.estimated);
    assert_in_range(run.usage.input_tokens + run.usage.output_tokens, 150, 256);
    close_run(&run);

    /* at a sentence's end, if one is near; the request's own budget counts where it is smaller */
    write_conf("ok", "token_budget = 256\n");
    run = open_run();
    struct buf script = {0};
    buf_adds(&script, "[\"usage=none,piece=1,say=");
    for (int i = 0; i < 7; i++)
        buf_adds(&script, "The disk of this host is full.%0A");
    buf_adds(&script, "\"]");
    assert_true(mock_script(&peer, script.data));
    budget = 60;
    assert_int_equal(call(&run, "Disk?", 1000), ERR_OK);
    budget = 0;
    assert_string_equal(run.finish, "length");
    assert_true(run.over_budget);
    assert_in_range(run.usage.input_tokens + run.usage.output_tokens, 40, 60);
    assert_true(run.text.len && strchr(".\n", run.text.data[run.text.len - 1]));
    /* the provider was asked for no more than there is */
    json_t *entry = mock_logged(&peer, "ok");
    int64_t asked = json_int(json_object_get(entry, "body"), "max_tokens", -1);
    assert_in_range(asked, 40, 55);
    json_decref(entry);
    buf_release(&script);

    /* what fits is not touched */
    assert_true(mock_script(&peer, "[\"in=10,out=5,say=Disk is full.\"]"));
    assert_int_equal(call(&run, "Disk?", 50), ERR_OK);
    assert_string_equal(run.finish, "stop");
    assert_false(run.over_budget);
    entry = mock_logged(&peer, "ok");
    assert_int_equal(json_int(json_object_get(entry, "body"), "max_tokens", -1), 50);
    json_decref(entry);

    /* a request that is too long by itself is refused with the figures */
    struct buf text = {0};
    for (int i = 0; i < 300; i++)
        buf_adds(&text, "disk ");
    assert_int_equal(call(&run, text.data, 50), ERR_TOO_BIG);
    assert_non_null(strstr(run.error.detail, "of the 256 tokens"));
    buf_release(&text);
    close_run(&run);
}

/* A model that stands in is asked with what was made for it, and its budget is held to that. */
static void a_stand_in_gets_its_own(void **state)
{
    (void)state;
    FILE *f = fopen(conf_file, "w");
    fprintf(f,
            "[model \"m\"]\nkind = openai\nurl = %s/v1\nmodel = 500\nretries = 0\n"
            "fallback = builtin/lexical small\n"
            "[model \"small\"]\nkind = openai\nurl = %s/v1\nmodel = ok\ntoken_budget = 256\n",
            peer.url, peer.url);
    fclose(f);
    struct run run = open_run();
    const struct gw_model *others[GW_STAND_INS];
    assert_int_equal(gw_stand_ins(run.g, "m", others, GW_STAND_INS), 1);
    assert_string_equal(others[0]->name, "small");
    assert_int_equal(gw_stand_ins(run.g, "small", others, GW_STAND_INS), 0);
    assert_int_equal(gw_stand_ins(run.g, "nobody", others, GW_STAND_INS), 0);
    struct buf text = {0};
    for (int i = 0; i < 300; i++)
        buf_adds(&text, "disk ");
    const struct gw_message whole = {.role = "user", .content = text.data},
                            little = {.role = "user", .content = "disk, in short"};
    const struct gw_refit refit = {"small", &little, 1};
    struct gw_request r = {.question = "?",
                           .messages = &whole,
                           .message_count = 1,
                           .max_output_tokens = 100,
                           .tools = json_array()}; /* so that no built-in model stands in */
    assert_true(gw_has_room(run.g, "m", &r));
    assert_false(gw_has_room(run.g, "small", &r));
    assert_true(gw_has_room(run.g, "builtin/lexical", &r));
    assert_non_null(gw_start(run.g, "m", &r, &ops, &run, &run.error));
    loop_run(run.loop);
    assert_int_equal(run.error.code,
                     ERR_UPSTREAM); /* without: it is passed over, with the reason */
    assert_non_null(strstr(run.error.detail, "raise token_budget"));
    r.refits = &refit;
    r.refit_count = 1;
    run.error = (struct error){0};
    assert_non_null(gw_start(run.g, "m", &r, &ops, &run, &run.error));
    loop_run(run.loop);
    assert_int_equal(run.error.code, ERR_OK);
    json_t *entry = mock_logged(&peer, "ok");
    const json_t *sent =
        json_array_get(json_object_get(json_object_get(entry, "body"), "messages"), 0);
    assert_string_equal(json_str(sent, "content", ""), "disk, in short");
    json_decref(entry);
    json_decref((json_t *)r.tools);
    buf_release(&text);
    close_run(&run);
}

static void forecasts_follow_answers(void **state)
{
    (void)state;
    struct gw__forecast f = {.turns = 0};
    assert_true(gw__forecast_output(&f, 1000) == 500);
    assert_true(gw__forecast_margin(&f) == 0.20);
    for (int i = 0; i < 60; i++)
        gw__forecast_learn(&f, 1000, 200 + i % 5);
    assert_true(gw__forecast_output(&f, 1000) > 190 && gw__forecast_output(&f, 1000) < 215);
    assert_true(gw__forecast_margin(&f) == 0.10);
    assert_true(gw__forecast_output(&f, 100) <= 100);
    for (int i = 0; i < 60; i++)
        gw__forecast_learn(&f, 1000, i % 2 ? 100 : 900);
    assert_true(gw__forecast_margin(&f) == 0.20);
    gw__forecast_learn(&f, 0, 100);
    gw__forecast_learn(&f, 100, 0);
    assert_int_equal(f.turns, 120);
}

static void built_in_models_are_estimated(void **state)
{
    (void)state;
    write_conf("ok", "");
    struct run run = open_run();
    json_t *row = gw_tokens_of_model(run.g, "builtin/lexical");
    assert_true(json_is_null(row));
    json_decref(row);
    assert_int_equal(gw_count_tokens(run.g, "builtin/lexical", "abcde"),
                     gw_estimate_tokens("abcde"));
    assert_int_equal(gw_count_tokens(run.g, "none", "abcde"), gw_estimate_tokens("abcde"));
    close_run(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_are_learnt_and_kept),
        cmocka_unit_test(what_is_not_reported_teaches_nothing),
        cmocka_unit_test(ranks_make_counts_exact),
        cmocka_unit_test(ranks_that_cannot_be_read_are_told),
        cmocka_unit_test(an_answer_ends_within_the_budget),
        cmocka_unit_test(a_stand_in_gets_its_own),
        cmocka_unit_test(forecasts_follow_answers),
        cmocka_unit_test(built_in_models_are_estimated),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
