/* Subcommand cost: what models cost, by model and day, and the budgets. */
#include "backend/base/text.h"
#include "tui/cli_internal.h"
#include <stdio.h>
#include <stdlib.h>

static void print_budgets(const json_t *budgets)
{
    size_t i;
    json_t *row;
    if (json_array_size(budgets))
        printf("\n%-20s %-20s %-10s %26s %24s\n", "BUDGET", "OF", "PERIOD", "SPENT", "TOKENS");
    json_array_foreach(budgets, i, row)
    {
        const char *limit = json_str(row, "limit", NULL);
        int64_t most = json_int(row, "tokens_limit", -1);
        cli__cell(json_str(row, "budget", ""), 20);
        printf(" ");
        cli__cell(*json_str(row, "subject", "") ? json_str(row, "subject", "") : "all", 20);
        printf(" %-10s %10s of %-8s %3s", json_str(row, "period", ""), json_str(row, "spent", "-"),
               limit ? limit : "-", json_str(row, "currency", ""));
        printf(" %11lld of ", (long long)json_int(row, "tokens", 0));
        if (most >= 0)
            printf("%lld", (long long)most);
        printf("%s%s\n", most < 0 ? "-" : "", json_int(row, "refused", 0) ? "  refused calls" : "");
    }
}

/* An amount, and of how many calls it does not tell; where it tells of none it is no zero. */
static void print_amount(const json_t *sums, const char *currency)
{
    long long calls = json_int(sums, "calls", 0), unknown = json_int(sums, "unknown", 0),
              elsewhere = json_int(sums, "elsewhere", 0);
    if (calls && unknown + elsewhere >= calls)
        printf(" %14s", unknown ? "unknown" : "-");
    else
        printf(" %10s %s", json_str(sums, "amount", "-"), currency);
    if (unknown && unknown + elsewhere < calls)
        printf("  and %lld unknown", unknown);
    if (elsewhere)
        printf("  %lld in another currency", elsewhere);
    putchar('\n');
}

int cli__cost(struct cli *c, struct busc *bus)
{
    int status = EXIT_DONE;
    json_t *params = json_object();
    json_puti(params, "days", c->days);
    json_t *answer = cli__call(bus, WIRE_cost_summary, params, &status), *row;
    json_t *asked = answer ? cli__call(bus, WIRE_cost_budgets, NULL, &status) : NULL;
    const json_t *budgets = json_object_get(asked, "budgets");
    size_t i;
    if (answer && budgets)
        json_put(answer, "budgets", json_deep_copy(budgets));
    if (answer && c->json) {
        cli__print_json(answer);
    } else if (answer) {
        const json_t *today = json_object_get(answer, "today");
        char *currency = text_cleaned(json_str(answer, "currency", ""), TEXT_ASCII | TEXT_ONE_LINE);
        printf("today %4lld calls", (long long)json_int(today, "calls", 0));
        print_amount(today, currency);
        json_array_foreach(json_object_get(answer, "other_currencies"), i, row)
        {
            printf("and %6lld calls %10s ", (long long)json_int(row, "calls", 0),
                   json_str(row, "amount", "-"));
            cli__put(json_str(row, "currency", ""), false);
            printf(" in %lld days\n", (long long)c->days);
        }
        printf("\n%-28s %8s %12s %12s %14s\n", "MODEL", "CALLS", "TOKENS IN", "TOKENS OUT", "COST");
        json_array_foreach(json_object_get(answer, "by_model"), i, row)
        {
            cli__cell(json_str(row, "model", ""), 28);
            printf(" %8lld %12lld %12lld", (long long)json_int(row, "calls", 0),
                   (long long)json_int(row, "input_tokens", 0),
                   (long long)json_int(row, "output_tokens", 0));
            print_amount(row, currency);
        }
        printf("\n%-12s %8s %14s\n", "DAY", "CALLS", "COST");
        json_array_foreach(json_object_get(answer, "by_day"), i, row)
        {
            if (!json_int(row, "calls", 0))
                continue;
            printf("%-12s %8lld", json_str(row, "day", ""), (long long)json_int(row, "calls", 0));
            print_amount(row, currency);
        }
        print_budgets(budgets);
        free(currency);
    }
    json_decref(asked);
    json_decref(answer);
    return status;
}
