/* The Merkle tree against RFC 6962's own recursive definition, and known roots. */
#include "backend/base/text.h"
#include "backend/provenance/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* RFC 6962, 2.1: MTH(D[n]) = SHA-256(01 || MTH(D[0:k]) || MTH(D[k:n])), k the largest power of two
 * below n. */
static void reference(uint8_t (*leaf)[VAULT_HASH], int64_t n, uint8_t out[VAULT_HASH])
{
    uint8_t both[1 + 2 * VAULT_HASH] = {1};
    if (n == 1) {
        memcpy(out, leaf[0], VAULT_HASH);
        return;
    }
    int64_t k = 1;
    while (2 * k < n)
        k *= 2;
    reference(leaf, k, both + 1);
    reference(leaf + k, n - k, both + 1 + VAULT_HASH);
    vault_sha256(both, sizeof both, NULL, 0, out);
}

/* The leaves and roots of the certificate transparency project's tests. */
static void test_known_roots(void **state)
{
    (void)state;
    static const struct {
        const char *leaf, *root;
    } known[] = {
        {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"606162636465666768696a6b6c6d6e6f",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct prov__edge edge = {0};
    uint8_t bytes[16], hash[VAULT_HASH];
    char hex[65];
    prov__edge_root(&edge, hash);
    text_hex(hash, VAULT_HASH, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].leaf) / 2;
        assert_int_equal(text_unhex(known[i].leaf, bytes, len), 0);
        prov__leaf(bytes, len, hash);
        prov__edge_push(&edge, 0, hash, NULL);
        prov__edge_root(&edge, hash);
        text_hex(hash, VAULT_HASH, hex);
        assert_string_equal(hex, known[i].root);
    }
}

static void test_against_reference(void **state) /* T1, T2 */
{
    enum { N = 300 };
    (void)state;
    static uint8_t leaf[N][VAULT_HASH];
    struct prov__edge edge = {0};
    struct prov__node done[PROV__LEVELS];
    int nodes = 0;
    for (int64_t n = 1; n <= N; n++) {
        uint8_t want[VAULT_HASH], got[VAULT_HASH];
        vault_random(leaf[n - 1], VAULT_HASH);
        int count = prov__edge_push(&edge, 0, leaf[n - 1], done);
        nodes += count;
        for (int i = 0; i < count; i++) {
            assert_int_equal(done[i].level, i + 1);
            assert_int_equal((done[i].idx + 1) << done[i].level, n);
            reference(leaf + (done[i].idx << done[i].level), INT64_C(1) << done[i].level, want);
            assert_memory_equal(done[i].hash, want, VAULT_HASH);
        }
        reference(leaf, n, want);
        prov__edge_root(&edge, got);
        assert_memory_equal(got, want, VAULT_HASH);
        assert_int_equal(nodes, n - __builtin_popcountll((unsigned long long)n));
    }
}

static void test_subtrees(void **state)
{
    (void)state;
    static uint8_t leaf[40][VAULT_HASH];
    uint8_t want[VAULT_HASH], got[VAULT_HASH];
    struct prov__edge edge = {0};
    for (int i = 0; i < 40; i++)
        vault_random(leaf[i], VAULT_HASH);
    for (int i = 0; i + 8 <= 40; i += 8) {
        reference(leaf + i, 8, want);
        prov__edge_push(&edge, 3, want, NULL);
    }
    reference(leaf, 40, want);
    prov__edge_root(&edge, got);
    assert_memory_equal(got, want, VAULT_HASH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_roots),
        cmocka_unit_test(test_against_reference),
        cmocka_unit_test(test_subtrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
