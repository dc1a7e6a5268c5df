/* The methods of keys: list, rotate, verify. */
#include "backend/methods.h"
#include <stdlib.h>
#include <string.h>

static void answer_keyring(void *arg, json_t *keyring, const struct error *e)
{
    method_answer(arg, keyring ? json_incref(keyring) : NULL, e);
}

struct listing {
    struct backend *backend;
    struct bus_call *call;
};

static void answer_list(void *arg, json_t *keyring, const struct error *e)
{
    struct listing *l = arg;
    int64_t done, total;
    if (keyring && !l->backend->stopping && prov_rotating(l->backend->prov, &done, &total)) {
        json_t *rotation = json_object();
        json_puti(rotation, "done", done);
        json_puti(rotation, "total", total);
        json_put(keyring, "rotation", rotation);
    } else if (keyring) {
        json_put(keyring, "rotation", json_null());
    }
    answer_keyring(l->call, keyring, e);
    free(l);
}

void on_keys_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct listing *l = xcalloc(1, sizeof *l);
    *l = (struct listing){b, c};
    prov_keyring_read(b->prov, false, answer_list, l);
}

/* ---- after a rotation that is under way, a resumed one perhaps */

struct key_wait {
    struct key_wait *next;
    loop_fn *then;
    void *arg;
};

static void go_on(struct backend *b)
{
    struct key_wait *waits = b->key_waits;
    loop_timer_free(b->key_timer);
    b->key_timer = NULL;
    b->key_waits = NULL;
    while (waits) {
        struct key_wait *w = waits;
        waits = w->next;
        w->then(w->arg);
        free(w);
    }
}

static void look_again(void *arg)
{
    struct backend *b = arg;
    int64_t done, total;
    if (!prov_rotating(b->prov, &done, &total))
        go_on(b);
}

/* Calls then(arg) at once, or when no key is being replaced any more, or when the console stops. */
static void when_idle(struct backend *b, loop_fn *then, void *arg)
{
    enum { LOOK_MS = 20 };
    int64_t done, total;
    if (!prov_rotating(b->prov, &done, &total)) {
        then(arg);
        return;
    }
    struct key_wait *w = xcalloc(1, sizeof *w), **end = &b->key_waits;
    while (*end)
        end = &(*end)->next;
    *end = w;
    w->then = then;
    w->arg = arg;
    if (b->key_timer)
        return;
    b->key_timer = loop_timer_new(b->loop, look_again, b);
    loop_timer_start(b->key_timer, LOOK_MS, LOOK_MS);
}

void backend__keys_forget(struct backend *b)
{
    if (b->key_timer)
        go_on(b);
}

static void verify_now(void *arg)
{
    struct listing *l = arg;
    struct error e = {0};
    if (l->backend->stopping) {
        err_set(&e, ERR_CLOSED, "the console stops");
        answer_keyring(l->call, NULL, &e);
    } else
        prov_keyring_read(l->backend->prov, true, answer_keyring, l->call);
    free(l);
}

void on_keys_verify(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct listing *l = xcalloc(1, sizeof *l);
    *l = (struct listing){b, c};
    when_idle(b, verify_now, l);
}

/* ---- rotation: the master key first, then the signing key */

struct rotating {
    struct backend *backend;
    struct bus_call *call;
    bool master, signing; /* still to be done */
    enum vault_seal seal;
    struct vault_pass *pass;
    json_t *result;
};

static void next_key(struct rotating *r);

static void ended(struct rotating *r, const struct error *e)
{
    bool good = e->code == ERR_OK;
    if (!good)
        json_decref(r->result);
    method_answer(r->call, good ? r->result : NULL, e);
    free(r);
}

static void one_rotated(struct rotating *r, const char *name, const json_t *what,
                        const struct error *e)
{
    if (!what) {
        ended(r, e);
        return;
    }
    json_put(r->result, name, json_deep_copy(what));
    next_key(r);
}

static void master_rotated(void *arg, const json_t *what, const struct error *e)
{
    struct rotating *r = arg;
    r->master = false;
    one_rotated(r, "master", what, e);
}

static void signing_rotated(void *arg, const json_t *what, const struct error *e)
{
    struct rotating *r = arg;
    r->signing = false;
    one_rotated(r, "signing", what, e);
}

static void next_key(struct rotating *r)
{
    struct error none = {0};
    const char *by = bus_role_name(BUS_OPERATOR);
    struct prov_rotation o = {.seal = r->seal, .pass = r->pass, .by = by};
    if (r->master)
        prov_rotate_master(r->backend->prov, &o, master_rotated, r);
    else if (r->signing)
        prov_rotate_signing(r->backend->prov, by, signing_rotated, r);
    else
        ended(r, &none);
}

static void rotate_now(void *arg)
{
    struct rotating *r = arg;
    struct error e = {0};
    if (!r->backend->stopping) {
        next_key(r);
        return;
    }
    err_set(&e, ERR_CLOSED, "the console stops");
    ended(r, &e);
}

static enum err which(const char *what, const char *seal, struct rotating *r, struct error *e)
{
    r->master = strcmp(what, "signing") != 0;
    r->signing = strcmp(what, "master") != 0;
    if (strcmp(what, "master") != 0 && strcmp(what, "signing") != 0 && strcmp(what, "all") != 0)
        return err_set(e, ERR_INVALID, "what: master, signing or all");
    r->seal = vault_sealed_by(prov_vault(r->backend->prov));
    if (!seal)
        return ERR_OK;
    if (!vault_seal_find(seal, &r->seal))
        return err_set(e, ERR_INVALID, "seal: file, passphrase or systemd-creds");
    if (!r->master)
        return err_set(e, ERR_INVALID, "a seal is of the master key");
    /* It goes over no bus: it was given when the console started. */
    r->pass = r->seal == VAULT_PASSPHRASE ? r->backend->new_pass : NULL;
    if (r->seal == VAULT_PASSPHRASE && !r->pass)
        return err_set(e, ERR_PASSPHRASE,
                       "a new passphrase is given to `mcp-console keys rotate --seal passphrase`");
    return ERR_OK;
}

void on_keys_rotate(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    const char *what, *seal;
    if (!method_text(c, "what", false, &what) || !method_text(c, "seal", false, &seal))
        return;
    struct rotating *r = xcalloc(1, sizeof *r);
    *r = (struct rotating){.backend = b, .call = c};
    if (which(what ? what : seal ? "master" : "all", seal, r, &e) != ERR_OK) {
        free(r);
        bus_fail(c, &e);
        return;
    }
    r->result = json_object();
    when_idle(b, rotate_now, r);
}
