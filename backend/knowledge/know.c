/* Building the index, searching it, fitting descriptions to a question. */
#include "backend/knowledge/internal.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Passages below this cosine are noise of the hashing: two unrelated texts have a cosine of about
 * 0 +- 1/sqrt(KNOW_DIM), so this is five times that. */
static const double COSINE_FLOOR = 0.12;
/* Who asks wants to act: a section of commands counts so much more than one that only describes,
 * which is shorter and therefore ranks before it otherwise. */
static const double COMMANDS_FACTOR = 1.3;
/* A passage in the wanted language that scores below this share of the best one does not fit. */
static const double LANGUAGE_SHARE = 0.5;
/* What a word of the same idea, and of a thing that goes with it, is worth against the word itself.
 */
static const double SAME_IDEA = 0.85, RELATED_IDEA = 0.4;
/* How much of a met word's worth depends on its place in the description. */
static const double PLACE_SHARE = 0.35;

struct know *know_new(const struct embed_file *builtin, const char *folder, const bool *stop,
                      struct error *e)
{
    struct know *k = know__begin();
    k->stop = stop;
    for (const struct embed_file *f = builtin; f != NULL && f->name != NULL; f++) {
        static const char top[] = "backend/knowledge/";
        const char *name = f->name;
        if (strncmp(name, top, sizeof top - 1) == 0)
            name += sizeof top - 1;
        know__add(k, name, f->data, f->size);
    }
    if (folder != NULL && folder[0] != '\0')
        know__add_folder(k, folder, e);
    know__finish(k);
    return k;
}

size_t know_documents(const struct know *k)
{
    return k->file_count;
}

size_t know_chunks(const struct know *k)
{
    return k->chunk_count;
}

struct hit {
    double score;
    uint32_t chunk;
};

static int best_first(const void *a, const void *b)
{
    const struct hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static const struct know__file *file_of(const struct know *k, uint32_t chunk)
{
    return &k->files[k->chunks[chunk].file];
}

/* Keeps the hits of the language if the best of them fits. */
static size_t prefer_language(const struct know *k, struct hit *hits, size_t n, const char *lang)
{
    double best = 0, best_in = 0;
    for (size_t i = 0; i < n; i++) {
        if (hits[i].score > best)
            best = hits[i].score;
        if (hits[i].score > best_in && strcmp(file_of(k, hits[i].chunk)->lang, lang) == 0)
            best_in = hits[i].score;
    }
    if (best_in <= 0 || best_in < LANGUAGE_SHARE * best)
        return n;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(file_of(k, hits[i].chunk)->lang, lang) == 0)
            hits[kept++] = hits[i];
    return kept;
}

static struct know_passage passage_of(const struct know *k, uint32_t chunk, double score)
{
    const struct know__chunk *c = &k->chunks[chunk];
    const struct know__file *f = file_of(k, chunk);
    return (struct know_passage){.document = f->name,
                                 .title = f->title,
                                 .heading = c->heading,
                                 .text = c->text,
                                 .lang = f->lang,
                                 .id = chunk,
                                 .score = score};
}

size_t know__best(const struct know *k, const double *scores, double floor, const char *lang,
                  struct know_passage *out, size_t max)
{
    struct hit *hits = xcalloc(k->chunk_count + 1, sizeof *hits);
    size_t n = 0;
    for (uint32_t c = 0; c < k->chunk_count; c++) {
        double factor = k->chunks[c].commands ? COMMANDS_FACTOR : 1;
        if (scores[c] > floor)
            hits[n++] = (struct hit){scores[c] * factor, c};
    }
    if (lang != NULL)
        n = prefer_language(k, hits, n, lang);
    qsort(hits, n, sizeof *hits, best_first);
    if (n > max)
        n = max;
    for (size_t i = 0; i < n; i++)
        out[i] = passage_of(k, hits[i].chunk, hits[i].score);
    free(hits);
    return n;
}

size_t know_search(const struct know *k, enum know_way way, const char *question, const char *lang,
                   struct know_passage *out, size_t max)
{
    double *scores = xcalloc(k->chunk_count + 1, sizeof *scores);
    if (way == KNOW_LEXICAL)
        know__lexical(k, question, scores);
    else
        know__vector_scores(k, question, scores);
    size_t n = know__best(k, scores, way == KNOW_LEXICAL ? 0 : COSINE_FLOOR, lang, out, max);
    free(scores);
    return n;
}

size_t know_steps(const struct know *k, unsigned id, struct know_passage *out, size_t max)
{
    BUG_IF(id >= k->chunk_count);
    const struct know__file *f = file_of(k, id);
    size_t n = 0;
    for (uint32_t c = f->first; c < f->first + f->chunks && n < max; c++) {
        if (k->chunks[c].commands)
            out[n++] = passage_of(k, c, 0);
    }
    return n;
}

static bool file_has(const struct know *k, const struct know__file *f, const char *stem, size_t len)
{
    uint32_t id = know__map_find(&k->stems, stem, len);
    if (id == KNOW__NONE)
        return false;
    for (size_t i = k->posting_start[id]; i < k->posting_start[id + 1]; i++) {
        if (k->postings[i].chunk >= f->first && k->postings[i].chunk < f->first + f->chunks)
            return true;
    }
    return false;
}

static bool file_has_idea(const struct know *k, const struct know__file *f, const char *stem,
                          size_t len)
{
    const int16_t *same = know__ideas_of(&k->ideas, stem, len);
    for (int i = 0; same != NULL && i < KNOW__IDEAS_PER_STEM && same[i] >= 0; i++) {
        for (const uint32_t *m = k->ideas.members[same[i]]; *m != KNOW__NONE; m++) {
            size_t n;
            const char *name = know__map_name(&k->ideas.stems, *m, &n);
            if (file_has(k, f, name, n))
                return true;
        }
    }
    return false;
}

struct cover {
    const struct know *k;
    const struct know__file *file;
    double met, all;
};

static void cover_stem(void *arg, const char *stem, size_t len)
{
    struct cover *c = arg;
    double idf = know__idf(c->k, stem, len);
    c->all += idf;
    if (file_has(c->k, c->file, stem, len))
        c->met += idf;
    else if (file_has_idea(c->k, c->file, stem, len))
        c->met += SAME_IDEA * idf;
}

double know_cover(const struct know *k, const char *question, unsigned id)
{
    BUG_IF(id >= k->chunk_count);
    struct know__stemmer stemmer;
    struct cover c = {.k = k, .file = file_of(k, id)};
    know__stemmer_init(&stemmer);
    know__stems(&stemmer, question, strlen(question), cover_stem, &c);
    know__stemmer_release(&stemmer);
    return c.all > 0 ? c.met / c.all : 0;
}

static void map_stem(void *arg, const char *stem, size_t len)
{
    know__map_put(arg, stem, len);
}

/* Where one of the stems first stands among the description's distinct stems, or KNOW__NONE. */
static uint32_t first_of(const struct know__ideas *ideas, const uint32_t *list,
                         const struct know__map *description)
{
    uint32_t first = KNOW__NONE;
    for (; *list != KNOW__NONE; list++) {
        size_t len;
        const char *stem = know__map_name(&ideas->stems, *list, &len);
        uint32_t at = know__map_find(description, stem, len);
        first = at < first ? at : first;
    }
    return first;
}

/* A met stem's worth: descriptions name their main subject first, so an early one is worth more. */
static double worth(double value, uint32_t at)
{
    return at == KNOW__NONE ? 0 : value * (1 - PLACE_SHARE + PLACE_SHARE / (1 + at / 8.0));
}

/* How well one stem of the question is met by the description's stems, 0..1. */
static double met_by(const struct know__ideas *ideas, const char *stem, size_t len,
                     const struct know__map *description)
{
    double best = worth(1, know__map_find(description, stem, len));
    const int16_t *same = know__ideas_of(ideas, stem, len);
    for (int i = 0; same != NULL && i < KNOW__IDEAS_PER_STEM && same[i] >= 0; i++) {
        double idea = worth(SAME_IDEA, first_of(ideas, ideas->members[same[i]], description));
        double near = worth(RELATED_IDEA, first_of(ideas, ideas->related[same[i]], description));
        best = idea > best ? idea : best;
        best = near > best ? near : best;
    }
    return best;
}

static bool is_number(const char *stem, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (stem[i] < '0' || stem[i] > '9')
            return false;
    }
    return true;
}

/* IDF of a stem; one that no document has weighs as the commonest word of its idea. */
static double weight_of(const struct know *k, const struct know__ideas *ideas, const char *stem,
                        size_t len)
{
    double least = know__idf(k, stem, len);
    if (k == NULL || know__map_find(&k->stems, stem, len) != KNOW__NONE)
        return least;
    const int16_t *same = know__ideas_of(ideas, stem, len);
    for (int i = 0; same != NULL && i < KNOW__IDEAS_PER_STEM && same[i] >= 0; i++) {
        for (const uint32_t *m = ideas->members[same[i]]; *m != KNOW__NONE; m++) {
            size_t n;
            const char *name = know__map_name(&ideas->stems, *m, &n);
            least = fmin(least, know__idf(k, name, n));
        }
    }
    return least;
}

static void fit_lexical(const struct know *k, const struct know__ideas *ideas,
                        struct know__stemmer *stemmer, const char *question,
                        const char *const *descriptions, size_t n, double *out)
{
    struct know__map asked = {0};
    know__stems(stemmer, question, strlen(question), map_stem, &asked);
    for (size_t d = 0; d < n; d++) {
        struct know__map described = {0};
        know__stems(stemmer, descriptions[d], strlen(descriptions[d]), map_stem, &described);
        double met = 0, total = 0;
        for (uint32_t s = 0; s < asked.count; s++) {
            size_t len;
            const char *stem = know__map_name(&asked, s, &len);
            if (is_number(stem, len))
                continue; /* a figure of the question says nothing of the tool */
            double weight = weight_of(k, ideas, stem, len);
            total += weight;
            met += weight * met_by(ideas, stem, len, &described);
        }
        out[d] = total > 0 ? met / total : 0;
        know__map_release(&described);
    }
    know__map_release(&asked);
}

void know_fit(const struct know *k, enum know_way way, const char *question,
              const char *const *descriptions, size_t n, double *out)
{
    struct know__stemmer stemmer;
    know__stemmer_init(&stemmer);
    struct know__ideas own = {0};
    if (k == NULL)
        know__ideas_init(&own, &stemmer);
    const struct know__ideas *ideas = k == NULL ? &own : &k->ideas;
    if (way == KNOW_LEXICAL)
        fit_lexical(k, ideas, &stemmer, question, descriptions, n, out);
    else
        know__fit_vector(k, ideas, &stemmer, question, descriptions, n, out);
    know__ideas_release(&own);
    know__stemmer_release(&stemmer);
}
