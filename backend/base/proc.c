/* Child processes.
 *
 *   running -> (the leader ended) ended -> (both pipes ended, or 200 ms later) told -> freed
 *
 * 1 The leader is left unreaped until proc_free: while its process id is taken, the id of its group
 *   cannot become another group's, so that killing the group never hits a stranger.
 * 2 After told no callback runs. A callback may call proc_free: then the memory goes when the
 *   callback has returned (busy).
 * 3 Between fork and exec only async-signal-safe functions are called; everything they need is
 *   prepared before. */
#include "backend/base/clock.h"
#include "backend/base/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    READ_SIZE = 64 * 1024,
    READS_PER_TURN = 16, /* so that a loud child cannot starve the rest */
    MAX_UNSENT = 32 << 20,
    PIPES_AFTER_EXIT_MS = 200,
    START_LIMIT_MS = 5000,
    REAP_LIMIT_MS = 100
};

struct proc {
    struct loop *loop;
    struct proc_ops ops;
    void *arg;
    pid_t pid;
    int pid_fd, in, out, err; /* -1 when closed */
    struct loop_watch *pid_watch, *in_watch, *out_watch, *err_watch;
    struct loop_timer *term_timer, *kill_timer, *late_timer;
    struct buf unsent;
    size_t sent;  /* of unsent, what the pipe took already */
    int status;   /* wait status */
    bool ended;   /* the leader is a zombie */
    bool told;    /* exited was called */
    bool closing; /* the input ends when unsent is written */
    bool freed;
    unsigned busy; /* callbacks under way */
};

/* What the child tells when it did not become its program. */
enum stage { STAGE_NONE, STAGE_SETUP, STAGE_CWD, STAGE_EXEC };
struct report {
    enum stage stage;
    int number; /* errno */
};

/* Preparing: what the child needs between fork and exec. */

struct launch {
    char *path;
    char *const *argv;
    char **env;
    const char *cwd;
    int in[2], out[2], err[2], report[2];
    pid_t parent;
};

static size_t list_len(const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return !strncmp(a, b, n) && b[n] == '=';
}

/* The child's environment; the strings stay where they are. */
static char **env_make(const struct proc_options *o)
{
    const char *const *own = o->only_env ? NULL : (const char *const *)environ;
    size_t added = list_len(o->env), len = 0;
    char **env = xcalloc(list_len(own) + added + 1, sizeof *env);
    for (size_t i = 0; own && own[i]; i++) {
        bool replaced = false;
        for (size_t k = 0; k < added && !replaced; k++)
            replaced = same_name(o->env[k], own[i]);
        if (!replaced)
            env[len++] = (char *)own[i];
    }
    for (size_t k = 0; k < added; k++)
        env[len++] = (char *)o->env[k];
    return env;
}

static const char *env_get(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; *env; env++)
        if (!strncmp(*env, name, n) && (*env)[n] == '=')
            return *env + n + 1;
    return NULL;
}

static void start_failed(struct error *e, const char *what, int number)
{
    err_set(e, number == ENOENT ? ERR_NOT_FOUND : err_from_errno(number), "%s: %s", what,
            strerror(number));
}

/* The file of a command, looked up in the child's PATH; NULL with *e. The caller frees. */
static char *path_find(const char *command, char *const *env, struct error *e)
{
    if (strchr(command, '/'))
        return xstrdup(command);
    const char *path = env_get(env, "PATH");
    if (!path)
        path = getenv("PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    int number = ENOENT;
    for (const char *p = path, *end; *command; p = end + 1) {
        end = strchrnul(p, ':');
        char *file =
            end > p ? xasprintf("%.*s/%s", (int)(end - p), p, command) : xasprintf("./%s", command);
        if (!access(file, X_OK))
            return file;
        if (errno == EACCES)
            number = EACCES;
        free(file);
        if (!*end)
            break;
    }
    start_failed(e, command, number);
    return NULL;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void close_pair(int fd[2])
{
    close_fd(&fd[0]);
    close_fd(&fd[1]);
}

/* A pipe whose ends are above 2, so that the child's dup2 cannot overwrite one it still needs. */
static bool pipe_make(int fd[2])
{
    if (pipe2(fd, O_CLOEXEC)) {
        fd[0] = fd[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (fd[i] > STDERR_FILENO)
            continue;
        int high = fcntl(fd[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (high < 0) {
            close_pair(fd);
            return false;
        }
        close(fd[i]);
        fd[i] = high;
    }
    return true;
}

/* In the child. */

static _Noreturn void child_fail(int fd, enum stage stage, int number)
{
    struct report r = {stage, number};
    while (write(fd, &r, sizeof r) < 0 && errno == EINTR)
        continue;
    _exit(127);
}

static _Noreturn void child_run(const struct launch *s)
{
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != s->parent)
        child_fail(s->report[1], STAGE_SETUP, ESRCH); /* the console ended between fork and here */
    struct sigaction normal = {.sa_handler = SIG_DFL};
    for (int n = 1; n < NSIG; n++)
        sigaction(n, &normal, NULL); /* refused for SIGKILL and SIGSTOP, as it should be */
    if (dup2(s->in[0], 0) < 0 || dup2(s->out[1], 1) < 0 || dup2(s->err[1], 2) < 0 ||
        dup2(s->report[1], 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC))
        child_fail(s->report[1], STAGE_SETUP, errno);
    if (syscall(SYS_close_range, 4u, ~0u, 0u)) /* before Linux 5.9: one by one */
        for (int fd = 4; fd < 4096; fd++)
            close(fd);
    if (s->cwd && chdir(s->cwd))
        child_fail(3, STAGE_CWD, errno);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(s->path, s->argv, s->env);
    child_fail(3, STAGE_EXEC, errno);
}

/* In the parent again. */

/* Waits until the child has become its program: the pipe ends with the exec. */
static struct report exec_result(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    uint64_t until = clock_mono_ms() + START_LIMIT_MS;
    for (;;) {
        uint64_t now = clock_mono_ms();
        if (now >= until)
            return (struct report){STAGE_SETUP, ETIMEDOUT};
        int n = poll(&ready, 1, (int)(until - now));
        if (n > 0)
            break;
        if (n < 0 && errno != EINTR)
            return (struct report){STAGE_SETUP, errno};
    }
    struct report r = {0};
    ssize_t n;
    while ((n = read(fd, &r, sizeof r)) < 0 && errno == EINTR)
        continue;
    if (n && n != (ssize_t)sizeof r)
        return (struct report){STAGE_SETUP, EIO};
    return r;
}

static pid_t fork_quiet(const struct launch *s)
{
    sigset_t all, old;
    sigfillset(&all); /* no handler of ours may run in the child */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid_t pid = fork();
    if (pid == 0)
        child_run(s);
    int number = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = number;
    if (pid > 0)
        setpgid(pid, pid); /* as the child does: whoever comes first */
    return pid;
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* Gives back what the leader ended with and leaves it unreaped; false while it runs. */
static bool leader_ended(const struct proc *p, int *status)
{
    siginfo_t info = {0};
    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid != p->pid)
        return false;
    *status = info.si_code == CLD_EXITED
                  ? W_EXITCODE(info.si_status, 0)
                  : W_EXITCODE(0, info.si_status) | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
    return true;
}

/* Kills the whole group and reaps the leader. A leader that is stuck in the kernel is given up on:
 * it dies when it comes back, and with this process at the latest. */
static void group_end(pid_t pid, int pid_fd)
{
    kill(-pid, SIGKILL);
    struct pollfd ready = {.fd = pid_fd, .events = POLLIN};
    if (pid_fd >= 0)
        poll(&ready, 1, REAP_LIMIT_MS);
    while (waitpid(pid, NULL, pid_fd >= 0 ? WNOHANG : 0) < 0 && errno == EINTR)
        continue;
}

/* Running. */

static void enter(struct proc *p)
{
    p->busy++;
}

/* False when the callback freed the process: nothing of it may be touched then. */
static bool leave(struct proc *p)
{
    if (--p->busy || !p->freed)
        return !p->freed;
    free(p);
    return false;
}

static void stream_end(int *fd, struct loop_watch **watch)
{
    loop_watch_free(*watch);
    *watch = NULL;
    close_fd(fd);
}

/* Calls exited when its time has come; false when the process is freed then. */
static bool tell(struct proc *p, bool late)
{
    if (!p->ended || p->told || (!late && (p->out >= 0 || p->err >= 0)))
        return true;
    p->told = true;
    stream_end(&p->in, &p->in_watch);
    stream_end(&p->out, &p->out_watch);
    stream_end(&p->err, &p->err_watch);
    loop_timer_stop(p->late_timer);
    loop_timer_stop(p->term_timer);
    loop_timer_stop(p->kill_timer);
    if (!p->ops.exited)
        return true;
    enter(p);
    p->ops.exited(p->arg, p->status);
    return leave(p);
}

static void on_late(void *arg)
{
    tell(arg, true);
}

static void on_pid(void *arg, int events)
{
    struct proc *p = arg;
    (void)events;
    if (!leader_ended(p, &p->status))
        return;
    p->ended = true;
    loop_watch_free(p->pid_watch);
    p->pid_watch = NULL;
    stream_end(&p->in, &p->in_watch);
    loop_timer_start(p->late_timer, PIPES_AFTER_EXIT_MS, 0);
    tell(p, false);
}

static void read_some(struct proc *p, int *fd, struct loop_watch **watch,
                      void (*deliver)(void *arg, const char *bytes, size_t len))
{
    char bytes[READ_SIZE];
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = read(*fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            stream_end(fd, watch);
            tell(p, false);
            return;
        }
        if (!deliver)
            continue;
        enter(p);
        deliver(p->arg, bytes, (size_t)n);
        if (!leave(p))
            return;
        if ((size_t)n < sizeof bytes)
            return; /* nothing more for now: saves a read that would say so */
    }
}

static void on_out(void *arg, int events)
{
    struct proc *p = arg;
    (void)events;
    read_some(p, &p->out, &p->out_watch, p->ops.output);
}

static void on_err(void *arg, int events)
{
    struct proc *p = arg;
    (void)events;
    read_some(p, &p->err, &p->err_watch, p->ops.errors);
}

static void on_in(void *arg, int events)
{
    struct proc *p = arg;
    (void)events;
    while (p->sent < p->unsent.len) {
        ssize_t n = write(p->in, p->unsent.data + p->sent, p->unsent.len - p->sent);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) { /* nobody reads any more */
            stream_end(&p->in, &p->in_watch);
            buf_release(&p->unsent);
            p->sent = 0;
            return;
        }
        p->sent += (size_t)n;
    }
    p->sent = 0;
    if (p->unsent.cap > READ_SIZE)
        buf_release(&p->unsent);
    else
        buf_clear(&p->unsent);
    loop_watch_set(p->in_watch, 0);
    if (p->closing)
        stream_end(&p->in, &p->in_watch);
}

enum err proc_write(struct proc *p, const void *bytes, size_t len)
{
    if (p->in < 0 || p->closing)
        return ERR_CLOSED;
    if (len > MAX_UNSENT - (p->unsent.len - p->sent))
        return ERR_TOO_BIG;
    if (!len)
        return ERR_OK;
    if (p->sent == p->unsent.len) { /* mostly the pipe has room: saves a turn of the loop */
        ssize_t n = write(p->in, bytes, len);
        if (n == (ssize_t)len)
            return ERR_OK;
        if (n > 0) {
            bytes = (const char *)bytes + n;
            len -= (size_t)n;
        }
    }
    if (p->sent > p->unsent.len / 2) {
        buf_drop(&p->unsent, p->sent);
        p->sent = 0;
    }
    buf_add(&p->unsent, bytes, len);
    loop_watch_set(p->in_watch, LOOP_WRITE);
    return ERR_OK;
}

void proc_pause(struct proc *p, bool paused)
{
    if (p->out_watch)
        loop_watch_set(p->out_watch, paused ? 0 : LOOP_READ);
}

pid_t proc_pid(const struct proc *p)
{
    return p->pid;
}

static void on_term(void *arg)
{
    struct proc *p = arg;
    kill(-p->pid, SIGTERM);
}

static void on_kill(void *arg)
{
    struct proc *p = arg;
    kill(-p->pid, SIGKILL);
}

void proc_close(struct proc *p, uint64_t grace_ms)
{
    if (p->told)
        return;
    p->closing = true;
    if (p->in >= 0 && p->sent == p->unsent.len)
        stream_end(&p->in, &p->in_watch);
    loop_timer_start(p->term_timer, grace_ms / 2, 0);
    loop_timer_start(p->kill_timer, grace_ms, 0);
}

void proc__kill_all(struct loop *l)
{
    for (size_t i = 0; i < l->procs.len; i++) {
        const struct proc *p = l->procs.at[i];
        if (p)
            kill(-p->pid, SIGKILL);
    }
}

void proc_free(struct proc *p)
{
    if (!p || p->freed)
        return;
    p->freed = true;
    slots__remove(&p->loop->procs, p);
    stream_end(&p->in, &p->in_watch);
    stream_end(&p->out, &p->out_watch);
    stream_end(&p->err, &p->err_watch);
    kill(-p->pid, SIGKILL);
    guard__remove(p->loop, p->pid); /* while the id is still taken: 1 */
    group_end(p->pid, p->pid_fd);
    stream_end(&p->pid_fd, &p->pid_watch);
    loop_timer_free(p->term_timer);
    loop_timer_free(p->kill_timer);
    loop_timer_free(p->late_timer);
    buf_release(&p->unsent);
    if (!p->busy)
        free(p);
}

/* Starting. */

static struct proc *proc_new(struct loop *l, struct launch *s, const struct proc_ops *ops,
                             void *arg, pid_t pid, int pid_fd)
{
    struct proc *p = xcalloc(1, sizeof *p);
    *p = (struct proc){.loop = l, .ops = *ops, .arg = arg, .pid = pid, .pid_fd = pid_fd};
    p->in = s->in[1];
    p->out = s->out[0];
    p->err = s->err[0];
    s->in[1] = s->out[0] = s->err[0] = -1;
    set_nonblocking(p->in);
    set_nonblocking(p->out);
    set_nonblocking(p->err);
    p->pid_watch = loop_watch_new(l, pid_fd, LOOP_READ, on_pid, p);
    p->in_watch = loop_watch_new(l, p->in, 0, on_in, p);
    p->out_watch = loop_watch_new(l, p->out, LOOP_READ, on_out, p);
    p->err_watch = loop_watch_new(l, p->err, LOOP_READ, on_err, p);
    p->term_timer = loop_timer_new(l, on_term, p);
    p->kill_timer = loop_timer_new(l, on_kill, p);
    p->late_timer = loop_timer_new(l, on_late, p);
    slots__pack(&l->procs);
    slots__add(&l->procs, p);
    guard__add(l, pid);
    return p;
}

static struct proc *launch(struct loop *l, struct launch *s, const struct proc_ops *ops, void *arg,
                           struct error *e)
{
    const char *name = s->argv[0];
    if (!pipe_make(s->in) || !pipe_make(s->out) || !pipe_make(s->err) || !pipe_make(s->report)) {
        start_failed(e, name, errno);
        return NULL;
    }
    pid_t pid = fork_quiet(s);
    if (pid < 0) {
        start_failed(e, name, errno);
        return NULL;
    }
    close_fd(&s->report[1]);
    struct report r = exec_result(s->report[0]);
    int pid_fd = r.stage ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (!r.stage && pid_fd < 0)
        r = (struct report){STAGE_SETUP, errno};
    if (r.stage) {
        group_end(pid, -1);
        start_failed(e, r.stage == STAGE_CWD ? s->cwd : name, r.number);
        return NULL;
    }
    return proc_new(l, s, ops, arg, pid, pid_fd);
}

struct proc *proc_start(struct loop *l, const struct proc_options *o, const struct proc_ops *ops,
                        void *arg, struct error *e)
{
    if (!o->argv || !o->argv[0]) {
        err_set(e, ERR_CONFIG, "the command is empty");
        return NULL;
    }
    struct launch s = {.argv = (char *const *)o->argv,
                       .env = env_make(o),
                       .cwd = o->cwd,
                       .in = {-1, -1},
                       .out = {-1, -1},
                       .err = {-1, -1},
                       .report = {-1, -1},
                       .parent = getpid()};
    s.path = path_find(o->argv[0], s.env, e);
    struct proc *p = s.path ? launch(l, &s, ops, arg, e) : NULL;
    close_pair(s.in);
    close_pair(s.out);
    close_pair(s.err);
    close_pair(s.report);
    free(s.env);
    free(s.path);
    return p;
}
