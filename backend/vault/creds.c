/* systemd-creds(1) as a child process, and the credentials that a service gets. What goes in and
 * out goes through pipes: never through arguments, the environment or a file. */
#include "backend/base/clock.h"
#include "backend/vault/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { TIME_LIMIT_MS = 30000 };

struct child {
    pid_t pid;
    int in, out, err; /* ours: its standard input, output and error; -1: closed */
};

struct talk {
    const uint8_t *in;
    size_t in_len;
    uint8_t *out;
    size_t max, len;
    char said[160]; /* the beginning of its standard error */
    size_t said_len;
};

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Pipes that no other child inherits; posix_spawn's dup2 gives this one its ends. */
static int start(struct child *c, bool encrypt)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1};
    char *argv[] = {"systemd-creds",
                    encrypt ? "encrypt" : "decrypt",
                    "--name=mcp-console.master",
                    "-",
                    "-",
                    NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    *c = (struct child){-1, -1, -1, -1};
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
        int number = errno;
        for (int i = 0; i < 2; i++)
            close_one(&in[i]), close_one(&out[i]), close_one(&err[i]);
        return number;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    posix_spawnattr_init(&attr);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int number = posix_spawnp(&c->pid, argv[0], &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    close(err[1]);
    *c = (struct child){number ? -1 : c->pid, in[1], out[0], err[0]};
    fcntl(c->in, F_SETFL, O_NONBLOCK);
    fcntl(c->out, F_SETFL, O_NONBLOCK);
    fcntl(c->err, F_SETFL, O_NONBLOCK);
    return number;
}

/* A child that has ended already is an error of the write, not a signal to this process. */
static ssize_t write_quietly(int fd, const void *bytes, size_t len)
{
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool already = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t n = write(fd, bytes, len);
    int number = errno;
    if (n < 0 && number == EPIPE && !already)
        sigtimedwait(&pipe_only, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = number;
    return n;
}

static void feed(struct child *c, struct talk *t)
{
    ssize_t n = write_quietly(c->in, t->in, t->in_len);
    if (n > 0) {
        t->in += n;
        t->in_len -= (size_t)n;
    }
    if (t->in_len == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_one(&c->in);
}

/* What is more than max is read and dropped, so that the child ends; len then says max. */
static void take(int *fd, uint8_t *out, size_t max, size_t *len)
{
    uint8_t spill[256];
    bool full = *len == max;
    ssize_t n = read(*fd, full ? spill : out + *len, full ? sizeof spill : max - *len);
    sodium_memzero(spill, sizeof spill);
    if (n > 0 && !full)
        *len += (size_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        close_one(fd);
}

/* Until both its outputs have ended; false at the time limit. */
static bool converse(struct child *c, struct talk *t)
{
    uint64_t until = clock_mono_ms() + TIME_LIMIT_MS;
    while (c->out >= 0 || c->err >= 0) {
        uint64_t now = clock_mono_ms();
        struct pollfd fds[] = {{c->in, POLLOUT, 0}, {c->out, POLLIN, 0}, {c->err, POLLIN, 0}};
        if (now >= until)
            return false;
        if (poll(fds, 3, (int)(until - now)) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents)
            feed(c, t);
        if (fds[1].revents)
            take(&c->out, t->out, t->max, &t->len);
        if (fds[2].revents)
            take(&c->err, (uint8_t *)t->said, sizeof t->said - 1, &t->said_len);
    }
    return true;
}

/* Its complaint, one line of it, for people. */
static const char *complaint(struct talk *t)
{
    t->said[t->said_len] = '\0';
    t->said[strcspn(t->said, "\n")] = '\0';
    for (char *s = t->said; *s; s++)
        if (*s < ' ' || *s > '~')
            *s = '?';
    return *t->said ? t->said : "it says nothing";
}

enum err vault__creds_run(bool encrypt, const void *in, size_t in_len, void *out, size_t max,
                          size_t *len, struct error *e)
{
    struct child c;
    struct talk t = {.in = in, .in_len = in_len, .out = out, .max = max};
    const char *what = encrypt ? "encrypt" : "decrypt";
    int status = 0, number = start(&c, encrypt);
    bool ended = number == 0 && converse(&c, &t);
    close_one(&c.in);
    close_one(&c.out);
    close_one(&c.err);
    if (number)
        return err_set(e, ERR_UNSUPPORTED,
                       "systemd-creds cannot be started (%s): install systemd 250 or later, or "
                       "seal the master key as a file or by a passphrase",
                       strerrordesc_np(number));
    if (!ended)
        kill(c.pid, SIGKILL);
    while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!ended)
        return err_set(e, ERR_TIMEOUT, "systemd-creds %s does not end", what);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(e, ERR_UPSTREAM, "systemd-creds %s failed: %s", what, complaint(&t));
    *len = t.len;
    return ERR_OK;
}

enum err vault__creds_given(uint8_t key[VAULT_KEY], struct error *e)
{
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    size_t len = 0;
    if (!dir || !*dir)
        return err_set(e, ERR_NOT_FOUND, "no credentials were handed over");
    char *path = xasprintf("%s/mcp-console.master", dir);
    uint8_t *bytes = vault__secret_alloc(VAULT_KEY);
    /* systemd's files there are its user's alone by the directory, not by their mode. */
    enum err code = vault__file_read(path, false, bytes, VAULT_KEY, &len, e);
    if (code == ERR_OK && len != VAULT_KEY)
        code = err_set(e, ERR_NO_KEY, "%s has %zu bytes, not %d", path, len, VAULT_KEY);
    if (code == ERR_OK)
        memcpy(key, bytes, VAULT_KEY);
    sodium_free(bytes);
    free(path);
    return code;
}
