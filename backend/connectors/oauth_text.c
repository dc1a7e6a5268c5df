#include "backend/connectors/oauth_text.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- addresses ---- */
struct parts {
    bool tls;
    const char *host; /* with brackets; into the text */
    size_t host_len;
    unsigned port;
    const char *path; /* what is behind the authority, with query and fragment */
};

static bool host_fine(const char *host, size_t len)
{
    if (!len || len > 255)
        return false;
    bool six = host[0] == '[';
    if (six && (len < 4 || host[len - 1] != ']'))
        return false;
    for (size_t i = six ? 1 : 0; i < len - (six ? 1 : 0); i++) {
        bool fine = six ? isxdigit((unsigned char)host[i]) || host[i] == ':' || host[i] == '.'
                        : isalnum((unsigned char)host[i]) || strchr(".-_", host[i]);
        if (!fine)
            return false;
    }
    return true;
}

static bool take_apart(const char *url, struct parts *p)
{
    *p = (struct parts){0};
    if (!url || strlen(url) > OAUTH_URL_MAX)
        return false;
    for (const char *c = url; *c; c++) {
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || *c == '"' || *c == '\\' ||
            *c == '<' || *c == '>')
            return false;
    }
    if (strncasecmp(url, "https://", 8) == 0)
        p->tls = true;
    else if (strncasecmp(url, "http://", 7) != 0)
        return false;
    p->host = url + (p->tls ? 8 : 7);
    size_t len = strcspn(p->host, "/?#");
    p->path = p->host + len;
    if (memchr(p->host, '@', len))
        return false;
    size_t host = p->host[0] == '[' ? strcspn(p->host, "]") + 1 : strcspn(p->host, ":/?#");
    if (host > len || !host_fine(p->host, host))
        return false;
    p->host_len = host;
    p->port = p->tls ? 443 : 80;
    if (host == len)
        return true;
    if (p->host[host] != ':' || len - host < 2 || len - host > 6)
        return false;
    p->port = 0;
    for (size_t i = host + 1; i < len; i++) {
        if (!isdigit((unsigned char)p->host[i]))
            return false;
        p->port = p->port * 10 + (unsigned)(p->host[i] - '0');
    }
    return p->port > 0 && p->port < 65536;
}

bool oauth__url_fine(const char *url)
{
    struct parts p;
    return take_apart(url, &p);
}

char *oauth__origin(const char *url)
{
    struct parts p;
    if (!take_apart(url, &p))
        return NULL;
    struct buf out = {0};
    buf_adds(&out, p.tls ? "https://" : "http://");
    for (size_t i = 0; i < p.host_len; i++)
        buf_addc(&out, (char)tolower((unsigned char)p.host[i]));
    if (p.port != (p.tls ? 443U : 80U))
        buf_addf(&out, ":%u", p.port);
    return buf_take(&out);
}

bool oauth__same_origin(const char *a, const char *b)
{
    char *one = oauth__origin(a), *two = oauth__origin(b);
    bool same = one && two && strcmp(one, two) == 0;
    free(one);
    free(two);
    return same;
}

bool oauth__is_loopback(const char *url)
{
    struct parts p;
    if (!take_apart(url, &p))
        return false;
    char host[256] = "";
    memcpy(host, p.host, p.host_len); /* host_fine: at most 255 */
    unsigned a, b, c, d;
    char rest;
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
           (sscanf(host, "%3u.%3u.%3u.%3u%c", &a, &b, &c, &d, &rest) == 4 && a == 127);
}

bool oauth__url_trusted(const char *url, const char *server)
{
    struct parts p;
    if (!take_apart(url, &p))
        return false;
    if (oauth__is_loopback(url))
        return oauth__is_loopback(server);
    return p.tls;
}

static size_t path_len(const char *path) /* without query, fragment, and slashes at the end */
{
    size_t len = strcspn(path, "?#");
    while (len && path[len - 1] == '/')
        len--;
    return len;
}

char *oauth__url_join(const char *base, const char *ref)
{
    struct parts p;
    char *out;
    if (!take_apart(base, &p) || !ref || strlen(ref) > OAUTH_URL_MAX)
        return NULL;
    if (strncasecmp(ref, "http://", 7) == 0 || strncasecmp(ref, "https://", 8) == 0) {
        out = xstrdup(ref);
    } else if (ref[0] == '/' && ref[1] == '/') {
        return NULL;
    } else if (ref[0] == '/') {
        char *origin = oauth__origin(base);
        out = xasprintf("%s%s", origin, ref);
        free(origin);
    } else {
        size_t dir = strcspn(p.path, "?#");
        while (dir && p.path[dir - 1] != '/')
            dir--;
        if (ref[0] == '?')
            dir = strcspn(p.path, "?#");
        out =
            xasprintf("%.*s%s%s", (int)((size_t)(p.path - base) + dir), base, dir ? "" : "/", ref);
    }
    if (oauth__url_fine(out))
        return out;
    free(out);
    return NULL;
}

char *oauth__well_known(const char *url, const char *name, bool with_path)
{
    struct parts p;
    char *origin = oauth__origin(url);
    if (!origin || !take_apart(url, &p)) {
        free(origin);
        return NULL;
    }
    char *out = xasprintf("%s/.well-known/%s%.*s", origin, name,
                          with_path ? (int)path_len(p.path) : 0, p.path);
    free(origin);
    return out;
}

char *oauth__well_known_below(const char *url, const char *name)
{
    struct parts p;
    char *origin = oauth__origin(url);
    if (!origin || !take_apart(url, &p)) {
        free(origin);
        return NULL;
    }
    char *out = xasprintf("%s%.*s/.well-known/%s", origin, (int)path_len(p.path), p.path, name);
    free(origin);
    return out;
}

bool oauth__covers(const char *resource, const char *url)
{
    struct parts a, b;
    if (!oauth__same_origin(resource, url) || !take_apart(resource, &a) || !take_apart(url, &b))
        return false;
    size_t n = path_len(a.path), m = path_len(b.path);
    return n <= m && memcmp(a.path, b.path, n) == 0 && (n == m || b.path[n] == '/');
}

static int hex(char c)
{
    return isdigit((unsigned char)c)    ? c - '0'
           : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                        : -1;
}

static char *decoded(const char *text, size_t len)
{
    struct buf out = {0};
    for (size_t i = 0; i < len; i++) {
        char c = text[i] == '+' ? ' ' : text[i];
        if (c == '%' && i + 2 < len && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
            c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        }
        if (c)
            buf_addc(&out, c);
    }
    return buf_take(&out);
}

char *oauth__query(const char *url, const char *name)
{
    const char *at = strchr(url, '?');
    size_t wanted = strlen(name);
    while (at && *at && *at != '#') {
        at++;
        size_t len = strcspn(at, "&#"), key = strcspn(at, "=&#");
        if (key == wanted && memcmp(at, name, wanted) == 0 && len <= OAUTH_VALUE_MAX)
            return decoded(at + key + (key < len), len - key - (key < len));
        at += len;
    }
    return NULL;
}

/* ---- challenges ---- */
static bool token_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* A token or a quoted string; malloc'ed, NULL if there is none or a quote is left open. */
static char *read_value(const char **at)
{
    struct buf out = {0};
    const char *p = *at;
    if (*p != '"') {
        while (token_char(*p) || *p == '/' || *p == ':' || *p == '=') /* some do not quote */
            buf_addc(&out, *p++);
        *at = p;
        return out.len ? buf_take(&out) : NULL;
    }
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        buf_addc(&out, *p);
    }
    *at = *p ? p + 1 : p;
    if (*p)
        return buf_take(&out);
    buf_release(&out);
    return NULL;
}

static void keep(struct oauth__challenge *c, const char *name, size_t len, char *value)
{
    static const char *const names[] = {"resource_metadata", "scope", "error", "error_description"};
    char **fields[] = {&c->resource_metadata, &c->scope, &c->error, &c->description};
    for (size_t i = 0; value && i < 4; i++) {
        if (strlen(names[i]) != len || strncasecmp(names[i], name, len) != 0 || *fields[i] ||
            strlen(value) > OAUTH_VALUE_MAX)
            continue;
        *fields[i] = value;
        return;
    }
    free(value);
}

bool oauth__challenge_read(const char *lines, struct oauth__challenge *out)
{
    bool ours = false, found = false;
    *out = (struct oauth__challenge){0};
    for (const char *p = lines; *p;) {
        size_t blank = strspn(p, " \t,\r\n");
        p += blank;
        const char *name = p;
        while (token_char(*p))
            p++;
        size_t len = (size_t)(p - name);
        if (!len) {
            p += *p != '\0'; /* what no challenge has: skipped */
            continue;
        }
        const char *after = p + strspn(p, " \t");
        if (*after == '=') {
            p = after + 1;
            p += strspn(p, " \t");
            char *value = read_value(&p);
            if (ours)
                keep(out, name, len, value);
            else
                free(value);
            continue;
        }
        if (found && ours) /* the next scheme: one challenge is enough */
            break;
        ours = (len == 6 && strncasecmp(name, "Bearer", 6) == 0) ||
               (len == 4 && strncasecmp(name, "DPoP", 4) == 0);
        found = found || ours;
    }
    return found;
}

void oauth__challenge_release(struct oauth__challenge *c)
{
    free(c->resource_metadata);
    free(c->scope);
    free(c->error);
    free(c->description);
    *c = (struct oauth__challenge){0};
}

/* ---- metadata ---- */
static char *words_of(const json_t *list)
{
    struct buf out = {0};
    for (size_t i = 0; i < json_array_size(list) && i < 256; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (!word || !*word || strlen(word) > 256 || strpbrk(word, " \t\r\n\"\\"))
            continue;
        buf_addf(&out, "%s%s", out.len ? " " : "", word);
    }
    return out.len ? buf_take(&out) : NULL;
}

static bool lists(const json_t *document, const char *key, const char *word)
{
    const json_t *list = json_object_get(document, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && strcmp(one, word) == 0)
            return true;
    }
    return false;
}

static enum err endpoint(const json_t *document, const char *key, const char *server, char **out,
                         struct error *e)
{
    const char *url = json_str(document, key, "");
    if (!*url)
        return ERR_OK;
    if (!oauth__url_trusted(url, server))
        return err_set(e, ERR_PROTOCOL, "its %s is no https address: %.120s", key, url);
    *out = xstrdup(url);
    return ERR_OK;
}

enum err oauth__server_read(const json_t *document, const char *issuer, const char *server,
                            struct oauth__server *out, struct error *e)
{
    static const char methods[] = "token_endpoint_auth_methods_supported";
    *out = (struct oauth__server){0};
    const char *says = json_str(document, "issuer", "");
    if (issuer && strcmp(says, issuer) != 0)
        return err_set(e, ERR_PROTOCOL, "the metadata of %.90s name another issuer: %.90s", issuer,
                       says);
    out->issuer = xstrdup(says);
    if (endpoint(document, "authorization_endpoint", server, &out->authorize, e) ||
        endpoint(document, "token_endpoint", server, &out->token, e) ||
        endpoint(document, "registration_endpoint", server, &out->registration, e) ||
        endpoint(document, "device_authorization_endpoint", server, &out->device, e))
        return ERR_PROTOCOL;
    if (!out->token)
        return err_set(e, ERR_PROTOCOL, "the metadata of %.120s have no token_endpoint", says);
    out->scopes = words_of(json_object_get(document, "scopes_supported"));
    out->s256 = lists(document, "code_challenge_methods_supported", "S256");
    out->says_methods = json_is_array(json_object_get(document, methods));
    out->basic = lists(document, methods, "client_secret_basic");
    out->post = lists(document, methods, "client_secret_post");
    out->none = lists(document, methods, "none");
    out->private_key_jwt = lists(document, methods, "private_key_jwt");
    out->dpop = lists(document, "dpop_signing_alg_values_supported", "ES256");
    out->cimd = json_flag(document, "client_id_metadata_document_supported", false);
    out->iss = json_flag(document, "authorization_response_iss_parameter_supported", false);
    out->device_grant =
        lists(document, "grant_types_supported", "urn:ietf:params:oauth:grant-type:device_code");
    return ERR_OK;
}

void oauth__server_release(struct oauth__server *s)
{
    free(s->issuer);
    free(s->authorize);
    free(s->token);
    free(s->registration);
    free(s->device);
    free(s->scopes);
    *s = (struct oauth__server){0};
}

enum err oauth__resource_read(const json_t *document, const char *url, struct oauth__resource *out,
                              struct error *e)
{
    *out = (struct oauth__resource){0};
    const char *resource = json_str(document, "resource", "");
    const char *issuer =
        json_string_value(json_array_get(json_object_get(document, "authorization_servers"), 0));
    if (!oauth__covers(resource, url))
        return err_set(e, ERR_PROTOCOL, "the metadata are of another resource: %.120s", resource);
    if (!issuer || !oauth__url_trusted(issuer, url))
        return err_set(e, ERR_PROTOCOL, "the metadata name no authorization server on https");
    out->resource = xstrdup(resource);
    out->issuer = xstrdup(issuer);
    out->scopes = words_of(json_object_get(document, "scopes_supported"));
    return ERR_OK;
}

void oauth__resource_release(struct oauth__resource *r)
{
    free(r->resource);
    free(r->issuer);
    free(r->scopes);
    *r = (struct oauth__resource){0};
}

/* ---- scopes ---- */
bool oauth__scope_has(const char *scopes, const char *word)
{
    size_t wanted = strlen(word);
    for (const char *p = scopes ? scopes : ""; *p;) {
        p += strspn(p, " ");
        size_t len = strcspn(p, " ");
        if (len == wanted && memcmp(p, word, len) == 0)
            return true;
        p += len;
    }
    return false;
}

static void add_missing(struct buf *out, const char *from, const char *among)
{
    for (const char *p = from ? from : ""; *p;) {
        p += strspn(p, " ");
        size_t len = strcspn(p, " ");
        char *word = xstrndup(p, len);
        if (len && !oauth__scope_has(among ? among : out->data, word))
            buf_addf(out, "%s%s", out->len ? " " : "", word);
        free(word);
        p += len;
    }
}

bool oauth__scope_within(const char *few, const char *many)
{
    struct buf missing = {0};
    add_missing(&missing, few, many ? many : "");
    bool within = missing.len == 0;
    buf_release(&missing);
    return within;
}

char *oauth__scope_join(const char *a, const char *b)
{
    struct buf out = {0};
    add_missing(&out, a, NULL);
    add_missing(&out, b, NULL);
    return buf_take(&out);
}

/* ---- forms ---- */
void oauth__form_add(struct buf *form, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(form, "%s%s=", form->len ? "&" : "", name);
    for (const char *p = value; *p; p++) {
        if (isalnum((unsigned char)*p) || strchr("-._~", *p))
            buf_addc(form, *p);
        else
            buf_addf(form, "%%%02X", (unsigned char)*p);
    }
}
