/* One .safetensors file: its header checked, its tensors where they lie in the map. Private to files/. */
#ifndef LIMN_FILES_SAFETENSORS_H
#define LIMN_FILES_SAFETENSORS_H

#include "base/arena.h"
#include "base/file.h"
#include "tensor/tensor.h"

enum { SAFETENSORS_LARGEST_HEADER = 100 * 1000 * 1000 };
#define SAFETENSORS_METADATA "__metadata__" /* the one entry of a header that is no tensor */

/* *tensors [*n] and their names are in the arena, in the header's order; data borrows from the map. */
limn_status safetensors_read(Tensor **tensors, int32_t *n, Arena *arena, const FileMap *map);

#endif
