/* tui/chart.c: eighths, Braille, blocks and ASCII; failures and unknown values. */
#include "tests/unit/tui_screen.h"
#include <math.h>

static struct tui_area screen;

static struct tui_area blank(int height, int width)
{
    werase(stdscr);
    return tui_sub(screen, 0, 0, height, width);
}

static void sparklines(void **state)
{
    (void)state;
    const double v[] = {0, 1, 2, 4, 8, -1, NAN, 8};
    tui_sparkline(blank(1, 20), 0, 0, 10, ROLE_CHART, v, 8);
    assert_row(0, "  ▁▂▃▅█✖ █");
    tui_sparkline(blank(1, 20), 0, 0, 3, ROLE_CHART, v, 8); /* the newest ones */
    assert_row(0, "✖ █");
    tui__ascii_set(true);
    tui_sparkline(blank(1, 20), 0, 0, 8, ROLE_CHART, v, 8);
    assert_row(0, "_.:=#x #");
    tui__ascii_set(false);
    tui_sparkline(blank(1, 20), 0, 0, 4, ROLE_CHART, v, 0);
    assert_row(0, "");
}

static void bars(void **state)
{
    (void)state;
    tui_bar(blank(1, 20), 0, 1, 4, ROLE_CHART, 0.5);
    assert_row(0, " ██");
    tui_bar(blank(1, 20), 0, 0, 4, ROLE_CHART, 0.59375);
    assert_row(0, "██▍");
    tui_bar(blank(1, 20), 0, 0, 4, ROLE_CHART, 0.0001); /* a little is not nothing */
    assert_row(0, "▏");
    tui_bar(blank(1, 20), 0, 0, 4, ROLE_CHART, 0);
    assert_row(0, "");
    tui_bar(blank(1, 3), 0, 0, 9, ROLE_CHART, 7); /* neither over one nor out of the area */
    assert_row(0, "███");
    tui_bar(blank(1, 20), 0, 0, 4, ROLE_CHART, NAN);
    assert_row(0, "");
}

static void spans(void **state)
{
    (void)state;
    tui_span(blank(1, 20), 0, 0, 10, ROLE_CHART, 0.2, 0.5);
    assert_row(0, "  ▆▆▆");
    tui_span(blank(1, 20), 0, 0, 10, ROLE_CHART, 1, 1); /* at least one cell, inside */
    assert_row(0, "         ▆");
    tui_span(blank(1, 20), 0, 0, 10, ROLE_CHART, -3, 9);
    assert_row(0, "▆▆▆▆▆▆▆▆▆▆");
}

static void charts(void **state)
{
    (void)state;
    const double v[] = {1, 2, 3, 4};
    setenv("TERM", "xterm", 1);
    tui_chart(blank(1, 2), ROLE_CHART, v, 4, 4);
    assert_row(0, "⣠⣾");
    setenv("TERM", "linux", 1); /* no Braille there */
    tui_chart(blank(2, 4), ROLE_CHART, v, 4, 4);
    assert_row(0, "  ▄█");
    assert_row(1, "▄███");
    tui__ascii_set(true);
    tui_chart(blank(2, 4), ROLE_CHART, v, 4, 4);
    assert_row(0, "  ##");
    assert_row(1, "####");
    tui__ascii_set(false);
    const double bad[] = {1, -1, NAN, 1};
    tui_chart(blank(1, 4), ROLE_CHART, bad, 4, 0);
    assert_row(0, "█✖ █");
    tui_chart(blank(1, 8), ROLE_CHART, v, 4, 4); /* steps: nothing between what was measured */
    assert_row(0, "▂▂▄▄▆▆██");
}

/* A scrolled chart shows the rows that the whole one has there. */
static void chart_parts(void **state)
{
    (void)state;
    const double v[] = {1, 2, 3, 4};
    tui__ascii_set(true);
    tui_chart(blank(4, 4), ROLE_CHART, v, 4, 4);
    assert_row(1, "  ##");
    assert_row(2, " ###");
    tui_chart_part(blank(2, 4), ROLE_CHART, v, 4, 4, 4, 1);
    assert_row(0, "  ##");
    assert_row(1, " ###");
    tui_chart_part(blank(4, 4), ROLE_CHART, v, 4, 4, 4, 3);
    assert_row(0, "####");
    assert_row(1, "");
    tui_chart_part(blank(4, 4), ROLE_CHART, v, 4, 4, 4, 4);
    assert_row(0, "");
    tui__ascii_set(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparklines), cmocka_unit_test(chart_parts), cmocka_unit_test(bars),
        cmocka_unit_test(spans),      cmocka_unit_test(charts),
    };
    screen = test_screen_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
