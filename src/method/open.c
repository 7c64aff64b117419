#include "method/open.h"

#include <stdlib.h>
#include <string.h>

typedef struct CachedModel {
    char *path; /* as asked for */
    bool config_only;
    bool bf16;
    Frame frame;
    Model *model;
} CachedModel;

typedef struct CachedSession {
    const Model *model; /* of the same cache */
    SessionOptions options;
    Session *session;
} CachedSession;

struct ModelCache {
    CachedModel *models; /* [n_models] */
    size_t n_models;
    CachedSession *sessions; /* [n_sessions] */
    size_t n_sessions;
};

limn_status model_cache_new(ModelCache **cache) {
    *cache = calloc(1, sizeof **cache);
    return *cache != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory for a context");
}

void model_cache_free(ModelCache *cache) {
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < cache->n_sessions; i++) {
        session_free(cache->sessions[i].session);
    }
    for (size_t i = 0; i < cache->n_models; i++) {
        model_free(cache->models[i].model);
        free(cache->models[i].path);
    }
    free(cache->sessions);
    free(cache->models);
    free(cache);
}

static limn_status open_model(MethodCall *call, const char *path, bool config_only, Model **model) {
    ModelCache *cache = call->models;
    const CommonOptions *common = &call->common;
    bool bf16 = common->dtype == (int32_t)COMPUTE_BF16;
    for (size_t i = 0; i < cache->n_models; i++) {
        CachedModel *cached = &cache->models[i];
        if (strcmp(cached->path, path) == 0 && cached->config_only == config_only && cached->bf16 == bf16 &&
            cached->frame == (Frame)common->frame) {
            *model = cached->model;
            return LIMN_OK;
        }
    }
    CachedModel *grown = realloc(cache->models, (cache->n_models + 1) * sizeof *grown);
    if (grown == NULL) {
        return method_no_memory(call);
    }
    cache->models = grown;
    CachedModel added = {strdup(path), config_only, bf16, (Frame)common->frame, NULL};
    if (added.path == NULL) {
        return method_no_memory(call);
    }
    ModelOptions options = {.frame = added.frame,
                            .bf16 = bf16,
                            .config_only = config_only,
                            .memory_limit = common->memory > PARAM_BYTES_LEAST ? common->memory : 0};
    limn_status status = model_open(&added.model, path, &options, call->progress);
    if (status != LIMN_OK) {
        free(added.path);
        return status;
    }
    cache->models[cache->n_models++] = added;
    *model = added.model;
    return LIMN_OK;
}

limn_status method_model(MethodCall *call, const char *path, Model **model) {
    return open_model(call, path, false, model);
}

limn_status method_model_config(MethodCall *call, const char *path, Model **model) {
    return open_model(call, path, true, model);
}

SessionOptions session_options_of(const CommonOptions *common) {
    bool least = common->memory == PARAM_BYTES_LEAST;
    return (SessionOptions){.backend = common->backend == 1 ? "ref" : "cpu",
                            .compute = (Compute)common->dtype,
                            .memory_limit = least ? 0 : common->memory,
                            .chunk_rows = 0,
                            .keep = least ? KEEP_LAYER_INPUTS : KEEP_AUTO};
}

static bool same_options(const SessionOptions *a, const SessionOptions *b) {
    return strcmp(a->backend, b->backend) == 0 && a->compute == b->compute && a->memory_limit == b->memory_limit &&
           a->chunk_rows == b->chunk_rows && a->keep == b->keep;
}

limn_status method_session(MethodCall *call, const char *path, Session **session) {
    Model *model;
    TRY(method_model(call, path, &model));
    TRY(model_hash_start(model));
    call->described = model;
    ModelCache *cache = call->models;
    SessionOptions options = session_options_of(&call->common);
    for (size_t i = 0; i < cache->n_sessions; i++) {
        if (cache->sessions[i].model == model && same_options(&cache->sessions[i].options, &options)) {
            *session = cache->sessions[i].session;
            call->session = *session;
            return LIMN_OK;
        }
    }
    CachedSession *grown = realloc(cache->sessions, (cache->n_sessions + 1) * sizeof *grown);
    if (grown == NULL) {
        return method_no_memory(call);
    }
    cache->sessions = grown;
    CachedSession added = {model, options, NULL};
    TRY(session_new(&added.session, model, &options));
    cache->sessions[cache->n_sessions++] = added;
    *session = added.session;
    call->session = *session;
    return LIMN_OK;
}
