/* Reports of breaches for people: STATE/forensics/EPOCH-SEQ.json and .txt, named after the entry
 * epoch.start that they explain. The evidence is that entry; the files say the same in words, and
 * what the files of the database looked like. */
#include "backend/provenance/tamper.h"

#include "backend/base/clock.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct job {
    char *state, *name;
    json_t *report;
};

static void add_files(json_t *report, const char *state)
{
    static const char *const names[] = {
        "console.db", "console.db-wal",      "checkpoint",          "checkpoints",
        "verified",   "keys/checkpoint.pub", "keys/checkpoint.key", "keys/master.key"};
    json_t *files = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = xasprintf("%s/%s", state, names[i]), at[CLOCK_TEXT];
        struct stat st;
        json_t *one = json_object();
        json_puts(one, "name", names[i]);
        if (lstat(path, &st) == 0) {
            clock_format(st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000, at);
            json_puti(one, "size", st.st_size);
            json_puts(one, "modified", at);
        } else {
            json_puts(one, "missing", strerror(errno));
        }
        json_array_append_new(files, one);
        free(path);
    }
    json_put(report, "files", files);
}

/* ---- in words ---- */

static const char advice[] =
    "What to do\n"
    "  1. Copy the whole state directory, with this report, to where nobody can write it.\n"
    "  2. Run `mcp-console evidence verify --checkpoint FILE` with a checkpoint that was kept "
    "elsewhere:\n"
    "     it says up to which entry the log is as it was signed.\n"
    "  3. Compare with a backup: entries that verify there and are in the ranges above can be read "
    "from it.\n"
    "  4. Find out who could write to these files at the times above, and change the keys\n"
    "     (`mcp-console keys rotate`) if somebody could read them.\n"
    "The console goes on in a new epoch; nothing that was there has been changed or removed.\n";

static void put_ranges(struct buf *out, const json_t *report)
{
    const json_t *row;
    size_t i;
    buf_adds(out, "Not to be relied on (quarantined)\n");
    json_array_foreach(json_object_get(report, "quarantined"), i, row)
    {
        long long from = json_int(row, "from", -1), to = json_int(row, "to", -1);
        if (from == to)
            buf_addf(out, "  entry %lld (%s)\n", from, json_str(row, "code", ""));
        else
            buf_addf(out, "  entries %lld to %lld (%s)\n", from, to, json_str(row, "code", ""));
    }
    if (json_array_size(json_object_get(report, "quarantined")) == 0)
        buf_adds(out, "  no entry that could be named\n");
    buf_adds(out, "\nProblems\n");
    json_array_foreach(json_object_get(report, "problems"), i, row)
    {
        buf_addf(out, "  %s: %s\n", json_str(row, "code", ""), json_str(row, "text", ""));
    }
    long long more = json_int(report, "problem_count", 0) - (long long)i;
    if (more > 0)
        buf_addf(out, "  and %lld more\n", more);
}

static void put_known(struct buf *out, const json_t *report)
{
    const json_t *prior = json_object_get(report, "prior"), *row;
    const json_t *checkpoint = json_object_get(report, "checkpoint"), *first;
    size_t i;
    buf_addf(out,
             "\nWhat this console knew of epoch %lld when it found out\n"
             "  begins at entry  %lld\n  entries          %lld (-1: unknown)\n"
             "  head             %s\n  root             %s\n",
             (long long)json_int(prior, "epoch", -1), (long long)json_int(prior, "base", -1),
             (long long)json_int(prior, "size", -1), json_str(prior, "head", ""),
             json_str(prior, "root", "unknown"));
    if (json_is_object(checkpoint))
        buf_addf(out, "  last checkpoint  %lld entries, root %s\n",
                 (long long)json_int(checkpoint, "size", -1), json_str(checkpoint, "root", ""));
    else
        buf_adds(out, "  last checkpoint  none that the log leads to\n");
    first = json_array_get(json_object_get(report, "quarantined"), 0);
    buf_addf(
        out,
        "\nStill proved\n  Entries before %lld without a problem above are as the present head, or "
        "a checkpoint\n  that covers them, says. Only a checkpoint kept elsewhere proves it to "
        "others.\n\nFiles\n",
        (long long)json_int(first, "from", json_int(report, "base", 0)));
    json_array_foreach(json_object_get(report, "files"), i, row)
    {
        buf_addf(out, "  %-20s", json_str(row, "name", ""));
        if (json_object_get(row, "size"))
            buf_addf(out, " %lld bytes, modified %s\n", (long long)json_int(row, "size", 0),
                     json_str(row, "modified", ""));
        else
            buf_addf(out, " %s\n", json_str(row, "missing", ""));
    }
}

static void put_words(struct buf *out, const json_t *report)
{
    buf_addf(out, "The evidence log was tampered with, or damaged\n\nFound         %s\n",
             json_str(report, "at", ""));
    buf_addf(out, "Log           goes on in epoch %lld from entry %lld\n\n",
             (long long)json_int(report, "epoch", -1), (long long)json_int(report, "base", -1));
    put_ranges(out, report);
    put_known(out, report);
    buf_addc(out, '\n');
    buf_adds(out, advice);
}

/* ---- writing, on a worker ---- */

static bool write_file(const char *path, const char *bytes, size_t len)
{
    char *fresh = xasprintf("%s-XXXXXX.new", path); /* one each: a reader may write it anew */
    int fd = mkostemps(fresh, 4, O_CLOEXEC);
    bool ok = fd >= 0;
    while (ok && len) {
        ssize_t n = write(fd, bytes, len);
        ok = n > 0 || (n < 0 && errno == EINTR);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    ok = ok && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    ok = ok && rename(fresh, path) == 0;
    free(fresh);
    return ok;
}

static void write_report(void *arg)
{
    struct job *job = arg;
    struct buf words = {0};
    char *dir = xasprintf("%s/forensics", job->state), *path;
    add_files(job->report, job->state);
    put_words(&words, job->report);
    char *text = json_dumps(job->report, JSON_INDENT(2));
    if (text && (mkdir(dir, 0700) == 0 || errno == EEXIST)) {
        path = xasprintf("%s/%s.json", dir, job->name);
        write_file(path, text, strlen(text));
        free(path);
        path = xasprintf("%s/%s.txt", dir, job->name);
        write_file(path, words.data, words.len); /* the entry says it all if this fails */
        free(path);
    }
    free(text);
    free(dir);
    buf_release(&words);
}

static void report_written(void *arg, bool cancelled)
{
    struct job *job = arg;
    (void)cancelled;
    json_decref(job->report);
    free(job->state);
    free(job->name);
    free(job);
}

static char *state_dir(const struct prov *p)
{
    const char *path = store_path(p->store), *slash = strrchr(path, '/');
    return slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
}

static struct job *job_new(const struct prov *p, int64_t epoch, int64_t seq, const json_t *payload,
                           const char *at)
{
    struct job *job = xcalloc(1, sizeof *job);
    job->state = state_dir(p);
    job->name = xasprintf("%lld-%lld", (long long)epoch, (long long)seq);
    job->report = json_deep_copy(payload);
    json_puts(job->report, "at", at);
    return job;
}

void prov__forensics_write(struct prov *p, int64_t epoch, int64_t seq, const json_t *payload)
{
    char at[CLOCK_TEXT];
    clock_format(clock_real_ms(), at);
    loop_work(p->loop, write_report, report_written, job_new(p, epoch, seq, payload, at));
}

/* ---- reading ---- */

enum { LARGEST = 1024 * 1024 };

static char *read_whole(const char *path, size_t *len)
{
    struct buf text = {0};
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < LARGEST;
    ssize_t n = 1;
    while (ok && n > 0 && text.len < LARGEST) {
        buf_reserve(&text, 65536);
        n = read(fd, text.data + text.len, 65536);
        text.len += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    buf_addc(&text, '\0');
    *len = text.len - 1;
    return buf_take(&text);
}

/* The report made of its entry, and its files: they are gone, or the console ended before it wrote
 * them. */
static json_t *report_anew(struct prov *p, int64_t epoch, int64_t seq, struct error *e)
{
    json_t *payload = prov_payload(p, seq, e), *entry = NULL, *report = NULL;
    if (payload && (entry = prov_get(p, seq, false, e))) {
        struct job *job = job_new(p, epoch, seq, payload, json_str(entry, "ts", ""));
        write_report(job);
        report = json_incref(job->report);
        report_written(job, false);
    }
    json_decref(payload);
    json_decref(entry);
    return report;
}

json_t *prov_forensics(const struct prov *p, struct error *e)
{
    const struct prov__epoch *last = &p->epochs.at[p->epochs.count - 1];
    json_t *out = NULL;
    size_t len;
    if (last->epoch == 1) {
        err_set(e, ERR_NOT_FOUND, "the log is in its first epoch: nothing was found so far");
        return NULL;
    }
    char *dir = state_dir(p);
    char *path = xasprintf("%s/forensics/%lld-%lld.json", dir, (long long)last->epoch,
                           (long long)last->base);
    char *text = read_whole(path, &len);
    json_t *report = json_read(text, len, LARGEST, 64, NULL);
    if (!report)
        report = report_anew((struct prov *)p, last->epoch, last->base, e);
    if (access(path, R_OK) != 0) { /* a full disk, perhaps */
        free(path);
        path = NULL;
    }
    if (report) {
        struct buf words = {0};
        put_words(&words, report);
        out = json_object();
        json_put(out, "file", path ? json_string(path) : json_null());
        json_put(out, "report", report);
        json_put(out, "text", json_text(words.data, words.len));
        buf_release(&words);
    }
    free(text);
    free(path);
    free(dir);
    return out;
}
