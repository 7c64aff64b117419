#include "pdf/paper.h"

#include <cairo-pdf.h>
#include <pango/pangocairo.h>
#include <stdlib.h>
#include <string.h>

#include "render/markup.h"

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "no memory for a PDF");
}

/* ---- structure ---- */

static void *grown(Paper *paper, void *items, int32_t n, int32_t *capacity, size_t size) {
    if (n < *capacity) {
        return items;
    }
    int32_t more = *capacity == 0 ? 256 : *capacity * 2;
    void *larger = realloc(items, (size_t)more * size);
    if (larger == NULL) {
        paper->status = paper->status == LIMN_OK ? no_memory() : paper->status;
        return items;
    }
    *capacity = more;
    return larger;
}

static void keep_tag(Paper *paper, const char *kind, const char *alt, const char *language) {
    paper->tags = grown(paper, paper->tags, paper->n_tags, &paper->tags_capacity, sizeof *paper->tags);
    if (paper->n_tags < paper->tags_capacity) {
        bool same = language == NULL || strcmp(language, paper->language) == 0;
        paper->tags[paper->n_tags++] = (Tag){kind, alt, same ? NULL : language};
    }
}

void paper_tag_with(Paper *paper, const char *kind, const char *alt, const char *language) {
    keep_tag(paper, kind, alt, language);
    cairo_tag_begin(paper->cr, kind, NULL);
}

void paper_link(Paper *paper, const char *where, const char *alt) {
    keep_tag(paper, CAIRO_TAG_LINK, alt, NULL);
    cairo_tag_begin(paper->cr, CAIRO_TAG_LINK, where);
}

void paper_tag(Paper *paper, const char *kind) {
    paper_tag_with(paper, kind, NULL, NULL);
}

void paper_end(Paper *paper, const char *kind) {
    cairo_tag_end(paper->cr, kind);
}

void paper_decoration(Paper *paper) {
    paper_tag(paper, "NonStruct");
}

void paper_decoration_end(Paper *paper) {
    paper_end(paper, "NonStruct");
}

/* ---- pages ---- */

void paper_colour(Paper *paper, Colour colour) {
    cairo_set_source_rgb(paper->cr, colour.red / 255.0, colour.green / 255.0, colour.blue / 255.0);
}

static Colour colour_of(Ink ink) {
    static const Colour colours[INK_COUNT] = {
        [INK_TEXT] = {0x1A, 0x1D, 0x21}, [INK_SOFT] = {0x57, 0x60, 0x6A}, [INK_GOOD] = {0x17, 0x6B, 0x2F},
        [INK_BAD] = {0xA8, 0x1E, 0x1E},  [INK_WARN] = {0x7A, 0x4E, 0x00}, [INK_RULE] = {0xD0, 0xD4, 0xD9}};
    return colours[ink];
}

void paper_ink(Paper *paper, Ink ink) {
    paper_colour(paper, colour_of(ink));
}

static void draw_foot(Paper *paper) {
    char number[48];
    snprintf(number, sizeof number, "%d / %d", paper->page, paper->pages);
    paper_decoration(paper);
    paper_ink(paper, INK_SOFT);
    Box box = box_of(paper, number, 8, 0, 0);
    box_draw(paper, &box, 0, 1, PAPER_LEFT + PAPER_TEXT, PAPER_HEIGHT - 44, true);
    box_free(&box);
    box = box_of(paper, paper->running, 8, 0, 0);
    box_draw(paper, &box, 0, 1, PAPER_LEFT, PAPER_HEIGHT - 44, false);
    box_free(&box);
    paper_decoration_end(paper);
}

void paper_finish(Paper *paper) {
    draw_foot(paper);
    cairo_show_page(paper->cr);
    paper->page++;
    paper->y = PAPER_TOP;
}

void paper_new_page(Paper *paper) {
    paper_finish(paper);
}

void paper_need(Paper *paper, double height) {
    if (paper->y + height > PAPER_BOTTOM && paper->y > PAPER_TOP) {
        paper_new_page(paper);
    }
}

/* ---- text ---- */

const Style style_body = {9.5, 14, false, false, INK_TEXT, 0, 6, 0, "P"};
const Style style_note = {8.5, 12.5, false, false, INK_SOFT, 0, 6, 0, "P"};
const Style style_literal = {8, 11.5, false, true, INK_TEXT, 0, 0, 8, "P"};
const Style style_label = {9.5, 14, false, false, INK_TEXT, 0, 2, 0, "P"};

const char *paper_keep(Paper *paper, TextBuffer *buffer) {
    const char *text =
        buffer->failed ? NULL : arena_strndup(paper->arena, buffer->data == NULL ? "" : buffer->data, buffer->length);
    text_buffer_free(buffer);
    if (text == NULL) {
        paper->status = paper->status == LIMN_OK ? no_memory() : paper->status;
        return "";
    }
    return text;
}

const char *paper_clean(Paper *paper, Text text, unsigned flags) {
    TextBuffer clean = TEXT_BUFFER_INIT, shown = TEXT_BUFFER_INIT;
    clean_text(&clean, text, flags);
    fonts_show(paper->fonts, &shown, clean.data == NULL ? "" : clean.data, clean.length);
    shown.failed = shown.failed || clean.failed;
    text_buffer_free(&clean);
    return paper_keep(paper, &shown);
}

void rich_add(Paper *paper, Rich *rich, const char *clean, Ink ink, unsigned looks) {
    size_t begin = rich->text.length;
    fonts_show(paper->fonts, &rich->text, clean, strlen(clean));
    if (rich->n < (int)(sizeof rich->parts / sizeof rich->parts[0])) {
        rich->parts[rich->n].begin = begin;
        rich->parts[rich->n].end = rich->text.length;
        rich->parts[rich->n].ink = ink;
        rich->parts[rich->n].bold = (looks & RICH_BOLD) != 0;
        rich->parts[rich->n++].mono = (looks & RICH_MONO) != 0;
    }
}

void rich_text(Paper *paper, Rich *rich, Text text, unsigned flags, Ink ink, unsigned looks) {
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, text, flags);
    if (clean.data != NULL) {
        rich_add(paper, rich, clean.data, ink, looks);
    }
    rich->text.failed = rich->text.failed || clean.failed;
    text_buffer_free(&clean);
}

static void add_attribute(PangoAttrList *list, PangoAttribute *attribute, size_t begin, size_t end) {
    attribute->start_index = (guint)begin;
    attribute->end_index = (guint)end;
    pango_attr_list_insert(list, attribute);
}

/* A ligature is one sign that stands for several letters, which readers of the text do not all get back. Quotes and
 * dashes are as wide as a Chinese character unless the words around them are not Chinese. */
static void add_features(PangoAttrList *list, const char *language) {
    pango_attr_list_insert(list, pango_attr_font_features_new(language == NULL ? "liga 0, clig 0, dlig 0, pwid 1"
                                                                               : "liga 0, clig 0, dlig 0"));
    pango_attr_list_insert(list, pango_attr_insert_hyphens_new(FALSE)); /* none that was not written */
}

static PangoAttrList *attributes_of(const Rich *rich, const char *language) {
    PangoAttrList *list = pango_attr_list_new();
    add_features(list, language);
    for (int i = 0; i < rich->n; i++) {
        size_t begin = rich->parts[i].begin, end = rich->parts[i].end;
        Colour ink = colour_of(rich->parts[i].ink);
        add_attribute(
            list,
            pango_attr_foreground_new((guint16)(ink.red * 257), (guint16)(ink.green * 257), (guint16)(ink.blue * 257)),
            begin, end);
        if (rich->parts[i].bold) {
            add_attribute(list, pango_attr_weight_new(PANGO_WEIGHT_BOLD), begin, end);
        }
        if (rich->parts[i].mono) {
            add_attribute(list, pango_attr_family_new("DejaVu Sans Mono,Noto Sans Mono CJK SC"), begin, end);
        }
    }
    return list;
}

/* Where a line is broken Pango leaves the space out, and Cairo wraps what has no glyph into a marked stretch of its
 * own, at which some readers of the structure end the paragraph. So the space gets its glyph back, as wide as it was
 * left. */
static void restore_spaces(PangoLayout *layout, PangoLayoutLine *line) {
    const char *text = pango_layout_get_text(layout);
    for (GSList *at = line->runs; at != NULL; at = at->next) {
        PangoLayoutRun *run = at->data;
        for (int i = 0; i < run->glyphs->num_glyphs; i++) {
            const char *here = text + run->item->offset + run->glyphs->log_clusters[i];
            if (run->glyphs->glyphs[i].glyph == PANGO_GLYPH_EMPTY && *here == ' ') {
                PangoGlyphString *space = pango_glyph_string_new();
                pango_shape(" ", 1, &run->item->analysis, space);
                run->glyphs->glyphs[i].glyph = space->num_glyphs == 1 ? space->glyphs[0].glyph : PANGO_GLYPH_EMPTY;
                pango_glyph_string_free(space);
            }
        }
    }
}

static void show_line(const Paper *paper, PangoLayout *layout, int number) {
    PangoLayoutLine *line = pango_layout_get_line(layout, number);
    restore_spaces(layout, line);
    pango_cairo_show_layout_line(paper->cr, line);
}

/* Lines [from, to) of a layout from paper->y on. */
static void draw_lines(Paper *paper, PangoLayout *layout, const Style *style, int from, int to) {
    for (int i = from; i < to; i++) {
        cairo_move_to(paper->cr, PAPER_LEFT + style->indent, paper->y + style->leading * 0.5 + style->size * 0.36);
        show_line(paper, layout, i);
        paper->y += style->leading;
    }
}

static int lines_that_fit(const Paper *paper, const Style *style) {
    double room = (PAPER_BOTTOM - paper->y) / style->leading;
    return room < 1 ? 0 : (int)room;
}

/* Broken over pages each part is an element of its own within the paragraph. */
static void draw_paragraph(Paper *paper, PangoLayout *layout, const Style *style, const char *language) {
    int n = pango_layout_get_line_count(layout), fit = lines_that_fit(paper, style);
    if (fit < n && fit < 2 && paper->y > PAPER_TOP) {
        paper_new_page(paper);
        fit = lines_that_fit(paper, style);
    }
    paper_tag_with(paper, style->tag, NULL, language);
    if (n <= fit) {
        paper_ink(paper, style->ink);
        draw_lines(paper, layout, style, 0, n);
    } else {
        for (int from = 0; from < n;) {
            int to = from + lines_that_fit(paper, style);
            to = to > n ? n : to > from ? to : from + 1;
            paper_tag(paper, "Span");
            paper_ink(paper, style->ink);
            draw_lines(paper, layout, style, from, to);
            paper_end(paper, "Span");
            from = to;
            if (from < n) {
                paper_new_page(paper);
            }
        }
    }
    paper_end(paper, style->tag);
}

void paper_paragraph(Paper *paper, const Style *style, Rich *rich) {
    const char *text = rich->text.data == NULL ? "" : rich->text.data;
    const char *language = text_language((Text){text, rich->text.length});
    if (rich->text.failed && paper->status == LIMN_OK) {
        paper->status = no_memory();
    }
    paper->y += paper->y > PAPER_TOP ? style->before : 0;
    PangoLayout *layout = fonts_layout(paper->fonts, style->size, style->mono, style->bold, language);
    PangoAttrList *list = attributes_of(rich, language);
    pango_layout_set_width(layout, (int)((PAPER_TEXT - style->indent) * PANGO_SCALE));
    pango_layout_set_text(layout, text, (int)rich->text.length);
    pango_layout_set_attributes(layout, list);
    draw_paragraph(paper, layout, style, language);
    pango_attr_list_unref(list);
    g_object_unref(layout);
    text_buffer_free(&rich->text);
    *rich = (Rich){0};
    paper->y += style->after;
}

void paper_plain(Paper *paper, const Style *style, Text text, unsigned flags) {
    Rich rich = {0};
    rich_text(paper, &rich, text, flags, style->ink, 0);
    paper_paragraph(paper, style, &rich);
}

static void keep_place(Paper *paper, int level, const char *title, const Block *block) {
    paper->places = grown(paper, paper->places, paper->n_places, &paper->places_capacity, sizeof *paper->places);
    if (paper->n_places < paper->places_capacity) {
        paper->places[paper->n_places++] = (Place){title, block, level, paper->page, paper->y};
    }
}

void paper_heading(Paper *paper, int level, Text title, Text unit, const Block *block, double keep) {
    static const Style styles[] = {{18, 25, true, false, INK_TEXT, 0, 8, 0, "H1"},
                                   {13.5, 19, true, false, INK_TEXT, 16, 5, 0, "H2"},
                                   {11, 16, true, false, INK_TEXT, 12, 4, 0, "H3"},
                                   {9.5, 14, true, false, INK_TEXT, 10, 3, 0, "H4"},
                                   {9.5, 14, true, false, INK_SOFT, 8, 2, 0, "H5"}};
    const Style *style = &styles[level > 5 ? 4 : level - 1];
    paper_need(paper, style->before + style->leading + keep);
    Rich rich = {0};
    const char *clean = paper_clean(paper, title, 0);
    rich_add(paper, &rich, clean, style->ink, RICH_BOLD);
    if (unit.length > 0) {
        rich_add(paper, &rich, " (", INK_SOFT, 0);
        rich_text(paper, &rich, unit, 0, INK_SOFT, 0);
        rich_add(paper, &rich, ")", INK_SOFT, 0);
    }
    char name[64];
    snprintf(name, sizeof name, "name='place-%d' x=%.0f y=%.0f internal", paper->n_places, PAPER_LEFT, paper->y);
    keep_place(paper, level, clean, block);
    cairo_tag_begin(paper->cr, CAIRO_TAG_DEST, name);
    paper_paragraph(paper, style, &rich);
    cairo_tag_end(paper->cr, CAIRO_TAG_DEST);
}

/* ---- boxes ---- */

Box box_of(Paper *paper, const char *clean, double size, unsigned looks, double width) {
    const char *language = text_language(text_of(clean));
    Box box = {.layout = fonts_layout(paper->fonts, size, (looks & RICH_MONO) != 0, (looks & RICH_BOLD) != 0, language),
               .leading = size * 1.35,
               .ascent = size * 1.05,
               .language = language};
    PangoAttrList *list = pango_attr_list_new();
    add_features(list, language);
    pango_layout_set_attributes(box.layout, list);
    pango_attr_list_unref(list);
    if (width > 0) {
        pango_layout_set_width(box.layout, (int)(width * PANGO_SCALE));
    }
    pango_layout_set_text(box.layout, clean, -1);
    PangoRectangle extents;
    pango_layout_get_extents(box.layout, NULL, &extents);
    box.width = (double)extents.width / PANGO_SCALE;
    box.lines = pango_layout_get_line_count(box.layout);
    return box;
}

void box_draw(Paper *paper, const Box *box, int from, int to, double x, double y, bool right) {
    for (int i = from; i < to && i < box->lines; i++) {
        PangoLayoutLine *line = pango_layout_get_line_readonly(box->layout, i);
        PangoRectangle extents;
        pango_layout_line_get_extents(line, NULL, &extents);
        cairo_move_to(paper->cr, right ? x - (double)extents.width / PANGO_SCALE : x,
                      y + box->ascent + (i - from) * box->leading);
        show_line(paper, box->layout, i);
    }
}

void box_free(Box *box) {
    g_clear_object(&box->layout);
}
