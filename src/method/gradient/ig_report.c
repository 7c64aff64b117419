/* What `ig` says of its integrals: scores by token, word and sentence, the figures of the path, its checks. */
#include <math.h>
#include <string.h>

#include "ask/baseline.h"
#include "measure/cause.h"
#include "measure/distribution.h"
#include "measure/target_score.h"
#include "method/gradient/ig.h"

enum { STRONGEST_WORDS = 10, LIKELIEST = 5 };

static double group_sum(const IgWork *work, int32_t begin, int32_t end) {
    return token_scores_sum(&(TokenScores){.n = work->prompt.n, .scores = work->score}, begin, end);
}

static void add_grouping(const IgWork *work, TokensBlock *strip, const char *name, const TokenRuns *runs) {
    TokenGroup *groups = tokens_add_grouping(strip, name, runs->n);
    for (int32_t g = 0; groups != NULL && g < runs->n; g++) {
        groups[g].begin = runs->begins[g];
        groups[g].end = runs->begins[g + 1];
        groups[g].score = group_sum(work, runs->begins[g], runs->begins[g + 1]);
        groups[g].spread = ig_group_spread(work, runs->begins[g], runs->begins[g + 1]);
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

/* What the scores are against, and what was left out of them. */
static void note_strip(const IgWork *work) {
    const MethodCall *call = work->call;
    bool speaks =
        work->n_baselines == 1 && strcmp(ig_baseline_spec(work, 0), "auto") == 0 && baseline_ends_text(work->model);
    const char *more = work->n_baselines > 1 ? SAY(call, " and others: mean over baselines", "等：取各基线的均值")
                       : speaks ? SAY(call, ", which also ends a text and so says something; see --baseline mean too",
                                      "，它也表示文本结束，因而并非毫无含义；另见 --baseline mean")
                                : "";
    bool held = work->prompt.chat != NULL && work->params->template_tokens == 0;
    const char *first =
        work->pooled ? SAY(call, "other tokens of the same kind in the place of each", "每个词元换成同类的其他词元")
                     : work->names[0];
    more = work->pooled ? SAY(call, ", mean over 8 draws", "，取 8 次抽取的均值") : more;
    result_block_note(work->result, SAY(call, "baseline: %s%s%s", "基线：%s%s%s"), first, more,
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
    bool lead = work->contrast.kind != TARGET_NONE && work->metric == ANSWER_LOG_PROB;
    result_block_unit(work->result, answer_unit(work->call, lead ? ANSWER_LEAD : (AnswerMetric)work->metric));
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
    static const TableColumn columns[] = {{TEXT("word"), COLUMN_TOKEN},
                                          {TEXT("position"), COLUMN_INTEGER},
                                          {TEXT("score"), COLUMN_SIGNED},
                                          {TEXT("share"), COLUMN_SHARE}};
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

/* Said first: where most baselines name another word than their mean does. */
static void say_disagreement(const IgWork *work, TextBuffer *line, const double *scores, const int32_t *order,
                             int32_t n) {
    double sign = work->metric == ANSWER_NLL ? -1.0 : 1.0;
    int32_t first = -1;
    for (int32_t i = 0; i < n && first < 0; i++) {
        first = sign * scores[order[i]] > 0.0 ? order[i] : -1;
    }
    int32_t agreeing = work->n_baselines > 1 && first >= 0 ? ig_baselines_agreeing(work, first) : work->n_baselines;
    if (2 * agreeing < work->n_baselines) {
        text_buffer_printf(line,
                           SAY(work->call, "Baselines disagree (%d of %d name the same word first). ",
                               "各基线不一致（%d/%d 个首先指向同一个词）。"),
                           (int)agreeing, (int)work->n_baselines);
    }
}

static void say_headline(const IgWork *work, const double *scores, const int32_t *order, int32_t n) {
    TextBuffer line = TEXT_BUFFER_INIT;
    const MethodCall *call = work->call;
    say_disagreement(work, &line, scores, order, n);
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

static const char *end_text(const IgWork *work, IgEnd end) {
    static const char *const texts[] = {"converged", "down to the rounding noise of the model's own output",
                                        "NOT converged: the node limit came first", "fixed rule"},
                             *const chinese[] = {"已收敛", "已到模型自身输出的舍入噪声", "未收敛：先达到节点上限",
                                                 "固定规则"};
    return end == IG_NOISE_FLOOR && ig_is_routed(work)
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
    static const TableColumn one[] = {{TEXT("figure"), COLUMN_TEXT}, {TEXT("value"), COLUMN_VALUE}};
    static const TableColumn several[] = {{TEXT("baseline"), COLUMN_TEXT},      {TEXT("F(input)"), COLUMN_NUMBER},
                                          {TEXT("F(baseline)"), COLUMN_NUMBER}, {TEXT("nodes"), COLUMN_INTEGER},
                                          {TEXT("sum of gaps"), COLUMN_NUMBER}, {TEXT("token change"), COLUMN_NUMBER},
                                          {TEXT("end"), COLUMN_TEXT},           {TEXT("names first"), COLUMN_TOKEN}};
    bool single = work->n_baselines == 1;
    TableBlock *table = result_add_table(work->result, "integration",
                                         SAY(work->call, "The path from baseline to input", "从基线到输入的路径"),
                                         single ? one : several, single ? 2 : 8);
    if (single) {
        show_one_path(work, table, work->names[0], &work->integrals[0]);
        return;
    }
    for (int32_t b = 0; b < work->n_baselines; b++) {
        const IgIntegral *integral = &work->integrals[b];
        int32_t first = ig_first_word(work, b);
        Text word = {NULL, 0};
        if (first >= 0) {
            word = run_text(work->call, work->model, &work->prompt, work->words.begins[first],
                            work->words.begins[first + 1]);
        }
        Value cells[] = {value_text(work->names[b]),
                         value_number(integral->f_input),
                         value_number(integral->f_baseline),
                         value_integer(integral->nodes),
                         value_number(integral->gap_sum),
                         value_number(integral->token_change),
                         value_text(end_text(work, integral->end)),
                         first >= 0 ? value_bytes(word.bytes, word.length) : value_null()};
        table_row(table, cells);
    }
}

static void warn_of_ends(const IgWork *work) {
    const MethodCall *call = work->call;
    for (int32_t b = 0; b < (work->pooled ? 1 : work->n_baselines); b++) {
        const IgIntegral *integral = &work->integrals[b];
        double gap =
            work->pooled ? ig_pooled_gap(work->integrals, work->n_baselines) : integral->gap_sum / integral->gap_scale;
        int64_t nodes = work->pooled ? work->path.evaluations : integral->nodes;
        if (integral->end == IG_GAVE_UP) {
            result_warn(work->result,
                        SAY(call,
                            "not converged after %lld nodes (baseline: %s): the gaps add up to %.1f%% of F(input) - "
                            "F(baseline); raise --max-nodes or --tolerance",
                            "%lld 个节点之后仍未收敛（基线：%s）：缺口之和为 F(输入) - F(基线) 的 %.1f%%；请加大 "
                            "--max-nodes 或 --tolerance"),
                        (long long)nodes, work->names[b], 100.0 * gap);
        } else if (integral->end == IG_NOISE_FLOOR && gap > work->params->tolerance) {
            result_warn(work->result,
                        SAY(call,
                            "%s the sum of gaps at %.1f%% (baseline: %s); the token scores moved by %.2f%% in the last "
                            "refinement",
                            "%s缺口之和停在 %.1f%%（基线：%s）；最后一次细化时词元得分变动 %.2f%%"),
                        ig_is_routed(work)
                            ? SAY(call, "F jumps where a token's choice of experts changes: the jumps keep",
                                  "F 在词元的专家选择改变处有跳变，使")
                            : SAY(call, "F's own rounding noise keeps", "F 自身的舍入噪声使"),
                        100.0 * gap, work->names[b], 100.0 * integral->token_change);
        }
    }
}

/* Checks speak for the worst baseline. */
static void check_integration(const IgWork *work) {
    const MethodCall *call = work->call;
    IgJudgement judgement = ig_judge(work);
    double tolerance = work->params->tolerance;
    warn_of_ends(work);
    if (judgement.end == IG_FIXED_RULE) {
        result_check(work->result, "completeness", judgement.gap, CHECK_AT_MOST, tolerance,
                     SAY(call,
                         "distance of the attributions' sum from F(input) - F(baseline), over that difference; of a "
                         "fixed rule a small one can be luck",
                         "归因之和与 F(输入) - F(基线) 的距离，除以该差；固定规则的小缺口可能只是运气"));
        return;
    }
    if (judgement.gap_counts) {
        result_check(work->result, "panel gaps", judgement.gap, CHECK_AT_MOST, tolerance,
                     SAY(call, "sum of |rule - difference of F| over all intervals, over |F(input) - F(baseline)|",
                         "各区间 |求积值 - F 之差| 的总和，除以 |F(输入) - F(基线)|"));
    }
    result_check(work->result, "token change", judgement.change, CHECK_AT_MOST, tolerance,
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

limn_status ig_report(IgWork *work) {
    double *scores = NULL;
    int32_t *order = NULL;
    int32_t n = 0;
    TRY(rank_words(work, &scores, &order, &n));
    result_param_text(work->result, "sign",
                      work->metric == ANSWER_NLL
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
    for (int32_t w = 0; w < work->words.n && work->metric == ANSWER_NLL; w++) {
        scores[w] = -scores[w]; /* support */
    }
    const CauseAsked cause = {.call = work->call,
                              .engine = work->engine,
                              .prompt = &work->prompt,
                              .target = &work->target,
                              .contrast = &work->contrast,
                              .words = &work->words,
                              .scores = scores,
                              .effort = (CauseEffort)work->params->check};
    return cause_check(work->result, &cause);
}
