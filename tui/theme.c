/* Themes: styles by role, for 256 colours, for 8 and for none. */
#include "backend/base/conf.h"
#include "backend/base/embed.h"
#include "backend/base/text.h"
#include "tui/internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THEME_MAX_BYTES = 64 * 1024, COLOUR_AS_TEXT = -2, WORD_MAX = 32 };

static const char *const role_names[ROLE_COUNT] = {
#define ROLE(id, help) #id,
#include "tui/roles.def"
#undef ROLE
};

static const char *const colour_names[] = {"black", "red",     "green", "yellow",
                                           "blue",  "magenta", "cyan",  "white"};

/* A place in a theme file, for its errors. */
struct at {
    const char *file;
    int line;
    const char *role;
};

static bool colour_parse(const char *word, int limit, short *out)
{
    if (!strcmp(word, "-")) {
        *out = COLOUR_AS_TEXT;
        return true;
    }
    if (!strcmp(word, "default")) {
        *out = -1;
        return true;
    }
    for (int i = 0; i < 8; i++)
        if (!strcmp(word, colour_names[i])) {
            *out = (short)i;
            return true;
        }
    char *end;
    long n = strtol(word, &end, 10);
    if (end == word || *end || n < 0 || n >= limit)
        return false;
    *out = (short)n;
    return true;
}

static bool attr_parse(const char *word, attr_t *attrs)
{
    static const struct {
        const char *word;
        attr_t attr;
    } names[] = {{"bold", A_BOLD},
                 {"dim", A_DIM},
                 {"italic", A_ITALIC},
                 {"underline", A_UNDERLINE},
                 {"reverse", A_REVERSE}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(word, names[i].word)) {
            *attrs |= names[i].attr;
            return true;
        }
    return false;
}

/* The next word of a part (NUL-ended); false at its end. A longer word is cut: no valid one is. */
static bool next_word(const char **p, char out[WORD_MAX])
{
    while (**p == ' ' || **p == '\t')
        (*p)++;
    size_t n = 0;
    for (; **p && **p != ' ' && **p != '\t'; (*p)++)
        if (n + 1 < WORD_MAX)
            out[n++] = **p;
    out[n] = 0;
    return n > 0;
}

static enum err style_parse(const struct at *at, const char *part, enum tui__depth depth,
                            struct tui__style *style, struct error *e)
{
    static const int limits[DEPTH_COUNT] = {256, 8, 0};
    char word[WORD_MAX];
    int colours = depth == DEPTH_NONE ? 2 : 0;
    while (next_word(&part, word)) {
        if (colours < 2) {
            if (!colour_parse(word, limits[depth], colours ? &style->bg : &style->fg))
                return err_set(e, ERR_CONFIG,
                               "%s:%d: %s: `%s` is no colour here (0 to %d, a name, default, -)",
                               at->file, at->line, at->role, word, limits[depth] - 1);
            colours++;
        } else if (!attr_parse(word, &style->attrs)) {
            return err_set(e, ERR_CONFIG,
                           "%s:%d: %s: `%s` is no attribute (bold dim italic underline reverse)",
                           at->file, at->line, at->role, word);
        }
    }
    if (colours < 2)
        return err_set(e, ERR_CONFIG,
                       "%s:%d: %s: two colours are wanted, foreground and background", at->file,
                       at->line, at->role);
    return ERR_OK;
}

static int role_find(const char *name)
{
    for (int i = 0; i < ROLE_COUNT; i++)
        if (!strcmp(role_names[i], name))
            return i;
    return -1;
}

static const char *role_nearest(const char *name)
{
    const char *best = role_names[0];
    unsigned best_distance = 1000;
    for (int i = 0; i < ROLE_COUNT; i++) {
        unsigned d = text_distance(name, role_names[i], 12);
        if (d < best_distance) {
            best_distance = d;
            best = role_names[i];
        }
    }
    return best;
}

/* One line, which is ours to cut up. */
static enum err line_parse(const char *file, int number, char *line, struct tui__theme *t,
                           bool *seen, struct error *e)
{
    char *hash = strchr(line, '#');
    if (hash)
        *hash = 0;
    char name[WORD_MAX];
    const char *p = line;
    if (!next_word(&p, name))
        return ERR_OK;
    int role = role_find(name);
    if (role < 0)
        return err_set(e, ERR_CONFIG, "%s:%d: `%s` is no role; the nearest is %s", file, number,
                       name, role_nearest(name));
    char *rest = strchr(line, '=');
    if (!rest)
        return err_set(e, ERR_CONFIG, "%s:%d: %s: `=` is missing", file, number, name);
    rest++;
    struct at at = {file, number, name};
    for (int depth = 0; depth < DEPTH_COUNT; depth++) {
        char *bar = rest ? strchr(rest, '|') : NULL;
        if (!rest || (depth + 1 < DEPTH_COUNT && !bar))
            return err_set(e, ERR_CONFIG,
                           "%s:%d: %s: three parts are wanted: 256 colours | 8 | none", file,
                           number, name);
        if (bar)
            *bar = 0;
        struct tui__style *style = &t->roles[role][depth];
        *style = (struct tui__style){-1, -1, 0};
        if (style_parse(&at, rest, (enum tui__depth)depth, style, e))
            return ERR_CONFIG;
        const struct tui__style *text = &t->roles[ROLE_TEXT][depth];
        if (style->fg == COLOUR_AS_TEXT)
            style->fg = role == ROLE_TEXT ? -1 : text->fg;
        if (style->bg == COLOUR_AS_TEXT)
            style->bg = role == ROLE_TEXT ? -1 : text->bg;
        rest = bar ? bar + 1 : NULL;
    }
    seen[role] = true;
    return ERR_OK;
}

enum err tui__theme_parse(const char *file, const char *data, size_t len, struct tui__theme *out,
                          struct error *e)
{
    bool seen[ROLE_COUNT] = {false};
    int number = 0;
    for (size_t at = 0; at < len;) {
        const char *nl = memchr(data + at, '\n', len - at);
        size_t n = nl ? (size_t)(nl - (data + at)) : len - at;
        char *line = xstrndup(data + at, n);
        number++;
        enum err code = line_parse(file, number, line, out, seen, e);
        if (!code && !seen[ROLE_TEXT])
            for (int i = 0; i < ROLE_COUNT; i++)
                if (seen[i])
                    code = err_set(e, ERR_CONFIG, "%s:%d: TEXT must stand before every other role",
                                   file, number);
        free(line);
        if (code)
            return code;
        at += n + 1;
    }
    for (int i = 0; i < ROLE_COUNT; i++)
        if (!seen[i])
            return err_set(e, ERR_CONFIG, "%s: the role %s is missing", file, role_names[i]);
    return ERR_OK;
}

/* The built-in file of that name, or NULL. */
static const struct embed_file *builtin(const char *name)
{
    for (const struct embed_file *f = embed_themes; f->name; f++) {
        const char *base = strrchr(f->name, '/');
        base = base ? base + 1 : f->name;
        size_t n = strlen(name);
        if (!strncmp(base, name, n) && !strcmp(base + n, ".theme"))
            return f;
    }
    return NULL;
}

/* Reads the user's file of that name; ERR_NOT_FOUND if there is none. */
static enum err user_load(const char *name, struct tui__theme *out, struct error *e)
{
    char *dir = conf_dir();
    char *path = xasprintf("%s/themes/%s.theme", dir ? dir : "", name);
    free(dir);
    char *data = NULL;
    enum err code = ERR_OK;
    FILE *f = fopen(path, "re");
    if (!f) {
        code = errno == ENOENT || errno == ENOTDIR
                   ? ERR_NOT_FOUND
                   : err_set(e, err_from_errno(errno), "%s: %s", path, strerror(errno));
        goto out;
    }
    data = xcalloc(1, THEME_MAX_BYTES + 1);
    size_t n = fread(data, 1, THEME_MAX_BYTES + 1, f);
    if (ferror(f))
        code = err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
    else if (n > THEME_MAX_BYTES)
        code = err_set(e, ERR_TOO_BIG, "%s is larger than %d bytes", path, THEME_MAX_BYTES);
    else
        code = tui__theme_parse(path, data, n, out, e);
    fclose(f);
out:
    free(data);
    free(path);
    return code;
}

static enum err no_theme(const char *name, struct error *e)
{
    struct buf names = {0};
    for (const struct embed_file *f = embed_themes; f->name; f++) {
        const char *base = strrchr(f->name, '/');
        base = base ? base + 1 : f->name;
        buf_addf(&names, " %.*s", (int)strcspn(base, "."), base);
    }
    enum err code = err_set(e, ERR_CONFIG, "there is no theme `%s`; built in are:%s", name,
                            names.data ? names.data : "");
    buf_release(&names);
    return code;
}

enum err tui__theme_load(const char *name, struct tui__theme *out, struct error *e)
{
    memset(out, 0, sizeof(*out));
    if (!*name || strchr(name, '/') || strlen(name) >= sizeof(out->name))
        return no_theme(name, e);
    memcpy(out->name, name, strlen(name));
    enum err code = user_load(name, out, e);
    if (code != ERR_NOT_FOUND)
        return code;
    const struct embed_file *f = builtin(name);
    return f ? tui__theme_parse(f->name, f->data, f->size, out, e) : no_theme(name, e);
}

const char *tui__theme_next(const char *name)
{
    /* The order a user steps through, whatever the order of the files. */
    static const char *const order[] = {"dark", "light", "high-contrast", "mono"};
    size_t n = sizeof(order) / sizeof(order[0]);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(order[i], name))
            return order[(i + 1) % n];
    return order[0];
}

enum tui__depth tui__theme_depth(void)
{
    const char *no_color = getenv("NO_COLOR");
    if ((no_color && *no_color) || !has_colors() || COLORS < 8)
        return DEPTH_NONE;
    return COLORS >= 256 && COLOR_PAIRS > ROLE_COUNT ? DEPTH_256 : DEPTH_8;
}

void tui__theme_apply(const struct tui__theme *t, enum tui__depth depth)
{
    /* Also without colours: otherwise curses writes its own white on black for pair 0. */
    bool own = use_default_colors() == OK && depth != DEPTH_NONE;
    struct {
        short fg, bg;
    } pairs[ROLE_COUNT];
    int used = 0;
    for (int i = 0; i < ROLE_COUNT; i++) {
        struct tui__style s = t->roles[i][depth];
        int pair = 0;
        if (depth != DEPTH_NONE) {
            /* Without default colours -1 is not valid: white on black is what such terminals have.
             */
            short fg = !own && s.fg < 0 ? COLOR_WHITE : s.fg,
                  bg = !own && s.bg < 0 ? COLOR_BLACK : s.bg;
            /* Roles of the same colours share a pair: curses then writes fewer bytes between them.
             */
            int p = 0;
            // cppcheck-suppress uninitvar ; the first `used` are set
            while (p < used && (pairs[p].fg != fg || pairs[p].bg != bg))
                p++;
            if (p < used)
                pair = p + 1;
            else if (init_extended_pair(used + 1, fg, bg) == OK) {
                pairs[used].fg = fg;
                pairs[used].bg = bg;
                pair = ++used;
            } /* else: pair 0, the terminal's own colours; a pair that failed would be black on
                 black */
        }
        tui__style_set((enum tui_role)i, s.attrs, pair);
    }
    int pair;
    attr_t attrs = tui__style(ROLE_TEXT, &pair);
    cchar_t blank;
    wchar_t space[2] = L" ";
    setcchar(&blank, space, attrs, (short)pair, &pair);
    wbkgrndset(stdscr, &blank);
    clearok(stdscr, TRUE);
}
