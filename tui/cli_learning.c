/* `learning`: how models did with kinds of questions, what is proposed, a person's word on it. */
#include "tui/cli_internal.h"
#include <string.h>

const char *cli__learning_words(struct cli *c, int argc, char **argv)
{
    static const char *const ACTIONS[] = {"show", "accept", "reject", "rate"};
    static const int WORDS[] = {1, 2, 2, 3};
    size_t n = sizeof ACTIONS / sizeof *ACTIONS, at = 0;
    c->action = argc ? argv[0] : "show";
    while (at < n && strcmp(c->action, ACTIONS[at]) != 0)
        at++;
    if (at == n)
        return "the actions are show, accept, reject and rate";
    if (argc != WORDS[at] && (argc || at))
        return at == 3 ? "rate takes a trace's id, and good or bad"
                       : "show takes nothing; accept and reject take a kind of question";
    c->text = argc > 1 ? argv[1] : "";
    c->type = argc > 2 ? argv[2] : "";
    if (at == 3 && strcmp(c->type, "good") != 0 && strcmp(c->type, "bad") != 0)
        return "an answer is good or bad";
    return NULL;
}

static void print_kind(const json_t *kind)
{
    size_t i;
    json_t *m;
    printf("%s: %g outcomes%s%s%s\n", json_str(kind, "kind", ""), json_num(kind, "outcomes", 0),
           json_flag(kind, "proposed", false) ? "; a proposal waits: learning accept " : "",
           json_flag(kind, "proposed", false) ? json_str(kind, "kind", "") : "",
           strcmp(json_str(kind, "decided", ""), "accept") == 0   ? "; accepted"
           : strcmp(json_str(kind, "decided", ""), "reject") == 0 ? "; rejected"
                                                                  : "");
    json_array_foreach(json_object_get(kind, "models"), i, m)
    {
        const json_t *accepted = json_object_get(m, "accepted");
        printf("  ");
        cli__cell(json_str(m, "model", ""), 32);
        printf(" good %6.2f  bad %6.2f  best by %3.0f%%", json_num(m, "good", 0),
               json_num(m, "bad", 0), 100 * json_num(m, "share", 0));
        if (json_is_number(accepted))
            printf("  accepted %.2f", json_number_value(accepted));
        putchar('\n');
    }
}

static int show(const struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *answer = cli__call(bus, WIRE_learning_show, NULL, &status), *kind;
    const json_t *kinds = json_object_get(answer, "kinds");
    size_t i;
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        printf("bandit: %s\n", json_str(answer, "bandit", ""));
        json_array_foreach(kinds, i, kind) print_kind(kind);
        if (!json_array_size(kinds))
            puts("nothing was learnt yet");
    }
    json_decref(answer);
    return status;
}

int cli__learning(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    if (strcmp(c->action, "show") == 0)
        return show(c, bus);
    bool rate = strcmp(c->action, "rate") == 0;
    json_t *params = json_object();
    json_puts(params, rate ? "trace_id" : "kind", c->text);
    json_put(params, rate ? "good" : "accept",
             json_boolean(strcmp(rate ? c->type : c->action, rate ? "good" : "accept") == 0));
    json_t *answer = cli__call(bus, rate ? WIRE_chat_rate : WIRE_learning_decide, params, &status);
    if (answer && c->json)
        cli__print_json(answer);
    else if (answer)
        printf("entry %lld\n", (long long)json_int(answer, "entry", -1));
    json_decref(answer);
    return status;
}
