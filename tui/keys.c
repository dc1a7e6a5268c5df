/* Keys: curses' codes, pastes and mouse reports become one event each.
 *
 * K1 What stands between the marks of a bracketed paste never acts as a key, even if the pasted
 * text holds the closing mark itself: what arrives in the same breath behind it belongs to the
 * paste. K2 The mouse is read by SGR reports of our own asking, everywhere alike: curses decodes
 * them only for terminals named xterm*. */
#include "tui/keys.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "tui/internal.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

/* Codes given to define_key: above what curses allocates by itself. */
enum { CODE_PASTE = 0x700, CODE_MOUSE, CODE_C_LEFT, CODE_C_RIGHT, CODE_DROP };
enum { DOUBLE_CLICK_MS = 400, PASTE_PATIENCE_MS = 2000, BREATH_MS = 5, WHEEL_ROWS = 3 };

/* Belongs to the one terminal, as curses itself. */
static struct {
    bool pasting, paste_cut, paste_closing;
    enum { IN_TEXT, IN_ESCAPE, IN_ONE, IN_CONTROL } paste_in; /* what a terminal sends for a key */
    size_t paste_seen;                                        /* of the closing mark */
    mbstate_t paste_state;
    uint64_t paste_at;
    struct buf paste;
    uint64_t click_at;
    int click_y, click_x;
} keys;

static const struct {
    const char *name, *show;
    uint32_t key;
} names[] = {
    {"Enter", "Enter", TKEY_ENTER},   {"Tab", "Tab", TKEY_TAB},
    {"BTab", "Shift-Tab", TKEY_BTAB}, {"Esc", "Esc", TKEY_ESC},
    {"Space", "Space", ' '},          {"Up", "Up", TKEY_UP},
    {"Down", "Down", TKEY_DOWN},      {"Left", "Left", TKEY_LEFT},
    {"Right", "Right", TKEY_RIGHT},   {"Home", "Home", TKEY_HOME},
    {"End", "End", TKEY_END},         {"PgUp", "PgUp", TKEY_PGUP},
    {"PgDn", "PgDn", TKEY_PGDN},      {"Ins", "Ins", TKEY_INS},
    {"Del", "Del", TKEY_DEL},         {"BS", "Backspace", TKEY_BS},
    {"C-Left", "^Left", TKEY_C_LEFT}, {"C-Right", "^Right", TKEY_C_RIGHT},
};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

uint32_t tui__key_parse(const char *name)
{
    for (size_t i = 0; i < NAMES; i++)
        if (!strcmp(names[i].name, name))
            return names[i].key;
    if (!strncmp(name, "M-", 2) && name[2]) {
        uint32_t key = tui__key_parse(name + 2);
        return key ? key | TKEY_META : 0;
    }
    if (!strncmp(name, "C-", 2) && name[2] >= 'a' && name[2] <= 'z' && !name[3])
        return (uint32_t)(name[2] - 'a' + 1);
    if (name[0] == 'F' && name[1] >= '1' && name[1] <= '9') {
        long n = strtol(name + 1, NULL, 10);
        return n >= 1 && n <= 12 ? TKEY_F1 + (uint32_t)n - 1 : 0;
    }
    uint32_t cp;
    size_t n = text_decode(name, strlen(name), &cp);
    return n && !name[n] && cp >= ' ' && !(cp & TEXT_BAD) ? cp : 0;
}

void tui__key_show(uint32_t key, char out[16])
{
    if (key & TKEY_META) {
        char rest[16];
        tui__key_show(key & ~(uint32_t)TKEY_META, rest);
        snprintf(out, 16, "Alt-%.11s", rest);
        return;
    }
    for (size_t i = 0; i < NAMES; i++)
        if (names[i].key == key) {
            snprintf(out, 16, "%s", names[i].show);
            return;
        }
    if (key >= TKEY_F1 && key <= TKEY_F12)
        snprintf(out, 16, "F%u", key - TKEY_F1 + 1);
    else if (key < ' ')
        snprintf(out, 16, "^%c", (char)(key + '@'));
    else {
        char bytes[4];
        snprintf(out, 16, "%.*s", (int)text_encode(key, bytes), bytes);
    }
}

void tui__keys_start(void)
{
    define_key("\033[200~", CODE_PASTE);
    define_key("\033[201~", CODE_DROP);
    define_key("\033[<", CODE_MOUSE);
    define_key("\033[1;5D", CODE_C_LEFT);
    define_key("\033[1;5C", CODE_C_RIGHT);
    define_key("\033Od", CODE_C_LEFT);
    define_key("\033Oc", CODE_C_RIGHT);
    define_key("\033[I", CODE_DROP); /* focus reports that a terminal was left with */
    define_key("\033[O", CODE_DROP);
    /* Cursor keys of terminals that were found in the other mode than terminfo says. */
    define_key("\033[A", KEY_UP);
    define_key("\033[B", KEY_DOWN);
    define_key("\033[C", KEY_RIGHT);
    define_key("\033[D", KEY_LEFT);
    define_key("\033[H", KEY_HOME);
    define_key("\033[F", KEY_END);
}

void tui__keys_stop(void)
{
    buf_release(&keys.paste);
    keys.pasting = false;
}

bool tui__keys_pasting(void)
{
    return keys.pasting;
}

/* ---- special codes */

static uint32_t from_code(wint_t code)
{
    static const struct {
        wint_t code;
        uint32_t key;
    } map[] = {{KEY_UP, TKEY_UP},          {KEY_DOWN, TKEY_DOWN},       {KEY_LEFT, TKEY_LEFT},
               {KEY_RIGHT, TKEY_RIGHT},    {KEY_HOME, TKEY_HOME},       {KEY_END, TKEY_END},
               {KEY_FIND, TKEY_HOME},      {KEY_SELECT, TKEY_END},      {KEY_PPAGE, TKEY_PGUP},
               {KEY_NPAGE, TKEY_PGDN},     {KEY_IC, TKEY_INS},          {KEY_DC, TKEY_DEL},
               {KEY_BACKSPACE, TKEY_BS},   {KEY_BTAB, TKEY_BTAB},       {KEY_ENTER, TKEY_ENTER},
               {CODE_C_LEFT, TKEY_C_LEFT}, {CODE_C_RIGHT, TKEY_C_RIGHT}};
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (map[i].code == code)
            return map[i].key;
    if (code >= (wint_t)KEY_F(1) && code <= (wint_t)KEY_F(12))
        return TKEY_F1 + (code - (wint_t)KEY_F(1));
    return 0;
}

static uint32_t from_char(wint_t ch)
{
    switch (ch) {
    case '\r':
        return TKEY_ENTER;
    case '\t':
        return TKEY_TAB;
    case 27:
        return TKEY_ESC;
    case 8:
    case 127:
        return TKEY_BS;
    case 0:
        return 0;
    default:
        return ch <= 0x10ffff ? (uint32_t)ch : 0;
    }
}

/* ---- mouse: ESC [ < button ; column ; row M or m */

static bool mouse_read(struct tui__event *ev)
{
    long part[3] = {0, 0, 0};
    int n = 0;
    wint_t ch;
    for (int i = 0; i < 24; i++) {
        if (get_wch(&ch) != OK)
            return false;
        if (ch >= '0' && ch <= '9') {
            if (part[n] < 100000)
                part[n] = part[n] * 10 + (long)(ch - '0');
        } else if (ch == ';' && n < 2) {
            n++;
        } else {
            break;
        }
    }
    if (n != 2 || (ch != 'M' && ch != 'm') || part[1] < 1 || part[2] < 1)
        return false;
    ev->x = (int)part[1] - 1;
    ev->y = (int)part[2] - 1;
    if (part[0] == 64 || part[0] == 65) {
        ev->type = EVENT_WHEEL;
        ev->rows = part[0] == 64 ? -WHEEL_ROWS : WHEEL_ROWS;
        return true;
    }
    if (ch != 'M' || part[0] != 0)
        return false;
    uint64_t now = clock_mono_ms();
    ev->type = EVENT_CLICK;
    ev->twice =
        now - keys.click_at < DOUBLE_CLICK_MS && ev->y == keys.click_y && ev->x == keys.click_x;
    keys.click_at = ev->twice ? 0 : now;
    keys.click_y = ev->y;
    keys.click_x = ev->x;
    return true;
}

/* ---- pastes */

static void paste_add(wint_t ch)
{
    if (ch == '\r')
        ch = '\n';
    if ((ch < ' ' && ch != '\n' && ch != '\t') || ch == 127 || ch > 0x10ffff)
        return; /* no control character comes in by a paste */
    if (keys.paste.len + 4 > TUI_PASTE_MAX) {
        keys.paste_cut = true;
        return;
    }
    char bytes[4];
    buf_add(&keys.paste, bytes, text_encode((uint32_t)ch, bytes));
}

static bool paste_done(struct tui__event *ev)
{
    keys.pasting = false;
    ev->type = EVENT_PASTE;
    ev->text = keys.paste.data ? keys.paste.data : "";
    ev->len = keys.paste.len;
    ev->cut = keys.paste_cut;
    return true;
}

/* A byte of a paste. What terminals send for keys is left out as a whole. */
static void paste_byte(char byte)
{
    static const char end[] = "201~";
    if (keys.paste_in != IN_TEXT) {
        bool control = keys.paste_in == IN_CONTROL;
        if (!control && (byte == '[' || byte == 'O')) {
            keys.paste_in = byte == '[' ? IN_CONTROL : IN_ONE;
            keys.paste_seen = 0;
            return;
        }
        if (keys.paste_in != IN_ESCAPE && byte >= ' ' && byte <= '~') {
            bool last = !control || byte >= '@';
            keys.paste_seen += keys.paste_seen < sizeof end - 1 && end[keys.paste_seen] == byte
                                   ? 1
                                   : sizeof end; /* it is another one */
            keys.paste_closing |= control && last && keys.paste_seen == sizeof end - 1;
            keys.paste_in = last ? IN_TEXT : IN_CONTROL;
            return;
        }
        keys.paste_in = IN_TEXT;
    }
    if (byte == '\033') {
        keys.paste_in = IN_ESCAPE;
        return;
    }
    wchar_t ch;
    size_t n = mbrtowc(&ch, &byte, 1, &keys.paste_state);
    if (n <= 1)
        paste_add((wint_t)ch);
    else if (n == (size_t)-1) /* no character of this locale */
        memset(&keys.paste_state, 0, sizeof keys.paste_state);
}

/* Reads what is there of a paste; true when it has ended. Past curses, which asks the kernel twice
 * for each byte: it holds none of them, having read no further than the mark. */
static bool paste_read(struct tui__event *ev)
{
    for (;;) {
        char bytes[4096];
        struct pollfd in = {STDIN_FILENO, POLLIN, 0};
        ssize_t n = poll(&in, 1, keys.paste_closing ? BREATH_MS : 0) > 0
                        ? read(STDIN_FILENO, bytes, sizeof bytes)
                        : 0;
        if (n <= 0) {
            if (keys.paste_closing || clock_mono_ms() - keys.paste_at > PASTE_PATIENCE_MS)
                return paste_done(ev);
            return false;
        }
        keys.paste_at = clock_mono_ms();
        for (ssize_t i = 0; i < n; i++)
            paste_byte(bytes[i]);
    }
}

static void paste_begin(void)
{
    buf_clear(&keys.paste);
    keys.pasting = true;
    keys.paste_cut = keys.paste_closing = false;
    keys.paste_in = IN_TEXT;
    memset(&keys.paste_state, 0, sizeof keys.paste_state);
    keys.paste_at = clock_mono_ms();
}

/* ---- reading */

/* An ESC came: with a bound key right behind it, it is Alt. */
static uint32_t escape_read(void)
{
    wint_t ch;
    int rc = get_wch(&ch);
    if (rc == ERR)
        return TKEY_ESC;
    uint32_t key = rc == KEY_CODE_YES ? from_code(ch) : from_char(ch);
    if (key && tui__key_bound(key | TKEY_META))
        return key | TKEY_META;
    if (rc == OK)
        unget_wch((wchar_t)ch);
    else
        ungetch((int)ch);
    return TKEY_ESC;
}

bool tui__keys_read(struct tui__event *ev)
{
    for (;;) {
        memset(ev, 0, sizeof(*ev));
        if (keys.pasting)
            return paste_read(ev);
        wint_t ch;
        int rc = get_wch(&ch);
        if (rc == ERR)
            return false;
        if (rc == KEY_CODE_YES && ch == CODE_PASTE) {
            paste_begin();
        } else if (rc == KEY_CODE_YES && ch == CODE_MOUSE) {
            if (mouse_read(ev))
                return true;
        } else {
            ev->key = rc == KEY_CODE_YES ? from_code(ch) : ch == 27 ? escape_read() : from_char(ch);
            if (ev->key) {
                ev->type = EVENT_KEY;
                return true;
            }
        }
    }
}

/* ---- the Russian layout */

uint32_t tui__key_latin(uint32_t key)
{
    static const struct {
        const char *russian, *latin;
    } rows_of_keys[] = {
        {"йцукенгшщзхъфывапролджэячсмитьбю.", "qwertyuiop[]asdfghjkl;'zxcvbnm,./"},
        {"ЙЦУКЕНГШЩЗХЪФЫВАПРОЛДЖЭЯЧСМИТЬБЮ,", "QWERTYUIOP{}ASDFGHJKL:\"ZXCVBNM<>?"}};
    for (size_t r = 0; r < sizeof(rows_of_keys) / sizeof(rows_of_keys[0]); r++) {
        const char *p = rows_of_keys[r].russian;
        for (size_t i = 0; *p; i++) {
            uint32_t cp;
            p += text_decode(p, strlen(p), &cp);
            if (cp == key)
                return (uint32_t)rows_of_keys[r].latin[i];
        }
    }
    return key;
}

/* ---- actions */

static const struct tui__action_row rows[ACTION_COUNT] = {
    [ACTION_NONE] = {"", "", "", "", SCOPE_GLOBAL},
#define ACTION(id, key_names, action_name, footer_word, scope_name, help_text) \
    [ACTION_##id] = {key_names, action_name, footer_word, help_text, SCOPE_##scope_name},
#include "tui/actions.def"
#undef ACTION
};

const struct tui__action_row *tui__action(enum tui_action a)
{
    return &rows[a];
}

bool tui__key_is_text(uint32_t key)
{
    return key >= ' ' && key < TKEY_SPECIAL && key != 127;
}

uint32_t tui__key_next(const char **p)
{
    char word[16];
    while (**p == ' ')
        (*p)++;
    size_t n = strcspn(*p, " ");
    if (!n)
        return 0;
    BUG_IF(n >= sizeof(word));
    memcpy(word, *p, n);
    word[n] = 0;
    *p += n;
    uint32_t key = tui__key_parse(word);
    BUG_IF(!key); /* a row of actions.def names a key that does not exist */
    return key;
}

bool tui__action_has_key(enum tui_action a, uint32_t key)
{
    const char *p = rows[a].keys;
    for (uint32_t k; (k = tui__key_next(&p));)
        if (k == key)
            return true;
    return false;
}

uint32_t tui__action_key(enum tui_action a, bool typing)
{
    const char *p = rows[a].keys;
    for (uint32_t k; (k = tui__key_next(&p));)
        if (!typing || !tui__key_is_text(k))
            return k;
    return 0;
}

bool tui__key_bound(uint32_t key)
{
    for (int a = 1; a < ACTION_COUNT; a++)
        if (tui__action_has_key((enum tui_action)a, key))
            return true;
    return false;
}
