/* What a tokenizer is made of. Each kind of component is a row of a table in its own file: the name that
 * tokenizer.json gives it, how its settings are read, how it is applied. All states are read-only once parsed. */
#ifndef LIMN_TEXT_COMPONENT_H
#define LIMN_TEXT_COMPONENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_buffer.h"
#include "text/aligned.h"
#include "text/regex.h"
#include "text/trie.h"
#include "text/vocabulary.h"

/* Things to release when a tokenizer is freed. */
typedef struct Owned {
    struct Owned *next;
    void *object;
    void (*release)(void *object);
} Owned;

typedef struct Pool {
    Arena arena;
    Owned *owned;
} Pool;

void pool_init(Pool *pool);
void pool_free(Pool *pool);
/* Zeroed memory that lives as long as the pool. */
limn_status pool_new(void **object, Pool *pool, size_t bytes);
/* Takes the object over, also when it fails. */
limn_status pool_own(Pool *pool, void *object, void (*release)(void *object));

/* What parsing needs. `where` is the file (and the component) that messages begin with. */
typedef struct Loading {
    const char *where;
    Pool *pool;
    Vocabulary *vocabulary;
    int depth; /* of Sequences within Sequences */
} Loading;

enum { LOADING_DEPTH_MAX = 16 };

/* {"piece": id, ...} under "vocab". */
limn_status loading_vocabulary(Loading *loading, const json_t *json);
limn_status loading_regex(Regex **regex, Loading *loading, const json_t *object, const char *key);
/* A table of kinds by name: `name` is that of the first of its `n` rows, which are `row_bytes` long. */
typedef struct KindTable {
    const char *const *name;
    size_t row_bytes;
    size_t n;
} KindTable;

#define KIND_TABLE(rows) ((KindTable){&(rows)[0].name, sizeof(rows)[0], sizeof(rows) / sizeof(rows)[0]})

/* The row that "type" of the component json names; refuses what is not an object with one. LIMN_UNSUPPORTED says which
 * types there are. */
limn_status loading_kind(size_t *row, Loading *loading, const json_t *json, const char *what, KindTable table);
limn_status loading_unknown(const Loading *loading, const char *what, const char *type, KindTable table);

/* What one call of encode works with. */
typedef struct BpeSymbol {
    int32_t id;
    int32_t prev, next; /* -1: none */
    uint32_t begin;
    uint32_t length; /* 0: merged into its left neighbour */
} BpeSymbol;

typedef struct BpeMerge {
    int64_t rank; /* smallest first */
    uint32_t at;  /* then leftmost first */
    int32_t id;
    uint32_t length;
} BpeMerge;

typedef struct UnigramNode {
    double score;
    int32_t id;
    int32_t start; /* -1: not reached */
} UnigramNode;

typedef struct Workspace {
    RegexRun *run;
    AlignedText spare;
    SpanList spare_spans;
    TextBuffer buffer;
    bool continues;     /* the text at work goes on where another ended: nothing is put before it */
    void *memory[2];    /* for models: symbols and merges, or nodes */
    size_t capacity[2]; /* bytes */
} Workspace;

limn_status workspace_memory(void **memory, Workspace *workspace, int which, size_t count, size_t size);

/* Tokens of one piece: ids and byte ranges within it. */
typedef struct RawToken {
    int32_t id;
    uint32_t begin, end;
} RawToken;

typedef struct TokenSink {
    RawToken *tokens;
    size_t count, capacity;
    bool failed;
} TokenSink;

void sink_add(TokenSink *sink, int32_t id, size_t begin, size_t end);

/* ---- normalisers ---- */
typedef struct NormaliserKind {
    const char *name;
    limn_status (*parse)(void **state, Loading *loading, const json_t *json); /* NULL: no settings */
    limn_status (*apply)(const void *state, AlignedText *text, Workspace *workspace);
} NormaliserKind;

typedef struct Normaliser {
    const NormaliserKind *kind; /* NULL: none */
    void *state;
} Normaliser;

limn_status normaliser_parse(Normaliser *normaliser, Loading *loading, const json_t *json);
limn_status normaliser_apply(const Normaliser *normaliser, AlignedText *text, Workspace *workspace);

/* ---- pre-tokenizers ---- */
typedef struct PreTokenizerKind {
    const char *name;
    limn_status (*parse)(void **state, Loading *loading, const json_t *json);
    /* Splits every span and may rewrite the text. */
    limn_status (*apply)(const void *state, AlignedText *text, SpanList *spans, Workspace *workspace);
} PreTokenizerKind;

typedef struct PreTokenizer {
    const PreTokenizerKind *kind; /* NULL: none */
    void *state;
} PreTokenizer;

limn_status pre_tokenizer_parse(PreTokenizer *pre_tokenizer, Loading *loading, const json_t *json);
limn_status pre_tokenizer_apply(const PreTokenizer *pre_tokenizer, AlignedText *text, SpanList *spans,
                                Workspace *workspace);
bool pre_tokenizer_is_byte_level(const PreTokenizer *pre_tokenizer);
bool normaliser_is_byte_level(const Normaliser *normaliser);

/* ---- models ---- */
typedef struct ModelKind {
    const char *name;  /* in tokenizer.json */
    const char *title; /* for people */
    limn_status (*parse)(void **state, Loading *loading, const json_t *json);
    limn_status (*tokenize)(const void *state, const Vocabulary *vocabulary, const char *text, size_t length,
                            Workspace *workspace, TokenSink *sink);
} ModelKind;

typedef struct Model {
    const ModelKind *kind;
    void *state;
} Model;

extern const ModelKind model_bpe, model_sentencepiece_bpe, model_word_piece, model_word_level, model_unigram;

limn_status model_parse(Model *model, Loading *loading, const json_t *json);

/* Models made without a tokenizer.json. Ids of -1: none. */
limn_status model_bpe_new(Model *model, Loading *loading);
/* left and right are spelled out; `rank` orders the merges. */
limn_status model_bpe_add_merge(Model *model, Loading *loading, const char *left, size_t left_length, const char *right,
                                size_t right_length, int64_t rank);
void model_bpe_set(Model *model, bool ignore_merges);
limn_status model_sentencepiece_bpe_new(Model *model, Loading *loading, int32_t unknown);
limn_status model_word_piece_new(Model *model, Loading *loading, const char *unknown, const char *prefix);
/* single: scores are summed in single precision, as SentencePiece does. */
limn_status model_unigram_new(Model *model, Loading *loading, int32_t unknown, bool byte_fallback, bool single);

/* ---- post-processors ---- */
typedef struct TemplateItem {
    int32_t id;       /* -1: a sequence */
    uint8_t sequence; /* 0 or 1 */
    uint8_t type;
} TemplateItem;

typedef struct PostProcessor {
    bool trims;             /* offsets leave out the spaces of byte-level tokens */
    bool trim_prefix_space; /* the first space was added and is nobody's */
    bool has_template;
    bool one_type; /* all token types are 0 */
    TemplateItem *single;
    int32_t n_single;
    TemplateItem *pair;
    int32_t n_pair;
} PostProcessor;

limn_status post_processor_parse(PostProcessor *processor, Loading *loading, const json_t *json);
/* prefix and suffix ids around one text, the same for the second of a pair. */
limn_status post_processor_surround(PostProcessor *processor, Loading *loading, int32_t prefix, int32_t suffix);
/* [CLS] A [SEP] B [SEP]; -1: left out. */
limn_status post_processor_surround_bert(PostProcessor *processor, Loading *loading, int32_t cls, int32_t sep);

/* ---- decoders ---- */
typedef struct DecodePiece {
    const char *text; /* in the arena, or borrowed from the vocabulary */
    size_t length;
    int32_t id; /* -1: no longer one token's */
} DecodePiece;

typedef struct DecodeWork {
    Arena arena;
    DecodePiece *pieces;
    size_t count;
    bool streaming; /* broken bytes at the end may still be made whole: leave them as they are */
    const Vocabulary *vocabulary;
} DecodeWork;

typedef struct DecoderKind {
    const char *name;
    limn_status (*parse)(void **state, Loading *loading, const json_t *json);
    limn_status (*apply)(const void *state, DecodeWork *work);
} DecoderKind;

typedef struct Decoder {
    const DecoderKind *kind; /* NULL: pieces are joined by spaces */
    void *state;
} Decoder;

limn_status decoder_parse(Decoder *decoder, Loading *loading, const json_t *json);
limn_status decoder_apply(const Decoder *decoder, DecodeWork *work);

/* ---- byte-level alphabet (GPT-2): each byte has a printable character ---- */
uint32_t byte_level_char(unsigned char byte);
int byte_level_byte(uint32_t codepoint); /* -1: none */

#endif
