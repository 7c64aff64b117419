#include "ask/values_file.h"

#include <string.h>

#include "base/file.h"
#include "files/tensor_files.h"

limn_status values_file_open(ValuesFile *file, MethodCall *call, const Text *path) {
    *file = (ValuesFile){.call = call, .path = path->bytes};
    TRY(params_check_ending("values", path, ".safetensors"));
    return path->bytes == NULL ? LIMN_OK : file_check_output(path->bytes);
}

static limn_status make_room(ValuesFile *file) {
    if (file->n < file->capacity) {
        return LIMN_OK;
    }
    int32_t capacity = file->capacity == 0 ? 8 : 2 * file->capacity;
    Tensor *items = ARENA_ARRAY(file->call->arena, Tensor, capacity);
    if (items == NULL) {
        return method_no_memory(file->call);
    }
    if (file->n > 0) {
        memcpy(items, file->items, (size_t)file->n * sizeof *items);
    }
    file->items = items;
    file->capacity = capacity;
    return LIMN_OK;
}

/* The next tensor, its n values still to be filled in. */
static limn_status open_tensor(ValuesFile *file, float **copy, int64_t *n, const char *name, int rank,
                               const int64_t *shape) {
    TRY(make_room(file));
    Tensor tensor = {.name = arena_strdup(file->call->arena, name), .dtype = DTYPE_F32, .rank = rank};
    *n = 1;
    for (int i = 0; i < rank; i++) {
        tensor.shape[i] = shape[i];
        *n *= shape[i];
    }
    *copy = arena_alloc(file->call->arena, ((size_t)*n + 1) * sizeof **copy);
    if (*copy == NULL || tensor.name == NULL) {
        return method_no_memory(file->call);
    }
    tensor.data = *copy;
    tensor.bytes = (size_t)*n * sizeof **copy;
    file->items[file->n++] = tensor;
    return LIMN_OK;
}

limn_status values_file_add(ValuesFile *file, const char *name, const double *values, int rank, const int64_t *shape) {
    float *copy;
    int64_t n;
    if (file->path == NULL) {
        return LIMN_OK;
    }
    TRY(open_tensor(file, &copy, &n, name, rank, shape));
    for (int64_t i = 0; i < n; i++) {
        copy[i] = (float)values[i];
    }
    return LIMN_OK;
}

limn_status values_file_add_f32(ValuesFile *file, const char *name, const float *values, int rank,
                                const int64_t *shape) {
    float *copy;
    int64_t n;
    if (file->path == NULL) {
        return LIMN_OK;
    }
    TRY(open_tensor(file, &copy, &n, name, rank, shape));
    memcpy(copy, values, (size_t)n * sizeof *copy);
    return LIMN_OK;
}

limn_status values_file_write(const ValuesFile *file, const Model *model) {
    if (file->path == NULL) {
        return LIMN_OK;
    }
    TensorMetadata metadata[] = {{"format", "pt"},
                                 {"writer", "limn " LIMN_VERSION},
                                 {"frame", model->frame == FRAME_HF ? "hf" : "transformerlens"},
                                 {"model", model->name}};
    return safetensors_write(file->path, file->items, file->n, metadata, 4);
}
