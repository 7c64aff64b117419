/* A row of logits read as a distribution: log-probabilities, ranks, the likeliest few. Sums are in double. */
#ifndef LIMN_MEASURE_DISTRIBUTION_H
#define LIMN_MEASURE_DISTRIBUTION_H

#include "ask/prompt.h"

double log_sum_exp(const float *logits, int32_t n); /* logits [n] */
/* log p of outputs of a model: softmax over all, or, of labels that may hold together, a sigmoid of each; NaN of a
 * number. total: output_total of the row. */
double output_total(const Model *model, const float *logits, int32_t n);
double output_log_probability(const Model *model, float logit, double total);
int64_t logit_rank(const float *logits, int32_t n, int32_t id); /* 1: the largest; ties go to the lower id */
int32_t logit_argmax(const float *logits, int32_t n);           /* the lowest id of the largest; NaN never wins */

int32_t logit_count_not_finite(const float *logits, int32_t n); /* NaN or infinite */

/* ids[0..count): the `count` largest, best first; count <= n. */
void logit_top(int32_t *ids, int32_t count, const float *logits, int32_t n);

/* A table "id, token, probability, log-probability, logit" of the likeliest `count`. */
void distribution_table(Result *result, MethodCall *call, const Model *model, const char *id, const char *title,
                        const float *logits, int32_t n, int32_t count);

#endif
