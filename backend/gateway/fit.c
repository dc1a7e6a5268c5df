/* Sources made to fit a model's token budget (spec GW-4): the pieces that say most are kept whole
 * and in their order, the others are left out and counted. Deterministic. */
#include "backend/gateway/fit.h"
#include "backend/base/text.h"
#include "backend/gateway/count.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_MAX = 400, /* bytes; a longer line is cut at a blank */
    CLUSTERED = 256, /* pieces at most */
    CLUSTERS = 16,
    ROUNDS = 4,
    LEAST_TOKENS = 8, /* of a piece that is cut; less says nothing */
    SHRINKS = 40,
    UNITS_NEAR = 2 /* blanks between a number and its unit, and one */
};
static const char MARK[] = "\n[... 9999 of 9999 lines left out]", CUT[] = " [...]";
static const double SHRINK = 0.9, ANSWER_MOST = 0.4; /* of the budget is kept for the answer */

struct piece {
    const char *at;
    size_t len, part;
    double tokens, score;
    int rank; /* 0 anchor, 1 speaks for its cluster, 2 any other, 3 of a part that is aside */
    bool first;
    size_t kept; /* bytes; below len it is cut */
    double takes;
};

struct fitting {
    const struct gw__model *m;
    const struct gw_fit_ask *ask;
    struct piece *at;
    size_t len, cap;
    struct piece **order;
    struct around { /* each part, in tokens */
        double frame, gone;
        const struct piece *best;
        bool marked; /* something of it is kept */
    } * around;
    size_t *parts; /* their indices, those that fit best first */
    double mark;   /* what the line that tells of left out pieces takes */
};

/* ---- pieces */

static size_t piece_end(const char *p)
{
    size_t blank = 0, n = 0;
    for (; p[n] && p[n] != '\n'; n++) {
        if (n >= PIECE_MAX && ((unsigned char)p[n] & 0xc0) != 0x80)
            return blank ? blank : n;
        if (p[n] != ' ')
            continue;
        blank = n + 1;
        if (n && strchr(".!?", p[n - 1]))
            return n + 1;
    }
    return p[n] ? n + 1 : n;
}

static bool has_error_word(const char *line)
{
    static const char *const words[] = {"error",  "fail",  "fatal",   "panic",   "critical",
                                        "denied", "warn",  "refused", "timeout", "ошиб",
                                        "сбой",   "отказ", "предупр", "критич"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(line, words[i]))
            return true;
    return false;
}

static bool has_measure(const char *line)
{
    static const char *const units[] = {"%",   "ms",  "s ", "kb", "mb", "gb", "tb", "kib",
                                        "mib", "gib", "°",  "мс", "кб", "мб", "гб", "тб"};
    for (const char *p = line; (p = strpbrk(p, "0123456789"));) {
        p += strspn(p, "0123456789.,");
        const char *unit = p + strspn(p, " ");
        for (size_t i = 0; unit - p < UNITS_NEAR && i < sizeof units / sizeof *units; i++)
            if (strncmp(unit, units[i], strlen(units[i])) == 0)
                return true;
    }
    return false;
}

static void judge(struct piece *p, const struct gw__lexicon *x, const struct gw__words *asked,
                  const struct gw_fit_part *part)
{
    struct gw__words words = {0};
    char *line = xstrndup(p->at, p->len);
    gw__words_of(x, line, &words);
    double shared = (double)gw__words_common(asked, &words);
    p->score = part->fit + (asked->len ? 2 * shared / (double)asked->len : 0);
    for (char *c = line; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
    bool error = has_error_word(line);
    p->rank = part->aside ? 3 : p->first || error || has_measure(line) ? 0 : 2;
    p->score += (p->first ? 1 : 0) + (error ? 1 : 0);
    gw__words_release(&words);
    free(line);
}

static void split(struct fitting *f)
{
    struct gw__lexicon x;
    struct gw__words asked = {0};
    gw__lexicon_init(&x);
    gw__words_of(&x, f->ask->question, &asked);
    for (size_t i = 0; i < f->ask->part_count; i++) {
        const char *text = f->ask->parts[i].text;
        for (const char *p = text; *p;) {
            if (f->len == f->cap) {
                f->cap = f->cap ? f->cap * 2 : 64;
                f->at = xrealloc(f->at, f->cap * sizeof *f->at);
            }
            struct piece *new = &f->at[f->len++];
            *new = (struct piece){.at = p, .len = piece_end(p), .part = i, .first = p == text};
            new->tokens = gw__count_text(f->m, p, new->len) + 1; /* a line end, perhaps */
            judge(new, &x, &asked, &f->ask->parts[i]);
            p += new->len;
        }
    }
    gw__words_release(&asked);
    gw__lexicon_release(&x);
}

static int by_worth(const void *a, const void *b)
{
    const struct piece *x = *(struct piece *const *)a, *y = *(struct piece *const *)b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->score > y->score || x->score < y->score)
        return x->score > y->score ? -1 : 1;
    return x < y ? -1 : x > y;
}

static void sort(struct fitting *f)
{
    if (f->len)
        qsort(f->order, f->len, sizeof(struct piece *), by_worth);
}

/* ---- clusters */

struct cluster {
    float center[GW__DIM];
    double best;
    size_t of;
};

/* The cosine of two unit vectors; sums of their own for each lane let it run on several at once. */
static double alike(const float *a, const float *b)
{
    enum { LANES = 8 };
    float sums[LANES] = {0};
    double sum = 0;
    for (size_t i = 0; i < GW__DIM; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += (double)sums[lane];
    return sum;
}

static size_t nearest(const struct cluster *c, size_t k, const float *vector, double *how)
{
    size_t best = 0;
    *how = -2;
    for (size_t i = 0; i < k; i++) {
        double near = alike(c[i].center, vector);
        if (near > *how) {
            *how = near;
            best = i;
        }
    }
    return best;
}

/* The sums need not be divided: all that is asked is which center is the nearest, by direction. */
static void normalise(float *v)
{
    double sum = alike(v, v);
    for (size_t i = 0; sum > 0 && i < GW__DIM; i++)
        v[i] = (float)((double)v[i] / sqrt(sum));
}

static void move_centers(struct cluster *c, size_t k, const float (*vectors)[GW__DIM], size_t n)
{
    struct cluster *next = xcalloc(k, sizeof *next);
    double how;
    for (size_t i = 0; i < n; i++) {
        float *to = next[nearest(c, k, vectors[i], &how)].center;
        for (size_t d = 0; d < GW__DIM; d++)
            to[d] += vectors[i][d];
    }
    for (size_t i = 0; i < k; i++) {
        normalise(next[i].center);
        if (alike(next[i].center, next[i].center) > 0)
            memcpy(c[i].center, next[i].center, sizeof c[i].center);
    }
    free(next);
}

/* Of the best pieces that are no anchors, those nearest to the center of their cluster. */
static void choose_speakers(struct fitting *f)
{
    size_t begin = 0, end, n, k;
    while (begin < f->len && f->order[begin]->rank == 0)
        begin++;
    for (end = begin; end < f->len && f->order[end]->rank == 2;)
        end++;
    n = end - begin < CLUSTERED ? end - begin : CLUSTERED;
    k = n / 4 < CLUSTERS ? n / 4 : CLUSTERS;
    if (!k)
        return;
    float(*vectors)[GW__DIM] = xcalloc(n, sizeof *vectors);
    struct cluster *c = xcalloc(k, sizeof *c);
    for (size_t i = 0; i < n; i++) {
        char *line = xstrndup(f->order[begin + i]->at, f->order[begin + i]->len);
        gw__trigrams(line, vectors[i]);
        free(line);
    }
    for (size_t i = 0; i < k; i++)
        memcpy(c[i].center, vectors[i * n / k], sizeof c[i].center);
    for (int round = 0; round < ROUNDS; round++)
        move_centers(c, k, (const float(*)[GW__DIM])vectors, n);
    for (size_t i = 0; i < n; i++) {
        double how;
        struct cluster *mine = &c[nearest(c, k, vectors[i], &how)];
        if (how + 2 > mine->best) {
            mine->best = how + 2; /* above 0: 0 is none yet */
            mine->of = begin + i;
        }
    }
    for (size_t i = 0; i < k; i++)
        if (c[i].best > 0)
            f->order[c[i].of]->rank = 1;
    free(vectors);
    free(c);
}

/* ---- choosing */

/* What the first piece of a part takes besides itself. */
static double entry_of(const struct fitting *f, size_t part)
{
    return f->around[part].frame - f->around[part].gone + f->mark;
}

/* Keeps a piece, or of one that is longer as much as has room, up to a blank. */
static void keep(struct fitting *f, struct piece *p, double room)
{
    p->kept = p->len;
    p->takes = p->tokens;
    while (p->takes > room && p->kept) {
        size_t most = (size_t)((double)p->kept * SHRINK), end = most;
        while (end && p->at[end] != ' ')
            end--;
        while (!end && most && ((unsigned char)p->at[most] & 0xc0) == 0x80)
            most--;
        p->kept = end ? end : most;
        p->takes =
            gw__count_text(f->m, p->at, p->kept) + gw__count_text(f->m, CUT, sizeof CUT - 1) + 1;
    }
}

/* The best piece of each part, as many parts as have room for something; returns the room left. */
static double choose_best(struct fitting *f, double room)
{
    size_t k = 0;
    double least = 0;
    for (; k < f->ask->part_count; k++) {
        size_t part = f->parts[k];
        if (f->ask->parts[part].aside)
            break;
        least += f->around[part].best ? entry_of(f, part) + LEAST_TOKENS : 0;
        if (least > room)
            break;
    }
    for (size_t i = 0; i < k; i++) {
        struct around *a = &f->around[f->parts[i]];
        struct piece *best = (struct piece *)a->best;
        double share = room / (double)(k - i) - entry_of(f, f->parts[i]);
        if (!best)
            continue;
        keep(f, best, fmax(share, LEAST_TOKENS));
        a->marked = best->kept > 0;
        room -= a->marked ? best->takes + entry_of(f, f->parts[i]) : 0;
    }
    return room;
}

static void choose(struct fitting *f, double room)
{
    for (size_t i = 0; i < f->len; i++) {
        f->at[i].kept = 0;
        f->at[i].takes = 0;
    }
    for (size_t part = 0; part < f->ask->part_count; part++) {
        f->around[part].marked = false;
        room -= f->around[part].gone;
    }
    room = choose_best(f, room);
    for (size_t i = 0; i < f->len; i++) {
        struct piece *p = f->order[i];
        struct around *a = &f->around[p->part];
        double more = p->tokens - p->takes + (a->marked ? 0 : entry_of(f, p->part));
        if (p->kept == p->len || more > room)
            continue;
        room -= more;
        p->kept = p->len;
        a->marked = true;
    }
}

static double write_parts(const struct fitting *f, char **texts)
{
    double tokens = 0;
    for (size_t part = 0, i = 0; part < f->ask->part_count; part++) {
        struct buf text = {0};
        size_t gone = 0, all = 0;
        for (; i < f->len && f->at[i].part == part; i++, all++) {
            const struct piece *p = &f->at[i];
            gone += p->kept < p->len;
            if (!p->kept)
                continue;
            if (text.len && text.data[text.len - 1] != '\n' && f->at[i - 1].kept < f->at[i - 1].len)
                buf_addc(&text, '\n');
            buf_add(&text, p->at, p->kept);
            if (p->kept < p->len)
                buf_adds(&text, CUT);
        }
        if (gone && text.len)
            buf_addf(&text, "%s[... %zu of %zu lines left out]",
                     text.data[text.len - 1] == '\n' ? "" : "\n", gone, all);
        tokens += gw__count_text(f->m, text.data, text.len) +
                  (text.len ? f->around[part].frame : f->around[part].gone);
        free(texts[part]);
        texts[part] = text.len ? buf_take(&text) : xstrdup("");
    }
    return tokens;
}

/* The best piece of each part, and the parts by how well they fit. */
static void order_parts(struct fitting *f)
{
    const struct gw_fit_part *parts = f->ask->parts;
    for (size_t i = 0; i < f->len; i++) {
        const struct piece **best = &f->around[f->at[i].part].best;
        if (!*best || f->at[i].score > (*best)->score)
            *best = &f->at[i];
    }
    for (size_t i = 0; i < f->ask->part_count; i++) {
        size_t at = i; /* few parts, and equal ones stay in their order */
        for (; at && (parts[i].aside < parts[f->parts[at - 1]].aside ||
                      (parts[i].aside == parts[f->parts[at - 1]].aside &&
                       parts[i].fit > parts[f->parts[at - 1]].fit));
             at--)
            f->parts[at] = f->parts[at - 1];
        f->parts[at] = i;
    }
}

static double shorten(struct fitting *f, double room, char **texts)
{
    double after = 0, share = room;
    split(f);
    f->order = xcalloc(f->len + 1, sizeof(struct piece *));
    for (size_t i = 0; i < f->len; i++)
        f->order[i] = &f->at[i];
    sort(f);
    choose_speakers(f);
    sort(f);
    order_parts(f);
    for (int i = 0; i < SHRINKS; i++, share *= SHRINK) {
        choose(f, share);
        after = write_parts(f, texts);
        if (after <= room)
            break;
    }
    return after;
}

static void add_range(json_t *to, size_t begin, size_t end)
{
    json_t *range = json_array();
    json_array_append_new(range, json_integer((json_int_t)begin));
    json_array_append_new(range, json_integer((json_int_t)(end - begin)));
    json_array_append_new(to, range);
}

/* [[offset, bytes]] of what is kept of a text by its pieces. */
static json_t *ranges(const struct piece *p, size_t count, const char *text)
{
    json_t *all = json_array();
    size_t begin = 0, end = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)(p[i].at - text);
        if (!p[i].kept)
            continue;
        if (at != end && end > begin)
            add_range(all, begin, end);
        begin = at != end ? at : begin;
        end = at + p[i].kept;
    }
    if (end > begin)
        add_range(all, begin, end);
    return all;
}

static json_t *told(const struct fitting *f, const double *before, char *const *texts)
{
    json_t *parts = json_array();
    for (size_t part = 0, i = 0; part < f->ask->part_count; part++) {
        int64_t gone = 0;
        size_t first = i;
        for (; i < f->len && f->at[i].part == part; i++)
            gone += f->at[i].kept < f->at[i].len;
        json_t *row = json_object();
        json_puts(row, "id", f->ask->parts[part].id);
        json_puti(row, "before", (int64_t)ceil(before[part]));
        json_puti(row, "after",
                  (int64_t)ceil(gw__count_text(f->m, texts[part], strlen(texts[part]))));
        json_puti(row, "dropped", gone);
        if (gone)
            json_put(row, "kept", ranges(&f->at[first], i - first, f->ask->parts[part].text));
        json_array_append_new(parts, row);
    }
    return parts;
}

static double around_messages(const struct gw__model *m, size_t messages)
{
    struct gw__features f = {.count = {0}};
    f.count[GW__F_REQUEST] = 1;
    f.count[GW__F_MESSAGE] = (double)messages;
    return gw__learner_tokens(gw__count_ranks(m) ? &m->count->template : &m->count->text, &f);
}

static double count(const struct gw__model *m, const char *text)
{
    return text ? gw__count_text(m, text, strlen(text)) : 0;
}

/* What the input may take beside the answer. */
struct room {
    double forecast, margin, input;
};

static struct room room_of(const struct gw__model *m, int64_t max_output)
{
    int64_t limit = max_output > 0 ? max_output : m->pub.token_budget;
    struct room r = {.forecast = gw__forecast_output(&m->count->forecast, limit),
                     .margin = gw__forecast_margin(&m->count->forecast)};
    double budget = (double)m->pub.token_budget;
    double answer = fmin(r.forecast * (1 + r.margin), budget * ANSWER_MOST);
    r.input = (budget - answer) / (1 + gw__count_error(m));
    return r;
}

bool gw_has_room(const struct gw *g, const char *model, const struct gw_request *r)
{
    const struct gw__model *m = gw__find(g, model);
    return !m || m->pub.builtin ||
           (double)gw__input_estimate(m, r) <= room_of(m, r->max_output_tokens).input;
}

json_t *gw_fit(const struct gw *g, const struct gw_fit_ask *a, char **texts)
{
    const struct gw__model *m = gw__find(g, a->model);
    if (!m || m->pub.builtin)
        return NULL;
    struct fitting f = {.m = m, .ask = a};
    double *before = xcalloc(a->part_count + 1, sizeof *before), all = 0, after;
    f.around = xcalloc(a->part_count + 1, sizeof *f.around);
    f.parts = xcalloc(a->part_count + 1, sizeof *f.parts);
    f.mark = count(m, MARK);
    const struct room whole = room_of(m, a->max_output);
    double fixed = count(m, a->fixed) + around_messages(m, 2);
    double room = fmax(0, whole.input - fixed);
    for (size_t i = 0; i < a->part_count; i++) {
        before[i] = count(m, a->parts[i].text);
        f.around[i].frame = count(m, a->parts[i].frame);
        f.around[i].gone = count(m, a->parts[i].gone);
        all += *a->parts[i].text ? before[i] + f.around[i].frame : f.around[i].gone;
        texts[i] = xstrdup(a->parts[i].text);
    }
    after = all > room ? shorten(&f, room, texts) : all;
    int64_t kept = 0;
    for (size_t i = 0; i < f.len; i++)
        kept += f.at[i].kept == f.at[i].len;
    json_t *report = json_object();
    json_puti(report, "budget", m->pub.token_budget);
    json_puti(report, "forecast", (int64_t)ceil(whole.forecast));
    json_put(report, "margin", json_real(whole.margin));
    json_puti(report, "fixed", (int64_t)ceil(fixed));
    json_puti(report, "before", (int64_t)ceil(all));
    json_puti(report, "after", (int64_t)ceil(after));
    json_puti(report, "kept", kept);
    json_puti(report, "dropped", (int64_t)f.len - kept);
    json_put(report, "parts", told(&f, before, texts));
    free(before);
    free(f.around);
    free(f.parts);
    free(f.order);
    free(f.at);
    return report;
}
