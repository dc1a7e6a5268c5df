/* Prompt injection by the rules alone: `scan` without a console, and what connectors say of
 * themselves, which people are shown. */
#include "backend/compliance/inject.h"
#include "backend/internal.h"
#include <pthread.h>
#include <string.h>

enum { KNOWN = 512, SCANNED = 64 << 10 };

static struct pol_injector *rules; /* made once, kept as long as the process */

static void make_rules(void)
{
    rules = pol_injector_new();
}

static void search(const char *text, size_t len, struct pol_injections *found)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_rules);
    pol_inject(rules, text, len, found);
}

json_t *backend_scan(const char *text, size_t len)
{
    struct pol_injections found;
    search(text, len, &found);
    json_t *o = json_object();
    json_put(o, "injection", json_boolean(found.score >= POL_INJECTED));
    json_put(o, "score", json_real(found.score));
    json_put(o, "findings", pol_injections_json(&found));
    return o;
}

/* Definitions change seldom and are asked for often. The backend's thread only. */
static const char *steers(const char *text, size_t len)
{
    static struct {
        uint8_t hash[VAULT_HASH];
        const char *how;
        bool there;
    } known[KNOWN];
    uint8_t hash[VAULT_HASH];
    vault_sha256(text, len, NULL, 0, hash);
    size_t slot = (size_t)(hash[0] | hash[1] << 8) % KNOWN;
    if (known[slot].there && memcmp(known[slot].hash, hash, sizeof hash) == 0)
        return known[slot].how;
    struct pol_injections found;
    search(text, len, &found);
    memcpy(known[slot].hash, hash, sizeof hash);
    known[slot].how = found.score >= POL_INJECTED ? pol_injection_heaviest(&found) : NULL;
    known[slot].there = true;
    return known[slot].how;
}

void backend__mark_steering(json_t *row, const json_t *said)
{
    char *text = said ? json_dumps(said, JSON_ENCODE_ANY) : NULL;
    size_t len = text ? strnlen(text, SCANNED) : 0;
    const char *how = len ? steers(text, len) : NULL;
    if (how)
        json_puts(row, "steers", how);
    free(text);
}

void backend__mark_tools(json_t *tools)
{
    static const char *const SAID[] = {"name", "title", "description", "input_schema",
                                       "output_schema"};
    size_t i;
    json_t *row;
    json_array_foreach(tools, i, row)
    {
        json_t *said = json_array();
        for (size_t k = 0; k < sizeof SAID / sizeof *SAID; k++)
            json_array_append(said, json_object_get(row, SAID[k]));
        backend__mark_steering(row, said);
        json_decref(said);
    }
}
