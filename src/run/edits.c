#include "run/edits.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parallel.h"
#include "run/edit_kinds.h"
#include "run/joins.h"

/* A copy is of a value that is there when it is made, and as wide. */
static limn_status check_source(const Graph *graph, const Edit *edit, const char *site) {
    if (edit->source < 0 || edit->source >= graph->n_nodes) {
        return fail(LIMN_NOT_FOUND, "edit of %s: the site to copy is none of this model", site);
    }
    const GraphNode *source = &graph->nodes[edit->source];
    const char *from = source->site == NULL ? "(unnamed)" : source->site;
    if (edit->source >= edit->node) {
        return fail(LIMN_USAGE, "edit of %s: a copy of %s, which is not computed before it", site, from);
    }
    const RowShape *to = &graph->nodes[edit->node].op.out;
    if (row_shape_width(&source->op.out, 1) != row_shape_width(to, 1) ||
        row_shape_width(&source->op.out, 2) != row_shape_width(to, 2)) {
        return fail(LIMN_USAGE, "edit of %s: a copy of %s, whose rows have %lld elements and not %lld", site, from,
                    (long long)row_shape_width(&source->op.out, 1), (long long)row_shape_width(to, 1));
    }
    return LIMN_OK;
}

/* What the kind of edit needs is there. */
static limn_status check_parts(const Graph *graph, const Edit *edit, const char *site) {
    if (!isfinite(edit->amount)) {
        return fail(LIMN_RANGE, "edit of %s: the amount %g is not finite", site, (double)edit->amount);
    }
    bool whole = true;
    switch (edit_info(edit->kind)->needs) {
    case EDIT_NEEDS_NOTHING:
        break;
    case EDIT_NEEDS_VALUES:
        whole = edit->values != NULL;
        break;
    case EDIT_NEEDS_MAP:
        whole = edit->map != NULL;
        break;
    case EDIT_NEEDS_FACTORS:
        whole = edit->right != NULL && edit->rank > 0;
        break;
    case EDIT_NEEDS_SOURCE:
        return check_source(graph, edit, site);
    }
    return whole ? LIMN_OK
                 : fail(LIMN_INTERNAL, "edit of %s: nothing is given for %s", site, edit_info(edit->kind)->help);
}

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
        is_there = is_there || (has_row && there(&request->sequences[s], joins, edit_first_node(edit)));
    }
    if (edit->row_begin < 0 || !row_found) {
        return fail(LIMN_RANGE, "edit of %s: no row at or after position %d", site, edit->row_begin);
    }
    if (!is_there) {
        return fail(LIMN_USAGE, "edit of %s: its sequence joins the run behind %s, at layer %d", site,
                    edit->kind == EDIT_COPY ? "what it copies" : "that",
                    request->sequences[edit->sequence < 0 ? 0 : edit->sequence].join.layer);
    }
    int64_t width = row_shape_width(&node->op.out, max_keys);
    int64_t end = edit->element_end < 0 ? width : edit->element_end;
    if (edit->element_begin < 0 || edit->element_begin >= end || end > width) {
        return fail(LIMN_RANGE, "edit of %s: elements %lld to %lld of %lld", site, (long long)edit->element_begin,
                    (long long)end, (long long)width);
    }
    return check_parts(graph, edit, site);
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

/* Which rows of one sequence, own row numbers, an edit touches. */
static int32_t row_end_of(const Edit *edit, const SequenceRows *rows) {
    return edit->row_end < 0 || edit->row_end > rows->n_rows ? rows->n_rows : edit->row_end;
}

/* The sequence's own number of a row of a table. */
static int32_t own_row(const RowTable *table, int32_t row) {
    int32_t source = table->source == NULL ? row : table->source[row];
    return source - table->sequences[table->sequence[row]].row_begin;
}

/* One edit on rows [first, last) of one sequence. */
typedef struct Stretch {
    const Edit *edit;
    const EditedRows *rows;
    int32_t sequence; /* the request's */
    int32_t first;
    EditFunction change;
    int64_t n; /* elements of a row */
} Stretch;

static limn_status change_rows(void *context, int64_t begin, int64_t end, int worker) {
    const Stretch *stretch = context;
    const Edit *edit = stretch->edit;
    const EditedRows *rows = stretch->rows;
    for (int64_t i = begin; i < end; i++) {
        int32_t row = stretch->first + (int32_t)i;
        int32_t own = own_row(rows->table, row);
        if (own < edit->row_begin || own >= row_end_of(edit, &rows->table->sequences[rows->table->sequence[row]])) {
            continue;
        }
        int64_t at = (row - rows->row_begin) * rows->width + edit->element_begin;
        EditPart part = {.edit = edit,
                         .x = rows->value + at,
                         .source = rows->source == NULL ? NULL : rows->source + at,
                         .n = stretch->n,
                         .scratch = (double *)rows->scratch + worker * edit_scratch_width(edit, stretch->n)};
        if (edit->values != NULL) {
            int64_t which = edit->sequence < 0 ? stretch->sequence : 0;
            part.values = edit->values + (own - edit->row_begin) * edit->row_stride + which * edit->sequence_stride;
        }
        stretch->change(&part);
    }
    return LIMN_OK;
}

static int64_t elements_of(const Edit *edit, int64_t width) {
    return (edit->element_end < 0 ? width : edit->element_end) - edit->element_begin;
}

static limn_status change_stretch(const Stretch *stretch, const Edit *edit, bool gradient, int32_t last) {
    const EditInfo *info = edit_info(edit->kind);
    Stretch one = *stretch;
    one.edit = edit;
    one.change = gradient ? info->change_gradient : info->change;
    one.n = elements_of(edit, stretch->rows->width);
    int64_t grain = 1 + 65536 / (edit_work(edit, one.n) + 1);
    return parallel_for(stretch->rows->team, last - stretch->first, grain, change_rows, &one);
}

limn_status edits_apply(const EditIndex *index, const EditedRows *rows) {
    int32_t end = rows->row_begin + rows->n_rows, last;
    for (int32_t first = rows->row_begin; edits_touch(index, rows->node) && first < end; first = last) {
        last = same_sequence(rows->table, first, end);
        int32_t sequence = index->caller[rows->table->sequence[first]];
        Stretch stretch = {.rows = rows, .sequence = sequence, .first = first};
        EditList list = edits_of(index, rows->node, sequence);
        for (const Edit *edit = next_edit(index, &list); edit != NULL; edit = next_edit(index, &list)) {
            TRY(change_stretch(&stretch, edit, false, last));
        }
    }
    return LIMN_OK;
}

limn_status edits_apply_gradient(const EditIndex *index, const EditedRows *rows) {
    int32_t end = rows->row_begin + rows->n_rows, last;
    for (int32_t first = rows->row_begin; edits_touch(index, rows->node) && first < end; first = last) {
        last = same_sequence(rows->table, first, end);
        int32_t sequence = index->caller[rows->table->sequence[first]];
        Stretch stretch = {.rows = rows, .sequence = sequence, .first = first};
        EditList list = edits_of(index, rows->node, sequence);
        for (const Edit *edit = previous_edit(index, &list); edit != NULL; edit = previous_edit(index, &list)) {
            TRY(change_stretch(&stretch, edit, true, last));
        }
    }
    return LIMN_OK;
}

size_t edits_scratch_bytes(const Graph *graph, const RunRequest *request, int32_t max_keys, int threads) {
    int64_t most = 0;
    for (int32_t i = 0; i < request->n_edits; i++) {
        const Edit *edit = &request->edits[i];
        int64_t width = row_shape_width(&graph->nodes[edit->node].op.out, max_keys);
        int64_t needed = edit_scratch_width(edit, elements_of(edit, width));
        most = needed > most ? needed : most;
    }
    return (size_t)threads * (size_t)most * sizeof(double);
}
