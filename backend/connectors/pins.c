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
 * P2 $STATE/connectors/pins.json holds {version, pins: {connector: {tool: {hash, definition}}},
 *    lost: {connector: true}, mac}, hash null for a revoked one. It is replaced as a whole. When it
 *    cannot be read, was changed by somebody else or is gone, every connector of the configuration
 *    is lost: its tools wait for a person, over restarts too: a lost file must not approve what it
 *    would have stopped. Trusting a whole connector ends that.
 * P3 Tools that this program itself defines are pinned always: they change with it only.
 * P4 mac is HMAC-SHA-256 of the rest under a key that is a secret of the vault, made with the first
 *    pin: whoever can write the file cannot approve a tool. While there is no such key, a file of
 *    an earlier version, which had none, counts; without a vault nothing is authenticated. */
#include "backend/base/text.h"
#include "backend/connectors/registry_types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 << 20, SAVE_MS = 200, AGAIN_MS = 5000, VERSION = 2, KEY_BYTES = 32 };
#define KEY_NAME "connectors.pins"

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

/* P4. NOT_FOUND: there is none yet, and none is to be made. */
static enum err get_key(const struct conn_registry *r, bool make, struct vault_text *out,
                        struct error *e)
{
    struct vault *v = r->setup.vault;
    uint8_t random[KEY_BYTES];
    char hex[2 * KEY_BYTES + 1];
    enum err code = vault_text_get(v, "secret:" KEY_NAME, out, e);
    if (code != ERR_NOT_FOUND || !make)
        return code;
    if (vault_step(v) != VAULT_STEADY)
        return err_set(e, ERR_BUSY, "the master key is being replaced");
    vault_random(random, sizeof random);
    text_hex(random, sizeof random, hex);
    vault_text_put(out, hex, sizeof hex - 1);
    explicit_bzero(random, sizeof random);
    explicit_bzero(hex, sizeof hex);
    return vault_secret_set(v, KEY_NAME, out, e);
}

static void mac_of(json_t *pins, json_t *lost, const struct vault_text *key,
                   char out[2 * VAULT_HASH + 1])
{
    uint8_t mac[VAULT_HASH];
    json_t *rest = json_object();
    json_put(rest, "pins", json_incref(pins));
    json_put(rest, "lost", json_incref(lost));
    char *text = json_write(rest);
    vault_hmac(key->text, key->len, text, strlen(text), mac);
    text_hex(mac, sizeof mac, out);
    free(text);
    json_decref(rest);
}

static enum err save(struct conn_registry *r, struct error *e)
{
    struct vault_text key = {0};
    enum err code = r->setup.vault ? get_key(r, true, &key, e) : ERR_OK;
    if (code == ERR_OK) {
        char mac[2 * VAULT_HASH + 1];
        json_t *whole = json_object();
        json_puti(whole, "version", VERSION);
        json_put(whole, "pins", json_incref(r->pins));
        json_put(whole, "lost", json_incref(r->pins_lost));
        if (key.text) {
            mac_of(r->pins, r->pins_lost, &key, mac);
            json_puts(whole, "mac", mac);
        }
        code = conn__state_write(r, "pins.json", whole, e);
        json_decref(whole);
    }
    vault_text_wipe(&key);
    return code;
}

static void save_now(void *arg)
{
    struct conn_registry *r = arg;
    struct error e = {0};
    if (!r->pins_dirty)
        return;
    enum err code = save(r, &e);
    r->pins_dirty = code == ERR_BUSY;
    if (code == ERR_BUSY)
        loop_timer_start(r->pins_timer, AGAIN_MS, 0);
    else if (code != ERR_OK && r->first)
        conn__failed(r->first, e.code, e.detail);
}

static bool is_authentic(const json_t *file, const struct vault_text *key)
{
    char want[2 * VAULT_HASH + 1];
    const char *have = json_str(file, "mac", "");
    mac_of(json_object_get(file, "pins"), json_object_get(file, "lost"), key, want);
    return strlen(have) == sizeof want - 1 && vault_equal(have, want, sizeof want - 1);
}

/* What is wrong with a file (no members: there is none); NULL: nothing. P2, P4 */
static const char *find_fault(const struct conn_registry *r, const json_t *file)
{
    struct vault_text key = {0};
    struct error e = {0};
    enum err code = r->setup.vault ? get_key(r, false, &key, &e) : ERR_NOT_FOUND;
    bool older = !json_object_get(file, "version");
    bool formed = older || (json_int(file, "version", 0) == VERSION &&
                            json_is_object(json_object_get(file, "pins")) &&
                            json_is_object(json_object_get(file, "lost")));
    const char *fault = NULL;
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        fault = "cannot be authenticated: the vault does not give its key";
    else if (code == ERR_OK && !json_object_size(file))
        fault = "is gone";
    else if (!formed)
        fault = "is not in form";
    else if (code == ERR_OK && (older || !is_authentic(file, &key)))
        fault = "was changed by somebody else than this console";
    else if (code == ERR_NOT_FOUND && json_object_get(file, "mac"))
        fault = "cannot be authenticated: its key is gone from the vault";
    vault_text_wipe(&key);
    return fault;
}

void conn__pins_open(struct conn_registry *r)
{
    json_t *file = conn__state_read(r, "pins.json", &r->pins_damaged);
    const char *fault = r->pins_damaged ? "cannot be read" : find_fault(r, file);
    bool older = !json_object_get(file, "version");
    r->pins_damaged = fault != NULL;
    r->pins = fault ? json_object() : json_incref(older ? file : json_object_get(file, "pins"));
    r->pins_lost = fault || older ? json_object() : json_incref(json_object_get(file, "lost"));
    r->pins_words = xasprintf("what was approved of some connectors' tools is not known (connectors"
                              "/pins.json %s): they wait for `mcp-console connectors trust NAME`",
                              fault ? fault : "was damaged");
    r->pins_timer = loop_timer_new(r->loop, save_now, r);
    if (!fault && older && json_object_size(file) && r->setup.vault) { /* from now on it counts */
        r->pins_dirty = true;
        loop_timer_start(r->pins_timer, SAVE_MS, 0);
    }
    json_decref(file);
}

void conn__pins_lost(struct conn *c)
{
    if (c->registry->pins_damaged && c->ops->asks)
        json_put(c->registry->pins_lost, c->name, json_true());
}

static bool is_lost(const struct conn *c)
{
    return json_is_true(json_object_get(c->registry->pins_lost, c->name));
}

const char *conn__pins_words(const struct conn_registry *r)
{
    for (const struct conn *c = r->first; c; c = c->next) {
        if (c->ops->asks && c->pin_mode != CONN__PIN_OFF && is_lost(c))
            return r->pins_words;
    }
    return NULL;
}

void conn__pins_close(struct conn_registry *r)
{
    if (r->pins)
        save_now(r);
    loop_timer_free(r->pins_timer);
    r->pins_timer = NULL;
    json_decref(r->pins);
    json_decref(r->pins_lost);
    r->pins = r->pins_lost = NULL;
    free(r->pins_words);
    r->pins_words = NULL;
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
    } else if (c->pin_mode == CONN__PIN_AUTO && !is_lost(c)) {
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

bool conn__listed(const struct conn *c, const char *tool)
{
    if (text_any_fits(c->tools_deny, tool))
        return false;
    return !*c->tools_allow || text_any_fits(c->tools_allow, tool);
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
    if (!tool && !revoke)
        json_object_del(r->pins_lost, name);
    loop_timer_stop(r->pins_timer);
    r->pins_dirty = false;
    return save(r, e);
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
