/* The console as an MCP server: its own tools, resources and prompts for other agents, on standard
 * input and output, or over Streamable HTTP. A client of the bus like the panes: nothing is
 * answered here that a method of wire.def does not give, and no method is called that acts unless
 * `write` allows it.
 *
 * Revisions 2024-11-05 to 2025-11-25 (initialize) and 2026-07-28 (each request for itself), of
 * https://modelcontextprotocol.io/specification. One loop, run by the caller's thread.
 *
 * M1 A request gets exactly one answer, none if it was cancelled, and nothing follows either.
 * M2 Without `write` every tool that is offered only reads; the role bounds them further.
 * M3 Over HTTP nothing is looked at, not even a body, before Host, Origin and token were found
 *    good.
 * M4 What a peer can make this keep is bounded: calls, sessions, streams, events, bytes. */
#ifndef SERVER_H
#define SERVER_H

#include "backend/bus/client.h"

/* The token that a peer gave is the right one. In time that does not depend on what is wrong. */
typedef bool server_token(void *arg, const char *given, size_t len);
struct server_options {
    const char *listen;  /* address and port of the HTTP listener; NULL or "": standard streams */
    bool remote;         /* the address may be one that other machines reach */
    const char *origins; /* web pages that may ask, as https://console.example.com, with spaces
                            between; those of the listener's own address may */
    const char *hosts;   /* names that Host may give besides the address itself */
    bool write;          /* tools that act are offered too */
    int64_t rate;        /* requests a second */
    server_token *token; /* NULL: whoever reaches the listener is let in; loopback only */
    void *token_arg;
};

struct server;
/* bus: the caller's, used by the server alone while it runs. NULL with *e: CONFIG, DENIED,
 * UNREACHABLE. */
struct server *server_new(const struct server_options *o, struct busc *bus, struct error *e);
/* Where it listens, with the real port; NULL on standard streams. */
const char *server_address(const struct server *s);
/* Until standard input ends, busc_interrupt, or an error of the backend. */
enum err server_run(struct server *s, struct error *e);
void server_free(struct server *s); /* NULL is fine */

#endif
