/* A plan as text: what a person reads before approving, and what became of it. */
#include "views/approvals.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDENT = 2, DEEP = 4 };

static void line(struct tui_text *t, int indent, const char *name, const char *text,
                 enum tui_role role)
{
    if (text && *text)
        tui_text_addf(t, role, indent, false, "%s  %s", name, text);
}

static void call_line(struct tui_text *t, const char *name, const json_t *call)
{
    if (!call)
        return;
    const char *name_taken;
    json_t *pointer;
    char *arguments = json_write(json_object_get(call, "arguments"));
    tui_text_addf(t, ROLE_TEXT, DEEP, false, "%s  %s/%s %s", name, json_str(call, "connector", ""),
                  json_str(call, "tool", ""), arguments);
    free(arguments);
    json_object_foreach(json_object_get(call, "take"), name_taken, pointer)
        tui_text_addf(t, ROLE_TEXT, DEEP + INDENT, false, _("%s: what the step answers at %s"),
                      name_taken, json_string_value(pointer));
}

static void check_line(struct tui_text *t, const json_t *verify)
{
    const json_t *check = json_object_get(verify, "check"),
                 *value = json_object_get(check, "value");
    if (!check)
        return;
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("");
    const char *pointer = json_str(check, "pointer", "");
    tui_text_addf(t, ROLE_TEXT, DEEP + INDENT, false, _("holds if %s %s %s"),
                  *pointer ? pointer : _("the answer"), json_str(check, "op", ""),
                  text ? text : "");
    free(text);
}

/* What there is now and what is to be there: the difference. */
static void difference(struct tui_text *t, const json_t *step)
{
    const char *before = json_str(step, "before", ""), *after = json_str(step, "effect", "");
    char ago[16];
    tui_ago(view_at(step, "before_at"), ago);
    if (*before && json_int(step, "before_at", 0))
        tui_text_addf(t, ROLE_TEXT, DEEP, false, "- %s  (%s)", before, ago);
    else if (*before)
        tui_text_addf(t, ROLE_TEXT, DEEP, false, "- %s", before);
    if (*after)
        tui_text_addf(t, ROLE_STRONG, DEEP, false, "+ %s", after);
}

static void result_lines(struct tui_text *t, const json_t *step)
{
    const json_t *observed = json_object_get(step, "observed");
    if (*json_str(step, "text", "")) {
        tui_text_add(t, ROLE_DIM, DEEP, false, _("answer"));
        tui_text_add(t, ROLE_FOREIGN, DEEP, true, json_str(step, "text", ""));
    }
    if (json_object_get(step, "verified")) {
        char *text = observed ? json_dumps(observed, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
        bool ok = json_flag(step, "verified", false);
        tui_text_addf(t, ok ? ROLE_OK : ROLE_FAIL, DEEP, false, "%s  %s",
                      ok ? _("verified") : _("not verified"), text ? text : "");
        free(text);
    }
    if (*json_str(step, "undo", ""))
        tui_text_addf(t, ROLE_WARN, DEEP, false, "%s  %s  %s", _("rollback"),
                      _(json_str(step, "undo", "")), json_str(step, "undo_text", ""));
}

static void step_lines(struct tui_text *t, const json_t *step, size_t at)
{
    const char *state = json_str(step, "state", "waiting");
    const json_t *verify = json_object_get(step, "verify"),
                 *rollback = json_object_get(step, "rollback");
    tui_text_add(t, ROLE_TEXT, 0, false, "");
    tui_text_addf(t, tui_state_role(state), 0, false, _("step %zu  %s"), at + 1, _(state));
    line(t, INDENT, _("target"), json_str(step, "target", ""), ROLE_TEXT);
    call_line(t, _("tool"), step);
    line(t, DEEP, _("expected"), json_str(step, "expect", ""), ROLE_TEXT);
    difference(t, step);
    if (verify)
        call_line(t, _("verification"), verify);
    else
        line(t, DEEP, _("verification"), _("none"), ROLE_WARN);
    check_line(t, verify);
    if (rollback)
        call_line(t, _("rollback"), rollback);
    else
        line(t, DEEP, _("rollback"), _("none: this cannot be undone"), ROLE_WARN);
    result_lines(t, step);
}

static void approval_lines(struct tui_text *t, const json_t *plan)
{
    const json_t *row, *rejected = json_object_get(plan, "rejected");
    size_t i, n = json_array_size(json_object_get(plan, "approvals"));
    char ago[16];
    tui_text_addf(t, ROLE_TEXT, 0, false, _("approved by %zu of %d persons"), n,
                  (int)json_int(plan, "needed", 0));
    json_array_foreach(json_object_get(plan, "approvals"), i, row)
    {
        tui_ago(view_at(row, "at"), ago);
        tui_text_addf(t, ROLE_TEXT, INDENT, false, "%s  %s  %s", json_str(row, "who", ""),
                      json_str(row, "name", ""), ago);
    }
    if (rejected)
        tui_text_addf(t, ROLE_WARN, INDENT, false, _("rejected by %s: %s"),
                      json_str(rejected, "who", ""), json_str(rejected, "reason", ""));
}

void view_plan_text(struct tui_text *t, const json_t *plan)
{
    const char *state = json_str(plan, "state", "unknown"), *risk = json_str(plan, "risk", "high");
    const json_t *row, *by = json_object_get(plan, "by");
    char ago[16], hash[16];
    size_t i;
    tui_ago(view_at(plan, "at"), ago);
    tui_short_id(json_str(plan, "hash", ""), hash);
    tui_text_clear(t);
    tui_text_add(t, ROLE_STRONG, 0, false, json_str(plan, "title", "-"));
    tui_text_addf(t, tui_state_role(state), 0, false, "%s  %s", _(state),
                  json_str(plan, "why", ""));
    tui_text_add(t, ROLE_TEXT, 0, false, json_str(plan, "reason", ""));
    tui_text_addf(t, ROLE_DIM, 0, false, _("proposed by %s, %s  %s  hash %s"),
                  json_str(by, "user", "-"), _(json_str(plan, "from", "hand")), ago, hash);
    tui_text_addf(t, !strcmp(risk, "low") ? ROLE_TEXT : ROLE_WARN, 0, false, _("risk  %s"),
                  _(risk));
    json_array_foreach(json_object_get(plan, "risk_reasons"), i, row)
        tui_text_add(t, ROLE_TEXT, INDENT, false, _(json_string_value(row)));
    approval_lines(t, plan);
    tui_text_add(t, ROLE_DIM, 0, false,
                 !strcmp(json_str(plan, "on_failure", ""), "rollback")
                     ? _("If a step fails, what was done is undone.")
                     : _("If a step fails, it stops there."));
    json_array_foreach(json_object_get(plan, "steps"), i, row) step_lines(t, row, i);
}
