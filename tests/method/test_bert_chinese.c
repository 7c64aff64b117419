/* bert-base-chinese's vocabulary from text to answer, against Hugging Face (tests/oracle/models/bert_chinese.py). */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "method/calls.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const names[] = {"config.json", "tokenizer_config.json", "model.safetensors", "vocab.txt"};

static void link_file(const char *from, const char *folder, const char *name) {
    char to[700];
    snprintf(to, sizeof to, "%s/%s", folder, name);
    assert_int_equal(symlink(from, to), 0);
}

/* The golden model beside the shared vocabulary, in a new folder; skips when there is no vocabulary. */
static void make_folder(char folder[64]) {
    char path[1200];
    const char *shared = getenv("LIMN_SHARED");
    snprintf(path, sizeof path, "%s%s/data/tokenizers/bert-base-chinese/vocab.txt",
             shared != NULL ? shared : LIMN_TEST_SOURCE_DIR, shared != NULL ? "" : "/../shared");
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    snprintf(folder, 64, "/tmp/limn-chinese-XXXXXX");
    assert_non_null(mkdtemp(folder));
    link_file(path, folder, "vocab.txt");
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", golden_folder("bert-chinese"), names[i]);
        link_file(path, folder, names[i]);
    }
}

static void remove_folder(const char *folder) {
    char path[128];
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static const Value *cell(const TableBlock *table, int32_t row, const char *column) {
    for (int32_t c = 0; c < table->n_columns; c++) {
        if (strcmp(table->columns[c].name.bytes, column) == 0) {
            return &table->cells[row * table->n_columns + c];
        }
    }
    fail_msg("no column %s", column);
    return NULL;
}

static void check_answer(const Result *result, const json_t *entry) {
    const json_t *ids = json_object_get(entry, "ids"), *best = json_object_get(entry, "best");
    assert_int_equal(result->n_input_tokens, (int)json_array_size(ids));
    for (int32_t i = 0; i < result->n_input_tokens; i++) {
        assert_int_equal(result->input_tokens[i].id, json_integer_value(json_array_get(ids, (size_t)i)));
    }
    const Block *block = result_find_block(result, "top");
    assert_non_null(block);
    for (size_t i = 0; i < json_array_size(best); i++) {
        const json_t *expected = json_array_get(json_object_get(entry, "log_probabilities"), i);
        assert_int_equal(cell(block->content, (int32_t)i, "id")->integer, json_integer_value(json_array_get(best, i)));
        assert_true(fabs(cell(block->content, (int32_t)i, "log-probability")->number - json_real_value(expected)) <
                    1e-4);
    }
}

static void answers_are_those_of_the_reference(void **state) {
    char folder[64], path[1200];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/golden.json", golden_folder("bert-chinese"));
    json_t *cases = json_load_file(path, 0, NULL);
    assert_non_null(cases);
    size_t index;
    json_t *entry;
    json_array_foreach(cases, index, entry) {
        const json_t *texts = json_object_get(entry, "texts");
        const char *pair = json_string_value(json_array_get(texts, 1));
        Result *result;
        limn_status status =
            call_method(&result, "run", "{\"model\": \"%s\", \"prompt\": \"%s\"%s%s%s}", folder,
                        json_string_value(json_array_get(texts, 0)), pair != NULL ? ", \"pair\": \"" : "",
                        pair != NULL ? pair : "", pair != NULL ? "\"" : "");
        if (status != LIMN_OK) {
            fail_msg("%s", error_message());
        }
        check_answer(result, entry);
        result_free(result);
    }
    assert_int_equal(index, 6);
    json_decref(cases);
    remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_those_of_the_reference)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
