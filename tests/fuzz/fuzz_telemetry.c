/* What telemetry takes from others: traceparents, headers Accept, answers of collectors, and names
 * that become labels and attributes. Whatever comes in, what goes out is well formed. */
#include "backend/base/json.h"
#include "backend/telemetry/internal.h"
#include <stdlib.h>
#include <string.h>

static void context(const char *text)
{
    struct tel_context c;
    char out[TEL_TRACEPARENT];
    if (!tel_traceparent_read(text, &c)) {
        BUG_IF(*c.trace_id || *c.span_id || c.sampled || c.remote);
        return;
    }
    struct tel_context again;
    tel_traceparent(&c, out);
    BUG_IF(strlen(out) != 55 || !tel_traceparent_read(out, &again));
    BUG_IF(strcmp(c.trace_id, again.trace_id) != 0 || strcmp(c.span_id, again.span_id) != 0);
    BUG_IF(c.sampled != again.sampled);
}

/* Each line is a comment, or a sample with its value behind the last space; quotes are balanced. */
static void exposition(struct tel *t, bool openmetrics)
{
    struct buf out = {0};
    tel_exposition(t, openmetrics, &out);
    for (char *line = out.data, *end; *line; line = end + 1) {
        bool quoted = false;
        BUG_IF(!(end = strchr(line, '\n')));
        *end = 0;
        for (const char *p = line; *line != '#' && *p; p++) {
            BUG_IF((unsigned char)*p < ' ');
            if (*p == '\\')
                p++;
            else if (*p == '"')
                quoted = !quoted;
        }
        BUG_IF(quoted || !strrchr(line, ' '));
    }
    buf_release(&out);
}

static void bodies(struct tel *t)
{
    const struct tel__resource r = {"1", "test", "i"};
    struct buf out = {0};
    json_t *value;
    tel__otlp_metrics(t, &r, &out);
    BUG_IF(!(value = json_read(out.data, out.len, 1 << 22, 32, NULL)));
    json_decref(value);
    buf_clear(&out);
    BUG_IF(tel__otlp_spans(t, &r, 10, 1 << 20, &out) != 1);
    BUG_IF(!(value = json_read(out.data, out.len, 1 << 22, 32, NULL)));
    json_decref(value);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = xstrndup((const char *)data, size), *rest = strchr(text, '\n');
    struct tel *t = tel_new();
    t->keeps = true;
    context(text);
    tel_wants_openmetrics(text);
    BUG_IF(tel__otlp_rejected((const char *)data, size, "rejectedSpans") < 0);
    tel_add(t, TEL_connector_calls, 1, TEL_LABELS(text, rest ? rest + 1 : ""));
    tel_add(t, TEL_connector_calls, 1, TEL_LABELS(text, rest ? rest + 1 : ""));
    BUG_IF(t->metric[TEL_connector_calls].len != 1); /* found again, however it was cut */
    exposition(t, false);
    exposition(t, true);
    struct tel_span *s = tel_span_begin(t, NULL, TEL_CLIENT, "execute_tool %s", text);
    tel_span_text(s, "gen_ai.tool.name", text);
    tel_span_list(s, "gen_ai.response.finish_reasons", rest ? rest + 1 : NULL);
    tel_span_fail(s, text);
    tel_span_end(s);
    bodies(t);
    tel_free(t);
    free(text);
    return 0;
}
