/* Pieces and their ids. */
#ifndef LIMN_TEXT_VOCABULARY_H
#define LIMN_TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"

/* As SentencePiece and GGUF number them. */
typedef enum PieceType {
    PIECE_NONE = 0, /* a hole: no piece has this id */
    PIECE_NORMAL = 1,
    PIECE_UNKNOWN = 2,
    PIECE_CONTROL = 3,
    PIECE_USER_DEFINED = 4,
    PIECE_UNUSED = 5,
    PIECE_BYTE = 6
} PieceType;

typedef struct Piece {
    const char *text; /* [length], NUL-terminated */
    uint32_t length;
    uint8_t type; /* PieceType */
    bool added;   /* an added token and not of the model itself */
    bool special;
    uint32_t added_at;   /* 1 and its place among the added tokens; 0: it is none */
    double score;        /* SentencePiece: log-probability or merge order */
    const char *decoded; /* [decoded_length] what it adds to decoded text */
    uint32_t decoded_length;
} Piece;

typedef struct Vocabulary {
    Arena arena;
    Piece *pieces; /* [size] by id */
    int32_t size;  /* largest id + 1 */
    int32_t capacity;
    int32_t id_limit;    /* ids are below it */
    int32_t model_count; /* pieces of the model itself */
    bool has_empty;      /* a list of pieces has empty lines: to the reference they are one more piece */
    uint32_t longest;    /* bytes of the model's longest piece */
    Map model_ids;       /* piece -> id, the model's own */
    Map added_ids;       /* piece -> id, added tokens */
} Vocabulary;

enum { VOCABULARY_COUNT_MAX = 1 << 22 }; /* more pieces are a broken file's */

void vocabulary_init(Vocabulary *vocabulary);
void vocabulary_free(Vocabulary *vocabulary);
/* To be called first: `count` pieces are to come. Ids far beyond the count are refused, so that a false id cannot
 * take memory. */
limn_status vocabulary_expect(Vocabulary *vocabulary, const char *where, size_t count);
/* A piece of the model; its bytes are copied. An id given twice, or out of range, is refused. A piece given twice:
 * the later id wins. */
limn_status vocabulary_add(Vocabulary *vocabulary, const char *where, const char *text, size_t length, int64_t id,
                           PieceType type, double score);
/* An added token that is not in the model. */
limn_status vocabulary_add_token(Vocabulary *vocabulary, const char *where, const char *text, size_t length,
                                 int64_t id);

int32_t vocabulary_model_id(const Vocabulary *vocabulary, const char *text, size_t length); /* -1: none */
int32_t vocabulary_id(const Vocabulary *vocabulary, const char *text, size_t length);       /* added first; -1: none */
const Piece *vocabulary_piece(const Vocabulary *vocabulary, int32_t id);                    /* NULL: none */
/* How many different pieces the model itself has: the first id behind them, as the reference counts. */
int32_t vocabulary_model_size(const Vocabulary *vocabulary);
/* Does any ordinary piece hold a capital ASCII letter? Uncased vocabularies have none. */
bool vocabulary_is_cased(const Vocabulary *vocabulary);
/* The id of "<0xNN>", -1: none. */
int32_t vocabulary_byte_id(const Vocabulary *vocabulary, unsigned char byte);

#endif
