/* Texts, times and money of the HTTP connectors. Pure. */
#include "backend/base/text.h"
#include "backend/connectors/rest.h"
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int64_t nano_per_unit = 1000000000;
static const int64_t longest_s = 10LL * 366 * 86400;

void rest__escape(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++) {
        if (isalnum((unsigned char)*p) || strchr("-._~", *p))
            buf_addc(out, *p);
        else
            buf_addf(out, "%%%02X", (unsigned char)*p);
    }
}

void rest__query(struct buf *path, const char *key, const char *value)
{
    buf_addc(path, path->data && strchr(path->data, '?') ? '&' : '?');
    rest__escape(path, key);
    buf_addc(path, '=');
    rest__escape(path, value);
}

/* One step of a pointer, its ~0 and ~1 undone; false if it is longer than a key may be. */
static bool pointer_step(const char **at, char key[256])
{
    size_t n = 0;
    const char *p = *at + 1;
    for (; *p && *p != '/'; p++) {
        if (n == 255)
            return false;
        if (*p == '~' && (p[1] == '0' || p[1] == '1'))
            key[n++] = *++p == '0' ? '~' : '/';
        else
            key[n++] = *p;
    }
    key[n] = '\0';
    *at = p;
    return true;
}

const json_t *rest__at(const json_t *value, const char *pointer)
{
    char key[256];
    while (value && *pointer == '/') {
        if (!pointer_step(&pointer, key))
            return NULL;
        if (json_is_array(value)) {
            char *end;
            unsigned long long i = strtoull(key, &end, 10);
            bool index = isdigit((unsigned char)*key) && !*end && (*key != '0' || !key[1]);
            value = index && i < json_array_size(value) ? json_array_get(value, (size_t)i) : NULL;
        } else {
            value = json_object_get(value, key);
        }
    }
    return *pointer ? NULL : value;
}

static void add_bounded(struct buf *out, const char *text, size_t max)
{
    size_t len = strlen(text);
    if (len <= max) {
        buf_add(out, text, len);
        return;
    }
    while (max > 0 && ((unsigned char)text[max] & 0xc0) == 0x80)
        max--;
    buf_add(out, text, max);
    buf_adds(out, "...");
}

void rest__words(const json_t *value, size_t max, struct buf *out)
{
    if (json_is_string(value))
        add_bounded(out, json_string_value(value), max);
    else if (json_is_integer(value))
        buf_addf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        buf_addf(out, "%.15g", json_real_value(value));
    else if (json_is_boolean(value))
        buf_adds(out, json_is_true(value) ? "true" : "false");
}

char *rest__name(const json_t *value)
{
    struct buf words = {0};
    rest__words(value, 512, &words);
    char *clean = host__clean(words.len ? words.data : "?");
    buf_release(&words);
    return clean;
}

char *rest__reason(const json_t *value)
{
    struct buf words = {0};
    rest__words(value, 300, &words);
    char *clean = text_cleaned(words.len ? words.data : "?", TEXT_ONE_LINE);
    buf_release(&words);
    return clean;
}

char *rest__basic(const char *user, const char *password)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *pair = xasprintf("%s:%s", user, password);
    size_t len = strlen(pair);
    struct buf b = {0};
    buf_reserve(&b, 64 + len * 2); /* so that no copy stays behind */
    buf_adds(&b, "Authorization: Basic ");
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)(unsigned char)pair[i] << 16;
        v |= i + 1 < len ? (unsigned)(unsigned char)pair[i + 1] << 8 : 0;
        v |= i + 2 < len ? (unsigned)(unsigned char)pair[i + 2] : 0;
        buf_addc(&b, digits[v >> 18]);
        buf_addc(&b, digits[v >> 12 & 63]);
        buf_addc(&b, i + 1 < len ? digits[v >> 6 & 63] : '=');
        buf_addc(&b, i + 2 < len ? digits[v & 63] : '=');
    }
    explicit_bzero(pair, len);
    free(pair);
    return buf_take(&b);
}

/* ---- money */

bool rest__nano(const json_t *value, int64_t *nano)
{
    char text[64];
    if (json_is_integer(value)) {
        json_int_t units = json_integer_value(value);
        if (units > 1000000000 || units < -1000000000)
            return false;
        *nano = units * nano_per_unit;
        return true;
    }
    /* A decimal of up to 15 digits comes back from a double as it was written (IEEE 754). */
    if (json_is_real(value) && fabs(json_real_value(value)) < 1e9) {
        snprintf(text, sizeof text, "%.*f", 9, json_real_value(value));
        char digits[64];
        snprintf(digits, sizeof digits, "%.15g", json_real_value(value));
        if (!strpbrk(digits, "eE") && strlen(digits) < sizeof text)
            memcpy(text, digits, strlen(digits) + 1);
    } else if (json_is_string(value) && json_string_length(value) < sizeof text) {
        memcpy(text, json_string_value(value), json_string_length(value) + 1);
    } else {
        return false;
    }
    char *point = strchr(text, '.');
    if (json_is_real(value) && point && strlen(point) > 10)
        point[10] = '\0'; /* beyond a billionth of a unit */
    bool minus = *text == '-';
    int64_t amount;
    if (!text_decimal(text + minus, &amount))
        return false;
    *nano = minus ? -amount : amount;
    return true;
}

void rest__money(int64_t nano, char out[32])
{
    uint64_t n = nano < 0 ? -(uint64_t)nano : (uint64_t)nano, unit = (uint64_t)nano_per_unit;
    snprintf(out, 32, "%s%" PRIu64 ".%09" PRIu64, nano < 0 ? "-" : "", n / unit, n % unit);
    char *end = out + strlen(out), *least = strchr(out, '.') + 3;
    while (end > least && end[-1] == '0')
        *--end = '\0';
}

void rest__put_money(json_t *object, const char *key, bool known, int64_t nano)
{
    char text[32];
    rest__money(nano, text);
    json_put(object, key, known ? json_string(text) : json_null());
}

void rest__currency(const json_t *value, char out[4])
{
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    memset(out, 0, 4);
    if (strlen(text) != 3)
        return;
    for (int i = 0; i < 3; i++) {
        if (!isalpha((unsigned char)text[i])) {
            *out = '\0';
            return;
        }
        out[i] = (char)toupper((unsigned char)text[i]);
    }
    if (strcmp(out, "RUR") == 0) /* the code before 1998, still seen */
        memcpy(out, "RUB", 4);
}

/* ---- times */

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    case 'w':
        return 7 * 86400;
    default:
        return 0;
    }
}

bool rest__duration(const char *text, int64_t *seconds)
{
    int64_t sum = 0;
    if (!*text)
        return false;
    while (*text) {
        int64_t n = 0;
        if (!isdigit((unsigned char)*text))
            return false;
        for (; isdigit((unsigned char)*text); text++) {
            n = n * 10 + (*text - '0');
            if (n > longest_s)
                return false;
        }
        int64_t unit = unit_seconds(*text);
        if (!unit)
            return false;
        text++;
        sum += n * unit;
        if (sum > longest_s)
            return false;
    }
    *seconds = sum;
    return true;
}

static bool read_rfc3339(const char *text, int64_t *ms)
{
    struct tm tm = {0};
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!p || tm.tm_year < 70 || tm.tm_year > 1100)
        return false;
    int64_t milli = 0, zone = 0;
    if (*p == '.') {
        int64_t weight = 100;
        for (p++; isdigit((unsigned char)*p); p++, weight /= 10)
            milli += (*p - '0') * weight;
    }
    if (*p == '+' || *p == '-') {
        unsigned hours, minutes;
        int used = 0;
        if (sscanf(p + 1, "%2u:%2u%n", &hours, &minutes, &used) != 2 || used != 5 || p[6] ||
            hours > 23 || minutes > 59)
            return false;
        zone = (int64_t)(hours * 60 + minutes) * 60 * (*p == '-' ? -1 : 1);
    } else if (strcmp(p, "Z") != 0 && strcmp(p, "z") != 0) {
        return false;
    }
    *ms = ((int64_t)timegm(&tm) - zone) * 1000 + milli;
    return true;
}

bool rest__time(const char *text, int64_t now_ms, int64_t *ms)
{
    if (strncmp(text, "now", 3) == 0) {
        int64_t seconds = 0;
        if (text[3] == '-' && !rest__duration(text + 4, &seconds))
            return false;
        if (text[3] && text[3] != '-')
            return false;
        *ms = now_ms - seconds * 1000;
        return true;
    }
    char *end;
    if (isdigit((unsigned char)*text) && strlen(text) < 16 && !strchr(text, '-')) {
        double seconds = strtod(text, &end);
        if (*end || !(seconds < 4e10))
            return false;
        *ms = (int64_t)(seconds * 1000);
        return true;
    }
    return read_rfc3339(text, ms);
}

void rest__stamp(int64_t ms, char out[32])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
        snprintf(out, 32, "?");
}

char *rest__labels(const json_t *labels, const char *but)
{
    struct buf text = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)labels, key, value)
    {
        if (strcmp(key, "__name__") == 0 || strcmp(key, but) == 0)
            continue;
        if (text.len > 160) {
            buf_adds(&text, ", ...");
            break;
        }
        char *k = host__clean(key), *v = rest__name(value);
        buf_addf(&text, "%s%s=%s", text.len ? ", " : "{", k, v);
        free(k);
        free(v);
    }
    if (text.len)
        buf_addc(&text, '}');
    return buf_take(&text);
}
