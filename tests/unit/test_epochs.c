/* Epochs: C5 of chain.c, E1 and E2 of epoch.c, Q1 to Q3 of tamper.c, V1 and V2 of remember.c. */
#include "backend/provenance/checkpoint.h"
#include "backend/provenance/tamper.h"
#include "backend/provenance/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *report, *checkpoint;
    struct error error;
    const char *sql;
};

static void open_world(struct world *w)
{
    static const struct prov_signing signing = {.origin = "", .environment = "test"};
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = w->store ? vault_open(w->dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    if (!w->prov)
        fail_msg("%s: %s", err_name(e.code), e.detail);
    prov_sign(w->prov, &signing);
}

static void look(void *arg)
{
    struct world *w = arg;
    if (!prov_pending(w->prov))
        loop_quit(w->loop);
}

static void settle(struct world *w)
{
    struct loop_timer *t = loop_timer_new(w->loop, look, w);
    loop_timer_start(t, 1, 1);
    loop_run(w->loop);
    loop_timer_free(t);
}

static void close_world(struct world *w, bool crash)
{
    if (!crash) {
        prov_close(w->prov);
        settle(w);
    }
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
    w->prov = NULL;
}

static void reopen(struct world *w)
{
    close_world(w, false);
    open_world(w);
    settle(w);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = xasprintf("%s/mcpc-epochs-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    open_world(w);
    settle(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->prov)
        close_world(w, false);
    char *command = xasprintf("rm -rf '%s'", w->dir);
    int rc = system(command);
    json_decref(w->report);
    json_decref(w->checkpoint);
    free(command);
    free(w->dir);
    free(w);
    return rc;
}

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    (void)seq;
    w->error = *e;
}

/* The number that the last one got. */
static int64_t append(struct world *w, int n)
{
    int64_t seq = -1;
    json_t *payload = json_pack("{s:s}", "text", "x");
    struct prov_entry entry = {.type = "question", .actor = "operator", .payload = payload};
    for (int i = 0; i < n; i++)
        seq = prov_append(w->prov, &entry, acked, w, NULL, NULL);
    json_decref(payload);
    settle(w);
    return seq;
}

static void got(void *arg, json_t *checkpoint, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->checkpoint);
    w->checkpoint = checkpoint ? json_incref(checkpoint) : NULL;
    w->error = *e;
}

static enum err sign(struct world *w)
{
    prov_checkpoint(w->prov, got, w);
    settle(w);
    return w->error.code;
}

static void verified(void *arg, json_t *report)
{
    struct world *w = arg;
    json_decref(w->report);
    w->report = report;
    loop_quit(w->loop);
}

static bool verify(struct world *w)
{
    prov_verify_start(w->prov, 0, NULL, verified, w);
    loop_run(w->loop);
    settle(w); /* an epoch that begins is durable */
    return json_flag(w->report, "ok", false);
}

static bool has_problem(const struct world *w, const char *code)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(w->report, "problems"), i, one)
    {
        if (strcmp(json_str(one, "code", ""), code) == 0)
            return true;
    }
    return false;
}

static bool epoch_intact(const struct world *w, size_t i)
{
    return json_flag(json_array_get(json_object_get(w->report, "epochs"), i), "intact", false);
}

static enum err run_sql(struct store_db *db, void *arg, struct error *e)
{
    const struct world *w = arg;
    return store_exec(db, e, w->sql, "");
}

static void ran(void *arg, const struct error *e)
{
    assert_string_equal(e->detail, "");
    loop_quit(((struct world *)arg)->loop);
}

/* As somebody who can write to the database. */
static void tamper(struct world *w, const char *sql)
{
    w->sql = sql;
    store_write(w->store, run_sql, ran, w);
    loop_run(w->loop);
}

static struct prov_state state_of(struct world *w)
{
    struct prov_state s;
    prov_state(w->prov, &s);
    return s;
}

static bool quarantined(struct world *w, int64_t seq)
{
    json_t *row = prov_get(w->prov, seq, false, NULL);
    bool is = json_flag(row, "quarantined", false);
    json_decref(row);
    return is;
}

/* Q1, Q2: one new epoch for one change, that says what it quarantines; it is signed again. */
static void a_change_begins_one_epoch(void **state)
{
    struct world *w = *state;
    append(w, 10);
    assert_int_equal(sign(w), ERR_OK);
    assert_true(verify(w));
    tamper(w, "UPDATE payloads SET sealed = zeroblob(60) WHERE seq IN (4, 5, 8)");
    int64_t size = state_of(w).size;
    assert_false(verify(w));
    struct prov_state s = state_of(w);
    assert_int_equal(s.epoch, 2);
    assert_int_equal(s.base, size);
    assert_int_equal(s.quarantined, 3);
    assert_int_equal(s.damaged, 4);
    assert_int_equal(s.state, PROV_BROKEN);
    assert_int_equal(s.signed_size, -1);
    for (int again = 0; again < 2; again++) {
        assert_false(verify(w));
        assert_int_equal(state_of(w).epoch, 2);
        assert_false(epoch_intact(w, 0));
        assert_true(epoch_intact(w, 1));
        assert_int_equal(sign(w), ERR_OK);
        assert_non_null(strstr(json_str(w->checkpoint, "note", ""), "#2\n"));
        for (int64_t seq = 0; seq < size; seq++)
            assert_int_equal(quarantined(w, seq), seq == 4 || seq == 5 || seq == 8);
        reopen(w);
        assert_int_equal(state_of(w).state, PROV_BROKEN);
    }
    json_t *list =
        prov_list(w->prov, &(struct prov_filter){.before = 6, .after = -1, .limit = 3}, NULL);
    assert_true(json_flag(json_array_get(list, 0), "quarantined", false));
    assert_false(json_flag(json_array_get(list, 2), "quarantined", false));
    json_decref(list);
}

/* What is put back as it was verifies again, epochs and all. */
static void what_is_put_back_verifies(void **state)
{
    struct world *w = *state;
    append(w, 10);
    tamper(w, "UPDATE entries SET ts = ts + 1 WHERE seq = 4");
    assert_false(verify(w));
    append(w, 3);
    tamper(w, "UPDATE entries SET ts = ts - 1 WHERE seq = 4");
    assert_true(verify(w));
    assert_int_equal(state_of(w).state, PROV_INTACT);
    assert_int_equal(json_array_size(json_object_get(w->report, "epochs")), 2);
    assert_non_null(strstr(json_str(w->report, "proved", ""), "through 2 epochs"));
    tamper(w, "UPDATE epochs SET base = 3 WHERE epoch = 2"); /* E1 */
    assert_false(verify(w));
    assert_true(has_problem(w, "epoch"));
    assert_int_equal(state_of(w).epoch, 3);
    reopen(w);
    assert_int_equal(state_of(w).epoch, 3);
    assert_false(verify(w));
    assert_int_equal(state_of(w).epoch, 3);
    tamper(w, "INSERT INTO epochs VALUES(77, 1, 1)"); /* says nothing of any entry */
    assert_false(verify(w));
    reopen(w);
    assert_int_equal(state_of(w).epoch, 3);
}

/* C2, C5: while the console runs, the head is moved, or the place of the next entry is taken. */
static void changes_under_the_writer(void **state)
{
    static const char *const sql[] = {
        "UPDATE tree_head SET head = zeroblob(32)", "UPDATE tree_head SET size = size - 2",
        "DELETE FROM tree_head",
        "INSERT INTO entries SELECT max(seq) + 1, x'', x'', 0, '', '', NULL FROM entries"};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        append(w, 4);
        int64_t before = state_of(w).epoch, size = state_of(w).size;
        tamper(w, sql[i]);
        append(w, 1); /* this one may be refused, not the next */
        int64_t seq = append(w, 1);
        assert_int_equal(w->error.code, ERR_OK);
        assert_true(seq >= size);
        verify(w);
        assert_int_equal(state_of(w).epoch, before + 1);
        assert_false(verify(w)); /* Q4 */
        assert_int_equal(state_of(w).epoch, before + 1);
        assert_int_equal(sign(w), ERR_OK);
        reopen(w);
        assert_int_equal(state_of(w).epoch, before + 1);
        assert_true(verify(w) == (i < 3)); /* what was written over leaves no trace but the epoch */
        assert_int_equal(state_of(w).epoch, before + 1);
    }
}

/* Q2: what was made up far out is passed by, once. */
static void far_out(void **state)
{
    struct world *w = *state;
    append(w, 4);
    tamper(w,
           "INSERT INTO entries SELECT 9007199254740000, entry, leaf, ts, session, type, trace_id"
           " FROM entries WHERE seq = 2");
    assert_false(verify(w));
    assert_int_equal(state_of(w).epoch, 2);
    append(w, 2);
    assert_false(verify(w));
    assert_int_equal(state_of(w).epoch, 2);
    assert_true(state_of(w).size < 100);
    /* further than JSON can say, and found at the start */
    tamper(w, "UPDATE entries SET seq = 9223372036854775806 WHERE seq > 9000000");
    reopen(w);
    append(w, 2);
    assert_false(verify(w));
    assert_true(state_of(w).size < 100);
    assert_int_equal(state_of(w).epoch, 3); /* another number, another problem */
    reopen(w);
    assert_false(verify(w));
    assert_int_equal(state_of(w).epoch, 3);
    assert_int_equal(sign(w), ERR_OK);
}

/* Nothing of a breach is kept but its epoch.start: a crash before it finds everything anew. */
static void a_crash_before_the_epoch(void **state)
{
    struct world *w = *state;
    append(w, 8);
    tamper(w, "DELETE FROM tree_head");
    close_world(w, true);
    for (int i = 0; i < 3; i++) { /* killed before anything was written */
        open_world(w);
        assert_int_equal(state_of(w).state, PROV_BROKEN);
        close_world(w, true);
    }
    open_world(w);
    settle(w);
    struct prov_state s = state_of(w);
    assert_true(s.epoch >= 2 && s.epoch <= 5);
    assert_false(verify(w) && s.epoch == 1);
    assert_int_equal(state_of(w).epoch, s.epoch);
    assert_int_equal(sign(w), ERR_OK);
}

/* Q3: an older copy of epoch 1, when checkpoints of epoch 2 were written: the next is 3. */
static void a_number_is_not_used_twice(void **state)
{
    struct world *w = *state;
    append(w, 3);
    assert_int_equal(sign(w), ERR_OK);
    close_world(w, false);
    char *command = xasprintf("cp '%s/console.db' '%s/old.db'", w->dir, w->dir);
    assert_int_equal(system(command), 0);
    free(command);
    open_world(w);
    append(w, 20);
    tamper(w, "UPDATE payloads SET sealed = zeroblob(60) WHERE seq = 1");
    assert_false(verify(w));
    assert_int_equal(sign(w), ERR_OK);
    int64_t end = state_of(w).signed_size;
    close_world(w, false);
    command = xasprintf("cd '%s' && rm -f console.db-* && cp old.db console.db", w->dir);
    assert_int_equal(system(command), 0);
    free(command);
    open_world(w);
    settle(w);
    assert_int_equal(state_of(w).epoch, 3);
    assert_true(end > 20);
    assert_false(verify(w));
    assert_true(has_problem(w, "rollback"));
    assert_int_equal(state_of(w).epoch, 3);
    assert_int_equal(sign(w), ERR_OK);
}

static void proofs_of_both_epochs(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    append(w, 10);
    assert_int_equal(sign(w), ERR_OK);
    tamper(w, "UPDATE payloads SET sealed = zeroblob(60) WHERE seq = 5");
    assert_false(verify(w));
    append(w, 5);
    assert_int_equal(sign(w), ERR_OK);
    int64_t base = state_of(w).base;
    json_t *old = prov_proof(w->prov, 3, &e), *new = prov_proof(w->prov, base + 2, &e);
    assert_int_equal(json_int(old, "epoch", -1), 1);
    assert_int_equal(json_int(old, "index", -1), 3);
    assert_int_equal(json_int(new, "epoch", -1), 2);
    assert_int_equal(json_int(new, "index", -1), 2);
    assert_non_null(strstr(json_str(new, "text", ""), "index 2\n"));
    assert_non_null(strstr(json_str(new, "text", ""), "#2\n"));
    json_decref(old);
    json_decref(new);
    old = prov_consistency(w->prov, 1, 4, -1, &e);
    assert_int_equal(json_int(old, "to", -1), base);
    json_decref(old);
    new = prov_consistency(w->prov, 0, 2, -1, &e);
    assert_int_equal(json_int(new, "base", -1), base);
    json_decref(new);
    assert_null(prov_consistency(w->prov, 7, 1, 2, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void the_report_for_people(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    json_t *forensics = NULL;
    assert_null(prov_forensics(w->prov, &e));
    append(w, 10);
    assert_int_equal(sign(w), ERR_OK);
    tamper(w, "UPDATE payloads SET sealed = zeroblob(60) WHERE seq = 5");
    assert_false(verify(w));
    for (int i = 0; i < 50 && !(forensics && json_is_string(json_object_get(forensics, "file")));
         i++) {
        json_decref(forensics);
        append(w, 1); /* the loop runs: its worker has written the files */
        forensics = prov_forensics(w->prov, &e);
    }
    const char *file = json_str(forensics, "file", "");
    assert_int_equal(access(file, R_OK), 0);
    assert_non_null(strstr(json_str(forensics, "text", ""), "  entry 5 (payload_changed)\n"));
    assert_true(json_array_size(json_object_get(json_object_get(forensics, "report"), "files")) >
                4);
    assert_int_equal(unlink(file), 0);
    json_decref(forensics);
    forensics = prov_forensics(w->prov, &e); /* made of the entry anew */
    assert_int_equal(access(json_str(forensics, "file", ""), R_OK), 0);
    assert_non_null(strstr(json_str(forensics, "text", ""), "  entry 5 (payload_changed)\n"));
    json_decref(forensics);
}

/* The verifier that was written from docs/evidence-format.md alone, in another language. */
static void a_second_verifier_agrees(void **state)
{
    struct world *w = *state;
    if (access("tests/peers/verify_log.py", R_OK) != 0 || system("python3 -c ''") != 0)
        skip();
    append(w, 300);
    tamper(w, "UPDATE entries SET ts = ts + 1 WHERE seq = 4");
    assert_false(verify(w));
    append(w, 300);
    char *command =
        xasprintf("python3 tests/peers/verify_log.py '%s/console.db' >'%s/said'", w->dir, w->dir);
    int status = system(command);
    assert_int_equal(WEXITSTATUS(status), 4);
    tamper(w, "UPDATE entries SET ts = ts - 1 WHERE seq = 4");
    status = system(command);
    assert_int_equal(WEXITSTATUS(status), 0);
    tamper(w, "UPDATE tree SET hash = zeroblob(32) WHERE epoch = 2 AND level = 8");
    status = system(command);
    assert_int_equal(WEXITSTATUS(status), 4);
    free(command);
}

/* ---- what was verified last */

static void from_known(struct world *w)
{
    prov_verify_known(w->prov, NULL, verified, w);
    loop_run(w->loop);
    settle(w);
}

static char *slurp(const char *path)
{
    char *text = xcalloc(1, 1024);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_true(fread(text, 1, 1023, f) > 0);
    fclose(f);
    return text;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void known_from_last_time(void **state)
{
    struct world *w = *state;
    char *path = xasprintf("%s/verified", w->dir);
    append(w, 9000);
    from_known(w);
    assert_string_equal(json_str(w->report, "mode", ""), "full");
    assert_int_equal(access(path, R_OK), 0);
    append(w, 100);
    from_known(w);
    assert_true(json_flag(w->report, "ok", false));
    assert_string_equal(json_str(w->report, "mode", ""), "start");
    assert_true(json_int(w->report, "checked", 0) < 2000);
    assert_non_null(strstr(json_str(w->report, "proved", ""), "only the tree over them"));
    assert_int_equal(state_of(w).state, PROV_INTACT);
    char *text = slurp(path), *size = strstr(text, "size ");
    size[5] ^= 1; /* V1 */
    put(path, text);
    from_known(w);
    assert_string_equal(json_str(w->report, "mode", ""), "full");
    free(text);
    text = slurp(path);
    tamper(w, "UPDATE entries SET leaf = zeroblob(32) WHERE seq = 3");
    from_known(w); /* the tree that is stored above it leads to what was verified */
    assert_string_equal(json_str(w->report, "mode", ""), "start");
    tamper(w, "UPDATE tree SET hash = zeroblob(32) WHERE level = 8 AND idx = 0");
    reopen(w);
    from_known(w);
    assert_true(has_problem(w, "verified") || has_problem(w, "tree"));
    assert_int_equal(access(path, F_OK), -1); /* V2 */
    assert_int_equal(state_of(w).epoch, 2);
    free(text);
    free(path);
}

static void paced(void **state)
{
    struct world *w = *state;
    append(w, 5000);
    prov_verify_pace(prov_verify_start(w->prov, 0, NULL, verified, w), 50);
    loop_run(w->loop);
    assert_true(json_flag(w->report, "ok", false));
    assert_string_equal(json_str(w->report, "mode", ""), "background");
    assert_int_equal(json_int(w->report, "checked", 0), json_int(w->report, "size", -1));
    prov_verify_pace(prov_verify_start(w->prov, 0, NULL, verified, w), 1);
    close_world(w, false); /* in the middle of it */
    open_world(w);
}

static bool verify_chain(struct world *w)
{
    prov_verify_chain(w->prov, 0, NULL, verified, w);
    loop_run(w->loop);
    settle(w);
    assert_string_equal(json_str(w->report, "mode", ""), "chain");
    assert_int_equal(json_int(w->report, "payloads_checked", -1), 0);
    return json_flag(w->report, "ok", false);
}

/* It goes through all epochs, finds what is wrong with entries, and claims nothing of payloads. */
static void the_chain_alone(void **state)
{
    struct world *w = *state;
    int64_t last = append(w, 3000);
    assert_true(verify_chain(w));
    assert_int_equal(json_int(w->report, "checked", 0), state_of(w).size);
    assert_string_equal(json_str(w->report, "root", ""), state_of(w).root);
    assert_non_null(strstr(json_str(w->report, "proved", ""), "Payloads were not read"));
    assert_int_equal(state_of(w).state, PROV_UNCHECKED);
    tamper(w, "DELETE FROM payloads WHERE seq = 2000");
    assert_true(verify_chain(w));
    assert_int_equal(state_of(w).state, PROV_UNCHECKED);
    assert_false(verify(w));
    append(w, 5);
    assert_true(verify_chain(w));
    assert_non_null(strstr(json_str(w->report, "proved", ""), "through 2 epochs"));
    assert_int_equal(state_of(w).state, PROV_BROKEN); /* a payload is still not there */
    assert_int_equal(state_of(w).base, last + 1);
    /* Epoch 1 ended with another entry than the one that epoch 2 follows. */
    tamper(w, "UPDATE entries SET entry = CAST(replace(CAST(entry AS TEXT), 'operator', 'operatos')"
              " AS BLOB) WHERE seq = (SELECT base - 1 FROM epochs WHERE epoch = 2)");
    assert_false(verify_chain(w));
    assert_true(has_problem(w, "head"));
    assert_true(has_problem(w, "leaf"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_begins_one_epoch),
        TEST(what_is_put_back_verifies),
        TEST(changes_under_the_writer),
        TEST(far_out),
        TEST(a_crash_before_the_epoch),
        TEST(a_number_is_not_used_twice),
        TEST(proofs_of_both_epochs),
        TEST(the_report_for_people),
        TEST(a_second_verifier_agrees),
        TEST(known_from_last_time),
        TEST(paced),
        TEST(the_chain_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
