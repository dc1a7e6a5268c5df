/* Budgets; see budget.h. A bucket is one budget for one subject in one period. */
#include "backend/cost/budget.h"
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/cost/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGETS = 32, WARNS = 8, BUCKETS = 256, SUBJECTS = 20 };
/* A bucket may be forgotten when its lines are in the ledger for sure; a session's or a project's
 * alert stands for so long after its last call. */
enum { REST_MS = 5 * 60 * 1000, ALERT_MS = 10 * 60 * 1000 };
enum scope { DAY, MODEL, SESSION, PROJECT };
static const char *const SCOPES[] = {"day", "model", "session", "project"};

struct budget {
    const char *name; /* the configuration's, like `only` */
    enum scope scope;
    const char *only;      /* "": each subject has one */
    int64_t limit, tokens; /* nano units, tokens; -1: none */
    char currency[8];
    size_t day_chars; /* of YYYY-MM-DD that name its period */
    int warn[WARNS];  /* percentages, ascending */
    size_t warn_count;
    bool lets_unpriced;
};

struct bucket {
    const struct budget *of;
    struct bucket *next;
    char *subject;
    char period[16];
    int64_t spent, held, tokens, tokens_held, unknown, refused;
    int warned;       /* the highest threshold that was told of */
    unsigned tickets; /* that hold something here */
    uint64_t used_ms; /* monotonic */
};

struct ticket {
    uint64_t id;
    struct ticket *next;
    struct bucket *at[BUDGETS];
    int64_t nano[BUDGETS];
    size_t count;
    int64_t tokens;
};

struct cost_budgets {
    struct cost *cost;
    cost_warn *fn;
    void *arg;
    struct budget budgets[BUDGETS];
    size_t count;
    struct bucket *buckets;
    size_t bucket_count;
    struct ticket *tickets;
    uint64_t last_id;
};

/* ---- configuration */

static enum err wrong(struct error *e, const struct conf *conf, const char *name, const char *key,
                      const char *what)
{
    return err_set(e, ERR_CONFIG, "%s: [budget \"%s\"]: %s: %s",
                   conf_where(conf, "budget", name, key), name, key, what);
}

static enum err read_warn(struct budget *b, const struct conf *conf, struct error *e)
{
    const char *text = conf_str(conf, "budget", b->name, "warn");
    while (*(text += strspn(text, " ,%"))) {
        char *end;
        long percent = strtol(text, &end, 10);
        int last = b->warn_count ? b->warn[b->warn_count - 1] : 0;
        if (end == text || percent <= last || percent > 100 || b->warn_count == WARNS)
            return wrong(e, conf, b->name, "warn",
                         "percentages from 1 to 100, each larger than the one before, at most 8");
        b->warn[b->warn_count++] = (int)percent;
        text = end;
    }
    return ERR_OK;
}

/* Is a model of that name in the configuration? */
static bool has_model(const struct conf *conf, const char *name)
{
    enum { MODELS = 256 };
    const char *names[MODELS];
    size_t n = conf_names(conf, "model", names, MODELS);
    for (size_t i = 0; i < n && i < MODELS; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return n >= MODELS;
}

static enum err read_budget(struct budget *b, const struct conf *conf, const char *name,
                            struct error *e)
{
    const char *limit = conf_str(conf, "budget", name, "limit");
    const char *currency = conf_str(conf, "budget", name, "currency");
    const char *period = conf_str(conf, "budget", name, "period");
    *b = (struct budget){.name = name, .only = conf_str(conf, "budget", name, "only")};
    while (strcmp(SCOPES[b->scope], conf_str(conf, "budget", name, "scope")) != 0)
        b->scope++;
    b->limit = -1;
    b->tokens = conf_int(conf, "budget", name, "tokens");
    b->tokens = b->tokens > 0 ? b->tokens : -1;
    b->lets_unpriced = strcmp(conf_str(conf, "budget", name, "unpriced"), "pass") == 0;
    if (*limit && !text_decimal(limit, &b->limit))
        return wrong(e, conf, name, "limit", "not a decimal number such as 12.5");
    if (b->limit < 0 && b->tokens < 0)
        return wrong(e, conf, name, "limit", "set limit, tokens or both");
    if (b->scope == DAY && *b->only)
        return wrong(e, conf, name, "only", "a budget of scope day is for all calls");
    if (b->scope == MODEL && *b->only && !has_model(conf, b->only))
        return wrong(e, conf, name, "only", "no [model] section has this name");
    currency = *currency ? currency : conf_str(conf, "console", "", "currency");
    if (strlen(currency) >= sizeof b->currency)
        return wrong(e, conf, name, "currency", "three letters");
    memcpy(b->currency, currency, strlen(currency) + 1);
    b->day_chars = strcmp(period, "month") == 0  ? 7
                   : strcmp(period, "ever") == 0 ? 0
                   : strcmp(period, "day") == 0  ? 10
                   : b->scope == SESSION         ? 0
                                                 : 10;
    return read_warn(b, conf, e);
}

/* ---- buckets */

static void period_of(const struct budget *b, char out[16])
{
    clock_local_day(clock_real_ms(), out);
    out[b->day_chars] = '\0';
}

struct sum {
    struct cost *cost;
    struct bucket *to;
};

static bool add_sum(void *arg, const struct store_row *row)
{
    const struct sum *s = arg;
    struct bucket *k = s->to;
    const char *currency = store_text(row, 0);
    int64_t units = store_int(row, 3) + store_int(row, 4) / 1000000000, nano;
    nano = units > INT64_MAX / 1000000000 - 1 ? INT64_MAX
                                              : units * 1000000000 + store_int(row, 4) % 1000000000;
    k->tokens += store_int(row, 5);
    if (!store_int(row, 1) ||
        !cost_convert(s->cost, nano, currency ? currency : "", k->of->currency, &nano)) {
        k->unknown += store_int(row, 2);
        return true;
    }
    k->spent = nano > INT64_MAX - k->spent ? INT64_MAX : k->spent + nano;
    return true;
}

/* The columns of add_sum. What built-in models say costs nothing and counts for nothing. */
#define FROM_DAYS                                                                                \
    "SELECT currency, priced, sum(calls), sum(units), sum(nano), "                               \
    "sum(input_tokens + output_tokens) FROM ledger_days WHERE provider <> 'builtin' AND day >= " \
    "?1 AND day <= ?1 || '~' "
#define FROM_LINES                                                                  \
    "SELECT currency, priced, count(*), sum(ifnull(amount_nano, 0) / 1000000000), " \
    "sum(ifnull(amount_nano, 0) % 1000000000), sum(input_tokens + output_tokens) "  \
    "FROM ledger WHERE provider <> 'builtin' AND day >= ?1 AND day <= ?1 || '~' "

static enum err load(struct cost_budgets *all, struct bucket *k, struct error *e)
{
    struct store_db *db = store_reader(all->cost->store);
    struct sum s = {all->cost, k};
    enum err code = ERR_OK;
    switch (k->of->scope) {
    case DAY:
        code = store_query(db, e, add_sum, &s, FROM_DAYS "GROUP BY 1, 2", "s", k->period);
        break;
    case MODEL:
        code = store_query(db, e, add_sum, &s, FROM_DAYS "AND model = ?2 GROUP BY 1, 2", "ss",
                           k->period, k->subject);
        break;
    case SESSION:
        code = store_query(db, e, add_sum, &s, FROM_LINES "AND session = ?2 GROUP BY 1, 2", "ss",
                           k->period, k->subject);
        break;
    case PROJECT:
        code = store_query(db, e, add_sum, &s, FROM_LINES "AND project = ?2 GROUP BY 1, 2", "ss",
                           k->period, k->subject);
        break;
    }
    k->warned = (int)store_scalar(db, 0,
                                  "SELECT max(percent) FROM budget_warnings WHERE budget = ? AND "
                                  "subject = ? AND period = ?",
                                  "sss", k->of->name, k->subject, k->period);
    return code;
}

static void bucket_free(struct bucket *k)
{
    free(k->subject);
    free(k);
}

/* Forgets the one that rested longest, if there are too many. */
static void make_room(struct cost_budgets *all)
{
    uint64_t now = clock_mono_ms();
    struct bucket **oldest = NULL;
    if (all->bucket_count < BUCKETS)
        return;
    for (struct bucket **p = &all->buckets; *p; p = &(*p)->next)
        if (!(*p)->tickets && now - (*p)->used_ms > REST_MS &&
            (!oldest || (*p)->used_ms < (*oldest)->used_ms))
            oldest = p;
    if (!oldest)
        return;
    struct bucket *gone = *oldest;
    *oldest = gone->next;
    bucket_free(gone);
    all->bucket_count--;
}

/* How much of a limit is used, in percent; integers, so that nothing is rounded up to a threshold.
 */
static bool reached(int64_t spent, int64_t limit, int percent)
{
    return limit >= 0 && (__int128)spent * 100 >= (__int128)limit * percent &&
           (limit > 0 || spent > 0);
}

static char *name_of(const struct bucket *k)
{
    const struct budget *b = k->of;
    return xasprintf("budget %s%s%s%s", b->name, *k->subject ? " (" : "", k->subject,
                     *k->subject ? ")" : "");
}

static char *limit_words(const struct budget *b)
{
    char limit[32] = "";
    if (b->limit >= 0)
        cost_format(b->limit, limit);
    return b->tokens < 0 ? xasprintf("%s %s", limit, b->currency)
           : b->limit < 0
               ? xasprintf("%lld tokens", (long long)b->tokens)
               : xasprintf("%s %s or %lld tokens", limit, b->currency, (long long)b->tokens);
}

static char *passed_words(const struct bucket *k, int percent)
{
    char *name = name_of(k), *limit = limit_words(k->of);
    char *text = xasprintf("%s: %d%% of %s are spent%s%s", name, percent, limit,
                           *k->period ? " in " : "", k->period);
    free(limit);
    free(name);
    return text;
}

/* B3 */
static void look(struct cost_budgets *all, struct bucket *k)
{
    const struct budget *b = k->of;
    for (size_t i = 0; i < b->warn_count; i++) {
        int percent = b->warn[i];
        if (percent <= k->warned ||
            (!reached(k->spent, b->limit, percent) && !reached(k->tokens, b->tokens, percent)))
            continue;
        k->warned = percent;
        char *text = passed_words(k, percent);
        const struct cost_warning w = {b->name, k->subject, k->period, percent, text};
        if (all->fn)
            all->fn(all->arg, &w);
        free(text);
    }
}

static struct bucket *bucket_of(struct cost_budgets *all, const struct budget *b,
                                const char *subject, struct error *e)
{
    char period[16];
    period_of(b, period);
    for (struct bucket *k = all->buckets; k; k = k->next)
        if (k->of == b && strcmp(k->period, period) == 0 && strcmp(k->subject, subject) == 0)
            return k;
    make_room(all);
    struct bucket *k = xcalloc(1, sizeof *k);
    k->of = b;
    k->subject = xstrdup(subject);
    memcpy(k->period, period, sizeof period);
    if (load(all, k, e) != ERR_OK) {
        bucket_free(k);
        return NULL;
    }
    k->next = all->buckets;
    all->buckets = k;
    all->bucket_count++;
    look(all, k);
    return k;
}

void cost_budgets_sum(struct cost_budgets *all)
{
    for (struct bucket *k = all->buckets; k; k = k->next) {
        struct bucket anew = *k;
        anew.spent = anew.tokens = anew.unknown = 0;
        if (k->tickets || load(all, &anew, NULL) != ERR_OK)
            continue;
        anew.warned =
            anew.warned > k->warned ? anew.warned : k->warned; /* B3: told, not yet kept */
        *k = anew;
        look(all, k);
    }
}

/* ---- holding and settling */

/* Whose budget it is; NULL: the call does not fall under it. */
static const char *subject_of(const struct budget *b, const struct cost_asked *a)
{
    const char *subject = b->scope == MODEL     ? a->model
                          : b->scope == SESSION ? a->session
                          : b->scope == PROJECT ? a->project
                                                : "";
    if (b->scope != DAY && (!subject || !*subject))
        return NULL;
    return *b->only && strcmp(b->only, subject) != 0 ? NULL : subject;
}

static enum err refuse(struct bucket *k, struct error *e, const char *why)
{
    char *name = name_of(k);
    k->refused++;
    k->used_ms = clock_mono_ms();
    err_set(e, ERR_BUDGET, "%s: %s", name, why);
    free(name);
    return ERR_BUDGET;
}

static bool fits(int64_t limit, int64_t spent, int64_t held, int64_t more)
{
    return limit < 0 || more == 0 || (__int128)spent + held + more <= limit;
}

static enum err admit(struct cost_budgets *all, struct bucket *k, const struct cost_asked *a,
                      int64_t *nano, struct error *e)
{
    const struct budget *b = k->of;
    char spent[32], limit[32], held[32], more[32], why[256];
    *nano = 0;
    if (b->limit >= 0 &&
        (!a->charge.priced ||
         !cost_convert(all->cost, a->charge.nano, a->charge.currency, b->currency, nano))) {
        *nano = 0;
        if (b->lets_unpriced)
            return ERR_OK;
        snprintf(why, sizeof why,
                 "what %.60s costs in %s is not known: set price_in and price_out, or unpriced = "
                 "pass in the budget",
                 a->model, b->currency);
        return refuse(k, e, why);
    }
    if (!fits(b->limit, k->spent, k->held, *nano)) {
        cost_format(k->spent, spent);
        cost_format(b->limit, limit);
        cost_format(k->held, held);
        cost_format(*nano, more);
        snprintf(why, sizeof why,
                 "%s of %s %s are spent, %s are held for calls under way, and this one may cost %s",
                 spent, limit, b->currency, held, more);
        return refuse(k, e, why);
    }
    if (fits(b->tokens, k->tokens, k->tokens_held, a->tokens))
        return ERR_OK;
    snprintf(why, sizeof why,
             "%lld of %lld tokens are used, %lld are held for calls under way, and this one may "
             "take %lld",
             (long long)k->tokens, (long long)b->tokens, (long long)k->tokens_held,
             (long long)a->tokens);
    return refuse(k, e, why);
}

enum err cost_reserve(struct cost_budgets *all, const struct cost_asked *a, uint64_t *ticket,
                      struct error *e)
{
    struct ticket *t = xcalloc(1, sizeof *t);
    enum err code = ERR_OK;
    t->tokens = cost__tokens(a->tokens);
    for (size_t i = 0; i < all->count && code == ERR_OK; i++) {
        const char *subject = subject_of(&all->budgets[i], a);
        struct bucket *k = subject ? bucket_of(all, &all->budgets[i], subject, e) : NULL;
        if (subject && !k)
            code = e->code;
        if (!k)
            continue;
        k->tickets++; /* the next bucket must not push this one out */
        t->at[t->count] = k;
        code = admit(all, k, a, &t->nano[t->count++], e);
    }
    for (size_t i = 0; i < t->count; i++) {
        struct bucket *k = t->at[i];
        if (code != ERR_OK) {
            k->tickets--; /* B2 */
            continue;
        }
        k->held += t->nano[i];
        k->tokens_held += t->tokens;
        k->used_ms = clock_mono_ms();
    }
    if (code != ERR_OK) {
        free(t);
        return code;
    }
    t->id = *ticket = ++all->last_id;
    t->next = all->tickets;
    all->tickets = t;
    return ERR_OK;
}

void cost_settle(struct cost_budgets *all, uint64_t ticket, const struct cost_charge *charge,
                 int64_t tokens)
{
    struct ticket **p = &all->tickets, *t;
    while (*p && (*p)->id != ticket)
        p = &(*p)->next;
    BUG_IF(!*p);
    t = *p;
    *p = t->next;
    tokens = cost__tokens(tokens);
    for (size_t i = 0; i < t->count; i++) {
        struct bucket *k = t->at[i];
        int64_t nano = 0;
        bool known = charge->priced && cost_convert(all->cost, charge->nano, charge->currency,
                                                    k->of->currency, &nano);
        if (!known) {
            nano = tokens ? t->nano[i] : 0;
            k->unknown += tokens > 0;
        }
        k->tickets--;
        k->held -= t->nano[i];
        k->tokens_held -= t->tokens;
        k->spent = nano > INT64_MAX - k->spent ? INT64_MAX : k->spent + nano;
        k->tokens += tokens;
        k->used_ms = clock_mono_ms();
        look(all, k);
    }
    free(t);
}

enum err cost_warned(struct store_db *db, const char *budget, const char *subject,
                     const char *period, int percent, struct error *e)
{
    return store_exec(db, e,
                      "INSERT OR IGNORE INTO budget_warnings VALUES (?, ?, ?, ?, (SELECT "
                      "ifnull(max(seq), -1) FROM entries))",
                      "sssi", budget, subject, period, (int64_t)percent);
}

/* ---- showing */

struct subjects {
    char *at[SUBJECTS];
    size_t count;
};

static bool take_subject(void *arg, const struct store_row *row)
{
    struct subjects *s = arg;
    const char *text = store_text(row, 0);
    if (text && *text)
        s->at[s->count++] = xstrdup(text);
    return s->count < SUBJECTS;
}

/* The buckets of what the ledger has in the present periods. */
static void find_all(struct cost_budgets *all)
{
    enum { NEWEST = 5000 };
    struct store_db *db = store_reader(all->cost->store);
    for (size_t i = 0; i < all->count; i++) {
        const struct budget *b = &all->budgets[i];
        struct subjects s = {.count = 0};
        char period[16];
        period_of(b, period);
        if (b->scope == DAY || *b->only)
            s.at[s.count++] = xstrdup(b->only);
        else if (b->scope == MODEL)
            store_query(db, NULL, take_subject, &s,
                        "SELECT DISTINCT model FROM ledger_days WHERE provider <> 'builtin' AND "
                        "day >= ?1 AND day <= ?1 || '~'",
                        "s", period);
        else if (b->scope == SESSION)
            store_query(db, NULL, take_subject, &s,
                        "SELECT session FROM ledger WHERE id > (SELECT max(id) FROM ledger) - ?2 "
                        "AND provider <> 'builtin' AND day >= ?1 AND day <= ?1 || '~' "
                        "GROUP BY session ORDER BY max(id) DESC",
                        "si", period, (int64_t)NEWEST);
        else
            store_query(db, NULL, take_subject, &s,
                        "SELECT DISTINCT project FROM ledger WHERE project <> '' AND "
                        "provider <> 'builtin' AND day >= ?1 AND day <= ?1 || '~'",
                        "s", period);
        for (size_t k = 0; k < s.count; k++) {
            bucket_of(all, b, s.at[k], NULL);
            free(s.at[k]);
        }
    }
}

static double used_of(const struct bucket *k)
{
    const struct budget *b = k->of;
    double money = b->limit > 0 ? (double)k->spent / (double)b->limit : b->limit == 0 && k->spent;
    double tokens = b->tokens > 0 ? (double)k->tokens / (double)b->tokens : 0;
    return money > tokens ? money : tokens;
}

static json_t *bucket_json(const struct bucket *k)
{
    const struct budget *b = k->of;
    char limit[32], spent[32], held[32];
    json_t *o = json_object();
    cost_format(b->limit, limit);
    cost_format(k->spent, spent);
    cost_format(k->held, held);
    json_puts(o, "budget", b->name);
    json_puts(o, "scope", SCOPES[b->scope]);
    json_puts(o, "subject", k->subject);
    json_puts(o, "period", k->period);
    json_put(o, "limit", b->limit < 0 ? json_null() : json_string(limit));
    json_puts(o, "currency", b->currency);
    json_puts(o, "spent", spent);
    json_puts(o, "held", held);
    json_put(o, "tokens_limit", b->tokens < 0 ? json_null() : json_integer(b->tokens));
    json_puti(o, "tokens", k->tokens);
    json_puti(o, "tokens_held", k->tokens_held);
    json_puti(o, "unknown", k->unknown);
    json_put(o, "used", json_real(used_of(k)));
    json_puti(o, "warned", k->warned);
    json_puti(o, "refused", k->refused);
    return o;
}

static bool is_present(const struct bucket *k)
{
    char period[16];
    period_of(k->of, period);
    return strcmp(period, k->period) == 0;
}

json_t *cost_budgets_list(struct cost_budgets *all)
{
    json_t *list = json_array();
    find_all(all);
    for (size_t i = 0; i < all->count; i++)
        for (const struct bucket *k = all->buckets; k; k = k->next)
            if (k->of == &all->budgets[i] && is_present(k))
                BUG_IF(json_array_append_new(list, bucket_json(k)) != 0);
    return list;
}

void cost_budgets_alerts(struct cost_budgets *all,
                         void (*fn)(void *arg, const char *severity, const char *text), void *arg)
{
    uint64_t now = clock_mono_ms();
    for (const struct bucket *k = all->buckets; k; k = k->next) {
        bool rests = k->of->scope != DAY && now - k->used_ms > ALERT_MS;
        if (!is_present(k) || rests)
            continue;
        if (k->refused) {
            char *name = name_of(k), *text = xasprintf("%s: it has refused calls", name);
            fn(arg, "fail", text);
            free(text);
            free(name);
        } else if (k->warned) {
            char *text = passed_words(k, k->warned);
            fn(arg, k->warned >= 100 ? "fail" : "warn", text);
            free(text);
        }
    }
}

/* ---- making */

struct cost_budgets *cost_budgets_new(struct cost *c, const struct conf *conf, cost_warn *fn,
                                      void *arg, struct error *e)
{
    const char *names[BUDGETS];
    size_t n = conf_names(conf, "budget", names, BUDGETS);
    struct cost_budgets *all = xcalloc(1, sizeof *all);
    *all = (struct cost_budgets){.cost = c, .fn = fn, .arg = arg};
    enum err code = n > BUDGETS ? err_set(e, ERR_CONFIG, "more than %d budgets", BUDGETS) : ERR_OK;
    for (; all->count < n && code == ERR_OK; all->count++)
        code = read_budget(&all->budgets[all->count], conf, names[all->count], e);
    if (code != ERR_OK) {
        cost_budgets_free(all);
        return NULL;
    }
    find_all(all);
    return all;
}

void cost_budgets_free(struct cost_budgets *all)
{
    if (!all)
        return;
    while (all->tickets) {
        struct ticket *t = all->tickets;
        all->tickets = t->next;
        free(t);
    }
    while (all->buckets) {
        struct bucket *k = all->buckets;
        all->buckets = k->next;
        bucket_free(k);
    }
    free(all);
}
