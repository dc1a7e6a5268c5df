/* Prints MAP and nDCG@10 of both ways of retrieval on a test collection in a folder: corpus.jsonl
 * {_id, title, text}, queries.tsv (id, text) and qrels.tsv (query, document, gain; gain > 0 is
 * relevant). usage: eval_retrieval FOLDER, or the two collections below $MCPC_DATA/retrieval if
 * that is set. */
#include "backend/base/clock.h"
#include "backend/base/json.h"
#include "backend/knowledge/internal.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 1000, LINE = 1 << 20 };

struct line_reader {
    FILE *file;
    char *line;
};

static bool open_in(struct line_reader *r, const char *folder, const char *name)
{
    char *path = xasprintf("%s/%s", folder, name);
    r->file = fopen(path, "r");
    r->line = xcalloc(LINE, 1);
    if (r->file == NULL)
        fprintf(stderr, "%s: cannot be read\n", path);
    free(path);
    return r->file != NULL;
}

static bool next_line(struct line_reader *r)
{
    if (r->file == NULL || fgets(r->line, LINE, r->file) == NULL)
        return false;
    r->line[strcspn(r->line, "\r\n")] = '\0';
    return true;
}

static void close_reader(struct line_reader *r)
{
    if (r->file != NULL)
        fclose(r->file);
    free(r->line);
}

struct judged {
    char *query, *document;
    double gain;
};

struct judgements {
    struct judged *list;
    size_t count, cap;
};

static bool load_corpus(struct know *k, const char *folder)
{
    struct line_reader r;
    bool ok = open_in(&r, folder, "corpus.jsonl");
    while (next_line(&r)) {
        json_t *o = json_loads(r.line, 0, NULL);
        if (o == NULL)
            continue;
        char *name = xasprintf("%s/.", json_str(o, "_id", "")); /* no word of it is a title */
        const char *text = json_str(o, "text", "");
        size_t len = strlen(text); /* CACM ends each text with a table of citations: bare numbers */
        while (len > 0 && strchr("0123456789 \t", text[len - 1]) != NULL)
            len--;
        know__add(k, name, text, len);
        free(name);
        json_decref(o);
    }
    close_reader(&r);
    return ok;
}

static bool load_judgements(struct judgements *j, const char *folder)
{
    struct line_reader r;
    bool ok = open_in(&r, folder, "qrels.tsv");
    while (next_line(&r)) {
        char *rest = r.line;
        char *query = strsep(&rest, "\t");
        char *document = strsep(&rest, "\t");
        if (document == NULL)
            continue;
        if (j->count == j->cap) {
            j->cap = j->cap == 0 ? 256 : j->cap * 2;
            j->list = xrealloc(j->list, j->cap * sizeof *j->list);
        }
        double gain = rest == NULL ? 1 : strtod(rest, NULL);
        j->list[j->count++] = (struct judged){xstrdup(query), xasprintf("%s/.", document), gain};
    }
    close_reader(&r);
    return ok;
}

static double gain_of(const struct judgements *j, const char *query, const char *document)
{
    for (size_t i = 0; i < j->count; i++)
        if (strcmp(j->list[i].query, query) == 0 && strcmp(j->list[i].document, document) == 0)
            return j->list[i].gain;
    return 0;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The discounted gain of the best order there is, at 10. */
static double ideal_gain(const struct judgements *j, const char *query, size_t *relevant)
{
    double *gains = xcalloc(j->count + 1, sizeof *gains);
    size_t n = 0;
    for (size_t i = 0; i < j->count; i++)
        if (strcmp(j->list[i].query, query) == 0 && j->list[i].gain > 0)
            gains[n++] = j->list[i].gain;
    qsort(gains, n, sizeof *gains, falling);
    double sum = 0;
    for (size_t i = 0; i < n && i < 10; i++)
        sum += gains[i] / log2((double)i + 2);
    free(gains);
    *relevant = n;
    return sum;
}

struct figures {
    double map, ndcg, us;
    size_t queries;
};

static void judge(const struct know *k, enum know_way way, const struct judgements *j,
                  const char *query, const char *text, struct figures *sum)
{
    size_t relevant;
    double ideal = ideal_gain(j, query, &relevant);
    if (relevant == 0)
        return;
    static struct know_passage found[DEPTH];
    uint64_t begin = clock_mono_ns();
    size_t n = know_search(k, way, text, NULL, found, DEPTH);
    sum->us += (double)(clock_mono_ns() - begin) / 1000;
    double precision = 0, gained = 0;
    size_t hits = 0, rank = 0;
    for (size_t i = 0; i < n; i++) {
        bool again = false; /* another chunk of the same document */
        for (size_t p = 0; p < i && !again; p++)
            again = found[p].document == found[i].document;
        if (again)
            continue;
        double gain = gain_of(j, query, found[i].document);
        rank++;
        if (gain <= 0)
            continue;
        precision += (double)++hits / (double)rank;
        if (rank <= 10)
            gained += gain / log2((double)rank + 1);
    }
    sum->map += precision / (double)relevant;
    sum->ndcg += gained / ideal;
    sum->queries++;
}

static bool evaluate(const char *folder)
{
    struct judgements j = {0};
    struct know *k = know__begin();
    bool ok = load_corpus(k, folder) && load_judgements(&j, folder);
    uint64_t begin = clock_mono_ns();
    know__finish(k);
    printf("%s: %zu documents, finished in %.1f ms\n", folder, know_documents(k),
           (double)(clock_mono_ns() - begin) / 1e6);
    for (int way = KNOW_LEXICAL; ok && way <= KNOW_VECTOR; way++) {
        struct figures sum = {0};
        struct line_reader r;
        ok = open_in(&r, folder, "queries.tsv");
        while (next_line(&r)) {
            char *rest = r.line;
            char *query = strsep(&rest, "\t");
            if (rest != NULL)
                judge(k, (enum know_way)way, &j, query, rest, &sum);
        }
        close_reader(&r);
        double n = sum.queries == 0 ? 1 : (double)sum.queries;
        printf("  %-8s MAP %.3f  nDCG@10 %.3f  %zu queries, %.0f us each\n",
               way == KNOW_LEXICAL ? "lexical" : "vector", sum.map / n, sum.ndcg / n, sum.queries,
               sum.us / n);
    }
    for (size_t i = 0; i < j.count; i++) {
        free(j.list[i].query);
        free(j.list[i].document);
    }
    free(j.list);
    know_free(k);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return evaluate(argv[1]) ? 0 : 1;
    const char *data = getenv("MCPC_DATA");
    if (data == NULL) {
        fprintf(stderr, "usage: eval_retrieval FOLDER (or set MCPC_DATA)\n");
        return 2;
    }
    static const char *const names[] = {"cranfield", "cacm"};
    bool ok = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *folder = xasprintf("%s/retrieval/%s", data, names[i]);
        ok = evaluate(folder) && ok;
        free(folder);
    }
    return ok ? 0 : 1;
}
