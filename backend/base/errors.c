#include "backend/base/errors.h"
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct err_row {
    const char *name, *text, *hint;
} rows[ERR_COUNT] = {
#define ERR(code, text, hint) [ERR_##code] = {#code, text, hint},
#include "backend/base/errors.def"
#undef ERR
};

static const struct err_row *row_of(enum err code)
{
    unsigned i = (unsigned)code;
    return &rows[i < ERR_COUNT ? i : (unsigned)ERR_INTERNAL];
}

const char *err_name(enum err code)
{
    return row_of(code)->name;
}

const char *err_text(enum err code)
{
    return row_of(code)->text;
}

const char *err_hint(enum err code)
{
    return row_of(code)->hint;
}

const char *err_words(const struct error *e)
{
    return *e->detail ? e->detail : err_text(e->code);
}

enum err err_from_name(const char *name)
{
    for (unsigned i = 0; name && i < ERR_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return (enum err)i;
    return ERR_INTERNAL;
}

enum err err_from_errno(int number)
{
    switch (number) {
    case 0:
        return ERR_OK;
    case ENOSPC:
    case EDQUOT:
        return ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_READ_ONLY;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EPIPE:
    case ECONNRESET:
        return ERR_CLOSED;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UNREACHABLE;
    case EFBIG:
    case EMSGSIZE:
        return ERR_TOO_BIG;
    case EBUSY:
        return ERR_BUSY;
    default:
        return ERR_IO;
    }
}

/* Takes an unfinished character off the end of a text that was cut. Only the last character can be
 * unfinished, so this looks at most three bytes back for its first byte. */
static void trim_partial(char *s)
{
    size_t len = strlen(s);
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)s[len - back];
        if (c < 0x80)
            return;
        if (c < 0xc0)
            continue;
        size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        if (need > back)
            s[len - back] = '\0';
        return;
    }
}

enum err err_set(struct error *e, enum err code, const char *format, ...)
{
    if (!e)
        return code;
    /* Through a temporary: the arguments may point into e->detail itself. */
    struct error made = {.code = code};
    va_list args;
    va_start(args, format);
    int n = vsnprintf(made.detail, sizeof made.detail, format, args);
    va_end(args);
    if (n < 0)
        made.detail[0] = '\0';
    else if ((size_t)n >= sizeof made.detail)
        trim_partial(made.detail);
    *e = made;
    return code;
}

enum err err_set_errno(struct error *e, const char *what, const char *path)
{
    int number = errno;
    return err_set(e, err_from_errno(number), "%s %s: %s", what, path, strerrordesc_np(number));
}

void bug(const char *file, int line, const char *what)
{
    fprintf(stderr, "mcp-console: bug at %s:%d: %s\n", file, line, what);
    abort();
}

static void *checked(void *p)
{
    if (!p)
        BUG("out of memory");
    return p;
}

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t size)
{
    return checked(realloc(p, size ? size : 1));
}

char *xstrdup(const char *s)
{
    return checked(strdup(s));
}

char *xstrdup_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

char *xstrndup(const char *s, size_t n)
{
    return checked(strndup(s, n));
}

char *xasprintf(const char *format, ...)
{
    char *s = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&s, format, args);
    va_end(args);
    return checked(n < 0 ? NULL : s);
}
