/* Exporting from the pane: a scope, a file, and the bundle read piece by piece.
 *
 * X1 The file is made anew, for its owner alone, and never over another; a failed export leaves
 *    none. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "views/evidence.h"
#include "views/evidence_query.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIECE_MAX = 4 << 20 };

/* ---- the scope: what the filter, the marks and the entry at hand suggest */

static char *default_scope(const struct evidence *v)
{
    static const char *const names[] = {"control", "trace", "session"};
    const char *filter = tui_list_filter(v->list);
    char value[128];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        evidence_query_value(filter, names[i], value);
        if (*value)
            return xasprintf("%s:%s", names[i], value);
    }
    const json_t *doc = v->entry.result;
    if (v->open && json_str(doc, "trace_id", NULL))
        return xasprintf("trace:%s", json_str(doc, "trace_id", ""));
    if (v->open && json_str(doc, "session", NULL))
        return xasprintf("session:%s", json_str(doc, "session", ""));
    return xstrdup("all");
}

/* "all", "A-B", "trace:ID" ...: the parameters; NULL if it is none of these. */
static json_t *scope_params(const char *scope)
{
    static const char *const names[][2] = {
        {"trace:", "trace_id"}, {"session:", "session"}, {"control:", "control"}};
    int64_t from, to;
    char end;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = strlen(names[i][0]);
        if (!strncmp(scope, names[i][0], n) && scope[n])
            return json_pack("{s:s}", names[i][1], scope + n);
    }
    if (!strcmp(scope, "all"))
        return json_object();
    if (sscanf(scope, "%" SCNd64 "-%" SCNd64 "%c", &from, &to, &end) == 2 && from >= 0 &&
        to >= from)
        return json_pack("{s:I,s:I}", "from", (json_int_t)from, "to", (json_int_t)to);
    return NULL;
}

/* evidence-trace-9f31c0de-20261127.tar */
static char *default_path(const char *scope)
{
    char word[40] = "", day[16] = "";
    size_t n = 0;
    time_t now = (time_t)(clock_real_ms() / 1000);
    struct tm tm;
    for (const char *p = scope; *p && n < 16; p++)
        word[n++] = (char)((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ? *p : '-');
    if (localtime_r(&now, &tm))
        strftime(day, sizeof(day), "%Y%m%d", &tm);
    return xasprintf("evidence-%s-%s.tar", word, day);
}

/* ---- the file */

static void finish(struct evidence *v, const char *why)
{
    struct evidence_export *x = &v->export;
    char size[32], entries[32];
    bool good = !why && close(x->fd) == 0;
    if (why)
        close(x->fd);
    if (!why && !good)
        why = strerrordesc_np(errno);
    free(x->done);
    if (good) {
        view_count(x->size, size);
        view_count(x->entries, entries);
        x->done = xasprintf(_("%s: %s entries, %s bytes, statement %.16s"), x->path, entries, size,
                            x->sha256);
    } else {
        unlink(x->path);
        x->done = xasprintf(_("not exported: %s"), why);
    }
    x->fd = -1;
    x->running = false;
    tui_dirty();
}

/* RFC 4648, section 4; -1 if it is not that. */
static int64_t unbase64(const char *text, uint8_t *out, size_t max)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (; *text && *text != '='; text += 4) {
        uint32_t bits = 0;
        size_t pad = 0;
        for (int i = 0; i < 4; i++) {
            const char *d = text[i] && text[i] != '=' ? strchr(digits, text[i]) : NULL;
            if ((!d && text[i] != '=') || (d && pad) || (!d && i < 2))
                return -1;
            pad += !d;
            bits = bits << 6 | (d ? (uint32_t)(d - digits) : 0);
        }
        for (size_t i = 0; i < 3 - pad; i++) {
            if (n == max)
                return -1;
            out[n++] = (uint8_t)(bits >> (16 - 8 * i));
        }
        if (pad)
            return text[4] ? -1 : (int64_t)n;
    }
    return *text ? -1 : (int64_t)n;
}

static void read_next(struct evidence *v);

static void got_piece(void *self, const json_t *result, const struct error *e)
{
    struct evidence *v = self;
    struct evidence_export *x = &v->export;
    const char *data = json_str(result, "data", "");
    if (!x->running)
        return;
    if (!result) {
        finish(v, *e->detail ? e->detail : err_text(e->code));
        return;
    }
    size_t room = strlen(data) / 4 * 3 + 3;
    uint8_t *bytes = room <= PIECE_MAX ? xcalloc(room, 1) : NULL;
    int64_t n = bytes ? unbase64(data, bytes, room) : -1;
    bool eof = json_flag(result, "eof", false), written = n >= 0;
    if (written && !view_file_write(x->fd, bytes, (size_t)n)) {
        finish(v, strerrordesc_np(errno));
    } else if (!written || (n == 0 && !eof)) {
        finish(v, _("the bundle came in a form that cannot be read"));
    } else {
        x->written += n;
        if (!eof)
            read_next(v);
        else
            finish(v, x->written == x->size ? NULL : _("the bundle ended early"));
    }
    free(bytes);
    tui_dirty();
}

static void read_next(struct evidence *v)
{
    json_t *params = json_object();
    json_puts(params, "id", v->export.id);
    json_puti(params, "offset", v->export.written);
    tui_call(v, WIRE_evidence_export_read, params, got_piece);
}

static void got_export(void *self, const json_t *result, const struct error *e)
{
    struct evidence *v = self;
    struct evidence_export *x = &v->export;
    if (!x->running)
        return;
    if (!result) {
        finish(v, *e->detail ? e->detail : err_text(e->code));
        return;
    }
    free(x->id);
    x->id = xstrdup(json_str(result, "id", ""));
    x->size = json_int(result, "size", 0);
    x->entries = json_int(result, "entries", 0);
    snprintf(x->sha256, sizeof(x->sha256), "%.64s", json_str(result, "sha256", ""));
    x->written = 0;
    read_next(v);
    tui_dirty();
}

/* ---- asking for scope and file */

static void take_path(void *arg, const char *path)
{
    struct evidence *v = arg;
    struct evidence_export *x = &v->export;
    json_t *params = scope_params(x->scope);
    x->fd = view_file_new(path); /* X1 */
    if (x->fd < 0) {
        json_decref(params);
        return;
    }
    free(x->path);
    x->path = xstrdup(path);
    x->running = true;
    x->size = x->written = 0;
    tui_call(v, WIRE_evidence_export, params, got_export);
    tui_dirty();
}

static void take_scope(void *arg, const char *scope)
{
    struct evidence *v = arg;
    json_t *params = scope_params(scope);
    if (!params) {
        tui_say(_("not a scope: %s"), scope);
        return;
    }
    json_decref(params);
    free(v->export.scope);
    v->export.scope = xstrdup(scope);
    char *path = default_path(scope);
    tui_prompt(_("into the file"), path, take_path, v);
    free(path);
}

void evidence_export_ask(struct evidence *v)
{
    if (v->export.running) {
        tui_say("%s", _("an export is under way"));
        return;
    }
    char *scope = default_scope(v);
    tui_prompt(_("export (all, 12-40, trace: session: control:)"), scope, take_scope, v);
    free(scope);
}

void evidence_export_release(struct evidence *v)
{
    struct evidence_export *x = &v->export;
    if (x->running)
        finish(v, "");
    free(x->scope);
    free(x->path);
    free(x->id);
    free(x->done);
    *x = (struct evidence_export){0};
}

int evidence_export_draw(const struct evidence *v, struct tui_area a, int y)
{
    const struct evidence_export *x = &v->export;
    char size[32];
    if (x->running) {
        int bar = a.width > 60 ? 24 : 8;
        int n = tui_put(a, y, 0, -1, ROLE_ACCENT, _("exporting")) + 1;
        tui_bar(a, y, n, bar, ROLE_ACCENT, x->size > 0 ? (double)x->written / (double)x->size : 0);
        view_count(x->size, size);
        if (x->size > 0)
            tui_putf(a, y, n + bar + 1, -1, ROLE_TEXT, _("%s bytes"), size);
        else
            tui_put(a, y, n + bar + 1, -1, ROLE_DIM, _("the bundle is being made"));
        return y + 1;
    }
    if (!x->done)
        return y;
    tui_put(a, y, 0, -1, ROLE_TEXT, x->done);
    return y + 1;
}
