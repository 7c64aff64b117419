/* tekken.json (Mistral): pieces as bytes in the order of their ranks, special tokens, and the split rule. There are no
 * merges: two neighbours join when what they spell together is a piece, that of the lowest rank first, so every way to
 * cut a piece in two pieces is a merge of its rank. */
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "files/json.h"
#include "text/parts.h"
#include "text/split_rules.h"

enum { PIECE_BYTES_MAX = 1024, SPECIALS_MAX = 1 << 16 };

typedef struct Tekken {
    Tokenizer *tokenizer;
    Loading loading;
    const char *path;
    const json_t *vocabulary, *specials; /* lists */
    const char *pattern;
    int64_t n_specials; /* ids of special tokens stand before those of pieces */
    int64_t n_pieces;
} Tekken;

static limn_status read_config(Tekken *tekken, const json_t *json) {
    const json_t *config;
    int64_t size;
    TRY(json_need_object(&config, json, tekken->path, "config"));
    TRY(json_need_string(&tekken->pattern, config, tekken->path, "pattern"));
    TRY(json_take_array(&tekken->vocabulary, json, tekken->path, "vocab"));
    TRY(json_take_array(&tekken->specials, json, tekken->path, "special_tokens"));
    int64_t listed = (int64_t)json_array_size(tekken->specials), pieces = (int64_t)json_array_size(tekken->vocabulary);
    if (listed == 0) { /* the oldest files leave them to the program */
        return fail(LIMN_UNSUPPORTED, "%s: has no special_tokens, expected a list of them", tekken->path);
    }
    TRY(json_take_integer(&tekken->n_specials, config, tekken->path, "default_num_special_tokens", listed, SPECIALS_MAX,
                          listed));
    TRY(json_take_integer(&size, config, tekken->path, "default_vocab_size", tekken->n_specials, VOCABULARY_COUNT_MAX,
                          tekken->n_specials + pieces));
    size -= tekken->n_specials; /* what the list holds beyond it is not used */
    tekken->n_pieces = size < pieces ? size : pieces;
    return vocabulary_expect(&tekken->tokenizer->vocabulary, tekken->path,
                             (size_t)(tekken->n_specials + tekken->n_pieces));
}

/* The bytes of "token_bytes", each as its printable character. */
static limn_status spell_piece(TextBuffer *buffer, const Tekken *tekken, const json_t *entry, int64_t rank) {
    unsigned char bytes[PIECE_BYTES_MAX + 4];
    const char *text = json_string_value(json_object_get(entry, "token_bytes"));
    size_t length = json_string_length(json_object_get(entry, "token_bytes"));
    const json_t *stated = json_object_get(entry, "rank");
    if (stated != NULL && (!json_is_integer(stated) || json_integer_value(stated) != rank)) {
        return fail(LIMN_FORMAT, "%s: vocab: element %" PRId64 " is not of that rank", tekken->path, rank);
    }
    int count = -1;
    if (text != NULL && length > 0 && length % 4 == 0 && length / 4 * 3 <= PIECE_BYTES_MAX) {
        count = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)length);
        count -= count > 0 ? (text[length - 1] == '=') + (text[length - 2] == '=') : 0;
    }
    if (count < 1) {
        return fail(LIMN_FORMAT, "%s: vocab: token_bytes of element %" PRId64 " are not 1 to %d bytes in base64",
                    tekken->path, rank, PIECE_BYTES_MAX);
    }
    text_buffer_clear(buffer);
    for (int i = 0; i < count; i++) {
        char spelled[4];
        text_buffer_add_bytes(buffer, spelled, utf8_encode(byte_level_char(bytes[i]), spelled));
    }
    return text_buffer_status(buffer);
}

static limn_status add_pieces(Tekken *tekken) {
    TextBuffer buffer = TEXT_BUFFER_INIT;
    limn_status status = LIMN_OK;
    for (int64_t rank = 0; rank < tekken->n_pieces && status == LIMN_OK; rank++) {
        status = spell_piece(&buffer, tekken, json_array_get(tekken->vocabulary, (size_t)rank), rank);
        if (status == LIMN_OK) {
            status = vocabulary_add(&tekken->tokenizer->vocabulary, tekken->path, buffer.data, buffer.length,
                                    tekken->n_specials + rank, PIECE_NORMAL, 0);
        }
    }
    text_buffer_free(&buffer);
    return status;
}

/* After the pieces: a special token's spelling is its own. Ids that the list leaves out are named by their numbers. */
static limn_status add_specials(Tekken *tekken) {
    Vocabulary *vocabulary = &tekken->tokenizer->vocabulary;
    int64_t listed = (int64_t)json_array_size(tekken->specials);
    for (int64_t i = 0; i < listed; i++) {
        const json_t *entry = json_array_get(tekken->specials, (size_t)i);
        const char *text;
        int64_t rank;
        TRY(json_need_integer(&rank, entry, tekken->path, "rank", 0, listed - 1));
        TRY(json_need_string(&text, entry, tekken->path, "token_str"));
        if (text[0] == '\0') {
            return fail(LIMN_FORMAT, "%s: special_tokens: element %" PRId64 " is empty", tekken->path, i);
        }
        TRY(vocabulary_add(vocabulary, tekken->path, text, strlen(text), rank, PIECE_CONTROL, 0));
    }
    for (int64_t id = listed; id < tekken->n_specials; id++) {
        char name[40];
        int length = snprintf(name, sizeof name, "<SPECIAL_%" PRId64 ">", id);
        TRY(vocabulary_add(vocabulary, tekken->path, name, (size_t)length, id, PIECE_CONTROL, 0));
    }
    for (int64_t id = 0; id < tekken->n_specials; id++) {
        TRY(tokenizer_add_special(tekken->tokenizer, (int32_t)id));
    }
    return LIMN_OK;
}

/* Every cut of a piece into two pieces. */
static limn_status add_merges(Tekken *tekken) {
    const Vocabulary *vocabulary = &tekken->tokenizer->vocabulary;
    for (int64_t rank = 0; rank < tekken->n_pieces; rank++) {
        const Piece *piece = vocabulary_piece(vocabulary, (int32_t)(tekken->n_specials + rank));
        for (size_t at = 0, step; piece != NULL && at < piece->length; at += step) {
            utf8_next(piece->text + at, &step);
            size_t left = at + step, right = piece->length - left;
            if (right > 0 && vocabulary_model_id(vocabulary, piece->text, left) >= 0 &&
                vocabulary_model_id(vocabulary, piece->text + left, right) >= 0) {
                TRY(model_bpe_add_merge(&tekken->tokenizer->model, &tekken->loading, piece->text, left,
                                        piece->text + left, right, rank));
            }
        }
    }
    return LIMN_OK;
}

static limn_status set_parts(Tekken *tekken) {
    const SplitRule rule = {.patterns = {tekken->pattern}};
    json_t *steps = split_rule_json(&rule), *bytes = json_pack("{s:s}", "type", "ByteLevel");
    limn_status status = steps != NULL && bytes != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "%s", tekken->path);
    if (status == LIMN_OK) {
        status = pre_tokenizer_parse(&tekken->tokenizer->pre_tokenizer, &tekken->loading, steps);
    }
    if (status == LIMN_OK) {
        status = decoder_parse(&tekken->tokenizer->decoder, &tekken->loading, bytes);
    }
    json_decref(steps);
    json_decref(bytes);
    return status;
}

limn_status load_tekken(Tokenizer *tokenizer, const char *path, const json_t *json) {
    Tekken tekken = {
        .tokenizer = tokenizer, .loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0}, .path = path};
    TRY(read_config(&tekken, json));
    TRY(add_pieces(&tekken));
    TRY(add_specials(&tekken));
    TRY(model_bpe_new(&tokenizer->model, &tekken.loading));
    model_bpe_set(&tokenizer->model, true);
    TRY(add_merges(&tekken));
    TRY(set_parts(&tekken));
    load_usual_specials(tokenizer);
    return post_processor_surround(&tokenizer->post_processor, &tekken.loading, tokenizer->special[SPECIAL_BOS], -1);
}
