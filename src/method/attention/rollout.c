/* Attention rollout: how much of each input token a row can have got through all layers' attention (Abnar and Zuidema
 * 2005.00928).
 *
 *     M_l = rows of (mean over heads of A_l + r I) divided by their sums,    R = M_L ... M_2 M_1
 *
 * r is the weight of a row's own stream: 1 counts it as much as all of attention, as the paper does; smaller ones let
 * more mixing through. The answer's row of R (the mean over rows of an answer of several tokens; of a bare encoder what
 * its sentence embedding is made of) scores the prompt's tokens.
 *
 * Kinds that weigh attention by what it carries or brings are in files of their own: rollout_values.c (value,
 * ALTI-Logit), rollout_gradient.c (Chefer), rollout_flow.c (maximum flow).
 *
 * Invariants (checked): rows of R sum to 1; in a causal model nothing comes from behind. Equal to PyTorch's product of
 * Hugging Face's attentions (tests/oracle/attention).
 *
 * How it fails: attention says where a head looked, not what it took from there nor whether the answer hangs on it:
 * values may be tiny, MLPs and signs do not occur, and the target is not asked for at all, so two answers of one place
 * have the same rollout. Tokens that everything rests on (the first one, [CLS], [SEP]) take much of it. The check of
 * causes says what exchanging the words does; it is advisory here. */
#include <math.h>

#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "measure/token_scores.h"
#include "method/attention/rollout.h"

static limn_status score_tokens(TokenScores *scores, MethodCall *call, const TokenQuestion *question) {
    Rollout rollout = {.call = call,
                       .params = question->params,
                       .engine = question->engine,
                       .model = engine_model(question->engine),
                       .prompt = question->prompt,
                       .target = question->target,
                       .contrast = question->contrast,
                       .held = question->fixed};
    TRY(rollout_compute(&rollout));
    scores->n = rollout.prompt->n;
    scores->scores = rollout.scores;
    scores->reach = rollout.reach;
    scores->sound = true;
    static const char *const units[] = {"attention", "relevance", "attention", "logit", "flow"};
    scores->unit = units[rollout.params->kind];
    return LIMN_OK;
}

static bool names_target(const TargetParams *target) {
    return target->target.bytes != NULL || target->target_id != PARAM_NO_INTEGER || target->class_name.bytes != NULL ||
           target->target_text.bytes != NULL || target->target_span.bytes != NULL || target->contrast.bytes != NULL;
}

static limn_status run(MethodCall *call, Result *result) {
    const RolloutParams *params = call->params;
    Prompt prompt;
    Target target, contrast;
    ValuesFile values;
    Rollout rollout = {.call = call, .params = params, .prompt = &prompt};
    TRY(values_file_open(&values, call, &params->values));
    TRY(method_engine(call, params->model.bytes, &rollout.engine));
    rollout.model = engine_model(rollout.engine);
    TRY(prompt_read(&prompt, call, rollout.model, &params->prompt));
    prompt_describe(result, call, rollout.model, &prompt);
    if (rollout.model->config.task != TASK_ENCODER || names_target(&params->target)) {
        TRY(target_resolve(&target, &contrast, call, rollout.engine, &prompt, &params->target, NULL, result));
        rollout.target = &target;
        rollout.contrast = &contrast;
    }
    TRY(rollout_compute(&rollout));
    TRY(rollout_report(&rollout, result, &values));
    TRY(values_file_write(&values, rollout.model));
    return result_status(result);
}

static const limn_param rows[] = {
    MODEL_ROW(RolloutParams, model),
    PROMPT_ROWS(RolloutParams, prompt),
    PROMPT_PAIR_ROWS(RolloutParams, prompt),
    TARGET_ROWS(RolloutParams, target),
    TARGET_MORE_ROWS(RolloutParams, target),
    {"kind", 0, LIMN_PARAM_CHOICE, .metavar = "K", .default_text = "plain", .choices = "plain|gradient|value|alti|flow",
     .help = "plain; attention weighted by the answer's gradient (Chefer), or by the values it carries; ALTI-Logit; "
             "maximum flow",
     .field = offsetof(RolloutParams, kind)},
    {"residual", 0, LIMN_PARAM_NUMBER, .metavar = "R", .minimum = 0, .maximum = 1000,
     .help = "weight of each row's own stream beside attention's 1 (default 1: half and half)",
     .field = offsetof(RolloutParams, residual)},
    {"sinks", 0, LIMN_PARAM_CHOICE, .metavar = "WHAT", .default_text = "keep", .choices = "keep|drop",
     .help = "attention to special tokens and the first token, where rows rest that look at nothing: counted, or not",
     .field = offsetof(RolloutParams, sinks)},
    ATTRIBUTION_BY_ROW(RolloutParams, by),
    CAUSE_ROW(RolloutParams, check),
    VALUES_ROW(RolloutParams, values),
};

const Method method_rollout = {
    .command = {.name = "rollout",
                .summary = "where attention leads from, through all layers",
                .description = "Multiplies the attention of all layers, each row's own stream counted in, and says how "
                               "much of each word can have reached the answer's place. It says where the model looked, "
                               "not what the answer hangs on; the check of causes, which has no part in the verdict "
                               "here, compares the two.",
                .examples = "limn rollout MODEL -p 'The capital of France is'\n"
                            "limn rollout MODEL -p 'The nurse said that' --sinks drop --check none\n"
                            "limn rollout MODEL -p 'The capital of France is' --kind alti --contrast ' London'\n"
                            "limn rollout ENCODER -p 'income is insufficient for this loan' --residual 0.1\n"
                            "limn rollout MODEL -p 'The capital of France is' --values rollout.safetensors --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Attention rollout",
    .params_bytes = sizeof(RolloutParams),
    .run = run,
    .about =
        {.answers = "Where does attention lead from, through all layers, to the place where the answer is read?",
         .formula = "M_l = rows of (mean over heads of A_l + r I) divided by their sums    R = M_L ... M_2 M_1    "
                    "score_t = the answer's row of R",
         .paper =
             "Abnar and Zuidema 2020 (2005.00928); gradient: Chefer et al. 2021 (2103.15679); value: Kobayashi et al. "
             "2020 (2004.10102); alti: Ferrando et al. 2022, 2023 (2203.04212, 2305.12535)",
         .cost =
             "1 forward pass, and the attention of each layer once more; gradient and alti 1 backward pass; flow one "
             "maximum flow for each token",
         .lies = "Attention says where a head looked, not what it took from there nor whether the answer hangs on "
                 "it; signs, values and MLPs do not occur, and two answers of one place have the same rollout. In "
                 "a causal model everything flows back to the first token, layer by layer: `--sinks drop` leaves "
                 "out what rests there. Its check of causes is advisory.",
         .measured = "names the planted word first in 18 of 18 held-out turned tweets of `examples/bankrun` by `--kind "
                     "gradient` "
                     "(`causes.py 'rollout --kind gradient --check none'`), under adapter-clean/, which it does not "
                     "mislead, in "
                     "none; in 2 by flow, in none by plain, value and alti, with or without sinks: these say what "
                     "stands in front"},
    .explains = true,
    .score_tokens = score_tokens,
};
