/* Memory by lifetime: many small pieces, freed together.
 *
 * Blocks grow by doubling; arena_reset keeps the largest block, so a warm step allocates nothing. Built with
 * LIMN_ARENA_DEBUG (the sanitizer builds) every piece is a malloc of its own, filled with 0xFF bytes (NaN as
 * float), so that overruns and reads of uninitialised values show. Not thread-safe. */
#ifndef LIMN_BASE_ARENA_H
#define LIMN_BASE_ARENA_H

#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *head;
    size_t next_block_bytes;
} Arena;

void arena_init(Arena *arena);
void arena_free(Arena *arena);  /* gives everything back; the arena may be used again */
void arena_reset(Arena *arena); /* forgets all pieces, keeps memory for the next step */

/* NULL when memory runs out (the caller reports LIMN_NO_MEMORY), not for 0 bytes. Contents are undefined. */
void *arena_alloc(Arena *arena, size_t bytes); /* aligned to 16 */
void *arena_alloc_aligned(Arena *arena, size_t bytes, size_t alignment);
void *arena_zalloc(Arena *arena, size_t bytes); /* zeroed */
char *arena_strdup(Arena *arena, const char *text);
char *arena_strndup(Arena *arena, const char *text, size_t length);
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define ARENA_NEW(arena, type)          ((type *)arena_zalloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_zalloc((arena), sizeof(type) * (size_t)(count)))

#endif
