/* Deep copies of requests. */
#include "backend/gateway/internal.h"
#include <stdlib.h>

enum { CONNECT_MS = 3000, FIRST_TOKEN_MS = 15000, SILENCE_MS = 10000, TOTAL_MS = 60000 };

void gw__request_copy(struct gw_request *to, const struct gw_request *from)
{
    *to = *from;
    to->question = xstrdup(from->question ? from->question : "");
    to->lang = xstrdup(from->lang ? from->lang : "en");
    to->mine = xstrdup_or_null(from->mine);
    to->other = xstrdup_or_null(from->other);
    to->looked_at = xstrdup_or_null(from->looked_at);
    to->traceparent = xstrdup_or_null(from->traceparent);
    to->session = xstrdup_or_null(from->session);
    to->project = xstrdup_or_null(from->project);
    to->trace_id = xstrdup_or_null(from->trace_id);
    to->regions = xstrdup_or_null(from->regions);
    to->tools = json_incref((json_t *)from->tools);
    to->tool_choice = xstrdup_or_null(from->tool_choice);
    to->json_schema = json_incref((json_t *)from->json_schema);
    struct gw_message *messages = xcalloc(from->message_count + 1, sizeof *messages);
    for (size_t i = 0; i < from->message_count; i++) {
        messages[i].role = xstrdup(from->messages[i].role);
        messages[i].content = xstrdup(from->messages[i].content);
        messages[i].tool_calls = json_incref((json_t *)from->messages[i].tool_calls);
        messages[i].tool_call_id = xstrdup_or_null(from->messages[i].tool_call_id);
    }
    to->messages = messages;
    struct gw_source *sources = xcalloc(from->source_count + 1, sizeof *sources);
    for (size_t i = 0; i < from->source_count; i++) {
        const struct gw_source *s = &from->sources[i];
        sources[i] = (struct gw_source){.id = xstrdup(s->id),
                                        .kind = xstrdup(s->kind),
                                        .ref = xstrdup(s->ref ? s->ref : ""),
                                        .text = xstrdup(s->text ? s->text : ""),
                                        .data = s->data ? json_incref((json_t *)s->data) : NULL,
                                        .fit = s->fit};
    }
    to->sources = sources;
    to->connect_ms = from->connect_ms ? from->connect_ms : CONNECT_MS;
    to->first_token_ms = from->first_token_ms ? from->first_token_ms : FIRST_TOKEN_MS;
    to->silence_ms = from->silence_ms ? from->silence_ms : SILENCE_MS;
    to->total_ms = from->total_ms ? from->total_ms : TOTAL_MS;
}

void gw__request_release(struct gw_request *r)
{
    for (size_t i = 0; i < r->message_count; i++) {
        free((char *)r->messages[i].role);
        free((char *)r->messages[i].content);
        json_decref((json_t *)r->messages[i].tool_calls);
        free((char *)r->messages[i].tool_call_id);
    }
    for (size_t i = 0; i < r->source_count; i++) {
        free((char *)r->sources[i].id);
        free((char *)r->sources[i].kind);
        free((char *)r->sources[i].ref);
        free((char *)r->sources[i].text);
        json_decref((json_t *)r->sources[i].data);
    }
    free((struct gw_message *)r->messages);
    free((struct gw_source *)r->sources);
    free((char *)r->question);
    free((char *)r->lang);
    free((char *)r->mine);
    free((char *)r->other);
    free((char *)r->looked_at);
    free((char *)r->traceparent);
    free((char *)r->session);
    free((char *)r->project);
    free((char *)r->trace_id);
    free((char *)r->regions);
    json_decref((json_t *)r->tools);
    free((char *)r->tool_choice);
    json_decref((json_t *)r->json_schema);
    *r = (struct gw_request){0};
}
