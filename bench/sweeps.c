#include "sweeps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/sweep.h"

typedef struct Patches {
    Engine *engine;
    int32_t *ids, *other; /* [n] */
    int32_t n;
    int32_t target;
    int32_t batch;
    int32_t layers[3], positions[3]; /* begin, end, step */
    NodeId *nodes;                   /* [n_nodes] hook_resid_post of each layer that is patched */
    int32_t n_nodes;
    CleanRun *clean, *patched_from;
    Edit *edits;  /* [count] */
    float *found; /* [count] */
    double *each; /* [count] seconds */
    int32_t count;
    SweepWork work;
    clockid_t clock; /* of `each` */
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

static void read_range(const json_t *request, const char *name, int32_t end, int32_t range[3]) {
    const json_t *list = json_object_get(request, name);
    for (size_t i = 0; i < 3; i++) {
        range[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    range[1] = list == NULL ? end : range[1];
    range[2] = range[2] < 1 ? 1 : range[2];
}

static int32_t count_of(const int32_t range[3]) {
    return (range[1] - range[0] + range[2] - 1) / range[2];
}

/* The site, position and value of each patch, layer after layer. */
static limn_status make_edits(Patches *p) {
    const Model *model = engine_model(p->engine);
    int32_t positions = count_of(p->positions);
    p->n_nodes = count_of(p->layers);
    p->count = p->n_nodes * positions;
    p->nodes = calloc((size_t)p->n_nodes + 1, sizeof *p->nodes);
    p->edits = calloc((size_t)p->count + 1, sizeof *p->edits);
    p->found = calloc((size_t)p->count + 1, sizeof *p->found);
    p->each = calloc((size_t)p->count + 1, sizeof *p->each);
    if (p->nodes == NULL || p->edits == NULL || p->found == NULL || p->each == NULL) {
        return fail(LIMN_NO_MEMORY, "sweep of %d patches", p->count);
    }
    for (int32_t i = 0; i < p->count; i++) {
        int32_t position = p->positions[0] + i % positions * p->positions[2];
        char site[64];
        snprintf(site, sizeof site, "blocks.%d.hook_resid_post", p->layers[0] + i / positions * p->layers[2]);
        const float *values;
        int64_t width;
        NodeId node = graph_find_site(&model->graph, site);
        TRY(clean_run_value(p->patched_from, p->engine, node, &values, &width, NULL));
        p->nodes[i / positions] = node;
        p->edits[i] = (Edit){.node = node,
                             .row_begin = position,
                             .row_end = position + 1,
                             .element_end = -1,
                             .values = values + position * width};
    }
    return LIMN_OK;
}

typedef struct Clocks {
    double wall, processor;
} Clocks;

static double clock_seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static Clocks clocks_now(void) {
    return (Clocks){clock_seconds(CLOCK_MONOTONIC), clock_seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static limn_status take(void *context, const CounterfactualAnswer *answer) {
    ((float *)context)[answer->index] = answer->objective[0];
    return LIMN_OK;
}

static limn_status run_each(Patches *p, Sweep *sweep, const Counterfactual *list) {
    for (int32_t i = 0; i < p->count; i++) {
        double start = clock_seconds(p->clock);
        TRY(sweep_run(sweep, list + i, 1, take, p->found + i, NULL));
        p->each[i] = clock_seconds(p->clock) - start;
    }
    return LIMN_OK;
}

typedef enum How { FULL, JOINED, LIVE, ESTIMATE } How;

static limn_status run_joined(Patches *p, How how) {
    Counterfactual *list = calloc((size_t)p->count, sizeof *list);
    OutputRow output = {.row = p->n - 1, .target = p->target};
    RunRequest ask = {.outputs = &output,
                      .n_outputs = 1,
                      .objective = OBJECTIVE_LOG_PROB,
                      .editable = p->nodes,
                      .n_editable = p->n_nodes};
    Sweep *sweep = NULL;
    limn_status status =
        list == NULL ? fail(LIMN_NO_MEMORY, "sweep of %d patches", p->count) : sweep_new(&sweep, p->engine, &ask, NULL);
    for (int32_t i = 0; status == LIMN_OK && i < p->count; i++) {
        list[i] = (Counterfactual){.clean = p->clean, .edits = &p->edits[i], .n_edits = 1};
    }
    if (status == LIMN_OK) {
        status = how == ESTIMATE ? sweep_estimate(sweep, list, p->count, &p->work)
                 : how == LIVE   ? run_each(p, sweep, list)
                                 : sweep_run(sweep, list, p->count, take, p->found, NULL);
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
                              .n_editable = p->n_nodes,
                              .objective = OBJECTIVE_LOG_PROB};
        RunEstimate cost = {0};
        TRY_GOTO(status, done,
                 estimate ? engine_estimate(p->engine, &request, &cost) : engine_run(p->engine, &request, NULL));
        if (!estimate) {
            memcpy(p->found + first, engine_objective(p->engine), (size_t)size * sizeof(float));
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

static limn_status run_patches(Patches *p, How how, json_t *reply) {
    SequenceInput input = {.ids = p->ids, .n = p->n}, other = {.ids = p->other, .n = p->n};
    TRY(clean_run_new(&p->patched_from, p->engine, &other, NULL, NULL));
    TRY(make_edits(p));
    Clocks kept = clocks_now();
    TRY(how == FULL ? LIMN_OK : clean_run_new(&p->clean, p->engine, &input, NULL, NULL));
    Clocks start = clocks_now();
    TRY(how == FULL ? run_full(p, false) : run_joined(p, how));
    Clocks end = clocks_now();
    json_object_set_new(reply, "seconds", json_real(end.wall - start.wall));
    json_object_set_new(reply, "processor", json_real(end.processor - start.processor));
    json_object_set_new(reply, "kept_seconds", json_real(start.wall - kept.wall));
    json_object_set_new(reply, "kept_processor", json_real(start.processor - kept.processor));
    json_object_set_new(reply, "kept_bytes", json_integer(how == FULL ? 0 : (json_int_t)clean_run_bytes(p->clean)));
    p->work = (SweepWork){0};
    return how == FULL ? run_full(p, true) : run_joined(p, ESTIMATE);
}

static json_t *numbers(const float *reals, const double *seconds, int32_t n) {
    json_t *list = json_array();
    for (int32_t i = 0; i < n; i++) {
        json_array_append_new(list, json_real(reals != NULL ? (double)reals[i] : seconds[i]));
    }
    return list;
}

limn_status bench_sweep(Engine *engine, const json_t *request, json_t *reply) {
    Patches p = {.engine = engine};
    int32_t n_other = 0;
    p.ids = read_ids(json_object_get(request, "ids"), &p.n);
    p.other = read_ids(json_object_get(request, "other"), &n_other);
    p.target = (int32_t)json_integer_value(json_object_get(request, "target"));
    p.batch = (int32_t)json_integer_value(json_object_get(request, "batch"));
    p.batch = p.batch < 1 ? 16 : p.batch;
    read_range(request, "layers", engine_model(engine)->config.n_layers, p.layers);
    read_range(request, "positions", p.n, p.positions);
    const char *name = json_string_value(json_object_get(request, "how"));
    const char *clock = json_string_value(json_object_get(request, "clock"));
    p.clock = clock != NULL && strcmp(clock, "processor") == 0 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    How how = name == NULL ? FULL : strcmp(name, "joined") == 0 ? JOINED : strcmp(name, "live") == 0 ? LIVE : FULL;
    limn_status status = p.n == 0 || n_other != p.n ? fail(LIMN_USAGE, "sweep: ids and as many others expected")
                                                    : run_patches(&p, how, reply);
    if (status == LIMN_OK) {
        json_object_set_new(reply, "objective", numbers(p.found, NULL, p.count));
        json_object_set_new(reply, "each", numbers(NULL, p.each, how == LIVE ? p.count : 0));
    }
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
    free(p.each);
    return status;
}
