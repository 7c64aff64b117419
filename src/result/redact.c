#include "result/redact.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LEAST_WORD = 3, LEAST_TEXT = 4, HANDLE = 10 /* "[1a2b3c4d]" */ };

static limn_status no_memory(void) {
    return fail(LIMN_NO_MEMORY, "no memory to leave texts out");
}

/* ---- what is secret ---- */

static bool is_own_column(Text name) {
    static const char *const names[] = {"record", "id",   "text",     "prompt",      "place",
                                        "said",   "chat", "messages", "what is said"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (text_is(name, names[i])) {
            return true;
        }
    }
    return false;
}

static bool occurs(const Redactor *redactor, const char *bytes, size_t length) {
    for (int32_t i = 0; i < redactor->n && length > 0; i++) {
        if (memmem(redactor->secrets[i].bytes, redactor->secrets[i].length, bytes, length) != NULL) {
            return true;
        }
    }
    return false;
}

static bool is_letter(char c) {
    return isalnum((unsigned char)c) || ((unsigned char)c & 0x80) != 0;
}

/* Does the text go on past this edge with letters or digits of the same word? */
static bool goes_on(char inside, char outside) {
    return isalnum((unsigned char)inside) && isalnum((unsigned char)outside);
}

/* Where the secret stands in the text by itself, not as a part of a longer word, from `at` on; NULL: nowhere. */
static const char *find_text(Text text, size_t at, Text secret) {
    while (secret.length > 0 && text.length - at >= secret.length) {
        const char *found = memmem(text.bytes + at, text.length - at, secret.bytes, secret.length);
        if (found == NULL) {
            return NULL;
        }
        const char *end = found + secret.length;
        bool part = (found > text.bytes && goes_on(secret.bytes[0], found[-1])) ||
                    (end < text.bytes + text.length && goes_on(end[-1], *end));
        if (!part) {
            return found;
        }
        at = (size_t)(found - text.bytes) + 1;
    }
    return NULL;
}

/* A word of a secret, however short. */
static bool is_word_of_secret(const Redactor *redactor, Text text) {
    bool is = false;
    for (int32_t i = 0; i < redactor->n && !is; i++) {
        is = find_text(redactor->secrets[i], 0, text) != NULL;
    }
    return is;
}

/* Does it hold a word of a secret? */
static bool mentions(const Redactor *redactor, Text text) {
    for (size_t at = 0; at < text.length;) {
        size_t end = at;
        while (end < text.length && is_letter(text.bytes[end])) {
            end++;
        }
        if (end - at >= LEAST_WORD && occurs(redactor, text.bytes + at, end - at)) {
            return true;
        }
        at = end + 1;
    }
    return false;
}

/* What the result at hand says of prompts and records. */
static limn_status find_secrets(Redactor *redactor) {
    const Result *result = redactor->result;
    size_t room = 1;
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const TableBlock *table = result->blocks[i].content;
        room += result->blocks[i].kind == BLOCK_TABLE ? (size_t)table->n_rows * (size_t)table->n_columns : 0;
    }
    Text *secrets = ARENA_ARRAY(redactor->arena, Text, room);
    redactor->n = 0;
    if (secrets == NULL) {
        return no_memory();
    }
    if (result->input_text.length > 0) {
        secrets[redactor->n++] = result->input_text;
    }
    for (int32_t i = 0; i < result->n_blocks; i++) {
        const TableBlock *table = result->blocks[i].content;
        for (int32_t k = 0; result->blocks[i].kind == BLOCK_TABLE && k < table->n_rows * table->n_columns; k++) {
            const Value *cell = &table->cells[k];
            if (cell->kind == VALUE_TEXT && cell->text.length >= LEAST_TEXT &&
                is_own_column(table->columns[k % table->n_columns].name)) {
                secrets[redactor->n++] = cell->text;
            }
        }
    }
    redactor->secrets = secrets;
    return LIMN_OK;
}

/* ---- what stands in its place ---- */

static limn_status keep_commitment(Redactor *redactor, const char *hex) {
    TextBuffer *all = &redactor->commitments;
    if (all->data == NULL || strstr(all->data, hex) == NULL) {
        text_buffer_add(all, hex);
        text_buffer_add_char(all, '\n');
    }
    return text_buffer_status(all);
}

static bool is_handle(Text text) {
    static const char digits[] = "0123456789abcdef";
    bool handle = text.length == HANDLE && text.bytes[0] == '[' && text.bytes[HANDLE - 1] == ']';
    for (int i = 1; handle && i < HANDLE - 1; i++) {
        handle = strchr(digits, text.bytes[i]) != NULL;
    }
    return handle;
}

/* "[1a2b3c4d]" */
static void add_handle(Redactor *redactor, TextBuffer *out, const char *bytes, size_t length) {
    char hex[65] = "";
    if (redactor->status == LIMN_OK) {
        redactor->status = redactor->commit(redactor->context, hex, bytes, length);
    }
    if (redactor->status == LIMN_OK) {
        redactor->status = keep_commitment(redactor, hex);
    }
    text_buffer_printf(out, "[%.8s]", hex);
}

/* What lies in a result lives as long as it does. */
static Arena *arena_of(Redactor *redactor) {
    return redactor->result != NULL ? &redactor->result->arena : redactor->arena;
}

static void put(Redactor *redactor, Text *text, TextBuffer *with) {
    char *kept = with->failed ? NULL : arena_strndup(arena_of(redactor), with->data, with->length);
    if (kept != NULL) {
        *text = (Text){kept, with->length};
    } else if (redactor->status == LIMN_OK) {
        redactor->status = no_memory();
    }
    text_buffer_free(with);
}

/* All of it; a space before it stays. */
static void hide(Redactor *redactor, Text *text) {
    TextBuffer out = TEXT_BUFFER_INIT;
    if (text->length == 0 || is_handle(*text)) {
        return;
    }
    size_t from = text->bytes[0] == ' ' && text->length > 1 ? 1 : 0;
    text_buffer_add(&out, from > 0 ? " " : "");
    add_handle(redactor, &out, text->bytes + from, text->length - from);
    put(redactor, text, &out);
}

static void hide_if(Redactor *redactor, Text *text, bool secret) {
    if (secret) {
        hide(redactor, text);
    }
}

/* An apostrophe, as in "the word's", is no mark of quotation. */
static bool is_apostrophe(Text text, size_t at) {
    return text.bytes[at] == '\'' && at > 0 && at + 1 < text.length && is_letter(text.bytes[at - 1]) &&
           is_letter(text.bytes[at + 1]);
}

/* What stands in marks of quotation that open at `at`; absent: none do, or they do not close. */
static Text quoted_at(Text text, size_t at) {
    static const char *const pairs[][2] = {{"\"", "\""}, {"“", "”"}, {"'", "'"}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t opens = strlen(pairs[i][0]), closes = strlen(pairs[i][1]);
        if (at + opens > text.length || memcmp(text.bytes + at, pairs[i][0], opens) != 0 || is_apostrophe(text, at)) {
            continue;
        }
        for (size_t end = at + opens; end + closes <= text.length; end++) {
            if (memcmp(text.bytes + end, pairs[i][1], closes) == 0 && !is_apostrophe(text, end)) {
                return (Text){text.bytes + at + opens, end - at - opens};
            }
        }
    }
    return (Text){NULL, 0};
}

/* What a sentence quotes of a secret. */
static void hide_quotes(Redactor *redactor, Text *text) {
    TextBuffer out = TEXT_BUFFER_INIT;
    size_t copied = 0;
    for (size_t at = 0; at < text->length; at++) {
        Text bare = quoted_at(*text, at);
        if (bare.bytes == NULL) {
            continue;
        }
        size_t from = (size_t)(bare.bytes - text->bytes);
        at = from + bare.length; /* where it closes */
        bare = text_bare(bare);
        if (bare.length > 0 && (occurs(redactor, bare.bytes, bare.length) || mentions(redactor, bare))) {
            text_buffer_add_bytes(&out, text->bytes + copied, from - copied);
            add_handle(redactor, &out, bare.bytes, bare.length);
            copied = at;
        }
    }
    if (copied > 0) {
        text_buffer_add_bytes(&out, text->bytes + copied, text->length - copied);
        put(redactor, text, &out);
    }
    text_buffer_free(&out);
}

/* Whole texts of records, wherever they stand. */
static void hide_texts(Redactor *redactor, Text *text) {
    for (int32_t i = 0; i < redactor->n_texts; i++) {
        const Text secret = redactor->texts[i];
        const char *found = text->length < secret.length ? NULL : find_text(*text, 0, secret);
        if (found != NULL) {
            TextBuffer out = TEXT_BUFFER_INIT;
            size_t before = (size_t)(found - text->bytes);
            text_buffer_add_bytes(&out, text->bytes, before);
            add_handle(redactor, &out, secret.bytes, secret.length);
            text_buffer_add_bytes(&out, found + secret.length, text->length - before - secret.length);
            put(redactor, text, &out);
            i--; /* it may stand there twice */
        }
    }
}

static void hide_said(Redactor *redactor, Text *text) {
    hide_texts(redactor, text);
    hide_quotes(redactor, text);
}

/* ---- block by block ---- */

static void redact_table(Redactor *redactor, TableBlock *table) {
    for (int32_t k = 0; k < table->n_rows * table->n_columns; k++) {
        Value *cell = &table->cells[k];
        const TableColumn *column = &table->columns[k % table->n_columns];
        if (cell->kind != VALUE_TEXT) {
            continue;
        }
        bool all = (redactor->own_columns && is_own_column(column->name)) ||
                   (column->kind == COLUMN_TOKEN &&
                    (mentions(redactor, cell->text) || is_word_of_secret(redactor, text_bare(cell->text)))) ||
                   (cell->text.length >= LEAST_TEXT && occurs(redactor, cell->text.bytes, cell->text.length));
        hide_if(redactor, &cell->text, all);
        if (!all) {
            hide_said(redactor, &cell->text);
        }
    }
}

static void redact_labels(Redactor *redactor, Text *labels, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        hide_if(redactor, &labels[i], mentions(redactor, labels[i]));
    }
}

static void redact_block(Redactor *redactor, Block *block) {
    hide_said(redactor, &block->title);
    hide_said(redactor, &block->note);
    if (block->kind == BLOCK_TABLE) {
        redact_table(redactor, block->content);
    } else if (block->kind == BLOCK_TOKENS) {
        TokensBlock *tokens = block->content;
        for (int32_t i = 0; i < tokens->n; i++) {
            hide(redactor, &tokens->items[i].bytes);
        }
    } else if (block->kind == BLOCK_MATRIX) {
        MatrixBlock *matrix = block->content;
        redact_labels(redactor, matrix->row_labels, matrix->n_rows);
        redact_labels(redactor, matrix->column_labels, matrix->n_columns);
    } else if (block->kind == BLOCK_SERIES) {
        SeriesBlock *series = block->content;
        for (int32_t i = 0; i < series->n_lines; i++) {
            hide_if(redactor, &series->lines[i].name, mentions(redactor, series->lines[i].name));
        }
    } else if (block->kind == BLOCK_GRAPH) {
        GraphBlock *graph = block->content;
        for (int32_t i = 0; i < graph->n_nodes; i++) {
            hide_if(redactor, &graph->nodes[i].label, mentions(redactor, graph->nodes[i].label));
        }
    } else if (block->kind == BLOCK_TEXT) {
        TextBlock *text = block->content;
        hide_if(redactor, &text->text, text->literal);
        hide_said(redactor, &text->text);
    }
}

/* Texts of the command that made it: all but the names of files and choices. */
static limn_status redact_request(Redactor *redactor) {
    static const char *const names[] = {"prompt", "messages", "system", "target-text", "corrupt", "text", "pair"};
    Value *request = &redactor->result->request;
    Field *fields = arena_alloc(&redactor->result->arena, sizeof(Field) * (request->count + 1));
    if (fields == NULL) {
        return no_memory();
    }
    for (size_t i = 0; i < request->count; i++) {
        fields[i] = request->fields[i];
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            if (fields[i].value.kind == VALUE_TEXT && strcmp(fields[i].name, names[k]) == 0) {
                hide(redactor, &fields[i].value.text);
            }
        }
    }
    request->fields = fields;
    return LIMN_OK;
}

static void redact_said(Redactor *redactor) {
    Result *result = redactor->result;
    hide_said(redactor, &result->headline);
    for (int32_t i = 0; i < result->n_warnings; i++) {
        hide_said(redactor, &result->warnings[i]);
    }
    for (int32_t i = 0; i < result->n_checks; i++) {
        hide_said(redactor, &result->checks[i].meaning);
    }
    for (int32_t i = 0; i < result->n_blocks; i++) {
        redact_block(redactor, &result->blocks[i]);
    }
}

limn_status redact_result(Redactor *redactor, Result *result, bool words) {
    redactor->result = result;
    redactor->own_columns = true;
    redactor->n = 0;
    TRY(words ? find_secrets(redactor) : LIMN_OK);
    redact_said(redactor);
    hide_if(redactor, &result->target.text, mentions(redactor, result->target.text));
    hide_if(redactor, &result->contrast.text, mentions(redactor, result->contrast.text));
    hide(redactor, &result->input_text);
    TRY(redact_request(redactor));
    return redactor->status;
}

limn_status redact_report(Redactor *redactor, Result *report) {
    redactor->result = report;
    redactor->own_columns = false;
    redactor->n = 0;
    redact_said(redactor);
    return redactor->status;
}

bool redact_is_close(const Result *result) {
    static const char *const names[] = {"place", "what is said"};
    bool close = result->input_text.length > 0;
    for (int32_t i = 0; i < result->n_blocks && !close; i++) {
        const TableBlock *table = result->blocks[i].kind == BLOCK_TABLE ? result->blocks[i].content : NULL;
        for (int32_t k = 0; table != NULL && k < table->n_columns && !close; k++) {
            for (size_t n = 0; n < sizeof names / sizeof names[0] && !close; n++) {
                close = same_text(table->columns[k].name, text_of(names[n]));
            }
        }
    }
    return close;
}

/* ---- single texts ---- */

static limn_status keep_text(Redactor *redactor, const char **shown, Text text) {
    *shown = redactor->status == LIMN_OK ? arena_strndup(redactor->arena, text.bytes, text.length) : NULL;
    return redactor->status == LIMN_OK && *shown == NULL ? no_memory() : redactor->status;
}

limn_status redact_text(Redactor *redactor, const char **shown, const char *text) {
    TextBuffer out = TEXT_BUFFER_INIT;
    redactor->result = NULL;
    add_handle(redactor, &out, text, strlen(text));
    limn_status status = text_buffer_status(&out);
    status = status == LIMN_OK ? keep_text(redactor, shown, (Text){out.data, out.length}) : status;
    text_buffer_free(&out);
    return status;
}

limn_status redact_sentence(Redactor *redactor, const char **shown, const char *text, bool quotes) {
    Text said = text_of(text);
    redactor->result = NULL;
    redactor->secrets = redactor->texts;
    redactor->n = quotes ? redactor->n_texts : 0;
    hide_said(redactor, &said);
    return keep_text(redactor, shown, said);
}

/* ---- the list ---- */

void redact_add_commitments(const Redactor *redactor, Result *report, bool chinese) {
    static const TableColumn columns[] = {{TEXT("in its place"), COLUMN_TEXT}, {TEXT("commitment"), COLUMN_TEXT}};
    enum { DIGITS = 64 };
    const TextBuffer *all = &redactor->commitments;
    if (all->length == 0) {
        return;
    }
    TableBlock *table =
        result_add_table(report, "commitments", chinese ? "已隐去的内容" : "What was left out", columns, 2);
    for (size_t at = 0; at + DIGITS < all->length; at += DIGITS + 1) {
        char handle[HANDLE + 1];
        snprintf(handle, sizeof handle, "[%.8s]", all->data + at);
        const Value cells[] = {value_text(handle), value_bytes(all->data + at, DIGITS)};
        table_row(table, cells);
    }
    result_block_note(report, "%s",
                      chinese ? "盐与原文的 SHA-256；盐为以报告制作者所持密钥对原文计算的 "
                                "HMAC-SHA256：出示原文及其盐，任何人都可核对"
                              : "SHA-256 of a salt and the text, the salt being HMAC-SHA256 of the text by a key that "
                                "the maker of the report keeps: shown a text and its salt, anyone can check it");
}
