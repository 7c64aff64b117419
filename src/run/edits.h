/* Edits of a run: changes of values at named sites, and what they do to the gradient that flows on.
 *
 * A run may have thousands of edits. They are indexed once, by site and then by sequence, so that a step looks only at
 * those of its site and its rows; those that meet in one row still act in the order they were given. */
#ifndef LIMN_RUN_EDITS_H
#define LIMN_RUN_EDITS_H

#include "run/rows.h"

/* Buffers grow and are kept. */
typedef struct EditIndex {
    const Edit *edits;     /* of the request */
    const int32_t *caller; /* [n_sequences] sequence of the row tables -> of the request */
    int32_t *order;  /* [n_edits] by site, by sequence (those of all sequences first), as given; then as much again */
    int32_t *first;  /* [n_nodes + 1] where a site's edits begin in `order` */
    int32_t *counts; /* [n_sequences + 2] */
    int32_t order_capacity, first_capacity, count_capacity;
} EditIndex;

/* Every edit must change something: a site of this graph, rows that exist and are there at the site, elements that
 * exist. joins: the node of each join place. */
limn_status edits_check(const Graph *graph, const RunRequest *request, const NodeId *joins, int32_t max_keys);

/* Of edits that were checked. */
limn_status edits_index(EditIndex *index, const Graph *graph, const RunRequest *request, const Rows *rows);
void edits_free(EditIndex *index);

/* The first value an edit needs: a copy's source, else the site itself. */
static inline NodeId edit_first_node(const Edit *edit) {
    return edit->kind == EDIT_COPY && edit->source < edit->node ? edit->source : edit->node;
}

/* Is the site edited at all? */
static inline bool edits_touch(const EditIndex *index, NodeId node) {
    return index->first[node] < index->first[node + 1];
}

/* Rows [row_begin, row_begin + n_rows) of a table at a site; pointers stand at the first. */
typedef struct EditedRows {
    Team *team;
    NodeId node;
    const RowTable *table;
    int32_t row_begin, n_rows;
    int64_t width;
    float *value;  /* changed in place: the site's value, or its gradient */
    float *source; /* of COPY: the same rows of its source, or their gradient; NULL: none (nobody wants it) */
    void *scratch; /* edits_scratch_bytes */
} EditedRows;

/* Applies the edits of a site to its value. */
limn_status edits_apply(const EditIndex *index, const EditedRows *rows);

/* The same edits' derivative, from the last to the first: what flows on of the gradient, in place. */
limn_status edits_apply_gradient(const EditIndex *index, const EditedRows *rows);

/* Scratch of the edits of a request. */
size_t edits_scratch_bytes(const Graph *graph, const RunRequest *request, int32_t max_keys, int threads);

#endif
