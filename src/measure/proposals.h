/* What the base model, its adapters off, would put in a word's place: its likeliest tokens there that are words of the
 * same kind, and how well the text behind such a word goes on.
 *
 * A causal model proposes from what stands to the left; a masked one from both sides, by its mask. The answer has no
 * part in it. */
#ifndef LIMN_MEASURE_PROPOSALS_H
#define LIMN_MEASURE_PROPOSALS_H

#include "measure/rewrite.h"

typedef struct Proposal {
    int32_t id;
    Text text;              /* of the word, without the space before it */
    double log_probability; /* there, given the left (a mask: both sides) */
} Proposal;

typedef struct Proposals Proposals;

/* Whether a model has a word head to propose with. */
bool proposals_possible(const Model *model);

/* Runs the base model once over the prompt. units: words; those that are fixed get none. */
limn_status proposals_new(Proposals **proposals, MethodCall *call, Engine *base, const Prompt *prompt,
                          const Units *units);
void proposals_free(Proposals *proposals); /* NULL is fine */

/* Of a unit, the likeliest first; *n 0: none. Borrowed. */
const Proposal *proposals_of(const Proposals *proposals, int32_t unit, int32_t *n);

/* log-likelihood, under the base model, of the few tokens that follow the exchanged word within the text; where the
 * text ends there, of a new word beginning. fit: [n]; a masked model's are 0: its mask has seen them. */
limn_status proposals_fit(Proposals *proposals, const Rewritten *versions, int32_t n, double *fit);

#endif
