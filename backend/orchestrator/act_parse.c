/* A plan's core, strictly read: what is not known is refused, so that nothing is approved that
 * would not be run. See docs/approvals.md for its form. */
#include "backend/base/text.h"
#include "backend/orchestrator/act_internal.h"
#include <math.h>
#include <string.h>

struct reading {
    char at[96]; /* where in the plan, for errors */
    struct error *e;
    bool bad;
};

static void wrong(struct reading *r, const char *what)
{
    if (!r->bad)
        err_set(r->e, ERR_INVALID, "%s: %s", *r->at ? r->at : "the plan", what);
    r->bad = true;
}

/* Only these members; a NULL ends the list. */
static void only(struct reading *r, const json_t *object, const char *const *names)
{
    const char *key;
    json_t *member;
    if (!json_is_object(object)) {
        wrong(r, "an object is needed");
        return;
    }
    json_object_foreach((json_t *)object, key, member)
    {
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i]) {
            char what[64];
            snprintf(what, sizeof what, "there is no member \"%.24s\"", key);
            wrong(r, what);
        }
    }
}

static void take_text(struct reading *r, const json_t *from, json_t *to, const char *name,
                      size_t max, bool required)
{
    const json_t *value = json_object_get(from, name);
    char what[64];
    if (!value && !required)
        return;
    if (!json_is_string(value) || json_string_length(value) > max ||
        (required && !json_string_length(value)) ||
        strlen(json_string_value(value)) != json_string_length(value)) {
        snprintf(what, sizeof what, "%.24s is a text of at most %zu bytes", name, max);
        wrong(r, what);
        return;
    }
    json_put(to, name, json_incref((json_t *)value));
}

static json_t *take_call(struct reading *r, const json_t *from, const char *const *names)
{
    json_t *call = json_object();
    const json_t *arguments = json_object_get(from, "arguments");
    only(r, from, names);
    take_text(r, from, call, "connector", 64, true);
    take_text(r, from, call, "tool", 128, true);
    if (arguments && !json_is_object(arguments))
        wrong(r, "arguments is an object");
    json_put(call, "arguments",
             json_is_object(arguments) ? json_deep_copy(arguments) : json_object());
    return call;
}

/* {argument: JSON pointer}: what such a call takes from the result of its step. */
static void take_take(struct reading *r, const json_t *from, json_t *call)
{
    enum { MOST = 8, LONGEST = 256 };
    const json_t *take = json_object_get(from, "take");
    const char *name;
    json_t *pointer;
    if (!take)
        return;
    if (!json_is_object(take) || !json_object_size(take) || json_object_size(take) > MOST)
        wrong(r, "take is an object of 1 to 8 JSON pointers");
    json_object_foreach((json_t *)take, name, pointer)
    {
        const char *text = json_string_value(pointer);
        if (!text || *text != '/' || strlen(text) > LONGEST)
            wrong(r, "take names JSON pointers (RFC 6901) into the step's result");
        if (json_object_get(json_object_get(call, "arguments"), name))
            wrong(r, "take names an argument that has a value");
    }
    json_put(call, "take", json_deep_copy(take));
}

static const char *const OPS[] = {"==", "!=", "<", "<=", ">", ">=", "contains", "exists", "absent"};
enum { OP_EQUAL, OP_UNEQUAL, OP_LESS, OP_AT_MOST, OP_MORE, OP_AT_LEAST, OP_CONTAINS, OP_EXISTS };
enum { OP_ABSENT = OP_EXISTS + 1, OP_COUNT };

static int op_find(const char *name)
{
    int op = 0;
    while (op < OP_COUNT && strcmp(OPS[op], name) != 0)
        op++;
    return op;
}

static json_t *take_check(struct reading *r, const json_t *from)
{
    static const char *const NAMES[] = {"pointer", "op", "value", NULL};
    json_t *check = json_object();
    const json_t *value = json_object_get(from, "value");
    only(r, from, NAMES);
    take_text(r, from, check, "pointer", 256, false);
    take_text(r, from, check, "op", 16, true);
    const char *pointer = json_str(check, "pointer", "");
    int op = op_find(json_str(check, "op", ""));
    if (*pointer && *pointer != '/')
        wrong(r, "pointer is a JSON pointer (RFC 6901)");
    if (op == OP_COUNT)
        wrong(r, "op is one of == != < <= > >= contains exists absent");
    else if ((op < OP_EXISTS) != (value != NULL))
        wrong(r, value ? "this op takes no value" : "value is missing");
    else if (op >= OP_LESS && op <= OP_AT_LEAST && !json_is_number(value))
        wrong(r, "this op compares with a number");
    else if (op == OP_CONTAINS && !json_is_string(value))
        wrong(r, "contains takes a text");
    json_puts(check, "pointer", pointer);
    if (value)
        json_put(check, "value", json_deep_copy(value));
    return check;
}

static json_t *take_step(struct reading *r, const json_t *from)
{
    static const char *const NAMES[] = {"connector", "tool",    "arguments", "target",   "expect",
                                        "effect",    "preview", "verify",    "rollback", NULL};
    static const char *const CALL[] = {"connector", "tool", "arguments", "take", NULL};
    static const char *const PREVIEW[] = {"connector", "tool", "arguments", "pointer", NULL};
    static const char *const VERIFY[] = {"connector", "tool", "arguments", "take", "check", NULL};
    char at[sizeof r->at];
    memcpy(at, r->at, sizeof at);
    json_t *step = take_call(r, from, NAMES);
    const json_t *part;
    take_text(r, from, step, "target", 128, false);
    take_text(r, from, step, "expect", 1000, true);
    take_text(r, from, step, "effect", 1000, false);
    if ((part = json_object_get(from, "preview"))) {
        snprintf(r->at, sizeof r->at, "%.48s, preview", at);
        json_t *preview = take_call(r, part, PREVIEW);
        take_text(r, part, preview, "pointer", 256, false);
        json_put(step, "preview", preview);
    }
    if ((part = json_object_get(from, "verify"))) {
        snprintf(r->at, sizeof r->at, "%.48s, verify", at);
        json_t *verify = take_call(r, part, VERIFY);
        take_take(r, part, verify);
        json_put(verify, "check", take_check(r, json_object_get(part, "check")));
        json_put(step, "verify", verify);
    }
    if ((part = json_object_get(from, "rollback"))) {
        snprintf(r->at, sizeof r->at, "%.48s, rollback", at);
        json_t *rollback = take_call(r, part, CALL);
        take_take(r, part, rollback);
        json_put(step, "rollback", rollback);
    }
    memcpy(r->at, at, sizeof at);
    return step;
}

/* Several targets: those of one stand together, and the first is verified before the next. */
static void check_targets(struct reading *r, const json_t *steps)
{
    size_t n = json_array_size(steps), changes = 0;
    bool verified = false;
    for (size_t i = 0; i < n; i++) {
        const json_t *step = json_array_get(steps, i);
        const char *target = json_str(step, "target", ""),
                   *before = i ? json_str(json_array_get(steps, i - 1), "target", "") : target;
        if (!changes && strcmp(target, before) == 0)
            verified |= json_object_get(step, "verify") != NULL;
        changes += strcmp(target, before) != 0;
        for (size_t j = 0; j + 1 < i && strcmp(target, before) != 0; j++)
            if (strcmp(json_str(json_array_get(steps, j), "target", ""), target) == 0)
                wrong(r, "the steps of one target stand together");
    }
    if (changes && !verified)
        wrong(r, "with several targets the first one needs a verification before the others");
}

json_t *plans_parse(const json_t *from, struct error *e)
{
    static const char *const NAMES[] = {"title",      "reason",        "risk", "steps",
                                        "on_failure", "canary_wait_s", NULL};
    struct reading r = {.e = e};
    json_t *core = json_object(), *steps = json_array(), *step;
    const json_t *given = json_object_get(from, "steps"),
                 *wait = json_object_get(from, "canary_wait_s");
    size_t i, n = json_array_size(given);
    only(&r, from, NAMES);
    take_text(&r, from, core, "title", 200, true);
    take_text(&r, from, core, "reason", 2000, true);
    take_text(&r, from, core, "risk", 8, false);
    take_text(&r, from, core, "on_failure", 16, false);
    const char *risk = json_str(core, "risk", "low"),
               *failure = json_str(core, "on_failure", "rollback");
    if (act__risk_rank(risk) < 0)
        wrong(&r, "risk is low, medium or high");
    if (strcmp(failure, "rollback") != 0 && strcmp(failure, "stop") != 0)
        wrong(&r, "on_failure is rollback or stop");
    if (wait && (!json_is_integer(wait) || json_integer_value(wait) < 0 ||
                 json_integer_value(wait) > ACT_WAIT_S))
        wrong(&r, "canary_wait_s is a whole number from 0 to 3600");
    if (!json_is_array(given) || !n || n > ACT_STEPS)
        wrong(&r, "steps is a list of 1 to 32 steps");
    for (i = 0; !r.bad && i < n; i++) {
        snprintf(r.at, sizeof r.at, "step %zu", i + 1);
        step = take_step(&r, json_array_get(given, i));
        json_array_append_new(steps, step);
    }
    r.at[0] = '\0';
    json_puts(core, "on_failure", failure);
    json_puti(core, "canary_wait_s", json_is_integer(wait) ? json_integer_value(wait) : 0);
    json_put(core, "steps", steps);
    if (!r.bad)
        check_targets(&r, steps);
    struct buf text = {0};
    if (!r.bad && (jcs_write(core, &text) != ERR_OK || text.len > ACT_BYTES))
        wrong(&r, "it is larger than 128 KiB, or holds a number that cannot be kept exactly");
    buf_release(&text);
    if (!r.bad)
        return core;
    json_decref(core);
    return NULL;
}

/* ---- checks */

/* RFC 6901; NULL: nothing stands there. */
const json_t *act__pointer(const json_t *value, const char *pointer)
{
    char name[257];
    for (const char *p = pointer; value && *p == '/';) {
        size_t n = 0;
        for (p++; *p && *p != '/'; p++) {
            char c = *p;
            if (c == '~' && (p[1] == '0' || p[1] == '1'))
                c = *++p == '0' ? '~' : '/';
            if (n < sizeof name - 1)
                name[n++] = c;
        }
        name[n] = '\0';
        if (json_is_array(value)) {
            char *end;
            unsigned long long index = strtoull(name, &end, 10);
            bool whole =
                n && !*end && name[0] >= '0' && name[0] <= '9' && (name[0] != '0' || n == 1);
            value = whole ? json_array_get(value, (size_t)index) : NULL;
        } else {
            value = json_object_get(value, name);
        }
    }
    return value;
}

static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b) && !(json_is_integer(a) && json_is_integer(b)))
        return fabs(json_number_value(a) - json_number_value(b)) == 0;
    return json_equal(a, b);
}

bool plans_check(const json_t *check, const json_t *value, json_t **observed)
{
    const json_t *at = act__pointer(value, json_str(check, "pointer", ""));
    const json_t *want = json_object_get(check, "value");
    int op = op_find(json_str(check, "op", ""));
    double a = json_number_value(at), b = json_number_value(want);
    *observed = at ? json_deep_copy(at) : NULL;
    if (op >= OP_LESS && op <= OP_AT_LEAST && !json_is_number(at))
        return false;
    switch (op) {
    case OP_EQUAL:
        return at && equal(at, want);
    case OP_UNEQUAL: /* of something that is there: silence proves nothing */
        return at && !equal(at, want);
    case OP_LESS:
        return a < b;
    case OP_AT_MOST:
        return a <= b;
    case OP_MORE:
        return a > b;
    case OP_AT_LEAST:
        return a >= b;
    case OP_CONTAINS:
        return json_is_string(at) && strstr(json_string_value(at), json_string_value(want));
    case OP_EXISTS:
        return at != NULL;
    case OP_ABSENT:
        return at == NULL;
    default:
        return false;
    }
}
