/* tui/markdown.c: what each construct becomes, and that streaming equals the whole (K1..K4). */
#include "tests/unit/tui_screen.h"

#include "backend/base/clock.h"

static struct tui_area screen;

static char *rendered(const char *markdown)
{
    struct tui_text *t = tui_text_new();
    tui_text_add_markdown(t, 0, false, markdown);
    char *text = tui_text_plain(t);
    tui_text_free(t);
    return text;
}

static void expect(const char *markdown, const char *want)
{
    char *text = rendered(markdown);
    assert_string_equal(text, want);
    free(text);
}

static void blocks(void **state)
{
    (void)state;
    expect("# Title\n\nA *b* **c** `d`.\nNext.", "Title\n\nA b c d. Next.");
    expect("a\n\n---\n\nb", "a\n\n---\n\nb");
    expect("> q\n>\n> r", "> q\n> \n> r");
    expect("a\n\n> q", "a\n\n> q");
    expect("```sh\nls  -l\n\n  x\n```\nafter", "  ls  -l\n  \n    x\nafter");
    expect("~~old~~", "~~old~~");
    expect("", "");
}

static void lists(void **state)
{
    (void)state;
    expect("- a\n- b\n  - c\n- d", "• a\n• b\n  • c\n• d");
    expect("1. a\n1. b\n\n   more\n7. c", "1. a\n2. b\n   \n   more\n3. c");
    expect("text\n- a\n\nend", "text\n• a\n\nend");
    expect("- a\n\n      code\n- b", "• a\n  \n    code\n• b");
}

static void nothing_is_hidden(void **state)
{
    (void)state;
    expect("[safe](http://evil.example/x)", "safe (http://evil.example/x)");
    expect("<http://a.example>", "http://a.example");
    expect("[a](http://b.example \"t\")", "a (http://b.example \"t\")");
    expect("![alt](http://c.example/i.png)", "alt (http://c.example/i.png)");
    expect("a <!-- hidden --> b", "a <!-- hidden --> b");
    expect("[id]: http://d.example\n", "[id]: http://d.example");
    expect("> [id]: http://d.example\n", "> [id]: http://d.example");
    expect("&#27;[31m&#x202e;", "^[[31m<U+202E>");
}

static void tables(void **state)
{
    (void)state;
    expect("| a | b |\n|---|--:|\n| 1 | 22 |\n", "a | b\n---\n1 | 22");
    struct tui_text *t = tui_text_new();
    tui_text_add_markdown(t, 0, true, "| name | n |\n|---|--:|\n| long name | 1 |\n");
    werase(stdscr);
    tui_text_draw(t, screen, 0);
    assert_row(0, "│ name       n");
    assert_row(1, "│ ─────────  ─");
    assert_row(2, "│ long name  1");
    tui_text_free(t);
}

static const char sample[] =
    "# Head\n\nPara *one* with a [link](http://x.example).\nSecond line\n\n- item\n  - inner\n\n"
    "- loose\n\n1. one\n2. two\n\n```c\nint x;\n\nint y;\n```\n\n| a | b |\n|---|---|\n| 1 | 2 "
    "|\n\n"
    "> quote\n\nПривет, 日本 \xf0\x9f\x98\x80 \xff\xc3 end\n\n~~~\nopen fence\n";

/* After each fed byte the lines are drawn, as the console does. */
static char *streamed(const char *s, size_t len, size_t chunk, int width)
{
    struct tui_text *t = tui_text_new();
    struct tui_markdown_stream *m = tui_markdown_begin(t, 0, true);
    for (size_t at = 0; at < len; at += chunk) {
        tui_markdown_feed(m, s + at, at + chunk < len ? chunk : len - at);
        tui_text_lines(t, width);
    }
    tui_markdown_end(m);
    char *text = tui_text_plain(t);
    tui_text_free(t);
    return text;
}

static void streaming_equals_the_whole(void **state)
{
    (void)state;
    char *whole = rendered(sample);
    for (size_t chunk = 1; chunk < 40; chunk++) {
        char *text = streamed(sample, strlen(sample), chunk, 33);
        assert_string_equal(text, whole);
        free(text);
    }
    free(whole);
}

static void the_open_block_is_seen(void **state)
{
    (void)state;
    struct tui_text *t = tui_text_new();
    struct tui_markdown_stream *m = tui_markdown_begin(t, 0, false);
    tui_markdown_feed(m, "done\n\nsome **bo", 15);
    char *text = tui_text_plain(t);
    assert_string_equal(text, "done\n\nsome **bo");
    free(text);
    tui_markdown_feed(m, "ld**", 4);
    text = tui_text_plain(t);
    assert_string_equal(text, "done\n\nsome bold");
    free(text);
    tui_text_clear(t); /* the stream outlives its text's content */
    tui_markdown_feed(m, "x", 1);
    tui_markdown_end(m);
    tui_text_free(t);
}

static void long_streams_are_linear(void **state)
{
    (void)state;
    static const char *const parts[] = {"word and word ", "a line of code\n", "- item\n",
                                        "para\n\n"};
    static const char *const heads[] = {"", "```\n", "", ""};
    for (size_t k = 0; k < 4; k++) {
        struct tui_text *t = tui_text_new();
        struct tui_markdown_stream *m = tui_markdown_begin(t, 0, false);
        uint64_t before = clock_mono_ms();
        tui_markdown_feed(m, heads[k], strlen(heads[k]));
        for (int i = 0; i < 60000; i++) {
            tui_markdown_feed(m, parts[k], strlen(parts[k]));
            if (i % 100 == 0)
                tui_text_lines(t, 80);
        }
        tui_markdown_end(m);
        assert_true(tui_text_lines(t, 80) > 1000);
        assert_true(clock_mono_ms() - before < 10000);
        tui_text_free(t);
    }
}

static void deep_nesting_ends(void **state)
{
    (void)state;
    char deep[4001];
    memset(deep, '>', 4000);
    deep[4000] = 0;
    char *text = rendered(deep);
    assert_true(strlen(text) > 0);
    free(text);
    memset(deep, '[', 4000);
    text = rendered(deep);
    assert_true(strlen(text) >= 4000);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks),
        cmocka_unit_test(lists),
        cmocka_unit_test(nothing_is_hidden),
        cmocka_unit_test(tables),
        cmocka_unit_test(streaming_equals_the_whole),
        cmocka_unit_test(the_open_block_is_seen),
        cmocka_unit_test(long_streams_are_linear),
        cmocka_unit_test(deep_nesting_ends),
    };
    screen = test_screen_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
