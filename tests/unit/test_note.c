/* Signed notes, checkpoints and verifier keys as text; C2SP's own example where MCPC_DATA has it.
 */
#include "backend/provenance/note.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct world {
    char *dir, line[VAULT_LABEL];
    struct vault *vault;
    struct vault_signer *signer;
    struct prov__vkey key;
    struct buf note; /* over five entries */
};

static void name_key(void *arg, const uint8_t public_key[VAULT_KEY], char line[VAULT_LABEL])
{
    struct prov__vkey key;
    (void)arg;
    prov__vkey_make("example.com/log", public_key, &key);
    prov__vkey_write(&key, line);
}

static void sign(const struct world *w, const char *body, struct buf *out)
{
    uint8_t signature[VAULT_SIGNATURE];
    buf_adds(out, body);
    vault_sign(w->signer, body, strlen(body), signature);
    prov__note_sign(&w->key, signature, out);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct prov__head head = {.size = 5};
    struct buf body = {0};
    struct error e = {0};
    w->dir = xasprintf("%s/mcpc-note-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->vault = vault_open(w->dir, true, &e);
    w->signer = vault_signer_open(w->vault, name_key, NULL, &e);
    assert_non_null(w->signer);
    assert_true(prov__vkey_read(vault_signer_line(w->signer), &w->key));
    prov__note_body("example.com/log", &head, &body);
    sign(w, body.data, &w->note);
    buf_release(&body);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    char *command = xasprintf("rm -rf '%s'", w->dir);
    int rc = system(command);
    vault_signer_free(w->signer);
    vault_close(w->vault);
    buf_release(&w->note);
    free(command);
    free(w->dir);
    free(w);
    return rc;
}

static void verifier_keys(void **state)
{
    struct world *w = *state;
    struct prov__vkey again;
    const char *good = vault_signer_line(w->signer);
    size_t len = strlen(good);
    assert_true(prov__vkey_read(good, &again));
    assert_memory_equal(again.public_key, vault_signer_public(w->signer), VAULT_KEY);
    /* Name, id and key belong together: no letter of it can be another one. */
    for (size_t i = 0; i < len; i++) {
        char bad[VAULT_LABEL];
        snprintf(bad, sizeof bad, "%s", good);
        bad[i] = bad[i] == 'x' ? 'y' : 'x';
        assert_false(prov__vkey_read(bad, &again));
        bad[i] = '\0';
        assert_false(prov__vkey_read(bad, &again));
    }
    assert_true(prov__vkey_name_ok("example.com/a-b_c"));
    assert_false(prov__vkey_name_ok(""));
    assert_false(prov__vkey_name_ok("a b"));
    assert_false(prov__vkey_name_ok("a+b"));
    assert_false(prov__vkey_name_ok("a\xc2\xa0"
                                    "b"));
}

static void checkpoint_is_read_and_checked(void **state)
{
    struct world *w = *state;
    struct prov__checkpoint c;
    assert_null(prov__note_read(w->note.data, w->note.len, &c));
    assert_int_equal(c.head.size, 5);
    assert_int_equal(prov__note_length(w->note.data, w->note.len), w->note.len);
    assert_int_equal(prov__note_check(&c, &w->key), PROV__SIGNED);
    struct prov__vkey other = w->key;
    other.id[0] ^= 1; /* a line for a key that we do not know is passed over */
    assert_int_equal(prov__note_check(&c, &other), PROV__UNSIGNED);
    other = w->key;
    other.public_key[0] ^= 1; /* the same name and id, another key */
    assert_int_equal(prov__note_check(&c, &other), PROV__FORGED);
    /* A second signature by somebody else changes nothing; a forged one of ours does. */
    struct buf two = {0};
    buf_add(&two, w->note.data, w->note.len);
    buf_adds(&two, "\xe2\x80\x94 witness.example AAAAAAEC\n");
    assert_null(prov__note_read(two.data, two.len, &c));
    assert_int_equal(prov__note_check(&c, &w->key), PROV__SIGNED);
    const char *first = strstr(w->note.data, "\xe2\x80\x94");
    char *forged = xstrdup(first);
    char *digit = forged + strlen(forged) - 8;
    *digit = *digit == 'A' ? 'B' : 'A';
    buf_adds(&two, forged);
    assert_null(prov__note_read(two.data, two.len, &c));
    assert_int_equal(prov__note_check(&c, &w->key), PROV__FORGED);
    free(forged);
    buf_release(&two);
}

/* No bit of a note can be another one and the note still count as signed. */
static void changed_notes_do_not_count(void **state)
{
    struct world *w = *state;
    for (size_t bit = 0; bit < 8 * w->note.len; bit++) {
        struct prov__checkpoint c;
        w->note.data[bit / 8] ^= (char)(1 << bit % 8);
        if (prov__note_read(w->note.data, w->note.len, &c) == NULL)
            assert_int_not_equal(prov__note_check(&c, &w->key), PROV__SIGNED);
        w->note.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t len = 0; len < w->note.len; len++) {
        struct prov__checkpoint c;
        char *cut = xstrndup(w->note.data, len);
        assert_non_null(prov__note_read(cut, len, &c));
        assert_int_equal(prov__note_length(cut, len), 0);
        free(cut);
    }
}

static void forms_that_are_refused(void **state)
{
    struct world *w = *state;
    static const char root[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    static const struct {
        const char *body;
        bool ok;
    } forms[] = {{"o\n0\n%s\n", true},
                 {"o\n5\n%s\nextension\n", true},
                 {"o\n05\n%s\n", false},
                 {"o\n-5\n%s\n", false},
                 {"o\n+5\n%s\n", false},
                 {"o\n\n%s\n", false},
                 {"\n5\n%s\n", false},
                 {"o\n5 \n%s\n", false},
                 {"o\n5\n %s\n", false},
                 {"o\n5\n%s=\n", false},
                 {"o\n5\nAA%s\n", false},
                 {"o\n5\n\n%s\n", false},
                 {"o\r\n5\n%s\n", false},
                 {"o\t\n5\n%s\n", false},
                 {"o\xff\n5\n%s\n", false},
                 {"o\n5\n", false},
                 {"o\n1000000000000000000\n%s\n", false}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct prov__checkpoint c;
        struct buf body = {0}, note = {0};
        for (const char *at = forms[i].body; *at; at++)
            if (*at == '%')
                buf_adds(&body, root), at++;
            else
                buf_addc(&body, *at);
        sign(w, body.data, &note);
        if ((prov__note_read(note.data, note.len, &c) == NULL) != forms[i].ok)
            fail_msg("form %zu", i);
        if (forms[i].ok)
            assert_int_equal(prov__note_check(&c, &w->key), PROV__SIGNED);
        buf_release(&body);
        buf_release(&note);
    }
    struct prov__checkpoint c;
    static const char unsigned_note[] = "o\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n";
    assert_non_null(prov__note_read(unsigned_note, sizeof unsigned_note - 1, &c));
}

/* C2SP signed-note.md: the example key verifies the example note. */
static void published_example(void **state)
{
    (void)state;
    const char *data = getenv("MCPC_DATA");
    char *path = data ? xasprintf("%s/vectors/c2sp/signed-note.md", data) : NULL, text[65536];
    FILE *f = path ? fopen(path, "re") : NULL;
    free(path);
    if (!f)
        skip();
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    struct prov__vkey key;
    char *vkey = strstr(text, "example.com/foo+"),
         *body = strstr(text, "This is an example message.");
    char *end = body ? strstr(body, "```") : NULL;
    assert_non_null(vkey);
    assert_non_null(end);
    *strchr(vkey, '\n') = '\0';
    *end = '\0';
    assert_true(prov__vkey_read(vkey, &key));
    size_t len = prov__note_length(body, strlen(body));
    assert_int_equal(len, strlen(body));
    /* It is no checkpoint, but it is signed as one. */
    char *lines = strstr(body, "\n\n");
    struct prov__checkpoint c = {
        .body = {body, (size_t)(lines + 1 - body)},
        .signatures = {lines + 2, strlen(lines + 2)},
    };
    assert_int_equal(prov__note_check(&c, &key), PROV__SIGNED);
    body[0] ^= 1;
    assert_int_equal(prov__note_check(&c, &key), PROV__FORGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifier_keys),
        cmocka_unit_test(checkpoint_is_read_and_checked),
        cmocka_unit_test(changed_notes_do_not_count),
        cmocka_unit_test(forms_that_are_refused),
        cmocka_unit_test(published_example),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
