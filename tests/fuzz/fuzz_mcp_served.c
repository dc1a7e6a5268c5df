/* What strangers send to the MCP server: headers, and messages up to where the bus would be asked.
 * A request gets one answer at most, and one that was read whole gets one or is under way (M1). */
#include "server/internal.h"
#include <stdlib.h>
#include <string.h>

static int answers;

static void count(struct peer *p, void *channel, json_t *message, bool last)
{
    char *text = json_write(message);
    (void)p, (void)channel;
    answers += last;
    BUG_IF(strcmp(json_str(message, "jsonrpc", ""), "2.0") != 0);
    BUG_IF(strchr(text, '\n') != NULL); /* a message is a line */
    free(text);
    json_decref(message);
}

static void fuzz_headers(const char *text)
{
    char *decoded = server__header_decode(text);
    if (decoded && strncmp(text, "=?base64?", 9) != 0)
        BUG_IF(strcmp(decoded, text) != 0);
    free(decoded);
    server__accepts(text, "application/json");
    if (server__host_good(text, "127.0.0.1:80", false, "console.example"))
        BUG_IF(strcasestr(text, "localhost") != text && strstr(text, "127.0.0.1") != text &&
               strstr(text, "[::1]") != text && strcasestr(text, "console.example") != text);
    if (server__origin_good(text, "localhost:80", "https://a.example"))
        BUG_IF(strcasecmp(text, "http://localhost:80") != 0 &&
               strcasecmp(text, "https://a.example") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct peer_ops ops = {count, NULL};
    static struct server s; /* its bus answers nothing: it leads nowhere */
    struct error e = {0};
    struct peer p = {0};
    char *text = xstrndup((const char *)data, size);
    fuzz_headers(text);
    free(text);
    json_t *message = json_read((const char *)data, size, SERVER_MESSAGE, SERVER_DEPTH, &e);
    if (!message)
        return 0;
    if (!s.prompts) {
        TAILQ_INIT(&s.calls);
        TAILQ_INIT(&s.peers);
        s.loop = loop_new();
        s.role = BUS_OPERATOR;
        s.changed = json_object();
        server__tools_load(&s);
        server__prompts_load(&s);
    }
    s.bus = busc_new("inproc://nobody", "fuzz", NULL, &e);
    BUG_IF(!s.bus);
    server__peer_init(&p, &s, &ops);
    p.revision = (enum revision)(size % 6);
    answers = 0;
    server__take(&p, NULL, message, size & 8);
    const json_t *id = json_object_get(message, "id");
    if (json_is_object(message) && json_is_integer(id) &&
        json_is_string(json_object_get(message, "method")) &&
        strcmp(json_str(message, "jsonrpc", ""), "2.0") == 0)
        BUG_IF(answers + p.calls != 1);
    BUG_IF(answers > 1);
    server__peer_end(&p);
    BUG_IF(answers > 1 || p.calls != 0);
    for (struct call *c; (c = TAILQ_FIRST(&s.calls));) {
        c->refs = 1;
        server__release(c);
    }
    busc_free(s.bus);
    json_decref(message);
    return 0;
}
