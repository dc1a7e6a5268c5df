/* Rows of figures of the cost pane; see cost_parts.h. What is not known is said, and is not zero.
 */
#include "views/cost_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGETS_MAX = 64 };

bool cost_inexact(const json_t *sums)
{
    return json_int(sums, "estimated", 0) > 0 || json_int(sums, "unknown", 0) > 0;
}

void cost_money(const json_t *sums, const char *currency, char out[48])
{
    int64_t calls = json_int(sums, "calls", 0), unknown = json_int(sums, "unknown", 0);
    if (calls > 0 && unknown + json_int(sums, "elsewhere", 0) >= calls)
        snprintf(out, 48, "%s", unknown > 0 ? _("unknown") : "-");
    else
        view_money(json_str(sums, "amount", NULL), currency, cost_inexact(sums), out);
}

/* ---- tokens, energy, outcomes */

static int64_t outcome(const json_t *summary, const char *name)
{
    const json_t *row;
    size_t i;
    json_array_foreach(json_object_get(summary, "by_outcome"), i, row)
    {
        if (strcmp(json_str(row, "outcome", ""), name) == 0)
            return json_int(row, "calls", 0);
    }
    return 0;
}

void cost_energy(double joules, char out[32])
{
    if (joules >= 3600000)
        snprintf(out, 32, _("%.2f kWh"), joules / 3600000);
    else if (joules >= 10000)
        snprintf(out, 32, _("%.1f kJ"), joules / 1000);
    else
        snprintf(out, 32, joules < 10 ? _("%.2f J") : _("%.0f J"), joules);
}

static int percent(int64_t part, int64_t whole)
{
    return whole > 0 ? (int)((100 * (double)part) / (double)whole + 0.5) : 0;
}

static void draw_tokens(const json_t *total, struct tui_area a, int y)
{
    char in[32], out[32];
    int64_t input = json_int(total, "input_tokens", 0),
            output = json_int(total, "output_tokens", 0);
    int64_t cached = json_int(total, "cached_tokens", 0),
            thought = json_int(total, "reasoning_tokens", 0);
    view_count(input, in);
    view_count(output, out);
    int x = tui_putf(a, y, 0, -1, ROLE_TEXT, _("tokens %s in"), in);
    if (cached > 0)
        x += tui_putf(a, y, x, -1, ROLE_DIM, a.width < 60 ? _(" (%d%%)") : _(" (%d%% cached)"),
                      percent(cached, input));
    x += tui_putf(a, y, x, -1, ROLE_TEXT, _("  %s out"), out);
    if (thought > 0 && a.width >= 60)
        tui_putf(a, y, x, -1, ROLE_DIM, _(" (%d%% reasoning)"), percent(thought, output));
}

static void draw_energy(const json_t *total, struct tui_area a, int y)
{
    char energy[32];
    const json_t *joules = json_object_get(total, "energy_j");
    int64_t calls = json_int(total, "calls", 0), metered = json_int(total, "metered", 0);
    if (!json_is_number(joules)) {
        tui_put(a, y, 0, -1, ROLE_DIM, _("energy not known"));
        return;
    }
    cost_energy(json_number_value(joules), energy);
    int x = tui_putf(a, y, 0, -1, ROLE_TEXT, _("energy %s"), energy);
    if (metered < calls)
        tui_putf(a, y, x, -1, ROLE_DIM, _("  of %d%% of the calls"), percent(metered, calls));
}

/* Calls that brought no answer, each way apart, as far as there is room. */
static void draw_outcomes(const json_t *summary, struct tui_area a, int y)
{
    static const struct {
        const char *name, *words;
        enum tui_role role;
    } ways[] = {{"lost", N_("%lld lost"), ROLE_WARN},
                {"error", N_("%lld failed"), ROLE_DIM},
                {"hedged", N_("%lld hedged"), ROLE_DIM},
                {"dropped", N_("%lld dropped"), ROLE_DIM},
                {"cancelled", N_("%lld stopped"), ROLE_DIM}};
    int64_t estimated = json_int(json_object_get(summary, "total"), "estimated", 0);
    int x = 0;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        int64_t n = outcome(summary, ways[i].name);
        if (n > 0 && x + 12 <= a.width)
            x += tui_putf(a, y, x, -1, ways[i].role, _(ways[i].words), (long long)n) + 2;
    }
    if (estimated > 0 && x + 16 <= a.width)
        tui_putf(a, y, x, -1, ROLE_DIM, _("~%lld estimated"), (long long)estimated);
}

static bool has_outcomes(const json_t *summary)
{
    return json_int(json_object_get(summary, "total"), "calls", 0) > outcome(summary, "ok") &&
           json_array_size(json_object_get(summary, "by_outcome")) > 0;
}

int cost_figures(const json_t *summary, struct tui_area a, int y, int rows)
{
    const json_t *total = json_object_get(summary, "total");
    if (rows > 0)
        draw_tokens(total, a, y++);
    if (rows > 1 && has_outcomes(summary))
        draw_outcomes(summary, a, y++);
    if (rows > 1 + has_outcomes(summary))
        draw_energy(total, a, y++);
    return y;
}

/* ---- budgets */

static int by_use(const void *a, const void *b)
{
    double x = json_num(*(json_t *const *)a, "used", 0),
           y = json_num(*(json_t *const *)b, "used", 0);
    return (x < y) - (x > y);
}

/* "41.20 of 500.00 ₽", or tokens where those are nearer to their limit. */
static void use_words(const json_t *b, bool narrow, char *out, size_t size)
{
    const char *limit = json_str(b, "limit", NULL);
    int64_t tokens_limit = json_int(b, "tokens_limit", -1);
    double used = json_num(b, "used", 0), of_money = 0;
    char money[48], most[48], tokens[32], tokens_most[32];
    if (limit && strtod(limit, NULL) > 0)
        of_money = (strtod(json_str(b, "spent", "0"), NULL)) / strtod(limit, NULL);
    if (limit && (tokens_limit < 0 || of_money >= used - 1e-9)) {
        view_money(json_str(b, "spent", "0"), json_str(b, "currency", ""),
                   json_int(b, "unknown", 0) > 0, money);
        view_money(limit, json_str(b, "currency", ""), false, most);
        money[strcspn(money, " ")] = '\0'; /* the currency stands behind the limit */
        snprintf(out, size, narrow ? "%s/%s" : _("%s of %s"), money, most);
    } else {
        view_count(json_int(b, "tokens", 0), tokens);
        view_count(tokens_limit, tokens_most);
        snprintf(out, size, narrow ? "%s/%s" : _("%s of %s tokens"), tokens, tokens_most);
    }
}

static const char *state_of(const json_t *b)
{
    double used = json_num(b, "used", 0);
    return used >= 1 || json_int(b, "refused", 0) > 0 ? "fail"
           : json_int(b, "warned", 0) > 0             ? "warn"
                                                      : "ok";
}

static void draw_budget(const json_t *b, struct tui_area a, int y)
{
    char use[96], name[96];
    const char *subject = json_str(b, "subject", ""), *state = state_of(b);
    double used = json_num(b, "used", 0);
    bool narrow = a.width < 60;
    int label = a.width >= 90 ? 28 : narrow ? a.width / 3 : 20, bar = a.width >= 90 ? 24 : 12;
    use_words(b, narrow, use, sizeof(use));
    snprintf(name, sizeof(name), "%s%s%s", json_str(b, "budget", ""), *subject ? " " : "", subject);
    tui_put_state(a, y, 0, state, false);
    tui_put(a, y, 2, label - 2, ROLE_TEXT, name);
    int x = label + 1;
    if (a.width >= 50) {
        tui_bar(a, y, x, bar, tui_state_role(state), used > 1 ? 1 : used < 0 ? 0 : used);
        x += bar + 1;
    }
    tui_putf(a, y, x, 5, tui_state_role(state), "%3.0f%%", 100 * (used > 9.99 ? 9.99 : used));
    x += 6;
    x += tui_put(a, y, x, -1, ROLE_DIM, use);
    int64_t refused = json_int(b, "refused", 0);
    const char *held = json_str(b, "held", "0");
    if (refused > 0 && x + 14 <= a.width)
        x += tui_putf(a, y, x, -1, ROLE_FAIL, _("  %lld refused"), (long long)refused);
    if (strspn(held, "0.") != strlen(held) && x + 18 <= a.width)
        tui_putf(a, y, x, -1, ROLE_DIM, _("  %s held"), held);
}

int cost_budgets_draw(const json_t *budgets, struct tui_area a, int y, int rows)
{
    const json_t *sorted[BUDGETS_MAX];
    size_t n = 0, count = json_array_size(budgets);
    for (size_t i = 0; i < count && n < BUDGETS_MAX; i++)
        sorted[n++] = json_array_get(budgets, i);
    qsort((void *)sorted, n, sizeof(sorted[0]), by_use);
    int shown = rows < (int)n ? rows - (rows > 2) : (int)n; /* "and more" needs a row */
    for (int i = 0; i < shown; i++)
        draw_budget(sorted[i], a, y++);
    if (shown < (int)count && rows > 2)
        tui_putf(a, y++, 2, -1, ROLE_DIM,
                 _n("and %zu more budget", "and %zu more budgets", count - (size_t)shown),
                 count - (size_t)shown);
    return y;
}

/* ---- one line */

static const char *said_of(const json_t *r)
{
    const char *how = json_str(r, "outcome", "");
    return strcmp(how, "lost") == 0
               ? _("The console ended while it was under way: what was expected is counted.")
           : strcmp(how, "hedged") == 0
               ? _("Another try was faster. The provider charges this one all the same.")
           : json_flag(r, "estimated", false) ? _("The token counts are estimated (~).")
                                              : _("Token counts as the provider gave them.");
}

void cost_line_draw(const json_t *r, const char *money, struct view_page *p)
{
    static const struct {
        const char *label, *member;
    } rows[] = {{N_("question"), "trace_id"},
                {N_("model"), "model"},
                {N_("provider"), "provider"},
                {N_("connector"), "connector"},
                {N_("for"), "flow"},
                {N_("project"), "project"},
                {N_("session"), "session"},
                {N_("outcome"), "outcome"},
                {N_("error"), "error"},
                {N_("try"), "attempt"},
                {N_("input"), "input_tokens"},
                {N_("of it cached"), "cached_tokens"},
                {N_("to the cache"), "cache_write_tokens"},
                {N_("output"), "output_tokens"},
                {N_("of it reasoning"), "reasoning_tokens"},
                {N_("counted by"), "source"},
                {N_("price"), "price_version"},
                {N_("currency"), "currency"},
                {N_("waited, ms"), "queued_ms"},
                {N_("took, ms"), "elapsed_ms"},
                {N_("first token, ms"), "first_token_ms"},
                {N_("energy, J"), "energy_j"},
                {N_("entry"), "entry"}};
    char text[32];
    struct tui_area a = p->area;
    tui_put(a, p->y++, 0, -1, ROLE_STRONG, money);
    tui_put(a, p->y++, 0, -1, ROLE_DIM, said_of(r));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const json_t *m = json_object_get(r, rows[i].member);
        view_number(m, json_is_real(m) ? 2 : 0, text);
        const char *value = json_is_string(m) ? json_string_value(m) : text;
        if (strcmp(rows[i].member, "source") == 0)
            value = strcmp(value, "estimated") == 0  ? _("this console (estimated)")
                    : strcmp(value, "reported") == 0 ? _("the provider")
                                                     : "";
        tui_put(a, p->y, 0, 16, ROLE_DIM, _(rows[i].label));
        tui_put(a, p->y++, 17, -1, ROLE_TEXT, *value ? value : "-");
    }
}
