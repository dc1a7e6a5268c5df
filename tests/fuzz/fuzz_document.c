/* Any bytes as a runbook: parsed, indexed, searched by their own first words, cut into sentences.
 */
#include "backend/knowledge/internal.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sentence(void *arg, const char *sentence, size_t len)
{
    const char *text = arg;
    if (len == 0 || sentence < text || sentence + len > text + strlen(text))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct know *k = know__begin();
    know__add(k, "fuzz.md", (const char *)data, size);
    know__finish(k);
    char question[64] = {0};
    memcpy(question, data, size < sizeof question - 1 ? size : sizeof question - 1);
    struct know_passage found[4];
    for (int way = KNOW_LEXICAL; way <= KNOW_VECTOR; way++) {
        size_t n = know_search(k, (enum know_way)way, question, "en", found, 4);
        for (size_t i = 0; i < n; i++)
            if (!(found[i].score > 0) || found[i].text[0] == '\0' || found[i].heading[0] == '\0')
                abort();
    }
    char *text = xstrndup((const char *)data, size);
    know_sentences(text, check_sentence, text);
    free(know_stems(text));
    free(text);
    know_free(k);
    return 0;
}
