/* How many tokens an answer takes (spec GW-4): alpha x the recent answers + beta x what is expected
 * of this one. */
#include "backend/gateway/count.h"
#include <math.h>

static const double ALPHA = 0.6, BETA = 0.4;
static const double RECENT = 2.0 / (8 + 1), SLOW = 2.0 / (50 + 1); /* weights of the newest */
static const double AT_FIRST = 0.5; /* of the limit, before anything was answered */
static const double MARGIN_LEAST = 0.10, MARGIN_MOST = 0.20;
enum { TRUSTED = 5 }; /* errors fewer than these say nothing */

double gw__forecast_output(const struct gw__forecast *f, int64_t limit)
{
    double expected = (f->turns ? f->share : AT_FIRST) * (double)limit;
    double sum = f->turns ? ALPHA * f->recent + BETA * expected : expected;
    return fmin(sum, (double)limit);
}

double gw__forecast_margin(const struct gw__forecast *f)
{
    if (f->error.count < TRUSTED)
        return MARGIN_MOST;
    return fmin(MARGIN_MOST, fmax(MARGIN_LEAST, tel_quantile(&f->error, 0.9)));
}

void gw__forecast_learn(struct gw__forecast *f, int64_t limit, double output)
{
    if (limit <= 0 || output <= 0)
        return;
    double share = fmin(1, output / (double)limit);
    tel_record(&f->error, fabs(gw__forecast_output(f, limit) - output) / output);
    f->recent = f->turns ? f->recent + RECENT * (output - f->recent) : output;
    f->share = f->turns ? f->share + SLOW * (share - f->share) : share;
    f->turns++;
}
