/* What engine_estimate says of memory, against what the process comes to hold: each run in a process of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/engine.h"
#include "run/toy_model.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROWS = 1200 };

static Model model;
static int32_t ids[ROWS];

typedef struct Memory {
    double said; /* working memory and weights in a faster layout */
    double held; /* what the process grew by */
} Memory;

static double resident_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1) {
        pages = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static limn_status measure(Memory *memory, const RunRequest *request, const EngineOptions *options, int64_t runs) {
    Engine *engine;
    RunEstimate estimate;
    size_t faster;
    TRY(engine_new(&engine, &model, options));
    TRY(engine_estimate(engine, request, &estimate));
    TRY(engine_estimate_weights(engine, request, runs, &faster));
    memory->said = (double)estimate.bytes + (double)faster;
    if (options->keep == KEEP_LAYER_INPUTS || options->memory_limit > 0) {
        assert_int_equal(faster, 0); /* a luxury */
    }
    double before = resident_bytes();
    for (int64_t run = 0; run < runs; run++) {
        TRY(engine_run(engine, request, NULL));
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    memory->held = (double)usage.ru_maxrss * 1024.0 - before;
    engine_free(engine);
    return LIMN_OK;
}

static Memory measure_apart(const RunRequest *request, const EngineOptions *options, int64_t runs) {
    int ends[2];
    Memory memory = {0};
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool good = measure(&memory, request, options, runs) == LIMN_OK &&
                    write(ends[1], &memory, sizeof memory) == (ssize_t)sizeof memory;
        _exit(good ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &memory, sizeof memory), sizeof memory);
    close(ends[0]);
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    return memory;
}

static void check_estimate(const char *what, const RunRequest *request, const EngineOptions *options, int64_t runs) {
    Memory memory = measure_apart(request, options, runs);
    double ratio = memory.said / memory.held;
    print_message("%s: said %.1f MiB, held %.1f MiB\n", what, memory.said / 1048576.0, memory.held / 1048576.0);
    assert_true(memory.held > 20e6); /* enough that what else a process does is little beside it */
    assert_true(ratio > 0.9 && ratio < 1.1);
}

static void test_the_estimate_is_what_is_held(void **state) {
#ifdef LIMN_SANITIZED
    skip(); /* sanitizers hold memory of their own */
#endif
    const SequenceInput sequence = {.ids = ids, .n = ROWS};
    static OutputRow every[ROWS];
    for (int32_t i = 0; i < ROWS; i++) {
        every[i] = (OutputRow){0, i, i % 50, 1.0F};
    }
    const NodeId taps[] = {graph_find_site(&model.graph, "blocks.1.mlp.hook_post"),
                           graph_find_site(&model.graph, "blocks.2.hook_resid_post")};
    RunRequest logits = {.sequences = &sequence, .n_sequences = 1, .outputs = every, .n_outputs = ROWS, .logits = true};
    RunRequest tapped = {.sequences = &sequence, .n_sequences = 1, .taps = taps, .n_taps = 2};
    RunRequest gradient = {.sequences = &sequence,
                           .n_sequences = 1,
                           .outputs = &every[ROWS - 1],
                           .n_outputs = 1,
                           .grads = &model.graph.embed,
                           .n_grads = 1,
                           .objective = OBJECTIVE_LOG_PROB};
    const EngineOptions plain = {.threads = 2}, alone = {.threads = 1};
    const EngineOptions limited = {.threads = 2, .memory_limit = (size_t)4 << 30};
    const EngineOptions tight = {.threads = 2, .keep = KEEP_LAYER_INPUTS};
    check_estimate("logits of every row", &logits, &plain, 1);
    check_estimate("logits under a limit", &logits, &limited, 1);
    check_estimate("values of two sites", &tapped, &plain, 1);
    check_estimate("values of two sites, one thread", &tapped, &alone, 1);
    check_estimate("gradient", &gradient, &plain, 1);
    check_estimate("gradient, three times", &gradient, &limited, 3);
    check_estimate("gradient, layer inputs kept", &gradient, &tight, 1);
}

/* One row: weights are read where they lie until they have been used often, then copied. */
static void test_weights_that_are_used_often(void **state) {
#ifdef LIMN_SANITIZED
    skip();
#endif
    const SequenceInput sequence = {.ids = ids, .n = 1};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .taps = &model.graph.final, .n_taps = 1};
    const EngineOptions options = {.threads = 1};
    Memory seldom = measure_apart(&request, &options, 1);
    assert_true(seldom.held < 10e6 && seldom.said < 10e6);
    if (backend_find("cpu") != NULL && backend_find("cpu")->weight_bytes != NULL && seldom.said > 0) {
        check_estimate("one row, often", &request, &options, 5);
    }
}

static int setup(void **state) {
    ToyOptions options = {.n_layers = 4,
                          .d_model = 384,
                          .n_heads = 6,
                          .n_kv_heads = 3,
                          .d_head = 64,
                          .d_mlp = 2048,
                          .n_vocab = 4000,
                          .causal = true,
                          .seed = 1};
    for (int32_t i = 0; i < ROWS; i++) {
        ids[i] = (i * 37 + 11) % options.n_vocab;
    }
    return toy_build(&model, &options) == LIMN_OK ? 0 : -1;
}

static int teardown(void **state) {
    toy_free(&model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_estimate_is_what_is_held),
        cmocka_unit_test(test_weights_that_are_used_often),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
