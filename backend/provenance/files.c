/* The files of checkpoints beside the database, to be copied elsewhere.
 *
 * Invariants
 * F1 `checkpoints` only grows, one whole record (note and empty line) after another. A record that
 * a crash cut short is the beginning of one that the table has: it is finished, never taken back.
 * F2 `checkpoint` holds one whole note at any moment. */
#include "backend/provenance/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL = 4 * PROV__NOTE_MAX };

/* ---- notes in a text ---- */

static bool blank_line(const char *text, size_t len)
{
    return len > 0 && text[0] == '\n';
}

/* Where the next line begins that may begin a note. */
static size_t next_line(const char *text, size_t len)
{
    const char *end = memchr(text, '\n', len);
    return end ? (size_t)(end + 1 - text) : len;
}

bool prov__notes_each(const char *text, size_t len, prov__file_part *note, prov__file_part *other,
                      void *arg)
{
    while (len) {
        size_t n = prov__note_length(text, len);
        bool is_note = n > 0;
        if (!is_note && !blank_line(text, len))
            n = next_line(text, len);
        if (is_note && !note(arg, text, n))
            return false;
        if (!is_note && n && !other(arg, text, n))
            return false;
        n += n == 0; /* an empty line between notes */
        text += n;
        len -= n;
    }
    return true;
}

/* ---- reading ---- */

struct last { /* the last record of a text, and what is behind it */
    const char *base, *note;
    size_t len, end;
};

static bool keep_last(void *arg, const char *bytes, size_t len)
{
    struct last *l = arg;
    l->note = bytes;
    l->len = len;
    l->end = (size_t)(bytes - l->base) + len;
    return true;
}

static bool skip_part(void *arg, const char *bytes, size_t len)
{
    (void)arg, (void)bytes, (void)len;
    return true;
}

/* A whole record ends with an empty line; a note without it is still being written. */
static struct last last_record(const struct buf *text)
{
    struct last l = {.base = text->data};
    size_t len = text->len;
    for (;;) {
        l.note = NULL;
        l.len = l.end = 0;
        if (len)
            prov__notes_each(text->data, len, keep_last, skip_part, &l);
        if (!l.note || (l.end < text->len && text->data[l.end] == '\n'))
            break;
        len = (size_t)(l.note - text->data);
    }
    l.end += l.note != NULL;
    return l;
}

static enum err read_part(int fd, off_t from, size_t len, struct buf *out, const char *path,
                          struct error *e)
{
    buf_reserve(out, len);
    while (len) {
        ssize_t n = pread(fd, out->data + out->len, len, from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set_errno(e, "cannot read", path);
        if (n == 0)
            break;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        from += n;
        len -= (size_t)n;
    }
    return ERR_OK;
}

/* A plain file; -1 with *code OK if there is none. */
static int open_file(const char *path, enum err *code, struct error *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    *code = ERR_OK;
    if (fd < 0 && errno != ENOENT)
        *code = err_set_errno(e, "cannot open", path);
    if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
        *code = err_set(e, ERR_IO, "%s is not a plain file", path);
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The last TAIL bytes of a file; an absent one is empty. */
static enum err read_tail(const char *path, struct buf *out, struct error *e)
{
    enum err code;
    int fd = open_file(path, &code, e);
    if (fd < 0)
        return code;
    off_t size = lseek(fd, 0, SEEK_END), from = size > TAIL ? size - TAIL : 0;
    if (size > 0)
        code = read_part(fd, from, (size_t)(size - from), out, path, e);
    close(fd);
    return code;
}

/* Hands on the whole records of what was read so far, and at the end of the file all of it. */
static bool hand_on(struct buf *text, bool end, prov__file_part *note, prov__file_part *other,
                    void *arg)
{
    struct last l = last_record(text);
    if (l.end && !prov__notes_each(text->data, l.end, note, other, arg))
        return false;
    buf_drop(text, l.end);
    if (!text->len || (!end && text->len < TAIL))
        return true;
    /* No whole record: a note without its empty line, one cut short, or something else. */
    size_t n = prov__note_length(text->data, text->len);
    bool more = n == text->len ? note(arg, text->data, n) : other(arg, text->data, text->len);
    buf_clear(text);
    return more;
}

enum err prov__files_read(const char *dir, const char *name, prov__file_part *note,
                          prov__file_part *other, void *arg, struct error *e)
{
    enum { PIECE = 256 * 1024 };
    char *path = xasprintf("%s/%s", dir, name);
    struct buf text = {0};
    enum err code = ERR_OK;
    int fd = open_file(path, &code, e);
    bool more = fd >= 0;
    for (off_t at = 0; more && code == ERR_OK;) {
        size_t before = text.len;
        code = read_part(fd, at, PIECE, &text, path, e);
        at += (off_t)(text.len - before);
        bool end = text.len - before < PIECE;
        more = code == ERR_OK && text.len && hand_on(&text, end, note, other, arg) && !end;
    }
    if (fd >= 0)
        close(fd);
    buf_release(&text);
    free(path);
    return code;
}

enum err prov__files_newest(const char *dir, struct buf *out, struct error *e)
{
    char *path = xasprintf("%s/checkpoints", dir);
    struct buf text = {0};
    enum err code = read_tail(path, &text, e);
    struct last l = last_record(&text);
    if (code == ERR_OK && l.note)
        buf_add(out, l.note, l.len);
    buf_release(&text);
    free(path);
    return code;
}

/* ---- writing ---- */

static enum err write_all(int fd, const struct buf *bytes, const char *path, struct error *e)
{
    for (size_t at = 0; at < bytes->len;) {
        ssize_t n = write(fd, bytes->data + at, bytes->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_set_errno(e, "cannot write", path);
        at += (size_t)n;
    }
    return fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", path);
}

static enum err sync_directory(const char *dir, struct error *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(e, "cannot open", dir);
    enum err code = fsync(fd) == 0 ? ERR_OK : err_set_errno(e, "cannot sync", dir);
    close(fd);
    return code;
}

enum err prov__file_put(const char *dir, const char *name, const struct buf *bytes, struct error *e)
{
    char *path = xasprintf("%s/%s", dir, name), *fresh = xasprintf("%s.new", path);
    enum err code = ERR_OK;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        code = err_set_errno(e, "cannot make", fresh);
    if (code == ERR_OK)
        code = write_all(fd, bytes, fresh, e);
    if (fd >= 0)
        close(fd);
    if (code == ERR_OK && rename(fresh, path) != 0)
        code = err_set_errno(e, "cannot rename", fresh);
    if (code == ERR_OK)
        code = sync_directory(dir, e);
    free(fresh);
    free(path);
    return code;
}

struct rows {
    struct buf text, newest;
};

static bool add_note(void *arg, const struct store_row *row)
{
    struct rows *r = arg;
    const char *note = store_text(row, 0);
    if (!note)
        note = "";
    buf_addf(&r->text, "%s\n", note);
    buf_clear(&r->newest);
    buf_adds(&r->newest, note);
    return true;
}

static enum err append(const char *path, struct rows *rows, struct buf *tail, const struct last *l,
                       struct error *e)
{
    size_t torn = tail->len - l->end;
    if (torn && torn <= rows->text.len && memcmp(tail->data + l->end, rows->text.data, torn) == 0)
        buf_drop(&rows->text, torn); /* F1 */
    else if (torn) {                 /* not ours; what follows must not become part of it */
        char *apart = xasprintf("\n\n%s", rows->text.data);
        buf_clear(&rows->text);
        buf_adds(&rows->text, apart);
        free(apart);
    }
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set_errno(e, "cannot open", path);
    enum err code = write_all(fd, &rows->text, path, e);
    close(fd);
    return code;
}

enum err prov__files_write(struct store_db *db, const char *dir, struct error *e)
{
    char *path = xasprintf("%s/checkpoints", dir);
    struct buf tail = {0};
    struct rows rows = {0};
    struct prov__checkpoint c;
    int64_t epoch = 0, size = 0; /* of the last one that is written */
    enum err code = read_tail(path, &tail, e);
    struct last l = last_record(&tail);
    if (l.note && prov__note_read(l.note, l.len, &c) == NULL) {
        epoch = prov__note_epoch(c.origin);
        size = c.head.size;
    }
    if (code == ERR_OK)
        code = store_query(db, e, add_note, &rows,
                           "SELECT note FROM checkpoints WHERE (epoch, size) > (?, ?)"
                           " ORDER BY epoch, size",
                           "ii", epoch, size);
    if (code == ERR_OK && rows.text.len)
        code = append(path, &rows, &tail, &l, e);
    if (code == ERR_OK && rows.newest.len)
        code = prov__file_put(dir, "checkpoint", &rows.newest,
                              e); /* its sync of the directory serves both files */
    buf_release(&rows.text);
    buf_release(&rows.newest);
    buf_release(&tail);
    free(path);
    return code;
}
