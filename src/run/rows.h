/* Row tables of a run: which sequence, position and token each row is. Buffers grow and are kept.
 *
 * Sequences lie in the tables in the order in which they join the run, so the rows that are there at a stage (behind so
 * many joins) are the first so many, and so are the output rows. A request's own order comes back at the end. */
#ifndef LIMN_RUN_ROWS_H
#define LIMN_RUN_ROWS_H

#include "run/engine.h"

typedef struct RowBuffers {
    int32_t capacity;
    int32_t *integers; /* [COLUMNS, capacity] */
    uint8_t *is_key;   /* [capacity] */
    int32_t sequence_capacity;
    SequenceRows *sequences;
    float *weights; /* [capacity] seeds, output table only */
} RowBuffers;

/* Where sequences of a program may join it. */
typedef struct JoinSet {
    const NodeId *nodes;   /* [n] ascending */
    const int32_t *places; /* [n] of joins.h */
    int32_t n;
} JoinSet;

typedef struct Rows {
    RowTable tables[DOMAIN_COUNT];
    RowBuffers buffers[DOMAIN_COUNT];
    bool identity; /* the output rows are all rows, in order */
    JoinSet joins;
    RowTable *stage_tables[DOMAIN_COUNT]; /* [joins.n + 1] the rows that are there at each stage */
    int32_t *stage_rows[DOMAIN_COUNT];    /* [joins.n + 1] how many */
    int32_t stage_capacity;
    /* by place in the tables */
    const int32_t *caller;   /* [n_sequences] the request's sequence */
    const int32_t *output;   /* [n_outputs] the request's output row */
    const int32_t *seed_row; /* [n_outputs] and its number for seeds */
    /* by the request's sequence */
    const int32_t *first;        /* [n_sequences] its first row in the request's order */
    bool in_order[DOMAIN_COUNT]; /* the tables are in the request's order */
    int32_t *numbers;
    int32_t number_capacity;
} Rows;

/* The cache that a sequence's keys and values are added to; NULL: none. */
static inline KvCache *appended_cache(const RunRequest *request, int32_t sequence) {
    if (request->appends != NULL) {
        return request->appends[sequence];
    }
    return sequence == 0 ? request->append : NULL;
}

/* Checks the request's rows against the model and fills both tables. */
limn_status rows_bind(Rows *rows, const Model *model, const RunRequest *request, const JoinSet *joins);
void rows_free(Rows *rows);

/* The request's row of a row of a table. */
int32_t rows_in_request(const Rows *rows, Domain domain, int32_t row);

/* Brings values [rows, width] of a domain into the request's order; spare holds one row, moved one flag a row. */
void rows_restore(const Rows *rows, Domain domain, float *values, int64_t width, float *spare, uint8_t *moved);

#endif
