/* Methods on a mixture of experts: what `run` says of an edited expert, and that `ig` names the jumps of the choice. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/calls.h"

#include <cmocka.h> /* last: it has a macro named fail */

static void must(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static double log_probability(const char *model, const char *edit) {
    Result *result;
    must(call_method(
        &result, "run",
        "{\"model\": \"%s\", \"ids\": [5, 9, 33, 8], \"target-id\": 7, \"backend\": \"ref\", \"set\": [%s]}",
        golden_folder(model), edit));
    double value = result->target.log_probability;
    result_free(result);
    return value;
}

/* Off by its weight is off by its output; without their experts all rows lose something. */
static void experts_are_forced_off_by_name(void **state) {
    double clean = log_probability("qwen2-moe", "");
    double weight = log_probability("qwen2-moe", "\"blocks.*.mlp.hook_routing_weights[expert=4]=zero\"");
    double output = log_probability("qwen2-moe", "\"blocks.*.mlp.experts.hook_out[expert=4]=zero\"");
    double inside = log_probability("qwen2-moe", "\"blocks.*.mlp.experts.hook_post[expert=4]=zero\"");
    assert_true(fabs(weight - output) < 1e-5 && fabs(weight - inside) < 1e-5);
    assert_true(fabs(weight - clean) > 1e-2);
    assert_true(fabs(log_probability("qwen2-moe", "\"blocks.*.mlp.hook_routing_weights=zero\"") - clean) > 1e-2);
}

static const Block *block_of(const Result *result, const char *id) {
    for (int32_t i = 0; i < result->n_blocks; i++) {
        if (strcmp(result->blocks[i].id, id) == 0) {
            return &result->blocks[i];
        }
    }
    fail_msg("no block %s", id);
    return NULL;
}

static void the_table_of_edits_names_the_expert(void **state) {
    static const char *const edits[] = {"blocks.0.mlp.experts.hook_out[expert=2]=zero",
                                        "blocks.0.mlp.hook_routing_weights[expert=2]=zero",
                                        "blocks.0.attn.hook_z[head=1]=zero"};
    for (int i = 0; i < 3; i++) {
        Result *result;
        must(call_method(&result, "run", "{\"model\": \"%s\", \"ids\": [5, 9, 33, 8], \"set\": [\"%s\"]}",
                         golden_folder("qwen2-moe"), edits[i]));
        const TableBlock *table = block_of(result, "edits")->content;
        assert_int_equal(table->n_columns, i < 2 ? 7 : 6);
        assert_int_equal(table->n_rows, 1);
        const Value *cells = table->cells;
        assert_true(cells[1].text.length == 4 && memcmp(cells[1].text.bytes, "zero", 4) == 0);
        assert_int_equal(cells[4].kind, i < 2 ? VALUE_NULL : VALUE_INTEGER);
        assert_int_equal(cells[5].kind, VALUE_NULL);
        assert_true(i == 2 || cells[6].integer == 2);
        result_free(result);
    }
}

/* F jumps where a row's choice changes on the way from the baseline: no panel can close that gap, and the result says
 * whose doing it is. */
static void attribution_names_the_jumps(void **state) {
    Result *result;
    must(call_method(&result, "ig", "{\"model\": \"%s\", \"ids\": [5, 9, 33, 8, 21], \"target-id\": 7}",
                     golden_folder("mixtral")));
    bool warned = false, checked = false;
    for (int32_t i = 0; i < result->n_warnings; i++) {
        warned = warned || strstr(result->warnings[i].bytes, "choice of experts") != NULL;
    }
    for (int32_t i = 0; i < result->n_checks; i++) {
        bool gaps = strcmp(result->checks[i].name.bytes, "panel gaps") == 0;
        checked = checked || (gaps && result->checks[i].state == CHECK_FAIL && result->checks[i].value > 0.01);
    }
    assert_true(warned && checked);
    result_free(result);
}

/* A jump is halved 22 times and then left alone: two nodes each time, of each of the 4 rows in 2 layers that may change
 * their choice there and back. */
static void jumps_are_left_alone_in_the_end(void **state) {
    Result *result;
    must(call_method(&result, "ig", "{\"model\": \"%s\", \"ids\": [5, 17, 40, 9], \"target-id\": 3}",
                     golden_folder("mixtral")));
    double nodes = 0;
    for (int32_t b = 0; b < result->n_blocks; b++) {
        const TableBlock *table = result->blocks[b].kind == BLOCK_TABLE ? result->blocks[b].content : NULL;
        for (int32_t row = 0; table != NULL && row < table->n_rows; row++) {
            const Value *figure = table_cell(table, row, 0), *value = table_cell(table, row, 1);
            if (figure->kind == VALUE_TEXT && strcmp(figure->text.bytes, "nodes") == 0) {
                nodes = value->kind == VALUE_INTEGER ? (double)value->integer : value->number;
            }
        }
    }
    assert_true(nodes > 2 * 22 && nodes < 2 * 22 * (2 * 4 * 2) + 64);
    result_free(result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_are_forced_off_by_name),
        cmocka_unit_test(the_table_of_edits_names_the_expert),
        cmocka_unit_test(attribution_names_the_jumps),
        cmocka_unit_test(jumps_are_left_alone_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
