/* Bundles from elsewhere, and the texts in them. The input is a whole archive, or, when its first
 * byte is even, the contents of one, which are cut at NULs and packed in the right order: so that
 * what is behind the archive's form is reached. No input is a good bundle under a key that is not
 * its own. */
#include "backend/provenance/bundle_parts.h"

#include <stdlib.h>
#include <string.h>

static void parts(const char *text, size_t len)
{
    struct bundle__payload payload;
    struct bundle__tree *tree = xcalloc(1, sizeof *tree);
    struct bundle__keys *keys = xcalloc(1, sizeof *keys);
    struct bundle__entries entries;
    struct buf hashes = {0}, again = {0};
    size_t at;
    if (bundle__payload_read(text, len, &payload)) {
        bundle__payload_write(&payload, &again);
        BUG_IF(again.len != len + 1 || memcmp(again.data, text, len) != 0);
    }
    if (bundle__proofs_read(text, len, tree, &hashes)) {
        buf_clear(&again);
        bundle__proofs_write(tree, &again);
        BUG_IF(again.len != len || memcmp(again.data, text, len) != 0);
    }
    if (bundle__keys_read(text, len, keys))
        BUG_IF(keys->count == 0 || keys->at[0].first != 0);
    if (bundle__entries_read(text, len, &entries, &at) == NULL) {
        buf_clear(&again);
        bundle__lineage(&entries, &again);
        BUG_IF(again.len == 0);
    }
    bundle__entries_release(&entries);
    bundle__keys_release(keys);
    buf_release(&hashes);
    buf_release(&again);
    free(tree);
    free(keys);
}

static void pack(const char *text, size_t len, struct buf *tar)
{
    static const char *const names[] = {"README.md",           "statement.json",
                                        "statement.dsse.json", "entries.jsonl",
                                        "payloads.jsonl",      "proofs/1",
                                        "checkpoints/1",       "keys",
                                        "policy.json",         "oscal-assessment-results.json",
                                        "sbom.cdx.json",       "lineage.json",
                                        "report.html"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *end = len ? memchr(text, '\0', len) : NULL;
        size_t n = end ? (size_t)(end - text) : len;
        tar__add(tar, names[i], text, n, 1);
        text += n + (end != NULL);
        len -= n + (end != NULL);
    }
    tar__end(tar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = xcalloc(1, size + 1);
    struct buf tar = {0};
    memcpy(bytes, data, size);
    parts(bytes, size);
    bool packed = size && bytes[0] % 2 == 0;
    if (packed)
        pack(bytes + 1, size - 1, &tar);
    struct bundle_given given = {packed ? tar.data : bytes, packed ? tar.len : size,
                                 "a+00000000+AQAAAA==", bytes, bytes};
    json_t *report = bundle_verify(&given);
    BUG_IF(json_flag(report, "ok", true));
    json_decref(report);
    buf_release(&tar);
    free(bytes);
    return 0;
}
