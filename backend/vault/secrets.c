/* Secrets that the configuration names: where they come from. */
#include "backend/vault/internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

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

enum err vault_text_get(struct vault *v, const char *reference, struct vault_text *out,
                        struct error *e)
{
    *out = (struct vault_text){0};
    (void)v;
    const char *name = strchr(reference, ':');
    if (!vault_is_reference(reference) || !name) /* not repeated: it may be the secret */
        return err_set(e, ERR_CONFIG,
                       "a secret is named as secret:NAME, env:VARIABLE or credential:NAME, it is "
                       "not written here itself");
    name++;
    if (*reference == 'e')
        return from_environment(name, out, e);
    if (*reference == 'c')
        return from_credential(name, out, e);
    return err_set(e, ERR_NOT_FOUND, "the vault has no secret %s", name);
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
