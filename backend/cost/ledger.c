/* Lines of the ledger: copied, written, listed. */
#include "backend/base/clock.h"
#include "backend/cost/internal.h"
#include <stdlib.h>
#include <string.h>

struct cost *cost_new(struct store *s)
{
    struct cost *c = xcalloc(1, sizeof *c);
    c->store = s;
    return c;
}

void cost_free(struct cost *c)
{
    if (c)
        cost__prices_free(c->prices);
    free(c);
}

/* The texts of a line. */
static void texts_of(struct cost_line *l, const char **at[11])
{
    const char **all[11] = {&l->trace_id, &l->model,   &l->provider,     &l->connector,
                            &l->session,  &l->project, &l->flow,         &l->currency,
                            &l->outcome,  &l->error,   &l->price_version};
    memcpy(at, all, sizeof all);
}

struct cost_line *cost_line_copy(const struct cost_line *line)
{
    struct cost_line *l = xcalloc(1, sizeof *l);
    const char **at[11];
    *l = *line;
    texts_of(l, at);
    for (size_t i = 0; i < 11; i++)
        *at[i] = xstrdup(*at[i] ? *at[i] : "");
    return l;
}

void cost_line_free(struct cost_line *l)
{
    const char **at[11];
    if (!l)
        return;
    texts_of(l, at);
    for (size_t i = 0; i < 11; i++)
        free((char *)*at[i]);
    free(l);
}

int64_t cost__tokens(int64_t n)
{
    return n < 0 ? 0 : n > COST__TOKENS_MAX ? COST__TOKENS_MAX : n;
}

static enum err insert_line(struct store_db *db, const struct cost_line *l, const char *day,
                            struct error *e)
{
    int64_t input = cost__tokens(l->input_tokens), output = cost__tokens(l->output_tokens),
            cached = cost__tokens(l->cached_tokens), wrote = cost__tokens(l->cache_write_tokens),
            reasoning = cost__tokens(l->reasoning_tokens), estimated = l->estimated,
            priced = l->priced, amount = l->priced ? l->amount_nano : 0,
            energy = l->energy_mj < 0 ? -1 : cost__tokens(l->energy_mj);
    return store_exec(
        db, e,
        "INSERT INTO ledger (at, day, trace_id, model, provider, connector, session, project, "
        "flow, input_tokens, cached_tokens, cache_write_tokens, output_tokens, reasoning_tokens, "
        "estimated, priced, amount_nano, currency, price_version, outcome, error, attempt, "
        "queued_ms, elapsed_ms, first_token_ms, energy_mj, entry) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        "issssssssiiiiiiiissssiiiiii", l->at, day, l->trace_id, l->model, l->provider, l->connector,
        l->session, l->project, l->flow, input, cached, wrote, output, reasoning, estimated, priced,
        amount, l->currency, l->price_version, l->outcome, l->error, l->attempt, l->queued_ms,
        l->elapsed_ms, l->first_token_ms, energy, l->entry);
}

enum err cost_insert(struct store_db *db, void *arg, struct error *e)
{
    const struct cost_line *l = arg;
    char day[16];
    clock_local_day(l->at, day);
    BUG_IF(l->priced && l->amount_nano < 0);
    enum err code = insert_line(db, l, day, e);
    if (code != ERR_OK)
        return code;
    int64_t amount = l->priced ? l->amount_nano : 0, known = l->energy_mj >= 0, priced = l->priced,
            estimated = l->estimated;
    return store_exec(
        db, e,
        "INSERT INTO ledger_days (day, model, provider, outcome, currency, priced, calls, "
        "estimated, input_tokens, output_tokens, units, nano, cached_tokens, reasoning_tokens, "
        "metered, energy_mj) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET calls = calls + 1, estimated = estimated + excluded.estimated, "
        "input_tokens = input_tokens + excluded.input_tokens, "
        "output_tokens = output_tokens + excluded.output_tokens, "
        "units = units + excluded.units, nano = nano + excluded.nano, "
        "cached_tokens = cached_tokens + excluded.cached_tokens, "
        "reasoning_tokens = reasoning_tokens + excluded.reasoning_tokens, "
        "metered = metered + excluded.metered, energy_mj = energy_mj + excluded.energy_mj",
        "sssssiiiiiiiiii", day, l->model, l->provider, l->outcome, l->currency, priced, estimated,
        cost__tokens(l->input_tokens), cost__tokens(l->output_tokens), amount / 1000000000,
        amount % 1000000000, cost__tokens(l->cached_tokens), cost__tokens(l->reasoning_tokens),
        known, known ? cost__tokens(l->energy_mj) : 0);
}

void cost__put_text(json_t *o, const char *key, const struct store_row *row, int column)
{
    const char *s = store_text(row, column);
    json_puts(o, key, s ? s : "");
}

static bool add_line(void *arg, const struct store_row *row)
{
    static const struct {
        const char *name;
        bool text;
    } COLUMNS[] = {
        {"id", false},
        {"at", false},
        {"day", true},
        {"trace_id", true},
        {"model", true},
        {"provider", true},
        {"connector", true},
        {"session", true},
        {"project", true},
        {"flow", true},
        {"input_tokens", false},
        {"cached_tokens", false},
        {"cache_write_tokens", false},
        {"output_tokens", false},
        {"reasoning_tokens", false},
        {"currency", true},
        {"price_version", true},
        {"outcome", true},
        {"error", true},
        {"attempt", false},
        {"queued_ms", false},
        {"elapsed_ms", false},
        {"first_token_ms", false},
        {"entry", false},
    };
    enum { ESTIMATED = sizeof COLUMNS / sizeof *COLUMNS, PRICED, AMOUNT, ENERGY };
    json_t *o = json_object();
    char amount[32];
    for (int i = 0; i < ESTIMATED; i++) {
        if (COLUMNS[i].text)
            cost__put_text(o, COLUMNS[i].name, row, i);
        else
            json_puti(o, COLUMNS[i].name, store_int(row, i));
    }
    json_put(o, "estimated", json_boolean(store_int(row, ESTIMATED)));
    json_puts(o, "source", store_int(row, ESTIMATED) ? "estimated" : "reported");
    cost_format(store_int(row, AMOUNT), amount);
    json_put(o, "amount", store_int(row, PRICED) ? json_string(amount) : json_null());
    int64_t energy = store_int(row, ENERGY);
    json_put(o, "energy_j", energy < 0 ? json_null() : json_real((double)energy / 1000));
    BUG_IF(json_array_append_new(arg, o) != 0);
    return true;
}

json_t *cost_ledger(struct cost *c, int64_t before, size_t limit, struct error *e)
{
    json_t *lines = json_array();
    if (store_query(store_reader(c->store), e, add_line, lines,
                    "SELECT id, at, day, trace_id, model, provider, connector, session, project, "
                    "flow, input_tokens, cached_tokens, cache_write_tokens, output_tokens, "
                    "reasoning_tokens, currency, price_version, outcome, error, attempt, "
                    "queued_ms, elapsed_ms, first_token_ms, entry, estimated, priced, "
                    "amount_nano, energy_mj FROM ledger WHERE id < ? ORDER BY id DESC LIMIT ?",
                    "ii", before < 0 ? INT64_MAX : before, (int64_t)limit) == ERR_OK)
        return lines;
    json_decref(lines);
    return NULL;
}

struct since {
    void (*fn)(void *arg, const struct cost_spent *s);
    void *arg;
    int64_t last;
};

static bool tell_line(void *arg, const struct store_row *row)
{
    struct since *s = arg;
    s->last = store_int(row, 0);
    if (!s->fn)
        return false;
    const char *model = store_text(row, 1), *currency = store_text(row, 2);
    struct cost_spent spent = {.model = model ? model : "",
                               .currency = currency ? currency : "",
                               .priced = store_int(row, 3) != 0,
                               .amount_nano = store_int(row, 4),
                               .energy_mj = store_int(row, 5)};
    s->fn(s->arg, &spent);
    return true;
}

int64_t cost_since(struct cost *c, int64_t after, void (*fn)(void *arg, const struct cost_spent *s),
                   void *arg)
{
    struct since s = {.fn = after < 0 ? NULL : fn, .arg = arg, .last = after};
    if (after < 0) {
        s.last = 0;
        store_query(store_reader(c->store), NULL, tell_line, &s,
                    "SELECT id FROM ledger ORDER BY id DESC LIMIT 1", "");
    } else {
        store_query(
            store_reader(c->store), NULL, tell_line, &s,
            "SELECT id, model, currency, priced, amount_nano, energy_mj FROM ledger WHERE id > ? "
            "ORDER BY id",
            "i", after);
    }
    return s.last;
}
