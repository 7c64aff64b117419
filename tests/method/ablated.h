/* What the tests of `ablate` ask it. */
#ifndef LIMN_TESTS_METHOD_ABLATED_H
#define LIMN_TESTS_METHOD_ABLATED_H

#include "method/letters.h"
#include "result/result.h"

#define MODEL LIMN_TEST_SOURCE_DIR "/tests/golden/llama3"
enum { LAYERS = 2, HEADS = 4, CELLS = LAYERS * HEADS, MOST = 64 };

/* Of the golden model at three tokens; more: "'target-id': 3, ...". */
Result *ablated(const char *more);
/* Of the model that reads letters. */
Result *lettered(const char *more);

typedef struct Cells {
    double before;
    int n;
    double effects[MOST], estimates[MOST];
} Cells;

/* What the result holds, which is freed. */
Cells cells_of(Result *result);

#endif
