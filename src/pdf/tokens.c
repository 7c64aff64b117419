/* A strip of text pieces: each word with its number below, filled by size, underlined by sign (solid supports, dashed
 * speaks against), so that it is read without colour too. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "pdf/blocks.h"

#define CHIP_HEIGHT 24.0
#define CHIP_STEP   28.0

enum { NUMBERED_PIECES = 1500, PIECES_MOST = 6000, CHIP_COLUMNS = 70 };

typedef struct Chip {
    Box word, number;
    double width;
    int step;
} Chip;

static Text without_space(Text text) {
    while (text.length > 1 && text.bytes[0] == ' ') {
        text.bytes++;
        text.length--;
    }
    return text;
}

/* Parts of one word stand close. */
static bool joins(const Pieces *pieces, int32_t i) {
    Text text = pieces->items[i].text, before = i > 0 ? pieces->items[i - 1].text : (Text){"", 0};
    if (text.length == 0 || before.length == 0) {
        return false;
    }
    unsigned char first = (unsigned char)text.bytes[0], last = (unsigned char)before.bytes[before.length - 1];
    return (isalnum(first) || first >= 0x80) && (isalnum(last) || last >= 0x80);
}

static const char *number_of(Paper *paper, const TokensBlock *content, const Pieces *pieces, const Piece *piece,
                             int step) {
    TextBuffer text = TEXT_BUFFER_INIT;
    if (piece->state == TOKEN_FIXED || (piece->state == TOKEN_TARGET && !isfinite(piece->score))) {
        text_buffer_add(&text, word_for_string(paper->words, token_state_name(piece->state)));
    } else if (pieces->n <= NUMBERED_PIECES || step != 0) {
        format_score(&text, piece->score, pieces->scale, content->is_signed);
        if (isfinite(piece->spread)) {
            text_buffer_add(&text, "±");
            format_score(&text, piece->spread, pieces->scale, false);
        }
    }
    text_buffer_add_char(&text, ' ');
    return paper_keep(paper, &text);
}

static Chip chip_of(Paper *paper, const TokensBlock *content, const Pieces *pieces, int32_t i) {
    const Piece *piece = &pieces->items[i];
    bool coloured = piece->state == TOKEN_SCORED || piece->state == TOKEN_TARGET;
    Chip chip = {.step = coloured ? palette_step(piece->score, pieces->scale) : 0};
    TextBuffer clean = TEXT_BUFFER_INIT, shown = TEXT_BUFFER_INIT;
    clean_text_cut(&clean, without_space(piece->text), CLEAN_SPACES, CHIP_COLUMNS);
    fonts_show(paper->fonts, &shown, clean.data == NULL ? "" : clean.data, clean.length);
    text_buffer_free(&clean);
    text_buffer_add_char(&shown, ' '); /* for those who are read the text: words do not run into each other */
    chip.word = box_of(paper, paper_keep(paper, &shown), 9.5, 0, 0);
    chip.number = box_of(paper, number_of(paper, content, pieces, piece, chip.step), 6, 0, 0);
    chip.width = fmin(fmax(chip.word.width, chip.number.width) + 2, PAPER_TEXT);
    return chip;
}

static void draw_sign(Paper *paper, const Chip *chip, double x) {
    static const double dashes[] = {2.5, 1.5};
    paper_colour(paper, palette_fill(chip->step < 0 ? -PALETTE_STEPS : PALETTE_STEPS, GROUND_LIGHT));
    cairo_set_line_width(paper->cr, 1.2);
    cairo_set_dash(paper->cr, dashes, chip->step < 0 ? 2 : 0, 0);
    cairo_move_to(paper->cr, x, paper->y + CHIP_HEIGHT + 0.8);
    cairo_line_to(paper->cr, x + chip->width, paper->y + CHIP_HEIGHT + 0.8);
    cairo_stroke(paper->cr);
    cairo_set_dash(paper->cr, NULL, 0, 0);
}

static void draw_chip(Paper *paper, const Chip *chip, double x, bool is_signed) {
    Colour ink = {0x1A, 0x1D, 0x21};
    if (chip->step != 0) {
        Colour fill = palette_fill(chip->step, GROUND_LIGHT);
        paper_colour(paper, fill);
        cairo_rectangle(paper->cr, x, paper->y, chip->width, CHIP_HEIGHT);
        cairo_fill(paper->cr);
        ink = palette_text(fill);
        if (is_signed) {
            draw_sign(paper, chip, x);
        }
    }
    paper_colour(paper, ink);
    box_draw(paper, &chip->word, 0, 1, x + 2, paper->y + 1, false);
    box_draw(paper, &chip->number, 0, 1, x + 2, paper->y + 14.5, false);
}

/* A strip is one paragraph, each of its lines an element within. */
static void draw_strip(Paper *paper, const TokensBlock *content, const Pieces *pieces) {
    double x = PAPER_LEFT;
    bool open = false;
    paper_need(paper, CHIP_STEP);
    paper_tag(paper, "P");
    for (int32_t i = 0; i < pieces->n && i < PIECES_MOST; i++) {
        Chip chip = chip_of(paper, content, pieces, i);
        Text text = pieces->items[i].text;
        if (x > PAPER_LEFT && x + chip.width > PAPER_LEFT + PAPER_TEXT) {
            paper_end(paper, "Span");
            open = false;
            x = PAPER_LEFT;
            paper->y += CHIP_STEP;
            paper_need(paper, CHIP_STEP);
        }
        if (!open) {
            paper_tag(paper, "Span");
            open = true;
        }
        draw_chip(paper, &chip, x, content->is_signed);
        x += chip.width + (i + 1 < pieces->n && joins(pieces, i + 1) ? 0.6 : 3);
        if (text.length > 0 && memchr(text.bytes, '\n', text.length) != NULL) {
            x = PAPER_LEFT + PAPER_TEXT;
        }
        box_free(&chip.word);
        box_free(&chip.number);
    }
    if (open) {
        paper_end(paper, "Span");
    }
    paper_end(paper, "P");
    paper->y += CHIP_STEP + 2;
}

static void say_legend(Paper *paper, const TokensBlock *content) {
    Rich rich = {0};
    bool present[TOKEN_STATE_COUNT] = {false};
    if (content->is_signed) {
        rich_add(paper, &rich, paper->words[WORD_LINE_BELOW], INK_SOFT, 0);
    }
    for (int32_t i = 0; i < content->n; i++) {
        present[content->items[i].state] = true;
    }
    for (int state = TOKEN_FIXED; state < TOKEN_STATE_COUNT; state++) {
        if (present[state]) {
            rich_add(paper, &rich, rich.n > 0 ? ". " : "", INK_SOFT, 0);
            rich_add(paper, &rich, word_for_string(paper->words, token_state_name((TokenState)state)), INK_SOFT, 0);
            rich_add(paper, &rich, paper->words[WORD_COLON], INK_SOFT, 0);
            rich_add(paper, &rich, word_for_string(paper->words, token_state_help((TokenState)state)), INK_SOFT, 0);
        }
    }
    if (rich.n > 0) {
        paper_paragraph(paper, &style_note, &rich);
    }
}

void pdf_tokens(Paper *paper, const Block *block) {
    const TokensBlock *content = block->content;
    Pieces pieces;
    paper->status = pieces_of(&pieces, paper->arena, content, NULL);
    if (paper->status != LIMN_OK || pieces.n == 0) {
        return;
    }
    draw_strip(paper, content, &pieces);
    if (pieces.n > PIECES_MOST) {
        char text[128];
        snprintf(text, sizeof text, paper->words[WORD_AND_MORE], pieces.n - PIECES_MOST);
        paper_plain(paper, &style_note, text_of(text), 0);
    }
    say_legend(paper, content);
}
