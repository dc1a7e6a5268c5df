/* Forms: fields from a schema, values from fields, and what is refused. */
#include "backend/base/json.h"
#include "tests/unit/tui_screen.h"
#include "tui/form.h"

static json_t *schema(const char *text)
{
    json_error_t e;
    json_t *out = json_loads(text, 0, &e);
    assert_non_null(out);
    return out;
}

static struct form_field *field(struct form_fields *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (!strcmp(f->fields[i].name, name))
            return &f->fields[i];
    fail_msg("no field %s", name);
    return NULL;
}

static void type(struct form_fields *f, const char *name, const char *text)
{
    tui_input_set(&field(f, name)->input, text);
}

static void assert_value(struct form_fields *f, const char *want)
{
    size_t first = 99;
    json_t *value = form_fields_value(f, &first);
    if (!value)
        fail_msg("%s: %s", f->fields[first].name, f->fields[first].bad);
    char *text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, want);
    free(text);
    json_decref(value);
}

static void assert_bad(struct form_fields *f, const char *name)
{
    size_t first = 99;
    assert_null(form_fields_value(f, &first));
    assert_string_equal(f->fields[first].name, name);
    assert_true(f->fields[first].bad[0]);
}

static const char *const ALL =
    "{\"type\":\"object\",\"required\":[\"count\",\"on\",\"name\"],\"properties\":{"
    "\"level\":{\"oneOf\":[{\"const\":\"lo\",\"title\":\"Low\"},{\"const\":\"hi\"}]},"
    "\"name\":{\"type\":\"string\",\"minLength\":2,\"maxLength\":4},"
    "\"count\":{\"type\":\"integer\",\"minimum\":1,\"exclusiveMaximum\":10,\"default\":3},"
    "\"share\":{\"type\":[\"null\",\"number\"],\"maximum\":1},"
    "\"on\":{\"type\":\"boolean\"},\"maybe\":{\"type\":\"boolean\"},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"b\",\"c\"]},\"maxItems\":2},"
    "\"ids\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}},"
    "\"mail\":{\"type\":\"string\",\"format\":\"email\"},"
    "\"more\":{\"type\":\"object\"}}}";

static void values(void **state)
{
    struct form_fields f;
    json_t *s = schema(ALL), *initial = schema("{\"name\":\"ab\",\"tags\":[\"b\"]}");
    (void)state;
    form_fields_init(&f, s, initial);
    json_decref(s); /* the form keeps what it needs */
    json_decref(initial);
    assert_int_equal(f.count, 10);
    assert_string_equal(f.fields[3].name, "level"); /* what is needed came first */
    assert_value(&f, "{\"count\":3,\"name\":\"ab\",\"on\":false,\"tags\":[\"b\"]}");

    form_field_turn(field(&f, "level"), 1);
    assert_string_equal(field(&f, "level")->options[0].title, "Low");
    form_field_turn(field(&f, "on"), 1);
    form_field_turn(field(&f, "maybe"), -1);
    type(&f, "share", "0.5");
    type(&f, "ids", "1\n\n-2");
    type(&f, "more", "{\"x\": [1]}");
    type(&f, "mail", "a@b");
    assert_value(
        &f, "{\"count\":3,\"ids\":[1,-2],\"level\":\"lo\",\"mail\":\"a@b\",\"maybe\":true,"
            "\"more\":{\"x\":[1]},\"name\":\"ab\",\"on\":true,\"share\":0.5,\"tags\":[\"b\"]}");
    form_field_turn(field(&f, "maybe"), 1); /* past the end: not said */
    assert_int_equal(field(&f, "maybe")->chosen, -1);
    form_fields_release(&f);
}

static void refused(void **state)
{
    static const char *const wrong[][2] = {
        {"name", ""},    {"name", "a"},       {"name", "abcde"}, {"count", "0"},
        {"count", "10"}, {"count", "3x"},     {"share", "1.5"},  {"share", "nan"},
        {"ids", "1\nx"}, {"more", "{\"a\":"}, {"mail", "a b@c"}, {"count", "1e3"}};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct form_fields f;
        json_t *s = schema(ALL), *initial = schema("{\"name\":\"ab\"}");
        form_fields_init(&f, s, initial);
        type(&f, wrong[i][0], wrong[i][1]);
        assert_bad(&f, wrong[i][0]);
        form_fields_release(&f);
        json_decref(s);
        json_decref(initial);
    }
    struct form_fields f;
    json_t *s = schema(ALL), *initial = schema("{\"name\":\"ab\",\"tags\":[\"a\",\"b\",\"c\"]}");
    form_fields_init(&f, s, initial);
    assert_bad(&f, "tags");
    form_fields_release(&f);
    json_decref(s);
    json_decref(initial);
}

/* Foreign schemas: of any shape, and of any size. */
static void odd_schemas(void **state)
{
    static const char *const odd[] = {
        "{}", "[]", "{\"properties\":[]}", "{\"properties\":{\"a\":1,\"b\":true,\"c\":null}}",
        ("{\"properties\":{\"a\":{\"enum\":[]},\"b\":{\"oneOf\":[{}]},\"c\":{\"type\":[]}},"
         "\"required\":{\"a\":1}}")};
    struct form_fields f;
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        json_t *s = schema(odd[i]);
        form_fields_init(&f, s, NULL);
        assert_value(&f, "{}");
        form_fields_release(&f);
        json_decref(s);
    }
    json_t *s = json_object(), *properties = json_object();
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d", i);
        json_object_set_new(properties, name, json_object());
    }
    json_object_set_new(s, "properties", properties);
    form_fields_init(&f, s, NULL);
    assert_int_equal(f.count, TUI_FORM_FIELDS);
    assert_int_equal(f.left_out, 100 - TUI_FORM_FIELDS);
    form_fields_release(&f);
    json_decref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(refused),
        cmocka_unit_test(odd_schemas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
