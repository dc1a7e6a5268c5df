/* Keys: from the terminal's bytes to one number a key, and their names as in actions.def. */
#ifndef TUI_KEYS_H
#define TUI_KEYS_H

#include "tui/tui.h"

/* A key is a code point (control keys are theirs: C-a is 1), or one of these; TKEY_META is added to
 * either when Alt was held. */
enum {
    TKEY_SPECIAL = 0x110000,
    TKEY_UP,
    TKEY_DOWN,
    TKEY_LEFT,
    TKEY_RIGHT,
    TKEY_HOME,
    TKEY_END,
    TKEY_PGUP,
    TKEY_PGDN,
    TKEY_INS,
    TKEY_DEL,
    TKEY_BS,
    TKEY_BTAB,
    TKEY_ESC,
    TKEY_ENTER,
    TKEY_TAB,
    TKEY_C_LEFT,
    TKEY_C_RIGHT,
    TKEY_F1, /* F1..F12 */
    TKEY_F12 = TKEY_F1 + 11,
    TKEY_META = 0x1000000
};
enum { TUI_PASTE_MAX = 64 * 1024 };

struct tui__event {
    enum { EVENT_NONE, EVENT_KEY, EVENT_PASTE, EVENT_CLICK, EVENT_WHEEL } type;
    uint32_t key;
    const char *text; /* EVENT_PASTE: valid until the next read; without ESC sequences */
    size_t len;
    bool cut;   /* EVENT_PASTE: there was more than TUI_PASTE_MAX */
    int y, x;   /* EVENT_CLICK, EVENT_WHEEL: a cell of the screen */
    int rows;   /* EVENT_WHEEL: down is positive */
    bool twice; /* EVENT_CLICK: a double click */
};

/* The key of a name ("Tab", "C-p", "M-1", "PgUp", "?"); 0 for an unknown one. */
uint32_t tui__key_parse(const char *name);
/* A key as the footer shows it: "^P", "Enter", "Alt-1". out has 16 bytes. */
void tui__key_show(uint32_t key, char out[16]);
/* Tells curses of the sequences it does not know by itself. After each start of curses. */
void tui__keys_start(void);
void tui__keys_stop(void);
/* The next thing that was typed, without waiting (25 ms at most, behind an ESC). */
bool tui__keys_read(struct tui__event *ev);
/* True while a paste is under way: read again soon, its end may be lost. */
bool tui__keys_pasting(void);

/* ---- actions */
enum tui__scope { SCOPE_GLOBAL, SCOPE_INPUT, SCOPE_LIST, SCOPE_VIEW };
struct tui__action_row {
    const char *keys, *name, *footer, *help;
    enum tui__scope scope;
};
const struct tui__action_row *tui__action(enum tui_action a);
bool tui__action_has_key(enum tui_action a, uint32_t key);
/* The first of the action's keys, which is no single character when typing is true; 0: none. */
uint32_t tui__action_key(enum tui_action a, bool typing);
/* The key of the Latin layout where this one of the Russian layout lies; others as they are. */
uint32_t tui__key_latin(uint32_t key);
/* A printable character without Alt: text where text is being typed. */
bool tui__key_is_text(uint32_t key);
/* Each key of a row's keys in turn: 0 at the end. */
uint32_t tui__key_next(const char **keys);
/* Does any action use this key? */
bool tui__key_bound(uint32_t key);

#endif
