/* The words of the built-in models' answers, in both languages. */
#include "backend/gateway/internal.h"
#include <stdlib.h>
#include <string.h>

enum said { MEASURED, QUOTED, FINE, STEPS, POINTER, NEXT, BESIDES, CANNOT, LOOKED, CAN };
static const char *const words[][2] = {
    [MEASURED] = {"Measured just now:", "Измерено только что:"},
    [QUOTED] = {"The tools answered:", "Ответили инструменты:"},
    [FINE] = {"All of this is within its limits", "Всё это в пределах нормы"},
    [STEPS] = {"From the runbooks:", "Из инструкций:"},
    [POINTER] = {"To look closer:", "Чтобы посмотреть внимательнее:"},
    [NEXT] = {"What to check next:", "Что проверить дальше:"},
    [BESIDES] = {"Besides, over a limit:", "Кроме того, за пределами нормы:"},
    [CANNOT] = {"I cannot answer this: nothing that I can read fits the question.",
                "Я не могу ответить на этот вопрос: ничто из того, что я могу прочитать, к нему не "
                "подходит."},
    [LOOKED] = {"I looked at", "Я посмотрел"},
    [CAN] =
        {"I can answer questions about this machine (load, memory, disks, network, processes, "
         "services), the connectors, costs, the log, and what the runbooks describe, in English "
         "and Russian; “help” shows examples.",
         "Я могу ответить на вопросы об этой машине (нагрузка, память, диски, сеть, процессы, "
         "службы), о коннекторах, расходах, журнале и о том, что описано в инструкциях, по-русски "
         "и "
         "по-английски; примеры — по слову «помощь»."},
};

static const char *say(const struct gw_request *r, enum said w)
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

struct gw__line gw__line_of(const struct gw__units *units, const struct gw__unit *u)
{
    return (struct gw__line){.kind = u->kind,
                             .severity = u->severity,
                             .judged = u->judged,
                             .told = u->told,
                             .aside = u->kind == GW__FINDING && u->aside,
                             .order = u->order,
                             .source = u->source,
                             .place = (size_t)(u - units->at),
                             .text = u->text,
                             .marks = u->marks};
}

bool gw__same_document(const struct gw_source *a, const struct gw_source *b)
{
    size_t n = strcspn(a->ref, "#");
    return strcmp(a->kind, b->kind) == 0 && n == strcspn(b->ref, "#") &&
           strncmp(a->ref, b->ref, n) == 0;
}

/* Words that ask for steps, or for a cause; each as it begins. Services that no instrument here
 * measures are asked about for their runbooks. */
static const char *const how[] = {
    "how to",      "how do ",     "how can ",       "how should", "what do i do", "what to do",
    "what should", "fix ",        "mend ",          "restart ",   "renew ",       "clean up",
    "free up",     "get rid",     "troubleshoot",   "steps ",     "runbook",      "nginx",
    "postgres",    "redis",       "docker",         "kubernetes", "k8s",          "ssh",
    "dns",         "certificate", "сертификат",     "постгрес",   "редис",        "докер",
    "нжинкс",      "что делать",  "что мне делать", "как поч",    "как испр",     "как осв",
    "как очи",     "как уст",     "как реш",        "как пере",   "как обнов",    "как прод",
    "как найти",   "как убра",    "как нас",        "как сде",    "как вос",      "как изб",
    "почини",      "исправ",      "очисти",         "почисти",    "освободи",     "перезапусти",
    "инструкци",   "рунбук"};
static const char *const why[] = {"why",    "what is wrong", "what s wrong", "почему",
                                  "отчего", "что не так",    "из за чего"};

static bool asks(const char *question, const char *const *begins, size_t n)
{
    char *low = gw__plain_words(question);
    bool found = false;
    for (size_t i = 0; !found && i < n; i++) {
        for (const char *p = low; !found && (p = strstr(p, begins[i])); p++)
            found = p == low || p[-1] == ' ';
    }
    free(low);
    return found;
}

bool gw__is_besides(const char *line)
{
    return strcmp(line, words[BESIDES][0]) == 0 || strcmp(line, words[BESIDES][1]) == 0;
}

bool gw__is_frame(const char *sentence)
{
    size_t len = strlen(sentence);
    bool frame = len && sentence[len - 1] == ':';
    for (size_t i = 0; i < sizeof words / sizeof *words && !frame; i++)
        for (size_t l = 0; l < 2 && !frame; l++)
            frame = strncmp(sentence, words[i][l], strlen(words[i][l])) == 0;
    return frame;
}

bool gw__asks_how(const char *question)
{
    return asks(question, how, sizeof how / sizeof *how);
}

size_t gw__steps_wanted(const struct gw_request *r, const struct gw__line *lines, size_t n)
{
    enum { POINTER_STEPS = 1, FEW = 3, MANY = 5 };
    size_t measured = 0, judged = 0, bad = 0;
    for (size_t i = 0; i < n; i++) {
        measured += lines[i].kind < GW__STEP;
        judged += lines[i].kind < GW__STEP && lines[i].judged;
        bad += !lines[i].aside && lines[i].severity > 0;
    }
    if (!measured || bad || gw__asks_how(r->question))
        return MANY;
    return asks(r->question, why, sizeof why / sizeof *why) ? FEW : judged ? POINTER_STEPS : 0;
}

/* The first line of the document that a line is from. */
static size_t first_of(const struct gw_request *r, const struct gw__line *steps, size_t line)
{
    size_t i = 0;
    while (!gw__same_document(&r->sources[steps[i].source], &r->sources[steps[line].source]))
        i++;
    return i;
}

/* Documents in the order of their first line; in each what to look at before what to mend, and
 * then as the document has it. */
static void add_steps(const struct gw_request *r, const struct gw__line *steps, size_t n,
                      struct gw__pieces *out)
{
    for (size_t document = 0; document < n; document++) {
        for (int order = 0; order <= GW__LAST_ORDER; order++) {
            const struct gw__line *said = NULL, *next = steps;
            while (next) {
                next = NULL;
                for (size_t i = 0; i < n; i++) {
                    const struct gw__line *s = &steps[i];
                    if (s->order == order && first_of(r, steps, i) == document &&
                        (!said || s->place > said->place) && (!next || s->place < next->place))
                        next = s;
                }
                if (next)
                    add_item(r, next, out);
                said = next;
            }
        }
    }
}

static int graver(const struct gw__line *line)
{
    return line->aside ? -1 : line->severity;
}

/* The worst first; among equals sources in the order chosen, and each as its tool said it. */
static void order_findings(const struct gw__line *lines, size_t n, struct gw__line *out)
{
    size_t first[GW__SOURCES_MAX];
    for (size_t i = 0; i < n; i++) {
        size_t at = i;
        first[i] = i;
        for (size_t j = 0; j < i && first[i] == i; j++) {
            if (lines[j].source == lines[i].source)
                first[i] = j;
        }
        while (at > 0) {
            const struct gw__line *before = &out[at - 1];
            size_t theirs = 0;
            while (lines[theirs].source != before->source)
                theirs++;
            int worse = graver(&lines[i]) - graver(before);
            if (worse < 0 ||
                (worse == 0 &&
                 (first[i] > theirs || (first[i] == theirs && lines[i].place > before->place))))
                break;
            out[at] = *before;
            at--;
        }
        out[at] = lines[i];
    }
}

static void add_findings(const struct gw_request *r, const struct gw__line *lines, size_t n,
                         struct gw__pieces *out)
{
    size_t told = 0, bad = 0, judged = 0, asides = 0;
    for (size_t i = 0; i < n; i++) {
        told += lines[i].told;
        judged += lines[i].judged;
        asides += lines[i].aside;
        bad += lines[i].severity > 0;
    }
    if (told < n && asides < n)
        add_heading(out, say(r, MEASURED));
    for (size_t i = 0; i < n - asides; i++)
        add_item(r, &lines[i], out);
    if (!bad && judged == n)
        add_fine(r, lines, n, out);
    if (asides)
        add_heading(out, say(r, BESIDES));
    for (size_t i = n - asides; i < n; i++)
        add_item(r, &lines[i], out);
}

void gw__render(const struct gw_request *r, const struct gw__line *lines, size_t n,
                struct gw__pieces *out)
{
    struct gw__line *found = xcalloc(n + 1, sizeof *found),
                    *sorted = xcalloc(n + 1, sizeof *sorted),
                    *steps = xcalloc(n + 1, sizeof *steps);
    size_t findings = 0, quoted = 0, told = 0;
    for (size_t i = 0; i < n; i++) {
        quoted += lines[i].kind == GW__LINE;
        if (lines[i].kind == GW__FINDING && findings < GW__SOURCES_MAX)
            found[findings++] = lines[i];
        if (lines[i].kind >= GW__STEP)
            steps[told++] = lines[i];
    }
    if (!n)
        add_refusal(r, out);
    order_findings(found, findings, sorted);
    if (findings)
        add_findings(r, sorted, findings, out);
    if (quoted)
        add_heading(out, say(r, QUOTED));
    for (size_t i = 0; i < n; i++)
        if (lines[i].kind == GW__LINE)
            add_item(r, &lines[i], out);
    size_t wanted = gw__steps_wanted(r, lines, n);
    if (told)
        add_heading(out, say(r, wanted == 1 ? POINTER : wanted == 3 ? NEXT : STEPS));
    add_steps(r, steps, told, out);
    free(found);
    free(sorted);
    free(steps);
}
