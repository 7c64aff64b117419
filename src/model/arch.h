/* What an architecture file works with, and the table of them. */
#ifndef LIMN_MODEL_ARCH_H
#define LIMN_MODEL_ARCH_H

#include "model/graph_pieces.h"
#include "model/model.h"
#include "model/settings.h"
#include "model/weights.h"

/* A part of a tensor's name, as a folder has it and as a GGUF file: "self_attn.q_proj" and "attn_q". Borrowed. */
typedef struct CalledName {
    const char *folder, *gguf;
} CalledName;

enum { CALLED_MAX = 48 }; /* more than any family has */

/* A model in the making. */
typedef struct Build {
    Model *model;
    const ModelOptions *options;
    const Settings *settings;
    WeightStore *weights;
    const char *architecture; /* "LlamaForCausalLM"; for GGUF the first of the row */
    Team *team;
    bool text_part;                /* of a multimodal folder; the settings are that part's own */
    const Settings *whole;         /* of the folder itself: its labels */
    CalledName called[CALLED_MAX]; /* [n_called] of a GGUF file: how an adapter finds its modules */
    int32_t n_called;
    bool grouped_qkv; /* a folder has the fused projection group by group (build_fused_qkv) */
} Build;

typedef struct Arch {
    const char *name;
    const char *model_types;   /* space-separated values of "model_type" */
    const char *architectures; /* space-separated values of "architectures"; the first stands in when there is none */
    const char *gguf;          /* "general.architecture", "" when it has no GGUF form */
    const char *help;
    const char *refuses; /* what of the family is refused beside what every family refuses, as Markdown; "" */
    /* Reads the settings into model->config, asks for the weights, fills them (build_weights) and builds the graph,
     * which the caller seals. */
    limn_status (*build)(Build *build);
} Arch;

int arch_count(void);
const Arch *arch_at(int index);

/* Refuses unknown names, with the nearest known ones. model_type may be NULL; architecture may be NULL. *name is the
 * architecture to build. */
limn_status arch_find(const Arch **arch, const char **name, const char *path, const char *model_type,
                      const char *architecture);
limn_status arch_find_gguf(const Arch **arch, const char *path, const char *architecture, size_t length);

/* --- for the architecture files --- */

/* Fills the requested weights, unless only the configuration is wanted. */
limn_status build_weights(Build *build);

/* The tensor's name from a format, kept in the model's arena; NULL when memory runs out (weights_get then fails). */
const char *build_name(Build *build, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Matrix [rows, columns], vector [rows], by formatted name. */
limn_status build_matrix(Build *build, Weight *weight, int64_t rows, int64_t columns, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
limn_status build_vector(Build *build, Weight *weight, int64_t rows, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
limn_status build_table(Build *build, Weight *weight, int64_t rows, int64_t columns, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A tensor's or layer's name: as a folder has it, or as a GGUF file. Both are kept (Build.called) and must outlive the
 * build: literals do. */
const char *build_called(Build *build, const char *folder, const char *gguf);

/* Rows of the embedding in a GGUF file, which need not state its vocabulary; `fallback` for a folder. */
int64_t build_vocabulary(const Build *build, int64_t fallback);

/* "prefix" when a tensor prefix + probe exists, else "" . */
const char *build_prefix(const Build *build, const char *prefix, const char *probe);

/* The activation named under a key of config.json. */
limn_status build_activation(const Build *build, Activation *activation, const char *key, const char *fallback);

limn_status build_no_memory(const Build *build); /* LIMN_NO_MEMORY: for its configuration */

/* Sizes as settings give them, each checked to fit 32 bits, into the configuration. */
typedef struct Sizes {
    int64_t n_vocab, d_model, d_mlp, n_layers, n_heads;
    int64_t n_kv_heads; /* 0: n_heads */
    int64_t d_head;     /* 0: d_model / n_heads */
    int64_t n_context;
} Sizes;
void build_sizes(ModelConfig *config, const Sizes *sizes);

/* A size under the family's own key, or else under the name other families give it, which the reference reads too. */
limn_status build_size(const Build *build, int64_t *value, const char *key, const char *alias, int64_t fallback,
                       int64_t high);

/* prefix + name + ".weight" [rows, columns] and, when there is one, ".bias" [rows]. */
limn_status build_linear(Build *build, Linear *linear, int64_t rows, int64_t columns, bool bias, const char *prefix,
                         const char *name);

/* A fused projection stored group by group (see weights_get_fused), taken apart into queries, keys and values. GGUF
 * files have it in that order already. */
limn_status build_fused_qkv(Build *build, AttentionSpec *attention, bool bias, const char *prefix, const char *name);

/* A layer norm of width d_model with gain and bias, or with neither. */
limn_status build_layer_norm(Build *build, NormSpec *norm, double epsilon, bool affine, const char *prefix,
                             const char *name);

/* One line for model->warnings. */
limn_status build_warn(Build *build, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The padding token; -1: none. */
limn_status build_pad(Build *build, int64_t fallback);

/* n_classes and labels from id2label, else num_labels, else two. */
limn_status build_labels(Build *build);

/* The embedding and the head it may be tied to. A head stored beside a tied embedding counts when it differs, and
 * either one alone stands for both, as in the reference. */
limn_status build_tied(Build *build, Weight *embed, Weight *head, bool tied, const char *embed_name,
                       const char *head_name);
/* The same where the embedding is not as wide as the stream. */
limn_status build_tied_width(Build *build, Weight *embed, Weight *head, int64_t width, bool tied,
                             const char *embed_name, const char *head_name);

#endif
