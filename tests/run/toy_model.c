#include "run/toy_model.h"

#include <math.h>
#include <stdio.h>

#include "base/random.h"

typedef struct Toy {
    Graph *graph;
    const ToyOptions *options;
    Random random;
} Toy;

static Weight random_weight(Toy *toy, int64_t rows, int64_t columns, double centre, double spread) {
    float *data = ARENA_ARRAY(&toy->graph->arena, float, rows *columns);
    for (int64_t i = 0; i < rows * columns; i++) {
        data[i] = (float)(centre + spread * random_normal(&toy->random));
    }
    return (Weight){.name = "toy",
                    .dtype = DTYPE_F32,
                    .rows = rows,
                    .columns = columns,
                    .row_stride = columns,
                    .column_stride = 1,
                    .data = data};
}

static NodeId linear(Toy *toy, NodeId x, int64_t in, int64_t out, int layer, bool bias) {
    Weight weights[2] = {random_weight(toy, out, in, 0.0, 1.6 / sqrt((double)in)), {0}};
    if (bias) {
        weights[1] = random_weight(toy, out, 1, 0.0, 0.3);
    }
    return graph_add(toy->graph, OP_LINEAR, layer, &x, weights, NULL, "linear");
}

static NodeId norm(Toy *toy, NodeId x, const char *name, int layer) {
    Graph *g = toy->graph;
    char site[64];
    OpAttributes attributes = {.epsilon = 1e-5f};
    NodeId scale = graph_add(g, OP_RMS_SCALE, layer, &x, NULL, &attributes, "scale");
    snprintf(site, sizeof site, "%s.hook_scale", name);
    graph_site(g, scale, site, layer);
    NodeId inputs[] = {x, scale};
    NodeId normalized = graph_add(g, OP_NORMALIZE, layer, inputs, NULL, &attributes, "normalize");
    snprintf(site, sizeof site, "%s.hook_normalized", name);
    graph_site(g, normalized, site, layer);
    Weight gain[2] = {random_weight(toy, toy->options->d_model, 1, 1.0, 0.3), {0}};
    return graph_add(g, OP_GAIN, layer, &normalized, gain, NULL, "gain");
}

static NodeId heads(Toy *toy, NodeId x, int64_t n, int layer, const char *site) {
    NodeId y = linear(toy, x, toy->options->d_model, n * toy->options->d_head, layer, true);
    return graph_site(toy->graph, graph_reshape(toy->graph, y, 2, n, toy->options->d_head), site, layer);
}

static NodeId attention(Toy *toy, NodeId x, int layer, const OpAttributes *rope) {
    Graph *g = toy->graph;
    const ToyOptions *o = toy->options;
    NodeId q = heads(toy, x, o->n_heads, layer, "attn.hook_q");
    NodeId k = heads(toy, x, o->n_kv_heads, layer, "attn.hook_k");
    NodeId v = heads(toy, x, o->n_kv_heads, layer, "attn.hook_v");
    q = graph_site(g, graph_add(g, OP_ROPE, layer, &q, NULL, rope, "rope"), "attn.hook_rot_q", layer);
    k = graph_site(g, graph_add(g, OP_ROPE, layer, &k, NULL, rope, "rope"), "attn.hook_rot_k", layer);
    OpAttributes attributes = {.scale = 1.0f / sqrtf((float)o->d_head), .causal = o->causal};
    NodeId qk[] = {q, k};
    NodeId scores = graph_add(g, OP_ATTENTION_SCORES, layer, qk, NULL, &attributes, "scores");
    graph_site(g, scores, "attn.hook_attn_scores", layer);
    NodeId pattern = graph_add(g, OP_ATTENTION_PATTERN, layer, &scores, NULL, NULL, "pattern");
    graph_site(g, pattern, "attn.hook_pattern", layer);
    NodeId pv[] = {pattern, v};
    NodeId z = graph_add(g, OP_ATTENTION_MIX, layer, pv, NULL, NULL, "mix");
    graph_site(g, z, "attn.hook_z", layer);
    Weight wo = random_weight(toy, o->d_model, (int64_t)o->n_heads * o->d_head, 0.0, 0.4);
    NodeId result = graph_add(g, OP_HEAD_LINEAR, layer, &z, &wo, NULL, "result");
    graph_site(g, result, "attn.hook_result", layer);
    Weight bias = random_weight(toy, o->d_model, 1, 0.0, 0.2);
    NodeId out = graph_add(g, OP_SUM_HEADS, layer, &result, &bias, NULL, "attn_out");
    return graph_site(g, out, "hook_attn_out", layer);
}

static NodeId mlp(Toy *toy, NodeId x, int layer) {
    Graph *g = toy->graph;
    const ToyOptions *o = toy->options;
    NodeId pre = graph_site(g, linear(toy, x, o->d_model, o->d_mlp, layer, false), "mlp.hook_pre", layer);
    NodeId up = graph_site(g, linear(toy, x, o->d_model, o->d_mlp, layer, false), "mlp.hook_pre_linear", layer);
    OpAttributes silu = {.activation = ACTIVATION_SILU};
    NodeId gate = graph_add(g, OP_ACTIVATION, layer, &pre, NULL, &silu, "gate");
    NodeId both[] = {gate, up};
    NodeId post = graph_site(g, graph_add(g, OP_MUL, layer, both, NULL, NULL, "post"), "mlp.hook_post", layer);
    return graph_site(g, linear(toy, post, o->d_mlp, o->d_model, layer, false), "hook_mlp_out", layer);
}

static NodeId add(Toy *toy, NodeId a, NodeId b, const char *site, int layer) {
    NodeId inputs[] = {a, b};
    return graph_site(toy->graph, graph_add(toy->graph, OP_ADD, layer, inputs, NULL, NULL, site), site, layer);
}

static void build_layers(Toy *toy, const OpAttributes *rope) {
    Graph *g = toy->graph;
    const ToyOptions *o = toy->options;
    OpAttributes one = {.scale = 1.0f};
    Weight table = random_weight(toy, o->n_vocab, o->d_model, 0.0, 1.0);
    NodeId x = graph_add(g, OP_EMBED, -1, NULL, &table, &one, "embed");
    g->embed = graph_site(g, x, "hook_embed", -1);
    for (int l = 0; l < o->n_layers; l++) {
        graph_site(g, x, "hook_resid_pre", l);
        NodeId mid = add(toy, x, attention(toy, norm(toy, x, "ln1", l), l, rope), "hook_resid_mid", l);
        x = add(toy, mid, mlp(toy, norm(toy, mid, "ln2", l), l), "hook_resid_post", l);
    }
    g->final = norm(toy, x, "ln_final", -1);
    g->selected = graph_add(g, OP_SELECT_ROWS, -1, &g->final, NULL, NULL, "select");
    Weight head[2] = {table, {0}}; /* tied, no bias */
    g->logits = graph_add(g, OP_LINEAR, -1, &g->selected, head, NULL, "logits");
    g->log_prob = graph_add(g, OP_LOG_PROB, -1, &g->logits, NULL, NULL, "log_prob");
    g->pick = graph_add(g, OP_PICK, -1, &g->logits, NULL, NULL, "pick");
}

limn_status toy_build(Model *model, const ToyOptions *options) {
    *model = (Model){.config = {.architecture = "Toy",
                                .task = TASK_CAUSAL_LM,
                                .n_layers = options->n_layers,
                                .d_model = options->d_model,
                                .n_heads = options->n_heads,
                                .n_kv_heads = options->n_kv_heads,
                                .d_head = options->d_head,
                                .d_mlp = options->d_mlp,
                                .n_vocab = options->n_vocab,
                                .n_context = 4096,
                                .causal = options->causal}};
    graph_init(&model->graph, options->n_layers);
    Toy toy = {.graph = &model->graph, .options = options};
    random_seed(&toy.random, options->seed);
    float *frequencies = ARENA_ARRAY(&model->graph.arena, float, options->d_head / 2);
    for (int i = 0; i < options->d_head / 2; i++) {
        frequencies[i] = powf(100.0f, -2.0f * (float)i / (float)options->d_head);
    }
    OpAttributes rope = {.inverse_freq = frequencies, .rotary_dims = options->d_head, .rotary_factor = 1.0f};
    build_layers(&toy, &rope);
    return graph_seal(&model->graph);
}

void toy_free(Model *model) {
    graph_free(&model->graph);
}
