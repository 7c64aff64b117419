#include "measure/rewrite.h"

#include <string.h>

/* Where the exchanged texts stand in the new text. */
typedef struct Place {
    size_t from, to;
} Place;

static limn_status write(TextBuffer *text, Place *places, const Rewriter *rewriter, const Exchange *exchanges,
                         int32_t n) {
    const Text old = rewriter->prompt->text;
    size_t at = 0;
    for (int32_t i = 0; i < n; i++) {
        const Unit *unit = &rewriter->units->items[exchanges[i].unit];
        text_buffer_add_bytes(text, old.bytes + at, unit->from - at);
        places[i].from = text->length;
        text_buffer_add_bytes(text, exchanges[i].text.bytes, exchanges[i].text.length);
        places[i].to = text->length;
        at = unit->to;
    }
    text_buffer_add_bytes(text, old.bytes + at, old.length - at);
    return text_buffer_status(text);
}

static bool only_spaces(const TextBuffer *text, int64_t from, size_t to) {
    for (size_t i = (size_t)from; i < to; i++) {
        if (text->data[i] != ' ') {
            return false;
        }
    }
    return true;
}

/* The tokens that cover the place; false where they cover more than it and the spaces before it. */
static bool covers(const Encoding *encoding, const Rewriter *rewriter, const TextBuffer *text, const Place *place,
                   int32_t *begin, int32_t *end) {
    const Tokenizer *tokenizer = rewriter->model->tokenizer;
    int32_t unknown = tokenizer_special(tokenizer, SPECIAL_UNK);
    *begin = *end = -1;
    for (int32_t t = 0; t < encoding->n; t++) {
        const Token *token = &encoding->tokens[t];
        bool inside = token->type == 0 && token->end > token->begin && (size_t)token->end > place->from &&
                      (size_t)token->begin < place->to;
        if (!inside) {
            continue;
        }
        if (token->special || token->id == unknown) {
            return false;
        }
        *begin = *begin < 0 ? t : *begin;
        *end = t + 1;
    }
    if (*begin < 0) {
        return false;
    }
    int64_t from = encoding->tokens[*begin].begin;
    bool starts = (size_t)from >= place->from || only_spaces(text, from, place->from);
    return starts && (size_t)encoding->tokens[*end - 1].end == place->to;
}

static limn_status keep(Rewritten *made, const Rewriter *rewriter, const Encoding *encoding) {
    int32_t *ids = ARENA_ARRAY(rewriter->call->arena, int32_t, encoding->n + 1);
    if (ids == NULL) {
        return method_no_memory(rewriter->call);
    }
    for (int32_t t = 0; t < encoding->n; t++) {
        ids[t] = encoding->tokens[t].id;
    }
    made->ids = ids;
    made->n = encoding->n;
    return LIMN_OK;
}

limn_status rewrite_prompt(Rewritten *made, bool *good, const Rewriter *rewriter, const Exchange *exchanges,
                           int32_t n) {
    *made = (Rewritten){0};
    *good = false;
    TextBuffer text = TEXT_BUFFER_INIT;
    Encoding encoding = {0};
    Place *places = ARENA_ARRAY(rewriter->call->arena, Place, n + 1);
    limn_status status = places == NULL ? method_no_memory(rewriter->call) : LIMN_OK;
    if (status == LIMN_OK) {
        status = write(&text, places, rewriter, exchanges, n);
    }
    if (status == LIMN_OK) {
        const Text whole = {text.data == NULL ? "" : text.data, text.length};
        status = prompt_encode_version(&encoding, rewriter->model, rewriter->prompt, whole);
    }
    bool whole = status == LIMN_OK && encoding.n > 0;
    for (int32_t i = 0; i < n && whole; i++) {
        int32_t begin, end;
        whole = covers(&encoding, rewriter, &text, &places[i], &begin, &end);
        made->begin = i == 0 ? begin : made->begin;
        made->end = i == 0 ? end : made->end;
    }
    if (whole) {
        int32_t limit = rewriter->any_length ? 0 : rewriter->model->config.n_context;
        status = keep(made, rewriter, &encoding);
        *good = status == LIMN_OK && (limit <= 0 || made->n + rewriter->n_tail <= limit);
    }
    encoding_free(&encoding);
    text_buffer_free(&text);
    return status;
}

limn_status rewrite_text(Text *text, const Rewriter *rewriter, const Exchange *exchanges, int32_t n) {
    Arena *arena = rewriter->call->arena;
    TextBuffer buffer = TEXT_BUFFER_INIT;
    Place *places = ARENA_ARRAY(arena, Place, n + 1);
    limn_status status = places == NULL ? method_no_memory(rewriter->call) : LIMN_OK;
    status = status == LIMN_OK ? write(&buffer, places, rewriter, exchanges, n) : status;
    if (status == LIMN_OK) {
        char *copy = arena_strndup(arena, buffer.data == NULL ? "" : buffer.data, buffer.length);
        *text = (Text){copy, buffer.length};
        status = copy == NULL ? method_no_memory(rewriter->call) : LIMN_OK;
    }
    text_buffer_free(&buffer);
    return status;
}
