/* Private to the host connector: samples, parsers of /proc and /sys, and what a tool answers with.
 * Everything here but host.c runs on a worker and touches only its arguments. */
#ifndef CONNECTORS_HOST_H
#define CONNECTORS_HOST_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { /* bounds of one look at the machine */
       HOST_MAX_DISKS = 256,
       HOST_MAX_INTERFACES = 256,
       HOST_MAX_PROCESSES = 32768,
       HOST_MAX_MOUNTS = 64,
       HOST_NAME = 64
};

/* ---- what is read ---- */
struct host_cpu {
    uint64_t user, nice, system, idle, iowait, irq, softirq, steal; /* ticks */
    unsigned cores;
    uint64_t running, blocked, boot_s;
};
struct host_disk {
    char name[HOST_NAME];
    uint64_t reads, read_sectors, read_ms, writes, write_sectors, write_ms, busy_ms;
};
struct host_interface {
    char name[HOST_NAME];
    uint64_t rx_bytes, rx_errors, rx_drops, tx_bytes, tx_errors, tx_drops;
};
struct host_tcp {
    bool known;
    uint64_t out_segments, retransmits, listen_overflows, listen_drops;
};
struct host_stat { /* one process */
    int pid, parent;
    char state;
    char name[HOST_NAME]; /* foreign bytes */
    uint64_t ticks;       /* user and system time */
    uint64_t start_ticks; /* since boot; with the pid, names the process */
    uint64_t threads, rss_pages;
};
/* One look at everything that needs two looks. Immutable once taken; refs is the loop's. */
struct host_sample {
    unsigned refs;
    uint64_t at_ns, cost_ns;
    bool has_cpu;
    struct host_cpu cpu;
    struct host_tcp tcp;
    bool has_oom;
    uint64_t oom_kills;
    size_t disk_count, interface_count, process_count;
    struct host_disk *disks;
    struct host_interface *interfaces;
    struct host_stat *processes; /* by pid, ascending */
};
/* How full file systems were, for growth rates. */
struct host_usage {
    uint64_t at_ms; /* 0: no look yet */
    size_t count;
    struct {
        uint64_t device, used;
    } fs[HOST_MAX_MOUNTS];
};
struct host_mount {
    uint64_t device; /* major << 32 | minor */
    char path[512], source[256], type[32];
    bool read_only, cut; /* cut: path did not fit, not usable */
};
struct host_memory { /* bytes */
    uint64_t total, free, available, cached, buffers, swap_total, swap_free, dirty;
    bool has_available;
};
struct host_psi {
    bool known, has_full;
    double some10, some60, full10, full60;
};
struct host_kernel_message {
    unsigned level; /* 0 emergency .. 7 debug */
    uint64_t at_us; /* since boot */
    const char *text;
    size_t len;
};

/* What tools look at: root of the file tree ("" for this machine), an earlier sample and usage. */
struct host_view {
    const char *root;
    const struct host_sample *before; /* or NULL: the tool samples twice */
    const struct host_usage *usage;   /* or NULL */
};

/* ---- parsers (host_parse.c): any NUL-terminated text; false if what is needed is not there ----
 */
bool host__parse_stat(const char *text, struct host_cpu *out);
bool host__parse_load(const char *text, double load[3], uint64_t *runnable, uint64_t *tasks);
bool host__parse_psi(const char *text, struct host_psi *out);
bool host__parse_memory(const char *text, struct host_memory *out);
bool host__parse_process(const char *text, struct host_stat *out);
bool host__parse_disk(const char *line, struct host_disk *out);
bool host__parse_interface(const char *line, struct host_interface *out);
bool host__parse_mount(const char *line, struct host_mount *out);
bool host__parse_kernel_message(const char *line, struct host_kernel_message *out);
/* A socket line of /proc/net/tcp, tcp6, udp: hex address bytes in kernel order, port and state. */
bool host__parse_socket(const char *line, char address[64], unsigned *port, unsigned *state);
/* "key value" or "key: value" at the start of a line. */
bool host__value(const char *text, const char *key, uint64_t *out);
/* A counter of /proc/net/snmp and netstat: a line of names and a line of values, both begin with
 * prefix. */
bool host__pair(const char *text, const char *prefix, const char *key, uint64_t *out);
/* Copies the next line without its end into line (cut at max - 1); false at the end. */
bool host__line(const char **at, char *line, size_t max);
/* Skips blanks and reads a decimal number (saturating); false if there is none. */
bool host__number(const char **at, uint64_t *out);
/* "systemctl list-units --output=json": adds findings. false: not what was expected. */
struct host_out;
bool host__parse_units(const char *text, size_t len, struct host_out *o);

/* ---- reading (host_read.c) ---- */
/* Reads root/path (printf-like path), at most max bytes, into out (cleared). OK, or the reason. */
enum err host__read(const char *root, struct buf *out, size_t max, const char *path, ...)
    __attribute__((format(printf, 4, 5)));
struct host_sample *host__sample(const char *root);
void host__sample_free(struct host_sample *s);
const struct host_stat *host__sample_process(const struct host_sample *s, int pid, uint64_t start);
/* The pair to compare: v->before (or one taken now, 60 ms earlier) and one taken now; free with
 * host__pair_free. */
struct host_two {
    const struct host_sample *before;
    struct host_sample *now, *own;
    double seconds;
};
struct host_two host__two(const struct host_view *v);
void host__two_free(struct host_two *t);
void host__usage(const char *root, struct host_usage *out);
/* Real local file systems, duplicates (bind mounts) merged to the shortest path. Returns how many.
 */
size_t host__mounts(const char *root, struct host_mount *out, size_t max, size_t *skipped_network);
/* The user's name from etc/passwd (loaded text), or the number. */
void host__user(const char *passwd, uint64_t uid, char out[HOST_NAME]);

/* ---- answers (host_out.c) ---- */
enum host_severity { HOST_OK, HOST_WARN, HOST_FAIL };
enum host_limit {
#define LIMIT(id, warn, fail, unit, what) HOST_##id,
#include "backend/connectors/host_limits.def"
#undef LIMIT
    HOST_LIMITS
};
enum host_severity host__judge(enum host_limit limit, double value);

struct host_out {
    json_t *data; /* the object; holds "findings" */
    json_t *findings;
    struct error error;
};
void host__out_init(struct host_out *o);
void host__out_release(struct host_out *o);
/* Adds a finding; en and ru are malloc'ed sentences that it takes. value NAN: none. */
void host__say(struct host_out *o, enum host_severity s, const char *topic, double value,
               const char *unit, char *en, char *ru);
/* The English sentences, one a line; malloc'ed. */
char *host__out_text(const struct host_out *o);
void host__put(json_t *object, const char *key, double value, int digits); /* NAN: null */

/* A figure in both languages. */
struct host_figure {
    char en[40], ru[40];
};
struct host_figure host__bytes(double bytes);
struct host_figure host__decimal(double value, int digits);
struct host_figure host__percent(double value); /* "87%", "0.4%" below 10 */
struct host_figure host__duration(double seconds);
/* A foreign name for a sentence: clean, one line, at most 80 bytes; malloc'ed. */
char *host__clean(const char *name);

/* ---- the tools (host_*.c) ---- */
typedef void host_tool(const struct host_view *v, const json_t *arguments, struct host_out *o);
#define TOOL(name, run, title, description, schema) host_tool run;
#include "backend/connectors/host_tools.def"
#undef TOOL
/* Runs a tool by name; false: there is none. */
bool host__run(const struct host_view *v, const char *tool, const json_t *arguments,
               struct host_out *o);

#endif
