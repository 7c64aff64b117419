/* A graph lowered for one question: an ordered list of steps over values, grouped in bands.
 *
 * The question says what is kept (taps), changed (edits) and differentiated (gradients); everything else may be
 * fused, dropped, recomputed or narrowed to the output rows. A program is immutable and holds no buffers: row
 * counts, edit amounts and targets are bindings of a run. See plan/README.md. */
#ifndef LIMN_PLAN_PROGRAM_H
#define LIMN_PLAN_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "backend/backend.h"
#include "base/arena.h"
#include "graph/graph.h"

/* What the forward pass keeps for the backward pass. */
typedef enum KeepPolicy { KEEP_AUTO, KEEP_EVERYTHING, KEEP_LAYER_INPUTS } KeepPolicy;

typedef struct Question {
    const NodeId *taps; /* [n_taps] values to hand back */
    int32_t n_taps;
    const NodeId *edits; /* [n_edits] values that a run may change */
    int32_t n_edits;
    const NodeId *copies; /* [n_edits] the site that an edited one may become a copy of, or NODE_NONE; NULL: none */
    const NodeId *grads;  /* [n_grads] gradients to hand back */
    int32_t n_grads;
    const NodeId *streams; /* [n_streams] gradients to hand over as they come */
    int32_t n_streams;
    bool stream_values;   /* with the values of their sites */
    const NodeId *givens; /* [n_givens] values that the run brings: what only feeds them is not computed */
    int32_t n_givens;
    const NodeId *joins; /* [n_joins] ascending: where further rows join the run, with values of another run */
    int32_t n_joins;
    NodeId objective;    /* graph->log_prob, graph->pick or NODE_NONE */
    const NodeId *seeds; /* [n_seeds] sites whose output rows the run's own functions read */
    int32_t n_seeds;
    RuleSet rules;
    bool logits;        /* hand back graph->logits */
    bool append;        /* keys and values go to a cache */
    bool identity_rows; /* the output rows are all rows, in order */
    KeepPolicy keep;    /* EVERYTHING or LAYER_INPUTS */
    Compute compute;
} Question;

/* Row sets a value can range over. */
typedef enum Domain { DOMAIN_ALL, DOMAIN_OUT, DOMAIN_COUNT } Domain;

typedef int32_t ValueId;
enum { VALUE_NONE = -1 };

typedef struct ProgramValue {
    RowShape shape;
    Domain domain;
    int32_t stage; /* how many joins its rows have passed */
    int32_t first_step;
    int32_t last_step;
    bool persistent; /* handed back: lives to the end */
    bool local;      /* lives inside one band: a buffer for one chunk of rows serves */
    int32_t slot;
} ProgramValue;

typedef enum StepKind {
    STEP_FORWARD,   /* kernel: in -> out (aux) */
    STEP_BACKWARD,  /* kernel: grad_out -> grad_in */
    STEP_EDIT,      /* the run's edits of `node`, on out; in[0]: what a copy is of */
    STEP_EDIT_GRAD, /* the same edits' effect on the gradient that flows on, in place on out; grad_in[0]: of in[0] */
    STEP_SEED,      /* out = weight of each output row: of seed `seed`, -1: of the objective */
    STEP_HAND_OVER, /* grad_out, the gradient of `node`, and in[0], its value, to the run's sink */
    STEP_COPY,      /* out = in[0] */
    STEP_ADD_INTO,  /* out += in[0] */
    STEP_ZERO,      /* out = 0 */
    STEP_APPEND,    /* in[0] keys, in[1] values of op.layer into the run's cache */
    STEP_GIVEN,     /* out = the run's value of `node` */
    STEP_JOIN       /* the rows of out that join here = those of the runs they join from */
} StepKind;

typedef struct Step {
    StepKind kind;
    NodeId node; /* of the graph; for edits and messages */
    Domain domain;
    int32_t stage; /* the rows it works on are the first so many of its domain (ProgramSizes.stage_rows) */
    Op op;
    GradientRule rule; /* of a backward step */
    int32_t seed;      /* which of the question's seeds; -1: none */
    const Kernel *kernel;
    ValueId in[OP_MAX_INPUTS];
    ValueId out;
    ValueId aux;
    ValueId grad_out;
    ValueId grad_in[OP_MAX_INPUTS];
    bool accumulate[OP_MAX_INPUTS];
} Step;

/* Consecutive steps that may run chunk by chunk over the same rows, or one step that may not. */
typedef struct Band {
    int32_t first_step;
    int32_t n_steps;
    Domain domain;
    int32_t stage;
    bool chunked;
} Band;

/* A buffer: rows of its domain (or of a chunk) times the width of its shape; values follow each other in it. */
typedef struct Slot {
    RowShape shape;
    Domain domain;
    bool local;
} Slot;

typedef struct Program {
    Arena arena;
    const Graph *graph;
    Compute compute;
    KeepPolicy keep;
    int32_t n_stages; /* joins + 1 */
    Step *steps;
    int32_t n_steps;
    ProgramValue *values;
    int32_t n_values;
    Band *bands;
    int32_t n_bands;
    Slot *slots;
    int32_t n_slots;
    NodeId *tap_nodes;   /* [n_taps], in the question's order */
    ValueId *tap_values; /* [n_taps] */
    int32_t n_taps;
    NodeId *grad_nodes;   /* [n_grads] */
    ValueId *grad_values; /* [n_grads] */
    ValueId *seed_values; /* [n_seeds] F of each output row */
    int32_t n_grads;
    int32_t n_seeds;
    ValueId objective_value;
    ValueId logits_value;
} Program;

/* Does the question want any gradient? */
static inline bool question_differentiates(const Question *question) {
    return question->n_grads + question->n_streams > 0;
}

limn_status program_new(Program **program, const Graph *graph, const Backend *backend, BackendState *state, Team *team,
                        const Question *question, int32_t chunk_rows);
void program_free(Program *program);

/* Rows of a run, as far as sizes depend on them. */
typedef struct ProgramSizes {
    int32_t rows[DOMAIN_COUNT];
    const int32_t *stage_rows[DOMAIN_COUNT]; /* [n_stages] rows that have joined; NULL: all in every stage */
    int32_t max_keys;
    int32_t chunk_rows;
    int threads; /* scratch is sized by them */
} ProgramSizes;

static inline int32_t program_rows(const ProgramSizes *sizes, Domain domain, int32_t stage) {
    return sizes->stage_rows[domain] == NULL ? sizes->rows[domain] : sizes->stage_rows[domain][stage];
}

/* Bytes of one slot, of all slots (each aligned to 64) plus scratch, and of scratch alone. */
size_t program_slot_bytes(const Slot *slot, const ProgramSizes *sizes);
limn_status program_bytes(const Program *program, const ProgramSizes *sizes, size_t *bytes, size_t *scratch_bytes);
double program_flops(const Program *program, const ProgramSizes *sizes);
/* What the backend comes to keep of weights in a faster layout, within its budget, when the program runs so often. */
size_t program_weight_bytes(const Program *program, const ProgramSizes *sizes, const Backend *backend,
                            BackendState *state, int64_t runs, size_t budget);
/* Multiply-adds of matrix products inside the blocks in the forward pass, times two: what grows with rows x layers. */
double program_block_flops(const Program *program, const ProgramSizes *sizes);
/* The same of one row through all blocks of a graph. */
double graph_block_flops(const Graph *graph);

/* A readable listing, one line a step, for tests and for people who ask why a run is slow. */
limn_status program_describe(const Program *program, char **text);

#endif
