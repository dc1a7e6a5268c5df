/* See chat_complete.h. */
#include "views/chat_complete.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "views/chat_commands.h"
#include "views/chat_words.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FRESH_MS = 10000, ITEMS_MAX = 500, ITEM_BYTES = 1000, ROWS_MAX = 8 };

static void refresh(void *view);

static struct chat_complete *of(void *view)
{
    return &chat_commands_of(view)->complete;
}

void chat_complete_release(struct chat_complete *k)
{
    json_decref(k->prompts);
    json_decref(k->fresh);
    json_decref(k->items);
    json_decref(k->values);
    free(k->asked);
    free(k->answered);
    memset(k, 0, sizeof(*k));
}

static void list_close(struct chat_complete *k)
{
    k->open = k->fill = k->step = false;
    json_decref(k->items);
    k->items = NULL;
    k->marked = -1;
    k->top = 0;
    tui_dirty();
}

/* ---- the prompts of all servers */

static void loaded_one(struct chat_complete *k, void *view)
{
    if (--k->loading)
        return;
    json_decref(k->prompts);
    k->prompts = k->fresh;
    k->fresh = NULL;
    k->loaded_at = clock_mono_ms();
    if (k->open)
        refresh(view);
}

static void got_server(void *view, const json_t *row, const struct error *e)
{
    struct chat_complete *k = of(view);
    const json_t *one;
    size_t i;
    (void)e; /* a server that is gone has no prompts */
    json_array_foreach(json_object_get(row, "prompts"), i, one)
    {
        const char *name = json_str(one, "name", "");
        if (!*name || strpbrk(name, " \n") || strlen(name) > ITEM_BYTES ||
            json_array_size(k->fresh) >= ITEMS_MAX)
            continue;
        json_t *prompt = json_object();
        json_puts(prompt, "connector", json_str(row, "name", ""));
        json_puts(prompt, "name", name);
        json_puts(prompt, "about", json_str(one, "description", json_str(one, "title", "")));
        json_put(prompt, "arguments", json_deep_copy(json_object_get(one, "arguments")));
        json_array_append_new(k->fresh, prompt);
    }
    loaded_one(k, view);
}

static void got_servers(void *view, const json_t *result, const struct error *e)
{
    struct chat_complete *k = of(view);
    const json_t *row;
    size_t i;
    (void)e;
    json_array_foreach(json_object_get(result, "connectors"), i, row)
    {
        if (strncmp(json_str(row, "kind", ""), "mcp-", 4) != 0)
            continue;
        json_t *params = json_object();
        json_puts(params, "name", json_str(row, "name", ""));
        k->loading++;
        tui_call(view, WIRE_connectors_get, params, got_server);
    }
    loaded_one(k, view);
}

static void prompts_load(struct chat_complete *k, void *view)
{
    if (k->loading || (k->prompts && clock_mono_ms() - k->loaded_at < FRESH_MS))
        return;
    k->fresh = json_array();
    k->loading = 1; /* held until all servers are asked */
    tui_call(view, WIRE_connectors_list, NULL, got_servers);
}

/* ---- what may stand there */

static void item_add(struct chat_complete *k, const char *text, const char *about,
                     const char *after)
{
    if (json_array_size(k->items) >= ITEMS_MAX)
        return;
    json_t *item = json_object();
    json_put(item, "text", json_text(text, strlen(text)));
    json_put(item, "about", json_text(about, strlen(about)));
    json_puts(item, "after", after);
    json_array_append_new(k->items, item);
}

static bool begins(const char *text, const char *with)
{
    return !strncasecmp(text, with, strlen(with));
}

static const char *const OWN[][2] = {
    {"/answer", N_("the oldest open question of a server")},
    {"/decline", N_("declines that question")},
    {"/prompts", N_("all prompts, with what they are for")},
    {"/model", N_("who can answer, and NAME ...: who does from now on")},
    {"/flow", N_("NAME: how the next questions are answered")},
    {"/dual", N_("A B N: A answers, B reads that, A anew, N times")},
    {"/prompt", N_("A or B, NAME or words: what that side is told")},
    {"/conversations", N_("TEXT: those in which it was said")},
    {"/new", N_("the next question begins a conversation")},
    {"/fork", N_("a conversation of its own from this turn on")},
    {"/export", N_("FILE: this conversation, as .md or .json")},
    {"/compare", N_("what each model answered")},
    {"/retry", N_("asks the question again")},
    {"/edit", N_("brings the question back into the input line")},
    {"/stop", N_("stops what is being answered")},
    {"/release", N_("gives out an answer that is withheld")},
    {"/good", N_("this answer was good")},
    {"/bad", N_("this answer was not good")}};
enum { OWN_COUNT = sizeof(OWN) / sizeof(OWN[0]) };

const char *chat_command_near(const char *word)
{
    const char *near = NULL;
    unsigned best = 2;
    for (size_t i = 0; i < OWN_COUNT; i++) {
        unsigned d = text_distance(word, OWN[i][0], best);
        if (d <= best && (!near || d < best)) {
            best = d;
            near = OWN[i][0];
        }
    }
    return near;
}

static void commands_list(struct chat_complete *k, const char *typed)
{
    const json_t *one;
    size_t i;
    for (i = 0; i < OWN_COUNT; i++)
        if (begins(OWN[i][0], typed))
            item_add(k, OWN[i][0], _(OWN[i][1]), "");
    json_array_foreach(k->prompts, i, one)
    {
        const char *name = json_str(one, "name", "");
        char *text = xasprintf("/%s:%s", json_str(one, "connector", ""), name);
        bool takes = json_array_size(json_object_get(one, "arguments")) > 0;
        if (begins(text, typed) || (typed[1] && begins(name, typed + 1)))
            item_add(k, text, _(json_str(one, "about", "")), takes ? " " : "");
        free(text);
    }
}

static const json_t *prompt_of(const struct chat_complete *k, const char *command, size_t len)
{
    const json_t *one;
    size_t i;
    json_array_foreach(k->prompts, i, one)
    {
        const char *connector = json_str(one, "connector", ""), *name = json_str(one, "name", "");
        size_t n = strlen(connector);
        if (len == n + strlen(name) + 2 && !strncmp(command + 1, connector, n) &&
            command[n + 1] == ':' && !strncmp(command + n + 2, name, strlen(name)))
            return one;
    }
    return NULL;
}

static void got_values(void *view, const json_t *result, const struct error *e)
{
    struct chat_complete *k = of(view);
    (void)e; /* a server that proposes nothing, or none that may be asked */
    k->asking = false;
    free(k->answered);
    k->answered = k->asked;
    k->asked = NULL;
    json_decref(k->values);
    k->values = json_deep_copy(json_object_get(result, "values"));
    k->more = json_flag(result, "more", false);
    if (k->open)
        refresh(view);
}

enum known { KNOWN_NOT, KNOWN_NEAR, KNOWN }; /* near: of the same argument, for another text */

/* What is known of the word's value; asks for what is not (P2). */
static enum known values_known(struct chat_complete *k, void *view, const json_t *prompt,
                               const struct chat_word *w)
{
    const char *connector = json_str(prompt, "connector", ""), *name = json_str(prompt, "name", "");
    char *others = json_dumps(w->others, JSON_COMPACT | JSON_SORT_KEYS);
    struct buf key = {0};
    buf_addf(&key, "%s\n%s\n%s\n", connector, name, w->name);
    size_t subject = key.len;
    buf_addf(&key, "%s\n%s", w->value, others ? others : "");
    enum known known = !k->answered                               ? KNOWN_NOT
                       : !strcmp(key.data, k->answered)           ? KNOWN
                       : !strncmp(key.data, k->answered, subject) ? KNOWN_NEAR
                                                                  : KNOWN_NOT;
    if (known != KNOWN && !k->asking) {
        json_t *params = json_object();
        json_puts(params, "connector", connector);
        json_puts(params, "name", name);
        json_puts(params, "argument", w->name);
        json_puts(params, "value", w->value);
        json_put(params, "arguments", json_incref(w->others));
        k->asking = true;
        free(k->asked);
        k->asked = xstrdup(key.data);
        tui_call(view, WIRE_prompts_complete, params, got_values);
    }
    buf_release(&key);
    free(others);
    return known;
}

static void values_list(struct chat_complete *k, const struct chat_word *w, enum known known,
                        const char *after)
{
    const json_t *one;
    size_t i;
    json_array_foreach(k->values, i, one)
    {
        const char *value = json_string_value(one);
        struct buf text = {0};
        if (!value || !*value || strlen(value) > ITEM_BYTES ||
            (known == KNOWN_NEAR && !begins(value, w->value)))
            continue;
        if (w->named)
            buf_addf(&text, "%s=", w->name);
        chat_words_quote(&text, value, w->quoted);
        item_add(k, text.data, w->named ? "" : w->name, after);
        buf_release(&text);
    }
}

static void names_list(struct chat_complete *k, const json_t *arguments, const struct chat_word *w)
{
    const json_t *one;
    size_t i;
    json_array_foreach(arguments, i, one)
    {
        const char *name = json_str(one, "name", "");
        char *text = xasprintf("%s=", name);
        if (*name && !strpbrk(name, " \n\"") && !json_object_get(w->others, name) &&
            begins(text, w->value))
            item_add(k, text, json_str(one, "description", ""), "");
        free(text);
    }
}

/* Fills items for an argument; answers whether everything is known. */
static bool arguments_list(struct chat_complete *k, void *view, const json_t *prompt,
                           const char *typed, size_t base)
{
    const json_t *arguments = json_object_get(prompt, "arguments");
    struct chat_word w = chat_words_last(arguments, typed);
    bool known = true;
    k->from = base + w.from;
    if (!w.named && !w.quoted)
        names_list(k, arguments, &w);
    if (w.name && (w.named || !*w.value || !json_array_size(k->items))) {
        bool last = json_object_size(w.others) + 1 >= json_array_size(arguments);
        enum known values = values_known(k, view, prompt, &w);
        if (values != KNOWN_NOT)
            values_list(k, &w, values, last ? "" : " ");
        known = values == KNOWN;
    }
    chat_word_release(&w);
    return known;
}

/* ---- filling in */

/* Bytes that all items begin with; 0 if what was typed is not the beginning of one of them. */
static size_t common(const struct chat_complete *k, const char *typed, size_t len)
{
    const char *first = json_str(json_array_get(k->items, 0), "text", "");
    size_t n = strlen(first), i;
    const json_t *one;
    json_array_foreach(k->items, i, one)
    {
        const char *text = json_str(one, "text", "");
        size_t same = 0;
        while (same < n && text[same] == first[same])
            same++;
        n = same;
        if (strncmp(text, typed, len) != 0)
            return 0;
    }
    while (n && ((unsigned char)first[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static void take(void *view, size_t row)
{
    struct chat_complete *k = of(view);
    struct tui_input *in = chat_commands_input(view);
    json_t *item = json_incref(json_array_get(k->items, row));
    const char *text = json_str(item, "text", ""), *after = json_str(item, "after", "");
    bool name = *text && text[strlen(text) - 1] == '=';
    tui_input_replace(in, k->from, text);
    if (*after && in->cursor == in->text.len)
        tui_input_insert(in, after, strlen(after));
    list_close(k);
    if (name) { /* its values come next */
        k->open = true;
        refresh(view);
    }
    json_decref(item);
}

static void fill(void *view)
{
    struct chat_complete *k = of(view);
    struct tui_input *in = chat_commands_input(view);
    size_t n = json_array_size(k->items), len = in->cursor - k->from;
    size_t same = n ? common(k, tui_input_text(in) + k->from, len) : 0;
    bool step = k->step;
    k->fill = k->step = false;
    if (n == 0) {
        list_close(k);
        tui_say("%s", _("nothing is known that goes on here"));
    } else if (n == 1) {
        take(view, 0);
    } else if (same > len) {
        char *text = xstrndup(json_str(json_array_get(k->items, 0), "text", ""), same);
        tui_input_replace(in, k->from, text);
        free(text);
        refresh(view);
    } else if (step) {
        k->marked = (k->marked + 1) % (long)n;
    }
}

/* The list anew, for what stands before the cursor. */
static void refresh(void *view)
{
    struct chat_complete *k = of(view);
    const struct tui_input *in = chat_commands_input(view);
    char *typed = xstrndup(tui_input_text(in), in->cursor);
    size_t word = strcspn(typed, " \n");
    bool known = true;
    json_decref(k->items);
    k->items = json_array();
    k->from = 0;
    prompts_load(k, view);
    if (!typed[word]) {
        commands_list(k, typed);
        known = k->prompts != NULL;
    } else if (!k->prompts) {
        known = false;
    } else {
        const json_t *prompt = prompt_of(k, typed, word);
        if (prompt)
            known = arguments_list(k, view, prompt, typed + word, word);
    }
    free(typed);
    if (k->marked >= (long)json_array_size(k->items))
        k->marked = -1;
    if (known && k->fill)
        fill(view);
    else if (known && !json_array_size(k->items))
        list_close(k);
    tui_dirty();
}

/* ---- keys */

/* A command, or a prompt's arguments: nothing else is completed, and a question may begin with a
 * path. */
static bool completes(void *view)
{
    const struct tui_input *in = chat_commands_input(view);
    const char *text = tui_input_text(in);
    size_t word = strcspn(text, " \n");
    return text[0] == '/' && in->cursor > 0 &&
           (in->cursor <= word || memchr(text, ':', word) != NULL);
}

void chat_complete_typed(void *view)
{
    struct chat_complete *k = of(view);
    if (!k->open)
        return;
    k->fill = k->step = false; /* P3 */
    k->marked = -1;
    if (completes(view))
        refresh(view);
    else
        list_close(k);
}

static void step(struct chat_complete *k, long by)
{
    long n = (long)json_array_size(k->items);
    if (n)
        k->marked = k->marked < 0 ? (by > 0 ? 0 : n - 1) : (k->marked + by + n) % n;
    tui_dirty();
}

bool chat_complete_action(void *view, enum tui_action action)
{
    struct chat_complete *k = of(view);
    if (action == ACTION_COMPLETE) {
        if (!completes(view))
            return false;
        k->step = k->open;
        if (!k->open) { /* what a server proposed before may be old */
            free(k->answered);
            k->answered = NULL;
            k->marked = -1;
        }
        k->open = k->fill = true;
        refresh(view);
        return true;
    }
    if (!k->open)
        return false;
    switch (action) {
    case ACTION_HISTORY_NEXT:
        step(k, 1);
        return true;
    case ACTION_HISTORY_PREV:
    case ACTION_PREV_PANE:
        step(k, -1);
        return true;
    case ACTION_SEND:
        if (k->marked < 0) {
            list_close(k);
            return false;
        }
        take(view, (size_t)k->marked);
        return true;
    case ACTION_BACK:
        list_close(k);
        return true;
    default:
        return false;
    }
}

/* ---- drawing */

static void item_draw(const struct chat_complete *k, struct tui_area row, size_t i)
{
    const json_t *item = json_array_get(k->items, i);
    const char *text = json_str(item, "text", ""), *about = json_str(item, "about", "");
    bool marked = (long)i == k->marked;
    tui_clear(row, ROLE_TEXT);
    if (marked)
        tui_put_glyph(row, 0, 0, ROLE_ACCENT, GLYPH_RUNNING);
    int x = 2 + tui_put(row, 0, 2, *about ? row.width * 3 / 5 : -1, ROLE_STRONG, text);
    x = x < row.width / 3 ? row.width / 3 : x + 2;
    if (*about && x < row.width)
        tui_put(row, 0, x, -1, ROLE_FOREIGN, about);
    if (marked)
        tui_restyle(row, 0, 0, row.width, ROLE_SELECTED);
}

void chat_complete_draw(void *view, struct tui_area a)
{
    struct chat_complete *k = of(view);
    size_t n = json_array_size(k->items);
    bool waits = k->fill || k->loading || k->asking;
    if (!k->open || a.height < 2 || (!n && !waits))
        return;
    int most = a.height - 1 < ROWS_MAX ? a.height - 1 : ROWS_MAX;
    k->rows = n < (size_t)most ? (int)n : most;
    k->y = a.height - k->rows;
    if (k->marked >= 0 && (size_t)k->marked < k->top)
        k->top = (size_t)k->marked;
    if (k->marked >= 0 && (size_t)k->marked >= k->top + (size_t)k->rows)
        k->top = (size_t)k->marked - (size_t)k->rows + 1;
    if (k->top + (size_t)k->rows > n)
        k->top = n - (size_t)k->rows;
    tui_fill(a, k->y - 1, 0, a.width, ROLE_RULE, GLYPH_RULE);
    int x = 1;
    if (n)
        x += tui_putf(a, k->y - 1, x, -1, ROLE_DIM, " %zu%s ", n, k->more && !waits ? "+" : "");
    if (waits)
        x += tui_putf(a, k->y - 1, x, -1, ROLE_ACCENT, " %s ", _("asking"));
    tui_putf(a, k->y - 1, x, -1, ROLE_DIM, " %s ", _("Tab chooses, Enter takes, Esc closes"));
    for (int row = 0; row < k->rows; row++)
        item_draw(k, tui_sub(a, k->y + row, 0, 1, a.width), k->top + (size_t)row);
}

bool chat_complete_click(void *view, int y)
{
    struct chat_complete *k = of(view);
    if (!k->open || y < k->y || y >= k->y + k->rows)
        return false;
    take(view, k->top + (size_t)(y - k->y));
    return true;
}
