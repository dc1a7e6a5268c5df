/* The master key at rest (master.c, creds.c) and the files of its rotation (V3, stage.c). */
#include "backend/vault/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int set_up(void **state)
{
    char *dir = xasprintf("%s/mcpc-master-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(dir));
    unsetenv("CREDENTIALS_DIRECTORY");
    *state = dir;
    return 0;
}

static int tear_down(void **state)
{
    char *command = xasprintf("rm -rf '%s'", (char *)*state);
    int rc = system(command);
    free(command);
    free(*state);
    return rc;
}

static char *in_keys(const char *dir, const char *name)
{
    return xasprintf("%s/keys/%s", dir, name);
}

static bool there(const char *dir, const char *name)
{
    struct stat st;
    char *path = in_keys(dir, name);
    bool found = lstat(path, &st) == 0;
    free(path);
    return found;
}

static size_t slurp(const char *dir, const char *name, char *out, size_t max)
{
    char *path = in_keys(dir, name);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(out, 1, max, f) : 0;
    if (f)
        fclose(f);
    free(path);
    return n;
}

static void spill(const char *dir, const char *name, const char *bytes, size_t len)
{
    char *path = in_keys(dir, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    free(path);
}

static struct vault_pass *pass_of(const char *text)
{
    struct vault_pass *p = vault_pass_new(text, strlen(text), NULL);
    assert_non_null(p);
    return p;
}

static struct vault *open_as(const char *dir, enum vault_seal seal, struct vault_pass *pass,
                             struct error *e)
{
    struct vault_options o = {.state_dir = dir, .create = true, .seal = seal, .pass = pass};
    *e = (struct error){0};
    return vault_open_as(&o, e);
}

static void test_passphrase(void **state)
{
    const char *dir = *state;
    char text[VAULT__MASTER_MAX], id[VAULT__KEK_ID + 1];
    struct error e;
    struct vault__master m;
    enum vault_seal seal;
    assert_null(open_as(dir, VAULT_PASSPHRASE, NULL, &e)); /* none was given: nothing is made */
    assert_int_equal(e.code, ERR_PASSPHRASE);
    assert_false(there(dir, "master.key"));
    struct vault_pass *pass = pass_of("correct horse");
    struct vault *v = open_as(dir, VAULT_PASSPHRASE, pass, &e);
    assert_non_null(v);
    memcpy(id, vault_kek_id(v), sizeof id);
    size_t len = slurp(dir, "master.key", text, sizeof text);
    assert_null(memmem(text, len, v->master, VAULT_KEY));
    assert_null(vault__master_read(text, len, &m));
    assert_int_equal(m.passes, 3); /* RFC 9106, section 4 */
    assert_int_equal(m.kibibytes, 64 * 1024);
    vault_close(v);
    vault_pass_free(pass);
    assert_int_equal(vault_seal_of(dir, &seal, &e), ERR_OK);
    assert_int_equal(seal, VAULT_PASSPHRASE);
    pass = pass_of("correct horse ");
    assert_null(open_as(dir, VAULT_FILE, pass, &e));
    assert_int_equal(e.code, ERR_PASSPHRASE);
    vault_pass_free(pass);
    pass = pass_of("correct horse");
    v = open_as(dir, VAULT_FILE, pass, &e);
    assert_non_null(v);
    assert_string_equal(vault_kek_id(v), id);
    assert_int_equal(vault_sealed_by(v), VAULT_PASSPHRASE);
    vault_close(v);
    vault_pass_free(pass);
    assert_null(vault_pass_new("", 0, &e));
    assert_null(vault_pass_new(text, VAULT_PASS_MAX + 1, &e));
}

/* Each byte of the file counts: it is another form, or it does not open. */
static void test_every_byte(void **state)
{
    const char *dir = *state;
    char text[VAULT__MASTER_MAX];
    struct error e;
    struct vault__master was, m;
    struct vault_pass *pass = pass_of("p"), *wiped = pass_of("p");
    vault_close(open_as(dir, VAULT_PASSPHRASE, pass, &e));
    size_t len = slurp(dir, "master.key", text, sizeof text), opened = 0;
    assert_null(vault__master_read(text, len, &was));
    for (size_t at = 0; at < len; at++) {
        text[at] ^= 1;
        if (vault__master_read(text, len, &m) == NULL) {
            spill(dir, "master.key", text, len);
            /* The derived key at hand: another salt asks for the text, which is gone. */
            assert_null(open_as(dir, VAULT_FILE, pass, &e));
            if (e.code != ERR_PASSPHRASE)
                fail_msg("byte %zu: %s", at, e.detail);
            opened++;
        }
        text[at] ^= 1;
    }
    assert_true(opened > 100); /* most bytes are hex or base64, and the form stays */
    for (size_t cut = 0; cut < len; cut++)
        assert_true(cut == VAULT_KEY || vault__master_read(text, cut, &m) != NULL);
    char *salt = (char *)memmem(text, len, "salt ", 5) + 5;
    *salt = *salt == '0' ? '1' : '0';
    spill(dir, "master.key", text, len);
    assert_null(open_as(dir, VAULT_FILE, wiped, &e)); /* really derived anew */
    assert_int_equal(e.code, ERR_PASSPHRASE);
    vault_pass_free(pass);
    vault_pass_free(wiped);
}

static void test_bounds(void **state)
{
    (void)state;
    static const char *const refused[] = {"0 65536 1",  "17 65536 1",   "3 8191 1",  "3 1048577 1",
                                          "3 65536 2",  "03 65536 1",   "3 65536",   "3 65536 1 1",
                                          "3  65536 1", "3 99999999 1", "-3 65536 1"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct vault__master m;
        char *text =
            xasprintf("mcp-console master key 1\nseal passphrase\nkek_id 0123456789abcdef\n"
                      "kdf argon2id %s\nsalt 00112233445566778899aabbccddeeff\nkey ",
                      refused[i]);
        char *whole =
            xasprintf("%s%.*s\n", text, VAULT_BASE64(VAULT_WRAP) - 1,
                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                      "AAAAAAAAAAAAAAAAAAAAAAAA");
        assert_non_null(vault__master_read(whole, strlen(whole), &m));
        free(whole);
        free(text);
    }
}

/* A program of that name, first in PATH. */
static void fake_creds(const char *dir, const char *script)
{
    char *path = xasprintf("%s/systemd-creds", dir), *paths = xasprintf("%s:/usr/bin:/bin", dir);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    fputs(script, f);
    fclose(f);
    assert_int_equal(chmod(path, 0700), 0);
    setenv("PATH", paths, 1);
    free(path);
    free(paths);
}

static const char good[] =
    "#!/bin/sh\n[ \"$2 $3 $4\" = '--name=mcp-console.master - -' ] || exit 9\n"
    "case $1 in encrypt) base64 -w 40;; decrypt) base64 -d;; esac\n";

static void test_creds(void **state)
{
    const char *dir = *state;
    char *path = xstrdup(getenv("PATH")), id[VAULT__KEK_ID + 1], key[VAULT_KEY];
    struct error e;
    setenv("PATH", dir, 1);
    assert_null(open_as(dir, VAULT_CREDS, NULL, &e)); /* there is no such program */
    assert_int_equal(e.code, ERR_UNSUPPORTED);
    assert_false(there(dir, "master.key"));
    fake_creds(dir, "#!/bin/sh\ncat >/dev/null\necho 'no\033 TPM' >&2\nexit 1\n");
    assert_null(open_as(dir, VAULT_CREDS, NULL, &e));
    assert_int_equal(e.code, ERR_UPSTREAM);
    assert_non_null(strstr(e.detail, "no? TPM"));
    fake_creds(dir, "#!/bin/sh\ncat >/dev/null\necho 'what is \"this\"'\n");
    assert_null(open_as(dir, VAULT_CREDS, NULL, &e));
    assert_int_equal(e.code, ERR_UPSTREAM);
    fake_creds(dir, good);
    struct vault *v = open_as(dir, VAULT_CREDS, NULL, &e);
    if (!v)
        fail_msg("%s", e.detail);
    assert_int_equal(vault_sealed_by(v), VAULT_CREDS);
    memcpy(id, vault_kek_id(v), sizeof id);
    memcpy(key, v->master, sizeof key);
    vault_close(v);
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_string_equal(vault_kek_id(v), id);
    vault_close(v);
    /* another key than the file says; too short; too long */
    static const char *const bad[] = {"#!/bin/sh\nhead -c 32 /dev/zero\n", "#!/bin/sh\necho x\n",
                                      "#!/bin/sh\ncat >/dev/null\nhead -c 99999 /dev/zero\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fake_creds(dir, bad[i]);
        assert_null(open_as(dir, VAULT_FILE, NULL, &e));
        assert_int_equal(e.code, ERR_NO_KEY);
    }
    /* as systemd hands it over: no program is needed */
    setenv("PATH", "/nonexistent", 1);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    char *given = xasprintf("%s/mcp-console.master", dir);
    FILE *f = fopen(given, "we");
    assert_int_equal(fwrite(key, 1, sizeof key, f), sizeof key);
    fclose(f);
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_non_null(v);
    assert_true(vault_from_credential(v));
    assert_string_equal(vault_kek_id(v), id);
    vault_close(v);
    unsetenv("CREDENTIALS_DIRECTORY");
    setenv("PATH", path, 1);
    free(given);
    free(path);
}

/* Both keys open what either wraps, whichever of them the process began with. */
static void unwraps_both(struct vault *v, const char *ids[2], uint8_t wraps[2][VAULT_WRAP])
{
    for (int i = 0; i < 2; i++) {
        struct error e = {0};
        struct vault *of = vault_for(v, ids[i]);
        assert_non_null(of);
        struct vault_key *k = vault_key_unwrap(of, "s", wraps[i], VAULT_WRAP, &e);
        assert_non_null(k);
        vault_key_free(k);
    }
}

struct rotated { /* a rotation as it went on, and the wraps of both keys */
    char id[2][VAULT__KEK_ID + 1];
    uint8_t wraps[2][VAULT_WRAP];
};

static struct vault *staged(const char *dir, struct rotated *r)
{
    struct error e;
    struct vault *v = open_as(dir, VAULT_FILE, NULL, &e);
    struct vault *next = vault_stage(v, VAULT_FILE, NULL, &e);
    assert_non_null(next);
    struct vault *both[] = {v, next};
    for (int i = 0; i < 2; i++) {
        memcpy(r->id[i], vault_kek_id(both[i]), sizeof r->id[i]);
        vault_key_free(vault_key_new(both[i], "s", r->wraps[i]));
    }
    assert_null(vault_stage(v, VAULT_FILE, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    return v;
}

static void test_rotation(void **state)
{
    const char *dir = *state;
    struct error e;
    struct rotated r;
    struct vault *v = staged(dir, &r);
    const char *ids[] = {r.id[0], r.id[1]};
    unwraps_both(v, ids, r.wraps);
    vault_close(v); /* a crash here: the old one is in master.key */
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_int_equal(vault_step(v), VAULT_STAGED);
    assert_false(vault_is_new(v));
    assert_string_equal(vault_kek_id(v), r.id[0]);
    unwraps_both(v, ids, r.wraps);
    assert_int_equal(vault_replace(v, &e), ERR_OK);
    assert_true(there(dir, "master.key.old"));
    vault_close(vault_partner(v)); /* a crash again; either closes both */
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_int_equal(vault_step(v), VAULT_REPLACED);
    assert_true(vault_is_new(v));
    assert_string_equal(vault_kek_id(v), r.id[1]);
    unwraps_both(v, ids, r.wraps);
    assert_int_equal(vault_finish(v, &e), ERR_OK);
    assert_false(there(dir, "rotation") || there(dir, "master.key.old") ||
                 there(dir, "master.key.next"));
    assert_null(vault_partner(v));
    struct vault *third = vault_stage(v, VAULT_FILE, NULL, &e); /* and once more in this process */
    assert_non_null(third);
    assert_int_equal(vault_replace(v, &e), ERR_OK);
    assert_int_equal(vault_finish(third, &e), ERR_OK);
    assert_ptr_equal(vault_for(v, vault_kek_id(third)), third);
    vault_close(third);
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_null(vault_for(v, r.id[0])); /* gone for good */
    assert_null(vault_for(v, r.id[1]));
    vault_close(v);
}

static void test_unstage(void **state)
{
    const char *dir = *state;
    struct error e;
    struct rotated r;
    struct vault *v = staged(dir, &r);
    assert_int_equal(vault_unstage(v, &e), ERR_OK);
    assert_false(there(dir, "rotation") || there(dir, "master.key.next"));
    assert_null(vault_partner(v));
    vault_close(v);
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_string_equal(vault_kek_id(v), r.id[0]);
    assert_int_equal(vault_step(v), VAULT_STEADY);
    vault_close(v);
}

/* The staged file is gone, `rotation` is not: the new key must not take a place that nothing holds.
 */
static void test_staged_file_lost(void **state)
{
    const char *dir = *state;
    struct error e;
    struct rotated r;
    vault_close(staged(dir, &r));
    char *next = in_keys(dir, "master.key.next");
    assert_int_equal(unlink(next), 0);
    struct vault *v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_int_equal(vault_step(v), VAULT_STAGED);
    assert_int_equal(vault_replace(v, &e), ERR_NO_KEY);
    assert_int_equal(vault_step(v), VAULT_STAGED);
    assert_int_equal(vault_unstage(v, &e), ERR_OK);
    vault_close(v);
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_string_equal(vault_kek_id(v), r.id[0]);
    vault_close(v);
    free(next);
}

/* A file half made, left by a crash, whose other name has become the key in use. */
static void test_other_name(void **state)
{
    const char *dir = *state;
    struct error e;
    struct vault *v = open_as(dir, VAULT_FILE, NULL, &e);
    char id[VAULT__KEK_ID + 1];
    memcpy(id, vault_kek_id(v), sizeof id);
    char *key = in_keys(dir, "master.key"), *half = in_keys(dir, "master.key.next.123");
    assert_int_equal(link(key, half), 0);
    vault_close(v);
    v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_non_null(v);
    vault_close(v);
    v = open_as(dir, VAULT_FILE, NULL, &e); /* its bytes are still those */
    assert_string_equal(vault_kek_id(v), id);
    assert_false(there(dir, "master.key.next.123"));
    vault_close(v);
    free(key);
    free(half);
}

/* What a crash leaves between two files of one step. */
static void test_remains(void **state)
{
    const char *dir = *state;
    char text[1024];
    struct error e;
    struct rotated r;
    vault_close(staged(dir, &r));
    size_t len = slurp(dir, "rotation", text, sizeof text);
    for (size_t at = 0; at < len; at += 7) {
        text[at] ^= 1;
        spill(dir, "rotation", text, len);
        struct vault *v = open_as(dir, VAULT_FILE, NULL, &e); /* never a key that is not the one */
        if (v) {
            assert_string_equal(vault_kek_id(v), r.id[0]);
            assert_string_equal(vault_kek_id(vault_partner(v)), r.id[1]);
            vault_close(v);
        }
        text[at] ^= 1;
    }
    char *path = in_keys(dir, "rotation"), *old = in_keys(dir, "master.key.old");
    char *key = in_keys(dir, "master.key"), *half = in_keys(dir, "master.key.12345");
    assert_int_equal(unlink(path), 0); /* before it was written: the staged key goes */
    assert_int_equal(link(key, old), 0);
    assert_int_equal(link(key, half), 0);
    struct vault *v = open_as(dir, VAULT_FILE, NULL, &e);
    assert_non_null(v);
    assert_string_equal(vault_kek_id(v), r.id[0]); /* its other names are gone, not its bytes */
    assert_false(there(dir, "master.key.next") || there(dir, "master.key.old") ||
                 there(dir, "master.key.12345"));
    vault_close(v);
    free(path);
    free(old);
    free(key);
    free(half);
}

/* The passphrase changes with the key: until the end either of them opens both. */
static void test_other_passphrase(void **state)
{
    const char *dir = *state;
    struct error e;
    struct vault_pass *before = pass_of("before"), *after = pass_of("after");
    struct vault *v = open_as(dir, VAULT_PASSPHRASE, before, &e);
    struct vault *next = vault_stage(v, VAULT_PASSPHRASE, after, &e);
    assert_non_null(next);
    char *ids[] = {xstrdup(vault_kek_id(v)), xstrdup(vault_kek_id(next))};
    vault_close(v);
    v = open_as(dir, VAULT_FILE, after, &e);
    assert_non_null(v);
    assert_int_equal(vault_step(v), VAULT_STAGED);
    assert_string_equal(vault_kek_id(v), ids[0]);
    assert_string_equal(vault_kek_id(vault_partner(v)), ids[1]);
    assert_int_equal(vault_replace(v, &e), ERR_OK);
    next = vault_partner(v);
    assert_int_equal(vault_finish(v, &e), ERR_OK);
    vault_close(next);
    assert_null(open_as(dir, VAULT_FILE, before, &e));
    assert_int_equal(e.code, ERR_PASSPHRASE);
    v = open_as(dir, VAULT_FILE, after, &e);
    assert_string_equal(vault_kek_id(v), ids[1]);
    vault_close(v);
    vault_pass_free(before);
    vault_pass_free(after);
    free(ids[0]);
    free(ids[1]);
}

int main(void)
{
    vault_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_passphrase, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_byte, set_up, tear_down),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test_setup_teardown(test_creds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rotation, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unstage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_staged_file_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_remains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_passphrase, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
