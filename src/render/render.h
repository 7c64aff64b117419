/* A result document into a format. Formats are rows of result/formats.def; a renderer knows blocks, not methods. */
#ifndef LIMN_RENDER_RENDER_H
#define LIMN_RENDER_RENDER_H

#include "base/text_buffer.h"
#include "result/result.h"

typedef enum RenderColour { RENDER_COLOUR_NONE, RENDER_COLOUR_16, RENDER_COLOUR_24BIT } RenderColour;

typedef struct RenderOptions {
    int width;            /* terminal columns; 0: 80 */
    RenderColour colour;  /* terminal */
    bool ascii;           /* terminal: nothing beyond ASCII but the model's own text, which is escaped */
    bool details;         /* terminal: blocks marked as detail too */
    const char *language; /* of the renderer's own words; NULL: as the document was made, else "en" */
} RenderOptions;

typedef struct Renderer {
    const char *name;
    const char *extension; /* without the dot */
    const char *media_type;
    const char *help;
    limn_status (*render)(TextBuffer *out, const Result *result, const RenderOptions *options);
} Renderer;

const Renderer *renderers(size_t *count);
const Renderer *renderer_find(const char *name); /* NULL: none */
/* "terminal|json|...": the rows. */
const char *renderer_names(void);

/* Appends the rendering to out. options NULL: all defaults. Renderers are called with a language. */
limn_status render_result(TextBuffer *out, const Result *result, const char *format, const RenderOptions *options);

/* Failed checks, and with `warnings` those too: a line each, cleaned. */
void render_alerts(TextBuffer *out, const Result *result, bool warnings);

/* The rows' own functions. */
#define FORMAT(name, extension, media_type, help)                                                                      \
    limn_status render_##name(TextBuffer *out, const Result *result, const RenderOptions *options);
#include "result/formats.def"
#undef FORMAT

#endif
