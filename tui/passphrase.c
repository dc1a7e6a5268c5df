/* Passphrases, before curses has the terminal. */
#include "tui/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

void tui__passphrase_wipe(struct tui__passphrase *p)
{
    explicit_bzero(p, sizeof *p);
    munlock(p, sizeof *p);
}

/* ---- given ---- */

/* The first line; what is behind it is not read for anything. */
static enum err read_line(int fd, const char *path, struct tui__passphrase *out, struct error *e)
{
    ssize_t n = 1;
    out->len = 0;
    while (n > 0 && out->len <= TUI__PASSPHRASE_MAX && !memchr(out->text, '\n', out->len)) {
        n = read(fd, out->text + out->len, sizeof out->text - out->len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            out->len += (size_t)n;
    }
    if (n < 0)
        return err_set_errno(e, "cannot read", path);
    const char *end = memchr(out->text, '\n', out->len);
    if (end)
        out->len = (size_t)(end - out->text);
    if (out->len > 0 && out->text[out->len - 1] == '\r')
        out->len--;
    if (out->len == 0 || out->len > TUI__PASSPHRASE_MAX)
        return err_set(e, ERR_INVALID, "%s: a passphrase is a line of 1 to %d bytes", path,
                       TUI__PASSPHRASE_MAX);
    return ERR_OK;
}

static enum err read_file(const char *path, struct tui__passphrase *out, struct error *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, "cannot open", path);
    enum err code = ERR_OK;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
        code = err_set(e, ERR_NO_KEY, "%s can be read by others: chmod go= %s", path, path);
    else
        code = read_line(fd, path, out, e);
    close(fd);
    return code;
}

enum err tui__passphrase_given(const char *name, struct tui__passphrase *out, struct error *e)
{
    char *file_name = xasprintf("%s_FILE", name), *fd_name = xasprintf("%s_FD", name);
    const char *path = getenv(file_name), *number = getenv(fd_name);
    enum err code = ERR_NOT_FOUND;
    mlock(out, sizeof *out); /* if it cannot be, it is still wiped soon */
    if (path && *path) {
        code = read_file(path, out, e);
    } else if (number && *number) {
        char *end;
        long fd = strtol(number, &end, 10);
        bool open_one = !*end && fd > STDERR_FILENO && fd < 65536 && fcntl((int)fd, F_GETFD) >= 0;
        code = open_one ? read_line((int)fd, fd_name, out, e)
                        : err_set(e, ERR_INVALID, "%s names no open descriptor", fd_name);
        if (open_one)
            close((int)fd); /* no child inherits it */
    }
    free(file_name);
    free(fd_name);
    return code;
}

/* ---- asked for ---- */

static void say(int tty, const char *text)
{
    ssize_t n = write(tty, text, strlen(text));
    (void)n; /* a terminal that takes nothing shows nothing */
}

/* A signal that would end the process waits until the terminal is as it was. */
static bool ending(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    sigset_t waiting;
    sigpending(&waiting);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigismember(&waiting, numbers[i]) == 1)
            return true;
    return false;
}

/* False: given up. */
static bool take_keys(int tty, struct tui__passphrase *out)
{
    enum { CTRL_C = 3, CTRL_D = 4, BACKSPACE = 8, CTRL_U = 21, RUBOUT = 127 };
    out->len = 0;
    for (;;) {
        struct pollfd wait = {tty, POLLIN, 0};
        unsigned char key;
        if (ending())
            return false;
        if (poll(&wait, 1, 100) <= 0)
            continue;
        if (read(tty, &key, 1) != 1 || key == CTRL_C || (key == CTRL_D && out->len == 0))
            return false;
        if (key == '\n' || key == '\r')
            return true;
        if (key == CTRL_U)
            out->len = 0;
        else if (key == BACKSPACE || key == RUBOUT)
            while (out->len > 0 && ((unsigned char)out->text[--out->len] & 0xC0) == 0x80)
                ; /* a whole character of UTF-8 */
        else if (out->len < TUI__PASSPHRASE_MAX)
            out->text[out->len++] = (char)key;
    }
}

static bool ask_once(int tty, const char *prompt, struct tui__passphrase *out)
{
    struct termios before, quiet;
    sigset_t block, was;
    sigemptyset(&block);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGTERM);
    sigaddset(&block, SIGHUP);
    sigaddset(&block, SIGQUIT);
    sigaddset(&block, SIGTSTP);
    mlock(out, sizeof *out);
    sigprocmask(SIG_BLOCK, &block, &was);
    tcgetattr(tty, &before);
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    tcsetattr(tty, TCSAFLUSH, &quiet);
    say(tty, prompt);
    bool taken = take_keys(tty, out);
    say(tty, "\r\n");
    tcsetattr(tty, TCSAFLUSH, &before);
    sigprocmask(SIG_SETMASK, &was, NULL);
    return taken;
}

static bool same(const struct tui__passphrase *a, const struct tui__passphrase *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

enum err tui__passphrase_ask(const char *prompt, bool twice, struct tui__passphrase *out,
                             struct error *e)
{
    struct tui__passphrase again = {.len = 0};
    enum err code = ERR_OK;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty < 0)
        return err_set(e, ERR_PASSPHRASE, "it is needed, and there is no terminal to ask for it");
    for (bool done = false; !done && code == ERR_OK;) {
        if (!ask_once(tty, prompt, out) || (twice && !ask_once(tty, "Once more: ", &again)))
            code = err_set(e, ERR_CANCELLED, "no passphrase was given");
        else if (out->len == 0)
            say(tty, "A passphrase has at least one character.\r\n");
        else if (twice && !same(out, &again))
            say(tty, "These were two different ones.\r\n");
        else
            done = true;
    }
    tui__passphrase_wipe(&again);
    close(tty);
    return code;
}
