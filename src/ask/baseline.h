/* What stands for "nothing was said here": the baseline of a path or a deletion, one embedding for each position. */
#ifndef LIMN_ASK_BASELINE_H
#define LIMN_ASK_BASELINE_H

#include "ask/prompt.h"

/* spec: auto (mask token, else pad, unknown, end of text), pad, mean (of all embeddings), zero, token:STR, ids:FILE
 * (one id, or one for each token of the prompt). out: [n_tokens, D]. *name says what was used, for people. */
limn_status baseline_fill(float *out, const char **name, MethodCall *call, Engine *engine, const char *spec,
                          int32_t n_tokens);

/* Embedding rows of ids, as the model makes them; out [n, D]. */
limn_status embed_ids(float *out, Engine *engine, const int32_t *ids, int32_t n, const Progress *progress);

/* Whether the model has a token that stands for "something is missing here", as masked models do. */
bool baseline_has_mask(const Model *model);

/* Whether the token that auto takes also ends a text or a turn, so that it is no silence to the model. */
bool baseline_ends_text(const Model *model);

#endif
