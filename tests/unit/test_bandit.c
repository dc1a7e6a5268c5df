/* The bandit over models: simulated outcomes of known odds. */
#include "backend/orchestrator/bandit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

static void nothing_known_is_even(void **state)
{
    (void)state;
    const struct bandit_arm arms[4] = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
    double shares[4], again[4], sum = 0;
    bandit_shares(arms, 4, shares);
    bandit_shares(arms, 4, again);
    for (size_t i = 0; i < 4; i++) {
        assert_true(shares[i] > 0.2 && shares[i] < 0.3);
        assert_true(shares[i] == again[i]);
        sum += shares[i];
    }
    assert_float_equal(sum, 1, 1e-9);
}

/* Of two arms with Beta posteriors the share is known: P(X > Y) for Beta(2, 1) and Beta(1, 1) is
 * 2/3, for Beta(3, 1) and Beta(1, 2) 9/10. */
static void shares_are_those_of_the_posteriors(void **state)
{
    (void)state;
    const struct bandit_arm one[2] = {{1, 0}, {0, 0}}, two[2] = {{2, 0}, {0, 1}};
    double shares[2];
    bandit_shares(one, 2, shares);
    assert_float_equal(shares[0], 2.0 / 3, 0.03);
    bandit_shares(two, 2, shares);
    assert_float_equal(shares[0], 0.9, 0.02);
}

static double odd(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return (double)(*x >> 11) / 9007199254740992.0;
}

/* By its draws it comes to ask the best of three nearly always, whichever place that has. */
static void draws_converge_on_the_best(void **state)
{
    (void)state;
    static const double odds[3] = {0.45, 0.8, 0.6};
    for (size_t turn = 0; turn < 3; turn++) {
        struct bandit_arm arms[3] = {{0, 0}};
        size_t best = (turn + 1) % 3, asked = 0;
        uint64_t draws = 7 + turn, luck = 11 + turn;
        for (size_t i = 0; i < 1000; i++) {
            size_t arm = bandit_draw(arms, 3, &draws);
            bool good = odd(&luck) < odds[(arm + 3 - turn) % 3];
            arms[arm].good += good;
            arms[arm].bad += !good;
            asked += i >= 500 && arm == best;
        }
        double shares[3];
        bandit_shares(arms, 3, shares);
        assert_true(shares[best] > 0.95);
        assert_true(asked > 400);
    }
}

/* Equal ones stay open, whatever their number. */
static void equals_stay_equal(void **state)
{
    (void)state;
    const struct bandit_arm arms[2] = {{60, 40}, {60, 40}};
    double shares[2];
    bandit_shares(arms, 2, shares);
    assert_true(shares[0] > 0.45 && shares[0] < 0.55);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_known_is_even),
        cmocka_unit_test(shares_are_those_of_the_posteriors),
        cmocka_unit_test(draws_converge_on_the_best),
        cmocka_unit_test(equals_stay_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
