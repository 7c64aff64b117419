/* Tokens in the place of others: of the same kind each, at random, so that what they make is a text like any other as
 * far as its shape goes and says nothing in particular. A token's kind is whether a space begins it, its script, case,
 * figures or punctuation (word_kind.h); halves of characters are a kind too. White space, line breaks and special
 * tokens stay.
 *
 * They are drawn from the first tokens of the kind in the vocabulary: those that were learnt first are the common ones
 * in the vocabularies of BPE and the like. */
#ifndef LIMN_ASK_SAMPLED_TOKENS_H
#define LIMN_ASK_SAMPLED_TOKENS_H

#include "call/method.h"

typedef struct SampledTokens SampledTokens;

/* Goes through the vocabulary once; in the call's arena. Needs a tokenizer. */
limn_status sampled_tokens_new(SampledTokens **sampled, MethodCall *call, const Model *model);

/* out: [n] in the place of ids; the same for the same draw. */
limn_status sampled_tokens_draw(int32_t *out, const SampledTokens *sampled, const int32_t *ids, int32_t n,
                                uint64_t draw);

#endif
