/* Signing in to connectors and out of them. Neither the code nor the address, which holds the state
 * of the sign-in, is logged. */
#include "backend/methods.h"
#include <stdlib.h>
#include <string.h>

struct sign {
    struct backend *backend;
    struct bus_call *call;
    char *name, *code; /* code NULL: it begins */
    bool out;
};

static void sign_free(struct sign *s)
{
    if (s->code)
        explicit_bzero(s->code, strlen(s->code));
    free(s->code);
    free(s->name);
    free(s);
}

static void answered(void *arg, const json_t *answer, const struct error *e)
{
    struct sign *s = arg;
    method_answer(s->call, answer ? json_deep_copy(answer) : NULL, e);
    sign_free(s);
}

/* Nothing acts that was not logged first. */
static void logged(void *arg, int64_t seq, const struct error *e)
{
    struct sign *s = arg;
    struct error why = *e;
    (void)seq;
    if (why.code == ERR_OK && s->backend->stopping)
        err_set(&why, ERR_CLOSED, "the console is stopping");
    if (why.code == ERR_OK && !s->out &&
        conn_login(s->backend->conn, s->name, s->code, answered, s, &why) == ERR_OK)
        return;
    if (why.code == ERR_OK)
        conn_logout(s->backend->conn, s->name, &why);
    method_answer(s->call, why.code == ERR_OK ? json_object() : NULL, &why);
    sign_free(s);
}

static void sign(struct bus_call *c, struct backend *b, bool out)
{
    const char *name, *code = NULL;
    if (!method_text(c, "name", true, &name) || (!out && !method_text(c, "code", false, &code)))
        return;
    struct sign *s = xcalloc(1, sizeof *s);
    *s = (struct sign){b, c, xstrdup(name), xstrdup_or_null(code), out};
    json_t *payload = json_object();
    json_puts(payload, "what",
              out    ? "sign out of a connector"
              : code ? "finish signing in to a connector"
                     : "sign in to a connector");
    json_puts(payload, "connector", name);
    struct prov_entry entry = {
        .type = "config", .actor = bus_role_name(bus_session(c)->role), .payload = payload};
    prov_append(b->prov, &entry, logged, s, NULL, NULL);
    json_decref(payload);
}

void on_connectors_login(struct bus_call *c, void *arg)
{
    sign(c, arg, false);
}

void on_connectors_logout(struct bus_call *c, void *arg)
{
    sign(c, arg, true);
}
