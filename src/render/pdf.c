/* A PDF file, made by a helper program from the document (src/pdf/). */
#include "base/helper.h"
#include "render/render.h"

limn_status render_pdf(TextBuffer *out, const Result *result, const RenderOptions *options) {
    TextBuffer json = TEXT_BUFFER_INIT;
    limn_status status = result_write_json(&json, result, true);
    status = status == LIMN_OK ? helper_run(out, "limn-pdf", options->language, json.data, json.length) : status;
    text_buffer_free(&json);
    return status;
}
