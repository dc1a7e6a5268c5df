/* What the mock answers besides chats: embeddings, lists of models, moderation, health, an exchange
 * of tokens as GigaChat's, and the texts that its models say. */
#ifndef TESTS_MOCK_OTHER_H
#define TESTS_MOCK_OTHER_H

#include "tests/peers/mock_shapes.h"
#include <math.h>

#define MOCK_STOP "\x1f"   /* between the tokens of a text */
enum { MOCK_LONG = 3145 }; /* characters of the text `long` */

static const struct {
    const char *name, *text;
} mock_texts[] = {
    {"", "Disk is " MOCK_STOP "93.5% full" MOCK_STOP " [1]. Диск."},
    {"fine", "The root file system has room [1]. Look with `df -h` if that changes [2]."},
    {"alike", "The root file system has room [1]. Look with `df -h` when that changes [2]."},
    {"risky", "The root file system has room [1]. Delete it all with `rm -rf /` at once [1]."},
    {"apart", "Bananas ripen in warm weather; ships sail south in winter [1]."},
    {"nothing", "I do not know what that could be."},
    {"json", "{\"disk\": " MOCK_STOP "93.5}"},
};

/* Markdown of exactly MOCK_LONG ASCII characters: headings, lists, code, emphasis, a table, prose.
 */
static inline void mock_long(struct buf *out)
{
    for (int n = 1; out->len < MOCK_LONG; n++)
        buf_addf(
            out,
            "## Step %d: find what fills the volume\n\n"
            "The file system **/var** grew by *%d.4 GB* since yesterday. Most of it is the "
            "journal, which keeps\n"
            "every message until a limit is reached; the limit is not set on this host, so it is a "
            "tenth of the disk.\n\n"
            "1. Look at the largest folders first, one level at a time.\n"
            "2. Compare with the history of `disk_used` before anything is removed.\n"
            "   - a steady slope is a log, a step is a backup or a core dump\n\n"
            "```sh\ndu -x --max-depth=1 /var | sort -n | tail -n %d\njournalctl "
            "--disk-usage\n```\n\n"
            "| folder | size | trend |\n|---|---|---|\n| /var/log/journal | %d.1 GB | rising |\n"
            "| /var/lib/docker | 2%d.0 GB | steady |\n\n"
            "> A deleted file that a process still holds is freed only when the process closes "
            "it.\n\n",
            n, n, n, n, n);
    out->len = MOCK_LONG;
    out->data[out->len] = '\0';
}

/* The words of the last message. */
static inline const char *mock_asked(const struct conn *c)
{
    const json_t *messages = json_object_get(c->body, "messages");
    size_t n = json_array_size(messages);
    const json_t *content = n ? json_object_get(json_array_get(messages, n - 1), "content") : NULL;
    if (json_is_array(content))
        content = json_object_get(json_array_get(content, 0), "text");
    return json_is_string(content) ? json_string_value(content) : "";
}

static inline void mock_text(struct conn *c, const struct buf *hostile)
{
    const char *name = c->plan.text;
    buf_release(&c->text);
    if (*c->plan.say) {
        c->text = plan_decoded(c->plan.say);
    } else if (strcmp(name, "hostile") == 0) {
        buf_add(&c->text, hostile->data ? hostile->data : "", hostile->len);
    } else if (strcmp(name, "long") == 0) {
        mock_long(&c->text);
    } else if (strcmp(name, "guard") == 0) {
        buf_adds(&c->text, strstr(mock_asked(c), "mock-unsafe") ? "unsafe\nS1" : "safe");
    } else if (!shape_calls(c) || *name) {
        for (size_t i = 0; i < sizeof mock_texts / sizeof *mock_texts; i++)
            if (strcmp(name, mock_texts[i].name) == 0)
                buf_adds(&c->text, mock_texts[i].text);
    }
    size_t once = c->text.len;
    for (int64_t i = 1; i < c->plan.repeat && once; i++) {
        buf_reserve(&c->text, once);
        buf_add(&c->text, c->text.data, once);
    }
}

/* The next token of the text, or *len 0 at its end. */
static inline const char *mock_next(struct conn *c, size_t *len)
{
    static const char *const words[] = {"the ",  "disk ", "of ",    "this ",
                                        "host ", "is ",   "full, ", "look "};
    static char many[1 << 16];
    const struct plan *p = &c->plan;
    *len = 0;
    if (p->forever || p->tokens) {
        if (!p->forever && c->token >= p->tokens)
            return "";
        if (!p->token_bytes) {
            const char *word = words[c->token % 8];
            *len = strlen(word);
            return word;
        }
        *len = (size_t)mock_least(p->token_bytes, sizeof many);
        memset(many, 'y', *len);
        return many;
    }
    const char *text = c->text.data ? c->text.data : "", *from = text + c->text_at, *end = from;
    if (p->piece > 0) {
        for (int64_t i = 0; i < p->piece && *end; i++)
            for (end++; (*end & 0xc0) == 0x80;)
                end++;
    } else {
        end += strcspn(end, MOCK_STOP);
    }
    *len = (size_t)(end - from);
    c->text_at = (size_t)(end - text) + (p->piece <= 0 && *end);
    return from;
}

/* Adds the direction of a word, times weight. A glorp is an inode: models know what words mean. */
static inline void other__word(const char *word, size_t len, double weight, double *v,
                               int64_t dimensions)
{
    uint64_t x = 0xcbf29ce484222325u; /* FNV-1a, then xorshift */
    if (len == 5 && strncasecmp(word, "glorp", 5) == 0)
        word = "inode";
    for (size_t i = 0; i < len; i++)
        x = (x ^ (unsigned char)(word[i] | 0x20)) * 0x100000001b3u;
    for (int64_t i = 0; i < dimensions; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        v[i] += weight * ((double)(x % 2001) / 1000 - 1);
    }
}

/* A vector of length 1: the sum of the text's words, and of much that all texts have in common. */
static inline void other__vector(struct buf *b, const char *text, int64_t dimensions)
{
    double *v = xcalloc((size_t)dimensions + 1, sizeof *v), sum = 0, words = 1;
    for (const char *p = text; *p; words++) {
        size_t len = strcspn(p, " \t\r\n.,:;`/()-*#");
        if (len > 3)
            other__word(p, len < 5 ? len : 5, 1, v, dimensions); /* a crude stem */
        p += len;
        p += strspn(p, " \t\r\n.,:;`/()-*#");
    }
    other__word("common", 6, sqrt(words), v, dimensions);
    for (int64_t i = 0; i < dimensions; i++)
        sum += v[i] * v[i];
    buf_addc(b, '[');
    for (int64_t i = 0; i < dimensions; i++)
        buf_addf(b, "%s%.8f", i ? "," : "", v[i] / (sum > 0 ? sqrt(sum) : 1));
    buf_addc(b, ']');
    free(v);
}

static inline void other_embeddings(struct conn *c, bool ollama)
{
    const json_t *input = json_object_get(c->body, "input");
    size_t n = json_is_array(input) ? json_array_size(input) : 1;
    struct buf b = {0};
    buf_adds(&b, ollama ? "{\"embeddings\":[" : "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(input) ? json_array_get(input, i) : input;
        buf_adds(&b, i ? "," : "");
        if (!ollama)
            buf_addf(&b, "{\"object\":\"embedding\",\"index\":%zu,\"embedding\":", i);
        other__vector(&b, json_is_string(one) ? json_string_value(one) : "", c->plan.dimensions);
        buf_adds(&b, ollama ? "" : "}");
    }
    buf_adds(&b, "],\"model\":");
    talk_quoted(&b, shape_model(c), strlen(shape_model(c)));
    if (shape_counts(c) || !ollama) {
        buf_adds(&b, ollama ? "," : ",\"usage\":{");
        shape__number(&b, c, ollama ? "prompt_eval_count" : "prompt_tokens", c->plan.in);
        if (!ollama)
            shape__number(&b, c, "total_tokens", c->plan.in);
        shape__close(&b);
        c->e->counted = true;
        c->e->in = c->plan.in;
    }
    buf_adds(&b, ollama ? "" : "}");
    talk_whole(c, "application/json", b.data, b.len);
    buf_release(&b);
}

static inline void other_models(struct conn *c, bool anthropic)
{
    static const char openai[] =
        "{\"object\":\"list\",\"data\":[{\"id\":\"mock-large\",\"object\":\"model\",\"created\":"
        "1764200000,"
        "\"owned_by\":\"mock\"},{\"id\":\"mock-small\",\"object\":\"model\",\"created\":1764200000,"
        "\"owned_by\":\"mock\"}]}";
    static const char theirs[] =
        "{\"data\":[{\"type\":\"model\",\"id\":\"mock-large\",\"display_name\":\"Mock "
        "Large\",\"created_at\":\"2026-01-01T00:00:00Z\"},"
        "{\"type\":\"model\",\"id\":\"mock-small\",\"display_name\":\"Mock "
        "Small\",\"created_at\":\"2026-01-01T00:00:00Z\"}],"
        "\"has_more\":false,\"first_id\":\"mock-large\",\"last_id\":\"mock-small\"}";
    const char *text = c->plan.unlisted ? "{\"data\":[]}" : anthropic ? theirs : openai;
    talk_whole(c, "application/json", text, strlen(text));
}

static inline void other_tags(struct conn *c)
{
    static const char text[] =
        "{\"models\":[{\"name\":\"mock-large:latest\",\"model\":\"mock-large:latest\",\"modified_"
        "at\":\"2026-01-01T00:00:00Z\","
        "\"size\":4000000000,\"digest\":\"00\",\"details\":{\"family\":\"mock\",\"parameter_size\":"
        "\"7B\",\"quantization_level\":\"Q4_0\"}},"
        "{\"name\":\"mock-small:latest\",\"model\":\"mock-small:latest\",\"modified_at\":\"2026-01-"
        "01T00:00:00Z\",\"size\":500000000,"
        "\"digest\":\"01\",\"details\":{\"family\":\"mock\",\"parameter_size\":\"1B\","
        "\"quantization_level\":\"Q4_0\"}}]}";
    static const char none[] = "{\"models\":[]}";
    talk_whole(c, "application/json", c->plan.unlisted ? none : text,
               c->plan.unlisted ? sizeof none - 1 : sizeof text - 1);
}

/* Flags what the input names: mock-violence, mock-hate, ... */
static inline void other_moderations(struct conn *c)
{
    static const char *const categories[] = {
        "harassment", "hate", "illicit", "self-harm", "sexual", "violence", "violence/graphic"};
    enum { CATEGORIES = sizeof categories / sizeof *categories };
    char *input = json_write(json_object_get(c->body, "input"));
    bool hit[CATEGORIES], any = false;
    for (size_t i = 0; i < CATEGORIES; i++) {
        char *mark = xasprintf("mock-%s", categories[i]);
        char *escaped = strchr(mark, '/') ? xasprintf("mock-violence\\/graphic") : xstrdup(mark);
        hit[i] = strstr(input, mark) || strstr(input, escaped);
        any = any || hit[i];
        free(escaped);
        free(mark);
    }
    struct buf b = {0};
    buf_addf(
        &b,
        "{\"id\":\"modr-mock\",\"model\":\"mock\",\"results\":[{\"flagged\":%s,\"categories\":{",
        any ? "true" : "false");
    for (size_t i = 0; i < CATEGORIES; i++)
        buf_addf(&b, "%s\"%s\":%s", i ? "," : "", categories[i], hit[i] ? "true" : "false");
    buf_adds(&b, "},\"category_scores\":{");
    for (size_t i = 0; i < CATEGORIES; i++)
        buf_addf(&b, "%s\"%s\":%s", i ? "," : "", categories[i], hit[i] ? "0.97" : "0.01");
    buf_adds(&b, "}}]}");
    talk_whole(c, "application/json", b.data, b.len);
    buf_release(&b);
    free(input);
}

/* ---- tokens, as GigaChat gives them: Basic authorisation, RqUID, scope in the form */

enum { MOCK_GRANTS = 64 };
static struct {
    char text[64];
    uint64_t until;
} mock_grants[MOCK_GRANTS];
static int64_t mock_token_count;

static inline void other_token(struct conn *c, const char *form)
{
    const char *auth = json_str(c->e->headers, "authorization", "");
    if (strncasecmp(auth, "Basic ", 6) != 0 || !*json_str(c->e->headers, "rquid", "") ||
        !strstr(form, "scope=")) {
        static const char text[] =
            "{\"code\":4,\"message\":\"Can't decode 'Authorization' header\"}";
        c->plan.status = strncasecmp(auth, "Basic ", 6) != 0 ? 401 : 400;
        talk_whole(c, "application/json", text, sizeof text - 1);
        return;
    }
    size_t i = (size_t)(mock_token_count++ % MOCK_GRANTS);
    snprintf(mock_grants[i].text, sizeof mock_grants[i].text, "mock-token-%lld",
             (long long)mock_token_count);
    mock_grants[i].until = clock_mono_ns() + (uint64_t)c->plan.expires * 1000000000u;
    struct buf b = {0};
    buf_addf(&b, "{\"access_token\":\"%s\",\"expires_at\":%lld}", mock_grants[i].text,
             (long long)(clock_real_ms() + c->plan.expires * 1000));
    talk_whole(c, "application/json", b.data, b.len);
    buf_release(&b);
}

static inline bool other_token_fits(const char *key)
{
    for (size_t i = 0; i < MOCK_GRANTS; i++)
        if (*mock_grants[i].text && strcmp(mock_grants[i].text, key) == 0)
            return mock_grants[i].until > clock_mono_ns();
    return false;
}

#endif
