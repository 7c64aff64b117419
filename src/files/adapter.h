/* A PEFT adapter folder: adapter_config.json and adapter_model.safetensors, read as PEFT reads them.
 *
 * LoRA (Hu et al. 2021), with rank-stabilised scaling (Kalajdzievski 2023) and weight decomposition (DoRA, Liu et al.
 * 2024). Other kinds of adapter, and settings that would change the computation in a way that is not implemented, are
 * refused by name. */
#ifndef LIMN_FILES_ADAPTER_H
#define LIMN_FILES_ADAPTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "files/keys.h"
#include "tensor/tensor.h"

/* A module with a low-rank branch: y = W x + scaling B A x, with DoRA y = m / |W + scaling B A| (W + scaling B A) x. */
typedef struct AdapterModule {
    const char *name;        /* "model.layers.0.self_attn.q_proj", as PEFT names it */
    bool embedding;          /* a table: A and B are lora_embedding_A and _B */
    const Tensor *a;         /* [r, in]; of a table [r, V] */
    const Tensor *b;         /* [out, r] */
    const Tensor *magnitude; /* [out], DoRA's m; NULL: plain LoRA */
    int64_t rank;            /* r */
    double scaling;          /* alpha / r, or alpha / sqrt(r) */
} AdapterModule;

/* A tensor that takes the place of the model's own of the same name: modules_to_save, trained biases, embeddings. */
typedef struct AdapterTensor {
    const char *name;    /* "lm_head.weight" */
    bool module_to_save; /* a copy of the module was trained: what is tied to it keeps its own weights */
    const Tensor *tensor;
} AdapterTensor;

typedef struct AdapterFiles AdapterFiles;

typedef struct Adapter {
    const char *path;        /* the folder, as given */
    const char *config_path; /* "<folder>/adapter_config.json" */
    const char *tensor_path; /* "<folder>/adapter_model.safetensors" */
    const char *base_model;  /* base_model_name_or_path; "" when it is not stated */
    int64_t rank;            /* r of the configuration; patterns may change it for some modules */
    double alpha;
    bool rank_stabilised, dora;
    const AdapterModule *modules; /* [n_modules], in the order of their names */
    int32_t n_modules;
    const AdapterTensor *tensors; /* [n_tensors] */
    int32_t n_tensors;
    const Tensor *const
        *ignored; /* [n_ignored] of modules that the configuration does not choose: PEFT reads past them */
    int32_t n_ignored;
    AdapterFiles *files; /* private */
} Adapter;

/* Which keys of adapter_config.json are read. */
extern const KeyTable adapter_key_table;

/* Errors name the file and the key or tensor. */
limn_status adapter_open(Adapter **adapter, const char *folder);
void adapter_close(Adapter *adapter); /* NULL is fine */

#endif
