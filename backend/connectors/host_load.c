/* Load, pressure, CPU, memory, and the overview that combines them. */
#include "backend/connectors/host.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#define SAY(o, s, topic, value, unit, en, ru) host__say(o, s, topic, value, unit, en, ru)

static void unreadable(struct host_out *o, const char *topic, const char *path)
{
    SAY(o, HOST_WARN, topic, NAN, "",
        xasprintf("%s cannot be read, so %s is not known.", path, topic),
        xasprintf("%s не читается, поэтому данных по теме «%s» нет.", path, topic));
}

static unsigned cores_of(const struct host_view *v, struct buf *b, struct host_cpu *cpu)
{
    bool known =
        host__read(v->root, b, 1 << 20, "/proc/stat") == ERR_OK && host__parse_stat(b->data, cpu);
    return known ? cpu->cores : 0;
}

void host__load(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct buf b = {0};
    struct host_cpu cpu = {0};
    double load[3];
    uint64_t runnable, tasks;
    unsigned cores = cores_of(v, &b, &cpu);
    if (host__read(v->root, &b, 4096, "/proc/loadavg") != ERR_OK ||
        !host__parse_load(b.data, load, &runnable, &tasks)) {
        unreadable(o, "load", "/proc/loadavg");
        goto out;
    }
    unsigned divisor = cores ? cores : 1;
    double per_core = load[0] / divisor;
    struct host_figure p = host__decimal(per_core, 2), one = host__decimal(load[0], 2),
                       five = host__decimal(load[1], 2), fifteen = host__decimal(load[2], 2);
    SAY(o, host__judge(HOST_LOAD_PER_CORE, per_core), "load", per_core, "",
        xasprintf("The load average is %s per core (1 min %s, 5 min %s, 15 min %s; cores: %u).",
                  p.en, one.en, five.en, fifteen.en, divisor),
        xasprintf(
            "Средняя нагрузка: %s на ядро (за 1 мин %s, за 5 мин %s, за 15 мин %s; ядер: %u).",
            p.ru, one.ru, five.ru, fifteen.ru, divisor));
    SAY(o, HOST_OK, "run queue", (double)runnable, "",
        xasprintf("Tasks runnable now: %llu of %llu; waiting for a disk: %llu.",
                  (unsigned long long)runnable, (unsigned long long)tasks,
                  (unsigned long long)cpu.blocked),
        xasprintf("Задач готово к исполнению: %llu из %llu; ждут диска: %llu.",
                  (unsigned long long)runnable, (unsigned long long)tasks,
                  (unsigned long long)cpu.blocked));
    host__put(o->data, "load1", load[0], 2);
    host__put(o->data, "load5", load[1], 2);
    host__put(o->data, "load15", load[2], 2);
    host__put(o->data, "load_per_core", per_core, 3);
    json_puti(o->data, "cores", divisor);
    json_puti(o->data, "runnable", (int64_t)runnable);
    json_puti(o->data, "tasks", (int64_t)tasks);
    json_puti(o->data, "blocked", (int64_t)cpu.blocked);
    if (host__read(v->root, &b, 4096, "/proc/uptime") == ERR_OK) {
        const char *at = b.data;
        uint64_t seconds;
        if (host__number(&at, &seconds)) {
            struct host_figure up = host__duration((double)seconds);
            SAY(o, HOST_OK, "uptime", (double)seconds, "s",
                xasprintf("The machine has been up for %s.", up.en),
                xasprintf("Машина работает без перезагрузки %s.", up.ru));
            json_puti(o->data, "uptime_s", (int64_t)seconds);
        }
    }
out:
    buf_release(&b);
}

static void say_pressure(struct host_out *o, const char *what, const char *ru,
                         const struct host_psi *psi)
{
    enum host_severity s = host__judge(HOST_PSI_SOME, psi->some10);
    enum host_severity full = psi->has_full ? host__judge(HOST_PSI_FULL, psi->full10) : HOST_OK;
    struct host_figure some10 = host__percent(psi->some10), some60 = host__percent(psi->some60),
                       full10 = host__percent(psi->full10);
    char *topic = xasprintf("%s pressure", what);
    char *en_full = psi->has_full ? xasprintf("; all of them %s", full10.en) : xstrdup("");
    char *ru_full = psi->has_full ? xasprintf("; все сразу — %s", full10.ru) : xstrdup("");
    SAY(o, full > s ? full : s, topic, psi->some10, "%",
        xasprintf(
            "Some tasks were stalled for want of %s %s of the last 10 s (%s of the last minute)%s.",
            what, some10.en, some60.en, en_full),
        xasprintf("Из-за нехватки ресурса «%s» часть задач простаивала %s последних 10 секунд (%s "
                  "последней минуты)%s.",
                  ru, some10.ru, some60.ru, ru_full));
    free(topic);
    free(en_full);
    free(ru_full);
    json_t *row = json_object();
    host__put(row, "some_avg10", psi->some10, 2);
    host__put(row, "some_avg60", psi->some60, 2);
    host__put(row, "full_avg10", psi->has_full ? psi->full10 : NAN, 2);
    host__put(row, "full_avg60", psi->has_full ? psi->full60 : NAN, 2);
    json_put(o->data, what, row);
}

void host__pressure(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    static const char *const resources[][2] = {
        {"cpu", "процессор"}, {"memory", "память"}, {"io", "ввод-вывод"}};
    (void)arguments;
    struct buf b = {0};
    size_t known = 0;
    for (size_t i = 0; i < 3; i++) {
        struct host_psi psi;
        if (host__read(v->root, &b, 4096, "/proc/pressure/%s", resources[i][0]) != ERR_OK ||
            !host__parse_psi(b.data, &psi))
            continue;
        known++;
        say_pressure(o, resources[i][0], resources[i][1], &psi);
    }
    if (!known)
        SAY(o, HOST_OK, "pressure", NAN, "",
            xstrdup("This kernel offers no pressure figures (no /proc/pressure: PSI is not built "
                    "in or is switched off)."),
            xstrdup("Это ядро не показывает давление на ресурсы (нет /proc/pressure: PSI не собран "
                    "или выключен)."));
    json_put(o->data, "available", json_boolean(known > 0));
    buf_release(&b);
}

static double share(uint64_t now, uint64_t before, double total)
{
    return now > before && total > 0 ? (double)(now - before) * 100.0 / total : 0.0;
}

static uint64_t cpu_total(const struct host_cpu *c)
{
    return c->user + c->nice + c->system + c->idle + c->iowait + c->irq + c->softirq + c->steal;
}

static void say_cpu(struct host_out *o, const struct host_cpu *a, const struct host_cpu *b,
                    double seconds)
{
    double total = cpu_total(b) > cpu_total(a) ? (double)(cpu_total(b) - cpu_total(a)) : 0.0;
    double user = share(b->user + b->nice, a->user + a->nice, total),
           system = share(b->system, a->system, total);
    double iowait = share(b->iowait, a->iowait, total), steal = share(b->steal, a->steal, total);
    double irq = share(b->irq + b->softirq, a->irq + a->softirq, total);
    double busy = fmin(100.0, user + system + irq + steal);
    struct host_figure fb = host__percent(busy), fu = host__percent(user),
                       fs = host__percent(system), fw = host__percent(iowait),
                       ft = host__percent(steal), fi = host__percent(irq),
                       fd = host__decimal(seconds, seconds < 1 ? 2 : 1);
    SAY(o, host__judge(HOST_CPU_BUSY, busy), "cpu", busy, "%",
        xasprintf("The CPU was %s busy over the last %s s: user %s, system %s, interrupts %s, "
                  "steal %s, waiting for disks %s (cores: %u).",
                  fb.en, fd.en, fu.en, fs.en, fi.en, ft.en, fw.en, b->cores),
        xasprintf("Процессор был занят на %s за последние %s с: программы %s, ядро %s, прерывания "
                  "%s, отдано гипервизору %s, ожидание дисков %s (ядер: %u).",
                  fb.ru, fd.ru, fu.ru, fs.ru, fi.ru, ft.ru, fw.ru, b->cores));
    enum host_severity s = host__judge(HOST_CPU_IOWAIT, iowait);
    if (s != HOST_OK)
        SAY(o, s, "iowait", iowait, "%",
            xasprintf("The cores waited for disks %s of the time.", fw.en),
            xasprintf("Ядра ждали дисков %s времени.", fw.ru));
    s = host__judge(HOST_CPU_STEAL, steal);
    if (s != HOST_OK)
        SAY(o, s, "steal", steal, "%",
            xasprintf("The hypervisor took %s of the CPU time: neighbours on the same hardware are "
                      "competing for it.",
                      ft.en),
            xasprintf("Гипервизор забрал %s процессорного времени: за него соперничают соседи на "
                      "том же железе.",
                      ft.ru));
    host__put(o->data, "busy", busy, 2);
    host__put(o->data, "user", user, 2);
    host__put(o->data, "system", system, 2);
    host__put(o->data, "iowait", iowait, 2);
    host__put(o->data, "steal", steal, 2);
    host__put(o->data, "interrupts", irq, 2);
    host__put(o->data, "interval_s", seconds, 3);
    json_puti(o->data, "cores", b->cores);
}

void host__cpu(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct host_two t = host__two(v);
    if (t.before->has_cpu && t.now->has_cpu)
        say_cpu(o, &t.before->cpu, &t.now->cpu, t.seconds);
    else
        unreadable(o, "cpu", "/proc/stat");
    host__two_free(&t);
}

static void say_oom(const struct host_view *v, struct host_out *o)
{
    struct buf b = {0};
    uint64_t kills;
    if (host__read(v->root, &b, 256 * 1024, "/proc/vmstat") == ERR_OK &&
        host__value(b.data, "oom_kill", &kills)) {
        bool fresh = v->before && v->before->has_oom && kills > v->before->oom_kills;
        SAY(o,
            fresh   ? HOST_FAIL
            : kills ? HOST_WARN
                    : HOST_OK,
            "oom", (double)kills, "",
            kills ? xasprintf(
                        "Processes the kernel has killed for lack of memory since boot: %llu%s.",
                        (unsigned long long)kills, fresh ? ", some of them just now" : "")
                  : xstrdup("The kernel has killed no process for lack of memory since boot."),
            kills ? xasprintf(
                        "Процессов, убитых ядром из-за нехватки памяти с момента загрузки: %llu%s.",
                        (unsigned long long)kills, fresh ? ", часть из них только что" : "")
                  : xstrdup("С момента загрузки ядро не убивало процессы из-за нехватки памяти."));
        json_puti(o->data, "oom_kills", (int64_t)kills);
    }
    buf_release(&b);
}

void host__memory(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct buf b = {0};
    struct host_memory m;
    if (host__read(v->root, &b, 65536, "/proc/meminfo") != ERR_OK ||
        !host__parse_memory(b.data, &m)) {
        unreadable(o, "memory", "/proc/meminfo");
        goto out;
    }
    double available = (double)m.available * 100.0 / (double)m.total;
    struct host_figure fa = host__bytes((double)m.available), ft = host__bytes((double)m.total),
                       fp = host__percent(available), fd = host__bytes((double)m.dirty);
    SAY(o, host__judge(HOST_MEMORY_AVAILABLE, available), "memory", available, "%",
        xasprintf("%s of %s memory (%s) is available to programs; %s waits to be written to disk.",
                  fa.en, ft.en, fp.en, fd.en),
        xasprintf("Программам доступно %s памяти из %s (%s); ждёт записи на диск %s.", fa.ru, ft.ru,
                  fp.ru, fd.ru));
    json_puti(o->data, "total", (int64_t)m.total);
    json_puti(o->data, "available", (int64_t)m.available);
    json_puti(o->data, "free", (int64_t)m.free);
    json_puti(o->data, "cached", (int64_t)m.cached);
    json_puti(o->data, "dirty", (int64_t)m.dirty);
    json_puti(o->data, "swap_total", (int64_t)m.swap_total);
    json_puti(o->data, "swap_free", (int64_t)m.swap_free);
    host__put(o->data, "available_percent", available, 2);
    if (m.swap_total) {
        double used = (double)(m.swap_total - m.swap_free) * 100.0 / (double)m.swap_total;
        struct host_figure su = host__bytes((double)(m.swap_total - m.swap_free)),
                           st = host__bytes((double)m.swap_total), sp = host__percent(used);
        SAY(o, host__judge(HOST_SWAP_USED, used), "swap", used, "%",
            xasprintf("%s of %s swap (%s) is in use.", su.en, st.en, sp.en),
            xasprintf("Занято %s подкачки из %s (%s).", su.ru, st.ru, sp.ru));
    } else {
        SAY(o, HOST_OK, "swap", 0, "%", xstrdup("The machine has no swap."),
            xstrdup("Подкачки на машине нет."));
    }
    say_oom(v, o);
out:
    buf_release(&b);
}
