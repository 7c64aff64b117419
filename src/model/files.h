/* What a model keeps open and what its hash covers. Private to model/. */
#ifndef LIMN_MODEL_FILES_H
#define LIMN_MODEL_FILES_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "files/adapter.h"
#include "files/hash.h"
#include "model/model.h"
#include "model/settings.h"
#include "model/weights.h"

/* The hash of a model, computed once by whoever gets there first: a thread beside the run or a caller. */
typedef struct ModelHasher {
    pthread_mutex_t lock; /* guards what is not atomic */
    pthread_cond_t ended; /* HASH_RUNS is over */
    enum { HASH_NONE, HASH_RUNS, HASH_KNOWN } state;
    bool has_thread; /* to be joined */
    pthread_t thread;
    Team team;           /* of that thread */
    Progress keep_going; /* of that team */
    atomic_bool stop;
    atomic_int awaited_by;    /* threads of the callers that wait: the thread may use as many from then on */
    atomic_llong done, total; /* chunks, for those callers' progress */
    limn_status status;
    ErrorState error;
    char hex[65];
} ModelHasher;

typedef struct ModelFiles {
    TensorFiles *tensors; /* NULL: GGUF */
    Gguf *gguf;           /* NULL: a folder */
    json_t *config;       /* NULL: GGUF */
    char *config_path;    /* in the model's arena */
    SettingsLog *log;     /* which keys of it were read; NULL: GGUF */
    WeightStore *weights;
    Adapter **adapters; /* [n_adapters] of the model's; in its arena */
    int32_t n_adapters;
    HashFile *hashed; /* [n_hashed], paths in the model's arena */
    int32_t n_hashed;
    ModelHasher hasher;
} ModelFiles;

limn_status model_hasher_init(ModelHasher *hasher);
/* Stops a hash under way, waits for its thread and frees what init made. */
void model_hasher_free(ModelHasher *hasher);

#endif
