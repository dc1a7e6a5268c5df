/* Which model of a pool a question gets, off-peak hours, and models that change while calls are
 * under way (backend/gateway/route.c, models.c). */
#include "backend/base/clock.h"
#include "tests/unit/gateway_harness.h"

#define MODEL(name, more) \
    "[model \"" name "\"]\nkind = openai\nurl = http://127.0.0.1:1/v1\nmodel = x\n" more "\n"
#define PRICE(in) "price_in = " in "\nprice_out = " in "\n"
static const char *const MODELS =
    "[pool \"all\"]\nmodels = cheap middle large unpriced\n"
    "[pool \"long\"]\nmodels = *\nmin_context = 100000\n"
    "[pool \"fast\"]\nmodels = cheap middle large\nmin_throughput = 50\n"
    "[pool \"home\"]\nmodels = cheap middle large builtin/lexical\nregions = RU\n" MODEL(
        "cheap", PRICE("1") "region = US\ntier = 1\ncontext = 8192\nthroughput = 20")
        MODEL("middle", PRICE("5") "region = US\ntier = 2\ncontext = 32768\nthroughput = 60")
            MODEL("large", PRICE("20") "region = RU\ntier = 3\ncontext = 131072\nthroughput = 55")
                MODEL("unpriced", "region = US\ntier = 1\ncontext = 131072");

struct row {
    const char *pool, *model; /* NULL: none can be asked */
    struct gw_need need;
};

static void the_cheapest_that_fits(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"pool:all", "cheap", {.input_tokens = 1000, .output_tokens = 500}},
        {"pool:all", "middle", {.input_tokens = 1000, .output_tokens = 500, .risk = 0.3}},
        {"pool:all", "large", {.input_tokens = 1000, .output_tokens = 500, .risk = 0.6}},
        {"pool:all", "middle", {.input_tokens = 8000, .output_tokens = 500}},
        {"pool:all", "large", {.input_tokens = 1000, .output_tokens = 500, .regions = "RU"}},
        {"pool:all", "large", {.input_tokens = 120000, .output_tokens = 500}},
        {"pool:all", NULL, {.input_tokens = 140000, .output_tokens = 500}},
        {"pool:all", NULL, {.input_tokens = 10, .output_tokens = 5, .regions = "KZ"}},
        {"pool:long", "large", {.input_tokens = 10, .output_tokens = 5, .tools = true}},
        {"pool:fast", "middle", {.input_tokens = 10, .output_tokens = 5}},
        {"pool:home", "builtin/lexical", {.input_tokens = 10, .output_tokens = 5}},
        {"pool:home", "large", {.input_tokens = 10, .output_tokens = 5, .json = true}},
        {"middle", "middle", {.input_tokens = 10, .output_tokens = 5, .risk = 1}},
    };
    open_world(MODELS);
    struct gw *g = w.g;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error e = {0};
        json_t *why;
        const struct gw_model *m = gw_route(g, rows[i].pool, &rows[i].need, &why, &e);
        if (!rows[i].model) {
            assert_null(m);
            assert_int_equal(e.code, ERR_OVERLOADED);
        } else if (!m || strcmp(m->name, rows[i].model) != 0) {
            fail_msg("row %zu: %s", i, m ? m->name : e.detail);
        }
        assert_true((why != NULL) == (strncmp(rows[i].pool, "pool:", 5) == 0));
        json_decref(why);
    }
    close_world();
}

static const char *verdict_of(const json_t *why, const char *model)
{
    const json_t *one;
    size_t i;
    json_array_foreach(json_object_get(why, "considered"), i, one)
    {
        if (strcmp(json_str(one, "model", ""), model) == 0)
            return json_str(one, "verdict", "");
    }
    return "";
}

static void every_choice_says_why(void **state)
{
    (void)state;
    open_world(MODELS);
    struct gw *g = w.g;
    struct error e = {0};
    json_t *why;
    const struct gw_model *taken[] = {gw_find(g, "cheap")};
    struct gw_need need = {
        .input_tokens = 9000, .output_tokens = 500, .risk = 0.1, .taken = taken, .taken_count = 1};
    const struct gw_model *m = gw_route(g, "pool:all", &need, &why, &e);
    assert_string_equal(m->name, "middle");
    assert_string_equal(verdict_of(why, "cheap"), "answers already");
    assert_string_equal(verdict_of(why, "middle"), "chosen");
    assert_string_equal(verdict_of(why, "large"), "adequate");
    /* A price that is unknown is not zero. */
    assert_string_equal(verdict_of(why, "unpriced"), "adequate");
    assert_true(json_is_null(
        json_object_get(json_array_get(json_object_get(why, "considered"), 3), "cost")));
    assert_non_null(strstr(json_str(why, "reason", ""), "low risk (0.10) asks for tier 1"));
    json_decref(why);
    assert_null(gw_route(g, "pool:none", &need, &why, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    close_world();
}

static void off_peak_hours(void **state)
{
    (void)state;
    open_world(MODEL("night", "off_peak = 23:00-07:00") MODEL("noon", "off_peak = 12:00-13:30")
                   MODEL("any", ""));
    struct gw *g = w.g;
    const struct {
        const char *model;
        unsigned hour, minute;
        uint64_t wait_min;
    } rows[] = {{"night", 23, 0, 0},
                {"night", 3, 0, 0},
                {"night", 7, 0, 16 * 60},
                {"night", 22, 59, 1},
                {"noon", 12, 0, 0},
                {"noon", 13, 29, 0},
                {"noon", 13, 30, 22 * 60 + 30},
                {"noon", 0, 0, 12 * 60},
                {"any", 1, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(gw_off_peak_wait_ms(gw_find(g, rows[i].model),
                                             rows[i].hour * 3600 + rows[i].minute * 60),
                         rows[i].wait_min * 60000);
    close_world();
}

/* ---- a new configuration */

struct run {
    size_t *left;
    char model[32], sent[64];
    bool ok;
};

static void on_done(void *arg, const struct gw_result *r)
{
    struct run *run = arg;
    run->ok = r->error.code == ERR_OK;
    snprintf(run->model, sizeof run->model, "%s", r->model->name);
    snprintf(run->sent, sizeof run->sent, "%s", r->model->model);
    if (--*run->left == 0)
        loop_quit(w.loop);
}

static void ask(struct gw *g, struct run *run, const char *model)
{
    static const struct gw_ops ops = {.done = on_done};
    struct gw_request r = {.question = "Disk?", .lang = "en", .max_output_tokens = 64};
    struct error e = {0};
    if (!gw_start(g, model, &r, &ops, run, &e))
        fail_msg("%s", e.detail);
}

static enum err reload(struct gw *g, const char *text, char **changes, struct error *e)
{
    struct conf *conf = conf_of(text);
    enum err code = gw_reload(g, conf, changes, e);
    conf_free(conf);
    return code;
}

static void models_change_under_calls(void **state)
{
    (void)state;
    char before[512], after[512], *changes = NULL;
    struct error e = {0};
    const char *form =
        "[copilot]\nmodels = %s\n[model \"same\"]\nkind = openai\nurl = %s/v1\nmodel = "
        "first=60\nparallel = 1\n[model \"m\"]\nkind = openai\nurl = %s/v1\nmodel = %s\n";
    snprintf(before, sizeof before, form, "m", peer.url, peer.url, "first=60,tokens=3");
    snprintf(after, sizeof after, form, "same", peer.url, peer.url, "tokens=5");
    size_t left = 4;
    struct run old = {.left = &left}, fresh = old, same = old, queued = old;
    open_world(before);
    struct gw *g = w.g;
    const struct gw_model *stays = gw_find(g, "same");
    ask(g, &old, "m");
    ask(g, &same, "same");
    ask(g, &queued, "same");                              /* waits behind it */
    assert_int_equal(reload(g, after, NULL, &e), ERR_OK); /* only looked at */
    assert_string_equal(gw_find(g, "m")->model, "first=60,tokens=3");
    assert_int_equal(reload(g, after, &changes, &e), ERR_OK);
    assert_string_equal(changes, "m\n");
    free(changes);
    assert_ptr_equal(gw_find(g, "same"), stays);
    assert_true(gw_is_chosen(g, "same") && !gw_is_chosen(g, "m"));
    ask(g, &fresh, "m");
    loop_run(w.loop);
    assert_true(old.ok && fresh.ok && same.ok && queued.ok);
    assert_string_equal(old.sent, "first=60,tokens=3"); /* as it began */
    assert_string_equal(fresh.sent, "tokens=5");
    /* What is wrong changes nothing. */
    assert_int_equal(
        reload(g, "[model \"m\"]\nkind = openai\nurl = nowhere\nmodel = x\n", &changes, &e),
        ERR_CONFIG);
    assert_string_equal(gw_find(g, "m")->model, "tokens=5");
    /* One that is gone. */
    assert_int_equal(reload(g, "", &changes, &e), ERR_OK);
    assert_non_null(strstr(changes, "m\n"));
    assert_non_null(strstr(changes, "same\n"));
    free(changes);
    assert_null(gw_find(g, "m"));
    close_world();
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {{"[pool \"p\"]\nmodels = nobody*\n", "no model is named as"},
                {"[pool \"p\"]\nmedium_risk = 0.9\n", "above high_risk"},
                {MODEL("m", "off_peak = night"), "23:00-07:00"},
                {MODEL("m", "off_peak = 25:00-07:00"), "23:00-07:00"},
                {MODEL("m", "tier = 10"), "1 to 9"},
                {"[copilot]\nmodels = pool:none\n", "no model is named"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error e = {0};
        refuse_world(rows[i].text, &e);
        if (!strstr(e.detail, rows[i].words))
            fail_msg("%s", e.detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_cheapest_that_fits), cmocka_unit_test(every_choice_says_why),
        cmocka_unit_test(off_peak_hours),         cmocka_unit_test(models_change_under_calls),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
