/* Disk space and disk input and output. */
#include "backend/base/clock.h"
#include "backend/connectors/host.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { LEAST_GROWTH_MS = 60000 }; /* a shorter look says nothing of growth */

/* Bytes per second since the earlier look; NAN when not measured. */
static double growth(const struct host_view *v, uint64_t device, uint64_t used)
{
    const struct host_usage *u = v->usage;
    uint64_t now = clock_mono_ms();
    if (!u || !u->at_ms || now - u->at_ms < LEAST_GROWTH_MS)
        return NAN;
    for (size_t i = 0; i < u->count; i++) {
        if (u->fs[i].device == device)
            return ((double)used - (double)u->fs[i].used) * 1000.0 / (double)(now - u->at_ms);
    }
    return NAN;
}

static void say_growth(struct host_out *o, const char *path, double rate, double available)
{
    if (!(rate > 0))
        return;
    double seconds = available / rate;
    if (seconds > 30.0 * 86400)
        return;
    struct host_figure per_hour = host__bytes(rate * 3600), left = host__duration(seconds);
    host__say(o, host__judge(HOST_DISK_FULL_HOURS, seconds / 3600), "disk growth", seconds / 3600,
              "h",
              xasprintf("%s grows by %s per hour; at this rate it is full in %s.", path,
                        per_hour.en, left.en),
              xasprintf("Раздел %s растёт на %s в час; с такой скоростью он заполнится через %s.",
                        path, per_hour.ru, left.ru));
}

static void say_inodes(struct host_out *o, const char *path, const struct statvfs *fs, json_t *row)
{
    if (fs->f_files == 0) /* btrfs and others have none to run out of */
        return;
    uint64_t free_inodes = fs->f_favail < fs->f_files ? fs->f_favail : fs->f_files;
    double used = (double)(fs->f_files - free_inodes) * 100.0 / (double)fs->f_files;
    host__put(row, "inodes_percent", used, 2);
    enum host_severity s = host__judge(HOST_INODES_USED, used);
    if (s == HOST_OK)
        return;
    struct host_figure p = host__percent(used);
    host__say(o, s, "inodes", used, "%",
              xasprintf("%s has used %s of its inodes: %llu are left for new files.", path, p.en,
                        (unsigned long long)free_inodes),
              xasprintf("На разделе %s занято %s индексных дескрипторов (inode): для новых файлов "
                        "осталось %llu.",
                        path, p.ru, (unsigned long long)free_inodes));
}

/* File systems that live in memory, and images that are full by nature: they are told of when they
 * are over a limit, and do not stand beside disks otherwise. */
static bool no_disk(const char *type)
{
    static const char *const types[] = {"tmpfs",   "ramfs", "devtmpfs", "squashfs",
                                        "iso9660", "erofs", "cramfs",   "hugetlbfs"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i]) == 0)
            return true;
    }
    return false;
}

static void say_mount(const struct host_view *v, struct host_out *o, const struct host_mount *m,
                      bool all, json_t *rows)
{
    char full[1024];
    struct statvfs fs;
    snprintf(full, sizeof full, "%s%s", v->root, m->path);
    if (statvfs(full, &fs) != 0 || fs.f_blocks == 0)
        return;
    /* As df: what root keeps for itself counts neither as used nor as free. */
    double block = (double)fs.f_frsize, total = (double)fs.f_blocks * block;
    double used = (double)(fs.f_blocks - fs.f_bfree) * block,
           available = (double)fs.f_bavail * block;
    double percent = used + available > 0 ? used * 100.0 / (used + available) : 0;
    struct host_figure p = host__percent(percent), fa = host__bytes(available),
                       ft = host__bytes(total);
    char *path = host__clean(m->path);
    enum host_severity s = m->read_only ? HOST_OK : host__judge(HOST_DISK_USED, percent);
    bool quiet = s == HOST_OK && no_disk(m->type) && !all;
    double kept = (double)(fs.f_bfree - fs.f_bavail) * block;
    struct host_figure fk = host__bytes(kept);
    bool much =
        fs.f_bfree > fs.f_bavail && kept > total / 10; /* otherwise the figures do not add up */
    char *en_note = much ? xasprintf(", %s more reserved for root", fk.en) : xstrdup("");
    char *ru_note = much ? xasprintf(", ещё %s зарезервировано для root", fk.ru) : xstrdup("");
    if (!quiet)
        host__say(o, s, "disk", percent, "%",
                  xasprintf("%s is %s full, %s of %s free%s%s.", path, p.en, fa.en, ft.en, en_note,
                            m->read_only ? " (read-only)" : ""),
                  xasprintf("Раздел %s заполнен на %s, свободно %s из %s%s%s.", path, p.ru, fa.ru,
                            ft.ru, ru_note, m->read_only ? " (только для чтения)" : ""));
    free(en_note);
    free(ru_note);
    json_t *row = json_object();
    json_put(row, "mount", json_text(m->path, strlen(m->path)));
    json_put(row, "source", json_text(m->source, strlen(m->source)));
    json_puts(row, "type", m->type);
    json_puti(row, "size", (int64_t)total);
    json_puti(row, "used", (int64_t)used);
    json_puti(row, "available", (int64_t)available);
    host__put(row, "used_percent", percent, 2);
    json_put(row, "read_only", json_boolean(m->read_only));
    double rate = growth(v, m->device, (uint64_t)used);
    host__put(row, "growth_bytes_per_s", rate, 1);
    if (!m->read_only) {
        say_inodes(o, path, &fs, row);
        say_growth(o, path, rate, available);
    }
    json_array_append_new(rows, row);
    free(path);
}

/* Fullest first, the root file system before its equals. */
static int fullest_first(const void *a, const void *b)
{
    double x = json_num(*(json_t *const *)a, "value", 0),
           y = json_num(*(json_t *const *)b, "value", 0);
    return (x < y) - (x > y);
}

static void sort_findings(struct host_out *o)
{
    size_t n = json_array_size(o->findings);
    json_t **list = xcalloc(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        list[i] = json_incref(json_array_get(o->findings, i));
    qsort(list, n, sizeof *list, fullest_first);
    json_array_clear(o->findings);
    for (size_t i = 0; i < n; i++)
        json_array_append_new(o->findings, list[i]);
    free(list);
}

void host__disks(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct host_mount *mounts = xcalloc(HOST_MAX_MOUNTS, sizeof *mounts);
    size_t network, n = host__mounts(v->root, mounts, HOST_MAX_MOUNTS, &network);
    json_t *rows = json_array();
    for (size_t i = 0; i < n; i++)
        say_mount(v, o, &mounts[i], false, rows);
    if (n && json_array_size(o->findings) == 0) { /* there is nothing else here */
        json_array_clear(rows);
        for (size_t i = 0; i < n; i++)
            say_mount(v, o, &mounts[i], true, rows);
    }
    free(mounts);
    json_put(o->data, "disks", rows);
    json_puti(o->data, "network_skipped", (int64_t)network);
    sort_findings(o);
    if (json_array_size(rows) == 0)
        host__say(o, HOST_WARN, "disk", NAN, "", xstrdup("No local file system could be measured."),
                  xstrdup("Ни одну локальную файловую систему измерить не удалось."));
    if (network)
        host__say(
            o, HOST_OK, "network disk", (double)network, "",
            xasprintf("Network file systems not measured, since they may not answer: %zu.",
                      network),
            xasprintf("Сетевых файловых систем не измерено, так как они могут не отвечать: %zu.",
                      network));
}

static const struct host_disk *earlier_disk(const struct host_sample *s, const char *name)
{
    for (size_t i = 0; i < s->disk_count; i++) {
        if (strcmp(s->disks[i].name, name) == 0)
            return &s->disks[i];
    }
    return NULL;
}

/* Whole devices only: partitions count twice, loop and ram devices are not disks. */
static bool is_disk(const char *root, const char *name)
{
    char path[1024];
    if (strncmp(name, "loop", 4) == 0 || strncmp(name, "ram", 3) == 0 ||
        strncmp(name, "zram", 4) == 0)
        return false;
    snprintf(path, sizeof path, "%s/sys/block", root);
    if (access(path, F_OK) != 0)
        return true;
    snprintf(path, sizeof path, "%s/sys/block/%s", root, name);
    return access(path, F_OK) == 0;
}

static double since(uint64_t now, uint64_t before)
{
    return now > before ? (double)(now - before)
                        : 0.0; /* counters of a replugged device start anew */
}

static void say_device(struct host_out *o, const struct host_disk *a, const struct host_disk *b,
                       double seconds, json_t *rows)
{
    double reads = since(b->reads, a->reads), writes = since(b->writes, a->writes);
    double util = fmin(100.0, since(b->busy_ms, a->busy_ms) / (seconds * 10.0));
    double await =
        reads + writes > 0
            ? (since(b->read_ms, a->read_ms) + since(b->write_ms, a->write_ms)) / (reads + writes)
            : 0.0;
    double in = since(b->read_sectors, a->read_sectors) * 512.0 / seconds;
    double out = since(b->write_sectors, a->write_sectors) * 512.0 / seconds;
    enum host_severity s = host__judge(HOST_DISK_UTIL, util);
    enum host_severity slow =
        (reads + writes) / seconds >= 1 ? host__judge(HOST_DISK_AWAIT, await) : HOST_OK;
    struct host_figure fu = host__percent(util), fr = host__decimal(reads / seconds, 1),
                       fw = host__decimal(writes / seconds, 1), fa = host__decimal(await, 1),
                       fi = host__bytes(in), fo = host__bytes(out);
    char *name = host__clean(b->name);
    host__say(
        o, slow > s ? slow : s, "disk io", util, "%",
        xasprintf("Disk %s was %s busy: %s reads/s (%s/s), %s writes/s (%s/s), %s ms per request.",
                  name, fu.en, fr.en, fi.en, fw.en, fo.en, fa.en),
        xasprintf(
            "Диск %s был занят на %s: чтений %s/с (%s/с), записей %s/с (%s/с), %s мс на запрос.",
            name, fu.ru, fr.ru, fi.ru, fw.ru, fo.ru, fa.ru));
    free(name);
    json_t *row = json_object();
    json_put(row, "device", json_text(b->name, strlen(b->name)));
    host__put(row, "reads_per_s", reads / seconds, 2);
    host__put(row, "writes_per_s", writes / seconds, 2);
    host__put(row, "read_bytes_per_s", in, 0);
    host__put(row, "write_bytes_per_s", out, 0);
    host__put(row, "utilisation", util, 2);
    host__put(row, "await_ms", await, 2);
    json_array_append_new(rows, row);
}

void host__disk_io(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct host_two t = host__two(v);
    json_t *rows = json_array();
    for (size_t i = 0; i < t.now->disk_count; i++) {
        const struct host_disk *b = &t.now->disks[i], *a = earlier_disk(t.before, b->name);
        if (a && b->reads + b->writes > 0 && is_disk(v->root, b->name))
            say_device(o, a, b, t.seconds, rows);
    }
    if (json_array_size(rows) == 0)
        host__say(o, HOST_OK, "disk io", NAN, "",
                  xstrdup("The kernel reports no disk that was ever used."),
                  xstrdup("Ядро не сообщает ни об одном диске, который использовался."));
    json_put(o->data, "devices", rows);
    host__put(o->data, "interval_s", t.seconds, 3);
    host__two_free(&t);
}
