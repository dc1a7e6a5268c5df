/* The host connector: fixture trees with known figures and hostile contents, then this very
 * machine. */
#include "backend/connectors/host.h"
#include "tests/unit/conn_harness.h"
#include <ftw.h>
#include <math.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

/* ---- a tree to look at ---- */
static char root[64];

static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(full, 0755);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

static int tree_open(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/mcpc-host-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    put("/proc/stat", "cpu  1000 0 500 8000 300 0 0 200\ncpu0 500 0 250 4000 150 0 0 100\ncpu1 500 "
                      "0 250 4000 150 0 0 "
                      "100\nintr 1 2 3\nbtime 1700000000\nprocs_running 3\nprocs_blocked 2\n");
    put("/proc/loadavg", "4.50 2.00 1.00 3/200 999\n");
    put("/proc/uptime", "93784.50 1.00\n");
    put("/proc/meminfo",
        "MemTotal:       1000000 kB\nMemFree:   10000 kB\nMemAvailable:   30000 kB\nBuffers: 1 kB\n"
        "Cached: 100 kB\nSwapCached: 7 kB\nSwapTotal: 200000 kB\nSwapFree: 100000 kB\nDirty: 2048 "
        "kB\n");
    put("/proc/vmstat", "nr_free 1\noom_kill_other 9\noom_kill 3\n");
    put("/etc/passwd",
        "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nshort\nbad:x:abc:\n");
    return 0;
}

static int tree_shut(void **state)
{
    (void)state;
    return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static struct host_out run_with(const struct host_view *v, const char *tool, const char *arguments)
{
    struct host_out o;
    json_t *given = json_loads(arguments, 0, NULL);
    host__out_init(&o);
    assert_true(host__run(v, tool, given, &o));
    json_decref(given);
    return o;
}

static struct host_out run(const char *tool)
{
    struct host_view v = {.root = root};
    return run_with(&v, tool, "{}");
}

static const json_t *finding(const struct host_out *o, const char *topic)
{
    size_t i;
    json_t *f;
    json_array_foreach(o->findings, i, f)
    {
        if (strcmp(json_str(f, "topic", ""), topic) == 0)
            return f;
    }
    fail_msg("no finding on %s", topic);
    return NULL;
}

static void expect(const struct host_out *o, const char *topic, const char *severity,
                   const char *en, const char *ru)
{
    const json_t *f = finding(o, topic);
    assert_string_equal(json_str(f, "severity", ""), severity);
    if (en)
        assert_string_equal(json_str(f, "en", ""), en);
    if (ru)
        assert_string_equal(json_str(f, "ru", ""), ru);
}

static void test_load(void **state)
{
    (void)state;
    struct host_out o = run("load");
    expect(
        &o, "load", "fail",
        "The load average is 2.25 per core (1 min 4.50, 5 min 2.00, 15 min 1.00; cores: 2).",
        "Средняя нагрузка: 2,25 на ядро (за 1 мин 4,50, за 5 мин 2,00, за 15 мин 1,00; ядер: 2).");
    expect(&o, "run queue", "ok", "Tasks runnable now: 3 of 200; waiting for a disk: 2.", NULL);
    expect(&o, "uptime", "ok", "The machine has been up for 1 d 2 h.",
           "Машина работает без перезагрузки 1 сут 2 ч.");
    host__out_release(&o);
}

static void test_memory(void **state)
{
    (void)state;
    struct host_out o = run("memory");
    expect(&o, "memory", "fail",
           "29 MiB of 977 MiB memory (3.0%) is available to programs; 2.0 MiB waits to be written "
           "to disk.",
           "Программам доступно 29 МиБ памяти из 977 МиБ (3,0%); ждёт записи на диск 2,0 МиБ.");
    expect(&o, "swap", "ok", "98 MiB of 195 MiB swap (50%) is in use.", NULL);
    expect(&o, "oom", "warn", "Processes the kernel has killed for lack of memory since boot: 3.",
           NULL);
    assert_int_equal(json_int(o.data, "available", 0), 30000 * 1024);
    host__out_release(&o);
}

static void test_pressure(void **state)
{
    (void)state;
    struct host_out o = run("pressure");
    expect(&o, "pressure", "ok", NULL, NULL);
    assert_false(json_flag(o.data, "available", true));
    host__out_release(&o);
    put("/proc/pressure/memory", "some avg10=45.10 avg60=12.00 avg300=1.00 total=1\nfull "
                                 "avg10=3.00 avg60=1.00 avg300=0.50 total=1\n");
    put("/proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n");
    o = run("pressure");
    expect(&o, "memory pressure", "fail",
           "Some tasks were stalled for want of memory 45% of the last 10 s (12% of the last "
           "minute); all of them 3.0%.",
           NULL);
    expect(&o, "cpu pressure", "ok", NULL, NULL);
    host__out_release(&o);
}

/* Two samples: the second tree is written between them. */
static void test_cpu(void **state)
{
    (void)state;
    struct host_sample *before = host__sample(root);
    put("/proc/stat", "cpu  1100 0 550 8500 600 0 0 250\ncpu0 1\ncpu1 1\nbtime 1700000000\n");
    struct host_view v = {.root = root, .before = before};
    struct host_out o = run_with(&v, "cpu", "{}"); /* of 1000 ticks: 100, 50, 500, 300, 50 */
    assert_float_equal(json_num(o.data, "user", 0), 10, 0.01);
    assert_float_equal(json_num(o.data, "system", 0), 5, 0.01);
    assert_float_equal(json_num(o.data, "iowait", 0), 30, 0.01);
    assert_float_equal(json_num(o.data, "steal", 0), 5, 0.01);
    assert_float_equal(json_num(o.data, "busy", 0), 20, 0.01);
    expect(&o, "iowait", "warn", "The cores waited for disks 30% of the time.",
           "Ядра ждали дисков 30% времени.");
    host__out_release(&o);
    host__sample_free(before);
}

static void stat_line(int pid, const char *name, char state, unsigned ticks, unsigned pages)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    snprintf(text, sizeof text,
             "%d (%s) %c 1 1 1 0 -1 4194560 9 9 9 9 %u 0 0 0 20 0 4 0 77 1000 %u 1 1\n", pid, name,
             state, ticks, pages);
    put(path, text);
}

static void test_processes(void **state)
{
    (void)state;
    stat_line(10, "plain", 'S', 100, 1000);
    stat_line(11, "a) R 1 (b", 'D', 0, 10);
    stat_line(12, "x\x1b[31m\ny", 'Z', 0, 0);
    stat_line(13, "big one", 'R', 5, 210000);
    put("/proc/14/stat", "14 (cut");
    put("/proc/15/stat", "");
    put("/proc/notapid/stat", "1 (x) S 1");
    put("/proc/10/status", "Name:\tplain\nUid:\t1000\t1000\t1000\t1000\nVmSwap:\t  2048 kB\n");
    put("/proc/13/status", "Name:\tbig\nUid:\t77\t77\t77\t77\n");
    struct host_sample *before = host__sample(root);
    assert_int_equal(before->process_count, 4);
    assert_string_equal(host__sample_process(before, 11, 77)->name, "a) R 1 (b");
    before->at_ns -= 10000000000ULL; /* as if ten seconds ago */
    stat_line(10, "plain", 'S', 600, 1000);
    struct host_view v = {.root = root, .before = before};
    struct host_out o = run_with(&v, "processes", "{\"sort\":\"cpu\",\"limit\":2}");
    const json_t *first = json_array_get(json_object_get(o.data, "by_cpu"), 0);
    assert_int_equal(json_int(first, "pid", 0), 10);
    assert_string_equal(json_str(first, "user", ""), "alice");
    assert_float_equal(json_num(first, "cpu_percent", 0),
                       (500.0 * 100 / (double)sysconf(_SC_CLK_TCK) / 10), 1);
    assert_int_equal(json_array_size(json_object_get(o.data, "by_cpu")), 2);
    expect(&o, "processes", "ok",
           "Processes: 4; running 1, in uninterruptible sleep (D) 1, zombies 1.", NULL);
    host__out_release(&o);
    o = run_with(&v, "processes", "{\"sort\":\"memory\",\"limit\":50}");
    first = json_array_get(json_object_get(o.data, "by_memory"), 0);
    assert_int_equal(json_int(first, "pid", 0), 13);
    assert_string_equal(json_str(first, "user", ""), "77");
    expect(&o, "process memory", "fail", NULL, NULL); /* 820 of 977 MiB with 4 KiB pages */
    size_t i;
    json_t *f;
    json_array_foreach(o.findings, i, f)
    {
        assert_null(strchr(json_str(f, "en", "\n"), '\n'));
        assert_null(strchr(json_str(f, "en", "\x1b"), '\x1b'));
    }
    host__out_release(&o);
    host__sample_free(before);
}

static void test_process(void **state)
{
    (void)state;
    stat_line(10, "plain", 'S', 600, 1000);
    put("/proc/10/status", "Name:\tplain\nUid:\t1000\t1000\t1000\t1000\nVmSwap:\t  2048 kB\n");
    put("/proc/10/cmdline", "/usr/bin/plain --password=secret");
    put("/proc/10/limits",
        "Limit  Soft Hard Units\nMax open files            4                    8         files\n");
    put("/proc/10/fd/0", "");
    put("/proc/10/fd/1", "");
    put("/proc/10/fd/2", "");
    put("/proc/10/fd/3", "");
    struct host_view v = {.root = root};
    struct host_out o = run_with(&v, "process", "{\"pid\":10}");
    assert_string_equal(json_str(o.data, "user", ""), "alice");
    assert_string_equal(json_str(o.data, "program", ""), "/usr/bin/plain");
    char *all = json_write(o.data);
    assert_null(strstr(all, "secret"));
    free(all);
    assert_int_equal(json_int(o.data, "swap", 0), 2048 * 1024);
    expect(&o, "open files", "fail", "Process 10 has 4 open files; its limit is 4.", NULL);
    host__out_release(&o);
    o = run_with(&v, "process", "{\"pid\":4194304}");
    assert_int_equal(o.error.code, ERR_NOT_FOUND);
    host__out_release(&o);
    o = run("open_files");
    expect(&o, "open files", "fail", NULL, NULL);
    host__out_release(&o);
}

static void test_disks(void **state)
{
    (void)state;
    char text[2048];
    put("/data/x", "");
    put("/bind/x", "");
    put("/with space/x", "");
    snprintf(text, sizeof text,
             "1 0 8:1 / /data rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
             "2 0 8:1 /sub /with\\040space/longer rw - ext4 /dev/sda1 rw\n"
             "3 0 8:2 / /with\\040space ro - ext4 /dev/sdb1 rw\n"
             "4 0 0:9 / /mnt/dead rw - nfs4 server:/x rw\n"
             "5 0 0:5 / /proc rw - proc proc rw\n"
             "garbage\n6 0 x:y / /z rw - ext4 a rw\n7 0 8:3 / /nodash rw ext4 a rw\n");
    put("/proc/self/mountinfo", text);
    struct host_usage usage = {.at_ms = 1, .count = 1};
    if (clock_mono_ms() < 3600000) /* the machine's clock may have begun a minute ago */
        usage.at_ms = clock_mono_ms() > 70000 ? clock_mono_ms() - 70000 : 0;
    else
        usage.at_ms = clock_mono_ms() - 3600000;
    struct statvfs fs;
    assert_int_equal(statvfs(root, &fs), 0);
    uint64_t used = (uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize;
    usage.fs[0].device = 8ULL << 32 | 1;
    usage.fs[0].used = used / 2;
    struct host_view v = {.root = root, .usage = &usage};
    struct host_out o = run_with(&v, "disks", "{}");
    json_t *disks = json_object_get(o.data, "disks");
    assert_int_equal(json_array_size(disks), 2); /* the bind mount is merged */
    const json_t *first = json_array_get(disks, 0);
    assert_string_equal(json_str(first, "mount", ""), "/data");
    assert_true(json_flag(json_array_get(disks, 1), "read_only", false));
    double percent = (double)(fs.f_blocks - fs.f_bfree) * 100.0 /
                     (double)(fs.f_blocks - fs.f_bfree + fs.f_bavail);
    assert_float_equal(json_num(first, "used_percent", 0), percent, 1.0);
    if (usage.at_ms)
        assert_true(json_num(first, "growth_bytes_per_s", -1) > 0);
    assert_int_equal(json_int(o.data, "network_skipped", 0), 1);
    expect(&o, "network disk", "ok", NULL, NULL);
    host__out_release(&o);
    v.usage = NULL; /* not measured: nothing is said */
    o = run_with(&v, "disks", "{}");
    assert_true(json_is_null(json_object_get(json_array_get(json_object_get(o.data, "disks"), 0),
                                             "growth_bytes_per_s")));
    host__out_release(&o);
}

static void test_disk_io(void **state)
{
    (void)state;
    put("/sys/block/sda/x", "");
    put("/proc/diskstats", "8 0 sda 100 0 1000 50 10 0 100 50 0 100 100\n8 1 sda1 100 0 1000 50 10 "
                           "0 100 50 0 100 100\n"
                           "7 0 loop0 1 0 1 1 1 0 1 1 0 1 1\nbad line\n");
    struct host_sample *before = host__sample(root);
    before->at_ns -= 10000000000ULL;
    put("/proc/diskstats", "8 0 sda 200 0 3000 10050 110 0 2100 10050 0 9100 100\n8 1 sda1 200 0 "
                           "1000 50 10 0 100 50 0 100 100\n");
    struct host_view v = {.root = root, .before = before};
    struct host_out o = run_with(&v, "disk_io", "{}");
    assert_int_equal(json_array_size(json_object_get(o.data, "devices")), 1);
    const json_t *d = json_array_get(json_object_get(o.data, "devices"), 0);
    assert_string_equal(json_str(d, "device", ""), "sda");
    assert_float_equal(json_num(d, "reads_per_s", 0), 10, 0.2);
    assert_float_equal(json_num(d, "read_bytes_per_s", 0), 102400, 2000);
    assert_float_equal(json_num(d, "utilisation", 0), 90, 2);
    assert_float_equal(json_num(d, "await_ms", 0), 100, 0.1);
    expect(&o, "disk io", "warn", NULL, NULL);
    host__out_release(&o);
    host__sample_free(before);
}

static void test_network(void **state)
{
    (void)state;
    static const char *const heads =
        "Inter-|   Receive\n face |bytes\n    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n";
    char text[1024];
    put("/sys/class/net/eth0/operstate", "up\n");
    snprintf(text, sizeof text, "%s  eth0: 1000 1 0 0 0 0 0 0 1000 1 0 0 0 0 0 0\n bad: 1 2\n",
             heads);
    put("/proc/net/dev", text);
    put("/proc/net/snmp", "Ip: A\nIp: 1\nTcp: X OutSegs RetransSegs\nTcp: 1 1000 10\n");
    put("/proc/net/netstat", "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 4 5\n");
    struct host_sample *before = host__sample(root);
    before->at_ns -= 10000000000ULL;
    snprintf(text, sizeof text, "%s  eth0: 1025000 1 2 3 0 0 0 0 11000 1 0 0 0 0 0 0\n", heads);
    put("/proc/net/dev", text);
    put("/proc/net/snmp", "Tcp: X OutSegs RetransSegs\nTcp: 1 2000 210\n");
    put("/proc/net/netstat", "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 7 5\n");
    struct host_view v = {.root = root, .before = before};
    struct host_out o = run_with(&v, "network", "{}");
    const json_t *i = json_array_get(json_object_get(o.data, "interfaces"), 0);
    assert_string_equal(json_str(i, "interface", ""), "eth0");
    assert_string_equal(json_str(i, "state", ""), "up");
    assert_float_equal(json_num(i, "rx_bytes_per_s", 0), 102400, 2000);
    assert_float_equal(json_num(i, "errors_in_interval", 0), 2, 0);
    expect(&o, "network", "warn", NULL, NULL);
    expect(&o, "tcp retransmits", "fail", NULL, NULL); /* 200 of 1000 */
    expect(&o, "listen overflows", "warn", NULL, NULL);
    host__out_release(&o);
    host__sample_free(before);
}

static void test_sockets(void **state)
{
    (void)state;
    put("/proc/net/tcp",
        "  sl  local_address rem_address st\n   0: 0100007F:1F90 00000000:0000 0A 0 0\n"
        "   1: 0100007F:1F90 0100007F:C000 01 0 0\n   2: 0100007F:1F91 0100007F:C000 08 0 0\n"
        "   3: zz:1F91 0100007F:C000 08\n   4: 0100007F:1F\n   5: 0100007F:1F91 0 FF\n");
    put("/proc/net/tcp6", "  sl\n   0: 00000000000000000000000001000000:0016 "
                          "00000000000000000000000000000000:0000 0A 0\n");
    put("/proc/net/udp", "  sl\n   0: 00000000:0035 00000000:0000 07 0\n");
    struct host_out o = run("sockets");
    const json_t *tcp = json_object_get(o.data, "tcp");
    assert_int_equal(json_int(tcp, "established", -1), 1);
    assert_int_equal(json_int(tcp, "close_wait", -1), 1);
    assert_int_equal(json_array_size(json_object_get(o.data, "ports")), 3);
    expect(&o, "listening ports", "ok",
           "TCP ports that are listening: 2 (127.0.0.1:8080, [::1]:22).", NULL);
    host__out_release(&o);
}

static void test_system(void **state)
{
    (void)state;
    put("/proc/sys/kernel/hostname", "box\x1b[31m\n");
    put("/proc/sys/kernel/osrelease", "6.1.0\n");
    put("/etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
    struct host_out o = run("uptime_and_os");
    assert_string_equal(json_str(o.data, "os", ""), "Debian GNU/Linux 12 (bookworm)");
    assert_string_equal(json_str(o.data, "hostname", ""), "box^[[31m");
    assert_string_equal(json_str(o.data, "booted_at", ""), "2023-11-14T22:13:20.000Z");
    host__out_release(&o);
    o = run("kernel_messages");
    assert_false(json_flag(o.data, "permitted", true));
    host__out_release(&o);
    put("/dev/kmsg", "6,1,1000,-;fine\n3,2,93724000000,-;disk \x1b error\n "
                     "DEVICE=x\n4,3,93774000000,-;warned\nbad\n");
    o = run("kernel_messages");
    expect(&o, "kernel messages", "warn",
           "Warnings and errors in the kernel's log: 2, of them errors: 1.", NULL);
    expect(&o, "kernel message", "ok", "The kernel wrote 10 s ago: warned",
           "Ядро написало 10 с назад: warned");
    host__out_release(&o);
    o = run("units");
    assert_false(json_flag(o.data, "systemd", true));
    host__out_release(&o);
}

static void test_units(void **state)
{
    (void)state;
    struct host_out o;
    static const char text[] =
        "[{\"unit\":\"nginx.service\",\"load\":\"loaded\",\"active\":\"failed\",\"sub\":\"failed\","
        "\"description\":\"A web server\"}]";
    host__out_init(&o);
    assert_true(host__parse_units(text, sizeof text - 1, &o));
    expect(&o, "units", "fail", "systemd unit nginx.service (A web server) has failed.", NULL);
    host__out_release(&o);
    host__out_init(&o);
    assert_true(host__parse_units("[]", 2, &o));
    expect(&o, "units", "ok", "No systemd unit has failed.", NULL);
    host__out_release(&o);
    host__out_init(&o);
    assert_false(host__parse_units("{}", 2, &o));
    host__out_release(&o);
}

static void test_container(void **state)
{
    (void)state;
    struct host_out o = run("container");
    assert_false(json_flag(o.data, "cgroup_v2", true));
    host__out_release(&o);
    put("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
    put("/proc/self/cgroup", "0::/app.slice\n");
    put("/sys/fs/cgroup/app.slice/cpu.max", "150000 100000\n");
    put("/sys/fs/cgroup/app.slice/cpu.stat", "usage_usec 1\nnr_periods 100\nnr_throttled 50\n");
    put("/sys/fs/cgroup/app.slice/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/app.slice/memory.current", "1063741824\n");
    put("/sys/fs/cgroup/app.slice/pids.max", "max\n");
    o = run("container");
    expect(&o, "cgroup cpu", "ok", "This control group may use 1.50 cores.", NULL);
    expect(&o, "cgroup throttling", "fail", NULL, NULL);
    expect(&o, "cgroup memory", "fail",
           "This control group uses 1014 MiB of the 1.0 GiB memory it may use (99%).", NULL);
    assert_true(json_is_null(json_object_get(o.data, "tasks_limit")));
    host__out_release(&o);
}

static void test_overview(void **state)
{
    (void)state;
    stat_line(10, "plain", 'S', 100, 1000);
    stat_line(13, "big one", 'R', 5, 210000);
    struct host_out o = run("overview");
    expect(&o, "overview", "warn", NULL, NULL);
    assert_non_null(strstr(json_str(finding(&o, "overview"), "en", ""), "memory"));
    expect(&o, "load", "fail", NULL, NULL);
    expect(&o, "memory", "fail", NULL, NULL);
    /* what is short leads, and names who takes it */
    const json_t *first = json_array_get(o.findings, 0), *blamed = finding(&o, "slow memory");
    assert_true(json_flag(first, "lead", false) && json_flag(blamed, "lead", false));
    const json_t *top =
        json_array_get(json_object_get(json_object_get(o.data, "processes"), "by_memory"), 0);
    assert_non_null(top);
    char *culprit = xasprintf("process %s (pid %lld)", json_str(top, "name", ""),
                              (long long)json_int(top, "pid", 0));
    assert_non_null(strstr(json_str(blamed, "en", ""), culprit));
    assert_string_equal(json_str(blamed, "severity", ""), "fail");
    free(culprit);
    host__out_release(&o);
}

/* With everything in its limits it says that nothing measured explains slowness. */
static void test_overview_of_a_calm_machine(void **state)
{
    (void)state;
    put("/proc/loadavg", "0.10 0.10 0.10 1/100 999\n");
    put("/proc/meminfo", "MemTotal: 8000000 kB\nMemFree: 6000000 kB\nMemAvailable: 7000000 kB\n"
                         "SwapTotal: 0 kB\nSwapFree: 0 kB\n");
    put("/proc/vmstat", "oom_kill 0\n");
    put("/dev/shm/x", "");
    put("/proc/self/mountinfo", "1 0 8:1 / / ro - ext4 /dev/sda1 ro\n"
                                "2 0 0:7 / /dev/shm ro - tmpfs tmpfs ro\n");
    struct host_out disks = run("disks"); /* a file system in memory does not stand beside disks */
    assert_int_equal(json_array_size(disks.findings), 1);
    assert_int_equal(json_array_size(json_object_get(disks.data, "disks")), 2);
    host__out_release(&disks);
    static const char *const pressure[] = {"/proc/pressure/cpu", "/proc/pressure/memory",
                                           "/proc/pressure/io"};
    for (size_t i = 0; i < 3; i++)
        put(pressure[i], "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
                         "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    struct host_out o = run("overview");
    const json_t *first = json_array_get(o.findings, 0);
    assert_string_equal(json_str(first, "topic", ""), "slow overview");
    assert_non_null(strstr(json_str(first, "en", ""), "nothing measured here explains slowness"));
    assert_non_null(strstr(json_str(first, "ru", ""), "ничто из измеренного не объясняет"));
    host__out_release(&o);
}

/* Every file of the tree replaced by nonsense: each tool still answers. */
static void test_nonsense(void **state)
{
    (void)state;
    static const char *const files[] = {
        "/proc/stat",          "/proc/loadavg",        "/proc/uptime",
        "/proc/meminfo",       "/proc/vmstat",         "/proc/diskstats",
        "/proc/net/dev",       "/proc/net/snmp",       "/proc/net/netstat",
        "/proc/net/tcp",       "/proc/self/mountinfo", "/proc/10/stat",
        "/proc/10/status",     "/proc/10/limits",      "/dev/kmsg",
        "/etc/os-release",     "/etc/passwd",          "/proc/pressure/memory",
        "/proc/sys/fs/file-nr"};
    static const char *const contents[] = {
        "", "\n\n\n", "999999999999999999999999 : ) ( 99999999999999999999999999 -1 -1\n",
        "cpu  -1 nan inf\nTcp: \nTcp: 1 2 3\nTcp:", "\xff\xfe\x1b]0;x\a((((\\777\\04"};
    static const char *const tools[] = {
#define TOOL(name, run, title, description, schema) name,
#include "backend/connectors/host_tools.def"
#undef TOOL
    };
    for (size_t c = 0; c < sizeof contents / sizeof *contents; c++) {
        for (size_t i = 0; i < sizeof files / sizeof *files; i++)
            put(files[i], contents[c]);
        struct host_sample *before = host__sample(root);
        struct host_view v = {.root = root, .before = before};
        for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
            struct host_out o = run_with(&v, tools[i], "{\"pid\":10}");
            assert_true(o.error.code != ERR_OK || json_array_size(o.findings) > 0);
            host__out_release(&o);
        }
        host__sample_free(before);
    }
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(host__judge(HOST_DISK_USED, 85), HOST_OK);
    assert_int_equal(host__judge(HOST_DISK_USED, 85.1), HOST_WARN);
    assert_int_equal(host__judge(HOST_DISK_USED, 95.1), HOST_FAIL);
    assert_int_equal(host__judge(HOST_MEMORY_AVAILABLE, 10), HOST_OK);
    assert_int_equal(host__judge(HOST_MEMORY_AVAILABLE, 9.9), HOST_WARN);
    assert_int_equal(host__judge(HOST_MEMORY_AVAILABLE, 3.9), HOST_FAIL);
    assert_int_equal(host__judge(HOST_DISK_USED, NAN), HOST_OK);
    assert_string_equal(host__bytes(31.0 * 1073741824).en, "31 GiB");
    assert_string_equal(host__bytes(1.5 * 1073741824).ru, "1,5 ГиБ");
    assert_string_equal(host__bytes(0).en, "0 B");
    assert_string_equal(host__bytes(1023.9 * 1024).en, "1.0 MiB");
    assert_string_equal(host__percent(99.96).en, "100%");
    assert_string_equal(host__percent(0.5).ru, "0,5%");
}

/* ---- this machine, through the registry ---- */
static void test_machine(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    harness_open(&h, "[console]\nrole = operator\n", "host");
    conn_start(h.registry);
    assert_true(harness_wait(&h, CONN_OK, 1000));
    struct conn_tool tools[64];
    size_t n = conn_tools(h.registry, tools, 64);
    assert_int_equal(n, 17);
    char *names[64];
    for (size_t i = 0; i < n; i++) {
        assert_true(tools[i].level == CONN_READ);
        names[i] = strdup(tools[i].name);
    }
    assert_int_equal(harness_call(&h, "overview", "{}", 2000, &a),
                     ERR_OK); /* the very first: samples twice */
    assert_in_range(a.count, 1, 1);
    answer_release(&a);
    harness_run(&h, NULL, 600);
    uint64_t from = clock_mono_ms();
    for (size_t i = 0; i < n; i++) {
        char arguments[64] = "{}";
        if (strcmp(names[i], "process") == 0)
            snprintf(arguments, sizeof arguments, "{\"pid\":%d}", getpid());
        if (harness_call(&h, names[i], arguments, 2000, &a) != ERR_OK || a.is_error)
            fail_msg("%s: %s %s", names[i], a.detail, a.text ? a.text : "");
        assert_true(json_array_size(json_object_get(a.data, "findings")) > 0);
        answer_release(&a);
        free(names[i]);
    }
    assert_true(clock_mono_ms() - from <
                1000); /* seen: about 15 ms; sanitizers and load are given room */
    assert_int_equal(harness_call(&h, "process", "{\"pid\":\"x\"}", 2000, &a), ERR_INVALID);
    assert_int_equal(harness_call(&h, "load", "{\"x\":1}", 2000, &a), ERR_INVALID);
    assert_int_equal(harness_call(&h, "process", "{\"pid\":4194304}", 2000, &a), ERR_OK);
    assert_true(a.is_error);
    answer_release(&a);
    harness_shut(&h);
}

/* A call that is running when the console ends, and one that is cancelled. */
static void test_machine_stops(void **state)
{
    (void)state;
    struct harness h;
    struct answer a = {.h = &h}, b = {.h = &h};
    struct error e = {0};
    harness_open(&h, "[console]\nrole = operator\n", "host");
    conn_start(h.registry);
    struct conn_call *first =
        conn_call(h.registry, "host", "cpu", NULL, &(struct conn_call_options){.limit_ms = 1000},
                  harness_done, &a, &e);
    assert_non_null(first);
    assert_non_null(conn_call(h.registry, "host", "processes", NULL,
                              &(struct conn_call_options){.limit_ms = 1000}, harness_done, &b, &e));
    conn_cancel(first);
    harness_shut(&h);
    assert_int_equal(a.count, 0);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.code, ERR_CLOSED);
    answer_release(&b);
}

static enum err native(void *arg, const json_t *arguments, json_t **data, char **text,
                       struct error *e)
{
    (*(int *)arg)++;
    if (json_flag(arguments, "fail", false))
        return err_set(e, ERR_BUSY, "not now");
    *data = json_pack("{s:i}", "n", *(int *)arg);
    *text = strdup("counted");
    return ERR_OK;
}

static struct conn_native_reply *pending;
static void native_later(void *arg, const json_t *arguments, struct conn_native_reply *reply)
{
    (void)arg;
    (void)arguments;
    pending = reply;
}

static bool until_pending(struct harness *h)
{
    (void)h;
    return pending;
}

static void test_native(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    int count = 0;
    static const struct conn_native_tool tools[] = {
        {.name = "count",
         .title = "Count",
         .description = "counts",
         .input_schema = "{\"type\":\"object\",\"properties\":{\"fail\":{\"type\":\"boolean\"}}}",
         .call = native},
        {.name = "later",
         .title = "Later",
         .description = "answers later",
         .input_schema = "{}",
         .start = native_later}};
    harness_open(&h, "[console]\nrole = operator\n", "console");
    conn_add_native(h.registry, "console", tools, 2, &count);
    conn_start(h.registry);
    assert_int_equal(harness_call(&h, "count", "{}", 100, &a), ERR_OK);
    assert_string_equal(a.text, "counted");
    assert_int_equal(json_int(a.data, "n", 0), 1);
    answer_release(&a);
    assert_int_equal(harness_call(&h, "count", "{\"fail\":true}", 100, &a), ERR_BUSY);
    assert_string_equal(a.detail, "not now");
    answer_release(&a);
    assert_int_equal(harness_call(&h, "count", "{\"fail\":1}", 100, &a), ERR_INVALID);
    json_t *list = conn_list(h.registry);
    assert_int_equal(json_array_size(list), 2);
    json_decref(list);
    /* An answer that comes later; one after the time limit; one after the registry is gone. */
    struct error e = {0};
    memset(&a, 0, sizeof a);
    a.h = &h;
    assert_non_null(conn_call(h.registry, "console", "later", NULL,
                              &(struct conn_call_options){.limit_ms = 1000}, harness_done, &a, &e));
    assert_true(harness_run(&h, until_pending, 100));
    conn_native_answer(pending, json_pack("{s:i}", "n", 7), strdup("late"), NULL);
    harness_run(&h, NULL, 1000);
    assert_int_equal(a.count, 1);
    assert_string_equal(a.text, "late");
    answer_release(&a);
    assert_int_equal(harness_call(&h, "later", "{}", 30, &a), ERR_TIMEOUT);
    conn_native_answer(pending, NULL, strdup("too late"), NULL);
    answer_release(&a);
    a.h = &h;
    assert_non_null(conn_call(h.registry, "console", "later", NULL,
                              &(struct conn_call_options){.limit_ms = 1000}, harness_done, &a, &e));
    harness_shut(&h);
    assert_int_equal(a.code, ERR_CLOSED);
    conn_native_answer(pending, NULL, strdup("nobody hears it"), NULL);
    answer_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_load, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_memory, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_pressure, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_cpu, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_processes, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_process, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_disks, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_disk_io, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_network, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_sockets, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_system, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_container, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_overview, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_overview_of_a_calm_machine, tree_open, tree_shut),
        cmocka_unit_test_setup_teardown(test_nonsense, tree_open, tree_shut),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_machine),
        cmocka_unit_test(test_machine_stops),
        cmocka_unit_test(test_native),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
