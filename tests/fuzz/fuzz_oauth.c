/* What servers and issuers say of themselves: challenges, addresses, metadata, arguments in
 * headers. What is accepted has the form that was promised. */
#include "backend/connectors/mcp_params.h"
#include "backend/connectors/oauth_text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void addresses(const char *text)
{
    static const char server[] = "https://mcp.example.com/a/b";
    char *origin = oauth__origin(text), *joined = oauth__url_join(server, text),
         *known = oauth__well_known(text, "x", true), *below = oauth__well_known_below(text, "x"),
         *value = oauth__query(text, "code");
    BUG_IF((origin != NULL) != oauth__url_fine(text));
    BUG_IF(origin && (!oauth__url_fine(origin) || !oauth__same_origin(origin, text)));
    BUG_IF(joined && !oauth__url_fine(joined));
    BUG_IF(known && !oauth__same_origin(known, text));
    BUG_IF(below && !oauth__same_origin(below, text));
    BUG_IF(oauth__url_trusted(text, server) && strncasecmp(text, "https://", 8) != 0);
    BUG_IF(oauth__covers(text, server) && !oauth__same_origin(text, server));
    free(origin);
    free(joined);
    free(known);
    free(below);
    free(value);
}

static void documents(const char *text, size_t len)
{
    static const char server[] = "https://mcp.example.com/a/b";
    struct oauth__server s;
    struct oauth__resource r;
    struct error e;
    char *headers[MCP_PARAMS_MAX];
    json_t *document = json_read(text, len, 65536, 16, &e);
    if (oauth__server_read(document, NULL, server, &s, &e) == ERR_OK)
        BUG_IF(strncasecmp(s.token, "https://", 8) != 0);
    if (oauth__resource_read(document, server, &r, &e) == ERR_OK)
        BUG_IF(!oauth__covers(r.resource, server) || !oauth__url_trusted(r.issuer, server));
    if (mcp__params_fine(document)) {
        size_t n = mcp__params_headers(document, document, headers);
        for (size_t i = 0; i < n; i++) {
            BUG_IF(strpbrk(headers[i], "\r\n") || strncmp(headers[i], "Mcp-Param-", 10) != 0);
            free(headers[i]);
        }
    }
    oauth__server_release(&s);
    oauth__resource_release(&r);
    json_decref(document);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oauth__challenge c;
    char *text = xstrndup((const char *)data, size);
    bool found = oauth__challenge_read(text, &c);
    BUG_IF(!found && (c.scope || c.resource_metadata || c.error || c.description));
    oauth__challenge_release(&c);
    addresses(text);
    documents((const char *)data, size);
    char *both = oauth__scope_join(text, "a b");
    BUG_IF(!oauth__scope_has(both, "a") || !oauth__scope_within(both, both));
    free(both);
    free(text);
    return 0;
}
