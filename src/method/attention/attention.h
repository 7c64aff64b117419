/* Inside of `limn attention`: figures of every head, patterns of some. */
#ifndef LIMN_METHOD_ATTENTION_ATTENTION_H
#define LIMN_METHOD_ATTENTION_ATTENTION_H

#include "ask/head_names.h"
#include "ask/prompt.h"
#include "ask/values_file.h"
#include "method/attention/layers.h"

enum { FIGURES = 4, MATRIX_ROWS = 256 };

typedef enum HeadFigure { HEAD_ENTROPY, HEAD_PREVIOUS, HEAD_FIRST, HEAD_INDUCTION } HeadFigure;

typedef struct AttentionParams {
    Text model;
    PromptParams prompt;
    ParamTexts head;
    int64_t repeat;
    Text values;
} AttentionParams;

typedef struct AttentionWork {
    MethodCall *call;
    const AttentionParams *params;
    Result *result;
    const Model *model;
    Prompt prompt;
    Layers layers;
    HeadName *shown; /* [n_shown] */
    int32_t n_shown;
    double *figures[FIGURES]; /* [L, H] each */
    double **patterns;        /* [n_shown] [n, n] each */
    double worst_sum;
} AttentionWork;

/* The head with the largest figure; -1: there is none. */
int64_t attention_best(const AttentionWork *work, HeadFigure figure);

limn_status attention_report(const AttentionWork *work, ValuesFile *values);

#endif
