/* What a trace tells of its answer's grounds: the claims of those that were compared, and which
 * sources support each sentence of what people get. */
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

size_t orch__given_sources(const struct trace *t, struct gw_source sources[ORCH_SOURCES])
{
    size_t n = 0;
    for (size_t i = 0; i < t->source_count; i++) {
        const struct orch_source *s = &t->sources[i];
        if (s->text)
            sources[n++] = (struct gw_source){s->id, s->kind, s->ref, s->text, s->data, 1};
    }
    return n;
}

enum { KNOWN_TOOLS = 256 };

/* Where only one model answers and nobody verifies, its words stand as they are. */
static bool tells_conflicts(const struct trace *t)
{
    size_t models = 0;
    for (size_t i = 0; t->flow && i < t->flow->node_count; i++) {
        models += t->flow->nodes[i].kind == FLOW_MODEL;
        if (t->flow->nodes[i].kind == FLOW_VERIFY)
            return true;
    }
    return models > 1;
}

/* A verifier leaves nothing unmarked that a tool refutes. */
static bool verified(const struct trace *t)
{
    for (size_t i = 0; i < t->node_count; i++)
        if (t->nodes[i].as->kind == FLOW_VERIFY && t->nodes[i].state == NODE_DONE)
            return true;
    return false;
}

/* Title and description of each source's tool; the caller frees each. */
static void abouts(const struct trace *t, const struct gw_source *sources, size_t n,
                   char *about[ORCH_SOURCES])
{
    struct conn_tool *tools = xcalloc(KNOWN_TOOLS, sizeof *tools);
    size_t count = orch__tools(t, tools, KNOWN_TOOLS);
    for (size_t i = 0; i < n; i++) {
        const char *slash = strchr(sources[i].ref, '/');
        about[i] = NULL;
        for (size_t k = 0; k < count && slash && !about[i]; k++) {
            size_t len = (size_t)(slash - sources[i].ref);
            if (strlen(tools[k].connector) == len &&
                strncmp(tools[k].connector, sources[i].ref, len) == 0 &&
                strcmp(tools[k].name, slash + 1) == 0)
                about[i] = xasprintf("%s %s", tools[k].title ? tools[k].title : "",
                                     tools[k].description ? tools[k].description : "");
        }
    }
    free(tools);
}

void orch__ground(const struct trace *t, const char *text, enum orch_unsupported unsupported,
                  const json_t *claims, struct orch_grounding *out)
{
    struct gw_source sources[ORCH_SOURCES];
    char *about[ORCH_SOURCES];
    size_t n = orch__given_sources(t, sources);
    abouts(t, sources, n, about);
    const struct orch_ground_how how = {.russian = strcmp(t->lang, "ru") == 0,
                                        .unsupported = unsupported,
                                        .conflicts = tells_conflicts(t),
                                        .about = (const char *const *)about,
                                        .claims = claims};
    orch_ground(t->orch->limits.claims, text, sources, n, &how, out);
    for (size_t i = 0; i < n; i++)
        free(about[i]);
}

char *orch__grounded(struct trace *t, const char *text, json_t **figures)
{
    static const char *const KEYS[] = {"assessed",    "supported", "contradicted",
                                       "unsupported", "removed",   "disputed"};
    struct orch_grounding g;
    enum orch_unsupported how = t->orch->unsupported;
    if (how == ORCH_NOTE && verified(t))
        how = ORCH_FLAG;
    orch__ground(t, text, how, t->verdict.claims, &g);
    char *answer = xstrdup(g.text ? g.text : text);
    *figures = json_object();
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        json_put(*figures, KEYS[i], json_incref(json_object_get(g.doc, KEYS[i])));
    json_put(t->doc, "grounding", json_incref(g.doc));
    orch_grounding_release(&g);
    return answer;
}
