/* `ablate` as hooks on Hugging Face models have it (tests/oracle/attention/make_ablate.py). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "method/calls.h"
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

static Result *asked(const char *name, const char *model, const json_t *entry, const char *option, const char *value) {
    json_t *params = reference_question(name, model, entry);
    json_object_set_new(params, option, json_string(value));
    return call_json("ablate", params);
}

static void near(const char *name, const char *what, const Result *result, const char *id, const json_t *reference) {
    double error = matrix_error(matrix_of(result, id), reference);
    if (!(error <= 1e-4)) {
        fail_msg("%s, %s: a cell is %.2e of the largest from the reference's", name, what, error);
    }
}

static void check_heads(const char *name, const char *model, const json_t *entry) {
    static const char *const ways[] = {"zero", "mean", "pattern"};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const json_t *reference = json_object_get(entry, ways[i]);
        if (reference == NULL) {
            continue;
        }
        Result *result = asked(name, model, entry, "with", ways[i]);
        near(name, ways[i], result, "effects", json_object_get(reference, "effects"));
        if (json_object_get(reference, "estimates") != NULL) {
            near(name, "estimates", result, "estimates", json_object_get(reference, "estimates"));
        }
        assert_true(result_passed(result));
        const char *mutant;
        json_t *wrong;
        json_object_foreach(i == 0 ? json_object_get(entry, "mutants") : NULL, mutant, wrong) {
            if (!(matrix_error(matrix_of(result, "effects"), wrong) > 1e-2)) {
                fail_msg("%s: the mutant '%s' does not miss", name, mutant);
            }
        }
        if (i > 0 && json_object_get(entry, "zero") != NULL) {
            const json_t *zero = json_object_get(json_object_get(entry, "zero"), "effects");
            assert_true(matrix_error(matrix_of(result, "effects"), zero) > 1e-2);
        }
        result_free(result);
    }
}

static void check_written(const char *name, const char *model, const json_t *entry) {
    static const char *const units[] = {"attn", "mlp", "layer", "position"};
    for (size_t i = 0; i < sizeof units / sizeof units[0] && json_object_get(entry, "layer") != NULL; i++) {
        Result *result = asked(name, model, entry, "what", units[i]);
        near(name, units[i], result, "effects", json_object_get(entry, units[i]));
        assert_true(result_passed(result));
        result_free(result);
    }
}

static void check_joint(const char *name, const char *model, const json_t *entry) {
    const json_t *pairs = json_object_get(entry, "pairs"), *curve = json_object_get(entry, "curve");
    if (pairs == NULL) {
        return;
    }
    json_t *params = reference_question(name, model, entry);
    json_object_set_new(params, "pairs", json_integer((json_int_t)json_array_size(pairs)));
    json_object_set_new(params, "curve", json_integer((json_int_t)json_array_size(curve) - 1));
    Result *result = call_json("ablate", params);
    near(name, "pairs", result, "pairs", pairs);
    const SeriesBlock *series = result_find_block(result, "curve")->content;
    assert_int_equal(series->n, (int)json_array_size(curve));
    for (int32_t i = 0; i < series->n; i++) {
        double expected = json_number_value(json_array_get(curve, (size_t)i));
        assert_true(fabs(series->lines[0].y[i] - expected) <= 1e-4 * fmax(1.0, fabs(expected)));
    }
    assert_int_equal(series->n_lines, 3);
    result_free(result);
}

/* The same neurons, by figures that both have. */
static void check_neurons(const char *name, const char *model, const json_t *entry) {
    const json_t *neurons = json_object_get(entry, "neurons");
    if (!json_is_array(neurons)) {
        return;
    }
    json_t *params = reference_question(name, model, entry);
    json_object_set_new(params, "what", json_string("neuron"));
    json_object_set_new(params, "top", json_integer((json_int_t)json_array_size(neurons)));
    Result *result = call_json("ablate", params);
    const TableBlock *table = table_of(result, "neurons");
    size_t i;
    json_t *one;
    assert_int_equal(table->n_rows, (int)json_array_size(neurons));
    json_array_foreach(neurons, i, one) {
        double effect = json_number_value(json_object_get(one, "effect"));
        double estimate = json_number_value(json_object_get(one, "estimate"));
        bool found = false;
        for (int32_t row = 0; row < table->n_rows && !found; row++) {
            found = table_cell(table, row, 0)->integer == json_integer_value(json_object_get(one, "layer")) &&
                    table_cell(table, row, 1)->integer == json_integer_value(json_object_get(one, "index")) &&
                    fabs(table_cell(table, row, 2)->number - effect) <= 1e-4 * fmax(0.1, fabs(effect)) &&
                    fabs(table_cell(table, row, 3)->number - estimate) <= 1e-4 * fmax(0.1, fabs(estimate));
        }
        if (!found) {
            fail_msg("%s: neuron %zu of the reference is not in the table, or has other figures", name, i);
        }
    }
    result_free(result);
}

static void ablations_are_the_references(void **state) {
    json_t *document = read_reference("ablate.json"), *entry;
    const char *name;
    int compared = 0;
    json_object_foreach(document, name, entry) {
        char path[1024];
        const char *model = reference_model(name, path);
        if (model == NULL) {
            continue;
        }
        check_heads(name, model, entry);
        check_written(name, model, entry);
        check_joint(name, model, entry);
        check_neurons(name, model, entry);
        compared++;
    }
    assert_true(compared >= 6);
    json_decref(document);
}

/* ---- what is chosen ---- */

static const char small[] = LIMN_TEST_SOURCE_DIR "/tests/golden/llama3";

static json_t *small_question(void) {
    return json_pack("{s:s, s:[i,i,i,i,i], s:i}", "model", small, "ids", 5, 17, 40, 9, 33, "target-id", 23);
}

static void heads_and_layers_can_be_chosen(void **state) {
    Result *all = call_json("ablate", small_question());
    json_t *params = small_question();
    json_object_set_new(params, "head", json_pack("[s]", "1.2,0.3"));
    Result *some = call_json("ablate", params);
    params = small_question();
    json_object_set_new(params, "layers", json_string("1:2"));
    Result *upper = call_json("ablate", params);
    const MatrixBlock *whole = matrix_of(all, "effects");
    for (int i = 0; i < 8; i++) {
        double one = matrix_of(some, "effects")->values[i], above = matrix_of(upper, "effects")->values[i];
        assert_true(i == 6 || i == 3 ? fabs(one - whole->values[i]) <= 1e-6 : isnan(one));
        assert_true(i >= 4 ? fabs(above - whole->values[i]) <= 1e-6 : isnan(above));
    }
    result_free(all);
    result_free(some);
    result_free(upper);
}

/* ---- data sets ---- */

/* A file of text records and its name; for models without a tokenizer there is none, so letters are used. */
static void write_file(char *path, const char *text) {
    int descriptor = mkstemps(path, 6);
    assert_true(descriptor >= 0);
    assert_int_equal(write(descriptor, text, strlen(text)), (int)strlen(text));
    close(descriptor);
}

/* Effects over records are means of those of each; the error is the standard error of that mean. */
static void effects_over_records_are_means(void **state) {
    char folder[64], path[] = "/tmp/limn-ablate-XXXXXX.jsonl";
    make_letters_model(folder);
    write_file(path, "{\"text\": \"ab c de\", \"answer\": \"f\"}\n{\"text\": \"fg h i\", \"answer\": \"d\"}\n");
    Result *both = call_json("ablate", json_pack("{s:s, s:s, s:s, s:i}", "model", folder, "data", path, "label-field",
                                                 "answer", "curve", 2));
    Result *one =
        call_json("ablate", json_pack("{s:s, s:s, s:s}", "model", folder, "prompt", "ab c de", "target", "f"));
    Result *two = call_json("ablate", json_pack("{s:s, s:s, s:s}", "model", folder, "prompt", "fg h i", "target", "d"));
    const MatrixBlock *mean = matrix_of(both, "effects"), *a = matrix_of(one, "effects"),
                      *b = matrix_of(two, "effects");
    for (int i = 0; i < mean->n_rows * mean->n_columns; i++) {
        assert_true(fabs(mean->values[i] - (a->values[i] + b->values[i]) / 2) <= 1e-6);
    }
    const TableBlock *table = table_of(both, "strongest");
    int cell = (int)(table_cell(table, 0, 0)->integer * mean->n_columns + table_cell(table, 0, 1)->integer);
    assert_true(fabs(table_cell(table, 0, 5)->number - fabs(a->values[cell] - b->values[cell]) / 2) <= 1e-6);
    result_free(both);
    result_free(one);
    result_free(two);
    unlink(path);
    remove_letters_model(folder);
}

/* With one other prompt, resampling is the same whatever the seed, and a unit's own values change nothing. */
static void resampling_takes_other_prompts(void **state) {
    char folder[64], path[] = "/tmp/limn-ablate-XXXXXX.jsonl";
    make_letters_model(folder);
    write_file(path, "{\"text\": \"ab c de\"}\n{\"text\": \"fg h ij\"}\n");
    json_t *params = json_pack("{s:s, s:s, s:s, s:s, s:s}", "model", folder, "prompt", "ab c de", "target", "f", "with",
                               "resample", "reference", path);
    Result *first = call_json("ablate", json_deep_copy(params));
    json_object_set_new(params, "seed", json_integer(9));
    Result *again = call_json("ablate", params);
    const MatrixBlock *a = matrix_of(first, "effects"), *b = matrix_of(again, "effects");
    double largest = 0.0;
    for (int i = 0; i < a->n_rows * a->n_columns; i++) {
        assert_true(a->values[i] == b->values[i]);
        largest = fmax(largest, fabs(a->values[i]));
    }
    assert_true(largest > 1e-3);
    assert_true(result_passed(first));
    result_free(first);
    result_free(again);
    refuse_json("ablate", json_pack("{s:s, s:s, s:s}", "model", folder, "prompt", "ab c de", "with", "resample"),
                LIMN_USAGE, "give --reference FILE");
    unlink(path);
    remove_letters_model(folder);
}

/* Log-probabilities of every token as `run` gives them, edited or not. */
static void run_says(double *logs, const char *edit) {
    json_t *params = json_pack("{s:s, s:[i,i,i], s:i}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/llama3", "ids", 5,
                               17, 40, "top", 61);
    if (edit != NULL) {
        json_object_set_new(params, "set", json_pack("[s]", edit));
    }
    Result *result = call_json("run", params);
    const TableBlock *table = table_of(result, "top");
    assert_int_equal(table->n_rows, 61);
    for (int32_t row = 0; row < 61; row++) {
        logs[table_cell(table, row, 1)->integer] = table_cell(table, row, 3)->number;
    }
    result_free(result);
}

/* --metric kl is the divergence of the two distributions from one another, the clean run's first. */
static void divergence_is_from_the_clean_run(void **state) {
    double clean[61], without[61];
    json_t *params = json_pack("{s:s, s:[i,i,i], s:i, s:s, s:s}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/llama3",
                               "ids", 5, 17, 40, "target-id", 3, "what", "mlp", "metric", "kl");
    Result *result = call_json("ablate", params);
    const MatrixBlock *effects = matrix_of(result, "effects");
    assert_int_equal(effects->n_rows, 2);
    run_says(clean, NULL);
    for (int32_t layer = 0; layer < 2; layer++) {
        char edit[48];
        double expected = 0.0;
        snprintf(edit, sizeof edit, "blocks.%d.hook_mlp_out=0", (int)layer);
        run_says(without, edit);
        for (int32_t id = 0; id < 61; id++) {
            expected += exp(clean[id]) * (clean[id] - without[id]);
        }
        assert_true(expected > 0.01);
        assert_true(fabs(effects->values[layer] - expected) <= 1e-4 * (1.0 + expected));
    }
    assert_true(result_passed(result));
    result_free(result);
}

/* ---- what is refused ---- */

/* Runs that would be made: one for each head and draw, pairs, and the six orders of a curve; nothing else is there. */
static void estimates_count_the_runs(void **state) {
    const struct {
        const char *options;
        double runs;
    } cases[] = {{"{}", 8}, {"{\"pairs\": 3}", 8 + 6}, {"{\"curve\": 2, \"head\": [\"0.*\"]}", 4 + 12}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *params = small_question(), *more = json_loads(cases[i].options, 0, NULL);
        json_object_update(params, more);
        json_object_set_new(params, "estimate", json_true());
        Result *result = call_json("ablate", params);
        assert_null(result_find_block(result, "effects"));
        const TableBlock *table = table_of(result, "estimate");
        double runs = (double)NAN, seconds = (double)NAN;
        for (int32_t row = 0; row < table->n_rows; row++) {
            const char *what = table_cell(table, row, 0)->text.bytes;
            double amount = table_cell(table, row, 1)->number;
            runs = strcmp(what, "cells") == 0 ? amount : runs;
            seconds = strcmp(what, "time, about") == 0 ? amount : seconds;
        }
        assert_true(runs == cases[i].runs && seconds > 0.0 && seconds < 100.0);
        json_decref(more);
        result_free(result);
    }
}

static void refuse(const char *option, const char *value, limn_status status, const char *message) {
    json_t *params = small_question();
    json_object_set_new(params, option, json_string(value));
    refuse_json("ablate", params, status, message);
}

static void wrong_questions_are_refused(void **state) {
    refuse("layers", "1:9", LIMN_RANGE, "has layers 0 to 1");
    refuse("layers", "1:1", LIMN_RANGE, "has layers 0 to 1");
    refuse("layers", "some", LIMN_USAGE, "expected A:B");
    refuse("metric", "logit-diff", LIMN_USAGE, "goes with --contrast");
    refuse("reference", "/tmp/none.txt", LIMN_USAGE, "goes with --with mean or resample");
    refuse("data", "/tmp/none.jsonl", LIMN_USAGE, "both a prompt and --data");
    json_t *params = small_question();
    json_object_set_new(params, "head", json_pack("[s]", "7.0"));
    refuse_json("ablate", params, LIMN_NOT_FOUND, "has no layer 7");
    params = small_question();
    json_object_set_new(params, "head", json_pack("[s]", "1.0"));
    json_object_set_new(params, "what", json_string("mlp"));
    refuse_json("ablate", params, LIMN_USAGE, "goes with --what head");
    params = small_question();
    json_object_set_new(params, "with", json_string("pattern"));
    json_object_set_new(params, "what", json_string("mlp"));
    refuse_json("ablate", params, LIMN_USAGE, "goes with --what head");
    refuse_json("ablate",
                json_pack("{s:s, s:[i,i]}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/bert-bare", "ids", 5, 17),
                LIMN_USAGE, "is a bare encoder");
    refuse_json("ablate",
                json_pack("{s:s, s:s, s:b}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/llama3", "data", "none.jsonl",
                          "estimate", 1),
                LIMN_USAGE, "--estimate goes with one prompt");
    refuse_json("ablate",
                json_pack("{s:s, s:[i,i], s:s}", "model", LIMN_TEST_SOURCE_DIR "/tests/golden/mixtral", "ids", 5, 17,
                          "what", "neuron"),
                LIMN_NOT_FOUND, "has no site blocks.0.mlp.hook_post");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ablations_are_the_references),     cmocka_unit_test(heads_and_layers_can_be_chosen),
        cmocka_unit_test(effects_over_records_are_means),   cmocka_unit_test(resampling_takes_other_prompts),
        cmocka_unit_test(divergence_is_from_the_clean_run), cmocka_unit_test(estimates_count_the_runs),
        cmocka_unit_test(wrong_questions_are_refused)};
    return cmocka_run_group_tests_name("ablate", tests, open_cache, free_cache);
}
