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
        err_set(e, ERR_INVALID, "JSON byte %d: %s", why.position, why.text);
    return value;
}

char *json_write(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    BUG_IF(!text);
    return text;
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
