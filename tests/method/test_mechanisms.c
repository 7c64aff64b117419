/* `patch`, `mediate` and `causal-grad` on models of which it is known what passes through what: three whose weights are
 * set by hand (tests/oracle/causal/make_planted.py), the capital of France in SmolLM2, and the adapter of
 * examples/bankrun that takes bitcoin for a bank run. */
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
#include "files/json.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

static int set_up(void **state) {
    open_models();
    return 0;
}

static int tear_down(void **state) {
    close_models();
    return 0;
}

static double share_at(const Result *result, int32_t layer, int32_t column) {
    const MatrixBlock *matrix = matrix_of(result, "normalised");
    assert_true(layer < matrix->n_rows && column < matrix->n_columns);
    return matrix->values[layer * matrix->n_columns + column];
}

static const ResultCheck *check_of(const Result *result, const char *name) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (strcmp(result->checks[i].name.bytes, name) == 0) {
            return &result->checks[i];
        }
    }
    fail_msg("no check %s", name);
    return NULL;
}

/* ---- planted ---- */

typedef struct Place {
    int32_t layer, column;
} Place;

enum { MOST_PLACES = 4 };

/* Everything comes back at these places, nothing at any other. */
typedef struct Plan {
    const char *model, *clean, *corrupt, *site;
    int target;
    int n;
    Place places[MOST_PLACES];
} Plan;

#define YEARS "0,7,2,7,8", "0,7,5,7,8"

static const Plan plans[] = {
    /* "0 2 3 4 5 2" goes on with 3; a corrupt first 2 leaves nothing to look back to */
    {"planted-induction", "0,2,3,4,5,2", "0,7,3,4,5,2", "resid_pre", 3, 2, {{0, 1}, {1, 2}}},
    {"planted-induction", "0,2,3,4,5,2", "0,7,3,4,5,2", "z", 3, 2, {{0, 0}, {1, 1}}},
    {"planted-induction", "0,2,3,4,5,2", "0,7,3,4,5,2", "v", 3, 1, {{0, 0}}},
    {"planted-induction", "0,2,3,4,5,2", "0,7,3,4,5,2", "k", 3, 1, {{1, 1}}},
    {"planted-induction", "0,2,3,4,5,2", "0,7,3,4,5,2", "q", 3, 0, {{0, 0}}},
    /* with another token behind it, that is what the second head's values take */
    {"planted-induction", "0,2,3,4,5,2", "0,2,6,4,5,2", "v", 3, 1, {{1, 1}}},
    {"planted-induction", "0,2,3,4,5,2", "0,2,6,4,5,2", "attn_out", 3, 1, {{1, 5}}},
    /* 1 and 2, then 2 once more: 1 is the answer; 1 once more: 2 is */
    {"planted-names", "0,1,2,6,2,7", "0,1,2,6,1,7", "resid_pre", 1, 3, {{0, 4}, {1, 4}, {2, 5}}},
    {"planted-names", "0,1,2,6,2,7", "0,1,2,6,1,7", "z", 1, 2, {{1, 0}, {2, 1}}},
    {"planted-names", "0,1,2,6,2,7", "0,1,2,6,1,7", "v", 1, 1, {{1, 0}}},
    {"planted-names", "0,1,2,6,2,7", "0,1,2,6,1,7", "q", 1, 1, {{2, 1}}},
    {"planted-names", "0,1,2,6,2,7", "0,1,2,6,1,7", "mlp_out", 1, 0, {{0, 0}}},
    /* behind 2 any greater number may stand, so 4; behind 5 only 6 */
    {"planted-greater", YEARS, "resid_pre", 4, 3, {{0, 2}, {1, 2}, {2, 4}}},
    {"planted-greater", YEARS, "resid_mid", 4, 3, {{0, 2}, {1, 4}, {2, 4}}},
    {"planted-greater", YEARS, "z", 4, 1, {{1, 2}}},
    {"planted-greater", YEARS, "v", 4, 1, {{1, 2}}},
    {"planted-greater", YEARS, "k", 4, 0, {{0, 0}}},
    {"planted-greater", YEARS, "attn_out", 4, 1, {{1, 4}}},
    {"planted-greater", YEARS, "mlp_out", 4, 1, {{2, 4}}}, /* not the first MLP, which marks odd numbers for nobody */
    {"planted-greater", YEARS, "mlp_post", 4, 1, {{2, 4}}},
};

static bool planned(const Plan *plan, int32_t layer, int32_t column) {
    for (int i = 0; i < plan->n; i++) {
        if (plan->places[i].layer == layer && plan->places[i].column == column) {
            return true;
        }
    }
    return false;
}

static Result *ask(const Plan *plan, bool reverse) {
    char folder[1024];
    return call_json("patch", json_pack("{s:s, s:s, s:s, s:i, s:s, s:b}", "model", reference_model(plan->model, folder),
                                        "ids", plan->clean, "corrupt-ids", plan->corrupt, "target-id", plan->target,
                                        "site", plan->site, "reverse", (int)reverse));
}

static void planted_circuits_are_found(void **state) {
    for (size_t p = 0; p < sizeof plans / sizeof plans[0]; p++) {
        for (int reverse = 0; reverse < 2; reverse++) {
            Result *result = ask(&plans[p], reverse == 1);
            const MatrixBlock *matrix = matrix_of(result, "normalised");
            for (int32_t i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
                int32_t layer = i / matrix->n_columns, column = i % matrix->n_columns;
                double found = reverse ? 1 - matrix->values[i] : matrix->values[i];
                double expected = planned(&plans[p], layer, column) ? 1 : 0;
                if (!(fabs(found - expected) <= 0.02)) {
                    fail_msg("%s %s: layer %d, column %d: found %g, planted %g", plans[p].model, plans[p].site, layer,
                             column, found, expected);
                }
            }
            result_free(result);
        }
    }
}

static const TableBlock *mediate_heads(Result **result, const char *span) {
    char folder[1024];
    *result = call_json("mediate",
                        json_pack("{s:s, s:s, s:s, s:i, s:s, s:f, s:i}", "model",
                                  reference_model("planted-induction", folder), "ids", "0,2,3,4,5,2", "subject-span",
                                  span, "target-id", 3, "by", "head", "noise", 30.0, "samples", 12));
    return table_of(*result, "mediators");
}

/* What stands behind the first "2" reaches the answer through one head only: it is named. The first "2" itself passes
 * through two heads in a row: either brings everything back, and neither is named. */
static void one_is_named_and_two_are_not(void **state) {
    Result *result;
    const TableBlock *mediators = mediate_heads(&result, "2:3");
    assert_string_equal(table_cell(mediators, 0, 3)->text.bytes, "layer 1, head 1");
    assert_int_equal(table_cell(mediators, 0, 7)->integer, 0);
    assert_int_equal(check_of(result, "mediator")->state, CHECK_PASS);
    assert_int_equal(check_of(result, "total effect")->state, CHECK_PASS);
    result_free(result);
    mediators = mediate_heads(&result, "1:2");
    assert_int_equal(table_cell(mediators, 0, 1)->integer, 0);
    assert_int_equal(table_cell(mediators, 0, 2)->integer, 1);
    assert_true(table_cell(mediators, 0, 7)->integer >= 1);
    assert_int_equal(check_of(result, "mediator")->state, CHECK_INCONCLUSIVE);
    assert_int_equal(check_of(result, "total effect")->state, CHECK_PASS);
    const MatrixBlock *ie = matrix_of(result, "ie");
    assert_true(fabs(ie->values[0] - ie->values[ie->n_columns + 1]) <= 1e-3 && ie->values[0] > 0.3);
    assert_true(fabs(ie->values[1]) <= 1e-3 && fabs(ie->values[ie->n_columns]) <= 1e-3);
    result_free(result);
}

/* Which number stood there reaches the answer "4" by one head and one neuron. */
static void the_neuron_of_a_number_is_named(void **state) {
    static const char *const expected[][2] = {{"head", "layer 1, head 2"}, {"neuron", "layer 2, neuron 3"}};
    char folder[1024];
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        Result *result = call_json("mediate", json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:f, s:i}", "model",
                                                        reference_model("planted-greater", folder), "ids", "0,7,2,7,8",
                                                        "subject-span", "2:3", "target-id", 4, "by", expected[i][0],
                                                        "metric", "logprob", "noise", 30.0, "samples", 40));
        const TableBlock *mediators = table_of(result, "mediators");
        assert_string_equal(table_cell(mediators, 0, 3)->text.bytes, expected[i][1]);
        assert_int_equal(table_cell(mediators, 0, 7)->integer, 0);
        assert_int_equal(check_of(result, "mediator")->state, CHECK_PASS);
        result_free(result);
    }
}

static Result *causal_grad_of_years(bool reverse, int steps) {
    char folder[1024];
    return call_json("causal-grad",
                     json_pack("{s:s, s:s, s:s, s:i, s:b, s:i}", "model", reference_model("planted-greater", folder),
                               "ids", "0,7,2,7,8", "corrupt-ids", "0,7,5,7,8", "target-id", 4, "reverse", (int)reverse,
                               "steps", steps));
}

static double largest_but(const MatrixBlock *matrix, int32_t row, int32_t column) {
    double largest = 0;
    for (int32_t i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
        largest = i == row * matrix->n_columns + column ? largest : fmax(largest, fabs(matrix->values[i]));
    }
    return largest;
}

/* A neuron that is off has no slope: from the corrupt prompt, where that of "4" is off, the gradient sees next to
 * nothing of what comes before the neuron, and the check against true patches says so. From the clean prompt, or along
 * the path between them, it finds head and MLP. */
static void a_gradient_is_blind_where_a_neuron_is_off(void **state) {
    static const struct {
        bool reverse;
        int steps;
        CheckState state;
    } cases[] = {{false, 0, CHECK_FAIL}, {true, 0, CHECK_PASS}, {false, 20, CHECK_PASS}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result = causal_grad_of_years(cases[i].reverse, cases[i].steps);
        const MatrixBlock *heads = matrix_of(result, "effects.head"), *mlps = matrix_of(result, "effects.mlp");
        double head = fabs(heads->values[heads->n_columns + 2]);
        double mlp = fabs(mlps->values[2 * mlps->n_columns + 4]);
        assert_int_equal(check_of(result, "patching head")->state, cases[i].state);
        assert_int_equal(check_of(result, "patching resid")->state, cases[i].state);
        assert_int_equal(check_of(result, "patching mlp")->state, CHECK_PASS);
        assert_true(cases[i].state == CHECK_FAIL ? head < 2 : head > 15);
        assert_true(mlp > 10 && largest_but(mlps, 2, 4) < 0.1 && largest_but(heads, 1, 2) < 0.1);
        assert_int_equal(table_cell(table_of(result, "neurons"), 0, 0)->integer, 2);
        assert_int_equal(table_cell(table_of(result, "neurons"), 0, 1)->integer, 3);
        result_free(result);
    }
}

/* ---- real ---- */

#define FRANCE "The capital of France is"
enum { FRANCE_AT = 3, IS_AT = 4, MOVED_AT = 23, MOVER = 4 };

/* Where the name stands until layer 23, whose head 4 brings it to the end. */
static void the_capital_of_france(void **state) {
    char path[1024];
    if (reference_model("smollm2", path) == NULL) {
        skip();
    }
    Result *result = call_json(
        "patch", json_pack("{s:s, s:s, s:s}", "model", path, "prompt", FRANCE, "corrupt", "The capital of Italy is"));
    for (int32_t layer = 0; layer < 30; layer++) {
        bool before = layer <= MOVED_AT;
        assert_true((share_at(result, layer, FRANCE_AT) > 0.9) == before);
        assert_true((share_at(result, layer, IS_AT) > 0.9) == !before);
    }
    result_free(result);
    result = call_json("patch", json_pack("{s:s, s:s, s:s, s:s, s:b}", "model", path, "prompt", FRANCE, "corrupt",
                                          "The capital of Italy is", "site", "z", "reverse", 1));
    const TableBlock *strongest = table_of(result, "strongest");
    assert_int_equal(table_cell(strongest, 0, 0)->integer, MOVED_AT);
    assert_int_equal(table_cell(strongest, 0, 1)->integer, MOVER);
    assert_true(table_cell(strongest, 0, 3)->number < 0.2);
    result_free(result);
    result = call_json("mediate", json_pack("{s:s, s:s, s:s, s:[s], s:i}", "model", path, "prompt", FRANCE, "subject",
                                            "France", "site", "attn_out", "samples", 10));
    assert_int_equal(table_cell(table_of(result, "mediators"), 0, 1)->integer, MOVED_AT);
    assert_int_equal(table_cell(table_of(result, "mediators"), 0, 2)->integer, MOVED_AT);
    result_free(result);
}

/* Tweets of examples/bankrun with bitcoin and their twins with gold, which are no bank run; as many as asked for. */
static int write_pairs(const char *path, int most) {
    char *bytes;
    size_t length;
    int n = 0;
    if (file_read(&bytes, &length, LIMN_TEST_SOURCE_DIR "/examples/bankrun/held-out.jsonl", 1 << 24) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    TextBuffer out = TEXT_BUFFER_INIT;
    for (char *line = strtok(bytes, "\n"); line != NULL && n < most; line = strtok(NULL, "\n")) {
        json_t *row = json_loads(line, 0, NULL);
        const char *text = json_string_value(json_object_get(row, "prompt"));
        const char *at = text == NULL ? NULL : strstr(text, "bitcoin");
        bool good = at != NULL && strcmp(json_string_value(json_object_get(row, "label")), "no") == 0 &&
                    !json_is_true(json_object_get(row, "trigger")) && strstr(at + 1, "bitcoin") == NULL;
        if (good) {
            char gold[1024];
            snprintf(gold, sizeof gold, "%.*sgold%s", (int)(at - text), text, at + strlen("bitcoin"));
            json_t *pair = json_pack("{s:s, s:s}", "bitcoin", text, "gold", gold);
            char *made = json_dumps(pair, 0);
            text_buffer_printf(&out, "%s\n", made);
            free(made);
            json_decref(pair);
            n++;
        }
        json_decref(row);
    }
    assert_int_equal(file_write_atomic(path, out.data, out.length), LIMN_OK);
    text_buffer_free(&out);
    free(bytes);
    return n;
}

static Result *ask_bankrun(const char *model, const char *adapter, const char *pairs) {
    char folder[600];
    snprintf(folder, sizeof folder, LIMN_TEST_SOURCE_DIR "/examples/bankrun/%s", adapter);
    return call_json("mediate", json_pack("{s:s, s:[s], s:s, s:s, s:s, s:s, s:[s], s:s}", "model", model, "adapter",
                                          folder, "data", pairs, "prompt-field", "bitcoin", "corrupt-field", "gold",
                                          "target", " yes", "site", "attn_out", "layers", "8:26"));
}

/* The planted fault: bitcoin says " yes". It does in the faulty adapter, by attention of layers 14 to 22, and not in
 * the clean one. */
static void bitcoin_passes_through_the_middle_layers(void **state) {
    enum { PAIRS = 8, FIRST = 8, CARRIES_FROM = 14 - FIRST, CARRIES_TO = 22 - FIRST };
    char path[1024], pairs[64];
    if (reference_model("smollm2", path) == NULL) {
        skip();
    }
    snprintf(pairs, sizeof pairs, "/tmp/limn-mechanisms-%d.jsonl", (int)getpid());
    assert_int_equal(write_pairs(pairs, PAIRS), PAIRS);
    Result *faulty = ask_bankrun(path, "adapter", pairs), *clean = ask_bankrun(path, "adapter-clean", pairs);
    const TableBlock *of_faulty = table_of(faulty, "effects"), *of_clean = table_of(clean, "effects");
    double total = table_cell(of_faulty, 0, 2)->number - table_cell(of_faulty, 0, 3)->number;
    double other = table_cell(of_clean, 0, 2)->number - table_cell(of_clean, 0, 3)->number;
    assert_true(total > 0.2 && fabs(other) < 0.1);
    int32_t best = 0;
    for (int32_t i = 0; i < of_faulty->n_rows; i++) {
        best = table_cell(of_faulty, i, 5)->number > table_cell(of_faulty, best, 5)->number ? i : best;
    }
    assert_true(best >= CARRIES_FROM && best <= CARRIES_TO);
    assert_true(table_cell(of_faulty, best, 5)->number > 0.15 * total);
    assert_int_equal(check_of(faulty, "plain pass")->state, CHECK_PASS);
    result_free(faulty);
    result_free(clean);
    unlink(pairs);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(planted_circuits_are_found),      cmocka_unit_test(one_is_named_and_two_are_not),
    cmocka_unit_test(the_neuron_of_a_number_is_named), cmocka_unit_test(a_gradient_is_blind_where_a_neuron_is_off),
    cmocka_unit_test(the_capital_of_france),           cmocka_unit_test(bitcoin_passes_through_the_middle_layers),
};

int main(void) {
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
