/* Inside of `limn rollout`: the matrix of each layer, by kind. */
#ifndef LIMN_METHOD_ATTENTION_ROLLOUT_H
#define LIMN_METHOD_ATTENTION_ROLLOUT_H

#include "ask/target.h"
#include "ask/values_file.h"
#include "method/attention/layers.h"

/* Order of the choice of --kind. */
typedef enum RolloutKind { ROLLOUT_PLAIN, ROLLOUT_GRADIENT, ROLLOUT_VALUE, ROLLOUT_ALTI, ROLLOUT_FLOW } RolloutKind;

typedef struct RolloutParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t kind;
    double residual;
    int32_t sinks; /* 0 keep, 1 drop */
    int32_t by;
    int32_t check;
    Text values;
} RolloutParams;

typedef struct Rollout {
    MethodCall *call;
    const RolloutParams *params;
    Engine *engine;
    const Model *model;
    const Prompt *prompt;
    const Target *target;   /* NULL: a bare encoder, which has no answer */
    const Target *contrast; /* NULL or kind TARGET_NONE: none */
    const bool *held;       /* [prompt->n] tokens that stay besides; NULL: none */
    SequenceInput sequence;
    int32_t n;       /* its rows */
    double residual; /* weight of a row's own stream beside attention's 1 */
    Layers layers;
    int32_t *rows;   /* [n_rows] where the answer is read */
    double *weights; /* [n_rows] of its rows, sum 1 */
    int32_t n_rows;
    bool *sinks;    /* [n] tokens that rows rest on which look at nothing */
    double *mixing; /* [n, n] of one layer */
    double *matrix; /* [n, n] rows queries, columns keys */
    double *spare;  /* [n, n] */
    double *answer; /* [n] the answer's row */
    double cut_gap; /* of FLOW: how far flows are from the cuts that bound them */
    double logit;   /* of ALTI: what is attributed */
    double traced;  /* ... and how much of it came through attention and the embedding */
    double *scores; /* [prompt->n] NaN: held */
    int32_t reach;  /* tokens of the prompt that can have influence */
} Rollout;

/* mean over heads of A, [n, n]. */
void rollout_mean_heads(const Rollout *rollout, const float *pattern, double *mean);
/* With --sinks drop: what rests on sinks counts for nothing. */
void rollout_drop_sinks(const Rollout *rollout, double *mixing);
/* Adds the residual to the diagonal and divides rows by their sums; rows of nothing stay so. */
void rollout_close_rows(const Rollout *rollout, double *mixing);
/* matrix <- mixing matrix. */
limn_status rollout_multiply(Rollout *rollout);

/* A layer's matrix into `mixing`, by kind. */
limn_status rollout_mix_plain(Rollout *rollout, int32_t layer);
limn_status rollout_mix_value(Rollout *rollout, int32_t layer);

/* Kinds that are no product of such matrices alone: fill matrix and answer themselves. */
limn_status rollout_gradient(Rollout *rollout);
limn_status rollout_alti(Rollout *rollout);
limn_status rollout_flow(Rollout *rollout);

/* W_O v of each row and head, [n, H, D], into out, from the layer's values [n, H, K] (repeated for grouped heads). */
limn_status rollout_written(Rollout *rollout, int32_t layer, const float *values, float *out);
/* The layer's values with grouped heads repeated, [n, H, K]. */
limn_status rollout_values(Rollout *rollout, int32_t layer, float *values);

void rollout_identity(Rollout *rollout);
/* answer <- the mean over its rows of the matrix. */
void rollout_read_answer(Rollout *rollout);

/* Matrix, answer and scores. */
limn_status rollout_compute(Rollout *rollout);
/* Blocks and checks, but the check of causes. */
limn_status rollout_report(Rollout *rollout, Result *result, ValuesFile *values);

#endif
