/* The top line: where you are, from status.get. */
#include "tui/app.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEGMENTS = 6, SEGMENT_MAX = 96, GAP = 3 };

struct segment {
    char state[16]; /* a state's glyph stands before the text; empty: none */
    char text[SEGMENT_MAX];
    enum tui_role role;
    int drop; /* the higher, the sooner left out where it is narrow; 0: never */
    int width;
};

/* "12 804": digits in threes. */
static void thousands(int64_t n, char *out, size_t size)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%lld", (long long)(n < 0 ? 0 : n));
    size_t at = 0;
    for (int i = 0; i < len && at + 2 < size; i++) {
        if (i && (len - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

static const char *currency_sign(const char *code)
{
    if (tui_ascii())
        return code;
    return !strcmp(code, "RUB")   ? "₽"
           : !strcmp(code, "EUR") ? "€"
           : !strcmp(code, "USD") ? "$"
                                  : code;
}

/* Says where agents are served, once, and why they are not, until a key is pressed. */
static void serving_tell(const json_t *before, const json_t *now)
{
    const json_t *old = json_object_get(before, "serving"), *new = json_object_get(now, "serving");
    if (json_equal(old, new))
        return;
    const json_t *error = json_object_get(new, "error");
    const char *address = json_str(new, "address", "");
    if (*address)
        tui_say(_("agents are served at http://%s/mcp"), address);
    if (json_is_object(error)) {
        struct error e = {0};
        err_set(&e, err_from_name(json_str(error, "name", "")), "%s",
                json_str(error, "detail", ""));
        tui_error(&e, "[mcp_server]");
    }
}

void tui__status_set(struct tui__app *app, const json_t *status)
{
    serving_tell(app->status, status);
    json_decref(app->status);
    app->status = json_incref((json_t *)status); /* events share their data; nobody changes it */
    app->dirty = true;
}

/* The latency as shown: it changes only with the thing itself, not with every measurement. */
static int latency(struct tui__app *app)
{
    double ms = app->bus ? busc_latency_ms(app->bus) : -1;
    if (ms < 1.5)
        app->shown_latency = 0;
    else if (!app->shown_latency || fabs(ms - app->shown_latency) > app->shown_latency / 2.0)
        app->shown_latency = (int)(ms + 0.5);
    return app->shown_latency;
}

static void link_segment(struct tui__app *app, struct segment *s)
{
    bool hello = app->bus && busc_hello(app->bus), live = hello && busc_live(app->bus);
    snprintf(s->state, sizeof(s->state), "%s", !hello ? "starting" : live ? "live" : "lost");
    int ms = latency(app);
    if (live && ms)
        snprintf(s->text, sizeof(s->text), _("%s %d ms"), _("live"), ms);
    else
        snprintf(s->text, sizeof(s->text), "%s", _(s->state));
}

static void alerts_segment(const json_t *status, struct segment *s)
{
    const json_t *alerts = json_object_get(status, "alerts");
    size_t n = json_array_size(alerts);
    bool fail = false;
    for (size_t i = 0; i < n; i++)
        fail |= !strcmp(json_str(json_array_get(alerts, i), "severity", ""), "fail");
    if (!n)
        return;
    snprintf(s->state, sizeof(s->state), "%s", fail ? "fail" : "warn");
    snprintf(s->text, sizeof(s->text), _n("%zu alert", "%zu alerts", n), n);
}

static void spend_segment(const json_t *status, struct segment *s)
{
    const json_t *spend = json_object_get(status, "spend_today");
    if (!spend)
        return;
    int64_t unknown = json_int(spend, "unknown", 0);
    const json_t *amount = json_object_get(spend, "amount");
    char number[40];
    if (json_is_number(amount))
        snprintf(number, sizeof(number), "%.2f", json_number_value(amount));
    else
        snprintf(number, sizeof(number), "%.2f", strtod(json_str(spend, "amount", "0"), NULL));
    const char *sign = currency_sign(json_str(spend, "currency", ""));
    if (unknown && strspn(number, "0.") == strlen(number)) /* that would be no zero */
        snprintf(s->text, sizeof(s->text), _("%lld unpriced today"), (long long)unknown);
    else if (unknown)
        snprintf(s->text, sizeof(s->text), _("%s %.8s today, %lld unpriced"), number, sign,
                 (long long)unknown);
    else
        snprintf(s->text, sizeof(s->text), _("%s %.8s today"), number, sign);
}

static void chain_segment(const json_t *status, struct segment *s)
{
    const json_t *chain = json_object_get(status, "chain");
    if (!chain)
        return;
    char size[32];
    const char *state = json_str(chain, "state", "unchecked");
    thousands(json_int(chain, "size", 0), size, sizeof(size));
    int64_t held = json_int(chain, "quarantined", 0);
    snprintf(s->state, sizeof(s->state), "%.15s", held > 0 ? "warn" : state);
    if (held > 0)
        snprintf(s->text, sizeof(s->text), _("chain %s, %lld quarantined"), size, (long long)held);
    else if (!strcmp(state, "intact"))
        snprintf(s->text, sizeof(s->text), _("chain %s"), size);
    else
        snprintf(s->text, sizeof(s->text), _("chain %s %.20s"), size, _(state));
}

/* Stands where the level does: nothing acts while it is on. */
static void kill_segment(const struct tui__app *app, struct segment *s)
{
    if (!tui__kill_is_on(app))
        return;
    snprintf(s->state, sizeof(s->state), "kill");
    snprintf(s->text, sizeof(s->text), "%s", _("KILL SWITCH"));
}

static size_t segments_make(struct tui__app *app, struct segment s[SEGMENTS])
{
    const json_t *status = app->status;
    memset(s, 0, SEGMENTS * sizeof(*s));
    for (int i = 0; i < SEGMENTS; i++)
        s[i].role = ROLE_STATUS;
    s[0].role = ROLE_STRONG;
    snprintf(s[0].text, sizeof(s[0].text), "%.40s",
             json_str(status     ? status
                      : app->bus ? busc_hello(app->bus)
                                 : NULL,
                      "environment", "mcp-console"));
    link_segment(app, &s[1]);
    if (status) {
        const char *role = json_str(status, "role", ""), *level = json_str(status, "level", "");
        snprintf(s[2].text, sizeof(s[2].text), *level ? "%.24s %s %.24s" : "%.24s", _(role),
                 tui_ascii() ? "-" : "·", _(level));
        kill_segment(app, &s[2]);
        alerts_segment(status, &s[3]);
        spend_segment(status, &s[4]);
        chain_segment(status, &s[5]);
    }
    static const int drop[SEGMENTS] = {0, 1, 5, 0, 4, 2};
    for (int i = 0; i < SEGMENTS; i++)
        s[i].drop = drop[i];
    if (tui__kill_is_on(app))
        s[2].drop = 0;
    return SEGMENTS;
}

static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

void tui__status_draw(struct tui__app *app, struct tui_area line)
{
    struct segment s[SEGMENTS];
    size_t n = segments_make(app, s);
    int total = 0;
    for (size_t i = 0; i < n; i++) {
        s[i].width = s[i].text[0] ? width_of(s[i].text) + (s[i].state[0] ? 2 : 0) : 0;
        total += s[i].width ? s[i].width + (i > 1 ? GAP : (int)i) : 0;
    }
    for (int drop = 9; drop > 0 && total > line.width - 2; drop--)
        for (size_t i = 0; i < n; i++)
            if (s[i].drop == drop && s[i].width && total > line.width - 2) {
                total -= s[i].width + GAP;
                s[i].width = 0;
            }
    int x = 1;
    for (size_t i = 0; i < n; i++) {
        if (!s[i].width)
            continue;
        x += i > 1 ? GAP : (int)i;
        if (s[i].state[0]) {
            tui_put_state(line, 0, x, s[i].state, false);
            x += 2;
        }
        enum tui_role role =
            s[i].state[0] && strcmp(s[i].state, "live") && strcmp(s[i].state, "intact")
                ? tui_state_role(s[i].state)
                : s[i].role;
        x += tui_put(line, 0, x, -1, role, s[i].text);
    }
}
