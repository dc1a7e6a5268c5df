/* Keys replaced in a log: the signing key (N1, N2 of handover.c, T1..T3 of trust.c) and the master
 * key (M1..M4 of rotate.c); what a crash between two steps leaves; what verification makes of it.
 */
#include "backend/base/text.h"
#include "backend/provenance/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    json_t *report, *what;
    struct error error;
    int pending;
    bool prov_closing;
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
    prov_rotate_resume(w->prov);
}

static void look(void *arg)
{
    struct world *w = arg;
    int64_t done, total;
    if (!prov_pending(w->prov) && !w->pending &&
        (w->prov_closing || !prov_rotating(w->prov, &done, &total)))
        loop_quit(w->loop);
}

static void settle(struct world *w)
{
    struct loop_timer *t = loop_timer_new(w->loop, look, w);
    loop_timer_start(t, 1, 1);
    loop_run(w->loop);
    loop_timer_free(t);
}

static void close_world(struct world *w)
{
    prov_close(w->prov);
    w->prov_closing = true;
    settle(w);
    w->prov_closing = false;
    w->vault = prov_vault(w->prov);
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
    w->prov = NULL;
}

static void reopen(struct world *w)
{
    close_world(w);
    open_world(w);
    settle(w);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = xasprintf("%s/mcpc-rotate-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    open_world(w);
    settle(w);
    *state = w;
    return 0;
}

static void sh(struct world *w, const char *command)
{
    char *line = xasprintf("umask 077; cd '%s' && %s", w->dir, command);
    assert_int_equal(system(line), 0);
    free(line);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->prov)
        close_world(w);
    char *command = xasprintf("rm -rf '%s'", w->dir);
    int rc = system(command);
    json_decref(w->report);
    json_decref(w->what);
    free(command);
    free(w->dir);
    free(w);
    return rc;
}

static void append(struct world *w, int n)
{
    json_t *payload = json_pack("{s:s}", "text", "x");
    struct prov_entry entry = {.type = "question", .actor = "operator", .payload = payload};
    for (int i = 0; i < n; i++)
        prov_append(w->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
    settle(w);
}

static void rotated(void *arg, const json_t *what, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->what);
    w->what = what ? json_deep_copy(what) : NULL;
    w->error = *e;
    w->pending--;
}

static enum err rotate_signing(struct world *w)
{
    w->pending++;
    prov_rotate_signing(w->prov, "operator", rotated, w);
    settle(w);
    assert_int_equal(w->pending, 0);
    return w->error.code;
}

static void verified(void *arg, json_t *report)
{
    struct world *w = arg;
    json_decref(w->report);
    w->report = report;
    loop_quit(w->loop);
}

static bool verify(struct world *w, const char *given)
{
    struct prov_verify *run = prov_verify_start(w->prov, 0, NULL, verified, w);
    if (given)
        prov_verify_given(run, given);
    loop_run(w->loop);
    return json_flag(w->report, "ok", false);
}

static void verifies(struct world *w)
{
    if (!verify(w, NULL))
        fail_msg("%s", json_dumps(json_object_get(w->report, "problems"), 0));
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

static bool there(struct world *w, const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/keys/%s", w->dir, name);
    bool found = lstat(path, &st) == 0;
    free(path);
    return found;
}

static char *read_file(struct world *w, const char *name)
{
    char *path = xasprintf("%s/%s", w->dir, name), *text = xcalloc(1, 1 << 16);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, (1 << 16) - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    free(path);
    return text;
}

/* ---- the signing key ---- */

static void signing_key(void **state)
{
    struct world *w = *state;
    struct prov__trust t;
    struct error e = {0};
    append(w, 3);
    reopen(w);
    char *first = read_file(w, "keys/checkpoint.pub");
    for (int i = 0; i < 3; i++) {
        append(w, 2);
        assert_int_equal(rotate_signing(w), ERR_OK);
        assert_false(there(w, "checkpoint.key.next") || there(w, "checkpoint.key.old"));
        verifies(w);
    }
    char *trusted = read_file(w, "keys/trusted"), *now = read_file(w, "keys/checkpoint.pub");
    assert_int_equal(prov__trust_load(&t, store_reader(w->store), &e), ERR_OK);
    assert_int_equal(t.count, 4);
    assert_string_equal(t.problem, "");
    assert_int_equal(t.at[3].first, json_int(w->what, "first", -1));
    assert_int_equal(t.at[3].entry, t.at[3].first); /* T3 */
    assert_int_equal(prov__trusted_check(&t, w->dir, &e), ERR_OK);
    char line[VAULT_LABEL];
    prov__vkey_write(&t.at[0].key, line);
    assert_int_equal(strncmp(first, line, strlen(line)), 0);
    prov__vkey_write(&t.at[3].key, line);
    assert_int_equal(strncmp(now, line, strlen(line)), 0);
    assert_ptr_equal(prov__trust_of(&t, 0), &t.at[0]);
    assert_ptr_equal(prov__trust_of(&t, t.at[1].first), &t.at[0]);
    assert_ptr_equal(prov__trust_of(&t, t.at[1].first + 1), &t.at[1]);
    assert_ptr_equal(prov__trust_of(&t, INT64_MAX), &t.at[3]);
    prov__trust_release(&t);
    assert_non_null(strstr(trusted, line));
    reopen(w); /* the new key is the one that is opened */
    append(w, 1);
    verifies(w);
    free(trusted);
    free(first);
    free(now);
}

/* Who copies the files at each moment and starts from the copy. */
static void signing_key_interrupted(void **state)
{
    struct world *w = *state;
    append(w, 2);
    close_world(w);
    sh(w, "cp keys/checkpoint.key old.key && cp keys/checkpoint.pub old.pub");
    open_world(w);
    settle(w);
    assert_int_equal(rotate_signing(w), ERR_OK);
    close_world(w);
    char *now = read_file(w, "keys/checkpoint.pub");
    /* named, both files still there: goes on */
    sh(w, "mv keys/checkpoint.key keys/checkpoint.key.next && mv old.key keys/checkpoint.key &&"
          " mv old.pub keys/checkpoint.pub && rm keys/trusted && cp -r keys kept");
    for (int at = 0; at < 3; at++) {
        if (at == 1) /* the public half already replaced, the list of keys from before */
            sh(w, "rm -r keys; cp -r kept keys && head -n 1 keys/checkpoint.key.next |"
                  " tr -d '\\0' > keys/checkpoint.pub");
        if (at == 2) /* replaced, the old one not yet removed */
            sh(w, "rm -r keys; cp -r kept keys; cd keys; mv checkpoint.key checkpoint.key.old;"
                  " mv checkpoint.key.next checkpoint.key; head -n 1 checkpoint.key |"
                  " tr -d '\\0' > checkpoint.pub");
        open_world(w);
        settle(w);
        struct prov_state s;
        prov_state(w->prov, &s);
        assert_int_equal(s.signing.code, ERR_OK);
        assert_false(there(w, "checkpoint.key.next") || there(w, "checkpoint.key.old"));
        append(w, 1);
        verifies(w);
        char *after = read_file(w, "keys/checkpoint.pub");
        assert_string_equal(after, now);
        free(after);
        close_world(w);
    }
    /* staged only: the log does not name it, so it goes */
    sh(w, "mkdir -p other/keys && cp keys/master.key other/keys");
    char *dir = w->dir;
    w->dir = xasprintf("%s/other", dir);
    open_world(w);
    close_world(w);
    free(w->dir);
    w->dir = dir;
    sh(w, "cp other/keys/checkpoint.key keys/checkpoint.key.next");
    open_world(w);
    settle(w);
    assert_false(there(w, "checkpoint.key.next"));
    verifies(w);
    free(now);
}

static enum err spoil(struct store_db *db, void *arg, struct error *e)
{
    switch (*(int *)arg) {
    case 0: /* the rotation undone in the table */
        return store_exec(db, e, "DELETE FROM signing_keys WHERE first > 0", "");
    case 1: /* the old key trusted for longer */
        return store_exec(db, e, "UPDATE signing_keys SET first = first + 1 WHERE first > 0", "");
    case 2:
        return store_exec(db, e, "UPDATE signing_keys SET note = NULL", "");
    case 3:
        return store_exec(db, e, "UPDATE signing_keys SET entry = 1 WHERE first > 0", "");
    case 4: /* the first key another one */
        return store_exec(db, e,
                          "UPDATE signing_keys SET vkey = (SELECT vkey FROM signing_keys"
                          " WHERE first > 0) WHERE first = 0",
                          "");
    default:
        return store_exec(db, e, "DELETE FROM signing_keys", "");
    }
}

static void done(void *arg, const struct error *e)
{
    assert_int_equal(e->code, ERR_OK);
    *(int *)arg = -1;
}

static void spoilt_table(void **state)
{
    struct world *w = *state;
    append(w, 2);
    reopen(w);
    assert_int_equal(rotate_signing(w), ERR_OK);
    close_world(w);
    sh(w, "cp console.db whole.db");
    for (int how = 0; how < 6; how++) {
        int step = how;
        open_world(w);
        settle(w);
        store_write(w->store, spoil, done, &step);
        append(w, 1);
        assert_int_equal(step, -1);
        assert_false(verify(w, NULL));
        if (!has_problem(w, "key"))
            fail_msg("%d: %s", how, json_dumps(w->report, 0));
        close_world(w);
        struct prov_state s;
        open_world(w); /* found at the next start too; without a row but the first one there is no
                          sign of it until the log is read */
        settle(w);
        prov_state(w->prov, &s);
        assert_true(how == 5 || s.signing.code == ERR_TAMPERED);
        assert_false(verify(w, NULL));
        assert_true(has_problem(w, "key"));
        close_world(w);
        sh(w, "rm -f console.db-*; cp whole.db console.db; rm checkpoint checkpoints");
    }
    open_world(w);
    settle(w);
    verifies(w);
}

static void spoilt_files(void **state)
{
    struct world *w = *state;
    append(w, 2);
    reopen(w);
    close_world(w);
    sh(w, "cp -r keys before");
    open_world(w);
    settle(w);
    assert_int_equal(rotate_signing(w), ERR_OK);
    verifies(w);
    sh(w, "cp -r keys after && echo >>keys/trusted");
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "key"));
    sh(w, "cp after/trusted keys && cp before/checkpoint.pub keys");
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "key"));
    sh(w, "cp after/checkpoint.pub keys && cp before/checkpoint.key keys");
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "key"));
    sh(w, "cp after/checkpoint.key keys");
    verifies(w);
    close_world(w);
    sh(w, "cp before/checkpoint.* keys"); /* the rotation undone in the key directory */
    struct prov_state s;
    open_world(w);
    settle(w);
    prov_state(w->prov, &s);
    assert_int_equal(s.signing.code, ERR_TAMPERED);
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "key"));
    close_world(w);
    sh(w, "cp after/* keys");
    open_world(w);
    settle(w);
    verifies(w);
}

/* A key signs its range and nothing else: the old secret, kept by somebody, signs a later head. */
static void outside_its_range(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    append(w, 2);
    reopen(w);
    struct vault_signer *kept = vault_signer_open(w->vault, NULL, NULL, &e);
    assert_non_null(kept);
    assert_int_equal(rotate_signing(w), ERR_OK);
    append(w, 3);
    struct prov_state now;
    struct prov__head head;
    struct prov__vkey key;
    struct buf note = {0};
    uint8_t signature[VAULT_SIGNATURE];
    prov_state(w->prov, &now);
    head.size = now.size;
    assert_int_equal(text_unhex(now.root, head.root, VAULT_HASH), 0);
    assert_true(prov__vkey_read(vault_signer_line(kept), &key));
    prov__note_body(key.name, &head, &note);
    vault_sign(kept, note.data, note.len, signature);
    prov__note_sign(&key, signature, &note);
    assert_false(verify(w, note.data));
    assert_true(has_problem(w, "key"));
    assert_true(json_flag(w->report, "intact", false)); /* it says nothing of the log itself */
    buf_release(&note);
    vault_signer_free(kept);
}

static void statement(void **state)
{
    (void)state;
    uint8_t seed[2][VAULT_KEY] = {{1}, {2}};
    struct prov__vkey old, fresh;
    struct buf note = {0};
    prov__vkey_make("a", seed[0], &old);
    prov__vkey_make("a", seed[1], &fresh);
    prov__handover_body(&old, &fresh, 7, &note);
    assert_int_equal(strncmp(note.data, "mcp-console key rotation v1\na\n7\na+", 34), 0);
    assert_non_null(prov__handover_check(note.data, note.len, &old, &fresh, 7)); /* unsigned */
    uint8_t zeros[VAULT_SIGNATURE] = {0};
    prov__note_sign(&old, zeros, &note);
    prov__note_sign_too(&fresh, zeros, &note);
    assert_string_equal(prov__handover_check(note.data, note.len, &old, &fresh, 7),
                        "the old key did not sign it");
    assert_non_null(prov__handover_check(note.data, note.len, &old, &fresh, 8));
    struct prov__checkpoint c;
    assert_non_null(prov__note_read(note.data, note.len, &c)); /* it is no checkpoint */
    buf_release(&note);
}

/* ---- the master key ---- */

static enum err rotate_master(struct world *w)
{
    struct prov_rotation o = {.seal = VAULT_FILE, .by = "operator"};
    w->pending++;
    prov_rotate_master(w->prov, &o, rotated, w);
    settle(w);
    return w->error.code;
}

static enum err add_projection(struct store_db *db, void *arg, struct error *e)
{
    const struct buf *blob = arg;
    return store_exec(db, e,
                      "INSERT INTO traces VALUES(NULL, hex(randomblob(16)), NULL, 0, 'done', ?,"
                      " (SELECT session FROM entries ORDER BY seq DESC LIMIT 1))",
                      "b", blob->data, blob->len);
}

static void added(void *arg, const struct error *e)
{
    assert_int_equal(e->code, ERR_OK);
    buf_release(arg);
    free(arg);
}

static void project(struct world *w, int n)
{
    json_t *value = json_pack("{s:s}", "text", "projected");
    for (int i = 0; i < n; i++) {
        struct buf *blob = xcalloc(1, sizeof *blob);
        assert_int_equal(prov_seal(w->prov, value, blob), ERR_OK);
        store_write(w->store, add_projection, added, blob);
    }
    json_decref(value);
    append(w, 1);
}

struct opened {
    struct world *w;
    int good, bad;
};

static bool open_projection(void *arg, const struct store_row *row)
{
    struct opened *o = arg;
    size_t len;
    const void *blob = store_blob(row, 0, &len);
    json_t *value = prov_unseal(o->w->prov, store_text(row, 1), blob, len, NULL);
    bool good = value && strcmp(json_str(value, "text", ""), "projected") == 0;
    o->good += good;
    o->bad += !good;
    json_decref(value);
    return true;
}

static int open_projections(struct world *w)
{
    struct opened o = {w, 0, 0};
    store_query(store_reader(w->store), NULL, open_projection, &o,
                "SELECT sealed, session FROM traces ORDER BY rowid", "");
    assert_int_equal(o.bad, 0);
    return o.good;
}

static int64_t under(struct world *w, const char *kek_id)
{
    return store_scalar(store_reader(w->store), -1,
                        "SELECT count(*) FROM data_keys WHERE kek_id = ?", "s", kek_id);
}

static void master_key(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        append(w, 2);
        project(w, 40);
        reopen(w);
    }
    char *old = xstrdup(vault_kek_id(prov_vault(w->prov))), *key = read_file(w, "keys/master.key");
    assert_int_equal(rotate_master(w), ERR_OK);
    const char *now = vault_kek_id(prov_vault(w->prov));
    assert_string_not_equal(old, now);
    assert_string_equal(json_str(w->what, "old", ""), old);
    assert_string_equal(json_str(w->what, "new", ""), now);
    assert_int_equal(json_int(w->what, "data_keys", 0), 4);
    assert_int_equal(json_int(w->what, "projections", 0), 120);
    assert_int_equal(json_int(w->what, "signing_keys", 0), 1);
    assert_int_equal(under(w, old), 0);
    assert_int_equal(under(w, now), 4);
    assert_int_equal(open_projections(w), 120);
    assert_false(there(w, "rotation") || there(w, "master.key.old") || there(w, "master.key.next"));
    verifies(w);
    assert_int_equal(json_int(w->report, "payloads_checked", 0), json_int(w->report, "size", -1));
    assert_int_equal(rotate_master(w), ERR_OK); /* and again in the same run */
    reopen(w);
    project(w, 1);
    assert_int_equal(open_projections(w), 121);
    verifies(w);
    assert_int_equal(rotate_signing(w), ERR_OK); /* the signing key is sealed under the new one */
    reopen(w);
    verifies(w);
    char *after = read_file(w, "keys/master.key");
    assert_memory_not_equal(after, key, VAULT_KEY);
    free(after);
    free(key);
    free(old);
}

static enum err damage(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(db, e,
                      "UPDATE data_keys SET wrap = zeroblob(length(wrap)) WHERE session ="
                      " (SELECT min(session) FROM data_keys)",
                      "");
}

/* M4: a wrap that does not open, found half way; everything else is as it was. */
static void master_key_goes_back(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        append(w, 2);
        project(w, 3);
        reopen(w);
    }
    close_world(w);
    sh(w, "cp console.db whole.db");
    char *key = read_file(w, "keys/master.key");
    open_world(w);
    settle(w);
    char *old = xstrdup(vault_kek_id(prov_vault(w->prov)));
    int step = 0;
    store_write(w->store, damage, done, &step);
    append(w, 1);
    assert_int_equal(rotate_master(w), ERR_TAMPERED);
    assert_string_equal(vault_kek_id(prov_vault(w->prov)), old);
    assert_int_equal(under(w, old), 5);
    assert_int_equal(open_projections(w), 9);
    assert_false(there(w, "rotation") || there(w, "master.key.old") || there(w, "master.key.next"));
    char *after = read_file(w, "keys/master.key");
    assert_memory_equal(after, key, VAULT_KEY);
    append(w, 1);
    reopen(w);
    assert_string_equal(vault_kek_id(prov_vault(w->prov)), old);
    assert_int_equal(under(w, old), 6);
    free(after);
    free(key);
    free(old);
}

struct erasing {
    struct vault *vault;
    const char *session;
    size_t erased;
};

static enum err erase_two(struct store_db *db, void *arg, struct error *e)
{
    struct erasing *x = arg;
    static const int64_t seqs[] = {2, 3};
    enum err code = prov__ring_erase(db, x->vault, x->session, seqs, 2, &x->erased, e);
    return code == ERR_OK ? store_exec(db, e, "DELETE FROM payloads WHERE seq IN (2, 3)", "")
                          : code;
}

static void erasing_done(void *arg, const struct error *e)
{
    (void)arg;
    assert_int_equal(e->code, ERR_OK);
}

/* M2: what is erased while a rotation is under way stays erased, whichever key the row is under. */
static void erased_stays_erased(void **state)
{
    struct world *w = *state;
    append(w, 4);
    struct prov_rotation o = {.seal = VAULT_FILE, .by = "operator"};
    struct erasing x = {prov_vault(w->prov), prov_session(w->prov), 0};
    w->pending++;
    prov_rotate_master(w->prov, &o, rotated, w);
    store_write(w->store, erase_two, erasing_done, &x); /* by the vault of before */
    settle(w);
    assert_int_equal(w->error.code, ERR_OK);
    assert_int_equal(x.erased, 2);
    struct prov__keys keys = {.vault = prov_vault(w->prov)};
    assert_int_equal(prov__keys_load(&keys, store_reader(w->store), x.session), ERR_OK);
    assert_true(vault_ring_has(keys.ring, 1) && vault_ring_has(keys.ring, 4));
    assert_false(vault_ring_has(keys.ring, 2) || vault_ring_has(keys.ring, 3));
    prov__keys_release(&keys);
}

int main(void)
{
    vault_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statement),
        cmocka_unit_test_setup_teardown(signing_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(signing_key_interrupted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spoilt_table, set_up, tear_down),
        cmocka_unit_test_setup_teardown(spoilt_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(outside_its_range, set_up, tear_down),
        cmocka_unit_test_setup_teardown(master_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(master_key_goes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(erased_stays_erased, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
