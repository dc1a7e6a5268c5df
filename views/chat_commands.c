/* See chat_commands.h. */
#include "views/chat_commands.h"
#include "backend/base/text.h"
#include "tui/form.h"
#include "views/chat_words.h"
#include <stdlib.h>
#include <string.h>

void chat_commands_release(struct chat_commands *k)
{
    json_decref(k->questions);
    free(k->connector);
    free(k->prompt);
    free(k->question);
    free(k->typed);
    json_decref(k->models);
    free(k->flow);
    free(k->prompts[0]);
    free(k->prompts[1]);
    tui_text_free(k->listed);
    chat_complete_release(&k->complete);
}

static void set_text(char **field, const char *text)
{
    free(*field);
    *field = xstrdup(text);
}

/* ---- questions */

size_t chat_commands_waiting(const struct chat_commands *k)
{
    return json_array_size(k->questions);
}

static void got_questions(void *view, const json_t *result, const struct error *e)
{
    struct chat_commands *k = chat_commands_of(view);
    (void)e; /* a role that may not see them has none */
    json_decref(k->questions);
    k->questions = result ? json_deep_copy(json_object_get(result, "questions")) : NULL;
    tui_dirty();
}

void chat_commands_refresh(void *view)
{
    tui_call(view, WIRE_elicit_list, NULL, got_questions);
}

void chat_commands_event(void *view, const char *type, const json_t *data)
{
    struct chat_commands *k = chat_commands_of(view);
    if (strcmp(type, "elicit"))
        return;
    const char *state = json_str(data, "state", ""), *id = json_str(data, "id", "");
    if (!strcmp(state, "asked"))
        tui_say(_("%s asks something: /answer"), json_str(data, "connector", ""));
    else if (k->question && !strcmp(k->question, id))
        tui_form_drop(view); /* somebody else answered, or it is too late */
    chat_commands_refresh(view);
}

static void got_answered(void *view, const json_t *result, const struct error *e)
{
    if (!result)
        tui_error(e, "elicit.answer");
    chat_commands_refresh(view);
}

static void send_answer(void *view, const char *action, const json_t *content)
{
    struct chat_commands *k = chat_commands_of(view);
    if (!k->question)
        return;
    json_t *params = json_object();
    json_puts(params, "id", k->question);
    json_puts(params, "action", action);
    if (content)
        json_put(params, "content", json_deep_copy(content));
    free(k->question);
    k->question = NULL;
    tui_call(view, WIRE_elicit_answer, params, got_answered);
}

static void question_filled(void *view, const json_t *value)
{
    if (value) {
        send_answer(view, "accept", value);
        return;
    }
    struct chat_commands *k = chat_commands_of(view);
    free(k->question);
    k->question = NULL;
    tui_say("%s", _("the question stays open: /answer again, or /decline"));
}

static json_t *question_now(struct chat_commands *k)
{
    json_t *one = json_array_get(k->questions, 0);
    if (one)
        set_text(&k->question, json_str(one, "id", ""));
    else
        tui_say("%s", _("no server asks anything"));
    return one;
}

/* What it is about, above the fields. Everything but the frame is foreign. */
static struct tui_text *question_about(const json_t *one, const char *kind)
{
    struct tui_text *about = tui_text_new();
    tui_text_add(about, ROLE_FOREIGN, 0, true, json_str(one, "message", ""));
    if (!strcmp(kind, "url")) {
        tui_text_addf(about, ROLE_WARN, 0, false, _("It asks you to open a page of %s:"),
                      json_str(one, "host", ""));
        tui_text_add(about, ROLE_FOREIGN, 0, true, json_str(one, "url", ""));
        tui_text_add(about, ROLE_DIM, 0, false,
                     _("Nothing is opened from here. Open it in a browser if you trust that host, "
                       "then answer."));
    } else if (!strcmp(kind, "sampling")) {
        tui_text_addf(
            about, ROLE_WARN, 0, false,
            _("It wants a model's answer to this, of at most %lld tokens; it will see the answer."),
            (long long)json_int(one, "max_tokens", 0));
    } else {
        tui_text_addf(about, ROLE_WARN, 0, false, _("What you type goes to %s. Type no passwords."),
                      json_str(one, "connector", ""));
    }
    return about;
}

static void answer_question(void *view)
{
    const json_t *one = question_now(chat_commands_of(view));
    if (!one)
        return;
    const char *kind = json_str(one, "kind", "form");
    char *title = xasprintf(_("%s asks"), json_str(one, "connector", ""));
    tui_form_open(&(struct tui_form_options){.title = title,
                                             .about = question_about(one, kind),
                                             .schema = json_object_get(one, "schema"),
                                             .submit = !strcmp(kind, "sampling") ? _("allow")
                                                       : !strcmp(kind, "url")    ? _("it is open")
                                                                                 : _("answer"),
                                             .answer = question_filled,
                                             .arg = view});
    free(title);
}

static void decline_question(void *view)
{
    if (question_now(chat_commands_of(view)))
        send_answer(view, "decline", NULL);
}

/* ---- prompts */

/* The prompt's texts, one after the other: what a person would have typed. */
static void got_prompt(void *view, const json_t *result, const struct error *e)
{
    struct buf text = {0};
    const json_t *one;
    size_t i;
    if (!result) {
        tui_error(e, "prompts.get");
        return;
    }
    json_array_foreach(json_object_get(result, "messages"), i, one)
    {
        const json_t *content = json_object_get(one, "content");
        const char *words =
            json_str(content, "text", json_str(json_object_get(content, "resource"), "text", ""));
        if (*words && text.len + strlen(words) < TUI_INPUT_MAX)
            buf_addf(&text, "%s%s", text.len ? "\n\n" : "", words);
    }
    if (text.len) {
        tui_input_set(chat_commands_input(view), ""); /* what is inserted is cleaned */
        tui_input_insert(chat_commands_input(view), text.data, text.len);
        tui_say("%s", _("from the server; read it before you send it"));
    } else {
        tui_say("%s", _("the prompt has no text"));
    }
    buf_release(&text);
    tui_dirty();
}

static void prompt_filled(void *view, const json_t *value)
{
    struct chat_commands *k = chat_commands_of(view);
    json_t *params;
    if (!value)
        return;
    params = json_object();
    json_puts(params, "connector", k->connector);
    json_puts(params, "name", k->prompt);
    json_put(params, "arguments", json_deep_copy(value));
    tui_call(view, WIRE_prompts_get, params, got_prompt);
}

static json_t *prompt_schema(const json_t *arguments)
{
    json_t *schema = json_object(), *properties = json_object(), *required = json_array();
    const json_t *one;
    size_t i;
    json_array_foreach(arguments, i, one)
    {
        json_t *field = json_object();
        const char *name = json_str(one, "name", "");
        json_puts(field, "type", "string");
        json_puts(field, "description", json_str(one, "description", ""));
        json_put(properties, name, field);
        if (json_flag(one, "required", false))
            json_array_append_new(required, json_text(name, strlen(name)));
    }
    json_puts(schema, "type", "object");
    json_put(schema, "properties", properties);
    json_put(schema, "required", required);
    return schema;
}

/* The one of that name, or the only one that begins so. */
static const json_t *prompt_find(const json_t *prompts, const char *name)
{
    const json_t *one, *found = NULL;
    size_t i, n = 0;
    json_array_foreach(prompts, i, one)
    {
        const char *have = json_str(one, "name", "");
        if (!strcmp(have, name))
            return one;
        if (!strncmp(have, name, strlen(name))) {
            found = one;
            n++;
        }
    }
    return n == 1 ? found : NULL;
}

static void got_prompt_list(void *view, const json_t *result, const struct error *e)
{
    struct chat_commands *k = chat_commands_of(view);
    if (!result) {
        tui_error(e, k->connector);
        return;
    }
    const json_t *prompt = prompt_find(json_object_get(result, "prompts"), k->prompt);
    if (!prompt) {
        tui_say(_("%s has no such prompt, or several that begin so; /prompts lists them"),
                k->connector);
        return;
    }
    set_text(&k->prompt, json_str(prompt, "name", ""));
    const json_t *arguments = json_object_get(prompt, "arguments");
    json_t *initial = chat_words_values(arguments, k->typed), *schema = prompt_schema(arguments);
    if (json_array_size(arguments) == 0) {
        prompt_filled(view, initial);
    } else {
        struct tui_text *about = tui_text_new();
        tui_text_add(about, ROLE_FOREIGN, 0, true, json_str(prompt, "description", ""));
        char *title = xasprintf("/%s:%s", k->connector, k->prompt);
        tui_form_open(&(struct tui_form_options){.title = title,
                                                 .about = about,
                                                 .schema = schema,
                                                 .initial = initial,
                                                 .submit = _("take it"),
                                                 .answer = prompt_filled,
                                                 .arg = view});
        free(title);
    }
    json_decref(initial);
    json_decref(schema);
}

static bool run_prompt(void *view, const char *line)
{
    struct chat_commands *k = chat_commands_of(view);
    size_t word = strcspn(line, " \n"), at = strcspn(line, ":");
    if (at == 0 || at >= word || at + 1 >= word)
        return false;
    free(k->connector);
    free(k->prompt);
    k->connector = xstrndup(line, at);
    k->prompt = xstrndup(line + at + 1, word - at - 1);
    set_text(&k->typed, line + word);
    json_t *params = json_object();
    json_puts(params, "connector", k->connector);
    tui_call(view, WIRE_prompts_list, params, got_prompt_list);
    return true;
}

/* ---- /prompts */

static void got_one(void *view, const json_t *row, const struct error *e)
{
    struct chat_commands *k = chat_commands_of(view);
    const json_t *one;
    size_t i;
    (void)e;
    json_array_foreach(json_object_get(row, "prompts"), i, one)
    {
        tui_text_addf(k->listed, ROLE_TEXT, 0, false, "/%s:%s", json_str(row, "name", ""),
                      json_str(one, "name", ""));
        const char *about = json_str(one, "description", json_str(one, "title", ""));
        if (*about)
            tui_text_add(k->listed, ROLE_FOREIGN, 2, true, about);
    }
    if (--k->listing)
        return;
    struct tui_text *text = k->listed;
    k->listed = NULL;
    if (tui_text_lines(text, 80) == 0)
        tui_text_add(text, ROLE_DIM, 0, false, _("no connected server has prompts"));
    tui_overlay(_("Prompts"), text);
}

static void got_connectors(void *view, const json_t *result, const struct error *e)
{
    struct chat_commands *k = chat_commands_of(view);
    const json_t *row;
    size_t i;
    if (!result) {
        tui_error(e, "connectors.list");
        return;
    }
    if (k->listing)
        return;
    k->listed = tui_text_new();
    k->listing = 1; /* held until all are asked */
    json_array_foreach(json_object_get(result, "connectors"), i, row)
    {
        if (strncmp(json_str(row, "kind", ""), "mcp-", 4))
            continue;
        json_t *params = json_object();
        json_puts(params, "name", json_str(row, "name", ""));
        k->listing++;
        tui_call(view, WIRE_connectors_get, params, got_one);
    }
    got_one(view, NULL, NULL);
}

/* A command that does not exist is no question: it stays in the line, to be mended. "/etc is full"
 * is one: it goes on, and is no command with one letter wrong. */
static bool mistyped(void *view, const char *line)
{
    size_t word = strspn(line + 1, "abcdefghijklmnopqrstuvwxyz") + 1;
    bool alone = !line[word + strspn(line + word, " \n")];
    char *typed = xstrndup(line, word);
    const char *near = chat_command_near(typed);
    bool wrong =
        word > 1 && (alone || (line[word] == ' ' && near && text_distance(typed, near, 1) <= 1));
    if (wrong && near)
        tui_say(_("there is no command %s; did you mean %s?"), typed, near);
    else if (wrong)
        tui_say(_("there is no command %s; Tab behind / lists them"), typed);
    if (wrong)
        chat_commands_of(view)->editing = true;
    free(typed);
    return wrong;
}

bool chat_commands_run(void *view, const char *line)
{
    if (line[0] != '/')
        return false;
    if (!strcmp(line, "/answer"))
        answer_question(view);
    else if (!strcmp(line, "/decline"))
        decline_question(view);
    else if (!strcmp(line, "/prompts"))
        tui_call(view, WIRE_connectors_list, NULL, got_connectors);
    else if (chat_choice_run(view, line))
        return true;
    else
        return run_prompt(view, line + 1) || mistyped(view, line);
    return true;
}
