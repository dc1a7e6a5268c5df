/* What is told of a trace: its span and those of its stages, with OpenTelemetry's GenAI attributes,
 * and counts. The calls of models and tools have their own spans, in their rooms. */
#include "backend/base/clock.h"
#include "backend/orchestrator/internal.h"
#include <string.h>

static const char agent[] = "copilot";

void orch__told_begin(struct trace *t)
{
    struct tel *tel = t->orch->rooms.tel;
    struct tel_context parent = tel_current(tel);
    t->span = tel_span_begin(tel, &parent, TEL_INTERNAL, "invoke_agent %s", agent);
    const struct tel_context *own = tel_span_context(t->span);
    if (own && !parent.shared)
        memcpy(t->id, own->trace_id, sizeof t->id);
    else
        vault_id(t->id);
    tel_span_text(t->span, "gen_ai.operation.name", "invoke_agent");
    tel_span_text(t->span, "gen_ai.agent.name", agent);
    tel_span_text(t->span, "mcp_console.trace_id", t->id);
}

void orch__told_stage(struct trace *t, size_t stage, const char *name, const char *label)
{
    static const char *const operations[][2] = {{"plan", "plan"}, {"retrieve", "retrieval"}};
    const char *operation = NULL;
    if (stage >= ORCH_STAGES || strcmp(name, "tools") == 0) /* the call has a span of its own */
        return;
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (strcmp(name, operations[i][0]) == 0)
            operation = operations[i][1];
    struct tel_span *s = tel_span_begin(t->orch->rooms.tel, tel_span_context(t->span), TEL_INTERNAL,
                                        "%s %s", operation ? operation : name,
                                        operation && *operation == 'p' ? agent : label);
    tel_span_text(s, "gen_ai.operation.name", operation);
    if (operation && *operation == 'r')
        tel_span_text(s, "gen_ai.data_source.id", "runbooks");
    tel_span_text(s, "mcp_console.stage", name);
    tel_span_text(s, "mcp_console.stage.label", label);
    t->stage_spans[stage] = s;
}

void orch__told_stage_end(struct trace *t, size_t stage, const char *name, const char *state,
                          int64_t ms)
{
    tel_observe(t->orch->rooms.tel, TEL_copilot_stage, (double)(ms > 0 ? ms : 0) / 1000,
                TEL_LABELS(name));
    if (stage >= ORCH_STAGES || !t->stage_spans[stage])
        return;
    if (strcmp(state, "failed") == 0)
        tel_span_fail(t->stage_spans[stage], "_OTHER");
    tel_span_end(t->stage_spans[stage]);
    t->stage_spans[stage] = NULL;
}

void orch__told_end(struct trace *t)
{
    struct tel *tel = t->orch->rooms.tel;
    const char *state = json_str(t->doc, "state", "failed");
    if (!t->span)
        return;
    for (size_t i = 0; i < ORCH_STAGES; i++) { /* of what was cut off */
        tel_span_end(t->stage_spans[i]);
        t->stage_spans[i] = NULL;
    }
    bool done = strcmp(state, "done") == 0, stopped = strcmp(state, "stopped") == 0;
    bool blocked = strcmp(state, "blocked") == 0;
    const char *failed = done      ? ""
                         : stopped ? err_name(ERR_CANCELLED)
                         : blocked ? err_name(ERR_DENIED)
                                   : "_OTHER";
    tel_add(tel, TEL_copilot_questions, 1,
            TEL_LABELS(done || stopped || blocked ? state : "failed"));
    struct tel_context before = tel_enter(tel, tel_span_context(t->span)); /* for the exemplar */
    tel_observe(tel, TEL_gen_ai_agent, (double)(clock_mono_ms() - t->started_ms) / 1000,
                TEL_LABELS(agent, failed));
    tel_enter(tel, &before);
    tel_span_text(t->span, "gen_ai.conversation.id", t->conversation);
    tel_span_text(t->span, "mcp_console.route",
                  json_str(json_object_get(t->doc, "verdict"), "route", NULL));
    if (*failed)
        tel_span_fail(t->span, failed);
    tel_span_end(t->span);
    t->span = NULL;
}

bool orch__traceparent(const struct trace *t, size_t stage, char out[TEL_TRACEPARENT])
{
    const struct tel_span *s =
        stage < ORCH_STAGES && t->stage_spans[stage] ? t->stage_spans[stage] : t->span;
    if (!s)
        return false;
    tel_traceparent(tel_span_context(s), out);
    return true;
}
