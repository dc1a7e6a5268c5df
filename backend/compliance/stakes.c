/* What a question is about, as a share of what could be at stake: words of stakes.def. */
#include "backend/compliance/internal.h"
#include <string.h>

#define WORDS(...)        \
    {                     \
        __VA_ARGS__, NULL \
    }

static const struct stake {
    double weight;
    const char *words[32];
} stakes[] = {
#define STAKE(weight, ...) {weight, __VA_ARGS__},
#include "backend/compliance/stakes.def"
};

double pol_stakes(const char *text)
{
    struct pol_text t = pol__text(text);
    double safe = 1;
    for (size_t i = 0; i < sizeof stakes / sizeof *stakes; i++)
        if (pol__has_word(&t, 0, t.len, stakes[i].words))
            safe *= 1 - stakes[i].weight;
    pol__text_free(&t);
    return 1 - safe;
}
