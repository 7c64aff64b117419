/* What `limn patch` holds: two runs, the cells of the grid, and what each cell's run came to. */
#ifndef LIMN_METHOD_CAUSAL_PATCH_H
#define LIMN_METHOD_CAUSAL_PATCH_H

#include "ask/values_file.h"
#include "method/causal/causal_sites.h"
#include "method/causal/outcome.h"
#include "method/causal/pair.h"
#include "run/sweep.h"

typedef struct PatchParams {
    Text model;
    PairParams pair;
    TargetParams target;
    Text site;
    int32_t by;
    int32_t metric;
    bool reverse;
    int64_t window;
    int64_t top;
    Text values;
    bool estimate;
} PatchParams;

/* Order of the choice "position|head". */
typedef enum PatchBy { PATCH_BY_POSITION, PATCH_BY_HEAD } PatchBy;

typedef struct Patch {
    MethodCall *call;
    const PatchParams *params;
    Result *result;
    ValuesFile values;
    Engine *engine;
    const Model *model;
    Pair pair;
    Target target, contrast;
    const CausalSite *site;
    PatchBy by;
    NodeId *nodes; /* [n_layers] */
    int32_t n_layers, n_columns;
    int64_t head_width; /* elements of a head at the site */
    Outcome outcome;
    Seed seed;
    CleanRun *clean, *corrupt;
    /* what is changed, and where its new values come from: corrupt and clean, or the other way round */
    CleanRun *base, *source;
    const PairSide *base_side;
    Alignment alignment;   /* of these */
    int32_t first;         /* rows of the base before this one are the source's, bit for bit */
    const float **patches; /* [n_layers] the source's values at the site */
    int64_t width;         /* of their rows */
    double clean_value, corrupt_value;
    double *after;      /* [n_layers, n_columns] NaN: a position that nothing of the other run belongs to */
    double plain_error; /* largest difference of some cells' values from full passes; NaN: none ran */
    double ends_error;  /* of the base with every position patched from the source, from the source; NaN: not asked */
} Patch;

/* The two runs, and what they come to. */
limn_status patch_prepare(Patch *patch);
/* Fills `after` and the errors. */
limn_status patch_run(Patch *patch);
/* What patch_run would take; adds the table to the result. */
limn_status patch_estimate(Patch *patch);

limn_status patch_report(Patch *patch);

/* 0: as the corrupt run, 1: as the clean one. */
double patch_share(const Patch *patch, double value);

#endif
