/* Processes and open files. A process may end at any moment; its name is anything it likes. */
#include "backend/connectors/host.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct row {
    const struct host_stat *stat;
    double cpu; /* percent of one core */
    double rss; /* bytes */
};

static int by_cpu(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->cpu != y->cpu)
        return x->cpu < y->cpu ? 1 : -1;
    return (x->rss < y->rss) - (x->rss > y->rss);
}

static int by_memory(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->rss != y->rss)
        return x->rss < y->rss ? 1 : -1;
    return (x->stat->pid > y->stat->pid) - (x->stat->pid < y->stat->pid);
}

static uint64_t user_of(const char *root, int pid, struct buf *b)
{
    uint64_t uid = UINT64_MAX;
    if (host__read(root, b, 65536, "/proc/%d/status", pid) == ERR_OK)
        host__value(b->data, "Uid", &uid);
    return uid;
}

static double memory_total(const char *root)
{
    struct buf b = {0};
    struct host_memory m;
    double total =
        host__read(root, &b, 65536, "/proc/meminfo") == ERR_OK && host__parse_memory(b.data, &m)
            ? (double)m.total
            : NAN;
    buf_release(&b);
    return total;
}

static void say_row(const struct host_view *v, struct host_out *o, const struct row *r,
                    bool sorted_by_cpu, double total, const char *passwd, struct buf *b,
                    json_t *rows)
{
    char user[HOST_NAME] = "";
    uint64_t uid = user_of(v->root, r->stat->pid, b);
    if (uid != UINT64_MAX)
        host__user(passwd, uid, user);
    char *name = host__clean(r->stat->name), *owner = host__clean(*user ? user : "?");
    double part = r->rss * 100.0 / total;
    struct host_figure cpu = host__percent(r->cpu), rss = host__bytes(r->rss),
                       share = host__percent(isnan(part) ? 0 : part);
    enum host_severity s = isnan(part) ? HOST_OK : host__judge(HOST_PROCESS_MEMORY, part);
    if (sorted_by_cpu)
        host__say(
            o, s, "process cpu", r->cpu, "%",
            xasprintf(
                "Process %s (pid %d, user %s) uses %s of one core and %s of memory (%s of all).",
                name, r->stat->pid, owner, cpu.en, rss.en, share.en),
            xasprintf("Процесс %s (pid %d, пользователь %s) занимает %s одного ядра и %s памяти "
                      "(%s всей).",
                      name, r->stat->pid, owner, cpu.ru, rss.ru, share.ru));
    else
        host__say(o, s, "process memory", r->rss, "B",
                  xasprintf("Process %s (pid %d, user %s) holds %s of memory (%s of all) and uses "
                            "%s of one core.",
                            name, r->stat->pid, owner, rss.en, share.en, cpu.en),
                  xasprintf("Процесс %s (pid %d, пользователь %s) держит %s памяти (%s всей) и "
                            "занимает %s одного ядра.",
                            name, r->stat->pid, owner, rss.ru, share.ru, cpu.ru));
    json_t *row = json_object();
    json_puti(row, "pid", r->stat->pid);
    json_put(row, "name", json_text(r->stat->name, strlen(r->stat->name)));
    json_put(row, "user", json_text(user, strlen(user)));
    host__put(row, "cpu_percent", r->cpu, 2);
    json_puti(row, "rss", (int64_t)r->rss);
    json_put(row, "state", json_text(&r->stat->state, 1));
    json_puti(row, "threads", (int64_t)r->stat->threads);
    json_array_append_new(rows, row);
    free(name);
    free(owner);
}

static void say_counts(struct host_out *o, const struct host_sample *s)
{
    size_t zombies = 0, blocked = 0, running = 0;
    for (size_t i = 0; i < s->process_count; i++) {
        zombies += s->processes[i].state == 'Z';
        blocked += s->processes[i].state == 'D';
        running += s->processes[i].state == 'R';
    }
    host__say(
        o, host__judge(HOST_BLOCKED_TASKS, (double)blocked), "processes", (double)s->process_count,
        "",
        xasprintf("Processes: %zu; running %zu, in uninterruptible sleep (D) %zu, zombies %zu.",
                  s->process_count, running, blocked, zombies),
        xasprintf("Процессов: %zu; исполняется %zu, в непрерываемом сне (D) %zu, зомби %zu.",
                  s->process_count, running, blocked, zombies));
    json_puti(o->data, "count", (int64_t)s->process_count);
    json_puti(o->data, "zombies", (int64_t)zombies);
    json_puti(o->data, "blocked", (int64_t)blocked);
}

static size_t list_rows(const struct host_two *t, struct row *list)
{
    double hz = (double)sysconf(_SC_CLK_TCK), page = (double)sysconf(_SC_PAGESIZE);
    size_t n = t->now->process_count;
    for (size_t i = 0; i < n; i++) {
        const struct host_stat *now = &t->now->processes[i];
        const struct host_stat *then = host__sample_process(t->before, now->pid, now->start_ticks);
        uint64_t was =
            then ? then->ticks : 0; /* a new one has spent all its time in the interval */
        list[i] = (struct row){.stat = now, .rss = (double)now->rss_pages * page};
        if (now->ticks > was)
            list[i].cpu = (double)(now->ticks - was) * 100.0 / hz / t->seconds;
    }
    return n;
}

/* Without `sort` the top three of both kinds; idle ones say nothing about the CPU. */
void host__processes(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    const char *sort = json_str(arguments, "sort", "");
    int64_t limit = json_int(arguments, "limit", *sort ? 5 : 3);
    limit = limit < 1 ? 1 : limit > 50 ? 50 : limit;
    struct host_two t = host__two(v);
    struct row *list = xcalloc(t.now->process_count + 1, sizeof *list);
    size_t n = list_rows(&t, list);
    struct buf passwd = {0}, b = {0};
    host__read(v->root, &passwd, 1 << 20, "/etc/passwd");
    double total = memory_total(v->root);
    for (int way = 0; way < 2; way++) {
        bool cpu = way == 0;
        if (*sort && strcmp(sort, cpu ? "cpu" : "memory") != 0)
            continue;
        if (n)
            qsort(list, n, sizeof *list, cpu ? by_cpu : by_memory);
        json_t *rows = json_array();
        for (size_t i = 0; i < n && (int64_t)i < limit; i++) {
            if (*sort || i == 0 || !cpu || list[i].cpu > 0)
                say_row(v, o, &list[i], cpu, total, passwd.data, &b, rows);
        }
        json_put(o->data, cpu ? "by_cpu" : "by_memory", rows);
    }
    host__put(o->data, "interval_s", t.seconds, 3);
    say_counts(o, t.now);
    buf_release(&passwd);
    buf_release(&b);
    free(list);
    host__two_free(&t);
}

/* How many descriptors a process has open; -1: not permitted or gone. Stops at most. */
static int64_t open_count(const char *root, int pid, int64_t most)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/proc/%d/fd", root, pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    int64_t n = 0;
    struct dirent *d;
    while (n < most && (d = readdir(dir)))
        n += d->d_name[0] != '.';
    closedir(dir);
    return n;
}

/* The soft limit of open files; 0: unlimited or not readable. */
static uint64_t open_limit(const char *root, int pid, struct buf *b)
{
    uint64_t n = 0;
    if (host__read(root, b, 8192, "/proc/%d/limits", pid) == ERR_OK)
        host__value(b->data, "Max open files", &n);
    return n;
}

/* The program's path or name without its arguments, which may hold secrets. */
static char *program_of(const char *root, int pid, struct buf *b)
{
    if (host__read(root, b, 4096, "/proc/%d/cmdline", pid) != ERR_OK || !b->data[0])
        return xstrdup("");
    size_t len = strcspn(b->data, " ");
    b->data[len] = '\0';
    return host__clean(b->data);
}

static const char *const states[][3] = {{"R", "running", "исполняется"},
                                        {"S", "sleeping", "спит"},
                                        {"D", "in uninterruptible sleep", "в непрерываемом сне"},
                                        {"Z", "a zombie", "зомби"},
                                        {"T", "stopped", "остановлен"},
                                        {"t", "traced", "под отладкой"},
                                        {"I", "idle", "простаивает"}};

static size_t state_index(char state)
{
    size_t i = 0;
    while (i < sizeof states / sizeof *states - 1 && states[i][0][0] != state)
        i++;
    return states[i][0][0] == state ? i : 1;
}

static void say_files(const struct host_view *v, struct host_out *o, int pid, struct buf *b)
{
    int64_t open = open_count(v->root, pid, 1000000);
    uint64_t limit = open_limit(v->root, pid, b);
    json_put(o->data, "open_files", open < 0 ? json_null() : json_integer(open));
    json_put(o->data, "open_files_limit", limit ? json_integer((json_int_t)limit) : json_null());
    if (open < 0) {
        host__say(o, HOST_OK, "open files", NAN, "",
                  xasprintf("The open files of process %d may not be seen by this user.", pid),
                  xasprintf("Открытые файлы процесса %d этому пользователю не видны.", pid));
        return;
    }
    double percent = limit ? (double)open * 100.0 / (double)limit : NAN;
    host__say(o, host__judge(HOST_OPEN_FILES, percent), "open files", (double)open, "",
              limit ? xasprintf("Process %d has %lld open files; its limit is %llu.", pid,
                                (long long)open, (unsigned long long)limit)
                    : xasprintf("Process %d has %lld open files.", pid, (long long)open),
              limit ? xasprintf("Открытых файлов у процесса %d: %lld при пределе %llu.", pid,
                                (long long)open, (unsigned long long)limit)
                    : xasprintf("Открытых файлов у процесса %d: %lld.", pid, (long long)open));
}

static void say_process(const struct host_view *v, struct host_out *o, const struct host_stat *s,
                        struct buf *b)
{
    struct buf passwd = {0};
    char user[HOST_NAME] = "?";
    uint64_t uid = user_of(v->root, s->pid, b), swap = 0;
    host__value(b->data ? b->data : "", "VmSwap", &swap);
    swap = swap < UINT64_MAX / 1024 ? swap * 1024 : 0;
    host__read(v->root, &passwd, 1 << 20, "/etc/passwd");
    if (uid != UINT64_MAX)
        host__user(passwd.data, uid, user);
    buf_release(&passwd);
    size_t state = state_index(s->state);
    double rss = (double)s->rss_pages * (double)sysconf(_SC_PAGESIZE),
           cpu = (double)s->ticks / (double)sysconf(_SC_CLK_TCK);
    struct host_figure fr = host__bytes(rss), fs = host__bytes((double)swap),
                       fc = host__duration(cpu);
    char *name = host__clean(s->name), *owner = host__clean(user),
         *program = program_of(v->root, s->pid, b);
    host__say(o, s->state == 'D' || s->state == 'Z' ? HOST_WARN : HOST_OK, "process", rss, "B",
              xasprintf("Process %s (pid %d, parent %d, user %s) is %s: %s of memory, %s in swap, "
                        "%s of CPU time, threads: %llu.",
                        name, s->pid, s->parent, owner, states[state][1], fr.en, fs.en, fc.en,
                        (unsigned long long)s->threads),
              xasprintf("Процесс %s (pid %d, родитель %d, пользователь %s): %s; памяти %s, в "
                        "подкачке %s, процессорного времени %s, потоков: %llu.",
                        name, s->pid, s->parent, owner, states[state][2], fr.ru, fs.ru, fc.ru,
                        (unsigned long long)s->threads));
    json_puti(o->data, "pid", s->pid);
    json_puti(o->data, "parent", s->parent);
    json_put(o->data, "name", json_text(s->name, strlen(s->name)));
    json_puts(o->data, "program", program);
    json_puts(o->data, "user", owner);
    json_put(o->data, "state", json_text(&s->state, 1));
    json_puti(o->data, "rss", (int64_t)rss);
    json_puti(o->data, "swap", (int64_t)swap);
    json_puti(o->data, "threads", (int64_t)s->threads);
    host__put(o->data, "cpu_s", cpu, 2);
    free(name);
    free(owner);
    free(program);
}

void host__process(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    int pid = (int)json_int(arguments, "pid", 0);
    struct buf b = {0};
    struct host_stat s;
    if (host__read(v->root, &b, 4096, "/proc/%d/stat", pid) != ERR_OK ||
        !host__parse_process(b.data, &s)) {
        err_set(&o->error, ERR_NOT_FOUND, "no process has pid %d now", pid);
    } else {
        say_process(v, o, &s, &b);
        say_files(v, o, pid, &b);
    }
    buf_release(&b);
}

static void say_near_limit(const struct host_view *v, struct host_out *o, struct buf *b)
{
    enum { MOST_PROCESSES = 1000, MOST_FILES = 200000 };
    struct host_sample *s = host__sample(v->root);
    size_t seen = 0, hidden = 0, near = 0;
    int64_t budget = MOST_FILES;
    for (size_t i = 0; i < s->process_count && seen < MOST_PROCESSES && budget > 0; i++) {
        const struct host_stat *p = &s->processes[i];
        uint64_t limit = open_limit(v->root, p->pid, b);
        int64_t open = limit ? open_count(v->root, p->pid, budget) : -1;
        if (open < 0) {
            hidden += limit > 0;
            continue;
        }
        seen++;
        budget -= open;
        double percent = (double)open * 100.0 / (double)limit;
        enum host_severity level = host__judge(HOST_OPEN_FILES, percent);
        if (level == HOST_OK)
            continue;
        near++;
        char *name = host__clean(p->name);
        struct host_figure f = host__percent(percent);
        host__say(
            o, level, "open files", percent, "%",
            xasprintf("Process %s (pid %d) has %lld open files, %s of its limit of %llu.", name,
                      p->pid, (long long)open, f.en, (unsigned long long)limit),
            xasprintf("У процесса %s (pid %d) открыто файлов: %lld, это %s его предела в %llu.",
                      name, p->pid, (long long)open, f.ru, (unsigned long long)limit));
        free(name);
    }
    if (near == 0)
        host__say(
            o, HOST_OK, "open files", 0, "",
            xasprintf(
                "No process is near its limit of open files (looked at %zu; not permitted: %zu).",
                seen, hidden),
            xasprintf("Ни один процесс не близок к своему пределу открытых файлов (проверено %zu; "
                      "нет доступа к %zu).",
                      seen, hidden));
    json_puti(o->data, "looked_at", (int64_t)seen);
    json_puti(o->data, "not_permitted", (int64_t)hidden);
    host__sample_free(s);
}

void host__open_files(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct buf b = {0};
    uint64_t open, unused, most;
    const char *at = NULL;
    if (host__read(v->root, &b, 4096, "/proc/sys/fs/file-nr") == ERR_OK)
        at = b.data;
    if (at && host__number(&at, &open) && host__number(&at, &unused) && host__number(&at, &most) &&
        most > 0) {
        double percent = (double)open * 100.0 / (double)most;
        struct host_figure f = host__percent(percent);
        /* A maximum of 2^63 is the kernel's way to say that there is none. */
        bool endless = most >= UINT64_MAX / 10 || most > INT64_MAX / 2;
        host__say(o, host__judge(HOST_OPEN_FILES, percent), "open files", percent, "%",
                  endless ? xasprintf("The system has %llu open files and sets no maximum.",
                                      (unsigned long long)open)
                          : xasprintf("The system has %llu open files of at most %llu (%s).",
                                      (unsigned long long)open, (unsigned long long)most, f.en),
                  endless ? xasprintf("В системе открыто файлов: %llu; общего предела нет.",
                                      (unsigned long long)open)
                          : xasprintf("В системе открыто файлов: %llu из возможных %llu (%s).",
                                      (unsigned long long)open, (unsigned long long)most, f.ru));
        json_puti(o->data, "open", (int64_t)open);
        json_put(o->data, "maximum", endless ? json_null() : json_integer((json_int_t)most));
    }
    say_near_limit(v, o, &b);
    buf_release(&b);
}
