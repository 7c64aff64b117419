/* Keys and values kept of one sequence, for the rows that come behind it. */
#include <stdlib.h>
#include <string.h>

#include "run/engine.h"

static limn_status allocate(KvCache *cache) {
    size_t layers = (size_t)cache->n_layers;
    size_t values;
    if (__builtin_mul_overflow((size_t)cache->capacity, (size_t)cache->width, &values) ||
        values > SIZE_MAX / sizeof(float) / 2) {
        return fail(LIMN_NO_MEMORY, "key/value cache of %d rows", cache->capacity);
    }
    cache->keys = calloc(layers, sizeof *cache->keys);
    cache->values = calloc(layers, sizeof *cache->values);
    cache->is_key = calloc((size_t)cache->capacity, 1);
    bool complete = cache->keys != NULL && cache->values != NULL && cache->is_key != NULL;
    for (size_t l = 0; complete && l < layers; l++) {
        cache->keys[l] = malloc(values * sizeof(float));
        cache->values[l] = malloc(values * sizeof(float));
        complete = cache->keys[l] != NULL && cache->values[l] != NULL;
    }
    return complete ? LIMN_OK
                    : fail(LIMN_NO_MEMORY, "key/value cache of %d rows needs %.1f MiB", cache->capacity,
                           2.0 * (double)layers * (double)values * sizeof(float) / 1048576.0);
}

limn_status kv_cache_new(KvCache **cache, const Model *model, int32_t capacity) {
    *cache = NULL;
    if (!model->config.causal) {
        return fail(LIMN_USAGE, "%s reads in both directions: it has no key/value cache", model->config.architecture);
    }
    KvCache *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return fail(LIMN_NO_MEMORY, "key/value cache");
    }
    made->n_layers = model->config.n_layers;
    made->width = (int64_t)model->config.n_kv_heads * model->config.d_head;
    made->capacity = capacity;
    limn_status status = allocate(made);
    if (status != LIMN_OK) {
        kv_cache_free(made);
        return status;
    }
    *cache = made;
    return LIMN_OK;
}

void kv_cache_free(KvCache *cache) {
    if (cache == NULL) {
        return;
    }
    if (cache->held != NULL) {
        *cache->held -= cache->bytes;
    }
    for (int l = 0; l < cache->n_layers; l++) {
        if (cache->keys != NULL) {
            free(cache->keys[l]);
        }
        if (cache->values != NULL) {
            free(cache->values[l]);
        }
    }
    free(cache->keys);
    free(cache->values);
    free(cache->is_key);
    free(cache);
}

limn_status kv_cache_copy(KvCache *cache, const KvCache *from, int32_t rows) {
    if (rows < 0 || rows > from->length || rows > cache->capacity || cache->width != from->width ||
        cache->n_layers != from->n_layers) {
        return fail(LIMN_INTERNAL, "%d rows of a key/value cache do not fit another", rows);
    }
    size_t bytes = (size_t)rows * (size_t)cache->width * sizeof(float);
    for (int l = 0; l < cache->n_layers; l++) {
        memcpy(cache->keys[l], from->keys[l], bytes);
        memcpy(cache->values[l], from->values[l], bytes);
    }
    memcpy(cache->is_key, from->is_key, (size_t)rows);
    cache->length = rows;
    return LIMN_OK;
}

size_t kv_cache_row_bytes(const Model *model) {
    const ModelConfig *config = &model->config;
    return 2 * sizeof(float) * (size_t)config->n_layers * (size_t)config->n_kv_heads * (size_t)config->d_head;
}
