/* The words of the built-in models' answers, in both languages. */
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

enum words { MEASURED, QUOTED, FINE, STEPS, CANNOT, LOOKED, CAN };
static const char *const words[][2] = {
    [MEASURED] = {"Measured just now:", "Измерено только что:"},
    [QUOTED] = {"The tools answered:", "Ответили инструменты:"},
    [FINE] = {"None of these measurements is a warning or a failure",
              "Ни одно из этих измерений не является предупреждением или сбоем"},
    [STEPS] = {"From the runbooks:", "Из инструкций:"},
    [CANNOT] = {"I cannot answer this: nothing that I can read fits the question.",
                "Я не могу ответить на этот вопрос: ничто из того, что я могу прочитать, к нему не "
                "подходит."},
    [LOOKED] = {"I looked at", "Я посмотрел"},
    [CAN] = {"I can answer questions about this machine (load, memory, disks, network, processes, "
             "services), the connectors, costs, the log, and what the runbooks describe.",
             "Я могу ответить на вопросы об этой машине (нагрузка, память, диски, сеть, процессы, "
             "службы), о коннекторах, расходах, журнале и о том, что описано в инструкциях."},
};

static const char *say(const struct gw_request *r, enum words w)
{
    return words[w][gw__russian(r)];
}

/* "text [1]." with the mark before the full stop. */
static void add_sentence(struct buf *b, const char *text, const char *marks)
{
    size_t len = strlen(text);
    char stop = len && strchr(".!?:;", text[len - 1]) ? text[len - 1] : '.';
    if (len && strchr(".!?:;", text[len - 1]) && !(len > 1 && text[len - 2] == '\\'))
        len--;
    buf_add(b, text, len);
    buf_addf(b, " %s%c", marks, stop == ':' || stop == ';' ? '.' : stop);
}

static void add_item(const struct gw_request *r, const struct gw__line *line,
                     struct gw__pieces *out)
{
    struct buf b = {0};
    buf_adds(&b, "- ");
    if (line->kind == GW__LINE) { /* a foreign program's own words */
        buf_adds(&b, gw__russian(r) ? "«" : "“");
        buf_adds(&b, line->text);
        buf_adds(&b, gw__russian(r) ? "»" : "”");
        buf_addf(&b, " %s.", line->marks);
    } else {
        add_sentence(&b, line->text, line->marks);
    }
    buf_addc(&b, '\n');
    gw__pieces_add(out, buf_take(&b));
}

static void add_heading(struct gw__pieces *out, const char *text)
{
    gw__pieces_add(out, xasprintf("%s%s\n\n", out->len ? "\n" : "", text));
}

/* Every mark of the findings, each once. */
static void add_fine(const struct gw_request *r, const struct gw__line *lines, size_t n,
                     struct gw__pieces *out)
{
    struct buf marks = {0};
    for (size_t i = 0; i < n; i++) {
        for (const char *p = lines[i].kind == GW__FINDING ? lines[i].marks : ""; *p;) {
            const char *end = strchr(p, ']') + 1;
            char *mark = xstrndup(p, (size_t)(end - p));
            if (!marks.len || !strstr(marks.data, mark))
                buf_adds(&marks, mark);
            free(mark);
            p = end;
        }
    }
    gw__pieces_add(out, xasprintf("\n%s %s.\n", say(r, FINE), marks.data));
    buf_release(&marks);
}

static void add_refusal(const struct gw_request *r, struct gw__pieces *out)
{
    struct buf looked = {0};
    gw__pieces_add(out, xasprintf("%s", say(r, CANNOT)));
    if (r->looked_at && gw__quote(r->looked_at, strlen(r->looked_at), 600, GW__PLAIN, &looked)) {
        while (looked.len && looked.data[looked.len - 1] == '.')
            looked.data[--looked.len] = '\0';
        gw__pieces_add(out, xasprintf(" %s: %s.", say(r, LOOKED), looked.data));
    }
    buf_release(&looked);
    gw__pieces_add(out, xasprintf(" %s\n", say(r, CAN)));
}

void gw__render(const struct gw_request *r, const struct gw__line *lines, size_t n,
                struct gw__pieces *out)
{
    size_t findings = 0, quoted = 0, steps = 0, bad = 0;
    for (size_t i = 0; i < n; i++) {
        findings += lines[i].kind == GW__FINDING;
        quoted += lines[i].kind == GW__LINE;
        steps += lines[i].kind >= GW__STEP;
        bad += lines[i].severity > 0;
    }
    if (!n) {
        add_refusal(r, out);
        return;
    }
    if (findings)
        add_heading(out, say(r, MEASURED));
    for (size_t i = 0; i < n; i++)
        if (lines[i].kind == GW__FINDING)
            add_item(r, &lines[i], out);
    if (findings && !bad)
        add_fine(r, lines, n, out);
    if (quoted)
        add_heading(out, say(r, QUOTED));
    for (size_t i = 0; i < n; i++)
        if (lines[i].kind == GW__LINE)
            add_item(r, &lines[i], out);
    if (steps)
        add_heading(out, say(r, STEPS));
    for (size_t i = 0; i < n; i++)
        if (lines[i].kind >= GW__STEP)
            add_item(r, &lines[i], out);
}
