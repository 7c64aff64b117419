/* The result document, limn.result/1: what every method returns and every renderer, file and face reads.
 *
 * A Result owns all its memory (one arena); what is given to a builder function is copied. Failure sticks: after
 * the first one (memory, a value that cannot be) every builder function does nothing, those that return a block
 * return NULL, and the setters accept NULL. A method therefore builds without checks and ends with
 * `return result_status(result)`.
 *
 *     Result *result;
 *     TRY(result_new(&result, "ig", "Integrated gradients"));
 *     result_param_text(result, "sign", "positive supports the target");
 *     TokensBlock *strip = result_add_tokens(result, "attribution", "What each token did", n);
 *     for (...) tokens_set(strip, i, bytes, length, score, TOKEN_SCORED);
 *     result_check(result, "completeness", gap, CHECK_AT_MOST, 0.03, "sum of panel gaps over |F(x) - F(b)|");
 *     return result_status(result);
 *
 * Numbers are doubles; NaN means "none" and is written as null. Texts are bytes with a length; those of a model
 * may be any bytes. */
#ifndef LIMN_RESULT_RESULT_H
#define LIMN_RESULT_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/text_buffer.h"

#define RESULT_FORMAT  "limn.result/1"
/* Stands before the document inside an HTML page, and ends with the script element. */
#define RESULT_IN_PAGE "<script type=\"application/json\" id=\"limn-result\">"
/* Stands before it in a PDF file, followed by its length: the attachment is not compressed. */
#define RESULT_IN_PDF  "/Type /EmbeddedFile /Length "

typedef enum BlockKind {
#define BLOCK(kind, name, type, help) BLOCK_##kind,
#include "result/blocks.def"
#undef BLOCK
    BLOCK_COUNT
} BlockKind;

typedef enum ColumnKind {
#define COLUMN(kind, name, right, help) COLUMN_##kind,
#include "result/columns.def"
#undef COLUMN
    COLUMN_COUNT
} ColumnKind;

typedef enum TokenState {
#define TOKEN_STATE(state, name, help) TOKEN_##state,
#include "result/token_states.def"
#undef TOKEN_STATE
    TOKEN_STATE_COUNT
} TokenState;

const char *block_kind_name(BlockKind kind);
const char *column_kind_name(ColumnKind kind);
bool column_kind_right(ColumnKind kind); /* numbers are set flush right */
const char *token_state_name(TokenState state);
const char *token_state_help(TokenState state);

/* Bytes that may hold anything; NUL-terminated as well. bytes NULL: absent. */
typedef struct Text {
    const char *bytes;
    size_t length;
} Text;

/* The initializer of a Text: of a literal alone, whose length nobody counts by hand. */
#define TEXT(literal)                                                                                                  \
    { "" literal, sizeof(literal) - 1 }

typedef struct Texts {
    const Text *items; /* [n] */
    int32_t n;
} Texts;

typedef enum ValueKind {
    VALUE_NULL,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_NUMBER,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_OBJECT
} ValueKind;

typedef struct Result Result;
typedef struct Value Value;
typedef struct Field Field;

struct Value {
    ValueKind kind;
    bool boolean;
    int64_t integer;
    double number;
    Text text;
    const Value *items;  /* [count] of a LIST */
    const Field *fields; /* [count] of an OBJECT, in the order they were added */
    size_t count;
};

struct Field {
    const char *name;
    Value value;
};

/* For tables and lists of fields; the bytes given to value_text are copied when the value is stored. */
Value value_null(void);
Value value_bool(bool boolean);
Value value_integer(int64_t integer);
Value value_number(double number); /* NaN and infinities become null */
Value value_text(const char *text);
Value value_bytes(const char *bytes, size_t length);

typedef struct Fields {
    Field *items; /* [count] */
    size_t count;
    size_t capacity;
} Fields;

typedef struct InputToken {
    int32_t id;
    Text bytes;         /* as the token adds to the text; may be part of a character */
    int64_t begin, end; /* bytes of input text; equal for what was added by the tokenizer */
    Text role;          /* "user", "system" ... or absent */
    bool special;
    int32_t message; /* of a chat: its place among the messages, from 1; 0: none */
} InputToken;

typedef struct ResultTarget {
    Text kind;          /* "token", "tokens", "class", "span" */
    const int32_t *ids; /* [n_ids] token or class ids */
    int32_t n_ids;
    Text text;
    double log_probability;                /* of all ids together; NaN: none */
    double logit;                          /* single tokens and classes; NaN: none */
    int64_t rank;                          /* 1: the likeliest; 0: none */
    const double *token_log_probabilities; /* [n_ids] or NULL */
    bool chosen;                           /* nobody named it: the model's own first choice */
} ResultTarget;

typedef struct ResultModel {
    Text name;         /* folder or file name, not the whole path */
    Text architecture; /* "LlamaForCausalLM" */
    Text dtype;        /* "BF16", as stored */
    Text hash;         /* 64 hex digits */
} ResultModel;

/* An adapter on top of the model. */
typedef struct ResultAdapter {
    Text name;     /* its folder's name, not the whole path */
    Text hash;     /* 64 hex digits */
    double weight; /* on its scaling */
} ResultAdapter;

/* An edit file that was in force. */
typedef struct ResultEdits {
    Text name;  /* of the file, not the whole path */
    Text hash;  /* 64 hex digits */
    Text edits; /* as written, a space between two */
} ResultEdits;

/* What else decides the bytes of a result. */
typedef struct ResultProvenance {
    Text version;         /* of limn */
    Text backend;         /* "cpu" */
    Text compute;         /* "f32", "bf16" */
    Text instruction_set; /* "AVX512_BF16 ..." */
    Text libraries;       /* "oneDNN 2.6.3" */
    int32_t chunk_rows;
    int32_t threads;
    uint64_t seed;
    const ResultAdapter *adapters; /* [n_adapters], in the order they act */
    int32_t n_adapters;
    const ResultEdits *edits; /* [n_edits], in the order they act */
    int32_t n_edits;
} ResultProvenance;

/* Outside the compared bytes. */
typedef struct ResultMeasured {
    Text started; /* "2026-01-31T12:00:00Z" */
    double seconds;
    int64_t peak_bytes; /* 0: not measured */
} ResultMeasured;

typedef enum CheckKind { CHECK_AT_MOST, CHECK_AT_LEAST, CHECK_BELOW, CHECK_ABOVE } CheckKind;

/* Inconclusive: the evidence does not decide, which is neither pass nor fail. */
typedef enum CheckState { CHECK_PASS, CHECK_FAIL, CHECK_INCONCLUSIVE } CheckState;

typedef struct ResultCheck {
    Text name;    /* "completeness" */
    Text meaning; /* what the value is: "largest change of a score"; true whatever comes of the check */
    double value;
    CheckKind kind;
    double limit;
    CheckState state;
    bool advisory; /* said, but without a part in the verdict */
} ResultCheck;

typedef struct TokenItem {
    Text bytes;
    double score;  /* NaN: none */
    double spread; /* standard deviation over baselines, seeds ...; NaN: none */
    TokenState state;
    int32_t input; /* index into input tokens; -1: none */
} TokenItem;

/* Items [begin, end) read as one: a word, a sentence. */
typedef struct TokenGroup {
    int32_t begin, end;
    double score;
    double spread;
} TokenGroup;

typedef struct TokenGrouping {
    const char *name;   /* "word", "sentence" */
    TokenGroup *groups; /* [n], in order, covering all items */
    int32_t n;
} TokenGrouping;

enum { TOKEN_GROUPINGS_MAX = 4 };

typedef struct TokensBlock {
    Result *owner;    /* where its texts are copied to */
    TokenItem *items; /* [n] */
    int32_t n;
    bool is_signed; /* both directions have a meaning: a diverging scale */
    double scale;   /* the score of full colour; NaN: the largest |score| */
    TokenGrouping groupings[TOKEN_GROUPINGS_MAX];
    int32_t n_groupings;
    const char *shown; /* "token" or the name of the grouping to show first */
} TokensBlock;

typedef struct MatrixBlock {
    Result *owner; /* where its texts are copied to */
    int32_t n_rows;
    int32_t n_columns;
    double *values;      /* [n_rows, n_columns] */
    Text *row_labels;    /* [n_rows] */
    Text *column_labels; /* [n_columns] */
    Text row_title;      /* "generated token" */
    Text column_title;
    bool is_signed;
} MatrixBlock;

typedef struct SeriesLine {
    Text name;
    double *y;    /* [n] */
    double *low;  /* [n] an interval around y, or NULL */
    double *high; /* [n] */
} SeriesLine;

typedef struct SeriesBlock {
    Result *owner; /* where its texts are copied to */
    int32_t n;
    double *x; /* [n] */
    Text x_title;
    Text y_title;
    SeriesLine *lines; /* [n_lines] */
    int32_t n_lines;
    int32_t capacity;
} SeriesBlock;

typedef struct TableColumn {
    Text name;
    ColumnKind kind;
} TableColumn;

typedef struct TableBlock {
    Result *owner;        /* where its texts are copied to */
    TableColumn *columns; /* [n_columns] */
    int32_t n_columns;
    Value *cells; /* [n_rows, n_columns] */
    int32_t n_rows;
    int32_t capacity;
} TableBlock;

typedef struct GraphBlockNode {
    Text id;
    Text label;
    double score;
} GraphBlockNode;

typedef struct GraphBlockEdge {
    int32_t from, to; /* indexes of nodes */
    double weight;
} GraphBlockEdge;

typedef struct GraphBlock {
    Result *owner;         /* where its texts are copied to */
    GraphBlockNode *nodes; /* [n_nodes] */
    int32_t n_nodes;
    GraphBlockEdge *edges; /* [n_edges] */
    int32_t n_edges;
} GraphBlock;

typedef struct TextBlock {
    Text text;
    bool literal; /* line breaks and spaces matter (model output, code) */
} TextBlock;

/* A document with sections is a report: its blocks are shown in their order, details folded where they stand. A section
 * that is itself a detail, and what belongs to it, is left out where only the answer is shown (a terminal). */
typedef struct SectionBlock {
    int32_t level; /* 1, 2 ...: its heading is the block's title */
} SectionBlock;

enum { SECTION_LEVELS = 3 };

typedef struct Block {
    BlockKind kind;
    const char *id; /* "attribution": stable, one of a kind in its result */
    Text title;
    Text unit;     /* "log-probability"; or absent */
    Text note;     /* a line under the block; or absent */
    bool detail;   /* for those who look closer: folded or put last */
    void *content; /* TokensBlock ...: block_tokens and so on give it typed */
} Block;

struct Result {
    Arena arena;
    limn_status status; /* the first failure while building */
    ErrorState error;

    const char *method; /* "ig" */
    Text method_title;  /* "Integrated gradients" */
    Text headline;      /* the answer in one plain sentence; or absent */
    ResultModel model;
    Text input_text;
    InputToken *input_tokens; /* [n_input_tokens] */
    int32_t n_input_tokens, input_capacity;
    bool has_target, has_contrast;
    ResultTarget target, contrast;
    Fields params;
    Text *warnings; /* [n_warnings] */
    int32_t n_warnings, warnings_capacity;
    ResultCheck *checks; /* [n_checks] */
    int32_t n_checks, checks_capacity;
    Block *blocks; /* [n_blocks] */
    int32_t n_blocks, blocks_capacity;
    const char *command; /* what was asked, for `limn verify`; NULL: not kept */
    Value request;       /* OBJECT: the command's parameters */
    ResultProvenance provenance;
    ResultMeasured measured;
};

/* ---- building ---- */

limn_status result_new(Result **result, const char *method, const char *method_title);
void result_free(Result *result);
limn_status result_status(const Result *result); /* the first failure, message restored */

/* Texts from C strings; NULL gives an absent text. For filling the structs below; not copied until stored. */
Text text_of(const char *text);
Text text_of_bytes(const char *bytes, size_t length);
bool same_text(Text a, Text b);                /* byte by byte; an absent text is an empty one */
bool text_is(Text text, const char *expected); /* an absent text is none */
Text text_bare(Text text);                     /* without the spaces before it; a text of spaces keeps one */

void result_headline(Result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_model(Result *result, const ResultModel *model);
void result_input(Result *result, const char *bytes, size_t length);
void result_input_token(Result *result, const InputToken *token);
void result_target(Result *result, const ResultTarget *target);
void result_contrast(Result *result, const ResultTarget *contrast);

/* What was in force, defaults included. A name set twice keeps its place and takes the later value. */
void result_param(Result *result, const char *name, Value value);
void result_param_text(Result *result, const char *name, const char *text);
void result_param_number(Result *result, const char *name, double number);
void result_param_integer(Result *result, const char *name, int64_t integer);
void result_param_flag(Result *result, const char *name, bool flag);
void result_param_ids(Result *result, const char *name, const int32_t *ids, int32_t n);

/* The call that made this result: command and its parameters (a JSON object). */
void result_request(Result *result, const char *command, const char *params_json);
/* The request's parameters as JSON again, for a second run. *json is malloc'ed. */
limn_status result_request_json(char **json, const Result *result);

void result_warn(Result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Pass or fail is computed; a value that is not finite does not pass. The text says what is measured, not what is
 * hoped: it is shown behind "found 0.4, expected > 0.5" when the check holds, when it fails and when nothing can be
 * said. */
void result_check(Result *result, const char *name, double value, CheckKind kind, double limit, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* The same where the evidence does not decide, whatever the value. */
void result_check_inconclusive(Result *result, const char *name, double value, CheckKind kind, double limit,
                               const char *format, ...) __attribute__((format(printf, 6, 7)));
void result_check_advisory(Result *result); /* of the check added last */
/* Of all checks that are not advisory: one that failed, else one that does not decide, else pass. */
CheckState result_verdict(const Result *result);
bool result_passed(const Result *result);       /* none of those failed */
const char *check_kind_name(CheckKind kind);    /* "at most" */
const char *check_state_name(CheckState state); /* "pass", "fail", "inconclusive" */

void result_provenance(Result *result, const ResultProvenance *provenance);
void result_measured(Result *result, const ResultMeasured *measured);

/* ---- blocks: shown in the order added. ids are of lower-case letters, digits, dashes and dots ---- */

TokensBlock *result_add_tokens(Result *result, const char *id, const char *title, int32_t n);
/* bytes NULL: keeps the item's bytes. */
/* With as many items as there are input tokens, each item starts as that token (bytes, input index); scores start
 * as none. */
void tokens_set(TokensBlock *block, int32_t i, const char *bytes, size_t length, double score, TokenState state);
void tokens_set_spread(TokensBlock *block, int32_t i, double spread);
void tokens_set_input(TokensBlock *block, int32_t i, int32_t input);
/* n groups to be filled: group 0 begins at 0, each begins where the one before ends. NULL when it failed. */
TokenGroup *tokens_add_grouping(TokensBlock *block, const char *name, int32_t n);
void tokens_show(TokensBlock *block, const char *name);                           /* "word" */
const TokenGrouping *tokens_grouping(const TokensBlock *block, const char *name); /* NULL: none */

MatrixBlock *result_add_matrix(Result *result, const char *id, const char *title, int32_t n_rows, int32_t n_columns);
void matrix_set(MatrixBlock *block, int32_t row, int32_t column, double value);
void matrix_label_row(MatrixBlock *block, int32_t row, const char *bytes, size_t length);
void matrix_label_column(MatrixBlock *block, int32_t column, const char *bytes, size_t length);
void matrix_titles(MatrixBlock *block, const char *row_title, const char *column_title);

/* x: [n]. */
SeriesBlock *result_add_series(Result *result, const char *id, const char *title, const double *x, int32_t n,
                               const char *x_title, const char *y_title);
/* y: [n]; low and high: [n] or NULL. */
void series_line(SeriesBlock *block, const char *name, const double *y, const double *low, const double *high);

TableBlock *result_add_table(Result *result, const char *id, const char *title, const TableColumn *columns,
                             int32_t n_columns);
const Value *table_cell(const TableBlock *block, int32_t row, int32_t column);
void table_row(TableBlock *block, const Value *cells); /* [n_columns] */

GraphBlock *result_add_graph(Result *result, const char *id, const char *title, int32_t n_nodes, int32_t n_edges);
void graph_block_node(GraphBlock *block, int32_t i, const char *id, const char *label, double score);
void graph_block_edge(GraphBlock *block, int32_t i, int32_t from, int32_t to, double weight);

void result_add_text(Result *result, const char *id, const char *title, const char *bytes, size_t length, bool literal);

void result_add_section(Result *result, const char *id, const char *title, int32_t level); /* 1 .. SECTION_LEVELS */
/* Another result's block under another id; its tokens are no longer tied to an input. */
void result_copy_block(Result *result, const Block *block, const char *id);
bool result_has_sections(const Result *result);

/* Of the block added last. */
void result_block_unit(Result *result, const char *unit);
void result_block_note(Result *result, const char *format, ...) __attribute__((format(printf, 2, 3)));
void result_block_detail(Result *result);

const Block *result_find_block(const Result *result, const char *id); /* NULL: none */

/* ---- JSON ---- */

/* Appends the document. measured false: only the compared bytes. The same result gives the same bytes: fixed key
 * order, numbers in the fewest digits that read back as the same float (or double, where it is not a float). */
limn_status result_write_json(TextBuffer *out, const Result *result, bool measured);
/* One of its blocks, as it stands in the document. */
limn_status result_write_block(TextBuffer *out, const Result *result, int32_t i);
/* A JSON document, or an HTML page or a PDF file with one inside. source: a name for error messages. Unknown keys are
 * ignored; a wrong type or missing part is LIMN_FORMAT. */
limn_status result_read_json(Result **result, const char *json, size_t length, const char *source);

/* ---- comparison ---- */

typedef struct Tolerance {
    double relative; /* |a - b| <= relative * max(|a|, |b|, largest number of the same array) */
    double absolute;
} Tolerance;

typedef struct Difference {
    const char *path;  /* "blocks[0].items[3].score" */
    const char *first; /* as JSON; "(absent)" */
    const char *second;
    double size; /* relative difference of two numbers; NaN: of another kind */
    bool tolerated;
} Difference;

typedef struct Comparison {
    Arena arena;
    bool same_bytes;
    bool same_environment; /* provenance agrees: same bytes were promised */
    bool within;           /* everything but provenance agrees within the tolerances */
    double largest;        /* largest relative difference of numbers */
    const char *largest_path;
    Difference *differences; /* the first `kept` of n_differences */
    int32_t kept;
    int64_t n_differences;
} Comparison;

enum { COMPARISON_KEEPS = 100 };

limn_status result_compare(Comparison *comparison, const Result *first, const Result *second, Tolerance tolerance);
void comparison_free(Comparison *comparison);

#endif
