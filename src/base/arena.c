#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ArenaBlock {
    ArenaBlock *next;
    size_t capacity; /* bytes after this header */
    size_t used;
};

enum { FIRST_BLOCK_BYTES = 4096, LARGEST_DOUBLED_BLOCK = 16 << 20 };

static unsigned char *block_data(ArenaBlock *block) {
    return (unsigned char *)block + sizeof(ArenaBlock);
}

void arena_init(Arena *arena) {
    arena->head = NULL;
    arena->next_block_bytes = FIRST_BLOCK_BYTES;
}

void arena_free(Arena *arena) {
    for (ArenaBlock *block = arena->head; block != NULL;) {
        ArenaBlock *next = block->next;
        free(block);
        block = next;
    }
    arena_init(arena);
}

static ArenaBlock *block_new(size_t capacity) {
    if (capacity > SIZE_MAX - sizeof(ArenaBlock)) {
        return NULL;
    }
    ArenaBlock *block = malloc(sizeof(ArenaBlock) + capacity);
    if (block != NULL) {
        block->next = NULL;
        block->capacity = capacity;
        block->used = 0;
    }
    return block;
}

#ifdef LIMN_ARENA_DEBUG

void arena_reset(Arena *arena) {
    arena_free(arena);
}

void *arena_alloc_aligned(Arena *arena, size_t bytes, size_t alignment) {
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    ArenaBlock *block = block_new(bytes + alignment);
    if (block == NULL) {
        return NULL;
    }
    block->next = arena->head;
    arena->head = block;
    uintptr_t start = ((uintptr_t)block_data(block) + alignment - 1) & ~(uintptr_t)(alignment - 1);
    memset((void *)start, 0xFF, bytes);
    return (void *)start;
}

#else

void arena_reset(Arena *arena) {
    ArenaBlock *largest = NULL;
    for (ArenaBlock *block = arena->head; block != NULL;) {
        ArenaBlock *next = block->next;
        if (largest == NULL || block->capacity > largest->capacity) {
            free(largest);
            largest = block;
        } else {
            free(block);
        }
        block = next;
    }
    if (largest != NULL) {
        largest->next = NULL;
        largest->used = 0;
    }
    arena->head = largest;
}

static void *take(ArenaBlock *block, size_t bytes, size_t alignment) {
    uintptr_t base = (uintptr_t)block_data(block);
    uintptr_t start = (base + block->used + alignment - 1) & ~(uintptr_t)(alignment - 1);
    size_t end = (size_t)(start - base);
    if (end > block->capacity || bytes > block->capacity - end) {
        return NULL;
    }
    block->used = end + bytes;
    return (void *)start;
}

void *arena_alloc_aligned(Arena *arena, size_t bytes, size_t alignment) {
    if (bytes > SIZE_MAX / 2) {
        return NULL;
    }
    if (arena->head != NULL) {
        void *piece = take(arena->head, bytes, alignment);
        if (piece != NULL) {
            return piece;
        }
    }
    size_t capacity = arena->next_block_bytes < FIRST_BLOCK_BYTES ? FIRST_BLOCK_BYTES : arena->next_block_bytes;
    if (capacity < bytes + alignment) {
        capacity = bytes + alignment;
    }
    ArenaBlock *block = block_new(capacity);
    if (block == NULL) {
        return NULL;
    }
    if (arena->next_block_bytes < LARGEST_DOUBLED_BLOCK) {
        arena->next_block_bytes = capacity * 2;
    }
    block->next = arena->head;
    arena->head = block;
    return take(block, bytes, alignment);
}

#endif

void *arena_alloc(Arena *arena, size_t bytes) {
    return arena_alloc_aligned(arena, bytes, 16);
}

void *arena_zalloc(Arena *arena, size_t bytes) {
    void *piece = arena_alloc(arena, bytes);
    if (piece != NULL) {
        memset(piece, 0, bytes);
    }
    return piece;
}

char *arena_strndup(Arena *arena, const char *text, size_t length) {
    char *copy = arena_alloc(arena, length + 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

char *arena_strdup(Arena *arena, const char *text) {
    return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : arena_alloc(arena, (size_t)length + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    return text;
}
