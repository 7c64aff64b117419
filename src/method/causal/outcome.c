#include "method/causal/outcome.h"

#include <math.h>

#include "measure/distribution.h"

static limn_status check_single(const Outcome *outcome, const MethodCall *call, const Target *target,
                                const Target *contrast) {
    return target->n == 1 && (contrast->kind == TARGET_NONE || contrast->n == 1)
               ? LIMN_OK
               : fail(LIMN_USAGE,
                      "%s: option 'metric': %s compares single tokens, the target has %d and the contrast %d; "
                      "expected logprob or prob",
                      call->method->command.name, outcome_name(outcome->metric), (int)target->n, (int)contrast->n);
}

bool outcome_has_shares(const Model *model) {
    return model->config.task != TASK_CLASSIFIER ||
           (model->config.outputs == OUTPUT_ONE_OF && model->config.n_classes > 1);
}

limn_status outcome_check(OutcomeMetric metric, const char *command, const Model *model) {
    if (outcome_has_shares(model) || metric == OUTCOME_LOGIT ||
        (metric == OUTCOME_LOGIT_DIFF && model->config.n_classes > 1)) {
        return LIMN_OK;
    }
    return fail(LIMN_USAGE, "%s: option 'metric': found %s, but the outputs of %s are no shares of one; expected logit",
                command, outcome_name(metric), model->path);
}

limn_status outcome_choose(Outcome *outcome, const MethodCall *call, const Model *model, const Target *target,
                           const Target *contrast, int32_t asked) {
    const char *name = call->method->command.name;
    bool shares = outcome_has_shares(model);
    outcome->width = target->n_outputs;
    outcome->metric = asked >= 0      ? (OutcomeMetric)asked
                      : !shares       ? OUTCOME_LOGIT
                      : target->n > 1 ? OUTCOME_LOG_PROB
                                      : OUTCOME_LOGIT_DIFF;
    TRY(outcome_check(outcome->metric, name, model));
    bool single = outcome->metric == OUTCOME_LOGIT_DIFF || outcome->metric == OUTCOME_LOGIT;
    if (!single && contrast->kind != TARGET_NONE) {
        return fail(LIMN_USAGE, "%s: option 'contrast' goes with --metric logit-diff", name);
    }
    return single ? check_single(outcome, call, target, contrast) : LIMN_OK;
}

limn_status outcome_choose_contrast(Target *contrast, MethodCall *call, const Target *target, const float *logits) {
    int32_t ids[2];
    logit_top(ids, 2, logits, target->n_outputs);
    *contrast = *target;
    contrast->ids = ARENA_ARRAY(call->arena, int32_t, 1);
    contrast->log_probabilities = ARENA_ARRAY(call->arena, double, 1);
    if (contrast->ids == NULL || contrast->log_probabilities == NULL) {
        return method_no_memory(call);
    }
    int32_t id = ids[0] == target->ids[0] ? ids[1] : ids[0];
    contrast->ids[0] = id;
    contrast->text = (Text){0};
    contrast->chosen = false;
    contrast->logit = (double)target->first_logits[id];
    contrast->rank = logit_rank(target->first_logits, target->n_outputs, id);
    contrast->log_probability = contrast->logit - log_sum_exp(target->first_logits, target->n_outputs);
    contrast->log_probabilities[0] = contrast->log_probability;
    return LIMN_OK;
}

Seed outcome_seed(const Outcome *outcome, const Model *model) {
    Seed seed = {.node = model->graph.logits};
    switch (outcome->metric) {
    case OUTCOME_LOGIT_DIFF:
        seed.kind = SEED_DIFFERENCE;
        seed.contrasts = (IdSets){.ids = &outcome->contrast, .n = 1};
        break;
    case OUTCOME_LOGIT:
        seed.kind = SEED_LOGIT;
        break;
    case OUTCOME_KL:
        seed.kind = SEED_KL;
        seed.values = outcome->reference;
        seed.row_stride = outcome->width;
        break;
    case OUTCOME_PROB:
    case OUTCOME_LOG_PROB:
        seed.kind = SEED_LOG_PROB;
        break;
    }
    return seed;
}

double outcome_value(const Outcome *outcome, const float *f, int32_t n) {
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        sum += (double)f[i];
    }
    return outcome->metric == OUTCOME_PROB ? exp(sum) : sum;
}

static double divergence(const float *reference, const float *row, int32_t n) {
    double log_p = log_sum_exp(row, n), log_q = log_sum_exp(reference, n), sum = 0;
    for (int32_t v = 0; v < n; v++) {
        double q = (double)reference[v] - log_q;
        sum += exp(q) * (q - ((double)row[v] - log_p));
    }
    return sum;
}

double outcome_of_logits(const Outcome *outcome, const int32_t *ids, int32_t n, const float *logits) {
    int32_t width = (int32_t)outcome->width;
    double sum = 0;
    for (int32_t i = 0; i < n; i++) {
        const float *row = logits + i * outcome->width;
        switch (outcome->metric) {
        case OUTCOME_LOGIT_DIFF:
            sum += (double)row[ids[i]] - (double)row[outcome->contrast];
            break;
        case OUTCOME_LOGIT:
            sum += (double)row[ids[i]];
            break;
        case OUTCOME_KL:
            sum += divergence(outcome->reference + i * outcome->width, row, width);
            break;
        case OUTCOME_PROB:
        case OUTCOME_LOG_PROB:
            sum += (double)row[ids[i]] - log_sum_exp(row, width);
            break;
        }
    }
    return outcome->metric == OUTCOME_PROB ? exp(sum) : sum;
}

const char *outcome_name(OutcomeMetric metric) {
    static const char *const names[] = {"logit-diff", "prob", "logprob", "logit", "kl"};
    return names[metric];
}

const char *outcome_text(const MethodCall *call, const Outcome *outcome) {
    switch (outcome->metric) {
    case OUTCOME_LOGIT_DIFF:
        return SAY(call, "difference of logits", "logit 之差");
    case OUTCOME_PROB:
        return SAY(call, "probability", "概率");
    case OUTCOME_LOG_PROB:
        return SAY(call, "log-probability", "对数概率");
    case OUTCOME_LOGIT:
        return SAY(call, "logit", "logit");
    case OUTCOME_KL:
        return SAY(call, "KL divergence from the clean run", "与原提示运行的 KL 散度");
    }
    return "";
}
