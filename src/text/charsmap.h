/* The character map that SentencePiece compiles into its models: a double-array trie (Darts) from UTF-8 strings to
 * their replacements. */
#ifndef LIMN_TEXT_CHARSMAP_H
#define LIMN_TEXT_CHARSMAP_H

#include "text/component.h"

typedef struct Charsmap {
    const uint32_t *units; /* [n_units], the trie */
    size_t n_units;
    const char *strings; /* [strings_length], each ended by a NUL */
    size_t strings_length;
} Charsmap;

/* `bytes`: u32 trie size, the trie, the strings; copied. */
limn_status charsmap_read(Charsmap **map, Loading *loading, const char *bytes, size_t length);
limn_status charsmap_read_base64(Charsmap **map, Loading *loading, const char *text, size_t length);

/* The replacement of a beginning of `text`: the longest that has one, or the shortest. NULL: none. *taken: bytes of
 * text. *replacement_length: bytes answered. */
const char *charsmap_find(const Charsmap *map, const char *text, size_t length, bool longest, size_t *taken,
                          size_t *replacement_length);

#endif
