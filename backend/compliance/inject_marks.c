/* Prompt injection by structure: marks of chat templates and tool calls, text that nobody sees,
 * addresses that carry data away; and what is encoded, decoded once and read by the rules. */
#include "backend/base/text.h"
#include "backend/compliance/inject_internal.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    RUN_LEAST = 20,  /* letters and digits that may be a code */
    LINE_LEAST = 40, /* of a code that goes on in the next line */
    REGIONS = 16,
    TAG_MOST = 1024,
    SHOWN_MOST = 4096, /* of an element that is not shown */
    URL_MOST = 2048,
    LABEL_MOST = 300,
    QUERY_LONG = 64,
    UNSEEN_LEAST = 4,
    ZERO_WIDTH_LEAST = 8,
    LINES_LEAST = 5,   /* new lines in a row, written as \\n */
    ASKED_MOST = 4096, /* of a text that wants to be written on */
    LABEL_LEAST = 2,
    NAME_MOST = 24
};

static const struct mark {
    enum pol_inject_class cls;
    unsigned weight;
    const char *text;
} marks[] = {
#define MARK(class, weight, text) {POL_INJECT_##class, weight, text},
#include "backend/compliance/inject.def"
};

struct region {
    size_t from, to;
    const char *what;
};

struct walk {
    const struct pol_injector *f;
    const char *text;
    size_t len;
    struct pol__inject_found *out;
    struct region regions[REGIONS];
    size_t region_count, escapes;
    bool images; /* one was seen whose address stands elsewhere */
    bool inner;  /* it is decoded text: not decoded again (J2) */
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where the words stand in text[from, to), letters of either case; to: nowhere. */
static size_t find_in(const struct walk *w, size_t from, size_t to, const char *words)
{
    size_t n = strlen(words);
    for (; from + n <= to; from++)
        if (strncasecmp(w->text + from, words, n) == 0)
            return from;
    return to;
}

static bool any_in(const struct walk *w, size_t from, size_t to, const char *const *words)
{
    for (; *words; words++)
        if (find_in(w, from, to, *words) < to)
            return true;
    return false;
}

/* ---- decoded text */

static void read_marks(struct walk *w);

static void read_decoded(struct walk *w, size_t from, size_t to, const char *said, size_t len,
                         enum pol_inject_class cls, const char *how)
{
    struct pol__inject_found *out = w->out;
    if (len > INJECT_DECODED - out->decoded) {
        len = INJECT_DECODED - out->decoded;
        pol__inject_add(out, cls, 0.3, from, to, "more encoded text than is read");
    }
    out->decoded += len;
    double shown = 0, outside[POL_INJECT_CLASSES];
    memcpy(outside, out->by_class, sizeof outside);
    memset(out->by_class, 0, sizeof out->by_class);
    out->shift.on = true;
    out->shift.from = from;
    out->shift.to = to;
    pol__inject_words(w->f, said, len, out);
    struct walk inner = {.f = w->f, .text = said, .len = len, .out = out, .inner = true};
    read_marks(&inner);
    for (size_t i = 0; i < POL_INJECT_CLASSES; i++) {
        if (out->by_class[i] > outside[i] && out->by_class[i] > shown) /* not seen without */
            shown = out->by_class[i];
        out->by_class[i] = out->by_class[i] > outside[i] ? out->by_class[i] : outside[i];
    }
    if (shown >= 0.3)
        pol__inject_add(out, cls, 0.6, from, to, how);
    out->shift.on = false;
}

static void read_escapes(struct walk *w)
{
    size_t from = 0, to = 0, n;
    char *said = pol__decode_escapes(w->text, least(w->len, INJECT_DECODED), &n, &from, &to);
    if (said)
        read_decoded(w, from, to, said, n, POL_INJECT_ENCODED, "escapes");
    free(said);
}

static void read_turned(struct walk *w)
{
    static const char *const how[] = {"rot13", "backwards"};
    for (int turn = 0; turn < POL__TURNS; turn++) {
        size_t n;
        if (w->out->turned[turn] < 2)
            continue;
        char *said = pol__decode_turned(w->text, least(w->len, INJECT_DECODED), turn, &n);
        read_decoded(w, 0, w->len, said, n, POL_INJECT_ENCODED, how[turn]);
        free(said);
    }
}

/* ---- addresses */

/* from, to: the address; shown: what it belongs to begins there. */
static void judge_url(struct walk *w, size_t from, size_t to, size_t shown, bool image)
{
    static const char *const DATA[] = {
        "data=",    "secret", "token",    "prompt",   "conversation", "history", "passw",
        "context=", "chat=",  "message=", "content=", "leak",         "exfil",   NULL};
    const char *query = memchr(w->text + from, '?', to - from);
    size_t at = query ? (size_t)(query - w->text) : to;
    unsigned weight = 0;
    /* a hole that is to be filled: {secret}, <api key>, [history] */
    if ((to < w->len && strchr("{<[$", w->text[to])) || find_in(w, from, to, "%7b") < to)
        weight = image ? 75 : 40;
    else if (any_in(w, at, to, DATA))
        weight = image ? 65 : 25;
    else if (image && to - at > QUERY_LONG)
        weight = 45;
    if (weight)
        pol__inject_add(w->out, POL_INJECT_EXFILTRATE, weight / 100.0, shown, to,
                        image ? "an image's address that carries data"
                              : "a link that carries data");
}

static size_t url_end(const struct walk *w, size_t from)
{
    size_t end = from, most = least(from + URL_MOST, w->len);
    while (end < most && w->text[end] && !strchr(") \n\"'>{<[$", w->text[end]))
        end++;
    return end;
}

/* An address that stands alone, with a hole in what it asks for. */
static void at_address(struct walk *w, size_t at)
{
    size_t scheme = find_in(w, at, least(at + 8, w->len), "://");
    size_t end = scheme < least(at + 8, w->len) ? url_end(w, at) : at;
    bool hole = end < w->len && end > at && strchr("{<[$", w->text[end]) && w->text[end];
    if (hole && memchr(w->text + at, '?', end - at))
        pol__inject_add(w->out, POL_INJECT_EXFILTRATE, 0.3, at, end, "a link that carries data");
}

static bool is_code(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '+' ||
           c == '/' || c == '_' || c == '-';
}

/* Commands whose words have no gaps between their letters are known by these. */
static const char *const JOINED[] = {"ignoreall",
                                     "ignoreprevious",
                                     "ignoreyour",
                                     "disregard",
                                     "systemprompt",
                                     "previousinstruction",
                                     "forgetall",
                                     "forgeteverything",
                                     "игнорируй",
                                     "забудьвсе",
                                     "предыдущиеинструкции",
                                     "системныйпромпт",
                                     "youarenowfree",
                                     NULL};

static size_t at_letter(struct walk *w, size_t at)
{
    struct buf out = {0};
    if (w->inner)
        return 0;
    size_t n = pol__decode_spaced(w->text + at, w->len - at, &out);
    if (n) {
        read_decoded(w, at, at + n, out.data, out.len, POL_INJECT_ENCODED, "letter by letter");
        const struct walk inner = {.text = out.data, .len = out.len};
        if (any_in(&inner, 0, out.len, JOINED))
            pol__inject_add(w->out, POL_INJECT_ENCODED, 0.7, at, at + n, "letter by letter");
    }
    buf_release(&out);
    return n;
}

/* A run of letters and digits: how many bytes it takes. */
static size_t at_run(struct walk *w, size_t at)
{
    size_t end = at, line = at, said_len;
    while (end < w->len) {
        if (is_code(w->text[end])) {
            end++;
            continue;
        }
        size_t gap = w->text[end] == '\n' ? 1 : 0;
        if (!gap || end - line < LINE_LEAST || end + 1 >= w->len || !is_code(w->text[end + 1]))
            break;
        line = ++end;
    }
    if (end - at == 1 && (w->text[at] | 0x20) >= 'a') {
        size_t spaced = at_letter(w, at);
        return spaced ? spaced : 1;
    }
    if (end - at <= 5 && find_in(w, at, least(at + 8, w->len), "http") == at)
        at_address(w, at);
    if (end - at < RUN_LEAST || w->inner)
        return end - at;
    char *said = pol__decode_run(w->text + at, least(end - at, 2 * INJECT_DECODED), &said_len);
    if (said)
        read_decoded(w, at, end, said, said_len, POL_INJECT_ENCODED, "base64 or hex");
    free(said);
    return end - at;
}

/* ---- marks */

/* before: a new line stands in front of a text. */
static void at_mark(struct walk *w, size_t at, bool before)
{
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const struct mark *m = &marks[i];
        const char *text = m->text + before;
        if (*text != w->text[at] && !before)
            continue;
        size_t n = strlen(text);
        if ((before && *m->text != '\n') || n > w->len - at ||
            strncasecmp(w->text + at, text, n) != 0)
            continue;
        pol__inject_add(w->out, m->cls, m->weight / 100.0, at, at + n, text + (*text == '\n'));
    }
}

/* ---- text that nobody sees */

static void add_region(struct walk *w, size_t from, size_t to, const char *what)
{
    if (w->region_count < REGIONS)
        w->regions[w->region_count++] = (struct region){from, to, what};
}

/* What is found where nobody looks weighs more. */
static void weigh_regions(struct walk *w)
{
    for (size_t i = 0; i < w->region_count; i++) {
        const struct region *r = &w->regions[i];
        for (size_t j = 0; j < w->out->all.count; j++) {
            const struct pol_injection *f = &w->out->all.at[j];
            if (f->cls == POL_INJECT_HIDDEN || f->cls == POL_INJECT_EXFILTRATE || f->weight < 0.3 ||
                f->from >= r->to || f->to <= r->from)
                continue;
            pol__inject_add(w->out, POL_INJECT_HIDDEN, 0.6, f->from, f->to, r->what);
            break;
        }
    }
}

/* Where a tag that begins at a `<` ends: at its `>`, or where another begins. */
static size_t tag_end(const struct walk *w, size_t at)
{
    size_t end = at + 1, most = least(at + TAG_MOST, w->len);
    while (end < most && w->text[end] != '>' && w->text[end] != '<')
        end++;
    return end;
}

/* A tag without its blanks and quotation marks, and whether one of the words is in it. */
static bool tag_has(const struct walk *w, size_t at, size_t end, const char *const *words)
{
    char tight[TAG_MOST + 1];
    size_t n = 0;
    for (; at < end && n < TAG_MOST; at++)
        if (w->text[at] && !strchr(" \t\r\n\"'", w->text[at]))
            tight[n++] = w->text[at];
    tight[n] = '\0';
    const struct walk inner = {.text = tight, .len = n};
    return any_in(&inner, 0, n, words);
}

static void at_comment(struct walk *w, size_t at)
{
    size_t end = find_in(w, at + 4, least(at + SHOWN_MOST, w->len), "-->");
    add_region(w, at, end, "in a comment");
    for (at += 4; at < end && strchr(" \t\n", w->text[at]) && w->text[at];)
        at++;
    if (at < end)
        at_mark(w, at, true); /* a line begins */
}

static void at_tag(struct walk *w, size_t at)
{
    static const char *const NOT_SHOWN[] = {"display:none",
                                            "visibility:hidden",
                                            "font-size:0",
                                            "font-size:1px",
                                            "opacity:0",
                                            "color:transparent",
                                            "color:white",
                                            "color:#fff",
                                            "rgba(0,0,0,0)",
                                            "left:-",
                                            "top:-",
                                            "text-indent:-",
                                            "clip:rect(0",
                                            "height:0",
                                            "width:0",
                                            "aria-hidden=true",
                                            "type=hidden",
                                            "<divhidden",
                                            "<phidden",
                                            "<spanhidden",
                                            "<template",
                                            "<noscript",
                                            "<script",
                                            "<style",
                                            NULL};
    static const char *const WORDED[] = {
        "alt=", "title=", "content=", "value=", "aria-label=", NULL};
    if (w->region_count == REGIONS || w->inner)
        return;
    if (find_in(w, at, least(at + 4, w->len), "<!--") == at && w->len - at > 4) {
        at_comment(w, at);
        return;
    }
    size_t end = tag_end(w, at);
    if (tag_has(w, at, end, WORDED))
        add_region(w, at, end, "in a tag");
    if (tag_has(w, at, end, NOT_SHOWN))
        add_region(w, end, find_in(w, end, least(end + SHOWN_MOST, w->len), "</"),
                   "in text that is not shown");
}

static bool zero_width(uint32_t cp)
{
    return (cp >= 0x200b && cp <= 0x200d) || cp == 0x2060 || cp == 0xfeff || cp == 0x180e ||
           (cp >= 0x2061 && cp <= 0x2064);
}

static void at_direction(struct walk *w, size_t at, size_t n, uint32_t cp)
{
    if (cp == 0x202d || cp == 0x202e)
        pol__inject_add(w->out, POL_INJECT_HIDDEN, 0.5, at, at + n,
                        "the direction of writing is turned");
    else if (cp == 0x202a || cp == 0x202b || (cp >= 0x2066 && cp <= 0x2068))
        pol__inject_add(w->out, POL_INJECT_HIDDEN, 0.2, at, at + n,
                        "the direction of writing is set");
}

/* A character beyond ASCII: how many bytes are done with. */
static size_t at_wide(struct walk *w, size_t at)
{
    uint32_t cp;
    size_t n = text_decode(w->text + at, w->len - at, &cp);
    if (cp == 0x1f3f4) { /* a flag may be told by tag characters */
        struct buf flag = {0};
        n += pol__decode_unseen(w->text + at + n, least(w->len - at - n, 32), &flag);
        buf_release(&flag);
        return n;
    }
    if (cp >= 0x400 && cp <= 0x4ff && (!at || !(w->text[at - 1] & 0x80))) {
        size_t spaced = at_letter(w, at);
        return spaced ? spaced : n;
    }
    at_direction(w, at, n, cp);
    struct buf said = {0};
    size_t unseen = pol__decode_unseen(w->text + at, w->len - at, &said);
    if (said.len >= UNSEEN_LEAST && !w->inner) {
        pol__inject_add(w->out, POL_INJECT_HIDDEN, 0.85, at, at + unseen, said.data);
        read_decoded(w, at, at + unseen, said.data, said.len, POL_INJECT_ENCODED,
                     "characters that nobody sees");
    }
    buf_release(&said);
    size_t end = at, count = 0;
    for (uint32_t next; end < w->len; count++) {
        size_t step = text_decode(w->text + end, w->len - end, &next);
        if (!zero_width(next))
            break;
        end += step;
    }
    if (count >= ZERO_WIDTH_LEAST)
        pol__inject_add(w->out, POL_INJECT_HIDDEN, 0.6, at, end,
                        "a row of characters without width");
    return unseen ? unseen : count ? end - at : n;
}

/* ---- links and images */

/* [label](address), with ! in front: an image, which is fetched when it is shown */
static void at_bracket(struct walk *w, size_t at)
{
    const char *close = memchr(w->text + at, ']', least(LABEL_MOST, w->len - at));
    size_t middle = close ? (size_t)(close - w->text) : w->len;
    bool image = at && w->text[at - 1] == '!';
    if (middle + 1 < w->len && w->text[middle + 1] == '[')
        w->images = w->images || image;
    if (middle + 1 < w->len && w->text[middle + 1] == ':') { /* [label]: address, of a reference */
        for (middle += 2; middle < w->len && w->text[middle] == ' ';)
            middle++;
        if (find_in(w, middle, least(middle + 4, w->len), "http") == middle && middle < w->len)
            judge_url(w, middle, url_end(w, middle), at, w->images);
        return;
    }
    if (middle + 6 > w->len || strncasecmp(w->text + middle, "](http", 6) != 0)
        return;
    judge_url(w, middle + 2, url_end(w, middle + 2), at - image, image);
}

static void at_image(struct walk *w, size_t at)
{
    if (w->len - at < 4 || strncasecmp(w->text + at, "<img", 4) != 0)
        return;
    size_t end = tag_end(w, at), source = find_in(w, at, end, "src=");
    if (source == end)
        return;
    source += 4;
    source += source < w->len && strchr("\"'", w->text[source]) ? 1 : 0;
    if (find_in(w, source, least(source + 4, w->len), "http") == source)
        judge_url(w, source, url_end(w, source), at, true);
}

/* ---- all of it */

/* A new line that is written as \\n, and the marks behind it. Many in a row are to push what stands
 * before them out of sight. */
static size_t at_escape(struct walk *w, size_t at)
{
    size_t end = at, lines = 0, i = at;
    w->escapes++;
    while (i + 1 < w->len && w->text[i] == '\\') {
        size_t n = i + 1 + (w->text[i + 1] == ' ');
        if (n >= w->len || w->text[n] != 'n')
            break;
        lines++;
        end = i = n + 1;
        while (i < w->len && w->text[i] == ' ')
            i++;
    }
    if (lines && i < w->len)
        at_mark(w, i, true);
    if (lines >= LINES_LEAST)
        pol__inject_add(w->out, POL_INJECT_FORGED, 0.4, at, end, "a row of new lines");
    return lines ? end - at : 1;
}

/* "Alice:" and nothing more: a turn that is to be written on. */
static void at_end(struct walk *w)
{
    size_t to = w->len, from;
    while (to && strchr(" \n\"", w->text[to - 1]) && w->text[to - 1])
        to--;
    if (!to || w->len > ASKED_MOST || w->text[to - 1] != ':')
        return;
    for (from = to - 1; from && (w->text[from - 1] & 0x80 || pol__is_word(w->text[from - 1]));)
        from--;
    size_t len = to - 1 - from;
    bool capital = (w->text[from] >= 'A' && w->text[from] <= 'Z') || w->text[from] & 0x80;
    if (len >= LABEL_LEAST && len <= NAME_MOST && from && capital)
        pol__inject_add(w->out, POL_INJECT_FORGED, 0.3, from, to,
                        "a turn that is to be written on");
}

static size_t at_sign(struct walk *w, size_t at)
{
    switch (w->text[at]) {
    case '<':
        at_tag(w, at);
        at_image(w, at);
        at_mark(w, at, false);
        break;
    case '[':
        at_bracket(w, at);
        at_mark(w, at, false);
        break;
    case '"':
    case '#':
    case '\n':
    case '=':
        at_mark(w, at, false);
        break;
    case '\\':
        return at_escape(w, at);
    case '%':
    case '&':
        w->escapes++;
        break;
    default:
        break;
    }
    return 1;
}

static void read_marks(struct walk *w)
{
    at_mark(w, 0, true);
    for (size_t i = 0; i < w->len;) {
        if (is_code(w->text[i]))
            i += at_run(w, i);
        else
            i += w->text[i] & 0x80 ? at_wide(w, i) : at_sign(w, i);
    }
}

void pol__inject_marks(const struct pol_injector *f, const char *text, size_t len,
                       struct pol__inject_found *out)
{
    struct walk w = {.f = f, .text = text, .len = len, .out = out};
    read_marks(&w);
    at_end(&w);
    if (w.escapes)
        read_escapes(&w);
    read_turned(&w);
    weigh_regions(&w);
}
