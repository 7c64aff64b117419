/* GGUF files written with the reference implementation's own package (tests/oracle/gguf): their logits are those of the
 * reference, and a weight read wrongly misses by far. */
#include "base/file.h"
#include "files/gguf.h"
#include "files/tensor_files.h"
#include "run/engine.h"
#include "run/golden_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define GOLDEN LIMN_TEST_SOURCE_DIR "/tests/golden/"

typedef struct Case {
    const char *gguf;   /* under tests/golden/gguf */
    const char *golden; /* under tests/golden: what the reference says */
} Case;

static const Case cases[] = {
    {"quantised.gguf", "gguf/quantised.safetensors"},
#define FAMILY(name)                                                                                                   \
    { name ".gguf", name "/golden.safetensors" }
#define OWN(name)                                                                                                      \
    { name ".gguf", "gguf/" name ".safetensors" }
    FAMILY("llama3"),
    FAMILY("gpt2"),
    FAMILY("neox"),
    OWN("neox-serial"),
    FAMILY("falcon-7b"),
    FAMILY("falcon-40b"),
    FAMILY("falcon-11b"),
    FAMILY("starcoder2"),
    OWN("mistral-llama"),
    OWN("qwen2"),
    OWN("qwen3"),
    OWN("mixtral"),
    OWN("qwen2moe"),
    OWN("qwen3moe"),
    OWN("gemma2"),
    OWN("gemma3"),
    OWN("phi3"),
    OWN("phi3-longrope"),
    OWN("qwen2-yarn"),
    OWN("gemma3-linear"),
    FAMILY("bert-bare"), /* the last hidden state: its logits are none */
};

static const Tensor *need(const TensorFiles *golden, const char *name) {
    const Tensor *tensor = tensor_files_find(golden, name);
    if (tensor == NULL) {
        fail_msg("no golden value %s", name);
    }
    return tensor;
}

/* The rows of the golden's sequences, those whose logits it has, as a request. */
typedef struct Rows {
    SequenceInput sequences[8];
    OutputRow outputs[64];
    RunRequest request;
} Rows;

static void read_rows(Rows *rows, const TensorFiles *golden) {
    const Tensor *ids = need(golden, "ids"), *lengths = need(golden, "lengths"), *outputs = need(golden, "outputs");
    const Tensor *types = tensor_files_find(golden, "types"), *mask = tensor_files_find(golden, "mask");
    int64_t n = tensor_elements(lengths), n_outputs = tensor_elements(outputs), at = 0;
    assert_true(n <= 8 && n_outputs <= 64);
    for (int64_t i = 0; i < n; i++) {
        int32_t length = ((const int32_t *)lengths->data)[i];
        rows->sequences[i] = (SequenceInput){.ids = (const int32_t *)ids->data + at,
                                             .n = length,
                                             .types = types != NULL ? (const int32_t *)types->data + at : NULL,
                                             .mask = mask != NULL ? (const uint8_t *)mask->data + at : NULL};
        at += length;
    }
    for (int64_t i = 0; i < n_outputs; i++) {
        int32_t row = ((const int32_t *)outputs->data)[i], sequence = 0;
        while (row >= rows->sequences[sequence].n) {
            row -= rows->sequences[sequence++].n;
        }
        rows->outputs[i] = (OutputRow){.sequence = sequence, .row = row, .target = -1};
    }
    rows->request = (RunRequest){.sequences = rows->sequences,
                                 .n_sequences = (int32_t)n,
                                 .outputs = rows->outputs,
                                 .n_outputs = (int32_t)n_outputs,
                                 .logits = true};
}

/* max|found - expected| / max(1, max|expected|) of the logits. */
static double logit_distance(const char *path, const TensorFiles *golden, const char *backend) {
    Model *model;
    Engine *engine;
    Rows rows = {0};
    read_rows(&rows, golden);
    if (model_open(&model, path, NULL, NULL) != LIMN_OK) {
        print_error("%s: %s\n", path, error_message());
        return INFINITY;
    }
    bool bare = model->graph.logits == NODE_NONE;
    rows.request.logits = !bare;
    rows.request.taps = bare ? &model->graph.final : NULL;
    rows.request.n_taps = bare ? 1 : 0;
    if (engine_new(&engine, model, &(EngineOptions){.backend = backend}) != LIMN_OK ||
        engine_run(engine, &rows.request, NULL) != LIMN_OK) {
        fail_msg("%s: %s", path, error_message());
    }
    const Tensor *values = need(golden, bare ? "final" : "logits");
    int32_t n_rows = rows.request.n_outputs;
    int64_t n = tensor_elements(values), width = model->config.n_vocab;
    const float *expected = values->data;
    const float *found = bare ? engine_tap(engine, model->graph.final, &n_rows, &width) : engine_logits(engine);
    assert_true(n == n_rows * width);
    double largest = 1, difference = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)found[i] - (double)expected[i]);
        difference = d <= difference ? difference : isnan(d) ? INFINITY : d;
        largest = fmax(largest, fabs((double)expected[i]));
    }
    engine_free(engine);
    model_free(model);
    return difference / largest;
}

static void open_golden(TensorFiles **golden, char path[600], const Case *row) {
    char name[600];
    snprintf(name, sizeof name, GOLDEN "%s", row->golden);
    snprintf(path, 600, GOLDEN "gguf/%s", row->gguf);
    if (tensor_files_open(golden, name) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

static void logits_are_those_of_the_reference(void **state) {
    int misses = 0;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        TensorFiles *golden;
        char path[600];
        open_golden(&golden, path, &cases[i]);
        for (int b = 0; golden_backends[b] != NULL; b++) {
            double distance = logit_distance(path, golden, golden_backends[b]);
            print_message("%-24s %-4s logits off by %.2g\n", cases[i].gguf, golden_backends[b], distance);
            misses += !(distance <= LOGIT_TOLERANCE);
        }
        tensor_files_close(golden);
    }
    assert_int_equal(misses, 0);
}

/* A copy of the file, one tensor of which is bent: in each block (or element) one byte in the middle. */
static void write_bent(const char *to, const char *from, int32_t index) {
    char *bytes;
    size_t length;
    Gguf *gguf;
    assert_int_equal(file_read(&bytes, &length, from, 16 << 20), LIMN_OK);
    assert_int_equal(file_write_atomic(to, bytes, length), LIMN_OK);
    assert_int_equal(gguf_open(&gguf, to), LIMN_OK);
    const Tensor *tensor = gguf_tensor_at(gguf, index);
    /* the data section ends the file: its start is known from the tensor that ends last */
    uintptr_t last = 0;
    for (int32_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const Tensor *other = gguf_tensor_at(gguf, i);
        uintptr_t end = (uintptr_t)other->data + (other->bytes + 31) / 32 * 32;
        last = end > last ? end : last;
    }
    size_t at = length - (size_t)(last - (uintptr_t)tensor->data);
    size_t step = (size_t)dtype_info(tensor->dtype)->block_bytes;
    assert_memory_equal(bytes + at, tensor->data, tensor->bytes);
    for (size_t k = 0; k < tensor->bytes; k += step) {
        bytes[at + k + step / 2] = (char)(bytes[at + k + step / 2] ^ 0x44);
    }
    gguf_close(gguf);
    assert_int_equal(file_write_atomic(to, bytes, length), LIMN_OK);
    free(bytes);
}

/* A tensor of which one value in each block is another. */
static void mutants_miss(void **state) {
    char folder[] = "/tmp/limn-test-gguf-XXXXXX", bent[64];
    assert_non_null(mkdtemp(folder));
    snprintf(bent, sizeof bent, "%s/bent.gguf", folder);
    TensorFiles *golden;
    char path[600];
    Gguf *gguf;
    open_golden(&golden, path, &cases[0]);
    assert_int_equal(gguf_open(&gguf, path), LIMN_OK);
    int bent_kinds = 0;
    for (int32_t i = 0; i < gguf_tensor_count(gguf); i++) {
        const Tensor *tensor = gguf_tensor_at(gguf, i);
        if (dtype_info(tensor->dtype)->block_elements == 1) {
            continue;
        }
        write_bent(bent, path, i);
        double distance = logit_distance(bent, golden, "ref");
        if (!(distance >= MUTANT_FACTOR * LOGIT_TOLERANCE)) {
            fail_msg("%s %s bent: off by %.2g only", tensor->name, dtype_info(tensor->dtype)->name, distance);
        }
        bent_kinds |= 1 << tensor->dtype;
    }
    for (int i = 0; i < DTYPE_COUNT; i++) { /* every K kind has been in the file, and bent */
        assert_true(strstr(dtype_info((DType)i)->name, "_K") == NULL || (bent_kinds & 1 << i) != 0);
    }
    gguf_close(gguf);
    tensor_files_close(golden);
    unlink(bent);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_those_of_the_reference),
        cmocka_unit_test(mutants_miss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
