/* The texts in a bundle, written and read. Each has one form; what is read must have it to the last
 * byte. */
#include "backend/provenance/bundle_parts.h"

#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/trust.h"
#include <stdlib.h>
#include <string.h>

const char *const bundle__names[BUNDLE__PARTS] = {
    [BUNDLE__README] = "README.md",         [BUNDLE__STATE] = "statement.json",
    [BUNDLE__DSSE] = "statement.dsse.json", [BUNDLE__ENTRIES] = "entries.jsonl",
    [BUNDLE__PAYLOADS] = "payloads.jsonl",  [BUNDLE__KEYS] = "keys",
    [BUNDLE__POLICY] = "policy.json",       [BUNDLE__CONTROLS] = "oscal-assessment-results.json",
    [BUNDLE__SBOM] = "sbom.cdx.json",       [BUNDLE__LINEAGE] = "lineage.json",
    [BUNDLE__REPORT] = "report.html",
};
const char bundle__controls_once[] = "controls.json";
const char *const bundle__states[4] = {"disclosed", "attested", "withheld", "erased"};

bool bundle__line(struct prov__text *text, struct prov__text *line)
{
    const char *end = text->len ? memchr(text->at, '\n', text->len) : NULL;
    if (!end)
        return false;
    *line = (struct prov__text){text->at, (size_t)(end - text->at)};
    text->at = end + 1;
    text->len -= line->len + 1;
    return true;
}

bool bundle__number(struct prov__text text, int64_t *out)
{
    int64_t value = 0;
    if (text.len == 0 || text.len > 16 || (text.len > 1 && text.at[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = 10 * value + (text.at[i] - '0');
    }
    *out = value;
    return value <= INT64_C(1) << 53;
}

static bool cut(struct prov__text *text, const char *prefix)
{
    size_t len = strlen(prefix);
    if (text->len < len || memcmp(text->at, prefix, len) != 0)
        return false;
    text->at += len;
    text->len -= len;
    return true;
}

static bool cut_end(struct prov__text *text, const char *suffix)
{
    size_t len = strlen(suffix);
    if (text->len < len || memcmp(text->at + text->len - len, suffix, len) != 0)
        return false;
    text->len -= len;
    return true;
}

/* ---- entries and their lineage ---- */

const char *bundle__entries_read(const char *text, size_t len, struct bundle__entries *out,
                                 size_t *at)
{
    struct prov__text rest = {text, len}, line;
    struct prov__header h;
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += text[i] == '\n';
    *out = (struct bundle__entries){0};
    *at = 0;
    if (count > BUNDLE_ENTRIES)
        return "it has more entries than a bundle may hold";
    out->text = xcalloc(count + 1, sizeof *out->text);
    out->seq = xcalloc(count + 1, sizeof *out->seq);
    out->leaf = xcalloc(count + 1, sizeof *out->leaf);
    while (bundle__line(&rest, &line)) {
        *at = out->count;
        const char *problem = prov__entry_read(line.at, line.len, &h);
        if (problem)
            return problem;
        if (out->count && h.seq <= out->seq[out->count - 1])
            return "its number does not follow";
        out->text[out->count] = line;
        out->seq[out->count] = h.seq;
        prov__leaf(line.at, line.len, out->leaf[out->count]);
        out->count++;
    }
    *at = out->count;
    return rest.len ? "the last line is cut off" : NULL;
}

void bundle__entries_release(struct bundle__entries *e)
{
    free(e->text);
    free(e->seq);
    free(e->leaf);
    *e = (struct bundle__entries){0};
}

static json_t *quoted(struct prov__text text) /* checked by the scanner, in JSON form */
{
    json_t *value = json_loadb(text.at - 1, text.len + 2, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    return value ? value : json_null();
}

static void add_node(const struct prov__header *h, struct prov__text entry, json_t *nodes,
                     json_t *edges)
{
    uint8_t hash[VAULT_HASH];
    char hex[2 * VAULT_HASH + 1], ts[CLOCK_TEXT];
    json_t *node = json_object();
    vault_sha256(entry.at, entry.len, NULL, 0, hash);
    text_hex(hash, VAULT_HASH, hex);
    clock_format(h->ts, ts);
    json_puti(node, "id", h->seq);
    json_puts(node, "hash", hex);
    json_puts(node, "produced_at", ts);
    json_put(node, "transform_type", quoted(h->type));
    json_put(node, "actor", quoted(h->actor));
    json_array_append_new(nodes, node);
    for (size_t i = 0; i < h->parent_count; i++) {
        json_t *edge = json_object();
        json_puti(edge, "from", h->parents[i]);
        json_puti(edge, "to", h->seq);
        if (h->transforms[i].len)
            json_put(edge, "transform", quoted(h->transforms[i]));
        if (h->confidences[i] >= 0)
            json_puti(edge, "confidence", h->confidences[i]);
        json_array_append_new(edges, edge);
    }
}

void bundle__lineage(const struct bundle__entries *entries, struct buf *out)
{
    struct prov__header h;
    json_t *graph = json_object(), *nodes = json_array(), *edges = json_array();
    for (size_t i = 0; i < entries->count && i < BUNDLE__NODES; i++)
        if (prov__entry_read(entries->text[i].at, entries->text[i].len, &h) == NULL)
            add_node(&h, entries->text[i], nodes, edges);
    json_put(graph, "nodes", nodes);
    json_put(graph, "edges", edges);
    json_put(graph, "truncated", json_boolean(entries->count > BUNDLE__NODES));
    BUG_IF(jcs_write(graph, out) != ERR_OK);
    json_decref(graph);
}

/* ---- payloads ---- */

void bundle__payload_write(const struct bundle__payload *p, struct buf *out)
{
    char hex[2 * VAULT_HASH + 1];
    buf_addc(out, '{');
    if (p->state == BUNDLE__DISCLOSED) {
        text_hex(p->commit_key, VAULT_KEY, hex);
        buf_addf(out, "\"commit_key\":\"%s\",", hex);
    }
    if (p->state == BUNDLE__ERASED)
        buf_addf(out, "\"entry\":%lld,", (long long)p->erase_entry);
    if (p->state <= BUNDLE__ATTESTED) {
        buf_adds(out, "\"payload\":");
        buf_add(out, p->plain.at, p->plain.len);
        buf_addc(out, ',');
    } else {
        text_hex(p->sealed_sha256, VAULT_HASH, hex);
        if (p->state == BUNDLE__WITHHELD)
            buf_addf(out, "\"reason\":\"%.*s\",", (int)p->reason.len, p->reason.at);
        buf_addf(out, "\"sealed_sha256\":\"%s\",", hex);
    }
    buf_addf(out, "\"seq\":%lld,\"state\":\"%s\"}\n", (long long)p->seq, bundle__states[p->state]);
}

static bool cut_hash(struct prov__text *text, const char *prefix, uint8_t out[VAULT_HASH])
{
    char hex[2 * VAULT_HASH + 1] = "";
    if (!cut(text, prefix) || text->len < 2 * VAULT_HASH + 1)
        return false;
    memcpy(hex, text->at, 2 * VAULT_HASH);
    text->at += 2 * VAULT_HASH;
    text->len -= 2 * VAULT_HASH;
    return text_unhex(hex, out, VAULT_HASH) == 0 && cut(text, "\"");
}

/* The members before those that every state has. */
static bool read_members(struct prov__text *text, struct bundle__payload *out)
{
    struct prov__text number = *text;
    switch (out->state) {
    case BUNDLE__DISCLOSED:
        if (!cut_hash(text, "{\"commit_key\":\"", out->commit_key) || !cut(text, ",\"payload\":"))
            return false;
        out->plain = *text;
        return text->len > 0;
    case BUNDLE__ATTESTED:
        if (!cut(text, "{\"payload\":"))
            return false;
        out->plain = *text;
        return text->len > 0;
    case BUNDLE__WITHHELD:
        if (!cut(text, "{\"reason\":\""))
            return false;
        out->reason = (struct prov__text){text->at, 0};
        while (out->reason.len < text->len &&
               (text->at[out->reason.len] == ' ' ||
                (text->at[out->reason.len] >= 'a' && text->at[out->reason.len] <= 'z')))
            out->reason.len++;
        text->at += out->reason.len;
        text->len -= out->reason.len;
        return cut_hash(text, "\",\"sealed_sha256\":\"", out->sealed_sha256);
    default:
        if (!cut(text, "{\"entry\":"))
            return false;
        number = (struct prov__text){text->at, strspn(text->at, "0123456789")};
        if (number.len > text->len || !bundle__number(number, &out->erase_entry))
            return false;
        text->at += number.len;
        text->len -= number.len;
        return cut_hash(text, ",\"sealed_sha256\":\"", out->sealed_sha256);
    }
}

/* What it must have been written from is written again and compared: so that one form is left. */
bool bundle__payload_read(const char *line, size_t len, struct bundle__payload *out)
{
    struct prov__text text = {line, len}, seq;
    struct buf again = {0};
    size_t state = 0;
    *out = (struct bundle__payload){0};
    if (!cut_end(&text, "\"}"))
        return false;
    while (state < 4 && !cut_end(&text, bundle__states[state]))
        state++;
    if (state == 4 || !cut_end(&text, ",\"state\":\""))
        return false;
    out->state = (enum bundle__state)state;
    seq = (struct prov__text){text.at + text.len, 0};
    while (text.len && text.at[text.len - 1] >= '0' && text.at[text.len - 1] <= '9') {
        text.len--;
        seq.at--;
        seq.len++;
    }
    if (!bundle__number(seq, &out->seq) || !cut_end(&text, ",\"seq\":") ||
        !read_members(&text, out))
        return false;
    bundle__payload_write(out, &again);
    bool same = again.len == len + 1 && memcmp(again.data, line, len) == 0;
    buf_release(&again);
    return same;
}

/* ---- proofs ---- */

static void put_hashes(const uint8_t *hash, size_t count, struct buf *out)
{
    char base64[VAULT_BASE64(VAULT_HASH)];
    for (size_t i = 0; i < count; i++) {
        vault_base64(hash + i * VAULT_HASH, VAULT_HASH, base64);
        buf_addf(out, "%s\n", base64);
    }
}

void bundle__proofs_write(const struct bundle__tree *t, struct buf *out)
{
    buf_addf(out, "mcp-console proofs v1\nepoch %lld\nbase %lld\nsize %lld\ninclusion %zu\n",
             (long long)t->epoch, (long long)t->base, (long long)t->size, t->cover_count);
    put_hashes(t->cover, t->cover_count, out);
    for (size_t i = 0; i < t->consistency_count; i++) {
        buf_addf(out, "consistency %lld %zu\n", (long long)t->consistency[i].from,
                 t->consistency[i].proof.count);
        put_hashes(t->consistency[i].proof.hash[0], t->consistency[i].proof.count, out);
    }
}

static bool read_hashes(struct prov__text *rest, size_t count, uint8_t *out)
{
    struct prov__text line;
    for (size_t i = 0; i < count; i++)
        if (!bundle__line(rest, &line) ||
            vault_unbase64(line.at, line.len, out + i * VAULT_HASH, VAULT_HASH) != VAULT_HASH)
            return false;
    return true;
}

static bool read_named(struct prov__text *rest, const char *name, int64_t *out)
{
    struct prov__text line;
    return bundle__line(rest, &line) && cut(&line, name) && bundle__number(line, out);
}

static bool read_consistency(struct prov__text *rest, struct bundle__tree *out)
{
    struct prov__text line, from;
    int64_t count;
    if (out->consistency_count == BUNDLE__NOTES || !bundle__line(rest, &line) ||
        !cut(&line, "consistency "))
        return false;
    const char *space = memchr(line.at, ' ', line.len);
    if (!space)
        return false;
    from = (struct prov__text){line.at, (size_t)(space - line.at)};
    line = (struct prov__text){space + 1, line.len - from.len - 1};
    struct prov__proof *proof = &out->consistency[out->consistency_count].proof;
    if (!bundle__number(from, &out->consistency[out->consistency_count].from) ||
        !bundle__number(line, &count) || count > PROV__LEVELS + 1)
        return false;
    proof->count = (size_t)count;
    out->consistency_count++;
    return read_hashes(rest, proof->count, proof->hash[0]);
}

bool bundle__proofs_read(const char *text, size_t len, struct bundle__tree *out, struct buf *hashes)
{
    struct prov__text rest = {text, len}, line;
    int64_t count;
    *out = (struct bundle__tree){0};
    if (!bundle__line(&rest, &line) || !cut(&line, "mcp-console proofs v1") || line.len ||
        !read_named(&rest, "epoch ", &out->epoch) || !read_named(&rest, "base ", &out->base) ||
        !read_named(&rest, "size ", &out->size) || !read_named(&rest, "inclusion ", &count) ||
        (size_t)count > rest.len / VAULT_HASH)
        return false;
    out->cover_count = (size_t)count;
    buf_clear(hashes);
    buf_reserve(hashes, out->cover_count * VAULT_HASH);
    out->cover = (const uint8_t *)hashes->data;
    if (!read_hashes(&rest, out->cover_count, (uint8_t *)hashes->data))
        return false;
    while (rest.len)
        if (!read_consistency(&rest, out))
            return false;
    return true;
}

/* ---- keys ---- */

void bundle__keys_write(const struct bundle__keys *keys, struct buf *out)
{
    char line[VAULT_LABEL];
    for (size_t i = 0; i < keys->count; i++) {
        prov__vkey_write(&keys->at[i].vkey, line);
        buf_addf(out, "%lld %s\n", (long long)keys->at[i].first, line);
    }
    for (size_t i = 1; i < keys->count; i++)
        buf_addf(out, "\n%s", keys->at[i].note ? keys->at[i].note : "");
}

static bool read_key(struct prov__text line, struct bundle__keys *out)
{
    struct bundle__key *key = &out->at[out->count];
    const char *space = line.len ? memchr(line.at, ' ', line.len) : NULL;
    if (!space || out->count == BUNDLE__KEYS_MOST || memchr(line.at, '\0', line.len))
        return false;
    struct prov__text first = {line.at, (size_t)(space - line.at)};
    char *vkey = xstrndup(space + 1, line.len - first.len - 1);
    bool good = bundle__number(first, &key->first) && prov__vkey_read(vkey, &key->vkey) &&
                (out->count ? key->first > key[-1].first : key->first == 0);
    free(vkey);
    key->note = NULL;
    out->count += good;
    return good;
}

/* The statement by which the key before hands on to this one. */
static bool read_handover(struct prov__text *rest, struct bundle__key *key)
{
    size_t len =
        rest->len > 1 && rest->at[0] == '\n' ? prov__note_length(rest->at + 1, rest->len - 1) : 0;
    if (len == 0 ||
        prov__handover_check(rest->at + 1, len, &key[-1].vkey, &key->vkey, key->first) != NULL)
        return false;
    key->note = xstrndup(rest->at + 1, len);
    rest->at += len + 1;
    rest->len -= len + 1;
    return true;
}

bool bundle__keys_read(const char *text, size_t len, struct bundle__keys *out)
{
    struct prov__text rest = {text, len}, line;
    out->count = 0;
    while (rest.len && rest.at[0] != '\n')
        if (!bundle__line(&rest, &line) || !read_key(line, out))
            return false;
    for (size_t i = 1; i < out->count; i++)
        if (!read_handover(&rest, &out->at[i]))
            return false;
    return out->count > 0 && rest.len == 0;
}

void bundle__keys_release(struct bundle__keys *keys)
{
    for (size_t i = 0; i < keys->count; i++)
        free(keys->at[i].note);
    keys->count = 0;
}

const struct prov__vkey *bundle__key_at(const struct bundle__keys *keys, int64_t size)
{
    const struct prov__vkey *found = NULL;
    for (size_t i = 0; i < keys->count && keys->at[i].first < size; i++)
        found = &keys->at[i].vkey;
    return found;
}
