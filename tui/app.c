/* The console's loop: it waits for the terminal, the bus, signals and time, and draws what changed.
 *
 * A1 It never waits for the backend: calls are answered by callbacks.
 * A2 A key is drawn at once; what comes by the bus at most every FRAME_MS.
 * A3 Nothing is drawn, and so nothing written, when nothing changed: the clock has minutes only.
 * A4 Text is never lost by a key: Esc goes one step back. */
#include "tui/app.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "tui/screen.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MS = 50, MAX_KEYS_A_TURN = 256, WATCH_MS = 250 };

/* A call that a view made before the bus was there. */
struct tui__pending {
    struct tui__pending *next;
    void *self;
    enum wire_method method;
    json_t *params;
    busc_reply *fn;
};

const struct tui__view_row tui__views[VIEW_COUNT] = {
#define VIEW(name, ops, title, place) {&ops, title, "go to " #name, PLACE_##place},
#include "views/views.def"
#undef VIEW
};

/* See tui__app in app.h. */
static struct tui__app *the_app;

struct tui__app *tui__app(void)
{
    return the_app;
}

void tui_dirty(void)
{
    if (the_app)
        the_app->dirty = true;
}

void tui_dirty_in(unsigned ms)
{
    uint64_t at = clock_mono_ms() + ms;
    if (the_app && (!the_app->wake_at || at < the_app->wake_at))
        the_app->wake_at = at;
}

void tui_answering(size_t n)
{
    if (the_app)
        the_app->answering = n;
}

/* ---- views */

const struct view_ops *tui__app_ops(const struct tui__app *app)
{
    return app->views[app->focus].ops;
}

static void *focused_self(const struct tui__app *app)
{
    return app->views[app->focus].self;
}

struct tui_list *tui__app_list(const struct tui__app *app)
{
    const struct view_ops *ops = tui__app_ops(app);
    return ops->list ? ops->list(focused_self(app)) : NULL;
}

bool tui__app_typing(const struct tui__app *app)
{
    const struct view_ops *ops = tui__app_ops(app);
    return !app->overlay && !app->form && ops->typing && ops->typing(focused_self(app));
}

static bool takes(const struct view_ops *ops, enum tui_action action)
{
    for (const enum tui_action *a = ops->actions; a && *a != ACTION_NONE; a++)
        if (*a == action)
            return true;
    return false;
}

/* Of a VIEW action: does the focused view take it as it is now? */
static bool takes_now(const struct tui__app *app, enum tui_action action)
{
    const struct view_ops *ops = tui__app_ops(app);
    return takes(ops, action) && (!ops->offers || ops->offers(focused_self(app), action));
}

int tui__app_pane(enum tui_action action)
{
    return action >= ACTION_PANE_1 && action <= ACTION_PANE_9 ? (int)(action - ACTION_PANE_1) : -1;
}

const char *tui__app_action_name(enum tui_action action)
{
    int pane = tui__app_pane(action);
    return pane >= 0 && pane < VIEW_COUNT ? tui__views[pane].go : tui__action(action)->name;
}

int tui__app_taker(enum tui_action action)
{
    for (int i = 0; i < VIEW_COUNT; i++)
        if (tui__action(action)->scope == SCOPE_VIEW && takes(tui__views[i].ops, action))
            return i;
    return -1;
}

/* What a text that is read takes. */
static bool reads(enum tui_action action)
{
    switch (action) {
    case ACTION_FILTER:
    case ACTION_FIND_NEXT:
    case ACTION_FIND_PREV:
    case ACTION_UP:
    case ACTION_DOWN:
    case ACTION_PAGE_UP:
    case ACTION_PAGE_DOWN:
    case ACTION_TOP:
    case ACTION_BOTTOM:
        return true;
    default:
        return false;
    }
}

bool tui__app_offers(const struct tui__app *app, enum tui_action action)
{
    bool typing = tui__app_typing(app);
    switch (tui__action(action)->scope) {
    case SCOPE_GLOBAL:
        return tui__app_pane(action) < VIEW_COUNT;
    case SCOPE_INPUT:
        return typing;
    case SCOPE_LIST:
        if ((action == ACTION_SORT || action == ACTION_SORT_REVERSE || action == ACTION_MARK) &&
            !(tui__app_list(app) && tui_list_sorts(tui__app_list(app))))
            return false;
        if (tui__app_list(app) || app->overlay)
            return true;
        return !typing && (takes_now(app, action) || (tui__app_searches(app) && reads(action)));
    case SCOPE_VIEW:
        return takes_now(app, action);
    }
    return false;
}

void tui_call(void *self, enum wire_method m, json_t *params, busc_reply *fn)
{
    BUG_IF(!the_app);
    if (the_app->bus) {
        busc_call(the_app->bus, m, params, fn, self);
        return;
    }
    struct tui__pending *p = xcalloc(1, sizeof(*p)), **end = &the_app->pending;
    *p = (struct tui__pending){NULL, self, m, params, fn};
    while (*end)
        end = &(*end)->next;
    *end = p;
}

static void pending_send(struct tui__app *app)
{
    while (app->pending) {
        struct tui__pending *p = app->pending;
        app->pending = p->next;
        if (app->bus)
            busc_call(app->bus, p->method, p->params, p->fn, p->self);
        else
            json_decref(p->params);
        free(p);
    }
}

void tui__app_focus(struct tui__app *app, int view)
{
    if (view < 0 || view >= VIEW_COUNT)
        return;
    app->focus = view;
    app->back_to = -1;
    app->dirty = true;
}

void tui_show_item(const char *view, const char *id)
{
    for (int i = 0; i < VIEW_COUNT; i++)
        if (!strcmp(tui__views[i].ops->name, view)) {
            int from = the_app->focus;
            tui__app_focus(the_app, i);
            the_app->back_to = from == i ? -1 : from;
            if (id && tui__views[i].ops->show)
                tui__views[i].ops->show(the_app->views[i].self, id);
        }
}

/* ---- the bus */

static void on_resumed(void *arg, const json_t *result, const struct error *e)
{
    (void)arg, (void)result, (void)e; /* what is gone on with is told by events */
}

static void on_status(void *arg, const json_t *result, const struct error *e)
{
    struct tui__app *app = arg;
    if (result && !app->asked_resume && !strcmp(json_str(result, "role", ""), "operator"))
        busc_call(app->bus, WIRE_chat_resume, NULL, on_resumed, app);
    app->asked_resume |= result != NULL;
    if (result)
        tui__status_set(app, result);
    else if (app->fatal && app->fatal(app->fatal_arg, &app->ended) != ERR_OK)
        app->quit = true;
    else
        tui_error(e, "status.get");
    app->dirty = true;
}

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct tui__app *app = arg;
    if (!strcmp(type, "status"))
        tui__status_set(app, data);
    for (int i = 0; i < VIEW_COUNT; i++)
        if (app->views[i].ops->event)
            app->views[i].ops->event(app->views[i].self, type, at, data);
}

static void on_resync(void *arg)
{
    struct tui__app *app = arg;
    busc_call(app->bus, WIRE_status_get, NULL, on_status, app);
    for (int i = 0; i < VIEW_COUNT; i++)
        if (app->views[i].ops->resync)
            app->views[i].ops->resync(app->views[i].self);
}

/* ---- actions */

static void on_stopped(void *arg, const json_t *result, const struct error *e)
{
    (void)arg;
    if (!result)
        tui_error(e, "chat.stop");
    else if (json_int(result, "stopped", 0) == 0)
        tui_say("%s", _("nothing is being answered"));
    else
        tui_say(_("stopped: %lld"), (long long)json_int(result, "stopped", 0));
}

static void next_theme(struct tui__app *app)
{
    struct tui__theme theme;
    struct error e = {0};
    if (tui__theme_load(tui__theme_next(app->theme.name), &theme, &e)) {
        tui_error(&e, _("theme"));
        return;
    }
    app->theme = theme;
    tui__theme_apply(&app->theme, tui__theme_depth());
    tui_say(_("theme: %s"), app->theme.name);
}

static void next_pane(struct tui__app *app, int step)
{
    tui__app_focus(app, (app->focus + step + VIEW_COUNT) % VIEW_COUNT);
}

bool tui__app_searches(const struct tui__app *app)
{
    return app->overlay ||
           (tui__app_ops(app)->find && !tui__app_list(app) && !tui__app_typing(app));
}

/* Goes to a place of the text in what is read; says so when there is none. */
static bool find(struct tui__app *app, const char *text, int step)
{
    bool found = app->overlay ? tui__overlay_find(app, text, step)
                              : tui__app_ops(app)->find(focused_self(app), text, step);
    if (!found && *text)
        tui_say(step < 0 ? _("no more above: %s") : _("no more below: %s"), text);
    app->dirty = true;
    return found;
}

static void filter_open(struct tui__app *app)
{
    struct tui_list *list = app->overlay ? NULL : tui__app_list(app);
    if (!list && !tui__app_searches(app))
        return;
    app->mode = MODE_FILTER;
    const char *now = list ? tui_list_filter(list) : "";
    size_t n = now && strlen(now) < TUI_PROMPT_MAX ? strlen(now) : 0;
    memcpy(app->prompt, now ? now : "", n);
    app->prompt[n] = 0;
}

/* Esc that nobody nearer to the eye took. */
static void back(struct tui__app *app)
{
    struct tui_list *list = tui__app_list(app);
    if (list && tui_list_filter(list) && *tui_list_filter(list))
        tui_list_set_filter(list, "");
    else if (app->back_to >= 0)
        tui__app_focus(app, app->back_to);
    else
        app->zoom = false;
}

static bool do_global(struct tui__app *app, enum tui_action action)
{
    if (tui__app_pane(action) >= 0) {
        tui__app_focus(app, tui__app_pane(action));
        return true;
    }
    switch (action) {
    case ACTION_PALETTE:
        app->mode = MODE_PALETTE;
        app->prompt[0] = 0;
        app->palette_at = 0;
        return true;
    case ACTION_COMPLETE: /* nothing stands there that could be completed */
    case ACTION_NEXT_PANE:
        next_pane(app, 1);
        return true;
    case ACTION_PREV_PANE:
        next_pane(app, -1);
        return true;
    case ACTION_ZOOM:
        app->zoom = !app->zoom;
        return true;
    case ACTION_HELP:
        tui__help_open(app);
        return true;
    case ACTION_STOP:
        tui_call(app, WIRE_chat_stop, NULL, on_stopped);
        return true;
    case ACTION_KILL:
        tui__kill_key(app);
        return true;
    case ACTION_BACK:
        back(app);
        return true;
    case ACTION_QUIT:
        app->quit = true;
        return true;
    case ACTION_SUSPEND:
        tui__screen_suspend();
        return true;
    case ACTION_REDRAW:
        clearok(curscr, TRUE);
        return true;
    case ACTION_THEME:
        next_theme(app);
        return true;
    case ACTION_MOUSE:
        app->mouse = !app->mouse;
        tui__screen_mouse(app->mouse);
        tui_say("%s", app->mouse ? _("the console reads the mouse")
                                 : _("the mouse is the terminal's: its own selection works"));
        return true;
    default:
        return false;
    }
}

bool tui__app_do(struct tui__app *app, enum tui_action action)
{
    app->dirty = true;
    bool step = action == ACTION_FIND_NEXT || action == ACTION_FIND_PREV;
    if ((step || action == ACTION_FILTER) && tui__app_searches(app)) {
        if (!step)
            filter_open(app);
        else if (*app->found)
            find(app, app->found, action == ACTION_FIND_NEXT ? 1 : -1);
        else
            tui_say("%s", _("/ says what to look for"));
        return true;
    }
    if (app->overlay && tui__overlay_action(app, action))
        return true;
    const struct view_ops *ops = tui__app_ops(app);
    if (!app->overlay) {
        if (ops->action && ops->action(focused_self(app), action))
            return true;
        struct tui_list *list = tui__app_list(app);
        if (action == ACTION_FILTER && list) {
            filter_open(app);
            return true;
        }
        if (list && tui__action(action)->scope == SCOPE_LIST && tui_list_action(list, action))
            return true;
    }
    return do_global(app, action);
}

/* ---- events of the terminal */

/* The action of a key: the nearest scope first. */
static enum tui_action key_action(const struct tui__app *app, uint32_t key, bool typing)
{
    static const enum tui__scope near_first[] = {SCOPE_INPUT, SCOPE_VIEW, SCOPE_LIST, SCOPE_GLOBAL};
    for (size_t s = 0; s < sizeof(near_first) / sizeof(near_first[0]); s++) {
        enum tui__scope scope = near_first[s];
        if (scope == SCOPE_INPUT && !typing)
            continue;
        if (typing && tui__key_is_text(key))
            continue;
        for (int a = 1; a < ACTION_COUNT; a++)
            if (tui__action((enum tui_action)a)->scope == scope &&
                tui__action_has_key((enum tui_action)a, key) &&
                (scope != SCOPE_VIEW || (!app->overlay && takes_now(app, (enum tui_action)a))))
                return (enum tui_action)a;
    }
    return ACTION_NONE;
}

/* The same prompt over a text: Enter goes to the first place at or behind what is shown. */
static void find_key(struct tui__app *app, const struct tui__event *ev)
{
    if (ev->type == EVENT_KEY && (ev->key == TKEY_ENTER || ev->key == '\n')) {
        app->mode = MODE_VIEW;
        memcpy(app->found, app->prompt, sizeof(app->found));
        find(app, app->found, 0);
    } else if (ev->type == EVENT_KEY && (ev->key == TKEY_ESC || ev->key == 3)) {
        app->mode = MODE_VIEW;
        app->found[0] = 0;
        find(app, "", 0);
    } else {
        tui__prompt_key(app, ev);
    }
}

static void filter_key(struct tui__app *app, const struct tui__event *ev)
{
    if (app->overlay || !tui__app_list(app)) {
        find_key(app, ev);
        return;
    }
    struct tui_list *list = tui__app_list(app);
    if (ev->type == EVENT_KEY && (ev->key == TKEY_ENTER || ev->key == '\n')) {
        app->mode = MODE_VIEW;
    } else if (ev->type == EVENT_KEY && (ev->key == TKEY_ESC || ev->key == 3)) {
        if (list)
            tui_list_set_filter(list, "");
        app->mode = MODE_VIEW;
    } else if (ev->type == EVENT_KEY && (ev->key == TKEY_UP || ev->key == TKEY_DOWN)) {
        if (list)
            tui_list_action(list, ev->key == TKEY_UP ? ACTION_UP : ACTION_DOWN);
    } else if (tui__prompt_key(app, ev) && list) {
        tui_list_set_filter(list, app->prompt);
    }
}

static void key(struct tui__app *app, const struct tui__event *ev)
{
    bool typing = tui__app_typing(app);
    const struct view_ops *ops = tui__app_ops(app);
    enum tui_action action = key_action(app, ev->key, typing);
    if (action == ACTION_NONE && !typing) /* a key of the Russian layout: by where it lies */
        action = key_action(app, tui__key_latin(ev->key), typing);
    if (action != ACTION_NONE) {
        tui__app_do(app, action);
    } else if (typing && tui__key_is_text(ev->key) && ops->text) {
        char bytes[4];
        size_t n = text_encode(ev->key, bytes);
        ops->text(focused_self(app), bytes, n);
        app->echo = true;
    }
}

static void click(struct tui__app *app, const struct tui__event *ev)
{
    for (size_t i = 0; i < app->hint_count; i++)
        if (ev->y == LINES - 1 && ev->x >= app->hints[i].x &&
            ev->x < app->hints[i].x + app->hints[i].width) {
            tui__app_do(app, app->hints[i].action);
            return;
        }
    if (app->tab_x[0] >= 0 && ev->y == 1) {
        for (int i = 0; i < VIEW_COUNT; i++)
            if (ev->x >= app->tab_x[i] && ev->x < app->tab_x[i + 1]) {
                tui__overlay_close(app);
                tui__app_focus(app, i);
            }
        return;
    }
    if (app->overlay)
        return;
    for (int i = 0; i < VIEW_COUNT; i++) /* the last one ends at the edge */
        if (app->alone_x[i] && ev->y == 1 && ev->x >= app->alone_x[i]) {
            tui__app_focus(app, i);
            return;
        }
    for (int i = 0; i < VIEW_COUNT; i++) {
        struct tui_area a = app->panes[i];
        /* The title above a pane of the mosaic belongs to it. */
        if (a.width > 0 && ev->x >= a.x && ev->x < a.x + a.width && ev->y >= a.y - 1 &&
            ev->y < a.y + a.height) {
            tui__app_focus(app, i);
            const struct view_ops *ops = app->views[i].ops;
            if (ev->y >= a.y && ops->click)
                ops->click(app->views[i].self, ev->y - a.y, ev->x - a.x, ev->twice);
            return;
        }
    }
}

static void wheel(struct tui__app *app, const struct tui__event *ev)
{
    if (app->overlay) {
        tui__overlay_scroll(app, ev->rows);
        return;
    }
    for (int i = 0; i < VIEW_COUNT; i++) {
        struct tui_area a = app->panes[i];
        if (a.width > 0 && ev->x >= a.x && ev->x < a.x + a.width && ev->y >= a.y &&
            ev->y < a.y + a.height && app->views[i].ops->wheel)
            app->views[i].ops->wheel(app->views[i].self, ev->rows);
    }
}

static void handle_any(struct tui__app *app, const struct tui__event *ev)
{
    if (app->error && ev->type == EVENT_KEY) { /* it was read; Esc does nothing else */
        free(app->error);
        app->error = NULL;
        if (ev->key == TKEY_ESC)
            return;
    }
    if (ev->type == EVENT_KEY && tui__action_has_key(ACTION_KILL, ev->key)) {
        tui__kill_key(app); /* whatever else is open */
        return;
    }
    bool hand = ev->type == EVENT_KEY && ev->key >= TKEY_F1 && ev->key <= TKEY_F12;
    if (app->form && app->mode == MODE_VIEW && !hand) /* what F keys stop is stopped here too */
        tui__form_key(app, ev);
    else if (ev->type == EVENT_CLICK && app->mode == MODE_VIEW)
        click(app, ev);
    else if (ev->type == EVENT_WHEEL)
        wheel(app, ev);
    else if (app->mode == MODE_CONFIRM)
        tui__confirm_key(app, ev);
    else if (app->mode == MODE_PROMPT)
        tui__prompt_answer(app, ev);
    else if (app->mode == MODE_PALETTE)
        tui__palette_key(app, ev);
    else if (app->mode == MODE_FILTER)
        filter_key(app, ev);
    else if (ev->type == EVENT_KEY)
        key(app, ev);
    else if (ev->type == EVENT_PASTE && tui__app_typing(app) && tui__app_ops(app)->text) {
        tui__app_ops(app)->text(focused_self(app), ev->text, ev->len);
        if (ev->cut)
            tui_say(_("the paste was cut at %d KiB"), TUI_PASTE_MAX / 1024);
    }
}

/* Text that was typed needs the focused pane only, unless something else happened before. */
static void handle(struct tui__app *app, const struct tui__event *ev)
{
    bool full = app->error || (app->urgent && !app->echo);
    app->echo = false;
    handle_any(app, ev);
    app->urgent = true;
    app->echo &= !full;
    app->dirty |= !app->echo;
}

/* ---- the loop */

static void draw_now(struct tui__app *app)
{
    if (app->echo && app->urgent && tui__frame_echo(app)) { /* what is dirty waits for its frame */
        app->urgent = app->echo = false;
        tui__screen_flush();
        return;
    }
    app->dirty = app->urgent = app->echo = false;
    app->drawn_at = clock_mono_ms();
    tui__frame_draw(app);
    tui__screen_flush();
}

/* Until when poll may sleep, in ms; -1: for ever. */
static int patience(const struct tui__app *app, uint64_t now)
{
    int64_t wait = -1;
    if (app->dirty || app->urgent)
        wait = app->urgent ? 0 : (int64_t)(app->drawn_at + FRAME_MS) - (int64_t)now;
    uint64_t times[] = {app->wake_at, app->said ? app->said_until : 0};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (times[i] && (wait < 0 || (int64_t)times[i] - (int64_t)now < wait))
            wait = (int64_t)times[i] - (int64_t)now;
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    int64_t minute = (60 - real.tv_sec % 60) * 1000 - real.tv_nsec / 1000000 + 1;
    if (app->dirty && wait < 0)
        return 0;
    if (wait < 0 || minute < wait)
        wait = minute;
    if (tui__keys_pasting() && wait > 100)
        wait = 100;
    if (app->bus && !busc_hello(app->bus) && wait > WATCH_MS)
        wait = WATCH_MS; /* the backend may have ended before it answered */
    return (int)wait;
}

static void time_passes(struct tui__app *app)
{
    uint64_t now = clock_mono_ms();
    if (app->wake_at && now >= app->wake_at) {
        app->wake_at = 0;
        app->dirty = true;
    }
    if (app->said && now >= app->said_until) {
        free(app->said);
        app->said = NULL;
        app->dirty = true;
    }
    int minute = (int)(clock_real_ms() / 60000 % 60);
    if (minute != app->minute) {
        app->minute = minute;
        app->dirty = true;
    }
    if (app->bus && !busc_hello(app->bus) && app->fatal &&
        app->fatal(app->fatal_arg, &app->ended) != ERR_OK)
        app->quit = true;
}

static void read_terminal(struct tui__app *app)
{
    struct tui__event ev;
    for (int n = 0; n < MAX_KEYS_A_TURN && !app->quit && tui__keys_read(&ev); n++)
        handle(app, &ev);
}

static void signals(struct tui__app *app)
{
    struct tui__signals s = tui__signals_take();
    if (s.quit)
        app->quit = true;
    if (s.reload && app->reload) {
        app->reload();
        tui_say("%s", _("the configuration is read again"));
    }
    if (s.stop)
        tui__screen_suspend();
    if (s.cont)
        tui__screen_continue();
    if (s.resize)
        tui__screen_resize();
    app->dirty = app->urgent = true;
    app->echo = false;
}

static void turn(struct tui__app *app)
{
    struct pollfd fds[3] = {{STDIN_FILENO, POLLIN, 0},
                            {tui__signals_fd(), POLLIN, 0},
                            {app->bus ? busc_fd(app->bus) : -1, POLLIN, 0}};
    int n = poll(fds, 3, patience(app, clock_mono_ms()));
    if (n < 0 && errno != EINTR)
        BUG("poll");
    if (n > 0 && fds[1].revents)
        signals(app);
    if (n > 0 && fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        app->quit = true; /* the terminal is gone, and says POLLIN as well for ever */
    else if ((n > 0 && fds[0].revents & POLLIN) || tui__keys_pasting())
        read_terminal(app);
    if (app->urgent && !app->quit)
        draw_now(app); /* the echo before anything else happens */
    if (n > 0 && fds[2].revents && app->bus)
        busc_dispatch(app->bus);
    time_passes(app);
    if (app->dirty && !app->quit && (app->urgent || clock_mono_ms() - app->drawn_at >= FRAME_MS))
        draw_now(app);
}

struct tui__app *tui__app_new(const struct tui__app_options *o)
{
    struct tui__app *app = xcalloc(1, sizeof(*app));
    the_app = app;
    app->theme = *o->theme;
    app->mouse = o->mouse;
    app->reload = o->reload;
    app->back_to = -1;
    app->minute = (int)(clock_real_ms() / 60000 % 60);
    tui__theme_apply(&app->theme, tui__theme_depth());
    for (int i = 0; i < VIEW_COUNT; i++) {
        const struct view_ops *ops = tui__views[i].ops;
        BUG_IF(!ops->name || !ops->draw || !ops->actions);
        app->views[i].ops = ops;
        app->views[i].self = xcalloc(1, ops->size ? ops->size : 1);
        if (ops->open)
            ops->open(app->views[i].self);
    }
    draw_now(app);
    return app;
}

enum err tui__app_run(struct tui__app *app, struct busc *bus,
                      enum err (*fatal)(void *arg, struct error *e), void *arg, struct error *e)
{
    app->bus = bus;
    app->fatal = fatal;
    app->fatal_arg = arg;
    busc_events(bus, on_event, on_resync, app);
    busc_call(bus, WIRE_status_get, NULL, on_status, app);
    pending_send(app);
    while (!app->quit)
        turn(app);
    busc_free(bus); /* replies no longer arrive: views may go */
    app->bus = NULL;
    if (e)
        *e = app->ended;
    return app->ended.code;
}

void tui__app_free(struct tui__app *app)
{
    tui__form_close(app); /* its answer may use a view */
    for (int i = 0; i < VIEW_COUNT; i++) {
        if (app->views[i].ops->close)
            app->views[i].ops->close(app->views[i].self);
        free(app->views[i].self);
    }
    pending_send(app);
    tui__notice_release(app);
    tui__overlay_close(app);
    json_decref(app->status);
    the_app = NULL;
    free(app);
}
