/* Token counts as the console makes them, for tokens.test: reads lines of JSON strings, writes for
 * each the list of its tokens. usage: tokens RANKS SPLITTER */
#include "backend/gateway/tokens.h"
#include "backend/base/buf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(void *arg, uint32_t rank)
{
    struct buf *out = arg;
    buf_addf(out, "%s%u", out->len > 1 ? "," : "", rank);
}

static bool answer(const struct gw__ranks *ranks, const char *line)
{
    json_t *text = json_loads(line, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    struct buf out = {0};
    if (!json_is_string(text))
        return false;
    size_t len = json_string_length(text);
    buf_addc(&out, '[');
    gw__ranks_each(ranks, json_string_value(text), len, add, &out);
    buf_addc(&out, ']');
    puts(out.data);
    buf_release(&out);
    json_decref(text);
    return true;
}

int main(int argc, char **argv)
{
    struct error e = {0};
    if (argc != 3)
        return 2;
    struct gw__ranks *ranks = gw__ranks_load(argv[1], gw__splitter_named(argv[2], ""), &e);
    char *line = NULL;
    size_t cap = 0;
    bool fine = ranks != NULL;
    if (!fine)
        fprintf(stderr, "%s\n", e.detail);
    while (fine && getline(&line, &cap, stdin) > 0)
        fine = answer(ranks, line);
    free(line);
    gw__ranks_free(ranks);
    return !fine;
}
