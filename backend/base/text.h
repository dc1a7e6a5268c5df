/* Text: UTF-8, the choke point for foreign text, and widths.
 *
 * The rule: whatever did not come from this program's own string literals goes through text_clean
 * (or text_cleaner for a stream) before it reaches a terminal, in the console and in line mode. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "backend/base/buf.h"
#include <stdbool.h>
#include <stdint.h>

/* Decodes one code point; returns its length in bytes (1..4), or 0 at the end. An invalid byte
 * gives length 1 and *cp = TEXT_BAD | byte. Overlong forms, surrogates and values above U+10FFFF
 * are invalid (Unicode 15, table 3-7). */
#define TEXT_BAD 0x80000000u
size_t text_decode(const char *s, size_t len, uint32_t *cp);
/* Encodes; returns 1..4. cp must be a scalar value. */
size_t text_encode(uint32_t cp, char out[4]);

/* How a stream of foreign bytes is made safe; state spans chunks. Zero-initialise. */
struct text_cleaner {
    unsigned char held[4]; /* an unfinished UTF-8 sequence */
    unsigned held_len;
    unsigned marks; /* combining marks in a row */
    bool cr;        /* the last character was a CR */
    bool base;      /* a combining mark has something of this text to stand on */
};
enum text_flags {
    TEXT_ONE_LINE = 1, /* new lines and tabs are shown as the visible \n and \t marks, not kept */
    TEXT_ASCII = 2     /* only ASCII comes out; the rest as <U+XXXX> */
};
/* Appends the safe form of bytes to out:
 *   C0 except \n and \t, DEL: caret form (^[ for ESC); CRLF and CR become \n;
 *   C1, bidi controls (U+061C, 200E, 200F, 202A..202E, 2066..2069), zero-width (200B..200D, 2060,
 *   FEFF) and other invisible format characters, tag characters (E0000..E007F), line and paragraph
 *   separators, private use, noncharacters: <U+XXXX>;
 *   an invalid byte: <XX>; variation selectors are dropped; over 4 combining marks in a row are
 *   dropped (counted once as <+marks>); a mark that opens the text or a line: <U+XXXX>, since it
 * would be drawn over what stands before the text. What comes out is valid UTF-8 without any
 * control character but \n and \t. */
void text_clean_feed(struct text_cleaner *c, const char *bytes, size_t len, int flags,
                     struct buf *out);
/* Flushes an unfinished sequence. */
void text_clean_end(struct text_cleaner *c, int flags, struct buf *out);
/* The same for a whole string. */
void text_clean(const char *bytes, size_t len, int flags, struct buf *out);
/* The same, newly allocated; the caller frees. */
char *text_cleaned(const char *s, int flags);
/* True if text_clean shows the code point in another form: a control character, also \n and \t,
 * DEL, C1, a bidi control, what is invisible or has no agreed meaning. Combining marks are not. */
bool text_is_hidden(uint32_t cp);

/* Columns of one code point on a terminal: 0, 1 or 2. The one width function of the project (the C
 * library's, as ncurses uses); an unprintable one is 1. */
int text_width_cp(uint32_t cp);
/* Columns of clean text. */
int text_width(const char *s, size_t len);
/* Bytes of the longest prefix of clean text that fits in columns; *used = its columns. */
size_t text_fit(const char *s, size_t len, int columns, int *used);

/* True if the text holds Cyrillic letters in at least a third of its letters: answer in Russian. */
bool text_is_russian(const char *s);
/* Levenshtein distance in bytes, where two neighbours that changed places count once, for "did you
 * mean"; max + 1 when it is larger than max or a text is longer than 64 bytes. */
unsigned text_distance(const char *a, const char *b, unsigned max);
/* The nearest of n words within a distance of 3 and of half the word's bytes, for "did you mean";
 * NULL if none is near. */
const char *text_nearest(const char *word, const char *const *words, size_t n);

/* The code point at s in lower case; *n: its bytes. */
uint32_t text_fold(const char *s, size_t len, size_t *n);
/* Where needle occurs in text at or behind `from`, letters of either case; *end: behind it. */
bool text_find(const char *text, size_t len, size_t from, const char *needle, size_t *at,
               size_t *end);

/* Lower-case hex; out has 2 * len + 1 bytes. */
void text_hex(const void *bytes, size_t len, char *out);
/* -1 unless text is exactly 2 * len hex digits. */
int text_unhex(const char *text, uint8_t *out, size_t len);
/* Base64 (RFC 4648, section 4, padded) into out; the number of bytes, -1 if text is no base64 or
 * does not fit in max. */
int64_t text_unbase64(const char *text, uint8_t *out, size_t max);
/* A decimal number ("0.15") in billionths; false, and *nano as it was, on a text that is none (so
 * on
 * "" too), has a sign, over 9 places, or over 1e9 units. */
bool text_decimal(const char *text, int64_t *nano);
/* Whether one of the patterns (* and ?), with spaces, commas or semicolons between, fits a name. */
bool text_any_fits(const char *patterns, const char *name);

#endif
