/* When the present epoch does not verify, what is wrong is quarantined, and the log goes on in a
 * new epoch.
 *
 * Invariants
 * Q1 What is quarantined stands in the payload of the epoch.start that follows it, and nowhere
 * else: one entry, durable or not, so a crash leaves no half of it, and whoever writes to the
 * database cannot change it unnoticed. Q2 A problem in an older epoch, or in a range that is
 * quarantined, begins no new epoch. So a problem begins at most one. Q3 No number is used twice: an
 * epoch begins behind every entry that is there or that a checkpoint covers. What is missing stays
 * missing.
 * Q4 What the new epoch makes whole again, a head that was moved, no verification could find any
 * more. So what was found without one stands in the reports of all that this run of the console
 * makes.
 */
#include "backend/provenance/tamper.h"
#include "backend/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBLEMS = 100, RANGES = 100 };

/* ---- what is quarantined ---- */

const struct prov__zone *prov__quarantined(const struct prov *p, int64_t seq)
{
    for (size_t i = 0; i < p->quarantine->count; i++)
        if (p->quarantine->at[i].from <= seq && seq <= p->quarantine->at[i].to)
            return &p->quarantine->at[i];
    return NULL;
}

void prov__breach_learn(struct prov *p, const json_t *payload)
{
    struct prov__zones *q = p->quarantine;
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(payload, "quarantined"), i, row)
    {
        if (i == RANGES)
            break;
        q->at = xrealloc(q->at, (q->count + 1) * sizeof *q->at);
        struct prov__zone *at = &q->at[q->count++];
        at->from = json_int(row, "from", 0);
        at->to = json_int(row, "to", -1);
        snprintf(at->code, sizeof at->code, "%s", json_str(row, "code", ""));
    }
}

void prov__breach_load(struct prov *p)
{
    for (size_t i = 1; i < p->epochs.count; i++) {
        json_t *payload = prov_payload(p, p->epochs.at[i].base, NULL);
        prov__breach_learn(p, payload);
        json_decref(payload);
    }
}

static int by_start(const void *a, const void *b)
{
    const struct prov__zone *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

/* The ranges of problems, ascending, those that touch made one. */
static json_t *ranges(const json_t *problems, int64_t base)
{
    struct prov__zone list[PROBLEMS];
    size_t n = 0, i;
    const json_t *row;
    json_t *out = json_array();
    json_array_foreach(problems, i, row)
    {
        int64_t from = json_int(row, "seq", -1);
        if (from < 0 || n == PROBLEMS)
            continue;
        list[n].from = from;
        list[n].to = json_int(row, "to", from);
        snprintf(list[n++].code, sizeof list->code, "%s", json_str(row, "code", ""));
    }
    qsort(list, n, sizeof *list, by_start);
    for (i = 0; i < n;) {
        struct prov__zone *first = &list[i++];
        for (; i < n && list[i].from <= first->to + 1; i++)
            if (list[i].to > first->to)
                first->to = list[i].to;
        if (first->from >= base && first->from < base + PROV__FAR)
            continue; /* what is there now is the new epoch */
        if (first->from < base && first->to >= base)
            first->to = base - 1;
        json_t *one = json_object();
        json_puti(one, "from", first->from);
        json_puti(one, "to", first->to);
        json_puts(one, "code", first->code);
        json_array_append_new(out, one);
    }
    return out;
}

/* ---- a breach ---- */

static struct prov__breach *breach(struct prov *p)
{
    if (!p->breach) {
        p->breach = xcalloc(1, sizeof *p->breach);
        p->breach->problems = json_array();
    }
    p->state = PROV_BROKEN;
    return p->breach;
}

void prov__breach_add(struct prov *p, int64_t from, int64_t to, const char *code,
                      const char *format, ...)
{
    struct prov__breach *b = breach(p);
    char text[200];
    va_list args;
    b->count++;
    if (json_array_size(b->problems) == PROBLEMS)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_t *one = json_object();
    json_puti(one, "seq", prov__clip(from));
    if (prov__clip(to) > from)
        json_puti(one, "to", prov__clip(to));
    json_puts(one, "code", code);
    json_puts(one, "text", text);
    json_array_append_new(b->problems, one);
    if (!p->found)
        p->found = json_array();
    if (json_array_size(p->found) < PROBLEMS) /* Q4 */
        json_array_append(p->found, one);
}

bool prov__breach_found(struct prov *p, const json_t *problems, int64_t count)
{
    const json_t *row;
    size_t i;
    bool news = false;
    if (p->breach || p->closed || p->next.epoch != p->durable.epoch)
        return false; /* one is on its way */
    json_array_foreach(problems, i, row)
    {
        int64_t seq = json_int(row, "seq", -1);
        bool read = strcmp(json_str(row, "code", ""), "unreadable") != 0;     /* it may be there */
        news |= read && seq >= p->durable.base && !prov__quarantined(p, seq); /* Q2 */
    }
    if (!news)
        return false;
    struct prov__breach *b = breach(p);
    json_decref(b->problems);
    b->problems = json_deep_copy(problems);
    b->count = count;
    prov__begin(p);
    return true;
}

void prov__breach_free(struct prov *p)
{
    if (!p->breach)
        return;
    json_decref(p->breach->problems);
    free(p->breach);
    p->breach = NULL;
}

int64_t prov__breach_base(struct prov *p)
{
    struct store_db *db = store_reader(p->store);
    int64_t known = prov__size(&p->next), stored;
    if (p->breach->beyond > known)
        known = p->breach->beyond;
    int64_t near = known, base = known;
    if (p->next.rootless) /* nothing is known: as many entries as there are may be true */
        near += store_scalar(db, 0, "SELECT count(*) FROM entries WHERE seq >= 0", "");
    near += PROV__FAR;
    static const char *const sql[] = {
        "SELECT coalesce(max(seq), -1) + 1 FROM entries WHERE seq < ?",
        "SELECT coalesce(max(seq), -1) + 1 FROM payloads WHERE seq < ?",
        "SELECT max(size) FROM tree_head WHERE size <= ?",
    };
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        stored = store_scalar(db, 0, sql[i], "i", near);
        base = stored > base ? stored : base;
    }
    return base;
}

static json_t *describe_checkpoint(const struct prov *p)
{
    const struct prov__signing *s = p->signing;
    char hex[2 * VAULT_HASH + 1];
    if (!s || s->head.size < 0)
        return json_null();
    json_t *out = json_object();
    text_hex(s->head.root, VAULT_HASH, hex);
    json_puti(out, "epoch", p->durable.epoch);
    json_puti(out, "size", s->head.size);
    json_puts(out, "root", hex);
    return out;
}

json_t *prov__breach_payload(struct prov *p, int64_t epoch, int64_t base)
{
    const struct prov__tail *old = &p->next;
    char hex[2 * VAULT_HASH + 1];
    uint8_t root[VAULT_HASH];
    json_t *payload = json_object(), *prior = json_object();
    json_puti(prior, "epoch", old->epoch);
    json_puti(prior, "base", old->base);
    text_hex(old->head, VAULT_HASH, hex);
    json_puts(prior, "head", hex);
    if (old->rootless) {
        json_put(prior, "size", json_null());
        json_put(prior, "root", json_null());
    } else {
        prov__edge_root(&old->log, root);
        text_hex(root, VAULT_HASH, hex);
        json_puti(prior, "size", old->log.size);
        json_puts(prior, "root", hex);
    }
    json_puti(payload, "epoch", epoch);
    json_puti(payload, "base", base);
    json_put(payload, "prior", prior);
    json_put(payload, "checkpoint", describe_checkpoint(p));
    json_put(payload, "problems", json_incref(p->breach->problems));
    json_puti(payload, "problem_count", p->breach->count);
    json_put(payload, "quarantined", ranges(p->breach->problems, base));
    return payload;
}
