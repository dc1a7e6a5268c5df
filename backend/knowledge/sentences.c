/* Text into sentences, line by line: a line of Markdown is a paragraph, an item, a row or code. */
#include "backend/base/text.h"
#include "backend/knowledge/internal.h"
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The length of list, quote and heading marks at the beginning. */
static size_t marks(const char *s, size_t len)
{
    size_t i = 0;
    for (;;) {
        size_t at = i;
        while (i < len && is_space(s[i]))
            i++;
        if (i < len && s[i] == '>') {
            i++;
        } else if (i + 1 < len && strchr("-*+", s[i]) != NULL && is_space(s[i + 1])) {
            i += 2;
        } else if (i < len && is_digit(s[i])) {
            size_t n = i;
            while (n < len && n - i < 9 && is_digit(s[n]))
                n++;
            if (n + 1 < len && (s[n] == '.' || s[n] == ')') && is_space(s[n + 1]))
                i = n + 2;
        } else if (i < len && s[i] == '#') {
            size_t n = i;
            while (n < len && s[n] == '#')
                n++;
            if (n == len || is_space(s[n]))
                i = n;
        }
        if (i == at)
            return i;
    }
}

/* Abbreviations before a full stop that do not end a sentence, without their own inner stops. */
static bool is_abbreviation(const char *s, size_t end)
{
    static const char *const words[] = {
        "e.g", "i.e", "etc", "vs",  "cf",  "approx", "no", "fig", "sec", "т.е", "т.д", "т.п", "т.к",
        "т",   "д",   "п",   "е",   "к",   "напр",   "см", "др",  "пр",  "г",   "гг",  "руб", "коп",
        "мин", "сек", "ст",  "стр", "рис", "табл",   "им", "ред", "тыс", "млн", "млрд"};
    size_t begin = end;
    while (begin > 0 && !is_space(s[begin - 1]) && strchr("([\"'`", s[begin - 1]) == NULL)
        begin--;
    size_t len = end - begin;
    if (len == 1 && s[begin] >= 'A' && s[begin] <= 'Z')
        return true; /* an initial */
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && memcmp(words[i], s + begin, len) == 0)
            return true;
    return false;
}

/* Also in brackets: "It is full. (a source says otherwise)" is one sentence. */
static bool begins_lower(const char *s, size_t len)
{
    uint32_t cp;
    if (len > 1 && *s == '(') {
        s++;
        len--;
    }
    if (text_decode(s, len, &cp) == 0)
        return false;
    return (cp >= 'a' && cp <= 'z') || (cp >= 0x430 && cp <= 0x45F);
}

/* The index behind source marks such as " [2][3]" at n: they belong to the sentence before them. */
static size_t citations(const char *s, size_t len, size_t n)
{
    for (;;) {
        size_t i = n;
        while (i < len && is_space(s[i]))
            i++;
        if (i == len || s[i] != '[')
            return n;
        size_t digits = i + 1;
        while (digits < len && is_digit(s[digits]))
            digits++;
        if (digits == i + 1 || digits == len || s[digits] != ']')
            return n;
        n = digits + 1;
    }
}

/* If the sentence ends with the marks at i: the index behind them and closing quotes, else 0. *run
 * is how many bytes the marks have. */
static size_t ends_at(const char *s, size_t len, size_t i, size_t *run)
{
    static const char ellipsis[] = "\xE2\x80\xA6";
    size_t n = i;
    bool firm = false;
    for (; n < len; n++) {
        if (s[n] == '!' || s[n] == '?')
            firm = true;
        else if (len - n >= 3 && memcmp(s + n, ellipsis, 3) == 0)
            n += 2;
        else if (s[n] != '.')
            break;
    }
    *run = n - i;
    if (n == i)
        return 0;
    while (n < len &&
           (strchr("\"')]*_", s[n]) != NULL || (len - n >= 2 && memcmp(s + n, "»", 2) == 0)))
        n += s[n] == "»"[0] ? 2 : 1;
    n = citations(s, len, n);
    if (n < len && !is_space(s[n]))
        return 0;
    size_t next = n;
    while (next < len && is_space(s[next]))
        next++;
    bool cited = (i && s[i - 1] == ']') || s[n - 1] == ']';
    if (next == len || firm || (cited && s[next] != '(')) /* "[1]. web-1 is up" */
        return n;
    if (begins_lower(s + next, len - next) || is_abbreviation(s, i))
        return 0;
    return n;
}

static void emit(const char *s, size_t len, know_sentence_fn *fn, void *arg)
{
    while (len > 0 && is_space(*s)) {
        s++;
        len--;
    }
    while (len > 0 && is_space(s[len - 1]))
        len--;
    bool any = false;
    for (size_t i = 0; i < len && !any; i++) {
        unsigned char c = (unsigned char)s[i];
        any = c >= 0x80 || is_digit(s[i]) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }
    if (any)
        fn(arg, s, len);
}

static void line_sentences(const char *s, size_t len, know_sentence_fn *fn, void *arg)
{
    size_t begin = 0;
    bool code = false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '`' && (code || memchr(s + i + 1, '`', len - i - 1) != NULL))
            code = !code;
        if (code)
            continue;
        size_t run;
        size_t end = ends_at(s, len, i, &run);
        if (end > 0) {
            emit(s + begin, end - begin, fn, arg);
            begin = end;
            i = end - 1;
        } else if (run > 0) {
            i += run - 1;
        }
    }
    emit(s + begin, len - begin, fn, arg);
}

void know_sentences(const char *text, know_sentence_fn *fn, void *arg)
{
    char fence = 0;
    for (const char *line = text; *line != '\0';) {
        size_t len = strcspn(line, "\n");
        size_t skip = 0;
        while (skip < len && is_space(line[skip]))
            skip++;
        const char *s = line + skip;
        bool fenced = len - skip >= 3 && (memcmp(s, "```", 3) == 0 || memcmp(s, "~~~", 3) == 0);
        if (fenced && (fence == 0 || *s == fence)) {
            fence = fence == 0 ? *s : 0;
        } else if (fence != 0) {
            emit(line, len, fn, arg);
        } else {
            size_t n = marks(line, len);
            line_sentences(line + n, len - n, fn, arg);
        }
        line += len;
        line += *line == '\n';
    }
}
