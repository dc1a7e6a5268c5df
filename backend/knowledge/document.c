/* One Markdown file: normalised and cut into sections.
 *
 * Normalised means: valid UTF-8 without control characters, LF line ends, wrapped lines of a
 * paragraph or list item joined, so that a line is a whole paragraph, item, table row, code line.
 */
#include "backend/base/text.h"
#include "backend/knowledge/internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    SECTIONS_MAX = 1000,  /* of a document; later headings stay in the text */
    SECTION_BYTES = 4000, /* longer ones are cut at a blank line or a line's end */
    HEADING_BYTES = 200,
    LEVELS = 6
};

struct parser {
    struct know__document *d;
    char *headings[LEVELS + 1];
    struct buf text; /* of the section so far */
    size_t headed;   /* sections ended by headings */
    size_t line;     /* where the last line begins in text */
    char fence;      /* '`' or '~' inside a fenced block, else 0 */
    size_t fence_len;
    bool joins; /* the last line may go on in the next one */
    bool plain; /* the last line is a paragraph's first, so an underline makes it a heading */
};

static bool is_control(uint32_t cp)
{
    return (cp < 0x20 && cp != '\n' && cp != '\t') || (cp >= 0x7F && cp < 0xA0);
}

static void normalise(const char *bytes, size_t len, struct buf *out)
{
    size_t i = len >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    size_t good = i; /* bytes from here to i are to be copied as they are */
    buf_reserve(out, len + 1);
    while (i < len) {
        if (bytes[i] >= ' ' && bytes[i] < 0x7F) {
            i++;
            continue;
        }
        uint32_t cp;
        size_t n = text_decode(bytes + i, len - i, &cp);
        BUG_IF(n == 0);
        if (cp >= TEXT_BAD || is_control(cp)) {
            buf_add(out, bytes + good, i - good);
            if (cp != '\r')
                buf_adds(out, "\xEF\xBF\xBD");
            else if (i + 1 >= len || bytes[i + 1] != '\n')
                buf_addc(out, '\n');
            good = i + n;
        }
        i += n;
    }
    buf_add(out, bytes + good, len - good);
    buf_addc(out, '\n');
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && is_blank(**s)) {
        (*s)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*s)[*len - 1]))
        (*len)--;
}

/* The longest prefix of at most max bytes that ends no character in its middle. */
static size_t whole_characters(const char *s, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max > 0 && ((unsigned char)s[max] & 0xC0) == 0x80)
        max--;
    return max;
}

static char *short_copy(const char *s, size_t len)
{
    trim(&s, &len);
    size_t n = whole_characters(s, len, HEADING_BYTES);
    return n == len ? xstrndup(s, len) : xasprintf("%.*s\xE2\x80\xA6", (int)n, s);
}

static void add_section(struct parser *p, const char *text, size_t len)
{
    trim(&text, &len);
    if (len == 0)
        return;
    struct know__document *d = p->d;
    if (d->count == d->cap) {
        d->cap = d->cap == 0 ? 8 : d->cap * 2;
        d->sections = xrealloc(d->sections, d->cap * sizeof *d->sections);
    }
    struct buf heading = {0};
    for (int level = 1; level <= LEVELS; level++) {
        if (p->headings[level] == NULL)
            continue;
        if (level == 1 && d->title != NULL && strcmp(d->title, p->headings[1]) == 0)
            continue;
        if (heading.len > 0)
            buf_adds(&heading, " > ");
        buf_adds(&heading, p->headings[level]);
    }
    d->sections[d->count++] = (struct know__section){buf_take(&heading), xstrndup(text, len)};
}

/* Where to cut a long section: behind a blank line, a line, a word, or at a character's end. */
static size_t cut_at(const char *s)
{
    static const char *const marks[] = {"\n\n", "\n", " "};
    for (size_t m = 0; m < sizeof marks / sizeof *marks; m++) {
        size_t n = strlen(marks[m]);
        for (size_t i = SECTION_BYTES - n; i > SECTION_BYTES / 2; i--)
            if (memcmp(s + i, marks[m], n) == 0)
                return i + n;
    }
    return whole_characters(s, SECTION_BYTES + 1, SECTION_BYTES);
}

static void end_section(struct parser *p)
{
    const char *s = p->text.data;
    size_t len = p->text.len;
    while (len > SECTION_BYTES) {
        size_t n = cut_at(s);
        add_section(p, s, n);
        s += n;
        len -= n;
    }
    if (len > 0)
        add_section(p, s, len);
    buf_clear(&p->text);
    p->line = 0;
    p->joins = p->plain = false;
}

static void heading(struct parser *p, int level, const char *s, size_t len)
{
    end_section(p);
    p->headed++;
    for (int i = level; i <= LEVELS; i++) {
        free(p->headings[i]);
        p->headings[i] = NULL;
    }
    if (len == 0)
        return;
    p->headings[level] = short_copy(s, len);
    if (level == 1 && p->d->title == NULL)
        p->d->title = xstrdup(p->headings[1]);
}

/* "## Text ##": the level and the text, or 0. */
static int atx_level(const char **s, size_t *len)
{
    size_t n = 0;
    while (n < *len && (*s)[n] == '#')
        n++;
    if (n == 0 || n > LEVELS || (n < *len && !is_blank((*s)[n])))
        return 0;
    *s += n;
    *len -= n;
    trim(s, len);
    size_t end = *len;
    while (end > 0 && (*s)[end - 1] == '#')
        end--;
    if (end == 0 || is_blank((*s)[end - 1]))
        *len = end;
    trim(s, len);
    return (int)n;
}

static bool all_of(const char *s, size_t len, char c)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != c)
            return false;
    return len > 0;
}

static bool is_item(const char *s, size_t len)
{
    size_t n = 0;
    while (n < len && n < 9 && s[n] >= '0' && s[n] <= '9')
        n++;
    if (n > 0 && n < len && (s[n] == '.' || s[n] == ')'))
        return n + 1 == len || is_blank(s[n + 1]);
    return len > 0 && (*s == '-' || *s == '*' || *s == '+') && (len == 1 || is_blank(s[1]));
}

static size_t fence_of(const char *s, size_t len, char *c)
{
    size_t n = 0;
    while (n < len && (s[0] == '`' || s[0] == '~') && s[n] == s[0])
        n++;
    *c = n > 0 ? s[0] : '\0';
    return n >= 3 ? n : 0;
}

static void keep_line(struct parser *p, const char *s, size_t len)
{
    p->line = p->text.len;
    buf_add(&p->text, s, len);
    buf_addc(&p->text, '\n');
}

/* An underline of = or - below a one-line paragraph makes it a heading. */
static bool setext(struct parser *p, const char *s, size_t len)
{
    if (!p->plain || p->headed >= SECTIONS_MAX || !(all_of(s, len, '=') || all_of(s, len, '-')))
        return false;
    char *title = xstrndup(p->text.data + p->line, p->text.len - p->line);
    p->text.len = p->line;
    heading(p, *s == '=' ? 1 : 2, title, strlen(title));
    free(title);
    return true;
}

/* A line of a paragraph, item, quote or table: joined to the last one where Markdown would. */
static void text_line(struct parser *p, const char *line, size_t line_len, const char *s,
                      size_t len)
{
    bool item = is_item(s, len);
    bool own = item || *s == '>' || *s == '|' || (line_len - len >= 4 && !p->joins);
    if (!own && p->joins) {
        p->text.len--; /* the line's end */
        buf_addc(&p->text, ' ');
        buf_add(&p->text, s, len);
        buf_addc(&p->text, '\n');
        p->plain = false;
    } else {
        keep_line(p, line, (size_t)(s - line) + len);
        p->plain = !own;
    }
    p->joins = (item || !own) && s[len - 1] != '\\';
}

static void parse_line(struct parser *p, const char *line, size_t len)
{
    const char *s = line;
    size_t n = len;
    trim(&s, &n);
    char c;
    size_t fence = fence_of(s, n, &c);
    if (p->fence != 0) {
        if (fence >= p->fence_len && c == p->fence && fence == n)
            p->fence = 0;
        keep_line(p, line, len);
        return;
    }
    if (fence > 0) {
        p->fence = c;
        p->fence_len = fence;
        p->joins = p->plain = false;
        keep_line(p, line, len);
    } else if (n == 0) {
        p->joins = p->plain = false;
        if (p->text.len > 0)
            keep_line(p, "", 0);
    } else if (!setext(p, s, n)) {
        const char *h = s;
        size_t h_len = n;
        int level = s - line < 4 && p->headed < SECTIONS_MAX ? atx_level(&h, &h_len) : 0;
        if (level > 0)
            heading(p, level, h, h_len);
        else
            text_line(p, line, len, s, n);
    }
}

static const char *line_end(const char *s, const char *end)
{
    const char *nl = memchr(s, '\n', (size_t)(end - s));
    return nl == NULL ? end : nl;
}

static bool head_value(const char *s, size_t len, const char *key, const char **value, size_t *n)
{
    size_t k = strlen(key);
    if (len <= k || strncasecmp(s, key, k) != 0 || s[k] != ':')
        return false;
    *value = s + k + 1;
    *n = len - k - 1;
    trim(value, n);
    if (*n >= 2 && (**value == '"' || **value == '\'') && (*value)[*n - 1] == **value) {
        (*value)++;
        *n -= 2;
        trim(value, n);
    }
    return *n > 0;
}

/* Lines between two "---" lines at the very beginning; returns where the body begins. */
static const char *parse_head(struct know__document *d, const char *s, const char *end)
{
    const char *e = line_end(s, end);
    if (e - s != 3 || memcmp(s, "---", 3) != 0)
        return s;
    const char *line = e < end ? e + 1 : end;
    while (line < end) {
        e = line_end(line, end);
        size_t len = (size_t)(e - line);
        if (len == 3 && memcmp(line, "---", 3) == 0)
            return e < end ? e + 1 : end;
        const char *value;
        size_t n;
        if (head_value(line, len, "title", &value, &n) && d->title == NULL)
            d->title = short_copy(value, n);
        else if (head_value(line, len, "tags", &value, &n) && d->tags == NULL)
            d->tags = xstrndup(value, n < 1000 ? n : 1000);
        else if (head_value(line, len, "lang", &value, &n) && n >= 2 && d->lang[0] == '\0')
            memcpy(d->lang, value, 2);
        line = e < end ? e + 1 : end;
    }
    free(d->title); /* the head never ends: it is text */
    free(d->tags);
    d->title = d->tags = NULL;
    d->lang[0] = '\0';
    return s;
}

static char *title_of_name(const char *name)
{
    const char *base = strrchr(name, '/');
    base = base == NULL ? name : base + 1;
    const char *dot = strrchr(base, '.');
    struct buf clean = {0};
    normalise(base, dot == NULL || dot == base ? strlen(base) : (size_t)(dot - base), &clean);
    char *title = short_copy(clean.data, clean.len);
    buf_release(&clean);
    if (title[0] == '\0') {
        free(title);
        title = xstrdup("untitled");
    }
    return title;
}

static void set_language(struct know__document *d, const char *text)
{
    if (strncasecmp(d->lang, "ru", 2) == 0)
        memcpy(d->lang, "ru", 3);
    else if (strncasecmp(d->lang, "en", 2) == 0)
        memcpy(d->lang, "en", 3);
    else
        memcpy(d->lang, text_is_russian(text) ? "ru" : "en", 3);
}

void know__document_parse(struct know__document *d, const char *name, const char *bytes, size_t len)
{
    *d = (struct know__document){0};
    struct buf clean = {0};
    normalise(bytes, len, &clean);
    const char *end = clean.data + clean.len;
    const char *line = parse_head(d, clean.data, end);
    set_language(d, line);
    struct parser p = {.d = d};
    while (line < end) {
        const char *e = line_end(line, end);
        parse_line(&p, line, (size_t)(e - line));
        line = e < end ? e + 1 : end;
    }
    end_section(&p);
    if (d->title == NULL)
        d->title = title_of_name(name);
    for (int i = 0; i <= LEVELS; i++)
        free(p.headings[i]);
    buf_release(&p.text);
    buf_release(&clean);
}

void know__document_release(struct know__document *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free(d->sections[i].heading);
        free(d->sections[i].text);
    }
    free(d->sections);
    free(d->title);
    free(d->tags);
    *d = (struct know__document){0};
}
