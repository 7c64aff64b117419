/* What an answer is made of: parts, and where their outputs stand in another prompt. */
#include "measure/answer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/integers.h"
#include "measure/answer_parts.h"

enum { ROWS_PER_RUN = 256, LOGIT_BYTES = 64 << 20 /* of one run */ };

limn_status answer_no_memory(const Answer *answer) {
    return method_no_memory(answer->call);
}

double answer_shape(AnswerShape shape, double sum, double *slope) {
    double value = sum;
    *slope = 1.0;
    switch (shape) {
    case SHAPE_SUM:
        break;
    case SHAPE_EXP:
        value = exp(sum);
        *slope = value;
        break;
    case SHAPE_ODDS: {
        double rest = -expm1(sum); /* 1 - p */
        value = sum - log(rest);
        *slope = 1.0 / rest;
        break;
    }
    case SHAPE_LOG_SIGMOID:
        value = sum < 0.0 ? sum - log1p(exp(sum)) : -log1p(exp(-sum));
        *slope = 1.0 / (1.0 + exp(sum));
        break;
    case SHAPE_SIGMOID:
        value = 1.0 / (1.0 + exp(-sum));
        *slope = value / (1.0 + exp(sum));
        break;
    }
    return value;
}

/* ---- parts ---- */

static AnswerOutputs outputs_of(const Model *model, AnswerOutputs asked) {
    static const AnswerOutputs by_rule[] = {
        [OUTPUT_ONE_OF] = ANSWER_ONE_OF, [OUTPUT_EACH] = ANSWER_EACH, [OUTPUT_VALUE] = ANSWER_NUMBER};
    bool given = asked != ANSWER_OUTPUTS_BY_MODEL || model->config.task != TASK_CLASSIFIER;
    return given ? asked : by_rule[model->config.outputs];
}

static bool is_classifier(const Answer *answer) {
    return answer->model->config.task == TASK_CLASSIFIER;
}

static limn_status check_options(const Answer *answer) {
    const AnswerOptions *options = &answer->options;
    int32_t of_target = answer->target->n, of_contrast = answer->contrast == NULL ? 0 : answer->contrast->n;
    bool logit = options->metric == ANSWER_LOGIT || options->metric == ANSWER_LOGIT_DIFF;
    if (logit && (of_target > 1 || of_contrast > 1)) {
        return fail(LIMN_USAGE, "a logit belongs to a single token; the target has %d and the contrast %d", of_target,
                    of_contrast);
    }
    if (options->metric == ANSWER_LOGIT_DIFF && answer->contrast == NULL) {
        return fail(LIMN_USAGE, "--metric logit-diff needs --contrast TEXT");
    }
    if (options->each && (options->metric == ANSWER_PROB || answer->contrast != NULL)) {
        return fail(LIMN_USAGE, "--matrix shows log-probabilities token by token: no --contrast, no --metric prob");
    }
    if (answer->outputs == ANSWER_NUMBER && (answer->contrast != NULL || (!logit && options->metric != ANSWER_LEAD))) {
        return fail(LIMN_USAGE,
                    "%s gives one number, which has no probability and no contrast; expected --metric logit",
                    answer->model->path);
    }
    return LIMN_OK;
}

static Objective objective_of(const Answer *answer) {
    AnswerMetric metric = answer->options.metric;
    bool logit = metric == ANSWER_LOGIT || metric == ANSWER_LOGIT_DIFF || answer->outputs == ANSWER_EACH ||
                 answer->outputs == ANSWER_NUMBER || (metric == ANSWER_LEAD && is_classifier(answer));
    return logit ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB;
}

static AnswerShape shape_of(const Answer *answer) {
    AnswerMetric metric = answer->options.metric;
    if (answer->outputs == ANSWER_EACH) {
        return metric == ANSWER_PROB                               ? SHAPE_SIGMOID
               : metric == ANSWER_LOG_PROB || metric == ANSWER_NLL ? SHAPE_LOG_SIGMOID
                                                                   : SHAPE_SUM;
    }
    if (metric == ANSWER_PROB && answer->objective == OBJECTIVE_LOG_PROB) {
        return SHAPE_EXP;
    }
    bool odds = metric == ANSWER_LEAD && answer->contrast == NULL && !is_classifier(answer);
    return odds ? SHAPE_ODDS : SHAPE_SUM;
}

/* Ids [first, first + n) of a target. */
static limn_status add_part(Answer *answer, const Target *target, int32_t first, int32_t n, double factor) {
    Part *part = &answer->parts[answer->n_parts++];
    float *weights = ARENA_ARRAY(&answer->arena, float, n + 1);
    if (weights == NULL) {
        return answer_no_memory(answer);
    }
    for (int32_t k = 0; k < n; k++) {
        weights[k] = 1.0f;
    }
    *part = (Part){.n = n,
                   .ids = target->ids + first,
                   .rows = target->rows + first,
                   .weights = weights,
                   .contrast = target == answer->contrast,
                   .tail = target->sequence + answer->prompt->n,
                   .n_tail = target->n_sequence - answer->prompt->n,
                   .inside = -1,
                   .factor = factor,
                   .shape = shape_of(answer)};
    return LIMN_OK;
}

static bool same_row(const Target *a, const Target *b) {
    return a->n == 1 && b->n == 1 && a->rows[0] == b->rows[0];
}

/* Target and contrast at one row of one pass: two outputs, weights +1 and -1. */
static limn_status join_contrast(Answer *answer) {
    Part *part = &answer->parts[0];
    int32_t *ids = ARENA_ARRAY(&answer->arena, int32_t, 2), *rows = ARENA_ARRAY(&answer->arena, int32_t, 2);
    float *weights = ARENA_ARRAY(&answer->arena, float, 2);
    if (ids == NULL || rows == NULL || weights == NULL) {
        return answer_no_memory(answer);
    }
    ids[0] = answer->target->ids[0];
    ids[1] = answer->contrast->ids[0];
    rows[0] = rows[1] = answer->target->rows[0];
    weights[0] = 1.0f;
    weights[1] = -1.0f;
    part->ids = ids;
    part->rows = rows;
    part->weights = weights;
    part->n = 2;
    return LIMN_OK;
}

/* A pass without gradients may read the one part's outputs from the other's sequence, where that begins with its own.
 */
static void nest_parts(Answer *answer) {
    for (int32_t p = 0; p < answer->n_parts; p++) {
        for (int32_t q = 0; q < answer->n_parts && answer->model->config.causal; q++) {
            const Part *own = &answer->parts[p], *other = &answer->parts[q];
            bool before = own->n_tail < other->n_tail || (own->n_tail == other->n_tail && q < p);
            bool alike = model_lengths_alike(&answer->model->config, answer->prompt->n + own->n_tail,
                                             answer->prompt->n + other->n_tail);
            if (before && alike && other->inside < 0 &&
                memcmp(own->tail, other->tail, (size_t)own->n_tail * sizeof *own->tail) == 0) {
                answer->parts[p].inside = q;
                break;
            }
        }
    }
}

static limn_status build_parts(Answer *answer) {
    const Target *target = answer->target;
    AnswerMetric metric = answer->options.metric;
    double factor = metric == ANSWER_NLL ? -1.0 : 1.0;
    factor /= target->kind == TARGET_SPAN ? (double)target->n : 1.0; /* a span's mean */
    answer->parts = ARENA_ARRAY(&answer->arena, Part, target->n + 1);
    if (answer->parts == NULL) {
        return answer_no_memory(answer);
    }
    if (answer->options.each) {
        for (int32_t i = 0; i < target->n; i++) {
            TRY(add_part(answer, target, i, 1, factor));
        }
    } else {
        TRY(add_part(answer, target, 0, target->n, factor));
        bool linear = metric != ANSWER_PROB && answer->parts[0].shape == SHAPE_SUM;
        if (answer->contrast != NULL && linear && same_row(target, answer->contrast)) {
            TRY(join_contrast(answer));
        } else if (answer->contrast != NULL) {
            TRY(add_part(answer, answer->contrast, 0, answer->contrast->n, -factor));
        }
    }
    nest_parts(answer);
    return LIMN_OK;
}

bool answer_needs_logits(const Answer *answer) {
    bool lead = answer->options.metric == ANSWER_LEAD;
    return (is_classifier(answer) && lead) || (answer->contrast == NULL && (answer->options.decision || lead));
}

bool answer_leads_class(const Answer *answer) {
    return is_classifier(answer) && answer->outputs == ANSWER_ONE_OF && answer->options.metric == ANSWER_LEAD &&
           answer->contrast == NULL;
}

static limn_status fill(Answer *answer) {
    TRY(check_options(answer));
    answer->objective = objective_of(answer);
    TRY(build_parts(answer));
    answer->batcher = (Batcher){.stage = answer->options.stage,
                                .progress = answer->call->progress,
                                .rows = answer->options.rows > 0 ? answer->options.rows : ROWS_PER_RUN};
    if (answer_needs_logits(answer) && !is_classifier(answer)) {
        answer->batcher.outputs =
            larger(1, LOGIT_BYTES / (int64_t)sizeof(float) / larger(1, answer->model->config.n_vocab));
    }
    return LIMN_OK;
}

limn_status answer_new(Answer **answer, MethodCall *call, Engine *engine, const Prompt *prompt, const Target *target,
                       const Target *contrast, const AnswerOptions *options) {
    *answer = calloc(1, sizeof **answer);
    if (*answer == NULL) {
        return method_no_memory(call);
    }
    Answer *made = *answer;
    made->call = call;
    made->engine = engine;
    made->model = engine_model(engine);
    made->prompt = prompt;
    made->target = target;
    made->contrast = contrast != NULL && contrast->kind != TARGET_NONE ? contrast : NULL;
    made->options = *options;
    made->outputs = outputs_of(made->model, options->outputs);
    arena_init(&made->arena);
    arena_init(&made->scratch);
    limn_status status = fill(made);
    if (status != LIMN_OK) {
        answer_free(made);
        *answer = NULL;
    }
    return status;
}

void answer_free(Answer *answer) {
    if (answer == NULL) {
        return;
    }
    kv_cache_free(answer->cache);
    free(answer->embeddings);
    arena_free(&answer->arena);
    arena_free(&answer->scratch);
    free(answer);
}

AnswerMetric answer_metric(const Answer *answer) {
    return answer->options.metric;
}

int32_t answer_n_parts(const Answer *answer) {
    return answer->n_parts;
}

Batcher *answer_batcher(Answer *answer) {
    return &answer->batcher;
}

int32_t answer_reach(const Answer *answer) {
    const ModelConfig *config = &answer->model->config;
    int32_t longest = 0, n = answer->prompt->n;
    for (int32_t p = 0; p < answer->n_parts; p++) {
        const Part *part = &answer->parts[p];
        int32_t last = 0, whole = n + part->n_tail;
        for (int32_t k = 0; k < part->n; k++) {
            last = part->rows[k] > last ? part->rows[k] : last;
        }
        int32_t length = config->causal && model_lengths_alike(config, last + 1, whole) ? last + 1 : whole;
        longest = length > longest ? length : longest;
    }
    return longest < n ? longest : n;
}

int32_t answer_first_output(const Answer *answer) {
    int32_t first = answer->prompt->n - 1;
    for (int32_t p = 0; p < answer->n_parts; p++) {
        for (int32_t k = 0; k < answer->parts[p].n; k++) {
            first = (int32_t)smaller(first, answer->parts[p].rows[k]);
        }
    }
    return first;
}

/* ---- another prompt ---- */

/* The mask that is as many masks from the beginning as the prompt's at `row`. */
static limn_status place_of_mask(const Answer *answer, int32_t row, const int32_t *ids, int32_t n, int32_t *place) {
    int32_t mask = answer->prompt->ids[row], before = 0, found = 0;
    for (int32_t i = 0; i < row; i++) {
        before += answer->prompt->ids[i] == mask;
    }
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] == mask && found++ == before) {
            *place = i;
            return LIMN_OK;
        }
    }
    return fail(LIMN_USAGE, "the changed prompt has %d mask tokens, expected at least %d: the answer stands at mask %d",
                found, before + 1, before + 1);
}

static bool is_masked_row(const Answer *answer, int32_t row) {
    const Model *model = answer->model;
    return model->config.task == TASK_MASKED_LM && row < answer->prompt->n && model->tokenizer != NULL &&
           answer->prompt->ids[row] == tokenizer_special(model->tokenizer, SPECIAL_MASK);
}

limn_status answer_place(const Answer *answer, int32_t row, const int32_t *ids, int32_t n, const uint8_t *mask,
                         int32_t common, int32_t *place) {
    const Prompt *prompt = answer->prompt;
    int32_t from_end = row + n - prompt->n;
    *place = from_end;
    if (row >= prompt->n - 1 && !is_masked_row(answer, row) && !is_classifier(answer)) {
        return LIMN_OK; /* behind the end, wherever that is */
    }
    if (is_masked_row(answer, row)) {
        return place_of_mask(answer, row, ids, n, place);
    }
    if (is_classifier(answer) && row == answer_row(answer->model, prompt)) {
        Prompt changed = {.ids = (int32_t *)(uintptr_t)ids, .mask = (uint8_t *)(uintptr_t)mask, .n = n}; /* only read */
        *place = answer_row(answer->model, &changed);
        return LIMN_OK;
    }
    if (row < common) {
        *place = row;
        return LIMN_OK;
    }
    int32_t told = answer->target->kind == TARGET_SPAN ? 1 : 0; /* a word of the prompt stands behind its row */
    return from_end >= 0 && from_end + told < n && ids[from_end + told] == prompt->ids[row + told]
               ? LIMN_OK
               : fail(LIMN_USAGE,
                      "the changed prompt has another token where the answer is read, at position %d of the "
                      "prompt; expected changes elsewhere",
                      row);
}

const char *answer_unit(const MethodCall *call, AnswerMetric metric) {
    static const char *const english[] = {
        "log-probability",        "probability", "logit", "logit difference", "negative log-likelihood",
        "lead in log-probability"};
    static const char *const chinese[] = {"对数概率", "概率", "logit", "logit 之差", "负对数似然", "对数概率的领先"};
    return SAY(call, english, chinese)[metric];
}
