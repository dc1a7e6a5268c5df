/* The archive of a bundle: see tar.h. */
#include "backend/provenance/tar.h"

#include "backend/base/errors.h"
#include <stdio.h>
#include <string.h>

enum { SIZE_AT = 124, MTIME_AT = 136, SUM_AT = 148, OCTAL = 11 };
#define MOST INT64_C(077777777777)

bool tar__name_ok(const char *name)
{
    size_t len = strlen(name), part = 0, dots = 0;
    if (len == 0 || len >= TAR__NAME)
        return false;
    for (size_t i = 0; i <= len; i++) {
        char c = name[i];
        if (c == '/' || c == '\0') {
            if (part == 0 || (dots == part && part <= 2))
                return false;
            part = dots = 0;
            continue;
        }
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("._-", c)))
            return false;
        part++;
        dots += c == '.';
    }
    return true;
}

/* POSIX.1-2017, pax, "ustar Interchange Format". Owner and group have numbers only. */
static void make_header(const char *name, int64_t size, int64_t mtime, char out[TAR__BLOCK])
{
    unsigned sum = 0;
    memset(out, 0, TAR__BLOCK);
    memcpy(out, name, strlen(name));
    memcpy(out + 100, "0000644", 7);
    memcpy(out + 108, "0000000", 7);
    memcpy(out + 116, "0000000", 7);
    snprintf(out + SIZE_AT, OCTAL + 1, "%011llo", (long long)size);
    snprintf(out + MTIME_AT, OCTAL + 1, "%011llo", (long long)mtime);
    memset(out + SUM_AT, ' ', 8);
    out[156] = '0';
    memcpy(out + 257, "ustar\00000", 8);
    for (int i = 0; i < TAR__BLOCK; i++)
        sum += (unsigned char)out[i];
    snprintf(out + SUM_AT, 7, "%06o", sum);
    out[SUM_AT + 7] = ' ';
}

static size_t padding(size_t len)
{
    return (TAR__BLOCK - len % TAR__BLOCK) % TAR__BLOCK;
}

void tar__add(struct buf *out, const char *name, const void *data, size_t len, int64_t mtime)
{
    static const char zeros[TAR__BLOCK];
    char header[TAR__BLOCK];
    BUG_IF(!tar__name_ok(name) || (int64_t)len > MOST || mtime < 0 || mtime > MOST);
    make_header(name, (int64_t)len, mtime, header);
    buf_add(out, header, sizeof header);
    if (len)
        buf_add(out, data, len);
    buf_add(out, zeros, padding(len));
}

void tar__end(struct buf *out)
{
    static const char zeros[2 * TAR__BLOCK];
    buf_add(out, zeros, sizeof zeros);
}

static bool read_octal(const char *at, int64_t *out)
{
    *out = 0;
    for (int i = 0; i < OCTAL; i++) {
        if (at[i] < '0' || at[i] > '7')
            return false;
        *out = 8 * *out + (at[i] - '0');
    }
    return true;
}

static bool all_zero(const char *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i])
            return false;
    return true;
}

int tar__next(struct tar__reader *r, struct tar__member *out, const char **problem)
{
    char again[TAR__BLOCK];
    int64_t size, mtime;
    *problem = NULL;
    if (r->left >= TAR__BLOCK && all_zero(r->at, TAR__BLOCK)) {
        if (r->left == 2 * TAR__BLOCK && all_zero(r->at, r->left))
            return 0;
        *problem = "the archive does not end as it should";
        return -1;
    }
    if (r->left < TAR__BLOCK || memchr(r->at, 0, TAR__NAME) == NULL) {
        *problem = r->left < TAR__BLOCK ? "the archive is cut off" : "a header is not in form";
        return -1;
    }
    memcpy(out->name, r->at, TAR__NAME);
    if (!tar__name_ok(out->name) || !read_octal(r->at + SIZE_AT, &size) ||
        !read_octal(r->at + MTIME_AT, &mtime)) {
        *problem = "a header is not in form";
        return -1;
    }
    make_header(out->name, size, mtime, again);
    if (memcmp(r->at, again, TAR__BLOCK) != 0 || (r->mtime >= 0 && mtime != r->mtime)) {
        *problem = "a header is not in form";
        return -1;
    }
    r->mtime = mtime;
    out->data = r->at + TAR__BLOCK;
    out->len = (size_t)size;
    size_t room = r->left - TAR__BLOCK, pad = padding(out->len);
    if (out->len > room || pad > room - out->len) {
        *problem = "the archive is cut off";
        return -1;
    }
    if (!all_zero(out->data + out->len, pad)) {
        *problem = "what fills a block is not empty";
        return -1;
    }
    r->at = out->data + out->len + pad;
    r->left = room - out->len - pad;
    return 1;
}
