/* Checkpoints: P5 of provenance.h, H1..H4 of checkpoint.c, F1 and F2 of files.c, and what
 * verification makes of them. */
#include "backend/base/clock.h"
#include "backend/provenance/checkpoint.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LOOKS = 30000 };

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    struct prov_signing signing;
    json_t *report, *checkpoint;
    struct error error;
    int pending, looks;
};

static void open_world(struct world *w)
{
    struct error e = {0};
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = w->store ? vault_open(w->dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    if (!w->prov)
        fail_msg("%s: %s", err_name(e.code), e.detail);
    prov_sign(w->prov, &w->signing);
}

static void look(void *arg)
{
    struct world *w = arg;
    if (!prov_pending(w->prov) || w->looks++ == LOOKS)
        loop_quit(w->loop);
}

/* Runs until everything submitted is durable and written, or for half a minute. */
static void settle(struct world *w)
{
    w->looks = 0;
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
    w->dir = xasprintf("%s/mcpc-checkpoint-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->signing = (struct prov_signing){.origin = "", .environment = "test + 1"};
    open_world(w);
    settle(w);
    *state = w;
    return 0;
}

static void sh(const char *format, const char *a, const char *b)
{
    char *command = xasprintf("cd '%s' && %s %s", a, format, b);
    assert_int_equal(system(command), 0);
    free(command);
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

static void append(struct world *w, int n)
{
    json_t *payload = json_pack("{s:s}", "text", "x");
    struct prov_entry entry = {.type = "question", .actor = "operator", .payload = payload};
    for (int i = 0; i < n; i++)
        prov_append(w->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
    settle(w);
}

static void got(void *arg, json_t *checkpoint, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->checkpoint);
    w->checkpoint = checkpoint ? json_incref(checkpoint) : NULL;
    w->error = *e;
    w->pending--;
}

static enum err sign(struct world *w)
{
    w->pending++;
    prov_checkpoint(w->prov, got, w);
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

static int64_t number(struct world *w, const char *key)
{
    return json_int(json_object_get(w->report, "checkpoints"), key, -1);
}

static char *read_file(struct world *w, const char *name, size_t *len)
{
    char *path = xasprintf("%s/%s", w->dir, name), *bytes = xcalloc(1, 1 << 20);
    FILE *f = fopen(path, "re");
    *len = f ? fread(bytes, 1, (1 << 20) - 1, f) : 0;
    if (f)
        fclose(f);
    free(path);
    return bytes;
}

static void write_file(struct world *w, const char *name, const char *bytes, size_t len)
{
    char *path = xasprintf("%s/%s", w->dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
    free(path);
}

static int64_t scalar(struct world *w, const char *what)
{
    struct store_db *db = store_reader(w->store);
    if (strcmp(what, "rows") == 0)
        return store_scalar(db, -1, "SELECT count(*) FROM checkpoints", "");
    if (strcmp(what, "logged") == 0)
        return store_scalar(db, -1, "SELECT count(*) FROM entries WHERE type = 'checkpoint'", "");
    return store_scalar(db, -1, "SELECT count(*) FROM checkpoints WHERE entry IS NULL", "");
}

static void on_demand(void **state)
{
    struct world *w = *state;
    struct prov__checkpoint c;
    struct prov__vkey key;
    struct prov_state s;
    size_t len;
    append(w, 3);
    assert_int_equal(sign(w), ERR_OK);
    assert_int_equal(json_int(w->checkpoint, "size", -1), 4);
    assert_int_equal(json_int(w->checkpoint, "entry", -1), 4);
    const char *note = json_str(w->checkpoint, "note", "");
    assert_null(prov__note_read(note, strlen(note), &c));
    assert_true(prov__vkey_read(json_str(w->checkpoint, "key", ""), &key));
    assert_int_equal(prov__note_check(&c, &key), PROV__SIGNED);
    assert_memory_equal(key.name, "mcp-console/test---1/", 21);
    assert_int_equal(c.head.size, 4);
    char *file = read_file(w, "checkpoint", &len);
    assert_string_equal(file, note);
    free(file);
    file = read_file(w, "keys/checkpoint.pub", &len);
    assert_int_equal(len, strlen(json_str(w->checkpoint, "key", "")) + 1);
    assert_memory_equal(file, json_str(w->checkpoint, "key", ""), len - 1);
    free(file);
    json_t *payload = prov_payload(w->prov, 4, NULL);
    assert_string_equal(json_str(payload, "note", ""), note);
    json_decref(payload);
    prov_state(w->prov, &s);
    assert_int_equal(s.signed_size, 4);
    assert_int_equal(s.signing.code, ERR_OK);
    assert_true(verify(w, NULL));
    assert_int_equal(number(w, "stored"), 1);
    assert_int_equal(number(w, "written"), 1);
    assert_int_equal(number(w, "newest"), 4);
    assert_non_null(
        strstr(json_str(w->report, "proved", ""), "the newest covers it up to entry 3"));
}

/* H3: who asks while one is made gets the next one, and it covers more. */
static void several_at_once(void **state)
{
    struct world *w = *state;
    append(w, 1);
    for (int i = 0; i < 5; i++) {
        w->pending++;
        prov_checkpoint(w->prov, got, w);
    }
    settle(w);
    assert_int_equal(w->pending, 0);
    assert_int_equal(w->error.code, ERR_OK);
    assert_int_equal(scalar(w, "rows"), 2);
    assert_int_equal(json_int(w->checkpoint, "size", -1), 3); /* with the first one's entry */
    assert_true(verify(w, NULL));
}

/* H4: the session's last checkpoint covers its seal, and the next session logs it. */
static void session_end(void **state)
{
    struct world *w = *state;
    struct prov__checkpoint c;
    size_t len;
    append(w, 2);
    close_world(w, false);
    char *file = read_file(w, "checkpoint", &len);
    assert_null(prov__note_read(file, len, &c));
    assert_int_equal(c.head.size, 4); /* start, two, seal */
    free(file);
    open_world(w);
    settle(w);
    assert_int_equal(scalar(w, "rows"), 1);
    assert_int_equal(scalar(w, "logged"), 1);
    assert_int_equal(scalar(w, "unlogged"), 0);
    assert_true(verify(w, NULL));
    reopen(w);
    assert_int_equal(scalar(w, "rows"), 2);
    assert_true(verify(w, NULL));
}

/* Asked for before anything of this session is durable: it covers more than the one before. */
static void at_once(void **state)
{
    struct world *w = *state;
    close_world(w, false);
    for (int i = 0; i < 3; i++) {
        open_world(w);
        w->pending++;
        prov_checkpoint(w->prov, got, w);
        settle(w);
        assert_int_equal(w->pending, 0);
        assert_int_equal(w->error.code, ERR_OK);
        assert_true(verify(w, NULL));
        close_world(w, false);
    }
    open_world(w);
    settle(w);
    assert_int_equal(scalar(w, "rows"), 7);
}

static void by_number(void **state)
{
    struct world *w = *state;
    w->signing.entries = 10;
    reopen(w); /* start, seal, start, checkpoint */
    int64_t before = scalar(w, "rows");
    append(w, 45); /* and the two before: 46 that are no checkpoints */
    int64_t made = scalar(w, "rows") - before;
    assert_in_range(made, 1, 4); /* those that came while one was made wait for the next */
    for (int i = 0; i < 20; i++)
        append(w, 1);
    assert_int_equal(scalar(w, "rows") - before - made, 2);
    assert_true(verify(w, NULL));
}

static void wait_for(struct world *w, uint64_t ms)
{
    struct loop_timer *t = loop_timer_new(w->loop, (loop_fn *)loop_quit, w->loop);
    loop_timer_start(t, ms, 0);
    loop_run(w->loop);
    loop_timer_free(t);
}

/* One a second while there is something new; a checkpoint alone is nothing new. */
static void by_time(void **state)
{
    struct world *w = *state;
    w->signing.seconds = 1;
    reopen(w);
    int64_t before = scalar(w, "rows");
    wait_for(w, 1300);
    settle(w);
    assert_int_equal(scalar(w, "rows"), before + 1);
    wait_for(w, 2200);
    settle(w);
    assert_int_equal(scalar(w, "rows"), before + 1);
    append(w, 1);
    wait_for(w, 1300);
    settle(w);
    assert_int_equal(scalar(w, "rows"), before + 2);
}

/* An older copy of the database beside a newer file is found when it is opened, and nothing more is
 * signed; a copy of the file elsewhere finds it too when the one beside the database is gone. */
static void rolled_back(void **state)
{
    struct world *w = *state;
    struct prov_state s;
    size_t len;
    append(w, 2);
    close_world(w, false);
    sh("cp", w->dir, "console.db old.db");
    open_world(w);
    append(w, 30);
    assert_int_equal(sign(w), ERR_OK);
    close_world(w, false);
    char *kept = read_file(w, "checkpoints", &len);
    sh("rm -f", w->dir, "console.db-wal console.db-shm && mv old.db console.db");
    open_world(w);
    settle(w);
    prov_state(w->prov, &s);
    assert_int_equal(s.state, PROV_BROKEN);
    assert_int_equal(s.epoch, 2);
    assert_int_equal(s.signing.code, ERR_OK);
    assert_int_equal(sign(w), ERR_OK); /* the new epoch is signed, under a name of its own */
    assert_non_null(strstr(json_str(w->checkpoint, "note", ""), "#2\n"));
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "rollback"));
    close_world(w, false);
    sh("rm -f", w->dir, "checkpoint checkpoints");
    open_world(w);
    settle(w);
    assert_false(verify(w, NULL)); /* the log itself knows of it now */
    assert_true(has_problem(w, "missing"));
    assert_false(verify(w, kept));
    assert_true(has_problem(w, "rollback"));
    append(w, 60); /* it does not become long enough: no number is used twice */
    assert_false(verify(w, kept));
    assert_true(has_problem(w, "rollback"));
    free(kept);
}

/* A checkpoint from elsewhere that the log leads to adds to what is proved. */
static void given_adds(void **state)
{
    struct world *w = *state;
    append(w, 5);
    assert_int_equal(sign(w), ERR_OK);
    char *kept = xstrdup(json_str(w->checkpoint, "note", ""));
    append(w, 5);
    assert_true(verify(w, kept));
    assert_int_equal(number(w, "given"), 1);
    assert_non_null(strstr(json_str(w->report, "proved", ""), "its first 6 entries are those"));
    assert_non_null(strstr(json_str(w->report, "proved", ""), "behind those 6 entries"));
    /* What is not ours proves nothing, and says nothing against the log. */
    struct prov_state s;
    kept[0] ^= 1;
    assert_false(verify(w, kept));
    assert_true(has_problem(w, "given"));
    prov_state(w->prov, &s);
    assert_int_equal(s.state, PROV_INTACT);
    assert_false(verify(w, "nothing of the kind"));
    assert_true(has_problem(w, "given"));
    assert_false(verify(w, "\n"));
    assert_true(has_problem(w, "given"));
    assert_true(verify(w, NULL));
    free(kept);
}

/* A log written anew under a new key passes by itself, and not against what was kept. */
static void written_anew(void **state)
{
    struct world *w = *state;
    append(w, 5);
    assert_int_equal(sign(w), ERR_OK);
    char *kept = xstrdup(json_str(w->checkpoint, "note", ""));
    close_world(w, false);
    sh("rm -rf", w->dir, "console.db* checkpoint* keys");
    open_world(w);
    append(w, 20);
    assert_int_equal(sign(w), ERR_OK);
    assert_true(verify(w, NULL));
    assert_false(verify(w, kept));
    assert_true(has_problem(w, "given"));
    free(kept);
}

/* F1: wherever a crash cut the file, the next start makes it whole. */
static void torn_file(void **state)
{
    struct world *w = *state;
    size_t len, now;
    w->signing.entries = 0;
    for (int i = 0; i < 3; i++) {
        append(w, 1);
        assert_int_equal(sign(w), ERR_OK);
    }
    char *whole = read_file(w, "checkpoints", &len);
    for (size_t cut = 0; cut < len; cut += 7) {
        close_world(w, true);
        write_file(w, "checkpoints", whole, cut);
        open_world(w);
        settle(w);
        char *again = read_file(w, "checkpoints", &now);
        assert_true(now >= len);
        assert_memory_equal(again, whole, len);
        free(again);
    }
    assert_true(verify(w, NULL));
    free(whole);
}

/* No byte of the files can be another one, and none may be missing in the middle. */
static void changed_files(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        append(w, 1);
        assert_int_equal(sign(w), ERR_OK);
    }
    static const char *const names[] = {"checkpoints", "checkpoint"};
    for (int k = 0; k < 2; k++) {
        size_t len;
        char *bytes = read_file(w, names[k], &len);
        for (size_t at = 0; at < len; at++) {
            bytes[at] ^= 1;
            write_file(w, names[k], bytes, len);
            if (verify(w, NULL))
                fail_msg("byte %zu of %s", at, names[k]);
            bytes[at] ^= 1;
        }
        write_file(w, names[k], bytes, len);
        free(bytes);
        assert_true(verify(w, NULL));
    }
}

/* Read in pieces; the record that is being written right now is not counted against the log. */
static void long_file(void **state)
{
    struct world *w = *state;
    size_t len;
    append(w, 1);
    assert_int_equal(sign(w), ERR_OK);
    char *one = read_file(w, "checkpoints", &len);
    struct buf many = {0};
    while (many.len < 700000)
        buf_add(&many, one, len);
    size_t whole = many.len;
    for (size_t cut = 0; cut < len; cut += 31) {
        many.len = whole;
        buf_add(&many, one, cut);
        write_file(w, "checkpoints", many.data, many.len);
        assert_true(verify(w, NULL));
        assert_int_equal(number(w, "written"), (int64_t)(whole / len) + (cut == len - 1));
    }
    many.data[whole / 2] ^= 1;
    write_file(w, "checkpoints", many.data, many.len);
    assert_false(verify(w, NULL));
    many.data[whole / 2] ^= 1;
    many.data[many.len - 1] ^= 1;
    write_file(w, "checkpoints", many.data, many.len);
    assert_false(verify(w, NULL));
    buf_release(&many);
    free(one);
}

static void lost_and_swapped_keys(void **state)
{
    struct world *w = *state;
    struct prov_state s;
    append(w, 1);
    close_world(w, false);
    sh("mkdir", w->dir, "kept && cp keys/checkpoint.* kept && rm keys/checkpoint.key");
    open_world(w); /* a lost key is not replaced unnoticed */
    settle(w);
    prov_state(w->prov, &s);
    assert_int_equal(s.signing.code, ERR_NO_KEY);
    assert_int_equal(sign(w), ERR_NO_KEY);
    close_world(w, false);
    /* another key, under the same master key: what was signed is not signed by it */
    sh("umask 077; mkdir", w->dir,
       "-p other/keys && cp keys/master.key other/keys && rm keys/checkpoint.pub");
    char *dir = w->dir;
    w->dir = xasprintf("%s/other", dir);
    open_world(w);
    close_world(w, false);
    free(w->dir);
    w->dir = dir;
    sh("cp", w->dir, "other/keys/checkpoint.* keys");
    open_world(w);
    settle(w);
    prov_state(w->prov, &s);
    assert_int_equal(s.signing.code, ERR_TAMPERED);
    assert_int_equal(s.state, PROV_BROKEN);
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "key"));
    close_world(w, false);
    sh("cp", w->dir, "kept/checkpoint.* keys");
    open_world(w);
    settle(w);
    assert_true(verify(w, NULL));
    assert_int_equal(sign(w), ERR_OK);
}

/* The table is what the log says it is. */
static enum err spoil(struct store_db *db, void *arg, struct error *e)
{
    if (*(int *)arg == 0)
        return store_exec(db, e, "DELETE FROM checkpoints WHERE size = 2", "");
    if (*(int *)arg == 1)
        return store_exec(db, e, "UPDATE checkpoints SET entry = 0", "");
    return store_exec(db, e, "UPDATE checkpoints SET note = replace(note, '1', '2')", "");
}

static void changed_table(void **state)
{
    struct world *w = *state;
    append(w, 1);
    assert_int_equal(sign(w), ERR_OK);
    assert_true(verify(w, NULL));
    for (int i = 2; i >= 0; i--) {
        store_write(w->store, spoil, NULL, &i);
        append(w, 1);
        assert_false(verify(w, NULL));
        assert_true(has_problem(w, "checkpoint"));
    }
    assert_int_equal(sign(w), ERR_OK); /* in a new epoch */
    assert_true(json_int(w->checkpoint, "epoch", 1) > 1);
}

static enum err forget_newest(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    return store_exec(
        db, e, "DELETE FROM checkpoints WHERE size = (SELECT max(size) FROM checkpoints)", "");
}

/* A checkpoint that is gone from the table is missed: by its entry, and by the files. */
static void forgotten(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++) {
        append(w, 1);
        assert_int_equal(sign(w), ERR_OK);
    }
    reopen(w); /* the last one, at the session's end, has its entry in the new session */
    assert_true(verify(w, NULL));
    store_write(w->store, forget_newest, NULL, NULL);
    append(w, 1); /* writes are applied in order */
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "checkpoint"));
    sh("rm", w->dir, "checkpoint checkpoints");
    assert_false(verify(w, NULL));
    assert_true(has_problem(w, "checkpoint"));
}

/* A file that cannot be written is told, and made up for by the next one. */
static void unwritable_file(void **state)
{
    struct world *w = *state;
    struct prov__checkpoint c;
    size_t len;
    append(w, 1);
    assert_int_equal(sign(w), ERR_OK);
    sh("mv checkpoints kept; mkdir", w->dir, "checkpoints");
    assert_int_not_equal(sign(w), ERR_OK);
    assert_int_equal(scalar(w, "rows"), 2);
    sh("rmdir checkpoints; mv", w->dir, "kept checkpoints");
    assert_int_equal(sign(w), ERR_OK);
    assert_true(verify(w, NULL));
    assert_int_equal(number(w, "written"), 3);
    char *file = read_file(w, "checkpoint", &len);
    assert_null(prov__note_read(file, len, &c));
    assert_int_equal(c.head.size, json_int(w->checkpoint, "size", -1));
    free(file);
}

static void origins(void **state)
{
    struct world *w = *state;
    struct prov_state s;
    w->signing.origin = "example.com/other";
    reopen(w);
    prov_state(w->prov, &s); /* the name stays with its key */
    assert_int_equal(s.signing.code, ERR_CONFIG);
    close_world(w, false);
    sh("rm -rf", w->dir, "console.db* checkpoint* keys");
    w->signing.origin = "with space";
    open_world(w);
    prov_state(w->prov, &s);
    assert_int_equal(s.signing.code, ERR_CONFIG);
    close_world(w, false);
    w->signing.origin = "example.com/mine";
    open_world(w);
    settle(w);
    assert_int_equal(sign(w), ERR_OK);
    assert_memory_equal(json_str(w->checkpoint, "note", ""), "example.com/mine\n", 17);
}

/* Closing and freeing while one is made: everybody is answered, nothing is lost. */
static void stopping(void **state)
{
    struct world *w = *state;
    append(w, 1);
    for (int round = 0; round < 3; round++) {
        w->pending = 2;
        prov_checkpoint(w->prov, got, w);
        prov_checkpoint(w->prov, got, w);
        if (round == 1)
            prov_close(w->prov);
        close_world(w, true);
        assert_int_equal(w->pending, 0);
        open_world(w);
        settle(w);
    }
    prov_close(w->prov);
    w->pending = 1;
    prov_checkpoint(w->prov, got, w);
    assert_int_equal(w->pending, 0);
    assert_int_equal(w->error.code, ERR_CLOSED);
    close_world(w, false);
    open_world(w);
    settle(w);
    assert_true(verify(w, NULL));
}

static void decode(const json_t *text, uint8_t out[VAULT_HASH])
{
    const char *s = json_string_value(text);
    assert_int_equal(vault_unbase64(s, strlen(s), out, VAULT_HASH), VAULT_HASH);
}

static size_t hashes(const json_t *answer, uint8_t hash[PROV__LEVELS][VAULT_HASH],
                     struct prov__span out[PROV__LEVELS])
{
    const json_t *list = json_object_get(answer, "hashes");
    for (size_t i = 0; i < json_array_size(list); i++) {
        decode(json_array_get(list, i), hash[i]);
        out[i] = (struct prov__span){hash[i], VAULT_HASH};
    }
    return json_array_size(list);
}

static void proofs(void **state)
{
    struct world *w = *state;
    struct prov__checkpoint c;
    struct error e = {0};
    uint8_t hash[PROV__LEVELS][VAULT_HASH], a[VAULT_HASH], b[VAULT_HASH];
    struct prov__span list[PROV__LEVELS];
    append(w, 40);
    json_t *answer = prov_proof(w->prov, 3, &e);
    assert_true(json_is_null(json_object_get(answer, "checkpoint")));
    json_decref(answer);
    assert_int_equal(sign(w), ERR_OK);
    const char *note = json_str(w->checkpoint, "note", "");
    assert_null(prov__note_read(note, strlen(note), &c));
    append(w, 7);
    for (int64_t seq = 0; seq < c.head.size; seq++) {
        answer = prov_proof(w->prov, seq, &e);
        assert_non_null(answer);
        decode(json_object_get(answer, "leaf"), a);
        size_t count = hashes(answer, hash, list);
        assert_true(prov__inclusion_ok(seq, c.head.size, (struct prov__span){a, VAULT_HASH}, list,
                                       count, (struct prov__span){c.head.root, VAULT_HASH}));
        char *start = xasprintf("c2sp.org/tlog-proof@v1\nindex %lld\n", (long long)seq);
        const char *text = json_str(answer, "text", "");
        assert_memory_equal(text, start, strlen(start));
        assert_string_equal(strstr(text, "\n\n") + 2, note);
        free(start);
        json_decref(answer);
    }
    for (int64_t from = 1; from <= c.head.size; from++) {
        answer = prov_consistency(w->prov, 0, from, -1, &e);
        assert_non_null(answer);
        decode(json_object_get(answer, "from_root"), a);
        decode(json_object_get(answer, "to_root"), b);
        if (from == c.head.size)
            assert_memory_equal(a, c.head.root, VAULT_HASH);
        size_t count = hashes(answer, hash, list);
        assert_true(prov__consistency_ok(from, json_int(answer, "to", 0),
                                         (struct prov__span){a, VAULT_HASH},
                                         (struct prov__span){b, VAULT_HASH}, list, count));
        json_decref(answer);
    }
    assert_null(prov_proof(w->prov, 4711, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(prov_consistency(w->prov, 0, 1, 4711, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(prov_consistency(w->prov, 0, 9, 8, &e));
    assert_int_equal(e.code, ERR_INVALID);
}

static void ask(void *arg)
{
    struct world *w = arg;
    prov_checkpoint(w->prov, got, w);
}

/* H3: the session's first entry is on its way, nothing before it is left to sign, and it fails. */
static void entry_fails(void **state)
{
    struct world *w = *state;
    struct rlimit usual, small;
    close_world(w, true);
    sh("find . -type f -delete", w->dir, "");
    open_world(w);
    getrlimit(RLIMIT_FSIZE, &usual);
    small = (struct rlimit){.rlim_cur = 4096, .rlim_max = usual.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    w->pending = 1;
    loop_post(w->loop, ask, w); /* behind what begins the session */
    settle(w);
    setrlimit(RLIMIT_FSIZE, &usual);
    assert_int_equal(w->pending, 0);
    assert_true(w->error.code == ERR_NO_SPACE || w->error.code == ERR_IO);
    append(w, 1);
    assert_int_equal(sign(w), ERR_OK);
    assert_int_equal(json_int(w->checkpoint, "size", -1), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(on_demand),
        TEST(several_at_once),
        TEST(session_end),
        TEST(at_once),
        TEST(by_number),
        TEST(by_time),
        TEST(rolled_back),
        TEST(given_adds),
        TEST(written_anew),
        TEST(torn_file),
        TEST(changed_files),
        TEST(long_file),
        TEST(lost_and_swapped_keys),
        TEST(changed_table),
        TEST(forgotten),
        TEST(unwritable_file),
        TEST(origins),
        TEST(stopping),
        TEST(proofs),
        TEST(entry_fails),
    };
    vault_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
