/* Prints what the safety filter's rules find in collections of texts, and what a pass costs. usage:
 * eval_safety FILE...: JSON lines with `text` (or `prompt`, `content`) and perhaps `label` each, or
 * any other file as one text (a runbook). With -v each finding is printed. */
#include "backend/base/clock.h"
#include "backend/base/json.h"
#include "backend/compliance/compliance.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS = 16, LINE = 1 << 20 };

struct label {
    char name[32];
    size_t texts, bytes, found[POL_SEVERE + 1];
};

struct run {
    struct pol_filter *filter;
    enum pol_direction direction;
    struct label labels[LABELS];
    size_t count;
    uint64_t spent_us;
    bool verbose;
};

static struct label *label_of(struct run *r, const char *name)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->labels[i].name, name) == 0)
            return &r->labels[i];
    if (r->count == LABELS)
        return &r->labels[LABELS - 1];
    struct label *l = &r->labels[r->count++];
    snprintf(l->name, sizeof l->name, "%s", name);
    return l;
}

static void take(struct run *r, const char *name, const char *text)
{
    struct pol_moderation m;
    uint64_t from = clock_mono_ns() / 1000;
    pol_moderate(r->filter, text, r->direction, &m);
    r->spent_us += clock_mono_ns() / 1000 - from;
    struct label *l = label_of(r, name);
    l->texts++;
    l->bytes += strlen(text);
    l->found[m.worst]++;
    for (size_t i = 0; r->verbose && i < m.count; i++)
        printf("  %s %s %s [%s] %.120s\n", name, pol_hazard(m.at[i].id)->id,
               pol_severity_name(m.at[i].severity), m.at[i].what, text);
}

static void take_line(struct run *r, const char *line)
{
    struct error e = {0};
    json_t *o = json_read(line, strlen(line), LINE, 32, &e);
    const char *text = json_str(o, "text", json_str(o, "prompt", json_str(o, "content", NULL)));
    if (text)
        take(r, json_str(o, "label", "all"), text);
    json_t *tools = json_object_get(o, "tools"), *value;
    const char *key;
    json_object_foreach(tools, key, value) take(r, "tool output", json_string_value(value));
    json_decref(o);
}

static bool take_file(struct run *r, const char *path)
{
    FILE *f = fopen(path, "r");
    if (!f) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    bool lines = strlen(path) > 6 && strcmp(path + strlen(path) - 6, ".jsonl") == 0;
    char *line = xcalloc(LINE, 1);
    struct buf whole = {0};
    while (fgets(line, LINE, f)) {
        if (lines)
            take_line(r, line);
        else
            buf_adds(&whole, line);
    }
    if (whole.data)
        take(r, "all", whole.data);
    buf_release(&whole);
    free(line);
    fclose(f);
    return true;
}

static void report(const struct run *r, const char *what)
{
    size_t bytes = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct label *l = &r->labels[i];
        bytes += l->bytes;
        printf("%-10s %-24s %6zu texts  severe %5zu (%.1f%%)  moderate %5zu (%.1f%%)\n", what,
               l->name, l->texts, l->found[POL_SEVERE],
               100.0 * (double)l->found[POL_SEVERE] / (double)l->texts, l->found[POL_MODERATE],
               100.0 * (double)l->found[POL_MODERATE] / (double)l->texts);
    }
    printf("%-10s %.1f MB/s\n", what, (double)bytes / (double)(r->spent_us ? r->spent_us : 1));
}

int main(int argc, char **argv)
{
    struct run runs[2] = {{.direction = POL_QUESTION}, {.direction = POL_ANSWER}};
    struct pol_filter *filter = pol_filter_new();
    bool ok = true, verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    if (argc - verbose < 2) {
        fprintf(stderr, "usage: eval_safety [-v] FILE...\n");
        ok = false;
    }
    for (size_t d = 0; d < 2 && ok; d++) {
        runs[d].filter = filter;
        runs[d].verbose = verbose;
        for (int i = 1 + verbose; i < argc && ok; i++)
            ok = take_file(&runs[d], argv[i]);
        report(&runs[d], d ? "as answer" : "asked");
    }
    pol_filter_free(filter);
    return ok ? 0 : 1;
}
