/* How dangerous a text would be if someone followed it: patterns from safety.def, and the commands
 * whose danger lies in what they are pointed at (rm, DELETE). A warning against a command counts
 * little. Risks add up as 1 - product of (1 - weight). */
#include "backend/base/buf.h"
#include "backend/compliance/internal.h"
#include <stdlib.h>
#include <string.h>

static const struct risk {
    double weight;
    const char *pattern, *why;
} risks[] = {
#define RISK(weight, pattern, why) {weight, pattern, why},
#include "backend/compliance/safety.def"
#undef RISK
};

enum { LINE = 160, STATEMENT = 1000, WARNING = 40 }; /* how far a match may reach, in bytes */

struct total {
    double safe; /* product of (1 - weight) */
    double most;
    const char *why;
};

static void add(struct total *t, double weight, const char *why)
{
    t->safe *= 1 - weight;
    if (weight > t->most) {
        t->most = weight;
        t->why = why;
    }
}

/* Lower case, runs of blanks as one, a backslash at a line's end joins the lines. */
static char *normalised(const struct pol_text *t)
{
    struct buf b = {0};
    buf_adds(&b, "");
    for (size_t i = 0; i < t->len; i++) {
        char c = t->lower[i];
        if (c == '\\' && (t->lower[i + 1] == '\n' || t->lower[i + 1] == '\r')) {
            c = ' ';
            i += t->lower[i + 1] == '\r' && t->lower[i + 2] == '\n' ? 2 : 1;
        }
        if (c == '\t' || c == '\r')
            c = ' ';
        if (c == ' ' && b.len > 0 && b.data[b.len - 1] == ' ')
            continue;
        buf_addc(&b, c);
    }
    return buf_take(&b);
}

static bool matches(const char *s, const char *pattern)
{
    for (; *pattern; pattern++) {
        if (*pattern == '$' && pattern[1] == '\0')
            return !pol__is_word(*s) && *s != '-' && *s != '/';
        if (*pattern == '*') {
            for (const char *p = s; *p && *p != '\n' && p - s < LINE; p++)
                if (matches(p, pattern + 1))
                    return true;
            return false;
        }
        if (*s++ != *pattern)
            return false;
    }
    return true;
}

/* The words right before a command tell the reader to leave it. */
static bool is_warned(const char *text, const char *at)
{
    static const char *const words[] = {"do not ", "don't ",      "never ",  "avoid ", "must not ",
                                        "не ",     "никогда не ", "нельзя ", NULL};
    const char *from = at - text > WARNING ? at - WARNING : text;
    for (const char *p = at; p > from; p--)
        if (p[-1] == '\n' || p[-1] == '.' || p[-1] == ';')
            from = p;
    size_t len = (size_t)(at - from);
    for (const char *const *w = words; *w; w++) {
        const char *found = memmem(from, len, *w, strlen(*w));
        if (found && (found == text || !pol__is_word(found[-1])))
            return true;
    }
    return false;
}

static double weighed(const char *text, const char *at, double weight)
{
    return is_warned(text, at) ? weight * 0.2 : weight;
}

static bool begins_word(const char *text, const char *at)
{
    return at == text || !pol__is_word(*at) || (!pol__is_word(at[-1]) && at[-1] != '-');
}

/* The heaviest place where the pattern stands, 0 if nowhere. */
static double pattern_weight(const char *text, const struct risk *r)
{
    double most = 0;
    size_t head = strcspn(r->pattern, "*$");
    const char *end = text + strlen(text);
    for (const char *p = text; (p = memmem(p, (size_t)(end - p), r->pattern, head)); p++) {
        double w = begins_word(text, p) && matches(p, r->pattern) ? weighed(text, p, r->weight) : 0;
        most = w > most ? w : most;
    }
    return most;
}

/* What an `rm -r` is pointed at: the whole system and homes, temporary folders, anything else. */
static double target_weight(const char *target)
{
    static const char *const all[] = {"/", "/*", "~", "~/", "~/*", "$home",
                                      ".", "./", "*", "..", NULL};
    static const char *const system[] = {"/etc", "/usr",  "/var", "/home", "/boot", "/lib",
                                         "/bin", "/root", "/opt", "/srv",  "/sys",  NULL};
    char word[64];
    size_t len = strcspn(target, " \n;|&`\"'");
    if (len >= sizeof word)
        len = sizeof word - 1;
    memcpy(word, target, len);
    word[len] = '\0';
    for (const char *const *a = all; *a; a++)
        if (strcmp(word, *a) == 0)
            return 1.0;
    for (const char *const *s = system; *s; s++)
        if (strncmp(word, *s, strlen(*s)) == 0 && !pol__is_word(word[strlen(*s)]))
            return 0.9;
    return strncmp(word, "/tmp/", 5) == 0 ? 0.2 : 0.6;
}

/* rm with a flag for recursion, in any spelling. */
static void assess_rm(const char *text, struct total *total)
{
    double most = 0;
    for (const char *p = text; (p = strstr(p, "rm ")); p += 3) {
        if (!begins_word(text, p))
            continue;
        bool recursive = false;
        const char *word = p + 3;
        while (*word == '-' && word - p < LINE) {
            size_t len = strcspn(word, " \n");
            bool is_long = word[1] == '-';
            recursive |=
                is_long ? strncmp(word, "--recursive", 11) == 0 : memchr(word, 'r', len) != NULL;
            word += len;
            word += *word == ' ';
        }
        double w = recursive && *word ? weighed(text, p, target_weight(word)) : 0;
        most = w > most ? w : most;
    }
    if (most > 0)
        add(total, most, "deletes files and folders");
}

/* DELETE FROM without WHERE up to the end of the statement. */
static void assess_sql(const char *text, struct total *total)
{
    double most = 0;
    for (const char *p = text; (p = strstr(p, "delete from ")); p++) {
        size_t len = strnlen(p, STATEMENT);
        const char *end = memchr(p, ';', len);
        len = end ? (size_t)(end - p) : len;
        if (!begins_word(text, p) || memmem(p, len, "where", 5))
            continue;
        double w = weighed(text, p, 0.8);
        most = w > most ? w : most;
    }
    if (most > 0)
        add(total, most, "deletes every row of a table");
}

double pol_safety_risk(const char *text, const char **why)
{
    struct total total = {.safe = 1, .why = ""};
    struct pol_text t = pol__text(text);
    char *flat = normalised(&t);
    for (size_t i = 0; i < sizeof risks / sizeof *risks; i++) {
        double w = pattern_weight(flat, &risks[i]);
        if (w > 0)
            add(&total, w, risks[i].why);
    }
    assess_rm(flat, &total);
    assess_sql(flat, &total);
    if (pol__has_secret(&t))
        add(&total, 0.6, "shows a password, key or token");
    free(flat);
    pol__text_free(&t);
    if (why)
        *why = total.why;
    return 1 - total.safe;
}
