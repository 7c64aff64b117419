#include "measure/proposals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/batch.h"
#include "measure/distribution.h"
#include "measure/target_score.h"

enum {
    MOST_PROPOSALS = 512,       /* of a word */
    RIGHT_TOKENS = 4,           /* that a candidate is judged by */
    RUN_ROWS = 512,             /* of one run */
    LOGIT_BYTES_MAX = 64 << 20, /* of one run */
    SEEN = 1                    /* of a token's memo */
};
static const double least_share = -14.0; /* log-probability under the likeliest's of what is still looked at */

typedef struct WordProposals {
    Proposal *items; /* [n] */
    int32_t n;
} WordProposals;

/* What is known of a token, once it was asked. */
typedef struct TokenMemo {
    uint8_t seen;
    bool spaced; /* its bytes begin with a space */
    Text text;   /* without that space; length 0: no word */
    WordKind kind;
} TokenMemo;

struct Proposals {
    MethodCall *call;
    Engine *base;
    const Model *model;
    const Prompt *prompt;
    const Units *units;
    WordProposals *of; /* [units->n] */
    TokenMemo *memo;   /* [V] */
    KvCache *clean;    /* of the prompt under the base model; NULL: none */
};

bool proposals_possible(const Model *model) {
    bool masked = model->config.task == TASK_MASKED_LM && model->tokenizer != NULL &&
                  tokenizer_special(model->tokenizer, SPECIAL_MASK) >= 0;
    return model->tokenizer != NULL && (masked || model->config.task == TASK_CAUSAL_LM);
}

void proposals_free(Proposals *proposals) {
    if (proposals != NULL) {
        kv_cache_free(proposals->clean);
        free(proposals->memo);
        free(proposals);
    }
}

const Proposal *proposals_of(const Proposals *proposals, int32_t unit, int32_t *n) {
    *n = proposals->of[unit].n;
    return proposals->of[unit].items;
}

/* ---- which tokens are words of a kind ---- */

static const TokenMemo *token_memo(Proposals *proposals, int32_t id) {
    TokenMemo *memo = &proposals->memo[id];
    if (memo->seen != SEEN) {
        memo->seen = SEEN;
        size_t length = 0;
        const Tokenizer *tokenizer = proposals->model->tokenizer;
        const char *bytes = tokenizer_is_special(tokenizer, id) ? NULL : tokenizer_token_bytes(tokenizer, id, &length);
        memo->spaced = bytes != NULL && length > 0 && bytes[0] == ' ';
        memo->text = bytes == NULL ? (Text){"", 0} : (Text){bytes + memo->spaced, length - memo->spaced};
        memo->kind = word_kind(memo->text);
    }
    return memo;
}

typedef struct Heap { /* the best so far; the worst of them first */
    Proposal *items;
    int32_t n;
} Heap;

/* Ties go to the lower id, so that the same logits propose the same. */
static bool worse(const Proposal *a, const Proposal *b) {
    return a->log_probability < b->log_probability || (a->log_probability == b->log_probability && a->id > b->id);
}

static void sink(Heap *heap, int32_t at) {
    for (;;) {
        int32_t child = 2 * at + 1;
        if (child + 1 < heap->n && worse(&heap->items[child + 1], &heap->items[child])) {
            child++;
        }
        if (child >= heap->n || !worse(&heap->items[child], &heap->items[at])) {
            return;
        }
        Proposal swapped = heap->items[at];
        heap->items[at] = heap->items[child];
        heap->items[child] = swapped;
        at = child;
    }
}

static void offer(Heap *heap, const Proposal *proposal) {
    if (heap->n < MOST_PROPOSALS) {
        int32_t at = heap->n++;
        heap->items[at] = *proposal;
        while (at > 0 && worse(&heap->items[at], &heap->items[(at - 1) / 2])) {
            Proposal swapped = heap->items[at];
            heap->items[at] = heap->items[(at - 1) / 2];
            heap->items[(at - 1) / 2] = swapped;
            at = (at - 1) / 2;
        }
    } else if (worse(&heap->items[0], proposal)) {
        heap->items[0] = *proposal;
        sink(heap, 0);
    }
}

static int best_first(const void *left, const void *right) {
    return worse(left, right) ? 1 : -1;
}

/* The likeliest tokens that can stand in the unit's place. */
static limn_status collect(Proposals *proposals, int32_t unit, const float *logits) {
    const Unit *word = &proposals->units->items[unit];
    int32_t width = proposals->model->config.n_vocab;
    const TokenMemo *first = token_memo(proposals, proposals->prompt->ids[word->begin]);
    double total = log_sum_exp(logits, width);
    double least = (double)logits[logit_argmax(logits, width)] + least_share;
    Heap heap = {ARENA_ARRAY(proposals->call->arena, Proposal, MOST_PROPOSALS), 0};
    if (heap.items == NULL) {
        return method_no_memory(proposals->call);
    }
    for (int32_t id = 0; id < width; id++) {
        if ((double)logits[id] < least) {
            continue;
        }
        const TokenMemo *memo = token_memo(proposals, id);
        if (memo->text.length > 0 && memo->spaced == first->spaced && word_kinds_match(&memo->kind, &word->kind)) {
            offer(&heap, &(Proposal){id, memo->text, (double)logits[id] - total});
        }
    }
    qsort(heap.items, (size_t)heap.n, sizeof *heap.items, best_first);
    proposals->of[unit] = (WordProposals){heap.items, heap.n};
    return LIMN_OK;
}

/* ---- a causal model: the row before the word ---- */

/* Rows [begin, end) of the prompt, on top of those before; reads the proposals of words that begin behind one of them.
 */
static limn_status run_rows(Proposals *proposals, int32_t begin, int32_t end) {
    MethodCall *call = proposals->call;
    const Units *units = proposals->units;
    OutputRow *outputs = ARENA_ARRAY(call->arena, OutputRow, end - begin + 1);
    int32_t *unit_of = ARENA_ARRAY(call->arena, int32_t, end - begin + 1);
    if (outputs == NULL || unit_of == NULL) {
        return method_no_memory(call);
    }
    int32_t n = 0;
    for (int32_t u = 0; u < units->n; u++) {
        int32_t row = units->items[u].begin - 1;
        if (!units->items[u].fixed && row >= begin && row < end) {
            unit_of[n] = u;
            outputs[n++] = (OutputRow){.row = row - begin, .target = -1};
        }
    }
    int32_t cached = proposals->clean == NULL ? 0 : begin; /* without a cache all that came before runs again */
    for (int32_t i = 0; i < n; i++) {
        outputs[i].row += begin - cached;
    }
    SequenceInput sequence = {.ids = proposals->prompt->ids + cached,
                              .n = end - cached,
                              .prefix = cached > 0 ? proposals->clean : NULL,
                              .prefix_length = cached};
    RunRequest request = {.sequences = &sequence,
                          .n_sequences = 1,
                          .outputs = outputs,
                          .n_outputs = n,
                          .logits = n > 0,
                          .append = proposals->clean};
    TRY(engine_run(proposals->base, &request, call->progress));
    const float *logits = engine_logits(proposals->base);
    for (int32_t i = 0; i < n; i++) {
        TRY(collect(proposals, unit_of[i], logits + (size_t)i * (size_t)proposals->model->config.n_vocab));
    }
    return LIMN_OK;
}

static int32_t most_outputs(const Model *model) {
    return (int32_t)larger(1, LOGIT_BYTES_MAX / ((int64_t)model->config.n_vocab * (int64_t)sizeof(float)));
}

static limn_status propose_from_left(Proposals *proposals) {
    int32_t n = proposals->prompt->n;
    ErrorState before;
    error_save(&before);
    limn_status status = engine_cache_new(&proposals->clean, proposals->base, n);
    if (status == LIMN_NO_MEMORY) {
        proposals->clean = NULL; /* a luxury under a limit */
        error_restore(&before);
    } else {
        TRY(status);
    }
    int32_t step = (int32_t)smaller(RUN_ROWS, most_outputs(proposals->model));
    for (int32_t begin = 0; begin < n; begin += step) {
        TRY(run_rows(proposals, begin, (int32_t)smaller(n, begin + step)));
    }
    return LIMN_OK;
}

/* ---- a masked model: a mask in the word's place ---- */

static limn_status mask_sequence(SequenceInput *sequence, const Proposals *proposals, int32_t unit) {
    const Prompt *prompt = proposals->prompt;
    const Unit *word = &proposals->units->items[unit];
    Arena *arena = proposals->call->arena;
    int32_t behind = prompt->n - word->end;
    int32_t *ids = ARENA_ARRAY(arena, int32_t, prompt->n + 1);
    int32_t *types = prompt->types == NULL ? NULL : ARENA_ARRAY(arena, int32_t, prompt->n + 1);
    if (ids == NULL || (types == NULL && prompt->types != NULL)) {
        return method_no_memory(proposals->call);
    }
    memcpy(ids, prompt->ids, (size_t)word->begin * sizeof *ids);
    ids[word->begin] = tokenizer_special(proposals->model->tokenizer, SPECIAL_MASK);
    memcpy(ids + word->begin + 1, prompt->ids + word->end, (size_t)behind * sizeof *ids);
    if (types != NULL) {
        memcpy(types, prompt->types, (size_t)(word->begin + 1) * sizeof *types);
        memcpy(types + word->begin + 1, prompt->types + word->end, (size_t)behind * sizeof *types);
    }
    *sequence = (SequenceInput){.ids = ids, .types = types, .n = word->begin + 1 + behind};
    return LIMN_OK;
}

static limn_status run_masks(Proposals *proposals, const int32_t *units, int32_t n) {
    MethodCall *call = proposals->call;
    SequenceInput *sequences = ARENA_ARRAY(call->arena, SequenceInput, n + 1);
    OutputRow *outputs = ARENA_ARRAY(call->arena, OutputRow, n + 1);
    if (sequences == NULL || outputs == NULL) {
        return method_no_memory(call);
    }
    for (int32_t i = 0; i < n; i++) {
        TRY(mask_sequence(&sequences[i], proposals, units[i]));
        outputs[i] = (OutputRow){.sequence = i, .row = proposals->units->items[units[i]].begin, .target = -1};
    }
    RunRequest request = {.sequences = sequences, .n_sequences = n, .outputs = outputs, .n_outputs = n, .logits = true};
    TRY(engine_run(proposals->base, &request, call->progress));
    const float *logits = engine_logits(proposals->base);
    for (int32_t i = 0; i < n; i++) {
        TRY(collect(proposals, units[i], logits + (size_t)i * (size_t)proposals->model->config.n_vocab));
    }
    return LIMN_OK;
}

static limn_status propose_by_mask(Proposals *proposals) {
    const Units *units = proposals->units;
    int32_t *chosen = ARENA_ARRAY(proposals->call->arena, int32_t, units->n + 1);
    if (chosen == NULL) {
        return method_no_memory(proposals->call);
    }
    int32_t n = 0;
    for (int32_t u = 0; u < units->n; u++) {
        if (!units->items[u].fixed) {
            chosen[n++] = u;
        }
    }
    int32_t step = (int32_t)smaller(most_outputs(proposals->model), larger(1, RUN_ROWS / proposals->prompt->n));
    for (int32_t done = 0; done < n; done += step) {
        TRY(run_masks(proposals, chosen + done, (int32_t)smaller(step, n - done)));
    }
    return LIMN_OK;
}

limn_status proposals_new(Proposals **proposals, MethodCall *call, Engine *base, const Prompt *prompt,
                          const Units *units) {
    const Model *model = engine_model(base);
    *proposals = calloc(1, sizeof **proposals);
    if (*proposals == NULL) {
        return method_no_memory(call);
    }
    **proposals = (Proposals){.call = call, .base = base, .model = model, .prompt = prompt, .units = units};
    (*proposals)->of = ARENA_ARRAY(call->arena, WordProposals, units->n + 1);
    (*proposals)->memo = calloc((size_t)model->config.n_vocab + 1, sizeof(TokenMemo));
    limn_status status = LIMN_OK;
    if ((*proposals)->of == NULL || (*proposals)->memo == NULL) {
        status = method_no_memory(call);
    } else {
        status = model->config.task == TASK_MASKED_LM ? propose_by_mask(*proposals) : propose_from_left(*proposals);
    }
    if (status != LIMN_OK) {
        proposals_free(*proposals);
        *proposals = NULL;
    }
    return status;
}

/* ---- how well the text goes on ---- */

/* Tokens behind the word that judge it: the next few, none of them special. */
static int32_t right_tokens(const Proposals *proposals, const Rewritten *made) {
    int32_t n = 0;
    while (n < RIGHT_TOKENS && made->end + n < made->n &&
           !tokenizer_is_special(proposals->model->tokenizer, made->ids[made->end + n])) {
        n++;
    }
    return n;
}

static int32_t shared_rows(const Proposals *proposals, const Rewritten *made) {
    if (proposals->clean == NULL || !model_lengths_alike(&proposals->model->config, proposals->prompt->n, made->n)) {
        return 0;
    }
    int32_t n = 0;
    while (n < made->begin && n < proposals->prompt->n && made->ids[n] == proposals->prompt->ids[n]) {
        n++;
    }
    return n;
}

/* Mass of the tokens that begin a new word, or no word at all. */
static double begins_word(Proposals *proposals, const float *logits) {
    int32_t width = proposals->model->config.n_vocab;
    double total = log_sum_exp(logits, width), sum = 0.0;
    for (int32_t id = 0; id < width; id++) {
        const TokenMemo *memo = token_memo(proposals, id);
        bool goes_on = !memo->spaced && (memo->kind.class == WORD_LETTERS || memo->kind.class == WORD_NUMBER ||
                                         memo->kind.class == WORD_CODE);
        sum += goes_on ? 0.0 : exp((double)logits[id] - total);
    }
    return log(fmax(sum, 1e-30));
}

typedef struct Fit {
    Proposals *proposals;
    const Rewritten *versions; /* [n] */
    double *fit;               /* [n] */
} Fit;

static BatchCost cost_of_fit(const void *context, int64_t i) {
    const Fit *work = context;
    const Rewritten *made = &work->versions[i];
    int64_t right = larger(1, right_tokens(work->proposals, made));
    return (BatchCost){.rows = made->end + right - 1 - shared_rows(work->proposals, made), .outputs = right};
}

static void read_fits(const Fit *work, const int64_t *cases, int64_t n) {
    int32_t width = work->proposals->model->config.n_vocab;
    const float *logits = engine_logits(work->proposals->base);
    for (int64_t i = 0; i < n; i++) {
        const Rewritten *made = &work->versions[cases[i]];
        int32_t right = right_tokens(work->proposals, made);
        double fit = right == 0 ? begins_word(work->proposals, logits) : 0.0;
        for (int32_t k = 0; k < right; k++) {
            const float *row = logits + (size_t)k * (size_t)width;
            fit += (double)row[made->ids[made->end + k]] - log_sum_exp(row, width);
        }
        work->fit[cases[i]] = fit;
        logits += (size_t)larger(1, right) * (size_t)width;
    }
}

static limn_status run_fits(void *context, const int64_t *cases, int64_t n, const Progress *progress) {
    const Fit *work = context;
    Proposals *proposals = work->proposals;
    Arena arena;
    arena_init(&arena);
    SequenceInput *sequences = ARENA_ARRAY(&arena, SequenceInput, n + 1);
    OutputRow *outputs = ARENA_ARRAY(&arena, OutputRow, n * RIGHT_TOKENS + 1);
    int32_t n_outputs = 0;
    for (int64_t i = 0; i < n && sequences != NULL && outputs != NULL; i++) {
        const Rewritten *made = &work->versions[cases[i]];
        int32_t shared = shared_rows(proposals, made);
        int32_t right = (int32_t)larger(1, right_tokens(proposals, made));
        for (int32_t k = 0; k < right; k++) {
            outputs[n_outputs++] = (OutputRow){.sequence = (int32_t)i, .row = made->end - 1 + k - shared, .target = -1};
        }
        sequences[i] = (SequenceInput){.ids = made->ids + shared,
                                       .n = made->end + right - 1 - shared,
                                       .prefix = shared > 0 ? proposals->clean : NULL,
                                       .prefix_length = shared};
    }
    RunRequest request = {
        .sequences = sequences, .n_sequences = (int32_t)n, .outputs = outputs, .n_outputs = n_outputs, .logits = true};
    limn_status status = sequences == NULL || outputs == NULL ? method_no_memory(proposals->call)
                                                              : engine_run(proposals->base, &request, progress);
    if (status == LIMN_OK) {
        read_fits(work, cases, n);
    }
    arena_free(&arena);
    return status;
}

limn_status proposals_fit(Proposals *proposals, const Rewritten *versions, int32_t n, double *fit) {
    memset(fit, 0, (size_t)n * sizeof *fit);
    if (proposals->model->config.task == TASK_MASKED_LM || n == 0) {
        return LIMN_OK;
    }
    Fit work = {proposals, versions, fit};
    Batcher batcher = {.stage = "weigh other words",
                       .progress = proposals->call->progress,
                       .rows = RUN_ROWS,
                       .outputs = most_outputs(proposals->model)};
    BatchJob job = {.n = n, .context = &work, .cost = cost_of_fit, .run = run_fits};
    return batch_run(&batcher, &job);
}
