/* A real-time clock that goes backwards and jumps, for the program that it is preloaded into: every
 * 64th look it jumps back a day, every 97th forward an hour. The monotonic clock is left alone, and
 * so are libraries: they hand such times to the kernel, which does not know of the shim. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int looks;

static bool of_program(const void *caller)
{
    Dl_info at, program;
    return dladdr(caller, &at) && dladdr((const void *)getauxval(AT_ENTRY), &program) &&
           at.dli_fbase == program.dli_fbase;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int code = (int)syscall(SYS_clock_gettime, id, t);
    if (!code && id == CLOCK_REALTIME && of_program(__builtin_return_address(0))) {
        int n = __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
        t->tv_sec += n / 97 * 3600 - n / 64 * 86400;
    }
    return code;
}
