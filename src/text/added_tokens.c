#include "text/added_tokens.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "text/characters.h"
#include "text/workspace.h"

void added_tokens_init(AddedTokens *added) {
    *added = (AddedTokens){.largest = -1};
    trie_init(&added->plain);
    trie_init(&added->normalised);
}

void added_tokens_free(AddedTokens *added) {
    free(added->tokens);
    trie_free(&added->plain);
    trie_free(&added->normalised);
    added_tokens_init(added);
}

const AddedToken *added_tokens_find(const AddedTokens *added, const Vocabulary *vocabulary, int32_t id) {
    const Piece *piece = vocabulary_piece(vocabulary, id);
    return piece == NULL || piece->added_at == 0 ? NULL : &added->tokens[piece->added_at - 1];
}

limn_status added_tokens_add(AddedTokens *added, Vocabulary *vocabulary, AddedToken token) {
    if (vocabulary_piece(vocabulary, token.id) == NULL) {
        return fail(LIMN_INTERNAL, "added token %d has no piece", (int)token.id);
    }
    uint32_t at = vocabulary->pieces[token.id].added_at;
    if (at > 0) {
        AddedToken *known = &added->tokens[at - 1];
        bool renewed = token.special && known->special; /* stays where the first flags had it looked for */
        token.was_plain = known->was_plain || !known->normalized;
        token.was_normalized = known->was_normalized || known->normalized;
        token.only_was = renewed;
        token.special = token.special || known->special;
        *known = token;
        return LIMN_OK;
    }
    if (added->count == added->capacity) {
        size_t capacity = added->capacity < 16 ? 16 : added->capacity * 2;
        AddedToken *tokens = realloc(added->tokens, capacity * sizeof *tokens);
        if (tokens == NULL) {
            return fail(LIMN_NO_MEMORY, "%zu added tokens", capacity);
        }
        added->tokens = tokens;
        added->capacity = capacity;
    }
    added->tokens[added->count++] = token;
    added->largest = token.id > added->largest ? token.id : added->largest;
    vocabulary->pieces[token.id].added_at = (uint32_t)added->count;
    return LIMN_OK;
}

static limn_status add_normalised(AddedTokens *added, size_t index, const Piece *piece, const Normaliser *normaliser,
                                  AlignedText *text, Workspace *workspace) {
    aligned_clear(text);
    aligned_add_bytes(text, piece->text, piece->length, (Origin){0, 0});
    TRY(aligned_status(text));
    TRY(normaliser_apply(normaliser, text, workspace));
    return trie_add(&added->normalised, text->bytes, text->length, (int32_t)index, false);
}

static limn_status build(AddedTokens *added, const Vocabulary *vocabulary, const Normaliser *normaliser,
                         AlignedText *text, Workspace *workspace) {
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < added->count; i++) {
            const AddedToken *token = &added->tokens[i];
            if (token->special != (pass == 0)) {
                continue;
            }
            const Piece *piece = vocabulary_piece(vocabulary, token->id);
            if (piece == NULL) {
                return fail(LIMN_INTERNAL, "added token %d has no piece", (int)token->id);
            }
            bool now = !token->only_was;
            if ((now && token->normalized) || token->was_normalized) {
                TRY(add_normalised(added, i, piece, normaliser, text, workspace));
            }
            if ((now && !token->normalized) || token->was_plain) {
                TRY(trie_add(&added->plain, piece->text, piece->length, (int32_t)i, false));
            }
        }
    }
    return LIMN_OK;
}

limn_status added_tokens_build(AddedTokens *added, const Vocabulary *vocabulary, const Normaliser *normaliser) {
    Workspace workspace;
    TRY(workspace_init(&workspace));
    AlignedText text = {0};
    limn_status status = build(added, vocabulary, normaliser, &text, &workspace);
    aligned_free(&text);
    workspace_free(&workspace);
    return status;
}

static bool word_touches(const char *text, size_t begin, size_t end, size_t from, size_t to) {
    size_t step;
    if (from > begin && char_is_word(utf8_next(text + from - utf8_last(text + begin, from - begin), &step))) {
        return true;
    }
    return to < end && char_is_word(utf8_next(text + to, &step));
}

static size_t space_before(const char *text, size_t begin, size_t at) {
    while (at > begin) {
        size_t step, last = utf8_last(text + begin, at - begin);
        if (!char_is_whitespace(utf8_next(text + at - last, &step))) {
            break;
        }
        at -= last;
    }
    return at;
}

static size_t space_after(const char *text, size_t at, size_t end) {
    size_t step;
    while (at < end && char_is_whitespace(utf8_next(text + at, &step))) {
        at += step;
    }
    return at;
}

void added_tokens_split(SpanList *out, const AddedTokens *added, const Trie *trie, const char *text, size_t begin,
                        size_t end, bool plain_special) {
    size_t kept = begin;
    for (size_t at = begin; at < end && trie->nodes > 0;) {
        int32_t index = TRIE_NONE;
        size_t length = trie->roots[(unsigned char)text[at]] < 0 ? 0 : trie_longest(trie, text + at, end - at, &index);
        if (length == 0) {
            at++;
            continue;
        }
        const AddedToken *token = &added->tokens[index];
        size_t from = at, to = at + length;
        at = to; /* a rejected match is still passed over whole, as in the reference */
        if ((plain_special && token->special) || (token->single_word && word_touches(text, begin, end, from, to))) {
            continue;
        }
        if (token->left_strip) {
            from = space_before(text, begin, from);
            from = from < kept ? kept : from;
        }
        if (token->right_strip) {
            to = space_after(text, to, end);
        }
        if (kept < from) {
            spans_add(out, kept, from, -1);
        }
        spans_add(out, from, to, token->id);
        kept = to;
    }
    if (kept < end) {
        spans_add(out, kept, end, -1);
    }
}
