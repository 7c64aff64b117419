#include "model/adapter_names.h"

#include <stdio.h>
#include <string.h>

typedef struct GgufName {
    const char *gguf, *module;
} GgufName;

/* What GGUF calls the modules of a family. */
typedef struct GgufFamily {
    const char *architectures; /* space-separated values of general.architecture */
    const char *layers;        /* before a layer's number */
    bool grouped;              /* see adapter_is_grouped */
    GgufName names[14];
} GgufFamily;

static const GgufFamily families[] = {
    {"llama qwen2 qwen3 qwen2moe qwen3moe gemma gemma2 gemma3",
     "layers",
     false,
     {{"attn_q", "self_attn.q_proj"},
      {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},
      {"attn_output", "self_attn.o_proj"},
      {"ffn_gate", "mlp.gate_proj"},
      {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"},
      {"token_embd", "embed_tokens"},
      {"output", "lm_head"}}},
    {"phi3",
     "layers",
     false,
     {{"attn_qkv", "self_attn.qkv_proj"},
      {"attn_output", "self_attn.o_proj"},
      {"ffn_up", "mlp.gate_up_proj"},
      {"ffn_down", "mlp.down_proj"},
      {"token_embd", "embed_tokens"},
      {"output", "lm_head"}}},
    {"gpt2",
     "h",
     false,
     {{"attn_qkv", "attn.c_attn"},
      {"attn_output", "attn.c_proj"},
      {"ffn_up", "mlp.c_fc"},
      {"ffn_down", "mlp.c_proj"},
      {"token_embd", "wte"},
      {"position_embd", "wpe"},
      {"output", "lm_head"}}},
    {"gptneox",
     "layers",
     true,
     {{"attn_qkv", "attention.query_key_value"},
      {"attn_output", "attention.dense"},
      {"ffn_up", "mlp.dense_h_to_4h"},
      {"ffn_down", "mlp.dense_4h_to_h"},
      {"token_embd", "embed_in"},
      {"output", "embed_out"}}},
    {"falcon",
     "h",
     true,
     {{"attn_qkv", "self_attention.query_key_value"},
      {"attn_output", "self_attention.dense"},
      {"ffn_up", "mlp.dense_h_to_4h"},
      {"ffn_down", "mlp.dense_4h_to_h"},
      {"token_embd", "word_embeddings"},
      {"output", "lm_head"}}},
};

static bool has_word(const char *words, const char *word, size_t length) {
    for (const char *at = words; *at != '\0';) {
        size_t n = strcspn(at, " ");
        if (n == length && memcmp(at, word, n) == 0) {
            return true;
        }
        at += n + strspn(at + n, " ");
    }
    return false;
}

static const GgufFamily *family_of(const Build *build) {
    const char *name;
    size_t length;
    if (settings_text(&name, &length, build->settings, "general.architecture") != LIMN_OK || name == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (has_word(families[i].architectures, name, length)) {
            return &families[i];
        }
    }
    return NULL;
}

static const char *module_of(const GgufFamily *family, const char *name, size_t length) {
    for (const GgufName *at = family->names; at->gguf != NULL; at++) {
        if (strlen(at->gguf) == length && memcmp(at->gguf, name, length) == 0) {
            return at->module;
        }
    }
    return NULL;
}

const char *adapter_without_prefix(const char *name) {
    static const char *const prefixes[] = {"model.",   "language_model.", "text_model.", "transformer.", "bert.",
                                           "roberta.", "distilbert.",     "gpt_neox.",   "base_model.",  "decoder."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], n) == 0) {
            return adapter_without_prefix(name + n);
        }
    }
    return name;
}

char *adapter_tensor_name(Build *build, const char *name) {
    Arena *arena = &build->model->arena;
    if (build->settings->gguf == NULL) {
        return arena_strdup(arena, adapter_without_prefix(name));
    }
    const GgufFamily *family = family_of(build);
    if (family == NULL) {
        return arena_strdup(arena, name);
    }
    int layer = -1, begin = 0;
    bool inside = sscanf(name, "blk.%d.%n", &layer, &begin) == 1 && begin > 0;
    const char *inner = inside ? name + begin : name;
    size_t n = strcspn(inner, ".");
    const char *module = module_of(family, inner, n);
    if (module == NULL) { /* names that build_tied gave are those of Hugging Face */
        return arena_strdup(arena, adapter_without_prefix(name));
    }
    return inside ? arena_printf(arena, "%s.%d.%s%s", family->layers, layer, module, inner + n)
                  : arena_printf(arena, "%s%s", module, inner + n);
}

bool adapter_is_grouped(const Build *build, const char *name) {
    if (build->settings->gguf == NULL || strstr(name, "attn_qkv") == NULL) {
        return false;
    }
    const GgufFamily *family = family_of(build);
    return family != NULL && family->grouped;
}
