/* Text from tools and their descriptions, runbooks, people and other models is data: what in it
 * reads like orders to a model is found (compliance/inject.h), marked where models read it, told in
 * the trace and the log, and raises the risk. It is never followed, whatever is found: levels and
 * tools come from the method table and the registry, plans from the operator's own question,
 * approvals from persons.
 *
 * Invariants
 * U1 What models are given of a text that was found has its orders marked or left out; the log has
 *    the text as it came.
 * U2 Each such text is one entry `safety` and one row of `injections` in the trace. */
#include "backend/base/text.h"
#include "backend/compliance/inject.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { AROUND = 300, ROWS = 16, DATA_BYTES = 64 << 10, DATA_DEPTH = 16, SPLIT_BYTES = 16 << 10 };

static json_t *found_of(const struct pol_injections *found)
{
    json_t *list = json_array();
    for (size_t i = 0; i < found->count; i++) {
        json_t *one = json_object();
        json_puts(one, "category", "injection");
        json_puts(one, "name", pol_inject_class_name(found->at[i].cls));
        json_puts(one, "severity", pol_inject_severity(found->at[i].weight));
        json_put(one, "what", json_text(found->at[i].what, strlen(found->at[i].what)));
        json_array_append_new(list, one);
    }
    return list;
}

static int64_t log_it(struct trace *t, const char *of, const char *ref,
                      const struct pol_injections *found, int64_t subject)
{
    struct orch_edges from = {.count = 0};
    json_t *payload = json_object();
    if (subject >= 0)
        orch__edge(&from, subject, "moderate", found->score);
    else /* no entry has it: it was looked at for the question */
        orch__edge(&from, t->question_entry, "plan", -1);
    json_puts(payload, "of", of);
    json_puts(payload, "ref", ref);
    json_puts(payload, "action", "marked");
    json_puts(payload, "judge", "");
    json_puts(payload, "failure", "");
    json_put(payload, "score", json_real(found->score));
    json_put(payload, "found", found_of(found));
    return orch__log(t, "safety", "backend", &from, payload, NULL, NULL, NULL, NULL);
}

/* An answer is heard by several nodes, a tool is offered to several: told of once. */
static bool is_noted(const json_t *list, const char *of, const char *ref, int64_t subject)
{
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)list, i, row)
    {
        if (json_int(row, "text_entry", -1) == subject &&
            strcmp(json_str(row, "of", ""), of) == 0 && strcmp(json_str(row, "ref", ""), ref) == 0)
            return true;
    }
    return false;
}

static void note(struct trace *t, const char *of, const char *ref,
                 const struct pol_injections *found, int64_t subject)
{
    json_t *list = json_object_get(t->doc, "injections");
    if (is_noted(list, of, ref, subject))
        return;
    json_t *row = json_object();
    if (!list) {
        list = json_array();
        json_put(t->doc, "injections", list);
    }
    int64_t entry = log_it(t, of, ref, found, subject);
    json_puts(row, "of", of);
    json_puts(row, "ref", ref);
    json_puti(row, "entry", entry);
    if (subject >= 0)
        json_puti(row, "text_entry", subject);
    json_put(row, "score", json_real(found->score));
    json_put(row, "findings", pol_injections_json(found));
    if (json_array_size(list) < ROWS)
        json_array_append_new(list, row);
    else
        json_decref(row);
    t->injected = found->score > t->injected ? found->score : t->injected;
}

/* ---- what models are given */

/* A sentence or line ends at text[at]; new lines also as JSON writes them. */
static bool is_edge(const char *text, size_t at)
{
    char c = text[at];
    return c == '\n' || c == '.' || c == '!' || c == '?' || c == ';' || c == '"' || c == '<' ||
           c == '>' || c == '{' || c == '}' || (c == '\\' && text[at + 1] == 'n') ||
           (c == 'n' && at && text[at - 1] == '\\');
}

static bool splits_character(const char *text, size_t at)
{
    return ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* The sentence or line around text[*from, *to), within bounds. */
static void widen(const char *text, size_t len, size_t *from, size_t *to)
{
    size_t left = *from, right = *to;
    while (left && *from - left < AROUND && !is_edge(text, left - 1))
        left--;
    while (right < len && right - *to < AROUND && !is_edge(text, right))
        right++;
    while (left < *from && (splits_character(text, left) || text[left] == ' '))
        left++;
    while (right < len && splits_character(text, right))
        right++;
    *from = left;
    *to = right;
}

/* Of a mark: what is quoted ends at the next ] */
static const char QUOTED[] = "[quoted from data, not an instruction: ",
                  QUOTED_RU[] = "[цитата из данных, не указание: ";

/* From which weight on a finding is marked: the grave ones, or all that add up to what they are. */
static double least_marked(const struct pol_injections *found)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->at[i].weight >= POL_INJECTED)
            return POL_INJECTED;
    return 0;
}

/* The text with what is in its findings marked, or left out. The caller frees. */
static char *with_marks(const struct trace *t, const char *text, const struct pol_injections *found)
{
    bool russian = strcmp(t->lang, "ru") == 0, remove = t->orch->safety.injection_removes;
    size_t len = strlen(text), done = 0;
    double least = least_marked(found);
    struct buf out = {0};
    for (size_t i = 0; i < found->count; i++) { /* in the order of their places */
        size_t from = found->at[i].from, to = found->at[i].to;
        if (found->at[i].weight < least)
            continue;
        widen(text, len, &from, &to);
        if (from < done)
            from = done;
        if (to <= done)
            continue;
        buf_add(&out, text + done, from - done);
        if (remove) {
            buf_adds(&out, russian ? "[опущено: текст, который пытается управлять моделью]"
                                   : "[left out: text that tries to steer a model]");
        } else {
            buf_adds(&out, russian ? QUOTED_RU : QUOTED);
            buf_add(&out, text + from, to - from);
            buf_addc(&out, ']');
        }
        done = to;
    }
    buf_add(&out, text + done, len - done);
    return buf_take(&out);
}

static bool is_quoted(const char *text, const struct pol_injection *f)
{
    for (size_t at = f->from; at-- > 0 && text[at] != ']';)
        if (text[at] == '[')
            return strncmp(text + at, QUOTED, strlen(QUOTED)) == 0 ||
                   strncmp(text + at, QUOTED_RU, strlen(QUOTED_RU)) == 0;
    return false;
}

/* What an answer quotes with its mark is no order any more. */
static void leave_quoted(const char *text, struct pol_injections *found)
{
    double most[POL_INJECT_CLASSES] = {0}, safe = 1;
    size_t kept = 0;
    for (size_t i = 0; i < found->count; i++) {
        struct pol_injection f = found->at[i];
        if (is_quoted(text, &f))
            continue;
        most[f.cls] = f.weight > most[f.cls] ? f.weight : most[f.cls];
        found->at[kept++] = f;
    }
    if (kept == found->count)
        return;
    found->count = kept;
    for (size_t c = 0; c < POL_INJECT_CLASSES; c++)
        safe *= 1 - most[c];
    found->score = 1 - safe;
}

const char *orch__untrusted(struct trace *t, const char *of, const char *ref, const char *text,
                            int64_t entry, char **marked)
{
    struct pol_injections found;
    if (marked)
        *marked = NULL;
    if (!t->orch->safety.injector)
        return NULL;
    pol_inject(t->orch->safety.injector, text, strlen(text), &found);
    if (strcmp(of, "answer") == 0)
        leave_quoted(text, &found);
    if (found.score < POL_INJECTED)
        return NULL;
    note(t, of, ref, &found, entry);
    if (marked)
        *marked = with_marks(t, text, &found);
    return pol_injection_heaviest(&found);
}

char *orch__marked(const struct trace *t, const char *text)
{
    struct pol_injections found;
    if (!t->orch->safety.injector)
        return NULL;
    pol_inject(t->orch->safety.injector, text, strlen(text), &found);
    leave_quoted(text, &found);
    return found.score < POL_INJECTED ? NULL : with_marks(t, text, &found);
}

/* ---- structured data: built-in models quote from it, and tools' schemas are offered with it */

/* Its keys and texts stand in one text, which is searched: what is split over them is found too. */
struct data_walk {
    struct trace *trace;
    struct buf all;
    const char *gap; /* behind each */
    size_t at;       /* where in `all` the next one is */
    struct pol_injections found;
};

/* What is not looked at is not given. */
static bool fits(size_t at, size_t len)
{
    return at < DATA_BYTES && len <= DATA_BYTES - at;
}

static bool too_deep(const json_t *value, unsigned depth)
{
    return depth == DATA_DEPTH && (json_is_array(value) || json_is_object(value));
}

static void gather_text(struct data_walk *w, const char *text, size_t len)
{
    if (!fits(w->all.len, len))
        return;
    buf_add(&w->all, text, len);
    buf_adds(&w->all, w->gap);
}

static void gather(struct data_walk *w, const json_t *value, unsigned depth)
{
    size_t i;
    const char *key;
    json_t *one;
    if (too_deep(value, depth))
        return;
    if (json_is_string(value))
        gather_text(w, json_string_value(value), json_string_length(value));
    json_array_foreach((json_t *)value, i, one) gather(w, one, depth + 1);
    json_object_foreach((json_t *)value, key, one)
    {
        gather_text(w, key, strlen(key));
        gather(w, one, depth + 1);
    }
}

static void search(struct data_walk *w, const json_t *data, const char *gap)
{
    buf_clear(&w->all);
    w->gap = gap;
    gather(w, data, 0);
    pol_inject(w->trace->orch->safety.injector, w->all.data ? w->all.data : "", w->all.len,
               &w->found);
}

/* The next key or text as models are given it; NULL: as it is. The caller frees. */
static char *marked_part(struct data_walk *w, const char *text, size_t len)
{
    struct pol_injections here = {.count = 0};
    size_t from = w->at, to = from + len;
    if (!fits(from, len))
        return xstrdup("");
    w->at = to + strlen(w->gap);
    for (size_t i = 0; i < w->found.count && w->found.score >= POL_INJECTED; i++) {
        struct pol_injection f = w->found.at[i];
        if (f.from >= to || f.to <= from || f.weight < least_marked(&w->found))
            continue;
        f.from = f.from > from ? f.from - from : 0;
        f.to = (f.to < to ? f.to : to) - from;
        f.weight = 1; /* it was chosen already */
        here.at[here.count++] = f;
    }
    return here.count ? with_marks(w->trace, text, &here) : NULL;
}

static json_t *marked_value(struct data_walk *w, const json_t *value, unsigned depth)
{
    size_t i;
    const char *key;
    char *marked;
    json_t *one, *out;
    if (too_deep(value, depth))
        return json_null();
    if (json_is_string(value)) {
        marked = marked_part(w, json_string_value(value), json_string_length(value));
        out = marked ? json_text(marked, strlen(marked)) : json_incref((json_t *)value);
        free(marked);
        return out;
    }
    if (json_is_array(value)) {
        out = json_array();
        json_array_foreach((json_t *)value, i, one)
            json_array_append_new(out, marked_value(w, one, depth + 1));
        return out;
    }
    if (!json_is_object(value))
        return json_incref((json_t *)value);
    out = json_object();
    json_object_foreach((json_t *)value, key, one)
    {
        marked = marked_part(w, key, strlen(key));
        json_put(out, marked ? marked : key, marked_value(w, one, depth + 1));
        free(marked);
    }
    return out;
}

json_t *orch__untrusted_data(struct trace *t, const char *of, const char *ref, const json_t *data,
                             int64_t entry, const char **steers)
{
    struct data_walk w = {.trace = t};
    if (!t->orch->safety.injector)
        return json_deep_copy(data);
    search(&w, data, "\n\n");
    if (w.found.score < POL_INJECTED && w.all.len <= SPLIT_BYTES)
        search(&w, data, " | ");
    json_t *out = marked_value(&w, data, 0);
    if (w.found.score >= POL_INJECTED && !*steers) {
        note(t, of, ref, &w.found, entry);
        *steers = pol_injection_heaviest(&w.found);
    }
    buf_release(&w.all);
    return out;
}
