/* The one table of expected failures. Codes travel on the wire by name. */
#ifndef BASE_ERRORS_H
#define BASE_ERRORS_H

#include <stddef.h>

enum err {
#define ERR(code, text, hint) ERR_##code,
#include "backend/base/errors.def"
#undef ERR
    ERR_COUNT
};

/* A failure with its detail: what exactly, where. A zeroed struct is ERR_OK. Plain data. */
struct error {
    enum err code;
    char detail[256]; /* UTF-8, cut at a character's end, may be empty; may hold foreign text */
};

/* The name ("NO_SPACE"), the text and the hint of a code; never NULL. */
const char *err_name(enum err code);
const char *err_text(enum err code);
const char *err_hint(enum err code);
/* The detail, or the code's text if there is none. */
const char *err_words(const struct error *e);
/* The code of a name, ERR_INTERNAL for an unknown one. */
enum err err_from_name(const char *name);
/* The code for an errno value (ENOSPC is NO_SPACE, EACCES and EROFS are READ_ONLY, ...). */
enum err err_from_errno(int number);
/* Fills *e (which may be NULL) and returns the code, so that `return err_set(...)` reads well. */
enum err err_set(struct error *e, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same from errno: "what path: the system's reason". */
enum err err_set_errno(struct error *e, const char *what, const char *path);
/* Prints to stderr and aborts: a bug, or memory that ran out. */
_Noreturn void bug(const char *file, int line, const char *what);
#define BUG(what) bug(__FILE__, __LINE__, what)
#define BUG_IF(condition)                        \
    do {                                         \
        if (condition)                           \
            bug(__FILE__, __LINE__, #condition); \
    } while (0)

/* Allocation that cannot fail: out of memory aborts. Free with free(). */
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);
char *xstrdup_or_null(const char *s); /* NULL for NULL */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
