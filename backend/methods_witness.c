/* Witnesses: those of this log, and this console as one of other logs; checkpoints, which witnesses
 * cosign. */
#include "backend/base/clock.h"
#include "backend/methods.h"
#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 32 * 1024, MOST = 64, WAIT_MS = 10000 };

/* ---- opening ---- */

static const char *log_setting(struct backend *b, const char *name, const char *key)
{
    return conf_str(b->conf, "log", name, key);
}

/* The witness that this console is, opened when it is needed first. */
static struct prov_witness *witness(struct backend *b, struct error *e)
{
    const char *names[MOST];
    struct prov_log logs[MOST];
    size_t count = conf_names(b->conf, "log", names, MOST);
    if (b->witness)
        return b->witness;
    if (count > MOST) {
        err_set(e, ERR_CONFIG, "over %d sections [log]", MOST);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        logs[i] = (struct prov_log){names[i], log_setting(b, names[i], "origin"),
                                    log_setting(b, names[i], "vkey")};
    struct prov_witnessing o = {.name = conf_str(b->conf, "witness_server", "", "name"),
                                .environment = conf_str(b->conf, "console", "", "environment"),
                                .logs = logs,
                                .log_count = count};
    return b->witness = prov_witness_new(b->prov, &o, e);
}

static enum err start_asking(struct backend *b, struct error *e)
{
    const char *names[MOST];
    struct prov_peer peers[MOST];
    size_t count = conf_names(b->conf, "witness", names, MOST);
    if (count > MOST)
        return err_set(e, ERR_CONFIG, "over %d sections [witness]", MOST);
    for (size_t i = 0; i < count; i++)
        peers[i] = (struct prov_peer){
            .name = names[i],
            .url = conf_str(b->conf, "witness", names[i], "url"),
            .key = conf_str(b->conf, "witness", names[i], "vkey"),
            .timeout_ms = (uint64_t)conf_int(b->conf, "witness", names[i], "timeout_ms")};
    struct prov_asking o = {.peers = peers,
                            .peer_count = count,
                            .seconds = conf_int(b->conf, "evidence", "", "witness_seconds"),
                            .quorum = conf_int(b->conf, "evidence", "", "witness_quorum")};
    b->asker = count ? prov_asker_new(b->prov, &o, e) : NULL;
    return count && !b->asker ? e->code : ERR_OK;
}

/* ---- the server ---- */

struct posted {
    struct backend *backend;
    struct httpd_request *request; /* NULL: by hand */
    struct bus_call *call;
};

static void tell(struct backend *b, const struct prov_witnessed *a)
{
    if (b->stopping)
        return;
    json_t *data = json_object();
    json_puts(data, "origin", a->origin);
    json_put(data, "old", a->old < 0 ? json_null() : json_integer(a->old));
    json_put(data, "size", a->size < 0 ? json_null() : json_integer(a->size));
    json_puti(data, "status", a->status);
    json_puts(data, "reason", a->reason);
    json_put(data, "entry", a->entry < 0 ? json_null() : json_integer(a->entry));
    bus_event_for(b->bus, BUS_REVIEWER, BUS_OPERATOR, "witness", data);
    json_decref(data);
}

static void answer_http(void *arg, const struct prov_witnessed *a)
{
    struct posted *p = arg;
    tell(p->backend, a);
    httpd_reply(p->request, a->status, a->type, "", a->body, strlen(a->body));
    free(p);
}

static void on_request(void *arg, struct httpd_request *r)
{
    static const char plain[] = "text/plain; charset=utf-8", missing[] = "there is no such path\n",
                      post[] = "it takes POST\n";
    struct backend *b = arg;
    if (strcmp(httpd_path(r), "/add-checkpoint") != 0) {
        httpd_reply(r, 404, plain, "", missing, sizeof missing - 1);
        return;
    }
    if (strcmp(httpd_method(r), "POST") != 0) {
        httpd_reply(r, 405, plain, "Allow: POST\r\n", post, sizeof post - 1);
        return;
    }
    struct posted *p = xcalloc(1, sizeof *p);
    const struct buf *body = httpd_body(r);
    *p = (struct posted){b, r, NULL};
    prov_witness_add(b->witness, body->len ? body->data : "", body->len, NULL, "witness",
                     answer_http, p);
}

static enum err serve(struct backend *b, const char *address, bool remote, struct error *e)
{
    struct httpd_options o = {.address = address, .remote = remote, .body_max = BODY_MAX};
    if (b->witness_server)
        return err_set(e, ERR_BUSY, "it listens at %s already", httpd_address(b->witness_server));
    if (!witness(b, e))
        return e->code;
    b->witness_server = httpd_new(b->loop, &o, on_request, b, e);
    return b->witness_server ? ERR_OK : e->code;
}

enum err backend__witness_start(struct backend *b, struct error *e)
{
    const char *address = conf_str(b->conf, "witness_server", "", "listen");
    enum err code = start_asking(b, e);
    if (code == ERR_OK && *address) /* a port that is taken stops no console */
        serve(b, address, conf_flag(b->conf, "witness_server", "", "remote"), &b->witness_warning);
    return code;
}

void backend__witness_close(struct backend *b)
{
    prov_asker_close(b->asker);
    httpd_free(b->witness_server);
    b->witness_server = NULL;
}

void backend__witness_free(struct backend *b)
{
    prov_asker_free(b->asker);
    prov_witness_free(b->witness);
}

/* ---- status ---- */

void backend__witness_status(struct backend *b, json_t *status, json_t *alerts)
{
    enum { PATIENCE = 2 }; /* one lost answer is no alert */
    json_t *list = prov_asker_list(b->asker), *row, *counts = json_object();
    int64_t findings = 0;
    size_t i;
    json_array_foreach(json_object_get(list, "witnesses"), i, row)
    {
        const json_t *finding = json_object_get(row, "finding");
        char *source = xasprintf("witness %s", json_str(row, "name", ""));
        findings += json_is_object(finding);
        if (json_is_object(finding))
            method_alert(alerts, "fail", source, json_str(finding, "text", ""));
        else if (json_int(row, "failures", 0) >= PATIENCE)
            method_alert(alerts, "warn", source, json_str(row, "last_error", ""));
        free(source);
    }
    if (b->witness_warning.code != ERR_OK)
        method_alert(alerts, "warn", "witness_server", b->witness_warning.detail);
    json_puti(counts, "configured", (int64_t)json_array_size(json_object_get(list, "witnesses")));
    json_puti(counts, "cosigned", json_int(list, "cosigned", 0));
    json_puti(counts, "quorum", json_int(list, "quorum", 0));
    json_puti(counts, "findings", findings);
    json_put(status, "witnesses", counts);
    json_decref(list);
}

/* ---- checkpoints ---- */

struct checkpointing {
    struct backend *backend;
    struct bus_call *call;
    json_t *checkpoint;
    bool wait;
};

static void answer_cosigned(void *arg)
{
    struct checkpointing *w = arg;
    json_t *cosigners = prov_cosigners(w->backend->prov, json_int(w->checkpoint, "size", -1)), *one;
    struct buf text = {0};
    size_t i;
    buf_adds(&text, json_str(w->checkpoint, "note", ""));
    json_array_foreach(cosigners, i, one) buf_adds(&text, json_str(one, "line", ""));
    json_put(w->checkpoint, "cosigned",
             json_array_size(cosigners) ? json_text(text.data, text.len) : json_null());
    json_put(w->checkpoint, "cosigners", cosigners);
    buf_release(&text);
    bus_reply(w->call, w->checkpoint);
    free(w);
}

static void checkpoint_made(void *arg, json_t *checkpoint, const struct error *e)
{
    struct checkpointing *w = arg;
    if (!checkpoint) {
        bus_fail(w->call, e);
        free(w);
        return;
    }
    w->checkpoint = json_deep_copy(checkpoint);
    if (w->wait && w->backend->asker && !w->backend->stopping)
        prov_asker_wait(w->backend->asker, WAIT_MS, answer_cosigned, w);
    else
        answer_cosigned(w);
}

void on_evidence_checkpoint(struct bus_call *c, void *arg)
{
    struct checkpointing *w = xcalloc(1, sizeof *w);
    *w = (struct checkpointing){arg, c, NULL, json_flag(bus_params(c), "wait", false)};
    prov_checkpoint(w->backend->prov, checkpoint_made, w);
}

/* ---- methods ---- */

struct listing {
    struct backend *backend;
    struct bus_call *call;
};

static void answer_list(void *arg)
{
    struct listing *l = arg;
    json_t *list = prov_asker_list(l->backend->asker), *row;
    size_t i;
    json_array_foreach(json_object_get(list, "witnesses"), i, row)
    {
        if (bus_session(l->call)->role >= BUS_REVIEWER)
            continue;
        json_puts(row, "url", "");
        json_puts(row, "last_error", "");
        json_put(row, "finding", json_null());
    }
    bus_reply(l->call, list);
    free(l);
}

void on_witness_list(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct listing *l = xcalloc(1, sizeof *l);
    *l = (struct listing){b, c};
    if (json_flag(bus_params(c), "wait", false) && b->asker && !b->stopping)
        prov_asker_wait(b->asker, WAIT_MS, answer_list, l);
    else
        answer_list(l);
}

void on_witness_request(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    int64_t from;
    struct error e = {0};
    if (!method_limit(c, "from", 0, 0, INT64_MAX, &from))
        return;
    json_t *request = prov_witness_request(b->prov, from, &e);
    method_answer(c, request, &e);
}

void on_witness_key(struct bus_call *c, void *arg)
{
    struct error e = {0};
    const struct prov_witness *w = witness(arg, &e);
    json_t *result = w ? json_object() : NULL;
    if (w)
        json_puts(result, "key", prov_witness_key(w));
    method_answer(c, result, &e);
}

void on_witness_logs(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    json_t *result = NULL, *logs = prov_witness_logs(b->prov, b->witness, &e);
    const struct httpd *server = b->witness_server;
    if (logs) {
        result = json_object();
        json_put(result, "listen", server ? json_string(httpd_address(server)) : json_null());
        json_put(result, "key",
                 b->witness ? json_string(prov_witness_key(b->witness)) : json_null());
        json_put(result, "logs", logs);
    }
    method_answer(c, result, &e);
}

void on_witness_serve(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *address;
    struct error e = {0};
    if (!method_text(c, "listen", false, &address))
        return;
    if (!address || !*address)
        address = conf_str(b->conf, "witness_server", "", "listen");
    bool same = b->witness_server && strcmp(httpd_address(b->witness_server), address) == 0;
    bool remote =
        json_flag(bus_params(c), "remote", conf_flag(b->conf, "witness_server", "", "remote"));
    if (!same && serve(b, *address ? address : "127.0.0.1:8095", remote, &e) != ERR_OK) {
        bus_fail(c, &e);
        return;
    }
    b->witness_warning = (struct error){0};
    json_t *result = json_object();
    json_puts(result, "listen", httpd_address(b->witness_server));
    json_puts(result, "key", prov_witness_key(b->witness));
    bus_reply(c, result);
}

static void answer_by_hand(void *arg, const struct prov_witnessed *a)
{
    struct posted *p = arg;
    struct error e = {0};
    json_t *result = NULL;
    tell(p->backend, a);
    if (a->status == 200) {
        result = json_object();
        json_puts(result, "origin", a->origin);
        json_puti(result, "size", a->size);
        json_puts(result, "line", a->body);
        json_puts(result, "note", a->note);
        json_puti(result, "entry", a->entry);
    } else {
        err_set(&e,
                a->status == 400   ? ERR_INVALID
                : a->status == 503 ? ERR_BUSY
                : a->status == 500 ? ERR_IO
                                   : ERR_DENIED,
                "it was not cosigned (%d): %s", a->status, a->reason);
    }
    method_answer(p->call, result, &e);
    free(p);
}

void on_witness_cosign(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *request, *log;
    struct error e = {0};
    if (!method_text(c, "request", true, &request) || !method_text(c, "log", false, &log))
        return;
    if (!witness(b, &e)) {
        bus_fail(c, &e);
        return;
    }
    struct posted *p = xcalloc(1, sizeof *p);
    *p = (struct posted){b, NULL, c};
    prov_witness_add(b->witness, request, strlen(request), log, bus_role_name(bus_session(c)->role),
                     answer_by_hand, p);
}
