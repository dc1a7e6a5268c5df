/* Private to the MCP client's core: mcp.c (runs, requests, answers) and the files of its features.
 */
#ifndef CONNECTORS_MCP_CORE_H
#define CONNECTORS_MCP_CORE_H

#include "backend/connectors/mcp_wire.h"

enum { MCP_MAX_PAGES = 100, MCP_RESULT_TEXT_MAX = 1 << 20, MCP_REQUESTS_MAX = CONN_MAX_CALLS + 8 };

enum mcp_request_kind { REQUEST_INITIALIZE, REQUEST_TOOLS, REQUEST_PING, REQUEST_CALL };

struct mcp_request {
    int64_t id;
    enum mcp_request_kind kind;
    uint64_t sent_ns;
    struct conn_call *call; /* of REQUEST_CALL */
    struct mcp_request *next;
};

struct mcp {
    struct conn *conn;
    const struct mcp_wire_ops *wire;
    void *self; /* the wire's */
    char *read_tools;
    struct conn__tail noise;
    uint64_t noise_lines;
    struct mcp_request *requests;
    size_t request_count;
    int64_t next_id;
    uint64_t runs; /* counts starts and ends: a change inside a report ends it */
    bool open;     /* between mcp__up and the run's end */
    bool up, listing, list_again;
    uint64_t listing_since_ms;
    unsigned pages;
    struct loop_timer *changed; /* debounce of list_changed */
    char *version, *protocol;
};

#endif
