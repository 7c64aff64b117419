/* tokenizer.model: SentencePiece's ModelProto, read by a small reader of protocol buffers. */
#include <inttypes.h>
#include <string.h>

#include "files/json.h"
#include "text/folder.h"
#include "text/parts.h"
#include "text/sentencepiece.h"

/* ---- protocol buffers ---- */

typedef struct Proto {
    const char *path;
    const unsigned char *bytes; /* [length] */
    size_t length, at;
} Proto;

typedef struct Field {
    uint64_t number;
    uint32_t wire;  /* 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes */
    uint64_t value; /* wire 0, 1, 5 */
    Proto message;  /* wire 2 */
} Field;

static limn_status broken(const Proto *proto, const char *what) {
    return fail(LIMN_FORMAT, "%s: not a SentencePiece model: %s at byte %zu of %zu", proto->path, what, proto->at,
                proto->length);
}

static limn_status read_varint(uint64_t *value, Proto *proto) {
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (proto->at >= proto->length) {
            return broken(proto, "a number is cut short");
        }
        unsigned char byte = proto->bytes[proto->at++];
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            return LIMN_OK;
        }
    }
    return broken(proto, "a number is longer than 64 bits");
}

static limn_status read_fixed(uint64_t *value, Proto *proto, size_t size) {
    if (proto->length - proto->at < size) {
        return broken(proto, "a number is cut short");
    }
    *value = 0;
    for (size_t i = size; i-- > 0;) {
        *value = *value << 8 | proto->bytes[proto->at + i];
    }
    proto->at += size;
    return LIMN_OK;
}

static limn_status read_field(Field *field, Proto *proto) {
    uint64_t tag, length;
    TRY(read_varint(&tag, proto));
    field->number = tag >> 3;
    field->wire = (uint32_t)(tag & 7);
    switch (field->wire) {
    case 0:
        return read_varint(&field->value, proto);
    case 1:
        return read_fixed(&field->value, proto, 8);
    case 5:
        return read_fixed(&field->value, proto, 4);
    case 2:
        TRY(read_varint(&length, proto));
        if (length > proto->length - proto->at) {
            return broken(proto, "a field is longer than the file");
        }
        field->message = (Proto){proto->path, proto->bytes + proto->at, (size_t)length, 0};
        proto->at += (size_t)length;
        return LIMN_OK;
    default:
        return broken(proto, "a field of unknown wire type");
    }
}

static bool has_more(const Proto *proto) {
    return proto->at < proto->length;
}

/* ---- the model ---- */

enum { FIELD_PIECES = 1, FIELD_TRAINER = 2, FIELD_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum {
    TRAINER_MODEL_TYPE = 3,
    TRAINER_WHITESPACE_SUFFIX = 24,
    TRAINER_BYTE_FALLBACK = 35,
    TRAINER_UNK_ID = 40,
    TRAINER_BOS_ID = 41,
    TRAINER_EOS_ID = 42,
    TRAINER_PAD_ID = 43
};
enum { NORMALIZER_MAP = 2, NORMALIZER_DUMMY_PREFIX = 3, NORMALIZER_EXTRA_SPACES = 4, NORMALIZER_ESCAPE = 5 };
enum { MODEL_UNIGRAM = 1, MODEL_BPE = 2 };

typedef struct ModelFile {
    uint64_t model_type;
    bool byte_fallback;
    int32_t unknown, bos, eos, pad;
    Proto map;
    SentencePieceRules rules;
} ModelFile;

static limn_status read_piece(Tokenizer *tokenizer, Proto *proto, int32_t id) {
    const unsigned char *text = (const unsigned char *)"";
    size_t length = 0;
    float score = 0;
    uint64_t type = PIECE_NORMAL;
    while (has_more(proto)) {
        Field field;
        TRY(read_field(&field, proto));
        if (field.number == PIECE_TEXT && field.wire == 2) {
            text = field.message.bytes;
            length = field.message.length;
        } else if (field.number == PIECE_SCORE && field.wire == 5) {
            uint32_t bits = (uint32_t)field.value;
            memcpy(&score, &bits, sizeof score);
        } else if (field.number == PIECE_TYPE && field.wire == 0) {
            type = field.value;
        }
    }
    if (length == 0 || type < PIECE_NORMAL || type > PIECE_BYTE || score != score) {
        return fail(LIMN_FORMAT, "%s: piece %d is empty or of an unknown type", proto->path, (int)id);
    }
    return vocabulary_add(&tokenizer->vocabulary, proto->path, (const char *)text, length, id, (PieceType)type,
                          (double)score);
}

static limn_status read_trainer(ModelFile *file, Proto *proto) {
    while (has_more(proto)) {
        Field field;
        TRY(read_field(&field, proto));
        if (field.wire != 0) {
            continue;
        }
        int32_t id = field.value <= INT32_MAX ? (int32_t)field.value : -1; /* -1 is written as 64 ones */
        switch (field.number) {
        case TRAINER_MODEL_TYPE:
            file->model_type = field.value;
            break;
        case TRAINER_WHITESPACE_SUFFIX:
            file->rules.suffix_whitespace = field.value != 0;
            break;
        case TRAINER_BYTE_FALLBACK:
            file->byte_fallback = field.value != 0;
            break;
        case TRAINER_UNK_ID:
            file->unknown = id;
            break;
        case TRAINER_BOS_ID:
            file->bos = id;
            break;
        case TRAINER_EOS_ID:
            file->eos = id;
            break;
        case TRAINER_PAD_ID:
            file->pad = id;
            break;
        default:
            break;
        }
    }
    return LIMN_OK;
}

static limn_status read_normalizer(ModelFile *file, Proto *proto) {
    while (has_more(proto)) {
        Field field;
        TRY(read_field(&field, proto));
        if (field.number == NORMALIZER_MAP && field.wire == 2) {
            file->map = field.message;
        } else if (field.wire == 0 && field.number == NORMALIZER_DUMMY_PREFIX) {
            file->rules.add_dummy_prefix = field.value != 0;
        } else if (field.wire == 0 && field.number == NORMALIZER_EXTRA_SPACES) {
            file->rules.remove_extra_whitespaces = field.value != 0;
        } else if (field.wire == 0 && field.number == NORMALIZER_ESCAPE) {
            file->rules.escape_whitespaces = field.value != 0;
        }
    }
    return LIMN_OK;
}

static limn_status read_model(Tokenizer *tokenizer, ModelFile *file, const char *path, const char *bytes,
                              size_t length) {
    Proto proto = {path, (const unsigned char *)bytes, length, 0};
    /* a piece takes at least four bytes */
    size_t most = length / 4 < VOCABULARY_COUNT_MAX ? length / 4 : VOCABULARY_COUNT_MAX;
    TRY(vocabulary_expect(&tokenizer->vocabulary, path, most < 65536 ? most : 65536));
    tokenizer->vocabulary.id_limit = VOCABULARY_COUNT_MAX;
    int32_t pieces = 0;
    while (has_more(&proto)) {
        Field field;
        TRY(read_field(&field, &proto));
        if (field.wire != 2) {
            continue;
        }
        if (field.number == FIELD_PIECES) {
            TRY(read_piece(tokenizer, &field.message, pieces));
            pieces++;
        } else if (field.number == FIELD_TRAINER) {
            TRY(read_trainer(file, &field.message));
        } else if (field.number == FIELD_NORMALIZER) {
            TRY(read_normalizer(file, &field.message));
        }
    }
    return LIMN_OK;
}

static limn_status keep_user_defined(const Trie **kept, Loading *loading);

/* How LlamaTokenizer cuts text in the place of SentencePiece's own rules: nothing is normalised, and the space goes
 * before the whole text only, or nowhere. */
static limn_status set_metaspace(Tokenizer *tokenizer, Loading *loading, bool prefix) {
    json_t *space = json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", SPACE_SYMBOL,
                              "prepend_scheme", prefix ? "first" : "never", "split", 0);
    json_t *decoder =
        json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}, {s:s, s:s, s:i, s:i}]}", "type", "Sequence", "decoders",
                  "type", "Replace", "pattern", "String", SPACE_SYMBOL, "content", " ", "type", "ByteFallback", "type",
                  "Fuse", "type", "Strip", "content", " ", "start", prefix ? 1 : 0, "stop", 0);
    limn_status status = space != NULL && decoder != NULL
                             ? pre_tokenizer_parse(&tokenizer->pre_tokenizer, loading, space)
                             : fail(LIMN_NO_MEMORY, "%s: reading the tokenizer", loading->where);
    if (status == LIMN_OK) {
        status = decoder_parse(&tokenizer->decoder, loading, decoder);
    }
    json_decref(space);
    json_decref(decoder);
    return status;
}

/* What tokenizer_config.json says of the space before a text; false: nothing, and SentencePiece's own rules hold. */
static limn_status llama_space(bool *says, bool *prefix, const TokenizerFolder *folder) {
    bool legacy, legacy_said, prefix_said;
    *says = *prefix = false;
    if (folder == NULL || folder_has_rule(folder, CLASS_GEMMA)) {
        return LIMN_OK;
    }
    TRY(folder_flag(&legacy, &legacy_said, folder, "legacy"));
    TRY(folder_flag(prefix, &prefix_said, folder, "add_prefix_space"));
    *prefix = *prefix || !prefix_said;
    *says = !*prefix || (legacy_said && !legacy);
    return LIMN_OK;
}

static limn_status set_rules(Tokenizer *tokenizer, ModelFile *file, Loading *loading) {
    void *memory;
    TRY(pool_new(&memory, loading->pool, sizeof(SentencePieceRules)));
    SentencePieceRules *rules = memory;
    *rules = file->rules;
    if (file->map.length > 0) {
        Charsmap *map;
        TRY(charsmap_read(&map, loading, (const char *)file->map.bytes, file->map.length));
        rules->map = map;
    }
    TRY(keep_user_defined(&rules->user_defined, loading));
    tokenizer->normaliser = (Normaliser){&normaliser_sentencepiece, rules};
    tokenizer->decoder = (Decoder){&decoder_sentencepiece, rules};
    return LIMN_OK;
}

static void release_trie(void *object) {
    trie_free(object);
}

static limn_status keep_user_defined(const Trie **kept, Loading *loading) {
    void *memory;
    TRY(pool_new(&memory, loading->pool, sizeof(Trie)));
    Trie *trie = memory;
    trie_init(trie);
    TRY(pool_own(loading->pool, trie, release_trie));
    for (int32_t id = 0; id < loading->vocabulary->size; id++) {
        const Piece *piece = vocabulary_piece(loading->vocabulary, id);
        if (piece != NULL && piece->type == PIECE_USER_DEFINED) {
            TRY(trie_add(trie, piece->text, piece->length, id, true));
        }
    }
    *kept = trie;
    return LIMN_OK;
}

/* The ids that the trainer names, when such pieces exist. The unknown piece is the one of that type; unknown: it is
 * looked for in text (a class looks for what it is told is unknown). */
static limn_status set_specials(Tokenizer *tokenizer, const ModelFile *file, bool unknown) {
    const Vocabulary *vocabulary = &tokenizer->vocabulary;
    const int32_t named[] = {file->bos, file->eos, file->pad};
    const SpecialToken which[] = {SPECIAL_BOS, SPECIAL_EOS, SPECIAL_PAD};
    for (size_t i = 0; i < 3; i++) {
        if (vocabulary_piece(vocabulary, named[i]) != NULL && vocabulary->pieces[named[i]].type == PIECE_CONTROL) {
            tokenizer->special[which[i]] = named[i];
        }
    }
    for (int32_t id = 0; id < vocabulary->size; id++) {
        uint8_t type = vocabulary->pieces[id].type;
        if (type == PIECE_UNKNOWN) {
            tokenizer->special[SPECIAL_UNK] = id;
        }
        if ((type == PIECE_UNKNOWN && unknown) || type == PIECE_CONTROL) {
            TRY(tokenizer_add_special(tokenizer, id));
        }
    }
    return LIMN_OK;
}

/* Pieces that stay whole, looked for before the text is cut. */
static limn_status add_user_defined(Tokenizer *tokenizer) {
    for (int32_t id = 0; id < tokenizer->vocabulary.size; id++) {
        if (tokenizer->vocabulary.pieces[id].type == PIECE_USER_DEFINED) {
            TRY(added_tokens_add(&tokenizer->added, &tokenizer->vocabulary, (AddedToken){.id = id}));
        }
    }
    return LIMN_OK;
}

/* Without a config: Llama's way for BPE (BOS first), T5's for unigram without BOS (EOS last). */
/* Where the versions of the reference take different things for granted. */
static limn_status warn_of_silence(Tokenizer *tokenizer, const TokenizerFolder *folder) {
    static const char *const keys[][2] = {{"legacy", "a space before each stretch of text between special tokens"},
                                          {"add_bos_token", "<s> before the text"}};
    for (size_t i = 0; i < 2 && folder != NULL && folder_has_rule(folder, CLASS_LLAMA); i++) {
        const json_t *value = json_object_get(folder->settings, keys[i][0]);
        if (value == NULL || json_is_null(value)) {
            TRY(tokenizer_warn(
                tokenizer,
                "%s: \"%s\" is not stated: taken as true, as transformers 4 does (%s); version 5 takes it "
                "as false",
                folder->where, keys[i][0], keys[i][1]));
        }
    }
    return LIMN_OK;
}

limn_status end_sentencepiece(Tokenizer *tokenizer, const char *path, const TokenizerFolder *folder) {
    Loading loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    TRY(warn_of_silence(tokenizer, folder));
    bool unigram = tokenizer->model.kind == &model_unigram;
    int32_t bos = tokenizer->special[SPECIAL_BOS], eos = tokenizer->special[SPECIAL_EOS];
    const json_t *settings = folder != NULL ? folder->settings : NULL;
    bool adds_bos, adds_eos;
    TRY(json_take_bool(&adds_bos, settings, path, "add_bos_token", !unigram));
    TRY(json_take_bool(&adds_eos, settings, path, "add_eos_token", unigram && bos < 0));
    return post_processor_surround(&tokenizer->post_processor, &loading, adds_bos ? bos : -1, adds_eos ? eos : -1);
}

limn_status load_sentencepiece(Tokenizer *tokenizer, const char *path, const char *bytes, size_t length,
                               const TokenizerFolder *folder) {
    ModelFile file = {.model_type = MODEL_UNIGRAM, .unknown = 0, .bos = 1, .eos = 2, .pad = -1};
    file.rules =
        (SentencePieceRules){.add_dummy_prefix = true, .remove_extra_whitespaces = true, .escape_whitespaces = true};
    TRY(read_model(tokenizer, &file, path, bytes, length));
    Loading loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    bool named = folder != NULL && (folder_has_rule(folder, CLASS_LLAMA) || folder_has_rule(folder, CLASS_GEMMA) ||
                                    json_object_get(folder->settings, "unk_token") != NULL);
    TRY(set_specials(tokenizer, &file, !named));
    int32_t unknown = tokenizer->special[SPECIAL_UNK];
    if (file.model_type == MODEL_BPE) {
        TRY(model_sentencepiece_bpe_new(&tokenizer->model, &loading, unknown));
    } else if (file.model_type == MODEL_UNIGRAM) {
        TRY(model_unigram_new(&tokenizer->model, &loading, unknown, file.byte_fallback, true));
    } else {
        return fail(LIMN_UNSUPPORTED, "%s: a SentencePiece model of type %" PRIu64 ", expected unigram (1) or BPE (2)",
                    path, file.model_type);
    }
    bool says, prefix;
    TRY(llama_space(&says, &prefix, folder));
    if (says && file.model_type == MODEL_BPE) {
        TRY(add_user_defined(tokenizer));
        return set_metaspace(tokenizer, &loading, prefix);
    }
    return set_rules(tokenizer, &file, &loading);
}
