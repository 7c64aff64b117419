/* A question put to a model: which rows run, what is edited, what is kept, what is differentiated.
 *
 * An Engine holds a model, a backend and the programs made so far. A RunRequest names sites by NodeId
 * (graph_find_site). Values come back in the engine's own buffers and stay until its next run.
 *
 * Three ways to compute less, each exact:
 * - a prefix: the first rows of a sequence were computed before (KvCache) and are only read;
 * - a join: the layers below were computed before (CleanRun): a sequence's rows begin at a layer with the clean run's
 *   stream, and the edits act on them there. Together with a prefix this is a counterfactual at the cost of what it
 *   changes; run/sweep.h makes such requests of thousands of changes and is what most methods want;
 * - a given value: the run brings a site's value for all rows, and what only feeds it is not computed.
 * A zero in any of these fields means that all rows run from their tokens.
 *
 * Relevance of every layer's input for "how much likelier is `yes` than `no`", by AttnLRP, without an MLP's gate
 * (its output is what went in), nothing kept but a sum for each row:
 *
 *     static limn_status add(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
 *                            const float *value, const float *gradient) { ... sum value * gradient ... }
 *
 *     OutputRow output = {.sequence = 0, .row = n - 1, .target = yes, .weight = 1};
 *     Seed seed = {.node = graph->logits, .kind = SEED_DIFFERENCE, .contrasts = {&no, 1}};
 *     Edit edit = {.node = mlp_out, .kind = EDIT_COPY, .source = resid_mid, .sequence = -1, .row_end = -1,
 *                  .element_end = -1};
 *     GradientSink sink = {.nodes = residuals, .n = n_layers, .with_values = true, .function = add, .context = &sums};
 *     RunRequest request = {.sequences = &sequence, .n_sequences = 1, .outputs = &output, .n_outputs = 1,
 *                           .edits = &edit, .n_edits = 1, .seeds = &seed, .n_seeds = 1, .sink = &sink,
 *                           .rules = RULES_LRP};
 *     TRY(engine_run(engine, &request, progress));
 *     float lead = engine_seed(engine, 0)[0];
 *
 * A vector-Jacobian product is a SEED_LINEAR with a row of `values` for each output row. F alone needs no gradient: a
 * request with seeds and no grads computes it, and keeps no logits for it. */
#ifndef LIMN_RUN_ENGINE_H
#define LIMN_RUN_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/parallel.h"
#include "model/model.h"
#include "plan/program.h"

typedef struct Engine Engine;
typedef struct CleanRun CleanRun; /* run/clean_run.h */

typedef struct EngineOptions {
    const char *backend; /* "cpu" (NULL) or "ref" */
    Compute compute;     /* f32 or bf16 matrix products */
    size_t memory_limit; /* bytes for the model's converted weights, activations and scratch; 0: what the machine has */
    int32_t chunk_rows;  /* rows per step of row-wise work; 0: 256 */
    KeepPolicy keep;     /* KEEP_AUTO: everything if it fits, else layer inputs */
    bool brief;          /* for little work: weights are not brought into a faster layout, which costs their size */
    int64_t threads;     /* 0: all cores; no part of the answer */
    /* In force in every run, before those of its request, as if the model were so: for all rows (sequence -1, rows 0 to
     * -1, one row of values for all) of sites without keys. Borrowed until engine_free. */
    const struct Edit *edits;
    int32_t n_edits;
} EngineOptions;

limn_status engine_new(Engine **engine, const Model *model, const EngineOptions *options);
void engine_free(Engine *engine);
const Model *engine_model(const Engine *engine);
const char *engine_backend_name(const Engine *engine);     /* "cpu" */
const char *engine_backend_describe(const Engine *engine); /* instruction set and library versions */
/* How many threads the runs from here on may use; 0: all cores. */
void engine_set_threads(Engine *engine, int64_t threads);
int engine_threads(const Engine *engine);
Compute engine_compute(const Engine *engine);
const struct Edit *engine_standing(const Engine *engine, int32_t *n); /* EngineOptions.edits */
/* Other ones from the next run on; clean runs and caches made under the ones before are of another model then. */
limn_status engine_set_edits(Engine *engine, const struct Edit *edits, int32_t n);
int32_t engine_chunk_rows(const Engine *engine);
size_t engine_working_bytes(const Engine *engine); /* of its runs, as large as the largest so far needed it */
int64_t engine_programs(const Engine *engine);     /* made so far: runs of one kind should not make more */

typedef enum JoinSite { JOIN_RESID_PRE, JOIN_RESID_MID } JoinSite;

/* Where a sequence joins the run: its own rows get the value that the rows of the same places in their sequence have in
 * the clean run. Layer L with RESID_PRE is the stream behind the last block. Families without hook_resid_mid (parallel
 * blocks) have no such joins. In a bidirectional model all rows of a sequence have to join. */
typedef struct Join {
    const CleanRun *clean; /* NULL: the sequence runs from its tokens */
    int32_t layer;         /* 0..L */
    JoinSite site;
} Join;

typedef struct SequenceInput {
    const int32_t *ids;    /* [n] */
    int32_t n;             /* own rows, after the prefix */
    const int32_t *types;  /* [n] token types, NULL: 0 */
    const uint8_t *mask;   /* [n] 0: invisible as a key, NULL: all visible */
    const KvCache *prefix; /* rows already computed, NULL: none */
    int32_t prefix_length;
    Join join;
} SequenceInput;

/* A row whose logits (or objective) are wanted. */
typedef struct OutputRow {
    int32_t sequence;
    int32_t row;    /* own row of the sequence, 0..n-1 */
    int32_t target; /* token or class id of the objective; -1: none */
    float weight;   /* factor of this row in the differentiated sum */
} OutputRow;

/* edits.def says what each does to a value and to the gradient that flows on. */
typedef enum EditKind {
#define EDIT(name, function, needs, help, gradient_help) EDIT_##name,
#include "run/edits.def"
#undef EDIT
    EDIT_KIND_COUNT
} EditKind;

/* Changes a site's value on a rectangle: rows x elements of its row value, n elements to a row. Gradients pass
 * through, exactly. The site's own value, as tapped and differentiated, is the one after the edit. Several edits of one
 * site act in the order they are given. */
typedef struct Edit {
    NodeId node;
    EditKind kind;
    int32_t sequence;                   /* -1: all sequences */
    int32_t row_begin, row_end;         /* own rows; row_end -1: to the end */
    int64_t element_begin, element_end; /* element_end -1: to the end of the row */
    const float *values;                /* borrowed until the run ends */
    int64_t row_stride;                 /* values step per row; 0: the same for each row */
    int64_t sequence_stride;            /* values step per sequence (sequence -1); 0: the same for each */
    bool scalar;                        /* one value for all elements */
    float amount;                       /* of BLEND, STEER and STOP */
    const float *map;                   /* AFFINE: [n, n]; values, when there are any, are what is added */
    const float *left, *right; /* PROJECT: [n, rank] (NULL: right transposed) and [rank, n]; values: the mean */
    int32_t rank;              /* PROJECT */
    NodeId source;             /* COPY: a site computed before this one, as wide; one for each edited site */
} Edit;

/* A site's value, brought by the run: [rows, width] for the rows of all sequences in the request's order (behind the
 * selection of output rows, as logits are: for the output rows). What only feeds it is not computed, no gradient passes
 * it, edits act on it. Rows that join behind it are not read. Caches get the keys and values of the layers that run. */
typedef struct Given {
    NodeId node;
    const float *values; /* borrowed until the run ends */
} Given;

/* What is differentiated without a seed; the target is that of each output row. */
typedef enum Objective { OBJECTIVE_NONE, OBJECTIVE_LOG_PROB, OBJECTIVE_LOGIT } Objective;

/* Takes gradients as they come, so that those of all sites of a long prompt are never kept together: rows
 * [row_begin, row_begin + n_rows) of a site's table, [n_rows, width], borrowed for the call. `value` is the site's own
 * value (after edits) at those rows, NULL unless it was asked for. Called on the thread that runs, the sites nearest
 * the objective first, the rows of one site in order; never for a site on which the objective does not depend. Anything
 * but LIMN_OK ends the run with that status. */
typedef limn_status (*GradientFunction)(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                                        const float *value, const float *gradient);

typedef struct GradientSink {
    const NodeId *nodes; /* [n] each once */
    int32_t n;
    bool with_values;
    GradientFunction function;
    void *context;
} GradientSink;

typedef struct RunRequest {
    const SequenceInput *sequences;
    int32_t n_sequences;
    const OutputRow *outputs;
    int32_t n_outputs;
    const NodeId *taps;
    int32_t n_taps;
    const NodeId *grads; /* d(sum of weight * objective) / d(site), for each */
    int32_t n_grads;
    const Edit *edits;
    /* Sites that runs like this one may edit besides: requests that name the same ones share one program, whichever of
     * them each edits. NULL: those of the edits alone. */
    const NodeId *editable;
    int32_t n_edits;
    int32_t n_editable;
    const Given *givens;
    int32_t n_givens;
    /* Join sites that sequences of runs like this one may use besides: as `editable`, for one program in common. */
    bool may_join_pre, may_join_mid;
    Objective objective;
    /* [n_seeds] more to differentiate: the sum over seeds and output rows of weight * F(row), beside the objective's.
     * backend/seed.h says what F may be, and seeds.def lists the kinds. Which kinds, targets and values a run has are
     * its bindings: requests that read the same sites share one program. */
    const Seed *seeds;
    int32_t n_seeds;
    /* [n_outputs] by which number seeds know each output row (its targets, values, weight; what a callback is told):
     * below n_seed_rows, so that many output rows may share what is given for one. NULL: its place among the outputs.
     */
    const int32_t *seed_rows;
    int32_t n_seed_rows;
    RuleSet rules;            /* which derivative, for all gradients of the run: graph/rules.def. 0: the true one */
    const GradientSink *sink; /* gradients handed over as they come, beside `grads`; NULL: none */
    bool logits;              /* keep the logits of the output rows */
    KvCache *append;          /* one sequence whose keys and values are added to this cache after the run, or NULL */
    /* [n_sequences] the same for several sequences, or NULL; entries may be NULL, none may stand twice. A cache holds
     * its sequence's prefix already, as many rows as prefix_length says, whatever cache the run reads them from. */
    KvCache *const *appends;
} RunRequest;

typedef struct RunEstimate {
    size_t bytes;       /* activations, saved values and scratch */
    size_t least_bytes; /* the least that any keep policy and chunk would need */
    double flops;
    double row_layers; /* matrix products in the blocks, forward: rows x layers, one row through one whole layer is 1 */
} RunEstimate;

limn_status engine_estimate(Engine *engine, const RunRequest *request, RunEstimate *estimate);
/* What comes on top in an engine that was just made: weights in a faster layout, when the request runs so often. */
limn_status engine_estimate_weights(Engine *engine, const RunRequest *request, int64_t runs, size_t *bytes);
/* Runs nothing; LIMN_NO_MEMORY, naming the least that would do, where the request does not fit the engine's memory. */
limn_status engine_require(Engine *engine, const RunRequest *request);
/* The steps a request would run, one line each; *text is malloc'ed. */
limn_status engine_describe_program(Engine *engine, const RunRequest *request, char **text);
limn_status engine_run(Engine *engine, const RunRequest *request, const Progress *progress);

/* Values of the last run, rows in the request's order. Taps and gradients: [rows of the site's domain, width]; SCORES
 * and PATTERN sites have width H * max_keys. Rows of sequences that join behind the site hold NaN in a tap and 0 in a
 * gradient. Borrowed until the engine's next run; NULL when it was not asked for. */
const float *engine_tap(const Engine *engine, NodeId node, int32_t *rows, int64_t *width);
const float *engine_grad(const Engine *engine, NodeId node, int32_t *rows, int64_t *width);
const float *engine_logits(const Engine *engine);    /* [n_outputs, V] */
const float *engine_objective(const Engine *engine); /* [n_outputs] */
/* F of a seed at each output row, [n_outputs], whether or not anything was differentiated. */
const float *engine_seed(const Engine *engine, int32_t seed);
/* What was differentiated: the sum of weight * F over all seeds and output rows, and of the objective's. */
double engine_total(const Engine *engine);

limn_status kv_cache_new(KvCache **cache, const Model *model, int32_t capacity);
void kv_cache_free(KvCache *cache);
/* The same, counted under the engine's memory limit until it is freed; LIMN_NO_MEMORY where it does not fit. Lives no
 * longer than the engine. */
limn_status engine_cache_new(KvCache **cache, Engine *engine, int32_t capacity);
/* Counts bytes that somebody keeps beside the engine's runs under its limit; negative: they are given back. */
void engine_hold(Engine *engine, int64_t bytes);
bool engine_is_limited(const Engine *engine); /* by EngineOptions.memory_limit */
/* What the limit leaves for runs and caches; half of what the machine can still give, when no limit was set. */
size_t engine_memory_left(const Engine *engine);
/* Makes `cache` hold the first `rows` rows of `from` and nothing else. */
limn_status kv_cache_copy(KvCache *cache, const KvCache *from, int32_t rows);
/* Bytes of one row. */
size_t kv_cache_row_bytes(const Model *model);

#endif
