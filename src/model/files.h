/* What a model keeps open and what its hash covers. Private to model/. */
#ifndef LIMN_MODEL_FILES_H
#define LIMN_MODEL_FILES_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "files/adapter.h"
#include "files/hash.h"
#include "model/model.h"
#include "model/weights.h"

typedef struct ModelFiles {
    TensorFiles *tensors; /* NULL: GGUF */
    Gguf *gguf;           /* NULL: a folder */
    json_t *config;       /* NULL: GGUF */
    char *config_path;    /* in the model's arena */
    WeightStore *weights;
    Adapter **adapters; /* [n_adapters] of the model's; in its arena */
    int32_t n_adapters;
    /* the hash, computed beside the run */
    HashFile *hashed; /* [n_hashed], paths in the model's arena */
    int32_t n_hashed;
    pthread_t hasher;
    bool hasher_runs;
    atomic_bool hasher_stop;
    atomic_bool hasher_awaited;
    bool hash_known;
    limn_status hash_status;
    ErrorState hash_error;
    char hash[65];
} ModelFiles;

/* Stops a hash under way and waits for its thread. */
void model_hash_stop(Model *model);

#endif
