/* Arbitration is pure: crafted answers and sources in, scores and verdicts out (spec AR-2, AR-3).
 */
#include "backend/orchestrator/arbitrate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct orch_limits LIMITS = {0.35, 0.30, 0.45, 0.4, 0.3, 0.3};
static const struct gw_source SOURCES[] = {
    {"1", "tool", "host/disks", "/ is 87% full, 31 GiB of 252 GiB free.", NULL, 1},
    {"2", "runbook", "runbooks/en/disk-full.md#Look first",
     "Find what grew with du. Remove old journal files.", NULL, 1},
};
static struct know *know;

static int set_up(void **state)
{
    (void)state;
    static const struct embed_file NONE[] = {{NULL, NULL, 0}};
    know = know_new(NONE, "", NULL, NULL);
    return know ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    know_free(know);
    return 0;
}

static struct orch_verdict judge(const char *a, const char *b, struct orch_score *scores)
{
    struct orch_answer answers[2] = {{"a", a}, {"b", b}};
    struct orch_verdict v;
    orch_arbitrate(know, &LIMITS, answers, b ? 2 : 1, SOURCES, 2, scores, &v);
    return v;
}

static void grounded_beats_ungrounded(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v =
        judge("/ is 12% full and the disk is fine.",
              "/ is 87% full, 31 GiB free. [1]\n\n- Find what grew with du. [2]\n", s);
    assert_int_equal(v.winner, 1);
    assert_true(s[1].reasoning > 0.99);
    assert_true(s[0].reasoning < 0.01);
    assert_true(s[1].composite > s[0].composite);
    json_decref(v.disputed);
}

static void number_not_in_the_source_costs(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v = judge("/ is 87% full. [1]", "/ is 88% full. [1]", s);
    assert_int_equal(v.winner, 0);
    assert_true(s[0].reasoning > s[1].reasoning + 0.25);
    assert_int_equal(json_array_size(v.disputed), 1);
    json_decref(v.disputed);
}

static void agreeing_answers_do_not_diverge(void **state)
{
    (void)state;
    struct orch_score s[2];
    const char *text = "/ is 87% full. [1]\n- Find what grew with du. [2]";
    struct orch_verdict v = judge(text, text, s);
    assert_true(v.D < 0.001);
    assert_false(v.diverges);
    assert_int_equal(json_array_size(v.disputed), 0);
    json_decref(v.disputed);
}

static void different_answers_diverge(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v =
        judge("/ is 87% full. [1]", "Replace the network cable and restart bind. [2]", s);
    assert_true(v.D > LIMITS.divergence);
    assert_true(v.diverges);
    json_decref(v.disputed);
}

static void safer_answer_wins_above_the_gap(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v =
        judge("/ is 87% full. [1]\n- Run rm -rf / --no-preserve-root to free space. [2]",
              "I see a full disk.", s);
    assert_true(s[0].safety_risk > s[1].safety_risk + LIMITS.safety_gap);
    assert_true(v.safer);
    assert_int_equal(v.winner, 1);
    assert_false(v.diverges);
    json_decref(v.disputed);
}

static void one_answer_has_no_D(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v = judge("/ is 87% full. [1]", NULL, s);
    assert_int_equal(v.winner, 0);
    assert_true(v.D < 0 && v.S < 0);
    json_decref(v.disputed);
}

static void no_answer_has_no_winner(void **state)
{
    (void)state;
    struct orch_verdict v;
    orch_arbitrate(know, &LIMITS, NULL, 0, SOURCES, 2, NULL, &v);
    assert_int_equal(v.winner, -1);
    json_decref(v.disputed);
}

static void citations_are_whole_numbers(void **state)
{
    (void)state;
    assert_true(orch_cites("x [1]", "1"));
    assert_false(orch_cites("x [12]", "1"));
    assert_false(orch_cites("x 1", "1"));
    assert_true(orch_cites("[2][12]", "12"));
}

static void what_cites_nothing_is_weak(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v = judge("I cannot answer this.", "I do not know.", s);
    assert_true(v.weak);
    assert_false(v.answered);
    assert_false(v.diverges); /* two that found nothing have nothing to criticise */
    assert_true(s[0].composite < LIMITS.composite && s[1].composite < LIMITS.composite);
    json_decref(v.disputed);
    v = judge("/ is 87% full. [7]", NULL, s); /* a source that does not exist */
    assert_true(v.weak && !v.answered);
    json_decref(v.disputed);
    v = judge("/ is 87% full. [1]", NULL, s);
    assert_true(!v.weak && v.answered);
    json_decref(v.disputed);
}

static void equal_is_equal(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v = judge("/ is 87% full. [1]", "/ is 87% full. [1]", s);
    assert_int_equal(v.winner, 0);
    assert_int_equal(v.equal, 1);
    json_decref(v.disputed);
    v = judge("/ is 87% full. [1]", "/ is 12% full.", s);
    assert_int_equal(v.equal, -1);
    json_decref(v.disputed);
}

/* Two readings that both stand in the source are no dispute; one that stands nowhere is. */
static void readings_are_no_dispute(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v = judge("The disk has 31 GiB. [1]", "The disk has 252 GiB. [1]", s);
    assert_int_equal(json_array_size(v.disputed), 0);
    json_decref(v.disputed);
    v = judge("The disk has 31 GiB. [1]", "The disk has 32 GiB. [1]", s);
    assert_int_equal(json_array_size(v.disputed), 1);
    json_decref(v.disputed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grounded_beats_ungrounded),
        cmocka_unit_test(number_not_in_the_source_costs),
        cmocka_unit_test(agreeing_answers_do_not_diverge),
        cmocka_unit_test(different_answers_diverge),
        cmocka_unit_test(safer_answer_wins_above_the_gap),
        cmocka_unit_test(one_answer_has_no_D),
        cmocka_unit_test(no_answer_has_no_winner),
        cmocka_unit_test(citations_are_whole_numbers),
        cmocka_unit_test(what_cites_nothing_is_weak),
        cmocka_unit_test(equal_is_equal),
        cmocka_unit_test(readings_are_no_dispute),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
