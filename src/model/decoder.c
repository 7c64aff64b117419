#include "model/decoder.h"

#include <string.h>

limn_status decoder_new(Decoder *decoder, Build *build) {
    *decoder = (Decoder){0};
    decoder->layers = ARENA_ARRAY(&build->model->arena, DecoderLayer, build->model->config.n_layers);
    return decoder->layers != NULL
               ? LIMN_OK
               : fail(LIMN_NO_MEMORY, "%s: no memory for %d layers", build->model->path, build->model->config.n_layers);
}

ModelTask decoder_task(const char *architecture) {
    if (strstr(architecture, "ForSequenceClassification") != NULL) {
        return TASK_CLASSIFIER;
    }
    return strstr(architecture, "ForCausalLM") != NULL || strstr(architecture, "LMHeadModel") != NULL ? TASK_CAUSAL_LM
                                                                                                      : TASK_ENCODER;
}

static NodeId add_layer(Graph *graph, int layer, NodeId x, const DecoderLayer *weights) {
    graph_site(graph, x, "hook_resid_pre", layer);
    NodeId normed = add_norm(graph, layer, x, &weights->ln1, "ln1");
    NodeId attn_out = add_attention(graph, layer, normed, &weights->attention);
    NodeId middle = add_binary(graph, OP_ADD, layer, x, attn_out, "resid_mid");
    graph_site(graph, middle, "hook_resid_mid", layer);
    normed = add_norm(graph, layer, middle, &weights->ln2, "ln2");
    NodeId mlp_out = add_mlp(graph, layer, normed, &weights->mlp);
    NodeId after = add_binary(graph, OP_ADD, layer, middle, mlp_out, "resid_post");
    return graph_site(graph, after, "hook_resid_post", layer);
}

limn_status decoder_build(Build *build, Decoder *decoder) {
    Graph *graph = &build->model->graph;
    const ModelConfig *config = &build->model->config;
    if (build->options->frame == FRAME_TRANSFORMERLENS && config->task != TASK_CAUSAL_LM) {
        return fail(LIMN_UNSUPPORTED, "%s: --frame transformerlens is for language models, not for %s",
                    build->model->path, build->architecture);
    }
    TRY(build_weights(build));
    if (build->options->frame == FRAME_TRANSFORMERLENS && !build->options->config_only) {
        TRY(decoder_to_transformerlens(build, decoder));
    }
    NodeId x = add_embedding(graph, OP_EMBED, &decoder->embed, "hook_embed");
    graph->embed = x;
    if (decoder->positions.name != NULL) {
        NodeId position = add_embedding(graph, OP_POSITION_EMBED, &decoder->positions, "hook_pos_embed");
        x = add_binary(graph, OP_ADD, -1, x, position, "embeddings");
    }
    for (int layer = 0; layer < config->n_layers; layer++) {
        x = add_layer(graph, layer, x, &decoder->layers[layer]);
    }
    graph->final = add_norm(graph, -1, x, &decoder->ln_final, "ln_final");
    graph->selected = add_unary(graph, OP_SELECT_ROWS, -1, graph->final, "selected rows");
    if (decoder->head.weight.name != NULL) {
        add_objectives(graph, add_linear(graph, -1, graph->selected, &decoder->head, "logits"));
    }
    return LIMN_OK;
}
