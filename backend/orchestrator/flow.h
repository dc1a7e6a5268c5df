/* Flows: how the answers of several models become one, as data. A flow is a JSON file; those of
 * flows/ are built in, those of the configuration's directory stand in their place or besides them.
 * Pure, but for reading the directory.
 *
 * {
 *   "name": "council",                    as the file is called
 *   "about": "...",                       a sentence for people
 *   "limits": {"time_ms": 0, "tokens": 0},  of the whole; 0: as the question's
 *   "nodes": [{"id": "draft",             a-z, 0-9, _ and -, at most 24
 *              "kind": "model",           a row of nodes.def
 *              "role": "strategist",      a row of roles.def
 *              "model": "chosen:0",       a model, pool:NAME, or the Nth of those chosen for the
 *                                         question, counted from 0 and round again
 *              "optional": false,         true: left out where fewer were chosen
 *              "side": "A",               A or B: the question's own prompt of that side counts
 *              "prompt": "critic",        a row of prompts.def; without it the role's
 *              "system": "...",           a text in the place of a prompt
 *              "tools": ["host/?*"],      tools it may call, by connector and name or pattern
 *              "steps": 4,                turns of calls at most
 *              "token_budget": 0,         tokens of its calls together; 0: as the flow's
 *              "time_limit_ms": 0,        0: as the flow's
 *              "samples": 0,              vote: answers that have to agree; 0: more than half
 *              "join": "all"}],           all: when all that flows in has ended; any: with the
 * first that comes; first: the same, and the others are cancelled "edges": [{"from": "draft", "to":
 * "end", "when": "confidence < 0.5"}]  condition.h; "else": when no other one of the node holds
 * }
 *
 * What is wrong is told with file, node and reason: an unknown member, name, kind, role, prompt,
 * model, tool or variable; two of one id; no end; a cycle; a dead end; what nothing leads to. */
#ifndef ORCH_FLOW_H
#define ORCH_FLOW_H

#include "backend/base/buf.h"
#include "backend/base/json.h"
#include "backend/orchestrator/condition.h"

enum {
    FLOW_NODES = 100,
    FLOW_EDGES = 256,
    FLOW_BYTES = 64 << 10, /* of a file */
    FLOW_TOOLS = 16,       /* of a node */
    FLOW_CHOSEN = 4,       /* models that a question may choose */
    FLOW_FILES = 64
};

enum flow_kind {
#define NODE(id, name, about) FLOW_##id,
#include "backend/orchestrator/nodes.def"
#undef NODE
    FLOW_KINDS
};
enum flow_join { FLOW_ALL, FLOW_ANY, FLOW_FIRST };

struct flow_node { /* texts are borrowed from the flow's document */
    const char *id, *role, *prompt, *system;
    enum flow_kind kind;
    const char *model; /* by name; NULL: chosen, or none */
    int chosen;        /* -1: by name, or none */
    bool optional;
    char side; /* 'A', 'B' or 0 */
    const char *tools[FLOW_TOOLS];
    size_t tool_count;
    int64_t steps, token_budget, time_limit_ms, samples;
    enum flow_join join;
};

struct flow_edge {
    size_t from, to;
    const char *when;            /* NULL: always */
    struct condition *condition; /* NULL: always, or else */
    bool otherwise;
};

struct flow {
    json_t *doc;
    char *file;
    bool own; /* of the configuration's directory */
    const char *name, *about;
    int64_t time_ms, tokens;
    struct flow_node nodes[FLOW_NODES];
    size_t node_count;
    struct flow_edge edges[FLOW_EDGES];
    size_t edge_count;
    size_t models; /* of those chosen that it asks at most */
    long more;     /* holders besides the first */
};

/* What a flow may name; each answers NULL, or why there is no such thing (valid until the next
 * call). NULL: that is not looked at. */
struct flow_known {
    const char *(*model)(void *arg, const char *name);
    const char *(*tool)(void *arg, const char *pattern);
    void *arg;
};

/* One file's text. NULL with *e (CONFIG): "FILE: node ID: reason". */
struct flow *flow_read(const char *file, const char *text, size_t len,
                       const struct flow_known *known, struct error *e);
/* Lets go of it; the last one who holds it frees it. Of one thread. */
void flow_free(struct flow *f);
struct flow *flow_hold(const struct flow *f);
/* As a graph for Graphviz. */
void flow_dot(const struct flow *f, struct buf *out);
const char *flow_kind_name(enum flow_kind k);
/* What a role's model is told, by name of prompts.def; NULL: there is none. */
const char *flow_prompt(const char *name);
/* Of what a question says for a side, by name or as a text: NOT_FOUND for one word that was meant
 * as a name (it has a `_`, or is nearly one) and is none. */
enum err flow_prompt_check(const char *text, struct error *e);

struct flows {
    struct flow *at[FLOW_FILES];
    size_t count;
    struct error wrong[FLOW_FILES]; /* files that were refused */
    char *wrong_name[FLOW_FILES];   /* of the flow that is not there for it */
    bool kept[FLOW_FILES];          /* the flow that was read from that file before is there */
    size_t wrong_count;
};
/* All that there are. dir: of own files; need not exist; NULL: none. before: as they were read
 * last, or NULL: in the place of a file that is wrong now stays what it was then. NULL with *e: it
 * cannot be read. */
struct flows *flows_load(const char *dir, const struct flow_known *known,
                         const struct flows *before, struct error *e);
void flows_free(struct flows *f);
/* Another one: a file of the directory has come, changed or gone. 0: there is none. */
uint64_t flows_stamp(const char *dir);
/* Names of the flows that only one of the two has, or each has in another form. Caller owns. */
json_t *flows_changed(const struct flows *a, const struct flows *b);
/* NULL with *e: NOT_FOUND, or CONFIG: why its file was refused. */
const struct flow *flows_find(const struct flows *f, const char *name, struct error *e);

#endif
