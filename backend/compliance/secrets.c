/* Passwords, keys and tokens in text: by the forms that services give them, by the name before
 * them, and in addresses. A placeholder is no secret. */
#include "backend/compliance/internal.h"
#include <string.h>

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

static bool has_known_form(const struct pol_text *t)
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
                return true;
        }
    }
    return false;
}

static bool has_private_key(const struct pol_text *t)
{
    const char *begin = strstr(t->raw, "-----BEGIN ");
    return begin && strstr(begin, "PRIVATE KEY-----");
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
static bool has_jwt(const struct pol_text *t)
{
    for (const char *p = t->raw; (p = strstr(p, "eyJ")); p++) {
        size_t n = 0;
        while (n < LONGEST && is_token_char(p[n]))
            n++;
        if (n > 15 && strncmp(p + n, ".eyJ", 4) == 0)
            return true;
    }
    return false;
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
static bool has_assignment(const struct pol_text *t)
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
            if (is_secret_value(t, at, 8))
                return true;
            p = t->lower + at + value_len(t->lower + at) - 1; /* never before where it was */
        }
    }
    return false;
}

/* "Authorization: Basic base64" and "Bearer token". */
static bool has_authorization(const struct pol_text *t)
{
    static const char basic[] = "authorization: basic ", bearer[] = "bearer ";
    const char *p = strstr(t->lower, basic);
    size_t len = p ? value_len(p + sizeof basic - 1) : 0;
    if (len >= 8 && !is_placeholder(p + sizeof basic - 1, len))
        return true;
    for (p = t->lower; (p = strstr(p, bearer)); p++)
        if (is_secret_value(t, (size_t)(p - t->lower) + sizeof bearer - 1, 16))
            return true;
    return false;
}

/* scheme://user:password@host */
static bool has_address_password(const struct pol_text *t)
{
    for (const char *p = t->lower; (p = strstr(p, "://")); p += 3) {
        size_t len = strcspn(p + 3, " \t\r\n\"'<>/?");
        const char *user = p + 3, *at = memrchr(user, '@', len);
        const char *colon = at ? memchr(user, ':', (size_t)(at - user)) : NULL;
        if (colon && at - colon > 3 && !is_placeholder(colon + 1, (size_t)(at - colon - 1)))
            return true;
    }
    return false;
}

bool pol__has_secret(const struct pol_text *t)
{
    return has_known_form(t) || has_jwt(t) || has_private_key(t) || has_authorization(t) ||
           has_address_password(t) || has_assignment(t);
}
