/* Passwords, keys and tokens in text: by the forms that services give them, by the name before
 * them, and in addresses. A placeholder is no secret. */
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

/* What was found: parts of the text, in any order, that may overlap. */
struct spans {
    struct span {
        size_t from, to;
    } * list;
    size_t count, cap;
};

static void add(struct spans *s, size_t from, size_t to)
{
    if (s->count == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 8;
        s->list = xrealloc(s->list, s->cap * sizeof *s->list);
    }
    s->list[s->count++] = (struct span){from, to};
}

static bool is_token_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '-';
}

/* A prefix that a service gives its keys, and how many token characters follow at least. */
static const struct {
    const char *prefix;
    size_t least;
} forms[] = {
    {"ghp_", 30},
    {"gho_", 30},
    {"ghu_", 30},
    {"ghs_", 30},
    {"ghr_", 30},
    {"github_pat_", 20},
    {"glpat-", 16},
    {"sk-", 20},
    {"sk_live_", 16},
    {"sk_test_", 16},
    {"rk_live_", 16},
    {"xoxb-", 10},
    {"xoxp-", 10},
    {"xoxa-", 10},
    {"xoxr-", 10},
    {"xapp-", 10},
    {"AKIA", 16},
    {"ASIA", 16},
    {"AIza", 30},
    {"npm_", 30},
    {"pypi-", 40},
    {"hf_", 30},
    {"SG.", 20},
    {"hvs.", 20},
    {"dop_v1_", 40},
    {"shpat_", 30},
    {"AQVN", 30},
    {"y0_", 30},
    {"AGE-SECRET-KEY-1", 40},
    {"glc_", 30},
    {"lin_api_", 30},
};

static void find_known_forms(const struct pol_text *t, struct spans *s)
{
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        size_t len = strlen(forms[f].prefix);
        for (const char *p = t->raw; (p = strstr(p, forms[f].prefix)); p++) {
            if (p > t->raw && (is_token_char(p[-1]) || p[-1] == '.'))
                continue;
            size_t n = 0, digits = 0;
            for (; is_token_char(p[len + n]); n++)
                digits += p[len + n] >= '0' && p[len + n] <= '9';
            /* A short one without any digit is a name: sk-learn-contrib-datasets. */
            if (n >= forms[f].least && (digits > 0 || n >= 30))
                add(s, (size_t)(p - t->raw), (size_t)(p - t->raw) + len + n);
        }
    }
}

/* RFC 7468; one without its end goes on to the end of the text. */
static void find_private_keys(const struct pol_text *t, struct spans *s)
{
    static const char begins[] = "-----BEGIN ", ends[] = "-----END ", dashes[] = "-----";
    for (const char *p = t->raw; (p = strstr(p, begins)); p += sizeof begins - 1) {
        const char *label = strstr(p + sizeof begins - 1, dashes);
        const char *key = strstr(p, "PRIVATE KEY-----");
        if (!label || !key || key > label)
            continue;
        const char *end = strstr(label, ends);
        end = end ? strstr(end + sizeof ends - 1, dashes) : NULL;
        add(s, (size_t)(p - t->raw), end ? (size_t)(end - t->raw) + sizeof dashes - 1 : t->len);
    }
}

enum { LONGEST = 512 }; /* no secret is looked at beyond this */

/* Length of a value up to a blank, a quote or a bracket. */
static size_t value_len(const char *s)
{
    size_t n = 0;
    while (n < LONGEST && s[n] && !strchr(" \t\r\n\"'`,;<>()[]{}|", s[n]))
        n++;
    return n;
}

/* header.payload.signature, each base64url; a JSON object's encoding starts with eyJ. */
static void find_jwts(const struct pol_text *t, struct spans *s)
{
    for (const char *p = t->raw; (p = strstr(p, "eyJ")); p++) {
        size_t n = 0;
        while (n < LONGEST && is_token_char(p[n]))
            n++;
        if (n <= 15 || strncmp(p + n, ".eyJ", 4) != 0)
            continue;
        while (is_token_char(p[n]) || p[n] == '.')
            n++;
        add(s, (size_t)(p - t->raw), (size_t)(p - t->raw) + n);
        p += n - 1;
    }
}

/* A name of a variable, a mask, or an example in place of a value. */
static bool is_placeholder(const char *lower, size_t len)
{
    static const char *const marks[] = {
        "env:", "xxx",     "***",   "...",      "changeme", "example",
        "your", "secret:", "vault", "redacted", "password", NULL};
    if (len == 0 || strchr("$%*<{", lower[0]))
        return true;
    for (const char *const *m = marks; *m; m++)
        if (memmem(lower, len, *m, strlen(*m)))
            return true;
    return false;
}

/* Long enough, and not a plain word: digits or signs beside letters. */
static bool is_secret_value(const struct pol_text *t, size_t at, size_t least)
{
    size_t len = value_len(t->raw + at), letters = 0, others = 0;
    if (len < least || is_placeholder(t->lower + at, len))
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = t->lower[at + i];
        letters += c >= 'a' && c <= 'z';
        others += (c >= '0' && c <= '9') || (c && strchr("!@#$%^&*+=~?/", c));
    }
    return letters > 0 && others > 0;
}

/* "password = value", "пароль: value", "--token value", "KEY=value". */
static void find_assignments(const struct pol_text *t, struct spans *s)
{
    static const char *const names[] = {
        "password", "passwd", "pwd",     "passphrase",    "secret",     "token",
        "api_key",  "apikey", "api-key", "access_key",    "secret_key", "private_key",
        "пароль",   "парол",  "токен",   "client_secret", "pass",       NULL};
    for (const char *const *name = names; *name; name++) {
        size_t len = strlen(*name);
        for (const char *p = t->lower; (p = strstr(p, *name)); p++) {
            size_t at = (size_t)(p - t->lower) + len;
            while (at < t->len && strchr("\"'`", t->lower[at]))
                at++;
            size_t blanks = strspn(t->lower + at, " \t");
            bool option = p - t->lower >= 2 && p[-1] == '-' && p[-2] == '-' && blanks > 0;
            at += blanks;
            bool assigned = t->lower[at] == '=' || t->lower[at] == ':';
            if (!assigned && !option)
                continue;
            at += assigned;
            at += strspn(t->lower + at, "= \t\"'`");
            size_t n = value_len(t->lower + at);
            if (is_secret_value(t, at, 8))
                add(s, at, at + n);
            p = t->lower + at + n - 1; /* never before where it was */
        }
    }
}

/* "Authorization: Basic base64" and "Bearer token". */
static void find_authorizations(const struct pol_text *t, struct spans *s)
{
    static const char basic[] = "authorization: basic ", bearer[] = "bearer ";
    for (const char *p = t->lower; (p = strstr(p, basic)); p++) {
        size_t at = (size_t)(p - t->lower) + sizeof basic - 1, len = value_len(t->lower + at);
        if (len >= 8 && !is_placeholder(t->lower + at, len))
            add(s, at, at + len);
    }
    for (const char *p = t->lower; (p = strstr(p, bearer)); p++) {
        size_t at = (size_t)(p - t->lower) + sizeof bearer - 1;
        if (is_secret_value(t, at, 16))
            add(s, at, at + value_len(t->lower + at));
    }
}

/* scheme://user:password@host */
static void find_address_passwords(const struct pol_text *t, struct spans *s)
{
    for (const char *p = t->lower; (p = strstr(p, "://")); p += 3) {
        size_t len = strcspn(p + 3, " \t\r\n\"'<>/?");
        const char *user = p + 3, *at = memrchr(user, '@', len);
        const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
        if (colon && at - colon > 3 && !is_placeholder(colon + 1, (size_t)(at - colon - 1)))
            add(s, (size_t)(colon + 1 - t->lower), (size_t)(at - t->lower));
    }
}

static struct spans find(const struct pol_text *t)
{
    struct spans s = {0};
    find_known_forms(t, &s);
    find_jwts(t, &s);
    find_private_keys(t, &s);
    find_authorizations(t, &s);
    find_address_passwords(t, &s);
    find_assignments(t, &s);
    return s;
}

bool pol__has_secret(const struct pol_text *t)
{
    struct spans s = find(t);
    free(s.list);
    return s.count > 0;
}

/* ---- taking them out */

#define REDACTED "[redacted]" /* is_placeholder knows it: what was taken out is not found again */

static int by_place(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    return x->from < y->from ? -1 : x->from > y->from;
}

static pol_find_known *find_known;

void pol_set_known(pol_find_known *look)
{
    __atomic_store_n(&find_known, look, __ATOMIC_RELEASE);
}

static void add_known(struct spans *s, const char *text)
{
    pol_find_known *look = __atomic_load_n(&find_known, __ATOMIC_ACQUIRE);
    size_t len = strlen(text), found = 0;
    for (const char *at = text; look && (at = look(at, len - (size_t)(at - text), &found));
         at += found)
        add(s, (size_t)(at - text), (size_t)(at - text) + found);
}

char *pol_scrub_text(const char *text)
{
    struct pol_text t = pol__text(text);
    struct spans s = find(&t);
    add_known(&s, text);
    struct buf out = {0};
    size_t at = 0;
    pol__text_free(&t);
    if (s.count == 0)
        return NULL;
    qsort(s.list, s.count, sizeof *s.list, by_place);
    for (size_t i = 0; i < s.count; i++) {
        if (s.list[i].to <= at)
            continue;
        if (s.list[i].from >= at) { /* otherwise it goes on from the one before */
            buf_add(&out, text + at, s.list[i].from - at);
            buf_adds(&out, REDACTED);
        }
        at = s.list[i].to;
    }
    buf_adds(&out, text + at);
    free(s.list);
    return buf_take(&out);
}

/* A member whose very name says that its value is a secret, as in {"db_password": "..."}. */
static bool names_secret(const char *name)
{
    static const char *const names[] = {
        "password",   "passwd",     "passphrase",  "secret",        "token",         "api_key",
        "access_key", "secret_key", "private_key", "client_secret", "authorization", "apikey"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (len >= n && strcasecmp(name + len - n, names[i]) == 0 &&
            (len == n || name[len - n - 1] == '_' || name[len - n - 1] == '-'))
            return true;
    }
    return false;
}

static json_t *scrub_string(const char *name, const json_t *value)
{
    const char *text = json_string_value(value);
    if (strlen(text) != json_string_length(value))
        return NULL; /* with a NUL inside it is no text */
    if (name && names_secret(name)) {
        struct pol_text t = pol__text(text);
        bool keep = is_placeholder(t.lower, t.len) || t.lower[0] == '[';
        pol__text_free(&t);
        return keep ? NULL : json_string(REDACTED);
    }
    char *clean = pol_scrub_text(text);
    json_t *out = clean ? json_text(clean, strlen(clean)) : NULL;
    free(clean);
    return out;
}

/* What takes the place of a value, or NULL if it stays. Nothing is copied before something is
 * found: most payloads have no secret. */
static json_t *scrub(const char *name, const json_t *value)
{
    json_t *out = NULL, *one, *clean;
    const char *key;
    size_t i;
    if (json_is_string(value))
        return scrub_string(name, value);
    if (json_is_array(value)) {
        json_array_foreach((json_t *)value, i, one)
        {
            if (!(clean = scrub(name, one)))
                continue;
            out = out ? out : json_copy((json_t *)value);
            json_array_set_new(out, i, clean);
        }
    } else if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, one)
        {
            if (!(clean = scrub(key, one)))
                continue;
            out = out ? out : json_copy((json_t *)value);
            json_put(out, key, clean);
        }
    }
    return out;
}

json_t *pol_scrub(const json_t *value)
{
    json_t *clean = scrub(NULL, value);
    return clean ? clean : json_incref((json_t *)value);
}
