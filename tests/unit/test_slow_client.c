/* A client that asks and never reads what happens: the backend's memory stays within the ring of
 * events (4096 of them, 8 MiB), however much is streamed meanwhile. Against the mock of models. */
#include "tests/unit/console_harness.h"
#include "tests/unit/mock_harness.h"
#include <malloc.h>

enum { QUESTIONS = 8, TOKENS = 480 };

static size_t allocated(void)
{
#ifdef MCPC_SANITIZED
    extern size_t __sanitizer_get_current_allocated_bytes(void);
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

/* Not by ask(): it reads the whole answer again and again. */
static void ask_many(struct console *c)
{
    for (int i = 0; i < QUESTIONS; i++) {
        json_t *accepted = call(c, WIRE_chat_ask, "{\"text\":\"is the disk full?\"}");
        char *get = xasprintf("{\"trace_id\":\"%s\"}", json_str(accepted, "trace_id", ""));
        uint64_t until = clock_mono_ms() + WAIT_MS;
        bool done = false;
        while (!done && clock_mono_ms() < until) {
            usleep(50000);
            json_t *trace = call(c, WIRE_traces_get, get);
            done = strcmp(json_str(trace, "state", ""), "done") == 0;
            json_decref(trace);
        }
        assert_true(done);
        json_decref(accepted);
        free(get);
    }
}

static void what_nobody_reads_is_not_kept(void **state)
{
    (void)state;
    struct mock_peer peer;
    assert_true(mock_start(&peer, "--no-log"));
    char *dir = new_dir(), *path = xasprintf("%s/c.conf", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(
        f,
        "[safety]\nfilter = no\n[copilot]\nmodels = m\n[model \"m\"]\nkind = openai\nurl = %s/v1\n"
        "model = tokens=%d,token_bytes=1000\nregion = RU\ncontext = 1000000\n"
        "token_budget = 1000000\n",
        peer.url, TOKENS);
    fclose(f);
    assert_int_equal(chmod(path, 0600), 0);
    struct console c = console_start(dir, path, "operator");
    ask_many(&c);
    size_t first = allocated();
    ask_many(&c);
    ask_many(&c);
    size_t then = allocated();
    print_message("# %d KiB streamed, %lld KiB more memory\n", 2 * QUESTIONS * TOKENS,
                  ((long long)then - (long long)first) / 1024);
    assert_true(then < first + (5u << 20));
    console_stop(&c, false);
    free(path);
    assert_int_equal(mock_stop(&peer), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_reads_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
