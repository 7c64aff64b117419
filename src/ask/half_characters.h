/* Tokens that are a part of a character, as in vocabularies of bytes: what is explained is made of whole ones. */
#ifndef LIMN_ASK_HALF_CHARACTERS_H
#define LIMN_ASK_HALF_CHARACTERS_H

#include "ask/prompt.h"

/* Whether what the ids add to a text ends within a character. */
bool ids_end_within_character(MethodCall *call, const Model *model, const int32_t *ids, int32_t n);

/* The likeliest token that goes on with the character the ids end within; -1: the vocabulary has none. logits [V]. */
int32_t likeliest_rest(MethodCall *call, const Model *model, const int32_t *ids, int32_t n, const float *logits);

/* Widens tokens [*begin, *end) of the prompt until no character is cut; true when that was needed. *begin stays above
 * 0. */
bool span_of_whole_characters(int32_t *begin, int32_t *end, MethodCall *call, const Model *model, const Prompt *prompt);

#endif
