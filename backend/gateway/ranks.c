/* Byte pair encoding by ranks: a piece's bytes are joined two parts at a time, always the pair
 * whose joint token has the lowest rank, the leftmost of equals, until no pair is a token.
 *
 * 1 Immutable once it was loaded, so any thread may count.
 * 2 Work is bounded: a piece has at most PIECE_MAX bytes, and a long one is merged with a heap. */
#include "backend/base/buf.h"
#include "backend/base/text.h"
#include "backend/gateway/tokens.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX = 64 << 20,
    TOKENS_MAX = 1 << 20,
    TOKEN_MAX = 1024, /* bytes of one token */
    PIECE_MAX = 16 << 10,
    SHORT = 96 /* up to here a scan is faster than a heap */
};
#define NONE UINT32_MAX

struct token {
    uint32_t at; /* in bytes */
    uint16_t len;
    uint32_t rank;
};

struct gw__ranks {
    enum gw__splitter splitter;
    struct buf bytes; /* of all tokens */
    struct token *tokens;
    uint32_t count, longest;
    uint32_t *slots; /* index of a token and one, 0: empty */
    uint32_t mask;
    uint32_t byte[256]; /* ranks of single bytes */
};

static uint64_t hash_of(const char *bytes, size_t len)
{
    uint64_t h = len * 0x9e3779b97f4a7c15u;
    for (; len >= 8; bytes += 8, len -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    uint64_t rest = 0;
    for (size_t i = 0; i < len; i++)
        rest = rest << 8 | (unsigned char)bytes[i];
    h = (h ^ rest) * 0xff51afd7ed558ccdu;
    return h ^ h >> 29;
}

/* The slot of a token, or the empty one where it would be. */
static uint32_t *slot_of(const struct gw__ranks *r, const char *bytes, size_t len)
{
    for (uint32_t i = (uint32_t)hash_of(bytes, len) & r->mask;; i = (i + 1) & r->mask) {
        if (!r->slots[i])
            return &r->slots[i];
        const struct token *t = &r->tokens[r->slots[i] - 1];
        if (t->len == len && memcmp(r->bytes.data + t->at, bytes, len) == 0)
            return &r->slots[i];
    }
}

static uint32_t rank_of(const struct gw__ranks *r, const char *bytes, size_t len)
{
    if (len == 1)
        return r->byte[(unsigned char)*bytes];
    if (len > r->longest)
        return NONE;
    const uint32_t *slot = slot_of(r, bytes, len);
    return *slot ? r->tokens[*slot - 1].rank : NONE;
}

/* ---- reading */

/* One line without its end: BASE64 SPACE RANK. */
static bool read_line(struct gw__ranks *r, const char *line, size_t len)
{
    char text[TOKEN_MAX * 4 / 3 + 8];
    uint8_t token[TOKEN_MAX];
    const char *gap = memchr(line, ' ', len);
    size_t n = gap ? (size_t)(gap - line) : 0, digits = len - n - 1;
    if (!n || n >= sizeof text || digits < 1 || digits > 9)
        return false;
    memcpy(text, line, n);
    text[n] = '\0';
    int64_t bytes = text_unbase64(text, token, sizeof token);
    uint32_t rank = 0;
    for (size_t i = 0; i < digits; i++) {
        char c = gap[1 + i];
        if (c < '0' || c > '9')
            return false;
        rank = rank * 10 + (uint32_t)(c - '0');
    }
    if (bytes < 1 || r->count == TOKENS_MAX)
        return false;
    r->tokens[r->count++] = (struct token){(uint32_t)r->bytes.len, (uint16_t)bytes, rank};
    buf_add(&r->bytes, token, (size_t)bytes);
    if (bytes > r->longest)
        r->longest = (uint32_t)bytes;
    return true;
}

/* The number of the line that is wrong, counted from 1; 0: none is. */
static size_t read_lines(struct gw__ranks *r, const char *bytes, size_t len)
{
    size_t number = 0, cap = 0;
    for (size_t i = 0; i < len;) {
        const char *end = memchr(bytes + i, '\n', len - i);
        size_t n = end ? (size_t)(end - bytes) - i : len - i, next = i + n + 1;
        if (n && bytes[i + n - 1] == '\r')
            n--;
        number++;
        if (r->count == cap) {
            cap = cap ? cap * 2 : 4096;
            r->tokens = xrealloc(r->tokens, cap * sizeof *r->tokens);
        }
        if (n && !read_line(r, bytes + i, n))
            return number;
        i = next;
    }
    return 0;
}

/* The index; the token that stands there twice, or NONE. */
static uint32_t make_index(struct gw__ranks *r)
{
    uint32_t size = 1024;
    while (size < r->count * 2)
        size *= 2;
    r->mask = size - 1;
    r->slots = xcalloc(size, sizeof *r->slots);
    memset(r->byte, 0xff, sizeof r->byte);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct token *t = &r->tokens[i];
        uint32_t *slot = slot_of(r, r->bytes.data + t->at, t->len);
        if (*slot)
            return i;
        *slot = i + 1;
        if (t->len == 1)
            r->byte[(unsigned char)r->bytes.data[t->at]] = t->rank;
    }
    return NONE;
}

struct gw__ranks *gw__ranks_parse(const char *bytes, size_t len, enum gw__splitter s,
                                  struct error *e)
{
    struct gw__ranks *r = xcalloc(1, sizeof *r);
    r->splitter = s;
    size_t wrong = read_lines(r, bytes, len);
    uint32_t twice = wrong ? NONE : make_index(r);
    if (wrong)
        err_set(e, ERR_CONFIG, "line %zu is no token and rank", wrong);
    else if (twice != NONE)
        err_set(e, ERR_CONFIG, "the token of rank %u stands there twice", r->tokens[twice].rank);
    for (int i = 0; !wrong && twice == NONE && i < 256; i++) {
        if (r->byte[i] == NONE) {
            err_set(e, ERR_CONFIG, "the byte %d is no token", i);
            wrong = 1;
        }
    }
    if (!wrong && twice == NONE)
        return r;
    gw__ranks_free(r);
    return NULL;
}

struct gw__ranks *gw__ranks_load(const char *path, enum gw__splitter s, struct error *e)
{
    struct gw__ranks *r = NULL;
    struct buf bytes = {0};
    struct stat st;
    struct error why = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        err_set_errno(e, "cannot read", path);
        goto out;
    }
    if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        err_set(e, S_ISREG(st.st_mode) ? ERR_TOO_BIG : ERR_IO, "%s: %s", path,
                S_ISREG(st.st_mode) ? "over 64 MiB" : "no file");
        goto out;
    }
    buf_reserve(&bytes, (size_t)st.st_size + 1);
    for (ssize_t n = 1; n && bytes.len < (size_t)st.st_size;) {
        n = read(fd, bytes.data + bytes.len, (size_t)st.st_size - bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            err_set_errno(e, "cannot read", path);
            goto out;
        }
        bytes.len += (size_t)n;
    }
    r = gw__ranks_parse(bytes.data, bytes.len, s, &why);
    if (!r)
        err_set(e, why.code, "%s: %s", path, why.detail);
out:
    if (fd >= 0)
        close(fd);
    buf_release(&bytes);
    return r;
}

void gw__ranks_free(struct gw__ranks *r)
{
    if (!r)
        return;
    buf_release(&r->bytes);
    free(r->tokens);
    free(r->slots);
    free(r);
}

/* ---- merging */

/* A part of a piece, and the rank of the token it would make with the next. */
struct part {
    uint32_t at;
    uint32_t rank;
};

/* Merges a short piece; returns its parts, of which the last only says where the piece ends. */
static size_t merge_short(const struct gw__ranks *r, const char *piece, size_t len,
                          struct part *parts)
{
    size_t n = len;
    for (size_t i = 0; i <= len; i++)
        parts[i] =
            (struct part){(uint32_t)i, i + 1 < len ? rank_of(r, piece + i, 2) : (uint32_t)NONE};
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (parts[i].rank < parts[best].rank)
                best = i;
        if (parts[best].rank == NONE)
            return n;
        memmove(parts + best + 1, parts + best + 2, (n - best - 1) * sizeof *parts);
        n--;
        for (size_t i = best ? best - 1 : 0; i <= best; i++)
            parts[i].rank = i + 2 <= n
                                ? rank_of(r, piece + parts[i].at, parts[i + 2].at - parts[i].at)
                                : (uint32_t)NONE;
    }
}

/* A pair in the heap; stale when `end` is no longer where its second part ends. */
struct pair {
    uint32_t rank, at, end;
};

struct heap {
    struct pair *at;
    size_t len;
};

static bool before(const struct pair *a, const struct pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void heap_put(struct heap *h, struct pair p)
{
    size_t i = h->len++;
    for (; i && before(&p, &h->at[(i - 1) / 2]); i = (i - 1) / 2)
        h->at[i] = h->at[(i - 1) / 2];
    h->at[i] = p;
}

static struct pair heap_take(struct heap *h)
{
    struct pair top = h->at[0], last = h->at[--h->len];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < h->len; i = child) {
        if (child + 1 < h->len && before(&h->at[child + 1], &h->at[child]))
            child++;
        if (!before(&h->at[child], &last))
            break;
        h->at[i] = h->at[child];
    }
    h->at[i] = last;
    return top;
}

/* The parts of a long piece as a list: where the one that begins at i ends, where the one before it
 * begins. end[i] is 0 where none begins. */
struct chain {
    const struct gw__ranks *r;
    const char *piece;
    uint32_t len, *end, *back;
    struct heap heap;
};

static void offer(struct chain *c, uint32_t at)
{
    if (c->end[at] == c->len)
        return;
    uint32_t end = c->end[c->end[at]], rank = rank_of(c->r, c->piece + at, end - at);
    if (rank != NONE)
        heap_put(&c->heap, (struct pair){rank, at, end});
}

static size_t merge_long(const struct gw__ranks *r, const char *piece, size_t len,
                         struct part *parts)
{
    struct chain c = {r,
                      piece,
                      (uint32_t)len,
                      xcalloc(len + 1, sizeof *c.end),
                      xcalloc(len + 1, sizeof *c.back),
                      {xcalloc(3 * len, sizeof *c.heap.at), 0}};
    for (uint32_t i = 0; i < c.len; i++) {
        c.end[i] = i + 1;
        c.back[i + 1] = i;
    }
    for (uint32_t i = 0; i < c.len; i++)
        offer(&c, i);
    while (c.heap.len) {
        struct pair p = heap_take(&c.heap);
        uint32_t second = c.end[p.at];
        if (!second || second == c.len || c.end[second] != p.end)
            continue;
        c.end[p.at] = p.end;
        c.end[second] = 0;
        c.back[p.end] = p.at;
        offer(&c, p.at);
        if (p.at)
            offer(&c, c.back[p.at]);
    }
    size_t n = 0;
    for (uint32_t i = 0; i < c.len; i = c.end[i])
        parts[n++].at = i;
    parts[n].at = c.len;
    free(c.end);
    free(c.back);
    free(c.heap.at);
    return n;
}

/* Calls fn (if there is one) with the tokens of a piece; how many they are. */
static size_t piece_tokens(const struct gw__ranks *r, const char *piece, size_t len,
                           gw__token_fn *fn, void *arg)
{
    uint32_t whole = rank_of(r, piece, len);
    if (whole != NONE) {
        if (fn)
            fn(arg, whole);
        return 1;
    }
    struct part few[SHORT + 1], *parts = few;
    if (len > SHORT)
        parts = xcalloc(len + 1, sizeof *parts);
    size_t n = len > SHORT ? merge_long(r, piece, len, parts) : merge_short(r, piece, len, parts);
    for (size_t i = 0; fn && i < n; i++)
        fn(arg, rank_of(r, piece + parts[i].at, parts[i + 1].at - parts[i].at));
    if (parts != few)
        free(parts);
    return n;
}

static size_t all_tokens(const struct gw__ranks *r, const char *text, size_t len, gw__token_fn *fn,
                         void *arg)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t end = gw__split(r->splitter, text, len, i);
        for (; i < end; i = i + PIECE_MAX < end ? i + PIECE_MAX : end)
            n += piece_tokens(r, text + i, end - i < PIECE_MAX ? end - i : PIECE_MAX, fn, arg);
    }
    return n;
}

int64_t gw__ranks_count(const struct gw__ranks *r, const char *text, size_t len)
{
    return (int64_t)all_tokens(r, text, len, NULL, NULL);
}

void gw__ranks_each(const struct gw__ranks *r, const char *text, size_t len, gw__token_fn *fn,
                    void *arg)
{
    all_tokens(r, text, len, fn, arg);
}
