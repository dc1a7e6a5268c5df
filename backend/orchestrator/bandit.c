/* The draws of bandit.h. */
#include "backend/orchestrator/bandit.h"
#include "backend/base/errors.h"
#include <math.h>

enum { DRAWS = 4000 };
static const uint64_t SEED = 0x6d63702d636f6e73u;

/* splitmix64 (S. Vigna), which is enough for draws */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* In (0, 1). */
static double uniform(uint64_t *state)
{
    return ((double)(next(state) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(uint64_t *state)
{
    static const double TURN = 6.283185307179586;
    double u = uniform(state), v = uniform(state);
    return sqrt(-2 * log(u)) * cos(TURN * v);
}

/* Gamma of a shape of at least 1. */
static double gamma_of(double shape, uint64_t *state)
{
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = normal(state), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(uniform(state)) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

size_t bandit_draw(const struct bandit_arm *arms, size_t n, uint64_t *state)
{
    size_t best = 0;
    double most = -1;
    BUG_IF(!n || n > BANDIT_ARMS);
    for (size_t i = 0; i < n; i++) {
        double good = gamma_of(1 + arms[i].good, state), bad = gamma_of(1 + arms[i].bad, state);
        double share = good / (good + bad);
        if (share > most) {
            most = share;
            best = i;
        }
    }
    return best;
}

void bandit_shares(const struct bandit_arm *arms, size_t n, double *shares)
{
    uint64_t state = SEED;
    for (size_t i = 0; i < n; i++)
        shares[i] = 0;
    for (size_t k = 0; k < DRAWS; k++)
        shares[bandit_draw(arms, n, &state)] += 1.0 / DRAWS;
}
