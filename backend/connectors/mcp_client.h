/* What MCP servers offer besides tools (resources, prompts, completion), and what they ask of the
 * person and of the models in front of them (elicitation, sampling). The second half leaves this
 * room by the callbacks of conn_host and comes back by conn_question_answer and conn_sample_answer.
 *
 * Invariants
 * Q1 Every conn_ask that returned an ask ends in exactly one `done`, at the latest at its time
 * limit. Q2 A question has one answer: a person's, or cancel at its time limit or when its server
 * is gone. Q3 A URL that a server names is shown whole and never fetched here. Q4 No model is asked
 * for a server unless sampling is switched on for its connector. */
#ifndef CONNECTORS_MCP_CLIENT_H
#define CONNECTORS_MCP_CLIENT_H

#include "backend/connectors/connectors.h"

struct conn_ask;
struct conn_sample;

/* Of conn_setup; arg is conn_setup.arg. Any may be NULL; called on the loop. */
struct conn_host {
    /* A question is asked of a person, or is over: a row of conn_questions with state (asked,
     * accept, decline, cancel, complete). */
    void (*question)(void *arg, const json_t *row);
    /* A server wants a model's answer (CreateMessageRequestParams); later one conn_sample_answer.
     */
    void (*sample)(void *arg, const char *connector, const json_t *params, struct conn_sample *s);
    void (*log)(void *arg, const char *connector, const char *level, const char *text);
    /* total < 0: not known. At most ten a second for one call. */
    void (*progress)(void *arg, const char *connector, const char *tool, double progress,
                     double total, const char *message);
    void (*resource)(void *arg, const char *connector, const char *uri); /* it changed */
};

/* {resources: [{uri, name, title, description, mime_type, size}], templates: [{uri_template, ...}],
 * prompts: [{name, title, description, arguments: [{name, description, required}]}], subscribed:
 * [uri], errors: {resources?, templates?, prompts?}}: as listed last. Foreign texts, cut. Caller
 * owns; NULL with *e: NOT_FOUND, UNSUPPORTED (no MCP server). */
json_t *conn_offers(struct conn_registry *r, const char *connector, struct error *e);

typedef void conn_asked(void *arg, const json_t *result,
                        const struct error *e); /* result borrowed */
/* Asks a server: resources/read {uri}, resources/subscribe {uri}, resources/unsubscribe {uri},
 * prompts/get {name, arguments}, completion/complete {ref, argument, context}; params borrowed.
 * NULL with *e: NOT_FOUND, CLOSED, UNSUPPORTED (it has no such thing). */
struct conn_ask *conn_ask(struct conn_registry *r, const char *connector, const char *method,
                          const json_t *params, uint64_t limit_ms, conn_asked *done, void *arg,
                          struct error *e);

/* [{id, connector, kind: form|url|sampling, message, schema?, url?, host?, at, expires_at}], oldest
 * first. Caller owns. */
json_t *conn_questions(struct conn_registry *r);
/* action: accept, decline, cancel. content: of a form; members left out get the schema's defaults.
 * NOT_FOUND, INVALID (content does not fit the schema, with the member). */
enum err conn_question_answer(struct conn_registry *r, const char *id, const char *action,
                              const json_t *content, struct error *e);
/* Ends a sample: result (CreateMessageResult) is taken, or NULL and why. */
void conn_sample_answer(struct conn_sample *s, json_t *result, const char *why);

#endif
