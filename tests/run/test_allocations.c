/* A warm step takes no memory and opens no file: each allocation of limn's own code is counted (the linker sends them
 * here) while the same run is repeated. And which programs an engine keeps, by the same count: making one again takes
 * memory, finding it does not. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/sweep.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ---- what is counted: the list in tests/CMakeLists.txt ---- */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
FILE *__real_fopen(const char *path, const char *mode);

void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
FILE *__wrap_fopen(const char *path, const char *mode);

static atomic_long allocations;
static atomic_long opened;

void *__wrap_malloc(size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __real_realloc(memory, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text) {
    atomic_fetch_add(&allocations, 1);
    return __real_strdup(text);
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    atomic_fetch_add(&opened, 1);
    return __real_fopen(path, mode);
}

/* ---- runs ---- */

static const int32_t ids[] = {3, 14, 15, 9, 26, 5, 35};
static Model model;

static long allocations_of(Engine *engine, const RunRequest *request) {
    long before = atomic_load(&allocations);
    assert_int_equal(engine_run(engine, request, NULL), LIMN_OK);
    return atomic_load(&allocations) - before;
}

static Engine *open_engine(const EngineOptions *options) {
    Engine *engine;
    long before = atomic_load(&allocations);
    assert_int_equal(engine_new(&engine, &model, options), LIMN_OK);
    assert_true(atomic_load(&allocations) > before); /* the counter counts what the library does */
    return engine;
}

static void check_steady(const char *backend, Compute compute, bool gradient, int64_t threads) {
    EngineOptions options = {.backend = backend, .compute = compute, .threads = threads};
    Engine *engine = open_engine(&options);
    SequenceInput sequence = {.ids = ids, .n = 7};
    OutputRow output = {0, 6, 11, 1.0f};
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .objective = OBJECTIVE_LOG_PROB,
                          .logits = true,
                          .grads = &model.graph.embed,
                          .n_grads = gradient ? 1 : 0};
    long cold = allocations_of(engine, &request);
    for (int i = 0; i < 4; i++) { /* weights used again and again are kept in a faster layout */
        allocations_of(engine, &request);
    }
    long files = atomic_load(&opened);
    long warm = allocations_of(engine, &request);
    print_message("%s, %s%s: %ld allocations cold, %ld warm\n", backend, compute == COMPUTE_F32 ? "f32" : "bf16",
                  gradient ? ", with gradient" : "", cold, warm);
    assert_true(cold > 0);
    assert_int_equal(warm, 0);
    assert_int_equal(atomic_load(&opened), files);
    engine_free(engine);
}

static void test_warm_steps_allocate_nothing(void **state) {
    static const char *const backends[] = {"ref", "cpu"};
    for (size_t b = 0; b < sizeof backends / sizeof backends[0]; b++) {
        for (int way = 0; way < 8 && backend_find(backends[b]) != NULL; way++) {
            check_steady(backends[b], way & 1 ? COMPUTE_BF16 : COMPUTE_F32, (way & 2) != 0, way & 4 ? 3 : 1);
        }
    }
}

static limn_status ignore(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                          const float *value, const float *gradient) {
    (void)node;
    (void)row_begin;
    (void)width;
    (void)value;
    (void)gradient;
    *(int64_t *)context += n_rows;
    return LIMN_OK;
}

/* Every kind of edit and of seed, gradients handed over, each set of rules; what a run binds changes from run to run.
 */
static void test_edits_seeds_and_rules_allocate_nothing(void **state) {
    static const int32_t target[] = {7}, contrast[] = {9};
    static float numbers[24 * 50];
    Engine *engine = open_engine(NULL);
    SequenceInput sequence = {.ids = ids, .n = 7};
    OutputRow output = {0, 6, 11, 1.0f};
    NodeId middle = graph_find_site(&model.graph, "blocks.1.hook_resid_mid");
    Edit edits[EDIT_KIND_COUNT];
    for (int kind = 0; kind < EDIT_KIND_COUNT; kind++) {
        edits[kind] = (Edit){.node = graph_find_site(&model.graph, "blocks.1.hook_mlp_out"),
                             .kind = (EditKind)kind,
                             .row_end = -1,
                             .element_end = -1,
                             .values = numbers,
                             .map = numbers,
                             .right = numbers,
                             .rank = 2,
                             .source = middle};
    }
    int64_t rows = 0;
    GradientSink sink = {.nodes = &middle, .n = 1, .with_values = true, .function = ignore, .context = &rows};
    for (int set = 0; set < RULE_SET_COUNT; set++) {
        for (int kind = 0; kind < SEED_CALLBACK; kind++) {
            Seed seed = {.node = model.graph.logits,
                         .kind = (SeedKind)kind,
                         .targets = {target, 1, NULL},
                         .contrasts = {contrast, 1, NULL},
                         .values = numbers};
            RunRequest request = {.sequences = &sequence,
                                  .n_sequences = 1,
                                  .outputs = &output,
                                  .n_outputs = 1,
                                  .edits = edits,
                                  .n_edits = EDIT_KIND_COUNT,
                                  .seeds = &seed,
                                  .n_seeds = 1,
                                  .sink = &sink,
                                  .rules = (RuleSet)set};
            long made = allocations_of(engine, &request);
            numbers[kind] += 0.5f;
            if (kind > 4) { /* weights have been used a few times */
                assert_int_equal(made, 0);
            }
        }
    }
    assert_int_equal(rows, 7 * RULE_SET_COUNT * SEED_CALLBACK);
    engine_free(engine);
}

/* Decoding: each step has one more key than the one before. */
static void test_decoding_allocates_nothing(void **state) {
    Engine *engine = open_engine(NULL);
    KvCache *cache;
    assert_int_equal(kv_cache_new(&cache, &model, 32), LIMN_OK);
    OutputRow output = {0, 0, -1, 0.0f};
    long files = 0;
    for (int step = 0; step < 20; step++) {
        SequenceInput sequence = {.ids = &ids[step % 7], .n = 1, .prefix = cache, .prefix_length = cache->length};
        RunRequest request = {.sequences = &sequence,
                              .n_sequences = 1,
                              .outputs = &output,
                              .n_outputs = 1,
                              .logits = true,
                              .append = cache};
        long made = allocations_of(engine, &request);
        if (step == 0) {
            files = atomic_load(&opened);
        }
        if (step > 4) {
            assert_int_equal(made, 0);
        }
    }
    assert_int_equal(atomic_load(&opened), files); /* how much memory the machine has is not asked again */
    kv_cache_free(cache);
    engine_free(engine);
}

/* What a sweep's answers are taken by. */
static limn_status take(void *context, const CounterfactualAnswer *answer) {
    *(float *)context += answer->objective[0];
    return LIMN_OK;
}

/* Counterfactuals of all kinds: late joins, other tokens, in an order that has to be sorted. */
static void test_warm_sweeps_allocate_nothing(void **state) {
    enum { CHANGES = 40 };
    Engine *engine = open_engine(NULL);
    SequenceInput input = {.ids = ids, .n = 7};
    CleanRun *clean;
    Sweep *sweep;
    assert_int_equal(clean_run_new(&clean, engine, &input, NULL, NULL), LIMN_OK);
    OutputRow output = {0, 6, 11, 1.0f};
    RunRequest ask = {.outputs = &output, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB};
    assert_int_equal(sweep_new(&sweep, engine, &ask, &(SweepOptions){.run_rows = 60}), LIMN_OK);
    float value = 0.5f, sum = 0;
    Edit edits[CHANGES];
    Counterfactual list[CHANGES];
    TokenChange token = {3, 9};
    for (int i = 0; i < CHANGES; i++) {
        char site[64];
        snprintf(site, sizeof site, "blocks.%d.%s", (CHANGES - i) % 3, i % 2 == 0 ? "hook_resid_post" : "attn.hook_z");
        edits[i] = (Edit){.node = graph_find_site(&model.graph, site),
                          .row_begin = i % 7,
                          .row_end = -1,
                          .element_end = 4,
                          .values = &value,
                          .scalar = true};
        list[i] = (Counterfactual){
            .clean = clean, .edits = &edits[i], .n_edits = 1, .tokens = &token, .n_tokens = i % 5 == 0 ? 1 : 0};
    }
    long made = 0;
    for (int round = 0; round < 8; round++) {
        long before = atomic_load(&allocations);
        assert_int_equal(sweep_run(sweep, list, CHANGES, take, &sum, NULL), LIMN_OK);
        assert_int_equal(sweep_run(sweep, list + round, 1, take, &sum, NULL), LIMN_OK); /* a live edit */
        made = atomic_load(&allocations) - before;
        assert_true(round > 0 || made > 0);
    }
    assert_int_equal(made, 0);
    sweep_free(sweep);
    clean_run_free(clean);
    engine_free(engine);
}

/* Sequences that join in an order which has to be brought back, with taps and gradients. */
static void test_warm_joins_allocate_nothing(void **state) {
    Engine *engine = open_engine(NULL);
    SequenceInput input = {.ids = ids, .n = 7};
    CleanRun *clean;
    assert_int_equal(clean_run_new(&clean, engine, &input, NULL, NULL), LIMN_OK);
    SequenceInput sequences[] = {clean_run_sequence(clean, (Join){clean, 2, JOIN_RESID_PRE}, 2, 7),
                                 clean_run_sequence(clean, (Join){clean, 1, JOIN_RESID_PRE}, 4, 7), input};
    OutputRow outputs[] = {{2, 6, 11, 1.0f}, {0, 4, 3, 1.0f}, {1, 2, 5, 1.0f}};
    NodeId sites[] = {graph_find_site(&model.graph, "blocks.2.hook_mlp_out"), model.graph.embed};
    RunRequest request = {.sequences = sequences,
                          .n_sequences = 3,
                          .outputs = outputs,
                          .n_outputs = 3,
                          .objective = OBJECTIVE_LOG_PROB,
                          .logits = true,
                          .taps = sites,
                          .n_taps = 2,
                          .grads = sites,
                          .n_grads = 2};
    for (int i = 0; i < 5; i++) {
        allocations_of(engine, &request);
    }
    assert_int_equal(allocations_of(engine, &request), 0);
    clean_run_free(clean);
    engine_free(engine);
}

/* ---- programs ---- */

enum { KEPT = 64, SITES = 7 };

/* Question number n: taps of the sites whose bits are set in it, and the value of one. */
static long ask_question(Engine *engine, int n, float *value) {
    static const char *const sites[SITES] = {
        "blocks.0.hook_resid_mid", "blocks.0.hook_resid_post", "blocks.1.hook_resid_mid", "blocks.1.hook_resid_post",
        "blocks.2.hook_resid_mid", "blocks.2.hook_resid_post", "blocks.1.attn.hook_z"};
    NodeId taps[SITES];
    int32_t n_taps = 0, rows;
    int64_t width;
    for (int i = 0; i < SITES; i++) {
        if (n >> i & 1) {
            taps[n_taps] = graph_find_site(&model.graph, sites[i]);
            assert_true(taps[n_taps++] != NODE_NONE);
        }
    }
    SequenceInput sequence = {.ids = ids, .n = 7};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .taps = taps, .n_taps = n_taps};
    long made = allocations_of(engine, &request);
    *value = engine_tap(engine, taps[n_taps - 1], &rows, &width)[3 * width + 5];
    return made;
}

/* More questions than an engine keeps programs for: the one unused for longest goes, the others stay, and what is made
 * again answers as before. */
static void test_programs_are_dropped_and_made_again(void **state) {
    Engine *engine = open_engine(NULL);
    float first[2 * KEPT], again;
    for (int n = 1; n <= KEPT; n++) {
        assert_true(ask_question(engine, n, &first[n]) > 0);
    }
    for (int n = 1; n <= KEPT; n++) { /* all are there, and now 1 is the oldest */
        assert_int_equal(ask_question(engine, n, &again), 0);
        assert_true(again == first[n]);
    }
    assert_int_equal(ask_question(engine, 1, &again), 0); /* now 2 is */
    assert_true(ask_question(engine, KEPT + 1, &first[KEPT + 1]) > 0);
    assert_int_equal(ask_question(engine, 1, &again), 0);
    assert_int_equal(ask_question(engine, 3, &again), 0);
    assert_true(ask_question(engine, 2, &again) > 0); /* it had gone, and drops 4 */
    assert_true(again == first[2]);
    assert_int_equal(ask_question(engine, 5, &again), 0);
    assert_true(ask_question(engine, 4, &again) > 0);
    assert_true(again == first[4]);
    for (int n = KEPT + 2; n < 2 * KEPT; n++) { /* many more, one after the other */
        assert_true(ask_question(engine, n, &first[n]) > 0);
    }
    for (int n = 2 * KEPT - 1; n > 0; n--) {
        ask_question(engine, n, &again);
        assert_true(again == first[n]);
    }
    engine_free(engine);
}

static int setup(void **state) {
    ToyOptions options = TOY_DEFAULTS;
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm_steps_allocate_nothing),
        cmocka_unit_test(test_decoding_allocates_nothing),
        cmocka_unit_test(test_edits_seeds_and_rules_allocate_nothing),
        cmocka_unit_test(test_warm_sweeps_allocate_nothing),
        cmocka_unit_test(test_warm_joins_allocate_nothing),
        cmocka_unit_test(test_programs_are_dropped_and_made_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
