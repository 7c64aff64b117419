/* Requests to questions, memory, and the run itself. */
#include "run/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/integers.h"
#include "base/large.h"
#include "run/execute.h"
#include "run/joins.h"
#include "run/program_cache.h"
#include "run/seeds.h"
#include "run/standing.h"

enum { DEFAULT_CHUNK_ROWS = 256, LEAST_CHUNK_ROWS = 16 };

struct Engine {
    const Model *model;
    EngineOptions options;
    const Backend *backend;
    BackendState *state;
    Team team;            /* its progress is set while a run lasts */
    size_t weight_budget; /* for weights in a faster layout */
    size_t free_memory; /* half of what the machine could give when the engine was made; unused where a limit is set */
    ProgramCache programs;
    int64_t programs_made;
    NodeId *edit_nodes;  /* [graph->n_nodes] of the request at hand */
    NodeId *copies;      /* [graph->n_nodes] what the edited sites may become copies of */
    NodeId *sources;     /* [graph->n_nodes] the same by site; all NODE_NONE between requests */
    bool *editable;      /* [graph->n_nodes] all false between requests */
    NodeId *given_nodes; /* of the request at hand */
    int32_t given_capacity;
    NodeId *seed_nodes; /* of the request at hand */
    int32_t seed_capacity;
    NodeId *streams;      /* [join_places] of the model; NODE_NONE: it has none there */
    NodeId *join_nodes;   /* [join_places] of the request at hand */
    int32_t *join_places; /* [join_places] */
    JoinSet joins;
    double row_layer; /* multiply-adds of one row through one layer, times two */
    StandingEdits standing;
    EditIndex edits;
    Rows rows;
    void *workspace;
    size_t workspace_bytes;
    size_t held; /* bytes of the caches that count under the limit */
    float **slots;
    int32_t slot_capacity;
    float *spare; /* one row that is handed back, and a flag for each row */
    size_t spare_bytes;
    size_t edit_scratch; /* of the request at hand */
    Execution last;      /* what the getters read; program NULL: nothing yet */
    double total;        /* of the last run */
};

static size_t half_of_free_memory(void) {
    unsigned long long available_kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    char line[128];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemAvailable: %llu kB", &available_kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return available_kib == 0 ? (size_t)2 << 30 : (size_t)available_kib * 512;
}

/* What converted weights and caches take of the limit. */
static size_t taken(const Engine *engine) {
    return (size_t)engine->model->copied_bytes + engine->held;
}

/* Where nobody set a limit, what caches leave of free_memory, which was asked for with the weights in place. */
size_t engine_memory_left(const Engine *engine) {
    size_t limit = engine->options.memory_limit;
    if (limit > 0) {
        return limit > taken(engine) ? limit - taken(engine) : 0;
    }
    return engine->free_memory > engine->held ? engine->free_memory - engine->held : 0;
}

/* Weights in a faster layout are a luxury: a quarter of what is free, nothing when somebody counts. */
static void set_weight_budget(Engine *engine) {
    const EngineOptions *options = &engine->options;
    bool counted = options->memory_limit > 0 || options->keep == KEEP_LAYER_INPUTS || options->brief;
    if (engine->backend->set_weight_budget != NULL && !counted) {
        engine->weight_budget = engine_memory_left(engine) / 2;
        engine->backend->set_weight_budget(engine->state, engine->weight_budget);
    }
}

static limn_status find_joins(Engine *engine) {
    const Model *model = engine->model;
    size_t places = (size_t)join_places(model);
    TRY(joins_find(&engine->streams, model));
    engine->join_nodes = malloc(places * sizeof *engine->join_nodes);
    engine->join_places = malloc(places * sizeof *engine->join_places);
    engine->row_layer =
        graph_block_flops(&model->graph) / (double)(model->config.n_layers > 0 ? model->config.n_layers : 1);
    return engine->join_nodes != NULL && engine->join_places != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "engine");
}

limn_status engine_new(Engine **engine, const Model *model, const EngineOptions *options) {
    if (model->config_only) {
        return fail(LIMN_INTERNAL, "%s was opened for its configuration only", model->path);
    }
    *engine = calloc(1, sizeof **engine);
    if (*engine == NULL) {
        return fail(LIMN_NO_MEMORY, "engine");
    }
    Engine *made = *engine;
    made->model = model;
    made->options = options == NULL ? (EngineOptions){0} : *options;
    engine_set_threads(made, made->options.threads);
    if (made->options.chunk_rows <= 0) {
        made->options.chunk_rows = DEFAULT_CHUNK_ROWS;
    }
    if (made->options.backend == NULL) {
        made->options.backend = backend_find("cpu") == NULL ? "ref" : "cpu";
    }
    limn_status status = engine_set_edits(made, made->options.edits, made->options.n_edits);
    status = status == LIMN_OK ? find_joins(made) : status;
    made->backend = backend_find(made->options.backend);
    if (status == LIMN_OK && made->backend == NULL) {
        status = fail(LIMN_NOT_FOUND, "backend %s is not in this build", made->options.backend);
    } else if (status == LIMN_OK) {
        status = made->backend->state_new(&made->state);
    }
    if (status != LIMN_OK) {
        engine_free(made);
        *engine = NULL;
        return status;
    }
    made->free_memory = made->options.memory_limit > 0 ? 0 : half_of_free_memory();
    set_weight_budget(made);
    return LIMN_OK;
}

void engine_free(Engine *engine) {
    if (engine == NULL) {
        return;
    }
    program_cache_free(&engine->programs);
    if (engine->state != NULL) {
        engine->backend->state_free(engine->state);
    }
    rows_free(&engine->rows);
    free(engine->edit_nodes);
    free(engine->editable);
    free(engine->given_nodes);
    free(engine->streams);
    free(engine->join_nodes);
    free(engine->join_places);
    free(engine->spare);
    free(engine->copies);
    free(engine->sources);
    free(engine->seed_nodes);
    edits_free(&engine->edits);
    standing_free(&engine->standing);
    free(engine->workspace);
    free(engine->slots);
    free(engine);
}

const Model *engine_model(const Engine *engine) {
    return engine->model;
}

const char *engine_backend_name(const Engine *engine) {
    return engine->backend->name;
}

const char *engine_backend_describe(const Engine *engine) {
    return engine->backend->describe();
}

void engine_set_threads(Engine *engine, int64_t threads) {
    engine->team = team_of(threads, NULL);
}

int engine_threads(const Engine *engine) {
    return engine->team.threads;
}

limn_status engine_set_edits(Engine *engine, const Edit *edits, int32_t n) {
    TRY(standing_check(&engine->model->graph, edits, n));
    engine->standing.edits = edits;
    engine->standing.n = n;
    return LIMN_OK;
}

const Edit *engine_standing(const Engine *engine, int32_t *n) {
    *n = engine->standing.n;
    return engine->standing.edits;
}

Compute engine_compute(const Engine *engine) {
    return engine->options.compute;
}

int32_t engine_chunk_rows(const Engine *engine) {
    return engine->options.chunk_rows;
}

size_t engine_working_bytes(const Engine *engine) {
    return engine->workspace_bytes;
}

int64_t engine_programs(const Engine *engine) {
    return engine->programs_made;
}

/* Sites that the program lets a run edit, each once, in ascending order: those of the edits and those named beside. */
static limn_status collect_edit_nodes(Engine *engine, const RunRequest *request, int32_t *count) {
    const Graph *graph = &engine->model->graph;
    if (engine->edit_nodes == NULL) {
        engine->edit_nodes = malloc(((size_t)graph->n_nodes + 1) * sizeof *engine->edit_nodes);
        engine->editable = calloc((size_t)graph->n_nodes + 1, sizeof *engine->editable);
        engine->copies = malloc(((size_t)graph->n_nodes + 1) * sizeof *engine->copies);
        engine->sources = malloc(((size_t)graph->n_nodes + 1) * sizeof *engine->sources);
        if (engine->edit_nodes == NULL || engine->editable == NULL || engine->copies == NULL ||
            engine->sources == NULL) {
            return fail(LIMN_NO_MEMORY, "edits of %d values", graph->n_nodes);
        }
        for (NodeId node = 0; node < graph->n_nodes; node++) {
            engine->sources[node] = NODE_NONE;
        }
    }
    limn_status status = LIMN_OK;
    for (int32_t i = 0; i < request->n_edits; i++) {
        const Edit *edit = &request->edits[i];
        if (edit->kind == EDIT_COPY) {
            NodeId *source = &engine->sources[edit->node];
            if (*source != NODE_NONE && *source != edit->source) {
                status =
                    fail(LIMN_UNSUPPORTED, "edits of %s: copies of %s and of %s, expected copies of one site",
                         graph->nodes[edit->node].site, graph->nodes[*source].site, graph->nodes[edit->source].site);
            }
            *source = edit->source;
        }
    }
    for (int32_t i = 0; i < request->n_editable; i++) {
        engine->editable[request->editable[i]] = true;
    }
    for (int32_t i = 0; i < engine->standing.n; i++) { /* where all rows join behind it, for the same program */
        engine->editable[engine->standing.edits[i].node] = true;
    }
    int32_t n = 0;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        if (engine->editable[node] || edits_touch(&engine->edits, node)) {
            engine->copies[n] = engine->sources[node];
            engine->edit_nodes[n++] = node;
        }
        engine->editable[node] = false;
        engine->sources[node] = NODE_NONE;
    }
    *count = n;
    return status;
}

static limn_status collect_seed_nodes(Engine *engine, const RunRequest *request) {
    if (request->n_seeds > engine->seed_capacity) {
        int32_t capacity = 2 * request->n_seeds;
        NodeId *nodes = realloc(engine->seed_nodes, (size_t)capacity * sizeof *nodes);
        if (nodes == NULL) {
            return fail(LIMN_NO_MEMORY, "%d seeds", request->n_seeds);
        }
        engine->seed_nodes = nodes;
        engine->seed_capacity = capacity;
    }
    for (int32_t i = 0; i < request->n_seeds; i++) {
        engine->seed_nodes[i] = request->seeds[i].node;
    }
    return LIMN_OK;
}

/* Where sequences of such requests may join. */
static limn_status collect_joins(Engine *engine, const RunRequest *request) {
    bool used[2] = {request->may_join_pre, request->may_join_mid};
    for (int32_t s = 0; s < request->n_sequences; s++) {
        const Join *join = &request->sequences[s].join;
        if (join->clean != NULL) {
            used[join->site == JOIN_RESID_MID] = true;
        }
    }
    int32_t n = 0;
    for (int32_t place = 0; place < join_places(engine->model); place++) {
        if (used[place % 2] && engine->streams[place] != NODE_NONE) {
            engine->join_nodes[n] = engine->streams[place];
            engine->join_places[n++] = place;
        }
    }
    if (used[1] && engine->streams[1] == NODE_NONE) {
        return fail(LIMN_UNSUPPORTED, "%s has no hook_resid_mid where a sequence could join; expected hook_resid_pre",
                    engine->model->config.architecture);
    }
    engine->joins = (JoinSet){engine->join_nodes, engine->join_places, n};
    return LIMN_OK;
}

static limn_status collect_givens(Engine *engine, const RunRequest *request) {
    const Graph *graph = &engine->model->graph;
    if (request->n_givens > engine->given_capacity) {
        int32_t capacity = 2 * request->n_givens;
        free(engine->given_nodes);
        engine->given_nodes = malloc((size_t)capacity * sizeof *engine->given_nodes);
        engine->given_capacity = engine->given_nodes == NULL ? 0 : capacity;
        if (engine->given_nodes == NULL) {
            return fail(LIMN_NO_MEMORY, "%d given values", request->n_givens);
        }
    }
    for (int32_t i = 0; i < request->n_givens; i++) {
        NodeId node = request->givens[i].node;
        engine->given_nodes[i] = node;
        if (node < 0 || node >= graph->n_nodes || graph->nodes[node].site == NULL) {
            return fail(LIMN_NOT_FOUND, "a given value names no site of this model");
        }
        if (request->givens[i].values == NULL) {
            return fail(LIMN_INTERNAL, "the given value of %s is not there", graph->nodes[node].site);
        }
    }
    return LIMN_OK;
}

static NodeId objective_node(const Graph *graph, Objective objective) {
    switch (objective) {
    case OBJECTIVE_LOG_PROB:
        return graph->log_prob;
    case OBJECTIVE_LOGIT:
        return graph->pick;
    case OBJECTIVE_NONE:
        break;
    }
    return NODE_NONE;
}

static limn_status check_appends(const RunRequest *request) {
    bool good = request->append == NULL ||
                (request->n_sequences == 1 && request->appends == NULL &&
                 (request->sequences[0].prefix == NULL || request->sequences[0].prefix == request->append));
    for (int32_t s = 0; s < request->n_sequences && good; s++) {
        const KvCache *cache = appended_cache(request, s);
        const SequenceInput *sequence = &request->sequences[s];
        good = cache == NULL ||
               (sequence->prefix_length == cache->length && cache->length + sequence->n <= cache->capacity);
    }
    return good ? LIMN_OK : fail(LIMN_INTERNAL, "the rows do not follow those of the cache they are added to");
}

static limn_status check_nodes(const Graph *graph, const NodeId *nodes, int32_t n, const char *what) {
    for (int32_t i = 0; i < n; i++) {
        if (nodes[i] < 0 || nodes[i] >= graph->n_nodes) {
            return fail(LIMN_NOT_FOUND, "%s names no site of this model", what);
        }
    }
    return LIMN_OK;
}

static limn_status check_sink(const Graph *graph, const GradientSink *sink) {
    if (sink == NULL) {
        return LIMN_OK;
    }
    TRY(check_nodes(graph, sink->nodes, sink->n, "a gradient"));
    return sink->function != NULL ? LIMN_OK : fail(LIMN_INTERNAL, "nobody takes the gradients that are handed over");
}

static limn_status check_request(Engine *engine, const RunRequest *request) {
    const Graph *graph = &engine->model->graph;
    TRY(check_nodes(graph, request->taps, request->n_taps, "a tap"));
    TRY(check_nodes(graph, request->grads, request->n_grads, "a gradient"));
    TRY(check_nodes(graph, request->editable, request->n_editable, "an edit"));
    TRY(check_sink(graph, request->sink));
    if ((int)request->rules < 0 || request->rules >= RULE_SET_COUNT) {
        return fail(LIMN_INTERNAL, "gradient rules number %d do not exist", (int)request->rules);
    }
    bool wants_head = request->objective != OBJECTIVE_NONE || request->logits;
    if (wants_head && graph->logits == NODE_NONE) {
        return fail(LIMN_USAGE, "%s has no head: it gives no logits", engine->model->config.architecture);
    }
    bool differentiates = request->n_grads > 0 || (request->sink != NULL && request->sink->n > 0);
    if (differentiates && request->objective == OBJECTIVE_NONE && request->n_seeds == 0) {
        return fail(LIMN_USAGE, "a gradient needs a target");
    }
    TRY(check_appends(request));
    TRY(collect_joins(engine, request));
    TRY(collect_givens(engine, request));
    TRY(rows_bind(&engine->rows, engine->model, request, &engine->joins));
    int32_t max_keys = engine->rows.tables[DOMAIN_ALL].max_keys;
    TRY(seeds_check(graph, request, max_keys));
    TRY(edits_check(graph, request, engine->streams, max_keys));
    engine->edit_scratch = edits_scratch_bytes(graph, request, max_keys, engine->team.threads);
    return edits_index(&engine->edits, graph, request, &engine->rows);
}

static limn_status find_program(Engine *engine, const Question *question, Program **program) {
    TRY(program_cache_find(&engine->programs, question, program));
    if (*program != NULL) {
        return LIMN_OK;
    }
    TRY(program_new(program, &engine->model->graph, engine->backend, engine->state, &engine->team, question,
                    engine->options.chunk_rows));
    engine->last.program = NULL; /* it may be the one that is dropped */
    engine->programs_made++;
    return program_cache_add(&engine->programs, *program);
}

typedef struct Binding {
    Program *program;
    ProgramSizes sizes;
    size_t bytes;
    size_t scratch_bytes;
} Binding;

static limn_status try_policy(Engine *engine, Question *question, KeepPolicy keep, int32_t chunk_rows,
                              Binding *binding) {
    question->keep = keep;
    TRY(find_program(engine, question, &binding->program));
    const Rows *rows = &engine->rows;
    binding->sizes = (ProgramSizes){.rows = {rows->tables[DOMAIN_ALL].n_rows, rows->tables[DOMAIN_OUT].n_rows},
                                    .stage_rows = {rows->stage_rows[DOMAIN_ALL], rows->stage_rows[DOMAIN_OUT]},
                                    .max_keys = rows->tables[DOMAIN_ALL].max_keys,
                                    .chunk_rows = chunk_rows,
                                    .threads = engine->team.threads};
    TRY(program_bytes(binding->program, &binding->sizes, &binding->bytes, &binding->scratch_bytes));
    if (engine->edit_scratch > binding->scratch_bytes) { /* edits and kernels take turns in it */
        binding->bytes += engine->edit_scratch - binding->scratch_bytes;
        binding->scratch_bytes = engine->edit_scratch;
    }
    return LIMN_OK;
}

/* Names a limit that would do: it has to cover the converted weights and the caches too. */
static limn_status refuse_rows(const Engine *engine, const Binding *binding, size_t budget) {
    size_t weights = (size_t)engine->model->copied_bytes, limit = engine->options.memory_limit;
    char needed[AMOUNT_TEXT_MAX], allowed[AMOUNT_TEXT_MAX], part[AMOUNT_TEXT_MAX];
    char of_weights[80] = "", of_caches[80] = "";
    if (weights > 0) {
        snprintf(of_weights, sizeof of_weights, ", %s of it for converted weights", amount_needed(part, weights));
    }
    if (limit > 0 && engine->held > 0) {
        snprintf(of_caches, sizeof of_caches, ", %s for what is kept of earlier runs",
                 amount_needed(part, engine->held));
    }
    return fail(LIMN_NO_MEMORY, "%d rows need %s of memory at least%s%s; %s are allowed",
                binding->sizes.rows[DOMAIN_ALL],
                amount_needed(needed, binding->bytes + (limit > 0 ? taken(engine) : weights)), of_weights, of_caches,
                amount_allowed(allowed, limit > 0 ? limit : weights + budget));
}

bool engine_is_limited(const Engine *engine) {
    return engine->options.memory_limit > 0;
}

void engine_hold(Engine *engine, int64_t bytes) {
    engine->held = (size_t)((int64_t)engine->held + bytes);
}

limn_status engine_cache_new(KvCache **cache, Engine *engine, int32_t capacity) {
    size_t bytes = (size_t)capacity * kv_cache_row_bytes(engine->model), limit = engine->options.memory_limit;
    char needed[AMOUNT_TEXT_MAX], allowed[AMOUNT_TEXT_MAX];
    *cache = NULL;
    if (limit > 0 && bytes > engine_memory_left(engine)) {
        return fail(LIMN_NO_MEMORY, "keys and values of %d rows need %s of memory; %s are allowed", capacity,
                    amount_needed(needed, taken(engine) + bytes), amount_allowed(allowed, limit));
    }
    TRY(kv_cache_new(cache, engine->model, capacity));
    (*cache)->held = &engine->held;
    (*cache)->bytes = bytes;
    engine->held += bytes;
    return LIMN_OK;
}

/* Everything kept if it fits; else layer inputs; then smaller chunks; then a refusal that names the least. */
static limn_status bind_program(Engine *engine, Question *question, size_t budget, Binding *binding) {
    bool backward = question_differentiates(question);
    int32_t chunk = engine->options.chunk_rows;
    if (!backward || engine->options.keep != KEEP_LAYER_INPUTS) {
        TRY(try_policy(engine, question, KEEP_EVERYTHING, chunk, binding));
        if (binding->bytes <= budget) {
            return LIMN_OK;
        }
    }
    KeepPolicy tight = backward ? KEEP_LAYER_INPUTS : KEEP_EVERYTHING;
    for (;; chunk /= 2) {
        TRY(try_policy(engine, question, tight, chunk, binding));
        if (binding->bytes <= budget) {
            return LIMN_OK;
        }
        if (chunk <= LEAST_CHUNK_ROWS) {
            return refuse_rows(engine, binding, budget);
        }
    }
}

/* *asked becomes the request with the standing edits in it. */
static limn_status prepare_question(Engine *engine, const RunRequest **asked, Question *question) {
    engine->last.program = NULL;
    TRY(standing_request(&engine->standing, engine->streams, join_places(engine->model), asked));
    const RunRequest *request = *asked;
    TRY(check_request(engine, request));
    int32_t n_edits = 0;
    TRY(collect_edit_nodes(engine, request, &n_edits));
    TRY(collect_seed_nodes(engine, request));
    const GradientSink *sink = request->sink;
    *question = (Question){.taps = request->taps,
                           .n_taps = request->n_taps,
                           .edits = engine->edit_nodes,
                           .n_edits = n_edits,
                           .copies = engine->copies,
                           .grads = request->grads,
                           .n_grads = request->n_grads,
                           .givens = engine->given_nodes,
                           .n_givens = request->n_givens,
                           .joins = engine->joins.nodes,
                           .n_joins = engine->joins.n,
                           .streams = sink == NULL ? NULL : sink->nodes,
                           .n_streams = sink == NULL ? 0 : sink->n,
                           .stream_values = sink != NULL && sink->with_values,
                           .objective = objective_node(&engine->model->graph, request->objective),
                           .seeds = engine->seed_nodes,
                           .n_seeds = request->n_seeds,
                           .logits = request->logits,
                           .append = request->append != NULL || request->appends != NULL,
                           .identity_rows = engine->rows.identity,
                           .compute = engine->options.compute};
    question->rules = question_differentiates(question) ? request->rules : RULES_TRUE;
    return LIMN_OK;
}

limn_status engine_estimate(Engine *engine, const RunRequest *request, RunEstimate *estimate) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(engine, &request, &question));
    TRY(bind_program(engine, &question, SIZE_MAX, &binding));
    estimate->bytes = binding.bytes;
    estimate->flops = program_flops(binding.program, &binding.sizes);
    estimate->row_layers =
        engine->row_layer > 0 ? program_block_flops(binding.program, &binding.sizes) / engine->row_layer : 0;
    KeepPolicy tight = question_differentiates(&question) ? KEEP_LAYER_INPUTS : KEEP_EVERYTHING;
    TRY(try_policy(engine, &question, tight, LEAST_CHUNK_ROWS, &binding));
    estimate->least_bytes = binding.bytes;
    return LIMN_OK;
}

limn_status engine_estimate_weights(Engine *engine, const RunRequest *request, int64_t runs, size_t *bytes) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(engine, &request, &question));
    TRY(bind_program(engine, &question, engine_memory_left(engine), &binding));
    *bytes = program_weight_bytes(binding.program, &binding.sizes, engine->backend, engine->state, runs,
                                  engine->weight_budget);
    return LIMN_OK;
}

limn_status engine_require(Engine *engine, const RunRequest *request) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(engine, &request, &question));
    return bind_program(engine, &question, engine_memory_left(engine), &binding);
}

limn_status engine_describe_program(Engine *engine, const RunRequest *request, char **text) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(engine, &request, &question));
    TRY(bind_program(engine, &question, engine_memory_left(engine), &binding));
    return program_describe(binding.program, text);
}

static limn_status reserve_workspace(Engine *engine, const Binding *binding) {
    size_t needed = binding->bytes + 64;
    if (needed > engine->workspace_bytes) {
        free(engine->workspace);
        engine->workspace = NULL;
        engine->workspace_bytes = 0;
        size_t rounded = round_up_bytes(needed, 4096);
        engine->workspace = large_alloc(rounded);
        if (engine->workspace == NULL) {
            return fail(LIMN_NO_MEMORY, "working memory of %.1f MiB", (double)rounded / 1048576.0);
        }
        engine->workspace_bytes = rounded;
    }
    if (binding->program->n_slots > engine->slot_capacity) {
        int32_t capacity = binding->program->n_slots * 2;
        float **slots = realloc(engine->slots, (size_t)capacity * sizeof *slots);
        if (slots == NULL) {
            return fail(LIMN_NO_MEMORY, "%d buffers", capacity);
        }
        engine->slots = slots;
        engine->slot_capacity = capacity;
    }
    return LIMN_OK;
}

static limn_status bind_buffers(Engine *engine, const RunRequest *request, const Binding *binding) {
    TRY(reserve_workspace(engine, binding));
    unsigned char *next = engine->workspace;
    for (int32_t i = 0; i < binding->program->n_slots; i++) {
        engine->slots[i] = (float *)(void *)next;
        next += program_slot_bytes(&binding->program->slots[i], &binding->sizes);
    }
#ifdef LIMN_ARENA_DEBUG
    memset(engine->workspace, 0xFF, binding->bytes); /* NaN: a value read before it is written shows */
#endif
    engine->last = (Execution){.team = &engine->team,
                               .program = binding->program,
                               .request = request,
                               .rows = &engine->rows,
                               .edits = &engine->edits,
                               .sizes = binding->sizes,
                               .slots = engine->slots,
                               .scratch = next,
                               .scratch_bytes = binding->scratch_bytes,
                               .state = engine->state};
    return LIMN_OK;
}

/* The rows of a value that had not joined where it was made: they are the last of the tables. */
static void fill_absent(const Execution *run, ValueId id, float filler) {
    const ProgramValue *value = &run->program->values[id];
    int64_t width = row_shape_width(&value->shape, run->sizes.max_keys);
    int64_t begin = program_rows(&run->sizes, value->domain, value->stage) * width;
    float *values = execution_value(run, id);
    for (int64_t i = begin; i < run->sizes.rows[value->domain] * width; i++) {
        values[i] = filler;
    }
}

static limn_status reserve_spare(Engine *engine, size_t bytes) {
    if (bytes > engine->spare_bytes) {
        free(engine->spare);
        engine->spare = malloc(bytes + bytes / 4);
        engine->spare_bytes = engine->spare == NULL ? 0 : bytes + bytes / 4;
    }
    return engine->spare != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "one row of %zu bytes", bytes);
}

/* What is handed back is brought into the request's order. */
static limn_status hand_back(Engine *engine) {
    const Execution *run = &engine->last;
    const Program *program = run->program;
    const Rows *rows = &engine->rows;
    engine->total = seeds_total(run);
    for (int32_t i = 0; program->n_stages > 1 && i < program->n_taps; i++) {
        fill_absent(run, program->tap_values[i], NAN);
    }
    for (int32_t i = 0; program->n_stages > 1 && i < program->n_seeds; i++) {
        fill_absent(run, program->seed_values[i], NAN);
    }
    for (int32_t i = 0; program->n_stages > 1 && i < program->n_grads; i++) {
        fill_absent(run, program->grad_values[i], 0.0f);
    }
    for (int32_t i = 0; i < program->n_values; i++) {
        const ProgramValue *value = &program->values[i];
        if (!value->persistent || rows->in_order[value->domain]) {
            continue;
        }
        int64_t width = row_shape_width(&value->shape, run->sizes.max_keys);
        size_t row_bytes = (size_t)width * sizeof(float);
        TRY(reserve_spare(engine, row_bytes + (size_t)run->sizes.rows[value->domain]));
        rows_restore(rows, value->domain, execution_value(run, i), width, engine->spare,
                     (uint8_t *)engine->spare + row_bytes);
    }
    return LIMN_OK;
}

static void extend_caches(const Engine *engine, const RunRequest *request) {
    const RowTable *all = &engine->rows.tables[DOMAIN_ALL];
    for (int32_t s = 0; s < request->n_sequences; s++) {
        KvCache *cache = appended_cache(request, engine->rows.caller[s]);
        const SequenceRows *rows = &all->sequences[s];
        if (cache != NULL) {
            memcpy(cache->is_key + cache->length, all->is_key + rows->row_begin, (size_t)rows->n_rows);
            cache->length += rows->n_rows;
        }
    }
}

limn_status engine_run(Engine *engine, const RunRequest *request, const Progress *progress) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(engine, &request, &question));
    TRY(bind_program(engine, &question, engine_memory_left(engine), &binding));
    TRY(bind_buffers(engine, request, &binding));
    engine->team.progress = progress;
    limn_status status = execute(&engine->last);
    status = status == LIMN_OK ? hand_back(engine) : status;
    engine->team.progress = NULL;
    if (status != LIMN_OK) {
        engine->last.program = NULL;
        return status;
    }
    extend_caches(engine, request);
    return LIMN_OK;
}

static const float *read_value(const Engine *engine, ValueId value, int32_t *rows, int64_t *width) {
    const Execution *last = &engine->last;
    const ProgramValue *found = &last->program->values[value];
    *rows = last->sizes.rows[found->domain];
    *width = row_shape_width(&found->shape, last->sizes.max_keys);
    return execution_value(last, value);
}

/* The value that goes with `node` in a list of sites. */
static const float *find_value(const Engine *engine, NodeId node, const NodeId *nodes, const ValueId *values, int32_t n,
                               int32_t *rows, int64_t *width) {
    for (int32_t i = 0; i < n; i++) {
        if (nodes[i] == node) {
            return read_value(engine, values[i], rows, width);
        }
    }
    return NULL;
}

const float *engine_tap(const Engine *engine, NodeId node, int32_t *rows, int64_t *width) {
    const Program *program = engine->last.program;
    return program == NULL
               ? NULL
               : find_value(engine, node, program->tap_nodes, program->tap_values, program->n_taps, rows, width);
}

const float *engine_grad(const Engine *engine, NodeId node, int32_t *rows, int64_t *width) {
    const Program *program = engine->last.program;
    return program == NULL
               ? NULL
               : find_value(engine, node, program->grad_nodes, program->grad_values, program->n_grads, rows, width);
}

const float *engine_logits(const Engine *engine) {
    const Program *program = engine->last.program;
    return program == NULL || program->logits_value == VALUE_NONE
               ? NULL
               : execution_value(&engine->last, program->logits_value);
}

const float *engine_objective(const Engine *engine) {
    const Program *program = engine->last.program;
    return program == NULL || program->objective_value == VALUE_NONE
               ? NULL
               : execution_value(&engine->last, program->objective_value);
}

const float *engine_seed(const Engine *engine, int32_t seed) {
    const Program *program = engine->last.program;
    return program == NULL || seed < 0 || seed >= program->n_seeds
               ? NULL
               : execution_value(&engine->last, program->seed_values[seed]);
}

double engine_total(const Engine *engine) {
    return engine->last.program == NULL ? 0.0 : engine->total;
}
