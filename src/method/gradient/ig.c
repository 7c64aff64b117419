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
 * a baseline that is itself meaningful to the model, which no figure here can show: compare several. */
#include <math.h>
#include <string.h>

#include "ask/baseline.h"
#include "ask/words.h"
#include "call/estimate.h"
#include "measure/deletion.h"
#include "measure/distribution.h"
#include "measure/target_score.h"
#include "method/gradient/ig_integrate.h"

static const double beside_zero = 1e-3;
static const char zero_name[] = "zero embedding (from 0.001 of the input on: norms jump at 0)",
                  zero_name_chinese[] = "零嵌入（从输入的 0.001 处开始：归一化在 0 处跳变）";

enum { STRONGEST_WORDS = 10, LIKELIEST = 5 };

typedef struct IgParams {
    Text model;
    PromptParams prompt;
    TargetParams target;
    int32_t metric;
    ParamTexts baselines;
    double tolerance;
    int64_t max_nodes;
    int64_t steps;
    int32_t rule;
    int32_t by;
    int32_t template_tokens; /* 1: scored */
    bool matrix;
    bool estimate;
} IgParams;

/* Everything one explanation needs, so that helpers take one argument. */
typedef struct IgWork {
    MethodCall *call;
    const IgParams *params;
    Result *result;
    Session *session;
    const Model *model;
    Prompt prompt;
    Target target;
    Target contrast;
    IgPath path;
    IgIntegral *integrals; /* [n_baselines] */
    const char **names;    /* [n_baselines] what each baseline is */
    int32_t n_baselines;
    double *score;  /* [prompt.n] mean over baselines, all components; NaN: fixed */
    double *spread; /* [prompt.n] standard deviation over baselines; NaN: one baseline */
    TokenRuns words;
    TokenRuns sentences;
} IgWork;

/* ---- what F is ---- */

static limn_status choose_metric(IgWork *work) {
    IgPath *path = &work->path;
    bool classifier = work->model->config.task == TASK_CLASSIFIER;
    int32_t asked = work->params->metric;
    path->metric = asked >= 0 ? (IgMetric)asked : (classifier ? IG_METRIC_LOGIT : IG_METRIC_LOG_PROB);
    bool logit = path->metric == IG_METRIC_LOGIT || path->metric == IG_METRIC_LOGIT_DIFF;
    path->objective = logit ? OBJECTIVE_LOGIT : OBJECTIVE_LOG_PROB;
    if (logit && (work->target.n > 1 || work->contrast.n > 1)) {
        return fail(LIMN_USAGE, "a logit belongs to a single token; the target has %d and the contrast %d",
                    work->target.n, work->contrast.n);
    }
    if (path->metric == IG_METRIC_LOGIT_DIFF && work->contrast.kind == TARGET_NONE) {
        return fail(LIMN_USAGE, "--metric logit-diff needs --contrast TEXT");
    }
    return LIMN_OK;
}

static bool same_row(const Target *a, const Target *b) {
    return a->n == 1 && b->n == 1 && a->rows[0] == b->rows[0];
}

/* Target and contrast at one row of one pass: two outputs, weights +1 and -1. */
static limn_status add_contrast(IgWork *work, double factor) {
    IgPath *path = &work->path;
    if (path->metric != IG_METRIC_PROB && same_row(&work->target, &work->contrast)) {
        IgComponent *component = &path->components[0];
        OutputRow *outputs = ARENA_ARRAY(work->call->arena, OutputRow, 2);
        if (outputs == NULL) {
            return method_no_memory(work->call);
        }
        outputs[0] = outputs[1] = component->outputs[0];
        outputs[1].target = work->contrast.ids[0];
        outputs[1].weight = -1.0f;
        component->outputs = outputs;
        component->n_outputs = 2;
        return LIMN_OK;
    }
    return ig_component(&path->components[path->n_components++], work->call, work->model, &work->contrast, 0,
                        work->contrast.n, -factor);
}

static limn_status build_components(IgWork *work) {
    IgPath *path = &work->path;
    const Target *target = &work->target;
    double factor = path->metric == IG_METRIC_NLL ? -1.0 : 1.0;
    factor /= target->kind == TARGET_SPAN ? (double)target->n : 1.0; /* a span's mean */
    path->components = ARENA_ARRAY(work->call->arena, IgComponent, target->n + 1);
    if (path->components == NULL) {
        return method_no_memory(work->call);
    }
    if (work->params->matrix) {
        if (path->metric == IG_METRIC_PROB || work->contrast.kind != TARGET_NONE) {
            return fail(LIMN_USAGE, "--matrix shows log-probabilities token by token: no --contrast, no --metric prob");
        }
        for (int32_t i = 0; i < target->n; i++) {
            TRY(ig_component(&path->components[path->n_components++], work->call, work->model, target, i, 1, factor));
        }
        return LIMN_OK;
    }
    TRY(ig_component(&path->components[path->n_components++], work->call, work->model, target, 0, target->n, factor));
    return work->contrast.kind == TARGET_NONE ? LIMN_OK : add_contrast(work, factor);
}

/* Rows that can have influence, and which of them stay as they are. */
static limn_status mark_rows(IgWork *work) {
    IgPath *path = &work->path;
    int32_t longest = 0;
    for (int32_t c = 0; c < path->n_components; c++) {
        longest = path->components[c].sequence.n > longest ? path->components[c].sequence.n : longest;
    }
    path->n_tokens = longest < work->prompt.n ? longest : work->prompt.n;
    path->fixed = ARENA_ARRAY(work->call->arena, bool, path->n_tokens + 1);
    if (path->fixed == NULL) {
        return method_no_memory(work->call);
    }
    for (int32_t t = 0; t < path->n_tokens; t++) {
        bool unseen = work->prompt.mask != NULL && work->prompt.mask[t] == 0;
        bool of_template = work->params->template_tokens == 0 && prompt_of_template(&work->prompt, t);
        path->fixed[t] = work->prompt.tokens[t].special || unseen || of_template;
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
    return session_require(work->session, &(RunRequest){.sequences = &sequence,
                                                        .n_sequences = 1,
                                                        .outputs = &output,
                                                        .n_outputs = 1,
                                                        .grads = &embed,
                                                        .n_grads = 1,
                                                        .edits = &edit,
                                                        .n_edits = 1,
                                                        .objective = OBJECTIVE_LOG_PROB});
}

static limn_status prepare(IgWork *work) {
    MethodCall *call = work->call;
    TRY(method_session(call, work->params->model.bytes, &work->session));
    work->model = session_model(work->session);
    TRY(prompt_read(&work->prompt, call, work->model, &work->params->prompt));
    prompt_describe(work->result, call, work->model, &work->prompt);
    TRY(require_memory(work));
    TRY(target_resolve(&work->target, &work->contrast, call, work->session, &work->prompt, &work->params->target, NULL,
                       work->result));
    target_warn_unlikely(work->result, call, work->model, &work->target, &work->contrast);
    work->path.call = call;
    work->path.session = work->session;
    work->path.d_model = work->model->config.d_embed;
    TRY(choose_metric(work));
    TRY(build_components(work));
    TRY(mark_rows(work));
    TRY(ig_path_prepare(&work->path));
    TRY(words_of(&work->words, call, work->model, &work->prompt));
    return sentences_of(&work->sentences, call, work->model, &work->prompt, &work->words);
}

/* ---- integration ---- */

static const char *baseline_spec(const IgParams *params, int32_t which) {
    return params->baselines.n == 0 ? "auto" : params->baselines.items[which].bytes;
}

static limn_status fill_baseline(IgWork *work, int32_t which) {
    IgPath *path = &work->path;
    TRY(baseline_fill(path->baseline, &work->names[which], work->call, work->session,
                      baseline_spec(work->params, which), path->n_tokens));
    for (int32_t t = 0; t < path->n_tokens; t++) {
        if (path->fixed[t]) {
            memcpy(path->baseline + t * path->d_model, path->input + t * path->d_model,
                   (size_t)path->d_model * sizeof *path->baseline);
        }
    }
    return LIMN_OK;
}

/* look: as of IgAdaptive. */
static limn_status integrate(IgWork *work, int32_t which, int64_t look) {
    IgPath *path = &work->path;
    const IgParams *params = work->params;
    const char *spec = baseline_spec(params, which);
    TRY(fill_baseline(work, which));
    /* A root-mean-square norm jumps at zero, where its gradient overflows: the path begins just beside it. */
    bool jumps = strcmp(spec, "zero") == 0;
    IgAdaptive adaptive = {.tolerance = params->tolerance,
                           .max_nodes = params->max_nodes,
                           .begin = jumps ? beside_zero : 0.0,
                           .look = look};
    work->names[which] = jumps ? SAY(work->call, zero_name, zero_name_chinese) : work->names[which];
    return params->steps > 0
               ? ig_integrate_fixed(&work->integrals[which], path, (IgRule)params->rule, (int32_t)params->steps)
               : ig_integrate_adaptive(&work->integrals[which], path, &adaptive);
}

/* Mean and standard deviation over baselines of each token's sum over components. */
static void combine(IgWork *work) {
    const IgPath *path = &work->path;
    for (int32_t t = 0; t < work->prompt.n; t++) {
        bool fixed = t < path->n_tokens && path->fixed[t];
        double sum = 0.0, squares = 0.0;
        for (int32_t b = 0; b < work->n_baselines; b++) {
            double value = 0.0;
            for (int32_t c = 0; c < path->n_components && t < path->n_tokens; c++) {
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
    for (int32_t b = 0; b < work->n_baselines; b++) {
        work->path.integrals = work->n_baselines - b;
        TRY(integrate(work, b, 0));
        work->path.earlier += work->path.evaluations;
    }
    combine(work);
    return LIMN_OK;
}

/* ---- what is said ---- */

static double group_sum(const IgWork *work, int32_t begin, int32_t end) {
    double sum = 0.0;
    bool any = false;
    for (int32_t t = begin; t < end; t++) {
        if (!isnan(work->score[t])) {
            sum += work->score[t];
            any = true;
        }
    }
    return any ? sum : (double)NAN;
}

static void add_grouping(const IgWork *work, TokensBlock *strip, const char *name, const TokenRuns *runs) {
    TokenGroup *groups = tokens_add_grouping(strip, name, runs->n);
    for (int32_t g = 0; groups != NULL && g < runs->n; g++) {
        groups[g].begin = runs->begins[g];
        groups[g].end = runs->begins[g + 1];
        groups[g].score = group_sum(work, runs->begins[g], runs->begins[g + 1]);
        groups[g].spread = (double)NAN;
    }
}

static bool is_target_row(const IgWork *work, int32_t t) {
    const Target *target = &work->target;
    for (int32_t i = 0; i < target->n && target->kind == TARGET_SPAN; i++) {
        if (target->rows[i] + 1 == t) {
            return true;
        }
    }
    return false;
}

static const char *unit_of(const IgWork *work) {
    static const char *const units[] = {"log-probability", "probability", "logit", "logit difference",
                                        "negative log-likelihood"},
                             *const chinese[] = {"对数概率", "概率", "logit", "logit 之差", "负对数似然"};
    return SAY(work->call, units, chinese)[work->path.metric];
}

/* What the scores are against, and what was left out of them. */
static void note_strip(const IgWork *work) {
    const MethodCall *call = work->call;
    bool speaks = strcmp(baseline_spec(work->params, 0), "auto") == 0 && baseline_ends_text(work->model);
    const char *more = work->n_baselines > 1 ? SAY(call, " and others: mean over baselines", "等：取各基线的均值")
                       : speaks ? SAY(call, ", which also ends a text and so says something; see --baseline mean too",
                                      "，它也表示文本结束，因而并非毫无含义；另见 --baseline mean")
                                : "";
    bool held = work->prompt.chat != NULL && work->params->template_tokens == 0;
    result_block_note(work->result, SAY(call, "baseline: %s%s%s", "基线：%s%s%s"), work->names[0], more,
                      held ? SAY(call,
                                 "; what the chat template puts around the messages is held fixed (--template-tokens "
                                 "scored scores it too)",
                                 "；对话模板加在消息前后的词元保持不变（--template-tokens scored 也给它们评分）")
                           : "");
}

static void show_tokens(const IgWork *work) {
    static const char *const shown[] = {"token", "word", "sentence"};
    TokensBlock *strip = result_add_tokens(
        work->result, "attribution", SAY(work->call, "What each part of the prompt did", "提示的各个部分起了什么作用"),
        work->prompt.n);
    for (int32_t t = 0; t < work->prompt.n; t++) {
        bool fixed = isnan(work->score[t]);
        bool unreached = t >= work->path.n_tokens;
        TokenState state = fixed ? TOKEN_FIXED : unreached ? TOKEN_UNREACHED : TOKEN_SCORED;
        if (state == TOKEN_SCORED && is_target_row(work, t)) {
            state = TOKEN_TARGET;
        }
        tokens_set(strip, t, NULL, 0, work->score[t], state);
        if (work->n_baselines > 1) {
            tokens_set_spread(strip, t, work->spread[t]);
        }
    }
    add_grouping(work, strip, "word", &work->words);
    add_grouping(work, strip, "sentence", &work->sentences);
    tokens_show(strip, shown[work->params->by < 0 ? 1 : work->params->by]);
    bool lead = work->contrast.kind != TARGET_NONE && work->path.metric == IG_METRIC_LOG_PROB;
    result_block_unit(work->result,
                      lead ? SAY(work->call, "lead in log-probability", "对数概率的领先") : unit_of(work));
    note_strip(work);
}

/* Word scores, NaN where all of a word is fixed, and the words by size. */
static limn_status rank_words(const IgWork *work, double **scores, int32_t **order, int32_t *n) {
    *scores = ARENA_ARRAY(work->call->arena, double, work->words.n + 1);
    *order = ARENA_ARRAY(work->call->arena, int32_t, work->words.n + 1);
    if (*scores == NULL || *order == NULL) {
        return method_no_memory(work->call);
    }
    *n = 0;
    for (int32_t w = 0; w < work->words.n; w++) {
        double score = group_sum(work, work->words.begins[w], work->words.begins[w + 1]);
        bool reached = work->words.begins[w] < work->path.n_tokens;
        (*scores)[w] = reached ? score : (double)NAN;
        if (isnan((*scores)[w])) {
            continue;
        }
        int32_t place = (*n)++;
        while (place > 0 && fabs((*scores)[(*order)[place - 1]]) < fabs(score)) {
            (*order)[place] = (*order)[place - 1];
            place--;
        }
        (*order)[place] = w;
    }
    return LIMN_OK;
}

static void show_words(const IgWork *work, const double *scores, const int32_t *order, int32_t n) {
    static const TableColumn columns[] = {{{"word", 4}, COLUMN_TOKEN},
                                          {{"position", 8}, COLUMN_INTEGER},
                                          {{"score", 5}, COLUMN_SIGNED},
                                          {{"share", 5}, COLUMN_SHARE}};
    double total = 0.0;
    for (int32_t i = 0; i < n; i++) {
        total += fabs(scores[order[i]]);
    }
    TableBlock *table =
        result_add_table(work->result, "words", SAY(work->call, "Strongest words", "最有影响的词"), columns, 4);
    for (int32_t i = 0; i < n && i < STRONGEST_WORDS; i++) {
        int32_t w = order[i];
        Text text = run_text(work->call, work->model, &work->prompt, work->words.begins[w], work->words.begins[w + 1]);
        Value cells[] = {value_bytes(text.bytes, text.length), value_integer(work->words.begins[w]),
                         value_number(scores[w]), value_number(total > 0.0 ? scores[w] / total : 0.0)};
        table_row(table, cells);
    }
    result_block_note(work->result,
                      SAY(work->call,
                          "share: of the sum of all words' sizes; + supports the target, - speaks against it",
                          "占比：占所有词得分绝对值之和；+ 支持目标，- 反对目标"));
}

static void say_quoted(const IgWork *work, TextBuffer *out, Text text) {
    text_buffer_add(out, SAY(work->call, "\"", "“"));
    text_buffer_add_bytes(out, text.bytes, text.length);
    text_buffer_add(out, SAY(work->call, "\"", "”"));
}

/* "Paris" (59.4%) */
static void say_target(const IgWork *work, TextBuffer *out, const Target *target) {
    TextBuffer words = TEXT_BUFFER_INIT;
    for (int32_t i = 0; i < target->n; i++) {
        Text text = output_text(work->call, work->model, target->ids[i]);
        text_buffer_add_bytes(&words, text.bytes, text.length);
    }
    Text text = text_bare(text_of_bytes(words.data == NULL ? "" : words.data, words.length));
    say_quoted(work, out, text);
    text_buffer_printf(out, SAY(work->call, " (%.3g%%)", "（%.3g%%）"), 100.0 * exp(target->log_probability));
    out->failed = out->failed || words.failed;
    text_buffer_free(&words);
}

/* The strongest word of one sign, in the order of size. */
static void say_strongest(const IgWork *work, TextBuffer *out, const char *before, double sign, const double *scores,
                          const int32_t *order, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        int32_t w = order[i];
        if (scores[w] * sign > 0.0) {
            Text text = text_bare(
                run_text(work->call, work->model, &work->prompt, work->words.begins[w], work->words.begins[w + 1]));
            text_buffer_add(out, before);
            say_quoted(work, out, text);
            text_buffer_printf(out, SAY(work->call, " (%+.2f)", "（%+.2f）"), scores[w]);
            return;
        }
    }
}

static void say_headline(const IgWork *work, const double *scores, const int32_t *order, int32_t n) {
    TextBuffer line = TEXT_BUFFER_INIT;
    const MethodCall *call = work->call;
    text_buffer_add(&line, SAY(call, "Why ", "为什么是"));
    say_target(work, &line, &work->target);
    if (work->contrast.kind != TARGET_NONE) {
        text_buffer_add(&line, SAY(call, " and not ", "而不是"));
        say_target(work, &line, &work->contrast);
    }
    say_strongest(work, &line, SAY(call, ": most for it ", "：最支持它的是"), 1.0, scores, order, n);
    const char *against = n > 0 && scores[order[0]] > 0.0 ? SAY(call, ", most against it ", "，最反对它的是")
                                                          : SAY(call, "; most against it ", "；最反对它的是");
    say_strongest(work, &line, against, -1.0, scores, order, n);
    if (line.failed) {
        line.length = 0;
    }
    result_headline(work->result, "%.*s", (int)line.length, line.data == NULL ? "" : line.data);
    text_buffer_free(&line);
}

/* F jumps where a row's choice of experts changes, which no number of nodes can smooth. */
static bool is_routed(const IgWork *work) {
    return work->model->config.n_experts > 0;
}

static const char *end_text(const IgWork *work, IgEnd end) {
    static const char *const texts[] = {"converged", "down to the rounding noise of the model's own output",
                                        "NOT converged: the node limit came first", "fixed rule"},
                             *const chinese[] = {"已收敛", "已到模型自身输出的舍入噪声", "未收敛：先达到节点上限",
                                                 "固定规则"};
    return end == IG_NOISE_FLOOR && is_routed(work)
               ? SAY(work->call, "down to jumps where the choice of experts changes, and rounding",
                     "已到专家选择改变处的跳变与舍入噪声")
               : SAY(work->call, texts, chinese)[end];
}

static void show_one_path(const IgWork *work, TableBlock *table, const char *baseline, const IgIntegral *integral) {
    const struct {
        const char *name;
        Value value;
    } lines[] = {{SAY(work->call, "F(input)", "F(输入)"), value_number(integral->f_input)},
                 {SAY(work->call, "F(baseline)", "F(基线)"), value_number(integral->f_baseline)},
                 {SAY(work->call, "baseline", "基线"), value_text(baseline)},
                 {SAY(work->call, "nodes", "节点数"), value_integer(integral->nodes)},
                 {SAY(work->call, "sum of gaps", "缺口之和"), value_number(integral->gap_sum)},
                 {SAY(work->call, "largest token change", "词元得分的最大变动"), value_number(integral->token_change)},
                 {SAY(work->call, "end", "结束原因"), value_text(end_text(work, integral->end))}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const Value cells[] = {value_text(lines[i].name), lines[i].value};
        table_row(table, cells);
    }
}

/* One baseline: a line for each figure. Several: a line for each baseline. */
static void show_integration(const IgWork *work) {
    static const TableColumn one[] = {{{"figure", 6}, COLUMN_TEXT}, {{"value", 5}, COLUMN_VALUE}};
    static const TableColumn several[] = {
        {{"baseline", 8}, COLUMN_TEXT}, {{"F(input)", 8}, COLUMN_NUMBER},     {{"F(baseline)", 11}, COLUMN_NUMBER},
        {{"nodes", 5}, COLUMN_INTEGER}, {{"sum of gaps", 11}, COLUMN_NUMBER}, {{"token change", 12}, COLUMN_NUMBER},
        {{"end", 3}, COLUMN_TEXT}};
    bool single = work->n_baselines == 1;
    TableBlock *table = result_add_table(work->result, "integration",
                                         SAY(work->call, "The path from baseline to input", "从基线到输入的路径"),
                                         single ? one : several, single ? 2 : 7);
    if (single) {
        show_one_path(work, table, work->names[0], &work->integrals[0]);
        return;
    }
    for (int32_t b = 0; b < work->n_baselines; b++) {
        const IgIntegral *integral = &work->integrals[b];
        Value cells[] = {value_text(work->names[b]),
                         value_number(integral->f_input),
                         value_number(integral->f_baseline),
                         value_integer(integral->nodes),
                         value_number(integral->gap_sum),
                         value_number(integral->token_change),
                         value_text(end_text(work, integral->end))};
        table_row(table, cells);
    }
}

/* Checks speak for the worst baseline. */
static void check_integration(const IgWork *work) {
    const MethodCall *call = work->call;
    double gap = 0.0, change = 0.0;
    IgEnd end = work->integrals[0].end;
    for (int32_t b = 0; b < work->n_baselines; b++) {
        const IgIntegral *integral = &work->integrals[b];
        gap = fmax(gap, integral->gap_sum / integral->gap_scale);
        change = fmax(change, integral->token_change);
        end = integral->end == IG_GAVE_UP ? IG_GAVE_UP : end;
        if (integral->end == IG_GAVE_UP) {
            result_warn(work->result,
                        SAY(call,
                            "not converged after %lld nodes (baseline: %s): the gaps add up to %.1f%% of F(input) - "
                            "F(baseline); raise --max-nodes or --tolerance",
                            "%lld 个节点之后仍未收敛（基线：%s）：缺口之和为 F(输入) - F(基线) 的 %.1f%%；请加大 "
                            "--max-nodes 或 --tolerance"),
                        (long long)integral->nodes, work->names[b], 100.0 * integral->gap_sum / integral->gap_scale);
        } else if (integral->end == IG_NOISE_FLOOR &&
                   integral->gap_sum > work->params->tolerance * integral->gap_scale) {
            result_warn(work->result,
                        SAY(call,
                            "%s the sum of gaps at %.1f%% (baseline: %s); the token scores moved by %.2f%% in the last "
                            "refinement",
                            "%s缺口之和停在 %.1f%%（基线：%s）；最后一次细化时词元得分变动 %.2f%%"),
                        is_routed(work) ? SAY(call, "F jumps where a token's choice of experts changes: the jumps keep",
                                              "F 在词元的专家选择改变处有跳变，使")
                                        : SAY(call, "F's own rounding noise keeps", "F 自身的舍入噪声使"),
                        100.0 * integral->gap_sum / integral->gap_scale, work->names[b],
                        100.0 * integral->token_change);
        }
    }
    if (end == IG_FIXED_RULE) {
        result_check(work->result, "completeness", gap, CHECK_AT_MOST, work->params->tolerance,
                     SAY(call,
                         "distance of the attributions' sum from F(input) - F(baseline), over that difference; of a "
                         "fixed rule a small one can be luck",
                         "归因之和与 F(输入) - F(基线) 的距离，除以该差；固定规则的小缺口可能只是运气"));
        return;
    }
    if (end != IG_NOISE_FLOOR || is_routed(work)) { /* jumps are no noise */
        result_check(work->result, "panel gaps", gap, CHECK_AT_MOST, work->params->tolerance,
                     SAY(call, "sum of |rule - difference of F| over all intervals, over |F(input) - F(baseline)|",
                         "各区间 |求积值 - F 之差| 的总和，除以 |F(输入) - F(基线)|"));
    }
    result_check(work->result, "token change", change, CHECK_AT_MOST, work->params->tolerance,
                 SAY(call, "largest change of a token's score in the last refinement, over the largest score",
                     "最后一次细化时词元得分的最大变动，除以最大得分"));
}

static void show_matrix(const IgWork *work) {
    const IgPath *path = &work->path;
    MatrixBlock *matrix = result_add_matrix(
        work->result, "matrix", SAY(work->call, "What each token did to each target token", "各词元对各目标词元的作用"),
        work->target.n, path->n_tokens);
    matrix_titles(matrix, "target token", "prompt token");
    for (int32_t c = 0; c < work->target.n; c++) {
        Text label = output_text(work->call, work->model, work->target.ids[c]);
        matrix_label_row(matrix, c, label.bytes, label.length);
        for (int32_t t = 0; t < path->n_tokens; t++) {
            double sum = 0.0;
            for (int32_t b = 0; b < work->n_baselines; b++) {
                sum += work->integrals[b].attribution[(int64_t)c * path->n_tokens + t];
            }
            matrix_set(matrix, c, t, path->fixed[t] ? (double)NAN : sum / work->n_baselines);
        }
    }
    for (int32_t t = 0; t < path->n_tokens; t++) {
        Text label = token_text(work->call, work->model, work->prompt.ids[t]);
        matrix_label_column(matrix, t, label.bytes, label.length);
    }
}

static limn_status report(IgWork *work) {
    double *scores = NULL;
    int32_t *order = NULL;
    int32_t n = 0;
    TRY(rank_words(work, &scores, &order, &n));
    result_param_text(work->result, "sign",
                      work->path.metric == IG_METRIC_NLL
                          ? SAY(work->call, "positive speaks against the target (negative log-likelihood)",
                                "正值反对目标（负对数似然）")
                          : SAY(work->call, "positive supports the target", "正值支持目标"));
    say_headline(work, scores, order, n);
    show_tokens(work);
    show_words(work, scores, order, n);
    target_describe(work->result, work->call, work->model, &work->target, &work->contrast, LIKELIEST);
    show_integration(work);
    check_integration(work);
    if (work->params->matrix) {
        show_matrix(work);
    }
    for (int32_t w = 0; w < work->words.n && work->path.metric == IG_METRIC_NLL; w++) {
        scores[w] = -scores[w]; /* support, for the deletion check */
    }
    return deletion_check(work->result, &work->path, &work->target, &work->words, scores,
                          work->contrast.kind != TARGET_NONE);
}

/* The cost of the question instead of its answer. The adaptive rule is begun: how its gaps fall says how many nodes it
 * will take. started: when the call began. */
static limn_status estimate(IgWork *work, double started) {
    enum { LOOK_NODES = 48 };
    const IgParams *params = work->params;
    bool fixed_rule = params->steps > 0;
    TRY(alloc_integrals(work));
    if (fixed_rule) {
        TRY(fill_baseline(work, 0));
    } else {
        TRY(integrate(work, 0, LOOK_NODES));
    }
    const IgIntegral *begun = &work->integrals[0];
    int64_t each = fixed_rule ? params->steps : begun->expected;
    int64_t ends = fixed_rule ? 2 : 0; /* the adaptive rule's are nodes */
    IgCost cost = {.nodes = each * work->n_baselines - begun->nodes,
                   .values = work->n_baselines * ends + deletion_most_passes(each + ends, work->path.n_tokens),
                   .most = fixed_rule ? 0 : params->max_nodes * work->n_baselines,
                   .seconds = estimate_clock() - started,
                   .spent = begun->nodes};
    return ig_estimate(work->result, &work->path, &cost);
}

static limn_status run(MethodCall *call, Result *result) {
    IgWork work = {.call = call, .params = call->params, .result = result};
    if (work.params->rule != 0 && work.params->steps == 0) {
        return fail(LIMN_USAGE, "option 'rule' names the rule of --steps, which is missing; expected --steps N too");
    }
    double started = estimate_clock();
    limn_status status = prepare(&work);
    if (status == LIMN_OK && work.params->estimate) {
        status = estimate(&work, started);
    } else if (status == LIMN_OK) {
        status = attribute(&work);
        status = status == LIMN_OK ? report(&work) : status;
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
     .help = "auto (mask, else padding, unknown, end-of-text token), pad, mean, zero, token:STR, ids:FILE; several "
             "give a mean and a spread",
     .field = offsetof(IgParams, baselines)},
    {"tolerance", 0, LIMN_PARAM_NUMBER, .metavar = "T", .default_text = "0.03", .minimum = 1e-6, .maximum = 1,
     .help = "adaptive rule: how far gaps and tokens may be off", .field = offsetof(IgParams, tolerance)},
    {"max-nodes", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "4096", .minimum = 64, .maximum = 1000000,
     .help = "adaptive rule: give up (and say so) after N nodes", .field = offsetof(IgParams, max_nodes)},
    {"steps", 0, LIMN_PARAM_INTEGER, .metavar = "N", .default_text = "0", .minimum = 0, .maximum = 1000000,
     .help = "a fixed rule with N nodes instead of the adaptive one", .field = offsetof(IgParams, steps)},
    {"rule", 0, LIMN_PARAM_CHOICE, .metavar = "R", .default_text = "gauss-legendre",
     .choices = "gauss-legendre|trapezoid|riemann|riemann-left|riemann-right",
     .help = "the fixed rule of --steps, as Captum defines it (riemann: middles)", .field = offsetof(IgParams, rule)},
    {"by", 0, LIMN_PARAM_CHOICE, .metavar = "UNIT", .default_text = "word", .choices = "token|word|sentence",
     .help = "what to show scores for", .field = offsetof(IgParams, by)},
    TEMPLATE_TOKENS_ROW(IgParams, template_tokens),
    ESTIMATE_ROW(IgParams, estimate),
    {"matrix", 0, LIMN_PARAM_FLAG, .help = "also target token by prompt token", .field = offsetof(IgParams, matrix)},
};

const Method method_ig = {
    .command =
        {.name = "ig",
         .summary = "integrated gradients: which words made the model say this, with its own error",
         .description =
             "Follows a straight line from a baseline (nothing said) to the prompt and adds up what each token's "
             "embedding contributed to the target. Nodes are placed where the model changes; the result says how far "
             "it may be off and checks itself by taking words away. Special and BOS tokens are held fixed.",
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
    .explains = true,
};
