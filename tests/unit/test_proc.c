/* Child processes, with real children. */
#include "backend/base/buf.h"
#include "backend/base/clock.h"
#include "backend/base/loop.h"
// clang-format off
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct child {
    struct loop *loop;
    struct proc *proc;
    struct loop_timer *limit;
    struct buf out, err;
    size_t out_len;
    bool count_only, free_in_output, free_in_exited, late;
    int exits, status, calls_after;
};

static void on_output(void *arg, const char *bytes, size_t len)
{
    struct child *c = arg;
    c->out_len += len;
    c->calls_after += c->exits;
    if (!c->count_only)
        buf_add(&c->out, bytes, len);
    if (c->free_in_output) {
        proc_free(c->proc);
        c->proc = NULL;
        loop_quit(c->loop);
    }
}

static void on_errors(void *arg, const char *bytes, size_t len)
{
    struct child *c = arg;
    c->calls_after += c->exits;
    buf_add(&c->err, bytes, len);
}

static void on_exited(void *arg, int status)
{
    struct child *c = arg;
    c->exits++;
    c->status = status;
    if (c->free_in_exited) {
        proc_free(c->proc);
        c->proc = NULL;
    }
    loop_quit(c->loop);
}

static const struct proc_ops ops = {on_output, on_errors, on_exited};

static void on_limit(void *arg)
{
    struct child *c = arg;
    c->late = true;
    loop_quit(c->loop);
}

static void child_setup(struct child *c)
{
    c->loop = loop_new();
    c->limit = loop_timer_new(c->loop, on_limit, c);
    loop_timer_start(c->limit, 30000, 0);
}

static void child_start(struct child *c, const char *const *argv)
{
    struct error e = {0};
    child_setup(c);
    c->proc = proc_start(c->loop, &(struct proc_options){.argv = argv}, &ops, c, &e);
    if (!c->proc)
        fail_msg("%s", e.detail);
}

static void child_end(struct child *c)
{
    assert_false(c->late);
    assert_int_equal(c->calls_after, 0);
    proc_free(c->proc);
    loop_timer_free(c->limit);
    loop_free(c->loop);
    buf_release(&c->out);
    buf_release(&c->err);
}

static void cat_gives_back(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"cat", NULL});
    assert_int_equal(proc_write(c.proc, "hello ", 6), ERR_OK);
    assert_int_equal(proc_write(c.proc, "child\n", 6), ERR_OK);
    assert_int_equal(c.out_len, 0); /* L2 */
    proc_close(c.proc, 20000);      /* the input ends when it is written */
    assert_int_equal(proc_write(c.proc, "late", 4), ERR_CLOSED);
    loop_run(c.loop);
    assert_string_equal(c.out.data, "hello child\n");
    assert_int_equal(c.exits, 1);
    assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
    child_end(&c);
}

static void streams_and_status_are_apart(void **state)
{
    (void)state;
    struct child c = {.free_in_exited = true};
    child_start(&c, (const char *const[]){"sh", "-c", "echo out; echo err >&2; exit 7", NULL});
    loop_run(c.loop);
    assert_string_equal(c.out.data, "out\n");
    assert_string_equal(c.err.data, "err\n");
    assert_int_equal(WEXITSTATUS(c.status), 7);
    child_end(&c);
}

static void a_signal_is_seen_in_the_status(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"sh", "-c", "kill -9 $$", NULL});
    loop_run(c.loop);
    assert_true(WIFSIGNALED(c.status));
    assert_int_equal(WTERMSIG(c.status), SIGKILL);
    child_end(&c);
}

static void surroundings_are_clean(void **state)
{
    (void)state;
    struct child c = {0};
    struct error e = {0};
    int extra = dup(1), low = open("/dev/null", 0);
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, &old);
    signal(SIGINT, SIG_IGN);
    setenv("MCPC_TEST_OLD", "old", 1);
    child_setup(&c);
    const char *script = "ls /proc/self/fd | tr '\\n' ' '; "
                         "grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\n\\t'; "
                         "echo \" $PWD $A ${MCPC_TEST_OLD-none}\"; cut -d ' ' -f 5 /proc/$$/stat";
    c.proc = proc_start(
        c.loop,
        &(struct proc_options){.argv = (const char *const[]){"sh", "-c", script, NULL},
                               .env = (const char *const[]){"A=1", "PATH=/usr/bin:/bin", NULL},
                               .cwd = "/usr",
                               .only_env = true},
        &ops, &c, &e);
    assert_non_null(c.proc);
    char *expected = xasprintf("0 1 2 3 SigBlk:0000000000000000SigIgn:0000000000000000 /usr 1 none"
                               "\n%d\n",
                               (int)proc_pid(c.proc)); /* 3 is the folder that ls reads */
    loop_run(c.loop);
    /* Signals 32 and 33 are the C library's own: it lets nobody set them, so what an ancestor left
     * stays. */
    char *ignored = strstr(c.out.data, "SigIgn:");
    assert_non_null(ignored);
    char digits[17];
    uint64_t left = strtoull(ignored + 7, NULL, 16) & ~((uint64_t)3 << 31);
    snprintf(digits, sizeof digits, "%016" PRIx64, left);
    memcpy(ignored + 7, digits, 16);
    assert_string_equal(c.out.data, expected);
    free(expected);
    signal(SIGINT, SIG_DFL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(extra), close(low);
    child_end(&c);
}

static void env_is_added_and_replaces(void **state)
{
    (void)state;
    struct child c = {0};
    struct error e = {0};
    setenv("MCPC_TEST_OLD", "old", 1);
    setenv("MCPC_TEST_NEW", "old", 1);
    child_setup(&c);
    c.proc = proc_start(
        c.loop,
        &(struct proc_options){
            .argv = (const char *const[]){"sh", "-c", "echo $MCPC_TEST_OLD $MCPC_TEST_NEW", NULL},
            .env = (const char *const[]){"MCPC_TEST_NEW=new", NULL}},
        &ops, &c, &e);
    assert_non_null(c.proc);
    loop_run(c.loop);
    assert_string_equal(c.out.data, "old new\n");
    child_end(&c);
}

static void what_cannot_start_says_why(void **state)
{
    (void)state;
    struct child c = {0};
    struct error e = {0};
    child_setup(&c);
    struct proc_options none = {.argv = (const char *const[]){"mcpc-no-such-program", NULL}};
    assert_null(proc_start(c.loop, &none, &ops, &c, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_string_equal(e.detail, "mcpc-no-such-program: No such file or directory");

    struct proc_options no_path = {.argv = (const char *const[]){"/no/such/file", NULL}};
    assert_null(proc_start(c.loop, &no_path, &ops, &c, &e));
    assert_string_equal(e.detail, "/no/such/file: No such file or directory");

    struct proc_options folder = {.argv = (const char *const[]){"/usr", NULL}};
    assert_null(proc_start(c.loop, &folder, &ops, &c, &e));
    assert_string_equal(e.detail, "/usr: Permission denied");

    struct proc_options cwd = {.argv = (const char *const[]){"cat", NULL}, .cwd = "/no/folder"};
    assert_null(proc_start(c.loop, &cwd, &ops, &c, &e));
    assert_string_equal(e.detail, "/no/folder: No such file or directory");

    struct proc_options empty = {.argv = (const char *const[]){"", NULL}};
    assert_null(proc_start(c.loop, &empty, &ops, &c, &e));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left to reap */
    assert_int_equal(errno, ECHILD);
    child_end(&c);
}

static void fifty_megabytes_come_out(void **state)
{
    (void)state;
    struct child c = {.count_only = true};
    child_start(&c, (const char *const[]){"head", "-c", "52428800", "/dev/zero", NULL});
    loop_run(c.loop);
    assert_int_equal(c.out_len, 52428800);
    assert_int_equal(c.exits, 1);
    child_end(&c);
}

static void ten_megabytes_go_to_a_slow_reader(void **state)
{
    (void)state;
    struct child c = {0};
    enum { SIZE = 10 << 20 };
    child_start(&c, (const char *const[]){"sh", "-c", "sleep 0.2; exec cat", NULL});
    char *bytes = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < SIZE; i += 4096)
        assert_int_equal(proc_write(c.proc, bytes + i, 4096), ERR_OK);
    proc_close(c.proc, 20000);
    loop_run(c.loop);
    assert_int_equal(c.out.len, SIZE);
    assert_memory_equal(c.out.data, bytes, SIZE);
    free(bytes);
    child_end(&c);
}

static void too_much_unsent_is_refused(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"sleep", "60", NULL});
    char *bytes = calloc(1, 16 << 20);
    assert_int_equal(proc_write(c.proc, bytes, 16 << 20), ERR_OK);
    assert_int_equal(proc_write(c.proc, bytes, 16 << 20), ERR_OK);
    assert_int_equal(proc_write(c.proc, bytes, 1 << 20), ERR_TOO_BIG); /* the pipe took some */
    free(bytes);
    child_end(&c);
}

static void a_child_that_does_not_read_is_no_signal(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"sh", "-c", "exec <&-; sleep 0.1; echo alive", NULL});
    char *bytes = calloc(1, 1 << 20);
    assert_int_equal(proc_write(c.proc, bytes, 1 << 20), ERR_OK);
    loop_run(c.loop);
    assert_string_equal(c.out.data, "alive\n");
    assert_int_equal(proc_write(c.proc, bytes, 1), ERR_CLOSED);
    free(bytes);
    child_end(&c);
}

static void close_ends_one_that_ignores_term(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"sh", "-c",
                                          "trap '' TERM; echo ready; while :; do sleep 0.05; done",
                                          NULL});
    uint64_t before = clock_mono_ms();
    proc_close(c.proc, 300);
    loop_run(c.loop);
    assert_in_range(clock_mono_ms() - before, 290, 3000);
    assert_int_equal(WTERMSIG(c.status), SIGKILL);
    child_end(&c);
}

static void close_lets_one_tidy_up(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"sh", "-c",
                                          "trap 'echo bye; exit 3' TERM; echo ready; "
                                          "while :; do sleep 0.02; done",
                                          NULL});
    proc_close(c.proc, 5000);
    loop_timer_start(c.limit, 4900, 0); /* it needs the half of it only */
    loop_run(c.loop);
    assert_string_equal(c.out.data, "ready\nbye\n");
    assert_int_equal(WEXITSTATUS(c.status), 3);
    child_end(&c);
}

/* The state letter of a process, 0 if there is none. */
static char state_of(pid_t pid)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    char *got = fgets(line, sizeof line, f);
    fclose(f);
    const char *paren = got ? strrchr(line, ')') : NULL;
    return paren && paren[1] ? paren[2] : '\0';
}

static bool gone(pid_t pid)
{
    for (int i = 0; i < 200; i++) {
        char s = state_of(pid);
        if (!s || s == 'Z' || s == 'X') /* an orphan may wait for an init that does not reap */
            return true;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    return false;
}

static void a_grandchild_does_not_hold_the_exit_and_dies(void **state)
{
    (void)state;
    struct child c = {0};
    child_start(&c, (const char *const[]){"sh", "-c", "sleep 60 & echo $!; exit 5", NULL});
    uint64_t before = clock_mono_ms();
    loop_run(c.loop);
    assert_in_range(clock_mono_ms() - before, 190, 3000); /* its pipe is still open: 200 ms */
    assert_int_equal(WEXITSTATUS(c.status), 5);
    pid_t grandchild = (pid_t)strtol(c.out.data, NULL, 10);
    assert_true(grandchild > 1);
    assert_int_equal(state_of(grandchild), 'S');
    child_end(&c);
    assert_true(gone(grandchild));
}

static void free_in_a_callback_is_silent(void **state)
{
    (void)state;
    struct child c = {.free_in_output = true};
    child_start(&c, (const char *const[]){"yes", NULL});
    pid_t pid = proc_pid(c.proc);
    loop_run(c.loop);
    assert_null(c.proc);
    assert_int_equal(c.exits, 0);
    assert_int_equal(state_of(pid), 0); /* reaped */
    child_end(&c);
}

static void the_loop_ends_quickly_with_children(void **state)
{
    (void)state;
    enum { N = 8 };
    struct child c = {0};
    child_setup(&c);
    pid_t pids[N];
    for (int i = 0; i < N; i++) {
        const char *const argv[] = {"sh", "-c", "trap '' TERM INT HUP; sleep 60", NULL};
        struct proc *p = proc_start(c.loop, &(struct proc_options){.argv = argv}, &ops, &c, NULL);
        assert_non_null(p);
        pids[i] = proc_pid(p);
    }
    loop_timer_free(c.limit);
    uint64_t before = clock_mono_ms();
    loop_free(c.loop);
    assert_true(clock_mono_ms() - before < 300);
    for (int i = 0; i < N; i++)
        assert_int_equal(state_of(pids[i]), 0);
    assert_int_equal(c.exits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cat_gives_back),
        cmocka_unit_test(streams_and_status_are_apart),
        cmocka_unit_test(a_signal_is_seen_in_the_status),
        cmocka_unit_test(surroundings_are_clean),
        cmocka_unit_test(env_is_added_and_replaces),
        cmocka_unit_test(what_cannot_start_says_why),
        cmocka_unit_test(fifty_megabytes_come_out),
        cmocka_unit_test(ten_megabytes_go_to_a_slow_reader),
        cmocka_unit_test(too_much_unsent_is_refused),
        cmocka_unit_test(a_child_that_does_not_read_is_no_signal),
        cmocka_unit_test(close_ends_one_that_ignores_term),
        cmocka_unit_test(close_lets_one_tidy_up),
        cmocka_unit_test(a_grandchild_does_not_hold_the_exit_and_dies),
        cmocka_unit_test(free_in_a_callback_is_silent),
        cmocka_unit_test(the_loop_ends_quickly_with_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
