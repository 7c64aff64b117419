/* What each kind of edit does to one row's part of a value, and to the gradient that flows on: the rows of edits.def.
 */
#ifndef LIMN_RUN_EDIT_KINDS_H
#define LIMN_RUN_EDIT_KINDS_H

#include "run/engine.h"

/* The elements of one row that an edit touches. */
typedef struct EditPart {
    const Edit *edit;
    float *x;            /* [n] the value, or the gradient, in place */
    const float *values; /* [n], or [1] of a scalar edit; NULL: none */
    float *source;       /* COPY: [n] the source's value; backward: its gradient, added to */
    int64_t n;
    double *scratch; /* [edit_scratch_width] */
} EditPart;

typedef void (*EditFunction)(const EditPart *part);

typedef enum EditNeeds {
    EDIT_NEEDS_NOTHING,
    EDIT_NEEDS_VALUES,
    EDIT_NEEDS_MAP,
    EDIT_NEEDS_FACTORS,
    EDIT_NEEDS_SOURCE
} EditNeeds;

typedef struct EditInfo {
    EditFunction change;
    EditFunction change_gradient;
    EditNeeds needs;
    const char *help; /* "x + amount v" */
} EditInfo;

const EditInfo *edit_info(EditKind kind);

/* Doubles of scratch that an edit of n elements needs; multiplications it makes of each row's. */
int64_t edit_scratch_width(const Edit *edit, int64_t n);
int64_t edit_work(const Edit *edit, int64_t n);

#endif
