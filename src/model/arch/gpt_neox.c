/* GPT-NeoX and Pythia (Black et al. 2022, Biderman et al. 2023): layer norms, rotary positions on a part of each head,
 * attention and MLP side by side on the stream (or one after the other), one fused projection whose rows go head by
 * head: the head's query, its key, its value. */
#include <math.h>
#include <stdio.h>

#include "model/decoder.h"

limn_status gpt_neox_build(Build *build);

typedef struct NeoxConfig {
    double epsilon;
    Activation activation;
    bool parallel, bias, tied;
    Rope *rope;
} NeoxConfig;

static limn_status read_config(NeoxConfig *neox, Build *build) {
    static const RopeKeys keys = {.theta = "rotary_emb_base", .partial = "rotary_pct", .default_partial = 0.25};
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    Sizes sizes = {0};
    static const char *const needed[] = {"hidden_size",       "num_hidden_layers",       "num_attention_heads",
                                         "intermediate_size", "max_position_embeddings", "layer_norm_eps"};
    TRY(settings_need_gguf(settings, needed, sizeof needed / sizeof needed[0]));
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", build_vocabulary(build, 50432), 1, INT32_MAX));
    TRY(settings_integer(&sizes.d_model, settings, "hidden_size", 6144, 1, 1 << 20));
    TRY(settings_integer(&sizes.n_layers, settings, "num_hidden_layers", 44, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_heads, settings, "num_attention_heads", 64, 1, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "intermediate_size", 24576, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", 2048, 1, INT32_MAX));
    TRY(settings_real(&neox->epsilon, settings, "layer_norm_eps", 1e-5, 0, 1));
    TRY(settings_bool(&neox->parallel, settings, "use_parallel_residual", true));
    TRY(settings_bool(&neox->bias, settings, "attention_bias", true));
    TRY(settings_bool(&neox->tied, settings, "tie_word_embeddings", false));
    TRY(build_activation(build, &neox->activation, "hidden_act", "gelu"));
    if (sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    build_sizes(config, &sizes);
    if (settings->gguf != NULL) {
        neox->bias = weights_has(build->weights, "blk.0.attn_qkv.bias");
        neox->tied = !weights_has(build->weights, "output.weight");
        return rope_from_gguf(neox->rope, &build->model->arena, settings, build->weights, "gptneox", config->d_head);
    }
    return rope_from_json_as(neox->rope, &build->model->arena, settings, &keys, config->d_head, sizes.n_context);
}

static limn_status get_layer(Build *build, DecoderLayer *layer, const NeoxConfig *neox, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    AttentionSpec *attention = &layer->attention;
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_heads,
                                 .d_head = config->d_head,
                                 .scale = (float)(1.0 / sqrt(config->d_head)),
                                 .causal = true,
                                 .rope = neox->rope};
    TRY(build_fused_qkv(build, attention, neox->bias, prefix,
                        build_called(build, "attention.query_key_value", "attn_qkv")));
    TRY(build_linear(build, &attention->o, d, d, neox->bias, prefix,
                     build_called(build, "attention.dense", "attn_output")));
    layer->mlp = (MlpSpec){.activation = neox->activation};
    TRY(build_linear(build, &layer->mlp.in, f, d, true, prefix, build_called(build, "mlp.dense_h_to_4h", "ffn_up")));
    TRY(build_linear(build, &layer->mlp.out, d, f, true, prefix, build_called(build, "mlp.dense_4h_to_h", "ffn_down")));
    TRY(build_layer_norm(build, &layer->ln1, neox->epsilon, true, prefix,
                         build_called(build, "input_layernorm", "attn_norm")));
    return build_layer_norm(build, &layer->ln2, neox->epsilon, true, prefix,
                            build_called(build, "post_attention_layernorm", "ffn_norm"));
}

limn_status gpt_neox_build(Build *build) {
    ModelConfig *config = &build->model->config;
    NeoxConfig neox = {.rope = ARENA_NEW(&build->model->arena, Rope)};
    if (neox.rope == NULL) {
        return build_no_memory(build);
    }
    config->task = decoder_task(build->architecture);
    config->causal = true;
    TRY(read_config(&neox, build));
    TRY(build_pad(build, -1));
    /* Causal masks and frequencies, stored as buffers by older versions. */
    TRY(weights_ignore(build->weights, ".attention.bias"));
    TRY(weights_ignore(build->weights, ".attention.masked_bias"));
    TRY(weights_ignore(build->weights, ".attention.rotary_emb.inv_freq"));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    decoder.order = neox.parallel ? DECODER_PARALLEL : DECODER_SERIAL;
    const char *prefix = build_called(build, build_prefix(build, "gpt_neox.", "embed_in.weight"), "");
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%s%s.%d.", prefix, build_called(build, "layers", "blk"), i);
        TRY(get_layer(build, &decoder.layers[i], &neox, layer));
    }
    const char *head = weights_has(build->weights, "lm_head.weight") ? "lm_head.weight" : "embed_out.weight";
    const OuterNames outer = {.ln_final = build_called(build, "final_layer_norm", "output_norm"),
                              .embed = build_called(build, "embed_in", "token_embd"),
                              .head = build_called(build, head, "output.weight")};
    TRY(decoder_outer(build, &decoder, &outer, neox.epsilon, neox.tied, prefix));
    return decoder_build(build, &decoder);
}
