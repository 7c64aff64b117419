#include "model/moe.h"

#include <stdio.h>
#include <string.h>

/* ---- settings ---- */

/* The number of experts, under either of its names. */
static limn_status read_count(int64_t *count, const Settings *settings, int64_t fallback) {
    int64_t local;
    TRY(settings_integer(&local, settings, "num_local_experts", fallback, 0, 1 << 16));
    TRY(settings_integer(count, settings, "num_experts", local, 0, 1 << 16));
    if (settings_has(settings, "num_local_experts") && *count != local) {
        return settings_fail(LIMN_FORMAT, settings, "num_experts", "what \"num_local_experts\" says");
    }
    return LIMN_OK;
}

static limn_status read_plain_layers(MoeConfig *moe, const Build *build) {
    const Settings *settings = build->settings;
    TRY(settings_integer(&moe->sparse_step, settings, "decoder_sparse_step", 1, 1, 1 << 14));
    moe->mlp_only = settings_value(settings, "mlp_only_layers");
    if (moe->mlp_only == NULL || json_is_null(moe->mlp_only)) {
        moe->mlp_only = NULL;
        return LIMN_OK;
    }
    bool good = json_is_array(moe->mlp_only);
    for (size_t i = 0; good && i < json_array_size(moe->mlp_only); i++) {
        good = json_is_integer(json_array_get(moe->mlp_only, i));
    }
    return good ? LIMN_OK : settings_fail(LIMN_FORMAT, settings, "mlp_only_layers", "a list of layer numbers");
}

static void report(const MoeConfig *moe, const Build *build) {
    build->model->config.n_experts = (int32_t)moe->n_experts;
    build->model->config.d_expert = (int32_t)moe->d_expert;
    build->model->config.n_used = moe->n_experts > 0 ? (int32_t)moe->top_k : 0;
}

limn_status moe_from_json(MoeConfig *moe, const Build *build, const MoeDefaults *defaults) {
    const Settings *settings = build->settings;
    *moe = (MoeConfig){.sparse_step = 1, .sum_to_one = true};
    TRY(read_count(&moe->n_experts, settings, defaults->n_experts));
    int64_t most = moe->n_experts > 0 ? moe->n_experts : 1 << 16;
    int64_t usual = defaults->top_k < most ? defaults->top_k : most;
    TRY(settings_integer(&moe->top_k, settings, "num_experts_per_tok", usual, 1, most));
    TRY(settings_integer(&moe->d_expert, settings, defaults->width_key, defaults->width, 1, 1 << 24));
    if (defaults->shared >= 0) {
        TRY(settings_integer(&moe->d_shared, settings, "shared_expert_intermediate_size", defaults->shared, 1,
                             1 << 24));
    }
    if (!defaults->always_one) {
        TRY(settings_bool(&moe->sum_to_one, settings, "norm_topk_prob", false));
    }
    TRY(build_activation(build, &moe->activation, "hidden_act", "silu"));
    report(moe, build);
    return defaults->plain_layers ? read_plain_layers(moe, build) : LIMN_OK;
}

limn_status moe_from_gguf(MoeConfig *moe, const Build *build, const char *prefix, bool sum_to_one) {
    const Settings *settings = build->settings;
    *moe = (MoeConfig){.sparse_step = 1, .sum_to_one = sum_to_one, .activation = ACTIVATION_SILU};
    char key[96];
    snprintf(key, sizeof key, "%s.expert_count", prefix);
    if (!settings_has(settings, key)) {
        return fail(LIMN_FORMAT, "%s: metadata \"%s\" is missing", settings->path, key);
    }
    TRY(settings_integer(&moe->n_experts, settings, key, 0, 1, 1 << 16));
    snprintf(key, sizeof key, "%s.expert_used_count", prefix);
    if (!settings_has(settings, key)) {
        return fail(LIMN_FORMAT, "%s: metadata \"%s\" is missing", settings->path, key);
    }
    TRY(settings_integer(&moe->top_k, settings, key, 0, 1, moe->n_experts));
    snprintf(key, sizeof key, "%s.expert_feed_forward_length", prefix);
    TRY(settings_integer(&moe->d_expert, settings, key, build->model->config.d_mlp, 1, 1 << 24));
    if (weights_has(build->weights, "blk.0.ffn_gate_inp_shexp.weight")) {
        snprintf(key, sizeof key, "%s.expert_shared_feed_forward_length", prefix);
        TRY(settings_integer(&moe->d_shared, settings, key, 0, 1, 1 << 24));
    }
    report(moe, build);
    return LIMN_OK;
}

bool moe_has_experts(const MoeConfig *moe, int layer) {
    if (moe->n_experts == 0 || (layer + 1) % moe->sparse_step != 0) {
        return false;
    }
    for (size_t i = 0; i < json_array_size(moe->mlp_only); i++) {
        if (json_integer_value(json_array_get(moe->mlp_only, i)) == layer) {
            return false;
        }
    }
    return true;
}

/* ---- weights ---- */

/* Where the tensors of a layer are called what; %d stands for the expert's number. */
typedef struct Names {
    const char *router;
    const char *one[EXPERT_MATRICES];     /* each expert's own tensor */
    const char *stacked[EXPERT_MATRICES]; /* all experts in one; gate and up may share one */
    const char *shared[EXPERT_MATRICES];
    const char *shared_gate;
} Names;

enum { NAMES_GGUF = 2 };

#define FUSED "experts.gate_up_proj"
static const Names known_names[] = {
    {"mlp.gate.weight",
     {"mlp.experts.%d.gate_proj.weight", "mlp.experts.%d.up_proj.weight", "mlp.experts.%d.down_proj.weight"},
     {"mlp." FUSED, "mlp." FUSED, "mlp.experts.down_proj"},
     {"mlp.shared_expert.gate_proj.weight", "mlp.shared_expert.up_proj.weight", "mlp.shared_expert.down_proj.weight"},
     "mlp.shared_expert_gate.weight"},
    {"block_sparse_moe.gate.weight",
     {"block_sparse_moe.experts.%d.w1.weight", "block_sparse_moe.experts.%d.w3.weight",
      "block_sparse_moe.experts.%d.w2.weight"},
     {"block_sparse_moe." FUSED, "block_sparse_moe." FUSED, "block_sparse_moe.experts.down_proj"},
     {NULL},
     NULL},
    {"ffn_gate_inp.weight",
     {"ffn_gate.%d.weight", "ffn_up.%d.weight", "ffn_down.%d.weight"},
     {"ffn_gate_exps.weight", "ffn_up_exps.weight", "ffn_down_exps.weight"},
     {"ffn_gate_shexp.weight", "ffn_up_shexp.weight", "ffn_down_shexp.weight"},
     "ffn_gate_inp_shexp.weight"},
};

/* The names whose router is in the file; when none is, those whose router then is what is missing. */
static const Names *find_names(const Build *build, const char *prefix) {
    for (size_t i = 0; i < sizeof known_names / sizeof known_names[0]; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", prefix, known_names[i].router);
        if (weights_has(build->weights, name)) {
            return &known_names[i];
        }
    }
    return &known_names[build->settings->gguf != NULL ? NAMES_GGUF : 0];
}

static limn_status no_memory(const Build *build) {
    return fail(LIMN_NO_MEMORY, "%s: no memory for its experts", build->model->path);
}

/* Rows and columns of an expert's matrix. */
static void matrix_shape(const Build *build, int64_t d_inner, int which, int64_t *rows, int64_t *columns) {
    int64_t d_model = build->model->config.d_model;
    *rows = which == EXPERT_DOWN ? d_model : d_inner;
    *columns = which == EXPERT_DOWN ? d_inner : d_model;
}

/* Matrix `which` of every expert out of one tensor [E, rows, columns], or [E, 2F, D] with gate before up. */
static limn_status get_stacked(Build *build, Weight *weights, const MoeConfig *config, const Names *names,
                               const char *prefix, int which) {
    bool fused = which != EXPERT_DOWN && strcmp(names->stacked[EXPERT_GATE], names->stacked[EXPERT_UP]) == 0;
    int64_t rows, columns;
    matrix_shape(build, config->d_expert, which, &rows, &columns);
    const char *name = build_name(build, "%s%s", prefix, names->stacked[which]);
    if (name == NULL) {
        return no_memory(build);
    }
    Weight all;
    int64_t each = fused ? 2 * rows : rows;
    TRY(weights_get_stack(&all, build->weights, config->n_experts, each, columns, name));
    for (int64_t e = 0; e < config->n_experts; e++) {
        weights[e] = weight_rows(&all, e * each + (which == EXPERT_UP && fused ? rows : 0), rows);
    }
    return LIMN_OK;
}

/* The same from a tensor for each expert. `format` is one of known_names. */
static limn_status get_each(Build *build, Weight *weights, const MoeConfig *config, const char *format,
                            const char *prefix, int which) {
    int64_t rows, columns;
    matrix_shape(build, config->d_expert, which, &rows, &columns);
    const char *number = strstr(format, "%d");
    for (int64_t e = 0; e < config->n_experts; e++) {
        TRY(build_matrix(build, &weights[e], rows, columns, "%s%.*s%d%s", prefix, (int)(number - format), format,
                         (int)e, number + strlen("%d")));
    }
    return LIMN_OK;
}

static limn_status get_experts(Build *build, MoeSpec *spec, const Names *names, const char *prefix) {
    for (int which = 0; which < EXPERT_MATRICES; which++) {
        Weight *weights = ARENA_ARRAY(&build->model->arena, Weight, spec->config.n_experts);
        char stacked[160];
        snprintf(stacked, sizeof stacked, "%s%s", prefix, names->stacked[which]);
        if (weights == NULL) {
            return no_memory(build);
        }
        TRY(weights_has(build->weights, stacked)
                ? get_stacked(build, weights, &spec->config, names, prefix, which)
                : get_each(build, weights, &spec->config, names->one[which], prefix, which));
        spec->experts[which] = weights;
    }
    return LIMN_OK;
}

static limn_status get_shared(Build *build, MoeSpec *spec, const Names *names, const char *prefix) {
    int64_t d_model = build->model->config.d_model;
    for (int which = 0; which < EXPERT_MATRICES; which++) {
        int64_t rows, columns;
        matrix_shape(build, spec->config.d_shared, which, &rows, &columns);
        TRY(build_matrix(build, &spec->shared[which].weight, rows, columns, "%s%s", prefix, names->shared[which]));
    }
    const char *name = build_name(build, "%s%s", prefix, names->shared_gate);
    const Gguf *gguf = build->settings->gguf;
    const Tensor *tensor = gguf != NULL && name != NULL ? gguf_tensor(gguf, name) : NULL;
    if (tensor == NULL || tensor->rank != 1) {
        return build_matrix(build, &spec->shared_gate.weight, 1, d_model, "%s%s", prefix, names->shared_gate);
    }
    Weight gate; /* a vector in files of some converters */
    TRY(build_vector(build, &gate, d_model, "%s%s", prefix, names->shared_gate));
    spec->shared_gate.weight = weight_transposed(&gate);
    return LIMN_OK;
}

limn_status moe_get_layer(const MoeSpec **spec, Build *build, const MoeConfig *config, const char *prefix) {
    MoeSpec *made = ARENA_NEW(&build->model->arena, MoeSpec);
    if (made == NULL) {
        return no_memory(build);
    }
    const Names *names = find_names(build, prefix);
    made->config = *config;
    TRY(build_matrix(build, &made->router.weight, config->n_experts, build->model->config.d_model, "%s%s", prefix,
                     names->router));
    TRY(get_experts(build, made, names, prefix));
    if (config->d_shared > 0) {
        if (names->shared_gate == NULL) {
            return fail(LIMN_UNSUPPORTED, "%s: %s%s with a shared expert, expected the names of Qwen2-MoE",
                        build->model->path, prefix, names->router);
        }
        TRY(get_shared(build, made, names, prefix));
    }
    *spec = made;
    return LIMN_OK;
}

limn_status moe_get_mlp(Dense *dense, DecoderLayer *layer, int index, const char *prefix, bool *done) {
    const MoeConfig *config = dense->context;
    *done = moe_has_experts(config, index);
    if (dense->build->settings->gguf != NULL) { /* which say so by what they hold */
        char router[160];
        snprintf(router, sizeof router, "%s%s", prefix, known_names[NAMES_GGUF].router);
        *done = weights_has(dense->build->weights, router);
    }
    layer->mlp = (MlpSpec){0};
    return *done ? moe_get_layer(&layer->mlp.experts, dense->build, config, prefix) : LIMN_OK;
}

/* ---- graph ---- */

static NodeId add_route(Graph *graph, int layer, NodeId x, const MoeSpec *moe) {
    OpAttributes attributes = {.top_k = (int32_t)moe->config.top_k, .sum_to_one = moe->config.sum_to_one};
    NodeId logits = add_linear(graph, layer, x, &moe->router, "mlp router_logits");
    graph_site(graph, logits, "mlp.hook_router_logits", layer);
    NodeId weights = add_unary(graph, OP_SOFTMAX, layer, logits, "mlp expert_weights");
    graph_site(graph, weights, "mlp.hook_expert_weights", layer);
    NodeId indices = graph_add(graph, OP_TOP_K, layer, &weights, NULL, &attributes, "mlp expert_indices");
    graph_site(graph, indices, "mlp.hook_expert_indices", layer);
    NodeId kept =
        graph_add(graph, OP_ROUTE, layer, (NodeId[]){weights, indices}, NULL, &attributes, "mlp routing_weights");
    return graph_site(graph, kept, "mlp.hook_routing_weights", layer);
}

static NodeId add_expert_linear(Graph *graph, int layer, NodeId x, NodeId weights, const MoeSpec *moe, int which,
                                const char *site) {
    OpAttributes attributes = {.top_k = (int32_t)moe->config.top_k,
                               .n_experts = (int32_t)moe->config.n_experts,
                               .experts = {moe->experts[which]}};
    NodeId node = graph_add(graph, OP_EXPERT_LINEAR, layer, (NodeId[]){x, weights}, NULL, &attributes, site);
    return graph_site(graph, node, site, layer);
}

/* sigmoid(gate . x) times an expert that every row uses */
static NodeId add_shared(Graph *graph, int layer, NodeId x, const MoeSpec *moe) {
    NodeId logit = add_linear(graph, layer, x, &moe->shared_gate, "mlp shared gate");
    NodeId gate = add_activation(graph, layer, logit, ACTIVATION_SIGMOID, "mlp shared gate");
    graph_site(graph, gate, "mlp.shared_expert.hook_gate", layer);
    NodeId pre = add_linear(graph, layer, x, &moe->shared[EXPERT_GATE], "mlp shared pre");
    graph_site(graph, pre, "mlp.shared_expert.hook_pre", layer);
    NodeId linear = add_linear(graph, layer, x, &moe->shared[EXPERT_UP], "mlp shared pre_linear");
    graph_site(graph, linear, "mlp.shared_expert.hook_pre_linear", layer);
    NodeId active = add_activation(graph, layer, pre, moe->config.activation, "mlp shared active");
    NodeId post = add_binary(graph, OP_MUL, layer, active, linear, "mlp shared post");
    graph_site(graph, post, "mlp.shared_expert.hook_post", layer);
    NodeId out = add_linear(graph, layer, post, &moe->shared[EXPERT_DOWN], "mlp shared out");
    graph_reshape(graph, out, 2, 1, moe->shared[EXPERT_DOWN].weight.rows); /* one expert's output */
    graph_site(graph, out, "mlp.shared_expert.hook_out", layer);
    return add_binary(graph, OP_EXPERT_MIX, layer, gate, out, "mlp shared");
}

NodeId add_moe(Graph *graph, int layer, NodeId x, const MoeSpec *moe) {
    NodeId weights = add_route(graph, layer, x, moe);
    NodeId pre = add_expert_linear(graph, layer, x, weights, moe, EXPERT_GATE, "mlp.experts.hook_pre");
    NodeId linear = add_expert_linear(graph, layer, x, weights, moe, EXPERT_UP, "mlp.experts.hook_pre_linear");
    NodeId active = add_activation(graph, layer, pre, moe->config.activation, "mlp experts active");
    NodeId post = add_binary(graph, OP_MUL, layer, active, linear, "mlp experts post");
    graph_site(graph, post, "mlp.experts.hook_post", layer);
    NodeId each = add_expert_linear(graph, layer, post, weights, moe, EXPERT_DOWN, "mlp.experts.hook_out");
    NodeId out = add_binary(graph, OP_EXPERT_MIX, layer, weights, each, "mlp experts");
    if (moe->config.d_shared > 0) {
        graph_site(graph, out, "mlp.hook_experts_out", layer);
        out = add_binary(graph, OP_ADD, layer, out, add_shared(graph, layer, x, moe), "mlp out");
    }
    return graph_site(graph, out, "hook_mlp_out", layer);
}
