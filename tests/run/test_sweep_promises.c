/* What a sweep promises besides right answers, on a small model: its work is the count on paper, one program serves it,
 * any memory gives the same bits, and what is wrong is refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/any_model.h"
#include "run/sweep.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static Model model;
static const char *backend;
enum { LAYERS = 6, TOKENS = 12, WIDTH = 24, VOCABULARY = 50 };
static int32_t ids[TOKENS], others[TOKENS];
static const OutputRow last = {.row = TOKENS - 1, .target = 11, .weight = 1.0f};

static void good(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    EngineOptions chosen = options == NULL ? (EngineOptions){0} : *options;
    chosen.backend = backend;
    good(engine_new(&engine, &model, &chosen));
    return engine;
}

static CleanRun *run_of(Engine *engine, const int32_t *tokens, const CleanRunOptions *options) {
    SequenceInput input = {.ids = tokens, .n = TOKENS};
    CleanRun *clean;
    good(clean_run_new(&clean, engine, &input, options, NULL));
    return clean;
}

static NodeId site_of(const char *name, int layer) {
    char site[64];
    snprintf(site, sizeof site, "blocks.%d.%s", layer, name);
    NodeId node = graph_find_site(&model.graph, site);
    assert_int_not_equal(node, NODE_NONE);
    return node;
}

/* Every position of the stream behind every layer, patched from another run. */
typedef struct Grid {
    NodeId nodes[LAYERS];
    Edit edits[LAYERS * TOKENS];
    Counterfactual list[LAYERS * TOKENS];
    float found[LAYERS * TOKENS];
    int calls[LAYERS * TOKENS];
    int n_calls, stop_after;
} Grid;

static Grid *grid_of(Engine *engine, const CleanRun *clean, CleanRun *other, const char *site) {
    Grid *grid = calloc(1, sizeof *grid);
    assert_non_null(grid);
    for (int32_t i = 0; i < LAYERS * TOKENS; i++) {
        int32_t row = i % TOKENS;
        const float *values;
        int64_t width;
        grid->nodes[i / TOKENS] = site_of(site, i / TOKENS);
        good(clean_run_value(other, engine, grid->nodes[i / TOKENS], &values, &width, NULL));
        grid->edits[i] = (Edit){.node = grid->nodes[i / TOKENS],
                                .row_begin = row,
                                .row_end = row + 1,
                                .element_end = -1,
                                .values = values + row * width};
        grid->list[i] = (Counterfactual){.clean = clean, .edits = &grid->edits[i], .n_edits = 1};
    }
    return grid;
}

static limn_status take_objective(void *context, const CounterfactualAnswer *answer) {
    Grid *grid = context;
    assert_int_equal(answer->n_outputs, 1);
    grid->found[answer->index] = answer->objective[0];
    grid->calls[answer->index]++;
    return ++grid->n_calls == grid->stop_after ? LIMN_CANCELLED : LIMN_OK;
}

static RunRequest asked(const Grid *grid) {
    return (RunRequest){.outputs = &last,
                        .n_outputs = 1,
                        .objective = OBJECTIVE_LOG_PROB,
                        .editable = grid->nodes,
                        .n_editable = LAYERS};
}

static void compare_with_full_passes(Engine *engine, const Grid *grid) {
    for (int32_t i = 0; i < LAYERS * TOKENS; i++) {
        SequenceInput input = {.ids = ids, .n = TOKENS};
        Edit edit = grid->edits[i];
        RunRequest request = asked(grid);
        request.sequences = &input;
        request.n_sequences = 1;
        request.edits = &edit;
        request.n_edits = 1;
        good(engine_run(engine, &request, NULL));
        assert_int_equal(grid->calls[i], 1);
        assert_memory_equal(engine_objective(engine), &grid->found[i], sizeof(float));
    }
}

/* Multiply-adds of keys and values among those of a layer. */
static double key_share(void) {
    double keys = 2.0 * 2 * 6 * WIDTH, others_too = 2.0 * 4 * 6 * WIDTH + 3.0 * 40 * WIDTH;
    return keys / (keys + others_too);
}

/* The count of a sweep over the streams is the one on paper: of each patch the rows from its own on, in the layers
 * above it, of which the last needs keys and values and one row more. */
static void test_work_is_the_count_on_paper(void **state) {
    Engine *engine = open_engine(NULL);
    CleanRun *clean = run_of(engine, ids, NULL), *other = run_of(engine, others, NULL);
    Grid *grid = grid_of(engine, clean, other, "hook_resid_post");
    RunRequest ask = asked(grid);
    Sweep *sweep;
    SweepWork work;
    good(sweep_new(&sweep, engine, &ask, NULL));
    good(sweep_estimate(sweep, grid->list, LAYERS * TOKENS, &work));
    double paper = 0, whole = 0;
    for (int32_t l = 1; l <= LAYERS; l++) {
        for (int32_t t = 1; t <= TOKENS; t++) {
            double rows = TOKENS - t + 1, share = key_share();
            whole += (LAYERS - l) * rows;
            paper += l == LAYERS ? 0 : (LAYERS - l - 1) * rows + share * rows + (1 - share);
        }
    }
    assert_true(fabs(work.row_layers - paper) <= 1e-6 * paper);
    assert_true(work.row_layers < whole);
    assert_int_equal(work.rows, LAYERS * TOKENS * (TOKENS + 1) / 2);
    assert_int_equal(work.runs, 1);
    /* a row's own share of what passes cost, and of one position through all layers */
    SequenceInput input = {.ids = ids, .n = TOKENS};
    RunRequest full = asked(grid);
    full.sequences = &input;
    full.n_sequences = 1;
    RunEstimate pass;
    good(engine_estimate(engine, &full, &pass));
    assert_true(pass.row_layers * LAYERS * TOKENS > 3 * work.row_layers);
    Counterfactual column[LAYERS];
    for (int l = 0; l < LAYERS; l++) {
        column[l] = grid->list[l * TOKENS + TOKENS - 1];
    }
    good(sweep_estimate(sweep, column, LAYERS, &work));
    assert_true(work.row_layers <= 0.5 * pass.row_layers);
    sweep_free(sweep);
    clean_run_free(clean);
    clean_run_free(other);
    free(grid);
    engine_free(engine);
}

/* A limit that one pass and half another one fit. */
static size_t tight_limit(Engine *engine) {
    SequenceInput input = {.ids = ids, .n = TOKENS};
    RunRequest request = {
        .sequences = &input, .n_sequences = 1, .outputs = &last, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB};
    RunEstimate estimate;
    good(engine_estimate(engine, &request, &estimate));
    return estimate.bytes + estimate.bytes / 2;
}

/* Whatever fits into a run, each is answered once, with the bits of its full pass, by one program. */
static void test_any_memory_gives_the_same_answers(void **state) {
    static const char *const sites[] = {"hook_resid_post", "hook_resid_mid", "hook_mlp_out", "attn.hook_z"};
    for (int round = 0; round < 8; round++) {
        Engine *roomy = open_engine(NULL);
        EngineOptions tight = {.memory_limit = round % 2 == 0 ? 0 : tight_limit(roomy)};
        Engine *engine = open_engine(&tight);
        CleanRunOptions kept = {.middle = round < 4};
        CleanRun *clean = run_of(roomy, ids, &kept), *other = run_of(roomy, others, &kept);
        Grid *grid = grid_of(roomy, clean, other, sites[round / 2]);
        RunRequest ask = asked(grid);
        Sweep *sweep;
        good(sweep_new(&sweep, engine, &ask, &(SweepOptions){.run_rows = round % 3 == 0 ? 40 : 0}));
        good(sweep_run(sweep, grid->list, LAYERS * TOKENS, take_objective, grid, NULL));
        int64_t programs = engine_programs(engine);
        for (int i = 0; i < LAYERS * TOKENS; i += 7) { /* each alone, again */
            good(sweep_run(sweep, grid->list + i, 1, take_objective, &(Grid){0}, NULL));
        }
        assert_int_equal(programs, 1);
        assert_int_equal(engine_programs(engine), 1);
        compare_with_full_passes(roomy, grid);
        sweep_free(sweep);
        clean_run_free(clean);
        clean_run_free(other);
        free(grid);
        engine_free(engine);
        engine_free(roomy);
    }
}

/* Under an engine's limit a clean run keeps what leaves room for runs, counts there, and answers are the same. */
static void test_clean_runs_count_under_the_limit(void **state) {
    Engine *roomy = open_engine(NULL);
    size_t whole = clean_run_bytes_needed(&model, TOKENS, false);
    EngineOptions tight = {.memory_limit = tight_limit(roomy) + whole};
    Engine *engine = open_engine(&tight);
    size_t before = engine_memory_left(engine);
    assert_int_equal(before, tight.memory_limit);
    CleanRunOptions half = {.memory_limit = whole - 3 * TOKENS * WIDTH * sizeof(float)};
    CleanRun *clean = run_of(engine, ids, &half), *other = run_of(roomy, others, NULL);
    int kept = 0;
    for (int place = 0; place <= 2 * LAYERS; place++) {
        kept += clean->streams[place] != NULL;
    }
    assert_int_equal(kept, LAYERS + 1 - 3);
    assert_non_null(clean->streams[2 * LAYERS]);
    assert_int_equal(engine_memory_left(engine), before - clean_run_bytes(clean));
    Grid *grid = grid_of(roomy, clean, other, "hook_resid_post");
    RunRequest ask = asked(grid);
    Sweep *sweep;
    good(sweep_new(&sweep, engine, &ask, NULL));
    good(sweep_run(sweep, grid->list, LAYERS * TOKENS, take_objective, grid, NULL));
    compare_with_full_passes(roomy, grid);
    const float *values;
    int64_t width;
    good(clean_run_value(clean, engine, site_of("attn.hook_z", 1), &values, &width, NULL));
    assert_int_equal(engine_memory_left(engine), before - clean_run_bytes(clean));
    clean_run_free(clean);
    assert_int_equal(engine_memory_left(engine), before);
    sweep_free(sweep);
    clean_run_free(other);
    free(grid);
    engine_free(engine);
    engine_free(roomy);
}

/* Nothing changed: the clean answer. A failure of the caller's ends the sweep. */
static void test_nothing_changed_and_stopping(void **state) {
    Engine *engine = open_engine(NULL);
    CleanRun *clean = run_of(engine, ids, NULL);
    Grid *grid = grid_of(engine, clean, clean, "hook_resid_post");
    RunRequest ask = asked(grid);
    Sweep *sweep;
    good(sweep_new(&sweep, engine, &ask, NULL));
    Counterfactual nothing = {.clean = clean};
    SweepWork work;
    good(sweep_estimate(sweep, &nothing, 1, &work));
    assert_true(work.row_layers == 0 && work.rows == 1);
    good(sweep_run(sweep, &nothing, 1, take_objective, grid, NULL));
    float plain = grid->found[0];
    good(sweep_run(sweep, grid->list, LAYERS * TOKENS, take_objective, grid, NULL)); /* patched with itself */
    for (int32_t i = 0; i < LAYERS * TOKENS; i++) {
        assert_memory_equal(&grid->found[i], &plain, sizeof(float));
    }
    grid->n_calls = 0;
    grid->stop_after = 5;
    assert_int_equal(sweep_run(sweep, grid->list, LAYERS * TOKENS, take_objective, grid, NULL), LIMN_CANCELLED);
    assert_int_equal(grid->n_calls, 5);
    good(sweep_run(sweep, NULL, 0, take_objective, grid, NULL));
    sweep_free(sweep);
    clean_run_free(clean);
    free(grid);
    engine_free(engine);
}

/* A run's other values are those of a tap, from whichever stream they are made. */
static void test_values_of_a_clean_run(void **state) {
    static const char *const sites[] = {"attn.hook_z",    "hook_mlp_out",   "attn.hook_pattern",
                                        "hook_resid_mid", "hook_resid_pre", "ln1.hook_scale"};
    Engine *engine = open_engine(NULL);
    size_t all = clean_run_bytes_needed(&model, TOKENS, false);
    float push[WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        push[i] = 0.1f * (float)(i - 9);
    }
    Edit edits[] = {
        {.node = site_of("hook_resid_pre", 2),
         .kind = EDIT_ADD,
         .row_begin = 3,
         .row_end = -1,
         .element_end = -1,
         .values = push},
        {.node = site_of("hook_mlp_out", 4), .kind = EDIT_ADD, .row_end = 9, .element_end = -1, .values = push}};
    NodeId observed[6];
    for (size_t i = 0; i < 6; i++) {
        observed[i] = site_of(sites[i], 4);
    }
    for (int fewer = 0; fewer <= 7; fewer++) {
        CleanRunOptions options = {.memory_limit = all - (size_t)fewer * TOKENS * WIDTH * sizeof(float),
                                   .edits = edits,
                                   .n_edits = fewer % 2 == 0 ? 2 : 0,
                                   .editable = observed,
                                   .n_editable = 6};
        CleanRun *clean = run_of(engine, ids, &options);
        assert_true(clean_run_bytes(clean) <= options.memory_limit);
        for (size_t i = 0; i < 6; i++) {
            SequenceInput input = {.ids = ids, .n = TOKENS};
            RunRequest request = {.sequences = &input,
                                  .n_sequences = 1,
                                  .taps = &observed[i],
                                  .n_taps = 1,
                                  .editable = observed,
                                  .n_editable = 6,
                                  .edits = edits,
                                  .n_edits = options.n_edits};
            int32_t rows;
            int64_t width, found;
            const float *values, *again;
            good(clean_run_value(clean, engine, observed[i], &values, &found, NULL));
            good(engine_run(engine, &request, NULL));
            const float *tap = engine_tap(engine, observed[i], &rows, &width);
            assert_int_equal(found, width);
            /* the value was made by a program that observes this site alone */
            assert_true(any_distance(values, tap, rows * width) < 1e-6);
            good(clean_run_value(clean, engine, observed[i], &again, &found, NULL));
            assert_ptr_equal(values, again);
        }
        clean_run_free(clean);
    }
    CleanRun *none;
    SequenceInput input = {.ids = ids, .n = TOKENS};
    CleanRunOptions little = {.memory_limit = 1000};
    assert_int_equal(clean_run_new(&none, engine, &input, &little, NULL), LIMN_NO_MEMORY);
    assert_null(none);
    assert_non_null(strstr(error_message(), "keys and values of a clean run of 12 rows need"));
    engine_free(engine);
}

/* A counterfactual's keys and values, kept to go on from, are those of its full pass. */
static void test_going_on_from_a_counterfactual(void **state) {
    Engine *engine = open_engine(NULL);
    CleanRun *clean = run_of(engine, ids, NULL);
    NodeId node = site_of("hook_resid_pre", 3);
    float values[WIDTH] = {1, -2, 3};
    Edit edit = {.node = node, .kind = EDIT_ADD, .row_begin = 7, .row_end = 8, .element_end = -1, .values = values};
    KvCache *kept, *full;
    good(kv_cache_new(&kept, &model, TOKENS + 1));
    good(kv_cache_new(&full, &model, TOKENS + 1));
    Counterfactual change = {.clean = clean, .edits = &edit, .n_edits = 1, .append = kept};
    OutputRow row = {.row = 8, .target = 3}; /* not the last: all rows have to run all the same */
    RunRequest ask = {.outputs = &row, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB};
    Sweep *sweep;
    good(sweep_new(&sweep, engine, &ask, NULL));
    Grid grid = {0};
    good(sweep_run(sweep, &change, 1, take_objective, &grid, NULL));
    SequenceInput input = {.ids = ids, .n = TOKENS};
    RunRequest request = {.sequences = &input, .n_sequences = 1, .edits = &edit, .n_edits = 1, .append = full};
    good(engine_run(engine, &request, NULL));
    assert_int_equal(kept->length, TOKENS);
    size_t bytes = TOKENS * (size_t)kept->width * sizeof(float);
    for (int l = 0; l < LAYERS; l++) {
        assert_memory_equal(kept->keys[l], full->keys[l], bytes);
        assert_memory_equal(kept->values[l], full->values[l], bytes);
        assert_true(l < 3 || memcmp(kept->keys[l], clean->cache->keys[l], bytes) != 0);
    }
    good(sweep_run(sweep, &change, 1, take_objective, &grid, NULL)); /* the cache is made anew */
    assert_int_equal(kept->length, TOKENS);
    sweep_free(sweep);
    kv_cache_free(kept);
    kv_cache_free(full);
    clean_run_free(clean);
    engine_free(engine);
}

/* Two prompts of unlike lengths, one behind a prefix, in one sweep. */
static void test_several_clean_runs(void **state) {
    Engine *engine = open_engine(NULL);
    KvCache *head;
    good(kv_cache_new(&head, &model, 4));
    SequenceInput first = {.ids = ids, .n = 4},
                  rest = {.ids = ids + 4, .n = TOKENS - 4, .prefix = head, .prefix_length = 4};
    RunRequest fill = {.sequences = &first, .n_sequences = 1, .append = head};
    good(engine_run(engine, &fill, NULL));
    CleanRun *whole = run_of(engine, ids, NULL), *behind;
    good(clean_run_new(&behind, engine, &rest, NULL, NULL));
    float values[WIDTH] = {1, -2, 3};
    Edit edits[2];
    for (int i = 0; i < 2; i++) {
        edits[i] = (Edit){.node = site_of("hook_mlp_out", 2),
                          .kind = EDIT_ADD,
                          .row_begin = i == 0 ? 9 : 5,
                          .row_end = i == 0 ? 10 : 6,
                          .element_end = -1,
                          .values = values};
    }
    OutputRow outputs[] = {last, {.row = TOKENS - 5, .target = 11}};
    Counterfactual list[] = {
        {.clean = whole, .edits = &edits[0], .n_edits = 1, .outputs = &outputs[0], .n_outputs = 1},
        {.clean = behind, .edits = &edits[1], .n_edits = 1, .outputs = &outputs[1], .n_outputs = 1}};
    Grid *grid = calloc(1, sizeof *grid);
    RunRequest ask = {.objective = OBJECTIVE_LOG_PROB};
    Sweep *sweep;
    good(sweep_new(&sweep, engine, &ask, NULL));
    good(sweep_run(sweep, list, 2, take_objective, grid, NULL));
    assert_memory_equal(&grid->found[0], &grid->found[1], sizeof(float));
    sweep_free(sweep);
    clean_run_free(whole);
    clean_run_free(behind);
    kv_cache_free(head);
    free(grid);
    engine_free(engine);
}

/* Gradient times value of each counterfactual, summed as a sink hands them over; and its seeds. */
typedef struct Relevance {
    Engine *engine;
    Sweep *sweep;
    double sums[LAYERS * TOKENS][TOKENS]; /* by row of the clean run */
    float seeds[LAYERS * TOKENS][2];
} Relevance;

static limn_status add_rows(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                            const float *value, const float *gradient) {
    Relevance *relevance = context;
    for (int32_t r = 0; r < n_rows; r++) {
        int32_t row, index = sweep_find(relevance->sweep, row_begin + r, &row);
        for (int64_t i = 0; i < width; i++) {
            relevance->sums[index][row] += (double)value[r * width + i] * (double)gradient[r * width + i];
        }
    }
    return LIMN_OK;
}

static limn_status take_seeds(void *context, const CounterfactualAnswer *answer) {
    Relevance *relevance = context;
    assert_int_equal(answer->n_outputs, 2);
    memcpy(relevance->seeds[answer->index], engine_seed(relevance->engine, 0) + answer->first_output,
           2 * sizeof(float));
    return LIMN_OK;
}

/* Seeds know an output row by its number among those of its counterfactual, and a sink's rows are found again. */
static void test_seeds_and_sinks_of_a_sweep(void **state) {
    Engine *engine = open_engine(NULL);
    CleanRun *clean = run_of(engine, ids, NULL), *other = run_of(engine, others, NULL);
    Grid *grid = grid_of(engine, clean, other, "hook_resid_post");
    NodeId mlp = site_of("hook_mlp_out", LAYERS - 1);
    const OutputRow outputs[] = {{.row = TOKENS - 1, .target = 11, .weight = 1.0f},
                                 {.row = TOKENS - 2, .target = 7, .weight = -2.0f}};
    const int32_t contrasts[] = {3, 4, 9}, begins[] = {0, 2, 3}; /* of the first two, of the second one */
    Relevance *relevance = calloc(1, sizeof *relevance);
    Seed seed = {.node = model.graph.logits, .kind = SEED_DIFFERENCE, .contrasts = {contrasts, 0, begins}};
    GradientSink sink = {.nodes = &mlp, .n = 1, .with_values = true, .function = add_rows, .context = relevance};
    RunRequest ask = {.outputs = outputs,
                      .n_outputs = 2,
                      .seeds = &seed,
                      .n_seeds = 1,
                      .sink = &sink,
                      .editable = grid->nodes,
                      .n_editable = LAYERS};
    relevance->engine = engine;
    good(sweep_new(&relevance->sweep, engine, &ask, &(SweepOptions){.run_rows = 50}));
    good(sweep_run(relevance->sweep, grid->list, LAYERS * TOKENS, take_seeds, relevance, NULL));
    for (int32_t i = 0; i < LAYERS * TOKENS; i += 5) {
        SequenceInput input = {.ids = ids, .n = TOKENS};
        RunRequest request = ask;
        request.sequences = &input;
        request.n_sequences = 1;
        request.edits = &grid->edits[i];
        request.n_edits = 1;
        request.sink = NULL;
        request.taps = request.grads = &mlp;
        request.n_taps = request.n_grads = 1;
        good(engine_run(engine, &request, NULL));
        assert_memory_equal(engine_seed(engine, 0), relevance->seeds[i], 2 * sizeof(float));
        int32_t rows;
        int64_t width;
        const float *value = engine_tap(engine, mlp, &rows, &width);
        const float *gradient = engine_grad(engine, mlp, &rows, &width);
        for (int32_t row = 0; row < TOKENS; row++) {
            double sum = 0;
            for (int64_t e = row * width; e < (row + 1) * width; e++) {
                sum += (double)value[e] * (double)gradient[e];
            }
            sum = i / TOKENS == LAYERS - 1 ? 0 : sum; /* joined behind the site */
            assert_true(fabs(sum - relevance->sums[i][row]) <= 1e-5 * (1 + fabs(sum)));
        }
    }
    sweep_free(relevance->sweep);
    free(relevance);
    clean_run_free(clean);
    clean_run_free(other);
    free(grid);
    engine_free(engine);
}

/* A pattern in force that reads later rows: a change behind its row changes it too. */
static void test_patterns_that_look_ahead(void **state) {
    Engine *engine = open_engine(NULL);
    NodeId observed[] = {site_of("attn.hook_pattern", 2), site_of("hook_resid_pre", 1)};
    const float share = 0.1f, push = 2;
    Edit edits[] = {
        {.node = observed[0], .row_begin = 2, .row_end = 3, .element_end = -1, .values = &share, .scalar = true},
        {.node = observed[1],
         .kind = EDIT_ADD,
         .row_begin = 8,
         .row_end = 9,
         .element_end = 5,
         .values = &push,
         .scalar = true}};
    CleanRunOptions options = {.edits = edits, .n_edits = 1, .editable = observed, .n_editable = 2};
    CleanRun *clean = run_of(engine, ids, &options);
    Counterfactual change = {.clean = clean, .edits = &edits[1], .n_edits = 1};
    Grid grid = {0};
    RunRequest ask = {
        .outputs = &last, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB, .editable = observed, .n_editable = 2};
    Sweep *sweep;
    good(sweep_new(&sweep, engine, &ask, NULL));
    good(sweep_run(sweep, &change, 1, take_objective, &grid, NULL));
    SequenceInput input = {.ids = ids, .n = TOKENS};
    ask.sequences = &input;
    ask.n_sequences = 1;
    ask.edits = edits;
    ask.n_edits = 2;
    good(engine_run(engine, &ask, NULL));
    assert_memory_equal(&grid.found[0], engine_objective(engine), sizeof(float));
    sweep_free(sweep);
    clean_run_free(clean);
    engine_free(engine);
}

/* Output rows that share what seeds are given for one of them, in sequences that join out of order. */
static void test_output_rows_share_a_seed_row(void **state) {
    Engine *engine = open_engine(NULL);
    CleanRun *clean = run_of(engine, ids, NULL);
    NodeId node = site_of("hook_mlp_out", 4);
    SequenceInput sequences[] = {clean_run_sequence(clean, (Join){clean, 4, JOIN_RESID_PRE}, 3, TOKENS),
                                 clean_run_sequence(clean, (Join){clean, 1, JOIN_RESID_PRE}, 5, TOKENS)};
    const OutputRow outputs[] = {
        {.sequence = 0, .row = 2}, {.sequence = 1, .row = 1}, {.sequence = 0, .row = 5}, {.sequence = 1}};
    const int32_t numbers[] = {1, 1, 0, 0}, wrong[] = {1, 2, 0, 0};
    float values[2][WIDTH];
    for (int i = 0; i < WIDTH; i++) {
        values[0][i] = 1.0f + (float)i;
        values[1][i] = 3.0f - (float)i;
    }
    Seed seed = {.node = node, .kind = SEED_LINEAR, .values = values[0], .row_stride = WIDTH};
    RunRequest request = {.sequences = sequences,
                          .n_sequences = 2,
                          .outputs = outputs,
                          .n_outputs = 4,
                          .taps = &node,
                          .n_taps = 1,
                          .seeds = &seed,
                          .n_seeds = 1,
                          .seed_rows = numbers,
                          .n_seed_rows = 2};
    good(engine_run(engine, &request, NULL));
    int32_t rows;
    int64_t width;
    const float *tap = engine_tap(engine, node, &rows, &width), *found = engine_seed(engine, 0);
    for (int o = 0; o < 4; o++) {
        const float *x = tap + (outputs[o].row + (outputs[o].sequence == 0 ? 0 : TOKENS - 3)) * width;
        double sum = 0;
        for (int i = 0; i < WIDTH; i++) {
            sum += (double)x[i] * (double)values[numbers[o]][i];
        }
        assert_true(fabs(sum - (double)found[o]) <= 1e-4 * (1 + fabs(sum)));
    }
    request.seed_rows = wrong;
    assert_int_equal(engine_run(engine, &request, NULL), LIMN_INTERNAL);
    assert_non_null(strstr(error_message(), "output row 1 is number 2 of 2"));
    clean_run_free(clean);
    engine_free(engine);
}

static void refuse(Engine *engine, const Counterfactual *change, limn_status status, const char *message) {
    RunRequest ask = {.outputs = &last, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB};
    Sweep *sweep;
    good(sweep_new(&sweep, engine, &ask, NULL));
    assert_int_equal(sweep_run(sweep, change, 1, take_objective, &(Grid){0}, NULL), status);
    if (strstr(error_message(), message) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", error_message(), message);
    }
    sweep_free(sweep);
}

static void test_bad_sweeps_are_refused(void **state) {
    Engine *engine = open_engine(NULL);
    CleanRun *clean = run_of(engine, ids, NULL);
    float values[WIDTH] = {0};
    Edit edit = {.node = model.graph.n_nodes, .row_end = 1, .element_end = -1, .values = values};
    TokenChange token = {.row = TOKENS, .id = 3};
    OutputRow output = {.row = TOKENS};
    refuse(engine, &(Counterfactual){.clean = clean, .edits = &edit, .n_edits = 1}, LIMN_NOT_FOUND, "names no site");
    edit = (Edit){
        .node = site_of("hook_mlp_out", 1), .row_begin = TOKENS, .row_end = -1, .element_end = -1, .values = values};
    refuse(engine, &(Counterfactual){.clean = clean, .edits = &edit, .n_edits = 1}, LIMN_RANGE, "rows 12 to -1");
    refuse(engine, &(Counterfactual){.clean = clean, .tokens = &token, .n_tokens = 1}, LIMN_RANGE, "row 12");
    token = (TokenChange){.row = 2, .id = VOCABULARY};
    refuse(engine, &(Counterfactual){.clean = clean, .tokens = &token, .n_tokens = 1}, LIMN_RANGE, "token id 50");
    refuse(engine, &(Counterfactual){.clean = clean, .outputs = &output, .n_outputs = 1}, LIMN_RANGE, "output row 12");
    refuse(engine, &(Counterfactual){0}, LIMN_INTERNAL, "not one of this model");
    Given given = {edit.node, values};
    Sweep *sweep;
    assert_int_equal(sweep_new(&sweep, engine, &(RunRequest){.givens = &given, .n_givens = 1}, NULL), LIMN_INTERNAL);
    clean_run_free(clean);
    engine_free(engine);
}

static int setup(void **state) {
    ToyOptions options = {LAYERS, WIDTH, 4, 2, 6, 40, VOCABULARY, true, 5};
    for (int i = 0; i < TOKENS; i++) {
        ids[i] = (7 * i + 3) % VOCABULARY;
        others[i] = (11 * i + 20) % VOCABULARY;
    }
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work_is_the_count_on_paper),
        cmocka_unit_test(test_any_memory_gives_the_same_answers),
        cmocka_unit_test(test_clean_runs_count_under_the_limit),
        cmocka_unit_test(test_nothing_changed_and_stopping),
        cmocka_unit_test(test_values_of_a_clean_run),
        cmocka_unit_test(test_going_on_from_a_counterfactual),
        cmocka_unit_test(test_several_clean_runs),
        cmocka_unit_test(test_seeds_and_sinks_of_a_sweep),
        cmocka_unit_test(test_patterns_that_look_ahead),
        cmocka_unit_test(test_output_rows_share_a_seed_row),
        cmocka_unit_test(test_bad_sweeps_are_refused),
    };
    int failed = 0;
    for (const char *const *name = golden_backends; *name != NULL; name++) {
        backend = *name;
        failed += cmocka_run_group_tests_name(backend, tests, setup, teardown);
    }
    return failed;
}
