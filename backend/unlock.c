/* Passphrases, before the backend starts. */
#include "backend/internal.h"
#include <stdlib.h>

struct vault_pass *backend_pass_new(const char *text, size_t len, struct error *e)
{
    return vault_pass_new(text, len, e);
}

void backend_pass_free(struct vault_pass *p)
{
    vault_pass_free(p);
}

static enum backend_lock would_be(const struct backend_options *o)
{
    char *path = conf_find(o->config);
    struct conf *conf = conf_load(path, NULL);
    enum vault_seal seal = VAULT_FILE;
    if (conf)
        vault_seal_find(conf_str(conf, "vault", "", "seal"), &seal);
    conf_free(conf);
    free(path);
    return seal == VAULT_PASSPHRASE ? BACKEND_UNMADE : BACKEND_OPEN;
}

enum backend_lock backend_locked(const struct backend_options *o)
{
    char *dir = conf_state_dir(o->state, NULL);
    enum vault_seal seal = VAULT_FILE;
    enum err code = dir ? vault_seal_of(dir, &seal, NULL) : ERR_IO;
    free(dir);
    if (code == ERR_NOT_FOUND)
        return would_be(o);
    return code == ERR_OK && seal == VAULT_PASSPHRASE ? BACKEND_LOCKED : BACKEND_OPEN;
}

enum err backend_unlock(const struct backend_options *o, struct vault_pass *pass, struct error *e)
{
    struct error why = {0};
    char *dir = conf_state_dir(o->state, NULL);
    enum err code = dir ? vault_unlocks(dir, pass, &why) : ERR_OK;
    free(dir);
    if (code != ERR_PASSPHRASE)
        return ERR_OK;
    if (e)
        *e = why;
    return code;
}
