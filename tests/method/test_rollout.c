/* `rollout` as plain PyTorch has it on Hugging Face models (tests/oracle/attention/make_rollout.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

enum { TARGET = 23 };

static int open_cache(void **state) {
    open_models();
    return 0;
}

static int free_cache(void **state) {
    close_models();
    return 0;
}

/* The question of a reference: its ids, and a target where the answer is read. */
static json_t *question(const char *name, const char *model, const json_t *entry) {
    json_t *params =
        json_pack("{s:s, s:O, s:s}", "model", model, "ids", json_object_get(entry, "ids"), "check", "none");
    int classes = (int)json_integer_value(json_object_get(entry, "classes"));
    int at = (int)json_integer_value(json_object_get(entry, "at"));
    char text[32];
    if (classes > 0) {
        snprintf(text, sizeof text, "%d", TARGET % classes);
        json_object_set_new(params, "class", json_string(text));
    } else if (strstr(name, "bert") != NULL) {
        snprintf(text, sizeof text, "%d", at);
        json_object_set_new(params, "at", json_string(text));
        json_object_set_new(params, "target-id", json_integer(TARGET));
    } else if (strcmp(name, "minilm") != 0) {
        json_object_set_new(params, "target-id", json_integer(TARGET));
    }
    return params;
}

/* Scores are the answer's row. */
static void check_row(const Result *result, const MatrixBlock *matrix, int at) {
    const TokensBlock *tokens = tokens_of(result, "attribution");
    for (int32_t t = 0; t < tokens->n; t++) {
        double expected = matrix->values[at * matrix->n_columns + t];
        assert_true(isnan(tokens->items[t].score) || fabs(tokens->items[t].score - expected) <= 1e-12);
    }
}

static void rollout_is_the_listings(void **state) {
    json_t *document = read_reference("rollout.json"), *entry, *reference;
    const char *name, *residual, *mutant;
    int compared = 0;
    json_object_foreach(document, name, entry) {
        char path[1024];
        const char *model = reference_model(name, path);
        if (model == NULL) {
            continue;
        }
        json_object_foreach(json_object_get(entry, "rollout"), residual, reference) {
            json_t *params = question(name, model, entry);
            json_object_set_new(params, "residual", json_string(residual));
            Result *result = call_json("rollout", params);
            const MatrixBlock *matrix = matrix_of(result, "rollout");
            double error = matrix_error(matrix, reference);
            if (!(error <= 1e-4)) {
                fail_msg("%s, residual %s: a cell is %.2e of the largest from the listing's", name, residual, error);
            }
            assert_true(result_passed(result));
            if (strcmp(name, "minilm") != 0) {
                check_row(result, matrix, (int)json_integer_value(json_object_get(entry, "at")));
            }
            result_free(result);
        }
        Result *result = call_json("rollout", question(name, model, entry));
        json_object_foreach(json_object_get(entry, "mutants"), mutant, reference) {
            double error = matrix_error(matrix_of(result, "rollout"), reference);
            if (!(error > 1e-2) && strcmp(name, "smollm2") != 0) { /* all of a long causal one is the first token */
                fail_msg("%s: the mutant '%s' misses by %.2e only", name, mutant, error);
            }
        }
        result_free(result);
        compared++;
    }
    assert_true(compared >= 6);
    json_decref(document);
}

static const char small[] = LIMN_TEST_SOURCE_DIR "/tests/golden/llama3";

static json_t *small_question(void) {
    return json_pack("{s:s, s:[i,i,i,i], s:i, s:s}", "model", small, "ids", 5, 17, 40, 9, "target-id", TARGET, "check",
                     "none");
}

/* Sinks are the first token and special ones: with them dropped a row that looks at nothing else is itself. */
static void sinks_can_be_left_out(void **state) {
    json_t *params = small_question();
    json_object_set_new(params, "sinks", json_string("drop"));
    Result *result = call_json("rollout", params);
    const MatrixBlock *matrix = matrix_of(result, "rollout");
    for (int32_t i = 0; i < matrix->n_rows; i++) {
        double first = matrix->values[i * matrix->n_columns];
        assert_true(first == (i == 0 ? 1.0 : 0.0));
    }
    assert_true(matrix->values[1 * matrix->n_columns + 1] == 1.0);
    assert_true(matrix->values[2 * matrix->n_columns + 1] > 0.0);
    assert_true(result_passed(result));
    result_free(result);
}

/* An answer of several tokens is the mean of their rows. */
static void longer_answers_are_means(void **state) {
    Result *result = call_json("rollout", json_pack("{s:s, s:[i,i,i,i,i], s:s, s:s}", "model", small, "ids", 5, 17, 40,
                                                    9, 23, "target-span", "3:5", "check", "none"));
    const MatrixBlock *matrix = matrix_of(result, "rollout");
    const TokensBlock *tokens = tokens_of(result, "attribution");
    for (int32_t t = 0; t < 4; t++) {
        double expected = (matrix->values[2 * matrix->n_columns + t] + matrix->values[3 * matrix->n_columns + t]) / 2;
        assert_true(fabs(tokens->items[t].score - expected) <= 1e-12);
    }
    assert_int_equal(tokens->items[4].state, TOKEN_UNREACHED);
    result_free(result);
}

/* Of an edge the weight is the cell: with one word for each token. */
static void edges_are_the_largest_cells(void **state) {
    Result *result = call_json("rollout", small_question());
    const MatrixBlock *matrix = matrix_of(result, "rollout");
    const TableBlock *edges = table_of(result, "edges");
    assert_true(edges->n_rows > 0);
    double before = INFINITY;
    for (int32_t e = 0; e < edges->n_rows; e++) {
        int64_t from = table_cell(edges, e, 1)->integer, to = table_cell(edges, e, 3)->integer;
        double weight = table_cell(edges, e, 4)->number;
        assert_true(from > 0 && from <= to);
        assert_true(fabs(weight - matrix->values[to * matrix->n_columns + from]) <= 1e-12);
        assert_true(weight <= before);
        before = weight;
    }
    result_free(result);
}

/* An encoder with words of its own: what leads to the answer is its row, what special tokens have is said. */
static void ways_lead_to_the_answer(void **state) {
    static const char *const files[][2] = {{"bert-mlm", "config.json"},
                                           {"bert-mlm", "model.safetensors"},
                                           {"predict/bert", "vocab.txt"},
                                           {"predict/bert", "tokenizer_config.json"}};
    enum { AT = 4 };
    char folder[] = "/tmp/limn-rollout-XXXXXX", from[1200], to[1200], share[32];
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < 4; i++) {
        snprintf(from, sizeof from, LIMN_TEST_SOURCE_DIR "/tests/golden/%s/%s", files[i][0], files[i][1]);
        snprintf(to, sizeof to, "%s/%s", folder, files[i][1]);
        assert_int_equal(symlink(from, to), 0);
    }
    Result *result = call_json("rollout", json_pack("{s:s, s:s, s:s}", "model", folder, "prompt",
                                                    "is the money [MASK] from my bank", "check", "none"));
    const MatrixBlock *matrix = matrix_of(result, "rollout");
    const TableBlock *edges = table_of(result, "edges");
    const TokensBlock *tokens = tokens_of(result, "attribution");
    double shown = 0.0;
    int answers = 0;
    for (int32_t t = 0; t < tokens->n; t++) {
        shown += isnan(tokens->items[t].score) ? 0.0 : tokens->items[t].score;
    }
    for (int32_t e = 0; e < edges->n_rows; e++) {
        if (strcmp(table_cell(edges, e, 2)->text.bytes, "(the answer)") == 0) {
            int64_t source = table_cell(edges, e, 1)->integer;
            double expected = matrix->values[AT * matrix->n_columns + source];
            assert_true(fabs(table_cell(edges, e, 4)->number - expected) <= 1e-12);
            assert_int_equal(table_cell(edges, e, 3)->integer, AT);
            answers++;
        }
    }
    assert_true(answers > 0);
    snprintf(share, sizeof share, "; %.0f%% of it", 100.0 * (1.0 - shown));
    assert_non_null(strstr(result_find_block(result, "attribution")->note.bytes, share));
    result_free(result);
    for (int i = 0; i < 4; i++) {
        snprintf(to, sizeof to, "%s/%s", folder, files[i][1]);
        unlink(to);
    }
    rmdir(folder);
}

/* ---- weighted kinds and flow ---- */

static Result *kind_of(const char *name, const char *model, const json_t *entry, const char *kind) {
    json_t *params = reference_question(name, model, entry);
    json_object_set_new(params, "check", json_string("none"));
    json_object_set_new(params, "kind", json_string(kind));
    return call_json("rollout", params);
}

static void check_scores(const char *name, const Result *result, const json_t *scores) {
    const TokensBlock *tokens = tokens_of(result, "attribution");
    double scale = 0.0;
    for (int32_t t = 0; t < tokens->n; t++) {
        scale = fmax(scale, fabs(json_number_value(json_array_get(scores, (size_t)t))));
    }
    for (int32_t t = 0; t < tokens->n; t++) {
        double expected = json_number_value(json_array_get(scores, (size_t)t));
        if (!(fabs(tokens->items[t].score - expected) <= 1e-4 * scale)) {
            fail_msg("%s: token %d has %g, the reference %g", name, (int)t, tokens->items[t].score, expected);
        }
    }
}

static void check_kind(const char *name, const char *model, const json_t *entry, const char *kind) {
    const json_t *reference = json_object_get(entry, kind);
    const json_t *mutant = json_object_get(json_object_get(entry, "mutants"), kind);
    Result *result = kind_of(name, model, entry, kind);
    const MatrixBlock *matrix = matrix_of(result, "rollout");
    bool flow = strcmp(kind, "flow") == 0;
    json_t *rows = flow ? json_pack("[O]", reference) : json_incref((json_t *)(uintptr_t)reference);
    double error = matrix_error(matrix, rows);
    if (!(error <= 1e-4)) {
        fail_msg("%s, %s: a cell is %.2e of the largest from the reference's", name, kind, error);
    }
    if (mutant != NULL && !(matrix_error(matrix, mutant) > 1e-3)) {
        fail_msg("%s, %s: the mutant misses by %.2e only", name, kind, matrix_error(matrix, mutant));
    }
    if (strcmp(kind, "alti") == 0) {
        check_scores(name, result, json_object_get(entry, "scores"));
    } else if (flow) {
        check_scores(name, result, reference);
    }
    assert_true(result_passed(result));
    json_decref(rows);
    result_free(result);
}

static void kinds_are_the_references(void **state) {
    static const char *const kinds[] = {"gradient", "value", "alti", "flow"};
    json_t *document = read_reference("kinds.json"), *entry;
    const char *name;
    int compared = 0;
    json_object_foreach(document, name, entry) {
        char path[1024];
        const char *model = reference_model(name, path);
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0] && model != NULL; k++) {
            check_kind(name, model, entry, kinds[k]);
            compared++;
        }
    }
    assert_true(compared >= 24);
    json_decref(document);
}

/* tests/oracle/attention/make_alti.py runs the authors' own code. Their scores leave out what the embedding gives the
 * logit by itself, which is the answer's row's own here. */
static double score_error(const Result *result, const json_t *scores, int at, double embedding) {
    const TokensBlock *tokens = tokens_of(result, "attribution");
    double worst = 0.0, scale = 0.0;
    assert_int_equal(tokens->n, (int)json_array_size(scores));
    for (int32_t t = 0; t < tokens->n; t++) {
        double expected = json_number_value(json_array_get(scores, (size_t)t)) + (t == at ? embedding : 0.0);
        worst = fmax(worst, fabs(tokens->items[t].score - expected));
        scale = fmax(scale, fabs(expected));
    }
    return worst / scale;
}

static void alti_is_its_authors_code(void **state) {
    json_t *document = read_reference("alti.json"), *entry;
    const char *name;
    int scored = 0;
    json_object_foreach(document, name, entry) {
        char path[1024];
        const json_t *mutants = json_object_get(entry, "mutants"), *scores = json_object_get(entry, "scores");
        double embedding = json_number_value(json_object_get(entry, "embedding"));
        int at = (int)json_integer_value(json_object_get(entry, "at"));
        Result *result = kind_of(name, reference_model(name, path), entry, "alti");
        const MatrixBlock *matrix = matrix_of(result, "rollout");
        double error = matrix_error(matrix, json_object_get(entry, "alti"));
        if (!(error <= 1e-4)) {
            fail_msg("%s: a cell is %.2e of the largest from the authors'", name, error);
        }
        if (scores != NULL) {
            assert_true(score_error(result, scores, at, embedding) <= 1e-4);
            assert_true(score_error(result, scores, at, 0.0) > 1e-2);
            assert_true(score_error(result, json_object_get(mutants, "unmixed"), at, embedding) > 1e-2);
            scored++;
        } else {
            assert_true(matrix_error(matrix, json_object_get(mutants, "l2")) > 1e-2);
        }
        result_free(result);
    }
    assert_int_equal(scored, 2);
    json_decref(document);
}

static void wrong_questions_are_refused(void **state) {
    json_t *params = small_question();
    json_object_set_new(params, "residual", json_real(-1));
    refuse_json("rollout", params, LIMN_RANGE, "residual");
    refuse_json("rollout",
                json_pack("{s:s, s:[i,i], s:i}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/bert-bare", "ids", 5, 17,
                          "target-id", 3),
                LIMN_USAGE, "is a bare encoder");
    static const char *const weighted[] = {"gradient", "alti"};
    for (size_t k = 0; k < 2; k++) {
        params = small_question();
        json_object_set_new(params, "kind", json_string(weighted[k]));
        json_object_set_new(params, "residual", json_real(0.5));
        refuse_json("rollout", params, LIMN_USAGE, "option 'residual' goes with --kind plain, value or flow");
        params = small_question();
        json_object_set_new(params, "kind", json_string(weighted[k]));
        json_object_set_new(params, "sinks", json_string("drop"));
        refuse_json("rollout", params, LIMN_USAGE, "option 'sinks' goes with --kind plain, value or flow");
        refuse_json("rollout",
                    json_pack("{s:s, s:[i,i], s:s}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/bert-bare", "ids", 5,
                              17, "kind", weighted[k]),
                    LIMN_USAGE, "is a bare encoder");
    }
    params = small_question();
    json_object_set_new(params, "values", json_string("rollout.txt"));
    refuse_json("rollout", params, LIMN_USAGE, "safetensors");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rollout_is_the_listings),  cmocka_unit_test(kinds_are_the_references),
        cmocka_unit_test(alti_is_its_authors_code), cmocka_unit_test(sinks_can_be_left_out),
        cmocka_unit_test(longer_answers_are_means), cmocka_unit_test(edges_are_the_largest_cells),
        cmocka_unit_test(ways_lead_to_the_answer),  cmocka_unit_test(wrong_questions_are_refused)};
    return cmocka_run_group_tests_name("rollout", tests, open_cache, free_cache);
}
