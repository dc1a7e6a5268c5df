#include "views/report.h"
#include "backend/base/text.h"
#include <stdio.h>

void view_report_release(struct view_report *r)
{
    json_decref(r->progress);
    json_decref(r->report);
    *r = (struct view_report){0};
}

void view_report_begin(struct view_report *r)
{
    json_decref(r->progress);
    r->progress = json_pack("{s:i,s:i}", "checked", 0, "size", 0);
    tui_dirty();
}

void view_report_not_begun(struct view_report *r)
{
    json_decref(r->progress);
    r->progress = NULL;
    tui_dirty();
}

bool view_report_event(struct view_report *r, const json_t *data)
{
    const json_t *report = json_object_get(data, "report");
    json_decref(r->progress);
    r->progress = NULL;
    if (report) {
        json_decref(r->report);
        r->report = json_deep_copy(report);
    } else {
        r->progress = json_deep_copy(data);
    }
    return report != NULL;
}

int view_report_draw(const struct view_report *v, struct tui_area a, int y)
{
    const json_t *r = v->report;
    char checked[32], size[32], took[16];
    if (v->progress) {
        double done = json_num(v->progress, "checked", 0), all = json_num(v->progress, "size", 0);
        view_count((int64_t)done, checked);
        view_count((int64_t)all, size);
        int bar = a.width > 60 ? 24 : a.width > 40 ? 10 : 6;
        int x = tui_put(a, y, 0, -1, ROLE_ACCENT, _("verifying")) + 1;
        tui_bar(a, y, x, bar, ROLE_ACCENT, all > 0 ? done / all : 0);
        tui_putf(a, y, x + bar + 1, -1, ROLE_TEXT, _("%s of %s"), checked, size);
        return y + 1;
    }
    if (!r)
        return y;
    bool ok = json_flag(r, "ok", false);
    view_count(json_int(r, "checked", 0), checked);
    tui_duration(json_num(r, "elapsed_ms", -1), took);
    int x = tui_put_state(a, y, 0, ok ? "intact" : "broken", true) + 2;
    struct buf b = {0};
    buf_addf(&b, _("%s entries in %s"), checked, took);
    int problems = (int)json_int(r, "problem_count", 0);
    if (problems)
        buf_addf(&b, _n(", %d problem", ", %d problems", (size_t)problems), problems);
    x += tui_put(a, y, x, -1, ok ? ROLE_TEXT : ROLE_FAIL, b.data) + 2;
    buf_release(&b);
    if (a.width - x > 6) {
        x += tui_put(a, y, x, -1, ROLE_KEY, "o") + 1;
        tui_put(a, y, x, -1, ROLE_DIM, a.width - x > 22 ? _("what this proves") : _("proof"));
    }
    return y + 1;
}

void view_report_text(const struct view_report *v, struct tui_text *t)
{
    const json_t *r = v->report, *p;
    char head[16], root[16];
    size_t i;
    const json_t *proved = json_object_get(r, "proved");
    if (json_is_string(proved))
        tui_text_add(t, ROLE_TEXT, 0, false, json_string_value(proved));
    json_array_foreach(proved, i, p)
    {
        if (json_is_string(p))
            tui_text_addf(t, ROLE_TEXT, 0, false, "%s %s", tui_glyph(GLYPH_BULLET),
                          json_string_value(p));
    }
    tui_short_id(json_str(r, "head", "-"), head);
    tui_short_id(json_str(r, "root", "-"), root);
    tui_text_addf(t, ROLE_DIM, 0, false, _("head %s  root %s"), head, root);
    json_array_foreach(json_object_get(r, "problems"), i, p)
    {
        char seq[32];
        view_number(json_object_get(p, "seq"), 0, seq);
        tui_text_addf(t, ROLE_FAIL, 0, false, _("%s entry %s: %s"), tui_glyph(GLYPH_FAIL), seq,
                      json_str(p, "text", json_str(p, "code", "-")));
    }
}

void view_report_show(const struct view_report *r)
{
    if (!r->report) {
        tui_say("%s", _("nothing was verified yet; v does that"));
        return;
    }
    struct tui_text *t = tui_text_new();
    view_report_text(r, t);
    tui_overlay(_("What the verification proved"), t);
}
