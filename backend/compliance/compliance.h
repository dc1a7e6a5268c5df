/* Policies, safety, controls, scorecard. Pure: facts in, findings out; no clock, no file, no room.
 */
#ifndef COMPLIANCE_H
#define COMPLIANCE_H

#include "backend/base/json.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Safety risk of a text, 0 (none seen) .. 1: destructive commands, downloads piped to a shell,
 * disabling of logs or audit, secrets, with what was seen (a short static reason, "" if nothing).
 */
double pol_safety_risk(const char *text, const char **why);
/* How much could be at stake in what a question is about, 0..1: words of stakes.def. */
double pol_stakes(const char *text);
/* Tags of personal data and secrets in a text ("email", "phone", "snils", "inn", "card",
 * "passport", "secret"): fills up to max static names, returns how many there are. Conservative:
 * checksum and context where they exist. */
size_t pol_pii_tags(const char *text, const char **tags, size_t max);
/* The text without its secrets, each replaced by `[redacted]`; NULL if it has none. The caller
 * frees. */
char *pol_scrub_text(const char *text);
/* Values that are known to be secret are taken out wherever they stand: find gives the first place
 * of one in text and its length, or NULL; any thread. Set once, before anything is scrubbed. */
typedef const char *pol_find_known(const char *text, size_t len, size_t *found);
void pol_set_known(pol_find_known *find);
/* The same for every string of a JSON value, and for members whose name says that they are secret
 * ("password", "db_token"): a new value, or another reference to this one if nothing was found. */
json_t *pol_scrub(const json_t *value);

/* ---- the safety filter: hazard categories (MLCommons AI Safety taxonomy, numbered as Llama Guard
 * 3 does), from rules of our own (hazards.def) or from what another judge replied. */

enum pol_hazard_id {
#define HAZARD(id, grave, name) POL_##id,
#include "backend/compliance/hazards.def"
    POL_HAZARDS
};
struct pol_hazard {
    const char *id, *name; /* "S9", "indiscriminate weapons" */
    bool grave;            /* severe where another judge names it, by default */
};
const struct pol_hazard *pol_hazard(enum pol_hazard_id id);

enum pol_severity { POL_NONE, POL_MODERATE, POL_SEVERE };
const char *pol_severity_name(enum pol_severity s); /* "none", "moderate", "severe" */
enum pol_direction { POL_QUESTION, POL_ANSWER };
enum { POL_WHAT = 96 };

struct pol_moderation { /* each category once; zeroed: nothing was found */
    enum pol_severity worst;
    size_t count;
    struct pol_hazard_found {
        enum pol_hazard_id id;
        enum pol_severity severity;
        char what[POL_WHAT]; /* by which words: "make ... bomb", or who said so; foreign text */
    } at[POL_HAZARDS];
};

/* The rules, ready for use. It never changes, so any thread may use it. */
struct pol_filter;
struct pol_filter *pol_filter_new(void);
void pol_filter_free(struct pol_filter *f);
/* What the rules find in a text, English or Russian. Costs a pass over the text. */
void pol_moderate(const struct pol_filter *f, const char *text, enum pol_direction direction,
                  struct pol_moderation *out);
/* Where the sentence begins that text[0, len) ends in: the offset behind the last end of a
 * sentence; pol_moderate finds in all of the text what it finds up to there and from there on. */
size_t pol_sentence_start(const char *text, size_t len);

/* Which categories are severe where another judge names them: a set of 1 << id. False: a word of
 * the list ("S1 S9") is no category; *bad (if not NULL) is where it begins. "": none. */
bool pol_hazards_read(const char *list, uint32_t *set, const char **bad);
uint32_t pol_hazards_grave(void); /* the set by default */
/* What a guard model replied: "safe", or "unsafe" and a line of categories ("S2,S7"), as Llama
 * Guard 1 to 4 write it. False: it is neither, and nothing may be concluded from it. */
bool pol_guard_read(const char *reply, uint32_t severe, struct pol_moderation *out);
/* What a moderation endpoint of OpenAI's shape replied: {results: [{flagged?, categories: {name:
 * bool}}]}. Categories become those above: "illicit" S2, "illicit/violent" S1, "sexual/minors" S4,
 * "self-harm" S11 and so on; one that is not known counts as S2. False: it is no such reply. */
bool pol_moderation_read(const json_t *reply, uint32_t severe, struct pol_moderation *out);
/* Adds what is in more to out, each category with its graver severity. */
void pol_moderation_add(struct pol_moderation *out, const struct pol_moderation *more);
/* [{category, name, severity, what}]; the caller owns. */
json_t *pol_moderation_json(const struct pol_moderation *m);

enum pol_status { POL_PASS, POL_WARN, POL_FAIL, POL_NOT_ASSESSED };

/* What the backend knows of itself. A member that is not known is -1 (or NULL). */
struct pol_facts {
    int64_t now;                        /* real ms */
    int64_t chain_size, chain_problems; /* problems of the last verification; -1 never verified */
    int64_t chain_checked_at, chain_checked;
    int64_t verify_entry; /* seq of the last verify entry */
    int64_t actions,
        actions_chained; /* tool and model calls made, and those with an entry, in all the log */
    int key_present, key_permissions_ok, state_permissions_ok; /* 0, 1, -1 */
    int64_t retention_days;            /* of the class of payloads that is longest over its time */
    int64_t oldest_payload_at;         /* of that class, real ms; 0: no payload is stored */
    const char *retention_class;       /* its name, or NULL */
    int64_t retention_run_at;          /* real ms of the last job; 0: it has not run */
    int64_t acts, acts_incomplete;     /* drafted acts of destruction, those with empty fields */
    int64_t sessions, sessions_sealed; /* ended sessions, and those of them with a seal */
    int64_t secrets_in_config;         /* literal secrets found in the configuration */
    int clock_synchronised;            /* 0, 1, -1 */
    int64_t disk_free_percent;         /* of the state directory's file system */
    int64_t notice_number_set;   /* a notice of a cross-border transfer is declared: 0, 1, -1 */
    struct pol_endpoint {        /* every connector and model in use, and who takes telemetry */
        const char *name, *what; /* "connector", "model", "collector" */
        const char *region;      /* declared, "" unknown */
        const char *allowed;     /* declared list, "" only its own region */
        const char *data;        /* categories, "" undeclared; the word personal: personal data */
        const char *level;
        const char *owner;
    } const *endpoints;
    size_t endpoint_count;
    const int64_t *recent_entries; /* seqs to cite for "all actions chained" */
    size_t recent_count;
    int64_t answers, answers_with_sources; /* in the log */
    int64_t model_calls, model_calls_in_ledger;
    int64_t personal_data_entries; /* entries with pii_tags */
    int safety_rules;              /* texts are classified by rules: 0, 1, -1 */
    const char *safety_judge;      /* the model that judges them too, or NULL */
    int64_t safety_unjudged;       /* texts that it was to judge and did not, in this run */
    const int64_t *safety_entries; /* seqs to cite for that */
    size_t safety_entry_count;
};

struct pol_finding {
    enum pol_status status;
    char reason[256];    /* what was found, in a sentence */
    int64_t evidence[8]; /* seqs */
    size_t evidence_count;
};
/* A control: one file in controls/ and one row in controls.def. */
struct pol_control {
    const char *id, *title, *law, *hint; /* hint: what to do when it does not pass */
    const char *title_ru;                /* NULL: only English */
    int weight;
    /* No member of an endpoint is NULL here; pol_scorecard takes care of that. */
    void (*assess)(const struct pol_facts *facts, struct pol_finding *out);
};
size_t pol_controls(void);
const struct pol_control *pol_control(size_t i);
/* {score (0..100, weighted share of passes among the assessed, warnings half,
 * rounded down; null when nothing is assessed), counts: {pass, warn,
 * fail, not_assessed}, controls: [{id, title, law, status, reason, hint, evidence: [seq]}]}. Caller
 * owns. */
json_t *pol_scorecard(const struct pol_facts *facts);
const char *pol_status_name(enum pol_status s); /* "pass", "warn", "fail", "not assessed" */

#endif
