/* Private to the log: the archive of a bundle, a POSIX ustar in the one form that every byte of it
 * follows from its members. Pure.
 *
 * Written here rather than by libarchive: that would pull libxml2 and ICU into a program that
 * starts in milliseconds, and no reader of general archives refuses a byte that does not matter to
 * it. */
#ifndef PROV_TAR_H
#define PROV_TAR_H

#include "backend/base/buf.h"
#include <stdbool.h>
#include <stdint.h>

enum { TAR__BLOCK = 512, TAR__NAME = 100 };

/* Letters, digits, `.`, `_`, `-`, in parts that `/` separates and none of which is `.`, `..` or
 * empty; up to 99 bytes. */
bool tar__name_ok(const char *name);
/* Appends a plain file of mode 0644 that belongs to user 0; mtime in Unix seconds, 0..2^33-1. */
void tar__add(struct buf *out, const char *name, const void *data, size_t len, int64_t mtime);
/* Appends the two empty blocks that end an archive. */
void tar__end(struct buf *out);

struct tar__reader {
    const char *at;
    size_t left;
    int64_t mtime; /* the first member's, which every other one must have; -1 before */
};
struct tar__member { /* data points into what is read */
    char name[TAR__NAME];
    const char *data;
    size_t len;
};
/* 1: a member; 0: the archive ended, and so do the bytes; -1: *problem says what is not as tar__add
 * would have written it. */
int tar__next(struct tar__reader *r, struct tar__member *out, const char **problem);

#endif
