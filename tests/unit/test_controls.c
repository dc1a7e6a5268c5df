/* Controls and scorecard: every control passes, warns, fails or is not assessed on crafted facts.
 */
#include "backend/compliance/compliance.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const int64_t now = 1795230764071, hour = 3600000, day = 86400000;
static const int64_t recent[] = {11, 12, 13};
static const struct pol_endpoint host = {.name = "host",
                                         .what = "connector",
                                         .region = "local",
                                         .allowed = "",
                                         .data = "metrics",
                                         .level = "read",
                                         .owner = "ops"};
static const struct pol_endpoint files = {.name = "files",
                                          .what = "connector",
                                          .region = "RU",
                                          .allowed = "kz, by",
                                          .data = "logs personal",
                                          .level = "recommend",
                                          .owner = "ops"};
static const struct pol_endpoint lexical = {.name = "builtin/lexical",
                                            .what = "model",
                                            .region = "local",
                                            .allowed = "",
                                            .data = "",
                                            .level = "",
                                            .owner = ""};

/* Everything is known and right; the array holds room for one more endpoint. */
struct facts {
    struct pol_facts f;
    struct pol_endpoint endpoints[4];
};

static void set_good(struct facts *x)
{
    *x = (struct facts){
        .f = {.now = now,
              .chain_size = 100,
              .chain_problems = 0,
              .chain_checked_at = now - hour,
              .chain_checked = 100,
              .verify_entry = 99,
              .actions = 500,
              .actions_chained = 500,
              .key_present = 1,
              .key_permissions_ok = 1,
              .state_permissions_ok = 1,
              .retention_days = 30,
              .oldest_payload_at = now - 29 * day,
              .sessions = 5,
              .sessions_sealed = 5,
              .secrets_in_config = 0,
              .clock_synchronised = 1,
              .disk_free_percent = 50,
              .notice_number_set = -1,
              .endpoint_count = 3,
              .recent_entries = recent,
              .recent_count = 3,
              .answers = 10,
              .answers_with_sources = 10,
              .model_calls = 500,
              .model_calls_in_ledger = 500,
              .personal_data_entries = 0,
              .safety_rules = 1},
        .endpoints = {host, files, lexical, lexical},
    };
    x->f.endpoints = x->endpoints;
}

static void set_unknown(struct facts *x)
{
    *x = (struct facts){.f = {.now = now,
                              .chain_size = -1,
                              .chain_problems = -1,
                              .chain_checked_at = -1,
                              .chain_checked = -1,
                              .verify_entry = -1,
                              .actions = -1,
                              .actions_chained = -1,
                              .key_present = -1,
                              .key_permissions_ok = -1,
                              .state_permissions_ok = -1,
                              .retention_days = -1,
                              .oldest_payload_at = -1,
                              .sessions = -1,
                              .sessions_sealed = -1,
                              .secrets_in_config = -1,
                              .clock_synchronised = -1,
                              .disk_free_percent = -1,
                              .notice_number_set = -1,
                              .answers = -1,
                              .answers_with_sources = -1,
                              .model_calls = -1,
                              .model_calls_in_ledger = -1,
                              .personal_data_entries = -1,
                              .safety_rules = -1}};
}

static const struct pol_control *control_of(const char *id)
{
    for (size_t i = 0; i < pol_controls(); i++)
        if (strcmp(pol_control(i)->id, id) == 0)
            return pol_control(i);
    fail_msg("no control %s", id);
    return NULL;
}

static enum pol_status assess(const char *id, const struct facts *x)
{
    struct pol_finding found = {.status = POL_NOT_ASSESSED};
    control_of(id)->assess(&x->f, &found);
    assert_true(strlen(found.reason) > 5);
    return found.status;
}

static bool is_manual(const char *id)
{
    static const char *const ids[] = {"crypto-certified",   "legal-destruction",
                                      "signed-acts",        "processing-notice",
                                      "responsible-person", "protection-level"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (strcmp(ids[i], id) == 0)
            return true;
    return false;
}

static void rows_are_complete(void **state)
{
    (void)state;
    static const char *const ids[] = {
#define CONTROL(id, symbol) id,
#include "backend/compliance/controls.def"
#undef CONTROL
    };
    assert_true(pol_controls() >= 20);
    assert_int_equal(pol_controls(), sizeof ids / sizeof *ids);
    for (size_t i = 0; i < pol_controls(); i++) {
        const struct pol_control *c = pol_control(i);
        assert_string_equal(c->id, ids[i]);
        assert_true(strlen(c->title) > 10 && strlen(c->law) > 3 && strlen(c->hint) > 10);
        assert_true(c->weight > 0 && c->assess);
    }
}

static void good_facts_pass_and_unknown_ones_are_not_assessed(void **state)
{
    (void)state;
    struct facts good, unknown;
    set_good(&good);
    set_unknown(&unknown);
    for (size_t i = 0; i < pol_controls(); i++) {
        const char *id = pol_control(i)->id;
        enum pol_status want =
            is_manual(id) || strcmp(id, "transfer-notice") == 0 ? POL_NOT_ASSESSED : POL_PASS;
        if (assess(id, &good) != want || assess(id, &unknown) != POL_NOT_ASSESSED)
            fail_msg("%s: %s and %s", id, pol_status_name(assess(id, &good)),
                     pol_status_name(assess(id, &unknown)));
    }
}

/* One change of the good facts, and what it makes of one control. */
#define CASES(CASE)                                                                                \
    CASE("chain-intact", POL_FAIL, x.f.chain_problems = 2)                                         \
    CASE("chain-recent", POL_WARN, x.f.chain_checked_at = now - 25 * hour)                         \
    CASE("chain-recent", POL_FAIL, x.f.chain_checked_at = now - 8 * day)                           \
    CASE("chain-recent", POL_WARN, x.f.chain_checked_at = now + 2 * day)                           \
    CASE("actions-chained", POL_WARN, x.f.actions_chained = 496)                                   \
    CASE("actions-chained", POL_FAIL, x.f.actions_chained = 494)                                   \
    CASE("actions-chained", POL_NOT_ASSESSED, x.f.actions = 0; x.f.actions_chained = 0)            \
    CASE("key-present", POL_FAIL, x.f.key_present = 0)                                             \
    CASE("key-permissions", POL_FAIL, x.f.key_permissions_ok = 0)                                  \
    CASE("state-permissions", POL_FAIL, x.f.state_permissions_ok = 0)                              \
    CASE("sessions-sealed", POL_FAIL, x.f.sessions_sealed = 4)                                     \
    CASE("sessions-sealed", POL_NOT_ASSESSED, x.f.sessions = 0)                                    \
    CASE("regions-declared", POL_FAIL, x.endpoints[1].region = "")                                 \
    CASE("regions-declared", POL_FAIL, x.endpoints[2].region = "")                                 \
    CASE("regions-allowed", POL_FAIL, x.endpoints[2].region = "US")                                \
    CASE("regions-allowed", POL_NOT_ASSESSED, x.endpoints[2].region = "")                          \
    CASE("regions-allowed", POL_WARN, x.endpoints[2].region = "RU")                                \
    CASE("regions-allowed", POL_WARN, x.endpoints[2].region = "BY")                                \
    CASE("regions-allowed", POL_PASS, x.endpoints[2].region = "KZ"; x.endpoints[0].allowed = "KZ") \
    CASE("regions-allowed", POL_FAIL, x.endpoints[2].region = "BY"; x.endpoints[0].allowed = "KZ") \
    CASE("localisation", POL_FAIL, x.endpoints[1].region = "KZ")                                   \
    CASE("localisation", POL_PASS, x.endpoints[1].region = "local")                                \
    CASE("localisation", POL_NOT_ASSESSED, x.endpoints[1].region = "")                             \
    CASE("localisation", POL_NOT_ASSESSED, x.endpoints[1].data = "impersonal")                     \
    CASE("transfer-notice", POL_NOT_ASSESSED, x.endpoints[2].region = "US")                        \
    CASE("transfer-notice", POL_FAIL, x.endpoints[2].region = "US"; x.f.notice_number_set = 0)     \
    CASE("transfer-notice", POL_WARN, x.endpoints[2].region = "US"; x.f.notice_number_set = 0;     \
         x.endpoints[1].data = "logs")                                                             \
    CASE("transfer-notice", POL_PASS, x.endpoints[2].region = "US"; x.f.notice_number_set = 1)     \
    CASE("data-declared", POL_FAIL, x.endpoints[0].data = "")                                      \
    CASE("owner-declared", POL_WARN, x.endpoints[0].owner = "")                                    \
    CASE("owner-declared", POL_FAIL, x.endpoints[0].owner = x.endpoints[1].owner = "")             \
    CASE("level-least", POL_WARN, x.endpoints[1].level = "execute")                                \
    CASE("retention", POL_FAIL, x.f.retention_days = 0)                                            \
    CASE("retention", POL_FAIL, x.f.retention_days = 28)                                           \
    CASE("retention", POL_NOT_ASSESSED, x.f.oldest_payload_at = -1)                                \
    CASE("retention", POL_PASS, x.f.oldest_payload_at = 0)                                         \
    CASE("config-secrets", POL_FAIL, x.f.secrets_in_config = 1)                                    \
    CASE("clock", POL_FAIL, x.f.clock_synchronised = 0)                                            \
    CASE("disk-space", POL_WARN, x.f.disk_free_percent = 9)                                        \
    CASE("disk-space", POL_FAIL, x.f.disk_free_percent = 4)                                        \
    CASE("calls-in-ledger", POL_FAIL, x.f.model_calls_in_ledger = 400)                             \
    CASE("answers-sourced", POL_WARN, x.f.answers_with_sources = 8)                                \
    CASE("answers-sourced", POL_FAIL, x.f.answers_with_sources = 7)                                \
    CASE("answers-sourced", POL_NOT_ASSESSED, x.f.answers = 0)                                     \
    CASE("safety-filter", POL_FAIL, x.f.safety_rules = 0)                                          \
    CASE("safety-filter", POL_WARN, x.f.safety_rules = 0; x.f.safety_judge = "g")                  \
    CASE("safety-filter", POL_WARN, x.f.safety_judge = "g"; x.f.safety_unjudged = 2)               \
    CASE("safety-filter", POL_PASS, x.f.safety_judge = "g")                                        \
    CASE("personal-data", POL_WARN, x.f.personal_data_entries = 3)                                 \
    CASE("personal-data", POL_FAIL, x.f.personal_data_entries = 3; x.endpoints[2].region = "US")

static void each_control_can_fail(void **state)
{
    (void)state;
    struct facts x;
#define RUN(id, want, change)                                               \
    set_good(&x);                                                           \
    change;                                                                 \
    if (assess(id, &x) != want)                                             \
        fail_msg("%s: want %s, got %s after %s", id, pol_status_name(want), \
                 pol_status_name(assess(id, &x)), #change);
    CASES(RUN)
#undef RUN
}

/* Every control that is not manual has a case that does not pass. */
static void each_control_has_a_case(void **state)
{
    (void)state;
#define ROW(id, want, change) {id, want},
    static const struct {
        const char *id;
        enum pol_status want;
    } cases[] = {CASES(ROW)};
#undef ROW
    for (size_t i = 0; i < pol_controls(); i++) {
        bool found = is_manual(pol_control(i)->id);
        for (size_t j = 0; j < sizeof cases / sizeof *cases; j++)
            found |= strcmp(cases[j].id, pol_control(i)->id) == 0 &&
                     (cases[j].want == POL_FAIL || cases[j].want == POL_WARN);
        if (!found)
            fail_msg("%s never fails", pol_control(i)->id);
    }
}

static void reasons_name_what_was_found(void **state)
{
    (void)state;
    struct facts x;
    struct pol_finding found = {0};
    set_good(&x);
    x.endpoints[2] =
        (struct pol_endpoint){.name = "remote", .what = "model", .region = "US", .data = ""};
    control_of("regions-allowed")->assess(&x.f, &found);
    assert_string_equal(found.reason, "data may go where it is not allowed: files to remote (US)");
    struct pol_endpoint many[12];
    char names[12][64];
    for (int i = 0; i < 12; i++) {
        snprintf(names[i], sizeof names[i], "connector-with-a-rather-long-name-%02d", i);
        many[i] = host;
        many[i].name = names[i];
        many[i].region = "";
    }
    x.f.endpoints = many;
    x.f.endpoint_count = 12;
    found = (struct pol_finding){0};
    control_of("regions-declared")->assess(&x.f, &found);
    assert_int_equal(found.status, POL_FAIL);
    assert_non_null(strstr(found.reason, "-name-03 and 8 more"));
}

static void evidence_is_cited(void **state)
{
    (void)state;
    struct facts x;
    set_good(&x);
    struct pol_finding found = {0};
    control_of("actions-chained")->assess(&x.f, &found);
    assert_int_equal(found.evidence_count, 3);
    assert_int_equal(found.evidence[2], 13);
    found = (struct pol_finding){0};
    control_of("chain-intact")->assess(&x.f, &found);
    assert_int_equal(found.evidence_count, 1);
    assert_int_equal(found.evidence[0], 99);
    int64_t many[20] = {0};
    x.f.recent_entries = many;
    x.f.recent_count = 20;
    found = (struct pol_finding){0};
    control_of("actions-chained")->assess(&x.f, &found);
    assert_int_equal(found.evidence_count, 8);
}

static int64_t count_of(const json_t *card, const char *status)
{
    return json_int(json_object_get(card, "counts"), status, -1);
}

static void the_card_adds_up(void **state)
{
    (void)state;
    struct facts x;
    set_good(&x);
    json_t *card = pol_scorecard(&x.f);
    assert_int_equal(json_int(card, "score", -1), 100);
    assert_int_equal(count_of(card, "fail"), 0);
    assert_int_equal(count_of(card, "not_assessed"), 7);
    assert_int_equal(count_of(card, "pass") + 7, pol_controls());
    const json_t *row = json_array_get(json_object_get(card, "controls"), 0);
    assert_string_equal(json_str(row, "id", ""), "chain-intact");
    assert_string_equal(json_str(row, "status", ""), "pass");
    assert_int_equal(json_integer_value(json_array_get(json_object_get(row, "evidence"), 0)), 99);
    json_decref(card);

    /* A warning takes half of a control's weight, a failure all of it. */
    int weight = 0;
    for (size_t i = 0; i < pol_controls(); i++)
        if (!is_manual(pol_control(i)->id) && strcmp(pol_control(i)->id, "transfer-notice") != 0)
            weight += pol_control(i)->weight;
    int clock = control_of("clock")->weight, disk = control_of("disk-space")->weight;
    x.f.clock_synchronised = 0;
    x.f.disk_free_percent = 7;
    card = pol_scorecard(&x.f);
    assert_int_equal(json_int(card, "score", -1),
                     (200 * (weight - clock) - 100 * disk) / (2 * weight));
    assert_int_equal(count_of(card, "fail"), 1);
    assert_int_equal(count_of(card, "warn"), 1);
    json_decref(card);

    set_unknown(&x);
    card = pol_scorecard(&x.f);
    json_decref(card);
    x.f.endpoints = x.endpoints; /* members that are NULL count as not declared */
    x.f.endpoint_count = 1;
    card = pol_scorecard(&x.f);
    assert_int_equal(count_of(card, "fail"), 1);
    json_decref(card);
    x.f.endpoint_count = 0;
    card = pol_scorecard(&x.f);
    assert_true(json_is_null(json_object_get(card, "score")));
    assert_int_equal(count_of(card, "not_assessed"), pol_controls());
    json_decref(card);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_complete),
        cmocka_unit_test(good_facts_pass_and_unknown_ones_are_not_assessed),
        cmocka_unit_test(each_control_can_fail),
        cmocka_unit_test(each_control_has_a_case),
        cmocka_unit_test(reasons_name_what_was_found),
        cmocka_unit_test(evidence_is_cited),
        cmocka_unit_test(the_card_adds_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
