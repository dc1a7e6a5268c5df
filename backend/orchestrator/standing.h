/* Which of two sources is to be believed where they say otherwise. Pure.
 *
 * By what they are (standing.def): what somebody told (notes, tickets, runbooks) stands behind what
 * was kept (caches, snapshots, replicas), and that behind what is measured or in force. Of two of
 * one kind the more recent one stands, where both say of when they are, or where one says it and
 * the other is asked now. A source of a lower kind that is more recent than the other one leaves it
 * open. */
#ifndef ORCH_STANDING_H
#define ORCH_STANDING_H

#include "backend/gateway/gateway.h"

enum orch_standing_kind { ORCH_TOLD, ORCH_KEPT, ORCH_MEASURED };
struct orch_standing {
    enum orch_standing_kind kind;
    bool dated; /* it says of when it is */
    double at;  /* seconds; of a day where it says no date */
    bool day;   /* it has a date */
};
/* about: title and description of its tool, or NULL. */
void orch_standing_of(const struct gw_source *s, const char *about, struct orch_standing *out);

enum orch_stands { ORCH_OPEN, ORCH_FIRST_MEASURED, ORCH_FIRST_NEWER, ORCH_SECOND };
/* ORCH_SECOND: the second stands, for whatever reason. */
enum orch_stands orch_stands(const struct orch_standing *a, const struct orch_standing *b);

/* Whether the two are of different things of one make, as their names say: app-1 and app-2, staging
 * and production. */
bool orch_sources_apart(const struct gw_source *a, const char *about_a, const struct gw_source *b,
                        const char *about_b);
/* The same of two sentences, by words of which a thing has one only: staging, production. */
bool orch_words_apart(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
