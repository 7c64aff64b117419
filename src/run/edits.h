/* Edits of a run: changes of values at named sites, and what they do to the gradient that flows on. */
#ifndef LIMN_RUN_EDITS_H
#define LIMN_RUN_EDITS_H

#include "run/session.h"

/* Every edit must change something: a site of this graph, rows and elements that exist. */
limn_status edits_check(const Graph *graph, const RunRequest *request, int32_t max_keys);

/* Applies the edits of `node` to rows [row_begin, row_begin + n_rows) of a table; value points at the first. */
void edits_apply(const RunRequest *request, NodeId node, const RowTable *table, int32_t row_begin, int32_t n_rows,
                 int64_t width, float *value);

/* The same edits' derivative: a value that was set passes nothing on, a multiplied one its factor. */
void edits_apply_gradient(const RunRequest *request, NodeId node, const RowTable *table, int32_t row_begin,
                          int32_t n_rows, int64_t width, float *grad);

#endif
