/* Signing in to a connector and out of it. */
#include "backend/connectors/registry_types.h"

enum err conn_login(struct conn_registry *r, const char *name, const char *code,
                    conn_login_done *fn, void *arg, struct error *e)
{
    struct conn *c = conn__find(r, name);
    if (!c)
        return err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
    if (!c->ops->login)
        return err_set(e, ERR_UNSUPPORTED, "nobody signs in to connector %s", name);
    c->ops->login(c->self, code, fn, arg);
    return ERR_OK;
}

enum err conn_logout(struct conn_registry *r, const char *name, struct error *e)
{
    struct conn *c = conn__find(r, name);
    if (!c)
        return err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
    if (!c->ops->logout)
        return err_set(e, ERR_UNSUPPORTED, "nobody signs in to connector %s", name);
    c->ops->logout(c->self);
    return c->enabled ? conn_restart(r, name, e) : ERR_OK;
}

void conn__signed_in(struct conn *c)
{
    conn_restart(c->registry, c->name, NULL);
}
