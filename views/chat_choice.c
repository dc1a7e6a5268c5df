/* Commands of the chat about who answers, about asking again, and about conversations:
 *   /model [NAME ...]  who answers from the next question on; none: a list to choose from
 *   /flow [NAME]       in which way; of both, `usual`: as it is configured
 *   /dual [A B] [N]    by an exchange: A answers, B reads that, A answers anew, N times
 *   /prompt A|B WORDS  what that side is told: a prompt's name or a text; `usual`: as the flow says
 *   /conversations [TEXT], /new, /fork, /export [FILE]
 *   /compare           the answers to the question that is read
 *   /release           an answer that is withheld for its risk (docs/risk.md)
 *   /good, /bad        a word on the answer that is read (docs/learning.md)
 *   /stop              what is being answered
 *   /retry, /edit      the question that is read once more, as it is or into the input line */
#include "views/chat.h"
#include <stdlib.h>
#include <string.h>

static const char USUAL[] = "usual";

static void take_models(struct chat *c, const char *words)
{
    json_t *models = strcmp(words, USUAL) ? json_array() : NULL;
    if (!models)
        words = "";
    for (size_t n; *(words += strspn(words, " ,\n")); words += n) {
        n = strcspn(words, " ,\n");
        json_array_append_new(models, json_text(words, n));
    }
    chat_models_set(c, models);
    chat_models_check(c);
}

static void take_flow(struct chat *c, const char *name)
{
    chat_models_flow(c, strcmp(name, USUAL) ? name : NULL);
    chat_models_check(c);
}

static bool is_times(const char *word, size_t n)
{
    return n == 1 && *word >= '1' && *word <= '4';
}

static void take_exchange(struct chat *c, const char *words)
{
    json_t *models = json_array();
    int64_t times = 0;
    bool right = true;
    for (size_t n; *(words += strspn(words, " ,\n")); words += n) {
        n = strcspn(words, " ,\n");
        right = right && !times; /* it stands last */
        if (is_times(words, n))
            times = *words - '0';
        else
            json_array_append_new(models, json_text(words, n));
    }
    size_t count = json_array_size(models);
    if (right && count == 2) {
        chat_models_exchange(c, json_incref(models), times);
        chat_models_check(c);
    } else if (right && !count) {
        chat_models_exchange(c, NULL, times);
    } else {
        tui_say("%s", _("it goes: /dual MODEL MODEL 2 (two models, 1 to 4 exchanges)"));
    }
    json_decref(models);
}

static void take_prompt(struct chat *c, const char *words)
{
    enum { MOST = 4096 /* bytes, of chat.ask */ };
    char side = *words ? (char)(*words & ~0x20) : '\0';
    bool named = (side == 'A' || side == 'B') && words[1] == ' ';
    const char *text = words + 1 + (named ? strspn(words + 1, " ") : 0);
    if (!named || !*text || strlen(text) > MOST)
        tui_say("%s", _("it goes: /prompt A critic_mode (A or B; a name, a text, or usual)"));
    else
        chat_models_prompt(c, side == 'B', strcmp(text, USUAL) ? text : NULL);
}

static void ask_again(void *view, bool edit)
{
    const char *trace_id, *question = chat_commands_asked(view, &trace_id);
    if (!question || !*trace_id) {
        tui_say("%s", _("there is no question here"));
    } else if (edit) {
        char *text = xstrdup(question);
        tui_input_store(chat_commands_input(view));
        tui_input_set(chat_commands_input(view), text);
        free(text);
        chat_commands_of(view)->editing = true;
    } else {
        char *text = xstrdup(question), *id = xstrdup(trace_id);
        chat_commands_ask(view, text, id);
        free(text);
        free(id);
    }
}

/* What stands behind a command's word; NULL: it is another command. */
static const char *behind(const char *line, const char *command)
{
    size_t n = strlen(command);
    if (strncmp(line, command, n) != 0 || (line[n] && line[n] != ' '))
        return NULL;
    return line + n + strspn(line + n, " ");
}

static void fork_here(struct chat *c)
{
    const struct chat_turn *t = c->count ? chat_history_read(c) : NULL;
    const char *conversation = chat_conversation(c);
    if (t && t->trace && *conversation)
        chat_talks_fork(c, conversation, t->trace);
    else
        tui_say("%s", _("there is no turn to fork from"));
}

static void got_rating(void *self, const json_t *result, const struct error *e)
{
    (void)self;
    if (result)
        tui_say("%s", _("your word on this answer is in the log"));
    else
        tui_error(e, "chat.rate");
}

static void rate_here(struct chat *c, bool good)
{
    const struct chat_turn *t = c->count ? chat_history_read(c) : NULL;
    if (!t || !t->trace) {
        tui_say("%s", _("there is no answer here"));
        return;
    }
    json_t *params = json_object();
    json_puts(params, "trace_id", json_str(t->trace, "trace_id", ""));
    json_put(params, "good", json_boolean(good));
    tui_call(c, WIRE_chat_rate, params, got_rating);
}

static void got_release(void *self, const json_t *result, const struct error *e)
{
    (void)self;
    if (result)
        tui_say("%s", _("the answer is given out; that it was, and by whom, is in the log"));
    else
        tui_error(e, "chat.release");
}

static void release_here(struct chat *c)
{
    const struct chat_turn *t = c->count ? chat_history_read(c) : NULL;
    const json_t *withheld = t ? json_object_get(t->trace, "withheld") : NULL;
    if (strcmp(json_str(withheld, "state", ""), "withheld") != 0) {
        tui_say("%s", _("no answer is withheld here"));
        return;
    }
    json_t *params = json_object();
    json_puts(params, "trace_id", json_str(t->trace, "trace_id", ""));
    tui_call(c, WIRE_chat_release, params, got_release);
}

static void got_stopped(void *view, const json_t *result, const struct error *e)
{
    (void)view;
    if (!result)
        tui_error(e, "chat.stop");
    else if (json_int(result, "stopped", 0) == 0)
        tui_say("%s", _("nothing is being answered"));
}

static void export_here(struct chat *c, const char *path)
{
    const char *conversation = chat_conversation(c);
    if (*conversation)
        chat_talks_export(c, conversation, path);
    else
        tui_say("%s", _("there is no conversation here"));
}

/* Of conversations; false: another one. */
static bool talk_run(struct chat *c, const char *line)
{
    const char *rest;
    if ((rest = behind(line, "/conversations")))
        chat_talks_open(c, rest);
    else if ((rest = behind(line, "/export")))
        export_here(c, rest);
    else if (!strcmp(line, "/fork"))
        fork_here(c);
    else if (!strcmp(line, "/new"))
        chat_talks_new(c);
    else if (!strcmp(line, "/good") || !strcmp(line, "/bad"))
        rate_here(c, line[1] == 'g');
    else if (!strcmp(line, "/release"))
        release_here(c);
    else if (!strcmp(line, "/compare"))
        chat_compare_open(c, c->count ? chat_history_read(c) : NULL);
    else
        return false;
    return true;
}

bool chat_choice_run(void *view, const char *line)
{
    const char *rest;
    if (!strcmp(line, "/model") || !strcmp(line, "/flow"))
        chat_models_open(view, line[1] == 'f');
    else if (!strncmp(line, "/model ", 7))
        take_models(view, line + 7);
    else if (!strncmp(line, "/flow ", 6))
        take_flow(view, line + 6);
    else if ((rest = behind(line, "/dual")))
        take_exchange(view, rest);
    else if ((rest = behind(line, "/prompt")))
        take_prompt(view, rest);
    else if (!strcmp(line, "/retry") || !strcmp(line, "/edit"))
        ask_again(view, !strcmp(line, "/edit"));
    else if (!strcmp(line, "/stop")) /* typed in haste, it must not become a question */
        tui_call(view, WIRE_chat_stop, NULL, got_stopped);
    else
        return talk_run(view, line);
    return true;
}
