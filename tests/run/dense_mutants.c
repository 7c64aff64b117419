#include "run/dense_mutants.h"

#include <string.h>

/* Changes the attributes of one operation; true when there was something to change. */
typedef bool (*Change)(GraphNode *node);

static bool change_each(GoldenCase *golden, Change change) {
    Graph *graph = &golden->model->graph;
    bool any = false;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        any |= change(&graph->nodes[node]);
    }
    return any;
}

static bool no_window(GraphNode *node) {
    bool had = node->op.attributes.window > 0;
    node->op.attributes.window = 0;
    return had;
}

bool mutate_no_window(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_window);
}

static bool wider_window(GraphNode *node) {
    bool had = node->op.attributes.window > 0;
    node->op.attributes.window += had;
    return had;
}

bool mutate_wider_window(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, wider_window);
}

static bool no_score_cap(GraphNode *node) {
    bool had = node->op.kind == OP_ATTENTION_SCORES && node->op.attributes.softcap > 0;
    node->op.attributes.softcap = had ? 0 : node->op.attributes.softcap;
    return had;
}

bool mutate_score_cap(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_score_cap);
}

static bool no_logit_cap(GraphNode *node) {
    bool had = node->op.kind == OP_SOFTCAP;
    node->op.attributes.softcap = had ? 1e6f : node->op.attributes.softcap;
    return had;
}

bool mutate_logit_cap(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_logit_cap);
}

static bool other_scale(GraphNode *node) {
    bool scores = node->op.kind == OP_ATTENTION_SCORES;
    node->op.attributes.scale *= scores ? 1.05f : 1.0f;
    return scores;
}

bool mutate_score_scale(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, other_scale);
}

/* A query or key norm's gain is one: without it only the rotation of what is written would be left. */
bool mutate_head_norm(GoldenCase *golden, float *memory) {
    Graph *graph = &golden->model->graph;
    bool any = false;
    for (int64_t i = 0; i < golden->model->config.d_head; i++) {
        memory[i] = 1.0f;
    }
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        Op *op = &graph->nodes[node].op;
        if (op->kind == OP_GAIN && op->in[0].n_dims == 2) {
            op->weights[0].data = memory;
            op->attributes.gain_plus_one = false;
            any = true;
        }
    }
    return any;
}

static bool no_plus_one(GraphNode *node) {
    bool had = node->op.kind == OP_GAIN && node->op.attributes.gain_plus_one;
    node->op.attributes.gain_plus_one = false;
    return had;
}

bool mutate_plus_one(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_plus_one);
}

/* The norm after the last MLP is left out: its readers read what it read. */
bool mutate_post_norm(GoldenCase *golden, float *memory) {
    (void)memory;
    Graph *graph = &golden->model->graph;
    NodeId raw = NODE_NONE, normed = NODE_NONE;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        const char *site = graph->nodes[node].site;
        raw = site != NULL && strstr(site, "mlp.hook_out") != NULL ? node : raw;
        normed = site != NULL && strstr(site, "hook_mlp_out") != NULL ? node : normed;
    }
    for (NodeId node = 0; raw != NODE_NONE && node < graph->n_nodes; node++) {
        for (int i = 0; i < OP_MAX_INPUTS; i++) {
            NodeId *input = &graph->nodes[node].inputs[i];
            *input = *input == normed ? raw : *input;
        }
    }
    return raw != NODE_NONE;
}

static bool no_embed_scale(GraphNode *node) {
    bool had = node->op.kind == OP_EMBED && node->op.attributes.scale != 1.0f;
    node->op.attributes.scale = had ? 1.0f : node->op.attributes.scale;
    return had;
}

bool mutate_embed_scale(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_embed_scale);
}

static bool no_lengths(GraphNode *node) {
    bool had = node->op.attributes.rotary_original > 0;
    node->op.attributes.rotary_original = 0;
    return had;
}

bool mutate_lengths(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_lengths);
}

static bool no_rotary_factor(GraphNode *node) {
    bool had = node->op.kind == OP_ROPE && node->op.attributes.rotary_factor != 1.0f;
    node->op.attributes.rotary_factor = 1.0f;
    return had;
}

bool mutate_rotary_factor(GoldenCase *golden, float *memory) {
    (void)memory;
    return change_each(golden, no_rotary_factor);
}

/* Every layer turns as the first does. */
bool mutate_one_rope(GoldenCase *golden, float *memory) {
    (void)memory;
    Graph *graph = &golden->model->graph;
    const OpAttributes *first = NULL;
    bool any = false;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        OpAttributes *attributes = &graph->nodes[node].op.attributes;
        if (graph->nodes[node].op.kind == OP_ROPE) {
            first = first == NULL ? attributes : first;
            any |= attributes->inverse_freq != first->inverse_freq;
            attributes->inverse_freq = first->inverse_freq;
        }
    }
    return any;
}
