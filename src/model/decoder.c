#include "model/decoder.h"

#include <string.h>

limn_status decoder_new(Decoder *decoder, Build *build) {
    *decoder = (Decoder){0};
    decoder->layers = ARENA_ARRAY(&build->model->arena, DecoderLayer, build->model->config.n_layers);
    return decoder->layers != NULL
               ? LIMN_OK
               : fail(LIMN_NO_MEMORY, "%s: no memory for %d layers", build->model->path, build->model->config.n_layers);
}

limn_status decoder_score(Build *build, Decoder *decoder, int64_t width) {
    const ModelConfig *config = &build->model->config;
    if (config->task != TASK_CLASSIFIER) {
        return LIMN_OK;
    }
    TRY(build_labels(build));
    return build_matrix(build, &decoder->head.weight, config->n_classes, width, "score.weight");
}

limn_status decoder_outer(Build *build, Decoder *decoder, const OuterNames *names, double epsilon, bool tied,
                          const char *prefix) {
    const ModelConfig *config = &build->model->config;
    TRY(build_layer_norm(build, &decoder->ln_final, epsilon, true, prefix, names->ln_final));
    if (config->task == TASK_CAUSAL_LM) {
        return build_tied(build, &decoder->embed, &decoder->head.weight, tied,
                          build_name(build, "%s%s.weight", prefix, names->embed), names->head);
    }
    TRY(build_table(build, &decoder->embed, config->n_vocab, config->d_model, "%s%s.weight", prefix, names->embed));
    return decoder_score(build, decoder, config->d_model);
}

ModelTask decoder_task(const char *architecture) {
    if (strstr(architecture, "ForSequenceClassification") != NULL) {
        return TASK_CLASSIFIER;
    }
    bool language = strstr(architecture, "ForCausalLM") != NULL || strstr(architecture, "LMHeadModel") != NULL ||
                    strstr(architecture, "ForConditionalGeneration") != NULL;
    return language ? TASK_CAUSAL_LM : TASK_ENCODER;
}

static NodeId add_serial(Graph *graph, int layer, NodeId x, const DecoderLayer *weights) {
    NodeId normed = add_norm(graph, layer, x, &weights->ln1, "ln1");
    NodeId attn_out = add_attention(graph, layer, normed, &weights->attention);
    NodeId middle = add_binary(graph, OP_ADD, layer, x, attn_out, "resid_mid");
    graph_site(graph, middle, "hook_resid_mid", layer);
    normed = add_norm(graph, layer, middle, &weights->ln2, "ln2");
    NodeId mlp_out = add_mlp(graph, layer, normed, &weights->mlp);
    return add_binary(graph, OP_ADD, layer, middle, mlp_out, "resid_post");
}

static NodeId add_parallel(Graph *graph, int layer, NodeId x, const DecoderLayer *weights, bool shared) {
    NodeId normed = add_norm(graph, layer, x, &weights->ln1, "ln1");
    NodeId attn_out = add_attention(graph, layer, normed, &weights->attention);
    normed = shared ? normed : add_norm(graph, layer, x, &weights->ln2, "ln2");
    NodeId mlp_out = add_mlp(graph, layer, normed, &weights->mlp);
    NodeId both = add_binary(graph, OP_ADD, layer, attn_out, mlp_out, "attention and mlp");
    return add_binary(graph, OP_ADD, layer, x, both, "resid_post");
}

static NodeId add_layer(Graph *graph, int layer, NodeId x, const Decoder *decoder) {
    const DecoderLayer *weights = &decoder->layers[layer];
    graph_site(graph, x, "hook_resid_pre", layer);
    switch (decoder->order) {
    case DECODER_SERIAL:
        x = add_serial(graph, layer, x, weights);
        break;
    case DECODER_PARALLEL:
    case DECODER_PARALLEL_SHARED:
        x = add_parallel(graph, layer, x, weights, decoder->order == DECODER_PARALLEL_SHARED);
        break;
    case DECODER_POST_NORM:
        x = add_post_norm(graph, layer, x, &weights->attention, &weights->ln1, &weights->mlp, &weights->ln2);
        break;
    }
    return graph_site(graph, x, "hook_resid_post", layer);
}

static NodeId add_projection(Graph *graph, NodeId x, const Linear *projection, const char *site) {
    return projection->weight.name == NULL ? x
                                           : graph_site(graph, add_linear(graph, -1, x, projection, site), site, -1);
}

/* Nothing can be folded into what a norm follows, and a projection stands between the embedding and the stream. */
static limn_status check_frame(const Build *build, const Decoder *decoder) {
    if (build->model->config.task != TASK_CAUSAL_LM) {
        return fail(LIMN_UNSUPPORTED, "%s: --frame transformerlens is for language models, not for %s",
                    build->model->path, build->architecture);
    }
    if (decoder->order == DECODER_POST_NORM || decoder->project_in.weight.name != NULL || decoder->no_ln_final) {
        return fail(LIMN_UNSUPPORTED,
                    "%s: --frame transformerlens is for decoders with norms before each sublayer and the unembedding",
                    build->model->path);
    }
    return LIMN_OK;
}

/* What the rotary positions say about how long a sequence may be, and which lengths turn alike. */
static limn_status set_lengths(Build *build, const Decoder *decoder) {
    ModelConfig *config = &build->model->config;
    for (int layer = 0; layer < config->n_layers; layer++) {
        const Rope *rope = decoder->layers[layer].attention.rope;
        if (rope == NULL) {
            continue;
        }
        if (rope->n_context > config->n_context) {
            config->n_context = rope->n_context < INT32_MAX ? (int32_t)rope->n_context : INT32_MAX;
        }
        if (rope->original != 0 && config->n_original != 0 && rope->original != config->n_original) {
            return fail(LIMN_UNSUPPORTED,
                        "%s: rotary frequencies change beyond %d tokens in some layers and beyond %d "
                        "in others, expected one length",
                        build->model->path, config->n_original, rope->original);
        }
        if (rope->original != 0) {
            config->n_original = rope->original;
            config->by_length = config->by_length || rope->long_freq == NULL;
        }
    }
    return LIMN_OK;
}

limn_status decoder_build(Build *build, Decoder *decoder) {
    Graph *graph = &build->model->graph;
    const ModelConfig *config = &build->model->config;
    if (build->options->frame == FRAME_TRANSFORMERLENS) {
        TRY(check_frame(build, decoder));
    }
    TRY(set_lengths(build, decoder));
    TRY(build_weights(build));
    if (build->options->frame == FRAME_TRANSFORMERLENS && !build->options->config_only) {
        TRY(decoder_to_transformerlens(build, decoder));
    }
    float scale = decoder->embed_scale == 0 ? 1.0f : decoder->embed_scale;
    NodeId x = add_scaled_embedding(graph, &decoder->embed, scale, "hook_embed");
    graph->embed = x;
    x = add_projection(graph, x, &decoder->project_in, "project_in.hook_out");
    if (decoder->positions.name != NULL) {
        NodeId position = add_positions(graph, &decoder->positions, decoder->position_offset);
        x = add_binary(graph, OP_ADD, -1, x, position, "embeddings");
    }
    for (int layer = 0; layer < config->n_layers; layer++) {
        x = add_layer(graph, layer, x, decoder);
    }
    x = decoder->no_ln_final ? x : add_norm(graph, -1, x, &decoder->ln_final, "ln_final");
    graph->final = add_projection(graph, x, &decoder->project_out, "project_out.hook_out");
    graph->selected = add_unary(graph, OP_SELECT_ROWS, -1, graph->final, "selected rows");
    if (decoder->head.weight.name != NULL) {
        NodeId logits = add_linear(graph, -1, graph->selected, &decoder->head, "logits");
        if (decoder->softcap != 0) {
            OpAttributes attributes = {.softcap = decoder->softcap};
            logits = graph_add(graph, OP_SOFTCAP, -1, &logits, NULL, &attributes, "capped logits");
        }
        add_objectives(graph, logits);
    }
    return LIMN_OK;
}
