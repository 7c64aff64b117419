/* Tokenizers from GGUF metadata (tokenizer.ggml.*). The file names the split rule of byte-level models instead of
 * stating it; each rule is a row here. */
#include <string.h>

#include "files/json.h"
#include "text/parts.h"
#include "text/sentencepiece.h"

#define KEY(name) "tokenizer.ggml." name

/* ---- split rules ---- */

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3                                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"           \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2                                                                                                          \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"  \
    "\\s+(?!\\S)|\\s+"
#define CJK_OR_KOREAN "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
/* The cased letters that DeepSeek's file lists one by one (those of Unicode 11). */
#define DEEPSEEK_LETTERS                                                                                               \
    "\\s?[\\x{41}-\\x{5a}\\x{61}-\\x{7a}\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}"        \
    "\\x{1c4}-\\x{293}\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"             \
    "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{52f}"                    \
    "\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}\\x{1c90}-\\x{1cba}"                    \
    "\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}"                  \
    "\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}"          \
    "\\x{1f5f}-\\x{1f7d}\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}"         \
    "\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}\\x{1ff6}-\\x{1ffc}\\x{2102}"         \
    "\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}"           \
    "\\x{212f}-\\x{2134}\\x{2139}\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}"                    \
    "\\x{2c00}-\\x{2c7b}\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}"                   \
    "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}\\x{ab70}-\\x{abbf}"                  \
    "\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}"                \
    "\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}"        \
    "\\x{1e900}-\\x{1e943}]+"

typedef struct SplitRule {
    const char *name;        /* tokenizer.ggml.pre */
    const char *patterns[6]; /* applied one after the other, matches set apart */
    bool ignore_merges;
    bool adds_bos; /* when the file does not say */
    bool composes; /* NFC first: not in the file, but in the tokenizer of the model that the rule is named after */
} SplitRule;

static const SplitRule split_rules[] = {
    {"gpt-2", {GPT2}, false, false, false},
    {"phi-2", {GPT2}, false, false, false},
    {"mpt", {GPT2}, false, false, true},
    {"olmo", {GPT2}, false, false, true},
    {"jais", {GPT2}, false, false, false},
    {"roberta-bpe", {GPT2}, false, false, false},
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, false, false, false},
    {"falcon", {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"}, false, false, false},
    {"starcoder", {"\\p{N}", GPT2}, false, false, false},
    {"refact", {"\\p{N}", GPT2}, false, false, false},
    {"command-r", {"\\p{N}", GPT2}, false, false, true},
    {"smollm", {"\\p{N}", GPT2}, false, false, false},
    {"codeshell", {"\\p{N}", GPT2}, false, false, false},
    {"exaone", {"\\p{N}", GPT2}, false, false, false},
    {"llama-bpe", {LLAMA3}, true, true, false},
    {"llama3", {LLAMA3}, true, true, false},
    {"llama-v3", {LLAMA3}, true, true, false},
    {"dbrx", {LLAMA3}, false, false, false},
    {"smaug-bpe", {LLAMA3}, false, false, false},
    {"qwen2", {QWEN2}, false, false, true},
    {"deepseek-r1-qwen", {QWEN2}, false, false, false},
    {"stablelm2", {QWEN2}, false, false, false},
    {"deepseek-coder", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_OR_KOREAN, "\\p{N}"}, false, false, false},
    {"deepseek-llm",
     {"[\\r\\n]", DEEPSEEK_LETTERS,
      "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+", "\\s+$",
      CJK_OR_KOREAN, "\\p{N}+"},
     false,
     false,
     false},
};

static limn_status find_rule(const SplitRule **rule, const Gguf *gguf) {
    const char *name = "default";
    size_t length = strlen(name);
    gguf_get_string(gguf, KEY("pre"), &name, &length);
    for (size_t i = 0; i < sizeof split_rules / sizeof *split_rules; i++) {
        if (strlen(split_rules[i].name) == length && memcmp(split_rules[i].name, name, length) == 0) {
            *rule = &split_rules[i];
            return LIMN_OK;
        }
    }
    return fail(LIMN_UNSUPPORTED, "%s: tokenizer.ggml.pre names the split rule '%.*s', which is not implemented",
                gguf_path(gguf), (int)(length < 80 ? length : 80), name);
}

/* The rule as tokenizer.json would state it. */
static json_t *rule_json(const SplitRule *rule) {
    json_t *list = json_array();
    int wrong = 0; /* memory ran out */
    for (size_t i = 0; i < 6 && rule->patterns[i] != NULL; i++) {
        wrong |= json_array_append_new(list, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex",
                                                       rule->patterns[i], "behavior", "Isolated", "invert", 0));
    }
    wrong |= json_array_append_new(
        list, json_pack("{s:s, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 0, "use_regex", 0));
    if (wrong != 0) {
        json_decref(list);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", list);
}

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
            TRY(added_tokens_add(&tokenizer->added, (AddedToken){.id = id, .special = true}));
        } else if (type == PIECE_USER_DEFINED) {
            TRY(added_tokens_add(&tokenizer->added, (AddedToken){.id = id}));
        }
    }
    return LIMN_OK;
}

static const char *const special_keys[SPECIAL_COUNT] = {
    [SPECIAL_BOS] = KEY("bos_token_id"),     [SPECIAL_EOS] = KEY("eos_token_id"),
    [SPECIAL_UNK] = KEY("unknown_token_id"), [SPECIAL_PAD] = KEY("padding_token_id"),
    [SPECIAL_MASK] = KEY("mask_token_id"),   [SPECIAL_SEP] = KEY("seperator_token_id"), /* spelled so in files */
    [SPECIAL_CLS] = KEY("cls_token_id"),
};

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
    TRY(find_rule(&rule, gguf));
    TRY(load_pieces(tokenizer, gguf, spell_as_is));
    TRY(model_bpe_new(&tokenizer->model, loading));
    model_bpe_set(&tokenizer->model, rule->ignore_merges);
    TRY(load_merges(tokenizer, loading, gguf));
    if (rule->composes) {
        TRY(parse_and_free(set_normaliser, tokenizer, loading, json_pack("{s:s}", "type", "NFC")));
    }
    TRY(parse_and_free(set_pre_tokenizer, tokenizer, loading, rule_json(rule)));
    TRY(parse_and_free(set_decoder, tokenizer, loading, json_pack("{s:s}", "type", "ByteLevel")));
    TRY(load_special_ids(tokenizer, gguf));
    TRY(add_tokens(tokenizer));
    return set_ends(tokenizer, loading, gguf, rule->adds_bos, false, tokenizer->special[SPECIAL_BOS],
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

static limn_status load_llama(Tokenizer *tokenizer, Loading *loading, const Gguf *gguf) {
    TRY(load_pieces(tokenizer, gguf, spell_as_is));
    TRY(load_special_ids(tokenizer, gguf));
    TRY(model_sentencepiece_bpe_new(&tokenizer->model, loading, tokenizer->special[SPECIAL_UNK]));
    TRY(set_rules(tokenizer, loading, gguf, false));
    TRY(add_tokens(tokenizer));
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
                TRY(tokenizer_keep(&tokenizer->chat_template, tokenizer, template, length));
            }
            return tokenizer_finish(tokenizer, loading.where);
        }
    }
    return fail(LIMN_UNSUPPORTED, "%s: tokenizer.ggml.model '%.*s' is not implemented", loading.where,
                (int)(length < 80 ? length : 80), name);
}
