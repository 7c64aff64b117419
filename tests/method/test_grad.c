/* `grad` as Captum has it, on a small model that comes along (tests/oracle/grad). */
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "call/call.h"
#include "call/open.h"
#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char model[] = LIMN_TEST_SOURCE_DIR "/tests/golden/ig/tiny_llama";
static ModelCache *models;

static int open_cache(void **state) {
    return model_cache_new(&models) == LIMN_OK ? 0 : 1;
}

static int free_cache(void **state) {
    model_cache_free(models);
    return 0;
}

static limn_status gradients(Result **result, json_t *params) {
    CallListeners none = {0};
    limn_status status = method_call(result, &test_registry, models, "grad", params, &none);
    json_decref(params);
    return status;
}

/* Largest |token - reference| over the largest |reference|. */
static double token_error(const Result *result, const json_t *reference) {
    const TokensBlock *tokens = result_find_block(result, "attribution")->content;
    assert_int_equal(tokens->n, (int)json_array_size(reference));
    double largest = 0.0, scale = 0.0;
    for (int32_t i = 0; i < tokens->n; i++) {
        double expected = json_number_value(json_array_get(reference, (size_t)i));
        double difference = fabs(tokens->items[i].score - expected);
        largest = isnan(difference) ? INFINITY : fmax(largest, difference);
        scale = fmax(scale, fabs(expected));
    }
    return largest / scale;
}

static void kinds_are_captums(void **state) {
    static const char *const kinds[] = {"x-input", "norm", "smoothgrad"};
    json_t *golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/grad/captum.json", 0, NULL);
    assert_non_null(golden);
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), i, one) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            json_t *params =
                json_pack("{s:s, s:O, s:O, s:s, s:O, s:O, s:O, s:s}", "model", model, "ids",
                          json_object_get(one, "ids"), "target-id", json_object_get(one, "target"), "kind", kinds[k],
                          "seed", json_object_get(golden, "seed"), "samples", json_object_get(golden, "samples"),
                          "noise", json_object_get(golden, "noise"), "metric", "logprob");
            Result *result;
            if (gradients(&result, params) != LIMN_OK) {
                fail_msg("%s", error_message());
            }
            double error = token_error(result, json_object_get(one, kinds[k]));
            if (!(error <= 1e-4)) {
                fail_msg("case %zu, %s: a token is %.2e of the largest from Captum's", i, kinds[k], error);
            }
            result_free(result);
        }
    }
    json_decref(golden);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(kinds_are_captums)};
    return cmocka_run_group_tests_name("grad", tests, open_cache, free_cache);
}
