/* What the mock is to do with one request, read from a line of words: `NAME[,KEY=VALUE]...`. The
 * name of the model is such a line, or the script has one, or the path begins with it
 * (/@KEY=VALUE,.../v1/chat/completions). */
#ifndef TESTS_MOCK_PLAN_H
#define TESTS_MOCK_PLAN_H

#include "backend/base/buf.h"
#include "backend/base/errors.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
#define MOCK_NUMBERS(X) \
    X(head, 0, "ms before the head of the answer") \
    X(first, 0, "ms from the head to the first token") \
    X(rate, 0, "tokens a second; 0: as fast as they are taken") \
    X(tokens, 0, "so many tokens instead of a text") \
    X(token_bytes, 0, "bytes of each of them; 0: a short word") \
    X(piece, 0, "characters of a text that make a token; 0: the text's own pieces") \
    X(repeat, 1, "the text so many times") \
    X(forever, 0, "tokens without an end") \
    X(pause_at, -1, "after so many tokens a pause") \
    X(pause, 0, "of so many ms") \
    X(chunk, 0, "bytes of an HTTP chunk; 0: an event each") \
    X(write, 0, "bytes of a write; 0: all there is") \
    X(gap, 0, "us between writes") \
    X(cut, -1, "bytes of the body, after which it ends as `how` says") \
    X(cut_tokens, -1, "tokens, after which it ends as `how` says") \
    X(bad_chunk, -1, "bytes of the body, after which a chunk's size is no number") \
    X(nonsense_at, -1, "tokens, after which comes what is no JSON") \
    X(error_at, -1, "tokens, after which an error object ends the stream") \
    X(stall, -1, "tokens, after which nothing comes until the client goes") \
    X(beat, 0, "ms between comments while it stalls") \
    X(long_line, 0, "bytes of a line that comes instead of tokens") \
    X(status, 200, "HTTP status; not 200: an error object") \
    X(retry, -1, "Retry-After in seconds") \
    X(retry_date, -1, "Retry-After as a date, so many seconds from now") \
    X(hang, 0, "the request is taken and nothing is said") \
    X(drop, 0, "the request is taken and the connection closed") \
    X(slow_read, 0, "bytes a second of the request's body that are read; only in the path") \
    X(in, 31, "input tokens in the usage, with cached ones") \
    X(out, -1, "output tokens in the usage, with reasoning; -1: tokens sent, or 12") \
    X(cached, 0, "cached input tokens") \
    X(cache_write, 0, "input tokens that were written to a cache") \
    X(reasoning, -1, "reasoning tokens; -1: those of `think`") \
    X(think, 0, "reasoning tokens before the text") \
    X(sign, 0, "thinking is signed, and redacted thinking follows (Anthropic)") \
    X(think_tag, 0, "they come as <think>...</think> in the text") \
    X(tools, 0, "calls of tools, unless the last message is a tool's result") \
    X(tool_piece, 5, "bytes of a piece of their arguments") \
    X(interleave, 0, "pieces of several calls by turns") \
    X(bad_args, 0, "arguments that are no JSON") \
    X(whole, 0, "one object although a stream was asked for") \
    X(bom, 0, "a byte order mark first") \
    X(comments, 0, "comments, ids and retry lines between the events") \
    X(multi, 0, "the data of an event in two lines") \
    X(no_done, 0, "no end mark") \
    X(linger, 0, "after the end mark the answer does not end") \
    X(close, 0, "Connection: close") \
    X(echo_key, 0, "an error's text repeats the key") \
    X(oauth, 0, "only tokens of /oauth are taken, else 401") \
    X(expires, 1800, "seconds that a token of /oauth lasts") \
    X(dimensions, 8, "length of an embedding") \
    X(unlisted, 0, "the list of models is empty") \
    X(faulty, 100, "percent of the requests that chaos meets") \
    X(chaos, 0, "a fault by chance, by this number and that of the request")
#define MOCK_WORDS(X) \
    X(text, "", "a text of the list, hostile (the file) or guard (judges the question as Llama Guard)") \
    X(say, "", "the text itself; %XX are bytes") \
    X(eol, "lf", "lf, cr, crlf") \
    X(how, "clean", "clean (an end), fin (closed), mid (closed within a chunk), reset (RST)") \
    X(type, "", "Content-Type of the answer: html, json, none or any") \
    X(body, "", "of an error: plain, html, empty, hostile") \
    X(usage, "", "none, zero, wrong (words for numbers), negative, half (no output), always (unasked too)") \
    X(form, "", "of the usage: deepseek, groq") \
    X(finish, "stop", "why it ended, as OpenAI says it") \
    X(args, "", "arguments of calls; %XX are bytes") \
    X(key, "", "the only key that is taken, else 401") \
    X(limit_key, "", "a key that gets 429") \
    X(at, "", "chunks end at these offsets of the body: 3:17:90")
// clang-format on

struct plan {
#define X(name, value, help) int64_t name;
    MOCK_NUMBERS(X)
#undef X
#define X(name, value, help) char name[256];
    MOCK_WORDS(X)
#undef X
};

/* Names of behaviours that tests use, as lines of keys. */
static const struct mock_name {
    const char *name, *means;
} mock_names[] = {
    {"ok", ""},
    {"bytes", "chunk=1,write=1"},
    {"cut", "cut_tokens=2"},
    {"reset", "cut_tokens=2,how=mid"},
    {"hang", "hang=1"},
    {"silent-head", "stall=0"},
    {"stall", "stall=1"},
    {"keepalive", "stall=0,beat=20"},
    {"nonsense", "nonsense_at=2"},
    {"error", "error_at=2"},
    {"html", "type=html,whole=1"},
    {"429", "status=429,retry=7"},
    {"plain-503", "status=503,body=plain"},
    {"echo-key", "status=401,echo_key=1"},
    {"nousage", "usage=none"},
    {"zero", "usage=zero"},
    {"length", "finish=length"},
    {"think", "think=3,usage=none"},
    {"nodone", "no_done=1"},
    {"whole", "whole=1,in=5,out=6"},
    {"longline", "long_line=2097152"},
    {"crlf", "eol=crlf,bom=1,comments=1,multi=1"},
    {"linger", "linger=1"},
    {"huge", "forever=1,token_bytes=60000"},
    {"hostile", "text=hostile,piece=1,chunk=1,write=1"},
    {"hostile-500", "status=500,body=hostile"},
    {"hostile-mid", "error_at=1,body=hostile"},
    {"paced", "text=long,piece=16,rate=50"},
};

static inline bool plan__set(struct plan *p, const char *key, const char *value)
{
#define X(name, unset, help)                    \
    if (strcmp(key, #name) == 0) {              \
        p->name = (int64_t)strtod(value, NULL); \
        return true;                            \
    }
    MOCK_NUMBERS(X)
#undef X
#define X(name, unset, help)                            \
    if (strcmp(key, #name) == 0) {                      \
        snprintf(p->name, sizeof p->name, "%s", value); \
        return true;                                    \
    }
    MOCK_WORDS(X)
#undef X
    return false;
}

/* Reads a line into *p, on top of what is there. Words that mean nothing are left out: a model may
 * be called anything. */
static inline void plan_read(struct plan *p, const char *line)
{
    char *copy = xstrdup(line), *rest = copy;
    for (char *word; (word = strsep(&rest, ","));) {
        char *value = strchr(word, '=');
        if (value) {
            *value++ = '\0';
            plan__set(p, word, value);
            continue;
        }
        for (size_t i = 0; i < sizeof mock_names / sizeof *mock_names; i++)
            if (strcmp(word, mock_names[i].name) == 0 && *mock_names[i].means)
                plan_read(p, mock_names[i].means);
        int64_t status = strtol(word, NULL, 10);
        if (status >= 300 && status < 600 && strcmp(word, "429") != 0)
            p->status = status;
        if (strncmp(word, "say-", 4) == 0)
            plan__set(p, "text", word + 4);
        if (strncmp(word, "slow-", 5) == 0) { /* a pause before each piece */
            p->first = (int64_t)(1000 * strtod(word + 5, NULL));
            p->rate = -p->first;
        }
    }
    free(copy);
}

static inline void plan_init(struct plan *p)
{
    memset(p, 0, sizeof *p);
#define X(name, value, help) p->name = value;
    MOCK_NUMBERS(X)
#undef X
#define X(name, value, help) snprintf(p->name, sizeof p->name, "%s", value);
    MOCK_WORDS(X)
#undef X
}

static inline void plan_help(void)
{
#define X(name, value, help) printf("  %-12s %s\n", #name, help);
    MOCK_NUMBERS(X)
    MOCK_WORDS(X)
#undef X
    for (size_t i = 0; i < sizeof mock_names / sizeof *mock_names; i++)
        printf("  %-12s is %s\n", mock_names[i].name, mock_names[i].means);
}

/* Nanoseconds from one token to the next. */
static inline uint64_t plan_interval_ns(const struct plan *p)
{
    if (p->rate < 0)
        return (uint64_t)-p->rate * 1000000;
    return p->rate ? 1000000000u / (uint64_t)p->rate : 0;
}

/* %XX becomes a byte. The caller releases. */
static inline struct buf plan_decoded(const char *text)
{
    struct buf out = {0};
    for (; *text; text++) {
        char hex[3] = {0};
        if (*text == '%' && text[1] && text[2]) {
            memcpy(hex, text + 1, 2);
            buf_addc(&out, (char)strtol(hex, NULL, 16));
            text += 2;
        } else {
            buf_addc(&out, *text);
        }
    }
    buf_adds(&out, "");
    return out;
}

/* A fault by chance, the same for the same numbers. */
static inline const char *plan_chance(uint64_t seed, uint64_t n, int64_t percent)
{
    static const char *const faults[] = {
        "",
        "",
        "",
        "",
        "tokens=20,chunk=7",
        "tokens=9,write=3,gap=50",
        "crlf",
        "eol=cr,multi=1",
        "cut_tokens=0",
        "cut_tokens=1,how=fin",
        "cut_tokens=2,how=mid",
        "cut_tokens=2,how=reset",
        "cut=40,how=reset",
        "bad_chunk=60",
        "nonsense",
        "error",
        "error_at=0",
        "html",
        "500",
        "plain-503",
        "status=429,retry=0",
        "status=429,retry_date=0",
        "status=401",
        "nousage",
        "zero",
        "usage=wrong",
        "usage=half",
        "usage=negative",
        "type=none",
        "longline",
        "hang",
        "silent-head",
        "stall",
        "keepalive",
        "drop=1",
        "linger",
        "whole",
        "tokens=40,think=10",
        "tokens=200,rate=2000",
        "first=30",
        "tokens=6,pause_at=3,pause=40",
        "nodone",
        "length",
        "tools=2",
        "close=1",
    };
    uint64_t x = seed * 0x9e3779b97f4a7c15u + n * 0xbf58476d1ce4e5b9u; /* splitmix64 */
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    if (x % 100 >= (uint64_t)percent)
        return "";
    return faults[(x >> 8) % (sizeof faults / sizeof *faults)];
}

#endif
