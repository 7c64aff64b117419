/* Llama (Touvron et al. 2023, and 2, 3, 3.x): RMS norms, rotary positions, grouped queries, gated MLP. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/decoder.h"

limn_status llama_build(Build *build);

typedef struct LlamaConfig {
    double epsilon;
    Activation activation;
    bool attention_bias, mlp_bias, tied;
    Rope *rope;
} LlamaConfig;

/* Sizes shared by both kinds of file. */
static limn_status check_sizes(const Build *build) {
    const ModelConfig *config = &build->model->config;
    if (config->n_heads % config->n_kv_heads != 0) {
        return fail(LIMN_FORMAT, "%s: %d query heads and %d key heads, expected the second to divide the first",
                    build->settings->path, config->n_heads, config->n_kv_heads);
    }
    if (config->d_head % 2 != 0) {
        return fail(LIMN_FORMAT, "%s: heads are %d wide, expected an even width for rotary positions",
                    build->settings->path, config->d_head);
    }
    return LIMN_OK;
}

static limn_status read_json(LlamaConfig *llama, Build *build) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    int64_t d_model, d_mlp, n_layers, n_heads, n_kv, d_head, n_context, n_vocab;
    TRY(settings_integer(&n_vocab, settings, "vocab_size", 32000, 1, INT32_MAX));
    TRY(settings_integer(&d_model, settings, "hidden_size", 4096, 1, 1 << 20));
    TRY(settings_integer(&d_mlp, settings, "intermediate_size", 11008, 1, 1 << 24));
    TRY(settings_integer(&n_layers, settings, "num_hidden_layers", 32, 1, 1 << 14));
    TRY(settings_integer(&n_heads, settings, "num_attention_heads", 32, 1, 1 << 14));
    TRY(settings_integer(&n_kv, settings, "num_key_value_heads", n_heads, 1, 1 << 14));
    if (!settings_has(settings, "head_dim") && d_model % n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    TRY(settings_integer(&d_head, settings, "head_dim", d_model / n_heads, 1, 1 << 16));
    TRY(settings_integer(&n_context, settings, "max_position_embeddings", 2048, 1, INT32_MAX));
    TRY(settings_real(&llama->epsilon, settings, "rms_norm_eps", 1e-6, 0, 1));
    TRY(settings_bool(&llama->tied, settings, "tie_word_embeddings", false));
    TRY(settings_bool(&llama->attention_bias, settings, "attention_bias", false));
    TRY(settings_bool(&llama->mlp_bias, settings, "mlp_bias", false));
    TRY(build_activation(build, &llama->activation, "hidden_act", "silu"));
    static const char *const refused[] = {"sliding_window", "quantization_config", "attn_logit_softcapping",
                                          "final_logit_softcapping", "num_local_experts"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        TRY(settings_refuse(settings, refused[i], 0));
    }
    config->n_vocab = (int32_t)n_vocab;
    config->d_model = (int32_t)d_model;
    config->d_mlp = (int32_t)d_mlp;
    config->n_layers = (int32_t)n_layers;
    config->n_heads = (int32_t)n_heads;
    config->n_kv_heads = (int32_t)n_kv;
    config->d_head = (int32_t)d_head;
    config->n_context = (int32_t)n_context;
    TRY(check_sizes(build));
    return rope_from_json(llama->rope, &build->model->arena, settings, d_head, n_context);
}

static limn_status need(const Settings *settings, const char *key) {
    return settings_has(settings, key) ? LIMN_OK
                                       : fail(LIMN_FORMAT, "%s: metadata \"%s\" is missing", settings->path, key);
}

/* Rows of the embedding: the vocabulary, in files that do not state it. */
static int64_t gguf_vocabulary(const Gguf *gguf) {
    const Tensor *embed = gguf_tensor(gguf, "token_embd.weight");
    return embed != NULL && embed->rank == 2 ? embed->shape[0] : 0;
}

static limn_status read_gguf(LlamaConfig *llama, Build *build) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    static const char *const needed[] = {"llama.embedding_length",     "llama.block_count",
                                         "llama.attention.head_count", "llama.feed_forward_length",
                                         "llama.context_length",       "llama.attention.layer_norm_rms_epsilon"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        TRY(need(settings, needed[i]));
    }
    int64_t d_model, d_mlp, n_layers, n_heads, n_kv, d_head, d_value, n_context, n_vocab;
    TRY(settings_integer(&n_vocab, settings, "llama.vocab_size", gguf_vocabulary(settings->gguf), 1, INT32_MAX));
    TRY(settings_integer(&d_model, settings, needed[0], 0, 1, 1 << 20));
    TRY(settings_integer(&n_layers, settings, needed[1], 0, 1, 1 << 14));
    TRY(settings_integer(&n_heads, settings, needed[2], 0, 1, 1 << 14));
    TRY(settings_integer(&d_mlp, settings, needed[3], 0, 1, 1 << 24));
    TRY(settings_integer(&n_context, settings, needed[4], 0, 1, INT32_MAX));
    TRY(settings_real(&llama->epsilon, settings, needed[5], 0, 0, 1));
    TRY(settings_integer(&n_kv, settings, "llama.attention.head_count_kv", n_heads, 1, 1 << 14));
    TRY(settings_integer(&d_head, settings, "llama.attention.key_length", d_model / n_heads, 1, 1 << 16));
    TRY(settings_integer(&d_value, settings, "llama.attention.value_length", d_head, d_head, d_head));
    static const char *const refused[] = {"llama.expert_count",         "llama.attention.sliding_window",
                                          "llama.attention.clamp_kqv",  "llama.attention.max_alibi_bias",
                                          "llama.attention.scale",      "llama.logit_scale",
                                          "llama.residual_scale",       "llama.embedding_scale",
                                          "llama.use_parallel_residual"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        TRY(settings_refuse(settings, refused[i], 0));
    }
    llama->activation = ACTIVATION_SILU;
    llama->tied = !weights_has(build->weights, "output.weight");
    llama->attention_bias = weights_has(build->weights, "blk.0.attn_q.bias");
    llama->mlp_bias = weights_has(build->weights, "blk.0.ffn_gate.bias");
    config->n_vocab = (int32_t)n_vocab;
    config->d_model = (int32_t)d_model;
    config->d_mlp = (int32_t)d_mlp;
    config->n_layers = (int32_t)n_layers;
    config->n_heads = (int32_t)n_heads;
    config->n_kv_heads = (int32_t)n_kv;
    config->d_head = (int32_t)d_head;
    config->n_context = (int32_t)n_context;
    TRY(check_sizes(build));
    return rope_from_gguf(llama->rope, &build->model->arena, settings, build->weights, "llama", d_head);
}

/* Where the tensors of a layer are called what. */
typedef struct LayerNames {
    const char *layer; /* what stands before the layer's number */
    const char *ln1, *ln2, *q, *k, *v, *o, *gate, *in, *out;
    bool paired; /* query and key rows are stored as rotary pairs */
} LayerNames;

static const LayerNames json_names = {"layers",
                                      "input_layernorm",
                                      "post_attention_layernorm",
                                      "self_attn.q_proj",
                                      "self_attn.k_proj",
                                      "self_attn.v_proj",
                                      "self_attn.o_proj",
                                      "mlp.gate_proj",
                                      "mlp.up_proj",
                                      "mlp.down_proj",
                                      false};
static const LayerNames gguf_names = {"blk",         "attn_norm", "ffn_norm", "attn_q",   "attn_k", "attn_v",
                                      "attn_output", "ffn_gate",  "ffn_up",   "ffn_down", true};

static limn_status get_linear(Build *build, Linear *linear, int64_t rows, int64_t columns, const char *layer,
                              const char *name, bool bias, int64_t paired_width) {
    const char *weight_name = build_name(build, "%s%s.weight", layer, name);
    const char *bias_name = build_name(build, "%s%s.bias", layer, name);
    if (weight_name == NULL || bias_name == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for a tensor's name", build->model->path);
    }
    TRY(weights_get_paired(&linear->weight, build->weights, USE_MATRIX, rows, columns, paired_width, weight_name));
    linear->bias = (Weight){0};
    return bias ? weights_get_paired(&linear->bias, build->weights, USE_VECTOR, rows, 1, paired_width, bias_name)
                : LIMN_OK;
}

static limn_status get_layer(Build *build, DecoderLayer *layer, const LlamaConfig *llama, const LayerNames *names,
                             const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp, k = config->d_head;
    int64_t query = (int64_t)config->n_heads * k, keys = (int64_t)config->n_kv_heads * k;
    int64_t paired = names->paired ? k : 0;
    bool bias = llama->attention_bias;
    AttentionSpec *attention = &layer->attention;
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_kv_heads,
                                 .d_head = k,
                                 .scale = (float)(1.0 / sqrt((double)k)),
                                 .causal = true,
                                 .rope = llama->rope};
    TRY(get_linear(build, &attention->q, query, d, prefix, names->q, bias, paired));
    TRY(get_linear(build, &attention->k, keys, d, prefix, names->k, bias, paired));
    TRY(get_linear(build, &attention->v, keys, d, prefix, names->v, bias, 0));
    TRY(get_linear(build, &attention->o, d, query, prefix, names->o, bias, 0));
    layer->mlp = (MlpSpec){.activation = llama->activation, .gated = true};
    TRY(get_linear(build, &layer->mlp.gate, f, d, prefix, names->gate, llama->mlp_bias, 0));
    TRY(get_linear(build, &layer->mlp.in, f, d, prefix, names->in, llama->mlp_bias, 0));
    TRY(get_linear(build, &layer->mlp.out, d, f, prefix, names->out, llama->mlp_bias, 0));
    layer->ln1 = layer->ln2 = (NormSpec){.kind = NORM_RMS, .epsilon = (float)llama->epsilon};
    TRY(build_vector(build, &layer->ln1.gain, d, "%s%s.weight", prefix, names->ln1));
    return build_vector(build, &layer->ln2.gain, d, "%s%s.weight", prefix, names->ln2);
}

static limn_status get_outer(Build *build, Decoder *decoder, const LlamaConfig *llama, const char *prefix) {
    ModelConfig *config = &build->model->config;
    bool gguf = build->settings->gguf != NULL;
    const char *embed = gguf ? "token_embd.weight" : build_name(build, "%sembed_tokens.weight", prefix);
    const char *head = gguf ? "output.weight" : "lm_head.weight";
    decoder->ln_final = (NormSpec){.kind = NORM_RMS, .epsilon = (float)llama->epsilon};
    TRY(gguf ? build_vector(build, &decoder->ln_final.gain, config->d_model, "output_norm.weight")
             : build_vector(build, &decoder->ln_final.gain, config->d_model, "%snorm.weight", prefix));
    if (config->task == TASK_CAUSAL_LM) {
        return build_tied(build, &decoder->embed, &decoder->head.weight, llama->tied, embed, head);
    }
    TRY(build_table(build, &decoder->embed, config->n_vocab, config->d_model, "%s", embed != NULL ? embed : ""));
    if (config->task == TASK_CLASSIFIER) {
        TRY(build_labels(build));
        return build_matrix(build, &decoder->head.weight, config->n_classes, config->d_model, "score.weight");
    }
    return LIMN_OK;
}

limn_status llama_build(Build *build) {
    bool gguf = build->settings->gguf != NULL;
    ModelConfig *config = &build->model->config;
    LlamaConfig llama = {.rope = ARENA_NEW(&build->model->arena, Rope)};
    if (llama.rope == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for its configuration", build->model->path);
    }
    config->task = decoder_task(build->architecture);
    config->causal = true;
    TRY(gguf ? read_gguf(&llama, build) : read_json(&llama, build));
    TRY(weights_ignore(build->weights, "rotary_emb.inv_freq"));
    TRY(build_pad(build, -1));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    const LayerNames *names = gguf ? &gguf_names : &json_names;
    const char *prefix = gguf ? "" : build_prefix(build, "model.", "embed_tokens.weight");
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%s%s.%d.", prefix, names->layer, i);
        TRY(get_layer(build, &decoder.layers[i], &llama, names, layer));
    }
    TRY(get_outer(build, &decoder, &llama, prefix));
    return decoder_build(build, &decoder);
}
