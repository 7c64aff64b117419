/* UTF-8: walking bytes that may or may not be it, and writing it. */
#ifndef LIMN_BASE_UTF8_H
#define LIMN_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text_buffer.h"

enum { UTF8_REPLACEMENT = 0xFFFD };

typedef enum Utf8State { UTF8_WHOLE, UTF8_BROKEN, UTF8_CUT } Utf8State;

/* Bytes of the character at text[0] (length > 0). Broken: of the longest wrong sequence that one U+FFFD stands for
 * (Unicode 3.9, "maximal subpart"). Cut: of what could still become a character if more bytes came. */
size_t utf8_sequence(const char *text, size_t length, Utf8State *state);

/* For text known to be valid; *step is the character's length in bytes. */
uint32_t utf8_next(const char *text, size_t *step);
/* The same of any bytes (length > 0): what forms no character gives valid = false, U+FFFD and the length that
 * utf8_sequence gives. Returns how many bytes it takes. */
size_t utf8_read(const char *bytes, size_t length, uint32_t *codepoint, bool *valid);
size_t utf8_encode(uint32_t codepoint, char out[4]);
size_t utf8_size(uint32_t codepoint);
size_t utf8_count(const char *text, size_t length); /* characters of valid text */
size_t utf8_last(const char *text, size_t length);  /* bytes of the last character of valid text */
bool utf8_is_valid(const char *text, size_t length);
/* Appends the text with every broken sequence replaced by U+FFFD. */
void utf8_add_repaired(TextBuffer *out, const char *text, size_t length);

#endif
