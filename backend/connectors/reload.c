/* A new configuration of connectors.
 *
 * Everything is made from it first, apart (nothing runs yet), so that a wrong one changes nothing.
 * What is the same as before stays as it is, with its calls; what differs is swapped, one connector
 * after another.
 *
 * Invariants
 * W1 At most one swapped connector is coming up (`swapping`); the next waits until it has settled,
 *    SETTLE_MS at most. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/connectors/registry_types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_MS = 50, SETTLE_MS = 5000 };

static void take_section(struct buf *text, const struct conf *conf, const char *section,
                         const char *name)
{
    char *keys = conf_section_text(conf, section, name);
    buf_adds(text, keys);
    free(keys);
}

/* Its own section, and those of its tools: [tool "NAME.*"]. */
char *conn__fingerprint(const struct conf *conf, const char *name)
{
    struct buf text = {0};
    uint8_t hash[VAULT_HASH];
    char *hex = xcalloc(2 * VAULT_HASH + 1, 1);
    size_t prefix = strlen(name), n = conf_names(conf, "tool", NULL, 0);
    const char **tools = xcalloc(n + 1, sizeof *tools);
    take_section(&text, conf, "connector", name);
    conf_names(conf, "tool", tools, n);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(tools[i], name, prefix) != 0 || tools[i][prefix] != '.')
            continue;
        buf_addf(&text, "[%s]\n", tools[i]);
        take_section(&text, conf, "tool", tools[i]);
    }
    free(tools);
    vault_sha256(text.data ? text.data : "", text.len, NULL, 0, hash);
    text_hex(hash, sizeof hash, hex);
    buf_release(&text);
    return hex;
}

static bool same(const struct conn *a, const struct conn *b)
{
    return a->fingerprint && b->fingerprint ? strcmp(a->fingerprint, b->fingerprint) == 0
                                            : !a->fingerprint && !b->fingerprint;
}

static struct conn *take_out(struct conn **first, const char *name)
{
    for (struct conn **at = first; *at; at = &(*at)->next) {
        struct conn *c = *at;
        if (strcmp(c->name, name) != 0)
            continue;
        *at = c->next;
        c->next = NULL;
        return c;
    }
    return NULL;
}

static void retire(struct conn_registry *r, const char *name, const char *why)
{
    struct conn *old = take_out(&r->first, name);
    if (!old)
        return;
    conn__stop_now(old, why, true);
    conn__free_one(old);
}

/* In the order of the configuration as far as it matters to people: a replaced one keeps its place.
 */
static void put_in(struct conn_registry *r, struct conn *c)
{
    struct conn **at = &r->first;
    while (*at && strcmp((*at)->name, c->name) != 0)
        at = &(*at)->next;
    struct conn *old = *at;
    enum conn_state before = old ? old->state : CONN_DISABLED;
    c->registry = r;
    c->next = old ? old->next : NULL;
    *at = c;
    if (old) {
        old->next = NULL;
        conn__stop_now(old, "the configuration of the connector has changed", true);
        c->starts = old->starts;
        conn__free_one(old);
    }
    if (r->setup.changed && before != c->state)
        r->setup.changed(r->setup.arg, c->name, before, c->state, "");
    if (c->enabled && r->started)
        conn__start_now(c);
}

static void on_step(void *arg)
{
    struct conn_registry *r = arg;
    const struct conn *last = r->swapping ? conn__find(r, r->swapping) : NULL;
    if (last && last->state == CONN_STARTING && clock_mono_ms() - r->swap_since_ms < SETTLE_MS)
        return;
    free(r->swapping);
    r->swapping = NULL;
    struct conn *c = r->next_ones;
    if (!c || r->closing) {
        loop_timer_stop(r->swap_timer);
        return;
    }
    r->next_ones = c->next;
    r->swapping = xstrdup(c->name);
    r->swap_since_ms = clock_mono_ms();
    put_in(r, c);
}

void conn__reload_free(struct conn_registry *r)
{
    while (r->next_ones) {
        struct conn *c = r->next_ones;
        r->next_ones = c->next;
        conn__free_one(c);
    }
    loop_timer_free(r->swap_timer);
    r->swap_timer = NULL;
    free(r->swapping);
    r->swapping = NULL;
}

/* Those of the old that the new one does not know; this process's own stay. */
static void drop_missing(struct conn_registry *r, const struct conn_registry *fresh,
                         struct buf *changes)
{
    for (struct conn *c = r->first, *next; c; c = next) {
        next = c->next;
        if (strcmp(c->name, CONN_OWN_NAME) == 0 || conn__find(fresh, c->name))
            continue;
        buf_addf(changes, "%s\n", c->name);
        retire(r, c->name, "the connector is not configured any more");
    }
}

enum err conn_reload(struct conn_registry *r, const struct conf *conf, char **changes,
                     struct error *e)
{
    struct conn_setup setup = r->setup;
    struct buf names = {0};
    *changes = NULL;
    if (r->closing)
        return err_set(e, ERR_CLOSED, "the console is stopping");
    setup.conf = conf;
    setup.changed = NULL;
    setup.told = NULL;
    if (!r->switches_damaged && json_object_size(r->switches)) /* what is known here counts */
        conn__state_write(r, "switches.json", r->switches, NULL);
    struct conn_registry *fresh = conn_new(&setup, e);
    if (!fresh)
        return ERR_CONFIG;
    fresh->closing = true; /* nothing of it writes or starts */
    conn__reload_free(r);  /* what an earlier one had not come to yet is decided anew */
    drop_missing(r, fresh, &names);
    struct conn **end = &r->next_ones;
    for (struct conn *c = fresh->first, *next; c; c = next) {
        next = c->next;
        const struct conn *old = conn__find(r, c->name);
        if (old && same(old, c))
            continue;
        buf_addf(&names, "%s\n", c->name);
        *end = take_out(&fresh->first, c->name);
        end = &(*end)->next;
    }
    conn_free(fresh);
    for (struct conn *c = r->next_ones; c; c = c->next)
        c->registry = r;
    r->setup.conf = conf;
    if (r->next_ones) {
        r->swap_timer = loop_timer_new(r->loop, on_step, r);
        loop_timer_start(r->swap_timer, 0, STEP_MS);
    }
    buf_add(&names, "", 0);
    *changes = buf_take(&names);
    return ERR_OK;
}
