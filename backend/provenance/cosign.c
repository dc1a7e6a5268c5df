/* Cosignatures and tlog-witness messages: text in, text out. */
#include "backend/provenance/cosign.h"

#include <string.h>

static const char dash[] = "\xe2\x80\x94 ";
enum { TIMESTAMP = 8, COSIGNED_LEN = PROV__KEY_ID + TIMESTAMP + VAULT_SIGNATURE };

/* ---- cosignatures ---- */

static bool names(const struct prov__vkey *key, struct prov__text name, const uint8_t *id)
{
    return name.len == strlen(key->name) && memcmp(name.at, key->name, name.len) == 0 &&
           memcmp(id, key->id, PROV__KEY_ID) == 0;
}

void prov__cosign_text(struct prov__text body, int64_t at, struct buf *out)
{
    buf_addf(out, "cosignature/v1\ntime %lld\n", (long long)at);
    buf_add(out, body.at, body.len);
}

/* Big-endian; -1 beyond 2^63 - 1, which no time may be. */
static int64_t read_time(const uint8_t bytes[TIMESTAMP])
{
    uint64_t value = 0;
    for (int i = 0; i < TIMESTAMP; i++)
        value = value << 8 | bytes[i];
    return value > INT64_MAX ? -1 : (int64_t)value;
}

static bool verifies(struct prov__text body, const struct prov__vkey *key, const uint8_t *bytes,
                     int64_t at)
{
    struct buf text = {0};
    if (at < 0)
        return false;
    prov__cosign_text(body, at, &text);
    bool ok = vault_signature_ok(key->public_key, text.data, text.len, bytes + TIMESTAMP);
    buf_release(&text);
    return ok;
}

enum prov__signed prov__cosigned(const struct prov__checkpoint *c, const struct prov__vkey *key,
                                 struct prov__cosignature *out)
{
    struct prov__text lines = c->signatures, line, name;
    uint8_t bytes[PROV__NOTE_MAX];
    bool found = false;
    while (prov__line_take(&lines, &line)) {
        int64_t len = prov__signature_read(line, &name, bytes, sizeof bytes);
        if (len < PROV__KEY_ID || !names(key, name, bytes))
            continue;
        int64_t at = len == COSIGNED_LEN ? read_time(bytes + PROV__KEY_ID) : -1;
        if (!verifies(c->body, key, bytes + PROV__KEY_ID, at))
            return PROV__FORGED;
        if (!found || at > out->at)
            *out = (struct prov__cosignature){at, {line.at, line.len + 1}};
        found = true;
    }
    return found ? PROV__SIGNED : PROV__UNSIGNED;
}

void prov__cosign_line(const struct prov__vkey *key, int64_t at,
                       const uint8_t signature[VAULT_SIGNATURE], struct buf *out)
{
    uint8_t bytes[COSIGNED_LEN];
    char base64[VAULT_BASE64(sizeof bytes)];
    memcpy(bytes, key->id, PROV__KEY_ID);
    for (int i = 0; i < TIMESTAMP; i++)
        bytes[PROV__KEY_ID + i] = (uint8_t)((uint64_t)at >> (8 * (TIMESTAMP - 1 - i)));
    memcpy(bytes + PROV__KEY_ID + TIMESTAMP, signature, VAULT_SIGNATURE);
    vault_base64(bytes, sizeof bytes, base64);
    buf_addf(out, "%s%s %s\n", dash, key->name, base64);
}

/* ---- requests ---- */

const char *prov__request_read(const char *bytes, size_t len, struct prov__request *out)
{
    static const char old[] = "old ";
    struct prov__text rest = {bytes, len}, line;
    if (len > PROV__REQUEST_MAX)
        return "the request is too long";
    if (!prov__line_take(&rest, &line) || line.len < sizeof old - 1 ||
        memcmp(line.at, old, sizeof old - 1) != 0)
        return "the first line is not `old` and a size";
    line.at += sizeof old - 1;
    line.len -= sizeof old - 1;
    if (!prov__size_read(line, &out->old))
        return "the old size is not a decimal number";
    out->proof.count = 0;
    for (;;) {
        if (!prov__line_take(&rest, &line))
            return "no empty line ends the proof";
        if (line.len == 0)
            break;
        if (out->proof.count == PROV__PROOF_LINES)
            return "the proof has over 63 lines";
        if (vault_unbase64(line.at, line.len, out->proof.hash[out->proof.count++], VAULT_HASH) !=
            VAULT_HASH)
            return "a line of the proof is not the base64 of 32 bytes";
    }
    out->note = rest;
    return NULL;
}

void prov__request_write(int64_t old, const struct prov__proof *proof, const char *note,
                         struct buf *out)
{
    char base64[VAULT_BASE64(VAULT_HASH)];
    buf_addf(out, "old %lld\n", (long long)old);
    for (size_t i = 0; i < proof->count; i++) {
        vault_base64(proof->hash[i], VAULT_HASH, base64);
        buf_addf(out, "%s\n", base64);
    }
    buf_addf(out, "\n%s", note);
}

int64_t prov__conflict_read(const char *bytes, size_t len)
{
    struct prov__text rest = {bytes, len}, line;
    int64_t size;
    return prov__line_take(&rest, &line) && rest.len == 0 && prov__size_read(line, &size) ? size
                                                                                          : -1;
}

/* ---- keys ---- */

int prov__vkeys_read(enum prov__vkey_type type, const char *text, struct prov__vkey *out, int max)
{
    static const char space[] = " \t\r\n";
    int count = 0;
    for (text += strspn(text, space); *text; text += strspn(text, space)) {
        size_t len = strcspn(text, space);
        if (*text == '#') {
            text += strcspn(text, "\n");
            continue;
        }
        char line[VAULT_LABEL];
        if (len >= sizeof line || count == max)
            return -1;
        memcpy(line, text, len);
        line[len] = '\0';
        if (!prov__vkey_read_as(type, line, &out[count]))
            return -1;
        count++;
        text += len;
    }
    return count;
}
