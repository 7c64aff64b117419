/* Pieces that the graphs of all families are made of, with their named sites.
 *
 * The graph always holds the fine-grained chain, every value with its name; the planner fuses what nobody looks at.
 * Nothing here checks for failure: a graph keeps its first one and graph_seal reports it. */
#ifndef LIMN_MODEL_GRAPH_PIECES_H
#define LIMN_MODEL_GRAPH_PIECES_H

#include "graph/graph.h"
#include "model/rope.h"

/* W x + b. */
typedef struct Linear {
    Weight weight; /* [out, in] */
    Weight bias;   /* [out], absent when its name is NULL */
} Linear;

typedef enum NormKind { NORM_LAYER, NORM_RMS } NormKind;

typedef struct NormSpec {
    NormKind kind;
    float epsilon;
    Weight gain;   /* [D]; both absent: no gain (folded into what follows) */
    Weight bias;   /* [D] */
    bool plus_one; /* Gemma: the gain is 1 + w */
} NormSpec;

typedef struct AttentionSpec {
    Linear q, k, v, o;
    int64_t n_heads, n_kv_heads, d_head; /* H, G, K */
    float scale;                         /* on q . k */
    bool causal;
    const Rope *rope;          /* NULL: no rotary positions */
    const float *alibi_slopes; /* [H]; NULL: no ALiBi. bf16 numbers: see OpAttributes.alibi_bf16 */
    NormSpec q_norm, k_norm;   /* on each head before the rotary positions; absent when q_norm's gain has no name */
    float softcap;             /* on scores; 0: none */
    int32_t window;            /* keys seen, the row's own included; 0: all */
    NormSpec post;             /* on what is written to the stream; absent when its gain has no name */
} AttentionSpec;

struct MoeSpec;

typedef struct MlpSpec {
    const struct MoeSpec *experts; /* a mixture of experts in its place (moe.h); NULL: none */
    Activation activation;
    bool gated;
    Linear gate; /* gated: its output is hook_pre */
    Linear in;   /* hook_pre, or hook_pre_linear when gated */
    Linear out;
    NormSpec post; /* on what is written to the stream; absent when its gain has no name */
} MlpSpec;

NodeId add_unary(Graph *graph, OpKind kind, int layer, NodeId x, const char *what);
NodeId add_binary(Graph *graph, OpKind kind, int layer, NodeId a, NodeId b, const char *what);
NodeId add_linear(Graph *graph, int layer, NodeId x, const Linear *linear, const char *what);
NodeId add_activation(Graph *graph, int layer, NodeId x, Activation activation, const char *what);

/* kind: OP_EMBED, OP_POSITION_EMBED or OP_TYPE_EMBED. */
NodeId add_embedding(Graph *graph, OpKind kind, const Weight *table, const char *site);
NodeId add_scaled_embedding(Graph *graph, const Weight *table, float scale, const char *site);

/* Site hook_pos_embed: row position + offset of a learned table. */
NodeId add_positions(Graph *graph, const Weight *table, int32_t offset);

/* Sites {name}.hook_scale and {name}.hook_normalized (before the gain). x may be [H, K]: each head on its own. */
NodeId add_norm(Graph *graph, int layer, NodeId x, const NormSpec *norm, const char *name);

/* What a sublayer writes to the stream: `site`; with a norm after it, `raw` before the norm, whose sites are those of
 * `norm`, and `site` after it. */
NodeId add_written(Graph *graph, int layer, NodeId x, const NormSpec *post, const char *raw, const char *norm,
                   const char *site);

/* Sites attn.hook_q ... attn.hook_result; the sum over heads is hook_attn_out. With norms on queries and keys, theirs
 * are attn.q_norm.*, attn.k_norm.*, attn.hook_q_normed and attn.hook_k_normed; with a norm after it, attn.hook_out and
 * ln1_post.*. */
NodeId add_attention(Graph *graph, int layer, NodeId x, const AttentionSpec *attention);

/* Sites mlp.hook_pre, mlp.hook_pre_linear, mlp.hook_post and hook_mlp_out, with experts those of add_moe; with a norm
 * after it, mlp.hook_out and ln2_post.*. */
NodeId add_mlp(Graph *graph, int layer, NodeId x, const MlpSpec *mlp);

/* A layer whose norms come after the sums, from the stream before it to the stream after it: sites hook_resid_mid,
 * hook_normalized_resid_mid, ln1.* and ln2.*. */
NodeId add_post_norm(Graph *graph, int layer, NodeId x, const AttentionSpec *attention, const NormSpec *ln1,
                     const MlpSpec *mlp, const NormSpec *ln2);

/* LOG_PROB and PICK of the logits, and the graph's outputs. */
void add_objectives(Graph *graph, NodeId logits);

#endif
