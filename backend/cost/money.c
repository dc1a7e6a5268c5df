/* Decimal money: nano units (1e-9) of a currency in int64, no floating point. */
#include "backend/base/errors.h"
#include "backend/cost/cost.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 9 };
static const int64_t nano_per_unit = 1000000000;

bool cost_total(const struct cost_part *parts, size_t n, int64_t per, int64_t *nano)
{
    BUG_IF(per < 1);
    __int128 sum = 0;
    for (size_t i = 0; i < n; i++) {
        BUG_IF(parts[i].count < 0);
        sum += (__int128)parts[i].count * parts[i].nano;
    }
    if (sum < 0)
        return false;
    sum = (sum + per / 2) / per;
    *nano = sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
    return true;
}

void cost_format(int64_t nano, char *out)
{
    uint64_t n = nano < 0 ? -(uint64_t)nano : (uint64_t)nano;
    uint64_t unit = (uint64_t)nano_per_unit;
    snprintf(out, 32, "%s%" PRIu64 ".%09" PRIu64, nano < 0 ? "-" : "", n / unit, n % unit);
    char *end = out + strlen(out), *least = strchr(out, '.') + 3;
    while (end > least && end[-1] == '0')
        *--end = '\0';
}
