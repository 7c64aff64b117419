/* `info` says what the folder's own files say: config.json, the tensors' headers, the tokenizer, the adapter. */
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call/call.h"
#include "files/tensor_files.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static Result *info(const char *folder, const char *more) {
    Result *result;
    if (call_method(&result, "info", "{\"model\": \"%s\"%s}", folder, more) != LIMN_OK) {
        fail_msg("%s: %s", folder, error_message());
    }
    return result;
}

/* The value beside a name; NULL: there is no such row. */
static const Value *value_of(const Result *result, const char *id, const char *name) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    const TableBlock *table = block->content;
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, name) == 0) {
            return table_cell(table, row, 1);
        }
    }
    return NULL;
}

static void expect_integer(const Result *result, const char *id, const char *name, int64_t expected) {
    const Value *value = value_of(result, id, name);
    if (value == NULL || value->kind != VALUE_INTEGER || value->integer != expected) {
        fail_msg("%s, %s: expected %lld, found %lld", id, name, (long long)expected,
                 value == NULL ? -1LL : (long long)value->integer);
    }
}

static void expect_text(const Result *result, const char *id, const char *name, const char *expected) {
    const Value *value = value_of(result, id, name);
    if (expected == NULL) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_string_equal(value->text.bytes, expected);
}

static int64_t elements_of(const char *folder) {
    TensorFiles *files;
    int64_t n = 0;
    assert_int_equal(tensor_files_open(&files, folder), LIMN_OK);
    for (int32_t i = 0; i < tensor_files_count(files); i++) {
        n += tensor_elements(tensor_files_at(files, i));
    }
    tensor_files_close(files);
    return n;
}

static void sizes_are_those_of_the_files(void **state) {
    static const struct {
        const char *row, *key;
    } keys[] = {{"layers (L)", "num_hidden_layers"},  {"model width (D)", "hidden_size"},
                {"heads (H)", "num_attention_heads"}, {"key/value heads (G)", "num_key_value_heads"},
                {"vocabulary (V)", "vocab_size"},     {"context", "max_position_embeddings"},
                {"experts (E)", "num_local_experts"}, {"experts in use by a token", "num_experts_per_tok"},
                {"expert width", "intermediate_size"}};
    static const char *const folders[] = {"mixtral", "llama3", "bert-mlm"};
    for (size_t f = 0; f < sizeof folders / sizeof folders[0]; f++) {
        char path[1200];
        snprintf(path, sizeof path, "%s/config.json", golden_folder(folders[f]));
        json_t *config = json_load_file(path, 0, NULL);
        assert_non_null(config);
        Result *result = info(golden_folder(folders[f]), "");
        bool experts = strcmp(folders[f], "mixtral") == 0;
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            const json_t *given = json_object_get(config, keys[k].key);
            if (strncmp(keys[k].row, "expert", 6) == 0 && !experts) {
                assert_null(value_of(result, "model", keys[k].row));
            } else if (given != NULL) {
                expect_integer(result, "model", keys[k].row, json_integer_value(given));
            }
        }
        expect_integer(result, "model", "feed-forward width (F)",
                       json_integer_value(json_object_get(config, "intermediate_size")));
        expect_text(result, "model", "architecture",
                    json_string_value(json_array_get(json_object_get(config, "architectures"), 0)));
        expect_text(result, "model", "model type", json_string_value(json_object_get(config, "model_type")));
        expect_text(result, "model", "embedding width (E)", NULL);
        expect_integer(result, "model", "parameters", elements_of(golden_folder(folders[f])));
        assert_true(result->n_warnings > 0); /* no tokenizer */
        assert_null(result_find_block(result, "tokenizer"));
        assert_null(result_find_block(result, "classes"));
        result_free(result);
        json_decref(config);
    }
}

static void classes_are_listed(void **state) {
    char path[1200];
    snprintf(path, sizeof path, "%s/config.json", golden_folder("bert-classifier"));
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    const json_t *labels = json_object_get(config, "id2label");
    Result *result = info(golden_folder("bert-classifier"), "");
    const TableBlock *table = result_find_block(result, "classes")->content;
    assert_int_equal(table->n_rows, json_object_size(labels));
    for (int32_t i = 0; i < table->n_rows; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", (int)i);
        assert_int_equal(table_cell(table, i, 0)->integer, i);
        assert_string_equal(table_cell(table, i, 1)->text.bytes, json_string_value(json_object_get(labels, id)));
    }
    result_free(result);
    json_decref(config);
}

static void special_tokens_are_named(void **state) {
    static const char *const files[][2] = {{"roberta-mlm", "config.json"},
                                           {"roberta-mlm", "model.safetensors"},
                                           {"predict/roberta", "tokenizer.json"},
                                           {"predict/roberta", "tokenizer_config.json"}};
    static const char *const expected[][2] = {
        {"begin of text", "<s> (0)"}, {"end of text", "</s> (2)"}, {"unknown", "<unk> (3)"},
        {"padding", "<pad> (1)"},     {"mask", "<mask> (4)"},      {"separator", "</s> (2)"},
        {"class", "<s> (0)"},         {"end of turn", NULL},       {"end of message", NULL}};
    char folder[] = "/tmp/limn-info-XXXXXX", from[1200], to[1200];
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 4; i++) {
        snprintf(from, sizeof from, "%s/%s", golden_folder(files[i][0]), files[i][1]);
        snprintf(to, sizeof to, "%s/%s", folder, files[i][1]);
        assert_int_equal(symlink(from, to), 0);
    }
    Result *result = info(folder, "");
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        expect_text(result, "tokenizer", expected[i][0], expected[i][1]);
    }
    snprintf(from, sizeof from, "%s/tokenizer.json", folder);
    json_t *tokenizer = json_load_file(from, 0, NULL);
    expect_integer(result, "tokenizer", "ids",
                   (int64_t)json_object_size(json_object_get(json_object_get(tokenizer, "model"), "vocab")));
    json_decref(tokenizer);
    assert_false(value_of(result, "tokenizer", "chat template")->boolean);
    assert_int_equal(result->n_warnings, 0);
    result_free(result);
    for (int i = 0; i < 4; i++) {
        snprintf(to, sizeof to, "%s/%s", folder, files[i][1]);
        unlink(to);
    }
    rmdir(folder);
}

static void adapters_are_described(void **state) {
    char adapter[1024], path[1200], more[1200];
    snprintf(adapter, sizeof adapter, "%s/1", golden_folder("adapters/patterns"));
    snprintf(path, sizeof path, "%s/adapter_config.json", adapter);
    json_t *config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    snprintf(more, sizeof more, ", \"adapter\": [\"%s:0.5\"]", adapter);
    Result *result = info(golden_folder("llama3"), more);
    expect_text(result, "adapter-1", "folder", adapter);
    expect_text(result, "adapter-1", "made for", json_string_value(json_object_get(config, "base_model_name_or_path")));
    expect_text(result, "adapter-1", "kind", "LoRA");
    expect_integer(result, "adapter-1", "rank", json_integer_value(json_object_get(config, "r")));
    assert_true(value_of(result, "adapter-1", "alpha")->number ==
                json_number_value(json_object_get(config, "lora_alpha")));
    assert_true(value_of(result, "adapter-1", "weight")->number == 0.5);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", adapter);
    expect_integer(result, "adapter-1", "parameters", elements_of(path));
    assert_int_equal(value_of(result, "adapter-1", "hash")->text.length, 64);
    result_free(result);
    json_decref(config);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sizes_are_those_of_the_files),
                                       cmocka_unit_test(classes_are_listed), cmocka_unit_test(special_tokens_are_named),
                                       cmocka_unit_test(adapters_are_described)};
    return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
