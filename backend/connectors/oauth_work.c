/* OAuth: one piece of work, step by step.
 *
 *   look up:  protected resource metadata (named by the challenge, else well-known, with path and
 *             without) -> its issuer's metadata (RFC 8414, OpenID Connect; with path and without)
 *             no such metadata: the server itself is the issuer (revision 2025-03-26)
 *   then:     WORK_REFRESH, WORK_TOKEN -> token endpoint;  WORK_URL -> client -> oauth__login_ready
 * See oauth.c for the invariants. */
#include "backend/base/clock.h"
#include "backend/connectors/oauth_state.h"
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 256 << 10, DEPTH_MAX = 16, STEP_LIMIT_MS = 15000, ASSERTION_S = 300 };

/* ---- one exchange ---- */
static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct oauth *a = arg;
    buf_add(&a->body, bytes, len);
    return true;
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct oauth *a = arg;
    if (a->form.text && e->code == ERR_OK) /* D2: a token request */
        oauth__issuer_nonce(a, http_header(a->http, "DPoP-Nonce"));
    a->http = NULL;
    if (e->code != ERR_OK) {
        oauth__work_end(a, OAUTH_REFUSED, e->code, e->detail);
        return;
    }
    json_t *answer =
        json_read(a->body.data ? a->body.data : "", a->body.len, ANSWER_MAX, DEPTH_MAX, NULL);
    if (a->body.data)
        explicit_bzero(a->body.data, a->body.cap);
    buf_clear(&a->body);
    a->next(a, status, json_is_object(answer) ? answer : NULL);
    json_decref(answer);
}

static void fetch(struct oauth *a, const char *url, const char *content_type, struct buf *body,
                  const char *authorization, const char *proof, oauth_next *next)
{
    static const struct http_ops ops = {.data = on_data, .done = on_done};
    const char *lines[5];
    size_t n = 0;
    struct error e = {0};
    lines[n++] = "Accept: application/json";
    if (content_type)
        lines[n++] = content_type;
    if (authorization)
        lines[n++] = authorization;
    if (proof)
        lines[n++] = proof;
    lines[n] = NULL;
    a->next = next;
    buf_clear(&a->body);
    a->http = http_start(conn__loop(a->conn),
                         &(struct http_options){.method = body ? "POST" : "GET",
                                                .url = url,
                                                .headers = lines,
                                                .body = body ? body->data : NULL,
                                                .body_len = body ? body->len : 0,
                                                .total_ms = STEP_LIMIT_MS,
                                                .max_bytes = ANSWER_MAX,
                                                .ca_file = conn__ca_file(a->conn),
                                                .ca_besides = !oauth__same_origin(url, a->url),
                                                .no_local = !oauth__is_loopback(a->url)},
                         &ops, a, &e);
    if (body && body->data)
        explicit_bzero(body->data, body->cap);
    if (body)
        buf_release(body);
    if (!a->http)
        oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
}

void oauth__fetch(struct oauth *a, const char *url, const char *content_type, struct buf *body,
                  const char *authorization, oauth_next *next)
{
    fetch(a, url, content_type, body, authorization, NULL, next);
}

/* ---- metadata ---- */
static void forget_candidates(struct oauth *a)
{
    for (size_t i = 0; i < a->candidate_count; i++)
        free(a->candidates[i]);
    a->candidate = a->candidate_count = 0;
}

static void add_candidate(struct oauth *a, char *url) /* taken, may be NULL */
{
    bool known = !url;
    for (size_t i = 0; url && i < a->candidate_count; i++)
        known = known || strcmp(a->candidates[i], url) == 0;
    if (known)
        free(url);
    else
        a->candidates[a->candidate_count++] = url;
}

void oauth__release_server(struct oauth *a)
{
    forget_candidates(a);
    oauth__resource_release(&a->resource);
    oauth__server_release(&a->server);
    a->legacy = false;
}

static void server_known(struct oauth *a);

/* Revision 2025-03-26: a server without any metadata has these endpoints at its root. */
static void default_endpoints(struct oauth *a)
{
    char *origin = oauth__origin(a->url);
    a->server.issuer = xstrdup(origin);
    a->server.authorize = xasprintf("%s/authorize", origin);
    a->server.token = xasprintf("%s/token", origin);
    a->server.registration = xasprintf("%s/register", origin);
    a->server.s256 = true; /* that revision requires it and has nowhere to say so */
    free(origin);
    server_known(a);
}

static void next_server_candidate(struct oauth *a);

static void got_server(struct oauth *a, long status, json_t *answer)
{
    if (status != 200 || !answer) {
        a->candidate++;
        next_server_candidate(a);
        return;
    }
    struct error e = {0};
    /* The older revision does not compare: its issuer is whatever stands at the server's root. */
    if (oauth__server_read(answer, a->legacy ? NULL : a->resource.issuer, a->url, &a->server, &e) !=
        ERR_OK) {
        oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
        return;
    }
    server_known(a);
}

static void next_server_candidate(struct oauth *a)
{
    if (a->candidate < a->candidate_count)
        oauth__fetch(a, a->candidates[a->candidate], NULL, NULL, NULL, got_server);
    else if (a->legacy)
        default_endpoints(a);
    else
        oauth__work_end(a, OAUTH_REFUSED, ERR_PROTOCOL,
                        "the authorization server has no metadata to be found");
}

static void look_up_server(struct oauth *a, const char *issuer)
{
    static const char oauth[] = "oauth-authorization-server", oidc[] = "openid-configuration";
    forget_candidates(a);
    add_candidate(a, oauth__well_known(issuer, oauth, !a->legacy));
    if (!a->legacy) {
        add_candidate(a, oauth__well_known(issuer, oidc, true));
        add_candidate(a, oauth__well_known_below(issuer, oidc));
    }
    next_server_candidate(a);
}

static void next_resource_candidate(struct oauth *a);

static void got_resource(struct oauth *a, long status, json_t *answer)
{
    if (status != 200 || !answer) {
        a->candidate++;
        next_resource_candidate(a);
        return;
    }
    struct error e = {0};
    if (oauth__resource_read(answer, a->url, &a->resource, &e) != ERR_OK) {
        oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
        return;
    }
    look_up_server(a, a->resource.issuer);
}

static void next_resource_candidate(struct oauth *a)
{
    if (a->candidate < a->candidate_count) {
        oauth__fetch(a, a->candidates[a->candidate], NULL, NULL, NULL, got_resource);
    } else {
        a->legacy = true;
        look_up_server(a, a->url);
    }
}

static void look_up(struct oauth *a)
{
    static const char name[] = "oauth-protected-resource";
    oauth__release_server(a);
    if (a->challenge.resource_metadata) {
        if (!oauth__url_trusted(a->challenge.resource_metadata, a->url)) {
            oauth__work_end(a, OAUTH_REFUSED, ERR_PROTOCOL,
                            "the challenge names metadata that are not on https");
            return;
        }
        add_candidate(a, xstrdup(a->challenge.resource_metadata));
    } else {
        add_candidate(a, oauth__well_known(a->url, name, true));
        add_candidate(a, oauth__well_known(a->url, name, false));
    }
    next_resource_candidate(a);
}

/* ---- scopes ---- */
char *oauth__scopes(const struct oauth *a, bool offline)
{
    const char *wanted = a->challenge.scope ? a->challenge.scope
                         : a->conf_scope    ? a->conf_scope
                                            : a->resource.scopes;
    char *all = oauth__scope_join(a->granted, wanted);
    if (offline && oauth__scope_has(a->server.scopes, "offline_access")) {
        char *more = oauth__scope_join(all, "offline_access");
        free(all);
        all = more;
    }
    if (*all)
        return all;
    free(all);
    return NULL;
}

/* ---- clients ---- */
static enum oauth_method method_of(const struct oauth *a, const char *told, bool secret)
{
    if (told && strcmp(told, "client_secret_basic") == 0)
        return METHOD_BASIC;
    if (told && strcmp(told, "client_secret_post") == 0)
        return METHOD_POST;
    if (!secret || (told && strcmp(told, "none") == 0))
        return METHOD_NONE;
    if (!a->server.says_methods || a->server.basic)
        return METHOD_BASIC;
    return a->server.post ? METHOD_POST : METHOD_NONE;
}

static void be_client(struct oauth *a, const char *id)
{
    free(a->client_id);
    free(a->client_issuer);
    a->client_id = xstrdup(id);
    a->client_issuer = xstrdup(a->server.issuer);
}

static enum err configured_client(struct oauth *a, struct error *e)
{
    vault_text_wipe(&a->client_secret);
    if (a->secret_ref && conn__secret(a->conn, a->secret_ref, &a->client_secret, e) != ERR_OK)
        return e->code;
    be_client(a, a->conf_client_id ? a->conf_client_id : "");
    a->method = a->mode == OAUTH_KEY ? METHOD_KEY : method_of(a, NULL, a->client_secret.text);
    return ERR_OK;
}

static void got_registration(struct oauth *a, long status, json_t *answer)
{
    const char *id = json_str(answer, "client_id", ""),
               *secret = json_str(answer, "client_secret", "");
    const char *method = json_str(answer, "token_endpoint_auth_method", NULL);
    if ((status != 200 && status != 201) || !*id || strlen(id) > OAUTH_VALUE_MAX) {
        char *why = xasprintf("the issuer does not register this client: HTTP %ld %.120s", status,
                              json_str(answer, "error_description", json_str(answer, "error", "")));
        oauth__work_end(a, OAUTH_REFUSED, ERR_UPSTREAM, why);
        free(why);
        return;
    }
    be_client(a, id);
    vault_text_wipe(&a->client_secret);
    if (*secret)
        vault_text_put(&a->client_secret, secret, strlen(secret));
    a->method = method_of(a, method, *secret);
    oauth__login_ready(a);
}

static void register_client(struct oauth *a)
{
    json_t *ask = json_object(), *uris = json_array(), *grants = json_array(),
           *types = json_array();
    const struct oauth__server *s = &a->server;
    char *scope = oauth__scopes(a, true);
    json_puts(ask, "client_name", "mcp-console");
    json_puts(ask, "application_type", "native");
    json_array_append_new(uris, json_string(oauth__redirect(a)));
    json_put(ask, "redirect_uris", uris);
    json_array_append_new(grants, json_string("authorization_code"));
    json_array_append_new(grants, json_string("refresh_token"));
    if (s->device)
        json_array_append_new(grants, json_string("urn:ietf:params:oauth:grant-type:device_code"));
    json_put(ask, "grant_types", grants);
    json_array_append_new(types, json_string("code"));
    json_put(ask, "response_types", types);
    json_puts(ask, "token_endpoint_auth_method",
              s->none || !s->says_methods ? "none"
              : s->basic                  ? "client_secret_basic"
              : s->post                   ? "client_secret_post"
                                          : "none");
    if (scope)
        json_puts(ask, "scope", scope);
    char *text = json_write(ask);
    struct buf body = {0};
    buf_adds(&body, text);
    oauth__fetch(a, s->registration, "Content-Type: application/json", &body, NULL,
                 got_registration);
    free(text);
    free(scope);
    json_decref(ask);
}

/* A client for the code of a person (WORK_URL). */
static void find_client(struct oauth *a)
{
    struct error e = {0};
    bool device = a->server.device && a->server.device_grant;
    if (!device && (!a->server.authorize || !a->server.s256)) {
        oauth__work_end(a, OAUTH_REFUSED, ERR_UNSUPPORTED,
                        a->server.authorize
                            ? "the issuer does not say that it supports PKCE with S256"
                            : "the issuer has no authorization endpoint");
        return;
    }
    if (a->client_issuer && strcmp(a->client_issuer, a->server.issuer) != 0)
        oauth__forget(a, true); /* O2 */
    if (a->conf_client_id) {
        if (configured_client(a, &e) != ERR_OK)
            oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
        else
            oauth__login_ready(a);
    } else if (a->server.cimd && a->client_uri) {
        be_client(a, a->client_uri);
        a->method = METHOD_NONE;
        oauth__login_ready(a);
    } else if (a->client_id) {
        oauth__login_ready(a);
    } else if (a->server.registration) {
        register_client(a);
    } else {
        oauth__work_end(a, OAUTH_REFUSED, ERR_CONFIG,
                        "the issuer registers no clients: give it a client_id");
    }
}

/* ---- tokens ---- */
void oauth__set_token(struct oauth *a, const char *token, size_t len)
{
    const char *head = a->bound ? "Authorization: DPoP " : "Authorization: Bearer ";
    size_t n = strlen(head);
    char *line = xcalloc(1, n + len + 1);
    memcpy(line, head, n);
    memcpy(line + n, token, len);
    vault_text_put(&a->header, line, n + len);
    oauth__wipe(line);
    struct vault_text fresh = vault_text_of(token, len);
    vault_known_add(&fresh, &a->token); /* a server that says it again is scrubbed */
    vault_text_wipe(&a->token);
    a->token = fresh;
    a->generation++;
}

void oauth__forget(struct oauth *a, bool client_too)
{
    vault_text_wipe(&a->token);
    vault_text_wipe(&a->header);
    vault_text_wipe(&a->refresh);
    a->bound = false;
    free(a->granted);
    a->granted = NULL;
    a->expires_at = 0;
    a->generation++;
    if (!client_too)
        return;
    oauth__dpop_forget(a);
    vault_text_wipe(&a->client_secret);
    free(a->client_id);
    free(a->client_issuer);
    a->client_id = a->client_issuer = NULL;
}

static bool token_fine(const char *token)
{
    size_t len = strlen(token);
    for (const char *p = token; *p; p++) {
        if (*p <= 0x20 || *p >= 0x7f)
            return false;
    }
    return len > 0 && len <= 32768;
}

static void refused_token(struct oauth *a, long status, const json_t *answer)
{
    const char *error = json_str(answer, "error", "");
    if (a->work == WORK_DEVICE) {
        oauth__device_answer(a, error);
        return;
    }
    if (a->work == WORK_REFRESH) {
        bool person = a->mode == OAUTH_CODE;
        if (status >= 500) { /* nothing is known about the token */
            oauth__work_end(a, OAUTH_REFUSED, ERR_UPSTREAM,
                            "the issuer does not refresh the token");
            return;
        }
        if (person && a->early && !a->awaited) { /* O5: the token itself is still good */
            vault_text_wipe(&a->refresh);
            oauth__save(a);
            oauth__work_end(a, OAUTH_REFUSED, ERR_DENIED, "the issuer does not refresh the token");
            return;
        }
        oauth__forget(a, false);
        oauth__save(a);
        if (!person) {
            a->work = WORK_TOKEN;
            server_known(a);
            return;
        }
        oauth__work_end(a, OAUTH_PERSON, ERR_DENIED,
                        "the sign-in has expired: sign in again with connectors login");
        return;
    }
    char *why = xasprintf("the issuer gives no token: HTTP %ld %.60s %.120s", status, error,
                          json_str(answer, "error_description", ""));
    oauth__work_end(a, OAUTH_REFUSED, ERR_DENIED, why);
    free(why);
}

/* RFC 9449, 8: the issuer has given a nonce; the request is sent once more with it. */
static bool wants_nonce(const struct oauth *a, long status, const json_t *answer)
{
    return a->form.text && !a->nonce_tried && a->issuer_nonce && status >= 400 && status < 500 &&
           strcmp(json_str(answer, "error", ""), "use_dpop_nonce") == 0;
}

static void ask_token(struct oauth *a, struct buf *form);

static void ask_again(struct oauth *a)
{
    struct buf form = {0};
    a->nonce_tried = true;
    buf_adds(&form, a->form.text);
    ask_token(a, &form);
}

static void got_token(struct oauth *a, long status, json_t *answer)
{
    const char *token = json_str(answer, "access_token", ""),
               *refresh = json_str(answer, "refresh_token", ""),
               *scope = json_str(answer, "scope", "");
    const char *type = json_str(answer, "token_type", "Bearer");
    bool bound = a->form.text && strcasecmp(type, "DPoP") == 0;
    if (wants_nonce(a, status, answer)) {
        ask_again(a);
        return;
    }
    vault_text_wipe(&a->form);
    if (status != 200 || !token_fine(token) || (!bound && strcasecmp(type, "Bearer") != 0)) {
        refused_token(a, status, answer);
        return;
    }
    a->bound = bound;
    oauth__set_token(a, token, strlen(token));
    if (token_fine(refresh))
        vault_text_put(&a->refresh, refresh, strlen(refresh));
    int64_t lasts = json_int(answer, "expires_in", 0);
    a->expires_at = lasts > 0 && lasts < 10LL * 365 * 86400 ? clock_real_ms() + lasts * 1000 : 0;
    a->ahead_set = false;
    if (*scope || (a->asked && a->work != WORK_REFRESH)) {
        /* What was asked for counts as had: asking for the same again would not help (O4). */
        char *all =
            oauth__scope_join(*scope ? scope : a->asked, a->work != WORK_REFRESH ? a->asked : NULL);
        free(a->granted);
        a->granted = all;
    }
    oauth__save(a);
    oauth__work_end(a, OAUTH_AGAIN, ERR_OK, "");
}

static char *basic_header(const struct oauth *a)
{
    struct buf id = {0}, secret = {0}, both = {0};
    oauth__form_add(&id, "x", a->client_id); /* RFC 6749, 2.3.1: encoded as in a form first */
    oauth__form_add(&secret, "x", a->client_secret.text ? a->client_secret.text : "");
    buf_addf(&both, "%s:%s", id.data + 2, secret.data + 2);
    char *coded = xcalloc(1, VAULT_BASE64(both.len));
    vault_base64(both.data, both.len, coded);
    char *line = xasprintf("Authorization: Basic %s", coded);
    explicit_bzero(secret.data, secret.cap);
    explicit_bzero(both.data, both.cap);
    oauth__wipe(coded);
    buf_release(&id);
    buf_release(&secret);
    buf_release(&both);
    return line;
}

/* RFC 7523, 2.2. */
static enum err add_assertion(struct oauth *a, struct buf *form, struct error *e)
{
    char id[33];
    struct vault_text pem = {0};
    if (conn__secret(a->conn, a->key_ref, &pem, e) != ERR_OK)
        return e->code;
    json_t *claims = json_object();
    int64_t now = clock_real_ms() / 1000;
    vault_id(id);
    json_puts(claims, "iss", a->client_id);
    json_puts(claims, "sub", a->client_id);
    json_puts(claims, "aud", a->server.issuer);
    json_puti(claims, "iat", now);
    json_puti(claims, "exp", now + ASSERTION_S);
    json_puts(claims, "jti", id);
    char *text = json_write(claims), *token = vault_jwt(pem.text, text, e);
    vault_text_wipe(&pem);
    json_decref(claims);
    free(text);
    if (!token)
        return e->code;
    oauth__form_add(form, "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    oauth__form_add(form, "client_assertion", token);
    oauth__wipe(token);
    return ERR_OK;
}

static void ask_token(struct oauth *a, struct buf *form)
{
    char *basic = NULL, *proof = NULL;
    struct error e = {0};
    switch (a->method) {
    case METHOD_BASIC:
        basic = basic_header(a);
        break;
    case METHOD_POST:
        oauth__form_add(form, "client_id", a->client_id);
        oauth__form_add(form, "client_secret", a->client_secret.text);
        break;
    case METHOD_NONE:
        oauth__form_add(form, "client_id", a->client_id);
        break;
    case METHOD_KEY:
        add_assertion(a, form, &e);
        break;
    }
    if (!a->legacy) /* RFC 8707; the older revision's servers do not know it */
        oauth__form_add(form, "resource", a->resource.resource);
    if (e.code == ERR_OK && a->form.text)
        proof = oauth__issuer_proof(a, &e);
    if (e.code == ERR_OK) {
        fetch(a, a->server.token, "Content-Type: application/x-www-form-urlencoded", form, basic,
              proof, got_token);
    } else {
        buf_release(form);
        oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
    }
    oauth__wipe(basic);
    free(proof);
}

void oauth__ask_token(struct oauth *a, struct buf *form)
{
    vault_text_wipe(&a->form);
    a->nonce_tried = false;
    if (a->server.dpop)
        vault_text_put(&a->form, form->data, form->len);
    ask_token(a, form);
}

/* ---- enterprise: an identity provider's word for the token (RFC 8693, then RFC 7523) ---- */
static void ask_by_assertion(struct oauth *a, const char *assertion)
{
    struct buf form = {0};
    oauth__form_add(&form, "grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer");
    oauth__form_add(&form, "assertion", assertion);
    oauth__form_add(&form, "scope", a->asked);
    oauth__ask_token(a, &form);
}

static void got_grant(struct oauth *a, long status, json_t *answer)
{
    const char *grant = json_str(answer, "access_token", "");
    if (status != 200 || !token_fine(grant)) {
        refused_token(a, status, answer);
        return;
    }
    ask_by_assertion(a, grant);
}

/* Without an identity provider to ask, the token itself is the assertion (a workload's). */
static void ask_identity_provider(struct oauth *a)
{
    struct vault_text word = {0};
    struct error e = {0};
    struct buf form = {0};
    if (conn__secret(a->conn, a->id_token_ref, &word, &e) != ERR_OK) {
        oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
        return;
    }
    if (!a->idp_url) {
        ask_by_assertion(a, word.text);
        vault_text_wipe(&word);
        return;
    }
    oauth__form_add(&form, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
    oauth__form_add(&form, "requested_token_type", "urn:ietf:params:oauth:token-type:id-jag");
    oauth__form_add(&form, "audience", a->server.issuer);
    oauth__form_add(&form, "resource", a->resource.resource ? a->resource.resource : a->url);
    oauth__form_add(&form, "subject_token", word.text);
    oauth__form_add(&form, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token");
    oauth__form_add(&form, "client_id", a->idp_client_id);
    oauth__form_add(&form, "scope", a->asked);
    vault_text_wipe(&word);
    oauth__fetch(a, a->idp_url, "Content-Type: application/x-www-form-urlencoded", &form, NULL,
                 got_grant);
}

/* ---- the work itself ---- */
static void server_known(struct oauth *a)
{
    struct error e = {0};
    struct buf form = {0};
    if (a->work == WORK_URL) {
        find_client(a);
        return;
    }
    if (a->work == WORK_REFRESH) {
        if (!a->client_issuer || strcmp(a->client_issuer, a->server.issuer) != 0) { /* O2 */
            oauth__forget(a, true);
            refused_token(a, 0, NULL);
            return;
        }
        oauth__form_add(&form, "grant_type", "refresh_token");
        oauth__form_add(&form, "refresh_token", a->refresh.text);
        oauth__ask_token(a, &form);
        return;
    }
    free(a->asked);
    a->asked = oauth__scopes(a, false);
    if (configured_client(a, &e) != ERR_OK) {
        oauth__work_end(a, OAUTH_REFUSED, e.code, e.detail);
        return;
    }
    if (a->mode == OAUTH_ENTERPRISE) {
        ask_identity_provider(a);
        return;
    }
    oauth__form_add(&form, "grant_type", "client_credentials");
    oauth__form_add(&form, "scope", a->asked);
    oauth__ask_token(a, &form);
}

void oauth__work(struct oauth *a, enum oauth_work work)
{
    http_cancel(a->http);
    a->http = NULL;
    a->work = work;
    a->early = a->awaited = false;
    vault_text_wipe(&a->form);
    look_up(a);
}
