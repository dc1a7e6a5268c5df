/* A hash table from strings to small numbers. */
#include "backend/base/hash.h"
#include "backend/knowledge/internal.h"
#include <stdlib.h>
#include <string.h>

uint64_t know__hash(const char *s, size_t len)
{
    return hash_bytes(HASH_START, s, len);
}

/* The slot that holds the string, or the empty one where it belongs. */
static size_t find_slot(const struct know__map *m, const char *s, size_t len, uint64_t hash)
{
    size_t mask = m->slot_count - 1;
    size_t i = (hash ^ hash >> 32) & mask;
    for (; m->slots[i] != 0; i = (i + 1) & mask) {
        const struct know__entry *e = &m->entries[m->slots[i] - 1];
        if (e->hash == hash && e->len == len && memcmp(m->bytes.data + e->offset, s, len) == 0)
            break;
    }
    return i;
}

uint32_t know__map_find(const struct know__map *m, const char *s, size_t len)
{
    if (m->count == 0)
        return KNOW__NONE;
    uint32_t slot = m->slots[find_slot(m, s, len, know__hash(s, len))];
    return slot == 0 ? KNOW__NONE : slot - 1;
}

static void grow(struct know__map *m)
{
    size_t slots = m->slot_count == 0 ? 64 : m->slot_count * 2;
    free(m->slots);
    m->slots = xcalloc(slots, sizeof *m->slots);
    m->slot_count = slots;
    for (size_t e = 0; e < m->count; e++) {
        uint64_t hash = m->entries[e].hash;
        size_t i = (hash ^ hash >> 32) & (slots - 1);
        while (m->slots[i] != 0)
            i = (i + 1) & (slots - 1);
        m->slots[i] = (uint32_t)e + 1;
    }
}

uint32_t know__map_put(struct know__map *m, const char *s, size_t len)
{
    if (m->count * 2 >= m->slot_count)
        grow(m);
    uint64_t hash = know__hash(s, len);
    size_t slot = find_slot(m, s, len, hash);
    if (m->slots[slot] != 0)
        return m->slots[slot] - 1;
    if (m->count == m->cap) {
        m->cap = m->cap == 0 ? 64 : m->cap * 2;
        m->entries = xrealloc(m->entries, m->cap * sizeof *m->entries);
    }
    m->entries[m->count] = (struct know__entry){hash, m->bytes.len, (uint32_t)len};
    buf_add(&m->bytes, s, len);
    m->count++;
    m->slots[slot] = (uint32_t)m->count;
    return (uint32_t)m->count - 1;
}

const char *know__map_name(const struct know__map *m, uint32_t id, size_t *len)
{
    *len = m->entries[id].len;
    return m->bytes.data + m->entries[id].offset;
}

void know__map_release(struct know__map *m)
{
    buf_release(&m->bytes);
    free(m->entries);
    free(m->slots);
    *m = (struct know__map){0};
}
