/* An answer with marks behind what is disputed or nothing supports, or without it. */
#include "backend/orchestrator/arbitrate.h"
#include "backend/orchestrator/grounding_internal.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum fate { STAYS, IS_MARKED, GOES };

static enum fate fate_of(const struct grounding__sentence *s, enum orch_unsupported how)
{
    bool removes = how == ORCH_REMOVE;
    if (s->told && s->mark != ORCH_MARK_REFUTED) /* what stands in its place has to be said */
        return removes && s->mark != ORCH_MARK_OPEN && s->elsewhere ? GOES : IS_MARKED;
    if (s->state == GROUNDING__SUPPORTED || how == ORCH_NOTE)
        return STAYS;
    if (removes)
        return GOES;
    return s->marked ? STAYS : IS_MARKED;
}

/* Where a mark is put: before the full stop; of a row in its last cell. */
static size_t place(const struct grounding__sentence *s)
{
    size_t end = s->len, n = end;
    if (s->row) {
        while (n && strchr("| \t", s->at[n - 1]))
            n--;
        return n;
    }
    for (;;) {
        size_t digits = 0;
        while (n && s->at[n - 1] == ' ')
            n--;
        if (!n || s->at[n - 1] != ']')
            break;
        while (digits + 2 <= n && isdigit((unsigned char)s->at[n - 2 - digits]))
            digits++;
        if (!digits || digits + 2 > n || s->at[n - 2 - digits] != '[')
            break;
        n -= digits + 2;
    }
    if (!n || !strchr(".!?", s->at[n - 1]))
        return end;
    while (n && strchr(".!?", s->at[n - 1]))
        n--;
    return n ? n : end;
}

static void add_mark(struct buf *text, const struct grounding *g,
                     const struct grounding__sentence *s, bool russian)
{
    bool told = s->told || s->state == GROUNDING__CONTRADICTED;
    char *who = s->source >= 0 ? xasprintf("[%s]", g->sources[s->source].id)
                               : xstrdup(s->model ? s->model : "");
    orch_mark_add(text, told ? s->mark : ORCH_MARK_UNSUPPORTED, russian, who,
                  s->quote ? s->quote : "", s->quote ? s->quote_len : 0);
    free(who);
}

/* Where a sentence was; no answer that is cut has one. */
#define CUT '\x01'

static void changed(const struct grounding *g, bool russian, enum orch_unsupported how,
                    struct buf *text)
{
    const char *from = g->answer;
    for (size_t i = 0; i < g->count; i++) {
        const struct grounding__sentence *s = &g->sentences[i];
        enum fate fate = fate_of(s, how);
        if (fate == STAYS)
            continue;
        size_t keep = fate == GOES ? 0 : place(s);
        buf_add(text, from, (size_t)(s->at + keep - from));
        from = s->at + keep;
        if (fate == GOES) {
            buf_addc(text, CUT);
            from = s->at + s->len;
            from += *from == ' ';
        } else {
            add_mark(text, g, s, russian);
        }
    }
    buf_adds(text, from);
}

/* Whether only marks of a list are left of a line. */
static bool is_bare(const char *line, size_t len)
{
    size_t n = strspn(line, " \t>*+-0123456789.)");
    return n >= len;
}

/* Without lines of which nothing is left. */
static char *closed(const char *text)
{
    struct buf lines = {0};
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n"), next = len + (line[len] == '\n');
        struct buf kept = {0};
        bool cut = memchr(line, CUT, len) != NULL;
        for (size_t i = 0; i < len; i++)
            if (line[i] != CUT)
                buf_addc(&kept, line[i]);
        if (!cut || !is_bare(kept.data ? kept.data : "", kept.len)) {
            buf_add(&lines, kept.data ? kept.data : "", kept.len);
            buf_add(&lines, line + len, next - len);
        }
        buf_release(&kept);
        line += next;
    }
    return buf_take(&lines);
}

void grounding__rewrite(const struct grounding *g, const struct orch_ground_how *how,
                        struct orch_grounding *out)
{
    enum orch_unsupported way = how->unsupported;
    size_t kept = 0, fates[3] = {0};
    bool cites = false;
    for (size_t k = 0; k < g->source_count && !cites; k++)
        cites = orch_cites(g->answer, g->sources[k].id);
    for (size_t i = 0; i < g->count; i++)
        kept += fate_of(&g->sentences[i], way) != GOES;
    if (way == ORCH_REMOVE && (!kept || strchr(g->answer, CUT)))
        way = ORCH_FLAG; /* nothing would be left */
    for (size_t i = 0; i < g->count; i++)
        fates[fate_of(&g->sentences[i], way)]++;
    if (!cites || fates[STAYS] == g->count)
        return;
    struct buf text = {0};
    changed(g, how->russian, way, &text);
    out->removed = fates[GOES];
    out->text = fates[GOES] ? closed(text.data) : xstrdup(text.data);
    buf_release(&text);
}
