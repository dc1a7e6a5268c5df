/* Bundles of the log: evidence.export, evidence.export_read, and what the console says of itself in
 * them. Bundles wait in memory until they were read: they may hold payloads in clear, which are not
 * to be written beside a log that seals them. */
#include "backend/methods.h"
#include "backend/provenance/bundle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 192 * 1024, HELD = 2, HELD_MS = 10 * 60 * 1000 };

struct exports {
    struct backend *backend;
    struct {
        char id[33];
        struct prov_bundle *bundle; /* NULL: free */
        uint64_t order;
    } held[HELD];
    uint64_t order;
    struct loop_timer *timer; /* lets go of all that nobody read */
    json_t *sbom;             /* of this run, or NULL */
};

/* ---- what the console says of itself ---- */

static json_t *flag_text(bool yes)
{
    return json_string(yes ? "yes" : "no");
}

static json_t *number_text(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.9g", value);
    return json_string(text);
}

static json_t *whole_text(int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return json_string(text);
}

static bool named(const char *kind)
{
    static const struct {
        const char *kind;
        int named;
    } sections[] = {
#define SECTION(kind, named, help) {kind, named},
#define KEY(kind, key, type, value, help)
#define CHOICE(kind, key, values, value, help)
#include "backend/base/conf.def"
#undef SECTION
#undef KEY
#undef CHOICE
    };
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i].kind, kind) == 0)
            return sections[i].named != 0;
    return false;
}

static void put_setting(json_t *settings, const char *kind, const char *key, json_t *value)
{
    json_t *section = json_object_get(settings, kind);
    if (!section)
        json_put(settings, kind, section = json_object());
    json_put(section, key, value);
}

/* Every plain setting as it is in force. Configurations hold no secrets: conf_load refuses them. */
static json_t *settings_in_force(const struct conf *c)
{
    json_t *out = json_object();
#define SECTION(kind, named, help)
#define TEXT_STR(kind, key) json_string(conf_str(c, kind, "", key))
#define TEXT_INT(kind, key) whole_text(conf_int(c, kind, "", key))
#define TEXT_NUM(kind, key) number_text(conf_num(c, kind, "", key))
#define TEXT_FLAG(kind, key) flag_text(conf_flag(c, kind, "", key))
#define KEY(kind, key, type, value, help) \
    if (!named(kind))                     \
        put_setting(out, kind, key, TEXT_##type(kind, key));
#define CHOICE(kind, key, values, value, help) \
    if (!named(kind))                          \
        put_setting(out, kind, key, TEXT_STR(kind, key));
#include "backend/base/conf.def"
#undef SECTION
#undef KEY
#undef CHOICE
    return out;
}

static json_t *policy(struct backend *b)
{
    json_t *out = json_object();
    json_put(out, "settings", settings_in_force(b->conf));
    json_put(out, "endpoints", backend__endpoints(b));
    return out;
}

/* The last verification in a few figures. */
static json_t *last_verification(const struct backend *b)
{
    static const char *const keys[] = {"ok",        "intact", "checked", "payloads_checked",
                                       "from",      "size",   "head",    "problem_count",
                                       "elapsed_ms"};
    if (!b->verify_report)
        return NULL;
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(b->verify_report, keys[i]);
        if (value)
            json_put(out, keys[i], json_incref(value));
    }
    return out;
}

/* ---- making one: the bill of materials on a worker, once a run, then the bundle ---- */

struct making {
    struct backend *backend;
    struct prov_bundle_options options; /* strings are the making's own */
    json_t *sbom;
    backend_bundled *done;
    void *arg;
};

static void making_free(struct making *m)
{
    free((int64_t *)m->options.seqs);
    free((char *)m->options.session);
    free((char *)m->options.trace_id);
    free((char *)m->options.scope);
    free((char *)m->options.actor);
    json_decref(m->sbom);
    free(m);
}

static void made(void *arg, struct prov_bundle *bundle, const struct error *e)
{
    struct making *m = arg;
    m->done(m->arg, bundle, e);
    making_free(m);
}

static void make(struct making *m)
{
    struct backend *b = m->backend;
    json_t *rules = policy(b), *card = backend__scorecard(b), *verified = last_verification(b);
    json_object_del(card, "history");
    m->options.policy = rules;
    m->options.controls = card;
    m->options.sbom = b->exports->sbom;
    m->options.verified = verified;
    m->options.environment = conf_str(b->conf, "console", "", "environment");
    prov_bundle(b->prov, &m->options, made, m);
    json_decref(rules);
    json_decref(card);
    json_decref(verified);
}

static void list_software(void *arg)
{
    struct making *m = arg;
    m->sbom = backend__sbom();
}

static void software_listed(void *arg, bool cancelled)
{
    struct making *m = arg;
    struct backend *b = m->backend;
    struct error e = {0};
    if (cancelled || b->stopping) {
        err_set(&e, ERR_CLOSED, "the console stops");
        made(m, NULL, &e);
        return;
    }
    json_decref(b->exports->sbom);
    b->exports->sbom = json_incref(m->sbom);
    make(m);
}

void backend__bundle(struct backend *b, const struct prov_bundle_options *o, backend_bundled *done,
                     void *arg)
{
    struct making *m = xcalloc(1, sizeof *m);
    m->backend = b;
    m->done = done;
    m->arg = arg;
    m->options = *o;
    m->options.session = xstrdup_or_null(o->session);
    m->options.trace_id = xstrdup_or_null(o->trace_id);
    m->options.scope = xstrdup(o->scope);
    m->options.actor = xstrdup(o->actor);
    m->options.seqs = NULL;
    if (o->seqs) {
        int64_t *seqs = xcalloc(o->seq_count + 1, sizeof *seqs);
        memcpy(seqs, o->seqs, o->seq_count * sizeof *seqs);
        m->options.seqs = seqs;
    }
    if (b->exports->sbom)
        make(m);
    else
        loop_work(b->loop, list_software, software_listed, m);
}

/* ---- what waits to be read ---- */

static void let_go(void *arg)
{
    struct exports *x = arg;
    for (int i = 0; i < HELD; i++) {
        prov_bundle_free(x->held[i].bundle);
        x->held[i].bundle = NULL;
    }
}

void backend__exports_start(struct backend *b)
{
    b->exports = xcalloc(1, sizeof *b->exports);
    b->exports->backend = b;
    b->exports->timer = loop_timer_new(b->loop, let_go, b->exports);
}

void backend__exports_free(struct backend *b)
{
    if (!b->exports)
        return;
    let_go(b->exports);
    loop_timer_free(b->exports->timer);
    json_decref(b->exports->sbom);
    free(b->exports);
    b->exports = NULL;
}

/* In the place of the oldest. */
static const char *hold(struct exports *x, struct prov_bundle *bundle)
{
    int at = 0;
    for (int i = 1; i < HELD; i++)
        if (!x->held[i].bundle || (x->held[at].bundle && x->held[i].order < x->held[at].order))
            at = i;
    prov_bundle_free(x->held[at].bundle);
    x->held[at].bundle = bundle;
    x->held[at].order = ++x->order;
    vault_id(x->held[at].id);
    loop_timer_start(x->timer, HELD_MS, 0);
    return x->held[at].id;
}

/* ---- the methods ---- */

struct request {
    struct backend *backend;
    struct bus_call *call;
};

static void exported(void *arg, struct prov_bundle *bundle, const struct error *e)
{
    struct request *r = arg;
    json_t *answer = NULL;
    if (bundle) {
        answer = json_object();
        json_puti(answer, "size", (int64_t)bundle->tar.len);
        json_puts(answer, "sha256", bundle->sha256);
        json_puti(answer, "entries", bundle->entries);
        json_puti(answer, "entry", bundle->entry);
        json_puts(answer, "id", hold(r->backend->exports, bundle));
    }
    method_answer(r->call, answer, e);
    free(r);
}

static int by_number(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* The entries that a control cites, ascending; false after an error was answered. */
static bool cited(struct bus_call *c, struct backend *b, const char *id,
                  struct prov_bundle_options *o)
{
    struct error e = {0};
    json_t *card = backend__scorecard(b), *control, *seq;
    int64_t *seqs = NULL;
    size_t i, k, n = 0;
    bool found = false;
    json_array_foreach(json_object_get(card, "controls"), i, control)
    {
        if (strcmp(json_str(control, "id", ""), id) != 0)
            continue;
        const json_t *evidence = json_object_get(control, "evidence");
        found = true;
        seqs = xcalloc(json_array_size(evidence) + 1, sizeof *seqs);
        json_array_foreach((json_t *)evidence, k, seq) seqs[n++] = json_integer_value(seq);
    }
    json_decref(card);
    if (seqs)
        qsort(seqs, n, sizeof *seqs, by_number);
    for (i = k = 0; i < n; i++)
        if (!k || seqs[i] != seqs[k - 1])
            seqs[k++] = seqs[i];
    o->seqs = seqs;
    o->seq_count = k;
    if (found && k)
        return true;
    free(seqs);
    err_set(&e, ERR_NOT_FOUND, found ? "control %.64s cites no entry" : "there is no control %.64s",
            id);
    bus_fail(c, &e);
    return false;
}

/* Which entries, and that in words, which the caller frees; NULL after an error was answered. */
static char *take_scope(struct bus_call *c, struct backend *b, struct prov_bundle_options *o)
{
    const char *control;
    struct error e = {0};
    if (!method_text(c, "session", false, &o->session) ||
        !method_text(c, "trace_id", false, &o->trace_id) ||
        !method_text(c, "control", false, &control) ||
        !method_limit(c, "from", -1, -1, INT64_MAX, &o->from) ||
        !method_limit(c, "to", -1, -1, INT64_MAX, &o->to))
        return NULL;
    bool range = o->from >= 0 || o->to >= 0;
    if ((o->session != NULL) + (o->trace_id != NULL) + (control != NULL) + range > 1 ||
        (o->to >= 0 && o->to < o->from)) {
        err_set(&e, ERR_INVALID, "one of session, trace_id, control, or from and to in order");
        bus_fail(c, &e);
        return NULL;
    }
    if (control && !cited(c, b, control, o))
        return NULL;
    if (o->session)
        return xasprintf("session %.64s", o->session);
    if (o->trace_id)
        return xasprintf("trace %.64s", o->trace_id);
    if (control)
        return xasprintf("control %.64s", control);
    if (o->to >= 0)
        return xasprintf("entries %lld to %lld", (long long)(o->from < 0 ? 0 : o->from),
                         (long long)o->to);
    return o->from >= 0 ? xasprintf("entries from %lld on", (long long)o->from)
                        : xstrdup("all entries");
}

void on_evidence_export(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct prov_bundle_options o = {0};
    char *scope = take_scope(c, b, &o);
    if (!scope)
        return;
    struct request *r = xcalloc(1, sizeof *r);
    r->backend = b;
    r->call = c;
    o.scope = scope;
    o.payloads = json_flag(bus_params(c), "payloads", true);
    o.actor = bus_role_name(bus_session(c)->role);
    backend__bundle(b, &o, exported, r);
    free((int64_t *)o.seqs);
    free(scope);
}

void on_evidence_export_read(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id;
    int64_t offset;
    struct error e = {0};
    const struct prov_bundle *found = NULL;
    if (!method_text(c, "id", true, &id) ||
        !method_limit(c, "offset", 0, 0, (int64_t)BUNDLE_MOST, &offset))
        return;
    for (int i = 0; i < HELD; i++)
        if (b->exports->held[i].bundle && strcmp(b->exports->held[i].id, id) == 0)
            found = b->exports->held[i].bundle;
    if (!found || offset > (int64_t)found->tar.len) {
        err_set(&e, ERR_NOT_FOUND, "there is no such bundle any more: export it again");
        bus_fail(c, &e);
        return;
    }
    size_t left = found->tar.len - (size_t)offset, n = left < CHUNK ? left : CHUNK;
    char *text = xcalloc(1, VAULT_BASE64(CHUNK));
    json_t *answer = json_object();
    vault_base64(found->tar.data + offset, n, text);
    json_puts(answer, "data", text);
    json_put(answer, "eof", json_boolean(n == left));
    free(text);
    bus_reply(c, answer);
}

/* ---- without a console ---- */

json_t *backend_bundle_verify(const void *bytes, size_t len, const char *key, const char *notes,
                              const char *witnesses)
{
    struct bundle_given given = {bytes, len, key, notes, witnesses};
    vault_init();
    return bundle_verify(&given);
}
