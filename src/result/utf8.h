/* Walking bytes that may or may not be UTF-8. */
#ifndef LIMN_RESULT_UTF8_H
#define LIMN_RESULT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character at bytes[0] of `length` > 0 bytes; returns how many bytes it takes. Bytes that form none give
 * valid = false, codepoint U+FFFD and the length of the longest start of a character (at least 1). */
size_t codepoint_next(const char *bytes, size_t length, uint32_t *codepoint, bool *valid);
bool bytes_are_utf8(const char *bytes, size_t length);

#endif
