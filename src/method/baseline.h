/* What stands for "nothing was said here": the baseline of a path or a deletion, one embedding for each position. */
#ifndef LIMN_METHOD_BASELINE_H
#define LIMN_METHOD_BASELINE_H

#include "method/prompt.h"

/* spec: auto (mask token, else pad, unknown, end of text), pad, mean (of all embeddings), zero, token:STR, ids:FILE
 * (one id, or one for each token of the prompt). out: [n_tokens, D]. *name says what was used, for people. */
limn_status baseline_fill(float *out, const char **name, MethodCall *call, Session *session, const char *spec,
                          int32_t n_tokens);

/* Whether the token that auto takes also ends a text or a turn, so that it is no silence to the model. */
bool baseline_ends_text(const Model *model);

#endif
