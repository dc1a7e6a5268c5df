/* Arbitration is pure: crafted answers and sources in, scores and verdicts out (spec AR-2, AR-3).
 */
#include "backend/orchestrator/arbitrate.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct orch_limits LIMITS = {.divergence = 0.35,
                                    .safety_gap = 0.30,
                                    .composite = 0.45,
                                    .w_semantic = 0.4,
                                    .w_safety = 0.3,
                                    .w_reasoning = 0.3};
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
    LIMITS.claims = claims_reader_new();
    return know ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    know_free(know);
    claims_reader_free(LIMITS.claims);
    return 0;
}

static struct orch_verdict judge(const char *a, const char *b, struct orch_score *scores)
{
    struct orch_answer answers[2] = {{"a", a}, {"b", b}};
    struct orch_verdict v;
    orch_arbitrate(know, &LIMITS, answers, b ? 2 : 1, SOURCES, 2, scores, &v);
    json_decref(v.claims);
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
    json_decref(v.claims);
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

/* What the tool's result says otherwise loses, however near its words are to the source's. */
static void tool_outranks_a_models_word(void **state)
{
    (void)state;
    struct orch_score s[2];
    LIMITS.w_reasoning = 0; /* so that only this can decide */
    struct orch_verdict v =
        judge("/ is 12% full, 31 GiB of 252 GiB free. [1]\n- Find what grew with du. "
              "Remove old journal files. [2]",
              "/ is 87% full. [1]", s);
    assert_int_equal(s[0].refuted, 1);
    assert_string_equal(s[0].why_refuted, "number: 12% / 87%");
    assert_int_equal(s[1].refuted, 0);
    assert_true(s[0].composite > s[1].composite);
    assert_int_equal(v.winner, 1);
    assert_int_equal(v.outranked, 0);
    assert_int_equal(json_array_size(v.disputed), 1);
    json_decref(v.disputed);
    v = judge("/ is not full. [1]", "/ is 87% full. [1]", s);
    assert_int_equal(s[0].refuted, 1);
    assert_int_equal(v.winner, 1);
    json_decref(v.disputed);
    LIMITS.w_reasoning = 0.3;
}

static void numbers_stand_in_any_unit(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v =
        judge("31744 MiB of 252 GiB are free. [1]", "30000 MiB are free. [1]", s);
    assert_true(s[0].reasoning > s[1].reasoning + 0.2);
    assert_int_equal(v.winner, 0);
    json_decref(v.disputed);
}

static void disputes_are_of_words_too(void **state)
{
    (void)state;
    struct orch_score s[2];
    struct orch_verdict v =
        judge("nginx is running. [1]\nRemove old journal files. [2]",
              "nginx is not running. [1]\nDo not remove old journal files. [2]", s);
    assert_int_equal(json_array_size(v.disputed), 2);
    json_decref(v.disputed);
    v = judge("The service is up. [1]", "The service is running. [1]", s);
    assert_int_equal(json_array_size(v.disputed), 0);
    json_decref(v.disputed);
}

static void claims_of_the_winner(void **state)
{
    (void)state;
    struct orch_answer answers[2] = {{"a", "/ is 87% full. [1]\nDNS is slow."},
                                     {"b", "/ is 12% full. [1]"}};
    struct orch_score s[2];
    struct orch_verdict v;
    orch_arbitrate(know, &LIMITS, answers, 2, SOURCES, 2, s, &v);
    json_t *claims = v.claims;
    assert_int_equal(v.winner, 0);
    assert_int_equal(json_array_size(claims), 2);
    const json_t *first = json_array_get(claims, 0);
    assert_string_equal(json_str(first, "verdict", ""), "contradicts");
    assert_string_equal(json_str(first, "why", ""), "number: 87% / 12%");
    assert_string_equal(json_str(first, "settled", ""), "a"); /* the tool's result says so */
    assert_string_equal(json_str(json_array_get(claims, 1), "verdict", ""), "only A");
    json_decref(claims);
    json_decref(v.disputed);
}

/* Vectors that are given are what D and the overlap are of. */
static void vectors_of_a_model(void **state)
{
    (void)state;
    static const float X[] = {1, 0, 0}, Y[] = {0, 1, 0};
    const float *of[2] = {X, Y}, *grounds[2] = {X, X};
    struct orch_vectors given = {of, grounds, 3};
    struct orch_score s[2];
    LIMITS.vectors = &given;
    struct orch_verdict v = judge("/ is 87% full. [1]", "/ is 87% full. [1]", s);
    assert_true(v.D > 0.999);
    assert_true(s[0].overlap > s[1].overlap);
    json_decref(v.disputed);
    of[1] = X;
    v = judge("/ is 87% full. [1]", "Remove old journal files. [2]", s);
    assert_true(v.D < 0.001);
    json_decref(v.disputed);
    LIMITS.vectors = NULL;
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
        cmocka_unit_test(tool_outranks_a_models_word),
        cmocka_unit_test(numbers_stand_in_any_unit),
        cmocka_unit_test(disputes_are_of_words_too),
        cmocka_unit_test(claims_of_the_winner),
        cmocka_unit_test(vectors_of_a_model),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
