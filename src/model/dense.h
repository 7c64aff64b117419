/* Decoders in the shape of Llama: RMS norms, rotary positions, grouped queries, gated MLP.
 *
 * A family's file states its facts (DenseFamily), calls dense_read, sets what is odd about it in the Dense, and ends
 * with dense_build. Everything is read from config.json or from GGUF metadata alike. */
#ifndef LIMN_MODEL_DENSE_H
#define LIMN_MODEL_DENSE_H

#include "model/decoder.h"

/* What a family's configuration class assumes when config.json is silent, and what only the family itself reads. */
typedef struct DenseFamily {
    const char *gguf; /* before the keys of GGUF metadata, "qwen2"; NULL: no GGUF form */
    int64_t n_vocab, d_model, d_mlp, n_layers, n_heads;
    int64_t n_kv_heads; /* 0: as many as query heads */
    int64_t d_head;     /* 0: D / H */
    int64_t n_context;
    double epsilon;
    const char *activation_key, *activation; /* NULL: hidden_act, silu */
    bool tied;
    bool windows, softcaps, experts; /* the family reads these keys; others refuse them by name */
    bool paired;                     /* GGUF files store query and key rows as rotary pairs */
    bool own_rope;                   /* the family sets the rotary positions itself */
    RopeKeys rope;                   /* theta NULL: rope_theta, and nothing else of its own */
} DenseFamily;

/* A model of such a family in the making. */
typedef struct Dense Dense;
struct Dense {
    Build *build;
    const DenseFamily *family;
    double epsilon;
    Activation activation;
    bool tied;
    bool qkv_bias, out_bias, mlp_bias;
    bool head_norms; /* queries and keys have a norm of their own, [K] */
    bool plus_one;   /* gains are 1 + w (never in GGUF, which stores the sum) */
    bool sandwich;   /* norms after the sublayers too */
    bool fused;      /* one matrix for queries, keys and values, one for gate and up */
    float scale;     /* on q . k; 1 / sqrt(K) unless changed */
    float score_softcap, logit_softcap;
    float embed_scale;        /* 0: 1 */
    int32_t window;           /* 0: none */
    const bool *slides;       /* [L] layers that have the window; NULL: all */
    Rope *rope, *window_rope; /* window_rope: of the layers with the window; NULL: the same */
    /* The MLP of a layer in place of the dense one: false in *done leaves it to dense_build. NULL: always dense.
     * `prefix` is what the layer's tensors begin with, "model.layers.0." or "blk.0.". */
    limn_status (*get_mlp)(Dense *dense, DecoderLayer *layer, int index, const char *prefix, bool *done);
    void *context; /* for get_mlp */
};

/* Sizes, epsilon, activation, ties and rotary positions. In GGUF files biases are there when their tensors are. */
limn_status dense_read(Dense *dense, Build *build, const DenseFamily *family);

/* attention_bias of config.json: on all four projections. */
limn_status dense_read_attention_bias(Dense *dense);

/* sliding_window: `fallback` when config.json has no such key, no window when it is null. */
limn_status dense_read_window(Dense *dense, int64_t fallback);
/* The same for the families with use_sliding_window: what stands there counts only when it is true. */
limn_status dense_read_used_window(Dense *dense, bool used);

/* layer_types of config.json in place of the family's own rule, which `slides` [L] holds; GGUF files follow the rule.
 */
limn_status dense_read_layer_types(Dense *dense, bool *slides);

/* Qwen's rule, of config.json: with use_sliding_window the layers from max_window_layers (`first` when absent) on have
 * the window. */
limn_status dense_read_upper_windows(Dense *dense, int64_t first);

/* A number that null turns off: `fallback` when the key is absent, 0 when it is null. */
limn_status dense_read_optional(double *value, const Dense *dense, const char *key, double fallback);

/* "<family>.<name>" for GGUF metadata, `name` else, in the model's arena; NULL: no memory. */
const char *dense_gguf_key(const Dense *dense, const char *name);

/* Asks for the weights and builds the graph. */
limn_status dense_build(Dense *dense);

/* The same for Gemma 2 and 3: norms on both sides of the sublayers, gains of 1 + w, scaled embeddings and queries.
 * widest: the number of layers of the model whose queries are scaled by sqrt(D / H), in GGUF files. */
limn_status gemma_build(Dense *dense, int32_t widest);

#endif
