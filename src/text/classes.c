#include "text/classes.h"

#include <string.h>

static const TokenizerClass classes[] = {
#define CLASS(name, rule) {#name, CLASS_##rule},
#include "text/classes.def"
#undef CLASS
};

static const struct {
    const char *model_type, *name;
} usual[] = {
    {"bert", "BertTokenizer"},       {"distilbert", "BertTokenizer"},
    {"roberta", "RobertaTokenizer"}, {"xlm-roberta", "XLMRobertaTokenizer"},
    {"gpt2", "GPT2Tokenizer"},       {"opt", "GPT2Tokenizer"},
    {"starcoder2", "GPT2Tokenizer"}, {"gpt_neox", "GPTNeoXTokenizer"},
    {"llama", "LlamaTokenizer"},     {"gemma2", "GemmaTokenizer"},
    {"gemma3", "GemmaTokenizer"},    {"gemma3_text", "GemmaTokenizer"},
    {"qwen2", "Qwen2Tokenizer"},     {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen2_vl", "Qwen2Tokenizer"},  {"qwen2_5_vl", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},     {"qwen3_moe", "Qwen2Tokenizer"},
    {"qwen3_vl", "Qwen2Tokenizer"},
};

static size_t plain_length(const char *name) {
    static const char fast[] = "Fast";
    size_t n = strlen(name), m = sizeof fast - 1;
    return n > m && strcmp(name + n - m, fast) == 0 ? n - m : n;
}

const TokenizerClass *class_find(const char *name) {
    size_t n = plain_length(name);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        if (strlen(classes[i].name) == n && memcmp(classes[i].name, name, n) == 0) {
            return &classes[i];
        }
    }
    return NULL;
}

const TokenizerClass *class_of_folder(const char **said, const json_t *tokenizer_config, const json_t *model_config) {
    *said = json_string_value(json_object_get(tokenizer_config, "tokenizer_class"));
    if (*said == NULL) {
        *said = json_string_value(json_object_get(model_config, "tokenizer_class"));
    }
    if (*said != NULL) {
        return class_find(*said);
    }
    const char *type = json_string_value(json_object_get(model_config, "model_type"));
    for (size_t i = 0; i < sizeof usual / sizeof *usual && type != NULL; i++) {
        if (strcmp(usual[i].model_type, type) == 0) {
            return class_find(usual[i].name);
        }
    }
    return NULL;
}

static const struct {
    ClassRule rule;
    const char *names[SPECIAL_COUNT];
} specials[] = {
    {CLASS_BERT,
     {[SPECIAL_UNK] = "[UNK]",
      [SPECIAL_SEP] = "[SEP]",
      [SPECIAL_PAD] = "[PAD]",
      [SPECIAL_CLS] = "[CLS]",
      [SPECIAL_MASK] = "[MASK]"}},
    {CLASS_BYTE_LEVEL,
     {[SPECIAL_BOS] = "<|endoftext|>", [SPECIAL_EOS] = "<|endoftext|>", [SPECIAL_UNK] = "<|endoftext|>"}},
    {CLASS_ROBERTA,
     {[SPECIAL_BOS] = "<s>",
      [SPECIAL_EOS] = "</s>",
      [SPECIAL_UNK] = "<unk>",
      [SPECIAL_SEP] = "</s>",
      [SPECIAL_PAD] = "<pad>",
      [SPECIAL_CLS] = "<s>",
      [SPECIAL_MASK] = "<mask>"}},
    {CLASS_GPT_NEOX,
     {[SPECIAL_BOS] = "<|endoftext|>", [SPECIAL_EOS] = "<|endoftext|>", [SPECIAL_UNK] = "<|endoftext|>"}},
    {CLASS_QWEN2, {[SPECIAL_EOS] = "<|endoftext|>", [SPECIAL_UNK] = "<|endoftext|>", [SPECIAL_PAD] = "<|endoftext|>"}},
    {CLASS_LLAMA, {[SPECIAL_BOS] = "<s>", [SPECIAL_EOS] = "</s>", [SPECIAL_UNK] = "<unk>"}},
    {CLASS_GEMMA, {[SPECIAL_BOS] = "<bos>", [SPECIAL_EOS] = "<eos>", [SPECIAL_UNK] = "<unk>", [SPECIAL_PAD] = "<pad>"}},
    {CLASS_XLM_ROBERTA,
     {[SPECIAL_BOS] = "<s>",
      [SPECIAL_EOS] = "</s>",
      [SPECIAL_UNK] = "<unk>",
      [SPECIAL_SEP] = "</s>",
      [SPECIAL_PAD] = "<pad>",
      [SPECIAL_CLS] = "<s>",
      [SPECIAL_MASK] = "<mask>"}},
};

const char *class_special(const TokenizerClass *tokenizer_class, SpecialToken which) {
    for (size_t i = 0; i < sizeof specials / sizeof *specials && tokenizer_class != NULL; i++) {
        if (specials[i].rule == tokenizer_class->rule) {
            return specials[i].names[which];
        }
    }
    return NULL;
}
