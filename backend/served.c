/* What the console says of its own server for agents: it runs beside the backend, and the status
 * tells where, or why it does not. */
#include "backend/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct told {
    struct backend *backend;
    char *address;
    struct error error;
};

static void take(void *arg)
{
    struct told *t = arg;
    struct backend *b = t->backend;
    free(b->served_address);
    b->served_address = t->address;
    b->served_error = t->error;
    if (backend_error(b, NULL) == ERR_OK)
        backend__changed(b);
    free(t);
}

void backend_served(struct backend *b, const char *address, const struct error *e)
{
    struct told *t = xcalloc(1, sizeof *t);
    t->backend = b;
    t->address = xstrdup_or_null(address);
    if (e)
        t->error = *e;
    if (!loop_post(backend__loop(b), take, t)) {
        free(t->address);
        free(t);
    }
}

json_t *backend__served(const struct backend *b)
{
    if (!b->served_address && !b->served_error.code)
        return json_null();
    json_t *served = json_object(), *error = json_null();
    if (b->served_error.code) {
        error = json_object();
        json_puts(error, "name", err_name(b->served_error.code));
        json_puts(error, "detail", b->served_error.detail);
    }
    json_puts(served, "address", b->served_address ? b->served_address : "");
    json_put(served, "error", error);
    return served;
}
