/* Kinds that look at what is carried: norms of values (Kobayashi et al. 2004.10102), ALTI and ALTI-Logit (Ferrando et
 * al. 2203.04212, 2305.12535).
 *
 *     value   B_ij = mean over heads of A_ij |W_O v_j|, rows divided by their sums, then as plain
 *     alti    T_i(j) = sum over heads of A_ij W_O v_j, and x_i itself where j is i
 *             C_ij = max(0, |y_i| - |y_i - T_i(j)|) in L1, rows divided by their sums;    R = C_L ... C_1
 *     logit   score_t = sum over layers and j of the direct share of what attention moved from j to the answer's row,
 *             times R_{l-1}[j, t], and the embedding's own share
 *
 * Which variant: the layer's vectors are the affine ones, v_j with the biases of its projection and of the norm before
 * it; b_O moves from nowhere and is in y alone. A norm behind the sum (BERT) or behind what attention writes (Gemma) is
 * linear with the scale that this run has, mean taken out, gain on, bias in y alone. A logit's shares go through the
 * last norm the same way. MLPs are no movement between tokens: R passes by them, and what they give the logit is left
 * out, with the biases (the note says how much). All this is the authors' (tests/oracle/attention/make_alti.py runs
 * their code); one thing is not: they leave out the embedding's own direct share, which here counts for the token of
 * the answer's row. Models without LayerNorm's mean or with a norm behind attention are by analogy (make_kinds.py). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "measure/direct.h"
#include "method/attention/rollout.h"

static int64_t head_width(const Rollout *rollout) {
    return rollout->model->config.d_head;
}

limn_status rollout_values(Rollout *rollout, int32_t layer, float *values) {
    NodeId node = layer_node(rollout->model, layer, "attn.hook_v");
    int32_t rows, heads = rollout->layers.n_heads;
    int64_t width, k = head_width(rollout);
    if (node == NODE_NONE) {
        return fail(LIMN_USAGE, "%s: layer %d has no attn.hook_v", rollout->model->path, (int)layer);
    }
    TRY(layers_tap(&rollout->layers, &node, 1));
    const float *found = engine_tap(rollout->engine, node, &rows, &width);
    if (found == NULL || rows != rollout->n || width % k != 0) {
        return fail(LIMN_INTERNAL, "layer %d kept no values", (int)layer);
    }
    int64_t groups = width / k, each = heads / groups;
    for (int64_t t = 0; t < rollout->n; t++) {
        for (int64_t h = 0; h < heads; h++) {
            memcpy(values + (t * heads + h) * k, found + (t * groups + h / each) * k, (size_t)k * sizeof *values);
        }
    }
    return LIMN_OK;
}

/* Given as what the heads found, values come out as each head would write them: adapters and all. */
limn_status rollout_written(Rollout *rollout, int32_t layer, const float *values, float *out) {
    NodeId z = layer_node(rollout->model, layer, "attn.hook_z");
    NodeId result = layer_node(rollout->model, layer, "attn.hook_result");
    if (z == NODE_NONE || result == NODE_NONE) {
        return fail(LIMN_USAGE, "%s: layer %d has no attn.hook_result", rollout->model->path, (int)layer);
    }
    const Given given = {.node = z, .values = values};
    const RunRequest request = {.sequences = &rollout->sequence,
                                .n_sequences = 1,
                                .taps = &result,
                                .n_taps = 1,
                                .givens = &given,
                                .n_givens = 1};
    int32_t rows;
    int64_t width;
    TRY(engine_run(rollout->engine, &request, rollout->call->progress));
    const float *found = engine_tap(rollout->engine, result, &rows, &width);
    if (found == NULL || rows != rollout->n) {
        return fail(LIMN_INTERNAL, "layer %d wrote nothing", (int)layer);
    }
    memcpy(out, found, (size_t)rows * (size_t)width * sizeof *out);
    return LIMN_OK;
}

typedef struct Carried {
    Rollout *rollout;
    float *values;  /* [n, H, K] */
    float *written; /* [n, H, D] */
    float *pattern; /* [n, H, n] */
    float *stream;  /* [n, D] before the layer */
    float *out;     /* [n, D] what attention wrote */
    float *after;   /* [n, D] y */
    /* a norm behind the sum, or behind what attention writes; gain NULL: none */
    const float *gain;
    float *scale; /* [n] */
    bool gain_plus_one, centered, norms_sum;
    double *mixing;
} Carried;

static void free_carried(Carried *carried) {
    free(carried->values);
    free(carried->written);
    free(carried->pattern);
    free(carried->stream);
    free(carried->out);
    free(carried->after);
    free(carried->scale);
}

static limn_status new_carried(Carried *carried, Rollout *rollout) {
    size_t n = (size_t)rollout->n, heads = (size_t)rollout->layers.n_heads, d = (size_t)rollout->model->config.d_model;
    *carried = (Carried){.rollout = rollout};
    carried->values = malloc((n * heads * (size_t)head_width(rollout) + 1) * sizeof(float));
    carried->written = malloc((n * heads * d + 1) * sizeof(float));
    carried->pattern = malloc((n * heads * n + 1) * sizeof(float));
    carried->stream = malloc((n * d + 1) * sizeof(float));
    carried->out = malloc((n * d + 1) * sizeof(float));
    carried->after = malloc((n * d + 1) * sizeof(float));
    carried->scale = malloc((n + 1) * sizeof(float));
    if (carried->values == NULL || carried->written == NULL || carried->pattern == NULL || carried->stream == NULL ||
        carried->out == NULL || carried->after == NULL || carried->scale == NULL) {
        free_carried(carried);
        return method_no_memory(rollout->call);
    }
    return LIMN_OK;
}

static limn_status read_written(Carried *carried, int32_t layer) {
    Rollout *rollout = carried->rollout;
    const float *pattern;
    TRY(rollout_values(rollout, layer, carried->values));
    TRY(rollout_written(rollout, layer, carried->values, carried->written));
    TRY(layers_pattern(&rollout->layers, layer, &pattern));
    size_t cells = (size_t)rollout->n * (size_t)rollout->layers.n_heads * (size_t)rollout->n;
    memcpy(carried->pattern, pattern, cells * sizeof *pattern);
    return LIMN_OK;
}

/* ---- value ---- */

static double norm_of(const float *x, int64_t n) {
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++) {
        sum += (double)x[e] * (double)x[e];
    }
    return sqrt(sum);
}

static limn_status fill_value(Carried *carried) {
    Rollout *rollout = carried->rollout;
    int64_t n = rollout->n, heads = rollout->layers.n_heads, d = rollout->model->config.d_model;
    double *norms = ARENA_ARRAY(rollout->call->arena, double, n *heads + 1);
    if (norms == NULL) {
        return method_no_memory(rollout->call);
    }
    for (int64_t i = 0; i < n * heads; i++) {
        norms[i] = norm_of(carried->written + i * d, d);
    }
    for (int64_t i = 0; i < n; i++) {
        double *row = rollout->mixing + i * n, sum = 0.0;
        memset(row, 0, (size_t)n * sizeof *row);
        for (int64_t h = 0; h < heads; h++) {
            for (int64_t j = 0; j < n; j++) {
                row[j] += (double)carried->pattern[(i * heads + h) * n + j] * norms[j * heads + h] / (double)heads;
            }
        }
        for (int64_t j = 0; j < n; j++) {
            sum += row[j];
        }
        for (int64_t j = 0; j < n && sum > 0.0; j++) {
            row[j] /= sum;
        }
    }
    return LIMN_OK;
}

limn_status rollout_mix_value(Rollout *rollout, int32_t layer) {
    Carried carried;
    TRY(new_carried(&carried, rollout));
    limn_status status = read_written(&carried, layer);
    status = status == LIMN_OK ? fill_value(&carried) : status;
    free_carried(&carried);
    TRY(status);
    rollout_drop_sinks(rollout, rollout->mixing);
    rollout_close_rows(rollout, rollout->mixing);
    return LIMN_OK;
}

/* ---- ALTI ---- */

/* A norm by the name of its parts: its gain and the scales of this run. */
static limn_status read_norm(Carried *carried, int32_t layer, const char *scale, const char *normalized) {
    Rollout *rollout = carried->rollout;
    NodeId of_scale = layer_node(rollout->model, layer, scale);
    NodeId of_value = layer_node(rollout->model, layer, normalized);
    const Graph *graph = &rollout->model->graph;
    int32_t rows;
    int64_t width;
    carried->gain = NULL;
    if (of_scale == NODE_NONE || of_value == NODE_NONE) {
        return LIMN_OK;
    }
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        const GraphNode *found = &graph->nodes[node];
        if (found->op.kind == OP_GAIN && found->inputs[0] == of_value && found->op.weights[0].data != NULL) {
            carried->gain = found->op.weights[0].data;
            carried->gain_plus_one = found->op.attributes.gain_plus_one;
            carried->centered = graph->nodes[of_value].op.attributes.centered;
        }
    }
    TRY(layers_tap(&rollout->layers, &of_scale, 1));
    const float *scales = engine_tap(rollout->engine, of_scale, &rows, &width);
    if (scales == NULL || carried->gain == NULL || width != 1) {
        return fail(LIMN_UNSUPPORTED, "%s: --kind alti does not know the norm at layer %d", rollout->model->path,
                    (int)layer);
    }
    memcpy(carried->scale, scales, (size_t)rows * sizeof *scales);
    return LIMN_OK;
}

static limn_status copy_site(Carried *carried, int32_t layer, const char *name, float *out) {
    Rollout *rollout = carried->rollout;
    NodeId node = layer_node(rollout->model, layer, name);
    int32_t rows;
    int64_t width;
    if (node == NODE_NONE) {
        return fail(LIMN_USAGE, "%s: layer %d has no %s, which --kind alti reads", rollout->model->path, (int)layer,
                    name);
    }
    TRY(layers_tap(&rollout->layers, &node, 1));
    const float *values = engine_tap(rollout->engine, node, &rows, &width);
    if (values == NULL) {
        return fail(LIMN_INTERNAL, "layer %d kept nothing", (int)layer);
    }
    memcpy(out, values, (size_t)rows * (size_t)width * sizeof *out);
    return LIMN_OK;
}

static limn_status read_layer(Carried *carried, int32_t layer) {
    Rollout *rollout = carried->rollout;
    int64_t cells = (int64_t)rollout->n * rollout->model->config.d_model;
    TRY(read_written(carried, layer));
    TRY(copy_site(carried, layer, "hook_resid_pre", carried->stream));
    carried->norms_sum = layer_node(rollout->model, layer, "hook_normalized_resid_mid") != NODE_NONE;
    if (carried->norms_sum) {
        TRY(copy_site(carried, layer, "hook_normalized_resid_mid", carried->after));
        return read_norm(carried, layer, "ln1.hook_scale", "ln1.hook_normalized");
    }
    TRY(copy_site(carried, layer, "hook_attn_out", carried->out));
    for (int64_t i = 0; i < cells; i++) {
        carried->after[i] = carried->stream[i] + carried->out[i];
    }
    return read_norm(carried, layer, "ln1_post.hook_scale", "ln1_post.hook_normalized");
}

/* x through the norm of row i, in place. */
static void apply_norm(const Carried *carried, int64_t i, double *x, int64_t d) {
    double mean = 0.0;
    for (int64_t e = 0; e < d && carried->centered; e++) {
        mean += x[e] / (double)d;
    }
    for (int64_t e = 0; e < d; e++) {
        double gain = (double)carried->gain[e] + (carried->gain_plus_one ? 1.0 : 0.0);
        x[e] = gain * (x[e] - mean) / (double)carried->scale[i];
    }
}

/* What row i got from row j. */
static void moved(const Carried *carried, int64_t i, int64_t j, double *x) {
    const Rollout *rollout = carried->rollout;
    int64_t n = rollout->n, heads = rollout->layers.n_heads, d = rollout->model->config.d_model;
    memset(x, 0, (size_t)d * sizeof *x);
    for (int64_t h = 0; h < heads; h++) {
        double weight = (double)carried->pattern[(i * heads + h) * n + j];
        const float *written = carried->written + (j * heads + h) * d;
        for (int64_t e = 0; e < d && weight != 0.0; e++) {
            x[e] += weight * (double)written[e];
        }
    }
    if (carried->gain != NULL && !carried->norms_sum) {
        apply_norm(carried, i, x, d);
    }
    for (int64_t e = 0; e < d && i == j; e++) {
        x[e] += (double)carried->stream[i * d + e];
    }
    if (carried->norms_sum) {
        apply_norm(carried, i, x, d);
    }
}

static limn_status fill_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Carried *carried = context;
    const Rollout *rollout = carried->rollout;
    int64_t n = rollout->n, d = rollout->model->config.d_model;
    double *x = malloc(((size_t)d + 1) * sizeof *x);
    if (x == NULL) {
        return method_no_memory(rollout->call);
    }
    for (int64_t i = begin; i < end; i++) {
        const float *y = carried->after + i * d;
        double *row = carried->mixing + i * n, sum = 0.0, size = 0.0;
        for (int64_t e = 0; e < d; e++) {
            size += fabs((double)y[e]);
        }
        for (int64_t j = 0; j < n; j++) {
            double rest = 0.0;
            row[j] = 0.0;
            if (rollout->model->config.causal && j > i) {
                continue;
            }
            moved(carried, i, j, x);
            for (int64_t e = 0; e < d; e++) {
                rest += fabs((double)y[e] - x[e]);
            }
            row[j] = fmax(0.0, size - rest);
            sum += row[j];
        }
        for (int64_t j = 0; j < n && sum > 0.0; j++) {
            row[j] /= sum;
        }
    }
    free(x);
    return LIMN_OK;
}

/* ---- of the logit ---- */

/* Gradients of the logit along the stream: at the heads' results of every layer and at the embedding. */
typedef struct DirectGradients {
    Rollout *rollout;
    NodeId *nodes; /* [L + 1] hook_z of each layer; the embedding */
    double *z;     /* [L, n, H K] */
    int64_t width;
    double embedding; /* sum over rows of value times gradient */
} DirectGradients;

static limn_status take_gradient(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                                 const float *value, const float *gradient) {
    DirectGradients *direct = context;
    int32_t n_layers = direct->rollout->layers.n_layers;
    if (node == direct->nodes[n_layers]) {
        for (int64_t i = 0; i < n_rows * width; i++) {
            direct->embedding += (double)value[i] * (double)gradient[i];
        }
        return LIMN_OK;
    }
    int32_t layer = 0;
    while (layer < n_layers && direct->nodes[layer] != node) {
        layer++;
    }
    double *out = direct->z + ((int64_t)layer * direct->rollout->n + row_begin) * direct->width;
    for (int64_t i = 0; i < n_rows * width && layer < n_layers; i++) {
        out[i] = (double)gradient[i];
    }
    return LIMN_OK;
}

static limn_status read_gradients(DirectGradients *direct) {
    Rollout *rollout = direct->rollout;
    MethodCall *call = rollout->call;
    const Target *target = rollout->target;
    int32_t n_layers = rollout->layers.n_layers, n_edits;
    Edit *edits;
    OutputRow *outputs = ARENA_ARRAY(call->arena, OutputRow, target->n + 1);
    direct->width = (int64_t)rollout->layers.n_heads * head_width(rollout);
    direct->nodes = ARENA_ARRAY(call->arena, NodeId, n_layers + 2);
    direct->z = ARENA_ARRAY(call->arena, double, (int64_t)n_layers * rollout->n * direct->width + 1);
    if (outputs == NULL || direct->nodes == NULL || direct->z == NULL) {
        return method_no_memory(call);
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        direct->nodes[layer] = layer_node(rollout->model, layer, "attn.hook_z");
    }
    direct->nodes[n_layers] = rollout->layers.clean->nodes[0]; /* the stream that the first layer reads */
    for (int32_t i = 0; i < target->n; i++) {
        outputs[i] = (OutputRow){.row = target->rows[i], .target = target->ids[i], .weight = 1.0F};
    }
    TRY(direct_stops(&edits, &n_edits, call, rollout->model));
    Seed seed = {.node = direct_logits(rollout->model), .kind = SEED_LOGIT};
    if (rollout->contrast != NULL && rollout->contrast->kind != TARGET_NONE) {
        seed.kind = SEED_DIFFERENCE;
        seed.contrasts = (IdSets){.ids = rollout->contrast->ids, .n = 1};
    }
    const GradientSink sink = {
        .nodes = direct->nodes, .n = n_layers + 1, .with_values = true, .function = take_gradient, .context = direct};
    const RunRequest request = {.sequences = &rollout->sequence,
                                .n_sequences = 1,
                                .outputs = outputs,
                                .n_outputs = target->n,
                                .edits = edits,
                                .n_edits = n_edits,
                                .seeds = &seed,
                                .n_seeds = 1,
                                .rules = RULES_FROZEN,
                                .sink = &sink};
    TRY(engine_run(rollout->engine, &request, call->progress));
    rollout->logit = engine_total(rollout->engine);
    return LIMN_OK;
}

/* What attention of a layer moved to the answer's rows, back to the tokens it came from. The matrix holds the layers
 * below. */
static void trace_layer(const Carried *carried, const DirectGradients *direct, int32_t layer) {
    Rollout *rollout = carried->rollout;
    int64_t n = rollout->n, heads = rollout->layers.n_heads, k = head_width(rollout);
    for (int32_t r = 0; r < rollout->n_rows; r++) {
        int64_t i = rollout->rows[r];
        const double *gradient = direct->z + ((int64_t)layer * n + i) * direct->width;
        bool seen = false;
        for (int32_t before = 0; before < r; before++) {
            seen = seen || rollout->rows[before] == i;
        }
        for (int64_t j = 0; j < n && !seen; j++) {
            double share = 0.0;
            for (int64_t h = 0; h < heads; h++) {
                double dot = 0.0;
                for (int64_t e = 0; e < k; e++) {
                    dot += (double)carried->values[(j * heads + h) * k + e] * gradient[h * k + e];
                }
                share += (double)carried->pattern[(i * heads + h) * n + j] * dot;
            }
            for (int64_t t = 0; t < n && share != 0.0; t++) {
                rollout->answer[t] += share * rollout->matrix[j * n + t];
            }
            rollout->traced += share;
        }
    }
}

static limn_status roll_alti(Carried *carried) {
    enum { GRAIN = 4 };
    Rollout *rollout = carried->rollout;
    int32_t n_layers = rollout->layers.n_layers;
    DirectGradients direct = {.rollout = rollout};
    TRY(read_gradients(&direct));
    rollout_identity(rollout);
    rollout->traced = direct.embedding;
    for (int32_t r = 0; r < rollout->n_rows; r++) {
        rollout->answer[rollout->rows[r]] += direct.embedding / rollout->n_rows;
    }
    for (int32_t layer = 0; layer < n_layers; layer++) {
        TRY(progress_tick(rollout->call->progress, "layers", layer, n_layers));
        TRY(read_layer(carried, layer));
        trace_layer(carried, &direct, layer);
        carried->mixing = rollout->mixing;
        TRY(parallel_for(rollout->call->team, rollout->n, GRAIN, fill_rows, carried));
        TRY(rollout_multiply(rollout));
    }
    return LIMN_OK;
}

limn_status rollout_alti(Rollout *rollout) {
    Carried carried;
    bool contrasted = rollout->contrast != NULL && rollout->contrast->kind != TARGET_NONE;
    if (contrasted && (rollout->target->n != 1 || rollout->contrast->n != 1)) {
        return fail(LIMN_USAGE, "rollout: --kind alti takes a --contrast of single tokens");
    }
    TRY(new_carried(&carried, rollout));
    limn_status status = roll_alti(&carried);
    free_carried(&carried);
    return status;
}
