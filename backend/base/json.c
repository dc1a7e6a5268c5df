#include "backend/base/json.h"
#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

const char *json_str(const json_t *object, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : otherwise;
}

int64_t json_int(const json_t *object, const char *key, int64_t otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_integer(v) ? json_integer_value(v) : otherwise;
}

double json_num(const json_t *object, const char *key, double otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool json_flag(const json_t *object, const char *key, bool otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

/* The depth of arrays and objects in JSON text, counted outside strings. Right for valid text; for
 * invalid text the parser reports its own error. jansson's fixed bound of 2048 is too deep for the
 * recursive users of a tree. */
static int depth_of(const char *s, size_t len)
{
    int depth = 0, most = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (in_string) {
            if (s[i] == '\\')
                i++;
            else if (s[i] == '"')
                in_string = false;
        } else if (s[i] == '"') {
            in_string = true;
        } else if (s[i] == '[' || s[i] == '{') {
            if (++depth > most)
                most = depth;
        } else if (s[i] == ']' || s[i] == '}') {
            depth--;
        }
    }
    return most;
}

json_t *json_read(const char *bytes, size_t len, size_t max_len, int max_depth, struct error *e)
{
    if (len > max_len) {
        err_set(e, ERR_TOO_BIG, "JSON text of %zu bytes; the limit is %zu", len, max_len);
        return NULL;
    }
    if (depth_of(bytes, len) > max_depth) {
        err_set(e, ERR_TOO_BIG, "JSON text nested deeper than %d", max_depth);
        return NULL;
    }
    json_error_t why;
    json_t *value = json_loadb(bytes, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!value)
        err_set(e, ERR_INVALID, "JSON line %d, column %d: %s", why.line, why.column, why.text);
    return value;
}

/* ---- some members of an object */

/* Behind the string that begins behind `at`; 0: it does not end. */
static size_t string_end(const char *s, size_t at, size_t len)
{
    for (const char *from = s + at, *quote; (quote = memchr(from, '"', (size_t)(s + len - from)));
         from = quote + 1) {
        size_t slashes = 0;
        while (quote - slashes > s + at && quote[-1 - (ptrdiff_t)slashes] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            return (size_t)(quote + 1 - s);
    }
    return 0;
}

/* Behind the value that begins at `at`; 0: it does not end. */
static size_t value_end(const char *s, size_t at, size_t len)
{
    int depth = 0;
    while (at < len) {
        char c = s[at];
        if (c == '"') {
            at = string_end(s, at + 1, len);
            if (!at || !depth)
                return at;
            continue;
        }
        if (!depth && (c == ',' || c == '}' || c == ']'))
            return at;
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        at++;
        if (!depth && (c == '}' || c == ']'))
            return at;
    }
    return 0;
}

enum { MOST_NAMES = 24 };

/* What of a member is wanted: *inner of count 0: all of it. False: nothing. */
static bool is_wanted(const char *key, size_t len, const struct json_members *wanted,
                      const char *inner_names[MOST_NAMES], struct json_members *inner)
{
    bool named = false;
    *inner = (struct json_members){.names = inner_names, .others = wanted->others};
    for (size_t i = 0; i < wanted->count; i++) {
        const char *name = wanted->names[i];
        if (strlen(name) < len || memcmp(name, key, len) != 0)
            continue;
        named = named || !name[len];
        if (name[len] == '.' && inner->count < MOST_NAMES)
            inner_names[inner->count++] = name + len + 1;
    }
    if (named)
        inner->count = 0;
    return wanted->others ? !named : named || inner->count;
}

static json_t *members_of(const char *s, size_t len, int max_depth,
                          const struct json_members *wanted);
static json_t *items_of(const char *s, size_t len, int max_depth,
                        const struct json_members *wanted);

static json_t *member_value(const char *s, size_t len, int max_depth,
                            const struct json_members *inner)
{
    return inner->count && *s == '{'   ? members_of(s, len, max_depth, inner)
           : inner->count && *s == '[' ? items_of(s, len, max_depth, inner)
                                       : json_read(s, len, len, max_depth, NULL);
}

/* The same of each item of a list. */
static json_t *items_of(const char *s, size_t len, int max_depth, const struct json_members *wanted)
{
    json_t *out = json_array();
    size_t at = 1;
    while (at < len && s[at] != ']') {
        size_t end = value_end(s, at, len);
        json_t *one = end > at ? member_value(s + at, end - at, max_depth, wanted) : NULL;
        if (!one)
            break;
        json_array_append_new(out, one);
        at = end + (end < len && s[end] == ',');
    }
    if (at + 1 == len && s[at] == ']')
        return out;
    json_decref(out);
    return NULL;
}

/* NULL: it is not written as this program writes. */
static json_t *members_of(const char *s, size_t len, int max_depth,
                          const struct json_members *wanted)
{
    json_t *out = json_object();
    const char *inner_names[MOST_NAMES];
    struct json_members inner;
    size_t at = 1;
    while (at < len && s[at] == '"') {
        size_t key = at + 1, key_end = string_end(s, key, len);
        size_t value = key_end + 1, end = key_end ? value_end(s, value, len) : 0;
        if (!end || s[key_end] != ':' || memchr(s + key, '\\', key_end - key))
            break;
        if (is_wanted(s + key, key_end - 1 - key, wanted, inner_names, &inner)) {
            json_t *one = member_value(s + value, end - value, max_depth, &inner);
            if (!one)
                break;
            json_object_setn_new(out, s + key, key_end - 1 - key, one);
        }
        at = end + (end < len && s[end] == ',');
    }
    if (at + 1 == len && s[at] == '}')
        return out;
    json_decref(out);
    return NULL;
}

json_t *json_read_members(const char *bytes, size_t len, size_t max_len, int max_depth,
                          const struct json_members *wanted, struct error *e)
{
    json_t *some = wanted && len > 1 && len <= max_len && *bytes == '{'
                       ? members_of(bytes, len, max_depth, wanted)
                       : NULL;
    return some ? some : json_read(bytes, len, max_len, max_depth, e);
}

/* What jansson's compact form is, at a fraction of its time: it hands each few bytes to a function.
 */
static void write_string(struct buf *out, const char *s, size_t len)
{
    buf_reserve(out, len + 2);
    buf_addc(out, '"');
    for (size_t i = 0, from = 0; i <= len; i++) {
        unsigned char x = i < len ? (unsigned char)s[i] : 0;
        if (i < len && x >= ' ' && x != '"' && x != '\\')
            continue;
        buf_add(out, s + from, i - from);
        from = i + 1;
        static const char names[] = "\b\f\n\r\t", letters[] = "bfnrt";
        const char *named = x ? memchr(names, x, sizeof names - 1) : NULL;
        if (i == len)
            break;
        if (x == '"' || x == '\\')
            buf_addf(out, "\\%c", x);
        else if (named)
            buf_addf(out, "\\%c", letters[named - names]);
        else
            buf_addf(out, "\\u%04X", x);
    }
    buf_addc(out, '"');
}

static void write_value(struct buf *out, const json_t *v, int depth);

static void write_object(struct buf *out, const json_t *object, int depth)
{
    const char *between = "{";
    json_t *members = (json_t *)object; /* an iterator asks for what may be changed */
    for (void *i = json_object_iter(members); i; i = json_object_iter_next(members, i)) {
        const char *key = json_object_iter_key(i);
        buf_adds(out, between);
        write_string(out, key, strlen(key));
        buf_addc(out, ':');
        write_value(out, json_object_iter_value(i), depth + 1);
        between = ",";
    }
    buf_adds(out, *between == '{' ? "{}" : "}");
}

static void write_value(struct buf *out, const json_t *v, int depth)
{
    enum { DEEPEST = 2048 }; /* as jansson reads */
    BUG_IF(depth > DEEPEST);
    if (json_is_object(v)) {
        write_object(out, v, depth);
    } else if (json_is_array(v)) {
        buf_addc(out, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                buf_addc(out, ',');
            write_value(out, json_array_get(v, i), depth + 1);
        }
        buf_addc(out, ']');
    } else if (json_is_string(v)) {
        write_string(out, json_string_value(v), json_string_length(v));
    } else if (json_is_integer(v)) {
        buf_addf(out, "%lld", (long long)json_integer_value(v));
    } else {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        BUG_IF(!text);
        buf_adds(out, text);
        free(text);
    }
}

char *json_write(const json_t *value)
{
    struct buf out = {0};
    BUG_IF(!value);
    write_value(&out, value, 0);
    return buf_take(&out);
}

void json_put(json_t *object, const char *key, json_t *value)
{
    BUG_IF(!value);
    BUG_IF(json_object_set_new(object, key, value) != 0);
}

void json_puts(json_t *object, const char *key, const char *text)
{
    json_put(object, key, json_text(text, strlen(text)));
}

void json_puti(json_t *object, const char *key, int64_t number)
{
    json_put(object, key, json_integer(number));
}

json_t *json_some(const json_t *object, const char *const *keys, size_t count)
{
    json_t *some = json_object();
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(object, keys[i]);
        if (value)
            json_put(some, keys[i], json_deep_copy(value));
    }
    return some;
}

json_t *json_text(const char *bytes, size_t len)
{
    json_t *value = json_stringn(bytes ? bytes : "", bytes ? len : 0);
    if (value && !memchr(json_string_value(value), '\0', len))
        return value;
    /* A NUL is replaced too: json_read refuses \u0000, so it must never be written. */
    json_decref(value);
    struct buf b = {0};
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = text_decode(bytes + i, len - i, &cp);
        if ((cp & TEXT_BAD) || cp == 0)
            buf_adds(&b, "\xef\xbf\xbd");
        else
            buf_add(&b, bytes + i, n);
        i += n;
    }
    value = json_stringn(b.data ? b.data : "", b.len);
    buf_release(&b);
    BUG_IF(!value);
    return value;
}
