/* `lrp` as plain PyTorch and as the lxt package have it, on small models that come along (tests/oracle/lrp). */
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

#include <cmocka.h> /* last: it has a macro named fail */

static const double tolerance = 1e-4;
/* What another set of rules misses by, at least: else agreement says nothing. */
static const double apart = 0.05;

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

static Result *relevance(const json_t *one, const char *rules) {
    const char *model = json_string_value(json_object_get(one, "model"));
    char *ids = json_dumps(json_object_get(one, "ids"), JSON_COMPACT);
    bool masked = strncmp(model, "bert", 4) == 0;
    char at[32] = "";
    if (masked) {
        snprintf(at, sizeof at, ", \"at\": \"%d\"", (int)json_integer_value(json_object_get(one, "row")));
    }
    Result *result;
    limn_status status =
        call_method(&result, "lrp",
                    "{\"model\": \"%s\", \"ids\": %s, \"target-id\": %d, \"rules\": \"%s\", \"metric\": \"logit\"%s}",
                    golden_folder(model), ids, (int)json_integer_value(json_object_get(one, "target")), rules, at);
    free(ids);
    if (status != LIMN_OK) {
        fail_msg("%s: %s", model, error_message());
    }
    return result;
}

static const ResultCheck *find_check(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    return NULL;
}

static void check_error(const json_t *one, const Result *result, const char *column) {
    const json_t *reference = json_object_get(one, column);
    double error = reference == NULL ? 0.0 : token_error(result, reference);
    if (!(error <= tolerance)) {
        fail_msg("%s: a token is %.2e of the largest from %s", json_string_value(json_object_get(one, "model")), error,
                 column);
    }
}

static void relevance_is_that_of_the_references(void **state) {
    json_t *golden = json_load_file(LIMN_TEST_SOURCE_DIR "/tests/golden/lrp/relevance.json", 0, NULL);
    assert_non_null(golden);
    size_t i;
    int by_lxt = 0;
    json_t *one;
    json_array_foreach(json_object_get(golden, "cases"), i, one) {
        Result *lrp = relevance(one, "lrp"), *relp = relevance(one, "relp");
        check_error(one, lrp, "lrp");
        check_error(one, lrp, "lxt");
        check_error(one, relp, "relp");
        by_lxt += json_object_get(one, "lxt") != NULL;
        assert_true(token_error(relp, json_object_get(one, "lrp")) > apart);
        assert_true(token_error(lrp, json_object_get(one, "relp")) > apart);
        const ResultCheck *check = find_check(lrp, "conservation"), *other = find_check(relp, "conservation");
        assert_true(check->state == CHECK_PASS && other->state == CHECK_PASS && check->value < 1e-5);
        result_free(lrp);
        result_free(relp);
    }
    assert_true(by_lxt >= 3);
    json_decref(golden);
}

/* Without biases nothing but tokens can have relevance under RelP: their sum is the logit. */
static void tokens_add_up_to_the_logit(void **state) {
    static const char *const models[] = {"llama3", "gemma2", "mixtral"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        Result *result;
        limn_status status =
            call_method(&result, "lrp", "{\"model\": \"%s\", \"ids\": [5, 7, 11, 3], \"rules\": \"relp\"}",
                        golden_folder(models[m]));
        assert_int_equal(status, LIMN_OK);
        const TokensBlock *tokens = result_find_block(result, "attribution")->content;
        double sum = 0.0;
        for (int32_t t = 0; t < tokens->n; t++) {
            sum += tokens->items[t].score;
        }
        assert_true(fabs(sum - result->target.logit) <= 1e-4 * fabs(result->target.logit));
        result_free(result);
    }
}

/* A contrast at the same row: the difference of both relevances, exactly linear in what goes in. */
static void a_contrast_is_the_difference(void **state) {
    double scores[3][4];
    static const char *const asked[3] = {"\"target-id\": 9", "\"target-id\": 4",
                                         "\"target\": \"i\", \"contrast\": \"d\""};
    char folder[64];
    make_letters_model(folder);
    for (int k = 0; k < 3; k++) {
        Result *result;
        limn_status status = call_method(
            &result, "lrp", "{\"model\": \"%s\", \"prompt\": \"a fg\", \"check\": \"none\", %s}", folder, asked[k]);
        if (status != LIMN_OK) {
            fail_msg("%s", error_message());
        }
        const TokensBlock *tokens = result_find_block(result, "attribution")->content;
        assert_int_equal(tokens->n, 4);
        for (int t = 0; t < 4; t++) {
            scores[k][t] = tokens->items[t].score;
        }
        result_free(result);
    }
    for (int t = 0; t < 4; t++) {
        assert_true(fabs(scores[0][t] - scores[1][t] - scores[2][t]) <= 1e-4 * (fabs(scores[2][t]) + 1.0));
    }
    remove_letters_model(folder);
}

static void what_has_no_logit_is_refused(void **state) {
    char folder[64];
    make_letters_model(folder);
    Result *result;
    limn_status status = call_method(&result, "lrp",
                                     "{\"model\": \"%s\", \"prompt\": \"a fg\", \"target\": \"hi\", "
                                     "\"metric\": \"logit\"}",
                                     folder);
    assert_int_equal(status, LIMN_USAGE);
    assert_non_null(strstr(error_message(), "single token"));
    remove_letters_model(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relevance_is_that_of_the_references), cmocka_unit_test(tokens_add_up_to_the_logit),
        cmocka_unit_test(a_contrast_is_the_difference), cmocka_unit_test(what_has_no_logit_is_refused)};
    return cmocka_run_group_tests_name("lrp", tests, NULL, NULL);
}
