/* A warm forward step takes no memory: every malloc of the process is counted while the same run is repeated.
 * limn itself makes none; a library may make a constant number. */
#include <math.h>
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

#ifndef LIMN_SANITIZED

/* Every allocation passes here: the program's malloc stands before the C library's. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static atomic_long allocations;

void *malloc(size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, bytes);
}

static const int32_t ids[] = {3, 14, 15, 9, 26, 5, 35};

static long allocations_of(Session *session, const RunRequest *request) {
    long before = atomic_load(&allocations);
    assert_int_equal(session_run(session, request, NULL), LIMN_OK);
    return atomic_load(&allocations) - before;
}

static void check_steady(const char *backend, Compute compute, bool gradient, long allowed) {
    Model model;
    ToyOptions toy = TOY_DEFAULTS;
    assert_int_equal(toy_build(&model, &toy), LIMN_OK);
    SessionOptions options = {.backend = backend, .compute = compute};
    Session *session;
    assert_int_equal(session_new(&session, &model, &options), LIMN_OK);
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
    long cold = allocations_of(session, &request);
    for (int i = 0; i < 4; i++) { /* weights used again and again are kept in a faster layout */
        allocations_of(session, &request);
    }
    long warm = allocations_of(session, &request);
    long again = allocations_of(session, &request);
    print_message("%s, %s%s: %ld allocations cold, %ld warm\n", backend, compute == COMPUTE_F32 ? "f32" : "bf16",
                  gradient ? ", with gradient" : "", cold, warm);
    assert_true(cold > 0); /* the counter counts */
    assert_int_equal(warm, again);
    if (allowed >= 0) {
        assert_int_equal(warm, allowed);
    }
    session_free(session);
    toy_free(&model);
}

static void test_warm_steps_allocate_nothing(void **state) {
    check_steady("ref", COMPUTE_F32, false, 0);
    check_steady("ref", COMPUTE_F32, true, 0);
    if (backend_find("cpu") != NULL) {
        check_steady("cpu", COMPUTE_F32, false, 0);
        check_steady("cpu", COMPUTE_F32, true, 0);
    }
}

static void test_libraries_allocate_a_constant_count(void **state) {
    if (backend_find("cpu") == NULL) {
        print_message("no cpu backend in this build\n");
        skip();
    }
    check_steady("cpu", COMPUTE_BF16, false, -1);
    check_steady("cpu", COMPUTE_BF16, true, -1);
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
    Model model;
    ToyOptions toy = TOY_DEFAULTS;
    assert_int_equal(toy_build(&model, &toy), LIMN_OK);
    Session *session;
    assert_int_equal(session_new(&session, &model, NULL), LIMN_OK);
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
            long made = allocations_of(session, &request);
            numbers[kind] += 0.5f;
            if (kind > 4) { /* weights have been used a few times */
                assert_int_equal(made, 0);
            }
        }
    }
    assert_int_equal(rows, 7 * RULE_SET_COUNT * SEED_CALLBACK);
    session_free(session);
    toy_free(&model);
}

/* Decoding: each step has one more key than the one before. */
static void test_decoding_allocates_nothing(void **state) {
    Model model;
    ToyOptions toy = TOY_DEFAULTS;
    assert_int_equal(toy_build(&model, &toy), LIMN_OK);
    Session *session;
    assert_int_equal(session_new(&session, &model, NULL), LIMN_OK);
    KvCache *cache;
    assert_int_equal(kv_cache_new(&cache, &model, 32), LIMN_OK);
    OutputRow output = {0, 0, -1, 0.0f};
    for (int step = 0; step < 20; step++) {
        SequenceInput sequence = {.ids = &ids[step % 7], .n = 1, .prefix = cache, .prefix_length = cache->length};
        RunRequest request = {.sequences = &sequence,
                              .n_sequences = 1,
                              .outputs = &output,
                              .n_outputs = 1,
                              .logits = true,
                              .append = cache};
        long made = allocations_of(session, &request);
        if (step > 4) {
            assert_int_equal(made, 0);
        }
    }
    kv_cache_free(cache);
    session_free(session);
    toy_free(&model);
}

/* What a sweep's answers are taken by. */
static limn_status take(void *context, const CounterfactualAnswer *answer) {
    *(float *)context += answer->objective[0];
    return LIMN_OK;
}

/* Counterfactuals of all kinds: late joins, other tokens, in an order that has to be sorted. */
static void test_warm_sweeps_allocate_nothing(void **state) {
    enum { CHANGES = 40 };
    Model model;
    ToyOptions toy = TOY_DEFAULTS;
    assert_int_equal(toy_build(&model, &toy), LIMN_OK);
    Session *session;
    assert_int_equal(session_new(&session, &model, NULL), LIMN_OK);
    SequenceInput input = {.ids = ids, .n = 7};
    CleanRun *clean;
    Sweep *sweep;
    assert_int_equal(clean_run_new(&clean, session, &input, NULL, NULL), LIMN_OK);
    OutputRow output = {0, 6, 11, 1.0f};
    RunRequest ask = {.outputs = &output, .n_outputs = 1, .objective = OBJECTIVE_LOG_PROB};
    assert_int_equal(sweep_new(&sweep, session, &ask, &(SweepOptions){.run_rows = 60}), LIMN_OK);
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
    session_free(session);
    toy_free(&model);
}

/* Sequences that join in an order which has to be brought back, with taps and gradients. */
static void test_warm_joins_allocate_nothing(void **state) {
    Model model;
    ToyOptions toy = TOY_DEFAULTS;
    assert_int_equal(toy_build(&model, &toy), LIMN_OK);
    Session *session;
    assert_int_equal(session_new(&session, &model, NULL), LIMN_OK);
    SequenceInput input = {.ids = ids, .n = 7};
    CleanRun *clean;
    assert_int_equal(clean_run_new(&clean, session, &input, NULL, NULL), LIMN_OK);
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
        allocations_of(session, &request);
    }
    assert_int_equal(allocations_of(session, &request), 0);
    clean_run_free(clean);
    session_free(session);
    toy_free(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warm_sweeps_allocate_nothing),
        cmocka_unit_test(test_warm_joins_allocate_nothing),
        cmocka_unit_test(test_warm_steps_allocate_nothing),
        cmocka_unit_test(test_libraries_allocate_a_constant_count),
        cmocka_unit_test(test_edits_seeds_and_rules_allocate_nothing),
        cmocka_unit_test(test_decoding_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void) {
    puts("skipped: sanitizers count memory in their own way");
    return 77;
}

#endif
