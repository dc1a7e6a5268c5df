#include "backend/base/clock.h"
#include "backend/base/errors.h"
#include <stdio.h>
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

void clock_format(int64_t real_ms, char out[CLOCK_TEXT])
{
    int ms;
    time_t s = seconds_of(clamped(real_ms), &ms);
    struct tm t = {0};
    BUG_IF(!gmtime_r(&s, &t));
    size_t n = strftime(out, CLOCK_TEXT - 6, "%FT%T", &t);
    /* glibc writes years below 1000 without leading zeros. */
    size_t pad = n < 19 ? 19 - n : 0;
    memmove(out + pad, out, n + 1);
    memset(out, '0', pad);
    snprintf(out + 19, CLOCK_TEXT - 19, ".%03dZ", ms);
}

int clock_parse(const char *text, int64_t *real_ms)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
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
    struct tm t = {.tm_year = field[0] - 1900,
                   .tm_mon = field[1] - 1,
                   .tm_mday = field[2],
                   .tm_hour = field[3],
                   .tm_min = field[4],
                   .tm_sec = field[5]};
    int64_t ms = (int64_t)timegm(&t) * MS_PER_S + field[6];
    /* timegm accepts 30 February; writing the time again shows whether the text named a real one.
     */
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
