/* Prints docs/protocol.md from the tables of the bus. */
#include "backend/base/errors.h"
#include "backend/bus/bus.h"
#include <stdio.h>
#include <string.h>

static const char intro[] =
    "<!-- Made from backend/bus/wire.def and backend/base/errors.def by `make docs`. -->\n"
    "# The protocol, version %d\n\n"
    "The backend answers JSON-RPC 2.0 requests over nng REQ/REP. One message is one request or "
    "one\n"
    "reply; batches and notifications are refused. The panes and the subcommands use nothing "
    "else.\n\n"
    "## Request\n\n"
    "```json\n"
    "{\"jsonrpc\": \"2.0\", \"id\": 7, \"method\": \"chat.ask\",\n"
    " \"params\": {\"text\": \"why is this machine slow?\",\n"
    "            \"_meta\": {\"session\": \"0123456789abcdef0123456789abcdef\",\n"
    "                      \"idempotency_key\": \"a1\"}}}\n"
    "```\n\n"
    "- `id`: a whole number or a text of at most 64 bytes; it comes back in the reply.\n"
    "- `params`: an object, or absent.\n"
    "- `_meta.session`: what `session.hello` answered; every method but `session.*` needs it.\n"
    "- `_meta.idempotency_key`: 1 to 128 bytes, required where a method changes something. The "
    "same\n"
    "  key in a session never acts twice: the first reply is answered again, also while the first\n"
    "  request still runs. A session remembers its last 1,024 keys, and at most 4 MiB of replies. "
    "A\n"
    "  key that comes again with another method or other parameters is refused.\n"
    "- `_meta.traceparent`: the trace that the request belongs to (W3C Trace Context); one that "
    "cannot be\n"
    "  read is passed over.\n"
    "- Requests that are under way at the same time may be handled in any order.\n"
    "- At most %d bytes and %d levels of nesting; a member that comes twice is refused.\n\n"
    "## Reply\n\n"
    "```json\n"
    "{\"jsonrpc\": \"2.0\", \"id\": 7, \"result\": {\"trace_id\": \"...\"}}\n"
    "{\"jsonrpc\": \"2.0\", \"id\": 7, \"error\": {\"code\": -32003, \"message\": \"this role may "
    "not do "
    "that\",\n"
    "  \"data\": {\"name\": \"DENIED\", \"detail\": \"...\", \"hint\": \"...\"}}}\n"
    "```\n\n"
    "`error.data` always has a `name` from the table below, a `detail` (what exactly, may be "
    "empty)\n"
    "and a `hint` (what to do, may be empty). Go by the name: codes may move between versions.\n\n";

static const char rest[] =
    "## Roles\n\n"
    "demo < reviewer < operator. A session has the role it asked for in `session.hello`, but "
    "never\n"
    "more than the backend was started with. Each method names the least role it needs.\n\n"
    "## Events\n\n"
    "`session.hello` answers a cursor. `events.next` answers the events behind a cursor, or waits "
    "for\n"
    "one; go on with the cursor it answers. The backend keeps the last %d events (and at most 8 "
    "MiB\n"
    "of them). A cursor that is older than those, or comes from an earlier run of the backend, "
    "gets\n"
    "`resync: true`, no events, and the cursor to go on from: ask for snapshots anew. Any number "
    "of\n"
    "clients may wait; with more than 1,024 requests under way the longest wait ends early, "
    "without\n"
    "events.\n\n"
    "## Starting and stopping\n\n"
    "Requests that come while the backend starts wait until it is ready, but for `session.*`. If\n"
    "starting fails, every request is answered with the reason. When it stops, every request that\n"
    "waits is answered with CLOSED.\n\n";

/* Text in a table's cell: the bar would end it. */
static void put_cell(const char *text)
{
    for (; *text; text++)
        printf(*text == '|' ? "\\|" : "%c", *text);
}

static void errors_table(void)
{
    puts("## Errors\n\n| code | name | text | hint |\n|---|---|---|---|");
    printf("| -32700 | INVALID | the request is not JSON | |\n"
           "| -32600 | INVALID, TOO_BIG | it is no JSON-RPC request, or larger than the limit | |\n"
           "| -32601 | UNSUPPORTED | there is no such method | |\n");
    for (enum err code = ERR_OK + 1; code < ERR_COUNT; code++) {
        printf("| %d | %s | ", code == ERR_INVALID ? -32602 : -32000 - (int)code, err_name(code));
        put_cell(err_text(code));
        printf(" | ");
        put_cell(err_hint(code));
        puts(" |");
    }
    puts("");
}

/* "a, b: {c, d}, e?" as a list: the commas inside brackets do not part members. */
static void put_members(const char *title, const char *members)
{
    printf("%s:", title);
    if (!*members) {
        puts(" none.\n");
        return;
    }
    puts("\n");
    int depth = 0;
    const char *start = members;
    for (const char *p = members;; p++) {
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        if (*p && (*p != ',' || depth))
            continue;
        while (*start == ' ')
            start++;
        printf("- `%.*s`\n", (int)(p - start), start);
        if (!*p)
            break;
        start = p + 1;
    }
    puts("");
}

static void method_section(enum wire_method m)
{
    const struct wire_row *row = wire_row(m);
    printf("### %s\n\n%s\n\n", row->name, row->help);
    if (row->role == BUS_NONE)
        printf("Needs no session.");
    else
        printf("Least role: %s.", bus_role_name(row->role));
    puts(row->mutates ? " Changes something: an idempotency key is required.\n" : "\n");
    put_members("Parameters", row->params);
    put_members("Result", row->result);
}

int main(void)
{
    printf(intro, BUS_PROTOCOL, BUS_MAX_REQUEST, BUS_MAX_DEPTH);
    errors_table();
    printf(rest, BUS_RING);
    puts("## Methods\n\n"
         "`?` marks a member that may be absent; after a colon stands its type, its values or its\n"
         "range. `trace` is what `traces.get` answers.\n");
    for (enum wire_method m = 0; m < WIRE_COUNT; m++)
        method_section(m);
    return fflush(stdout) ? 1 : 0;
}
