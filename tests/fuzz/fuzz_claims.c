/* Two texts of models, with a zero byte between, compared by what they claim: bounded, and each
 * claim lies in its text. */
#include "backend/orchestrator/claims.h"
#include "backend/orchestrator/grounding.h"
#include <stdlib.h>
#include <string.h>

/* The first text as an answer, the second as its one source. */
static void ground(struct claims_reader *reader, const uint8_t *data, size_t size, size_t first)
{
    char *answer = xstrndup((const char *)data, first);
    char *text = xstrndup((const char *)data + first, size - first);
    struct gw_source source = {"1", "tool", "a/b#c", text, NULL, 1};
    for (int how = ORCH_NOTE; how <= ORCH_REMOVE; how++) {
        struct orch_grounding g;
        const struct orch_ground_how way = {.unsupported = (enum orch_unsupported)how,
                                            .conflicts = how == ORCH_FLAG};
        orch_ground(reader, answer, &source, 1, &way, &g);
        BUG_IF(g.assessed != g.supported + g.contradicted + g.unsupported);
        BUG_IF(how == ORCH_NOTE && g.text);
        BUG_IF(g.removed && strlen(g.text) >= strlen(answer));
        orch_grounding_release(&g);
    }
    free(answer);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct claims_reader *reader;
    if (!reader)
        reader = claims_reader_new();
    const uint8_t *cut = size ? memchr(data, 0, size) : NULL;
    size_t first = cut ? (size_t)(cut - data) : size / 2;
    struct claims *a = claims_read(reader, (const char *)data, first);
    struct claims *b = claims_read(reader, (const char *)data + first, size - first);
    struct claims_result r;
    claims_compare(NULL, a, b, &r);
    BUG_IF(r.count > claims_count(a) + claims_count(b));
    BUG_IF(!(r.score >= 0 && r.score <= 1));
    for (size_t i = 0; i < r.count; i++) {
        const struct claims_pair *p = &r.pairs[i];
        BUG_IF(p->a < 0 && p->b < 0);
        BUG_IF(!(p->score >= 0 && p->score <= 1));
        BUG_IF(strlen(p->why) >= CLAIMS_WHY);
        BUG_IF(p->verdict == CLAIMS_CONTRADICTS && !p->why[0]);
    }
    json_decref(claims_result_json(a, b, &r));
    for (size_t i = 0; i < claims_count(a); i++) {
        size_t len;
        struct claims_support s;
        const char *text = claims_text(a, i, &len);
        BUG_IF(!len || strlen(text) < len);
        claims_support(a, i, b, &s);
        BUG_IF(!(s.covered >= 0 && s.covered <= 1) || s.met > s.numbers);
    }
    ground(reader, data, size, first);
    claims_result_release(&r);
    claims_free(a);
    claims_free(b);
    return 0;
}
