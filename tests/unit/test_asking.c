/* Asking witnesses: A1 to A3 of witness.h, B1 and B2 of asking.c. The witness is a server in this
 * program that answers as each test wants it. */
#include "backend/base/clock.h"
#include "backend/base/httpd.h"
#include "backend/provenance/checkpoint.h"
#include "backend/provenance/cosign.h"
#include "backend/provenance/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum how { GOOD, FORGED, GARBAGE, SILENT, CONFLICT, PROOF };

struct world {
    char *dir, *other, vkey[VAULT_LABEL];
    struct loop *loop;
    struct store *store;
    struct vault *vault, *elsewhere;
    struct vault_signer *signer; /* the witness's */
    struct prov__vkey key;
    struct prov *prov;
    struct prov_asker *asker;
    struct httpd *server;
    struct httpd_request *held[64];
    size_t held_count;
    enum how how;
    int64_t size, at; /* what the witness cosigned last; the time that it signs */
    int asked, ended;
};

static void name_key(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    struct prov__vkey key;
    (void)arg;
    prov__vkey_make_as(PROV__COSIGNATURE, "witness.example/w", public_key, &key);
    prov__vkey_write(&key, line);
}

static void reply(struct httpd_request *r, int status, const char *text)
{
    httpd_reply(r, status, status == 409 ? "text/x.tlog.size" : "text/plain", "", text,
                strlen(text));
}

static void cosign(struct world *w, struct httpd_request *r, const struct prov__checkpoint *c)
{
    struct buf text = {0}, line = {0};
    uint8_t signature[VAULT_SIGNATURE];
    w->size = c->head.size;
    prov__cosign_text(c->body, w->at, &text);
    vault_sign(w->signer, text.data, text.len, signature);
    signature[7] ^= w->how == FORGED;
    prov__cosign_line(&w->key, w->at, signature, &line);
    reply(r, 200, line.data);
    buf_release(&text);
    buf_release(&line);
}

static void on_request(void *arg, struct httpd_request *r)
{
    struct world *w = arg;
    struct prov__request request;
    struct prov__checkpoint c;
    const struct buf *body = httpd_body(r);
    char told[32];
    w->asked++;
    assert_string_equal(httpd_path(r), "/w/add-checkpoint");
    assert_string_equal(httpd_method(r), "POST");
    assert_null(prov__request_read(body->data, body->len, &request));
    assert_null(prov__note_read(request.note.at, request.note.len, &c));
    snprintf(told, sizeof told, "%lld\n", (long long)w->size);
    if (w->how == SILENT) {
        assert_true(w->held_count < 64);
        w->held[w->held_count++] = r;
    } else if (w->how == GARBAGE)
        reply(r, 200, "nothing of the kind\n");
    else if (w->how == PROOF)
        reply(r, 422, "no\n");
    else if (w->how == CONFLICT || request.old != w->size)
        reply(r, 409, told);
    else
        cosign(w, r, &c);
}

static void open_world(struct world *w, uint64_t timeout_ms)
{
    struct error e = {0};
    struct httpd_options o = {.address = "127.0.0.1:0", .body_max = PROV__REQUEST_MAX};
    struct prov_signing signing = {.origin = "example.com/log", .environment = "test"};
    w->loop = loop_new();
    w->server = httpd_new(w->loop, &o, on_request, w, &e);
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = w->store ? vault_open(w->dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    if (!w->server || !w->prov)
        fail_msg("%s: %s", err_name(e.code), e.detail);
    prov_sign(w->prov, &signing);
    char *url = xasprintf("http://%s/w/", httpd_address(w->server));
    struct prov_peer peers[] = {{"w", url, w->vkey, timeout_ms}};
    struct prov_asking asking = {.peers = peers, .peer_count = 1, .seconds = 0, .quorum = 1};
    w->asker = prov_asker_new(w->prov, &asking, &e);
    assert_non_null(w->asker);
    free(url);
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

static void close_world(struct world *w)
{
    prov_asker_close(w->asker);
    prov_close(w->prov);
    settle(w);
    while (w->held_count)
        reply(w->held[--w->held_count], 500, "");
    httpd_free(w->server);
    store_close(w->store);
    store_free(w->store);
    prov_asker_free(w->asker);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
}

static char *temporary(void)
{
    char *dir = xasprintf("%s/mcpc-asking-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct error e = {0};
    w->dir = temporary();
    w->other = temporary();
    w->elsewhere = vault_open(w->other, true, &e);
    w->signer = vault_signer_open_as(w->elsewhere, "witness", name_key, NULL, &e);
    assert_non_null(w->signer);
    snprintf(w->vkey, sizeof w->vkey, "%s", vault_signer_line(w->signer));
    assert_true(prov__vkey_read_as(PROV__COSIGNATURE, w->vkey, &w->key));
    w->at = 1795747000;
    open_world(w, 5000);
    settle(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close_world(w);
    vault_signer_free(w->signer);
    vault_close(w->elsewhere);
    char *command = xasprintf("rm -rf '%s' '%s'", w->dir, w->other);
    int rc = system(command);
    free(command);
    free(w->dir);
    free(w->other);
    free(w);
    return rc;
}

/* ---- */

static void signed_now(void *arg, json_t *checkpoint, const struct error *e)
{
    (void)arg, (void)e;
    assert_non_null(checkpoint);
}

static void waited(void *arg)
{
    struct world *w = arg;
    w->ended++;
    loop_quit(w->loop);
}

/* Signs a checkpoint over some more entries, and waits for the witness. */
static void checkpoint(struct world *w)
{
    json_t *payload = json_pack("{s:s}", "text", "x");
    struct prov_entry entry = {.type = "question", .actor = "operator", .payload = payload};
    prov_append(w->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
    settle(w);
    prov_checkpoint(w->prov, signed_now, w);
    settle(w);
    int before = w->ended;
    prov_asker_wait(w->asker, 8000, waited, w);
    if (w->ended == before)
        loop_run(w->loop);
    settle(w);
}

static json_t *peer(struct world *w)
{
    json_t *list = prov_asker_list(w->asker);
    json_t *row = json_incref(json_array_get(json_object_get(list, "witnesses"), 0));
    json_decref(list);
    return row;
}

static void is(struct world *w, const char *name, const char *error)
{
    json_t *row = peer(w);
    assert_string_equal(json_str(row, "state", ""), name);
    if (!strstr(json_str(row, "last_error", ""), error))
        fail_msg("%s", json_str(row, "last_error", ""));
    json_decref(row);
}

static int64_t findings(struct world *w)
{
    return store_scalar(store_reader(w->store), -1,
                        "SELECT count(*) FROM entries WHERE type = 'witness.finding'", "");
}

static char *cosigned_file(struct world *w)
{
    char *path = xasprintf("%s/checkpoint.cosigned", w->dir), text[4096];
    for (int i = 0; i < 500 && access(path, R_OK) != 0; i++) {
        usleep(2000);
        settle(w);
    }
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t n = fread(text, 1, sizeof text, in);
    fclose(in);
    free(path);
    return xstrndup(text, n);
}

/* A2: kept, told, written. */
static void a_cosignature_is_kept(void **state)
{
    struct world *w = *state;
    struct prov__checkpoint c;
    struct prov__cosignature by = {0};
    checkpoint(w);
    is(w, "cosigned", "");
    char *text = cosigned_file(w);
    assert_null(prov__note_read(text, strlen(text), &c));
    assert_int_equal(prov__cosigned(&c, &w->key, &by), PROV__SIGNED);
    assert_int_equal(by.at, w->at);
    json_t *who = prov_cosigners(w->prov, c.head.size);
    assert_int_equal(json_array_size(who), 1);
    assert_string_equal(json_str(json_array_get(who, 0), "key", ""), w->vkey);
    json_decref(who);
    free(text);
    int64_t old = w->size;
    w->at -= 1000; /* a witness whose clock was set back is a witness all the same */
    checkpoint(w);
    is(w, "cosigned", "");
    assert_true(w->size > old);
    close_world(w); /* a later run goes on from there */
    open_world(w, 5000);
    settle(w);
    w->asked = 0;
    checkpoint(w);
    assert_in_range(w->asked, 1, 2); /* the last session's end, and this one: no conflicts */
    is(w, "cosigned", "");
}

/* B2: the witness lost what it knew, or knows more than this console kept. */
static void a_conflict_is_followed(void **state)
{
    struct world *w = *state;
    checkpoint(w);
    w->size = 0;
    checkpoint(w);
    is(w, "cosigned", "");
    assert_int_equal(findings(w), 0);
}

static void lies(void **state)
{
    struct world *w = *state;
    w->how = FORGED;
    checkpoint(w);
    is(w, "failing", "does not verify");
    w->how = GARBAGE;
    checkpoint(w);
    is(w, "failing", "no list of signature lines");
    assert_int_equal(
        store_scalar(store_reader(w->store), -1, "SELECT count(*) FROM cosignatures", ""), 0);
    w->how = CONFLICT; /* always the same size: it ends */
    w->size = 1;
    w->asked = 0;
    checkpoint(w);
    is(w, "failing", "409 to the size that it named itself");
    assert_in_range(w->asked, 1, 6);
    w->size = 0;
    w->how = GOOD;
    checkpoint(w);
    is(w, "cosigned", "");
}

/* A1 */
static void silence(void **state)
{
    struct world *w = *state;
    close_world(w);
    open_world(w, 200);
    settle(w);
    w->how = SILENT;
    uint64_t before = clock_mono_ms();
    checkpoint(w);
    assert_true(clock_mono_ms() - before < 7000);
    is(w, "failing", "");
}

/* A3 */
static void findings_are_logged_once(void **state)
{
    struct world *w = *state;
    checkpoint(w);
    w->how = CONFLICT;
    w->size = 100000;
    checkpoint(w);
    is(w, "finding", "it says that it cosigned 100000 entries");
    assert_int_equal(findings(w), 1);
    w->how = PROOF;
    checkpoint(w);
    is(w, "finding", "does not lead to");
    assert_int_equal(findings(w), 2);
    checkpoint(w);
    assert_int_equal(findings(w), 2);
}

static void settings(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    static const char *const urls[] = {"", "ftp://x", "x"};
    for (size_t i = 0; i < 3; i++) {
        struct prov_peer bad[] = {{"x", urls[i], w->vkey, 1000}};
        struct prov_asking o = {.peers = bad, .peer_count = 1};
        assert_null(prov_asker_new(w->prov, &o, &e));
        assert_int_equal(e.code, ERR_CONFIG);
    }
    struct prov_peer twice[] = {{"x", "http://x", w->vkey, 1000}, {"y", "http://y", w->vkey, 1}};
    struct prov_asking o = {.peers = twice, .peer_count = 2};
    assert_null(prov_asker_new(w->prov, &o, &e));
    assert_non_null(strstr(e.detail, "has the key of"));
    twice[0].key = "witness.example/w+00000000+AAAA";
    assert_null(prov_asker_new(w->prov, &o, &e));
    assert_non_null(strstr(e.detail, "[witness \"x\"] vkey"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cosignature_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_conflict_is_followed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(silence, set_up, tear_down),
        cmocka_unit_test_setup_teardown(findings_are_logged_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
