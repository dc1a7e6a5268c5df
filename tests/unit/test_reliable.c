/* Calls of several tries against a real server with exact faults: retries, keys, fallbacks, hedges,
 * queues. The names of invariants are those of backend/gateway/call.c and lane.c. */
#include "backend/base/clock.h"
#include "tests/unit/gateway_harness.h"

struct run {
    struct loop *loop;
    struct gw_call *call;
    struct buf text;
    size_t deltas, dones, *left; /* left: calls of a test still under way */
    struct error error;
    struct gw_attempt spent[GW_ATTEMPTS];
    size_t tries;
    char model[32], finish[16];
    int64_t elapsed_ms;
    unsigned order; /* which of a test's calls ended so-and-so-many-th */
    unsigned *ended;
};

static void on_delta(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    buf_add(&run->text, text, len);
    run->deltas++;
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct run *run = arg;
    run->dones++;
    run->error = r->error;
    run->tries = r->spent->count;
    memcpy(run->spent, r->spent->at, sizeof run->spent);
    snprintf(run->model, sizeof run->model, "%s", r->model->name);
    snprintf(run->finish, sizeof run->finish, "%s", r->finish_reason);
    run->elapsed_ms = r->elapsed_ms;
    assert_string_equal(r->text, run->text.data ? run->text.data : "");
    if (run->ended)
        run->order = ++*run->ended;
    if (!run->left || --*run->left == 0)
        loop_quit(w.loop);
}

static const struct gw_ops ops = {.delta = on_delta, .done = on_done};

/* Models as `NAME|MODEL AT THE MOCK|MORE LINES`, one a line; `; ` in the last part is a new line.
 */
static void open_models(const char *gateway, const char *const *models)
{
    struct buf text = {0};
    buf_addf(&text, "[gateway]\n%s\n", gateway);
    for (; *models; models++) {
        char name[64], model[512], more[512] = "";
        assert_true(sscanf(*models, "%63[^|]|%511[^|]|%511[^\n]", name, model, more) >= 2);
        for (char *p = more; (p = strstr(p, "; "));)
            memcpy(p, "\n ", 1);
        buf_addf(&text, "[model \"%s\"]\nkind = openai\nurl = %%s/v1\nmodel = %s\n%s\n", name,
                 model, more);
    }
    open_world(text.data);
    buf_release(&text);
}

static struct gw_request request(void)
{
    return (struct gw_request){.question = "Disk?", .lang = "en", .max_output_tokens = 64};
}

static struct run ask(const char *model, const struct gw_request *r)
{
    struct run run = {.loop = w.loop};
    struct error e = {0};
    run.call = gw_start(w.g, model, r, &ops, &run, &e);
    if (!run.call) {
        run.error = e;
        return run;
    }
    loop_run(w.loop);
    assert_int_equal(run.dones, 1);
    return run;
}

static void answered(struct run *run, const char *model, size_t tries)
{
    if (run->error.code)
        fail_msg("%s", run->error.detail);
    assert_string_equal(run->text.data, ANSWER);
    assert_string_equal(run->model, model);
    assert_int_equal(run->tries, tries);
    assert_string_equal(run->spent[tries - 1].outcome, "ok");
    buf_release(&run->text);
}

static void failed(struct run *run, enum err code, const char *words)
{
    if (run->error.code != code || !strstr(run->error.detail, words))
        fail_msg("%s: %s", err_name(run->error.code), run->error.detail);
    buf_release(&run->text);
}

static int64_t counted(const char *name)
{
    json_t *count = mock_ask(&peer, "/mock/count", NULL);
    int64_t n = json_int(count, name, -1);
    json_decref(count);
    return n;
}

/* ---- the same model again */

static void again_after_a_pause(void **state)
{
    (void)state;
    static const char *const faults[] = {"500",    "plain-503", "hang",
                                         "drop=1", "html",      "silent-head"};
    const char *const models[] = {"m|flaky|first_token_ms = 150", NULL};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        open_models("", models);
        char script[128];
        snprintf(script, sizeof script, "[{\"behave\": \"%s\"}, {\"behave\": \"ok\"}]", faults[i]);
        assert_true(mock_script(&peer, script));
        struct gw_request r = request();
        struct run run = ask("m", &r);
        assert_in_range(run.elapsed_ms, 390, 3000); /* 500 ms x 0.8..1.2 */
        answered(&run, "m", 2);
        assert_string_equal(run.spent[0].outcome, "error");
        close_world();
    }
}

static void never_after_the_first_token(void **state)
{
    (void)state;
    const char *const models[] = {"m|cut|fallback = b", "b|ok", NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    assert_true(run.text.len > 0);
    assert_int_equal(run.tries, 1);
    assert_true(run.spent[0].usage.estimated);
    assert_true(run.spent[0].usage.output_tokens > 0);
    failed(&run, ERR_UPSTREAM, "cut before its end");
    assert_int_equal(counted("requests"), 1);
    close_world();
}

static void what_is_our_fault_is_not_repeated(void **state)
{
    (void)state;
    const char *const models[] = {"m|400|fallback = b", "n|401", "b|ok", NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    assert_int_equal(run.tries, 1);
    failed(&run, ERR_UPSTREAM, "HTTP 400");
    run = ask("n", &r);
    assert_int_equal(run.tries, 1);
    failed(&run, ERR_UPSTREAM, "HTTP 401");
    assert_int_equal(counted("requests"), 2);
    close_world();
}

static void retry_after_is_obeyed(void **state)
{
    (void)state;
    const char *const models[] = {"m|rated", NULL};
    static const struct {
        const char *said;
        int64_t least, most;
    } rows[] = {{"status=429,retry=1", 1000, 3000}, {"status=503,retry_date=2", 900, 4000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        open_models("", models);
        char script[128];
        snprintf(script, sizeof script, "[{\"behave\": \"%s\"}]", rows[i].said);
        assert_true(mock_script(&peer, script));
        struct gw_request r = request();
        struct run run = ask("m", &r);
        assert_in_range(run.elapsed_ms, rows[i].least, rows[i].most);
        answered(&run, "m", 2);
        close_world();
    }
}

static void a_wait_beyond_the_limit_is_not_begun(void **state)
{
    (void)state;
    const char *const models[] = {"m|429|total_ms = 900", NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    assert_in_range(run.elapsed_ms, 0, 800);
    failed(&run, ERR_OVERLOADED, "retry after 7 s");
    close_world();
}

static void keys_turn_on_429_only(void **state)
{
    (void)state;
    setenv("KEY_ONE", "sk-one", 1);
    setenv("KEY_TWO", "sk-two", 1);
    const char *const models[] = {"m|limit_key=sk-one|key = env:KEY_ONE env:KEY_TWO", NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    assert_in_range(run.elapsed_ms, 0, 390); /* no pause: another key is at hand */
    assert_int_equal(run.spent[0].key, 0);
    assert_int_equal(run.spent[1].key, 1);
    answered(&run, "m", 2);
    run = ask("m", &r); /* the first key still rests */
    assert_int_equal(run.spent[0].key, 1);
    answered(&run, "m", 1);
    assert_true(mock_script(&peer, "[{\"behave\": \"500\"}]"));
    run = ask("m", &r);
    assert_int_equal(run.spent[0].key, 1);
    assert_int_equal(run.spent[1].key, 1); /* a 5xx is not the key's fault */
    answered(&run, "m", 2);
    close_world();
}

/* ---- somebody stands in */

static enum err refuse_b(void *arg, const struct gw_model *m, const struct gw_request *r,
                         int64_t in, int64_t out, uint64_t *ticket, struct error *e)
{
    size_t *open = arg;
    (void)r;
    assert_true(in > 0 && out == 64);
    if (strcmp(m->name, "b") == 0)
        return err_set(e, ERR_DENIED, "the day's budget is used up");
    *ticket = ++*open;
    return ERR_OK;
}

static void settle(void *arg, uint64_t ticket, const struct gw_attempt *a)
{
    size_t *open = arg;
    (void)ticket;
    assert_non_null(a->model);
    --*open;
}

static void fallbacks_stand_in(void **state)
{
    (void)state;
    const char *const models[] = {"m|500|retries = 0; fallback = b c; region = RU",
                                  "b|ok|region = US", "c|ok|region = RU", NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    answered(&run, "b", 2);
    assert_string_equal(run.spent[0].model->name, "m");
    r.regions = "RU BY";
    run = ask("m", &r); /* the data may not go to b */
    answered(&run, "c", 2);
    r.regions = "KZ";
    run = ask("m", &r);
    failed(&run, ERR_DENIED, "may only go to: KZ");
    r.regions = NULL;
    static const struct gw_admission budget = {.reserve = refuse_b, .settle = settle};
    size_t open = 0;
    gw_set_admission(w.g, &budget, &open);
    run = ask("m", &r); /* the budget holds in fallbacks too */
    answered(&run, "c", 2);
    assert_int_equal(open, 0);
    close_world();
}

static void a_late_model_leaves_time_for_another(void **state)
{
    (void)state;
    const char *const models[] = {"m|hang|retries = 0; fallback = b; total_ms = 1000", "b|ok",
                                  NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    assert_in_range(run.elapsed_ms, 480, 990);
    answered(&run, "b", 2);
    assert_int_equal(run.spent[0].code, ERR_TIMEOUT);
    close_world();
}

static void the_breaker_spares_the_dead(void **state)
{
    (void)state;
    const char *const models[] = {"m|500|retries = 0", NULL};
    open_models("", models);
    struct gw_request r = request();
    for (int i = 0; i < 5; i++) {
        struct run run = ask("m", &r);
        failed(&run, ERR_UPSTREAM, "HTTP 500");
    }
    struct run run = ask("m", &r);
    assert_null(run.call);
    failed(&run, ERR_UNREACHABLE, "left alone");
    assert_int_equal(counted("requests"), 5);
    json_t *health = NULL;
    for (size_t i = 0; i < gw_count(w.g); i++) {
        if (strcmp(gw_model(w.g, i)->name, "m") == 0)
            health = gw_state(w.g, i);
    }
    assert_string_equal(json_str(health, "breaker", ""), "open");
    assert_true(json_number_value(json_object_get(health, "error_rate")) > 0.99);
    json_decref(health);
    close_world();
}

static void who_speaks_first_stays(void **state)
{
    (void)state;
    const char *const models[] = {"m|first=5000|hedge = 100; fallback = b", "b|ok", NULL};
    open_models("", models);
    struct gw_request r = request();
    struct run run = ask("m", &r);
    assert_in_range(run.elapsed_ms, 100, 2000);
    assert_string_equal(run.spent[0].outcome, "hedged");
    assert_true(run.spent[0].usage.input_tokens > 0); /* its cost counts */
    assert_true(run.spent[0].usage.estimated);
    answered(&run, "b", 2);
    for (int i = 0; i < 100 && counted("cancels") == 0; i++)
        usleep(10000);
    assert_int_equal(counted("cancels"), 1);
    close_world();
}

/* ---- queues */

struct many {
    struct run run[8];
    size_t left;
    unsigned ended;
};

static void start(struct many *all, size_t i, const char *model, enum gw_tag tag, enum err expected)
{
    struct gw_request r = request();
    struct error e = {0};
    r.tag = tag;
    all->run[i] = (struct run){.loop = w.loop, .left = &all->left, .ended = &all->ended};
    all->run[i].call = gw_start(w.g, model, &r, &ops, &all->run[i], &e);
    assert_int_equal(e.code, expected);
    assert_true((all->run[i].call != NULL) == (expected == ERR_OK));
    if (expected == ERR_OVERLOADED)
        assert_non_null(strstr(e.detail, "try again in"));
    all->left += all->run[i].call != NULL;
}

static void interactive_goes_first(void **state)
{
    (void)state;
    struct many all = {.left = 0};
    const char *const models[] = {"m|first=50|parallel = 1; queue = 3", NULL};
    open_models("", models);
    start(&all, 0, "m", GW_BATCH, ERR_OK);
    start(&all, 1, "m", GW_BATCH, ERR_OK);
    start(&all, 2, "m", GW_BATCH, ERR_OK);
    start(&all, 3, "m", GW_INTERACTIVE, ERR_OK);
    start(&all, 4, "m", GW_INTERACTIVE, ERR_OVERLOADED);
    loop_run(w.loop);
    static const unsigned order[] = {1, 3, 4, 2};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(all.run[i].order, order[i]);
        answered(&all.run[i], "m", 1);
    }
    json_t *count = mock_ask(&peer, "/mock/count", NULL);
    assert_int_equal(json_int(count, "most", -1), 1);
    json_decref(count);
    close_world();
}

static void waiting_has_an_end(void **state)
{
    (void)state;
    struct many all = {.left = 0};
    const char *const models[] = {"m|hang|parallel = 1; total_ms = 300; retries = 0", NULL};
    open_models("", models);
    start(&all, 0, "m", GW_INTERACTIVE, ERR_OK);
    start(&all, 1, "m", GW_INTERACTIVE, ERR_OK);
    loop_run(w.loop);
    for (size_t i = 0; i < 2; i++) {
        assert_in_range(all.run[i].elapsed_ms, 290, 1500);
        failed(&all.run[i], ERR_TIMEOUT, "waited");
    }
    close_world();
}

/* Whoever is cancelled, wherever the call stands, leaves no trace: the rest goes on. */
static void quit(void *arg)
{
    (void)arg;
    loop_quit(w.loop);
}

static void cancelled_anywhere(void **state)
{
    (void)state;
    struct many all = {.left = 0};
    const char *const models[] = {"m|first=40|parallel = 1", "p|500",
                                  "h|first=5000|hedge = 20; parallel = 4", NULL};
    open_models("", models);
    start(&all, 0, "m", GW_INTERACTIVE, ERR_OK);
    start(&all, 1, "m", GW_INTERACTIVE, ERR_OK); /* waits */
    start(&all, 2, "m", GW_INTERACTIVE, ERR_OK); /* waits behind it */
    start(&all, 3, "p", GW_INTERACTIVE, ERR_OK); /* pauses after its first try */
    start(&all, 4, "h", GW_INTERACTIVE, ERR_OK); /* has two tries soon */
    struct gw_spent spent;
    gw_cancel(all.run[1].call, &spent);
    assert_int_equal(spent.count, 0);
    struct loop_timer *later = loop_timer_new(w.loop, quit, NULL);
    loop_timer_start(later, 120, 0);
    loop_run(w.loop);
    loop_timer_free(later);
    gw_cancel(all.run[3].call, &spent);
    assert_int_equal(spent.count, 1);
    gw_spent_release(&spent);
    gw_cancel(all.run[4].call, &spent);
    assert_int_equal(spent.count, 2);
    assert_string_equal(spent.at[1].outcome, "cancelled");
    gw_spent_release(&spent);
    all.left -= 3;
    if (all.left)
        loop_run(w.loop);
    answered(&all.run[0], "m", 1);
    answered(&all.run[2], "m", 1);
    for (size_t i = 1; i < 5; i += i == 1 ? 2 : 1)
        assert_int_equal(all.run[i].dones, 0);
    close_world();
}

static void under_load_tokens_come_together(void **state)
{
    (void)state;
    const char *const models[] = {"m|tokens=64", NULL};
    struct gw_request r = request();
    size_t deltas[2];
    struct buf texts[2];
    for (size_t i = 0; i < 2; i++) {
        open_models(i ? "watermark = 0\ncoalesce_tokens = 16" : "", models);
        struct run run = ask("m", &r);
        assert_int_equal(run.error.code, ERR_OK);
        deltas[i] = run.deltas;
        texts[i] = run.text;
        close_world();
    }
    assert_int_equal(deltas[0], 64);
    assert_in_range(deltas[1], 2, 16);
    assert_string_equal(texts[0].data, texts[1].data);
    buf_release(&texts[0]);
    buf_release(&texts[1]);
}

static void images_are_refused(void **state)
{
    (void)state;
    const char *const models[] = {"m|ok", NULL};
    const struct gw_message messages[] = {{.role = "user", .content = "", .image = "image/png"}};
    open_models("", models);
    struct gw_request r = request();
    r.messages = messages;
    r.message_count = 1;
    struct run run = ask("m", &r);
    failed(&run, ERR_UNSUPPORTED, "image/png");
    assert_int_equal(counted("requests"), 0);
    close_world();
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } rows[] = {{"fallback = nobody", "no model is named \"nobody\""},
                {"fallback = m", "stand in for itself"},
                {"hedge = soon", "no, p95, or milliseconds"},
                {"parallel = 0", "1 to 1024"},
                {"retries = 9", "0 to 7"},
                {"first_token_ms = 3600001", "milliseconds"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error e = {0};
        char *text = xasprintf("[model \"m\"]\nkind = openai\nurl = http://127.0.0.1:1/v1\n"
                               "model = x\n%s\n",
                               rows[i].line);
        refuse_world(text, &e);
        if (!strstr(e.detail, rows[i].words) || !strstr(e.detail, "[model \"m\"]"))
            fail_msg("%s", e.detail);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(again_after_a_pause),
        cmocka_unit_test(never_after_the_first_token),
        cmocka_unit_test(what_is_our_fault_is_not_repeated),
        cmocka_unit_test(retry_after_is_obeyed),
        cmocka_unit_test(a_wait_beyond_the_limit_is_not_begun),
        cmocka_unit_test(keys_turn_on_429_only),
        cmocka_unit_test(fallbacks_stand_in),
        cmocka_unit_test(a_late_model_leaves_time_for_another),
        cmocka_unit_test(the_breaker_spares_the_dead),
        cmocka_unit_test(who_speaks_first_stays),
        cmocka_unit_test(interactive_goes_first),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(cancelled_anywhere),
        cmocka_unit_test(under_load_tokens_come_together),
        cmocka_unit_test(images_are_refused),
        cmocka_unit_test(what_is_wrong_is_said),
    };
    return cmocka_run_group_tests(tests, start_peer, stop_peer);
}
