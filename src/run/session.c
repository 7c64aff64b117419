/* Requests to questions, memory, and the run itself. */
#include "run/session.h"

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

struct Session {
    const Model *model;
    SessionOptions options;
    const Backend *backend;
    BackendState *state;
    Team team;            /* its progress is set while a run lasts */
    size_t weight_budget; /* for weights in a faster layout */
    size_t free_memory; /* half of what the machine could give when the session was made; unused where a limit is set */
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
static size_t taken(const Session *session) {
    return (size_t)session->model->copied_bytes + session->held;
}

/* Where nobody set a limit, what caches leave of free_memory, which was asked for with the weights in place. */
size_t session_memory_left(const Session *session) {
    size_t limit = session->options.memory_limit;
    if (limit > 0) {
        return limit > taken(session) ? limit - taken(session) : 0;
    }
    return session->free_memory > session->held ? session->free_memory - session->held : 0;
}

/* Weights in a faster layout are a luxury: a quarter of what is free, nothing when somebody counts. */
static void set_weight_budget(Session *session) {
    const SessionOptions *options = &session->options;
    bool counted = options->memory_limit > 0 || options->keep == KEEP_LAYER_INPUTS || options->brief;
    if (session->backend->set_weight_budget != NULL && !counted) {
        session->weight_budget = session_memory_left(session) / 2;
        session->backend->set_weight_budget(session->state, session->weight_budget);
    }
}

static limn_status find_joins(Session *session) {
    const Model *model = session->model;
    size_t places = (size_t)join_places(model);
    TRY(joins_find(&session->streams, model));
    session->join_nodes = malloc(places * sizeof *session->join_nodes);
    session->join_places = malloc(places * sizeof *session->join_places);
    session->row_layer =
        graph_block_flops(&model->graph) / (double)(model->config.n_layers > 0 ? model->config.n_layers : 1);
    return session->join_nodes != NULL && session->join_places != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "session");
}

limn_status session_new(Session **session, const Model *model, const SessionOptions *options) {
    if (model->config_only) {
        return fail(LIMN_INTERNAL, "%s was opened for its configuration only", model->path);
    }
    *session = calloc(1, sizeof **session);
    if (*session == NULL) {
        return fail(LIMN_NO_MEMORY, "session");
    }
    Session *made = *session;
    made->model = model;
    made->options = options == NULL ? (SessionOptions){0} : *options;
    session_set_threads(made, made->options.threads);
    if (made->options.chunk_rows <= 0) {
        made->options.chunk_rows = DEFAULT_CHUNK_ROWS;
    }
    if (made->options.backend == NULL) {
        made->options.backend = backend_find("cpu") == NULL ? "ref" : "cpu";
    }
    limn_status status = session_set_edits(made, made->options.edits, made->options.n_edits);
    status = status == LIMN_OK ? find_joins(made) : status;
    made->backend = backend_find(made->options.backend);
    if (status == LIMN_OK && made->backend == NULL) {
        status = fail(LIMN_NOT_FOUND, "backend %s is not in this build", made->options.backend);
    } else if (status == LIMN_OK) {
        status = made->backend->state_new(&made->state);
    }
    if (status != LIMN_OK) {
        session_free(made);
        *session = NULL;
        return status;
    }
    made->free_memory = made->options.memory_limit > 0 ? 0 : half_of_free_memory();
    set_weight_budget(made);
    return LIMN_OK;
}

void session_free(Session *session) {
    if (session == NULL) {
        return;
    }
    program_cache_free(&session->programs);
    if (session->state != NULL) {
        session->backend->state_free(session->state);
    }
    rows_free(&session->rows);
    free(session->edit_nodes);
    free(session->editable);
    free(session->given_nodes);
    free(session->streams);
    free(session->join_nodes);
    free(session->join_places);
    free(session->spare);
    free(session->copies);
    free(session->sources);
    free(session->seed_nodes);
    edits_free(&session->edits);
    standing_free(&session->standing);
    free(session->workspace);
    free(session->slots);
    free(session);
}

const Model *session_model(const Session *session) {
    return session->model;
}

const char *session_backend_name(const Session *session) {
    return session->backend->name;
}

const char *session_backend_describe(const Session *session) {
    return session->backend->describe();
}

void session_set_threads(Session *session, int64_t threads) {
    session->team = team_of(threads, NULL);
}

int session_threads(const Session *session) {
    return session->team.threads;
}

limn_status session_set_edits(Session *session, const Edit *edits, int32_t n) {
    TRY(standing_check(&session->model->graph, edits, n));
    session->standing.edits = edits;
    session->standing.n = n;
    return LIMN_OK;
}

const Edit *session_standing(const Session *session, int32_t *n) {
    *n = session->standing.n;
    return session->standing.edits;
}

Compute session_compute(const Session *session) {
    return session->options.compute;
}

int32_t session_chunk_rows(const Session *session) {
    return session->options.chunk_rows;
}

int64_t session_programs(const Session *session) {
    return session->programs_made;
}

/* Sites that the program lets a run edit, each once, in ascending order: those of the edits and those named beside. */
static limn_status collect_edit_nodes(Session *session, const RunRequest *request, int32_t *count) {
    const Graph *graph = &session->model->graph;
    if (session->edit_nodes == NULL) {
        session->edit_nodes = malloc(((size_t)graph->n_nodes + 1) * sizeof *session->edit_nodes);
        session->editable = calloc((size_t)graph->n_nodes + 1, sizeof *session->editable);
        session->copies = malloc(((size_t)graph->n_nodes + 1) * sizeof *session->copies);
        session->sources = malloc(((size_t)graph->n_nodes + 1) * sizeof *session->sources);
        if (session->edit_nodes == NULL || session->editable == NULL || session->copies == NULL ||
            session->sources == NULL) {
            return fail(LIMN_NO_MEMORY, "edits of %d values", graph->n_nodes);
        }
        for (NodeId node = 0; node < graph->n_nodes; node++) {
            session->sources[node] = NODE_NONE;
        }
    }
    limn_status status = LIMN_OK;
    for (int32_t i = 0; i < request->n_edits; i++) {
        const Edit *edit = &request->edits[i];
        if (edit->kind == EDIT_COPY) {
            NodeId *source = &session->sources[edit->node];
            if (*source != NODE_NONE && *source != edit->source) {
                status =
                    fail(LIMN_UNSUPPORTED, "edits of %s: copies of %s and of %s, expected copies of one site",
                         graph->nodes[edit->node].site, graph->nodes[*source].site, graph->nodes[edit->source].site);
            }
            *source = edit->source;
        }
    }
    for (int32_t i = 0; i < request->n_editable; i++) {
        session->editable[request->editable[i]] = true;
    }
    for (int32_t i = 0; i < session->standing.n; i++) { /* where all rows join behind it, for the same program */
        session->editable[session->standing.edits[i].node] = true;
    }
    int32_t n = 0;
    for (NodeId node = 0; node < graph->n_nodes; node++) {
        if (session->editable[node] || edits_touch(&session->edits, node)) {
            session->copies[n] = session->sources[node];
            session->edit_nodes[n++] = node;
        }
        session->editable[node] = false;
        session->sources[node] = NODE_NONE;
    }
    *count = n;
    return status;
}

static limn_status collect_seed_nodes(Session *session, const RunRequest *request) {
    if (request->n_seeds > session->seed_capacity) {
        int32_t capacity = 2 * request->n_seeds;
        NodeId *nodes = realloc(session->seed_nodes, (size_t)capacity * sizeof *nodes);
        if (nodes == NULL) {
            return fail(LIMN_NO_MEMORY, "%d seeds", request->n_seeds);
        }
        session->seed_nodes = nodes;
        session->seed_capacity = capacity;
    }
    for (int32_t i = 0; i < request->n_seeds; i++) {
        session->seed_nodes[i] = request->seeds[i].node;
    }
    return LIMN_OK;
}

/* Where sequences of such requests may join. */
static limn_status collect_joins(Session *session, const RunRequest *request) {
    bool used[2] = {request->may_join_pre, request->may_join_mid};
    for (int32_t s = 0; s < request->n_sequences; s++) {
        const Join *join = &request->sequences[s].join;
        if (join->clean != NULL) {
            used[join->site == JOIN_RESID_MID] = true;
        }
    }
    int32_t n = 0;
    for (int32_t place = 0; place < join_places(session->model); place++) {
        if (used[place % 2] && session->streams[place] != NODE_NONE) {
            session->join_nodes[n] = session->streams[place];
            session->join_places[n++] = place;
        }
    }
    if (used[1] && session->streams[1] == NODE_NONE) {
        return fail(LIMN_UNSUPPORTED, "%s has no hook_resid_mid where a sequence could join; expected hook_resid_pre",
                    session->model->config.architecture);
    }
    session->joins = (JoinSet){session->join_nodes, session->join_places, n};
    return LIMN_OK;
}

static limn_status collect_givens(Session *session, const RunRequest *request) {
    const Graph *graph = &session->model->graph;
    if (request->n_givens > session->given_capacity) {
        int32_t capacity = 2 * request->n_givens;
        free(session->given_nodes);
        session->given_nodes = malloc((size_t)capacity * sizeof *session->given_nodes);
        session->given_capacity = session->given_nodes == NULL ? 0 : capacity;
        if (session->given_nodes == NULL) {
            return fail(LIMN_NO_MEMORY, "%d given values", request->n_givens);
        }
    }
    for (int32_t i = 0; i < request->n_givens; i++) {
        NodeId node = request->givens[i].node;
        session->given_nodes[i] = node;
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

static limn_status check_request(Session *session, const RunRequest *request) {
    const Graph *graph = &session->model->graph;
    TRY(check_nodes(graph, request->taps, request->n_taps, "a tap"));
    TRY(check_nodes(graph, request->grads, request->n_grads, "a gradient"));
    TRY(check_nodes(graph, request->editable, request->n_editable, "an edit"));
    TRY(check_sink(graph, request->sink));
    if ((int)request->rules < 0 || request->rules >= RULE_SET_COUNT) {
        return fail(LIMN_INTERNAL, "gradient rules number %d do not exist", (int)request->rules);
    }
    bool wants_head = request->objective != OBJECTIVE_NONE || request->logits;
    if (wants_head && graph->logits == NODE_NONE) {
        return fail(LIMN_USAGE, "%s has no head: it gives no logits", session->model->config.architecture);
    }
    bool differentiates = request->n_grads > 0 || (request->sink != NULL && request->sink->n > 0);
    if (differentiates && request->objective == OBJECTIVE_NONE && request->n_seeds == 0) {
        return fail(LIMN_USAGE, "a gradient needs a target");
    }
    TRY(check_appends(request));
    TRY(collect_joins(session, request));
    TRY(collect_givens(session, request));
    TRY(rows_bind(&session->rows, session->model, request, &session->joins));
    int32_t max_keys = session->rows.tables[DOMAIN_ALL].max_keys;
    TRY(seeds_check(graph, request, max_keys));
    TRY(edits_check(graph, request, session->streams, max_keys));
    session->edit_scratch = edits_scratch_bytes(graph, request, max_keys, session->team.threads);
    return edits_index(&session->edits, graph, request, &session->rows);
}

static limn_status find_program(Session *session, const Question *question, Program **program) {
    TRY(program_cache_find(&session->programs, question, program));
    if (*program != NULL) {
        return LIMN_OK;
    }
    TRY(program_new(program, &session->model->graph, session->backend, session->state, &session->team, question,
                    session->options.chunk_rows));
    session->last.program = NULL; /* it may be the one that is dropped */
    session->programs_made++;
    return program_cache_add(&session->programs, *program);
}

typedef struct Binding {
    Program *program;
    ProgramSizes sizes;
    size_t bytes;
    size_t scratch_bytes;
} Binding;

static limn_status try_policy(Session *session, Question *question, KeepPolicy keep, int32_t chunk_rows,
                              Binding *binding) {
    question->keep = keep;
    TRY(find_program(session, question, &binding->program));
    const Rows *rows = &session->rows;
    binding->sizes = (ProgramSizes){.rows = {rows->tables[DOMAIN_ALL].n_rows, rows->tables[DOMAIN_OUT].n_rows},
                                    .stage_rows = {rows->stage_rows[DOMAIN_ALL], rows->stage_rows[DOMAIN_OUT]},
                                    .max_keys = rows->tables[DOMAIN_ALL].max_keys,
                                    .chunk_rows = chunk_rows,
                                    .threads = session->team.threads};
    TRY(program_bytes(binding->program, &binding->sizes, &binding->bytes, &binding->scratch_bytes));
    if (session->edit_scratch > binding->scratch_bytes) { /* edits and kernels take turns in it */
        binding->bytes += session->edit_scratch - binding->scratch_bytes;
        binding->scratch_bytes = session->edit_scratch;
    }
    return LIMN_OK;
}

/* Names a limit that would do: it has to cover the converted weights and the caches too. */
static limn_status refuse_rows(const Session *session, const Binding *binding, size_t budget) {
    size_t weights = (size_t)session->model->copied_bytes, limit = session->options.memory_limit;
    char needed[AMOUNT_TEXT_MAX], allowed[AMOUNT_TEXT_MAX], part[AMOUNT_TEXT_MAX];
    char of_weights[80] = "", of_caches[80] = "";
    if (weights > 0) {
        snprintf(of_weights, sizeof of_weights, ", %s of it for converted weights", amount_needed(part, weights));
    }
    if (limit > 0 && session->held > 0) {
        snprintf(of_caches, sizeof of_caches, ", %s for what is kept of earlier runs",
                 amount_needed(part, session->held));
    }
    return fail(LIMN_NO_MEMORY, "%d rows need %s of memory at least%s%s; %s are allowed",
                binding->sizes.rows[DOMAIN_ALL],
                amount_needed(needed, binding->bytes + (limit > 0 ? taken(session) : weights)), of_weights, of_caches,
                amount_allowed(allowed, limit > 0 ? limit : weights + budget));
}

bool session_is_limited(const Session *session) {
    return session->options.memory_limit > 0;
}

void session_hold(Session *session, int64_t bytes) {
    session->held = (size_t)((int64_t)session->held + bytes);
}

limn_status session_cache_new(KvCache **cache, Session *session, int32_t capacity) {
    size_t bytes = (size_t)capacity * kv_cache_row_bytes(session->model), limit = session->options.memory_limit;
    char needed[AMOUNT_TEXT_MAX], allowed[AMOUNT_TEXT_MAX];
    *cache = NULL;
    if (limit > 0 && bytes > session_memory_left(session)) {
        return fail(LIMN_NO_MEMORY, "keys and values of %d rows need %s of memory; %s are allowed", capacity,
                    amount_needed(needed, taken(session) + bytes), amount_allowed(allowed, limit));
    }
    TRY(kv_cache_new(cache, session->model, capacity));
    (*cache)->held = &session->held;
    (*cache)->bytes = bytes;
    session->held += bytes;
    return LIMN_OK;
}

/* Everything kept if it fits; else layer inputs; then smaller chunks; then a refusal that names the least. */
static limn_status bind_program(Session *session, Question *question, size_t budget, Binding *binding) {
    bool backward = question_differentiates(question);
    int32_t chunk = session->options.chunk_rows;
    if (!backward || session->options.keep != KEEP_LAYER_INPUTS) {
        TRY(try_policy(session, question, KEEP_EVERYTHING, chunk, binding));
        if (binding->bytes <= budget) {
            return LIMN_OK;
        }
    }
    KeepPolicy tight = backward ? KEEP_LAYER_INPUTS : KEEP_EVERYTHING;
    for (;; chunk /= 2) {
        TRY(try_policy(session, question, tight, chunk, binding));
        if (binding->bytes <= budget) {
            return LIMN_OK;
        }
        if (chunk <= LEAST_CHUNK_ROWS) {
            return refuse_rows(session, binding, budget);
        }
    }
}

/* *asked becomes the request with the standing edits in it. */
static limn_status prepare_question(Session *session, const RunRequest **asked, Question *question) {
    session->last.program = NULL;
    TRY(standing_request(&session->standing, session->streams, join_places(session->model), asked));
    const RunRequest *request = *asked;
    TRY(check_request(session, request));
    int32_t n_edits = 0;
    TRY(collect_edit_nodes(session, request, &n_edits));
    TRY(collect_seed_nodes(session, request));
    const GradientSink *sink = request->sink;
    *question = (Question){.taps = request->taps,
                           .n_taps = request->n_taps,
                           .edits = session->edit_nodes,
                           .n_edits = n_edits,
                           .copies = session->copies,
                           .grads = request->grads,
                           .n_grads = request->n_grads,
                           .givens = session->given_nodes,
                           .n_givens = request->n_givens,
                           .joins = session->joins.nodes,
                           .n_joins = session->joins.n,
                           .streams = sink == NULL ? NULL : sink->nodes,
                           .n_streams = sink == NULL ? 0 : sink->n,
                           .stream_values = sink != NULL && sink->with_values,
                           .objective = objective_node(&session->model->graph, request->objective),
                           .seeds = session->seed_nodes,
                           .n_seeds = request->n_seeds,
                           .logits = request->logits,
                           .append = request->append != NULL || request->appends != NULL,
                           .identity_rows = session->rows.identity,
                           .compute = session->options.compute};
    question->rules = question_differentiates(question) ? request->rules : RULES_TRUE;
    return LIMN_OK;
}

limn_status session_estimate(Session *session, const RunRequest *request, RunEstimate *estimate) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(session, &request, &question));
    TRY(bind_program(session, &question, SIZE_MAX, &binding));
    estimate->bytes = binding.bytes;
    estimate->flops = program_flops(binding.program, &binding.sizes);
    estimate->row_layers =
        session->row_layer > 0 ? program_block_flops(binding.program, &binding.sizes) / session->row_layer : 0;
    KeepPolicy tight = question_differentiates(&question) ? KEEP_LAYER_INPUTS : KEEP_EVERYTHING;
    TRY(try_policy(session, &question, tight, LEAST_CHUNK_ROWS, &binding));
    estimate->least_bytes = binding.bytes;
    return LIMN_OK;
}

limn_status session_estimate_weights(Session *session, const RunRequest *request, int64_t runs, size_t *bytes) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(session, &request, &question));
    TRY(bind_program(session, &question, session_memory_left(session), &binding));
    *bytes = program_weight_bytes(binding.program, &binding.sizes, session->backend, session->state, runs,
                                  session->weight_budget);
    return LIMN_OK;
}

limn_status session_require(Session *session, const RunRequest *request) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(session, &request, &question));
    return bind_program(session, &question, session_memory_left(session), &binding);
}

limn_status session_describe_program(Session *session, const RunRequest *request, char **text) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(session, &request, &question));
    TRY(bind_program(session, &question, session_memory_left(session), &binding));
    return program_describe(binding.program, text);
}

static limn_status reserve_workspace(Session *session, const Binding *binding) {
    size_t needed = binding->bytes + 64;
    if (needed > session->workspace_bytes) {
        free(session->workspace);
        session->workspace = NULL;
        session->workspace_bytes = 0;
        size_t rounded = round_up_bytes(needed, 4096);
        session->workspace = large_alloc(rounded);
        if (session->workspace == NULL) {
            return fail(LIMN_NO_MEMORY, "working memory of %.1f MiB", (double)rounded / 1048576.0);
        }
        session->workspace_bytes = rounded;
    }
    if (binding->program->n_slots > session->slot_capacity) {
        int32_t capacity = binding->program->n_slots * 2;
        float **slots = realloc(session->slots, (size_t)capacity * sizeof *slots);
        if (slots == NULL) {
            return fail(LIMN_NO_MEMORY, "%d buffers", capacity);
        }
        session->slots = slots;
        session->slot_capacity = capacity;
    }
    return LIMN_OK;
}

static limn_status bind_buffers(Session *session, const RunRequest *request, const Binding *binding) {
    TRY(reserve_workspace(session, binding));
    unsigned char *next = session->workspace;
    for (int32_t i = 0; i < binding->program->n_slots; i++) {
        session->slots[i] = (float *)(void *)next;
        next += program_slot_bytes(&binding->program->slots[i], &binding->sizes);
    }
#ifdef LIMN_ARENA_DEBUG
    memset(session->workspace, 0xFF, binding->bytes); /* NaN: a value read before it is written shows */
#endif
    session->last = (Execution){.team = &session->team,
                                .program = binding->program,
                                .request = request,
                                .rows = &session->rows,
                                .edits = &session->edits,
                                .sizes = binding->sizes,
                                .slots = session->slots,
                                .scratch = next,
                                .scratch_bytes = binding->scratch_bytes,
                                .state = session->state};
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

static limn_status reserve_spare(Session *session, size_t bytes) {
    if (bytes > session->spare_bytes) {
        free(session->spare);
        session->spare = malloc(bytes + bytes / 4);
        session->spare_bytes = session->spare == NULL ? 0 : bytes + bytes / 4;
    }
    return session->spare != NULL ? LIMN_OK : fail(LIMN_NO_MEMORY, "one row of %zu bytes", bytes);
}

/* What is handed back is brought into the request's order. */
static limn_status hand_back(Session *session) {
    const Execution *run = &session->last;
    const Program *program = run->program;
    const Rows *rows = &session->rows;
    session->total = seeds_total(run);
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
        TRY(reserve_spare(session, row_bytes + (size_t)run->sizes.rows[value->domain]));
        rows_restore(rows, value->domain, execution_value(run, i), width, session->spare,
                     (uint8_t *)session->spare + row_bytes);
    }
    return LIMN_OK;
}

static void extend_caches(const Session *session, const RunRequest *request) {
    const RowTable *all = &session->rows.tables[DOMAIN_ALL];
    for (int32_t s = 0; s < request->n_sequences; s++) {
        KvCache *cache = appended_cache(request, session->rows.caller[s]);
        const SequenceRows *rows = &all->sequences[s];
        if (cache != NULL) {
            memcpy(cache->is_key + cache->length, all->is_key + rows->row_begin, (size_t)rows->n_rows);
            cache->length += rows->n_rows;
        }
    }
}

limn_status session_run(Session *session, const RunRequest *request, const Progress *progress) {
    Question question;
    Binding binding = {0};
    TRY(prepare_question(session, &request, &question));
    TRY(bind_program(session, &question, session_memory_left(session), &binding));
    TRY(bind_buffers(session, request, &binding));
    session->team.progress = progress;
    limn_status status = execute(&session->last);
    status = status == LIMN_OK ? hand_back(session) : status;
    session->team.progress = NULL;
    if (status != LIMN_OK) {
        session->last.program = NULL;
        return status;
    }
    extend_caches(session, request);
    return LIMN_OK;
}

static const float *read_value(const Session *session, ValueId value, int32_t *rows, int64_t *width) {
    const Execution *last = &session->last;
    const ProgramValue *found = &last->program->values[value];
    *rows = last->sizes.rows[found->domain];
    *width = row_shape_width(&found->shape, last->sizes.max_keys);
    return execution_value(last, value);
}

/* The value that goes with `node` in a list of sites. */
static const float *find_value(const Session *session, NodeId node, const NodeId *nodes, const ValueId *values,
                               int32_t n, int32_t *rows, int64_t *width) {
    for (int32_t i = 0; i < n; i++) {
        if (nodes[i] == node) {
            return read_value(session, values[i], rows, width);
        }
    }
    return NULL;
}

const float *session_tap(const Session *session, NodeId node, int32_t *rows, int64_t *width) {
    const Program *program = session->last.program;
    return program == NULL
               ? NULL
               : find_value(session, node, program->tap_nodes, program->tap_values, program->n_taps, rows, width);
}

const float *session_grad(const Session *session, NodeId node, int32_t *rows, int64_t *width) {
    const Program *program = session->last.program;
    return program == NULL
               ? NULL
               : find_value(session, node, program->grad_nodes, program->grad_values, program->n_grads, rows, width);
}

const float *session_logits(const Session *session) {
    const Program *program = session->last.program;
    return program == NULL || program->logits_value == VALUE_NONE
               ? NULL
               : execution_value(&session->last, program->logits_value);
}

const float *session_objective(const Session *session) {
    const Program *program = session->last.program;
    return program == NULL || program->objective_value == VALUE_NONE
               ? NULL
               : execution_value(&session->last, program->objective_value);
}

const float *session_seed(const Session *session, int32_t seed) {
    const Program *program = session->last.program;
    return program == NULL || seed < 0 || seed >= program->n_seeds
               ? NULL
               : execution_value(&session->last, program->seed_values[seed]);
}

double session_total(const Session *session) {
    return session->last.program == NULL ? 0.0 : session->total;
}
