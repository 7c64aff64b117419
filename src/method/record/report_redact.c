/* Personal data out of results before they are put together: what a prompt or a record says gives way to a commitment
 * (files/commitment.h), shown by its first eight digits.
 *
 * What goes: prompts, their tokens and what is quoted from them; cells of records' own columns; texts that stand as
 * they were written; the same in recorded commands. What stays: numbers, models, checks, sentences around quotes. A
 * word of a prompt that a sentence uses without quoting it stays too: read it over. */
#include <ctype.h>
#include <string.h>

#include "files/commitment.h"
#include "method/record/report.h"

enum { LEAST_WORD = 3, LEAST_TEXT = 4 };

typedef struct Redaction {
    const Report *report;
    CommitmentKey key;
    Result *result;
    const Text *secrets; /* [n] */
    int32_t n;
    limn_status status;
} Redaction;

/* ---- what is secret ---- */

static bool is_own_column(Text name) {
    static const char *const names[] = {"record", "id",   "text",     "prompt",      "place",
                                        "said",   "chat", "messages", "what is said"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (name.length == strlen(names[i]) && memcmp(name.bytes, names[i], name.length) == 0) {
            return true;
        }
    }
    return false;
}

static bool occurs(const Redaction *redaction, const char *bytes, size_t length) {
    for (int32_t i = 0; i < redaction->n && length > 0; i++) {
        if (memmem(redaction->secrets[i].bytes, redaction->secrets[i].length, bytes, length) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || ((unsigned char)c & 0x80) != 0;
}

/* Does it hold a word of a secret? */
static bool mentions(const Redaction *redaction, Text text) {
    for (size_t at = 0; at < text.length;) {
        size_t end = at;
        while (end < text.length && is_letter(text.bytes[end])) {
            end++;
        }
        if (end - at >= LEAST_WORD && occurs(redaction, text.bytes + at, end - at)) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

static limn_status find_secrets(Redaction *redaction) {
    const Result *result = redaction->result;
    size_t room = 1;
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const TableBlock *table = result->blocks[i].content;
        room += result->blocks[i].kind == BLOCK_TABLE ? (size_t)table->n_rows * (size_t)table->n_columns : 0;
    }
    Text *secrets = ARENA_ARRAY(redaction->report->call->arena, Text, room);
    if (secrets == NULL) {
        return method_no_memory(redaction->report->call);
    }
    if (result->input_text.length > 0) {
        secrets[redaction->n++] = result->input_text;
    }
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const TableBlock *table = result->blocks[i].content;
        for (int32_t k = 0; result->blocks[i].kind == BLOCK_TABLE && k < table->n_rows * table->n_columns; k++) {
            const Value *cell = &table->cells[k];
            if (cell->kind == VALUE_TEXT && cell->text.length >= LEAST_TEXT &&
                is_own_column(table->columns[k % table->n_columns].name)) {
                secrets[redaction->n++] = cell->text;
            }
        }
    }
    redaction->secrets = secrets;
    return LIMN_OK;
}

/* ---- what stands in its place ---- */

/* "[1a2b3c4d]", its full commitment listed in the report's appendix. */
static void add_handle(Redaction *redaction, TextBuffer *out, const char *bytes, size_t length) {
    char hex[65] = "";
    if (redaction->status == LIMN_OK) {
        redaction->status = commitment_of(hex, &redaction->key, bytes, length);
    }
    if (redaction->status == LIMN_OK) {
        redaction->status = joined_commit(redaction->report, hex);
    }
    text_buffer_printf(out, "[%.8s]", hex);
}

static void put(Redaction *redaction, Text *text, TextBuffer *with) {
    char *kept = with->failed ? NULL : arena_strndup(&redaction->result->arena, with->data, with->length);
    if (kept != NULL) {
        *text = (Text){kept, with->length};
    } else if (redaction->status == LIMN_OK) {
        redaction->status = method_no_memory(redaction->report->call);
    }
    text_buffer_free(with);
}

/* All of it; a space before it stays. */
static void hide(Redaction *redaction, Text *text) {
    TextBuffer out = TEXT_BUFFER_INIT;
    if (text->length == 0) {
        return;
    }
    size_t from = text->bytes[0] == ' ' && text->length > 1 ? 1 : 0;
    text_buffer_add(&out, from > 0 ? " " : "");
    add_handle(redaction, &out, text->bytes + from, text->length - from);
    put(redaction, text, &out);
}

static void hide_if(Redaction *redaction, Text *text, bool secret) {
    if (secret) {
        hide(redaction, text);
    }
}

/* The length of a mark of quotation at `at`, and of the one that closes it; 0: none. */
static size_t quote_at(Text text, size_t at, const char **closes) {
    static const char *const pairs[][2] = {{"\"", "\""}, {"“", "”"}, {"'", "'"}};
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(pairs[i][0]);
        if (at + n <= text.length && memcmp(text.bytes + at, pairs[i][0], n) == 0) {
            *closes = pairs[i][1];
            return n;
        }
    }
    return 0;
}

/* What a sentence quotes of a secret. */
static void hide_quotes(Redaction *redaction, Text *text) {
    TextBuffer out = TEXT_BUFFER_INIT;
    size_t copied = 0;
    for (size_t at = 0; at < text->length;) {
        const char *closes = NULL;
        size_t open = quote_at(*text, at, &closes);
        const char *end =
            open == 0 ? NULL : memmem(text->bytes + at + open, text->length - at - open, closes, strlen(closes));
        if (end == NULL) {
            at++;
            continue;
        }
        Text inside = {text->bytes + at + open, (size_t)(end - text->bytes) - at - open};
        Text bare = text_bare(inside);
        if (bare.length > 0 && (occurs(redaction, bare.bytes, bare.length) || mentions(redaction, bare))) {
            text_buffer_add_bytes(&out, text->bytes + copied, at + open - copied);
            add_handle(redaction, &out, bare.bytes, bare.length);
            copied = (size_t)(end - text->bytes);
        }
        at = (size_t)(end - text->bytes) + strlen(closes);
    }
    if (copied > 0) {
        text_buffer_add_bytes(&out, text->bytes + copied, text->length - copied);
        put(redaction, text, &out);
    }
    text_buffer_free(&out);
}

/* ---- block by block ---- */

static void redact_table(Redaction *redaction, TableBlock *table) {
    for (int32_t k = 0; k < table->n_rows * table->n_columns; k++) {
        Value *cell = &table->cells[k];
        const TableColumn *column = &table->columns[k % table->n_columns];
        if (cell->kind != VALUE_TEXT) {
            continue;
        }
        bool all = is_own_column(column->name) || (column->kind == COLUMN_TOKEN && mentions(redaction, cell->text)) ||
                   (cell->text.length >= LEAST_TEXT && occurs(redaction, cell->text.bytes, cell->text.length));
        hide_if(redaction, &cell->text, all);
        if (!all) {
            hide_quotes(redaction, &cell->text);
        }
    }
}

static void redact_labels(Redaction *redaction, Text *labels, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        hide_if(redaction, &labels[i], mentions(redaction, labels[i]));
    }
}

static void redact_block(Redaction *redaction, Block *block) {
    hide_quotes(redaction, &block->title);
    hide_quotes(redaction, &block->note);
    if (block->kind == BLOCK_TABLE) {
        redact_table(redaction, block->content);
    } else if (block->kind == BLOCK_TOKENS) {
        TokensBlock *tokens = block->content;
        for (int32_t i = 0; i < tokens->n; i++) {
            hide(redaction, &tokens->items[i].bytes);
        }
    } else if (block->kind == BLOCK_MATRIX) {
        MatrixBlock *matrix = block->content;
        redact_labels(redaction, matrix->row_labels, matrix->n_rows);
        redact_labels(redaction, matrix->column_labels, matrix->n_columns);
    } else if (block->kind == BLOCK_SERIES) {
        SeriesBlock *series = block->content;
        for (int32_t i = 0; i < series->n_lines; i++) {
            hide_if(redaction, &series->lines[i].name, mentions(redaction, series->lines[i].name));
        }
    } else if (block->kind == BLOCK_GRAPH) {
        GraphBlock *graph = block->content;
        for (int32_t i = 0; i < graph->n_nodes; i++) {
            hide_if(redaction, &graph->nodes[i].label, mentions(redaction, graph->nodes[i].label));
        }
    } else if (block->kind == BLOCK_TEXT) {
        TextBlock *text = block->content;
        hide_if(redaction, &text->text, text->literal);
        hide_quotes(redaction, &text->text);
    }
}

/* Texts of the command that made it: all but the names of files and choices. */
static limn_status redact_request(Redaction *redaction) {
    static const char *const names[] = {"prompt", "messages", "system", "target-text", "corrupt", "text", "pair"};
    Value *request = &redaction->result->request;
    Field *fields = arena_alloc(&redaction->result->arena, sizeof(Field) * (request->count + 1));
    if (fields == NULL) {
        return method_no_memory(redaction->report->call);
    }
    for (size_t i = 0; i < request->count; i++) {
        fields[i] = request->fields[i];
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            if (fields[i].value.kind == VALUE_TEXT && strcmp(fields[i].name, names[k]) == 0) {
                hide(redaction, &fields[i].value.text);
            }
        }
    }
    request->fields = fields;
    return LIMN_OK;
}

limn_status joined_commit(const Report *report, const char *hex) {
    TextBuffer *all = report->commitments;
    if (all->data == NULL || strstr(all->data, hex) == NULL) {
        text_buffer_add(all, hex);
        text_buffer_add_char(all, '\n');
    }
    return text_buffer_status(all);
}

limn_status joined_redact(const Report *report, const char *key) {
    Redaction redaction = {.report = report};
    TRY(commitment_key_open(&redaction.key, key));
    for (int32_t s = 0; s < report->n && redaction.status == LIMN_OK; s++) {
        Result *result = report->sources[s].result;
        redaction.result = result;
        redaction.n = 0;
        TRY(find_secrets(&redaction));
        hide_quotes(&redaction, &result->headline);
        for (int32_t i = 0; i < result->n_warnings; i++) {
            hide_quotes(&redaction, &result->warnings[i]);
        }
        for (int32_t i = 0; i < result->n_checks; i++) {
            hide_quotes(&redaction, &result->checks[i].meaning);
        }
        for (int32_t i = 0; i < result->n_blocks; i++) {
            redact_block(&redaction, &result->blocks[i]);
        }
        hide_if(&redaction, &result->target.text, mentions(&redaction, result->target.text));
        hide_if(&redaction, &result->contrast.text, mentions(&redaction, result->contrast.text));
        hide(&redaction, &result->input_text);
        TRY(redact_request(&redaction));
    }
    return redaction.status;
}
