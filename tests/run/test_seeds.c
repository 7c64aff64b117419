/* Seeds: each kind of objective has the value that its formula says and the gradient of its finite differences, at the
 * logits and inside the model; gradients handed over as they come are those that are kept. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "run/engine.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail; (fail) is ours */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { WIDTH = 24, VOCAB = 50, N_ROWS = 11, N_OUTPUTS = 4 };

static Model model;
static const char *backend;

static const int32_t ids_a[] = {3, 14, 15, 9, 26, 5, 35};
static const int32_t ids_b[] = {2, 7, 18, 28};
static const SequenceInput sequences[] = {{.ids = ids_a, .n = 7}, {.ids = ids_b, .n = 4}};
/* out of order, one row twice, one without a target */
static const OutputRow outputs[N_OUTPUTS] = {{1, 3, 12, 0.5F}, {0, 6, 11, 1.0F}, {0, 6, 4, -0.7F}, {0, 2, -1, 0.9F}};

static float reference[N_OUTPUTS * VOCAB], direction[N_OUTPUTS * WIDTH];

static const int32_t some[] = {2, 11, 17, 40}, others[] = {0, 11, 33};
/* rows with one, two, three ids and one again */
static const int32_t ragged[] = {7, 1, 49, 0, 5, 6, 23}, ragged_begin[] = {0, 1, 3, 6, 7};

typedef struct Judged {
    const char *name;
    const char *site; /* NULL: the logits */
    Seed seed;
} Judged;

static limn_status product_of_two(void *context, int32_t output, const float *x, int64_t width, double *value,
                                  float *gradient) {
    int32_t *calls = context;
    ++*calls;
    if (width != WIDTH || output < 0 || output >= N_OUTPUTS) {
        return (fail)(LIMN_INTERNAL, "row %d of %lld elements", output, (long long)width);
    }
    *value = (double)x[1] * (double)x[20] + 0.1 * output;
    for (int64_t i = 0; i < width && gradient != NULL; i++) {
        gradient[i] = i == 1 ? x[20] : i == 20 ? x[1] : 0.0F;
    }
    return LIMN_OK;
}

static int32_t calls;

static const Judged judged[] = {
    {"log prob of each target", NULL, {.kind = SEED_LOG_PROB}},
    {"log prob of a set", NULL, {.kind = SEED_LOG_PROB, .targets = {some, 4, NULL}}},
    {"log prob of ragged sets", NULL, {.kind = SEED_LOG_PROB, .targets = {ragged, 0, ragged_begin}}},
    {"prob", NULL, {.kind = SEED_PROB, .targets = {some, 4, NULL}}},
    {"logit", NULL, {.kind = SEED_LOGIT}},
    {"logit of a set", NULL, {.kind = SEED_LOGIT, .targets = {ragged, 0, ragged_begin}}},
    {"log odds", NULL, {.kind = SEED_LOG_ODDS}},
    {"log odds of a set", NULL, {.kind = SEED_LOG_ODDS, .targets = {some, 4, NULL}}},
    {"lead", NULL, {.kind = SEED_LEAD}},
    {"lead of a set", NULL, {.kind = SEED_LEAD, .targets = {some, 4, NULL}}},
    {"difference", NULL, {.kind = SEED_DIFFERENCE, .contrasts = {others, 1, NULL}}},
    {"difference of sets", NULL, {.kind = SEED_DIFFERENCE, .targets = {some, 4, NULL}, .contrasts = {others, 3, NULL}}},
    {"kl", NULL, {.kind = SEED_KL, .values = reference, .row_stride = VOCAB}},
    {"kl to one reference", NULL, {.kind = SEED_KL, .values = reference}},
    {"reverse kl", NULL, {.kind = SEED_REVERSE_KL, .values = reference, .row_stride = VOCAB}},
    {"entropy", NULL, {.kind = SEED_ENTROPY}},
    {"direction in the stream", "blocks.1.hook_resid_post", {.kind = SEED_LINEAR, .values = direction}},
    {"a vector for each row",
     "blocks.2.hook_resid_mid",
     {.kind = SEED_LINEAR, .values = direction, .row_stride = WIDTH}},
    {"a coordinate", "blocks.0.hook_mlp_out", {.kind = SEED_LOGIT, .targets = {some + 2, 1, NULL}}},
    {"heads", "blocks.1.attn.hook_z", {.kind = SEED_LINEAR, .values = direction, .row_stride = WIDTH}},
    {"last normalised", "ln_final.hook_normalized", {.kind = SEED_LINEAR, .values = direction}},
    {"function", "blocks.1.hook_attn_out", {.kind = SEED_CALLBACK, .function = product_of_two, .context = &calls}},
};
enum { N_JUDGED = sizeof judged / sizeof judged[0] };

static Seed seed_of(int which) {
    Seed seed = judged[which].seed;
    seed.node = judged[which].site == NULL ? model.graph.logits : graph_find_site(&model.graph, judged[which].site);
    assert_int_not_equal(seed.node, NODE_NONE);
    return seed;
}

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    EngineOptions chosen = options == NULL ? (EngineOptions){0} : *options;
    chosen.backend = backend;
    assert_int_equal(engine_new(&engine, &model, &chosen), LIMN_OK);
    return engine;
}

static void run(Engine *engine, const RunRequest *request) {
    if (engine_run(engine, request, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static RunRequest request_of(const Seed *seeds, int32_t n) {
    return (RunRequest){.sequences = sequences,
                        .n_sequences = 2,
                        .outputs = outputs,
                        .n_outputs = N_OUTPUTS,
                        .seeds = seeds,
                        .n_seeds = n};
}

/* ---- values ---- */

static bool in_set(const IdSets *sets, int32_t output, int32_t id) {
    if (sets->ids == NULL) {
        return outputs[output].target == id;
    }
    int32_t begin = sets->begin == NULL ? 0 : sets->begin[output];
    int32_t end = sets->begin == NULL ? sets->n : sets->begin[output + 1];
    for (int32_t i = begin; i < end; i++) {
        if (sets->ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void softmax(double *p, const float *x, int64_t n) {
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += exp((double)x[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        p[i] = exp((double)x[i]) / sum;
    }
}

/* F as its row of seeds.def has it, the plain way. */
static double expected_value(const Seed *seed, int32_t o, const float *x, int64_t n) {
    double p[VOCAB], q[VOCAB], own = 0.0, against = 0.0, best = -INFINITY, raw = 0.0, sum = 0.0;
    const float *v = seed->values == NULL ? NULL : seed->values + o * seed->row_stride;
    bool any = false;
    softmax(p, x, n);
    if (v != NULL && seed->kind != SEED_LINEAR) {
        softmax(q, v, n);
    }
    for (int32_t i = 0; i < n; i++) {
        bool target = in_set(&seed->targets, o, i);
        any = any || target;
        own += target ? p[i] : 0.0;
        raw += target ? exp((double)x[i]) : 0.0;
        against += seed->kind == SEED_DIFFERENCE && in_set(&seed->contrasts, o, i) ? p[i] : 0.0;
        best = target ? best : fmax(best, p[i]);
    }
    switch (seed->kind) {
    case SEED_LOG_PROB:
        return any ? log(own) : 0.0;
    case SEED_PROB:
        return own;
    case SEED_LOGIT:
        return any ? log(raw) : 0.0;
    case SEED_LOG_ODDS:
        return any ? log(own / (1.0 - own)) : 0.0;
    case SEED_LEAD:
        return any ? log(own / best) : 0.0;
    case SEED_DIFFERENCE:
        return any ? log(own / against) : 0.0;
    case SEED_CALLBACK:
        return (double)x[1] * (double)x[20] + 0.1 * o;
    default:
        break;
    }
    for (int32_t i = 0; i < n; i++) {
        sum += seed->kind == SEED_KL           ? q[i] * log(q[i] / p[i])
               : seed->kind == SEED_REVERSE_KL ? p[i] * log(p[i] / q[i])
               : seed->kind == SEED_ENTROPY    ? -p[i] * log(p[i])
                                               : (double)v[i] * (double)x[i];
    }
    return sum;
}

static const int32_t first_row[] = {0, 7};

/* The value of the site at each output row, [N_OUTPUTS, width]: from a run that taps it. */
static int64_t rows_at(Engine *engine, const Seed *seed, float *found) {
    RunRequest request = request_of(NULL, 0);
    if (seed->node == model.graph.logits) {
        request.logits = true;
        run(engine, &request);
        memcpy(found, engine_logits(engine), sizeof *found * N_OUTPUTS * VOCAB);
        return VOCAB;
    }
    request.taps = &seed->node;
    request.n_taps = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *tapped = engine_tap(engine, seed->node, &rows, &width);
    assert_int_equal(rows, N_ROWS);
    for (int32_t o = 0; o < N_OUTPUTS; o++) {
        memcpy(found + o * width, tapped + (first_row[outputs[o].sequence] + outputs[o].row) * width,
               sizeof *found * (size_t)width);
    }
    return width;
}

static void values_are_what_the_table_says(void **state) {
    (void)state;
    Engine *engine = open_engine(&(EngineOptions){.chunk_rows = 3});
    int failures = 0;
    bool seen[SEED_KIND_COUNT] = {false};
    for (int i = 0; i < N_JUDGED; i++) {
        Seed seed = seed_of(i);
        float x[N_OUTPUTS * VOCAB];
        int64_t width = rows_at(engine, &seed, x);
        RunRequest request = request_of(&seed, 1);
        run(engine, &request);
        assert_null(engine_logits(engine));
        double total = 0.0;
        for (int32_t o = 0; o < N_OUTPUTS; o++) {
            double expected = expected_value(&seed, o, x + o * width, width);
            double found = (double)engine_seed(engine, 0)[o];
            total += (double)outputs[o].weight * found;
            if (!(fabs(found - expected) <= 2e-5 * (1.0 + fabs(expected)))) {
                print_error("%s, %s: output %d has %.7g, expected %.7g\n", backend, judged[i].name, o, found, expected);
                failures++;
            }
        }
        assert_true(fabs(total - engine_total(engine)) < 1e-6 * (1.0 + fabs(total)));
        seen[seed.kind] = true;
    }
    for (int kind = 0; kind < SEED_KIND_COUNT; kind++) {
        assert_true(seen[kind]);
    }
    assert_int_equal(failures, 0);
    engine_free(engine);
}

/* ---- gradients ---- */

static double pushed_total(Engine *engine, const Seed *seeds, int32_t n, NodeId node, int32_t row, int64_t element,
                           float push) {
    Edit edit = {.node = node,
                 .kind = EDIT_ADD,
                 .sequence = row < 7 ? 0 : 1,
                 .row_begin = row < 7 ? row : row - 7,
                 .row_end = (row < 7 ? row : row - 7) + 1,
                 .element_begin = element,
                 .element_end = element + 1,
                 .values = &push};
    RunRequest request = request_of(seeds, n);
    request.edits = &edit;
    request.n_edits = 1;
    run(engine, &request);
    return engine_total(engine);
}

/* How many of some elements of the embedding miss their finite difference, in units of what is allowed. */
static double worst_miss(Engine *engine, const Seed *seeds, int32_t n, const float *grad) {
    static const int32_t rows[] = {0, 2, 6, 8, 10};
    static const int64_t elements[] = {0, 7, 13, 18, 23};
    const float step = 8e-3F; /* smaller: rounding; larger: curvature */
    double worst = 0.0;
    for (int i = 0; i < 5; i++) {
        double up = pushed_total(engine, seeds, n, model.graph.embed, rows[i], elements[i], step);
        double down = pushed_total(engine, seeds, n, model.graph.embed, rows[i], elements[i], -step);
        double seen = (up - down) / (2.0 * (double)step);
        double gap = fabs(seen - (double)grad[rows[i] * WIDTH + elements[i]]);
        worst = fmax(worst, gap / (1e-3 + 2e-2 * fabs(seen)));
    }
    return worst;
}

static float *gradient_of(Engine *engine, const Seed *seeds, int32_t n) {
    RunRequest request = request_of(seeds, n);
    request.grads = &model.graph.embed;
    request.n_grads = 1;
    run(engine, &request);
    int32_t rows;
    int64_t width;
    const float *grad = engine_grad(engine, model.graph.embed, &rows, &width);
    assert_int_equal(rows * width, N_ROWS * WIDTH);
    float *copy = malloc(sizeof *copy * N_ROWS * WIDTH);
    assert_non_null(copy);
    memcpy(copy, grad, sizeof *copy * N_ROWS * WIDTH);
    return copy;
}

static void gradients_are_finite_differences(void **state) {
    (void)state;
    int failures = 0;
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        Engine *engine = open_engine(&(EngineOptions){.keep = (KeepPolicy)keep, .chunk_rows = 3});
        for (int i = 0; i < N_JUDGED; i++) {
            Seed seed = seed_of(i);
            float *grad = gradient_of(engine, &seed, 1);
            double miss = worst_miss(engine, &seed, 1, grad);
            if (!(miss <= 1.0)) {
                print_error("%s, policy %d, %s: misses its finite difference by %.3g\n", backend, keep, judged[i].name,
                            miss);
                failures++;
            }
            /* the mutant: another kind, or another vector, has another gradient */
            Seed mutant = seed_of((i + 1) % N_JUDGED);
            float *wrong = gradient_of(engine, &mutant, 1);
            if (!(worst_miss(engine, &seed, 1, wrong) > 3.0)) {
                print_error("%s: takes the gradient of %s for its own\n", judged[i].name,
                            judged[(i + 1) % N_JUDGED].name);
                failures++;
            }
            free(wrong);
            free(grad);
        }
        engine_free(engine);
    }
    assert_int_equal(failures, 0);
}

/* All seeds in one run, with weights of their own: values as alone, the gradient the weighted sum. */
static void seeds_add_up(void **state) {
    (void)state;
    static float weights[N_JUDGED][N_OUTPUTS];
    Random random;
    random_seed(&random, 3);
    Seed seeds[N_JUDGED];
    double sum[N_ROWS * WIDTH] = {0.0};
    double total = 0.0;
    float alone[N_JUDGED][N_OUTPUTS];
    Engine *engine = open_engine(NULL);
    for (int i = 0; i < N_JUDGED; i++) {
        for (int o = 0; o < N_OUTPUTS; o++) {
            weights[i][o] = (float)random_normal(&random);
        }
        seeds[i] = seed_of(i);
        seeds[i].weights = weights[i];
        float *grad = gradient_of(engine, &seeds[i], 1);
        memcpy(alone[i], engine_seed(engine, 0), sizeof alone[i]);
        total += engine_total(engine);
        for (int64_t e = 0; e < N_ROWS * WIDTH; e++) {
            sum[e] += (double)grad[e];
        }
        free(grad);
    }
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        Engine *all = open_engine(&(EngineOptions){.keep = (KeepPolicy)keep, .chunk_rows = 2});
        float *grad = gradient_of(all, seeds, N_JUDGED);
        double largest = 0.0, gap = 0.0;
        for (int64_t e = 0; e < N_ROWS * WIDTH; e++) {
            largest = fmax(largest, fabs(sum[e]));
            gap = fmax(gap, fabs(sum[e] - (double)grad[e]));
        }
        assert_true(gap <= 1e-5 * largest);
        for (int i = 0; i < N_JUDGED; i++) {
            for (int o = 0; o < N_OUTPUTS; o++) {
                assert_true(fabsf(alone[i][o] - engine_seed(all, i)[o]) <= 1e-5F * (1.0F + fabsf(alone[i][o])));
            }
        }
        assert_true(fabs(total - engine_total(all)) <= 1e-5 * (1.0 + fabs(total)));
        free(grad);
        engine_free(all);
    }
    engine_free(engine);
}

/* The objectives that were there before have the same bits beside a seed, and a seed of their kind agrees with them. */
static void old_objectives_stay(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        Engine *engine = open_engine(NULL);
        RunRequest request = request_of(NULL, 0);
        request.objective = which == 0 ? OBJECTIVE_LOG_PROB : OBJECTIVE_LOGIT;
        request.grads = &model.graph.embed;
        request.n_grads = 1;
        run(engine, &request);
        float objective[N_OUTPUTS], grad[N_ROWS * WIDTH];
        int32_t rows;
        int64_t width;
        memcpy(objective, engine_objective(engine), sizeof objective);
        memcpy(grad, engine_grad(engine, model.graph.embed, &rows, &width), sizeof grad);
        static const float zeros[N_OUTPUTS];
        Seed beside = {.node = model.graph.logits, .kind = SEED_ENTROPY, .weights = zeros};
        request.seeds = &beside;
        request.n_seeds = 1;
        run(engine, &request);
        assert_memory_equal(objective, engine_objective(engine), sizeof objective);
        const float *again = engine_grad(engine, model.graph.embed, &rows, &width);
        Seed same = {.node = model.graph.logits, .kind = which == 0 ? SEED_LOG_PROB : SEED_LOGIT};
        for (int64_t e = 0; e < N_ROWS * WIDTH; e++) {
            assert_true(again[e] == grad[e]);
        }
        float *seeded = gradient_of(engine, &same, 1);
        double largest = 0.0, gap = 0.0;
        for (int64_t e = 0; e < N_ROWS * WIDTH; e++) {
            largest = fmax(largest, fabs((double)grad[e]));
            gap = fmax(gap, fabs((double)seeded[e] - (double)grad[e]));
        }
        assert_true(gap <= 2e-6 * largest);
        for (int o = 0; o < N_OUTPUTS; o++) {
            assert_true(fabsf(objective[o] - engine_seed(engine, 0)[o]) <= 2e-6F * (1.0F + fabsf(objective[o])));
        }
        free(seeded);
        engine_free(engine);
    }
}

/* One program for all kinds at a site; what a run binds may change. */
static void kinds_share_a_program(void **state) {
    (void)state;
    Engine *engine = open_engine(NULL);
    char *texts[2];
    for (int i = 0; i < 2; i++) {
        Seed seed = seed_of(i == 0 ? 0 : 12);
        RunRequest request = request_of(&seed, 1);
        request.grads = &model.graph.embed;
        request.n_grads = 1;
        assert_int_equal(engine_describe_program(engine, &request, &texts[i]), LIMN_OK);
    }
    assert_string_equal(texts[0], texts[1]);
    free(texts[0]);
    free(texts[1]);
    engine_free(engine);
}

/* Neither F nor its gradient needs the logits of all rows at once. */
static void many_rows_keep_no_logits(void **state) {
    (void)state;
    enum { LONG = 600 };
    static int32_t ids[LONG];
    static OutputRow rows[LONG];
    ToyOptions options = TOY_DEFAULTS;
    options.n_vocab = 4000;
    Model wide;
    assert_int_equal(toy_build(&wide, &options), LIMN_OK);
    for (int i = 0; i < LONG; i++) {
        ids[i] = (i * 37) % 4000;
        rows[i] = (OutputRow){0, i, (i * 91) % 4000, 1.0F};
    }
    SequenceInput sequence = {.ids = ids, .n = LONG};
    for (int differentiates = 0; differentiates < 2; differentiates++) {
        Engine *engine;
        assert_int_equal(engine_new(&engine, &wide, &(EngineOptions){.backend = backend, .chunk_rows = 32}), LIMN_OK);
        Seed seed = {.node = wide.graph.logits, .kind = SEED_LOG_ODDS};
        RunRequest request = {.sequences = &sequence,
                              .n_sequences = 1,
                              .outputs = rows,
                              .n_outputs = LONG,
                              .seeds = &seed,
                              .n_seeds = 1,
                              .grads = &wide.graph.embed,
                              .n_grads = differentiates};
        RunEstimate seeded, kept;
        assert_int_equal(engine_estimate(engine, &request, &seeded), LIMN_OK);
        request.logits = true;
        assert_int_equal(engine_estimate(engine, &request, &kept), LIMN_OK);
        size_t logits = (size_t)LONG * 4000 * sizeof(float);
        assert_true(kept.bytes > logits && seeded.bytes < logits / 2);
        engine_free(engine);
    }
    toy_free(&wide);
}

/* ---- gradients as they come ---- */

typedef struct Taken {
    float *grads[64], *values[64]; /* by place in the list of nodes, [N_ROWS, width] */
    const NodeId *nodes;
    int32_t n, calls, stop_after;
    NodeId last, highest;
} Taken;

static limn_status take(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                        const float *value, const float *gradient) {
    Taken *taken = context;
    int32_t which = 0;
    while (which < taken->n && taken->nodes[which] != node) {
        which++;
    }
    if (which == taken->n || ++taken->calls == taken->stop_after) {
        return (fail)(LIMN_CANCELLED, "enough");
    }
    size_t bytes = sizeof(float) * (size_t)(n_rows * width);
    memcpy(taken->grads[which] + row_begin * width, gradient, bytes);
    if (value != NULL) {
        memcpy(taken->values[which] + row_begin * width, value, bytes);
    }
    taken->last = node;
    taken->highest = node > taken->highest ? node : taken->highest;
    return LIMN_OK;
}

static const char *const streamed[] = {"hook_embed",
                                       "blocks.0.hook_resid_mid",
                                       "blocks.0.hook_mlp_out",
                                       "blocks.1.hook_resid_pre",
                                       "blocks.1.ln1.hook_scale",
                                       "blocks.1.attn.hook_q",
                                       "blocks.1.attn.hook_z",
                                       "blocks.1.hook_attn_out",
                                       "blocks.1.mlp.hook_post",
                                       "blocks.2.hook_resid_mid",
                                       "blocks.2.hook_resid_post",
                                       "ln_final.hook_normalized"};
enum { N_STREAMED = sizeof streamed / sizeof streamed[0] };

static void check_streams(KeepPolicy keep, int32_t chunk) {
    NodeId nodes[N_STREAMED];
    Taken taken = {.nodes = nodes, .n = N_STREAMED};
    for (int i = 0; i < N_STREAMED; i++) {
        nodes[i] = graph_find_site(&model.graph, streamed[i]);
        taken.grads[i] = calloc(N_ROWS * 64, sizeof(float));
        taken.values[i] = calloc(N_ROWS * 64, sizeof(float));
    }
    Engine *engine = open_engine(&(EngineOptions){.keep = keep, .chunk_rows = chunk});
    Seed seeds[3] = {seed_of(1), seed_of(16), seed_of(21)};
    GradientSink sink = {.nodes = nodes, .n = N_STREAMED, .with_values = true, .function = take, .context = &taken};
    RunRequest request = request_of(seeds, 3);
    request.sink = &sink;
    run(engine, &request);
    assert_int_equal(taken.last, nodes[0]); /* the lowest comes last */
    request.sink = NULL;
    request.grads = request.taps = nodes;
    request.n_grads = request.n_taps = N_STREAMED;
    run(engine, &request);
    for (int i = 0; i < N_STREAMED; i++) {
        int32_t rows;
        int64_t width;
        const float *grad = engine_grad(engine, nodes[i], &rows, &width);
        for (int64_t e = 0; e < rows * width; e++) {
            assert_true(grad[e] == taken.grads[i][e]);
        }
        const float *value = engine_tap(engine, nodes[i], &rows, &width);
        assert_memory_equal(value, taken.values[i], sizeof(float) * (size_t)(rows * width));
    }
    request.grads = request.taps = NULL;
    request.n_grads = request.n_taps = 0;
    request.sink = &sink;
    taken.calls = 0;
    taken.stop_after = 3;
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_CANCELLED);
    assert_int_equal(taken.calls, 3);
    for (int i = 0; i < N_STREAMED; i++) {
        free(taken.grads[i]);
        free(taken.values[i]);
    }
    engine_free(engine);
}

static void handed_over_gradients_are_the_kept_ones(void **state) {
    (void)state;
    for (int keep = KEEP_EVERYTHING; keep <= KEEP_LAYER_INPUTS; keep++) {
        check_streams((KeepPolicy)keep, 3);
        check_streams((KeepPolicy)keep, 256);
    }
}

/* What the objective does not depend on is not handed over; all layers' gradients of a long prompt need no more than a
 * few rows of a layer each. */
static void streams_keep_nothing(void **state) {
    (void)state;
    enum { LONG = 400, LAYERS = 16, SITES = 4 };
    static const char *const of_layer[SITES] = {"hook_resid_post", "mlp.hook_post", "attn.hook_z", "attn.hook_q"};
    static int32_t ids[LONG];
    ToyOptions options = TOY_DEFAULTS;
    options.n_layers = LAYERS;
    Model deep;
    assert_int_equal(toy_build(&deep, &options), LIMN_OK);
    NodeId nodes[LAYERS * SITES];
    for (int i = 0; i < LAYERS * SITES; i++) {
        char name[64];
        snprintf(name, sizeof name, "blocks.%d.%s", i / SITES, of_layer[i % SITES]);
        nodes[i] = graph_find_site(&deep.graph, name);
    }
    SequenceInput sequence = {.ids = ids, .n = LONG};
    OutputRow output = {0, LONG - 1, 5, 1.0F};
    Taken taken = {.nodes = nodes, .n = LAYERS * SITES};
    float *scrap = calloc(LONG * 40, sizeof *scrap);
    for (int i = 0; i < LAYERS * SITES; i++) {
        taken.grads[i] = taken.values[i] = scrap;
    }
    GradientSink sink = {.nodes = nodes, .n = LAYERS * SITES, .function = take, .context = &taken};
    Seed seed = {.node = deep.graph.logits, .kind = SEED_LOG_PROB};
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .seeds = &seed,
                          .n_seeds = 1,
                          .sink = &sink};
    Engine *engine;
    assert_int_equal(
        engine_new(&engine, &deep, &(EngineOptions){.backend = backend, .keep = KEEP_LAYER_INPUTS, .chunk_rows = 32}),
        LIMN_OK);
    RunEstimate streaming, keeping;
    assert_int_equal(engine_estimate(engine, &request, &streaming), LIMN_OK);
    request.sink = NULL;
    request.grads = nodes;
    request.n_grads = LAYERS * SITES;
    assert_int_equal(engine_estimate(engine, &request, &keeping), LIMN_OK);
    size_t all = (size_t)LAYERS * LONG * (3 * WIDTH + 40) * sizeof(float);
    assert_true(keeping.bytes > streaming.bytes + all / 2);
    request.grads = NULL;
    request.n_grads = 0;
    request.sink = &sink;
    seed.node = nodes[3 * SITES]; /* nothing above layer 3 matters to it */
    seed.targets = (IdSets){others, 1, NULL};
    seed.kind = SEED_LOGIT;
    if (engine_run(engine, &request, NULL) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
    assert_int_equal(graph_find_site(&deep.graph, "blocks.0.attn.hook_q"), taken.last);
    assert_true(taken.calls >= 4 * SITES);
    assert_true(taken.highest == nodes[3 * SITES]);
    free(scrap);
    engine_free(engine);
    toy_free(&deep);
}

/* ---- refusals ---- */

static void check_refused(Engine *engine, const Seed *seed, limn_status status, const char *message) {
    RunRequest request = request_of(seed, 1);
    assert_int_equal(engine_run(engine, &request, NULL), status);
    if (strstr(error_message(), message) == NULL) {
        fail_msg("found \"%s\", expected \"%s\"", error_message(), message);
    }
}

static void what_is_not_whole_is_refused(void **state) {
    (void)state;
    static const int32_t outside[] = {3, VOCAB}, twice[] = {4, 4}, begin[] = {0, 1, 1, 2, 2};
    Engine *engine = open_engine(NULL);
    Seed seed = {.node = model.graph.logits, .kind = SEED_LOG_PROB, .targets = {outside, 2, NULL}};
    check_refused(engine, &seed, LIMN_RANGE, "objective at logits: id 50, expected 0 to 49");
    seed.targets.ids = twice;
    check_refused(engine, &seed, LIMN_USAGE, "target id 4 follows 4; expected increasing ids, none twice");
    seed.kind = SEED_KL;
    check_refused(engine, &seed, LIMN_INTERNAL, "nothing is given for kl");
    seed = (Seed){.node = model.graph.logits, .kind = SEED_DIFFERENCE};
    check_refused(engine, &seed, LIMN_INTERNAL, "nothing is given for difference");
    seed.contrasts = (IdSets){some, 0, begin};
    check_refused(engine, &seed, LIMN_USAGE, "output row 1 has a target and no contrast");
    seed = (Seed){.node = NODE_NONE, .kind = SEED_ENTROPY};
    check_refused(engine, &seed, LIMN_NOT_FOUND, "an objective names no site of this model");
    int32_t wrong_site = 0;
    seed =
        (Seed){.node = model.graph.logits, .kind = SEED_CALLBACK, .function = product_of_two, .context = &wrong_site};
    check_refused(engine, &seed, LIMN_INTERNAL, "row 0 of 50 elements");
    assert_null(engine_seed(engine, 0));
    seed = seed_of(1);
    RunRequest request = request_of(&seed, 1);
    request.rules = RULE_SET_COUNT;
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_INTERNAL);
    request.rules = RULES_TRUE;
    GradientSink nobody = {.nodes = &model.graph.embed, .n = 1};
    request.sink = &nobody;
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_INTERNAL);
    request.seeds = NULL;
    request.n_seeds = 0;
    nobody.function = take;
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_USAGE);
    assert_non_null(strstr(error_message(), "a gradient needs a target"));
    engine_free(engine);
}

static int setup(void **state) {
    (void)state;
    Random random;
    random_seed(&random, 12);
    for (int i = 0; i < N_OUTPUTS * VOCAB; i++) {
        reference[i] = (float)random_normal(&random);
    }
    for (int i = 0; i < N_OUTPUTS * WIDTH; i++) {
        direction[i] = (float)random_normal(&random);
    }
    ToyOptions options = TOY_DEFAULTS;
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_what_the_table_says),
        cmocka_unit_test(gradients_are_finite_differences),
        cmocka_unit_test(seeds_add_up),
        cmocka_unit_test(old_objectives_stay),
        cmocka_unit_test(kinds_share_a_program),
        cmocka_unit_test(many_rows_keep_no_logits),
        cmocka_unit_test(handed_over_gradients_are_the_kept_ones),
        cmocka_unit_test(streams_keep_nothing),
        cmocka_unit_test(what_is_not_whole_is_refused),
    };
    static const char *const backends[] = {"ref", "cpu"};
    int failed = 0;
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        backend = backends[i];
        if (backend_find(backend) != NULL) {
            failed += cmocka_run_group_tests_name(backend, tests, setup, teardown);
        }
    }
    return failed;
}
