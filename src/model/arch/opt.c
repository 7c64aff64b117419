/* OPT (Zhang et al. 2022): layer norms, learned positions that begin at row 2 of their table and count visible tokens.
 * The 350m model has its norms after each sublayer, no final norm, and an embedding narrower than the stream. */
#include <math.h>
#include <stdio.h>

#include "model/decoder.h"

limn_status opt_build(Build *build);

/* The reference states neither the epsilon nor the offset in its configuration. */
static const double epsilon = 1e-5;
enum { POSITION_OFFSET = 2 };

typedef struct OptConfig {
    Activation activation;
    int64_t d_embed; /* E */
    bool norm_before, no_final_norm, bias, affine, tied;
} OptConfig;

static limn_status read_config(OptConfig *opt, Build *build) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    Sizes sizes = {0};
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", 50272, 1, INT32_MAX));
    TRY(settings_integer(&sizes.d_model, settings, "hidden_size", 768, 1, 1 << 20));
    TRY(settings_integer(&opt->d_embed, settings, "word_embed_proj_dim", sizes.d_model, 1, 1 << 20));
    TRY(settings_integer(&sizes.n_layers, settings, "num_hidden_layers", 12, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_heads, settings, "num_attention_heads", 12, 1, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "ffn_dim", 3072, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", 2048, 1, INT32_MAX - POSITION_OFFSET));
    TRY(settings_bool(&opt->norm_before, settings, "do_layer_norm_before", true));
    TRY(settings_bool(&opt->no_final_norm, settings, "_remove_final_layer_norm", false));
    TRY(settings_bool(&opt->bias, settings, "enable_bias", true));
    TRY(settings_bool(&opt->affine, settings, "layer_norm_elementwise_affine", true));
    TRY(settings_bool(&opt->tied, settings, "tie_word_embeddings", true));
    TRY(build_activation(build, &opt->activation, "activation_function", "relu"));
    if (sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    opt->no_final_norm = opt->no_final_norm || !opt->norm_before;
    build_sizes(config, &sizes);
    return LIMN_OK;
}

static limn_status get_layer(Build *build, DecoderLayer *layer, const OptConfig *opt, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    AttentionSpec *attention = &layer->attention;
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_heads,
                                 .d_head = config->d_head,
                                 .scale = (float)(1.0 / sqrt(config->d_head)),
                                 .causal = true};
    TRY(build_linear(build, &attention->q, d, d, opt->bias, prefix, "self_attn.q_proj"));
    TRY(build_linear(build, &attention->k, d, d, opt->bias, prefix, "self_attn.k_proj"));
    TRY(build_linear(build, &attention->v, d, d, opt->bias, prefix, "self_attn.v_proj"));
    TRY(build_linear(build, &attention->o, d, d, opt->bias, prefix, "self_attn.out_proj"));
    layer->mlp = (MlpSpec){.activation = opt->activation};
    TRY(build_linear(build, &layer->mlp.in, f, d, opt->bias, prefix, "fc1"));
    TRY(build_linear(build, &layer->mlp.out, d, f, opt->bias, prefix, "fc2"));
    TRY(build_layer_norm(build, &layer->ln1, epsilon, opt->affine, prefix, "self_attn_layer_norm"));
    return build_layer_norm(build, &layer->ln2, epsilon, opt->affine, prefix, "final_layer_norm");
}

static limn_status get_outer(Build *build, Decoder *decoder, const OptConfig *opt, const char *prefix) {
    ModelConfig *config = &build->model->config;
    int64_t d = config->d_model;
    TRY(build_table(build, &decoder->positions, config->n_context + POSITION_OFFSET, d, "%sembed_positions.weight",
                    prefix));
    decoder->position_offset = POSITION_OFFSET;
    decoder->no_ln_final = opt->no_final_norm;
    if (!opt->no_final_norm) {
        TRY(build_layer_norm(build, &decoder->ln_final, epsilon, opt->affine, prefix, "final_layer_norm"));
    }
    if (opt->d_embed != d) {
        TRY(build_linear(build, &decoder->project_in, d, opt->d_embed, false, prefix, "project_in"));
        TRY(build_linear(build, &decoder->project_out, opt->d_embed, d, false, prefix, "project_out"));
    }
    if (config->task == TASK_CAUSAL_LM) {
        return build_tied_width(build, &decoder->embed, &decoder->head.weight, opt->d_embed, opt->tied,
                                build_name(build, "%sembed_tokens.weight", prefix), "lm_head.weight");
    }
    TRY(build_table(build, &decoder->embed, config->n_vocab, opt->d_embed, "%sembed_tokens.weight", prefix));
    return decoder_score(build, decoder, opt->d_embed);
}

limn_status opt_build(Build *build) {
    ModelConfig *config = &build->model->config;
    OptConfig opt = {0};
    config->task = decoder_task(build->architecture);
    config->causal = true;
    config->positions = POSITION_VISIBLE;
    config->least_position = -1;
    TRY(read_config(&opt, build));
    TRY(build_pad(build, 1));
    Decoder decoder;
    TRY(decoder_new(&decoder, build));
    decoder.order = opt.norm_before ? DECODER_SERIAL : DECODER_POST_NORM;
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%sdecoder.", build_prefix(build, "model.", "decoder.embed_tokens.weight"));
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%slayers.%d.", prefix, i);
        TRY(get_layer(build, &decoder.layers[i], &opt, layer));
    }
    TRY(get_outer(build, &decoder, &opt, prefix));
    return decoder_build(build, &decoder);
}
