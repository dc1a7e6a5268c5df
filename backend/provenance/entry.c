/* The canonical form of an entry, written and read. docs/evidence-format.md describes it.
 *
 * Reading is strict: each byte is as the writer would have put it, in the order of RFC 8785, so
 * that one entry has one form and a second parser's view of it cannot differ. */
#include "backend/provenance/internal.h"

#include "backend/base/clock.h"
#include "backend/base/text.h"
#include <stdlib.h>
#include <string.h>

enum {
    MAX_ACTOR = 1024,
    MAX_TAGS = 32,
    MAX_TAG = 64,
    MAX_ENTRY = 64 * 1024,
    MAX_CONFIDENCE = 1000
};

static const char hmac_member[] = "\"payload_hmac\":\"";
static const char sha_member[] = "\",\"payload_sha256\":\"";
enum {
    HMAC_AT = sizeof hmac_member - 1,
    SHA_AT = HMAC_AT + 2 * VAULT_HASH + sizeof sha_member - 1,
    CUT_LEN = SHA_AT + 2 * VAULT_HASH + 2 /* quote and comma */
};

enum { HEX_PIECE = 16, NO_DIGIT = 0x80 };

/* The value of a hex digit, or NO_DIGIT. Without branches: in loops of a constant length the
 * compiler takes many at once. */
static inline uint8_t digit(char c)
{
    uint8_t decimal = (uint8_t)(c - '0'), letter = (uint8_t)(c - 'a');
    uint8_t value = letter <= 5 ? (uint8_t)(letter + 10) : NO_DIGIT;
    return decimal <= 9 ? decimal : value;
}

static bool is_hex(const char *s, size_t len)
{
    uint8_t wrong = 0;
    for (; len >= HEX_PIECE; s += HEX_PIECE, len -= HEX_PIECE)
        for (int i = 0; i < HEX_PIECE; i++)
            wrong |= digit(s[i]);
    for (; len > 0; s++, len--)
        wrong |= digit(*s);
    return !(wrong & NO_DIGIT);
}

static bool is_id(const char *s)
{
    return strlen(s) == 32 && is_hex(s, 32);
}

/* ---- writing ---- */

static void add_string(struct buf *out, const char *text)
{
    json_t *string = json_text(text, strlen(text));
    BUG_IF(jcs_write(string, out) != ERR_OK);
    json_decref(string);
}

static void add_number(struct buf *out, int64_t n)
{
    char digits[20];
    size_t at = sizeof digits;
    BUG_IF(n < 0);
    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    buf_add(out, digits + at, sizeof digits - at);
}

static void add_member(struct buf *out, const char *before, const char *text)
{
    buf_adds(out, before);
    buf_adds(out, text);
    buf_addc(out, '"');
}

static bool known_transform(const char *name)
{
    static const char *const names[] = {
#define TRANSFORM(transform, meaning) transform,
#include "backend/provenance/transforms.def"
#undef TRANSFORM
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static enum err check(const struct prov_entry *entry, const struct prov__write *w, struct error *e)
{
    if (strlen(entry->actor) > MAX_ACTOR)
        return err_set(e, ERR_TOO_BIG, "an actor's name has over %d bytes", MAX_ACTOR);
    for (int i = 0; entry->pii_tags && entry->pii_tags[i]; i++)
        if (i == MAX_TAGS || strlen(entry->pii_tags[i]) > MAX_TAG)
            return err_set(e, ERR_TOO_BIG, "over %d tags, or one over %d bytes", MAX_TAGS, MAX_TAG);
    if (entry->trace_id && *entry->trace_id && !is_id(entry->trace_id))
        return err_set(e, ERR_INVALID, "trace_id is not 32 lower-case hex digits");
    if (entry->conversation && *entry->conversation && !is_id(entry->conversation))
        return err_set(e, ERR_INVALID, "conversation is not 32 lower-case hex digits");
    if (entry->parent_count > PROV__PARENTS)
        return err_set(e, ERR_TOO_BIG, "over %d parents", PROV__PARENTS);
    for (size_t i = 0; i < entry->parent_count; i++) { /* P3 */
        const struct prov_edge *edge = &entry->parents[i];
        BUG_IF(!known_transform(edge->transform) || edge->confidence > MAX_CONFIDENCE);
        if (edge->seq < 0 || edge->seq >= w->seq)
            return err_set(e, ERR_INVALID, "parent %lld is not an entry before %lld",
                           (long long)edge->seq, (long long)w->seq);
    }
    return ERR_OK;
}

static void add_parents(struct buf *out, const struct prov_entry *entry)
{
    for (size_t i = 0; i < entry->parent_count; i++) {
        const struct prov_edge *edge = &entry->parents[i];
        buf_addf(out, "%s[%lld,\"%s\"", i ? "," : "", (long long)edge->seq, edge->transform);
        if (edge->confidence >= 0)
            buf_addf(out, ",%d", edge->confidence);
        buf_addc(out, ']');
    }
}

static void add_tags(struct buf *out, const char *const *tags)
{
    buf_adds(out, "\"pii_tags\":[");
    for (int i = 0; tags && tags[i]; i++) {
        if (i)
            buf_addc(out, ',');
        add_string(out, tags[i]);
    }
    buf_adds(out, "],");
}

enum err prov__entry_write(const struct prov_entry *entry, const struct prov__write *w,
                           struct buf *out, size_t *cut_at, size_t *cut_len, struct error *e)
{
    enum err code = check(entry, w, e);
    if (code != ERR_OK)
        return code;
    enum { USUAL = 640 };
    char ts[CLOCK_TEXT], hex[2 * VAULT_HASH + 1];
    buf_reserve(out, USUAL);
    buf_adds(out, "{\"actor\":");
    add_string(out, entry->actor);
    if (entry->conversation && *entry->conversation)
        add_member(out, ",\"conversation\":\"", entry->conversation);
    add_member(out, ",\"key_id\":\"", w->key_id);
    buf_adds(out, ",\"parents\":[");
    add_parents(out, entry);
    buf_adds(out, "],");
    *cut_at = out->len;
    *cut_len = CUT_LEN;
    memset(hex, '0', sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    buf_adds(out, hmac_member);
    buf_adds(out, hex);
    add_member(out, sha_member, hex);
    buf_addc(out, ',');
    add_tags(out, entry->pii_tags);
    text_hex(w->prev, VAULT_HASH, hex);
    add_member(out, "\"prev\":\"", hex);
    buf_adds(out, ",\"seq\":");
    add_number(out, w->seq);
    add_member(out, ",\"session\":\"", w->session);
    if (entry->trace_id && *entry->trace_id)
        add_member(out, ",\"trace_id\":\"", entry->trace_id);
    clock_format(w->ts, ts);
    add_member(out, ",\"ts\":\"", ts);
    add_member(out, ",\"type\":\"", entry->type);
    buf_adds(out, ",\"v\":2}");
    return ERR_OK;
}

void prov__entry_ad(const char *bytes, size_t len, size_t cut_at, size_t cut_len, struct buf *out)
{
    buf_clear(out);
    buf_add(out, bytes, cut_at);
    buf_add(out, bytes + cut_at + cut_len, len - cut_at - cut_len);
}

void prov__entry_fill(char *bytes, size_t cut_at, const uint8_t hmac[VAULT_HASH],
                      const uint8_t sha256[VAULT_HASH])
{
    char hex[2 * VAULT_HASH + 1];
    text_hex(hmac, VAULT_HASH, hex);
    memcpy(bytes + cut_at + HMAC_AT, hex, 2 * VAULT_HASH);
    text_hex(sha256, VAULT_HASH, hex);
    memcpy(bytes + cut_at + SHA_AT, hex, 2 * VAULT_HASH);
}

/* ---- reading ---- */

struct reader {
    const char *at, *end;
    bool bad;
};

/* Inlined, so that the literal's length is known where it is compared. */
static inline __attribute__((always_inline)) void skip(struct reader *r, const char *literal)
{
    size_t len = strlen(literal);
    if (r->bad || (size_t)(r->end - r->at) < len || memcmp(r->at, literal, len) != 0)
        r->bad = true;
    else
        r->at += len;
}

static inline __attribute__((always_inline)) bool next_is(const struct reader *r,
                                                          const char *literal)
{
    size_t len = strlen(literal);
    return !r->bad && (size_t)(r->end - r->at) >= len && memcmp(r->at, literal, len) == 0;
}

/* Lower-case hex digits, copied. */
static void take_hex(struct reader *r, size_t digits, char *out)
{
    out[0] = '\0';
    if (r->bad || (size_t)(r->end - r->at) < digits || !is_hex(r->at, digits)) {
        r->bad = true;
        return;
    }
    memcpy(out, r->at, digits);
    out[digits] = '\0';
    r->at += digits;
}

static void take_hash(struct reader *r, uint8_t out[VAULT_HASH])
{
    uint8_t value[2 * VAULT_HASH], wrong = 0;
    if (r->bad || r->end - r->at < 2 * VAULT_HASH) {
        r->bad = true;
        return;
    }
    for (int i = 0; i < 2 * VAULT_HASH; i++)
        value[i] = digit(r->at[i]);
    for (int i = 0; i < 2 * VAULT_HASH; i++)
        wrong |= value[i];
    for (int i = 0; i < VAULT_HASH; i++)
        out[i] = (uint8_t)(value[2 * i] << 4 | value[2 * i + 1]);
    r->bad = (wrong & NO_DIGIT) != 0;
    r->at += 2 * VAULT_HASH;
}

/* A number as JCS writes it, up to 2^53. */
static int64_t take_number(struct reader *r)
{
    int64_t n = 0;
    const char *start = r->at;
    while (!r->bad && r->at < r->end && *r->at >= '0' && *r->at <= '9' && r->at - start < 17)
        n = n * 10 + (*r->at++ - '0');
    if (r->at == start || (*start == '0' && r->at - start > 1) || n > INT64_C(1) << 53)
        r->bad = true;
    return n;
}

/* One escape of a string in the one form that JCS has for it; its length, or 0. There is no NUL. */
static size_t escape_length(const char *s, size_t len)
{
    if (len < 2)
        return 0;
    if (strchr("\"\\bfnrt", s[1]) && s[1])
        return 2;
    bool control = len >= 6 && s[1] == 'u' && s[2] == '0' && s[3] == '0' &&
                   (s[4] == '0' || s[4] == '1') && is_hex(s + 5, 1);
    bool has_other = control && s[4] == '0' && strchr("089acd", s[5]);
    return control && !has_other ? 6 : 0;
}

static inline bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* A string between its quotes, which must be there. */
static struct prov__text take_string(struct reader *r)
{
    skip(r, "\"");
    const char *start = r->at;
    while (!r->bad && r->at < r->end && *r->at != '"') {
        while (r->at < r->end && is_plain(*r->at))
            r->at++;
        if (r->at == r->end || *r->at == '"')
            break;
        size_t n, left = (size_t)(r->end - r->at);
        uint32_t cp;
        if (*r->at == '\\')
            n = escape_length(r->at, left);
        else if ((unsigned char)*r->at < 0x20)
            n = 0;
        else
            n = (n = text_decode(r->at, left, &cp)) && !(cp & TEXT_BAD) ? n : 0;
        r->bad |= n == 0;
        r->at += n;
    }
    struct prov__text text = {start, (size_t)(r->at - start)};
    skip(r, "\"");
    return text;
}

/* A string of lower-case letters and, with dots, of dots: the names of the .def files. */
static struct prov__text take_name(struct reader *r, bool dots)
{
    struct prov__text name = take_string(r);
    r->bad |= name.len == 0;
    for (size_t i = 0; !r->bad && i < name.len; i++)
        r->bad |= !(name.at[i] >= 'a' && name.at[i] <= 'z') && !(dots && name.at[i] == '.');
    return name;
}

/* [seq,"transform"] or [seq,"transform",confidence] */
static void take_edge(struct reader *r, struct prov__header *h, size_t n)
{
    skip(r, "[");
    h->parents[n] = take_number(r);
    skip(r, ",");
    h->transforms[n] = take_name(r, false);
    if (next_is(r, ",")) {
        skip(r, ",");
        int64_t confidence = take_number(r);
        r->bad |= confidence > MAX_CONFIDENCE;
        h->confidences[n] = (int16_t)(r->bad ? -1 : confidence);
    }
    skip(r, "]");
}

/* Edges in version 2, bare numbers in version 1, which stands at the end: it must be the one that
 * the first parent shows; 0 without parents. */
static int take_parents(struct reader *r, struct prov__header *h)
{
    skip(r, "[");
    h->parent_count = 0;
    int shows = next_is(r, "]") ? 0 : next_is(r, "[") ? 2 : 1;
    while (!r->bad && !next_is(r, "]")) {
        size_t n = h->parent_count;
        if (n)
            skip(r, ",");
        if (n == PROV__PARENTS) {
            r->bad = true;
            break;
        }
        h->transforms[n] = (struct prov__text){"", 0};
        h->confidences[n] = -1;
        if (shows == 2)
            take_edge(r, h, n);
        else
            h->parents[n] = take_number(r);
        h->parent_count++;
    }
    skip(r, "]");
    return shows;
}

static struct prov__text take_tags(struct reader *r)
{
    const char *start = r->at;
    skip(r, "[");
    for (int n = 0; !r->bad && !next_is(r, "]"); n++) {
        if (n)
            skip(r, ",");
        take_string(r);
    }
    skip(r, "]");
    return (struct prov__text){start, (size_t)(r->at - start)};
}

static void take_ts(struct reader *r, int64_t *ts)
{
    struct prov__text text = take_string(r);
    char copy[CLOCK_TEXT];
    if (r->bad || text.len >= sizeof copy) {
        r->bad = true;
        return;
    }
    memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    r->bad |= clock_parse(copy, ts) != 0; /* which takes one form of a time only */
}

static void take_optional_id(struct reader *r, const char *member, char out[33])
{
    out[0] = '\0';
    if (!next_is(r, member))
        return;
    skip(r, member);
    take_hex(r, 32, out);
    skip(r, "\"");
}

const char *prov__entry_read(const char *bytes, size_t len, struct prov__header *h)
{
    struct reader r = {bytes, bytes + len, false};
    if (len > MAX_ENTRY)
        return "the entry is larger than an entry can be";
    skip(&r, "{\"actor\":");
    h->actor = take_string(&r);
    take_optional_id(&r, ",\"conversation\":\"", h->conversation);
    skip(&r, ",\"key_id\":\"");
    take_hex(&r, 16, h->key_id);
    skip(&r, "\",\"parents\":");
    int shows = take_parents(&r, h);
    skip(&r, ",");
    h->cut_at = (size_t)(r.at - bytes);
    h->cut_len = CUT_LEN;
    skip(&r, hmac_member);
    take_hash(&r, h->hmac);
    skip(&r, sha_member);
    take_hash(&r, h->sha256);
    skip(&r, "\",\"pii_tags\":");
    h->tags = take_tags(&r);
    skip(&r, ",\"prev\":\"");
    take_hash(&r, h->prev);
    skip(&r, "\",\"seq\":");
    h->seq = take_number(&r);
    skip(&r, ",\"session\":\"");
    take_hex(&r, 32, h->session);
    skip(&r, "\"");
    take_optional_id(&r, ",\"trace_id\":\"", h->trace_id);
    skip(&r, ",\"ts\":");
    take_ts(&r, &h->ts);
    skip(&r, ",\"type\":");
    h->type = take_name(&r, true);
    h->version = next_is(&r, ",\"v\":1}") ? 1 : 2;
    skip(&r, h->version == 1 ? ",\"v\":1}" : ",\"v\":2}");
    if (r.bad || r.at != r.end || (shows && shows != h->version))
        return "the entry is not in canonical form";
    return NULL;
}
