/* A client that asks and never reads what happens: the backend's memory stays within the ring of
 * events (4096 of them, 8 MiB), however much is streamed meanwhile. Against the mock of models. */
#include "tests/unit/console_harness.h"
#include "tests/unit/mock_harness.h"
#include <malloc.h>

enum { QUESTIONS = 10, TOKENS = 480 };

static size_t allocated(void)
{
#ifdef MCPC_SANITIZED
    extern size_t __sanitizer_get_current_allocated_bytes(void);
    return __sanitizer_get_current_allocated_bytes();
#else
    return mallinfo2().uordblks;
#endif
}

static void ask_many(struct console *c)
{
    for (int i = 0; i < QUESTIONS; i++) {
        json_t *trace = ask(c, "is the disk full?");
        assert_string_equal(json_str(trace, "state", ""), "done");
        json_decref(trace);
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
    fprintf(f,
            "[copilot]\nmodels = m\n[model \"m\"]\nkind = openai\nurl = %s/v1\n"
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
