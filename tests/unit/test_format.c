/* The two versions of the format: a log that an older console wrote (tests/unit/data/v1) is read,
 * verified and continued; what version 2 adds: keys of single payloads, disclosed and erased. */
#include "backend/base/text.h"
#include "backend/provenance/internal.h"
#include "tests/unit/console_harness.h"
#include <fcntl.h>

enum { OLD_ENTRIES = 22, OLD_QUESTION = 3, OLD_ANSWER = 13 };

/* ---- a log of version 1 ---- */

static void copy_file(const char *name, const char *dir, const char *sub)
{
    char *from = xasprintf("tests/unit/data/v1/%s", name);
    char *to = xasprintf("%s/%s%s", dir, sub, name), bytes[4096];
    FILE *in = fopen(from, "re");
    assert_non_null(in);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(out >= 0);
    size_t n;
    while ((n = fread(bytes, 1, sizeof bytes, in)) > 0)
        assert_int_equal(write(out, bytes, n), n);
    close(out);
    fclose(in);
    free(from);
    free(to);
}

static char *old_state(void)
{
    char *dir = new_dir(), *keys = xasprintf("%s/keys", dir);
    assert_int_equal(mkdir(keys, 0700), 0);
    free(keys);
    copy_file("console.db", dir, "");
    copy_file("checkpoint", dir, "");
    copy_file("checkpoints", dir, "");
    copy_file("master.key", dir, "keys/");
    copy_file("checkpoint.key", dir, "keys/");
    copy_file("checkpoint.pub", dir, "keys/");
    return dir;
}

/* A run that is under way may answer, and may be of less than the whole log: then once more. */
static void assert_verifies(struct console *c)
{
    int64_t checked = 0;
    for (int i = 0; i < 50 && checked <= OLD_ENTRIES; i++) {
        json_t *report = call(c, WIRE_evidence_verify, "{\"wait\": true, \"from\": 0}");
        if (!json_flag(report, "ok", false))
            fail_msg("%s", json_write(report));
        checked = json_int(report, "checked", 0);
        assert_int_equal(json_int(report, "payloads_checked", 0), checked);
        json_decref(report);
    }
    assert_true(checked > OLD_ENTRIES);
}

static void test_old_log(void **state)
{
    (void)state;
    char *dir = old_state();
    struct console c = console_start(dir, NULL, "operator");
    json_t *entry = call(&c, WIRE_evidence_get, "{\"seq\": 3, \"payload\": true}");
    assert_non_null(strstr(json_str(entry, "entry", ""), "\"v\":1}"));
    assert_string_equal(json_str(json_object_get(entry, "payload"), "text", ""),
                        "is the disk filling up?");
    json_decref(entry);
    entry = call(&c, WIRE_evidence_get, "{\"seq\": 13}");
    const json_t *edge = json_array_get(json_object_get(entry, "edges"), 0);
    assert_int_equal(json_array_size(json_object_get(entry, "parents")), 1);
    assert_true(json_is_null(json_object_get(edge, "transform")));
    assert_true(json_is_null(json_object_get(edge, "confidence")));
    json_decref(entry);
    json_t *turns = call(&c, WIRE_chat_history, NULL); /* its projection is sealed the old way */
    const json_t *turn = json_array_get(json_object_get(turns, "turns"), 0);
    assert_string_equal(json_str(turn, "question", ""), "is the disk filling up?");
    json_decref(turns);
    assert_verifies(&c);
    json_decref(ask(&c, "which process eats memory?"));
    assert_verifies(&c);
    json_t *graph = call(&c, WIRE_evidence_lineage, "{\"id\": 13}");
    assert_true(json_flag(json_object_get(graph, "audit"), "ok", false));
    assert_true(json_array_size(json_object_get(graph, "nodes")) > 6);
    json_decref(graph);
    json_t *report = call(&c, WIRE_evidence_lineage, "{\"audit\": true}");
    assert_true(json_flag(report, "ok", false));
    assert_int_equal(json_int(report, "version_1", -1), OLD_ENTRIES);
    assert_int_equal(json_int(report, "answers", -1), 1);
    assert_non_null(strstr(json_str(report, "proved", ""), "22 entries are of version 1"));
    json_decref(report);
    console_stop(&c, true);
    c = console_start(dir, NULL, "operator");
    assert_verifies(&c);
    console_stop(&c, false);
}

/* ---- version 2: keys of single payloads ---- */

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    int pending;
    int64_t seqs[3];
    size_t count, erased;
    struct error error;
};

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    (void)seq;
    assert_int_equal(e->code, ERR_OK);
    if (--w->pending == 0)
        loop_quit(w->loop);
}

static int set_up(void **state)
{
    struct error e = {0};
    struct world *w = xcalloc(1, sizeof *w);
    w->dir = new_dir();
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = vault_open(w->dir, true, &e);
    w->prov = prov_open(w->loop, w->store, w->vault, &e);
    assert_non_null(w->prov);
    for (int i = 0; i < 8; i++) { /* entries 1 to 8 */
        json_t *payload = json_pack("{s:i}", "n", i);
        struct prov_entry entry = {.type = "config", .actor = "operator", .payload = payload};
        w->pending++;
        prov_append(w->prov, &entry, acked, w, NULL, NULL);
        json_decref(payload);
    }
    loop_run(w->loop);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    prov_close(w->prov);
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
    nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w->dir);
    free(w);
    return 0;
}

struct sealed {
    struct world *world;
    struct prov__keys keys;
    struct buf ad, plain;
    uint8_t commit_key[VAULT_KEY], hmac[VAULT_HASH];
    enum err code;
};

static bool disclose(void *arg, const struct store_row *row)
{
    struct sealed *s = arg;
    struct prov__header h;
    struct prov__text entry;
    struct error e = {0};
    const char *problem;
    size_t len;
    entry.at = store_blob(row, 0, &entry.len);
    const void *bytes = store_blob(row, 1, &len);
    assert_null(prov__entry_read(entry.at, entry.len, &h));
    memcpy(s->hmac, h.hmac, VAULT_HASH);
    s->code = prov__payload_disclose(&s->keys, store_reader(s->world->store), &h, entry, bytes, len,
                                     &s->ad, &s->plain, s->commit_key, &problem, &e);
    return false;
}

static void disclose_one(struct sealed *s, int64_t seq)
{
    store_query(store_reader(s->world->store), NULL, disclose, s,
                "SELECT e.entry, p.sealed FROM entries e JOIN payloads p ON p.seq = e.seq"
                " WHERE e.seq = ?",
                "i", seq);
}

/* What a bundle gives away: with it openssl comes to the same commitment. */
static void test_disclosed(void **state)
{
    struct world *w = *state;
    struct sealed s = {.world = w, .keys = {.vault = w->vault}};
    uint8_t first[VAULT_KEY], hmac[VAULT_HASH];
    char want[2 * VAULT_HASH + 1], hex[2 * VAULT_KEY + 1], got[256] = "";
    disclose_one(&s, 3);
    assert_int_equal(s.code, ERR_OK);
    memcpy(first, s.commit_key, sizeof first);
    memcpy(hmac, s.hmac, sizeof hmac);
    assert_string_equal(s.plain.data, "{\"n\":2}");
    disclose_one(&s, 4);
    assert_memory_not_equal(first, s.commit_key, sizeof first);
    text_hex(first, sizeof first, hex);
    text_hex(hmac, sizeof hmac, want);
    char *command =
        xasprintf("printf '{\"n\":2}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:%s", hex);
    FILE *out = popen(command, "re");
    assert_non_null(out);
    bool told = fgets(got, sizeof got, out) != NULL;
    if (pclose(out) == 0) /* else openssl is not installed */
        assert_true(told && strstr(got, want));
    free(command);
    buf_release(&s.ad);
    buf_release(&s.plain);
    prov__keys_release(&s.keys);
}

static enum err erase(struct store_db *db, void *arg, struct error *e)
{
    struct world *w = arg;
    return prov__ring_erase(db, w->vault, prov_session(w->prov), w->seqs, w->count, &w->erased, e);
}

static void erased(void *arg, const struct error *e)
{
    struct world *w = arg;
    w->error = *e;
    loop_quit(w->loop);
}

static void test_erased(void **state)
{
    struct world *w = *state;
    struct sealed s = {.world = w, .keys = {.vault = w->vault}};
    struct error e = {0};
    w->seqs[0] = 2;
    w->seqs[1] = 3;
    w->seqs[2] = 7;
    w->count = 3;
    store_write(w->store, erase, erased, w);
    loop_run(w->loop);
    assert_int_equal(w->error.code, ERR_OK);
    assert_int_equal(w->erased, 3);
    prov__ring_erased(w->prov, prov_session(w->prov), w->seqs, w->count);
    for (int64_t seq = 1; seq <= 8; seq++) {
        bool gone = seq == 2 || seq == 3 || seq == 7;
        json_t *payload = prov_payload(w->prov, seq, &e); /* the console's own keys */
        assert_int_equal(payload == NULL, gone);
        json_decref(payload);
        disclose_one(&s, seq); /* the stored ones */
        assert_int_equal(s.code, gone ? ERR_TAMPERED : ERR_OK);
    }
    store_write(w->store, erase, erased, w); /* once more: nothing is left to erase */
    loop_run(w->loop);
    assert_int_equal(w->erased, 0);
    /* The session goes on under the ring that was punctured. */
    json_t *payload = json_pack("{s:i}", "n", 9);
    struct prov_entry entry = {.type = "config", .actor = "operator", .payload = payload};
    w->pending++;
    int64_t seq = prov_append(w->prov, &entry, acked, w, NULL, NULL);
    loop_run(w->loop);
    json_decref(payload);
    payload = prov_payload(w->prov, seq, &e);
    assert_int_equal(json_int(payload, "n", 0), 9);
    json_decref(payload);
    buf_release(&s.ad);
    buf_release(&s.plain);
    prov__keys_release(&s.keys);
}

static enum err erase_stranger(struct store_db *db, void *arg, struct error *e)
{
    struct world *w = arg;
    return prov__ring_erase(db, w->vault, "0123456789abcdef0123456789abcdef", w->seqs, 1,
                            &w->erased, e);
}

static void test_erase_nothing(void **state)
{
    struct world *w = *state;
    store_write(w->store, erase_stranger, erased, w);
    loop_run(w->loop);
    assert_int_equal(w->error.code, ERR_NO_KEY);
}

/* A projection moves from one master key to another; its session's keys have no part in it. */
static void test_rewrap(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    struct buf blob = {0};
    bool changed = false;
    const char *session = prov_session(w->prov);
    json_t *value = json_pack("{s:s}", "question", "кто я?");
    assert_int_equal(prov_seal(w->prov, value, &blob), ERR_OK);
    char *before = xstrndup(blob.data, 24);
    char *dir = new_dir(); /* a stranger's key */
    struct vault *other = vault_open(dir, true, &e);
    assert_int_equal(prov__projection_rewrap(other, session, blob.data, blob.len, &changed, &e),
                     ERR_NO_KEY);
    assert_false(changed);
    struct vault *next = vault_stage(w->vault, VAULT_FILE, NULL, &e);
    assert_non_null(next);
    for (int i = 0; i < 2; i++) { /* the second time there is nothing to do */
        assert_int_equal(prov__projection_rewrap(next, session, blob.data, blob.len, &changed, &e),
                         ERR_OK);
        assert_int_equal(changed, i == 0);
        assert_memory_not_equal(before, blob.data, 24); /* it names the new key */
    }
    json_t *back = prov_unseal(w->prov, session, blob.data, blob.len, &e);
    assert_true(json_equal(value, back));
    json_decref(back);
    assert_int_equal(prov__projection_rewrap(w->vault, session, blob.data, blob.len, &changed, &e),
                     ERR_OK);
    assert_memory_equal(before, blob.data, 24);
    assert_int_equal(vault_unstage(w->vault, &e), ERR_OK);
    json_decref(value);
    buf_release(&blob);
    free(before);
    vault_close(other);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_log),
        cmocka_unit_test_setup_teardown(test_disclosed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_erased, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_erase_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rewrap, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
