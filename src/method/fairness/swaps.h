/* Another version of a text: its words of one category exchanged, all of them together, in the case they stood in;
 * "a" and "an" before them follow. */
#ifndef LIMN_METHOD_FAIRNESS_SWAPS_H
#define LIMN_METHOD_FAIRNESS_SWAPS_H

#include "method/fairness/ordinary.h"

/* Which side the text's words of the category are of; -1: of several, so that no version is the text itself; *n: their
 * number. */
int32_t swap_side(const ProtectedMatches *matches, const ProtectedLists *lists, int32_t category, int32_t *n);

/* The word of that side for a word; -1: none. draw: for cells that differ in length. */
int32_t swap_counterpart(const ProtectedLists *lists, int32_t word, int32_t side, uint64_t draw);

/* All words of the category as the side has them. *there false: a word has no counterpart. draw: of the record. */
limn_status swap_to_side(Text *made, bool *there, const ProtectedLists *lists, Text text,
                         const ProtectedMatches *matches, int32_t category, int32_t side, uint64_t draw, Arena *arena);
/* The same with ordinary words, number k for each word. *there false: a word has fewer. */
limn_status swap_to_ordinary(Text *made, bool *there, Ordinary *ordinary, const ProtectedLists *lists, Text text,
                             const ProtectedMatches *matches, int32_t category, int32_t k, Arena *arena);

#endif
