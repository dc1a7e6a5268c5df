/* Decimal money: nano units (1e-9) of a currency in int64, no floating point. */
#include "backend/base/errors.h"
#include "backend/cost/cost.h"
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PLACES = 9 };
static const int64_t nano_per_unit = 1000000000;

int64_t cost_amount(int64_t in, int64_t nano_in, int64_t out, int64_t nano_out)
{
    BUG_IF(in < 0 || nano_in < 0 || out < 0 || nano_out < 0);
    const unsigned million = 1000000;
    unsigned __int128 sum = (unsigned __int128)in * (unsigned __int128)nano_in;
    sum += (unsigned __int128)out * (unsigned __int128)nano_out;
    sum = (sum + million / 2) / million;
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
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
