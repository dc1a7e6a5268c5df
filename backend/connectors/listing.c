/* What the registry tells about its connectors: conn_tools, conn_list, conn_describe; and the tails
 * of lines that peers wrote. */
#include "backend/base/clock.h"
#include "backend/connectors/registry_types.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t conn_tools(struct conn_registry *r, struct conn_tool *out, size_t max)
{
    size_t n = 0;
    for (const struct conn *c = r->first; c; c = c->next) {
        if (!c->up || c->state == CONN_FAIL)
            continue;
        for (size_t i = 0; i < c->tool_count; i++, n++) {
            if (n >= max)
                continue;
            out[n] = (struct conn_tool){.connector = c->name,
                                        .name = c->tools[i].name,
                                        .title = c->tools[i].title,
                                        .description = c->tools[i].description,
                                        .qualified = c->tools[i].qualified,
                                        .input_schema = c->tools[i].schema,
                                        .output_schema = c->tools[i].output_schema,
                                        .annotations = c->tools[i].annotations,
                                        .level = c->tools[i].level,
                                        .pin = c->tools[i].pin,
                                        .callable = conn__tool_callable(&c->tools[i])};
        }
    }
    return n < max ? n : max;
}

const char *conn_pin_name(enum conn_pin p)
{
    return p == CONN_PINNED ? "pinned" : p == CONN_PIN_CHANGED ? "changed" : "new";
}

static json_t *rounded(double value)
{
    return value < 0 ? json_null() : json_real(round(value * 1000.0) / 1000.0);
}

static json_t *time_or_null(int64_t real_ms)
{
    return real_ms ? json_integer(real_ms) : json_null();
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t gap = strspn(text, " \t,;");
        text += gap;
        size_t len = strcspn(text, " \t,;");
        if (len)
            json_array_append_new(list, json_text(text, len));
        text += len;
    }
    return list;
}

/* Of checks and calls together. */
static double error_rate(const struct conn *c)
{
    unsigned n = c->checks.count + c->calls.count;
    if (n == 0)
        return -1;
    return (tel_error_rate(&c->checks) * c->checks.count +
            tel_error_rate(&c->calls) * c->calls.count) /
           n;
}

static void put_health(json_t *row, const struct conn *c)
{
    double values[TEL_HISTORY];
    size_t n = tel_values(&c->checks, values);
    json_t *history = json_array();
    double last = -1;
    for (size_t i = 0; i < n; i++) {
        json_array_append_new(history, values[i] < 0 ? json_integer(-1) : rounded(values[i]));
        if (values[i] >= 0)
            last = values[i];
    }
    json_put(row, "latency_ms", rounded(last));
    json_put(row, "latency_p95_ms", rounded(tel_quantile(&c->checks, 0.95)));
    json_put(row, "history", history);
    json_put(row, "error_rate", rounded(error_rate(c)));
    json_puts(row, "last_error", c->last_error);
    json_put(row, "last_error_at", time_or_null(c->last_error_at));
    json_put(row, "last_success_at", time_or_null(c->last_success_at));
    uint64_t now = clock_mono_ms();
    bool waits = c->enabled && !c->running && c->restart_at_ms > now && !c->registry->closing;
    json_put(row, "retry_in_ms",
             waits ? json_integer((json_int_t)(c->restart_at_ms - now)) : json_null());
    json_puti(row, "restarts", c->starts > 1 ? (int64_t)c->starts - 1 : 0);
}

/* Calls by how long they took: [{le_ms, calls}], the last without a bound (le_ms null). */
static json_t *histogram(const struct conn *c)
{
    static const double bounds[] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000};
    enum { BOUNDS = sizeof bounds / sizeof *bounds };
    double values[TEL_HISTORY];
    int64_t counts[BOUNDS + 1] = {0};
    size_t n = tel_values(&c->calls, values);
    for (size_t i = 0; i < n; i++) {
        size_t b = 0;
        while (b < BOUNDS && values[i] > bounds[b])
            b++;
        counts[b] += values[i] >= 0;
    }
    json_t *list = json_array();
    for (size_t b = 0; b <= BOUNDS; b++) {
        json_t *row = json_object();
        json_put(row, "le_ms", b < BOUNDS ? json_real(bounds[b]) : json_null());
        json_puti(row, "calls", counts[b]);
        json_array_append_new(list, row);
    }
    return list;
}

/* When it ends, in how many whole days (below 0: it has ended), and what to think of that. */
static void put_certificate(json_t *row, int64_t ends)
{
    enum { SOON_DAYS = 14, DAY_MS = 86400000 };
    int64_t left = ends - clock_real_ms(), days = left >= 0 ? left / DAY_MS : -1 - (-left / DAY_MS);
    const char *state = left < 0 ? "expired" : days <= SOON_DAYS ? "soon" : "ok";
    json_put(row, "cert_expires_at", time_or_null(ends));
    json_put(row, "cert_days_left", ends ? json_integer(days) : json_null());
    json_put(row, "cert_state", ends ? json_string(state) : json_null());
}

static void put_safety(json_t *row, const struct conn *c)
{
    json_t *breaker = json_object(), *pins = json_object(), *other = json_object();
    int64_t fresh = 0, changed = 0;
    for (size_t i = 0; i < c->tool_count; i++) {
        fresh += c->tools[i].pin == CONN_PIN_NEW;
        changed += c->tools[i].pin == CONN_PIN_CHANGED;
    }
    json_puts(breaker, "state", breaker_state(&c->breaker));
    json_puti(breaker, "wait_ms", (int64_t)breaker_wait_ms(&c->breaker));
    json_put(row, "breaker", breaker);
    json_put(row, "histogram", histogram(c));
    json_puti(pins, "new", fresh);
    json_puti(pins, "changed", changed);
    json_put(row, "pins", pins);
    json_puti(row, "drift", changed);
    json_put(row, "enabled", json_boolean(c->enabled));
    put_certificate(row, c->certificate_expires_at);
    json_puts(other, "name", c->alternative);
    json_put(other, "active", json_boolean(c->taken_over));
    json_put(row, "alternative", *c->alternative ? other : json_null());
    if (!*c->alternative)
        json_decref(other);
    json_put(row, "sign_in_url",
             c->state == CONN_SIGN_IN && c->sign_in_url
                 ? json_text(c->sign_in_url, strlen(c->sign_in_url))
                 : json_null());
}

static json_t *row_of(const struct conn *c)
{
    json_t *row = json_object();
    json_puts(row, "name", c->name);
    json_puts(row, "kind", c->ops->kind);
    json_puts(row, "state", conn_state_name(c->state));
    json_puts(row, "level", conn_level_name(c->level));
    json_puts(row, "region", c->region);
    json_puts(row, "allowed_regions", c->allowed_regions);
    json_puts(row, "owner", c->owner);
    json_put(row, "data", words(c->data));
    json_put(row, "version", c->version ? json_text(c->version, strlen(c->version)) : json_null());
    json_put(row, "protocol",
             c->protocol ? json_text(c->protocol, strlen(c->protocol)) : json_null());
    json_puti(row, "tools", (int64_t)c->tool_count);
    put_health(row, c);
    put_safety(row, c);
    json_puts(row, "about", c->about);
    return row;
}

json_t *conn_list(struct conn_registry *r)
{
    json_t *list = json_array();
    for (const struct conn *c = r->first; c; c = c->next)
        json_array_append_new(list, row_of(c));
    return list;
}

/* The last calls, oldest first. */
static json_t *past(const struct conn *c)
{
    json_t *list = json_array();
    uint64_t first = c->past_count > CONN_PAST ? c->past_count - CONN_PAST : 0;
    for (uint64_t i = first; i < c->past_count; i++) {
        const struct conn__past *p = &c->past[i % CONN_PAST];
        json_t *row = json_object();
        json_puti(row, "at", p->at);
        json_puts(row, "tool", p->tool);
        json_put(row, "ok", json_boolean(p->ok));
        json_put(row, "ms", rounded((double)p->elapsed_us / 1000.0));
        json_put(row, "error", json_text(p->error, strlen(p->error)));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *tool_row(const struct conn *c, const struct conn__tool *t)
{
    json_t *tool = json_object();
    json_puts(tool, "connector", c->name);
    json_puts(tool, "name", t->name);
    json_puts(tool, "qualified", t->qualified);
    json_puts(tool, "title", t->title);
    json_puts(tool, "description", t->description);
    json_put(tool, "input_schema", t->schema ? json_deep_copy(t->schema) : json_object());
    if (t->output_schema)
        json_put(tool, "output_schema", json_deep_copy(t->output_schema));
    if (t->annotations)
        json_put(tool, "annotations", json_deep_copy(t->annotations));
    json_puts(tool, "level", conn_level_name(t->level));
    json_puts(tool, "pin", conn_pin_name(t->pin));
    json_put(tool, "pinned", json_boolean(t->pin == CONN_PINNED));
    json_put(tool, "callable", json_boolean(conn__tool_callable(t)));
    return tool;
}

json_t *conn_tools_json(struct conn_registry *r, const char *connector)
{
    json_t *list = json_array();
    for (const struct conn *c = r->first; c; c = c->next) {
        if (!c->up || (connector && strcmp(connector, c->name) != 0))
            continue;
        for (size_t i = 0; i < c->tool_count; i++)
            json_array_append_new(list, tool_row(c, &c->tools[i]));
    }
    return list;
}

json_t *conn_describe(struct conn_registry *r, const char *name)
{
    const struct conn *c = conn__find(r, name);
    if (!c)
        return NULL;
    json_t *row = row_of(c);
    json_t *tools = json_array();
    for (size_t i = 0; i < c->tool_count; i++) {
        json_t *tool = tool_row(c, &c->tools[i]);
        json_put(tool, "read_only", json_boolean(c->tools[i].level == CONN_READ));
        json_array_append_new(tools, tool);
    }
    json_put(row, "tools", tools);
    json_put(row, "calls", past(c));
    json_puts(row, "command", "");
    json_put(row, "stderr", json_array());
    json_put(row, "noise", json_array());
    if (c->ops->describe)
        c->ops->describe(c->self, row);
    return row;
}

static void tail_push(struct conn__tail *t)
{
    free(t->line[t->next]);
    t->line[t->next] = xasprintf("%.*s%s", (int)t->part_len, t->part, t->cut ? "..." : "");
    t->next = (t->next + 1) % CONN_LINES;
    if (t->count < CONN_LINES)
        t->count++;
    if (t->fresh < CONN_LINES)
        t->fresh++;
    t->part_len = 0;
    t->cut = false;
}

void conn__tail_feed(struct conn__tail *t, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n')
            tail_push(t);
        else if (t->part_len == CONN_LINE_MAX)
            t->cut = true;
        else if (bytes[i] != '\0' && bytes[i] != '\r')
            t->part[t->part_len++] = bytes[i];
    }
}

void conn__tail_flush(struct conn__tail *t)
{
    if (t->part_len)
        tail_push(t);
}

void conn__tail_mark(struct conn__tail *t)
{
    conn__tail_flush(t);
    t->fresh = 0;
}

void conn__tail_release(struct conn__tail *t)
{
    for (unsigned i = 0; i < CONN_LINES; i++)
        free(t->line[i]);
    memset(t, 0, sizeof *t);
}

static const char *tail_line(const struct conn__tail *t, unsigned i)
{
    return t->line[(t->next + CONN_LINES - t->count + i) % CONN_LINES];
}

json_t *conn__tail_json(const struct conn__tail *t)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < t->count; i++)
        json_array_append_new(list, json_text(tail_line(t, i), strlen(tail_line(t, i))));
    return list;
}

void conn__tail_last(const struct conn__tail *t, unsigned n, struct buf *out)
{
    enum { EACH = 80 };
    if (n > t->fresh)
        n = t->fresh;
    for (unsigned i = t->count - n; i < t->count; i++) {
        const char *line = tail_line(t, i);
        size_t len = strlen(line), cut = len;
        if (len > EACH) {
            cut = EACH;
            while (cut > 0 && ((unsigned char)line[cut] & 0xc0) == 0x80)
                cut--;
        }
        buf_addf(out, "%s%.*s%s", i > t->count - n ? " | " : "", (int)cut, line,
                 cut < len ? "..." : "");
    }
}
