/* What the gateway learnt of tokens, kept in STATE/tokens.json over restarts. The file is a help,
 * not evidence: one that is missing or damaged means learning anew. */
#include "backend/gateway/fit.h"
#include "backend/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME "tokens.json"
enum { FILE_MAX = 4 << 20, DEPTH = 16 };

void backend__learnt_read(struct backend *b)
{
    char *path = xasprintf("%s/" FILE_NAME, b->state_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct buf text = {0};
    char part[16384];
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && text.len <= FILE_MAX) {
        n = read(fd, part, sizeof part);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            buf_add(&text, part, (size_t)n);
    }
    json_t *kept = text.len ? json_read(text.data, text.len, FILE_MAX, DEPTH, NULL) : NULL;
    gw_learn_from(b->gw, kept);
    json_decref(kept);
    buf_release(&text);
    if (fd >= 0)
        close(fd);
    free(path);
}

struct writing {
    char *dir, *text;
};

static void write_file(void *arg)
{
    struct writing *w = arg;
    struct error e;
    conf_write_file(w->dir, FILE_NAME, w->text, strlen(w->text), &e); /* the next one may succeed */
}

static void written(void *arg, bool cancelled)
{
    struct writing *w = arg;
    (void)cancelled;
    free(w->dir);
    free(w->text);
    free(w);
}

void backend__learnt_write(struct backend *b, bool now)
{
    if (!b->gw || !b->state_dir || !gw_learnt_anew(b->gw))
        return;
    struct writing *w = xcalloc(1, sizeof *w);
    json_t *learnt = gw_learnt(b->gw);
    w->dir = xstrdup(b->state_dir);
    w->text = json_write(learnt);
    json_decref(learnt);
    if (now) {
        write_file(w);
        written(w, false);
    } else {
        loop_work(b->loop, write_file, written, w);
    }
}
