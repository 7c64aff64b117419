/* The runs of `limn causal-grad`: values of both prompts, and gradient passes whose gradients are reduced as they
 * appear. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/distribution.h"
#include "method/causal/causal_grad.h"

enum { ROWS_PER_RUN = 256 };

const char *causal_family_name(CausalFamily family) {
    static const char *const names[] = {"resid", "mlp", "head", "query", "key", "value", "neuron"};
    return names[family];
}

/* ---- sites ---- */

static NodeId layer_site(const CausalGrad *work, int32_t layer, const char *hook) {
    char name[96];
    snprintf(name, sizeof name, "blocks.%d.%s", (int)layer, hook);
    return graph_find_site(&work->model->graph, name);
}

/* A site whose columns are its rows, or groups of `unit` elements. */
static void add_node(CausalGrad *work, NodeId node, CausalFamily family, int32_t layer, int32_t column, int64_t unit,
                     const char *name) {
    if (node == NODE_NONE) {
        return;
    }
    int64_t width = row_shape_width(&work->model->graph.nodes[node].op.out, work->n_rows);
    work->place[node] = work->n_nodes;
    work->sites[work->n_nodes] = node;
    work->nodes[work->n_nodes++] = (CausalNode){
        .node = node, .family = family, .layer = layer, .column = column, .width = width, .unit = unit, .name = name};
    int32_t columns = unit == 0 ? work->n_rows : column + (int32_t)(width / unit);
    work->columns[family] = (int32_t)larger(work->columns[family], columns);
}

static void add_heads(CausalGrad *work, int32_t layer, NodeId z) {
    const GraphNode *nodes = work->model->graph.nodes;
    if (z == NODE_NONE || nodes[z].op.kind != OP_ATTENTION_MIX) {
        return;
    }
    NodeId scores = nodes[nodes[z].inputs[0]].inputs[0];
    int64_t d_head = nodes[z].op.out.dims[1];
    add_node(work, z, FAMILY_HEAD, layer, 0, d_head, NULL);
    add_node(work, nodes[scores].inputs[0], FAMILY_QUERY, layer, 0, d_head, NULL);
    add_node(work, nodes[scores].inputs[1], FAMILY_KEY, layer, 0, d_head, NULL);
    add_node(work, nodes[z].inputs[1], FAMILY_VALUE, layer, 0, d_head, NULL);
}

static void add_neurons(CausalGrad *work, int32_t layer) {
    static const char *const hooks[] = {"mlp.hook_post", "mlp.experts.hook_post", "mlp.shared_expert.hook_post"};
    int32_t column = 0;
    for (size_t i = 0; i < sizeof hooks / sizeof hooks[0]; i++) {
        NodeId node = layer_site(work, layer, hooks[i]);
        add_node(work, node, FAMILY_NEURON, layer, column, 1, hooks[i]);
        column += node == NODE_NONE ? 0 : (int32_t)work->nodes[work->n_nodes - 1].width;
    }
}

static limn_status find_sites(CausalGrad *work) {
    const Graph *graph = &work->model->graph;
    Arena *arena = work->call->arena;
    work->nodes = ARENA_ARRAY(arena, CausalNode, (int64_t)work->n_layers * (FAMILIES + 2) + 1);
    work->sites = ARENA_ARRAY(arena, NodeId, (int64_t)work->n_layers * (FAMILIES + 2) + 1);
    work->place = ARENA_ARRAY(arena, int32_t, graph->n_nodes + 1);
    if (work->nodes == NULL || work->sites == NULL || work->place == NULL) {
        return method_no_memory(work->call);
    }
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        work->place[node] = -1;
    }
    for (int32_t layer = 0; layer < work->n_layers; layer++) {
        add_node(work, layer_site(work, layer, "hook_resid_pre"), FAMILY_RESID, layer, 0, 0, NULL);
        add_heads(work, layer, layer_site(work, layer, "attn.hook_z"));
        add_neurons(work, layer);
        add_node(work, layer_site(work, layer, "hook_mlp_out"), FAMILY_MLP, layer, 0, 0, NULL);
    }
    return LIMN_OK;
}

const CausalNode *causal_node_of(const CausalGrad *work, CausalFamily family, int32_t layer, int32_t column) {
    for (int32_t i = 0; i < work->n_nodes; i++) {
        const CausalNode *node = &work->nodes[i];
        int64_t columns = node->unit == 0 ? work->n_rows : node->width / node->unit;
        if (node->family == family && node->layer == layer && column >= node->column &&
            column < node->column + columns) {
            return node;
        }
    }
    return NULL;
}

/* ---- differences ---- */

static limn_status allocate_floats(CausalGrad *work, float **out, int64_t width) {
    size_t bytes = round_up_bytes((size_t)work->n_rows * (size_t)width * sizeof **out + 1, 64);
    *out = aligned_alloc(64, bytes);
    if (*out == NULL) {
        return fail(LIMN_NO_MEMORY, "causal-grad: %.1f MiB for a site's values", (double)bytes / 1048576.0);
    }
    work->held += bytes;
    engine_hold(work->engine, (int64_t)bytes);
    return LIMN_OK;
}

static limn_status allocate_node(CausalGrad *work, CausalNode *node) {
    bool attention = node->family == FAMILY_QUERY || node->family == FAMILY_KEY || node->family == FAMILY_VALUE;
    bool exact = work->params->kind == CAUSAL_ATP_STAR;
    TRY(allocate_floats(work, &node->delta, node->width));
    if (exact && attention) {
        TRY(allocate_floats(work, &node->base, node->width));
    }
    return exact && node->family == FAMILY_HEAD ? allocate_floats(work, &node->gradient, node->width) : LIMN_OK;
}

void causal_grad_free(CausalGrad *work) {
    for (int32_t i = 0; i < work->n_nodes; i++) {
        free(work->nodes[i].delta);
        free(work->nodes[i].base);
        free(work->nodes[i].gradient);
    }
    if (work->engine != NULL) {
        engine_hold(work->engine, -(int64_t)work->held);
    }
}

/* The mean over rows, for AGAINST_MEAN; else zero. out: [width]. */
static void constant_source(const CausalGrad *work, const float *base, int64_t width, float *out) {
    const uint8_t *mask = work->base->sequence.mask;
    int32_t n = 0;
    memset(out, 0, (size_t)width * sizeof *out);
    for (int32_t row = 0; row < work->n_rows && work->against == AGAINST_MEAN; row++) {
        n += mask == NULL || mask[row] != 0;
    }
    for (int32_t row = 0; row < work->n_rows && work->against == AGAINST_MEAN; row++) {
        for (int64_t e = 0; e < width && (mask == NULL || mask[row] != 0); e++) {
            out[e] += base[row * width + e] / (float)n;
        }
    }
}

/* values: [base's rows, then the source's, width] */
static void subtract(const CausalGrad *work, CausalNode *node, const float *values, const float *constant) {
    for (int32_t row = 0; row < work->n_rows; row++) {
        int32_t other = work->source == NULL ? -1 : alignment_source(&work->alignment, row);
        const float *base = values + row * node->width;
        const float *source = work->source == NULL ? constant
                              : other < 0          ? base
                                                   : values + (work->n_rows + other) * node->width;
        for (int64_t e = 0; e < node->width; e++) {
            node->delta[row * node->width + e] = source[e] - base[e];
        }
    }
    if (node->base != NULL) {
        memcpy(node->base, values, (size_t)work->n_rows * (size_t)node->width * sizeof *values);
    }
}

static limn_status keep_differences(CausalGrad *work) {
    int64_t widest = 1;
    for (int32_t i = 0; i < work->n_nodes; i++) {
        widest = larger(widest, work->nodes[i].width);
    }
    float *constant = ARENA_ARRAY(work->call->arena, float, widest);
    if (constant == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < work->n_nodes; i++) {
        CausalNode *node = &work->nodes[i];
        int32_t rows;
        int64_t width;
        const float *values = engine_tap(work->engine, node->node, &rows, &width);
        if (values == NULL || width != node->width) {
            return fail(LIMN_INTERNAL, "causal-grad: a site has no values");
        }
        TRY(allocate_node(work, node));
        constant_source(work, values, width, constant);
        subtract(work, node, values, constant);
    }
    return LIMN_OK;
}

/* ---- what is measured ---- */

static limn_status measure(CausalGrad *work, const float *base, const float *source) {
    Outcome *outcome = &work->outcome;
    const float *corrupt = work->base == &work->pair.corrupt ? base : source;
    if (outcome->metric == OUTCOME_LOGIT_DIFF && work->contrast.kind == TARGET_NONE) {
        TRY(outcome_choose_contrast(&work->contrast, work->call, &work->target, corrupt != NULL ? corrupt : base));
        result_param_text(work->result, "contrast-from",
                          corrupt != NULL ? "the corrupt prompt's likeliest answer"
                                          : "the prompt's likeliest other answer");
    }
    outcome->contrast = outcome->metric == OUTCOME_LOGIT_DIFF ? work->contrast.ids[0] : -1;
    outcome->reference = work->base == &work->pair.corrupt ? source : base;
    work->seed = outcome_seed(outcome, work->model);
    work->base_value = outcome_of_logits(outcome, work->target.ids, work->target.n, base);
    work->source_value =
        source == NULL ? (double)NAN : outcome_of_logits(outcome, work->target.ids, work->target.n, source);
    return LIMN_OK;
}

/* Both prompts in one run. */
static limn_status run_both(CausalGrad *work, OutputRow *outputs) {
    int32_t n = work->target.n, sides = work->source == NULL ? 1 : 2;
    const PairSide *side[] = {work->base, work->source};
    SequenceInput sequences[2];
    for (int32_t s = 0; s < sides; s++) {
        sequences[s] = side[s]->sequence;
        for (int32_t i = 0; i < n; i++) {
            outputs[s * n + i] = side[s]->outputs[i];
            outputs[s * n + i].sequence = s;
        }
    }
    const RunRequest request = {.sequences = sequences,
                                .n_sequences = sides,
                                .outputs = outputs,
                                .n_outputs = sides * n,
                                .taps = work->sites,
                                .n_taps = work->n_nodes,
                                .logits = true};
    return engine_run(work->engine, &request, work->call->progress);
}

static limn_status run_values(CausalGrad *work) {
    int32_t n = work->target.n;
    size_t floats = (size_t)n * (size_t)work->outcome.width;
    OutputRow *outputs = ARENA_ARRAY(work->call->arena, OutputRow, 2 * (int64_t)n + 1);
    float *logits = arena_alloc(work->call->arena, 2 * floats * sizeof *logits + 1);
    if (outputs == NULL || logits == NULL) {
        return method_no_memory(work->call);
    }
    TRY(run_both(work, outputs));
    bool both = work->source != NULL;
    memcpy(logits, engine_logits(work->engine), (both ? 2 : 1) * floats * sizeof *logits);
    TRY(keep_differences(work));
    return measure(work, logits, both ? logits + floats : NULL);
}

static limn_status allocate_effects(const CausalGrad *work, CausalEffects *effects) {
    for (int f = 0; f < FAMILIES; f++) {
        int64_t n = (int64_t)work->n_layers * work->columns[f];
        effects->of[f] = ARENA_ARRAY(work->call->arena, double, n + 1);
        if (effects->of[f] == NULL) {
            return method_no_memory(work->call);
        }
    }
    return LIMN_OK;
}

limn_status causal_grad_prepare(CausalGrad *work) {
    work->n_layers = work->model->config.n_layers;
    work->n_rows = work->base->sequence.n;
    work->there = ARENA_ARRAY(work->call->arena, bool, work->n_rows + 1);
    if (work->there == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t row = 0; row < work->n_rows; row++) {
        work->there[row] = work->source == NULL || alignment_source(&work->alignment, row) >= 0;
    }
    TRY(find_sites(work));
    TRY(allocate_effects(work, &work->effects));
    TRY(allocate_effects(work, &work->pass));
    return run_values(work);
}

/* ---- gradient passes ---- */

/* Several copies of the base in one run: at points of the path, or without one layer's gradient. */
typedef struct GradientPass {
    CausalGrad *work;
    const double *points; /* [n] shares of the way to the source; NULL: the base itself, once */
    int32_t n;
    int32_t dropped; /* the layer whose gradient is stopped; -1: none */
} GradientPass;

/* The difference times the gradient, of each column that the site's row has. */
static void reduce_row(CausalGrad *work, const CausalNode *node, int32_t row, const float *gradient) {
    const float *delta = node->delta + row * node->width;
    double *of = work->pass.of[node->family] + causal_cell(work, node->family, node->layer, 0);
    int64_t unit = node->unit == 0 ? node->width : node->unit;
    int32_t column = node->unit == 0 ? row : node->column;
    for (int64_t begin = 0; begin < node->width; begin += unit, column++) {
        double sum = 0.0;
        for (int64_t e = begin; e < begin + unit; e++) {
            sum += (double)delta[e] * (double)gradient[e];
        }
        of[column] += sum;
    }
}

static limn_status take_gradients(void *context, NodeId site, int32_t row_begin, int32_t n_rows, int64_t width,
                                  const float *value, const float *gradient) {
    (void)value;
    CausalGrad *work = context;
    const CausalNode *node = &work->nodes[work->place[site]];
    for (int32_t r = 0; r < n_rows; r++) {
        int32_t row = (row_begin + r) % work->n_rows;
        reduce_row(work, node, row, gradient + r * width);
        for (int64_t e = 0; node->gradient != NULL && e < width; e++) {
            node->gradient[row * width + e] += gradient[r * width + e];
        }
    }
    return LIMN_OK;
}

/* Embeddings on the way from the base to the source, for each point of the path. */
static int32_t path_edits(const GradientPass *pass, Edit *edits, float *values) {
    const CausalGrad *work = pass->work;
    const CausalNode *first = causal_node_of(work, FAMILY_RESID, 0, 0);
    int64_t cells = (int64_t)work->n_rows * first->width;
    for (int32_t k = 0; k < pass->n; k++) {
        for (int64_t c = 0; c < cells; c++) {
            values[k * cells + c] = (float)(pass->points[k] * (double)first->delta[c]);
        }
        edits[k] = (Edit){.node = first->node,
                          .kind = EDIT_ADD,
                          .sequence = k,
                          .row_end = -1,
                          .element_end = -1,
                          .values = values + k * cells,
                          .row_stride = first->width};
    }
    return pass->n;
}

/* What a layer writes to the stream counts as a constant. */
static int32_t drop_edits(const GradientPass *pass, Edit *edits) {
    static const char *const hooks[] = {"hook_attn_out", "hook_mlp_out"};
    int32_t n = 0;
    for (int i = 0; i < 2; i++) {
        NodeId node = layer_site(pass->work, pass->dropped, hooks[i]);
        if (node != NODE_NONE) {
            edits[n++] =
                (Edit){.node = node, .kind = EDIT_STOP, .sequence = -1, .row_end = -1, .element_end = -1, .amount = 0};
        }
    }
    return n;
}

static void clear_pass(CausalGrad *work) {
    for (int f = 0; f < FAMILIES; f++) {
        memset(work->pass.of[f], 0, (size_t)work->n_layers * (size_t)work->columns[f] * sizeof(double));
    }
    for (int32_t i = 0; i < work->n_nodes; i++) {
        const CausalNode *node = &work->nodes[i];
        if (node->gradient != NULL) {
            memset(node->gradient, 0, (size_t)work->n_rows * (size_t)node->width * sizeof(float));
        }
    }
}

typedef struct PassMemory {
    SequenceInput *sequences; /* [n] */
    OutputRow *outputs;       /* [n, target.n] */
    Edit *edits;              /* [n + 2] */
    float *values;            /* [n, rows, width] */
} PassMemory;

/* Runs the copies; what they sum to is in `pass`. */
static limn_status run_pass(const GradientPass *pass, const PassMemory *memory, double *f) {
    CausalGrad *work = pass->work;
    int32_t n = work->target.n;
    for (int32_t k = 0; k < pass->n; k++) {
        memory->sequences[k] = work->base->sequence;
        for (int32_t i = 0; i < n; i++) {
            memory->outputs[k * n + i] = work->base->outputs[i];
            memory->outputs[k * n + i].sequence = k;
        }
    }
    int32_t n_edits = pass->points != NULL ? path_edits(pass, memory->edits, memory->values)
                      : pass->dropped >= 0 ? drop_edits(pass, memory->edits)
                                           : 0;
    int32_t *numbers = ARENA_ARRAY(work->call->arena, int32_t, (int64_t)pass->n * n + 1);
    if (numbers == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t i = 0; i < pass->n * n; i++) {
        numbers[i] = i % n; /* KL's reference is one for each of the target's rows */
    }
    const GradientSink sink = {.nodes = work->sites, .n = work->n_nodes, .function = take_gradients, .context = work};
    const RunRequest request = {.sequences = memory->sequences,
                                .n_sequences = pass->n,
                                .outputs = memory->outputs,
                                .n_outputs = pass->n * n,
                                .edits = memory->edits,
                                .n_edits = n_edits,
                                .seeds = &work->seed,
                                .n_seeds = 1,
                                .seed_rows = numbers,
                                .n_seed_rows = n,
                                .rules = (RuleSet)work->params->rules,
                                .sink = &sink};
    clear_pass(work);
    TRY(engine_run(work->engine, &request, work->call->progress));
    *f = 0.0;
    for (int32_t i = 0; i < n; i++) {
        *f += (double)engine_seed(work->engine, 0)[i];
    }
    return work->params->kind == CAUSAL_ATP_STAR ? causal_grad_softmax(work) : LIMN_OK;
}

/* Adds the pass to the effects: a share of each figure, or of its size. */
static void add_pass(CausalGrad *work, double slope, int32_t dropped) {
    for (int f = 0; f < FAMILIES; f++) {
        int32_t layers = work->n_layers, columns = work->columns[f];
        double passes = f == FAMILY_RESID || layers == 1 ? layers : layers - 1;
        for (int32_t layer = 0; layer < layers; layer++) {
            for (int32_t c = 0; c < columns; c++) {
                int64_t cell = (int64_t)layer * columns + c;
                double figure = slope * work->pass.of[f][cell];
                bool own = dropped >= 0 && layer == dropped && f != FAMILY_RESID && layers > 1;
                work->effects.of[f][cell] += dropped < 0 ? figure : own ? 0.0 : fabs(figure) / passes;
            }
        }
    }
}

static double slope_of(const CausalGrad *work, double f) {
    return work->outcome.metric == OUTCOME_PROB ? exp(f) : 1.0;
}

/* The mean over midpoints of the path. */
static limn_status integrate(CausalGrad *work, const PassMemory *memory, int32_t together, double *points) {
    int32_t steps = (int32_t)work->params->steps;
    for (int32_t begin = 0; begin < steps; begin += together) {
        GradientPass pass = {
            .work = work, .points = points, .n = (int32_t)smaller(together, steps - begin), .dropped = -1};
        for (int32_t k = 0; k < pass.n; k++) {
            points[k] = ((double)(begin + k) + 0.5) / (double)steps;
        }
        double f;
        TRY(progress_tick(work->call->progress, "gradients", begin, steps));
        TRY(run_pass(&pass, memory, &f));
        add_pass(work, slope_of(work, f) / (double)steps, -1);
    }
    return LIMN_OK;
}

/* AtP*: as many backward passes as layers, each without one. */
static limn_status drop_each(CausalGrad *work, const PassMemory *memory) {
    for (int32_t layer = 0; layer < work->n_layers; layer++) {
        const GradientPass pass = {.work = work, .n = 1, .dropped = layer};
        double f;
        TRY(progress_tick(work->call->progress, "gradients without a layer", layer, work->n_layers));
        TRY(run_pass(&pass, memory, &f));
        add_pass(work, slope_of(work, f), layer);
    }
    return LIMN_OK;
}

limn_status causal_grad_estimate(CausalGrad *work) {
    Arena *arena = work->call->arena;
    bool path = work->params->steps > 0;
    int32_t most = (int32_t)larger(1, ROWS_PER_RUN / work->n_rows);
    int32_t together = !path || work->outcome.metric == OUTCOME_PROB ? 1 : (int32_t)smaller(most, work->params->steps);
    const CausalNode *first = causal_node_of(work, FAMILY_RESID, 0, 0);
    int64_t cells = path && first != NULL ? (int64_t)work->n_rows * first->width : 0;
    PassMemory memory = {.sequences = ARENA_ARRAY(arena, SequenceInput, together + 1),
                         .outputs = ARENA_ARRAY(arena, OutputRow, (int64_t)together * work->target.n + 1),
                         .edits = ARENA_ARRAY(arena, Edit, together + 2),
                         .values = arena_alloc_aligned(arena, (size_t)(together * cells + 1) * sizeof(float), 64)};
    double *points = ARENA_ARRAY(arena, double, together + 1);
    if (memory.sequences == NULL || memory.outputs == NULL || memory.edits == NULL || memory.values == NULL ||
        points == NULL) {
        return method_no_memory(work->call);
    }
    if (work->params->kind == CAUSAL_ATP_STAR) {
        return drop_each(work, &memory);
    }
    if (path && first == NULL) {
        return fail(LIMN_UNSUPPORTED, "%s has no stream before its first layer", work->model->path);
    }
    if (path) {
        return integrate(work, &memory, together, points);
    }
    const GradientPass pass = {.work = work, .n = 1, .dropped = -1};
    double f;
    TRY(run_pass(&pass, &memory, &f));
    add_pass(work, slope_of(work, f), -1);
    return LIMN_OK;
}
