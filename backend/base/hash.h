/* FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/): for tables and for what is compared
 * within a run, where nobody who chooses the bytes gains by two of one hash. It is no seal: those
 * are vault.h's. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START UINT64_C(0xcbf29ce484222325)

/* The hash so far (HASH_START at first) with `len` more bytes. */
static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
