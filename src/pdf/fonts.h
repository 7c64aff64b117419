/* The fonts a PDF is set in, by name, from a configuration of our own: what a user has configured for the screen has no
 * part in a document that must come out the same again. */
#ifndef LIMN_PDF_FONTS_H
#define LIMN_PDF_FONTS_H

#include <pango/pango.h>

#include "base/error.h"
#include "base/text_buffer.h"
#include "result/result.h"

#define FONT_SANS "Noto Sans CJK SC"

typedef struct Fonts {
    PangoFontMap *map;
    PangoContext *context;
    PangoLanguage *language; /* of the document */
    PangoFontset *body;      /* which characters there are letters for */
    unsigned char *asked;    /* a bit for each code point */
    unsigned char *there;
} Fonts;

/* LIMN_UNSUPPORTED: the fonts are not installed. */
limn_status fonts_open(Fonts *fonts, const char *language);
void fonts_close(Fonts *fonts);

/* Clean text as it can be shown: what no installed font has becomes \u{1f600}. */
void fonts_show(Fonts *fonts, TextBuffer *out, const char *text, size_t length);

/* Size in points. language: of the text (text_language), NULL: the document's. */
PangoLayout *fonts_layout(const Fonts *fonts, double size, bool mono, bool bold, const char *language);

/* Appends ", Noto Sans CJK SC 2.004, DejaVu Sans 2.370": what is installed of those that are asked for. */
void fonts_name(const Fonts *fonts, TextBuffer *text);

#endif
