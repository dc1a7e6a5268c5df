/* Files that a pane writes: exports. */
#include "views/common.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int view_file_new(const char *path)
{
    int fd = *path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        struct error e = {0};
        err_set_errno(&e, _("export"), path);
        tui_error(&e, NULL);
    }
    return fd;
}

bool view_file_write(int fd, const void *bytes, size_t len)
{
    for (const char *at = bytes; len;) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}
