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

/* Ends the process when a promise is broken: a message of one printable line for every failure. */
void check_failure(limn_status status);
void check(bool promise, const char *what);

/* Reads what a tensor says it holds: all bytes, some as f32. */
void use_tensor(const Tensor *tensor);

#endif
