/* A bandit over models: from how often each did well and badly, how likely each is the best. Pure.
 *
 * An arm that did well `good` times and badly `bad` times has the posterior Beta(1 + good, 1 + bad)
 * of its share of success. A draw takes one value of each and the arm with the highest (Thompson
 * sampling: W. R. Thompson, Biometrika 25, 1933); the share of an arm is how many of many draws it
 * won. A Beta is X / (X + Y) of two Gammas, drawn as Marsaglia and Tsang do (ACM TOMS 26, 2000). */
#ifndef ORCH_BANDIT_H
#define ORCH_BANDIT_H

#include <stddef.h>
#include <stdint.h>

struct bandit_arm {
    double good, bad; /* 0 or more, also parts of one */
};
enum { BANDIT_ARMS = 16 };

/* The arm of one draw; n: 1..BANDIT_ARMS. state is of any value, and is changed. */
size_t bandit_draw(const struct bandit_arm *arms, size_t n, uint64_t *state);
/* How likely each arm is the best: they add up to 1. The same arms give the same shares. */
void bandit_shares(const struct bandit_arm *arms, size_t n, double *shares);

#endif
