/* Lines of foreign tools that speak of trouble: what who is on call wants to see first. Tools of
 * this console say how bad a finding is; of others there are only words and figures. */
#include "backend/base/buf.h"
#include "backend/base/text.h"
#include "backend/gateway/internal.h"
#include <ctype.h>
#include <string.h>

enum { READ = 512, SHORT = 4 };

/* Beginnings of words, lower case; of at most SHORT bytes whole words. */
static const char *const WORDS[] = {
    "error",       "fail",       "failed",       "failure",  "failing",    "fatal",
    "panic",       "crash",      "exception",    "denied",   "refused",    "forbidden",
    "unauthor",    "timeout",    "timed out",    "unreach",  "unavail",    "unhealthy",
    "not ready",   "notready",   "degraded",     "expired",  "missing",    "not found",
    "unknown",     "mismatch",   "invalid",      "corrupt",  "killed",     "oom",
    "oomkill",     "evict",      "throttl",      "exceed",   "exhaust",    "overload",
    "pressure",    "full",       "pending",      "backoff",  "back-off",   "unassigned",
    "blocked",     "deadlock",   "waiting",      "dropped",  "rejected",   "skipped",
    "lost",        "down",       "critical",     "warn",     "warning",    "alert",
    "red",         "retry",      "syntax",       "no space", "no such",    "stale",
    "idle in",     "ошибк",      "отказ",        "сбой",     "сбоя",       "недоступ",
    "не отвеч",    "не готов",   "не найден",    "не задан", "не подключ", "не синхрон",
    "не установ",  "истек",      "истёк",        "просроч",  "тайм-аут",   "таймаут",
    "перезапус",   "превыш",     "нехват",       "не хват",  "нет места",  "переполн",
    "потер",       "пропущ",     "отклон",       "заблокир", "ожида",      "ждёт",
    "ждет",        "простаива",  "деградир",     "отста",    "вытесн",     "удалён",
    "удален",      "отключ",     "критич",       "тревог",   "предупрежд", "exit code",
    "exited",      "terminated", "cannot",       "can't",    "unable",     "reset by",
    "broken pipe", "sigkill",    "leak",         "stuck",    "banned",     "не удал",
    "неудач",      "квот",       "выход с кодом"};

/* What a line of a log is written for when all is well. */
static const char *const CALM[] = {"info", "debug", "trace", "notice", "инфо"};

static bool is_letter(char c)
{
    return isalnum((unsigned char)c) || (c & 0x80);
}

/* The first bytes of a line in lower case. */
static void lower(const char *line, size_t len, char out[READ])
{
    size_t n = 0, step;
    for (size_t at = 0; at < len && n + 5 < READ; at += step) {
        uint32_t cp = text_fold(line + at, len - at, &step);
        if (cp & TEXT_BAD)
            out[n++] = ' ';
        else
            n += text_encode(cp, out + n);
        step = step ? step : 1;
    }
    out[n] = '\0';
}

static unsigned words_in(const char *line)
{
    unsigned n = 0;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        const char *at = line;
        size_t len = strlen(WORDS[i]);
        while ((at = strstr(at, WORDS[i])) &&
               ((at > line && is_letter(at[-1])) || (len <= SHORT && is_letter(at[len]))))
            at++;
        n += at != NULL;
    }
    return n;
}

/* Figures of a line: is there one that is not 0, and a share of 90% or more? */
static void figures_in(const char *line, bool *any, bool *other, bool *high)
{
    *any = *other = *high = false;
    for (const char *p = line; *p; p++) {
        size_t digits = strspn(p, "0123456789");
        if (!digits)
            continue;
        if (p > line && is_letter(p[-1])) {
            p += digits - 1;
            continue;
        }
        size_t noughts = strspn(p, "0.,");
        bool nought = noughts >= digits && !isdigit((unsigned char)p[noughts]);
        *any = true;
        *other = *other || !nought;
        const char *end = p + digits;
        if (*end == '.' || *end == ',')
            end += 1 + strspn(end + 1, "0123456789");
        *high = *high || (*end == '%' && (digits > 2 || (digits == 2 && *p == '9')));
        p += digits - 1;
    }
}

/* The line says itself that it is of no concern: its level stands before its message. */
static bool is_calm(const char *line)
{
    enum { LEVEL_WITHIN = 48 };
    for (size_t i = 0; i < sizeof CALM / sizeof *CALM; i++) {
        const char *at = strstr(line, CALM[i]);
        size_t len = strlen(CALM[i]);
        if (at && at < line + LEVEL_WITHIN && (at == line || !is_letter(at[-1])) &&
            !is_letter(at[len]))
            return true;
    }
    return false;
}

bool gw__calm(const char *line, size_t len)
{
    char low[READ];
    lower(line, len, low);
    bool frame = strncmp(low, "at ", 3) == 0 && strchr(low, '('); /* of a stack */
    return frame || is_calm(low);
}

double gw__trouble(const char *line, size_t len)
{
    char low[READ];
    bool any, other, high;
    lower(line, len, low);
    unsigned n = words_in(low);
    figures_in(low, &any, &other, &high);
    if (n && ((any && !other) || is_calm(low))) /* "errors: 0" */
        n = 0;
    n += high;
    return n > 2 ? 1 : n / 2.0;
}

bool gw__table_head(const char *line, size_t len)
{
    size_t words = 0, capitals = 0;
    for (size_t at = 0; at < len; at++) {
        if (isdigit((unsigned char)line[at]) || line[at] == ':')
            return false;
        if (line[at] != ' ' && line[at] != '\t' &&
            (at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t')) {
            words++;
            capitals += isupper((unsigned char)line[at]) != 0;
        }
    }
    return words > 2 && capitals * 3 >= words * 2;
}

struct troubles {
    struct buf lines;
    size_t most;
};

static void keep_trouble(void *arg, const char *text, size_t len, const char *raw, size_t raw_len)
{
    struct troubles *t = arg;
    if (gw__trouble(raw, raw_len) > 0 && t->lines.len + len + 1 <= t->most)
        buf_addf(&t->lines, "%.*s\n", (int)len, text);
}

char *gw_trouble(const char *text, size_t bytes)
{
    struct troubles t = {.most = bytes};
    gw__statements(text, strlen(text), keep_trouble, &t);
    return t.lines.len ? buf_take(&t.lines) : NULL;
}
