/* The operating system: kernel messages, uptime, clock, container limits, systemd units. */
#include "backend/base/clock.h"
#include "backend/connectors/host.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { MESSAGES = 20, WARNING = 4 };
struct messages {
    struct {
        unsigned level;
        uint64_t at_us;
        char *text;
    } last[MESSAGES];
    size_t next, total, errors;
};

static void keep_message(struct messages *m, const char *line)
{
    struct host_kernel_message k;
    if (!host__parse_kernel_message(line, &k) || k.level > WARNING)
        return;
    char *raw = xstrndup(k.text, k.len < 300 ? k.len : 300);
    free(m->last[m->next].text);
    m->last[m->next].text = host__clean(raw);
    m->last[m->next].level = k.level;
    m->last[m->next].at_us = k.at_us;
    m->next = (m->next + 1) % MESSAGES;
    m->total++;
    m->errors += k.level < WARNING;
    free(raw);
}

/* One read gives one record of the kernel's ring; a plain file gives many lines at once. */
static enum err read_messages(const char *root, struct messages *m)
{
    enum { MOST_RECORDS = 50000, RECORD = 8192 };
    char path[1024], *text = xcalloc(1, RECORD + 1);
    snprintf(path, sizeof path, "%s/dev/kmsg", root);
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    enum err code = fd >= 0                             ? ERR_OK
                    : errno == EACCES || errno == EPERM ? ERR_DENIED
                                                        : ERR_NOT_FOUND;
    for (int i = 0; code == ERR_OK && i < MOST_RECORDS; i++) {
        ssize_t n = read(fd, text, RECORD);
        if (n < 0 && (errno == EPIPE || errno == EINTR)) /* the ring went round meanwhile */
            continue;
        if (n < 0 && (errno == EPERM || errno == EACCES))
            code = ERR_DENIED;
        if (n <= 0)
            break;
        text[n] = '\0';
        const char *at = text;
        char line[1024];
        while (host__line(&at, line, sizeof line))
            keep_message(m, line);
    }
    if (fd >= 0)
        close(fd);
    free(text);
    return code;
}

static double uptime_s(const char *root)
{
    struct buf b = {0};
    uint64_t s = 0;
    const char *at = NULL;
    if (host__read(root, &b, 4096, "/proc/uptime") == ERR_OK)
        at = b.data;
    bool known = at && host__number(&at, &s);
    buf_release(&b);
    return known ? (double)s : NAN;
}

static void say_messages(struct host_out *o, const struct messages *m, double uptime)
{
    size_t kept = m->total < MESSAGES ? m->total : MESSAGES;
    json_t *rows = json_array();
    for (size_t i = 0; i < kept; i++) {
        size_t at = (m->next + MESSAGES - 1 - i) % MESSAGES; /* newest first */
        double ago = uptime - (double)m->last[at].at_us / 1e6;
        struct host_figure f = host__duration(ago);
        host__say(o, m->last[at].level < WARNING ? HOST_WARN : HOST_OK, "kernel message", NAN, "",
                  xasprintf("The kernel wrote %s ago: %s", f.en, m->last[at].text),
                  xasprintf("Ядро написало %s назад: %s", f.ru, m->last[at].text));
        json_t *row = json_object();
        json_puti(row, "level", m->last[at].level);
        host__put(row, "seconds_ago", ago, 0);
        json_puts(row, "text", m->last[at].text);
        json_array_append_new(rows, row);
    }
    json_put(o->data, "messages", rows);
}

void host__kernel_messages(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct messages *m = xcalloc(1, sizeof *m);
    enum err code = read_messages(v->root, m);
    json_put(o->data, "permitted", json_boolean(code == ERR_OK));
    if (code == ERR_DENIED)
        host__say(
            o, HOST_OK, "kernel messages", NAN, "",
            xstrdup("This user is not permitted to read the kernel's messages "
                    "(kernel.dmesg_restrict)."),
            xstrdup(
                "Этому пользователю не разрешено читать сообщения ядра (kernel.dmesg_restrict)."));
    else if (code != ERR_OK)
        host__say(o, HOST_OK, "kernel messages", NAN, "",
                  xstrdup("There is no /dev/kmsg here, so the kernel's messages cannot be read."),
                  xstrdup("Здесь нет /dev/kmsg, поэтому прочитать сообщения ядра нельзя."));
    else
        host__say(o, m->errors ? HOST_WARN : HOST_OK, "kernel messages", (double)m->total, "",
                  xasprintf("Warnings and errors in the kernel's log: %zu, of them errors: %zu.",
                            m->total, m->errors),
                  xasprintf("Предупреждений и ошибок в журнале ядра: %zu, из них ошибок: %zu.",
                            m->total, m->errors));
    say_messages(o, m, uptime_s(v->root));
    for (size_t i = 0; i < MESSAGES; i++)
        free(m->last[i].text);
    free(m);
}

/* The first line of a file, clean; "" if it cannot be read. */
static char *first_line(const char *root, const char *path)
{
    struct buf b = {0};
    char line[256] = "";
    if (host__read(root, &b, 4096, "%s", path) == ERR_OK) {
        const char *at = b.data;
        host__line(&at, line, sizeof line);
    }
    buf_release(&b);
    return host__clean(line);
}

static char *distribution(const char *root)
{
    struct buf b = {0};
    char line[512], *name = NULL;
    if (host__read(root, &b, 65536, "/etc/os-release") == ERR_OK) {
        const char *at = b.data;
        while (!name && host__line(&at, line, sizeof line)) {
            if (strncmp(line, "PRETTY_NAME=", 12) != 0)
                continue;
            char *from = line + 12;
            size_t len = strlen(from);
            if (len >= 2 && (*from == '"' || *from == '\'') && from[len - 1] == *from) {
                from[len - 1] = '\0';
                from++;
            }
            name = host__clean(from);
        }
    }
    buf_release(&b);
    return name ? name : xstrdup("Linux");
}

void host__uptime_and_os(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct utsname machine;
    struct buf b = {0};
    struct host_cpu cpu = {0};
    char *name = first_line(v->root, "/proc/sys/kernel/hostname"),
         *kernel = first_line(v->root, "/proc/sys/kernel/osrelease");
    char *os = distribution(v->root), booted[CLOCK_TEXT] = "";
    const char *architecture = uname(&machine) == 0 ? machine.machine : "";
    host__say(
        o, HOST_OK, "os", NAN, "",
        xasprintf("Host %s runs %s with kernel %s on %s.", name, os, kernel, architecture),
        xasprintf("На машине %s работает %s с ядром %s (%s).", name, os, kernel, architecture));
    double up = uptime_s(v->root);
    if (host__read(v->root, &b, 1 << 20, "/proc/stat") == ERR_OK &&
        host__parse_stat(b.data, &cpu) && cpu.boot_s &&
        cpu.boot_s < 253402300800ULL) /* the year 10000 */
        clock_format((int64_t)cpu.boot_s * 1000, booted);
    if (!isnan(up)) {
        struct host_figure f = host__duration(up);
        host__say(o, HOST_OK, "uptime", up, "s",
                  xasprintf("The machine has been up for %s%s%.19s%s.", f.en,
                            *booted ? ", since " : "", booted, *booted ? "Z" : ""),
                  xasprintf("Машина работает без перезагрузки %s%s%.19s%s.", f.ru,
                            *booted ? ", с " : "", booted, *booted ? "Z" : ""));
        json_puti(o->data, "uptime_s", (int64_t)up);
    }
    json_puts(o->data, "hostname", name);
    json_puts(o->data, "os", os);
    json_puts(o->data, "kernel", kernel);
    json_puts(o->data, "architecture", architecture);
    json_puts(o->data, "booted_at", booted);
    free(name);
    free(kernel);
    free(os);
    buf_release(&b);
}

void host__time(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)v;
    (void)arguments;
    struct timex t = {0};
    char now[CLOCK_TEXT];
    clock_format(clock_real_ms(), now);
    json_puts(o->data, "now", now);
    if (adjtimex(&t) < 0) {
        host__say(o, HOST_OK, "time", NAN, "",
                  xasprintf("It is %s; the state of the clock cannot be read here.", now),
                  xasprintf("Сейчас %s; состояние часов здесь прочитать нельзя.", now));
        return;
    }
    bool synchronised = !(t.status & STA_UNSYNC);
    double offset_ms = (double)t.offset / (t.status & STA_NANO ? 1e6 : 1e3);
    struct host_figure off = host__decimal(offset_ms, 3),
                       error = host__decimal((double)t.esterror / 1e3, 1);
    enum host_severity s =
        synchronised ? host__judge(HOST_CLOCK_OFFSET, fabs(offset_ms)) : HOST_WARN;
    host__say(
        o, s, "time", synchronised ? offset_ms : NAN, "ms",
        synchronised
            ? xasprintf("The clock is synchronised: offset %s ms, estimated error %s ms; it is %s.",
                        off.en, error.en, now)
            : xasprintf(
                  "The kernel says that the clock is not synchronised to any source; it is %s.",
                  now),
        synchronised
            ? xasprintf("Часы синхронизированы: смещение %s мс, оценка ошибки %s мс; сейчас %s.",
                        off.ru, error.ru, now)
            : xasprintf("Ядро сообщает, что часы ни с чем не синхронизированы; сейчас %s.", now));
    json_put(o->data, "synchronised", json_boolean(synchronised));
    host__put(o->data, "offset_ms", offset_ms, 6);
    host__put(o->data, "estimated_error_ms", (double)t.esterror / 1e3, 3);
}

/* A number of a control file; NAN when it is absent, unreadable or "max". */
static double control(const char *root, const char *group, const char *file, struct buf *b)
{
    uint64_t n;
    if (host__read(root, b, 65536, "/sys/fs/cgroup%s/%s", group, file) != ERR_OK)
        return NAN;
    const char *at = b->data;
    return host__number(&at, &n) ? (double)n : NAN;
}

static void say_cpu_limit(const struct host_view *v, const char *group, struct host_out *o,
                          struct buf *b)
{
    uint64_t quota, period;
    if (host__read(v->root, b, 4096, "/sys/fs/cgroup%s/cpu.max", group) == ERR_OK) {
        const char *at = b->data;
        if (host__number(&at, &quota) && host__number(&at, &period) && period > 0) {
            double cores = (double)quota / (double)period;
            struct host_figure f = host__decimal(cores, 2);
            host__say(o, HOST_OK, "cgroup cpu", cores, "",
                      xasprintf("This control group may use %s cores.", f.en),
                      xasprintf("Этой группе разрешено занимать ядер: %s.", f.ru));
            host__put(o->data, "cpu_cores", cores, 3);
        }
    }
    uint64_t periods = 0, throttled = 0;
    if (host__read(v->root, b, 65536, "/sys/fs/cgroup%s/cpu.stat", group) == ERR_OK &&
        host__value(b->data, "nr_periods", &periods) &&
        host__value(b->data, "nr_throttled", &throttled) && periods > 0) {
        double percent = fmin(100.0, (double)throttled * 100.0 / (double)periods);
        struct host_figure f = host__percent(percent);
        host__say(
            o, host__judge(HOST_CGROUP_THROTTLED, percent), "cgroup throttling", percent, "%",
            xasprintf(
                "The CPU limit stopped this control group in %s of its periods since it began.",
                f.en),
            xasprintf("Предел процессора останавливал эту группу в %s её периодов с начала работы.",
                      f.ru));
        host__put(o->data, "cpu_throttled_percent", percent, 2);
    }
}

static void say_memory_limit(const struct host_view *v, const char *group, struct host_out *o,
                             struct buf *b)
{
    double limit = control(v->root, group, "memory.max", b),
           used = control(v->root, group, "memory.current", b);
    if (!isnan(limit) && !isnan(used) && limit > 0) {
        double percent = used * 100.0 / limit;
        struct host_figure fu = host__bytes(used), fl = host__bytes(limit),
                           fp = host__percent(percent);
        host__say(o, host__judge(HOST_CGROUP_MEMORY, percent), "cgroup memory", percent, "%",
                  xasprintf("This control group uses %s of the %s memory it may use (%s).", fu.en,
                            fl.en, fp.en),
                  xasprintf("Эта группа занимает %s памяти из разрешённых %s (%s).", fu.ru, fl.ru,
                            fp.ru));
    }
    host__put(o->data, "memory_limit", limit, 0);
    host__put(o->data, "memory_used", used, 0);
    double most = control(v->root, group, "pids.max", b),
           tasks = control(v->root, group, "pids.current", b);
    if (!isnan(most) && !isnan(tasks) && most > 0) {
        double percent = tasks * 100.0 / most;
        struct host_figure fp = host__percent(percent);
        host__say(
            o, host__judge(HOST_CGROUP_PIDS, percent), "cgroup tasks", percent, "%",
            xasprintf("This control group has %.0f of at most %.0f tasks (%s).", tasks, most,
                      fp.en),
            xasprintf("Задач в этой группе: %.0f из возможных %.0f (%s).", tasks, most, fp.ru));
    }
    host__put(o->data, "tasks_limit", most, 0);
    host__put(o->data, "tasks", tasks, 0);
}

/* The path of this process in the v2 hierarchy ("" for its root); false: there is no v2. */
static bool own_group(const struct host_view *v, char out[512], struct buf *b)
{
    char line[512];
    if (host__read(v->root, b, 4096, "/sys/fs/cgroup/cgroup.controllers") != ERR_OK ||
        host__read(v->root, b, 65536, "/proc/self/cgroup") != ERR_OK)
        return false;
    const char *at = b->data;
    while (host__line(&at, line, sizeof line)) {
        if (strncmp(line, "0::/", 4) != 0 || strstr(line, ".."))
            continue;
        snprintf(out, 512, "%s", line[4] ? line + 3 : "");
        return true;
    }
    return false;
}

void host__container(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct buf b = {0};
    char group[512], path[1024];
    snprintf(path, sizeof path, "%s/.dockerenv", v->root);
    bool docker = access(path, F_OK) == 0;
    snprintf(path, sizeof path, "%s/run/.containerenv", v->root);
    bool podman = access(path, F_OK) == 0;
    const char *engine = docker ? "Docker" : podman ? "Podman" : "";
    json_puts(o->data, "engine", engine);
    if (*engine)
        host__say(o, HOST_OK, "container", NAN, "",
                  xasprintf("This console runs inside a container of %s.", engine),
                  xasprintf("Эта консоль работает внутри контейнера %s.", engine));
    bool v2 = own_group(v, group, &b);
    json_put(o->data, "cgroup_v2", json_boolean(v2));
    if (!v2) {
        host__say(o, HOST_OK, "container", NAN, "",
                  xstrdup("No cgroup v2 hierarchy is mounted here, so no limits of it apply."),
                  xstrdup("Иерархии cgroup v2 здесь нет, поэтому её пределы не действуют."));
    } else {
        size_t before = json_array_size(o->findings);
        say_cpu_limit(v, group, o, &b);
        say_memory_limit(v, group, o, &b);
        if (json_array_size(o->findings) == before)
            host__say(
                o, HOST_OK, "container", NAN, "",
                xstrdup("The control group of this console has no limit of CPU, memory or tasks of "
                        "its own."),
                xstrdup(
                    "У группы этой консоли нет собственных пределов процессора, памяти и задач."));
    }
    buf_release(&b);
}

void host__units_none(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)v;
    (void)arguments;
    json_put(o->data, "systemd", json_false());
    host__say(
        o, HOST_OK, "units", NAN, "",
        xstrdup("systemd does not run this machine, so there are no units to look at."),
        xstrdup("Этой машиной управляет не systemd, поэтому служб (units) для проверки нет."));
}

bool host__parse_units(const char *text, size_t len, struct host_out *o)
{
    struct error e = {0};
    json_t *list = json_read(text, len, 1 << 20, 8, &e);
    bool fine = json_is_array(list);
    json_t *rows = json_array(), *unit;
    size_t i;
    json_put(o->data, "systemd", json_true());
    if (fine && json_array_size(list) == 0)
        host__say(o, HOST_OK, "units", 0, "", xstrdup("No systemd unit has failed."),
                  xstrdup("Ни одна служба (unit) systemd не в состоянии failed."));
    json_array_foreach(list, i, unit)
    {
        char *name = host__clean(json_str(unit, "unit", "?")),
             *about = host__clean(json_str(unit, "description", ""));
        if (i < 50)
            host__say(o, HOST_FAIL, "units", (double)json_array_size(list), "",
                      xasprintf("systemd unit %s (%s) has failed.", name, about),
                      xasprintf("Служба (unit) systemd %s (%s) в состоянии failed.", name, about));
        json_t *row = json_object();
        json_puts(row, "unit", name);
        json_puts(row, "description", about);
        json_puts(row, "sub", json_str(unit, "sub", ""));
        json_array_append_new(rows, row);
        free(name);
        free(about);
    }
    json_put(o->data, "failed", rows);
    json_decref(list);
    return fine;
}
