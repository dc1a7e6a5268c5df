/* What model servers send, as a stream and whole: the first byte says who answers and how, the next
 * three how it is cut. Any cutting must give the same answer, told once, and bring its text once.
 * The loop does not run: nothing is sent. One gateway serves all inputs; what it learns of its
 * models is forgotten each time. */
#include "backend/gateway/upstream.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct gw_message said = {.role = "user", .content = "disk?"};
static const struct gw_request request = {
    .question = "disk?", .lang = "en", .messages = &said, .message_count = 1};

struct seen {
    unsigned done;
    enum err code;
    size_t calls;
    struct buf text, reasoning, deltas, reason;
};

static void delta(void *arg, const char *text, size_t len)
{
    struct seen *s = arg;
    buf_add(&s->deltas, text, len);
}

static void done(void *arg, const struct gw_result *r)
{
    struct seen *s = arg;
    s->done++;
    s->code = r->error.code;
    s->calls = json_array_size(r->tool_calls);
    buf_addf(&s->text, "%s", r->text);
    buf_addf(&s->reasoning, "%s", r->reasoning);
    buf_addf(&s->reason, "%s", r->finish_reason);
}

static void answer(struct gw *g, const char *model, bool json, const char *text, size_t len,
                   const uint8_t *cuts, struct seen *s)
{
    static const struct gw_ops ops = {.delta = delta, .done = done};
    struct error e = {0};
    struct gw_call *c = gw_start(g, model, &request, &ops, s, &e);
    BUG_IF(!c || !c->tries[0]);
    struct gw__try *t = c->tries[0];
    struct gw__upstream *u = t->state;
    u->json = json;
    gw__enter(t);
    for (size_t i = 0, k = 0; i < len && !t->over && !u->complete; k++) {
        size_t n = cuts ? 1u + cuts[k % 3] % 16u : len;
        n = n > len - i ? len - i : n;
        char *piece = xcalloc(1, n); /* its end where a sanitizer sees it */
        memcpy(piece, text + i, n);
        u->received += n;
        u->dialect->feed(t, piece, n);
        free(piece);
        i += n;
    }
    if (!t->over && !u->complete)
        u->dialect->end(t);
    if (!t->over && u->complete)
        gw__finish(t, &(struct error){0}, u->reason);
    bool over = t->over;
    gw__leave(t);
    BUG_IF(s->done != over);
    if (!over)
        gw_cancel(c, NULL);
}

static bool same(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

static void seen_release(struct seen *s)
{
    buf_release(&s->text);
    buf_release(&s->reasoning);
    buf_release(&s->deltas);
    buf_release(&s->reason);
}

static const char *const models[] = {"o", "a", "c"};

/* Its models wait for a token that never comes, so that no exchange is begun for each input. */
static struct gw *opened(void)
{
    char path[] = "/tmp/mcpc-fuzz-XXXXXX";
    int fd = mkstemp(path);
    struct error e = {0};
    BUG_IF(fd < 0);
    static const char *const kinds[] = {"ollama", "anthropic", "generic"};
    setenv("FUZZ_KEY", "k-0123456789abcdef", 1);
    for (size_t i = 0; i < 3; i++)
        dprintf(fd,
                "[model \"%s\"]\nkind = %s\nurl = http://127.0.0.1:1\nmodel = m\nretries = 0\n"
                "parallel = 64\nkey = env:FUZZ_KEY\nauth = exchange\n"
                "token_url = http://127.0.0.1:1/t\n",
                models[i], kinds[i]);
    close(fd);
    struct conf *conf = conf_load(path, &e);
    unlink(path);
    if (!conf)
        fprintf(stderr, "%s\n", e.detail);
    BUG_IF(!conf);
    struct gw *g = gw_new(loop_new(), conf, &e);
    BUG_IF(!g);
    conf_free(conf);
    static const struct gw_ops nothing;
    for (size_t i = 0; i < 3; i++)
        BUG_IF(!gw_start(g, models[i], &request, &nothing, NULL, &e));
    return g;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw *g;
    if (size < 4)
        return 0;
    if (!g)
        g = opened();
    struct seen s[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        const char *name = models[data[0] % 3];
        gw__find(g, name)->lane->breaker = (struct breaker){0};
        answer(g, name, data[0] & 0x80, (const char *)data + 4, size - 4, i ? data + 1 : NULL,
               &s[i]);
    }
    BUG_IF(s[0].done != s[1].done || s[0].code != s[1].code || s[0].calls != s[1].calls);
    BUG_IF(!same(&s[0].text, &s[1].text) || !same(&s[0].reasoning, &s[1].reasoning));
    BUG_IF(!same(&s[0].reason, &s[1].reason));
    BUG_IF(s[0].done && s[0].code == ERR_OK && !same(&s[0].text, &s[0].deltas));
    seen_release(&s[0]);
    seen_release(&s[1]);
    return 0;
}
