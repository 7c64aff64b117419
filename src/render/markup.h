/* Text inside HTML and SVG, and the charts both draw. */
#ifndef LIMN_RENDER_MARKUP_H
#define LIMN_RENDER_MARKUP_H

#include "render/format.h"

/* Cleans (see clean_text) and escapes & < > " '. */
void markup_text(TextBuffer *out, Text text, unsigned flags);
void markup_string(TextBuffer *out, const char *text);
/* Escapes text that is clean already. */
void markup_clean(TextBuffer *out, const char *text, size_t length);

/* "zh", "ja", "ko" by the script of the text, else NULL: unknown. */
const char *text_language(Text text);

/* <svg> of a series block: lines told apart by dash and marker as well as colour, intervals as bands. The classes
 * it uses are in chart_style. */
void chart_series(TextBuffer *out, const Block *block, Words words, int width, int height);
extern const char *const chart_style;

#endif
