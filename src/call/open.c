#include "call/open.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "call/model_edits.h"

typedef struct CachedModel {
    char *path;     /* as asked for */
    char *adapters; /* the same, each followed by a line break */
    bool config_only;
    bool bf16;
    Frame frame;
    Model *model;
} CachedModel;

/* An engine's values lie in its own buffers until its next run, so a call has it to itself: a call made meanwhile,
 * from a callback of the first, gets another. */
typedef struct CachedEngine {
    const Model *model; /* of the same cache */
    EngineOptions options;
    Engine *engine;
    const MethodCall *holder; /* NULL: nobody's */
} CachedEngine;

/* method_keep */
typedef struct Kept {
    char *key; /* NULL: nothing is kept */
    void *object;
    void (*free_object)(void *object);
} Kept;

struct ModelCache {
    CachedModel *models; /* [n_models] */
    size_t n_models;
    CachedEngine *engines; /* [n_engines] */
    size_t n_engines;
    ModelEditsCache edits;
    Kept kept;
};

static void close_model(CachedModel *cached) {
    model_free(cached->model);
    free(cached->path);
    free(cached->adapters);
}

limn_status model_cache_new(ModelCache **cache) {
    *cache = calloc(1, sizeof **cache);
    return *cache != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "no memory for a context");
}

static void forget(Kept *kept) {
    if (kept->key != NULL) {
        kept->free_object(kept->object);
        free(kept->key);
    }
    *kept = (Kept){0};
}

void *method_take_kept(MethodCall *call, const char *key) {
    Kept *kept = &call->models->kept;
    if (kept->key == NULL || strcmp(kept->key, key) != 0) {
        return NULL;
    }
    void *object = kept->object;
    free(kept->key);
    *kept = (Kept){0};
    return object;
}

limn_status method_keep(MethodCall *call, const char *key, void *object, void (*free_object)(void *object)) {
    char *copy = strdup(key);
    if (copy == NULL) {
        free_object(object);
        return method_no_memory(call);
    }
    forget(&call->models->kept);
    call->models->kept = (Kept){copy, object, free_object};
    return LIMN_OK;
}

void model_cache_free(ModelCache *cache) {
    if (cache == NULL) {
        return;
    }
    forget(&cache->kept);
    for (size_t i = 0; i < cache->n_engines; i++) {
        engine_free(cache->engines[i].engine);
    }
    for (size_t i = 0; i < cache->n_models; i++) {
        close_model(&cache->models[i]);
    }
    model_edits_free(&cache->edits);
    free(cache->engines);
    free(cache->models);
    free(cache);
}

/* "DIR" or "DIR:0.5"; a folder whose own name ends so is itself. */
static limn_status read_adapter(MethodCall *call, const char *option, AdapterUse *use, const Text *given) {
    *use = (AdapterUse){.path = given->bytes, .weight = 1.0};
    const char *colon = strrchr(given->bytes, ':');
    if (colon == NULL || folder_exists(given->bytes)) {
        return LIMN_OK;
    }
    char *end;
    double weight = strtod(colon + 1, &end);
    if (end == colon + 1 || *end != '\0' || !isfinite(weight)) {
        return fail(LIMN_USAGE, "option '%s': found '%s', expected DIR or DIR:WEIGHT, a number after the colon", option,
                    given->bytes);
    }
    use->path = arena_strndup(call->arena, given->bytes, (size_t)(colon - given->bytes));
    use->weight = weight;
    return use->path != NULL ? LIMN_OK : method_no_memory(call);
}

/* Adapters as they were typed, and the option they were typed for. */
typedef struct GivenAdapters {
    const char *option;
    const ParamTexts *texts;
} GivenAdapters;

static const ParamTexts no_texts = {NULL, 0};
static const GivenAdapters no_adapters = {"adapter", &no_texts};

static GivenAdapters common_adapters(const MethodCall *call) {
    return (GivenAdapters){"adapter", &call->common.adapters};
}

static limn_status read_adapters(MethodCall *call, const GivenAdapters *adapters, AdapterUse **uses, char **key) {
    const ParamTexts *given = adapters->texts;
    TextBuffer joined = TEXT_BUFFER_INIT;
    *uses = ARENA_ARRAY(call->arena, AdapterUse, given->n + 1);
    if (*uses == NULL) {
        return method_no_memory(call);
    }
    text_buffer_add(&joined, "");
    for (int32_t i = 0; i < given->n; i++) {
        limn_status status = read_adapter(call, adapters->option, &(*uses)[i], &given->items[i]);
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

static CachedModel *find_model(ModelCache *cache, const CachedModel *wanted) {
    for (size_t i = 0; i < cache->n_models; i++) {
        CachedModel *cached = &cache->models[i];
        if (strcmp(cached->path, wanted->path) == 0 && strcmp(cached->adapters, wanted->adapters) == 0 &&
            cached->config_only == wanted->config_only && cached->bf16 == wanted->bf16 &&
            cached->frame == wanted->frame) {
            return cached;
        }
    }
    return NULL;
}

/* Opening tells how far it is, and who hears of it may make calls that open models too, this one among them. So the
 * cache is looked at and grown afterwards. *added is freed when it fails. */
static limn_status open_new(MethodCall *call, CachedModel *added, const AdapterUse *adapters, int32_t n_adapters) {
    ModelCache *cache = call->models;
    const CommonOptions *common = &call->common;
    ModelOptions options = {.frame = added->frame,
                            .bf16 = added->bf16,
                            .config_only = added->config_only,
                            .adapters = adapters,
                            .n_adapters = n_adapters,
                            .memory_limit = common->memory > PARAM_BYTES_LEAST ? common->memory : 0};
    Model *opened = NULL;
    limn_status status = model_open(&opened, added->path, &options, call->team);
    added->model = opened;
    team_rest(call->team);
    const CachedModel *other = status == LIMN_OK ? find_model(cache, added) : NULL;
    if (other != NULL) {
        close_model(added);
        added->model = other->model;
        return LIMN_OK;
    }
    CachedModel *grown = status == LIMN_OK ? realloc(cache->models, (cache->n_models + 1) * sizeof *grown) : NULL;
    if (grown == NULL) {
        close_model(added);
        return status != LIMN_OK ? status : method_no_memory(call);
    }
    cache->models = grown;
    cache->models[cache->n_models++] = *added;
    return LIMN_OK;
}

static limn_status open_model(MethodCall *call, const char *path, bool config_only, const GivenAdapters *given,
                              Model **model) {
    const CommonOptions *common = &call->common;
    AdapterUse *adapters = NULL;
    char *key = NULL;
    TRY(read_adapters(call, given, &adapters, &key));
    CachedModel wanted = {.path = strdup(path),
                          .adapters = key,
                          .config_only = config_only,
                          .bf16 = common->dtype == (int32_t)COMPUTE_BF16,
                          .frame = (Frame)common->frame};
    const CachedModel *found = wanted.path == NULL ? NULL : find_model(call->models, &wanted);
    if (wanted.path == NULL || found != NULL) {
        free(wanted.path);
        free(wanted.adapters);
        *model = found == NULL ? NULL : found->model;
        return found == NULL ? method_no_memory(call) : LIMN_OK;
    }
    TRY(open_new(call, &wanted, adapters, given->texts->n));
    *model = wanted.model;
    return LIMN_OK;
}

/* A model with the edits that the options name. */
static limn_status open_edited(MethodCall *call, const char *path, bool config_only, const GivenAdapters *adapters,
                               Model **model) {
    TRY(open_model(call, path, config_only, adapters, model));
    return model_edits_open(&call->edits, &call->models->edits, call, *model);
}

limn_status method_model(MethodCall *call, const char *path, Model **model) {
    GivenAdapters adapters = common_adapters(call);
    return open_edited(call, path, false, &adapters, model);
}

limn_status method_model_config(MethodCall *call, const char *path, Model **model) {
    GivenAdapters adapters = common_adapters(call);
    return open_edited(call, path, true, &adapters, model);
}

EngineOptions engine_options_of(const CommonOptions *common) {
    bool least = common->memory == PARAM_BYTES_LEAST;
    return (EngineOptions){.backend = common->backend == 1 ? "ref" : "cpu",
                           .compute = (Compute)common->dtype,
                           .memory_limit = least ? 0 : common->memory,
                           .chunk_rows = 0,
                           .threads = common->threads,
                           .keep = least ? KEEP_LAYER_INPUTS : KEEP_AUTO};
}

static bool same_options(const EngineOptions *a, const EngineOptions *b) {
    return strcmp(a->backend, b->backend) == 0 && a->compute == b->compute && a->memory_limit == b->memory_limit &&
           a->chunk_rows == b->chunk_rows && a->keep == b->keep && a->brief == b->brief && a->edits == b->edits;
}

/* Asked for twice, a call gets the same one. */
static CachedEngine *find_engine(CachedEngine *engines, size_t n, const MethodCall *holder, const Model *model,
                                 const EngineOptions *options) {
    for (size_t i = 0; i < n; i++) {
        CachedEngine *cached = &engines[i];
        if (cached->holder == holder && cached->model == model && same_options(&cached->options, options)) {
            return cached;
        }
    }
    return NULL;
}

static limn_status add_engine(CachedEngine **added, MethodCall *call, const Model *model,
                              const EngineOptions *options) {
    ModelCache *cache = call->models;
    CachedEngine *grown = realloc(cache->engines, (cache->n_engines + 1) * sizeof *grown);
    if (grown == NULL) {
        return method_no_memory(call);
    }
    cache->engines = grown;
    *added = &grown[cache->n_engines];
    **added = (CachedEngine){.model = model, .options = *options};
    TRY(engine_new(&(*added)->engine, model, options));
    cache->n_engines++;
    return LIMN_OK;
}

static limn_status engine_of(MethodCall *call, const Model *model, const EngineOptions *options, Engine **engine) {
    ModelCache *cache = call->models;
    CachedEngine *found = find_engine(cache->engines, cache->n_engines, call, model, options);
    if (found == NULL) {
        found = find_engine(cache->engines, cache->n_engines, NULL, model, options);
    }
    if (found == NULL) {
        TRY(add_engine(&found, call, model, options));
    }
    found->holder = call;
    engine_set_threads(found->engine, options->threads);
    *engine = found->engine;
    return engine_set_edits(found->engine, options->edits, options->n_edits);
}

static limn_status open_engine(MethodCall *call, const char *path, const GivenAdapters *adapters, Engine **engine) {
    Model *model;
    TRY(open_edited(call, path, false, adapters, &model));
    model_hash_start(model);
    call->described = model;
    EngineOptions options = engine_options_of(&call->common);
    options.edits = call->edits != NULL ? call->edits->edits : NULL;
    options.n_edits = call->edits != NULL ? call->edits->n_edits : 0;
    TRY(engine_of(call, model, &options, engine));
    call->engine = *engine;
    return LIMN_OK;
}

limn_status method_beside_engine(MethodCall *call, Engine *engine, Engine **base) {
    const Model *model = engine_model(engine);
    *base = engine;
    if (model->base == NULL && call->edits == NULL) {
        return LIMN_OK;
    }
    EngineOptions options = engine_options_of(&call->common);
    options.brief = true;
    return engine_of(call, model->base != NULL ? model->base : model, &options, base);
}

void model_cache_release(ModelCache *cache, const MethodCall *call) {
    size_t kept = 0;
    for (size_t i = 0; i < cache->n_engines; i++) {
        CachedEngine cached = cache->engines[i];
        if (cached.holder == call) {
            cached.holder = NULL;
        }
        if (cached.holder == NULL && find_engine(cache->engines, kept, NULL, cached.model, &cached.options) != NULL) {
            engine_free(cached.engine);
        } else {
            cache->engines[kept++] = cached;
        }
    }
    cache->n_engines = kept;
}

limn_status method_engine(MethodCall *call, const char *path, Engine **engine) {
    GivenAdapters adapters = common_adapters(call);
    return open_engine(call, path, &adapters, engine);
}

limn_status method_base_engine(MethodCall *call, const char *path, Engine **engine) {
    return open_engine(call, path, &no_adapters, engine);
}

limn_status method_adapted_engine(MethodCall *call, const char *path, const char *option, const ParamTexts *adapters,
                                  Engine **engine) {
    return open_engine(call, path, &(GivenAdapters){option, adapters}, engine);
}
