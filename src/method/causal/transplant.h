/* Values of one run put into another: edits that do it, and a full pass with them. */
#ifndef LIMN_METHOD_CAUSAL_TRANSPLANT_H
#define LIMN_METHOD_CAUSAL_TRANSPLANT_H

#include "call/estimate.h"
#include "method/causal/alignment.h"
#include "method/causal/outcome.h"
#include "run/sweep.h"

enum { TRANSPLANT_EDITS = 2 }; /* as many as an alignment has runs of rows */

/* A site's value in the run it is taken from. */
typedef struct Donor {
    NodeId node;
    const float *values; /* [rows, width], borrowed while the edits are used */
    int64_t width;
} Donor;

/* Rows [from, to) of the base, elements [begin, end) of each (end -1: all), as the source has them; rows that belong
 * to none of the source stay. Answers how many edits it wrote, TRANSPLANT_EDITS at most. */
int transplant_rows(Edit *edits, const Alignment *alignment, const Donor *donor, int32_t from, int32_t to,
                    int64_t begin, int64_t end);

/* F of the first seed of `ask`, as outcome_value makes it, in a pass of all rows from their tokens, with nothing shared
 * and nothing kept. */
limn_status transplant_full_pass(double *value, MethodCall *call, Engine *engine, const Outcome *outcome,
                                 const RunRequest *ask, const SequenceInput *input, const Edit *edits, int32_t n_edits);

/* What a sweep would take. */
typedef struct TransplantCost {
    double cells, runs, flops;
    double full_flops; /* of a full pass for each cell */
    double seconds;
    MemoryEstimate memory; /* kept: the caller's */
} TransplantCost;

/* input: the sequence that a full pass would read. Some of the list are run and timed. Runs that are kept beside the
 * sweep have been made. */
limn_status transplant_cost(TransplantCost *cost, MethodCall *call, Engine *engine, const RunRequest *ask,
                            const Counterfactual *list, int32_t n, const SequenceInput *input);
/* As a table of the result: so many times this list, one after another. */
limn_status transplant_show_cost(Result *result, MethodCall *call, const Model *model, const TransplantCost *cost,
                                 double times);

#endif
