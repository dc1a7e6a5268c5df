/* The host connector: this machine through /proc and /sys.
 *
 * Invariants
 * H1 Tools run on the worker pool; a job holds a reference to the samples it reads, and nothing of
 * this connector's state. Its end is told on the loop; a job whose call was cancelled only frees
 * itself. H2 Two samples are kept, SAMPLE_MS apart, so that a call answers at once; sampling takes
 * at most 1/200 of the time of one core. H3 A job that hangs (a dead file system) holds one worker;
 * while it does, no second one is taken. */
#include "backend/connectors/host.h"
#include "backend/base/clock.h"
#include "backend/connectors/internal.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAMPLE_MS = 2000,
    SAMPLE_SHARE = 200,
    LEAST_GAP_MS = 500, /* a shorter interval between samples is too coarse for ticks of 10 ms */
    USAGE_MS = 60000,
    USAGES = 15, /* growth is measured over up to a quarter of an hour */
    HUNG_MS = 2000
};

struct job {
    struct host *host;      /* NULL: the connector is gone */
    struct conn_call *call; /* NULL: cancelled, or a sampling */
    struct job *next;
    const char *root; /* own copy */
    char *tool;       /* NULL: take a sample */
    json_t *arguments;
    struct host_sample *before; /* a reference */
    struct host_usage usage;
    uint64_t started_ms;
    bool want_usage;
    struct host_sample *taken;
    struct host_out out;
};

struct units { /* a running systemctl */
    struct host *host;
    struct conn_call *call;
    struct units *next;
    struct proc *proc;
    struct buf text, errors;
};

struct host {
    struct conn *conn;
    char root[512];
    bool running, sampling;
    struct loop_timer *timer;
    struct host_sample *last, *previous;
    struct host_usage *usage; /* a ring, oldest at usage_next when full */
    size_t usage_next, usage_count;
    struct job *jobs;
    struct units *units;
};

static void unref(struct host_sample *s)
{
    if (s && --s->refs == 0)
        host__sample_free(s);
}

static struct host_sample *ref(struct host_sample *s)
{
    if (s)
        s->refs++;
    return s;
}

static void *host_make(struct conn *c, const struct conf *conf, struct error *e)
{
    (void)conf;
    (void)e;
    struct host *self = xcalloc(1, sizeof *self);
    self->conn = c;
    self->usage = xcalloc(USAGES, sizeof *self->usage);
    return self;
}

static void unlink_job(struct job *j)
{
    struct job **at = &j->host->jobs;
    while (*at && *at != j)
        at = &(*at)->next;
    if (*at)
        *at = j->next;
}

static void free_job(struct job *j)
{
    unref(j->before);
    host__sample_free(j->taken);
    if (j->out.data)
        host__out_release(&j->out);
    json_decref(j->arguments);
    free((char *)j->root);
    free(j->tool);
    free(j);
}

static void job_work(void *arg)
{
    struct job *j = arg;
    if (!j->tool) {
        j->taken = host__sample(j->root);
        if (j->want_usage)
            host__usage(j->root, &j->usage);
        return;
    }
    struct host_view view = {.root = j->root, .before = j->before, .usage = &j->usage};
    host__out_init(&j->out);
    host__run(&view, j->tool, j->arguments, &j->out);
}

static void keep_sample(struct host *self, struct job *j)
{
    uint64_t gap = SAMPLE_MS, busy = j->taken->cost_ns / 1000000 * SAMPLE_SHARE;
    unref(self->previous);
    self->previous = self->last;
    self->last = ref(j->taken);
    j->taken = NULL;
    if (j->want_usage && j->usage.at_ms) {
        self->usage[self->usage_next] = j->usage;
        self->usage_next = (self->usage_next + 1) % USAGES;
        self->usage_count += self->usage_count < USAGES;
    }
    if (self->running)
        loop_timer_start(self->timer, busy > gap ? busy : gap, 0);
}

static void job_done(void *arg, bool cancelled)
{
    struct job *j = arg;
    if (j->host) {
        unlink_job(j);
        if (!j->tool) {
            j->host->sampling = false;
            if (!cancelled)
                keep_sample(j->host, j);
        } else if (j->call && cancelled) {
            conn__call_fail(j->call, ERR_CLOSED, "the console is stopping");
        } else if (j->call && j->out.error.code != ERR_OK) {
            conn__call_done(j->call, true, xstrdup(j->out.error.detail), NULL);
        } else if (j->call) {
            conn__call_done(j->call, false, host__out_text(&j->out), json_incref(j->out.data));
        }
    }
    free_job(j);
}

static struct job *new_job(struct host *self)
{
    struct job *j = xcalloc(1, sizeof *j);
    j->host = self;
    j->root = xstrdup(self->root);
    j->started_ms = clock_mono_ms();
    j->next = self->jobs;
    self->jobs = j;
    return j;
}

static const struct host_usage *newest_usage(const struct host *self)
{
    return self->usage_count ? &self->usage[(self->usage_next + USAGES - 1) % USAGES] : NULL;
}

static void take_sample(void *arg)
{
    struct host *self = arg;
    if (self->sampling || !self->running)
        return;
    const struct host_usage *newest = newest_usage(self);
    self->sampling = true;
    struct job *j = new_job(self);
    j->want_usage = !newest || clock_mono_ms() - newest->at_ms >= USAGE_MS;
    loop_work(conn__loop(self->conn), job_work, job_done, j);
}

static void host_start(void *arg)
{
    struct host *self = arg;
    self->running = true;
    if (!self->timer)
        self->timer = loop_timer_new(conn__loop(self->conn), take_sample, self);
    conn__tools_begin(self->conn);
    struct error e;
    static const struct {
        const char *name, *title, *description, *schema;
    } tools[] = {
#define TOOL(name, run, title, description, schema) {name, title, description, schema},
#include "backend/connectors/host_tools.def"
#undef TOOL
    };
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        struct conn_definition d = {
            .name = tools[i].name,
            .title = tools[i].title,
            .description = tools[i].description,
            .input_schema = json_read(tools[i].schema, strlen(tools[i].schema), 65536, 16, &e),
            .read_only = true};
        conn__tools_add(self->conn, &d);
    }
    conn__tools_end(self->conn);
    take_sample(self);
    struct buf b = {0};
    if (host__read(self->root, &b, 4096, "/proc/loadavg") == ERR_OK)
        conn__up(self->conn, NULL, NULL);
    else
        conn__down(self->conn, ERR_UNSUPPORTED, "/proc/loadavg cannot be read: is /proc mounted?");
    buf_release(&b);
}

static void free_units(struct units *u)
{
    struct units **at = &u->host->units;
    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    proc_free(u->proc);
    buf_release(&u->text);
    buf_release(&u->errors);
    free(u);
}

static void host_stop(void *arg, bool orderly)
{
    struct host *self = arg;
    (void)orderly;
    self->running = false;
    if (self->timer)
        loop_timer_stop(self->timer);
    for (struct job *j = self->jobs; j; j = j->next)
        j->call = NULL;
    while (self->units)
        free_units(self->units);
}

static void host_free(void *arg)
{
    struct host *self = arg;
    host_stop(self, false);
    for (struct job *j = self->jobs, *next; j; j = next) {
        next = j->next;
        j->host = NULL;
        j->next = NULL;
    }
    loop_timer_free(self->timer);
    unref(self->last);
    unref(self->previous);
    free(self->usage);
    free(self);
}

/* ---- systemd units: the one tool that needs a child process ---- */
static void units_output(void *arg, const char *bytes, size_t len)
{
    struct units *u = arg;
    if (u->text.len + len <= 1 << 20)
        buf_add(&u->text, bytes, len);
}

static void units_errors(void *arg, const char *bytes, size_t len)
{
    struct units *u = arg;
    if (u->errors.len + len <= 1024)
        buf_add(&u->errors, bytes, len);
}

static void units_exited(void *arg, int status)
{
    struct units *u = arg;
    struct host_out out;
    host__out_init(&out);
    if (status == 0 && u->text.data && host__parse_units(u->text.data, u->text.len, &out)) {
        conn__call_done(u->call, false, host__out_text(&out), json_incref(out.data));
    } else {
        char *why = host__clean(u->errors.data ? u->errors.data : "");
        conn__call_done(u->call, true, xasprintf("systemctl failed%s%s", *why ? ": " : "", why),
                        NULL);
        free(why);
    }
    host__out_release(&out);
    free_units(u);
}

static enum err call_units(struct host *self, struct conn_call *call, struct error *e)
{
    static const char *const argv[] = {"systemctl",  "list-units",    "--failed", "--all",
                                       "--no-pager", "--output=json", NULL};
    static const struct proc_ops ops = {
        .output = units_output, .errors = units_errors, .exited = units_exited};
    struct units *u = xcalloc(1, sizeof *u);
    u->host = self;
    u->call = call;
    u->proc = proc_start(conn__loop(self->conn), &(struct proc_options){.argv = argv}, &ops, u, e);
    if (!u->proc) {
        free(u);
        return e->code;
    }
    u->next = self->units;
    self->units = u;
    return ERR_OK;
}

static bool has_systemd(const struct host *self)
{
    struct buf b = {0};
    bool is = host__read(self->root, &b, 64, "/proc/1/comm") == ERR_OK &&
              strncmp(b.data, "systemd\n", 8) == 0;
    buf_release(&b);
    return is;
}

/* The earlier sample to compare with: far enough back to mean something. */
static struct host_sample *earlier_sample(const struct host *self)
{
    uint64_t now = clock_mono_ns();
    if (self->last &&
        (now - self->last->at_ns >= (uint64_t)LEAST_GAP_MS * 1000000 || !self->previous))
        return self->last;
    return self->previous;
}

static enum err host_call(void *arg, struct conn_call *call, const char *tool,
                          const json_t *arguments, struct error *e)
{
    struct host *self = arg;
    if (strcmp(tool, "units") == 0 && has_systemd(self))
        return call_units(self, call, e);
    for (const struct job *j = self->jobs; j; j = j->next) { /* H3 */
        if (j->tool && clock_mono_ms() - j->started_ms > HUNG_MS)
            return err_set(e, ERR_BUSY,
                           "an earlier %s has not ended: a file system may not be answering",
                           j->tool);
    }
    struct job *j = new_job(self);
    j->call = call;
    j->tool = xstrdup(tool);
    j->arguments = json_deep_copy(arguments);
    j->before = ref(earlier_sample(self));
    if (self->usage_count)
        j->usage = self->usage[self->usage_count < USAGES ? 0 : self->usage_next];
    loop_work(conn__loop(self->conn), job_work, job_done, j);
    return ERR_OK;
}

static void host_cancel(void *arg, struct conn_call *call)
{
    struct host *self = arg;
    for (struct job *j = self->jobs; j; j = j->next) {
        if (j->call == call)
            j->call = NULL;
    }
    for (struct units *u = self->units, *next; u; u = next) {
        next = u->next;
        if (u->call == call)
            free_units(u);
    }
}

static void host_check(void *arg)
{
    struct host *self = arg;
    struct buf b = {0};
    double load[3];
    uint64_t runnable, tasks, from = clock_mono_ns();
    bool fine = host__read(self->root, &b, 4096, "/proc/loadavg") == ERR_OK &&
                host__parse_load(b.data, load, &runnable, &tasks);
    buf_release(&b);
    conn__checked(self->conn, (double)(clock_mono_ns() - from) / 1e6, fine ? ERR_OK : ERR_IO,
                  "/proc/loadavg cannot be read");
}

const struct conn_ops conn__host_ops = {.kind = "host",
                                        .region = "local",
                                        .data = "metrics processes",
                                        .make = host_make,
                                        .start = host_start,
                                        .stop = host_stop,
                                        .free = host_free,
                                        .call = host_call,
                                        .cancel = host_cancel,
                                        .check = host_check};
