#include "model/graph_pieces.h"

#include <stdio.h>

#include "model/moe.h"

NodeId add_unary(Graph *graph, OpKind kind, int layer, NodeId x, const char *what) {
    return graph_add(graph, kind, layer, &x, NULL, NULL, what);
}

NodeId add_binary(Graph *graph, OpKind kind, int layer, NodeId a, NodeId b, const char *what) {
    return graph_add(graph, kind, layer, (NodeId[]){a, b}, NULL, NULL, what);
}

NodeId add_linear(Graph *graph, int layer, NodeId x, const Linear *linear, const char *what) {
    return graph_add(graph, OP_LINEAR, layer, &x, (Weight[]){linear->weight, linear->bias}, NULL, what);
}

NodeId add_activation(Graph *graph, int layer, NodeId x, Activation activation, const char *what) {
    return graph_add(graph, OP_ACTIVATION, layer, &x, NULL, &(OpAttributes){.activation = activation}, what);
}

NodeId add_embedding(Graph *graph, OpKind kind, const Weight *table, const char *site) {
    NodeId node = graph_add(graph, kind, -1, NULL, table, &(OpAttributes){.scale = 1.0f}, site);
    return graph_site(graph, node, site, -1);
}

NodeId add_positions(Graph *graph, const Weight *table, int32_t offset) {
    const char *site = "hook_pos_embed";
    NodeId node =
        graph_add(graph, OP_POSITION_EMBED, -1, NULL, table, &(OpAttributes){.position_offset = offset}, site);
    return graph_site(graph, node, site, -1);
}

NodeId add_scaled_embedding(Graph *graph, const Weight *table, float scale, const char *site) {
    NodeId node = graph_add(graph, OP_EMBED, -1, NULL, table, &(OpAttributes){.scale = scale}, site);
    return graph_site(graph, node, site, -1);
}

NodeId add_norm(Graph *graph, int layer, NodeId x, const NormSpec *norm, const char *name) {
    char site[64];
    bool centered = norm->kind == NORM_LAYER;
    OpAttributes attributes = {.epsilon = norm->epsilon, .centered = centered, .gain_plus_one = norm->plus_one};
    snprintf(site, sizeof site, "%s.hook_scale", name);
    NodeId scale = graph_add(graph, centered ? OP_LAYER_SCALE : OP_RMS_SCALE, layer, &x, NULL, &attributes, site);
    graph_site(graph, scale, site, layer);
    snprintf(site, sizeof site, "%s.hook_normalized", name);
    NodeId normalized = graph_add(graph, OP_NORMALIZE, layer, (NodeId[]){x, scale}, NULL, &attributes, site);
    graph_site(graph, normalized, site, layer);
    if (norm->gain.name == NULL && norm->bias.name == NULL) {
        return normalized;
    }
    return graph_add(graph, OP_GAIN, layer, &normalized, (Weight[]){norm->gain, norm->bias}, &attributes, name);
}

/* A projection read as [heads, K]. */
static NodeId add_heads(Graph *graph, int layer, NodeId x, const Linear *linear, int64_t heads, int64_t d_head,
                        const char *site) {
    NodeId node = add_linear(graph, layer, x, linear, site);
    graph_reshape(graph, node, 2, heads, d_head);
    return graph_site(graph, node, site, layer);
}

static NodeId add_rope(Graph *graph, int layer, NodeId x, const Rope *rope, const char *site) {
    if (rope == NULL) {
        return x;
    }
    OpAttributes attributes = {.inverse_freq = rope->inverse_freq,
                               .rotary_dims = rope->dims,
                               .rotary_factor = rope->factor,
                               .rotary_original = rope->original,
                               .rotary_long = rope->long_freq,
                               .rotary_theta = rope->theta,
                               .rotary_stretch = rope->stretch};
    return graph_site(graph, graph_add(graph, OP_ROPE, layer, &x, NULL, &attributes, site), site, layer);
}

NodeId add_written(Graph *graph, int layer, NodeId x, const NormSpec *post, const char *raw, const char *norm,
                   const char *site) {
    if (post->gain.name == NULL) {
        return graph_site(graph, x, site, layer);
    }
    graph_site(graph, x, raw, layer);
    return graph_site(graph, add_norm(graph, layer, x, post, norm), site, layer);
}

NodeId add_attention(Graph *graph, int layer, NodeId x, const AttentionSpec *attention) {
    int64_t d_head = attention->d_head;
    NodeId q = add_heads(graph, layer, x, &attention->q, attention->n_heads, d_head, "attn.hook_q");
    NodeId k = add_heads(graph, layer, x, &attention->k, attention->n_kv_heads, d_head, "attn.hook_k");
    NodeId v = add_heads(graph, layer, x, &attention->v, attention->n_kv_heads, d_head, "attn.hook_v");
    if (attention->q_norm.gain.name != NULL) {
        q = add_norm(graph, layer, q, &attention->q_norm, "attn.q_norm");
        k = add_norm(graph, layer, k, &attention->k_norm, "attn.k_norm");
        graph_site(graph, q, "attn.hook_q_normed", layer);
        graph_site(graph, k, "attn.hook_k_normed", layer);
    }
    q = add_rope(graph, layer, q, attention->rope, "attn.hook_rot_q");
    k = add_rope(graph, layer, k, attention->rope, "attn.hook_rot_k");
    OpAttributes attributes = {.scale = attention->scale,
                               .causal = attention->causal,
                               .alibi_slopes = attention->alibi_slopes,
                               .alibi_bf16 = attention->alibi_slopes != NULL,
                               .softcap = attention->softcap,
                               .window = attention->window};
    NodeId scores = graph_add(graph, OP_ATTENTION_SCORES, layer, (NodeId[]){q, k}, NULL, &attributes, "attn_scores");
    graph_site(graph, scores, "attn.hook_attn_scores", layer);
    NodeId pattern = add_unary(graph, OP_ATTENTION_PATTERN, layer, scores, "attn pattern");
    graph_site(graph, pattern, "attn.hook_pattern", layer);
    NodeId z = add_binary(graph, OP_ATTENTION_MIX, layer, pattern, v, "attn z");
    graph_site(graph, z, "attn.hook_z", layer);
    NodeId result = graph_add(graph, OP_HEAD_LINEAR, layer, &z, &attention->o.weight, NULL, "attn result");
    graph_site(graph, result, "attn.hook_result", layer);
    NodeId out = graph_add(graph, OP_SUM_HEADS, layer, &result, &attention->o.bias, NULL, "attn out");
    return add_written(graph, layer, out, &attention->post, "attn.hook_out", "ln1_post", "hook_attn_out");
}

NodeId add_mlp(Graph *graph, int layer, NodeId x, const MlpSpec *mlp) {
    if (mlp->experts != NULL) {
        return add_moe(graph, layer, x, mlp->experts);
    }
    NodeId pre = add_linear(graph, layer, x, mlp->gated ? &mlp->gate : &mlp->in, "mlp pre");
    graph_site(graph, pre, "mlp.hook_pre", layer);
    NodeId post;
    if (mlp->gated) {
        NodeId linear = add_linear(graph, layer, x, &mlp->in, "mlp pre_linear");
        graph_site(graph, linear, "mlp.hook_pre_linear", layer);
        NodeId active = add_activation(graph, layer, pre, mlp->activation, "mlp gate");
        post = add_binary(graph, OP_MUL, layer, active, linear, "mlp post");
    } else {
        post = add_activation(graph, layer, pre, mlp->activation, "mlp post");
    }
    graph_site(graph, post, "mlp.hook_post", layer);
    NodeId out = add_linear(graph, layer, post, &mlp->out, "mlp out");
    return add_written(graph, layer, out, &mlp->post, "mlp.hook_out", "ln2_post", "hook_mlp_out");
}

NodeId add_post_norm(Graph *graph, int layer, NodeId x, const AttentionSpec *attention, const NormSpec *ln1,
                     const MlpSpec *mlp, const NormSpec *ln2) {
    NodeId attn_out = add_attention(graph, layer, x, attention);
    NodeId middle = add_binary(graph, OP_ADD, layer, x, attn_out, "resid_mid");
    graph_site(graph, middle, "hook_resid_mid", layer);
    NodeId normed = add_norm(graph, layer, middle, ln1, "ln1");
    graph_site(graph, normed, "hook_normalized_resid_mid", layer);
    NodeId mlp_out = add_mlp(graph, layer, normed, mlp);
    NodeId after = add_binary(graph, OP_ADD, layer, normed, mlp_out, "mlp sum");
    return add_norm(graph, layer, after, ln2, "ln2");
}

void add_objectives(Graph *graph, NodeId logits) {
    graph->logits = logits;
    graph->log_prob = add_unary(graph, OP_LOG_PROB, -1, logits, "log_prob");
    graph->pick = add_unary(graph, OP_PICK, -1, logits, "pick");
}
