/* What controls share: findings, lists of names, regions. */
#include "backend/base/errors.h"
#include "backend/compliance/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void pol__found(struct pol_finding *out, enum pol_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct buf b = {0};
    buf_vaddf(&b, format, args);
    va_end(args);
    /* err_set cuts at a character's end, for a field of the same size. */
    struct error cut;
    _Static_assert(sizeof cut.detail == sizeof out->reason, "one size");
    err_set(&cut, ERR_OK, "%s", b.data);
    memcpy(out->reason, cut.detail, sizeof out->reason);
    out->status = status;
    buf_release(&b);
}

void pol__cite(struct pol_finding *out, int64_t seq)
{
    if (seq >= 0 && out->evidence_count < sizeof out->evidence / sizeof *out->evidence)
        out->evidence[out->evidence_count++] = seq;
}

void pol__answer(struct pol_finding *out, int known, const char *yes, const char *no)
{
    if (known < 0)
        pol__found(out, POL_NOT_ASSESSED, "that could not be found out on this system");
    else
        pol__found(out, known ? POL_PASS : POL_FAIL, "%s", known ? yes : no);
}

void pol__share(struct pol_finding *out, int64_t part, int64_t whole, const char *what)
{
    if (part < 0 || whole < 0)
        pol__found(out, POL_NOT_ASSESSED, "%s: that was not counted", what);
    else if (whole == 0)
        pol__found(out, POL_NOT_ASSESSED, "%s: there are none yet", what);
    else
        pol__found(out,
                   part >= whole                 ? POL_PASS
                   : whole - part <= whole / 100 ? POL_WARN
                                                 : POL_FAIL,
                   "%lld of %lld %s", (long long)part, (long long)whole, what);
}

void pol__name(struct pol_names *n, const char *name)
{
    enum { SPELLED = 4 };
    n->count++;
    size_t len = strlen(n->text), room = sizeof n->text - sizeof " and 9999999 more";
    if (n->spelled + 1 < n->count || n->count > SPELLED || len + strlen(name) + 2 > room)
        return;
    snprintf(n->text + len, sizeof n->text - len, "%s%s", len ? ", " : "", name);
    n->spelled++;
}

const char *pol__names(struct pol_names *n)
{
    size_t len = strlen(n->text);
    if (n->spelled == 0)
        snprintf(n->text, sizeof n->text, "%zu of them", n->count);
    else if (n->spelled < n->count)
        snprintf(n->text + len, sizeof n->text - len, " and %zu more", n->count - n->spelled);
    n->spelled = n->count;
    return n->text;
}

bool pol__is_model(const struct pol_endpoint *e)
{
    return strcmp(e->what, "model") == 0;
}

bool pol__is_connector(const struct pol_endpoint *e)
{
    return strcmp(e->what, "connector") == 0;
}

bool pol__lists(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, " ,\t");
        if (n == len && strncasecmp(p, word, len) == 0)
            return true;
        p += n;
        p += strspn(p, " ,\t");
    }
    return false;
}

bool pol__is_abroad(const char *region)
{
    return *region && strcasecmp(region, "local") != 0 && strcasecmp(region, "RU") != 0;
}

void pol__way(char *out, size_t size, const struct pol_endpoint *from,
              const struct pol_endpoint *to)
{
    snprintf(out, size, "%s to %s (%s)", from->name, to->name,
             *to->region ? to->region : "unknown");
}

void pol__at(char *out, size_t size, const struct pol_endpoint *e)
{
    snprintf(out, size, "%s (%s)", e->name, e->region);
}
