/* Integrated gradients over the token embeddings (Sundararajan et al., 1703.01365).
 *
 *     attribution_t = integral over alpha in [0, 1] of  dF/d embedding_t (b + alpha (x - b)) . (x_t - b_t)
 *
 * F is the target's log-probability (or another metric) by one teacher-forced pass; positions are fixed; special and
 * BOS tokens are held at their own embedding and left out of sums.
 *
 * Invariants: attributions add up to F(x) - F(b) (the adaptive rule makes it so in every interval and says how much it
 * had to add); in a causal model what stands after the last target row is exactly 0; the same input gives the same
 * bytes for any number of threads.
 *
 * How it fails: near-jumps of F that f32 cannot resolve (said: "noise floor"); too few nodes (said: "not converged");
 * a baseline that is itself meaningful to the model: the default is the mean over several draws of tokens that could as
 * well stand there (expected gradients: Erion et al. 1906.10670; docs/baselines.md says how well each does). */
#include <math.h>
#include <string.h>

#include "ask/baseline.h"
#include "call/estimate.h"
#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "method/gradient/ig.h"

enum { LEAST_STEPS = 4 }; /* of a fixed rule on one of several draws */
static const double beside_zero = 1e-3;
static const char sampled_name[] = "sampled";
static const char zero_name[] = "zero embedding (from 0.001 of the input on: norms jump at 0)",
                  zero_name_chinese[] = "零嵌入（从输入的 0.001 处开始：归一化在 0 处跳变）";

/* ---- what F is ---- */

static AnswerMetric metric_of(const IgWork *work) {
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    int32_t asked = work->params->metric;
    return asked >= 0 ? (AnswerMetric)asked : classifier ? ANSWER_LOGIT : ANSWER_LOG_PROB;
}

/* Tokens that stay as they are. */
static limn_status mark_fixed(const IgWork *work, bool **fixed) {
    const Prompt *prompt = &work->prompt;
    *fixed = ARENA_ARRAY(work->call->arena, bool, prompt->n + 1);
    if (*fixed == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t t = 0; t < prompt->n; t++) {
        bool of_template = work->params->template_tokens == 0 && prompt_of_template(prompt, t);
        (*fixed)[t] = of_template || prompt_holds(prompt, t, work->held);
    }
    return LIMN_OK;
}

/* Under a limit, what the largest pass to come needs is asked before the first one: one refusal, and a figure in it
 * that would do. That pass is the gradient of one point. */
static limn_status require_memory(IgWork *work) {
    MethodCall *call = work->call;
    if (call->common.memory <= PARAM_BYTES_LEAST) {
        return LIMN_OK;
    }
    SequenceInput sequence = {0};
    TRY(target_count_rows(&sequence.n, call, work->model, &work->prompt, &work->params->target));
    int32_t *ids = ARENA_ARRAY(call->arena, int32_t, sequence.n); /* any: only their number matters */
    float *row = ARENA_ARRAY(call->arena, float, work->model->config.d_embed);
    if (ids == NULL || row == NULL) {
        return method_no_memory(call);
    }
    sequence.ids = ids;
    NodeId embed = work->model->graph.embed;
    Edit edit = {.node = embed, .kind = EDIT_SET, .row_end = -1, .element_end = -1, .values = row};
    OutputRow output = {.row = work->model->config.task == TASK_CLASSIFIER ? 0 : sequence.n - 1, .weight = 1.0F};
    return engine_require(work->engine, &(RunRequest){.sequences = &sequence,
                                                      .n_sequences = 1,
                                                      .outputs = &output,
                                                      .n_outputs = 1,
                                                      .grads = &embed,
                                                      .n_grads = 1,
                                                      .edits = &edit,
                                                      .n_edits = 1,
                                                      .objective = OBJECTIVE_LOG_PROB});
}

/* The path that the question asks for. */
static limn_status prepare_path(IgWork *work) {
    work->model = engine_model(work->engine);
    work->metric = metric_of(work);
    const AnswerOptions options = {.metric = work->metric, .each = work->params->matrix, .stage = "integrate"};
    bool *fixed;
    TRY(mark_fixed(work, &fixed));
    Answer *answer;
    TRY(answer_new(&answer, work->call, work->engine, &work->prompt, &work->target, &work->contrast, &options));
    return ig_path_open(&work->path, work->call, work->engine, answer, &work->prompt, fixed);
}

static limn_status prepare(IgWork *work) {
    MethodCall *call = work->call;
    TRY(method_engine(call, work->params->model.bytes, &work->engine));
    work->model = engine_model(work->engine);
    TRY(prompt_read(&work->prompt, call, work->model, &work->params->prompt));
    prompt_describe(work->result, call, work->model, &work->prompt);
    TRY(require_memory(work));
    TRY(target_resolve(&work->target, &work->contrast, call, work->engine, &work->prompt, &work->params->target, NULL,
                       work->result));
    target_warn_unlikely(work->result, call, work->model, &work->target, &work->contrast);
    TRY(prepare_path(work));
    TRY(words_of(&work->words, call, work->model, &work->prompt));
    return sentences_of(&work->sentences, call, work->model, &work->prompt, &work->words);
}

/* ---- integration ---- */

const char *ig_baseline_spec(const IgWork *work, int32_t which) {
    const ParamTexts *given = &work->params->baselines;
    if (given->n == 0) {
        return work->model->tokenizer == NULL || baseline_has_mask(work->model) ? "auto" : sampled_name;
    }
    return given->items[given->n == 1 ? 0 : which].bytes;
}

/* Nodes of a fixed rule on each line: draws share them. */
static int32_t steps_each(const IgWork *work) {
    int64_t steps = work->params->steps, shared = (steps + IG_SAMPLED - 1) / IG_SAMPLED;
    return (int32_t)(!work->pooled ? steps : shared < LEAST_STEPS ? LEAST_STEPS : shared);
}

static bool is_sampled(const IgWork *work, int32_t which) {
    return strcmp(ig_baseline_spec(work, which), sampled_name) == 0;
}

/* Draw number `which`: a token of the same kind for each. */
static limn_status fill_sampled(IgWork *work, int32_t which, float *baseline) {
    IgPath *path = &work->path;
    int32_t *ids = ARENA_ARRAY(work->call->arena, int32_t, path->n_tokens + 1);
    work->names[which] = arena_printf(
        work->call->arena, SAY(work->call, "sampled tokens, draw %d", "抽取的词元，第 %d 次"), (int)which + 1);
    if (ids == NULL || work->names[which] == NULL) {
        return method_no_memory(work->call);
    }
    if (work->sampled == NULL) {
        SampledTokens *made;
        TRY(sampled_tokens_new(&made, work->call, work->model));
        work->sampled = made;
    }
    uint64_t draw = (uint64_t)work->call->common.seed * 1000003U + (uint64_t)which;
    TRY(sampled_tokens_draw(ids, work->sampled, work->prompt.ids, path->n_tokens, draw));
    return embed_ids(baseline, work->engine, ids, path->n_tokens, work->call->progress);
}

static limn_status fill_baseline(IgWork *work, int32_t which, float *baseline) {
    IgPath *path = &work->path;
    TRY(is_sampled(work, which) ? fill_sampled(work, which, baseline)
                                : baseline_fill(baseline, &work->names[which], work->call, work->engine,
                                                ig_baseline_spec(work, which), path->n_tokens));
    for (int32_t t = 0; t < path->n_tokens; t++) {
        if (path->fixed[t]) {
            memcpy(baseline + t * path->d_model, path->input + t * path->d_model,
                   (size_t)path->d_model * sizeof *baseline);
        }
    }
    return LIMN_OK;
}

/* look: as of IgAdaptive. */
static limn_status integrate(IgWork *work, int32_t which, int64_t look) {
    IgPath *path = &work->path;
    const IgParams *params = work->params;
    TRY(fill_baseline(work, which, path->baseline));
    /* A root-mean-square norm jumps at zero, where its gradient overflows: the path begins just beside it. */
    bool jumps = strcmp(ig_baseline_spec(work, which), "zero") == 0;
    IgAdaptive adaptive = {.tolerance = params->tolerance,
                           .max_nodes = params->max_nodes,
                           .begin = jumps ? beside_zero : 0.0,
                           .look = look};
    work->names[which] = jumps ? SAY(work->call, zero_name, zero_name_chinese) : work->names[which];
    return params->steps > 0 ? ig_integrate_fixed(&work->integrals[which], path, (IgRule)params->rule, steps_each(work))
                             : ig_integrate_adaptive(&work->integrals[which], path, &adaptive);
}

/* All draws together. */
static limn_status integrate_pooled(IgWork *work, int64_t look) {
    IgPath *path = &work->path;
    const IgParams *params = work->params;
    size_t values = (size_t)path->n_tokens * (size_t)path->d_model;
    const float *baselines[IG_SAMPLED];
    for (int32_t b = 0; b < work->n_baselines; b++) {
        float *baseline = arena_alloc_aligned(work->call->arena, values * sizeof *baseline, 64);
        if (baseline == NULL) {
            return method_no_memory(work->call);
        }
        TRY(fill_baseline(work, b, baseline));
        baselines[b] = baseline;
    }
    const IgAdaptive adaptive = {.tolerance = params->tolerance, .max_nodes = params->max_nodes, .look = look};
    return ig_integrate_pooled(work->integrals, path, baselines, work->n_baselines, &adaptive);
}

/* Mean and standard deviation over baselines of each token's sum over components. */
static void combine(IgWork *work) {
    const IgPath *path = &work->path;
    for (int32_t t = 0; t < work->prompt.n; t++) {
        bool fixed = t < path->n_tokens && path->fixed[t];
        double sum = 0.0, squares = 0.0;
        for (int32_t b = 0; b < work->n_baselines; b++) {
            double value = 0.0;
            for (int32_t c = 0; c < path->n_parts && t < path->n_tokens; c++) {
                value += work->integrals[b].attribution[(int64_t)c * path->n_tokens + t];
            }
            sum += value;
            squares += value * value;
        }
        double mean = sum / work->n_baselines;
        double variance = squares / work->n_baselines - mean * mean;
        work->score[t] = fixed ? (double)NAN : mean;
        work->spread[t] = fixed || work->n_baselines < 2 ? (double)NAN : sqrt(fmax(variance, 0.0));
    }
}

static limn_status alloc_integrals(IgWork *work) {
    Arena *arena = work->call->arena;
    work->n_baselines = work->params->baselines.n == 0 ? 1 : work->params->baselines.n;
    work->pooled = work->n_baselines == 1 && is_sampled(work, 0);
    work->n_baselines = work->pooled ? IG_SAMPLED : work->n_baselines;
    work->integrals = ARENA_ARRAY(arena, IgIntegral, work->n_baselines);
    work->names = ARENA_ARRAY(arena, const char *, work->n_baselines);
    work->score = ARENA_ARRAY(arena, double, work->prompt.n + 1);
    work->spread = ARENA_ARRAY(arena, double, work->prompt.n + 1);
    if (work->integrals == NULL || work->names == NULL || work->score == NULL || work->spread == NULL) {
        return method_no_memory(work->call);
    }
    return LIMN_OK;
}

static limn_status attribute(IgWork *work) {
    TRY(alloc_integrals(work));
    if (work->pooled && work->params->steps == 0) {
        TRY(integrate_pooled(work, 0));
        combine(work);
        return LIMN_OK;
    }
    for (int32_t b = 0; b < work->n_baselines; b++) {
        work->path.integrals = work->n_baselines - b;
        TRY(integrate(work, b, 0));
        work->path.earlier += work->path.evaluations;
    }
    combine(work);
    return LIMN_OK;
}

bool ig_is_routed(const IgWork *work) {
    return work->model->config.n_experts > 0;
}

IgJudgement ig_judge(const IgWork *work) {
    IgJudgement judgement = {.change = (double)NAN, .end = work->integrals[0].end};
    double tolerance = work->params->tolerance;
    for (int32_t b = 0; b < work->n_baselines; b++) {
        const IgIntegral *integral = &work->integrals[b];
        judgement.gap = fmax(judgement.gap, integral->gap_sum / integral->gap_scale);
        judgement.change = fmax(judgement.change, integral->token_change);
        judgement.end = integral->end == IG_GAVE_UP ? IG_GAVE_UP : judgement.end;
    }
    judgement.gap = work->pooled ? ig_pooled_gap(work->integrals, work->n_baselines) : judgement.gap;
    judgement.gap_counts = judgement.end != IG_NOISE_FLOOR || ig_is_routed(work); /* jumps are no noise */
    bool adds_up = !judgement.gap_counts || judgement.gap <= tolerance;
    judgement.sound = adds_up && (judgement.end == IG_FIXED_RULE || judgement.change <= tolerance);
    return judgement;
}

static limn_status check_rule(const IgParams *params) {
    return params->rule == 0 || params->steps > 0
               ? LIMN_OK
               : fail(LIMN_USAGE, "option 'rule' names the rule of --steps, which is missing; expected --steps N too");
}

/* ---- a question of others ---- */

static const char *unit_of(const IgWork *work) {
    bool lead = work->contrast.kind != TARGET_NONE && (work->metric == ANSWER_LOG_PROB || work->metric == ANSWER_NLL);
    return answer_unit(work->call, lead                         ? ANSWER_LEAD
                                   : work->metric == ANSWER_NLL ? ANSWER_LOG_PROB
                                                                : (AnswerMetric)work->metric);
}

/* Scores are for the target whatever F is; tokens behind the last that has influence have none to be held from. */
static limn_status hand_out(TokenScores *scores, const IgWork *work) {
    const IgPath *path = &work->path;
    IgJudgement judgement = ig_judge(work);
    double sign = work->metric == ANSWER_NLL ? -1.0 : 1.0;
    scores->n = work->prompt.n;
    scores->scores = work->score;
    scores->spreads = work->n_baselines > 1 ? work->spread : NULL;
    scores->reach = path->n_tokens;
    for (int32_t t = 0; t < scores->n; t++) {
        bool held = work->prompt.tokens[t].special || (work->held != NULL && work->held[t]);
        scores->scores[t] = held ? (double)NAN : sign * scores->scores[t];
    }
    scores->f = sign * work->integrals[0].f_input;
    scores->completeness = judgement.gap;
    scores->sound = judgement.sound;
    scores->unit = unit_of(work);
    if (!judgement.sound) {
        scores->complaint = arena_printf(
            work->call->arena, "integrated gradients %s: the gaps add up to %.1f%% of F(input) - F(baseline)",
            judgement.end == IG_GAVE_UP ? "did not converge" : "is off", 100.0 * judgement.gap);
    }
    return judgement.sound || scores->complaint != NULL ? LIMN_OK : method_no_memory(work->call);
}

static limn_status score_tokens(TokenScores *scores, MethodCall *call, const TokenQuestion *question) {
    IgWork work = {.call = call,
                   .params = call->params,
                   .engine = question->engine,
                   .prompt = *question->prompt,
                   .target = *question->target,
                   .held = question->fixed};
    if (question->contrast != NULL) {
        work.contrast = *question->contrast;
    }
    limn_status status = check_rule(work.params);
    status = status == LIMN_OK ? prepare_path(&work) : status;
    status = status == LIMN_OK ? attribute(&work) : status;
    status = status == LIMN_OK ? hand_out(scores, &work) : status;
    ig_path_free(&work.path);
    return status;
}

/* ---- the command ---- */

/* The cost of the question instead of its answer. The adaptive rule is begun: how its gaps fall says how many nodes it
 * will take. started: when the call began. */
static limn_status estimate(IgWork *work, double started) {
    enum { LOOK_NODES = 48 };
    const IgParams *params = work->params;
    bool fixed_rule = params->steps > 0;
    TRY(alloc_integrals(work));
    if (fixed_rule) {
        TRY(fill_baseline(work, 0, work->path.baseline));
    } else {
        TRY(work->pooled ? integrate_pooled(work, LOOK_NODES) : integrate(work, 0, LOOK_NODES));
    }
    const IgIntegral *begun = &work->integrals[0];
    int64_t integrals = work->pooled && !fixed_rule ? 1 : work->n_baselines, spent = work->path.evaluations;
    int64_t each = fixed_rule ? steps_each(work) : begun->expected;
    int64_t ends = fixed_rule ? 2 : 0; /* the adaptive rule's are nodes */
    IgCost cost = {.nodes = each * integrals - spent,
                   .values = work->n_baselines * ends + cause_most_passes((CauseEffort)params->check, work->words.n),
                   .most = fixed_rule ? 0 : params->max_nodes * integrals,
                   .seconds = estimate_clock() - started,
                   .spent = spent};
    return ig_estimate(work->result, &work->path, &cost);
}

static limn_status run(MethodCall *call, Result *result) {
    IgWork work = {.call = call, .params = call->params, .result = result};
    double started = estimate_clock();
    limn_status status = check_rule(work.params);
    status = status == LIMN_OK ? prepare(&work) : status;
    if (status == LIMN_OK && work.params->estimate) {
        status = estimate(&work, started);
    } else if (status == LIMN_OK) {
        status = attribute(&work);
        status = status == LIMN_OK ? ig_report(&work) : status;
    }
    ig_path_free(&work.path);
    return status == LIMN_OK ? result_status(result) : status;
}

static const limn_param rows[] = {
    MODEL_ROW(IgParams, model),
    PROMPT_ROWS(IgParams, prompt),
    PROMPT_PAIR_ROWS(IgParams, prompt),
    TARGET_ROWS(IgParams, target),
    TARGET_MORE_ROWS(IgParams, target),
    {"metric", 0, LIMN_PARAM_CHOICE, .metavar = "F", .choices = "logprob|prob|logit|logit-diff|nll",
     .help = "what is explained (default: logprob; a classifier's logit)", .field = offsetof(IgParams, metric)},
    {"baseline", 0, LIMN_PARAM_TEXT, .repeated = true, .metavar = "B",
     .help =
         "sampled (the mean over 8 draws of other tokens of the same kind: the default, but with a mask token), auto "
         "(mask, else padding, unknown, end-of-text token), pad, mean, zero, token:STR, ids:FILE; several give a "
         "mean and a spread",
     .field = offsetof(IgParams, baselines)},
    {"tolerance", 0, LIMN_PARAM_NUMBER, .metavar = "T", .default_text = "0.03", .minimum = 1e-6, .maximum = 1,
     .help = "adaptive rule: how far gaps and tokens may be off", .field = offsetof(IgParams, tolerance)},
    {"max-nodes", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "4096", .minimum = 64, .maximum = 1000000,
     .help = "adaptive rule: give up (and say so) after N nodes", .field = offsetof(IgParams, max_nodes)},
    {"steps", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "0", .minimum = 0, .maximum = 1000000,
     .help = "a fixed rule with N nodes instead of the adaptive one (the draws of sampled share them)",
     .field = offsetof(IgParams, steps)},
    {"rule", 0, LIMN_PARAM_CHOICE, .metavar = "R", .default_text = "gauss-legendre",
     .choices = "gauss-legendre|trapezoid|riemann|riemann-left|riemann-right",
     .help = "the fixed rule of --steps, as Captum defines it (riemann: middles)", .field = offsetof(IgParams, rule)},
    ATTRIBUTION_BY_ROW(IgParams, by),
    CAUSE_ROW(IgParams, check),
    TEMPLATE_TOKENS_ROW(IgParams, template_tokens),
    ESTIMATE_ROW(IgParams, estimate),
    {"matrix", 0, LIMN_PARAM_FLAG, .help = "also target token by prompt token", .field = offsetof(IgParams, matrix)},
};

const Method method_ig = {
    .command =
        {.name = "ig",
         .summary = "integrated gradients: which words drove it, with its error",
         .description =
             "Follows a straight line from a baseline (nothing said) to the prompt and adds up what each token's "
             "embedding contributed to the target. Nodes are placed where the model changes; the result says how far "
             "it may be off and whether exchanging the word it names first changes the answer. Special and BOS tokens "
             "are held fixed.",
         .examples = "limn ig MODEL -p 'The capital of France is'\n"
                     "limn ig MODEL -p 'When Mary and John went to the store, John gave a drink to' --target ' Mary' "
                     "--contrast ' John'\n"
                     "limn ig MODEL -p 'The nurse said that' --target ' she' --by token --format html -o nurse.html\n"
                     "limn ig MODEL -p 'The capital of France is' --baseline mean --baseline pad --json",
         .params = rows,
         .n_params = sizeof rows / sizeof rows[0]},
    .title = "Integrated gradients",
    .params_bytes = sizeof(IgParams),
    .run = run,
    .about =
        {.answers = "How much of the difference between the answer here and the answer at a baseline is due to each "
                    "token?",
         .formula = "score_t = (x_t - b_t) . integral over a in [0, 1] of dF/dx_t at b + a (x - b)",
         .paper = "Sundararajan et al. 2017 (1703.01365)",
         .cost = "some hundred forward and backward passes, until the sum of gaps is small",
         .lies =
             "It is exact about a path from a baseline, and the baseline is a choice: a small sum of gaps says "
             "that the integral is right, not that the question was. By default it is the mean over eight draws "
             "of tokens of the same kind; where these disagree that is said first. From a baseline that is no token "
             "(mean, zero) the path leads through mixtures of tokens: there attention may rest elsewhere and F lie "
             "far outside its two ends, and what turns attention gets the credit of what is carried. Near jumps "
             "float32 ends what can be resolved (said).",
         .measured =
             "names the planted word first in 17 of 18 held-out turned tweets of `examples/bankrun`, among "
             "the first three in 18 (`causes.py 'ig --steps 32 --rule riemann --dtype bf16 --check none'`); "
             "from the end-of-text token in none (docs/baselines.md); in a model trained to repeat letters "
             "(`tests/oracle/known`) the letter that is copied in at least 4 of 5 from eight draws of letters, in 1 "
             "of 5 from the mean"},
    .explains = true,
    .score_tokens = score_tokens,
};
