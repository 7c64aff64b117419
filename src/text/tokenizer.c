#include "text/parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

limn_status tokenizer_new(Tokenizer **tokenizer) {
    Tokenizer *made = calloc(1, sizeof *made);
    *tokenizer = made;
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "a tokenizer");
    }
    pool_init(&made->pool);
    vocabulary_init(&made->vocabulary);
    added_tokens_init(&made->added);
    for (int i = 0; i < SPECIAL_COUNT; i++) {
        made->special[i] = -1;
    }
    return LIMN_OK;
}

void tokenizer_free(Tokenizer *tokenizer) {
    if (tokenizer != NULL) {
        added_tokens_free(&tokenizer->added);
        vocabulary_free(&tokenizer->vocabulary);
        pool_free(&tokenizer->pool);
        free(tokenizer);
    }
}

limn_status tokenizer_keep(const char **kept, Tokenizer *tokenizer, const char *text, size_t length) {
    *kept = NULL;
    if (text != NULL) {
        *kept = arena_strndup(&tokenizer->pool.arena, text, length);
        if (*kept == NULL) {
            return fail(LIMN_NO_MEMORY, "a tokenizer's text of %zu bytes", length);
        }
    }
    return LIMN_OK;
}

limn_status tokenizer_warn(Tokenizer *tokenizer, const char *format, ...) {
    enum { WARNINGS_MOST = 16 };
    char line[ERROR_MESSAGE_MAX];
    if (tokenizer->n_warnings == WARNINGS_MOST) {
        tokenizer->n_unsaid++;
        return LIMN_OK;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    const char **grown = ARENA_ARRAY(&tokenizer->pool.arena, const char *, tokenizer->n_warnings + 1);
    const char *kept = arena_strdup(&tokenizer->pool.arena, line);
    if (grown == NULL || kept == NULL) {
        return fail(LIMN_NO_MEMORY, "a tokenizer's warning");
    }
    for (size_t i = 0; i < tokenizer->n_warnings; i++) {
        grown[i] = tokenizer->warnings[i];
    }
    grown[tokenizer->n_warnings++] = kept;
    tokenizer->warnings = grown;
    return LIMN_OK;
}

size_t tokenizer_warning_count(const Tokenizer *tokenizer) {
    return tokenizer->n_warnings;
}

const char *tokenizer_warning(const Tokenizer *tokenizer, size_t index) {
    return tokenizer->warnings[index];
}

limn_status tokenizer_keep_template(Tokenizer *tokenizer, const char *name, size_t name_length, const char *text,
                                    size_t length, bool replace) {
    size_t n = tokenizer->n_chat_templates, at = 0;
    while (at < n && (strlen(tokenizer->chat_templates[at].name) != name_length ||
                      memcmp(tokenizer->chat_templates[at].name, name, name_length) != 0)) {
        at++;
    }
    if (at < n && !replace) {
        return LIMN_OK;
    }
    ChatSource made = {.length = length};
    TRY(tokenizer_keep(&made.name, tokenizer, name, name_length));
    TRY(tokenizer_keep(&made.text, tokenizer, text, length));
    if (at == n) {
        ChatSource *grown = ARENA_ARRAY(&tokenizer->pool.arena, ChatSource, n + 1);
        if (grown == NULL) {
            return fail(LIMN_NO_MEMORY, "a tokenizer's chat templates");
        }
        if (n > 0) {
            memcpy(grown, tokenizer->chat_templates, n * sizeof *grown);
        }
        tokenizer->chat_templates = grown;
        tokenizer->n_chat_templates++;
    }
    tokenizer->chat_templates[at] = made;
    return LIMN_OK;
}

limn_status tokenizer_add_special(Tokenizer *tokenizer, int32_t id) {
    const AddedToken *known = added_tokens_find(&tokenizer->added, &tokenizer->vocabulary, id);
    AddedToken token = known != NULL ? *known : (AddedToken){.id = id};
    token.special = true;
    return added_tokens_add(&tokenizer->added, &tokenizer->vocabulary, token);
}

static bool is_plain_word(const Piece *piece) {
    for (uint32_t i = 0; i < piece->length; i++) {
        char c = piece->text[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))) {
            return false;
        }
    }
    return piece->length > 0 && !piece->special;
}

/* A token that stands before another without disturbing it: letters or digits, decoded as they are. */
static int32_t find_anchor(const Vocabulary *vocabulary) {
    for (int32_t id = 0; id < vocabulary->size; id++) {
        const Piece *piece = vocabulary_piece(vocabulary, id);
        if (piece != NULL && is_plain_word(piece)) {
            return id;
        }
    }
    return -1;
}

/* What each piece adds to text that has begun. */
static limn_status decode_pieces(Tokenizer *tokenizer, DecodeWork *work, TextBuffer *text) {
    Vocabulary *vocabulary = &tokenizer->vocabulary;
    int32_t ids[2] = {find_anchor(vocabulary), 0};
    int32_t anchors = ids[0] >= 0 ? 1 : 0;
    work->streaming = true;
    TRY(decode_ids(text, work, tokenizer, ids, anchors, false));
    size_t skipped = text->length;
    for (int32_t id = 0; id < vocabulary->size; id++) {
        Piece *piece = &vocabulary->pieces[id];
        if (piece->type == PIECE_NONE) {
            continue;
        }
        text_buffer_clear(text);
        ids[anchors] = id;
        TRY(decode_ids(text, work, tokenizer, ids, anchors + 1, false));
        size_t from = skipped < text->length ? skipped : text->length;
        piece->decoded_length = (uint32_t)(text->length - from);
        if (piece->decoded_length == piece->length && memcmp(text->data + from, piece->text, piece->length) == 0) {
            piece->decoded = piece->text;
            continue;
        }
        piece->decoded =
            arena_strndup(&vocabulary->arena, text->data == NULL ? "" : text->data + from, piece->decoded_length);
        if (piece->decoded == NULL) {
            return fail(LIMN_NO_MEMORY, "the decoded pieces of a vocabulary");
        }
    }
    return LIMN_OK;
}

/* The last line says how many there would be more. */
static limn_status count_unsaid(Tokenizer *tokenizer, const char *where) {
    if (tokenizer->n_unsaid == 0) {
        return LIMN_OK;
    }
    size_t more = tokenizer->n_unsaid + 1;
    tokenizer->n_warnings--;
    return tokenizer_warn(tokenizer, "%s: %zu more warnings about the tokenizer", where, more);
}

limn_status tokenizer_finish(Tokenizer *tokenizer, const char *where) {
    TRY(count_unsaid(tokenizer, where));
    if (tokenizer->vocabulary.size == 0) {
        return fail(LIMN_FORMAT, "%s: the vocabulary is empty", where);
    }
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        const AddedToken *token = &tokenizer->added.tokens[i];
        Piece *piece = &tokenizer->vocabulary.pieces[token->id];
        piece->special = piece->special || token->special;
    }
    TRY(added_tokens_build(&tokenizer->added, &tokenizer->vocabulary, &tokenizer->normaliser));
    for (int32_t i = 0; i < tokenizer->post_processor.n_pair + tokenizer->post_processor.n_single; i++) {
        const PostProcessor *processor = &tokenizer->post_processor;
        const TemplateItem *item =
            i < processor->n_single ? &processor->single[i] : &processor->pair[i - processor->n_single];
        if (item->id >= 0 && vocabulary_piece(&tokenizer->vocabulary, item->id) == NULL) {
            return fail(LIMN_FORMAT, "%s: the post-processor adds token %d, which does not exist", where,
                        (int)item->id);
        }
    }
    DecodeWork work = {.vocabulary = &tokenizer->vocabulary};
    TextBuffer text = TEXT_BUFFER_INIT;
    arena_init(&work.arena);
    limn_status status = decode_pieces(tokenizer, &work, &text);
    arena_free(&work.arena);
    text_buffer_free(&text);
    if (tokenizer->kind == NULL) {
        bool byte_level =
            pre_tokenizer_is_byte_level(&tokenizer->pre_tokenizer) || normaliser_is_byte_level(&tokenizer->normaliser);
        bool bpe = tokenizer->model.kind == &model_bpe;
        tokenizer->kind = bpe && byte_level ? "byte-level BPE" : tokenizer->model.kind->title;
    }
    return status;
}

int32_t tokenizer_vocab_size(const Tokenizer *tokenizer) {
    return tokenizer->vocabulary.size;
}

const char *tokenizer_token_bytes(const Tokenizer *tokenizer, int32_t id, size_t *length) {
    const Piece *piece = vocabulary_piece(&tokenizer->vocabulary, id);
    *length = piece == NULL ? 0 : piece->decoded_length;
    return piece == NULL ? NULL : piece->decoded;
}

const char *tokenizer_piece(const Tokenizer *tokenizer, int32_t id, size_t *length) {
    const Piece *piece = vocabulary_piece(&tokenizer->vocabulary, id);
    *length = piece == NULL ? 0 : piece->length;
    return piece == NULL ? NULL : piece->text;
}

int32_t tokenizer_id(const Tokenizer *tokenizer, const char *piece, size_t length) {
    return vocabulary_id(&tokenizer->vocabulary, piece, length);
}

bool tokenizer_is_special(const Tokenizer *tokenizer, int32_t id) {
    const Piece *piece = vocabulary_piece(&tokenizer->vocabulary, id);
    return piece != NULL && piece->special;
}

int32_t tokenizer_special(const Tokenizer *tokenizer, SpecialToken which) {
    return (unsigned)which >= SPECIAL_COUNT ? -1 : tokenizer->special[which];
}

const char *tokenizer_kind(const Tokenizer *tokenizer) {
    return tokenizer->kind;
}

const char *tokenizer_chat_template(const Tokenizer *tokenizer) {
    for (size_t i = 0; i < tokenizer->n_chat_templates; i++) {
        if (strcmp(tokenizer->chat_templates[i].name, "default") == 0) {
            return tokenizer->chat_templates[i].text;
        }
    }
    return NULL;
}

const ChatSource *tokenizer_chat_templates(const Tokenizer *tokenizer, size_t *n) {
    *n = tokenizer->n_chat_templates;
    return tokenizer->chat_templates;
}
