/* What the tests of this folder share: a scratch copy of a golden case's folder, bent for one test at a time. */
#ifndef TESTS_MODEL_FOLDER_H
#define TESTS_MODEL_FOLDER_H

/* before cmocka.h, which makes a macro of fail */
#include "base/arena.h"
#include "base/text_buffer.h"
#include "files/tensor_files.h"
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int scratch_make(void **state);   /* a group's set-up: a new empty folder */
int scratch_remove(void **state); /* and its tear-down */
const char *folder_path(void);

void folder_empty(void);
/* Empties the folder and copies config.json and the weights of tests/golden/<name> into it. */
void folder_from_case(const char *name);
const char *case_path(const char *name, const char *file); /* borrowed until the next call */

/* Sets a key of config.json to a JSON text; NULL removes it. */
void folder_set(const char *key, const char *json);

/* Rewrites model.safetensors with each tensor as `edit` leaves it; false drops the tensor. Tensors may be added by
 * returning a name for `extra`, whose data is a copy of the tensor's. */
typedef bool (*TensorEdit)(Tensor *tensor, const char **extra, Arena *arena, const void *context);
void folder_edit(TensorEdit edit, const void *context);

/* A copy of the data that may be written. */
void *tensor_copy(Tensor *tensor, Arena *arena);

void folder_write(const char *name, const void *bytes, size_t length);

/* Opening the folder answers `expected`, and the message has every word of the list (the last is NULL). */
void check_refused(const ModelOptions *options, limn_status expected, const char *const *words, const char *file,
                   int line);
#define assert_refused(expected, ...)                                                                                  \
    check_refused(NULL, (expected), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)
#define assert_refused_with(options, expected, ...)                                                                    \
    check_refused((options), (expected), (const char *const[]){__VA_ARGS__, NULL}, __FILE__, __LINE__)

/* Opens the folder or fails the test. */
Model *folder_open(const ModelOptions *options);
Model *open_or_fail(const char *path, const ModelOptions *options);

float weight_at(const Weight *weight, int64_t row, int64_t column);

#endif
