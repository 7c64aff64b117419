/* BERT (Devlin et al. 2019): an encoder whose norms follow each residual sum.
 *
 * blocks.i.hook_resid_pre and hook_resid_post are the hidden states between layers; hook_resid_mid is the input of
 * the attention's norm (ln1); the norm of the MLP's sum (ln2) ends the block. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/arch.h"
#include "model/blocks.h"

limn_status bert_build(Build *build);

typedef struct BertLayer {
    AttentionSpec attention;
    NormSpec ln1, ln2;
    MlpSpec mlp;
} BertLayer;

typedef struct Bert {
    double epsilon;
    Activation activation;
    bool tied;
    Weight words, positions, types;
    NormSpec embed_ln;
    BertLayer *layers; /* [L] */
    Linear pooler;     /* absent: none */
    Linear transform;  /* masked LM: dense and norm before the decoder */
    NormSpec transform_ln;
    Linear head; /* absent: a bare encoder */
} Bert;

static limn_status read_config(Bert *bert, Build *build, int64_t *n_types) {
    const Settings *settings = build->settings;
    ModelConfig *config = &build->model->config;
    int64_t n_vocab, d_model, n_layers, n_heads, d_mlp, n_context;
    TRY(settings_integer(&n_vocab, settings, "vocab_size", 30522, 1, INT32_MAX));
    TRY(settings_integer(&d_model, settings, "hidden_size", 768, 1, 1 << 20));
    TRY(settings_integer(&n_layers, settings, "num_hidden_layers", 12, 1, 1 << 14));
    TRY(settings_integer(&n_heads, settings, "num_attention_heads", 12, 1, 1 << 14));
    TRY(settings_integer(&d_mlp, settings, "intermediate_size", 3072, 1, 1 << 24));
    TRY(settings_integer(&n_context, settings, "max_position_embeddings", 512, 1, INT32_MAX));
    TRY(settings_integer(n_types, settings, "type_vocab_size", 2, 1, 256));
    TRY(settings_real(&bert->epsilon, settings, "layer_norm_eps", 1e-12, 0, 1));
    TRY(settings_bool(&bert->tied, settings, "tie_word_embeddings", true));
    TRY(build_activation(build, &bert->activation, "hidden_act", "gelu"));
    const char *positions;
    size_t length;
    TRY(settings_text(&positions, &length, settings, "position_embedding_type"));
    if (positions != NULL && (length != 8 || memcmp(positions, "absolute", 8) != 0)) {
        return settings_fail(LIMN_UNSUPPORTED, settings, "position_embedding_type",
                             "\"absolute\" (others are not implemented)");
    }
    TRY(settings_refuse(settings, "is_decoder", 0));
    TRY(settings_refuse(settings, "add_cross_attention", 0));
    if (d_model % n_heads != 0) {
        return settings_fail(LIMN_FORMAT, settings, "hidden_size", "a multiple of num_attention_heads");
    }
    config->n_vocab = (int32_t)n_vocab;
    config->d_model = (int32_t)d_model;
    config->n_layers = (int32_t)n_layers;
    config->n_heads = config->n_kv_heads = (int32_t)n_heads;
    config->d_head = (int32_t)(d_model / n_heads);
    config->d_mlp = (int32_t)d_mlp;
    config->n_context = (int32_t)n_context;
    return LIMN_OK;
}

static limn_status get_linear(Build *build, Linear *linear, int64_t rows, int64_t columns, const char *prefix,
                              const char *name) {
    TRY(build_matrix(build, &linear->weight, rows, columns, "%s%s.weight", prefix, name));
    return build_vector(build, &linear->bias, rows, "%s%s.bias", prefix, name);
}

/* Files converted long ago call the gain gamma and the bias beta. */
static limn_status get_norm(Build *build, NormSpec *norm, const Bert *bert, const char *prefix, const char *name) {
    char gamma[256];
    snprintf(gamma, sizeof gamma, "%s%s.gamma", prefix, name);
    bool old = weights_has(build->weights, gamma);
    *norm = (NormSpec){.kind = NORM_LAYER, .epsilon = (float)bert->epsilon};
    TRY(build_vector(build, &norm->gain, build->model->config.d_model, "%s%s.%s", prefix, name,
                     old ? "gamma" : "weight"));
    return build_vector(build, &norm->bias, build->model->config.d_model, "%s%s.%s", prefix, name,
                        old ? "beta" : "bias");
}

static limn_status get_layer(Build *build, BertLayer *layer, const Bert *bert, const char *prefix) {
    const ModelConfig *config = &build->model->config;
    int64_t d = config->d_model, f = config->d_mlp;
    layer->attention = (AttentionSpec){.n_heads = config->n_heads,
                                       .n_kv_heads = config->n_heads,
                                       .d_head = config->d_head,
                                       .scale = (float)(1.0 / sqrt(config->d_head))};
    TRY(get_linear(build, &layer->attention.q, d, d, prefix, "attention.self.query"));
    TRY(get_linear(build, &layer->attention.k, d, d, prefix, "attention.self.key"));
    TRY(get_linear(build, &layer->attention.v, d, d, prefix, "attention.self.value"));
    TRY(get_linear(build, &layer->attention.o, d, d, prefix, "attention.output.dense"));
    TRY(get_norm(build, &layer->ln1, bert, prefix, "attention.output.LayerNorm"));
    layer->mlp = (MlpSpec){.activation = bert->activation};
    TRY(get_linear(build, &layer->mlp.in, f, d, prefix, "intermediate.dense"));
    TRY(get_linear(build, &layer->mlp.out, d, f, prefix, "output.dense"));
    return get_norm(build, &layer->ln2, bert, prefix, "output.LayerNorm");
}

/* The decoder is the word embedding unless told otherwise. Its bias goes by two names; where both are stored and
 * differ, the reference uses the decoder's own. */
static limn_status get_masked_head(Build *build, Bert *bert, const char *prefix) {
    ModelConfig *config = &build->model->config;
    const char *head = "cls.predictions.";
    TRY(get_linear(build, &bert->transform, config->d_model, config->d_model, head, "transform.dense"));
    TRY(get_norm(build, &bert->transform_ln, bert, head, "transform.LayerNorm"));
    TRY(build_tied(build, &bert->words, &bert->head.weight, bert->tied,
                   build_name(build, "%sembeddings.word_embeddings.weight", prefix), "cls.predictions.decoder.weight"));
    const char *bias = "cls.predictions.bias", *decoder_bias = "cls.predictions.decoder.bias";
    bool has_own = weights_has(build->weights, decoder_bias);
    TRY(weights_ignore(build->weights, bias));
    TRY(weights_ignore(build->weights, "cls.seq_relationship.weight"));
    TRY(weights_ignore(build->weights, "cls.seq_relationship.bias"));
    return build_vector(build, &bert->head.bias, config->n_vocab, "%s", has_own ? decoder_bias : bias);
}

static limn_status get_head(Build *build, Bert *bert, const char *prefix) {
    ModelConfig *config = &build->model->config;
    char pooler[64];
    snprintf(pooler, sizeof pooler, "%spooler.dense.weight", prefix);
    if (config->task == TASK_MASKED_LM) {
        TRY(weights_ignore(build->weights, "pooler.dense.weight"));
        TRY(weights_ignore(build->weights, "pooler.dense.bias"));
        return get_masked_head(build, bert, prefix);
    }
    TRY(build_table(build, &bert->words, config->n_vocab, config->d_model, "%sembeddings.word_embeddings.weight",
                    prefix));
    if (config->task == TASK_CLASSIFIER || weights_has(build->weights, pooler)) {
        TRY(get_linear(build, &bert->pooler, config->d_model, config->d_model, prefix, "pooler.dense"));
    }
    if (config->task == TASK_CLASSIFIER) {
        TRY(build_labels(build));
        return get_linear(build, &bert->head, config->n_classes, config->d_model, "", "classifier");
    }
    return LIMN_OK;
}

static NodeId add_layer(Graph *graph, int layer, NodeId x, const BertLayer *weights) {
    graph_site(graph, x, "hook_resid_pre", layer);
    NodeId attn_out = add_attention(graph, layer, x, &weights->attention);
    NodeId middle = add_binary(graph, OP_ADD, layer, x, attn_out, "resid_mid");
    graph_site(graph, middle, "hook_resid_mid", layer);
    NodeId normed = add_norm(graph, layer, middle, &weights->ln1, "ln1");
    graph_site(graph, normed, "hook_normalized_resid_mid", layer);
    NodeId mlp_out = add_mlp(graph, layer, normed, &weights->mlp);
    NodeId after = add_binary(graph, OP_ADD, layer, normed, mlp_out, "mlp sum");
    return graph_site(graph, add_norm(graph, layer, after, &weights->ln2, "ln2"), "hook_resid_post", layer);
}

static void add_head(Graph *graph, const ModelConfig *config, const Bert *bert) {
    NodeId x = graph->selected;
    if (config->task == TASK_MASKED_LM) {
        x = add_linear(graph, -1, x, &bert->transform, "mlm_head");
        graph_site(graph, x, "mlm_head.hook_out", -1);
        x = add_activation(graph, -1, x, bert->activation, "mlm_head");
        x = add_norm(graph, -1, x, &bert->transform_ln, "ln_final");
    } else if (bert->pooler.weight.name != NULL) {
        x = add_linear(graph, -1, x, &bert->pooler, "pooler");
        x = add_activation(graph, -1, x, ACTIVATION_TANH, "pooler");
        graph_site(graph, x, "pooler.hook_pooler_out", -1);
    }
    if (bert->head.weight.name != NULL) {
        add_objectives(graph, add_linear(graph, -1, x, &bert->head, "logits"));
    }
}

static void add_graph(Graph *graph, const ModelConfig *config, const Bert *bert) {
    NodeId words = add_embedding(graph, OP_EMBED, &bert->words, "hook_embed");
    NodeId types = add_embedding(graph, OP_TYPE_EMBED, &bert->types, "hook_token_type_embed");
    NodeId positions = add_embedding(graph, OP_POSITION_EMBED, &bert->positions, "hook_pos_embed");
    graph->embed = words;
    NodeId x = add_binary(graph, OP_ADD, -1, words, types, "embeddings");
    x = add_binary(graph, OP_ADD, -1, x, positions, "embeddings");
    x = add_norm(graph, -1, x, &bert->embed_ln, "embed_ln");
    for (int layer = 0; layer < config->n_layers; layer++) {
        x = add_layer(graph, layer, x, &bert->layers[layer]);
    }
    graph->final = x;
    graph->selected = add_unary(graph, OP_SELECT_ROWS, -1, x, "selected rows");
    add_head(graph, config, bert);
}

limn_status bert_build(Build *build) {
    ModelConfig *config = &build->model->config;
    Bert bert = {0};
    int64_t n_types;
    if (build->options->frame == FRAME_TRANSFORMERLENS) {
        return fail(
            LIMN_UNSUPPORTED,
            "%s: --frame transformerlens cannot be had for BERT (its norms follow the sublayers, so nothing can "
            "be folded)",
            build->model->path);
    }
    config->task = strstr(build->architecture, "ForSequenceClassification") != NULL ? TASK_CLASSIFIER
                   : strcmp(build->architecture, "BertModel") == 0                  ? TASK_ENCODER
                                                                                    : TASK_MASKED_LM;
    TRY(read_config(&bert, build, &n_types));
    TRY(build_pad(build, 0));
    TRY(weights_ignore(build->weights, "embeddings.position_ids"));
    bert.layers = ARENA_ARRAY(&build->model->arena, BertLayer, config->n_layers);
    if (bert.layers == NULL) {
        return fail(LIMN_NO_MEMORY, "%s: no memory for %d layers", build->model->path, config->n_layers);
    }
    const char *prefix = build_prefix(build, "bert.", "embeddings.word_embeddings.weight");
    TRY(build_table(build, &bert.positions, config->n_context, config->d_model,
                    "%sembeddings.position_embeddings.weight", prefix));
    TRY(build_table(build, &bert.types, n_types, config->d_model, "%sembeddings.token_type_embeddings.weight", prefix));
    TRY(get_norm(build, &bert.embed_ln, &bert, prefix, "embeddings.LayerNorm"));
    for (int i = 0; i < config->n_layers; i++) {
        char layer[64];
        snprintf(layer, sizeof layer, "%sencoder.layer.%d.", prefix, i);
        TRY(get_layer(build, &bert.layers[i], &bert, layer));
    }
    TRY(get_head(build, &bert, prefix));
    TRY(build_weights(build));
    add_graph(&build->model->graph, config, &bert);
    return LIMN_OK;
}
