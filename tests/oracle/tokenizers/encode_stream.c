/* Reads texts on stdin, writes their tokens: what the oracle scripts compare with the reference.
 *
 * Usage: encode_stream PATH [plain] [no-special] [pairs]
 * PATH: a folder, a .gguf file or any tokenizer file. In: u32 length, bytes (twice with `pairs`). Out: u32 count, then
 * for each token i32 id, i32 begin, i32 end, i32 type; then u32 length and the text decoded without special tokens;
 * then the same from the stream decoder. A text that fails: count 0xFFFFFFFF, u32 length, the message. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "text/tokenizer.h"

static bool read_text(char **text, uint32_t *length) {
    if (fread(length, 4, 1, stdin) != 1) {
        return false;
    }
    *text = malloc((size_t)*length + 1);
    return *text != NULL && fread(*text, 1, *length, stdin) == *length;
}

static void write_text(const char *text, size_t length) {
    uint32_t size = (uint32_t)length;
    fwrite(&size, 4, 1, stdout);
    fwrite(text, 1, length, stdout);
}

static void write_failure(void) {
    const uint32_t mark = UINT32_MAX;
    fwrite(&mark, 4, 1, stdout);
    write_text(error_message(), strlen(error_message()));
}

static limn_status write_decoded(const Tokenizer *tokenizer, const int32_t *ids, int32_t n) {
    char *text;
    size_t length;
    TRY(tokenizer_decode(&text, &length, tokenizer, ids, n, true));
    write_text(text, length);
    free(text);
    StreamDecoder *decoder;
    TRY(stream_decoder_new(&decoder, tokenizer, true));
    char *all = NULL;
    size_t total = 0;
    FILE *stream = open_memstream(&all, &total);
    limn_status status = stream == NULL ? LIMN_NO_MEMORY : LIMN_OK;
    for (int32_t i = 0; i <= n && status == LIMN_OK; i++) {
        const char *bytes;
        status = stream_decoder_add(decoder, i < n ? ids[i] : -1, &bytes, &length);
        if (status == LIMN_OK) {
            fwrite(bytes, 1, length, stream);
        }
    }
    if (stream != NULL) {
        fclose(stream);
    }
    stream_decoder_free(decoder);
    write_text(all, total);
    free(all);
    return status;
}

static void answer(const Tokenizer *tokenizer, const char *text, size_t length, const char *pair, size_t pair_length,
                   const EncodeOptions *options) {
    Encoding encoding;
    if (tokenizer_encode(&encoding, tokenizer, text, length, pair, pair_length, options) != LIMN_OK) {
        write_failure();
        return;
    }
    uint32_t count = (uint32_t)encoding.n;
    int32_t *ids = malloc((size_t)count * sizeof *ids + 1);
    if (ids == NULL) {
        write_failure();
        encoding_free(&encoding);
        return;
    }
    fwrite(&count, 4, 1, stdout);
    for (int32_t i = 0; i < encoding.n; i++) {
        const Token *token = &encoding.tokens[i];
        int32_t row[4] = {token->id, (int32_t)token->begin, (int32_t)token->end, token->type};
        fwrite(row, 4, 4, stdout);
        ids[i] = token->id;
    }
    if (write_decoded(tokenizer, ids, encoding.n) != LIMN_OK) {
        write_text("", 0);
        write_text("", 0);
    }
    free(ids);
    encoding_free(&encoding);
}

static limn_status open_path(Tokenizer **tokenizer, Gguf **gguf, const char *path) {
    size_t length = strlen(path);
    if (length > 5 && strcmp(path + length - 5, ".gguf") == 0) {
        TRY(gguf_open(gguf, path));
        return tokenizer_open_gguf(tokenizer, *gguf);
    }
    return folder_exists(path) ? tokenizer_open_folder(tokenizer, path) : tokenizer_open_file(tokenizer, path);
}

int main(int argc, char **argv) {
    EncodeOptions options = {.bos = BOS_AUTO};
    bool pairs = false;
    for (int i = 2; i < argc; i++) {
        options.plain_special_text = options.plain_special_text || strcmp(argv[i], "plain") == 0;
        options.no_special = options.no_special || strcmp(argv[i], "no-special") == 0;
        pairs = pairs || strcmp(argv[i], "pairs") == 0;
    }
    Tokenizer *tokenizer = NULL;
    Gguf *gguf = NULL;
    if (argc < 2 || open_path(&tokenizer, &gguf, argv[1]) != LIMN_OK) {
        fprintf(stderr, "encode_stream: %s\n", argc < 2 ? "a path is needed" : error_message());
        return 1;
    }
    for (size_t i = 0; i < tokenizer_warning_count(tokenizer); i++) {
        fprintf(stderr, "encode_stream: warning: %s\n", tokenizer_warning(tokenizer, i));
    }
    char *text, *pair = NULL;
    uint32_t length, pair_length = 0;
    while (read_text(&text, &length)) {
        if (pairs && !read_text(&pair, &pair_length)) {
            break;
        }
        answer(tokenizer, text, length, pair, pair_length, &options);
        fflush(stdout);
        free(text);
        free(pair);
        pair = NULL;
    }
    tokenizer_free(tokenizer);
    gguf_close(gguf);
    return 0;
}
