/* The energy of models on this machine, by counters that stand in a folder of the test: which
 * counters count, a counter that begins anew, what cannot be read, tries that are not alone, what
 * is kept over a restart. The server is the mock, which says that a call took 31 and 12 tokens. */
#include "backend/base/conf.h"
#include "backend/gateway/energy.h"
#include "backend/gateway/fit.h"
#include "tests/unit/gateway_harness.h"
#include <math.h>
#include <sys/stat.h>

enum { TOKENS = 31 + 12 };
static char root[] = "/tmp/mcpc-energy-XXXXXX";

static void put(const char *zone, const char *file, const char *text)
{
    char *path = xasprintf("%s/%s", root, zone);
    mkdir(path, 0700);
    free(path);
    path = xasprintf("%s/%s/%s", root, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    free(path);
}

static void put_number(const char *zone, const char *file, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%lld\n", (long long)number);
    put(zone, file, text);
}

static void zone(const char *name, const char *what, int64_t now, int64_t range)
{
    put(name, "name", what);
    put_number(name, "energy_uj", now);
    put_number(name, "max_energy_range_uj", range);
}

static void clear(void)
{
    char *command = xasprintf("rm -rf %s/*", root);
    assert_int_equal(system(command), 0);
    free(command);
}

/* A package with its parts, a second one, and what has both in it. */
static void machine(void)
{
    clear();
    zone("intel-rapl:0", "package-0\n", 1000000, 262143328850);
    zone("intel-rapl:0:0", "core\n", 500000, 262143328850);
    zone("intel-rapl:0:1", "dram\n", 100000, 65712999613);
    zone("intel-rapl:1", "package-1\n", 7000000, 262143328850);
    zone("intel-rapl:2", "psys\n", 9000000, 262143328850);
    zone("intel-rapl-mmio:0", "package-0\n", 1000000, 262143328850);
    put("intel-rapl", "enabled", "1\n");
}

static int make_root(void **state)
{
    return start_peer(state) == 0 && mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    clear();
    rmdir(root);
    return stop_peer(state);
}

/* ---- counters */

static void packages_and_memory_count(void **state)
{
    (void)state;
    struct gw__meter m = {.count = 0};
    int64_t before[GW__ZONES], after[GW__ZONES];
    machine();
    gw__meter_open(&m, root);
    assert_int_equal(m.count, 3); /* package 0, its memory, package 1 */
    assert_true(gw__meter_read(&m, before));
    put_number("intel-rapl:0", "energy_uj", 1000000 + 3000000);
    put_number("intel-rapl:0:0", "energy_uj", 500000 + 2000000);
    put_number("intel-rapl:0:1", "energy_uj", 100000 + 500000);
    put_number("intel-rapl:2", "energy_uj", 900000000);
    assert_true(gw__meter_read(&m, after));
    assert_int_equal(gw__meter_between(&m, before, after), 3500000);
    gw__meter_close(&m);
}

static void a_counter_begins_anew(void **state)
{
    (void)state;
    struct gw__meter m = {.count = 0};
    int64_t before[GW__ZONES], after[GW__ZONES];
    clear();
    zone("intel-rapl:0", "package-0", INT64_C(262143328000), INT64_C(262143328850));
    gw__meter_open(&m, root);
    assert_true(gw__meter_read(&m, before));
    put_number("intel-rapl:0", "energy_uj", 150);
    assert_true(gw__meter_read(&m, after));
    assert_int_equal(gw__meter_between(&m, before, after), 1000);
    gw__meter_close(&m);
    zone("intel-rapl:0", "package-0", 5000, 0); /* where it begins anew is not known */
    gw__meter_open(&m, root);
    assert_true(gw__meter_read(&m, before));
    put_number("intel-rapl:0", "energy_uj", 10);
    assert_true(gw__meter_read(&m, after));
    assert_int_equal(gw__meter_between(&m, before, after), -1);
    gw__meter_close(&m);
    zone("intel-rapl:0", "package-0", 5000, 400); /* nor can it be what is said */
    gw__meter_open(&m, root);
    assert_true(gw__meter_read(&m, before));
    put_number("intel-rapl:0", "energy_uj", 10);
    assert_true(gw__meter_read(&m, after));
    assert_int_equal(gw__meter_between(&m, before, after), -1);
    gw__meter_close(&m);
}

static void what_cannot_be_read_measures_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "\n", "-1\n", "12 34\n", "1e9\n", "99999999999999999999\n", "0x10\n", "12\n\n", "abc"};
    struct gw__meter m = {.count = 0};
    int64_t out[GW__ZONES];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        machine();
        put("intel-rapl:1", "energy_uj", wrong[i]);
        gw__meter_open(&m, root);
        assert_int_equal(m.count, 3);
        assert_false(gw__meter_read(&m, out)); /* a part of the machine would be a wrong figure */
        gw__meter_close(&m);
    }
    machine();
    char *path = xasprintf("%s/intel-rapl:0/energy_uj", root);
    unlink(path);
    gw__meter_open(&m, root);
    assert_false(gw__meter_read(&m, out));
    gw__meter_close(&m);
    if (geteuid() != 0) { /* whom no mode stops */
        put_number("intel-rapl:0", "energy_uj", 1);
        chmod(path, 0);
        gw__meter_open(&m, root);
        assert_false(gw__meter_read(&m, out));
        gw__meter_close(&m);
    }
    free(path);
    static const char *const nowhere[] = {"", "/nonexistent", "/etc/passwd"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        gw__meter_open(&m, nowhere[i]);
        assert_int_equal(m.count, 0);
        assert_false(gw__meter_read(&m, out));
        gw__meter_close(&m);
    }
}

/* ---- learning */

static void the_rate_is_joules_by_tokens(void **state)
{
    (void)state;
    struct gw__energy e = {.tries = 0};
    gw__energy_learn(&e, 10, 1000);
    gw__energy_learn(&e, 30, 1000);
    assert_int_equal(gw__energy_rate(&e), -1); /* too few */
    gw__energy_learn(&e, 20, 1000);
    double want = (0.64 * 10 + 0.8 * 30 + 20) / (0.64 + 0.8 + 1);
    assert_true(fabs((double)gw__energy_rate(&e) / 1e9 - want) < 1e-6);
    struct gw__energy before = e;
    gw__energy_learn(&e, -1, 1000); /* what cannot be teaches nothing */
    gw__energy_learn(&e, 0, 1000);
    gw__energy_learn(&e, 5, 0);
    gw__energy_learn(&e, NAN, 10);
    gw__energy_learn(&e, 1e12, 10);
    assert_memory_equal(&e, &before, sizeof e);
    for (int i = 0; i < 60; i++)
        gw__energy_learn(&e, 2, 1000);
    assert_true(fabs((double)gw__energy_rate(&e) / 1e9 - 2) < 0.01); /* another machine */
    json_t *saved = gw__energy_save(&e);
    struct gw__energy again;
    gw__energy_load(&again, saved);
    assert_int_equal(gw__energy_rate(&again), gw__energy_rate(&e));
    json_puts(saved, "joules", "many");
    gw__energy_load(&again, saved);
    assert_int_equal(again.tries, 0);
    json_decref(saved);
}

/* ---- tries */

struct run {
    int64_t joules; /* that the machine takes while it answers; 0: none */
    size_t *left;
    enum err code;
};
static int64_t counter;

static void on_delta(void *arg, const char *text, size_t len)
{
    struct run *run = arg;
    (void)text, (void)len;
    counter += run->joules * 1000000;
    put_number("intel-rapl:0", "energy_uj", counter);
    run->joules = 0;
}

static void on_done(void *arg, const struct gw_result *r)
{
    struct run *run = arg;
    run->code = r->error.code;
    if (--*run->left == 0)
        loop_quit(w.loop);
}

static void asks(const char *model, size_t at_once, int64_t joules)
{
    static const struct gw_ops ops = {.delta = on_delta, .done = on_done};
    const struct gw_message message = {.role = "user", .content = "Disk?"};
    const struct gw_request r = {.question = "Disk?",
                                 .lang = "en",
                                 .messages = &message,
                                 .message_count = 1,
                                 .max_output_tokens = 64};
    struct run runs[4] = {{.joules = joules}};
    size_t left = at_once;
    struct error e;
    for (size_t i = 0; i < at_once; i++) {
        runs[i].left = &left;
        assert_non_null(gw_start(w.g, model, &r, &ops, &runs[i], &e));
    }
    loop_run(w.loop);
    for (size_t i = 0; i < at_once; i++)
        assert_int_equal(runs[i].code, ERR_OK);
}

static void open_models(const char *powercap)
{
    char *text =
        xasprintf("[telemetry]\npowercap = %s\n"
                  "[model \"here\"]\nkind = openai\nurl = %%s/v1\nmodel = fine\n"
                  "[model \"set\"]\nkind = openai\nurl = %%s/v1\nmodel = fine\nenergy = 4.5\n"
                  "[model \"far\"]\nkind = openai\nurl = http://192.0.2.1/v1\nmodel = m\n",
                  powercap);
    open_world(text);
    free(text);
}

static int64_t energy_of(const char *model, const char *source)
{
    const char *told;
    int64_t rate = gw_energy(gw_find(w.g, model), &told);
    assert_string_equal(told, source);
    return rate;
}

static void a_model_here_is_measured(void **state)
{
    (void)state;
    clear();
    counter = 1000;
    zone("intel-rapl:0", "package-0", counter, INT64_C(262143328850));
    open_models(root);
    assert_int_equal(energy_of("here", "unknown"), -1);
    assert_int_equal(energy_of("far", "unknown"), -1);
    assert_int_equal(energy_of("set", "configured"), INT64_C(4500000000));
    assert_int_equal(energy_of("builtin/lexical", "unknown"), -1);
    for (int i = 0; i < 3; i++)
        asks("here", 1, 43);
    assert_int_equal(energy_of("here", "learnt"), 43 * INT64_C(1000000000000) / TOKENS);
    asks("here", 3, 4000); /* of several at once nobody knows who took what */
    assert_int_equal(energy_of("here", "learnt"), 43 * INT64_C(1000000000000) / TOKENS);
    asks("set", 1, 9); /* what is configured stays */
    assert_int_equal(energy_of("set", "configured"), INT64_C(4500000000));
    assert_true(gw_learnt_anew(w.g));
    size_t at = 0;
    while (strcmp(gw_model(w.g, at)->name, "here") != 0)
        at++;
    json_t *kept = gw_learnt(w.g), *shown = gw_state(w.g, at);
    assert_string_equal(json_str(shown, "energy_source", ""), "learnt");
    assert_true(fabs(json_num(shown, "energy_j_per_1k", 0) - 43 * 1000.0 / TOKENS) < 1e-6);
    json_decref(shown);
    close_world();
    open_models(root); /* a restart */
    gw_learn_from(w.g, kept);
    assert_int_equal(energy_of("here", "learnt"), 43 * INT64_C(1000000000000) / TOKENS);
    json_decref(kept);
    close_world();
}

static void a_machine_without_counters_learns_nothing(void **state)
{
    (void)state;
    clear();
    open_models(root);
    for (int i = 0; i < 4; i++)
        asks("here", 1, 43);
    assert_int_equal(energy_of("here", "unknown"), -1);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_and_memory_count),
        cmocka_unit_test(a_counter_begins_anew),
        cmocka_unit_test(what_cannot_be_read_measures_nothing),
        cmocka_unit_test(the_rate_is_joules_by_tokens),
        cmocka_unit_test(a_model_here_is_measured),
        cmocka_unit_test(a_machine_without_counters_learns_nothing),
    };
    return cmocka_run_group_tests(tests, make_root, drop_root);
}
