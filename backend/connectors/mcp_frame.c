/* MCP on stdio: one JSON-RPC message a line. Real servers write other things to stdout too; such
 * lines are handed on as noise, never fatal. */
#include "backend/connectors/mcp_frame.h"
#include <stdlib.h>
#include <string.h>

json_t *mcp__frame_parse(const char *line, size_t len)
{
    struct error e = {0};
    size_t skip = 0;
    while (skip < len && (line[skip] == ' ' || line[skip] == '\t'))
        skip++;
    if (skip == len || (line[skip] != '{' && line[skip] != '[')) /* batches: revision 2025-03-26 */
        return NULL;
    return json_read(line + skip, len - skip, SIZE_MAX, MCP_DEPTH_MAX, &e);
}

bool mcp__frame_deliver(const json_t *message, const char *line, size_t len,
                        const struct mcp_frame_ops *ops, void *arg)
{
    if (json_is_object(message))
        return ops->message(arg, message);
    if (!json_is_array(message) || json_array_size(message) == 0)
        return ops->noise(arg, line, len);
    bool on = true;
    for (size_t i = 0; on && i < json_array_size(message); i++) {
        const json_t *one = json_array_get(message, i);
        on = json_is_object(one) ? ops->message(arg, one) : ops->noise(arg, line, len);
    }
    return on;
}

static bool one_line(const char *line, size_t len, const struct mcp_frame_ops *ops, void *arg)
{
    while (len && (line[len - 1] == '\r' || line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    size_t skip = 0;
    while (skip < len && (line[skip] == ' ' || line[skip] == '\t'))
        skip++;
    if (skip == len)
        return true;
    if (ops->large && len - skip >= MCP_LINE_LARGE) {
        struct buf taken = {0};
        buf_add(&taken, line + skip, len - skip);
        return ops->large(arg, &taken);
    }
    json_t *message = mcp__frame_parse(line + skip, len - skip);
    bool on = mcp__frame_deliver(message, line, len, ops, arg);
    json_decref(message);
    return on;
}

enum err mcp__frame_feed(struct mcp_frame *f, const char *bytes, size_t len,
                         const struct mcp_frame_ops *ops, void *arg)
{
    size_t max = f->max ? f->max : MCP_LINE_MAX;
    while (len) {
        const char *end = memchr(bytes, '\n', len);
        size_t part = end ? (size_t)(end - bytes) : len;
        if (part > max - f->held.len) /* held.len <= max always */
            return ERR_TOO_BIG;
        if (!end) {
            buf_add(&f->held, bytes, part);
            return ERR_OK;
        }
        bool on;
        if (f->held.len) {
            buf_add(&f->held, bytes, part);
            struct buf line = f->held; /* the frame may be freed inside a callback */
            f->held = (struct buf){0};
            on = one_line(line.data, line.len, ops, arg);
            buf_release(&line);
        } else {
            on = one_line(bytes, part, ops, arg);
        }
        if (!on)
            return ERR_OK;
        bytes = end + 1;
        len -= part + 1;
    }
    return ERR_OK;
}

/* Copies one word, unquoted; false: a quote is open at the end. */
static bool split_word(const char **at, char **to)
{
    const char *p = *at;
    char *out = *to, quote = 0;
    for (; *p; p++) {
        if (!quote && strchr(" \t\r\n", *p))
            break;
        if (quote ? *p == quote : *p == '\'' || *p == '"') {
            quote = quote ? 0 : *p;
            continue;
        }
        bool escapes = quote == '"' ? p[1] == '"' || p[1] == '\\' : !quote && p[1];
        if (*p == '\\' && escapes)
            p++;
        *out++ = *p;
    }
    *out++ = '\0';
    *at = p;
    *to = out;
    return !quote;
}

char **mcp__split_command(const char *text, struct error *e)
{
    enum { WORDS = 256 };
    size_t len = strlen(text), table = (WORDS + 1) * sizeof(char *);
    char **list = xcalloc(1, table + len + 2 + WORDS);
    char *to = (char *)list + table;
    size_t n = 0;
    for (;;) {
        text += strspn(text, " \t\r\n");
        if (!*text)
            break;
        if (n == WORDS) {
            err_set(e, ERR_CONFIG, "the command has more than %d words", WORDS);
            goto fail;
        }
        list[n++] = to;
        if (!split_word(&text, &to)) {
            err_set(e, ERR_CONFIG, "the command has a quote that is not closed");
            goto fail;
        }
    }
    if (n == 0 || !*list[0]) {
        err_set(e, ERR_CONFIG, "the command is empty");
        goto fail;
    }
    return list;
fail:
    free(list);
    return NULL;
}

static void add_part(struct buf *out, const json_t *part)
{
    const char *type = json_str(part, "type", "content");
    const json_t *resource = json_object_get(part, "resource");
    size_t size = strlen(json_str(part, "data", ""));
    if (out->len)
        buf_addc(out, '\n');
    if (strcmp(type, "text") == 0)
        buf_adds(out, json_str(part, "text", ""));
    else if (strcmp(type, "resource") == 0 && json_object_get(resource, "text"))
        buf_adds(out, json_str(resource, "text", ""));
    else if (strcmp(type, "resource") == 0)
        buf_addf(out, "[resource %.200s, %.80s]", json_str(resource, "uri", "?"),
                 json_str(resource, "mimeType", "unknown type"));
    else if (strcmp(type, "resource_link") == 0)
        buf_addf(out, "[link to resource %.200s: %.200s]", json_str(part, "uri", "?"),
                 json_str(part, "name", ""));
    else /* data is base64 */
        buf_addf(out, "[%.40s, %.80s, about %zu bytes]", type,
                 json_str(part, "mimeType", "unknown type"), size / 4 * 3);
}

char *mcp__result_text(const json_t *result, size_t max, size_t *bytes)
{
    struct buf out = {0};
    const json_t *content = json_object_get(result, "content");
    size_t n = json_array_size(content);
    for (size_t i = 0; i < n; i++)
        add_part(&out, json_array_get(content, i));
    *bytes = out.len;
    if (out.len > max) {
        size_t cut = max;
        while (cut > 0 && ((unsigned char)out.data[cut] & 0xc0) == 0x80)
            cut--;
        out.len = cut;
        out.data[cut] = '\0';
    }
    return buf_take(&out);
}
