/* The methods of the vault: names of secrets, never their values. A value goes over no bus: it was
 * given when the console started. */
#include "backend/methods.h"
#include <stdlib.h>
#include <string.h>

static void add_row(void *arg, const char *name, int64_t set_at)
{
    json_t *row = json_object(), *rows = arg;
    json_puts(row, "name", name);
    json_puti(row, "set_at", set_at);
    json_array_append_new(rows, row);
}

void on_vault_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    json_t *result = json_object(), *rows = json_array();
    vault_secrets_list(prov_vault(b->prov), add_row, rows, &e);
    json_put(result, "secrets", rows);
    if (e.code != ERR_OK) {
        json_decref(result);
        result = NULL;
    }
    method_answer(c, result, &e);
}

struct change {
    struct backend *backend;
    struct bus_call *call;
    char *name;
    bool set;
};

/* Nothing is changed that was not logged first. */
static void change_logged(void *arg, int64_t seq, const struct error *e)
{
    struct change *h = arg;
    struct backend *b = h->backend;
    struct error why = *e;
    int64_t done, total;
    if (why.code == ERR_OK && b->stopping)
        err_set(&why, ERR_CLOSED, "the console is stopping");
    else if (why.code == ERR_OK && prov_rotating(b->prov, &done, &total))
        err_set(&why, ERR_BUSY, "the master key is being replaced");
    else if (why.code == ERR_OK && h->set)
        vault_secret_set(prov_vault(b->prov), h->name, &b->secret, &why);
    else if (why.code == ERR_OK)
        vault_secret_remove(prov_vault(b->prov), h->name, &why);
    if (h->set)
        vault_text_wipe(&b->secret);
    json_t *result = NULL;
    if (why.code == ERR_OK) {
        result = json_object();
        json_puti(result, "entry", seq);
    }
    method_answer(h->call, result, &why);
    free(h->name);
    free(h);
}

static void change(struct bus_call *c, struct backend *b, bool set)
{
    const char *name;
    struct error e = {0};
    if (!method_text(c, "name", true, &name))
        return;
    char *reference = xasprintf("secret:%s", name);
    bool fine = vault_is_reference(reference);
    free(reference);
    if (!fine)
        err_set(&e, ERR_INVALID,
                "a secret's name has 1 to %d of the characters A-Z a-z 0-9 . _ - and does not "
                "begin with a dot",
                VAULT_SECRET_NAME);
    else if (set && !b->secret.text)
        err_set(&e, ERR_INVALID, "a value is given to `mcp-console vault set` only");
    if (e.code != ERR_OK) {
        bus_fail(c, &e);
        return;
    }
    struct change *h = xcalloc(1, sizeof *h);
    *h = (struct change){b, c, xstrdup(name), set};
    json_t *payload = json_object();
    json_puts(payload, "name", name);
    struct prov_entry entry = {.type = set ? "secret.set" : "secret.remove",
                               .actor = bus_role_name(bus_session(c)->role),
                               .payload = payload};
    prov_append(b->prov, &entry, change_logged, h, NULL, NULL);
    json_decref(payload);
}

void on_vault_set(struct bus_call *c, void *arg)
{
    change(c, arg, true);
}

void on_vault_remove(struct bus_call *c, void *arg)
{
    change(c, arg, false);
}
