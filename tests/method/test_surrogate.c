/* LIME and KernelSHAP: Captum's coefficients on Captum's samples (tests/oracle/surrogate); their sums, their seeds. */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "call/call.h"
#include "method/calls.h"
#include "method/explain/surrogate.h"
#include "statistics/regression.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { WORDS = 7, MOST = 64 };
static json_t *golden;

static int read_golden(void **state) {
    golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/surrogate/captum.json", 0, NULL);
    return golden == NULL ? -1 : 0;
}

static int free_golden(void **state) {
    json_decref(golden);
    return 0;
}

static double error_of(const double *found, const json_t *expected) {
    double largest = 0.0, scale = 0.0;
    for (size_t w = 0; w < json_array_size(expected); w++) {
        double value = json_number_value(json_array_get(expected, w));
        largest = fmax(largest, fabs(found[w] - value));
        scale = fmax(scale, fabs(value));
    }
    return largest / scale;
}

/* The fit of one kind on the case's samples. */
static void fit_case(const json_t *one, SurrogateKind kind, double alpha, double *coefficients) {
    double x[MOST * WORDS], y[MOST], weights[MOST];
    const json_t *masks = json_object_get(one, "masks");
    int32_t n = (int32_t)json_array_size(masks);
    assert_true(n <= MOST);
    for (int32_t i = 0; i < n; i++) {
        int32_t there = 0;
        for (int32_t w = 0; w < WORDS; w++) {
            x[i * WORDS + w] = json_number_value(json_array_get(json_array_get(masks, (size_t)i), (size_t)w));
            there += x[i * WORDS + w] > 0.5;
        }
        y[i] = json_number_value(json_array_get(json_object_get(one, "f"), (size_t)i));
        weights[i] = surrogate_weight(kind, there, WORDS, json_number_value(json_object_get(golden, "width")));
    }
    LinearModel model = {.coefficients = coefficients};
    const Observations seen = {x, y, weights, n, WORDS};
    assert_int_equal(kind == SURROGATE_SHAP ? least_squares(&model, &seen) : lasso(&model, &seen, alpha), LIMN_OK);
}

static void fits_are_captums(void **state) {
    double alpha = json_number_value(json_object_get(golden, "alpha"));
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), i, one) {
        double found[WORDS];
        fit_case(one, SURROGATE_SHAP, alpha, found);
        assert_true(error_of(found, json_object_get(one, "shap")) <= 1e-4);
        assert_true(error_of(found, json_object_get(one, "lime")) > 0.01);
        fit_case(one, SURROGATE_LIME, alpha, found);
        assert_true(error_of(found, json_object_get(one, "lime")) <= 1e-4);
        fit_case(one, SURROGATE_LIME, 2.0 * alpha, found);
        assert_true(error_of(found, json_object_get(one, "lime")) > 1e-3);
    }
}

/* ---- on a model ---- */

static char folder[64];

static Result *ask(const char *method, const char *options) {
    Result *result;
    limn_status status = call_method(&result, method,
                                     "{\"model\": \"%s\", \"prompt\": \"a cab de fg\", \"target\": \"d\", \"check\": "
                                     "\"none\"%s}",
                                     folder, options);
    if (status != LIMN_OK) {
        fail_msg("%s: %s", method, error_message());
    }
    return result;
}

static double number_of(const Result *result, int32_t row) {
    const Value *value = table_cell(result_find_block(result, "stability")->content, row, 1);
    return value->kind == VALUE_INTEGER ? (double)value->integer : value->number;
}

static void more_samples_say_the_same_again(void **state) {
    static const char *const methods[] = {"shap", "lime"};
    for (int m = 0; m < 2; m++) {
        Result *few = ask(methods[m], ", \"samples\": 20, \"repeats\": 6"),
               *many = ask(methods[m], ", \"samples\": 1200, \"repeats\": 6");
        assert_true(number_of(few, 3) == 6 && number_of(many, 3) == 6);
        assert_true(number_of(many, 6) < number_of(few, 6)); /* deviation over fits */
        result_free(few);
        result_free(many);
    }
}

static void one_fit_has_no_deviation(void **state) {
    Result *result = ask("shap", ", \"repeats\": 1");
    const TokensBlock *tokens = result_find_block(result, "attribution")->content;
    for (int32_t t = 0; t < tokens->n; t++) {
        assert_true(isnan(tokens->items[t].spread) || tokens->items[t].score == 0.0);
        assert_true(!isnan(tokens->items[t].score));
    }
    assert_int_equal(result->n_checks, 1); /* no signs to compare */
    result_free(result);
}

static void what_cannot_be_exchanged_is_refused(void **state) {
    Result *result;
    limn_status status =
        call_method(&result, "shap", "{\"model\": \"%s\", \"ids\": [1, 2, 3], \"target-id\": 4}", folder);
    assert_int_equal(status, LIMN_USAGE);
    assert_non_null(strstr(error_message(), "expected a text"));
}

static int make_folder(void **state) {
    make_letters_model(folder);
    return read_golden(state);
}

static int remove_folder(void **state) {
    remove_letters_model(folder);
    return free_golden(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_are_captums), cmocka_unit_test(more_samples_say_the_same_again),
        cmocka_unit_test(one_fit_has_no_deviation), cmocka_unit_test(what_cannot_be_exchanged_is_refused)};
    return cmocka_run_group_tests_name("surrogate", tests, make_folder, remove_folder);
}
