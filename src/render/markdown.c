/* Markdown (CommonMark with tables) for issues, notes and notebooks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render/format.h"
#include "render/palette.h"
#include "render/render.h"

enum { MATRIX_COLUMNS = 40, MATRIX_ROWS = 200 };

typedef struct Markdown {
    TextBuffer *out;
    Arena *arena;
    limn_status status;
    Words words;
    int32_t level; /* of the section that blocks stand in; 0: none */
} Markdown;

static void add(const Markdown *m, const char *text) {
    text_buffer_add(m->out, text);
}

/* Every sign that Markdown or HTML inside it could read as more than a letter gets a backslash. */
static void add_escaped(const Markdown *m, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (strchr("\\`*_{}[]()<>#|~&!$", text[i]) != NULL && text[i] != '\0') {
            text_buffer_add_char(m->out, '\\');
        }
        text_buffer_add_char(m->out, text[i]);
    }
}

static void add_text(const Markdown *m, Text text, unsigned flags) {
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, text, flags);
    add_escaped(m, clean.data == NULL ? "" : clean.data, clean.length);
    m->out->failed = m->out->failed || clean.failed;
    text_buffer_free(&clean);
}

/* ---- blocks ---- */

static void markdown_tokens(Markdown *m, const Block *block) {
    const TokensBlock *content = block->content;
    Pieces pieces;
    m->status = pieces_of(&pieces, m->arena, content, NULL);
    for (int32_t i = 0; m->status == LIMN_OK && i < pieces.n; i++) {
        const Piece *piece = &pieces.items[i];
        int step =
            piece->state == TOKEN_SCORED || piece->state == TOKEN_TARGET ? palette_step(piece->score, pieces.scale) : 0;
        bool strong = abs(step) > PALETTE_STEPS / 2;
        Text text = piece->text;
        while (text.length > 1 && text.bytes[0] == ' ') {
            text.bytes++;
            text.length--;
        }
        add(m, i == 0 ? "" : " ");
        add(m, strong ? "**" : "");
        add_text(m, text, CLEAN_SPACES);
        add(m, strong ? "**" : "");
        if (step != 0) {
            add(m, " (");
            format_score(m->out, piece->score, pieces.scale, content->is_signed);
            add(m, ")");
        } else if (piece->state == TOKEN_FIXED) {
            text_buffer_printf(m->out, " (%s)", word_for_string(m->words, token_state_name(TOKEN_FIXED)));
        }
    }
    add(m, "\n");
}

static void add_rule(const Markdown *m, bool right) {
    add(m, right ? " ---: |" : " --- |");
}

static void markdown_table(Markdown *m, const Block *block) {
    const TableBlock *table = block->content;
    add(m, "|");
    for (int32_t i = 0; i < table->n_columns; i++) {
        add(m, " ");
        add_text(m, word_for_name(m->words, table->columns[i].name), 0);
        add(m, " |");
    }
    add(m, "\n|");
    for (int32_t i = 0; i < table->n_columns; i++) {
        add_rule(m, table_column_right(table, i));
    }
    for (int32_t row = 0; row < table->n_rows; row++) {
        add(m, "\n|");
        for (int32_t i = 0; i < table->n_columns; i++) {
            TextBuffer text = TEXT_BUFFER_INIT;
            format_cell(&text, table->columns[i].kind, table_cell(table, row, i), m->words, 0);
            add(m, " ");
            add_escaped(m, text.data == NULL ? "" : text.data, text.length);
            add(m, " |");
            m->out->failed = m->out->failed || text.failed;
            text_buffer_free(&text);
        }
    }
    add(m, "\n");
}

static void markdown_matrix(Markdown *m, const Block *block) {
    const MatrixBlock *matrix = block->content;
    int32_t rows = matrix->n_rows < MATRIX_ROWS ? matrix->n_rows : MATRIX_ROWS;
    int32_t columns = matrix->n_columns < MATRIX_COLUMNS ? matrix->n_columns : MATRIX_COLUMNS;
    double digits = matrix_digits(matrix, matrix_scale(matrix));
    add(m, "| ");
    add_text(m, word_for_name(m->words, matrix->row_title), 0);
    add(m, " |");
    for (int32_t j = 0; j < columns; j++) {
        add(m, " ");
        add_text(m, matrix->column_labels[j], CLEAN_SPACES);
        add(m, " |");
    }
    add(m, "\n| --- |");
    for (int32_t j = 0; j < columns; j++) {
        add_rule(m, true);
    }
    for (int32_t i = 0; i < rows; i++) {
        add(m, "\n| ");
        add_text(m, matrix->row_labels[i], CLEAN_SPACES);
        add(m, " |");
        for (int32_t j = 0; j < columns; j++) {
            add(m, " ");
            format_score(m->out, matrix->values[(size_t)i * (size_t)matrix->n_columns + (size_t)j], digits,
                         matrix->is_signed);
            add(m, " |");
        }
    }
    add(m, "\n");
    if (rows < matrix->n_rows || columns < matrix->n_columns) {
        add(m, "\n");
        text_buffer_printf(m->out, m->words[WORD_FIRST_CELLS], rows, columns, matrix->n_rows, matrix->n_columns);
        add(m, "\n");
    }
}

static void markdown_series(Markdown *m, const Block *block) {
    const SeriesBlock *series = block->content;
    add(m, "| ");
    add_text(m, word_for_name(m->words, series->x_title), 0);
    add(m, " |");
    for (int32_t i = 0; i < series->n_lines; i++) {
        add(m, " ");
        add_text(m, series->lines[i].name, 0);
        add(m, " |");
    }
    add(m, "\n| ---: |");
    for (int32_t i = 0; i < series->n_lines; i++) {
        add_rule(m, true);
    }
    for (int32_t j = 0; j < series->n; j++) {
        add(m, "\n| ");
        format_number(m->out, series->x[j]);
        add(m, " |");
        for (int32_t i = 0; i < series->n_lines; i++) {
            const SeriesLine *line = &series->lines[i];
            add(m, " ");
            format_number(m->out, line->y[j]);
            if (line->low != NULL && line->high != NULL) {
                add(m, " (");
                format_number(m->out, line->low[j]);
                text_buffer_printf(m->out, " %s ", m->words[WORD_TO]);
                format_number(m->out, line->high[j]);
                add(m, ")");
            }
            add(m, " |");
        }
    }
    add(m, "\n");
}

static void markdown_graph(Markdown *m, const Block *block) {
    const GraphBlock *graph = block->content;
    text_buffer_printf(m->out, "| %s | %s | %s |\n| --- | --- | ---: |", m->words[WORD_FROM], m->words[WORD_TO],
                       m->words[WORD_WEIGHT]);
    for (int32_t i = 0; i < graph->n_edges; i++) {
        add(m, "\n| ");
        add_text(m, graph->nodes[graph->edges[i].from].label, 0);
        add(m, " | ");
        add_text(m, graph->nodes[graph->edges[i].to].label, 0);
        add(m, " | ");
        format_signed(m->out, graph->edges[i].weight);
        add(m, " |");
    }
    add(m, "\n");
}

/* Literal text as an indented block: no fence that the text could close. */
static void markdown_text(Markdown *m, const Block *block) {
    const TextBlock *content = block->content;
    if (!content->literal) {
        add_text(m, content->text, 0);
        add(m, "\n");
        return;
    }
    TextBuffer clean = TEXT_BUFFER_INIT;
    clean_text(&clean, content->text, CLEAN_LINES);
    add(m, "    ");
    for (size_t i = 0; i < clean.length; i++) {
        text_buffer_add_char(m->out, clean.data[i]);
        add(m, clean.data[i] == '\n' ? "    " : "");
    }
    add(m, "\n");
    m->out->failed = m->out->failed || clean.failed;
    text_buffer_free(&clean);
}

/* ---- the whole ---- */

static void add_check_numbers(const Markdown *m, const ResultCheck *check) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format_check(&text, check, m->words, 0);
    add_escaped(m, text.data == NULL ? "" : text.data, text.length);
    m->out->failed = m->out->failed || text.failed;
    text_buffer_free(&text);
}

static void add_check_name(const Markdown *m, const ResultCheck *check) {
    TextBuffer text = TEXT_BUFFER_INIT;
    format_check_name(&text, check, m->words, 0);
    add_escaped(m, text.data == NULL ? "" : text.data, text.length);
    m->out->failed = m->out->failed || text.failed;
    text_buffer_free(&text);
}

static void add_verdicts(const Markdown *m, const Result *result) {
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        CheckState outcome = check->state;
        if (outcome != CHECK_PASS) {
            text_buffer_printf(m->out, "> **%s %s%s", outcome == CHECK_FAIL ? "✗" : "?",
                               m->words[outcome == CHECK_FAIL ? WORD_FAILED : WORD_INCONCLUSIVE], m->words[WORD_COLON]);
            add_check_name(m, check);
            add(m, "** ");
            add_check_numbers(m, check);
            if (check->meaning.length > 0) {
                add(m, m->words[WORD_COLON]);
                add_text(m, check->meaning, 0);
            }
            add(m, "\n\n");
        }
    }
    for (int32_t i = 0; i < result->n_warnings; i++) {
        text_buffer_printf(m->out, "> **! %s** ", m->words[WORD_WARNING]);
        add_text(m, result->warnings[i], 0);
        add(m, "\n\n");
    }
}

static void add_heading(const Markdown *m, const Block *block, int32_t level) {
    text_buffer_printf(m->out, "\n%.*s ", (int)level, "######");
    add_text(m, word_for_block(m->words, block), 0);
    if (block->unit.length > 0) {
        add(m, " (");
        add_text(m, block->unit, 0);
        add(m, ")");
    }
    add(m, "\n\n");
}

static void markdown_section(Markdown *m, const Block *block) {
    m->level = ((const SectionBlock *)block->content)->level;
    add_heading(m, block, m->level + 1);
}

static void add_block(Markdown *m, const Block *block) {
    static void (*const functions[])(Markdown *, const Block *) = {
#define BLOCK(kind, name, type, help) markdown_##name,
#include "result/blocks.def"
#undef BLOCK
    };
    if (m->level > 0 && block->kind == BLOCK_TEXT && block->title.length == 0) {
        add(m, "\n"); /* a paragraph of a report */
    } else if (block->kind != BLOCK_SECTION) {
        add_heading(m, block, m->level + 2);
    }
    functions[block->kind](m, block);
    if (block->note.length > 0) {
        add(m, "\n");
        add_text(m, block->note, 0);
        add(m, "\n");
    }
}

static void add_checks(const Markdown *m, const Result *result) {
    if (result->n_checks == 0) {
        return;
    }
    text_buffer_printf(m->out, "\n## %s\n\n%s\n\n| %s | %s | %s | %s |\n| --- | --- | --- | --- |\n",
                       m->words[WORD_CHECKS], m->words[WORD_CHECKED_WHAT], m->words[WORD_OUTCOME], m->words[WORD_CHECK],
                       m->words[WORD_CHECK_VALUE], m->words[WORD_CHECK_MEASURES]);
    for (int32_t i = 0; i < result->n_checks; i++) {
        const ResultCheck *check = &result->checks[i];
        add(m, "| ");
        format_outcome(m->out, check->state, m->words, 0);
        add(m, " | ");
        add_check_name(m, check);
        add(m, " | ");
        add_check_numbers(m, check);
        add(m, " | ");
        add_text(m, check->meaning, 0);
        add(m, " |\n");
    }
}

static void add_list(const Markdown *m, const Fact *facts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        add(m, "- **");
        add_escaped(m, facts[i].label, strlen(facts[i].label));
        add(m, ":** ");
        add_escaped(m, facts[i].text, strlen(facts[i].text));
        add(m, "\n");
    }
}

static void add_head(Markdown *m, const Result *result) {
    add(m, "# ");
    add_text(m, headline_of(result, m->words), 0);
    add(m, "\n\n");
    add_verdicts(m, result);
    Fact facts[FACTS_MAX];
    size_t n;
    m->status = result_facts(facts, &n, m->arena, result, m->words, 0);
    if (m->status == LIMN_OK) {
        add_list(m, facts, n);
    }
}

limn_status render_md(TextBuffer *out, const Result *result, const RenderOptions *options) {
    Arena arena;
    arena_init(&arena);
    Markdown m = {.out = out, .arena = &arena, .words = words_in(options->language)};
    add_head(&m, result);
    bool report = result_has_sections(result);
    for (int pass = 0; pass < (report ? 1 : 2); pass++) {
        for (int32_t i = 0; i < result->n_blocks && m.status == LIMN_OK; i++) {
            if (report || result->blocks[i].detail == (pass == 1)) {
                add_block(&m, &result->blocks[i]);
            }
        }
        if (pass == 0) {
            add_checks(&m, result);
        }
    }
    FactGroup groups[FACT_GROUPS] = {{0}};
    if (m.status == LIMN_OK) {
        m.status = result_details(groups, &arena, result, m.words, 0);
    }
    for (size_t i = 0; m.status == LIMN_OK && i < FACT_GROUPS; i++) {
        if (groups[i].n > 0) {
            text_buffer_printf(out, "\n## %s\n\n", groups[i].title);
            add_list(&m, groups[i].facts, groups[i].n);
        }
    }
    arena_free(&arena);
    return m.status;
}
