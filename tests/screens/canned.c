/* The real console over a bus that answers from a fixture: the same screens every time.
 *
 * usage: canned FIXTURE.json [THEME] [utf-8|ascii]
 * The fixture's members are results by method name; "connectors.get" and "traces.get" hold one
 * result a name or id. chat.stop breaks the event stream; from then on chat.history answers
 * "chat.history.again"; with a conversation "chat.history.one"; chat.conversations with a text
 * "chat.conversations.found". A time of zero or less counts from now. chat.ask streams the member
 * "answer". */
#include "backend/base/clock.h"
#include "backend/base/json.h"
#include "backend/base/loop.h"
#include "backend/base/text.h"
#include "backend/bus/bus.h"
#include "tests/screens/canned_log.h"
#include "tui/app.h"
#include "tui/screen.h"
#include <libintl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char ADDRESS[] = "inproc://canned";
static const char TRACE[] = "00000000000000000000000000000abc";

enum {
    FIXTURE_MAX = 1 << 20,
    TOKEN_BYTES = 16,
    TOKEN_MS = 20,
    VERIFY_STEPS = 4,
    VERIFY_MS = 60,
    FLOOD = 5000
};

struct canned {
    json_t *fixture;
    struct loop *loop;
    struct bus *bus;
    struct loop_timer *tokens, *verify;
    char *question;
    size_t said; /* bytes of the answer */
    int verified;
    bool missed; /* the event stream broke: chat.history answers "chat.history.again" */
};

/* Members named at or ..._at with a number up to zero become times of today. */
static void shift_times(json_t *value, int64_t now)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_array(value))
        json_array_foreach(value, i, member) shift_times(member, now);
    if (!json_is_object(value))
        return;
    json_object_foreach(value, key, member)
    {
        size_t n = strlen(key);
        bool time = !strcmp(key, "at") || (n > 3 && !strcmp(key + n - 3, "_at"));
        if (time && json_is_integer(member) && json_integer_value(member) <= 0)
            json_integer_set(member, now + json_integer_value(member));
        else
            shift_times(member, now);
    }
}

static json_t *fixture_load(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *data = xcalloc(1, FIXTURE_MAX + 1);
    size_t n = fread(data, 1, FIXTURE_MAX, f);
    fclose(f);
    struct error e = {0};
    json_t *fixture = json_read(data, n, FIXTURE_MAX, 32, &e);
    free(data);
    if (!fixture)
        fprintf(stderr, "canned: %s: %s\n", path, e.detail);
    else
        shift_times(fixture, clock_real_ms());
    return fixture;
}

static void answer(struct bus_call *call, void *arg)
{
    struct canned *c = arg;
    const json_t *params = bus_params(call);
    json_t *result = json_object_get(c->fixture, wire_row(bus_method(call))->name);
    if (c->missed && bus_method(call) == WIRE_chat_history)
        result = json_object_get(c->fixture, "chat.history.again");
    if (bus_method(call) == WIRE_chat_conversations && json_object_get(params, "text"))
        result = json_object_get(c->fixture, "chat.conversations.found");
    if (bus_method(call) == WIRE_chat_history && json_object_get(params, "conversation"))
        result = json_object_get(c->fixture, "chat.history.one");
    const char *key = json_str(params, "name", json_str(params, "trace_id", NULL));
    if (key && result)
        result = json_object_get(result, key);
    struct error e = {0};
    if (result) {
        bus_reply(call, json_incref(result));
    } else {
        err_set(&e, ERR_NOT_FOUND, "%s", key ? key : "the fixture has no such result");
        bus_fail(call, &e);
    }
}

static void turn_event(struct canned *c, const char *state, const char *text)
{
    json_t *turn = json_pack("{s:s,s:s,s:I,s:s,s:s,s:s}", "trace_id", TRACE, "conversation", TRACE,
                             "at", (json_int_t)clock_real_ms(), "question", c->question, "state",
                             state, "answer", text);
    bus_event(c->bus, "turn", turn);
    json_decref(turn);
}

static void next_token(void *arg)
{
    struct canned *c = arg;
    const char *text = json_str(c->fixture, "answer", "");
    size_t len = strlen(text), n = len - c->said < TOKEN_BYTES ? len - c->said : TOKEN_BYTES;
    while (n && c->said + n < len && ((unsigned char)text[c->said + n] & 0xc0) == 0x80)
        n++;
    if (!n) {
        loop_timer_stop(c->tokens);
        turn_event(c, "done", text);
        return;
    }
    json_t *token = json_pack("{s:s,s:s}", "trace_id", TRACE, "model", "builtin/lexical");
    json_put(token, "text", json_text(text + c->said, n));
    bus_event(c->bus, "token", token);
    json_decref(token);
    c->said += n;
}

static void on_ask(struct bus_call *call, void *arg)
{
    struct canned *c = arg;
    free(c->question);
    c->question = xstrdup(json_str(bus_params(call), "text", ""));
    c->said = 0;
    bus_reply(call,
              json_pack("{s:s,s:s,s:i}", "trace_id", TRACE, "conversation", TRACE, "entry", 1));
    turn_event(c, "running", "");
    loop_timer_start(c->tokens, TOKEN_MS, TOKEN_MS);
}

static void next_verify(void *arg)
{
    struct canned *c = arg;
    const json_t *report = json_object_get(c->fixture, "report");
    int64_t size = json_int(report, "size", 0);
    json_t *data;
    if (++c->verified < VERIFY_STEPS) {
        data = json_pack("{s:I,s:I}", "checked", (json_int_t)(size * c->verified / VERIFY_STEPS),
                         "size", (json_int_t)size);
    } else {
        loop_timer_stop(c->verify);
        data = json_pack("{s:O}", "report", report);
    }
    bus_event(c->bus, "verify", data);
    json_decref(data);
}

static void on_verify(struct bus_call *call, void *arg)
{
    struct canned *c = arg;
    c->verified = 0;
    loop_timer_start(c->verify, VERIFY_MS, VERIFY_MS);
    bus_reply(call, json_pack("{s:b}", "started", 1));
}

/* More events than the bus keeps: the client has to ask for all anew. */
static void on_stop(struct bus_call *call, void *arg)
{
    struct canned *c = arg;
    json_t *nothing = json_object();
    c->missed = true;
    for (int i = 0; i < FLOOD; i++)
        bus_event(c->bus, "noise", nothing);
    json_decref(nothing);
    bus_reply(call, json_pack("{s:i}", "stopped", 1));
}

static void on_done(struct bus_call *call, void *arg)
{
    (void)arg;
    bus_reply(call, json_object());
}

/* The entries that a control of the fixture cites; NULL: no control is asked for. */
static const json_t *cited(const struct canned *c, const json_t *params)
{
    const char *control = json_str(params, "control", NULL);
    const json_t *controls = json_object_get(json_object_get(c->fixture, "score.get"), "controls");
    for (size_t i = 0; control && i < json_array_size(controls); i++)
        if (!strcmp(json_str(json_array_get(controls, i), "id", ""), control))
            return json_object_get(json_array_get(controls, i), "evidence");
    return NULL;
}

static void on_log(struct bus_call *call, void *arg)
{
    const json_t *params = bus_params(call);
    int64_t seq = json_int(params, "seq", json_int(params, "id", -1));
    enum wire_method m = bus_method(call);
    const struct canned *c = arg;
    struct error e = {0};
    if (json_object_get(c->fixture, wire_row(m)->name)) {
        answer(call, arg);
    } else if (m == WIRE_evidence_list || m == WIRE_evidence_search) {
        bus_reply(call, log_list(params, cited(c, params), m == WIRE_evidence_search));
    } else if (seq < 0 || seq >= LOG_SIZE) {
        err_set(&e, ERR_NOT_FOUND, "there is no entry %lld", (long long)seq);
        bus_fail(call, &e);
    } else {
        bus_reply(call, m == WIRE_evidence_get     ? log_entry(seq)
                        : m == WIRE_evidence_proof ? log_proof(seq)
                                                   : log_lineage(seq));
    }
}

static void *serve(void *arg)
{
    loop_run(((struct canned *)arg)->loop);
    return NULL;
}

static enum err not_fatal(void *arg, struct error *e)
{
    (void)arg;
    (void)e;
    return ERR_OK;
}

static int run(const char *theme_name, const char *charset)
{
    struct tui__screen_options screen = {.mouse = true, .charset = CHARSET_UTF8};
    if (!strcmp(charset, "ascii"))
        screen.charset = CHARSET_ASCII;
    struct tui__theme theme;
    struct error e = {0};
    if (tui__theme_load(theme_name, &theme, &e) || tui__screen_start(&screen, &e)) {
        fprintf(stderr, "canned: %s\n", e.detail);
        return 1;
    }
    struct tui__app_options options = {&theme, true, NULL};
    struct tui__app *app = tui__app_new(&options);
    struct busc *bus = busc_new(ADDRESS, "canned", NULL, &e);
    if (bus)
        tui__app_run(app, bus, not_fatal, NULL, &e);
    tui__app_free(app);
    tui__screen_stop();
    return e.code != ERR_OK;
}

/* The build's catalogues: build/VARIANT/locale, of build/VARIANT/tests/screens/canned. */
static void catalogues_bind(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    path[n > 0 ? n : 0] = 0;
    for (int i = 0; i < 3 && strrchr(path, '/'); i++)
        *strrchr(path, '/') = 0;
    char *dir = xasprintf("%s/locale", path);
    bindtextdomain("mcp-console", dir);
    free(dir);
}

int main(int argc, char **argv)
{
    static bus_handler *handlers[WIRE_COUNT];
    static const enum wire_method canned[] = {
        WIRE_status_get,       WIRE_chat_history,       WIRE_traces_list,        WIRE_traces_get,
        WIRE_connectors_list,  WIRE_cost_summary,       WIRE_cost_ledger,        WIRE_score_get,
        WIRE_connectors_get,   WIRE_connectors_settled, WIRE_plans_list,         WIRE_plans_get,
        WIRE_prompts_complete, WIRE_chat_models,        WIRE_chat_conversations, WIRE_chat_fork,
        WIRE_chat_export,      WIRE_cost_budgets,       WIRE_eval_list,          WIRE_eval_show,
        WIRE_chat_rate};
    static const enum wire_method of_log[] = {WIRE_evidence_list, WIRE_evidence_search,
                                              WIRE_evidence_get, WIRE_evidence_proof,
                                              WIRE_evidence_lineage};
    struct canned c = {0};
    struct error e = {0};
    tui__locale_start();
    catalogues_bind();
    if (argc < 2 || !(c.fixture = fixture_load(argv[1]))) {
        fputs("usage: canned FIXTURE.json [THEME] [utf-8|ascii]\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < sizeof(canned) / sizeof(canned[0]); i++)
        handlers[canned[i]] = answer;
    for (size_t i = 0; i < sizeof(of_log) / sizeof(of_log[0]); i++)
        handlers[of_log[i]] = on_log;
    handlers[WIRE_chat_ask] = on_ask;
    handlers[WIRE_evidence_verify] = on_verify;
    handlers[WIRE_chat_stop] = on_stop;
    handlers[WIRE_connectors_check] = handlers[WIRE_connectors_restart] = on_done;
    c.loop = loop_new();
    c.tokens = loop_timer_new(c.loop, next_token, &c);
    c.verify = loop_timer_new(c.loop, next_verify, &c);
    c.bus = bus_new(c.loop, ADDRESS, handlers, &c, BUS_OPERATOR, "canned", &e);
    if (!c.bus) {
        fprintf(stderr, "canned: %s\n", e.detail);
        return 1;
    }
    bus_ready(c.bus, NULL);
    pthread_t thread;
    BUG_IF(pthread_create(&thread, NULL, serve, &c));
    int status = run(argc > 2 ? argv[2] : "dark", argc > 3 ? argv[3] : "utf-8");
    loop_quit(c.loop);
    pthread_join(thread, NULL);
    bus_close(c.bus);
    bus_free(c.bus);
    loop_timer_free(c.tokens);
    loop_timer_free(c.verify);
    loop_free(c.loop);
    free(c.question);
    json_decref(c.fixture);
    return status;
}
