/* Any bytes as a configuration: it loads, or one problem names the file and the line. */
#include "backend/base/conf.h"
#include "backend/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("conf", MFD_CLOEXEC);
    BUG_IF(fd < 0 || write(fd, data, size) != (ssize_t)size);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct error e = {0};
    struct conf *c = conf_load(path, &e);
    BUG_IF((c == NULL) != (e.code != ERR_OK));
    BUG_IF(!c && strncmp(e.detail, path, strlen(path)) != 0);
    const char *names[8];
    size_t n = c ? conf_names(c, "model", names, 8) : 0;
    for (size_t i = 0; i < n && i < 8; i++) {
        BUG_IF(conf_int(c, "model", names[i], "context") < 256);
        BUG_IF(strlen(conf_where(c, "model", names[i], "kind")) == 0);
    }
    conf_free(c);
    close(fd);
    return 0;
}
