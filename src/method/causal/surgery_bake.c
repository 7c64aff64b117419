/* Edits as changes of weights: what an edit does to a value is done to the weight that makes it, or to those that read
 * it, so that the folder's own program computes the same.
 *
 *     y = W x + b    elements of y times c: rows of W and b; y - left (right y): the same of W's columns and b
 *     f(x), z        elements times c where only linear maps read them: columns of those
 *     g * x          elements times c: of g
 *     a layer's output as its input: its sums add 0, so what they add is times 0
 *
 * A value that becomes another one (a mean, a constant, a copy of something else) has no such weight: refused. */
#include <string.h>

#include "method/causal/surgery.h"
#include "model/bake.h"

enum { CHANGES_MAX = 4096 };

typedef struct Baker {
    const Surgery *surgery;
    const Graph *graph;  /* of the model without adapters */
    BakeChange *changes; /* [n] */
    int32_t n;
} Baker;

static limn_status refuse(const SiteEdit *edit, const char *why) {
    return fail(LIMN_USAGE, "option 'bake': the edit %s=%s: %s; --save-edit keeps any edit", edit->site, edit->value,
                why);
}

static limn_status add(Baker *baker, const BakeChange *change) {
    if (change->weight->data == NULL) {
        return LIMN_OK; /* there is no bias */
    }
    if (baker->n == CHANGES_MAX) {
        return fail(LIMN_USAGE, "option 'bake': more than %d weights would change", CHANGES_MAX);
    }
    baker->changes[baker->n++] = *change;
    return LIMN_OK;
}

/* What an edit does to elements [begin, end) of each row. */
typedef struct Part {
    const SiteEdit *edit;
    int64_t begin, end;
    float factor;
} Part;

/* ---- where a value comes from ---- */

static limn_status change_outputs(Baker *baker, NodeId node, const Part *part, bool project) {
    const GraphNode *made = &baker->graph->nodes[node];
    const SiteEdit *edit = part->edit;
    BakeChange change = {.kind = project ? BAKE_PROJECT : BAKE_OUTPUTS,
                         .begin = part->begin,
                         .end = part->end,
                         .factor = part->factor,
                         .left = edit->left,
                         .right = edit->right,
                         .rank = edit->rank};
    if (made->op.kind == OP_LINEAR) {
        change.weight = &made->op.weights[0];
        TRY(add(baker, &change));
        change.weight = &made->op.weights[1];
        return add(baker, &change);
    }
    if (made->op.kind == OP_SUM_HEADS) {
        change.weight = &baker->graph->nodes[made->inputs[0]].op.weights[0];
        TRY(add(baker, &change));
        change.weight = &made->op.weights[0];
        return add(baker, &change);
    }
    if (made->op.kind == OP_GAIN && !project) {
        change.kind = BAKE_GAIN;
        change.plus_one = made->op.attributes.gain_plus_one;
        change.weight = &made->op.weights[0];
        TRY(add(baker, &change));
        change.plus_one = false;
        change.weight = &made->op.weights[1];
        return add(baker, &change);
    }
    return refuse(edit, "no weight makes this value alone");
}

static bool makes(OpKind kind, bool project) {
    return kind == OP_LINEAR || kind == OP_SUM_HEADS || (kind == OP_GAIN && !project);
}

/* Everything that reads the value is a linear map of it. */
static limn_status change_readers(Baker *baker, NodeId node, const Part *part) {
    const Graph *graph = baker->graph;
    int32_t readers = 0;
    for (NodeId reader = node + 1; reader < graph->n_nodes; reader++) {
        const GraphNode *one = &graph->nodes[reader];
        bool reads = false;
        for (int i = 0; i < op_info(one->op.kind)->n_inputs; i++) {
            reads = reads || one->inputs[i] == node;
        }
        if (!reads) {
            continue;
        }
        if (one->op.kind != OP_LINEAR && one->op.kind != OP_HEAD_LINEAR) {
            return refuse(part->edit, "more than linear maps read this value");
        }
        readers++;
        TRY(add(baker, &(BakeChange){.kind = BAKE_INPUTS,
                                     .weight = &one->op.weights[0],
                                     .begin = part->begin,
                                     .end = part->end,
                                     .factor = part->factor}));
    }
    return readers > 0 ? LIMN_OK : refuse(part->edit, "nothing reads this value");
}

/* ---- a layer as identity ---- */

/* What the sums between a layer's input and its output add, each times 0. *found: the input is among them. */
static limn_status drop_terms(Baker *baker, NodeId node, NodeId input, const Part *part, bool *found) {
    const GraphNode *sum = &baker->graph->nodes[node];
    if (node == input) {
        *found = true;
        return LIMN_OK;
    }
    if (sum->op.kind != OP_ADD) {
        return makes(sum->op.kind, false) ? change_outputs(baker, node, part, false)
                                          : refuse(part->edit, "no weight makes what the layer adds");
    }
    for (int i = 0; i < 2; i++) {
        TRY(drop_terms(baker, sum->inputs[i], input, part, found));
    }
    return LIMN_OK;
}

static limn_status bake_copy(Baker *baker, const SiteEdit *edit, NodeId node) {
    const Graph *graph = baker->graph;
    const char *source = baker->surgery->model->graph.nodes[edit->source].site;
    NodeId input = source != NULL ? graph_find_site(graph, source) : NODE_NONE;
    const Part nothing = {.edit = edit, .begin = 0, .end = INT64_MAX, .factor = 0};
    bool found = false;
    if (edit->head != EDIT_ALL || edit->neuron != EDIT_ALL || graph->nodes[node].op.kind != OP_ADD ||
        input == NODE_NONE) {
        return refuse(edit, "only a layer's output can become its input");
    }
    TRY(drop_terms(baker, node, input, &nothing, &found));
    return found ? LIMN_OK : refuse(edit, "what is copied is no part of this sum");
}

/* ---- one edit ---- */

static void find_part(Part *part, const SiteEdit *edit) {
    int64_t width = row_shape_width(edit->shape, 0), head = edit->shape->dims[edit->shape->n_dims - 1];
    *part = (Part){.edit = edit, .begin = 0, .end = width};
    if (edit->head != EDIT_ALL) {
        part->begin = edit->head * head + (edit->neuron != EDIT_ALL ? edit->neuron : 0);
        part->end = edit->neuron != EDIT_ALL ? part->begin + 1 : part->begin + head;
    } else if (edit->neuron != EDIT_ALL) {
        part->begin = edit->neuron;
        part->end = edit->neuron + 1;
    }
}

static limn_status bake_part(Baker *baker, NodeId node, const Part *part) {
    OpKind kind = baker->graph->nodes[node].op.kind;
    return makes(kind, false) ? change_outputs(baker, node, part, false) : change_readers(baker, node, part);
}

static limn_status bake_factor(Baker *baker, const SiteEdit *edit, NodeId node) {
    Part part;
    find_part(&part, edit);
    bool zero = edit->change == EDIT_SET && edit->scalar && edit->number == 0;
    bool times = edit->change == EDIT_MULTIPLY && edit->scalar;
    if (!zero && !times) {
        return refuse(edit, "no weight holds such a value");
    }
    part.factor = zero ? 0 : edit->number;
    int64_t heads = edit->shape->n_dims == 2 ? edit->shape->dims[0] : 1, head = edit->shape->dims[1];
    if (heads == 1 || edit->head != EDIT_ALL || edit->neuron == EDIT_ALL) {
        return bake_part(baker, node, &part);
    }
    for (int64_t h = 0; h < heads; h++) { /* one element of every head */
        Part one = part;
        one.begin += h * head;
        one.end += h * head;
        TRY(bake_part(baker, node, &one));
    }
    return LIMN_OK;
}

static limn_status bake_edit(Baker *baker, const SiteEdit *edit) {
    NodeId node = graph_find_site(baker->graph, edit->site);
    if (node == NODE_NONE) {
        return refuse(edit, "the site is an adapter's, which is merged");
    }
    if (edit->change == EDIT_COPY) {
        return bake_copy(baker, edit, node);
    }
    if (edit->change == EDIT_PROJECT) {
        Part part;
        find_part(&part, edit);
        bool whole = edit->head == EDIT_ALL && !edit->map_per_head && edit->values == NULL;
        return whole ? change_outputs(baker, node, &part, true)
                     : refuse(edit, "only directions of a whole row can be baked");
    }
    return bake_factor(baker, edit, node);
}

limn_status surgery_bake(const Surgery *surgery, bool write) {
    const char *folder = surgery->params->bake.bytes;
    const Model *model = surgery->model;
    Baker baker = {.surgery = surgery,
                   .graph = model->base != NULL ? &model->base->graph : &model->graph,
                   .changes = ARENA_ARRAY(surgery->call->arena, BakeChange, CHANGES_MAX)};
    if (baker.changes == NULL) {
        return method_no_memory(surgery->call);
    }
    for (int32_t i = 0; i < surgery->plan.n; i++) {
        TRY(bake_edit(&baker, &surgery->plan.items[i]));
    }
    return !write ? LIMN_OK : model_bake(surgery->call->described, folder, baker.changes, baker.n, surgery->call->team);
}
