/* OAuth: what a sign-in has brought, as one secret of the vault: "oauth." and the connector's name,
 * or a hash of it where a secret cannot have that name. It holds the address that it is for: a
 * connector that was given another one does not send it there (O2). */
#include "backend/connectors/oauth_state.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 4, AGAIN_MS = 5000 };

static void name_of(const struct oauth *a, char out[VAULT_SECRET_NAME + 1])
{
    const char *name = conn__name(a->conn);
    uint8_t hash[VAULT_HASH];
    bool fits = strlen(name) <= VAULT_SECRET_NAME - 6;
    for (const char *p = name; *p && fits; p++)
        fits = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
               *p == '-' || *p == '_' || *p == '.';
    int n = snprintf(out, VAULT_SECRET_NAME + 1, "oauth.%s", fits ? name : "");
    if (fits)
        return;
    vault_sha256(name, strlen(name), NULL, 0, hash);
    for (size_t i = 0; i < 16; i++)
        n += snprintf(out + n, (size_t)(VAULT_SECRET_NAME + 1 - n), "%02x", hash[i]);
}

static void keep_text(char **field, const json_t *document, const char *key)
{
    const char *text = json_str(document, key, "");
    free(*field);
    *field = *text ? xstrdup(text) : NULL;
}

static void keep_secret(struct vault_text *field, const json_t *document, const char *key)
{
    const char *text = json_str(document, key, "");
    vault_text_wipe(field);
    if (*text)
        vault_text_put(field, text, strlen(text));
}

void oauth__load(struct oauth *a)
{
    char name[VAULT_SECRET_NAME + 1], reference[VAULT_SECRET_NAME + 8];
    struct vault_text text = {0};
    if (!conn__vault(a->conn))
        return;
    name_of(a, name);
    snprintf(reference, sizeof reference, "secret:%s", name);
    if (vault_text_get(conn__vault(a->conn), reference, &text, NULL) != ERR_OK)
        return; /* as a rule there is none: the server will ask for a sign-in */
    json_t *d = json_read(text.text, text.len, VAULT_SECRET_MAX, DEPTH_MAX, NULL);
    vault_text_wipe(&text);
    const char *token = json_str(d, "access_token", "");
    if (strcmp(json_str(d, "url", ""), a->url) == 0) {
        keep_text(&a->client_id, d, "client_id");
        keep_text(&a->client_issuer, d, "issuer");
        keep_text(&a->granted, d, "scope");
        keep_text(&a->redirect, d, "redirect_uri");
        keep_secret(&a->client_secret, d, "client_secret");
        keep_secret(&a->refresh, d, "refresh_token");
        keep_secret(&a->key, d, "dpop_key");
        a->bound = a->key.text && json_flag(d, "bound", false);
        int64_t method = json_int(d, "method", METHOD_NONE);
        a->method =
            method >= METHOD_NONE && method <= METHOD_KEY ? (enum oauth_method)method : METHOD_NONE;
        a->expires_at = json_int(d, "expires_at", 0);
        if (*token)
            oauth__set_token(a, token, strlen(token));
    }
    json_decref(d);
}

static json_t *document_of(const struct oauth *a)
{
    json_t *d = json_object();
    const struct {
        const char *key, *text;
    } rows[] = {{"url", a->url},
                {"client_id", a->client_id},
                {"issuer", a->client_issuer},
                {"scope", a->granted},
                {"redirect_uri", a->redirect},
                {"client_secret", a->secret_ref ? NULL : a->client_secret.text},
                {"access_token", a->token.text},
                {"refresh_token", a->refresh.text},
                {"dpop_key", a->key.text}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].text)
            json_puts(d, rows[i].key, rows[i].text);
    }
    json_put(d, "bound", json_boolean(a->bound));
    json_puti(d, "method", a->method);
    json_puti(d, "expires_at", a->expires_at);
    return d;
}

static void save_again(void *arg)
{
    oauth__save(arg);
}

void oauth__save(struct oauth *a)
{
    char name[VAULT_SECRET_NAME + 1];
    struct vault *v = conn__vault(a->conn);
    enum err code;
    if (!v || a->token_ref || a->mode != OAUTH_CODE) /* the others get a token without a person */
        return;
    if (!a->store)
        a->store = loop_timer_new(conn__loop(a->conn), save_again, a);
    loop_timer_stop(a->store);
    name_of(a, name);
    if (vault_step(v) != VAULT_STEADY) {
        code = ERR_BUSY;
    } else if (!a->client_id && !a->token.text) {
        code = vault_secret_remove(v, name, NULL);
        code = code == ERR_NOT_FOUND ? ERR_OK : code;
    } else {
        json_t *d = document_of(a);
        char *plain = json_write(d);
        struct vault_text text = vault_text_of(plain, strlen(plain));
        code = vault_secret_set(v, name, &text, NULL);
        vault_text_wipe(&text);
        oauth__wipe(plain);
        json_decref(d);
    }
    if (code != ERR_OK && code != ERR_TOO_BIG)
        loop_timer_start(a->store, AGAIN_MS, 0);
}
