/* Holds: what must not be erased, whatever expires or is asked for.
 *
 * Invariants
 * H1 A hold is in the list from the moment it is asked for; if it cannot be written it is taken out
 *    again, and whoever asked is told.
 * H2 A subject stands in clear nowhere but in memory: the row holds only the entry's number, the
 *    sealed payload of hold.set the text. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/retain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {"window", "all", "trace", "session", "range", "subject"};

const char *prov_scope_name(int kind)
{
    return kinds[kind];
}

int prov_scope_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i], name) == 0)
            return (int)i;
    return -1;
}

bool retain__scope_ok(const struct prov_scope *scope, struct error *e)
{
    struct prov__match match = {0};
    bool ok = true;
    switch (scope->kind) {
    case PROV_BY_TRACE:
    case PROV_BY_SESSION:
        ok = scope->text && strlen(scope->text) == 32 &&
             strspn(scope->text, "0123456789abcdef") == 32;
        if (!ok)
            err_set(e, ERR_INVALID, "a %s is named by 32 hex digits", kinds[scope->kind]);
        break;
    case PROV_BY_RANGE:
        ok = scope->first >= 0 && scope->last >= scope->first;
        if (!ok)
            err_set(e, ERR_INVALID, "a range runs from one entry to the same or a later one");
        break;
    case PROV_BY_SUBJECT:
        ok = scope->text && prov__match_init(&match, scope->text);
        prov__match_release(&match);
        if (!ok)
            err_set(e, ERR_INVALID, "a subject is named by 3 letters or digits to %d bytes",
                    PROV__SUBJECT_MAX);
        break;
    default:
        break;
    }
    return ok;
}

json_t *retain__scope_json(const struct prov_scope *scope, bool with_subject)
{
    json_t *out = json_object();
    json_puts(out, "kind", kinds[scope->kind]);
    if (scope->kind == PROV_BY_RANGE) {
        json_puti(out, "first", scope->first);
        json_puti(out, "last", scope->last);
    } else if (scope->kind == PROV_BY_SUBJECT) {
        if (with_subject)
            json_puts(out, "subject", scope->text);
    } else if (scope->text) {
        json_puts(out, "id", scope->text);
    }
    return out;
}

/* ---- the list */

static void hold_release(struct retain__hold *hold)
{
    free(hold->text);
    *hold = (struct retain__hold){0};
}

static struct retain__hold *hold_add(struct retain__holds *h, const char *id, int kind,
                                     const char *text)
{
    h->at = xrealloc(h->at, (h->count + 1) * sizeof *h->at);
    struct retain__hold *hold = &h->at[h->count++];
    *hold = (struct retain__hold){.kind = kind, .text = xstrdup_or_null(text), .entry = -1};
    snprintf(hold->id, sizeof hold->id, "%s", id);
    return hold;
}

static struct retain__hold *hold_find(struct retain__holds *h, const char *id)
{
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->at[i].id, id) == 0)
            return &h->at[i];
    return NULL;
}

static void hold_remove(struct retain__holds *h, const char *id)
{
    struct retain__hold *hold = hold_find(h, id);
    if (!hold)
        return;
    hold_release(hold);
    *hold = h->at[--h->count];
}

void retain__holds_copy(const struct retain__holds *from, struct retain__holds *to)
{
    *to = (struct retain__holds){0};
    for (size_t i = 0; i < from->count; i++) {
        struct retain__hold *copy =
            hold_add(to, from->at[i].id, from->at[i].kind, from->at[i].text);
        copy->first = from->at[i].first;
        copy->last = from->at[i].last;
    }
}

void retain__holds_release(struct retain__holds *h)
{
    for (size_t i = 0; i < h->count; i++)
        hold_release(&h->at[i]);
    free(h->at);
    *h = (struct retain__holds){0};
}

static bool take_hold(void *arg, const struct store_row *row)
{
    struct prov_retention *r = arg;
    const char *value = store_text(row, 2);
    long long first = 0, last = 0;
    int kind = prov_scope_kind(store_text(row, 1));
    json_t *payload = NULL;
    int64_t entry = store_int(row, 3);
    if (kind == PROV_BY_SUBJECT)
        payload = prov_payload(r->prov, entry, NULL);
    const char *subject = json_str(json_object_get(payload, "scope"), "subject", NULL),
               *text = NULL;
    if (kind == PROV_BY_SUBJECT)
        text = subject;
    else if (kind == PROV_BY_TRACE || kind == PROV_BY_SESSION)
        text = value;
    bool range = kind == PROV_BY_RANGE && sscanf(value, "%lld-%lld", &first, &last) == 2;
    if ((!text || !*text) && !range)
        kind = PROV_BY_ALL; /* R2: what it covers is not known */
    struct retain__hold *hold = hold_add(&r->holds, store_text(row, 0), kind, text);
    hold->first = first;
    hold->last = last;
    hold->entry = entry;
    hold->at = store_int(row, 4);
    json_decref(payload);
    return true;
}

enum err retain__holds_load(struct prov_retention *r, struct error *e)
{
    return store_query(store_reader(r->prov->store), e, take_hold, r,
                       "SELECT id, kind, value, entry, at FROM holds WHERE released IS NULL"
                       " ORDER BY entry",
                       "");
}

/* ---- set and release */

struct retain__wish {
    struct retain__wish *next;
    struct prov_retention *r; /* NULL after prov_retention_free */
    bool release;
    char id[33];
    const char *kind;          /* a literal */
    char *value;               /* no subject */
    int64_t at, subject_entry; /* release: the hold.set that names one, or -1 */
    prov_retained *done;
    void *arg;
};

static enum err write_wish(struct store_db *db, void *arg, struct error *e)
{
    const struct retain__wish *w = arg;
    if (!w->release)
        return store_exec(db, e,
                          "INSERT INTO holds VALUES(?, ?, ?, (SELECT max(seq) FROM entries), ?,"
                          " NULL)",
                          "sssi", w->id, w->kind, w->value, w->at);
    enum err code =
        store_exec(db, e, "UPDATE holds SET released = (SELECT max(seq) FROM entries) WHERE id = ?",
                   "s", w->id);
    if (code == ERR_OK) /* what it held back has to be looked at again */
        code = store_exec(db, e, "DELETE FROM retention_state WHERE name LIKE 'mark:%'", "");
    return code;
}

static void unlink_wish(struct prov_retention *r, struct retain__wish *w)
{
    struct retain__wish **at = &r->wishes;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
}

static void wish_settled(struct prov_retention *r, struct retain__wish *w, int64_t seq,
                         const struct error *e)
{
    struct retain__hold *hold = hold_find(&r->holds, w->id);
    unlink_wish(r, w);
    r->generation++;
    if (!w->release && e->code != ERR_OK)
        hold_remove(&r->holds, w->id); /* H1 */
    else if (!w->release && hold)
        hold->entry = seq;
    else if (w->release && e->code == ERR_OK)
        hold_remove(&r->holds, w->id);
    if (w->release && e->code == ERR_OK && w->subject_entry >= 0)
        retain__forget_subject(r, w->subject_entry, "",
                               "the hold that named a subject was released");
}

static void wish_written(void *arg, int64_t seq, const struct error *e)
{
    struct retain__wish *w = arg;
    json_t *result = e->code == ERR_OK ? json_object() : NULL;
    if (w->r)
        wish_settled(w->r, w, seq, e);
    if (result) {
        json_puts(result, "id", w->id);
        json_puti(result, "entry", seq);
    }
    if (w->done)
        w->done(w->arg, result, e);
    json_decref(result);
    free(w->value);
    free(w);
}

static void append_wish(struct prov_retention *r, struct retain__wish *w, const char *type,
                        const char *by, json_t *payload, int64_t parent)
{
    struct prov_edge edge = {.seq = parent, .transform = "release", .confidence = -1};
    struct prov_entry entry = {.type = type,
                               .actor = by,
                               .parents = &edge,
                               .parent_count = parent >= 0,
                               .payload = payload};
    w->r = r;
    w->next = r->wishes;
    r->wishes = w;
    prov_append(r->prov, &entry, wish_written, w, write_wish, w);
    json_decref(payload);
}

static void refuse(prov_retained *done, void *arg, const struct error *e)
{
    if (done)
        done(arg, NULL, e);
}

void prov_hold_set(struct prov_retention *r, const struct prov_scope *scope, const char *reason,
                   const char *by, prov_retained *done, void *arg)
{
    struct error e = {0};
    if (scope->kind == PROV_BY_WINDOW || !retain__scope_ok(scope, &e)) {
        refuse(done, arg, &e);
        return;
    }
    struct retain__wish *w = xcalloc(1, sizeof *w);
    *w = (struct retain__wish){.kind = kinds[scope->kind],
                               .at = clock_real_ms(),
                               .subject_entry = -1,
                               .done = done,
                               .arg = arg};
    vault_id(w->id);
    w->id[12] = '\0'; /* is typed by hand */
    if (scope->kind == PROV_BY_RANGE)
        w->value = xasprintf("%lld-%lld", (long long)scope->first, (long long)scope->last);
    else
        w->value = xstrdup(scope->kind == PROV_BY_SUBJECT || !scope->text ? "" : scope->text);
    struct retain__hold *hold = hold_add(&r->holds, w->id, scope->kind, scope->text);
    hold->first = scope->first;
    hold->last = scope->last;
    hold->at = w->at;
    r->generation++;
    json_t *payload = json_object();
    json_puts(payload, "id", w->id);
    json_put(payload, "scope", retain__scope_json(scope, true));
    json_puts(payload, "reason", reason);
    append_wish(r, w, "hold.set", by, payload, -1);
}

void prov_hold_release(struct prov_retention *r, const char *id, const char *reason, const char *by,
                       prov_retained *done, void *arg)
{
    struct error e = {0};
    struct retain__hold *hold = hold_find(&r->holds, id);
    if (!hold || hold->entry < 0) {
        err_set(&e, ERR_NOT_FOUND, "no hold %s is in force", id);
        refuse(done, arg, &e);
        return;
    }
    struct retain__wish *w = xcalloc(1, sizeof *w);
    bool subject = store_scalar(store_reader(r->prov->store), 0,
                                "SELECT kind = 'subject' FROM holds WHERE id = ?", "s", hold->id);
    *w = (struct retain__wish){.release = true,
                               .at = clock_real_ms(),
                               .subject_entry = subject ? hold->entry : -1,
                               .done = done,
                               .arg = arg};
    snprintf(w->id, sizeof w->id, "%s", hold->id);
    json_t *payload = json_object();
    json_puts(payload, "id", w->id);
    json_puts(payload, "reason", reason);
    append_wish(r, w, "hold.release", by, payload, hold->entry);
}

/* ---- reading */

struct listing {
    struct prov_retention *r;
    json_t *out;
    bool subjects;
};

static bool list_hold(void *arg, const struct store_row *row)
{
    struct listing *l = arg;
    char at[CLOCK_TEXT];
    json_t *hold = json_object(), *entry;
    bool released = store_int(row, 5) >= 0;
    const char *kind = store_text(row, 1);
    clock_format(store_int(row, 4), at);
    json_puts(hold, "id", store_text(row, 0));
    json_puts(hold, "kind", kind);
    json_puts(hold, "value", store_text(row, 2));
    json_puts(hold, "at", at);
    json_puti(hold, "entry", store_int(row, 3));
    json_put(hold, "released", released ? json_integer(store_int(row, 5)) : json_null());
    entry = prov_get(l->r->prov, store_int(row, 3), l->subjects, NULL);
    const json_t *payload = json_object_get(entry, "payload");
    json_puts(hold, "by", json_str(entry, "actor", ""));
    if (l->subjects) {
        json_puts(hold, "reason", json_str(payload, "reason", ""));
        if (strcmp(kind, "subject") == 0)
            json_puts(hold, "value",
                      json_str(json_object_get(payload, "scope"), "subject",
                               released ? "erased with its release" : "cannot be opened"));
    }
    json_decref(entry);
    json_array_append_new(l->out, hold);
    return true;
}

json_t *prov_holds(struct prov_retention *r, bool subjects)
{
    struct listing l = {r, json_array(), subjects};
    store_query(store_reader(r->prov->store), NULL, list_hold, &l,
                "SELECT id, kind, value, entry, at, ifnull(released, -1) FROM holds"
                " ORDER BY entry DESC LIMIT 1000",
                "");
    return l.out;
}

size_t prov_holds_count(const struct prov_retention *r)
{
    return r->holds.count;
}

void retain__wishes_forget(struct prov_retention *r)
{
    for (struct retain__wish *w = r->wishes; w; w = w->next)
        w->r = NULL;
}
