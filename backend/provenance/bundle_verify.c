/* A bundle from elsewhere, checked without the log: a pure function over its bytes.
 *
 * What is checked, in this order; what needs something that does not hold is left out:
 *  archive    each header and each byte that fills a block is as tar__add writes it
 *  keys       verifier keys with their ranges, each handed on by the one before; the reader's own,
 * if there is one, is among them statement  canonical, signed by the last of the keys, names every
 * other file by its SHA-256 trees      each checkpoint is signed by the key of its size, leads to
 * the next, and the entries give the newest one's root entries    in form, ascending, chained where
 * they stand beside each other payloads   a line for each entry; what is disclosed is what the
 * entry commits to lineage    is what the entries say */
#include "backend/provenance/bundle_parts.h"

#include "backend/base/text.h"
#include "backend/provenance/checkpoint.h"
#include "backend/provenance/erased.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMBERS = BUNDLE__PARTS - 1 + 2 * BUNDLE__EPOCHS, STATEMENT_MOST = 1024 * 1024 };

struct check {
    const struct bundle_given *in;
    struct bundle__member member[MEMBERS];
    size_t members, trees;
    int64_t mtime;
    struct bundle__keys keys;
    struct bundle__entries entries;
    struct bundle__seen seen;
    json_t *statement; /* NULL: not in form */
    const json_t *predicate;
    json_t *problems, *warnings, *out;
    int64_t problem_count, states[4];
    int64_t apart;    /* problems of what was given that say nothing of this bundle */
    int64_t compared; /* checkpoints that were given and lead here */
    bool pinned;
};

__attribute__((format(printf, 5, 6))) static void
add(struct check *c, const char *member, int64_t seq, const char *code, const char *format, ...)
{
    va_list args;
    char text[256];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (c->problem_count++ >= BUNDLE__PROBLEMS)
        return;
    json_t *problem = json_object();
    json_puts(problem, "member", member);
    if (seq >= 0)
        json_puti(problem, "seq", seq);
    json_puts(problem, "code", code);
    json_puts(problem, "text", text);
    json_array_append_new(c->problems, problem);
}

/* Where a part stands: those behind the trees come later by two for each of them. */
static const struct bundle__member *part(const struct check *c, enum bundle__part which)
{
    return &c->member[which < BUNDLE__TREES ? which : which - 1 + 2 * c->trees];
}

/* ---- the archive ---- */

static bool read_archive(struct check *c)
{
    struct tar__reader r = {c->in->bytes, c->in->len, -1};
    struct tar__member m;
    const char *problem = NULL;
    int more = 0;
    if (c->in->len > BUNDLE_MOST)
        problem = "it is larger than a bundle may be";
    while (!problem && (more = tar__next(&r, &m, &problem)) > 0) {
        if (c->members == MEMBERS) {
            problem = "it has more files than a bundle may have";
            break;
        }
        struct bundle__member *to = &c->member[c->members++];
        memcpy(to->name, m.name, sizeof to->name);
        to->data = m.data;
        to->len = m.len;
    }
    c->mtime = r.mtime;
    if (!problem && (c->members < BUNDLE__PARTS + 1 || (c->members - BUNDLE__PARTS + 1) % 2))
        problem = "files of a bundle are missing";
    if (problem) {
        add(c, "", -1, "archive", "%s", problem);
        return false;
    }
    c->trees = (c->members - BUNDLE__PARTS + 1) / 2;
    return true;
}

static void check_names(struct check *c)
{
    for (int i = 0; i < BUNDLE__PARTS; i++) {
        const char *name = i == BUNDLE__TREES ? NULL : part(c, (enum bundle__part)i)->name;
        bool once = i == BUNDLE__CONTROLS && strcmp(name, bundle__controls_once) == 0;
        if (name && !once && strcmp(name, bundle__names[i]) != 0)
            add(c, name, -1, "archive", "this file stands where %s should", bundle__names[i]);
    }
}

/* ---- keys and statement ---- */

static bool check_keys(struct check *c)
{
    const struct bundle__member *m = part(c, BUNDLE__KEYS);
    char line[VAULT_LABEL];
    if (!bundle__keys_read(m->data, m->len, &c->keys)) {
        add(c, m->name, -1, "key", "it is not a list of verifier keys");
        bundle__keys_release(&c->keys);
        return false;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < c->keys.count; i++) {
        prov__vkey_write(&c->keys.at[i].vkey, line);
        json_array_append_new(list, json_string(line));
        /* Each key hands on to the next by a statement of both: any of them leads to the last. */
        c->pinned = c->pinned || (c->in->key && strcmp(line, c->in->key) == 0);
    }
    json_put(c->out, "keys", list);
    if (c->in->key && !c->pinned)
        add(c, m->name, -1, "key",
            "it is signed by %s, which the key that was given does not lead to", line);
    return true;
}

static void check_subjects(struct check *c)
{
    const json_t *subjects = json_object_get(c->statement, "subject"), *subject;
    size_t at = 0;
    if (json_array_size(subjects) != c->members - 2)
        add(c, bundle__names[BUNDLE__STATE], -1, "statement",
            "it names %zu files, there are %zu others", json_array_size(subjects), c->members - 2);
    for (size_t i = 0; i < c->members; i++) {
        uint8_t hash[VAULT_HASH];
        char hex[2 * VAULT_HASH + 1];
        const struct bundle__member *m = &c->member[i];
        if (i == BUNDLE__STATE || i == BUNDLE__DSSE)
            continue;
        subject = json_array_get(subjects, at++);
        vault_sha256(m->data, m->len, NULL, 0, hash);
        text_hex(hash, VAULT_HASH, hex);
        if (strcmp(json_str(subject, "name", ""), m->name) != 0)
            add(c, m->name, -1, "statement", "the statement does not name it where it stands");
        else if (strcmp(json_str(json_object_get(subject, "digest"), "sha256", ""), hex) != 0)
            add(c, m->name, -1, "file", "it is not the file that the statement names");
    }
}

static bool check_statement(struct check *c)
{
    const struct bundle__member *m = part(c, BUNDLE__STATE), *d = part(c, BUNDLE__DSSE);
    struct buf again = {0};
    const char *problem = c->keys.count ? dsse__check(d->data, d->len, m->data, m->len,
                                                      &c->keys.at[c->keys.count - 1].vkey)
                                        : "there is no key to check it by";
    if (problem)
        add(c, d->name, -1, "signature", "%s", problem);
    c->statement = json_read(m->data, m->len, STATEMENT_MOST, 16, NULL);
    bool good = c->statement && jcs_write(c->statement, &again) == ERR_OK && again.len == m->len &&
                memcmp(again.data, m->data, m->len) == 0 &&
                strcmp(json_str(c->statement, "_type", ""), BUNDLE__STATEMENT) == 0 &&
                strcmp(json_str(c->statement, "predicateType", ""), BUNDLE__PREDICATE) == 0;
    buf_release(&again);
    c->predicate = json_object_get(c->statement, "predicate");
    if (!good) {
        add(c, m->name, -1, "statement", "it is not a statement of a bundle in canonical form");
        return false;
    }
    if (json_int(c->predicate, "created_s", -1) != c->mtime)
        add(c, m->name, -1, "statement", "the archive's time is not the statement's");
    check_subjects(c);
    return true;
}

/* ---- trees ---- */

struct notes {
    struct check *check;
    const char *member, *origin;
    struct bundle__tree *tree;
    struct prov__head heads[BUNDLE__NOTES + 1];
    size_t count;
};

static bool take_note(void *arg, const char *bytes, size_t len)
{
    struct notes *n = arg;
    struct check *c = n->check;
    struct prov__checkpoint note;
    const char *problem = prov__note_read(bytes, len, &note);
    const struct prov__vkey *key =
        problem ? NULL : bundle__key_at(&c->keys, n->tree->base + note.head.size);
    if (!problem && n->count > BUNDLE__NOTES)
        problem = "there are more than a bundle may have";
    else if (!problem && (note.origin.len != strlen(n->origin) ||
                          memcmp(note.origin.at, n->origin, note.origin.len) != 0))
        problem = "it is of another log";
    else if (!problem && (!key || prov__note_check(&note, key) != PROV__SIGNED))
        problem = "it is not signed by the key of its size";
    else if (!problem && n->count && note.head.size <= n->heads[n->count - 1].size)
        problem = "it does not come behind the one before it";
    if (problem)
        add(c, n->member, -1, "checkpoint", "checkpoint %zu: %s", n->count + 1, problem);
    else
        n->heads[n->count++] = note.head;
    const char *false_one = problem ? NULL : bundle__seen_note(&c->seen, &note, n->tree->base);
    if (false_one)
        add(c, n->member, -1, "checkpoint", "checkpoint %zu: the cosignature of %.100s is false",
            n->count, false_one);
    return !problem;
}

static bool other_part(void *arg, const char *bytes, size_t len)
{
    struct notes *n = arg;
    (void)bytes, (void)len;
    add(n->check, n->member, -1, "checkpoint", "it holds something else than checkpoints");
    return false;
}

static void check_consistency(struct check *c, const struct bundle__member *m,
                              const struct notes *notes)
{
    const struct bundle__tree *t = notes->tree;
    const struct prov__head *newest = &notes->heads[notes->count - 1];
    if (t->consistency_count != notes->count - 1)
        add(c, m->name, -1, "proof", "there are %zu proofs between %zu checkpoints",
            t->consistency_count, notes->count);
    for (size_t i = 0; i < t->consistency_count && i + 1 < notes->count; i++) {
        const struct prov__proof *proof = &t->consistency[i].proof;
        struct prov__span spans[PROV__LEVELS + 1];
        for (size_t k = 0; k < proof->count; k++)
            spans[k] = (struct prov__span){proof->hash[k], VAULT_HASH};
        if (t->consistency[i].from != notes->heads[i].size ||
            !prov__consistency_ok(notes->heads[i].size, newest->size,
                                  (struct prov__span){notes->heads[i].root, VAULT_HASH},
                                  (struct prov__span){newest->root, VAULT_HASH}, spans,
                                  proof->count))
            add(c, m->name, -1, "proof",
                "the checkpoint over %lld entries does not lead to the one over %lld",
                (long long)notes->heads[i].size, (long long)newest->size);
    }
}

/* The entries from `from` on, `count` of them, give the tree's root. */
static void check_inclusion(struct check *c, const struct bundle__member *m,
                            const struct bundle__tree *t, const uint8_t root[VAULT_HASH],
                            size_t from, size_t count)
{
    uint8_t found[VAULT_HASH];
    int64_t *index = xcalloc(count + 1, sizeof *index);
    for (size_t i = 0; i < count; i++)
        index[i] = c->entries.seq[from + i] - t->base;
    struct cover__leaves leaves = {index, c->entries.leaf + from, count};
    if (!cover__root(t->size, &leaves, t->cover, t->cover_count, found) ||
        memcmp(found, root, VAULT_HASH) != 0)
        add(c, m->name, -1, "inclusion",
            "the entries do not give the root of the checkpoint over %lld entries",
            (long long)t->size);
    free(index);
}

/* Which entries belong to a tree: up to the next one's first. */
static size_t entries_of(const struct check *c, size_t tree, size_t from)
{
    const json_t *next = json_array_get(json_object_get(c->predicate, "trees"), tree + 1);
    int64_t until = json_int(next, "base", INT64_MAX);
    size_t n = 0;
    while (from + n < c->entries.count && c->entries.seq[from + n] < until)
        n++;
    return n;
}

static void check_tree_names(struct check *c, const struct bundle__member *m, int64_t epoch)
{
    char want[2][TAR__NAME];
    snprintf(want[0], TAR__NAME, "proofs/%lld", (long long)epoch);
    snprintf(want[1], TAR__NAME, "checkpoints/%lld", (long long)epoch);
    for (int i = 0; i < 2; i++)
        if (strcmp(m[i].name, want[i]) != 0)
            add(c, m[i].name, -1, "archive", "this file stands where %s should", want[i]);
}

static size_t check_tree(struct check *c, size_t tree, size_t from)
{
    const json_t *said = json_array_get(json_object_get(c->predicate, "trees"), tree);
    const struct bundle__member *proofs = &c->member[BUNDLE__TREES + 2 * tree];
    const struct bundle__member *checkpoints = proofs + 1;
    struct bundle__tree t;
    struct buf hashes = {0};
    struct notes notes = {.check = c,
                          .member = checkpoints->name,
                          .tree = &t,
                          .origin = json_str(said, "origin", "")};
    size_t count = entries_of(c, tree, from);
    char hex[2 * VAULT_HASH + 1] = "";
    if (!bundle__proofs_read(proofs->data, proofs->len, &t, &hashes)) {
        add(c, proofs->name, -1, "proof", "it is not in form");
        goto out;
    }
    check_tree_names(c, proofs, t.epoch);
    if (!prov__notes_each(checkpoints->data, checkpoints->len, take_note, other_part, &notes))
        goto out;
    if (notes.count == 0) {
        add(c, checkpoints->name, -1, "checkpoint", "it holds no checkpoint");
        goto out;
    }
    const struct prov__head *head = &notes.heads[notes.count - 1];
    text_hex(head->root, VAULT_HASH, hex);
    if (head->size != t.size || t.epoch != json_int(said, "epoch", -1) ||
        t.base != json_int(said, "base", -1) || t.size != json_int(said, "size", -1) ||
        strcmp(hex, json_str(said, "root", "")) != 0)
        add(c, proofs->name, -1, "proof", "statement, proofs and checkpoint are not of one tree");
    check_consistency(c, proofs, &notes);
    check_inclusion(c, proofs, &t, head->root, from, count);
out:
    buf_release(&hashes);
    return from + count;
}

static void check_trees(struct check *c)
{
    const json_t *trees = json_object_get(c->predicate, "trees");
    size_t from = 0;
    if (!bundle__seen_begin(&c->seen, json_object_get(c->predicate, "witnesses"), c->in->witnesses))
        add(c, bundle__names[BUNDLE__STATE], -1, "statement",
            "what it names as witnesses are no keys of witnesses, or too many");
    if (json_array_size(trees) != c->trees) {
        add(c, bundle__names[BUNDLE__STATE], -1, "statement", "it is of %zu trees, there are %zu",
            json_array_size(trees), c->trees);
        return;
    }
    for (size_t i = 0; i < c->trees; i++)
        from = check_tree(c, i, from);
}

/* ---- entries, payloads, lineage ---- */

static bool check_entries(struct check *c)
{
    const struct bundle__member *m = part(c, BUNDLE__ENTRIES);
    size_t at;
    const char *problem = bundle__entries_read(m->data, m->len, &c->entries, &at);
    if (problem) {
        add(c, m->name, -1, "form", "line %zu: %s", at + 1, problem);
        return false;
    }
    for (size_t i = 1; i < c->entries.count; i++) {
        struct prov__header h;
        uint8_t hash[VAULT_HASH];
        const struct prov__text *before = &c->entries.text[i - 1], *now = &c->entries.text[i];
        if (c->entries.seq[i] != c->entries.seq[i - 1] + 1)
            continue;
        vault_sha256(before->at, before->len, NULL, 0, hash);
        if (prov__entry_read(now->at, now->len, &h) || memcmp(hash, h.prev, VAULT_HASH) != 0)
            add(c, m->name, c->entries.seq[i], "prev",
                "entry %lld does not follow the one before it", (long long)c->entries.seq[i]);
    }
    return true;
}

static const char *payload_problem(const struct bundle__payload *p, struct prov__text entry)
{
    struct prov__header h;
    uint8_t hmac[VAULT_HASH];
    const char *problem = prov__entry_read(entry.at, entry.len, &h);
    if (problem)
        return problem;
    if (h.seq != p->seq)
        return "it is of another entry";
    switch (p->state) {
    case BUNDLE__DISCLOSED:
        vault_hmac(p->commit_key, VAULT_KEY, p->plain.at, p->plain.len, hmac);
        return memcmp(hmac, h.hmac, VAULT_HASH) != 0 ? "it is not what the entry commits to" : NULL;
    case BUNDLE__ATTESTED:
        return NULL;
    default:
        return memcmp(p->sealed_sha256, h.sha256, VAULT_HASH) != 0
                   ? "its sealed form is not the one that the entry names"
                   : NULL;
    }
}

/* Where an entry stands in the bundle; the count if it does not. */
static size_t find_entry(const struct check *c, int64_t seq)
{
    size_t low = 0, high = c->entries.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c->entries.seq[middle] < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low < c->entries.count && c->entries.seq[low] == seq ? low : c->entries.count;
}

/* The ranges that a disclosed erase entry names hold this seq. */
static bool covers(const struct bundle__payload *erase, int64_t seq)
{
    json_t *value = json_read(erase->plain.at, erase->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    size_t count = 0;
    bool found = false;
    struct prov__range *ranges = prov__ranges_read(json_object_get(value, "ranges"), &count);
    for (size_t i = 0; ranges && i < count && !found; i++)
        found = ranges[i].first <= seq && seq <= ranges[i].last;
    free(ranges);
    json_decref(value);
    return found;
}

/* An erased payload's entry must be here, later, of that kind, and cover it. */
static void check_erasure(struct check *c, const struct bundle__payload *all, size_t at)
{
    struct prov__header h;
    const struct bundle__payload *p = &all[at];
    size_t by = find_entry(c, p->erase_entry);
    const struct prov__text *entry = by < c->entries.count ? &c->entries.text[by] : NULL;
    const char *problem = NULL;
    if (!entry || by <= at || prov__entry_read(entry->at, entry->len, &h) ||
        !prov__text_is(h.type, "erase"))
        problem = "the entry that is said to have erased it is none";
    else if (all[by].state != BUNDLE__DISCLOSED)
        problem = "the entry that erased it is not disclosed";
    else if (!covers(&all[by], p->seq))
        problem = "the entry that is said to have erased it does not name it";
    if (problem)
        add(c, bundle__names[BUNDLE__PAYLOADS], p->seq, "erased", "payload of entry %lld: %s",
            (long long)p->seq, problem);
}

static void check_payloads(struct check *c)
{
    const struct bundle__member *m = part(c, BUNDLE__PAYLOADS);
    struct prov__text rest = {m->data, m->len}, line;
    struct bundle__payload *all = xcalloc(c->entries.count + 1, sizeof *all);
    size_t i = 0;
    for (; i < c->entries.count && bundle__line(&rest, &line); i++) {
        const char *problem = bundle__payload_read(line.at, line.len, &all[i])
                                  ? payload_problem(&all[i], c->entries.text[i])
                                  : "it is not in form";
        if (problem)
            add(c, m->name, c->entries.seq[i], "payload", "payload of entry %lld: %s",
                (long long)c->entries.seq[i], problem);
        else
            c->states[all[i].state]++;
    }
    for (size_t k = 0; k < i; k++)
        if (all[k].state == BUNDLE__ERASED)
            check_erasure(c, all, k);
    if (i < c->entries.count || rest.len)
        add(c, m->name, -1, "payload", "it has not one line for each entry");
    free(all);
}

static void check_lineage(struct check *c)
{
    const struct bundle__member *m = part(c, BUNDLE__LINEAGE);
    struct buf graph = {0};
    bundle__lineage(&c->entries, &graph);
    if (graph.len != m->len || memcmp(graph.data, m->data, m->len) != 0)
        add(c, m->name, -1, "lineage", "it is not the lineage that the entries have");
    buf_release(&graph);
}

static void check_counts(struct check *c)
{
    const json_t *entries = json_object_get(c->predicate, "entries");
    const json_t *payloads = json_object_get(c->predicate, "payloads");
    size_t n = c->entries.count;
    bool same = json_int(entries, "count", -1) == (int64_t)n && n > 0 &&
                json_int(entries, "first", -1) == c->entries.seq[0] &&
                json_int(entries, "last", -1) == c->entries.seq[n - 1];
    for (int i = 0; i < 4; i++)
        same = same && json_int(payloads, bundle__states[i], -1) == c->states[i];
    if (!same)
        add(c, bundle__names[BUNDLE__STATE], -1, "statement",
            "what it says of entries and payloads is not what there is");
}

/* ---- checkpoints kept elsewhere ---- */

struct search {
    const struct prov__checkpoint *wanted;
    bool found, same;
};

static bool find_note(void *arg, const char *bytes, size_t len)
{
    struct search *s = arg;
    struct prov__checkpoint c;
    if (prov__note_read(bytes, len, &c) == NULL && c.head.size == s->wanted->head.size &&
        c.origin.len == s->wanted->origin.len &&
        memcmp(c.origin.at, s->wanted->origin.at, c.origin.len) == 0) {
        s->found = true;
        s->same = memcmp(c.head.root, s->wanted->head.root, VAULT_HASH) == 0;
    }
    return true;
}

static bool pass_over(void *arg, const char *bytes, size_t len)
{
    (void)arg, (void)bytes, (void)len;
    return true;
}

/* Where the bundle has all entries from the first of a tree on, it has every root. */
static void find_root(const struct check *c, size_t tree, struct search *s)
{
    const json_t *said = json_array_get(json_object_get(c->predicate, "trees"), tree);
    const char *origin = json_str(said, "origin", "");
    int64_t base = json_int(said, "base", -1), size = s->wanted->head.size;
    size_t at = 0;
    if (strlen(origin) != s->wanted->origin.len ||
        memcmp(origin, s->wanted->origin.at, s->wanted->origin.len) != 0)
        return;
    while (at < c->entries.count && c->entries.seq[at] < base)
        at++;
    if (size < 1 || (size_t)size > c->entries.count - at || c->entries.seq[at] != base ||
        c->entries.seq[at + (size_t)size - 1] != base + size - 1)
        return;
    int64_t *index = xcalloc((size_t)size, sizeof *index);
    uint8_t root[VAULT_HASH];
    for (int64_t i = 0; i < size; i++)
        index[i] = i;
    struct cover__leaves leaves = {index, c->entries.leaf + at, (size_t)size};
    s->found = true;
    s->same = cover__root(size, &leaves, NULL, 0, root) &&
              memcmp(root, s->wanted->head.root, VAULT_HASH) == 0;
    free(index);
}

static bool check_given(void *arg, const char *bytes, size_t len)
{
    struct check *c = arg;
    struct prov__checkpoint note;
    struct search s = {&note, false, false};
    const char *problem = prov__note_read(bytes, len, &note);
    bool known = false;
    for (size_t i = 0; !problem && i < c->keys.count; i++)
        known = known || prov__note_check(&note, &c->keys.at[i].vkey) == PROV__SIGNED;
    if (problem || !known) {
        c->apart++;
        add(c, "", -1, "given", "the checkpoint that was given: %s",
            problem ? problem : "it is not signed by a key of this bundle");
        return true;
    }
    for (size_t i = 0; i < c->trees; i++) {
        const struct bundle__member *m = &c->member[BUNDLE__TREES + 2 * i + 1];
        prov__notes_each(m->data, m->len, find_note, pass_over, &s);
        if (!s.found)
            find_root(c, i, &s);
    }
    if (s.found && s.same)
        c->compared++;
    else if (s.found)
        add(c, "", -1, "checkpoint",
            "the checkpoint that was given over %lld entries has another root: this is not the log "
            "that was signed then",
            (long long)note.head.size);
    return true;
}

static bool given_other(void *arg, const char *bytes, size_t len)
{
    struct check *c = arg;
    (void)bytes, (void)len;
    c->apart++;
    add(c, "", -1, "given", "what was given is not a file of checkpoints");
    return false;
}

/* A file of checkpoints may go on behind the bundle: one that leads here is enough. */
static void compare_given(struct check *c)
{
    int64_t before = c->problem_count;
    prov__notes_each(c->in->notes, strlen(c->in->notes), check_given, given_other, c);
    if (c->compared || c->problem_count > before)
        return;
    c->apart++;
    add(c, "", -1, "given", "the bundle has no proof from any checkpoint that was given");
}

static void compare_witnesses(struct check *c)
{
    if (c->in->witnesses && !prov_witness_keys_ok(c->in->witnesses)) {
        c->apart++;
        add(c, "", -1, "given", "what was given as witnesses are no keys of witnesses");
    }
    for (size_t i = 0; i < c->seen.count; i++) {
        if (!c->seen.at[i].given || c->seen.at[i].size >= 0)
            continue;
        c->apart++;
        add(c, "", -1, "given", "no checkpoint in the bundle is cosigned by %.100s",
            c->seen.at[i].key.name);
    }
}

/* ---- the verdict ---- */

static char *proved(const struct check *c)
{
    const json_t *trees = json_object_get(c->predicate, "trees");
    const json_t *newest = json_array_get(trees, json_array_size(trees) - 1);
    struct buf text = {0};
    if (c->problem_count)
        return xstrdup("nothing: what is not as it should be is listed");
    buf_addf(&text,
             "these %zu entries stand, unchanged and at these places, in the log %.200s as its key "
             "signed it over %lld entries",
             c->entries.count, json_str(newest, "origin", ""),
             (long long)json_int(newest, "size", -1));
    if (c->trees > 1)
        buf_adds(&text, ", or in an epoch before it as that was signed");
    if (c->states[BUNDLE__DISCLOSED])
        buf_addf(&text, "; %lld payloads are what those entries commit to",
                 (long long)c->states[BUNDLE__DISCLOSED]);
    buf_adds(&text, "; every other file is the one that was signed with them");
    if (c->compared)
        buf_addf(&text, "; the log leads to %lld of the checkpoints that were given",
                 (long long)c->compared);
    size_t witnesses = 0;
    for (size_t i = 0; i < c->seen.count; i++)
        witnesses += c->seen.at[i].given;
    if (witnesses)
        buf_addf(&text,
                 "; each of the %zu witnesses that were given saw a checkpoint of this log that "
                 "leads to that one",
                 witnesses);
    if (!c->pinned)
        buf_adds(&text, ". All this if the key in the bundle is the log's: compare it with one "
                        "that you got elsewhere (--key)");
    return buf_take(&text);
}

static void warn(struct check *c)
{
    if (!c->in->key)
        json_array_append_new(c->warnings,
                              json_string("the verifier key was taken from the bundle itself"));
    if (c->states[BUNDLE__ATTESTED])
        json_array_append_new(
            c->warnings, json_string("payloads of an older form are signed with the bundle, but "
                                     "not proved to be what the entries commit to"));
    json_array_append_new(
        c->warnings,
        json_string("policy, controls, software and report are what the console said of itself"));
}

static json_t *report(struct check *c)
{
    json_t *payloads = json_object();
    char *text = proved(c);
    for (int i = 0; i < 4; i++)
        json_puti(payloads, bundle__states[i], c->states[i]);
    json_put(c->out, "ok", json_boolean(c->problem_count == 0));
    json_put(c->out, "intact", json_boolean(c->problem_count == c->apart));
    json_puts(c->out, "created", json_str(c->predicate, "created", ""));
    json_puts(c->out, "scope", json_str(c->predicate, "scope", ""));
    json_puts(c->out, "tool", json_str(json_object_get(c->predicate, "tool"), "version", ""));
    json_puti(c->out, "entries", (int64_t)c->entries.count);
    json_puti(c->out, "first", c->entries.count ? c->entries.seq[0] : -1);
    json_puti(c->out, "last", c->entries.count ? c->entries.seq[c->entries.count - 1] : -1);
    json_put(c->out, "payloads", payloads);
    const json_t *trees = json_object_get(c->predicate, "trees");
    json_put(c->out, "trees", trees ? json_deep_copy(trees) : json_array());
    json_put(c->out, "cosigned", bundle__seen_json(&c->seen));
    json_put(c->out, "pinned", json_boolean(c->pinned));
    json_puts(c->out, "proved", text);
    json_put(c->out, "warnings", json_incref(c->warnings));
    json_put(c->out, "problems", json_incref(c->problems));
    json_puti(c->out, "problem_count", c->problem_count);
    free(text);
    return c->out;
}

json_t *bundle_verify(const struct bundle_given *in)
{
    struct check *c = xcalloc(1, sizeof *c);
    c->in = in;
    c->problems = json_array();
    c->warnings = json_array();
    c->out = json_object();
    if (read_archive(c)) {
        check_names(c);
        check_keys(c);
        bool stated = check_statement(c);
        if (check_entries(c)) {
            check_payloads(c);
            check_lineage(c);
        }
        if (stated) {
            check_counts(c);
            check_trees(c);
        }
        if (in->notes)
            compare_given(c);
        compare_witnesses(c);
    }
    warn(c);
    json_t *out = report(c);
    bundle__entries_release(&c->entries);
    bundle__keys_release(&c->keys);
    json_decref(c->statement);
    json_decref(c->problems);
    json_decref(c->warnings);
    free(c);
    return out;
}
