/* A tokenizer for tests: the byte pairs of a text that are the most frequent are joined, one after
 * the other, as the makers of real ones do it; in the form of tiktoken's files. */
#ifndef TESTS_UNIT_BPE_H
#define TESTS_UNIT_BPE_H

#include "backend/base/buf.h"
#include "backend/gateway/tokens.h"
#include <stdlib.h>
#include <string.h>

enum { BPE_SLOTS = 1 << 16 };

struct bpe_word { /* a piece of the text, and how often it stands there */
    const char *at;
    size_t len, times, count;
    uint32_t *ids;
};

static inline int bpe_by_bytes(const void *a, const void *b)
{
    const struct bpe_word *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* The pieces of the text, each once, as bytes. */
static inline struct bpe_word *bpe_words(const char *text, size_t len, enum gw__splitter s,
                                         size_t *count)
{
    struct bpe_word *all = xcalloc(len + 1, sizeof *all);
    size_t n = 0, once = 0;
    for (size_t at = 0, end; at < len; at = end) {
        end = gw__split(s, text, len, at);
        all[n++] = (struct bpe_word){.at = text + at, .len = end - at, .times = 1};
    }
    qsort(all, n, sizeof *all, bpe_by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (once && bpe_by_bytes(&all[once - 1], &all[i]) == 0)
            all[once - 1].times++;
        else
            all[once++] = all[i];
    }
    for (size_t i = 0; i < once; i++) {
        all[i].ids = xcalloc(all[i].len, sizeof(uint32_t));
        for (; all[i].count < all[i].len; all[i].count++)
            all[i].ids[all[i].count] = (unsigned char)all[i].at[all[i].count];
    }
    *count = once;
    return all;
}

struct bpe_pair {
    uint32_t a, b;
    size_t times;
};

static inline struct bpe_pair bpe_best(struct bpe_pair *slots, const struct bpe_word *words,
                                       size_t n)
{
    struct bpe_pair best = {0};
    memset(slots, 0, BPE_SLOTS * sizeof *slots);
    for (size_t w = 0; w < n; w++) {
        for (size_t i = 1; i < words[w].count; i++) {
            uint32_t a = words[w].ids[i - 1], b = words[w].ids[i];
            size_t slot = (a * 2654435761u ^ b * 40503u) % BPE_SLOTS;
            while (slots[slot].times && (slots[slot].a != a || slots[slot].b != b))
                slot = (slot + 1) % BPE_SLOTS;
            slots[slot] = (struct bpe_pair){a, b, slots[slot].times + words[w].times};
            if (slots[slot].times > best.times)
                best = slots[slot];
        }
    }
    return best;
}

static inline void bpe_join(struct bpe_word *words, size_t n, struct bpe_pair p, uint32_t id)
{
    for (size_t w = 0; w < n; w++) {
        size_t kept = 0;
        for (size_t i = 0; i < words[w].count; i++) {
            const uint32_t *ids = words[w].ids;
            bool joined = i + 1 < words[w].count && ids[i] == p.a && ids[i + 1] == p.b;
            words[w].ids[kept++] = joined ? id : ids[i];
            i += joined;
        }
        words[w].count = kept;
    }
}

static inline void bpe_line(struct buf *out, const struct buf *token, size_t rank)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < token->len; i += 3) {
        uint32_t three = 0;
        for (size_t j = 0; j < 3; j++)
            three = three << 8 | (i + j < token->len ? (unsigned char)token->data[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            buf_addc(out, i + j <= token->len ? digits[three >> (18 - 6 * j) & 63] : '=');
    }
    buf_addf(out, " %zu\n", rank);
}

/* The file of the tokenizer with 256 bytes and so many joined tokens, fewer if the text has no
 * more; the caller frees. */
static inline char *bpe_train(const char *text, size_t len, enum gw__splitter s, size_t joined)
{
    size_t n;
    struct bpe_word *words = bpe_words(text, len, s, &n);
    struct bpe_pair *slots = xcalloc(BPE_SLOTS, sizeof *slots);
    struct buf *tokens = xcalloc(256 + joined, sizeof *tokens), out = {0};
    for (size_t id = 0; id < 256 + joined; id++) {
        if (id < 256) {
            buf_addc(&tokens[id], (char)id);
        } else {
            struct bpe_pair p = bpe_best(slots, words, n);
            if (p.times < 2)
                break;
            buf_add(&tokens[id], tokens[p.a].data, tokens[p.a].len);
            buf_add(&tokens[id], tokens[p.b].data, tokens[p.b].len);
            bpe_join(words, n, p, (uint32_t)id);
        }
        bpe_line(&out, &tokens[id], id);
    }
    for (size_t i = 0; i < n; i++)
        free(words[i].ids);
    for (size_t id = 0; id < 256 + joined; id++)
        buf_release(&tokens[id]);
    free(words);
    free(slots);
    free(tokens);
    return buf_take(&out);
}

#endif
