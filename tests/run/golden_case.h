/* A folder under tests/golden: a small random model and what Hugging Face says about it (tests/oracle/models). */
#ifndef LIMN_TESTS_RUN_GOLDEN_CASE_H
#define LIMN_TESTS_RUN_GOLDEN_CASE_H

#include "files/tensor_files.h"
#include "run/engine.h"

/* What counts as agreement, relative, and by how much a mutant must miss it. */
#define LOGIT_TOLERANCE 5e-5
#define SITE_TOLERANCE  1e-4
#define MUTANT_FACTOR   20

extern const char *const golden_backends[]; /* those of this build, and NULL */

typedef struct GoldenCase {
    char folder[512];
    TensorFiles *golden;
    Model *model;
    /* the run that golden.safetensors describes */
    SequenceInput *sequences;
    int32_t n_sequences;
    OutputRow *outputs;
    int32_t n_outputs;
    Objective objective;
    int32_t *all_targets; /* owned: ids, types, mask of the sequences */
    int32_t *ids, *types;
    uint8_t *mask;
    bool classifier, bare;
} GoldenCase;

/* What a case has: see golden/cases.def. */
enum {
    HAS_ROPE = 1,
    HAS_GAIN = 2,
    HAS_BIAS = 4,
    HAS_OFFSET = 8,             /* position 0 is not row 0 of the table */
    HAS_COUNTED_POSITIONS = 16, /* hidden or padding tokens inside, which positions skip */
    HAS_ALIBI = 32,
    HAS_WINDOW = 64,
    HAS_SCORE_CAP = 128, /* soft caps */
    HAS_LOGIT_CAP = 256,
    HAS_HEAD_NORM = 512,  /* norms on queries and keys */
    HAS_POST_NORM = 1024, /* norms after the sublayers */
    HAS_EMBED_SCALE = 2048,
    HAS_LENGTHS = 4096, /* rotary frequencies depend on the sequence's length */
    HAS_ROTARY_FACTOR = 8192,
    HAS_TWO_ROPES = 16384
};

typedef struct GoldenRow {
    const char *name;
    unsigned has;
} GoldenRow;

extern const GoldenRow golden_cases[]; /* the last has the name NULL */

/* Opens the case; fails the test when it cannot. options: of model_open, may be NULL. */
void golden_case_open(GoldenCase *golden, const char *name, const ModelOptions *options);
/* The same with the model of another folder. */
void golden_case_open_on(GoldenCase *golden, const char *name, const char *model, const ModelOptions *options);
/* Compares with the tensors of another file of the case's folder from now on. */
void golden_case_use(GoldenCase *golden, const char *file);
void golden_case_close(GoldenCase *golden);

/* A request for logits only; taps and grads may be added. */
RunRequest golden_case_request(const GoldenCase *golden);

/* All nodes that have a site, each once; *nodes is the caller's. */
int32_t golden_case_sites(const GoldenCase *golden, NodeId **nodes);

/* max|found - expected| / max|expected|; infinities must agree. n values; fails the test when the sizes differ. */
double golden_case_distance(const GoldenCase *golden, const char *tensor, const float *found, int64_t n);
/* max|found - expected| / max(1, max|expected|): for logits. */
double golden_case_logit_distance(const GoldenCase *golden, const char *tensor, const float *found, int64_t n);

#endif
