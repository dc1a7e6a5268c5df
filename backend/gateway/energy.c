/* Energy of models on this machine; see energy.h. The counters are files of sysfs, which are kept
 * open and read from their begin: some microseconds each. */
#include "backend/gateway/energy.h"
#include "backend/gateway/count.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double KEPT = 0.8;           /* of what was measured before, a try */
static const double LARGEST_JOULES = 1e7; /* of a try: what no processor takes in an hour */
static const double LARGEST_RATE = 1e9;   /* joules per 1,000 tokens */
enum { TRUSTED = 3, NUMBER_MAX = 24 };

/* ---- counters */

/* A whole number and a line's end; -1: something else, or nothing to be read. */
static int64_t number_in(int fd)
{
    char text[NUMBER_MAX + 1];
    ssize_t n = fd < 0 ? -1 : pread(fd, text, NUMBER_MAX, 0);
    size_t digits = 0;
    if (n <= 0)
        return -1;
    text[n] = '\0';
    while (isdigit((unsigned char)text[digits]))
        digits++;
    if (!digits || digits > 18 || (text[digits] && strcmp(text + digits, "\n") != 0))
        return -1;
    return strtoll(text, NULL, 10);
}

static int open_in(const char *root, const char *zone, const char *file)
{
    char *path = xasprintf("%s/%s/%s", root, zone, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    return fd;
}

static void name_of(const char *root, const char *zone, char out[32])
{
    int fd = open_in(root, zone, "name");
    ssize_t n = fd < 0 ? 0 : read(fd, out, 31);
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (fd >= 0)
        close(fd);
}

/* intel-rapl:0 is a package, also of AMD's; intel-rapl:0:1 a part of it, of which only the memory
 * is not in the package's own count. psys has all packages in it, and more. */
static bool is_counted(const char *root, const char *zone)
{
    static const char prefix[] = "intel-rapl:";
    char name[32];
    if (strncmp(zone, prefix, sizeof prefix - 1) != 0 || !isdigit((unsigned char)zone[11]))
        return false;
    bool part = strchr(zone + sizeof prefix - 1, ':') != NULL;
    name_of(root, zone, name);
    return part ? strcmp(name, "dram") == 0 : strcmp(name, "psys") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void add_zone(struct gw__meter *m, const char *zone)
{
    int range = open_in(m->root, zone, "max_energy_range_uj");
    int fd = open_in(m->root, zone, "energy_uj");
    m->zone[m->count].range = number_in(range);
    if (range >= 0)
        close(range);
    if (m->zone[m->count].range < 0)
        m->zone[m->count].range = 0;
    m->zone[m->count++].fd = fd; /* one that cannot be opened stands for all (gw__meter_read) */
}

void gw__meter_open(struct gw__meter *m, const char *root)
{
    struct dirent **names = NULL;
    if (m->root && strcmp(m->root, root) == 0)
        return;
    gw__meter_close(m);
    m->root = xstrdup(root);
    m->begun++; /* what is under way has readings of other counters */
    int n = *root ? scandir(root, &names, NULL, by_name) : 0;
    for (int i = 0; i < n; i++) {
        if (m->count < GW__ZONES && is_counted(root, names[i]->d_name))
            add_zone(m, names[i]->d_name);
        free(names[i]);
    }
    free(names);
}

void gw__meter_close(struct gw__meter *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->zone[i].fd >= 0)
            close(m->zone[i].fd);
    m->count = 0;
    free(m->root);
    m->root = NULL;
}

bool gw__meter_read(const struct gw__meter *m, int64_t out[GW__ZONES])
{
    for (size_t i = 0; i < m->count; i++)
        if ((out[i] = number_in(m->zone[i].fd)) < 0)
            return false;
    return m->count > 0;
}

int64_t gw__meter_between(const struct gw__meter *m, const int64_t before[GW__ZONES],
                          const int64_t after[GW__ZONES])
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->count; i++) {
        int64_t took = after[i] - before[i];
        if (took < 0 && m->zone[i].range >= before[i])
            took += m->zone[i].range;
        if (took < 0)
            return -1;
        sum += took;
    }
    return sum;
}

/* ---- what a model takes */

void gw__energy_learn(struct gw__energy *e, double joules, double tokens)
{
    if (!(joules > 0 && joules <= LARGEST_JOULES && tokens > 0))
        return;
    e->joules = KEPT * e->joules + joules;
    e->tokens = KEPT * e->tokens + tokens;
    e->tries++;
}

int64_t gw__energy_rate(const struct gw__energy *e)
{
    if (e->tries < TRUSTED || !(e->tokens > 0))
        return -1;
    double rate = e->joules / e->tokens * 1000;
    return rate <= LARGEST_RATE ? (int64_t)llround(rate * 1e9) : -1;
}

json_t *gw__energy_save(const struct gw__energy *e)
{
    json_t *saved = json_object();
    json_put(saved, "joules", json_real(e->joules));
    json_put(saved, "tokens", json_real(e->tokens));
    json_puti(saved, "tries", e->tries);
    return saved;
}

void gw__energy_load(struct gw__energy *e, const json_t *saved)
{
    double joules = json_num(saved, "joules", -1), tokens = json_num(saved, "tokens", -1);
    int64_t tries = json_int(saved, "tries", -1);
    *e = (struct gw__energy){.tries = 0};
    if (joules > 0 && joules <= 10 * LARGEST_JOULES && tokens > 0 && tokens < 1e15 && tries > 0 &&
        tries < INT32_MAX)
        *e = (struct gw__energy){joules, tokens, tries};
}

/* ---- tries */

/* The server is at an address of this machine. */
static bool is_here(const struct gw_model *m)
{
    const char *host = m->url ? strstr(m->url, "://") : NULL;
    if (m->builtin || !host)
        return false;
    host += 3;
    size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
    return (len == 9 && strncmp(host, "localhost", 9) == 0) ||
           (len == 5 && strncmp(host, "[::1]", 5) == 0) ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == len);
}

void gw__energy_begin(struct gw__try *t)
{
    struct gw__meter *m = &t->g->meter;
    if (!m->count || !is_here(&t->m->pub))
        return;
    t->energy.number = ++m->begun;
    t->energy.alone = m->running++ == 0 && !t->g->asks && gw__meter_read(m, t->energy.at);
}

void gw__energy_measured(struct gw__try *t)
{
    const struct gw__meter *m = &t->g->meter;
    int64_t now[GW__ZONES];
    if (!t->energy.alone || t->energy.number != m->begun || t->g->asks || !gw__meter_read(m, now))
        return;
    struct gw_usage u = gw__try_usage(t);
    int64_t took = gw__meter_between(m, t->energy.at, now);
    if (took <= 0 || u.input_tokens + u.output_tokens <= 0)
        return;
    gw__energy_learn(&t->m->count->energy, (double)took / 1e6,
                     (double)(u.input_tokens + u.output_tokens));
    t->m->count->changed = true;
}

void gw__energy_end(struct gw__try *t)
{
    if (t->energy.number)
        t->g->meter.running--;
    t->energy.number = 0;
    t->energy.alone = false;
}

int64_t gw_energy(const struct gw_model *pub, const char **source)
{
    const struct gw__model *m = (const struct gw__model *)pub; /* which begins with it */
    int64_t learnt = pub->energy < 0 && is_here(pub) ? gw__energy_rate(&m->count->energy) : -1;
    *source = pub->energy >= 0 ? "configured" : learnt >= 0 ? "learnt" : "unknown";
    return pub->energy >= 0 ? pub->energy : learnt;
}
