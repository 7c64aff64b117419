/* Where tokenizer_config.json wins over tokenizer.json, as its class lets it: the settings are written into the file's
 * JSON before it is read, so that there is one reader. What the class would do and the file does not, and what a
 * setting asks for and nobody does, is said.
 *
 * Only what the reference's versions 4 and 5 agree on is done. Version 5 builds the parts of some classes anew and
 * forgets those of the file; a file that has other parts than its class is taken at its word. */
#include <string.h>

#include "files/json.h"
#include "text/folder.h"

static limn_status no_memory(const TokenizerFolder *folder) {
    return fail(LIMN_NO_MEMORY, "%s: opening the tokenizer", folder->path);
}

static bool is_type(const json_t *component, const char *type) {
    const char *found = json_string_value(json_object_get(component, "type"));
    return found != NULL && strcmp(found, type) == 0;
}

static limn_status set(const TokenizerFolder *folder, json_t *component, const char *key, json_t *value) {
    return json_object_set_new(component, key, value) == 0 ? LIMN_OK : no_memory(folder);
}

static limn_status set_flag(const TokenizerFolder *folder, json_t *component, const char *key, bool value) {
    return set(folder, component, key, json_boolean(value));
}

static limn_status warn_unused(Tokenizer *tokenizer, const TokenizerFolder *folder, const char *key, bool value) {
    return tokenizer_warn(tokenizer, "%s: \"%s\" is %s, and tokenizer.json says otherwise: tokenizer.json counts",
                          folder->where, key, value ? "true" : "false");
}

/* ---- BERT ---- */

static const char *const bert_keys[][2] = {{"do_lower_case", "lowercase"},
                                           {"strip_accents", "strip_accents"},
                                           {"tokenize_chinese_chars", "handle_chinese_chars"}};

/* Settings that are absent are those of the class: lower case, Chinese characters apart, accents as the case. */
static limn_status adjust_bert(json_t *normaliser, const TokenizerFolder *folder) {
    for (size_t i = 0; i < sizeof bert_keys / sizeof *bert_keys; i++) {
        bool value, said;
        TRY(folder_flag(&value, &said, folder, bert_keys[i][0]));
        bool accents = strcmp(bert_keys[i][0], "strip_accents") == 0;
        json_t *made = said ? json_boolean(value) : accents ? json_null() : json_true();
        TRY(set(folder, normaliser, bert_keys[i][1], made));
    }
    return LIMN_OK;
}

static limn_status warn_of_bert_keys(Tokenizer *tokenizer, const TokenizerFolder *folder, const json_t *normaliser) {
    const char *type = json_string_value(json_object_get(normaliser, "type"));
    for (size_t i = 0; i < sizeof bert_keys / sizeof *bert_keys; i++) {
        bool value, said;
        TRY(folder_flag(&value, &said, folder, bert_keys[i][0]));
        if (said) {
            TRY(tokenizer_warn(tokenizer,
                               "%s: \"%s\" is %s: it is for a BertNormalizer, and the one of tokenizer.json is %.60s, "
                               "which counts",
                               folder->where, bert_keys[i][0], value ? "true" : "false", type != NULL ? type : "none"));
        }
    }
    return LIMN_OK;
}

/* ---- a space before the text ---- */

/* The ByteLevel of a pre-tokenizer, alone or in a sequence; NULL: none. */
static json_t *find_byte_level(json_t *component, bool *nested) {
    *nested = false;
    if (is_type(component, "ByteLevel")) {
        return component;
    }
    json_t *list = json_object_get(component, "pretokenizers");
    for (size_t i = 0; is_type(component, "Sequence") && i < json_array_size(list); i++) {
        if (is_type(json_array_get(list, i), "ByteLevel")) {
            *nested = true;
            return json_array_get(list, i);
        }
    }
    return NULL;
}

/* Absent means no space, where the ByteLevel stands alone; the one in a sequence is then left as it is. */
static limn_status adjust_byte_level(json_t *json, const TokenizerFolder *folder) {
    bool value, said, nested, trims, trims_said;
    TRY(folder_flag(&value, &said, folder, "add_prefix_space"));
    json_t *byte_level = find_byte_level(json_object_get(json, "pre_tokenizer"), &nested);
    if (byte_level != NULL && (said || !nested)) {
        TRY(set_flag(folder, byte_level, "add_prefix_space", value));
    }
    json_t *processor = json_object_get(json, "post_processor");
    if (!folder_has_rule(folder, CLASS_ROBERTA) || !is_type(processor, "RobertaProcessing")) {
        return LIMN_OK;
    }
    TRY(folder_flag(&trims, &trims_said, folder, "trim_offsets"));
    TRY(set_flag(folder, processor, "add_prefix_space", value));
    return set_flag(folder, processor, "trim_offsets", trims || !trims_said);
}

static bool has_byte_level(json_t *json) {
    bool nested;
    return find_byte_level(json_object_get(json, "pre_tokenizer"), &nested) != NULL ||
           is_type(json_object_get(json, "decoder"), "ByteLevel");
}

/* "always", "first", "never": where SentencePiece's space is put by a file's parts; NULL: they do it in another way. */
static const char *space_scheme(const json_t *json) {
    const json_t *normaliser = json_object_get(json, "normalizer"), *cutter = json_object_get(json, "pre_tokenizer");
    const json_t *list = json_object_get(normaliser, "normalizers");
    if (is_type(cutter, "Metaspace")) {
        const char *scheme = json_string_value(json_object_get(cutter, "prepend_scheme"));
        return json_is_false(json_object_get(cutter, "add_prefix_space")) ? "never"
               : scheme != NULL                                           ? scheme
                                                                          : "always";
    }
    if (is_type(normaliser, "Prepend") || is_type(json_array_get(list, 0), "Prepend")) {
        return "always";
    }
    return cutter == NULL || json_is_null(cutter) ? "never" : NULL;
}

/* The parts of LlamaTokenizer. With `legacy` the space goes before each stretch of text between special tokens, else
 * before the whole text only. */
static limn_status set_llama_parts(json_t *json, const TokenizerFolder *folder, bool prefix, bool legacy) {
    const char *mark = "\xE2\x96\x81";
    json_t *decoder =
        json_pack("{s:s, s:[{s:s, s:{s:s}, s:s}, {s:s}, {s:s}]}", "type", "Sequence", "decoders", "type", "Replace",
                  "pattern", "String", mark, "content", " ", "type", "ByteFallback", "type", "Fuse");
    if (prefix && decoder != NULL &&
        json_array_append_new(json_object_get(decoder, "decoders"), json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip",
                                                                              "content", " ", "start", 1, "stop", 0)) !=
            0) {
        json_decref(decoder);
        return no_memory(folder);
    }
    TRY(set(folder, json, "decoder", decoder));
    if (legacy && prefix) {
        TRY(set(folder, json, "pre_tokenizer", json_null()));
        return set(folder, json, "normalizer",
                   json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:{s:s}, s:s}]}", "type", "Sequence", "normalizers", "type",
                             "Prepend", "prepend", mark, "type", "Replace", "pattern", "String", " ", "content", mark));
    }
    TRY(set(folder, json, "normalizer", json_null()));
    return set(folder, json, "pre_tokenizer",
               json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", mark, "prepend_scheme",
                         prefix ? "first" : "never", "split", 0));
}

/* add_prefix_space builds the class's parts anew; legacy alone is read by version 5 and not by version 4. */
static limn_status adjust_llama(json_t *json, const TokenizerFolder *folder, Tokenizer *tokenizer) {
    bool prefix, prefix_said, legacy, legacy_said;
    if (has_byte_level(json)) { /* Llama 3 under the old class: the reference takes the file too */
        return LIMN_OK;
    }
    TRY(folder_flag(&prefix, &prefix_said, folder, "add_prefix_space"));
    TRY(folder_flag(&legacy, &legacy_said, folder, "legacy"));
    const char *scheme = space_scheme(json);
    if (prefix_said && (!prefix || legacy_said)) {
        return set_llama_parts(json, folder, prefix, legacy);
    }
    if (legacy_said && scheme != NULL && strcmp(scheme, legacy ? "first" : "always") == 0) {
        return warn_unused(tokenizer, folder, "legacy", legacy);
    }
    return LIMN_OK;
}

static limn_status adjust_metaspace(json_t *json, const TokenizerFolder *folder) {
    static const char *const parts[] = {"pre_tokenizer", "decoder"};
    bool value, said;
    TRY(folder_flag(&value, &said, folder, "add_prefix_space"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts && said; i++) {
        json_t *part = json_object_get(json, parts[i]), *list = json_object_get(part, "pretokenizers");
        for (size_t k = 0; k <= json_array_size(list); k++) {
            json_t *one = k == 0 ? part : json_array_get(list, k - 1);
            if (is_type(one, "Metaspace")) {
                TRY(set_flag(folder, one, "add_prefix_space", value));
                TRY(set(folder, one, "prepend_scheme", json_string(value ? "always" : "never")));
            }
        }
    }
    return LIMN_OK;
}

/* A class that does not look at the setting. */
static limn_status warn_of_prefix(json_t *json, const TokenizerFolder *folder, Tokenizer *tokenizer) {
    bool value, said, nested;
    TRY(folder_flag(&value, &said, folder, "add_prefix_space"));
    const json_t *byte_level = find_byte_level(json_object_get(json, "pre_tokenizer"), &nested);
    const char *scheme = space_scheme(json);
    bool has = byte_level != NULL ? !json_is_false(json_object_get(byte_level, "add_prefix_space"))
                                  : scheme != NULL && strcmp(scheme, "never") != 0;
    return said && has != value && (byte_level != NULL || scheme != NULL)
               ? warn_unused(tokenizer, folder, "add_prefix_space", value)
               : LIMN_OK;
}

/* GPT-NeoX's class makes its post-processor itself: no special token is added unless a setting asks for one. */
static limn_status adjust_neox_ends(json_t *json, const TokenizerFolder *folder) {
    bool bos, eos, said;
    TRY(folder_flag(&bos, &said, folder, "add_bos_token"));
    TRY(folder_flag(&eos, &said, folder, "add_eos_token"));
    return bos || eos || !is_type(json_object_get(json, "post_processor"), "TemplateProcessing")
               ? LIMN_OK
               : set(folder, json, "post_processor", json_null());
}

static limn_status warn_of_class(const TokenizerFolder *folder, Tokenizer *tokenizer) {
    return folder->class_name != NULL && folder->tokenizer_class == NULL
               ? tokenizer_warn(tokenizer,
                                "%s: \"tokenizer_class\" is %.80s, which is not known: tokenizer.json counts",
                                folder->where, folder->class_name)
               : LIMN_OK;
}

limn_status folder_adjust_json(json_t *json, TokenizerFolder *folder, Tokenizer *tokenizer) {
    json_t *normaliser = json_object_get(json, "normalizer");
    ClassRule rule = folder->tokenizer_class != NULL ? folder->tokenizer_class->rule : CLASS_FILE;
    TRY(warn_of_class(folder, tokenizer));
    switch (rule) {
    case CLASS_BERT:
        return is_type(normaliser, "BertNormalizer") ? adjust_bert(normaliser, folder)
                                                     : warn_of_bert_keys(tokenizer, folder, normaliser);
    case CLASS_GPT_NEOX:
        TRY(adjust_neox_ends(json, folder));
        return adjust_byte_level(json, folder);
    case CLASS_BYTE_LEVEL:
    case CLASS_ROBERTA:
    case CLASS_QWEN2:
        return adjust_byte_level(json, folder);
    case CLASS_LLAMA:
        return adjust_llama(json, folder, tokenizer);
    case CLASS_XLM_ROBERTA:
        return adjust_metaspace(json, folder);
    default:
        return warn_of_prefix(json, folder, tokenizer);
    }
}
