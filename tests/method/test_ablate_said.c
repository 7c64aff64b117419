/* What `ablate` says of its figures, which units it is asked about, and what it refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/ablated.h"
#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

/* ---- units ---- */

static void layers_are_chosen(void **state) {
    static const struct {
        const char *layers;
        bool in[LAYERS];
    } cases[] = {{"0:2", {true, true}}, {"0", {true, false}}, {"1", {false, true}}, {"1:2", {false, true}}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "'target-id': 3, 'what': 'mlp', 'layers': '%s'", cases[i].layers);
        Cells cells = cells_of(ablated(text));
        for (int l = 0; l < LAYERS; l++) {
            assert_true(isnan(cells.effects[l]) != cases[i].in[l] && isnan(cells.estimates[l]) != cases[i].in[l]);
        }
    }
    static const struct {
        const char *layers, *said;
        limn_status status;
    } wrong[] = {{"0:", "found '0:', expected A:B or a number", LIMN_USAGE},
                 {"1x", "found '1x'", LIMN_USAGE},
                 {":1", "found ':1'", LIMN_USAGE},
                 {"0:1:2", "found '0:1:2'", LIMN_USAGE},
                 {"99999999999999999999", "expected A:B or a number", LIMN_USAGE},
                 {"0:99999999999999999999", "expected A:B or a number", LIMN_USAGE},
                 {"-1:1", "found '-1:1'; ", LIMN_RANGE},
                 {"2", "has layers 0 to 1", LIMN_RANGE},
                 {"0:3", "has layers 0 to 1", LIMN_RANGE},
                 {"1:0", "has layers 0 to 1", LIMN_RANGE}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        json_t *params = json_of(letters, "'model': '" MODEL "', 'ids': [5, 17], 'target-id': 3");
        json_object_set_new(params, "layers", json_string(wrong[i].layers));
        refuse_json("ablate", params, wrong[i].status, wrong[i].said);
    }
    refuse_json("ablate", json_of(letters, "'model': '" MODEL "', 'ids': [5], 'head': ['1.0'], 'layers': '1'"),
                LIMN_USAGE, "without --layers");
}

/* A matrix of so many columns is shown; of more, only the strongest of it are listed. */
static void wide_matrices_are_left_out(void **state) {
    for (int n = 512; n <= 513; n++) {
        json_t *params =
            json_of(letters, "'model': '" LIMN_TEST_SOURCE_DIR
                             "/tests/golden/falcon-rw', 'target-id': 3, 'what': 'position', 'layers': '1'");
        json_t *ids = json_array();
        for (int i = 0; i < n; i++) {
            json_array_append_new(ids, json_integer(1 + i % 20));
        }
        json_object_set_new(params, "ids", ids);
        Result *result = call_json("ablate", params);
        assert_int_equal(result_find_block(result, "effects") != NULL, n == 512);
        assert_int_equal(result_find_block(result, "estimates") != NULL, n == 512);
        assert_int_equal(table_of(result, "strongest")->n_rows, 10);
        result_free(result);
    }
}

/* ---- what is said ---- */

/* The unit of a cell, in both languages. */
static void name_unit(char out[128], int what, int layer, int column, bool chinese) {
    static const char *const tokens[] = {"a", " ", "c", "a", "b"};
    static const char *const english[] = {"layer %d head %d", "attention of layer %d", "MLP of layer %d", "layer %d",
                                          "layer %d neuron %d"};
    static const char *const other[] = {"第 %d 层第 %d 头", "第 %d 层注意力", "第 %d 层 MLP", "第 %d 层",
                                        "第 %d 层神经元 %d"};
    if (what == 5) {
        snprintf(out, 128, chinese ? "第 %d 层“%s”（位置 %d）" : "layer %d at \"%s\" (position %d)", layer,
                 tokens[column], column);
    } else {
        snprintf(out, 128, (chinese ? other : english)[what], layer, column);
    }
}

static void headlines_name_the_unit(void **state) {
    static const char *const units[] = {"head", "attn", "mlp", "layer", "neuron", "position"};
    for (int i = 0; i < 24; i++) {
        int what = i / 4;
        bool chinese = i % 2 == 1, kept = i % 4 < 2; /* or the one layer whose loss helps, if any */
        char text[256], unit[128], said[512];
        snprintf(text, sizeof text, "'prompt': 'a cab', 'target': '%s', 'what': '%s', 'language': '%s', 'top': 48",
                 kept ? "d" : "z", units[what], chinese ? "zh" : "en");
        Result *result = lettered(text);
        double before = param_of(result, "before");
        const MatrixBlock *effects = matrix_of(result, "effects");
        int least = -1;
        for (int c = 0; c < effects->n_rows * effects->n_columns; c++) {
            double value = effects->values[c];
            least = isnan(value) || (least >= 0 && effects->values[least] <= value) ? least : c;
        }
        double effect = effects->values[least];
        name_unit(unit, what, least / effects->n_columns, least % effects->n_columns, chinese);
        const char *falls = chinese ? "最需要的是%s：去掉它，对数概率从 %.4g 降到 %.4g"
                                    : "Missed most: %s. Without it the log-probability falls from %.4g to %.4g",
                   *rises = chinese ? "没有所需者；最碍事的是%s：去掉它，对数概率从 %.4g 升到 %.4g"
                                    : "Nothing is missed; most in the way: %s. Without it the log-probability rises "
                                      "from %.4g to %.4g";
        snprintf(said, sizeof said, effect < 0 ? falls : rises, unit, before, before + effect);
        assert_string_equal(result->headline.bytes, said);
        result_free(result);
    }
}

/* A single head whose loss helps: nothing is missed. */
static void what_stands_in_the_way_is_said(void **state) {
    Cells cells = cells_of(ablated("'target-id': 3"));
    int found = 0;
    for (int c = 0; c < CELLS; c++) {
        char text[64], said[160];
        snprintf(text, sizeof text, "'target-id': 3, 'head': ['%d.%d']", c / HEADS, c % HEADS);
        Result *result = ablated(text);
        snprintf(said, sizeof said,
                 cells.effects[c] < 0 ? "Missed most: layer %d head %d. Without it the log-probability "
                                        "falls from %.4g to %.4g"
                                      : "Nothing is missed; most in the way: layer %d head %d. Without "
                                        "it the log-probability rises from %.4g to %.4g",
                 c / HEADS, c % HEADS, cells.before, cells.before + cells.effects[c]);
        assert_string_equal(result->headline.bytes, said);
        assert_int_equal(result->n_checks, 1); /* one unit has no correlation */
        found |= cells.effects[c] < 0 ? 1 : 2;
        result_free(result);
    }
    assert_int_equal(found, 3);
}

static void notes_say_what_takes_its_place(void **state) {
    static const struct {
        const char *asked, *said, *chinese;
    } cases[] = {{"'with': 'zero'", "zeros in its place", "以零代替"},
                 {"'with': 'mean'", "the mean over rows in its place", "以各行均值代替"},
                 {"'with': 'pattern'", "looking at everything equally", "均匀地看向所有词元"}};
    for (int i = 0; i < 6; i++) {
        char text[128], said[160];
        snprintf(text, sizeof text, "'target-id': 3, 'language': '%s', %s", i % 2 == 0 ? "en" : "zh",
                 cases[i / 2].asked);
        Result *result = ablated(text);
        snprintf(said, sizeof said,
                 i % 2 == 0 ? "log-probability with it replaced (%s), less that of the run as it is"
                            : "对数概率：替换（%s）后减去原样运行的",
                 i % 2 == 0 ? cases[i / 2].said : cases[i / 2].chinese);
        assert_string_equal(result_find_block(result, "effects")->note.bytes, said);
        assert_true(result_find_block(result, "estimates")->detail && !result_find_block(result, "effects")->detail);
        result_free(result);
    }
}

/* Columns of the table and titles of the matrix. */
static void tables_have_the_columns_of_their_units(void **state) {
    static const struct {
        const char *what, *title, *columns;
    } cases[] = {{"head", "head", "layer,head,effect,estimate,after,"},
                 {"attn", "attention", "layer,effect,estimate,after,"},
                 {"mlp", "MLP", "layer,effect,estimate,after,"},
                 {"layer", "layer", "layer,effect,estimate,after,"},
                 {"neuron", "neuron", "layer,neuron,effect,estimate,after,"},
                 {"position", "position", "layer,position,token,effect,estimate,after,"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[96], columns[128] = "";
        snprintf(text, sizeof text, "'prompt': 'a cab', 'target': 'd', 'what': '%s'", cases[i].what);
        Result *result = lettered(text);
        const MatrixBlock *effects = matrix_of(result, "effects");
        assert_string_equal(effects->row_title.bytes, "layer");
        assert_string_equal(effects->column_title.bytes, cases[i].title);
        assert_string_equal(effects->row_labels[1].bytes, "1");
        assert_string_equal(effects->column_labels[effects->n_columns - 1].bytes, i == 5                    ? "b"
                                                                                  : effects->n_columns == 1 ? "0"
                                                                                  : i == 0                  ? "3"
                                                                                                            : "47");
        const TableBlock *table = table_of(result, i == 4 ? "neurons" : "strongest");
        assert_int_equal(table->n_rows, i == 4 || i == 5 ? 10 : i == 0 ? 8 : 2); /* ten unless --top says more */
        for (int c = 0; c < table->n_columns; c++) {
            strcat(strcat(columns, table->columns[c].name.bytes), ",");
        }
        assert_string_equal(columns, cases[i].columns);
        if (i == 5) {
            static const char *const tokens[] = {"a", " ", "c", "a", "b"};
            assert_string_equal(table_cell(table, 0, 2)->text.bytes, tokens[table_cell(table, 0, 1)->integer]);
        }
        result_free(result);
    }
}

/* Its check is the correlation of what both matrices hold, from three units on. */
static void estimates_are_correlated(void **state) {
    static const char *const heads[] = {"0.*", "0.1,0.2,1.3", "0.1,1.2"};
    for (int i = 0; i < 3; i++) {
        char text[64];
        snprintf(text, sizeof text, "'target-id': 3, 'head': ['%s']", heads[i]);
        Result *result = ablated(text);
        const double *x = matrix_of(result, "effects")->values, *y = matrix_of(result, "estimates")->values;
        double n = 0, sums[5] = {0, 0, 0, 0, 0};
        for (int c = 0; c < CELLS; c++) {
            if (!isnan(x[c])) {
                n++;
                const double more[] = {x[c], y[c], x[c] * x[c], y[c] * y[c], x[c] * y[c]};
                for (int k = 0; k < 5; k++) {
                    sums[k] += more[k];
                }
            }
        }
        assert_int_equal(result->n_checks, i == 2 ? 1 : 2);
        assert_string_equal(result->checks[0].name.bytes, "plain pass");
        assert_true(!result->checks[0].advisory && result->checks[0].limit == 1e-4);
        if (i < 2) {
            double both = sums[4] - sums[0] * sums[1] / n;
            double own = (sums[2] - sums[0] * sums[0] / n) * (sums[3] - sums[1] * sums[1] / n);
            assert_string_equal(result->checks[1].name.bytes, "estimate");
            assert_true(result->checks[1].advisory && result->checks[1].limit == 0.5);
            assert_true(fabs(result->checks[1].value - both / sqrt(own)) <= 1e-9);
            assert_int_equal(result->checks[1].state, both / sqrt(own) >= 0.5 ? CHECK_PASS : CHECK_FAIL);
        }
        result_free(result);
    }
}

/* ---- what is refused ---- */

static void questions_are_refused(void **state) {
    static const struct {
        const char *asked;
        limn_status status;
        const char *said;
    } cases[] = {
        {"'ids': [1], 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"'prompt': 'a', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"'file': 'none.txt', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"'chat': 'a', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"'messages': 'none.json', 'data': 'none.jsonl'", LIMN_USAGE, "both a prompt and --data"},
        {"'what': 'position', 'data': 'none.jsonl'", LIMN_USAGE, "--what position is about one prompt"},
        {"'what': 'neuron', 'data': 'none.jsonl'", LIMN_USAGE, "--what neuron is about one prompt"},
        {"'prompt': 'a', 'target': 'd', 'contrast': 'e', 'metric': 'prob'", LIMN_USAGE,
         "logit-diff goes with --contrast, and only that does"},
        {"'prompt': 'a', 'target': 'de', 'metric': 'logit'", LIMN_USAGE,
         "logit is of single tokens, the target has 2;"},
        {"'prompt': 'a', 'target': 'd', 'contrast': 'ef'", LIMN_USAGE, "or the contrast several"},
        {"'prompt': 'a', 'target': 'd', 'with': 'pattern', 'reference': 'none.txt'", LIMN_USAGE,
         "goes with --with mean or resample"},
        {"'prompt': 'a', 'with': 'pattern', 'what': 'layer'", LIMN_USAGE, "it goes with --what head"},
        {"'prompt': 'a', 'pairs': 1", LIMN_RANGE, "'pairs'"},
        {"'prompt': 'a', 'pairs': 201", LIMN_RANGE, "'pairs'"},
        {"'prompt': 'a', 'curve': 0", LIMN_RANGE, "'curve'"},
        {"'prompt': 'a', 'curve': 1001", LIMN_RANGE, "'curve'"},
        {"'prompt': 'a', 'top': 0", LIMN_RANGE, "'top'"},
        {"'prompt': 'a', 'top': 10001", LIMN_RANGE, "'top'"},
        {"'prompt': 'a', 'draws': 0", LIMN_RANGE, "'draws'"},
        {"'prompt': 'a', 'draws': 1001", LIMN_RANGE, "'draws'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "'model': '%%', %s", cases[i].asked);
        refuse_json("ablate", json_of(letters, text), cases[i].status, cases[i].said);
    }
    static const char *const fine[] = {"'pairs': 2", "'pairs': 200", "'curve': 1", "'curve': 1000",
                                       "'top': 1",   "'top': 10000", "'draws': 1", "'draws': 1000"};
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++) {
        char text[96];
        snprintf(text, sizeof text, "'target-id': 3, 'head': ['0.1'], %s", fine[i]);
        result_free(ablated(text));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(headlines_name_the_unit),
                                       cmocka_unit_test(what_stands_in_the_way_is_said),
                                       cmocka_unit_test(notes_say_what_takes_its_place),
                                       cmocka_unit_test(tables_have_the_columns_of_their_units),
                                       cmocka_unit_test(estimates_are_correlated),
                                       cmocka_unit_test(questions_are_refused),
                                       cmocka_unit_test(layers_are_chosen),
                                       cmocka_unit_test(wide_matrices_are_left_out)};
    return cmocka_run_group_tests_name("ablate, said", tests, open_letters, close_letters);
}
