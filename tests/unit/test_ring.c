/* The ring: vectors by another implementation, R1 and R2 of ring.c over random erasures, the wrap.
 */
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { HEAD = 12, NODE = 37 };

/* The opened form of a fresh ring whose root is 00 01 02 ... 1f. */
static const uint8_t *known(void)
{
    static uint8_t plain[HEAD + NODE];
    assert_int_equal(text_unhex("9b9b6710ac3bff06", plain, 8), 0);
    plain[11] = 1;
    for (int i = 0; i < 32; i++)
        plain[HEAD + 5 + i] = (uint8_t)i;
    return plain;
}

/* By Python's hashlib.blake2b, as docs/evidence-format.md says. */
static void test_vectors(void **state)
{
    (void)state;
    static const struct {
        uint32_t leaf;
        const char *commit;
    } cases[] = {
        {0x0U, "88515a4fef0fdbdece06b5d246c636c299d044a503d218e3f96813efa09f0cfc"},
        {0x1U, "b95b46c33434894fda066086ba4222c6ae74f795e9367461759d6e86576243b6"},
        {0x1bU, "36794d6e8961a25af4ba1a1793bfb1712d06cedf769ce1866434a2854b41629d"},
        {0x12345678U, "81f0687d98b92cbdac050829773a3af0789a487b35dc69b1d2e96f9ca56c5fe3"},
        {0xffffffffU, "905ad4dd67bbf28d55d59e5e238ece30e07838da39b34514831208ae9d422b1b"},
    };
    struct vault_ring *r = vault__ring_read(known(), HEAD + NODE);
    assert_non_null(r);
    assert_string_equal(vault_ring_id(r), "9b9b6710ac3bff06");
    for (int round = 0; round < 2; round++) /* the second one meets another path */
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            uint8_t key[VAULT_KEY];
            char hex[2 * VAULT_KEY + 1];
            assert_int_equal(vault_ring_commit_key(r, cases[i].leaf, key), ERR_OK);
            text_hex(key, VAULT_KEY, hex);
            assert_string_equal(hex, cases[i].commit);
        }
    vault_ring_free(r);
}

static void test_seal(void **state)
{
    (void)state;
    struct vault_ring *r = vault_ring_new();
    uint8_t sealed[5 + 40], plain[8], made[32], found[32], key[32], hmac[32];
    assert_int_equal(vault_ring_seal(r, 7, "hello", 5, "ad", 2, sealed, made), ERR_OK);
    assert_int_equal(vault_ring_unseal(r, 7, sealed, sizeof sealed, "ad", 2, plain, found), ERR_OK);
    assert_memory_equal(plain, "hello", 5);
    assert_memory_equal(made, found, 32);
    assert_int_equal(vault_ring_commit_key(r, 7, key), ERR_OK);
    vault__hmac(key, sizeof key, "hello", 5, hmac);
    assert_memory_equal(made, hmac, 32);
    assert_int_equal(vault_ring_unseal(r, 8, sealed, sizeof sealed, "ad", 2, plain, found),
                     ERR_TAMPERED);
    assert_int_equal(vault_ring_unseal(r, 7, sealed, sizeof sealed, "aD", 2, plain, found),
                     ERR_TAMPERED);
    for (size_t len = 0; len < sizeof sealed; len++)
        assert_int_equal(vault_ring_unseal(r, 7, sealed, len, "ad", 2, plain, found), ERR_TAMPERED);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 0x10;
        assert_int_equal(vault_ring_unseal(r, 7, sealed, sizeof sealed, "ad", 2, plain, found),
                         ERR_TAMPERED);
        sealed[i] ^= 0x10;
    }
    vault_ring_free(r);
}

/* How many nodes the smallest cover of the leaves that are left has: a subtree counts once if it is
 * whole, and is looked into if it is in part erased. */
static size_t smallest(const bool *gone, uint64_t from, uint64_t to)
{
    uint64_t erased = 0;
    for (uint64_t i = from; i < to && i < 4096; i++)
        erased += gone[i];
    if (erased == 0)
        return 1;
    if (erased == to - from)
        return 0;
    size_t n = 0;
    for (uint64_t part = (to - from) / 4, at = from; at < to; at += part)
        n += smallest(gone, at, at + part);
    return n;
}

static void check_ring(struct vault_ring *r, const bool *gone, uint8_t commits[][32])
{
    for (uint32_t leaf = 0; leaf < 4096; leaf++) {
        uint8_t key[32];
        enum err code = vault_ring_commit_key(r, leaf, key);
        assert_int_equal(code, gone[leaf] ? ERR_NOT_FOUND : ERR_OK);
        assert_int_equal(vault_ring_has(r, leaf), !gone[leaf]);
        if (!gone[leaf])
            assert_memory_equal(key, commits[leaf], 32);
    }
    assert_int_equal(vault_ring_nodes(r), smallest(gone, 0, UINT64_C(1) << 32));
}

static void test_erase(void **state) /* R1, R2 */
{
    static bool gone[4096];
    static uint8_t commits[4096][32];
    static uint32_t leaves[4096];
    struct vault_ring *r = vault_ring_new();
    (void)state;
    srandom(7);
    for (uint32_t leaf = 0; leaf < 4096; leaf++)
        assert_int_equal(vault_ring_commit_key(r, leaf, commits[leaf]), ERR_OK);
    for (int round = 0; round < 6; round++) {
        size_t n = 0, fresh = 0;
        long odds = round == 4 ? 2 : 40;
        uint32_t from = round == 2 ? 1000 : 0, to = round == 2 ? 3000 : 4096;
        for (uint32_t leaf = from; leaf < to; leaf++)
            if (round == 2 || random() % odds == 0) {
                leaves[n++] = leaf;
                fresh += !gone[leaf];
                gone[leaf] = true;
            }
        assert_int_equal(vault_ring_erase(r, leaves, n), fresh);
        check_ring(r, gone, commits);
    }
    /* All that was ever used: what is left covers leaves that nobody uses. */
    for (uint32_t leaf = 0; leaf < 4096; leaf++)
        leaves[leaf] = leaf;
    memset(gone, true, sizeof gone);
    vault_ring_erase(r, leaves, 4096);
    check_ring(r, gone, commits);
    assert_int_equal(vault_ring_erase(r, leaves, 4096), 0);
    assert_int_equal(vault_ring_erase(r, NULL, 0), 0);
    vault_ring_free(r);
}

/* The leaf that was used last is remembered; it must not be when it is erased. */
static void test_erase_warm(void **state)
{
    (void)state;
    uint8_t sealed[1 + 40], plain[1], commit[32];
    const uint32_t leaf = 0xfffffffe, next = 0xffffffff;
    struct vault_ring *r = vault_ring_new();
    assert_int_equal(vault_ring_seal(r, leaf, "x", 1, "", 0, sealed, commit), ERR_OK);
    assert_int_equal(vault_ring_erase(r, &leaf, 1), 1);
    assert_int_equal(vault_ring_unseal(r, leaf, sealed, sizeof sealed, "", 0, plain, commit),
                     ERR_NOT_FOUND);
    assert_int_equal(vault_ring_seal(r, leaf, "x", 1, "", 0, sealed, commit), ERR_NOT_FOUND);
    assert_int_equal(vault_ring_seal(r, next, "x", 1, "", 0, sealed, commit), ERR_OK);
    vault_ring_free(r);
}

static void test_wrap(void **state)
{
    (void)state;
    struct error e = {0};
    struct buf wrap = {0};
    uint8_t one[32], two[32];
    const uint32_t leaves[] = {1, 5, 1000};
    char *dir = xasprintf("%s/mcpc-ring-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    struct vault *v = vault_open(dir, true, &e);
    struct vault_ring *r = vault_ring_new();
    vault_ring_erase(r, leaves, 3);
    vault_ring_wrap(v, "s1", r, &wrap);
    struct vault_ring *same = vault_ring_unwrap(v, "s1", wrap.data, wrap.len, &e);
    assert_non_null(same);
    assert_string_equal(vault_ring_id(same), vault_ring_id(r));
    assert_int_equal(vault_ring_nodes(same), vault_ring_nodes(r));
    assert_int_equal(vault_ring_commit_key(r, 4, one), ERR_OK);
    assert_int_equal(vault_ring_commit_key(same, 4, two), ERR_OK);
    assert_memory_equal(one, two, 32);
    assert_false(vault_ring_has(same, 1000));
    vault_ring_free(same);
    /* Another session's, cut, or changed in any byte. */
    assert_null(vault_ring_unwrap(v, "s2", wrap.data, wrap.len, &e));
    assert_int_equal(e.code, ERR_TAMPERED);
    for (size_t len = 0; len < wrap.len; len++)
        assert_null(vault_ring_unwrap(v, "s1", wrap.data, len, &e));
    for (size_t i = 0; i < wrap.len; i++) {
        wrap.data[i] ^= 1;
        assert_null(vault_ring_unwrap(v, "s1", wrap.data, wrap.len, &e));
        wrap.data[i] ^= 1;
    }
    buf_release(&wrap);
    vault_ring_free(r);
    vault_close(v);
    char *command = xasprintf("rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
    free(command);
    free(dir);
}

static void test_form(void **state) /* R1 */
{
    (void)state;
    uint8_t bytes[HEAD + 2 * NODE];
    memcpy(bytes, known(), HEAD + NODE);
    assert_null(vault__ring_read(bytes, HEAD + NODE - 1));
    assert_null(vault__ring_read(bytes, HEAD));
    bytes[0] ^= 1; /* not the root's id */
    assert_null(vault__ring_read(bytes, HEAD + NODE));
    memset(bytes, 0, sizeof bytes);
    bytes[11] = 2;
    static const struct {
        uint8_t level[2], index[2];
        bool good;
    } cases[] = {{{16, 16}, {0, 1}, true},  {{16, 16}, {1, 0}, false}, {{16, 16}, {1, 1}, false},
                 {{15, 16}, {0, 4}, true},  {{15, 16}, {0, 3}, false}, {{1, 1}, {0, 4}, false},
                 {{17, 17}, {0, 1}, false}, {{0, 1}, {0, 1}, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int n = 0; n < 2; n++) {
            bytes[HEAD + n * NODE] = cases[i].level[n];
            bytes[HEAD + n * NODE + 4] = cases[i].index[n];
        }
        struct vault_ring *r = vault__ring_read(bytes, sizeof bytes);
        assert_int_equal(r != NULL, cases[i].good);
        vault_ring_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors), cmocka_unit_test(test_seal),
        cmocka_unit_test(test_erase),   cmocka_unit_test(test_erase_warm),
        cmocka_unit_test(test_wrap),    cmocka_unit_test(test_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
