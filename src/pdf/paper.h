/* The pages of a PDF as they fill from top to bottom: tagged text, headings, page breaks. Everything is laid out twice,
 * first to learn on which page what comes to stand. All lengths are points. */
#ifndef LIMN_PDF_PAPER_H
#define LIMN_PDF_PAPER_H

#include <cairo.h>

#include "pdf/fonts.h"
#include "render/format.h"
#include "render/palette.h"
#include "result/result.h"

#define PAPER_WIDTH  595.276 /* A4 */
#define PAPER_HEIGHT 841.89
#define PAPER_LEFT   54.0
#define PAPER_TOP    54.0
#define PAPER_BOTTOM (PAPER_HEIGHT - 62.0)
#define PAPER_TEXT   (PAPER_WIDTH - 2 * PAPER_LEFT) /* width of a line */

typedef enum Ink { INK_TEXT, INK_SOFT, INK_GOOD, INK_BAD, INK_WARN, INK_RULE, INK_COUNT } Ink;

/* What a structure element says besides its content. Cairo knows no such things: they are put in afterwards, the
 * elements counted in the order in which they begin. */
typedef struct Tag {
    const char *kind;     /* "P", "Figure" */
    const char *alt;      /* of a figure, of a link */
    const char *language; /* where it is not the document's */
} Tag;

/* Where a heading has come to stand. */
typedef struct Place {
    const char *title;  /* clean */
    const Block *block; /* NULL: not a block's */
    int level;          /* 1: of the document itself */
    int page;           /* from 1 */
    double y;
} Place;

typedef struct Paper {
    Fonts *fonts;
    cairo_t *cr;
    cairo_surface_t *surface;
    Arena *arena;
    const Result *result;
    Words words;
    const char *language;
    const char *running; /* what stands at the foot of each page */
    int page, pages;     /* from 1; how many the first time */
    double y;            /* where the next thing starts */
    int32_t level;       /* of the section that blocks stand in; 0: none */
    Tag *tags;           /* [n_tags] of this time */
    int32_t n_tags, tags_capacity;
    Place *places; /* [n_places] of this time */
    int32_t n_places, places_capacity;
    const Place *first; /* [n_first] of the first time; NULL: this is the first time */
    int32_t n_first;
    limn_status status; /* the first failure */
} Paper;

/* ---- structure ---- */

/* Elements are strictly nested, and only one without others inside has marks of its own. alt: kept. */
void paper_tag(Paper *paper, const char *kind);
void paper_tag_with(Paper *paper, const char *kind, const char *alt, const char *language);
void paper_end(Paper *paper, const char *kind);
/* where: Cairo's, "dest='place-3'" of a heading's place. Ended as CAIRO_TAG_LINK. */
void paper_link(Paper *paper, const char *where, const char *alt);
/* Around what is no part of the content: rules, page numbers, headers repeated. */
void paper_decoration(Paper *paper);
void paper_decoration_end(Paper *paper);

/* ---- pages ---- */

void paper_new_page(Paper *paper);
/* A new page unless there is so much room on this one. */
void paper_need(Paper *paper, double height);
void paper_ink(Paper *paper, Ink ink);
void paper_colour(Paper *paper, Colour colour);
void paper_finish(Paper *paper); /* the last page's foot */

/* ---- text ---- */

typedef struct Style {
    double size, leading; /* of letters; from line to line */
    bool bold, mono;
    Ink ink;
    double before, after; /* room above and below */
    double indent;
    const char *tag; /* "P" */
} Style;

extern const Style style_body, style_note, style_literal, style_label;

/* Text with parts of other looks. */
typedef struct Rich {
    TextBuffer text;
    struct {
        size_t begin, end;
        Ink ink;
        bool bold, mono;
    } parts[16];
    int n;
} Rich;

enum { RICH_BOLD = 1, RICH_MONO = 2 };

void rich_add(Paper *paper, Rich *rich, const char *clean, Ink ink, unsigned looks);
void rich_text(Paper *paper, Rich *rich, Text text, unsigned flags, Ink ink, unsigned looks); /* cleaned here */

/* A paragraph at the left edge, broken over pages where it must; frees the text. */
void paper_paragraph(Paper *paper, const Style *style, Rich *rich);
void paper_plain(Paper *paper, const Style *style, Text text, unsigned flags);
/* level 1 .. 6; a place in the outline. keep: room for what follows. */
void paper_heading(Paper *paper, int level, Text title, Text unit, const Block *block, double keep);

/* One line or a few of text in a box: for cells, labels, chips. */
typedef struct Box {
    PangoLayout *layout;
    int lines;
    double width, leading; /* of the widest line */
    double ascent;         /* from the top of a line to its letters' feet */
    const char *language;  /* of the text, where its script tells */
} Box;

/* width <= 0: one line as long as it gets. What is left over is broken, between letters if need be. */
Box box_of(Paper *paper, const char *clean, double size, unsigned looks, double width);
/* Lines [from, to) with the first at y; x is the left edge, or the right one. */
void box_draw(Paper *paper, const Box *box, int from, int to, double x, double y, bool right);
void box_free(Box *box);

/* Kept in the arena: text as it can be shown. "" when memory runs out. */
const char *paper_clean(Paper *paper, Text text, unsigned flags);
const char *paper_keep(Paper *paper, TextBuffer *buffer); /* frees it */

#endif
