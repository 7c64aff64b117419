#include "run/golden_case.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *const golden_backends[] = {
    "ref",
#ifndef LIMN_REF_ONLY
    "cpu",
#endif
    NULL,
};

const GoldenRow golden_cases[] = {
#define GOLDEN_CASE(name, has) {name, has},
#include "golden/cases.def"
#undef GOLDEN_CASE
    {NULL, 0}};

static const Tensor *need(const GoldenCase *golden, const char *name) {
    const Tensor *tensor = tensor_files_find(golden->golden, name);
    if (tensor == NULL) {
        fail_msg("%s: no golden value %s", golden->folder, name);
    }
    return tensor;
}

static void *copy_of(const GoldenCase *golden, const char *name, int64_t *n) {
    const Tensor *tensor = need(golden, name);
    void *copy = malloc(tensor->bytes);
    assert_non_null(copy);
    memcpy(copy, tensor->data, tensor->bytes);
    *n = tensor_elements(tensor);
    return copy;
}

static void read_sequences(GoldenCase *golden) {
    int64_t n_rows, n;
    golden->ids = copy_of(golden, "ids", &n_rows);
    golden->types = copy_of(golden, "types", &n_rows);
    golden->mask = copy_of(golden, "mask", &n_rows);
    int32_t *lengths = copy_of(golden, "lengths", &n);
    golden->n_sequences = (int32_t)n;
    golden->sequences = calloc((size_t)n, sizeof *golden->sequences);
    int32_t begin = 0;
    for (int32_t i = 0; i < golden->n_sequences; i++) {
        golden->sequences[i] = (SequenceInput){
            .ids = golden->ids + begin, .n = lengths[i], .types = golden->types + begin, .mask = golden->mask + begin};
        begin += lengths[i];
    }
    free(lengths);
    assert_int_equal(begin, n_rows);
}

static void read_outputs(GoldenCase *golden) {
    int64_t n;
    int32_t *rows = copy_of(golden, "outputs", &n);
    golden->all_targets = copy_of(golden, "targets", &n);
    golden->n_outputs = (int32_t)n;
    golden->outputs = calloc((size_t)n, sizeof *golden->outputs);
    for (int32_t i = 0; i < golden->n_outputs; i++) {
        int32_t sequence = 0, row = rows[i];
        while (row >= golden->sequences[sequence].n) {
            row -= golden->sequences[sequence++].n;
        }
        golden->outputs[i] =
            (OutputRow){.sequence = sequence, .row = row, .target = golden->all_targets[i], .weight = 1.0f};
    }
    free(rows);
}

void golden_case_open(GoldenCase *golden, const char *name, const ModelOptions *options) {
    golden_case_open_on(golden, name, name, options);
}

void golden_case_open_on(GoldenCase *golden, const char *name, const char *model, const ModelOptions *options) {
    *golden = (GoldenCase){0};
    snprintf(golden->folder, sizeof golden->folder, "%s/tests/golden/%s", LIMN_TEST_SOURCE_DIR, name);
    char path[600], folder[600];
    snprintf(path, sizeof path, "%s/golden.safetensors", golden->folder);
    snprintf(folder, sizeof folder, "%s/tests/golden/%s", LIMN_TEST_SOURCE_DIR, model);
    if (tensor_files_open(&golden->golden, path) != LIMN_OK ||
        model_open(&golden->model, folder, options, NULL) != LIMN_OK) {
        fail_msg("%s: %s", name, error_message());
    }
    golden->classifier = golden->model->config.task == TASK_CLASSIFIER;
    golden->bare = golden->model->graph.logits == NODE_NONE;
    golden->objective = golden->bare ? OBJECTIVE_NONE : golden->classifier ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB;
    read_sequences(golden);
    read_outputs(golden);
}

void golden_case_use(GoldenCase *golden, const char *file) {
    char path[600];
    snprintf(path, sizeof path, "%s/%s", golden->folder, file);
    tensor_files_close(golden->golden);
    golden->golden = NULL;
    if (tensor_files_open(&golden->golden, path) != LIMN_OK) {
        fail_msg("%s", error_message());
    }
}

void golden_case_close(GoldenCase *golden) {
    model_free(golden->model);
    tensor_files_close(golden->golden);
    free(golden->ids);
    free(golden->types);
    free(golden->mask);
    free(golden->all_targets);
    free(golden->sequences);
    free(golden->outputs);
}

RunRequest golden_case_request(const GoldenCase *golden) {
    return (RunRequest){.sequences = golden->sequences,
                        .n_sequences = golden->n_sequences,
                        .outputs = golden->outputs,
                        .n_outputs = golden->n_outputs,
                        .logits = !golden->bare};
}

int32_t golden_case_sites(const GoldenCase *golden, NodeId **nodes) {
    const Graph *graph = &golden->model->graph;
    int32_t n = 0;
    *nodes = calloc((size_t)graph->n_nodes + 1, sizeof **nodes);
    assert_non_null(*nodes);
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        if (graph->nodes[node].site != NULL) {
            (*nodes)[n++] = node;
        }
    }
    return n;
}

static double largest_difference(const GoldenCase *golden, const char *name, const float *found, int64_t n,
                                 double *largest) {
    const Tensor *tensor = need(golden, name);
    if (tensor_elements(tensor) != n) {
        char shape[96];
        fail_msg("%s: %s has %lld values, expected %s", golden->folder, name, (long long)n,
                 tensor_shape_text(tensor, shape));
    }
    const float *expected = tensor->data;
    double difference = 0;
    *largest = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isinf(expected[i]) && found[i] == expected[i]) {
            continue;
        }
        double d = fabs((double)found[i] - (double)expected[i]);
        difference = d <= difference ? difference : (isnan(d) ? INFINITY : d);
        *largest = fmax(*largest, fabs((double)expected[i]));
    }
    return difference;
}

double golden_case_distance(const GoldenCase *golden, const char *tensor, const float *found, int64_t n) {
    double largest;
    double difference = largest_difference(golden, tensor, found, n, &largest);
    return difference == 0 ? 0 : difference / largest;
}

double golden_case_logit_distance(const GoldenCase *golden, const char *tensor, const float *found, int64_t n) {
    double largest;
    double difference = largest_difference(golden, tensor, found, n, &largest);
    return difference / fmax(1, largest);
}
