/* What a classifier's outputs mean is its configuration's word (problem_type): classes of which one holds, labels that
 * may hold together, numbers. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static char folder[64];

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

/* The golden classifier with another problem_type (NULL: none). */
static void make_model(const char *kind) {
    char path[256], link[256];
    json_t *config;
    snprintf(path, sizeof path, "%s/config.json", golden_folder("bert-classifier"));
    config = json_load_file(path, 0, NULL);
    assert_non_null(config);
    if (kind != NULL) {
        json_object_set_new(config, "problem_type", json_string(kind));
    }
    snprintf(folder, sizeof folder, "/tmp/limn-outputs-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/config.json", folder);
    assert_int_equal(json_dump_file(config, link, 0), 0);
    json_decref(config);
    snprintf(path, sizeof path, "%s/model.safetensors", golden_folder("bert-classifier"));
    snprintf(link, sizeof link, "%s/model.safetensors", folder);
    assert_int_equal(symlink(path, link), 0);
}

static void remove_model(void) {
    char path[256];
    static const char *const files[] = {"config.json", "model.safetensors"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static const TableBlock *table_of(const Result *result, const char *id) {
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    return block->content;
}

static Result *ask(const char *method, const char *more) {
    Result *result;
    must(call_method(&result, method, "{\"model\": \"%s\", \"ids\": [1, 5, 9, 2]%s}", folder, more));
    return result;
}

static void probabilities_are_the_kind(void **state) {
    (void)state;
    static const char *const kinds[] = {NULL, "single_label_classification", "multi_label_classification"};
    for (int k = 0; k < 3; k++) {
        make_model(kinds[k]);
        Result *result = ask("run", "");
        const TableBlock *table = table_of(result, "top");
        double sum = 0.0;
        assert_true(table->n_rows > 2);
        for (int64_t r = 0; r < table->n_rows; r++) {
            double p = table->cells[r * 5 + 2].number, logit = table->cells[r * 5 + 4].number;
            double alone = 1.0 / (1.0 + exp(-logit));
            sum += p;
            assert_int_equal(fabs(p - alone) < 1e-6, k == 2);
            assert_true(fabs(exp(table->cells[r * 5 + 3].number) - p) < 1e-12);
        }
        assert_int_equal(fabs(sum - 1.0) < 1e-9, k < 2);
        assert_int_equal(strstr(result->headline.bytes, "Likeliest class") != NULL, k < 2);
        result_free(result);
        remove_model();
    }
}

static void a_number_has_no_probability(void **state) {
    (void)state;
    Result *result;
    make_model("regression");
    result = ask("run", "");
    const TableBlock *table = table_of(result, "top");
    assert_int_equal(table->n_columns, 3);
    assert_string_equal(table->columns[2].name.bytes, "value");
    assert_non_null(strstr(result->headline.bytes, " is "));
    result_free(result);
    assert_int_equal(
        call_method(&result, "grad", "{\"model\": \"%s\", \"ids\": [1, 5, 9, 2], \"contrast\": \"1\"}", folder),
        LIMN_USAGE);
    remove_model();
}

static void an_unknown_kind_is_refused(void **state) {
    (void)state;
    Result *result;
    make_model("ordinal");
    assert_int_equal(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": [1, 2]}", folder), LIMN_UNSUPPORTED);
    assert_non_null(strstr(error_message(), "problem_type"));
    remove_model();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probabilities_are_the_kind),
        cmocka_unit_test(a_number_has_no_probability),
        cmocka_unit_test(an_unknown_kind_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
