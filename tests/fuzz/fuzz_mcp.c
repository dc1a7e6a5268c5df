/* The MCP client against a hostile server: a stream of bytes becomes lines and messages, in between
 * tools are called, things asked, questions answered, runs ended. Each line that begins with one of
 * the letters below does that; all others are the server's. What is checked is what sanitizers
 * find, and that every call and every ask ends once. */
#include "backend/connectors/mcp_core.h"
#include "backend/connectors/mcp_frame.h"
#include "backend/connectors/registry_types.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct conf *conf;
static long begun, ended;
static bool refuse; /* the wire takes nothing */
static struct loop_timer *tick;

static void *wire_make(struct mcp *m, struct conn *c, const struct conf *k, struct error *e)
{
    (void)c, (void)k, (void)e;
    return m;
}
static void wire_start(void *self)
{
    mcp__up(self);
}
static enum err wire_send(void *self, const struct mcp_outgoing *o)
{
    (void)self;
    free(json_write(o->message));
    return refuse ? ERR_CLOSED : ERR_OK;
}
static void wire_cancel(void *self, int64_t id)
{
    (void)self, (void)id;
}
static void wire_stop(void *self, bool orderly)
{
    (void)self, (void)orderly;
}
static void wire_free(void *self)
{
    (void)self;
}
static const struct mcp_wire_ops wire = {.closing_cancels = true,
                                         .make = wire_make,
                                         .start = wire_start,
                                         .send = wire_send,
                                         .cancel = wire_cancel,
                                         .stop = wire_stop,
                                         .free = wire_free};
static void *make(struct conn *c, const struct conf *k, struct error *e)
{
    return mcp__make(&wire, c, k, e);
}
static const struct conn_ops ops = {.kind = "fuzz", .make = make, MCP_CONN_OPS};

static void on_question(void *arg, const json_t *row)
{
    (void)arg;
    free(json_write(row));
}
static void on_sample(void *arg, const char *connector, const json_t *params, struct conn_sample *s)
{
    (void)arg, (void)connector;
    bool yes = json_int(params, "maxTokens", 0) > 10;
    conn_sample_answer(s, yes ? json_object() : NULL, "no");
}
static const struct conn_host host = {.question = on_question, .sample = on_sample};

static void on_done(void *arg, const struct conn_result *r)
{
    (void)arg;
    BUG_IF(!r->text);
    ended++;
}
static void on_asked(void *arg, const json_t *result, const struct error *e)
{
    (void)arg;
    BUG_IF(!result && e->code == ERR_OK);
    ended++;
}

static void turn(void *arg)
{
    loop_quit(arg);
}

static void act(struct conn_registry *r, struct conn *c, char what)
{
    static const char *const actions[] = {"accept", "decline", "cancel"};
    struct error e = {0};
    json_t *list = NULL, *params = json_pack("{s:s, s:s}", "uri", "a", "name", "p");
    switch (what) {
    case 'c':
        begun += conn_call(r, "t", "a", NULL, NULL, on_done, NULL, &e) != NULL;
        break;
    case 'r':
    case 's':
        begun += conn_ask(r, "t", what == 'r' ? "resources/read" : "resources/subscribe", params, 0,
                          on_asked, NULL, &e) != NULL;
        break;
    case 'A':
    case 'D':
    case 'C':
        list = conn_questions(r);
        conn_question_answer(r, json_str(json_array_get(list, 0), "id", ""),
                             actions[what == 'A'   ? 0
                                     : what == 'D' ? 1
                                                   : 2],
                             NULL, &e);
        break;
    case 'L':
        mcp__session_lost(c->self, "lost");
        break;
    case 'X':
        mcp__down(c->self, ERR_CLOSED, "down");
        break;
    case 'R':
        conn_restart(r, "t", &e);
        break;
    case 'F':
        refuse = !refuse;
        break;
    default:
        loop_timer_start(tick, 0, 0);
        loop_run(c->registry->loop);
    }
    json_decref(list);
    json_decref(params);
}

static bool on_message(void *arg, const json_t *message)
{
    const struct conn *c = arg;
    return mcp__message(c->self, message);
}
static bool on_noise(void *arg, const char *line, size_t len)
{
    const struct conn *c = arg;
    return mcp__noise(c->self, line, len);
}

static void run(struct conn_registry *r, struct conn *c, const char *text, size_t size)
{
    static const struct mcp_frame_ops frames = {.message = on_message, .noise = on_noise};
    struct mcp_frame frame = {.max = 65536};
    while (size) {
        const char *end = memchr(text, '\n', size);
        size_t len = end ? (size_t)(end - text) + 1 : size;
        if (len == 2 && strchr("crsADCLXRFt", *text))
            act(r, c, *text);
        else if (mcp__frame_feed(&frame, text, len, &frames, c) != ERR_OK)
            break;
        text += len;
        size -= len;
    }
    buf_release(&frame.held);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    if (!conf) {
        char path[] = "/tmp/mcpc-fuzz-XXXXXX";
        int fd = mkstemp(path);
        dprintf(
            fd,
            "[connector \"t\"]\nkind = mcp-stdio\ncommand = true\nread_tools = *\nsampling = ask\n"
            "roots = /a\nprotocol = auto\n");
        close(fd);
        conf = conf_load(path, &e);
        unlink(path);
        BUG_IF(!conf);
    }
    struct loop *l = loop_new();
    struct conn_setup setup = {.loop = l, .conf = conf, .host = &host};
    struct conn_registry *r = conn_new(&setup, &e);
    BUG_IF(!r);
    struct conn *c = conn__find(r, "t");
    c->ops->free(c->self);
    c->ops = &ops;
    c->self = c->ops->make(c, conf, &e);
    tick = loop_timer_new(l, turn, l);
    begun = ended = 0;
    refuse = false;
    c->running = true;
    c->ops->start(c->self);
    run(r, c, (const char *)data, size);
    conn_close(r);
    conn_free(r);
    BUG_IF(begun != ended);
    loop_timer_free(tick);
    loop_free(l);
    return 0;
}
