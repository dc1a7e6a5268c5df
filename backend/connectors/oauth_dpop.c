/* OAuth: tokens that are bound to a key of this console (DPoP, RFC 9449), where the issuer says
 * that it can: whoever steals such a token cannot use it. The key is made for the client at its
 * issuer, is kept beside the tokens in the vault, and signs nothing but proofs.
 *
 * Invariants
 * D1 Each request has a proof of its own, for its method, its address and its token.
 * D2 A nonce is used only towards the one that gave it: the issuer, or the server. */
#include "backend/base/clock.h"
#include "backend/connectors/oauth_state.h"
#include <stdlib.h>
#include <string.h>

enum { NONCE_MAX = 1024 };

/* What section 8.1 allows in a nonce: printable ASCII without the quote and the backslash. */
static bool nonce_fine(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p < 0x21 || *p > 0x7e || *p == '"' || *p == '\\')
            return false;
    }
    return *text && strlen(text) <= NONCE_MAX;
}

static void keep_nonce(char **at, const char *nonce)
{
    if (!nonce || !nonce_fine(nonce))
        return;
    free(*at);
    *at = xstrdup(nonce);
}

void oauth__issuer_nonce(struct oauth *a, const char *nonce)
{
    keep_nonce(&a->issuer_nonce, nonce);
}

void oauth__nonce(struct oauth *a, const char *nonce)
{
    keep_nonce(&a->server_nonce, nonce);
}

/* Section 4.2: the address without query and fragment. ath: the hash of the token. */
static char *proof(const struct oauth *a, const char *method, const char *url, const char *token,
                   const char *nonce, struct error *e)
{
    char id[33];
    json_t *claims = json_object();
    vault_id(id);
    json_puts(claims, "jti", id);
    json_puts(claims, "htm", method);
    json_put(claims, "htu", json_text(url, strcspn(url, "?#")));
    json_puti(claims, "iat", clock_real_ms() / 1000);
    if (token) {
        uint8_t hash[VAULT_HASH];
        char coded[VAULT_BASE64(VAULT_HASH)];
        vault_sha256(token, strlen(token), NULL, 0, hash);
        vault_base64url(hash, sizeof hash, coded);
        json_puts(claims, "ath", coded);
    }
    if (nonce)
        json_puts(claims, "nonce", nonce);
    char *text = json_write(claims), *signed_by_us = vault_dpop(a->key.text, text, e);
    char *line = signed_by_us ? xasprintf("DPoP: %s", signed_by_us) : NULL;
    json_decref(claims);
    free(text);
    free(signed_by_us);
    return line;
}

char *oauth__issuer_proof(struct oauth *a, struct error *e)
{
    if (!a->key.text && vault_pem_new(&a->key, e) != ERR_OK)
        return NULL;
    return proof(a, "POST", a->server.token, NULL, a->issuer_nonce, e);
}

char *oauth__proof(struct oauth *a, const char *method, const char *url)
{
    if (!a->bound || !a->token.text)
        return NULL;
    return proof(a, method, url, a->token.text, a->server_nonce, NULL);
}

void oauth__dpop_forget(struct oauth *a)
{
    vault_text_wipe(&a->key);
    free(a->issuer_nonce);
    free(a->server_nonce);
    a->issuer_nonce = a->server_nonce = NULL;
}
