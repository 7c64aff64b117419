/* `causal-grad`: what must hold between its answers, and what it says of them. A lead is a difference, two tokens are a
 * sum, a probability's slope is the probability; headlines, tables and checks follow from the maps. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/calls.h"
#include "method/letters.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define PAIR "'prompt': 'a cab', 'corrupt': 'a dab'"
static const char *const maps[] = {"effects.resid", "effects.mlp", "effects.head",
                                   "effects.query", "effects.key", "effects.value"};
enum { MAPS = sizeof maps / sizeof maps[0], HEADS = 4, TOKENS = 5 };

static Result *asked(const char *more) {
    char text[512];
    snprintf(text, sizeof text, "'model': '%%', %s%s", more,
             strstr(more, "'check'") == NULL ? ", 'check': 'none'" : "");
    return call_json("causal-grad", json_of(letters, text));
}

static void near(const char *what, double found, double expected) {
    if (!(fabs(found - expected) <= 2e-5 * fmax(1.0, fabs(expected)))) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static const char *text_param(const Result *result, const char *name) {
    for (size_t i = 0; i < result->params.count; i++) {
        if (strcmp(result->params.items[i].name, name) == 0) {
            return result->params.items[i].value.text.bytes;
        }
    }
    return "";
}

/* result = a first + b second, in every map; NAN stands beside NAN. */
static void maps_are(const Result *result, double a, const Result *first, double b, const Result *second) {
    for (int m = 0; m < MAPS; m++) {
        const MatrixBlock *own = matrix_of(result, maps[m]);
        double size = 0.0;
        for (int i = 0; i < own->n_rows * own->n_columns; i++) {
            double expected = a * matrix_of(first, maps[m])->values[i];
            expected += second == NULL ? 0.0 : b * matrix_of(second, maps[m])->values[i];
            if (!isnan(own->values[i]) || !isnan(expected)) {
                near(maps[m], own->values[i], expected);
                size = fmax(size, fabs(expected));
            }
        }
        assert_true(size > 1e-5);
    }
}

/* ---- what is measured ---- */

static void metrics_are_of_one_another(void **state) {
    for (int steps = 0; steps <= 3; steps += 3) {
        char more[128];
        Result *made[5];
        static const char *const questions[] = {"'target': 'd', 'metric': 'logit'", "'target': 'e', 'metric': 'logit'",
                                                "'target': 'd', 'contrast': 'e'", "'target': 'd', 'metric': 'logprob'",
                                                "'target': 'd', 'metric': 'prob'"};
        for (int i = 0; i < 5; i++) {
            snprintf(more, sizeof more, PAIR ", %s, 'steps': %d", questions[i], steps);
            made[i] = asked(more);
        }
        maps_are(made[2], 1, made[0], -1, made[1]);
        near("a lead", param_of(made[2], "base"), param_of(made[0], "base") - param_of(made[1], "base"));
        near("a lead", param_of(made[2], "source"), param_of(made[0], "source") - param_of(made[1], "source"));
        near("a share", param_of(made[4], "base"), exp(param_of(made[3], "base")));
        near("a share", param_of(made[4], "source"), exp(param_of(made[3], "source")));
        if (steps == 0) { /* on a path the slope is another at each point */
            maps_are(made[4], exp(param_of(made[3], "base")), made[3], 0, NULL);
        }
        for (int i = 0; i < 5; i++) {
            result_free(made[i]);
        }
    }
}

static void two_tokens_are_a_sum(void **state) {
    static const char *const metrics[] = {"logprob", "kl"};
    for (int k = 0; k < 2; k++) {
        static const char *const questions[] = {"'prompt': 'a cab', 'corrupt': 'a dab', 'target': 'de'",
                                                "'prompt': 'a cab', 'corrupt': 'a dab', 'target': 'd'",
                                                "'prompt': 'a cabd', 'corrupt': 'a dabd', 'target': 'e'"};
        Result *made[3];
        for (int i = 0; i < 3; i++) {
            char more[128];
            snprintf(more, sizeof more, "%s, 'metric': '%s'", questions[i], metrics[k]);
            made[i] = asked(more);
        }
        near("base", param_of(made[0], "base"), param_of(made[1], "base") + param_of(made[2], "base"));
        double size = 0.0;
        for (int m = 2; m < MAPS; m++) { /* heads: all positions together */
            const MatrixBlock *matrix = matrix_of(made[0], maps[m]);
            for (int i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
                near(maps[m], matrix->values[i],
                     matrix_of(made[1], maps[m])->values[i] + matrix_of(made[2], maps[m])->values[i]);
                size = fmax(size, fabs(matrix->values[i]));
            }
        }
        assert_true(size > 1e-4);
        for (int i = 0; i < 3; i++) {
            result_free(made[i]);
        }
    }
    Result *result = asked(PAIR ", 'target': 'de'"); /* of several tokens, unless --metric says otherwise */
    assert_string_equal(text_param(result, "metric"), "logprob");
    result_free(result);
    result = asked(PAIR ", 'target': 'd'");
    assert_string_equal(text_param(result, "metric"), "logit-diff");
    result_free(result);
}

/* What the two prompts make of the answer is what `run` says of each. */
static void base_and_source_are_the_prompts(void **state) {
    static const char *const prompts[] = {"a cab", "a dab"};
    double logit[2];
    for (int i = 0; i < 2; i++) {
        char text[96];
        snprintf(text, sizeof text, "'model': '%%', 'prompt': '%s', 'target': 'd'", prompts[i]);
        Result *run = call_json("run", json_of(letters, text));
        logit[i] = run->target.logit;
        result_free(run);
    }
    for (int reverse = 0; reverse < 2; reverse++) {
        Result *result = asked(reverse ? PAIR ", 'target': 'd', 'metric': 'logit', 'reverse': true"
                                       : PAIR ", 'target': 'd', 'metric': 'logit'");
        near("base", param_of(result, "base"), logit[1 - reverse]);
        near("source", param_of(result, "source"), logit[reverse]);
        char said[128];
        snprintf(said, sizeof said, "if the place were as in the %s prompt; from %.4g to %.4g in all",
                 reverse ? "corrupt" : "clean", param_of(result, "base"), param_of(result, "source"));
        assert_non_null(strstr(result_find_block(result, "effects.resid")->note.bytes, said));
        snprintf(said, sizeof said, "The prompts differ by %.3g. By the gradient it depends most on the stream before",
                 fabs(logit[0] - logit[1]));
        assert_non_null(strstr(result->headline.bytes, said));
        const MatrixBlock *resid = matrix_of(result, "effects.resid");
        assert_string_equal(resid->column_labels[2].bytes, "c/d");
        assert_string_equal(resid->column_labels[3].bytes, "a");
        assert_true(resid->values[0] == 0.0 && resid->values[1] == 0.0 && resid->values[2] != 0.0); /* what differs */
        result_free(result);
    }
    static const char *const against[] = {"zero", "mean"}, *const held[] = {"held zero",
                                                                            "held the mean over the prompt"};
    for (int i = 0; i < 2; i++) {
        char more[96];
        snprintf(more, sizeof more, "'prompt': 'a cab', 'target': 'd', 'metric': 'logit', 'against': '%s'", against[i]);
        Result *result = asked(more);
        near("base", param_of(result, "base"), logit[0]);
        assert_true(isnan(param_of(result, "source")));
        assert_non_null(strstr(result_find_block(result, "effects.resid")->note.bytes, held[i]));
        assert_int_equal(strncmp(result->headline.bytes, "By the gradient", 15), 0);
        assert_string_equal(matrix_of(result, "effects.resid")->column_labels[2].bytes, "c");
        result_free(result);
    }
}

/* ---- what is shown ---- */

/* The place of the largest size. */
static int largest(const MatrixBlock *matrix) {
    int best = -1;
    for (int i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
        bool larger = !isnan(matrix->values[i]) && (best < 0 || fabs(matrix->values[i]) > fabs(matrix->values[best]));
        best = larger ? i : best;
    }
    return best;
}

static void the_strongest_are_listed(void **state) {
    static const char *const kinds[] = {"atp", "atp-star"};
    for (int star = 0; star < 2; star++) {
        char more[128], said[256];
        snprintf(more, sizeof more, PAIR ", 'target': 'd', 'metric': 'logit', 'kind': '%s', 'top': 60", kinds[star]);
        Result *result = asked(more);
        const MatrixBlock *resid = matrix_of(result, "effects.resid"), *head = matrix_of(result, "effects.head");
        const TableBlock *neurons = table_of(result, "neurons"), *table = table_of(result, "strongest");
        int stream = largest(resid), best = largest(head);
        static const char *const tokens[] = {"a", " ", "c/d", "a", "b"};
        snprintf(said, sizeof said,
                 star ? "the stream before layer %d at \"%s\" (%.3g), head %d.%d (%.3g), neuron %d.%d (%.3g)"
                      : "the stream before layer %d at \"%s\" (%+.3g), head %d.%d (%+.3g), neuron %d.%d (%+.3g)",
                 stream / TOKENS, tokens[stream % TOKENS], resid->values[stream], best / HEADS, best % HEADS,
                 head->values[best], (int)table_cell(neurons, 0, 0)->integer, (int)table_cell(neurons, 0, 1)->integer,
                 table_cell(neurons, 0, 2)->number);
        assert_non_null(strstr(result->headline.bytes, said));
        assert_string_equal(text_param(result, "sign"),
                            star ? "sizes without a sign" : "positive raises what is measured");
        double last = INFINITY;
        assert_int_equal(neurons->n_rows, 60);
        for (int32_t row = 0; row < neurons->n_rows; row++) {
            assert_true(fabs(table_cell(neurons, row, 2)->number) <= last);
            last = fabs(table_cell(neurons, row, 2)->number);
            assert_string_equal(table_cell(neurons, row, 3)->text.bytes, "mlp.hook_post");
        }
        /* heads, their queries, keys and values, and MLPs by position: all there are, the largest first */
        static const char *const names[] = {"MLP", "head", "queries of a head", "keys of a head", "values of a head"};
        int seen[5] = {0, 0, 0, 0, 0};
        last = INFINITY;
        assert_int_equal(table->n_rows, 4 * 2 * HEADS + 2 * TOKENS);
        for (int32_t row = 0; row < table->n_rows; row++) {
            double effect = table_cell(table, row, 3)->number;
            int kind = 0, layer, column = -1;
            while (strcmp(names[kind], table_cell(table, row, 0)->text.bytes) != 0) {
                assert_true(++kind < 5);
            }
            assert_true(fabs(effect) <= last && (!star || effect >= 0.0));
            last = fabs(effect);
            seen[kind]++;
            if (kind > 0) {
                assert_int_equal(sscanf(table_cell(table, row, 1)->text.bytes, "%d.%d", &layer, &column), 2);
                assert_int_equal(table_cell(table, row, 2)->integer, layer);
                assert_true(matrix_of(result, maps[kind + 1])->values[layer * HEADS + column] == effect);
            }
        }
        assert_true(seen[0] == 2 * TOKENS && seen[1] == 8 && seen[2] == 8 && seen[3] == 8 && seen[4] == 8);
        result_free(result);
    }
    Result *few = asked(PAIR ", 'target': 'd'"); /* ten unless --top says otherwise */
    assert_int_equal(table_of(few, "strongest")->n_rows, 10);
    assert_int_equal(table_of(few, "neurons")->n_rows, 10);
    assert_int_equal(largest(matrix_of(few, "effects.resid")) >= 0, 1);
    result_free(few);
}

/* Where patterns are constants nothing is said of queries and keys. */
static void constant_patterns_have_no_queries(void **state) {
    static const char *const rules[] = {"true", "frozen", "lrp", "relp"};
    for (int i = 0; i < 4; i++) {
        char more[128];
        bool constant = i == 1 || i == 3;
        snprintf(more, sizeof more, PAIR ", 'target': 'd', 'metric': 'logit', 'rules': '%s', 'check': 'quick'",
                 rules[i]);
        Result *result = asked(more);
        assert_int_equal(result_find_block(result, "effects.query") == NULL, constant);
        assert_int_equal(result_find_block(result, "effects.key") == NULL, constant);
        assert_non_null(result_find_block(result, "effects.value"));
        int checks = 0;
        for (int32_t c = 0; c < result->n_checks; c++) {
            checks += strncmp(result->checks[c].name.bytes, "patching ", 9) == 0;
        }
        assert_int_equal(checks, constant ? 5 : 7);
        result_free(result);
    }
}

/* What was changed in earnest: those furthest off first, each off by its own difference. */
static void the_worst_come_first(void **state) {
    static const char *const kinds[] = {"atp", "atp-star"};
    for (int star = 0; star < 2; star++) {
        char more[128];
        snprintf(more, sizeof more, PAIR ", 'target': 'd', 'metric': 'logit', 'kind': '%s', 'check': 'full'",
                 kinds[star]);
        Result *result = asked(more);
        const TableBlock *table = table_of(result, "patched");
        double last = INFINITY;
        assert_int_equal(table->n_rows, 12);
        for (int32_t row = 0; row < table->n_rows; row++) {
            double estimate = table_cell(table, row, 2)->number, effect = table_cell(table, row, 3)->number,
                   off = table_cell(table, row, 4)->number;
            near("off by", off, fabs(estimate - (star ? fabs(effect) : effect)));
            assert_true(off <= last);
            last = off;
        }
        assert_true(result_find_block(result, "patched")->detail);
        /* of 10 places for streams and MLPs, 8 heads, and 28 of 96 neurons */
        assert_non_null(strstr(result_find_block(result, "patched")->note.bytes, "80 sites were changed"));
        for (int32_t c = 0; c < result->n_checks; c++) {
            assert_true(result->checks[c].limit == 0.7 && result->checks[c].kind == CHECK_AT_LEAST);
            assert_true(result->checks[c].value <= 1.0);
        }
        result_free(result);
    }
    Result *none = asked(PAIR ", 'target': 'd'");
    assert_null(result_find_block(none, "patched"));
    assert_int_equal(none->n_checks, 0);
    result_free(none);
}

/* The last layer's MLP at the last place is read by the last norm alone: its true effect is that of the whole edit, as
 * `run` with the other prompt's value has it; here that of the first layer's stream is the whole difference. */
static void a_stream_that_is_all_replaced_is_the_difference(void **state) {
    Result *result =
        asked("'prompt': 'c', 'corrupt': 'd', 'target': 'e', 'metric': 'logit', 'check': 'full', 'top': 1");
    const TableBlock *table = table_of(result, "patched");
    double whole = param_of(result, "source") - param_of(result, "base");
    int found = 0;
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, "the stream") == 0) { /* one place, in either layer */
            near("all of it", table_cell(table, row, 3)->number, whole);
            assert_non_null(strstr(table_cell(table, row, 1)->text.bytes, "\"c/d\" (position 0)"));
            found++;
        }
    }
    assert_true(found > 0 && fabs(whole) > 1e-3);
    result_free(result);
}

static void path_checks_are_made_on_paths(void **state) {
    static const struct {
        const char *more;
        bool summed;
    } cases[] = {{PAIR ", 'target': 'd', 'metric': 'logit', 'steps': 64", true},
                 {PAIR ", 'target': 'd', 'metric': 'logit'", false},
                 {PAIR ", 'target': 'd', 'metric': 'logit', 'steps': 4, 'rules': 'lrp'", false},
                 {"'prompt': 'a cab', 'target': 'd', 'against': 'zero', 'metric': 'logit', 'steps': 4", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result = asked(cases[i].more);
        assert_int_equal(result->n_checks, cases[i].summed ? 1 : 0);
        if (cases[i].summed) {
            const MatrixBlock *resid = matrix_of(result, "effects.resid");
            double sum = 0.0, whole = param_of(result, "source") - param_of(result, "base");
            for (int row = 0; row < TOKENS; row++) {
                sum += resid->values[row];
            }
            assert_string_equal(result->checks[0].name.bytes, "sum");
            near("the sum", result->checks[0].value, fabs(sum - whole) / fabs(whole));
            assert_true(result->checks[0].limit == 0.05 && result->checks[0].advisory);
            assert_true(fabs(sum - whole) < 0.01 * fabs(whole));
        }
        result_free(result);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(metrics_are_of_one_another),
                                       cmocka_unit_test(two_tokens_are_a_sum),
                                       cmocka_unit_test(base_and_source_are_the_prompts),
                                       cmocka_unit_test(the_strongest_are_listed),
                                       cmocka_unit_test(constant_patterns_have_no_queries),
                                       cmocka_unit_test(the_worst_come_first),
                                       cmocka_unit_test(a_stream_that_is_all_replaced_is_the_difference),
                                       cmocka_unit_test(path_checks_are_made_on_paths)};
    return cmocka_run_group_tests_name("causal-grad, sums", tests, open_letters, close_letters);
}
