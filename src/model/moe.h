/* Mixtures of experts in place of a decoder's MLP: their settings, their weights, their graph with named sites.
 *
 * Every expert is a gated MLP; a router chooses top_k of them for each row (Shazeer et al. 2017, arXiv:1701.06538).
 * Qwen2-MoE adds a shared expert that every row uses, times a gate of its own. */
#ifndef LIMN_MODEL_MOE_H
#define LIMN_MODEL_MOE_H

#include "model/dense.h"

typedef struct MoeConfig {
    int64_t n_experts;      /* E; 0: no layer has any */
    int64_t top_k;          /* experts that a row uses */
    int64_t d_expert;       /* F of each */
    int64_t d_shared;       /* width of the shared expert, 0: none */
    int64_t sparse_step;    /* layers step-1, 2 step-1 ... have experts */
    bool sum_to_one;        /* the kept weights are divided by their sum */
    const json_t *mlp_only; /* layers that have a plain MLP all the same; NULL: none. Borrowed */
    Activation activation;
} MoeConfig;

typedef struct MoeSpec {
    MoeConfig config;
    Linear router;                          /* [E, D] */
    const Weight *experts[EXPERT_MATRICES]; /* [E] each: gate and up [F, D], down [D, F]; in the model's arena */
    Linear shared[EXPERT_MATRICES];         /* d_shared wide; absent when it is 0 */
    Linear shared_gate;                     /* [1, D] */
} MoeSpec;

/* What a family's configuration class assumes when config.json is silent. */
typedef struct MoeDefaults {
    int64_t n_experts, top_k;
    const char *width_key; /* "moe_intermediate_size" */
    int64_t width;
    int64_t shared;    /* -1: the family has no shared expert */
    bool always_one;   /* weights sum to one, whatever norm_topk_prob says */
    bool plain_layers; /* decoder_sparse_step and mlp_only_layers are read */
} MoeDefaults;

/* From config.json: num_experts or num_local_experts, num_experts_per_tok, norm_topk_prob, decoder_sparse_step,
 * mlp_only_layers ... Refuses what does not make sense with the file and the key. */
limn_status moe_from_json(MoeConfig *moe, const Build *build, const MoeDefaults *defaults);

/* From "<prefix>.expert_count" and its kin. */
limn_status moe_from_gguf(MoeConfig *moe, const Build *build, const char *prefix, bool sum_to_one);

/* Does this layer have experts? */
bool moe_has_experts(const MoeConfig *moe, int layer);

/* Weights of one layer, whose tensors' names begin with `prefix` ("model.layers.0.", "blk.0."). Experts may lie one by
 * one (experts.0.w1, experts.0.gate_proj) or stacked (experts.gate_up_proj [E, 2F, D], ffn_gate_exps [E, F, D]).
 * *spec is made in the model's arena. */
limn_status moe_get_layer(const MoeSpec **spec, Build *build, const MoeConfig *config, const char *prefix);

/* For Dense.get_mlp, with a MoeConfig as its context. */
limn_status moe_get_mlp(Dense *dense, DecoderLayer *layer, int index, const char *prefix, bool *done);

/* Sites mlp.hook_router_logits [E], mlp.hook_expert_weights [E] (softmax over all experts), mlp.hook_expert_indices
 * [k], mlp.hook_routing_weights [E] (what was kept; 0: the expert is off), mlp.experts.hook_pre, hook_pre_linear and
 * hook_post [E, F], mlp.experts.hook_out [E, D] (before its weight); with a shared expert mlp.hook_experts_out [D], the
 * same names under mlp.shared_expert and its hook_gate [1]; hook_mlp_out [D] is the sum of all. */
NodeId add_moe(Graph *graph, int layer, NodeId x, const MoeSpec *moe);

#endif
