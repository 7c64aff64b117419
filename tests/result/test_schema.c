/* The published schema describes what is written, and nothing else. The checker below knows the keywords that the
 * schema uses; another keyword fails the test rather than passing unseen. */
#include "result/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <cmocka.h>

typedef struct Schema {
    json_t *root;
    char why[256];
} Schema;

static bool matches(Schema *schema, const json_t *rule, const json_t *value, const char *path);

static bool refuse(Schema *schema, const char *path, const char *why) {
    snprintf(schema->why, sizeof schema->why, "%s: %s", path, why);
    return false;
}

static bool is_type(const json_t *value, const char *name) {
    static const struct {
        const char *name;
        json_type type;
    } types[] = {{"object", JSON_OBJECT},
                 {"array", JSON_ARRAY},
                 {"string", JSON_STRING},
                 {"integer", JSON_INTEGER},
                 {"null", JSON_NULL}};
    if (strcmp(name, "boolean") == 0) {
        return json_is_boolean(value);
    }
    if (strcmp(name, "number") == 0) {
        return json_is_number(value);
    }
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(types[i].name, name) == 0) {
            return json_typeof(value) == types[i].type;
        }
    }
    fail_msg("the schema names a type %s", name);
    return false;
}

static bool type_matches(const json_t *types, const json_t *value) {
    if (json_is_string(types)) {
        return is_type(value, json_string_value(types));
    }
    for (size_t i = 0; i < json_array_size(types); i++) {
        if (is_type(value, json_string_value(json_array_get(types, i)))) {
            return true;
        }
    }
    return false;
}

static bool object_matches(Schema *schema, const json_t *rule, const json_t *value, const char *path) {
    const json_t *properties = json_object_get(rule, "properties"), *required = json_object_get(rule, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        if (json_object_get(value, json_string_value(json_array_get(required, i))) == NULL) {
            return refuse(schema, path, json_string_value(json_array_get(required, i)));
        }
    }
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)value, key, item) {
        const json_t *property = json_object_get(properties, key);
        char below[200];
        snprintf(below, sizeof below, "%.150s.%.40s", path, key);
        if (property == NULL && json_is_false(json_object_get(rule, "additionalProperties"))) {
            return refuse(schema, below, "is not in the schema");
        }
        if (property != NULL && !matches(schema, property, item, below)) {
            return false;
        }
    }
    return true;
}

/* Two items alike; of columns, which the schema calls unique, two of one name. */
static bool repeats(const json_t *items) {
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *one = json_array_get(items, i);
        for (size_t k = 0; k < i; k++) {
            const json_t *other = json_array_get(items, k), *name = json_object_get(one, "name");
            if (json_equal(one, other) || (name != NULL && json_equal(name, json_object_get(other, "name")))) {
                return true;
            }
        }
    }
    return false;
}

static bool array_matches(Schema *schema, const json_t *rule, const json_t *value, const char *path) {
    const json_t *items = json_object_get(rule, "items");
    if (json_is_true(json_object_get(rule, "uniqueItems")) && repeats(value)) {
        return refuse(schema, path, "two items alike");
    }
    for (size_t i = 0; items != NULL && i < json_array_size(value); i++) {
        char below[200];
        snprintf(below, sizeof below, "%.150s[%zu]", path, i);
        if (!matches(schema, items, json_array_get(value, i), below)) {
            return false;
        }
    }
    return true;
}

static bool any_matches(Schema *schema, const json_t *rules, const json_t *value, const char *path) {
    for (size_t i = 0; i < json_array_size(rules); i++) {
        if (matches(schema, json_array_get(rules, i), value, path)) {
            return true;
        }
    }
    return false;
}

static bool listed(const json_t *list, const json_t *value) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (json_equal(json_array_get(list, i), value)) {
            return true;
        }
    }
    return false;
}

static void check_keywords(const json_t *rule) {
    static const char *const known[] = {
        "$schema",  "$defs", "title", "description", "type",    "$ref",       "const", "enum", "additionalProperties",
        "required", "anyOf", "items", "properties",  "minimum", "uniqueItems"};
    const char *key;
    json_t *item;
    json_object_foreach((json_t *)rule, key, item) {
        bool found = false;
        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
            found = found || strcmp(known[i], key) == 0;
        }
        if (!found) {
            fail_msg("the schema uses %s, which this test does not check", key);
        }
    }
}

static bool matches(Schema *schema, const json_t *rule, const json_t *value, const char *path) {
    check_keywords(rule);
    const json_t *reference = json_object_get(rule, "$ref");
    if (reference != NULL) {
        const char *name = json_string_value(reference) + strlen("#/$defs/");
        const json_t *definition = json_object_get(json_object_get(schema->root, "$defs"), name);
        assert_non_null(definition);
        return matches(schema, definition, value, path);
    }
    const json_t *types = json_object_get(rule, "type"), *constant = json_object_get(rule, "const");
    const json_t *list = json_object_get(rule, "enum"), *any = json_object_get(rule, "anyOf");
    const json_t *minimum = json_object_get(rule, "minimum");
    if (types != NULL && !type_matches(types, value)) {
        return refuse(schema, path, "another type");
    }
    if ((constant != NULL && !json_equal(constant, value)) || (list != NULL && !listed(list, value))) {
        return refuse(schema, path, "another value");
    }
    if (minimum != NULL && json_number_value(value) < json_number_value(minimum)) {
        return refuse(schema, path, "below the minimum");
    }
    if (any != NULL && !any_matches(schema, any, value, path)) {
        return false;
    }
    return json_is_object(value)  ? object_matches(schema, rule, value, path)
           : json_is_array(value) ? array_matches(schema, rule, value, path)
                                  : true;
}

static json_t *read_json(const char *path) {
    size_t length;
    char *text = read_file(path, &length);
    json_error_t error;
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        fail_msg("%s: line %d: %s", path, error.line, error.text);
    }
    free(text);
    return json;
}

static Schema open_schema(void) {
    return (Schema){read_json(LIMN_TEST_SOURCE_DIR "/docs/result.schema.json"), ""};
}

static void test_sample(void **state) {
    Schema schema = open_schema();
    json_t *document = read_json(LIMN_TEST_SOURCE_DIR "/tests/result/golden/sample.json");
    if (!matches(&schema, schema.root, document, "result")) {
        fail_msg("%s", schema.why);
    }
    json_decref(document);
    json_decref(schema.root);
}

/* A key unknown to the schema anywhere in a document must be seen: else the checker sees nothing. */
static void spoil_each(Schema *schema, json_t *document, json_t *part, int *spoilt) {
    if (json_is_object(part)) {
        json_object_set_new(part, "unheard-of", json_true());
        if (matches(schema, schema->root, document, "result")) {
            fail_msg("an unknown key went unseen");
        }
        json_object_del(part, "unheard-of");
        ++*spoilt;
        const char *key;
        json_t *item;
        json_object_foreach(part, key, item) {
            if (strcmp(key, "params") != 0) { /* free: each method's own */
                spoil_each(schema, document, item, spoilt);
            }
        }
    }
    for (size_t i = 0; i < json_array_size(part); i++) {
        spoil_each(schema, document, json_array_get(part, i), spoilt);
    }
}

static void test_unknown_keys(void **state) {
    Schema schema = open_schema();
    json_t *document = read_json(LIMN_TEST_SOURCE_DIR "/tests/result/golden/sample.json");
    int spoilt = 0;
    spoil_each(&schema, document, document, &spoilt);
    assert_true(spoilt > 50);
    json_decref(document);
    json_decref(schema.root);
}

/* A table whose columns have one name twice: neither in the schema nor built nor read. */
static void test_columns_have_names_of_their_own(void **state) {
    Schema schema = open_schema();
    json_t *document = read_json(LIMN_TEST_SOURCE_DIR "/tests/result/golden/sample.json");
    size_t i;
    json_t *block;
    int tables = 0;
    json_array_foreach(json_object_get(document, "blocks"), i, block) {
        json_t *columns = json_object_get(block, "columns");
        if (strcmp(json_string_value(json_object_get(block, "kind")), "table") != 0 || json_array_size(columns) < 2) {
            continue;
        }
        json_t *name = json_incref(json_object_get(json_array_get(columns, 1), "name"));
        json_object_set(json_array_get(columns, 1), "name", json_object_get(json_array_get(columns, 0), "name"));
        assert_false(matches(&schema, schema.root, document, "result"));
        char *text = json_dumps(document, 0);
        Result *read;
        assert_int_equal(result_read_json(&read, text, strlen(text), "x.json"), LIMN_FORMAT);
        assert_non_null(strstr(error_message(), "column 1 has the name of one before it"));
        free(text);
        json_object_set_new(json_array_get(columns, 1), "name", name);
        tables++;
    }
    assert_true(tables > 0);
    json_decref(document);
    json_decref(schema.root);
    static const TableColumn twice[] = {
        {{"a", 1}, COLUMN_TEXT}, {{"low", 3}, COLUMN_NUMBER}, {{"low", 3}, COLUMN_PROBABILITY}};
    Result *result;
    assert_int_equal(result_new(&result, "ig", "x"), LIMN_OK);
    assert_null(result_add_table(result, "t", "T", twice, 3));
    assert_int_equal(result_status(result), LIMN_INTERNAL);
    assert_non_null(strstr(error_message(), "the table 't' has two columns 'low'"));
    result_free(result);
}

/* The tables of kinds and the schema name the same things. */
static void test_kinds(void **state) {
    Schema schema = open_schema();
    const json_t *definitions = json_object_get(schema.root, "$defs");
    for (int i = 0; i < BLOCK_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_block", block_kind_name((BlockKind)i));
        assert_non_null(json_object_get(definitions, name));
    }
    assert_int_equal(json_array_size(json_object_get(json_object_get(definitions, "block"), "anyOf")), BLOCK_COUNT);
    char *text = json_dumps(schema.root, 0);
    for (int i = 0; i < COLUMN_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "\"%s\"", column_kind_name((ColumnKind)i));
        assert_non_null(strstr(text, name));
    }
    for (int i = 0; i < TOKEN_STATE_COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "\"%s\"", token_state_name((TokenState)i));
        assert_non_null(strstr(text, name));
    }
    free(text);
    json_decref(schema.root);
}

/* test_schema FILE...: documents to check instead. */
static int check_files(char **paths, int n) {
    Schema schema = open_schema();
    int wrong = 0;
    for (int i = 0; i < n; i++) {
        json_t *document = read_json(paths[i]);
        if (!matches(&schema, schema.root, document, "result")) {
            printf("%s: %s\n", paths[i], schema.why);
            wrong = 1;
        }
        json_decref(document);
    }
    json_decref(schema.root);
    return wrong;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        return check_files(argv + 1, argc - 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_columns_have_names_of_their_own),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
