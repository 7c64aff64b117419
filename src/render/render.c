#include "render/render.h"

#include <string.h>

static const Renderer rows[] = {
#define FORMAT(name, extension, media_type, help) {#name, extension, media_type, help, render_##name},
#include "result/formats.def"
#undef FORMAT
};

const Renderer *renderers(size_t *count) {
    *count = sizeof rows / sizeof *rows;
    return rows;
}

const Renderer *renderer_find(const char *name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

const char *renderer_names(void) {
    static const char names[] =
#define FORMAT(name, extension, media_type, help) "|" #name
#include "result/formats.def"
#undef FORMAT
        ;
    return &names[1];
}

limn_status render_result(TextBuffer *out, const Result *result, const char *format, const RenderOptions *options) {
    static const RenderOptions defaults = {0};
    const Renderer *renderer = renderer_find(format);
    if (renderer == NULL) {
        return fail(LIMN_NOT_FOUND, "no format named %s, expected %s", format, renderer_names());
    }
    TRY(result_status(result));
    TRY(renderer->render(out, result, options == NULL ? &defaults : options));
    return text_buffer_status(out);
}

limn_status render_json(TextBuffer *out, const Result *result, const RenderOptions *options) {
    (void)options;
    return result_write_json(out, result, true);
}
