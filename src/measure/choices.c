#include "measure/choices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
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
    Session *session;
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

limn_status choice_scorer_new(ChoiceScorer **scorer, MethodCall *call, Session *session, const ChoiceOptions *options) {
    const Model *model = session_model(session);
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
    (*scorer)->session = session;
    (*scorer)->model = model;
    (*scorer)->options = *options;
    arena_init(&(*scorer)->arena);
    (*scorer)->encoding = (ChoiceTokens){.call = call, .model = model, .options = &(*scorer)->options};
    limn_status status = choice_tokens_prepare(&(*scorer)->encoding);
    if (status != LIMN_OK) {
        choice_scorer_free(*scorer);
        *scorer = NULL;
    }
    return status;
}

int64_t choice_scorer_tokens(const ChoiceScorer *scorer) {
    return scorer->tokens;
}

int32_t choice_scorer_head(const ChoiceScorer *scorer) {
    return scorer->head != NULL ? scorer->head->length : 0;
}

/* ---- the shared beginning ---- */

static int32_t common_length(const int32_t *a, int32_t n_a, const int32_t *b, int32_t n_b) {
    int32_t n = 0;
    while (n < n_a && n < n_b && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* Of the first batch: what all its prompts begin with, computed once. Later prompts use what they share of it. */
static limn_status seek_head(ChoiceScorer *scorer, const ChoicePrompt *scored, int32_t n, const Progress *progress) {
    if (scorer->head_sought || n < 2 || scorer->options.plain || !scorer->model->config.causal) {
        return LIMN_OK;
    }
    scorer->head_sought = true;
    int32_t length = scored[0].n - 1;
    for (int32_t i = 1; i < n; i++) {
        length = common_length(scored[0].ids, length, scored[i].ids, scored[i].n - 1);
    }
    if (length < LEAST_HEAD) {
        return LIMN_OK;
    }
    scorer->head_ids = malloc((size_t)length * sizeof *scorer->head_ids);
    if (scorer->head_ids == NULL) {
        return method_no_memory(scorer->call);
    }
    memcpy(scorer->head_ids, scored[0].ids, (size_t)length * sizeof *scorer->head_ids);
    TRY(kv_cache_new(&scorer->head, scorer->model, length));
    SequenceInput sequence = {.ids = scorer->head_ids, .n = length};
    RunRequest request = {.sequences = &sequence, .n_sequences = 1, .append = scorer->head};
    return session_run(scorer->session, &request, progress);
}

/* ---- runs ---- */

typedef struct Batch {
    ChoiceScorer *scorer;
    const ChoicePrompt *scored; /* [n] prompts of one run */
    int32_t n;
    double *log_probabilities; /* [n, choices] */
    const Progress *progress;
} Batch;

static int32_t output_width(const Model *model) {
    return model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
}

/* One cache for each prompt, holding what it shares of the head. */
static limn_status reserve_caches(ChoiceScorer *scorer, const ChoicePrompt *scored, int32_t n) {
    if (n > scorer->n_caches) {
        KvCache **grown = realloc(scorer->caches, (size_t)n * sizeof(void *));
        if (grown == NULL) {
            return method_no_memory(scorer->call);
        }
        memset(grown + scorer->n_caches, 0, (size_t)(n - scorer->n_caches) * sizeof(void *));
        scorer->caches = grown;
        scorer->n_caches = n;
    }
    for (int32_t i = 0; i < n; i++) {
        if (scorer->caches[i] == NULL || scorer->caches[i]->capacity < scored[i].n) {
            kv_cache_free(scorer->caches[i]);
            scorer->caches[i] = NULL;
            TRY(kv_cache_new(&scorer->caches[i], scorer->model, (int32_t)round_up(scored[i].n, 64)));
        }
        scorer->caches[i]->length = 0;
        if (scored[i].shared > 0) {
            TRY(kv_cache_copy(scorer->caches[i], scorer->head, scored[i].shared));
        }
    }
    return LIMN_OK;
}

/* The prompts, and of each choice its first token (a class: itself). */
static limn_status run_prompts(const Batch *batch) {
    ChoiceScorer *scorer = batch->scorer;
    int32_t n = batch->n;
    int32_t n_choices = scorer->options.n;
    SequenceInput *sequences = ARENA_ARRAY(&scorer->arena, SequenceInput, n);
    OutputRow *outputs = ARENA_ARRAY(&scorer->arena, OutputRow, n);
    if (sequences == NULL || outputs == NULL) {
        return method_no_memory(scorer->call);
    }
    for (int32_t i = 0; i < n; i++) {
        const ChoicePrompt *one = &batch->scored[i];
        sequences[i] = (SequenceInput){.ids = one->ids + one->shared,
                                       .n = one->n - one->shared,
                                       .prefix = one->shared > 0 ? scorer->head : NULL,
                                       .prefix_length = one->shared};
        outputs[i] = (OutputRow){.sequence = i, .row = one->row - one->shared, .target = -1};
    }
    RunRequest request = {.sequences = sequences, .n_sequences = n, .outputs = outputs, .n_outputs = n, .logits = true};
    if (scorer->several) {
        TRY(reserve_caches(scorer, batch->scored, n));
        request.appends = scorer->caches;
    }
    TRY(session_run(scorer->session, &request, batch->progress));
    int32_t width = output_width(scorer->model);
    const float *logits = session_logits(scorer->session);
    for (int32_t i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * (size_t)width;
        double total = log_sum_exp(row, width);
        for (int32_t c = 0; c < n_choices; c++) {
            int32_t id = batch->scored[i].tails != NULL ? batch->scored[i].tails[c][0] : c;
            batch->log_probabilities[(size_t)i * (size_t)n_choices + (size_t)c] = (double)row[id] - total;
        }
    }
    return LIMN_OK;
}

typedef struct Rest { /* a choice behind one prompt: its tokens but the last are read, those but the first scored */
    int32_t prompt, choice;
} Rest;

/* A choice behind its prompt's cache, whose first token is scored already; as a whole, and unscored, where a text as
 * long as both turns by other rotary frequencies than the prompt. */
static limn_status rest_sequence(SequenceInput *sequence, const Batch *batch, const Rest *rest) {
    ChoiceScorer *scorer = batch->scorer;
    const ChoicePrompt *one = &batch->scored[rest->prompt];
    int32_t length = one->n_tails[rest->choice] - 1;
    if (model_lengths_alike(&scorer->model->config, one->n, one->n + length)) {
        *sequence = (SequenceInput){.ids = one->tails[rest->choice],
                                    .n = length,
                                    .prefix = scorer->caches[rest->prompt],
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
    batch->log_probabilities[(size_t)rest->prompt * (size_t)scorer->options.n + (size_t)rest->choice] = 0;
    return LIMN_OK;
}

static limn_status run_rests(const Batch *batch, const Rest *rests, int32_t n, int32_t n_rows) {
    ChoiceScorer *scorer = batch->scorer;
    SequenceInput *sequences = ARENA_ARRAY(&scorer->arena, SequenceInput, n);
    OutputRow *outputs = ARENA_ARRAY(&scorer->arena, OutputRow, n_rows + n);
    if (sequences == NULL || outputs == NULL) {
        return method_no_memory(scorer->call);
    }
    int32_t used = 0;
    for (int32_t i = 0; i < n; i++) {
        const ChoicePrompt *one = &batch->scored[rests[i].prompt];
        TRY(rest_sequence(&sequences[i], batch, &rests[i]));
        int32_t n_tail = one->n_tails[rests[i].choice];
        for (int32_t t = sequences[i].prefix == NULL ? 0 : 1; t < n_tail; t++) {
            int32_t row = sequences[i].n - n_tail + t;
            outputs[used++] = (OutputRow){.sequence = i, .row = row, .target = one->tails[rests[i].choice][t]};
        }
    }
    RunRequest request = {
        .sequences = sequences, .n_sequences = n, .outputs = outputs, .n_outputs = used, .logits = true};
    TRY(session_run(scorer->session, &request, batch->progress));
    int32_t width = output_width(scorer->model);
    const float *logits = session_logits(scorer->session);
    for (int32_t k = 0; k < used; k++) {
        const Rest *rest = &rests[outputs[k].sequence];
        const float *row = logits + (size_t)k * (size_t)width;
        size_t place = (size_t)rest->prompt * (size_t)scorer->options.n + (size_t)rest->choice;
        batch->log_probabilities[place] += (double)row[outputs[k].target] - log_sum_exp(row, width);
    }
    return LIMN_OK;
}

static int32_t most_outputs(const Model *model) {
    int32_t rows = LOGIT_BYTES_MAX / (int32_t)sizeof(float) / output_width(model);
    return rows > 1 ? rows : 1;
}

static limn_status run_all_rests(const Batch *batch) {
    ChoiceScorer *scorer = batch->scorer;
    int32_t most = most_outputs(scorer->model);
    most = most < RUN_ROWS ? most : RUN_ROWS;
    Rest *rests = ARENA_ARRAY(&scorer->arena, Rest, batch->n * scorer->options.n);
    if (rests == NULL) {
        return method_no_memory(scorer->call);
    }
    int32_t n = 0;
    int32_t n_rows = 0;
    for (int32_t i = 0; i < batch->n; i++) {
        for (int32_t c = 0; c < scorer->options.n; c++) {
            int32_t length = batch->scored[i].n_tails[c] - 1;
            if (length > 0 && n > 0 && n_rows + length > most) {
                TRY(run_rests(batch, rests, n, n_rows));
                n = 0;
                n_rows = 0;
            }
            if (length > 0) {
                rests[n++] = (Rest){i, c};
                n_rows += length;
            }
        }
    }
    return n > 0 ? run_rests(batch, rests, n, n_rows) : LIMN_OK;
}

/* How many of the prompts from `begin` on make one run. */
static int32_t prompts_of_run(const ChoiceScorer *scorer, const ChoicePrompt *scored, int32_t begin, int32_t n) {
    int32_t most = most_outputs(scorer->model);
    size_t row_bytes = scorer->several ? kv_cache_row_bytes(scorer->model) : 0;
    int64_t rows = 0;
    size_t bytes = 0;
    int32_t end = begin;
    while (end < n && end - begin < most) {
        rows += scored[end].n - scored[end].shared;
        bytes += row_bytes * (size_t)scored[end].n;
        if (end > begin && (rows > RUN_ROWS || bytes > cache_bytes_max)) {
            break;
        }
        end++;
    }
    return end - begin;
}

/* Each choice behind its prompt in a pass of its own, from the first token on. */
static limn_status run_plain(const Batch *batch) {
    ChoiceScorer *scorer = batch->scorer;
    const ChoicePrompt *one = &batch->scored[0];
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
        TRY(session_run(scorer->session, &request, batch->progress));
        const float *logits = session_logits(scorer->session);
        batch->log_probabilities[c] = 0;
        for (int32_t t = 0; t < length; t++) {
            const float *row = logits + (size_t)t * (size_t)width;
            batch->log_probabilities[c] += (double)row[outputs[t].target] - log_sum_exp(row, width);
        }
    }
    return LIMN_OK;
}

static limn_status run_batch(const Batch *batch) {
    if (batch->scorer->options.plain) {
        return run_plain(batch);
    }
    TRY(run_prompts(batch));
    return batch->scorer->several ? run_all_rests(batch) : LIMN_OK;
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

static limn_status run_all(ChoiceScorer *scorer, ChoicePrompt *encoded, int32_t n, double *log_probabilities,
                           const Progress *progress) {
    TRY(seek_head(scorer, encoded, n, progress));
    for (int32_t i = 0; i < n && scorer->head != NULL; i++) {
        if (model_lengths_alike(&scorer->model->config, scorer->head->length, encoded[i].n)) {
            encoded[i].shared = common_length(scorer->head_ids, scorer->head->length, encoded[i].ids, encoded[i].n - 1);
        }
    }
    for (int32_t begin = 0; begin < n;) {
        int32_t count = scorer->options.plain ? 1 : prompts_of_run(scorer, encoded, begin, n);
        Batch batch = {.scorer = scorer,
                       .scored = encoded + begin,
                       .n = count,
                       .log_probabilities = &log_probabilities[(size_t)begin * (size_t)scorer->options.n],
                       .progress = progress};
        TRY(run_batch(&batch));
        begin += count;
    }
    return LIMN_OK;
}

limn_status choice_scorer_run(ChoiceScorer *scorer, const Text *prompts, int32_t n, double *log_probabilities,
                              ChoiceOutcome *outcomes, const Progress *progress) {
    size_t width = (size_t)scorer->options.n;
    arena_reset(&scorer->arena);
    scorer->several = false;
    ChoicePrompt *encoded = ARENA_ARRAY(&scorer->arena, ChoicePrompt, n + 1);
    int32_t *places = ARENA_ARRAY(&scorer->arena, int32_t, n + 1);
    if (encoded == NULL || places == NULL) {
        return method_no_memory(scorer->call);
    }
    int32_t n_good;
    TRY(encode_prompts(scorer, prompts, n, encoded, places, &n_good, outcomes));
    memset(log_probabilities, 0, (size_t)n * width * sizeof *log_probabilities);
    TRY(run_all(scorer, encoded, n_good, log_probabilities, progress));
    int32_t left = n_good; /* what was scored lies first: to its own place, from the end on */
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
    return LIMN_OK;
}
