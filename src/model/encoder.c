#include "model/encoder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static limn_status encoder_task(ModelTask *task, const Build *build) {
    const char *name = build->architecture;
    bool masked = strstr(name, "ForMaskedLM") != NULL || strstr(name, "ForPreTraining") != NULL;
    *task = strstr(name, "ForSequenceClassification") != NULL ? TASK_CLASSIFIER
            : masked                                          ? TASK_MASKED_LM
                                                              : TASK_ENCODER;
    if (build->options->frame != FRAME_TRANSFORMERLENS) {
        return LIMN_OK;
    }
    return fail(LIMN_UNSUPPORTED,
                "%s: --frame transformerlens cannot be had for %s (its norms follow the sublayers, so nothing can be "
                "folded)",
                build->model->path, name);
}

limn_status encoder_new(Encoder *encoder, Build *build) {
    ModelConfig *config = &build->model->config;
    TRY(encoder_task(&config->task, build));
    encoder->layers = ARENA_ARRAY(&build->model->arena, EncoderLayer, config->n_layers);
    return encoder->layers != NULL
               ? LIMN_OK
               : fail(LIMN_NO_MEMORY, "%s: no memory for %d layers", build->model->path, config->n_layers);
}

limn_status encoder_norm(Build *build, NormSpec *norm, const Encoder *encoder, const char *prefix, const char *name) {
    char gamma[256];
    snprintf(gamma, sizeof gamma, "%s%s.gamma", prefix, name);
    bool old = weights_has(build->weights, gamma);
    int64_t d = build->model->config.d_model;
    *norm = (NormSpec){.kind = NORM_LAYER, .epsilon = (float)encoder->epsilon};
    TRY(build_vector(build, &norm->gain, d, "%s%s.%s", prefix, name, old ? "gamma" : "weight"));
    return build_vector(build, &norm->bias, d, "%s%s.%s", prefix, name, old ? "beta" : "bias");
}

void encoder_attention(AttentionSpec *attention, const ModelConfig *config) {
    *attention = (AttentionSpec){.n_heads = config->n_heads,
                                 .n_kv_heads = config->n_heads,
                                 .d_head = config->d_head,
                                 .scale = (float)(1.0 / sqrt(config->d_head))};
}

/* --- the graph --- */

static NodeId add_layer(Graph *graph, int layer, NodeId x, const EncoderLayer *weights) {
    graph_site(graph, x, "hook_resid_pre", layer);
    x = add_post_norm(graph, layer, x, &weights->attention, &weights->ln1, &weights->mlp, &weights->ln2);
    return graph_site(graph, x, "hook_resid_post", layer);
}

static void add_head(Graph *graph, const Encoder *encoder) {
    NodeId x = graph->selected;
    if (encoder->transform.weight.name != NULL) {
        x = add_linear(graph, -1, x, &encoder->transform, "mlm_head");
        graph_site(graph, x, "mlm_head.hook_out", -1);
        x = add_activation(graph, -1, x, encoder->transform_activation, "mlm_head");
        x = add_norm(graph, -1, x, &encoder->transform_ln, "ln_final");
    } else if (encoder->pooler.weight.name != NULL) {
        x = add_linear(graph, -1, x, &encoder->pooler, "pooler");
        x = add_activation(graph, -1, x, encoder->pooler_activation, "pooler");
        graph_site(graph, x, "pooler.hook_pooler_out", -1);
    }
    if (encoder->head.weight.name != NULL) {
        add_objectives(graph, add_linear(graph, -1, x, &encoder->head, "logits"));
    }
}

limn_status encoder_build(Build *build, const Encoder *encoder) {
    Graph *graph = &build->model->graph;
    TRY(build_weights(build));
    NodeId x = add_embedding(graph, OP_EMBED, &encoder->words, "hook_embed");
    graph->embed = x;
    if (encoder->types.name != NULL) {
        NodeId types = add_embedding(graph, OP_TYPE_EMBED, &encoder->types, "hook_token_type_embed");
        x = add_binary(graph, OP_ADD, -1, x, types, "embeddings");
    }
    NodeId positions = add_positions(graph, &encoder->positions, encoder->position_offset);
    x = add_binary(graph, OP_ADD, -1, x, positions, "embeddings");
    x = add_norm(graph, -1, x, &encoder->embed_ln, "embed_ln");
    for (int layer = 0; layer < build->model->config.n_layers; layer++) {
        x = add_layer(graph, layer, x, &encoder->layers[layer]);
    }
    graph->final = x;
    graph->selected = add_unary(graph, OP_SELECT_ROWS, -1, x, "selected rows");
    add_head(graph, encoder);
    return LIMN_OK;
}

/* --- BERT and RoBERTa --- */

limn_status bert_read_config(Encoder *encoder, Build *build, const BertDefaults *defaults, int64_t *n_types,
                             bool *tied) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    Sizes sizes = {0};
    static const char *const needed[] = {"hidden_size",       "num_hidden_layers",       "num_attention_heads",
                                         "intermediate_size", "max_position_embeddings", "layer_norm_eps"};
    TRY(settings_need_gguf(settings, needed, sizeof needed / sizeof needed[0]));
    TRY(settings_integer(&sizes.n_vocab, settings, "vocab_size", build_vocabulary(build, defaults->n_vocab), 1,
                         INT32_MAX));
    TRY(settings_integer(&sizes.d_model, settings, "hidden_size", 768, 1, 1 << 20));
    TRY(settings_integer(&sizes.n_layers, settings, "num_hidden_layers", 12, 1, 1 << 14));
    TRY(settings_integer(&sizes.n_heads, settings, "num_attention_heads", 12, 1, 1 << 14));
    TRY(settings_integer(&sizes.d_mlp, settings, "intermediate_size", 3072, 1, 1 << 24));
    TRY(settings_integer(&sizes.n_context, settings, "max_position_embeddings", 512, 1, INT32_MAX));
    TRY(settings_integer(n_types, settings, build_called(build, "type_vocab_size", "tokenizer.ggml.token_type_count"),
                         2, 1, 256));
    TRY(settings_real(&encoder->epsilon, settings, "layer_norm_eps", 1e-12, 0, 1));
    TRY(settings_bool(tied, settings, "tie_word_embeddings", true));
    TRY(build_activation(build, &encoder->activation, "hidden_act", "gelu"));
    TRY(build_pad(build, defaults->pad_id));
    const char *positions;
    size_t length;
    TRY(settings_text(&positions, &length, settings, "position_embedding_type"));
    if (positions != NULL && (length != 8 || memcmp(positions, "absolute", 8) != 0)) {
        return settings_fail(LIMN_UNSUPPORTED, settings, "position_embedding_type",
                             "\"absolute\" (others are not implemented)");
    }
    TRY(settings_refuse(settings, "is_decoder", 0));
    TRY(settings_refuse(settings, "add_cross_attention", 0));
    if (sizes.d_model % sizes.n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    build_sizes(config, &sizes);
    return LIMN_OK;
}

static limn_status bert_get_layer(Build *build, EncoderLayer *layer, const Encoder *encoder, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    encoder_attention(&layer->attention, config);
    TRY(build_linear(build, &layer->attention.q, d, d, true, prefix,
                     build_called(build, "attention.self.query", "attn_q")));
    TRY(build_linear(build, &layer->attention.k, d, d, true, prefix,
                     build_called(build, "attention.self.key", "attn_k")));
    TRY(build_linear(build, &layer->attention.v, d, d, true, prefix,
                     build_called(build, "attention.self.value", "attn_v")));
    TRY(build_linear(build, &layer->attention.o, d, d, true, prefix,
                     build_called(build, "attention.output.dense", "attn_output")));
    TRY(encoder_norm(build, &layer->ln1, encoder, prefix,
                     build_called(build, "attention.output.LayerNorm", "attn_output_norm")));
    layer->mlp = (MlpSpec){.activation = encoder->activation};
    TRY(build_linear(build, &layer->mlp.in, f, d, true, prefix, build_called(build, "intermediate.dense", "ffn_up")));
    TRY(build_linear(build, &layer->mlp.out, d, f, true, prefix, build_called(build, "output.dense", "ffn_down")));
    return encoder_norm(build, &layer->ln2, encoder, prefix,
                        build_called(build, "output.LayerNorm", "layer_output_norm"));
}

limn_status bert_get_body(Encoder *encoder, Build *build, int64_t n_types, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, places = (int64_t)config->n_context + encoder->position_offset;
    places += config->positions == POSITION_NOT_PAD; /* whose first place has the number 1 */
    TRY(weights_ignore(build->weights, "embeddings.position_ids"));
    TRY(build_table(build, &encoder->positions, places, d, "%s%s.weight", prefix,
                    build_called(build, "embeddings.position_embeddings", "position_embd")));
    TRY(build_table(build, &encoder->types, n_types, d, "%s%s.weight", prefix,
                    build_called(build, "embeddings.token_type_embeddings", "token_types")));
    TRY(encoder_norm(build, &encoder->embed_ln, encoder, prefix,
                     build_called(build, "embeddings.LayerNorm", "token_embd_norm")));
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%s%s.%d.", prefix, build_called(build, "encoder.layer", "blk"), i);
        TRY(bert_get_layer(build, &encoder->layers[i], encoder, layer));
    }
    return LIMN_OK;
}
