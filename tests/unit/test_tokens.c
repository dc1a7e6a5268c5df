/* Token counts: the pieces of each splitter, merging against the rule told plainly, rank files. */
#include "backend/base/buf.h"
#include "backend/gateway/tokens.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- splitters */

static void splits(enum gw__splitter s, const char *text, const char *wanted)
{
    struct buf got = {0};
    size_t len = strlen(text);
    for (size_t i = 0, end; i < len; i = end) {
        end = gw__split(s, text, len, i);
        buf_add(&got, text + i, end - i);
        buf_addc(&got, '|');
    }
    assert_string_equal(got.data ? got.data : "", wanted);
    buf_release(&got);
}

static void test_pieces(void **state)
{
    (void)state;
    for (enum gw__splitter s = 0; s < GW__SPLITTERS; s++) {
        splits(s, "", "");
        splits(s, "Disk is full.", "Disk| is| full|.|");
        splits(s, "Диск заполнен", "Диск| заполнен|");
        splits(s, "a  b", "a| | b|");
        splits(s, "a \n  b", "a| \n| | b|");
        splits(s, "--> x", "-->| x|");
        splits(s, "\xff\xfe", "\xff\xfe|");
    }
    splits(GW__SPLIT_CL100K, "12345", "123|45|");
    splits(GW__SPLIT_QWEN, "123", "1|2|3|");
    splits(GW__SPLIT_CL100K, "it's IT'LL 'tis", "it|'s| IT|'LL| '|tis|");
    splits(GW__SPLIT_CL100K, "'tis", "'t|is|");
    splits(GW__SPLIT_O200K, "it's IT'LL 'tis", "it's| IT'LL| '|tis|");
    splits(GW__SPLIT_CL100K, "it'\xc5\xbf", "it|'\xc5\xbf|");
    splits(GW__SPLIT_CL100K, "x \n  ", "x| \n  |");
    splits(GW__SPLIT_LLAMA3, "x \n  ", "x| \n|  |");
    splits(GW__SPLIT_O200K, "x \n  ", "x| \n|  |");
    splits(GW__SPLIT_CL100K, "CamelCase", "CamelCase|");
    splits(GW__SPLIT_O200K, "CamelCase HTTPServer", "Camel|Case| HTTPServer|");
    splits(GW__SPLIT_CL100K, "http://x", "http|://|x|");
    splits(GW__SPLIT_O200K, "a./\nb", "a|./\n|b|");
    /* letters without case end a word where a capital follows */
    splits(GW__SPLIT_O200K, "日本ABC", "日本|ABC|");
    splits(GW__SPLIT_O200K, "ABC日本", "ABC日本|");
    /* a combining mark is no letter for one and part of a word for the other */
    splits(GW__SPLIT_CL100K, "e\xcc\x81x", "e|\xcc\x81x|");
    splits(GW__SPLIT_O200K, "e\xcc\x81x", "e\xcc\x81x|");
    splits(GW__SPLIT_O200K,
           "\xcc\x81"
           "AB",
           "\xcc\x81|AB|");
    splits(GW__SPLIT_CL100K,
           "a\xc2\xa0"
           "b",
           "a|\xc2\xa0"
           "b|");
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(gw__splitter_named("o200k", "any"), GW__SPLIT_O200K);
    assert_int_equal(gw__splitter_named("auto", "/x/cl100k_base.tiktoken"), GW__SPLIT_CL100K);
    assert_int_equal(gw__splitter_named("auto", "/x/qwen.tiktoken"), GW__SPLIT_QWEN);
    assert_int_equal(gw__splitter_named("auto", "/x/tokenizer.model"), GW__SPLITTERS);
    assert_int_equal(gw__splitter_named("o300k", "o200k"), GW__SPLITTERS);
}

/* ---- merging */

static void base64(struct buf *to, const char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 3; k++)
            bits = bits << 8 | (i + k < len ? (unsigned char)bytes[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_addc(to, i + k > len ? '=' : digits[bits >> (18 - 6 * k) & 63]);
    }
}

static void add_rank(struct buf *to, const char *bytes, size_t len, unsigned rank)
{
    base64(to, bytes, len);
    buf_addf(to, " %u\n", rank);
}

static void add_bytes(struct buf *to)
{
    for (unsigned i = 0; i < 256; i++)
        add_rank(to, &(char){(char)i}, 1, i);
}

static const char *const words[] = {"ab",  "aa",     "ba", "aab",   "aba", "bab",
                                    "abc", "ababab", "cc", "abcab", "cab", "aaaa"};
enum { WORDS = sizeof words / sizeof *words };

static struct gw__ranks *small(void)
{
    struct buf file = {0};
    struct error e = {0};
    add_bytes(&file);
    for (unsigned i = 0; i < WORDS; i++)
        add_rank(&file, words[i], strlen(words[i]), 256 + (i * 7) % 12);
    struct gw__ranks *r = gw__ranks_parse(file.data, file.len, GW__SPLIT_CL100K, &e);
    if (!r)
        fail_msg("%s", e.detail);
    buf_release(&file);
    return r;
}

static unsigned plain_rank(const char *bytes, size_t len)
{
    if (len == 1)
        return (unsigned char)*bytes;
    for (unsigned i = 0; i < WORDS; i++)
        if (strlen(words[i]) == len && memcmp(words[i], bytes, len) == 0)
            return 256 + (i * 7) % 12;
    return 0xffffffff;
}

/* The rule as it is written: again and again the lowest pair, the leftmost of equals. */
static void plain_merge(const char *piece, size_t len, struct buf *out)
{
    size_t cut[4096], n = 0;
    for (size_t i = 0; i <= len; i++)
        cut[n++] = i;
    if (plain_rank(piece, len) != 0xffffffff)
        cut[1] = len, n = 2;
    for (;;) {
        unsigned best = 0xffffffff;
        size_t at = 0;
        for (size_t i = 0; i + 2 < n; i++) {
            unsigned rank = plain_rank(piece + cut[i], cut[i + 2] - cut[i]);
            if (rank < best)
                best = rank, at = i;
        }
        if (best == 0xffffffff)
            break;
        memmove(cut + at + 1, cut + at + 2, (n - at - 2) * sizeof *cut);
        n--;
    }
    for (size_t i = 0; i + 1 < n; i++)
        buf_addf(out, "%u ", plain_rank(piece + cut[i], cut[i + 1] - cut[i]));
}

static void join(void *arg, uint32_t rank)
{
    buf_addf(arg, "%u ", rank);
}

static void test_merge(void **state)
{
    (void)state;
    struct gw__ranks *r = small();
    srand(7);
    for (int round = 0; round < 3000; round++) {
        char piece[2000];
        struct buf got = {0}, wanted = {0};
        size_t len = 1 + (size_t)rand() % (round % 50 ? 150 : sizeof piece - 1);
        for (size_t i = 0; i < len; i++)
            piece[i] = "aaabbc"[rand() % 6];
        gw__ranks_each(r, piece, len, join, &got);
        plain_merge(piece, len, &wanted);
        assert_string_equal(got.data, wanted.data);
        buf_release(&got);
        buf_release(&wanted);
    }
    gw__ranks_free(r);
}

static void test_bounds(void **state)
{
    (void)state;
    struct gw__ranks *r = small();
    enum { LEN = 1 << 20 };
    char *text = xcalloc(LEN + 1, 1);
    memset(text, 'a', LEN);
    /* one piece of a megabyte: cut every 16 KiB, so nothing here takes seconds */
    assert_int_equal(gw__ranks_count(r, text, LEN), LEN / 4);
    memset(text, 'z', LEN);
    assert_int_equal(gw__ranks_count(r, text, LEN), LEN);
    assert_int_equal(gw__ranks_count(r, "", 0), 0);
    assert_int_equal(gw__ranks_count(r, "\0\0", 2), 2);
    free(text);
    gw__ranks_free(r);
}

/* ---- files */

static void refused(const char *bytes, size_t len, const char *why)
{
    struct error e = {0};
    assert_null(gw__ranks_parse(bytes, len, GW__SPLIT_O200K, &e));
    assert_int_equal(e.code, ERR_CONFIG);
    if (!strstr(e.detail, why))
        fail_msg("\"%s\" is not in \"%s\"", why, e.detail);
}

static void test_files(void **state)
{
    (void)state;
    static const char *const lines[] = {"YWI=",      "YWI= ",           "YWI= x",    "YWI=  300",
                                        "YWI 300",   "Y*I= 300",        "YWI= -300", " 300",
                                        "YWI= 300 ", "YWI= 9999999999", "YWJ= 300"};
    refused("", 0, "the byte 0 is no token");
    struct buf file = {0};
    add_bytes(&file);
    size_t whole = file.len;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        buf_addf(&file, "%s\n", lines[i]);
        refused(file.data, file.len, "line 257 is no token and rank");
        file.len = whole;
    }
    add_rank(&file, "a", 1, 500);
    refused(file.data, file.len, "the token of rank 500 stands there twice");
    file.len = whole;
    refused(file.data, whole - 9, "the byte 255 is no token");
    /* CRLF, an empty line, and no end of the last line are fine */
    buf_adds(&file, "\r\n\nYWI= 256");
    struct error e = {0};
    char path[] = "/tmp/mcpc-ranks-XXXXXX";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, file.data, file.len), (ssize_t)file.len);
    close(fd);
    struct gw__ranks *r = gw__ranks_load(path, GW__SPLIT_O200K, &e);
    assert_non_null(r);
    assert_int_equal(gw__ranks_count(r, "abab", 4), 2);
    gw__ranks_free(r);
    unlink(path);
    assert_null(gw__ranks_load(path, GW__SPLIT_O200K, &e));
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(gw__ranks_load("/tmp", GW__SPLIT_O200K, &e));
    assert_non_null(strstr(e.detail, "no file"));
    buf_release(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces), cmocka_unit_test(test_names), cmocka_unit_test(test_merge),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
