/* Deep copies of requests. */
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 3000, FIRST_TOKEN_MS = 15000, SILENCE_MS = 10000, TOTAL_MS = 60000 };

static struct gw_message *copy_messages(const struct gw_message *from, size_t count)
{
    struct gw_message *messages = xcalloc(count + 1, sizeof *messages);
    for (size_t i = 0; i < count; i++) {
        messages[i].role = xstrdup(from[i].role);
        messages[i].content = xstrdup(from[i].content);
        messages[i].tool_calls = json_incref((json_t *)from[i].tool_calls);
        messages[i].thinking = json_incref((json_t *)from[i].thinking);
        messages[i].tool_call_id = xstrdup_or_null(from[i].tool_call_id);
    }
    return messages;
}

static void free_messages(const struct gw_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free((char *)messages[i].role);
        free((char *)messages[i].content);
        json_decref((json_t *)messages[i].tool_calls);
        json_decref((json_t *)messages[i].thinking);
        free((char *)messages[i].tool_call_id);
    }
    free((struct gw_message *)messages);
}

static struct gw_refit *copy_refits(const struct gw_request *from)
{
    struct gw_refit *refits = xcalloc(from->refit_count + 1, sizeof *refits);
    for (size_t i = 0; i < from->refit_count; i++) {
        const struct gw_refit *one = &from->refits[i];
        refits[i] = (struct gw_refit){.model = xstrdup(one->model),
                                      .messages = copy_messages(one->messages, one->message_count),
                                      .message_count = one->message_count};
    }
    return refits;
}

struct gw_request gw__request_for(const struct gw_request *r, const struct gw__model *m)
{
    struct gw_request own = *r;
    for (size_t i = 0; i < r->refit_count; i++) {
        if (strcmp(r->refits[i].model, m->pub.name) != 0)
            continue;
        own.messages = r->refits[i].messages;
        own.message_count = r->refits[i].message_count;
    }
    return own;
}

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
    to->messages = copy_messages(from->messages, from->message_count);
    to->refits = copy_refits(from);
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
    free_messages(r->messages, r->message_count);
    for (size_t i = 0; i < r->refit_count; i++) {
        free_messages(r->refits[i].messages, r->refits[i].message_count);
        free((char *)r->refits[i].model);
    }
    free((struct gw_refit *)r->refits);
    for (size_t i = 0; i < r->source_count; i++) {
        free((char *)r->sources[i].id);
        free((char *)r->sources[i].kind);
        free((char *)r->sources[i].ref);
        free((char *)r->sources[i].text);
        json_decref((json_t *)r->sources[i].data);
    }
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
