/* Tokens that others show: resolved on the backend's thread, which has the vault, compared on any.
 * The value stays in locked memory and is never handed out. */
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MIN = 16, TOKEN_MAX = 512 };

struct backend_token {
    struct vault_text value;
};

struct asked { /* until `done`, guarded by the lock */
    struct backend *backend;
    const char *reference;
    struct backend_token *token;
    struct error error;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

struct backend_token *backend__token_make(struct backend *b, const char *reference, struct error *e)
{
    struct backend_token *t = xcalloc(1, sizeof *t);
    enum err code =
        vault_text_get(b->prov ? prov_vault(b->prov) : b->vault, reference, &t->value, e);
    if (code == ERR_OK && (t->value.len < TOKEN_MIN || t->value.len > TOKEN_MAX))
        code = err_set(e, ERR_CONFIG, "the token that %s names is to have %d to %d bytes",
                       reference, TOKEN_MIN, TOKEN_MAX);
    if (code == ERR_OK)
        return t;
    backend_token_free(t);
    return NULL;
}

static void resolve(void *arg)
{
    struct asked *a = arg;
    struct error e = {0};
    struct backend_token *t = backend_error(a->backend, &e) == ERR_OK
                                  ? backend__token_make(a->backend, a->reference, &e)
                                  : NULL;
    pthread_mutex_lock(&a->lock);
    a->token = t;
    a->error = e;
    a->done = true;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
}

struct backend_token *backend_token_new(struct backend *b, const char *reference, struct error *e)
{
    struct asked a = {.backend = b,
                      .reference = reference,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    if (!loop_post(backend__loop(b), resolve, &a)) { /* behind `start`, which opens the vault */
        err_set(e, ERR_CLOSED, "the backend ended");
        return NULL;
    }
    pthread_mutex_lock(&a.lock);
    while (!a.done)
        pthread_cond_wait(&a.changed, &a.lock);
    pthread_mutex_unlock(&a.lock);
    if (a.error.code == ERR_OK)
        return a.token;
    *e = a.error;
    return NULL;
}

bool backend_token_good(const struct backend_token *t, const char *given, size_t len)
{
    uint8_t want[TOKEN_MAX] = {0}, have[TOKEN_MAX] = {0}; /* the same work for every length */
    memcpy(want, t->value.text, t->value.len);
    memcpy(have, given, len < TOKEN_MAX ? len : TOKEN_MAX);
    bool good = vault_equal(want, have, TOKEN_MAX) && len == t->value.len;
    explicit_bzero(want, sizeof want);
    explicit_bzero(have, sizeof have);
    return good;
}

void backend_token_free(struct backend_token *t)
{
    if (t)
        vault_text_wipe(&t->value);
    free(t);
}
