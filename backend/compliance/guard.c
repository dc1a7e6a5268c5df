/* What other judges reply about a text: guard models and moderation endpoints. Foreign bytes: read
 * strictly, since a reply that is not understood must not pass for "safe". */
#include "backend/compliance/internal.h"
#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The category that [at, at + len) names, or POL_HAZARDS. */
static enum pol_hazard_id category_of(const char *at, size_t len)
{
    for (int id = 0; id < POL_HAZARDS; id++)
        if (strlen(pol_hazard((enum pol_hazard_id)id)->id) == len &&
            strncasecmp(pol_hazard((enum pol_hazard_id)id)->id, at, len) == 0)
            return (enum pol_hazard_id)id;
    return POL_HAZARDS;
}

bool pol_hazards_read(const char *list, uint32_t *set, const char **bad)
{
    *set = 0;
    while (*list) {
        size_t len = strcspn(list, " ,\t\r\n");
        enum pol_hazard_id id = category_of(list, len);
        if (len && id == POL_HAZARDS) {
            if (bad)
                *bad = list;
            return false;
        }
        if (len)
            *set |= UINT32_C(1) << id;
        list += len;
        list += *list != '\0';
    }
    return true;
}

uint32_t pol_hazards_grave(void)
{
    uint32_t set = 0;
    for (int id = 0; id < POL_HAZARDS; id++)
        if (pol_hazard((enum pol_hazard_id)id)->grave)
            set |= UINT32_C(1) << id;
    return set;
}

static void add_set(struct pol_moderation *out, uint32_t set, uint32_t severe, const char *what)
{
    for (int id = 0; id < POL_HAZARDS; id++)
        if (set >> id & 1)
            pol__hazard_add(out, (enum pol_hazard_id)id,
                            severe >> id & 1 ? POL_SEVERE : POL_MODERATE, what);
}

bool pol_guard_read(const char *reply, uint32_t severe, struct pol_moderation *out)
{
    uint32_t set;
    memset(out, 0, sizeof *out);
    while (is_blank(*reply))
        reply++;
    size_t len = 0;
    while (reply[len] && !is_blank(reply[len]))
        len++;
    const char *rest = reply + len;
    if (len == 4 && strncasecmp(reply, "safe", 4) == 0)
        return pol_hazards_read(rest, &set, NULL) && set == 0;
    if (len != 6 || strncasecmp(reply, "unsafe", 6) != 0 || !pol_hazards_read(rest, &set, NULL) ||
        !set)
        return false;
    add_set(out, set, severe, "");
    return true;
}

/* Names that moderation endpoints use: OpenAI's (platform.openai.com/docs/guides/moderation), and
 * Mistral's, which has the same shape (docs.mistral.ai/capabilities/guardrailing). */
static const struct {
    const char *name;
    enum pol_hazard_id id;
} endpoint_names[] = {
    {"violence", POL_S1},
    {"violence/graphic", POL_S1},
    {"illicit", POL_S2},
    {"illicit/violent", POL_S1},
    {"sexual", POL_S12},
    {"sexual/minors", POL_S4},
    {"hate", POL_S10},
    {"hate/threatening", POL_S10},
    {"harassment", POL_S5},
    {"harassment/threatening", POL_S1},
    {"self-harm", POL_S11},
    {"self-harm/intent", POL_S11},
    {"self-harm/instructions", POL_S11},
    {"hate_and_discrimination", POL_S10},
    {"violence_and_threats", POL_S1},
    {"dangerous_and_criminal_content", POL_S2},
    {"selfharm", POL_S11},
    {"health", POL_S6},
    {"financial", POL_S6},
    {"law", POL_S6},
    {"pii", POL_S7},
};

static enum pol_hazard_id named(const char *name)
{
    for (size_t i = 0; i < sizeof endpoint_names / sizeof *endpoint_names; i++)
        if (strcmp(endpoint_names[i].name, name) == 0)
            return endpoint_names[i].id;
    enum pol_hazard_id id = category_of(name, strlen(name));
    return id == POL_HAZARDS ? POL_S2 : id;
}

/* Takes what one result says; false if it is none. */
static bool take_result(const json_t *result, uint32_t severe, struct pol_moderation *out)
{
    const json_t *flagged = json_object_get(result, "flagged");
    json_t *categories = json_object_get(result, "categories"), *value;
    const char *name;
    size_t named_some = 0;
    if ((flagged && !json_is_boolean(flagged)) || !json_is_object(categories))
        return false;
    json_object_foreach(categories, name, value)
    {
        /* null: the model behind it does not know that category */
        if (!json_is_boolean(value) && !json_is_null(value))
            return false;
        enum pol_hazard_id id = named(name);
        if (json_is_true(value)) {
            named_some++;
            pol__hazard_add(out, id, severe >> id & 1 ? POL_SEVERE : POL_MODERATE, name);
        }
    }
    return named_some || !json_is_true(flagged); /* flagged for nothing that is named */
}

bool pol_moderation_read(const json_t *reply, uint32_t severe, struct pol_moderation *out)
{
    memset(out, 0, sizeof *out);
    const json_t *results = json_object_get(reply, "results"), *result;
    size_t i;
    if (!json_is_array(results) || json_array_size(results) == 0)
        return false;
    json_array_foreach(results, i, result) if (!take_result(result, severe, out)) return false;
    return true;
}

void pol_moderation_add(struct pol_moderation *out, const struct pol_moderation *more)
{
    for (size_t i = 0; i < more->count; i++)
        pol__hazard_add(out, more->at[i].id, more->at[i].severity, more->at[i].what);
}

json_t *pol_moderation_json(const struct pol_moderation *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->count; i++) {
        const struct pol_hazard_found *f = &m->at[i];
        json_t *o = json_object();
        json_puts(o, "category", pol_hazard(f->id)->id);
        json_puts(o, "name", pol_hazard(f->id)->name);
        json_puts(o, "severity", pol_severity_name(f->severity));
        json_put(o, "what", json_text(f->what, strlen(f->what)));
        BUG_IF(json_array_append_new(list, o) != 0);
    }
    return list;
}
