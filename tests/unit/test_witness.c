/* Being a witness: W1 to W3 of witness.h; cosignatures and requests as text. The log that is
 * witnessed is made here, its tree computed from its leaves alone. */
#include "backend/base/text.h"
#include "backend/provenance/cosign.h"
#include "backend/provenance/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { LEAVES = 64 };

struct foreign { /* a log elsewhere */
    struct vault *vault;
    struct vault_signer *signer;
    struct prov__vkey key;
    char vkey[VAULT_LABEL];
    uint8_t leaf[LEAVES][VAULT_HASH];
};
struct world {
    char *dir, *other;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    struct prov_witness *witness;
    struct foreign log;
    int pending, status[80], answers;
    char body[1024], note[4096], reason[256];
    int64_t entry;
};

static void name_key(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    struct prov__vkey key;
    (void)arg;
    prov__vkey_make("example.com/log", public_key, &key);
    prov__vkey_write(&key, line);
}

static void open_world(struct world *w)
{
    struct error e = {0};
    struct prov_log logs[] = {{"example", "", w->log.vkey}};
    struct prov_witnessing o = {
        .name = "", .environment = "test + 1", .logs = logs, .log_count = 1};
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = w->store ? vault_open(w->dir, true, &e) : NULL;
    w->prov = w->vault ? prov_open(w->loop, w->store, w->vault, &e) : NULL;
    w->witness = w->prov ? prov_witness_new(w->prov, &o, &e) : NULL;
    if (!w->witness)
        fail_msg("%s: %s", err_name(e.code), e.detail);
}

static void close_world(struct world *w)
{
    store_close(w->store);
    store_free(w->store);
    prov_witness_free(w->witness);
    prov_free(w->prov);
    loop_free(w->loop);
    vault_close(w->vault);
}

static char *temporary(void)
{
    char *dir = xasprintf("%s/mcpc-witness-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct error e = {0};
    w->dir = temporary();
    w->other = temporary();
    w->log.vault = vault_open(w->other, true, &e);
    w->log.signer = vault_signer_open(w->log.vault, name_key, NULL, &e);
    assert_non_null(w->log.signer);
    snprintf(w->log.vkey, sizeof w->log.vkey, "%s", vault_signer_line(w->log.signer));
    assert_true(prov__vkey_read(w->log.vkey, &w->log.key));
    for (int i = 0; i < LEAVES; i++)
        prov__leaf(&i, sizeof i, w->log.leaf[i]);
    open_world(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    close_world(w);
    vault_signer_free(w->log.signer);
    vault_close(w->log.vault);
    char *command = xasprintf("rm -rf '%s' '%s'", w->dir, w->other);
    int rc = system(command);
    free(command);
    free(w->dir);
    free(w->other);
    free(w);
    return rc;
}

/* ---- the log elsewhere ---- */

static enum err node(void *arg, int level, int64_t idx, uint8_t out[VAULT_HASH], struct error *e)
{
    struct foreign *f = arg;
    uint8_t left[VAULT_HASH], right[VAULT_HASH];
    if (level == 0) {
        memcpy(out, f->leaf[idx], VAULT_HASH);
        return ERR_OK;
    }
    node(f, level - 1, 2 * idx, left, e);
    node(f, level - 1, 2 * idx + 1, right, e);
    prov__join(left, right, out);
    return ERR_OK;
}

static void checkpoint(struct foreign *f, const char *origin, int64_t size, struct buf *out)
{
    struct prov__head head = {.size = size};
    uint8_t signature[VAULT_SIGNATURE];
    assert_int_equal(prov__root_at(node, f, size, head.root, NULL), ERR_OK);
    prov__note_body(origin, &head, out);
    vault_sign(f->signer, out->data, out->len, signature);
    prov__note_sign(&f->key, signature, out);
}

static char *request_of(struct foreign *f, const char *origin, int64_t old, int64_t size)
{
    struct prov__proof proof = {0};
    struct buf note = {0}, out = {0};
    if (old <= size)
        assert_int_equal(prov__prove_consistency(node, f, old, size, &proof, NULL), ERR_OK);
    checkpoint(f, origin, size, &note);
    prov__request_write(old, &proof, note.data, &out);
    buf_release(&note);
    return buf_take(&out);
}

/* ---- asking ---- */

static void answered(void *arg, const struct prov_witnessed *a)
{
    struct world *w = arg;
    w->pending--;
    w->status[w->answers++ % 80] = a->status;
    snprintf(w->body, sizeof w->body, "%s", a->body);
    snprintf(w->note, sizeof w->note, "%s", a->note);
    snprintf(w->reason, sizeof w->reason, "%s", a->reason);
    w->entry = a->entry;
    assert_string_equal(a->type,
                        a->status == 409 ? "text/x.tlog.size" : "text/plain; charset=utf-8");
}

static void look(void *arg)
{
    struct world *w = arg;
    if (!w->pending && !prov_pending(w->prov))
        loop_quit(w->loop);
}

static void settle(struct world *w)
{
    struct loop_timer *t = loop_timer_new(w->loop, look, w);
    loop_timer_start(t, 1, 1);
    loop_run(w->loop);
    loop_timer_free(t);
}

static void begin(struct world *w, const char *request, const char *keys)
{
    w->pending++;
    prov_witness_add(w->witness, request, strlen(request), keys, "log:example.com/log", answered,
                     w);
}

static int ask_text(struct world *w, const char *request)
{
    begin(w, request, NULL);
    settle(w);
    assert_int_equal(w->pending, 0);
    return w->status[(w->answers - 1) % 80];
}

static int ask(struct world *w, int64_t old, int64_t size)
{
    char *request = request_of(&w->log, "example.com/log", old, size);
    int status = ask_text(w, request);
    free(request);
    return status;
}

/* The type and payload of the entry that the last answer named. */
static json_t *last_entry(struct world *w, const char *type)
{
    struct error e = {0};
    json_t *entry = prov_get(w->prov, w->entry, true, &e);
    assert_non_null(entry);
    assert_string_equal(json_str(entry, "type", ""), type);
    json_t *payload = json_incref(json_object_get(entry, "payload"));
    json_decref(entry);
    assert_non_null(payload);
    return payload;
}

static int64_t cosigned_at(struct world *w)
{
    struct prov__vkey key;
    struct prov__checkpoint c;
    struct prov__cosignature by = {0};
    assert_true(prov__vkey_read_as(PROV__COSIGNATURE, prov_witness_key(w->witness), &key));
    assert_null(prov__note_read(w->note, strlen(w->note), &c));
    assert_int_equal(prov__note_check(&c, &w->log.key), PROV__SIGNED);
    assert_int_equal(prov__cosigned(&c, &key, &by), PROV__SIGNED);
    assert_int_equal(by.line.len, strlen(w->body));
    assert_memory_equal(by.line.at, w->body, by.line.len);
    return by.at;
}

/* ---- tests ---- */

static void cosigns_what_follows(void **state)
{
    struct world *w = *state;
    static const int64_t sizes[] = {1, 1, 2, 7, 8, 33, 64};
    int64_t old = 0, before = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(ask(w, old, sizes[i]), 200);
        int64_t at = cosigned_at(w);
        assert_true(at >= before);
        before = at;
        if (old == sizes[i]) { /* the same once more: the same line, and nothing to log */
            assert_int_equal(w->entry, -1);
            continue;
        }
        old = sizes[i];
        json_t *payload = last_entry(w, "witness.sign");
        assert_int_equal(json_int(payload, "size", -1), sizes[i]);
        assert_string_equal(json_str(payload, "line", ""), w->body);
        json_decref(payload);
    }
    close_world(w); /* and it is still known after a restart */
    open_world(w);
    assert_int_equal(ask(w, 33, 64), 409);
    assert_string_equal(w->body, "64\n");
    assert_int_equal(ask(w, 64, 64), 200);
}

static void refuses(void **state)
{
    struct world *w = *state;
    char *request;
    assert_int_equal(ask(w, 5, 9), 409); /* nothing was cosigned yet */
    assert_string_equal(w->body, "0\n");
    assert_int_equal(ask(w, 0, 20), 200);
    assert_int_equal(ask(w, 20, 10), 400);
    assert_int_equal(ask(w, 10, 30), 409);
    assert_string_equal(w->body, "20\n");
    assert_int_equal(ask(w, 0, 10), 409); /* smaller than what was cosigned */
    request = request_of(&w->log, "example.com/other", 20, 30);
    assert_int_equal(ask_text(w, request), 404);
    free(request);
    /* a proof that is cut short, one hash of it changed, one too many */
    request = request_of(&w->log, "example.com/log", 20, 30);
    char *first = strchr(request, '\n') + 1, *second = strchr(first, '\n') + 1;
    char *shorter = xasprintf("old 20\n%s", second);
    char *longer = xasprintf("old 20\n%.*s%s", (int)(second - first), first, first);
    assert_int_equal(ask_text(w, shorter), 422);
    assert_int_equal(ask_text(w, longer), 422);
    first[3] = first[3] == 'A' ? 'B' : 'A';
    assert_int_equal(ask_text(w, request), 422);
    free(shorter);
    free(longer);
    free(request);
    json_t *payload = last_entry(w, "witness.refuse");
    assert_int_equal(json_int(payload, "status", -1), 422);
    assert_non_null(strstr(json_str(payload, "note", ""), "example.com/log\n30\n"));
    json_decref(payload);
    assert_int_equal(ask(w, 20, 30), 200);
}

/* A log whose history was written anew: of the same size, or longer. */
static void refuses_another_history(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, 0, 20), 200);
    w->log.leaf[3][0] ^= 1;
    assert_int_equal(ask(w, 20, 20), 409);
    assert_int_equal(ask(w, 20, 40), 422);
    assert_int_equal(ask(w, 0, 40), 409);
    w->log.leaf[3][0] ^= 1;
    assert_int_equal(ask(w, 20, 40), 200);
}

static void refuses_other_signatures(void **state)
{
    struct world *w = *state;
    char *request = request_of(&w->log, "example.com/log", 0, 20);
    char *sign = strstr(request, "\xe2\x80\x94 ");
    char *base64 = strrchr(sign, ' ') + 30;
    *base64 = *base64 == 'A' ? 'B' : 'A';
    assert_int_equal(ask_text(w, request), 403);
    free(request);
    /* a key of the same name that is not trusted */
    struct foreign other = w->log;
    other.vault = vault_open(w->dir, false, NULL);
    other.signer = vault_signer_open(other.vault, name_key, NULL, NULL);
    assert_non_null(other.signer);
    assert_true(prov__vkey_read(vault_signer_line(other.signer), &other.key));
    request = request_of(&other, "example.com/log", 0, 20);
    assert_int_equal(ask_text(w, request), 403);
    /* unless whoever asks says so */
    begin(w, request, vault_signer_line(other.signer));
    settle(w);
    assert_int_equal(w->status[(w->answers - 1) % 80], 200);
    free(request);
    vault_signer_free(other.signer);
    vault_close(other.vault);
}

static void later_epochs_are_logs_of_their_own(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *origin;
        int status;
    } all[] = {{"example.com/log#2", 200},  {"example.com/log#17", 200}, {"example.com/log#1", 404},
               {"example.com/log#02", 404}, {"example.com/log#", 404},   {"example.com/log2", 404},
               {"example.com/lo", 404}};
    assert_int_equal(ask(w, 0, 9), 200);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char *request = request_of(&w->log, all[i].origin, 0, 4);
        assert_int_equal(ask_text(w, request), all[i].status);
        free(request);
    }
    assert_int_equal(ask(w, 9, 10), 200);
    json_t *logs = prov_witness_logs(w->prov, w->witness, NULL);
    assert_int_equal(json_array_size(logs), 3);
    assert_int_equal(json_int(json_array_get(logs, 0), "size", -1), 10);
    assert_true(json_flag(json_array_get(logs, 2), "known", false));
    json_decref(logs);
}

/* W3: of two requests from the same size one is cosigned, whichever came first. */
static void one_of_two_at_once(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask(w, 0, 10), 200);
    char *longer = request_of(&w->log, "example.com/log", 10, 30);
    char *shorter = request_of(&w->log, "example.com/log", 10, 20);
    w->answers = 0;
    begin(w, longer, NULL);
    begin(w, shorter, NULL);
    begin(w, longer, NULL);
    settle(w);
    assert_int_equal(w->answers, 3);
    assert_int_equal(w->status[0], 200);
    assert_int_equal(w->status[1], 409);
    assert_int_equal(w->status[2], 409);
    assert_string_equal(w->body, "30\n");
    free(longer);
    free(shorter);
}

/* Strangers cannot fill the log, and a crowd is told to come later. */
static void many_refusals(void **state)
{
    struct world *w = *state;
    struct prov_state before, after;
    prov_state(w->prov, &before);
    for (int i = 0; i < 70; i++)
        begin(w, "old 1\n\nnothing", NULL);
    settle(w);
    assert_int_equal(w->pending, 0);
    prov_state(w->prov, &after);
    assert_in_range(after.size - before.size, 1, 61);
    assert_int_equal(w->status[0], 503); /* those that found the queue full, before all others */
    assert_int_equal(w->status[69], 400);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_text(w, "old 1\n\nnothing"), 400);
    assert_int_equal(w->entry, -1);
    assert_int_equal(ask(w, 1, 5), 409); /* of a known log: logged, and says how many were not */
    json_t *payload = last_entry(w, "witness.refuse");
    assert_in_range(json_int(payload, "unlogged", 0), 3, 70);
    json_decref(payload);
}

static void forms(void **state)
{
    struct prov__request r;
    char *all = NULL, hash[VAULT_BASE64(VAULT_HASH)];
    static const char *const bad[] = {"",
                                      "old\n\nx",
                                      "old 1",
                                      "old 01\n\nx",
                                      "old -1\n\nx",
                                      "old 1 \n\nx",
                                      "Old 1\n\nx",
                                      "old 9999999999999999999\n\nx",
                                      "old 1\nAAAA\n\nx",
                                      "old 1\n\r\n\nx"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_non_null(prov__request_read(bad[i], strlen(bad[i]), &r));
    assert_null(prov__request_read("old 0\n\n", 7, &r));
    assert_int_equal(r.note.len, 0);
    vault_base64((uint8_t[VAULT_HASH]){1}, VAULT_HASH, hash);
    for (int lines = 62; lines <= 64; lines++) {
        struct buf text = {0};
        buf_adds(&text, "old 5\n");
        for (int i = 0; i < lines; i++)
            buf_addf(&text, "%s\n", hash);
        buf_adds(&text, "\nnote");
        all = buf_take(&text);
        if (lines > 63)
            assert_non_null(prov__request_read(all, strlen(all), &r));
        else
            assert_null(prov__request_read(all, strlen(all), &r));
        free(all);
    }
    assert_int_equal(prov__conflict_read("0\n", 2), 0);
    assert_int_equal(prov__conflict_read("1234\n", 5), 1234);
    assert_int_equal(prov__conflict_read("1234", 4), -1);
    assert_int_equal(prov__conflict_read("12\n3\n", 5), -1);
    assert_int_equal(prov__conflict_read("", 0), -1);
}

/* A cosignature is over time, name's key and text: each byte of it counts. */
static void cosignatures(void **state)
{
    struct world *w = *state;
    struct prov__vkey key;
    struct prov__checkpoint c;
    struct prov__cosignature by = {0};
    assert_int_equal(ask(w, 0, 20), 200);
    cosigned_at(w);
    assert_true(prov__vkey_read_as(PROV__COSIGNATURE, prov_witness_key(w->witness), &key));
    assert_false(prov__vkey_read(prov_witness_key(w->witness), &key)); /* no key of a log */
    assert_true(prov__vkey_read_as(PROV__COSIGNATURE, prov_witness_key(w->witness), &key));
    char *line = strstr(w->note, w->body), *base64 = strrchr(line, ' ') + 1;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (char *at = base64 + 6; *at != '\n' && *at != '='; at++) { /* behind the key's id */
        char kept = *at;
        *at = digits[(strchr(digits, kept) - digits) ^ 32];
        if (!prov__note_read(w->note, strlen(w->note), &c))
            assert_int_equal(prov__cosigned(&c, &key, &by), PROV__FORGED);
        *at = kept;
    }
    key.id[0] ^= 1;
    assert_null(prov__note_read(w->note, strlen(w->note), &c));
    assert_int_equal(prov__cosigned(&c, &key, &by), PROV__UNSIGNED);
    struct prov__vkey keys[2];
    char *text = xasprintf("# a witness\n%s\n\n", prov_witness_key(w->witness));
    assert_int_equal(prov__vkeys_read(PROV__COSIGNATURE, text, keys, 2), 1);
    assert_int_equal(prov__vkeys_read(PROV__COSIGNATURE, text, keys, 0), -1);
    assert_int_equal(prov__vkeys_read(PROV__ED25519, text, keys, 2), -1);
    free(text);
}

static void settings(void **state)
{
    struct world *w = *state;
    struct error e = {0};
    struct prov_log bad[] = {{"x", "", "example.com/log+00000000+AAAA"}};
    struct prov_witnessing o = {.name = "", .environment = "t", .logs = bad, .log_count = 1};
    assert_null(prov_witness_new(w->prov, &o, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_non_null(strstr(e.detail, "[log \"x\"]"));
    o.log_count = 0;
    o.name = "another/name";
    assert_null(prov_witness_new(w->prov, &o, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    o.name = "with space";
    assert_null(prov_witness_new(w->prov, &o, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    assert_null(strchr(prov_witness_key(w->witness), ' '));
    assert_memory_equal(prov_witness_key(w->witness), "mcp-console/test---1/witness/", 29);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cosigns_what_follows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_another_history, set_up, tear_down),
        cmocka_unit_test_setup_teardown(refuses_other_signatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(later_epochs_are_logs_of_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_of_two_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_refusals, set_up, tear_down),
        cmocka_unit_test(forms),
        cmocka_unit_test_setup_teardown(cosignatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
