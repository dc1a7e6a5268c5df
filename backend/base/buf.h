/* A growable byte string. Zero-initialise ({0}); buf_release frees. data is always NUL-terminated
 * once anything was added (the NUL is not counted), NULL before. Out of memory aborts. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len;
    size_t cap;
};

void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_addf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *format, va_list args);
/* Removes the first n bytes (n <= len). */
void buf_drop(struct buf *b, size_t n);
/* Hands the memory to the caller (free() it; "" if nothing was added) and empties the buffer. */
char *buf_take(struct buf *b);

#endif
