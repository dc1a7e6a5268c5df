#include "backend/base/clock.h"
#include "backend/base/errors.h"
#include <string.h>
#include <time.h>

enum { NS_PER_MS = 1000000, MS_PER_S = 1000 };
/* 0000-01-01 and 9999-12-31T23:59:59.999: what four digits of a year can say. */
static const int64_t earliest = -62167219200000, latest = 253402300799999;

uint64_t clock_mono_ns(void)
{
    struct timespec t;
    BUG_IF(clock_gettime(CLOCK_MONOTONIC, &t) != 0);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / NS_PER_MS;
}

int64_t clock_real_ms(void)
{
    struct timespec t;
    BUG_IF(clock_gettime(CLOCK_REALTIME, &t) != 0);
    return (int64_t)t.tv_sec * MS_PER_S + t.tv_nsec / NS_PER_MS;
}

static int64_t clamped(int64_t ms)
{
    return ms < earliest ? earliest : ms > latest ? latest : ms;
}

/* Splits into whole seconds and 0..999 milliseconds, also before 1970. */
static time_t seconds_of(int64_t ms, int *rest)
{
    int64_t s = ms / MS_PER_S, r = ms % MS_PER_S;
    if (r < 0) {
        r += MS_PER_S;
        s--;
    }
    *rest = (int)r;
    return (time_t)s;
}

/* The proleptic Gregorian calendar by whole numbers, since every entry of a log is written and read
 * with a time. Years begin with March here, so that a leap day is the last of its year; 400 of
 * them, an era, have 146097 days; the months from March on begin at day (153 m + 2) / 5. Year 0 of
 * the common era is given one era more, so that nothing is negative. */
enum { ERA_YEARS = 400, ERA_DAYS = 146097, DAYS_TO_1970 = 719468 + ERA_DAYS, DAY_S = 86400 };

static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = year + ERA_YEARS - (month <= 2), m = (month + 9) % 12;
    int64_t in_era = y % ERA_YEARS;
    return y / ERA_YEARS * ERA_DAYS + in_era * 365 + in_era / 4 - in_era / 100 + (153 * m + 2) / 5 +
           day - 1 - DAYS_TO_1970;
}

static void digits(char *out, int count, int64_t n)
{
    for (; count > 0; n /= 10)
        out[--count] = (char)('0' + n % 10);
}

static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";

void clock_format(int64_t real_ms, char out[CLOCK_TEXT])
{
    int ms;
    int64_t s = seconds_of(clamped(real_ms), &ms) + (int64_t)DAYS_TO_1970 * DAY_S;
    int64_t in_day = s % DAY_S, days = s / DAY_S, in_era = days % ERA_DAYS;
    /* The days of an era without its leap days, by the lengths of 4, 100 and 400 years. */
    int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (y * 365 + y / 4 - y / 100), m = (5 * in_year + 2) / 153;
    int64_t year = days / ERA_DAYS * ERA_YEARS + y + (m >= 10) - ERA_YEARS;
    memcpy(out, shape, sizeof shape);
    digits(out, 4, year);
    digits(out + 5, 2, m < 10 ? m + 3 : m - 9);
    digits(out + 8, 2, in_year - (153 * m + 2) / 5 + 1);
    digits(out + 11, 2, in_day / 3600);
    digits(out + 14, 2, in_day / 60 % 60);
    digits(out + 17, 2, in_day % 60);
    digits(out + 20, 3, ms);
}

int clock_parse(const char *text, int64_t *real_ms)
{
    int field[7] = {0}, f = 0;
    for (size_t i = 0; i < sizeof shape; i++) {
        char c = text[i];
        if (shape[i] != 'd') {
            if (c != shape[i])
                return -1;
            f++;
        } else {
            if (c < '0' || c > '9')
                return -1;
            field[f] = field[f] * 10 + (c - '0');
        }
    }
    int64_t ms = (days_since_1970(field[0], field[1], field[2]) * DAY_S + field[3] * 3600 +
                  field[4] * 60 + field[5]) *
                     MS_PER_S +
                 field[6];
    /* Writing the time again shows whether the text named a real one, not 30 February or 25:00. */
    char again[CLOCK_TEXT];
    clock_format(ms, again);
    if (strcmp(again, text) != 0)
        return -1;
    *real_ms = ms;
    return 0;
}

void clock_local_day(int64_t real_ms, char out[16])
{
    int ms;
    /* A day inside the bounds, so that no time zone leaves the four-digit years. */
    int64_t at = clamped(real_ms);
    at = at < earliest + 86400000 ? earliest + 86400000
         : at > latest - 86400000 ? latest - 86400000
                                  : at;
    time_t s = seconds_of(at, &ms);
    struct tm t = {0};
    BUG_IF(!localtime_r(&s, &t));
    size_t n = strftime(out, 16, "%F", &t);
    size_t pad = n < 10 ? 10 - n : 0;
    memmove(out + pad, out, n + 1);
    memset(out, '0', pad);
}
