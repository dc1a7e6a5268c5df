/* What a verification says: figures, problems, and in words what was proved and what was not. It
 * never says more than was read. */
#include "backend/base/text.h"
#include "backend/provenance/tamper.h"
#include "backend/provenance/verify.h"

#include "backend/base/clock.h"
#include <string.h>

/* The entries that the newest checkpoint that was given covers. */
static void put_given(const struct prov_verify *run, struct buf *text)
{
    const struct verify__heads *h = &run->heads;
    int64_t end = h->newest_given < run->size ? h->newest_given : run->size;
    if (h->given_base == 0)
        buf_addf(text, "its first %lld entries", (long long)end);
    else
        buf_addf(text, "entries %lld to %lld", (long long)h->given_base, (long long)end - 1);
}

static void tell_heads(const struct prov_verify *run, struct buf *text)
{
    const struct verify__heads *h = &run->heads;
    const struct prov__signing *s = run->prov->signing;
    if (h->newest >= 0)
        buf_addf(
            text,
            " The checkpoints, %lld in the database and %lld in the file beside it, are signed by "
            "the key of %s, and the log leads to each of them; the newest covers it up to entry "
            "%lld. "
            "Whoever has this directory with its keys could have signed them anew.",
            (long long)h->stored, (long long)h->written, h->key.name, (long long)h->newest - 1);
    else if (s && s->error.code != ERR_OK && !h->done)
        buf_addf(text, " Checkpoints were not checked: %s.", s->error.detail);
    if (h->newest_given >= 0) {
        buf_adds(text,
                 " The checkpoint that was given is signed by that key and the log leads to it: ");
        put_given(run, text);
        buf_addf(text, " are those that were signed then%s, and it is no older copy than that.",
                 run->from > h->given_base ? ", as far as they were read" : "");
    }
    if (h->unproved)
        buf_adds(text, " What was given and is no checkpoint by this log's key proves nothing.");
}

static void tell_read(const struct prov_verify *run, struct buf *text)
{
    if (run->from == 0)
        buf_addf(text, "All %lld entries are there", (long long)run->checked);
    else
        buf_addf(text, "Entries %lld to %lld are there", (long long)run->from,
                 (long long)run->size - 1);
    buf_adds(text, ", in canonical form, each follows the one before it");
    if (run->found_count > 1)
        buf_addf(text, ", through %zu epochs", run->found_count);
    if (run->chain) {
        buf_adds(text,
                 ", and they give the head and the root shown. Payloads were not read and not "
                 "opened: whether each is there and is what its entry commits to, and "
                 "what session seals, checkpoints, changes of keys and erasures say in "
                 "theirs, was not checked.");
        return;
    }
    buf_addf(text,
             ", and they give the head and the root shown. The sealed payloads are those that were "
             "logged; %lld of them were opened and are what their entries commit to. %lld session "
             "seals agree.",
             (long long)run->payloads, (long long)run->seals_checked);
}

static void tell_erased(const struct prov__tally *t, struct buf *text)
{
    if (t->count)
        buf_addf(text, " %lld payloads are not there because %zu erase entries say so.",
                 (long long)t->count, t->entries);
    if (t->claimed)
        buf_addf(text,
                 " For %lld of them that is only what the database says: the key of that entry is"
                 " not here.",
                 (long long)t->claimed);
}

static void tell_payloads(const struct prov_verify *run, const struct prov__tally *erased,
                          struct buf *text)
{
    int64_t sealed = run->chain ? 0 : run->checked - run->payloads - erased->count;
    tell_erased(erased, text);
    if (sealed > 0)
        buf_addf(text, " %lld stay sealed: their keys are not here.", (long long)sealed);
    if (run->known_from) {
        char at[CLOCK_TEXT];
        clock_format(run->known_at, at);
        buf_addf(text,
                 " The entries before %lld were last read in full at %s by this console; now "
                 "only the tree over them was compared with what it gave then.",
                 (long long)run->known_from, at);
    } else if (run->from > 0) {
        buf_adds(text, " For the root, the tree of earlier entries was taken as stored.");
    }
}

/* The first entry that a problem names, -1: none does. */
static int64_t first_bad(const struct prov_verify *run)
{
    int64_t first = -1;
    for (size_t i = 0; i < run->problems.listed; i++) {
        int64_t seq = run->problems.list[i].seq;
        if (seq >= 0 && (first < 0 || seq < first))
            first = seq;
    }
    return first;
}

static void tell_broken(const struct prov_verify *run, struct buf *text)
{
    int64_t first = first_bad(run);
    buf_adds(text, "The log is not intact; the problems say where.");
    if (first > run->from)
        buf_addf(text, " Entries %lld to %lld follow each other without a problem.",
                 (long long)run->from, (long long)first - 1);
    if (run->found_count > 1)
        buf_adds(text, " An epoch without a problem is intact by itself.");
}

/* What witnesses add: that somebody else had seen it by then. */
static void tell_witnesses(const struct prov_verify *run, struct buf *text)
{
    const struct verify__heads *h = &run->heads;
    for (int i = 0; i < h->seen_count; i++) {
        char at[CLOCK_TEXT];
        if (h->seen[i].end < 0)
            continue;
        clock_format(h->seen[i].at * 1000, at);
        buf_addf(text, " The first %lld entries were seen by the witness %s at %s, by its clock.",
                 (long long)h->seen[i].end, h->seen[i].key.name, at);
    }
}

static json_t *proved(const struct prov_verify *run, const struct prov__tally *erased)
{
    struct buf text = {0};
    if (verify__broken(run)) {
        tell_broken(run, &text);
    } else {
        tell_read(run, &text);
        tell_payloads(run, erased, &text);
        tell_heads(run, &text);
        tell_witnesses(run, &text);
    }
    if (run->heads.newest_given >= 0 && !verify__broken(run))
        buf_addf(&text,
                 " Not proved: that behind those %lld entries nothing was cut off or written anew.",
                 (long long)(run->heads.newest_given - run->heads.given_base));
    else
        buf_adds(&text,
                 " Not proved: that nothing was cut off behind the last entry, or that the whole "
                 "database is not an older copy or written anew. That shows only against a "
                 "checkpoint kept elsewhere.");
    json_t *value = json_text(text.data, text.len);
    buf_release(&text);
    return value;
}

static json_t *describe_witnesses(const struct verify__heads *h)
{
    json_t *list = json_array();
    for (int i = 0; i < h->seen_count; i++) {
        const struct verify__seen *seen = &h->seen[i];
        char at[CLOCK_TEXT];
        json_t *one = json_object();
        clock_format(seen->at * 1000, at);
        json_puts(one, "witness", seen->key.name);
        json_put(one, "size", seen->end < 0 ? json_null() : json_integer(seen->end));
        json_put(one, "at", seen->end < 0 ? json_null() : json_string(at));
        json_array_append_new(list, one);
    }
    return list;
}

static json_t *describe_heads(const struct prov_verify *run)
{
    const struct verify__heads *h = &run->heads;
    char line[VAULT_LABEL];
    json_t *heads = json_object();
    json_puti(heads, "stored", h->stored);
    json_puti(heads, "written", h->written);
    json_puti(heads, "given", h->given_count);
    json_put(heads, "newest", h->newest < 0 ? json_null() : json_integer(h->newest));
    if (h->done) {
        prov__vkey_write(&h->key, line);
        json_puts(heads, "key", line);
    } else {
        json_put(heads, "key", json_null());
    }
    json_put(heads, "cosigned", describe_witnesses(h));
    return heads;
}

static json_t *describe_problems(const struct prov_verify *run)
{
    json_t *problems = json_array();
    for (size_t i = 0; i < run->problems.listed; i++) {
        const struct verify__problem *at = &run->problems.list[i];
        json_t *one = json_object();
        json_puti(one, "seq", prov__clip(at->seq));
        if (prov__clip(at->to) > at->seq)
            json_puti(one, "to", prov__clip(at->to));
        json_puts(one, "code", at->code);
        json_puts(one, "text", at->text);
        json_array_append_new(problems, one);
    }
    return problems;
}

static void put_hash(json_t *object, const char *key, const uint8_t hash[VAULT_HASH])
{
    char hex[2 * VAULT_HASH + 1];
    text_hex(hash, VAULT_HASH, hex);
    json_puts(object, key, hex);
}

static json_t *describe_epoch(const struct prov_verify *run, const struct verify__epoch *epoch)
{
    const struct prov__zones *q = run->prov->quarantine;
    int64_t end = epoch->base + epoch->size;
    bool intact = run->problems.count == (int64_t)run->problems.listed;
    json_t *out = json_object(), *zones = json_array();
    for (size_t i = 0; i < run->problems.listed; i++) {
        int64_t seq = run->problems.list[i].seq;
        intact = intact && (seq < epoch->base || seq >= end);
    }
    for (size_t i = 0; i < q->count; i++) {
        if (q->at[i].from < epoch->base || q->at[i].from >= end)
            continue;
        json_t *zone = json_object();
        json_puti(zone, "from", q->at[i].from);
        json_puti(zone, "to", q->at[i].to);
        json_puts(zone, "code", q->at[i].code);
        json_array_append_new(zones, zone);
    }
    json_puti(out, "epoch", epoch->epoch);
    json_puti(out, "base", epoch->base);
    json_puti(out, "size", epoch->size);
    put_hash(out, "root", epoch->root);
    put_hash(out, "head", epoch->head);
    json_put(out, "intact", json_boolean(intact));
    json_put(out, "quarantined", zones);
    return out;
}

json_t *verify__report(struct prov_verify *run)
{
    json_t *report = json_object(), *epochs = json_array(), *lineage = json_object();
    const struct verify__epoch *last = &run->found[run->found_count - 1];
    struct prov__tally erased = {0};
    for (size_t i = 0; i < run->found_count; i++)
        json_array_append_new(epochs, describe_epoch(run, &run->found[i]));
    json_puti(lineage, "checked", run->edges);
    json_put(report, "ok", json_boolean(run->problems.count == 0));
    json_put(report, "intact", json_boolean(!verify__broken(run)));
    json_puts(report, "mode", run->mode);
    json_puti(report, "checked", run->checked);
    json_puti(report, "payloads_checked", run->payloads);
    json_puti(report, "from", run->from);
    json_puti(report, "size", run->size);
    put_hash(report, "head", run->head);
    put_hash(report, "root", last->root);
    json_put(report, "epochs", epochs);
    for (int i = 0; i < VERIFY__SLOTS; i++)
        prov__tally_merge(&erased, &run->slot[i].slice.tally);
    json_put(report, "erased", prov__tally_json(&erased));
    json_put(report, "lineage", lineage);
    json_put(report, "proved", proved(run, &erased));
    prov__tally_release(&erased);
    json_put(report, "checkpoints", describe_heads(run));
    json_put(report, "problems", describe_problems(run));
    json_puti(report, "problem_count", run->problems.count);
    json_puti(report, "elapsed_ms", (int64_t)(clock_mono_ms() - run->began_ms));
    return report;
}
