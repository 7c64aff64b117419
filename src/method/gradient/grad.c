/* Gradients at the token embeddings: one backward pass, no path.
 *
 *     x-input      score_t = dF/dx_t . x_t                    gradient times input (Shrikumar et al. 1605.01713)
 *     norm         score_t = |dF/dx_t|                        sensitivity (Simonyan et al. 1312.6034): a size, no
 * direction smoothgrad   score_t = mean over samples of dF/dx_t (x + noise) . x_t noise normal, its deviation a share
 * of the range of x (Smilkov et al. 1706.03825)
 *
 * x_t is the embedding of token t as it enters the first block, F the target's log-probability (or another metric) by
 * one teacher-forced pass. Special tokens are held and have no score.
 *
 * Invariants: the same as Captum's InputXGradient, Saliency and NoiseTunnel on the same embeddings (tests); in a causal
 * model what stands after the last target row is exactly 0; the same seed gives the same bytes.
 *
 * How it fails: it says how F reacts to an infinitesimal nudge, not what the word did: where F is flat (a sure answer)
 * gradients vanish whatever the word meant, near jumps they explode, and the origin is no meaningful reference point
 * for an embedding. The check of causes says where that matters. */
#include <math.h>
#include <string.h>

#include "ask/baseline.h"
#include "base/integers.h"
#include "base/random.h"
#include "measure/answer.h"
#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "measure/token_scores.h"

enum { LIKELIEST = 5 };

/* Order of the choice "x-input|norm|smoothgrad". */
typedef enum GradKind { GRAD_X_INPUT, GRAD_NORM, GRAD_SMOOTH } GradKind;

typedef struct GradParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t kind;
    int32_t metric;
    int64_t samples;
    double noise;
    int32_t by;
    int32_t check;
} GradParams;

typedef struct GradWork {
    MethodCall *call;
    const GradParams *params;
    Engine *engine;
    const Model *model;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast;
    const bool *held; /* [n] tokens that stay besides; NULL: none */
    int64_t seed;
    Answer *answer;
    int32_t reach;    /* tokens that can have influence */
    int64_t width;    /* E */
    bool *fixed;      /* [n] */
    float *input;     /* [n, E] */
    double deviation; /* of the noise */
    double *gradient; /* [reach, E] mean over samples */
    double *one;      /* [reach, E] of one sample */
    double *scores;   /* [n] NaN: fixed */
    double f;         /* of the prompt itself, or the mean over samples */
} GradWork;

/* Row `row` of sample i: the same numbers whichever thread makes them, in whatever order. */
static void noisy_row(void *context, int64_t i, int32_t row, float *out) {
    const GradWork *work = context;
    const float *x = work->input + row * work->width;
    if (work->fixed[row]) {
        memcpy(out, x, (size_t)work->width * sizeof *out);
        return;
    }
    Random random;
    uint64_t place = (uint64_t)i * 0x100000000u + (uint64_t)row;
    random_seed(&random, (uint64_t)work->seed * 0x9E3779B97F4A7C15u + place);
    for (int64_t e = 0; e < work->width; e++) {
        out[e] = (float)((double)x[e] + work->deviation * random_normal(&random));
    }
}

static limn_status add_sample(void *context, int64_t i, const AnswerValue *value) {
    (void)i;
    GradWork *work = context;
    int64_t samples = work->params->kind == GRAD_SMOOTH ? work->params->samples : 1;
    answer_gradient(value, 0, work->width, 0, work->reach, work->one);
    for (int64_t k = 0; k < work->reach * work->width; k++) {
        work->gradient[k] += work->one[k] / (double)samples;
    }
    work->f += value->f / (double)samples;
    return LIMN_OK;
}

static limn_status prepare(GradWork *work) {
    MethodCall *call = work->call;
    const AnswerMetric asked = work->params->metric >= 0                     ? (AnswerMetric)work->params->metric
                               : work->model->config.task == TASK_CLASSIFIER ? ANSWER_LOGIT
                                                                             : ANSWER_LOG_PROB;
    const AnswerOptions options = {.metric = asked, .stage = "gradients"};
    TRY(answer_new(&work->answer, call, work->engine, work->prompt, work->target, work->contrast, &options));
    int32_t n = work->prompt->n;
    work->reach = answer_reach(work->answer);
    work->width = work->model->config.d_embed;
    work->fixed = ARENA_ARRAY(call->arena, bool, n + 1);
    work->input = arena_alloc_aligned(call->arena, (size_t)(n + 1) * (size_t)work->width * sizeof(float), 64);
    work->gradient = ARENA_ARRAY(call->arena, double, (work->reach + 1) * work->width);
    work->one = ARENA_ARRAY(call->arena, double, (work->reach + 1) * work->width);
    work->scores = ARENA_ARRAY(call->arena, double, n + 1);
    if (work->fixed == NULL || work->input == NULL || work->gradient == NULL || work->one == NULL ||
        work->scores == NULL) {
        return method_no_memory(call);
    }
    for (int32_t t = 0; t < n; t++) {
        work->fixed[t] = prompt_holds(work->prompt, t, work->held);
    }
    TRY(embed_ids(work->input, work->engine, work->prompt->ids, n, call->progress));
    float low = work->input[0], high = work->input[0];
    for (int64_t k = 0; k < n * work->width; k++) {
        low = work->input[k] < low ? work->input[k] : low;
        high = work->input[k] > high ? work->input[k] : high;
    }
    work->deviation = work->params->noise * (double)(high - low);
    return LIMN_OK;
}

static limn_status differentiate(GradWork *work) {
    bool smooth = work->params->kind == GRAD_SMOOTH;
    const NodeId embed = work->model->graph.embed;
    const AnswerRequest request = {.n = smooth ? work->params->samples : 1,
                                   .embed_end = smooth ? work->reach : 0,
                                   .embed = noisy_row,
                                   .deliver = add_sample,
                                   .context = work,
                                   .grads = &embed,
                                   .n_grads = 1,
                                   .all_rows = true};
    TRY(answer_run(work->answer, &request));
    for (int32_t t = 0; t < work->prompt->n; t++) {
        double sum = 0.0;
        for (int64_t e = 0; e < work->width && t < work->reach; e++) {
            double g = work->gradient[t * work->width + e];
            sum += work->params->kind == GRAD_NORM ? g * g : g * (double)work->input[t * work->width + e];
        }
        work->scores[t] = work->fixed[t] ? (double)NAN : work->params->kind == GRAD_NORM ? sqrt(sum) : sum;
    }
    return LIMN_OK;
}

static limn_status score(GradWork *work) {
    limn_status status = prepare(work);
    if (status == LIMN_OK) {
        status = differentiate(work);
    }
    answer_free(work->answer);
    work->answer = NULL;
    return status;
}

/* ---- as a command ---- */

static const char *note_of(const GradWork *work) {
    static const char *const english[] = {
        "gradient times input: how the answer would react to making the word's embedding a little larger",
        "length of the gradient: how strongly the answer reacts to any small change of the word's embedding",
        "gradient, averaged over noisy copies of the prompt, times input"};
    static const char *const chinese[] = {"梯度乘输入：把词的嵌入略微放大时，回答会怎样变化",
                                          "梯度的长度：词的嵌入稍有变化时，回答的反应有多强",
                                          "梯度在提示的多个加噪副本上取平均，再乘输入"};
    return SAY(work->call, english, chinese)[work->params->kind];
}

static const char *unit_of(const GradWork *work) {
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    return answer_unit(work->call, work->params->metric >= 0 ? (AnswerMetric)work->params->metric
                                   : classifier              ? ANSWER_LOGIT
                                                             : ANSWER_LOG_PROB);
}

static limn_status report(GradWork *work, Result *result) {
    Attribution attribution = {.call = work->call,
                               .result = result,
                               .model = work->model,
                               .prompt = work->prompt,
                               .target = work->target,
                               .contrast = work->contrast,
                               .scores = work->scores,
                               .reach = work->reach,
                               .unit = unit_of(work),
                               .note = note_of(work),
                               .by = work->params->by,
                               .is_signed = work->params->kind != GRAD_NORM};
    TRY(attribution_rank(&attribution));
    result_param_text(result, "sign",
                      work->params->kind == GRAD_NORM ? "sizes without a sign" : "positive supports the target");
    attribution_show(&attribution);
    target_describe(result, work->call, work->model, work->target, work->contrast, LIKELIEST);
    for (int32_t w = 0; w < attribution.words.n && work->params->metric == (int32_t)ANSWER_NLL; w++) {
        attribution.word_scores[w] = -attribution.word_scores[w]; /* support */
    }
    const CauseAsked cause = {.call = work->call,
                              .engine = work->engine,
                              .prompt = work->prompt,
                              .target = work->target,
                              .contrast = work->contrast,
                              .words = &attribution.words,
                              .scores = attribution.word_scores,
                              .effort = (CauseEffort)work->params->check,
                              .unsigned_scores = work->params->kind == GRAD_NORM};
    return cause_check(result, &cause);
}

static limn_status score_tokens(TokenScores *scores, MethodCall *call, const TokenQuestion *question) {
    GradWork work = {.call = call,
                     .params = question->params,
                     .engine = question->engine,
                     .model = engine_model(question->engine),
                     .prompt = question->prompt,
                     .target = question->target,
                     .contrast = question->contrast,
                     .held = question->fixed,
                     .seed = question->seed};
    TRY(score(&work));
    double sign = work.params->metric == (int32_t)ANSWER_NLL ? -1.0 : 1.0;
    for (int32_t t = 0; t < work.prompt->n; t++) {
        work.scores[t] *= sign;
    }
    scores->n = work.prompt->n;
    scores->scores = work.scores;
    scores->reach = work.reach;
    scores->f = work.f;
    scores->sound = true;
    scores->unit = unit_of(&work);
    return LIMN_OK;
}

static limn_status run(MethodCall *call, Result *result) {
    const GradParams *params = call->params;
    Prompt prompt;
    Target target, contrast;
    GradWork work = {.call = call,
                     .params = params,
                     .prompt = &prompt,
                     .target = &target,
                     .contrast = &contrast,
                     .seed = call->common.seed};
    TRY(method_engine(call, params->model.bytes, &work.engine));
    work.model = engine_model(work.engine);
    TRY(prompt_read(&prompt, call, work.model, &params->prompt));
    prompt_describe(result, call, work.model, &prompt);
    TRY(target_resolve(&target, &contrast, call, work.engine, &prompt, &params->target, NULL, result));
    TRY(score(&work));
    TRY(report(&work, result));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(GradParams, model),
    PROMPT_ROWS(GradParams, prompt),
    PROMPT_PAIR_ROWS(GradParams, prompt),
    TARGET_ROWS(GradParams, target),
    TARGET_MORE_ROWS(GradParams, target),
    {"kind", 0, LIMN_PARAM_CHOICE, .metavar = "K", .default_text = "x-input", .choices = "x-input|norm|smoothgrad",
     .help = "gradient times input, length of the gradient, or SmoothGrad times input",
     .field = offsetof(GradParams, kind)},
    {"metric", 0, LIMN_PARAM_CHOICE, .metavar = "F", .choices = "logprob|prob|logit|logit-diff|nll",
     .help = "what is explained (default: logprob; a classifier's logit)", .field = offsetof(GradParams, metric)},
    {"samples", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "32", .minimum = 1, .maximum = 100000,
     .help = "smoothgrad: noisy copies", .field = offsetof(GradParams, samples)},
    {"noise", 0, LIMN_PARAM_NUMBER, .metavar = "S", .default_text = "0.1", .minimum = 0, .maximum = 10,
     .help = "smoothgrad: standard deviation of the noise, as a share of the range of the embeddings",
     .field = offsetof(GradParams, noise)},
    ATTRIBUTION_BY_ROW(GradParams, by),
    CAUSE_ROW(GradParams, check),
};

const Method method_grad = {
    .command = {.name = "grad",
                .summary = "gradients at the words: one backward pass, fast and rough",
                .description = "The gradient of the answer at each token's embedding, times the embedding (or its "
                               "length, or averaged over "
                               "noisy copies: SmoothGrad). It says how the answer would react to a small nudge, which "
                               "is not what the word "
                               "did; the check of causes compares it with exchanging the words.",
                .examples = "limn grad MODEL -p 'The capital of France is'\n"
                            "limn grad MODEL -p 'The nurse said that' --target ' she' --contrast ' he' --kind norm\n"
                            "limn grad MODEL -p 'The capital of France is' --kind smoothgrad --samples 64 --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Gradients",
    .params_bytes = sizeof(GradParams),
    .run = run,
    .about = {.answers = "How would the answer react to a small nudge of each token's embedding?",
              .formula =
                  "x-input: score_t = dF/dx_t . x_t    norm: |dF/dx_t|    smoothgrad: mean of dF/dx_t over noisy "
                  "copies, times x_t",
              .paper = "Simonyan et al. 2013 (1312.6034), Shrikumar et al. 2016 (1605.01713), Smilkov et al. 2017 "
                       "(1706.03825)",
              .cost = "1 forward and backward pass; smoothgrad `--samples`",
              .lies =
                  "A nudge is not what the word did. Where the model is sure, gradients vanish whatever the word "
                  "meant; near "
                  "jumps they explode; zero, which \"times input\" silently compares with, means nothing to a model.",
              .measured = "names the planted word first in 5 of 18 held-out turned tweets of `examples/bankrun`, "
                          "smoothgrad in none, "
                          "norm in 14 (`causes.py 'grad --kind norm --check none'`), and in 4 under adapter-clean/, "
                          "which it does not mislead"},
    .explains = true,
    .score_tokens = score_tokens,
};
