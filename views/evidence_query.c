#include "views/evidence_query.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORD_MAX = 256 };

/* The names, and what evidence.search calls them. */
static const char *const names[][2] = {
    {"kind", "types"},      {"actor", "actor"}, {"session", "session"}, {"trace", "trace_id"},
    {"control", "control"}, {"since", "since"}, {"until", "until"}};
enum { NAMES = sizeof(names) / sizeof(names[0]), KIND = 0, SINCE = 5 };

/* The next word; quotes keep spaces. False at the end. */
static bool next_word(const char **p, char word[WORD_MAX], bool *quoted)
{
    size_t n = 0;
    while (**p == ' ')
        (*p)++;
    *quoted = **p == '"';
    bool in = false;
    for (; **p && (in || **p != ' '); (*p)++) {
        if (**p == '"')
            in = !in;
        else if (n + 1 < WORD_MAX)
            word[n++] = **p;
    }
    word[n] = 0;
    return n > 0;
}

/* Which name the word begins with, -1: none; *value: behind its colon. */
static int name_of(const char *word, const char **value)
{
    const char *colon = strchr(word, ':');
    for (int i = 0; colon && i < NAMES; i++)
        if (strlen(names[i][0]) == (size_t)(colon - word) &&
            !strncmp(word, names[i][0], (size_t)(colon - word))) {
            *value = colon + 1;
            return i;
        }
    return -1;
}

static json_t *split(const char *value)
{
    json_t *list = json_array();
    while (*value) {
        size_t n = strcspn(value, ",");
        if (n)
            json_array_append_new(list, json_text(value, n));
        value += n + (value[n] == ',');
    }
    return list;
}

static bool take_name(json_t *params, int i, const char *value, int64_t now)
{
    int64_t at = i >= SINCE ? evidence_time(value, now) : 0;
    if (!*value || at < 0)
        return false;
    if (i == KIND)
        json_put(params, names[i][1], split(value));
    else if (i >= SINCE)
        json_puti(params, names[i][1], at);
    else
        json_puts(params, names[i][1], value);
    return true;
}

json_t *evidence_query(const char *text, int64_t now, char bad[64])
{
    json_t *params = json_object();
    struct buf words = {0};
    char word[WORD_MAX];
    const char *value;
    bool quoted, good = true;
    bad[0] = 0;
    while (good && next_word(&text, word, &quoted)) {
        int i = quoted ? -1 : name_of(word, &value);
        if (i < 0)
            buf_addf(&words, "%s%s", words.len ? " " : "", word);
        else
            good = take_name(params, i, value, now);
    }
    if (!good) {
        snprintf(bad, 64, "%.63s", word);
        json_decref(params);
        params = NULL;
    } else if (words.len) {
        json_puts(params, "text", words.data);
    }
    buf_release(&words);
    return params;
}

/* ---- times */

/* A number of at most `most` digits; false if there is none. */
static bool number(const char **p, int digits, int *out)
{
    int n = 0;
    *out = 0;
    for (; **p >= '0' && **p <= '9' && n < digits; (*p)++, n++)
        *out = *out * 10 + (**p - '0');
    return n > 0;
}

static bool take_char(const char **p, char c)
{
    bool is = **p == c;
    *p += is;
    return is;
}

static int64_t ago(const char *text, int64_t now)
{
    int n;
    if (!number(&text, 5, &n) || !*text || text[1])
        return -1;
    int64_t unit = *text == 'm' ? 60 : *text == 'h' ? 3600 : *text == 'd' ? 86400 : 0;
    int64_t at = now - n * unit * 1000;
    return unit && at >= 0 ? at : -1;
}

static int64_t real_ms(struct tm *tm)
{
    tm->tm_isdst = -1;
    time_t s = mktime(tm);
    return s < 0 ? -1 : (int64_t)s * 1000;
}

static bool take_clock(const char **p, struct tm *tm)
{
    tm->tm_sec = 0;
    if (!number(p, 2, &tm->tm_hour) || !take_char(p, ':') || !number(p, 2, &tm->tm_min))
        return false;
    if (take_char(p, ':') && !number(p, 2, &tm->tm_sec))
        return false;
    return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61;
}

int64_t evidence_time(const char *text, int64_t now)
{
    time_t s = (time_t)(now / 1000);
    struct tm tm;
    const char *p = text;
    int year, month, day;
    if (ago(text, now) >= 0)
        return ago(text, now);
    if (!localtime_r(&s, &tm))
        return -1;
    if (take_clock(&p, &tm)) {
        int64_t at = *p ? -1 : real_ms(&tm);
        if (at > now) {
            tm.tm_mday--;
            at = real_ms(&tm);
        }
        return at;
    }
    p = text;
    if (!number(&p, 4, &year) || !take_char(&p, '-') || !number(&p, 2, &month) ||
        !take_char(&p, '-') || !number(&p, 2, &day))
        return -1;
    tm = (struct tm){.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    if (month < 1 || month > 12 || day < 1 || day > 31 || year < 1970)
        return -1;
    if (*p && ((*p != 'T' && *p != ' ') || (p++, !take_clock(&p, &tm)) || *p))
        return -1;
    return real_ms(&tm);
}

/* ---- one name in the text */

void evidence_query_value(const char *text, const char *name, char out[128])
{
    char word[WORD_MAX];
    const char *value;
    bool quoted;
    out[0] = 0;
    while (next_word(&text, word, &quoted)) {
        int i = quoted ? -1 : name_of(word, &value);
        if (i >= 0 && !strcmp(names[i][0], name))
            snprintf(out, 128, "%.127s", value);
    }
}

char *evidence_query_toggle(const char *text, const char *name, const char *value)
{
    struct buf out = {0};
    char was[128];
    const char *p = text, *at = text;
    char word[WORD_MAX];
    const char *its;
    bool quoted;
    evidence_query_value(text, name, was);
    while (next_word(&p, word, &quoted)) {
        int i = quoted ? -1 : name_of(word, &its);
        while (*at == ' ')
            at++;
        if (i < 0 || strcmp(names[i][0], name) != 0) {
            buf_adds(&out, out.len ? " " : "");
            buf_add(&out, at, (size_t)(p - at));
        }
        at = p;
    }
    if (strcmp(was, value) != 0)
        buf_addf(&out, strchr(value, ' ') ? "%s%s:\"%s\"" : "%s%s:%s", out.len ? " " : "", name,
                 value);
    return buf_take(&out);
}
