/* The methods of retention: what is kept, erased, held. */
#include "backend/methods.h"
#include <string.h>

void on_retention_status(struct bus_call *c, void *arg)
{
    bus_reply(c, backend__retention_status(arg));
}

/* The answer may come long after the call. */
static void answer_report(void *arg, json_t *report, const struct error *e)
{
    method_answer(arg, report ? json_incref(report) : NULL, e);
}

void on_retention_run(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    struct retention_order order = {.actor = bus_role_name(bus_session(c)->role),
                                    .dry_run = json_flag(bus_params(c), "dry_run", false),
                                    .confirm_clock =
                                        json_flag(bus_params(c), "confirm_clock", false)};
    if (backend__retention_run(b, &order, answer_report, c, &e) != ERR_OK)
        bus_fail(c, &e);
}

/* ---- scopes */

/* False when the call was answered: not exactly one scope is named. */
static bool take_scope(struct bus_call *c, bool all, struct prov_scope *out)
{
    static const struct {
        const char *key;
        int kind;
    } keys[] = {
        {"trace", PROV_BY_TRACE}, {"session", PROV_BY_SESSION}, {"subject", PROV_BY_SUBJECT}};
    struct error e = {0};
    int named = 0;
    const char *text;
    *out = (struct prov_scope){0};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!method_text(c, keys[i].key, false, &text))
            return false;
        if (!text)
            continue;
        out->kind = (unsigned)keys[i].kind;
        out->text = text;
        named++;
    }
    if (json_object_get(bus_params(c), "first")) {
        if (!method_limit(c, "first", -1, 0, INT64_MAX, &out->first) ||
            !method_limit(c, "last", -1, 0, INT64_MAX, &out->last))
            return false;
        out->kind = PROV_BY_RANGE;
        named++;
    }
    if (all && json_flag(bus_params(c), "all", false)) {
        out->kind = PROV_BY_ALL;
        named++;
    }
    if (named == 1)
        return true;
    err_set(&e, ERR_INVALID, "name one of trace, session, subject, or first and last%s",
            all ? ", or all" : "");
    bus_fail(c, &e);
    return false;
}

static bool take_reason(struct bus_call *c, const char **out)
{
    enum { MOST = 1000 };
    struct error e = {0};
    if (!method_text(c, "reason", true, out))
        return false;
    if (**out && strlen(*out) <= MOST)
        return true;
    err_set(&e, ERR_INVALID, "a reason has 1 to %d bytes", MOST);
    bus_fail(c, &e);
    return false;
}

/* ---- erasing */

/* 152-FZ: information for whoever has to answer the subject. */
static json_t *deadlines(void)
{
    static const char *const texts[] = {
        "arts 14, 20: the subject's request is answered within 10 working days, 5 more with a "
        "reason",
        "art. 20: data shown to be wrong or unlawful are corrected or destroyed within 7 working "
        "days",
        "art. 21: unlawful processing stops within 3 working days, the data are destroyed within "
        "10",
        "art. 21: consent withdrawn or purpose reached: destroyed within 30 days",
        "order 179: the act and the extract are kept for 3 years"};
    json_t *out = json_array();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_array_append_new(out, json_string(texts[i]));
    return out;
}

static void answer_subject(void *arg, json_t *report, const struct error *e)
{
    if (report)
        json_put(report, "deadlines", deadlines());
    answer_report(arg, report, e);
}

void on_retention_erase(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct error e = {0};
    const char *basis;
    struct prov_erasing o = {.by = bus_role_name(bus_session(c)->role),
                             .dry_run = json_flag(bus_params(c), "dry_run", false)};
    if (!take_scope(c, false, &o.scope) || !take_reason(c, &o.reason) ||
        !method_text(c, "basis", false, &basis))
        return;
    bool subject = o.scope.kind == PROV_BY_SUBJECT;
    o.code = subject ? "subject" : "request";
    o.basis = basis ? basis : subject ? "152-FZ art. 21" : "";
    if (backend__retention_erase(b, &o, subject ? answer_subject : answer_report, c, &e) != ERR_OK)
        bus_fail(c, &e);
}

/* ---- holds */

static void answer_result(void *arg, json_t *result, const struct error *e)
{
    method_answer(arg, result ? json_incref(result) : NULL, e);
}

void on_retention_hold(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    struct prov_scope scope;
    const char *reason;
    if (take_scope(c, true, &scope) && take_reason(c, &reason))
        prov_hold_set(backend__retention(b), &scope, reason, bus_role_name(bus_session(c)->role),
                      answer_result, c);
}

void on_retention_release(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    const char *id, *reason;
    if (method_text(c, "id", true, &id) && take_reason(c, &reason))
        prov_hold_release(backend__retention(b), id, reason, bus_role_name(bus_session(c)->role),
                          answer_result, c);
}

void on_retention_holds(struct bus_call *c, void *arg)
{
    struct backend *b = arg;
    json_t *result = json_object();
    json_put(result, "holds", prov_holds(backend__retention(b), true));
    bus_reply(c, result);
}

void on_retention_acts(struct bus_call *c, void *arg)
{
    const char *id;
    struct error e = {0};
    if (!method_text(c, "id", false, &id))
        return;
    json_t *acts = backend__retention_acts(arg, id, &e);
    method_answer(c, acts, &e);
}
