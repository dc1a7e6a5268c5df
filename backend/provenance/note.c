/* Signed notes, checkpoints, verifier keys: text in, text out. The formats are C2SP's signed-note,
 * tlog-checkpoint and tlog-proof. */
#include "backend/provenance/note.h"

#include "backend/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char dash[] = "\xe2\x80\x94 "; /* how a signature line begins */
enum { DASH = sizeof dash - 1, SIGNED_LEN = PROV__KEY_ID + VAULT_SIGNATURE };
enum { NAME_MAX_LEN = 400, SIGNATURES = 64 };

/* ---- keys ---- */

bool prov__vkey_name_ok(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_LEN)
        return false;
    for (size_t i = 0; i < len; i++) /* ASCII only: no white space of Unicode can hide */
        if (name[i] <= ' ' || name[i] > '~' || name[i] == '+')
            return false;
    return true;
}

void prov__vkey_make_as(enum prov__vkey_type type, const char *name,
                        const uint8_t public_key[VAULT_KEY], struct prov__vkey *out)
{
    uint8_t hash[VAULT_HASH], typed[1 + VAULT_KEY] = {(uint8_t)type};
    char *text = xasprintf("%s\n", name);
    out->type = type;
    snprintf(out->name, sizeof out->name, "%s", name);
    memcpy(out->public_key, public_key, VAULT_KEY);
    memcpy(typed + 1, public_key, VAULT_KEY);
    vault_sha256(text, strlen(text), typed, sizeof typed, hash);
    memcpy(out->id, hash, PROV__KEY_ID);
    free(text);
}

void prov__vkey_make(const char *name, const uint8_t public_key[VAULT_KEY], struct prov__vkey *out)
{
    prov__vkey_make_as(PROV__ED25519, name, public_key, out);
}

void prov__vkey_write(const struct prov__vkey *key, char line[VAULT_LABEL])
{
    uint8_t typed[1 + VAULT_KEY] = {(uint8_t)key->type};
    char id[2 * PROV__KEY_ID + 1], base64[VAULT_BASE64(sizeof typed)];
    memcpy(typed + 1, key->public_key, VAULT_KEY);
    text_hex(key->id, PROV__KEY_ID, id);
    vault_base64(typed, sizeof typed, base64);
    int n = snprintf(line, VAULT_LABEL, "%s+%s+%s", key->name, id, base64);
    BUG_IF(n < 0 || n >= VAULT_LABEL);
}

bool prov__vkey_read_as(enum prov__vkey_type type, const char *line, struct prov__vkey *out)
{
    char name[NAME_MAX_LEN + 1], again[VAULT_LABEL];
    uint8_t typed[1 + VAULT_KEY];
    const char *plus = strchr(line, '+'), *key = plus ? strchr(plus + 1, '+') : NULL;
    if (!key || (size_t)(plus - line) > NAME_MAX_LEN)
        return false;
    memcpy(name, line, (size_t)(plus - line));
    name[plus - line] = '\0';
    if (!prov__vkey_name_ok(name) ||
        vault_unbase64(key + 1, strlen(key + 1), typed, sizeof typed) != sizeof typed ||
        typed[0] != type)
        return false;
    prov__vkey_make_as(type, name, typed + 1, out);
    prov__vkey_write(out, again); /* so that the id is the key's */
    return strcmp(line, again) == 0;
}

bool prov__vkey_same(const struct prov__vkey *a, const struct prov__vkey *b)
{
    return strcmp(a->name, b->name) == 0 && memcmp(a->public_key, b->public_key, VAULT_KEY) == 0;
}

bool prov__vkey_read(const char *line, struct prov__vkey *out)
{
    return prov__vkey_read_as(PROV__ED25519, line, out);
}

/* ---- notes ---- */

static bool starts_signature(const char *at, size_t len)
{
    return len > DASH && memcmp(at, dash, DASH) == 0;
}

bool prov__line_take(struct prov__text *text, struct prov__text *line)
{
    const char *end = memchr(text->at, '\n', text->len);
    if (!end)
        return false;
    *line = (struct prov__text){text->at, (size_t)(end - text->at)};
    text->at = end + 1;
    text->len -= line->len + 1;
    return true;
}

size_t prov__note_length(const char *text, size_t len)
{
    struct prov__text rest = {text, len}, line;
    bool any = false;
    do {
        if (!prov__line_take(&rest, &line))
            return 0;
    } while (line.len);
    while (starts_signature(rest.at, rest.len)) {
        if (!prov__line_take(&rest, &line))
            return 0;
        any = true;
    }
    return any ? len - rest.len : 0;
}

bool prov__size_read(struct prov__text line, int64_t *out)
{
    int64_t value = 0;
    if (line.len == 0 || line.len > 18 || (line.len > 1 && line.at[0] == '0'))
        return false;
    for (size_t i = 0; i < line.len; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return false;
        value = 10 * value + (line.at[i] - '0');
    }
    *out = value;
    return true;
}

int64_t prov__signature_read(struct prov__text line, struct prov__text *name, uint8_t *bytes,
                             size_t max)
{
    if (!starts_signature(line.at, line.len))
        return -1;
    *name = (struct prov__text){line.at + DASH, line.len - DASH};
    const char *space = memchr(name->at, ' ', name->len);
    if (!space || space == name->at)
        return -1;
    size_t left = name->len - (size_t)(space + 1 - name->at);
    name->len = (size_t)(space - name->at);
    return vault_unbase64(space + 1, left, bytes, max);
}

static const char *read_signatures(struct prov__text lines)
{
    struct prov__text line, name;
    uint8_t bytes[PROV__NOTE_MAX];
    int count = 0;
    while (lines.len) {
        if (!prov__line_take(&lines, &line) ||
            prov__signature_read(line, &name, bytes, sizeof bytes) <= PROV__KEY_ID)
            return "a signature line is not in form";
        if (++count > SIGNATURES)
            return "it has too many signatures";
    }
    return count ? NULL : "it has no signature";
}

/* UTF-8 without control characters but the new line. */
static bool clean(const char *text, size_t len)
{
    uint32_t cp;
    for (size_t at = 0; at < len;) {
        at += text_decode(text + at, len - at, &cp);
        if ((cp & TEXT_BAD) || (cp < ' ' && cp != '\n'))
            return false;
    }
    return true;
}

const char *prov__note_read(const char *note, size_t len, struct prov__checkpoint *out)
{
    struct prov__text rest = {note, len}, line;
    if (len > PROV__NOTE_MAX)
        return "it is too long";
    if (!clean(note, len))
        return "it is not UTF-8, or holds a control character";
    if (!prov__line_take(&rest, &out->origin) || out->origin.len == 0)
        return "it has no origin";
    if (!prov__line_take(&rest, &line) || !prov__size_read(line, &out->head.size))
        return "its size is not a decimal number";
    if (!prov__line_take(&rest, &line) ||
        vault_unbase64(line.at, line.len, out->head.root, VAULT_HASH) != VAULT_HASH)
        return "its root is not the base64 of 32 bytes";
    do {
        out->body = (struct prov__text){note, len - rest.len};
        if (!prov__line_take(&rest, &line))
            return "no empty line ends its text";
    } while (line.len); /* lines of extensions */
    out->signatures = rest;
    return read_signatures(rest);
}

char *prov__origin(const struct prov__vkey *key, int64_t epoch)
{
    return epoch == 1 ? xstrdup(key->name) : xasprintf("%s#%lld", key->name, (long long)epoch);
}

int64_t prov__note_epoch(struct prov__text origin)
{
    int64_t epoch;
    size_t at = origin.len;
    while (at > 0 && origin.at[at - 1] != '#')
        at--;
    struct prov__text number = {origin.at + at, origin.len - at};
    return at > 0 && prov__size_read(number, &epoch) && epoch > 1 ? epoch : 1;
}

int64_t prov__origin_epoch(const struct prov__vkey *key, struct prov__text origin)
{
    int64_t epoch = prov__note_epoch(origin);
    char *own = prov__origin(key, epoch);
    bool same = origin.len == strlen(own) && memcmp(origin.at, own, origin.len) == 0;
    free(own);
    return same ? epoch : 0;
}

enum prov__signed prov__note_check(const struct prov__checkpoint *c, const struct prov__vkey *key)
{
    struct prov__text lines = c->signatures, line, name;
    uint8_t bytes[SIGNED_LEN];
    bool found = false;
    while (prov__line_take(&lines, &line)) {
        if (prov__signature_read(line, &name, bytes, sizeof bytes) != SIGNED_LEN ||
            name.len != strlen(key->name) || memcmp(name.at, key->name, name.len) != 0 ||
            memcmp(bytes, key->id, PROV__KEY_ID) != 0)
            continue;
        if (!vault_signature_ok(key->public_key, c->body.at, c->body.len, bytes + PROV__KEY_ID))
            return PROV__FORGED;
        found = true;
    }
    return found ? PROV__SIGNED : PROV__UNSIGNED;
}

void prov__note_body(const char *origin, const struct prov__head *head, struct buf *out)
{
    char root[VAULT_BASE64(VAULT_HASH)];
    vault_base64(head->root, VAULT_HASH, root);
    buf_addf(out, "%s\n%lld\n%s\n", origin, (long long)head->size, root);
}

void prov__note_sign_too(const struct prov__vkey *key, const uint8_t signature[VAULT_SIGNATURE],
                         struct buf *out)
{
    uint8_t bytes[SIGNED_LEN];
    char base64[VAULT_BASE64(sizeof bytes)];
    memcpy(bytes, key->id, PROV__KEY_ID);
    memcpy(bytes + PROV__KEY_ID, signature, VAULT_SIGNATURE);
    vault_base64(bytes, sizeof bytes, base64);
    buf_addf(out, "%s%s %s\n", dash, key->name, base64);
}

void prov__note_sign(const struct prov__vkey *key, const uint8_t signature[VAULT_SIGNATURE],
                     struct buf *out)
{
    buf_adds(out, "\n");
    prov__note_sign_too(key, signature, out);
}

void prov__tlog_proof(int64_t index, const struct prov__proof *proof, const char *note,
                      struct buf *out)
{
    char base64[VAULT_BASE64(VAULT_HASH)];
    buf_addf(out, "c2sp.org/tlog-proof@v1\nindex %lld\n", (long long)index);
    for (size_t i = 0; i < proof->count; i++) {
        vault_base64(proof->hash[i], VAULT_HASH, base64);
        buf_addf(out, "%s\n", base64);
    }
    buf_addf(out, "\n%s", note);
}
