/* What `limn lens` holds: the head's reading of every layer's stream, and what each part writes towards the answer. */
#ifndef LIMN_METHOD_REPRESENTATION_LENS_H
#define LIMN_METHOD_REPRESENTATION_LENS_H

#include "ask/target.h"
#include "ask/values_file.h"
#include "run/clean_run.h"

enum { LENS_TOP = 8, LENS_FIRST = 3 };

/* Order of the choice of --of. */
typedef enum LensOf { LENS_OF_TARGET, LENS_OF_FINAL } LensOf;

typedef struct LensParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t of;
    int64_t top;
    Text values;
} LensParams;

/* One layer's reading at the answer's row. */
typedef struct LensLayer {
    double log_p, contrast_log_p; /* NaN: no contrast; of one number: the number */
    int64_t rank;
    int32_t best[LENS_TOP]; /* [n_best] */
    double best_p[LENS_TOP];
} LensLayer;

typedef struct LensNeuron {
    int32_t layer, index;
    double share;
} LensNeuron;

typedef struct Lens {
    MethodCall *call;
    const LensParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    Prompt prompt;
    Target target, contrast;
    SequenceInput sequence;
    int32_t n_layers;
    NodeId last;              /* the stream behind the last layer */
    int32_t *ids;             /* [n] which output is read at each row; classifiers: the answer's row alone */
    int32_t first, n_columns; /* rows that are read */
    double *grid;             /* [n_layers + 1, n_columns] log-probability; of --contrast the lead */
    LensLayer *layers;        /* [n_layers + 1] */
    int32_t n_best;
    /* direct attribution of the target's logit (less the contrast's) */
    bool linear;  /* the parts must add up to it */
    double logit; /* what is attributed */
    double embeddings, positions, types;
    double *attention, *mlp; /* [n_layers] */
    double *heads;           /* [n_layers, H] */
    LensNeuron *neurons;     /* [n_neurons] those that write most, by size */
    int32_t n_neurons;
    double constant; /* biases behind the last layer */
} Lens;

limn_status lens_read(Lens *lens);   /* every layer's stream through the head */
limn_status lens_direct(Lens *lens); /* one backward pass */
limn_status lens_report(Lens *lens, ValuesFile *values);

#endif
