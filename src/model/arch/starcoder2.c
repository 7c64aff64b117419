/* StarCoder 2 (Lozhkov et al. 2024): layer norms and biases as GPT-2, rotary positions, grouped queries and a window on
 * the keys as Mistral, an MLP without a gate. */
#include <math.h>
#include <stdio.h>

#include "model/decoder.h"

limn_status starcoder2_build(Build *build);

typedef struct StarcoderConfig {
    double epsilon;
    Activation activation;
    int64_t window; /* 0: none */
    bool bias, tied;
    Rope *rope;
} StarcoderConfig;

static limn_status read_sizes(Build *build) {
    const Settings *settings = build->settings;
    Sizes sizes = {0};
    static const char *const needed[] = {"hidden_size",         "num_hidden_layers", "num_attention_heads",
                                         "num_key_value_heads", "intermediate_size", "max_position_embeddings",
                                         "norm_epsilon"};
    TRY(settings_need_gguf(settings, needed, sizeof needed / sizeof needed[0]));
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", build_vocabulary(build, 49152), 1, INT32_MAX));
    TRY(settings_integer(&sizes.d_model, settings, "hidden_size", 3072, 1, 1 << 20));
    TRY(settings_integer(&sizes.n_layers, settings, "num_hidden_layers", 30, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_heads, settings, "num_attention_heads", 24, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_kv_heads, settings, "num_key_value_heads", 2, 1, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "intermediate_size", 12288, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", 4096, 1, INT32_MAX));
    TRY(settings_integer(&sizes.d_head, settings, "head_dim", sizes.d_model / sizes.n_heads, 1, 1 << 16));
    if (!settings_has(settings, "head_dim") && sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    if (sizes.n_heads % sizes.n_kv_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "num_key_value_heads", "a divisor of num_attention_heads");
    }
    build_sizes(&build->model->config, &sizes);
    return LIMN_OK;
}

static limn_status read_config(StarcoderConfig *starcoder, Build *build) {
    const Settings *settings = build->settings;
    const ModelConfig *config = &build->model->config;
    Arena *arena = &build->model->arena;
    const char *window = build_called(build, "sliding_window", "starcoder2.attention.sliding_window");
    TRY(read_sizes(build));
    TRY(settings_real(&starcoder->epsilon, settings, "norm_epsilon", 1e-5, 0, 1));
    TRY(settings_integer(&starcoder->window, settings, window, 0, 1, INT32_MAX));
    TRY(settings_bool(&starcoder->bias, settings, "use_bias", true));
    TRY(settings_bool(&starcoder->tied, settings, "tie_word_embeddings", true));
    TRY(build_activation(build, &starcoder->activation, "hidden_act", "gelu_pytorch_tanh"));
    if (settings->gguf != NULL) {
        starcoder->bias = weights_has(build->weights, "blk.0.attn_q.bias");
        starcoder->tied = !weights_has(build->weights, "output.weight");
        return rope_from_gguf(starcoder->rope, arena, settings, build->weights, "starcoder2", config->d_head);
    }
    return rope_from_json(starcoder->rope, arena, settings, config->d_head, config->n_context);
}

static limn_status get_layer(Build *build, DecoderLayer *layer, const StarcoderConfig *starcoder, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    int64_t queries = (int64_t)config->n_heads * config->d_head, keys = (int64_t)config->n_kv_heads * config->d_head;
    AttentionSpec *attention = &layer->attention;
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_kv_heads,
                                 .d_head = config->d_head,
                                 .scale = (float)(1.0 / sqrt(config->d_head)),
                                 .causal = true,
                                 .rope = starcoder->rope,
                                 .window = (int32_t)starcoder->window};
    layer->mlp = (MlpSpec){.activation = starcoder->activation};
    const struct {
        Linear *linear;
        int64_t rows, columns;
        const char *folder, *gguf;
    } matrices[] = {{&attention->q, queries, d, "self_attn.q_proj", "attn_q"},
                    {&attention->k, keys, d, "self_attn.k_proj", "attn_k"},
                    {&attention->v, keys, d, "self_attn.v_proj", "attn_v"},
                    {&attention->o, d, queries, "self_attn.o_proj", "attn_output"},
                    {&layer->mlp.in, f, d, "mlp.c_fc", "ffn_up"},
                    {&layer->mlp.out, d, f, "mlp.c_proj", "ffn_down"}};
    for (size_t i = 0; i < sizeof matrices / sizeof matrices[0]; i++) {
        TRY(build_linear(build, matrices[i].linear, matrices[i].rows, matrices[i].columns, starcoder->bias, prefix,
                         build_called(build, matrices[i].folder, matrices[i].gguf)));
    }
    TRY(build_layer_norm(build, &layer->ln1, starcoder->epsilon, true, prefix,
                         build_called(build, "input_layernorm", "attn_norm")));
    return build_layer_norm(build, &layer->ln2, starcoder->epsilon, true, prefix,
                            build_called(build, "post_attention_layernorm", "ffn_norm"));
}

limn_status starcoder2_build(Build *build) {
    ModelConfig *config = &build->model->config;
    StarcoderConfig starcoder = {.rope = ARENA_NEW(&build->model->arena, Rope)};
    if (starcoder.rope == NULL) {
        return build_no_memory(build);
    }
    config->task = decoder_task(build->architecture);
    config->causal = true;
    TRY(read_config(&starcoder, build));
    TRY(build_pad(build, -1));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    const char *prefix = build_called(build, build_prefix(build, "model.", "embed_tokens.weight"), "");
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%s%s.%d.", prefix, build_called(build, "layers", "blk"), i);
        TRY(get_layer(build, &decoder.layers[i], &starcoder, layer));
    }
    const OuterNames outer = {.ln_final = build_called(build, "norm", "output_norm"),
                              .embed = build_called(build, "embed_tokens", "token_embd"),
                              .head = build_called(build, "lm_head.weight", "output.weight")};
    TRY(decoder_outer(build, &decoder, &outer, starcoder.epsilon, starcoder.tied, prefix));
    return decoder_build(build, &decoder);
}
