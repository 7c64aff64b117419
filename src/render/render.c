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

/* The language a document was made in, by its parameters; NULL: they do not say. */
static const char *language_of(const Result *result) {
    for (size_t i = 0; i < result->params.count; i++) {
        const Field *param = &result->params.items[i];
        if (strcmp(param->name, "language") == 0 && param->value.kind == VALUE_TEXT) {
            return param->value.text.bytes;
        }
    }
    return NULL;
}

limn_status render_result(TextBuffer *out, const Result *result, const char *format, const RenderOptions *options) {
    RenderOptions chosen = options == NULL ? (RenderOptions){0} : *options;
    const Renderer *renderer = renderer_find(format);
    if (renderer == NULL) {
        return fail(LIMN_NOT_FOUND, "no format named %s, expected %s", format, renderer_names());
    }
    TRY(result_status(result));
    chosen.language = chosen.language == NULL ? language_of(result) : chosen.language;
    chosen.language = chosen.language == NULL ? "en" : chosen.language;
    TRY(renderer->render(out, result, &chosen));
    return text_buffer_status(out);
}

limn_status render_json(TextBuffer *out, const Result *result, const RenderOptions *options) {
    (void)options;
    return result_write_json(out, result, true);
}
