/* OAuth: a person's sign-in. The address is shown, so that it works over SSH: the browser may be on
 * another machine. It comes back in one of three ways: to a port of the loopback here, as the code
 * or address that the person pastes, or by asking the issuer again and again (RFC 8628).
 *
 * Invariants
 * L1 A code is taken only with the state that was sent (RFC 6749, 10.12); a bare code, which a
 * person pasted, has PKCE alone. L2 An issuer that says that it names itself in the answer must do
 * so, and any that does must be the one that was asked (RFC 9207). */
#include "backend/base/clock.h"
#include "backend/base/httpd.h"
#include "backend/connectors/oauth_state.h"
#include <stdlib.h>
#include <string.h>

enum {
    RANDOM = 32,
    LATER_PORT = 33418, /* where nothing listens, when no port can be had: the address is pasted */
    DEVICE_MS = 5000,
    DEVICE_SLOWER_MS = 5000,
    DEVICE_MAX_S = 1800
};

static char *random_text(void)
{
    uint8_t bytes[RANDOM];
    char text[VAULT_BASE64(RANDOM)];
    vault_random(bytes, sizeof bytes);
    vault_base64url(bytes, sizeof bytes, text);
    explicit_bzero(bytes, sizeof bytes);
    return xstrdup(text);
}

void oauth__login_release(struct oauth *a)
{
    httpd_free(a->listener);
    a->listener = NULL;
    if (a->poll)
        loop_timer_stop(a->poll);
    oauth__wipe(a->state);
    oauth__wipe(a->verifier);
    oauth__wipe(a->code);
    oauth__wipe(a->device_code);
    free(a->user_code);
    free(a->asked);
    free(a->shown_url);
    a->state = a->verifier = a->code = a->device_code = a->user_code = a->asked = a->shown_url =
        NULL;
}

/* ---- what the browser brings ---- */
static void use_code(struct oauth *a)
{
    struct buf form = {0};
    a->work = WORK_CODE;
    oauth__form_add(&form, "grant_type", "authorization_code");
    oauth__form_add(&form, "code", a->code);
    oauth__form_add(&form, "redirect_uri", a->redirect);
    oauth__form_add(&form, "code_verifier", a->verifier);
    oauth__wipe(a->code);
    a->code = NULL;
    oauth__ask_token(a, &form);
}

static enum err check_issuer(const struct oauth *a, const char *iss, struct error *e)
{
    if (!iss && a->server.iss)
        return err_set(e, ERR_DENIED,
                       "the answer does not name its issuer, as the issuer promises");
    if (iss && strcmp(iss, a->server.issuer) != 0)
        return err_set(e, ERR_DENIED, "the answer comes from another issuer: %.120s", iss);
    return ERR_OK;
}

/* Takes the code out of an address that the browser was sent to. */
static enum err take_redirect(struct oauth *a, const char *url, struct error *e)
{
    char *state = oauth__query(url, "state"), *iss = oauth__query(url, "iss"),
         *error = oauth__query(url, "error"), *code = oauth__query(url, "code");
    enum err result = ERR_OK;
    if (!state || strlen(state) != strlen(a->state) || !vault_equal(state, a->state, strlen(state)))
        result = err_set(e, ERR_DENIED, "that address does not belong to this sign-in");
    else if (check_issuer(a, iss, e) != ERR_OK)
        result = ERR_DENIED;
    else if (error)
        result = err_set(e, ERR_DENIED, "the issuer refuses: %.160s", error);
    else if (!code || !*code)
        result = err_set(e, ERR_INVALID, "that address holds no code");
    else {
        oauth__wipe(a->code);
        a->code = code;
        code = NULL;
    }
    free(state);
    free(iss);
    free(error);
    oauth__wipe(code);
    return result;
}

static enum err take_pasted(struct oauth *a, const char *text, struct error *e)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    char *copy = xstrndup(text, len);
    enum err code = ERR_OK;
    if (len > OAUTH_URL_MAX * 2) {
        code = err_set(e, ERR_TOO_BIG, "that is longer than a code or an address");
    } else if (strstr(copy, "code=") || strstr(copy, "error=") || strstr(copy, "://")) {
        code = take_redirect(a, copy, e);
    } else if (a->server.iss) {
        code = err_set(
            e, ERR_INVALID,
            "this issuer names itself in the answer: paste the whole address, not the code");
    } else if (!len || strpbrk(copy, " \t\r\n")) {
        code = err_set(e, ERR_INVALID, "that is neither a code nor an address");
    } else {
        oauth__wipe(a->code);
        a->code = copy;
        copy = NULL;
    }
    oauth__wipe(copy);
    return code;
}

static void on_browser(void *arg, struct httpd_request *r)
{
    struct oauth *a = arg;
    struct error e = {0};
    const char *path = httpd_path(r);
    const char *words = "Signed in. You may close this page and go back to the console.\n";
    int status = 200;
    bool ours = strcmp(httpd_method(r), "GET") == 0 && strncmp(path, "/callback?", 10) == 0;
    bool free_now = a->work == WORK_NONE && a->state;
    if (!ours || !free_now || take_redirect(a, path, &e) != ERR_OK) {
        status = ours ? 400 : 404;
        words = "This address does not belong to a sign-in that the console waits for.\n";
    } else {
        use_code(a);
    }
    httpd_reply(r, status, "text/plain; charset=utf-8",
                "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n", words,
                strlen(words));
}

const char *oauth__redirect(struct oauth *a)
{
    struct error e;
    if (a->listener)
        return a->redirect;
    unsigned port = a->redirect_port;
    if (!port && a->redirect && a->client_id) /* registered with it */
        port = (unsigned)strtoul(strrchr(a->redirect, ':') + 1, NULL, 10);
    char *address = xasprintf("127.0.0.1:%u", port);
    a->listener =
        httpd_new(conn__loop(a->conn), &(struct httpd_options){.address = address, .body_max = 0},
                  on_browser, a, &e);
    free(address);
    if (a->listener)
        port = (unsigned)strtoul(strrchr(httpd_address(a->listener), ':') + 1, NULL, 10);
    free(a->redirect);
    a->redirect = xasprintf("http://127.0.0.1:%u/callback", port ? port : LATER_PORT);
    return a->redirect;
}

/* ---- device (RFC 8628) ---- */
static void on_poll(void *arg)
{
    struct oauth *a = arg;
    struct buf form = {0};
    if (a->work != WORK_NONE || !a->device_code) {
        loop_timer_start(a->poll, a->device_ms, 0);
        return;
    }
    a->work = WORK_DEVICE;
    oauth__form_add(&form, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
    oauth__form_add(&form, "device_code", a->device_code);
    oauth__ask_token(a, &form);
}

void oauth__device_answer(struct oauth *a, const char *error)
{
    bool slower = strcmp(error, "slow_down") == 0;
    if (slower)
        a->device_ms += DEVICE_SLOWER_MS;
    if ((slower || strcmp(error, "authorization_pending") == 0) &&
        clock_mono_ms() < a->device_until_ms) {
        a->work = WORK_NONE;
        loop_timer_start(a->poll, a->device_ms, 0);
        return;
    }
    char *why = xasprintf("the sign-in has ended: %.120s", *error ? error : "no answer");
    oauth__work_end(a, OAUTH_REFUSED, ERR_DENIED, why);
    free(why);
}

static void got_device(struct oauth *a, long status, json_t *answer)
{
    const char *code = json_str(answer, "device_code", ""),
               *user = json_str(answer, "user_code", ""),
               *url = json_str(answer, "verification_uri_complete",
                               json_str(answer, "verification_uri", ""));
    int64_t every = json_int(answer, "interval", 5), lasts = json_int(answer, "expires_in", 600);
    if (status != 200 || !*code || strlen(code) > OAUTH_VALUE_MAX || !*user || strlen(user) > 64 ||
        !oauth__url_trusted(url, a->url)) {
        oauth__work_end(a, OAUTH_REFUSED, ERR_PROTOCOL, "the issuer starts no sign-in by device");
        return;
    }
    a->device_code = xstrdup(code);
    a->user_code = xstrdup(user);
    a->shown_url = xstrdup(url);
    a->device_ms = every > 0 && every < 120 ? (uint64_t)every * 1000 : DEVICE_MS;
    a->device_until_ms =
        clock_mono_ms() +
        (uint64_t)(lasts > 0 && lasts < DEVICE_MAX_S ? lasts : DEVICE_MAX_S) * 1000;
    if (!a->poll)
        a->poll = loop_timer_new(conn__loop(a->conn), on_poll, a);
    loop_timer_start(a->poll, a->device_ms, 0);
    oauth__work_end(a, OAUTH_AGAIN, ERR_OK, "");
}

/* ---- beginning ---- */
static void make_url(struct oauth *a)
{
    uint8_t hash[VAULT_HASH];
    char challenge[VAULT_BASE64(VAULT_HASH)];
    struct buf query = {0};
    a->state = random_text();
    a->verifier = random_text(); /* 43 characters: RFC 7636, 4.1 */
    vault_sha256(a->verifier, strlen(a->verifier), NULL, 0, hash);
    vault_base64url(hash, sizeof hash, challenge);
    oauth__form_add(&query, "response_type", "code");
    oauth__form_add(&query, "client_id", a->client_id);
    oauth__form_add(&query, "redirect_uri", oauth__redirect(a));
    oauth__form_add(&query, "code_challenge", challenge);
    oauth__form_add(&query, "code_challenge_method", "S256");
    oauth__form_add(&query, "state", a->state);
    oauth__form_add(&query, "scope", a->asked);
    if (oauth__scope_has(a->asked, "offline_access"))
        oauth__form_add(&query, "prompt", "consent");
    if (!a->legacy)
        oauth__form_add(&query, "resource", a->resource.resource);
    a->shown_url = xasprintf("%s%c%s", a->server.authorize,
                             strchr(a->server.authorize, '?') ? '&' : '?', query.data);
    buf_release(&query);
}

void oauth__login_ready(struct oauth *a)
{
    struct buf form = {0};
    free(a->asked);
    a->asked = oauth__scopes(a, true);
    if (a->server.device && a->server.device_grant) {
        oauth__form_add(&form, "client_id", a->client_id);
        oauth__form_add(&form, "scope", a->asked);
        oauth__form_add(&form, "resource", a->resource.resource);
        oauth__fetch(a, a->server.device, "Content-Type: application/x-www-form-urlencoded", &form,
                     NULL, got_device);
        return;
    }
    make_url(a);
    oauth__work_end(a, OAUTH_AGAIN, ERR_OK, "");
}

static void answer(struct oauth *a, json_t *what, const struct error *e)
{
    conn_login_done *fn = a->login;
    a->login = NULL;
    if (fn)
        fn(a->login_arg, what, e);
    json_decref(what);
}

void oauth__login_tell(struct oauth *a, enum oauth_work was, const struct error *why)
{
    json_t *what = NULL;
    bool signed_in = why->code == ERR_OK && was != WORK_URL;
    if (why->code == ERR_OK) {
        what = json_object();
        if (!signed_in)
            json_puts(what, "url", a->shown_url);
        if (!signed_in && a->user_code)
            json_puts(what, "user_code", a->user_code);
        json_put(what, "done", json_boolean(signed_in));
    }
    if (!what || signed_in)
        oauth__login_release(a);
    struct conn *c = a->conn;
    answer(a, what, why);
    if (signed_in)
        conn__signed_in(c);
}

static void drop_work(struct oauth *a)
{
    http_cancel(a->http);
    a->http = NULL;
    a->work = WORK_NONE;
    a->early = false;
    loop_timer_stop(a->report);
}

static void answer_later(struct oauth *a, enum oauth_work work, enum err code, const char *why)
{
    a->work = work;
    oauth__work_end(a, OAUTH_REFUSED, code, why);
}

void oauth__login(struct oauth *a, const char *code, conn_login_done *fn, void *arg)
{
    struct error e = {0};
    if (a->login || a->work == WORK_CODE) {
        err_set(&e, ERR_BUSY, "a sign-in is being worked on");
        fn(arg, NULL, &e);
        return;
    }
    if (a->early && !a->awaited) /* what nobody waits for makes room for the person */
        drop_work(a);
    a->login = fn;
    a->login_arg = arg;
    if (a->token_ref || a->mode != OAUTH_CODE) {
        answer_later(a, WORK_URL, ERR_UNSUPPORTED,
                     "no person signs in to this connector: see its auth");
    } else if (!code) {
        oauth__header(a); /* what is kept from an earlier run */
        oauth__login_release(a);
        oauth__work(a, WORK_URL);
    } else if (!a->state) {
        answer_later(a, WORK_URL, ERR_INVALID, "no sign-in has begun that waits for a code");
    } else if (take_pasted(a, code, &e) != ERR_OK) {
        a->login = NULL; /* the sign-in goes on: it may have been a slip */
        fn(arg, NULL, &e);
    } else {
        use_code(a);
    }
}

void oauth__logout(struct oauth *a)
{
    drop_work(a);
    oauth__login_release(a);
    oauth__forget(a, true);
    a->step_ups = a->automatic = 0;
    oauth__save(a);
    struct error e = {ERR_CANCELLED, "signed out"};
    answer(a, NULL, &e);
}
