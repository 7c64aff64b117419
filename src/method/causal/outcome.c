#include "method/causal/outcome.h"

#include <math.h>

#include "measure/distribution.h"

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
