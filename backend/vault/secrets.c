/* Secrets that the configuration names: $STATE/keys/secrets, the environment, systemd's
 * credentials.
 *
 *   mcp-console secrets 1
 *   kek ID                    the master key that all of them are sealed under
 *   NAME TIME BASE64          sorted by name; when it was set (ms); nonce || ciphertext || tag
 *
 * XChaCha20-Poly1305, additional data = "secret NAME TIME ID".
 *
 * Invariants
 * S1 The file is read whenever a secret is wanted and replaced as a whole, under the lock of
 *    `secrets.lock`: what another process set is seen at once.
 * S2 All lines are under one master key, so a rotation seals them anew by replacing one file.
 * S3 A value that this process has resolved stays in `known`, in locked memory, until it ends: what
 *    echoes it is found, also after it was removed. */
#include "backend/base/clock.h"
#include "backend/vault/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const char title[] = "mcp-console secrets 1\nkek ";
enum { MOST = 256, FILE_MAX = 8 << 20, SEALED_MAX = VAULT_SECRET_MAX + VAULT_NONCE + VAULT_TAG };

static const char *const sources[] = {"secret:", "env:", "credential:"};

static bool name_ok(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= VAULT_SECRET_NAME && name[0] != '.' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

bool vault_is_reference(const char *text)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        size_t len = strlen(sources[i]);
        if (strncmp(text, sources[i], len) == 0)
            return name_ok(text + len);
    }
    return false;
}

static void put(struct vault_text *out, const char *bytes, size_t len)
{
    out->text = vault__secret_alloc(len + 1);
    memcpy(out->text, bytes, len);
    out->text[len] = '\0';
    out->len = len;
}

static enum err from_environment(const char *name, struct vault_text *out, struct error *e)
{
    const char *value = getenv(name);
    if (!value || !*value)
        return err_set(e, ERR_NOT_FOUND, "the environment has no %s", name);
    if (strlen(value) > VAULT_SECRET_MAX)
        return err_set(e, ERR_TOO_BIG, "%s has more than %d bytes", name, VAULT_SECRET_MAX);
    put(out, value, strlen(value));
    return ERR_OK;
}

static enum err from_credential(const char *name, struct vault_text *out, struct error *e)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir || !*dir)
        return err_set(e, ERR_NOT_FOUND, "credential %s: no credentials were handed over", name);
    size_t len = 0;
    char *path = xasprintf("%s/%s", dir, name), *bytes = vault__secret_alloc(VAULT_SECRET_MAX + 1);
    /* systemd's files there are its user's alone by the directory, not by their mode. */
    enum err code = vault__file_read(path, false, bytes, VAULT_SECRET_MAX, &len, e);
    if (code == ERR_OK && len && bytes[len - 1] == '\n')
        len--;
    if (code == ERR_OK && (len == 0 || memchr(bytes, 0, len)))
        code = err_set(e, ERR_CONFIG, "credential %s is empty or no text", name);
    if (code == ERR_OK)
        put(out, bytes, len);
    sodium_free(bytes);
    free(path);
    return code;
}

/* ---- the file ---- */

void vault__secrets_release(struct vault__secrets *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].sealed);
    free(s->list);
    *s = (struct vault__secrets){0};
}

static void write_text(const struct vault__secrets *s, struct buf *out)
{
    buf_addf(out, "%s%s\n", title, s->kek_id);
    for (size_t i = 0; i < s->count; i++) {
        const struct vault__secret *one = &s->list[i];
        char *text = xcalloc(VAULT_BASE64(one->len), 1);
        vault_base64(one->sealed, one->len, text);
        buf_addf(out, "%s %" PRId64 " %s\n", one->name, one->set_at, text);
        free(text);
    }
}

static bool read_line(const char *line, size_t len, struct vault__secrets *s)
{
    char name[VAULT_SECRET_NAME + 1], *end;
    const char *gap = memchr(line, ' ', len);
    size_t name_len = gap ? (size_t)(gap - line) : 0;
    if (name_len < 1 || name_len > VAULT_SECRET_NAME || s->count >= MOST)
        return false;
    memcpy(name, line, name_len);
    name[name_len] = '\0';
    if (!name_ok(name) || (s->count && strcmp(s->list[s->count - 1].name, name) >= 0))
        return false;
    if (gap[1] < '0' || gap[1] > '9') /* so that the number ends in this line */
        return false;
    errno = 0;
    long long at = strtoll(gap + 1, &end, 10);
    if (errno || end == gap + 1 || *end != ' ')
        return false;
    size_t text_len = len - (size_t)(end + 1 - line);
    uint8_t *sealed = xcalloc(text_len + 1, 1);
    int64_t n = vault_unbase64(end + 1, text_len, sealed, SEALED_MAX);
    if (n <= VAULT_NONCE + VAULT_TAG) {
        free(sealed);
        return false;
    }
    s->list = xrealloc(s->list, (s->count + 1) * sizeof *s->list);
    struct vault__secret *one = &s->list[s->count++];
    *one = (struct vault__secret){.set_at = at, .sealed = sealed, .len = (size_t)n};
    memcpy(one->name, name, name_len + 1);
    return true;
}

/* Read, and written again: the file has one form. */
bool vault__secrets_read(const char *text, size_t len, struct vault__secrets *out)
{
    enum { HEAD = sizeof title - 1 + VAULT__KEK_ID + 1 };
    struct buf again = {0};
    *out = (struct vault__secrets){0};
    bool ok = len >= HEAD && memcmp(text, title, sizeof title - 1) == 0 && text[len - 1] == '\n' &&
              !memchr(text, 0, len);
    if (ok)
        memcpy(out->kek_id, text + sizeof title - 1, VAULT__KEK_ID);
    for (const char *at = text + HEAD, *end = text + len; ok && at < end;) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        ok = nl && read_line(at, (size_t)(nl - at), out);
        at = nl ? nl + 1 : end;
    }
    if (ok)
        write_text(out, &again);
    ok = ok && again.len == len && memcmp(again.data, text, len) == 0;
    buf_release(&again);
    if (!ok)
        vault__secrets_release(out);
    return ok;
}

static char *file_of(const struct vault *v, const char *name)
{
    return xasprintf("%s/%s", v->dir, name);
}

/* The key for what is not sealed yet: the last one that took another's place. */
static struct vault *newest(struct vault *v)
{
    enum { HOPS = 16 };
    for (int i = 0; i < HOPS && vault_partner(v); i++)
        v = vault_partner(v);
    return v;
}

/* No file is fine: then there are none. */
static enum err load(struct vault *v, struct vault__secrets *out, struct error *e)
{
    char *path = file_of(v, "secrets"), *text = xcalloc(FILE_MAX + 1, 1);
    struct error why = {0};
    size_t len = 0;
    *out = (struct vault__secrets){0};
    enum err code = vault__file_read(path, true, text, FILE_MAX, &len, &why);
    if (code == ERR_NOT_FOUND) {
        code = ERR_OK;
        memcpy(out->kek_id, newest(v)->kek_id, sizeof out->kek_id);
    } else if (code == ERR_OK && !vault__secrets_read(text, len, out)) {
        code = err_set(&why, ERR_TAMPERED, "%s is not of its form", path);
    } else if (code == ERR_OK && !vault_for(v, out->kek_id)) {
        code = err_set(&why, ERR_NO_KEY,
                       "%s is sealed under master key %s, which this process does not have", path,
                       out->kek_id);
        vault__secrets_release(out);
    }
    if (code != ERR_OK && e)
        *e = why;
    free(text);
    free(path);
    return code;
}

/* What stood in the file before is overwritten: a removed secret is gone. */
static enum err save(struct vault *v, const struct vault__secrets *s, struct error *e)
{
    char *path = file_of(v, "secrets"), *fresh = file_of(v, "secrets.next"),
         *old = file_of(v, "secrets.old");
    struct buf text = {0};
    write_text(s, &text);
    enum err code = vault__file_replace(v, fresh, text.data, text.len, e);
    if (code == ERR_OK)
        code = vault__file_supersede(v, path, fresh, e);
    if (code == ERR_OK)
        code = vault__file_destroy(v, old, path, e);
    buf_release(&text);
    free(old);
    free(fresh);
    free(path);
    return code;
}

/* -1 with *e. */
static int lock(const struct vault *v, struct error *e)
{
    char *path = file_of(v, "secrets.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        err_set_errno(e, "cannot open", path);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0) { /* held for as long as writing one file takes */
        if (errno == EINTR)
            continue;
        err_set_errno(e, "cannot lock", path);
        close(fd);
        fd = -1;
    }
    if (fd >= 0) { /* a process that died between two steps of save left these */
        char *fresh = file_of(v, "secrets.next"), *old = file_of(v, "secrets.old"),
             *now = file_of(v, "secrets");
        vault__file_destroy((struct vault *)v, fresh, now, NULL);
        vault__file_destroy((struct vault *)v, old, now, NULL);
        free(fresh);
        free(old);
        free(now);
    }
    free(path);
    return fd;
}

static char *ad_of(const struct vault *key, const char *name, int64_t set_at)
{
    return xasprintf("secret %s %" PRId64 " %s", name, set_at, key->kek_id);
}

static void seal(const struct vault *key, struct vault__secret *one, const char *text, size_t len)
{
    char *ad = ad_of(key, one->name, one->set_at);
    free(one->sealed);
    one->len = VAULT_NONCE + len + VAULT_TAG;
    one->sealed = xcalloc(one->len, 1);
    randombytes_buf(one->sealed, VAULT_NONCE);
    vault__aead_seal(key->master, one->sealed, text, len, ad, strlen(ad),
                     one->sealed + VAULT_NONCE);
    free(ad);
}

static enum err unseal(const struct vault *key, const struct vault__secret *one,
                       struct vault_text *out, struct error *e)
{
    char *ad = ad_of(key, one->name, one->set_at);
    out->len = one->len - VAULT_NONCE - VAULT_TAG;
    out->text = vault__secret_alloc(out->len + 1);
    out->text[out->len] = '\0';
    int bad = vault__aead_open(key->master, one->sealed, one->sealed + VAULT_NONCE,
                               one->len - VAULT_NONCE, ad, strlen(ad), (uint8_t *)out->text);
    free(ad);
    if (!bad)
        return ERR_OK;
    vault_text_wipe(out);
    return err_set(e, ERR_TAMPERED, "secret %s does not unseal: it was changed", one->name);
}

static size_t place_of(const struct vault__secrets *s, const char *name, bool *there)
{
    size_t i = 0;
    while (i < s->count && strcmp(s->list[i].name, name) < 0)
        i++;
    *there = i < s->count && strcmp(s->list[i].name, name) == 0;
    return i;
}

static enum err put_in(struct vault *v, struct vault__secrets *s, const char *name,
                       const struct vault_text *value, struct error *e)
{
    bool there;
    size_t at = place_of(s, name, &there);
    if (!there) {
        if (s->count >= MOST)
            return err_set(e, ERR_TOO_BIG, "the vault holds %d secrets, no more", MOST);
        s->list = xrealloc(s->list, (s->count + 1) * sizeof *s->list);
        memmove(s->list + at + 1, s->list + at, (s->count - at) * sizeof *s->list);
        s->list[at] = (struct vault__secret){0};
        memcpy(s->list[at].name, name, strlen(name) + 1);
        s->count++;
    }
    s->list[at].set_at = clock_real_ms();
    seal(vault_for(v, s->kek_id), &s->list[at], value->text, value->len);
    size_t bytes = 0;
    for (size_t i = 0; i < s->count; i++)
        bytes += VAULT_BASE64(s->list[i].len) + VAULT_SECRET_NAME + 32;
    return bytes < FILE_MAX - 64
               ? save(v, s, e)
               : err_set(e, ERR_TOO_BIG, "all secrets together are too long for the vault");
}

enum err vault_secret_set(struct vault *v, const char *name, const struct vault_text *value,
                          struct error *e)
{
    struct vault__secrets s;
    if (!name_ok(name))
        return err_set(e, ERR_INVALID,
                       "a secret's name has 1 to %d of the characters A-Z a-z 0-9 . _ - and does "
                       "not begin with a dot",
                       VAULT_SECRET_NAME);
    if (value->len == 0 || value->len > VAULT_SECRET_MAX || memchr(value->text, 0, value->len))
        return err_set(e, ERR_INVALID, "a secret is a text of 1 to %d bytes", VAULT_SECRET_MAX);
    int fd = lock(v, e);
    if (fd < 0)
        return ERR_IO;
    enum err code = load(v, &s, e);
    if (code == ERR_OK)
        code = put_in(v, &s, name, value, e);
    vault__secrets_release(&s);
    close(fd);
    return code;
}

enum err vault_secret_remove(struct vault *v, const char *name, struct error *e)
{
    struct vault__secrets s;
    bool there = false;
    int fd = lock(v, e);
    if (fd < 0)
        return ERR_IO;
    enum err code = load(v, &s, e);
    size_t at = code == ERR_OK ? place_of(&s, name, &there) : 0;
    if (code == ERR_OK && !there)
        code = err_set(e, ERR_NOT_FOUND, "the vault has no secret of that name");
    if (code == ERR_OK) {
        free(s.list[at].sealed);
        memmove(s.list + at, s.list + at + 1, (s.count - at - 1) * sizeof *s.list);
        s.count--;
        code = save(v, &s, e);
    }
    vault__secrets_release(&s);
    close(fd);
    return code;
}

enum err vault_secrets_list(struct vault *v, vault_secret_row *row, void *arg, struct error *e)
{
    struct vault__secrets s;
    enum err code = load(v, &s, e);
    for (size_t i = 0; code == ERR_OK && i < s.count; i++)
        row(arg, s.list[i].name, s.list[i].set_at);
    vault__secrets_release(&s);
    return code;
}

enum err vault__secrets_rewrap(struct vault *to, struct error *e)
{
    struct vault__secrets s;
    char *file = file_of(to, "secrets");
    bool none = access(file, F_OK) != 0 && errno == ENOENT;
    free(file);
    if (none)
        return ERR_OK;
    int fd = lock(to, e);
    if (fd < 0)
        return ERR_IO;
    enum err code = load(to, &s, e);
    const struct vault *from = code == ERR_OK ? vault_for(to, s.kek_id) : NULL;
    for (size_t i = 0; code == ERR_OK && i < s.count; i++) {
        struct vault_text value = {0};
        code = unseal(from, &s.list[i], &value, e);
        if (code == ERR_OK && from != to)
            seal(to, &s.list[i], value.text, value.len);
        vault_text_wipe(&value);
    }
    if (code == ERR_OK && from != to && s.count) {
        memcpy(s.kek_id, to->kek_id, sizeof s.kek_id);
        code = save(to, &s, e);
    }
    if (code == ERR_OK && from != to && !s.count) { /* nothing stays that names a key of the past */
        char *path = file_of(to, "secrets");
        code = vault__file_destroy(to, path, NULL, e);
        free(path);
    }
    vault__secrets_release(&s);
    close(fd);
    return code;
}

static enum err from_vault(struct vault *v, const char *name, struct vault_text *out,
                           struct error *e)
{
    struct vault__secrets s;
    bool there = false;
    enum err code = v ? load(v, &s, e) : err_set(e, ERR_NOT_FOUND, "there is no vault here");
    if (code != ERR_OK)
        return code;
    size_t at = place_of(&s, name, &there);
    code = there ? unseal(vault_for(v, s.kek_id), &s.list[at], out, e)
                 : err_set(e, ERR_NOT_FOUND,
                           "the vault has no secret %s: `mcp-console vault set %s`", name, name);
    vault__secrets_release(&s);
    return code;
}

/* ---- what was resolved (S3) ---- */

enum { KNOWN_MOST = 512, KNOWN_SHORTEST = 6 };
static struct {
    pthread_mutex_t lock;
    struct vault_text list[KNOWN_MOST];
    size_t count;
} known = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct vault_text *known_place(const struct vault_text *t)
{
    for (size_t i = 0; t && t->text && i < known.count; i++) {
        if (known.list[i].len == t->len && memcmp(known.list[i].text, t->text, t->len) == 0)
            return &known.list[i];
    }
    return NULL;
}

void vault_known_add(const struct vault_text *t, const struct vault_text *instead_of)
{
    if (t->len < KNOWN_SHORTEST)
        return;
    pthread_mutex_lock(&known.lock);
    struct vault_text *at = known_place(t) ? NULL : known_place(instead_of);
    if (at)
        vault_text_put(at, t->text, t->len);
    else if (!known_place(t) && known.count < KNOWN_MOST)
        put(&known.list[known.count++], t->text, t->len);
    pthread_mutex_unlock(&known.lock);
}

const char *vault_known_in(const char *text, size_t len, size_t *found)
{
    const char *first = NULL;
    pthread_mutex_lock(&known.lock);
    for (size_t i = 0; i < known.count; i++) {
        const struct vault_text *t = &known.list[i];
        const char *at = memmem(text, len, t->text, t->len);
        if (at && (!first || at < first || (at == first && t->len > *found))) {
            first = at;
            *found = t->len;
        }
    }
    pthread_mutex_unlock(&known.lock);
    return first;
}

enum err vault_text_get(struct vault *v, const char *reference, struct vault_text *out,
                        struct error *e)
{
    *out = (struct vault_text){0};
    const char *name = strchr(reference, ':');
    if (!vault_is_reference(reference) || !name) /* not repeated: it may be the secret */
        return err_set(e, ERR_CONFIG,
                       "a secret is named as secret:NAME, env:VARIABLE or credential:NAME, it is "
                       "not written here itself");
    name++;
    enum err code = *reference == 'e'   ? from_environment(name, out, e)
                    : *reference == 'c' ? from_credential(name, out, e)
                                        : from_vault(v, name, out, e);
    if (code == ERR_OK)
        vault_known_add(out, NULL);
    return code;
}

struct vault_text vault_text_of(const char *bytes, size_t len)
{
    struct vault_text t;
    put(&t, bytes, len);
    return t;
}

void vault_text_wipe(struct vault_text *t)
{
    sodium_free(t->text); /* wipes */
    *t = (struct vault_text){0};
}

void vault_text_put(struct vault_text *out, const char *bytes, size_t len)
{
    vault_text_wipe(out);
    put(out, bytes, len);
}
