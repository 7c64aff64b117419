/* One sequence's run, kept for many questions: the residual stream at every layer, keys and values.
 *
 * Sequences of later runs join from it (SequenceInput.join) and read its keys and values as their prefix. Values of
 * other sites (heads' and MLPs' outputs, patterns) are made when they are first asked for, from the stream of the
 * nearest layer below. Under a limit fewer layers are kept; joins then begin at the nearest kept one below, and stay
 * exact. Values are those of a full pass, bit for bit. Read-only once made but for clean_run_value.
 *
 * It need not be clean in the sense of the prompt as it is: with options.edits (noise on a subject's embeddings, a
 * steering vector) it is the run that later changes are changes of. */
#ifndef LIMN_RUN_CLEAN_RUN_H
#define LIMN_RUN_CLEAN_RUN_H

#include "run/engine.h"

/* A site's values, made on demand. */
typedef struct CleanValue {
    NodeId node;
    int64_t width;
    float *values; /* [n, width] */
} CleanValue;

struct CleanRun {
    const Model *model;
    Engine *engine;  /* under whose limit its bytes count */
    int32_t n;       /* rows */
    int32_t first;   /* rows of the prefix before them */
    int32_t *ids;    /* [n] */
    int32_t *types;  /* [n] or NULL */
    uint8_t *mask;   /* [n] or NULL */
    KvCache *cache;  /* of first + n rows; NULL in bidirectional models */
    NodeId *nodes;   /* [2 L + 1] the stream at each place where a sequence may join (joins.h) */
    float **streams; /* [2 L + 1] [n, D] its values; NULL: not kept */
    float *kept;     /* what they lie in */
    Edit *edits;     /* [n_edits] in force */
    int32_t n_edits;
    CleanValue *values; /* [n_values] */
    int32_t n_values, value_capacity;
    size_t bytes; /* of all these */
};

typedef struct CleanRunOptions {
    bool middle; /* keep hook_resid_mid too, where the family has it: late joins for MLPs */
    /* Of all that is kept when it is made; 0: half of what the engine's own limit leaves, everything when it has none.
     * Keys and values are always kept. */
    size_t memory_limit;
    /* In force in this run and in those that join from it; of its one sequence (0 or -1). Their values are borrowed
     * until the clean run is freed. */
    const Edit *edits;
    int32_t n_edits;
    /* Sites that runs which join from it edit. Only for equal bits: an edit of a value inside a fused chain (scales,
     * scores, patterns, heads' results) has the chain run in pieces, whose sums round otherwise. */
    const NodeId *editable;
    int32_t n_editable;
} CleanRunOptions;

/* Runs the input, which joins no other run (a prefix's rows become part of the cache, not of the rows). options may be
 * NULL. Its bytes count under the engine's limit, so it lives no longer; later runs may be those of
 * other engines of the same model. */
limn_status clean_run_new(CleanRun **clean, Engine *engine, const SequenceInput *input, const CleanRunOptions *options,
                          const Progress *progress);
void clean_run_free(CleanRun *clean);
size_t clean_run_bytes(const CleanRun *clean);
/* Bytes that clean_run_new would keep with every layer. */
size_t clean_run_bytes_needed(const Model *model, int32_t rows, bool middle);

/* The last kept place from which a site is computed: where a sequence that is edited there may join. join.clean is NULL
 * when there is none below it: the sequence runs from its tokens. */
Join clean_run_join(const CleanRun *clean, NodeId node);
/* The last kept place at or before another. */
Join clean_run_join_before(const CleanRun *clean, const Join *join);

/* The same by number (joins.h) for rows [row_begin, row_end), -1: none. Edits in force that copy a value from below the
 * place to one above it need a lower one. */
int32_t clean_run_place(const CleanRun *clean, int32_t place, int32_t row_begin, int32_t row_end);

/* Rows [row_begin, row_end) of it (of its own, without its prefix) as a sequence that joins there and reads the rows
 * before as its prefix; bidirectional models: all rows whatever is asked. Borrowed from the clean run. */
SequenceInput clean_run_sequence(const CleanRun *clean, Join join, int32_t row_begin, int32_t row_end);

/* Copies the edits in force that a sequence which joins there still meets (those at the join itself are in its stream
 * already), its rows [row_begin, row_end) being number `sequence` of a run; answers how many. edits has room for
 * clean->n_edits. */
int32_t clean_run_edits(const CleanRun *clean, Join join, int32_t sequence, int32_t row_begin, int32_t row_end,
                        Edit *edits);
/* An edit of the clean run's rows as one of rows [row_begin, row_end) that are sequence number `sequence` of a run;
 * false when it touches none of them. */
bool clean_run_clip_edit(const CleanRun *clean, Edit *edit, int32_t sequence, int32_t row_begin, int32_t row_end);

/* [n, width] of a site, made (and kept) at the first call. width of scores and patterns: H * (first + n). */
limn_status clean_run_value(CleanRun *clean, Engine *engine, NodeId node, const float **values, int64_t *width,
                            const Progress *progress);

#endif
