/* Reading a flow and saying what is wrong with it. Which flows there are: flows.c. */
#include "backend/orchestrator/flow.h"
#include "backend/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEPTH = 6,
    ID_MOST = 24,
    ABOUT_MOST = 200,
    SYSTEM_MOST = 4096,
    STEPS_MOST = 16,
    FILE_MOST = 100
};
static const int64_t MS_MOST = 600000, TOKENS_MOST = 10000000;

static const struct {
    const char *name, *about;
} KINDS[] = {
#define NODE(id, name, about) {name, about},
#include "backend/orchestrator/nodes.def"
#undef NODE
};
static const char *const JOINS[] = {"all", "any", "first"};
static const struct {
    const char *name, *prompt;
} ROLES[] = {
#define ROLE(name, prompt, about) {name, prompt},
#include "backend/orchestrator/roles.def"
#undef ROLE
};
static const struct {
    const char *name, *text;
} PROMPTS[] = {
#define PROMPT(name, text) {name, text},
#include "backend/orchestrator/prompts.def"
#undef PROMPT
};
enum { ROLE_COUNT = sizeof ROLES / sizeof *ROLES, PROMPT_COUNT = sizeof PROMPTS / sizeof *PROMPTS };

/* ---- what went wrong, and where */

struct reading {
    struct flow *f;
    const struct flow_known *known;
    const char *where; /* of the node that is read, or NULL */
    struct error *e;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct reading *r, const char *format, ...)
{
    va_list args;
    struct buf what = {0};
    va_start(args, format);
    buf_vaddf(&what, format, args);
    va_end(args);
    const char *file = r->f->file, *base = strrchr(file, '/');
    if (base && strlen(file) > FILE_MOST) /* the reason is to have room too */
        file = base + 1;
    err_set(r->e, ERR_CONFIG, r->where ? "%s: %s: %s" : "%s: %s%s", file, r->where ? r->where : "",
            what.data);
    buf_release(&what);
    return false;
}

/* Names what is not among n words, with the nearest that is. */
static bool unknown(struct reading *r, const char *what, const char *word, const char *const *words,
                    size_t n)
{
    const char *near = text_nearest(word, words, n);
    return wrong(r, "no %s is named \"%.64s\"%s%s%s", what, word, near ? "; did you mean \"" : "",
                 near ? near : "", near ? "\"?" : "");
}

static int find(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return (int)i;
    return -1;
}

/* ---- members */

static bool members(struct reading *r, const json_t *object, const char *const *names, size_t n)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return wrong(r, "an object is expected");
    json_object_foreach((json_t *)object, key, value)
    {
        if (find(key, names, n) < 0)
            return unknown(r, "member", key, names, n);
    }
    return true;
}

static bool text_of(struct reading *r, const json_t *object, const char *key, size_t most,
                    const char **out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_string_value(value);
    if (value && (!*out || !**out || strlen(*out) > most))
        return wrong(r, "%s is a text of 1 to %zu bytes", key, most);
    return true;
}

static bool number_of(struct reading *r, const json_t *object, const char *key, int64_t most,
                      int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    if (value && (!json_is_integer(value) || *out < 0 || *out > most))
        return wrong(r, "%s is a number from 0 to %lld", key, (long long)most);
    return true;
}

static bool is_name(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= ID_MOST && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* ---- nodes */

static bool read_model(struct reading *r, const json_t *doc, struct flow_node *n)
{
    const char *name;
    n->chosen = -1;
    if (!text_of(r, doc, "model", 128, &name))
        return false;
    if (!name)
        return n->kind != FLOW_MODEL ||
               wrong(r, "say which model speaks: chosen:0, a name or pool:NAME");
    if (strncmp(name, "chosen:", 7) == 0) {
        if (name[7] < '0' || name[7] >= '0' + FLOW_CHOSEN || name[8])
            return wrong(r, "of the models chosen for a question there are chosen:0 to chosen:%d",
                         FLOW_CHOSEN - 1);
        n->chosen = name[7] - '0';
        return true;
    }
    n->model = name;
    const char *why = r->known && r->known->model ? r->known->model(r->known->arg, name) : NULL;
    return !why || wrong(r, "%s", why);
}

static bool read_role(struct reading *r, const json_t *doc, struct flow_node *n)
{
    const char *names[ROLE_COUNT], *prompts[PROMPT_COUNT], *side;
    for (size_t i = 0; i < ROLE_COUNT; i++)
        names[i] = ROLES[i].name;
    for (size_t i = 0; i < PROMPT_COUNT; i++)
        prompts[i] = PROMPTS[i].name;
    if (!text_of(r, doc, "role", 64, &n->role) || !text_of(r, doc, "prompt", 64, &n->prompt) ||
        !text_of(r, doc, "system", SYSTEM_MOST, &n->system) || !text_of(r, doc, "side", 1, &side))
        return false;
    if (!n->role)
        n->role = n->kind == FLOW_VERIFY  ? "verifier"
                  : n->kind == FLOW_GUARD ? "guardian"
                                          : "answerer";
    int role = find(n->role, names, ROLE_COUNT);
    if (role < 0)
        return unknown(r, "role", n->role, names, ROLE_COUNT);
    if (n->prompt && find(n->prompt, prompts, PROMPT_COUNT) < 0)
        return unknown(r, "prompt", n->prompt, prompts, PROMPT_COUNT);
    if (side && *side != 'A' && *side != 'B')
        return wrong(r, "side is A or B");
    n->side = side ? *side : '\0';
    n->prompt = n->prompt ? n->prompt : ROLES[role].prompt;
    return true;
}

static bool read_tools(struct reading *r, const json_t *doc, struct flow_node *n)
{
    const json_t *tools = json_object_get(doc, "tools");
    if (!tools)
        return true;
    if (!json_is_array(tools) || json_array_size(tools) > FLOW_TOOLS)
        return wrong(r, "tools is a list of at most %d", FLOW_TOOLS);
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const char *pattern = json_string_value(json_array_get(tools, i));
        const char *slash = pattern ? strchr(pattern, '/') : NULL;
        if (!slash || slash == pattern || !slash[1] || strlen(pattern) > 128)
            return wrong(r, "tools are CONNECTOR/TOOL, TOOL may be a pattern (* and ?)");
        const char *why =
            r->known && r->known->tool ? r->known->tool(r->known->arg, pattern) : NULL;
        if (why)
            return wrong(r, "%s", why);
        n->tools[n->tool_count++] = pattern;
    }
    return true;
}

/* Members that say nothing for a node of that kind are not passed over. */
static bool fits_kind(struct reading *r, const json_t *doc, enum flow_kind kind)
{
    static const char *const of_models[] = {"role",          "model",        "prompt",   "system",
                                            "time_limit_ms", "token_budget", "optional", "side"},
                             *const of_speakers[] = {"tools", "steps"};
    bool speaks = kind == FLOW_MODEL, asks = speaks || kind == FLOW_VERIFY || kind == FLOW_GUARD;
    for (size_t i = 0; !asks && i < sizeof of_models / sizeof *of_models; i++)
        if (json_object_get(doc, of_models[i]))
            return wrong(r, "%s says nothing for a node of kind %s", of_models[i],
                         KINDS[kind].name);
    for (size_t i = 0; !speaks && i < sizeof of_speakers / sizeof *of_speakers; i++)
        if (json_object_get(doc, of_speakers[i]))
            return wrong(r, "%s says nothing for a node of kind %s", of_speakers[i],
                         KINDS[kind].name);
    if (kind != FLOW_VOTE && json_object_get(doc, "samples"))
        return wrong(r, "samples says nothing for a node of kind %s", KINDS[kind].name);
    return true;
}

static bool read_kind(struct reading *r, const json_t *doc, struct flow_node *n)
{
    const char *kind, *join, *kinds[FLOW_KINDS];
    for (size_t i = 0; i < FLOW_KINDS; i++)
        kinds[i] = KINDS[i].name;
    if (!text_of(r, doc, "kind", 32, &kind) || !text_of(r, doc, "join", 32, &join))
        return false;
    if (!kind)
        return wrong(r, "say what kind it is");
    int at = find(kind, kinds, FLOW_KINDS);
    if (at < 0)
        return unknown(r, "kind", kind, kinds, FLOW_KINDS);
    n->kind = (enum flow_kind)at;
    int how = join ? find(join, JOINS, sizeof JOINS / sizeof *JOINS) : 0;
    if (how < 0)
        return unknown(r, "join", join, JOINS, sizeof JOINS / sizeof *JOINS);
    n->join = (enum flow_join)how;
    return fits_kind(r, doc, n->kind);
}

static bool read_node(struct reading *r, const json_t *doc)
{
    static const char *const NAMES[] = {
        "id",    "kind",  "role",         "model",         "side",    "prompt", "system",
        "tools", "steps", "token_budget", "time_limit_ms", "samples", "join",   "optional"};
    struct flow_node *n = &r->f->nodes[r->f->node_count];
    const json_t *optional = json_object_get(doc, "optional");
    char where[64];
    n->id = json_str(doc, "id", "");
    if (is_name(n->id))
        snprintf(where, sizeof where, "node %s", n->id);
    else
        snprintf(where, sizeof where, "node %zu", r->f->node_count + 1);
    r->where = where;
    bool fine = members(r, doc, NAMES, sizeof NAMES / sizeof *NAMES) &&
                (is_name(n->id) || wrong(r, "id is 1 to %d of a-z, 0-9, _ and -", ID_MOST));
    for (size_t i = 0; fine && i < r->f->node_count; i++)
        if (strcmp(r->f->nodes[i].id, n->id) == 0)
            fine = wrong(r, "there are two nodes of that id");
    if (fine && optional && !json_is_boolean(optional))
        fine = wrong(r, "optional is true or false");
    n->optional = json_is_true(optional);
    fine = fine && read_kind(r, doc, n) && read_model(r, doc, n) && read_role(r, doc, n) &&
           read_tools(r, doc, n) && number_of(r, doc, "steps", STEPS_MOST, &n->steps) &&
           number_of(r, doc, "token_budget", TOKENS_MOST, &n->token_budget) &&
           number_of(r, doc, "time_limit_ms", MS_MOST, &n->time_limit_ms) &&
           number_of(r, doc, "samples", FLOW_NODES, &n->samples);
    if (fine && n->chosen >= (int)r->f->models)
        r->f->models = (size_t)n->chosen + 1;
    r->f->node_count++;
    r->where = NULL;
    return fine;
}

/* ---- edges */

static bool read_end(struct reading *r, const json_t *doc, const char *key, size_t *out)
{
    const char *ids[FLOW_NODES], *id = json_str(doc, key, "");
    for (size_t i = 0; i < r->f->node_count; i++)
        ids[i] = r->f->nodes[i].id;
    int at = find(id, ids, r->f->node_count);
    if (at < 0)
        return unknown(r, "node", id, ids, r->f->node_count);
    *out = (size_t)at;
    return true;
}

static bool read_edge(struct reading *r, const json_t *doc)
{
    static const char *const NAMES[] = {"from", "to", "when"};
    struct flow_edge *edge = &r->f->edges[r->f->edge_count];
    struct error why = {0};
    char where[96];
    snprintf(where, sizeof where, "edge %.24s -> %.24s", json_str(doc, "from", "?"),
             json_str(doc, "to", "?"));
    r->where = where;
    r->f->edge_count++;
    if (!members(r, doc, NAMES, 3) || !read_end(r, doc, "from", &edge->from) ||
        !read_end(r, doc, "to", &edge->to) ||
        !text_of(r, doc, "when", CONDITION_BYTES, &edge->when))
        return false;
    for (size_t i = 0; i + 1 < r->f->edge_count; i++)
        if (r->f->edges[i].from == edge->from && r->f->edges[i].to == edge->to)
            return wrong(r, "there are two such edges");
    edge->otherwise = edge->when && strcmp(edge->when, "else") == 0;
    if (edge->when && !edge->otherwise) {
        edge->condition = condition_read(edge->when, &why);
        if (!edge->condition)
            return wrong(r, "when: %s", why.detail);
    }
    r->where = NULL;
    return true;
}

/* ---- the whole */

static bool node_wrong(struct reading *r, size_t at, const char *what)
{
    char where[64];
    snprintf(where, sizeof where, "node %s", r->f->nodes[at].id);
    r->where = where;
    wrong(r, "%s", what);
    r->where = NULL;
    return false;
}

static bool check_ends(struct reading *r)
{
    size_t looks = 0, ends = 0;
    for (size_t i = 0; i < r->f->node_count; i++) {
        looks += r->f->nodes[i].kind == FLOW_LOOK;
        ends += r->f->nodes[i].kind == FLOW_END;
    }
    if (looks != 1)
        return wrong(r, "a flow begins with one node of kind look, this one has %zu", looks);
    if (ends != 1)
        return wrong(r,
                     ends ? "a flow has one node of kind end, this one has %zu"
                          : "there is no node of kind end (%zu)",
                     ends);
    return true;
}

/* Edges in and out of each node, and what kinds may follow each other. */
static bool check_edges(struct reading *r)
{
    const struct flow *f = r->f;
    for (size_t i = 0; i < f->node_count; i++) {
        const struct flow_node *n = &f->nodes[i];
        size_t in = 0, out = 0, always = 0;
        for (size_t j = 0; j < f->edge_count; j++) {
            const struct flow_edge *edge = &f->edges[j];
            const struct flow_node *from = &f->nodes[edge->from];
            in += edge->to == i;
            out += edge->from == i;
            always += edge->from == i && !edge->condition;
            if (edge->to != i)
                continue;
            if (from->kind == FLOW_LOOK && n->kind != FLOW_MODEL)
                return node_wrong(r, i, "what only looked has no answer yet: a model is to follow");
            if (n->kind == FLOW_CRITIQUE && from->kind != FLOW_COMPARE)
                return node_wrong(r, i, "only a comparison leads to a critique");
        }
        if (n->kind == FLOW_LOOK && in)
            return node_wrong(r, i, "a look is the beginning: no edge leads to it");
        if (n->kind == FLOW_END && out)
            return node_wrong(r, i, "it is the end: no edge leads on from it");
        if (n->kind != FLOW_END && !out)
            return node_wrong(r, i, "a dead end: no edge leads on from it");
        if (n->kind != FLOW_END && !always)
            return node_wrong(r, i,
                              "a dead end where no condition holds: one of its edges is to be "
                              "without a condition, or \"else\"");
    }
    return true;
}

/* Takes away what nothing unsorted leads to until nothing is left (Kahn, 1962). */
static bool check_cycles(struct reading *r)
{
    const struct flow *f = r->f;
    bool sorted[FLOW_NODES] = {false};
    for (size_t left = f->node_count, before = left + 1; left && left < before;) {
        before = left;
        for (size_t i = 0; i < f->node_count; i++) {
            bool waits = sorted[i];
            for (size_t j = 0; j < f->edge_count && !waits; j++)
                waits = f->edges[j].to == i && !sorted[f->edges[j].from];
            if (waits)
                continue;
            sorted[i] = true;
            left--;
        }
    }
    /* a node that only follows a cycle is in none: name one that leads back to itself */
    for (size_t i = 0; i < f->node_count; i++) {
        bool reached[FLOW_NODES] = {false};
        for (size_t round = 0; round < f->node_count; round++)
            for (size_t j = 0; j < f->edge_count; j++)
                if (f->edges[j].from == i || reached[f->edges[j].from])
                    reached[f->edges[j].to] = true;
        if (!sorted[i] && reached[i])
            return node_wrong(r, i, "it is part of a cycle");
    }
    return true;
}

static bool check_reached(struct reading *r)
{
    const struct flow *f = r->f;
    bool reached[FLOW_NODES] = {false};
    for (size_t i = 0; i < f->node_count; i++)
        reached[i] = f->nodes[i].kind == FLOW_LOOK;
    for (size_t round = 0; round < f->node_count; round++)
        for (size_t j = 0; j < f->edge_count; j++)
            reached[f->edges[j].to] |= reached[f->edges[j].from];
    for (size_t i = 0; i < f->node_count; i++)
        if (!reached[i])
            return node_wrong(r, i, "nothing leads to it");
    return true;
}

static bool read_lists(struct reading *r)
{
    struct flow *f = r->f;
    const json_t *nodes = json_object_get(f->doc, "nodes"),
                 *edges = json_object_get(f->doc, "edges");
    size_t n = json_array_size(nodes), m = json_array_size(edges);
    if (n < 3 || n > FLOW_NODES)
        return wrong(r, "nodes is a list of 3 to %d", FLOW_NODES);
    if (m < 2 || m > FLOW_EDGES)
        return wrong(r, "edges is a list of 2 to %d", FLOW_EDGES);
    for (size_t i = 0; i < n; i++)
        if (!read_node(r, json_array_get(nodes, i)))
            return false;
    for (size_t i = 0; i < m; i++)
        if (!read_edge(r, json_array_get(edges, i)))
            return false;
    return check_ends(r) && check_cycles(r) && check_edges(r) && check_reached(r);
}

static bool read_head(struct reading *r)
{
    static const char *const NAMES[] = {"name", "about", "limits", "nodes", "edges"},
                             *const LIMITS[] = {"time_ms", "tokens"};
    struct flow *f = r->f;
    const json_t *limits = json_object_get(f->doc, "limits");
    const char *base = strrchr(f->file, '/') ? strrchr(f->file, '/') + 1 : f->file;
    if (!members(r, f->doc, NAMES, sizeof NAMES / sizeof *NAMES) ||
        !text_of(r, f->doc, "about", ABOUT_MOST, &f->about))
        return false;
    f->name = json_str(f->doc, "name", "");
    if (!is_name(f->name))
        return wrong(r, "name is 1 to %d of a-z, 0-9, _ and -", ID_MOST);
    if (strcmp(f->name, "risk") == 0)
        return wrong(r, "risk is no name of a flow: it stands for the one that the risk says");
    size_t len = strlen(f->name);
    if (strncmp(base, f->name, len) != 0 || strcmp(base + len, ".json") != 0)
        return wrong(r, "a flow of the name %s has to be in a file of the name %s.json", f->name,
                     f->name);
    if (!f->about)
        return wrong(r, "about: say in a sentence what the flow does");
    return !limits || (members(r, limits, LIMITS, 2) &&
                       number_of(r, limits, "time_ms", MS_MOST, &f->time_ms) &&
                       number_of(r, limits, "tokens", TOKENS_MOST, &f->tokens));
}

struct flow *flow_read(const char *file, const char *text, size_t len,
                       const struct flow_known *known, struct error *e)
{
    struct error why = {0}, own = {0};
    struct flow *f = xcalloc(1, sizeof *f);
    struct reading r = {.f = f, .known = known, .e = e ? e : &own};
    f->file = xstrdup(file);
    f->doc = json_read(text, len, FLOW_BYTES, DEPTH, &why);
    if (f->doc ? read_head(&r) && read_lists(&r) : wrong(&r, "%s", why.detail))
        return f;
    flow_free(f);
    return NULL;
}

struct flow *flow_hold(const struct flow *f)
{
    ((struct flow *)f)->more++;
    return (struct flow *)f;
}

void flow_free(struct flow *f)
{
    if (!f || f->more-- > 0)
        return;
    for (size_t i = 0; i < f->edge_count; i++)
        condition_free(f->edges[i].condition);
    json_decref(f->doc);
    free(f->file);
    free(f);
}

const char *flow_kind_name(enum flow_kind k)
{
    return KINDS[k].name;
}

const char *flow_prompt(const char *name)
{
    for (size_t i = 0; i < PROMPT_COUNT; i++)
        if (strcmp(PROMPTS[i].name, name) == 0)
            return PROMPTS[i].text;
    return NULL;
}

enum err flow_prompt_check(const char *text, struct error *e)
{
    const char *names[PROMPT_COUNT];
    if (flow_prompt(text) || text[strspn(text, "abcdefghijklmnopqrstuvwxyz_")])
        return ERR_OK;
    for (size_t i = 0; i < PROMPT_COUNT; i++)
        names[i] = PROMPTS[i].name;
    const char *near = text_nearest(text, names, PROMPT_COUNT);
    if (!near && !strchr(text, '_'))
        return ERR_OK;
    return err_set(e, ERR_NOT_FOUND, "no prompt is named \"%.64s\"%s%s%s", text,
                   near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* ---- as a graph */

/* Quotation marks and backslashes are the only signs that a quoted text of Graphviz knows. */
static void add_quoted(struct buf *out, const char *text)
{
    buf_addc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *text == '\n' ? ' ' : *text);
    }
    buf_addc(out, '"');
}

void flow_dot(const struct flow *f, struct buf *out)
{
    static const char *const SHAPES[FLOW_KINDS] = {
        [FLOW_LOOK] = "cds",      [FLOW_MODEL] = "box",       [FLOW_COMPARE] = "diamond",
        [FLOW_CRITIQUE] = "box",  [FLOW_VOTE] = "diamond",    [FLOW_VERIFY] = "hexagon",
        [FLOW_GUARD] = "octagon", [FLOW_END] = "doublecircle"};
    buf_adds(out, "digraph ");
    add_quoted(out, f->name);
    buf_adds(out, " {\n  rankdir=LR;\n");
    for (size_t i = 0; i < f->node_count; i++) {
        const struct flow_node *n = &f->nodes[i];
        bool speaks = n->model || n->chosen >= 0;
        char *label = n->model ? xasprintf("%s: %s, %s", n->id, n->role, n->model)
                      : speaks ? xasprintf("%s: %s, chosen:%d", n->id, n->role, n->chosen)
                               : xstrdup(n->id);
        buf_adds(out, "  ");
        add_quoted(out, n->id);
        buf_addf(out, " [shape=%s, label=", SHAPES[n->kind]);
        add_quoted(out, label);
        buf_adds(out, "];\n");
        free(label);
    }
    for (size_t i = 0; i < f->edge_count; i++) {
        const struct flow_edge *edge = &f->edges[i];
        buf_adds(out, "  ");
        add_quoted(out, f->nodes[edge->from].id);
        buf_adds(out, " -> ");
        add_quoted(out, f->nodes[edge->to].id);
        if (edge->when) {
            buf_adds(out, " [label=");
            add_quoted(out, edge->when);
            buf_addc(out, ']');
        }
        buf_adds(out, ";\n");
    }
    buf_adds(out, "}\n");
}
