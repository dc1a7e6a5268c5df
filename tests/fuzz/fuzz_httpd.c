/* The head of an HTTP request from a stranger, and a body in chunks: what is taken for whole has
 * the form that was promised, and depends neither on what comes behind it nor on how it came. */
#include "backend/base/httpd.h"

#include <stdlib.h>
#include <string.h>

/* In pieces of `step` bytes; what is left over of one stands before the next. */
static int in_pieces(const uint8_t *data, size_t size, size_t step, struct buf *body, size_t *used)
{
    enum { MOST = 300 };
    struct httpd__chunks k = {0};
    int status = 0;
    size_t at = 0, end = 0;
    while (status == 0 && end < size) {
        size_t n;
        end = size - end > step ? end + step : size;
        char *piece = xcalloc(1, end - at + 1);
        memcpy(piece, data + at, end - at);
        status = httpd__chunks_read(&k, piece, end - at, MOST, &n, body);
        BUG_IF(n > end - at || body->len > MOST);
        at += n;
        free(piece);
    }
    *used = at;
    return status;
}

static void chunks(const uint8_t *data, size_t size)
{
    struct buf whole = {0}, pieces = {0};
    size_t used, again;
    int status = in_pieces(data, size, size ? size : 1, &whole, &used);
    BUG_IF(status != 0 && status != 200 && status != 400 && status != 413 && status != 431);
    for (size_t step = 1; step < 8; step += 3) {
        buf_clear(&pieces);
        BUG_IF(in_pieces(data, size, step, &pieces, &again) != status);
        BUG_IF(status == 200 && (again != used || pieces.len != whole.len ||
                                 (whole.len && memcmp(pieces.data, whole.data, whole.len) != 0)));
    }
    buf_release(&whole);
    buf_release(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct httpd__head head, again;
    chunks(data, size);
    char *bytes = xcalloc(1, size + 1);
    memcpy(bytes, data, size);
    int status = httpd__head_read(bytes, size, &head);
    if (status == 200) {
        BUG_IF(head.len > size || head.len > HTTPD_HEAD_MAX || head.body < 0);
        BUG_IF(memcmp(bytes + head.len - 4, "\r\n\r\n", 4) != 0);
        BUG_IF(!memchr(head.method, '\0', sizeof head.method) ||
               !memchr(head.path, '\0', sizeof head.path));
        BUG_IF(!*head.method || !*head.path || strpbrk(head.path, " \r\n"));
        char *alone = xcalloc(1, head.len); /* its end where a sanitizer sees it */
        memcpy(alone, bytes, head.len);
        BUG_IF(httpd__head_read(alone, head.len, &again) != 200 || again.body != head.body);
        free(alone);
    } else {
        BUG_IF(status != 0 && (status < 400 || status > 505));
    }
    free(bytes);
    return 0;
}
