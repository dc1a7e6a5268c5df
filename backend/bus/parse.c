/* Requests as they come from outside, and errors as they go there (JSON-RPC 2.0, sections 4
 * and 5.1). */
#include "backend/bus/internal.h"
#include <stdlib.h>
#include <string.h>

static bool refuse(struct bus__request *r, int code, enum err name, const char *detail)
{
    r->code = code;
    err_set(&r->error, name, "%s", detail);
    return false;
}

/* Copies a text of at most size - 1 bytes, none of them NUL; false if it is not one. */
static bool copy_text(const json_t *value, char *out, size_t size)
{
    size_t len = json_string_length(value);
    if (!json_is_string(value) || len >= size || strlen(json_string_value(value)) != len)
        return false;
    memcpy(out, json_string_value(value), len + 1);
    return true;
}

static bool read_meta(struct bus__request *r, json_t *params)
{
    const json_t *meta = json_object_get(params, "_meta");
    if (!meta)
        return true;
    if (!json_is_object(meta))
        return refuse(r, RPC_PARAMS, ERR_INVALID, "_meta is not an object");
    const json_t *session = json_object_get(meta, "session");
    const json_t *key = json_object_get(meta, "idempotency_key");
    if (session && !copy_text(session, r->session, sizeof r->session))
        return refuse(r, RPC_PARAMS, ERR_INVALID, "_meta.session is not a session's id");
    if (key && !copy_text(key, r->key, sizeof r->key))
        return refuse(r, RPC_PARAMS, ERR_INVALID,
                      "_meta.idempotency_key is not a text of 1 to 128 bytes");
    /* one that cannot be read begins a new trace (W3C Trace Context, section 4.3) */
    tel_traceparent_read(json_str(meta, "traceparent", NULL), &r->parent);
    json_object_del(params, "_meta");
    return true;
}

static bool read_id(struct bus__request *r, json_t *id)
{
    bool fits = json_is_integer(id) || (json_is_string(id) && json_string_length(id) <= BUS_MAX_ID);
    if (!fits)
        return refuse(r, RPC_REQUEST, ERR_INVALID, "id is not a whole number or a short text");
    r->id = json_incref(id);
    return true;
}

static bool read_request(struct bus__request *r, json_t *whole)
{
    if (!json_is_object(whole))
        return refuse(r, RPC_REQUEST, ERR_INVALID,
                      json_is_array(whole) ? "batches are not supported"
                                           : "the request is not an object");
    if (!read_id(r, json_object_get(whole, "id")))
        return false;
    if (strcmp(json_str(whole, "jsonrpc", ""), "2.0"))
        return refuse(r, RPC_REQUEST, ERR_INVALID, "jsonrpc is not \"2.0\"");
    const char *method = json_string_value(json_object_get(whole, "method"));
    if (!method)
        return refuse(r, RPC_REQUEST, ERR_INVALID, "method is not a text");
    r->method = wire_find(method);
    if (r->method == WIRE_COUNT) {
        r->code = RPC_METHOD;
        err_set(&r->error, ERR_UNSUPPORTED, "no method %.100s", method);
        return false;
    }
    json_t *params = json_object_get(whole, "params");
    if (params && !json_is_object(params))
        return refuse(r, RPC_PARAMS, ERR_INVALID, "params is not an object");
    if (params && !read_meta(r, params))
        return false;
    r->params = params ? json_incref(params) : json_object();
    return true;
}

bool bus__parse(const char *bytes, size_t len, struct bus__request *r)
{
    *r = (struct bus__request){.method = WIRE_COUNT};
    json_t *whole = json_read(bytes, len, BUS_MAX_REQUEST, BUS_MAX_DEPTH, &r->error);
    if (!whole) {
        if (r->error.code != ERR_TOO_BIG)
            r->error.code = ERR_INVALID;
        r->code = r->error.code == ERR_TOO_BIG ? RPC_REQUEST : RPC_PARSE;
        return false;
    }
    bool fine = read_request(r, whole);
    json_decref(whole);
    return fine;
}

void bus__request_release(struct bus__request *r)
{
    json_decref(r->id);
    json_decref(r->params);
    r->id = r->params = NULL;
}

int bus__rpc_code(enum err code)
{
    return code == ERR_INVALID ? RPC_PARAMS : -32000 - (int)code;
}

void bus__write_error(struct buf *out, int code, const struct error *e)
{
    json_t *error = json_object(), *data = json_object();
    json_puti(error, "code", code);
    json_puts(error, "message", err_text(e->code));
    json_puts(data, "name", err_name(e->code));
    json_puts(data, "detail", e->detail);
    json_puts(data, "hint", err_hint(e->code));
    json_put(error, "data", data);
    char *text = json_write(error);
    buf_adds(out, "\"error\":");
    buf_adds(out, text);
    free(text);
    json_decref(error);
}
