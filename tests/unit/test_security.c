/* Who sees and may do what (docs/security.md): every method by role, what an audience is shown,
 * what lies on the disk in clear, whose the files are. */
#include "backend/bus/bus.h"
#include "backend/vault/vault.h"
#include "console_harness.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>

/* ---- roles */

/* What this client is told when it calls a method without the parameters that it needs. */
static enum err code_of(struct busc *bus, enum wire_method m)
{
    struct error e = {0};
    json_t *params = json_object();
    if (m == WIRE_chat_stop)
        json_puts(params, "trace_id", "none");
    json_t *result = busc_wait(bus, m, params, WAIT_MS, &e);
    json_decref(result);
    return result ? ERR_OK : e.code;
}

static void check_roles(struct busc *bus, enum bus_role role)
{
    for (int m = 0; m < WIRE_COUNT; m++) {
        const struct wire_row *row = wire_row((enum wire_method)m);
        if (m == WIRE_session_hello || m == WIRE_session_bye)
            continue;
        enum err code = code_of(bus, (enum wire_method)m);
        if ((code == ERR_DENIED) != (role < row->role))
            fail_msg("%s as %s answers %s", row->name, bus_role_name(role), err_name(code));
    }
}

static void every_method_asks_for_its_role(void **state)
{
    (void)state;
    static const enum bus_role ROLES[] = {BUS_DEMO, BUS_REVIEWER, BUS_OPERATOR};
    setenv("MCP_CONSOLE_CONSOLE_LEVEL", "execute", 1); /* levels are not what is asked here */
    for (size_t most = 0; most < 3; most++) {
        struct console c = console_start(new_dir(), NULL, bus_role_name(ROLES[most]));
        check_roles(c.bus, ROLES[most]);
        for (size_t asked = 0; asked < 3; asked++) { /* a session beside it: lower, never higher */
            struct busc *bus = busc_new(c.address, "beside", bus_role_name(ROLES[asked]), NULL);
            check_roles(bus, asked < most ? ROLES[asked] : ROLES[most]);
            busc_free(bus);
        }
        console_stop(&c, false);
    }
    unsetenv("MCP_CONSOLE_CONSOLE_LEVEL");
}

static void write_config(const char *path, const char *role)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "[console]\nrole = %s\n[connector \"leaky\"]\nkind = mcp-stdio\n"
            "command = /bin/sh -c 'echo hushhush >&2; exit 3'\n"
            "[model \"off\"]\nkind = ollama\nurl = http://127.0.0.1:9\nmodel = hushhush\n"
            "[copilot]\nmodels = off builtin/lexical\n",
            role);
    fclose(f);
}

static void the_option_lowers_the_role_and_never_raises_it(void **state)
{
    (void)state;
    char *dir = new_dir(), *config = xasprintf("%s/conf", dir), detail[256];
    write_config(config, "demo");
    struct console c = console_start(dir, config, "operator");
    assert_int_equal(refused(&c, WIRE_status_get, NULL, detail), ERR_DENIED);
    assert_non_null(strstr(detail, "at most demo"));
    console_stop(&c, true);
    c = console_start(dir, config, NULL);
    assert_int_equal(refused(&c, WIRE_chat_ask, "{\"text\": \"x\"}", NULL), ERR_DENIED);
    console_stop(&c, false);
    free(config);
}

/* ---- what an audience is shown */

struct heard {
    int events, secrets;
};

static void on_event(void *arg, const char *type, int64_t at, const json_t *data)
{
    struct heard *h = arg;
    (void)type, (void)at;
    char *text = json_dumps(data, JSON_ENCODE_ANY);
    h->events++;
    h->secrets += text && (strstr(text, "hushhush") || strstr(text, "Connection refused") ||
                           strstr(text, "zebracrossing"));
    free(text);
}

static int secrets_in(struct busc *bus, const char *trace_id)
{
    static const struct {
        enum wire_method m;
        const char *params;
    } READS[] = {{WIRE_status_get, "{}"},
                 {WIRE_connectors_list, "{}"},
                 {WIRE_connectors_get, "{\"name\": \"leaky\"}"},
                 {WIRE_chat_history, "{}"},
                 {WIRE_chat_conversations, "{}"},
                 {WIRE_chat_models, "{}"},
                 {WIRE_flows_list, "{}"},
                 {WIRE_traces_list, "{}"},
                 {WIRE_traces_get, NULL},
                 {WIRE_cost_ledger, "{}"},
                 {WIRE_cost_summary, "{}"},
                 {WIRE_score_get, "{}"},
                 {WIRE_evidence_list, "{}"},
                 {WIRE_evidence_get, "{\"seq\": 1, \"payload\": true}"},
                 {WIRE_doctor_run, "{}"}};
    int secrets = 0;
    for (size_t i = 0; i < sizeof READS / sizeof *READS; i++) {
        json_t *params = READS[i].params ? json_loads(READS[i].params, 0, NULL)
                                         : json_pack("{ss}", "trace_id", trace_id);
        json_t *result = busc_wait(bus, READS[i].m, params, WAIT_MS, NULL);
        assert_non_null(result);
        struct heard one = {0};
        on_event(&one, "", 0, result);
        secrets += one.secrets;
        json_decref(result);
    }
    return secrets;
}

static void listen_on(struct busc *bus, uint64_t ms)
{
    uint64_t until = clock_mono_ms() + ms;
    while (clock_mono_ms() < until) {
        struct pollfd p = {.fd = busc_fd(bus), .events = POLLIN};
        poll(&p, 1, 20);
        busc_dispatch(bus);
    }
}

static void an_audience_hears_no_words_of_others(void **state)
{
    (void)state;
    char *dir = new_dir(), *config = xasprintf("%s/conf", dir);
    write_config(config, "operator");
    struct console c = console_start(dir, config, NULL);
    struct heard demo = {0}, reviewer = {0};
    struct busc *audience = busc_new(c.address, "audience", "demo", NULL),
                *review = busc_new(c.address, "review", "reviewer", NULL);
    busc_events(audience, on_event, NULL, &demo);
    busc_events(review, on_event, NULL, &reviewer);
    listen_on(audience, 50);
    listen_on(review, 50);
    json_t *trace = ask_with(&c, json_pack("{s:s,s:s,s:s}", "text", "is the disk filling up?",
                                           "promptA", "Speak as zebracrossing.", "flow", "dual"));
    assert_int_equal(secrets_in(audience, json_str(trace, "trace_id", "")), 0);
    json_decref(trace);
    trace = ask(&c, "is the disk filling up, zebracrossing?");
    listen_on(audience, 400);
    listen_on(review, 200);
    const char *id = json_str(trace, "trace_id", "");
    assert_true(reviewer.secrets > 0 &&
                secrets_in(review, id) >= 5); /* there is what to withhold */
    assert_int_equal(secrets_in(audience, id), 0);
    assert_int_equal(demo.secrets, 0);
    assert_true(demo.events >= 3);
    json_decref(trace);
    busc_free(audience);
    busc_free(review);
    console_stop(&c, false);
    free(config);
}

/* ---- on the disk */

static size_t find_in_file(const char *path, const char *word)
{
    FILE *f = fopen(path, "rb");
    char bytes[65536];
    size_t found = 0, kept = 0, n, len = strlen(word);
    if (!f)
        return 0;
    while ((n = fread(bytes + kept, 1, sizeof bytes - kept, f)) > 0) {
        found += memmem(bytes, kept + n, word, len) != NULL;
        size_t all = kept + n;
        kept = all < len ? all : len - 1;
        memmove(bytes, bytes + all - kept, kept);
    }
    fclose(f);
    return found;
}

/* Calls fn for every file and directory of the state. */
static void each_file(const char *dir, void (*fn)(const char *path, const struct stat *st))
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *at; (at = readdir(d));) {
        if (!strcmp(at->d_name, ".") || !strcmp(at->d_name, "..") || !strcmp(at->d_name, "conf"))
            continue;
        char *path = xasprintf("%s/%s", dir, at->d_name);
        struct stat st;
        assert_int_equal(lstat(path, &st), 0);
        fn(path, &st);
        if (S_ISDIR(st.st_mode))
            each_file(path, fn);
        free(path);
    }
    closedir(d);
}

static unsigned seen_files;

static void is_sealed(const char *path, const struct stat *st)
{
    static const char *const WORDS[] = {"zebracrossing", "filling up", "hushhush", "ivanov@example",
                                        "% full"};
    for (size_t i = 0; S_ISREG(st->st_mode) && i < sizeof WORDS / sizeof *WORDS; i++)
        if (find_in_file(path, WORDS[i]))
            fail_msg("%s holds \"%s\" in clear", path, WORDS[i]);
    seen_files++;
}

static void is_private(const char *path, const struct stat *st)
{
    if (st->st_mode & 077)
        fail_msg("%s has mode %04o", path, (unsigned)(st->st_mode & 07777));
    seen_files++;
}

static void questions_and_answers_are_never_on_the_disk_in_clear(void **state)
{
    (void)state;
    char *dir = new_dir(), *config = xasprintf("%s/conf", dir), *said = NULL;
    write_config(config, "operator");
    mode_t before = umask(0);
    struct console c = console_start(dir, config, NULL);
    json_t *trace = ask(&c, "is the disk filling up, zebracrossing? mail ivanov@example.org");
    seen_files = 0;
    each_file(dir, is_sealed); /* the write-ahead log is there now */
    each_file(dir, is_private);
    assert_true(seen_files >= 2 * 5);
    /* the entry of the question carries the tag of what is in it, not the thing */
    json_t *get = json_object();
    json_put(get, "seq", json_incref(json_array_get(json_object_get(trace, "entries"), 0)));
    json_t *entry = busc_wait(c.bus, WIRE_evidence_get, get, WAIT_MS, NULL);
    said = json_dumps(entry, 0);
    assert_non_null(said);
    assert_non_null(strstr(said, "email"));
    assert_null(strstr(said, "ivanov"));
    free(said);
    json_decref(entry);
    json_decref(trace);
    json_decref(call(&c, WIRE_tools_call,
                     "{\"connector\": \"host\", \"tool\": \"disks\", \"arguments\": {}}"));
    console_stop(&c, true);
    umask(before);
    each_file(dir, is_sealed);
    each_file(dir, is_private);
    c.bus = NULL;
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
    free(config);
}

/* In no payload, no projection, no answer of any method. */
static void secrets_are_stored_and_shown_nowhere(void **state)
{
    (void)state;
    static const char secret[] = "Hunter2Hunter2!";
    static const enum wire_method METHODS[] = {WIRE_chat_history, WIRE_traces_list};
    struct console c = console_start(new_dir(), NULL, "operator");
    json_decref(ask(&c, "is the disk full? login with password=Hunter2Hunter2! fails"));
    /* The tool takes no arguments: the call is logged, and then refused. */
    refused(&c, WIRE_tools_call,
            "{\"connector\":\"host\",\"tool\":\"load\",\"arguments\":"
            "{\"db_password\":\"Hunter2Hunter2!\"}}",
            NULL);
    for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++) {
        json_t *answer = call(&c, METHODS[i], "{}");
        char *text = json_write(answer);
        assert_non_null(strstr(text, "[redacted]"));
        assert_null(strstr(text, secret));
        free(text);
        json_decref(answer);
    }
    json_t *status = call(&c, WIRE_status_get, "{}");
    int64_t size = json_int(json_object_get(status, "chain"), "size", 0), redacted = 0;
    json_decref(status);
    for (int64_t seq = 0; seq < size; seq++) {
        char params[64];
        snprintf(params, sizeof params, "{\"seq\":%lld,\"payload\":true}", (long long)seq);
        json_t *entry = call(&c, WIRE_evidence_get, params);
        char *text = json_write(entry);
        assert_non_null(json_object_get(entry, "payload"));
        assert_null(strstr(text, secret));
        redacted += strstr(text, "[redacted]") != NULL;
        free(text);
        json_decref(entry);
    }
    assert_true(redacted >= 2); /* the question, the call */
    console_stop(&c, false);
}

static void a_state_directory_of_others_is_refused(void **state)
{
    (void)state;
    char *dir = new_dir(), detail[256];
    assert_int_equal(chmod(dir, 0777), 0);
    struct console c = console_start(dir, NULL, NULL);
    assert_int_equal(refused(&c, WIRE_status_get, NULL, detail), ERR_READ_ONLY);
    assert_non_null(strstr(detail, "can be written by others"));
    console_stop(&c, true);
    assert_int_equal(chmod(dir, 0700), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(dir, 65534, 65534), 0);
        c = console_start(dir, NULL, NULL);
        assert_int_equal(refused(&c, WIRE_status_get, NULL, detail), ERR_READ_ONLY);
        assert_non_null(strstr(detail, "belongs to user 65534"));
        console_stop(&c, true);
    }
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(dir);
}

/* Each file that the console makes, as a link to one elsewhere: refused, and that one is untouched.
 */
static void links_are_not_followed(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"console.db", "lock", "keys/master.key", "keys"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        char *dir = new_dir(), *other = new_dir();
        char *victim = xasprintf("%s/victim", other), *keys = xasprintf("%s/keys", dir);
        char *link = xasprintf("%s/%s", dir, NAMES[i]);
        struct stat st;
        bool is_keys = !strcmp(NAMES[i], "keys");
        if (!is_keys)
            assert_int_equal(mkdir(keys, 0700), 0);
        int fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(fd >= 0 && !close(fd));
        assert_int_equal(symlink(is_keys ? other : victim, link), 0);
        struct console c = console_start(dir, NULL, NULL);
        assert_int_not_equal(refused(&c, WIRE_status_get, NULL, NULL), ERR_OK);
        console_stop(&c, false);
        assert_int_equal(stat(victim, &st), 0);
        assert_int_equal(st.st_size, 0);
        nftw(other, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(other);
        free(victim);
        free(keys);
        free(link);
    }
}

static void no_core_is_dumped_while_keys_are_in_memory(void **state)
{
    (void)state;
    struct rlimit limit;
    vault_init();
    assert_int_equal(getrlimit(RLIMIT_CORE, &limit), 0);
    assert_int_equal(limit.rlim_cur, 0);
    assert_int_equal(limit.rlim_max, 0);
}

/* The text of one check of the doctor, "" if there is none of that name. */
static const char *check_named(const json_t *answer, const char *name, const char **status)
{
    size_t i;
    json_t *check;
    json_array_foreach(json_object_get(answer, "checks"), i, check)
    {
        if (strcmp(json_str(check, "name", ""), name) == 0) {
            *status = json_str(check, "status", "");
            return json_str(check, "text", "");
        }
    }
    return "";
}

static void the_doctor_finds_secrets_in_the_open(void **state)
{
    (void)state;
    char *dir = new_dir(), *config = xasprintf("%s/conf", dir);
    const char *status = "";
    FILE *f = fopen(config, "w");
    assert_non_null(f);
    fputs("[model \"far\"]\nkind = openai\nurl = http://127.0.0.1.example.org/v1\nmodel = "
          "m\nregion = RU\n"
          "key = env:FAR_KEY\n[model \"near\"]\nkind = openai\nurl = http://127.0.0.1:1/v1\n"
          "model = m\nregion = RU\nkey = env:FAR_KEY\n[model \"safe\"]\nkind = openai\n"
          "url = https://llm.example.org/v1\nmodel = m\nregion = RU\nkey = env:FAR_KEY\n"
          "[connector \"told\"]\nkind = mcp-stdio\nenabled = no\n"
          "command = /bin/true --token ghp_0123456789abcdefghijABCDEFGHIJ012345\n",
          f);
    fclose(f);
    struct console c = console_start(dir, config, NULL);
    json_t *answer = call(&c, WIRE_doctor_run, NULL);
    assert_non_null(strstr(check_named(answer, "model far", &status), "in clear"));
    assert_string_equal(status, "warn");
    assert_null(strstr(check_named(answer, "model near", &status), "in clear"));
    assert_null(strstr(check_named(answer, "model safe", &status), "in clear"));
    assert_non_null(strstr(check_named(answer, "command of told", &status), "secret"));
    char *all = json_dumps(answer, 0);
    assert_non_null(all);
    assert_null(strstr(all, "ghp_"));
    free(all);
    json_decref(answer);
    console_stop(&c, false);
    free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_asks_for_its_role),
        cmocka_unit_test(the_option_lowers_the_role_and_never_raises_it),
        cmocka_unit_test(an_audience_hears_no_words_of_others),
        cmocka_unit_test(questions_and_answers_are_never_on_the_disk_in_clear),
        cmocka_unit_test(secrets_are_stored_and_shown_nowhere),
        cmocka_unit_test(a_state_directory_of_others_is_refused),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(the_doctor_finds_secrets_in_the_open),
        cmocka_unit_test(no_core_is_dumped_while_keys_are_in_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
