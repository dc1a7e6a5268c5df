/* Reading of mcp-console.conf.
 *
 * inih splits lines into names and values; it does not tell the handler its line, cuts long lines
 * and section names, and takes an indented line as more of the value before it. So the lines come
 * from next_line, which counts them, refuses what inih would cut, and takes indents off. Section
 * headers are read there too, because inih is silent about a section without keys.
 *
 * The first problem is kept; nothing after it counts. */
#include "backend/base/conf.h"
#include "backend/base/buf.h"
#include "backend/base/text.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE = 1 << 20, MAX_LINE = 8192, MAX_NAME = 40 };
enum type { TYPE_STR, TYPE_INT, TYPE_NUM, TYPE_FLAG, TYPE_CHOICE };

static const struct kind {
    const char *kind;
    bool named;
} kinds[] = {
#define SECTION(kind, named, help) {kind, named},
#define KEY(kind, key, type, value, help)
#define CHOICE(kind, key, choices, value, help)
#include "backend/base/conf.def"
#undef SECTION
#undef KEY
#undef CHOICE
};

static const struct key {
    const char *kind, *key;
    enum type type;
    const char *choices;   /* "a|b|c" of a CHOICE */
    const char *otherwise; /* NULL: required */
} keys[] = {
#define SECTION(kind, named, help)
#define KEY(kind, key, type, value, help) {kind, key, TYPE_##type, NULL, value},
#define CHOICE(kind, key, choices, value, help) {kind, key, TYPE_CHOICE, choices, value},
#include "backend/base/conf.def"
#undef SECTION
#undef KEY
#undef CHOICE
};
enum { KINDS = sizeof kinds / sizeof *kinds, KEYS = sizeof keys / sizeof *keys };

/* Numbers outside these are refused; those not listed are 0..1000000000 (INT) and 0..1 (NUM). */
static const struct limit {
    const char *key;
    int64_t low, high;
} limits[] = {
    {"time_limit_ms", 100, 3600000},
    {"tool_time_limit_ms", 100, 3600000},
    {"timeout_ms", 100, 3600000},
    {"check_ms", 100, 86400000},
    {"max_tools", 0, 64},
    {"passages", 0, 64},
    {"max_output_tokens", 1, 1000000},
    {"context", 256, 100000000},
    {"retention_days", 1, 36500},
    {"bundle_keep", 1, 36500},
    {"dialogue_days", 0, 36500},
    {"telemetry_days", 0, 36500},
    {"operation_days", 0, 36500},
    {"personal_days", 0, 36500},
    {"clock_days", 1, 3650},
};

struct value {
    const struct key *key;
    char *text;
    char *where;
};

struct section {
    const struct kind *kind;
    char *name;
    int line;
    struct value *values;
    size_t count;
};

struct conf {
    char *path;
    struct section *sections;
    size_t count;
};

struct reader {
    struct conf *conf;
    const char *at, *end;
    int line;
    struct section *current; /* NULL before the first header */
    struct error *error;     /* the first problem */
};

__attribute__((format(printf, 2, 3))) static void problem(struct reader *r, const char *format, ...)
{
    if (r->error->code != ERR_OK)
        return;
    struct buf b = {0};
    va_list args;
    va_start(args, format);
    buf_vaddf(&b, format, args);
    va_end(args);
    err_set(r->error, ERR_CONFIG, "%s:%d: %s", r->conf->path, r->line, b.data);
    buf_release(&b);
}

/* The header as it is written in the file; the caller frees. */
static char *header_of(const struct section *s)
{
    return s->kind->named ? xasprintf("[%s \"%s\"]", s->kind->kind, s->name)
                          : xasprintf("[%s]", s->kind->kind);
}

/* The tables */

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(kinds[i].kind, name) == 0)
            return &kinds[i];
    return NULL;
}

static const struct key *find_key(const char *kind, const char *key)
{
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].kind, kind) == 0 && strcmp(keys[i].key, key) == 0)
            return &keys[i];
    return NULL;
}

enum { NEAR = 3 }; /* a name with more changes is no likely slip */

static const char *nearest_kind(const char *name)
{
    unsigned best = NEAR + 1;
    const char *found = NULL;
    for (size_t i = 0; i < KINDS; i++) {
        unsigned d = text_distance(name, kinds[i].kind, NEAR);
        if (d < best && d < strlen(kinds[i].kind)) {
            best = d;
            found = kinds[i].kind;
        }
    }
    return found;
}

static const char *nearest_key(const char *kind, const char *name)
{
    unsigned best = NEAR + 1;
    const char *found = NULL;
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].kind, kind) != 0)
            continue;
        unsigned d = text_distance(name, keys[i].key, NEAR);
        if (d < best && d < strlen(keys[i].key)) {
            best = d;
            found = keys[i].key;
        }
    }
    return found;
}

static struct section *find_section(const struct conf *c, const char *kind, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->sections[i].kind->kind, kind) == 0 && strcmp(c->sections[i].name, name) == 0)
            return &c->sections[i];
    return NULL;
}

static struct value *find_value(const struct section *s, const struct key *key)
{
    for (size_t i = 0; s && i < s->count; i++)
        if (s->values[i].key == key)
            return &s->values[i];
    return NULL;
}

static struct section *add_section(struct conf *c, const struct kind *kind, const char *name,
                                   int line)
{
    c->sections = xrealloc(c->sections, (c->count + 1) * sizeof *c->sections);
    struct section *s = &c->sections[c->count++];
    *s = (struct section){.kind = kind, .name = xstrdup(name), .line = line};
    return s;
}

/* Takes where. */
static void set_value(struct section *s, const struct key *key, const char *text, char *where)
{
    struct value *v = find_value(s, key);
    if (!v) {
        s->values = xrealloc(s->values, (s->count + 1) * sizeof *s->values);
        v = &s->values[s->count++];
        *v = (struct value){.key = key};
    }
    free(v->text);
    free(v->where);
    v->text = xstrdup(text);
    v->where = where;
}

/* Values */

static bool parse_int(const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text))
        return false;
    *out = n;
    return true;
}

/* Always with a decimal point, whatever the locale's is. */
static bool parse_num(const char *text, double *out)
{
    if (text[strspn(text, "0123456789.-")])
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    BUG_IF(!c);
    char *end;
    double x = strtod_l(text, &end, c);
    freelocale(c);
    if (end == text || *end || !isfinite(x))
        return false;
    *out = x;
    return true;
}

/* 1, 0, or -1 for what is neither. */
static int parse_flag(const char *text)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (int i = 0; i < 8; i++)
        if (strcmp(text, words[i]) == 0)
            return i & 1;
    return -1;
}

static bool in_choices(const char *choices, const char *text)
{
    size_t len = strcspn(text, "|");
    if (text[len])
        return false;
    for (const char *p = choices; len && p; p = strchr(p, '|')) {
        p += p != choices;
        if (strncmp(p, text, len) == 0 && (p[len] == '|' || p[len] == '\0'))
            return true;
    }
    return false;
}

static bool is_variable(const char *s)
{
    return *s && !isdigit((unsigned char)*s) &&
           s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

/* The form of it, as the vault resolves it. */
static bool is_reference(const char *text)
{
    static const char name[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (strncmp(text, "env:", 4) == 0)
        return is_variable(text + 4);
    const char *at = strncmp(text, "secret:", 7) == 0        ? text + 7
                     : strncmp(text, "credential:", 11) == 0 ? text + 11
                                                             : "";
    return *at && *at != '.' && at[strspn(at, name)] == '\0';
}

/* A word of a list of variables that gives a value which is no reference. */
static bool holds_values(const char *text)
{
    char word[256];
    while (*text) {
        text += strspn(text, " \t,;");
        size_t len = strcspn(text, " \t,;");
        const char *value = memchr(text, '=', len);
        if (value && len >= sizeof word)
            return true;
        if (value) {
            size_t n = len - (size_t)(value + 1 - text);
            memcpy(word, value + 1, n);
            word[n] = '\0';
            if (!is_reference(word))
                return true;
        }
        text += len;
    }
    return false;
}

/* "scheme://user:password@host" */
static bool has_password(const char *url)
{
    const char *host = strstr(url, "://");
    return host && memchr(host + 3, '@', strcspn(host + 3, "/?#"));
}

/* References with spaces between. */
static bool are_references(const char *text)
{
    char word[256];
    while (*(text += strspn(text, " \t"))) {
        size_t len = strcspn(text, " \t");
        if (len >= sizeof word)
            return false;
        memcpy(word, text, len);
        word[len] = '\0';
        if (!is_reference(word))
            return false;
        text += len;
    }
    return true;
}

/* What is wrong with the value, newly allocated, or NULL. It never repeats a value that may be a
 * secret. */
static char *check_secret(const struct key *k, const char *text)
{
    if (strcmp(k->key, "key") == 0 && !are_references(text))
        return xstrdup("key holds a literal secret; write key = secret:NAME and `mcp-console vault "
                       "set NAME`, or key = env:VARIABLE (letters, digits, _)");
    if (strcmp(k->key, "url") == 0 && has_password(text))
        return xstrdup("url holds a literal secret before the @; use key = env:VARIABLE");
    if (strcmp(k->key, "env") == 0 && holds_values(text))
        return xstrdup("env takes names of variables, or NAME=secret:X, never their values");
    return NULL;
}

static char *check_range(const struct key *k, const char *text)
{
    int64_t n, low = 0, high = 1000000000;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (strcmp(limits[i].key, k->key) == 0) {
            low = limits[i].low;
            high = limits[i].high;
        }
    }
    if (parse_int(text, &n) && n >= low && n <= high)
        return NULL;
    return xasprintf("%s = %s must be a whole number from %lld to %lld", k->key, text,
                     (long long)low, (long long)high);
}

static char *check_value(const struct key *k, const char *text)
{
    double x;
    switch (k->type) {
    case TYPE_STR:
        return check_secret(k, text);
    case TYPE_INT:
        return check_range(k, text);
    case TYPE_NUM:
        if (parse_num(text, &x) && x >= 0 && x <= 1)
            return NULL;
        return xasprintf("%s = %s must be a number from 0 to 1", k->key, text);
    case TYPE_FLAG:
        return parse_flag(text) >= 0 ? NULL : xasprintf("%s = %s must be yes or no", k->key, text);
    case TYPE_CHOICE:
        return in_choices(k->choices, text)
                   ? NULL
                   : xasprintf("%s = %s must be one of %s", k->key, text, k->choices);
    }
    return NULL;
}

/* The file */

/* [kind] or [kind "name"], then nothing or a comment. line is ended by NUL. */
static void read_header(struct reader *r, const char *line)
{
    char kind[MAX_NAME] = "", name[MAX_NAME] = "";
    const char *p = line + 1;
    size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz-_ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    bool fits = n > 0 && n < sizeof kind;
    memcpy(kind, p, fits ? n : 0);
    p += n;
    bool named = *p == ' ' || *p == '\t';
    if (named) {
        p += strspn(p, " \t");
        bool quoted = *p == '"';
        p += quoted;
        n = strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:/");
        fits = fits && quoted && n > 0 && n < sizeof name && p[n] == '"';
        memcpy(name, p, fits ? n : 0);
        p += n + (p[n] == '"');
    }
    bool closed = *p == ']';
    p += closed;
    p += strspn(p, " \t");
    if (!fits || !closed || (*p && *p != ';' && *p != '#')) {
        problem(r,
                "a section is [kind] or [kind \"name\"], the name of up to %d letters, digits "
                "and . _ - : /",
                MAX_NAME - 1);
        return;
    }
    const struct kind *k = find_kind(kind);
    if (!k) {
        const char *near = nearest_kind(kind);
        problem(r, "unknown section [%s]%s%s%s", kind, near ? "; did you mean [" : "",
                near ? near : "", near ? "]?" : "");
        return;
    }
    if (k->named != named) {
        problem(r, k->named ? "[%s] needs a name: [%s \"name\"]" : "[%s] takes no name: [%s]", kind,
                kind);
        return;
    }
    const struct section *old = find_section(r->conf, kind, name);
    if (old) {
        problem(r, "[%s%s%s%s] is there twice, first in line %d", kind, named ? " \"" : "", name,
                named ? "\"" : "", old->line);
        return;
    }
    r->current = add_section(r->conf, k, name, r->line);
}

/* inih's fgets: one line without its indent. After a problem it says the text is over. */
static char *next_line(char *out, int size, void *user)
{
    struct reader *r = user;
    if (r->at >= r->end || r->error->code != ERR_OK)
        return NULL;
    r->line++;
    if (r->line == 1 && r->end - r->at >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0)
        r->at += 3;
    const char *stop = memchr(r->at, '\n', (size_t)(r->end - r->at));
    const char *line = r->at, *end = stop ? stop : r->end;
    r->at = stop ? stop + 1 : r->end;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    while (end > line && isspace((unsigned char)end[-1]))
        end--;
    size_t len = (size_t)(end - line);
    for (size_t i = 0; i < len; i++) {
        if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f) {
            problem(r, "a control character (byte 0x%02X)", (unsigned)line[i]);
            return NULL;
        }
    }
    if (len + 3 > (size_t)size) {
        problem(r, "the line is longer than %d bytes", size - 3);
        return NULL;
    }
    memcpy(out, line, len);
    out[len] = '\0';
    if (*out == '[')
        read_header(r, out);
    return r->error->code == ERR_OK ? out : NULL;
}

static int on_pair(void *user, const char *section, const char *name, const char *text)
{
    struct reader *r = user;
    (void)section; /* possibly cut; r->current is the whole truth */
    if (!r->current) {
        problem(r, "%s stands before the first [section]", name);
        return 0;
    }
    char *header = header_of(r->current), *wrong = NULL;
    const char *kind = r->current->kind->kind;
    const struct key *k = find_key(kind, name);
    if (!k) {
        const char *near = nearest_key(kind, name);
        problem(r, "unknown key \"%s\" in %s%s%s%s", name, header, near ? "; did you mean \"" : "",
                near ? near : "", near ? "\"?" : "");
    } else if (find_value(r->current, k)) {
        problem(r, "%s is there twice in %s", name, header);
    } else if ((wrong = check_value(k, text))) {
        problem(r, "%s, in %s", wrong, header);
    } else {
        set_value(r->current, k, text, xasprintf("%s:%d", r->conf->path, r->line));
    }
    free(wrong);
    free(header);
    return r->error->code == ERR_OK;
}

static void check_required(struct reader *r)
{
    for (size_t i = 0; i < r->conf->count; i++) {
        const struct section *s = &r->conf->sections[i];
        for (size_t j = 0; j < KEYS; j++) {
            if (strcmp(keys[j].kind, s->kind->kind) != 0 || keys[j].otherwise ||
                find_value(s, &keys[j]))
                continue;
            char *header = header_of(s);
            r->line = s->line;
            problem(r, "%s needs %s = %s", header, keys[j].key,
                    keys[j].choices ? keys[j].choices : "...");
            free(header);
        }
    }
}

static void parse(struct conf *c, const char *text, size_t len, struct error *e)
{
    struct reader r = {.conf = c, .at = text, .end = text + len, .error = e};
    /* The library's own switches: a line on the heap of our size, no continued lines. */
    ini_use_stack = false;
    ini_max_line = MAX_LINE;
    ini_initial_alloc = MAX_LINE;
    ini_allow_multiline = false;
    int line = ini_parse_stream(next_line, &r, on_pair, &r);
    BUG_IF(line == -2); /* out of memory */
    if (line > 0) {
        r.line = line;
        problem(&r, "neither a comment, a [section] nor key = value");
    }
    check_required(&r);
}

/* MCP_CONSOLE_<SECTION>_<KEY> of the plain sections; an empty variable counts as not set. */
static void apply_environment(struct conf *c, struct error *e)
{
    for (size_t i = 0; i < KEYS && e->code == ERR_OK; i++) {
        const struct kind *kind = find_kind(keys[i].kind);
        if (kind->named)
            continue;
        char *variable = xasprintf("MCP_CONSOLE_%s_%s", kind->kind, keys[i].key);
        for (char *p = variable; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        const char *text = getenv(variable);
        char *wrong = text && *text ? check_value(&keys[i], text) : NULL;
        if (wrong) {
            err_set(e, ERR_CONFIG, "%s: %s", variable, wrong);
        } else if (text && *text) {
            struct section *s = find_section(c, kind->kind, "");
            set_value(s ? s : add_section(c, kind, "", 0), &keys[i], text, xstrdup(variable));
        }
        free(wrong);
        free(variable);
    }
}

static enum err read_file(const char *path, struct buf *out, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path,
                       strerror(errno));
    for (;;) {
        buf_reserve(out, 16384);
        ssize_t n = read(fd, out->data + out->len, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err_set(e, ERR_IO, "%s: %s", path, strerror(errno));
        else if (out->len + (size_t)n > MAX_FILE)
            err_set(e, ERR_CONFIG, "%s:1: the file is larger than %d bytes", path, MAX_FILE);
        if (n <= 0 || e->code != ERR_OK)
            break;
        out->len += (size_t)n;
    }
    close(fd);
    return e->code;
}

struct conf *conf_load(const char *path, struct error *e)
{
    struct error local = {0};
    struct conf *c = xcalloc(1, sizeof *c);
    c->path = xstrdup(path ? path : "");
    struct buf text = {0};
    if (path && read_file(path, &text, &local) == ERR_OK)
        parse(c, text.data, text.len, &local);
    buf_release(&text);
    if (local.code == ERR_OK)
        apply_environment(c, &local);
    if (local.code == ERR_OK)
        return c;
    conf_free(c);
    if (e)
        *e = local;
    return NULL;
}

void conf_free(struct conf *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->count; i++) {
        for (size_t j = 0; j < c->sections[i].count; j++) {
            free(c->sections[i].values[j].text);
            free(c->sections[i].values[j].where);
        }
        free(c->sections[i].values);
        free(c->sections[i].name);
    }
    free(c->sections);
    free(c->path);
    free(c);
}

const char *conf_path(const struct conf *c)
{
    return c->path;
}

/* Getters */

static const char *lookup(const struct conf *c, const char *kind, const char *name,
                          const struct key *key)
{
    const struct value *v = find_value(find_section(c, kind, name), key);
    return v ? v->text : key->otherwise ? key->otherwise : "";
}

const char *conf_str(const struct conf *c, const char *kind, const char *name, const char *key)
{
    const struct key *k = find_key(kind, key);
    BUG_IF(!k || (k->type != TYPE_STR && k->type != TYPE_CHOICE));
    return lookup(c, kind, name, k);
}

int64_t conf_int(const struct conf *c, const char *kind, const char *name, const char *key)
{
    const struct key *k = find_key(kind, key);
    int64_t n = 0;
    BUG_IF(!k || k->type != TYPE_INT || !parse_int(lookup(c, kind, name, k), &n));
    return n;
}

double conf_num(const struct conf *c, const char *kind, const char *name, const char *key)
{
    const struct key *k = find_key(kind, key);
    double x = 0;
    BUG_IF(!k || k->type != TYPE_NUM || !parse_num(lookup(c, kind, name, k), &x));
    return x;
}

bool conf_flag(const struct conf *c, const char *kind, const char *name, const char *key)
{
    const struct key *k = find_key(kind, key);
    BUG_IF(!k || k->type != TYPE_FLAG);
    return parse_flag(lookup(c, kind, name, k)) > 0;
}

const char *conf_where(const struct conf *c, const char *kind, const char *name, const char *key)
{
    const struct key *k = find_key(kind, key);
    BUG_IF(!k);
    const struct value *v = find_value(find_section(c, kind, name), k);
    return v ? v->where : "default";
}

char *conf_section_text(const struct conf *c, const char *kind, const char *name)
{
    struct buf text = {0};
    buf_adds(&text, "");
    for (size_t i = 0; i < KEYS; i++)
        if (strcmp(keys[i].kind, kind) == 0)
            buf_addf(&text, "%s=%s\n", keys[i].key, lookup(c, kind, name, &keys[i]));
    return buf_take(&text);
}

size_t conf_names(const struct conf *c, const char *kind, const char **names, size_t max)
{
    size_t found = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct section *s = &c->sections[i];
        if (!s->kind->named || strcmp(s->kind->kind, kind) != 0)
            continue;
        if (found < max)
            names[found] = s->name;
        found++;
    }
    return found;
}
