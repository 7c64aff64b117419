/* The hash of a model: weights, configuration and tokenizer files, computed beside the first run. */
#include <string.h>

#include "base/parallel.h"
#include "model/files.h"

static bool keep_going(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    ModelFiles *files = context;
    if (atomic_load(&files->hasher_awaited)) {
        parallel_join_in();
    }
    return !atomic_load(&files->hasher_stop);
}

static void compute(ModelFiles *files, bool fresh) {
    Progress progress = {keep_going, files};
    files->hash_status = hash_files(files->hash, files->hashed, files->n_hashed, fresh, &progress);
    error_save(&files->hash_error);
}

static void *run_hasher(void *context) {
    parallel_stand_aside(); /* the run has the pool until it asks for the hash at its end */
    compute(context, false);
    return NULL;
}

limn_status model_hash_start(Model *model) {
    ModelFiles *files = model->files;
    if (files->hasher_runs || files->hash_known) {
        return LIMN_OK;
    }
    if (pthread_create(&files->hasher, NULL, run_hasher, files) == 0) {
        files->hasher_runs = true;
    }
    /* Without a thread the hash is computed when it is asked for. */
    return LIMN_OK;
}

static void join(ModelFiles *files) {
    if (files->hasher_runs) {
        atomic_store(&files->hasher_awaited, true);
        pthread_join(files->hasher, NULL);
        files->hasher_runs = false;
        files->hash_known = true;
    }
}

limn_status model_hash(Model *model, bool fresh, char hex[65]) {
    ModelFiles *files = model->files;
    join(files);
    if (fresh || !files->hash_known) {
        compute(files, fresh);
        files->hash_known = true;
    }
    if (files->hash_status != LIMN_OK) {
        return error_restore(&files->hash_error);
    }
    memcpy(hex, files->hash, sizeof files->hash);
    return LIMN_OK;
}

limn_status model_adapter_hash(const Model *model, int32_t adapter, bool fresh, char hex[65]) {
    const Adapter *opened = model->files->adapters[adapter];
    const HashFile files[] = {{.path = opened->config_path}, {.path = opened->tensor_path}};
    return hash_files(hex, files, 2, fresh, &(Progress){0});
}

void model_hash_stop(Model *model) {
    atomic_store(&model->files->hasher_stop, true);
    join(model->files);
}
