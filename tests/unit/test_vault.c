/* The vault: published vectors, sealing, wraps, the key file (V1, V2), secrets. */
#include "backend/base/text.h"
#include "backend/vault/internal.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static char *make_dir(void)
{
    char *dir = xasprintf("%s/mcpc-vault-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static void remove_dir(char *dir)
{
    static const char *const names[] = {"checkpoint.key", "checkpoint.pub", "master.key"};
    char *keys = xasprintf("%s/keys", dir);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *file = xasprintf("%s/%s", keys, names[i]);
        unlink(file);
        free(file);
    }
    rmdir(keys);
    rmdir(dir);
    free(keys);
    free(dir);
}

static void hash_is(const char *a, const char *b, const char *want)
{
    uint8_t hash[VAULT_HASH];
    char text[2 * VAULT_HASH + 1];
    vault_sha256(a, strlen(a), b, b ? strlen(b) : 0, hash);
    text_hex(hash, sizeof hash, text);
    assert_string_equal(text, want);
}

/* FIPS 180-2, appendix B, and the empty string. */
static void test_sha256(void **state)
{
    (void)state;
    hash_is("", NULL, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hash_is("abc", NULL, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_is("a", "bc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    hash_is("abcdbcdecdefdefgefghfghighijhijk", "ijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* RFC 4231, test cases 1, 2, 6 (a key longer than a block). */
static void test_hmac(void **state)
{
    (void)state;
    uint8_t key[131], out[VAULT_HASH];
    char text[65];
    memset(key, 0x0b, 20);
    vault__hmac(key, 20, "Hi There", 8, out);
    text_hex(out, 32, text);
    assert_string_equal(text, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    vault__hmac((const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28, out);
    text_hex(out, 32, text);
    assert_string_equal(text, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    vault__hmac(key, sizeof key, "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
    text_hex(out, 32, text);
    assert_string_equal(text, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

/* draft-irtf-cfrg-xchacha-03, A.3.1. */
static void test_aead_vector(void **state)
{
    (void)state;
    static const char plain[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    static const char want[] = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb";
    uint8_t key[32], nonce[24], ad[12], out[sizeof plain - 1 + VAULT_TAG], back[sizeof plain];
    char text[65];
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(0x80 + i);
    for (size_t i = 0; i < sizeof nonce; i++)
        nonce[i] = (uint8_t)(0x40 + i);
    assert_int_equal(text_unhex("50515253c0c1c2c3c4c5c6c7", ad, sizeof ad), 0);
    vault__aead_seal(key, nonce, plain, sizeof plain - 1, ad, sizeof ad, out);
    text_hex(out, 32, text);
    assert_string_equal(text, want);
    text_hex(out + sizeof plain - 1, VAULT_TAG, text);
    assert_string_equal(text, "c0875924c1c7987947deafd8780acf49");
    assert_int_equal(vault__aead_open(key, nonce, out, sizeof out, ad, sizeof ad, back), 0);
    assert_memory_equal(back, plain, sizeof plain - 1);
    out[3] ^= 1;
    assert_int_equal(vault__aead_open(key, nonce, out, sizeof out, ad, sizeof ad, back), -1);
}

static size_t unhex_member(json_t *object, const char *name, uint8_t *out, size_t max)
{
    const char *text = json_string_value(json_object_get(object, name));
    size_t len = strlen(text) / 2;
    assert_true(len <= max);
    assert_int_equal(text_unhex(text, out, len), 0);
    return len;
}

static json_t *wycheproof(const char *name)
{
    const char *data = getenv("MCPC_DATA");
    if (!data)
        return NULL;
    char *path = xasprintf("%s/vectors/wycheproof/testvectors_v1/%s", data, name);
    json_t *root = json_load_file(path, 0, NULL);
    free(path);
    return root;
}

static void check_hmac(json_t *group, json_t *test)
{
    uint8_t key[256], msg[1024], tag[64], out[VAULT_HASH];
    size_t key_len = unhex_member(test, "key", key, sizeof key);
    size_t len = unhex_member(test, "msg", msg, sizeof msg);
    size_t tag_len = unhex_member(test, "tag", tag, sizeof tag);
    vault__hmac(key, key_len, msg, len, out);
    bool valid = strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
    assert_int_equal(json_integer_value(json_object_get(group, "tagSize")), tag_len * 8);
    assert_int_equal(vault_equal(tag, out, tag_len), valid);
}

static void check_aead(json_t *group, json_t *test)
{
    uint8_t key[64], nonce[64], ad[1024], msg[1024], sealed[1100], plain[1100];
    if (json_integer_value(json_object_get(group, "ivSize")) != 192)
        return;
    unhex_member(test, "key", key, sizeof key);
    unhex_member(test, "iv", nonce, sizeof nonce);
    size_t ad_len = unhex_member(test, "aad", ad, sizeof ad);
    size_t len = unhex_member(test, "msg", msg, sizeof msg);
    size_t ct = unhex_member(test, "ct", sealed, sizeof sealed - 16);
    size_t all = ct + unhex_member(test, "tag", sealed + ct, 16);
    bool valid = strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
    assert_int_equal(vault__aead_open(key, nonce, sealed, all, ad, ad_len, plain) == 0, valid);
    if (valid) {
        assert_memory_equal(plain, msg, len);
        vault__aead_seal(key, nonce, msg, len, ad, ad_len, plain);
        assert_memory_equal(plain, sealed, all);
    }
}

static void each_vector(const char *name, void (*check)(json_t *, json_t *))
{
    json_t *root = wycheproof(name), *group, *test;
    size_t i, j;
    if (!root)
        skip();
    json_array_foreach(json_object_get(root, "testGroups"), i, group)
        json_array_foreach(json_object_get(group, "tests"), j, test) check(group, test);
    json_decref(root);
}

static void test_wycheproof_hmac(void **state)
{
    (void)state;
    each_vector("hmac_sha256_test.json", check_hmac);
}

static void test_wycheproof_aead(void **state)
{
    (void)state;
    each_vector("xchacha20_poly1305_test.json", check_aead);
}

static void test_hex(void **state)
{
    (void)state;
    uint8_t out[3];
    char id[33], other[33];
    assert_int_equal(text_unhex("00fF7a", out, 3), 0);
    assert_memory_equal(out, "\x00\xff\x7a", 3);
    assert_int_equal(text_unhex("00ff7", out, 3), -1);
    assert_int_equal(text_unhex("00ff7a1", out, 3), -1);
    assert_int_equal(text_unhex("00ff7g", out, 3), -1);
    assert_int_equal(text_unhex("", out, 3), -1);
    vault_id(id);
    vault_id(other);
    assert_int_equal(strlen(id), 32);
    assert_string_not_equal(id, other);
}

static void test_seal(void **state)
{
    (void)state;
    char *dir = make_dir();
    struct error e = {0};
    struct vault *v = vault_open(dir, true, &e);
    assert_non_null(v);
    uint8_t wrap[VAULT_WRAP], sealed[5 + 40], plain[8], one[32], two[32];
    struct vault_key *k = vault_key_new(v, "s1", wrap);
    vault_seal(k, "hello", 5, "ad", 2, sealed);
    assert_int_equal(vault_unseal(k, sealed, sizeof sealed, "ad", 2, plain), ERR_OK);
    assert_memory_equal(plain, "hello", 5);
    assert_int_equal(vault_unseal(k, sealed, sizeof sealed, "aD", 2, plain), ERR_TAMPERED);
    for (size_t len = 0; len < sizeof sealed; len++)
        assert_int_equal(vault_unseal(k, sealed, len, "ad", 2, plain), ERR_TAMPERED);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 0x10;
        assert_int_equal(vault_unseal(k, sealed, sizeof sealed, "ad", 2, plain), ERR_TAMPERED);
        sealed[i] ^= 0x10;
    }
    /* A second opening of the directory reads the same key, and the wrap gives the same data key.
     */
    struct vault *w = vault_open(dir, false, &e);
    assert_non_null(w);
    assert_string_equal(vault_kek_id(v), vault_kek_id(w));
    struct vault_key *same = vault_key_unwrap(w, "s1", wrap, sizeof wrap, &e);
    assert_non_null(same);
    assert_int_equal(vault_unseal(same, sealed, sizeof sealed, "ad", 2, plain), ERR_OK);
    vault_commit(k, "x", 1, one);
    vault_commit(same, "x", 1, two);
    assert_memory_equal(one, two, 32);
    vault_commit(k, "y", 1, two);
    assert_memory_not_equal(one, two, 32);
    vault_key_free(same);
    /* A wrap is bound to its session and to each of its bytes. */
    assert_null(vault_key_unwrap(w, "s2", wrap, sizeof wrap, &e));
    assert_int_equal(e.code, ERR_TAMPERED);
    assert_null(vault_key_unwrap(w, "s1", wrap, sizeof wrap - 1, &e));
    wrap[30] ^= 1;
    assert_null(vault_key_unwrap(w, "s1", wrap, sizeof wrap, &e));
    vault_key_free(k);
    vault_close(v);
    vault_close(w);
    remove_dir(dir);
}

static void test_key_file(void **state)
{
    (void)state;
    char *dir = make_dir();
    char *key = xasprintf("%s/keys/master.key", dir);
    char *keys = xasprintf("%s/keys", dir);
    struct error e = {0};
    struct stat st;
    assert_null(vault_open(dir, false, &e)); /* nothing is made unasked */
    assert_int_equal(e.code, ERR_NO_KEY);
    assert_int_equal(stat(keys, &st), -1);
    struct vault *v = vault_open(dir, true, &e);
    assert_non_null(v);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_size, 32);
    assert_int_equal(stat(keys, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_true(vault_permissions_ok(v, &e));
    /* V2 */
    assert_int_equal(chmod(key, 0640), 0);
    assert_false(vault_permissions_ok(v, &e));
    assert_int_equal(e.code, ERR_NO_KEY);
    assert_null(vault_open(dir, true, &e));
    assert_int_equal(e.code, ERR_NO_KEY);
    assert_int_equal(chmod(key, 0600), 0);
    assert_int_equal(chmod(keys, 0755), 0);
    assert_null(vault_open(dir, true, &e));
    assert_int_equal(e.code, ERR_NO_KEY);
    assert_int_equal(chmod(keys, 0700), 0);
    /* A cut key is refused and never replaced. */
    assert_int_equal(truncate(key, 31), 0);
    assert_null(vault_open(dir, true, &e));
    assert_int_equal(e.code, ERR_NO_KEY);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_size, 31);
    vault_close(v);
    free(key);
    free(keys);
    remove_dir(dir);
}

/* RFC 8032, section 7.1, tests 1 and 3. */
static void test_signature_vectors(void **state)
{
    (void)state;
    static const char *const vectors[][3] = {
        {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701"
         "cf9"
         "b46bd25bf5f0595bbe24655141438e7a100b"},
        {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f7609"
         "84d"
         "c6594a7c15e9716ed28dc027beceea1ec40a"}};
    for (int i = 0; i < 2; i++) {
        uint8_t key[VAULT_KEY], text[8], signature[VAULT_SIGNATURE];
        size_t len = strlen(vectors[i][1]) / 2;
        assert_int_equal(text_unhex(vectors[i][0], key, sizeof key), 0);
        assert_int_equal(text_unhex(vectors[i][1], text, len), 0);
        assert_int_equal(text_unhex(vectors[i][2], signature, sizeof signature), 0);
        assert_true(vault_signature_ok(key, text, len, signature));
        for (size_t bit = 0; bit < 8 * VAULT_SIGNATURE; bit++) {
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(vault_signature_ok(key, text, len, signature));
            signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void test_wycheproof_signatures(void **state)
{
    (void)state;
    json_t *all = wycheproof("ed25519_test.json"), *group, *test;
    size_t i, k;
    int count = 0;
    if (!all)
        skip();
    json_array_foreach(json_object_get(all, "testGroups"), i, group)
    {
        uint8_t key[VAULT_KEY], signature[VAULT_SIGNATURE], text[1024];
        const char *pk =
            json_string_value(json_object_get(json_object_get(group, "publicKey"), "pk"));
        assert_int_equal(text_unhex(pk, key, sizeof key), 0);
        json_array_foreach(json_object_get(group, "tests"), k, test)
        {
            const char *msg = json_string_value(json_object_get(test, "msg"));
            bool good = strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0;
            bool whole = text_unhex(json_string_value(json_object_get(test, "sig")), signature,
                                    sizeof signature) == 0; /* others have another length */
            assert_int_equal(text_unhex(msg, text, strlen(msg) / 2), 0);
            assert_int_equal(whole && vault_signature_ok(key, text, strlen(msg) / 2, signature),
                             good);
            count++;
        }
    }
    assert_true(count > 100);
    json_decref(all);
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"Zg",    "Zg=",  "Zh==", "Zg==\n",
                                      " Zg==", "Zm9=", "Z-==", "===="};
    uint8_t out[8];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        size_t len = strlen(pairs[i][0]);
        char text[VAULT_BASE64(8)];
        vault_base64(pairs[i][0], len, text);
        assert_string_equal(text, pairs[i][1]);
        assert_int_equal(vault_unbase64(text, strlen(text), out, sizeof out), len);
        assert_memory_equal(out, pairs[i][0], len);
        if (len)
            assert_int_equal(vault_unbase64(text, strlen(text), out, len - 1), -1);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(vault_unbase64(bad[i], strlen(bad[i]), out, sizeof out), -1);
}

static void name_it(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    char hex[2 * VAULT_KEY + 1];
    text_hex(public_key, VAULT_KEY, hex);
    snprintf(line, VAULT_LABEL, "%s %s", (char *)arg, hex);
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    int c = fgetc(f);
    fseek(f, at, SEEK_SET);
    fputc(c ^ 4, f);
    fclose(f);
}

/* G1, G2: made once, opened again, every byte of its files counts. */
static void test_signer(void **state)
{
    (void)state;
    char *dir = make_dir(), *key = xasprintf("%s/keys/checkpoint.key", dir);
    char *public_file = xasprintf("%s/keys/checkpoint.pub", dir), line[VAULT_LABEL];
    uint8_t signature[VAULT_SIGNATURE];
    struct error e = {0};
    struct stat st;
    struct vault *v = vault_open(dir, true, &e);
    assert_null(vault_signer_open(v, NULL, NULL, &e)); /* nothing is made unasked */
    assert_int_equal(e.code, ERR_NO_KEY);
    assert_int_equal(stat(key, &st), -1);
    e = (struct error){0};
    struct vault_signer *s = vault_signer_open(v, name_it, "first", &e);
    assert_non_null(s);
    assert_int_equal(e.code, ERR_OK);
    vault_sign(s, "text", 4, signature);
    assert_true(vault_signature_ok(vault_signer_public(s), "text", 4, signature));
    assert_false(vault_signature_ok(vault_signer_public(s), "texT", 4, signature));
    name_it("first", vault_signer_public(s), line);
    assert_string_equal(vault_signer_line(s), line);
    assert_int_equal(stat(key, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    long size = (long)st.st_size;
    struct vault_signer *again = vault_signer_open(v, name_it, "second", &e);
    assert_string_equal(vault_signer_line(again), line);
    vault_signer_free(again);
    for (long at = 0; at < size; at++) {
        flip(key, at);
        assert_null(vault_signer_open(v, name_it, "third", &e));
        bool kek = at > (long)strlen(line) && at <= (long)strlen(line) + VAULT__KEK_ID;
        assert_int_equal(e.code, kek ? ERR_NO_KEY : ERR_TAMPERED);
        flip(key, at);
    }
    assert_int_equal(stat(public_file, &st), 0);
    for (long at = 0; at < (long)st.st_size; at++) {
        flip(public_file, at);
        assert_null(vault_signer_open(v, name_it, "third", &e));
        assert_int_equal(e.code, ERR_TAMPERED);
        flip(public_file, at);
    }
    assert_int_equal(unlink(public_file), 0); /* made again from the other one */
    again = vault_signer_open(v, NULL, NULL, &e);
    assert_non_null(again);
    vault_signer_free(again);
    assert_int_equal(stat(public_file, &st), 0);
    assert_int_equal(chmod(key, 0644), 0);
    assert_null(vault_signer_open(v, name_it, "third", &e));
    assert_int_equal(e.code, ERR_NO_KEY);
    vault_signer_free(s);
    vault_close(v);
    free(key);
    free(public_file);
    remove_dir(dir);
}

static void test_secret(void **state)
{
    (void)state;
    struct error e = {0};
    setenv("MCPC_TEST_SECRET", "s3cret", 1);
    struct vault_text secret = {0};
    assert_int_equal(vault_text_get(NULL, "env:MCPC_TEST_SECRET", &secret, &e), ERR_OK);
    assert_string_equal(secret.text, "s3cret");
    assert_int_equal(secret.len, 6);
    vault_text_wipe(&secret);
    assert_null(secret.text);
    assert_int_equal(vault_text_get(NULL, "env:MCPC_TEST_ABSENT", &secret, &e), ERR_NOT_FOUND);
    assert_int_equal(vault_text_get(NULL, "sk-literal", &secret, &e), ERR_CONFIG);
    assert_null(strstr(e.detail, "sk-literal"));
    assert_int_equal(vault_text_get(NULL, "env:", &secret, &e), ERR_CONFIG);
    assert_int_equal(vault_text_get(NULL, "secret:../key", &secret, &e), ERR_CONFIG);
    assert_int_equal(vault_text_get(NULL, "secret:none", &secret, &e), ERR_NOT_FOUND);
    vault_text_wipe(&secret);
}

int main(void)
{
    vault_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_aead_vector),
        cmocka_unit_test(test_wycheproof_hmac),
        cmocka_unit_test(test_wycheproof_aead),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_seal),
        cmocka_unit_test(test_key_file),
        cmocka_unit_test(test_signature_vectors),
        cmocka_unit_test(test_wycheproof_signatures),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_signer),
        cmocka_unit_test(test_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
