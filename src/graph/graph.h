/* A model as a list of operations in the order they run, with named sites and bound weights.
 *
 * Built once by an architecture file, then sealed: a sealed graph is read-only and shared by any number of
 * programs and runs. Sizes in rows are symbolic: a node states only its shape per row. */
#ifndef LIMN_GRAPH_GRAPH_H
#define LIMN_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "tensor/tensor.h"

typedef enum OpKind {
#define OP(name, n_inputs, n_weights, reach, saves, gradient, help) OP_##name,
#include "graph/ops.def"
#undef OP
    OP_COUNT
} OpKind;

typedef enum OpReach { REACH_ROW, REACH_SEQUENCE, REACH_SELECT } OpReach;

enum { SAVES_NOTHING = 0, SAVES_IN0 = 1, SAVES_IN1 = 2, SAVES_IN2 = 4, SAVES_OUT = 8, SAVES_AUX = 16 };

typedef struct OpInfo {
    const char *name; /* "LINEAR" */
    int n_inputs;
    int n_weights;
    OpReach reach;
    unsigned saves;
    bool differentiable;
    const char *help;
} OpInfo;

const OpInfo *op_info(OpKind kind);

typedef enum Activation {
#define ACTIVATION(name, aliases, formula) ACTIVATION_##name,
#include "graph/activations.def"
#undef ACTIVATION
    ACTIVATION_COUNT
} Activation;

bool activation_from_name(const char *name, Activation *activation);

/* A matrix, vector or table of a model where it lies, as [rows, columns] with strides in elements (one of them
 * is 1): Hugging Face `Linear` [out, in] has strides {in, 1}; GPT-2 `Conv1D` [in, out] strides {1, out}; a
 * slice of a fused qkv is the same with an offset. A vector is [n, 1]. dtype is F32 or BF16. */
typedef struct Weight {
    const char *name; /* the tensor's name in the file */
    DType dtype;
    int64_t rows;
    int64_t columns;
    int64_t row_stride;
    int64_t column_stride;
    const void *data; /* borrowed from the model; NULL: the weight is absent */
} Weight;

/* How many elements a row's value has. */
typedef struct RowShape {
    int n_dims;      /* 1 or 2 */
    int64_t dims[2]; /* [D], [H, K], or [H, DIM_KEYS] */
} RowShape;

enum { DIM_KEYS = -1 }; /* the longest key sequence of the row table (RowTable.max_keys) */

/* The matrices of a layer's experts: EXPERT_LINEAR has the first; EXPERTS gate, up and down. */
enum { EXPERT_GATE, EXPERT_UP, EXPERT_DOWN, EXPERT_MATRICES };

typedef struct OpAttributes {
    float scale; /* EMBED, SCALE, ATTENTION*: factor on q . k */
    float epsilon;
    float softcap; /* 0: none */
    Activation activation;
    bool centered;      /* NORMALIZE, NORM: subtract the mean (LayerNorm) */
    bool gain_plus_one; /* GAIN, NORM: Gemma's (1 + w) */
    bool causal;
    int32_t window;            /* keys with order > query - window are seen; 0: no window */
    int32_t position_offset;   /* POSITION_EMBED */
    const float *inverse_freq; /* [rotary_dims / 2], owned by the graph's arena */
    int32_t rotary_dims;
    bool rotary_interleaved;                /* pairs (2i, 2i+1) instead of (i, i + rotary_dims/2) */
    float rotary_factor;                    /* cos and sin times this (YaRN, longrope); usually 1 */
    int32_t rotary_original;                /* longer sequences turn by other frequencies; 0: all alike */
    const float *rotary_long;               /* [rotary_dims / 2] theirs; NULL: made from their length */
    float rotary_theta, rotary_stretch;     /* dynamic scaling: base and factor (rotary_frequency) */
    const float *alibi_slopes;              /* [H] or NULL: slope * (key - query) is added to the scores */
    bool alibi_bf16;                        /* scale * bf16(slope * bf16(key)) is added instead (Falcon) */
    int32_t top_k;                          /* TOP_K; the expert ops: how many experts a row is expected to use */
    bool sum_to_one;                        /* ROUTE */
    int32_t n_experts;                      /* E */
    const Weight *experts[EXPERT_MATRICES]; /* [E] each, of one shape; owned by the model */
} OpAttributes;

enum { OP_MAX_INPUTS = 3, OP_MAX_WEIGHTS = 2 };

/* What a kernel needs to know: graph nodes and planned steps both hold one. */
typedef struct Op {
    OpKind kind;
    int layer; /* block index; -1 outside the blocks */
    OpAttributes attributes;
    RowShape in[OP_MAX_INPUTS];
    RowShape out;
    Weight weights[OP_MAX_WEIGHTS];
} Op;

typedef int32_t NodeId;
enum { NODE_NONE = -1 };

typedef struct GraphNode {
    Op op;
    NodeId inputs[OP_MAX_INPUTS];
    const char *site; /* first TransformerLens name, "blocks.0.attn.hook_q", or NULL */
    bool added;       /* by a rewriting: no part of what the family's file built */
} GraphNode;

/* A name of a value. One value may have several: blocks.0.hook_resid_post is blocks.1.hook_resid_pre. */
typedef struct GraphSite {
    const char *name;
    NodeId node;
} GraphSite;

typedef struct Graph {
    Arena arena;
    GraphNode *nodes; /* [n_nodes], inputs come before their users */
    int32_t n_nodes;
    int32_t capacity;
    int n_layers;
    Map sites;            /* site name -> NodeId */
    GraphSite *site_list; /* [n_sites], every name in the order it was given */
    int32_t n_sites;
    int32_t site_capacity;
    bool sealed;
    limn_status status; /* the first failure while building; checked by graph_seal */
    ErrorState error;
    /* Outputs, NODE_NONE where the model has none. Those after `selected` live on output rows. */
    NodeId embed;    /* hook_embed */
    NodeId final;    /* last hidden state, all rows */
    NodeId selected; /* SELECT_ROWS of final */
    NodeId logits;   /* [V], or [classes] of a classifier */
    NodeId log_prob; /* LOG_PROB of logits */
    NodeId pick;     /* PICK of logits */
} Graph;

void graph_init(Graph *graph, int n_layers);
void graph_free(Graph *graph);

/* Adds a node; its shape comes from the shape rule. Returns NODE_NONE and keeps the first failure (a shape that
 * does not fit, out of memory) in graph->status; later calls with NODE_NONE inputs do nothing. */
NodeId graph_add(Graph *graph, OpKind kind, int layer, const NodeId *inputs, const Weight *weights,
                 const OpAttributes *attributes, const char *what);

/* Reads x as [rows, heads, K] instead of [rows, heads * K] or back: changes the last added node's shape. */
NodeId graph_reshape(Graph *graph, NodeId node, int n_dims, int64_t dim0, int64_t dim1);

/* Names a node's value. layer >= 0 gives "blocks.{layer}.{name}". Returns node. A node may get further names; the
 * first is the one GraphNode.site holds. A name belongs to one node. */
NodeId graph_site(Graph *graph, NodeId node, const char *name, int layer);

limn_status graph_reserve_node(Graph *graph); /* room for one more; for rewrite.c */
/* A graph of the same nodes and names, which reads the texts and tables of the first: freed before it. */
limn_status graph_share(Graph *copy, const Graph *graph);

limn_status graph_seal(Graph *graph);

/* Does the node's value range over the output rows? Those behind `selected` do. */
static inline bool graph_on_outputs(const Graph *graph, NodeId node) {
    return graph->selected != NODE_NONE && node >= graph->selected;
}

/* NODE_NONE when there is no such site. */
NodeId graph_find_site(const Graph *graph, const char *site);

/* The inverse frequency of a pair in a sequence of n rows, prefix included. Dynamic scaling: the base is theta *
 * (stretch * n / original - (stretch - 1)) ^ (dims / (dims - 2)) beyond the original length. */
float rotary_frequency(const OpAttributes *attributes, int64_t n, int64_t pair);

/* Elements per row with S keys. */
int64_t row_shape_width(const RowShape *shape, int32_t max_keys);
int64_t row_shape_last(const RowShape *shape); /* the last dimension: what a norm runs over */
bool op_is_table(OpKind kind);                 /* looks up a row of its weight for each row: embeddings */
/* Width of the auxiliary value an op keeps for its backward pass; 0: none. */
int64_t op_aux_width(const Op *op);

#endif
