/* Commands of the chat about who answers, and about asking again:
 *   /model [NAME ...]  who answers from the next question on; none: lists them as they are now
 *   /flow NAME         in which way; of both, `usual`: as it is configured
 *   /retry, /edit      the question that is read once more, as it is or into the input line */
#include "views/chat_commands.h"
#include "views/common.h"
#include <stdlib.h>
#include <string.h>

static const char FLOW[] = "/flow", USUAL[] = "usual";

static const char *breaker_words(const json_t *state)
{
    static const char *const words[][2] = {{"closed", N_("breaker closed")},
                                           {"open", N_("breaker open")},
                                           {"half-open", N_("breaker half-open")}};
    const char *said = json_str(state, "breaker", "-");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(said, words[i][0]))
            return _(words[i][1]);
    return said;
}

static void row_add(struct tui_text *text, const json_t *row, bool chosen)
{
    const json_t *state = json_object_get(row, "state"), *price = json_object_get(row, "price");
    char first[16];
    tui_duration(json_num(state, "first_token_p95_ms", -1), first);
    tui_text_addf(text, chosen ? ROLE_OK : ROLE_TEXT, 0, false, "%s %s",
                  chosen ? tui_glyph(GLYPH_OK) : " ", json_str(row, "name", ""));
    tui_text_addf(text, ROLE_DIM, 4, false, "%s  %s  %s  %lld %s  %s  p95 %s",
                  json_str(row, "kind", ""), json_str(row, "provider", ""),
                  *json_str(row, "region", "") ? json_str(row, "region", "") : "-",
                  (long long)json_int(row, "context", 0), _("tok"), breaker_words(state), first);
    if (json_is_object(price))
        tui_text_addf(text, ROLE_DIM, 4, false, _("a million tokens: %s in, %s out, %s"),
                      json_str(price, "in", "-"), json_str(price, "out", "-"),
                      json_str(price, "currency", ""));
}

static void got_models(void *view, const json_t *result, const struct error *e)
{
    const struct chat_commands *k = chat_commands_of(view);
    const json_t *row, *name;
    size_t i, n;
    if (!result) {
        tui_error(e, "chat.models");
        return;
    }
    struct tui_text *text = tui_text_new();
    json_array_foreach(json_object_get(result, "models"), i, row)
    {
        bool chosen = !k->models && json_flag(row, "usual", false);
        json_array_foreach(k->models, n, name) chosen |=
            !strcmp(json_string_value(name), json_str(row, "name", ""));
        row_add(text, row, chosen);
    }
    tui_text_add(text, ROLE_TEXT, 0, false, "");
    json_array_foreach(json_object_get(result, "flows"), i, row)
        tui_text_addf(text, ROLE_DIM, 0, false, "%s %s", FLOW, json_str(row, "name", ""));
    tui_text_add(text, ROLE_DIM, 0, false, _("/model usual, /flow usual: as it is configured"));
    tui_overlay(_("Models"), text);
}

static void take_models(struct chat_commands *k, const char *words)
{
    json_decref(k->models);
    k->models = strcmp(words, USUAL) ? json_array() : NULL;
    if (!k->models)
        words = "";
    for (size_t n; *(words += strspn(words, " ,\n")); words += n) {
        n = strcspn(words, " ,\n");
        json_array_append_new(k->models, json_text(words, n));
    }
    tui_say("%s", _("from the next question on; what is being answered goes on as it began"));
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

bool chat_choice_run(void *view, const char *line)
{
    struct chat_commands *k = chat_commands_of(view);
    if (!strcmp(line, "/model"))
        tui_call(view, WIRE_chat_models, NULL, got_models);
    else if (!strncmp(line, "/model ", 7))
        take_models(k, line + 7);
    else if (!strncmp(line, "/flow ", 6)) {
        free(k->flow);
        k->flow = strcmp(line + 6, USUAL) ? xstrdup(line + 6) : NULL;
        tui_say("%s", _("from the next question on; what is being answered goes on as it began"));
    } else if (!strcmp(line, "/retry") || !strcmp(line, "/edit"))
        ask_again(view, !strcmp(line, "/edit"));
    else
        return false;
    return true;
}
