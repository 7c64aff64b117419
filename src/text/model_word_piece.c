/* WordPiece (Schuster and Nakajima 2012; BERT): the longest piece that fits, from left to right; a word that cannot
 * be covered is one unknown token. And WordLevel: a whole word or unknown. */
#include <string.h>

#include "base/utf8.h"
#include "files/json.h"
#include "text/component.h"

typedef struct WordPiece {
    Trie first;     /* pieces that may begin a word */
    Trie following; /* those that continue one, without their prefix */
    int32_t unknown;
    size_t longest_word; /* characters; longer words are unknown */
} WordPiece;

static void release_word_piece(void *object) {
    WordPiece *model = object;
    trie_free(&model->first);
    trie_free(&model->following);
}

static limn_status index_pieces(WordPiece *model, const Vocabulary *vocabulary, const char *prefix) {
    size_t prefix_length = strlen(prefix);
    for (int32_t id = 0; id < vocabulary->size; id++) {
        const Piece *piece = vocabulary_piece(vocabulary, id);
        if (piece == NULL || piece->added) {
            continue;
        }
        TRY(trie_add(&model->first, piece->text, piece->length, id, true));
        if (piece->length > prefix_length && memcmp(piece->text, prefix, prefix_length) == 0) {
            TRY(trie_add(&model->following, piece->text + prefix_length, piece->length - prefix_length, id, true));
        }
    }
    return LIMN_OK;
}

limn_status model_word_piece_new(Model *model, Loading *loading, const char *unknown, const char *prefix) {
    void *state;
    TRY(pool_new(&state, loading->pool, sizeof(WordPiece)));
    WordPiece *made = state;
    trie_init(&made->first);
    trie_init(&made->following);
    TRY(pool_own(loading->pool, made, release_word_piece));
    made->longest_word = 100;
    made->unknown = vocabulary_model_id(loading->vocabulary, unknown, strlen(unknown));
    if (made->unknown < 0) {
        return fail(LIMN_FORMAT, "%s: the unknown token '%s' is not in the vocabulary", loading->where, unknown);
    }
    *model = (Model){&model_word_piece, made};
    return index_pieces(made, loading->vocabulary, prefix);
}

static limn_status parse_word_piece(void **state, Loading *loading, const json_t *json) {
    const char *unknown, *prefix;
    int64_t longest;
    TRY(loading_vocabulary(loading, json));
    TRY(json_take_string(&unknown, json, loading->where, "unk_token", "[UNK]"));
    TRY(json_take_string(&prefix, json, loading->where, "continuing_subword_prefix", "##"));
    TRY(json_take_integer(&longest, json, loading->where, "max_input_chars_per_word", 0, INT64_MAX, 100));
    Model model;
    TRY(model_word_piece_new(&model, loading, unknown, prefix));
    ((WordPiece *)model.state)->longest_word = (size_t)longest;
    *state = model.state;
    return LIMN_OK;
}

static limn_status tokenize_word_piece(const void *state, const Vocabulary *vocabulary, const char *text, size_t length,
                                       Workspace *workspace, TokenSink *sink) {
    (void)vocabulary;
    (void)workspace;
    const WordPiece *model = state;
    size_t before = sink->count;
    bool known = utf8_count(text, length) <= model->longest_word;
    for (size_t at = 0; known && at < length;) {
        int32_t id = -1;
        size_t taken = trie_longest(at == 0 ? &model->first : &model->following, text + at, length - at, &id);
        known = taken > 0;
        if (known) {
            sink_add(sink, id, at, at + taken);
            at += taken;
        }
    }
    if (!known) {
        sink->count = before;
        sink_add(sink, model->unknown, 0, length);
    }
    return LIMN_OK;
}

const ModelKind model_word_piece = {"WordPiece", "WordPiece", parse_word_piece, tokenize_word_piece};

/* ---- WordLevel ---- */

typedef struct WordLevel {
    int32_t unknown;
} WordLevel;

static limn_status parse_word_level(void **state, Loading *loading, const json_t *json) {
    const char *unknown;
    TRY(loading_vocabulary(loading, json));
    TRY(json_take_string(&unknown, json, loading->where, "unk_token", "<unk>"));
    TRY(pool_new(state, loading->pool, sizeof(WordLevel)));
    ((WordLevel *)*state)->unknown = vocabulary_model_id(loading->vocabulary, unknown, strlen(unknown));
    return LIMN_OK;
}

static limn_status tokenize_word_level(const void *state, const Vocabulary *vocabulary, const char *text, size_t length,
                                       Workspace *workspace, TokenSink *sink) {
    (void)workspace;
    int32_t id = vocabulary_model_id(vocabulary, text, length);
    if (id < 0) {
        id = ((const WordLevel *)state)->unknown;
    }
    if (id < 0) {
        return fail(LIMN_NOT_FOUND, "the word '%.*s' is not in the vocabulary, which has no unknown token",
                    (int)(length < 60 ? length : 60), text);
    }
    sink_add(sink, id, 0, length);
    return LIMN_OK;
}

const ModelKind model_word_level = {"WordLevel", "WordLevel", parse_word_level, tokenize_word_level};
