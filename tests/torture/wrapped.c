/* Where each folder is a shared library (LIMN_SHARED_FOLDERS) the linker sends its allocations to these names, so that
 * tests which fail or count allocations can put their own in the way, as they do where all is linked into one program.
 * For every other program they do what they wrap. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSED __attribute__((weak, visibility("default")))

PASSED void *__wrap_malloc(size_t bytes);
PASSED void *__wrap_calloc(size_t count, size_t bytes);
PASSED void *__wrap_realloc(void *old, size_t bytes);
PASSED void __wrap_free(void *memory);
PASSED char *__wrap_strdup(const char *text);
PASSED char *__wrap_strndup(const char *text, size_t length);
PASSED int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
PASSED int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);
PASSED void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
PASSED FILE *__wrap_fopen(const char *path, const char *mode);
PASSED void *__wrap_large_alloc(size_t bytes);

void *large_alloc(size_t bytes); /* base/large.h, which is linked beside this */

void *__wrap_malloc(size_t bytes) {
    return malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes) {
    return realloc(old, bytes);
}

void __wrap_free(void *memory) {
    free(memory);
}

char *__wrap_strdup(const char *text) {
    return strdup(text);
}

char *__wrap_strndup(const char *text, size_t length) {
    return strndup(text, length);
}

int __wrap_asprintf(char **out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(out, format, arguments);
    va_end(arguments);
    return length;
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes) {
    return posix_memalign(out, alignment, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return aligned_alloc(alignment, bytes);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    return fopen(path, mode);
}

void *__wrap_large_alloc(size_t bytes) {
    return large_alloc(bytes);
}
