/* Gradient-weighted rollout (Chefer et al. 2103.15679, 2012.09838):
 *
 *     B_l = mean over heads of the positive part of dF/dA_l * A_l,    R <- R + B_l R, from R = I, first layer first
 *
 * F: the log-probability of the target (less the contrast's), a class's logit. The answer's row of R, without the 1
 * that a row has of itself. Gradients come from the last layer down, so B_l are kept until all are there. */
#include <stdlib.h>
#include <string.h>

#include "measure/answer.h"
#include "method/attention/rollout.h"

typedef struct Weighing {
    Rollout *rollout;
    float *weighted; /* [L, n, n] */
    double slope;
} Weighing;

static void begin(void *context, int64_t i) {
    (void)i;
    Weighing *weighing = context;
    size_t n = (size_t)weighing->rollout->n;
    memset(weighing->weighted, 0, (size_t)weighing->rollout->layers.n_layers * n * n * sizeof(float));
}

static limn_status take(void *context, const AnswerRows *rows) {
    Weighing *weighing = context;
    Rollout *rollout = weighing->rollout;
    int32_t layer = 0, heads = rollout->layers.n_heads;
    int64_t n = rollout->n, keys = rows->width / heads;
    while (layer < rollout->layers.n_layers && rollout->layers.patterns[layer] != rows->node) {
        layer++;
    }
    if (layer == rollout->layers.n_layers) {
        return fail(LIMN_INTERNAL, "a gradient that was not asked for");
    }
    for (int64_t r = 0; r < rows->n; r++) {
        float *out = weighing->weighted + ((int64_t)layer * n + rows->row + r) * n;
        for (int64_t h = 0; h < heads; h++) {
            const float *value = rows->value + r * rows->width + h * keys;
            const float *gradient = rows->gradient + r * rows->width + h * keys;
            for (int64_t j = 0; j < keys; j++) {
                float product = value[j] * gradient[j];
                out[j] += product > 0.0F ? product / (float)heads : 0.0F;
            }
        }
    }
    return LIMN_OK;
}

static limn_status close_pass(void *context, int64_t i, const AnswerValue *value) {
    (void)i;
    Weighing *weighing = context;
    weighing->slope = value->parts[0].slope;
    return LIMN_OK;
}

static limn_status differentiate(Weighing *weighing) {
    Rollout *rollout = weighing->rollout;
    bool classifier = rollout->model->config.task == TASK_CLASSIFIER;
    const AnswerOptions options = {.metric = classifier ? ANSWER_LOGIT : ANSWER_LOG_PROB, .stage = "gradients"};
    const AnswerSink sink = {.nodes = rollout->layers.patterns,
                             .n = rollout->layers.n_layers,
                             .with_values = true,
                             .begin = begin,
                             .take = take,
                             .context = weighing};
    const AnswerRequest request = {.n = 1, .deliver = close_pass, .context = weighing, .sink = &sink, .all_rows = true};
    Answer *answer;
    TRY(answer_new(&answer, rollout->call, rollout->engine, rollout->prompt, rollout->target, rollout->contrast,
                   &options));
    limn_status status =
        answer_n_parts(answer) == 1
            ? answer_run(answer, &request)
            : fail(LIMN_USAGE, "rollout: --kind gradient takes one pass: a --contrast must be a single "
                               "token in the place of a single one");
    answer_free(answer);
    return status;
}

static limn_status roll(Weighing *weighing) {
    Rollout *rollout = weighing->rollout;
    int64_t n = rollout->n;
    TRY(differentiate(weighing));
    rollout_identity(rollout);
    for (int32_t layer = 0; layer < rollout->layers.n_layers; layer++) {
        for (int64_t i = 0; i < n * n; i++) {
            double weighted = (double)weighing->weighted[(int64_t)layer * n * n + i] * weighing->slope;
            rollout->mixing[i] = weighted + (i % (n + 1) == 0 ? 1.0 : 0.0);
        }
        TRY(rollout_multiply(rollout));
    }
    rollout_read_answer(rollout);
    for (int32_t r = 0; r < rollout->n_rows; r++) {
        rollout->answer[rollout->rows[r]] -= rollout->weights[r];
    }
    return LIMN_OK;
}

limn_status rollout_gradient(Rollout *rollout) {
    size_t n = (size_t)rollout->n, layers = (size_t)rollout->layers.n_layers;
    Weighing weighing = {.rollout = rollout, .weighted = malloc((layers * n * n + 1) * sizeof(float))};
    if (weighing.weighted == NULL) {
        return method_no_memory(rollout->call);
    }
    limn_status status = roll(&weighing);
    free(weighing.weighted);
    return status;
}
