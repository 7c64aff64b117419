/* `patch`: what it says follows from its grids: shares of the way, the strongest, headlines in both directions. `live`:
 * which answers it lists. */
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

static Result *asked(const char *more) {
    char text[512];
    snprintf(text, sizeof text, "'model': '%%', 'prompt': 'a cab', 'corrupt': 'a dab', 'target': 'd', %s", more);
    return call_json("patch", json_of(letters, text));
}

static void grids_tables_and_headlines_agree(void **state) {
    for (int i = 0; i < 8; i++) {
        bool reverse = i % 2 == 1, heads = i / 2 % 2 == 1, chinese = i / 4 == 1;
        char more[160], said[256], where[64];
        snprintf(more, sizeof more, "'metric': 'logit', 'top': 3, 'language': '%s', 'site': '%s'%s",
                 chinese ? "zh" : "en", heads ? "z" : "mlp_out", reverse ? ", 'reverse': true" : "");
        Result *result = asked(more);
        double clean = param_of(result, "clean"), corrupt = param_of(result, "corrupt-value"),
               base = reverse ? clean : corrupt;
        const MatrixBlock *effects = matrix_of(result, "effects"), *share = matrix_of(result, "normalised");
        const TableBlock *table = table_of(result, "strongest");
        int best = -1, columns = effects->n_columns;
        for (int c = 0; c < effects->n_rows * columns; c++) {
            double after = base + effects->values[c];
            if (!isnan(effects->values[c])) {
                assert_true(fabs(share->values[c] - (after - corrupt) / (clean - corrupt)) < 1e-9);
                best = best < 0 || fabs(effects->values[c]) > fabs(effects->values[best]) ? c : best;
            }
        }
        double last = INFINITY;
        assert_int_equal(table->n_rows, 3);
        assert_int_equal(table->n_columns, heads ? 5 : 6);
        assert_string_equal(table->columns[1].name.bytes, heads ? "head" : "position");
        static const char *const tokens[] = {"a", " ", "c/d", "a", "b"};
        for (int32_t row = 0; row < 3; row++) {
            int64_t layer = table_cell(table, row, 0)->integer, column = table_cell(table, row, 1)->integer;
            double effect = table_cell(table, row, 2)->number, after = table_cell(table, row, 4)->number;
            assert_true(effect == effects->values[layer * columns + column] && fabs(effect) <= last);
            assert_true(fabs(after - base - effect) < 1e-9);
            assert_true(table_cell(table, row, 3)->number == share->values[layer * columns + column]);
            assert_true(heads || strcmp(table_cell(table, row, 5)->text.bytes, tokens[column]) == 0);
            last = fabs(effect);
        }
        if (heads) {
            snprintf(where, sizeof where, chinese ? "第 %d 头" : "head %d", best % columns);
        } else {
            snprintf(where, sizeof where, chinese ? "“%s”（位置 %d）" : "\"%s\" (position %d)", tokens[best % columns],
                     best % columns);
            assert_string_equal(effects->column_labels[2].bytes, "c/d");
        }
        double way = share->values[best];
        if (chinese) {
            snprintf(said, sizeof said, "第 %d 层，%s：走到%s答案的 %.3g%%（%+.3g）", best / columns, where,
                     reverse ? "改提示" : "原提示", 100 * (reverse ? 1 - way : way), effects->values[best]);
        } else {
            snprintf(said, sizeof said, ", layer %d, %s: %.3g%% of the way to the %s prompt's answer (%+.3g)",
                     best / columns, where, 100 * (reverse ? 1 - way : way), reverse ? "corrupt" : "clean",
                     effects->values[best]);
            const char *begin = reverse ? "Most is lost at " : "Most comes back at ";
            assert_int_equal(strncmp(result->headline.bytes, begin, strlen(begin)), 0);
            char note[160];
            snprintf(note, sizeof note, "less %.4g, that of the %s run as it is; the other run has %.4g", base,
                     reverse ? "clean" : "corrupt", reverse ? corrupt : clean);
            assert_non_null(strstr(result_find_block(result, "effects")->note.bytes, note));
        }
        if (strstr(result->headline.bytes, said) == NULL) {
            fail_msg("found '%s', expected '%s'", result->headline.bytes, said);
        }
        assert_true(result_find_block(result, "normalised")->detail);
        const ResultCheck *apart = &result->checks[result->n_checks - 1];
        assert_string_equal(apart->name.bytes, "apart");
        assert_true(fabs(apart->value - fabs(clean - corrupt)) < 1e-12 && apart->limit == 1e-3);
        assert_true(apart->kind == CHECK_ABOVE && result->checks[0].limit == 1e-4);
        result_free(result);
    }
}

/* A lead is a difference, as are its effects. */
static void leads_are_differences(void **state) {
    Result *lead = asked("'contrast': 'e'"), *one = asked("'metric': 'logit'"),
           *other =
               call_json("patch", json_of(letters, "'model': '%', 'prompt': 'a cab', 'corrupt': 'a dab', 'target': "
                                                   "'e', 'metric': 'logit'"));
    const MatrixBlock *effects = matrix_of(lead, "effects");
    double size = 0.0;
    for (int c = 0; c < effects->n_rows * effects->n_columns; c++) {
        double expected = matrix_of(one, "effects")->values[c] - matrix_of(other, "effects")->values[c];
        assert_true(fabs(effects->values[c] - expected) < 2e-5);
        size = fmax(size, fabs(expected));
    }
    assert_true(size > 1e-3);
    assert_true(fabs(param_of(lead, "clean") - (param_of(one, "clean") - param_of(other, "clean"))) < 2e-5);
    result_free(lead);
    result_free(one);
    result_free(other);
}

/* Ten are listed unless --top says otherwise, and never more than there are. */
static void as_many_are_listed(void **state) {
    static const struct {
        const char *more;
        int rows;
    } cases[] = {{"'site': 'mlp_out'", 10}, {"'site': 'mlp_out', 'top': 4", 4}, {"'site': 'z'", 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Result *result = asked(cases[i].more);
        assert_int_equal(table_of(result, "strongest")->n_rows, cases[i].rows);
        result_free(result);
    }
}

/* `live` lists what was likeliest before an edit and what is behind it, each once. */
static void both_answers_are_listed(void **state) {
    Result *live = call_json("live", json_of(letters, "'model': '%', 'prompt': 'a cab', 'top': 10, 'set': "
                                                      "['blocks.0.hook_mlp_out=times:-4', 'blocks.1.hook_mlp_out=0']"));
    const TableBlock *table = NULL;
    for (int32_t b = 0; b < live->n_blocks && table == NULL; b++) {
        const TableBlock *own = live->blocks[b].kind == BLOCK_TABLE ? live->blocks[b].content : NULL;
        table = own != NULL && own->n_columns > 1 && strcmp(own->columns[1].name.bytes, "id") == 0 ? own : NULL;
    }
    assert_non_null(table);
    static const char *const sets[] = {"", ", 'set': ['blocks.0.hook_mlp_out=times:-4', 'blocks.1.hook_mlp_out=0']"};
    int in_both = 0;
    for (int i = 0; i < 2; i++) {
        char text[192];
        snprintf(text, sizeof text, "'model': '%%', 'prompt': 'a cab', 'top': 10%s", sets[i]);
        Result *run = call_json("run", json_of(letters, text));
        const TableBlock *top = table_of(run, "top");
        for (int32_t k = 0; k < 10; k++) {
            int found = 0;
            for (int32_t row = 0; row < table->n_rows; row++) {
                found += table_cell(table, row, 1)->integer == table_cell(top, k, 1)->integer;
            }
            assert_int_equal(found, 1);
            in_both++;
        }
        result_free(run);
    }
    assert_true(table->n_rows > 10 && table->n_rows <= in_both);
    result_free(live);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(grids_tables_and_headlines_agree),
                                       cmocka_unit_test(leads_are_differences), cmocka_unit_test(as_many_are_listed),
                                       cmocka_unit_test(both_answers_are_listed)};
    return cmocka_run_group_tests_name("patch, said", tests, open_letters, close_letters);
}
