/* What the header of a request says: pure functions of foreign text. */
#include "backend/base/text.h"
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A word is in a list with spaces between. */
static bool is_listed(const char *word, size_t len, const char *list)
{
    while (list && *list) {
        list += strspn(list, " ");
        size_t n = strcspn(list, " ");
        if (n == len && n && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

/* Without the port. */
static size_t name_len(const char *host)
{
    if (*host == '[') {
        const char *close = strchr(host, ']');
        return close ? (size_t)(close - host) + 1 : 0;
    }
    return strcspn(host, ":");
}

bool server__host_good(const char *host, const char *address, bool remote, const char *allowed)
{
    size_t len = host ? name_len(host) : 0, own = strlen(address);
    const char *colon = strrchr(address, ':'), *port = host ? host + len : "";
    if (!len || (*port && (*port != ':' || strspn(port + 1, "0123456789") != strlen(port + 1))))
        return false;
    if (is_listed(host, len, allowed) || is_listed(host, len, "localhost 127.0.0.1 [::1]"))
        return true;
    if (colon)
        own = (size_t)(colon - address);
    /* every address of the machine: names are for `hosts` to say */
    return remote && own == len && strncasecmp(host, address, own) == 0;
}

bool server__origin_good(const char *origin, const char *host, const char *allowed)
{
    static const char http[] = "http://";
    return is_listed(origin, strlen(origin), allowed) ||
           (strncmp(origin, http, sizeof http - 1) == 0 &&
            strcasecmp(origin + sizeof http - 1, host) == 0);
}

/* A field of the header that a page may send: what the protocol has, and what tools ask for. */
static bool field_good(const char *name, size_t len)
{
    static const char mcp[] = "mcp-", own[] = "authorization content-type accept last-event-id";
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", name[i]))
            return false;
    return is_listed(name, len, own) ||
           (len > sizeof mcp - 1 && strncasecmp(name, mcp, sizeof mcp - 1) == 0);
}

char *server__origin_headers(const char *origin, bool preflight, const char *wanted)
{
    struct buf out = {0};
    buf_addf(&out, "Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n", origin);
    if (!preflight) {
        buf_adds(&out, "Access-Control-Expose-Headers: Mcp-Session-Id, WWW-Authenticate\r\n");
        return buf_take(&out);
    }
    buf_adds(&out, "Access-Control-Allow-Methods: GET, POST, DELETE\r\n"
                   "Access-Control-Max-Age: 600\r\nAccess-Control-Allow-Headers: Authorization");
    while (wanted && *wanted) {
        wanted += strspn(wanted, ", \t");
        size_t len = strcspn(wanted, ", \t");
        if (len && field_good(wanted, len))
            buf_addf(&out, ", %.*s", (int)len, wanted);
        wanted += len;
    }
    buf_adds(&out, "\r\n");
    return buf_take(&out);
}

bool server__accepts(const char *accept, const char *type)
{
    size_t want = strlen(type), group = strcspn(type, "/") + 1;
    while (accept && *accept) {
        accept += strspn(accept, ", \t");
        size_t n = strcspn(accept, ",; \t");
        if ((n == want && strncasecmp(accept, type, n) == 0) ||
            (n == 3 && memcmp(accept, "*/*", 3) == 0) ||
            (n == group + 1 && strncasecmp(accept, type, group) == 0 && accept[group] == '*'))
            return true;
        accept += strcspn(accept, ",");
    }
    return false;
}

char *server__header_decode(const char *value)
{
    static const char open[] = "=?base64?", close[] = "?=";
    size_t len = strlen(value), head = sizeof open - 1, tail = sizeof close - 1;
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c > '~')
            return NULL;
    if (len < head + tail || strncmp(value, open, head) != 0 ||
        strcmp(value + len - tail, close) != 0)
        return xstrdup(value);
    char *inner = xstrndup(value + head, len - head - tail);
    uint8_t *bytes = xcalloc(1, len + 1);
    int64_t n = text_unbase64(inner, bytes, len);
    free(inner);
    if (n < 0 || memchr(bytes, '\0', (size_t)n)) {
        free(bytes);
        return NULL;
    }
    bytes[n] = '\0';
    return (char *)bytes;
}

static bool same(const char *header, const json_t *value)
{
    char *text = header ? server__header_decode(header) : NULL;
    bool good = false;
    if (text && json_is_string(value))
        good = strcmp(text, json_string_value(value)) == 0;
    else if (text && json_is_integer(value))
        good = *text && strtod(text, NULL) == (double)json_integer_value(value);
    else if (text && json_is_boolean(value))
        good = strcmp(text, json_is_true(value) ? "true" : "false") == 0;
    free(text);
    return good;
}

/* Mcp-Param-*: of the tool's parameters that its schema marks. */
static bool params_match(struct httpd_request *r, const struct tool *t, const json_t *arguments,
                         char out[256])
{
    const char *key;
    json_t *property;
    json_object_foreach(
        json_object_get(json_object_get(t->definition, "inputSchema"), "properties"), key, property)
    {
        const char *name = json_str(property, "x-mcp-header", NULL);
        if (!name)
            continue;
        char field[128];
        const json_t *value = json_object_get(arguments, key);
        snprintf(field, sizeof field, "Mcp-Param-%s", name);
        const char *header = httpd_header(r, field);
        if (value && !json_is_null(value) ? !same(header, value) : header != NULL) {
            snprintf(out, 256, "%s does not say what the argument %s says", field, key);
            return false;
        }
    }
    return true;
}

bool server__headers_match(struct httpd_request *r, const struct server *s, const json_t *message,
                           char out[256])
{
    const json_t *params = json_object_get(message, "params"),
                 *method = json_object_get(message, "method");
    const char *name = json_is_string(method) ? json_string_value(method) : "",
               *version = json_str(json_object_get(params, "_meta"),
                                   "io.modelcontextprotocol/protocolVersion", NULL),
               *key = strcmp(name, "tools/call") == 0 || strcmp(name, "prompts/get") == 0 ? "name"
                      : strcmp(name, "resources/read") == 0                               ? "uri"
                                                                                          : NULL;
    const char *header = httpd_header(r, "MCP-Protocol-Version");
    if (!header || (version && strcmp(header, version) != 0)) {
        snprintf(out, 256, "MCP-Protocol-Version is missing, or does not say what _meta says");
        return false;
    }
    header = httpd_header(r, "Mcp-Method");
    if (!header || strcmp(header, name) != 0) {
        snprintf(out, 256, "Mcp-Method is missing, or does not say what the body says");
        return false;
    }
    if (key && !same(httpd_header(r, "Mcp-Name"), json_object_get(params, key))) {
        snprintf(out, 256, "Mcp-Name is missing, or does not say what the body says");
        return false;
    }
    const struct tool *t =
        strcmp(name, "tools/call") == 0 ? server__tool_find(s, json_str(params, "name", "")) : NULL;
    return !t || params_match(r, t, json_object_get(params, "arguments"), out);
}
