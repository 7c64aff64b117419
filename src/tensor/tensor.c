/* The dtype table and checked sizes. */
#include "tensor/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const DTypeInfo infos[DTYPE_COUNT] = {
#define DTYPE(name, block_elements, block_bytes, safetensors, gguf)                                                    \
    {#name, block_elements, block_bytes, safetensors, gguf},
#include "tensor/dtypes.def"
#undef DTYPE
};

const DTypeInfo *dtype_info(DType dtype) {
    return &infos[dtype];
}

bool dtype_from_safetensors(const char *name, size_t length, DType *dtype) {
    for (int i = 0; i < DTYPE_COUNT; i++) {
        const char *known = infos[i].safetensors;
        if (known != NULL && strlen(known) == length && memcmp(known, name, length) == 0) {
            *dtype = (DType)i;
            return true;
        }
    }
    return false;
}

bool dtype_from_gguf(uint32_t id, DType *dtype) {
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if (infos[i].gguf >= 0 && (uint32_t)infos[i].gguf == id) {
            *dtype = (DType)i;
            return true;
        }
    }
    return false;
}

int64_t tensor_elements(const Tensor *tensor) {
    int64_t elements = 1;
    for (int i = 0; i < tensor->rank; i++) {
        elements *= tensor->shape[i];
    }
    return elements;
}

static const char *shape_text(int rank, const int64_t *shape, char buffer[96]) {
    size_t used = (size_t)snprintf(buffer, 96, "[");
    for (int i = 0; i < rank; i++) {
        char number[24];
        int length = snprintf(number, sizeof number, "%s%" PRId64, i > 0 ? ", " : "", shape[i]);
        if (used + (size_t)length + sizeof ", ...]" > 96) {
            used += (size_t)snprintf(buffer + used, 96 - used, ", ...");
            break;
        }
        memcpy(buffer + used, number, (size_t)length + 1);
        used += (size_t)length;
    }
    snprintf(buffer + used, 96 - used, "]");
    return buffer;
}

const char *tensor_shape_text(const Tensor *tensor, char buffer[96]) {
    return shape_text(tensor->rank, tensor->shape, buffer);
}

limn_status tensor_bytes(DType dtype, int rank, const int64_t *shape, size_t *bytes) {
    if (rank < 0 || rank > TENSOR_MAX_RANK) {
        return fail(LIMN_FORMAT, "a shape of %d dimensions (at most %d)", rank, TENSOR_MAX_RANK);
    }
    char text[96];
    const DTypeInfo *info = &infos[dtype];
    /* The product of the dimensions that are not 0 must fit too: [0, 2^62, 2^62] is no shape. */
    int64_t elements = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) {
            return fail(LIMN_FORMAT, "a negative dimension in shape %s", shape_text(rank, shape, text));
        }
        if (shape[i] == 0) {
            empty = true;
        } else if (__builtin_mul_overflow(elements, shape[i], &elements)) {
            return fail(LIMN_FORMAT, "shape %s has more elements than can be counted", shape_text(rank, shape, text));
        }
    }
    int64_t innermost = rank > 0 ? shape[rank - 1] : 1;
    if (innermost % info->block_elements != 0) {
        return fail(LIMN_FORMAT, "rows of %" PRId64 " elements in shape %s (%s comes in blocks of %d)", innermost,
                    shape_text(rank, shape, text), info->name, info->block_elements);
    }
    int64_t total = 0;
    if (!empty && __builtin_mul_overflow(elements / info->block_elements, (int64_t)info->block_bytes, &total)) {
        return fail(LIMN_FORMAT, "shape %s has more bytes than can be counted", shape_text(rank, shape, text));
    }
    *bytes = (size_t)total;
    return LIMN_OK;
}
