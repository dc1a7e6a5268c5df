/* Definitions of tools, pinned: what was approved is called, what has changed since is not.
 *
 *   not known  -> pinned   the first sight, where pin = auto; conn_trust where pin = ask
 *   pinned     -> changed  the server gives another definition: conn.drift is told, once for each
 *   changed    -> pinned   conn_trust, or the server gives the approved definition again
 *   any        -> new      conn_trust with revoke
 *
 * Invariants
 * P1 The hash is SHA-256 over the canonical JSON (RFC 8785) of name, title, description, both
 *    schemas and annotations, as the server gave them, before anything is cut for the screen.
 * P2 $STATE/connectors/pins.json holds {connector: {tool: {hash, definition}}}, hash null for a
 *    revoked one. It is replaced as a whole; when it cannot be read, everything counts as new and
 *    waits for a person: a lost file must not approve what it would have stopped.
 * P3 Tools that this program itself defines are pinned always: they change with it only. */
#include "backend/base/text.h"
#include "backend/connectors/registry_types.h"
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 << 20, SAVE_MS = 200 };

/* ---- definitions ---- */

json_t *conn__definition_of(const struct conn_definition *d)
{
    json_t *out = json_object();
    json_puts(out, "name", d->name);
    json_puts(out, "title", d->title ? d->title : "");
    json_puts(out, "description", d->description ? d->description : "");
    json_put(out, "inputSchema", d->input_schema ? json_incref(d->input_schema) : json_object());
    if (d->output_schema)
        json_put(out, "outputSchema", json_incref(d->output_schema));
    if (d->annotations)
        json_put(out, "annotations", json_incref(d->annotations));
    json_t *copy = json_deep_copy(out);
    json_decref(out);
    return copy;
}

/* P1; false if it has no canonical form (a number that JSON cannot say). */
static bool hash_of(const json_t *definition, char out[2 * VAULT_HASH + 1])
{
    struct buf text = {0};
    uint8_t hash[VAULT_HASH];
    bool ok = jcs_write(definition, &text) == ERR_OK;
    vault_sha256(text.data ? text.data : "", text.len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, out);
    buf_release(&text);
    return ok;
}

/* ---- the file (P2) ---- */

static char *dir_of(const struct conn_registry *r)
{
    return r->setup.state_dir ? xasprintf("%s/connectors", r->setup.state_dir) : NULL;
}

json_t *conn__state_read(const struct conn_registry *r, const char *name, bool *damaged)
{
    char *dir = dir_of(r), *path = dir ? xasprintf("%s/%s", dir, name) : NULL, *text = NULL;
    struct error e = {0};
    json_t *out = NULL;
    FILE *f = path ? fopen(path, "rbe") : NULL;
    *damaged = false;
    if (f) {
        size_t len = 0, room = 65536;
        text = xcalloc(room, 1);
        for (size_t n; (n = fread(text + len, 1, room - len, f)) > 0;) {
            len += n;
            if (len == room && room < FILE_MAX)
                text = xrealloc(text, room *= 2);
        }
        out = json_read(text, len, FILE_MAX, 64, &e);
        *damaged = !json_is_object(out);
        fclose(f);
    }
    if (*damaged) {
        json_decref(out);
        out = NULL;
    }
    free(text);
    free(path);
    free(dir);
    return out ? out : json_object();
}

enum err conn__state_write(const struct conn_registry *r, const char *name, const json_t *value,
                           struct error *e)
{
    char *dir = dir_of(r);
    if (!dir)
        return ERR_OK;
    char *text = json_write(value);
    enum err code = conf_make_dirs(dir, e);
    if (code == ERR_OK)
        code = conf_write_file(dir, name, text, strlen(text), e);
    free(text);
    free(dir);
    return code;
}

static void save_now(void *arg)
{
    struct conn_registry *r = arg;
    struct error e = {0};
    if (r->pins_dirty && conn__state_write(r, "pins.json", r->pins, &e) != ERR_OK && r->first)
        conn__failed(r->first, e.code, e.detail);
    r->pins_dirty = false;
}

void conn__pins_open(struct conn_registry *r)
{
    r->pins = conn__state_read(r, "pins.json", &r->pins_damaged);
    r->pins_timer = loop_timer_new(r->loop, save_now, r);
}

void conn__pins_close(struct conn_registry *r)
{
    if (r->pins)
        save_now(r);
    loop_timer_free(r->pins_timer);
    r->pins_timer = NULL;
    json_decref(r->pins);
    r->pins = NULL;
}

static void touch(struct conn_registry *r)
{
    r->pins_dirty = true;
    loop_timer_start(r->pins_timer, SAVE_MS, 0); /* many connectors come up together */
}

static json_t *pins_of(const struct conn *c)
{
    json_t *mine = json_object_get(c->registry->pins, c->name);
    if (!mine) {
        mine = json_object();
        json_put(c->registry->pins, c->name, mine);
    }
    return mine;
}

static void pin(struct conn *c, struct conn__tool *t)
{
    json_t *entry = json_object();
    json_puts(entry, "hash", t->hash);
    json_put(entry, "definition", json_incref(t->definition));
    json_put(pins_of(c), t->name, entry);
    t->pin = CONN_PINNED;
    touch(c->registry);
}

/* ---- what a list of tools means for them ---- */

static void tell(const struct conn *c, const char *type, json_t *data)
{
    const struct conn_setup *s = &c->registry->setup;
    json_puts(data, "connector", c->name);
    if (s->told)
        s->told(s->arg, type, c->name, data);
    json_decref(data);
}

static json_t *drift_of(const struct conn *c, const struct conn__tool *t)
{
    const json_t *entry = json_object_get(pins_of(c), t->name);
    const json_t *before = json_object_get(entry, "definition");
    json_t *row = json_object();
    struct buf text = {0};
    json_puts(row, "tool", t->name);
    json_puts(row, "pin", conn_pin_name(t->pin));
    json_put(row, "approved_hash",
             entry && json_is_string(json_object_get(entry, "hash"))
                 ? json_incref(json_object_get(entry, "hash"))
                 : json_null());
    json_puts(row, "hash", t->hash);
    conn__diff(json_is_object(before) ? before : NULL, t->definition, &text);
    json_put(row, "difference", json_text(text.data ? text.data : "", text.len));
    buf_release(&text);
    return row;
}

/* A change that was told already is not told again when the server repeats its list. */
static bool told_before(const struct conn *c, const struct conn__tool *t)
{
    const struct conn__tool *old = conn__tool_find(c, t->name);
    return old && old->pin == CONN_PIN_CHANGED && strcmp(old->hash, t->hash) == 0;
}

static void judge(struct conn *c, struct conn__tool *t, size_t *first_seen)
{
    char hash[2 * VAULT_HASH + 1];
    bool whole = hash_of(t->definition, hash);
    t->hash = xstrdup(hash);
    t->listed = conn__listed(c, t->name);
    t->pin = CONN_PINNED;
    if (c->pin_mode == CONN__PIN_OFF || !c->ops->asks)
        return; /* P3 */
    const json_t *entry = json_object_get(pins_of(c), t->name);
    const char *known = json_str(entry, "hash", "");
    if (!whole || (entry && !*known)) {
        t->pin = CONN_PIN_NEW;
    } else if (entry) {
        t->pin = strcmp(known, hash) == 0 ? CONN_PINNED : CONN_PIN_CHANGED;
        if (t->pin == CONN_PIN_CHANGED && !told_before(c, t))
            tell(c, "conn.drift", drift_of(c, t));
    } else if (c->pin_mode == CONN__PIN_AUTO && !c->registry->pins_damaged) {
        pin(c, t);
        ++*first_seen;
    } else {
        t->pin = CONN_PIN_NEW;
    }
}

void conn__pins_judge(struct conn *c, struct conn__tool *tools, size_t n)
{
    size_t first_seen = 0;
    for (size_t i = 0; i < n; i++)
        judge(c, &tools[i], &first_seen);
    if (first_seen) {
        json_t *data = json_object();
        json_puts(data, "how", "pinned at first sight");
        json_puti(data, "tools", (int64_t)first_seen);
        tell(c, "conn.trust", data);
    }
}

/* ---- lists ---- */

static bool any_fits(const char *patterns, const char *name)
{
    char one[256];
    while (*patterns) {
        patterns += strspn(patterns, " \t,;");
        size_t len = strcspn(patterns, " \t,;");
        if (len && len < sizeof one) {
            memcpy(one, patterns, len);
            one[len] = '\0';
            if (fnmatch(one, name, FNM_NOESCAPE) == 0)
                return true;
        }
        patterns += len;
    }
    return false;
}

bool conn__listed(const struct conn *c, const char *tool)
{
    if (any_fits(c->tools_deny, tool))
        return false;
    return !*c->tools_allow || any_fits(c->tools_allow, tool);
}

/* ---- what a person does ---- */

static enum err trust_one(struct conn *c, struct conn__tool *t, bool revoke)
{
    if (!revoke) {
        pin(c, t);
        return ERR_OK;
    }
    json_t *entry = json_object();
    json_put(entry, "hash", json_null());
    json_put(entry, "definition", json_incref(t->definition));
    json_put(pins_of(c), t->name, entry);
    t->pin = CONN_PIN_NEW;
    touch(c->registry);
    return ERR_OK;
}

enum err conn_trust(struct conn_registry *r, const char *name, const char *tool, bool revoke,
                    size_t *count, struct error *e)
{
    struct conn *c = conn__find(r, name);
    *count = 0;
    if (!c)
        return err_set(e, ERR_NOT_FOUND, "no connector is named %s", name);
    if (!c->up)
        return err_set(e, ERR_CLOSED, "connector %s is %s: its present definitions are not known",
                       name, conn_state_name(c->state));
    if (c->pin_mode == CONN__PIN_OFF || !c->ops->asks)
        return err_set(e, ERR_UNSUPPORTED, "the definitions of %s are not pinned", name);
    for (size_t i = 0; i < c->tool_count; i++) {
        struct conn__tool *t = &c->tools[i];
        if ((tool && strcmp(t->name, tool) != 0) || (!tool && (t->pin == CONN_PINNED) != revoke))
            continue;
        trust_one(c, t, revoke);
        ++*count;
    }
    if (tool && !*count)
        return err_set(e, ERR_NOT_FOUND, "connector %s has no tool %s", name, tool);
    loop_timer_stop(r->pins_timer);
    r->pins_dirty = false;
    return conn__state_write(r, "pins.json", r->pins, e);
}

json_t *conn_drift(struct conn_registry *r, const char *name)
{
    const struct conn *c = conn__find(r, name);
    json_t *rows = c ? json_array() : NULL;
    for (size_t i = 0; c && i < c->tool_count; i++) {
        if (c->tools[i].pin != CONN_PINNED)
            json_array_append_new(rows, drift_of(c, &c->tools[i]));
    }
    return rows;
}
