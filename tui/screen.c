/* The terminal: taking it, giving it back.
 *
 * S1 However the process ends, short of SIGKILL, the terminal is given back: on return, on a signal
 *    that asks to end, and from the handler of a fatal one, which only writes bytes made
 * beforehand. S2 Nothing but curses and this file writes to the terminal while it is taken:
 * standard error goes to memory and is printed afterwards. */
#include "tui/screen.h"
#include "tui/internal.h"
#include "tui/keys.h"
#include "tui/sgr.h"
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <libintl.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

enum {
    SYNC_LINES = 4,
    SYNC_BYTES = 512,
    RESTORE_MAX = 256,
    FLUSH_MS = 50,
    ROWS_MAX = 1000,
    COLUMNS_MAX = 2000
};

/* The terminal is one a process and the handlers of signals need it: no handle can be passed. */
static struct {
    volatile sig_atomic_t taken;
    SCREEN *screen;
    WINDOW *cell; /* one cell, for lines_changed */
    FILE *out;    /* curses' own way to the terminal, and while a frame is made to this file: */
    int frame_fd; /* -1: curses writes to the terminal itself */
    struct buf frame, fewer;
    struct tui__sgr sgr;
    struct termios before;
    char restore[RESTORE_MAX]; /* what a fatal signal's handler writes */
    size_t restore_len;
    int held_err, real_err; /* memory file and the standard error of before; -1 */
    bool mouse, sync;
    char term[64];
    bool utf8;
} screen = {.frame_fd = -1, .held_err = -1, .real_err = -1};

static int signal_pipe[2] = {-1, -1};
static volatile sig_atomic_t got_resize, got_quit, got_stop, got_cont, got_reload;

/* ---- the locale */

/* gettext reads no catalogue in the C locale. Where a language is wished and its locale is not
 * installed, C.UTF-8 with LANGUAGE does it. */
static void language_start(void)
{
    static const char *const names[] = {"LC_ALL", "LC_MESSAGES", "LANG"};
    const char *wished = "", *messages = setlocale(LC_MESSAGES, NULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !*wished; i++)
        wished = getenv(names[i]) ? getenv(names[i]) : "";
    const char *language = getenv("LANGUAGE");
    if ((!language || !*language) && !strncmp(wished, "ru", 2))
        setenv("LANGUAGE", "ru", 1);
    if (screen.utf8 && messages && (!strcmp(messages, "C") || !strcmp(messages, "POSIX")))
        setlocale(LC_MESSAGES, "C.UTF-8");
}

/* The catalogues beside the binary in a build directory, or NULL; the caller frees it. */
static char *catalogues_beside(void)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    if (!slash)
        return NULL;
    char *dir = xasprintf("%.*s/locale", (int)(slash - self), self);
    char *catalogue = xasprintf("%s/ru/LC_MESSAGES/mcp-console.mo", dir);
    bool there = !access(catalogue, R_OK);
    free(catalogue);
    if (there)
        return dir;
    free(dir);
    return NULL;
}

bool tui__locale_start(void)
{
    bool set = setlocale(LC_ALL, "") != NULL;
    const char *codeset = set ? nl_langinfo(CODESET) : "";
    if (!strcmp(codeset, "UTF-8")) {
        screen.utf8 = true;
    } else if (!set || !strcmp(codeset, "ANSI_X3.4-1968")) {
        /* C and POSIX, or a locale that is not installed: terminals of today still speak UTF-8. */
        screen.utf8 = setlocale(LC_CTYPE, "C.UTF-8") != NULL;
    }
    setlocale(LC_NUMERIC, "C"); /* numbers on the screen and on the wire have a point */
    language_start();
    char *beside = catalogues_beside();
    bindtextdomain("mcp-console", beside ? beside : MCPC_LOCALEDIR);
    free(beside);
    bind_textdomain_codeset("mcp-console", "UTF-8");
    return screen.utf8;
}

/* ---- bytes */

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        bytes += n;
        len -= (size_t)n;
    }
}

void tui__screen_write(const char *bytes, size_t len)
{
    if (screen.taken)
        write_all(STDOUT_FILENO, bytes, len);
}

static void puts_out(const char *s)
{
    write_all(STDOUT_FILENO, s, strlen(s));
}

static void modes(bool on)
{
    puts_out(on ? "\033[?2004h" : "\033[?2004l");
    if (screen.mouse || !on)
        puts_out(on ? "\033[?1000h\033[?1006h" : "\033[?1006l\033[?1000l");
}

/* Adds a capability without its padding ("$<5>"). */
static void restore_add(const char *s)
{
    if (!s || s == (const char *)-1)
        return;
    while (*s) {
        if (s[0] == '$' && s[1] == '<' && strchr(s, '>')) {
            s = strchr(s, '>') + 1;
            continue;
        }
        if (screen.restore_len + 1 < RESTORE_MAX)
            screen.restore[screen.restore_len++] = *s;
        s++;
    }
}

static char *capability(const char *name)
{
    char copy[16];
    snprintf(copy, sizeof(copy), "%s", name);
    return tigetstr(copy);
}

static void restore_prepare(void)
{
    screen.restore_len = 0;
    restore_add("\033[?2026l\033[?2004l\033[?1006l\033[?1000l");
    restore_add(capability("sgr0"));
    restore_add(capability("op"));
    restore_add(capability("cnorm"));
    restore_add(capability("rmkx"));
    restore_add(capability("rmcup"));
}

/* ---- signals */

static void wake(void)
{
    int saved = errno;
    ssize_t n = write(signal_pipe[1], "", 1);
    (void)n; /* a full pipe wakes as well */
    errno = saved;
}

/* The main thread may be writing to a terminal that does not read: when it is to end, what waits
 * there is dropped, again and again until it is through with writing. */
static void make_room(int number)
{
    (void)number;
    int saved = errno;
    tcflush(STDOUT_FILENO, TCOFLUSH);
    errno = saved;
}

static void flush_timer(int ms) /* a system call and nothing else: fit for handlers */
{
    struct itimerval t = {{0, ms * 1000}, {0, ms * 1000}};
    setitimer(ITIMER_REAL, &t, NULL);
}

/* SIGHUP by kill(1) means the configuration; by the kernel, that the terminal is gone: then
 * nothing can be asked of it any more. */
static bool terminal_is_there(void)
{
    struct termios now;
    int saved = errno;
    bool there = tcgetattr(STDIN_FILENO, &now) == 0;
    errno = saved;
    return there;
}

static void on_signal(int number)
{
    if (number == SIGHUP && terminal_is_there()) {
        got_reload = 1;
        wake();
        return;
    }
    switch (number) {
    case SIGWINCH:
        got_resize = 1;
        break;
    case SIGTSTP:
        got_stop = 1;
        break;
    case SIGCONT:
        got_cont = 1;
        break;
    default:
        got_quit = 1;
        make_room(number);
        flush_timer(FLUSH_MS);
        break;
    }
    wake();
}

/* Only what is safe in a handler: write, tcsetattr, read, lseek. */
static void held_print(void)
{
    if (screen.held_err < 0 || screen.real_err < 0)
        return;
    char bytes[512];
    ssize_t n;
    lseek(screen.held_err, 0, SEEK_SET);
    while ((n = read(screen.held_err, bytes, sizeof(bytes))) > 0)
        write_all(screen.real_err, bytes, (size_t)n);
}

static void on_fatal(int number)
{
    if (screen.taken) {
        screen.taken = 0;
        write_all(STDOUT_FILENO, screen.restore, screen.restore_len);
        tcsetattr(STDIN_FILENO, TCSANOW, &screen.before);
        held_print();
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void handle(int number, void (*fn)(int), int flags)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = fn;
    sa.sa_flags = flags;
    sigemptyset(&sa.sa_mask);
    sigaction(number, &sa, NULL);
}

static void signals_start(void)
{
    static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
    if (signal_pipe[0] < 0) {
        BUG_IF(pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK));
    }
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        handle(ends[i], on_signal, SA_RESTART);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        handle(fatal[i], on_fatal, (int)SA_RESETHAND);
    handle(SIGWINCH, on_signal, SA_RESTART);
    handle(SIGTSTP, on_signal, SA_RESTART);
    handle(SIGCONT, on_signal, SA_RESTART);
    handle(SIGPIPE, SIG_IGN, 0);
    handle(SIGALRM, make_room, SA_RESTART);
}

/* The process ends by itself now, within the time that stopping may take: to be asked once more,
 * as by a shell and the kernel at a hang-up, must not cut the end of the log short. */
static void signals_stop(void)
{
    static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
    static const int others[] = {SIGWINCH, SIGTSTP, SIGCONT, SIGSEGV, SIGBUS,
                                 SIGFPE,   SIGILL,  SIGABRT, SIGSYS};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        handle(ends[i], SIG_IGN, 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        handle(others[i], SIG_DFL, 0);
}

int tui__signals_fd(void)
{
    return signal_pipe[0];
}

struct tui__signals tui__signals_take(void)
{
    char drop[64];
    while (read(signal_pipe[0], drop, sizeof(drop)) > 0)
        ;
    struct tui__signals s = {got_resize, got_quit, got_stop, got_cont, got_reload};
    got_resize = got_stop = got_cont = got_reload = 0;
    return s;
}

/* ---- taking and giving back */

static void hold_errors(void)
{
    screen.held_err = memfd_create("messages", MFD_CLOEXEC);
    screen.real_err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    if (screen.held_err >= 0 && screen.real_err >= 0)
        dup2(screen.held_err, STDERR_FILENO);
}

static void release_errors(void)
{
    if (screen.real_err >= 0) {
        fflush(stderr);
        dup2(screen.real_err, STDERR_FILENO);
        held_print();
        close(screen.real_err);
    }
    if (screen.held_err >= 0)
        close(screen.held_err);
    screen.held_err = screen.real_err = -1;
}

/* The first of the TERM given, xterm and vt100 that curses knows and that can place the cursor. */
static enum err term_find(struct error *e)
{
    const char *given = getenv("TERM");
    const char *names[] = {given && *given ? given : "xterm", "xterm", "vt100"};
    if (given && (!strcmp(given, "dumb") || !strcmp(given, "unknown")))
        return err_set(e, ERR_UNSUPPORTED,
                       "TERM=%s cannot show the console; `mcp-console ask TEXT` works there",
                       given);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int status;
        if (setupterm(names[i], STDOUT_FILENO, &status) != OK)
            continue;
        bool cup = capability("cup") && capability("cup") != (char *)-1;
        del_curterm(cur_term); /* newterm makes its own */
        if (!cup)
            return err_set(
                e, ERR_UNSUPPORTED,
                "the terminal %s cannot place the cursor; `mcp-console ask TEXT` works there",
                names[i]);
        snprintf(screen.term, sizeof(screen.term), "%s", names[i]);
        return ERR_OK;
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "no description of the terminal `%s` was found, nor of xterm or vt100",
                   given ? given : "");
}

/* Frames are made in memory where styles are set in the way that sgr.c reads. */
static void frames_start(void)
{
    const char *setaf = capability("setaf");
    tui__sgr_forget(&screen.sgr);
    if (tigetnum("colors") >= 8 && setaf && !strncmp(setaf, "\033[", 2))
        screen.frame_fd = memfd_create("frame", MFD_CLOEXEC);
}

static void frames_stop(void)
{
    if (screen.frame_fd >= 0)
        close(screen.frame_fd);
    screen.frame_fd = -1;
    fclose(screen.out);
    buf_release(&screen.frame);
    buf_release(&screen.fewer);
}

/* Before curses writes past the frames: its cleared style is made the terminal's. What was written
 * last may have been dropped, so nothing is believed of it. */
static void frames_pause(void)
{
    tui__sgr_forget(&screen.sgr);
    buf_clear(&screen.fewer);
    tui__sgr_settle(&screen.sgr, &screen.fewer);
    if (screen.frame_fd >= 0)
        write_all(STDOUT_FILENO, screen.fewer.data, screen.fewer.len);
    tui__sgr_forget(&screen.sgr);
}

static void curses_modes(void)
{
    raw();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    intrflush(stdscr, FALSE);
    idcok(stdscr, FALSE); /* cells that move in a line are seen as a flicker */
    typeahead(-1);        /* a key that waits does not hold back the echo of the one before */
    set_escdelay(25);
    curs_set(0);
    if (has_colors())
        start_color();
}

/* The window's size, within what curses bears and a screen can be. False: the terminal does not
 * say. */
static bool size_get(int *height, int *width)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || !size.ws_row || !size.ws_col)
        return false;
    *height = size.ws_row < ROWS_MAX ? size.ws_row : ROWS_MAX;
    *width = size.ws_col < COLUMNS_MAX ? size.ws_col : COLUMNS_MAX;
    return true;
}

/* curses believes these variables before the terminal: they are ours, or not there. */
static void size_pin(void)
{
    int height, width;
    char text[16];
    unsetenv("LINES");
    unsetenv("COLUMNS");
    if (!size_get(&height, &width) || (height < ROWS_MAX && width < COLUMNS_MAX))
        return;
    snprintf(text, sizeof(text), "%d", height);
    setenv("LINES", text, 1);
    snprintf(text, sizeof(text), "%d", width);
    setenv("COLUMNS", text, 1);
}

enum err tui__screen_start(const struct tui__screen_options *o, struct error *e)
{
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return err_set(e, ERR_UNSUPPORTED,
                       "the console needs a terminal for its input and output; `mcp-console ask "
                       "TEXT` works without one");
    if (term_find(e))
        return e->code;
    if (tcgetattr(STDIN_FILENO, &screen.before))
        return err_set(e, ERR_IO, "the terminal's settings cannot be read: %s", strerror(errno));
    screen.mouse = o->mouse;
    screen.sync = strncmp(screen.term, "linux", 5) && strncmp(screen.term, "vt", 2);
    tui__ascii_set(o->charset == CHARSET_ASCII || !screen.utf8);
    int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    screen.out = out >= 0 ? fdopen(out, "w") : NULL;
    if (!screen.out)
        return err_set(e, ERR_IO, "the terminal cannot be opened again: %s", strerror(errno));
    size_pin();
    signals_start(); /* newterm changes the terminal already */
    screen.screen = newterm(screen.term, screen.out, stdin);
    if (!screen.screen)
        return err_set(e, ERR_UNSUPPORTED, "the terminal `%s` could not be started", screen.term);
    restore_prepare();
    signals_start(); /* curses has put handlers of its own */
    hold_errors();
    frames_start();
    screen.taken = 1;
    curses_modes();
    screen.cell = newwin(1, 1, 0, 0);
    tui__keys_start();
    modes(true);
    return ERR_OK;
}

void tui__screen_stop(void)
{
    if (!screen.taken)
        return;
    if (got_quit) { /* now there is room for what gives the terminal back, and it must arrive */
        flush_timer(0);
        make_room(0);
        if (screen.sync)
            puts_out("\033[?2026l"); /* its end may be among what was dropped */
    }
    modes(false);
    frames_pause();
    endwin();
    screen.taken = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before);
    signals_stop();
    delwin(screen.cell);
    delscreen(screen.screen);
    frames_stop();
    tui__keys_stop();
    release_errors();
}

void tui__screen_suspend(void)
{
    modes(false);
    frames_pause();
    endwin();
    screen.taken = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &screen.before);
    handle(SIGTSTP, SIG_DFL, 0);
    raise(SIGTSTP);
    handle(SIGTSTP, on_signal, SA_RESTART);
    got_cont = 0;
    tui__screen_continue();
}

void tui__screen_continue(void)
{
    screen.taken = 1;
    reset_prog_mode();
    clearok(curscr, TRUE);
    wrefresh(stdscr); /* after endwin this takes the terminal again */
    tui__sgr_forget(&screen.sgr);
    modes(true);
    tui__screen_resize();
}

void tui__screen_resize(void)
{
    int height, width;
    if (size_get(&height, &width) && (height != LINES || width != COLS))
        resizeterm(height, width);
}

void tui__screen_mouse(bool on)
{
    screen.mouse = on;
    puts_out(on ? "\033[?1000h\033[?1006h" : "\033[?1006l\033[?1000l");
}

/* ---- writing what was drawn */

/* Compares what is to be shown with what the terminal shows; returns how many lines differ.
 *
 * When lines move, curses scrolls regions by CSI S and T, whatever idlok says. Some terminals
 * (behind web pages, in recorders) lack those, and in a mosaic a region is never what one pane
 * wants. So the first cell that differs is made unknown in each changed line: then no line can be
 * taken for a moved one, and nothing more is written than that cell, which was to be written
 * anyway. */
static int lines_changed(void)
{
    int width = COLS, changed = 0, y, x, shown_y, shown_x;
    size_t size = ((size_t)width + 1) * sizeof(cchar_t);
    cchar_t *now = xcalloc(1, size), *shown = xcalloc(1, size);
    getyx(stdscr, y, x);
    getyx(curscr, shown_y, shown_x);
    for (int line = 0; line < LINES; line++) {
        mvwin_wchnstr(stdscr, line, 0, now, width);
        mvwin_wchnstr(curscr, line, 0, shown, width);
        int column = 0;
        while (column < width && !memcmp(&now[column], &shown[column], sizeof(*now)))
            column++;
        if (column == width)
            continue;
        changed++;
        if (screen.cell && mvwin(screen.cell, line, column) == OK)
            wredrawln(screen.cell, 0, 1);
    }
    wmove(stdscr, y, x);
    wmove(curscr, shown_y, shown_x);
    free(now);
    free(shown);
    return changed;
}

/* What doupdate writes, in screen.frame; false: it went to the terminal. */
static bool frame_make(void)
{
    int out = fileno(screen.out);
    off_t end = 0;
    screen.frame.len = 0;
    if (screen.frame_fd < 0 || isendwin() || lseek(screen.frame_fd, 0, SEEK_SET) < 0 ||
        dup3(screen.frame_fd, out, O_CLOEXEC) < 0)
        return false;
    doupdate();
    end = lseek(screen.frame_fd, 0, SEEK_CUR);
    BUG_IF(end < 0 || dup3(STDOUT_FILENO, out, O_CLOEXEC) < 0);
    buf_reserve(&screen.frame, (size_t)end);
    ssize_t n = pread(screen.frame_fd, screen.frame.data, (size_t)end, 0);
    BUG_IF(n != end);
    screen.frame.len = (size_t)end;
    return true;
}

void tui__screen_flush(void)
{
    int y, x;
    bool cursor = tui__cursor_get(&y, &x);
    curs_set(cursor ? 1 : 0);
    if (cursor)
        wmove(stdscr, y, x);
    bool sync = lines_changed() >= SYNC_LINES && screen.sync;
    wnoutrefresh(stdscr);
    if (!frame_make()) {
        doupdate();
        return;
    }
    struct buf *out = &screen.fewer;
    out->len = 0;
    tui__sgr_pass(&screen.sgr, screen.frame.data, screen.frame.len, out);
    sync = sync && out->len >= SYNC_BYTES; /* a small frame comes in one piece anyway */
    if (sync)
        puts_out("\033[?2026h");
    write_all(STDOUT_FILENO, out->data, out->len);
    if (sync)
        puts_out("\033[?2026l");
}
