/* The vault's secrets: sealed, found again, forgotten, carried over by a rotation; references. */
#include "backend/base/conf.h"
#include "backend/compliance/compliance.h"
#include "backend/vault/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct place {
    char *dir;
    struct vault *vault;
};

static void open_place(struct place *p)
{
    struct error e = {0};
    p->dir = xasprintf("%s/mcpc-secrets-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(p->dir));
    p->vault = vault_open(p->dir, true, &e);
    assert_non_null(p->vault);
}

static void shut_place(struct place *p)
{
    vault_close(p->vault);
    char *command = xasprintf("rm -rf '%s'", p->dir);
    assert_int_equal(system(command), 0);
    free(command);
    free(p->dir);
}

static enum err set(struct vault *v, const char *name, const char *value)
{
    struct error e = {0};
    struct vault_text text = vault_text_of(value, strlen(value));
    enum err code = vault_secret_set(v, name, &text, &e);
    vault_text_wipe(&text);
    return code;
}

static void is(struct vault *v, const char *reference, const char *value)
{
    struct error e = {0};
    struct vault_text text = {0};
    if (vault_text_get(v, reference, &text, &e) != ERR_OK)
        fail_msg("%s: %s", reference, e.detail);
    assert_string_equal(text.text, value);
    assert_int_equal(text.len, strlen(value));
    vault_text_wipe(&text);
}

static enum err wrong(struct vault *v, const char *reference)
{
    struct error e = {0};
    struct vault_text text = {0};
    enum err code = vault_text_get(v, reference, &text, &e);
    assert_null(text.text);
    assert_int_equal(code, e.code);
    return code;
}

static char *slurp(const struct place *p, const char *name, size_t *len)
{
    char *path = xasprintf("%s/keys/%s", p->dir, name), *text = xcalloc(1 << 20, 1);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    *len = fread(text, 1, (1 << 20) - 1, f);
    fclose(f);
    free(path);
    return text;
}

static void spill(const struct place *p, const char *name, const char *text, size_t len)
{
    char *path = xasprintf("%s/keys/%s", p->dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    fclose(f);
    free(path);
}

static void count_row(void *arg, const char *name, int64_t set_at)
{
    struct buf *names = arg;
    buf_addf(names, "%s ", name);
    assert_true(set_at > 1500000000000);
}

static void test_set_get_remove(void **state)
{
    (void)state;
    struct place p;
    struct buf names = {0};
    struct error e = {0};
    size_t len;
    open_place(&p);
    assert_int_equal(wrong(p.vault, "secret:token"), ERR_NOT_FOUND);
    assert_int_equal(set(p.vault, "token", "value-number-one"), ERR_OK);
    assert_int_equal(set(p.vault, "b.c", "x"), ERR_OK);
    assert_int_equal(set(p.vault, "A", "\xd0\xbf\xd0\xb0\xd1\x80"), ERR_OK);
    is(p.vault, "secret:token", "value-number-one");
    is(p.vault, "secret:b.c", "x");
    assert_int_equal(set(p.vault, "token", "value-number-two"), ERR_OK);
    is(p.vault, "secret:token", "value-number-two");
    assert_int_equal(vault_secrets_list(p.vault, count_row, &names, &e), ERR_OK);
    assert_string_equal(names.data, "A b.c token ");
    char *file = slurp(&p, "secrets", &len);
    assert_null(memmem(file, len, "value-number", 12));
    free(file);
    vault_close(p.vault); /* another process */
    p.vault = vault_open(p.dir, false, &e);
    is(p.vault, "secret:token", "value-number-two");
    assert_int_equal(vault_secret_remove(p.vault, "token", &e), ERR_OK);
    assert_int_equal(vault_secret_remove(p.vault, "token", &e), ERR_NOT_FOUND);
    assert_int_equal(wrong(p.vault, "secret:token"), ERR_NOT_FOUND);
    is(p.vault, "secret:b.c", "x");
    buf_release(&names);
    shut_place(&p);
}

static void test_names_and_bounds(void **state)
{
    (void)state;
    struct place p;
    struct error e = {0};
    open_place(&p);
    static const char *const bad[] = {"", ".x", "a/b", "a b", "\xd1\x8f", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(set(p.vault, bad[i], "v"), ERR_INVALID);
    assert_int_equal(set(p.vault, "empty", ""), ERR_INVALID);
    char *big = xcalloc(VAULT_SECRET_MAX + 2, 1);
    memset(big, 'x', VAULT_SECRET_MAX);
    assert_int_equal(set(p.vault, "big", big), ERR_OK);
    is(p.vault, "secret:big", big);
    big[VAULT_SECRET_MAX] = 'x';
    assert_int_equal(set(p.vault, "big", big), ERR_INVALID);
    free(big);
    struct vault_text nul = vault_text_of("a\0b", 3);
    assert_int_equal(vault_secret_set(p.vault, "nul", &nul, &e), ERR_INVALID);
    vault_text_wipe(&nul);
    shut_place(&p);
}

/* A line that was moved under another name, a value changed by one bit, a file of another form. */
static void test_tampering(void **state)
{
    (void)state;
    struct place p;
    size_t len;
    open_place(&p);
    assert_int_equal(set(p.vault, "aaa", "first-secret"), ERR_OK);
    assert_int_equal(set(p.vault, "bbb", "second-secret"), ERR_OK);
    char *file = slurp(&p, "secrets", &len), *line = strstr(file, "aaa ");
    assert_non_null(line);
    line[2] = 'c';
    spill(&p, "secrets", file, len);
    assert_int_equal(wrong(p.vault, "secret:aac"), ERR_TAMPERED);
    is(p.vault, "secret:bbb", "second-secret");
    line[2] = 'a';
    char *value = strchr(strchr(line, ' ') + 1, ' ') + 1;
    value[40] = value[40] == 'A' ? 'B' : 'A';
    spill(&p, "secrets", file, len);
    assert_int_equal(wrong(p.vault, "secret:aaa"), ERR_TAMPERED);
    spill(&p, "secrets", file, len - 3);
    assert_int_equal(wrong(p.vault, "secret:bbb"), ERR_TAMPERED);
    char *path = xasprintf("%s/keys/secrets", p.dir);
    spill(&p, "secrets", file, len);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(wrong(p.vault, "secret:bbb"), ERR_NO_KEY);
    free(path);
    free(file);
    shut_place(&p);
}

static void test_rotation(void **state)
{
    (void)state;
    struct place p;
    struct error e = {0};
    int64_t count;
    size_t len;
    open_place(&p);
    assert_int_equal(set(p.vault, "token", "kept-over-rotation"), ERR_OK);
    struct vault *fresh = vault_stage(p.vault, VAULT_FILE, NULL, &e);
    assert_non_null(fresh);
    is(p.vault, "secret:token", "kept-over-rotation");
    is(fresh, "secret:token", "kept-over-rotation");
    assert_int_equal(vault_signers_rewrap(fresh, &count, &e), ERR_OK);
    is(p.vault, "secret:token", "kept-over-rotation");
    assert_int_equal(vault_replace(fresh, &e), ERR_OK);
    assert_int_equal(vault_finish(fresh, &e), ERR_OK);
    /* What still has the old one in hand finds its way. */
    is(p.vault, "secret:token", "kept-over-rotation");
    assert_int_equal(set(p.vault, "later", "set-by-old-hand"), ERR_OK);
    p.vault = fresh;
    char *file = slurp(&p, "secrets", &len);
    assert_non_null(strstr(file, vault_kek_id(fresh)));
    free(file);
    vault_close(p.vault);
    p.vault = vault_open(p.dir, false, &e);
    is(p.vault, "secret:later", "set-by-old-hand");
    is(p.vault, "secret:token", "kept-over-rotation");
    shut_place(&p);
}

static void test_credentials(void **state)
{
    (void)state;
    struct place p;
    open_place(&p);
    char *dir = xasprintf("%s/keys", p.dir);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_int_equal(wrong(NULL, "credential:db"), ERR_NOT_FOUND);
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    spill(&p, "db", "from-systemd\n", 13);
    spill(&p, "none", "\n", 1);
    is(NULL, "credential:db", "from-systemd");
    assert_int_equal(wrong(NULL, "credential:none"), ERR_CONFIG);
    assert_int_equal(wrong(NULL, "credential:absent"), ERR_NOT_FOUND);
    assert_int_equal(wrong(NULL, "credential:../keys/db"), ERR_CONFIG);
    unsetenv("CREDENTIALS_DIRECTORY");
    free(dir);
    shut_place(&p);
}

/* What was resolved is found where it is echoed, also after it was removed. */
static void test_scrubbing(void **state)
{
    (void)state;
    struct place p;
    struct error e = {0};
    open_place(&p);
    pol_set_known(vault_known_in);
    assert_null(pol_scrub_text("the quick brown zebra jumps"));
    assert_int_equal(set(p.vault, "animal", "brown zebra"), ERR_OK);
    is(p.vault, "secret:animal", "brown zebra");
    assert_int_equal(vault_secret_remove(p.vault, "animal", &e), ERR_OK);
    char *clean = pol_scrub_text("the quick brown zebra jumps over a brown zebra");
    assert_string_equal(clean, "the quick [redacted] jumps over a [redacted]");
    free(clean);
    json_t *said = json_pack("{s:[s,s]}", "seen", "a brown zebra.", "a horse");
    json_t *scrubbed = pol_scrub(said);
    assert_string_equal(json_string_value(json_array_get(json_object_get(scrubbed, "seen"), 0)),
                        "a [redacted].");
    json_decref(said);
    json_decref(scrubbed);
    pol_set_known(NULL);
    shut_place(&p);
}

int main(void)
{
    vault_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_get_remove), cmocka_unit_test(test_names_and_bounds),
        cmocka_unit_test(test_tampering),      cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_credentials),    cmocka_unit_test(test_scrubbing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
