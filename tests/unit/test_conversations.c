/* Conversations over the bus, on a real state directory: who answers, asking once more, lists and
 * searches, forks, exports, and what is told of an answer's pace. */
#include "tests/unit/console_harness.h"
#include "tests/unit/mock_harness.h"
#include <locale.h>
#include <poll.h>

static struct mock_peer mock;

static int mock_up(void **state)
{
    (void)state;
    return mock_start(&mock, "--no-log") ? 0 : -1;
}

static int mock_down(void **state)
{
    (void)state;
    return mock_stop(&mock);
}

static json_t *ask_in(struct console *c, const char *conversation, const char *text)
{
    return ask_with(c, json_pack("{s:s,s:s*}", "text", text, "conversation", conversation));
}

static json_t *conversations(struct console *c, const char *text)
{
    return busc_wait(c->bus, WIRE_chat_conversations, json_pack("{s:s*}", "text", text), WAIT_MS,
                     NULL);
}

static json_t *history(struct console *c, const char *conversation)
{
    return busc_wait(c->bus, WIRE_chat_history, json_pack("{s:s}", "conversation", conversation),
                     WAIT_MS, NULL);
}

static const char *question_at(const json_t *turns, size_t i)
{
    return json_str(json_array_get(json_object_get(turns, "turns"), i), "question", "?");
}

static const char *row_str(const json_t *page, size_t i, const char *key)
{
    return json_str(json_array_get(json_object_get(page, "conversations"), i), key, "?");
}

static void who_answers_is_chosen_for_each_question(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *trace = ask_with(&c, json_pack("{s:s,s:[s]}", "text", "is the disk filling up?",
                                           "models", "builtin/vector"));
    assert_int_equal(json_array_size(json_object_get(trace, "candidates")), 1);
    assert_string_equal(json_str(json_object_get(trace, "verdict"), "winner", ""),
                        "builtin/vector");
    assert_string_equal(json_str(trace, "flow", ""), "arbitrate");
    json_decref(trace);
    trace =
        ask_with(&c, json_pack("{s:s,s:s}", "text", "is the disk filling up?", "flow", "single"));
    assert_int_equal(json_array_size(json_object_get(trace, "candidates")), 1);
    assert_string_equal(json_str(trace, "flow", ""), "single");
    /* what was logged before anything acted says the same */
    json_t *entry =
        busc_wait(c.bus, WIRE_evidence_get,
                  json_pack("{s:O,s:b}", "seq",
                            json_array_get(json_object_get(trace, "entries"), 0), "payload", 1),
                  WAIT_MS, NULL);
    const json_t *payload = json_object_get(entry, "payload");
    assert_string_equal(json_str(payload, "flow", ""), "single");
    assert_int_equal(json_array_size(json_object_get(payload, "models")), 1);
    json_decref(entry);
    json_decref(trace);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"flow\": \"none\"}", NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"models\": [\"none\"]}", NULL),
                     ERR_NOT_FOUND);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"models\": []}", NULL),
                     ERR_INVALID);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"models\": [1]}", NULL),
                     ERR_INVALID);
    json_t *models = call(&c, WIRE_chat_models, NULL);
    assert_int_equal(json_array_size(json_object_get(models, "models")), 2);
    assert_true(json_array_size(json_object_get(models, "flows")) >= 2);
    const json_t *first = json_array_get(json_object_get(models, "models"), 0);
    assert_true(json_flag(first, "usual", false));
    assert_string_equal(json_str(json_object_get(first, "state"), "breaker", ""), "closed");
    json_decref(models);
    console_stop(&c, false);
}

static void asking_once_more_says_so(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *trace = ask(&c, "is the disk filling up?");
    const char *id = json_str(trace, "trace_id", "");
    json_t *again =
        ask_with(&c, json_pack("{s:s,s:s}", "text", "is the disk filling up?", "again", id));
    assert_string_equal(json_str(again, "again", ""), id);
    json_t *lineage =
        busc_wait(c.bus, WIRE_evidence_lineage,
                  json_pack("{s:s}", "id", json_str(again, "trace_id", "")), WAIT_MS, NULL);
    const json_t *edge;
    bool repeats = false;
    size_t i;
    json_array_foreach(json_object_get(lineage, "edges"), i, edge) repeats |=
        strcmp(json_str(edge, "transform", ""), "repeat") == 0;
    assert_true(repeats);
    json_decref(lineage);
    json_decref(again);
    json_decref(trace);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\", \"again\": \"no\"}", NULL),
                     ERR_NOT_FOUND);
    console_stop(&c, false);
}

static void conversations_are_listed_and_searched(void **state)
{
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_t *first = ask(&c, "is the disk filling up?");
    char *id = xstrdup(json_str(first, "conversation", ""));
    json_decref(first);
    json_decref(ask(&c, "which process eats memory?"));
    json_decref(ask_in(&c, id, "что с НАГРУЗКОЙ сейчас?"));
    json_t *page = conversations(&c, NULL);
    assert_int_equal(json_array_size(json_object_get(page, "conversations")), 2);
    assert_string_equal(row_str(page, 0, "conversation"), id); /* spoken in last */
    assert_string_equal(row_str(page, 0, "title"), "is the disk filling up?");
    assert_int_equal(
        json_int(json_array_get(json_object_get(page, "conversations"), 0), "turns", 0), 2);
    assert_true(json_is_null(json_object_get(page, "next")));
    json_decref(page);
    /* pages: none is missed, none comes twice */
    page = call(&c, WIRE_chat_conversations, "{\"limit\": 1}");
    assert_string_equal(row_str(page, 0, "conversation"), id);
    json_t *rest =
        busc_wait(c.bus, WIRE_chat_conversations,
                  json_pack("{s:O}", "before", json_object_get(page, "next")), WAIT_MS, NULL);
    assert_int_equal(json_array_size(json_object_get(rest, "conversations")), 1);
    assert_string_equal(row_str(rest, 0, "title"), "which process eats memory?");
    json_decref(rest);
    json_decref(page);
    page = conversations(&c, "нагрузкой");
    assert_int_equal(json_array_size(json_object_get(page, "conversations")), 1);
    assert_string_equal(row_str(page, 0, "conversation"), id);
    assert_non_null(strstr(row_str(page, 0, "match"), "НАГРУЗКОЙ"));
    json_decref(page);
    page = conversations(&c, "no such words are anywhere");
    assert_int_equal(json_array_size(json_object_get(page, "conversations")), 0);
    json_decref(page);
    console_stop(&c, true);
    c = console_start(dir, NULL, "demo");
    page = conversations(&c, NULL);
    assert_string_equal(row_str(page, 0, "title"), "withheld: role demo");
    json_decref(page);
    assert_int_equal(refused(&c, WIRE_chat_conversations, "{\"text\": \"disk\"}", NULL),
                     ERR_DENIED);
    free(id);
    console_stop(&c, false);
}

static json_t *fork_at(struct console *c, const char *conversation, const char *trace_id)
{
    return busc_wait(c->bus, WIRE_chat_fork,
                     json_pack("{s:s,s:s}", "conversation", conversation, "trace_id", trace_id),
                     WAIT_MS, NULL);
}

static void a_fork_shares_the_turns_up_to_where_it_was_made(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *one = ask(&c, "is the disk filling up?");
    const char *root = json_str(one, "conversation", "");
    json_t *two = ask_in(&c, root, "which process eats memory?");
    json_t *fork = fork_at(&c, root, json_str(one, "trace_id", ""));
    assert_non_null(fork);
    const char *id = json_str(fork, "conversation", "");
    assert_string_not_equal(id, root);
    json_t *turns = history(&c, id); /* before anything was asked in it */
    assert_int_equal(json_array_size(json_object_get(turns, "turns")), 1);
    json_decref(turns);
    json_t *page = conversations(&c, NULL);
    assert_string_equal(row_str(page, 0, "conversation"), id);
    assert_string_equal(row_str(page, 0, "parent"), root);
    assert_string_equal(row_str(page, 0, "title"), "is the disk filling up?");
    json_decref(page);
    /* "why?" leans on the turn before, which is the shared one, not the later one of the root */
    json_t *three = ask_in(&c, id, "why?");
    json_t *lineage =
        busc_wait(c.bus, WIRE_evidence_lineage,
                  json_pack("{s:s}", "id", json_str(three, "trace_id", "")), WAIT_MS, NULL);
    char *text = json_write(lineage);
    assert_non_null(strstr(text, json_str(one, "trace_id", "?")));
    assert_null(strstr(text, json_str(two, "trace_id", "?")));
    free(text);
    json_decref(lineage);
    /* a fork of the fork has all three levels; the root still has its own two */
    json_t *deeper = fork_at(&c, id, json_str(three, "trace_id", ""));
    json_decref(ask_in(&c, json_str(deeper, "conversation", ""), "what did today cost?"));
    turns = history(&c, json_str(deeper, "conversation", ""));
    assert_int_equal(json_array_size(json_object_get(turns, "turns")), 3);
    assert_string_equal(question_at(turns, 0), "is the disk filling up?");
    assert_string_equal(question_at(turns, 1), "why?");
    assert_string_equal(question_at(turns, 2), "what did today cost?");
    json_decref(turns);
    turns = history(&c, root);
    assert_int_equal(json_array_size(json_object_get(turns, "turns")), 2);
    json_decref(turns);
    /* a turn that is not of the conversation cannot be forked from */
    char *params = xasprintf("{\"conversation\": \"%s\", \"trace_id\": \"%s\"}", id,
                             json_str(two, "trace_id", ""));
    assert_int_equal(refused(&c, WIRE_chat_fork, params, NULL), ERR_NOT_FOUND);
    free(params);
    json_t *audit = call(&c, WIRE_evidence_lineage, "{\"audit\": true}");

    assert_true(json_flag(audit, "ok", false));
    json_decref(audit);
    json_decref(deeper);
    json_decref(three);
    json_decref(fork);
    json_decref(two);
    json_decref(one);
    console_stop(&c, false);
}

static void a_fork_without_turns_of_its_own_is_found(void **state)
{
    (void)state;
    struct console c = console_start(new_dir(), NULL, "operator");
    json_t *one = ask(&c, "is the disk filling up?");
    const char *root = json_str(one, "conversation", "");
    json_t *two = ask_in(&c, root, "which process eats memory?");
    json_t *early = fork_at(&c, root, json_str(one, "trace_id", "")),
           *late = fork_at(&c, root, json_str(two, "trace_id", ""));
    json_t *deep = fork_at(&c, json_str(late, "conversation", ""), json_str(one, "trace_id", ""));
    json_t *page = conversations(&c, "Disk Filling"); /* all four begin with it */
    assert_int_equal(json_array_size(json_object_get(page, "conversations")), 4);
    assert_string_equal(row_str(page, 0, "conversation"), json_str(deep, "conversation", ""));
    assert_string_equal(row_str(page, 0, "match"), "is the disk filling up?");
    json_decref(page);
    page = conversations(&c, "eats memory"); /* the early one ends before that */
    assert_int_equal(json_array_size(json_object_get(page, "conversations")), 2);
    assert_string_equal(row_str(page, 0, "conversation"), json_str(late, "conversation", ""));
    assert_string_equal(row_str(page, 1, "conversation"), root);
    json_decref(page);
    json_decref(ask_in(&c, json_str(late, "conversation", ""), "what did today cost?"));
    page = conversations(&c, "eats memory"); /* now it has its own */
    assert_int_equal(json_array_size(json_object_get(page, "conversations")), 1);
    json_decref(page);
    json_decref(deep);
    json_decref(late);
    json_decref(early);
    json_decref(two);
    json_decref(one);
    console_stop(&c, false);
}

/* The choice that something carries; want NULL: none. */
static void assert_choice(const json_t *holder, const char *want)
{
    json_t *expected = want ? json_loads(want, 0, NULL) : NULL;
    if (want)
        assert_true(json_equal(json_object_get(holder, "choice"), expected));
    else
        assert_null(json_object_get(holder, "choice"));
    json_decref(expected);
}

/* The one of the conversation that was spoken in last. */
static void assert_listed(struct console *c, const char *want)
{
    json_t *page = conversations(c, NULL);
    assert_choice(json_array_get(json_object_get(page, "conversations"), 0), want);
    json_decref(page);
}

static void what_was_chosen_is_kept_with_its_conversation(void **state)
{
    static const char BOTH[] = "{\"flow\":\"single\",\"models\":[\"builtin/vector\"]}";
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_t *one = ask_with(&c, json_pack("{s:s,s:[s],s:s}", "text", "is the disk filling up?",
                                         "models", "builtin/vector", "flow", "single"));
    char *root = xstrdup(json_str(one, "conversation", "")),
         *first = xstrdup(json_str(one, "trace_id", ""));
    assert_listed(&c, BOTH);
    json_t *entry =
        busc_wait(c.bus, WIRE_evidence_get,
                  json_pack("{s:O,s:b}", "seq", json_array_get(json_object_get(one, "entries"), 0),
                            "payload", 1),
                  WAIT_MS, NULL);
    assert_choice(json_object_get(entry, "payload"), BOTH);
    json_decref(entry);
    json_decref(one);
    console_stop(&c, true);
    c = console_start(dir, NULL, "operator");
    assert_listed(&c, BOTH);
    json_t *turns = history(&c, root);
    assert_choice(json_array_get(json_object_get(turns, "turns"), 0), BOTH);
    json_decref(turns);
    /* a question that names nothing goes back to what is configured; a fork takes its turn's */
    json_t *two = ask_in(&c, root, "which process eats memory?");
    assert_choice(two, NULL);
    assert_listed(&c, NULL);
    json_decref(fork_at(&c, root, first));
    assert_listed(&c, BOTH);
    json_decref(fork_at(&c, root, json_str(two, "trace_id", "")));
    assert_listed(&c, NULL);
    json_decref(two);
    free(first);
    free(root);
    console_stop(&c, false);
}

static void an_export_is_logged_and_whole(void **state)
{
    (void)state;
    char *dir = new_dir();
    struct console c = console_start(dir, NULL, "operator");
    json_t *trace = ask(&c, "is the disk\nfilling up?");
    char *params = xasprintf("{\"conversation\": \"%s\"}", json_str(trace, "conversation", "")),
         *as_json = xasprintf("{\"conversation\": \"%s\", \"format\": \"json\"}",
                              json_str(trace, "conversation", ""));
    json_t *out = call(&c, WIRE_chat_export, params);
    const char *text = json_str(out, "text", "");
    assert_non_null(strstr(text, "\n> is the disk\n> filling up?\n"));
    assert_non_null(strstr(text, "Sources:\n\n- [1] tool host/"));
    assert_non_null(strstr(text, json_str(trace, "trace_id", "?")));
    json_t *entry = busc_wait(
        c.bus, WIRE_evidence_get,
        json_pack("{s:O,s:b}", "seq", json_object_get(out, "entry"), "payload", 1), WAIT_MS, NULL);
    assert_string_equal(json_str(entry, "type", ""), "export");
    assert_string_equal(json_str(json_object_get(entry, "payload"), "sha256", "?"),
                        json_str(out, "sha256", ""));
    assert_int_equal(json_int(json_object_get(entry, "payload"), "size", 0), strlen(text));
    json_decref(entry);
    json_decref(out);
    out = call(&c, WIRE_chat_export, as_json);
    json_t *doc = json_loads(json_str(out, "text", ""), 0, NULL);
    assert_int_equal(json_array_size(json_object_get(doc, "turns")), 1);
    const json_t *turn = json_array_get(json_object_get(doc, "turns"), 0);
    assert_string_equal(json_str(turn, "answer", ""), json_str(trace, "answer", "?"));
    assert_true(*json_str(json_array_get(json_object_get(turn, "candidates"), 0), "text", ""));
    json_decref(doc);
    json_decref(out);
    assert_int_equal(refused(&c, WIRE_chat_export,
                             "{\"conversation\": \"00000000000000000000000000000000\"}", NULL),
                     ERR_NOT_FOUND);
    console_stop(&c, true);
    c = console_start(dir, NULL, "demo");
    assert_int_equal(refused(&c, WIRE_chat_export, params, NULL), ERR_DENIED);
    console_stop(&c, false);
    free(as_json);
    free(params);
    json_decref(trace);
}

struct pace {
    int told, tokens;
    uint64_t last, least; /* ms between two */
    bool steady, priced, ended;
};

static void on_pace(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct pace *p = arg;
    (void)at;
    if (strcmp(type, "turn") == 0 && strcmp(json_str(data, "state", ""), "running") != 0)
        p->ended = true;
    if (strcmp(type, "pace") != 0)
        return;
    uint64_t now = clock_mono_ms();
    const json_t *one = json_array_get(json_object_get(data, "models"), 0);
    if (p->told++ && now - p->last < p->least)
        p->least = now - p->last;
    p->last = now;
    assert_string_equal(json_str(one, "model", ""), "slow");
    assert_true(json_int(one, "first_token_ms", -1) >= 0);
    assert_true(json_int(one, "tokens", -1) >= p->tokens);
    p->tokens = (int)json_int(one, "tokens", -1);
    double rate = json_num(one, "per_second", 0);
    p->steady |= rate > 20 && rate < 90;
    p->priced |= atof(json_str(json_object_get(one, "cost"), "amount", "0")) > 0;
}

static void the_pace_of_an_answer_is_told_twice_a_second(void **state)
{
    (void)state;
    char *dir = new_dir(), *path = xasprintf("%s/mcp-console.conf", dir);
    FILE *f = fopen(path, "we");
    fprintf(f,
            "[model \"slow\"]\nkind = openai\nurl = %s/v1\nmodel = m,rate=50,tokens=90\n"
            "price_in = 1\nprice_out = 1000\ncurrency = USD\n[copilot]\nmodels = slow\n"
            "[pool \"ops\"]\nmodels = slo* builtin/*\n",
            mock.url);
    fclose(f);
    struct console c = console_start(dir, path, "operator");
    json_t *models = call(&c, WIRE_chat_models, NULL);
    const json_t *pool = json_array_get(json_object_get(models, "pools"), 0);
    assert_string_equal(json_str(pool, "name", ""), "pool:ops");
    assert_string_equal(json_str(pool, "models", ""), "slo* builtin/*");
    assert_false(json_flag(pool, "usual", true));
    json_decref(models);
    struct pace p = {.least = UINT64_MAX};
    busc_events(c.bus, on_pace, NULL, &p);
    json_decref(call(&c, WIRE_chat_ask, "{\"text\": \"is the disk filling up?\"}"));
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (!p.ended && clock_mono_ms() < until) {
        struct pollfd fd = {.fd = busc_fd(c.bus), .events = POLLIN};
        poll(&fd, 1, 50);
        busc_dispatch(c.bus);
    }
    assert_true(p.ended);
    assert_in_range(p.told, 2, 6); /* about 1.8 s */
    assert_true(p.least >= 300);
    assert_true(p.steady);
    assert_true(p.priced);
    free(path);
    console_stop(&c, false);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_answers_is_chosen_for_each_question),
        cmocka_unit_test(asking_once_more_says_so),
        cmocka_unit_test(conversations_are_listed_and_searched),
        cmocka_unit_test(a_fork_shares_the_turns_up_to_where_it_was_made),
        cmocka_unit_test(a_fork_without_turns_of_its_own_is_found),
        cmocka_unit_test(what_was_chosen_is_kept_with_its_conversation),
        cmocka_unit_test(an_export_is_logged_and_whole),
        cmocka_unit_test(the_pace_of_an_answer_is_told_twice_a_second),
    };
    return cmocka_run_group_tests(tests, mock_up, mock_down);
}
