/* HTTP calls.
 *
 * 1 No callback of ours runs inside libcurl: what arrives is kept until curl_multi_perform has
 *   returned. So callbacks may start and cancel calls, also their own.
 * 2 A call is in loop->calls until it is freed, and in the multi handle until it is finished.
 * 3 done is the last callback; a cancelled call has none.
 * 4 A request that may change something is sent once: libcurl would send it again when a connection
 *   that it used before turns out dead, whatever may have been done at the other end; that is
 *   refused (on_request). GET and HEAD are safe (RFC 9110, section 9.2.1) and may be repeated. */
#include "backend/base/clock.h"
#include "backend/base/internal.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_MS = 5000, CONNECTION_MAX_S = 300 };

struct http_call {
    struct loop *loop;
    struct http_ops ops;
    void *arg;
    CURL *easy;
    struct curl_slist *headers;
    struct loop_timer *silence; /* NULL without a limit */
    uint64_t silence_ms;
    struct buf arrived;
    char words[CURL_ERROR_SIZE];
    CURLcode code;
    size_t received, max_bytes; /* max_bytes 0: no limit */
    bool head_came, head_told, in_multi, finished, silent, freed;
    bool no_local, refused_address, sent_before, safe;
    char *ca_file; /* or NULL */
    unsigned busy;
};

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    buf_add(&c->arrived, bytes, size * count);
    return size * count;
}

/* Each line of a head; several heads where there are interim ones. */
static size_t on_head_line(char *bytes, size_t size, size_t count, void *arg)
{
    struct http_call *c = arg;
    long status = 0;
    if (*bytes == '\r' || *bytes == '\n') {
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        c->head_came = c->head_came || status >= 200;
    }
    return size * count;
}

static bool is_local(const char *address)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET6, address, &six) == 1) {
        if (!IN6_IS_ADDR_V4MAPPED(&six))
            return IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
                   IN6_IS_ADDR_LINKLOCAL(&six);
        memcpy(&four, six.s6_addr + 12, sizeof four);
    } else if (inet_pton(AF_INET, address, &four) != 1) {
        return true;
    }
    uint32_t a = ntohl(four.s_addr);
    return a >> 24 == 127 || a >> 24 == 0 || a >> 16 == 0xa9fe;
}

/* Just before the request is written, with the address that was really reached. */
static int on_request(void *arg, char *address, char *local, int port, int local_port)
{
    (void)local, (void)port, (void)local_port;
    struct http_call *c = arg;
    c->refused_address = c->no_local && is_local(address);
    if (c->refused_address || (c->sent_before && !c->safe))
        return CURL_PREREQFUNC_ABORT;
    c->sent_before = true;
    return CURL_PREREQFUNC_OK;
}

static void on_silence(void *arg)
{
    struct http_call *c = arg;
    c->silent = true; /* http__turn ends it, after the wait that follows the timers */
    loop__wake(c->loop);
}

static void leave_multi(struct http_call *c)
{
    if (c->in_multi)
        curl_multi_remove_handle(c->loop->multi, c->easy);
    c->in_multi = false;
}

static void call_free(struct http_call *c)
{
    if (c->freed)
        return;
    c->freed = true;
    slots__remove(&c->loop->calls, c);
    leave_multi(c);
    curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->headers);
    loop_timer_free(c->silence);
    buf_release(&c->arrived);
    free(c->ca_file);
    c->ca_file = NULL;
    if (!c->busy)
        free(c);
}

void http_cancel(struct http_call *c)
{
    if (c)
        call_free(c);
}

const char *http_header(const struct http_call *c, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(c->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK
               ? header->value
               : NULL;
}

size_t http_header_each(const struct http_call *c, const char *name,
                        void (*fn)(void *arg, const char *value), void *arg)
{
    struct curl_header *header;
    size_t n = 0;
    while (n < 16 && curl_easy_header(c->easy, name, n, CURLH_HEADER, -1, &header) == CURLHE_OK) {
        fn(arg, header->value);
        n++;
    }
    return n;
}

int64_t http_retry_after_ms(const struct http_call *c)
{
    static const int64_t longest_s = INT64_C(366) * 86400;
    const char *value = http_header(c, "Retry-After");
    if (!value || !*value)
        return -1;
    if (strspn(value, "0123456789") == strlen(value)) {
        int64_t seconds = strlen(value) > 9 ? longest_s : strtoll(value, NULL, 10);
        return (seconds < longest_s ? seconds : longest_s) * 1000;
    }
    time_t at = curl_getdate(value, NULL);
    if (at < 0)
        return -1;
    int64_t left = ((int64_t)at - clock_real_ms() / 1000) * 1000;
    return left < 0 ? 0 : left < longest_s * 1000 ? left : longest_s * 1000;
}

int64_t http_cert_expires_at(const struct http_call *c)
{
    struct curl_certinfo *info = NULL;
    if (curl_easy_getinfo(c->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info)
        return 0;
    int64_t first = 0; /* the earliest of the chain is what will fail */
    for (int i = 0; i < info->num_of_certs; i++) {
        for (const struct curl_slist *s = info->certinfo[i]; s; s = s->next) {
            if (strncasecmp(s->data, "Expire date:", 12) != 0)
                continue;
            time_t at = curl_getdate(s->data + 12, NULL);
            if (at > 0 && (!first || at < first))
                first = at;
        }
    }
    return first * 1000;
}

/* What libcurl's code is in our table. */
static enum err code_of(struct http_call *c)
{
    curl_off_t connected = 0;
    switch (c->code) {
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OPERATION_TIMEDOUT:
        curl_easy_getinfo(c->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
        return connected > 0 ? ERR_TIMEOUT : ERR_UNREACHABLE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PROXY:
        return ERR_UNREACHABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        return ERR_CERTIFICATE;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_URL_MALFORMAT:
        return ERR_CONFIG;
    case CURLE_ABORTED_BY_CALLBACK: /* on_request */
        return c->refused_address ? ERR_DENIED : ERR_CLOSED;
    default: /* also CURLE_UNSUPPORTED_PROTOCOL: an answer that is not HTTP/1 or later */
        return ERR_PROTOCOL;
    }
}

/* Why its certificate is not accepted. The numbers are OpenSSL's results of a verification
 * (x509_vfy.h); the name is compared by libcurl itself, after that. */
static void say_certificate(struct http_call *c, struct error *e)
{
    static const struct {
        long result;
        const char *words;
    } reasons[] = {{9, "it is not valid yet"},
                   {10, "it has expired"},
                   {18, "it is signed by itself, and not one of those that are trusted"},
                   {19, "an authority made it that is not trusted"},
                   {20, "an authority made it that is not trusted"},
                   {21, "an authority made it that is not trusted"},
                   {23, "it was revoked"}};
    long result = 0;
    curl_easy_getinfo(c->easy, CURLINFO_SSL_VERIFYRESULT, &result);
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        if (reasons[i].result == result) {
            err_set(e, ERR_CERTIFICATE, "%s", reasons[i].words);
            return;
        }
    }
    if (strstr(c->words, "subject name"))
        err_set(e, ERR_CERTIFICATE, "it is for another host: %s", c->words);
    else
        err_set(e, ERR_CERTIFICATE, "%s", c->words[0] ? c->words : curl_easy_strerror(c->code));
}

static void finish(struct http_call *c, const struct error *e)
{
    long status = 0;
    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    leave_multi(c);
    c->busy++;
    c->ops.done(c->arg, e, status);
    c->busy--;
    if (c->freed)
        free(c);
    else
        call_free(c);
}

/* Hands on what arrived; false when the call was freed or stopped by a callback. */
static bool deliver(struct http_call *c)
{
    if (!c->arrived.len && !(c->head_came && !c->head_told) &&
        !(c->finished && c->code == CURLE_OK))
        return true;
    bool go_on = true;
    c->silent = false;
    if (c->silence && !c->finished)
        loop_timer_start(c->silence, c->silence_ms, 0);
    struct buf bytes = c->arrived;
    c->arrived = (struct buf){0};
    c->busy++;
    if (!c->head_told) {
        c->head_told = true;
        long status = 0;
        char *type = NULL;
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
        if (c->ops.head)
            c->ops.head(c->arg, status, type ? type : "");
    }
    c->received += bytes.len;
    bool too_big = c->max_bytes && c->received > c->max_bytes;
    if (!c->freed && bytes.len && c->ops.data && !too_big)
        go_on = c->ops.data(c->arg, bytes.data, bytes.len);
    c->busy--;
    buf_release(&bytes);
    if (c->freed) {
        free(c);
        return false;
    }
    if (too_big || !go_on) {
        struct error e;
        if (too_big)
            err_set(&e, ERR_TOO_BIG, "the answer has more than %zu bytes", c->max_bytes);
        else
            err_set(&e, ERR_CANCELLED, "the answer was not wanted any more");
        finish(c, &e);
    }
    return go_on && !too_big;
}

static void conclude(struct http_call *c)
{
    struct error e = {0};
    if (c->silent && !c->finished) {
        err_set(&e, ERR_TIMEOUT, "nothing arrived for %llu ms", (unsigned long long)c->silence_ms);
        finish(c, &e);
    } else if (c->finished) {
        enum err code = code_of(c);
        if (code == ERR_DENIED)
            err_set(&e, code, "the address is one of this machine or its link");
        else if (c->code == CURLE_ABORTED_BY_CALLBACK)
            err_set(&e, code, "the connection ended before an answer");
        else if (code == ERR_CERTIFICATE)
            say_certificate(c, &e);
        else if (c->code == CURLE_SSL_CACERT_BADFILE)
            err_set(&e, code, "no certificate can be read from ca_file %s",
                    c->ca_file ? c->ca_file : "of the system");
        else if (code)
            err_set(&e, code, "%s", c->words[0] ? c->words : curl_easy_strerror(c->code));
        finish(c, &e);
    }
}

void http__turn(struct loop *l)
{
    if (!l->calls.len)
        return;
    int running, left;
    BUG_IF(curl_multi_perform(l->multi, &running) != CURLM_OK);
    for (CURLMsg *m; (m = curl_multi_info_read(l->multi, &left));) {
        struct http_call *c = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
        c->finished = true;
        c->code = code;
    }
    size_t n = l->calls.len; /* calls that callbacks start come after these */
    for (size_t i = 0; i < n; i++) {
        struct http_call *c = l->calls.at[i];
        if (c && deliver(c))
            conclude(c);
    }
    slots__pack(&l->calls);
}

/* Starting. */

static void set_body(struct http_call *c, const struct http_options *o)
{
    const char *method = o->method ? o->method : "GET";
    c->safe = !o->body && (!strcmp(method, "GET") || !strcmp(method, "HEAD"));
    if (o->body || !strcmp(method, "POST")) {
        curl_easy_setopt(c->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
        curl_easy_setopt(c->easy, CURLOPT_COPYPOSTFIELDS, o->body ? o->body : "");
    }
    if (!strcmp(method, "HEAD"))
        curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
    else if (strcmp(method, o->body ? "POST" : "GET"))
        curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, method);
}

static bool set_headers(struct http_call *c, const char *const *headers)
{
    /* No wait for "100 Continue" before a body. */
    if (!(c->headers = curl_slist_append(NULL, "Expect:")))
        BUG("no memory for a header");
    for (; headers && *headers; headers++) {
        if (strpbrk(*headers, "\r\n"))
            return false;
        if (!curl_slist_append(c->headers, *headers))
            BUG("no memory for a header");
    }
    curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
    return true;
}

static void set_authorities(struct http_call *c, const struct http_options *o)
{
    if (!o->ca_file || !*o->ca_file)
        return;
    c->ca_file = xstrdup(o->ca_file);
    curl_easy_setopt(c->easy, CURLOPT_CAINFO, o->ca_file);
    curl_easy_setopt(c->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* a new file counts at once */
    if (!o->ca_besides)
        curl_easy_setopt(c->easy, CURLOPT_CAPATH, NULL);
}

static void set_options(struct http_call *c, const struct http_options *o)
{
    CURL *h = c->easy;
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_QUICK_EXIT, 1L); /* cancelling does not wait for the resolver */
    curl_easy_setopt(h, CURLOPT_PIPEWAIT, 0L);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 1L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "mcp-console/" MCPC_VERSION);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(o->connect_ms ? o->connect_ms : CONNECT_MS));
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)o->total_ms);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->words);
    curl_easy_setopt(h, CURLOPT_PRIVATE, c);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(h, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(h, CURLOPT_PREREQDATA, c);
    curl_easy_setopt(h, CURLOPT_CERTINFO, (long)o->certificate);
    curl_easy_setopt(h, CURLOPT_MAXLIFETIME_CONN, (long)CONNECTION_MAX_S);
    set_authorities(c, o);
    if (!getenv("no_proxy") && !getenv("NO_PROXY")) /* a proxy cannot reach our own loopback */
        curl_easy_setopt(h, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
}

static bool url_allowed(const char *url)
{
    return url && (!strncasecmp(url, "http://", 7) || !strncasecmp(url, "https://", 8));
}

struct http_call *http_start(struct loop *l, const struct http_options *o,
                             const struct http_ops *ops, void *arg, struct error *e)
{
    if (!url_allowed(o->url)) {
        err_set(e, ERR_CONFIG, "%s: not an http or https address", o->url ? o->url : "");
        return NULL;
    }
    struct http_call *c = xcalloc(1, sizeof *c);
    *c = (struct http_call){.loop = l, .ops = *ops, .arg = arg, .silence_ms = o->silence_ms};
    c->max_bytes = o->max_bytes;
    c->no_local = o->no_local;
    slots__add(&l->calls, c);
    c->easy = curl_easy_init();
    BUG_IF(!c->easy);
    set_options(c, o);
    set_body(c, o);
    if (curl_easy_setopt(c->easy, CURLOPT_URL, o->url) || !set_headers(c, o->headers)) {
        err_set(e, ERR_INVALID, "%s: the address or a header has a line break or is too long",
                o->url);
        call_free(c);
        return NULL;
    }
    BUG_IF(curl_multi_add_handle(l->multi, c->easy) != CURLM_OK);
    c->in_multi = true;
    if (o->silence_ms) {
        c->silence = loop_timer_new(l, on_silence, c);
        loop_timer_start(c->silence, o->silence_ms, 0);
    }
    return c;
}
