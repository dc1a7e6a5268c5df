/* The log that the canned console answers from: entries made from their numbers, the same each
 * time. Eight entries are a question's trace; every 97th payload is erased; 12 700 to 12 702 are
 * quarantined. */
#ifndef CANNED_LOG_H
#define CANNED_LOG_H

#include "backend/base/clock.h"
#include "backend/base/json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_SIZE = 12804, LOG_SIGNED = 12800, LOG_TRACE = 8, LOG_SLICE = 3000, LOG_SESSION = 1600 };

static const struct {
    const char *type, *actor, *transform;
    int parent, confidence;
} log_kinds[LOG_TRACE] = {
    {"question", "operator", NULL, -1, -1},
    {"retrieval", "backend", "retrieve", 0, 820},
    {"tool.call", "backend", "plan", 0, 640},
    {"tool.result", "tool:host/disks", "call", 2, -1},
    {"model.call", "backend", "ground", 1, -1},
    {"model.output", "model:builtin/lexical", "generate", 4, -1},
    {"verdict", "backend", "compare", 5, 740},
    {"answer", "backend", "choose", 6, 740},
};
static const char *const log_texts[LOG_TRACE] = {"why is checkout slow?",
                                                 "DiskPressure: look at WAL growth first.",
                                                 "host/disks",
                                                 "/var is 97% full",
                                                 "two sources, one question",
                                                 "postgres-1 waits for its disk.",
                                                 "they agree, D 0.18",
                                                 "checkout p95 is 2.4 s; /var is 97% full [2]."};

static inline int log_kind(int64_t seq)
{
    return (int)(seq % LOG_TRACE);
}

static inline json_t *log_row(int64_t seq)
{
    int k = log_kind(seq);
    char id[33], hash[65];
    json_t *row = json_object(), *parents = json_array();
    snprintf(id, sizeof id, "%024llx%08llx", 0x5e55ULL, (unsigned long long)(seq / LOG_SESSION));
    snprintf(hash, sizeof hash, "%056d%08llx", 0,
             (unsigned long long)(seq * 2654435761U % 0xffffffff));
    json_puti(row, "seq", seq);
    json_puti(row, "ts", clock_real_ms() - (LOG_SIZE - seq) / 100);
    json_puts(row, "type", log_kinds[k].type);
    json_puts(row, "actor", log_kinds[k].actor);
    json_puts(row, "session", id);
    snprintf(id, sizeof id, "%024llx%08llx", 0x7ace0000ULL, (unsigned long long)(seq / LOG_TRACE));
    json_puts(row, "trace_id", id);
    if (log_kinds[k].parent >= 0)
        json_array_append_new(parents, json_integer(seq - k + log_kinds[k].parent));
    json_put(row, "parents", parents);
    json_puts(row, "hash", hash);
    if (seq % 97 == 0)
        json_puti(row, "erased", LOG_SIZE - 4);
    if (seq >= 12700 && seq <= 12702)
        json_put(row, "quarantined", json_true());
    return row;
}

static inline bool log_one_of(const json_t *list, const char *text)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one) if (!strcmp(json_string_value(one), text)) return true;
    return !list;
}

/* Does evidence.search's filter let it through? cited: the entries of its control, or NULL. */
static inline bool log_passes(const json_t *params, int64_t seq, json_t *row, const json_t *cited)
{
    static const char *const same[] = {"session", "trace_id"};
    const char *actor = json_str(params, "actor", ""), *text = json_str(params, "text", NULL);
    bool is_cited = !cited;
    size_t i;
    const json_t *one;
    for (i = 0; i < 2; i++)
        if (json_str(params, same[i], NULL) &&
            strcmp(json_str(params, same[i], ""), json_str(row, same[i], "")) != 0)
            return false;
    json_array_foreach(cited, i, one) is_cited |= json_integer_value(one) == seq;
    if (!is_cited || strncmp(json_str(row, "actor", ""), actor, strlen(actor)) != 0 ||
        !log_one_of(json_object_get(params, "types"), json_str(row, "type", "")))
        return false;
    if (!text)
        return true;
    const char *payload = log_texts[log_kind(seq)];
    if (!strstr(payload, text))
        return strstr(json_str(row, "type", ""), text) != NULL;
    json_puts(row, "match", payload);
    return true;
}

/* The answer of evidence.list and evidence.search. */
static inline json_t *log_list(const json_t *params, const json_t *cited, bool search)
{
    int64_t before = json_int(params, "before", LOG_SIZE), after = json_int(params, "after", -1);
    bool forward = json_object_get(params, "after") && !json_object_get(params, "before");
    int64_t limit = json_int(params, "limit", 100), looked = 0, last = -1;
    int64_t seq = forward ? after + 1 : (before < LOG_SIZE ? before : LOG_SIZE) - 1;
    json_t *entries = json_array(), *result = json_object();
    for (; seq >= 0 && seq < LOG_SIZE && (forward || seq > after); seq += forward ? 1 : -1) {
        if ((int64_t)json_array_size(entries) == limit || (search && looked == LOG_SLICE))
            break;
        json_t *row = log_row(seq);
        if (!search || log_passes(params, seq, row, cited))
            json_array_append(entries, row);
        json_decref(row);
        last = seq;
        looked++;
    }
    bool done = seq < 0 || seq >= LOG_SIZE || (!forward && seq <= after);
    json_put(result, "entries", entries);
    if (!search) {
        json_put(result, "more", json_boolean(!done));
        return result;
    }
    json_put(result, "done", json_boolean(done));
    json_put(result, "next", done ? json_null() : json_integer(last));
    json_puti(result, "scanned", looked);
    json_puti(result, "from", forward ? after + 1 : done ? 0 : last);
    json_puti(result, "to", forward && !done ? last : LOG_SIZE - 1);
    json_put(result, "payloads", json_true());
    return result;
}

static inline json_t *log_entry(int64_t seq)
{
    json_t *row = log_row(seq);
    json_puts(row, "leaf", json_str(row, "hash", ""));
    if (!json_object_get(row, "erased"))
        json_put(row, "payload",
                 json_pack("{s:s,s:[{s:s,s:f}],s:s}", "text", log_texts[log_kind(seq)], "passages",
                           "heading", "DiskPressure \xe2\x80\xba Look first", "score", 0.82,
                           "hostile",
                           "\033[2J\xe2\x80\xae"
                           "evil"));
    return row;
}

static inline json_t *log_proof(int64_t seq)
{
    static const char note[] =
        "mcp-console/canned/9f31c0de\n12800\nd3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3c=\n\n"
        "\xe2\x80\x94 mcp-console/canned/9f31c0de AAAA\n\xe2\x80\x94 witness.example/w1 BBBB\n";
    json_t *proof = json_object(), *hashes = json_array();
    bool covered = seq < LOG_SIGNED;
    for (int i = 0; i < 14; i++)
        json_array_append_new(
            hashes, json_sprintf("hash%02dhash%02dhash%02dhash%02dhash%02dhash%02dhash%02d=", i, i,
                                 i, i, i, i, i));
    json_puti(proof, "seq", seq);
    json_puti(proof, "size", covered ? LOG_SIGNED : LOG_SIZE);
    json_puts(proof, "leaf", "leafleafleafleafleafleafleafleafleafleaflea=");
    json_puts(proof, "root", "d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3c=");
    json_put(proof, "hashes", hashes);
    json_put(proof, "checkpoint", covered ? json_string(note) : json_null());
    return proof;
}

static inline json_t *log_lineage(int64_t seq)
{
    json_t *nodes = json_array(), *edges = json_array();
    int64_t first = seq - log_kind(seq);
    for (int k = 0; k < LOG_TRACE && first + k < LOG_SIZE; k++) {
        json_t *node = log_row(first + k);
        json_puti(node, "id", first + k);
        json_puts(node, "label", log_texts[k]);
        if (k == 1)
            json_put(node, "parts",
                     json_pack("[{s:s,s:s,s:f,s:s}]", "document", "disk-full", "heading",
                               "DiskPressure \xe2\x80\xba Look first", "score", 0.82, "hash",
                               "00ff"));
        json_array_append_new(nodes, node);
        if (log_kinds[k].parent >= 0)
            json_array_append_new(
                edges,
                json_pack(
                    "{s:I,s:I,s:s,s:o}", "from", (json_int_t)(first + log_kinds[k].parent), "to",
                    (json_int_t)(first + k), "transform", log_kinds[k].transform, "confidence",
                    log_kinds[k].confidence < 0 ? json_null()
                                                : json_real(log_kinds[k].confidence / 1000.0)));
        if (k == 4) /* the other source */
            json_array_append_new(
                edges, json_pack("{s:I,s:I,s:s,s:n}", "from", (json_int_t)(first + 3), "to",
                                 (json_int_t)(first + 4), "transform", "ground", "confidence"));
    }
    return json_pack("{s:I,s:o,s:o,s:b,s:{s:b,s:[]}}", "root", (json_int_t)seq, "nodes", nodes,
                     "edges", edges, "truncated", 0, "audit", "ok", 1, "problems");
}

#endif
