/* The choices of --format stand in the rows of the methods, which cannot see the renderers: they must agree. */
#include "limn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_choices(void **state) {
    size_t n;
    const limn_param *rows = limn_common_params(&n);
    const char *choices = NULL;
    for (size_t i = 0; i < n; i++) {
        choices = strcmp(rows[i].name, "format") == 0 ? rows[i].choices : choices;
    }
    assert_non_null(choices);
    assert_string_equal(choices, limn_render_formats());
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_choices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
