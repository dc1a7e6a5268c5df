#include "views/common.h"
#include "backend/base/clock.h"
#include "backend/base/say.h"
#include "backend/base/text.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASK_EVERY_MS = 1000, LABEL_WHOLE = 48 };

struct view_page view_page_begin(struct view_scroll *s, struct tui_area a)
{
    s->height = a.height;
    s->width = a.width;
    a.width -= a.width > 20 ? 2 : 0; /* the mark's column */
    return (struct view_page){a, -s->top};
}

void view_page_end(struct view_scroll *s, const struct view_page *p)
{
    int before = s->rows;
    s->rows = p->y + s->top;
    if (s->wide != s->width && s->wide && before > 0) { /* what was read stays in sight */
        s->top = (int)((long)s->top * s->rows / before);
        tui_dirty();
    }
    s->wide = s->width;
    int most = s->rows > s->height ? s->rows - s->height : 0;
    if (s->top > most) {
        s->top = most;
        tui_dirty();
    }
    struct tui_area a = p->area;
    a.width += 2;
    if (s->top > 0)
        tui_put_glyph(a, 0, a.width - 1, ROLE_DIM, GLYPH_MORE_UP);
    if (s->top < most)
        tui_put_glyph(a, a.height - 1, a.width - 1, ROLE_DIM, GLYPH_MORE_DOWN);
}

/* Says where what is looked for stands in a text. */
static void seek_text(const struct view_page *p, struct tui_text *t)
{
    const char *needle = tui_sought();
    if (!needle)
        return;
    tui_text_match(t, needle);
    for (long i = 0; (i = tui_text_find(t, p->area.width, needle, i, 1)) >= 0; i++)
        tui_seek_found(p->area.y + p->y + (int)i);
}

void view_page_text(struct view_page *p, struct tui_text *t)
{
    int n = (int)tui_text_lines(t, p->area.width);
    seek_text(p, t);
    int skip = p->y < 0 ? -p->y : 0;
    if (skip < n && p->y + n > 0) {
        struct tui_area a =
            tui_sub(p->area, p->y + skip, 0, p->area.height - p->y - skip, p->area.width);
        tui_text_draw(t, a, (size_t)skip);
    }
    p->y += n;
}

/* ---- finding in a page */

void view_finder_begin(const struct view_finder *f, struct tui_seek *seek)
{
    *seek = (struct tui_seek){f->needle, NULL, NULL};
    tui_seek(f->needle ? seek : NULL);
}

void view_finder_end(void)
{
    tui_seek(NULL);
}

void view_finder_release(struct view_finder *f)
{
    free(f->needle);
    free(f->rows);
    *f = (struct view_finder){.at = -1};
}

static void place_found(void *arg, int y)
{
    struct view_finder *f = arg;
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 64;
        f->rows = xrealloc(f->rows, f->room * sizeof(*f->rows));
    }
    f->rows[f->count++] = y;
}

/* The nearest place at or behind row `from`, or for a step < 0 at or before it; -1: none. */
static int place_beyond(const struct view_finder *f, int top, int from, int step)
{
    int best = -1;
    for (size_t i = 0; i < f->count; i++) {
        int row = f->rows[i] + top;
        if (step < 0 ? row <= from && row > best : row >= from && (best < 0 || row < best))
            best = row;
    }
    return best;
}

bool view_page_find(struct view_finder *f, struct view_scroll *s, const char *text, int step,
                    void (*draw)(void *arg, struct tui_area a), void *arg)
{
    struct view_scroll now = *s;
    bool goes_on = f->needle && f->at >= 0 && s->top == f->top && step;
    int from = goes_on ? f->at : s->top, best = -1;
    char *copy = xstrdup(text);
    free(f->needle);
    f->needle = copy;
    f->count = 0;
    struct tui_seek seek = {f->needle, place_found, f};
    tui_seek(&seek);
    draw(arg, (struct tui_area){0, 0, s->height, s->width});
    tui_seek(NULL);
    *s = now;
    best = place_beyond(f, now.top, goes_on ? from + (step < 0 ? -1 : 1) : from + step, step);
    if (best < 0 && !step)
        best = place_beyond(f, now.top, 0, 1);
    if (!*text)
        view_finder_release(f);
    tui_dirty();
    if (best < 0)
        return false;
    s->top = best;
    view_scroll_by(s, 0); /* not past the end */
    f->at = best;
    f->top = s->top;
    return true;
}

void view_scroll_by(struct view_scroll *s, int rows)
{
    int most = s->rows > s->height ? s->rows - s->height : 0;
    s->top += rows;
    if (s->top > most)
        s->top = most;
    if (s->top < 0)
        s->top = 0;
    tui_dirty();
}

bool view_scroll_action(struct view_scroll *s, enum tui_action a)
{
    int page = s->height > 2 ? s->height - 1 : 1;
    switch (a) {
    case ACTION_UP:
        view_scroll_by(s, -1);
        return true;
    case ACTION_DOWN:
        view_scroll_by(s, 1);
        return true;
    case ACTION_PAGE_UP:
        view_scroll_by(s, -page);
        return true;
    case ACTION_PAGE_DOWN:
        view_scroll_by(s, page);
        return true;
    case ACTION_TOP:
        view_scroll_by(s, -s->top);
        return true;
    case ACTION_BOTTOM:
        view_scroll_by(s, s->rows);
        return true;
    default:
        return false;
    }
}

bool view_ask_now(struct view_ask *a)
{
    uint64_t now = clock_mono_ms();
    if (a->under_way || (a->last && now - a->last < ASK_EVERY_MS)) {
        uint64_t gone = now - a->last;
        a->wanted = true;
        tui_dirty_in(gone < ASK_EVERY_MS ? (unsigned)(ASK_EVERY_MS - gone) + 1 : ASK_EVERY_MS);
        return false;
    }
    a->last = now;
    a->under_way = true;
    a->wanted = false;
    return true;
}

bool view_ask_due(struct view_ask *a)
{
    return a->wanted && view_ask_now(a);
}

void view_ask_done(struct view_ask *a)
{
    a->under_way = false;
}

void view_source_label(const json_t *source, bool kind, struct buf *out)
{
    const char *ref = json_str(source, "ref", "-"), *what = json_str(source, "kind", "");
    const char *hash = strchr(ref, '#'), *end = hash ? hash : ref + strlen(ref);
    struct buf b = {0};
    if (!strcmp(what, "runbook")) { /* folders, language and .md say nothing to the reader */
        for (const char *p = ref; p < end; p++)
            if (*p == '/')
                ref = p + 1;
        size_t n = (size_t)(end - ref);
        if (n > 3 && !strncmp(end - 3, ".md", 3))
            n -= 3;
        if (n > 3 && (!strncmp(ref + n - 3, ".en", 3) || !strncmp(ref + n - 3, ".ru", 3)))
            n -= 3;
        buf_add(&b, ref, n);
        const char *section = hash ? hash + 1 : "", *last = strstr(section, " > ");
        if (*section) /* the first heading only repeats the name */
            buf_addf(&b, " %s %s", tui_ascii() ? ">" : "›", last ? last + 3 : section);
    } else {
        buf_adds(&b, ref);
    }
    bool whole = !kind && !tui_ascii() && b.len && text_width(b.data, b.len) < LABEL_WHOLE;
    if (kind && *what)
        buf_addf(out, "%s ", _(what));
    for (size_t i = 0; i < b.len; i++)
        if (b.data[i] == ' ' && whole)
            buf_adds(out, "\u00a0");
        else
            buf_addc(out, b.data[i]);
    buf_release(&b);
}

void view_number(const json_t *number, int decimals, char out[32])
{
    if (!json_is_number(number))
        snprintf(out, 32, "-");
    else if (json_is_integer(number) && decimals == 0)
        snprintf(out, 32, "%lld", (long long)json_integer_value(number));
    else
        snprintf(out, 32, "%.*f", decimals, json_number_value(number));
}

void view_count(int64_t n, char out[32])
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)n), at = 0;
    for (int i = 0; i < len && at < 30; i++) {
        int left = len - i;
        if (i && left % 3 == 0 && digits[i - 1] != '-')
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

void view_money(const char *amount, const char *currency, bool estimated, char out[48])
{
    if (!amount || !*amount) {
        snprintf(out, 48, "-");
        return;
    }
    const char *sign = tui_ascii()                ? currency
                       : !strcmp(currency, "RUB") ? "₽"
                       : !strcmp(currency, "USD") ? "$"
                       : !strcmp(currency, "EUR") ? "€"
                                                  : currency;
    bool zero = strspn(amount, "0.-") == strlen(amount); /* nothing is exactly nothing */
    double value = strtod(amount, NULL);
    char rounded[32];
    snprintf(rounded, sizeof(rounded), "%.2f", value);
    snprintf(out, 48, "%s%.24s %.8s", estimated && !zero ? "~" : "",
             zero || fabs(value) >= 0.01 ? rounded : amount, sign);
}

double *view_values(const json_t *array, const char *member, size_t *n)
{
    *n = json_array_size(array);
    double *values = xcalloc(*n + 1, sizeof(*values));
    for (size_t i = 0; i < *n; i++) {
        const json_t *item = json_array_get(array, i);
        const json_t *v = member ? json_object_get(item, member) : item;
        if (json_is_string(v))
            values[i] = strtod(json_string_value(v), NULL);
        else
            values[i] = json_is_number(v) ? json_number_value(v) : NAN;
    }
    return values;
}

void view_note(struct tui_area a, enum tui_role role, const char *text, const char *hint)
{
    struct tui_text *t = tui_text_new();
    tui_text_add(t, role, 0, false, text);
    if (hint && *hint)
        tui_text_add(t, ROLE_DIM, 0, false, hint);
    tui_text_draw(t, tui_sub(a, a.height > 4 ? 1 : 0, 2, a.height, a.width - 4), 0);
    tui_text_free(t);
}

void view_said(const json_t *holder, const char *member, struct buf *out)
{
    char *words = xasprintf("%s_words", member);
    if (!say_text(json_object_get(holder, words), tui_tr, out))
        buf_adds(out, _(json_str(holder, member, "")));
    free(words);
}

void view_steerer(const json_t *row, struct buf *out)
{
    const char *of = json_str(row, "of", ""), *ref = json_str(row, "ref", "");
    if (!strcmp(of, "question"))
        buf_adds(out, _("in the question"));
    else if (!strcmp(of, "answer"))
        buf_addf(out, _("the answer of %s"), ref);
    else if (!strcmp(of, "description"))
        buf_addf(out, _("the description of %s"), ref);
    else
        buf_adds(out, *ref ? ref : of);
}

void view_keep_error(char **text, const struct error *e)
{
    free(*text);
    *text = e && e->code ? xasprintf("%s%s%s", err_text(e->code), *e->detail ? ": " : "", e->detail)
                         : NULL;
}

int64_t view_at(const json_t *object, const char *member)
{
    const json_t *at = json_object_get(object, member);
    int64_t ms = 0;
    if (json_is_string(at))
        return clock_parse(json_string_value(at), &ms) ? 0 : ms;
    return json_is_number(at) ? (int64_t)json_number_value(at) : 0;
}

void view_clock(int64_t at_ms, char out[16])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    if (at_ms <= 0 || !localtime_r(&s, &tm) || !strftime(out, 16, "%H:%M:%S", &tm))
        snprintf(out, 16, "-");
}
