/* limn's side of the bench behind the line protocol of peers/worker.py: one JSON object per line in and out.
 *
 *     {"do": "open", "model": FOLDER, "dtype": "f32"}
 *     {"do": "forward", "ids": [...], "rows": "all"|"last", "save": FILE}
 *     {"do": "nodes", "ids": [...], "target": 7042, "baseline": 2, "count": 48, "batch": 16}
 *     {"do": "call", "command": "ig", "params": {...}}      a public command, its result as JSON
 *     {"do": "decode", "ids": [...], "count": 32}           greedy, one token after another, with the cache
 *     {"do": "relevance", "ids": [...], "target": 7042}     RelP in one pass, and the logit it must come to
 *     {"do": "sweep", "ids": [...], "other": [...], "target": 7042, "how": "joined"|"full"}   see sweeps.h
 *     {"do": "peak"}
 *
 * Times are of the work alone, with model and programs warm when the driver has asked once before. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/parallel.h"
#include "limn.h"
#include "run/engine.h"
#include "sweeps.h"

typedef struct Worker {
    Team team;
    Model *model;
    Engine *engine;
    limn_context *context;
} Worker;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double processor_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Both clocks: on a busy machine the processor time of one thread is the steadier one. */
typedef struct Stopwatch {
    double wall, processor;
} Stopwatch;

static Stopwatch stopwatch_start(void) {
    return (Stopwatch){seconds_now(), processor_now()};
}

static void stopwatch_report(const Stopwatch *watch, json_t *reply) {
    json_object_set_new(reply, "seconds", json_real(seconds_now() - watch->wall));
    json_object_set_new(reply, "processor", json_real(processor_now() - watch->processor));
}

static void worker_close(Worker *worker) {
    engine_free(worker->engine);
    worker->engine = NULL;
    model_free(worker->model);
    worker->model = NULL;
}

static limn_status worker_open(Worker *worker, const json_t *request, json_t *reply) {
    const char *path = json_string_value(json_object_get(request, "model"));
    const char *dtype = json_string_value(json_object_get(request, "dtype"));
    if (path == NULL || dtype == NULL) {
        return fail(LIMN_USAGE, "open: model and dtype expected");
    }
    bool bf16 = strcmp(dtype, "bf16") == 0;
    worker_close(worker);
    Stopwatch start = stopwatch_start();
    ModelOptions model_options = {.frame = FRAME_HF, .bf16 = bf16};
    TRY(model_open(&worker->model, path, &model_options, &worker->team));
    EngineOptions options = {.compute = bf16 ? COMPUTE_BF16 : COMPUTE_F32, .threads = worker->team.threads};
    TRY(engine_new(&worker->engine, worker->model, &options));
    stopwatch_report(&start, reply);
    return LIMN_OK;
}

/* The request's ids as [n], the caller's to free. */
static int32_t *request_ids(const json_t *request, int32_t *n) {
    const json_t *list = json_object_get(request, "ids");
    size_t count = json_array_size(list);
    int32_t *ids = calloc(count + 1, sizeof *ids);
    for (size_t i = 0; ids != NULL && i < count; i++) {
        ids[i] = (int32_t)json_integer_value(json_array_get(list, i));
    }
    *n = (int32_t)count;
    return ids;
}

static limn_status save_logits(const Worker *worker, const char *path, int32_t rows) {
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return fail(LIMN_IO, "%s: cannot be written", path);
    }
    const ModelConfig *config = &engine_model(worker->engine)->config;
    size_t count = (size_t)rows * (size_t)config->n_vocab;
    size_t written = fwrite(engine_logits(worker->engine), sizeof(float), count, file); /* [rows, V] */
    if (fclose(file) != 0 || written != count) {
        return fail(LIMN_IO, "%s: %zu of %zu logits written", path, written, count);
    }
    return LIMN_OK;
}

static limn_status worker_forward(Worker *worker, const json_t *request, json_t *reply) {
    int32_t n;
    int32_t *ids = request_ids(request, &n); /* [n] */
    const char *rows = json_string_value(json_object_get(request, "rows"));
    bool all = rows == NULL || strcmp(rows, "all") == 0;
    int32_t n_outputs = all ? n : 1;
    OutputRow *outputs = calloc((size_t)n + 1, sizeof *outputs); /* [n_outputs] */
    limn_status status = LIMN_OK;
    if (ids == NULL || outputs == NULL || n == 0) {
        status = fail(LIMN_USAGE, "forward: ids expected");
        goto done;
    }
    for (int32_t i = 0; i < n_outputs; i++) {
        outputs[i] = (OutputRow){.row = all ? i : n - 1, .target = -1};
    }
    SequenceInput sequence = {.ids = ids, .n = n};
    RunRequest run = {
        .sequences = &sequence, .n_sequences = 1, .outputs = outputs, .n_outputs = n_outputs, .logits = true};
    Stopwatch start = stopwatch_start();
    TRY_GOTO(status, done, engine_run(worker->engine, &run, NULL));
    stopwatch_report(&start, reply);
    const char *save = json_string_value(json_object_get(request, "save"));
    if (save != NULL) {
        status = save_logits(worker, save, n_outputs);
    }
done:
    free(ids);
    free(outputs);
    return status;
}

static int32_t argmax(const float *logits, int32_t n) {
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* The likeliest token `count` times, each appended to the cache. */
static limn_status decode(Worker *worker, KvCache *cache, const int32_t *ids, int32_t n, int32_t count,
                          json_t *chosen) {
    int32_t next = 0;
    for (int32_t i = 0; i < count; i++) {
        SequenceInput sequence = {.ids = i == 0 ? ids : &next, .n = i == 0 ? n : 1};
        if (i > 0) {
            sequence.prefix = cache;
            sequence.prefix_length = cache->length;
        }
        OutputRow output = {.row = sequence.n - 1, .target = -1};
        RunRequest run = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = &output,
                          .n_outputs = 1,
                          .logits = true,
                          .append = cache};
        TRY(engine_run(worker->engine, &run, NULL));
        next = argmax(engine_logits(worker->engine), worker->model->config.n_vocab);
        json_array_append_new(chosen, json_integer(next));
    }
    return LIMN_OK;
}

static limn_status worker_decode(Worker *worker, const json_t *request, json_t *reply) {
    int32_t n, count = (int32_t)json_integer_value(json_object_get(request, "count"));
    int32_t *ids = request_ids(request, &n); /* [n] */
    json_t *chosen = json_array();
    KvCache *cache = NULL;
    Stopwatch start = stopwatch_start();
    limn_status status = ids == NULL || n == 0 ? fail(LIMN_USAGE, "decode: ids expected")
                                               : kv_cache_new(&cache, worker->model, n + count);
    if (status == LIMN_OK) {
        status = decode(worker, cache, ids, n, count, chosen);
    }
    stopwatch_report(&start, reply);
    json_object_set_new(reply, "ids", chosen);
    kv_cache_free(cache);
    free(ids);
    return status;
}

/* One batch of integration nodes: copies of the prompt, each with its embedding rows moved along the path. */
static limn_status run_nodes(Worker *worker, const float *x, const float *baseline, const int32_t *ids, int32_t n,
                             int32_t target, int32_t first, int32_t batch, int32_t count, float *points) {
    const Model *model = worker->model;
    int64_t width = model->config.d_embed;
    SequenceInput *sequences = calloc((size_t)batch, sizeof *sequences); /* [batch] */
    OutputRow *outputs = calloc((size_t)batch, sizeof *outputs);         /* [batch] */
    limn_status status = LIMN_OK;
    if (sequences == NULL || outputs == NULL) {
        status = fail(LIMN_NO_MEMORY, "nodes: out of memory");
        goto done;
    }
    for (int32_t b = 0; b < batch; b++) {
        float alpha = count > 1 ? (float)(first + b) / (float)(count - 1) : 1.0F;
        float *point = points + (int64_t)b * n * width; /* [n, D] */
        for (int64_t i = 0; i < n * width; i++) {
            point[i] = baseline[i % width] + alpha * (x[i] - baseline[i % width]);
        }
        sequences[b] = (SequenceInput){.ids = ids, .n = n};
        outputs[b] = (OutputRow){.sequence = b, .row = n - 1, .target = target, .weight = 1.0F};
    }
    NodeId embed = model->graph.embed;
    Edit edit = {.node = embed,
                 .kind = EDIT_SET,
                 .sequence = -1,
                 .row_end = -1,
                 .element_end = -1,
                 .values = points,
                 .row_stride = width,
                 .sequence_stride = n * width};
    RunRequest run = {.sequences = sequences,
                      .n_sequences = batch,
                      .outputs = outputs,
                      .n_outputs = batch,
                      .grads = &embed,
                      .n_grads = 1,
                      .edits = &edit,
                      .n_edits = 1,
                      .objective = OBJECTIVE_LOG_PROB};
    status = engine_run(worker->engine, &run, NULL);
done:
    free(sequences);
    free(outputs);
    return status;
}

/* The raw embedding rows of the prompt and, last, of the baseline token: [n + 1, D], the caller's to free. */
static limn_status embedding_rows(Worker *worker, const int32_t *ids, int32_t n, float **rows) {
    SequenceInput sequence = {.ids = ids, .n = n};
    NodeId embed = worker->model->graph.embed;
    OutputRow output = {.row = n - 1, .target = -1};
    RunRequest run = {
        .sequences = &sequence, .n_sequences = 1, .outputs = &output, .n_outputs = 1, .taps = &embed, .n_taps = 1};
    TRY(engine_run(worker->engine, &run, NULL));
    int32_t n_rows;
    int64_t width;
    const float *values = engine_tap(worker->engine, embed, &n_rows, &width); /* [n, D] */
    size_t bytes = (size_t)n_rows * (size_t)width * sizeof(float);
    *rows = malloc(bytes);
    if (*rows == NULL || values == NULL) {
        return fail(LIMN_NO_MEMORY, "nodes: no embedding rows");
    }
    memcpy(*rows, values, bytes);
    return LIMN_OK;
}

static limn_status worker_nodes(Worker *worker, const json_t *request, json_t *reply) {
    int32_t n;
    int32_t *ids = request_ids(request, &n); /* [n + 1] */
    int32_t target = (int32_t)json_integer_value(json_object_get(request, "target"));
    int32_t count = (int32_t)json_integer_value(json_object_get(request, "count"));
    int32_t batch = (int32_t)json_integer_value(json_object_get(request, "batch"));
    float *x = NULL, *points = NULL; /* [n + 1, D], [batch, n, D] */
    limn_status status = LIMN_OK;
    if (ids == NULL || n == 0 || count < 1 || batch < 1) {
        status = fail(LIMN_USAGE, "nodes: ids, count and batch expected");
        goto done;
    }
    ids[n] = (int32_t)json_integer_value(json_object_get(request, "baseline"));
    TRY_GOTO(status, done, embedding_rows(worker, ids, n + 1, &x));
    int64_t width = worker->model->config.d_embed;
    points = malloc((size_t)batch * (size_t)n * (size_t)width * sizeof *points);
    if (points == NULL) {
        status = fail(LIMN_NO_MEMORY, "nodes: out of memory");
        goto done;
    }
    Stopwatch start = stopwatch_start();
    for (int32_t first = 0; first < count; first += batch) {
        int32_t size = count - first < batch ? count - first : batch;
        TRY_GOTO(status, done, run_nodes(worker, x, x + n * width, ids, n, target, first, size, count, points));
    }
    stopwatch_report(&start, reply);
done:
    free(ids);
    free(x);
    free(points);
    return status;
}

static limn_status add_relevance(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                                 const float *value, const float *gradient) {
    (void)node;
    (void)row_begin;
    double *sum = context;
    for (int64_t i = 0; i < n_rows * width; i++) {
        *sum += (double)value[i] * (double)gradient[i];
    }
    return LIMN_OK;
}

/* One modified backward pass; without biases the tokens' relevance comes to the logit. */
static limn_status worker_relevance(Worker *worker, const json_t *request, json_t *reply) {
    int32_t n, target = (int32_t)json_integer_value(json_object_get(request, "target"));
    int32_t *ids = request_ids(request, &n); /* [n] */
    if (ids == NULL || n == 0) {
        free(ids);
        return fail(LIMN_USAGE, "relevance: ids expected");
    }
    double sum = 0.0;
    NodeId embed = worker->model->graph.embed;
    SequenceInput sequence = {.ids = ids, .n = n};
    OutputRow output = {.row = n - 1, .target = target, .weight = 1.0F};
    GradientSink sink = {.nodes = &embed, .n = 1, .with_values = true, .function = add_relevance, .context = &sum};
    RunRequest run = {.sequences = &sequence,
                      .n_sequences = 1,
                      .outputs = &output,
                      .n_outputs = 1,
                      .objective = OBJECTIVE_LOGIT,
                      .rules = RULES_RELP,
                      .sink = &sink};
    Stopwatch start = stopwatch_start();
    limn_status status = engine_run(worker->engine, &run, NULL);
    stopwatch_report(&start, reply);
    if (status == LIMN_OK) {
        json_object_set_new(reply, "sum", json_real(sum));
        json_object_set_new(reply, "logit", json_real((double)engine_objective(worker->engine)[0]));
    }
    free(ids);
    return status;
}

static limn_status worker_call(Worker *worker, const json_t *request, json_t *reply) {
    if (worker->context == NULL) {
        TRY(limn_context_new(&worker->context));
    }
    const char *command = json_string_value(json_object_get(request, "command"));
    char *params = json_dumps(json_object_get(request, "params"), JSON_COMPACT);
    if (command == NULL || params == NULL) {
        free(params);
        return fail(LIMN_USAGE, "call: command and params expected");
    }
    limn_result *result = NULL;
    char *text = NULL;
    size_t length = 0;
    Stopwatch start = stopwatch_start();
    limn_status status = limn_call(worker->context, command, params, NULL, &result);
    stopwatch_report(&start, reply);
    free(params);
    if (status == LIMN_OK) {
        status = limn_result_render(result, "json", NULL, &text, &length);
    }
    if (status == LIMN_OK) {
        json_object_set_new(reply, "result", json_loadb(text, length, 0, NULL));
    }
    limn_free(text);
    limn_result_free(result);
    return status;
}

static limn_status worker_answer(Worker *worker, const json_t *request, json_t *reply) {
    const char *verb = json_string_value(json_object_get(request, "do"));
    if (verb == NULL) {
        return fail(LIMN_USAGE, "a request without \"do\"");
    }
    if (strcmp(verb, "open") == 0) {
        return worker_open(worker, request, reply);
    }
    if (strcmp(verb, "call") == 0) {
        return worker_call(worker, request, reply);
    }
    if (strcmp(verb, "close") == 0) {
        worker_close(worker);
        return LIMN_OK;
    }
    if (strcmp(verb, "versions") == 0) {
        json_object_set_new(reply, "limn", json_string(limn_version()));
        json_object_set_new(reply, "isa", json_string(backend_find("cpu")->describe()));
        json_object_set_new(reply, "threads", json_integer(worker->team.threads));
        return LIMN_OK;
    }
    if (strcmp(verb, "peak") == 0) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        json_object_set_new(reply, "bytes", json_integer((json_int_t)usage.ru_maxrss * 1024));
        return LIMN_OK;
    }
    if (worker->engine == NULL) {
        return fail(LIMN_USAGE, "%s before open", verb);
    }
    if (strcmp(verb, "decode") == 0) {
        return worker_decode(worker, request, reply);
    }
    if (strcmp(verb, "forward") == 0) {
        return worker_forward(worker, request, reply);
    }
    if (strcmp(verb, "relevance") == 0) {
        return worker_relevance(worker, request, reply);
    }
    if (strcmp(verb, "nodes") == 0) {
        return worker_nodes(worker, request, reply);
    }
    if (strcmp(verb, "sweep") == 0) {
        return bench_sweep(worker->engine, request, reply);
    }
    return fail(LIMN_USAGE, "unknown request \"%s\"", verb);
}

int main(void) {
    const char *threads = getenv("LIMN_BENCH_THREADS");
    Worker worker = {.team = team_of(threads == NULL ? 2 : atoi(threads), NULL)};
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) {
        json_t *request = json_loads(line, 0, NULL);
        json_t *reply = json_object();
        const char *verb = json_string_value(json_object_get(request, "do"));
        bool quit = verb != NULL && strcmp(verb, "quit") == 0;
        if (!quit) {
            if (worker_answer(&worker, request, reply) != LIMN_OK) {
                json_object_set_new(reply, "error", json_string(error_message()));
            }
            json_dumpf(reply, stdout, JSON_COMPACT);
            putchar('\n');
            fflush(stdout);
        }
        json_decref(request);
        json_decref(reply);
        if (quit) {
            break;
        }
    }
    free(line);
    worker_close(&worker);
    limn_context_free(worker.context);
    return 0;
}
