/* A target in figures: log-probabilities, rank, what the model would rather say. Runs the model. */
#ifndef LIMN_MEASURE_TARGET_SCORE_H
#define LIMN_MEASURE_TARGET_SCORE_H

#include "ask/target.h"

/* Builds and scores the target (and the contrast: kind TARGET_NONE when there is none). Warns in the result when the
 * variant with (without) a leading space is over ten times likelier. edits may be NULL. */
limn_status target_resolve(Target *target, Target *contrast, MethodCall *call, Engine *engine, const Prompt *prompt,
                           const TargetParams *params, const EditPlan *edits, Result *result);

/* Warns, before anything long is done, where the model would hardly say the target (nor the contrast): what is asked
 * about is then seldom what was meant. By the first token of each. */
void target_warn_unlikely(Result *result, MethodCall *call, const Model *model, const Target *target,
                          const Target *contrast);

/* Fills the result's target, contrast and a table of the likeliest `top` at the first row. */
void target_describe(Result *result, MethodCall *call, const Model *model, const Target *target, const Target *contrast,
                     int32_t top);

#endif
