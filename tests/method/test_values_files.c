/* --values FILE.safetensors holds the numbers that the result shows: each tensor is the matrix of its name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "call/call.h"
#include "files/tensor_files.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const struct {
    const char *command, *params;
    int matrices; /* at least so many are in the result too */
} commands[] = {
    {"rollout", "\"target-id\": 13", 1},
    {"rollout", "\"target-id\": 13, \"kind\": \"value\"", 1},
    {"lens", "\"target-id\": 13", 3},
    {"patch", "\"target-id\": 13, \"corrupt-ids\": [5, 7, 30, 3, 18, 24]", 2},
    {"patch", "\"target-id\": 13, \"corrupt-ids\": [5, 7, 30, 3, 18, 24], \"site\": \"z\"", 2},
    {"causal-grad", "\"target-id\": 13, \"corrupt-ids\": [5, 7, 30, 3, 18, 24]", 6},
    {"ablate", "\"target-id\": 13", 1},
    {"ablate", "\"target-id\": 13, \"what\": \"position\"", 1},
};

static void check_tensor(const char *command, const Tensor *tensor, const MatrixBlock *matrix) {
    if (tensor->rank != 2 || tensor->shape[0] != matrix->n_rows || tensor->shape[1] != matrix->n_columns) {
        fail_msg("%s: %s has another shape than the matrix of %d x %d", command, tensor->name, (int)matrix->n_rows,
                 (int)matrix->n_columns);
    }
    const float *values = tensor->data;
    for (int32_t i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
        float expected = (float)matrix->values[i];
        bool same = values[i] == expected || (isnan(expected) && (isnan(values[i]) || values[i] == 0.0f));
        if (!same) {
            fail_msg("%s: %s holds %g at %d, the matrix %g", command, tensor->name, (double)values[i], (int)i,
                     (double)expected);
        }
    }
}

static void files_hold_the_matrices(void **state) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/limn-values-%d.safetensors", (int)getpid());
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        Result *result;
        if (call_method(&result, commands[i].command,
                        "{\"model\": \"%s\", \"ids\": [5, 7, 11, 3, 9, 24], %s, \"values\": \"%s\"}",
                        golden_folder("llama3"), commands[i].params, path) != LIMN_OK) {
            fail_msg("%s: %s", commands[i].command, error_message());
        }
        TensorFiles *files;
        assert_int_equal(tensor_files_open(&files, path), LIMN_OK);
        int compared = 0;
        for (int32_t t = 0; t < tensor_files_count(files); t++) {
            const Tensor *tensor = tensor_files_at(files, t);
            const Block *block = result_find_block(result, tensor->name);
            if (block != NULL && block->kind == BLOCK_MATRIX) {
                check_tensor(commands[i].command, tensor, block->content);
                compared++;
            }
        }
        if (compared < commands[i].matrices) {
            fail_msg("%s: %d matrices are in the file, expected %d", commands[i].command, compared,
                     commands[i].matrices);
        }
        tensor_files_close(files);
        unlink(path);
        result_free(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(files_hold_the_matrices)};
    return cmocka_run_group_tests_name("values files", tests, NULL, NULL);
}
