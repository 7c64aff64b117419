/* Named tensors of a model folder (model.safetensors, or shards with an index), mapped where they lie. */
#ifndef LIMN_FILES_TENSOR_FILES_H
#define LIMN_FILES_TENSOR_FILES_H

#include "base/error.h"
#include "base/progress.h"
#include "tensor/tensor.h"

typedef struct TensorFiles TensorFiles;

/* path: one .safetensors file, or a folder with model.safetensors or model.safetensors.index.json. */
limn_status tensor_files_open(TensorFiles **files, const char *path);
void tensor_files_close(TensorFiles *files);

int32_t tensor_files_count(const TensorFiles *files);
const Tensor *tensor_files_at(const TensorFiles *files, int32_t index);
const Tensor *tensor_files_find(const TensorFiles *files, const char *name); /* NULL: none */
/* The file a tensor came from, for messages. */
const char *tensor_files_path_of(const TensorFiles *files, const Tensor *tensor);

/* Writes tensors (in the given order, with optional metadata pairs) atomically. */
typedef struct TensorMetadata {
    const char *key;
    const char *value;
} TensorMetadata;
limn_status safetensors_write(const char *path, const Tensor *tensors, int32_t n, const TensorMetadata *metadata,
                              int32_t n_metadata);

#endif
