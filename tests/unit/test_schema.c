/* Arguments against schemas, also hostile ones: conn__schema_check of
 * backend/connectors/internal.h. */
#include "backend/connectors/internal.h"
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum err check(const char *schema, const char *value, struct error *e)
{
    json_t *s = json_loads(schema, JSON_DECODE_ANY, NULL),
           *v = json_loads(value, JSON_DECODE_ANY, NULL);
    memset(e, 0, sizeof *e);
    if (!s || !v)
        fail_msg("not JSON: %s or %s", schema, value);
    enum err code = conn__schema_check(s, v, e);
    json_decref(s);
    json_decref(v);
    assert_int_equal(code, e->code);
    return code;
}

static const struct {
    const char *schema, *value;
    bool fits;
} rows[] = {
    {"{}", "{\"a\":1}", true},
    {"true", "{}", true},
    {"false", "{}", false},
    {"{\"type\":\"object\"}", "{}", true},
    {"{\"type\":\"object\"}", "[]", false},
    {"{\"type\":\"string\"}", "1", false},
    {"{\"type\":\"integer\"}", "1", true},
    {"{\"type\":\"integer\"}", "1.0", true},
    {"{\"type\":\"integer\"}", "1.5", false},
    {"{\"type\":\"number\"}", "1.5", true},
    {"{\"type\":\"boolean\"}", "true", true},
    {"{\"type\":\"boolean\"}", "0", false},
    {"{\"type\":\"null\"}", "null", true},
    {"{\"type\":[\"string\",\"null\"]}", "null", true},
    {"{\"type\":[\"string\",\"null\"]}", "3", false},
    {"{\"type\":\"of-the-future\"}", "3", true},
    {"{\"enum\":[\"a\",1]}", "1.0", true},
    {"{\"enum\":[\"a\",1]}", "\"b\"", false},
    {"{\"enum\":[]}", "1", false},
    {"{\"const\":\"x\"}", "\"x\"", true},
    {"{\"const\":\"x\"}", "\"y\"", false},
    {"{\"minimum\":1,\"maximum\":5}", "1", true},
    {"{\"minimum\":1,\"maximum\":5}", "0", false},
    {"{\"minimum\":1,\"maximum\":5}", "5.1", false},
    {"{\"exclusiveMinimum\":1}", "1", false},
    {"{\"exclusiveMaximum\":5}", "5", false},
    {"{\"minimum\":1}", "\"text\"", true},
    {"{\"minLength\":2,\"maxLength\":3}", "\"\\u0416\\u0416\\u0416\"", true},
    {"{\"maxLength\":3}", "\"abcd\"", false},
    {"{\"minItems\":1}", "[]", false},
    {"{\"items\":{\"type\":\"integer\"}}", "[1,2]", true},
    {"{\"items\":{\"type\":\"integer\"}}", "[1,\"2\"]", false},
    {"{\"required\":[\"a\"]}", "{\"a\":null}", true},
    {"{\"required\":[\"a\"]}", "{\"b\":1}", false},
    {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":1}", false},
    {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}", true},
    {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"b\":1}", false},
    {"{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"b\":1}", true},
    {"{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"b\":\"c\"}", false},
    {"{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}", "{\"a\":{\"b\":1}}",
     false},
    /* schemas whose parts have wrong types are passed over, never a crash */
    {"{\"type\":7,\"required\":\"a\",\"properties\":[],\"enum\":5,\"minimum\":\"x\",\"items\":"
     "3}",
     "{\"a\":1}", true},
    {"{\"required\":\"a\",\"properties\":[],\"enum\":5,\"minimum\":\"x\",\"items\":3}", "{\"a\":1}",
     true},
    {"{\"required\":[1,null,{}]}", "{}", true},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error e;
        if ((check(rows[i].schema, rows[i].value, &e) == ERR_OK) != rows[i].fits)
            fail_msg("%s with %s: %s", rows[i].schema, rows[i].value, e.detail);
    }
}

/* The message names the argument. */
static void test_path(void **state)
{
    (void)state;
    struct error e;
    check("{\"properties\":{\"list\":{\"items\":{\"properties\":{\"n\":{\"type\":\"integer\"}}}}}}",
          "{\"list\":[{\"n\":1},{\"n\":\"x\"}]}", &e);
    assert_non_null(strstr(e.detail, "list.1.n"));
    assert_non_null(strstr(e.detail, "integer"));
    check("{\"properties\":{\"sort\":{\"enum\":[\"cpu\",\"memory\"]}}}", "{\"sort\":\"disk\"}", &e);
    assert_non_null(strstr(e.detail, "\"cpu\", \"memory\""));
}

static void test_bounds(void **state)
{
    (void)state;
    struct error e = {0};
    json_t *schema = json_object(), *value = json_object();
    for (int i = 0; i < 1000; i++) { /* deep */
        json_t *s = json_object(), *p = json_object(), *v = json_object();
        json_object_set_new(p, "a", schema);
        json_object_set_new(s, "properties", p);
        json_object_set_new(v, "a", value);
        schema = s;
        value = v;
    }
    assert_int_equal(conn__schema_check(schema, value, &e), ERR_INVALID);
    json_decref(schema);
    json_decref(value);
    schema = json_object(); /* wide */
    json_t *list = json_array();
    for (int i = 0; i < 100000; i++)
        json_array_append_new(list, json_integer(i));
    json_object_set_new(schema, "enum", list);
    value = json_integer(99999);
    assert_int_equal(conn__schema_check(schema, value, &e), ERR_INVALID);
    json_decref(schema);
    json_decref(value);
    schema = json_loads("{\"properties\":{},\"additionalProperties\":false}", 0, NULL);
    value = json_object();
    char name[5000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    json_object_set_new(value, name, json_null());
    assert_int_equal(conn__schema_check(schema, value, &e), ERR_INVALID);
    json_decref(schema);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_path),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
