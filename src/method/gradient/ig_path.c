#include "method/gradient/ig_path.h"

#include <string.h>

#include "ask/baseline.h"
#include "base/integers.h"
#include "call/estimate.h"

/* Rows at the front that nothing changes: none in a model that looks ahead, and none that an output is read from. */
static int32_t first_free(const IgPath *path) {
    int32_t first = 0;
    while (engine_model(path->engine)->config.causal && first < path->n_tokens && path->fixed[first]) {
        first++;
    }
    return first;
}

limn_status ig_path_open(IgPath *path, MethodCall *call, Engine *engine, Answer *answer, const Prompt *prompt,
                         const bool *fixed) {
    *path = (IgPath){.call = call,
                     .engine = engine,
                     .answer = answer,
                     .n_tokens = answer_reach(answer),
                     .d_model = engine_model(engine)->config.d_embed,
                     .n_parts = answer_n_parts(answer)};
    size_t values = (size_t)path->n_tokens * (size_t)path->d_model;
    path->input = arena_alloc_aligned(call->arena, values * sizeof(float), 64);
    path->baseline = arena_alloc_aligned(call->arena, values * sizeof(float), 64);
    path->fixed = ARENA_ARRAY(call->arena, bool, path->n_tokens + 1);
    if (path->input == NULL || path->baseline == NULL || path->fixed == NULL) {
        return method_no_memory(call);
    }
    memcpy(path->fixed, fixed, (size_t)path->n_tokens * sizeof *fixed);
    int32_t first = first_free(path);
    if (first == path->n_tokens) {
        return fail(LIMN_USAGE, "no token of the prompt is left to explain: all are special or fixed");
    }
    path->first = (int32_t)smaller(first, answer_first_output(answer));
    return embed_ids(path->input, engine, prompt->ids, path->n_tokens, call->progress);
}

void ig_path_free(IgPath *path) {
    answer_free(path->answer);
    path->answer = NULL;
}

void ig_path_begin(IgPath *path) {
    path->evaluations = 0;
    answer_batcher(path->answer)->done = path->earlier;
}

void ig_path_expect(IgPath *path, int64_t nodes) {
    answer_batcher(path->answer)->expected = path->earlier + nodes * larger(1, path->integrals);
}

/* ---- nodes ---- */

typedef struct Evaluation {
    const IgPath *path;
    IgNode *const *nodes;
    bool gradient;
} Evaluation;

static const float *baseline_of(const IgPath *path, const IgNode *node) {
    return node->baseline != NULL ? node->baseline : path->baseline;
}

/* Row `row` of node i: baseline + alpha (input - baseline). */
static void interpolate(void *context, int64_t i, int32_t row, float *out) {
    const Evaluation *work = context;
    const IgPath *path = work->path;
    float alpha = (float)work->nodes[i]->alpha;
    const float *x = path->input + row * path->d_model;
    const float *b = baseline_of(path, work->nodes[i]) + row * path->d_model;
    if (path->fixed[row]) {
        memcpy(out, x, (size_t)path->d_model * sizeof *out);
        return;
    }
    for (int64_t e = 0; e < path->d_model; e++) {
        out[e] = b[e] + alpha * (x[e] - b[e]);
    }
}

/* sum of gradient (x - b) over one row, each term in single precision. */
static double dot_difference(const float *gradient, const float *x, const float *b, int64_t n) {
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++) {
        sum += (double)(gradient[e] * (x[e] - b[e]));
    }
    return sum;
}

static void read_derivatives(const IgPath *path, IgNode *node, int32_t p, const AnswerPart *part) {
    int64_t width = path->d_model;
    const float *baseline = baseline_of(path, node);
    for (int32_t t = path->first; t < path->n_tokens; t++) {
        bool reached = t < part->first + part->n && !path->fixed[t];
        const float *gradient = part->grads[0] + (int64_t)(t - part->first) * width;
        int64_t at = (int64_t)t * width;
        double d = reached ? part->slope * dot_difference(gradient, path->input + at, baseline + at, width) : 0.0;
        node->d[(int64_t)p * path->n_tokens + t] = (float)d;
        node->slope += d;
    }
}

static limn_status read_node(void *context, int64_t i, const AnswerValue *value) {
    const Evaluation *work = context;
    IgNode *node = work->nodes[i];
    node->f = value->f;
    node->slope = 0.0;
    for (int32_t p = 0; p < value->n_parts; p++) {
        node->f_of[p] = value->parts[p].value;
        if (work->gradient) {
            read_derivatives(work->path, node, p, &value->parts[p]);
        }
    }
    return LIMN_OK;
}

static limn_status allocate_node(const IgPath *path, IgNode *node) {
    Arena *arena = path->call->arena;
    if (node->d == NULL) {
        node->d = ARENA_ARRAY(arena, float, (int64_t)path->n_parts * path->n_tokens);
        node->f_of = ARENA_ARRAY(arena, double, path->n_parts);
    }
    return node->d == NULL || node->f_of == NULL ? method_no_memory(path->call) : LIMN_OK;
}

static AnswerRequest request_of(const Evaluation *work, int32_t n) {
    const IgPath *path = work->path;
    return (AnswerRequest){.n = n,
                           .embed_begin = path->first,
                           .embed_end = path->n_tokens,
                           .embed = interpolate,
                           .deliver = read_node,
                           .context = (void *)(uintptr_t)work,
                           .grads = &engine_model(path->engine)->graph.embed,
                           .n_grads = work->gradient ? 1 : 0};
}

static limn_status evaluate(IgPath *path, IgNode *const *nodes, int32_t n, bool gradient) {
    for (int32_t i = 0; i < n; i++) {
        TRY(allocate_node(path, nodes[i]));
    }
    const Evaluation work = {path, nodes, gradient};
    const AnswerRequest request = request_of(&work, n);
    TRY(answer_run(path->answer, &request));
    path->evaluations += n;
    return LIMN_OK;
}

limn_status ig_evaluate(IgPath *path, IgNode *const *nodes, int32_t n) {
    return evaluate(path, nodes, n, true);
}

limn_status ig_evaluate_values(IgPath *path, IgNode *const *nodes, int32_t n) {
    return evaluate(path, nodes, n, false);
}

limn_status ig_estimate(Result *result, IgPath *path, const IgCost *cost) {
    Evaluation work = {.path = path, .gradient = true};
    AnswerRequest like = request_of(&work, (int32_t)smaller(cost->nodes + 1, INT32_MAX));
    int32_t count = (int32_t)answer_run_cases(path->answer, &like);
    IgNode *batch = ARENA_ARRAY(path->call->arena, IgNode, count);
    IgNode **order = ARENA_ARRAY(path->call->arena, IgNode *, count);
    if (batch == NULL || order == NULL) {
        return method_no_memory(path->call);
    }
    for (int32_t i = 0; i < count; i++) {
        batch[i].alpha = (i + 0.5) / count;
        order[i] = &batch[i];
    }
    double started = estimate_clock();
    TRY(ig_evaluate_values(path, order, count));
    double between = estimate_clock();
    TRY(ig_evaluate(path, order, count));
    double of_value = (between - started) / count;
    double of_node = (estimate_clock() - between) / count;
    work.nodes = order;
    AnswerRequest request = request_of(&work, count);
    RunRequest step;
    TRY(answer_bound_request(path->answer, &request, &step));
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
    return estimate_show(result, path->call, path->engine, &step,
                         blocks_of(cost->spent + cost->nodes + cost->values, count), rows, about ? 8 : 6);
}
