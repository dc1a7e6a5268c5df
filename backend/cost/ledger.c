/* Lines of the ledger: copied, written, listed. */
#include "backend/base/clock.h"
#include "backend/cost/internal.h"
#include <stdlib.h>

struct cost *cost_new(struct store *s)
{
    struct cost *c = xcalloc(1, sizeof *c);
    c->store = s;
    return c;
}

void cost_free(struct cost *c)
{
    free(c);
}

static char *copy(const char *s)
{
    return xstrdup(s ? s : "");
}

struct cost_line *cost_line_copy(const struct cost_line *line)
{
    struct cost_line *l = xcalloc(1, sizeof *l);
    *l = *line;
    l->trace_id = copy(line->trace_id);
    l->model = copy(line->model);
    l->provider = copy(line->provider);
    l->connector = copy(line->connector);
    l->currency = copy(line->currency);
    l->price_version = copy(line->price_version);
    l->outcome = copy(line->outcome);
    return l;
}

void cost_line_free(struct cost_line *l)
{
    if (!l)
        return;
    free((char *)l->trace_id);
    free((char *)l->model);
    free((char *)l->provider);
    free((char *)l->connector);
    free((char *)l->currency);
    free((char *)l->price_version);
    free((char *)l->outcome);
    free(l);
}

/* Token counts come from foreign servers; bounded, so that sums over the ledger cannot overflow. */
static int64_t tokens(int64_t n)
{
    const int64_t most = INT64_C(1000000000000);
    return n < 0 ? 0 : n > most ? most : n;
}

enum err cost_insert(struct store_db *db, void *arg, struct error *e)
{
    const struct cost_line *l = arg;
    char day[16];
    clock_local_day(l->at, day);
    BUG_IF(l->priced && l->amount_nano < 0);
    int64_t input = tokens(l->input_tokens), output = tokens(l->output_tokens),
            estimated = l->estimated, priced = l->priced, amount = l->priced ? l->amount_nano : 0;
    enum err code =
        store_exec(db, e,
                   "INSERT INTO ledger (at, day, trace_id, model, provider, connector, "
                   "input_tokens, output_tokens, estimated, priced, amount_nano, currency, "
                   "price_version, outcome, elapsed_ms, first_token_ms, entry) "
                   "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                   "isssssiiiiisssiii", l->at, day, l->trace_id, l->model, l->provider,
                   l->connector, input, output, estimated, priced, amount, l->currency,
                   l->price_version, l->outcome, l->elapsed_ms, l->first_token_ms, l->entry);
    if (code != ERR_OK)
        return code;
    return store_exec(db, e,
                      "INSERT INTO ledger_days VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?) "
                      "ON CONFLICT DO UPDATE SET calls = calls + 1, "
                      "estimated = estimated + excluded.estimated, "
                      "input_tokens = input_tokens + excluded.input_tokens, "
                      "output_tokens = output_tokens + excluded.output_tokens, "
                      "units = units + excluded.units, nano = nano + excluded.nano",
                      "sssssiiiiii", day, l->model, l->provider, l->outcome, l->currency, priced,
                      estimated, input, output, amount / 1000000000, amount % 1000000000);
}

void cost__put_text(json_t *o, const char *key, const struct store_row *row, int column)
{
    const char *s = store_text(row, column);
    json_puts(o, key, s ? s : "");
}

static bool add_line(void *arg, const struct store_row *row)
{
    json_t *o = json_object();
    json_puti(o, "id", store_int(row, 0));
    json_puti(o, "at", store_int(row, 1));
    cost__put_text(o, "day", row, 2);
    cost__put_text(o, "trace_id", row, 3);
    cost__put_text(o, "model", row, 4);
    cost__put_text(o, "provider", row, 5);
    cost__put_text(o, "connector", row, 6);
    json_puti(o, "input_tokens", store_int(row, 7));
    json_puti(o, "output_tokens", store_int(row, 8));
    json_put(o, "estimated", json_boolean(store_int(row, 9)));
    char amount[32];
    cost_format(store_int(row, 11), amount);
    json_put(o, "amount", store_int(row, 10) ? json_string(amount) : json_null());
    cost__put_text(o, "currency", row, 12);
    cost__put_text(o, "price_version", row, 13);
    cost__put_text(o, "outcome", row, 14);
    json_puti(o, "elapsed_ms", store_int(row, 15));
    json_puti(o, "first_token_ms", store_int(row, 16));
    json_puti(o, "entry", store_int(row, 17));
    BUG_IF(json_array_append_new(arg, o) != 0);
    return true;
}

json_t *cost_ledger(struct cost *c, int64_t before, size_t limit, struct error *e)
{
    json_t *lines = json_array();
    if (store_query(store_reader(c->store), e, add_line, lines,
                    "SELECT id, at, day, trace_id, model, provider, connector, input_tokens, "
                    "output_tokens, estimated, priced, amount_nano, currency, price_version, "
                    "outcome, elapsed_ms, first_token_ms, entry "
                    "FROM ledger WHERE id < ? ORDER BY id DESC LIMIT ?",
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
                               .amount_nano = store_int(row, 4)};
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
        store_query(store_reader(c->store), NULL, tell_line, &s,
                    "SELECT id, model, currency, priced, amount_nano FROM ledger WHERE id > ? "
                    "ORDER BY id",
                    "i", after);
    }
    return s.last;
}
