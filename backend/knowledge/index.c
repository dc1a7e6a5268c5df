/* The index: chunks, their stems, BM25.
 *
 * Invariants
 * X1 While it is built (build is set) one thread owns it; after know__finish nothing changes it.
 * X2 The chunks of a file stand together, and postings of a stem are in the order of chunks. */
#include "backend/knowledge/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNKS_MAX = 100000,
    BYTES_MAX = 256 << 20,
    TITLE_WEIGHT = 3, /* a word of the title or tags counts as so many of the text */
    HEADING_WEIGHT = 2,
};
/* Robertson, Zaragoza (2009): The Probabilistic Relevance Framework, 3.4. */
static const double K1 = 1.2, B = 0.75;
/* The whole document's BM25 is added to its chunks' with this weight: a question describes
 * symptoms, the answer stands in another section of the same document. */
static const double FILE_WEIGHT = 0.6;
/* A word of the same idea instead of the word itself. */
static const double SYNONYM_WEIGHT = 0.3;

struct know__build {
    struct know__stemmer stemmer;
    struct know__map words; /* every distinct word is stemmed once */
    uint32_t *stem_of;      /* by word; KNOW__NONE: a stop word */
    size_t stem_of_cap;
    float *tf; /* by stem, of the chunk at hand */
    size_t tf_cap;
    uint32_t *touched; /* stems with tf > 0 */
    size_t touched_len, touched_cap;
};

struct know *know__begin(void)
{
    struct know *k = xcalloc(1, sizeof *k);
    k->build = xcalloc(1, sizeof *k->build);
    know__stemmer_init(&k->build->stemmer);
    know__ideas_init(&k->ideas, &k->build->stemmer);
    return k;
}

static void build_free(struct know__build *b)
{
    if (b == NULL)
        return;
    know__stemmer_release(&b->stemmer);
    know__map_release(&b->words);
    free(b->stem_of);
    free(b->tf);
    free(b->touched);
    free(b);
}

struct tally {
    struct know *k;
    float weight;
};

static uint32_t stem_of_word(struct know *k, const char *word, size_t len, enum know__script script)
{
    struct know__build *b = k->build;
    size_t known = b->words.count;
    uint32_t id = know__map_put(&b->words, word, len);
    if (id < known)
        return b->stem_of[id];
    if (b->words.count > b->stem_of_cap) {
        b->stem_of_cap = b->words.count * 2;
        b->stem_of = xrealloc(b->stem_of, b->stem_of_cap * sizeof *b->stem_of);
    }
    b->stem_of[id] = KNOW__NONE;
    if (!know__is_stop(word, len)) {
        size_t n;
        const char *stem = know__stem(&b->stemmer, word, len, script, &n);
        b->stem_of[id] = know__map_put(&k->stems, stem, n);
    }
    return b->stem_of[id];
}

static void tally_word(void *arg, const char *word, size_t len, enum know__script script)
{
    struct tally *t = arg;
    struct know__build *b = t->k->build;
    uint32_t stem = stem_of_word(t->k, word, len, script);
    if (stem == KNOW__NONE)
        return;
    if (stem >= b->tf_cap) {
        size_t cap = ((size_t)stem + 1) * 2;
        b->tf = xrealloc(b->tf, cap * sizeof *b->tf);
        memset(b->tf + b->tf_cap, 0, (cap - b->tf_cap) * sizeof *b->tf);
        b->tf_cap = cap;
    }
    if (b->tf[stem] == 0) {
        if (b->touched_len == b->touched_cap) {
            b->touched_cap = b->touched_cap == 0 ? 256 : b->touched_cap * 2;
            b->touched = xrealloc(b->touched, b->touched_cap * sizeof *b->touched);
        }
        b->touched[b->touched_len++] = stem;
    }
    b->tf[stem] += t->weight;
}

static void tally(struct know *k, const char *text, float weight)
{
    struct tally t = {k, weight};
    if (text != NULL)
        know__words(text, strlen(text), tally_word, &t);
}

/* Moves the tallied stems to counts; returns their weighted number. */
static float flush_tally(struct know *k)
{
    struct know__build *b = k->build;
    float length = 0;
    if (k->count_len + b->touched_len > k->count_cap) {
        k->count_cap = (k->count_len + b->touched_len) * 2;
        k->counts = xrealloc(k->counts, k->count_cap * sizeof *k->counts);
    }
    for (size_t i = 0; i < b->touched_len; i++) {
        uint32_t stem = b->touched[i];
        k->counts[k->count_len++] = (struct know__count){stem, b->tf[stem]};
        length += b->tf[stem];
        b->tf[stem] = 0;
    }
    b->touched_len = 0;
    return length;
}

/* Most lines that are not blank, and two at least, hold code between backquotes or fences. */
static bool holds_commands(const char *text)
{
    size_t lines = 0, code = 0;
    bool fenced = false;
    for (const char *s = text; *s != '\0'; s += *s == '\n') {
        size_t len = strcspn(s, "\n");
        bool fence = strncmp(s, "```", 3) == 0;
        fenced = fence ? !fenced : fenced;
        lines += len > 0;
        code += len > 0 && (fenced || memchr(s, '`', len) != NULL);
        s += len;
    }
    return code >= 2 && code * 2 > lines;
}

static void add_chunk(struct know *k, const struct know__document *d, struct know__section *section)
{
    if (k->chunk_count == k->chunk_cap) {
        k->chunk_cap = k->chunk_cap == 0 ? 256 : k->chunk_cap * 2;
        k->chunks = xrealloc(k->chunks, k->chunk_cap * sizeof *k->chunks);
        k->count_start = xrealloc(k->count_start, (k->chunk_cap + 1) * sizeof *k->count_start);
    }
    tally(k, d->title, TITLE_WEIGHT);
    tally(k, d->tags, TITLE_WEIGHT);
    tally(k, section->heading, HEADING_WEIGHT);
    tally(k, section->text, 1);
    struct know__chunk *c = &k->chunks[k->chunk_count];
    k->count_start[k->chunk_count++] = k->count_len;
    c->file = (uint32_t)k->file_count;
    c->heading = section->heading[0] == '\0' ? xstrdup(d->title)
                                             : xasprintf("%s > %s", d->title, section->heading);
    c->text = section->text; /* taken over */
    section->text = NULL;
    c->commands = holds_commands(c->text);
    c->length = flush_tally(k);
    k->count_start[k->chunk_count] = k->count_len;
}

bool know__stopped(const struct know *k)
{
    return k->stop && __atomic_load_n(k->stop, __ATOMIC_RELAXED);
}

bool know__add(struct know *k, const char *name, const char *bytes, size_t len)
{
    if (k->bytes + len > BYTES_MAX || know__stopped(k))
        return false;
    struct know__document d;
    know__document_parse(&d, name, bytes, len);
    bool fits = k->chunk_count + d.count <= CHUNKS_MAX;
    if (fits && d.count > 0) {
        if (k->file_count == k->file_cap) {
            k->file_cap = k->file_cap == 0 ? 64 : k->file_cap * 2;
            k->files = xrealloc(k->files, k->file_cap * sizeof *k->files);
        }
        struct know__file *f = &k->files[k->file_count];
        *f = (struct know__file){.name = xstrdup(name), .title = xstrdup(d.title)};
        memcpy(f->lang, d.lang, sizeof f->lang);
        f->first = (uint32_t)k->chunk_count;
        f->chunks = (uint32_t)d.count;
        for (size_t i = 0; i < d.count; i++)
            add_chunk(k, &d, &d.sections[i]);
        k->file_count++;
        k->bytes += len;
    }
    know__document_release(&d);
    return fits;
}

static void build_postings(struct know *k)
{
    size_t stems = k->stems.count;
    k->posting_start = xcalloc(stems + 2, sizeof *k->posting_start);
    k->postings = xcalloc(k->count_len + 1, sizeof *k->postings);
    size_t *start = k->posting_start + 1; /* one ahead: filling moves each start to its end */
    for (size_t i = 0; i < k->count_len; i++)
        start[k->counts[i].stem + 1]++;
    for (size_t s = 1; s <= stems; s++)
        start[s] += start[s - 1];
    for (size_t c = 0; c < k->chunk_count; c++)
        for (size_t i = k->count_start[c]; i < k->count_start[c + 1]; i++)
            k->postings[start[k->counts[i].stem]++] =
                (struct know__posting){(uint32_t)c, k->counts[i].tf};
}

void know__finish(struct know *k)
{
    build_postings(k);
    k->idf = xcalloc(k->stems.count + 1, sizeof *k->idf);
    for (size_t s = 0; s < k->stems.count; s++) {
        double df = (double)(k->posting_start[s + 1] - k->posting_start[s]);
        k->idf[s] = (float)log(1 + ((double)k->chunk_count - df + 0.5) / (df + 0.5));
    }
    double total = 0;
    for (size_t c = 0; c < k->chunk_count; c++)
        total += k->chunks[c].length;
    k->mean_chunk = k->chunk_count == 0 ? 1 : total / (double)k->chunk_count;
    k->mean_file = k->file_count == 0 ? 1 : total / (double)k->file_count;
    know__vector_build(k);
    free(k->counts);
    free(k->count_start);
    k->counts = NULL;
    k->count_start = NULL;
    build_free(k->build);
    k->build = NULL;
    k->stop = NULL;
}

float know__idf(const struct know *k, const char *stem, size_t len)
{
    if (k == NULL)
        return 1;
    uint32_t id = know__map_find(&k->stems, stem, len);
    return id == KNOW__NONE ? (float)log(1 + ((double)k->chunk_count + 0.5) / 0.5) : k->idf[id];
}

struct query {
    const struct know *k;
    struct know__map seen;
    double *chunk, *file; /* of one word of the question */
    double *chunk_sum, *file_sum;
};

static double bm25(double idf, double tf, double length, double mean)
{
    return idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * length / mean));
}

static double file_length(const struct know *k, const struct know__file *f)
{
    double length = 0;
    for (uint32_t c = f->first; c < f->first + f->chunks; c++)
        length += k->chunks[c].length;
    return length;
}

/* Raises the scores of one question word by a stem that stands for it. */
static void score_stem(struct query *q, const char *stem, size_t len, double weight)
{
    const struct know *k = q->k;
    uint32_t id = know__map_find(&k->stems, stem, len);
    if (id == KNOW__NONE)
        return;
    double idf = k->idf[id] * weight;
    const struct know__posting *p = k->postings + k->posting_start[id];
    const struct know__posting *end = k->postings + k->posting_start[id + 1];
    while (p < end) {
        uint32_t file = k->chunks[p->chunk].file;
        double tf = 0;
        for (; p < end && k->chunks[p->chunk].file == file; p++) {
            double s = bm25(idf, p->tf, k->chunks[p->chunk].length, k->mean_chunk);
            if (s > q->chunk[p->chunk])
                q->chunk[p->chunk] = s;
            tf += p->tf;
        }
        double s = bm25(idf, tf, file_length(k, &k->files[file]), k->mean_file);
        if (s > q->file[file])
            q->file[file] = s;
    }
}

static void score_word(void *arg, const char *stem, size_t len)
{
    struct query *q = arg;
    const struct know *k = q->k;
    size_t known = q->seen.count;
    if (know__map_put(&q->seen, stem, len) < known)
        return;
    memset(q->chunk, 0, k->chunk_count * sizeof *q->chunk);
    memset(q->file, 0, k->file_count * sizeof *q->file);
    const int16_t *ideas = know__ideas_of(&k->ideas, stem, len);
    for (int i = 0; ideas != NULL && i < KNOW__IDEAS_PER_STEM && ideas[i] >= 0; i++) {
        for (const uint32_t *m = k->ideas.members[ideas[i]]; *m != KNOW__NONE; m++) {
            size_t n;
            const char *other = know__map_name(&k->ideas.stems, *m, &n);
            score_stem(q, other, n, SYNONYM_WEIGHT);
        }
    }
    score_stem(q, stem, len, 1);
    for (size_t c = 0; c < k->chunk_count; c++)
        q->chunk_sum[c] += q->chunk[c];
    for (size_t f = 0; f < k->file_count; f++)
        q->file_sum[f] += q->file[f];
}

void know__lexical(const struct know *k, const char *question, double *scores)
{
    struct query q = {.k = k, .chunk_sum = scores};
    q.chunk = xcalloc(k->chunk_count + 1, sizeof *q.chunk);
    q.file = xcalloc(k->file_count + 1, sizeof *q.file);
    q.file_sum = xcalloc(k->file_count + 1, sizeof *q.file_sum);
    struct know__stemmer stemmer;
    know__stemmer_init(&stemmer);
    know__stems(&stemmer, question, strlen(question), score_word, &q);
    know__stemmer_release(&stemmer);
    for (size_t c = 0; c < k->chunk_count; c++)
        if (scores[c] > 0)
            scores[c] += FILE_WEIGHT * q.file_sum[k->chunks[c].file];
    free(q.chunk);
    free(q.file);
    free(q.file_sum);
    know__map_release(&q.seen);
}

void know_free(struct know *k)
{
    if (k == NULL)
        return;
    build_free(k->build);
    for (size_t f = 0; f < k->file_count; f++) {
        free(k->files[f].name);
        free(k->files[f].title);
    }
    for (size_t c = 0; c < k->chunk_count; c++) {
        free(k->chunks[c].heading);
        free(k->chunks[c].text);
    }
    free(k->files);
    free(k->chunks);
    free(k->counts);
    free(k->count_start);
    free(k->postings);
    free(k->posting_start);
    free(k->idf);
    free(k->chunk_vectors);
    free(k->file_vectors);
    know__map_release(&k->stems);
    know__ideas_release(&k->ideas);
    free(k);
}
