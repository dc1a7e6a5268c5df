/* Foreign text as one line of Markdown.
 *
 * What comes out cannot be a heading, a list, a link, HTML or a code fence, and cannot hold a
 * source mark: "[2]" becomes "(2)". Letters, digits and their order are never changed. */
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_word(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

/* One line, single spaces, no control characters. Look-alikes of brackets become brackets. */
static char *one_line(const char *text, size_t len)
{
    struct buf flat = {0}, clean = {0};
    for (size_t i = 0; i < len; i++) {
        if (!is_space(text[i]))
            buf_addc(&flat, text[i]);
        else if (flat.len && flat.data[flat.len - 1] != ' ')
            buf_addc(&flat, ' ');
    }
    while (flat.len && flat.data[flat.len - 1] == ' ')
        flat.data[--flat.len] = '\0';
    text_clean(flat.data ? flat.data : "", flat.len, TEXT_ONE_LINE, &clean);
    buf_release(&flat);
    char *line = buf_take(&clean);
    static const char *const alike[][2] = {{"\xef\xbc\xbb", "["}, {"\xef\xbc\xbd", "]"},
                                           {"\xe3\x80\x90", "["}, {"\xe3\x80\x91", "]"},
                                           {"\xe2\x9f\xa6", "["}, {"\xe2\x9f\xa7", "]"}};
    for (size_t i = 0; i < sizeof alike / sizeof *alike; i++) {
        size_t n = strlen(alike[i][0]);
        for (char *at; (at = strstr(line, alike[i][0]));) {
            *at = alike[i][1][0];
            memmove(at + 1, at + n, strlen(at + n) + 1);
        }
    }
    return line;
}

/* Length of what could be read as a source mark at s ("[12]", "[ 1, 2 ]", "[*3*]"), 0 if there is
 * none. */
static size_t mark_at(const char *s)
{
    if (*s != '[')
        return 0;
    bool digits = false;
    size_t n = 1;
    for (; s[n] && s[n] != ']'; n++) {
        if (s[n] >= '0' && s[n] <= '9')
            digits = true;
        else if (strncmp(s + n, "\xef\xbc", 2) == 0 && (unsigned char)s[n + 2] >= 0x90 &&
                 (unsigned char)s[n + 2] <= 0x99) /* full-width digits */
            digits = true, n += 2;
        else if (!strchr(" ,;\\*_`~", s[n]))
            return 0;
    }
    return digits && s[n] == ']' ? n + 1 : 0;
}

struct quoting {
    const char *line;
    size_t at;
    size_t count, max; /* characters out */
    enum gw__quote_mode mode;
    struct buf *out;
    size_t first; /* out->len at the start */
    bool bad;
};

/* A code span at q->at: its whole length and that of its fence; 0 if there is none. */
static size_t code_span(const struct quoting *q, size_t *fence)
{
    const char *s = q->line + q->at;
    size_t n = strspn(s, "`");
    if (!n)
        return 0;
    for (const char *p = s + n; (p = strchr(p, '`'));) {
        size_t m = strspn(p, "`");
        if (m == n) {
            *fence = n;
            return (size_t)(p - s) + n;
        }
        p += m;
    }
    return 0;
}

static void copy_code(struct quoting *q, size_t len, size_t fence)
{
    const char *s = q->line + q->at;
    for (size_t i = fence; i < len - fence; i++)
        if (mark_at(s + i))
            q->bad = true; /* it cannot be escaped in code, and a changed command is a wrong one */
    buf_add(q->out, s, len);
    q->count += len;
    q->at += len;
}

/* Where a link's "](...)" ends, if [ at q->at begins one; its text is left to be quoted. */
static bool link_text(struct quoting *q, size_t *text_len, size_t *whole)
{
    const char *s = q->line + q->at, *close = strstr(s, "](");
    const char *end = close ? strchr(close, ')') : NULL;
    if (!end || memchr(s + 1, '[', (size_t)(close - s - 1)))
        return false;
    *text_len = (size_t)(close - s - 1);
    *whole = (size_t)(end - s) + 1;
    return true;
}

static bool must_escape(const struct quoting *q, char c)
{
    const char *s = q->line + q->at;
    const char *said = q->out->data ? q->out->data + q->first : "";
    bool start = q->out->len == q->first;
    char before = q->at ? s[-1] : ' ', after = s[1];
    switch (c) {
    case '*':
    case '`':
    case '[':
    case ']':
        return true;
    case '\\':
        return after == '\0' || (!is_word(after) && after != ' ');
    case '_':
        return !(is_word(before) && is_word(after));
    case '~':
        return before == '~' || after == '~';
    case '<':
        return (after >= 'A' && after <= 'z') || after == '/' || after == '!' || after == '?';
    case '&':
        return after == '#' || is_word(after);
    case '#':
    case '>':
    case '=':
    case '|':
        return start;
    case '-':
    case '+':
        return start;
    case '.':
    case ')': /* "1. " at the start would begin a list */
        return !start && strspn(said, "0123456789") == strlen(said) &&
               (after == ' ' || after == '\0');
    default:
        return false;
    }
}

/* One character that is not code. */
static void copy_character(struct quoting *q)
{
    const char *s = q->line + q->at;
    uint32_t cp;
    size_t n = text_decode(s, strlen(s), &cp);
    if (n == 1) {
        if (must_escape(q, *s))
            buf_addc(q->out, '\\');
        buf_addc(q->out, *s);
    } else {
        buf_add(q->out, s, n);
    }
    q->at += n;
    q->count++;
}

static void copy_mark(struct quoting *q, size_t len)
{
    buf_addc(q->out, '(');
    for (size_t i = 1; i + 1 < len; i++)
        if (!strchr("\\*_`~", q->line[q->at + i]))
            buf_addc(q->out, q->line[q->at + i]);
    buf_addc(q->out, ')');
    q->at += len;
    q->count += len;
}

/* Emphasis that a document writes is left out: ** and __ always, * where it touches a word. */
static size_t emphasis(const struct quoting *q)
{
    const char *s = q->line + q->at;
    char before = q->at ? s[-1] : ' ';
    if (strncmp(s, "**", 2) == 0 || strncmp(s, "__", 2) == 0)
        return 2;
    if (*s == '*' && (before == ' ') != (s[1] == ' ' || s[1] == '\0'))
        return 1;
    if (*s == '_' && is_word(before) != is_word(s[1]))
        return 1;
    return 0;
}

/* In Markdown: what is taken in one step besides a plain character. */
static bool copy_markdown(struct quoting *q, size_t *link_end, size_t *skip_to)
{
    size_t fence = 0, len = code_span(q, &fence);
    if (len) {
        copy_code(q, len, fence);
        return true;
    }
    if (*link_end && q->at == *link_end) {
        q->at = *skip_to;
        *link_end = 0;
        return true;
    }
    size_t text_len = 0, whole = 0;
    if (q->line[q->at] == '[' && !*link_end && link_text(q, &text_len, &whole)) {
        *link_end = q->at + 1 + text_len;
        *skip_to = q->at + whole;
        q->at++;
        return true;
    }
    if (q->line[q->at] == '\\' && q->line[q->at + 1] && !is_word(q->line[q->at + 1]) &&
        q->line[q->at + 1] != ' ') {
        q->at++; /* an escape of the document's own: the character is escaped again if it must be */
        if (mark_at(q->line + q->at) == 0)
            copy_character(q);
        return true;
    }
    size_t n = emphasis(q);
    q->at += n;
    return n > 0;
}

/* True if what was written would show a source mark once the escapes are taken away. */
static bool shows_mark(const char *quoted)
{
    char *shown = xstrdup(quoted), *to = shown;
    for (const char *p = quoted; *p; p++)
        if (*p != '\\' || is_word(p[1]) || !p[1])
            *to++ = *p;
    *to = '\0';
    bool found = false;
    for (const char *p = shown; !found && (p = strchr(p, '[')); p++)
        found = mark_at(p) > 0;
    free(shown);
    return found;
}

/* What is cut is cut between words: half a number is another one. A word that is longer than that,
 * and code, are cut where they are. */
static void cut_word(struct quoting *q)
{
    enum { WORD_LONGEST = 60 };
    struct buf *out = q->out;
    size_t end = out->len;
    if (end == q->first || !is_word(out->data[end - 1]) || !is_word(q->line[q->at]))
        return;
    while (end > q->first && out->data[end - 1] != ' ' && out->data[end - 1] != '`')
        end--;
    if (end <= q->first + 1 || out->data[end - 1] == '`' || out->len - end > WORD_LONGEST)
        return;
    out->len = end - 1;
    out->data[out->len] = '\0';
}

bool gw__quote(const char *text, size_t len, size_t max, enum gw__quote_mode mode, struct buf *out)
{
    size_t most = max * 6; /* beyond it nothing is read */
    bool cut = len > most;
    for (len = cut ? most : len; cut && len && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    char *line = one_line(text, len);
    struct quoting q = {.line = line, .max = max, .mode = mode, .out = out, .first = out->len};
    size_t link_end = 0, skip_to = 0;
    while (line[q.at] && q.count < max) {
        size_t mark = mark_at(line + q.at);
        if (mark)
            copy_mark(&q, mark);
        else if (mode != GW__MARKDOWN || !copy_markdown(&q, &link_end, &skip_to))
            copy_character(&q);
    }
    if (line[q.at])
        cut_word(&q);
    cut |= line[q.at] != '\0';
    free(line);
    if (cut && out->len > q.first)
        buf_adds(out, "…");
    if (q.bad || out->len == q.first || shows_mark(out->data + q.first)) {
        out->len = q.first;
        if (out->data)
            out->data[out->len] = '\0';
        return false;
    }
    return true;
}
