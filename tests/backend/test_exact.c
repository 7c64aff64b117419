/* Which weights hold bf16 numbers only: every element is looked at, in both orders, and none that lies between lines.
 */
#include "backend/cpu/exact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 40 * 48 };

static const float exact_value = 1.5f, other_value = 1.00001f; /* the latter has bits below bf16's */

static bool has(const Weight *weight) {
    ExactWeights *exact;
    assert_int_equal(exact_weights_new(&exact), LIMN_OK);
    const Progress progress = {0};
    Team team = team_of(1, &progress);
    bool answer = exact_weights_has(exact, &team, weight);
    assert_int_equal(exact_weights_has(exact, &team, weight), answer); /* as it is remembered */
    exact_weights_free(exact);
    return answer;
}

static void every_element_counts_and_nothing_between(void **state) {
    static const struct {
        int64_t rows, columns, padding;
    } shapes[] = {{3, 40, 0}, {40, 3, 0}, {3, 40, 5}, {40, 3, 5}, {1, 17, 2}, {17, 1, 2}};
    static float data[MOST];
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        for (int transposed = 0; transposed <= 1; transposed++) {
            int64_t rows = shapes[s].rows, columns = shapes[s].columns;
            int64_t lines = transposed ? columns : rows, inner = transposed ? rows : columns;
            int64_t stride = inner + shapes[s].padding;
            Weight weight = {.name = "w",
                             .dtype = DTYPE_F32,
                             .rows = rows,
                             .columns = columns,
                             .row_stride = transposed ? 1 : stride,
                             .column_stride = transposed ? stride : 1,
                             .data = data};
            for (int64_t i = 0; i < lines * stride; i++) {
                data[i] = i % stride < inner ? exact_value : other_value;
            }
            assert_true(has(&weight));
            for (int64_t i = 0; i < lines * stride; i++) {
                if (i % stride < inner) {
                    data[i] = other_value;
                    if (has(&weight)) {
                        fail_msg("%d x %d: element %d was not looked at", (int)rows, (int)columns, (int)i);
                    }
                    data[i] = exact_value;
                }
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_element_counts_and_nothing_between)};
    return cmocka_run_group_tests_name("exact", tests, NULL, NULL);
}
