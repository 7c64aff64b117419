/* `causal-grad` as PyTorch has it, on small models that come along (tests/oracle/causal); what it calls true effects
 * are those of `patch`; what must be refused. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call/call.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const double tolerance = 1e-4;
/* What a wrong estimate misses by, at least: else agreement says nothing. */
static const double apart = 20 * 1e-4;
static json_t *golden;

static int read_golden(void **state) {
    golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/causal/causal_grad.json", 0, NULL);
    return golden == NULL ? -1 : 0;
}

static int free_golden(void **state) {
    json_decref(golden);
    return 0;
}

static double cell_of(const json_t *reference, int32_t row, int32_t column) {
    return json_number_value(json_array_get(json_array_get(reference, (size_t)row), (size_t)column));
}

/* Largest difference over the largest reference; rows without a counterpart count as 0. */
static double matrix_error(const Result *result, const char *family, const json_t *reference) {
    char id[32];
    snprintf(id, sizeof id, "effects.%s", family);
    const Block *block = result_find_block(result, id);
    assert_non_null(block);
    const MatrixBlock *matrix = block->content;
    assert_int_equal(matrix->n_rows, (int)json_array_size(reference));
    assert_int_equal(matrix->n_columns, (int)json_array_size(json_array_get(reference, 0)));
    double largest = 0.0, scale = 0.0;
    for (int32_t i = 0; i < matrix->n_rows; i++) {
        for (int32_t k = 0; k < matrix->n_columns; k++) {
            double found = matrix->values[i * matrix->n_columns + k], expected = cell_of(reference, i, k);
            largest = fmax(largest, fabs((isnan(found) ? 0.0 : found) - expected));
            scale = fmax(scale, fabs(expected));
        }
    }
    return largest / scale;
}

/* The table lists all of them where as many are asked for. */
static double neuron_error(const Result *result, const json_t *reference) {
    const TableBlock *table = result_find_block(result, "neurons")->content;
    assert_int_equal(table->n_rows, (int)(json_array_size(reference) * json_array_size(json_array_get(reference, 0))));
    double largest = 0.0, scale = 0.0;
    for (int32_t i = 0; i < table->n_rows; i++) {
        double expected =
            cell_of(reference, (int32_t)table_cell(table, i, 0)->integer, (int32_t)table_cell(table, i, 1)->integer);
        const Value *found = table_cell(table, i, 2);
        largest =
            fmax(largest, fabs((found->kind == VALUE_INTEGER ? (double)found->integer : found->number) - expected));
        scale = fmax(scale, fabs(expected));
    }
    return largest / scale;
}

static const char *const families[] = {"resid", "mlp", "head", "query", "key", "value"};
enum { FAMILIES = sizeof families / sizeof families[0] };

/* Of all families the largest error. */
static double error_of(const Result *result, const json_t *one) {
    double largest = neuron_error(result, json_object_get(one, "neuron"));
    for (int f = 0; f < FAMILIES; f++) {
        largest = fmax(largest, matrix_error(result, families[f], json_object_get(one, families[f])));
    }
    return largest;
}

static Result *estimate(const json_t *model, const char *corrupt, const char *options) {
    const char *name = json_string_value(json_object_get(model, "model"));
    char *ids = json_dumps(json_object_get(golden, "clean"), JSON_COMPACT);
    char *other = corrupt == NULL ? NULL : json_dumps(json_object_get(golden, corrupt), JSON_COMPACT);
    char pair[256] = "", at[32] = "";
    if (corrupt != NULL) {
        snprintf(pair, sizeof pair, ", \"corrupt-ids\": %s", other);
    }
    if (strncmp(name, "bert", 4) == 0) {
        snprintf(at, sizeof at, ", \"at\": \"%d\"", (int)json_integer_value(json_object_get(model, "row")));
    }
    Result *result;
    limn_status status = call_method(
        &result, "causal-grad",
        "{\"model\": \"%s\", \"ids\": %s, \"target-id\": %d, \"metric\": \"logit\", \"check\": \"none\", "
        "\"top\": 10000%s%s%s}",
        golden_folder(name), ids, (int)json_integer_value(json_object_get(golden, "target")), pair, at, options);
    free(ids);
    free(other);
    if (status != LIMN_OK) {
        fail_msg("%s: %s", name, error_message());
    }
    return result;
}

static void estimates_are_pytorchs(void **state) {
    static const struct {
        const char *name, *corrupt, *options;
    } kinds[] = {{"atp", "corrupt", ""},
                 {"atp-star", "corrupt", ", \"kind\": \"atp-star\""},
                 {"steps", "corrupt", ", \"steps\": 4"},
                 {"zero", NULL, ", \"against\": \"zero\""},
                 {"mean", NULL, ", \"against\": \"mean\""},
                 {"longer", "longer", ""}};
    size_t i;
    json_t *model;
    json_array_foreach(json_object_get(golden, "cases"), i, model) {
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            const json_t *one = json_object_get(model, kinds[k].name);
            if (one == NULL) {
                continue;
            }
            Result *result = estimate(model, kinds[k].corrupt, kinds[k].options);
            double error = error_of(result, one);
            if (!(error <= tolerance)) {
                fail_msg("%s, %s: an estimate is %.2e of the largest from PyTorch's",
                         json_string_value(json_object_get(model, "model")), kinds[k].name, error);
            }
            result_free(result);
        }
    }
}

/* The other direction, another derivative or another number of points is told apart by far. */
static void what_is_wrong_misses(void **state) {
    static const char *const mutants[] = {", \"reverse\": true", ", \"rules\": \"lrp\"", ", \"steps\": 3"};
    const json_t *model = json_array_get(json_object_get(golden, "cases"), 0);
    for (size_t k = 0; k < sizeof mutants / sizeof mutants[0]; k++) {
        Result *result = estimate(model, "corrupt", mutants[k]);
        assert_true(error_of(result, json_object_get(model, "atp")) > apart);
        assert_true(error_of(result, json_object_get(model, "steps")) > apart);
        result_free(result);
    }
}

/* ---- in earnest ---- */

static Result *on_llama(const char *method, const char *options) {
    Result *result;
    limn_status status =
        call_method(&result, method,
                    "{\"model\": \"%s\", \"ids\": [5, 7, 11, 3, 9, 24], \"target-id\": 13, \"metric\": "
                    "\"logit\", \"corrupt-ids\": [5, 7, 30, 3, 18, 24]%s}",
                    golden_folder("llama3"), options);
    if (status != LIMN_OK) {
        fail_msg("%s: %s", method, error_message());
    }
    return result;
}

static void true_effects_are_those_of_patch(void **state) {
    Result *estimated = on_llama("causal-grad", ""), *patched = on_llama("patch", ", \"site\": \"z\"");
    const TableBlock *table = result_find_block(estimated, "patched")->content;
    const MatrixBlock *heads = result_find_block(patched, "effects")->content;
    int compared = 0;
    for (int32_t i = 0; i < table->n_rows; i++) {
        int layer, head;
        if (strcmp(table_cell(table, i, 0)->text.bytes, "head") == 0 &&
            sscanf(table_cell(table, i, 1)->text.bytes, "%d.%d", &layer, &head) == 2) {
            double effect = heads->values[layer * heads->n_columns + head];
            assert_true(fabs(table_cell(table, i, 3)->number - effect) <= 1e-4 * (1.0 + fabs(effect)));
            compared++;
        }
    }
    assert_true(compared > 0);
    result_free(estimated);
    result_free(patched);
}

static const ResultCheck *find_check(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    fail_msg("there is no check '%s'", name);
    return NULL;
}

/* The strongest and some of each third of the rest; all where there are few. */
static void small_estimates_are_tried_too(void **state) {
    static const struct {
        const char *options, *check, *sites;
    } rows[] = {{"", "patching neuron", " 28 sites"}, /* 16 and 3 times 4 of 96 */
                {", \"check\": \"quick\"", "patching neuron", " 12 sites"},
                {"", "patching head", " 8 sites"},
                {"", "patching resid", " 12 sites"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Result *result = on_llama("causal-grad", rows[i].options);
        const char *said = find_check(result, rows[i].check)->meaning.bytes;
        if (strstr(said, rows[i].sites) == NULL) {
            fail_msg("%s: found '%s', expected%s", rows[i].check, said, rows[i].sites);
        }
        result_free(result);
    }
}

static void the_first_layer_adds_up_along_the_path(void **state) {
    Result *few = on_llama("causal-grad", ", \"steps\": 2, \"check\": \"none\""),
           *many = on_llama("causal-grad", ", \"steps\": 256, \"check\": \"none\"");
    assert_true(find_check(many, "sum")->value < 1e-3);
    assert_true(find_check(many, "sum")->value < find_check(few, "sum")->value);
    result_free(few);
    result_free(many);
}

/* ---- refusals ---- */

static void refuse(const char *options, const char *said) {
    Result *result;
    limn_status status = call_method(&result, "causal-grad", "{\"model\": \"%s\", \"ids\": [5, 7, 11, 3]%s}",
                                     golden_folder("llama3"), options);
    if (status != LIMN_USAGE || strstr(error_message(), said) == NULL) {
        fail_msg("%s: found '%s', expected one that says '%s'", options, error_message(), said);
    }
}

static void contradictions_are_refused(void **state) {
    refuse("", "nothing to set the prompt against");
    refuse(", \"corrupt-ids\": [5, 7, 30, 3], \"against\": \"zero\"", "expected one of them");
    refuse(", \"against\": \"zero\", \"reverse\": true", "exchanges two prompts");
    refuse(", \"corrupt-ids\": [5, 7, 30, 3], \"kind\": \"atp-star\", \"steps\": 4", "expected --kind atp");
    refuse(", \"corrupt-ids\": [5, 7, 30, 3], \"kind\": \"atp-star\", \"rules\": \"relp\"", "expected --kind atp");
    refuse(", \"corrupt-ids\": [5, 7, 11, 3]", "token for token");
    refuse(", \"corrupt-ids\": [5, 7, 11, 3, 9]", "do not end alike");
    refuse(", \"corrupt-ids\": [5, 7, 8, 11, 3], \"steps\": 4", "no way from one");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(estimates_are_pytorchs),
                                       cmocka_unit_test(what_is_wrong_misses),
                                       cmocka_unit_test(true_effects_are_those_of_patch),
                                       cmocka_unit_test(small_estimates_are_tried_too),
                                       cmocka_unit_test(the_first_layer_adds_up_along_the_path),
                                       cmocka_unit_test(contradictions_are_refused)};
    return cmocka_run_group_tests_name("causal-grad", tests, read_golden, free_golden);
}
