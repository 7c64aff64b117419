/* Between the files of `limn mediate`: one pair at work. */
#ifndef LIMN_METHOD_CAUSAL_MEDIATE_WORK_H
#define LIMN_METHOD_CAUSAL_MEDIATE_WORK_H

#include "method/causal/mediate.h"

/* Edits of all cells of one pair, one after another. */
typedef struct EditList {
    Edit *items;
    int64_t n, capacity;
} EditList;

typedef struct MediateWork {
    Mediate *mediate;
    MediatePair *pair;
    MethodCall *call;
    CleanRun *clean;
    Donor *donors[MEDIATE_SITES]; /* [n_layers]; node NODE_NONE: not read */
    EditList edits;
    int64_t *first_edit;  /* [n_cells + 1] into edits */
    Counterfactual *list; /* [1 + n_cells] the spoilt run as it is, then cells that change it */
    int32_t *cell_of;     /* [1 + n_cells]; -1: the spoilt run */
    int32_t n_list;
    Seed *seeds; /* [1 + n_tokens] */
    Edit *noise; /* [n_noise] of the sample at hand */
    int32_t n_noise;
    double p1;       /* of the sample at hand */
    double *p2;      /* [n_cells] of the sample at hand; NaN: a position that belongs to nothing */
    double *token_p; /* [n_tokens, 1 + n_cells] the same for tokens; first the spoilt run */
} MediateWork;

/* mediate_cells.c: fills donors, edits and list. */
limn_status mediate_restore(MediateWork *work);
/* mediate_directions.c: with --values, adds this spoilt run to the directions. */
limn_status mediate_add_directions(MediateWork *work, CleanRun *spoilt);

#endif
