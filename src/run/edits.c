#include "run/edits.h"

#include <stdlib.h>
#include <string.h>

#include "run/joins.h"

/* Rows of a sequence are there from the node on at which it joins. */
static bool there(const SequenceInput *sequence, const NodeId *joins, NodeId node) {
    return sequence->join.clean == NULL || joins[join_place(&sequence->join)] <= node;
}

static limn_status check_edit(const Graph *graph, const RunRequest *request, const NodeId *joins, const Edit *edit,
                              int32_t max_keys) {
    if (edit->node < 0 || edit->node >= graph->n_nodes) {
        return fail(LIMN_NOT_FOUND, "an edit names no site of this model");
    }
    const GraphNode *node = &graph->nodes[edit->node];
    const char *site = node->site == NULL ? "(unnamed)" : node->site;
    if (edit->sequence < -1 || edit->sequence >= request->n_sequences) {
        return fail(LIMN_RANGE, "edit of %s: sequence %d of %d", site, edit->sequence, request->n_sequences);
    }
    bool row_found = false, is_there = false;
    for (int32_t s = 0; s < request->n_sequences; s++) {
        int32_t end = edit->row_end < 0 ? request->sequences[s].n : edit->row_end;
        bool covers = edit->sequence < 0 || edit->sequence == s;
        bool has_row = covers && edit->row_begin < request->sequences[s].n && edit->row_begin < end;
        row_found = row_found || has_row;
        is_there = is_there || (has_row && there(&request->sequences[s], joins, edit->node));
    }
    if (edit->row_begin < 0 || !row_found) {
        return fail(LIMN_RANGE, "edit of %s: no row at or after position %d", site, edit->row_begin);
    }
    if (!is_there) {
        return fail(LIMN_USAGE, "edit of %s: its sequence joins the run behind that, at layer %d", site,
                    request->sequences[edit->sequence < 0 ? 0 : edit->sequence].join.layer);
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

limn_status edits_check(const Graph *graph, const RunRequest *request, const NodeId *joins, int32_t max_keys) {
    for (int32_t i = 0; i < request->n_edits; i++) {
        TRY(check_edit(graph, request, joins, &request->edits[i], max_keys));
    }
    return LIMN_OK;
}

static limn_status reserve(int32_t **numbers, int32_t *capacity, int32_t needed) {
    if (needed <= *capacity) {
        return LIMN_OK;
    }
    int32_t larger = needed + needed / 2 + 16;
    free(*numbers);
    *numbers = malloc((size_t)larger * sizeof **numbers);
    *capacity = *numbers == NULL ? 0 : larger;
    return *numbers == NULL ? fail(LIMN_NO_MEMORY, "index of %d edits", needed) : LIMN_OK;
}

/* What an edit is sorted by. */
static int32_t key_of(const Edit *edit, bool by_node) {
    return by_node ? edit->node : edit->sequence + 1;
}

/* Sorts the places `from` of edits into `to` by one key, keeping the order of equals; begins[key] where each begins. */
static void sort_by(int32_t *to, const int32_t *from, const Edit *edits, int32_t n, bool by_node, int32_t *begins,
                    int32_t n_keys) {
    memset(begins, 0, ((size_t)n_keys + 1) * sizeof *begins);
    for (int32_t i = 0; i < n; i++) {
        begins[key_of(&edits[i], by_node) + 1]++;
    }
    for (int32_t k = 0; k < n_keys; k++) {
        begins[k + 1] += begins[k];
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t edit = from == NULL ? i : from[i];
        to[begins[key_of(&edits[edit], by_node)]++] = edit;
    }
    for (int32_t k = n_keys; k > 0; k--) {
        begins[k] = begins[k - 1];
    }
    begins[0] = 0;
}

limn_status edits_index(EditIndex *index, const Graph *graph, const RunRequest *request, const Rows *rows) {
    const Edit *edits = request->edits;
    int32_t n = request->n_edits;
    if (n > INT32_MAX / 4) {
        return fail(LIMN_NO_MEMORY, "%d edits in one run", n);
    }
    TRY(reserve(&index->order, &index->order_capacity, 2 * n));
    TRY(reserve(&index->first, &index->first_capacity, graph->n_nodes + 1));
    TRY(reserve(&index->counts, &index->count_capacity, request->n_sequences + 2));
    index->edits = edits;
    index->caller = rows->caller;
    sort_by(index->order + n, NULL, edits, n, false, index->counts, request->n_sequences + 1);
    sort_by(index->order, index->order + n, edits, n, true, index->first, graph->n_nodes);
    return LIMN_OK;
}

void edits_free(EditIndex *index) {
    free(index->order);
    free(index->first);
    free(index->counts);
    *index = (EditIndex){0};
}

/* The edits of a site that may touch rows of one sequence: two ascending lists of places among the request's edits. */
typedef struct EditList {
    const int32_t *all, *all_end; /* of all sequences */
    const int32_t *own, *own_end; /* of this one */
} EditList;

/* The first of a site's sorted edits whose sequence is not below. */
static const int32_t *first_of(const EditIndex *index, NodeId node, int32_t sequence) {
    const int32_t *low = index->order + index->first[node], *high = index->order + index->first[node + 1];
    while (low < high) {
        const int32_t *middle = low + (high - low) / 2;
        if (index->edits[*middle].sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static EditList edits_of(const EditIndex *index, NodeId node, int32_t sequence) {
    EditList list = {.all = index->order + index->first[node],
                     .all_end = first_of(index, node, 0),
                     .own = first_of(index, node, sequence)};
    list.own_end = list.own;
    const int32_t *end = index->order + index->first[node + 1];
    while (list.own_end < end && index->edits[*list.own_end].sequence == sequence) {
        list.own_end++;
    }
    return list;
}

/* The next edit in the order they were given; NULL: none is left. */
static const Edit *next_edit(const EditIndex *index, EditList *list) {
    bool all = list->all < list->all_end, own = list->own < list->own_end;
    if (!all && !own) {
        return NULL;
    }
    return &index->edits[all && (!own || *list->all < *list->own) ? *list->all++ : *list->own++];
}

/* The same from the last. */
static const Edit *previous_edit(const EditIndex *index, EditList *list) {
    bool all = list->all < list->all_end, own = list->own < list->own_end;
    if (!all && !own) {
        return NULL;
    }
    return &index->edits[all && (!own || list->all_end[-1] > list->own_end[-1]) ? *--list->all_end : *--list->own_end];
}

/* Rows from `row` on, below `end`, that belong to one sequence: where they end. */
static int32_t same_sequence(const RowTable *table, int32_t row, int32_t end) {
    int32_t last = row + 1;
    while (last < end && table->sequence[last] == table->sequence[row]) {
        last++;
    }
    return last;
}

/* Where an edit of its sequence (the request's) touches one row: its elements there and the values that go with them;
 * NULL: not at all. */
static const float *values_for_row(const Edit *edit, const RowTable *table, int32_t row, int32_t sequence) {
    const SequenceRows *rows = &table->sequences[table->sequence[row]];
    int32_t own = (table->source == NULL ? row : table->source[row]) - rows->row_begin;
    int32_t end = edit->row_end < 0 ? rows->n_rows : edit->row_end;
    if (own < edit->row_begin || own >= end) {
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

void edits_apply(const EditIndex *index, NodeId node, const RowTable *table, int32_t row_begin, int32_t n_rows,
                 int64_t width, float *value) {
    int32_t end = row_begin + n_rows, last;
    for (int32_t first = row_begin; edits_touch(index, node) && first < end; first = last) {
        last = same_sequence(table, first, end);
        int32_t sequence = index->caller[table->sequence[first]];
        EditList list = edits_of(index, node, sequence);
        for (const Edit *edit = next_edit(index, &list); edit != NULL; edit = next_edit(index, &list)) {
            for (int32_t row = first; row < last; row++) {
                const float *values = values_for_row(edit, table, row, sequence);
                if (values != NULL) {
                    change(edit, width, values, value + (row - row_begin) * width);
                }
            }
        }
    }
}

/* One edit's derivative on rows [first, last) of one sequence; grad points at row `first`. */
static void change_gradient(const Edit *edit, const RowTable *table, int32_t sequence, int32_t first, int32_t last,
                            int64_t width, float *grad) {
    static const float zero = 0.0f;
    if (edit->kind == EDIT_ADD) {
        return;
    }
    Edit factor = *edit;
    bool cuts = edit->kind == EDIT_SET;
    factor.kind = EDIT_MULTIPLY;
    factor.scalar = edit->scalar || cuts;
    for (int32_t row = first; row < last; row++) {
        const float *values = values_for_row(edit, table, row, sequence);
        if (values != NULL) {
            change(&factor, width, cuts ? &zero : values, grad + (row - first) * width);
        }
    }
}

void edits_apply_gradient(const EditIndex *index, NodeId node, const RowTable *table, int32_t row_begin, int32_t n_rows,
                          int64_t width, float *grad) {
    int32_t end = row_begin + n_rows, last;
    for (int32_t first = row_begin; edits_touch(index, node) && first < end; first = last) {
        last = same_sequence(table, first, end);
        int32_t sequence = index->caller[table->sequence[first]];
        EditList list = edits_of(index, node, sequence);
        for (const Edit *edit = previous_edit(index, &list); edit != NULL; edit = previous_edit(index, &list)) {
            change_gradient(edit, table, sequence, first, last, width, grad + (first - row_begin) * width);
        }
    }
}
