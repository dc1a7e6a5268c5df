/* The audit walker: G1..G3 of lineage.h over the whole log or a part of it, on a worker, a piece at
 * a time, so that no read holds up the write-ahead log for long. */
#include "backend/base/clock.h"
#include "backend/provenance/erased.h"
#include "backend/provenance/lineage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096, PROBLEMS = 100 };

struct audit {
    struct prov__lineage_job job; /* first */
    struct loop *loop;
    char *path;
    int64_t from, to, next;
    uint64_t began;
    /* the worker's */
    struct store_db *db;
    struct prov__keys keys;
    struct prov__erased erased;
    struct prov__kins kins;
    struct buf ad, plain;
    struct error error;
    uint8_t head[VAULT_HASH]; /* of the entry before `next` */
    bool head_known, ended;
    int64_t entries, old, edges, answers, chunks, chunks_closed, chunks_erased, problem_count;
    json_t *problems;
};

static void put_problem(struct audit *a, int64_t seq, const char *code, const char *text)
{
    if (a->problem_count++ >= PROBLEMS)
        return;
    json_t *problem = json_object();
    json_puti(problem, "seq", seq);
    json_puts(problem, "code", code);
    json_puts(problem, "text", text);
    json_array_append_new(a->problems, problem);
}

static void tell(void *arg, int64_t seq, const char *text)
{
    put_problem(arg, seq, "lineage", text);
}

/* ---- on a worker ---- */

static bool is(struct prov__text text, const char *name)
{
    return strlen(name) == text.len && memcmp(name, text.at, text.len) == 0;
}

struct sealed {
    struct audit *audit;
    const struct prov__header *h;
    struct prov__text entry;
    bool there;
};

static bool open_passages(void *arg, const struct store_row *row)
{
    struct sealed *s = arg;
    struct audit *a = s->audit;
    size_t len;
    const char *problem = "";
    int64_t chunks = 0;
    const void *bytes = store_blob(row, 0, &len);
    s->there = true;
    if (prov__payload(&a->keys, a->db, s->h, s->entry, bytes, len, &a->ad, &a->plain, &problem,
                      NULL) != ERR_OK) {
        a->chunks_closed++;
        return false;
    }
    json_t *payload = json_read(a->plain.data, a->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    prov__lineage_payload(s->h, payload, &chunks, tell, a);
    json_decref(payload);
    a->chunks += chunks;
    return false;
}

static void check_passages(struct audit *a, const struct prov__header *h, struct prov__text entry)
{
    struct sealed s = {a, h, entry, false};
    enum err code = store_query(a->db, &a->error, open_passages, &s,
                                "SELECT sealed FROM payloads WHERE seq = ?", "i", h->seq);
    if (code != ERR_OK || s.there)
        return;
    if (prov__erased_find(&a->erased, a->db, h->seq, NULL, &a->error) != PROV__KEPT)
        a->chunks_erased++;
    else
        put_problem(a, h->seq, "payload_missing", "the payload of a retrieval is not there");
}

static void skip_to(struct audit *a, int64_t seq)
{
    char text[96];
    if (a->next == seq)
        return;
    snprintf(text, sizeof text, "entries %lld to %lld are not there", (long long)a->next,
             (long long)seq - 1);
    put_problem(a, a->next, "missing", text);
    a->next = seq;
    a->head_known = false;
}

static bool check_entry(void *arg, const struct store_row *row)
{
    struct audit *a = arg;
    struct prov__header h;
    struct prov__text entry;
    int64_t seq = store_int(row, 0);
    skip_to(a, seq);
    entry.at = store_blob(row, 1, &entry.len);
    if (!entry.at || prov__entry_read(entry.at, entry.len, &h) || h.seq != seq) {
        put_problem(a, seq, "form", "the entry cannot be read");
        a->head_known = false;
    } else {
        if (a->head_known && memcmp(h.prev, a->head, VAULT_HASH) != 0)
            put_problem(a, seq, "prev", "the entry does not hold the hash of the one before it");
        prov__kins_note(&a->kins, &h);
        prov__lineage_check(&h, &a->kins, tell, a);
        a->edges += (int64_t)h.parent_count;
        a->old += h.version == 1;
        a->answers += h.version > 1 && is(h.type, "answer");
        if (is(h.type, "retrieval"))
            check_passages(a, &h, entry);
        vault_sha256(entry.at, entry.len, NULL, 0, a->head);
        a->head_known = true;
    }
    a->entries++;
    a->next = seq + 1;
    return !__atomic_load_n(&a->job.cancelled, __ATOMIC_RELAXED);
}

static void walk_piece(void *arg)
{
    struct audit *a = arg;
    int64_t before = a->entries;
    if (!a->db)
        a->db = a->kins.db = store_db_open(a->path, &a->error);
    if (!a->db || __atomic_load_n(&a->job.cancelled, __ATOMIC_RELAXED))
        return;
    store_query(a->db, &a->error, check_entry, a,
                "SELECT seq, entry FROM entries WHERE seq >= ? AND seq < ? ORDER BY seq LIMIT ?",
                "iii", a->next, a->to, (int64_t)PIECE);
    if (a->error.code == ERR_OK)
        a->error = a->kins.error;
    a->ended = a->entries - before < PIECE;
    prov__keys_release(&a->keys); /* none outlives what erased it */
    prov__erased_release(&a->erased);
}

/* ---- on the loop ---- */

/* No more than was looked at. */
static char *proved(const struct audit *a)
{
    struct buf out = {0};
    if (a->problem_count)
        return xasprintf("the lineage of entries %lld to %lld is broken", (long long)a->from,
                         (long long)a->next - 1);
    buf_addf(
        &out,
        "%lld entries with %lld edges: every parent is there and is an earlier entry, so there "
        "is no cycle; every entry has the parents that its kind needs",
        (long long)a->entries, (long long)a->edges);
    if (a->from == 0)
        buf_addf(&out, ", so each of %lld answers leads to its question", (long long)a->answers);
    buf_addf(&out, "; every entry's hash stands in the next one; %lld passages have their hashes",
             (long long)a->chunks);
    if (a->old)
        buf_addf(
            &out,
            "; %lld entries are of version 1, which names no transforms: of their parents it is "
            "only known that they are there",
            (long long)a->old);
    if (a->chunks_erased)
        buf_addf(&out, "; the passages of %lld retrievals were erased",
                 (long long)a->chunks_erased);
    if (a->chunks_closed)
        buf_addf(&out, "; %lld retrievals could not be opened, their passages are not assessed",
                 (long long)a->chunks_closed);
    return buf_take(&out);
}

static json_t *report_of(struct audit *a)
{
    json_t *report = json_object();
    char *words = proved(a);
    json_put(report, "ok", json_boolean(a->problem_count == 0));
    json_puti(report, "from", a->from);
    json_puti(report, "to", a->next);
    json_puti(report, "entries", a->entries);
    json_puti(report, "version_1", a->old);
    json_puti(report, "edges", a->edges);
    json_puti(report, "answers", a->answers);
    json_puti(report, "chunks", a->chunks);
    json_puti(report, "chunks_closed", a->chunks_closed);
    json_puti(report, "chunks_erased", a->chunks_erased);
    json_put(report, "problems", json_incref(a->problems));
    json_puti(report, "problem_count", a->problem_count);
    json_puts(report, "proved", words);
    json_puti(report, "elapsed_ms", (int64_t)(clock_mono_ms() - a->began));
    free(words);
    return report;
}

static void audit_free(struct audit *a)
{
    prov__kins_release(&a->kins);
    store_db_close(a->db);
    buf_release(&a->ad);
    buf_release(&a->plain);
    json_decref(a->problems);
    free(a->path);
    free(a);
}

static void walked(void *arg, bool cancelled)
{
    struct audit *a = arg;
    if (a->job.prov && cancelled && a->error.code == ERR_OK)
        err_set(&a->error, ERR_CLOSED, "the console stops");
    if (a->job.prov && a->error.code == ERR_OK && !a->ended) {
        loop_work(a->loop, walk_piece, walked, a);
        return;
    }
    if (a->job.prov) {
        bool ok = a->error.code == ERR_OK;
        prov__lineage_leave(&a->job);
        a->job.done(a->job.arg, ok ? report_of(a) : NULL, &a->error);
    }
    audit_free(a);
}

void prov_lineage_audit(struct prov *p, int64_t from, int64_t to, prov_lineaged *done, void *arg)
{
    struct audit *a = xcalloc(1, sizeof *a);
    a->to = to < 0 ? INT64_MAX : to;
    a->from = a->next = from < 0 ? 0 : from;
    a->loop = p->loop;
    a->path = xstrdup(store_path(p->store));
    a->keys.vault = a->erased.vault = p->vault;
    a->began = clock_mono_ms();
    a->problems = json_array();
    prov__lineage_enter(p, &a->job, done, arg);
    loop_work(p->loop, walk_piece, walked, a);
}
