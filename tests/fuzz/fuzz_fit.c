/* Sources made to fit a budget: whatever they hold, what is kept are bytes of them, in their order,
 * cut between characters, and no more than has room. */
#include "backend/base/text.h"
#include "backend/gateway/count.h"
#include "backend/gateway/fit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTS = 4, BUDGET = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct gw *models(void)
{
    char path[] = "/tmp/mcpc-fuzz-fit-XXXXXX";
    struct error e = {0};
    unsetenv("MODEL_BACKENDS");
    FILE *f = fdopen(mkstemp(path), "w");
    fputs("[model \"m\"]\nkind = openai\nurl = http://127.0.0.1:9\nmodel = x\ntoken_budget = 256\n",
          f);
    fclose(f);
    struct conf *conf = conf_load(path, &e);
    struct gw *g = conf ? gw_new(loop_new(), conf, &e) : NULL;
    BUG_IF(!g);
    conf_free(conf);
    unlink(path);
    return g;
}

static void check(const json_t *row, const char *text, const char *kept)
{
    const json_t *ranges = json_object_get(row, "kept"), *range;
    size_t i, end = 0, len = strlen(text);
    BUG_IF(!ranges && strcmp(text, kept) != 0);
    json_array_foreach((json_t *)ranges, i, range)
    {
        size_t at = (size_t)json_integer_value(json_array_get(range, 0));
        size_t n = (size_t)json_integer_value(json_array_get(range, 1));
        BUG_IF(at < end || at + n > len || n == 0);
        end = at + n;
        BUG_IF(((unsigned char)text[at] & 0xc0) == 0x80 ||
               ((unsigned char)text[end] & 0xc0) == 0x80);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw *g;
    struct gw_fit_part parts[PARTS];
    char *texts[PARTS], *own[PARTS];
    double tokens = 0;
    if (!g)
        g = models();
    for (size_t i = 0; i < PARTS; i++) {
        size_t from = size * i / PARTS, end = size * (i + 1) / PARTS;
        json_t *clean =
            json_text((const char *)data + from, end - from); /* UTF-8, as sources are */
        own[i] = xstrdup(json_string_value(clean));
        json_decref(clean);
        parts[i] = (struct gw_fit_part){"1",     own[i],       (double)(size % (i + 2)) / 3,
                                        "[1]\n", "[1 gone]\n", i == 3 && size % 2};
    }
    const struct gw_fit_ask ask = {"m", "", "is the disk full?", parts, PARTS, 100};
    json_t *report = gw_fit(g, &ask, texts);
    for (size_t i = 0; i < PARTS; i++) {
        check(json_array_get(json_object_get(report, "parts"), i), own[i], texts[i]);
        tokens += (double)gw_count_tokens(g, "m", *texts[i] ? texts[i] : parts[i].gone);
        free(texts[i]);
        free(own[i]);
    }
    BUG_IF(tokens > BUDGET);
    json_decref(report);
    return 0;
}
