/* What `limn mediate` holds: the parts of the model that may be restored, and what restoring each did, unit by unit. */
#ifndef LIMN_METHOD_CAUSAL_MEDIATE_H
#define LIMN_METHOD_CAUSAL_MEDIATE_H

#include <string.h>

#include "ask/data_source.h"
#include "ask/values_file.h"
#include "method/causal/causal_sites.h"
#include "method/causal/pair.h"
#include "method/causal/transplant.h"
#include "statistics/statistics.h"

enum { MEDIATE_SITES = 3, MEDIATE_TOKENS = 32 };

typedef struct MediateParams {
    Text model;
    PairParams pair;
    TargetParams target;
    DataParams data;
    Text subject, subject_span;
    double noise;
    int64_t samples;
    Text noise_values;
    ParamTexts sites;
    int32_t by;
    Text positions;
    int64_t window;
    bool onward;
    Text layers;
    int32_t metric;
    ParamIds tokens;
    int64_t top_k;
    int64_t top;
    Text values;
    bool estimate;
} MediateParams;

/* Order of the choice "layer|position|head|neuron". */
typedef enum MediateBy { MEDIATE_BY_LAYER, MEDIATE_BY_POSITION, MEDIATE_BY_HEAD, MEDIATE_BY_NEURON } MediateBy;

/* By position over a data set: where a token stands beside the key tokens, since positions of records differ. */
typedef enum MediateRole {
    ROLE_BEFORE,    /* before the first key token */
    ROLE_FIRST_KEY, /* where there are several */
    ROLE_MIDDLE,    /* between the first and the last */
    ROLE_LAST_KEY,
    ROLE_NEXT,    /* right behind it */
    ROLE_FURTHER, /* behind that */
    ROLE_ANSWER,  /* where the answer is read, if that is no key token */
    ROLE_COUNT
} MediateRole;

/* Which positions of a site are restored. */
typedef enum WhichPositions {
    POSITIONS_ALL,
    POSITIONS_KEYS,     /* those that are noised, or differ */
    POSITIONS_LAST_KEY, /* the last of these */
    POSITIONS_LAST,     /* where the answer is read */
    POSITIONS_SPAN
} WhichPositions;

typedef struct MediateSite {
    const CausalSite *site;
    NodeId *nodes; /* [n_layers] */
    WhichPositions rule;
    bool chosen;        /* nobody named positions */
    int64_t part_width; /* elements of a head or neuron; 0: the whole row */
    double *directions; /* [n_layers, direction_width] sums over units; NULL: none are kept */
    int64_t direction_width;
} MediateSite;

static inline bool mediate_has_data(const MediateParams *params) {
    return params->data.file.bytes != NULL;
}

static inline bool mediate_is_stream(const CausalSite *site) {
    return strncmp(site->name, "resid", 5) == 0;
}

/* One thing that is restored. */
typedef struct MediateCell {
    int32_t site, layer;
    int32_t part; /* position (of a data set: MediateRole), head or neuron; 0 by layer */
} MediateCell;

/* One pair of prompts as its runs need it. */
typedef struct MediatePair {
    Pair pair;
    Target target, contrast;
    int32_t *keys; /* [n_keys] rows that are noised, or differ, in order */
    int32_t n_keys;
    const float *noise; /* [samples, n_keys, D]; NULL: the corrupt prompt */
    int32_t samples;
} MediatePair;

/* P of one thing that is measured: a number for each unit (and cell). */
typedef struct MediateFigures {
    double *p0, *p1; /* [n_units] */
    double *p2;      /* [n_units, n_cells] NaN: the unit has no such position */
} MediateFigures;

typedef struct Mediate {
    MethodCall *call;
    const MediateParams *params;
    Result *result;
    ValuesFile values;
    Engine *engine;
    const Model *model;
    MediateBy by;
    MediateSite sites[MEDIATE_SITES];
    int32_t n_sites;
    int32_t span_begin, span_end;   /* of POSITIONS_SPAN */
    int32_t layer_begin, layer_end; /* which layers are tried */
    int32_t n_parts;                /* positions, heads or neurons of a layer; by layer 1 */
    MediateCell *cells;             /* [n_cells] by site, layer, part */
    int32_t n_cells;
    Outcome outcome;
    double deviation;               /* of the embedding table's entries, as the model reads them */
    MediatePair one;                /* the only pair, when there is no data set */
    int32_t n_units, unit_capacity; /* noise samples of one prompt, or records */
    MediateFigures figures;
    /* of the first unit's prompt: any tokens, means over samples; NULL with a data set */
    int32_t tokens[MEDIATE_TOKENS];
    int32_t n_tokens;
    double *token_p0, *token_p1, *token_p2; /* [n_tokens], [n_tokens], [n_tokens, n_cells] */
    double plain_error, ends_error;         /* NaN: not asked */
    bool plain_done;
    int32_t n_directions; /* runs that directions are sums of */
} Mediate;

/* mediate_ask.c: refuses options that do not go together; fills sites; fills cells once the pair is read. */
limn_status mediate_check_options(const Mediate *mediate);
limn_status mediate_choose_sites(Mediate *mediate);
limn_status mediate_make_cells(Mediate *mediate);
/* "A:B" within [0, limit) */
limn_status mediate_parse_span(int32_t *begin, int32_t *end, const char *option, const char *text, int64_t limit);

/* mediate_pair.c: reads one prompt, its corruption and its target; remarks go to the result. number: of the record. */
limn_status mediate_read_pair(Mediate *mediate, MediatePair *pair, MethodCall *call, const PairParams *prompts,
                              const TargetParams *target, Text subject, int64_t number, Result *result);

/* mediate_noise.c */
limn_status mediate_find_deviation(Mediate *mediate);
limn_status mediate_make_noise(const Mediate *mediate, MediatePair *pair, MethodCall *call, int64_t number);

/* mediate_run.c: runs a pair and adds its units. */
limn_status mediate_run_pair(Mediate *mediate, MediatePair *pair, MethodCall *call);
/* What that would take. */
limn_status mediate_cost(TransplantCost *cost, Mediate *mediate, MediatePair *pair, MethodCall *call);

/* mediate_data.c: every record of the data set; with --estimate what they would take. */
limn_status mediate_run_data(Mediate *mediate);
limn_status mediate_estimate_data(Mediate *mediate);

/* mediate_cells.c */
MediateRole mediate_role(const MediatePair *pair, int32_t row);
bool mediate_by_role(const Mediate *mediate);

/* mediate_directions.c: to the file of values; frees them. */
limn_status mediate_keep_directions(Mediate *mediate);
void mediate_free_directions(Mediate *mediate);

/* mediate_report.c */
limn_status mediate_report(Mediate *mediate);

/* Mean of P2 - P1 of a cell over the units that have it. */
double mediate_effect(const Mediate *mediate, int32_t cell);
/* P0 and P1 over the same units; answers how many they are. */
int32_t mediate_means(const Mediate *mediate, int32_t cell, double *p0, double *p1);
double mediate_mean(const double *values, int32_t n);

#endif
