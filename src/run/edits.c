#include "run/edits.h"

static limn_status check_edit(const Graph *graph, const RunRequest *request, const Edit *edit, int32_t max_keys) {
    if (edit->node < 0 || edit->node >= graph->n_nodes) {
        return fail(LIMN_NOT_FOUND, "an edit names no site of this model");
    }
    const GraphNode *node = &graph->nodes[edit->node];
    const char *site = node->site == NULL ? "(unnamed)" : node->site;
    if (edit->sequence < -1 || edit->sequence >= request->n_sequences) {
        return fail(LIMN_RANGE, "edit of %s: sequence %d of %d", site, edit->sequence, request->n_sequences);
    }
    bool row_found = false;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        int32_t end = edit->row_end < 0 ? request->sequences[s].n : edit->row_end;
        bool covers = edit->sequence < 0 || edit->sequence == s;
        row_found = row_found || (covers && edit->row_begin < request->sequences[s].n && edit->row_begin < end);
    }
    if (edit->row_begin < 0 || !row_found) {
        return fail(LIMN_RANGE, "edit of %s: no row at or after position %d", site, edit->row_begin);
    }
    int64_t width = row_shape_width(&node->op.out, max_keys);
    int64_t end = edit->element_end < 0 ? width : edit->element_end;
    if (edit->element_begin < 0 || edit->element_begin >= end || end > width) {
        return fail(LIMN_RANGE, "edit of %s: elements %lld to %lld of %lld", site, (long long)edit->element_begin,
                    (long long)end, (long long)width);
    }
    if (edit->values == NULL) {
        return fail(LIMN_INTERNAL, "edit of %s has no values", site);
    }
    return LIMN_OK;
}

limn_status edits_check(const Graph *graph, const RunRequest *request, int32_t max_keys) {
    for (int32_t i = 0; i < request->n_edits; i++) {
        TRY(check_edit(graph, request, &request->edits[i], max_keys));
    }
    return LIMN_OK;
}

/* Where an edit touches one row: its elements there and the values that go with them; NULL: not at all. */
static const float *values_for_row(const Edit *edit, const RowTable *table, int32_t row) {
    int32_t sequence = table->sequence[row];
    const SequenceRows *rows = &table->sequences[sequence];
    int32_t own = (table->source == NULL ? row : table->source[row]) - rows->row_begin;
    int32_t end = edit->row_end < 0 ? rows->n_rows : edit->row_end;
    if ((edit->sequence >= 0 && edit->sequence != sequence) || own < edit->row_begin || own >= end) {
        return NULL;
    }
    int64_t which = edit->sequence < 0 ? sequence : 0;
    return edit->values + (own - edit->row_begin) * edit->row_stride + which * edit->sequence_stride;
}

static void change(const Edit *edit, int64_t width, const float *values, float *row) {
    int64_t end = edit->element_end < 0 ? width : edit->element_end;
    for (int64_t e = edit->element_begin; e < end; e++) {
        float value = edit->scalar ? values[0] : values[e - edit->element_begin];
        switch (edit->kind) {
        case EDIT_SET:
            row[e] = value;
            break;
        case EDIT_ADD:
            row[e] += value;
            break;
        case EDIT_MULTIPLY:
            row[e] *= value;
            break;
        }
    }
}

void edits_apply(const RunRequest *request, NodeId node, const RowTable *table, int32_t row_begin, int32_t n_rows,
                 int64_t width, float *value) {
    for (int32_t i = 0; i < request->n_edits; i++) {
        const Edit *edit = &request->edits[i];
        for (int32_t r = 0; edit->node == node && r < n_rows; r++) {
            const float *values = values_for_row(edit, table, row_begin + r);
            if (values != NULL) {
                change(edit, width, values, value + r * width);
            }
        }
    }
}

void edits_apply_gradient(const RunRequest *request, NodeId node, const RowTable *table, int32_t row_begin,
                          int32_t n_rows, int64_t width, float *grad) {
    static const float zero = 0.0f;
    for (int32_t i = request->n_edits - 1; i >= 0; i--) {
        Edit edit = request->edits[i];
        if (edit.node != node || edit.kind == EDIT_ADD) {
            continue;
        }
        bool cuts = edit.kind == EDIT_SET;
        edit.kind = EDIT_MULTIPLY;
        edit.scalar = edit.scalar || cuts;
        for (int32_t r = 0; r < n_rows; r++) {
            const float *values = values_for_row(&edit, table, row_begin + r);
            if (values != NULL) {
                change(&edit, width, cuts ? &zero : values, grad + r * width);
            }
        }
    }
}
