/* DistilBERT (Sanh et al. 2019): half of BERT's layers, without token types or pooler. */
#include <stdio.h>

#include "model/encoder.h"

limn_status distilbert_build(Build *build);

/* The reference does not state it in its configuration. */
static const double epsilon = 1e-12;

static limn_status read_config(Encoder *distilbert, Build *build, bool *tied) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    Sizes sizes = {0};
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", 30522, 1, INT32_MAX));
    TRY(build_size(build, &sizes.d_model, "dim", "hidden_size", 768, 1 << 20));
    TRY(build_size(build, &sizes.n_layers, "n_layers", "num_hidden_layers", 6, 1 << 14));
    TRY(build_size(build, &sizes.n_heads, "n_heads", "num_attention_heads", 12, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "hidden_dim", 3072, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", 512, 1, INT32_MAX));
    TRY(settings_bool(tied, settings, "tie_word_embeddings", true));
    TRY(build_activation(build, &distilbert->activation, "activation", "gelu"));
    TRY(build_pad(build, 0));
    if (sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "dim", "a multiple of n_heads");
    }
    distilbert->epsilon = epsilon;
    build_sizes(config, &sizes);
    return LIMN_OK;
}

static limn_status get_layer(Build *build, EncoderLayer *layer, const Encoder *distilbert, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    encoder_attention(&layer->attention, config);
    TRY(build_linear(build, &layer->attention.q, d, d, true, prefix, "attention.q_lin"));
    TRY(build_linear(build, &layer->attention.k, d, d, true, prefix, "attention.k_lin"));
    TRY(build_linear(build, &layer->attention.v, d, d, true, prefix, "attention.v_lin"));
    TRY(build_linear(build, &layer->attention.o, d, d, true, prefix, "attention.out_lin"));
    TRY(encoder_norm(build, &layer->ln1, distilbert, prefix, "sa_layer_norm"));
    layer->mlp = (MlpSpec){.activation = distilbert->activation};
    TRY(build_linear(build, &layer->mlp.in, f, d, true, prefix, "ffn.lin1"));
    TRY(build_linear(build, &layer->mlp.out, d, f, true, prefix, "ffn.lin2"));
    return encoder_norm(build, &layer->ln2, distilbert, prefix, "output_layer_norm");
}

static limn_status get_body(Build *build, Encoder *distilbert, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    TRY(build_table(build, &distilbert->positions, config->n_context, config->d_model,
                    "%sembeddings.position_embeddings.weight", prefix));
    TRY(encoder_norm(build, &distilbert->embed_ln, distilbert, prefix, "embeddings.LayerNorm"));
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%stransformer.layer.%d.", prefix, i);
        TRY(get_layer(build, &distilbert->layers[i], distilbert, layer));
    }
    return LIMN_OK;
}

static limn_status get_head(Build *build, Encoder *distilbert, bool tied, const char *prefix) {
    ModelConfig *config = &build->model->config;
    int64_t d = config->d_model;
    const char *words = build_name(build, "%sembeddings.word_embeddings.weight", prefix);
    if (words == NULL) {
        return build_no_memory(build);
    }
    if (config->task == TASK_MASKED_LM) {
        TRY(build_linear(build, &distilbert->transform, d, d, true, "", "vocab_transform"));
        distilbert->transform_activation = distilbert->activation;
        TRY(encoder_norm(build, &distilbert->transform_ln, distilbert, "", "vocab_layer_norm"));
        TRY(build_tied(build, &distilbert->words, &distilbert->head.weight, tied, words, "vocab_projector.weight"));
        return build_vector(build, &distilbert->head.bias, config->n_vocab, "vocab_projector.bias");
    }
    TRY(build_table(build, &distilbert->words, config->n_vocab, d, "%s", words));
    if (config->task == TASK_CLASSIFIER) {
        TRY(build_labels(build));
        distilbert->pooler_activation = ACTIVATION_RELU;
        TRY(build_linear(build, &distilbert->pooler, d, d, true, "", "pre_classifier"));
        return build_linear(build, &distilbert->head, config->n_classes, d, true, "", "classifier");
    }
    return LIMN_OK;
}

limn_status distilbert_build(Build *build) {
    Encoder distilbert = {0};
    bool tied;
    TRY(read_config(&distilbert, build, &tied));
    TRY(encoder_new(&distilbert, build));
    TRY(weights_ignore(build->weights, "embeddings.position_ids"));
    const char *prefix = build_prefix(build, "distilbert.", "embeddings.word_embeddings.weight");
    TRY(get_body(build, &distilbert, prefix));
    TRY(get_head(build, &distilbert, tied, prefix));
    return encoder_build(build, &distilbert);
}
