/* Personal data in text. Check digits of the Russian numbers: SNILS, sum of digit x (9..1) mod 101;
 * INN, weighted sums mod 11 mod 10; cards, Luhn. One random number in ten passes INN10 and Luhn,
 * and Unix times pass too, so a bare number counts only beside a word that says what it is. */
#include "backend/compliance/internal.h"
#include <string.h>

enum { MAX_DIGITS = 20, BEFORE = 48, AFTER = 24 };

/* A number as it stands in the text: digits with single separators between them. */
struct number {
    char digit[MAX_DIGITS + 1];     /* values 0..9 */
    char shape[2 * MAX_DIGITS + 8]; /* "ddd-ddd-ddd dd" */
    size_t count, from, to;
    bool plus;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads the number that starts at `at`; returns the position after it. */
static size_t read_number(const struct pol_text *t, size_t at, struct number *n)
{
    *n = (struct number){.from = at};
    size_t shape = 0, i = at;
    if (t->raw[i] == '+') {
        n->plus = true;
        i++;
    }
    for (; i < t->len; i++) {
        char c = t->raw[i];
        bool separator = strchr(" -()", c) && c;
        if (!is_digit(c) && !separator)
            break;
        /* Two separators in a row end a number, but for "7 (9" and ") 1". */
        if (separator && shape > 0 && n->shape[shape - 1] != 'd' &&
            !(c == '(' || n->shape[shape - 1] == ')'))
            break;
        if (is_digit(c) && n->count == MAX_DIGITS)
            return i + strspn(t->raw + i, "0123456789"); /* too long to be any of these */
        if (shape + 1 >= sizeof n->shape)
            break;
        if (is_digit(c)) {
            n->digit[n->count++] = (char)(c - '0');
            n->to = i + 1;
        }
        n->shape[shape++] = is_digit(c) ? 'd' : c;
    }
    while (shape > 0 && n->shape[shape - 1] != 'd')
        n->shape[--shape] = '\0';
    return n->to > at ? n->to : at + 1;
}

static bool looks_like(const struct number *n, const char *shape)
{
    return strcmp(n->shape, shape) == 0;
}

static bool is_bare(const struct number *n)
{
    return strspn(n->shape, "d") == strlen(n->shape);
}

static bool said(const struct pol_text *t, const struct number *n, const char *const *words)
{
    return pol__has_word(t, n->from > BEFORE ? n->from - BEFORE : 0, n->to + AFTER, words);
}

static bool snils_checks(const struct number *n)
{
    int sum = 0, head = 0;
    for (int i = 0; i < 9; i++) {
        sum += n->digit[i] * (9 - i);
        head = head * 10 + n->digit[i];
    }
    return head > 1001998 && sum % 101 % 100 == n->digit[9] * 10 + n->digit[10];
}

static bool is_snils(const struct pol_text *t, const struct number *n)
{
    static const char *const words[] = {"снилс*", "snils", "страховой", "страхового", NULL};
    if (n->count != 11 || n->plus || !snils_checks(n))
        return false;
    return looks_like(n, "ddd-ddd-ddd dd") || looks_like(n, "ddd-ddd-ddd-dd") || said(t, n, words);
}

static int weighed(const struct number *n, const char *weights, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += n->digit[i] * weights[i];
    return sum % 11 % 10;
}

static bool is_inn(const struct pol_text *t, const struct number *n)
{
    static const char *const words[] = {"инн", "inn", "налогоплательщик*", NULL};
    static const char w10[] = {2, 4, 10, 3, 5, 9, 4, 6, 8};
    static const char w11[] = {7, 2, 4, 10, 3, 5, 9, 4, 6, 8};
    static const char w12[] = {3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8};
    if (!is_bare(n) || n->plus || n->digit[0] + n->digit[1] == 0)
        return false;
    bool checks = (n->count == 10 && weighed(n, w10, 9) == n->digit[9]) ||
                  (n->count == 12 && weighed(n, w11, 10) == n->digit[10] &&
                   weighed(n, w12, 11) == n->digit[11]);
    return checks && said(t, n, words);
}

static bool luhn_checks(const struct number *n)
{
    int sum = 0;
    for (size_t i = 0; i < n->count; i++) {
        int d = n->digit[n->count - 1 - i] * (i % 2 ? 2 : 1);
        sum += d > 9 ? d - 9 : d;
    }
    return sum % 10 == 0;
}

/* First digits that payment systems use: Mir, Visa, Mastercard, Amex, UnionPay, Maestro. */
static bool is_issuer(const struct number *n)
{
    int two = n->digit[0] * 10 + n->digit[1];
    int four = two * 100 + n->digit[2] * 10 + n->digit[3];
    if (n->count == 15)
        return two == 34 || two == 37;
    if (n->count != 16 && !(n->count > 16 && (two == 62 || two == 22)))
        return false;
    return (four >= 2200 && four <= 2204) || (four >= 2221 && four <= 2720) || n->digit[0] == 4 ||
           (two >= 51 && two <= 55) || two == 62 || two == 65 || four == 6011;
}

static bool is_card(const struct pol_text *t, const struct number *n)
{
    static const char *const words[] = {"карт*",      "card", "cards", "pan", "visa",
                                        "mastercard", "мир",  "cvv",   "cvc", NULL};
    if (n->count < 15 || n->count > 19 || n->plus || !is_issuer(n) || !luhn_checks(n))
        return false;
    for (size_t i = 1; i < n->count; i++)
        if (n->digit[i] != n->digit[0])
            return looks_like(n, "dddd dddd dddd dddd") || looks_like(n, "dddd-dddd-dddd-dddd") ||
                   looks_like(n, "dddd dddddd ddddd") || said(t, n, words);
    return false;
}

static bool is_phone(const struct pol_text *t, const struct number *n)
{
    static const char *const words[] = {"тел*",  "звон*",  "моб*",     "сотов*", "позвон*",
                                        "phone", "phones", "mobile",   "call",   "tel",
                                        "sms",   "смс",    "whatsapp", NULL};
    if (n->count < 10 || n->count > 15)
        return false;
    bool russian = n->count == 11 && (n->digit[0] == 7 || n->digit[0] == 8) && n->digit[1] >= 3 &&
                   n->digit[1] != 7;
    if (russian && n->plus)
        return true;
    if (russian && n->digit[1] == 9 && strchr(n->shape, '(') && strchr(n->shape, '-'))
        return true;
    if (n->plus && n->digit[0] != 0 && !is_bare(n) && n->count >= 11)
        return true;
    return (russian || n->plus) && said(t, n, words);
}

static bool is_passport(const struct pol_text *t, const struct number *n)
{
    static const char *const words[] = {"паспорт*", "passport", NULL};
    if (n->count != 10 || n->plus || n->digit[0] + n->digit[1] == 0)
        return false;
    return (looks_like(n, "dddd dddddd") || looks_like(n, "dd dd dddddd") || is_bare(n)) &&
           said(t, n, words);
}

/* Addresses */

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_local_char(char c)
{
    return is_alpha(c) || is_digit(c) || (c && strchr("._%+-", c));
}

/* Names after an @ that are machines, units and packages, not mail domains. */
static bool is_technical(const char *last, size_t len)
{
    static const char *const names[] = {"local",   "localdomain", "internal", "lan",    "svc",
                                        "service", "socket",      "timer",    "target", "mount",
                                        "slice",   "device",      "cluster",  NULL};
    for (const char *const *n = names; *n; n++)
        if (strlen(*n) == len && memcmp(*n, last, len) == 0)
            return true;
    return false;
}

/* The @ at `at` stands in user@domain.tld. */
static bool is_email(const struct pol_text *t, size_t at)
{
    size_t from = at, to = at + 1, dot;
    while (from > 0 && is_local_char(t->lower[from - 1]))
        from--;
    while (to < t->len &&
           (is_alpha(t->lower[to]) || is_digit(t->lower[to]) || strchr(".-", t->lower[to])))
        to++;
    while (to > at && strchr(".-", t->lower[to - 1]))
        to--; /* the end of a sentence */
    for (dot = to; dot > at && t->lower[dot - 1] != '.';)
        dot--;
    dot -= dot > at;
    if (from == at || !pol__is_word(t->lower[at - 1]) || dot <= at + 1 || to - dot < 3 ||
        t->lower[at + 1] == '.')
        return false;
    for (size_t i = dot + 1; i < to; i++)
        if (!is_alpha(t->lower[i]))
            return false;
    /* "git@host:path" and "user:password@host" are no addresses. */
    bool git = at - from == 3 && memcmp(t->lower + from, "git", 3) == 0;
    bool before = from > 0 && (t->lower[from - 1] == ':' || t->lower[from - 1] == '/');
    bool mailto = from >= 7 && memcmp(t->lower + from - 7, "mailto:", 7) == 0;
    return !git && (!before || mailto) && !is_technical(t->lower + dot + 1, to - dot - 1);
}

/* The kinds, in the order in which a number is tried. */
enum tag { TAG_EMAIL, TAG_PHONE, TAG_SNILS, TAG_INN, TAG_CARD, TAG_PASSPORT, TAG_SECRET, TAGS };

static const char *const tag_names[TAGS] = {
    [TAG_EMAIL] = "email", [TAG_PHONE] = "phone",       [TAG_SNILS] = "snils",  [TAG_INN] = "inn",
    [TAG_CARD] = "card",   [TAG_PASSPORT] = "passport", [TAG_SECRET] = "secret"};

static void tag_number(const struct pol_text *t, const struct number *n, bool seen[TAGS])
{
    if (is_snils(t, n))
        seen[TAG_SNILS] = true;
    else if (is_inn(t, n))
        seen[TAG_INN] = true;
    else if (is_card(t, n))
        seen[TAG_CARD] = true;
    else if (is_passport(t, n))
        seen[TAG_PASSPORT] = true;
    else if (is_phone(t, n))
        seen[TAG_PHONE] = true;
}

static bool starts_number(const struct pol_text *t, size_t i)
{
    if (i > 0 && (pol__is_word(t->raw[i - 1]) || strchr(".+", t->raw[i - 1])))
        return false;
    return is_digit(t->raw[i]) || (t->raw[i] == '+' && is_digit(t->raw[i + 1]));
}

size_t pol_pii_tags(const char *text, const char **tags, size_t max)
{
    bool seen[TAGS] = {false};
    struct pol_text t = pol__text(text);
    for (size_t i = 0; i < t.len;) {
        if (t.raw[i] == '@' && is_email(&t, i))
            seen[TAG_EMAIL] = true;
        if (!starts_number(&t, i)) {
            i++;
            continue;
        }
        struct number n;
        size_t next = read_number(&t, i, &n);
        /* "1.2.3", "12:30", "7f3a": part of something else. */
        if (next >= t.len || (!pol__is_word(t.raw[next]) && t.raw[next] != ':' &&
                              !(t.raw[next] == '.' && is_digit(t.raw[next + 1]))))
            tag_number(&t, &n, seen);
        i = next;
    }
    seen[TAG_SECRET] = pol__has_secret(&t);
    pol__text_free(&t);
    size_t count = 0;
    for (int i = 0; i < TAGS; i++) {
        if (!seen[i])
            continue;
        if (count < max)
            tags[count] = tag_names[i];
        count++;
    }
    return count;
}
