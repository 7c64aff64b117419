/* What all renderers share: model text made harmless, numbers for people, scores on a common scale. */
#ifndef LIMN_RENDER_FORMAT_H
#define LIMN_RENDER_FORMAT_H

#include "base/text_buffer.h"
#include "render/words.h"
#include "result/result.h"

enum {
    CLEAN_SPACES = 1, /* spaces at either end become visible */
    CLEAN_LINES = 2,  /* line breaks and tabs stay */
    CLEAN_ASCII = 4   /* everything beyond ASCII becomes \u{...} */
};

/* Appends text as valid UTF-8 that cannot command a terminal, turn reading direction or hide: control, format and
 * direction characters become \x1b or \u{202e}, bytes that are not UTF-8 \xE4, line breaks a visible sign. */
void clean_text(TextBuffer *out, Text text, unsigned flags);
/* The same, at most `width` columns, cut with an ellipsis; what a reader takes for one character stays whole. */
void clean_text_cut(TextBuffer *out, Text text, unsigned flags, int width);
/* Bytes of clean text that make the next line of at most `width` columns: up to a space (or line break), or between
 * East Asian characters where a line may break. Where nothing fits: 0, or with `force` as many whole characters as do,
 * at least one. */
size_t line_break(const char *text, size_t length, int width, bool force);
/* Columns of the widest piece that no line break falls into: a word, a wide character. */
int longest_piece(const char *text);

/* Columns of clean UTF-8 in a terminal (East Asian wide characters take two). */
int text_width(const char *text, size_t length);
int codepoint_width(uint32_t codepoint);

/* Numbers as people read them; none is shown as a dash. */
void format_number(TextBuffer *out, double value);
void format_signed(TextBuffer *out, double value);
void format_percent(TextBuffer *out, double fraction); /* 0.287 -> 28.7% */
void format_share(TextBuffer *out, double share);      /* -0.287 -> -28.7% */
void format_bytes(TextBuffer *out, int64_t bytes);
/* Enough decimals for `scale` to have three digits: columns of a strip line up. */
void format_score(TextBuffer *out, double score, double scale, bool is_signed);
/* A table's cell, model text cleaned (flags for clean_text). */
/* Whether its cells are words that may stand on several lines. */
bool column_kind_wraps(ColumnKind kind);
void format_cell(TextBuffer *out, ColumnKind kind, const Value *value, Words words, unsigned flags);
/* Its name as readers know it; of one that has no part in the verdict that is said too. */
void format_check_name(TextBuffer *out, const ResultCheck *check, Words words, unsigned flags);
/* "✗ FAIL" */
void format_outcome(TextBuffer *out, CheckState outcome, Words words, unsigned flags);
/* "found 0.02, expected ≤ 0.03": what was found comes first, whatever came of it. */
void format_check(TextBuffer *out, const ResultCheck *check, Words words, unsigned flags);
/* Set flush right: columns of numbers, and VALUE columns that hold nothing else. */
bool table_column_right(const TableBlock *table, int32_t column);
/* The number behind a cell; NaN when it has none. */
double cell_number(const Value *value);

/* A column of numbers as bars, from 0 to each of them; two columns behind it, named low and high (or with a word
 * before), are intervals around their ends. */
typedef struct Bars {
    double scale; /* the largest size, of intervals too; not 0 */
    bool two_sided;
    int32_t low, high; /* columns; -1: none */
} Bars;
bool column_has_bars(const TableBlock *table, int32_t column);
Bars table_bars(const TableBlock *table, int32_t column, int32_t rows);
/* Both ends of the row's interval; false: it has none. */
bool bars_interval(const Bars *bars, const TableBlock *table, int32_t row, double *low, double *high);

/* What counts as full colour: the block's own scale or the largest |score| shown. Never 0. */
double tokens_scale(const TokensBlock *block);
double matrix_scale(const MatrixBlock *block);
/* What format_score is told of a matrix: its scale; of counts, so much that they have no decimals. */
double matrix_digits(const MatrixBlock *block, double scale);

/* The pieces of a strip as shown under one grouping ("token" or a grouping's name). */
typedef struct Piece {
    Text text; /* all items' bytes together */
    double score, spread;
    TokenState state;   /* of its first item that is SCORED, else of its first */
    int32_t begin, end; /* items */
} Piece;

typedef struct Pieces {
    Piece *items; /* [n] */
    int32_t n;
    double scale;
} Pieces;

/* grouping NULL: as the block says. Memory from arena; n 0 and LIMN_NO_MEMORY when it runs out. */
limn_status pieces_of(Pieces *pieces, Arena *arena, const TokensBlock *block, const char *grouping);

/* Head of a document: what was asked of which model. */
typedef struct Fact {
    const char *label; /* "Target" */
    const char *text;  /* cleaned */
} Fact;

enum { FACTS_MAX = 8 };

limn_status result_facts(Fact facts[FACTS_MAX], size_t *n, Arena *arena, const Result *result, Words words,
                         unsigned flags);
/* Whether the head may show only the beginning of the prompt. */
bool prompt_is_cut(const Result *result);
Text method_name(const Result *result, Words words);
/* The answer in one sentence; of a method that gives none, its name. */
Text headline_of(const Result *result, Words words);

/* What came of the checks together: how many did not hold, and the names of all, to be shown where all held. */
typedef struct Verdict {
    int32_t failed, open;
    const char *text; /* "Checked: panel gaps, deletion"; "1 of 3 checks failed" */
} Verdict;

/* text NULL: there are no checks. */
limn_status checks_verdict(Verdict *verdict, Arena *arena, const Result *result, Words words, unsigned flags);

/* Parameters, provenance and measurements, one after another. */
typedef struct FactGroup {
    const char *title;
    Fact *facts; /* [n] */
    size_t n;
} FactGroup;

enum { FACT_GROUPS = 3 };

limn_status result_details(FactGroup groups[FACT_GROUPS], Arena *arena, const Result *result, Words words,
                           unsigned flags);

#endif
