/* A tokenizer opened: its parts. Loaders fill them and call tokenizer_finish. */
#ifndef LIMN_TEXT_PARTS_H
#define LIMN_TEXT_PARTS_H

#include "text/added_tokens.h"
#include "text/component.h"
#include "text/tokenizer.h"

struct TokenizerFolder;

struct Tokenizer {
    Pool pool;
    Vocabulary vocabulary;
    Normaliser normaliser;
    PreTokenizer pre_tokenizer;
    Model model;
    PostProcessor post_processor;
    Decoder decoder;
    AddedTokens added;
    int32_t special[SPECIAL_COUNT]; /* -1: none */
    const char *kind;
    bool splits_special;   /* special tokens in a text are ordinary text, unless a call says otherwise */
    bool cleans_up;        /* decoded text loses spaces before punctuation */
    const char **warnings; /* [n_warnings] */
    size_t n_warnings;
    size_t n_unsaid;            /* warnings beyond so many: counted in one line */
    ChatSource *chat_templates; /* [n_chat_templates] */
    size_t n_chat_templates;
};

limn_status tokenizer_new(Tokenizer **tokenizer);
/* Once every part is set: marks special pieces, builds the tries and each piece's decoded bytes. */
limn_status tokenizer_finish(Tokenizer *tokenizer, const char *where);

/* Copies into the tokenizer's pool; NULL stays NULL. */
limn_status tokenizer_keep(const char **kept, Tokenizer *tokenizer, const char *text, size_t length);
limn_status tokenizer_warn(Tokenizer *tokenizer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A chat template, copied; one of the same name is replaced when `replace` says so, else it stays. */
limn_status tokenizer_keep_template(Tokenizer *tokenizer, const char *name, size_t name_length, const char *text,
                                    size_t length, bool replace);
/* A control piece of the model, or an added token, with the usual flags. */
limn_status tokenizer_add_special(Tokenizer *tokenizer, int32_t id);

/* An added token as the reference adds it: a known spelling keeps its id and takes the flags, another one gets the next
 * id. declared: the id that the file states, -1: none; another one is said. */
limn_status tokenizer_put_token(Tokenizer *tokenizer, const char *where, const char *text, size_t length,
                                AddedToken flags, int64_t declared);

/* "chat_template" of a config: a text, or named ones; those that are known already stay. */
limn_status load_chat_template(Tokenizer *tokenizer, const json_t *config);
/* The loaders. `where` is the path for messages. */
limn_status load_tokenizer_json(Tokenizer *tokenizer, const char *path, const json_t *json);
limn_status load_tekken(Tokenizer *tokenizer, const char *path, const json_t *json);
/* folder: what stands beside the file; NULL: a file alone. */
limn_status load_sentencepiece(Tokenizer *tokenizer, const char *path, const char *bytes, size_t length,
                               const struct TokenizerFolder *folder);
limn_status load_vocab_txt(Tokenizer *tokenizer, const char *path, const char *bytes, size_t length,
                           const struct TokenizerFolder *folder);
limn_status load_vocab_merges(Tokenizer *tokenizer, const char *vocab_path, const char *merges_path,
                              const struct TokenizerFolder *folder);
/* Once all special tokens are known: which of them stand around a text. */
limn_status end_sentencepiece(Tokenizer *tokenizer, const char *path, const struct TokenizerFolder *folder);
limn_status end_vocab_txt(Tokenizer *tokenizer, const char *path, const struct TokenizerFolder *folder);
limn_status end_vocab_merges(Tokenizer *tokenizer, const char *path, const struct TokenizerFolder *folder);
limn_status load_gguf(Tokenizer *tokenizer, const Gguf *gguf);

/* Special tokens by their usual spellings, for files that come without a config. */
void load_usual_specials(Tokenizer *tokenizer);

/* The decoded bytes of a list of ids, broken UTF-8 left as it is; appended. */
limn_status decode_ids(TextBuffer *out, DecodeWork *work, const Tokenizer *tokenizer, const int32_t *ids, int32_t n,
                       bool skip_special);

#endif
