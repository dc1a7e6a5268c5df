#include "views/trace_replay.h"
#include "backend/base/clock.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_MS = 80, LEAST_MS = 2000, SLOWEST = 1024, FASTEST = 64 };

static double end_of(const json_t *trace)
{
    double end = json_num(trace, "elapsed_ms", 0);
    size_t i;
    const json_t *n;
    json_array_foreach(json_object_get(trace, "nodes"), i, n)
    {
        double to = json_num(n, "began_ms", 0) + json_num(n, "elapsed_ms", 0);
        end = to > end ? to : end;
    }
    return end > 0 ? end : 1;
}

/* ---- a trace at a time */

static void nodes_at(json_t *t, double ms)
{
    size_t i;
    json_t *n;
    json_array_foreach(json_object_get(t, "nodes"), i, n)
    {
        double began = json_num(n, "began_ms", INFINITY);
        bool begun = began <= ms, ended = begun && began + json_num(n, "elapsed_ms", 0) <= ms;
        if (ended)
            continue;
        if (!strcmp(json_str(n, "state", ""), "skipped"))
            json_put(n, "never", json_true()); /* the graph is the same all along */
        json_puts(n, "state", begun ? "running" : "waiting");
        json_puts(n, "note", "");
        json_object_del(n, "note_words");
        json_puti(n, "tokens", 0);
        json_put(n, "cost", json_null());
        json_put(n, "elapsed_ms", begun ? json_real(ms - began) : json_null());
        json_object_del(n, "run");
    }
}

static bool past(const json_t *trace, const char *kind, double ms)
{
    size_t i;
    const json_t *n;
    json_array_foreach(json_object_get(trace, "nodes"), i, n)
    {
        if (!strcmp(json_str(n, "kind", ""), kind) &&
            json_num(n, "began_ms", INFINITY) + json_num(n, "elapsed_ms", 0) <= ms)
            return true;
    }
    return false;
}

static void path_at(json_t *t, double ms)
{
    json_t *path = json_object_get(t, "path");
    for (size_t i = json_array_size(path); i-- > 0;) {
        const json_t *values = json_object_get(json_array_get(path, i), "values");
        if (json_num(values, "elapsed_ms", 0) > ms)
            json_array_remove(path, i);
    }
}

static void stages_at(json_t *t, double ms)
{
    json_t *stages = json_object_get(t, "stages");
    for (size_t i = json_array_size(stages); i-- > 0;) {
        json_t *s = json_array_get(stages, i);
        double from = json_num(s, "start_ms", 0);
        if (from > ms) {
            json_array_remove(stages, i);
        } else if (from + json_num(s, "ms", 0) > ms) {
            json_puts(s, "state", "running");
            json_puts(s, "note", "");
            json_object_del(s, "note_words");
            json_put(s, "ms", json_real(ms - from));
        }
    }
}

/* What a candidate had to show: its text when its node had ended, its figures when they were
 * compared. */
static void candidates_at(const json_t *whole, json_t *t, double ms, bool compared)
{
    static const char *const figures[] = {"overlap", "safety_risk", "reasoning", "composite"};
    size_t i, k;
    json_t *c;
    const json_t *n;
    json_array_foreach(json_object_get(t, "candidates"), i, c)
    {
        double began = 0, ended = json_num(c, "elapsed_ms", 0);
        json_array_foreach(json_object_get(whole, "nodes"), k, n)
        {
            if (json_int(n, "candidate", -1) != (json_int_t)i)
                continue;
            began = json_num(n, "began_ms", 0);
            ended = began + json_num(n, "elapsed_ms", 0);
        }
        for (k = 0; k < 4 && !compared; k++)
            json_put(c, figures[k], json_null());
        if (!compared) {
            json_put(c, "chosen", json_false());
            json_object_del(c, "refuted");
        }
        if (ended <= ms)
            continue;
        json_puts(c, "state", began <= ms ? "running" : "waiting");
        json_puts(c, "text", "");
        json_put(c, "usage", json_null());
        json_put(c, "cost", json_null());
        json_put(c, "elapsed_ms", json_null());
    }
}

/* ---- what of the risk was known */

enum known { OF_QUESTION, OF_SOURCES, OF_ANSWERS, OF_ALL };

static enum known known_from(const char *feature)
{
    static const struct {
        const char *name;
        enum known from;
    } names[] = {{"dangerous commands", OF_QUESTION}, {"stakes", OF_QUESTION},
                 {"personal data", OF_SOURCES},       {"prompt injection", OF_SOURCES},
                 {"anomalies", OF_SOURCES},           {"disagreement", OF_ANSWERS},
                 {"volatility", OF_ANSWERS}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!strcmp(names[i].name, feature))
            return names[i].from;
    return OF_ALL;
}

/* Of what sources add to, the share that the question has alone. */
static double of_question(const json_t *trace, const json_t *feature)
{
    const char *name = json_str(feature, "name", "");
    double value = json_num(feature, "value", 0), most = 0;
    size_t i;
    const json_t *one;
    if (!strcmp(name, "personal data"))
        return value >= 1 ? value : 0;
    if (strcmp(name, "prompt injection") != 0)
        return 0;
    json_array_foreach(json_object_get(trace, "injections"), i, one)
    {
        double score = json_num(one, "score", 0);
        if (!strcmp(json_str(one, "of", ""), "question") && score > most)
            most = score;
    }
    return most < value ? most : value;
}

/* The parts that were known, and the score that they make (docs/risk.md). */
static void risk_at(const json_t *trace, json_t *t, enum known now)
{
    json_t *risk = json_object_get(t, "risk"), *f;
    double safe = 1;
    size_t i;
    if (!json_is_object(risk))
        return;
    json_array_foreach(json_object_get(risk, "features"), i, f)
    {
        double value = json_num(f, "value", 0);
        if (known_from(json_str(f, "name", "")) > now)
            value = now == OF_QUESTION ? of_question(trace, f) : 0;
        double part = json_num(f, "weight", 0) * value;
        json_put(f, "value", json_real(value));
        json_put(f, "part", json_real(part));
        safe *= 1 - part;
    }
    json_put(risk, "score", json_real(1 - safe));
    json_put(risk, "person", json_false());
    if (now == OF_QUESTION) /* the way is chosen when the sources are there */
        json_puts(risk, "route", "");
}

json_t *trace_at(const json_t *trace, double ms)
{
    json_t *t = json_deep_copy(trace);
    double end = end_of(trace);
    json_put(t, "replay_end", json_real(end));
    json_put(t, "replay_ms", json_real(ms));
    if (ms >= end)
        return t;
    json_puts(t, "state", "running");
    json_puts(t, "error", "");
    json_puts(t, "answer", "");
    json_put(t, "elapsed_ms", json_real(ms));
    json_put(t, "verdict", json_null());
    json_put(t, "usage", json_null());
    json_put(t, "entries", json_array());
    json_object_del(t, "grounding");
    json_object_del(t, "withheld");
    bool looked = past(trace, "look", ms);
    if (!looked)
        json_put(t, "sources", json_array());
    if (!looked)
        json_object_del(t, "injections");
    if (!past(trace, "critique", ms))
        json_put(t, "critiques", json_array());
    bool compared = past(trace, "compare", ms) || past(trace, "vote", ms);
    risk_at(trace, t, looked ? compared ? OF_ANSWERS : OF_SOURCES : OF_QUESTION);
    candidates_at(trace, t, ms, compared);
    nodes_at(t, ms);
    path_at(t, ms);
    stages_at(t, ms);
    return t;
}

/* ---- going through it */

static void show(struct trace_replay *r)
{
    json_decref(r->shown);
    r->shown = trace_at(r->whole, r->at);
    tui_dirty();
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void find_points(struct trace_replay *r)
{
    const json_t *nodes = json_object_get(r->whole, "nodes"), *n;
    size_t i, kept = 0;
    r->points = xcalloc(2 * json_array_size(nodes) + 2, sizeof(*r->points));
    r->points[r->count++] = 0;
    r->points[r->count++] = end_of(r->whole);
    json_array_foreach((json_t *)nodes, i, n)
    {
        double began = json_num(n, "began_ms", -1);
        if (began < 0)
            continue;
        r->points[r->count++] = began;
        r->points[r->count++] = began + json_num(n, "elapsed_ms", 0);
    }
    qsort(r->points, r->count, sizeof(*r->points), by_value);
    for (i = 0; i < r->count; i++)
        if (!kept || r->points[i] > r->points[kept - 1])
            r->points[kept++] = r->points[i];
    r->count = kept;
}

void trace_replay_begin(struct trace_replay *r, const json_t *trace)
{
    trace_replay_end(r);
    r->whole = json_deep_copy(trace);
    r->speed = 1;
    while (end_of(trace) / r->speed < LEAST_MS && r->speed * SLOWEST > 1)
        r->speed /= 2;
    find_points(r);
    show(r);
}

void trace_replay_end(struct trace_replay *r)
{
    json_decref(r->whole);
    json_decref(r->shown);
    free(r->points);
    *r = (struct trace_replay){0};
}

void trace_replay_play(struct trace_replay *r, bool play)
{
    if (play && r->at >= end_of(r->whole))
        r->at = 0;
    r->ticked = play ? clock_mono_ms() : 0;
    show(r);
}

void trace_replay_speed(struct trace_replay *r, double factor)
{
    double speed = r->speed * factor;
    if (speed * SLOWEST >= 1 && speed <= FASTEST)
        r->speed = speed;
    tui_dirty();
}

void trace_replay_step(struct trace_replay *r, int way)
{
    double to = r->at;
    for (size_t i = 0; i < r->count; i++) {
        size_t k = way > 0 ? i : r->count - 1 - i;
        if (way > 0 ? r->points[k] > r->at : r->points[k] < r->at) {
            to = r->points[k];
            break;
        }
    }
    r->at = to;
    r->ticked = 0;
    show(r);
}

bool trace_replay_tick(struct trace_replay *r)
{
    if (!r->ticked)
        return false;
    uint64_t now = clock_mono_ms();
    double end = end_of(r->whole);
    r->at += (double)(now - r->ticked) * r->speed;
    r->ticked = now;
    if (r->at >= end) {
        r->at = end;
        r->ticked = 0;
    } else {
        tui_dirty_in(FRAME_MS);
    }
    json_decref(r->shown);
    r->shown = trace_at(r->whole, r->at);
    return true;
}

void trace_replay_draw(const struct trace_replay *r, struct tui_area line)
{
    double end = end_of(r->whole);
    char at[16], whole[16], speed[24];
    size_t step = 0;
    for (size_t i = 0; i < r->count; i++)
        step += r->points[i] <= r->at;
    tui_duration(r->at, at);
    tui_duration(end, whole);
    if (r->speed < 1)
        snprintf(speed, sizeof(speed), "1/%.0f", 1 / r->speed);
    else
        snprintf(speed, sizeof(speed), "%.0f", r->speed);
    int x =
        tui_put(line, 0, 0, -1, ROLE_ACCENT, tui_glyph(r->ticked ? GLYPH_RUNNING : GLYPH_STOPPED));
    x += 1 + tui_put(line, 0, x + 1, -1, ROLE_STRONG, _("replay"));
    x += 1 + tui_putf(line, 0, x + 1, -1, ROLE_TEXT, _("%s of %s"), at, whole);
    x += 2 + tui_putf(line, 0, x + 2, -1, ROLE_DIM, _("step %zu of %zu"), step, r->count);
    if (line.width - x > 22)
        x += 2 + tui_putf(line, 0, x + 2, -1, ROLE_DIM, _("speed %s"), speed);
    if (line.width - x > 12)
        tui_bar(line, 0, x + 2, line.width - x - 4, ROLE_ACCENT, r->at / end);
}
