/* Every key that the reference's classes write is read, idle, warned of or refused: the tables against
 * tests/golden/keys.json (tests/oracle/keys/make_keys.py). */
#include "model/config_keys.h"
#include "model/files.h"
#include "model/folder.h"
#include "model/generation.h"
#include "model/sentence.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const cases[] = {
#define GOLDEN_CASE(name, has) name,
#include "golden/cases.def"
#undef GOLDEN_CASE
    NULL};

static json_t *goldens;

static int load_goldens(void **state) {
    json_error_t error;
    goldens = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/keys.json", 0, &error);
    return goldens == NULL ? -1 : scratch_make(state);
}

static int free_goldens(void **state) {
    json_decref(goldens);
    return scratch_remove(state);
}

static void add_asked(json_t *asked, const json_t *config, const SettingsLog *log) {
    const char *kind = json_string_value(json_object_get(config, "model_type"));
    if (kind == NULL) {
        return;
    }
    json_t *known = json_object_get(asked, kind);
    if (known == NULL) {
        known = json_object();
        json_object_set_new(asked, kind, known);
    }
    json_object_update(known, log->asked);
}

/* {"llama": {"hidden_size": null ...}}: what the golden cases of each kind were asked for. */
static json_t *asked_by_kind(void) {
    json_t *asked = json_object();
    for (int i = 0; cases[i] != NULL; i++) {
        Model *model = open_or_fail(case_path(cases[i], ""), &(ModelOptions){.config_only = true});
        const json_t *config = model->files->config;
        add_asked(asked, config, model->files->log);
        for (const SettingsLog *child = model->files->log->children; child != NULL; child = child->next) {
            if (strcmp(child->key, "text_config") == 0) {
                add_asked(asked, json_object_get(config, "text_config"), child);
            }
        }
        model_free(model);
    }
    return asked;
}

static void check_list(const char *version, const char *kind, const json_t *keys, const json_t *asked) {
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        if (json_object_get(asked, key) == NULL && keys_find(&config_key_table, key) == NULL &&
            keys_find(&generation_key_table, key) == NULL) {
            fail_msg("%s: %s: \"%s\" of config.json is neither read nor known", version, kind, key);
        }
    }
}

static void every_key_of_the_configuration_classes_is_known(void **state) {
    json_t *asked = asked_by_kind();
    const char *version, *kind;
    json_t *section, *keys;
    assert_true(json_object_size(goldens) >= 2);
    json_object_foreach(goldens, version, section) {
        const json_t *config = json_object_get(section, "config");
        assert_true(json_object_size(config) >= 25);
        json_object_foreach((json_t *)(uintptr_t)config, kind, keys) {
            const json_t *known = json_object_get(asked, kind);
            assert_true(json_array_size(keys) > 2);
            if (known != NULL) {
                check_list(version, kind, json_object_get(section, "shared"), known);
                check_list(version, kind, keys, known);
            }
        }
    }
    assert_true(json_object_size(asked) >= 20);
    json_decref(asked);
}

/* What somebody added is named, with what it may have been meant to be; a quiet folder stays quiet. */
static void unknown_keys_are_named(void **state) {
    folder_from_case("llama3");
    folder_set("flux_capacitor", "1.21");
    folder_set("rope_thetta", "500000.0");
    folder_set("gone", "null");
    folder_set("off", "false");
    Model *model = folder_open(&(ModelOptions){.config_only = true});
    assert_int_equal(model->n_warnings, 1);
    assert_non_null(strstr(model->warnings[0], "config.json: not known and not read: \"flux_capacitor\", "
                                               "\"rope_thetta\" (meant \"rope_theta\"?)"));
    assert_null(strstr(model->warnings[0], "gone"));
    assert_null(strstr(model->warnings[0], "off"));
    model_free(model);
}

static void keys_within_objects_are_named(void **state) {
    folder_from_case("llama-yarn");
    json_error_t error;
    json_t *config = json_load_file(case_path("llama-yarn", "config.json"), 0, &error);
    const char *name = json_object_get(config, "rope_scaling") != NULL ? "rope_scaling" : "rope_parameters";
    json_t *rope = json_object_get(config, name);
    assert_true(json_is_object(rope));
    json_object_set_new(rope, "long_mscale", json_real(1.5));
    char *text = json_dumps(rope, JSON_COMPACT);
    folder_set(name, text);
    free(text);
    json_decref(config);
    Model *model = folder_open(&(ModelOptions){.config_only = true});
    assert_int_equal(model->n_warnings, 1);
    assert_non_null(strstr(model->warnings[0], ".long_mscale\""));
    model_free(model);
}

static void keys_that_change_the_computation_are_refused(void **state) {
    static const char *const rows[][2] = {{"pruned_heads", "{\"0\": [1]}"},
                                          {"is_encoder_decoder", "true"},
                                          {"add_cross_attention", "true"},
                                          {"cross_attention_hidden_size", "64"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        folder_from_case("llama3");
        folder_set(rows[i][0], rows[i][1]);
        assert_refused(LIMN_UNSUPPORTED, "config.json", rows[i][0], "not implemented");
    }
    folder_from_case("llama3");
    folder_set("prefix", "\"Answer: \"");
    Model *model = folder_open(&(ModelOptions){.config_only = true});
    assert_int_equal(model->n_warnings, 1);
    assert_non_null(strstr(model->warnings[0], "\"prefix\" is the text 'Answer: '"));
    model_free(model);
}

/* The other kinds of file: each name of the reference has a row. */
static void check_table(const char *version, const KeyTable *table, const json_t *keys) {
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        if (keys_find(table, key) == NULL) {
            fail_msg("%s: \"%s\" of %s is not known", version, key, table->file);
        }
    }
}

static void every_key_of_the_other_files_is_known(void **state) {
    const char *version;
    json_t *section;
    size_t n, checked = 0;
    const KeyTable *sentence = sentence_key_tables(&n);
    json_object_foreach(goldens, version, section) {
        check_table(version, &generation_key_table, json_object_get(section, "generation"));
        check_table(version, &adapter_key_table, json_object_get(section, "adapter"));
        assert_true(json_array_size(json_object_get(section, "generation")) > 50);
        assert_true(json_array_size(json_object_get(section, "adapter")) > 30);
        for (size_t i = 0; i < n; i++) {
            const json_t *keys = json_object_get(json_object_get(section, "sentence"), sentence[i].file);
            check_table(version, &sentence[i], keys);
            checked += json_array_size(keys) > 0;
        }
    }
    assert_int_equal(checked, n); /* one of the versions had them all */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_of_the_configuration_classes_is_known),
        cmocka_unit_test(every_key_of_the_other_files_is_known),
        cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(keys_within_objects_are_named),
        cmocka_unit_test(keys_that_change_the_computation_are_refused),
    };
    return cmocka_run_group_tests(tests, load_goldens, free_goldens);
}
