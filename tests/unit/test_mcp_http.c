/* MCP on Streamable HTTP against a real server process with exact faults
 * (tests/peers/mcp_http_server.py). */
#include "backend/vault/vault.h"
#include "tests/unit/conn_harness.h"
#include <signal.h>
#include <sys/wait.h>

static pid_t server;
static int server_input;
static unsigned port;

static int start_server(void **state)
{
    (void)state;
    int in[2], out[2];
    char line[32] = "";
    if (pipe(in) || pipe(out))
        return -1;
    server = fork();
    if (server == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        close(out[0]);
        execlp("python3", "python3", "tests/peers/mcp_http_server.py", (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    server_input = in[1];
    FILE *f = fdopen(out[0], "r");
    bool got = fgets(line, sizeof line, f);
    fclose(f);
    port = (unsigned)strtoul(line, NULL, 10);
    return got && port ? 0 : -1;
}

static int stop_server(void **state)
{
    (void)state;
    int status;
    close(server_input);
    waitpid(server, &status, 0);
    return 0;
}

static void open_mode(struct harness *h, const char *mode, const char *more)
{
    char *conf = xasprintf("[connector \"web\"]\nkind = mcp-http\nurl = http://127.0.0.1:%u/%s\n"
                           "read_tools = *\ncheck_ms = 60000\n%s",
                           port, mode, more);
    harness_open(h, conf, "web");
    free(conf);
    conn_start(h->registry);
}

static void up(struct harness *h, const char *mode)
{
    open_mode(h, mode, "");
    if (!harness_wait(h, CONN_OK, 5000))
        fail_msg("%s: %s", mode, h->changed_error);
}

/* ---- what arrived at the server ---- */
struct seen {
    struct loop *loop;
    struct buf text;
};

static bool on_seen(void *arg, const char *bytes, size_t len)
{
    struct seen *s = arg;
    buf_add(&s->text, bytes, len);
    return true;
}

static void on_seen_done(void *arg, const struct error *e, long status)
{
    struct seen *s = arg;
    assert_int_equal(e->code, ERR_OK);
    assert_int_equal(status, 200);
    loop_quit(s->loop);
}

static json_t *seen(const char *mode)
{
    static const struct http_ops ops = {.data = on_seen, .done = on_seen_done};
    struct seen s = {.loop = loop_new()};
    char *url = xasprintf("http://127.0.0.1:%u/stats/%s", port, mode);
    assert_non_null(http_start(s.loop, &(struct http_options){.url = url}, &ops, &s, NULL));
    loop_run(s.loop);
    loop_free(s.loop);
    json_t *list = json_loads(s.text.data, 0, NULL);
    assert_non_null(list);
    buf_release(&s.text);
    free(url);
    return list;
}

static int index_of(const json_t *list, const char *what)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), what) == 0)
            return (int)i;
    }
    return -1;
}

static int times(const char *mode, const char *what)
{
    json_t *list = seen(mode);
    int n = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        n += strcmp(json_string_value(json_array_get(list, i)), what) == 0;
    json_decref(list);
    return n;
}

/* ---- tests ---- */
static bool until_idle(struct harness *h)
{
    return clock_mono_ms() + 50 > h->deadline_ms;
}

static void json_and_session(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    open_mode(&h, "plain", "headers = X-Extra: yes; X-Key: env:MCPC_TEST_KEY\n");
    assert_true(harness_wait(&h, CONN_OK, 5000));
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"h\\u0435llo\"}", 2000, &a), ERR_OK);
    assert_string_equal(a.text, "h\xd0\xb5llo");
    answer_release(&a);
    json_t *row = harness_row(&h);
    assert_string_equal(json_str(row, "transport", ""), "streamable-http");
    assert_true(json_flag(row, "session", false));
    json_decref(row);
    conn_close(h.registry);
    harness_run(&h, until_idle, 300);
    harness_shut(&h);
    assert_int_equal(times("plain", "DELETE abc"), 1);
    assert_int_equal(times("plain", "tools/call"), 1);
}

static void the_stream_comes_before_calls(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    up(&h, "stream");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"x\"}", 3000, &a), ERR_OK);
    answer_release(&a);
    harness_shut(&h);
    json_t *list = seen("stream");
    assert_true(index_of(list, "notifications/initialized") < index_of(list, "GET"));
    assert_true(index_of(list, "stream is open") >= 0);
    assert_true(index_of(list, "stream is open") < index_of(list, "tools/call"));
    json_decref(list);
}

static void streams_byte_by_byte(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    up(&h, "slow");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"slowly\"}", 5000, &a), ERR_OK);
    assert_string_equal(a.text, "slowly");
    answer_release(&a);
    harness_shut(&h);
}

static void a_cut_stream_is_taken_up_again(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    up(&h, "resume");
    uint64_t began = clock_mono_ms();
    assert_int_equal(harness_call(&h, "echo", "{}", 5000, &a), ERR_OK);
    assert_string_equal(a.text, "resumed");
    assert_true(clock_mono_ms() - began >= 60); /* retry was obeyed */
    answer_release(&a);
    harness_shut(&h);
    assert_int_equal(times("resume", "tools/call"), 1); /* C3 */
}

static void faults_are_named_and_nothing_is_sent_twice(void **state)
{
    (void)state;
    static const struct {
        const char *mode;
        enum err code;
        const char *words;
    } rows[] = {{"cut", ERR_CLOSED, "ended before the answer"},
                {"closed", ERR_CLOSED, ""},
                {"hang", ERR_TIMEOUT, ""},
                {"status", ERR_UPSTREAM, "HTTP 500: out of order"},
                {"forbidden", ERR_REFUSED, "HTTP 403: Invalid Host"},
                {"redirect", ERR_UPSTREAM, "redirects to http://127.0.0.1:9/elsewhere"},
                {"html", ERR_PROTOCOL, "no JSON-RPC"},
                {"giant", ERR_TOO_BIG, "16 MiB"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct answer a;
        up(&h, rows[i].mode);
        enum err code = harness_call(&h, "echo", "{}", i == 2 ? 300 : 5000, &a);
        if (code != rows[i].code || !strstr(a.detail, rows[i].words))
            fail_msg("%s: %s: %s", rows[i].mode, err_name(code), a.detail);
        answer_release(&a);
        assert_true(harness_wait(&h, CONN_OK, 1000)); /* C4: the connector stays up */
        harness_shut(&h);
        assert_int_equal(times(rows[i].mode, "tools/call"), 1); /* C3 */
    }
}

/* What finds fault with the caller opens no breaker; what breaks does. */
static void refusals_leave_the_breaker_closed(void **state)
{
    (void)state;
    static const struct {
        const char *mode, *breaker;
    } rows[] = {{"forbidden", "closed"}, {"status", "open"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct harness h;
        struct answer a;
        up(&h, rows[i].mode);
        for (int n = 0; n < 6; n++) {
            assert_int_not_equal(harness_call(&h, "echo", "{}", 3000, &a), ERR_OK);
            answer_release(&a);
        }
        json_t *row = harness_row(&h);
        assert_string_equal(json_str(json_object_get(row, "breaker"), "state", ""),
                            rows[i].breaker);
        json_decref(row);
        harness_shut(&h);
    }
}

static void a_lost_session_begins_anew(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    up(&h, "lost");
    assert_int_equal(harness_call(&h, "echo", "{}", 3000, &a),
                     ERR_CLOSED); /* it is not said again */
    answer_release(&a);
    for (int i = 0; i < 50 && harness_call(&h, "echo", "{\"text\":\"again\"}", 3000, &a) != ERR_OK;
         i++) {
        answer_release(&a);
        harness_run(&h, until_idle, 100);
    }
    assert_string_equal(a.text, "again");
    answer_release(&a);
    harness_shut(&h);
    assert_int_equal(times("lost", "initialize"), 2);
    assert_int_equal(times("lost", "tools/call"), 2);
}

static void the_older_transport_is_found(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    up(&h, "old");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"old\"}", 3000, &a), ERR_OK);
    assert_string_equal(a.text, "old");
    answer_release(&a);
    json_t *row = harness_row(&h);
    assert_string_equal(json_str(row, "transport", ""), "http+sse");
    json_decref(row);
    harness_shut(&h);
    open_mode(&h, "oldevil", "");
    assert_true(harness_wait(&h, CONN_FAIL, 5000));
    assert_non_null(strstr(h.changed_error, "another server"));
    harness_shut(&h);
}

static void batches_are_taken_apart(void **state)
{
    (void)state;
    struct harness h;
    struct answer a;
    up(&h, "batch");
    assert_int_equal(harness_call(&h, "echo", "{\"text\":\"both\"}", 3000, &a), ERR_OK);
    assert_string_equal(a.text, "both");
    answer_release(&a);
    harness_shut(&h);
}

static void a_token_of_the_configuration(void **state)
{
    (void)state;
    struct harness h;
    setenv("MCPC_TEST_TOKEN", "sesame", 1);
    open_mode(&h, "token", "token = env:MCPC_TEST_TOKEN\n");
    assert_true(harness_wait(&h, CONN_OK, 5000));
    json_t *row = harness_row(&h);
    char *all = json_write(row);
    assert_null(strstr(all, "sesame"));
    free(all);
    json_decref(row);
    harness_shut(&h);
    setenv("MCPC_TEST_TOKEN", "wrong-word", 1);
    open_mode(&h, "token", "token = env:MCPC_TEST_TOKEN\n");
    assert_true(harness_wait(&h, CONN_FAIL, 5000));
    assert_non_null(strstr(h.changed_error, "refuses the token"));
    assert_null(strstr(h.changed_error, "wrong-word"));
    harness_shut(&h);
    open_mode(&h, "token", "");
    assert_true(harness_wait(&h, CONN_SIGN_IN, 5000));
    assert_non_null(strstr(h.changed_error, "connectors login web"));
    harness_shut(&h);
}

static void configurations_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"url = ftp://x/\n", "url = http://x/\ntoken = abc\n",
                                      "url = http://x/\nheaders = nonsense\n",
                                      "url = http://x/\nauth = client-credentials\n",
                                      "url = http://x/\nclient_id = a\nclient_secret = plain\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char path[] = "/tmp/mcpc-http-XXXXXX";
        struct error e = {0};
        int fd = mkstemp(path);
        dprintf(fd, "[connector \"x\"]\nkind = mcp-http\n%s", bad[i]);
        close(fd);
        struct conf *conf = conf_load(path, &e);
        struct loop *loop = loop_new();
        assert_non_null(conf);
        assert_null(conn_new(&(struct conn_setup){.loop = loop, .conf = conf}, &e));
        assert_int_equal(e.code, ERR_CONFIG);
        assert_null(strstr(e.detail, "plain")); /* it may be the secret */
        unlink(path);
        conf_free(conf);
        loop_free(loop);
    }
}

/* ---- signing in ---- */
struct person {
    struct loop *loop;
    struct http_call *browser;
    char *url, *landed, *user_code;
    int answers;
    bool done;
    struct error error;
};

static void on_login(void *arg, const json_t *answer, const struct error *e)
{
    struct person *p = arg;
    p->answers++;
    p->error = *e;
    p->done = json_flag(answer, "done", false);
    free(p->url);
    free(p->user_code);
    p->url = strdup(json_str(answer, "url", ""));
    p->user_code = strdup(json_str(answer, "user_code", ""));
}

static void on_landed_head(void *arg, long status, const char *type)
{
    struct person *p = arg;
    (void)type;
    const char *location = http_header(p->browser, "Location");
    assert_int_equal(status, 302);
    free(p->landed);
    p->landed = strdup(location);
}

static void on_landed(void *arg, const struct error *e, long status)
{
    struct person *p = arg;
    (void)status;
    assert_int_equal(e->code, ERR_OK);
    loop_quit(p->loop);
}

/* Opens the address, as a browser on any machine would. */
static void visit(struct person *p)
{
    static const struct http_ops ops = {.head = on_landed_head, .done = on_landed};
    p->loop = loop_new();
    p->browser = http_start(p->loop, &(struct http_options){.url = p->url}, &ops, p, NULL);
    assert_non_null(p->browser);
    loop_run(p->loop);
    loop_free(p->loop);
}

static struct person *waited_for;

static bool until_answered(struct harness *h)
{
    (void)h;
    return waited_for->answers > 0;
}

static void login(struct harness *h, struct person *p, const char *code)
{
    struct error e = {0};
    p->answers = 0;
    waited_for = p;
    assert_int_equal(conn_login(h->registry, "web", code, on_login, p, &e), ERR_OK);
    assert_true(harness_run(h, until_answered, 5000));
    assert_int_equal(p->answers, 1);
}

static void person_release(struct person *p)
{
    free(p->url);
    free(p->landed);
    free(p->user_code);
}

/* A registry with a vault in state_dir. */
static struct vault *open_with_vault(struct harness *h, const char *mode, const char *state_dir)
{
    struct error e = {0};
    struct vault *v = vault_open(state_dir, true, &e);
    assert_non_null(v);
    open_mode(h, mode, "pin = off\n");
    conn_close(h->registry);
    conn_free(h->registry);
    h->changes = 0;
    struct conn_setup setup = {
        .loop = h->loop, .conf = h->conf, .changed = harness_changed, .arg = h, .vault = v};
    h->registry = conn_new(&setup, &e);
    assert_non_null(h->registry);
    conn_start(h->registry);
    return v;
}

static void check_sign_in(struct harness *h)
{
    struct person p = {0};
    struct answer a;
    assert_true(harness_wait(h, CONN_SIGN_IN, 5000));
    login(h, &p, "too early");
    assert_int_equal(p.error.code, ERR_INVALID);
    login(h, &p, NULL);
    assert_int_equal(p.error.code, ERR_OK);
    assert_non_null(strstr(p.url, "code_challenge_method=S256"));
    assert_non_null(strstr(p.url, "redirect_uri=http%3A%2F%2F127.0.0.1%3A"));
    visit(&p);
    char *forged = strdup(p.landed);
    char *state = strstr(forged, "state=") + 6;
    *state = *state == 'A' ? 'B' : 'A';
    login(h, &p, forged);
    assert_int_equal(p.error.code, ERR_DENIED);
    login(h, &p, "code-1"); /* this issuer names itself: the bare code is not enough */
    assert_int_equal(p.error.code, ERR_INVALID);
    char *stranger = strdup(p.landed), *iss = strstr(stranger, "as-auth");
    memcpy(iss, "as-evil", 7);
    login(h, &p, stranger);
    assert_int_equal(p.error.code, ERR_DENIED);
    login(h, &p, p.landed);
    assert_int_equal(p.error.code, ERR_OK);
    assert_true(p.done);
    assert_true(harness_wait(h, CONN_OK, 5000));
    assert_int_equal(harness_call(h, "echo", "{\"text\":\"in\"}", 2000, &a), ERR_OK);
    answer_release(&a);
    free(forged);
    free(stranger);
    person_release(&p);
}

/* Every token that the issuer gave so far is refused from now on. */
static void revoke_all(void)
{
    static const struct http_ops ops = {.done = on_landed};
    char *url = xasprintf("http://127.0.0.1:%u/revoke", port);
    struct person p = {.loop = loop_new()};
    http_start(p.loop,
               &(struct http_options){.method = "POST", .url = url, .body = "x", .body_len = 1},
               &ops, &p, NULL);
    loop_run(p.loop);
    loop_free(p.loop);
    free(url);
}

static void a_sign_in_by_pasting_is_kept_and_refreshed(void **state)
{
    (void)state;
    struct harness h;
    char dir[] = "/tmp/mcpc-oauth-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct vault *v = open_with_vault(&h, "auth", dir);
    check_sign_in(&h);
    json_t *row = harness_row(&h);
    char *all = json_write(row);
    assert_null(strstr(all, "access-token"));
    free(all);
    json_decref(row);
    harness_shut(&h);
    vault_close(v);
    /* Another start: nobody has to sign in. */
    v = open_with_vault(&h, "auth", dir);
    assert_true(harness_wait(&h, CONN_OK, 5000));
    harness_shut(&h);
    vault_close(v);
    assert_int_equal(times("issuer", "token authorization_code"), 1);
    /* The token has expired: it is refreshed, and the new refresh token is kept. */
    for (int i = 1; i <= 2; i++) {
        revoke_all();
        v = open_with_vault(&h, "auth", dir);
        assert_true(harness_wait(&h, CONN_OK, 5000));
        harness_shut(&h);
        vault_close(v);
        assert_int_equal(times("issuer", "token refresh_token"), i);
    }
    /* Signed out, it is forgotten. */
    struct error e = {0};
    v = open_with_vault(&h, "auth", dir);
    assert_true(harness_wait(&h, CONN_OK, 5000));
    assert_int_equal(conn_logout(h.registry, "web", &e), ERR_OK);
    assert_true(harness_wait(&h, CONN_SIGN_IN, 5000));
    struct vault_text text = {0};
    assert_int_equal(vault_text_get(v, "secret:oauth.web", &text, &e), ERR_NOT_FOUND);
    harness_shut(&h);
    vault_close(v);
    char *remove = xasprintf("rm -rf %s", dir);
    assert_int_equal(system(remove), 0);
    free(remove);
}

/* D1, D2: the server looks at each proof, changes its nonces often, and knows one key only; so it
 * is kept over a restart and used to refresh. */
static void a_token_is_bound_to_a_key(void **state)
{
    (void)state;
    struct harness h;
    struct person p = {0};
    struct answer a;
    char dir[] = "/tmp/mcpc-oauth-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct vault *v = open_with_vault(&h, "bound", dir);
    assert_true(harness_wait(&h, CONN_SIGN_IN, 5000));
    login(&h, &p, NULL);
    visit(&p);
    login(&h, &p, p.landed);
    assert_int_equal(p.error.code, ERR_OK);
    assert_true(harness_wait(&h, CONN_OK, 5000));
    for (int start = 0; start < 2; start++) {
        for (int i = 0; i < 12; i++) {
            assert_int_equal(harness_call(&h, "echo", "{\"text\":\"in\"}", 2000, &a), ERR_OK);
            answer_release(&a);
        }
        json_t *row = harness_row(&h);
        char *all = json_write(row);
        assert_true(json_flag(json_object_get(row, "auth"), "bound", false));
        assert_null(strstr(all, "PRIVATE KEY"));
        assert_null(strstr(all, "access-token"));
        free(all);
        json_decref(row);
        harness_shut(&h);
        vault_close(v);
        if (start == 0) {
            revoke_all();
            v = open_with_vault(&h, "bound", dir);
            assert_true(harness_wait(&h, CONN_OK, 5000));
        }
    }
    assert_int_equal(times("issuer-bound", "bad proof"), 0);
    assert_int_equal(times("bound", "bad proof"), 0);
    assert_in_range(times("issuer-bound", "wants a nonce"), 2, 2); /* one a start */
    assert_in_range(times("bound", "wants a nonce"), 4, 20);
    assert_int_equal(times("issuer-bound", "register"), 1);
    person_release(&p);
    char *remove = xasprintf("rm -rf %s", dir);
    assert_int_equal(system(remove), 0);
    free(remove);
}

static void on_closed_page(void *arg, const struct error *e, long status)
{
    (void)arg;
    assert_int_equal(e->code, ERR_OK);
    assert_int_equal(status, 200);
}

static void a_sign_in_by_the_browser(void **state)
{
    (void)state;
    struct harness h;
    struct person p = {0};
    open_mode(&h, "auth", "");
    assert_true(harness_wait(&h, CONN_SIGN_IN, 5000));
    login(&h, &p, NULL);
    visit(&p);
    /* The browser is on this machine: it asks the port of the loopback. */
    static const struct http_ops ops = {.done = on_closed_page};
    assert_non_null(http_start(h.loop, &(struct http_options){.url = p.landed}, &ops, &p, NULL));
    assert_true(harness_wait(&h, CONN_OK, 5000));
    person_release(&p);
    harness_shut(&h);
}

static bool never(struct harness *h)
{
    (void)h;
    return false;
}

/* O5: tokens last a second; no request is ever refused for one that has ended, also when the issuer
 * is out for a moment. */
static void a_token_is_renewed_before_it_ends(void **state)
{
    (void)state;
    struct harness h;
    struct person p = {0};
    open_mode(&h, "short", "");
    assert_true(harness_wait(&h, CONN_SIGN_IN, 5000));
    login(&h, &p, NULL);
    visit(&p);
    login(&h, &p, p.landed);
    assert_true(harness_wait(&h, CONN_OK, 5000));
    int refused = times("short", "refused");
    for (int i = 0; i < 30; i++) {
        struct answer a;
        assert_int_equal(harness_call(&h, "echo", "{\"text\":\"in\"}", 2000, &a), ERR_OK);
        answer_release(&a);
        harness_run(&h, never, 100);
    }
    assert_int_equal(times("short", "refused"), refused);
    assert_in_range(times("issuer-short", "token refresh_token"), 3, 8);
    person_release(&p);
    harness_shut(&h);
}

static void a_sign_in_by_device(void **state)
{
    (void)state;
    struct harness h;
    struct person p = {0};
    open_mode(&h, "device", "");
    assert_true(harness_wait(&h, CONN_SIGN_IN, 5000));
    login(&h, &p, NULL);
    assert_string_equal(p.url, "http://127.0.0.1/device");
    assert_string_equal(p.user_code, "ABCD-1234");
    assert_true(harness_wait(&h, CONN_OK, 8000)); /* asked twice, a second apart */
    person_release(&p);
    harness_shut(&h);
}

int main(void)
{
    setenv("MCPC_TEST_KEY", "k", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_and_session),
        cmocka_unit_test(the_stream_comes_before_calls),
        cmocka_unit_test(streams_byte_by_byte),
        cmocka_unit_test(a_cut_stream_is_taken_up_again),
        cmocka_unit_test(faults_are_named_and_nothing_is_sent_twice),
        cmocka_unit_test(a_lost_session_begins_anew),
        cmocka_unit_test(the_older_transport_is_found),
        cmocka_unit_test(batches_are_taken_apart),
        cmocka_unit_test(a_token_of_the_configuration),
        cmocka_unit_test(configurations_are_checked),
        cmocka_unit_test(a_sign_in_by_pasting_is_kept_and_refreshed),
        cmocka_unit_test(a_token_is_bound_to_a_key),
        cmocka_unit_test(a_sign_in_by_the_browser),
        cmocka_unit_test(a_token_is_renewed_before_it_ends),
        cmocka_unit_test(a_sign_in_by_device),
        cmocka_unit_test(refusals_leave_the_breaker_closed),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
