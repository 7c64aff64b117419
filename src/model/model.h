/* A model folder or file, opened: configuration, weights where they lie, the graph with its sites, tokenizer. */
#ifndef LIMN_MODEL_MODEL_H
#define LIMN_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/parallel.h"
#include "graph/graph.h"
#include "text/tokenizer.h"

typedef enum ModelTask { TASK_CAUSAL_LM, TASK_MASKED_LM, TASK_CLASSIFIER, TASK_ENCODER } ModelTask;

typedef enum Frame { FRAME_HF, FRAME_TRANSFORMERLENS } Frame;

/* What a row's position is; the token and the mask decide in some families. */
typedef enum PositionRule {
    POSITION_ORDER,    /* its index in the sequence */
    POSITION_UNBROKEN, /* the same; a hidden row before a visible one is refused (ALiBi counts visible rows) */
    POSITION_VISIBLE,  /* how many visible rows stand before it; a hidden row, which nobody reads, has the least (OPT: a
                        * row of its own; GPT-2: 0, as when the reference generates) */
    POSITION_NOT_PAD   /* 1, 2, ... over the tokens that are not pad_id, which has 0 (RoBERTa) */
} PositionRule;

/* What a classifier's outputs mean, as the reference's text-classification pipeline reads them. */
typedef enum OutputRule {
    OUTPUT_ONE_OF, /* one class is right: a softmax over all */
    OUTPUT_EACH,   /* each label is right or wrong by itself: a sigmoid each */
    OUTPUT_VALUE   /* regression: the numbers themselves */
} OutputRule;

/* How the vectors of a sentence's tokens become one. */
typedef enum PoolMode {
    POOL_FIRST, /* of the first visible token */
    POOL_MAX,
    POOL_MEAN,
    POOL_MEAN_SQRT,     /* the sum over the root of their number */
    POOL_WEIGHTED_MEAN, /* the n-th visible token n times */
    POOL_LAST,          /* of the last visible token */
    POOL_COUNT
} PoolMode;

typedef struct Pooling {
    uint8_t modes[POOL_COUNT]; /* [n_modes] PoolMode each; their vectors stand side by side */
    int32_t n_modes;
    bool normalise;      /* to length 1 */
    int64_t longest;     /* tokens after which the folder's own program cuts a text; 0: not said */
    const char *source;  /* "modules.json", "pooling_type"; NULL: nothing says, and the mean of length 1 is taken */
    const char *refused; /* why no embedding is given; NULL: it is */
} Pooling;

typedef struct ModelConfig {
    const char *architecture; /* "LlamaForCausalLM" */
    const char *model_type;   /* "llama" */
    ModelTask task;
    int32_t n_layers;    /* L */
    int32_t d_model;     /* D */
    int32_t d_embed;     /* E: the width of hook_embed, D but in models that project it (OPT-350m) */
    int32_t n_heads;     /* H */
    int32_t n_kv_heads;  /* G */
    int32_t d_head;      /* K */
    int32_t d_mlp;       /* F */
    int32_t n_experts;   /* E of a layer with experts; 0: none */
    int32_t n_used;      /* experts that a row uses */
    int32_t d_expert;    /* F of an expert */
    int32_t n_vocab;     /* V: rows of the embedding */
    int32_t n_context;   /* longest sequence of positions */
    int32_t n_original;  /* longer sequences turn by other rotary frequencies than shorter ones; 0: all alike */
    bool by_length;      /* ... and each length by its own (dynamic scaling) */
    int32_t n_classes;   /* classifier; else 0 */
    const char **labels; /* [n_classes], from id2label; "LABEL_0" ... when absent */
    OutputRule outputs;  /* of a classifier */
    Pooling pooling;     /* of an encoder without a head, or of a folder that says so */
    bool causal;
    PositionRule positions;
    int32_t least_position; /* of POSITION_VISIBLE: a hidden row's */
    DType dtype;            /* of most weights, as stored ("dtype" of config.json agrees or not) */
    int32_t pad_id;         /* -1: none; a classifier of the Llama or GPT-2 family needs it */
} ModelConfig;

/* A PEFT adapter folder and the factor on its scaling. */
typedef struct AdapterUse {
    const char *path;
    double weight;
} AdapterUse;

/* Whether an adapter's configuration names the model it is put on. */
typedef enum AdapterBase { ADAPTER_BASE_UNSAID, ADAPTER_BASE_SAME, ADAPTER_BASE_OTHER } AdapterBase;

/* An adapter as it was applied. */
typedef struct ModelAdapter {
    const char *path;
    const char *base_model; /* what its configuration names, "" when nothing */
    AdapterBase base;
    double weight;
    int64_t rank;
    double alpha;
    bool rank_stabilised, dora;
    int32_t n_modules;    /* modules with a low-rank branch */
    int32_t n_tensors;    /* tensors in the place of the model's own */
    int64_t n_parameters; /* elements of both */
} ModelAdapter;

/* What an adapter does to one weight of the graph: a branch beside it, y += b (a x), then y *= gain; or another tensor
 * in its place. A view of a module that the family splits has rows of its own. */
typedef struct WeightChange {
    NodeId node;       /* of the graph: the operation that reads the weight */
    int slot;          /* which of its weights */
    int32_t adapter;   /* index into Model.adapters */
    Weight before;     /* the model's own, [out, in] */
    Weight after;      /* name NULL: a branch; else the tensor in its place */
    Weight a;          /* [r, in] */
    Weight b;          /* [out, r], scaled */
    const float *gain; /* [out], DoRA's m / norm; NULL: none */
} WeightChange;

/* True when the rows of sequences this long and that long turn by the same rotary frequencies: only then may keys of
 * the one serve the other. */
static inline bool model_lengths_alike(const ModelConfig *config, int32_t a, int32_t b) {
    bool long_a = config->n_original != 0 && a > config->n_original;
    bool long_b = config->n_original != 0 && b > config->n_original;
    return a == b || (long_a == long_b && !(config->by_length && long_a));
}

typedef struct ModelOptions {
    const AdapterUse *adapters; /* [n_adapters], applied in this order */
    int32_t n_adapters;
    Frame frame;
    bool bf16;           /* weights that must be converted anyway become bf16 instead of f32 */
    bool config_only;    /* for `limn info` and `limn sites`: no weight is read beyond its header */
    size_t memory_limit; /* of converted weights, in bytes; 0: what the machine has free */
} ModelOptions;

typedef struct Model {
    Arena arena;
    char *path;       /* as resolved */
    const char *name; /* its last part, or "org/name" of the cache: what people call it */
    ModelConfig config;
    Graph graph;
    Tokenizer *tokenizer;     /* NULL when there is none that can be used: ids only */
    const char *no_tokenizer; /* why, as one line; NULL: there is one */
    limn_status no_tokenizer_status;
    Frame frame;
    int64_t n_parameters;
    int64_t weight_bytes;  /* as stored */
    int64_t copied_bytes;  /* memory of weights that had to be converted */
    const char **warnings; /* [n_warnings] one line each: tensors that nobody reads */
    int32_t n_warnings;
    const ModelAdapter *adapters; /* [n_adapters] */
    int32_t n_adapters;
    const WeightChange *changes; /* [n_changes], in the order of nodes */
    int32_t n_changes;
    struct Model *base;       /* the same model without its adapters, sharing files and weights; NULL: it has none */
    bool text_part;           /* of a multimodal folder: nothing but text is read */
    bool config_only;         /* opened without weight values: its graph must not be run */
    struct ModelFiles *files; /* mapped files and converted copies; private to model/ */
} Model;

/* Fails where a tokenizer is needed and cannot be used: why not, and what is done without one ("give --ids instead of a
 * text"). */
limn_status model_need_tokenizer(const Model *model, const char *instead);

/* path: a folder, a .gguf file, or "org/name" in the local Hugging Face cache. */
limn_status model_open(Model **model, const char *path, const ModelOptions *options, Team *team);
void model_free(Model *model);

/* Merkle SHA-256 over 16 MiB chunks of weights, config and tokenizer, as 64 hex digits. Computed once, in parallel
 * with the run when model_hash_start was called; cached by device, inode, size and time. */
void model_hash_start(Model *model);
limn_status model_hash(Model *model, Team *team, bool fresh, char hex[65]);

/* The same over an adapter's two files. */
limn_status model_adapter_hash(const Model *model, int32_t adapter, Team *team, bool fresh, char hex[65]);

#endif
