/* The daily bundle: D1 and D2 of backend/daily.c, with a real backend on a real clock. */
#include "backend/base/loop.h"
#include "backend/store/store.h"
#include "tests/unit/console_harness.h"

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(
        db, e, "INSERT INTO bundles VALUES(2, '2020-01-01', 1577836800000, 0, 'old.tar')", "");
}

static void inserted(void *arg, const struct error *e)
{
    assert_int_equal(e->code, ERR_OK);
    loop_quit(arg);
}

/* As if the last one had been made long ago, over two entries. */
static void made_long_ago(const char *dir)
{
    struct error e = {0};
    struct loop *l = loop_new();
    struct store *s = store_open(l, dir, false, &e);
    assert_non_null(s);
    store_write(s, insert, inserted, l);
    loop_run(l);
    store_close(s);
    store_free(s);
    loop_free(l);
    char *path = xasprintf("%s/bundles", dir), *old = xasprintf("%s/old.tar", path);
    assert_int_equal(mkdir(path, 0700), 0);
    FILE *out = fopen(old, "we");
    assert_non_null(out);
    fclose(out);
    free(path);
    free(old);
}

static void write_config(const char *path, const char *keep)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out, "[evidence]\nbundle_keep = %s\n", keep);
    fclose(out);
}

/* The newest row of the table; the caller frees. */
static bool take_name(void *arg, const struct store_row *row)
{
    *(char **)arg = xstrdup(store_text(row, 0));
    return false;
}

static char *newest(const char *dir)
{
    char *path = xasprintf("%s/console.db", dir), *name = NULL;
    struct store_db *db = store_db_open(path, NULL);
    assert_non_null(db);
    store_query(db, NULL, take_name, &name,
                "SELECT file FROM bundles WHERE size > 2 ORDER BY size DESC LIMIT 1", "");
    store_db_close(db);
    free(path);
    return name;
}

static json_t *verify(const char *path)
{
    static char bytes[4 << 20];
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    size_t len = fread(bytes, 1, sizeof bytes, in);
    fclose(in);
    return backend_bundle_verify(bytes, len, NULL, NULL, NULL);
}

static void an_overdue_one_is_made_at_start(void **state)
{
    (void)state;
    char *dir = new_dir(), *config = xasprintf("%s/conf", dir), *name = NULL;
    struct console c = console_start(dir, NULL, "operator");
    json_decref(call(&c, WIRE_status_get, NULL));
    console_stop(&c, true);
    made_long_ago(dir);
    write_config(config, "1");
    c = console_start(dir, config, "operator");
    for (uint64_t until = clock_mono_ms() + WAIT_MS; !name && clock_mono_ms() < until;) {
        usleep(100 * 1000);
        name = newest(dir);
    }
    assert_non_null(name);
    char *path = xasprintf("%s/bundles/%s", dir, name), *old = xasprintf("%s/bundles/old.tar", dir);
    json_t *report = verify(path), *payloads = json_object_get(report, "payloads");
    assert_true(json_flag(report, "ok", false));
    assert_int_equal(json_int(report, "first", -1), 2); /* D1: where the last one ended */
    assert_int_equal(json_int(payloads, "withheld", -1), json_int(report, "entries", -2));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (int i = 0; i < 50 && stat(old, &st) == 0; i++)
        usleep(20 * 1000);
    assert_int_not_equal(stat(old, &st), 0); /* one is kept */
    json_decref(report);
    json_t *list = call(&c, WIRE_evidence_list, "{\"type\": \"export\"}");
    assert_int_equal(json_array_size(json_object_get(list, "entries")), 1);
    json_decref(list);
    console_stop(&c, false);
    free(name);
    free(path);
    free(old);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_overdue_one_is_made_at_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
