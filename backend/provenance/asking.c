/* Asking witnesses. See A1 to A3 of witness.h.
 *
 * Invariants, besides
 * B1 A witness has one question at a time; the next one waits for its timer.
 * B2 A question begins at what the witness cosigned last, as far as this console knows; where the
 *    witness says another size (409), the question is asked once more from there.
 *
 *      idle --newer checkpoint--> waiting --timer--> asking --200--> kept --> idle
 *                                    ^                 |--409 with a size--> asking
 *                                    '---- later ------'--anything else, or silence
 */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/checkpoint.h"
#include "backend/provenance/cosign.h"
#include "backend/provenance/witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_PEERS = 16, RETRY_MS = 5000, RETRY_MOST_MS = 300000, CONFLICTS = 3 };

enum finding { NONE, ROLLBACK, FORK };
static const char *const FINDINGS[] = {NULL, "rollback", "fork"};

struct peer {
    struct prov_asker *asker;
    char *name, *url; /* url: of add-checkpoint */
    struct prov__vkey key;
    char line[VAULT_LABEL]; /* key as text */
    uint64_t timeout_ms;
    struct loop_timer *timer;
    bool scheduled;         /* the timer runs: what changes meanwhile does not put it off */
    struct http_call *call; /* or NULL */
    struct keeping *keeping;
    struct buf note, answer;   /* of the question */
    bool has_size;             /* the answer's content type */
    int64_t epoch, asked, old; /* what the question is about */
    int64_t told;              /* by the last conflict, -1: nothing */
    int conflicts;
    int64_t cosigned_epoch, cosigned, at; /* its last cosignature; cosigned -1: none */
    int64_t tried;     /* the last size that was asked about to the end, in `epoch` */
    uint64_t ended_ms; /* when the last question was over, 0: never */
    unsigned failures; /* in a row */
    struct error error;
    enum finding finding;
    char text[200]; /* of the finding */
};
struct wait {
    struct wait *next;
    struct prov_asker *asker;
    struct loop_timer *timer;
    loop_fn *done;
    void *arg;
};
struct prov_asker {
    struct prov *prov;
    int64_t seconds, quorum;
    struct peer peers[MOST_PEERS];
    size_t count;
    struct wait *waits;
    struct writing *writing; /* checkpoint.cosigned is being written */
    bool write_again, closed;
};

static void schedule(struct peer *peer);

/* ---- what there is to ask ---- */

static int64_t newest(const struct prov *p)
{
    return p->signing && p->signing->error.code == ERR_OK ? p->signing->head.size : -1;
}

static bool up_to_date(const struct peer *peer)
{
    const struct prov *p = peer->asker->prov;
    return newest(p) <= 0 ||
           (peer->cosigned_epoch == p->durable.epoch && peer->cosigned >= newest(p));
}

static bool busy(const struct peer *peer)
{
    return peer->call || peer->keeping;
}

static bool take_last(void *arg, const struct store_row *row)
{
    struct peer *peer = arg;
    peer->cosigned = store_int(row, 0);
    peer->at = store_int(row, 1);
    return false;
}

/* What it cosigned last of this epoch, as the database has it. */
static void load_last(struct peer *peer)
{
    const struct prov *p = peer->asker->prov;
    char *origin = prov__origin(&p->signing->key, p->durable.epoch);
    peer->cosigned_epoch = p->durable.epoch;
    peer->cosigned = -1;
    store_query(store_reader(p->store), NULL, take_last, peer,
                "SELECT size, at FROM cosignatures WHERE origin = ? AND key = ?"
                " ORDER BY size DESC LIMIT 1",
                "ss", origin, peer->line);
    free(origin);
}

/* ---- the end of a question ---- */

static void answer_waits(struct prov_asker *a)
{
    while (a->waits) {
        struct wait *w = a->waits;
        a->waits = w->next;
        loop_timer_free(w->timer);
        w->done(w->arg);
        free(w);
    }
}

static void tell_waits(struct prov_asker *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (busy(&a->peers[i]) ||
            (!up_to_date(&a->peers[i]) && a->peers[i].tried < newest(a->prov)))
            return;
    answer_waits(a);
}

static void ended(struct peer *peer)
{
    peer->tried = peer->asked;
    peer->told = -1;
    peer->conflicts = 0;
    peer->ended_ms = clock_mono_ms();
    buf_release(&peer->note);
    buf_release(&peer->answer);
    prov__changed(peer->asker->prov);
    schedule(peer);
    tell_waits(peer->asker);
}

static void failed(struct peer *peer, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void failed(struct peer *peer, enum err code, const char *format, ...)
{
    char text[sizeof peer->error.detail];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    err_set(&peer->error, code, "%s", text);
    peer->failures++;
    ended(peer);
}

static void found(struct peer *peer, enum finding finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void found(struct peer *peer, enum finding finding, const char *format, ...)
{
    struct prov *p = peer->asker->prov;
    char text[sizeof peer->text];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool told = peer->finding == finding && strcmp(peer->text, text) == 0;
    peer->finding = finding;
    memcpy(peer->text, text, sizeof text);
    if (!told) { /* A3 */
        json_t *payload = json_object();
        json_puts(payload, "witness", peer->name);
        json_puts(payload, "key", peer->line);
        json_puts(payload, "url", peer->url);
        json_puts(payload, "code", FINDINGS[finding]);
        json_puts(payload, "text", text);
        struct prov_entry entry = {
            .type = "witness.finding", .actor = "backend", .payload = payload};
        prov_append(p, &entry, NULL, NULL, NULL, NULL);
        json_decref(payload);
    }
    failed(peer, ERR_TAMPERED, "%s", text);
}

/* ---- the file checkpoint.cosigned, on a worker ---- */

struct writing {
    struct prov_asker *asker; /* NULL: freed meanwhile */
    char *dir;
    struct buf note;
    struct error error;
};

static void write_file(struct prov_asker *a);

static void write_work(void *arg)
{
    struct writing *w = arg;
    prov__file_put(w->dir, "checkpoint.cosigned", &w->note, &w->error);
}

static void write_done(void *arg, bool cancelled)
{
    struct writing *w = arg;
    struct prov_asker *a = w->asker;
    (void)cancelled; /* the next cosignature writes it */
    if (a) {
        a->writing = NULL;
        for (size_t i = 0; i < a->count && w->error.code != ERR_OK; i++)
            a->peers[i].error = w->error;
        if (a->write_again)
            write_file(a);
    }
    buf_release(&w->note);
    free(w->dir);
    free(w);
}

static void write_file(struct prov_asker *a)
{
    struct prov *p = a->prov;
    char(*keys)[VAULT_LABEL] = xcalloc(a->count + 1, sizeof *keys);
    char *origin = prov__origin(&p->signing->key, p->durable.epoch);
    struct writing *w = xcalloc(1, sizeof *w);
    int64_t size;
    a->write_again = a->writing != NULL;
    for (size_t i = 0; i < a->count; i++)
        memcpy(keys[i], a->peers[i].line, sizeof *keys);
    if (!a->writing)
        prov__cosigned_best(store_reader(p->store), origin, p->durable.epoch, keys, a->count,
                            a->quorum, &w->note, &size, NULL);
    free(keys);
    free(origin);
    if (!w->note.len) {
        free(w);
        return;
    }
    w->asker = a;
    w->dir = xstrdup(p->signing->dir);
    a->writing = w;
    loop_work(p->loop, write_work, write_done, w);
}

/* ---- a cosignature that verified ---- */

struct keeping {
    struct peer *peer;
    char *origin, *key, *line;
    int64_t epoch, size, at;
};

static enum err insert(struct store_db *db, void *arg, struct error *e)
{
    const struct keeping *k = arg;
    return store_exec(db, e, "INSERT OR REPLACE INTO cosignatures VALUES(?, ?, ?, ?, ?)", "sisis",
                      k->origin, k->size, k->key, k->at, k->line);
}

static void kept(void *arg, const struct error *e)
{
    struct keeping *k = arg;
    struct peer *peer = k->peer;
    peer->keeping = NULL;
    if (e->code == ERR_OK) {
        peer->cosigned_epoch = k->epoch;
        peer->cosigned = k->size;
        peer->at = k->at;
        peer->failures = 0;
        peer->error = (struct error){0};
        peer->finding = NONE;
    }
    if (!peer->asker->closed) {
        if (e->code == ERR_OK) {
            write_file(peer->asker);
            ended(peer);
        } else {
            failed(peer, e->code, "%s", e->detail);
        }
    }
    free(k->origin);
    free(k->key);
    free(k->line);
    free(k);
}

static void keep(struct peer *peer, const struct prov__cosignature *by)
{
    const struct prov *p = peer->asker->prov;
    struct keeping *k = xcalloc(1, sizeof *k);
    *k = (struct keeping){.peer = peer,
                          .origin = prov__origin(&p->signing->key, peer->epoch),
                          .key = xstrdup(peer->line),
                          .line = xstrndup(by->line.at, by->line.len),
                          .epoch = peer->epoch,
                          .size = peer->asked,
                          .at = by->at};
    peer->keeping = k;
    store_write(p->store, insert, kept, k);
}

static void take_lines(struct peer *peer)
{
    struct buf whole = {0};
    struct prov__checkpoint c;
    struct prov__cosignature by = {0};
    buf_add(&whole, peer->note.data, peer->note.len);
    buf_add(&whole, peer->answer.data, peer->answer.len);
    const char *problem = prov__note_read(whole.data, whole.len, &c);
    enum prov__signed is = problem ? PROV__UNSIGNED : prov__cosigned(&c, &peer->key, &by);
    if (problem)
        failed(peer, ERR_PROTOCOL, "its answer is no list of signature lines: %s", problem);
    else if (is == PROV__UNSIGNED)
        failed(peer, ERR_PROTOCOL, "its answer has no cosignature by the key that is configured");
    else if (is == PROV__FORGED)
        failed(peer, ERR_PROTOCOL, "its cosignature does not verify");
    else
        keep(peer, &by);
    buf_release(&whole);
}

/* ---- a question ---- */

static void ask(void *arg);

static void take_conflict(struct peer *peer)
{
    const struct prov *p = peer->asker->prov;
    int64_t told = peer->has_size ? prov__conflict_read(peer->answer.data, peer->answer.len) : -1;
    if (told < 0) {
        failed(peer, ERR_PROTOCOL, "it answered 409 without a size");
    } else if (told == peer->old && told == peer->asked) {
        found(peer, FORK, "it cosigned another history of %lld entries under this log's name",
              (long long)told);
    } else if (told == peer->old || ++peer->conflicts > CONFLICTS) {
        failed(peer, ERR_PROTOCOL, "it answered 409 to the size that it named itself, %lld",
               (long long)told);
    } else if (p->durable.epoch == peer->epoch && told > newest(p)) {
        found(peer, ROLLBACK,
              "it says that it cosigned %lld entries, the newest checkpoint here covers %lld: this "
              "log is an older copy, another one goes under its name, or the witness errs",
              (long long)told, (long long)newest(p));
    } else {
        peer->told = told;
        ask(peer);
    }
}

static void on_head(void *arg, long status, const char *content_type)
{
    struct peer *peer = arg;
    (void)status;
    peer->has_size = strncasecmp(content_type, "text/x.tlog.size", 16) == 0;
}

static bool on_data(void *arg, const char *bytes, size_t len)
{
    struct peer *peer = arg;
    buf_add(&peer->answer, bytes, len);
    return peer->answer.len <= PROV__NOTE_MAX;
}

static void on_done(void *arg, const struct error *e, long status)
{
    struct peer *peer = arg;
    peer->call = NULL;
    if (peer->answer.len > PROV__NOTE_MAX)
        failed(peer, ERR_PROTOCOL, "its answer is too long");
    else if (e->code != ERR_OK)
        failed(peer, e->code, "%s", e->detail);
    else if (status == 200)
        take_lines(peer);
    else if (status == 409)
        take_conflict(peer);
    else if (status == 422)
        found(peer, FORK,
              "it cosigned %lld entries that the log here does not lead to, by its own account",
              (long long)peer->old);
    else if (status == 404)
        failed(peer, ERR_UPSTREAM, "it does not know this log (404): give it this log's vkey");
    else if (status == 403)
        failed(peer, ERR_UPSTREAM, "it does not trust the key that signed the checkpoint (403)");
    else
        failed(peer, ERR_UPSTREAM, "it answered %ld: %.80s", status,
               peer->answer.len ? peer->answer.data : "");
}

static void send(struct peer *peer)
{
    static const char *const headers[] = {"Content-Type: text/plain; charset=utf-8", NULL};
    static const struct http_ops ops = {on_head, on_data, on_done};
    struct prov *p = peer->asker->prov;
    struct prov__proof proof;
    struct buf body = {0};
    struct error e = {0};
    if (prov__newest_note(p, &peer->note, &e) == ERR_OK &&
        prov__prove_consistency(prov__stored_node, p->tree, peer->old, peer->asked, &proof, &e) ==
            ERR_OK) {
        prov__request_write(peer->old, &proof, peer->note.data, &body);
        struct http_options o = {.method = "POST",
                                 .url = peer->url,
                                 .headers = headers,
                                 .body = body.data,
                                 .body_len = body.len,
                                 .connect_ms = peer->timeout_ms,
                                 .total_ms = peer->timeout_ms};
        peer->call = http_start(p->loop, &o, &ops, peer, &e);
    }
    buf_release(&body);
    if (!peer->call)
        failed(peer, e.code, "%s", e.detail);
}

static void ask(void *arg)
{
    struct peer *peer = arg;
    const struct prov *p = peer->asker->prov;
    peer->scheduled = false;
    if (peer->asker->closed || busy(peer) || newest(p) <= 0)
        return;
    if (peer->cosigned_epoch != p->durable.epoch) {
        load_last(peer);
        peer->told = -1;
    }
    buf_clear(&peer->note);
    buf_clear(&peer->answer);
    peer->epoch = p->durable.epoch;
    peer->asked = newest(p);
    peer->old = peer->told >= 0 ? peer->told : peer->cosigned > 0 ? peer->cosigned : 0;
    if (peer->old > peer->asked)
        found(peer, ROLLBACK,
              "it cosigned %lld entries, the newest checkpoint here covers %lld: this log is an "
              "older copy",
              (long long)peer->old, (long long)peer->asked);
    else
        send(peer);
}

/* ---- when ---- */

static void schedule(struct peer *peer)
{
    struct prov_asker *a = peer->asker;
    if (a->closed || peer->scheduled || busy(peer) || newest(a->prov) <= 0 ||
        (up_to_date(peer) && !peer->failures))
        return;
    uint64_t now = clock_mono_ms(), pause = (uint64_t)a->seconds * 1000, at = now;
    if (peer->failures) {
        pause = RETRY_MS << (peer->failures < 8 ? peer->failures - 1 : 7);
        pause = pause > RETRY_MOST_MS ? RETRY_MOST_MS : pause;
    }
    if (a->waits && peer->tried < newest(a->prov))
        pause = 0; /* who waits does not wait for that */
    if (peer->ended_ms && peer->ended_ms + pause > now)
        at = peer->ended_ms + pause;
    peer->scheduled = true;
    loop_timer_start(peer->timer, at - now + 1, 0);
}

static void on_change(void *arg)
{
    struct prov_asker *a = arg;
    for (size_t i = 0; i < a->count; i++)
        if (!a->peers[i].failures)
            schedule(&a->peers[i]);
}

static void on_limit(void *arg)
{
    struct wait *w = arg;
    for (struct wait **at = &w->asker->waits; *at; at = &(*at)->next) {
        if (*at == w) {
            *at = w->next;
            break;
        }
    }
    loop_timer_free(w->timer);
    w->done(w->arg);
    free(w);
}

void prov_asker_wait(struct prov_asker *a, uint64_t limit_ms, loop_fn *done, void *arg)
{
    struct wait *w = xcalloc(1, sizeof *w), **end = &a->waits;
    *w = (struct wait){NULL, a, loop_timer_new(a->prov->loop, on_limit, w), done, arg};
    loop_timer_start(w->timer, limit_ms, 0);
    while (*end)
        end = &(*end)->next;
    *end = w;
    for (size_t i = 0; i < a->count; i++) {
        struct peer *peer = &a->peers[i];
        if (busy(peer) || up_to_date(peer))
            continue;
        peer->tried = -1;
        peer->scheduled = true;
        loop_timer_start(peer->timer, 1, 0);
    }
    tell_waits(a);
}

/* ---- opening ---- */

static enum err add_peer(struct prov_asker *a, const struct prov_peer *o, struct error *e)
{
    size_t len = strlen(o->url);
    struct peer *peer = &a->peers[a->count];
    if (a->count == MOST_PEERS)
        return err_set(e, ERR_CONFIG, "over %d witnesses", MOST_PEERS);
    if (strncasecmp(o->url, "http://", 7) != 0 && strncasecmp(o->url, "https://", 8) != 0)
        return err_set(e, ERR_CONFIG, "[witness \"%s\"] url: an http or https address", o->name);
    if (!prov__vkey_read_as(PROV__COSIGNATURE, o->key, &peer->key))
        return err_set(e, ERR_CONFIG,
                       "[witness \"%s\"] vkey: a verifier key of type 0x04, NAME+ID+KEY", o->name);
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->peers[i].line, o->key) == 0)
            return err_set(e, ERR_CONFIG, "[witness \"%s\"] has the key of \"%s\"", o->name,
                           a->peers[i].name);
    while (len && o->url[len - 1] == '/')
        len--;
    peer->asker = a;
    peer->name = xstrdup(o->name);
    peer->url = xasprintf("%.*s/add-checkpoint", (int)len, o->url);
    prov__vkey_write(&peer->key, peer->line);
    peer->timeout_ms = o->timeout_ms;
    peer->told = peer->cosigned = peer->tried = -1;
    peer->timer = loop_timer_new(a->prov->loop, ask, peer);
    a->count++;
    return ERR_OK;
}

struct prov_asker *prov_asker_new(struct prov *p, const struct prov_asking *o, struct error *e)
{
    struct prov_asker *a = xcalloc(1, sizeof *a);
    enum err code = ERR_OK;
    a->prov = p;
    a->seconds = o->seconds;
    a->quorum = o->quorum;
    for (size_t i = 0; i < o->peer_count && code == ERR_OK; i++)
        code = add_peer(a, &o->peers[i], e);
    if (code != ERR_OK) {
        prov_asker_free(a);
        return NULL;
    }
    prov_on_change(p, on_change, a);
    for (size_t i = 0; i < a->count; i++) {
        if (p->signing && p->signing->key_known)
            load_last(&a->peers[i]);
        schedule(&a->peers[i]);
    }
    return a;
}

void prov_asker_close(struct prov_asker *a)
{
    if (!a)
        return;
    a->closed = true;
    for (size_t i = 0; i < a->count; i++) {
        http_cancel(a->peers[i].call);
        a->peers[i].call = NULL;
        loop_timer_stop(a->peers[i].timer);
    }
    answer_waits(a);
}

void prov_asker_free(struct prov_asker *a)
{
    if (!a)
        return;
    prov_asker_close(a);
    if (a->writing)
        a->writing->asker = NULL;
    for (size_t i = 0; i < a->count; i++) {
        struct peer *peer = &a->peers[i];
        loop_timer_free(peer->timer);
        buf_release(&peer->note);
        buf_release(&peer->answer);
        free(peer->name);
        free(peer->url);
    }
    free(a);
}

/* ---- telling ---- */

static json_t *describe(const struct peer *peer)
{
    bool known = peer->cosigned >= 0;
    char at[CLOCK_TEXT];
    const char *state = busy(peer)       ? "asking"
                        : peer->finding  ? "finding"
                        : peer->failures ? "failing"
                        : known          ? "cosigned"
                                         : "new";
    json_t *row = json_object(), *finding = json_null();
    clock_format(peer->at * 1000, at);
    if (peer->finding) {
        finding = json_object();
        json_puts(finding, "code", FINDINGS[peer->finding]);
        json_puts(finding, "text", peer->text);
    }
    json_puts(row, "name", peer->name);
    json_puts(row, "url", peer->url);
    json_puts(row, "key", peer->line);
    json_puts(row, "state", state);
    json_put(row, "size", known ? json_integer(peer->cosigned) : json_null());
    json_put(row, "at", known ? json_string(at) : json_null());
    json_puti(row, "failures", peer->failures);
    json_puts(row, "last_error", peer->error.code == ERR_OK ? "" : err_words(&peer->error));
    json_put(row, "finding", finding);
    return row;
}

json_t *prov_asker_list(const struct prov_asker *a)
{
    json_t *out = json_object(), *rows = json_array();
    int64_t cosigned = 0, size = a ? newest(a->prov) : -1;
    for (size_t i = 0; a && i < a->count; i++) {
        json_array_append_new(rows, describe(&a->peers[i]));
        cosigned += size > 0 && up_to_date(&a->peers[i]);
    }
    json_puti(out, "quorum", a ? a->quorum : 0);
    json_put(out, "newest", size < 0 ? json_null() : json_integer(size));
    json_puti(out, "cosigned", cosigned);
    json_put(out, "witnesses", rows);
    return out;
}
