/* The order of a document on paper: what came out and what to beware of first, then the figures, the checks, and what
 * is needed to repeat it. */
#include <cairo-pdf.h>
#include <qpdf/qpdf-c.h>
#include <stdlib.h>
#include <string.h>

#include "pdf/blocks.h"
#include "pdf/pdf.h"

/* ---- what stands at the top ---- */

static const char *const outcome_signs[] = {"✓ ", "✗ ", "? "};
static const Ink outcome_inks[] = {INK_GOOD, INK_BAD, INK_WARN};

static void draw_verdict(Paper *paper) {
    Verdict verdict;
    paper->status = checks_verdict(&verdict, paper->arena, paper->result, paper->words, 0);
    if (paper->status != LIMN_OK || verdict.text == NULL) {
        return;
    }
    CheckState outcome = verdict.failed > 0 ? CHECK_FAIL : verdict.open > 0 ? CHECK_INCONCLUSIVE : CHECK_PASS;
    Rich rich = {0};
    rich_add(paper, &rich, outcome_signs[outcome], outcome_inks[outcome], RICH_BOLD);
    rich_add(paper, &rich, verdict.text, outcome_inks[outcome], outcome == CHECK_PASS ? 0 : RICH_BOLD);
    paper_paragraph(paper, &style_body, &rich);
}

static void add_buffer(Paper *paper, Rich *rich, TextBuffer *text, Ink ink, unsigned looks) {
    if (text->data != NULL) {
        rich_add(paper, rich, text->data, ink, looks);
    }
    rich->text.failed = rich->text.failed || text->failed;
    text_buffer_free(text);
}

static void draw_failed(Paper *paper, const ResultCheck *check) {
    Ink ink = outcome_inks[check->state];
    Rich rich = {0};
    TextBuffer text = TEXT_BUFFER_INIT;
    rich_add(paper, &rich, outcome_signs[check->state], ink, RICH_BOLD);
    rich_add(paper, &rich, paper->words[check->state == CHECK_FAIL ? WORD_FAILED : WORD_INCONCLUSIVE], ink, RICH_BOLD);
    rich_add(paper, &rich, paper->words[WORD_COLON], ink, RICH_BOLD);
    format_check_name(&text, check, paper->words, 0);
    add_buffer(paper, &rich, &text, ink, RICH_BOLD);
    text_buffer_add_char(&text, ' ');
    format_check(&text, check, paper->words, 0);
    if (check->meaning.length > 0) {
        text_buffer_add(&text, paper->words[WORD_COLON]);
        clean_text(&text, check->meaning, 0);
    }
    add_buffer(paper, &rich, &text, INK_TEXT, 0);
    paper_paragraph(paper, &style_body, &rich);
}

static void draw_alerts(Paper *paper) {
    const Result *result = paper->result;
    for (int32_t i = 0; i < result->n_checks; i++) {
        if (result->checks[i].state != CHECK_PASS) {
            draw_failed(paper, &result->checks[i]);
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        Rich rich = {0};
        rich_add(paper, &rich, "! ", INK_WARN, RICH_BOLD);
        rich_add(paper, &rich, paper->words[WORD_WARNING], INK_WARN, RICH_BOLD);
        rich_add(paper, &rich, paper->words[WORD_COLON], INK_WARN, RICH_BOLD);
        rich_text(paper, &rich, result->warnings[i], 0, INK_TEXT, 0);
        paper_paragraph(paper, &style_body, &rich);
    }
}

static void draw_facts(Paper *paper, const Style *style, const Fact *facts, size_t n) {
    for (size_t i = 0; i < n && paper->status == LIMN_OK; i++) {
        Rich rich = {0};
        rich_add(paper, &rich, facts[i].label, INK_TEXT, RICH_BOLD);
        rich_add(paper, &rich, paper->words[WORD_COLON], INK_TEXT, RICH_BOLD);
        rich_add(paper, &rich, facts[i].text, INK_TEXT, 0);
        paper_paragraph(paper, style, &rich);
    }
    paper->y += 6;
}

static void draw_head(Paper *paper) {
    static const Style eyebrow = {8.5, 12, false, false, INK_SOFT, 0, 2, 0, "P"};
    Rich rich = {0};
    rich_add(paper, &rich, "limn · ", INK_SOFT, 0);
    rich_text(paper, &rich, method_name(paper->result, paper->words), 0, INK_SOFT, 0);
    paper_paragraph(paper, &eyebrow, &rich);
    paper_heading(paper, 1, headline_of(paper->result, paper->words), (Text){NULL, 0}, NULL, 0);
    draw_verdict(paper);
    draw_alerts(paper);
    Fact facts[FACTS_MAX];
    size_t n = 0;
    if (paper->status == LIMN_OK) {
        paper->status = result_facts(facts, &n, paper->arena, paper->result, paper->words, 0);
    }
    paper->y += 4;
    draw_facts(paper, &style_label, facts, paper->status == LIMN_OK ? n : 0);
}

/* The whole prompt where the head shows only its beginning. */
static void draw_prompt(Paper *paper) {
    if (prompt_is_cut(paper->result)) {
        Block block = {.kind = BLOCK_TEXT, .content = &(TextBlock){paper->result->input_text, true}};
        paper_heading(paper, 2, text_of(paper->words[WORD_PROMPT]), (Text){NULL, 0}, NULL, 40);
        pdf_text(paper, &block);
    }
}

/* ---- contents ---- */

static const Place *place_of(const Paper *paper, const Block *block) {
    for (int32_t i = 0; i < paper->n_first; i++) {
        if (paper->first[i].block == block) {
            return &paper->first[i];
        }
    }
    return NULL;
}

static void draw_entry(Paper *paper, const Block *block, int32_t level) {
    const Place *place = place_of(paper, block);
    char number[16] = "", where[64];
    snprintf(where, sizeof where, "dest='place-%d'", place == NULL ? 0 : (int)(place - paper->first));
    if (place != NULL) {
        snprintf(number, sizeof number, "%d", place->page);
    }
    TextBuffer cut = TEXT_BUFFER_INIT;
    clean_text_cut(&cut, word_for_block(paper->words, block), 0, 84);
    const char *kept = paper_keep(paper, &cut), *title = paper_clean(paper, text_of(kept), 0);
    double x = PAPER_LEFT + 14 * (level - 1);
    paper_need(paper, 15);
    Box box = box_of(paper, title, 9.5, level == 1 ? RICH_BOLD : 0, 0), page = box_of(paper, number, 9.5, 0, 0);
    paper_decoration(paper);
    paper_ink(paper, INK_SOFT);
    cairo_set_line_width(paper->cr, 0.5);
    cairo_set_dash(paper->cr, (const double[]){0.6, 3}, 2, 0);
    cairo_move_to(paper->cr, x + box.width + 5, paper->y + 10);
    cairo_line_to(paper->cr, PAPER_LEFT + PAPER_TEXT - 18, paper->y + 10);
    cairo_stroke(paper->cr);
    cairo_set_dash(paper->cr, NULL, 0, 0);
    paper_decoration_end(paper);
    paper_tag(paper, "TOCI");
    paper_link(paper, where, title);
    paper_ink(paper, INK_TEXT);
    box_draw(paper, &box, 0, 1, x, paper->y, false);
    box_draw(paper, &page, 0, 1, PAPER_LEFT + PAPER_TEXT, paper->y, true);
    paper_end(paper, CAIRO_TAG_LINK);
    paper_end(paper, "TOCI");
    box_free(&box);
    box_free(&page);
    paper->y += 15;
}

/* Where each section of a report begins; the deepest level stays out. */
static void draw_contents(Paper *paper) {
    const Result *result = paper->result;
    paper_heading(paper, 2, text_of(paper->words[WORD_CONTENTS]), (Text){NULL, 0}, NULL, 40);
    paper_tag(paper, "TOC");
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const Block *block = &result->blocks[i];
        int32_t level = block->kind == BLOCK_SECTION ? ((const SectionBlock *)block->content)->level : SECTION_LEVELS;
        if (level < SECTION_LEVELS) {
            draw_entry(paper, block, level);
        }
    }
    paper_end(paper, "TOC");
}

/* ---- blocks ---- */

/* Room that a heading wants behind it: the beginning of its block, of a picture all of it. */
static double keep_of(const Block *block) {
    return block->kind == BLOCK_SERIES                                                            ? 240
           : block->kind == BLOCK_MATRIX && ((const MatrixBlock *)block->content)->n_columns > 12 ? 280
                                                                                                  : 60;
}

static void draw_block(Paper *paper, const Block *block) {
    static void (*const functions[])(Paper *, const Block *) = {
#define BLOCK(kind, name, type, help) pdf_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    bool paragraph = paper->level > 0 && block->kind == BLOCK_TEXT && block->title.length == 0;
    if (block->kind != BLOCK_SECTION && !paragraph) {
        paper_heading(paper, paper->level + 2, word_for_block(paper->words, block), block->unit, block, keep_of(block));
    }
    functions[block->kind](paper, block);
    if (block->kind != BLOCK_SECTION && block->note.length > 0) {
        paper_plain(paper, &style_note, block->note, 0);
    }
}

/* Before which block the contents stand: the first, or the second section where the first one is the whole in short,
 * and what follows are its details. */
static int32_t contents_place(const Result *result) {
    int32_t second = 0;
    bool details = false;
    for (int32_t i = 1; i < result->n_blocks; i++) {
        const Block *block = &result->blocks[i];
        bool top = block->kind == BLOCK_SECTION && ((const SectionBlock *)block->content)->level == 1;
        second = top && second == 0 ? i : second;
        details = details || (top && block->detail);
    }
    bool in_short = second > 0 && result->blocks[0].kind == BLOCK_SECTION && !result->blocks[0].detail && details;
    return in_short ? second : 0;
}

/* A report is read in its own order, its contents where they belong; else details come last. */
static void draw_report(Paper *paper) {
    const Result *result = paper->result;
    int32_t contents = contents_place(result);
    for (int32_t i = 0; i < result->n_blocks && paper->status == LIMN_OK; i++) {
        if (i == contents) {
            paper->level = 0;
            draw_contents(paper);
            draw_prompt(paper);
        }
        draw_block(paper, &result->blocks[i]);
    }
}

static void draw_blocks(Paper *paper, bool detail) {
    for (int32_t i = 0; i < paper->result->n_blocks && paper->status == LIMN_OK; i++) {
        if (paper->result->blocks[i].detail == detail) {
            draw_block(paper, &paper->result->blocks[i]);
        }
    }
}

static void draw_checks(Paper *paper) {
    static const WordId heads[] = {WORD_OUTCOME, WORD_CHECK, WORD_CHECK_VALUE, WORD_CHECK_MEASURES};
    const Result *result = paper->result;
    Grid grid;
    if (result->n_checks == 0 || !grid_new(paper, &grid, 4, result->n_checks)) {
        return;
    }
    paper_heading(paper, 2, text_of(paper->words[WORD_CHECKS]), (Text){NULL, 0}, NULL, 60);
    paper_plain(paper, &style_note, text_of(paper->words[WORD_CHECKED_WHAT]), 0);
    for (int i = 0; i < 4; i++) {
        grid.head[i] = paper->words[heads[i]];
    }
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        TextBuffer text = TEXT_BUFFER_INIT;
        format_outcome(&text, check->state, paper->words, 0);
        grid.cells[4 * i] = paper_keep(paper, &text);
        format_check_name(&text, check, paper->words, 0);
        grid.cells[4 * i + 1] = paper_clean(paper, text_of(paper_keep(paper, &text)), 0);
        format_check(&text, check, paper->words, 0);
        grid.cells[4 * i + 2] = paper_keep(paper, &text);
        grid.cells[4 * i + 3] = paper_clean(paper, check->meaning, 0);
    }
    grid_draw(paper, &grid);
}

/* ---- what is needed to repeat it ---- */

void pdf_setting(TextBuffer *out, const Paper *paper) {
    text_buffer_printf(out, "Cairo %s, Pango %s, qpdf %s", cairo_version_string(), pango_version_string(),
                       qpdf_get_qpdf_version());
    fonts_name(paper->fonts, out);
}

/* Where the document is, and with what the file was set: with other versions its bytes are others. */
static void draw_colophon(Paper *paper) {
    static const Style style = {8, 11.5, false, false, INK_SOFT, 6, 0, 0, "P"};
    TextBuffer text = TEXT_BUFFER_INIT;
    text_buffer_printf(&text, "%s limn-result.json. limn %s, ", paper->words[WORD_ATTACHED], LIMN_VERSION);
    pdf_setting(&text, paper);
    text_buffer_add_char(&text, '.');
    paper_plain(paper, &style, text_of(paper_keep(paper, &text)), 0);
}

static void draw_details(Paper *paper) {
    static const Style style = {8, 11.5, false, false, INK_TEXT, 0, 1, 0, "P"};
    FactGroup groups[FACT_GROUPS];
    paper->level = 0;
    paper->status = result_details(groups, paper->arena, paper->result, paper->words, 0);
    for (size_t i = 0; paper->status == LIMN_OK && i < FACT_GROUPS; i++) {
        if (groups[i].n > 0) {
            paper_heading(paper, 2, text_of(groups[i].title), (Text){NULL, 0}, NULL, 30);
            draw_facts(paper, &style, groups[i].facts, groups[i].n);
        }
    }
    draw_colophon(paper);
}

static limn_status draw(Paper *paper) {
    paper->page = 1;
    paper->y = PAPER_TOP;
    paper->level = 0;
    paper->n_tags = paper->n_places = 0;
    paper_tag(paper, "Document");
    draw_head(paper);
    bool report = result_has_sections(paper->result);
    if (report) {
        draw_report(paper);
    } else if (paper->status == LIMN_OK) {
        draw_prompt(paper);
        draw_blocks(paper, false);
    }
    paper->level = 0;
    if (paper->status == LIMN_OK) {
        draw_checks(paper);
    }
    if (!report) {
        draw_blocks(paper, true);
    }
    if (paper->status == LIMN_OK) {
        draw_details(paper);
    }
    paper_finish(paper);
    paper_end(paper, "Document");
    paper->pages = paper->page - 1;
    cairo_status_t drawn = cairo_status(paper->cr);
    if (paper->status == LIMN_OK && drawn != CAIRO_STATUS_SUCCESS) {
        return fail(LIMN_INTERNAL, "Cairo cannot draw the PDF: %s", cairo_status_to_string(drawn));
    }
    return paper->status;
}

/* ---- twice ---- */

static cairo_status_t take(void *context, const unsigned char *bytes, unsigned length) {
    text_buffer_add_bytes(context, bytes, length);
    return ((TextBuffer *)context)->failed ? CAIRO_STATUS_NO_MEMORY : CAIRO_STATUS_SUCCESS;
}

/* Drawn where nothing is kept: to learn the pages. */
static limn_status rehearse(Paper *paper, Place **first) {
    paper->surface = cairo_image_surface_create(CAIRO_FORMAT_A8, 1, 1);
    paper->cr = cairo_create(paper->surface);
    limn_status status = draw(paper);
    cairo_destroy(paper->cr);
    cairo_surface_destroy(paper->surface);
    *first = paper->places;
    paper->n_first = paper->n_places;
    paper->first = *first;
    paper->places = NULL;
    paper->n_places = paper->places_capacity = 0;
    return status;
}

/* Headings below each other's as their levels say; the title itself is no entry. */
static void add_outline(Paper *paper) {
    int parents[8] = {CAIRO_PDF_OUTLINE_ROOT, CAIRO_PDF_OUTLINE_ROOT};
    for (int32_t i = 0; i < paper->n_places; i++) {
        const Place *place = &paper->places[i];
        int level = place->level > 6 ? 6 : place->level;
        char where[64];
        if (level < 2) {
            continue;
        }
        snprintf(where, sizeof where, "page=%d pos=[%.0f %.0f]", place->page, PAPER_LEFT, place->y);
        int id = cairo_pdf_surface_add_outline(paper->surface, parents[level - 1],
                                               place->title[0] == '\0' ? " " : place->title, where,
                                               level == 2 ? CAIRO_PDF_OUTLINE_FLAG_OPEN : 0);
        for (int below = level; below < 8; below++) {
            parents[below] = id;
        }
    }
}

static limn_status perform(TextBuffer *drawn, Paper *paper, const char *title) {
    paper->surface = cairo_pdf_surface_create_for_stream(take, drawn, PAPER_WIDTH, PAPER_HEIGHT);
    paper->cr = cairo_create(paper->surface);
    cairo_pdf_surface_set_metadata(paper->surface, CAIRO_PDF_METADATA_TITLE, title);
    cairo_pdf_surface_set_metadata(paper->surface, CAIRO_PDF_METADATA_CREATOR, "limn " LIMN_VERSION);
    limn_status status = draw(paper);
    if (status == LIMN_OK) {
        add_outline(paper);
    }
    cairo_destroy(paper->cr);
    cairo_surface_finish(paper->surface);
    cairo_status_t ended = cairo_surface_status(paper->surface);
    cairo_surface_destroy(paper->surface);
    if (status == LIMN_OK && ended != CAIRO_STATUS_SUCCESS) {
        return fail(LIMN_INTERNAL, "Cairo cannot write the PDF: %s", cairo_status_to_string(ended));
    }
    return status == LIMN_OK ? text_buffer_status(drawn) : status;
}

static limn_status make(TextBuffer *out, Paper *paper) {
    TextBuffer drawn = TEXT_BUFFER_INIT, cut = TEXT_BUFFER_INIT;
    Place *first = NULL;
    const char *title = paper_clean(paper, headline_of(paper->result, paper->words), 0);
    clean_text_cut(&cut, text_of(title), 0, 76);
    paper->running = paper_keep(paper, &cut);
    limn_status status = paper->status;
    status = status == LIMN_OK ? rehearse(paper, &first) : status;
    status = status == LIMN_OK ? perform(&drawn, paper, title) : status;
    status = status == LIMN_OK ? pdf_complete(out, &drawn, paper, title) : status;
    text_buffer_free(&drawn);
    free(first);
    return status;
}

limn_status pdf_document(TextBuffer *out, const Result *result, const char *language) {
    Arena arena;
    Fonts fonts;
    arena_init(&arena);
    Paper paper = {
        .fonts = &fonts, .arena = &arena, .result = result, .language = language, .words = words_in(language)};
    limn_status status = fonts_open(&fonts, language);
    status = status == LIMN_OK ? make(out, &paper) : status;
    fonts_close(&fonts);
    free(paper.tags);
    free(paper.places);
    arena_free(&arena);
    return status;
}
