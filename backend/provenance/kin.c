/* The rules of the lineage, asked of one entry at a time (G1..G3 of lineage.h). */
#include "backend/provenance/lineage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct word { /* a literal */
    const char *at;
    size_t len;
};
static const struct need {
    struct word type, transform, from;
} needs[] = {
#define WORD(literal)                \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define NEEDS(type, transform, from) {WORD(type), WORD(transform), WORD(from)},
#include "backend/provenance/needs.def"
#undef NEEDS
};
enum { NEED_COUNT = sizeof needs / sizeof *needs };

/* ---- parents ---- */

static void copy(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size)
        len = size - 1;
    memcpy(out, text, len);
    out[len] = '\0';
}

static struct prov__kin *slot_of(struct prov__kins *k, int64_t seq)
{
    if (!k->kept) {
        k->kept = xcalloc(PROV__KINS, sizeof *k->kept);
        for (size_t i = 0; i < PROV__KINS; i++)
            k->kept[i].seq = -1;
    }
    return &k->kept[(uint64_t)seq % PROV__KINS];
}

void prov__kins_note(struct prov__kins *k, const struct prov__header *h)
{
    struct prov__kin *slot = slot_of(k, h->seq);
    slot->seq = h->seq;
    copy(slot->type, sizeof slot->type, h->type.at, h->type.len);
    memcpy(slot->trace_id, h->trace_id, sizeof slot->trace_id);
}

static bool take_kin(void *arg, const struct store_row *row)
{
    struct prov__kin *kin = arg;
    const char *type = store_text(row, 1), *trace = store_text(row, 2);
    kin->seq = store_int(row, 0);
    copy(kin->type, sizeof kin->type, type ? type : "", type ? strlen(type) : 0);
    copy(kin->trace_id, sizeof kin->trace_id, trace ? trace : "", trace ? strlen(trace) : 0);
    return false;
}

const struct prov__kin *prov__kins_find(struct prov__kins *k, int64_t seq)
{
    struct prov__kin *slot = slot_of(k, seq), found = {.seq = -1};
    if (slot->seq == seq)
        return slot;
    store_query(k->db, &k->error, take_kin, &found,
                "SELECT seq, type, trace_id FROM entries WHERE seq = ?", "i", seq);
    if (found.seq < 0)
        return NULL;
    *slot = found;
    return slot;
}

void prov__kins_release(struct prov__kins *k)
{
    free(k->kept);
    k->kept = NULL;
}

/* ---- one entry ---- */

struct check {
    const struct prov__header *h;
    struct prov__kins *kins;
    prov__broken *tell;
    void *arg;
    int problems;
};

static void broken(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void broken(struct check *c, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->problems++;
    c->tell(c->arg, c->h->seq, text);
}

static bool is(struct prov__text text, struct word word)
{
    return word.len == text.len && memcmp(word.at, text.at, text.len) == 0;
}

static bool same(struct word a, struct word b)
{
    return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

/* Whether one of the parents meets one of the rows for this type and transform. */
static bool met(struct check *c, const struct need *need)
{
    const struct prov__header *h = c->h;
    for (size_t i = 0; i < h->parent_count; i++) {
        const struct prov__kin *kin =
            is(h->transforms[i], need->transform) ? prov__kins_find(c->kins, h->parents[i]) : NULL;
        for (size_t n = 0; kin && n < NEED_COUNT; n++) {
            if (!same(needs[n].type, need->type) || !same(needs[n].transform, need->transform))
                continue;
            if (!needs[n].from.len || (strcmp(needs[n].from.at, kin->type) == 0 &&
                                       strcmp(kin->trace_id, h->trace_id) == 0))
                return true;
        }
    }
    return false;
}

static void check_needs(struct check *c)
{
    static const struct word by_hand = WORD("tool.call");
    for (size_t i = 0; i < NEED_COUNT; i++) {
        const struct need *need = &needs[i];
        if (!is(c->h->type, need->type))
            continue;
        bool again = i && same(needs[i - 1].type, need->type) &&
                     same(needs[i - 1].transform, need->transform);
        /* a tool called by hand stands outside of any trace and answers no question */
        if (again || (!*c->h->trace_id && same(need->type, by_hand)) || met(c, need))
            continue;
        broken(c, "entry %lld, a %s, has no parent by \"%s\" of type %s in its trace: an orphan",
               (long long)c->h->seq, need->type.at, need->transform.at,
               need->from.len ? need->from.at : "any");
    }
}

int prov__lineage_check(const struct prov__header *h, struct prov__kins *kins, prov__broken *tell,
                        void *arg)
{
    struct check c = {h, kins, tell, arg, 0};
    bool lost = false; /* in an epoch before, which has its own problems */
    for (size_t i = 0; i < h->parent_count; i++) {
        if (h->parents[i] >= h->seq)
            broken(&c, "entry %lld derives from %lld, which is no earlier one", (long long)h->seq,
                   (long long)h->parents[i]);
        else if (prov__kins_find(kins, h->parents[i]) || kins->error.code != ERR_OK)
            continue;
        else if (h->parents[i] < kins->base)
            lost = true;
        else
            broken(&c, "entry %lld derives from %lld, which is not there", (long long)h->seq,
                   (long long)h->parents[i]);
    }
    if (kins->error.code != ERR_OK)
        return 0;
    if (h->version > 1 && !c.problems && !lost)
        check_needs(&c);
    return c.problems;
}

int prov__lineage_payload(const struct prov__header *h, const json_t *payload, int64_t *chunks,
                          prov__broken *tell, void *arg)
{
    static const struct word retrieval = WORD("retrieval");
    struct check c = {h, NULL, tell, arg, 0};
    const json_t *passages = json_object_get(payload, "passages"), *one;
    size_t i;
    *chunks = 0;
    if (!is(h->type, retrieval))
        return 0;
    if (!json_is_array(passages))
        broken(&c, "entry %lld, a retrieval, does not say what it found", (long long)h->seq);
    json_array_foreach(passages, i, one)
    {
        const char *hash = json_str(one, "sha256", "");
        ++*chunks;
        if (strlen(hash) != 2 * VAULT_HASH || strspn(hash, "0123456789abcdef") != 2 * VAULT_HASH)
            broken(&c, "passage %zu of entry %lld has no hash", i + 1, (long long)h->seq);
    }
    return c.problems;
}
