/* Bundles: U1 and U2 of bundle.h, the archive and its parts, and that no byte of one can be changed
 * unnoticed. */
#include "backend/provenance/bundle_parts.h"
#include "backend/provenance/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    struct prov_bundle *bundle;
    struct error error;
    json_t *facts;
    int pending;
};

static void open_world(struct world *w)
{
    struct error e = {0};
    struct prov_signing signing = {"", "test", 0, 0};
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
    if (!prov_pending(w->prov) && !w->pending)
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
    settle(w);
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    const char *tmp = getenv("TMPDIR");
    w->dir = xasprintf("%s/mcpc-bundle-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->facts = json_pack("{s:{s:{s:s}}, s:[{s:s, s:s, s:s, s:s}]}", "settings", "arbitration",
                         "critique", "<b>yes</b>", "controls", "id", "chain", "title", "a chain",
                         "status", "not assessed", "reason", "\"quoted\" & <i>");
    open_world(w);
    settle(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close_world(w);
    char *command = xasprintf("rm -rf '%s'", w->dir);
    int rc = system(command);
    json_decref(w->facts);
    prov_bundle_free(w->bundle);
    free(command);
    free(w->dir);
    free(w);
    return rc;
}

static void append(struct world *w, const char *type, const char *trace, const char *text,
                   int64_t parent)
{
    json_t *payload = json_pack("{s:s}", "text", text);
    struct prov_edge edge = {parent, "retrieve", 820};
    struct prov_entry entry = {.type = type,
                               .actor = "operator",
                               .trace_id = trace,
                               .parents = &edge,
                               .parent_count = parent >= 0,
                               .payload = payload};
    prov_append(w->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
    settle(w);
}

static void bundled(void *arg, struct prov_bundle *bundle, const struct error *e)
{
    struct world *w = arg;
    prov_bundle_free(w->bundle);
    w->bundle = bundle;
    w->error = *e;
    w->pending--;
}

static struct prov_bundle_options all_of(const struct world *w)
{
    struct prov_bundle_options o = {.from = -1,
                                    .to = -1,
                                    .scope = "all entries",
                                    .payloads = true,
                                    .actor = "reviewer",
                                    .environment = "test",
                                    .policy = w->facts,
                                    .controls = w->facts,
                                    .sbom = w->facts};
    return o;
}

static enum err export(struct world *w, const struct prov_bundle_options *o) {
    w->pending++; prov_bundle(w->prov, o, bundled, w); settle(w); return w->error.code;
}

static json_t *check(const void *bytes, size_t len, const char *key, const char *notes)
{
    struct bundle_given given = {bytes, len, key, notes, NULL};
    return bundle_verify(&given);
}

static void expect(const struct world *w, const char *key, bool good, const char *code)
{
    json_t *report = check(w->bundle->tar.data, w->bundle->tar.len, key, NULL), *problem;
    bool found = !code;
    size_t i;
    json_array_foreach(json_object_get(report, "problems"), i, problem)
    {
        found = found || strcmp(json_str(problem, "code", ""), code) == 0;
        if (good)
            print_message("%s\n", json_str(problem, "text", ""));
    }
    assert_int_equal(json_flag(report, "ok", !good), good);
    assert_true(found);
    json_decref(report);
}

static const char TRACE[] = "0123456789abcdef0123456789abcdef";

static void fill(struct world *w)
{
    append(w, "question", TRACE, "why <script>alert(1)</script>", -1);
    append(w, "retrieval", TRACE, "x", 1);
    append(w, "answer", TRACE, "because", 2);
    append(w, "question", NULL, "another", -1);
}

/* ---- the archive ---- */

static void archive_reads_what_it_wrote(void **state)
{
    struct buf tar = {0};
    struct tar__member m;
    const char *problem;
    (void)state;
    tar__add(&tar, "a", "", 0, 5);
    tar__add(&tar, "b/c.txt", "hello", 5, 5);
    tar__end(&tar);
    struct tar__reader r = {tar.data, tar.len, -1};
    assert_int_equal(tar__next(&r, &m, &problem), 1);
    assert_string_equal(m.name, "a");
    assert_int_equal(m.len, 0);
    assert_int_equal(tar__next(&r, &m, &problem), 1);
    assert_string_equal(m.name, "b/c.txt");
    assert_memory_equal(m.data, "hello", 5);
    assert_int_equal(tar__next(&r, &m, &problem), 0);
    for (size_t cut = 0; cut < tar.len; cut += 64) { /* never past its end */
        char *copy = xcalloc(1, cut + 1);
        memcpy(copy, tar.data, cut);
        struct tar__reader part = {copy, cut, -1};
        int more;
        while ((more = tar__next(&part, &m, &problem)) > 0)
            continue;
        assert_int_equal(more, -1);
        free(copy);
    }
    buf_release(&tar);
}

static void archive_names(void **state)
{
    (void)state;
    assert_true(tar__name_ok("proofs/1") && tar__name_ok("a.b-c_D/..x"));
    static const char *const bad[] = {"",    "/a",  "a/",   "a//b", "../a",    "a/..",
                                      "./a", "a b", "a\nb", "a\\b", "\xd0\xb0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(tar__name_ok(bad[i]));
}

/* ---- one proof for many leaves ---- */

struct trees {
    uint8_t leaf[40][VAULT_HASH];
};

static enum err node(void *arg, int level, int64_t idx, uint8_t out[VAULT_HASH], struct error *e)
{
    struct trees *t = arg;
    struct prov__edge edge = {0};
    (void)e;
    for (int64_t i = idx << level; i < (idx + 1) << level; i++)
        prov__edge_push(&edge, 0, t->leaf[i], NULL);
    prov__edge_root(&edge, out);
    return ERR_OK;
}

static void covers_any_leaves(void **state)
{
    struct trees t;
    (void)state;
    for (size_t i = 0; i < 40; i++)
        memset(t.leaf[i], (int)i + 1, VAULT_HASH);
    srandom(7);
    for (int round = 0; round < 400; round++) {
        int64_t size = 1 + random() % 40, index[40];
        uint8_t hash[40][VAULT_HASH], root[VAULT_HASH], found[VAULT_HASH];
        struct buf proof = {0};
        size_t n = 0;
        for (int64_t i = 0; i < size; i++) {
            if (random() % 3 && (n || i < size - 1))
                continue;
            memcpy(hash[n], t.leaf[i], VAULT_HASH);
            index[n++] = i;
        }
        struct cover__leaves leaves = {index, hash, n};
        assert_int_equal(prov__root_at(node, &t, size, root, NULL), ERR_OK);
        assert_int_equal(cover__prove(node, &t, size, &leaves, &proof, NULL), ERR_OK);
        size_t count = proof.len / VAULT_HASH;
        buf_reserve(&proof, VAULT_HASH);
        const uint8_t *hashes = (const uint8_t *)proof.data;
        assert_true(cover__root(size, &leaves, hashes, count, found));
        assert_memory_equal(found, root, VAULT_HASH);
        assert_false(cover__root(size, &leaves, hashes, count + 1, found));
        if (count)
            assert_false(cover__root(size, &leaves, hashes, count - 1, found));
        hash[n / 2][3] ^= 1;
        assert_true(cover__root(size, &leaves, hashes, count, found));
        assert_memory_not_equal(found, root, VAULT_HASH);
        index[n - 1] = size;
        assert_false(cover__root(size, &leaves, hashes, count, found));
        buf_release(&proof);
    }
}

/* ---- payload lines ---- */

static void payload_lines_have_one_form(void **state)
{
    struct bundle__payload p = {.seq = 12, .state = BUNDLE__DISCLOSED}, read;
    struct buf line = {0};
    (void)state;
    p.plain = (struct prov__text){"{\"seq\":1,\"state\":\"erased\"}", 26};
    bundle__payload_write(&p, &line);
    assert_true(bundle__payload_read(line.data, line.len - 1, &read));
    assert_int_equal(read.state, BUNDLE__DISCLOSED);
    assert_int_equal(read.seq, 12);
    assert_int_equal(read.plain.len, 26);
    assert_memory_equal(read.plain.at, p.plain.at, 26);
    static const char *const bad[] = {
        "",
        "{}",
        "\"}",
        "{\"payload\":{},\"seq\":01,\"state\":\"attested\"}",
        "{\"payload\":,\"seq\":1,\"state\":\"attested\"}",
        "{\"payload\":{},\"seq\":1,\"state\":\"erased\"}",
        "{\"payload\":{},\"seq\":,\"state\":\"attested\"}",
        "{\"entry\":5,\"sealed_sha256\":\"00\",\"seq\":1,\"state\":\"erased\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(bundle__payload_read(bad[i], strlen(bad[i]), &read));
    buf_release(&line);
}

/* ---- bundles ---- */

static void good_bundles_verify(void **state)
{
    struct world *w = *state;
    fill(w);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    assert_int_equal(w->bundle->entries, w->bundle->size);
    expect(w, NULL, true, NULL);
    expect(w, vault_signer_line(w->prov->signing->signer), true, NULL);
    o.trace_id = TRACE;
    o.scope = "trace";
    assert_int_equal(export(w, &o), ERR_OK);
    assert_int_equal(w->bundle->entries, 3);
    expect(w, NULL, true, NULL);
    o.trace_id = NULL;
    o.session = prov_session(w->prov);
    assert_int_equal(export(w, &o), ERR_OK);
    expect(w, NULL, true, NULL);
    o.session = "no such session";
    assert_int_equal(export(w, &o), ERR_NOT_FOUND);
    int64_t seqs[] = {0, 2, 4};
    o.session = NULL;
    o.seqs = seqs;
    o.seq_count = 3;
    o.payloads = false;
    assert_int_equal(export(w, &o), ERR_OK);
    assert_int_equal(w->bundle->entries, 3);
    expect(w, NULL, true, NULL);
}

/* U1: the entry that logs it, and U2. */
static void exports_are_logged(void **state)
{
    struct world *w = *state;
    fill(w);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    json_t *entry = prov_get(w->prov, w->bundle->entry, true, NULL);
    assert_string_equal(json_str(entry, "type", ""), "export");
    assert_string_equal(json_str(json_object_get(entry, "payload"), "sha256", ""),
                        w->bundle->sha256);
    json_decref(entry);
}

static void payloads_open_with_their_commit_key(void **state)
{
    struct world *w = *state;
    struct tar__member m = {.len = 0};
    struct bundle__payload p;
    struct prov__text rest, line;
    const char *problem;
    bool found = false;
    fill(w);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    struct tar__reader r = {w->bundle->tar.data, w->bundle->tar.len, -1};
    while (tar__next(&r, &m, &problem) > 0 && strcmp(m.name, "payloads.jsonl") != 0)
        continue;
    rest = (struct prov__text){m.data, m.len};
    while (bundle__line(&rest, &line)) {
        assert_true(bundle__payload_read(line.at, line.len, &p));
        assert_int_equal(p.state, BUNDLE__DISCLOSED);
        found = found || memmem(p.plain.at, p.plain.len, "another", 7);
    }
    assert_true(found);
}

static void report_escapes_what_others_wrote(void **state)
{
    struct world *w = *state;
    struct tar__member m;
    const char *problem;
    fill(w);
    append(w, "question", TRACE, "\xe2\x80\xaehidden \x1b[31m <img src=x onerror=1>", 1);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    struct tar__reader r = {w->bundle->tar.data, w->bundle->tar.len, -1};
    while (tar__next(&r, &m, &problem) > 0 && strcmp(m.name, "report.html") != 0)
        continue;
    assert_string_equal(m.name, "report.html");
    assert_null(memmem(m.data, m.len, "<script", 7));
    assert_null(memmem(m.data, m.len, "<img", 4));
    assert_null(memmem(m.data, m.len, "\x1b", 1));
    assert_null(memmem(m.data, m.len, "\xe2\x80\xae", 3));
    assert_null(memmem(m.data, m.len, "<b>yes", 6));
    assert_non_null(memmem(m.data, m.len, "&lt;script&gt;alert(1)", 22));
}

/* Every byte counts. Of the long texts that prove nothing only some are tried, and of all of them
 * where threads are looked at: there are none here. */
#ifdef __SANITIZE_THREAD__
enum { STEP = 29 };
#else
enum { STEP = 1 };
#endif
static void no_byte_can_be_changed(void **state)
{
    struct world *w = *state;
    size_t tried = 0;
    append(w, "question", TRACE, "why", -1);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    expect(w, NULL, true, NULL);
    char *bytes = w->bundle->tar.data;
    struct tar__reader r = {bytes, w->bundle->tar.len, -1};
    struct tar__member m;
    const char *problem;
    for (int more = 1; more > 0;) {
        size_t from = (size_t)(r.at - bytes), step = STEP;
        more = tar__next(&r, &m, &problem);
        size_t to = more > 0 ? (size_t)(r.at - bytes) : w->bundle->tar.len;
        if (more > 0 && (strcmp(m.name, "report.html") == 0 || strcmp(m.name, "README.md") == 0))
            step = 41;
        for (size_t at = from; at < to; at += at < from + TAR__BLOCK ? STEP : step) {
            bytes[at] ^= (char)(1 << (at * 7 % 8));
            json_t *report = check(bytes, w->bundle->tar.len, NULL, NULL);
            if (json_flag(report, "ok", true) || json_flag(report, "intact", true))
                fail_msg("byte %zu of %s was changed and nobody saw it", at, m.name);
            json_decref(report);
            bytes[at] ^= (char)(1 << (at * 7 % 8));
            tried++;
        }
    }
    print_message("%zu bytes changed one by one\n", tried);
    expect(w, NULL, true, NULL);
    for (size_t cut = 0; cut < w->bundle->tar.len; cut += 257) {
        json_t *report = check(bytes, cut, NULL, NULL);
        assert_false(json_flag(report, "ok", true));
        json_decref(report);
    }
}

/* Somebody else's bundle is good in itself; a pinned key tells it. */
static void another_key_is_told(void **state)
{
    struct world *w = *state;
    char line[VAULT_LABEL];
    struct prov__vkey other = w->prov->signing->key;
    append(w, "question", TRACE, "why", -1);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    other.public_key[3] ^= 1;
    prov__vkey_make(other.name, other.public_key, &other);
    prov__vkey_write(&other, line);
    expect(w, line, false, "key");
    prov__vkey_write(&w->prov->signing->key, line);
    expect(w, line, true, NULL);
}

static void checkpoints_kept_elsewhere(void **state)
{
    struct world *w = *state;
    struct buf notes = {0};
    fill(w);
    struct prov_bundle_options o = all_of(w);
    assert_int_equal(export(w, &o), ERR_OK);
    assert_int_equal(prov__files_newest(w->dir, &notes, NULL), ERR_OK);
    json_t *report = check(w->bundle->tar.data, w->bundle->tar.len, NULL, notes.data);
    assert_true(json_flag(report, "ok", false));
    json_decref(report);
    /* a later one alone says nothing of this bundle, which is not the same as tampering */
    struct prov_bundle *first = w->bundle;
    w->bundle = NULL;
    assert_int_equal(export(w, &o), ERR_OK);
    buf_clear(&notes);
    assert_int_equal(prov__files_newest(w->dir, &notes, NULL), ERR_OK);
    report = check(first->tar.data, first->tar.len, NULL, notes.data);
    assert_false(json_flag(report, "ok", true));
    assert_true(json_flag(report, "intact", false));
    json_decref(report);
    report = check(first->tar.data, first->tar.len, NULL, "not a checkpoint\n");
    assert_false(json_flag(report, "ok", true));
    json_decref(report);
    prov_bundle_free(first);
    buf_release(&notes);
}

static void one_at_a_time(void **state)
{
    struct world *w = *state;
    fill(w);
    struct prov_bundle_options o = all_of(w);
    w->pending = 2;
    prov_bundle(w->prov, &o, bundled, w);
    prov_bundle(w->prov, &o, bundled, w);
    assert_int_equal(w->error.code, ERR_BUSY);
    settle(w);
    assert_int_equal(w->error.code, ERR_OK);
    expect(w, NULL, true, NULL);
}

/* The console stops while one is in the making. */
static void ends_with_the_log(void **state)
{
    struct world *w = *state;
    fill(w);
    struct prov_bundle_options o = all_of(w);
    w->pending = 1;
    prov_bundle(w->prov, &o, bundled, w);
    prov_close(w->prov);
    settle(w);
    assert_int_equal(w->error.code, ERR_CLOSED);
    assert_null(w->bundle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(archive_reads_what_it_wrote),
        cmocka_unit_test(archive_names),
        cmocka_unit_test(covers_any_leaves),
        cmocka_unit_test(payload_lines_have_one_form),
        cmocka_unit_test_setup_teardown(good_bundles_verify, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exports_are_logged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(payloads_open_with_their_commit_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(report_escapes_what_others_wrote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_byte_can_be_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_key_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checkpoints_kept_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ends_with_the_log, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
