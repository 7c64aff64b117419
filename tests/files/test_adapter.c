/* Adapter folders: the choice of modules against PEFT's own, and what is refused, by name. */
#include "files/adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files/adapter_select.h"
#include "files/json.h"
#include "files/tensor_files.h"

#include "files/helpers.h"

static void modules_are_chosen_as_peft_does(void **state) {
    json_t *cases;
    assert_ok(json_file_load(&cases, LIMN_TEST_SOURCE_DIR "/tests/golden/adapters/selection.json", JSON_CONFIG_CAP));
    int chosen_count = 0;
    size_t i, k;
    const json_t *one, *row;
    json_array_foreach(cases, i, one) {
        const json_t *config = json_object_get(one, "config");
        AdapterSelect *select;
        assert_ok(adapter_select_new(&select, config, "selection.json"));
        json_array_foreach(json_object_get(one, "modules"), k, row) {
            const char *module = json_string_value(json_array_get(row, 0));
            bool expected = json_is_true(json_array_get(row, 1)), chosen;
            double rank, alpha;
            assert_ok(adapter_select_target(&chosen, select, module));
            assert_ok(adapter_select_rank(&rank, select, module, json_number_value(json_object_get(config, "r"))));
            assert_ok(
                adapter_select_alpha(&alpha, select, module, json_number_value(json_object_get(config, "lora_alpha"))));
            if (chosen != expected || rank != json_number_value(json_array_get(row, 2)) ||
                alpha != json_number_value(json_array_get(row, 3))) {
                fail_msg("configuration %zu, %s: %s, rank %g, alpha %g", i, module, chosen ? "chosen" : "not chosen",
                         rank, alpha);
            }
            chosen_count += chosen ? 1 : 0;
        }
        adapter_select_free(select);
    }
    assert_true(chosen_count > 50);
    json_decref(cases);
}

/* --- folders --- */

#define Q "base_model.model.model.layers.0.self_attn.q_proj."

static const Tensor good_a = {.name = Q "lora_A.weight", .dtype = DTYPE_F32, .rank = 2, .shape = {2, 4}};
static const Tensor good_b = {.name = Q "lora_B.weight", .dtype = DTYPE_F32, .rank = 2, .shape = {3, 2}};

static Tensor named(const Tensor *like, const char *name) {
    Tensor tensor = *like;
    tensor.name = name;
    return tensor;
}

/* A folder with the settings (added to those of a plain adapter for q_proj) and tensors; n 0: no tensors at all. */
static limn_status open_with(Adapter **adapter, const char *settings, const Tensor *tensors, int32_t n) {
    static const float values[64] = {0.5F, 1, -1};
    static Tensor filled[8];
    const char *folder = scratch_path("adapter");
    mkdir(folder, 0700);
    char path[512], config[4096];
    snprintf(config, sizeof config,
             "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":4,\"target_modules\":[\"q_proj\"]%s%s}",
             settings[0] != '\0' ? "," : "", settings);
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    write_text(path, config);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    unlink(path);
    for (int32_t i = 0; i < n; i++) {
        filled[i] = tensors[i];
        filled[i].data = values;
        filled[i].bytes = (size_t)tensor_elements(&filled[i]) * sizeof(float);
    }
    if (n > 0) {
        assert_ok(safetensors_write(path, filled, n, NULL, 0));
    }
    limn_status status = adapter_open(adapter, folder);
    assert_true((status == LIMN_OK) == (*adapter != NULL));
    return status;
}

static limn_status open_settings(const char *settings) {
    Adapter *adapter;
    limn_status status = open_with(&adapter, settings, (Tensor[]){good_a, good_b}, 2);
    adapter_close(adapter);
    return status;
}

static void a_plain_adapter_opens(void **state) {
    Adapter *adapter;
    assert_ok(open_with(&adapter, "\"base_model_name_or_path\":\"org/base\",\"lora_dropout\":0.1",
                        (Tensor[]){good_a, good_b}, 2));
    assert_string_equal(adapter->base_model, "org/base");
    assert_int_equal(adapter->n_modules, 1);
    assert_string_equal(adapter->modules[0].name, "model.layers.0.self_attn.q_proj");
    assert_int_equal(adapter->modules[0].rank, 2);
    assert_true(adapter->modules[0].scaling == 2.0);
    adapter_close(adapter);
    assert_ok(
        open_with(&adapter, "\"use_rslora\":true,\"alpha_pattern\":{\"q_proj\":8}", (Tensor[]){good_a, good_b}, 2));
    assert_true(adapter->modules[0].scaling > 5.6568 && adapter->modules[0].scaling < 5.6569);
    adapter_close(adapter);
}

static void what_is_not_implemented_is_refused_by_name(void **state) {
    static const struct {
        const char *settings, *word;
    } cases[] = {{"\"peft_type\":\"VERA\"", "VERA"},
                 {"\"peft_type\":\"IA3\"", "IA3"},
                 {"\"peft_type\":\"ADALORA\"", "ADALORA"},
                 {"\"peft_type\":\"PREFIX_TUNING\"", "PREFIX_TUNING"},
                 {"\"use_qalora\":true", "use_qalora"},
                 {"\"lora_bias\":true", "lora_bias"},
                 {"\"layer_replication\":[[0,2]]", "layer_replication"},
                 {"\"target_parameters\":[\"experts.gate\"]", "target_parameters"},
                 {"\"trainable_token_indices\":[5]", "trainable_token_indices"},
                 {"\"alora_invocation_tokens\":[1,2]", "alora_invocation_tokens"},
                 {"\"init_lora_weights\":\"pissa\"", "init_lora_weights"},
                 {"\"init_lora_weights\":\"olora\"", "init_lora_weights"},
                 {"\"ensure_weight_tying\":true", "ensure_weight_tying"},
                 {"\"bias\":\"some\"", "bias"},
                 {"\"use_tomorrow\":1", "use_tomorrow"},
                 {"\"target_modules\":\"((\"", "target_modules"},
                 {"\"target_modules\":\"(.|..|...)*j[0-9]\"", "regular expression"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(open_settings(cases[i].settings), LIMN_UNSUPPORTED, "adapter_config.json", cases[i].word);
    }
    assert_ok(open_settings("\"use_qalora\":false,\"lora_bias\":false,\"layer_replication\":null,\"use_tomorrow\":{},"
                            "\"init_lora_weights\":\"gaussian\",\"target_parameters\":[]"));
    Tensor odd = named(&good_a, Q "lora_C.weight");
    Adapter *adapter;
    assert_refused(open_with(&adapter, "", (Tensor[]){good_a, good_b, odd}, 3), LIMN_UNSUPPORTED, "lora_C");
}

static void what_is_broken_is_refused(void **state) {
    assert_refused(open_settings("\"r\":0"), LIMN_FORMAT, "adapter_config.json", "'r'");
    assert_refused(open_settings("\"r\":\"two\""), LIMN_FORMAT, "'r'");
    assert_refused(open_settings("\"peft_type\":7"), LIMN_FORMAT, "peft_type");
    assert_refused(open_settings("\"target_modules\":7"), LIMN_FORMAT, "target_modules");
    assert_refused(open_settings("\"target_modules\":[7]"), LIMN_FORMAT, "target_modules");
    assert_refused(open_settings("\"rank_pattern\":[]"), LIMN_FORMAT, "rank_pattern");
    assert_refused(open_settings("\"rank_pattern\":{\"q_proj\":\"x\"}"), LIMN_FORMAT, "rank_pattern");
    assert_refused(open_settings("\"layers_to_transform\":\"x\""), LIMN_FORMAT, "layers_to_transform");
    assert_refused(open_settings("\"r\":3"), LIMN_FORMAT, Q "lora_A.weight", "[2, 4]", "rank 3");
    assert_refused(open_settings("\"rank_pattern\":{\"q_proj\":4}"), LIMN_FORMAT, "lora_A.weight", "rank 4");
    assert_refused(open_settings("\"use_dora\":true"), LIMN_FORMAT, "lora_magnitude_vector", "missing");
    assert_refused(open_settings("\"target_modules\":[\"k_proj\"]"), LIMN_FORMAT, "adapter_model.safetensors",
                   "chooses");
}

static void tensors_that_do_not_fit_are_refused(void **state) {
    Adapter *adapter;
    Tensor flat = good_b, other = good_b,
           magnitude = {.name = Q "lora_magnitude_vector", .dtype = DTYPE_F32, .rank = 1, .shape = {5}};
    Tensor table = named(&good_a, "base_model.model.model.layers.0.self_attn.q_proj.lora_embedding_A");
    flat.rank = 1;
    other.shape[1] = 3;
    assert_refused(open_with(&adapter, "", &good_a, 1), LIMN_FORMAT, Q "lora_B.weight", "missing");
    assert_refused(open_with(&adapter, "", &good_b, 1), LIMN_FORMAT, Q "lora_A.weight", "missing");
    assert_refused(open_with(&adapter, "", (Tensor[]){good_a, flat}, 2), LIMN_FORMAT, "lora_B", "a matrix");
    assert_refused(open_with(&adapter, "", (Tensor[]){good_a, other}, 2), LIMN_FORMAT, "lora_B", "rank 2");
    assert_refused(open_with(&adapter, "", (Tensor[]){table, good_b}, 2), LIMN_FORMAT, "do not belong together");
    assert_refused(open_with(&adapter, "", (Tensor[]){table, good_a, good_b}, 3), LIMN_FORMAT, "both there");
    assert_refused(open_with(&adapter, "\"use_dora\":true", (Tensor[]){good_a, good_b, magnitude}, 3), LIMN_FORMAT,
                   "lora_magnitude_vector", "[5]");
    assert_refused(open_with(&adapter, "", (Tensor[]){good_a, good_b, magnitude}, 3), LIMN_FORMAT, "use_dora");
    assert_refused(open_with(&adapter, "", NULL, 0), LIMN_NOT_FOUND, "adapter_model.safetensors");
    char path[512];
    snprintf(path, sizeof path, "%s/adapter_model.bin", scratch_path("adapter"));
    write_text(path, "pickle");
    assert_refused(open_with(&adapter, "", NULL, 0), LIMN_UNSUPPORTED, "adapter_model.bin", "safetensors");
    assert_refused(adapter_open(&adapter, "/nowhere/at-all"), LIMN_NOT_FOUND, "/nowhere/at-all");
}

/* What the configuration does not choose is passed over and listed. */
static void tensors_of_other_modules_are_ignored(void **state) {
    Tensor a = named(&good_a, "base_model.model.model.layers.1.self_attn.v_proj.lora_A.weight");
    Adapter *adapter;
    assert_ok(open_with(&adapter, "", (Tensor[]){good_a, good_b, a}, 3));
    assert_int_equal(adapter->n_modules, 1);
    assert_int_equal(adapter->n_ignored, 1);
    assert_string_equal(adapter->ignored[0]->name, a.name);
    adapter_close(adapter);
}

/* PEFT writes a trained module again as it stands within its wrapper: that copy is passed over, but not alone. */
static void wrapped_copies_are_passed_over(void **state) {
    static const char *const settings[] = {"\"modules_to_save\":[\"score\"]", ""};
    const Tensor plain = {.name = "base_model.model.score.weight", .dtype = DTYPE_F32, .rank = 2, .shape = {2, 4}};
    Tensor wrapped = named(&plain, "base_model.model.score.modules_to_save.weight");
    Tensor original = named(&plain, "base_model.model.score.original_module.weight");
    Tensor other = named(&plain, "base_model.model.core.modules_to_save.weight");
    Adapter *adapter;
    for (int i = 0; i < 2; i++) {
        assert_ok(open_with(&adapter, settings[i], (Tensor[]){good_a, good_b, plain, wrapped, original}, 5));
        assert_int_equal(adapter->n_tensors, 1);
        assert_string_equal(adapter->tensors[0].tensor->name, plain.name);
        assert_int_equal(adapter->tensors[0].module_to_save, i == 0);
        adapter_close(adapter);
        assert_ok(open_with(&adapter, settings[i], (Tensor[]){good_a, good_b, plain, other}, 4));
        assert_int_equal(adapter->n_tensors, 2);
        adapter_close(adapter);
    }
    const Tensor bare[] = {good_a, good_b, named(&plain, "score.weight"),
                           named(&plain, "score.original_module.weight")};
    assert_ok(open_with(&adapter, "", bare, 4)); /* names without the usual prefix */
    assert_int_equal(adapter->n_tensors, 1);
    adapter_close(adapter);
    assert_ok(open_with(&adapter, "", (Tensor[]){good_a, good_b, wrapped}, 3));
    assert_int_equal(adapter->n_tensors, 1);
    adapter_close(adapter);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_are_chosen_as_peft_does),
        cmocka_unit_test(a_plain_adapter_opens),
        cmocka_unit_test(what_is_not_implemented_is_refused_by_name),
        cmocka_unit_test(what_is_broken_is_refused),
        cmocka_unit_test(tensors_that_do_not_fit_are_refused),
        cmocka_unit_test(tensors_of_other_modules_are_ignored),
        cmocka_unit_test(wrapped_copies_are_passed_over),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
