/* drive: runs a terminal program under a pty of a given size, by a script, and compares its
 * screens.
 *
 * usage: drive [--size COLSxROWS] [--svg FILE] [--update] SCRIPT [-- COMMAND [ARG...]]
 * Without a command the script's `start` step names what the canned console shows.
 * The script has one step a line; # begins a comment:
 *   size COLSxROWS          before the program starts
 *   language ru             before the program starts
 *   terminal NAME [no-color]   what TERM is, and that NO_COLOR is set; before the program starts
 *   colourless              no cell of the screen has a colour
 *   start FIXTURE [THEME [CHARSET]]   the canned console beside this program, a fixture beside the
 * script wait MS                 let output arrive for that long expect REGEX            until the
 * screen's text matches, 5 s at most absent REGEX            the screen's text must not match now
 *   type TEXT, paste TEXT   \n \t \e \\ are read as escapes, \p as the number of this process
 *   file PATH MODE REGEX    is a file of that mode whose text matches; it is removed
 *   key NAME [COUNT]        Enter Esc Tab BTab Up Down Left Right Home End PgUp PgDn Del BS Space
 *                           F1..F12 C-x M-x, or a character
 *   click COL ROW           1-based, SGR mouse protocol
 *   resize COLSxROWS
 *   bytes MAX               at most MAX bytes were written since the last such step
 *   mask REGEX              what matches is shown as one # in golden files from here on
 *   golden NAME             the screen must be that of NAME.golden beside the script
 *   svg FILE                the screen as a picture
 * Exit: 0 all held, 1 a step failed, 2 unusable arguments. */
#include "backend/base/buf.h"
#include "backend/base/clock.h"
#include "backend/base/errors.h"
#include "backend/base/text.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vterm.h>

enum { QUIET_MS = 60, SETTLE_MS = 1500, EXPECT_MS = 5000, MASKS_MAX = 16 };

struct drive {
    int rows, cols, fd, line;
    pid_t pid;
    bool update, ended;
    VTerm *vt;
    VTermScreen *screen;
    char *dir;        /* of the script */
    const char *self; /* argv[0] */
    const char *svg;  /* --svg */
    char language[8]; /* "": English */
    char terminal[24];
    bool no_color;
    char **command; /* or NULL */
    size_t bytes;   /* since the last `bytes` step */
    regex_t masks[MASKS_MAX];
    size_t mask_count;
};

static bool fail(const struct drive *d, const char *what, const char *detail)
{
    fprintf(stderr, "line %d: %s: %s\n", d->line, what, detail);
    return false;
}

/* ---- the program */

/* Reads for at most wait_ms, or until nothing came for quiet_ms (0: wait_ms in any case). */
static void pump(struct drive *d, int wait_ms, int quiet_ms)
{
    uint64_t end = clock_mono_ms() + (uint64_t)wait_ms, last = clock_mono_ms();
    while (!d->ended) {
        uint64_t now = clock_mono_ms();
        if (now >= end || (quiet_ms && now - last >= (uint64_t)quiet_ms))
            break;
        struct pollfd p = {d->fd, POLLIN, 0};
        uint64_t until =
            quiet_ms && last + (uint64_t)quiet_ms < end ? last + (uint64_t)quiet_ms : end;
        if (poll(&p, 1, (int)(until - now)) <= 0)
            continue;
        char bytes[65536];
        ssize_t n = read(d->fd, bytes, sizeof(bytes));
        if (n <= 0) {
            d->ended = n == 0 || errno == EIO;
            continue;
        }
        vterm_input_write(d->vt, bytes, (size_t)n);
        d->bytes += (size_t)n;
        last = clock_mono_ms();
    }
    vterm_screen_flush_damage(d->screen);
}

static bool start(struct drive *d, char **command)
{
    struct winsize size = {(unsigned short)d->rows, (unsigned short)d->cols, 0, 0};
    d->vt = vterm_new(d->rows, d->cols);
    vterm_set_utf8(d->vt, 1);
    d->screen = vterm_obtain_screen(d->vt);
    vterm_screen_enable_altscreen(d->screen, 1);
    vterm_screen_reset(d->screen, 1);
    d->pid = forkpty(&d->fd, NULL, NULL, &size);
    if (d->pid < 0)
        return fail(d, "forkpty", strerror(errno));
    if (d->pid == 0) {
        setenv("TERM", *d->terminal ? d->terminal : "xterm-256color", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        setenv("LANGUAGE", d->language, 1);
        if (d->no_color)
            setenv("NO_COLOR", "1", 1);
        else
            unsetenv("NO_COLOR");
        execvp(command[0], command);
        _exit(127);
    }
    pump(d, SETTLE_MS, 250);
    return true;
}

static void stop(struct drive *d)
{
    if (d->pid > 0) {
        kill(d->pid, SIGTERM);
        pump(d, 1000, 0);
        kill(d->pid, SIGKILL);
        waitpid(d->pid, NULL, 0);
    }
    if (d->fd >= 0)
        close(d->fd);
    if (d->vt)
        vterm_free(d->vt);
    for (size_t i = 0; i < d->mask_count; i++)
        regfree(&d->masks[i]);
    free(d->dir);
}

static void send(struct drive *d, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(d->fd, bytes, len);
        if (n <= 0)
            break;
        bytes += n;
        len -= (size_t)n;
    }
    pump(d, SETTLE_MS, QUIET_MS);
}

/* ---- the screen as text */

static void add_cell(struct buf *out, const VTermScreenCell *cell)
{
    if (!cell->chars[0] || cell->chars[0] == (uint32_t)-1) {
        buf_addc(out, ' ');
        return;
    }
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell->chars[i]; i++) {
        char bytes[4];
        buf_add(out, bytes, text_encode(cell->chars[i], bytes));
    }
}

static char *screen_text(const struct drive *d)
{
    struct buf out = {0};
    for (int y = 0; y < d->rows; y++) {
        for (int x = 0; x < d->cols;) {
            VTermScreenCell cell;
            VTermPos at = {y, x};
            vterm_screen_get_cell(d->screen, at, &cell);
            add_cell(&out, &cell);
            x += cell.width > 0 ? cell.width : 1;
        }
        while (out.len && out.data[out.len - 1] == ' ')
            out.len--;
        buf_addc(&out, '\n');
    }
    return buf_take(&out);
}

static bool matches(const struct drive *d, const regex_t *re)
{
    char *text = screen_text(d);
    bool found = regexec(re, text, 0, NULL, 0) == 0;
    free(text);
    return found;
}

static bool compile(struct drive *d, regex_t *re, const char *pattern)
{
    char why[128];
    int code = regcomp(re, pattern, REG_EXTENDED | REG_NEWLINE);
    if (code) {
        regerror(code, re, why, sizeof(why));
        return fail(d, "regular expression", why);
    }
    return true;
}

/* ---- golden files and pictures */

/* What masks match becomes one #, so that its length does not matter. */
static char *masked_text(const struct drive *d)
{
    char *text = screen_text(d);
    for (size_t i = 0; i < d->mask_count; i++) {
        struct buf out = {0};
        regmatch_t m;
        size_t at = 0;
        while (text[at] && !regexec(&d->masks[i], text + at, 1, &m,
                                    at && text[at - 1] != '\n' ? REG_NOTBOL : 0)) {
            size_t empty = m.rm_eo == m.rm_so;
            buf_add(&out, text + at, (size_t)m.rm_so);
            buf_adds(&out, empty ? "" : "#");
            buf_add(&out, text + at + m.rm_eo, empty && text[at + (size_t)m.rm_eo]);
            at += (size_t)m.rm_eo + (empty && text[at + (size_t)m.rm_eo]);
        }
        buf_adds(&out, text + at);
        free(text);
        text = buf_take(&out);
    }
    return text;
}

static char *file_read(const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    struct buf b = {0};
    char bytes[4096];
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), f)) > 0;)
        buf_add(&b, bytes, n);
    fclose(f);
    return buf_take(&b);
}

static bool file_write(const char *path, const char *text, size_t len)
{
    FILE *f = fopen(path, "we");
    bool ok = f && fwrite(text, 1, len, f) == len;
    return f ? fclose(f) == 0 && ok : false;
}

static void show_difference(const char *want, const char *got)
{
    for (int line = 1; *want || *got; line++) {
        size_t w = strcspn(want, "\n"), g = strcspn(got, "\n");
        if (w != g || memcmp(want, got, w))
            fprintf(stderr, "  %2d want |%.*s|\n     got  |%.*s|\n", line, (int)w, want, (int)g,
                    got);
        want += w + (want[w] == '\n');
        got += g + (got[g] == '\n');
    }
}

static bool step_terminal(struct drive *d, const char *rest)
{
    size_t n = strcspn(rest, " ");
    d->no_color = !strcmp(rest + n, " no-color");
    if (!n || n >= sizeof(d->terminal) || (rest[n] && !d->no_color))
        return fail(d, "terminal", rest);
    memcpy(d->terminal, rest, n);
    d->terminal[n] = 0;
    return true;
}

static bool step_colourless(const struct drive *d)
{
    VTermScreenCell cell;
    for (int y = 0; y < d->rows; y++)
        for (int x = 0; x < d->cols; x++) {
            vterm_screen_get_cell(d->screen, (VTermPos){y, x}, &cell);
            if (VTERM_COLOR_IS_DEFAULT_FG(&cell.fg) && VTERM_COLOR_IS_DEFAULT_BG(&cell.bg))
                continue;
            char where[48];
            snprintf(where, sizeof(where), "row %d, column %d", y + 1, x + 1);
            return fail(d, "a colour", where);
        }
    return true;
}

static bool step_golden(struct drive *d, const char *name)
{
    char *path = xasprintf("%s/%s.golden", d->dir, name), *got = masked_text(d);
    char *want = file_read(path);
    bool ok = true;
    if (d->update) {
        ok = file_write(path, got, strlen(got)) || fail(d, path, strerror(errno));
    } else if (!want || strcmp(want, got)) {
        ok = fail(d, want ? "the screen is another one than in" : "there is no golden file", path);
        show_difference(want ? want : "", got);
    }
    free(want);
    free(got);
    free(path);
    return ok;
}

static void svg_colour(const struct drive *d, VTermColor c, char out[8])
{
    bool fg = VTERM_COLOR_IS_DEFAULT_FG(&c), bg = VTERM_COLOR_IS_DEFAULT_BG(&c);
    vterm_screen_convert_color_to_rgb(d->screen, &c);
    if (fg || bg)
        snprintf(out, 8, "%s", fg ? "#d0d0d0" : "#1c1c1c");
    else
        snprintf(out, 8, "#%02x%02x%02x", c.rgb.red, c.rgb.green, c.rgb.blue);
}

struct svg_style {
    char fg[8], bg[8];
    bool bold;
};

static struct svg_style style_at(const struct drive *d, int y, int x, VTermScreenCell *cell)
{
    struct svg_style s;
    VTermPos at = {y, x};
    memset(&s, 0, sizeof(s));
    vterm_screen_get_cell(d->screen, at, cell);
    svg_colour(d, cell->attrs.reverse ? cell->bg : cell->fg, s.fg);
    svg_colour(d, cell->attrs.reverse ? cell->fg : cell->bg, s.bg);
    s.bold = cell->attrs.bold;
    return s;
}

static void svg_escape(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] == '<')
            buf_adds(out, "&lt;");
        else if (s[i] == '&')
            buf_adds(out, "&amp;");
        else
            buf_addc(out, s[i]);
}

/* One stretch of a row in one style; returns where the next begins. */
static int svg_run(const struct drive *d, int y, int x, struct buf *rects, struct buf *texts)
{
    enum { CELL_W = 8, CELL_H = 17, BASE = 13 };
    VTermScreenCell cell;
    struct svg_style s = style_at(d, y, x, &cell);
    struct buf run = {0};
    int end = x;
    while (end < d->cols) {
        struct svg_style t = style_at(d, y, end, &cell);
        if (memcmp(&s, &t, sizeof(s)))
            break;
        add_cell(&run, &cell);
        end += cell.width > 0 ? cell.width : 1;
    }
    buf_addf(rects, "<rect x='%d' y='%d' width='%d' height='%d' fill='%s'/>\n", x * CELL_W,
             y * CELL_H, (end - x) * CELL_W, CELL_H, s.bg);
    size_t blank = 0;
    while (blank < run.len && run.data[blank] == ' ')
        blank++;
    if (blank < run.len) {
        buf_addf(texts, "<text x='%d' y='%d' textLength='%d' fill='%s'%s>", x * CELL_W,
                 y * CELL_H + BASE, (end - x) * CELL_W, s.fg, s.bold ? " font-weight='bold'" : "");
        svg_escape(texts, run.data, run.len);
        buf_adds(texts, "</text>\n");
    }
    buf_release(&run);
    return end;
}

static bool step_svg(struct drive *d, const char *path)
{
    struct buf rects = {0}, texts = {0}, out = {0};
    for (int y = 0; y < d->rows; y++)
        for (int x = 0; x < d->cols;)
            x = svg_run(d, y, x, &rects, &texts);
    buf_addf(&out,
             "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' viewBox='0 0 %d %d' "
             "font-family='DejaVu Sans Mono,Menlo,Consolas,monospace' font-size='13' "
             "xml:space='preserve' style='white-space:pre' shape-rendering='crispEdges'>\n",
             d->cols * 8, d->rows * 17, d->cols * 8, d->rows * 17);
    buf_add(&out, rects.data, rects.len);
    if (texts.len)
        buf_add(&out, texts.data, texts.len);
    buf_adds(&out, "</svg>\n");
    bool ok = file_write(path, out.data, out.len) || fail(d, path, strerror(errno));
    buf_release(&rects);
    buf_release(&texts);
    buf_release(&out);
    return ok;
}

/* ---- steps */

static bool size_parse(const char *s, int *cols, int *rows)
{
    char *end;
    long c = strtol(s, &end, 10), r = *end == 'x' ? strtol(end + 1, &end, 10) : 0;
    if (*end || c < 1 || r < 1 || c > 500 || r > 500)
        return false;
    *cols = (int)c;
    *rows = (int)r;
    return true;
}

static void unescape(const char *s, struct buf *out)
{
    for (; *s; s++) {
        if (*s != '\\' || !s[1]) {
            buf_addc(out, *s);
            continue;
        }
        if (*++s == 'p') {
            buf_addf(out, "%d", (int)getpid());
            continue;
        }
        buf_addc(out, *s == 'n' ? '\n' : *s == 't' ? '\t' : *s == 'e' ? '\033' : *s);
    }
}

static bool key_bytes(const char *name, char out[16])
{
    static const char *const keys[][2] = {
        {"Enter", "\r"},     {"Esc", "\033"},     {"Tab", "\t"},       {"BTab", "\033[Z"},
        {"Up", "\033OA"},    {"Down", "\033OB"},  {"Right", "\033OC"}, {"Left", "\033OD"},
        {"Home", "\033OH"},  {"End", "\033OF"},   {"PgUp", "\033[5~"}, {"PgDn", "\033[6~"},
        {"Del", "\033[3~"},  {"BS", "\177"},      {"Space", " "},      {"F1", "\033OP"},
        {"F2", "\033OQ"},    {"F3", "\033OR"},    {"F4", "\033OS"},    {"F5", "\033[15~"},
        {"F6", "\033[17~"},  {"F7", "\033[18~"},  {"F8", "\033[19~"},  {"F9", "\033[20~"},
        {"F10", "\033[21~"}, {"F11", "\033[23~"}, {"F12", "\033[24~"}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!strcmp(keys[i][0], name)) {
            snprintf(out, 16, "%s", keys[i][1]);
            return true;
        }
    if (!strncmp(name, "C-", 2) && name[2] && !name[3])
        snprintf(out, 16, "%c", toupper((unsigned char)name[2]) & 0x1f);
    else if (!strncmp(name, "M-", 2) && name[2])
        snprintf(out, 16, "\033%.8s", name + 2);
    else if (strlen(name) <= 4)
        snprintf(out, 16, "%s", name);
    else
        return false;
    return true;
}

static bool step_key(struct drive *d, const char *rest)
{
    char name[16] = "", bytes[16];
    size_t n = strcspn(rest, " ");
    if (n >= sizeof(name))
        return fail(d, "key", rest);
    memcpy(name, rest, n);
    long count = rest[n] ? strtol(rest + n, NULL, 10) : 1;
    if (!key_bytes(name, bytes))
        return fail(d, "key", rest);
    for (long i = 0; i < count; i++)
        send(d, bytes, *bytes ? strlen(bytes) : 1);
    return true;
}

static bool step_expect(struct drive *d, const char *pattern, bool wanted)
{
    regex_t re;
    if (!compile(d, &re, pattern))
        return false;
    uint64_t end = clock_mono_ms() + EXPECT_MS;
    bool found;
    while (!(found = matches(d, &re)) && wanted && !d->ended && clock_mono_ms() < end)
        pump(d, 50, 0);
    regfree(&re);
    if (found == wanted)
        return true;
    fail(d, wanted ? "not on the screen" : "on the screen", pattern);
    char *text = screen_text(d);
    fputs(text, stderr);
    free(text);
    return false;
}

static bool step_start(struct drive *d, const char *rest)
{
    if (d->command)
        return start(d, d->command);
    char *words = xstrdup(rest), *save = NULL;
    char *fixture = strtok_r(words, " ", &save), *theme = strtok_r(NULL, " ", &save);
    char *charset = theme ? strtok_r(NULL, " ", &save) : NULL;
    const char *slash = strrchr(d->self, '/');
    char *canned = xasprintf("%.*scanned", slash ? (int)(slash - d->self) + 1 : 0, d->self);
    char *path = xasprintf("%s/%s", d->dir, fixture ? fixture : "canned.json");
    char dark[] = "dark", utf8[] = "utf-8";
    char *argv[] = {canned, path, theme ? theme : dark, charset ? charset : utf8, NULL};
    bool ok = start(d, argv);
    free(path);
    free(canned);
    free(words);
    return ok;
}

static bool step_text(struct drive *d, const char *text, bool paste)
{
    struct buf b = {0};
    if (paste)
        buf_adds(&b, "\033[200~");
    unescape(text, &b);
    if (paste)
        buf_adds(&b, "\033[201~");
    send(d, b.data ? b.data : "", b.len);
    buf_release(&b);
    return true;
}

static bool step_file(const struct drive *d, const char *rest)
{
    char word[128] = "", text[4096] = "", *pattern = NULL;
    unsigned mode = 0;
    int used = 0;
    struct buf path = {0};
    struct stat st;
    regex_t re;
    if (sscanf(rest, "%127s %o %n", word, &mode, &used) < 2 || !used)
        return fail(d, "file", rest);
    pattern = xstrdup(rest + used);
    unescape(word, &path);
    FILE *f = fopen(path.data, "re");
    bool good = f && fstat(fileno(f), &st) == 0 && (st.st_mode & 0777) == mode &&
                fread(text, 1, sizeof(text) - 1, f) > 0 &&
                regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0;
    if (good) {
        good = regexec(&re, text, 0, NULL, 0) == 0;
        regfree(&re);
    }
    if (f)
        fclose(f);
    unlink(path.data);
    buf_release(&path);
    free(pattern);
    return good || fail(d, "the file is not so", rest);
}

static bool step_click(struct drive *d, const char *rest)
{
    char *end, bytes[64];
    long x = strtol(rest, &end, 10), y = strtol(end, NULL, 10);
    int n = snprintf(bytes, sizeof(bytes), "\033[<0;%ld;%ldM\033[<0;%ld;%ldm", x, y, x, y);
    send(d, bytes, (size_t)n);
    return true;
}

static bool step_resize(struct drive *d, const char *rest)
{
    if (!size_parse(rest, &d->cols, &d->rows))
        return fail(d, "size", rest);
    struct winsize size = {(unsigned short)d->rows, (unsigned short)d->cols, 0, 0};
    vterm_set_size(d->vt, d->rows, d->cols);
    ioctl(d->fd, TIOCSWINSZ, &size);
    pump(d, SETTLE_MS, 200);
    return true;
}

static bool step_bytes(struct drive *d, const char *rest)
{
    size_t most = (size_t)strtol(rest, NULL, 10), got = d->bytes;
    char text[64];
    d->bytes = 0;
    snprintf(text, sizeof(text), "%zu bytes were written, at most %zu may be", got, most);
    return got <= most || fail(d, "bytes", text);
}

static bool step_mask(struct drive *d, const char *pattern)
{
    if (d->mask_count == MASKS_MAX || !compile(d, &d->masks[d->mask_count], pattern))
        return fail(d, "mask", pattern);
    d->mask_count++;
    return true;
}

static bool step_wait(struct drive *d, const char *rest)
{
    pump(d, (int)strtol(rest, NULL, 10), 0);
    return true;
}

static bool step(struct drive *d, const char *word, const char *rest)
{
    if (!strcmp(word, "size"))
        return size_parse(rest, &d->cols, &d->rows) || fail(d, "size", rest);
    if (!strcmp(word, "language"))
        return snprintf(d->language, sizeof(d->language), "%s", rest) > 0;
    if (!strcmp(word, "terminal"))
        return step_terminal(d, rest);
    if (!strcmp(word, "start"))
        return step_start(d, rest);
    if (!strcmp(word, "mask"))
        return step_mask(d, rest);
    if (!d->vt)
        return fail(d, word, "nothing was started");
    if (!strcmp(word, "wait"))
        return step_wait(d, rest);
    if (!strcmp(word, "expect") || !strcmp(word, "absent"))
        return step_expect(d, rest, *word == 'e');
    if (!strcmp(word, "type") || !strcmp(word, "paste"))
        return step_text(d, rest, *word == 'p');
    if (!strcmp(word, "key"))
        return step_key(d, rest);
    if (!strcmp(word, "file"))
        return step_file(d, rest);
    if (!strcmp(word, "click"))
        return step_click(d, rest);
    if (!strcmp(word, "resize"))
        return step_resize(d, rest);
    if (!strcmp(word, "bytes"))
        return step_bytes(d, rest);
    if (!strcmp(word, "colourless"))
        return step_colourless(d);
    if (!strcmp(word, "golden"))
        return step_golden(d, rest);
    if (!strcmp(word, "svg"))
        return step_svg(d, rest);
    return fail(d, "there is no such step", word);
}

static bool run(struct drive *d, char *script)
{
    bool ok = true;
    /* strsep keeps empty lines, so that line numbers are right. */
    for (char *line; ok && (line = strsep(&script, "\n"));) {
        d->line++;
        while (*line == ' ')
            line++;
        if (!*line || *line == '#')
            continue;
        char *rest = line + strcspn(line, " ");
        if (*rest)
            *rest++ = 0;
        ok = step(d, line, rest);
    }
    if (ok && d->svg)
        ok = d->vt && step_svg(d, d->svg);
    return ok;
}

int main(int argc, char **argv)
{
    struct drive d = {.rows = 24, .cols = 80, .fd = -1, .self = argv[0]};
    const char *script = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--") && i + 1 < argc) {
            d.command = argv + i + 1;
            break;
        }
        if (!strcmp(argv[i], "--update"))
            d.update = true;
        else if (!strcmp(argv[i], "--svg") && i + 1 < argc)
            d.svg = argv[++i];
        else if (!strcmp(argv[i], "--size") && i + 1 < argc &&
                 size_parse(argv[i + 1], &d.cols, &d.rows))
            i++;
        else if (argv[i][0] != '-' && !script)
            script = argv[i];
        else
            script = NULL, i = argc;
    }
    char *text = script ? file_read(script) : NULL;
    if (!text) {
        fputs("usage: drive [--size COLSxROWS] [--svg FILE] [--update] SCRIPT [-- COMMAND...]\n",
              stderr);
        return 2;
    }
    const char *slash = strrchr(script, '/');
    d.dir = slash ? xstrndup(script, (size_t)(slash - script)) : xstrdup(".");
    bool ok = run(&d, text);
    free(text);
    stop(&d);
    return ok ? 0 : 1;
}
