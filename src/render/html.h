/* Shared by the files of the HTML renderer. */
#ifndef LIMN_RENDER_HTML_H
#define LIMN_RENDER_HTML_H

#include "render/markup.h"
#include "render/render.h"

typedef struct Html {
    TextBuffer *out;
    Arena *arena;
    const Result *result;
    limn_status status; /* the first failure */
    Words words;
    int32_t level; /* of the section that blocks stand in; 0: none */
} Html;

extern const char *const html_style[]; /* ended by NULL */
extern const char *const html_dark_style;

#define BLOCK(kind, name, type, help) void html_##name(Html *h, const Block *block);
#include "result/blocks.def"
#undef BLOCK

#endif
