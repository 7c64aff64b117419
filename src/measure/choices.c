#include "measure/choices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/batch.h"
#include "measure/choice_tokens.h"
#include "measure/distribution.h"

enum {
    RUN_ROWS = 1024,           /* rows of one run: enough for full tiles, few enough for the cache */
    LEAST_HEAD = 2,            /* a shared beginning of fewer tokens is not worth a cache */
    LOGIT_BYTES_MAX = 64 << 20 /* of one run */
};
static const size_t cache_bytes_max = (size_t)512 << 20;

struct ChoiceScorer {
    MethodCall *call;
    Engine *engine;
    const Model *model;
    ChoiceOptions options;
    ChoiceTokens encoding;
    Arena arena;       /* of one batch */
    KvCache *head;     /* NULL: none */
    int32_t *head_ids; /* [head->length] */
    bool head_sought;
    KvCache **caches; /* [n_caches] of prompts whose choices go on */
    int32_t n_caches;
    bool several; /* some choice of this batch has more than one token */
    Batcher prompts, rests;
    int64_t tokens;
};

static void free_caches(ChoiceScorer *scorer) {
    for (int32_t i = 0; i < scorer->n_caches; i++) {
        kv_cache_free(scorer->caches[i]);
    }
    free(scorer->caches);
    scorer->caches = NULL;
    scorer->n_caches = 0;
}

void choice_scorer_free(ChoiceScorer *scorer) {
    if (scorer == NULL) {
        return;
    }
    free_caches(scorer);
    kv_cache_free(scorer->head);
    free(scorer->head_ids);
    arena_free(&scorer->arena);
    free(scorer);
}

static int32_t output_width(const Model *model) {
    return model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
}

static void set_batchers(ChoiceScorer *scorer) {
    int64_t outputs = larger(1, LOGIT_BYTES_MAX / (int64_t)sizeof(float) / output_width(scorer->model));
    scorer->prompts = (Batcher){.outputs = outputs};
    scorer->rests = (Batcher){.rows = RUN_ROWS, .outputs = outputs};
}

limn_status choice_scorer_new(ChoiceScorer **scorer, MethodCall *call, Engine *engine, const ChoiceOptions *options) {
    const Model *model = engine_model(engine);
    *scorer = NULL;
    bool masked = model->config.task == TASK_MASKED_LM;
    if (!masked && model->config.task != TASK_CAUSAL_LM && model->config.task != TASK_CLASSIFIER) {
        return fail(LIMN_USAGE, "%s: choices are scored by language models and classifiers; %s is neither", model->path,
                    model->config.architecture);
    }
    TRY(model_need_tokenizer(model, "so no choices can be scored"));
    *scorer = calloc(1, sizeof **scorer);
    if (*scorer == NULL) {
        return method_no_memory(call);
    }
    (*scorer)->call = call;
    (*scorer)->engine = engine;
    (*scorer)->model = model;
    (*scorer)->options = *options;
    arena_init(&(*scorer)->arena);
    set_batchers(*scorer);
    (*scorer)->encoding = (ChoiceTokens){.call = call, .model = model, .options = &(*scorer)->options};
    limn_status status = choice_tokens_prepare(&(*scorer)->encoding);
    if (status != LIMN_OK) {
        choice_scorer_free(*scorer);
        *scorer = NULL;
    }
    return status;
}

const char *truncation_part(const MethodCall *call, Truncation truncation) {
    static const char *const english[] = {"", "beginning", "end", "middle"}, *const chinese[] = {"", "开头", "末尾",
                                                                                                 "中间"};
    return SAY(call, english, chinese)[truncation];
}

limn_status choice_scorer_cut(ChoiceCut *cut, const ChoiceScorer *scorer, Text prompt, Arena *arena) {
    return choice_tokens_cut(cut, &scorer->encoding, prompt, arena);
}

int64_t choice_scorer_tokens(const ChoiceScorer *scorer) {
    return scorer->tokens;
}

int32_t choice_scorer_head(const ChoiceScorer *scorer) {
    return scorer->head != NULL ? scorer->head->length : 0;
}

static int32_t cache_rows(const ChoicePrompt *prompt) {
    return (int32_t)round_up(prompt->n, 64);
}

/* ---- the shared beginning ---- */

static int32_t common_length(const int32_t *a, int32_t n_a, const int32_t *b, int32_t n_b) {
    int32_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* A cache is a luxury: *cache is NULL where memory is short. */
static limn_status luxury_cache(KvCache **cache, const ChoiceScorer *scorer, int32_t rows) {
    ErrorState before;
    error_save(&before);
    *cache = NULL;
    if (scorer->call->common.memory == PARAM_BYTES_LEAST) {
        return LIMN_OK;
    }
    limn_status status = engine_cache_new(cache, scorer->engine, rows);
    if (status == LIMN_NO_MEMORY) {
        error_restore(&before);
        return LIMN_OK;
    }
    return status;
}

static void drop_head(ChoiceScorer *scorer) {
    kv_cache_free(scorer->head);
    free(scorer->head_ids);
    scorer->head = NULL;
    scorer->head_ids = NULL;
}

static limn_status fill_head(ChoiceScorer *scorer, const int32_t *ids, int32_t n, const Progress *progress) {
    TRY(luxury_cache(&scorer->head, scorer, n));
    scorer->head_ids = malloc((size_t)n * sizeof *scorer->head_ids);
    if (scorer->head == NULL || scorer->head_ids == NULL) {
        bool there = scorer->head_ids != NULL;
        drop_head(scorer);
        return there ? LIMN_OK : method_no_memory(scorer->call);
    }
    memcpy(scorer->head_ids, ids, (size_t)n * sizeof *ids);
    SequenceInput sequence = {.ids = scorer->head_ids, .n = n};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .append = scorer->head};
    return engine_run(scorer->engine, &request, progress);
}

/* Of the first batch: what all its prompts begin with, computed once. Later prompts use what they share of it. */
static limn_status seek_head(ChoiceScorer *scorer, const ChoicePrompt *prompts, int32_t n, const Progress *progress) {
    if (scorer->head_sought || n < 2 || scorer->options.plain || !scorer->model->config.causal) {
        return LIMN_OK;
    }
    scorer->head_sought = true;
    int32_t length = prompts[0].n - 1;
    for (int32_t i = 1; i < n; i++) {
        length = common_length(prompts[0].ids, length, prompts[i].ids, prompts[i].n - 1);
    }
    return length < LEAST_HEAD ? LIMN_OK : fill_head(scorer, prompts[0].ids, length, progress);
}

/* ---- the first tokens ---- */

/* Prompts of one call, and those of them that run together. */
typedef struct Work {
    ChoiceScorer *scorer;
    ChoicePrompt *prompts; /* [n] */
    int32_t n;
    double *log_probabilities; /* [n, choices] */
    KvCache **keep;            /* [n] where their keys and values stay; NULL: nowhere */
} Work;

typedef struct Batch {
    const Work *work;
    const int64_t *cases; /* [n] prompts */
    int64_t n;
    const Progress *progress;
} Batch;

static const ChoicePrompt *prompt_of(const Batch *batch, int64_t i) {
    return &batch->work->prompts[batch->cases[i]];
}

static double *logs_of(const Batch *batch, int64_t i) {
    return batch->work->log_probabilities + batch->cases[i] * batch->work->scorer->options.n;
}

/* The cache that holds a prompt of the batch once it has run. */
static KvCache *cache_of(const Batch *batch, int64_t i) {
    const Work *work = batch->work;
    return work->keep != NULL ? work->keep[batch->cases[i]] : work->scorer->caches[i];
}

static limn_status begin_cache(KvCache *cache, const ChoicePrompt *prompt) {
    cache->length = 0;
    return prompt->shared > 0 ? kv_cache_copy(cache, prompt->prefix, prompt->shared) : LIMN_OK;
}

/* One cache for each prompt, holding what it shares of the head. */
static limn_status reserve_caches(const Batch *batch) {
    ChoiceScorer *scorer = batch->work->scorer;
    if (batch->work->keep != NULL) {
        for (int64_t i = 0; i < batch->n; i++) {
            TRY(begin_cache(cache_of(batch, i), prompt_of(batch, i)));
        }
        return LIMN_OK;
    }
    if (batch->n > scorer->n_caches) {
        KvCache **grown = realloc(scorer->caches, (size_t)batch->n * sizeof(void *));
        if (grown == NULL) {
            return method_no_memory(scorer->call);
        }
        memset(grown + scorer->n_caches, 0, (size_t)(batch->n - scorer->n_caches) * sizeof(void *));
        scorer->caches = grown;
        scorer->n_caches = (int32_t)batch->n;
    }
    for (int64_t i = 0; i < batch->n; i++) {
        const ChoicePrompt *one = prompt_of(batch, i);
        if (scorer->caches[i] == NULL || scorer->caches[i]->capacity < one->n) {
            kv_cache_free(scorer->caches[i]);
            scorer->caches[i] = NULL;
            TRY(engine_cache_new(&scorer->caches[i], scorer->engine, cache_rows(one)));
        }
        TRY(begin_cache(scorer->caches[i], one));
    }
    return LIMN_OK;
}

/* The prompts, and of each choice its first token (a class: itself). */
static limn_status run_prompts(const Batch *batch, const Progress *progress) {
    ChoiceScorer *scorer = batch->work->scorer;
    int32_t n = (int32_t)batch->n;
    SequenceInput *sequences = ARENA_ARRAY(&scorer->arena, SequenceInput, n);
    OutputRow *outputs = ARENA_ARRAY(&scorer->arena, OutputRow, n);
    if (sequences == NULL || outputs == NULL) {
        return method_no_memory(scorer->call);
    }
    for (int32_t i = 0; i < n; i++) {
        const ChoicePrompt *one = prompt_of(batch, i);
        sequences[i] = (SequenceInput){.ids = one->ids + one->shared,
                                       .n = one->n - one->shared,
                                       .prefix = one->shared > 0 ? one->prefix : NULL,
                                       .prefix_length = one->shared};
        outputs[i] = (OutputRow){.sequence = i, .row = one->row - one->shared, .target = -1};
    }
    RunRequest request = {.sequences = sequences, .n_sequences = n, .outputs = outputs, .n_outputs = n, .logits = true};
    if (scorer->several || batch->work->keep != NULL) {
        KvCache **appends = ARENA_ARRAY(&scorer->arena, KvCache *, n);
        if (appends == NULL) {
            return method_no_memory(scorer->call);
        }
        TRY(reserve_caches(batch));
        for (int32_t i = 0; i < n; i++) {
            appends[i] = cache_of(batch, i);
        }
        request.appends = appends;
    }
    TRY(engine_run(scorer->engine, &request, progress));
    int32_t width = output_width(scorer->model);
    const float *logits = engine_logits(scorer->engine);
    for (int32_t i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * (size_t)width;
        double total = output_total(scorer->model, row, width);
        for (int32_t c = 0; c < scorer->options.n; c++) {
            int32_t id = prompt_of(batch, i)->tails != NULL ? prompt_of(batch, i)->tails[c][0] : c;
            logs_of(batch, i)[c] = output_log_probability(scorer->model, row[id], total);
        }
    }
    return LIMN_OK;
}

/* ---- the tokens behind them ---- */

/* A choice of several tokens behind one prompt: its tokens but the last are read, those but the first scored. */
typedef struct Rest {
    int32_t prompt, choice; /* the prompt by its place in the batch */
} Rest;

typedef struct Rests {
    const Batch *batch;
    Rest *items; /* [n] */
    int64_t n;
} Rests;

static int32_t rest_length(const Batch *batch, const Rest *rest) {
    return prompt_of(batch, rest->prompt)->n_tails[rest->choice] - 1;
}

/* Where a text as long as both turns by other rotary frequencies than the prompt, the prompt runs once more. */
static bool runs_whole(const Batch *batch, const Rest *rest) {
    int32_t n = prompt_of(batch, rest->prompt)->n;
    return !model_lengths_alike(&batch->work->scorer->model->config, n, n + rest_length(batch, rest));
}

static BatchCost cost_of_rest(const void *context, int64_t i) {
    const Rests *rests = context;
    const Rest *rest = &rests->items[i];
    bool whole = runs_whole(rests->batch, rest);
    int32_t length = rest_length(rests->batch, rest);
    return (BatchCost){.rows = length + (whole ? prompt_of(rests->batch, rest->prompt)->n : 0),
                       .outputs = length + (whole ? 1 : 0)};
}

/* A choice behind its prompt's cache, whose first token is scored already; as a whole, and unscored. */
static limn_status rest_sequence(SequenceInput *sequence, const Batch *batch, const Rest *rest) {
    ChoiceScorer *scorer = batch->work->scorer;
    const ChoicePrompt *one = prompt_of(batch, rest->prompt);
    int32_t length = rest_length(batch, rest);
    if (!runs_whole(batch, rest)) {
        *sequence = (SequenceInput){.ids = one->tails[rest->choice],
                                    .n = length,
                                    .prefix = cache_of(batch, rest->prompt),
                                    .prefix_length = one->n};
        return LIMN_OK;
    }
    int32_t *ids = ARENA_ARRAY(&scorer->arena, int32_t, one->n + length);
    if (ids == NULL) {
        return method_no_memory(scorer->call);
    }
    memcpy(ids, one->ids, (size_t)one->n * sizeof *ids);
    memcpy(ids + one->n, one->tails[rest->choice], (size_t)length * sizeof *ids);
    *sequence = (SequenceInput){.ids = ids, .n = one->n + length};
    logs_of(batch, rest->prompt)[rest->choice] = 0;
    return LIMN_OK;
}

static limn_status run_rests(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    const Rests *rests = context;
    const Batch *batch = rests->batch;
    ChoiceScorer *scorer = batch->work->scorer;
    int64_t most = 0, used = 0;
    for (int64_t i = 0; i < n; i++) {
        most += cost_of_rest(rests, cases[i]).outputs;
    }
    SequenceInput *sequences = ARENA_ARRAY(&scorer->arena, SequenceInput, n);
    OutputRow *outputs = ARENA_ARRAY(&scorer->arena, OutputRow, most);
    if (sequences == NULL || outputs == NULL) {
        return method_no_memory(scorer->call);
    }
    for (int32_t i = 0; i < n; i++) {
        const Rest *rest = &rests->items[cases[i]];
        const ChoicePrompt *one = prompt_of(batch, rest->prompt);
        TRY(rest_sequence(&sequences[i], batch, rest));
        int32_t n_tail = one->n_tails[rest->choice];
        for (int32_t t = sequences[i].prefix == NULL ? 0 : 1; t < n_tail; t++) {
            int32_t row = sequences[i].n - n_tail + t;
            outputs[used++] = (OutputRow){.sequence = i, .row = row, .target = one->tails[rest->choice][t]};
        }
    }
    RunRequest request = {.sequences = sequences,
                          .n_sequences = (int32_t)n,
                          .outputs = outputs,
                          .n_outputs = (int32_t)used,
                          .logits = true};
    TRY(engine_run(scorer->engine, &request, progress));
    int32_t width = output_width(scorer->model);
    const float *logits = engine_logits(scorer->engine);
    for (int64_t k = 0; k < used; k++) {
        const Rest *rest = &rests->items[cases[outputs[k].sequence]];
        const float *row = logits + k * width;
        logs_of(batch, rest->prompt)[rest->choice] += (double)row[outputs[k].target] - log_sum_exp(row, width);
    }
    return LIMN_OK;
}

static limn_status list_rests(Rests *rests) {
    const Batch *batch = rests->batch;
    ChoiceScorer *scorer = batch->work->scorer;
    rests->items = ARENA_ARRAY(&scorer->arena, Rest, batch->n * scorer->options.n + 1);
    if (rests->items == NULL) {
        return method_no_memory(scorer->call);
    }
    for (int32_t i = 0; i < batch->n; i++) {
        for (int32_t c = 0; c < scorer->options.n; c++) {
            rests->items[rests->n] = (Rest){i, c};
            rests->n += rest_length(batch, &rests->items[rests->n]) > 0 ? 1 : 0;
        }
    }
    return LIMN_OK;
}

/* ---- runs ---- */

/* Each choice behind its prompt in a pass of its own, from the first token on. */
static limn_status run_plain(const Batch *batch) {
    ChoiceScorer *scorer = batch->work->scorer;
    const ChoicePrompt *one = prompt_of(batch, 0);
    int32_t width = output_width(scorer->model);
    for (int32_t c = 0; c < scorer->options.n; c++) {
        int32_t length = one->tails != NULL ? one->n_tails[c] : 1;
        int32_t *ids = ARENA_ARRAY(&scorer->arena, int32_t, one->n + length);
        OutputRow *outputs = ARENA_ARRAY(&scorer->arena, OutputRow, length);
        if (ids == NULL || outputs == NULL) {
            return method_no_memory(scorer->call);
        }
        memcpy(ids, one->ids, (size_t)one->n * sizeof *ids);
        for (int32_t t = 0; t < length; t++) {
            ids[one->n + t] = one->tails != NULL ? one->tails[c][t] : 0;
            outputs[t] = (OutputRow){.row = one->row + t, .target = one->tails != NULL ? one->tails[c][t] : c};
        }
        SequenceInput sequence = {.ids = ids, .n = one->n + length - 1};
        RunRequest request = {
            .sequences = &sequence, .n_sequences = 1, .outputs = outputs, .n_outputs = length, .logits = true};
        TRY(engine_run(scorer->engine, &request, batch->progress));
        const float *logits = engine_logits(scorer->engine);
        double *log_probability = &logs_of(batch, 0)[c];
        *log_probability = 0;
        for (int32_t t = 0; t < length; t++) {
            const float *row = logits + (size_t)t * (size_t)width;
            *log_probability +=
                output_log_probability(scorer->model, row[outputs[t].target], output_total(scorer->model, row, width));
        }
    }
    return LIMN_OK;
}

/* One of the two parts of a run: so many of its rows come before it. */
typedef struct Part {
    const Progress *outer;
    int64_t before, own, all;
} Part;

static bool tick_part(void *context, const char *stage, int64_t done, int64_t total) {
    const Part *part = context;
    const Progress *outer = part->outer;
    if (outer == NULL || outer->tick == NULL) {
        return true;
    }
    int64_t parts = total > 0 ? total : 1;
    return outer->tick(outer->context, stage, part->before * parts + part->own * (total > 0 ? done : 0),
                       part->all * parts);
}

static limn_status run_shared(const Batch *batch) {
    ChoiceScorer *scorer = batch->work->scorer;
    Rests rests = {.batch = batch};
    BatchJob job = {.context = &rests, .cost = cost_of_rest, .run = run_rests};
    Part first = {.outer = batch->progress}, second = first;
    for (int64_t i = 0; i < batch->n; i++) {
        first.own += prompt_of(batch, i)->n - prompt_of(batch, i)->shared;
    }
    TRY(scorer->several ? list_rests(&rests) : LIMN_OK);
    for (int64_t i = 0; i < rests.n; i++) {
        second.own += cost_of_rest(&rests, i).rows;
    }
    second.before = first.own;
    first.all = second.all = first.own + second.own;
    const Progress in_first = {tick_part, &first}, in_second = {tick_part, &second};
    TRY(run_prompts(batch, &in_first));
    job.n = rests.n;
    scorer->rests.progress = &in_second;
    limn_status status = rests.n > 0 ? batch_run(&scorer->rests, &job) : LIMN_OK;
    scorer->rests.progress = NULL;
    return status;
}

/* One prompt and choice at a time: when asked to, and where as little memory as possible is wanted. */
static bool runs_plain(const ChoiceScorer *scorer) {
    return scorer->options.plain || (scorer->several && scorer->call->common.memory == PARAM_BYTES_LEAST);
}

/* What one prompt finds no memory for beside caches, it is asked without them. */
static limn_status run_cases(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    const Work *work = context;
    ChoiceScorer *scorer = work->scorer;
    const Batch batch = {.work = work, .cases = cases, .n = n, .progress = progress};
    if (runs_plain(scorer)) {
        return run_plain(&batch);
    }
    ErrorState before;
    error_save(&before);
    limn_status status = run_shared(&batch);
    if (status != LIMN_NO_MEMORY) {
        return status;
    }
    free_caches(scorer);
    if (n > 1) {
        return status; /* comes again in parts */
    }
    drop_head(scorer);
    if (work->keep != NULL) {
        work->keep[cases[0]]->length = 0;
    }
    for (ChoicePrompt *one = work->prompts; one < work->prompts + work->n; one++) {
        one->shared = 0;
    }
    error_restore(&before);
    return run_plain(&batch);
}

static BatchCost cost_of_prompt(const void *context, int64_t i) {
    const Work *work = context;
    const ChoicePrompt *one = &work->prompts[i];
    size_t row_bytes = work->scorer->several ? kv_cache_row_bytes(work->scorer->model) : 0;
    return (BatchCost){.rows = one->n - one->shared, .outputs = 1, .bytes = row_bytes * (size_t)cache_rows(one)};
}

/* Encodes what can be; the others keep their reason, and NaN for numbers. places: [n] of those that can. */
static limn_status encode_prompts(ChoiceScorer *scorer, const Text *prompts, int32_t n, ChoicePrompt *encoded,
                                  int32_t *places, int32_t *n_good, ChoiceOutcome *outcomes) {
    *n_good = 0;
    for (int32_t i = 0; i < n; i++) {
        ChoicePrompt *prompt = &encoded[*n_good];
        limn_status status = choice_tokens_encode(prompt, &outcomes[i], &scorer->encoding, prompts[i], &scorer->arena);
        if (status != LIMN_OK) {
            if (!status_is_of_input(status)) {
                return status;
            }
            outcomes[i].status = status;
            outcomes[i].message = arena_strdup(&scorer->arena, error_message());
            if (outcomes[i].message == NULL) {
                return method_no_memory(scorer->call);
            }
            continue;
        }
        for (int32_t c = 0; prompt->tails != NULL && c < scorer->options.n; c++) {
            scorer->several = scorer->several || prompt->n_tails[c] > 1;
        }
        scorer->tokens += prompt->n;
        places[(*n_good)++] = i;
    }
    return LIMN_OK;
}

/* What each prompt shares of the head. */
static void share_head(const ChoiceScorer *scorer, ChoicePrompt *prompts, int32_t n) {
    for (int32_t i = 0; i < n && scorer->head != NULL; i++) {
        if (model_lengths_alike(&scorer->model->config, scorer->head->length, prompts[i].n)) {
            prompts[i].prefix = scorer->head;
            prompts[i].shared = common_length(scorer->head_ids, scorer->head->length, prompts[i].ids, prompts[i].n - 1);
        }
    }
}

static limn_status run_all(ChoiceScorer *scorer, ChoicePrompt *encoded, int32_t n, double *log_probabilities,
                           KvCache **keep, const Progress *progress) {
    Work work = {.scorer = scorer, .prompts = encoded, .n = n, .log_probabilities = log_probabilities, .keep = keep};
    const BatchJob job = {.n = n, .context = &work, .cost = cost_of_prompt, .run = run_cases};
    size_t held = 0;
    for (int32_t i = 0; i < scorer->n_caches; i++) {
        held += scorer->caches[i] == NULL ? 0 : scorer->caches[i]->bytes;
    }
    size_t left = (engine_memory_left(scorer->engine) + held) / 2;
    scorer->prompts.rows = runs_plain(scorer) ? 1 : RUN_ROWS;
    scorer->prompts.bytes = left < cache_bytes_max ? left + 1 : cache_bytes_max;
    scorer->prompts.progress = progress;
    return batch_run(&scorer->prompts, &job);
}

/* What was scored lies first: to its own place, from the end on; the others have no numbers. */
static void spread(double *log_probabilities, const int32_t *places, int32_t n_good, int32_t n, size_t width) {
    int32_t left = n_good;
    for (int32_t i = n; i-- > 0;) {
        double *own = log_probabilities + (size_t)i * width;
        if (left > 0 && places[left - 1] == i) {
            left--;
            memmove(own, log_probabilities + (size_t)left * width, width * sizeof *own);
            continue;
        }
        for (size_t c = 0; c < width; c++) {
            own[c] = (double)NAN;
        }
    }
}

/* Prompts of one call, those that can be encoded first. */
typedef struct Encoded {
    ChoicePrompt *prompts; /* [n_good] */
    int32_t *places;       /* [n_good] among the n given */
    int32_t n, n_good;
} Encoded;

static limn_status encode_all(Encoded *encoded, ChoiceScorer *scorer, const Text *prompts, int32_t n,
                              ChoiceOutcome *outcomes) {
    *encoded = (Encoded){.prompts = ARENA_ARRAY(&scorer->arena, ChoicePrompt, n + 1),
                         .places = ARENA_ARRAY(&scorer->arena, int32_t, n + 1),
                         .n = n};
    if (encoded->prompts == NULL || encoded->places == NULL) {
        return method_no_memory(scorer->call);
    }
    return encode_prompts(scorer, prompts, n, encoded->prompts, encoded->places, &encoded->n_good, outcomes);
}

static limn_status score(ChoiceScorer *scorer, const Encoded *encoded, KvCache **keep, double *log_probabilities,
                         const Progress *progress) {
    size_t width = (size_t)scorer->options.n;
    memset(log_probabilities, 0, (size_t)encoded->n * width * sizeof *log_probabilities);
    TRY(run_all(scorer, encoded->prompts, encoded->n_good, log_probabilities, keep, progress));
    spread(log_probabilities, encoded->places, encoded->n_good, encoded->n, width);
    return LIMN_OK;
}

limn_status choice_scorer_run(ChoiceScorer *scorer, const Text *prompts, int32_t n, double *log_probabilities,
                              ChoiceOutcome *outcomes, const Progress *progress) {
    Encoded encoded;
    arena_reset(&scorer->arena);
    scorer->several = false;
    TRY(encode_all(&encoded, scorer, prompts, n, outcomes));
    TRY(seek_head(scorer, encoded.prompts, encoded.n_good, progress));
    share_head(scorer, encoded.prompts, encoded.n_good);
    return score(scorer, &encoded, NULL, log_probabilities, progress);
}

/* ---- versions of prompts ---- */

static void free_kept(KvCache **kept, int32_t n) {
    for (int32_t i = 0; i < n && kept != NULL; i++) {
        kv_cache_free(kept[i]);
    }
    free(kept);
}

/* A cache for each prompt; *kept NULL where that is not worth it or there is no memory for all of them. */
static limn_status make_kept(KvCache ***kept, ChoiceScorer *scorer, const Encoded *prompts) {
    *kept = NULL;
    size_t bytes = 0;
    for (int32_t i = 0; i < prompts->n_good; i++) {
        bytes += kv_cache_row_bytes(scorer->model) * (size_t)cache_rows(&prompts->prompts[i]);
    }
    if (!scorer->model->config.causal || runs_plain(scorer) || bytes > engine_memory_left(scorer->engine) / 2) {
        return LIMN_OK;
    }
    KvCache **made = calloc((size_t)prompts->n_good + 1, sizeof(void *));
    if (made == NULL) {
        return method_no_memory(scorer->call);
    }
    for (int32_t i = 0; i < prompts->n_good; i++) {
        limn_status status = luxury_cache(&made[i], scorer, cache_rows(&prompts->prompts[i]));
        if (status != LIMN_OK || made[i] == NULL) {
            free_kept(made, i);
            return status;
        }
    }
    *kept = made;
    return LIMN_OK;
}

/* What each version begins with as its prompt does, where that is more than the head. */
static void share_kept(const ChoiceScorer *scorer, Encoded *versions, const int32_t *of, const Encoded *prompts,
                       KvCache *const *kept) {
    for (int32_t v = 0; v < versions->n_good; v++) {
        ChoicePrompt *version = &versions->prompts[v];
        int32_t wanted = of[versions->places[v]], p = 0;
        while (p < prompts->n_good && prompts->places[p] != wanted) {
            p++;
        }
        if (p == prompts->n_good || !model_lengths_alike(&scorer->model->config, prompts->prompts[p].n, version->n)) {
            continue;
        }
        int32_t most = version->n - 1 < kept[p]->length ? version->n - 1 : kept[p]->length;
        int32_t same = common_length(prompts->prompts[p].ids, prompts->prompts[p].n, version->ids, most);
        if (same > version->shared) {
            version->prefix = kept[p];
            version->shared = same;
        }
    }
}

limn_status choice_scorer_run_versions(ChoiceScorer *scorer, const ChoiceVersions *asked, double *log_probabilities,
                                       ChoiceOutcome *outcomes, const Progress *progress) {
    Encoded prompts, versions;
    KvCache **kept;
    arena_reset(&scorer->arena);
    scorer->several = false;
    TRY(encode_all(&prompts, scorer, asked->prompts, asked->n, outcomes));
    TRY(encode_all(&versions, scorer, asked->versions, asked->n_versions, outcomes + asked->n));
    TRY(seek_head(scorer, prompts.prompts, prompts.n_good, progress));
    share_head(scorer, prompts.prompts, prompts.n_good);
    share_head(scorer, versions.prompts, versions.n_good);
    TRY(make_kept(&kept, scorer, &prompts));
    limn_status status = score(scorer, &prompts, kept, log_probabilities, progress);
    if (status == LIMN_OK && kept != NULL) {
        share_kept(scorer, &versions, asked->of, &prompts, kept);
    }
    if (status == LIMN_OK) {
        double *own = log_probabilities + (size_t)asked->n * (size_t)scorer->options.n;
        status = score(scorer, &versions, NULL, own, progress);
    }
    free_kept(kept, prompts.n_good);
    return status;
}
