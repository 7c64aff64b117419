/* SentencePiece's own rules, for models that come without a tokenizer.json: tokenizer.model and GGUF. */
#ifndef LIMN_TEXT_SENTENCEPIECE_H
#define LIMN_TEXT_SENTENCEPIECE_H

#include "text/charsmap.h"
#include "text/component.h"

#define SPACE_SYMBOL "\xE2\x96\x81" /* U+2581, written for a space */

typedef struct SentencePieceRules {
    const Charsmap *map;           /* NULL: text stays as it is */
    const Trie *user_defined;      /* pieces that are never normalised; NULL: none */
    bool add_dummy_prefix;         /* a space before the text */
    bool remove_extra_whitespaces; /* none at the ends, one between words */
    bool escape_whitespaces;       /* spaces become SPACE_SYMBOL */
    bool suffix_whitespace;        /* the dummy space comes after the text */
} SentencePieceRules;

extern const NormaliserKind normaliser_sentencepiece; /* state: SentencePieceRules */
extern const DecoderKind decoder_sentencepiece;       /* state: SentencePieceRules */

/* Runs of "<0xNN>" become the bytes they name. */
limn_status decode_byte_pieces(DecodeWork *work);
/* Every `symbol` becomes a space, or is dropped. */
limn_status decode_spaces(DecodeWork *work, DecodePiece *piece, const char *symbol, size_t length, bool drop);

#endif
