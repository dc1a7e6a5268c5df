/* What model servers answer when they are asked for vectors, their models or their health: the
 * first byte says what is asked and of whom, the rest is the answer. Each ask is told once, with as
 * many finite vectors of one length as there were texts, or with an error. The loop does not run:
 * nothing is sent. */
#include "backend/gateway/ask.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXTS = 3, DEPTH = 16, MOST = 1 << 20 };
static const char *const models[] = {"o", "a", "c"};

struct told {
    unsigned times;
    bool vectors;
};

static void on_told(void *arg, const struct gw_asked *a)
{
    struct told *t = arg;
    size_t i;
    const json_t *row;
    t->times++;
    BUG_IF(a->vectors && a->error.code);
    if (a->vectors) {
        BUG_IF(a->count != TEXTS || !a->dimensions);
        for (size_t k = 0; k < a->count * a->dimensions; k++)
            BUG_IF(!isfinite(a->vectors[k]));
    }
    json_array_foreach(a->models, i, row) BUG_IF(!*json_str(row, "name", ""));
    BUG_IF(a->listed < -1 || a->listed > 1);
}

static struct gw *opened(void)
{
    static const char *const kinds[] = {"ollama", "anthropic", "generic"};
    char path[] = "/tmp/mcpc-fuzz-XXXXXX";
    int fd = mkstemp(path);
    struct error e = {0};
    BUG_IF(fd < 0);
    for (size_t i = 0; i < 3; i++)
        dprintf(fd, "[model \"%s\"]\nkind = %s\nurl = http://127.0.0.1:1\nmodel = m\nretries = 0\n",
                models[i], kinds[i]);
    close(fd);
    struct conf *conf = conf_load(path, &e);
    unlink(path);
    BUG_IF(!conf);
    struct gw *g = gw_new(loop_new(), conf, &e);
    BUG_IF(!g);
    conf_free(conf);
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const texts[TEXTS] = {"disk", "диск", ""};
    static struct gw *g;
    const struct error fine = {0};
    struct error e = {0};
    struct told told = {0};
    if (!size)
        return 0;
    if (!g)
        g = opened();
    const char *name = models[data[0] % 3];
    unsigned what = data[0] / 3 % 3;
    struct gw_ask *a = what == 0 && data[0] % 3 != 1
                           ? gw_embed(g, name, texts, TEXTS, NULL, on_told, &told, &e)
                       : what == 1 ? gw_health(g, name, on_told, &told, &e)
                                   : gw_list_models(g, name, on_told, &told, &e);
    BUG_IF(!a);
    if (a->operation == GW__EMBED)
        a->step(a, NULL, &fine); /* takes its place and makes the request */
    json_t *answer = json_read((const char *)data + 1, size - 1, MOST, DEPTH, NULL);
    for (int i = 0; i < 4 && !told.times; i++) { /* a health's answer, then a list */
        free(a->url);
        free(a->request);
        a->url = a->request = NULL; /* the exchange is over */
        a->step(a, json_is_object(answer) ? answer : NULL, &fine);
    }
    json_decref(answer);
    BUG_IF(told.times != 1);
    return 0;
}
