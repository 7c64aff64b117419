/* `lens`: what must hold between its answers. Behind every layer a place reads as the end of the text up to it; two
 * tokens are read one after another; a lead is a difference; parts, heads and neurons add up to what they are part of;
 * a number is the logit of a class. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define GOLDEN LIMN_TEST_SOURCE_DIR "/tests/golden/"
enum { LAYERS = 2, HEADS = 4 };

static char letters[64], number[64];

static int set_up(void **state) {
    open_models();
    make_letters_model(letters);
    make_number_model(number);
    return 0;
}

static int tear_down(void **state) {
    remove_letters_model(letters);
    remove_letters_model(number);
    close_models();
    return 0;
}

/* Of the model that reads letters. */
static Result *lettered(const char *more) {
    char text[512];
    snprintf(text, sizeof text, "'model': '%%', %s", more);
    return call_json("lens", json_of(letters, text));
}

static Result *of_model(const char *model, const char *more) {
    char text[1200];
    snprintf(text, sizeof text, "'model': '%s', %s", model, more);
    return call_json("lens", json_of("", text));
}

static void near(const char *what, double found, double expected) {
    if (!(fabs(found - expected) <= 2e-5 * fmax(1.0, fabs(expected)))) {
        fail_msg("%s: found %.9g, expected %.9g", what, found, expected);
    }
}

static double at(const Result *result, const char *id, int row, int column) {
    const MatrixBlock *matrix = matrix_of(result, id);
    assert_true(row < matrix->n_rows && column < matrix->n_columns);
    return matrix->values[row * matrix->n_columns + column];
}

/* The share of a part; NAN where it is not shown. */
static double part_of(const Result *result, const char *name) {
    const TableBlock *table = table_of(result, "parts");
    for (int32_t row = 0; row < table->n_rows; row++) {
        if (strcmp(table_cell(table, row, 0)->text.bytes, name) == 0) {
            return table_cell(table, row, 1)->number;
        }
    }
    return (double)NAN;
}

/* ---- the lens ---- */

static void a_place_reads_as_the_end_of_its_text(void **state) {
    static const char *const texts[] = {"a", "a ", "a c", "a ca", "a cab"};
    static const char *const ends[] = {"", ", 'of': 'final'"};
    for (int final = 0; final < 2; final++) {
        char more[96];
        snprintf(more, sizeof more, "'prompt': 'a cab', 'target': 'd'%s", ends[final]);
        Result *whole = lettered(more);
        assert_int_equal(matrix_of(whole, "lens")->n_columns, 5);
        for (int c = 0; c < 5; c++) { /* without a target, what the model says there */
            snprintf(more, sizeof more, "'prompt': '%s'%s", texts[c], final ? "" : ", 'target': 'd'");
            Result *part = lettered(more);
            for (int layer = 0; layer <= LAYERS; layer++) {
                near(texts[c], at(whole, "lens", layer, c), at(part, "lens", layer, c));
            }
            result_free(part);
        }
        assert_non_null(
            strstr(result_find_block(whole, "lens")->note.bytes,
                   final ? "what the model says at each position" : "of the target, read behind each layer"));
        result_free(whole);
    }
}

static void two_tokens_are_read_in_turn(void **state) {
    Result *both = lettered("'prompt': 'a cab', 'target': 'de'"), *first = lettered("'prompt': 'a cab', 'target': 'd'"),
           *second = lettered("'prompt': 'a cabd', 'target': 'e'");
    assert_int_equal(matrix_of(both, "lens")->n_columns, 6);
    for (int layer = 0; layer <= LAYERS; layer++) {
        for (int c = 0; c < 5; c++) {
            near("the first", at(both, "lens", layer, c), at(first, "lens", layer, c));
        }
        near("the second", at(both, "lens", layer, 5), at(second, "lens", layer, 5));
    }
    for (int i = 0; i < LAYERS * HEADS; i++) { /* shares of both together */
        near("heads", at(both, "direct.heads", i / HEADS, i % HEADS),
             at(first, "direct.heads", i / HEADS, i % HEADS) + at(second, "direct.heads", i / HEADS, i % HEADS));
    }
    near("together", part_of(both, "together"), part_of(first, "together") + part_of(second, "together"));
    const TableBlock *table = table_of(both, "answer"), *alone = table_of(first, "answer");
    for (int layer = 0; layer <= LAYERS; layer++) { /* of the first alone */
        near("its probability", table_cell(table, layer, 5)->number, table_cell(alone, layer, 5)->number);
        assert_int_equal(table_cell(table, layer, 6)->integer, table_cell(alone, layer, 6)->integer);
    }
    result_free(both);
    result_free(first);
    result_free(second);
}

static void a_lead_is_a_difference(void **state) {
    Result *lead = lettered("'prompt': 'a cab', 'target': 'd', 'contrast': 'e'"),
           *one = lettered("'prompt': 'a cab', 'target': 'd'"), *other = lettered("'prompt': 'a cab', 'target': 'e'");
    static const char *const ids[] = {"lens", "direct.layers", "direct.heads"};
    for (int k = 0; k < 3; k++) {
        const MatrixBlock *matrix = matrix_of(lead, ids[k]);
        double size = 0.0;
        for (int i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
            near(ids[k], matrix->values[i], matrix_of(one, ids[k])->values[i] - matrix_of(other, ids[k])->values[i]);
            size = fmax(size, fabs(matrix->values[i]));
        }
        assert_true(size > 1e-3);
    }
    static const char *const parts[] = {"embedding", "attention of all layers", "MLPs of all layers", "together"};
    for (int k = 0; k < 4; k++) {
        near(parts[k], part_of(lead, parts[k]), part_of(one, parts[k]) - part_of(other, parts[k]));
    }
    const TableBlock *table = table_of(lead, "answer"), *second = table_of(other, "answer");
    assert_int_equal(table->n_columns, 8);
    assert_int_equal(second->n_columns, 7);
    for (int layer = 0; layer <= LAYERS; layer++) {
        near("the contrast", table_cell(table, layer, 7)->number, table_cell(second, layer, 5)->number);
    }
    assert_string_equal(result_find_block(lead, "lens")->unit.bytes, "lead in log-probability");
    assert_string_equal(result_find_block(one, "lens")->unit.bytes, "log-probability");
    assert_true(matrix_of(lead, "lens")->is_signed && !matrix_of(one, "lens")->is_signed);
    static const char *const shares[] = {"parts", "direct.layers", "direct.heads", "neurons"};
    for (int k = 0; k < 4; k++) {
        assert_string_equal(result_find_block(lead, shares[k])->unit.bytes, "difference of logits");
        assert_string_equal(result_find_block(one, shares[k])->unit.bytes, "logit");
    }
    assert_non_null(strstr(result_find_block(lead, "lens")->note.bytes, "of the target over the contrast"));
    result_free(lead);
    result_free(one);
    result_free(other);
}

/* The table at the answer's place: its last row is what `run` says, its first is the embedding's. */
static void the_answer_is_read_behind_each_layer(void **state) {
    Result *result = lettered("'prompt': 'a cab', 'target': 'd'"),
           *run = call_json("run", json_of(letters, "'model': '%', 'prompt': 'a cab', 'target': 'd', 'top': 61"));
    const TableBlock *table = table_of(result, "answer"), *top = table_of(run, "top");
    assert_int_equal(table->n_rows, LAYERS + 1);
    assert_int_equal(table_cell(table, 0, 0)->kind, VALUE_NULL);
    for (int layer = 0; layer <= LAYERS; layer++) {
        double own = table_cell(table, layer, 5)->number, best = table_cell(table, layer, 2)->number;
        near("the grid has it too", log(own), at(result, "lens", layer, 4));
        assert_true(layer == 0 || table_cell(table, layer, 0)->integer == layer - 1);
        assert_int_equal(table_cell(table, layer, 6)->integer == 1,
                         strcmp(table_cell(table, layer, 1)->text.bytes, "d") == 0);
        assert_true(own <= best);
    }
    for (int k = 0; k < 3; k++) {
        const Text *said = &table_cell(top, k, 0)->text, *found = &table_cell(table, LAYERS, k == 0 ? 1 : k + 2)->text;
        assert_true(said->length == found->length && memcmp(said->bytes, found->bytes, said->length) == 0);
    }
    near("the likeliest", table_cell(table, LAYERS, 2)->number, table_cell(top, 0, 2)->number);
    near("the target", log(table_cell(table, LAYERS, 5)->number), run->target.log_probability);
    assert_int_equal(table_cell(table, LAYERS, 6)->integer, run->target.rank);
    const MatrixBlock *lens = matrix_of(result, "lens");
    assert_string_equal(lens->row_labels[0].bytes, "before 0");
    assert_string_equal(lens->row_labels[2].bytes, "1");
    assert_string_equal(lens->column_labels[2].bytes, "c");
    assert_string_equal(lens->row_title.bytes, "layer");
    assert_string_equal(lens->column_title.bytes, "position");
    result_free(run);
    result_free(result);
}

/* So many places are shown; of more, the answer's alone. */
static void long_texts_show_the_answer(void **state) {
    double last[2][LAYERS + 1];
    for (int n = 256; n <= 257; n++) {
        json_t *params = json_of(GOLDEN "falcon-rw", "'model': '%', 'target-id': 3"), *ids = json_array();
        for (int i = 0; i < n; i++) {
            json_array_append_new(ids, json_integer(257 - n + i < 1 ? 7 : 1 + i % 20));
        }
        json_object_set_new(params, "ids", ids);
        Result *result = call_json("lens", params);
        const MatrixBlock *lens = matrix_of(result, "lens");
        const TableBlock *table = table_of(result, "answer");
        assert_int_equal(lens->n_columns, n == 256 ? 256 : 1);
        for (int layer = 0; layer <= LAYERS; layer++) {
            last[n - 256][layer] = at(result, "lens", layer, lens->n_columns - 1);
            near("the answer's place", exp(last[n - 256][layer]), table_cell(table, layer, 5)->number);
        }
        result_free(result);
    }
}

/* ---- who wrote it ---- */

static void parts_add_up(void **state) {
    static const struct {
        const char *model, *ids;
        bool positions, types, after;
    } cases[] = {{"llama3", "[5, 17, 40]", false, false, false},
                 {"gpt2", "[5, 17, 40]", true, false, true},
                 {"bert-classifier", "[5, 17, 40]", true, true, false}};
    for (int c = 0; c < 3; c++) {
        char folder[1024], more[128];
        snprintf(folder, sizeof folder, GOLDEN "%s", cases[c].model);
        snprintf(more, sizeof more, "'ids': %s", cases[c].ids);
        Result *result = of_model(folder, more);
        const MatrixBlock *layers = matrix_of(result, "direct.layers"), *heads = matrix_of(result, "direct.heads");
        double attention = 0.0, mlp = 0.0, sum = 0.0;
        for (int layer = 0; layer < layers->n_rows; layer++) {
            attention += at(result, "direct.layers", layer, 0);
            mlp += at(result, "direct.layers", layer, 1);
            for (int h = 0; h < heads->n_columns && c == 0; h++) {
                sum += at(result, "direct.heads", layer, h);
            }
        }
        near("attention", part_of(result, "attention of all layers"), attention);
        near("MLPs", part_of(result, "MLPs of all layers"), mlp);
        assert_true(c > 0 || fabs(sum - attention) < 1e-5); /* no bias in it */
        assert_int_equal(!isnan(part_of(result, "position embedding")), cases[c].positions);
        assert_int_equal(!isnan(part_of(result, "token type embedding")), cases[c].types);
        assert_int_equal(!isnan(part_of(result, "biases of norms on the way")), c == 2);
        assert_true(c == 2 || !isnan(part_of(result, "biases behind the last layer")) == cases[c].after);
        const TableBlock *parts = table_of(result, "parts");
        double all = 0.0;
        for (int32_t row = 0; row + 1 < parts->n_rows; row++) {
            all += table_cell(parts, row, 1)->number;
        }
        assert_string_equal(table_cell(parts, parts->n_rows - 1, 0)->text.bytes, "together");
        near("together", all, part_of(result, "together"));
        near("the logit", part_of(result, "together"), result->target.logit);
        assert_string_equal(layers->column_labels[0].bytes, "attention");
        assert_string_equal(layers->column_labels[1].bytes, "MLP");
        assert_string_equal(layers->row_labels[1].bytes, "1");
        assert_string_equal(heads->column_labels[1].bytes, "1");
        assert_string_equal(heads->row_labels[1].bytes, "1");
        bool warned = false;
        for (int32_t i = 0; i < result->n_warnings; i++) {
            warned = warned || strstr(result->warnings[i].bytes, "shares are to first order") != NULL;
        }
        assert_int_equal(warned, c == 2);
        assert_int_equal(result->n_checks, c == 2 ? 1 : 2);
        for (int32_t i = 0; i < result->n_checks; i++) {
            assert_string_equal(result->checks[i].name.bytes, i == 0 ? "last layer" : "sum of shares");
            assert_true(result->checks[i].limit == 1e-3 && result->checks[i].kind == CHECK_AT_MOST);
        }
        result_free(result);
    }
}

/* All neurons of a layer are its MLP; those that write most come first. */
static void neurons_add_up(void **state) {
    Result *all = of_model(GOLDEN "llama3", "'ids': [5, 17, 40], 'target-id': 3, 'top': 10000"),
           *ten = of_model(GOLDEN "llama3", "'ids': [5, 17, 40], 'target-id': 3"),
           *one = of_model(GOLDEN "llama3", "'ids': [5, 17, 40], 'target-id': 3, 'top': 1");
    const TableBlock *table = table_of(all, "neurons");
    assert_int_equal(table->n_rows, 96);
    assert_int_equal(table_of(ten, "neurons")->n_rows, 10);
    assert_int_equal(table_of(one, "neurons")->n_rows, 1);
    double sums[LAYERS] = {0, 0};
    bool seen[96] = {false};
    for (int row = 0; row < 96; row++) {
        int64_t layer = table_cell(table, row, 0)->integer, neuron = table_cell(table, row, 1)->integer;
        double share = table_cell(table, row, 2)->number;
        sums[layer] += share;
        assert_false(seen[layer * 48 + neuron]);
        seen[layer * 48 + neuron] = true;
        assert_true(row == 0 || fabs(share) <= fabs(table_cell(table, row - 1, 2)->number));
        for (int c = 0; c < 3 && row < 10; c++) {
            const Value *found = table_cell(table_of(ten, "neurons"), row, c), *wanted = table_cell(table, row, c);
            assert_true(found->integer == wanted->integer && found->number == wanted->number);
        }
    }
    for (int layer = 0; layer < LAYERS; layer++) {
        near("neurons", sums[layer], at(all, "direct.layers", layer, 1));
    }
    assert_true(table_cell(table_of(one, "neurons"), 0, 2)->number == table_cell(table, 0, 2)->number);
    result_free(all);
    result_free(ten);
    result_free(one);
}

/* ---- what is said ---- */

static void the_headline_says_from_where(void **state) {
    bool found[LAYERS + 2] = {false}; /* from each layer on, or never */
    for (int i = 0; i < 2 * 104; i++) {
        bool chinese = i % 2 == 1;
        char more[96], said[256], where[64], target[32];
        snprintf(target, sizeof target, ", 'target-id': %d", i % 26 + 1); /* or what the model says itself */
        snprintf(more, sizeof more, "'ids': [%d, %d], 'language': '%s'%s", i / 2 % 26 + 1, i % 7 + 1,
                 chinese ? "zh" : "en", i < 52 ? target : "");
        Result *result = lettered(more);
        const TableBlock *answer = table_of(result, "answer");
        const MatrixBlock *heads = matrix_of(result, "direct.heads");
        int from = LAYERS + 1, best = 0;
        while (from > 0 && table_cell(answer, from - 1, 6)->integer == 1) {
            from--;
        }
        for (int h = 1; h < LAYERS * HEADS; h++) {
            best = heads->values[h] > heads->values[best] ? h : best;
        }
        const char *token = result->target.text.bytes;
        while (token[0] == ' ' && token[1] != '\0') {
            token++;
        }
        snprintf(where, sizeof where,
                 from == 0 ? chinese ? "嵌入" : "the embedding"
                 : chinese ? "第 %d 层"
                           : "layer %d",
                 from - 1);
        if (from > LAYERS) {
            snprintf(said, sizeof said,
                     chinese ? "“%s”不是模型所说的；第 %d 层第 %d 头写得最多（%+.3g）"
                             : "\"%s\" is not what the model says; head %d.%d writes most towards it (%+.3g)",
                     token, best / HEADS, best % HEADS, heads->values[best]);
        } else {
            snprintf(said, sizeof said,
                     chinese ? "“%s”从%s起居首（共 %d 层）；各头中第 %d 层第 %d 头写得最多（%+.3g）"
                             : "\"%s\" stands first from %s on (of %d layers); of the heads, layer %d head %d writes "
                               "most of it (%+.3g)",
                     token, where, LAYERS, best / HEADS, best % HEADS, heads->values[best]);
        }
        if (token[0] >= 'a' && token[0] <= 'z') { /* a token without a letter is written by its number */
            assert_string_equal(result->headline.bytes, said);
            found[from] = true;
        }
        result_free(result);
    }
    for (int from = 1; from < LAYERS + 2; from++) {
        if (!found[from]) {
            fail_msg("none that stands first from row %d on", from);
        }
    }
}

/* A model of one output, a number: the logit of the class it was, its parts the same. */
static void a_number_is_a_logit(void **state) {
    Result *result = of_model(number, "'ids': [5, 17, 40, 9]"),
           *class = of_model(GOLDEN "gpt2-classifier", "'ids': [5, 17, 40, 9], 'class': '0'");
    static const char *const ids[] = {"direct.layers", "direct.heads"};
    for (int k = 0; k < 2; k++) {
        const MatrixBlock *matrix = matrix_of(result, ids[k]);
        for (int i = 0; i < matrix->n_rows * matrix->n_columns; i++) {
            near(ids[k], matrix->values[i], matrix_of(class, ids[k])->values[i]);
        }
    }
    near("together", part_of(result, "together"), class->target.logit);
    const MatrixBlock *lens = matrix_of(result, "lens"), *share = matrix_of(class, "lens");
    assert_true(lens->n_columns == 1 && share->n_columns == 1); /* the last row is what is read */
    near("the lens", lens->values[LAYERS], class->target.logit);
    near("a class", share->values[LAYERS], class->target.log_probability);
    assert_true(lens->is_signed && !share->is_signed);
    assert_string_equal(result_find_block(result, "lens")->unit.bytes, "logit");
    assert_null(result_find_block(result, "answer"));
    assert_non_null(result_find_block(class, "answer"));
    assert_true(result_passed(result) && result_passed(class));
    result_free(class);
    result_free(result);
}

static void questions_are_refused(void **state) {
    static const struct {
        const char *asked;
        limn_status status;
        const char *said;
    } cases[] = {
        {"'prompt': 'a', 'target': 'de', 'contrast': 'f'", LIMN_USAGE, "the target has 2 and the contrast 1"},
        {"'prompt': 'a', 'target': 'd', 'contrast': 'fg'", LIMN_USAGE, "the target has 1 and the contrast 2"},
        {"'prompt': 'a', 'target': 'd', 'contrast': 'f', 'of': 'final'", LIMN_USAGE, "--of final reads each"},
        {"'prompt': 'a', 'top': 0", LIMN_RANGE, "'top'"},
        {"'prompt': 'a', 'top': 10001", LIMN_RANGE, "'top'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "'model': '%%', %s", cases[i].asked);
        refuse_json("lens", json_of(letters, text), cases[i].status, cases[i].said);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_place_reads_as_the_end_of_its_text),
                                       cmocka_unit_test(two_tokens_are_read_in_turn),
                                       cmocka_unit_test(a_lead_is_a_difference),
                                       cmocka_unit_test(the_answer_is_read_behind_each_layer),
                                       cmocka_unit_test(long_texts_show_the_answer),
                                       cmocka_unit_test(parts_add_up),
                                       cmocka_unit_test(neurons_add_up),
                                       cmocka_unit_test(the_headline_says_from_where),
                                       cmocka_unit_test(a_number_is_a_logit),
                                       cmocka_unit_test(questions_are_refused)};
    return cmocka_run_group_tests_name("lens, sums", tests, set_up, tear_down);
}
