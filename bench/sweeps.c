#include "sweeps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/sweep.h"

typedef struct Patches {
    Session *session;
    int32_t *ids, *other; /* [n] */
    int32_t n;
    int32_t target;
    int32_t batch;
    int32_t layers[2], positions[2];
    NodeId *nodes; /* [layers] hook_resid_post */
    CleanRun *clean, *patched_from;
    Edit *edits;  /* [count] */
    float *found; /* [count] */
    int32_t count;
    SweepWork work;
} Patches;

static int32_t *read_ids(const json_t *list, int32_t *n) {
    size_t count = json_array_size(list);
    int32_t *ids = calloc(count + 1, sizeof *ids);
    for (size_t i = 0; ids != NULL && i < count; i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    *n = (int32_t)count;
    return ids;
}

static void read_range(const json_t *request, const char *name, int32_t end, int32_t range[2]) {
    const json_t *list = json_object_get(request, name);
    range[0] = list == NULL ? 0 : (int32_t)json_integer_value(json_array_get(list, 0));
    range[1] = list == NULL ? end : (int32_t)json_integer_value(json_array_get(list, 1));
}

/* The site, position and value of each patch, layer after layer. */
static limn_status make_edits(Patches *p) {
    const Model *model = session_model(p->session);
    int32_t layers = p->layers[1] - p->layers[0], positions = p->positions[1] - p->positions[0];
    p->count = layers * positions;
    p->nodes = calloc((size_t)layers + 1, sizeof *p->nodes);
    p->edits = calloc((size_t)p->count + 1, sizeof *p->edits);
    p->found = calloc((size_t)p->count + 1, sizeof *p->found);
    if (p->nodes == NULL || p->edits == NULL || p->found == NULL) {
        return fail(LIMN_NO_MEMORY, "sweep of %d patches", p->count);
    }
    for (int32_t i = 0; i < p->count; i++) {
        int32_t layer = p->layers[0] + i / positions, position = p->positions[0] + i % positions;
        char site[64];
        snprintf(site, sizeof site, "blocks.%d.hook_resid_post", layer);
        const float *values;
        int64_t width;
        NodeId node = graph_find_site(&model->graph, site);
        TRY(clean_run_value(p->patched_from, p->session, node, &values, &width, NULL));
        p->nodes[i / positions] = node;
        p->edits[i] = (Edit){.node = node,
                             .row_begin = position,
                             .row_end = position + 1,
                             .element_end = -1,
                             .values = values + position * width};
    }
    return LIMN_OK;
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    Patches *p = context;
    p->found[answer->index] = answer->objective[0];
    return LIMN_OK;
}

static limn_status run_joined(Patches *p, bool estimate) {
    Counterfactual *list = calloc((size_t)p->count, sizeof *list);
    OutputRow output = {.row = p->n - 1, .target = p->target};
    RunRequest ask = {.outputs = &output,
                      .n_outputs = 1,
                      .objective = OBJECTIVE_LOG_PROB,
                      .editable = p->nodes,
                      .n_editable = p->layers[1] - p->layers[0]};
    Sweep *sweep = NULL;
    limn_status status = list == NULL ? fail(LIMN_NO_MEMORY, "sweep of %d patches", p->count)
                                      : sweep_new(&sweep, p->session, &ask, NULL);
    for (int32_t i = 0; status == LIMN_OK && i < p->count; i++) {
        list[i] = (Counterfactual){.clean = p->clean, .edits = &p->edits[i], .n_edits = 1};
    }
    if (status == LIMN_OK) {
        status = estimate ? sweep_estimate(sweep, list, p->count, &p->work)
                          : sweep_run(sweep, list, p->count, take, p, NULL);
    }
    sweep_free(sweep);
    free(list);
    return status;
}

/* Each patch as a pass over all rows from the tokens, `batch` of them side by side. */
static limn_status run_full(Patches *p, bool estimate) {
    SequenceInput *sequences = calloc((size_t)p->batch, sizeof *sequences);
    OutputRow *outputs = calloc((size_t)p->batch, sizeof *outputs);
    Edit *edits = calloc((size_t)p->batch, sizeof *edits);
    limn_status status = LIMN_OK;
    if (sequences == NULL || outputs == NULL || edits == NULL) {
        status = fail(LIMN_NO_MEMORY, "%d sequences", p->batch);
        goto done;
    }
    for (int32_t first = 0; first < p->count; first += p->batch) {
        int32_t size = p->count - first < p->batch ? p->count - first : p->batch;
        for (int32_t s = 0; s < size; s++) {
            sequences[s] = (SequenceInput){.ids = p->ids, .n = p->n};
            outputs[s] = (OutputRow){.sequence = s, .row = p->n - 1, .target = p->target};
            edits[s] = p->edits[first + s];
            edits[s].sequence = s;
        }
        RunRequest request = {.sequences = sequences,
                              .n_sequences = size,
                              .outputs = outputs,
                              .n_outputs = size,
                              .edits = edits,
                              .n_edits = size,
                              .editable = p->nodes,
                              .n_editable = p->layers[1] - p->layers[0],
                              .objective = OBJECTIVE_LOG_PROB};
        RunEstimate cost = {0};
        TRY_GOTO(status, done,
                 estimate ? session_estimate(p->session, &request, &cost) : session_run(p->session, &request, NULL));
        if (!estimate) {
            memcpy(p->found + first, session_objective(p->session), (size_t)size * sizeof(float));
        }
        p->work.runs++;
        p->work.rows += (int64_t)size * p->n;
        p->work.row_layers += cost.row_layers;
    }
done:
    free(sequences);
    free(outputs);
    free(edits);
    return status;
}

static double clock_seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static limn_status run_patches(Patches *p, bool joined, json_t *reply) {
    double wall = clock_seconds(CLOCK_MONOTONIC), processor = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    SequenceInput input = {.ids = p->ids, .n = p->n}, other = {.ids = p->other, .n = p->n};
    TRY(clean_run_new(&p->patched_from, p->session, &other, NULL, NULL));
    if (joined) {
        TRY(clean_run_new(&p->clean, p->session, &input, NULL, NULL));
    }
    TRY(make_edits(p));
    TRY(joined ? run_joined(p, false) : run_full(p, false));
    json_object_set_new(reply, "seconds", json_real(clock_seconds(CLOCK_MONOTONIC) - wall));
    json_object_set_new(reply, "processor", json_real(clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - processor));
    p->work = (SweepWork){0};
    return joined ? run_joined(p, true) : run_full(p, true);
}

limn_status bench_sweep(Session *session, const json_t *request, json_t *reply) {
    Patches p = {.session = session};
    int32_t n_other = 0;
    p.ids = read_ids(json_object_get(request, "ids"), &p.n);
    p.other = read_ids(json_object_get(request, "other"), &n_other);
    p.target = (int32_t)json_integer_value(json_object_get(request, "target"));
    p.batch = (int32_t)json_integer_value(json_object_get(request, "batch"));
    p.batch = p.batch < 1 ? 16 : p.batch;
    read_range(request, "layers", session_model(session)->config.n_layers, p.layers);
    read_range(request, "positions", p.n, p.positions);
    const char *how = json_string_value(json_object_get(request, "how"));
    limn_status status = p.n == 0 || n_other != p.n || how == NULL
                             ? fail(LIMN_USAGE, "sweep: ids, as many others, and how expected")
                             : run_patches(&p, strcmp(how, "joined") == 0, reply);
    json_t *found = json_array();
    for (int32_t i = 0; status == LIMN_OK && i < p.count; i++) {
        json_array_append_new(found, json_real((double)p.found[i]));
    }
    json_object_set_new(reply, "objective", found);
    json_object_set_new(reply, "runs", json_integer(p.work.runs));
    json_object_set_new(reply, "rows", json_integer(p.work.rows));
    json_object_set_new(reply, "row_layers", json_real(p.work.row_layers));
    clean_run_free(p.clean);
    clean_run_free(p.patched_from);
    free(p.ids);
    free(p.other);
    free(p.nodes);
    free(p.edits);
    free(p.found);
    return status;
}
