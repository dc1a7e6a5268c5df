/* errors, buf, clock. */
#include "backend/base/buf.h"
#include "backend/base/clock.h"
#include "backend/base/errors.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void errors_have_rows(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_COUNT; i++) {
        assert_true(strlen(err_name((enum err)i)) > 1);
        assert_true(strlen(err_text((enum err)i)) > 1);
        assert_int_equal(err_from_name(err_name((enum err)i)), i);
    }
    assert_string_equal(err_name(ERR_NO_SPACE), "NO_SPACE");
    assert_int_equal(err_from_name("no such code"), ERR_INTERNAL);
    assert_int_equal(err_from_name(NULL), ERR_INTERNAL);
    assert_string_equal(err_name((enum err)9999), "INTERNAL");
    assert_int_equal(err_from_errno(ENOSPC), ERR_NO_SPACE);
    assert_int_equal(err_from_errno(EROFS), ERR_READ_ONLY);
    assert_int_equal(err_from_errno(EACCES), ERR_READ_ONLY);
    assert_int_equal(err_from_errno(0), ERR_OK);
    assert_int_equal(err_from_errno(EINVAL), ERR_IO);
}

static void a_detail_is_cut_between_characters(void **state)
{
    (void)state;
    struct error e;
    for (size_t lead = 250; lead < 256; lead++) {
        char text[300] = {0};
        memset(text, 'a', lead);
        memcpy(text + lead, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 8);
        assert_int_equal(err_set(&e, ERR_IO, "%s", text), ERR_IO);
        assert_int_equal(strlen(e.detail), lead <= 251 ? lead + 4 : lead);
    }
    assert_int_equal(err_set(NULL, ERR_BUSY, "x"), ERR_BUSY);
    err_set(&e, ERR_IO, "inner");
    err_set(&e, ERR_CONFIG, "outer: %s", e.detail);
    assert_string_equal(e.detail, "outer: inner");
}

static void a_buffer_grows_and_drops(void **state)
{
    (void)state;
    struct buf b = {0};
    char *empty = buf_take(&b);
    assert_string_equal(empty, "");
    free(empty);
    for (int i = 0; i < 1000; i++)
        buf_addf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_int_equal(strlen(b.data), b.len);
    buf_drop(&b, b.len - 4);
    assert_string_equal(b.data, "999,");
    buf_drop(&b, 0);
    buf_addf(&b, "%0300d", 7);
    assert_int_equal(b.len, 304);
    assert_int_equal(b.data[303], '7');
    buf_clear(&b);
    assert_string_equal(b.data, "");
    buf_add(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_adds(&b, "");
    char *s = buf_take(&b);
    assert_null(b.data);
    free(s);
}

static void times_are_written_and_read(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795230764071, "2026-11-21T03:12:44.071Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {-62167219200000, "0000-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[CLOCK_TEXT];
        int64_t back = 1;
        clock_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(clock_parse(text, &back), 0);
        assert_true(back == rows[i].ms);
    }
    char text[CLOCK_TEXT];
    clock_format(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    static const char *const bad[] = {
        "",
        "2026-11-21",
        "2026-02-30T00:00:00.000Z",
        "2026-11-21T03:12:44.071",
        "2026-11-21T03:12:44.071Z ",
        "2026-11-21 03:12:44.071Z",
        "2026-13-21T03:12:44.071Z",
        "2026-11-21T24:12:44.071Z",
        "2026-11-21T03:12:60.071Z",
        "+026-11-21T03:12:44.071Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 5;
        assert_int_equal(clock_parse(bad[i], &ms), -1);
        assert_true(ms == 5);
    }
}

/* Against the C library's calendar, days over all years, and every day of two centuries. */
static void the_calendar_is_the_usual_one(void **state)
{
    (void)state;
    enum { FIRST = -719528, LAST = 2932896, NEAR = -36524, FAR = 36525 };
    for (int64_t day = FIRST; day <= LAST; day += day > NEAR && day < FAR ? 1 : 61) {
        time_t s = (time_t)(day * 86400 + (day - FIRST) % 86400);
        struct tm t = {0};
        char want[CLOCK_TEXT], text[CLOCK_TEXT];
        int64_t back = 0;
        assert_non_null(gmtime_r(&s, &t));
        strftime(want + 4, sizeof want - 4, "-%m-%dT%H:%M:%S.007Z", &t);
        for (int i = 3, year = t.tm_year + 1900; i >= 0; i--, year /= 10)
            want[i] = (char)('0' + year % 10);
        clock_format((int64_t)s * 1000 + 7, text);
        assert_string_equal(text, want);
        assert_int_equal(clock_parse(text, &back), 0);
        assert_true(back == (int64_t)s * 1000 + 7);
    }
}

static void the_day_is_local(void **state)
{
    (void)state;
    char day[16];
    setenv("TZ", "UTC-3", 1); /* POSIX sign: three hours east of Greenwich */
    tzset();
    clock_local_day(1795294800000 - 1, day); /* 2026-11-21T20:59:59.999Z */
    assert_string_equal(day, "2026-11-21");
    clock_local_day(1795294800000, day);
    assert_string_equal(day, "2026-11-22");
    clock_local_day(INT64_MAX, day);
    assert_int_equal(strlen(day), 10);
    clock_local_day(INT64_MIN, day);
    assert_int_equal(strlen(day), 10);
    unsetenv("TZ");
    tzset();
    uint64_t a = clock_mono_ns(), b = clock_mono_ns();
    assert_true(b >= a);
    assert_true(clock_real_ms() > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_rows),
        cmocka_unit_test(a_detail_is_cut_between_characters),
        cmocka_unit_test(a_buffer_grows_and_drops),
        cmocka_unit_test(times_are_written_and_read),
        cmocka_unit_test(the_calendar_is_the_usual_one),
        cmocka_unit_test(the_day_is_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
