/* Comparing texts without a console: `mcp-console compare`. */
#include "backend/backend.h"
#include "backend/orchestrator/claims.h"
#include <stdlib.h>

struct backend_comparer {
    struct claims_reader *reader;
};

struct backend_comparer *backend_comparer_new(void)
{
    struct backend_comparer *c = xcalloc(1, sizeof *c);
    c->reader = claims_reader_new();
    return c;
}

void backend_comparer_free(struct backend_comparer *c)
{
    if (c)
        claims_reader_free(c->reader);
    free(c);
}

json_t *backend_compare(struct backend_comparer *c, const char *a, size_t a_len, const char *b,
                        size_t b_len)
{
    struct claims *x = claims_read(c->reader, a, a_len), *y = claims_read(c->reader, b, b_len);
    struct claims_result result;
    claims_compare(NULL, x, y, &result);
    json_t *out = claims_result_json(x, y, &result);
    claims_result_release(&result);
    claims_free(x);
    claims_free(y);
    return out;
}
