/* Numbers with what they are of: 1.5 GiB, 95%, 2h 30m, $15, 2024-03-01, 12:30, 1 234,5 мс. */
#include "backend/orchestrator/claims_internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct unit {
    const char *words;
    enum claims__unit unit;
    double factor;
    uint8_t base;
} UNITS[] = {
#define UNIT(words, unit, factor, base) {words, CLAIMS__##unit, factor, base},
#include "backend/orchestrator/claims_units.def"
#undef UNIT
};

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Whether a list of words has the word. */
static bool among(const char *list, const char *word, size_t len)
{
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, word, len) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

bool claims__number_unit(const char *word, size_t len, struct claims__number *n)
{
    enum { LONGEST = 32 };
    if (!len || len > LONGEST)
        return false;
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++) {
        const struct unit *u = &UNITS[i];
        if (!among(u->words, word, len))
            continue;
        n->unit = (uint8_t)u->unit;
        if (u->unit == CLAIMS__MONEY) {
            n->money = (char)u->factor;
            return true;
        }
        n->base = u->base;
        n->factor = u->factor;
        n->low *= u->factor;
        n->high *= u->factor;
        n->slack *= u->factor;
        return true;
    }
    return false;
}

void claims__number_words(claims__put *put, void *arg)
{
    static const struct {
        const char *words;
        int value;
    } NUMBERS[] = {
        {"zero ноль нуль", 0},
        {"one один одна одно одного одной", 1},
        {"two два две двух двумя", 2},
        {"three три трех трёх тремя", 3},
        {"four четыре четырех четырёх", 4},
        {"five пять пяти", 5},
        {"six шесть шести", 6},
        {"seven семь семи", 7},
        {"eight восемь восьми", 8},
        {"nine девять девяти", 9},
        {"ten десять десяти", 10},
        {"eleven одиннадцать", 11},
        {"twelve dozen двенадцать дюжина", 12},
        {"thirteen тринадцать", 13},
        {"fourteen четырнадцать", 14},
        {"fifteen пятнадцать", 15},
        {"sixteen шестнадцать", 16},
        {"seventeen семнадцать", 17},
        {"eighteen восемнадцать", 18},
        {"nineteen девятнадцать", 19},
        {"twenty двадцать", 20},
        {"thirty тридцать", 30},
        {"forty сорок", 40},
        {"fifty пятьдесят", 50},
        {"sixty шестьдесят", 60},
        {"hundred сто", 100},
    };
    static const char *const MONTHS[] = {"january jan январь января январе янв",
                                         "february feb февраль февраля феврале фев",
                                         "march mar март марта марте мар",
                                         "april apr апрель апреля апреле апр",
                                         "may май мая мае",
                                         "june jun июнь июня июне",
                                         "july jul июль июля июле",
                                         "august aug август августа августе авг",
                                         "september sep sept сентябрь сентября сентябре сен",
                                         "october oct октябрь октября октябре окт",
                                         "november nov ноябрь ноября ноябре ноя",
                                         "december dec декабрь декабря декабре дек"};
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++)
        put(arg, NUMBERS[i].words, CLAIMS__NUMERAL, NUMBERS[i].value);
    for (int i = 0; i < 12; i++)
        put(arg, MONTHS[i], CLAIMS__MONTH, i + 1);
    for (size_t i = 0; i < sizeof UNITS / sizeof *UNITS; i++)
        put(arg, UNITS[i].words, CLAIMS__UNIT, 0);
}

double claims__days(int year, int month, int day)
{
    /* Days from civil (Hinnant): March begins the year. */
    int y = month <= 2 ? year - 1 : year;
    int era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int within = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return (double)era * 146097 + within;
}

/* Exactly n digits at s, not followed by another: their value, else -1. */
static int fixed(const char *s, size_t len, size_t n)
{
    int value = 0;
    if (len < n || (len > n && digit(s[n])))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!digit(s[i]))
            return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

static bool is_date(int y, int m, int d)
{
    return y >= 1000 && m >= 1 && m <= 12 && d >= 1 && d <= 31;
}

/* 2024-03-01, 01.03.2024; its bytes, or 0. */
static size_t read_date(const char *s, size_t len, struct claims__number *out)
{
    int y = -1, m = -1, d = -1;
    if (len >= 10 && s[4] == '-' && s[7] == '-')
        y = fixed(s, 4, 4), m = fixed(s + 5, 2, 2), d = fixed(s + 8, len - 8, 2);
    else if (len >= 10 && s[2] == '.' && s[5] == '.')
        d = fixed(s, 2, 2), m = fixed(s + 3, 2, 2), y = fixed(s + 6, len - 6, 4);
    if (!is_date(y, m, d))
        return 0;
    *out = (struct claims__number){.unit = CLAIMS__DATE};
    out->low = out->high = claims__days(y, m, d);
    out->month_day = (int16_t)(m * 100 + d);
    return 10;
}

/* 12:30, 12:30:15 */
static size_t read_clock(const char *s, size_t len, struct claims__number *out)
{
    size_t n = len > 1 && s[1] == ':' ? 1 : 2;
    if (len < n + 3 || s[n] != ':' || (len > n + 3 && digit(s[n + 3])))
        return 0;
    int h = fixed(s, n, n), m = fixed(s + n + 1, len - n - 1, 2), sec = 0;
    if (h < 0 || h > 24 || m < 0 || m > 59)
        return 0;
    n += 3;
    *out = (struct claims__number){.unit = CLAIMS__CLOCK, .slack = 30};
    if (len >= n + 3 && s[n] == ':' && (sec = fixed(s + n + 1, len - n - 1, 2)) >= 0 && sec < 60) {
        n += 3;
        out->slack = 0.5;
    } else {
        sec = 0;
    }
    out->low = out->high = h * 3600.0 + m * 60.0 + sec;
    return n;
}

/* What may stand between thousands: a comma, a blank, one that does not break, a thin one. */
static size_t separator(const char *s, size_t len)
{
    if (s[0] == ',' || s[0] == ' ')
        return 1;
    if (len > 1 && memcmp(s, "\xC2\xA0", 2) == 0)
        return 2;
    return len > 2 && (memcmp(s, "\xE2\x80\xAF", 3) == 0 || memcmp(s, "\xE2\x80\x89", 3) == 0) ? 3
                                                                                               : 0;
}

/* Exactly three digits. */
static bool triple(const char *s, size_t len)
{
    return len >= 3 && digit(s[0]) && digit(s[1]) && digit(s[2]) && (len == 3 || !digit(s[3]));
}

/* Digits with separators: "1234", "1,234", "1 234", "1.5", "1,5". Returns bytes. */
static size_t read_digits(const char *s, size_t len, double *value, double *step)
{
    double v = 0, scale = 1;
    size_t i = 0, whole = 0;
    bool fraction = false, groups = false;
    *step = 1;
    for (; i < len && i < 40; i++) {
        if (digit(s[i])) {
            v = fraction ? v + (scale /= 10) * (s[i] - '0') : v * 10 + (s[i] - '0');
            whole += !fraction;
            if (fraction)
                *step = scale;
            continue;
        }
        if (fraction || i + 1 >= len)
            break;
        size_t gap = separator(s + i, len - i);
        if (gap && triple(s + i + gap, len - i - gap) && whole > 0 &&
            (groups ? whole == 3 : whole <= 3) && !(s[0] == '0' && !groups)) {
            groups = true;
            whole = 0;
            i += gap - 1;
            continue; /* thousands */
        }
        if ((s[i] == '.' || s[i] == ',') && digit(s[i + 1])) {
            fraction = true;
            continue;
        }
        break;
    }
    *value = v;
    return i;
}

/* The bytes of what may be a unit written to a number. */
static size_t unit_bytes(const char *s, size_t len)
{
    if (len && s[0] == '%')
        return 1;
    size_t i = 0;
    while (i < len && i < 16 &&
           ((unsigned char)s[i] >= 0x80 || (s[i] >= 'a' && s[i] <= 'z') ||
            (s[i] >= 'A' && s[i] <= 'Z') || (s[i] == '/' && i > 0)))
        i++;
    return i;
}

/* The unit that is written to a number or, behind a space, after it. */
static size_t read_unit(const char *s, size_t len, struct claims__number *n)
{
    char word[CLAIMS__FOLDED];
    size_t bytes = unit_bytes(s, len), used = claims__fold(s, bytes, word);
    return bytes && claims__number_unit(word, used, n) ? bytes : 0;
}

static char money_before(const char *s, size_t len, size_t *bytes)
{
    static const struct {
        const char *sign;
        char money;
    } SIGNS[] = {{"$", '$'}, {"€", 'E'}, {"£", 'P'}, {"₽", 'R'}};
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++) {
        size_t n = strlen(SIGNS[i].sign);
        if (len > n && memcmp(s, SIGNS[i].sign, n) == 0 && digit(s[n])) {
            *bytes = n;
            return SIGNS[i].money;
        }
    }
    *bytes = 0;
    return 0;
}

size_t claims__number_read(const char *s, size_t len, struct claims__number *out)
{
    size_t sign, used = read_date(s, len, out);
    if (used || (used = read_clock(s, len, out)))
        return used;
    char money = money_before(s, len, &sign);
    if (sign == len || !digit(s[sign]))
        return 0;
    double value, step;
    used = sign + read_digits(s + sign, len - sign, &value, &step);
    *out = (struct claims__number){.low = value, .high = value, .slack = step / 2, .factor = 1};
    if (money) {
        out->unit = CLAIMS__MONEY;
        out->money = money;
        return used;
    }
    size_t unit = read_unit(s + used, len - used, out);
    used += unit;
    /* 2h30m, 1m20s: one length of time */
    for (int parts = 0; unit && out->unit == CLAIMS__SECONDS && used < len && parts < 3; parts++) {
        size_t gap = s[used] == ' ' && used + 1 < len ? 1 : 0;
        struct claims__number more = {.slack = 0.5};
        if (!digit(s[used + gap]))
            break;
        size_t n = read_digits(s + used + gap, len - used - gap, &value, &step);
        more.low = more.high = value;
        size_t its = read_unit(s + used + gap + n, len - used - gap - n, &more);
        if (!its || more.unit != CLAIMS__SECONDS || more.slack >= out->slack)
            break;
        out->low += more.low;
        out->high += more.high;
        out->slack = more.slack;
        used += gap + n + its;
    }
    return used;
}

bool claims__numbers_comparable(const struct claims__number *a, const struct claims__number *b)
{
    bool counts = (a->unit == CLAIMS__COUNT && b->unit == CLAIMS__TIMES) ||
                  (a->unit == CLAIMS__TIMES && b->unit == CLAIMS__COUNT); /* 14 times, 14 changes */
    return counts || (a->unit == b->unit && (a->unit != CLAIMS__MONEY || a->money == b->money));
}

static double size_of(const struct claims__number *n)
{
    return fabs(isinf(n->low) ? n->high : n->low);
}

/* Whole ones that are exact say exactly that many: 3 pods are not 4. A figure with a unit is as
 * exact as it was written. */
static double slack_of(const struct claims__number *n)
{
    if (n->loose)
        return fmax(n->slack, 0.1 * size_of(n));
    if (n->unit == CLAIMS__COUNT && n->slack <= 0.5)
        return n->slack < 0.5 ? n->slack : 0;
    return fmin(n->slack, 0.15 * size_of(n));
}

static bool meet(double a_low, double a_high, double b_low, double b_high, double slack)
{
    return a_low <= b_high + slack && b_low <= a_high + slack;
}

bool claims__numbers_equal(const struct claims__number *a, const struct claims__number *b)
{
    if (a->unit == CLAIMS__DATE && (a->yearless || b->yearless))
        return a->month_day == b->month_day;
    /* The coarser one says how near they have to be; two alike must be the same. */
    double x = slack_of(a), y = slack_of(b);
    double slack = x == y && !a->loose ? 0 : fmax(x, y);
    slack += 1e-9 * fmax(size_of(a), size_of(b));
    if (meet(a->low, a->high, b->low, b->high, slack))
        return true;
    /* KB said for KiB and the other way round */
    if (a->base && b->base && a->base != b->base && a->low > 0 && b->low > 0 && !isinf(a->low) &&
        !isinf(b->low)) {
        double ratio = a->low > b->low ? a->low / b->low : b->low / a->low;
        double power = round(log(ratio) / log(1.024));
        double off = fabs(ratio / pow(1.024, power) - 1);
        return power >= 1 && power <= 5 && off < 0.004;
    }
    return false;
}
