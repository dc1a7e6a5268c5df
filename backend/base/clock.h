/* Time. Monotonic for intervals, real time for records. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_mono_ns(void);
uint64_t clock_mono_ms(void);
/* Milliseconds since 1970-01-01T00:00:00Z. */
int64_t clock_real_ms(void);
/* RFC 3339 in UTC with milliseconds: "2026-11-21T03:12:44.071Z" (24 characters and a NUL). */
enum { CLOCK_TEXT = 32 };
void clock_format(int64_t real_ms, char out[CLOCK_TEXT]);
/* Parses what clock_format writes; returns 0, or -1. */
int clock_parse(const char *text, int64_t *real_ms);
/* The local calendar day of a time, "2026-11-21" (10 characters and a NUL). */
void clock_local_day(int64_t real_ms, char out[16]);

#endif
