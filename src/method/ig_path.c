#include "method/ig_path.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/parallel.h"
#include "method/estimate.h"

/* Rows of one run: enough to fill the matrix kernels, few enough for the caches. */
enum { ROWS_PER_RUN = 512 };

limn_status ig_embed(float *out, Session *session, const int32_t *ids, int32_t n, const Progress *progress) {
    NodeId embed = session_model(session)->graph.embed;
    SequenceInput sequence = {.ids = ids, .n = n};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .taps = &embed, .n_taps = 1};
    TRY(session_run(session, &request, progress));
    int32_t rows;
    int64_t width;
    const float *values = session_tap(session, embed, &rows, &width);
    memcpy(out, values, (size_t)rows * (size_t)width * sizeof *out);
    return LIMN_OK;
}

limn_status ig_component(IgComponent *component, MethodCall *call, const Model *model, const Target *target,
                         int32_t first, int32_t n, double factor) {
    *component = (IgComponent){.sequence = target_sequence(target),
                               .outputs = ARENA_ARRAY(call->arena, OutputRow, n + 1),
                               .n_outputs = n,
                               .factor = factor};
    if (component->outputs == NULL) {
        return method_no_memory(call);
    }
    int32_t last = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t row = target->rows[first + i];
        component->outputs[i] = (OutputRow){.row = row, .target = target->ids[first + i], .weight = 1.0f};
        last = row > last ? row : last;
    }
    if (model->config.causal && model_lengths_alike(&model->config, last + 1, component->sequence.n)) {
        component->sequence.n = last + 1;
    }
    return LIMN_OK;
}

/* A run inside the path: what people see is how many nodes are done. */
static bool tick_nodes(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    (void)done;
    (void)total;
    const IgPath *path = context;
    const Progress *outer = path->call->progress;
    return outer == NULL || outer->tick == NULL ||
           outer->tick(outer->context, "integrate", path->evaluations, path->expected);
}

/* Keys and values of the fixed rows at the front, computed once. */
static limn_status fill_prefix(IgPath *path) {
    if (path->first == 0) {
        return LIMN_OK;
    }
    TRY(kv_cache_new(&path->prefix, session_model(path->session), path->first));
    SequenceInput sequence = path->components[0].sequence;
    sequence.n = path->first;
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .append = path->prefix};
    return session_run(path->session, &request, path->call->progress);
}

limn_status ig_path_prepare(IgPath *path) {
    size_t values = (size_t)path->n_tokens * (size_t)path->d_model;
    path->input = arena_alloc_aligned(path->call->arena, values * sizeof(float), 64);
    path->baseline = arena_alloc_aligned(path->call->arena, values * sizeof(float), 64);
    if (path->input == NULL || path->baseline == NULL) {
        return method_no_memory(path->call);
    }
    TRY(ig_embed(path->input, path->session, path->components[0].sequence.ids, path->n_tokens, path->call->progress));
    path->first = 0;
    const ModelConfig *config = &session_model(path->session)->config;
    while (config->causal && path->first < path->n_tokens && path->fixed[path->first]) {
        path->first++;
    }
    if (path->first == path->n_tokens) {
        return fail(LIMN_USAGE, "no token of the prompt is left to explain: all are special or fixed");
    }
    for (int32_t c = 0; c < path->n_components; c++) {
        if (!model_lengths_alike(config, path->first, path->components[c].sequence.n)) {
            path->first = 0; /* their keys are others in the whole sequence */
        }
    }
    return fill_prefix(path);
}

void ig_path_free(IgPath *path) {
    kv_cache_free(path->prefix);
    free(path->embeddings);
    path->prefix = NULL;
    path->embeddings = NULL;
}

/* Sequences and output rows of a batch: for each point, each component. */
typedef struct Batch {
    SequenceInput *sequences;
    OutputRow *outputs;
    int32_t n_sequences;
    int32_t n_outputs;
} Batch;

static limn_status build_batch(Batch *batch, const IgPath *path, int32_t n, Arena *arena) {
    int32_t outputs = 0;
    for (int32_t c = 0; c < path->n_components; c++) {
        outputs += path->components[c].n_outputs;
    }
    *batch = (Batch){.sequences = ARENA_ARRAY(arena, SequenceInput, n * path->n_components),
                     .outputs = ARENA_ARRAY(arena, OutputRow, n * outputs)};
    if (batch->sequences == NULL || batch->outputs == NULL) {
        return fail(LIMN_NO_MEMORY, "a batch of %d passes", n);
    }
    int32_t first = path->first;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t c = 0; c < path->n_components; c++) {
            const IgComponent *component = &path->components[c];
            SequenceInput sequence = component->sequence;
            sequence.ids += first;
            sequence.n -= first;
            sequence.types = sequence.types == NULL ? NULL : sequence.types + first;
            sequence.mask = sequence.mask == NULL ? NULL : sequence.mask + first;
            sequence.prefix = path->prefix;
            sequence.prefix_length = first;
            for (int32_t k = 0; k < component->n_outputs; k++) {
                OutputRow output = component->outputs[k];
                output.sequence = batch->n_sequences;
                output.row -= first;
                batch->outputs[batch->n_outputs++] = output;
            }
            batch->sequences[batch->n_sequences++] = sequence;
        }
    }
    return LIMN_OK;
}

/* points [n, P - first, D]: embeddings of the attributed rows. *edit and *request are filled, the one for the other. */
static void points_request(RunRequest *request, Edit *edit, const IgPath *path, const float *points, const Batch *batch,
                           bool gradient) {
    const Graph *graph = &session_model(path->session)->graph;
    int64_t rows = path->n_tokens - path->first;
    *edit = (Edit){.node = graph->embed,
                   .kind = EDIT_SET,
                   .sequence = -1,
                   .row_end = (int32_t)rows,
                   .element_end = -1,
                   .values = points,
                   .row_stride = path->d_model,
                   .sequence_stride = rows * path->d_model};
    *request = (RunRequest){.sequences = batch->sequences,
                            .n_sequences = batch->n_sequences,
                            .outputs = batch->outputs,
                            .n_outputs = batch->n_outputs,
                            .grads = &graph->embed,
                            .n_grads = gradient ? 1 : 0,
                            .edits = edit,
                            .n_edits = 1,
                            .objective = path->objective};
}

static limn_status run_points(IgPath *path, const float *points, const Batch *batch, bool gradient) {
    RunRequest request;
    Edit edit;
    points_request(&request, &edit, path, points, batch, gradient);
    path->progress = (Progress){tick_nodes, path};
    return session_run(path->session, &request, &path->progress);
}

static limn_status reserve_embeddings(IgPath *path, int64_t sequences) {
    size_t rows = (size_t)(path->n_tokens - path->first);
    size_t needed = (size_t)sequences * rows * (size_t)path->d_model * sizeof(float);
    if (needed > path->embeddings_bytes) {
        free(path->embeddings);
        path->embeddings_bytes = round_up_bytes(needed, 64);
        path->embeddings = aligned_alloc(64, path->embeddings_bytes);
        if (path->embeddings == NULL) {
            path->embeddings_bytes = 0;
            return fail(LIMN_NO_MEMORY, "embeddings of %.1f MiB", (double)needed / 1048576.0);
        }
    }
    return LIMN_OK;
}

typedef struct Interpolation {
    const IgPath *path;
    IgNode *const *nodes;
} Interpolation;

/* Row r of node i: baseline + alpha (input - baseline), the same for each component. */
static limn_status interpolate(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Interpolation *work = context;
    const IgPath *path = work->path;
    int64_t rows = path->n_tokens - path->first;
    int64_t copies = path->n_components;
    for (int64_t item = begin; item < end; item++) {
        float alpha = (float)work->nodes[item / (rows * copies)]->alpha;
        int64_t row = path->first + item % rows;
        const float *x = path->input + row * path->d_model;
        const float *b = path->baseline + row * path->d_model;
        float *out = path->embeddings + item * path->d_model;
        for (int64_t e = 0; e < path->d_model; e++) {
            out[e] = b[e] + alpha * (x[e] - b[e]);
        }
        if (path->fixed[row]) {
            memcpy(out, x, (size_t)path->d_model * sizeof *out);
        }
    }
    return LIMN_OK;
}

/* F of one component from the objectives of its output rows, and the factor its gradients still need. */
static double component_value(const IgPath *path, const IgComponent *component, const float *objective,
                              double *gradient_factor) {
    double sum = 0.0;
    for (int32_t k = 0; k < component->n_outputs; k++) {
        sum += (double)component->outputs[k].weight * (double)objective[k];
    }
    bool prob = path->metric == IG_METRIC_PROB && path->objective == OBJECTIVE_LOG_PROB;
    double value = prob ? exp(sum) : sum;
    *gradient_factor = component->factor * (prob ? value : 1.0);
    return component->factor * value;
}

static double dot_difference(const float *gradient, const float *x, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++) {
        sum += (double)(gradient[e] * (x[e] - b[e]));
    }
    return sum;
}

/* Reads F and d of n nodes from the last run. */
static void read_nodes(IgPath *path, IgNode *const *nodes, int32_t n, const Batch *batch) {
    int32_t rows;
    int64_t width;
    const float *objective = session_objective(path->session);
    const float *gradient = session_grad(path->session, session_model(path->session)->graph.embed, &rows, &width);
    int32_t sequence = 0;
    for (int32_t i = 0; i < n; i++) {
        IgNode *node = nodes[i];
        node->f = 0.0;
        node->slope = 0.0;
        for (int32_t c = 0; c < path->n_components; c++) {
            const IgComponent *component = &path->components[c];
            double factor;
            node->f_of[c] = component_value(path, component, objective, &factor);
            node->f += node->f_of[c];
            for (int32_t t = path->first; t < path->n_tokens; t++) {
                bool reached = t < component->sequence.n && !path->fixed[t];
                const float *row = gradient + (int64_t)(t - path->first) * width;
                int64_t at = (int64_t)t * width;
                double d = reached ? factor * dot_difference(row, path->input + at, path->baseline + at, width) : 0.0;
                node->d[(int64_t)c * path->n_tokens + t] = (float)d;
                node->slope += d;
            }
            gradient += (int64_t)batch->sequences[sequence++].n * width;
            objective += component->n_outputs;
        }
    }
}

static int32_t points_per_run(const IgPath *path) {
    int64_t rows = 0;
    for (int32_t c = 0; c < path->n_components; c++) {
        rows += path->components[c].sequence.n - path->first;
    }
    int64_t points = rows > 0 ? ROWS_PER_RUN / rows : 1;
    return points < 1 ? 1 : (int32_t)points;
}

static limn_status allocate_node(const IgPath *path, IgNode *node) {
    Arena *arena = path->call->arena;
    if (node->d == NULL) {
        node->d = ARENA_ARRAY(arena, float, (int64_t)path->n_components * path->n_tokens);
        node->f_of = ARENA_ARRAY(arena, double, path->n_components);
    }
    return node->d == NULL || node->f_of == NULL ? method_no_memory(path->call) : LIMN_OK;
}

limn_status ig_evaluate(IgPath *path, IgNode *const *nodes, int32_t n) {
    int32_t most = points_per_run(path);
    int64_t rows = path->n_tokens - path->first;
    for (int32_t done = 0; done < n;) {
        int32_t count = n - done < most ? n - done : most;
        for (int32_t i = 0; i < count; i++) {
            TRY(allocate_node(path, nodes[done + i]));
        }
        Arena scratch;
        arena_init(&scratch);
        Batch batch;
        limn_status status = build_batch(&batch, path, count, &scratch);
        if (status == LIMN_OK) {
            status = reserve_embeddings(path, batch.n_sequences);
        }
        if (status == LIMN_OK) {
            Interpolation work = {path, nodes + done};
            status = parallel_for(batch.n_sequences * rows, 64, interpolate, &work);
        }
        if (status == LIMN_OK) {
            status = run_points(path, path->embeddings, &batch, true);
        }
        if (status == LIMN_OK) {
            read_nodes(path, nodes + done, count, &batch);
        }
        arena_free(&scratch);
        TRY(status);
        done += count;
        path->evaluations += count;
    }
    return LIMN_OK;
}

static limn_status score_some(IgPath *path, const float *embeddings, int32_t n, double *f, Arena *scratch) {
    Batch batch;
    TRY(build_batch(&batch, path, n, scratch));
    TRY(reserve_embeddings(path, batch.n_sequences));
    size_t width = (size_t)path->d_model * sizeof(float);
    size_t rows = (size_t)(path->n_tokens - path->first);
    for (int32_t s = 0; s < batch.n_sequences; s++) {
        const float *from = embeddings + (int64_t)(s / path->n_components) * path->n_tokens * path->d_model;
        memcpy((char *)path->embeddings + (size_t)s * rows * width, from + path->first * path->d_model, rows * width);
    }
    TRY(run_points(path, path->embeddings, &batch, false));
    const float *objective = session_objective(path->session);
    for (int32_t i = 0; i < n; i++) {
        f[i] = 0.0;
        for (int32_t c = 0; c < path->n_components; c++) {
            double factor;
            f[i] += component_value(path, &path->components[c], objective, &factor);
            objective += path->components[c].n_outputs;
        }
    }
    return LIMN_OK;
}

limn_status ig_score(IgPath *path, const float *embeddings, int32_t n, double *f) {
    int32_t most = points_per_run(path);
    for (int32_t done = 0; done < n;) {
        int32_t count = n - done < most ? n - done : most;
        Arena scratch;
        arena_init(&scratch);
        limn_status status =
            score_some(path, embeddings + (int64_t)done * path->n_tokens * path->d_model, count, f + done, &scratch);
        arena_free(&scratch);
        TRY(status);
        done += count;
    }
    return LIMN_OK;
}

limn_status ig_estimate(Result *result, IgPath *path, int64_t nodes, bool at_most) {
    int32_t count = points_per_run(path);
    IgNode *batch_nodes = ARENA_ARRAY(path->call->arena, IgNode, count);
    IgNode **order = ARENA_ARRAY(path->call->arena, IgNode *, count);
    Batch batch;
    if (batch_nodes == NULL || order == NULL) {
        return method_no_memory(path->call);
    }
    for (int32_t i = 0; i < count; i++) {
        batch_nodes[i].alpha = (i + 0.5) / count;
        order[i] = &batch_nodes[i];
    }
    double started = estimate_clock();
    TRY(ig_evaluate(path, order, count));
    double seconds = (estimate_clock() - started) / count;
    TRY(build_batch(&batch, path, count, path->call->arena));
    RunRequest request;
    Edit edit;
    points_request(&request, &edit, path, path->embeddings, &batch, true);
    const EstimateRow rows[] = {{"nodes in one step", count, "nodes"},
                                {"time of one node", seconds, "s"},
                                {at_most ? "nodes, at most" : "nodes", (double)nodes, "nodes"},
                                {at_most ? "time, at most" : "time", seconds * (double)nodes, "s"}};
    return estimate_show(result, path->session, &request, rows, 4);
}
