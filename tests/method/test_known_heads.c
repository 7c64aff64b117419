/* What the methods say of a model whose two working heads are known (tests/oracle/attention/make_induction.py): head
 * 0.1 looks back one token, head 1.2 copies what came next last time, so [.. A B .. A] goes on with B. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

static const char model[] = LIMN_TEST_SOURCE_DIR "/tests/golden/attention/induction";
enum { HEADS = 4, TOKENS = 7, BACK = 0 * HEADS + 1, COPY = 1 * HEADS + 2 };

/* Prompts, the place of B. */
static const int32_t prompts[][TOKENS] = {{4, 3, 7, 1, 9, 10, 3}, {0, 11, 2, 8, 5, 6, 8}, {9, 1, 5, 0, 2, 4, 1}};
static const int places[] = {2, 4, 2};
enum { PROMPTS = sizeof places / sizeof places[0] };

static int open_cache(void **state) {
    open_models();
    return 0;
}

static int free_cache(void **state) {
    close_models();
    return 0;
}

static json_t *question(int which, bool target) {
    json_t *ids = json_array();
    for (int t = 0; t < TOKENS; t++) {
        json_array_append_new(ids, json_integer(prompts[which][t]));
    }
    json_t *params = json_pack("{s:s, s:o}", "model", model, "ids", ids);
    if (target) {
        json_object_set_new(params, "target-id", json_integer(prompts[which][places[which]]));
    }
    return params;
}

static int largest(const MatrixBlock *matrix, double sign) {
    int best = 0;
    for (int i = 1; i < matrix->n_rows * matrix->n_columns; i++) {
        best = sign * matrix->values[i] > sign * matrix->values[best] ? i : best;
    }
    return best;
}

static void attention_finds_what_they_look_at(void **state) {
    for (int which = 0; which < PROMPTS; which++) {
        Result *result = call_json("attention", question(which, false));
        const MatrixBlock *previous = matrix_of(result, "previous"), *induction = matrix_of(result, "induction");
        assert_int_equal(largest(previous, 1), BACK);
        assert_int_equal(largest(induction, 1), COPY);
        assert_true(previous->values[BACK] > 0.99 && induction->values[COPY] > 0.9);
        assert_non_null(result_find_block(result, "pattern.0.1"));
        assert_non_null(result_find_block(result, "pattern.1.2"));
        result_free(result);
    }
    Result *result = call_json("attention", json_pack("{s:s, s:i}", "model", model, "repeat", 8));
    assert_int_equal(largest(matrix_of(result, "induction"), 1), COPY);
    result_free(result);
}

/* Without either the answer is gone, without any other it is not. */
static void ablation_finds_both(void **state) {
    static const char *const ways[] = {"zero", "mean", "pattern"};
    for (int which = 0; which < PROMPTS; which++) {
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            json_t *params = question(which, true);
            json_object_set_new(params, "with", json_string(ways[w]));
            Result *result = call_json("ablate", params);
            const MatrixBlock *effects = matrix_of(result, "effects");
            for (int i = 0; i < 2 * HEADS; i++) {
                bool works = i == BACK || i == COPY;
                if (works ? effects->values[i] > -0.5 : fabs(effects->values[i]) > 0.01) {
                    fail_msg("prompt %d, %s: head %d.%d has the effect %g", which, ways[w], i / HEADS, i % HEADS,
                             effects->values[i]);
                }
            }
            result_free(result);
        }
    }
}

static void lens_finds_who_writes(void **state) {
    for (int which = 0; which < PROMPTS; which++) {
        Result *result = call_json("lens", question(which, true));
        const MatrixBlock *heads = matrix_of(result, "direct.heads");
        assert_int_equal(largest(heads, 1), COPY);
        assert_true(heads->values[COPY] > 10 * fabs(heads->values[BACK]));
        const MatrixBlock *lens = matrix_of(result, "lens"); /* nothing of it before the second layer */
        int last = lens->n_columns - 1;
        assert_true(lens->values[1 * lens->n_columns + last] < -2.0 &&
                    lens->values[2 * lens->n_columns + last] > -0.01);
        result_free(result);
    }
}

/* Weighted by what the answer gains, attention leads to B; as it is, it does not. */
static void weighted_rollout_finds_the_token(void **state) {
    int plain_right = 0;
    for (int which = 0; which < PROMPTS; which++) {
        for (int weighted = 0; weighted < 2; weighted++) {
            json_t *params = question(which, true);
            json_object_set_new(params, "check", json_string("none"));
            json_object_set_new(params, "kind", json_string(weighted ? "gradient" : "plain"));
            Result *result = call_json("rollout", params);
            const TokensBlock *tokens = tokens_of(result, "attribution");
            int best = 0;
            for (int t = 1; t < tokens->n; t++) {
                best = tokens->items[t].score > tokens->items[best].score ? t : best;
            }
            if (weighted) {
                assert_int_equal(best, places[which]);
            } else {
                plain_right += best == places[which];
            }
            result_free(result);
        }
    }
    assert_true(plain_right < PROMPTS);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(attention_finds_what_they_look_at),
                                       cmocka_unit_test(ablation_finds_both), cmocka_unit_test(lens_finds_who_writes),
                                       cmocka_unit_test(weighted_rollout_finds_the_token)};
    return cmocka_run_group_tests_name("known heads", tests, open_cache, free_cache);
}
