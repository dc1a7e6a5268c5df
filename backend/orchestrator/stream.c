/* What clients hear of an answer while it is written: without secrets, so a word late.
 *
 * W1 Only whole words are told, after the line so far was scrubbed; a block between -----BEGIN and
 *    -----END is told whole, when it has ended.
 * W2 What was told is never taken back: where scrubbing changes it afterwards, the rest of the line
 *    waits for the end of the answer, which replaces all of it.
 * W3 Nothing is told of a sentence in which the safety filter finds what it blocks, nor behind it.
 */
#include "backend/compliance/compliance.h"
#include "backend/orchestrator/internal.h"
#include <stdlib.h>
#include <string.h>

enum { LINE_MOST = 4096 }; /* a longer line is taken as several: each look at it is bounded */

static void tell(struct orch_candidate *c, const char *text, size_t len)
{
    struct trace *t = c->trace;
    if (*t->eval)
        return;
    json_t *data = json_object();
    json_puts(data, "trace_id", t->id);
    json_puts(data, "model", c->model->name);
    json_put(data, "text", json_text(text, len));
    t->orch->event(t->orch->event_arg, "token", data);
    json_decref(data);
}

/* The end of what may be looked at: behind the last space or new line that stands behind `from`; 0:
 * no word has ended there. */
static size_t words_end(const char *text, size_t from, size_t len)
{
    while (len > from && text[len - 1] != ' ' && text[len - 1] != '\n' && text[len - 1] != '\t')
        len--;
    return len > from ? len : 0;
}

/* Has a block begun whose last line has not ended? */
static bool in_block(const char *text)
{
    const char *at = text;
    while ((at = strstr(at, "-----BEGIN"))) {
        const char *end = strstr(at, "-----END");
        if (!end || !strchr(end, '\n'))
            return true;
        at = end + 1;
    }
    return false;
}

void orch__stream(struct orch_candidate *c, size_t added)
{
    const char *all = c->text.data;
    if (!c->trace->orch->event || !all || c->internal || orch__withholds(c->trace))
        return;
    /* words that ended before were looked at then: an answer without spaces is not read again and
     * again */
    size_t most = c->text.len - c->line, before = added < most ? most - added : 0;
    size_t len = words_end(all + c->line, before, most);
    if (!len || in_block(all + c->line))
        return;
    char *raw = xstrndup(all + c->line, len);
    if (orch__may_tell(c, c->line + len)) {
        char *scrubbed = pol_scrub_text(raw), *clean = scrubbed ? scrubbed : raw;
        size_t have = strlen(clean), told = c->told.len;
        if (have > told && (told == 0 || memcmp(clean, c->told.data, told) == 0)) {
            tell(c, clean + told, have - told);
            buf_add(&c->told, clean + told, have - told);
        }
        if (raw[len - 1] == '\n' || len > LINE_MOST) {
            c->line += len;
            buf_clear(&c->told);
        }
        free(scrubbed);
    }
    free(raw);
}

void orch__stream_cut(struct orch_candidate *c)
{
    if (!c->text.data)
        return;
    char *raw = xstrndup(c->text.data, words_end(c->text.data, 0, c->text.len));
    char *clean = pol_scrub_text(raw);
    buf_clear(&c->text);
    buf_adds(&c->text, clean ? clean : raw);
    free(clean);
    free(raw);
}
