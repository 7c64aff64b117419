/* Where words begin in scripts that no space sets apart (Chinese, Japanese, Thai ...).
 *
 * ICU's dictionaries cut the text (Unicode Standard Annex 29). They are older than many a word, so two things are
 * joined again: neighbouring pieces that together form a word of our own lists (word_lists.def; the longest first), and
 * neighbouring single characters neither of which is a word of those lists, since such a remainder is mostly one
 * unknown word: a name, a brand. It lies where an unknown word holds a common character. */
#ifndef LIMN_ASK_SEGMENT_H
#define LIMN_ASK_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "call/method.h"

/* A character of a script written without spaces, its punctuation and full-width forms included. */
bool stands_alone(uint32_t codepoint);

/* *begins: [length + 1] 1 at each byte of the text where a word may begin. Lives in the arena. */
limn_status segment_words(uint8_t **begins, Text text, Arena *arena);

#endif
