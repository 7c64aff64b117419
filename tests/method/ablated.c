#include "method/ablated.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/calls.h"
#include "method/references.h"

#include <cmocka.h> /* last: it has a macro named fail */

Result *ablated(const char *more) {
    char text[1024];
    snprintf(text, sizeof text, "'model': '" MODEL "', %s%s",
             strstr(more, "'ids'") == NULL ? "'ids': [5, 17, 40], " : "", more);
    return call_json("ablate", json_of(letters, text));
}

Result *lettered(const char *more) {
    char text[1024];
    snprintf(text, sizeof text, "'model': '%%', %s", more);
    return call_json("ablate", json_of(letters, text));
}

Cells cells_of(Result *result) {
    Cells cells = {.before = param_of(result, "before")};
    const MatrixBlock *effects = matrix_of(result, "effects");
    cells.n = effects->n_rows * effects->n_columns;
    assert_true(cells.n <= MOST);
    memcpy(cells.effects, effects->values, (size_t)cells.n * sizeof(double));
    if (result_find_block(result, "estimates") != NULL) {
        memcpy(cells.estimates, matrix_of(result, "estimates")->values, (size_t)cells.n * sizeof(double));
    }
    result_free(result);
    return cells;
}
