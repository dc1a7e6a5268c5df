/* Exchange rates, as far as they are configured. */
#include "backend/base/text.h"
#include "backend/cost/internal.h"
#include <stdlib.h>
#include <string.h>

enum err cost_rates_read(struct cost *c, const struct conf *conf, struct error *e)
{
    const char *text = conf_str(conf, "telemetry", "", "usd_rates");
    c->rate_count = 0;
    while (*(text += strspn(text, " "))) {
        size_t len = strcspn(text, " "), name = strcspn(text, "= ");
        char *number = name < len ? xstrndup(text + name + 1, len - name - 1) : xstrdup("");
        struct cost__rate rate = {.nano = 0};
        bool good = name > 0 && name < sizeof rate.currency && c->rate_count < COST__RATES &&
                    text_decimal(number, &rate.nano) && rate.nano > 0;
        free(number);
        if (!good)
            return err_set(e, ERR_CONFIG,
                           "%s: usd_rates has \"%.*s\", which is not like RUB=0.0125",
                           conf_where(conf, "telemetry", "", "usd_rates"), (int)len, text);
        memcpy(rate.currency, text, name);
        c->rates[c->rate_count++] = rate;
        text += len;
    }
    return ERR_OK;
}

int64_t cost_usd_rate(const struct cost *c, const char *currency)
{
    if (strcmp(currency, "USD") == 0)
        return 1000000000;
    for (size_t i = 0; i < c->rate_count; i++)
        if (strcmp(c->rates[i].currency, currency) == 0)
            return c->rates[i].nano;
    return 0;
}

bool cost_convert(const struct cost *c, int64_t nano, const char *from, const char *to,
                  int64_t *out)
{
    *out = nano;
    if (nano == 0 || strcmp(from, to) == 0)
        return true;
    __int128 per = cost_usd_rate(c, to), sum = (__int128)nano * cost_usd_rate(c, from);
    if (!per || !sum)
        return false;
    sum = (sum + per - 1) / per; /* up: a budget is not to be passed by a rounding */
    *out = sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
    return true;
}
