/* Any bytes: what is read has one canonical form, and reading that form gives it again. */
#include "backend/base/errors.h"
#include "backend/base/json.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error e = {0};
    json_t *text = json_text((const char *)data, size);
    json_decref(text);
    json_t *value = json_read((const char *)data, size, 65536, 32, &e);
    BUG_IF((value == NULL) != (e.code != ERR_OK));
    if (!value)
        return 0;
    free(json_write(value));
    struct buf once = {0}, twice = {0};
    if (jcs_write(value, &once) == ERR_OK) {
        json_t *again = json_read(once.data, once.len, SIZE_MAX, 32, &e);
        /* A real of many digits is written as an integer that may be too large to be read. */
        if (again && jcs_write(again, &twice) == ERR_OK)
            BUG_IF(once.len != twice.len || memcmp(once.data, twice.data, once.len) != 0);
        json_decref(again);
    } else {
        BUG_IF(once.len != 0);
    }
    buf_release(&once);
    buf_release(&twice);
    json_decref(value);
    return 0;
}
