/* Falcon (Almazrouei et al. 2023): layer norms, one fused projection, one key head for all queries (7B), a key head
 * for each group of them (the "new decoder architecture": 40B, 180B, Falcon2-11B) or for each of them (RW), attention
 * and MLP side by side on the stream, rotary positions or ALiBi (Press et al. 2022). */
#include <math.h>
#include <stdio.h>

#include "model/decoder.h"

limn_status falcon_build(Build *build);

typedef struct FalconConfig {
    double epsilon;
    Activation activation;
    bool grouped;     /* new_decoder_architecture */
    bool multi_query; /* one key head for all, when not grouped */
    bool parallel, bias, tied;
    bool two_norms; /* attention and MLP, side by side, read norms of their own */
    Rope *rope;     /* NULL: ALiBi */
    float *slopes;
} FalconConfig;

/* 2^(-8/n), its powers, and for the heads beyond a power of two the odd powers of the next finer root; to bf16. */
static limn_status alibi_slopes(FalconConfig *falcon, Build *build) {
    int32_t heads = build->model->config.n_heads, whole = 1;
    falcon->slopes = ARENA_ARRAY(&build->model->arena, float, heads);
    if (falcon->slopes == NULL) {
        return build_no_memory(build);
    }
    while (whole * 2 <= heads) {
        whole *= 2;
    }
    for (int32_t head = 0; head < heads; head++) {
        bool extra = head >= whole;
        float base = (float)exp2(-8.0 / (extra ? 2.0 * whole : whole));
        int32_t power = extra ? 2 * (head - whole) + 1 : head + 1;
        falcon->slopes[head] = bf16_to_f32(f32_to_bf16(powf(base, (float)power)));
    }
    return LIMN_OK;
}

/* GGUF files hold blocks side by side only, and tell by their tensors which norms there are. */
static limn_status read_gguf_shape(FalconConfig *falcon, Build *build) {
    ModelConfig *config = &build->model->config;
    int64_t n_kv;
    TRY(settings_integer(&n_kv, build->settings, "num_kv_heads", 1, 1, 1 << 14));
    if (config->n_heads % n_kv != 0) {
        return settings_fail(LIMN_FORMAT, build->settings, "num_kv_heads", "a divisor of the number of heads");
    }
    config->n_kv_heads = (int32_t)n_kv;
    falcon->parallel = true;
    falcon->two_norms = weights_has(build->weights, "blk.0.attn_norm_2.weight");
    falcon->tied = !weights_has(build->weights, "output.weight");
    return LIMN_OK;
}

/* How heads share keys, and how many norms a block has. */
static limn_status read_shape(FalconConfig *falcon, Build *build) {
    const Settings *settings = build->settings;
    if (settings->gguf != NULL) {
        return read_gguf_shape(falcon, build);
    }
    ModelConfig *config = &build->model->config;
    int64_t n_kv, n_norms;
    TRY(settings_bool(&falcon->grouped, settings, "new_decoder_architecture", false));
    TRY(settings_bool(&falcon->multi_query, settings, "multi_query", true));
    TRY(settings_bool(&falcon->parallel, settings, "parallel_attn", true));
    TRY(settings_integer(&n_kv, settings, "num_kv_heads", config->n_heads, 1, 1 << 14));
    TRY(settings_integer(&n_norms, settings, "num_ln_in_parallel_attn", falcon->grouped ? 2 : 1, 1, 2));
    if (falcon->grouped && config->n_heads % n_kv != 0) {
        return settings_fail(LIMN_FORMAT, settings, "num_kv_heads", "a divisor of num_attention_heads");
    }
    if (falcon->grouped && !falcon->parallel) {
        return settings_fail(LIMN_UNSUPPORTED, settings, "parallel_attn", "true beside new_decoder_architecture");
    }
    if (!falcon->grouped && falcon->parallel && n_norms != 1) {
        return settings_fail(LIMN_UNSUPPORTED, settings, "num_ln_in_parallel_attn",
                             "1 without new_decoder_architecture");
    }
    config->n_kv_heads = falcon->grouped ? (int32_t)n_kv : falcon->multi_query ? 1 : config->n_heads;
    falcon->two_norms = !falcon->parallel || n_norms == 2;
    return LIMN_OK;
}

static limn_status read_config(FalconConfig *falcon, Build *build) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    Sizes sizes = {0};
    bool alibi;
    static const char *const needed[] = {"hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_hidden_size",
                                         "layer_norm_epsilon"};
    TRY(settings_need_gguf(settings, needed, sizeof needed / sizeof needed[0]));
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", build_vocabulary(build, 65024), 1, INT32_MAX));
    TRY(build_size(build, &sizes.d_model, "n_embed", "hidden_size", 4544, 1 << 20));
    TRY(settings_integer(&sizes.n_layers, settings, "num_hidden_layers", 32, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_heads, settings, "num_attention_heads", 71, 1, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "ffn_hidden_size", 4 * sizes.d_model, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", 2048, 1, INT32_MAX));
    TRY(settings_real(&falcon->epsilon, settings, "layer_norm_epsilon", 1e-5, 0, 1));
    TRY(settings_bool(&falcon->bias, settings, "bias", false));
    TRY(settings_bool(&falcon->tied, settings, "tie_word_embeddings", true));
    TRY(settings_bool(&alibi, settings, "alibi", false));
    TRY(build_activation(build, &falcon->activation, "activation", "gelu"));
    if (sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    build_sizes(config, &sizes);
    TRY(read_shape(falcon, build));
    if (alibi) {
        falcon->rope = NULL;
        config->positions = POSITION_UNBROKEN;
        return alibi_slopes(falcon, build);
    }
    return settings->gguf != NULL
               ? rope_from_gguf(falcon->rope, &build->model->arena, settings, build->weights, "falcon", config->d_head)
               : rope_from_json(falcon->rope, &build->model->arena, settings, config->d_head, sizes.n_context);
}

static limn_status get_layer(Build *build, DecoderLayer *layer, const FalconConfig *falcon, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    AttentionSpec *attention = &layer->attention;
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_kv_heads,
                                 .d_head = config->d_head,
                                 .scale = (float)(1.0 / sqrt(config->d_head)),
                                 .causal = true,
                                 .rope = falcon->rope,
                                 .alibi_slopes = falcon->slopes};
    TRY(build_fused_qkv(build, attention, falcon->bias, prefix,
                        build_called(build, "self_attention.query_key_value", "attn_qkv")));
    TRY(build_linear(build, &attention->o, d, d, falcon->bias, prefix,
                     build_called(build, "self_attention.dense", "attn_output")));
    layer->mlp = (MlpSpec){.activation = falcon->activation};
    TRY(build_linear(build, &layer->mlp.in, f, d, falcon->bias, prefix,
                     build_called(build, "mlp.dense_h_to_4h", "ffn_up")));
    TRY(build_linear(build, &layer->mlp.out, d, f, falcon->bias, prefix,
                     build_called(build, "mlp.dense_4h_to_h", "ffn_down")));
    bool both = falcon->parallel && falcon->two_norms;
    const char *ln1 =
        both ? build_called(build, "ln_attn", "attn_norm_2") : build_called(build, "input_layernorm", "attn_norm");
    const char *ln2 = both ? build_called(build, "ln_mlp", "attn_norm") : "post_attention_layernorm";
    TRY(build_layer_norm(build, &layer->ln1, falcon->epsilon, true, prefix, ln1));
    return falcon->two_norms ? build_layer_norm(build, &layer->ln2, falcon->epsilon, true, prefix, ln2) : LIMN_OK;
}

limn_status falcon_build(Build *build) {
    ModelConfig *config = &build->model->config;
    FalconConfig falcon = {.rope = ARENA_NEW(&build->model->arena, Rope)};
    if (falcon.rope == NULL) {
        return build_no_memory(build);
    }
    config->task = decoder_task(build->architecture);
    config->causal = true;
    TRY(read_config(&falcon, build));
    TRY(build_pad(build, -1));
    TRY(weights_ignore(build->weights, "rotary_emb.inv_freq"));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    decoder.order = !falcon.parallel ? DECODER_SERIAL : falcon.two_norms ? DECODER_PARALLEL : DECODER_PARALLEL_SHARED;
    const char *prefix = build_called(build, build_prefix(build, "transformer.", "word_embeddings.weight"), "");
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%s%s.%d.", prefix, build_called(build, "h", "blk"), i);
        TRY(get_layer(build, &decoder.layers[i], &falcon, layer));
    }
    const OuterNames outer = {.ln_final = build_called(build, "ln_f", "output_norm"),
                              .embed = build_called(build, "word_embeddings", "token_embd"),
                              .head = build_called(build, "lm_head.weight", "output.weight")};
    TRY(decoder_outer(build, &decoder, &outer, falcon.epsilon, falcon.tied, prefix));
    return decoder_build(build, &decoder);
}
