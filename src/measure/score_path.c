#include "measure/score_path.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ask/baseline.h"
#include "base/integers.h"
#include "base/parallel.h"
#include "call/estimate.h"

/* Rows of one run: enough to fill the matrix kernels, few enough for the caches. */
enum { ROWS_PER_RUN = 256 };

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

/* The first row whose output is read: no run can begin behind it. */
static int32_t first_output(const IgPath *path) {
    int32_t first = path->n_tokens - 1;
    for (int32_t c = 0; c < path->n_components; c++) {
        for (int32_t k = 0; k < path->components[c].n_outputs; k++) {
            int32_t row = path->components[c].outputs[k].row;
            first = row < first ? row : first;
        }
    }
    return first;
}

/* A run inside the path: what people see is how many nodes are done, and where it is known how many there will be,
 * how far the nodes of this run are. */
static bool tick_nodes(void *context, const char *stage, int64_t done, int64_t total) {
    (void)stage;
    const IgPath *path = context;
    const Progress *outer = path->call->progress;
    if (outer == NULL || outer->tick == NULL) {
        return true;
    }
    bool known = path->expected > 0 && total > 0;
    int64_t parts = known ? total : 1; /* of a node */
    int64_t all = path->earlier + path->expected * larger(1, path->integrals);
    int64_t so_far = (path->earlier + path->evaluations) * parts + (known ? path->running * done : 0);
    return outer->tick(outer->context, path->stage == NULL ? "integrate" : path->stage, so_far,
                       path->expected > 0 ? larger(all * parts, so_far) : 0);
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
    TRY(embed_ids(path->input, path->session, path->components[0].sequence.ids, path->n_tokens, path->call->progress));
    path->first = 0;
    const ModelConfig *config = &session_model(path->session)->config;
    while (config->causal && path->first < path->n_tokens && path->fixed[path->first]) {
        path->first++;
    }
    if (path->first == path->n_tokens) {
        return fail(LIMN_USAGE, "no token of the prompt is left to explain: all are special or fixed");
    }
    path->first = (int32_t)smaller(path->first, first_output(path));
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

/* Points of the line, or beside it: embeddings of rows [first, P). */
typedef struct Points {
    const float *embeddings; /* [n, P - first, D] */
    const KvCache *prefix;   /* rows before a point's own, NULL: none */
    const int32_t *from;     /* [n] a point's own rows begin here; NULL: at path->first */
    int32_t n;
} Points;

/* One run: for each point, each component. */
typedef struct Batch {
    SequenceInput *sequences;
    Edit *edits; /* [n_sequences] */
    OutputRow *outputs;
    int32_t n_sequences;
    int32_t n_outputs;
} Batch;

static int32_t own_rows_begin(const IgPath *path, const Points *points, int32_t i) {
    return points->from == NULL ? path->first : (int32_t)smaller(points->from[i], first_output(path));
}

static int64_t point_values(const IgPath *path) {
    return (path->n_tokens - path->first) * path->d_model;
}

static void add_sequence(Batch *batch, const IgPath *path, const Points *points, int32_t i,
                         const IgComponent *component) {
    int32_t from = own_rows_begin(path, points, i);
    SequenceInput sequence = component->sequence;
    sequence.ids += from;
    sequence.n -= from;
    sequence.types = sequence.types == NULL ? NULL : sequence.types + from;
    sequence.mask = sequence.mask == NULL ? NULL : sequence.mask + from;
    sequence.prefix = points->prefix;
    sequence.prefix_length = from;
    for (int32_t k = 0; k < component->n_outputs; k++) {
        OutputRow output = component->outputs[k];
        output.sequence = batch->n_sequences;
        output.row -= from;
        batch->outputs[batch->n_outputs++] = output;
    }
    batch->edits[batch->n_sequences] =
        (Edit){.node = session_model(path->session)->graph.embed,
               .kind = EDIT_SET,
               .sequence = batch->n_sequences,
               .row_end = path->n_tokens - from,
               .element_end = -1,
               .values = points->embeddings + i * point_values(path) + (from - path->first) * path->d_model,
               .row_stride = path->d_model};
    batch->sequences[batch->n_sequences++] = sequence;
}

static limn_status build_batch(Batch *batch, const IgPath *path, const Points *points, Arena *arena) {
    int32_t outputs = 0;
    for (int32_t c = 0; c < path->n_components; c++) {
        outputs += path->components[c].n_outputs;
    }
    int64_t sequences = (int64_t)points->n * path->n_components;
    *batch = (Batch){.sequences = ARENA_ARRAY(arena, SequenceInput, sequences),
                     .edits = ARENA_ARRAY(arena, Edit, sequences),
                     .outputs = ARENA_ARRAY(arena, OutputRow, (int64_t)points->n * outputs)};
    if (batch->sequences == NULL || batch->edits == NULL || batch->outputs == NULL) {
        return fail(LIMN_NO_MEMORY, "a batch of %d passes", points->n);
    }
    for (int32_t i = 0; i < points->n; i++) {
        for (int32_t c = 0; c < path->n_components; c++) {
            add_sequence(batch, path, points, i, &path->components[c]);
        }
    }
    return LIMN_OK;
}

static RunRequest batch_request(const IgPath *path, const Batch *batch, bool gradient) {
    return (RunRequest){.sequences = batch->sequences,
                        .n_sequences = batch->n_sequences,
                        .outputs = batch->outputs,
                        .n_outputs = batch->n_outputs,
                        .grads = &session_model(path->session)->graph.embed,
                        .n_grads = gradient ? 1 : 0,
                        .edits = batch->edits,
                        .n_edits = batch->n_sequences,
                        .objective = path->objective};
}

/* A run of n points, which are counted when it is done. */
static limn_status run_request(IgPath *path, const RunRequest *request, int32_t n) {
    path->progress = (Progress){tick_nodes, path};
    path->running = n;
    TRY(session_run(path->session, request, &path->progress));
    path->evaluations += n;
    return LIMN_OK;
}

static limn_status reserve_embeddings(IgPath *path, int32_t n) {
    size_t needed = (size_t)n * (size_t)point_values(path) * sizeof(float);
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

/* Row r of node i: baseline + alpha (input - baseline). */
static limn_status interpolate(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Interpolation *work = context;
    const IgPath *path = work->path;
    int64_t rows = path->n_tokens - path->first;
    for (int64_t item = begin; item < end; item++) {
        float alpha = (float)work->nodes[item / rows]->alpha;
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

/* F of one point; *objective moves to the next point's. f_of: [C], or NULL. */
static double point_value(const IgPath *path, const float **objective, double *f_of) {
    double f = 0.0;
    for (int32_t c = 0; c < path->n_components; c++) {
        double factor;
        double value = component_value(path, &path->components[c], *objective, &factor);
        *objective += path->components[c].n_outputs;
        f += value;
        if (f_of != NULL) {
            f_of[c] = value;
        }
    }
    return f;
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

/* Own rows of the points of one run, with those of a target's tokens behind the prompt. */
static int64_t rows_of(const IgPath *path, const int32_t *from, int32_t n) {
    int64_t rows = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t c = 0; c < path->n_components; c++) {
            rows += path->components[c].sequence.n - (from == NULL ? path->first : from[i]);
        }
    }
    return rows;
}

/* How many of n points make the next run: all runs about as long, none longer than need be nor than memory allows. */
static int32_t points_of_run(const IgPath *path, const int32_t *from, int32_t n) {
    int64_t all = rows_of(path, from, n);
    int64_t runs = larger(1, blocks_of(all, ROWS_PER_RUN));
    int32_t count = 1;
    int32_t most = path->most_points > 0 && path->most_points < n ? path->most_points : n;
    while (count < most && rows_of(path, from, count + 1) <= blocks_of(all, runs)) {
        count++;
    }
    return count;
}

/* Whether a run that found no memory is worth another try with fewer points: the answer has the same bits. */
static bool retry_smaller(IgPath *path, limn_status status, int32_t points) {
    if (status != LIMN_NO_MEMORY || points <= 1) {
        return false;
    }
    path->most_points = points / 2;
    return true;
}

static limn_status allocate_node(const IgPath *path, IgNode *node) {
    Arena *arena = path->call->arena;
    if (node->d == NULL) {
        node->d = ARENA_ARRAY(arena, float, (int64_t)path->n_components * path->n_tokens);
        node->f_of = ARENA_ARRAY(arena, double, path->n_components);
    }
    return node->d == NULL || node->f_of == NULL ? method_no_memory(path->call) : LIMN_OK;
}

static limn_status evaluate_run(IgPath *path, IgNode *const *nodes, int32_t n, bool gradient, Arena *scratch) {
    for (int32_t i = 0; i < n; i++) {
        TRY(allocate_node(path, nodes[i]));
    }
    TRY(reserve_embeddings(path, n));
    Interpolation work = {path, nodes};
    TRY(parallel_for(path->call->team, (int64_t)n * (path->n_tokens - path->first), 64, interpolate, &work));
    Points points = {.embeddings = path->embeddings, .prefix = path->prefix, .n = n};
    Batch batch;
    TRY(build_batch(&batch, path, &points, scratch));
    RunRequest request = batch_request(path, &batch, gradient);
    TRY(run_request(path, &request, n));
    if (gradient) {
        read_nodes(path, nodes, n, &batch);
        return LIMN_OK;
    }
    const float *objective = session_objective(path->session);
    for (int32_t i = 0; i < n; i++) {
        nodes[i]->f = point_value(path, &objective, nodes[i]->f_of);
    }
    return LIMN_OK;
}

static limn_status evaluate(IgPath *path, IgNode *const *nodes, int32_t n, bool gradient) {
    for (int32_t done = 0; done < n;) {
        int32_t count = points_of_run(path, NULL, n - done);
        Arena scratch;
        arena_init(&scratch);
        limn_status status = evaluate_run(path, nodes + done, count, gradient, &scratch);
        arena_free(&scratch);
        if (retry_smaller(path, status, count)) {
            continue;
        }
        TRY(status);
        done += count;
    }
    return LIMN_OK;
}

limn_status ig_evaluate(IgPath *path, IgNode *const *nodes, int32_t n) {
    return evaluate(path, nodes, n, true);
}

limn_status ig_evaluate_values(IgPath *path, IgNode *const *nodes, int32_t n) {
    return evaluate(path, nodes, n, false);
}

/* Whether rows of the input can be read by all components: their keys are the same in each. */
static bool rows_can_be_shared(const IgPath *path) {
    const ModelConfig *config = &session_model(path->session)->config;
    bool alike = config->causal;
    for (int32_t c = 0; c < path->n_components; c++) {
        alike = alike && model_lengths_alike(config, path->components[0].sequence.n, path->components[c].sequence.n);
    }
    return alike;
}

static limn_status score_input(IgPath *path, const Batch *batch, KvCache *clean, double *f, Arena *scratch) {
    RunRequest request = batch_request(path, batch, false);
    request.n_edits = 0;
    KvCache **appends = ARENA_ARRAY(scratch, KvCache *, batch->n_sequences);
    if (appends == NULL) {
        return method_no_memory(path->call);
    }
    appends[0] = clean;
    request.appends = clean == NULL ? NULL : appends;
    TRY(run_request(path, &request, 1));
    const float *objective = session_objective(path->session);
    *f = point_value(path, &objective, NULL);
    return LIMN_OK;
}

limn_status ig_score_input(IgPath *path, bool wanted, KvCache **clean, double *f) {
    *clean = NULL;
    if (wanted && rows_can_be_shared(path)) {
        TRY(kv_cache_new(clean, session_model(path->session), path->components[0].sequence.n));
    }
    limn_status status = LIMN_OK;
    if (*clean != NULL && path->first > 0) {
        status = kv_cache_copy(*clean, path->prefix, path->first);
    }
    Arena scratch;
    arena_init(&scratch);
    Points input = {.embeddings = path->input + path->first * path->d_model, .prefix = path->prefix, .n = 1};
    Batch batch;
    if (status == LIMN_OK) {
        status = build_batch(&batch, path, &input, &scratch);
    }
    if (status == LIMN_OK) {
        status = score_input(path, &batch, *clean, f, &scratch);
    }
    arena_free(&scratch);
    if (status != LIMN_OK) {
        kv_cache_free(*clean);
        *clean = NULL;
    }
    return status;
}

limn_status ig_score(IgPath *path, const KvCache *clean, const float *embeddings, const int32_t *from, int32_t n,
                     double *f) {
    from = clean == NULL ? NULL : from;
    for (int32_t done = 0; done < n;) {
        Points points = {.embeddings = embeddings + done * point_values(path),
                         .prefix = clean == NULL ? path->prefix : clean,
                         .from = from == NULL ? NULL : from + done};
        points.n = points_of_run(path, points.from, n - done);
        Arena scratch;
        arena_init(&scratch);
        Batch batch;
        limn_status status = build_batch(&batch, path, &points, &scratch);
        if (status == LIMN_OK) {
            RunRequest request = batch_request(path, &batch, false);
            status = run_request(path, &request, points.n);
        }
        arena_free(&scratch);
        if (retry_smaller(path, status, points.n)) {
            continue;
        }
        TRY(status);
        const float *objective = session_objective(path->session);
        for (int32_t i = 0; i < points.n; i++) {
            f[done + i] = point_value(path, &objective, NULL);
        }
        done += points.n;
    }
    return LIMN_OK;
}

limn_status ig_estimate(Result *result, IgPath *path, const IgCost *cost) {
    int32_t count = points_of_run(path, NULL, (int32_t)smaller(cost->nodes + 1, ROWS_PER_RUN));
    IgNode *batch_nodes = ARENA_ARRAY(path->call->arena, IgNode, count);
    IgNode **order = ARENA_ARRAY(path->call->arena, IgNode *, count);
    if (batch_nodes == NULL || order == NULL) {
        return method_no_memory(path->call);
    }
    for (int32_t i = 0; i < count; i++) {
        batch_nodes[i].alpha = (i + 0.5) / count;
        order[i] = &batch_nodes[i];
    }
    double started = estimate_clock();
    TRY(ig_evaluate_values(path, order, count));
    double between = estimate_clock();
    TRY(ig_evaluate(path, order, count));
    double of_value = (between - started) / count;
    double of_node = (estimate_clock() - between) / count;
    Points points = {.embeddings = path->embeddings, .prefix = path->prefix, .n = count};
    Batch batch;
    TRY(build_batch(&batch, path, &points, path->call->arena));
    RunRequest request = batch_request(path, &batch, true);
    double checks = of_value * (double)cost->values, seconds = cost->seconds + checks + of_node * (double)cost->nodes;
    double all = (double)(cost->spent + cost->nodes);
    bool about = cost->most > 0;
    const EstimateRow rows[] = {{"nodes in one step", count, "nodes"},
                                {"time of one node", of_node, "s"},
                                {about ? "nodes, about" : "nodes", all, "nodes"},
                                {"time of one pass without gradient", of_value, "s"},
                                {"such passes, at most", (double)cost->values, "passes"},
                                {"time, about", seconds, "s"},
                                {"nodes, at most", (double)cost->most, "nodes"},
                                {"time, at most", seconds + of_node * ((double)cost->most - all), "s"}};
    result_headline(result, SAY(path->call, "About %.3g s for %.0f nodes", "约 %.3g 秒，%.0f 个节点"), seconds, all);
    return estimate_show(result, path->session, &request, blocks_of(cost->spent + cost->nodes + cost->values, count),
                         rows, about ? 8 : 6);
}
