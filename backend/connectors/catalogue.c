/* A catalogue of connectors: an index of MCP servers, from a file or from an address that speaks
 * the MCP registry's API (GET /v0/servers; entries are server.json documents). It proposes a
 * configuration as text; it installs and runs nothing. What goes into a proposal has harmless
 * characters only. */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, PAGES = 5, TOLD = 20, VARIABLES_MAX = 20 };

/* Older entries stand by themselves, newer ones in "server". */
static const json_t *server_of(const json_t *entry)
{
    const json_t *inner = json_object_get(entry, "server");
    return json_is_object(inner) ? inner : entry;
}

static enum err next_servers(const struct rest_view *v, const struct rest_tool *t,
                             const json_t *arguments, const json_t *answers, struct rest_ask *ask,
                             bool *more, struct error *e)
{
    (void)v;
    (void)e;
    size_t n = json_array_size(answers);
    const json_t *metadata = json_object_get(json_array_get(answers, n ? n - 1 : 0), "metadata");
    const char *cursor = json_str(metadata, "nextCursor", json_str(metadata, "next_cursor", ""));
    *more = n == 0 || (*cursor && n < PAGES);
    if (!*more)
        return ERR_OK;
    char limit[16];
    snprintf(limit, sizeof limit, "%d", PAGE);
    buf_adds(&ask->path, "/v0/servers");
    rest__query(&ask->path, "limit", limit);
    const char *wanted = json_str(arguments, t->own, "");
    if (*wanted)
        rest__query(&ask->path, "search", wanted);
    if (n)
        rest__query(&ask->path, "cursor", cursor);
    return ERR_OK;
}

static bool has_text(const json_t *server, const char *text)
{
    return !*text || strcasestr(json_str(server, "name", ""), text) ||
           strcasestr(json_str(server, "title", ""), text) ||
           strcasestr(json_str(server, "description", ""), text);
}

/* "npm package", "remote" and so on. */
static void ways_of(const json_t *server, struct buf *out)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(server, "packages"), i, row)
    {
        const json_t *type = json_object_get(row, "registryType");
        char *words = rest__name(type ? type : json_object_get(row, "registry_type"));
        if (i < 4)
            buf_addf(out, "%s%s package", out->len ? ", " : "", words);
        free(words);
    }
    if (json_array_size(json_object_get(server, "remotes")))
        buf_addf(out, "%sremote", out->len ? ", " : "");
}

static json_t *entry_doc(const json_t *server, const char *ways)
{
    json_t *doc = json_object();
    static const char *const keys[] = {"name", "title", "description", "version"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_puts(doc, keys[i], json_str(server, keys[i], ""));
    json_puts(doc, "repository", json_str(json_object_get(server, "repository"), "url", ""));
    json_puts(doc, "ways", ways);
    return doc;
}

static void shape_search(const struct rest_view *v, const struct rest_tool *t,
                         const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    const char *text = json_str(arguments, "text", "");
    json_t *docs = json_array(), *page, *entry;
    size_t i, j, n = 0;
    json_put(out->data, "servers", docs);
    json_array_foreach((json_t *)answers, i, page)
    {
        const json_t *list = json_is_array(page) ? page : json_object_get(page, "servers");
        if (!json_is_array(list)) {
            err_set(&out->error, ERR_PROTOCOL, "the index has no list of servers");
            return;
        }
        json_array_foreach((json_t *)list, j, entry)
        {
            const json_t *server = server_of(entry);
            if (!has_text(server, text) || n++ >= REST_MAX_ROWS)
                continue;
            struct buf ways = {0};
            ways_of(server, &ways);
            json_array_append_new(docs, entry_doc(server, ways.data ? ways.data : ""));
            char *name = rest__name(json_object_get(server, "name")),
                 *about = rest__reason(json_object_get(server, "description"));
            if (n <= TOLD)
                host__say(out, HOST_OK, "connectors", NAN, "",
                          xasprintf("%s (%s): %s", name, ways.data ? ways.data : "?", about),
                          xasprintf("%s (%s): %s", name, ways.data ? ways.data : "?", about));
            free(name);
            free(about);
            buf_release(&ways);
        }
    }
    host__say(out, HOST_OK, "connectors", (double)n, "",
              xasprintf("Connectors found in the catalogue: %zu.", n),
              xasprintf("Найдено коннекторов в каталоге: %zu.", n));
}

/* ---- the proposal */

/* Letters, digits and what names of packages, versions and addresses have; no quotes, no blanks. */
static bool is_plain(const char *text, size_t max)
{
    if (!*text || *text == '-' || strlen(text) > max)
        return false;
    for (const char *p = text; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("@/._:-+~", *p))
            return false;
    }
    return true;
}

static bool add_variables(const json_t *package, struct buf *conf)
{
    const json_t *list = json_object_get(package, "environmentVariables");
    json_t *row;
    size_t i;
    if (!list)
        list = json_object_get(package, "environment_variables");
    json_array_foreach((json_t *)list, i, row)
    {
        const char *name = json_str(row, "name", "");
        bool secret = json_flag(row, "isSecret", json_flag(row, "is_secret", false));
        if (!is_plain(name, 100) || strpbrk(name, "@/.:-+~") || i >= VARIABLES_MAX)
            return false;
        buf_addf(conf, "%s%s", i ? " " : "env = ", name);
        if (secret)
            buf_addf(conf, "=secret:%s", name);
    }
    if (i)
        buf_addc(conf, '\n');
    return true;
}

static bool propose_package(const json_t *package, struct buf *conf)
{
    const char *type = json_str(package, "registryType", json_str(package, "registry_type", ""));
    const char *id = json_str(package, "identifier", json_str(package, "name", ""));
    const char *version = json_str(package, "version", "");
    const char *transport = json_str(json_object_get(package, "transport"), "type", "stdio");
    bool fixed = is_plain(version, 64) && strcmp(version, "latest") != 0;
    if (!is_plain(id, 200) || strcmp(transport, "stdio") != 0)
        return false;
    if (strcmp(type, "npm") == 0 && fixed)
        buf_addf(conf, "kind = mcp-stdio\ncommand = npx -y %s@%s\n", id, version);
    else if (strcmp(type, "pypi") == 0 && fixed)
        buf_addf(conf, "kind = mcp-stdio\ncommand = uvx %s==%s\n", id, version);
    else if (strcmp(type, "oci") == 0)
        buf_addf(conf, "kind = mcp-stdio\ncommand = docker run -i --rm %s\n", id);
    else
        return false;
    return add_variables(package, conf);
}

static bool propose_remote(const json_t *remote, struct buf *conf)
{
    const char *type = json_str(remote, "type", json_str(remote, "transport_type", ""));
    const char *url = json_str(remote, "url", "");
    if (strcmp(type, "streamable-http") != 0 || !is_plain(url, 500) ||
        strncmp(url, "https://", 8) != 0)
        return false;
    buf_addf(conf, "kind = mcp-http\nurl = %s\n", url);
    return true;
}

/* The section for a server; "" if nothing of it can be written down safely. malloc'ed. */
static char *proposal(const json_t *server)
{
    const char *name = json_str(server, "name", ""), *slash = strrchr(name, '/');
    const char *last = slash && slash[1] ? slash + 1 : name;
    struct buf conf = {0}, whole = {0};
    size_t i;
    json_t *row;
    bool found = false;
    json_array_foreach(json_object_get(server, "packages"), i, row)
    {
        buf_clear(&conf);
        if ((found = propose_package(row, &conf)))
            break;
    }
    if (!found)
        json_array_foreach(json_object_get(server, "remotes"), i, row)
        {
            buf_clear(&conf);
            if ((found = propose_remote(row, &conf)))
                break;
        }
    if (found && is_plain(last, 60))
        buf_addf(&whole, "[connector \"%s\"]\n%slevel = read\npin = ask\n", last, conf.data);
    buf_release(&conf);
    return buf_take(&whole);
}

static const json_t *find_server(const json_t *answers, const char *name)
{
    json_t *page, *entry;
    size_t i, j;
    const json_t *found = NULL;
    json_array_foreach((json_t *)answers, i, page)
    {
        const json_t *list = json_is_array(page) ? page : json_object_get(page, "servers");
        json_array_foreach((json_t *)list, j, entry)
        {
            const json_t *server = server_of(entry);
            bool latest =
                json_flag(rest__at(entry, "/_meta/io.modelcontextprotocol.registry~1official"),
                          "isLatest", false);
            if (strcmp(json_str(server, "name", ""), name) == 0 && (!found || latest))
                found = server;
        }
    }
    return found;
}

static void shape_show(const struct rest_view *v, const struct rest_tool *t,
                       const json_t *arguments, const json_t *answers, struct host_out *out)
{
    (void)v;
    (void)t;
    char *name = rest__name(json_object_get(arguments, "name"));
    const json_t *server = find_server(answers, json_str(arguments, "name", ""));
    if (!server) {
        err_set(&out->error, ERR_NOT_FOUND, "the catalogue has no connector %s", name);
        free(name);
        return;
    }
    struct buf ways = {0};
    ways_of(server, &ways);
    char *about = rest__reason(json_object_get(server, "description")), *conf = proposal(server);
    json_t *doc = entry_doc(server, ways.data ? ways.data : "");
    json_put(doc, "proposal", *conf ? json_text(conf, strlen(conf)) : json_null());
    json_put(out->data, "server", doc);
    host__say(out, HOST_OK, "connectors", NAN, "",
              xasprintf("%s (%s): %s", name, ways.data ? ways.data : "?", about),
              xasprintf("%s (%s): %s", name, ways.data ? ways.data : "?", about));
    host__say(
        out, *conf ? HOST_OK : HOST_WARN, "connectors", NAN, "",
        *conf ? xasprintf("Nothing was installed. To use it, look at it, then add to "
                          "mcp-console.conf:\n%s",
                          conf)
              : xstrdup("No configuration can be proposed for it: it needs a fixed version and "
                        "plain names, or an https address."),
        *conf ? xasprintf("Ничего не установлено. Чтобы использовать, изучите его и добавьте в "
                          "mcp-console.conf:\n%s",
                          conf)
              : xstrdup("Предложить настройку нельзя: нужны точная версия и простые имена или "
                        "адрес https."));
    free(about);
    free(conf);
    free(name);
    buf_release(&ways);
}

static const struct rest_tool tools[] = {
    {"search", "Search the catalogue of connectors",
     "Search the catalogue or marketplace of connectors (MCP servers) that could be installed: "
     "which "
     "connectors are there for something?",
     "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"maxLength\":200}},"
     "\"additionalProperties\":false}",
     false, next_servers, shape_search, "text"},
    {"show", "Show a connector of the catalogue",
     "One connector of the catalogue by its name, with a proposed configuration; nothing is "
     "installed.",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1,"
     "\"maxLength\":"
     "300}},\"required\":[\"name\"],\"additionalProperties\":false}",
     false, next_servers, shape_show, "name"}};

const struct rest_kind rest__catalogue = {.tools = tools,
                                          .tool_count = sizeof tools / sizeof *tools,
                                          .check = "/v0/servers?limit=1",
                                          .file = true};

static void *make(struct conn *c, const struct conf *conf, struct error *e)
{
    return rest__make(c, conf, &rest__catalogue, NULL, NULL, e);
}

const struct conn_ops conn__catalogue_ops = REST_OPS("catalogue", make, "", "catalogue");
