/* How byte-level models cut text before they merge, by the names that GGUF files give (tokenizer.ggml.pre). Each rule
 * is the one that the models' own tokenizer.json states. */
#include "text/split_rules.h"

#include <string.h>

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LLAMA3                                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"           \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2                                                                                                          \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|"  \
    "\\s+(?!\\S)|\\s+"
#define QWEN35                                                                                                         \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|"  \
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define SEED                                                                                                           \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+|"  \
    "\\s+(?!\\S)|\\s+"
#define BAILING                                                                                                        \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|"        \
    "\\s+(?!\\S)|\\s+"
#define UPPER        "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER        "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define BEFORE_WORD  "[^\\r\\n\\p{L}\\p{N}]?"
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
#define AFTER_DIGITS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
/* Words begin at a capital after small letters. */
#define O200K                                                                                                          \
    BEFORE_WORD UPPER "*" LOWER "+" CONTRACTIONS "|" BEFORE_WORD UPPER "+" LOWER "*" CONTRACTIONS                      \
                      "|\\p{N}{1,3}|" AFTER_DIGITS
#define TEKKEN       BEFORE_WORD UPPER "*" LOWER "+|" BEFORE_WORD UPPER "+" LOWER "*|\\p{N}|" AFTER_DIGITS
/* Kimi's: Chinese characters apart from all other letters. */
#define UPPER_NO_HAN "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define LOWER_NO_HAN "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define KIMI                                                                                                           \
    "[\\p{Han}]+|" BEFORE_WORD UPPER_NO_HAN "*" LOWER_NO_HAN "+" CONTRACTIONS "|" BEFORE_WORD UPPER_NO_HAN             \
    "+" LOWER_NO_HAN "*" CONTRACTIONS "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK3                                                                                                      \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"               \
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define CHINESE_OR_KANA "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+"
/* BLOOM's words: up to white space and these marks. */
#define BLOOM           " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{ff0c}\\x{3001}\\x{0964}\\x{06d4}\\x{060c})]+"
#define CJK_OR_KOREAN   "[\\x{4e00}-\\x{9fa5}\\x{0800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+"
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

/* Falcon's cuts after bytes have become characters, some of which are digits: patterns over text cannot say that. */
#define FALCON                                                                                                         \
    "[{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"},"                                                         \
    "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":true},"                                          \
    "{\"type\":\"Digits\",\"individual_digits\":false},"                                                               \
    "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":\"Isolated\"}]"

static const SplitRule split_rules[] = {
    {"gpt-2", {GPT2}, 0, NULL},
    {"phi-2", {GPT2}, 0, NULL},
    {"mpt", {GPT2}, COMPOSES, NULL},
    {"olmo", {GPT2}, COMPOSES, NULL},
    {"jais", {GPT2}, 0, NULL},
    {"roberta-bpe", {GPT2}, 0, NULL},
    {"default", {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}, 0, NULL},
    {.name = "falcon", .stated = FALCON},
    {"starcoder", {"\\p{N}", GPT2}, 0, NULL},
    {"refact", {"\\p{N}", GPT2}, 0, NULL},
    {"command-r", {"\\p{N}", GPT2}, COMPOSES, NULL},
    {"smollm", {"\\p{N}", GPT2}, 0, NULL},
    {"codeshell", {"\\p{N}", GPT2}, 0, NULL},
    {"exaone", {"\\p{N}", GPT2}, 0, NULL},
    {"minerva-7b", {"\\p{N}", GPT2}, 0, NULL},
    {"exaone4", {GPT2}, 0, NULL},
    {"trillion", {GPT2}, 0, NULL},
    {"llama-bpe", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"llama3", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"llama-v3", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"falcon3", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"falcon-h1", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"midm-2.0", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"pixtral", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"lfm2", {LLAMA3}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"glm4", {LLAMA3}, 0, NULL},
    {"chatglm-bpe", {LLAMA3}, 0, NULL},
    {"dbrx", {LLAMA3}, 0, NULL},
    {"smaug-bpe", {LLAMA3}, 0, NULL},
    {"qwen2", {QWEN2}, COMPOSES, NULL},
    {"deepseek-r1-qwen", {QWEN2}, 0, NULL},
    {"stablelm2", {QWEN2}, 0, NULL},
    {"megrez", {QWEN2}, 0, NULL},
    {"seed-coder", {SEED}, 0, NULL},
    {"bailingmoe", {BAILING}, 0, NULL},
    {"qwen35", {QWEN35}, COMPOSES, NULL},
    {"gpt-4o", {O200K}, 0, NULL},
    {"llama4", {O200K}, 0, NULL},
    {"kanana2", {O200K}, 0, NULL},
    {"tekken", {TEKKEN}, IGNORES_MERGES | ADDS_BOS, NULL},
    {"kimi-k2", {KIMI}, 0, NULL},
    {"bloom", {BLOOM}, 0, NULL},
    {"gpt3-finnish", {BLOOM}, 0, NULL},
    {"poro-chat", {BLOOM}, 0, NULL},
    {"viking", {BLOOM, "\\p{N}"}, 0, NULL},
    {"deepseek-coder", {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", CJK_OR_KOREAN, "\\p{N}"}, 0, NULL},
    {"deepseek-llm",
     {"[\\r\\n]", DEEPSEEK_LETTERS,
      "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-\\x{3002}]+", "\\s+$",
      CJK_OR_KOREAN, "\\p{N}+"},
     0,
     NULL},
    {"deepseek-v3", {"\\p{N}{1,3}", CHINESE_OR_KANA, DEEPSEEK3}, 0, NULL},
    {"hunyuan-dense", {"\\p{N}{1,3}", CHINESE_OR_KANA, DEEPSEEK3}, 0, NULL},
};

limn_status split_rule_find(const SplitRule **rule, const char *where, const char *name, size_t length) {
    for (size_t i = 0; i < sizeof split_rules / sizeof *split_rules; i++) {
        if (strlen(split_rules[i].name) == length && memcmp(split_rules[i].name, name, length) == 0) {
            *rule = &split_rules[i];
            return LIMN_OK;
        }
    }
    return fail(LIMN_UNSUPPORTED, "%s: tokenizer.ggml.pre names the split rule '%.*s', which is not implemented", where,
                (int)(length < 80 ? length : 80), name);
}

json_t *split_rule_json(const SplitRule *rule) {
    json_error_t error;
    if (rule->stated != NULL) {
        json_t *steps = json_loads(rule->stated, 0, &error);
        return steps == NULL ? NULL : json_pack("{s:s, s:o}", "type", "Sequence", "pretokenizers", steps);
    }
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
