/* RFC 8785, JSON Canonicalization Scheme: one byte string for one value. Members are sorted by the
 * UTF-16 code units of their names (section 3.2.3); numbers are written as ECMAScript's
 * Number::toString writes them (section 3.2.2.3). */
#include "backend/base/json.h"
#include "backend/base/text.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DEPTH = 512 };
static const int64_t max_integer = INT64_C(1) << 53;

static enum err write_value(const json_t *value, struct buf *out, int depth);

/* Adds one to the last digit of "d.ddde+xx"; false if that needs one more digit. */
static bool step_up(char *text)
{
    for (char *p = strchr(text, 'e') - 1; p >= text; p--) {
        if (*p >= '0' && *p < '9') {
            (*p)++;
            return true;
        }
        if (*p == '9')
            *p = '0';
    }
    return false;
}

/* The shortest decimal digits that read back as x (x > 0): fills digits, returns their number and
 * sets *point so that x = 0.DIGITS * 10^point. */
static int shortest_digits(double x, char digits[20], int *point)
{
    char text[40];
    /* A normal number with a form of up to 15 digits shows it, padded with zeros, at 15. */
    int precision = x < DBL_MIN ? 1 : 15;
    for (; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, x);
        if (precision == 17 || strtod(text, NULL) == x)
            break;
        /* Below a power of two doubles lie closer than above: the nearest 16 digits may read as
         * another number although the next ones read as x. */
        if (precision == 16 && step_up(text) && strtod(text, NULL) == x)
            break;
    }
    int n = 0;
    const char *p = text;
    /* What is no digit before the e is the locale's decimal point. */
    for (; *p != 'e'; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    *point = (int)strtol(p + 1, NULL, 10) + 1;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

static void add_zeros(struct buf *out, int n)
{
    while (n-- > 0)
        buf_addc(out, '0');
}

/* ECMA-262, Number::toString(x, 10), steps 5 to 12; n is point and k is count there. */
static enum err write_real(double x, struct buf *out)
{
    if (!isfinite(x))
        return ERR_INVALID;
    if (x == 0) {
        buf_addc(out, '0');
        return ERR_OK;
    }
    if (x < 0)
        buf_addc(out, '-');
    char digits[20];
    int point, count = shortest_digits(fabs(x), digits, &point);
    if (count <= point && point <= 21) {
        buf_add(out, digits, (size_t)count);
        add_zeros(out, point - count);
    } else if (0 < point && point < count) {
        buf_add(out, digits, (size_t)point);
        buf_addc(out, '.');
        buf_add(out, digits + point, (size_t)(count - point));
    } else if (-6 < point && point <= 0) {
        buf_adds(out, "0.");
        add_zeros(out, -point);
        buf_add(out, digits, (size_t)count);
    } else {
        buf_addc(out, digits[0]);
        if (count > 1) {
            buf_addc(out, '.');
            buf_add(out, digits + 1, (size_t)(count - 1));
        }
        buf_addf(out, "e%+d", point - 1);
    }
    return ERR_OK;
}

static void write_string(const char *s, size_t len, struct buf *out)
{
    static const char names[] = "btn?fr"; /* the short escapes of 8..13; 11 has none */
    buf_addc(out, '"');
    for (size_t i = 0; i < len; i++) {
        size_t plain = i;
        while (i < len && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
            i++;
        buf_add(out, s + plain, i - plain);
        if (i == len)
            break;
        unsigned char c = (unsigned char)s[i];
        if (c == '"' || c == '\\') {
            buf_addc(out, '\\');
            buf_addc(out, (char)c);
        } else if (c >= 8 && c <= 13 && c != 11) {
            buf_addc(out, '\\');
            buf_addc(out, names[c - 8]);
        } else {
            buf_addf(out, "\\u%04x", c);
        }
    }
    buf_addc(out, '"');
}

/* Orders code points as their UTF-16 forms: surrogates (D800..DFFF) stand before E000..FFFF. */
static uint32_t utf16_rank(uint32_t cp)
{
    return cp >= 0x10000 ? 0xd800 + cp : cp >= 0xe000 ? 0x200000 + cp : cp;
}

static int compare_keys(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t nx = strlen(x), ny = strlen(y);
    for (;;) {
        uint32_t cx = 0, cy = 0;
        size_t lx = text_decode(x, nx, &cx), ly = text_decode(y, ny, &cy);
        if (lx == 0 || ly == 0)
            return (lx != 0) - (ly != 0);
        if (cx != cy)
            return utf16_rank(cx) < utf16_rank(cy) ? -1 : 1;
        x += lx;
        nx -= lx;
        y += ly;
        ny -= ly;
    }
}

static enum err write_object(const json_t *value, struct buf *out, int depth)
{
    size_t count = json_object_size(value), i = 0;
    const char **keys = xcalloc(count, sizeof *keys);
    for (void *it = json_object_iter((json_t *)value); it;
         it = json_object_iter_next((json_t *)value, it))
        keys[i++] = json_object_iter_key(it);
    qsort(keys, count, sizeof *keys, compare_keys);
    enum err err = ERR_OK;
    buf_addc(out, '{');
    for (i = 0; i < count && err == ERR_OK; i++) {
        if (i)
            buf_addc(out, ',');
        write_string(keys[i], strlen(keys[i]), out);
        buf_addc(out, ':');
        err = write_value(json_object_get(value, keys[i]), out, depth);
    }
    buf_addc(out, '}');
    free(keys);
    return err;
}

static enum err write_array(const json_t *value, struct buf *out, int depth)
{
    enum err err = ERR_OK;
    buf_addc(out, '[');
    for (size_t i = 0; i < json_array_size(value) && err == ERR_OK; i++) {
        if (i)
            buf_addc(out, ',');
        err = write_value(json_array_get(value, i), out, depth);
    }
    buf_addc(out, ']');
    return err;
}

static enum err write_value(const json_t *value, struct buf *out, int depth)
{
    if (!value || depth > MAX_DEPTH)
        return ERR_INVALID;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return write_object(value, out, depth + 1);
    case JSON_ARRAY:
        return write_array(value, out, depth + 1);
    case JSON_STRING:
        write_string(json_string_value(value), json_string_length(value), out);
        return ERR_OK;
    case JSON_INTEGER: {
        int64_t n = json_integer_value(value);
        if (n > max_integer || n < -max_integer)
            return ERR_INVALID;
        buf_addf(out, "%lld", (long long)n);
        return ERR_OK;
    }
    case JSON_REAL:
        return write_real(json_real_value(value), out);
    case JSON_TRUE:
        buf_adds(out, "true");
        return ERR_OK;
    case JSON_FALSE:
        buf_adds(out, "false");
        return ERR_OK;
    case JSON_NULL:
        buf_adds(out, "null");
        return ERR_OK;
    }
    return ERR_INVALID;
}

enum err jcs_write(const json_t *value, struct buf *out)
{
    size_t before = out->len;
    enum err err = write_value(value, out, 0);
    if (err != ERR_OK && out->data) { /* nothing half-written stays */
        out->len = before;
        out->data[before] = '\0';
    }
    return err;
}
