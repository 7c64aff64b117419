/* --values FILE.safetensors: the arrays of a result in full, under the names of its blocks, for methods whose pictures
 * show rounded numbers or a part. */
#ifndef LIMN_ASK_VALUES_FILE_H
#define LIMN_ASK_VALUES_FILE_H

#include "call/method.h"
#include "tensor/tensor.h"

#define VALUES_ROW(type, member)                                                                                       \
    {                                                                                                                  \
        "values", 0, LIMN_PARAM_OUTPUT, .metavar = "FILE.safetensors",                                                 \
                                        .help = "write the arrays in full, under the names of the blocks, to this "    \
                                                "file",                                                                \
                                        .field = offsetof(type, member)                                                \
    }

typedef struct ValuesFile {
    MethodCall *call;
    const char *path; /* NULL: nothing was asked for, and nothing is kept */
    Tensor *items;    /* [n] */
    int32_t n, capacity;
} ValuesFile;

/* Before long work: a name without the ending, or a file that cannot be written, is refused. */
limn_status values_file_open(ValuesFile *file, MethodCall *call, const Text *path);
/* Keeps a copy as F32. shape: [rank]. */
limn_status values_file_add(ValuesFile *file, const char *name, const double *values, int rank, const int64_t *shape);
limn_status values_file_add_f32(ValuesFile *file, const char *name, const float *values, int rank,
                                const int64_t *shape);
limn_status values_file_write(const ValuesFile *file, const Model *model);

#endif
