/* OAuth for a connector: what its wire sees of it.
 *
 * Invariants
 * O1 Tokens, codes and client secrets are kept in locked memory and in the vault, pass through
 * ordinary memory only while a document is read or written, go in requests to whom they belong, and
 * stand nowhere else: no error, description or log names them.
 *
 * O2 A token goes only to the address of the connector; a client's credentials only to the issuer
 * that they were made for (client_issuer).
 *
 * O3 One piece of work at a time; it ends in one `settled` or one answer to a sign-in, on a later
 * turn of the loop.
 *
 * O4 A refusal is never answered by the same again: more scope is asked for only if the challenge
 * names some that was not asked for yet, and tokens without a person are tried AUTOMATIC_MAX times.
 *
 * O5 A token is renewed a little before it ends, while requests go on with it. If that fails and
 * nobody waits for it, nothing changes: it is tried again until the token has ended.
 */
#include "backend/base/clock.h"
#include "backend/connectors/oauth_state.h"
#include <stdlib.h>
#include <string.h>

enum {
    AUTOMATIC_MAX = 2,
    STEP_UPS_MAX = 3,
    AHEAD_MS = 60000, /* a token is renewed so long before its end, ... */
    AHEAD_PART = 5,   /* ... or when this part of its time is left, whatever is later */
    AHEAD_LEAST_MS = 20
};

bool oauth__is_reference(const char *text)
{
    return vault_is_reference(text);
}

void oauth__wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

char *oauth__secret(struct conn *c, const char *reference, struct error *e)
{
    struct vault_text value = {0};
    if (conn__secret(c, reference, &value, e) != ERR_OK)
        return NULL;
    char *copy = xstrdup(value.text);
    vault_text_wipe(&value);
    return copy;
}

/* ---- configuration ---- */
static char *key(const struct conf *conf, const char *name, const char *which)
{
    const char *text = conf_str(conf, "connector", name, which);
    return *text ? xstrdup(text) : NULL;
}

static enum err check_references(const struct oauth *a, const struct conf *conf, struct error *e)
{
    const char *name = conn__name(a->conn);
    const struct {
        const char *key, *value;
    } rows[] = {{"client_secret", a->secret_ref},
                {"client_key", a->key_ref},
                {"token", a->token_ref},
                {"id_token", a->id_token_ref}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].value && !vault_is_reference(rows[i].value))
            return err_set(
                e, ERR_CONFIG,
                "%s: connector \"%s\": %s must be a reference: secret:NAME, env:VARIABLE "
                "or credential:NAME",
                conf_where(conf, "connector", name, rows[i].key), name, rows[i].key);
    }
    bool needs = a->mode == OAUTH_CREDENTIALS  ? a->conf_client_id && a->secret_ref
                 : a->mode == OAUTH_KEY        ? a->conf_client_id && a->key_ref
                 : a->mode == OAUTH_ENTERPRISE ? a->id_token_ref != NULL
                                               : true;
    if (!needs)
        return err_set(
            e, ERR_CONFIG,
            "%s: connector \"%s\": auth needs client_id with client_secret or client_key, "
            "or id_token",
            conf_where(conf, "connector", name, "auth"), name);
    if (a->client_uri &&
        !(oauth__url_fine(a->client_uri) && !strncmp(a->client_uri, "https://", 8)))
        return err_set(e, ERR_CONFIG,
                       "%s: connector \"%s\": client_metadata_url is no https address",
                       conf_where(conf, "connector", name, "client_metadata_url"), name);
    return ERR_OK;
}

static void on_report(void *arg);

struct oauth *oauth__make(struct conn *c, const struct conf *conf, const char *url,
                          oauth_settled *settled, void *arg, struct error *e)
{
    const char *name = conn__name(c), *mode = conf_str(conf, "connector", name, "auth");
    struct oauth *a = xcalloc(1, sizeof *a);
    a->conn = c;
    a->url = xstrdup(url);
    a->settled = settled;
    a->arg = arg;
    a->report = loop_timer_new(conn__loop(c), on_report, a);
    a->mode = strcmp(mode, "none") == 0                 ? OAUTH_NONE
              : strcmp(mode, "client-credentials") == 0 ? OAUTH_CREDENTIALS
              : strcmp(mode, "private-key-jwt") == 0    ? OAUTH_KEY
              : strcmp(mode, "enterprise") == 0         ? OAUTH_ENTERPRISE
                                                        : OAUTH_CODE;
    a->conf_client_id = key(conf, name, "client_id");
    a->conf_scope = key(conf, name, "scope");
    a->client_uri = key(conf, name, "client_metadata_url");
    a->secret_ref = key(conf, name, "client_secret");
    a->key_ref = key(conf, name, "client_key");
    a->token_ref = key(conf, name, "token");
    a->id_token_ref = key(conf, name, "id_token");
    a->idp_url = key(conf, name, "idp_url");
    a->idp_client_id = key(conf, name, "idp_client_id");
    int64_t port = conf_int(conf, "connector", name, "redirect_port");
    a->redirect_port = port > 0 && port < 65536 ? (unsigned)port : 0;
    if (check_references(a, conf, e) == ERR_OK)
        return a;
    oauth__free(a);
    return NULL;
}

void oauth__free(struct oauth *a)
{
    if (!a)
        return;
    if (a->login)
        oauth__login_tell(a, WORK_URL, &(struct error){ERR_CLOSED, "the console is stopping"});
    http_cancel(a->http);
    oauth__login_release(a);
    free(a->redirect);
    oauth__forget(a, true);
    oauth__release_server(a);
    vault_text_wipe(&a->form);
    oauth__challenge_release(&a->challenge);
    loop_timer_free(a->report);
    loop_timer_free(a->ahead);
    loop_timer_free(a->poll);
    loop_timer_free(a->store);
    if (a->body.data)
        explicit_bzero(a->body.data, a->body.cap);
    buf_release(&a->body);
    char *texts[] = {a->url,          a->conf_client_id, a->conf_scope, a->client_uri,
                     a->secret_ref,   a->key_ref,        a->token_ref,  a->idp_url,
                     a->id_token_ref, a->idp_client_id};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (size_t i = 0; i < a->candidate_count; i++)
        free(a->candidates[i]);
    free(a);
}

/* ---- the token ---- */
static bool renews(const struct oauth *a)
{
    bool alone = a->mode != OAUTH_CODE && a->mode != OAUTH_NONE;
    return !a->token_ref && a->token.text && a->expires_at && (alone || a->refresh.text);
}

static void on_ahead(void *arg)
{
    struct oauth *a = arg;
    int64_t left = a->expires_at - clock_real_ms();
    if (!renews(a) || left <= 0)
        return; /* the server will say 401 */
    uint64_t again = (uint64_t)left / 2;
    loop_timer_start(a->ahead, again < AHEAD_LEAST_MS ? AHEAD_LEAST_MS : again, 0);
    if (a->work != WORK_NONE || a->state || a->device_code)
        return; /* a person is at it */
    oauth__work(a, a->refresh.text ? WORK_REFRESH : WORK_TOKEN);
    a->early = true; /* it ends on a later turn */
}

static void set_ahead(struct oauth *a)
{
    a->ahead_set = true;
    if (!renews(a))
        return;
    int64_t left = a->expires_at - clock_real_ms();
    int64_t margin = left / AHEAD_PART < AHEAD_MS ? left / AHEAD_PART : AHEAD_MS;
    if (!a->ahead)
        a->ahead = loop_timer_new(conn__loop(a->conn), on_ahead, a);
    loop_timer_start(a->ahead, left > 0 ? (uint64_t)(left - margin) : 0, 0);
}

const char *oauth__header(struct oauth *a)
{
    if (!a->loaded) {
        a->loaded = true;
        struct vault_text value = {0};
        struct error e = {0};
        if (!a->token_ref) {
            if (a->mode != OAUTH_NONE)
                oauth__load(a);
        } else if (conn__secret(a->conn, a->token_ref, &value, &e) == ERR_OK) {
            oauth__set_token(a, value.text, value.len);
            vault_text_wipe(&value);
        } else {
            a->loaded = false; /* it may be set later */
            a->why = e;
        }
    }
    if (!a->ahead_set)
        set_ahead(a);
    return a->header.text;
}

uint64_t oauth__generation(const struct oauth *a)
{
    return a->generation;
}

void oauth__accepted(struct oauth *a)
{
    a->automatic = 0;
}

void oauth__stop(struct oauth *a)
{
    if (a->ahead)
        loop_timer_stop(a->ahead);
    a->ahead_set = false; /* the next request sets it */
    if (a->work != WORK_REFRESH && a->work != WORK_TOKEN)
        return; /* a person's sign-in goes on */
    http_cancel(a->http);
    a->http = NULL;
    a->work = WORK_NONE;
    a->early = false;
    loop_timer_stop(a->report);
}

/* More scope is wanted than the token has (O4). */
static enum oauth_verdict step_up(struct oauth *a, struct error *why)
{
    if (!a->challenge.scope || oauth__scope_within(a->challenge.scope, a->granted) ||
        ++a->step_ups > STEP_UPS_MAX) {
        err_set(why, ERR_DENIED,
                "the server refuses although the token has the scope that it asks for");
        return OAUTH_REFUSED;
    }
    if (a->mode != OAUTH_CODE) {
        oauth__work(a, WORK_TOKEN);
        return OAUTH_WAIT;
    }
    err_set(why, ERR_DENIED, "the server asks for more scope: %.160s", a->challenge.scope);
    return OAUTH_PERSON;
}

enum oauth_verdict oauth__refused(struct oauth *a, long status, const char *challenges,
                                  uint64_t generation, struct error *why)
{
    if (generation != a->generation)
        return OAUTH_AGAIN;
    if (a->work == WORK_REFRESH || a->work == WORK_TOKEN) {
        a->awaited = true;
        return OAUTH_WAIT;
    }
    oauth__challenge_release(&a->challenge);
    oauth__challenge_read(challenges, &a->challenge);
    if (a->bound && a->server_nonce && a->challenge.error &&
        strcmp(a->challenge.error, "use_dpop_nonce") == 0)
        return OAUTH_AGAIN; /* RFC 9449, 9; the wire counts how often */
    if (a->token_ref) {
        err_set(why, ERR_DENIED, "the server refuses the token of the configuration%s%s",
                a->why.code ? ": " : "", a->why.detail);
        return OAUTH_REFUSED;
    }
    if (a->mode == OAUTH_NONE) {
        err_set(why, ERR_DENIED, "the server wants authorization, and auth = none");
        return OAUTH_REFUSED;
    }
    if (status == 403)
        return step_up(a, why);
    if (a->work == WORK_NONE && a->refresh.text) {
        oauth__work(a, WORK_REFRESH);
        return OAUTH_WAIT;
    }
    if (a->mode == OAUTH_CODE) {
        err_set(why, ERR_DENIED, "it needs a sign-in: mcp-console connectors login %.100s",
                conn__name(a->conn));
        return OAUTH_PERSON;
    }
    if (a->automatic++ >= AUTOMATIC_MAX) {
        err_set(why, ERR_DENIED, "the server refuses the tokens that its issuer gives");
        return OAUTH_REFUSED;
    }
    oauth__work(a, WORK_TOKEN);
    return OAUTH_WAIT;
}

/* ---- ends of work ---- */
static void on_report(void *arg)
{
    struct oauth *a = arg;
    enum oauth_work was = a->work;
    struct error why = a->why;
    bool unheard = a->early && !a->awaited && a->verdict != OAUTH_AGAIN; /* O5 */
    a->work = WORK_NONE;
    a->early = false;
    a->why = (struct error){0};
    if (unheard)
        return;
    if (was == WORK_REFRESH || was == WORK_TOKEN) {
        a->settled(a->arg, a->verdict, why.detail);
        return;
    }
    oauth__login_tell(a, was, &why);
}

void oauth__work_end(struct oauth *a, enum oauth_verdict v, enum err code, const char *why)
{
    a->verdict = v;
    a->why = (struct error){0};
    if (code != ERR_OK)
        err_set(&a->why, code, "%s", why);
    loop_timer_start(a->report, 0, 0);
}

void oauth__describe(const struct oauth *a, json_t *into)
{
    static const char *const modes[] = {"none", "auto", "client-credentials", "private-key-jwt",
                                        "enterprise"};
    json_t *o = json_object();
    json_puts(o, "mode", a->token_ref ? "token" : modes[a->mode]);
    json_put(o, "bound", json_boolean(a->bound));
    json_put(o, "signed_in", json_boolean(a->header.text != NULL));
    json_put(o, "issuer",
             a->server.issuer ? json_text(a->server.issuer, strlen(a->server.issuer))
                              : json_null());
    json_put(o, "scope", a->granted ? json_text(a->granted, strlen(a->granted)) : json_null());
    json_put(o, "expires_at", a->expires_at ? json_integer(a->expires_at) : json_null());
    json_put(into, "auth", o);
}
