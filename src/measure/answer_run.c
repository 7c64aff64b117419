/* Cases of an answer, run in batches and read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "base/parallel.h"
#include "measure/answer_parts.h"
#include "measure/distribution.h"

/* What is read of one output row's logits. */
typedef struct Odds {
    double log_p; /* of its target */
    double odds;  /* log p / (1 - p) */
    double logit;
    double rival_logit;
    int32_t best;  /* the largest */
    int32_t rival; /* the largest but the target; -1: there is only one */
} Odds;

/* ---- reading ---- */

static void read_odds(Odds *odds, const float *logits, int32_t n, int32_t target) {
    *odds = (Odds){.rival = -1, .best = logit_argmax(logits, n), .logit = (double)logits[target]};
    for (int32_t c = 0; c < n; c++) {
        if (c != target && (odds->rival < 0 || logits[c] > logits[odds->rival])) {
            odds->rival = c;
        }
    }
    if (odds->rival < 0) {
        odds->odds = INFINITY;
        return;
    }
    double rest = 0.0;
    odds->rival_logit = (double)logits[odds->rival];
    for (int32_t c = 0; c < n; c++) {
        rest += c != target ? exp((double)logits[c] - odds->rival_logit) : 0.0;
    }
    odds->odds = odds->logit - (odds->rival_logit + log(rest));
    odds->log_p = odds->odds > 0.0 ? -log1p(exp(-odds->odds)) : odds->odds - log1p(exp(odds->odds));
}

typedef struct Reading {
    const AnswerBinding *run;
    const float *logits; /* [n_outputs, width] */
    int32_t width;
    Odds *odds; /* [n_outputs] */
} Reading;

static limn_status read_rows(void *context, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const Reading *reading = context;
    for (int64_t k = begin; k < end; k++) {
        read_odds(&reading->odds[k], reading->logits + k * reading->width, reading->width,
                  reading->run->outputs[k].target);
    }
    return LIMN_OK;
}

/* Of all outputs of the run; NULL where it kept no logits. */
static limn_status read_logits(const AnswerBinding *run, Odds **odds) {
    Answer *answer = run->answer;
    const ModelConfig *config = &answer->model->config;
    const float *logits = engine_logits(answer->engine);
    *odds = NULL;
    if (logits == NULL) {
        return LIMN_OK;
    }
    Reading reading = {.run = run,
                       .logits = logits,
                       .width = config->task == TASK_CLASSIFIER ? config->n_classes : config->n_vocab,
                       .odds = ARENA_ARRAY(&answer->scratch, Odds, run->n_outputs + 1)};
    if (reading.odds == NULL) {
        return answer_no_memory(answer);
    }
    *odds = reading.odds;
    return parallel_for(answer->call->team, run->n_outputs, 1, read_rows, &reading);
}

/* log p of one output by itself, NaN where nothing says it. */
static double own_log_p(const Answer *answer, const float *objective, const Odds *odds) {
    double slope;
    if (answer->outputs == ANSWER_NUMBER) {
        return (double)NAN;
    }
    if (answer->outputs == ANSWER_EACH) {
        return answer_shape(SHAPE_LOG_SIGMOID, (double)*objective, &slope);
    }
    return odds != NULL ? odds->log_p : answer->objective == OBJECTIVE_LOG_PROB ? (double)*objective : (double)NAN;
}

/* A part's value and slope from its outputs; what it says of log p goes to `value`. */
static double read_part(const Answer *answer, const Part *part, const float *objective, const Odds *odds, double *slope,
                        AnswerValue *value) {
    double sum = 0.0, log_p = 0.0;
    for (int32_t k = 0; k < part->n; k++) {
        bool against = part->contrast || part->weights[k] < 0.0f;
        double own = own_log_p(answer, objective == NULL ? NULL : &objective[k], odds == NULL ? NULL : &odds[k]);
        *(against ? &value->contrast : &value->target) += own;
        log_p += own;
        sum += objective == NULL ? 0.0 : (double)part->weights[k] * (double)objective[k];
    }
    double shaped = answer_shape(part->shape, part->shape == SHAPE_ODDS && odds != NULL ? log_p : sum, slope);
    if (part->shape == SHAPE_ODDS && odds != NULL && part->n == 1) {
        shaped = odds->odds; /* exact however near p is to 1 */
    }
    if (answer_leads_class(answer)) {
        shaped = odds->logit - odds->rival_logit;
    }
    *slope *= part->factor;
    return part->factor * shaped;
}

/* Would the model give the target? */
static bool decides(const Answer *answer, const AnswerValue *value, const Odds *odds) {
    if (answer->contrast != NULL) {
        return isnan(value->target) ? value->f > 0.0 : value->target > value->contrast;
    }
    bool chosen = odds != NULL && answer->outputs != ANSWER_NUMBER;
    for (int32_t k = 0; k < answer->target->n && chosen; k++) { /* the parts' outputs follow each other */
        chosen = answer->outputs == ANSWER_EACH ? odds[k].logit > 0.0 : odds[k].best == answer->target->ids[k];
    }
    return chosen;
}

/* ---- gradients ---- */

typedef struct SiteValues {
    const float *values;
    int64_t width;
    bool at_outputs; /* behind the selection of output rows */
} SiteValues;

/* Nodes that read the graph's own selection of output rows, directly or not. */
static bool behind_selection(const Graph *graph, NodeId node) {
    const GraphNode *found = &graph->nodes[node];
    bool behind = found->op.kind == OP_SELECT_ROWS;
    for (int k = 0; k < OP_MAX_INPUTS && !behind; k++) {
        behind = found->inputs[k] != NODE_NONE && found->op.layer < 0 && behind_selection(graph, found->inputs[k]);
    }
    return behind;
}

static limn_status find_sites(const AnswerBinding *run, SiteValues **sites) {
    const AnswerRequest *request = run->request;
    Answer *answer = run->answer;
    int32_t n = request->n_grads + request->n_taps;
    *sites = ARENA_ARRAY(&answer->scratch, SiteValues, n + 1);
    if (*sites == NULL) {
        return answer_no_memory(answer);
    }
    for (int32_t i = 0; i < n && run->with_gradients; i++) {
        bool grad = i < request->n_grads;
        NodeId node = grad ? request->grads[i] : request->taps[i - request->n_grads];
        int32_t rows;
        SiteValues *site = &(*sites)[i];
        site->values = grad ? engine_grad(answer->engine, node, &rows, &site->width)
                            : engine_tap(answer->engine, node, &rows, &site->width);
        site->at_outputs = behind_selection(&answer->model->graph, node);
        if (site->values == NULL || rows != (site->at_outputs ? run->n_outputs : run->n_rows)) {
            return fail(LIMN_INTERNAL, "a site has %d rows in a run of %d", site->values == NULL ? 0 : rows,
                        run->n_rows);
        }
    }
    return LIMN_OK;
}

static limn_status point_parts(const AnswerBinding *run, const BoundPart *bound, const SiteValues *sites,
                               AnswerPart *parts) {
    const AnswerRequest *request = run->request;
    int32_t n_parts = run->answer->n_parts, n = request->n_grads + request->n_taps;
    const float **pointers = ARENA_ARRAY(&run->answer->scratch, const float *, (int64_t)n_parts *n + 1);
    if (pointers == NULL) {
        return answer_no_memory(run->answer);
    }
    for (int32_t p = 0; p < n_parts; p++) {
        parts[p].first = bound[p].first;
        parts[p].n = bound[p].n_rows;
        parts[p].n_outputs = bound[p].n_outputs;
        parts[p].grads = pointers;
        parts[p].taps = pointers + request->n_grads;
        for (int32_t i = 0; i < n && run->with_gradients; i++) {
            int64_t row = sites[i].at_outputs ? bound[p].output : bound[p].row;
            pointers[i] = sites[i].values + row * sites[i].width;
        }
        pointers += n;
    }
    return LIMN_OK;
}

void answer_gradient(const AnswerValue *value, int32_t site, int64_t width, int32_t first, int32_t n, double *out) {
    memset(out, 0, (size_t)n * (size_t)width * sizeof *out);
    for (int32_t p = 0; p < value->n_parts; p++) {
        const AnswerPart *part = &value->parts[p];
        int32_t begin = (int32_t)larger(first, part->first), end = (int32_t)smaller(first + n, part->first + part->n);
        for (int32_t row = begin; row < end; row++) {
            const float *from = part->grads[site] + (int64_t)(row - part->first) * width;
            for (int64_t e = 0; e < width; e++) {
                out[(int64_t)(row - first) * width + e] += part->slope * (double)from[e];
            }
        }
    }
}

/* ---- gradients as they appear ---- */

/* The last bound part that begins at or before a row of the run, by rows or by outputs. */
static int64_t part_at(const AnswerBinding *run, int32_t row, bool by_output) {
    int64_t low = 0, high = run->n * run->answer->n_parts - 1;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        int32_t begin = by_output ? run->bound[middle].output : run->bound[middle].row;
        low = begin <= row ? middle : low;
        high = begin <= row ? high : middle - 1;
    }
    return low;
}

/* Cuts the run's rows into those of each part. */
static limn_status take_gradients(void *context, NodeId node, int32_t row_begin, int32_t n_rows, int64_t width,
                                  const float *value, const float *gradient) {
    const AnswerBinding *run = context;
    const AnswerSink *sink = run->request->sink;
    bool by_output = behind_selection(&run->answer->model->graph, node);
    for (int32_t row = row_begin; row < row_begin + n_rows;) {
        int64_t at = part_at(run, row, by_output);
        const BoundPart *bound = &run->bound[at];
        int32_t begin = by_output ? bound->output : bound->row, n = by_output ? bound->n_outputs : bound->n_rows;
        int32_t end = (int32_t)smaller(begin + n, row_begin + n_rows);
        if (end <= row) {
            return fail(LIMN_INTERNAL, "row %d of a run belongs to no case", row);
        }
        const int64_t skipped = (int64_t)(row - row_begin) * width;
        const AnswerRows rows = {.i = run->cases[at / run->answer->n_parts],
                                 .part = (int32_t)(at % run->answer->n_parts),
                                 .node = node,
                                 .row = row - begin + (by_output ? 0 : bound->first),
                                 .n = end - row,
                                 .width = width,
                                 .value = value == NULL ? NULL : value + skipped,
                                 .gradient = gradient + skipped};
        TRY(sink->take(sink->context, &rows));
        row = end;
    }
    return LIMN_OK;
}

/* ---- running ---- */

typedef struct Work {
    Answer *answer;
    const AnswerRequest *request;
    BatchCost *costs;    /* [n] */
    AnswerValue *values; /* [n] in order; NULL: as done */
} Work;

static RunRequest request_of(const AnswerBinding *run) {
    Answer *answer = run->answer;
    bool logits = answer_needs_logits(answer) && run->rivals == NULL;
    bool said = logits && answer->parts[0].shape == SHAPE_ODDS; /* by the logits, all of it */
    RunRequest request = {.sequences = run->sequences,
                          .n_sequences = run->n_sequences,
                          .outputs = run->outputs,
                          .n_outputs = run->n_outputs,
                          .edits = run->edits,
                          .n_edits = run->n_edits,
                          .objective = said && !run->with_gradients ? OBJECTIVE_NONE : answer->objective,
                          .logits = logits,
                          .appends = run->appends};
    if (run->with_gradients) {
        request.grads = run->request->grads;
        request.n_grads = run->request->n_grads;
        request.taps = run->request->taps;
        request.n_taps = run->request->n_taps;
        request.rules = run->request->rules;
    }
    return request;
}

static limn_status run_bound(AnswerBinding *run, const Progress *progress) {
    RunRequest request = request_of(run);
    const AnswerSink *sink = run->with_gradients ? run->request->sink : NULL;
    if (sink == NULL) {
        return engine_run(run->answer->engine, &request, progress);
    }
    const GradientSink taken = {.nodes = sink->nodes,
                                .n = sink->n,
                                .with_values = sink->with_values,
                                .function = take_gradients,
                                .context = run};
    for (int64_t k = 0; k < run->n && sink->begin != NULL; k++) {
        sink->begin(sink->context, run->cases[k]);
    }
    request.sink = &taken;
    return engine_run(run->answer->engine, &request, progress);
}

/* The best other class of each case is asked first: a gradient has to know it. */
static limn_status find_rivals(AnswerBinding *run, const Progress *progress, Odds **odds) {
    TRY(answer_bind(run));
    TRY(run_bound(run, progress));
    TRY(read_logits(run, odds));
    int32_t *rivals = ARENA_ARRAY(&run->answer->scratch, int32_t, run->n + 1);
    if (rivals == NULL) {
        return answer_no_memory(run->answer);
    }
    for (int64_t k = 0; k < run->n; k++) {
        rivals[k] = (*odds)[k].rival;
    }
    run->rivals = rivals;
    return LIMN_OK;
}

/* Case k of a run that has ended. odds: of its first output, NULL: no logits. */
static limn_status read_case(const AnswerBinding *run, int64_t k, const Odds *odds, const SiteValues *sites,
                             AnswerValue *value) {
    Answer *answer = run->answer;
    const BoundPart *bound = &run->bound[k * answer->n_parts];
    const float *objective = engine_objective(answer->engine);
    AnswerPart *parts = ARENA_ARRAY(&answer->scratch, AnswerPart, answer->n_parts);
    if (parts == NULL) {
        return answer_no_memory(answer);
    }
    *value = (AnswerValue){.n_parts = answer->n_parts, .parts = parts, .best = odds == NULL ? -1 : odds[0].best};
    for (int32_t p = 0; p < answer->n_parts; p++) {
        const Odds *own = odds == NULL ? NULL : odds + (bound[p].output - bound[0].output);
        parts[p].value = read_part(answer, &answer->parts[p], objective == NULL ? NULL : objective + bound[p].output,
                                   own, &parts[p].slope, value);
        value->f += parts[p].value;
    }
    value->contrast = answer->contrast == NULL ? (double)NAN : value->contrast;
    value->decided = answer->options.decision && decides(answer, value, odds);
    value->turned = answer->clean_known && value->decided != answer->clean.decided;
    return point_parts(run, bound, sites, parts);
}

static limn_status deliver_run(const Work *work, const AnswerBinding *run, const Odds *odds) {
    const AnswerRequest *request = work->request;
    SiteValues *sites;
    TRY(find_sites(run, &sites));
    for (int64_t k = 0; k < run->n; k++) {
        AnswerValue value;
        const Odds *own = odds == NULL          ? NULL
                          : run->rivals != NULL ? odds + k
                                                : odds + run->bound[k * run->answer->n_parts].output;
        TRY(read_case(run, k, own, sites, &value));
        if (work->values != NULL) {
            value.parts = NULL;
            work->values[run->cases[k]] = value;
        } else {
            TRY(request->deliver(request->context, run->cases[k], &value));
        }
    }
    return LIMN_OK;
}

static limn_status run_once(const Work *work, const int64_t *cases, int64_t n, const Progress *progress) {
    Answer *answer = work->answer;
    const AnswerRequest *request = work->request;
    AnswerBinding run = {.answer = answer, .request = request, .cases = cases, .n = n};
    bool gradients = answer_differentiates(request);
    Odds *odds = NULL;
    arena_reset(&answer->scratch);
    TRY(answer_prepare(&run));
    if (gradients && answer_leads_class(answer)) {
        TRY(find_rivals(&run, progress, &odds));
    }
    run.with_gradients = gradients;
    TRY(answer_bind(&run));
    TRY(run_bound(&run, progress));
    if (odds == NULL) {
        TRY(read_logits(&run, &odds));
    }
    return deliver_run(work, &run, odds);
}

/* The cache gives way to what finds no memory beside it. */
static bool drop_cache(Answer *answer, limn_status status) {
    bool drops = status == LIMN_NO_MEMORY && answer->cache != NULL;
    if (drops) {
        kv_cache_free(answer->cache);
        answer->cache = NULL;
        answer->unshared = true;
    }
    return drops;
}

static limn_status run_cases(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    const Work *work = context;
    limn_status status = run_once(work, cases, n, progress);
    return n == 1 && drop_cache(work->answer, status) ? run_once(work, cases, n, progress) : status;
}

static BatchCost cost_of(const void *context, int64_t i) {
    const Work *work = context;
    return work->costs[i];
}

static limn_status deliver_in_order(void *context, int64_t i) {
    const Work *work = context;
    return work->request->deliver(work->request->context, i, &work->values[i]);
}

static limn_status run_all(Work *work) {
    Answer *answer = work->answer;
    int32_t wanted = 0;
    for (int64_t i = 0; i < work->request->n; i++) {
        TRY(answer_cost(answer, work->request, i, &work->costs[i], &wanted));
    }
    TRY(answer_share(answer, wanted));
    BatchJob job = {.n = work->request->n,
                    .context = work,
                    .cost = cost_of,
                    .run = run_cases,
                    .deliver = work->values != NULL ? deliver_in_order : NULL};
    return batch_run(&answer->batcher, &job);
}

limn_status answer_run(Answer *answer, const AnswerRequest *request) {
    if (request->in_order && answer_differentiates(request)) {
        return fail(LIMN_INTERNAL, "gradients are delivered as they are done, not in order");
    }
    AnswerValue clean;
    TRY(answer->options.decision ? answer_clean(answer, &clean) : LIMN_OK);
    size_t n = (size_t)request->n + 1;
    Work work = {.answer = answer, .request = request, .costs = calloc(n, sizeof *work.costs)};
    work.values = request->in_order ? calloc(n, sizeof *work.values) : NULL;
    bool made = work.costs != NULL && (work.values != NULL || !request->in_order);
    limn_status status = made ? run_all(&work) : answer_no_memory(answer);
    free(work.costs);
    free(work.values);
    return status;
}

/* ---- the prompt itself ---- */

static limn_status run_clean(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    static const AnswerRequest itself = {.n = 1};
    Answer *answer = context;
    AnswerBinding run = {.answer = answer, .request = &itself, .cases = cases, .n = n};
    bool kept;
    Odds *odds;
    arena_reset(&answer->scratch);
    TRY(answer_bind_clean(&run, &kept));
    TRY(run_bound(&run, progress));
    if (kept) {
        answer_kept_clean(&run);
    }
    TRY(read_logits(&run, &odds));
    TRY(read_case(&run, 0, odds, NULL, &answer->clean));
    answer->clean.parts = NULL;
    answer->clean_known = true;
    return LIMN_OK;
}

static BatchCost cost_of_clean(const void *context, int64_t i) {
    (void)i;
    const Answer *answer = context;
    return (BatchCost){.rows = answer->target->n_sequence};
}

limn_status answer_clean(Answer *answer, AnswerValue *value) {
    const BatchJob job = {.n = 1, .context = answer, .cost = cost_of_clean, .run = run_clean};
    int64_t done = answer->batcher.done; /* it is none of the cases that somebody counts */
    limn_status status = answer->clean_known ? LIMN_OK : batch_run(&answer->batcher, &job);
    status = drop_cache(answer, status) ? batch_run(&answer->batcher, &job) : status;
    answer->batcher.done = done;
    *value = answer->clean;
    return status;
}

/* ---- what it would take ---- */

int64_t answer_run_cases(Answer *answer, const AnswerRequest *request) {
    BatchCost cost;
    int32_t wanted = 0;
    limn_status status = answer_cost(answer, request, 0, &cost, &wanted);
    return status == LIMN_OK ? batch_alike(&answer->batcher, cost.rows, request->n) : 1;
}

limn_status answer_bound_request(Answer *answer, const AnswerRequest *request, RunRequest *bound) {
    AnswerBinding run = {
        .answer = answer, .request = request, .n = request->n, .with_gradients = answer_differentiates(request)};
    arena_reset(&answer->scratch);
    int64_t *cases = ARENA_ARRAY(&answer->scratch, int64_t, request->n + 1);
    if (cases == NULL) {
        return answer_no_memory(answer);
    }
    for (int64_t i = 0; i < request->n; i++) {
        cases[i] = i;
    }
    run.cases = cases;
    TRY(answer_prepare(&run));
    TRY(answer_bind(&run));
    *bound = request_of(&run);
    return LIMN_OK;
}
