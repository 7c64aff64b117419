/* A model's folder once more with some of its weights changed: what an edit does on the way, done to the weights
 * instead, and adapters merged into them. Everything else in the folder is copied. */
#ifndef LIMN_MODEL_BAKE_H
#define LIMN_MODEL_BAKE_H

#include "model/model.h"

typedef enum BakeKind {
    BAKE_OUTPUTS, /* outputs [begin, end) of an operation times factor: rows of a matrix, elements of a bias */
    BAKE_INPUTS,  /* its inputs [begin, end) times factor: columns of the matrix */
    BAKE_GAIN,    /* elements [begin, end) of a gain times factor, where it is stored as w for 1 + w too */
    BAKE_PROJECT  /* outputs y become y - left (right y) */
} BakeKind;

typedef struct BakeChange {
    BakeKind kind;
    const Weight *weight; /* of the model without adapters */
    int64_t begin, end;
    float factor;
    bool plus_one;             /* GAIN: stored without its 1 */
    const float *left, *right; /* PROJECT: [outputs, rank] (NULL: right transposed), [rank, outputs] */
    int32_t rank;
} BakeChange;

/* Writes the folder, which must not exist: adapters first, then the changes in their order. A changed tensor keeps its
 * dtype where that holds its new values exactly, else it becomes F32. Refuses a GGUF file, and weights that are no
 * longer those of a stored tensor. */
limn_status model_bake(Model *model, const char *folder, const BakeChange *changes, int32_t n, Team *team);

/* Whether it could be written, before long work. */
limn_status model_bake_check(const Model *model, const char *folder);

#endif
