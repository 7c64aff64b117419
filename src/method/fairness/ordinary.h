/* Ordinary words: what takes a protected word's place so that one sees what any word there does. Of the same script,
 * case and length in characters as the shipped lists of common words have them (ask/word_lists.def), of the word's own
 * part of speech where that is known; never a protected word or a form of one. The same word has the same ones in every
 * record, so that a word's own weight shows as what it is. */
#ifndef LIMN_METHOD_FAIRNESS_ORDINARY_H
#define LIMN_METHOD_FAIRNESS_ORDINARY_H

#include "method/fairness/protected.h"

typedef struct Ordinary Ordinary;

/* n: for each word. */
limn_status ordinary_new(Ordinary **ordinary, MethodCall *call, const ProtectedLists *lists, int32_t n);
void ordinary_free(Ordinary *ordinary); /* NULL is fine */

/* Number k for the word; bytes NULL: there are not so many. */
limn_status ordinary_word(Text *text, Ordinary *ordinary, int32_t word, int32_t k);

#endif
