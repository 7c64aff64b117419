/* What the fuzz targets share. */
#ifndef LIMN_FUZZ_H
#define LIMN_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/tensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Puts the bytes into a file in memory and gives a path to it, the same for the whole process. */
const char *memory_file(const uint8_t *data, size_t size);

/* A folder of this process's own; remove_all unlinks what the target put there and the folder itself, at exit. */
void scratch_make(void (*remove_all)(void));
bool scratch_made(void);
/* The path of a file in it, in static memory; "": the folder's. */
const char *scratch_path(const char *name);
/* Writes a file of it; of no bytes: removes it. */
void scratch_put(const char *name, const void *bytes, size_t size);
/* The same for n files, a NUL between the bytes of two; what is missing at the end is empty. */
void scratch_put_parts(const char *const *names, int n, const uint8_t *bytes, size_t size);

/* A weight of a scratch model, small numbers in f32. */
typedef struct ScratchWeight {
    const char *name;
    int64_t rows, columns; /* columns 0: a vector */
} ScratchWeight;
void scratch_put_weights(const char *name, const ScratchWeight *weights, int n);

/* Ends the process when a promise is broken: a message of one printable line for every failure. */
void check_failure(limn_status status);
void check(bool promise, const char *what);

/* Reads what a tensor says it holds: all bytes, some as f32. */
void use_tensor(const Tensor *tensor);

#endif
