/* What the console found of its controls, as Assessment Results of OSCAL (NIST, JSON, model 1.1).
 *
 * A control is an observation; one that could be assessed is a finding too, whose target is the
 * objective of the same name: PASS is satisfied, FAIL and WARN are not. There is no assessment plan
 * in OSCAL's form: `import-ap` names the policy that stands beside it. */
#include "backend/provenance/bundle_parts.h"

#include "backend/base/clock.h"
#include "backend/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE "urn:mcp-console:oscal"

struct making {
    char *policy, *entries; /* uuids of the resources */
    const char *at;         /* of the assessment */
    json_t *observations, *findings, *selected;
};

/* A uuid of version 4, by the vault's random numbers. The caller frees. */
static char *new_uuid(void)
{
    char id[33];
    vault_id(id);
    id[12] = '4';
    int digit = id[16] <= '9' ? id[16] - '0' : id[16] - 'a' + 10;
    id[16] = "89ab"[digit & 3];
    return xasprintf("%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20);
}

static char *put_uuid(json_t *to)
{
    char *uuid = new_uuid();
    json_puts(to, "uuid", uuid);
    return uuid;
}

/* OSCAL knows no empty texts. */
static void put_text(json_t *to, const char *name, const char *text)
{
    json_puts(to, name, text && *text ? text : "-");
}

static void add_prop(json_t *to, const char *name, const char *value)
{
    json_t *props = json_object_get(to, "props"), *one = json_object();
    if (!*value) {
        json_decref(one);
        return;
    }
    if (!props) {
        props = json_array();
        json_put(to, "props", props);
    }
    json_puts(one, "name", name);
    json_puts(one, "ns", NAMESPACE);
    json_puts(one, "value", value);
    json_array_append_new(props, one);
}

static json_t *list_of(json_t *one)
{
    json_t *list = json_array();
    json_array_append_new(list, one);
    return list;
}

/* ---- a control ---- */

static json_t *cited(const struct making *m, const json_t *evidence)
{
    size_t i;
    json_t *list = json_array(), *seq;
    json_array_foreach((json_t *)evidence, i, seq)
    {
        json_t *one = json_object();
        char *href = xasprintf("#%s", m->entries);
        char *text = xasprintf("entry %lld of the log", (long long)json_integer_value(seq));
        json_puts(one, "href", href);
        json_puts(one, "description", text);
        json_array_append_new(list, one);
        free(href);
        free(text);
    }
    return list;
}

static json_t *target_of(const json_t *control, const char *status)
{
    bool pass = strcmp(status, "pass") == 0, fail = strcmp(status, "fail") == 0;
    json_t *target = json_object(), *state = json_object();
    json_puts(target, "type", "objective-id");
    put_text(target, "target-id", json_str(control, "id", ""));
    json_puts(state, "state", pass ? "satisfied" : "not-satisfied");
    json_puts(state, "reason", pass ? "pass" : fail ? "fail" : "other");
    json_put(target, "status", state);
    return target;
}

static void add_finding(struct making *m, const json_t *control, const char *status,
                        const char *observation)
{
    json_t *finding = json_object(), *related = json_object();
    free(put_uuid(finding));
    put_text(finding, "title", json_str(control, "title", ""));
    put_text(finding, "description", json_str(control, "reason", ""));
    json_puts(related, "observation-uuid", observation);
    json_put(finding, "related-observations", list_of(related));
    json_put(finding, "target", target_of(control, status));
    if (strcmp(status, "pass") != 0 && *json_str(control, "hint", ""))
        json_puts(finding, "remarks", json_str(control, "hint", ""));
    add_prop(finding, "status", status);
    json_array_append_new(m->findings, finding);
}

static void add_control(struct making *m, const json_t *control)
{
    const char *status = json_str(control, "status", "");
    bool assessed =
        strcmp(status, "pass") == 0 || strcmp(status, "warn") == 0 || strcmp(status, "fail") == 0;
    json_t *observation = json_object(), *selected = json_object();
    json_t *evidence = cited(m, json_object_get(control, "evidence"));
    char *uuid = put_uuid(observation);
    put_text(observation, "title", json_str(control, "title", ""));
    put_text(observation, "description", json_str(control, "reason", ""));
    json_put(observation, "methods", list_of(json_string(assessed ? "TEST" : "UNKNOWN")));
    json_puts(observation, "collected", m->at);
    add_prop(observation, "control", json_str(control, "id", ""));
    add_prop(observation, "law", json_str(control, "law", ""));
    add_prop(observation, "title-ru", json_str(control, "title_ru", ""));
    add_prop(observation, "status", status);
    if (json_array_size(evidence))
        json_put(observation, "relevant-evidence", json_incref(evidence));
    json_array_append_new(m->observations, observation);
    if (assessed)
        add_finding(m, control, status, uuid);
    put_text(selected, "control-id", json_str(control, "id", ""));
    json_array_append_new(m->selected, selected);
    json_decref(evidence);
    free(uuid);
}

/* ---- the document ---- */

static json_t *result_of(struct making *m, const json_t *card)
{
    json_t *result = json_object(), *selection = json_object(), *reviewed = json_object();
    const json_t *score = json_object_get(card, "score");
    char number[32];
    free(put_uuid(result));
    json_puts(result, "title", "Controls of this console");
    json_puts(result, "description",
              "what the console found of itself by its own state; it proves nothing by itself");
    json_puts(result, "start", m->at);
    json_puts(result, "end", m->at);
    if (json_is_integer(score)) {
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(score));
        add_prop(result, "score", number);
    }
    if (json_array_size(m->selected))
        json_put(selection, "include-controls", json_incref(m->selected));
    else
        json_put(selection, "include-all", json_object());
    json_put(reviewed, "control-selections", list_of(selection));
    json_put(result, "reviewed-controls", reviewed);
    if (json_array_size(m->observations))
        json_put(result, "observations", json_incref(m->observations));
    if (json_array_size(m->findings))
        json_put(result, "findings", json_incref(m->findings));
    return result;
}

static void add_resource(json_t *list, const char *uuid, const char *title, const char *name,
                         const char *media, const struct buf *file)
{
    json_t *resource = json_object(), *link = json_object(), *hash = json_object();
    uint8_t sum[VAULT_HASH];
    char hex[2 * VAULT_HASH + 1];
    vault_sha256(file->data, file->len, NULL, 0, sum);
    text_hex(sum, VAULT_HASH, hex);
    json_puts(hash, "algorithm", "SHA-256");
    json_puts(hash, "value", hex);
    json_puts(link, "href", name);
    json_puts(link, "media-type", media);
    json_put(link, "hashes", list_of(hash));
    json_puts(resource, "uuid", uuid);
    json_puts(resource, "title", title);
    json_put(resource, "rlinks", list_of(link));
    json_array_append_new(list, resource);
}

static json_t *metadata_of(const char *created)
{
    json_t *metadata = json_object();
    json_puts(metadata, "title", "mcp-console: assessment of its own controls");
    json_puts(metadata, "last-modified", created);
    json_puts(metadata, "version", created);
    json_puts(metadata, "oscal-version", BUNDLE__OSCAL);
    add_prop(metadata, "tool-version", MCPC_VERSION);
    return metadata;
}

json_t *bundle__oscal(const json_t *card, int64_t created, const struct buf *policy,
                      const struct buf *entries)
{
    char made[CLOCK_TEXT], at[CLOCK_TEXT];
    json_t *document = json_object(), *results = json_object(), *plan = json_object(),
           *resources = json_array(), *back = json_object(), *control;
    size_t i;
    int64_t assessed;
    struct making m = {.policy = new_uuid(),
                       .entries = new_uuid(),
                       .at = at,
                       .observations = json_array(),
                       .findings = json_array(),
                       .selected = json_array()};
    clock_format(created, made);
    bool dated = clock_parse(json_str(card, "assessed_at", ""), &assessed) == 0;
    clock_format(dated ? assessed : created, at);
    json_array_foreach(json_object_get(card, "controls"), i, control) add_control(&m, control);
    free(put_uuid(results));
    json_put(results, "metadata", metadata_of(made));
    char *href = xasprintf("#%s", m.policy);
    json_puts(plan, "href", href);
    json_puts(plan, "remarks", "no assessment plan: the settings and endpoints of this console");
    json_put(results, "import-ap", plan);
    json_put(results, "results", list_of(result_of(&m, card)));
    add_resource(resources, m.policy, "settings and endpoints", bundle__names[BUNDLE__POLICY],
                 "application/json", policy);
    add_resource(resources, m.entries, "entries of the log", bundle__names[BUNDLE__ENTRIES],
                 "application/jsonl", entries);
    json_put(back, "resources", resources);
    json_put(results, "back-matter", back);
    json_put(document, "assessment-results", results);
    json_decref(m.observations);
    json_decref(m.findings);
    json_decref(m.selected);
    free(m.policy);
    free(m.entries);
    free(href);
    return document;
}
