/* The retention job and what stays of an erasure: acts, extracts, statistics. See
 * docs/retention.md.
 *
 * Invariants
 * J1 The job erases only while the clock is near the last time at which it was trusted; what lies
 *    further ahead somebody has to confirm.
 * J2 An erasure is finished (retention.act) only when its act is durable on the disk. Until then it
 * is taken up again. J3 One of these at a time: the job, an erasure on request, one that is taken
 * up again. */
#include "backend/provenance/retention.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const int64_t DAY_MS = 86400000;
enum {
    FIRST_TICK_MS = 5000,
    TICK_MS = 60000,
    AGAIN_MS = 600000,
    HOUR_MS = 3600000,
    ACT_DAYS = 1096, /* order 179: three years */
    SUMMARY_MAX = 16 * 1024 * 1024
};

struct retention {
    struct backend *backend;
    struct prov_retention *r;
    struct loop_timer *timer;
    char *dir;           /* $STATE/retention */
    int hour, minute;    /* of the job, local time; hour -1: on demand only */
    int64_t doubtful;    /* days that the clock is ahead (J1), 0: it is trusted */
    uint64_t not_before; /* mono ms: after a failure */
    bool job;            /* the erasure under way is the job */
    bool busy;           /* J3 */
    struct error failed; /* the last job */
    /* What is remembered over restarts, as it will be when what is on its way is written. */
    int64_t seen;         /* real ms: the clock was trusted */
    int64_t behind_since; /* real ms: so long the clock is behind that; 0: it is not */
    int64_t job_at, acts, acts_incomplete;
    retention_done *done;
    void *arg;
    struct writing *writing; /* out on a worker, or NULL */
};

/* ---- files, on a worker */

struct writing {
    struct retention *t; /* NULL when the console stops */
    char *dir, *act, *day;
    json_t *report, *document, *result;
    json_t *stale; /* acts whose three years are over */
    struct error error;
};

static void hash_of(const char *text, size_t len, char hex[2 * VAULT_HASH + 1])
{
    uint8_t hash[VAULT_HASH];
    vault_sha256(text, len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, hex);
}

static void write_act(struct writing *w, const char *folder)
{
    char hex[2 * VAULT_HASH + 1];
    json_t *files = json_object();
    char *json = json_dumps(w->document, JSON_INDENT(2)), *text = prov_act_text(w->document);
    char *json_name = xasprintf("%s.json", w->act), *text_name = xasprintf("%s.txt", w->act);
    BUG_IF(!json);
    if (conf_write_file(folder, json_name, json, strlen(json), &w->error) == ERR_OK)
        conf_write_file(folder, text_name, text, strlen(text), &w->error);
    hash_of(json, strlen(json), hex);
    json_puts(files, json_name, hex);
    hash_of(text, strlen(text), hex);
    json_puts(files, text_name, hex);
    json_put(w->result, "files", files);
    free(json);
    free(text);
    free(json_name);
    free(text_name);
}

static json_t *read_summary(const char *path)
{
    struct buf text = {0};
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    while (f && text.len <= SUMMARY_MAX && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&text, part, n);
    if (f)
        fclose(f);
    json_t *old = text.len ? json_read(text.data, text.len, SUMMARY_MAX, 16, NULL) : NULL;
    buf_release(&text);
    return old;
}

/* A day's file has all of its erasures. */
static void write_summary(struct writing *w)
{
    char *name = xasprintf("summary-%s.json", w->day), *path = xasprintf("%s/%s", w->dir, name);
    json_t *all = read_summary(path), *one = json_object(), *list;
    static const char *const keep[] = {"act", "at", "reason_code", "erased", "bytes", "summary"};
    if (!json_is_object(all)) {
        json_decref(all);
        all = json_object();
        json_puts(all, "day", w->day);
    }
    if (!json_is_array(json_object_get(all, "erasures")))
        json_put(all, "erasures", json_array());
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++)
        json_put(one, keep[i], json_incref(json_object_get(w->report, keep[i])));
    list = json_object_get(all, "erasures");
    json_array_append_new(list, one);
    char *text = json_dumps(all, JSON_INDENT(2));
    BUG_IF(!text);
    if (w->error.code == ERR_OK)
        conf_write_file(w->dir, name, text, strlen(text), &w->error);
    free(text);
    json_decref(all);
    free(name);
    free(path);
}

static void remove_stale(struct writing *w, const char *folder)
{
    size_t i;
    json_t *act;
    json_array_foreach(w->stale, i, act)
    {
        char *json = xasprintf("%s/%s.json", folder, json_string_value(act));
        char *text = xasprintf("%s/%s.txt", folder, json_string_value(act));
        if ((unlink(json) != 0 && errno != ENOENT) || (unlink(text) != 0 && errno != ENOENT))
            err_set_errno(&w->error, "cannot remove", json);
        free(json);
        free(text);
    }
}

static void write_work(void *arg)
{
    struct writing *w = arg;
    char *folder = xasprintf("%s/acts", w->dir);
    if (conf_make_dirs(folder, &w->error) == ERR_OK) {
        remove_stale(w, folder);
        if (w->document && w->error.code == ERR_OK) {
            write_act(w, folder);
            write_summary(w);
        }
    }
    free(folder);
}

static void writing_free(struct writing *w)
{
    json_decref(w->report);
    json_decref(w->document);
    json_decref(w->result);
    json_decref(w->stale);
    free(w->dir);
    free(w->act);
    free(w->day);
    free(w);
}

/* ---- the end of an erasure */

static void tell(struct retention *t, json_t *report, const struct error *e)
{
    retention_done *done = t->done;
    void *arg = t->arg;
    bool job = t->job;
    t->done = NULL;
    t->busy = t->job = false;
    if (t->backend->stopping)
        return; /* who waits was told when it began */
    if (report && json_int(report, "erased", 0) && !json_flag(report, "dry_run", false))
        bus_forget(t->backend->bus); /* events repeat texts */
    if (job)
        t->failed = *e;
    if (job && e->code == ERR_OK) {
        t->job_at = clock_real_ms();
        prov_remember(t->r, "job_at", t->job_at);
    }
    if (e->code != ERR_OK)
        t->not_before = clock_mono_ms() + AGAIN_MS;
    if (done)
        done(arg, report, e);
    backend__score_recount(t->backend);
    t->backend->score_due = true;
    backend__changed(t->backend);
}

struct finishing {
    struct retention *t;
    json_t *report;
};

static void on_finished(void *arg, json_t *result, const struct error *e)
{
    struct finishing *f = arg;
    if (result)
        json_put(f->report, "act_entry", json_incref(json_object_get(result, "entry")));
    tell(f->t, result ? f->report : NULL, e);
    json_decref(f->report);
    free(f);
}

static void log_summary(struct retention *t, const json_t *report, const char *day)
{
    json_t *payload = json_object();
    json_puts(payload, "day", day);
    json_put(payload, "act", json_incref(json_object_get(report, "act")));
    json_put(payload, "rows", json_incref(json_object_get(report, "summary")));
    struct prov_entry entry = {.type = "retention.summary", .actor = "backend", .payload = payload};
    prov_append(t->backend->prov, &entry, NULL, NULL, NULL, NULL);
    json_decref(payload);
}

static void write_done(void *arg, bool cancelled)
{
    struct writing *w = arg;
    struct retention *t = w->t;
    static const struct error ok = {0};
    if (t)
        t->writing = NULL;
    if (!t || cancelled || t->backend->stopping) {
        writing_free(w);
        return;
    }
    if (w->error.code != ERR_OK) {
        tell(t, NULL, &w->error);
    } else if (!w->document) {
        tell(t, w->report, &ok);
    } else {
        struct finishing *f = xcalloc(1, sizeof *f);
        bool whole = json_array_size(json_object_get(w->document, "missing")) == 0;
        prov_remember(t->r, "acts", ++t->acts);
        if (!whole)
            prov_remember(t->r, "acts_incomplete", ++t->acts_incomplete);
        f->t = t;
        f->report = json_incref(w->report);
        json_put(f->report, "files", json_incref(json_object_get(w->result, "files")));
        json_put(f->report, "missing", json_incref(json_object_get(w->document, "missing")));
        log_summary(t, w->report, w->day);
        prov_erase_finish(t->r, w->report, w->result, on_finished, f);
    }
    writing_free(w);
}

static struct prov_operator operator_of(const struct backend *b, char **system)
{
    const struct conf *c = b->conf;
    const char *name = conf_str(c, "operator", "", "system");
    *system = *name ? xstrdup(name)
                    : xasprintf("mcp-console (%s)", conf_str(c, "console", "", "environment"));
    return (struct prov_operator){.name = conf_str(c, "operator", "", "name"),
                                  .address = conf_str(c, "operator", "", "address"),
                                  .inn = conf_str(c, "operator", "", "inn"),
                                  .processor = conf_str(c, "operator", "", "processor"),
                                  .system = *system,
                                  .responsible = conf_str(c, "operator", "", "responsible"),
                                  .position = conf_str(c, "operator", "", "position")};
}

static json_t *stale_acts(struct retention *t)
{
    int64_t at, now = clock_real_ms();
    size_t i;
    json_t *acts = prov_erasures(t->r), *stale = json_array(), *act;
    json_array_foreach(acts, i, act) if (clock_parse(json_str(act, "at", ""), &at) == 0 &&
                                         now - at > ACT_DAYS * DAY_MS)
        json_array_append(stale, json_object_get(act, "act"));
    json_decref(acts);
    return stale;
}

/* result of retention.act, the act, its files; for a job that found nothing only what is stale. */
static void on_erased(void *arg, json_t *report, const struct error *e)
{
    struct retention *t = arg;
    if (!report || t->backend->stopping || json_flag(report, "dry_run", false)) {
        tell(t, report, e);
        return;
    }
    struct writing *w = xcalloc(1, sizeof *w);
    char day[16];
    clock_local_day(clock_real_ms(), day);
    w->t = t;
    w->dir = xstrdup(t->dir);
    w->day = xstrdup(day);
    w->act = xstrdup(json_str(report, "act", ""));
    w->report = json_incref(report);
    w->result = json_object();
    w->stale = t->doubtful ? json_array() : stale_acts(t);
    if (json_is_integer(json_object_get(report, "request"))) {
        static const char *const keep[] = {"act", "request", "erased", "entries"};
        char *system;
        struct prov_operator operator= operator_of(t->backend, &system);
        w->document = prov_act(&operator, report);
        free(system);
        for (size_t i = 0; i < sizeof keep / sizeof *keep; i++)
            json_put(w->result, keep[i], json_incref(json_object_get(report, keep[i])));
        json_put(w->result, "missing", json_incref(json_object_get(w->document, "missing")));
    }
    t->writing = w;
    loop_work(t->backend->loop, write_work, write_done, w);
}

/* ---- asking */

/* The days of a key of [retention], which follows [evidence] retention_days unless it is set. */
static int64_t days_of(const struct conf *c, const char *key)
{
    bool set = strcmp(conf_where(c, "retention", "", key), "default") != 0;
    return set ? conf_int(c, "retention", "", key) : conf_int(c, "evidence", "", "retention_days");
}

int64_t backend__retention_days(const struct backend *b, enum prov_class class)
{
    static const char *const keys[] = {"dialogue_days", "telemetry_days", "operation_days"};
    return class == PROV_GOVERNANCE ? 0 : days_of(b->conf, keys[class]);
}

static void remember_behind(struct retention *t, int64_t since)
{
    if (t->behind_since == since)
        return;
    t->behind_since = since;
    prov_remember(t->r, "clock_behind", since);
}

/* J1: the first time the newest entry of an earlier session counts, if there is one. */
static void remember_clock(struct retention *t, int64_t now)
{
    t->seen = now;
    t->doubtful = 0;
    prov_remember(t->r, "clock_seen", now);
    remember_behind(t, 0);
}

static void recall_all(struct retention *t)
{
    t->job_at = prov_remembered(t->r, "job_at", 0);
    t->acts = prov_remembered(t->r, "acts", 0);
    t->acts_incomplete = prov_remembered(t->r, "acts_incomplete", 0);
    t->behind_since = prov_remembered(t->r, "clock_behind", 0);
    t->seen = prov_remembered(t->r, "clock_seen", -1);
    if (t->seen < 0)
        remember_clock(t, store_scalar(store_reader(t->backend->store), clock_real_ms(),
                                       "SELECT ts FROM entries WHERE seq <"
                                       " (SELECT max(first) FROM sessions)"
                                       " ORDER BY seq DESC LIMIT 1",
                                       ""));
}

/* J1: sets t->doubtful. */
static void look_at_clock(struct retention *t)
{
    int64_t now = clock_real_ms(), ahead = now - t->seen;
    bool doubtful = ahead > conf_int(t->backend->conf, "retention", "", "clock_days") * DAY_MS;
    t->doubtful = doubtful ? ahead / DAY_MS : 0;
    if (ahead >= -HOUR_MS)
        remember_behind(t, 0);
    else if (!t->behind_since || now < t->behind_since)
        remember_behind(t, now);
    bool settled = t->behind_since && now - t->behind_since > DAY_MS;
    if (settled || (!doubtful && ahead > HOUR_MS))
        remember_clock(t, now);
}

static enum err begin(struct retention *t, const struct prov_erasing *o, bool job,
                      retention_done *done, void *arg, struct error *e)
{
    if (t->busy)
        return err_set(e, ERR_BUSY, "an erasure is under way");
    look_at_clock(t); /* old acts go with any erasure */
    enum err code = prov_erase(t->r, o, on_erased, t, e);
    if (code != ERR_OK)
        return code;
    t->busy = true;
    t->job = job;
    t->done = done;
    t->arg = arg;
    return ERR_OK;
}

enum err backend__retention_erase(struct backend *b, const struct prov_erasing *o,
                                  retention_done *done, void *arg, struct error *e)
{
    return begin(b->retention, o, false, done, arg, e);
}

enum err backend__retention_run(struct backend *b, const struct retention_order *order,
                                retention_done *done, void *arg, struct error *e)
{
    struct retention *t = b->retention;
    if (order->confirm_clock) {
        remember_clock(t, clock_real_ms());
    } else {
        look_at_clock(t);
    }
    if (t->doubtful && !order->dry_run)
        return err_set(
            e, ERR_INVALID,
            "the clock is %lld days ahead of the last time it was trusted: see that it is"
            " right, then confirm it (--confirm-clock)",
            (long long)t->doubtful);
    struct prov_erasing o = {.scope = {.kind = PROV_BY_WINDOW},
                             .code = "window",
                             .reason = "the time set for keeping such data is over",
                             .basis = "152-FZ art. 21; [retention] in the configuration",
                             .by = order->actor,
                             .now = clock_real_ms(),
                             .personal_days = days_of(b->conf, "personal_days"),
                             .dry_run = order->dry_run};
    for (int class = 0; class < PROV_GOVERNANCE; class ++)
        o.days[class] = backend__retention_days(b, (enum prov_class) class);
    return begin(t, &o, !order->dry_run, done, arg, e);
}

/* ---- the clockwork */

static int64_t moment(const struct retention *t, int64_t now, int back)
{
    struct tm tm;
    time_t seconds = (time_t)(now / 1000);
    localtime_r(&seconds, &tm);
    tm.tm_hour = t->hour;
    tm.tm_min = t->minute;
    tm.tm_sec = 0;
    tm.tm_mday -= back;
    tm.tm_isdst = -1;
    return (int64_t)mktime(&tm) * 1000;
}

static bool is_due(struct retention *t)
{
    int64_t now = clock_real_ms(), at;
    if (t->hour < 0)
        return false;
    at = moment(t, now, 0);
    if (at > now)
        at = moment(t, now, 1);
    /* One that ran later than now ran by another clock. */
    return t->job_at < at || t->job_at > now + HOUR_MS;
}

static void on_tick(void *arg)
{
    struct retention *t = arg;
    struct backend *b = t->backend;
    struct error e = {0};
    loop_timer_start(t->timer, TICK_MS, 0);
    if (b->stopping || t->busy || clock_mono_ms() < t->not_before)
        return;
    prov_scrub_files(t->r);
    if (prov_erase_resume(t->r, on_erased, t, &e)) { /* J2 */
        t->busy = true;
        return;
    }
    int64_t before = t->doubtful;
    look_at_clock(t);
    if (t->doubtful != before)
        backend__changed(b);
    struct retention_order order = {.actor = "backend"};
    if (b->max_role > BUS_DEMO && !t->doubtful && is_due(t) &&
        backend__retention_run(b, &order, NULL, NULL, &e) != ERR_OK) {
        t->failed = e;
        t->not_before = clock_mono_ms() + AGAIN_MS;
    }
}

/* "HH:MM", or "". */
static bool read_time(const char *text, int *hour, int *minute)
{
    *hour = -1;
    if (!*text)
        return true;
    if (strlen(text) != 5 || text[2] != ':' || strspn(text, "0123456789:") != 5 ||
        strchr(text, ':') != text + 2 || strchr(text + 3, ':'))
        return false;
    *hour = (text[0] - '0') * 10 + text[1] - '0';
    *minute = (text[3] - '0') * 10 + text[4] - '0';
    return *hour < 24 && *minute < 60;
}

enum err backend__retention_open(struct backend *b, struct error *e)
{
    const char *at = conf_str(b->conf, "retention", "", "daily_at");
    struct retention *t = xcalloc(1, sizeof *t);
    t->backend = b;
    if (!read_time(at, &t->hour, &t->minute)) {
        free(t);
        return err_set(e, ERR_CONFIG, "%s: daily_at = %s is no time as HH:MM",
                       conf_where(b->conf, "retention", "", "daily_at"), at);
    }
    t->r = prov_retention_new(b->prov, orch_redact, e);
    if (!t->r) {
        free(t);
        return e->code;
    }
    recall_all(t);
    t->dir = xasprintf("%s/retention", b->state_dir);
    t->timer = loop_timer_new(b->loop, on_tick, t);
    loop_timer_start(t->timer, FIRST_TICK_MS, 0);
    b->retention = t;
    return ERR_OK;
}

/* ---- what it says of itself */

static json_t *time_or_null(int64_t at)
{
    char text[CLOCK_TEXT];
    if (at <= 0)
        return json_null();
    clock_format(at, text);
    return json_string(text);
}

static json_t *classes_of(const struct backend *b)
{
    json_t *rows = json_array();
    for (int i = 0; i < PROV_GOVERNANCE; i++) {
        json_t *row = json_object();
        json_puts(row, "class", prov_class_name((enum prov_class)i));
        json_puti(row, "days", backend__retention_days(b, (enum prov_class)i));
        json_put(row, "oldest",
                 time_or_null(prov_oldest_payload(b->retention->r, (enum prov_class)i)));
        json_array_append_new(rows, row);
    }
    return rows;
}

json_t *backend__retention_status(const struct backend *b)
{
    struct retention *t = b->retention;
    json_t *out = json_object(), *clock = json_object(), *acts = json_object();
    look_at_clock(t);
    json_put(out, "classes", classes_of(b));
    json_puti(out, "personal_days", days_of(b->conf, "personal_days"));
    json_puts(out, "daily_at", conf_str(b->conf, "retention", "", "daily_at"));
    json_put(out, "last_run", time_or_null(t->job_at));
    json_put(out, "overdue", json_boolean(is_due(t)));
    json_put(out, "under_way", json_boolean(t->busy));
    json_puts(out, "error", t->failed.code == ERR_OK ? "" : err_words(&t->failed));
    json_put(clock, "trusted", json_boolean(!t->doubtful));
    json_puti(clock, "days_ahead", t->doubtful);
    json_put(clock, "last_trusted", time_or_null(t->seen));
    json_put(out, "clock", clock);
    json_puti(out, "holds", (int64_t)prov_holds_count(t->r));
    json_puti(acts, "drafted", t->acts);
    json_puti(acts, "incomplete", t->acts_incomplete);
    json_puts(acts, "folder", t->dir);
    json_put(out, "acts", acts);
    json_put(out, "scrub_due", json_boolean(prov_remembered(t->r, "scrub_due", 0) != 0));
    return out;
}

const char *backend__retention_alert(const struct backend *b, char text[160])
{
    const struct retention *t = b->retention;
    if (!t)
        return NULL;
    if (t->doubtful)
        snprintf(text, 160,
                 "the clock is %lld days ahead: nothing is erased until that is confirmed",
                 (long long)t->doubtful);
    else if (t->failed.code != ERR_OK)
        snprintf(text, 160, "the retention job failed: %.120s", err_words(&t->failed));
    else
        return NULL;
    return text;
}

void backend__retention_facts(const struct backend *b, struct pol_facts *f)
{
    struct retention *t = b->retention;
    int64_t worst = INT64_MIN;
    f->retention_run_at = t->job_at;
    f->acts = t->acts;
    f->acts_incomplete = t->acts_incomplete;
    f->retention_days = 0;
    f->oldest_payload_at = 0;
    for (int i = 0; i < PROV_GOVERNANCE; i++) { /* the class that is longest over its time */
        int64_t days = backend__retention_days(b, (enum prov_class)i);
        int64_t oldest = prov_oldest_payload(t->r, (enum prov_class)i);
        int64_t over = oldest ? f->now - oldest - days * DAY_MS : INT64_MIN + 1;
        if (days && over > worst) {
            worst = over;
            f->retention_days = days;
            f->oldest_payload_at = oldest;
            f->retention_class = prov_class_name((enum prov_class)i);
        }
    }
}

/* An act as it was written; NULL if it is not there any more. */
static json_t *read_act(const struct retention *t, const char *act)
{
    enum { ACT_MAX = 16 * 1024 * 1024 };
    char *path = xasprintf("%s/acts/%s.json", t->dir, act);
    struct buf text = {0};
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "re");
    while (f && text.len <= ACT_MAX && (n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(&text, part, n);
    if (f)
        fclose(f);
    json_t *document = text.len ? json_read(text.data, text.len, ACT_MAX, 32, NULL) : NULL;
    buf_release(&text);
    free(path);
    return document;
}

json_t *backend__retention_acts(const struct backend *b, const char *id, struct error *e)
{
    const struct retention *t = b->retention;
    json_t *acts = prov_erasures(t->r), *act, *out = json_object();
    size_t i;
    if (!id) {
        json_put(out, "acts", acts);
        json_puts(out, "folder", t->dir);
        return out;
    }
    json_array_foreach(acts, i, act)
    {
        if (strcmp(json_str(act, "act", ""), id) != 0)
            continue;
        json_t *document = read_act(t, id);
        char *text = document ? prov_act_text(document) : NULL;
        json_put(out, "row", json_incref(act));
        json_put(out, "document", document ? document : json_null());
        json_put(out, "missing", document ? prov_act_missing(document) : json_null());
        json_put(out, "text", text ? json_text(text, strlen(text)) : json_null());
        free(text);
        json_decref(acts);
        return out;
    }
    json_decref(acts);
    json_decref(out);
    err_set(e, ERR_NOT_FOUND, "there is no act %s", id);
    return NULL;
}

struct prov_retention *backend__retention(const struct backend *b)
{
    return b->retention->r;
}

void backend__retention_stop(struct backend *b)
{
    static const struct error closed = {.code = ERR_CLOSED};
    struct retention *t = b->retention;
    if (!t)
        return;
    loop_timer_free(t->timer);
    t->timer = NULL;
    if (t->done)
        t->done(t->arg, NULL, &closed);
    t->done = NULL;
}

void backend__retention_free(struct backend *b)
{
    struct retention *t = b->retention;
    if (!t)
        return;
    loop_timer_free(t->timer);
    if (t->writing)
        t->writing->t = NULL;
    prov_retention_free(t->r);
    free(t->dir);
    free(t);
    b->retention = NULL;
}
