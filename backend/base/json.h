/* Helpers over jansson. Getters take foreign objects: a missing or wrongly typed member gives the
 * default, never a crash. Returned strings belong to the object. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

const char *json_str(const json_t *object, const char *key, const char *otherwise);
int64_t json_int(const json_t *object, const char *key, int64_t otherwise);
double json_num(const json_t *object, const char *key, double otherwise);
bool json_flag(const json_t *object, const char *key, bool otherwise);
/* Parses with bounds (bytes, nesting depth); NULL with *e set. Duplicate keys and trailing bytes
 * are refused. The caller owns the result. */
json_t *json_read(const char *bytes, size_t len, size_t max_len, int max_depth, struct error *e);
/* Members of an object: those of the names, or all others. "a.b" is the member b of the object a,
 * or of each object of the list a.
 */
struct json_members {
    const char *const *names;
    size_t count;
    bool others;
};
/* The same for an object of which only these members are parsed; NULL: all. Of the rest it is only
 * looked where it ends: for text that this program wrote. */
json_t *json_read_members(const char *bytes, size_t len, size_t max_len, int max_depth,
                          const struct json_members *wanted, struct error *e);
/* Compact text, keys in insertion order. The caller frees. Never NULL. */
char *json_write(const json_t *value);
/* Appends the value as RFC 8785 (JCS) canonical JSON. Integers beyond 2^53 and what JCS cannot hold
 * are refused: ERR_INVALID. */
enum err jcs_write(const json_t *value, struct buf *out);
/* Sets object[key] = value, taking the reference; a NULL value is a bug. */
void json_put(json_t *object, const char *key, json_t *value);
void json_puts(json_t *object, const char *key,
               const char *text); /* invalid UTF-8 becomes U+FFFD */
void json_puti(json_t *object, const char *key, int64_t number);
/* A new object with copies of those of the keys that the object has. The caller owns it. */
json_t *json_some(const json_t *object, const char *const *keys, size_t count);
/* A string from bytes that may be invalid UTF-8: each bad byte becomes U+FFFD. Never NULL. */
json_t *json_text(const char *bytes, size_t len);

#endif
