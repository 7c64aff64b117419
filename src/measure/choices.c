#include "measure/choices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ask/prompt.h"
#include "base/integers.h"
#include "measure/distribution.h"

enum {
    RUN_ROWS = 1024,           /* rows of one run: enough for full tiles, few enough for the cache */
    LEAST_HEAD = 2,            /* a shared beginning of fewer tokens is not worth a cache */
    LOGIT_BYTES_MAX = 64 << 20 /* of one run */
};
static const size_t cache_bytes_max = (size_t)512 << 20;

typedef struct Scored { /* one prompt */
    const int32_t *ids; /* [n] */
    int32_t n;
    const int32_t **tails; /* [choices] tokens behind the prompt */
    int32_t *n_tails;      /* [choices] */
    int32_t row;           /* whose output is the answer */
    int32_t shared;        /* rows read from the head */
} Scored;

struct ChoiceScorer {
    MethodCall *call;
    Session *session;
    const Model *model;
    ChoiceOptions options;
    Arena arena;       /* of one batch */
    KvCache *head;     /* NULL: none */
    int32_t *head_ids; /* [head->length] */
    bool head_sought;
    KvCache **caches; /* [n_caches] of prompts whose choices go on */
    int32_t n_caches;
    bool several;            /* some choice of this batch has more than one token */
    const int32_t **at_mask; /* [options.n] of a masked model the token of each choice, the same for all prompts */
    int32_t *ones;           /* [options.n] how many those are: 1 */
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

static limn_status encode(ChoiceScorer *scorer, const char *text, size_t length, const EncodeOptions *options,
                          const int32_t **ids, int32_t *n) {
    Encoding encoding = {0};
    TRY(tokenizer_encode(&encoding, scorer->model->tokenizer, text, length, NULL, 0, options));
    int32_t *copy = ARENA_ARRAY(&scorer->arena, int32_t, encoding.n + 1);
    for (int32_t i = 0; copy != NULL && i < encoding.n; i++) {
        copy[i] = encoding.tokens[i].id;
    }
    *ids = copy;
    *n = encoding.n;
    encoding_free(&encoding);
    return copy != NULL ? LIMN_OK : method_no_memory(scorer->call);
}

/* A masked model fills one place: a choice is one token, which every prompt is asked about. */
static limn_status read_mask_choices(ChoiceScorer *scorer) {
    const ChoiceOptions *options = &scorer->options;
    const Tokenizer *tokenizer = scorer->model->tokenizer;
    int32_t *ids = ARENA_ARRAY(scorer->call->arena, int32_t, options->n);
    scorer->at_mask = ARENA_ARRAY(scorer->call->arena, const int32_t *, options->n);
    scorer->ones = ARENA_ARRAY(scorer->call->arena, int32_t, options->n);
    if (ids == NULL || scorer->at_mask == NULL || scorer->ones == NULL) {
        return method_no_memory(scorer->call);
    }
    if (tokenizer_special(tokenizer, SPECIAL_MASK) < 0) {
        return fail(LIMN_NOT_FOUND, "%s: its tokenizer has no mask token, expected one to put choices in its place",
                    scorer->model->path);
    }
    for (int32_t c = 0; c < options->n; c++) {
        const int32_t *found;
        const char *text = options->texts[c].bytes;
        const EncodeOptions alone = encode_alone(options->texts[c]);
        int32_t n;
        TRY(encode(scorer, text, options->texts[c].length, &alone, &found, &n));
        if (n != 1) {
            return fail(LIMN_USAGE, "the choice '%.40s' is %d tokens, expected one: a masked model fills one place",
                        text, (int)n);
        }
        if (found[0] == tokenizer_special(tokenizer, SPECIAL_UNK)) {
            return fail(LIMN_USAGE, "the choice '%.40s' is not in the vocabulary of %s", text, scorer->model->path);
        }
        for (int32_t k = 0; k < c; k++) {
            if (ids[k] == found[0]) {
                return fail(LIMN_USAGE, "the choices '%.40s' and '%.40s' are the same token", options->texts[k].bytes,
                            text);
            }
        }
        ids[c] = found[0];
        scorer->at_mask[c] = &ids[c];
        scorer->ones[c] = 1;
    }
    return LIMN_OK;
}

limn_status choice_scorer_new(ChoiceScorer **scorer, MethodCall *call, Session *session, const ChoiceOptions *options) {
    const Model *model = session_model(session);
    *scorer = NULL;
    bool masked = model->config.task == TASK_MASKED_LM;
    if (!masked && model->config.task != TASK_CAUSAL_LM && model->config.task != TASK_CLASSIFIER) {
        return fail(LIMN_USAGE, "%s: choices are scored by language models and classifiers; %s is neither", model->path,
                    model->config.architecture);
    }
    if (model->tokenizer == NULL) {
        return fail(LIMN_NOT_FOUND, "%s: the model has no tokenizer", model->path);
    }
    *scorer = calloc(1, sizeof **scorer);
    if (*scorer == NULL) {
        return method_no_memory(call);
    }
    (*scorer)->call = call;
    (*scorer)->session = session;
    (*scorer)->model = model;
    (*scorer)->options = *options;
    arena_init(&(*scorer)->arena);
    limn_status status = masked ? read_mask_choices(*scorer) : LIMN_OK;
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

/* ---- tokens ---- */

/* What the post-processor puts behind a text is not part of how a text goes on. */
static int32_t without_end(const ChoiceScorer *scorer, const int32_t *ids, int32_t n) {
    int32_t end = tokenizer_special(scorer->model->tokenizer, SPECIAL_EOS);
    return n > 1 && end >= 0 && ids[n - 1] == end ? n - 1 : n;
}

static limn_status encode_choice(ChoiceScorer *scorer, Text prompt, Scored *scored, int32_t choice) {
    Text text = scorer->options.texts[choice];
    char *both = arena_alloc(&scorer->arena, prompt.length + text.length + 1);
    if (both == NULL) {
        return method_no_memory(scorer->call);
    }
    memcpy(both, prompt.bytes, prompt.length);
    memcpy(both + prompt.length, text.bytes, text.length);
    const int32_t *ids;
    int32_t n;
    TRY(encode(scorer, both, prompt.length + text.length, &scorer->options.encode, &ids, &n));
    n = without_end(scorer, ids, n);
    if (n < scored->n || memcmp(ids, scored->ids, (size_t)scored->n * sizeof *ids) != 0) {
        return fail(LIMN_USAGE,
                    "the choice '%.40s' joins with the prompt's last token; move the border to where a "
                    "token begins (a leading space belongs to the choice)",
                    text.bytes);
    }
    if (n == scored->n) {
        return fail(LIMN_USAGE, "the choice '%.40s' adds no token to the prompt", text.bytes);
    }
    scored->tails[choice] = ids + scored->n;
    scored->n_tails[choice] = n - scored->n;
    scorer->several = scorer->several || n - scored->n > 1;
    return LIMN_OK;
}

/* The row of the prompt's one mask. */
static limn_status find_mask(const ChoiceScorer *scorer, Scored *scored) {
    int32_t mask = tokenizer_special(scorer->model->tokenizer, SPECIAL_MASK);
    int32_t count = 0;
    for (int32_t i = 0; i < scored->n; i++) {
        if (scored->ids[i] == mask) {
            scored->row = i;
            count++;
        }
    }
    size_t length;
    const char *piece = tokenizer_piece(scorer->model->tokenizer, mask, &length);
    return count == 1 ? LIMN_OK
                      : fail(LIMN_USAGE, "the prompt has %d mask tokens, expected one %.*s where the choices go",
                             (int)count, (int)length, piece);
}

static limn_status encode_prompt(ChoiceScorer *scorer, Text prompt, Scored *scored) {
    const ModelConfig *config = &scorer->model->config;
    TRY(encode(scorer, prompt.bytes, prompt.length, &scorer->options.encode, &scored->ids, &scored->n));
    bool language = config->task == TASK_CAUSAL_LM;
    if (language) {
        scored->n = without_end(scorer, scored->ids, scored->n);
    }
    if (scored->n == 0) {
        return fail(LIMN_USAGE, "the prompt has no tokens; expected at least one");
    }
    scored->row = config->causal ? scored->n - 1 : 0;
    if (scorer->at_mask != NULL) {
        TRY(find_mask(scorer, scored));
        scored->tails = scorer->at_mask;
        scored->n_tails = scorer->ones;
    }
    int32_t longest = 1;
    if (language) {
        scored->tails = ARENA_ARRAY(&scorer->arena, const int32_t *, scorer->options.n);
        scored->n_tails = ARENA_ARRAY(&scorer->arena, int32_t, scorer->options.n);
        if (scored->tails == NULL || scored->n_tails == NULL) {
            return method_no_memory(scorer->call);
        }
        for (int32_t c = 0; c < scorer->options.n; c++) {
            TRY(encode_choice(scorer, prompt, scored, c));
            longest = scored->n_tails[c] > longest ? scored->n_tails[c] : longest;
        }
    }
    if (config->n_context > 0 && scored->n + longest - 1 > config->n_context) {
        return fail(LIMN_RANGE, "prompt and choice have %d tokens; %s reads at most %d", (int)(scored->n + longest - 1),
                    scorer->model->path, (int)config->n_context);
    }
    scorer->tokens += scored->n;
    return LIMN_OK;
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
static limn_status seek_head(ChoiceScorer *scorer, const Scored *scored, int32_t n, const Progress *progress) {
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
    const Scored *scored; /* [n] prompts of one run */
    int32_t n;
    double *log_probabilities; /* [n, choices] */
    const Progress *progress;
} Batch;

static int32_t output_width(const Model *model) {
    return model->config.task == TASK_CLASSIFIER ? model->config.n_classes : model->config.n_vocab;
}

/* One cache for each prompt, holding what it shares of the head. */
static limn_status reserve_caches(ChoiceScorer *scorer, const Scored *scored, int32_t n) {
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
        const Scored *one = &batch->scored[i];
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
    const Scored *one = &batch->scored[rest->prompt];
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
        const Scored *one = &batch->scored[rests[i].prompt];
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
static int32_t prompts_of_run(const ChoiceScorer *scorer, const Scored *scored, int32_t begin, int32_t n) {
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
    const Scored *one = &batch->scored[0];
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

limn_status choice_scorer_run(ChoiceScorer *scorer, const Text *prompts, int32_t n, double *log_probabilities,
                              int32_t *bad, const Progress *progress) {
    *bad = -1;
    memset(log_probabilities, 0, (size_t)n * (size_t)scorer->options.n * sizeof *log_probabilities);
    arena_reset(&scorer->arena);
    scorer->several = false;
    Scored *scored = ARENA_ARRAY(&scorer->arena, Scored, n + 1);
    if (scored == NULL) {
        return method_no_memory(scorer->call);
    }
    for (int32_t i = 0; i < n; i++) {
        limn_status status = encode_prompt(scorer, prompts[i], &scored[i]);
        if (status != LIMN_OK) {
            *bad = i;
            return status;
        }
    }
    TRY(seek_head(scorer, scored, n, progress));
    for (int32_t i = 0; i < n && scorer->head != NULL; i++) {
        if (model_lengths_alike(&scorer->model->config, scorer->head->length, scored[i].n)) {
            scored[i].shared = common_length(scorer->head_ids, scorer->head->length, scored[i].ids, scored[i].n - 1);
        }
    }
    for (int32_t begin = 0; begin < n;) {
        int32_t count = scorer->options.plain ? 1 : prompts_of_run(scorer, scored, begin, n);
        Batch batch = {.scorer = scorer,
                       .scored = scored + begin,
                       .n = count,
                       .log_probabilities = &log_probabilities[(size_t)begin * (size_t)scorer->options.n],
                       .progress = progress};
        TRY(run_batch(&batch));
        begin += count;
    }
    return LIMN_OK;
}
