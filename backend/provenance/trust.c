/* Keys of checkpoints and the ranges they are trusted for.
 *
 * Invariants
 * T1 Each row of signing_keys but the first carries a statement by the key before it and by its
 * own: who knows the first key, or holds the last one, need not trust the table. T2 All keys of a
 * log have one name; first sizes ascend. T3 The row and the entry key.rotate that it names are
 * written in one transaction. */
#include "backend/provenance/trust.h"
#include "backend/provenance/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS_MAX = 10000 };

/* ---- the statement ---- */

void prov__handover_body(const struct prov__vkey *old, const struct prov__vkey *fresh,
                         int64_t first, struct buf *out)
{
    char before[VAULT_LABEL], after[VAULT_LABEL];
    prov__vkey_write(old, before);
    prov__vkey_write(fresh, after);
    buf_addf(out, "mcp-console key rotation v1\n%s\n%lld\n%s\n%s\n", old->name, (long long)first,
             before, after);
}

const char *prov__handover_check(const char *note, size_t len, const struct prov__vkey *old,
                                 const struct prov__vkey *fresh, int64_t first)
{
    struct buf body = {0};
    const char *problem = NULL;
    prov__handover_body(old, fresh, first, &body);
    size_t n = body.len;
    bool same = len > n + 1 && memcmp(note, body.data, n) == 0 && note[n] == '\n';
    buf_release(&body);
    if (!same)
        return "it does not say that this key follows that one from there on";
    struct prov__checkpoint c = {.body = {note, n}, .signatures = {note + n + 1, len - n - 1}};
    size_t lines = 0;
    for (size_t i = 0; i < c.signatures.len; i++)
        lines += c.signatures.at[i] == '\n';
    if (lines != 2 || note[len - 1] != '\n')
        problem = "it has not two signatures";
    else if (prov__note_check(&c, old) != PROV__SIGNED)
        problem = "the old key did not sign it";
    else if (prov__note_check(&c, fresh) != PROV__SIGNED)
        problem = "the new key did not sign it";
    return problem;
}

/* ---- the list ---- */

void prov__trust_add(struct prov__trust *t, int64_t first, int64_t entry,
                     const struct prov__vkey *key, const char *note)
{
    t->at = xrealloc(t->at, (t->count + 1) * sizeof *t->at);
    t->at[t->count++] = (struct prov__keyrange){first, entry, *key, note ? xstrdup(note) : NULL};
}

void prov__trust_release(struct prov__trust *t)
{
    for (size_t i = 0; i < t->count; i++)
        free(t->at[i].note);
    free(t->at);
    *t = (struct prov__trust){0};
}

const struct prov__keyrange *prov__trust_of(const struct prov__trust *t, int64_t end)
{
    size_t i = t->count;
    while (i > 1 && t->at[i - 1].first >= end)
        i--;
    return i ? &t->at[i - 1] : NULL;
}

bool prov__trust_has(const struct prov__trust *t, const struct prov__vkey *key)
{
    for (size_t i = 0; i < t->count; i++)
        if (prov__vkey_same(&t->at[i].key, key))
            return true;
    return false;
}

const char *prov__trust_check(const struct prov__trust *t, const struct prov__checkpoint *c,
                              int64_t end, bool *swapped)
{
    const struct prov__keyrange *own = prov__trust_of(t, end);
    bool other = false, right = false;
    for (size_t i = 0; i < t->count; i++) {
        enum prov__signed by = prov__note_check(c, &t->at[i].key);
        if (by == PROV__FORGED)
            return "its signature does not verify";
        right |= by == PROV__SIGNED && &t->at[i] == own;
        other |= by == PROV__SIGNED && &t->at[i] != own;
    }
    if (swapped)
        *swapped = other && !right;
    return right   ? NULL
           : other ? "it is signed by a key that was not trusted for so many entries"
                   : "it is not signed by this log's key";
}

int64_t prov__note_end(const struct prov__epochs *epochs, const struct prov__checkpoint *c)
{
    int64_t number = prov__note_epoch(c->origin), base = 0;
    for (size_t i = 0; i < epochs->count && epochs->at[i].epoch <= number; i++)
        base = epochs->at[i].base;
    return base + c->head.size;
}

/* ---- the table ---- */

static const char *row_problem(const struct prov__trust *t, const struct prov__keyrange *r)
{
    const struct prov__keyrange *last = t->count ? &t->at[t->count - 1] : NULL;
    if (!last)
        return r->first == 0 && !r->note ? NULL : "the first key is not trusted from the first on";
    if (r->first <= last->first || r->entry != r->first)
        return "a key is not trusted from its own entry on";
    if (strcmp(r->key.name, last->key.name) != 0 || prov__trust_has(t, &r->key))
        return "a key has another name, or was one before";
    return r->note ? prov__handover_check(r->note, strlen(r->note), &last->key, &r->key, r->first)
                   : "a key that nobody introduced";
}

static bool take_row(void *arg, const struct store_row *row)
{
    struct prov__trust *t = arg;
    const char *vkey = store_text(row, 1), *problem;
    struct prov__keyrange r = {
        .first = store_int(row, 0), .entry = store_int(row, 2), .note = (char *)store_text(row, 3)};
    problem = vkey && prov__vkey_read(vkey, &r.key) ? row_problem(t, &r) : "it is no verifier key";
    if (problem) {
        snprintf(t->problem, sizeof t->problem, "the key for more than %lld entries: %s",
                 (long long)r.first, problem);
        return false;
    }
    prov__trust_add(t, r.first, r.entry, &r.key, r.note);
    return t->count < KEYS_MAX;
}

enum err prov__trust_load(struct prov__trust *t, struct store_db *db, struct error *e)
{
    *t = (struct prov__trust){0};
    return store_query(
        db, e, take_row, t,
        "SELECT first, vkey, coalesce(entry, -1), note FROM signing_keys ORDER BY first", "");
}

/* ---- the file ---- */

static void write_text(const struct prov__trust *t, size_t count, struct buf *out)
{
    char line[VAULT_LABEL];
    for (size_t i = 0; i < count; i++) {
        prov__vkey_write(&t->at[i].key, line);
        buf_addf(out, "%lld %s\n", (long long)t->at[i].first, line);
    }
    for (size_t i = 1; i < count; i++)
        buf_addf(out, "\n%s", t->at[i].note);
}

/* What the file holds, at most max bytes of it. NOT_FOUND if there is none, IO if it cannot be
 * read; what is no file holds nothing. */
static enum err read_text(const char *dir, size_t max, struct buf *out, struct error *e)
{
    char *path = xasprintf("%s/keys/trusted", dir);
    enum err code = ERR_OK;
    buf_reserve(out, max);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? 1 : -1;
    for (; n > 0 && out->len<max; out->len += n> 0 ? (size_t)n : 0)
        n = read(fd, out->data + out->len, max - out->len);
    if (fd < 0 && errno == ENOENT)
        code = ERR_NOT_FOUND;
    else if (n < 0 && errno != ELOOP && errno != EISDIR && errno != ENXIO && errno != ENOTDIR)
        code = err_set_errno(e, "cannot read", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return code;
}

/* How many of the keys the file lists, the first ones; 0 if there is no file. TAMPERED if it says
 * something else, IO. */
static enum err listed(const struct prov__trust *t, const char *dir, size_t *count, struct error *e)
{
    struct buf want = {0}, found = {0};
    *count = 0;
    write_text(t, t->count, &want);
    enum err code = read_text(dir, want.len + 1, &found, e);
    for (size_t n = t->count; n > 0 && code == ERR_OK && !*count; n--) {
        buf_clear(&want);
        write_text(t, n, &want);
        if (want.len == found.len && memcmp(want.data, found.data, want.len) == 0)
            *count = n;
    }
    buf_release(&want);
    buf_release(&found);
    if (code == ERR_OK && !*count)
        return err_set(e, ERR_TAMPERED, "keys/trusted does not list the keys that the log names");
    return code == ERR_NOT_FOUND ? ERR_OK : code;
}

enum err prov__trusted_check(const struct prov__trust *t, const char *dir, struct error *e)
{
    size_t count;
    return t->count == 0 ? ERR_OK : listed(t, dir, &count, e);
}

enum err prov__trusted_write(const struct prov__trust *t, const char *dir, struct error *e)
{
    struct buf text = {0};
    size_t count = 0;
    enum err code = t->count ? listed(t, dir, &count, e) : ERR_OK;
    if (code != ERR_OK || count == t->count)
        return code;
    char *keys = xasprintf("%s/keys", dir);
    write_text(t, t->count, &text);
    code = prov__file_put(keys, "trusted", &text, e);
    buf_release(&text);
    free(keys);
    return code;
}
