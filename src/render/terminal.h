/* Shared by the files of the terminal renderer. */
#ifndef LIMN_RENDER_TERMINAL_H
#define LIMN_RENDER_TERMINAL_H

#include "render/format.h"
#include "render/render.h"

typedef struct Terminal {
    TextBuffer *out;
    Arena *arena;
    int width;
    RenderColour colour;
    bool ascii;
    bool report;    /* has sections */
    unsigned flags; /* for clean_text */
    Words words;
    limn_status status; /* the first failure */
} Terminal;

typedef enum Style { STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_BAD, STYLE_WARN } Style;

void style_begin(const Terminal *t, Style style);
void style_end(const Terminal *t);
/* Colour of a score: fill behind the text (24-bit) or coloured letters. Ends with style_end. */
void score_begin(const Terminal *t, int step);

Text text_from(const TextBuffer *buffer);
/* A string of the arena, the buffer freed; "" and t->status set when memory runs out. */
const char *keep(Terminal *t, TextBuffer *buffer);
/* Zeros of the arena; NULL and t->status set when memory runs out. */
void *array(Terminal *t, size_t count, size_t size);
void trim_line(const Terminal *t); /* no spaces at the end of what stands there */

void add_spaces(const Terminal *t, int n);
void add_padded(const Terminal *t, const char *text, size_t length, int width, bool right);
/* A bar of at most `width` columns for a part of 1; its sign changes the fill. Returns its columns. */
int add_bar(const Terminal *t, double part, int width);
/* Clean text broken at spaces; lines after the first are indented. `column`: where the text starts. Returns the
 * column it ends in. */
int add_wrapped(const Terminal *t, const char *text, int column, int indent);
void add_line_end(const Terminal *t); /* ends styles, then the line */
const char *pick(const Terminal *t, const char *unicode, const char *ascii);

#define BLOCK(kind, name, type, help) void terminal_##name(Terminal *t, const Block *block);
#include "result/blocks.def"
#undef BLOCK

#endif
