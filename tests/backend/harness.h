/* Builds what a case describes and runs one kernel on it as the engine would. */
#ifndef LIMN_TESTS_BACKEND_HARNESS_H
#define LIMN_TESTS_BACKEND_HARNESS_H

#include "base/random.h"
#include "cases.h"

/* Row tables of a layout, with caches. */
typedef struct Tables {
    RowTable all;
    RowTable outputs;
    SequenceRows *sequences;
    KvCache *caches; /* [n_sequences] */
} Tables;

/* A case with values. Every array is an allocation of its own, so that the address sanitizer sees its ends. */
typedef struct Instance {
    const Case *description;
    Op op;
    Tables tables;
    const RowTable *rows;
    const RowTable *key_rows;
    void *weight_memory[OP_MAX_WEIGHTS];
    Weight *experts[EXPERT_MATRICES]; /* [E] each */
    void **expert_memory[EXPERT_MATRICES];
    float *in[OP_MAX_INPUTS]; /* [in_rows, in_width] each */
    int64_t in_rows[OP_MAX_INPUTS];
    int64_t in_width[OP_MAX_INPUTS];
    int64_t out_rows;
    int64_t out_width;
    int64_t aux_width;
    float *grad_out; /* [out_rows, out_width] */
    Seed seed;
    float *seed_values; /* [out_rows, in_width[0]] */
} Instance;

/* What a forward and a backward pass give. */
typedef struct Results {
    float *out;
    float *aux;                    /* NULL when the op has none */
    float *grad_in[OP_MAX_INPUTS]; /* NULL when not wanted */
} Results;

/* Who works in the runs below: the calling thread alone, unless a test says more. */
extern Team harness_team;

void tables_make(Tables *tables, const Layout *layout, int64_t key_width, int n_layers, Random *random);
void tables_free(Tables *tables);

void instance_make(Instance *instance, const Case *description, uint64_t seed);
void instance_free(Instance *instance);

float *floats_new(int64_t count); /* all NaN */
float *floats_copy(const float *from, int64_t count);
float *floats_random(int64_t count, Random *random);

void results_new(Results *results, const Instance *instance);
void results_free(Results *results);

/* Runs over all rows in chunks of `chunk` (0: all at once; SEQUENCE and SELECT ops always all at once). */
limn_status run_forward(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                        int64_t chunk, Results *results);
/* saved: the forward values that the op's row in ops.def says it keeps. With `accumulate` the gradients are added
 * to what is there. Inputs whose results->grad_in is NULL are not wanted. */
limn_status run_backward(const Instance *instance, const Kernel *kernel, BackendState *state, Compute compute,
                         int64_t chunk, const Results *saved, bool accumulate, Results *results);

/* max |got - want| / max |want|, or max |got| where all of want is 0 (the values of the cases are about 1).
 * INFINITY where an infinity is not matched or a NaN shows. */
double difference(const float *got, const float *want, int64_t count);

#endif
