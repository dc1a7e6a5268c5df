/* Any bytes: what is read has one canonical form, and reading that form gives it again. */
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Members of what this program wrote are those that the whole has. */
static void members(const char *text, size_t len, const json_t *whole)
{
    const char *names[] = {"a", "b.c"};
    const struct json_members rest = {names, 2, true};
    struct json_members one = {names, 1, false};
    json_decref(json_read_members(text, len, SIZE_MAX, 32, &rest, NULL));
    if (!json_object_size(whole))
        return;
    names[0] = json_object_iter_key(json_object_iter((json_t *)whole));
    json_t *some = json_read_members(text, len, SIZE_MAX, 32, &one, NULL);
    BUG_IF(!json_equal(json_object_get(some, names[0]), json_object_get(whole, names[0])) &&
           !strchr(names[0], '.'));
    json_decref(some);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    json_t *text = json_text((const char *)data, size);
    json_decref(text);
    json_t *value = json_read((const char *)data, size, 65536, 32, &e);
    BUG_IF((value == NULL) != (e.code != ERR_OK));
    const struct json_members some = {(const char *const[]){"a", "b.c"}, 2, false};
    json_decref(json_read_members((const char *)data, size, 65536, 32, &some, NULL));
    if (!value)
        return 0;
    free(json_write(value));
    struct buf once = {0}, twice = {0};
    if (jcs_write(value, &once) == ERR_OK) {
        json_t *again = json_read(once.data, once.len, SIZE_MAX, 32, &e);
        /* A real of many digits is written as an integer that may be too large to be read. */
        if (again && jcs_write(again, &twice) == ERR_OK)
            BUG_IF(once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0);
        if (again)
            members(once.data, once.len, again);
        json_decref(again);
    } else {
        BUG_IF(once.len != 0);
    }
    buf_release(&once);
    buf_release(&twice);
    json_decref(value);
    return 0;
}
