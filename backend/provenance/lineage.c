/* The graph around an entry or a trace, built on a worker.
 *
 * Up is a walk by parents, the nearest first. Down has no index: an entry's children are later
 * entries of its trace, of its conversation, or of what follows shortly, so these are read once, in
 * order; a child of something found is found too. An index of edges would cost every append a row
 * or two.
 *
 * Invariants
 * L1 A worker has one job; the loop's side only marks it cancelled and forgets it.
 * L2 Keys are read anew for each job: none outlives what erased it. */
#include "backend/provenance/lineage.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/erased.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 1 << 14, LABEL = 120, MAX_AHEAD = 20000, PROBLEMS = 100 };

struct set { /* of seqs; -1 is an empty slot */
    int64_t slots[SLOTS];
};

struct graph {
    struct prov__lineage_job job; /* first */
    struct prov_lineage what;
    char *path, trace_id[33];
    /* the worker's */
    struct store_db *db;
    struct prov__keys keys;
    struct prov__erased erased;
    struct prov__kins kins;
    struct buf ad, plain;
    struct error error;
    int64_t root;
    struct set nodes_in, below; /* what is in the graph; what was asked for and derives from it */
    int64_t *queue;             /* the graph's nodes; up: those from head on are to be read */
    size_t head, tail;
    int64_t *ahead; /* down: seqs that may be children */
    size_t ahead_count;
    bool found, ended, truncated;
    char conversation[33];
    json_t *nodes, *edges, *problems;
    int64_t problem_count;
};

/* ---- sets ---- */

static int64_t *slot_of(struct set *set, int64_t seq)
{
    size_t at = (size_t)((uint64_t)seq * UINT64_C(0x9e3779b97f4a7c15) >> 50); /* below SLOTS */
    while (set->slots[at] != -1 && set->slots[at] != seq)
        at = (at + 1) % SLOTS;
    return &set->slots[at];
}

static bool has(struct set *set, int64_t seq)
{
    return seq >= 0 && *slot_of(set, seq) == seq;
}

/* A node of the graph; false if it was there, or there is no room. */
static bool add(struct graph *g, int64_t seq)
{
    if (seq < 0 || has(&g->nodes_in, seq))
        return false;
    if (g->tail == PROV_LINEAGE_NODES) {
        g->truncated = true;
        return false;
    }
    *slot_of(&g->nodes_in, seq) = seq;
    g->queue[g->tail++] = seq;
    return true;
}

/* ---- one node ---- */

static void put_short(json_t *to, const char *key, const char *text)
{
    struct buf out = {0};
    uint32_t cp;
    bool gap = false;
    size_t len = strlen(text), n;
    for (size_t i = 0; i < len && out.len < LABEL; i += n) {
        n = text_decode(text + i, len - i, &cp);
        if (n == 0)
            break;
        bool space = cp <= ' ';
        if (!space && gap && out.len)
            buf_addc(&out, ' ');
        gap = space || (gap && space);
        if (!space)
            buf_add(&out, text + i, n);
    }
    json_put(to, key, json_text(out.data ? out.data : "", out.len));
    buf_release(&out);
}

static void put_parts(json_t *node, const json_t *payload)
{
    const json_t *one;
    size_t i;
    json_t *parts = json_array();
    json_array_foreach(json_object_get(payload, "passages"), i, one)
    {
        json_t *part = json_object();
        const char *ref = json_str(one, "ref", ""), *mark = strchr(ref, '#');
        size_t len = mark ? (size_t)(mark - ref) : strlen(ref);
        json_put(part, "document", json_text(ref, len));
        json_puts(part, "heading", mark ? mark + 1 : "");
        json_puts(part, "hash", json_str(one, "sha256", ""));
        json_put(part, "score", json_real(strtod(json_str(one, "score", "0"), NULL)));
        json_array_append_new(parts, part);
    }
    json_put(node, "parts", parts);
}

/* What stands in the payload, in a few words. */
static void put_label(json_t *node, const char *type, const json_t *payload)
{
    char *words = NULL;
    if (strcmp(type, "tool.call") == 0) {
        words =
            xasprintf("%s/%s", json_str(payload, "connector", ""), json_str(payload, "tool", ""));
    } else if (strcmp(type, "tool.result") == 0) {
        words = xasprintf("%s/%s: %s", json_str(payload, "connector", ""),
                          json_str(payload, "tool", ""),
                          json_flag(payload, "ok", false) ? json_str(payload, "content", "")
                                                          : json_str(payload, "error", "failed"));
    } else if (strcmp(type, "retrieval") == 0) {
        words = xasprintf("%s: %s", json_str(payload, "way", ""), json_str(payload, "query", ""));
        put_parts(node, payload);
    } else if (strcmp(type, "verdict") == 0) {
        const json_t *verdict = json_object_get(payload, "verdict");
        words =
            xasprintf("%s: %s", json_str(verdict, "route", ""), json_str(verdict, "reason", ""));
    } else if (strcmp(type, "summary") == 0) {
        words = xasprintf("for %s: %lld of %lld tokens", json_str(payload, "model", ""),
                          (long long)json_int(payload, "after", 0),
                          (long long)json_int(payload, "before", 0));
    } else if (strcmp(type, "stop") == 0) {
        words = xstrdup(json_str(payload, "error", json_str(payload, "by", "")));
    } else {
        words = xstrdup(json_str(payload, "text", ""));
    }
    put_short(node, "label", *words ? words : type);
    free(words);
}

static void tell(void *arg, int64_t seq, const char *text)
{
    struct graph *g = arg;
    if (g->problem_count++ >= PROBLEMS)
        return;
    json_t *problem = json_object();
    json_puti(problem, "seq", seq);
    json_puts(problem, "code", "lineage");
    json_puts(problem, "text", text);
    json_array_append_new(g->problems, problem);
}

static void take_payload(struct graph *g, json_t *node, const struct prov__header *h,
                         struct prov__text entry, const void *sealed, size_t len)
{
    const struct prov__erasure *by = NULL;
    const char *problem = "";
    int64_t chunks;
    bool erased = !sealed && prov__erased_find(&g->erased, g->db, h->seq, &by, NULL) != PROV__KEPT;
    json_put(node, "erased", json_boolean(erased));
    if (erased)
        json_put(node, "erased_by", by ? json_integer(by->entry) : json_null());
    if (!sealed || !g->what.texts ||
        prov__payload(&g->keys, g->db, h, entry, sealed, len, &g->ad, &g->plain, &problem, NULL) !=
            ERR_OK)
        return;
    json_t *payload = json_read(g->plain.data, g->plain.len, PROV__MAX_PAYLOAD, 64, NULL);
    put_label(node, json_str(node, "type", ""), payload);
    prov__lineage_payload(h, payload, &chunks, tell, g);
    json_decref(payload);
}

static void add_edge(struct graph *g, const struct prov__header *h, size_t i)
{
    json_t *edge = json_object();
    const struct prov__text *transform = &h->transforms[i];
    json_puti(edge, "from", h->parents[i]);
    json_puti(edge, "to", h->seq);
    json_put(edge, "transform",
             transform->len ? json_text(transform->at, transform->len) : json_null());
    json_put(edge, "confidence",
             h->confidences[i] < 0 ? json_null() : json_real(h->confidences[i] / 1000.0));
    json_array_append_new(g->edges, edge);
}

static json_t *quoted(struct prov__text text)
{
    json_t *value =
        json_loadb(text.at - 1, text.len + 2, JSON_DECODE_ANY, NULL); /* with its quotes */
    return value ? value : json_null();
}

static void add_node(struct graph *g, const struct prov__header *h, struct prov__text entry,
                     const void *sealed, size_t len)
{
    char hex[2 * VAULT_HASH + 1], ts[CLOCK_TEXT];
    uint8_t hash[VAULT_HASH];
    json_t *node = json_object();
    vault_sha256(entry.at, entry.len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, hex);
    clock_format(h->ts, ts);
    json_puti(node, "id", h->seq);
    json_puts(node, "hash", hex);
    json_puts(node, "produced_at", ts);
    json_put(node, "transform_type",
             h->parent_count && h->transforms[0].len
                 ? json_text(h->transforms[0].at, h->transforms[0].len)
                 : json_null());
    json_put(node, "type", quoted(h->type));
    json_put(node, "actor", quoted(h->actor));
    json_put(node, "trace_id", *h->trace_id ? json_string(h->trace_id) : json_null());
    json_puts(node, "label", json_str(node, "type", ""));
    take_payload(g, node, h, entry, sealed, len);
    json_array_append_new(g->nodes, node);
    prov__lineage_check(h, &g->kins, tell, g);
    if (*h->conversation && !*g->conversation)
        memcpy(g->conversation, h->conversation, sizeof g->conversation);
}

static bool read_header(struct graph *g, const struct store_row *row, struct prov__header *h,
                        struct prov__text *entry)
{
    int64_t seq = store_int(row, 0);
    entry->at = store_blob(row, 1, &entry->len);
    if (entry->at && !prov__entry_read(entry->at, entry->len, h) && h->seq == seq)
        return true;
    tell(g, seq, "the entry cannot be read");
    return false;
}

static bool take_up(void *arg, const struct store_row *row)
{
    struct graph *g = arg;
    struct prov__header h;
    struct prov__text entry;
    size_t len;
    const void *sealed = store_blob(row, 2, &len);
    g->found = true;
    if (!read_header(g, row, &h, &entry))
        return false;
    add_node(g, &h, entry, sealed, len);
    for (size_t i = 0; i < h.parent_count; i++) {
        if (g->what.up && h.parents[i] < h.seq)
            add(g, h.parents[i]);
        add_edge(g, &h, i);
    }
    return false;
}

static bool take_down(void *arg, const struct store_row *row)
{
    struct graph *g = arg;
    struct prov__header h;
    struct prov__text entry;
    size_t len;
    const void *sealed = store_blob(row, 2, &len);
    if (!read_header(g, row, &h, &entry))
        return false;
    bool child = false;
    for (size_t i = 0; i < h.parent_count; i++)
        child |= h.parents[i] < h.seq && has(&g->below, h.parents[i]);
    if (!child || !(has(&g->nodes_in, h.seq) || add(g, h.seq)))
        return false;
    *slot_of(&g->below, h.seq) = h.seq;
    if (g->head == g->tail)
        return false; /* it was a node before */
    g->head = g->tail;
    add_node(g, &h, entry, sealed, len);
    for (size_t i = 0; i < h.parent_count; i++)
        add_edge(g, &h, i);
    return false;
}

/* ---- the walk ---- */

static const char one_entry[] = "SELECT e.seq, e.entry, p.sealed FROM entries e"
                                " LEFT JOIN payloads p ON p.seq = e.seq WHERE e.seq = ?";

static bool stopped(const struct graph *g)
{
    return g->error.code != ERR_OK || __atomic_load_n(&g->job.cancelled, __ATOMIC_RELAXED);
}

static void walk_up(struct graph *g)
{
    for (; g->head < g->tail && !stopped(g); g->head++)
        store_query(g->db, &g->error, take_up, g, one_entry, "i", g->queue[g->head]);
}

static bool take_ahead(void *arg, const struct store_row *row)
{
    struct graph *g = arg;
    if (g->ahead_count == MAX_AHEAD) {
        g->truncated = true;
        return false;
    }
    g->ahead[g->ahead_count++] = store_int(row, 0);
    return true;
}

static int by_seq(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* first: of the entries whose children are looked for. */
static void walk_down(struct graph *g, int64_t first)
{
    g->ahead = xcalloc(MAX_AHEAD, sizeof *g->ahead);
    if (*g->conversation)
        store_query(g->db, &g->error, take_ahead, g,
                    "SELECT e.seq FROM traces t JOIN entries e ON e.trace_id = t.trace_id"
                    " WHERE t.conversation = ? AND e.seq > ?",
                    "si", g->conversation, first);
    if (*g->trace_id)
        store_query(g->db, &g->error, take_ahead, g,
                    "SELECT seq FROM entries WHERE trace_id = ? AND seq > ?", "si", g->trace_id,
                    first);
    if (!stopped(g))
        store_query(g->db, &g->error, take_ahead, g,
                    "SELECT seq FROM entries WHERE seq > ? AND seq <= ?", "ii", first,
                    first + PROV_LINEAGE_AHEAD);
    qsort(g->ahead, g->ahead_count, sizeof *g->ahead, by_seq);
    for (size_t i = 0; i < g->ahead_count && !stopped(g); i++)
        if ((i == 0 || g->ahead[i] != g->ahead[i - 1]) && !has(&g->below, g->ahead[i]))
            store_query(g->db, &g->error, take_down, g, one_entry, "i", g->ahead[i]);
    free(g->ahead);
}

static bool take_start(void *arg, const struct store_row *row)
{
    struct graph *g = arg;
    const char *type = store_text(row, 1);
    int64_t seq = store_int(row, 0);
    bool ends = type && (strcmp(type, "answer") == 0 || strcmp(type, "stop") == 0);
    add(g, seq);
    if (g->root < 0 || (ends && !g->ended)) /* while a trace has no end, its last entry */
        g->root = seq;
    g->ended |= ends;
    return true;
}

static bool take_trace(void *arg, const struct store_row *row)
{
    const char *trace = store_text(row, 0);
    snprintf(arg, 33, "%s", trace ? trace : "");
    return false;
}

static void find_start(struct graph *g)
{
    if (g->what.trace_id) {
        store_query(g->db, &g->error, take_start, g,
                    "SELECT seq, type FROM entries WHERE trace_id = ? ORDER BY seq DESC LIMIT 5001",
                    "s", g->trace_id);
        if (g->error.code == ERR_OK && !g->tail)
            err_set(&g->error, ERR_NOT_FOUND, "there is no trace %s", g->trace_id);
        return;
    }
    g->root = g->what.seq;
    add(g, g->what.seq);
    store_query(g->db, &g->error, take_trace, g->trace_id,
                "SELECT trace_id FROM entries WHERE seq = ?", "i", g->what.seq);
}

/* Before anything else is in the graph: what was asked for is where children are looked for. */
static int64_t begin_below(struct graph *g)
{
    int64_t first = g->queue[0];
    for (size_t i = 0; i < g->tail; i++) {
        *slot_of(&g->below, g->queue[i]) = g->queue[i];
        first = first < g->queue[i] ? first : g->queue[i];
    }
    return first;
}

static void work(void *arg)
{
    struct graph *g = arg;
    if (stopped(g))
        return;
    g->db = g->kins.db = store_db_open(g->path, &g->error);
    if (!g->db)
        return;
    g->root = -1;
    memset(&g->nodes_in, 0xff, sizeof g->nodes_in);
    memset(&g->below, 0xff, sizeof g->below);
    g->queue = xcalloc(PROV_LINEAGE_NODES, sizeof *g->queue);
    g->nodes = json_array();
    g->edges = json_array();
    g->problems = json_array();
    find_start(g);
    if (!stopped(g)) {
        int64_t first = begin_below(g);
        walk_up(g);
        if (g->what.down && !stopped(g))
            walk_down(g, first);
    }
    if (g->error.code == ERR_OK && !g->found)
        err_set(&g->error, ERR_NOT_FOUND, "there is no entry %lld", (long long)g->what.seq);
    if (g->error.code == ERR_OK)
        g->error = g->kins.error;
    prov__keys_release(&g->keys); /* L2 */
    prov__erased_release(&g->erased);
    prov__kins_release(&g->kins);
    store_db_close(g->db);
    buf_release(&g->ad);
    buf_release(&g->plain);
    free(g->queue);
}

/* ---- the loop's side ---- */

static int by_id(const void *a, const void *b)
{
    int64_t x = json_int(*(json_t *const *)a, "id", 0), y = json_int(*(json_t *const *)b, "id", 0);
    return (x > y) - (x < y);
}

static json_t *sorted(json_t *nodes)
{
    size_t n = json_array_size(nodes);
    json_t **list = xcalloc(n + 1, sizeof *list), *out = json_array();
    for (size_t i = 0; i < n; i++)
        list[i] = json_array_get(nodes, i);
    qsort(list, n, sizeof *list, by_id);
    for (size_t i = 0; i < n; i++)
        json_array_append(out, list[i]);
    free(list);
    return out;
}

static json_t *result_of(struct graph *g)
{
    json_t *graph = json_object(), *audit = json_object(), *edges = json_array(), *edge;
    size_t i;
    json_array_foreach(g->edges, i, edge)
    {
        if (has(&g->nodes_in, json_int(edge, "from", -1)))
            json_array_append(edges, edge);
    }
    json_puti(graph, "root", g->root);
    json_put(graph, "nodes", sorted(g->nodes));
    json_put(graph, "edges", edges);
    json_put(graph, "truncated", json_boolean(g->truncated));
    json_put(audit, "ok", json_boolean(g->problem_count == 0));
    json_puti(audit, "nodes", (int64_t)json_array_size(g->nodes));
    json_puti(audit, "edges", (int64_t)json_array_size(edges));
    json_put(audit, "problems", json_incref(g->problems));
    json_put(graph, "audit", audit);
    return graph;
}

static void graph_free(struct graph *g)
{
    json_decref(g->nodes);
    json_decref(g->edges);
    json_decref(g->problems);
    free(g->path);
    free(g);
}

static void worked(void *arg, bool cancelled)
{
    struct prov__lineage_job *job = arg;
    struct graph *g = (struct graph *)job;
    if (job->prov) {
        prov__lineage_leave(job);
        if (cancelled && g->error.code == ERR_OK)
            err_set(&g->error, ERR_CLOSED, "the console stops");
        bool ok = g->error.code == ERR_OK;
        job->done(job->arg, ok ? result_of(g) : NULL, &g->error);
    }
    graph_free(g);
}

void prov_lineage(struct prov *p, const struct prov_lineage *what, prov_lineaged *done, void *arg)
{
    struct graph *g = xcalloc(1, sizeof *g);
    g->what = *what;
    if (what->trace_id)
        snprintf(g->trace_id, sizeof g->trace_id, "%s", what->trace_id);
    g->path = xstrdup(store_path(p->store));
    g->keys.vault = g->erased.vault = p->vault;
    prov__lineage_enter(p, &g->job, done, arg);
    loop_work(p->loop, work, worked, g);
}

/* ---- jobs that are out ---- */

void prov__lineage_enter(struct prov *p, struct prov__lineage_job *job, prov_lineaged *done,
                         void *arg)
{
    *job = (struct prov__lineage_job){.prov = p, .next = p->lineages, .done = done, .arg = arg};
    p->lineages = job;
}

void prov__lineage_leave(struct prov__lineage_job *job)
{
    struct prov__lineage_job **at = &job->prov->lineages;
    while (*at != job)
        at = &(*at)->next;
    *at = job->next;
}

void prov__lineages_free(struct prov *p)
{
    struct error closed = {0};
    err_set(&closed, ERR_CLOSED, "the console stops");
    while (p->lineages) {
        struct prov__lineage_job *job = p->lineages;
        p->lineages = job->next;
        __atomic_store_n(&job->cancelled, true, __ATOMIC_RELAXED);
        job->prov = NULL;
        job->done(job->arg, NULL, &closed);
    }
}
