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

void orch__ground(const struct trace *t, const char *text, enum orch_unsupported how,
                  struct orch_grounding *out)
{
    struct gw_source sources[ORCH_SOURCES];
    size_t n = orch__given_sources(t, sources);
    orch_ground(t->orch->limits.claims, text, strcmp(t->lang, "ru") == 0, sources, n, how, out);
}

char *orch__grounded(struct trace *t, const char *text, json_t **figures)
{
    static const char *const KEYS[] = {"assessed", "supported", "contradicted", "unsupported",
                                       "removed"};
    struct orch_grounding g;
    orch__ground(t, text, t->orch->unsupported, &g);
    char *answer = xstrdup(g.text ? g.text : text);
    *figures = json_object();
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        json_put(*figures, KEYS[i], json_incref(json_object_get(g.doc, KEYS[i])));
    json_put(t->doc, "grounding", json_incref(g.doc));
    orch_grounding_release(&g);
    return answer;
}
