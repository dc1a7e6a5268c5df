/* json.h: getters, bounds, canonical form. */
#include "backend/base/json.h"
#include <dirent.h>
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *parse(const char *text)
{
    struct error e = {0};
    json_t *v = json_read(text, strlen(text), 1 << 20, 64, &e);
    if (!v)
        fail_msg("%s: %s", text, e.detail);
    return v;
}

static void getters_never_trust(void **state)
{
    (void)state;
    json_t *o = parse("{\"s\":\"x\",\"i\":-7,\"r\":1.5,\"t\":true,\"n\":null}");
    assert_string_equal(json_str(o, "s", "-"), "x");
    assert_string_equal(json_str(o, "i", "-"), "-");
    assert_null(json_str(o, "none", NULL));
    assert_string_equal(json_str(NULL, "s", "-"), "-");
    assert_int_equal(json_int(o, "i", 1), -7);
    assert_int_equal(json_int(o, "r", 1), 1);
    assert_int_equal(json_int(o, "s", 1), 1);
    assert_true(json_num(o, "r", 0) == 1.5);
    assert_true(json_num(o, "i", 0) == -7.0);
    assert_true(json_num(o, "t", 2) == 2.0);
    assert_true(json_flag(o, "t", false));
    assert_true(json_flag(o, "s", true));
    assert_false(json_flag(o, "n", false));
    json_decref(o);
}

static void assert_members(const char *text, const char *const *names, size_t count, bool others,
                           const char *expected)
{
    const struct json_members wanted = {names, count, others};
    json_t *some = json_read_members(text, strlen(text), 1 << 20, 64, &wanted, NULL),
           *is = parse(expected);
    assert_non_null(some);
    if (!json_equal(some, is))
        fail_msg("%s: %s", text, json_write(some));
    json_decref(some);
    json_decref(is);
}

/* As the whole would be without the rest, whatever stands in strings; what is no such text is read
 * as a whole, and what is wrong is an error all the same. */
static void some_members_are_read_without_the_rest(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":\"}\\\"{[\\\\\",\"ab\":[{\"x\":\"]\"},[],{}],\"b\":-1.5e3,\"c\":{\"d\":{\"e\":1},"
        "\"f\":[2,\"\\\\\"],\"g\":null},\"h\":true}";
    static const char *const one[] = {"a"}, *const inner[] = {"c.f", "b"},
                             *const both[] = {"c.d", "c"}, *const none[] = {"z"},
                             *const deep[] = {"a.x", "c.d.e", "h"};
    assert_members(text, one, 1, false, "{\"a\":\"}\\\"{[\\\\\"}");
    assert_members(text, inner, 2, false, "{\"b\":-1500.0,\"c\":{\"f\":[2,\"\\\\\"]}}");
    assert_members(text, both, 2, false, "{\"c\":{\"d\":{\"e\":1},\"f\":[2,\"\\\\\"],\"g\":null}}");
    assert_members(text, none, 1, false, "{}");
    assert_members(text, none, 1, true, text);
    assert_members(text, deep, 3, true,
                   "{\"a\":\"}\\\"{[\\\\\",\"ab\":[{\"x\":\"]\"},[],{}],\"b\":-1500.0,"
                   "\"c\":{\"d\":{},\"f\":[2,\"\\\\\"],\"g\":null}}");
    static const char *const of_list[] = {"ab.x"};
    assert_members(text, of_list, 1, false, "{\"ab\":[{\"x\":\"]\"},[],{}]}");
    assert_members("{\"ab\":[{\"x\":1,\"y\":[{}]},2,{\"y\":\"]\"}],\"b\":1}", of_list, 1, true,
                   "{\"ab\":[{\"y\":[{}]},2,{\"y\":\"]\"}],\"b\":1}");
    assert_members("{}", one, 1, true, "{}");
    assert_members("{ \"a\" : 1 }", one, 1, false, "{\"a\":1}");
    assert_members("[1]", one, 1, false, "[1]");
    static const char *const wrong[] = {
        "{\"a\":1", "{\"a\":\"", "{\"b\":[1},\"a\"]:1}", "{\"a\":x}", "{\"a\"}", "{\"a\":1}x", "{"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const struct json_members wanted = {one, 1, false};
        struct error e = {0};
        assert_null(json_read_members(wrong[i], strlen(wrong[i]), 1 << 20, 64, &wanted, &e));
        assert_int_equal(e.code, ERR_INVALID);
    }
}

static void foreign_text_is_bounded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err code;
    } rows[] = {
        {"[[[[1]]]]", ERR_OK},
        {"[[[[[1]]]]]", ERR_TOO_BIG},
        {"{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}", ERR_TOO_BIG},
        {"\"[[[[[[[[\"", ERR_OK},
        {"\"\\\"[[[[[[[[\"", ERR_OK},
        {"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]", ERR_TOO_BIG},
        {"{\"a\":1,\"a\":2}", ERR_INVALID},
        {"1 2", ERR_INVALID},
        {"{} x", ERR_INVALID},
        {"", ERR_INVALID},
        {"\"\xff\"", ERR_INVALID},
        {"\"\\ud800\"", ERR_INVALID},
        {"\"\\u0000\"", ERR_INVALID},
        {"1e999", ERR_INVALID},
        {"99999999999999999999", ERR_INVALID},
        {"\"unfinished", ERR_INVALID},
        {"\"\\", ERR_INVALID},
        {" true ", ERR_OK},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error e = {0};
        json_t *v = json_read(rows[i].text, strlen(rows[i].text), 32, 4, &e);
        if (e.code != rows[i].code || (v == NULL) != (e.code != ERR_OK))
            fail_msg("%s: %s %s", rows[i].text, err_name(e.code), e.detail);
        json_decref(v);
    }
}

static void bad_bytes_become_replacement(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"ok \xd0\xb6", 5, "ok \xd0\xb6"},
        {"a\xff"
         "b",
         3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\0b", 3,
         "a\xef\xbf\xbd"
         "b"},
        {"\xf0\x9f\x98", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {NULL, 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *v = json_text(rows[i].in, rows[i].len);
        assert_string_equal(json_string_value(v), rows[i].out);
        json_decref(v);
    }
    json_t *o = json_object();
    json_puts(o, "b", "\xfe");
    json_puti(o, "a", -5);
    json_put(o, "c", json_null());
    char *text = json_write(o);
    assert_string_equal(text, "{\"b\":\"\xef\xbf\xbd\",\"a\":-5,\"c\":null}");
    free(text);
    json_decref(o);
}

static void assert_jcs(const json_t *v, const char *want)
{
    struct buf b = {0};
    assert_int_equal(jcs_write(v, &b), ERR_OK);
    assert_string_equal(b.data, want);
    buf_release(&b);
}

/* RFC 8785, appendix B, and edges of each branch of Number::toString. */
static void numbers_are_written_as_ecmascript(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        const char *want;
    } rows[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
        {0x3fb999999999999a, "0.1"},
        {0x3ff0000000000000, "1"},
        {0x4059000000000000, "100"},
        {0x0060000000000000, "7.120236347223045e-307"}, /* the nearest 16 digits end in ..44 */
        {0x0660000000000000, "5.641232424577593e-278"},
        {0x000fffffffffffff, "2.225073858507201e-308"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double x;
        memcpy(&x, &rows[i].bits, sizeof x);
        json_t *v = json_real(x);
        assert_jcs(v, rows[i].want);
        json_decref(v);
    }
}

static void canonical_form(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {" { \"b\" : [ 1 , 2.50 , true , null ] , \"a\" : \"\" } ",
         "{\"a\":\"\",\"b\":[1,2.5,true,null]}"},
        {"[]", "[]"},
        {"{}", "{}"},
        {"\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\"",
         "\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""},
        {"\"\\b\\t\\n\\u000b\\f\\r\\u007f\"", "\"\\b\\t\\n\\u000b\\f\\r\x7f\""},
        /* U+1F602 is D83D DE02 in UTF-16 and so stands before U+FB33, although it is larger. */
        {"{\"\\ufb33\":1,\"\\ud83d\\ude02\":2,\"\\u20ac\":3,\"aa\":4,\"a\":5,\"\":6}",
         "{\"\":6,\"a\":5,\"aa\":4,\"\xe2\x82\xac\":3,\"\xf0\x9f\x98\x82\":2,\"\xef\xac\xb3\":1}"},
        {"9007199254740992", "9007199254740992"},
        {"-9007199254740992", "-9007199254740992"},
        {"1e2", "100"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *v = parse(rows[i].in);
        assert_jcs(v, rows[i].out);
        json_decref(v);
    }
}

static void what_has_no_form_is_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_adds(&b, "kept");
    static const char *const bad[] = {"9007199254740993", "[1,{\"a\":-9007199254740993}]",
                                      "9223372036854775807"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *v = parse(bad[i]);
        assert_int_equal(jcs_write(v, &b), ERR_INVALID);
        assert_string_equal(b.data, "kept");
        json_decref(v);
    }
    assert_int_equal(jcs_write(NULL, &b), ERR_INVALID);
    json_t *deep = json_array();
    for (int i = 0; i < 1000; i++) {
        json_t *outer = json_array();
        json_array_append_new(outer, deep);
        deep = outer;
    }
    assert_int_equal(jcs_write(deep, &b), ERR_INVALID);
    assert_string_equal(b.data, "kept");
    json_decref(deep);
    buf_release(&b);
}

static char *read_all(const char *dir, const char *name, size_t *len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *data = xcalloc(1, 1 << 20);
    *len = fread(data, 1, (1 << 20) - 1, f);
    fclose(f);
    return data;
}

static void published_vectors(void **state)
{
    (void)state;
    const char *data = getenv("MCPC_DATA");
    if (!data)
        skip();
    char in_dir[512], out_dir[512];
    snprintf(in_dir, sizeof in_dir, "%s/vectors/jcs/testdata/input", data);
    snprintf(out_dir, sizeof out_dir, "%s/vectors/jcs/testdata/output", data);
    DIR *d = opendir(in_dir);
    if (!d)
        skip();
    int seen = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        size_t in_len = 0, out_len = 0;
        if (entry->d_name[0] == '.')
            continue;
        char *in = read_all(in_dir, entry->d_name, &in_len);
        char *want = read_all(out_dir, entry->d_name, &out_len);
        assert_non_null(in);
        assert_non_null(want);
        struct buf b = {0};
        json_t *v = parse(in);
        assert_int_equal(jcs_write(v, &b), ERR_OK);
        assert_int_equal(b.len, out_len);
        assert_memory_equal(b.data, want, out_len);
        json_decref(v);
        buf_release(&b);
        free(in);
        free(want);
        seen++;
    }
    closedir(d);
    assert_true(seen > 0);
}

static uint64_t some(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static json_t *any_tree(uint64_t *x, int depth)
{
    static const char *const pieces[] = {
        "a", "\"", "\\", "/", "\b\f\n\r\t", "\x01\x1f\x7f", "диск", "\U0001F600", ""};
    switch (some(x) % (depth > 5 ? 6 : 8)) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(some(x) % 2);
    case 2:
        return json_integer((json_int_t)some(x));
    case 3:
        return json_real((double)(int64_t)some(x) / 3e9);
    case 4:
    case 5: {
        struct buf b = {0};
        for (uint64_t n = some(x) % 5; n; n--)
            buf_adds(&b, pieces[some(x) % (sizeof pieces / sizeof *pieces)]);
        json_t *text =
            some(x) % 9 ? json_stringn(b.data ? b.data : "", b.len) : json_stringn("a\0b", 3);
        buf_release(&b);
        return text;
    }
    case 6: {
        json_t *array = json_array();
        for (uint64_t n = some(x) % 4; n; n--)
            json_array_append_new(array, any_tree(x, depth + 1));
        return array;
    }
    default: {
        json_t *object = json_object();
        for (uint64_t n = some(x) % 4; n; n--)
            json_object_set_new(object, pieces[some(x) % (sizeof pieces / sizeof *pieces)],
                                any_tree(x, depth + 1));
        return object;
    }
    }
}

static void it_is_written_as_jansson_writes_it(void **state)
{
    (void)state;
    uint64_t x = 20261127;
    for (int i = 0; i < 20000; i++) {
        json_t *tree = any_tree(&x, 0);
        char *ours = json_write(tree), *theirs = json_dumps(tree, JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(ours, theirs);
        free(ours);
        free(theirs);
        json_decref(tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(getters_never_trust),
        cmocka_unit_test(some_members_are_read_without_the_rest),
        cmocka_unit_test(foreign_text_is_bounded),
        cmocka_unit_test(bad_bytes_become_replacement),
        cmocka_unit_test(numbers_are_written_as_ecmascript),
        cmocka_unit_test(canonical_form),
        cmocka_unit_test(what_has_no_form_is_refused),
        cmocka_unit_test(published_vectors),
        cmocka_unit_test(it_is_written_as_jansson_writes_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
