/* Searching the log: F1..F3 of search.h, Q1 and Q2 of search.c. */
#include "backend/base/clock.h"
#include "backend/base/text.h"
#include "backend/provenance/internal.h"
#include "backend/provenance/search.h"
#include <ftw.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { ENTRIES = 600 };
static const char trace[] = "0123456789abcdef0123456789abcdef";

struct world {
    char *dir;
    struct loop *loop;
    struct store *store;
    struct vault *vault;
    struct prov *prov;
    json_t *result;
    struct error error;
    int waiting, answered;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void acked(void *arg, int64_t seq, const struct error *e)
{
    struct world *w = arg;
    (void)seq;
    assert_int_equal(e->code, ERR_OK);
    if (--w->waiting == 0)
        loop_quit(w->loop);
}

static const char *actor_of(int i)
{
    static const char *const actors[] = {"operator", "model:one", "model:two",
                                         "tool:host/\"диск\""};
    return actors[i % 4];
}

/* Every 100th payload has a word that the others have not, deep inside. */
static void fill(struct world *w)
{
    w->waiting = ENTRIES;
    for (int i = 0; i < ENTRIES; i++) {
        json_t *payload = json_pack("{s:i,s:[{s:s}]}", "n", i, "passages", "text",
                                    i % 100 == 99 ? "Репликация стоит: \"Слот\"\nзанят" : "ничего");
        struct prov_entry entry = {.type = i % 3 ? "answer" : "question",
                                   .actor = actor_of(i),
                                   .trace_id = i % 50 == 7 ? trace : NULL,
                                   .payload = payload};
        prov_append(w->prov, &entry, acked, w, NULL, NULL);
        json_decref(payload);
    }
    loop_run(w->loop);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct error e = {0};
    w->dir = xasprintf("%s/mcpc-search-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(w->dir));
    w->loop = loop_new();
    w->store = store_open(w->loop, w->dir, false, &e);
    w->vault = vault_open(w->dir, true, &e);
    w->prov = prov_open(w->loop, w->store, w->vault, &e);
    assert_non_null(w->prov);
    fill(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->prov) {
        prov_close(w->prov);
        store_close(w->store);
        store_free(w->store);
        prov_free(w->prov);
    }
    loop_free(w->loop);
    vault_close(w->vault);
    json_decref(w->result);
    nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(w->dir);
    free(w);
    return 0;
}

static void found(void *arg, json_t *result, const struct error *e)
{
    struct world *w = arg;
    json_decref(w->result);
    w->result = json_incref(result);
    w->error = *e;
    w->answered++;
    loop_quit(w->loop);
}

static const json_t *search(struct world *w, const struct prov_search *s)
{
    prov_search(w->prov, s, found, w);
    loop_run(w->loop);
    assert_int_equal(w->error.code, ERR_OK);
    return json_object_get(w->result, "entries");
}

static const struct prov_search any = {
    .before = -1, .after = -1, .since = -1, .until = -1, .payloads = true, .limit = 1000};

/* Goes on by `next` until the end; how many there were. Each row must be behind the last. */
static size_t count_all(struct world *w, struct prov_search s)
{
    size_t n = 0, i;
    int64_t last = s.oldest_first ? -1 : INT64_MAX;
    for (;;) {
        json_t *row;
        const json_t *rows = search(w, &s); /* once: the macro evaluates its array in each round */
        json_array_foreach(rows, i, row)
        {
            int64_t seq = json_int(row, "seq", -1);
            assert_true(s.oldest_first ? seq > last : seq < last);
            last = seq;
            n++;
        }
        if (json_flag(w->result, "done", false))
            break;
        int64_t next = json_int(w->result, "next", -1);
        assert_true(next >= 0);
        *(s.oldest_first ? &s.after : &s.before) = next;
    }
    assert_true(json_is_null(json_object_get(w->result, "next")));
    return n;
}

static void everything_both_ways(void **state)
{
    struct world *w = *state;
    struct prov_search s = any;
    s.limit = 7;
    assert_int_equal(count_all(w, s), ENTRIES + 1);
    s.oldest_first = true;
    assert_int_equal(count_all(w, s), ENTRIES + 1);
    s.after = 10;
    const json_t *rows = search(w, &s);
    assert_int_equal(json_int(json_array_get(rows, 0), "seq", -1), 11);
    assert_int_equal(json_int(w->result, "from", -1), 11);
    assert_int_equal(json_int(w->result, "to", -1), 17);
    s = any;
    s.before = 5;
    assert_int_equal(json_array_size(search(w, &s)), 5);
    assert_int_equal(json_int(w->result, "from", -1), 0);
    assert_int_equal(json_int(w->result, "to", -1), 4);
    assert_int_equal(json_int(w->result, "scanned", -1), 5);
}

static void by_header(void **state) /* Q2: whatever index serves, all conditions hold */
{
    struct world *w = *state;
    struct prov_search s = any;
    s.types[0] = "question";
    s.type_count = 1;
    assert_int_equal(count_all(w, s), ENTRIES / 3);
    s.actor = "model:";
    size_t both = count_all(w, s), expected = 0;
    for (int i = 0; i < ENTRIES; i++)
        expected += i % 3 == 0 && (i % 4 == 1 || i % 4 == 2);
    assert_int_equal(both, expected);
    s.types[1] = "session.start";
    s.type_count = 2;
    s.actor = NULL;
    assert_int_equal(count_all(w, s), ENTRIES / 3 + 1);
    s = any;
    s.trace_id = trace;
    assert_int_equal(count_all(w, s), ENTRIES / 50);
    s.actor = "tool:host/\"д"; /* its form in the entry has escapes */
    assert_int_equal(count_all(w, s), ENTRIES / 100);
    s = any;
    s.session = prov_session(w->prov);
    assert_int_equal(count_all(w, s), ENTRIES + 1);
    s.session = trace;
    assert_int_equal(count_all(w, s), 0);
    int64_t seqs[] = {3, 9, ENTRIES + 50};
    s = any;
    s.seqs = seqs;
    s.seq_count = 3;
    s.only_seqs = true;
    assert_int_equal(count_all(w, s), 2);
    s.seq_count = 0;
    assert_int_equal(count_all(w, s), 0);
}

static void by_text(void **state)
{
    struct world *w = *state;
    struct prov_search s = any;
    s.text = "рЕПЛИКАЦИЯ";
    assert_int_equal(count_all(w, s), ENTRIES / 100);
    const json_t *row = json_array_get(search(w, &s), 0);
    assert_non_null(strstr(json_str(row, "match", ""), "Репликация"));
    s.text = "\"слот\"\nзанят"; /* as it is read, not as JSON writes it */
    assert_int_equal(count_all(w, s), ENTRIES / 100);
    s.text = "passages"; /* a member's name is no text */
    assert_int_equal(count_all(w, s), 0);
    s.text = "репликация";
    s.payloads = false; /* who may not read payloads learns nothing of them */
    assert_int_equal(count_all(w, s), 0);
    s.text = "MODEL:TWO";
    assert_int_equal(count_all(w, s), ENTRIES / 4);
}

static enum err set_times(struct store_db *db, void *arg, struct error *e)
{
    (void)arg;
    /* A minute an entry; the 300th was written while the clock was half an hour behind. */
    enum err code = store_exec(db, e, "UPDATE entries SET ts = seq * 60000 + 1000000000000", "");
    return code == ERR_OK
               ? store_exec(db, e, "UPDATE entries SET ts = ts - 1800000 WHERE seq = 300", "")
               : code;
}

static void written(void *arg, const struct error *e)
{
    struct world *w = arg;
    assert_int_equal(e->code, ERR_OK);
    loop_quit(w->loop);
}

static void by_time(void **state)
{
    struct world *w = *state;
    const int64_t zero = INT64_C(1000000000000);
    store_write(w->store, set_times, written, w);
    loop_run(w->loop);
    struct prov_search s = any;
    s.since = zero + 100 * 60000;
    s.until = zero + 200 * 60000;
    assert_int_equal(count_all(w, s), 100);
    assert_true(json_int(w->result, "scanned", 1000) <= 100 + 2 * 60 + 2); /* not the whole log */
    s.oldest_first = true;
    s.until = -1;
    s.limit = 1;
    assert_int_equal(json_int(json_array_get(search(w, &s), 0), "seq", -1), 100);
    s.limit = 1000;
    s.since = zero + 270 * 60000; /* what the clock says, also where it was set */
    s.until = s.since + 60000;
    const json_t *rows = search(w, &s);
    assert_int_equal(json_array_size(rows), 2);
    assert_int_equal(json_int(json_array_get(rows, 1), "seq", -1), 300);
    s.since = zero + 100000 * INT64_C(60000);
    s.until = -1;
    assert_int_equal(count_all(w, s), 0);
}

static void several_wait_in_order_and_stop_ends_them(void **state) /* F2, Q1 */
{
    struct world *w = *state;
    struct prov_search s = any;
    s.text = "занят";
    for (int i = 0; i < 3; i++)
        prov_search(w->prov, &s, found, w);
    assert_int_equal(w->answered, 0);
    while (w->answered < 3)
        loop_run(w->loop);
    assert_int_equal(w->error.code, ERR_OK);
    for (int i = 0; i < 3; i++)
        prov_search(w->prov, &s, found, w);
    prov_close(w->prov);
    store_close(w->store);
    store_free(w->store);
    prov_free(w->prov); /* every one of them is answered, once */
    assert_int_equal(w->answered, 6);
    assert_int_equal(w->error.code, ERR_CLOSED);
    assert_null(w->result);
    w->prov = NULL;
}

static void texts_are_folded(void **state)
{
    size_t at, end;
    (void)state;
    assert_true(text_find("Größe ДИСКА", strlen("Größe ДИСКА"), 0, "диска", &at, &end));
    assert_int_equal(at, strlen("Größe "));
    assert_int_equal(end, strlen("Größe ДИСКА"));
    assert_false(text_find("abc", 3, 0, "", &at, &end));
    assert_false(text_find("ab", 2, 0, "abc", &at, &end));
}

int main(void)
{
    setlocale(LC_ALL, "C.UTF-8");
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {TEST(everything_both_ways),
                                       TEST(by_header),
                                       TEST(by_text),
                                       TEST(by_time),
                                       TEST(several_wait_in_order_and_stop_ends_them),
                                       cmocka_unit_test(texts_are_folded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
