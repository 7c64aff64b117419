/* Tokens of prompts and of the choices behind them: the border between them, prompts that are too long, masks. */
#ifndef LIMN_MEASURE_CHOICE_TOKENS_H
#define LIMN_MEASURE_CHOICE_TOKENS_H

#include "measure/choices.h"

typedef struct ChoicePrompt {
    const int32_t *ids; /* [n] */
    int32_t n;
    const int32_t **tails; /* [choices] tokens behind the prompt; a classifier: NULL */
    int32_t *n_tails;      /* [choices] */
    int32_t row;           /* whose output is the answer */
    const KvCache *prefix; /* its first `shared` rows are read from there; NULL: shared is 0 */
    int32_t shared;
} ChoicePrompt;

typedef struct ChoiceTokens {
    MethodCall *call;
    const Model *model;
    const ChoiceOptions *options;
    const int32_t **at_mask; /* [options->n] of a masked model the token of each choice, the same for all prompts */
    int32_t *ones;           /* [options->n] how many those are: 1 */
} ChoiceTokens;

/* Of a masked model reads the choices, which are refused here when they cannot be. */
limn_status choice_tokens_prepare(ChoiceTokens *tokens);

/* In the arena. A failure is about this prompt, or memory. */
limn_status choice_tokens_encode(ChoicePrompt *prompt, ChoiceOutcome *outcome, const ChoiceTokens *tokens, Text text,
                                 Arena *arena);

/* The bytes of a prompt that choice_tokens_encode leaves out. */
limn_status choice_tokens_cut(ChoiceCut *cut, const ChoiceTokens *tokens, Text text, Arena *arena);

#endif
