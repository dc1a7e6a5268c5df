/* The stretch of the log that the evidence pane holds: E1..E3 of evidence_rows.h, over random walks
 * against a log that answers late and grows meanwhile. */
#include "tests/unit/tui_screen.h"
#include "views/evidence_rows.h"

enum { HEIGHT = 20, STEPS = 4000, SLICE = 700 };

struct world {
    struct evidence_rows rows; /* the first member, as in the view */
    struct tui_list *list;
    int64_t size, every; /* entries; which of them the filter lets through */
    busc_reply *fn;      /* the request under way */
    enum wire_method method;
    json_t *params;
};
static struct world *the_world;

void tui_call(void *self, enum wire_method m, json_t *params, busc_reply *fn)
{
    assert_ptr_equal(self, the_world);
    assert_null(the_world->fn); /* E2 */
    the_world->fn = fn;
    the_world->method = m;
    the_world->params = params;
}
void tui_dirty(void)
{
}
void tui_dirty_in(unsigned ms)
{
    (void)ms;
}
void tui_copy(const char *text)
{
    (void)text;
}

static void reply(struct world *w)
{
    const json_t *p = w->params;
    bool search = w->method == WIRE_evidence_search;
    int64_t before = json_int(p, "before", w->size), after = json_int(p, "after", -1);
    bool up = json_object_get(p, "after") && !json_object_get(p, "before");
    if (!search && after < 0)
        up = false; /* as evidence.list has it */
    int64_t every = search ? w->every : 1, looked = 0, last = -1;
    json_t *rows = json_array(), *result = json_object();
    int64_t seq = up ? after + 1 : (before < w->size ? before : w->size) - 1;
    for (; seq >= 0 && seq < w->size && (!search || looked < SLICE); seq += up ? 1 : -1) {
        if ((int64_t)json_array_size(rows) == json_int(p, "limit", 0))
            break;
        looked++;
        last = seq;
        if (seq % every == 0)
            json_array_append_new(rows, json_pack("{s:I}", "seq", (json_int_t)seq));
    }
    bool done = seq < 0 || seq >= w->size;
    json_put(result, "entries", rows);
    if (search) {
        json_put(result, "done", json_boolean(done));
        json_put(result, "next", done ? json_null() : json_integer(last));
        json_puti(result, "scanned", looked);
        json_puti(result, "to", up && !done ? last : (before < w->size ? before : w->size) - 1);
    } else {
        json_put(result, "more", json_boolean(!done));
    }
    busc_reply *fn = w->fn;
    json_decref(w->params);
    w->fn = NULL;
    fn(w, result, NULL);
    json_decref(result);
}

static void reply_all(struct world *w)
{
    for (int i = 0; w->fn; i++) {
        assert_true(i < 10000);
        reply(w);
    }
}

/* ---- the list over it, as the view makes it */

static size_t count(void *arg)
{
    return ((struct world *)arg)->rows.count;
}
static const char *id(void *arg, size_t row)
{
    return ((struct world *)arg)->rows.row[row].id;
}
static void cell(void *arg, size_t row, int column, struct buf *out, enum tui_role *role)
{
    (void)column;
    *role = ROLE_TEXT;
    buf_adds(out, id(arg, row));
}
static void filtered(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}
static void beyond(void *arg, long rows)
{
    evidence_rows_beyond(&((struct world *)arg)->rows, rows);
}
static void end(void *arg, bool last)
{
    evidence_rows_end(&((struct world *)arg)->rows, last);
}
static double place(void *arg, size_t row)
{
    (void)arg;
    (void)row;
    return 0.5;
}
static const struct tui_list_ops ops = {.count = count,
                                        .cell = cell,
                                        .id = id,
                                        .filtered = filtered,
                                        .beyond = beyond,
                                        .end = end,
                                        .place = place};
static const struct tui_column columns[] = {{"entry", 10, true, 0}};

static struct world *world_new(int64_t size, int64_t every)
{
    struct world *w = xcalloc(1, sizeof *w);
    the_world = w;
    w->size = size;
    w->every = every;
    w->list = tui_list_new(columns, 1, &ops, w);
    w->rows.self = w;
    w->rows.list = w->list;
    w->rows.size = size;
    evidence_rows_reset(&w->rows, every > 1 ? json_pack("{s:s}", "actor", "x") : NULL, -1);
    return w;
}

static void world_free(struct world *w)
{
    if (w->fn)
        json_decref(w->params);
    evidence_rows_release(&w->rows);
    tui_list_free(w->list);
    free(w);
}

static int64_t at(const struct world *w)
{
    long row = tui_list_selected(w->list);
    return row < 0 ? -1 : w->rows.row[row].seq;
}

static void draw(struct world *w)
{
    struct tui_area a = {0, 0, HEIGHT, 40};
    evidence_rows_pump(&w->rows);
    tui_list_draw(w->list, a, true, false);
}

static void assert_neighbours(const struct world *w) /* E1, E3 */
{
    assert_true(w->rows.count <= EVIDENCE_KEPT);
    for (size_t i = 1; i < w->rows.count; i++)
        assert_int_equal(w->rows.row[i].seq, w->rows.row[i - 1].seq - w->every);
    for (size_t i = 0; i < w->rows.count; i++)
        assert_int_equal(w->rows.row[i].seq % w->every, 0);
    if (w->rows.count && w->rows.newest)
        assert_int_equal(w->rows.row[0].seq, (w->rows.size - 1) / w->every * w->every);
    if (w->rows.count && w->rows.oldest)
        assert_int_equal(w->rows.row[w->rows.count - 1].seq, 0);
}

/* What the selection must be after a move, in whole steps of the filter. */
static int64_t moved(const struct world *w, int64_t from, long rows)
{
    int64_t to = from - rows * w->every, top = (w->size - 1) / w->every * w->every;
    return to < 0 ? 0 : to > top ? top : to;
}

static void walk(struct world *w, unsigned seed)
{
    static const enum tui_action actions[] = {ACTION_UP, ACTION_DOWN, ACTION_PAGE_UP,
                                              ACTION_PAGE_DOWN};
    static const long rows[] = {-1, 1, 1 - HEIGHT, HEIGHT - 1};
    srandom(seed);
    draw(w);
    reply_all(w);
    for (int i = 0; i < STEPS; i++) {
        int64_t expected = at(w);
        int kind = (int)(random() % 40), burst = kind == 3 ? 60 : 1;
        if (kind == 0) {
            tui_list_action(w->list, ACTION_TOP);
            expected = (w->size - 1) / w->every * w->every;
        } else if (kind == 1) {
            tui_list_action(w->list, ACTION_BOTTOM);
            expected = 0;
        } else if (kind == 2) {
            expected = random() % w->size / w->every * w->every;
            evidence_rows_reset(&w->rows, w->rows.filter ? json_incref(w->rows.filter) : NULL,
                                expected);
        } else if (kind == 4) { /* the log grows; the selection stays */
            w->size += random() % 5;
            tui_list_move(w->list, 1);
            expected = moved(w, expected, 1);
            evidence_rows_grown(&w->rows, w->size);
        } else {
            int k = (int)(random() % 4);
            for (int n = 0; n < burst; n++) {
                tui_list_action(w->list, actions[k]);
                expected = moved(w, expected, rows[k]);
                if (n % 7 == 6 && w->fn) /* answers come in between */
                    reply(w);
            }
        }
        draw(w);
        reply_all(w);
        draw(w);
        reply_all(w);
        assert_neighbours(w);
        assert_int_equal(at(w), expected);
    }
}

static void every_entry(void **state)
{
    (void)state;
    struct world *w = world_new(5000, 1);
    walk(w, 1);
    world_free(w);
    w = world_new(7, 1); /* less than a screen */
    walk(w, 2);
    world_free(w);
}

static void few_among_many(void **state)
{
    (void)state;
    struct world *w = world_new(100000, 97);
    walk(w, 3);
    world_free(w);
}

static void nothing_is_found(void **state)
{
    (void)state;
    struct world *w = world_new(3000, 1000000);
    w->size = 0;
    draw(w);
    reply_all(w);
    assert_int_equal(w->rows.count, 0);
    assert_true(w->rows.oldest);
    assert_int_equal(at(w), -1);
    world_free(w);
}

static void an_answer_to_another_filter_is_dropped(void **state) /* E2 */
{
    (void)state;
    struct world *w = world_new(5000, 1);
    draw(w);
    assert_non_null(w->fn);
    w->every = 10;
    evidence_rows_reset(&w->rows, json_pack("{s:s}", "actor", "x"), -1);
    reply_all(w); /* first the old one, then what it makes way for */
    draw(w);
    assert_int_equal(at(w), 4990);
    assert_neighbours(w);
    struct error e = {.code = ERR_IO};
    evidence_rows_reset(&w->rows, NULL, -1);
    evidence_rows_pump(&w->rows);
    busc_reply *fn = w->fn;
    json_decref(w->params);
    w->fn = NULL;
    fn(w, NULL, &e);
    assert_non_null(w->rows.error); /* and nothing asks again by itself */
    evidence_rows_pump(&w->rows);
    assert_null(w->fn);
    world_free(w);
}

int main(void)
{
    test_screen_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry),
        cmocka_unit_test(few_among_many),
        cmocka_unit_test(nothing_is_found),
        cmocka_unit_test(an_answer_to_another_filter_is_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
