#include "call/open.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"

typedef struct CachedModel {
    char *path;     /* as asked for */
    char *adapters; /* the same, each followed by a line break */
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
        free(cache->models[i].adapters);
    }
    free(cache->sessions);
    free(cache->models);
    free(cache);
}

/* "DIR" or "DIR:0.5"; a folder whose own name ends so is itself. */
static limn_status read_adapter(MethodCall *call, AdapterUse *use, const Text *given) {
    *use = (AdapterUse){.path = given->bytes, .weight = 1.0};
    const char *colon = strrchr(given->bytes, ':');
    if (colon == NULL || folder_exists(given->bytes)) {
        return LIMN_OK;
    }
    char *end;
    double weight = strtod(colon + 1, &end);
    if (end == colon + 1 || *end != '\0' || !isfinite(weight)) {
        return fail(LIMN_USAGE, "option 'adapter': found '%s', expected DIR or DIR:WEIGHT, a number after the colon",
                    given->bytes);
    }
    use->path = arena_strndup(call->arena, given->bytes, (size_t)(colon - given->bytes));
    use->weight = weight;
    return use->path != NULL ? LIMN_OK : method_no_memory(call);
}

static limn_status read_adapters(MethodCall *call, AdapterUse **uses, char **key) {
    const ParamTexts *given = &call->common.adapters;
    TextBuffer joined = TEXT_BUFFER_INIT;
    *uses = ARENA_ARRAY(call->arena, AdapterUse, given->n + 1);
    if (*uses == NULL) {
        return method_no_memory(call);
    }
    text_buffer_add(&joined, "");
    for (int32_t i = 0; i < given->n; i++) {
        limn_status status = read_adapter(call, &(*uses)[i], &given->items[i]);
        if (status != LIMN_OK) {
            text_buffer_free(&joined);
            return status;
        }
        text_buffer_printf(&joined, "%s\n", given->items[i].bytes);
    }
    *key = joined.data;
    limn_status status = text_buffer_status(&joined);
    if (status != LIMN_OK) {
        text_buffer_free(&joined);
    }
    return status;
}

/* *added: its path and adapters are freed when it fails. */
static limn_status open_new(MethodCall *call, CachedModel *added, const AdapterUse *adapters, int32_t n_adapters) {
    ModelCache *cache = call->models;
    const CommonOptions *common = &call->common;
    CachedModel *grown = realloc(cache->models, (cache->n_models + 1) * sizeof *grown);
    if (grown != NULL) {
        cache->models = grown;
    }
    ModelOptions options = {.frame = added->frame,
                            .bf16 = added->bf16,
                            .config_only = added->config_only,
                            .adapters = adapters,
                            .n_adapters = n_adapters,
                            .memory_limit = common->memory > PARAM_BYTES_LEAST ? common->memory : 0};
    limn_status status = grown != NULL && added->path != NULL
                             ? model_open(&added->model, added->path, &options, call->team)
                             : method_no_memory(call);
    if (status != LIMN_OK) {
        free(added->path);
        free(added->adapters);
        return status;
    }
    cache->models[cache->n_models++] = *added;
    return LIMN_OK;
}

static limn_status open_model(MethodCall *call, const char *path, bool config_only, bool adapted, Model **model) {
    ModelCache *cache = call->models;
    const CommonOptions *common = &call->common;
    bool bf16 = common->dtype == (int32_t)COMPUTE_BF16;
    AdapterUse *adapters = NULL;
    char *key = NULL;
    if (adapted) {
        TRY(read_adapters(call, &adapters, &key));
    } else if ((key = strdup("")) == NULL) {
        return method_no_memory(call);
    }
    for (size_t i = 0; i < cache->n_models; i++) {
        CachedModel *cached = &cache->models[i];
        if (strcmp(cached->path, path) == 0 && strcmp(cached->adapters, key) == 0 &&
            cached->config_only == config_only && cached->bf16 == bf16 && cached->frame == (Frame)common->frame) {
            free(key);
            *model = cached->model;
            return LIMN_OK;
        }
    }
    CachedModel added = {strdup(path), key, config_only, bf16, (Frame)common->frame, NULL};
    TRY(open_new(call, &added, adapters, adapted ? common->adapters.n : 0));
    *model = added.model;
    return LIMN_OK;
}

limn_status method_model(MethodCall *call, const char *path, Model **model) {
    return open_model(call, path, false, true, model);
}

limn_status method_model_config(MethodCall *call, const char *path, Model **model) {
    return open_model(call, path, true, true, model);
}

SessionOptions session_options_of(const CommonOptions *common) {
    bool least = common->memory == PARAM_BYTES_LEAST;
    return (SessionOptions){.backend = common->backend == 1 ? "ref" : "cpu",
                            .compute = (Compute)common->dtype,
                            .memory_limit = least ? 0 : common->memory,
                            .chunk_rows = 0,
                            .threads = common->threads,
                            .keep = least ? KEEP_LAYER_INPUTS : KEEP_AUTO};
}

static bool same_options(const SessionOptions *a, const SessionOptions *b) {
    return strcmp(a->backend, b->backend) == 0 && a->compute == b->compute && a->memory_limit == b->memory_limit &&
           a->chunk_rows == b->chunk_rows && a->keep == b->keep;
}

static limn_status open_session(MethodCall *call, const char *path, bool adapted, Session **session) {
    Model *model;
    TRY(open_model(call, path, false, adapted, &model));
    model_hash_start(model);
    call->described = model;
    ModelCache *cache = call->models;
    SessionOptions options = session_options_of(&call->common);
    for (size_t i = 0; i < cache->n_sessions; i++) {
        if (cache->sessions[i].model == model && same_options(&cache->sessions[i].options, &options)) {
            *session = cache->sessions[i].session;
            session_set_threads(*session, options.threads);
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

limn_status method_session(MethodCall *call, const char *path, Session **session) {
    return open_session(call, path, true, session);
}

limn_status method_base_session(MethodCall *call, const char *path, Session **session) {
    return open_session(call, path, false, session);
}
