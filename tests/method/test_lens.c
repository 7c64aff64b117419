/* `lens` as plain formulas have it on Hugging Face models (tests/oracle/attention/make_lens.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

static void near(const char *name, const Result *result, const char *id, const json_t *reference) {
    double error = matrix_error(matrix_of(result, id), reference);
    if (!(error <= 1e-4)) {
        fail_msg("%s, %s: a cell is %.2e of the largest from the reference's", name, id, error);
    }
}

static void check_neurons(const char *name, const Result *result, const json_t *neurons) {
    const TableBlock *table = json_array_size(neurons) > 0 ? table_of(result, "neurons") : NULL;
    size_t i;
    json_t *one;
    json_array_foreach(neurons, i, one) {
        double share = json_number_value(json_object_get(one, "share"));
        bool found = false;
        for (int32_t row = 0; row < table->n_rows && !found; row++) {
            found = table_cell(table, row, 0)->integer == json_integer_value(json_object_get(one, "layer")) &&
                    table_cell(table, row, 1)->integer == json_integer_value(json_object_get(one, "index")) &&
                    fabs(table_cell(table, row, 2)->number - share) <= 1e-4 * fmax(0.1, fabs(share));
        }
        if (!found) {
            fail_msg("%s: neuron %zu of the reference is not in the table, or has another share", name, i);
        }
    }
}

static void check_case(const char *name, const char *model, const json_t *entry) {
    Result *result = call_json("lens", reference_question(name, model, entry));
    near(name, result, "lens", json_object_get(entry, "lens"));
    near(name, result, "direct.layers", json_object_get(entry, "direct.layers"));
    near(name, result, "direct.heads", json_object_get(entry, "direct.heads"));
    const TableBlock *parts = table_of(result, "parts");
    double embedding = json_number_value(json_object_get(entry, "embedding"));
    assert_true(fabs(table_cell(parts, 0, 1)->number - embedding) <= 1e-4 * fmax(0.1, fabs(embedding)));
    check_neurons(name, result, json_object_get(entry, "neurons"));
    assert_true(result_passed(result));
    const char *mutant;
    json_t *wrong;
    json_object_foreach(json_object_get(entry, "mutants"), mutant, wrong) {
        if (!(matrix_error(matrix_of(result, mutant), wrong) > 1e-2)) {
            fail_msg("%s: the mutant of %s does not miss", name, mutant);
        }
    }
    result_free(result);
}

/* The same of a target less its contrast, which is a text: tokens of a model without a tokenizer cannot be one, so the
 * difference is that of two questions. */
static void check_contrast(const char *name, const char *model, const json_t *entry) {
    const json_t *contrast = json_object_get(entry, "contrast");
    if (contrast == NULL) {
        return;
    }
    json_t *params = reference_question(name, model, entry);
    Result *target = call_json("lens", json_deep_copy(params));
    json_object_set_new(params, "target-id", json_copy(json_object_get(contrast, "id")));
    Result *other = call_json("lens", params);
    static const char *const ids[] = {"lens", "direct.layers", "direct.heads"};
    for (size_t k = 0; k < sizeof ids / sizeof ids[0]; k++) {
        const MatrixBlock *a = matrix_of(target, ids[k]), *b = matrix_of(other, ids[k]);
        for (int i = 0; i < a->n_rows * a->n_columns; i++) {
            a->values[i] -= b->values[i];
        }
        near(name, target, ids[k], json_object_get(contrast, ids[k]));
    }
    result_free(target);
    result_free(other);
}

static void lenses_are_the_references(void **state) {
    json_t *document = read_reference("lens.json"), *entry;
    const char *name;
    int compared = 0;
    json_object_foreach(document, name, entry) {
        char path[1024];
        const char *model = reference_model(name, path);
        if (model != NULL) {
            check_case(name, model, entry);
            check_contrast(name, model, entry);
            compared++;
        }
    }
    assert_true(compared >= 6);
    json_decref(document);
}

static const char small[] = LIMN_TEST_SOURCE_DIR "/tests/golden/llama3";

/* What the model says at each place in the end: behind the last layer that is the likeliest everywhere. */
static void each_place_can_be_asked_of_itself(void **state) {
    json_t *params =
        json_pack("{s:s, s:[i,i,i,i], s:i, s:s}", "model", small, "ids", 5, 17, 40, 9, "target-id", 23, "of", "final");
    Result *result = call_json("lens", params);
    const MatrixBlock *lens = matrix_of(result, "lens");
    const TableBlock *answer = table_of(result, "answer");
    double last = lens->values[(lens->n_rows - 1) * lens->n_columns + lens->n_columns - 1];
    assert_true(fabs(exp(last) - table_cell(answer, lens->n_rows - 1, 2)->number) <= 1e-5);
    result_free(result);
}

/* The headline names the head that writes most, and from which layer on the target stands first. */
static void the_headline_names_the_strongest_head(void **state) {
    static const int targets[] = {23, 13, 15};
    for (int i = 0; i < 3; i++) {
        Result *result = call_json(
            "lens", json_pack("{s:s, s:[i,i,i], s:i}", "model", small, "ids", 5, 7, 11, "target-id", targets[i]));
        const MatrixBlock *heads = matrix_of(result, "direct.heads");
        int best = 0, layer = -1, head = -1;
        for (int k = 1; k < heads->n_rows * heads->n_columns; k++) {
            best = heads->values[k] > heads->values[best] ? k : best;
        }
        const char *said = strstr(result->headline.bytes, "head ");
        const char *first = strstr(result->headline.bytes, "layer ");
        bool stands_first = strstr(result->headline.bytes, "stands first") != NULL;
        if (stands_first) {
            first = strstr(result->headline.bytes, "of the heads, layer ");
            assert_non_null(first);
            assert_int_equal(sscanf(first, "of the heads, layer %d head %d", &layer, &head), 2);
        } else {
            assert_non_null(said);
            assert_int_equal(sscanf(said, "head %d.%d", &layer, &head), 2);
        }
        assert_int_equal(layer * heads->n_columns + head, best);
        result_free(result);
    }
}

static void wrong_questions_are_refused(void **state) {
    refuse_json("lens",
                json_pack("{s:s, s:[i,i]}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/bert-bare", "ids", 5, 17),
                LIMN_USAGE, "is a bare encoder");
    refuse_json("lens", json_pack("{s:s, s:[i,i], s:s}", "model", small, "ids", 5, 17, "of", "everything"), LIMN_USAGE,
                "of");
    refuse_json("lens", json_pack("{s:s, s:[i,i], s:i}", "model", small, "ids", 5, 17, "target-id", 61), LIMN_RANGE,
                "does not exist");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lenses_are_the_references), cmocka_unit_test(each_place_can_be_asked_of_itself),
        cmocka_unit_test(the_headline_names_the_strongest_head), cmocka_unit_test(wrong_questions_are_refused)};
    return cmocka_run_group_tests_name("lens", tests, open_cache, free_cache);
}
