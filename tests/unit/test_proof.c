/* Proofs in the tree: all sizes up to 130 against a naive reference, what was changed is refused,
 * and the transparency-dev vectors where MCPC_DATA names a directory that has them. */
#include "backend/provenance/proof.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { SIZES = 130 };

/* ---- the naive reference: the definitions of RFC 6962, section 2.1, word by word ---- */

static uint8_t leaves[SIZES][VAULT_HASH];

static int64_t below(int64_t n)
{
    int64_t k = 1;
    while (2 * k < n)
        k *= 2;
    return k;
}

static void naive_root(int64_t from, int64_t to, uint8_t out[VAULT_HASH])
{
    uint8_t left[VAULT_HASH], right[VAULT_HASH], joined[1 + 2 * VAULT_HASH] = {1};
    if (to == from) {
        vault_sha256(NULL, 0, NULL, 0, out);
    } else if (to - from == 1) {
        memcpy(out, leaves[from], VAULT_HASH);
    } else {
        int64_t k = below(to - from);
        naive_root(from, from + k, left);
        naive_root(from + k, to, right);
        memcpy(joined + 1, left, VAULT_HASH);
        memcpy(joined + 1 + VAULT_HASH, right, VAULT_HASH);
        vault_sha256(joined, sizeof joined, NULL, 0, out);
    }
}

static void naive_path(int64_t m, int64_t from, int64_t to, struct prov__proof *out)
{
    int64_t n = to - from, k = below(n);
    if (n == 1)
        return;
    if (m < k) {
        naive_path(m, from, from + k, out);
        naive_root(from + k, to, out->hash[out->count++]);
    } else {
        naive_path(m - k, from + k, to, out);
        naive_root(from, from + k, out->hash[out->count++]);
    }
}

static void naive_subproof(int64_t m, int64_t from, int64_t to, bool whole, struct prov__proof *out)
{
    int64_t n = to - from, k = below(n);
    if (m == n) {
        if (!whole)
            naive_root(from, to, out->hash[out->count++]);
    } else if (m <= k) {
        naive_subproof(m, from, from + k, whole, out);
        naive_root(from + k, to, out->hash[out->count++]);
    } else {
        naive_subproof(m - k, from + k, to, false, out);
        naive_root(from, from + k, out->hash[out->count++]);
    }
}

/* ---- the stored tree: only complete subtrees are there ---- */

struct stored {
    int64_t size;
    int reads;
};

static enum err read_node(void *arg, int level, int64_t idx, uint8_t out[VAULT_HASH],
                          struct error *e)
{
    struct stored *s = arg;
    int64_t from = idx << level, to = (idx + 1) << level;
    s->reads++;
    if (to > s->size)
        return err_set(e, ERR_CORRUPT, "no such node");
    naive_root(from, to, out);
    return ERR_OK;
}

static int set_up(void **state)
{
    (void)state;
    vault_init();
    for (int i = 0; i < SIZES; i++)
        prov__leaf(&i, sizeof i, leaves[i]);
    return 0;
}

static size_t spans(struct prov__proof *p, struct prov__span out[PROV__LEVELS + 1])
{
    for (size_t i = 0; i < p->count; i++)
        out[i] = (struct prov__span){p->hash[i], VAULT_HASH};
    return p->count;
}

static struct prov__span span(const uint8_t hash[VAULT_HASH])
{
    return (struct prov__span){hash, VAULT_HASH};
}

static int levels(int64_t n)
{
    int k = 0;
    while (INT64_C(1) << k < n)
        k++;
    return k;
}

static void roots_and_inclusion_of_all_sizes(void **state)
{
    (void)state;
    uint8_t root[VAULT_HASH], want[VAULT_HASH];
    for (int64_t n = 0; n <= SIZES; n++) {
        struct stored s = {.size = n};
        naive_root(0, n, want);
        assert_int_equal(prov__root_at(read_node, &s, n, root, NULL), ERR_OK);
        assert_memory_equal(root, want, VAULT_HASH);
        for (int64_t m = 0; m < n; m++) {
            struct prov__proof got, naive = {0};
            struct prov__span hashes[PROV__LEVELS + 1];
            s.reads = 0;
            assert_int_equal(prov__prove_inclusion(read_node, &s, m, n, &got, NULL), ERR_OK);
            assert_true(s.reads <= 2 * levels(n));
            naive_path(m, 0, n, &naive);
            assert_int_equal(got.count, naive.count);
            assert_memory_equal(got.hash, naive.hash, got.count * VAULT_HASH);
            size_t count = spans(&got, hashes);
            assert_true(prov__inclusion_ok(m, n, span(leaves[m]), hashes, count, span(root)));
            for (int64_t other = 0; other < n; other++)
                if (other != m) {
                    assert_false(
                        prov__inclusion_ok(other, n, span(leaves[m]), hashes, count, span(root)));
                    assert_false(
                        prov__inclusion_ok(m, n, span(leaves[other]), hashes, count, span(root)));
                }
        }
        struct prov__proof none;
        assert_int_equal(prov__prove_inclusion(read_node, &s, n, n, &none, NULL), ERR_INVALID);
        assert_int_equal(prov__prove_inclusion(read_node, &s, -1, n, &none, NULL), ERR_INVALID);
    }
}

static void consistency_of_all_sizes(void **state)
{
    (void)state;
    uint8_t root[SIZES + 1][VAULT_HASH];
    for (int64_t n = 0; n <= SIZES; n++)
        naive_root(0, n, root[n]);
    for (int64_t n = 1; n <= SIZES; n++) {
        struct stored s = {.size = n};
        struct prov__proof got;
        for (int64_t m = 1; m <= n; m++) {
            struct prov__proof naive = {0};
            struct prov__span hashes[PROV__LEVELS + 1];
            s.reads = 0;
            assert_int_equal(prov__prove_consistency(read_node, &s, m, n, &got, NULL), ERR_OK);
            assert_true(s.reads <= 2 * levels(n));
            naive_subproof(m, 0, n, true, &naive);
            assert_int_equal(got.count, naive.count);
            assert_memory_equal(got.hash, naive.hash, got.count * VAULT_HASH);
            size_t count = spans(&got, hashes);
            assert_true(prov__consistency_ok(m, n, span(root[m]), span(root[n]), hashes, count));
            for (int64_t other = 1; other <= n; other++)
                if (other != m)
                    assert_false(prov__consistency_ok(m, n, span(root[other]), span(root[n]),
                                                      hashes, count));
            if (m < n) {
                assert_false(
                    prov__consistency_ok(m, n, span(root[m]), span(root[m]), hashes, count));
                assert_false(
                    prov__consistency_ok(n, m, span(root[n]), span(root[m]), hashes, count));
            }
        }
        assert_int_equal(prov__prove_consistency(read_node, &s, 0, n, &got, NULL), ERR_OK);
        assert_int_equal(got.count, 0);
        assert_false(prov__consistency_ok(0, n, span(root[0]), span(root[n]), NULL, 0));
        assert_int_equal(prov__prove_consistency(read_node, &s, n + 1, n, &got, NULL), ERR_INVALID);
    }
}

/* Every bit of a proof matters, and every hash must have 32 bytes. */
static void changed_proofs_are_refused(void **state)
{
    (void)state;
    enum { N = 101, M = 37 };
    struct stored s = {.size = N};
    uint8_t root[VAULT_HASH], old[VAULT_HASH];
    struct prov__proof in, con;
    struct prov__span ins[PROV__LEVELS + 1], cons[PROV__LEVELS + 1];
    naive_root(0, N, root);
    naive_root(0, M, old);
    assert_int_equal(prov__prove_inclusion(read_node, &s, M, N, &in, NULL), ERR_OK);
    assert_int_equal(prov__prove_consistency(read_node, &s, M, N, &con, NULL), ERR_OK);
    size_t n = spans(&in, ins), c = spans(&con, cons);
    for (size_t bit = 0; bit < 8 * VAULT_HASH * n; bit++) {
        in.hash[bit / 256][bit % 256 / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(prov__inclusion_ok(M, N, span(leaves[M]), ins, n, span(root)));
        in.hash[bit / 256][bit % 256 / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * VAULT_HASH * c; bit++) {
        con.hash[bit / 256][bit % 256 / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(prov__consistency_ok(M, N, span(old), span(root), cons, c));
        con.hash[bit / 256][bit % 256 / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len <= 40; len += 8) {
        bool ok = len == VAULT_HASH;
        uint8_t longer[64] = {0};
        memcpy(longer, in.hash[2], VAULT_HASH);
        ins[2] = (struct prov__span){longer, len};
        assert_int_equal(prov__inclusion_ok(M, N, span(leaves[M]), ins, n, span(root)), ok);
        ins[2] = span(in.hash[2]);
        struct prov__span odd = {longer, len};
        memcpy(longer, root, VAULT_HASH);
        assert_int_equal(prov__inclusion_ok(M, N, span(leaves[M]), ins, n, odd), ok);
        assert_int_equal(prov__consistency_ok(M, N, span(old), odd, cons, c), ok);
        assert_int_equal(prov__consistency_ok(N, N, odd, odd, NULL, 0), ok);
        memcpy(longer, leaves[M], VAULT_HASH);
        assert_int_equal(prov__inclusion_ok(M, N, odd, ins, n, span(root)), ok);
    }
    assert_false(prov__inclusion_ok(M, N, span(leaves[M]), ins, n - 1, span(root)));
    assert_false(prov__consistency_ok(M, N, span(old), span(root), cons, c - 1));
    assert_false(prov__consistency_ok(M, N, span(old), span(root), NULL, 0));
}

/* A node that is missing fails the proof, with its reason. */
static void missing_node_is_told(void **state)
{
    (void)state;
    struct stored s = {.size = 64};
    struct error e = {0};
    struct prov__proof p;
    assert_int_equal(prov__prove_inclusion(read_node, &s, 3, 100, &p, &e), ERR_CORRUPT);
    assert_string_equal(e.detail, "no such node");
    assert_int_equal(prov__prove_consistency(read_node, &s, 3, 100, &p, &e), ERR_CORRUPT);
}

/* ---- vectors ---- */

enum { HASHES = 200, LONGEST = 256 };

struct bytes {
    uint8_t at[LONGEST];
    struct prov__span span;
};

static void decode(const json_t *text, struct bytes *out)
{
    const char *s = json_is_string(text) ? json_string_value(text) : "";
    int64_t len = vault_unbase64(s, strlen(s), out->at, sizeof out->at);
    assert_true(len >= 0);
    out->span = (struct prov__span){out->at, (size_t)len};
}

static int64_t number(const json_t *object, const char *key)
{
    double value = json_number_value(json_object_get(object, key));
    return value < 9e18 ? (int64_t)value : -1; /* a size beyond what a tree can have */
}

static bool verdict(const json_t *v, bool *odd)
{
    static struct bytes hash[HASHES], first, second;
    struct prov__span list[HASHES];
    bool inclusion = json_object_get(v, "leafIdx") != NULL;
    const json_t *proof = json_object_get(v, "proof");
    size_t count = json_array_size(proof);
    assert_true(count <= HASHES);
    decode(json_object_get(v, inclusion ? "leafHash" : "root1"), &first);
    decode(json_object_get(v, inclusion ? "root" : "root2"), &second);
    *odd = first.span.len != VAULT_HASH || second.span.len != VAULT_HASH;
    for (size_t i = 0; i < count; i++) {
        decode(json_array_get(proof, i), &hash[i]);
        list[i] = hash[i].span;
        *odd |= list[i].len != VAULT_HASH;
    }
    return inclusion ? prov__inclusion_ok(number(v, "leafIdx"), number(v, "treeSize"), first.span,
                                          list, count, second.span)
                     : prov__consistency_ok(number(v, "size1"), number(v, "size2"), first.span,
                                            second.span, list, count);
}

static int run_vectors(const char *folder, int *good)
{
    int count = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return 0;
    for (struct dirent *d; (d = readdir(dir));) {
        char *path = xasprintf("%s/%s", folder, d->d_name);
        size_t len = strlen(path);
        if (d->d_name[0] == '.') {
        } else if (d->d_type == DT_DIR) {
            count += run_vectors(path, good);
        } else if (len > 5 && strcmp(path + len - 5, ".json") == 0) {
            bool odd;
            json_t *v = json_load_file(path, JSON_DECODE_INT_AS_REAL, NULL);
            assert_non_null(v);
            bool ok = verdict(v, &odd), want = !json_flag(v, "wantErr", true) && !odd;
            if (ok != want)
                fail_msg("%s: %s", path, ok ? "accepted" : "refused");
            *good += ok;
            count++;
            json_decref(v);
        }
        free(path);
    }
    closedir(dir);
    return count;
}

static void vectors(void **state)
{
    (void)state;
    const char *data = getenv("MCPC_DATA");
    if (!data)
        skip();
    static const char *const folders[] = {"inclusion", "consistency"};
    for (int i = 0; i < 2; i++) {
        int good = 0;
        char *path = xasprintf("%s/vectors/merkle/testdata/%s", data, folders[i]);
        int count = run_vectors(path, &good);
        print_message("%s: %d vectors, %d of them good\n", folders[i], count, good);
        assert_true(count >= 98 && good >= 5);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_and_inclusion_of_all_sizes),
        cmocka_unit_test(consistency_of_all_sizes),
        cmocka_unit_test(changed_proofs_are_refused),
        cmocka_unit_test(missing_node_is_told),
        cmocka_unit_test(vectors),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
