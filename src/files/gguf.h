/* GGUF v3: metadata and tensors of one mapped file. */
#ifndef LIMN_FILES_GGUF_H
#define LIMN_FILES_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tensor/tensor.h"

typedef struct Gguf Gguf;

limn_status gguf_open(Gguf **gguf, const char *path);
void gguf_close(Gguf *gguf);
const char *gguf_path(const Gguf *gguf);

int32_t gguf_tensor_count(const Gguf *gguf);
const Tensor *gguf_tensor_at(const Gguf *gguf, int32_t index); /* shape outermost first (the file's reversed) */
const Tensor *gguf_tensor(const Gguf *gguf, const char *name); /* NULL: none */

/* Metadata by key; false (or LIMN_NOT_FOUND naming file and key) when absent or of another type. Integers of any
 * width are widened. Strings are borrowed and not NUL-terminated. */
bool gguf_get_integer(const Gguf *gguf, const char *key, int64_t *value);
bool gguf_get_real(const Gguf *gguf, const char *key, double *value);
bool gguf_get_bool(const Gguf *gguf, const char *key, bool *value);
bool gguf_get_string(const Gguf *gguf, const char *key, const char **text, size_t *length);
/* Arrays: element count, then one element. */
bool gguf_get_array(const Gguf *gguf, const char *key, int64_t *count);
bool gguf_array_string(const Gguf *gguf, const char *key, int64_t index, const char **text, size_t *length);
bool gguf_array_integer(const Gguf *gguf, const char *key, int64_t index, int64_t *value);
bool gguf_array_real(const Gguf *gguf, const char *key, int64_t index, double *value);
/* The keys, for `limn info`. */
int32_t gguf_key_count(const Gguf *gguf);
const char *gguf_key_at(const Gguf *gguf, int32_t index, size_t *length);

#endif
