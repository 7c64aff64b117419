/* A result document read, written, compared and shown while memory runs out. */
#include "render/render.h"
#include "torture/torture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char document[1 << 16];
static size_t document_length;

static limn_status compare(const Result *first) {
    Result *second;
    TRY(result_read_json(&second, document, document_length, "sample.json"));
    result_warn(second, "one more than the other");
    Comparison comparison;
    limn_status status = result_compare(&comparison, first, second, (Tolerance){0, 0});
    if (status == LIMN_OK) {
        comparison_free(&comparison);
    }
    result_free(second);
    return status;
}

static limn_status use(const Result *result) {
    char *request;
    TRY(result_request_json(&request, result));
    free(request);
    size_t n;
    const Renderer *rows = renderers(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, "pdf") == 0) { /* another process, once for each allocation */
            continue;
        }
        TextBuffer out = TEXT_BUFFER_INIT;
        const RenderOptions options = {.details = true};
        limn_status status = render_result(&out, result, rows[i].name, &options);
        text_buffer_free(&out);
        TRY(status);
    }
    return LIMN_OK;
}

static limn_status read_and_show(void *context) {
    (void)context;
    Result *result;
    TRY(result_read_json(&result, document, document_length, "sample.json"));
    limn_status status = use(result);
    result_free(result);
    return status;
}

static limn_status read_and_compare(void *context) {
    (void)context;
    Result *result;
    TRY(result_read_json(&result, document, document_length, "sample.json"));
    limn_status status = compare(result);
    result_free(result);
    return status;
}

int main(void) {
    FILE *file = fopen(LIMN_TEST_SOURCE_DIR "/tests/result/golden/sample.json", "rb");
    if (file == NULL) {
        puts("tests/result/golden/sample.json is missing");
        return 1;
    }
    document_length = fread(document, 1, sizeof document, file);
    fclose(file);
    torture("read a result and show it in every format", read_and_show, NULL);
    torture("compare two results", read_and_compare, NULL);
    return 0;
}
