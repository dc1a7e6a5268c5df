/* The overview: the main figures together, and what they say of slowness. */
#include "backend/connectors/host.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum part { LOAD, PRESSURE, CPU, MEMORY, DISKS, DISK_IO, PROCESSES, PARTS };
static const struct {
    const char *name;
    host_tool *run;
} parts[PARTS] = {[LOAD] = {"load", host__load},
                  [PRESSURE] = {"pressure", host__pressure},
                  [CPU] = {"cpu", host__cpu},
                  [MEMORY] = {"memory", host__memory},
                  [DISKS] = {"disks", host__disks},
                  [DISK_IO] = {"disk_io", host__disk_io},
                  [PROCESSES] = {"processes", host__processes}};

/* Topics of findings: their Russian names, and what is short when they are over a limit. */
enum shortage { NOTHING, OF_LOAD, OF_CPU, OF_STOLEN_CPU, OF_MEMORY, OF_IO, SHORTAGES };
static const struct {
    const char *topic, *ru;
    enum shortage of;
} topics[] = {{"load", "нагрузка", OF_LOAD},
              {"cpu", "процессор", OF_CPU},
              {"cpu pressure", "давление на процессор", OF_CPU},
              {"steal", "отнятый процессор", OF_STOLEN_CPU},
              {"memory", "память", OF_MEMORY},
              {"memory pressure", "давление на память", OF_MEMORY},
              {"swap", "подкачка", OF_MEMORY},
              {"oom", "нехватка памяти", OF_MEMORY},
              {"iowait", "ожидание дисков", OF_IO},
              {"io pressure", "давление на диски", OF_IO},
              {"disk io", "ввод-вывод дисков", OF_IO},
              {"disk", "место на диске", NOTHING},
              {"inodes", "индексные дескрипторы", NOTHING},
              {"disk growth", "рост занятого места", NOTHING},
              {"processes", "процессы", NOTHING},
              {"process memory", "память процесса", NOTHING},
              {"process cpu", "память процесса", NOTHING}};
enum { TOPICS = sizeof topics / sizeof *topics };

struct overview {
    struct host_out part[PARTS];
    struct buf en, ru; /* topics over their limits, each once */
    size_t bad;
    int severity[SHORTAGES];
};

static int severity_of(const json_t *finding)
{
    const char *name = json_str(finding, "severity", "ok");
    return strcmp(name, "fail") == 0 ? HOST_FAIL : strcmp(name, "warn") == 0 ? HOST_WARN : HOST_OK;
}

static void note_topic(struct overview *all, const char *topic, int severity)
{
    size_t i = 0;
    while (i < TOPICS && strcmp(topics[i].topic, topic) != 0)
        i++;
    enum shortage of = i < TOPICS ? topics[i].of : NOTHING;
    if (severity > all->severity[of])
        all->severity[of] = severity;
    buf_addf(&all->en, "%s%s", all->en.len ? ", " : "", topic);
    buf_addf(&all->ru, "%s%s", all->ru.len ? ", " : "", i < TOPICS ? topics[i].ru : topic);
    all->bad++;
}

/* Moves what a part found: everything over a limit, or its first sentence. */
static void merge(struct overview *all, const struct host_out *part, bool bad, json_t *findings)
{
    size_t i;
    json_t *finding;
    json_array_foreach(part->findings, i, finding)
    {
        int severity = severity_of(finding);
        if ((severity > HOST_OK) != bad || (!bad && i > 0))
            continue;
        json_array_append(findings, finding);
        if (bad)
            note_topic(all, json_str(finding, "topic", ""), severity);
    }
}

/* What leads: models say it before the figures that it is drawn from. */
static void say_first(struct host_out *o, int severity, const char *topic, char *en, char *ru)
{
    host__say(o, severity, topic, NAN, "", en, ru);
    json_put(json_array_get(o->findings, json_array_size(o->findings) - 1), "lead", json_true());
}

static void blame_process(struct overview *all, struct host_out *o, enum shortage of)
{
    bool cpu = of == OF_CPU;
    const json_t *rows = json_object_get(all->part[PROCESSES].data, cpu ? "by_cpu" : "by_memory"),
                 *top = json_array_get(rows, 0);
    if (json_int(top, "pid", 0) == getpid() && json_array_size(rows) > 1)
        top = json_array_get(rows, 1); /* this console is busy with the question itself */
    if (!top || (cpu && json_num(top, "cpu_percent", 0) < 1)) {
        say_first(
            o, all->severity[of], cpu ? "slow cpu" : "slow memory",
            xasprintf("%s is short, and no single process stands out.", cpu ? "The CPU" : "Memory"),
            xasprintf("Не хватает %s, и ни один процесс не выделяется.",
                      cpu ? "процессора" : "памяти"));
        return;
    }
    char *name = host__clean(json_str(top, "name", "?"));
    long long pid = json_int(top, "pid", 0);
    struct host_figure f = cpu ? host__percent(json_num(top, "cpu_percent", 0))
                               : host__bytes((double)json_int(top, "rss", 0));
    if (cpu)
        say_first(
            o, all->severity[of], "slow cpu",
            xasprintf("The CPU is short: process %s (pid %lld) takes the most, %s of one "
                      "core.",
                      name, pid, f.en),
            xasprintf("Не хватает процессора: больше всего занимает процесс %s (pid %lld), %s "
                      "одного ядра.",
                      name, pid, f.ru));
    else
        say_first(o, all->severity[of], "slow memory",
                  xasprintf("Memory is short: process %s (pid %lld) holds the most, %s.", name, pid,
                            f.en),
                  xasprintf("Не хватает памяти: больше всего держит процесс %s (pid %lld), %s.",
                            name, pid, f.ru));
    free(name);
}

static void blame_disk(struct overview *all, struct host_out *o)
{
    const json_t *busiest = NULL, *row;
    size_t i;
    json_array_foreach(json_object_get(all->part[DISK_IO].data, "devices"), i, row)
    {
        if (!busiest || json_num(row, "utilisation", 0) > json_num(busiest, "utilisation", 0))
            busiest = row;
    }
    if (!busiest) {
        say_first(o, all->severity[OF_IO], "slow io",
                  xstrdup("Tasks wait for disks, and no disk of this machine shows why."),
                  xstrdup("Задачи ждут дисков, но ни один диск машины не показывает почему."));
        return;
    }
    char *name = host__clean(json_str(busiest, "device", "?"));
    struct host_figure util = host__percent(json_num(busiest, "utilisation", 0)),
                       await = host__decimal(json_num(busiest, "await_ms", 0), 1);
    say_first(o, all->severity[OF_IO], "slow io",
              xasprintf("Tasks wait for disks: %s is the busiest, %s of the time, %s ms per "
                        "request.",
                        name, util.en, await.en),
              xasprintf("Задачи ждут дисков: больше всех занят %s, %s времени, %s мс на запрос.",
                        name, util.ru, await.ru));
    free(name);
}

static void conclude(struct overview *all, struct host_out *o)
{
    if (all->severity[OF_STOLEN_CPU])
        say_first(o, all->severity[OF_STOLEN_CPU], "slow cpu",
                  xstrdup("The hypervisor takes CPU time away: the brake is outside this machine."),
                  xstrdup("Гипервизор отнимает процессор: причина вне этой машины."));
    if (all->severity[OF_CPU])
        blame_process(all, o, OF_CPU);
    if (all->severity[OF_MEMORY])
        blame_process(all, o, OF_MEMORY);
    if (all->severity[OF_IO])
        blame_disk(all, o);
    bool explained = all->severity[OF_STOLEN_CPU] || all->severity[OF_CPU] ||
                     all->severity[OF_MEMORY] || all->severity[OF_IO];
    if (all->severity[OF_LOAD] && !explained)
        say_first(o, all->severity[OF_LOAD], "slow load",
                  xstrdup("The load of the last minutes is high, yet CPU, memory and disks have "
                          "room at this moment."),
                  xstrdup("Нагрузка последних минут высока, но прямо сейчас процессора, памяти и "
                          "дисков хватает."));
    if (all->bad)
        host__say(o, HOST_WARN, "overview", (double)all->bad, "",
                  xasprintf("Figures of this machine over their limits: %zu (%s).", all->bad,
                            all->en.data),
                  xasprintf("Показателей этой машины за пределами нормы: %zu (%s).", all->bad,
                            all->ru.data));
    else
        say_first(o, HOST_OK, "slow overview",
                  xstrdup("Load, pressure, CPU, memory, swap, disk space and disk traffic are "
                          "within their limits: nothing measured here explains slowness."),
                  xstrdup("Нагрузка, давление, процессор, память, подкачка, место на дисках и их "
                          "ввод-вывод в пределах нормы: ничто из измеренного не объясняет "
                          "медленную работу."));
}

void host__overview(const struct host_view *v, const json_t *arguments, struct host_out *o)
{
    (void)arguments;
    struct host_two t =
        host__two(v); /* the parts share its earlier sample, so that none has to wait */
    struct host_view shared = {.root = v->root, .before = t.before, .usage = v->usage};
    struct overview all = {.bad = 0};
    json_t *bad = json_array();
    for (int i = 0; i < PARTS; i++) {
        host__out_init(&all.part[i]);
        parts[i].run(&shared, NULL, &all.part[i]);
        merge(&all, &all.part[i], true, bad);
    }
    conclude(&all, o);
    json_array_extend(o->findings, bad);
    json_decref(bad);
    for (int i = 0; i < PARTS; i++) {
        merge(&all, &all.part[i], false, o->findings);
        json_object_del(all.part[i].data, "findings");
        json_put(o->data, parts[i].name, json_incref(all.part[i].data));
        host__out_release(&all.part[i]);
    }
    host__two_free(&t);
    buf_release(&all.en);
    buf_release(&all.ru);
}
