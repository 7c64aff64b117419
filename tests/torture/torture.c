#include "torture/torture.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void __real_free(void *memory);
int __real_posix_memalign(void **out, size_t alignment, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void __wrap_free(void *memory);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t length);
int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);

enum { PLACES = 1 << 20 };

static _Thread_local long countdown = -1; /* allocations until one fails; negative: none does */
static _Thread_local bool counting;
static _Thread_local bool failed;
static void *live[PLACES]; /* open addressing; what the scenario's own thread has taken */
static size_t n_live;
static atomic_flag busy = ATOMIC_FLAG_INIT; /* other threads may free */

static void lock(void) {
    while (atomic_flag_test_and_set(&busy)) {
    }
}

static void unlock(void) {
    atomic_flag_clear(&busy);
}

static size_t place_of(const void *memory) {
    return (size_t)((uintptr_t)memory * 0x9E3779B97F4A7C15u >> 44) % PLACES;
}

static void *remember(void *memory) {
    if (memory != NULL && counting) {
        lock();
        size_t at = place_of(memory);
        while (live[at] != NULL) {
            at = (at + 1) % PLACES;
        }
        live[at] = memory;
        n_live++;
        unlock();
    }
    return memory;
}

static void forget_locked(const void *memory) {
    size_t at = place_of(memory);
    while (live[at] != NULL && live[at] != memory) {
        at = (at + 1) % PLACES;
    }
    if (live[at] == NULL) {
        return; /* libc's own, or from before */
    }
    live[at] = NULL;
    n_live--;
    for (size_t next = (at + 1) % PLACES; live[next] != NULL; next = (next + 1) % PLACES) {
        void *moved = live[next]; /* close the gap for what probed past it */
        live[next] = NULL;
        size_t to = place_of(moved);
        while (live[to] != NULL) {
            to = (to + 1) % PLACES;
        }
        live[to] = moved;
    }
}

static void forget(const void *memory) {
    if (memory != NULL) {
        lock();
        forget_locked(memory);
        unlock();
    }
}

static bool must_fail(void) {
    if (!counting || countdown < 0) {
        return false;
    }
    if (countdown-- == 0) {
        failed = true;
        return true;
    }
    return false;
}

void *__wrap_malloc(size_t bytes) {
    return must_fail() ? NULL : remember(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes) {
    return must_fail() ? NULL : remember(__real_calloc(count, bytes));
}

void *__wrap_realloc(void *old, size_t bytes) {
    if (must_fail()) {
        return NULL;
    }
    forget(old);
    return remember(__real_realloc(old, bytes));
}

void __wrap_free(void *memory) {
    forget(memory);
    __real_free(memory);
}

char *__wrap_strndup(const char *text, size_t length) {
    size_t bytes = strnlen(text, length);
    char *copy = __wrap_malloc(bytes + 1);
    if (copy != NULL) {
        memcpy(copy, text, bytes);
        copy[bytes] = '\0';
    }
    return copy;
}

char *__wrap_strdup(const char *text) {
    return __wrap_strndup(text, strlen(text));
}

int __wrap_asprintf(char **out, const char *format, ...) {
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    *out = length < 0 ? NULL : __wrap_malloc((size_t)length + 1);
    if (*out != NULL) {
        vsnprintf(*out, (size_t)length + 1, format, again);
    }
    va_end(again);
    return *out == NULL ? -1 : length;
}

int __wrap_posix_memalign(void **out, size_t alignment, size_t bytes) {
    if (must_fail()) {
        return 12; /* ENOMEM */
    }
    int result = __real_posix_memalign(out, alignment, bytes);
    if (result == 0) {
        remember(*out);
    }
    return result;
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    return must_fail() ? NULL : remember(__real_aligned_alloc(alignment, bytes));
}

static void broken(const char *name, long allocation, const char *what) {
    counting = false;
    fflush(stdout);
    fprintf(stderr, "%s, allocation %ld: %s (%s)\n", name, allocation, what, error_message());
    abort();
}

void torture(const char *name, limn_status (*scenario)(void *context), void *context) {
    if (scenario(context) != LIMN_OK) { /* one-time set-up inside libraries happens here */
        broken(name, -1, "fails with all memory");
    }
    for (long allocation = 0;; allocation++) {
        error_clear();
        countdown = allocation;
        failed = false;
        counting = true;
        limn_status status = scenario(context);
        counting = false;
        countdown = -1;
        if (n_live != 0) {
            broken(name, allocation, "keeps memory");
        }
        if (status != LIMN_OK && status != LIMN_NO_MEMORY) {
            broken(name, allocation, "is not reported as out of memory");
        }
        if (status == LIMN_NO_MEMORY && (!failed || error_message()[0] == '\0')) {
            broken(name, allocation, "has no reason or no message");
        }
        if (!failed) {
            printf("%s: %ld allocations\n", name, allocation);
            return;
        }
    }
}
