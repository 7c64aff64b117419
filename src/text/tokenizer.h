/* Text to token ids and back, as the model's own files state it. */
#ifndef LIMN_TEXT_TOKENIZER_H
#define LIMN_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "files/gguf.h"

typedef struct Tokenizer Tokenizer; /* read-only once opened: any number of threads */

/* From tokenizer.json (with tokenizer_config.json), else vocab.json + merges.txt, vocab.txt, tokenizer.model. */
limn_status tokenizer_open_folder(Tokenizer **tokenizer, const char *folder);
/* One file of those kinds; the kind is told by its contents. */
limn_status tokenizer_open_file(Tokenizer **tokenizer, const char *path);
limn_status tokenizer_open_gguf(Tokenizer **tokenizer, const Gguf *gguf);
void tokenizer_free(Tokenizer *tokenizer);

typedef enum BosMode { BOS_AUTO, BOS_YES, BOS_NO } BosMode;

typedef struct EncodeOptions {
    BosMode bos;             /* auto: what the tokenizer's own post-processor does */
    bool no_special;         /* true: no post-processor at all (no BOS, [CLS], [SEP]), whatever `bos` says */
    bool plain_special_text; /* true: "<|im_start|>" in the text is ordinary text, not the special token */
    bool continues;          /* true: the text goes on where another ended, so no space is put before it (SentencePiece
                              * puts one at the beginning of a text) and its own first space stays */
} EncodeOptions;

typedef struct Token {
    int32_t id;
    int64_t begin, end; /* bytes of the text; begin == end for what the post-processor added */
    bool special;
    uint8_t type; /* token type id: 1 in the second text of a pair */
} Token;

typedef struct Encoding {
    Token *tokens;
    int32_t n;
} Encoding;

/* pair may be NULL. *encoding is the caller's: encoding_free. Broken UTF-8 and NUL are input like any other:
 * treated as the reference treats U+FFFD; offsets still cover the original bytes. */
limn_status tokenizer_encode(Encoding *encoding, const Tokenizer *tokenizer, const char *text, size_t length,
                             const char *pair, size_t pair_length, const EncodeOptions *options);
void encoding_free(Encoding *encoding);

/* *text is malloc'ed, NUL-terminated, *length bytes. */
limn_status tokenizer_decode(char **text, size_t *length, const Tokenizer *tokenizer, const int32_t *ids, int32_t n,
                             bool skip_special);

/* Decoding token by token: holds back bytes that do not yet form a whole character. */
typedef struct StreamDecoder StreamDecoder;
limn_status stream_decoder_new(StreamDecoder **decoder, const Tokenizer *tokenizer, bool skip_special);
void stream_decoder_free(StreamDecoder *decoder);
/* What comes goes on where another text ended: the first token keeps its space. Until finish. */
void stream_decoder_continue(StreamDecoder *decoder);
/* *bytes is borrowed until the next call. finish (id -1) gives what is left, broken bytes as U+FFFD. */
limn_status stream_decoder_add(StreamDecoder *decoder, int32_t id, const char **bytes, size_t *length);

int32_t tokenizer_vocab_size(const Tokenizer *tokenizer); /* largest id + 1 */
/* The token's raw bytes as it adds to decoded text (" the"); NULL: no such id. Borrowed. */
const char *tokenizer_token_bytes(const Tokenizer *tokenizer, int32_t id, size_t *length);
/* The piece as the vocabulary spells it ("Ġthe"); NULL: no such id. Borrowed. */
const char *tokenizer_piece(const Tokenizer *tokenizer, int32_t id, size_t *length);
int32_t tokenizer_id(const Tokenizer *tokenizer, const char *piece, size_t length); /* -1: none */
bool tokenizer_is_special(const Tokenizer *tokenizer, int32_t id);

typedef enum SpecialToken {
    SPECIAL_BOS,
    SPECIAL_EOS,
    SPECIAL_UNK,
    SPECIAL_PAD,
    SPECIAL_MASK,
    SPECIAL_SEP,
    SPECIAL_CLS,
    SPECIAL_EOT, /* ends a turn, where that is not EOS: a generated text ends there too */
    SPECIAL_EOM, /* ends a message that calls a tool; the same */
    SPECIAL_COUNT
} SpecialToken;
int32_t tokenizer_special(const Tokenizer *tokenizer, SpecialToken which); /* -1: the model has none */

const char *tokenizer_kind(const Tokenizer *tokenizer); /* "byte-level BPE", "WordPiece" ... */

/* What the files say and this tokenizer does not do, one line each; borrowed. */
size_t tokenizer_warning_count(const Tokenizer *tokenizer);
const char *tokenizer_warning(const Tokenizer *tokenizer, size_t index);

const char *tokenizer_chat_template(const Tokenizer *tokenizer); /* the one named "default"; NULL: none. Borrowed. */

/* Chat templates by name ("default", "tool_use", "rag" ...), in the order of their files. */
typedef struct ChatSource {
    const char *name;
    const char *text;
    size_t length;
} ChatSource;
const ChatSource *tokenizer_chat_templates(const Tokenizer *tokenizer, size_t *n); /* [n], borrowed */

#endif
