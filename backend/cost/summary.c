/* Totals of the ledger. Amounts are summed as whole units and nano units apart: SQLite's SUM fails
 * when an integer overflows, and each of the two stays far from that. */
#include "backend/base/clock.h"
#include "backend/cost/internal.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_DAYS = 366 };
static const int64_t nano_per_unit = 1000000000, day_ms = 86400000;

/* ?1 is the currency, ?2 and ?3 the first and the last day. The totals by day are as exact as the
 * lines they are made of, and as many as there are models, not calls. */
#define SUMS                                                                    \
    "SUM(calls), SUM(CASE WHEN priced THEN 0 ELSE calls END), SUM(estimated), " \
    "SUM(input_tokens), SUM(output_tokens), "                                   \
    "SUM(CASE WHEN priced AND currency = ?1 THEN units ELSE 0 END), "           \
    "SUM(CASE WHEN priced AND currency = ?1 THEN nano ELSE 0 END), "            \
    "SUM(cached_tokens), SUM(reasoning_tokens), SUM(metered), SUM(energy_mj), " \
    "SUM(CASE WHEN priced AND currency <> ?1 THEN calls ELSE 0 END) "
#define WINDOW "FROM ledger_days WHERE day BETWEEN ?2 AND ?3 "

struct sums {
    int64_t calls, unknown, estimated, input, output, units, nano;
    int64_t cached, reasoning, metered, energy_mj; /* metered: calls whose energy is known */
    int64_t elsewhere;                             /* calls whose price is of another currency */
};

static void carry(struct sums *s)
{
    s->units += s->nano / nano_per_unit;
    s->nano %= nano_per_unit;
}

static struct sums sums_of(const struct store_row *row, int first)
{
    struct sums s = {
        store_int(row, first),     store_int(row, first + 1),  store_int(row, first + 2),
        store_int(row, first + 3), store_int(row, first + 4),  store_int(row, first + 5),
        store_int(row, first + 6), store_int(row, first + 7),  store_int(row, first + 8),
        store_int(row, first + 9), store_int(row, first + 10), store_int(row, first + 11)};
    carry(&s);
    return s;
}

static void add_sums(struct sums *to, const struct sums *s)
{
    to->calls += s->calls;
    to->unknown += s->unknown;
    to->estimated += s->estimated;
    to->input += s->input;
    to->output += s->output;
    to->units += s->units;
    to->nano += s->nano;
    to->cached += s->cached;
    to->reasoning += s->reasoning;
    to->metered += s->metered;
    to->energy_mj += s->energy_mj;
    to->elsewhere += s->elsewhere;
    carry(to);
}

static double amount_of(const struct sums *s)
{
    return (double)s->units + (double)s->nano / (double)nano_per_unit;
}

static void put_amount(json_t *o, const struct sums *s)
{
    char fraction[32];
    cost_format(s->nano, fraction); /* "0.NN", of which the units replace the 0 */
    char *text = xasprintf("%lld%s", (long long)s->units, fraction + 1);
    json_puts(o, "amount", text);
    free(text);
}

static void put_sums(json_t *o, const struct sums *s)
{
    json_puti(o, "calls", s->calls);
    json_puti(o, "unknown", s->unknown);
    json_puti(o, "elsewhere", s->elsewhere);
    json_puti(o, "estimated", s->estimated);
    json_puti(o, "input_tokens", s->input);
    json_puti(o, "output_tokens", s->output);
    json_puti(o, "cached_tokens", s->cached);
    json_puti(o, "reasoning_tokens", s->reasoning);
    json_puti(o, "metered", s->metered);
    json_put(o, "energy_j", s->metered ? json_real((double)s->energy_mj / 1000) : json_null());
    put_amount(o, s);
}

static json_t *sums_object(const struct sums *s)
{
    json_t *o = json_object();
    put_sums(o, s);
    return o;
}

static void append(json_t *array, json_t *value)
{
    BUG_IF(json_array_append_new(array, value) != 0);
}

/* Days */

struct day {
    char name[16];
    struct sums sums;
};

struct summary {
    const char *currency;
    struct store_db *db;
    struct day *days; /* oldest first */
    int count;
    struct sums total;
    json_t *rows; /* of the query that runs */
    struct error *error;
};

/* The names of the last days; calendar days are counted in UTC from noon, which no leap of a local
 * clock touches. */
static void name_days(struct summary *s)
{
    char today[16], noon[CLOCK_TEXT];
    clock_local_day(clock_real_ms(), today);
    char *text = xasprintf("%sT12:00:00.000Z", today);
    int64_t at = 0;
    BUG_IF(clock_parse(text, &at) != 0);
    free(text);
    for (int i = 0; i < s->count; i++) {
        clock_format(at - (s->count - 1 - i) * day_ms, noon);
        memcpy(s->days[i].name, noon, 10);
    }
}

static bool take_day(void *arg, const struct store_row *row)
{
    struct summary *s = arg;
    const char *name = store_text(row, 0);
    struct sums sums = sums_of(row, 1);
    for (int i = 0; name && i < s->count; i++)
        if (strcmp(s->days[i].name, name) == 0)
            s->days[i].sums = sums;
    add_sums(&s->total, &sums);
    return true;
}

static json_t *days_array(const struct summary *s)
{
    json_t *array = json_array();
    for (int i = 0; i < s->count; i++) {
        json_t *o = json_object();
        json_puts(o, "day", s->days[i].name);
        put_sums(o, &s->days[i].sums);
        append(array, o);
    }
    return array;
}

/* Models, outcomes, other currencies */

static bool take_model(void *arg, const struct store_row *row)
{
    struct summary *s = arg;
    struct sums sums = sums_of(row, 2);
    double whole = amount_of(&s->total), part = amount_of(&sums);
    bool by_amount = whole > 0;
    if (!by_amount) {
        whole = (double)s->total.input + (double)s->total.output;
        part = (double)sums.input + (double)sums.output;
    }
    json_t *o = json_object();
    cost__put_text(o, "model", row, 0);
    cost__put_text(o, "provider", row, 1);
    put_sums(o, &sums);
    json_puts(o, "currency", s->currency);
    json_put(o, "share", json_real(whole > 0 ? part / whole : 0));
    json_puts(o, "share_of", by_amount ? "amount" : "tokens");
    append(s->rows, o);
    return true;
}

static bool take_outcome(void *arg, const struct store_row *row)
{
    struct summary *s = arg;
    json_t *o = json_object();
    cost__put_text(o, "outcome", row, 0);
    json_puti(o, "calls", store_int(row, 1));
    append(s->rows, o);
    return true;
}

static bool take_currency(void *arg, const struct store_row *row)
{
    struct summary *s = arg;
    struct sums sums = {
        .calls = store_int(row, 1), .units = store_int(row, 2), .nano = store_int(row, 3)};
    carry(&sums);
    json_t *o = json_object();
    cost__put_text(o, "currency", row, 0);
    json_puti(o, "calls", sums.calls);
    put_amount(o, &sums);
    append(s->rows, o);
    return true;
}

/* Runs a query of the window; its rows become an array, NULL on failure. sql is a literal. */
static json_t *rows_of(struct summary *s, store_row_fn *take, const char *sql)
{
    s->rows = json_array();
    if (store_query(s->db, s->error, take, s, sql, "sss", s->currency, s->days[0].name,
                    s->days[s->count - 1].name) == ERR_OK)
        return s->rows;
    json_decref(s->rows);
    return NULL;
}

static json_t *summarise(struct summary *s)
{
    json_t *none = rows_of(s, take_day, "SELECT day, " SUMS WINDOW "GROUP BY day");
    json_t *models = none ? rows_of(s, take_model,
                                    "SELECT model, provider, " SUMS WINDOW
                                    "GROUP BY model, provider ORDER BY SUM(CASE WHEN priced AND "
                                    "currency = ?1 THEN units + nano / 1e9 ELSE 0 END) DESC, "
                                    "SUM(calls) DESC, model")
                          : NULL;
    json_t *outcomes = models ? rows_of(s, take_outcome,
                                        "SELECT outcome, SUM(calls) " WINDOW
                                        "AND ?1 IS NOT NULL GROUP BY outcome ORDER BY 2 DESC, 1")
                              : NULL;
    json_t *others = outcomes ? rows_of(s, take_currency,
                                        "SELECT currency, SUM(calls), SUM(units), SUM(nano) " WINDOW
                                        "AND priced AND currency <> ?1 GROUP BY 1 ORDER BY 1")
                              : NULL;
    json_decref(none);
    if (!others) {
        json_decref(models);
        json_decref(outcomes);
        return NULL;
    }
    json_t *o = json_object();
    json_puts(o, "currency", s->currency);
    json_put(o, "today", sums_object(&s->days[s->count - 1].sums));
    json_put(o, "by_model", models);
    json_put(o, "by_day", days_array(s));
    json_put(o, "by_outcome", outcomes);
    json_put(o, "total", sums_object(&s->total));
    json_put(o, "other_currencies", others);
    return o;
}

json_t *cost_summary(struct cost *c, const char *currency, int days, struct error *e)
{
    struct summary s = {.currency = currency, .db = store_reader(c->store), .error = e};
    s.count = days < 1 ? 1 : days > MAX_DAYS ? MAX_DAYS : days;
    s.days = xcalloc((size_t)s.count, sizeof *s.days);
    name_days(&s);
    json_t *result = summarise(&s);
    free(s.days);
    return result;
}
