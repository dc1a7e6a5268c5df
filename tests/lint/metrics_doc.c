/* Prints docs/metrics_taxonomy.md from backend/telemetry/metrics.def and bounds.def. */
#include <stdio.h>
#include <string.h>

static void labels(const char *names)
{
    if (!*names)
        printf("-");
    for (size_t n = 0; *names; names += strlen(names) && names[0] == ' ') {
        size_t len = strcspn(names, " ");
        printf("%s`", n++ ? ", " : "");
        for (size_t i = 0; i < len; i++)
            putchar(names[i] == '.' ? '_' : names[i]);
        printf("`");
        names += len;
    }
}

static void metric(const char *name, const char *otel, const char *kind, const char *unit,
                   const char *names, const char *bounds, const char *help)
{
    printf("| `%s` | ", name);
    for (; *kind; kind++)
        putchar(*kind + ('a' - 'A'));
    printf(" | %s | ", unit);
    labels(names);
    printf(" | %s%s%s | %s%s%s%s |\n", strcmp(bounds, "NONE") ? "`" : "",
           strcmp(bounds, "NONE") ? bounds : "", strcmp(bounds, "NONE") ? "`" : "", help,
           *otel ? "; in OTLP `" : "", otel, *otel ? "`" : "");
}

int main(void)
{
    puts("<!-- Made from backend/telemetry/metrics.def by `make docs`. -->\n# Metrics\n\n"
         "Names are `<domain>_<metric>`, with the unit in them and `_total` behind what only "
         "grows. Every value of a label is a name\nof the configuration, a method, a kind or a "
         "code of an error, never a text of a person or a model, and their number is\nbounded: "
         "what comes beyond 128 values of one label, or 1000 series of one metric, counts under "
         "`other`. A label without\na value is left out, as `error_type` is where nothing "
         "failed. Counters begin with the process. How to read them:\n[observability.md]"
         "(observability.md).\n\n| metric | kind | unit | labels | buckets | what it is |\n"
         "|---|---|---|---|---|---|");
#define METRIC(id, name, otel, kind, unit, labels, bounds, help) \
    metric(name, otel, #kind, unit, labels, #bounds, help);
#include "backend/telemetry/metrics.def"
    puts("\n## Buckets\n\n| name | upper bounds |\n|---|---|");
#define BOUNDS(id, ...) puts("| `" #id "` | " #__VA_ARGS__ " |");
#include "backend/telemetry/bounds.def"
    return 0;
}
