/* Sources by what they are and of when they are. */
#include "backend/orchestrator/standing.h"
#include "backend/base/buf.h"
#include "backend/base/text.h"
#include "backend/orchestrator/claims_internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD = 4096 }; /* of a source's text, in which its time is looked for */

/* In lower case, with blanks for all signs and around the whole, so that words are found by the
 * blanks. The caller frees. */
static char *words_of(const char *text, size_t len)
{
    struct buf out = {0};
    buf_addc(&out, ' ');
    for (size_t at = 0, n; at < len; at += n) {
        char bytes[4];
        uint32_t cp = text_fold(text + at, len - at, &n);
        if (cp & TEXT_BAD || (cp < 0x80 && !isalnum((int)cp)))
            buf_addc(&out, ' ');
        else
            buf_add(&out, bytes, text_encode(cp, bytes));
    }
    buf_addc(&out, ' ');
    return buf_take(&out);
}

/* Whether the text has one of the words, divided by commas; a star at the end: or one that begins
 * so. */
static bool has_any(const char *words, const char *list, size_t len)
{
    for (const char *at = list; at < list + len;) {
        size_t n = 0;
        while (at + n < list + len && at[n] != ',')
            n++;
        bool star = n && at[n - 1] == '*';
        char *one = xasprintf(" %.*s%s", (int)(n - star), at, star ? "" : " ");
        bool there = strstr(words, one) != NULL;
        free(one);
        if (there)
            return true;
        at += n + 1;
    }
    return false;
}

static char *name_of(const struct gw_source *s, const char *about)
{
    char *all = xasprintf("%s %s", s->ref, about ? about : "");
    char *words = words_of(all, strlen(all));
    free(all);
    return words;
}

static enum orch_standing_kind kind_of(const struct gw_source *s, const char *about)
{
    enum orch_standing_kind kind = ORCH_MEASURED;
    char *words = name_of(s, about);
    bool now = false;
#define STANDING(k, list)                                    \
    if (has_any(words, list, sizeof list - 1) && (k) < kind) \
        kind = k;
#define NOW(list) now = has_any(words, list, sizeof list - 1);
#include "backend/orchestrator/standing.def"
    free(words);
    if (kind == ORCH_KEPT && now)
        kind = ORCH_MEASURED;
    return strcmp(s->kind, "tool") == 0 ? kind : ORCH_TOLD;
}

/* ---- of when it is */

/* Two to four digits; -1: there are none. */
static int digits_at(const char *s, size_t n)
{
    int value = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isdigit((unsigned char)s[i]))
            return -1;
        value = value * 10 + (s[i] - '0');
    }
    return value;
}

/* "2026-03-02", and "06:00" with or without it. False: no time stands there. */
static bool time_at(const char *s, struct orch_standing *out)
{
    int year = digits_at(s, 4), month = year < 0 || s[4] != '-' ? -1 : digits_at(s + 5, 2);
    int day = month < 1 || month > 12 || s[7] != '-' ? -1 : digits_at(s + 8, 2);
    out->day = day > 0;
    out->at = out->day ? claims__days(year, month, day) * 86400 : 0;
    if (out->day)
        s += 10;
    if (out->day && (*s == ' ' || *s == 'T'))
        s++;
    int hour = digits_at(s, 2), minute = hour < 0 || s[2] != ':' ? -1 : digits_at(s + 3, 2);
    if (hour < 24 && minute >= 0 && minute < 60)
        out->at += hour * 3600 + minute * 60;
    else if (!out->day)
        return false;
    out->dated = true;
    return true;
}

/* A time with a word before it that says that the source is of then. */
static void find_time(const char *text, struct orch_standing *out)
{
    static const char list[] =
#define AS_OF(list) list
#include "backend/orchestrator/standing.def"
        ;
    size_t len = strnlen(text, HEAD);
    for (size_t i = 1; i < len; i++) {
        size_t from = i > 40 ? i - 40 : 0;
        struct orch_standing found = {.kind = out->kind};
        if (!isdigit((unsigned char)text[i]) || isalnum((unsigned char)text[i - 1]) ||
            !time_at(text + i, &found))
            continue;
        while (from < i && ((unsigned char)text[from] & 0xC0) == 0x80)
            from++; /* not within a character */
        char *before = words_of(text + from, i - from);
        size_t n = strlen(before);
        while (n > 1 && before[n - 1] == ' ' && before[n - 2] == ' ')
            before[--n] = '\0';
        /* the word has to stand right before it */
        bool told = false;
        for (const char *at = list; *at && !told;) {
            size_t word = strcspn(at, ",");
            told = n > word + 1 && memcmp(before + n - 1 - word, at, word) == 0 &&
                   before[n - 2 - word] == ' ';
            at += word + (at[word] == ',');
        }
        free(before);
        if (told && (!out->dated || (found.day == out->day && found.at > out->at)))
            *out = found;
    }
}

void orch_standing_of(const struct gw_source *s, const char *about, struct orch_standing *out)
{
    *out = (struct orch_standing){.kind = kind_of(s, about)};
    find_time(s->text, out);
}

/* Of two of one kind: 1 the first, -1 the second, 0 open. */
static int newer(const struct orch_standing *a, const struct orch_standing *b)
{
    if (a->dated != b->dated)
        return b->dated ? 1 : -1;
    if (!a->dated || a->day != b->day || a->at == b->at)
        return 0;
    return a->at > b->at ? 1 : -1;
}

enum orch_stands orch_stands(const struct orch_standing *a, const struct orch_standing *b)
{
    int more = newer(a, b);
    bool known = a->dated && b->dated;
    if (a->kind == b->kind)
        return more > 0 ? ORCH_FIRST_NEWER : more < 0 ? ORCH_SECOND : ORCH_OPEN;
    if (a->kind > b->kind)
        return known && more < 0 ? ORCH_OPEN : ORCH_FIRST_MEASURED;
    return known && more > 0 ? ORCH_OPEN : ORCH_SECOND;
}

/* ---- of what it is */

/* The next name at or behind *at, letters with digits at its end, "app-1"; its bytes, of which stem
 * are before those digits. 0: there is none. */
static size_t next_numbered(const char **at, size_t *stem)
{
    static const char PARTS[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
    for (; **at; ++*at) {
        size_t n = strspn(*at, PARTS);
        if (!n)
            continue;
        *stem = n;
        while (*stem && isdigit((unsigned char)(*at)[*stem - 1]))
            --*stem;
        if (*stem && *stem < n)
            return n;
        *at += n - 1;
    }
    return 0;
}

/* They have names that differ in their numbers only, and not each other's. */
static bool numbered_apart(const char *a, const char *b)
{
    bool apart = false;
    size_t n, m, stem, other;
    for (const char *x = a; (n = next_numbered(&x, &stem)) > 0; x += n) {
        for (const char *y = b; (m = next_numbered(&y, &other)) > 0; y += m) {
            if (n == m && memcmp(x, y, n) == 0)
                return false; /* one thing of both */
            apart = apart || (stem == other && memcmp(x, y, stem) == 0);
        }
    }
    return apart;
}

/* The length of what two names begin with and have in common, up to a joint. */
static size_t joint(const char *a, const char *b)
{
    size_t n = 0, last = 0;
    for (; a[n] && a[n] == b[n] && a[n] != '/'; n++)
        last = strchr("-_.", a[n]) ? n + 1 : last;
    return last;
}

/* One tool of two connectors that are named alike, redis-cache and redis-sessions: what they look
 * at is two things. Not by a letter, which tells two observers apart, nor by the role of what holds
 * the same. */
static bool siblings(const char *a, const char *b)
{
    static const char ROLES[] =
#define ROLE(list) list
#include "backend/orchestrator/standing.def"
        ;
    const char *tool_a = strchr(a, '/'), *tool_b = strchr(b, '/');
    size_t from = joint(a, b);
    if (!from || !tool_a || !tool_b || strcmp(tool_a, tool_b) != 0)
        return false;
    size_t x = (size_t)(tool_a - a) - from, y = (size_t)(tool_b - b) - from;
    if (x < 2 || y < 2)
        return false;
    char *p = words_of(a + from, x), *q = words_of(b + from, y);
    bool roles = has_any(p, ROLES, sizeof ROLES - 1) || has_any(q, ROLES, sizeof ROLES - 1);
    free(p);
    free(q);
    return !roles;
}

/* Which part of a row, divided by bars, the words are of: 0: none, or several. */
static size_t part_of(const char *words, const char *row)
{
    size_t found = 0, number = 0;
    for (const char *at = row; *at;) {
        size_t n = strcspn(at, "|");
        number++;
        if (has_any(words, at, n))
            found = found ? (size_t)-1 : number;
        at += n + (at[n] == '|');
    }
    return found == (size_t)-1 ? 0 : found;
}

bool orch_words_apart(const char *a, size_t a_len, const char *b, size_t b_len)
{
    static const char *const ROWS[] = {
#define APART(list) list,
#include "backend/orchestrator/standing.def"
    };
    char *x = words_of(a, a_len), *y = words_of(b, b_len);
    bool apart = false;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS && !apart; i++) {
        size_t p = part_of(x, ROWS[i]), q = part_of(y, ROWS[i]);
        apart = p && q && p != q;
    }
    free(x);
    free(y);
    return apart;
}

bool orch_sources_apart(const struct gw_source *a, const char *about_a, const struct gw_source *b,
                        const char *about_b)
{
    char *x = xasprintf("%s %s", a->ref, about_a ? about_a : "");
    char *y = xasprintf("%s %s", b->ref, about_b ? about_b : "");
    for (char *p = x; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    for (char *p = y; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    bool apart = siblings(a->ref, b->ref) || numbered_apart(x, y) ||
                 orch_words_apart(x, strlen(x), y, strlen(y));
    free(x);
    free(y);
    return apart;
}
