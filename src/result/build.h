/* Shared by the files that build a result: memory from its arena, with the failure that sticks. */
#ifndef LIMN_RESULT_BUILD_H
#define LIMN_RESULT_BUILD_H

#include <stdarg.h>

#include "result/result.h"

/* NULL (and the result has failed) when memory runs out or count * size does not fit. Zeroed. */
void *result_alloc(Result *result, size_t count, size_t size);
/* Room for one more item behind *count of them; the place is zeroed and counted. NULL: failed. */
void *result_push(Result *result, void **items, int32_t *count, int32_t *capacity, size_t size);
Text result_copy(Result *result, Text text);
const char *result_copy_name(Result *result, const char *name);
Text result_vprintf(Result *result, const char *format, va_list arguments);
Value result_copy_value(Result *result, Value value);
/* *repeated: the first column whose name another before it has; -1: none. */
limn_status columns_repeated(const TableColumn *columns, int32_t n, int32_t *repeated);
void result_fail(Result *result, limn_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A new block at the end, with content of content_size bytes; returns the content. */
void *result_add_block(Result *result, BlockKind kind, const char *id, const char *title, size_t content_size);

void fields_put(Result *result, Fields *fields, const char *name, Value value);

#endif
