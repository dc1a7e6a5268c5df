/* The guard: children die with this process by PR_SET_PDEATHSIG, their own children do not.
 *
 *   console --pid (a new group), -pid (that group has ended)--> guard
 *           --end of the stream (however this process ended)--> guard kills what is left, ends
 *
 * G1 It is forked from a process of many threads: it calls only what is safe in handlers.
 * G2 It keeps no descriptor but its own: a lock or a pipe that it held would outlive its owner. */
#include "backend/base/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GROUPS_MAX = 256 };

static _Noreturn void guard_run(int fd)
{
    pid_t groups[GROUPS_MAX], pid;
    size_t count = 0, have = 0;
    struct sigaction normal = {.sa_handler = SIG_DFL}, ignore = {.sa_handler = SIG_IGN};
    for (int n = 1; n < NSIG; n++) /* what asks the console to end is not for the guard */
        sigaction(n, n == SIGINT || n == SIGTERM || n == SIGHUP || n == SIGQUIT ? &ignore : &normal,
                  NULL);
    setpgid(0, 0);
    prctl(PR_SET_NAME, "mcpc-guard");
    if (dup2(fd, 0) < 0)
        _exit(1);
    if (syscall(SYS_close_range, 1u, ~0u, 0u)) /* before Linux 5.9: one by one */
        for (int i = 1; i < 4096; i++)
            close(i);
    for (;;) {
        ssize_t n = read(0, (char *)&pid + have, sizeof pid - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
        if (have < sizeof pid)
            continue;
        have = 0;
        if (pid > 0 && count < GROUPS_MAX)
            groups[count++] = pid;
        for (size_t i = 0; pid < 0 && i < count; i++)
            if (groups[i] == -pid)
                groups[i--] = groups[--count];
    }
    for (size_t i = 0; i < count; i++)
        kill(-groups[i], SIGKILL);
    _exit(0);
}

static void guard_start(struct loop *l)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return; /* without it everything works but the end after a kill -9 */
    sigset_t all, old;
    sigfillset(&all); /* no handler of ours may run in the guard */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    l->guard_pid = fork();
    if (l->guard_pid == 0)
        guard_run(pair[1]);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    close(pair[1]);
    if (l->guard_pid < 0)
        close(pair[0]);
    else
        l->guard_fd = pair[0];
}

static void tell(const struct loop *l, pid_t pid)
{
    if (l->guard_fd >= 0) {
        ssize_t n = send(l->guard_fd, &pid, sizeof pid, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)n;
    }
}

void guard__add(struct loop *l, pid_t group)
{
    if (l->guard_fd < 0)
        guard_start(l);
    tell(l, group);
}

void guard__remove(struct loop *l, pid_t group)
{
    tell(l, -group);
}

void guard__stop(struct loop *l)
{
    if (l->guard_fd < 0)
        return;
    close(l->guard_fd);
    l->guard_fd = -1;
    while (waitpid(l->guard_pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}
