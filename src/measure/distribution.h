/* A row of logits read as a distribution: log-probabilities, ranks, the likeliest few. Sums are in double. */
#ifndef LIMN_MEASURE_DISTRIBUTION_H
#define LIMN_MEASURE_DISTRIBUTION_H

#include "ask/prompt.h"

double log_sum_exp(const float *logits, int32_t n);             /* logits [n] */
int64_t logit_rank(const float *logits, int32_t n, int32_t id); /* 1: the largest; ties go to the lower id */
int32_t logit_argmax(const float *logits, int32_t n);           /* the lowest id of the largest; NaN never wins */

int32_t logit_count_not_finite(const float *logits, int32_t n); /* NaN or infinite */

/* ids[0..count): the `count` largest, best first; count <= n. */
void logit_top(int32_t *ids, int32_t count, const float *logits, int32_t n);

/* A table "id, token, probability, log-probability, logit" of the likeliest `count`. */
void distribution_table(Result *result, MethodCall *call, const Model *model, const char *id, const char *title,
                        const float *logits, int32_t n, int32_t count);

#endif
