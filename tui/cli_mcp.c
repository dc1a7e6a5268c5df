/* `mcp-console mcp`: the console as an MCP server. Standard output belongs to messages alone. */
#include "tui/cli_internal.h"
#include <string.h>

bool cli_wants_mcp(const struct cli *c)
{
    return c->command->run == cli__mcp;
}

int cli__mcp(struct cli *c, struct busc *bus)
{
    (void)c;
    (void)bus;
    BUG("mcp is run by cli_mcp_run");
}

bool cli_mcp_listens(const struct conf *conf)
{
    return *conf_str(conf, "mcp_server", "", "listen") &&
           strcmp(conf_where(conf, "mcp_server", "", "listen"), "default") != 0;
}

enum err cli_mcp_options(const struct cli *c, const struct conf *conf, struct server_options *o,
                         struct error *e)
{
    bool open = strcmp(conf_str(conf, "mcp_server", "", "auth"), "none") == 0;
    if (c && c->listen)
        o->listen = c->listen;
    else if (!c || c->http)
        o->listen = conf_str(conf, "mcp_server", "", "listen");
    o->remote = (c && c->remote) || conf_flag(conf, "mcp_server", "", "remote");
    o->origins = conf_str(conf, "mcp_server", "", "origins");
    o->hosts = conf_str(conf, "mcp_server", "", "hosts");
    o->write = conf_flag(conf, "mcp_server", "", "write");
    o->rate = conf_int(conf, "mcp_server", "", "rate");
    if (o->listen && open && o->remote)
        return err_set(e, ERR_CONFIG, "[mcp_server] auth = none is for the loopback only");
    if (o->listen && !open && !*conf_str(conf, "mcp_server", "", "token"))
        return err_set(e, ERR_CONFIG,
                       "[mcp_server] token is to name the token that agents show, for example "
                       "env:MCP_CONSOLE_TOKEN");
    return ERR_OK;
}

const char *cli_mcp_token(const struct conf *conf)
{
    bool open = strcmp(conf_str(conf, "mcp_server", "", "auth"), "none") == 0;
    return open ? NULL : conf_str(conf, "mcp_server", "", "token");
}

int cli_mcp_run(struct busc *bus, struct server_options *o)
{
    struct error e = {0};
    struct server *s = server_new(o, bus, &e);
    if (!s)
        return cli_error(&e);
    if (server_address(s))
        fprintf(stderr, "mcp-console: serving MCP at http://%s/mcp\n", server_address(s));
    enum err code = server_run(s, &e);
    server_free(s);
    return code == ERR_OK ? EXIT_DONE : cli_error(&e);
}
