/* Trained models that people know, against what others say of them: those under shared/data/models, and the two that
 * scripts/models fetches. Each test skips, with a line, when its model is not there. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "files/tensor_files.h"
#include "run/engine.h"

/* after our own headers: cmocka has a macro named fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ${LIMN_SHARED:-<source>/../shared}/data/models/<below>; skips the test when it is not there. */
static const char *shared_model(const char *below) {
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];
    const char *shared = getenv("LIMN_SHARED");
    snprintf(path, sizeof paths[0], "%s%s/data/models/%s", shared != NULL ? shared : LIMN_TEST_SOURCE_DIR,
             shared != NULL ? "" : "/../shared", below);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    return path;
}

/* ${XDG_CACHE_HOME:-~/.cache}/limn/<below>; skips the test when it is not there. */
static const char *cached(const char *below, const char *how) {
    static char path[600];
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    snprintf(path, sizeof path, "%s%s/limn/%s", cache != NULL ? cache : (home != NULL ? home : ""),
             cache != NULL ? "" : "/.cache", below);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there (%s)\n", path, how);
        skip();
    }
    return path;
}

static void check(limn_status status) {
    if (status != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static json_t *load_json(const char *path) {
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (json == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return json;
}

typedef struct Opened {
    Model *model;
    Engine *engine;
} Opened;

static Opened open_as(const char *path, Compute compute) {
    Opened opened;
    check(model_open(&opened.model, path, &(ModelOptions){.bf16 = compute == COMPUTE_BF16}, NULL));
    check(engine_new(&opened.engine, opened.model, &(EngineOptions){.compute = compute}));
    return opened;
}

static Opened open_model(const char *path) {
    return open_as(path, COMPUTE_F32);
}

static void close_model(Opened *opened) {
    engine_free(opened->engine);
    model_free(opened->model);
}

static int32_t *read_ids(const json_t *list, int32_t room) {
    int32_t *ids = calloc(json_array_size(list) + (size_t)room, sizeof *ids);
    assert_non_null(ids);
    for (size_t i = 0; i < json_array_size(list); i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    return ids;
}

/* Logits [n, V] of every row of one sequence. */
static const float *all_logits(Opened *opened, const int32_t *ids, int32_t n) {
    OutputRow *outputs = calloc((size_t)n, sizeof *outputs);
    assert_non_null(outputs);
    for (int32_t i = 0; i < n; i++) {
        outputs[i] = (OutputRow){.row = i, .target = -1};
    }
    RunRequest request = {.sequences = &(SequenceInput){.ids = ids, .n = n},
                          .n_sequences = 1,
                          .outputs = outputs,
                          .n_outputs = n,
                          .logits = true};
    check(engine_run(opened->engine, &request, NULL));
    free(outputs);
    return engine_logits(opened->engine);
}

static int32_t largest(const float *values, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = values[i] > values[best] ? i : best;
    }
    return best;
}

static double log_sum_exp(const float *logits, int32_t n) {
    double top = (double)logits[largest(logits, n)], sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += exp((double)logits[i] - top);
    }
    return top + log(sum);
}

/* The prompt into a cache, then one row at a time: must give the tokens expected. */
static void check_greedy(Opened *opened, const int32_t *prompt, int32_t n, const json_t *expected) {
    KvCache *cache;
    int32_t n_new = (int32_t)json_array_size(expected), vocabulary = opened->model->config.n_vocab;
    check(kv_cache_new(&cache, opened->model, n + n_new));
    int32_t last;
    for (int32_t i = 0; i < n_new; i++) {
        SequenceInput input = {.ids = i == 0 ? prompt : &last,
                               .n = i == 0 ? n : 1,
                               .prefix = cache,
                               .prefix_length = i == 0 ? 0 : n + i - 1};
        OutputRow output = {.row = input.n - 1, .target = -1};
        RunRequest request = {
            .sequences = &input, .n_sequences = 1, .outputs = &output, .n_outputs = 1, .logits = true, .append = cache};
        check(engine_run(opened->engine, &request, NULL));
        last = largest(engine_logits(opened->engine), vocabulary);
        assert_int_equal(last, json_integer_value(json_array_get(expected, (size_t)i)));
    }
    kv_cache_free(cache);
}

/* --- Llama --- */

static void stories_logits_and_tokens(void **state) {
    Opened opened = open_model(shared_model("stories260K"));
    json_t *golden = load_json(shared_model("stories260K/golden.json"));
    const json_t *tokens = json_object_get(golden, "tokens");
    int32_t *ids = read_ids(tokens, 0);
    const float *logits = all_logits(&opened, ids, 64);
    FILE *file = fopen(shared_model("stories260K/golden_logits_64x512_f32.bin"), "rb");
    float *expected = calloc(64 * 512, sizeof *expected);
    assert_non_null(file);
    assert_int_equal(fread(expected, sizeof *expected, 64 * 512, file), 64 * 512);
    fclose(file);
    double worst = 0, size = 1;
    for (int32_t i = 0; i < 64 * 512; i++) {
        worst = fmax(worst, fabs((double)logits[i] - (double)expected[i]));
        size = fmax(size, fabs((double)expected[i]));
    }
    print_message("stories260K: largest logit difference %.3g\n", worst);
    assert_true(worst <= 5e-5 * size);
    json_t *rest = json_array();
    for (size_t i = 1; i < 100; i++) {
        json_array_append(rest, json_array_get(tokens, i));
    }
    check_greedy(&opened, ids, 1, rest);
    json_decref(rest);
    free(expected);
    free(ids);
    json_decref(golden);
    close_model(&opened);
}

static void check_smollm2(const char *path) {
    Opened opened = open_model(path);
    json_t *golden = load_json(shared_model("smollm2/golden.json"));
    const json_t *cases = json_object_get(golden, "cases");
    double worst = 0;
    int32_t vocabulary = opened.model->config.n_vocab;
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *one = json_array_get(cases, c);
        const json_t *top = json_object_get(one, "top_ids"), *expected = json_object_get(one, "top_logprobs");
        int32_t n = (int32_t)json_array_size(json_object_get(one, "ids"));
        int32_t *ids = read_ids(json_object_get(one, "ids"), 0);
        const float *logits = all_logits(&opened, ids, n) + (int64_t)(n - 1) * vocabulary;
        double sum = log_sum_exp(logits, vocabulary);
        for (size_t i = 0; i < json_array_size(top); i++) {
            double found = (double)logits[json_integer_value(json_array_get(top, i))] - sum;
            worst = fmax(worst, fabs(found - json_real_value(json_array_get(expected, i))));
        }
        check_greedy(&opened, ids, n, json_object_get(one, "greedy"));
        free(ids);
    }
    print_message("SmolLM2 (%s): largest log-probability difference %.3g\n", path, worst);
    assert_true(worst <= 2e-4);
    json_decref(golden);
    close_model(&opened);
}

static void smollm2_from_gguf(void **state) {
    check_smollm2(cached("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "scripts/models smollm2"));
}

/* The same weights as a folder, which tests/oracle/models/smollm2_folder.py writes: LIMN_SMOLLM2_FOLDER says where, or
 * the bench's own copy serves. */
static void smollm2_from_a_folder(void **state) {
    const char *folder = getenv("LIMN_SMOLLM2_FOLDER");
    check_smollm2(folder != NULL ? folder : cached("bench/smollm2-f32", "make bench writes it"));
}

/* The fast mode may be as far from f32 as the reference's own bf16 is, and no further: at the worst logit of all
 * positions, and on the whole. */
static void smollm2_in_bf16(void **state) {
    const char *path = cached("models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "scripts/models smollm2");
    json_t *golden = load_json(shared_model("smollm2/golden.json"));
    json_t *limits = load_json(LIMN_TEST_SOURCE_DIR "/tests/golden/smollm2/float64.json");
    Opened exact = open_model(path), fast = open_as(path, COMPUTE_BF16);
    for (size_t c = 0; c < json_array_size(json_object_get(golden, "cases")); c++) {
        const json_t *one = json_array_get(json_object_get(golden, "cases"), c);
        const json_t *limit = json_array_get(json_object_get(limits, "cases"), c);
        assert_string_equal(json_string_value(json_object_get(one, "text")),
                            json_string_value(json_object_get(limit, "text")));
        int32_t n = (int32_t)json_array_size(json_object_get(one, "ids"));
        int32_t *ids = read_ids(json_object_get(one, "ids"), 0);
        int64_t count = (int64_t)n * exact.model->config.n_vocab;
        const float *expected = all_logits(&exact, ids, n), *found = all_logits(&fast, ids, n);
        double worst = 0, squares = 0;
        for (int64_t i = 0; i < count; i++) {
            double difference = fabs((double)found[i] - (double)expected[i]);
            worst = fmax(worst, difference);
            squares += difference * difference;
        }
        double rms = sqrt(squares / (double)count);
        double worst_limit = json_real_value(json_object_get(limit, "hf_bfloat16_logit_error"));
        double rms_limit = json_real_value(json_object_get(limit, "hf_bfloat16_logit_rms"));
        print_message("SmolLM2 in bf16, case %zu: largest %.3f (reference %.3f), rms %.3f (reference %.3f)\n", c, worst,
                      worst_limit, rms, rms_limit);
        assert_true(worst > 0); /* else it was not the fast mode */
        assert_true(worst <= worst_limit);
        assert_true(rms <= rms_limit);
        free(ids);
    }
    json_decref(limits);
    json_decref(golden);
    close_model(&fast);
    close_model(&exact);
}

/* --- GPT-2 --- */

static void check_every_200(const json_t *expected, const float *logits) {
    for (size_t i = 0; i < json_array_size(expected); i++) {
        assert_true(fabs(json_real_value(json_array_get(expected, i)) - (double)logits[200 * i]) <= 1e-3);
    }
}

static void tiny_gpt2_logits_and_tokens(void **state) {
    Opened opened = open_model(shared_model("tiny-random-gpt2"));
    json_t *golden = load_json(shared_model("tiny-random-gpt2/golden.json"));
    for (size_t p = 0; p < 2; p++) {
        int32_t *ids = read_ids(json_array_get(json_object_get(golden, "prompts"), p), 1);
        const json_t *greedy = json_array_get(json_object_get(golden, "greedy_max_length_10"), p);
        const json_t *rows = json_array_get(json_object_get(golden, "prompt_logits_every_200"), p);
        assert_int_equal(json_array_size(rows), 4);
        ids[4] = (int32_t)json_integer_value(json_array_get(greedy, 4));
        const float *logits = all_logits(&opened, ids, 5);
        for (size_t row = 0; row < 4; row++) {
            check_every_200(json_array_get(rows, row), logits + row * 1000);
        }
        check_every_200(json_array_get(json_object_get(golden, "after_first_generated_token_logits_every_200"), p),
                        logits + 4 * 1000);
        json_t *rest = json_array();
        for (size_t i = 4; i < 10; i++) {
            json_array_append(rest, json_array_get(greedy, i));
        }
        check_greedy(&opened, ids, 4, rest);
        json_decref(rest);
        free(ids);
    }
    json_decref(golden);
    close_model(&opened);
}

typedef struct Golden {
    TensorFiles *files;
    int32_t sequence;
} Golden;

/* A sequence's part of a tensor [3, ...]. */
static const float *part(const Golden *golden, const char *name, int64_t *n) {
    const Tensor *tensor = tensor_files_find(golden->files, name);
    assert_non_null(tensor);
    *n = tensor_elements(tensor) / 3;
    return (const float *)tensor->data + golden->sequence * *n;
}

/* The file was made without the biases of queries, keys and values, which the activations have: they are what the
 * first row of the first sequence has beyond W x. */
static void restore_biases(const Model *model, const Golden *golden, float bias[144]) {
    int64_t n;
    const float *normed = part(golden, "golden.ln1", &n), *qkv = part(golden, "golden.qkv", &n);
    const Weight *weight = &model->graph.nodes[graph_find_site(&model->graph, "blocks.0.attn.hook_q")].op.weights[0];
    for (int64_t out = 0; out < 144; out++) {
        double sum = 0;
        for (int64_t in = 0; in < 48; in++) {
            sum += (double)normed[in] * (double)((const float *)weight->data)[in * 144 + out];
        }
        bias[out] = (float)((double)qkv[out] - sum);
    }
    static const char *const sites[] = {"blocks.0.attn.hook_q", "blocks.0.attn.hook_k", "blocks.0.attn.hook_v"};
    for (int i = 0; i < 3; i++) {
        Op *op = &model->graph.nodes[graph_find_site(&model->graph, sites[i])].op;
        op->weights[1] = (Weight){.name = "restored",
                                  .dtype = DTYPE_F32,
                                  .rows = 48,
                                  .columns = 1,
                                  .row_stride = 1,
                                  .column_stride = 1,
                                  .data = bias + 48 * i};
    }
}

/* The golden has heads first: [H, T, K]; a tap has rows first. */
static double tap_distance(const Engine *engine, NodeId node, const float *expected, int64_t n, bool heads) {
    enum { T = 11, H = 3 };
    int32_t rows;
    int64_t width;
    const float *found = engine_tap(engine, node, &rows, &width);
    assert_int_equal(rows * width, n);
    double worst = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t inner = n / (T * H);
        int64_t at = heads ? (i / inner % H * T + i / (inner * H)) * inner + i % inner : i;
        if (!(isinf(found[i]) && found[i] == expected[at])) {
            worst = fmax(worst, fabs((double)found[i] - (double)expected[at]));
            size = fmax(size, fabs((double)expected[at]));
        }
    }
    return worst / size;
}

static void nano_sort_activations(void **state) {
    static const struct {
        const char *site, *tensor;
        bool heads;
    } rows[] = {{"blocks.0.hook_resid_pre", "golden.x", false},
                {"blocks.0.attn.hook_q", "golden.q", true},
                {"blocks.0.attn.hook_k", "golden.k", true},
                {"blocks.0.attn.hook_v", "golden.v", true},
                {"blocks.0.attn.hook_attn_scores", "golden.att", true},
                {"blocks.0.attn.hook_pattern", "golden.attSm", true},
                {"blocks.0.attn.hook_z", "golden.y", false},
                {"blocks.0.hook_attn_out", "golden.yProj", false},
                {"blocks.0.hook_resid_mid", "golden.attnResid", false},
                {"blocks.0.mlp.hook_pre", "golden.fc", false},
                {"blocks.0.mlp.hook_post", "golden.gelu", false},
                {"blocks.0.hook_mlp_out", "golden.mlp", false},
                {"blocks.0.hook_resid_post", "golden.block0", false}};
    enum { N = sizeof rows / sizeof rows[0] };
    Opened opened = open_model(shared_model("nano-sort"));
    Golden golden = {0};
    check(tensor_files_open(&golden.files, shared_model("nano-sort/golden_activations.safetensors")));
    float bias[144];
    restore_biases(opened.model, &golden, bias);
    NodeId taps[N];
    for (int i = 0; i < N; i++) {
        taps[i] = graph_find_site(&opened.model->graph, rows[i].site);
        assert_int_not_equal(taps[i], NODE_NONE);
    }
    for (golden.sequence = 0; golden.sequence < 3; golden.sequence++) {
        int64_t n;
        int32_t ids[11];
        const float *stored = part(&golden, "golden.idx", &n);
        for (int64_t i = 0; i < n; i++) {
            ids[i] = (int32_t)stored[i];
        }
        OutputRow output = {.row = 10, .target = -1};
        RunRequest request = {.sequences = &(SequenceInput){.ids = ids, .n = 11},
                              .n_sequences = 1,
                              .outputs = &output,
                              .n_outputs = 1,
                              .taps = taps,
                              .n_taps = N};
        check(engine_run(opened.engine, &request, NULL));
        for (int i = 0; i < N; i++) {
            const float *expected = part(&golden, rows[i].tensor, &n);
            double distance = tap_distance(opened.engine, taps[i], expected, n, rows[i].heads);
            if (!(distance <= 1e-4)) {
                fail_msg("nano-sort: %s is off by %.3g", rows[i].site, distance);
            }
        }
    }
    tensor_files_close(golden.files);
    close_model(&opened);
}

/* --- BERT --- */

static void minilm_hidden_states(void **state) {
    Opened opened = open_model(cached("models/minilm", "scripts/models minilm"));
    TensorFiles *golden;
    char path[600];
    snprintf(path, sizeof path, "%s/tests/golden/minilm/golden.safetensors", LIMN_TEST_SOURCE_DIR);
    check(tensor_files_open(&golden, path));
    const Tensor *ids = tensor_files_find(golden, "ids"), *lengths = tensor_files_find(golden, "lengths");
    SequenceInput sequences[2];
    OutputRow outputs[2];
    const int32_t *at = ids->data;
    for (int32_t i = 0; i < 2; i++) {
        sequences[i] = (SequenceInput){.ids = at, .n = ((const int32_t *)lengths->data)[i]};
        outputs[i] = (OutputRow){.sequence = i, .target = -1};
        at += sequences[i].n;
    }
    static const char *const sites[] = {"blocks.0.hook_resid_pre", "blocks.2.hook_resid_post",
                                        "blocks.5.hook_resid_post", "pooler.hook_pooler_out"};
    NodeId taps[4];
    for (int i = 0; i < 4; i++) {
        taps[i] = graph_find_site(&opened.model->graph, sites[i]);
        assert_int_not_equal(taps[i], NODE_NONE);
    }
    RunRequest request = {
        .sequences = sequences, .n_sequences = 2, .outputs = outputs, .n_outputs = 2, .taps = taps, .n_taps = 4};
    check(engine_run(opened.engine, &request, NULL));
    for (int i = 0; i < 4; i++) {
        const Tensor *expected = tensor_files_find(golden, sites[i]);
        int32_t rows;
        int64_t width;
        const float *found = engine_tap(opened.engine, taps[i], &rows, &width);
        assert_int_equal(rows * width, tensor_elements(expected));
        double worst = 0, size = 0;
        for (int64_t k = 0; k < rows * width; k++) {
            double value = (double)((const float *)expected->data)[k];
            worst = fmax(worst, fabs((double)found[k] - value));
            size = fmax(size, fabs(value));
        }
        print_message("MiniLM: %s %.3g\n", sites[i], worst / size);
        assert_true(worst / size <= 1e-4);
    }
    tensor_files_close(golden);
    close_model(&opened);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_logits_and_tokens),   cmocka_unit_test(smollm2_from_gguf),
        cmocka_unit_test(smollm2_from_a_folder),       cmocka_unit_test(smollm2_in_bf16),
        cmocka_unit_test(tiny_gpt2_logits_and_tokens), cmocka_unit_test(nano_sort_activations),
        cmocka_unit_test(minilm_hidden_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
