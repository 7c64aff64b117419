/* Row tables of a run: which sequence, position and token each row is. Buffers grow and are kept. */
#ifndef LIMN_RUN_ROWS_H
#define LIMN_RUN_ROWS_H

#include "run/session.h"

typedef struct RowBuffers {
    int32_t capacity;
    int32_t *integers; /* [7, capacity] */
    uint8_t *is_key;   /* [capacity] */
    int32_t sequence_capacity;
    SequenceRows *sequences;
    float *weights; /* [capacity] seeds, output table only */
} RowBuffers;

typedef struct Rows {
    RowTable tables[DOMAIN_COUNT];
    RowBuffers buffers[DOMAIN_COUNT];
    bool identity; /* the output rows are all rows, in order */
} Rows;

/* The cache that a sequence's keys and values are added to; NULL: none. */
static inline KvCache *appended_cache(const RunRequest *request, int32_t sequence) {
    if (request->appends != NULL) {
        return request->appends[sequence];
    }
    return sequence == 0 ? request->append : NULL;
}

/* Checks the request's rows against the model and fills both tables. */
limn_status rows_bind(Rows *rows, const Model *model, const RunRequest *request);
void rows_free(Rows *rows);

#endif
