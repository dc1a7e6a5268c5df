/* A folder of the user's runbooks. */
#include "backend/knowledge/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 20000, FILE_BYTES = 1 << 20, DEPTH_MAX = 32 };

struct skipped {
    size_t count;
    char first[160]; /* what and why */
};

static void skip(struct skipped *s, const char *path, const char *why)
{
    if (s->count++ == 0) {
        size_t len = strlen(path);
        const char *tail = len > 90 ? path + len - 90 : path;
        while (len > 90 && ((unsigned char)*tail & 0xC0) == 0x80)
            tail++;
        struct buf text = {0};
        buf_addf(&text, "%s%s: %s", len > 90 ? "\xE2\x80\xA6" : "", tail, why);
        size_t n = text.len < sizeof s->first - 1 ? text.len : sizeof s->first - 1;
        memcpy(s->first, text.data, n);
        s->first[n] = '\0';
        buf_release(&text);
    }
}

/* NULL if it was read whole into out, else why not. */
static const char *read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait */
    if (fd < 0)
        return strerrordesc_np(errno);
    const char *why = NULL;
    struct stat st;
    if (fstat(fd, &st) != 0)
        why = strerrordesc_np(errno);
    else if (!S_ISREG(st.st_mode))
        why = "not a file";
    while (why == NULL) {
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            why = strerrordesc_np(errno);
        if (n <= 0)
            break;
        out->len += (size_t)n;
        if (out->len > FILE_BYTES)
            why = "larger than 1 MiB";
    }
    close(fd);
    return why;
}

static bool is_markdown(const char *name)
{
    size_t len = strlen(name);
    return len > 3 && strcasecmp(name + len - 3, ".md") == 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool take(struct know *k, const FTSENT *f, struct buf *bytes, struct skipped *skipped)
{
    buf_clear(bytes);
    const char *why = read_file(f->fts_path, bytes);
    if (why != NULL) {
        skip(skipped, f->fts_path, why);
        return true;
    }
    return know__add(k, f->fts_path, bytes->data == NULL ? "" : bytes->data, bytes->len);
}

static void walk(struct know *k, FTS *tree, struct skipped *skipped)
{
    struct buf bytes = {0};
    size_t files = 0;
    FTSENT *f;
    while ((f = fts_read(tree)) != NULL) {
        bool hidden = f->fts_level > 0 && f->fts_name[0] == '.';
        if (f->fts_info == FTS_D && (hidden || f->fts_level > DEPTH_MAX)) {
            fts_set(tree, f, FTS_SKIP);
        } else if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS) {
            skip(skipped, f->fts_path, strerrordesc_np(f->fts_errno));
        } else if ((f->fts_info == FTS_F || f->fts_info == FTS_SL) && !hidden &&
                   is_markdown(f->fts_name)) {
            if (++files > FILES_MAX || !take(k, f, &bytes, skipped)) {
                skip(skipped, f->fts_path,
                     "the index is full; this and all further files are left out");
                break;
            }
        }
    }
    buf_release(&bytes);
}

void know__add_folder(struct know *k, const char *folder, struct error *e)
{
    struct skipped skipped = {0};
    char *const roots[] = {(char *)folder, NULL}; /* fts does not write to them */
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (tree == NULL) {
        err_set(e, ERR_IO, "%s: %s", folder, strerrordesc_np(errno));
        return;
    }
    walk(k, tree, &skipped);
    fts_close(tree);
    if (skipped.count > 0)
        err_set(e, ERR_IO, "%zu of the runbook files could not be read; first: %s", skipped.count,
                skipped.first);
}
