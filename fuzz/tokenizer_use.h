/* Encodes and decodes a few texts with a tokenizer that opened, and checks what every tokenizer must keep. */
#ifndef LIMN_FUZZ_TOKENIZER_USE_H
#define LIMN_FUZZ_TOKENIZER_USE_H

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "text/tokenizer.h"

static void decode_both_ways(const Tokenizer *tokenizer, const int32_t *ids, int32_t n) {
    char *text;
    size_t length;
    limn_status status = tokenizer_decode(&text, &length, tokenizer, ids, n, false);
    if (status != LIMN_OK) {
        check_failure(status);
    } else {
        check(text[length] == '\0', "decoded text ends with NUL");
        free(text);
    }
    StreamDecoder *decoder;
    check(stream_decoder_new(&decoder, tokenizer, true) == LIMN_OK, "a stream decoder");
    for (int32_t i = 0; i <= n; i++) {
        const char *bytes;
        size_t count;
        status = stream_decoder_add(decoder, i < n ? ids[i] : -1, &bytes, &count);
        if (status != LIMN_OK) {
            check_failure(status);
            break;
        }
        check(count == 0 || bytes != NULL, "streamed bytes");
    }
    stream_decoder_free(decoder);
}

static void encode_one(const Tokenizer *tokenizer, const char *text, size_t length, const EncodeOptions *options) {
    Encoding encoding;
    limn_status status = tokenizer_encode(&encoding, tokenizer, text, length, "a b", 3, options);
    if (status != LIMN_OK) {
        check_failure(status);
        return;
    }
    int32_t *ids = malloc(((size_t)encoding.n + 1) * sizeof *ids);
    check(ids != NULL, "memory");
    for (int32_t i = 0; i < encoding.n; i++) {
        const Token *token = &encoding.tokens[i];
        int64_t end = (int64_t)length > 3 ? (int64_t)length : 3;
        check(token->begin >= 0 && token->begin <= token->end && token->end <= end, "offsets within the text");
        check(token->id >= 0 && token->id < tokenizer_vocab_size(tokenizer), "ids within the vocabulary");
        ids[i] = token->id;
    }
    decode_both_ways(tokenizer, ids, encoding.n);
    free(ids);
    encoding_free(&encoding);
}

static void use_tokenizer(const Tokenizer *tokenizer) {
    static const char text[] =
        "<s>ab a  b\n\n  1234 A'll \xe4\xb8\xad\xef\xbc\xa1 e\xcc\x81 \xff\xf0\x9f\x98 \0<unk>[MASK]b ";
    const EncodeOptions plain = {.bos = BOS_AUTO};
    const EncodeOptions other = {.bos = BOS_YES, .plain_special_text = true};
    const EncodeOptions bare = {.bos = BOS_NO, .no_special = true};
    encode_one(tokenizer, text, sizeof text - 1, &plain);
    encode_one(tokenizer, text, sizeof text - 1, &other);
    encode_one(tokenizer, text + 3, 5, &bare);
    encode_one(tokenizer, "", 0, &plain);
    int32_t size = tokenizer_vocab_size(tokenizer);
    const int32_t odd[] = {0, size - 1, size, INT32_MAX, -2, 1};
    decode_both_ways(tokenizer, odd, 2);
    decode_both_ways(tokenizer, odd, 6);
    for (int32_t id = -1; id < size + 1 && id < 300; id++) {
        size_t length;
        const char *piece = tokenizer_piece(tokenizer, id, &length);
        if (piece != NULL) {
            int32_t back = tokenizer_id(tokenizer, piece, length);
            check(back >= 0 && back < size, "a piece is found again");
        }
        (void)tokenizer_token_bytes(tokenizer, id, &length);
        (void)tokenizer_is_special(tokenizer, id);
    }
    for (int which = 0; which < SPECIAL_COUNT; which++) {
        int32_t id = tokenizer_special(tokenizer, (SpecialToken)which);
        check(id >= -1 && id < size, "special ids within the vocabulary");
    }
    check(tokenizer_kind(tokenizer) != NULL, "a kind");
    (void)tokenizer_chat_template(tokenizer);
}

/* What came of opening one: a failure that keeps its promises, or a tokenizer, used and freed. */
static void use_opened(limn_status status, Tokenizer *tokenizer) {
    if (status != LIMN_OK) {
        check_failure(status);
        return;
    }
    use_tokenizer(tokenizer);
    tokenizer_free(tokenizer);
}

#endif
