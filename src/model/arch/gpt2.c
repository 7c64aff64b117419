/* GPT-2 (Radford et al. 2019): layer norms, learned positions, one fused projection for queries, keys and values,
 * matrices stored [in, out]. */
#include <math.h>
#include <stdio.h>

#include "model/decoder.h"

limn_status gpt2_build(Build *build);

typedef struct Gpt2Config {
    double epsilon;
    Activation activation;
    bool scale_by_width, scale_by_layer, tied;
    bool qkv_bias; /* false: no layer has one (minGPT's conversions), which the reference reads as zero */
} Gpt2Config;

static limn_status read_config(Gpt2Config *gpt2, Build *build) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    Sizes sizes = {0};
    static const char *const needed[] = {"n_positions", "n_embd", "n_layer", "n_head", "layer_norm_epsilon"};
    TRY(settings_need_gguf(settings, needed, sizeof needed / sizeof needed[0]));
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", build_vocabulary(build, 50257), 1, INT32_MAX));
    TRY(build_size(build, &sizes.n_context, "n_positions", "max_position_embeddings", 1024, INT32_MAX));
    TRY(build_size(build, &sizes.d_model, "n_embd", "hidden_size", 768, 1 << 20));
    TRY(build_size(build, &sizes.n_layers, "n_layer", "num_hidden_layers", 12, 1 << 14));
    TRY(build_size(build, &sizes.n_heads, "n_head", "num_attention_heads", 12, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "n_inner", 4 * sizes.d_model, 1, 1 << 24));
    TRY(settings_real(&gpt2->epsilon, settings, "layer_norm_epsilon", 1e-5, 0, 1));
    TRY(settings_bool(&gpt2->scale_by_width, settings, "scale_attn_weights", true));
    TRY(settings_bool(&gpt2->scale_by_layer, settings, "scale_attn_by_inverse_layer_idx", false));
    TRY(settings_bool(&gpt2->tied, settings, "tie_word_embeddings", true)); /* GGUF: a head counts when it differs */
    /* Only says at which precision attention is computed: here always f32. */
    bool upcast;
    TRY(settings_bool(&upcast, settings, "reorder_and_upcast_attn", false));
    TRY(settings_refuse(settings, "add_cross_attention", 0));
    TRY(build_activation(build, &gpt2->activation, "activation_function", "gelu_new"));
    if (sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "n_embd", "a multiple of n_head");
    }
    build_sizes(config, &sizes);
    return LIMN_OK;
}

/* Columns [begin, begin + out) of a fused Conv1D of `columns` columns, as [out, in] views. */
static limn_status get_conv(Build *build, Linear *linear, int64_t in, int64_t columns, int64_t begin, int64_t out,
                            bool has_bias, const char *prefix, const char *name) {
    Weight stored, bias;
    if (build->settings->gguf != NULL) { /* stored [out, in] there */
        TRY(build_matrix(build, &stored, columns, in, "%s%s.weight", prefix, name));
    } else {
        TRY(build_matrix(build, &stored, in, columns, "%s%s.weight", prefix, name));
        stored = weight_transposed(&stored);
    }
    linear->weight = weight_rows(&stored, begin, out);
    linear->bias = (Weight){0};
    if (!has_bias) {
        return LIMN_OK;
    }
    TRY(build_vector(build, &bias, columns, "%s%s.bias", prefix, name));
    linear->bias = weight_rows(&bias, begin, out);
    return LIMN_OK;
}

static limn_status get_layer(Build *build, DecoderLayer *layer, int index, const Gpt2Config *gpt2, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    double scale = gpt2->scale_by_width ? 1.0 / sqrt(config->d_head) : 1.0;
    scale = gpt2->scale_by_layer ? scale / (index + 1) : scale;
    AttentionSpec *attention = &layer->attention;
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_heads,
                                 .d_head = config->d_head,
                                 .scale = (float)scale,
                                 .causal = true};
    const char *fused = build_called(build, "attn.c_attn", "attn_qkv");
    TRY(get_conv(build, &attention->q, d, 3 * d, 0, d, gpt2->qkv_bias, prefix, fused));
    TRY(get_conv(build, &attention->k, d, 3 * d, d, d, gpt2->qkv_bias, prefix, fused));
    TRY(get_conv(build, &attention->v, d, 3 * d, 2 * d, d, gpt2->qkv_bias, prefix, fused));
    TRY(get_conv(build, &attention->o, d, d, 0, d, true, prefix, build_called(build, "attn.c_proj", "attn_output")));
    layer->mlp = (MlpSpec){.activation = gpt2->activation};
    TRY(get_conv(build, &layer->mlp.in, d, f, 0, f, true, prefix, build_called(build, "mlp.c_fc", "ffn_up")));
    TRY(get_conv(build, &layer->mlp.out, f, d, 0, d, true, prefix, build_called(build, "mlp.c_proj", "ffn_down")));
    TRY(build_layer_norm(build, &layer->ln1, gpt2->epsilon, true, prefix, build_called(build, "ln_1", "attn_norm")));
    return build_layer_norm(build, &layer->ln2, gpt2->epsilon, true, prefix, build_called(build, "ln_2", "ffn_norm"));
}

static limn_status get_outer(Build *build, Decoder *decoder, const Gpt2Config *gpt2, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    TRY(build_table(build, &decoder->positions, config->n_context, config->d_model, "%s%s.weight", prefix,
                    build_called(build, "wpe", "position_embd")));
    const OuterNames outer = {.ln_final = build_called(build, "ln_f", "output_norm"),
                              .embed = build_called(build, "wte", "token_embd"),
                              .head = build_called(build, "lm_head.weight", "output.weight")};
    return decoder_outer(build, decoder, &outer, gpt2->epsilon, gpt2->tied, prefix);
}

static limn_status look_for_qkv_bias(Build *build, Gpt2Config *gpt2, const char *prefix) {
    for (int i = 0; i < build->model->config.n_layers && !gpt2->qkv_bias; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s.%d.%s.bias", prefix, build_called(build, "h", "blk"), i,
                 build_called(build, "attn.c_attn", "attn_qkv"));
        gpt2->qkv_bias = weights_has(build->weights, name);
    }
    return gpt2->qkv_bias ? LIMN_OK
                          : build_warn(build, "%s: no layer has attn.c_attn.bias: taken as zero", build->model->path);
}

limn_status gpt2_build(Build *build) {
    ModelConfig *config = &build->model->config;
    Gpt2Config gpt2 = {0};
    config->task = decoder_task(build->architecture);
    config->causal = true;
    if (config->task == TASK_CAUSAL_LM) { /* padding on the left does not move them: as the reference generates */
        config->positions = POSITION_VISIBLE;
    }
    TRY(read_config(&gpt2, build));
    TRY(build_pad(build, -1));
    /* Causal masks, stored as buffers by older versions. */
    TRY(weights_ignore(build->weights, ".attn.bias"));
    TRY(weights_ignore(build->weights, ".attn.masked_bias"));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    const char *prefix = build_called(build, build_prefix(build, "transformer.", "wte.weight"), "");
    TRY(look_for_qkv_bias(build, &gpt2, prefix));
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%s%s.%d.", prefix, build_called(build, "h", "blk"), i);
        TRY(get_layer(build, &decoder.layers[i], i, &gpt2, layer));
    }
    TRY(get_outer(build, &decoder, &gpt2, prefix));
    return decoder_build(build, &decoder);
}
