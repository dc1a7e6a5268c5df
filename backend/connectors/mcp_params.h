/* Private to the MCP client: arguments of a tool that its schema wants in headers of the HTTP
 * request too (revision 2026-07-28: `x-mcp-header` at a property, header Mcp-Param-NAME). Pure. */
#ifndef CONNECTORS_MCP_PARAMS_H
#define CONNECTORS_MCP_PARAMS_H

#include "backend/base/json.h"

enum { MCP_PARAMS_MAX = 32, MCP_PARAM_VALUE_MAX = 8192 };

/* True if every x-mcp-header of a tool's input schema can be obeyed: a token of RFC 9110, at a
 * property of type string, integer or boolean, no two alike but for their case, at most
 * MCP_PARAMS_MAX. A tool whose schema fails is not to be used on HTTP. A NULL schema is fine. */
bool mcp__params_fine(const json_t *schema);
/* The headers "Mcp-Param-NAME: value" of these arguments, each malloc'ed; returns how many (at most
 * MCP_PARAMS_MAX). An argument that is missing, null or longer than MCP_PARAM_VALUE_MAX has none.
 */
size_t mcp__params_headers(const json_t *schema, const json_t *arguments,
                           char *out[MCP_PARAMS_MAX]);
/* "NAME: VALUE" with the value as it is if a header can carry it, else as =?base64?...?= of its
 * UTF-8 bytes. malloc'ed. */
char *mcp__header(const char *name, const char *value);

#endif
