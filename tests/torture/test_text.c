#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer.h"
#include "torture/torture.h"

#define CORPUS LIMN_TEST_SOURCE_DIR "/fuzz/corpus/"

static const char sample[] = "<s>ab a  b\n\n  1234 A'll \xe4\xb8\xad e\xcc\x81 \xff \0 b";

static limn_status decode(const Tokenizer *tokenizer, const Encoding *encoding, const int32_t *ids) {
    char *text;
    size_t length;
    TRY(tokenizer_decode(&text, &length, tokenizer, ids, encoding->n, false));
    free(text);
    StreamDecoder *decoder;
    TRY(stream_decoder_new(&decoder, tokenizer, true));
    limn_status status = LIMN_OK;
    for (int32_t i = 0; i <= encoding->n && status == LIMN_OK; i++) {
        const char *bytes;
        status = stream_decoder_add(decoder, i < encoding->n ? ids[i] : -1, &bytes, &length);
    }
    stream_decoder_free(decoder);
    return status;
}

static limn_status use(const Tokenizer *tokenizer) {
    Encoding encoding;
    const EncodeOptions options = {.bos = BOS_AUTO};
    TRY(tokenizer_encode(&encoding, tokenizer, sample, sizeof sample - 1, "a b", 3, &options));
    int32_t ids[256];
    for (int32_t i = 0; i < encoding.n && i < 256; i++) {
        ids[i] = encoding.tokens[i].id;
    }
    limn_status status = encoding.n <= 256 ? decode(tokenizer, &encoding, ids) : LIMN_OK;
    encoding_free(&encoding);
    return status;
}

static limn_status open_and_use(void *context) {
    Tokenizer *tokenizer;
    TRY(tokenizer_open_file(&tokenizer, context));
    limn_status status = use(tokenizer);
    tokenizer_free(tokenizer);
    return status;
}

static limn_status open_gguf_and_use(void *context) {
    Gguf *gguf;
    TRY(gguf_open(&gguf, context));
    Tokenizer *tokenizer;
    limn_status status = tokenizer_open_gguf(&tokenizer, gguf);
    if (status == LIMN_OK) {
        status = use(tokenizer);
        tokenizer_free(tokenizer);
    }
    gguf_close(gguf);
    return status;
}

int main(void) {
    static const char *const files[] = {
        "gpt2",      "llama3",  "smollm",   "llama2", "sentencepiece-bpe", "sentencepiece-unigram",
        "wordpiece", "unigram", "vocab-txt"};
    static const char *const ggufs[] = {"gpt2-smollm", "gpt2-gpt-2", "gpt2-llama-bpe", "llama-default",
                                        "bert-jina-v2-en"};
    char path[512];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, CORPUS "tokenizer/seed-%s", files[i]);
        torture(files[i], open_and_use, path);
    }
    for (size_t i = 0; i < sizeof ggufs / sizeof ggufs[0]; i++) {
        snprintf(path, sizeof path, CORPUS "tokenizer_gguf/seed-%s", ggufs[i]);
        torture(ggufs[i], open_gguf_and_use, path);
    }
    return 0;
}
