/* A result document: read, written, read again, shown in every format. What was read must survive the round trip byte
 * for byte, and no byte of it may command a terminal. */
#include <string.h>

#include "fuzz.h"
#include "render/render.h"
#include "result/result.h"

static void round_trip(const Result *result, bool measured) {
    TextBuffer first = TEXT_BUFFER_INIT;
    TextBuffer second = TEXT_BUFFER_INIT;
    Result *again;
    check(result_write_json(&first, result, measured) == LIMN_OK, "what was read can be written");
    check(result_read_json(&again, first.data, first.length, "result.json") == LIMN_OK, "what was written can be read");
    check(result_write_json(&second, again, measured) == LIMN_OK, "and written again");
    check(first.length == second.length && memcmp(first.data, second.data, first.length) == 0, "the same bytes");
    result_free(again);
    text_buffer_free(&first);
    text_buffer_free(&second);
}

static void show(const Result *result, const Renderer *renderer) {
    TextBuffer out = TEXT_BUFFER_INIT;
    const RenderOptions plain = {.width = 60};
    limn_status status = renderer->render(&out, result, &plain);
    if (status != LIMN_OK) {
        check_failure(status);
    }
    for (size_t i = 0; i < out.length; i++) {
        unsigned char c = (unsigned char)out.data[i];
        check((c >= 0x20 && c != 0x7F) || c == '\n' || c == '\t', "no control characters in what is shown");
        check(c != 0xC2 || (unsigned char)out.data[i + 1] >= 0xA0, "no C1 control characters either");
    }
    text_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Result *result;
    limn_status status = result_read_json(&result, (const char *)data, size, "result.json");
    if (status != LIMN_OK) {
        check_failure(status);
        return 0;
    }
    round_trip(result, false);
    round_trip(result, true);
    size_t n;
    const Renderer *rows = renderers(&n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, "pdf") != 0) { /* a file for other programs, made by another process */
            show(result, &rows[i]);
        }
    }
    result_free(result);
    return 0;
}
