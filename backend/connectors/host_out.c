/* What a host tool answers with: findings in English and Russian, and figures. */
#include "backend/base/text.h"
#include "backend/connectors/host.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    double warn, fail;
} limits[] = {
#define LIMIT(id, warn, fail, unit, what) {warn, fail},
#include "backend/connectors/host_limits.def"
#undef LIMIT
};

enum host_severity host__judge(enum host_limit limit, double value)
{
    BUG_IF(limit >= HOST_LIMITS);
    if (isnan(value))
        return HOST_OK;
    double warn = limits[limit].warn, fail = limits[limit].fail;
    if (warn > fail)
        return value < fail ? HOST_FAIL : value < warn ? HOST_WARN : HOST_OK;
    return value > fail ? HOST_FAIL : value > warn ? HOST_WARN : HOST_OK;
}

void host__out_init(struct host_out *o)
{
    memset(o, 0, sizeof *o);
    o->data = json_object();
    o->findings = json_array();
    json_put(o->data, "findings", o->findings);
}

void host__out_release(struct host_out *o)
{
    json_decref(o->data);
    memset(o, 0, sizeof *o);
}

void host__put(json_t *object, const char *key, double value, int digits)
{
    double scale = pow(10, digits), rounded = round(value * scale) / scale;
    if (!isfinite(rounded))
        json_put(object, key, json_null());
    else if (floor(rounded) == rounded && fabs(rounded) < 9007199254740992.0)
        json_put(object, key, json_integer((json_int_t)rounded));
    else
        json_put(object, key, json_real(rounded));
}

void host__say(struct host_out *o, enum host_severity s, const char *topic, double value,
               const char *unit, char *en, char *ru)
{
    static const char *const names[] = {"ok", "warn", "fail"};
    json_t *finding = json_object();
    json_puts(finding, "severity", names[s]);
    json_puts(finding, "topic", topic);
    json_puts(finding, "en", en);
    json_puts(finding, "ru", ru);
    host__put(finding, "value", value, 3);
    json_puts(finding, "unit", unit);
    /* shares, times and the load have limits; what is merely counted or told has none */
    bool judged = isfinite(value) && (strcmp(unit, "%") == 0 || strcmp(unit, "ms") == 0 ||
                                      strcmp(unit, "h") == 0 || strcmp(topic, "load") == 0);
    json_put(finding, "judged", json_boolean(judged));
    json_array_append_new(o->findings, finding);
    free(en);
    free(ru);
}

char *host__out_text(const struct host_out *o)
{
    struct buf text = {0};
    size_t i;
    json_t *finding;
    json_array_foreach(o->findings, i, finding)
    {
        if (i)
            buf_addc(&text, '\n');
        buf_adds(&text, json_str(finding, "en", ""));
    }
    return buf_take(&text);
}

static struct host_figure figure(const char *text)
{
    struct host_figure f = {{0}, {0}};
    snprintf(f.en, sizeof f.en, "%s", text);
    snprintf(f.ru, sizeof f.ru, "%s", text);
    for (char *p = f.ru; *p; p++) {
        if (*p == '.')
            *p = ',';
    }
    return f;
}

struct host_figure host__decimal(double value, int digits)
{
    char text[32];
    snprintf(text, sizeof text, "%.*f", digits,
             isfinite(value) && fabs(value) < 1e15 ? value : 0.0);
    return figure(text);
}

struct host_figure host__percent(double value)
{
    struct host_figure number = host__decimal(value, value < 9.95 && value > 0.04 ? 1 : 0), f;
    snprintf(f.en, sizeof f.en, "%.30s%%", number.en);
    snprintf(f.ru, sizeof f.ru, "%.30s%%", number.ru);
    return f;
}

struct host_figure host__bytes(double bytes)
{
    static const char *const en[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    static const char *const ru[] = {"Б", "КиБ", "МиБ", "ГиБ", "ТиБ", "ПиБ"};
    size_t unit = 0;
    double value = bytes;
    while (value >= 1023.5 && unit < 5) {
        value /= 1024;
        unit++;
    }
    struct host_figure number = host__decimal(value, unit > 0 && value < 9.95 ? 1 : 0), f;
    snprintf(f.en, sizeof f.en, "%.20s %s", number.en, en[unit]);
    snprintf(f.ru, sizeof f.ru, "%.20s %s", number.ru, ru[unit]);
    return f;
}

struct host_figure host__duration(double seconds)
{
    struct host_figure f;
    uint64_t s = seconds > 0 && seconds < 1e12 ? (uint64_t)seconds : 0;
    unsigned long long days = s / 86400, hours = s / 3600 % 24, minutes = s / 60 % 60;
    if (days) {
        snprintf(f.en, sizeof f.en, "%llu d %llu h", days, hours);
        snprintf(f.ru, sizeof f.ru, "%llu сут %llu ч", days, hours);
    } else if (hours) {
        snprintf(f.en, sizeof f.en, "%llu h %llu min", hours, minutes);
        snprintf(f.ru, sizeof f.ru, "%llu ч %llu мин", hours, minutes);
    } else if (minutes) {
        snprintf(f.en, sizeof f.en, "%llu min %llu s", minutes, (unsigned long long)(s % 60));
        snprintf(f.ru, sizeof f.ru, "%llu мин %llu с", minutes, (unsigned long long)(s % 60));
    } else {
        snprintf(f.en, sizeof f.en, "%llu s", (unsigned long long)s);
        snprintf(f.ru, sizeof f.ru, "%llu с", (unsigned long long)s);
    }
    return f;
}

char *host__clean(const char *name)
{
    char *clean = text_cleaned(name, TEXT_ONE_LINE);
    size_t max = 80;
    if (strlen(clean) > max) {
        while (max > 0 && ((unsigned char)clean[max] & 0xc0) == 0x80)
            max--;
        char *cut = xasprintf("%.*s...", (int)max, clean);
        free(clean);
        return cut;
    }
    return clean;
}

bool host__run(const struct host_view *v, const char *tool, const json_t *arguments,
               struct host_out *o)
{
    static const struct {
        const char *name;
        host_tool *run;
    } tools[] = {
#define TOOL(name, run, title, description, schema) {name, run},
#include "backend/connectors/host_tools.def"
#undef TOOL
    };
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        if (strcmp(tools[i].name, tool) == 0) {
            tools[i].run(v, arguments, o);
            return true;
        }
    }
    return false;
}
