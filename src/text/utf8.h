/* UTF-8 and the classes of characters that tokenizers ask about. */
#ifndef LIMN_TEXT_UTF8_H
#define LIMN_TEXT_UTF8_H

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
size_t utf8_encode(uint32_t codepoint, char out[4]);
size_t utf8_size(uint32_t codepoint);
size_t utf8_count(const char *text, size_t length); /* characters of valid text */
size_t utf8_last(const char *text, size_t length);  /* bytes of the last character of valid text */
bool utf8_is_valid(const char *text, size_t length);
/* Appends the text with every broken sequence replaced by U+FFFD. */
void utf8_add_repaired(TextBuffer *out, const char *text, size_t length);

/* As the reference classes characters, whose tables are older than utf8proc's (char_tables.h). */
bool char_is_whitespace(uint32_t c);   /* White_Space */
bool char_is_word(uint32_t c);         /* \w of Unicode regular expressions (UTS 18) */
bool char_is_numeric(uint32_t c);      /* Nd, Nl, No */
bool char_is_punctuation(uint32_t c);  /* ASCII punctuation, or P* */
bool char_is_control(uint32_t c);      /* what BERT drops */
bool char_is_accent(uint32_t c);       /* Mn */
bool char_is_mark(uint32_t c);         /* Mn, Mc, Me */
bool char_is_chinese(uint32_t c);      /* the blocks that BERT sets apart */
bool char_is_undecomposed(uint32_t c); /* its decomposition is too new */
bool char_is_unordered(uint32_t c);    /* its combining class is too new */

#endif
