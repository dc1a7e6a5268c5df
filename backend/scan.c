/* `scan` without a console: prompt injection in a text, by the rules alone. */
#include "backend/backend.h"
#include "backend/compliance/inject.h"
#include <pthread.h>

static struct pol_injector *rules; /* made once, kept as long as the process */

static void make_rules(void)
{
    rules = pol_injector_new();
}

json_t *backend_scan(const char *text, size_t len)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct pol_injections found;
    pthread_once(&once, make_rules);
    pol_inject(rules, text, len, &found);
    json_t *o = json_object();
    json_put(o, "injection", json_boolean(found.score >= POL_INJECTED));
    json_put(o, "score", json_real(found.score));
    json_put(o, "findings", pol_injections_json(&found));
    return o;
}
