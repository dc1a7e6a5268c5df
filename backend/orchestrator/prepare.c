/* Large results on their way to the log: what is taken out of them, tagged and written canonically
 * takes a worker longer than the loop may wait.
 *
 * Invariants
 * R1 ready runs once for each orch_prepare: inside it for a small payload, else from the loop, at
 *    the latest inside orch__prepare_drop.
 * R2 What the worker shares with the loop it only reads; references to that are given up when the
 *    worker has done, and then on a worker too: it may be millions of values. */
#include "backend/orchestrator/prepare.h"
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { SMALL = 64 * 1024, NODE = 16, ANSWER_DATA_MAX = 1 << 20, LESS_BYTES = 1 << 20 };

struct orch_preparing {
    struct orch_preparer *owner; /* NULL: nobody waits any more */
    struct orch_preparing *next;
    struct prov_prepared *payload;
    json_t *answer, *held; /* held: what is shared, so that the worker never frees it */
    const char *tags[9];
    struct error error;
    orch_ready_fn *fn;
    void *arg;
};

/* About how many bytes it has; stops counting at most. */
static size_t weight(const json_t *value, size_t most)
{
    size_t n = NODE + (json_is_string(value) ? json_string_length(value) : 0), i;
    const char *key;
    json_t *one;
    json_array_foreach((json_t *)value, i, one)
    {
        if (n >= most)
            return n;
        n += weight(one, most - n);
    }
    json_object_foreach((json_t *)value, key, one)
    {
        if (n >= most)
            return n;
        n += strlen(key) + weight(one, most - n);
    }
    return n;
}

static void as_text(json_t *payload, const char *key)
{
    const json_t *value = json_object_get(payload, key);
    if (!value || json_is_string(value))
        return;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    json_puts(payload, key, text ? text : "");
    free(text);
}

/* What JCS cannot hold is kept as the text of its JSON; what is larger than an entry can be is cut,
 * and says so. */
static void make_payload(struct orch_preparing *j)
{
    json_t *payload = prov_prepare_payload(j->payload);
    enum err code = prov_prepare_work(j->payload, &j->error);
    if (code == ERR_INVALID) {
        as_text(payload, "content");
        as_text(payload, "data");
        code = prov_prepare_work(j->payload, &j->error);
    }
    if (code == ERR_TOO_BIG) {
        const char *key = json_object_get(payload, "content") ? "content" : "error";
        as_text(payload, key);
        const json_t *all = json_object_get(payload, key);
        size_t bytes = json_string_length(all);
        if (bytes > LESS_BYTES)
            json_put(payload, key, json_text(json_string_value(all), LESS_BYTES));
        json_object_del(payload, "data");
        json_puti(payload, "bytes", (int64_t)bytes);
        json_put(payload, "cut", json_true());
        code = prov_prepare_work(j->payload, &j->error);
    }
    if (code == ERR_OK)
        j->error = (struct error){0};
}

/* For the bus: nothing secret, no structure that is larger than an answer carries. */
static void make_answer(struct orch_preparing *j)
{
    json_t *clean = pol_scrub(j->answer);
    json_decref(j->answer);
    j->answer = json_deep_copy(clean); /* what is in it is shared otherwise */
    json_decref(clean);
    const json_t *data = json_object_get(j->answer, "data");
    if (data && json_dumpb(data, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) > ANSWER_DATA_MAX) {
        json_put(j->answer, "data", json_null());
        json_put(j->answer, "cut", json_true());
    }
}

static void work(void *arg)
{
    struct orch_preparing *j = arg;
    char *text = json_write(prov_prepare_payload(j->payload));
    j->tags[pol_pii_tags(text, j->tags, 8)] = NULL;
    free(text);
    make_payload(j);
    if (j->answer)
        make_answer(j);
}

static void release(void *arg)
{
    struct orch_preparing *j = arg;
    prov_prepare_free(j->payload);
    j->payload = NULL;
    json_decref(j->answer);
    json_decref(j->held);
    j->answer = j->held = NULL;
}

static void released(void *arg, bool cancelled)
{
    (void)cancelled;
    release(arg);
    free(arg);
}

static void tell(struct orch_preparing *j)
{
    const struct orch_ready ready = {j->error, j->payload, j->tags, j->answer};
    j->fn(j->arg, &ready);
}

static void worked(void *arg, bool cancelled)
{
    struct orch_preparing *j = arg;
    if (!j->owner) { /* R1: it was told, and the loop is ending */
        released(j, true);
        return;
    }
    BUG_IF(cancelled); /* the loop outlives the orchestrator */
    struct loop *l = j->owner->loop;
    struct orch_preparing **at = &j->owner->first;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    tell(j);
    json_decref(j->answer); /* small, and who was told may hold it */
    j->answer = NULL;
    loop_work(l, release, released, j);
}

void orch__prepare(struct orch_preparer *p, json_t *payload, json_t *answer, orch_ready_fn *fn,
                   void *arg)
{
    struct orch_preparing *j = xcalloc(1, sizeof *j);
    size_t bytes = weight(payload, SMALL);
    if (answer && bytes < SMALL)
        bytes += weight(answer, SMALL);
    j->payload = prov_prepare_new(p->prov, payload);
    j->answer = answer;
    j->fn = fn;
    j->arg = arg;
    if (bytes < SMALL) {
        work(j);
        tell(j);
        released(j, false);
        return;
    }
    j->held = json_array();
    json_array_append_new(j->held, json_copy(payload));
    if (answer)
        json_array_append_new(j->held, json_copy(answer));
    j->owner = p;
    j->next = p->first;
    p->first = j;
    loop_work(p->loop, work, worked, j);
}

void orch_prepare(struct orch *o, json_t *payload, json_t *answer, orch_ready_fn *fn, void *arg)
{
    orch__prepare(&o->preparer, payload, answer, fn, arg);
}

void orch_put_result(json_t *payload, const char *key, const struct conn_result *r)
{
    json_put(payload, key,
             r->content ? json_incref((json_t *)r->content) : json_text(r->text, strlen(r->text)));
    if (r->content && r->data)
        json_put(payload, "data", json_incref((json_t *)r->data));
    if (!r->content && json_object_get(r->data, "findings"))
        json_put(payload, "findings", json_incref(json_object_get(r->data, "findings")));
}

void orch__prepare_drop(struct orch_preparer *p)
{
    const struct orch_ready none = {
        .error = {.code = ERR_CLOSED, .detail = "the console is stopping"}};
    while (p->first) {
        struct orch_preparing *j = p->first;
        p->first = j->next;
        j->owner = NULL;
        j->fn(j->arg, &none);
    }
}
