/* y = W x + c becomes g (W x + s B (A x)) + c, g = 1 but for DoRA: g = m / |W + s B A|, the norms of its rows.
 *
 * Hu et al. 2021 (LoRA), Liu et al. 2024 (DoRA); as PEFT computes them: several adapters act one after the other on
 * the sum so far, DoRA's norm is that of the model's own weight with this adapter's branch alone, and an adapter's
 * weight multiplies s. The output projection of attention has its branch for each head, so that the heads' results
 * still add up to its output: W_h z_h + s B (A_h z_h). */
#include "model/adapters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "graph/rewrite.h"
#include "model/adapter_base.h"
#include "model/adapter_names.h"
#include "model/files.h"

enum { NAMED = 8, ADAPTERS_MAX = 64 };

/* A module with a branch, loaded when the first node reads it. */
typedef struct Branch {
    const AdapterModule *module;
    const char *canonical;
    bool used;
    Weight a;           /* [r, in], of a table its transpose */
    Weight b;           /* [out, r], scaled */
    NodeId input, down; /* the last A x, and of which x */
} Branch;

/* A tensor in the place of the model's own. */
typedef struct Replacement {
    const AdapterTensor *source;
    const char *canonical;
    bool used;
    const struct Replacement *instead; /* of the same adapter, in the place that both go to; NULL: none */
    Weight weight;                     /* as stored, f32 */
} Replacement;

typedef struct Applied {
    const Adapter *adapter;
    double weight;
    Branch *branches;          /* [adapter->n_modules] */
    Replacement *replacements; /* [adapter->n_tensors] */
} Applied;

typedef struct Work {
    Build *build;
    Applied *applied; /* [n_applied] */
    int32_t n_applied;
    const struct Names *tied; /* a head that lies in another tensor; NULL: none */
    WeightChange *changes;
    int32_t n_changes, capacity;
} Work;

static limn_status no_memory(const Build *build) {
    return fail(LIMN_NO_MEMORY, "%s: no memory for its adapters", build->model->path);
}

limn_status adapters_open(Build *build) {
    const ModelOptions *options = build->options;
    ModelFiles *files = build->model->files;
    if (options->n_adapters == 0) {
        return LIMN_OK;
    }
    if (options->frame != FRAME_HF) {
        return fail(LIMN_UNSUPPORTED,
                    "%s: adapters in the frame of TransformerLens are not implemented, expected "
                    "--frame hf",
                    options->adapters[0].path);
    }
    files->adapters = ARENA_ARRAY(&build->model->arena, Adapter *, options->n_adapters);
    if (files->adapters == NULL) {
        return no_memory(build);
    }
    for (int32_t i = 0; i < options->n_adapters; i++) {
        TRY(adapter_open(&files->adapters[i], options->adapters[i].path));
        files->n_adapters++;
    }
    return LIMN_OK;
}

/* --- values --- */

/* Rows in the order the family put those of the module in. */
static limn_status read_in_order(float *values, const Tensor *tensor, const WeightPlace *place) {
    int64_t columns = tensor->rank == 2 ? tensor->shape[1] : 1;
    for (int64_t row = 0; row < tensor->shape[0]; row++) {
        TRY(tensor_read_f32(values + row * columns, tensor, weight_place_row(place, row) * columns, columns));
    }
    return LIMN_OK;
}

/* f32 [rows, columns] (or its transpose), times factor; ordered: rows are outputs of the module at `place`. Not read
 * when only names and shapes are wanted. */
static limn_status load(Work *work, Weight *weight, const Tensor *tensor, bool transposed, double factor,
                        const WeightPlace *ordered) {
    Build *build = work->build;
    int64_t rows = tensor->shape[0], columns = tensor->rank == 2 ? tensor->shape[1] : 1;
    float *values;
    TRY(weights_make(weight, &values, build->weights, transposed ? columns : rows, transposed ? rows : columns,
                     tensor->name));
    if (build->options->config_only) {
        return LIMN_OK;
    }
    float *read = values;
    if (transposed && (read = malloc(((size_t)(rows * columns) + 1) * sizeof *read)) == NULL) {
        return no_memory(build);
    }
    limn_status status = ordered != NULL && ordered->groups != 0 ? read_in_order(read, tensor, ordered)
                                                                 : tensor_read_f32(read, tensor, 0, rows * columns);
    for (int64_t row = 0; transposed && row < rows; row++) {
        for (int64_t column = 0; column < columns; column++) {
            values[column * rows + row] = read[row * columns + column];
        }
    }
    if (transposed) {
        free(read);
    }
    for (int64_t i = 0; factor != 1.0 && i < rows * columns; i++) {
        values[i] = (float)(factor * (double)values[i]);
    }
    return status;
}

static limn_status misfit(const Applied *applied, const Tensor *tensor, const char *expected) {
    char shape[96];
    return fail(LIMN_FORMAT, "%s: tensor %s is %s, expected %s", applied->adapter->tensor_path, tensor->name,
                tensor_shape_text(tensor, shape), expected);
}

/* rows x columns of the module: what A and B must fit. */
static limn_status load_branch(Work *work, const Applied *applied, Branch *branch, const WeightPlace *place) {
    const AdapterModule *module = branch->module;
    int64_t rows = place->rows, columns = place->columns;
    bool table = module->embedding;
    int64_t in = table ? rows : columns, out = table ? columns : rows;
    char expected[128];
    if (module->a->shape[1] != in) {
        snprintf(expected, sizeof expected, "[%lld, %lld] beside a weight of [%lld, %lld]", (long long)module->rank,
                 (long long)in, (long long)rows, (long long)columns);
        return misfit(applied, module->a, expected);
    }
    if (module->b->shape[0] != out) {
        snprintf(expected, sizeof expected, "[%lld, %lld] beside a weight of [%lld, %lld]", (long long)out,
                 (long long)module->rank, (long long)rows, (long long)columns);
        return misfit(applied, module->b, expected);
    }
    if (branch->used) {
        return LIMN_OK;
    }
    double factor = module->scaling * applied->weight;
    if (!(fabs(factor) <= 1e30)) {
        return fail(LIMN_FORMAT,
                    "%s: \"lora_alpha\" and the adapter's weight scale the branch of %s by %g, expected a "
                    "number of ordinary size",
                    applied->adapter->config_path, module->name, factor);
    }
    branch->used = true;
    TRY(load(work, &branch->a, module->a, table, 1.0, NULL));
    return load(work, &branch->b, module->b, false, factor, table ? NULL : place);
}

/* --- DoRA --- */

typedef struct Norms {
    const Weight *weight; /* [out, in] */
    const float *a;       /* [r, in] */
    const float *b;       /* [out, r], rows of this weight */
    int64_t rank;
    const Tensor *magnitude;
    const WeightPlace *place;
    float *gain; /* [out] */
    float *rows; /* [threads, in] */
} Norms;

static limn_status norm_rows(void *context, int64_t begin, int64_t end, int worker) {
    const Norms *norms = context;
    int64_t n = norms->weight->columns;
    float *row = norms->rows + worker * n;
    for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < n; j++) {
            row[j] = weight_value(norms->weight, i, j);
        }
        for (int64_t k = 0; k < norms->rank; k++) {
            float b = norms->b[i * norms->rank + k];
            const float *a = norms->a + k * n;
            for (int64_t j = 0; j < n; j++) {
                row[j] += b * a[j];
            }
        }
        double sum = 0;
        for (int64_t j = 0; j < n; j++) {
            sum += (double)row[j] * (double)row[j];
        }
        float magnitude;
        TRY(tensor_read_f32(&magnitude, norms->magnitude, weight_place_row(norms->place, norms->place->first_row + i),
                            1));
        norms->gain[i] = (float)((double)magnitude / sqrt(sum));
    }
    return LIMN_OK;
}

/* gain: [rows of the view, 1]. */
static limn_status load_gain(Work *work, const Applied *applied, const Branch *branch, const Weight *weight,
                             const Weight *b, const WeightPlace *place, Weight *gain) {
    Build *build = work->build;
    float *values;
    TRY(weights_make(gain, &values, build->weights, weight->rows, 1, branch->module->magnitude->name));
    if (build->options->config_only) {
        return LIMN_OK;
    }
    Norms norms = {.weight = weight,
                   .a = branch->a.data,
                   .b = b->data,
                   .rank = branch->module->rank,
                   .magnitude = branch->module->magnitude,
                   .place = place,
                   .gain = values,
                   .rows = malloc((size_t)(weight->columns * team_threads(build->team) + 1) * sizeof(float))};
    if (norms.rows == NULL) {
        return no_memory(build);
    }
    limn_status status = parallel_for(build->team, weight->rows, 16, norm_rows, &norms);
    free(norms.rows);
    TRY(status);
    for (int64_t i = 0; i < weight->rows; i++) {
        if (!isfinite(values[i])) {
            return fail(LIMN_FORMAT, "%s: row %lld of %s beside the adapter has no length, expected one above 0",
                        applied->adapter->tensor_path, (long long)weight_place_row(place, place->first_row + i),
                        branch->module->name);
        }
    }
    return LIMN_OK;
}

/* --- the graph --- */

/* Where a weight lies in its module. */
static bool locate(const Work *work, WeightPlace *place, const Weight *weight) {
    if (!weights_locate(place, work->build->weights, weight)) {
        return false;
    }
    if (adapter_is_grouped(work->build, place->tensor->name)) {
        const ModelConfig *config = &work->build->model->config;
        place->groups = config->n_kv_heads;
        place->share = config->n_heads / config->n_kv_heads;
        place->d_head = config->d_head;
    }
    return true;
}

static limn_status note_change(Work *work, const WeightChange *change) {
    if (work->n_changes == work->capacity) {
        int32_t capacity = work->capacity == 0 ? 256 : 2 * work->capacity;
        WeightChange *grown = realloc(work->changes, (size_t)capacity * sizeof *grown);
        if (grown == NULL) {
            return no_memory(work->build);
        }
        work->changes = grown;
        work->capacity = capacity;
    }
    work->changes[work->n_changes++] = *change;
    return LIMN_OK;
}

static limn_status name_branch(Graph *graph, NodeId branch, const char *site, int32_t adapter) {
    char name[256];
    int length = adapter == 0 ? snprintf(name, sizeof name, "%s_lora", site)
                              : snprintf(name, sizeof name, "%s_lora%d", site, adapter + 1);
    if (length < 0 || (size_t)length >= sizeof name) {
        return fail(LIMN_FORMAT, "site %.100s: its name is too long", site);
    }
    graph_site(graph, branch, name, -1);
    return LIMN_OK;
}

/* B once for each head, side by side: [out, H r]. */
static limn_status tile(Work *work, Weight *tiled, const Weight *b, int64_t heads) {
    float *values;
    int64_t rank = b->columns;
    TRY(weights_make(tiled, &values, work->build->weights, b->rows, heads * rank, b->name));
    for (int64_t row = 0; row < b->rows; row++) {
        for (int64_t head = 0; head < heads; head++) {
            memcpy(values + (row * heads + head) * rank, (const float *)b->data + row * rank,
                   (size_t)rank * sizeof(float));
        }
    }
    return LIMN_OK;
}

/* A x, shared by the views of one module. */
static NodeId add_down(Graph *graph, const Op *op, NodeId input, Branch *branch) {
    if (branch->input == input && branch->down != NODE_NONE && !op_is_table(op->kind)) {
        return branch->down;
    }
    branch->input = input;
    branch->down = graph_add(graph, op->kind, op->layer, &input, (Weight[]){branch->a, {0}}, &op->attributes,
                             branch->module->name);
    return branch->down;
}

/* One module's branch at one node. */
static limn_status add_branch(Work *work, Graph *graph, const Op *op, NodeId input, Branch *branch, const Weight *b,
                              NodeId *added) {
    NodeId down = add_down(graph, op, input, branch);
    if (op->kind == OP_HEAD_LINEAR) {
        Weight tiled;
        TRY(tile(work, &tiled, b, op->in[0].dims[0]));
        *added = graph_add(graph, OP_HEAD_LINEAR, op->layer, &down, &tiled, NULL, branch->module->name);
        return LIMN_OK;
    }
    *added = graph_add(graph, OP_LINEAR, op->layer, &down, (Weight[]){*b, {0}}, NULL, branch->module->name);
    graph_reshape(graph, *added, op->out.n_dims, op->out.dims[0], op->out.dims[1]);
    return LIMN_OK;
}

/* A node's adapters, found by the name of its weight. */
typedef struct Found {
    Branch *branch;
    int32_t adapter;
} Found;

static limn_status find_branches(Work *work, const char *tensor, Found *found, int32_t *n) {
    *n = 0;
    char *canonical = adapter_tensor_name(work->build, tensor);
    if (canonical == NULL) {
        return no_memory(work->build);
    }
    for (int32_t i = 0; i < work->n_applied; i++) {
        Applied *applied = &work->applied[i];
        for (int32_t k = 0; k < applied->adapter->n_modules; k++) {
            if (strcmp(applied->branches[k].canonical, canonical) == 0) {
                found[(*n)++] = (Found){&applied->branches[k], i};
                break;
            }
        }
    }
    return LIMN_OK;
}

static limn_status check_kind(const Applied *applied, const Branch *branch, OpKind kind) {
    const AdapterModule *module = branch->module;
    if (module->embedding != op_is_table(kind)) {
        return fail(LIMN_FORMAT, "%s: tensor %s is %s, but %s is %s", applied->adapter->tensor_path, module->a->name,
                    module->embedding ? "that of a table" : "that of a linear map", module->name,
                    op_is_table(kind) ? "a table" : "a linear map");
    }
    if (module->embedding || kind == OP_LINEAR || kind == OP_HEAD_LINEAR) {
        return LIMN_OK;
    }
    return fail(LIMN_UNSUPPORTED, "%s: tensor %s: a branch beside %s (%s) is not implemented",
                applied->adapter->tensor_path, module->a->name, module->name, op_info(kind)->name);
}

/* What the whole of one adapter does at a node, on top of *sum. bias: added with the last gain, else absent. */
static limn_status apply_one(Work *work, Graph *graph, const Op *op, NodeId input, const WeightPlace *place,
                             const Found *found, const Weight *bias, const char *site, NodeId *sum, NodeId node) {
    Applied *applied = &work->applied[found->adapter];
    Branch *branch = found->branch;
    TRY(check_kind(applied, branch, op->kind));
    TRY(load_branch(work, applied, branch, place));
    Weight b = op_is_table(op->kind) ? branch->b : weight_rows(&branch->b, place->first_row, op->weights[0].rows);
    NodeId added;
    TRY(add_branch(work, graph, op, input, branch, &b, &added));
    TRY(name_branch(graph, added, site != NULL ? site : branch->module->name, found->adapter));
    *sum = graph_add(graph, OP_ADD, op->layer, (NodeId[]){*sum, added}, NULL, NULL, branch->module->name);
    WeightChange change = {.node = node, .adapter = found->adapter, .before = op->weights[0], .a = branch->a, .b = b};
    if (branch->module->magnitude != NULL) {
        Weight gain;
        TRY(load_gain(work, applied, branch, &op->weights[0], &b, place, &gain));
        *sum = graph_add(graph, OP_GAIN, op->layer, sum, (Weight[]){gain, *bias}, NULL, branch->module->name);
        change.gain = gain.data;
    }
    return note_change(work, &change);
}

/* The branches of all adapters at one node. place: of its weight; NULL: it is no view of a stored tensor. */
static limn_status apply_branches(Work *work, Graph *graph, const WeightPlace *place, NodeId *node, const char *site) {
    Op op = graph->nodes[*node].op;
    Found found[ADAPTERS_MAX];
    int32_t n, last_gain = -1;
    TRY(find_branches(work, op.weights[0].name, found, &n));
    if (n == 0) {
        return LIMN_OK;
    }
    if (place == NULL) {
        return fail(LIMN_UNSUPPORTED,
                    "%s: tensor %s: %s is rearranged when the model is opened; an adapter on it is not implemented",
                    work->applied[found[0].adapter].adapter->tensor_path, found[0].branch->module->a->name,
                    op.weights[0].name);
    }
    for (int32_t i = 0; i < n; i++) {
        last_gain = found[i].branch->module->magnitude != NULL ? i : last_gain;
    }
    NodeId base = *node, sum = base, input = graph->nodes[base].inputs[0];
    Weight bias = {0}, none = {0};
    if (op.kind == OP_LINEAR) {
        graph->nodes[base].op.out = (RowShape){1, {op.weights[0].rows, 1}};
        if (last_gain >= 0) { /* DoRA's gain leaves the bias alone */
            bias = op.weights[1];
            graph->nodes[base].op.weights[1] = none;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        TRY(apply_one(work, graph, &op, input, place, &found[i], i == last_gain ? &bias : &none, site, &sum, base));
    }
    graph_reshape(graph, sum, op.out.n_dims, op.out.dims[0], op.out.dims[1]);
    *node = sum;
    return LIMN_OK;
}

/* --- tensors in the place of the model's own --- */

static limn_status replace(Work *work, Op *op, int slot, NodeId node, int32_t adapter, Replacement *replacement,
                           const WeightPlace *place) {
    const Tensor *tensor = replacement->source->tensor;
    const Tensor *stored = place->tensor;
    if (work->build->settings->gguf != NULL && tensor->rank == 1) { /* some files hold 1 + the gain */
        return fail(LIMN_UNSUPPORTED, "%s: tensor %s: a vector in the place of one of a GGUF file is not implemented",
                    work->applied[adapter].adapter->tensor_path, tensor->name);
    }
    bool same = tensor->rank == stored->rank;
    for (int i = 0; same && i < tensor->rank; i++) {
        same = tensor->shape[i] == stored->shape[i];
    }
    if (!same) {
        char expected[96];
        return misfit(&work->applied[adapter], tensor, tensor_shape_text(stored, expected));
    }
    if (!replacement->used) {
        replacement->used = true;
        TRY(load(work, &replacement->weight, tensor, false, 1.0, place));
    }
    Weight whole = replacement->weight, before = op->weights[slot];
    whole = place->transposed ? weight_transposed(&whole) : whole;
    op->weights[slot] = weight_rows(&whole, place->first_row, before.rows);
    op->weights[slot].name = before.name;
    return note_change(
        work,
        &(WeightChange){.node = node, .slot = slot, .adapter = adapter, .before = before, .after = op->weights[slot]});
}

/* A weight's own name, and that of the tensor where it lies: they differ for a head that is tied to the embedding. */
typedef struct Names {
    const char *own, *stored;
} Names;

static limn_status name_weight(Names *names, bool *located, WeightPlace *place, const Work *work,
                               const Weight *weight) {
    names->own = adapter_tensor_name(work->build, weight->name);
    *located = locate(work, place, weight);
    names->stored = *located ? adapter_tensor_name(work->build, place->tensor->name) : names->own;
    return names->own != NULL && names->stored != NULL ? LIMN_OK : no_memory(work->build);
}

/* The adapter's tensor of this name; whole: a trained copy of a module is none. NULL: it has none. */
static Replacement *replacement_named(const Applied *applied, const char *name, bool whole) {
    for (int32_t k = 0; k < applied->adapter->n_tensors; k++) {
        Replacement *replacement = &applied->replacements[k];
        if (strcmp(replacement->canonical, name) == 0 && replacement->instead == NULL &&
            !(whole && replacement->source->module_to_save)) {
            return replacement;
        }
    }
    return NULL;
}

/* The adapter's tensor for a weight; NULL: it has none. What is tied to a trained copy keeps its own weights. A changed
 * tensor changes what is tied to it: of an adapter that holds both names of a tied pair PEFT loads one after the other
 * into the one matrix, so that the head's, which comes last, counts for both. */
static Replacement *find_replacement(const Work *work, const Applied *applied, const Names *names) {
    Replacement *own = replacement_named(applied, names->own, false);
    bool tied = work->tied != NULL && strcmp(names->stored, work->tied->stored) == 0;
    Replacement *head = tied ? replacement_named(applied, work->tied->own, true) : NULL;
    if (own != NULL && own->source->module_to_save) {
        return own;
    }
    if (head != NULL && own != NULL && head != own) {
        own->instead = head;
    }
    return head != NULL ? head : own != NULL ? own : replacement_named(applied, names->stored, true);
}

static limn_status replace_weight(Work *work, Op *op, int slot, NodeId node) {
    Names names;
    WeightPlace place;
    bool located;
    int32_t by = -1;
    TRY(name_weight(&names, &located, &place, work, &op->weights[slot]));
    for (int32_t i = 0; i < work->n_applied; i++) {
        Applied *applied = &work->applied[i];
        Replacement *replacement = find_replacement(work, applied, &names);
        if (replacement == NULL) {
            continue;
        }
        if (!located || by >= 0) {
            return fail(LIMN_UNSUPPORTED, "%s: tensor %s: %s is %s, which is not implemented",
                        applied->adapter->tensor_path, replacement->source->tensor->name, op->weights[slot].name,
                        located ? "replaced by two adapters" : "rearranged when the model is opened");
        }
        TRY(replace(work, op, slot, node, i, replacement, &place));
        by = i;
    }
    return LIMN_OK;
}

static limn_status replace_weights(Work *work, Graph *graph, NodeId node) {
    Op *op = &graph->nodes[node].op;
    for (int slot = 0; slot < OP_MAX_WEIGHTS; slot++) {
        if (op->weights[slot].name != NULL) {
            TRY(replace_weight(work, op, slot, node));
        }
    }
    return LIMN_OK;
}

/* The head that lies in the embedding's tensor, when there is one. */
static limn_status find_tied(Work *work) {
    const Graph *graph = &work->build->model->graph;
    for (NodeId node = 0; node < graph->n_nodes && work->tied == NULL; node++) {
        const Weight *weight = &graph->nodes[node].op.weights[0];
        Names names;
        WeightPlace place;
        bool located;
        if (weight->name == NULL) {
            continue;
        }
        TRY(name_weight(&names, &located, &place, work, weight));
        if (strcmp(names.own, names.stored) != 0) {
            Names *kept = ARENA_NEW(&work->build->model->arena, Names);
            if (kept == NULL) {
                return no_memory(work->build);
            }
            *kept = names;
            work->tied = kept;
        }
    }
    return LIMN_OK;
}

static limn_status visit(void *context, Graph *graph, NodeId *node, const char *site) {
    Work *work = context;
    Weight first = graph->nodes[*node].op.weights[0];
    WeightPlace place;
    bool located = locate(work, &place, &first);
    TRY(replace_weights(work, graph, *node));
    return first.name == NULL ? LIMN_OK : apply_branches(work, graph, located ? &place : NULL, node, site);
}

/* --- before and after --- */

static limn_status prepare(Work *work, Applied *applied, const Adapter *adapter, double weight) {
    Build *build = work->build;
    Arena *arena = &build->model->arena;
    *applied = (Applied){.adapter = adapter, .weight = weight};
    applied->branches = ARENA_ARRAY(arena, Branch, adapter->n_modules + 1);
    applied->replacements = ARENA_ARRAY(arena, Replacement, adapter->n_tensors + 1);
    if (applied->branches == NULL || applied->replacements == NULL) {
        return no_memory(build);
    }
    for (int32_t i = 0; i < adapter->n_modules; i++) {
        const AdapterModule *module = &adapter->modules[i];
        const char *tensor = arena_printf(arena, "%s.weight", module->name);
        if (tensor == NULL) {
            return no_memory(build);
        }
        applied->branches[i] = (Branch){
            .module = module, .canonical = adapter_without_prefix(tensor), .input = NODE_NONE, .down = NODE_NONE};
    }
    for (int32_t i = 0; i < adapter->n_tensors; i++) {
        const AdapterTensor *source = &adapter->tensors[i];
        applied->replacements[i] = (Replacement){.source = source, .canonical = adapter_without_prefix(source->name)};
        /* one place by two names: the inner module's is loaded last, and its name comes later */
        for (int32_t k = 0; k < i; k++) {
            Replacement *one = &applied->replacements[k], *two = &applied->replacements[i];
            if (strcmp(one->canonical, two->canonical) == 0) {
                bool later = strcmp(one->source->name, two->source->name) < 0;
                (later ? one : two)->instead = later ? two : one;
            }
        }
    }
    return LIMN_OK;
}

static limn_status unknown_tensor(const Build *build, const Adapter *adapter, const Tensor *tensor, const char *what) {
    return fail(LIMN_FORMAT, "%s: tensor %s: %s has no %s of this name", adapter->tensor_path, tensor->name,
                build->architecture, what);
}

/* One of two tensors for one place is not used: no word when they are equal. */
static limn_status warn_of_two(const Work *work, const Applied *applied, const Replacement *replacement) {
    const Tensor *tensor = replacement->source->tensor, *last = replacement->instead->source->tensor;
    bool same = last->dtype == tensor->dtype && last->bytes == tensor->bytes &&
                memcmp(last->data, tensor->data, tensor->bytes) == 0;
    return same ? LIMN_OK
                : build_warn(work->build,
                             "%s: tensors %s and %s differ, and the model has one place for both: the second counts, "
                             "as in PEFT",
                             applied->adapter->tensor_path, tensor->name, last->name);
}

static limn_status finish(Work *work, const Applied *applied, ModelAdapter *shown) {
    Build *build = work->build;
    const Adapter *adapter = applied->adapter;
    *shown = (ModelAdapter){.path = adapter->path,
                            .base_model = adapter->base_model,
                            .base = adapter_base_compare(build, adapter->base_model),
                            .weight = applied->weight,
                            .rank = adapter->rank,
                            .alpha = adapter->alpha,
                            .rank_stabilised = adapter->rank_stabilised,
                            .dora = adapter->dora,
                            .n_modules = adapter->n_modules,
                            .n_tensors = adapter->n_tensors};
    for (int32_t i = 0; i < adapter->n_modules; i++) {
        const AdapterModule *module = &adapter->modules[i];
        if (!applied->branches[i].used) {
            return unknown_tensor(build, adapter, module->a, "linear map or table");
        }
        shown->n_parameters += tensor_elements(module->a) + tensor_elements(module->b) +
                               (module->magnitude != NULL ? tensor_elements(module->magnitude) : 0);
    }
    for (int32_t i = 0; i < adapter->n_tensors; i++) {
        const Replacement *replacement = &applied->replacements[i];
        if (!replacement->used && replacement->instead == NULL) {
            return unknown_tensor(build, adapter, adapter->tensors[i].tensor, "tensor");
        }
        TRY(replacement->used ? LIMN_OK : warn_of_two(work, applied, replacement));
        shown->n_parameters += tensor_elements(adapter->tensors[i].tensor);
    }
    if (shown->base == ADAPTER_BASE_OTHER) {
        TRY(build_warn(
            build,
            "%s: was made for '%.100s', but this model is called '%.100s': where it is another one, what they "
            "say together means nothing",
            adapter->path, adapter->base_model, build->model->name));
    }
    if (adapter->n_tensors > 0 && applied->weight != 1.0) {
        TRY(build_warn(build,
                       "%s: %d tensors take the place of the model's own whole: the weight %g scales the branches "
                       "only",
                       adapter->path, adapter->n_tensors, applied->weight));
    }
    for (int32_t i = 0; i < adapter->n_ignored && i < NAMED; i++) {
        TRY(build_warn(build, "%s: tensor %s is not read: adapter_config.json does not choose its module",
                       adapter->tensor_path, adapter->ignored[i]->name));
    }
    return adapter->n_ignored <= NAMED ? LIMN_OK
                                       : build_warn(build, "%s: %d more tensors are not read", adapter->tensor_path,
                                                    adapter->n_ignored - NAMED);
}

static limn_status apply(Work *work) {
    Build *build = work->build;
    Model *model = build->model;
    for (int32_t i = 0; i < work->n_applied; i++) {
        TRY(prepare(work, &work->applied[i], model->files->adapters[i], build->options->adapters[i].weight));
    }
    TRY(find_tied(work));
    TRY(graph_rewrite(&model->graph, visit, work));
    ModelAdapter *shown = ARENA_ARRAY(&model->arena, ModelAdapter, work->n_applied);
    WeightChange *changes = ARENA_ARRAY(&model->arena, WeightChange, work->n_changes + 1);
    if (shown == NULL || changes == NULL) {
        return no_memory(build);
    }
    for (int32_t i = 0; i < work->n_applied; i++) {
        TRY(finish(work, &work->applied[i], &shown[i]));
    }
    if (work->n_changes > 0) {
        memcpy(changes, work->changes, (size_t)work->n_changes * sizeof *changes);
    }
    model->adapters = shown;
    model->n_adapters = work->n_applied;
    model->changes = changes;
    model->n_changes = work->n_changes;
    return LIMN_OK;
}

limn_status adapters_apply(Build *build) {
    Model *model = build->model;
    int32_t n = model->files->n_adapters;
    if (n == 0) {
        return LIMN_OK;
    }
    if (n > ADAPTERS_MAX) {
        return fail(LIMN_UNSUPPORTED, "%s: %d adapters at once, expected %d or fewer", model->path, n, ADAPTERS_MAX);
    }
    Work work = {.build = build, .applied = ARENA_ARRAY(&model->arena, Applied, n), .n_applied = n};
    limn_status status = work.applied != NULL ? apply(&work) : no_memory(build);
    free(work.changes);
    return status;
}
