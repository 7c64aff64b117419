/* What `limn ablate` holds: which units are taken out, by what, and what came of it. */
#ifndef LIMN_METHOD_CAUSAL_ABLATE_H
#define LIMN_METHOD_CAUSAL_ABLATE_H

#include "ask/data_source.h"
#include "ask/target.h"
#include "ask/values_file.h"
#include "method/causal/outcome.h"
#include "run/sweep.h"

/* Order of the choices of --what and --with. */
typedef enum AblateWhat {
    ABLATE_HEAD,
    ABLATE_ATTENTION,
    ABLATE_MLP,
    ABLATE_LAYER,
    ABLATE_NEURON,
    ABLATE_POSITION
} AblateWhat;
typedef enum AblateWith { ABLATE_ZERO, ABLATE_MEAN, ABLATE_RESAMPLE, ABLATE_PATTERN } AblateWith;

enum { ABLATE_SITES = 2, RANDOM_ORDERS = 4 };

typedef struct AblateParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t what, with, metric;
    ParamTexts head;
    Text layers;
    DataParams data;
    Text reference;
    int64_t draws, pairs, curve, top;
    Text values;
    bool estimate;
} AblateParams;

/* Prompts whose values take the place of a unit's. */
typedef struct AblateReference {
    Prompt *prompts; /* [n] */
    int32_t n, capacity;
    float **means; /* [sites * layers] of MEAN, [width] each */
} AblateReference;

typedef struct Ablate {
    MethodCall *call;
    const AblateParams *params;
    Result *result;
    Engine *engine;
    const Model *model;
    AblateWhat what;
    AblateWith with;
    int32_t n_sites; /* that a unit of one layer lies in */
    NodeId *nodes;   /* [n_sites, n_layers] */
    int64_t width;   /* of their rows; of patterns by the sequence */
    int32_t n_layers, n_columns;
    int64_t unit_width; /* elements of a unit at a site; 0: all of the row */
    bool *wanted;       /* [n_layers, n_columns] */
    AblateReference reference;
    Outcome outcome;
    /* sums over records */
    int32_t n_records;
    double before;
    double *effects, *squares, *estimates; /* [n_layers, n_columns] NaN: not measured */
    double plain_error;
    bool estimated;          /* the metric has a gradient here */
    Target target, contrast; /* of the first record */
    Prompt prompt;
    /* cells by effect, for pairs and curves */
    int32_t *ranked; /* [n_ranked] those that take most away first */
    int32_t n_ranked;
    int32_t n_paired, n_curve;
    double *pairs;  /* [n_paired, n_paired] sums of what both do beyond their sum */
    double *curves; /* [2 + RANDOM_ORDERS, n_curve + 1] sums: by effect, by estimate, random */
} Ablate;

/* One prompt of them: its kept run, and what takes the units' place in it. */
typedef struct AblateRecord {
    MethodCall call; /* in an arena of its own */
    Ablate *ablate;
    int32_t number; /* of the record */
    const Prompt *prompt;
    Target target, contrast;
    SequenceInput sequence;
    OutputRow *outputs; /* [n_outputs] */
    int32_t n_outputs;
    Outcome outcome;
    Seed seed;
    CleanRun *clean;
    double before;
    int32_t n_draws;
    float **values; /* [n_draws, n_sites, n_layers] [rows, width] or, of MEAN, [width]; NULL: zero */
    int64_t stride; /* step from row to row; 0: the same for each */
} AblateRecord;

/* ---- ablate_units.c ---- */
limn_status ablate_units(Ablate *ablate);
/* Edits that take a unit out in draw d; at most ABLATE_SITES. */
int32_t ablate_edits(const AblateRecord *record, int32_t cell, int32_t draw, Edit *edits);

/* ---- ablate_values.c ---- */
limn_status ablate_reference(Ablate *ablate);
limn_status ablate_values(AblateRecord *record);

/* ---- ablate_record.c ---- */
limn_status ablate_open_record(AblateRecord *record, Ablate *ablate, const MethodCall *call, const Prompt *prompt,
                               const TargetParams *target);
void ablate_close_record(AblateRecord *record);
/* What the record comes to under each set of cells: cells [begins[i], begins[i + 1]), mean over draws. after NULL: what
 * that would take, as a table of the result. */
limn_status ablate_sets(AblateRecord *record, const int32_t *cells, const int32_t *begins, int32_t n, double *after);
/* Sum over draws of gradient times change, of every cell. */
limn_status ablate_estimate(AblateRecord *record, double *estimates);
/* The same in a pass that shares nothing. */
limn_status ablate_plain(AblateRecord *record, int32_t cell, double *after);

/* ---- ablate_measure.c ---- */
limn_status ablate_singles(AblateRecord *record);
/* What all of it would take, as a table of the result. */
limn_status ablate_cost(AblateRecord *record);
limn_status ablate_rank(Ablate *ablate);
limn_status ablate_joint(AblateRecord *record);
/* Measured cells, those of largest effect first whichever its sign; in the arena. */
limn_status ablate_strongest(const Ablate *ablate, Arena *arena, int32_t **order, int32_t *n);

limn_status ablate_report(Ablate *ablate, ValuesFile *values);
const char *ablate_unit_name(const Ablate *ablate, int32_t cell); /* "layer 9 head 3", in the call's arena */

#endif
