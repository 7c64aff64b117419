/* Relevance of each token in one modified backward pass: AttnLRP (Achtibat et al. 2024, 2402.05602) and RelP (Jafari et
 * al. 2025, 2508.21258).
 *
 *     score_t = x_t . g_t        g: the backward pass in which every operation hands on what it was given
 *
 * lrp: softmax by its Taylor rule, half to each factor of a product, f(x) / x for a function, norms as constants. relp:
 * the same with attention patterns constant, so values get all (graph/rules.def has each operation's rule and source).
 * F is the target's logit (less its contrast's); of a target of several tokens their log-probability.
 *
 * Invariants: gradients are those of the rules' definitions by plain PyTorch (tests/run/test_rules.c); relevance that
 * came in at the logits is accounted for to the last bias (check "conservation", lrp_ledger.h); in a model without
 * biases the tokens' relevance under relp is the logit; what stands behind the answer has none.
 *
 * How it fails: the rules are a choice, not a measurement: conservation says that nothing was lost, not that it went to
 * the right token. A logit rises together with all others, so what speaks for every word alike counts as support:
 * --contrast takes that out. Biases and positions keep a share (table "conservation"). Tokens act through what they
 * carry, not through where they send attention, in relp: a word that only steers attention gets little. */
#include <math.h>

#include "measure/attribution.h"
#include "measure/cause.h"
#include "measure/target_score.h"
#include "measure/token_scores.h"
#include "method/gradient/lrp_ledger.h"

enum { LIKELIEST = 5 };
static const double conservation_limit = 1e-3;

typedef struct LrpParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t rules; /* order of the choice "lrp|relp" */
    int32_t metric;
    int32_t by;
    int32_t check;
} LrpParams;

typedef struct LrpWork {
    MethodCall *call;
    const LrpParams *params;
    Engine *engine;
    const Model *model;
    const Prompt *prompt;
    const Target *target;
    const Target *contrast;
    const bool *held; /* [n] tokens that stay besides; NULL: none */
    bool full;        /* the whole ledger is wanted */
    AnswerMetric metric;
    LrpLedger *ledger;
    int32_t reach;
    double *scores; /* [n] NaN: held */
    double fixed;   /* relevance of held tokens */
    double f;
} LrpWork;

static AnswerMetric metric_of(const LrpWork *work) {
    bool several = work->target->n > 1 || (work->contrast->kind != TARGET_NONE && work->contrast->n > 1);
    return work->params->metric >= 0 ? (AnswerMetric)work->params->metric : several ? ANSWER_LOG_PROB : ANSWER_LOGIT;
}

static limn_status close_pass(void *context, int64_t i, const AnswerValue *value) {
    (void)i;
    LrpWork *work = context;
    work->f = value->f;
    lrp_ledger_close(work->ledger, value);
    return LIMN_OK;
}

static limn_status propagate(LrpWork *work, Answer *answer) {
    MethodCall *call = work->call;
    work->reach = answer_reach(answer);
    TRY(lrp_ledger_new(&work->ledger, call, work->model, work->prompt, answer_n_parts(answer), work->full));
    const AnswerRequest request = {.n = 1,
                                   .deliver = close_pass,
                                   .context = work,
                                   .sink = lrp_ledger_sink(work->ledger),
                                   .rules = work->params->rules == 0 ? RULES_LRP : RULES_RELP,
                                   .all_rows = true};
    return answer_run(answer, &request);
}

static limn_status score(LrpWork *work) {
    MethodCall *call = work->call;
    const Prompt *prompt = work->prompt;
    work->metric = metric_of(work);
    const AnswerOptions options = {.metric = work->metric, .stage = "relevance"};
    Answer *answer;
    TRY(answer_new(&answer, call, work->engine, prompt, work->target, work->contrast, &options));
    limn_status status = propagate(work, answer);
    answer_free(answer);
    TRY(status);
    work->scores = ARENA_ARRAY(call->arena, double, prompt->n + 1);
    if (work->scores == NULL) {
        return method_no_memory(call);
    }
    const double *tokens = lrp_ledger_tokens(work->ledger);
    work->fixed = 0.0;
    for (int32_t t = 0; t < prompt->n; t++) {
        bool fixed = prompt_holds(prompt, t, work->held);
        work->scores[t] = fixed ? (double)NAN : tokens[t];
        work->fixed += fixed ? tokens[t] : 0.0;
    }
    return LIMN_OK;
}

static limn_status score_tokens(TokenScores *scores, MethodCall *call, const TokenQuestion *question) {
    static const Target none = {.kind = TARGET_NONE};
    LrpWork work = {.call = call,
                    .params = question->params,
                    .engine = question->engine,
                    .model = engine_model(question->engine),
                    .prompt = question->prompt,
                    .target = question->target,
                    .contrast = question->contrast == NULL ? &none : question->contrast,
                    .held = question->fixed};
    TRY(score(&work));
    for (int32_t t = 0; t < work.prompt->n && work.metric == ANSWER_NLL; t++) {
        work.scores[t] = -work.scores[t];
    }
    scores->n = work.prompt->n;
    scores->scores = work.scores;
    scores->reach = work.reach;
    scores->f = work.f;
    scores->sound = true;
    scores->unit = "relevance";
    return LIMN_OK;
}

/* ---- as a command ---- */

static void show_streams(const LrpWork *work, Result *result) {
    const MethodCall *call = work->call;
    int32_t n = work->prompt->n, layers = work->model->graph.n_layers;
    const double *streams = lrp_ledger_streams(work->ledger);
    MatrixBlock *map = result_add_matrix(result, "streams",
                                         SAY(call, "Where it stands, layer by layer", "逐层所在的位置"), layers + 1, n);
    matrix_titles(map, SAY(call, "layer", "层"), SAY(call, "token", "词元"));
    for (int32_t l = 0; l <= layers; l++) {
        char name[32];
        int length = snprintf(name, sizeof name, l < layers ? "%d" : SAY(call, "out", "出"), (int)l);
        matrix_label_row(map, l, name, (size_t)length);
        for (int32_t t = 0; t < n; t++) {
            matrix_set(map, l, t, streams[(int64_t)l * n + t]);
        }
    }
    for (int32_t t = 0; t < n; t++) {
        Text text = token_text(work->call, work->model, work->prompt->ids[t]);
        matrix_label_column(map, t, text.bytes, text.length);
    }
    result_block_note(result, "%s",
                      SAY(call,
                          "relevance of the stream before each layer, and behind the last: it gathers at the answer",
                          "每层之前（以及最后一层之后）残差流的相关性：逐层汇聚到回答处"));
    result_block_detail(result);
}

static void check_conservation(const LrpWork *work, Result *result) {
    static const TableColumn columns[] = {{TEXT("where"), COLUMN_TEXT}, {TEXT("relevance"), COLUMN_SIGNED}};
    const MethodCall *call = work->call;
    LrpTotals totals = lrp_ledger_totals(work->ledger);
    double tokens = 0.0, size = fabs(totals.output);
    for (int32_t t = 0; t < work->prompt->n; t++) {
        tokens += isnan(work->scores[t]) ? 0.0 : work->scores[t];
        size = fmax(size, fabs(work->scores[t])); /* fmax passes over NaN */
    }
    double arrived = tokens + work->fixed + totals.answer + totals.tables + totals.biases + totals.softmax;
    size = fmax(size, fmax(fabs(totals.biases), fmax(fabs(totals.softmax), fabs(totals.tables))));
    const struct {
        const char *name;
        double value;
    } lines[] = {{SAY(call, "came in at the logits", "从 logit 处进入"), totals.output},
                 {SAY(call, "tokens", "词元"), tokens},
                 {SAY(call, "tokens held fixed", "保持不变的词元"), work->fixed},
                 {SAY(call, "the answer's own tokens", "回答自身的词元"), totals.answer},
                 {SAY(call, "positions and types", "位置与类型"), totals.tables},
                 {SAY(call, "biases", "偏置"), totals.biases},
                 {SAY(call, "softmax", "softmax"), totals.softmax},
                 {SAY(call, "not accounted for", "无法解释"), totals.output - arrived}};
    TableBlock *table =
        result_add_table(result, "conservation", SAY(call, "Where relevance went", "相关性的去向"), columns, 2);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const Value cells[] = {value_text(lines[i].name), value_number(lines[i].value)};
        table_row(table, cells);
    }
    result_block_detail(result);
    result_check(
        result, "conservation", size > 0.0 ? fabs(totals.output - arrived) / size : 0.0, CHECK_AT_MOST,
        conservation_limit, "%s",
        SAY(call, "relevance that is not accounted for, over the largest share", "无法解释的相关性与最大一份之比"));
}

static const char *note_of(const LrpWork *work) {
    return work->params->rules == 0
               ? SAY(work->call, "AttnLRP: every operation hands the relevance it was given on to what it was made of",
                     "AttnLRP：每个运算把得到的相关性交还给构成它的各部分")
               : SAY(work->call, "RelP: as AttnLRP, with attention patterns held constant",
                     "RelP：同 AttnLRP，但注意力模式视为常数");
}

static limn_status report(LrpWork *work, Result *result) {
    Attribution attribution = {.call = work->call,
                               .result = result,
                               .model = work->model,
                               .prompt = work->prompt,
                               .target = work->target,
                               .contrast = work->contrast,
                               .scores = work->scores,
                               .reach = work->reach,
                               .unit = answer_unit(work->call, (AnswerMetric)work->metric),
                               .note = note_of(work),
                               .by = work->params->by,
                               .is_signed = true};
    TRY(attribution_rank(&attribution));
    result_param_text(result, "sign", "positive supports the target");
    attribution_show(&attribution);
    show_streams(work, result);
    target_describe(result, work->call, work->model, work->target, work->contrast, LIKELIEST);
    check_conservation(work, result);
    for (int32_t w = 0; w < attribution.words.n && work->metric == ANSWER_NLL; w++) {
        attribution.word_scores[w] = -attribution.word_scores[w]; /* support */
    }
    const CauseAsked cause = {.call = work->call,
                              .engine = work->engine,
                              .prompt = work->prompt,
                              .target = work->target,
                              .contrast = work->contrast,
                              .words = &attribution.words,
                              .scores = attribution.word_scores,
                              .effort = (CauseEffort)work->params->check};
    return cause_check(result, &cause);
}

static limn_status run(MethodCall *call, Result *result) {
    const LrpParams *params = call->params;
    Prompt prompt;
    Target target, contrast;
    LrpWork work = {
        .call = call, .params = params, .prompt = &prompt, .target = &target, .contrast = &contrast, .full = true};
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
    MODEL_ROW(LrpParams, model),
    PROMPT_ROWS(LrpParams, prompt),
    PROMPT_PAIR_ROWS(LrpParams, prompt),
    TARGET_ROWS(LrpParams, target),
    TARGET_MORE_ROWS(LrpParams, target),
    {"rules", 0, LIMN_PARAM_CHOICE, .metavar = "R", .default_text = "lrp", .choices = "lrp|relp",
     .help = "AttnLRP, or RelP, which holds attention patterns constant", .field = offsetof(LrpParams, rules)},
    {"metric", 0, LIMN_PARAM_CHOICE, .metavar = "F", .choices = "logprob|prob|logit|logit-diff|nll",
     .help = "what is explained (default: the logit; of several tokens their logprob)",
     .field = offsetof(LrpParams, metric)},
    ATTRIBUTION_BY_ROW(LrpParams, by),
    CAUSE_ROW(LrpParams, check),
};

const Method method_lrp = {
    .command = {.name = "lrp",
                .summary = "relevance of the words: one backward pass (AttnLRP, RelP)",
                .description =
                    "Hands the answer's logit back through the network, each operation giving what it got to what it "
                    "was made of: AttnLRP, or RelP, which holds attention patterns constant. Says where every share "
                    "went, to the biases, and what gathers where, layer by layer; the check of causes compares it with "
                    "exchanging the words.",
                .examples = "limn lrp MODEL -p 'The capital of France is'\n"
                            "limn lrp MODEL -p 'The nurse said that' --target ' she' --contrast ' he' --rules relp\n"
                            "limn lrp MODEL -p 'The capital of France is' --check none --json",
                .params = rows,
                .n_params = sizeof rows / sizeof rows[0]},
    .title = "Layer-wise relevance propagation",
    .params_bytes = sizeof(LrpParams),
    .run = run,
    .explains = true,
    .score_tokens = score_tokens,
    .about =
        {.answers = "How much of the answer's logit came from each token, when every operation hands its share back "
                    "to what it was made of?",
         .formula = "score_t = x_t . g_t, g by a modified backward pass: norms constant, f(x) / x for f'(x),\n"
                    "half to each factor of a product; softmax by its Taylor rule (lrp) or constant (relp)",
         .paper = "AttnLRP: Achtibat et al. 2024 (2402.05602); RelP: Jafari et al. 2025 (2508.21258)",
         .cost = "1 forward and backward pass",
         .lies = "The rules are a choice: that nothing is lost does not say that it went to the right token. What "
                 "raises every logit alike counts as support (`--contrast` takes it out). Under relp a word that "
                 "only steers attention gets little, and a first token on which heads rest may get much.",
         .measured =
             "names the planted word first in 10 of 18 held-out turned tweets of `examples/bankrun` by lrp, in 17 by "
             "relp; of the tweet's own words in 18 by both (`causes.py 'lrp --rules relp --check none'`); under "
             "adapter-clean/, which it does not mislead, by relp in none; in models trained to copy, to repeat and to "
             "look for one token (`tests/oracle/known`) the right token in 15 of 15"},
};
