/* The head of an HTTP request from a stranger: what is taken for whole has the form that was
 * promised, and does not depend on what comes behind it. */
#include "backend/base/httpd.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct httpd__head head, again;
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
