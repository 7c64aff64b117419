/* Tokenizers from GGUF metadata (tokenizer.ggml.*). The file names the split rule of byte-level models instead of
 * stating it: split_rules.c. */
#include <stdio.h>
#include <string.h>

#include "files/json.h"
#include "text/parts.h"
#include "text/sentencepiece.h"
#include "text/split_rules.h"

#define KEY(name) "tokenizer.ggml." name

/* ---- the vocabulary ---- */

static limn_status read_piece(const char **text, size_t *length, const Gguf *gguf, int64_t id) {
    if (!gguf_array_string(gguf, KEY("tokens"), id, text, length)) {
        return fail(LIMN_FORMAT, "%s: tokenizer.ggml.tokens: element %lld is not a text", gguf_path(gguf),
                    (long long)id);
    }
    return LIMN_OK;
}

static limn_status need_length(const Gguf *gguf, const char *key, int64_t count, bool *present) {
    int64_t found;
    *present = gguf_get_array(gguf, key, &found);
    if (*present && found != count) {
        return fail(LIMN_FORMAT, "%s: %s has %lld elements, expected %lld as tokenizer.ggml.tokens", gguf_path(gguf),
                    key, (long long)found, (long long)count);
    }
    return LIMN_OK;
}

/* How a piece is spelled in the model from how the file spells it; in the arena of `buffer`. */
typedef void (*Respell)(TextBuffer *buffer, const char *text, size_t length, int64_t type);

static limn_status load_pieces(Tokenizer *tokenizer, const Gguf *gguf, Respell respell) {
    const char *where = gguf_path(gguf);
    int64_t count;
    if (!gguf_get_array(gguf, KEY("tokens"), &count)) {
        return fail(LIMN_NOT_FOUND, "%s: tokenizer.ggml.tokens is missing", where);
    }
    bool has_types, has_scores;
    TRY(need_length(gguf, KEY("token_type"), count, &has_types));
    TRY(need_length(gguf, KEY("scores"), count, &has_scores));
    TRY(vocabulary_expect(&tokenizer->vocabulary, where, (size_t)count));
    TextBuffer buffer = TEXT_BUFFER_INIT;
    limn_status status = LIMN_OK;
    for (int64_t id = 0; id < count && status == LIMN_OK; id++) {
        const char *text;
        size_t length;
        int64_t type = PIECE_NORMAL;
        double score = 0;
        TRY_GOTO(status, done, read_piece(&text, &length, gguf, id));
        if (has_types) {
            gguf_array_integer(gguf, KEY("token_type"), id, &type);
        }
        if (has_scores) {
            gguf_array_real(gguf, KEY("scores"), id, &score);
        }
        if (type < PIECE_NORMAL || type > PIECE_BYTE) {
            status = fail(LIMN_FORMAT, "%s: tokenizer.ggml.token_type: element %lld is %lld, expected 1 to 6", where,
                          (long long)id, (long long)type);
            goto done;
        }
        text_buffer_clear(&buffer);
        text_buffer_add(&buffer, "");
        respell(&buffer, text, length, type);
        TRY_GOTO(status, done, text_buffer_status(&buffer));
        status = vocabulary_add(&tokenizer->vocabulary, where, buffer.data, buffer.length, id, (PieceType)type, score);
    }
done:
    text_buffer_free(&buffer);
    return status;
}

static void spell_as_is(TextBuffer *buffer, const char *text, size_t length, int64_t type) {
    (void)type;
    text_buffer_add_bytes(buffer, text, length);
}

/* BERT vocabularies are stored with a mark before words instead of "##" before what continues them. */
static void spell_word_piece(TextBuffer *buffer, const char *text, size_t length, int64_t type) {
    const size_t space = strlen(SPACE_SYMBOL);
    if (length >= space && memcmp(text, SPACE_SYMBOL, space) == 0) {
        text += space;
        length -= space;
    } else if (type == PIECE_NORMAL && !(length > 2 && text[0] == '[' && text[length - 1] == ']')) {
        text_buffer_add(buffer, "##");
    }
    text_buffer_add_bytes(buffer, text, length);
}

/* Control and user-defined pieces are looked for in the text. */
static limn_status add_tokens(Tokenizer *tokenizer) {
    for (int32_t id = 0; id < tokenizer->vocabulary.size; id++) {
        uint8_t type = tokenizer->vocabulary.pieces[id].type;
        if (type == PIECE_CONTROL || type == PIECE_UNKNOWN) {
            TRY(added_tokens_add(&tokenizer->added, &tokenizer->vocabulary, (AddedToken){.id = id, .special = true}));
        } else if (type == PIECE_USER_DEFINED) {
            TRY(added_tokens_add(&tokenizer->added, &tokenizer->vocabulary, (AddedToken){.id = id}));
        }
    }
    return LIMN_OK;
}

static const char *const special_keys[SPECIAL_COUNT] = {
    [SPECIAL_BOS] = KEY("bos_token_id"),     [SPECIAL_EOS] = KEY("eos_token_id"),
    [SPECIAL_UNK] = KEY("unknown_token_id"), [SPECIAL_PAD] = KEY("padding_token_id"),
    [SPECIAL_MASK] = KEY("mask_token_id"),   [SPECIAL_SEP] = KEY("seperator_token_id"), /* spelled so in files */
    [SPECIAL_CLS] = KEY("cls_token_id"),     [SPECIAL_EOT] = KEY("eot_token_id"),
    [SPECIAL_EOM] = KEY("eom_token_id"),
};

/* Files made before there was a key for the end of a turn tell it by its spelling alone. */
static void find_turn_end(Tokenizer *tokenizer) {
    static const char *const spellings[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"};
    const Vocabulary *vocabulary = &tokenizer->vocabulary;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings && tokenizer->special[SPECIAL_EOT] < 0; i++) {
        int32_t id = vocabulary_id(vocabulary, spellings[i], strlen(spellings[i]));
        if (id >= 0 && vocabulary->pieces[id].type == PIECE_CONTROL && id != tokenizer->special[SPECIAL_EOS]) {
            tokenizer->special[SPECIAL_EOT] = id;
        }
    }
}

static limn_status load_special_ids(Tokenizer *tokenizer, const Gguf *gguf) {
    for (int which = 0; which < SPECIAL_COUNT; which++) {
        int64_t id;
        if (!gguf_get_integer(gguf, special_keys[which], &id)) {
            continue;
        }
        if (id < 0 || id >= tokenizer->vocabulary.size) {
            return fail(LIMN_FORMAT, "%s: %s is %lld, expected 0 to %d", gguf_path(gguf), special_keys[which],
                        (long long)id, (int)tokenizer->vocabulary.size - 1);
        }
        tokenizer->special[which] = (int32_t)id;
    }
    find_turn_end(tokenizer);
    return LIMN_OK;
}

/* tokenizer.ggml.add_bos_token and add_eos_token. */
static limn_status set_ends(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf, bool adds_bos, bool adds_eos,
                            int32_t bos, int32_t eos) {
    gguf_get_bool(gguf, KEY("add_bos_token"), &adds_bos);
    gguf_get_bool(gguf, KEY("add_eos_token"), &adds_eos);
    return post_processor_surround(&tokenizer->post_processor, loading, adds_bos ? bos : -1, adds_eos ? eos : -1);
}

/* ---- kinds of model ---- */

static limn_status load_merges(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf) {
    int64_t count;
    if (!gguf_get_array(gguf, KEY("merges"), &count)) {
        return fail(LIMN_NOT_FOUND, "%s: tokenizer.ggml.merges is missing", loading->where);
    }
    if (count >= INT32_MAX) {
        return fail(LIMN_FORMAT, "%s: tokenizer.ggml.merges has %lld elements", loading->where, (long long)count);
    }
    for (int64_t i = 0; i < count; i++) {
        const char *text, *space = NULL;
        size_t length;
        if (gguf_array_string(gguf, KEY("merges"), i, &text, &length) && length > 1) {
            space = memchr(text + 1, ' ', length - 1);
        }
        if (space == NULL) {
            return fail(LIMN_FORMAT, "%s: tokenizer.ggml.merges: element %lld is not two pieces with a space between",
                        loading->where, (long long)i);
        }
        size_t left = (size_t)(space - text);
        TRY(model_bpe_add_merge(&tokenizer->model, loading, text, left, space + 1, length - left - 1, i));
    }
    return LIMN_OK;
}

static limn_status parse_and_free(limn_status (*parse)(Tokenizer *tokenizer, Loading *loading, const json_t *json),
                                  Tokenizer *tokenizer, Loading *loading, json_t *json) {
    if (json == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: reading the tokenizer", loading->where);
    }
    limn_status status = parse(tokenizer, loading, json);
    json_decref(json);
    return status;
}

static limn_status set_pre_tokenizer(Tokenizer *tokenizer, Loading *loading, const json_t *json) {
    return pre_tokenizer_parse(&tokenizer->pre_tokenizer, loading, json);
}

static limn_status set_normaliser(Tokenizer *tokenizer, Loading *loading, const json_t *json) {
    return normaliser_parse(&tokenizer->normaliser, loading, json);
}

static limn_status set_decoder(Tokenizer *tokenizer, Loading *loading, const json_t *json) {
    return decoder_parse(&tokenizer->decoder, loading, json);
}

static limn_status load_byte_level(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf) {
    const SplitRule *rule;
    const char *name = "default";
    size_t length = strlen(name);
    gguf_get_string(gguf, KEY("pre"), &name, &length);
    TRY(split_rule_find(&rule, loading->where, name, length));
    TRY(load_pieces(tokenizer, gguf, spell_as_is));
    TRY(model_bpe_new(&tokenizer->model, loading));
    model_bpe_set(&tokenizer->model, (rule->flags & IGNORES_MERGES) != 0);
    TRY(load_merges(tokenizer, loading, gguf));
    if ((rule->flags & COMPOSES) != 0) {
        TRY(parse_and_free(set_normaliser, tokenizer, loading, json_pack("{s:s}", "type", "NFC")));
    }
    TRY(parse_and_free(set_pre_tokenizer, tokenizer, loading, split_rule_json(rule)));
    TRY(parse_and_free(set_decoder, tokenizer, loading, json_pack("{s:s}", "type", "ByteLevel")));
    TRY(load_special_ids(tokenizer, gguf));
    TRY(add_tokens(tokenizer));
    return set_ends(tokenizer, loading, gguf, (rule->flags & ADDS_BOS) != 0, false, tokenizer->special[SPECIAL_BOS],
                    tokenizer->special[SPECIAL_EOS]);
}

static limn_status load_word_piece(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf) {
    TRY(load_pieces(tokenizer, gguf, spell_word_piece));
    TRY(model_word_piece_new(&tokenizer->model, loading, "[UNK]", "##"));
    bool cased = vocabulary_is_cased(&tokenizer->vocabulary);
    TRY(parse_and_free(set_normaliser, tokenizer, loading,
                       json_pack("{s:s, s:b}", "type", "BertNormalizer", "lowercase", !cased)));
    TRY(parse_and_free(set_pre_tokenizer, tokenizer, loading, json_pack("{s:s}", "type", "BertPreTokenizer")));
    TRY(parse_and_free(set_decoder, tokenizer, loading, json_pack("{s:s}", "type", "WordPiece")));
    TRY(load_special_ids(tokenizer, gguf));
    TRY(add_tokens(tokenizer));
    return post_processor_surround_bert(&tokenizer->post_processor, loading, tokenizer->special[SPECIAL_CLS],
                                        tokenizer->special[SPECIAL_SEP]);
}

static limn_status load_precompiled(const Charsmap **map, Loading *loading, const Gguf *gguf) {
    int64_t count;
    *map = NULL;
    if (!gguf_get_array(gguf, KEY("precompiled_charsmap"), &count) || count == 0) {
        return LIMN_OK;
    }
    TextBuffer bytes = TEXT_BUFFER_INIT;
    for (int64_t i = 0; i < count; i++) {
        int64_t byte;
        if (!gguf_array_integer(gguf, KEY("precompiled_charsmap"), i, &byte)) {
            text_buffer_free(&bytes);
            return fail(LIMN_FORMAT, "%s: tokenizer.ggml.precompiled_charsmap is not bytes", loading->where);
        }
        text_buffer_add_char(&bytes, (char)byte);
    }
    Charsmap *made = NULL;
    limn_status status = text_buffer_status(&bytes);
    if (status == LIMN_OK) {
        status = charsmap_read(&made, loading, bytes.data, bytes.length);
    }
    text_buffer_free(&bytes);
    *map = made;
    return status;
}

static limn_status set_rules(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf, bool removes_spaces) {
    void *memory;
    TRY(pool_new(&memory, loading->pool, sizeof(SentencePieceRules)));
    SentencePieceRules *rules = memory;
    rules->add_dummy_prefix = true;
    rules->escape_whitespaces = true;
    rules->remove_extra_whitespaces = removes_spaces;
    gguf_get_bool(gguf, KEY("add_space_prefix"), &rules->add_dummy_prefix);
    gguf_get_bool(gguf, KEY("remove_extra_whitespaces"), &rules->remove_extra_whitespaces);
    TRY(load_precompiled(&rules->map, loading, gguf));
    tokenizer->normaliser = (Normaliser){&normaliser_sentencepiece, rules};
    tokenizer->decoder = (Decoder){&decoder_sentencepiece, rules};
    return LIMN_OK;
}

static bool text_equals(const Gguf *gguf, const char *key, const char *expected) {
    const char *text;
    size_t length;
    return gguf_get_string(gguf, key, &text, &length) && length == strlen(expected) &&
           memcmp(text, expected, length) == 0;
}

/* Phi-3's added tokens swallow the white space after them, which GGUF has no word for. */
static void strip_after_phi3_tokens(Tokenizer *tokenizer) {
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    for (size_t i = 0; i < tokenizer->added.count; i++) {
        AddedToken *token = &tokenizer->added.tokens[i];
        token->right_strip = true;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++) {
            if (vocabulary_id(&tokenizer->vocabulary, others[k], strlen(others[k])) == token->id) {
                token->right_strip = false;
            }
        }
    }
}

static limn_status load_llama(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf) {
    TRY(load_pieces(tokenizer, gguf, spell_as_is));
    TRY(load_special_ids(tokenizer, gguf));
    TRY(model_sentencepiece_bpe_new(&tokenizer->model, loading, tokenizer->special[SPECIAL_UNK]));
    TRY(set_rules(tokenizer, loading, gguf, false));
    TRY(add_tokens(tokenizer));
    if (text_equals(gguf, "general.architecture", "phi3")) {
        strip_after_phi3_tokens(tokenizer);
    }
    return set_ends(tokenizer, loading, gguf, true, false, tokenizer->special[SPECIAL_BOS],
                    tokenizer->special[SPECIAL_EOS]);
}

static limn_status load_unigram(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf) {
    TRY(load_pieces(tokenizer, gguf, spell_as_is));
    TRY(load_special_ids(tokenizer, gguf));
    bool bytes = vocabulary_byte_id(&tokenizer->vocabulary, 0) >= 0;
    TRY(model_unigram_new(&tokenizer->model, loading, tokenizer->special[SPECIAL_UNK], bytes, true));
    TRY(set_rules(tokenizer, loading, gguf, true));
    TRY(add_tokens(tokenizer));
    return set_ends(tokenizer, loading, gguf, false, true, tokenizer->special[SPECIAL_BOS],
                    tokenizer->special[SPECIAL_EOS]);
}

static const struct GgufKind {
    const char *name; /* tokenizer.ggml.model */
    limn_status (*load)(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf);
} kinds[] = {
    {"bert", load_word_piece},
    {"gpt2", load_byte_level},
    {"llama", load_llama},
    {"t5", load_unigram},
};

/* tokenizer.chat_templates lists the names of tokenizer.chat_template.NAME. */
static limn_status load_named_templates(Tokenizer *tokenizer, const Gguf *gguf) {
    int64_t n = 0;
    if (!gguf_get_array(gguf, "tokenizer.chat_templates", &n)) {
        return LIMN_OK;
    }
    for (int64_t i = 0; i < n; i++) {
        const char *name, *text;
        size_t name_length, length;
        char key[128];
        if (!gguf_array_string(gguf, "tokenizer.chat_templates", i, &name, &name_length) || name_length > 80) {
            continue;
        }
        snprintf(key, sizeof key, "tokenizer.chat_template.%.*s", (int)name_length, name);
        if (gguf_get_string(gguf, key, &text, &length)) {
            TRY(tokenizer_keep_template(tokenizer, name, name_length, text, length, false));
        }
    }
    return LIMN_OK;
}

limn_status load_gguf(Tokenizer *tokenizer, const Gguf *gguf) {
    Loading loading = {gguf_path(gguf), &tokenizer->pool, &tokenizer->vocabulary, 0};
    const char *name, *template;
    size_t length;
    if (!gguf_get_string(gguf, KEY("model"), &name, &length)) {
        return fail(LIMN_NOT_FOUND, "%s: tokenizer.ggml.model is missing: the file has no tokenizer", loading.where);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0) {
            TRY(kinds[i].load(tokenizer, &loading, gguf));
            if (gguf_get_string(gguf, "tokenizer.chat_template", &template, &length)) {
                TRY(tokenizer_keep_template(tokenizer, "default", 7, template, length, true));
            }
            TRY(load_named_templates(tokenizer, gguf));
            return tokenizer_finish(tokenizer, loading.where);
        }
    }
    return fail(LIMN_UNSUPPORTED, "%s: tokenizer.ggml.model '%.*s' is not implemented", loading.where,
                (int)(length < 80 ? length : 80), name);
}
