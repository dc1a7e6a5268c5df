/* Marks of disputed sentences: written, and found again. */
#include "backend/orchestrator/marks.h"
#include "backend/base/text.h"
#include <string.h>

static const char *const OPENS[] = {"disputed", "a source says otherwise", "спорно",
                                    "источник говорит иное"};
/* Beginnings of words by which a sentence says it of itself. */
static const char *const SAYS[] = {"disputed",   "disagree",    "contradict",
                                   "outdated",   "out of date", "спорно",
                                   "расходятся", "противореч",  "устарел"};

/* Whether the text begins so, whatever the case. */
static bool begins(const char *text, size_t len, const char *words)
{
    size_t at = 0, k = 0, n = strlen(words), a, b;
    while (k < n) {
        if (at >= len || text_fold(text + at, len - at, &a) != text_fold(words + k, n - k, &b))
            return false;
        at += a;
        k += b;
    }
    return true;
}

static bool begins_any(const char *text, size_t len, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (begins(text, len, list[i]))
            return true;
    return false;
}

/* The length of a parenthesis with its brackets; 0: it does not end here. */
static size_t parenthesis(const char *text, size_t len)
{
    size_t depth = 0;
    for (size_t i = 0; i < len && text[i] != '\n'; i++) {
        depth += text[i] == '(';
        if (text[i] == ')' && --depth == 0)
            return i + 1;
    }
    return 0;
}

bool orch_mark_find(const char *text, size_t len, size_t *at, size_t *mark_len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != '(' ||
            !begins_any(text + i + 1, len - i - 1, OPENS, sizeof OPENS / sizeof *OPENS))
            continue;
        *mark_len = parenthesis(text + i, len - i);
        *at = i;
        if (*mark_len)
            return true;
    }
    return false;
}

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

bool orch_marked(const char *sentence, size_t len)
{
    size_t at, mark;
    if (orch_mark_find(sentence, len, &at, &mark))
        return true;
    for (size_t i = 0; i < len; i++)
        if ((!i || !is_word_byte(sentence[i - 1])) &&
            begins_any(sentence + i, len - i, SAYS, sizeof SAYS / sizeof *SAYS))
            return true;
    return false;
}

static const char LEFT[] = "\xe2\x80\x9c", RIGHT[] = "\xe2\x80\x9d", GUILLEMET[] = "\xc2\xab",
                  GUILLEMET_END[] = "\xc2\xbb";

const char *orch_mark_quote(const char *mark, size_t mark_len, size_t *len)
{
    static const char *const PAIRS[][2] = {{LEFT, RIGHT}, {GUILLEMET, GUILLEMET_END}};
    *len = 0;
    for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        size_t n = strlen(PAIRS[i][0]);
        const char *from = memmem(mark, mark_len, PAIRS[i][0], n);
        const char *upto = from ? memmem(from + n, mark_len - (size_t)(from + n - mark),
                                         PAIRS[i][1], strlen(PAIRS[i][1]))
                                : NULL;
        if (upto) {
            *len = (size_t)(upto - from) - n;
            return from + n;
        }
    }
    return mark;
}

/* The length of a citation, "[2]", or of a sign that would end the mark or its quotation: not taken
 * over. 0: it is neither. */
static size_t left_out(const char *s, size_t len)
{
    static const char *const SIGNS[] = {"[", "]", "(",  ")",   "{",       "}",          "|",
                                        "*", "`", LEFT, RIGHT, GUILLEMET, GUILLEMET_END};
    size_t digits = 1;
    while (digits < len && s[digits] >= '0' && s[digits] <= '9')
        digits++;
    if (*s == '[' && digits > 1 && digits < len && s[digits] == ']')
        return digits + 1;
    for (size_t i = 0; i < sizeof SIGNS / sizeof *SIGNS; i++) {
        size_t n = strlen(SIGNS[i]);
        if (n <= len && memcmp(s, SIGNS[i], n) == 0)
            return n;
    }
    return 0;
}

/* What a source says, as it may stand in a mark: in one line, without the full stop. */
static void add_quote(struct buf *out, const char *quote, size_t len)
{
    enum { MOST = 160 };
    struct buf said = {0};
    for (size_t i = 0, n; i < len; i += n ? n : 1) {
        n = left_out(quote + i, len - i);
        if (!n)
            buf_addc(&said, strchr("\n\t\r", quote[i]) ? ' ' : quote[i]);
    }
    size_t from = said.len ? strspn(said.data, " ") : 0, n = said.len - from;
    bool cut = n > MOST;
    n = cut ? MOST : n;
    while (cut && n && ((unsigned char)said.data[from + n] & 0xC0) == 0x80)
        n--; /* not within a character */
    while (n && strchr(" .,;:", said.data[from + n - 1]))
        n--;
    buf_add(out, n ? said.data + from : "", n);
    if (cut)
        buf_adds(out, "…");
    buf_release(&said);
}

void orch_mark_add(struct buf *out, enum orch_mark mark, bool russian, const char *who,
                   const char *quote, size_t len)
{
    /* what stands before and behind who says it */
    static const char *const WORDS[][2][2] = {
        {{"unsupported", ""}, {"не подтверждено", ""}},
        {{"a source says otherwise: ", ""}, {"источник говорит иное: ", ""}},
        {{"disputed; ", " is more recent:"}, {"спорно; ", " новее:"}},
        {{"disputed; ", " measured it:"}, {"спорно; ", " — измерение:"}},
        {{"disputed: ", " says"}, {"спорно: ", " говорит"}},
    };
    const char *const *words = WORDS[mark][russian];
    buf_addf(out, " (%s", words[0]);
    if (mark != ORCH_MARK_UNSUPPORTED) {
        const char *itself = russian ? "сам ответ" : "the answer";
        buf_addf(out, "%s%s %s", *who ? who : itself, words[1], russian ? GUILLEMET : LEFT);
        add_quote(out, quote, len);
        buf_adds(out, russian ? GUILLEMET_END : RIGHT);
    }
    buf_addc(out, ')');
}
