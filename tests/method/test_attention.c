/* `attention` as plain PyTorch has it on Hugging Face models (tests/oracle/attention/make_patterns.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files/tensor_files.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

static int open_cache(void **state) {
    open_models();
    return 0;
}

static int free_cache(void **state) {
    close_models();
    return 0;
}

static void near(const char *name, const char *what, const Result *result, const char *id, const json_t *reference) {
    double error = matrix_error(matrix_of(result, id), reference);
    if (!(error <= 1e-4)) {
        fail_msg("%s, %s: a cell is %.2e of the largest from the reference's", name, what, error);
    }
}

static void far(const char *name, const char *what, const Result *result, const char *id, const json_t *mutant) {
    double error = matrix_error(matrix_of(result, id), mutant);
    if (!(error > 1e-2)) {
        fail_msg("%s, %s: the mutant misses by %.2e only", name, what, error);
    }
}

static void check_case(const char *name, const json_t *entry, const char *model) {
    char head[64], id[64];
    int layer = (int)json_integer_value(json_object_get(entry, "layer"));
    int number = (int)json_integer_value(json_object_get(entry, "head"));
    snprintf(head, sizeof head, "%d.%d", layer, number);
    snprintf(id, sizeof id, "pattern.%d.%d", layer, number);
    Result *result = call_json("attention", json_pack("{s:s, s:O, s:[s]}", "model", model, "ids",
                                                      json_object_get(entry, "ids"), "head", head));
    near(name, id, result, id, json_object_get(entry, "pattern"));
    far(name, "another head", result, id, json_object_get(entry, "other head"));
    const char *figure;
    json_t *reference;
    json_object_foreach(json_object_get(entry, "figures"), figure, reference) {
        near(name, figure, result, figure, reference);
    }
    json_object_foreach(json_object_get(entry, "mutants"), figure, reference) {
        far(name, figure, result, figure, reference);
    }
    assert_true(result_passed(result));
    result_free(result);
}

static void patterns_are_the_references(void **state) {
    json_t *document = read_reference("patterns.json"), *entry;
    const char *name;
    int compared = 0;
    json_object_foreach(document, name, entry) {
        char path[1024];
        const char *model = reference_model(name, path);
        if (model != NULL) {
            check_case(name, entry, model);
            compared++;
        }
    }
    assert_true(compared >= 6);
    json_decref(document);
}

static const char small[] = LIMN_TEST_SOURCE_DIR "/tests/golden/llama3";

/* Nothing chosen: the head that looks back most is shown, and no induction where nothing is repeated. */
static void the_strongest_heads_are_shown(void **state) {
    Result *result = call_json("attention", json_pack("{s:s, s:[i,i,i,i]}", "model", small, "ids", 5, 17, 40, 9));
    const MatrixBlock *previous = matrix_of(result, "previous"), *induction = matrix_of(result, "induction");
    int best = 0;
    for (int i = 0; i < previous->n_rows * previous->n_columns; i++) {
        best = previous->values[i] > previous->values[best] ? i : best;
        assert_true(isnan(induction->values[i]));
    }
    char id[64];
    snprintf(id, sizeof id, "pattern.%d.%d", best / previous->n_columns, best % previous->n_columns);
    const MatrixBlock *pattern = matrix_of(result, id);
    double sum = 0.0;
    for (int t = 1; t < pattern->n_rows; t++) {
        sum += pattern->values[t * pattern->n_columns + t - 1] / (pattern->n_rows - 1);
    }
    assert_true(fabs(sum - previous->values[best]) <= 1e-12);
    assert_int_equal(result->n_warnings, 1);
    result_free(result);
}

/* Different ordinary tokens, twice, the same ones for the same seed. */
static void random_tokens_are_repeated(void **state) {
    Result *first = call_json("attention", json_pack("{s:s, s:i, s:i}", "model", small, "repeat", 9, "seed", 4));
    Result *again = call_json("attention", json_pack("{s:s, s:i, s:i}", "model", small, "repeat", 9, "seed", 4));
    Result *other = call_json("attention", json_pack("{s:s, s:i, s:i}", "model", small, "repeat", 9, "seed", 5));
    int different = 0;
    assert_int_equal(first->n_input_tokens, 18);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(first->input_tokens[i].id, first->input_tokens[i + 9].id);
        assert_int_equal(first->input_tokens[i].id, again->input_tokens[i].id);
        different += first->input_tokens[i].id != other->input_tokens[i].id;
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(first->input_tokens[i].id, first->input_tokens[k].id);
        }
    }
    assert_true(different > 0);
    double induction = matrix_of(first, "induction")->values[0];
    assert_true(induction >= 0.0);
    result_free(first);
    result_free(again);
    result_free(other);
}

/* Every head's pattern, in full. */
static void values_go_to_a_file(void **state) {
    char path[] = "/tmp/limn-patterns-XXXXXX.safetensors";
    int descriptor = mkstemps(path, 12);
    assert_true(descriptor >= 0);
    close(descriptor);
    Result *result = call_json("attention", json_pack("{s:s, s:[i,i,i,i], s:[s], s:s}", "model", small, "ids", 5, 17,
                                                      40, 9, "head", "*.*", "values", path));
    TensorFiles *files;
    assert_int_equal(tensor_files_open(&files, path), LIMN_OK);
    assert_int_equal(tensor_files_count(files), 4 + 2 * 4);
    const Tensor *tensor = tensor_files_find(files, "pattern.1.2");
    const MatrixBlock *matrix = matrix_of(result, "pattern.1.2");
    assert_non_null(tensor);
    assert_int_equal(tensor->rank, 2);
    assert_int_equal(tensor->shape[0], 4);
    for (int i = 0; i < 16; i++) {
        float value = (float)matrix->values[i];
        assert_memory_equal(&value, (const float *)tensor->data + i, sizeof value);
    }
    tensor_files_close(files);
    result_free(result);
    unlink(path);
}

static void refuse_head(const char *head, limn_status status, const char *message) {
    refuse_json("attention", json_pack("{s:s, s:[i,i,i,i], s:[s]}", "model", small, "ids", 5, 17, 40, 9, "head", head),
                status, message);
}

static void wrong_questions_are_refused(void **state) {
    refuse_head("2.0", LIMN_NOT_FOUND, "has no layer 2; expected 0 to 1");
    refuse_head("0.4", LIMN_NOT_FOUND, "has no head 4; expected 0 to 3");
    refuse_head("first", LIMN_USAGE, "found 'first', expected LAYER.HEAD");
    refuse_head("0.1,", LIMN_USAGE, "expected LAYER.HEAD");
    refuse_head("1.-1", LIMN_USAGE, "expected LAYER.HEAD");
    refuse_head("99999999999999.0", LIMN_USAGE, "expected LAYER.HEAD");
    refuse_json("attention", json_pack("{s:s, s:[i,i], s:i}", "model", small, "ids", 5, 17, "repeat", 4), LIMN_USAGE,
                "both a prompt and --repeat");
    refuse_json("attention", json_pack("{s:s, s:i}", "model", small, "repeat", 62), LIMN_RANGE, "ordinary tokens");
    refuse_json("attention", json_pack("{s:s}", "model", small), LIMN_USAGE, "prompt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_the_references), cmocka_unit_test(the_strongest_heads_are_shown),
        cmocka_unit_test(random_tokens_are_repeated), cmocka_unit_test(values_go_to_a_file),
        cmocka_unit_test(wrong_questions_are_refused)};
    return cmocka_run_group_tests_name("attention", tests, open_cache, free_cache);
}
