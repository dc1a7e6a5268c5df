/* The kill switch.
 *
 * 1 It is on while the file KILL stands in the state directory, or while the log says so: whoever
 *   removes the file by hand lifts nothing, it is written again.
 * 2 On acts first and is logged afterwards; off is logged first, then the file goes, then it acts.
 * 3 What the log said last is a row that the entry's own transaction writes.
 * 4 While this console runs, another process asks to lift by the file KILL.lift. Its owner is who
 *   asks: only the user whose console this is (or root) may, and only by a plain file that nobody
 *   else can write. One that was there before this console is nobody's request to it. The file goes
 *   when it is answered, after KILL did. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/orchestrator/plans.h"
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NAME[] = "KILL", LIFT[] = "KILL.lift";
enum { TEXT_MAX = 1024, POLL_MS = 1000, POLL_ALONE_MS = 50, REASON_MAX = 500 };

struct kill {
    struct kill_rooms rooms;
    int inotify; /* -1: the file is looked for often instead */
    struct loop_watch *watch;
    struct loop_timer *poll;
    bool on, lifting;     /* lifting: a KILL.lift is being answered */
    int64_t since, entry; /* entry: of the stop, -1: it is not in the log (yet) */
    size_t ended;
    char *by, *reason;
};

static char *path_of(const struct kill *k)
{
    return xasprintf("%s/%s", k->rooms.state_dir, NAME);
}

static void lift_remove(const struct kill *k)
{
    char *path = xasprintf("%s/%s", k->rooms.state_dir, LIFT);
    unlink(path);
    free(path);
}

static void user_name(uid_t uid, char out[64])
{
    struct passwd entry, *found = NULL;
    char room[4096];
    if (getpwuid_r(uid, &entry, room, sizeof room, &found) == 0 && found)
        snprintf(out, 64, "%s", found->pw_name);
    else
        snprintf(out, 64, "%lu", (unsigned long)uid);
}

/* The file's words and owner; false: it is not there. What stands there and is no plain file stops
 * as well: only its words are not read. */
static bool file_read(const struct kill *k, char **by, char **reason)
{
    char *path = path_of(k), text[TEXT_MAX + 1], user[64];
    struct stat st;
    bool there = lstat(path, &st) == 0;
    *by = *reason = NULL;
    if (there) {
        user_name(st.st_uid, user);
        *by = xstrdup(user);
        int fd =
            S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
        ssize_t n = fd >= 0 ? read(fd, text, TEXT_MAX) : 0;
        if (fd >= 0)
            close(fd);
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
            n--;
        json_t *clean = json_text(text, n > 0 ? (size_t)n : 0);
        *reason = xstrdup(n > 0 ? json_string_value(clean) : "the file KILL was made");
        json_decref(clean);
    }
    free(path);
    return there;
}

/* ---- the log */

struct note {
    struct kill *k;
    bool on;
    plans_done *done;
    void *arg;
};

static enum err write_state(struct store_db *db, void *arg, struct error *e)
{
    const struct note *n = arg;
    return store_exec(db, e,
                      "INSERT OR REPLACE INTO kill_state VALUES(1, ?, (SELECT max(seq) FROM"
                      " entries))",
                      "i", (int64_t)n->on);
}

static void remember(struct kill *k, bool on, const char *by, const char *reason)
{
    char *who = xstrdup(by), *why = xstrdup(reason);
    free(k->by);
    free(k->reason);
    k->on = on;
    k->by = who;
    k->reason = why;
    k->since = clock_real_ms();
}

static void noted(void *arg, int64_t seq, const struct error *e)
{
    struct note *n = arg;
    struct kill *k = n->k;
    if (n->on && e->code == ERR_OK) {
        k->entry = seq;
    } else if (!n->on && e->code == ERR_OK) { /* 2 */
        char *path = path_of(k);
        k->on = false;
        k->entry = -1;
        unlink(path);
        free(path);
        if (k->rooms.stop)
            k->rooms.stop(k->rooms.arg, false);
        if (k->rooms.changed)
            k->rooms.changed(k->rooms.arg);
    }
    if (n->done) {
        json_t *status = kill_status(k);
        n->done(n->arg, e->code == ERR_OK ? status : NULL, e);
        json_decref(status);
    }
    free(n);
}

static void log_it(struct kill *k, bool on, const char *reason, const struct plans_who *who,
                   plans_done *done, void *arg)
{
    struct note *n = xcalloc(1, sizeof *n);
    const struct prov_edge lifted = {k->entry, "lift", -1};
    json_t *payload = json_object();
    *n = (struct note){k, on, done, arg};
    json_put(payload, "on", json_boolean(on));
    json_puts(payload, "reason", reason);
    json_puts(payload, "user", who->user);
    json_puts(payload, "session", who->session);
    json_puts(payload, "role", who->role);
    json_puti(payload, "at", clock_real_ms());
    if (on)
        json_puti(payload, "ended", (int64_t)k->ended);
    struct prov_entry entry = {.type = "kill",
                               .actor = who->role,
                               .parents = &lifted,
                               .parent_count = !on && k->entry >= 0,
                               .payload = payload};
    prov_append(k->rooms.prov, &entry, noted, n, write_state, n);
    json_decref(payload);
}

/* ---- a request to lift (4) */

static void lift_answered(void *arg, const json_t *status, const struct error *e)
{
    struct kill *k = arg;
    (void)status;
    (void)e;
    k->lifting = false;
    lift_remove(k);
}

/* The file's owner and words; false: it is not there, or does not count (*refused). */
static bool lift_read(const struct kill *k, char by[64], char **reason, bool *refused)
{
    char *path = xasprintf("%s/%s", k->rooms.state_dir, LIFT), text[TEXT_MAX];
    struct stat st = {0};
    bool there = lstat(path, &st) == 0;
    int fd = there ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    bool counts = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
                  (st.st_uid == geteuid() || st.st_uid == 0) && !(st.st_mode & (S_IWGRP | S_IWOTH));
    ssize_t n = counts ? read(fd, text, sizeof text) : 0;
    if (fd >= 0)
        close(fd);
    free(path);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
        n--;
    user_name(st.st_uid, by);
    counts = counts && n > 0;
    *refused = there && !counts;
    if (!counts)
        return false;
    json_t *clean = json_text(text, (size_t)n);
    *reason = xstrndup(json_string_value(clean), REASON_MAX);
    json_decref(clean);
    return true;
}

static void look_for_lift(struct kill *k)
{
    char by[64], *reason = NULL;
    bool refused = false;
    if (k->lifting)
        return;
    bool asked = lift_read(k, by, &reason, &refused);
    const struct plans_who who = {.role = "file", .user = by, .session = ""};
    k->lifting = asked || refused;
    if (asked && k->on && !(k->rooms.may_lift && k->rooms.may_lift(k->rooms.arg)))
        refused = true;
    if (refused && k->on)
        log_it(k, true, "a request to lift it was refused", &who, lift_answered, k);
    else if (asked && k->on)
        log_it(k, false, reason, &who, lift_answered, k);
    else if (k->lifting)
        lift_answered(k, NULL, NULL); /* it is off */
    free(reason);
}

/* ---- on */

static void file_write(const struct kill *k, const char *reason)
{
    struct error e = {0};
    char *text = xasprintf("%s\n", reason);
    /* If the disk is full it is on all the same, and the log keeps it over a restart. */
    conf_write_file(k->rooms.state_dir, NAME, text, strlen(text), &e);
    free(text);
}

static void turn_on(struct kill *k, const char *reason, const struct plans_who *who, bool file,
                    plans_done *done, void *arg)
{
    k->ended = k->rooms.stop ? k->rooms.stop(k->rooms.arg, true) : 0;
    remember(k, true, who->user, reason);
    if (!file)
        file_write(k, reason);
    log_it(k, true, reason, who, done, arg);
    if (k->rooms.changed)
        k->rooms.changed(k->rooms.arg);
}

static void look(struct kill *k)
{
    char *by, *reason;
    bool there = file_read(k, &by, &reason);
    if (there && !k->on) {
        const struct plans_who who = {.role = "file", .user = by, .session = ""};
        turn_on(k, reason, &who, true, NULL, NULL);
    } else if (!there && k->on) { /* 1 */
        file_write(k, k->reason);
    }
    look_for_lift(k);
    free(by);
    free(reason);
}

static void on_watch(void *arg, int events)
{
    struct kill *k = arg;
    char room[4096];
    (void)events;
    while (read(k->inotify, room, sizeof room) > 0)
        continue;
    look(k);
}

static void on_poll(void *arg)
{
    look(arg);
}

/* ---- the rest */

static bool take_state(void *arg, const struct store_row *row)
{
    struct kill *k = arg;
    k->on = store_int(row, 0) != 0;
    k->entry = store_int(row, 1);
    return false;
}

/* What the log said last: also the reason, if that can still be read. */
static enum err recall(struct kill *k, struct error *e)
{
    enum err code = store_query(store_reader(k->rooms.store), e, take_state, k,
                                "SELECT is_on, ifnull(entry, -1) FROM kill_state", "");
    if (code != ERR_OK || !k->on)
        return code;
    json_t *payload = k->entry >= 0 ? prov_payload(k->rooms.prov, k->entry, NULL) : NULL;
    remember(k, true, json_str(payload, "user", "somebody"), json_str(payload, "reason", ""));
    k->since = json_int(payload, "at", k->since);
    json_decref(payload);
    if (k->rooms.stop)
        k->rooms.stop(k->rooms.arg, true);
    return ERR_OK;
}

struct kill *kill_new(const struct kill_rooms *rooms, struct error *e)
{
    struct kill *k = xcalloc(1, sizeof *k);
    k->rooms = *rooms;
    k->entry = -1;
    k->by = xstrdup("");
    k->reason = xstrdup("");
    k->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (k->inotify >= 0 &&
        inotify_add_watch(k->inotify, rooms->state_dir,
                          IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM) < 0) {
        close(k->inotify);
        k->inotify = -1;
    }
    if (k->inotify >= 0)
        k->watch = loop_watch_new(rooms->loop, k->inotify, LOOP_READ, on_watch, k);
    k->poll = loop_timer_new(rooms->loop, on_poll, k);
    uint64_t every = k->inotify >= 0 ? POLL_MS : POLL_ALONE_MS;
    loop_timer_start(k->poll, every, every);
    lift_remove(k); /* 4 */
    if (recall(k, e) == ERR_OK) {
        look(k);
        return k;
    }
    kill_free(k);
    return NULL;
}

void kill_free(struct kill *k)
{
    if (!k)
        return;
    loop_timer_free(k->poll);
    if (k->watch)
        loop_watch_free(k->watch);
    if (k->inotify >= 0)
        close(k->inotify);
    free(k->by);
    free(k->reason);
    free(k);
}

void kill_close(struct kill *k)
{
    if (!k)
        return;
    loop_timer_free(k->poll);
    k->poll = NULL;
    if (k->watch)
        loop_watch_free(k->watch);
    k->watch = NULL;
    k->rooms.stop = NULL;
    k->rooms.changed = NULL;
}

bool kill_is_on(const struct kill *k)
{
    return k && k->on;
}

void kill_set(struct kill *k, bool on, const char *reason, const struct plans_who *who,
              plans_done *done, void *arg)
{
    struct error e = {0};
    char *cut = xstrndup(reason, REASON_MAX);
    json_t *status = NULL;
    if (on && !k->on) {
        turn_on(k, cut, who, false, done, arg);
    } else if (!on && k->on) {
        log_it(k, false, cut, who, done, arg);
    } else if (done) { /* it is so already */
        status = kill_status(k);
        done(arg, status, &e);
    }
    json_decref(status);
    free(cut);
}

json_t *kill_status(const struct kill *k)
{
    json_t *status = json_object();
    json_put(status, "on", json_boolean(kill_is_on(k)));
    json_put(status, "since", kill_is_on(k) ? json_integer(k->since) : json_null());
    json_puts(status, "by", kill_is_on(k) ? k->by : "");
    json_puts(status, "reason", kill_is_on(k) ? k->reason : "");
    json_puti(status, "ended", kill_is_on(k) ? (int64_t)k->ended : 0);
    return status;
}
