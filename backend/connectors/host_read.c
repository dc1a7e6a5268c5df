/* Reading the machine: files, samples, mounts. Everything may vanish between two reads. */
#include "backend/base/clock.h"
#include "backend/connectors/host.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { SMALL = 256 * 1024, FIRST_GAP_MS = 60 };

enum err host__read(const char *root, struct buf *out, size_t max, const char *path, ...)
{
    char full[1024];
    va_list args;
    buf_clear(out);
    size_t len = strlen(root);
    if (len >= sizeof full)
        return ERR_TOO_BIG;
    memcpy(full, root, len);
    va_start(args, path);
    int n = vsnprintf(full + len, sizeof full - len, path, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof full - len)
        return ERR_TOO_BIG;
    int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == EACCES || errno == EPERM ? ERR_DENIED : err_from_errno(errno);
    enum err code = ERR_OK;
    buf_reserve(out, max < 4096 ? max : 4096);
    while (out->len < max) {
        size_t want = max - out->len < 65536 ? max - out->len : 65536;
        buf_reserve(out, want);
        ssize_t got = read(fd, out->data + out->len, want);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            code = errno == EACCES || errno == EPERM ? ERR_DENIED : err_from_errno(errno);
        if (got <= 0)
            break;
        out->len += (size_t)got;
    }
    close(fd);
    buf_add(out, "", 0); /* ends it with a NUL */
    if (!out->data)
        buf_reserve(out, 1);
    out->data[out->len] = '\0';
    return code;
}

static void sample_disks(const char *root, struct host_sample *s, struct buf *b)
{
    if (host__read(root, b, 1 << 20, "/proc/diskstats") != ERR_OK)
        return;
    char line[512];
    const char *at = b->data;
    s->disks = xcalloc(HOST_MAX_DISKS, sizeof *s->disks);
    while (s->disk_count < HOST_MAX_DISKS && host__line(&at, line, sizeof line))
        s->disk_count += host__parse_disk(line, &s->disks[s->disk_count]);
}

static void sample_network(const char *root, struct host_sample *s, struct buf *b)
{
    char line[512];
    if (host__read(root, b, 1 << 20, "/proc/net/dev") == ERR_OK) {
        const char *at = b->data;
        s->interfaces = xcalloc(HOST_MAX_INTERFACES, sizeof *s->interfaces);
        while (s->interface_count < HOST_MAX_INTERFACES && host__line(&at, line, sizeof line))
            s->interface_count += host__parse_interface(line, &s->interfaces[s->interface_count]);
    }
    if (host__read(root, b, SMALL, "/proc/net/snmp") == ERR_OK)
        s->tcp.known = host__pair(b->data, "Tcp: ", "OutSegs", &s->tcp.out_segments) &&
                       host__pair(b->data, "Tcp: ", "RetransSegs", &s->tcp.retransmits);
    if (host__read(root, b, SMALL, "/proc/net/netstat") == ERR_OK) {
        host__pair(b->data, "TcpExt: ", "ListenOverflows", &s->tcp.listen_overflows);
        host__pair(b->data, "TcpExt: ", "ListenDrops", &s->tcp.listen_drops);
    }
}

static int by_pid(const void *a, const void *b)
{
    const struct host_stat *x = a, *y = b;
    return (x->pid > y->pid) - (x->pid < y->pid);
}

static void sample_processes(const char *root, struct host_sample *s, struct buf *b)
{
    char path[1024];
    int n = snprintf(path, sizeof path, "%s/proc", root);
    DIR *dir = n > 0 && (size_t)n < sizeof path ? opendir(path) : NULL;
    if (!dir)
        return;
    size_t room = 0;
    struct dirent *d;
    while (s->process_count < HOST_MAX_PROCESSES && (d = readdir(dir))) {
        size_t digits = strspn(d->d_name, "0123456789");
        if (digits == 0 || d->d_name[digits] || digits > 10)
            continue;
        if (host__read(root, b, 4096, "/proc/%s/stat", d->d_name) != ERR_OK)
            continue; /* it ended meanwhile */
        if (s->process_count == room) {
            room = room ? room * 2 : 256;
            s->processes = xrealloc(s->processes, room * sizeof *s->processes);
        }
        s->process_count += host__parse_process(b->data, &s->processes[s->process_count]);
    }
    closedir(dir);
    if (s->process_count)
        qsort(s->processes, s->process_count, sizeof *s->processes, by_pid);
}

struct host_sample *host__sample(const char *root)
{
    struct host_sample *s = xcalloc(1, sizeof *s);
    struct buf b = {0};
    s->at_ns = clock_mono_ns();
    if (host__read(root, &b, 1 << 20, "/proc/stat") == ERR_OK)
        s->has_cpu = host__parse_stat(b.data, &s->cpu);
    if (host__read(root, &b, SMALL, "/proc/vmstat") == ERR_OK)
        s->has_oom = host__value(b.data, "oom_kill", &s->oom_kills);
    sample_disks(root, s, &b);
    sample_network(root, s, &b);
    sample_processes(root, s, &b);
    buf_release(&b);
    s->cost_ns = clock_mono_ns() - s->at_ns;
    return s;
}

void host__sample_free(struct host_sample *s)
{
    if (!s)
        return;
    free(s->disks);
    free(s->interfaces);
    free(s->processes);
    free(s);
}

const struct host_stat *host__sample_process(const struct host_sample *s, int pid, uint64_t start)
{
    struct host_stat key = {.pid = pid};
    if (!s || !s->process_count)
        return NULL;
    const struct host_stat *found =
        bsearch(&key, s->processes, s->process_count, sizeof *s->processes, by_pid);
    return found && found->start_ticks == start ? found : NULL;
}

struct host_two host__two(const struct host_view *v)
{
    struct host_two t = {.before = v->before};
    if (!t.before)
        t.before = t.own = host__sample(v->root);
    uint64_t age = clock_mono_ns() - t.before->at_ns, least = (uint64_t)FIRST_GAP_MS * 1000000;
    if (age < least) {
        struct timespec rest = {.tv_nsec = (long)(least - age)};
        nanosleep(&rest, NULL);
    }
    t.now = host__sample(v->root);
    t.seconds = (double)(t.now->at_ns - t.before->at_ns) / 1e9;
    return t;
}

void host__two_free(struct host_two *t)
{
    host__sample_free(t->now);
    host__sample_free(t->own);
}

/* statvfs may hang on these for ever when their server is gone. */
static bool is_network(const char *type)
{
    static const char *const types[] = {"nfs",  "nfs4",  "cifs",      "smb3",   "smbfs", "9p",
                                        "ceph", "afs",   "glusterfs", "lustre", "ncpfs", "coda",
                                        "gfs2", "ocfs2", "autofs",    "davfs",  "beegfs"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i]) == 0)
            return true;
    }
    return strncmp(type, "fuse", 4) == 0 && strcmp(type, "fuseblk") != 0;
}

/* Holds files of a disk; tmpfs counts, since /tmp and /run fill up too. */
static bool is_real(const struct host_mount *m)
{
    static const char *const types[] = {
        "ext2", "ext3",  "ext4", "xfs",   "btrfs",   "f2fs",    "zfs",      "jfs",    "reiserfs",
        "vfat", "exfat", "ntfs", "ntfs3", "fuseblk", "overlay", "bcachefs", "nilfs2", "udf"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(m->type, types[i]) == 0)
            return true;
    }
    return strcmp(m->type, "tmpfs") == 0 &&
           (strcmp(m->path, "/tmp") == 0 || strcmp(m->path, "/run") == 0 ||
            strcmp(m->path, "/dev/shm") == 0 || strcmp(m->path, "/var/tmp") == 0);
}

static void add_mount(struct host_mount *list, size_t *n, size_t max, const struct host_mount *m)
{
    for (size_t i = 0; i < *n; i++) {
        if (list[i].device == m->device) { /* a bind mount of the same file system */
            if (strlen(m->path) < strlen(list[i].path))
                list[i] = *m;
            return;
        }
        if (strcmp(list[i].path, m->path) == 0) { /* mounted over it: the later one is seen */
            list[i] = *m;
            return;
        }
    }
    if (*n < max)
        list[(*n)++] = *m;
}

size_t host__mounts(const char *root, struct host_mount *out, size_t max, size_t *skipped_network)
{
    struct buf b = {0};
    size_t n = 0, skipped = 0;
    if (host__read(root, &b, 4 << 20, "/proc/self/mountinfo") == ERR_OK) {
        char line[4096];
        struct host_mount m;
        const char *at = b.data;
        while (host__line(&at, line, sizeof line)) {
            if (!host__parse_mount(line, &m) || m.cut)
                continue;
            if (is_network(m.type))
                skipped++;
            else if (is_real(&m))
                add_mount(out, &n, max, &m);
        }
    }
    buf_release(&b);
    if (skipped_network)
        *skipped_network = skipped;
    return n;
}

void host__usage(const char *root, struct host_usage *out)
{
    memset(out, 0, sizeof *out);
    struct host_mount *mounts = xcalloc(HOST_MAX_MOUNTS, sizeof *mounts);
    size_t n = host__mounts(root, mounts, HOST_MAX_MOUNTS, NULL);
    out->at_ms = clock_mono_ms();
    for (size_t i = 0; i < n; i++) {
        char path[1024];
        struct statvfs fs;
        snprintf(path, sizeof path, "%s%s", root, mounts[i].path);
        if (statvfs(path, &fs) != 0)
            continue;
        out->fs[out->count].device = mounts[i].device;
        out->fs[out->count++].used = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
    }
    free(mounts);
}

void host__user(const char *passwd, uint64_t uid, char out[HOST_NAME])
{
    char line[512];
    while (passwd && host__line(&passwd, line, sizeof line)) {
        char *colon = strchr(line, ':');
        const char *number = colon ? strchr(colon + 1, ':') : NULL;
        uint64_t n;
        if (!number)
            continue;
        number++;
        if (host__number(&number, &n) && *number == ':' && n == uid) {
            *colon = '\0';
            snprintf(out, HOST_NAME, "%.*s", HOST_NAME - 1, line);
            return;
        }
    }
    snprintf(out, HOST_NAME, "%llu", (unsigned long long)uid);
}
