/* A result document as a PDF file: tagged, bookmarked, its fonts embedded, the document itself attached. */
#ifndef LIMN_PDF_PDF_H
#define LIMN_PDF_PDF_H

#include "pdf/paper.h"

/* Appends the file. The same result gives the same bytes, with the same fonts and libraries. */
limn_status pdf_document(TextBuffer *out, const Result *result, const char *language);

/* What Cairo leaves out (language, title bar, descriptions of figures, decorations), put into what it wrote, and the
 * document as an attachment. */
limn_status pdf_complete(TextBuffer *out, const TextBuffer *drawn, const Paper *paper, const char *title);

/* Appends "Cairo 1.16.0, Pango 1.50.12, qpdf 11.3.0, Noto Sans CJK SC 2.004, ...": what the bytes depend on besides. */
void pdf_setting(TextBuffer *out, const Paper *paper);

#endif
