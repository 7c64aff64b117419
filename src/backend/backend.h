/* Kernels: how one operation runs on one device.
 *
 * A backend is an ordered list of kernels; the first whose `can` accepts an op runs it. Every list ends in the
 * `ref` kernels (plain C, the truth), so every op always runs. Kernels allocate nothing: scratch is asked for
 * before the run and handed in. All activations are f32; `compute` says whether matrix products may round their
 * inputs to bf16 (accumulating in f32). Kernels must give each row the same bits whatever chunk it is in and
 * whatever the number of threads; only bf16 products may differ, within their rounding, when either changes. */
#ifndef LIMN_BACKEND_BACKEND_H
#define LIMN_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/seed.h"
#include "base/parallel.h"
#include "graph/graph.h"
#include "graph/rules.h"

/* Keys and values of rows already computed. f32, keys after rotary positions. */
typedef struct KvCache {
    int n_layers;
    int64_t width;    /* G * K */
    int32_t capacity; /* rows */
    int32_t length;   /* rows filled */
    float **keys;     /* [L] of [capacity, G, K] */
    float **values;   /* [L] of [capacity, G, K] */
    uint8_t *is_key;  /* [capacity] */
    size_t *held;     /* where its bytes are counted, NULL: nowhere */
    size_t bytes;     /* as counted there */
} KvCache;

typedef struct SequenceRows {
    int32_t row_begin; /* into the table of all rows */
    int32_t n_rows;
    const KvCache *prefix; /* NULL: none; its first prefix_length rows are keys 0..prefix_length-1 */
    int32_t prefix_length;
} SequenceRows;

/* Which sequence, position and token each row is. Two tables in a run: all rows, and output rows. */
typedef struct RowTable {
    int32_t n_rows;
    int32_t n_sequences;
    int32_t max_keys;              /* the largest prefix_length + n_rows: S of a pattern */
    const SequenceRows *sequences; /* [n_sequences], the same in both tables */
    const int32_t *sequence;       /* [n_rows] */
    const int32_t *token;          /* [n_rows] */
    const int32_t *position;       /* [n_rows] for rotary and learned positions */
    const int32_t *type;           /* [n_rows] token type */
    const int32_t *order;          /* [n_rows] the row's own key index in its sequence, prefix included */
    const uint8_t *is_key;         /* [n_rows] 0: no query sees this row (attention mask) */
    const int32_t *source;         /* [n_rows] output rows: row in the table of all rows; else NULL */
    const int32_t *target;         /* [n_rows] output rows: target id of LOG_PROB and PICK; -1: 0 and no gradient */
} RowTable;

/* Rows of the sequence that a row belongs to, prefix included. */
static inline int64_t row_sequence_length(const RowTable *rows, int64_t row) {
    const SequenceRows *sequence = &rows->sequences[rows->sequence[row]];
    return (int64_t)sequence->prefix_length + sequence->n_rows;
}

typedef enum Compute { COMPUTE_F32, COMPUTE_BF16 } Compute;

typedef struct BackendState BackendState; /* packed weights, primitives: made by the backend, shared by runs */

/* What a kernel is made ready for. */
typedef struct KernelSizes {
    Compute compute;
    int32_t n_rows;   /* the largest chunk; SEQUENCE: all rows */
    int32_t max_keys; /* SEQUENCE: the most keys of a sequence */
    int threads;      /* workers at most */
    bool backward;
} KernelSizes;

typedef struct KernelArgs {
    const Op *op;
    Team *team;                     /* who works; NULL: the calling thread alone */
    const RowTable *rows;           /* table of the output's rows */
    const RowTable *key_rows;       /* SEQUENCE ops: table of all rows (keys, values, patterns' columns) */
    int32_t row_begin;              /* first row of this chunk; pointers of ROW ops already point at it */
    int32_t n_rows;                 /* rows in this chunk (output rows of SEQUENCE and SELECT ops) */
    const float *in[OP_MAX_INPUTS]; /* SEQUENCE: in[0] is the query side (rows), k and v are over key_rows */
    float *out;
    float *aux;
    /* backward: in, out, aux are those the op saves under its rule (rule_saves), others NULL */
    const float *grad_out;
    float *grad_in[OP_MAX_INPUTS];  /* NULL: not wanted */
    bool accumulate[OP_MAX_INPUTS]; /* add to grad_in instead of writing it */
    void *scratch;                  /* 64-byte aligned, scratch_bytes long */
    size_t scratch_bytes;
    Compute compute;
    GradientRule rule;             /* of the op, in a backward call: graph/rules.def. Never STOP */
    const Seed *seed;              /* of SEED */
    const int32_t *output_numbers; /* of SEED: the seed's number of each output row; NULL: they are in its order */
    BackendState *state;
} KernelArgs;

typedef limn_status (*KernelFunction)(const KernelArgs *args);

typedef struct Kernel {
    const char *name; /* "cpu.linear.dnnl" */
    OpKind op;
    /* True when it can run this op on this machine; else `why` (a constant string) says why not. NULL: always. */
    bool (*can)(const Op *op, Compute compute, const char **why);
    KernelFunction forward;
    KernelFunction backward; /* NULL: not differentiable (ops.def agrees; tested) */
    /* Scratch of a call within `sizes`. NULL: none. */
    size_t (*scratch_bytes)(const Op *op, const KernelSizes *sizes);
    /* Called once when a program is made (max_keys is not known yet): make primitives. May be NULL. */
    limn_status (*prepare)(BackendState *state, Team *team, const Op *op, const KernelSizes *sizes);
} Kernel;

typedef struct Backend {
    const char *name;
    const Kernel *const *lists; /* NULL-terminated list of kernel arrays, each ended by a row with name NULL */
    limn_status (*state_new)(BackendState **state);
    void (*state_free)(BackendState *state);
    /* How many bytes the state may use to keep weights in a faster layout. NULL: it keeps none. */
    void (*set_weight_budget)(BackendState *state, size_t bytes);
    /* How many bytes the op's weights take in a faster layout once it has run so often, if the budget has them. NULL:
     * it keeps none. */
    size_t (*weight_bytes)(BackendState *state, const Op *op, Compute compute, bool backward, int64_t uses);
    const char *(*describe)(void); /* instruction set and library versions, for provenance */
} Backend;

extern const Backend backend_ref;
extern const Backend backend_cpu;

const Backend *backend_find(const char *name); /* NULL: unknown */

/* The kernel that runs the op; never NULL. LIMN_TRACE=dispatch in the environment prints refusals to stderr. */
const Kernel *backend_choose(const Backend *backend, const Op *op, Compute compute);

#endif
