/* The running console: what its loop, layout, status, palette and prompts share. */
#ifndef TUI_APP_H
#define TUI_APP_H

#include "tui/internal.h"
#include "tui/keys.h"
#include "views/view.h"

enum tui__view {
#define VIEW(name, ops, title, place) VIEW_##name,
#include "views/views.def"
#undef VIEW
    VIEW_COUNT
};
enum tui__place { PLACE_LEFT, PLACE_FULL, PLACE_TALL, PLACE_HALF, PLACE_ALONE };
struct tui__view_row {
    const struct view_ops *ops;
    const char *title, *go; /* go: what the palette calls going there */
    enum tui__place place;
};
extern const struct tui__view_row tui__views[VIEW_COUNT];

enum { TUI_MIN_WIDTH = 40, TUI_MIN_HEIGHT = 12, TUI_WIDE_WIDTH = 120, TUI_WIDE_HEIGHT = 36 };
enum { TUI_PROMPT_MAX = 200, TUI_HINTS_MAX = 24, TUI_ERROR_LINES = 4 };

/* What takes the keys before the focused view does. */
enum tui__mode { MODE_VIEW, MODE_FILTER, MODE_PALETTE, MODE_CONFIRM, MODE_PROMPT };

/* A word of the bottom line that can be clicked. */
struct tui__hint {
    enum tui_action action;
    int x, width;
};

struct tui__app {
    struct view views[VIEW_COUNT];
    struct tui_area panes[VIEW_COUNT]; /* where each was drawn last; width 0: not shown */
    int tab_x[VIEW_COUNT + 1];         /* columns of the tab bar, -1: no bar is shown */
    int alone_x[VIEW_COUNT];           /* of its title in the mosaic's first rule; 0: not there */
    int focus, back_to;                /* back_to: the view that Esc comes back to, -1: none */
    bool zoom;
    enum tui__mode mode;
    bool quit;
    bool asked_resume; /* the backend was asked to go on with what an earlier run left */

    bool dirty, urgent; /* draw; draw without waiting for the next frame */
    bool echo;          /* all that is urgent is text that the focused pane took */
    uint64_t drawn_at;  /* monotonic ms */
    uint64_t wake_at;   /* when time alone makes it dirty; 0: never */
    int minute;         /* that the clock shows */

    struct busc *bus;
    struct tui__pending *pending; /* calls made before the bus was there */
    json_t *status;               /* what status.get answered last, or NULL */
    int shown_latency;            /* ms in the top line, 0: none */

    struct tui__theme theme;
    bool mouse;
    void (*reload)(void); /* or NULL */

    char found[TUI_PROMPT_MAX];  /* what `/` looked for last in a text */
    char prompt[TUI_PROMPT_MAX]; /* what is typed into the filter or the palette */
    int palette_at;              /* the selected row */
    char *question;              /* MODE_CONFIRM, MODE_PROMPT */
    void (*answer)(void *arg);
    void (*answer_text)(void *arg, const char *text);
    void *answer_arg;
    char *said; /* a message in the bottom line, until said_until */
    uint64_t said_until;
    char *error; /* stays until a key is pressed */

    char *overlay_title;
    struct tui_text *overlay; /* NULL: none is open */
    size_t overlay_top, overlay_lines;
    int overlay_height, overlay_width;

    struct tui__form *form; /* over the panes; NULL: none is open */

    size_t answering; /* answers that are being given */
    struct tui__hint hints[TUI_HINTS_MAX];
    size_t hint_count;

    /* The backend's own end, told by main: why nothing will be answered. ERR_OK: all is well. */
    enum err (*fatal)(void *arg, struct error *e);
    void *fatal_arg;
    struct error ended;
};

/* The one console of this process, for tui.h's calls, which carry no handle. */
struct tui__app *tui__app(void);

struct tui__app_options {
    const struct tui__theme *theme;
    bool mouse;
    void (*reload)(void); /* the configuration is to be read again; does not block; may be NULL */
};
/* Opens the views and paints the first frame; the bus comes later. */
struct tui__app *tui__app_new(const struct tui__app_options *o);
/* Runs until the user leaves; then the bus is freed. Returns why it ended: ERR_OK, or the backend's
 * error. */
enum err tui__app_run(struct tui__app *app, struct busc *bus,
                      enum err (*fatal)(void *arg, struct error *e), void *arg, struct error *e);
void tui__app_free(struct tui__app *app);

/* Does what an action says for the whole console, or hands it to the focused view. */
bool tui__app_do(struct tui__app *app, enum tui_action action);
void tui__app_focus(struct tui__app *app, int view);
bool tui__app_typing(const struct tui__app *app);
/* The place in views.def that a PANE action goes to (there may be no view), -1 for other actions.
 */
int tui__app_pane(enum tui_action action);
/* What the palette calls it; a PANE action by its view. */
const char *tui__app_action_name(enum tui_action action);
/* The first view that takes a VIEW action, -1: none. */
int tui__app_taker(enum tui_action action);
/* Is the action of use in the focused view as it is now? */
bool tui__app_offers(const struct tui__app *app, enum tui_action action);
const struct view_ops *tui__app_ops(const struct tui__app *app);
/* Is there something `/` can search: an overlay, or a view with texts? */
bool tui__app_searches(const struct tui__app *app);
struct tui_list *tui__app_list(const struct tui__app *app);

/* ---- parts of the screen */
void tui__frame_draw(struct tui__app *app); /* layout.c: everything */
bool tui__frame_echo(struct tui__app *app); /* the focused pane alone; false: it must be all */
void tui__status_draw(struct tui__app *app, struct tui_area line); /* status.c */
void tui__status_set(struct tui__app *app, const json_t *status);
void tui__footer_draw(struct tui__app *app, struct tui_area line);  /* footer.c */
void tui__palette_draw(struct tui__app *app, struct tui_area body); /* palette.c */
void tui__palette_key(struct tui__app *app, const struct tui__event *ev);
void tui__overlay_draw(struct tui__app *app, struct tui_area body); /* overlay.c */
bool tui__overlay_action(struct tui__app *app, enum tui_action action);
void tui__overlay_scroll(struct tui__app *app, long rows);
/* Goes to the next place of the text in the overlay, as view_ops.find. */
bool tui__overlay_find(struct tui__app *app, const char *text, int step);
void tui__overlay_close(struct tui__app *app);
void tui__form_draw(struct tui__app *app, struct tui_area body); /* form.c */
void tui__form_key(struct tui__app *app, const struct tui__event *ev);
void tui__form_close(struct tui__app *app);                         /* as Esc does */
void tui__help_open(struct tui__app *app);                          /* help.c */
void tui__error_draw(struct tui__app *app, struct tui_area screen); /* notice.c */
void tui__notice_release(struct tui__app *app);
void tui__confirm_key(struct tui__app *app, const struct tui__event *ev);
void tui__prompt_answer(struct tui__app *app, const struct tui__event *ev);
/* Edits the prompt's text by a key; true if it changed. */
bool tui__prompt_key(struct tui__app *app, const struct tui__event *ev);
/* A tui_area of the whole screen. */
struct tui_area tui__screen_area(void);

/* kill.c: the kill switch. */
bool tui__kill_is_on(const struct tui__app *app);
void tui__kill_key(struct tui__app *app);

#endif
