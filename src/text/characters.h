/* The classes of characters that tokenizers ask about. */
#ifndef LIMN_TEXT_CHARACTERS_H
#define LIMN_TEXT_CHARACTERS_H

#include <stdbool.h>
#include <stdint.h>

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
