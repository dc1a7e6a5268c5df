/* A view: one pane. A new one is a file here and a row in views.def. */
#ifndef VIEW_H
#define VIEW_H

#include "tui/tui.h"

struct view_ops;
struct view { /* what the console keeps of an open view */
    const struct view_ops *ops;
    void *self; /* ops->size zeroed bytes */
};

struct view_ops {
    const char *name;               /* "chat"; tui_show_item's word */
    size_t size;                    /* of its private data */
    const enum tui_action *actions; /* ends with ACTION_NONE: VIEW actions it takes, and which LIST
                                       or INPUT ones the footer is to show */
    /* Is this one of `actions` of use as the view is now? NULL: each always is. */
    bool (*offers)(void *self, enum tui_action action);
    /* What the bottom line is to name as the view is now, in this order, ending with ACTION_NONE,
     * before what is everywhere; NULL: what `actions` has, in the table's order. May be NULL. */
    const enum tui_action *(*hints)(void *self);
    void (*open)(void *self);  /* ask for a snapshot */
    void (*close)(void *self); /* release; no reply arrives afterwards (see tui_call) */
    /* Draws into a; focused: also tui_cursor. Called only when something changed. */
    void (*draw)(void *self, struct tui_area a, bool focused);
    /* A key's action in the view's scope. False: not taken. */
    bool (*action)(void *self, enum tui_action action);
    /* A typed character or pasted text where the view takes text; NULL for views that do not. Enter
     * and the like arrive as INPUT actions. */
    bool (*text)(void *self, const char *bytes, size_t len);
    /* True while characters go to `text` (then single-character GLOBAL and LIST keys do not act).
     */
    bool (*typing)(void *self);
    bool (*click)(void *self, int y, int x, bool twice); /* cell of its area */
    void (*wheel)(void *self, int rows);
    void (*event)(void *self, const char *type, int64_t at,
                  const json_t *data); /* every bus event */
    void (*resync)(void *self);        /* the event stream broke: ask for snapshots */
    /* A short mark behind the title in the tab bar and the pane's rule ("▲1", "87"), with its role;
     * empty for none. May be NULL. */
    void (*badge)(void *self, char *out, size_t size, enum tui_role *role);
    /* Goes to the thing with that id (tui_show_item). May be NULL. */
    void (*show)(void *self, const char *id);
    /* `/` while a view has no list: goes to the next place of the text from where the view is (step
     * 0: also that one; 1, -1: the one behind or before it); false: there is none. "" ends it. May
     * be NULL. */
    bool (*find)(void *self, const char *text, int step);
    /* The list that `/` filters, or NULL. May be NULL. */
    struct tui_list *(*list)(void *self);
};

/* Calls the backend for a view; fn is not called after the view was closed. */
void tui_call(void *self, enum wire_method m, json_t *params, busc_reply *fn);

#define VIEW(name, ops, title, place) extern const struct view_ops ops;
#include "views/views.def"
#undef VIEW

#endif
