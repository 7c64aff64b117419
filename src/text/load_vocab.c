/* Vocabularies without a tokenizer.json: BERT's vocab.txt, GPT-2's vocab.json with merges.txt. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/utf8.h"
#include "files/json.h"
#include "text/folder.h"
#include "text/parts.h"
#include "text/split_rules.h"

static limn_status parse_text(Loading *loading, json_t **json, json_t *made) {
    *json = made;
    return made == NULL ? fail(LIMN_NO_MEMORY, "%s: reading the tokenizer", loading->where) : LIMN_OK;
}

/* One component from settings written as JSON. */
#define COMPONENT(status, parse, component, loading, ...)                                                              \
    do {                                                                                                               \
        json_t *json_ = NULL;                                                                                          \
        (status) = parse_text((loading), &json_, json_pack(__VA_ARGS__));                                              \
        if ((status) == LIMN_OK) {                                                                                     \
            (status) = parse((component), (loading), json_);                                                           \
        }                                                                                                              \
        json_decref(json_);                                                                                            \
    } while (0)

/* The next line without its end; false at the end of the text. */
static bool next_line(const char **line, size_t *line_length, const char *text, size_t length, size_t *at) {
    if (*at >= length) {
        return false;
    }
    const char *end = memchr(text + *at, '\n', length - *at);
    *line = text + *at;
    *line_length = end == NULL ? length - *at : (size_t)(end - *line);
    *at += *line_length + 1;
    if (*line_length > 0 && (*line)[*line_length - 1] == '\r') {
        (*line_length)--;
    }
    return true;
}

static size_t count_lines(const char *text, size_t length) {
    size_t lines = 1;
    for (size_t i = 0; i < length; i++) {
        lines += text[i] == '\n';
    }
    return lines;
}

/* ---- vocab.txt ---- */

static limn_status load_lines(Tokenizer *tokenizer, const char *path, const char *bytes, size_t length) {
    TRY(vocabulary_expect(&tokenizer->vocabulary, path, count_lines(bytes, length)));
    const char *line;
    size_t line_length, at = 0;
    for (int64_t id = 0; next_line(&line, &line_length, bytes, length, &at); id++) {
        if (!utf8_is_valid(line, line_length)) {
            return fail(LIMN_FORMAT, "%s: line %lld is not UTF-8: neither a list of pieces nor a known tokenizer file",
                        path, (long long)id + 1);
        }
        if (line_length == 0) {
            tokenizer->vocabulary.has_empty = true;
            continue; /* an id nobody uses elsewhere */
        }
        TRY(vocabulary_add(&tokenizer->vocabulary, path, line, line_length, id, PIECE_NORMAL, 0));
    }
    return LIMN_OK;
}

static const struct BertToken {
    const char *text;
    SpecialToken which;
} bert_tokens[] = {{"[PAD]", SPECIAL_PAD},
                   {"[UNK]", SPECIAL_UNK},
                   {"[CLS]", SPECIAL_CLS},
                   {"[SEP]", SPECIAL_SEP},
                   {"[MASK]", SPECIAL_MASK}};

static limn_status flag(bool *value, const TokenizerFolder *folder, const char *key, bool fallback) {
    bool said = false;
    *value = fallback;
    if (folder != NULL) {
        bool found;
        TRY(folder_flag(&found, &said, folder, key));
        *value = said ? found : fallback;
    }
    return LIMN_OK;
}

/* Lower case unless the config says otherwise; where nothing names the class, unless the pieces hold capitals. */
limn_status load_vocab_txt(Tokenizer *tokenizer, const char *path, const char *bytes, size_t length,
                           const TokenizerFolder *folder) {
    Loading loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    TRY(load_lines(tokenizer, path, bytes, length));
    bool lowercase, chinese, strip_accents;
    bool named = folder != NULL && folder->tokenizer_class != NULL;
    TRY(flag(&lowercase, folder, "do_lower_case", named || !vocabulary_is_cased(&tokenizer->vocabulary)));
    TRY(flag(&chinese, folder, "tokenize_chinese_chars", true));
    TRY(flag(&strip_accents, folder, "strip_accents", lowercase));
    limn_status status;
    COMPONENT(status, normaliser_parse, &tokenizer->normaliser, &loading, "{s:s, s:b, s:b, s:b}", "type",
              "BertNormalizer", "lowercase", lowercase, "handle_chinese_chars", chinese, "strip_accents",
              strip_accents);
    TRY(status);
    COMPONENT(status, pre_tokenizer_parse, &tokenizer->pre_tokenizer, &loading, "{s:s}", "type", "BertPreTokenizer");
    TRY(status);
    COMPONENT(status, decoder_parse, &tokenizer->decoder, &loading, "{s:s}", "type", "WordPiece");
    TRY(status);
    for (size_t i = 0; i < sizeof bert_tokens / sizeof *bert_tokens && !named; i++) { /* else they are the class's */
        const char *text = bert_tokens[i].text;
        int32_t id = vocabulary_model_id(&tokenizer->vocabulary, text, strlen(text));
        tokenizer->special[bert_tokens[i].which] = id;
        if (id >= 0) {
            TRY(tokenizer_add_special(tokenizer, id));
        }
    }
    const char *unknown = named ? folder_special(folder, SPECIAL_UNK) : "[UNK]";
    return model_word_piece_new(&tokenizer->model, &loading, unknown != NULL ? unknown : "[UNK]", "##");
}

limn_status end_vocab_txt(Tokenizer *tokenizer, const char *path, const TokenizerFolder *folder) {
    (void)folder;
    Loading loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    return post_processor_surround_bert(&tokenizer->post_processor, &loading, tokenizer->special[SPECIAL_CLS],
                                        tokenizer->special[SPECIAL_SEP]);
}

/* ---- vocab.json and merges.txt ---- */

static limn_status load_vocab_json(Loading *loading) {
    json_t *pieces;
    TRY(json_file_load(&pieces, loading->where, JSON_TOKENIZER_CAP));
    json_t *wrapped = json_pack("{s:O}", "vocab", pieces);
    limn_status status =
        wrapped == NULL ? fail(LIMN_NO_MEMORY, "%s", loading->where) : loading_vocabulary(loading, wrapped);
    json_decref(wrapped);
    json_decref(pieces);
    return status;
}

static limn_status load_merge_lines(Tokenizer *tokenizer, Loading *loading, const char *bytes, size_t length) {
    const char *line;
    size_t line_length, at = 0;
    int64_t rank = 0;
    while (next_line(&line, &line_length, bytes, length, &at)) {
        if (line_length == 0 || (line_length >= 8 && memcmp(line, "#version", 8) == 0)) {
            continue;
        }
        const char *space = memchr(line, ' ', line_length);
        size_t left = space == NULL ? 0 : (size_t)(space - line);
        if (space == NULL || memchr(space + 1, ' ', line_length - left - 1) != NULL) {
            return fail(LIMN_FORMAT, "%s: merge %lld is not two pieces with one space between", loading->where,
                        (long long)rank);
        }
        if (rank >= INT32_MAX) {
            return fail(LIMN_FORMAT, "%s: too many merges", loading->where);
        }
        TRY(model_bpe_add_merge(&tokenizer->model, loading, line, left, space + 1, line_length - left - 1, rank));
        rank++;
    }
    return LIMN_OK;
}

static limn_status load_merges(Tokenizer *tokenizer, Loading *loading) {
    char *bytes;
    size_t length;
    TRY(file_read(&bytes, &length, loading->where, JSON_TOKENIZER_CAP));
    limn_status status = load_merge_lines(tokenizer, loading, bytes, length);
    free(bytes);
    return status;
}

static int32_t find_token(const Tokenizer *tokenizer, const char *text) {
    return vocabulary_model_id(&tokenizer->vocabulary, text, strlen(text));
}

/* Where nothing names the class, a vocabulary with RoBERTa's special pieces is RoBERTa's; GPT-2 has one. */
static limn_status guess_special_pieces(Tokenizer *tokenizer) {
    int32_t begin = find_token(tokenizer, "<s>"), end = find_token(tokenizer, "</s>");
    int32_t mask = find_token(tokenizer, "<mask>"), text_end = find_token(tokenizer, "<|endoftext|>");
    if (begin < 0 || end < 0 || mask < 0) {
        if (text_end >= 0) {
            tokenizer->special[SPECIAL_BOS] = tokenizer->special[SPECIAL_EOS] = text_end;
            tokenizer->special[SPECIAL_UNK] = text_end;
            TRY(tokenizer_add_special(tokenizer, text_end));
        }
        return LIMN_OK;
    }
    static const char *const names[] = {"<s>", "<pad>", "</s>", "<unk>"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int32_t id = find_token(tokenizer, names[i]);
        if (id >= 0) {
            TRY(added_tokens_add(&tokenizer->added, &tokenizer->vocabulary,
                                 (AddedToken){.id = id, .special = true, .normalized = true}));
        }
    }
    TRY(added_tokens_add(&tokenizer->added, &tokenizer->vocabulary,
                         (AddedToken){.id = mask, .special = true, .normalized = true, .left_strip = true}));
    load_usual_specials(tokenizer);
    tokenizer->special[SPECIAL_CLS] = begin;
    tokenizer->special[SPECIAL_SEP] = end;
    return LIMN_OK;
}

/* How the class cuts text: GPT-2's rule within ByteLevel, or a rule of its own before it. */
static limn_status set_cutting(Tokenizer *tokenizer, Loading *loading, const TokenizerFolder *folder, bool prefix) {
    bool qwen = folder != NULL && folder_has_rule(folder, CLASS_QWEN2);
    limn_status status;
    if (qwen || (folder != NULL && folder_has_rule(folder, CLASS_GPT_NEOX))) {
        COMPONENT(status, normaliser_parse, &tokenizer->normaliser, loading, "{s:s}", "type", "NFC");
        TRY(status);
    }
    if (!qwen) {
        COMPONENT(status, pre_tokenizer_parse, &tokenizer->pre_tokenizer, loading, "{s:s, s:b}", "type", "ByteLevel",
                  "add_prefix_space", prefix);
        return status;
    }
    const SplitRule *rule;
    TRY(split_rule_find(&rule, loading->where, "qwen2", 5));
    json_t *steps = split_rule_json(rule);
    json_t *list = json_object_get(steps, "pretokenizers");
    json_t *byte_level = json_array_get(list, json_array_size(list) - 1); /* the last step of every rule */
    status = byte_level != NULL && json_object_set_new(byte_level, "add_prefix_space", json_boolean(prefix)) == 0
                 ? pre_tokenizer_parse(&tokenizer->pre_tokenizer, loading, steps)
                 : fail(LIMN_NO_MEMORY, "%s: reading the tokenizer", loading->where);
    json_decref(steps);
    return status;
}

limn_status load_vocab_merges(Tokenizer *tokenizer, const char *vocab_path, const char *merges_path,
                              const TokenizerFolder *folder) {
    Loading loading = {vocab_path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    TRY(load_vocab_json(&loading));
    TRY(model_bpe_new(&tokenizer->model, &loading));
    loading.where = merges_path;
    TRY(load_merges(tokenizer, &loading));
    loading.where = vocab_path;
    bool prefix_space;
    TRY(flag(&prefix_space, folder, "add_prefix_space", false));
    TRY(set_cutting(tokenizer, &loading, folder, prefix_space));
    limn_status status;
    COMPONENT(status, decoder_parse, &tokenizer->decoder, &loading, "{s:s}", "type", "ByteLevel");
    TRY(status);
    bool named = folder != NULL && folder->tokenizer_class != NULL && folder->tokenizer_class->rule != CLASS_FILE;
    return named ? LIMN_OK /* whose special tokens are those of the class and the settings */
                 : guess_special_pieces(tokenizer);
}

limn_status end_vocab_merges(Tokenizer *tokenizer, const char *path, const TokenizerFolder *folder) {
    Loading loading = {path, &tokenizer->pool, &tokenizer->vocabulary, 0};
    bool named = folder != NULL && folder->tokenizer_class != NULL && folder->tokenizer_class->rule != CLASS_FILE;
    bool roberta = named ? folder_has_rule(folder, CLASS_ROBERTA) : tokenizer->special[SPECIAL_CLS] >= 0;
    int32_t cls = tokenizer->special[SPECIAL_CLS], sep = tokenizer->special[SPECIAL_SEP];
    if (roberta && cls >= 0 && sep >= 0) {
        bool trims, prefix;
        limn_status status;
        TRY(flag(&trims, folder, "trim_offsets", true));
        TRY(flag(&prefix, folder, "add_prefix_space", false));
        COMPONENT(status, post_processor_parse, &tokenizer->post_processor, &loading,
                  "{s:s, s:[s,i], s:[s,i], s:b, s:b}", "type", "RobertaProcessing", "sep", "", (int)sep, "cls", "",
                  (int)cls, "trim_offsets", trims, "add_prefix_space", prefix);
        return status;
    }
    bool bos, eos;
    TRY(flag(&bos, folder, "add_bos_token", false));
    TRY(flag(&eos, folder, "add_eos_token", false));
    return bos || eos ? post_processor_surround(&tokenizer->post_processor, &loading,
                                                bos ? tokenizer->special[SPECIAL_BOS] : -1,
                                                eos ? tokenizer->special[SPECIAL_EOS] : -1)
                      : LIMN_OK;
}
