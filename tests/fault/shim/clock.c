/* Clocks for the program that it is preloaded into. By itself the real-time clock goes backwards
 * and jumps: every 64th look it jumps back a day, every 97th forward an hour; the monotonic clock
 * is left alone. With MCPC_CLOCK=FILE both are off by what stands in that file at the moment: two
 * numbers of 64 bits, seconds of the real-time and of the monotonic clock. Libraries are left
 * alone: they hand such times to the kernel, which does not know of the shim. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int looks;
static int64_t *off; /* real, monotonic; NULL: it jumps by itself */

__attribute__((constructor)) static void find_file(void)
{
    const char *path = getenv("MCPC_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 2 * sizeof *off, PROT_READ, MAP_SHARED, fd, 0);
    if (path && map == MAP_FAILED)
        abort();
    off = path ? map : NULL;
    if (fd >= 0)
        close(fd);
}

static bool of_program(const void *caller)
{
    Dl_info at, program;
    return dladdr(caller, &at) && dladdr((const void *)getauxval(AT_ENTRY), &program) &&
           at.dli_fbase == program.dli_fbase;
}

int clock_gettime(clockid_t id, struct timespec *t)
{
    int code = (int)syscall(SYS_clock_gettime, id, t);
    if (code || (id != CLOCK_REALTIME && id != CLOCK_MONOTONIC) ||
        !of_program(__builtin_return_address(0)))
        return code;
    if (off) {
        t->tv_sec += __atomic_load_n(&off[id == CLOCK_MONOTONIC], __ATOMIC_RELAXED);
    } else if (id == CLOCK_REALTIME) {
        int n = __atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
        t->tv_sec += n / 97 * 3600 - n / 64 * 86400;
    }
    return code;
}
