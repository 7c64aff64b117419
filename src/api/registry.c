#include "api/registry.h"

#include "method/methods.h"
#include "render/render.h"

enum { PAGE_WIDTH = 100 };

static limn_status render(TextBuffer *out, const Result *result, const char *format) {
    RenderOptions options = {.width = PAGE_WIDTH};
    TRY(render_result(out, result, format, &options));
    return text_buffer_status(out);
}

const Registry registry_of_build = {.methods = &method_table, .render = render};
