/* Sessions and the idempotency keys they remember (B3).
 *
 * 1 A key is under way (reply NULL) or answered. Only answered ones are forgotten, oldest first.
 * 2 A session that ends takes its answered keys with it; one with a key under way is kept until the
 *   bus is freed or it is answered: bus_call holds a pointer to the key. So ending moves its id to
 *   "", which is never found. */
#include "backend/base/hash.h"
#include "backend/base/text.h"
#include "backend/bus/internal.h"
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void random_id(char out[33])
{
    unsigned char bytes[16];
    BUG_IF(getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes);
    text_hex(bytes, sizeof bytes, out);
}

static void key_free(struct bus__session *s, struct bus__key *k)
{
    TAILQ_REMOVE(&s->keys, k, link);
    s->key_count--;
    s->key_bytes -= k->size;
    free(k->key);
    free(k->reply);
    free(k);
}

static bool busy(const struct bus__session *s)
{
    const struct bus__key *k;
    TAILQ_FOREACH(k, &s->keys, link)
    if (!k->reply)
        return true;
    return false;
}

void bus__session_end(struct bus *b, struct bus__session *s)
{
    if (busy(s) && !b->freed) {
        s->id[0] = '\0';
        return;
    }
    for (struct bus__key *k; (k = TAILQ_FIRST(&s->keys));)
        key_free(s, k);
    TAILQ_REMOVE(&b->sessions, s, link);
    b->session_count--;
    free(s);
}

struct bus__session *bus__session_open(struct bus *b, enum bus_role asked)
{
    struct bus__session *s, *next;
    for (s = TAILQ_FIRST(&b->sessions); s && b->session_count >= BUS_SESSIONS; s = next) {
        next = TAILQ_NEXT(s, link);
        if (!busy(s))
            bus__session_end(b, s);
    }
    s = xcalloc(1, sizeof *s);
    random_id(s->id);
    s->asked = asked;
    s->asked_level = BUS_EXECUTE;
    TAILQ_INIT(&s->keys);
    TAILQ_INSERT_TAIL(&b->sessions, s, link);
    b->session_count++;
    return s;
}

struct bus__session *bus__session_find(struct bus *b, const char *id)
{
    struct bus__session *s;
    if (!*id)
        return NULL;
    TAILQ_FOREACH_REVERSE(s, &b->sessions, bus__sessions, link)
    if (!strcmp(s->id, id)) {
        TAILQ_REMOVE(&b->sessions, s, link);
        TAILQ_INSERT_TAIL(&b->sessions, s, link);
        return s;
    }
    return NULL;
}

enum bus_role bus__session_role(const struct bus *b, const struct bus__session *s)
{
    return s->asked && s->asked < b->max_role ? s->asked : b->max_role;
}

enum bus_level bus__session_level(const struct bus *b, const struct bus__session *s)
{
    if (bus__session_role(b, s) < BUS_OPERATOR)
        return BUS_READ;
    return s->asked_level < b->max_level ? s->asked_level : b->max_level;
}

uint64_t bus__print(enum wire_method m, const json_t *params)
{
    char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
    BUG_IF(!text);
    uint64_t hash = hash_bytes(HASH_START ^ (uint64_t)m, text, strlen(text));
    free(text);
    return hash;
}

struct bus__key *bus__key_find(struct bus__session *s, const char *key)
{
    struct bus__key *k;
    TAILQ_FOREACH(k, &s->keys, link)
    if (!strcmp(k->key, key))
        return k;
    return NULL;
}

struct bus__key *bus__key_add(struct bus__session *s, const char *key, uint64_t print)
{
    struct bus__key *k = xcalloc(1, sizeof *k);
    k->key = xstrdup(key);
    k->print = print;
    TAILQ_INSERT_TAIL(&s->keys, k, link);
    s->key_count++;
    return k;
}

void bus__key_answer(struct bus__session *s, struct bus__key *k, const char *reply)
{
    k->reply = xstrdup(reply);
    k->size = strlen(reply);
    s->key_bytes += k->size;
    struct bus__key *old, *next;
    for (old = TAILQ_FIRST(&s->keys);
         old && (s->key_count > BUS_KEYS || s->key_bytes > BUS_KEY_BYTES); old = next) {
        next = TAILQ_NEXT(old, link);
        if (old->reply && old != k)
            key_free(s, old);
    }
}
